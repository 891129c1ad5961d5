/* What comes from the guest: handshakes, segments, and the callbacks in which lwIP says what they
 * were. */
#include "stack/nat/solo_priv.h"

#include "stack/base/wire.h"
#include "stack/nat/lwip_addr.h"

#include "lwip/ip.h"

#include <errno.h>

/* ---- callbacks: they only record ------------------------------------------------------------ */

static void window_init(struct tcp_pcb *pcb, uint32_t window)
{
	uint32_t promised;

	if (window > TCP_WND_MAX(pcb))
		window = TCP_WND_MAX(pcb);
	promised = window < SOLO_WINDOW_UNSCALED_MAX ? window : SOLO_WINDOW_UNSCALED_MAX;
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

	solo_enter(engine, solo);
	listener->local_port = peer->port;
	listener->callback_arg = &solo->events;
	listener->accept = on_accept;
	listener->next = NULL;
	tcp_listen_pcbs.listen_pcbs = listener;
	solo_set_current_ends(engine, guest, peer);
	feed(engine, syn, NULL);
	solo_leave(solo);
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
	solo_enter(engine, solo);
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
	solo_leave(solo);
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
	struct tcp_segment cut = *header;
	uint32_t acked_before;

	if (!pcb) {
		if (data)
			pbuf_free(data);
		return;
	}
	acked_before = pcb->lastack;
	if (solo->active)
		data = cut_to_window(pcb, &cut, data);
	solo_enter(engine, solo);
	set_current_packet(engine, &pcb->remote_ip, &pcb->local_ip);
	feed(engine, &cut, data);
	solo_leave(solo);
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
	solo_enter(engine, &none);
	solo_set_current_ends(engine, guest, peer);
	feed(engine, &plain, data);
	solo_leave(&none);
}
