/* The engine: lwIP's one network interface, where all that it sends goes, and its one listener. And
 * what may be asked of a connection. */
#include "stack/nat/solo_priv.h"

#include <stdlib.h>

#define AHEAD_OVERHEAD 256u /* bytes: a pbuf, a header and a tcp_seg */

static bool lwip_is_set_up; /* lwIP's own state is process-wide */

/* ---- output: everything lwIP sends goes to one function ------------------------------------- */

static err_t output4(struct netif *netif, struct pbuf *packet, const ip4_addr_t *to)
{
	struct solo_engine *engine = netif->state;
	(void)to;
	engine->output(engine->output_ctx, packet, false);
	return ERR_OK;
}

static err_t output6(struct netif *netif, struct pbuf *packet, const ip6_addr_t *to)
{
	struct solo_engine *engine = netif->state;
	(void)to;
	engine->output(engine->output_ctx, packet, true);
	return ERR_OK;
}

static err_t netif_setup(struct netif *netif)
{
	netif->output = output4;
	netif->output_ip6 = output6;
	return ERR_OK;
}

static err_t netif_no_input(struct pbuf *packet, struct netif *netif)
{
	(void)netif;
	pbuf_free(packet);
	return ERR_OK;
}

/* ---- its life ------------------------------------------------------------------------------- */

/* One listener serves every destination: it is never bound, its port is set for each SYN. */
static struct tcp_pcb *new_listener(struct netif *netif)
{
	struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);
	struct tcp_pcb *listener = NULL;

	if (!pcb)
		return NULL;
	tcp_bind_netif(pcb, netif);
	listener = tcp_listen(pcb);
	if (!listener)
		tcp_close(pcb);
	tcp_listen_pcbs.listen_pcbs = NULL;
	return listener;
}

struct solo_engine *solo_engine_new(uint16_t mtu, solo_output *output, void *ctx)
{
	struct solo_engine *engine = calloc(1, sizeof(*engine));

	if (!engine)
		return NULL;
	if (!lwip_is_set_up)
		lwip_init();
	lwip_is_set_up = true;
	engine->mtu = mtu;
	engine->output = output;
	engine->output_ctx = ctx;
	engine->slow_ticks = tcp_ticks ? tcp_ticks : 1; /* lwIP takes 0 for "no time measured" */
	netif_add_noaddr(&engine->netif, engine, netif_setup, netif_no_input);
	netif_set_default(&engine->netif); /* with LWIP_SINGLE_NETIF that is how it is found */
	engine->netif.mtu = mtu;
	/* Its MTU bounds the MSS of IPv6 only where lwIP's routing finds the netif. */
	engine->netif.flags |= NETIF_FLAG_UP | NETIF_FLAG_LINK_UP;
	engine->listener = new_listener(&engine->netif);
	if (!engine->listener) {
		solo_engine_free(engine);
		return NULL;
	}
	return engine;
}

void solo_engine_free(struct solo_engine *engine)
{
	if (!engine)
		return;
	if (engine->listener)
		memp_free(MEMP_TCP_PCB_LISTEN, engine->listener);
	netif_remove(&engine->netif);
	free(engine);
}

struct netif *solo_netif(struct solo_engine *engine)
{
	return &engine->netif;
}

/* ---- questions ------------------------------------------------------------------------------ */

bool solo_is_empty(const struct solo *solo)
{
	return !solo->active && !solo->time_wait;
}

bool solo_is_synchronized(const struct solo *solo)
{
	return solo->active && solo->active->state >= ESTABLISHED;
}

uint16_t solo_mss(const struct solo *solo)
{
	return solo->active->mss;
}

uint32_t solo_rcv_nxt(const struct solo *solo)
{
	const struct tcp_pcb *pcb = solo->active ? solo->active : solo->time_wait;
	return pcb ? pcb->rcv_nxt : 0;
}

uint32_t solo_lastack(const struct solo *solo)
{
	return solo->active ? solo->active->lastack : 0;
}

uint32_t solo_snd_nxt(const struct solo *solo)
{
	return solo->active ? solo->active->snd_nxt : 0;
}

uint32_t solo_ahead_cost(const struct solo *solo)
{
	const struct tcp_seg *seg = solo->active ? solo->active->ooseq : NULL;
	uint32_t cost = 0;

	for (; seg; seg = seg->next)
		cost += seg->len + AHEAD_OVERHEAD;
	return cost;
}

bool solo_is_retransmitting(const struct solo *solo)
{
	return solo->active &&
	       (solo->active->nrtx > 0 || (solo->active->flags & (TF_INFR | TF_RTO)));
}

bool solo_ack_is_due(const struct solo *solo)
{
	return solo->active && (solo->active->flags & (TF_ACK_NOW | TF_ACK_DELAY));
}
