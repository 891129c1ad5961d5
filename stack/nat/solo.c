#include "stack/nat/solo.h"

#include "stack/base/wire.h"
#include "stack/nat/lwip_addr.h"

#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* What follows relies on pcb fields, list globals and the order of calls inside this very version.
 */
_Static_assert(LWIP_VERSION_MAJOR == 2 && LWIP_VERSION_MINOR == 2 && LWIP_VERSION_REVISION == 1,
	       "lwIP 2.2.1");
_Static_assert(TCP_TMR_INTERVAL == SOLO_TICK_MS, "one fast timer call per tick");
_Static_assert(TCP_SLOW_INTERVAL == 2 * SOLO_TICK_MS, "one slow timer call per two ticks");

#define WINDOW_UNSCALED_MAX 65535u
#define AHEAD_OVERHEAD 256u /* bytes: a pbuf, a header and a tcp_seg */

struct solo_engine {
	struct netif netif;
	struct tcp_pcb *listener; /* kept off lwIP's lists but for a SYN */
	uint16_t mtu;
	solo_output *output;
	void *output_ctx;
	uint32_t slow_ticks; /* what tcp_ticks must be */
	bool slow_turn;      /* this tick runs the slow timer too */
};

/* lwIP's own state is process-wide: set up once, and its static call counter tcp_timer_ctr goes on
 * counting from one engine to the next (tests make many). 'timer_calls' equals it. */
static bool lwip_is_set_up;
static uint8_t timer_calls;

/* ---- lwIP's lists: empty outside enter and leave -------------------------------------------- */

/* MTU 0 means "never fragment": super-segments pass ip4_output_if() whole. During the handshake
 * lwIP computes the MSS it announces from the true MTU. */
static void enter(struct solo_engine *engine, struct solo *solo)
{
	assert(!tcp_active_pcbs && !tcp_tw_pcbs && !tcp_bound_pcbs && !tcp_listen_pcbs.listen_pcbs);
	tcp_active_pcbs = solo->active;
	tcp_tw_pcbs = solo->time_wait;
	engine->netif.mtu = solo->active && solo->active->state >= ESTABLISHED ? 0 : engine->mtu;
#if LWIP_IPV6
	engine->netif.mtu6 = engine->netif.mtu;
#endif
}

static void leave(struct solo *solo)
{
	solo->active = tcp_active_pcbs;
	solo->time_wait = tcp_tw_pcbs;
	assert(!tcp_bound_pcbs && (!solo->active || !solo->active->next));
	tcp_active_pcbs = NULL;
	tcp_tw_pcbs = NULL;
	tcp_listen_pcbs.listen_pcbs = NULL;
}

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

/* ---- callbacks: they only record ------------------------------------------------------------ */

static void window_init(struct tcp_pcb *pcb, uint32_t window)
{
	uint32_t promised;

	if (window > TCP_WND_MAX(pcb))
		window = TCP_WND_MAX(pcb);
	promised = window < WINDOW_UNSCALED_MAX ? window : WINDOW_UNSCALED_MAX;
	pcb->rcv_wnd = window;
	pcb->rcv_ann_wnd = window;
	pcb->rcv_ann_right_edge = pcb->rcv_nxt + promised;
}

static err_t on_established(struct solo_events *events, struct tcp_pcb *pcb)
{
	events->established = true;
	tcp_nagle_disable(pcb);
	return ERR_OK;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	return pcb && err == ERR_OK ? on_established(arg, pcb) : ERR_OK;
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct solo_events *events = arg;

	(void)err;
	/* The ACK that lwIP sends next must not promise more than we give. */
	window_init(pcb, events->window);
	return on_established(events, pcb);
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *data, err_t err)
{
	struct solo_events *events = arg;

	(void)pcb;
	(void)err;
	if (!data) {
		events->fin_from_guest = true;
		return ERR_OK;
	}
	if (events->data_tail)
		events->data_tail->next = data;
	else
		events->data_head = data;
	for (struct pbuf *p = data; p; p = p->next) {
		events->data_len += p->len;
		events->data_tail = p;
	}
	return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct solo_events *events = arg;

	(void)pcb;
	events->acked += len;
	return ERR_OK;
}

/* The pcb is gone when this is called. */
static void on_end(void *arg, err_t err)
{
	struct solo_events *events = arg;

	events->end = err == ERR_RST    ? SOLO_RESET_BY_GUEST
		      : err == ERR_CLSD ? SOLO_CLOSED
					: SOLO_TIMED_OUT;
}

