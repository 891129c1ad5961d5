#include "tests/support/sim_tcp.h"

#include "tests/support/frames.h"
#include "tests/support/pattern.h"

#include <stdlib.h>
#include <string.h>

#define RTO_FIRST_MS 200
#define RTO_SYN_MS 1000
#define RTO_MAX_MS 3200

uint32_t sim_tcp_seq(const struct sim_tcp *tcp, uint64_t offset)
{
	return tcp->iss + 1 + (uint32_t)offset;
}

uint32_t sim_tcp_ack(const struct sim_tcp *tcp)
{
	return tcp->irs + 1 + (uint32_t)tcp->received + tcp->fin_received;
}

uint64_t sim_tcp_data_end(const struct sim_tcp *tcp)
{
	return tcp->send_total + tcp->fin_when_sent;
}

bool sim_tcp_wants_timer(const struct sim_tcp *tcp)
{
	if (tcp->no_timer)
		return false;
	if (tcp->state == SIM_SYN_SENT || tcp->state == SIM_SYN_RECEIVED)
		return true;
	return tcp->state == SIM_OPEN && tcp->acked + tcp->fin_acked < sim_tcp_data_end(tcp);
}

void sim_tcp_disarm(struct sim_tcp *tcp)
{
	struct sim_tcp_table *table = guestsim_tcp_table(tcp->sim);

	if (!tcp->armed)
		return;
	if (tcp->armed_next)
		tcp->armed_next->armed_prev = tcp->armed_prev;
	if (tcp->armed_prev)
		tcp->armed_prev->armed_next = tcp->armed_next;
	else
		table->armed = tcp->armed_next;
	tcp->armed = false;
}

void sim_tcp_arm(struct sim_tcp *tcp, uint64_t now_ms)
{
	struct sim_tcp_table *table = guestsim_tcp_table(tcp->sim);

	tcp->due_ms = now_ms + tcp->rto_ms;
	if (tcp->armed)
		return;
	tcp->armed = true;
	tcp->armed_prev = NULL;
	tcp->armed_next = table->armed;
	if (table->armed)
		table->armed->armed_prev = tcp;
	table->armed = tcp;
}

/* The window field for the next segment; remembers what it promises. */
static uint16_t offer_window(struct sim_tcp *tcp, bool syn)
{
	uint64_t room = tcp->consumed + tcp->recv_buffer - tcp->received;
	unsigned shift = syn || tcp->self_wscale < 0 ? 0 : (unsigned)tcp->self_wscale;
	uint64_t field, news = tcp->consumed + tcp->recv_buffer - tcp->right_edge;

	/* RFC 9293 section 3.8.6.2.2: the edge moves in steps worth a segment. */
	if (tcp->right_edge && news < tcp->self_mss && news < tcp->recv_buffer / 2)
		room = tcp->right_edge > tcp->received ? tcp->right_edge - tcp->received : 0;
	field = room >> shift;
	if (field > 65535)
		field = 65535;
	if (tcp->received + (field << shift) > tcp->right_edge)
		tcp->right_edge = tcp->received + (field << shift);
	return (uint16_t)field;
}

static void emit(struct sim_tcp *tcp, const struct frames_tcp *segment, struct iovec payload)
{
	const struct guestsim_config *c = guestsim_config(tcp->sim);
	size_t room = 100 + payload.iov_len;
	uint8_t *frame = malloc(room);
	struct wire_out out = wire_out(frame, room);
	struct frames_ends ends = {
	    .src_mac = c->mac, .src = tcp->self.addr, .dst = tcp->peer.addr, .dont_fragment = true};

	if (guestsim_next_hop(tcp->sim, &tcp->peer.addr, &ends.dst_mac)) {
		frames_tcp(&out, &ends, segment, payload);
		tcp->count.segments_out++;
		guestsim_send_frame(tcp->sim, frame, wire_len(&out));
	}
	free(frame);
}

void sim_tcp_send_segment(struct sim_tcp *tcp, const struct sim_segment *segment)
{
	emit(tcp,
	     &(struct frames_tcp){.src_port = tcp->self.port,
				  .dst_port = tcp->peer.port,
				  .seq = segment->seq,
				  .ack = segment->ack,
				  .flags = segment->flags,
				  .window = segment->window,
				  .urgent = segment->urgent},
	     segment->payload);
}

static void emit_plain(struct sim_tcp *tcp, uint8_t flags, uint64_t offset, struct iovec payload)
{
	emit(tcp,
	     &(struct frames_tcp){.src_port = tcp->self.port,
				  .dst_port = tcp->peer.port,
				  .seq = sim_tcp_seq(tcp, offset),
				  .ack = sim_tcp_ack(tcp),
				  .flags = (uint8_t)(flags | FLAG_ACK),
				  .window = offer_window(tcp, false)},
	     payload);
	tcp->ack_due = false;
}

static void emit_syn(struct sim_tcp *tcp)
{
	uint8_t options[8] = {2, 4, (uint8_t)(tcp->self_mss >> 8), (uint8_t)tcp->self_mss, 1,
			      3, 3, (uint8_t)tcp->self_wscale};
	bool answer = tcp->state == SIM_SYN_RECEIVED;

	emit(tcp,
	     &(struct frames_tcp){.src_port = tcp->self.port,
				  .dst_port = tcp->peer.port,
				  .seq = tcp->iss,
				  .ack = answer ? tcp->irs + 1 : 0,
				  .flags = answer ? FLAG_SYN | FLAG_ACK : FLAG_SYN,
				  .window = offer_window(tcp, true),
				  .options = options,
				  .options_len = tcp->no_options        ? 0
						 : tcp->self_wscale < 0 ? 4
									: 8},
	     frames_bytes(NULL, 0));
}

