/* Segments from guests: whose they are, and their way into lwIP. */
#include "stack/nat/tcpflow.h"

#include "stack/nat/policy.h"

/* ---- into lwIP ------------------------------------------------------------------------------ */

/* lwIP keeps an out-of-order segment for as long as it takes: it must not hold a whole read buffer.
 */
static void feed(struct nat *nat, struct tcpflow *tf, const struct tcp_segment *header,
		 struct pbuf *data)
{
	uint32_t had = tf->solo.events.data_len;

	if (data && solo_rcv_nxt(&tf->solo) != header->seq) {
		if (tf->flow.guest->queued_to_host >= nat->config.limits.guest_to_host_bytes_max) {
			nat->counters.dropped_memory++;
			pbuf_free(data);
			return;
		}
		uint16_t len = data->tot_len;
		data = tcpmerge_copy(data);
		if (!data) { /* comes again */
			nat->counters.dropped_memory++;
			return;
		}
		for (struct pbuf *p = data; p; p = p->next) {
			p->tot_len = len;
			len = (uint16_t)(len - p->len);
		}
	}
	tcpflow_output_to(nat, tf);
	solo_input(nat->engine, &tf->solo, header, data);
	tf->flow.guest->queued_to_host += tf->solo.events.data_len - had;
	tcpflow_after_lwip(nat, tf);
}

static void feed_pending(struct nat *nat, struct tcpflow *tf)
{
	struct tcp_segment header;
	struct pbuf *data;

	list_remove(&tf->merge_link);
	if (!tf->merge.pending)
		return;
	data = tcpmerge_take(tf, &header);
	feed(nat, tf, &header, data);
}

void tcpinput_feed_merged(struct nat *nat)
{
	while (!list_is_empty(&nat->merging))
		feed_pending(nat, list_entry(nat->merging.next, struct tcpflow, merge_link));
}

static void feed_alone(struct nat *nat, struct tcpflow *tf, const struct tcp_segment *segment,
		       struct frame_owner *owner)
{
	struct tcp_segment header = *segment;
	struct pbuf *data = NULL;

	if (segment->data_len) {
		data = tcpmerge_pbuf(segment, owner);
		if (!data) {
			nat->counters.dropped_memory++;
			return;
		}
	}
	if (segment->mss)
		header.mss =
		    tcpflow_clamp_mss(nat, segment->mss, !addr_is_v4(&tf->flow.key.guest.addr));
	feed(nat, tf, &header, data);
}

/* A segment of a flow that lwIP has a pcb for, or had. */
static void input_known(struct nat *nat, struct tcpflow *tf, const struct tcp_segment *segment,
			struct frame_owner *owner)
{
	struct guest *guest = tf->flow.guest;

	/* Every window we have promised is taken, until the guest as a whole has too much waiting
	 * for slow host peers: then those flows' data must come again later. */
	if (segment->data_len && !tf->host_writable &&
	    guest->queued_to_host >= nat->config.limits.guest_to_host_bytes_max) {
		nat->counters.dropped_memory++;
		return;
	}
	if (tcpmerge_continue(tf, segment, owner))
		return;
	feed_pending(nat, tf);
	if (tf->state == TCPFLOW_OPEN && tcpmerge_begin(tf, segment, owner))
		list_append(&nat->merging, &tf->merge_link);
	else
		feed_alone(nat, tf, segment, owner);
}

/* ---- whose they are ------------------------------------------------------------------------- */

static bool is_new_syn(const struct tcp_segment *segment)
{
	return (segment->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK | TCP_FLAG_RST)) == TCP_FLAG_SYN;
}

/* A new connection may take the place of one in TIME_WAIT, or of an attempt the guest has given up.
 * RFC 6191 wants a newer sequence number or timestamp, against old duplicates: a guest's link keeps
 * order, there are none. */
