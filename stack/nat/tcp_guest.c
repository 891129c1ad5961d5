/* The guest's side of TCP: which flow a segment belongs to, handshakes in the order that lets a
 * guest see what the host saw (host connect() before SYN-ACK), and lwIP's timers. */
#include "stack/nat/tcpflow.h"

#include "stack/nat/icmp.h"
#include "stack/nat/policy.h"

#include <errno.h>
#include <stdlib.h>

#define WINDOW_FIRST (256u * 1024) /* receive window of a new flow; tcp_relay.c lets it grow */
#define IN_FLIGHT_FIRST (256u * 1024)
#define LONG_READS_PER_TURN (32u * BLOCK_LEN) /* bytes, of all flows: the others wait for them */
#define MSS_DEFAULT4 536u                     /* RFC 9293 section 3.7.1 */
#define MSS_DEFAULT6 1220u
#define MSS_MIN 88u /* below that a header costs more than its data; passt died of 0, 1 and 2 */
#define TIME_WAIT_MAX 4096u /* connections remembered after their end */
/* After a long sleep of the process: a second's worth, then go on from now. */
#define TICKS_AT_ONCE_MAX 40u

/* ---- flows come and go ---------------------------------------------------------------------- */

void tcpflow_output_to(struct nat *nat, struct tcpflow *tf)
{
	nat->output.guest = tf->flow.guest;
	nat->output.mac = tf->mac;
	nat->output.flow = tf;
}

void tcpflow_mark(struct nat *nat, struct tcpflow *tf)
{
	list_append(&nat->dirty, &tf->work_link);
}

static struct tcpflow *new_flow(struct nat *nat, struct guest *guest, const struct flow_key *key,
				const struct mac *mac)
{
	struct tcpflow *tf = calloc(1, sizeof(*tf));

	if (!tf) {
		nat->counters.dropped_memory++;
		return NULL;
	}
	tf->flow.key = *key;
	tf->flow.handle = -1;
	tf->mac = *mac;
	tf->window = tf->solo.events.window = WINDOW_FIRST;
	tf->in_flight_max = IN_FLIGHT_FIRST;
	tf->in_flight_calm = TCPFLOW_IN_FLIGHT_MAX;
	tf->in_flight_pace = TCPFLOW_IN_FLIGHT_FAIR;
	tf->read_max = TCPFLOW_READ_FIRST;
	list_init(&tf->work_link);
	list_init(&tf->merge_link);
	list_init(&tf->tick_link);
	list_init(&tf->connecting_link);
	list_init(&tf->wait_link);
	if (nat_flow_add(nat, guest, &tf->flow) != 0) {
		free(tf);
		return NULL;
	}
	return tf;
}

static void stop_dialling(struct tcpflow *tf)
{
	if (!list_is_empty(&tf->connecting_link)) {
		list_remove(&tf->connecting_link);
		tf->flow.guest->connecting_n--;
	}
	free(tf->syn);
	tf->syn = NULL;
}

static void leave_time_wait(struct nat *nat, struct tcpflow *tf)
{
	if (!list_is_empty(&tf->wait_link)) {
		list_remove(&tf->wait_link);
		nat->time_wait_n--;
	}
}

/* Frees everything. The pcb must be gone and the handle closed. */
static void free_flow(struct nat *nat, struct tcpflow *tf)
{
	struct guest *guest = tf->flow.guest;

	tcpinbound_flow_gone(nat, tf);
	stop_dialling(tf);
	leave_time_wait(nat, tf);
	tcpmerge_drop(tf);
	guest->queued_to_host -= tf->solo.events.data_len + tf->ahead_cost;
	if (tf->solo.events.data_head)
		pbuf_free(tf->solo.events.data_head);
	tcpflow_free_blocks(nat, tf);
	list_remove(&tf->work_link);
	list_remove(&tf->merge_link);
	list_remove(&tf->tick_link);
	if (guest->last_tcp == tf)
		guest->last_tcp = NULL;
	if (nat->output.flow == tf)
		nat->output.flow = NULL;
	nat_flow_remove(nat, &tf->flow);
	free(tf);
}

void tcpflow_close_host(struct nat *nat, struct tcpflow *tf, bool reset)
{
	if (tf->flow.handle >= 0) {
		nat->config.host->tcp_close(nat->config.host_ctx, tf->flow.handle, reset);
		nat_flow_drop_handle(nat, &tf->flow);
	}
}