static void emit_data(struct sim_tcp *tcp, uint64_t offset, uint32_t len)
{
	uint8_t *bytes = malloc(len + 1);
	bool fin = tcp->fin_when_sent && offset + len == tcp->send_total;
	uint64_t end = offset + len;

	if (tcp->text)
		memcpy(bytes, tcp->text + offset, len);
	else
		pattern_fill(tcp->send_seed, offset, bytes, len);
	if (offset < tcp->sent || (fin && tcp->fin_sent))
		tcp->count.retransmits_out++;
	if (end > tcp->sent)
		tcp->sent = end;
	if (fin)
		tcp->fin_sent = true;
	emit_plain(tcp, (uint8_t)((len ? FLAG_PSH : 0) | (fin ? FLAG_FIN : 0)), offset,
		   frames_bytes(bytes, len));
	free(bytes);
}

static uint32_t piece_len(const struct sim_tcp *tcp, uint64_t offset, uint64_t end)
{
	const struct guestsim_config *c = guestsim_config(tcp->sim);
	uint32_t mss = c->mtu - (addr_is_v4(&c->addr) ? 40u : 60u);

	if (tcp->peer_mss < mss)
		mss = tcp->peer_mss;
	return end - offset < mss ? (uint32_t)(end - offset) : mss;
}

static void send_new_data(struct sim_tcp *tcp)
{
	uint64_t end = tcp->send_total;

	if (end > tcp->window_end)
		end = tcp->window_end;
	if (tcp->in_flight_max && end > tcp->acked + tcp->in_flight_max)
		end = tcp->acked + tcp->in_flight_max;
	while (tcp->next < end) {
		uint32_t len = piece_len(tcp, tcp->next, end);
		emit_data(tcp, tcp->next, len);
		tcp->next += len;
		if (tcp->fin_when_sent && tcp->next == tcp->send_total)
			tcp->next++;
	}
	if (tcp->fin_when_sent && tcp->next == tcp->send_total) {
		emit_data(tcp, tcp->next, 0);
		tcp->next++;
	}
}

static void output_open(struct sim_tcp *tcp)
{
	while (tcp->extra_acks_due && !tcp->mute) {
		tcp->extra_acks_due--;
		emit_plain(tcp, 0, tcp->next, frames_bytes(NULL, 0));
	}
	if (tcp->probe_due && tcp->acked < tcp->send_total)
		emit_data(tcp, tcp->acked, 1);
	if (tcp->resend_due)
		emit_data(tcp, tcp->acked,
			  tcp->acked < tcp->send_total ? piece_len(tcp, tcp->acked, tcp->send_total)
						       : 0);
	tcp->probe_due = false;
	tcp->resend_due = false;
	send_new_data(tcp);
	if (tcp->ack_due && !tcp->mute)
		emit_plain(tcp, 0, tcp->next, frames_bytes(NULL, 0));
	tcp->ack_due = false;
}

void sim_tcp_output(struct sim_tcp *tcp, uint64_t now_ms)
{
	if (tcp->syn_due && (tcp->state == SIM_SYN_SENT || tcp->state == SIM_SYN_RECEIVED)) {
		emit_syn(tcp);
		tcp->rto_ms = tcp->rto_ms ? tcp->rto_ms : RTO_SYN_MS;
	}
	tcp->syn_due = false;
	if (tcp->state == SIM_OPEN || tcp->state == SIM_DONE) {
		if (!tcp->rto_ms)
			tcp->rto_ms = RTO_FIRST_MS;
		output_open(tcp);
	}
	if (!sim_tcp_wants_timer(tcp))
		sim_tcp_disarm(tcp);
	else if (!tcp->armed)
		sim_tcp_arm(tcp, now_ms);
}

static void on_timeout(struct sim_tcp *tcp, uint64_t now_ms)
{
	if (tcp->state == SIM_SYN_SENT || tcp->state == SIM_SYN_RECEIVED)
		tcp->syn_due = true;
	else if (tcp->next > tcp->acked)
		tcp->next = tcp->acked; /* go back and send everything again */
	else
		tcp->probe_due = true;
	tcp->count.timeouts++;
	tcp->recover = 0;
	tcp->rto_ms = tcp->rto_ms * 2 > RTO_MAX_MS ? RTO_MAX_MS : tcp->rto_ms * 2;
	sim_tcp_arm(tcp, now_ms);
	sim_tcp_mark(tcp);
}

uint64_t sim_tcp_table_next_ms(const struct sim_tcp_table *table)
{
	uint64_t at = UINT64_MAX;

	for (const struct sim_tcp *tcp = table->armed; tcp; tcp = tcp->armed_next)
		if (tcp->due_ms < at)
			at = tcp->due_ms;
	return at;
}

void sim_tcp_table_tick(struct sim_tcp_table *table, uint64_t now_ms)
{
	struct sim_tcp *next;

	for (struct sim_tcp *tcp = table->armed; tcp; tcp = next) {
		next = tcp->armed_next;
		if (tcp->due_ms > now_ms)
			continue;
		if (sim_tcp_wants_timer(tcp))
			on_timeout(tcp, now_ms);
		else
			sim_tcp_disarm(tcp);
	}
}