static void register_callbacks(struct tcp_pcb *pcb, struct solo_events *events)
{
	tcp_arg(pcb, events);
	tcp_recv(pcb, on_recv);
	tcp_sent(pcb, on_sent);
	tcp_err(pcb, on_end);
}

/* ---- the engine ----------------------------------------------------------------------------- */

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
	else
		tcp_accept(listener, on_accept);
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

/* ---- input ---------------------------------------------------------------------------------- */

/* What lwIP's IP input would have left behind for tcp_input(). */
static void set_current_packet(struct solo_engine *engine, const ip_addr_t *src,
			       const ip_addr_t *dst)
{
	static struct ip6_hdr v6_marker; /* only ever compared with NULL */

	ip_data.current_netif = &engine->netif;
	ip_data.current_input_netif = &engine->netif;
	ip_data.current_ip6_header = IP_IS_V6(src) ? &v6_marker : NULL;
	ip_data.current_iphdr_src = *src;
	ip_data.current_iphdr_dest = *dst;
}

void solo_set_current_ends(struct solo_engine *engine, const struct endpoint *guest,
			   const struct endpoint *peer)
{
	ip_addr_t src, dst;

	lwip_addr_from(&src, &guest->addr);
	lwip_addr_from(&dst, &peer->addr);
	set_current_packet(engine, &src, &dst);
}

/* A header pbuf of our own with what lwIP needs to know of 'segment': lwIP rewrites it in place,
 * and sees no option that we have not read and checked. */
static struct pbuf *header_pbuf(const struct tcp_segment *segment)
{
	size_t options_len = (segment->mss ? 4 : 0) + (segment->has_wscale ? 4 : 0);
	struct pbuf *header = pbuf_alloc(PBUF_RAW, (u16_t)(TCP_HLEN + options_len), PBUF_RAM);
	struct wire_out out;

	if (!header)
		return NULL;
	out = wire_out(header->payload, header->len);
	wire_put_u16(&out, segment->src_port);
	wire_put_u16(&out, segment->dst_port);
	wire_put_u32(&out, segment->seq);
	wire_put_u32(&out, segment->ack);
	wire_put_u8(&out, (uint8_t)((TCP_HLEN + options_len) / 4 << 4));
	wire_put_u8(&out, segment->flags & (uint8_t)~TCP_FLAG_URG);
	wire_put_u16(&out, segment->window);
	wire_put_u32(&out, 0); /* checksum, urgent pointer */
	if (segment->mss) {
		wire_put_u16(&out, 0x0204);
		wire_put_u16(&out, segment->mss);
	}
	if (segment->has_wscale) {
		wire_put_u32(&out,
			     0x01030300u | segment->wscale); /* a no-op in front keeps it aligned */
	}
	return header;
}

/* The current packet must be set. */
static void feed(struct solo_engine *engine, const struct tcp_segment *segment, struct pbuf *data)
{
	struct pbuf *packet = header_pbuf(segment);

	if (!packet) {
		if (data)
			pbuf_free(data);
		return;
	}
	if (data)
		pbuf_cat(packet, data);
	tcp_input(packet, &engine->netif);
}

void solo_accept(struct solo_engine *engine, struct solo *solo, const struct endpoint *guest,
		 const struct endpoint *peer, const struct tcp_segment *syn)
{
	struct tcp_pcb_listen *listener = (struct tcp_pcb_listen *)engine->listener;

	enter(engine, solo);
	listener->local_port = peer->port;
	listener->callback_arg = &solo->events;
	listener->next = NULL;
	tcp_listen_pcbs.listen_pcbs = listener;
	solo_set_current_ends(engine, guest, peer);
	feed(engine, syn, NULL);
	leave(solo);
	if (solo->active) {
		register_callbacks(solo->active, &solo->events);
		window_init(solo->active, solo->events.window);
	}
}

int solo_connect(struct solo_engine *engine, struct solo *solo, const struct endpoint *peer,
		 const struct endpoint *guest)
{
	struct tcp_pcb *pcb;
	ip_addr_t from, to;
	err_t err;

	lwip_addr_from(&from, &peer->addr);
	lwip_addr_from(&to, &guest->addr);
	enter(engine, solo);
	pcb = tcp_new_ip_type(IP_GET_TYPE(&to));
	err = pcb ? ERR_OK : ERR_MEM;
	if (err == ERR_OK) {
		tcp_bind_netif(pcb, &engine->netif);
		register_callbacks(pcb, &solo->events);
		err = tcp_bind(pcb, &from, peer->port);
	}
	if (err == ERR_OK)
		err = tcp_connect(pcb, &to, guest->port, on_connected);
	if (err != ERR_OK && pcb) {
		tcp_err(pcb, NULL);
		tcp_abort(pcb);
	}
	leave(solo);
	return err == ERR_OK ? 0 : -ENOMEM;
}