void tcpflow_end(struct nat *nat, struct tcpflow *tf, bool reset_host)
{
	tcpflow_close_host(nat, tf, reset_host);
	free_flow(nat, tf);
}

void tcpflow_kill(struct nat *nat, struct tcpflow *tf, bool silent)
{
	tcpflow_output_to(nat, tf);
	if (silent)
		nat->output.guest = NULL;
	solo_abort(nat->engine, &tf->solo, silent);
	tcpflow_end(nat, tf, true);
}

/* ---- after any call into lwIP --------------------------------------------------------------- */

static void enter_time_wait(struct nat *nat, struct tcpflow *tf)
{
	if (!list_is_empty(&tf->wait_link))
		return;
	list_append(&nat->time_wait, &tf->wait_link);
	if (++nat->time_wait_n > TIME_WAIT_MAX) {
		struct tcpflow *oldest = list_entry(nat->time_wait.next, struct tcpflow, wait_link);
		/* One whose slow host peer still takes bytes stays. */
		if (oldest->flow.handle < 0)
			tcpflow_kill(nat, oldest, true);
		else
			list_append(&nat->time_wait, &oldest->wait_link);
	}
}

void tcpflow_update_ticking(struct nat *nat, struct tcpflow *tf)
{
	bool listed = !list_is_empty(&tf->tick_link);

	if (!solo_needs_ticks(&tf->solo)) {
		list_remove(&tf->tick_link);
	} else if (!listed) {
		if (list_is_empty(&nat->ticking))
			nat->tick_ms = nat->now_ms;
		list_append(&nat->ticking, &tf->tick_link);
	}
}

void tcpflow_after_lwip(struct nat *nat, struct tcpflow *tf)
{
	uint32_t acked = tf->solo.events.acked;
	uint32_t ahead_cost = solo_ahead_cost(&tf->solo);

	tf->flow.guest->queued_to_host += ahead_cost;
	tf->flow.guest->queued_to_host -= tf->ahead_cost;
	tf->ahead_cost = ahead_cost;
	tf->solo.events.acked = 0;
	if (tf->solo.events.established && tf->state == TCPFLOW_OPENING) {
		tf->state = TCPFLOW_OPEN;
		tf->mss = solo_mss(&tf->solo);
		tf->acked_to = solo_lastack(&tf->solo);
		tcpinbound_opened(nat, tf);
	}
	if (acked)
		tcpflow_release_acked(nat, tf, acked);
	if (tf->state == TCPFLOW_OPEN)
		tcploss_after_lwip(nat, tf);
	if (tf->solo.time_wait)
		enter_time_wait(nat, tf);
	tcpflow_update_ticking(nat, tf);
	tcpflow_mark(nat, tf);
}

/* ---- connections that guests open ----------------------------------------------------------- */

/* Between what leaves room for data and what the link carries. */
static uint16_t clamp_mss(const struct nat *nat, uint16_t mss, bool v6)
{
	uint16_t most = (uint16_t)(nat->config.mtu - (v6 ? 60 : 40));

	if (mss < MSS_MIN)
		return MSS_MIN;
	return mss < most ? mss : most;
}

static struct tcp_segment clamp_syn(const struct nat *nat, const struct packet *packet,
				    const struct tcp_segment *segment)
{
	struct tcp_segment syn = *segment;

	if (!syn.mss)
		syn.mss = packet->v6 ? MSS_DEFAULT6 : MSS_DEFAULT4;
	syn.mss = clamp_mss(nat, syn.mss, packet->v6);
	syn.data = NULL; /* data on a SYN comes again after the handshake */
	syn.data_len = 0;
	syn.flags = TCP_FLAG_SYN;
	return syn;
}

static struct tcpflow_syn *keep_syn(const struct nat *nat, const struct packet *packet,
				    const struct tcp_segment *segment)
{
	struct tcpflow_syn *syn = calloc(1, sizeof(*syn));
	size_t quote_len = (size_t)(packet->l4 - packet->ip) + 8;

	if (!syn)
		return NULL;
	syn->segment = clamp_syn(nat, packet, segment);
	if (quote_len <= sizeof(syn->quote)) {
		memcpy(syn->quote, packet->ip, quote_len);
		syn->quote_len = (uint8_t)quote_len;
	}
	return syn;
}

