#include "stack/nat/ip_lwip.h"

#include "stack/base/wire.h"
#include "stack/nat/lwip_addr.h"

#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/udp.h"

#include <errno.h>

#define DELIVER_PIECES 20

/* What iplwip_udp_input() is told to do with the payload. */
struct delivery {
	iplwip_deliver *deliver;
	void *ctx;
};

static void on_udp(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from,
		   u16_t port)
{
	struct delivery *delivery = arg;
	struct iovec pieces[DELIVER_PIECES];
	unsigned n = 0;

	(void)pcb;
	(void)from;
	(void)port;
	for (struct pbuf *q = p; q && n < DELIVER_PIECES; q = q->next)
		pieces[n++] = (struct iovec){q->payload, q->len};
	delivery->deliver(delivery->ctx, pieces, n);
	pbuf_free(p);
}

int iplwip_init(struct nat *nat)
{
	nat->udp_pcb = udp_new_ip_type(IPADDR_TYPE_ANY);
	if (!nat->udp_pcb)
		return -ENOMEM;
	udp_recv(nat->udp_pcb, on_udp, NULL);
	return 0;
}

void iplwip_fini(struct nat *nat)
{
	if (nat->udp_pcb)
		udp_remove(nat->udp_pcb);
	nat->udp_pcb = NULL;
}

/* ---- reassembly ----------------------------------------------------------------------------- */

bool iplwip_reassembly_pending(const struct nat *nat)
{
	return nat->reassembly_ms != 0;
}

static bool tick(struct guest *guest)
{
	if (!reass_is_empty(&guest->reass4))
		reass4_tick(&guest->reass4);
	if (!reass_is_empty(&guest->reass6))
		reass6_tick(&guest->reass6);
	return !reass_is_empty(&guest->reass4) || !reass_is_empty(&guest->reass6);
}

void iplwip_reassembly_tick(struct nat *nat)
{
	bool pending = false;

	for (struct list *link = nat->guests.next; link != &nat->guests; link = link->next)
		pending |= tick(list_entry(link, struct guest, link));
	nat->reassembly_ms = pending ? nat->now_ms + 1000 : 0;
}

void iplwip_drop_fragments(struct nat *nat, struct guest *guest)
{
	(void)nat;
	while (tick(guest))
		;
}

/* A copy of the fragment for lwIP to keep and write into. */
static struct pbuf *copy_of(const struct packet *fragment)
{
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)fragment->ip_len, PBUF_RAM);

	if (p)
		memcpy(p->payload, fragment->ip, fragment->ip_len);
	return p;
}

/* The same for IPv6, where headers before the Fragment header have been read and done with. lwIP
 * counts the bytes of the whole, headers included, in 16 bits. */
static struct pbuf *copy_of6(const struct packet *fragment)
{
	struct wire_in in = wire_in(fragment->l4, fragment->l4_len);
	struct wire_out out;
	struct pbuf *p;

	wire_skip(&in, 2);
	if ((wire_get_u16(&in) & 0xfff8u) + wire_left(&in) - 4 > 65535u - 40)
		return NULL;
	p = pbuf_alloc(PBUF_RAW, (u16_t)(40 + fragment->l4_len), PBUF_RAM);
	if (!p)
		return NULL;
	out = wire_out(p->payload, p->len);
	wire_put_bytes(&out, fragment->ip, 4);
	wire_put_u16(&out, (uint16_t)fragment->l4_len);
	wire_put_u8(&out, IP6_NEXTH_FRAGMENT);
	wire_put_bytes(&out, fragment->ip + 7, 33);
	wire_put_bytes(&out, fragment->l4, fragment->l4_len);
	return p;
}

bool iplwip_reassemble(struct nat *nat, struct guest *guest, const struct packet *fragment,
		       struct packet *ret)
{
	struct pbuf *p = fragment->v6 ? copy_of6(fragment) : copy_of(fragment);

	if (!p) {
		nat->counters.dropped_reassembly++;
		return false;
	}
	if (!nat->reassembly_ms)
		nat->reassembly_ms = nat->now_ms + 1000;
	p = fragment->v6 ? reass6_input(&guest->reass6, p) : reass4_input(&guest->reass4, p);
	if (!p)
		return false;
	*ret = *fragment;
	ret->owner = NULL;
	ret->fragment = false;
	if (pbuf_copy_partial(p, nat->linear, p->tot_len, 0) != p->tot_len ||
	    packet_read_ip(ret, nat->linear, p->tot_len) != PACKET_OK) {
		nat->counters.dropped_reassembly++;
		pbuf_free(p);
		return false;
	}
	pbuf_free(p);
	return true;
}

/* ---- datagrams ------------------------------------------------------------------------------ */

void iplwip_udp_input(struct nat *nat, const struct packet *packet,
		      const struct udp_datagram *datagram, iplwip_deliver *deliver, void *ctx)
{
	struct netif *netif = solo_netif(nat->engine);
	struct delivery delivery = {deliver, ctx};
	/* udp_input() only reads: the const goes because pbuf has no place for it. */
	struct pbuf *p = pbuf_alloc_reference((void *)(uintptr_t)packet->l4,
					      (u16_t)(datagram->data_len + 8), PBUF_REF);
	struct endpoint from = {packet->src, datagram->src_port};
	struct endpoint to = {packet->dst, datagram->dst_port};

	if (!p) {
		nat->counters.dropped_memory++;
		return;
	}
	solo_set_current_ends(nat->engine, &from, &to);
	nat->udp_pcb->local_port = datagram->dst_port;
	nat->udp_pcb->recv_arg = &delivery;
	udp_pcbs = nat->udp_pcb;
	udp_input(p, netif);
	udp_pcbs = NULL;
	nat->udp_pcb->recv_arg = NULL;
}

void iplwip_udp_send(struct nat *nat, const struct endpoint *from, const struct endpoint *to,
		     const struct iovec *payload)
{
	struct netif *netif = solo_netif(nat->engine);
	struct pbuf *p = pbuf_alloc_reference(payload->iov_base, (u16_t)payload->iov_len, PBUF_REF);
	ip_addr_t src, dst;

	if (!p) {
		nat->counters.dropped_memory++;
		return;
	}
	lwip_addr_from(&src, &from->addr);
	lwip_addr_from(&dst, &to->addr);
	netif->mtu = nat->config.mtu;
	netif->mtu6 = nat->config.mtu;
	nat->udp_pcb->local_port = from->port;
	nat->output.lent = *payload;
	if (udp_sendto_if_src(nat->udp_pcb, p, &dst, to->port, netif, &src) != ERR_OK)
		nat->counters.dropped_memory++;
	pbuf_free(p);
}

void iplwip_send(struct nat *nat, const struct iplwip_message *message)
{
	struct netif *netif = solo_netif(nat->engine);
	struct pbuf *header = pbuf_alloc(PBUF_IP, 0, PBUF_RAM);
	struct pbuf *p =
	    pbuf_alloc_reference(message->bytes.iov_base, (u16_t)message->bytes.iov_len, PBUF_REF);
	ip_addr_t src, dst;

	if (!header || !p) {
		nat->counters.dropped_memory++;
		if (header)
			pbuf_free(header);
		if (p)
			pbuf_free(p);
		return;
	}
	pbuf_cat(header, p);
	lwip_addr_from(&src, &message->from);
	lwip_addr_from(&dst, &message->to);
	netif->mtu = nat->config.mtu;
	netif->mtu6 = nat->config.mtu;
	nat->output.lent = message->bytes;
	ip_output_if_src(header, &src, &dst, message->ttl, 0, message->proto, netif);
	pbuf_free(header);
}