/* lwIP counts the window from the last acknowledgement, but does not believe the window of a
 * segment that is older than the last it took one from (RFC 9293 section 3.10.7.4): when such a
 * segment, sent again after a loss, acknowledges more, the old window would slide to the right,
 * beyond what the guest offers. Every new acknowledgement brings its own window. */
static void take_window(const struct solo *solo, const struct tcp_segment *header,
			uint32_t acked_before)
{
	struct tcp_pcb *pcb = solo->active;

	if (!pcb || pcb->state < ESTABLISHED || (header->flags & TCP_FLAG_SYN) || /* not scaled */
	    pcb->lastack != header->ack || header->ack == acked_before ||
	    pcb->snd_wl2 == header->ack)
		return;
	pcb->snd_wnd = SND_WND_SCALE(pcb, header->window);
	pcb->snd_wl2 = header->ack;
	if (pcb->snd_wnd_max < pcb->snd_wnd) /* lwIP asserts that no segment is over half of it */
		pcb->snd_wnd_max = pcb->snd_wnd;
}

static bool holds_fin(const struct tcp_pcb *pcb)
{
	const struct tcp_seg *seg = pcb->ooseq;

	while (seg && !(TCPH_FLAGS(seg->tcphdr) & TCP_FIN))
		seg = seg->next;
	return seg;
}

/* lwIP keeps a segment that is ahead of a gap without cutting it to the window, and may hang a FIN
 * it has kept to a later segment's last byte; when the gap closes it asserts that all of it fits.
 * Frees 'data' when none of it does. */
static struct pbuf *cut_to_window(const struct tcp_pcb *pcb, struct tcp_segment *header,
				  struct pbuf *data)
{
	uint32_t ahead = header->seq - pcb->rcv_nxt;
	uint32_t len = data ? data->tot_len : 0;
	bool fin = header->flags & TCP_FLAG_FIN;
	int32_t over;

	if (ahead == 0 && !pcb->ooseq)
		return data;
	over = (int32_t)(ahead + len + fin - (pcb->rcv_wnd - holds_fin(pcb)));
	if (over <= 0 || (int32_t)ahead >= (int32_t)pcb->rcv_wnd)
		return data;
	header->flags &= (uint8_t)~TCP_FLAG_FIN;
	over -= fin;
	if (over > 0 && (uint32_t)over < len) {
		pbuf_realloc(data, (u16_t)(len - (uint32_t)over));
	} else if (over > 0 && data) {
		pbuf_free(data);
		return NULL;
	}
	return data;
}

void solo_input(struct solo_engine *engine, struct solo *solo, const struct tcp_segment *header,
		struct pbuf *data)
{
	const struct tcp_pcb *pcb = solo->active ? solo->active : solo->time_wait;
	uint32_t acked_before = solo_lastack(solo);
	struct tcp_segment cut = *header;

	if (!pcb) {
		if (data)
			pbuf_free(data);
		return;
	}
	if (solo->active)
		data = cut_to_window(pcb, &cut, data);
	enter(engine, solo);
	set_current_packet(engine, &pcb->remote_ip, &pcb->local_ip);
	feed(engine, &cut, data);
	leave(solo);
	take_window(solo, header, acked_before);
}

void solo_refuse(struct solo_engine *engine, const struct endpoint *guest,
		 const struct endpoint *peer, const struct tcp_segment *segment)
{
	struct solo none = {.active = NULL};
	struct tcp_segment plain = *segment;
	struct pbuf *data = NULL;

	/* The RST's sequence numbers depend on the length: stand-in bytes, never looked at. */
	if (segment->data_len)
		data = pbuf_alloc_reference((void *)(uintptr_t)segment->data, segment->data_len,
					    PBUF_REF);
	plain.mss = 0;
	plain.has_wscale = false;
	enter(engine, &none);
	solo_set_current_ends(engine, guest, peer);
	feed(engine, &plain, data);
	leave(&none);
}

/* ---- windows, writing, ending
 * -------------------------------------------------------------------- */

uint16_t solo_mss(const struct solo *solo)
{
	return solo->active->mss;
}