static void refuse_syn(struct nat *nat, struct guest *guest, const struct mac *mac,
		       const struct flow_key *key, const struct tcp_segment *segment)
{
	nat->output = (struct nat_output){.guest = guest, .mac = *mac};
	solo_refuse(nat->engine, &key->guest, &key->peer, segment);
}

static void send_unreachable(struct nat *nat, struct tcpflow *tf, enum icmp_reason reason)
{
	struct icmp_error error = {
	    .to_mac = tf->mac,
	    .quote = tf->syn->quote,
	    .quote_len = tf->syn->quote_len,
	};
	icmp_error_set(&error, !addr_is_v4(&tf->flow.key.guest.addr), reason);
	icmp_send_error(nat, tf->flow.guest, &error);
}

/* The host could not connect: tell the guest what the host was told. Frees the flow. */
static void dial_failed(struct nat *nat, struct tcpflow *tf, int err)
{
	enum icmp_reason reason = icmp_reason_of_errno(err);

	if (reason != ICMP_NO_REASON && tf->syn->quote_len) {
		nat->counters.tcp_unreachable++;
		send_unreachable(nat, tf, reason);
		/* Not every TCP gives up for an ICMP error (RFC 1122 section 4.2.3.9), and who
		 * tries both families must not wait for the one that has no way out. */
		if (reason == ICMP_NO_ROUTE)
			refuse_syn(nat, tf->flow.guest, &tf->mac, &tf->flow.key, &tf->syn->segment);
	} else if (err == -ETIMEDOUT) {
		nat->counters.tcp_timed_out++; /* the guest has long been told by its own timer */
	} else {
		nat->counters.tcp_refused++;
		refuse_syn(nat, tf->flow.guest, &tf->mac, &tf->flow.key, &tf->syn->segment);
	}
	tcpflow_end(nat, tf, true);
}

/* The host is connected: now the guest's SYN is answered. */
static void dial_succeeded(struct nat *nat, struct tcpflow *tf)
{
	tf->state = TCPFLOW_OPENING;
	tf->host_writable = true;
	tcpflow_output_to(nat, tf);
	solo_accept(nat->engine, &tf->solo, &tf->flow.key.guest, &tf->flow.key.peer,
		    &tf->syn->segment);
	stop_dialling(tf);
	if (solo_is_empty(&tf->solo)) {
		nat->counters.dropped_memory++;
		tcpflow_end(nat, tf, true);
		return;
	}
	nat->counters.tcp_flows_opened++;
	tcpflow_after_lwip(nat, tf);
}

void tcpflow_dial_progress(struct nat *nat, struct tcpflow *tf)
{
	int err = nat->config.host->tcp_connect_result(nat->config.host_ctx, tf->flow.handle);

	if (err == -EINPROGRESS)
		return;
	if (err == 0)
		dial_succeeded(nat, tf);
	else
		dial_failed(nat, tf, err);
}

/* Where a guest's connection goes: to an endpoint on the host or to one of our services. */
struct target {
	bool is_service;
	unsigned service;
	struct endpoint host;
};

static bool row_serves(const struct nat *nat, const struct nat_tcp_service_row *row,
		       const struct endpoint *to)
{
	if (row->port != to->port)
		return false;
	if (!addr_is_unspecified(&row->at))
		return addr_eq(&row->at, &to->addr);
	return row->dns_only ? policy_is_dns(&nat->config, &to->addr)
			     : policy_is_host_or_dns(&nat->config, &to->addr);
}

static bool find_service(const struct nat *nat, const struct endpoint *to, struct target *ret)
{
	if (!policy_is_gateway(&nat->config, &to->addr))
		return false;
	for (unsigned i = 0; i < nat->tcp_services_n; i++) {
		if (row_serves(nat, &nat->tcp_services[i], to)) {
			ret->is_service = true;
			ret->service = nat->tcp_services[i].service;
			return true;
		}
	}
	return false;
}