static bool is_replaced_by(const struct tcpflow *tf, const struct tcp_segment *segment)
{
	if (!is_new_syn(segment))
		return false;
	if (tf->state == TCPFLOW_DIALLING)
		return tf->syn->segment.seq != segment->seq;
	if (solo_is_empty(&tf->solo))
		return tf->solo.events.data_len == 0;
	return tf->solo.time_wait && tf->flow.handle < 0;
}

static bool is_of(const struct tcpflow *tf, const struct packet *packet,
		  const struct tcp_segment *segment)
{
	const struct flow_key *key = &tf->flow.key;

	return key->guest.port == segment->src_port && key->peer.port == segment->dst_port &&
	       addr_eq(&key->peer.addr, &packet->dst) && addr_eq(&key->guest.addr, &packet->src);
}

static struct tcpflow *find_flow(struct nat *nat, struct guest *guest, const struct packet *packet,
				 const struct tcp_segment *segment)
{
	struct endpoint from = {packet->src, segment->src_port};
	struct endpoint to = {packet->dst, segment->dst_port};
	struct tcpflow *last = guest->last_tcp;
	struct flow_key key;

	if (last && is_of(last, packet, segment))
		return last;
	key = flow_key(FLOW_TCP, guest->port->id, &from, &to);
	last = (struct tcpflow *)(void *)flow_find(nat->flows, &key);
	if (last)
		guest->last_tcp = last;
	return last;
}

/* A segment of no connection. There is no answer from an address that cannot exist, as there is
 * none for a SYN to it. */
static void refuse_stray(struct nat *nat, struct guest *guest, const struct packet *packet,
			 const struct tcp_segment *segment)
{
	struct endpoint from = {packet->src, segment->src_port};
	struct endpoint to = {packet->dst, segment->dst_port};
	struct endpoint host;

	if (policy_outbound(&nat->config, &to, &host) == POLICY_DROP) {
		nat->counters.dropped_address++;
		return;
	}
	nat->output = (struct nat_output){.guest = guest, .mac = packet->src_mac};
	solo_refuse(nat->engine, &from, &to, segment);
}

bool tcpflow_input_pieces(struct nat *nat, struct guest *guest, const struct packet *packet,
			  const struct frame *frame)
{
	struct tcp_segment segment;
	struct tcpflow *tf;

	if (packet_read_tcp(&segment, packet) != PACKET_OK || segment.flags & TCP_FLAG_SYN ||
	    frame->len - frame->iov[0].iov_len > segment.data_len)
		return false;
	segment.rest = frame->iov + 1;
	segment.rest_n = frame->iov_n - 1;
	tf = find_flow(nat, guest, packet, &segment);
	if (!tf || tf->state == TCPFLOW_DIALLING)
		return false;
	tf->flow.meter.packets_to_host++;
	tf->mac = packet->src_mac;
	input_known(nat, tf, &segment, frame->owner);
	return true;
}

void tcpflow_input(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	struct tcp_segment segment;
	struct tcpflow *tf;

	if (packet_read_tcp(&segment, packet) != PACKET_OK) {
		nat->counters.dropped_malformed++;
		return;
	}
	tf = find_flow(nat, guest, packet, &segment);
	/* Whoever has a flow was looked at when it began. */
	if (!tf && !policy_source_ok(&nat->config, &packet->src)) {
		nat->counters.dropped_address++;
		return;
	}
	if (tf && is_replaced_by(tf, &segment)) {
		tcpflow_kill(nat, tf, true);
		tf = NULL;
	}
	if (tf && tf->state == TCPFLOW_DIALLING) {
		/* The guest gives up, or sends its SYN again, which just waits on. */
		if (segment.flags & TCP_FLAG_RST)
			tcpflow_end(nat, tf, true);
		return;
	}
	if (tf) {
		tf->flow.meter.packets_to_host++;
		tf->mac = packet->src_mac;
		input_known(nat, tf, &segment, packet->owner);
	} else if (is_new_syn(&segment)) {
		tcpoutbound_begin(nat, guest, packet, &segment);
	} else if (!(segment.flags & TCP_FLAG_RST)) {
		refuse_stray(nat, guest, packet, &segment);
	}
}