void solo_credit(struct solo *solo, uint32_t len)
{
	struct tcp_pcb *pcb = solo->active;
	uint32_t window_max, news;

	if (!pcb || pcb->state < ESTABLISHED)
		return;
	window_max = TCP_WND_MAX(pcb);
	pcb->rcv_wnd = pcb->rcv_wnd + len > window_max ? window_max : pcb->rcv_wnd + len;
	news = pcb->rcv_nxt + pcb->rcv_wnd - pcb->rcv_ann_right_edge;
	/* Receiver-side silly window avoidance (RFC 9293 section 3.8.6.2.2), by our own measure:
	 * lwIP's would take the super-segment length for the MSS. */
	if ((int32_t)news > 0 && (news >= 2 * 1460 || news >= pcb->rcv_wnd / 2))
		pcb->rcv_ann_wnd = pcb->rcv_wnd;
	if ((int32_t)news > 0 && news >= pcb->rcv_wnd / 4)
		tcp_ack_now(pcb);
}

void solo_ack_now(struct solo *solo)
{
	if (solo->active)
		tcp_ack_now(solo->active);
}

uint32_t solo_room(const struct solo *solo, uint32_t cwnd, uint16_t mss)
{
	const struct tcp_pcb *pcb = solo->active;
	uint32_t window, queued, room;

	if (!pcb || (pcb->state != ESTABLISHED && pcb->state != CLOSE_WAIT))
		return 0;
	window = pcb->snd_wnd < cwnd ? pcb->snd_wnd : cwnd;
	queued = pcb->snd_lbb - pcb->lastack; /* in flight and not yet sent */
	if (queued == 0 && window == 0)
		return 1;
	if (queued >= window)
		return 0;
	room = window - queued;
	if (room > pcb->snd_buf)
		room = pcb->snd_buf;
	if (room < mss && queued > 0 && room < pcb->snd_wnd_max / 2)
		return 0;
	return room;
}

/* tcp_write() asserts that a segment it may extend is no longer than pcb->mss: never go below that.
 */
static uint16_t segment_len_allowed(const struct tcp_pcb *pcb, uint16_t super_len)
{
	const struct tcp_seg *tail = pcb->unsent;

	if (!tail)
		return super_len;
	while (tail->next)
		tail = tail->next;
	return tail->len > super_len ? tail->len : super_len;
}

int solo_write(struct solo_engine *engine, struct solo *solo, const void *bytes, uint16_t len,
	       uint16_t super_len)
{
	err_t err;

	enter(engine, solo);
	solo->active->mss = segment_len_allowed(solo->active, super_len);
	err = tcp_write(solo->active, bytes, len, 0);
	leave(solo);
	return err == ERR_OK ? 0 : -ENOMEM;
}

int solo_send_fin(struct solo_engine *engine, struct solo *solo)
{
	err_t err;

	enter(engine, solo);
	err = tcp_shutdown(solo->active, 0, 1);
	leave(solo);
	return err == ERR_OK ? 0 : -ENOMEM;
}

void solo_flush(struct solo_engine *engine, struct solo *solo, uint32_t cwnd)
{
	struct tcp_pcb *pcb = solo->active;

	if (!pcb || (!pcb->unsent && !(pcb->flags & TF_ACK_NOW)))
		return;
	if (pcb->state >= ESTABLISHED) {
		/* A segment that was cut for a larger window must still be able to leave. */
		uint32_t least = pcb->unsent ? pcb->unsent->len : 0;
		pcb->cwnd = cwnd > least ? cwnd : least;
		pcb->ssthresh = pcb->cwnd;
	}
	enter(engine, solo);
	tcp_output(pcb);
	leave(solo);
}

void solo_retransmit(struct solo_engine *engine, struct solo *solo)
{
	struct tcp_pcb *pcb = solo->active;

	if (!pcb || !pcb->unacked || pcb->state < ESTABLISHED)
		return;
	enter(engine, solo);
	if (tcp_rexmit(pcb) == ERR_OK) {
		/* Duplicates that were under way before it tell nothing new (RFC 6582 section 3.2,
		 * step 3: fast recovery lasts). */
		tcp_set_flags(pcb, TF_INFR);
		tcp_output(pcb);
	}
	leave(solo);
}