/* Makes the flow and starts connect(). */
static void dial(struct nat *nat, struct guest *guest, const struct packet *packet,
		 const struct tcp_segment *segment, const struct target *target)
{
	struct endpoint from = {packet->src, segment->src_port};
	struct endpoint to = {packet->dst, segment->dst_port};
	struct flow_key key = flow_key(FLOW_TCP, guest->port->id, &from, &to);
	struct tcpflow *tf;
	int handle;

	if (guest->connecting_n >= nat->config.limits.half_open_per_guest_max) {
		/* A flood: the oldest attempt has had the longest chance. */
		nat->counters.flows_evicted++;
		tcpflow_end(
		    nat, list_entry(guest->connecting.next, struct tcpflow, connecting_link), true);
	}
	nat_learn(nat, &packet->src, &packet->src_mac, guest);
	tf = new_flow(nat, guest, &key, &packet->src_mac);
	if (!tf) {
		refuse_syn(nat, guest, &packet->src_mac, &key, segment);
		return;
	}
	tf->outbound = true;
	tf->syn = keep_syn(nat, packet, segment);
	if (!tf->syn) {
		nat->counters.dropped_memory++;
		tcpflow_end(nat, tf, true);
		return;
	}
	list_append(&guest->connecting, &tf->connecting_link);
	guest->connecting_n++;
	if (target->is_service)
		handle = nat->config.host->tcp_dial_service(nat->config.host_ctx, tf->flow.token,
							    target->service, &from);
	else
		handle =
		    nat->config.host->tcp_dial(nat->config.host_ctx, tf->flow.token, &target->host);
	if (handle < 0)
		dial_failed(nat, tf, handle);
	else
		nat_flow_set_handle(nat, &tf->flow, handle);
}

static void begin_outbound(struct nat *nat, struct guest *guest, const struct packet *packet,
			   const struct tcp_segment *segment)
{
	struct endpoint to = {packet->dst, segment->dst_port};
	struct endpoint from = {packet->src, segment->src_port};
	struct flow_key key = flow_key(FLOW_TCP, guest->port->id, &from, &to);
	struct target target = {.is_service = false};

	if (find_service(nat, &to, &target)) {
		dial(nat, guest, packet, segment, &target);
		return;
	}
	switch (policy_outbound(&nat->config, &to, &target.host)) {
	case POLICY_HOST:
		/* traceroute by TCP: we are the first hop, the host's next router the second. */
		if (packet->ttl <= 1 && !policy_is_gateway(&nat->config, &to.addr)) {
			icmp_answer_error(nat, guest, packet, ICMP_TTL_EXCEEDED);
			break;
		}
		dial(nat, guest, packet, segment, &target);
		break;
	case POLICY_GATEWAY:
	case POLICY_FORBIDDEN:
		nat->counters.dropped_policy++;
		refuse_syn(nat, guest, &packet->src_mac, &key, segment);
		break;
	case POLICY_UNREACHABLE:
		nat->counters.tcp_unreachable++;
		icmp_answer_error(nat, guest, packet, ICMP_HOST_UNREACHABLE);
		break;
	case POLICY_DROP:
		nat->counters.dropped_address++;
		break;
	}
}

/* ---- connections into guests ---------------------------------------------------------------- */

/* The guest sees a local host peer as the gateway: two of those may have the same port. Any free
 * one will do. */
static bool choose_peer_port(struct nat *nat, struct flow_key *key)
{
	for (int tries = 0; tries < 32; tries++) {
		if (key->peer.port != 0 && !flow_find(nat->flows, key))
			return true;
		key->peer.port = (uint16_t)(32768 + rng_below(nat->config.rng, 28000));
	}
	return false;
}

int tcpflow_adopt(struct nat *nat, struct tcpflow *tf, int handle)
{
	int err = nat->config.host->tcp_adopt(nat->config.host_ctx, handle, tf->flow.token);

	if (err != 0)
		return err;
	nat_flow_set_handle(nat, &tf->flow, handle);
	tf->host_writable = true;
	tcpflow_mark(nat, tf);
	return 0;
}

int tcpflow_open_inbound(struct nat *nat, struct guest *guest, const struct mac *mac,
			 const struct nat_connect *connect, struct tcpflow **ret)
{
	struct endpoint seen = {
	    policy_peer_seen(&nat->config, &connect->peer.addr, &connect->guest.addr),
	    connect->peer.port,
	};
	struct flow_key key = flow_key(FLOW_TCP, guest->port->id, &connect->guest, &seen);
	struct tcpflow *tf = choose_peer_port(nat, &key) ? new_flow(nat, guest, &key, mac) : NULL;
	int err = tf ? 0 : -ENOBUFS;

	if (tf && connect->handle >= 0)
		err = tcpflow_adopt(nat, tf, connect->handle);
	if (err != 0) {
		if (connect->handle >= 0)
			nat->config.host->tcp_close(nat->config.host_ctx, connect->handle, true);
		if (tf)
			tcpflow_end(nat, tf, true);
		return err;
	}
	tf->state = TCPFLOW_OPENING;
	tcpflow_output_to(nat, tf);
	err = solo_connect(nat->engine, &tf->solo, &key.peer, &key.guest);
	if (err != 0) {
		tcpflow_end(nat, tf, true);
		return err;
	}
	nat->counters.tcp_inbound++;
	tcpflow_after_lwip(nat, tf);
	*ret = tf;
	return 0;
}