void solo_abort(struct solo_engine *engine, struct solo *solo, bool silent)
{
	struct tcp_pcb *pcb = solo->active ? solo->active : solo->time_wait;

	if (!pcb)
		return;
	enter(engine, solo);
	tcp_err(pcb, NULL);
	tcp_abandon(pcb, silent ? 0 : 1);
	leave(solo);
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

/* ---- timers --------------------------------------------------------------------------------- */

static bool needs_fast(const struct tcp_pcb *pcb)
{
	return pcb->flags & (TF_ACK_DELAY | TF_CLOSEPEND);
}

static bool needs_slow(const struct tcp_pcb *pcb)
{
	if (pcb->unacked || pcb->unsent || pcb->ooseq)
		return true;
	return pcb->state != ESTABLISHED && pcb->state != CLOSE_WAIT && pcb->state != FIN_WAIT_2;
}

bool solo_needs_ticks(const struct solo *solo)
{
	return solo->time_wait ||
	       (solo->active && (needs_fast(solo->active) || needs_slow(solo->active)));
}

bool solo_timer_is_due(const struct solo_engine *engine, const struct solo *solo)
{
	const struct tcp_pcb *pcb = solo->active;

	return engine->slow_turn && pcb && pcb->unacked && !pcb->persist_backoff &&
	       pcb->rtime >= 0 && pcb->rtime + 1 >= pcb->rto && pcb->nrtx < TCP_MAXRTX;
}

void solo_wait_a_tick(struct solo *solo)
{
	if (solo->active && solo->active->rtime > 0)
		solo->active->rtime--;
}

bool solo_probes_in_vain(const struct solo_engine *engine, const struct solo *solo)
{
	const struct tcp_pcb *pcb = solo->active;

	return engine->slow_turn && pcb && pcb->persist_backoff && pcb->persist_probe;
}

void solo_stood_still(struct solo *solo)
{
	struct tcp_pcb *pcb = solo->active;

	if (!pcb)
		return;
	pcb->rttest = 0;
	if (pcb->rtime > 0)
		pcb->rtime = 0;
	pcb->persist_cnt = 0;
}

void solo_ticks_advance(struct solo_engine *engine)
{
	engine->slow_turn = !engine->slow_turn;
	if (engine->slow_turn)
		engine->slow_ticks++;
	tcp_ticks = engine->slow_ticks;
}

/* lwIP skips a pcb whose last_timer equals its 8-bit call counter after counting the call. With one
 * call per connection the counter wraps at random: give each pcb a value that is not the next one.
 */
static void before_timer(const struct solo *solo)
{
	if (solo->active)
		solo->active->last_timer = timer_calls;
	timer_calls++;
}

/* The persist timer splits the first segment at the guest's window, counted from where the segment
 * begins. With super-segments that may lie below what the guest has acknowledged: the first part
 * would then be nothing but old bytes, would never fit, and would stop the connection for ever.
 * What is acknowledged is split off and freed here, so that the segment begins where the window
 * does. */
static void drop_acknowledged(struct solo *solo)
{
	struct tcp_pcb *pcb = solo->active;
	struct tcp_seg *head;

	while ((head = pcb->unsent)) {
		int32_t known = (int32_t)(pcb->lastack - lwip_ntohl(head->tcphdr->seqno));

		if (known <= 0 || head->len == 0)
			break;
		pcb->mss = head->len > pcb->mss ? head->len : pcb->mss; /* lwIP asserts it */
		if (known < head->len && tcp_split_unsent_seg(pcb, (u16_t)known) != ERR_OK)
			return; /* out of memory: in the next tick */
		pcb->unsent = head->next;
		pcb->snd_queuelen = (u16_t)(pcb->snd_queuelen - pbuf_clen(head->p));
		pcb->snd_buf += head->len;
		solo->events.acked += head->len;
		tcp_seg_free(head);
	}
}

/* lwIP asserts that its persist timer has something to probe with, and that a window it cuts a
 * segment to is no larger than pcb->mss. A guest may take the probe and keep its window closed, and
 * we make pcb->mss smaller after losses. */
static void before_persist(struct solo *solo)
{
	struct tcp_pcb *pcb = solo->active;

	if (!pcb || !pcb->persist_backoff)
		return;
	if (pcb->snd_wnd)
		drop_acknowledged(solo);
	if (!pcb->unsent || pcb->snd_wnd > WINDOW_UNSCALED_MAX)
		pcb->persist_backoff = 0;
	else if (pcb->mss < pcb->snd_wnd)
		pcb->mss = (u16_t)pcb->snd_wnd;
}

bool solo_tick(struct solo_engine *engine, struct solo *solo)
{
	bool called = false;

	if (solo->active && needs_fast(solo->active)) {
		before_timer(solo);
		enter(engine, solo);
		tcp_fasttmr();
		leave(solo);
		called = true;
	}
	if (engine->slow_turn && (solo->time_wait || (solo->active && needs_slow(solo->active)))) {
		before_timer(solo);
		tcp_ticks =
		    engine->slow_ticks - 1; /* tcp_slowtmr() counts it up, once per connection */
		enter(engine, solo);
		before_persist(solo);
		tcp_slowtmr();
		leave(solo);
		called = true;
	}
	return called;
}