/* ---- segments ------------------------------------------------------------------------------- */

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
		header.mss = clamp_mss(nat, segment->mss, !addr_is_v4(&tf->flow.key.guest.addr));
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
		begin_outbound(nat, guest, packet, &segment);
	} else if (!(segment.flags & TCP_FLAG_RST)) {
		refuse_stray(nat, guest, packet, &segment);
	}
}

/* ---- turns and ticks ------------------------------------------------------------------------ */

void tcpflow_host_event(struct nat *nat, struct tcpflow *tf, unsigned events)
{
	if (events & (HOST_READABLE | HOST_ERROR | HOST_EOF))
		tf->host_readable = true;
	if (events & (HOST_WRITABLE | HOST_ERROR))
		tf->host_writable = true;
	if (events & (HOST_EOF | HOST_ERROR))
		tf->host_hung_up = true;
	if (events & HOST_ERROR)
		tf->host_failed = true;
	tcpflow_mark(nat, tf);
}

void tcpflow_run(struct nat *nat)
{
	struct list work;

	while (!list_is_empty(&nat->merging))
		feed_pending(nat, list_entry(nat->merging.next, struct tcpflow, merge_link));
	/* Flows that mark themselves again have used up their share of this turn. */
	list_init(&work);
	list_splice(&work, &nat->dirty);
	/* Where they did not do for all, another flow comes first this time. */
	if (nat->long_reads_left < TCPFLOW_READ_FIRST && !list_is_empty(&work))
		list_append(&work, work.next);
	nat->long_reads_left = LONG_READS_PER_TURN;
	while (!list_is_empty(&work)) {
		struct tcpflow *tf = list_entry(work.next, struct tcpflow, work_link);
		list_remove(&tf->work_link);
		tcpflow_relay(nat, tf);
	}
}

void tcpflow_port_writable(struct nat *nat, struct guest *guest)
{
	struct list *link;

	list_splice(&nat->dirty, &guest->stalled);
	if (list_is_empty(&guest->paused))
		return;
	for (link = guest->paused.next; link != &guest->paused; link = link->next)
		solo_stood_still(&list_entry(link, struct tcpflow, tick_link)->solo);
	if (list_is_empty(&nat->ticking))
		nat->tick_ms = nat->now_ms;
	list_splice(&nat->ticking, &guest->paused);
}

/* A guest that is stopped loses nothing and answers nothing: its connections wait for it. */
static struct list *timers_of(struct nat *nat, struct tcpflow *tf)
{
	struct guest *guest = tf->flow.guest;

	return guest->port->blocked && tf->solo.active ? &guest->paused : &nat->ticking;
}

void tcpflow_tick(struct nat *nat)
{
	unsigned ticks = 0;

	while (!list_is_empty(&nat->ticking) && nat->now_ms >= nat->tick_ms + SOLO_TICK_MS) {
		struct list due;

		nat->tick_ms += SOLO_TICK_MS;
		if (++ticks == TICKS_AT_ONCE_MAX)
			nat->tick_ms = nat->now_ms;
		solo_ticks_advance(nat->engine);
		list_init(&due);
		list_splice(&due, &nat->ticking);
		while (!list_is_empty(&due)) {
			struct tcpflow *tf = list_entry(due.next, struct tcpflow, tick_link);
			struct list *timers = timers_of(nat, tf);

			list_append(timers, &tf->tick_link);
			if (timers != &nat->ticking)
				continue;
			tcpflow_output_to(nat, tf);
			if (tf->state == TCPFLOW_OPEN)
				tcploss_before_tick(nat, tf);
			if (solo_tick(nat->engine, &tf->solo))
				tcpflow_after_lwip(nat, tf);
		}
	}
}

uint64_t tcpflow_next_ms(const struct nat *nat)
{
	if (!list_is_empty(&nat->dirty) || !list_is_empty(&nat->merging))
		return nat->now_ms;
	return list_is_empty(&nat->ticking) ? UINT64_MAX : nat->tick_ms + SOLO_TICK_MS;
}
