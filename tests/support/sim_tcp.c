#include "tests/support/sim_tcp.h"

#include "tests/support/frames.h"
#include "tests/support/pattern.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 16384

struct sim_listener {
	struct sim_listener *next;
	uint16_t port;
	struct sim_tcp_setup setup;
};

/* RFC 9293 section 3.7.1. */
static uint16_t mss_default(const struct sim_tcp *tcp)
{
	return addr_is_v4(&tcp->peer.addr) ? 536 : 1220;
}

static unsigned bucket_of(uint16_t port, const struct endpoint *peer)
{
	uint32_t v;

	memcpy(&v, peer->addr.b + 12, 4);
	return (v * 2654435761u ^ port * 40503u ^ peer->port * 2246822519u) % BUCKETS;
}

static struct sim_tcp *find(struct sim_tcp_table *table, uint16_t port, const struct endpoint *peer)
{
	struct sim_tcp *tcp = table->buckets[bucket_of(port, peer)];

	while (tcp && (tcp->self.port != port || !endpoint_eq(&tcp->peer, peer)))
		tcp = tcp->hash_next;
	return tcp;
}

struct sim_tcp_table *sim_tcp_table_new(struct guestsim *sim, uint64_t seed)
{
	struct sim_tcp_table *table = calloc(1, sizeof(*table));

	table->sim = sim;
	table->buckets = calloc(BUCKETS, sizeof(struct sim_tcp *));
	table->iss_state = seed + 77;
	return table;
}

void sim_tcp_table_free(struct sim_tcp_table *table)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct sim_tcp *next;
		for (struct sim_tcp *tcp = table->buckets[i]; tcp; tcp = next) {
			next = tcp->hash_next;
			free(tcp->ranges);
			free(tcp);
		}
	}
	while (table->listeners) {
		struct sim_listener *next = table->listeners->next;
		free(table->listeners);
		table->listeners = next;
	}
	free(table->accepted);
	free(table->buckets);
	free(table);
}

void sim_tcp_mark(struct sim_tcp *tcp)
{
	struct sim_tcp_table *table = guestsim_tcp_table(tcp->sim);

	if (tcp->dirty)
		return;
	tcp->dirty = true;
	tcp->dirty_next = table->dirty;
	table->dirty = tcp;
}

void sim_tcp_free(struct sim_tcp *tcp)
{
	struct sim_tcp_table *table = guestsim_tcp_table(tcp->sim);
	struct sim_tcp **at = &table->buckets[bucket_of(tcp->self.port, &tcp->peer)];

	sim_tcp_disarm(tcp);
	while (*at != tcp)
		at = &(*at)->hash_next;
	*at = tcp->hash_next;
	for (at = &table->dirty; *at; at = &(*at)->dirty_next) {
		if (*at == tcp) {
			*at = tcp->dirty_next;
			break;
		}
	}
	for (unsigned i = 0; i < table->accepted_n; i++)
		if (table->accepted[i] == tcp)
			table->accepted[i--] = table->accepted[--table->accepted_n];
	free(tcp->ranges);
	free(tcp);
}

static struct sim_tcp *create(struct sim_tcp_table *table, uint16_t port,
			      const struct endpoint *peer, const struct sim_tcp_setup *setup)
{
	const struct guestsim_config *c = guestsim_config(table->sim);
	struct dice dice = {table->iss_state += 1000003};
	struct sim_tcp *tcp = find(table, port, peer);
	unsigned bucket = bucket_of(port, peer);

	if (tcp)
		sim_tcp_free(tcp);
	tcp = calloc(1, sizeof(*tcp));
	tcp->sim = table->sim;
	tcp->self = (struct endpoint){c->addr, port};
	tcp->peer = *peer;
	tcp->iss = dice_u32(&dice);
	tcp->send_total = setup->send_total;
	tcp->fin_when_sent = setup->fin_when_sent;
	tcp->send_seed = setup->send_seed;
	tcp->recv_seed = setup->recv_seed;
	tcp->paused = setup->paused;
	tcp->recv_buffer = setup->recv_buffer ? setup->recv_buffer : 1 << 20;
	tcp->self_wscale = setup->no_options ? -1 : setup->wscale;
	tcp->self_mss =
	    setup->mss ? setup->mss : (uint16_t)(c->mtu - (addr_is_v4(&c->addr) ? 40 : 60));
	tcp->no_options = setup->no_options;
	tcp->peer_wscale = -1;
	tcp->syn_due = true;
	tcp->hash_next = table->buckets[bucket];
	table->buckets[bucket] = tcp;
	sim_tcp_mark(tcp);
	return tcp;
}

struct sim_tcp *sim_tcp_connect(struct guestsim *sim, uint16_t port, const struct endpoint *to,
				const struct sim_tcp_setup *setup)
{
	struct sim_tcp *tcp = create(guestsim_tcp_table(sim), port, to, setup);

	tcp->state = SIM_SYN_SENT;
	return tcp;
}

void sim_tcp_listen(struct guestsim *sim, uint16_t port, const struct sim_tcp_setup *setup)
{
	struct sim_tcp_table *table = guestsim_tcp_table(sim);
	struct sim_listener *listener = calloc(1, sizeof(*listener));

	*listener = (struct sim_listener){table->listeners, port, *setup};
	table->listeners = listener;
}

struct sim_tcp *sim_tcp_accept(struct guestsim *sim, uint16_t port)
{
	struct sim_tcp_table *table = guestsim_tcp_table(sim);

	for (unsigned i = 0; i < table->accepted_n; i++) {
		struct sim_tcp *tcp = table->accepted[i];
		if (tcp->self.port != port || tcp->state == SIM_SYN_RECEIVED)
			continue;
		table->accepted_n--;
		memmove(&table->accepted[i], &table->accepted[i + 1],
			(table->accepted_n - i) * sizeof(struct sim_tcp *));
		return tcp;
	}
	return NULL;
}

void sim_tcp_kick(struct sim_tcp *tcp)
{
	if (!tcp->paused && tcp->consumed < tcp->received) {
		tcp->consumed = tcp->received;
		tcp->ack_due = true;
	}
	sim_tcp_mark(tcp);
}

void sim_tcp_read(struct sim_tcp *tcp, uint64_t len)
{
	uint64_t unread = tcp->received - tcp->consumed;
	uint64_t news;

	tcp->consumed += len < unread ? len : unread;
	news = tcp->consumed + tcp->recv_buffer - tcp->right_edge;
	if (news >= tcp->self_mss ||
	    news >= tcp->recv_buffer / 2) { /* RFC 9293 section 3.8.6.2.2 */
		tcp->ack_due = true;
		sim_tcp_mark(tcp);
	}
}

void sim_tcp_abort(struct sim_tcp *tcp)
{
	sim_tcp_send_segment(tcp, &(struct sim_segment){.flags = FLAG_RST | FLAG_ACK,
							.seq = sim_tcp_seq(tcp, tcp->next),
							.ack = sim_tcp_ack(tcp)});
	tcp->state = SIM_ABORTED;
	guestsim_counters_mutable(tcp->sim)->resets_out++;
	sim_tcp_disarm(tcp);
}

/* RFC 9293 section 3.5.2: the RST for a segment that no connection takes. */
static void refuse(struct sim_tcp_table *table, const struct packet *p)
{
	struct frames_ends ends = {.src_mac = guestsim_config(table->sim)->mac,
				   .dst_mac = p->src_mac,
				   .src = p->dst,
				   .dst = p->src};
	struct frames_tcp rst = {.src_port = p->dst_port, .dst_port = p->src_port};
	uint8_t frame[80];
	struct wire_out out = wire_out(frame, sizeof(frame));

	if (p->flags & FLAG_RST)
		return;
	if (p->flags & FLAG_ACK) {
		rst.flags = FLAG_RST;
		rst.seq = p->ack;
	} else {
		rst.flags = FLAG_RST | FLAG_ACK;
		rst.ack = p->seq + (uint32_t)p->payload_len + ((p->flags & FLAG_SYN) != 0) +
			  ((p->flags & FLAG_FIN) != 0);
	}
	frames_tcp(&out, &ends, &rst, frames_bytes(NULL, 0));
	guestsim_counters_mutable(table->sim)->resets_out++;
	guestsim_send_later(table->sim, frame, wire_len(&out));
}

static void learn_peer(struct sim_tcp *tcp, const struct packet *p)
{
	tcp->irs = p->seq;
	tcp->peer_mss = p->mss ? p->mss : mss_default(tcp);
	tcp->peer_wscale = p->wscale;
	if (tcp->peer_wscale < 0 || tcp->self_wscale < 0)
		tcp->peer_wscale = tcp->self_wscale = -1;
	tcp->peer_window = p->window;
	tcp->window_end = p->window;
	tcp->window_seq = p->seq;
	tcp->window_ack = p->ack;
}

static void accept_syn(struct sim_tcp_table *table, const struct packet *p)
{
	const struct endpoint peer = {p->src, p->src_port};
	const struct sim_listener *listener = table->listeners;
	struct sim_tcp *tcp;

	while (listener && listener->port != p->dst_port)
		listener = listener->next;
	if (!listener) {
		refuse(table, p);
		return;
	}
	tcp = create(table, p->dst_port, &peer, &listener->setup);
	tcp->state = SIM_SYN_RECEIVED;
	learn_peer(tcp, p);
	if (table->accepted_n == table->accepted_room) {
		table->accepted_room = table->accepted_room * 2 + 16;
		table->accepted =
		    realloc(table->accepted, table->accepted_room * sizeof(struct sim_tcp *));
	}
	table->accepted[table->accepted_n++] = tcp;
}

static void input_syn_sent(struct sim_tcp *tcp, const struct packet *p, uint64_t now_ms)
{
	struct guestsim_faults *faults = guestsim_faults(tcp->sim);
	bool acks_syn = (p->flags & FLAG_ACK) && p->ack == tcp->iss + 1;

	if (p->flags & FLAG_RST) {
		if (!acks_syn)
			guestsim_note_fault(tcp->sim, &faults->bad_reset,
					    "RST that does not acknowledge the SYN");
		else
			tcp->state = SIM_RESET;
	} else if ((p->flags & FLAG_SYN) && acks_syn) {
		tcp->count.syn_acks_in++;
		tcp->state = SIM_OPEN;
		tcp->rto_ms = 0;
		tcp->ack_due = true;
		learn_peer(tcp, p);
		sim_tcp_disarm(tcp);
		sim_tcp_arm(tcp, now_ms);
	} else if (p->flags & FLAG_ACK) {
		tcp->count.stale_acks_in++; /* an old connection's: RFC 9293 section 3.5.1 */
		refuse(guestsim_tcp_table(tcp->sim), p);
	} else if (p->flags & FLAG_SYN) { /* both opened at once */
		tcp->state = SIM_SYN_RECEIVED;
		tcp->syn_due = true;
		learn_peer(tcp, p);
	}
}

static void input_reset(struct sim_tcp *tcp, const struct packet *p)
{
	uint32_t ahead = p->seq - sim_tcp_ack(tcp);

	if (ahead == 0) {
		tcp->state = SIM_RESET;
	} else if (ahead < tcp->recv_buffer) { /* RFC 5961 section 3.2 */
		tcp->count.challenges_out++;
		tcp->extra_acks_due++;
	} else {
		guestsim_note_fault(tcp->sim, &guestsim_faults(tcp->sim)->bad_reset,
				    "RST outside of the window");
	}
}

static void update_window(struct sim_tcp *tcp, const struct packet *p, uint64_t ack_offset)
{
	uint32_t window = (uint32_t)p->window << (tcp->peer_wscale < 0 ? 0 : tcp->peer_wscale);
	uint64_t end = ack_offset + window;
	uint64_t slack =
	    tcp->peer_wscale < 0 ? 0 : 1u << tcp->peer_wscale; /* RFC 7323 section 2.4 */

	if ((int32_t)(p->seq - tcp->window_seq) < 0 ||
	    (p->seq == tcp->window_seq && (int32_t)(p->ack - tcp->window_ack) < 0))
		return;
	if (window == 0 && tcp->peer_window)
		tcp->count.zero_windows_in++;
	if (end + slack < tcp->window_end)
		guestsim_note_fault(tcp->sim, &guestsim_faults(tcp->sim)->window_shrunk,
				    "window's right edge moved left");
	tcp->window_seq = p->seq;
	tcp->window_ack = p->ack;
	tcp->peer_window = window;
	tcp->window_end = end;
}

static void on_new_ack(struct sim_tcp *tcp, uint64_t ack_offset, uint64_t now_ms)
{
	tcp->acked = ack_offset;
	if (tcp->fin_sent && ack_offset > tcp->send_total) {
		tcp->acked = tcp->send_total;
		tcp->fin_acked = true;
	}
	if (tcp->next < ack_offset)
		tcp->next = ack_offset;
	tcp->duplicates = 0;
	tcp->rto_ms = 0;
	if (tcp->recover && ack_offset < tcp->recover)
		tcp->resend_due =
		    true; /* RFC 6582: a partial acknowledgement shows the next hole */
	else
		tcp->recover = 0;
	sim_tcp_disarm(tcp);
	if (sim_tcp_wants_timer(tcp)) {
		tcp->rto_ms = 200;
		sim_tcp_arm(tcp, now_ms);
	}
}

/* false when the acknowledgement is nonsense. */
static bool input_ack(struct sim_tcp *tcp, const struct packet *p, uint64_t now_ms)
{
	uint64_t una = tcp->acked + tcp->fin_acked;
	int32_t ahead = (int32_t)(p->ack - sim_tcp_seq(tcp, una));
	uint32_t old_window = tcp->peer_window;

	if (ahead < 0)
		return true;
	if (una + (uint32_t)ahead > tcp->sent + tcp->fin_sent) {
		guestsim_note_fault(tcp->sim, &guestsim_faults(tcp->sim)->bad_ack,
				    "acknowledges what was never sent");
		return false;
	}
	update_window(tcp, p, una + (uint32_t)ahead);
	if (ahead > 0) {
		on_new_ack(tcp, una + (uint32_t)ahead, now_ms);
	} else if (!p->payload_len && !(p->flags & FLAG_FIN) && tcp->next > una &&
		   old_window == tcp->peer_window && ++tcp->duplicates == 3 && !tcp->recover &&
		   !tcp->no_timer) {
		tcp->recover = tcp->next;
		tcp->resend_due = true;
	}
	return true;
}

static void drop_range(struct sim_tcp *tcp, unsigned i)
{
	tcp->ranges_n--;
	memmove(&tcp->ranges[i], &tcp->ranges[i + 1],
		(tcp->ranges_n - i) * sizeof(struct sim_range));
}

static void add_range(struct sim_tcp *tcp, struct sim_range range)
{
	unsigned i = 0;

	if (!tcp->ranges)
		tcp->ranges = calloc(SIM_RANGES_MAX, sizeof(struct sim_range));
	while (i < tcp->ranges_n && tcp->ranges[i].to < range.from)
		i++;
	while (i < tcp->ranges_n && tcp->ranges[i].from <= range.to) {
		if (tcp->ranges[i].from < range.from)
			range.from = tcp->ranges[i].from;
		if (tcp->ranges[i].to > range.to)
			range.to = tcp->ranges[i].to;
		drop_range(tcp, i);
	}
	if (tcp->ranges_n == SIM_RANGES_MAX)
		return; /* as if it had been lost */
	memmove(&tcp->ranges[i + 1], &tcp->ranges[i],
		(tcp->ranges_n - i) * sizeof(struct sim_range));
	tcp->ranges[i] = range;
	tcp->ranges_n++;
}

static void take_data(struct sim_tcp *tcp, uint64_t from, uint64_t to)
{
	if (from > tcp->received) {
		add_range(tcp, (struct sim_range){from, to});
		tcp->extra_acks_due++;
		return;
	}
	tcp->received = to;
	while (tcp->ranges_n && tcp->ranges[0].from <= tcp->received) {
		if (tcp->ranges[0].to > tcp->received)
			tcp->received = tcp->ranges[0].to;
		drop_range(tcp, 0);
	}
	if (!tcp->paused)
		tcp->consumed = tcp->received;
	tcp->ack_due = true;
}

/* Whether the bytes at this offset are as expected; where anything is, they are kept. */
static bool take_bytes(struct sim_tcp *tcp, uint64_t from, const struct packet *p)
{
	if (!tcp->got)
		return pattern_matches(tcp->recv_seed, from, p->payload, p->payload_len);
	for (size_t i = 0; i < p->payload_len && from + i < tcp->got_max; i++)
		tcp->got[from + i] = p->payload[i];
	return true;
}

static void input_data(struct sim_tcp *tcp, const struct packet *p)
{
	struct guestsim_faults *faults = guestsim_faults(tcp->sim);
	int64_t from =
	    (int64_t)tcp->received + (int32_t)(p->seq - (tcp->irs + 1 + (uint32_t)tcp->received));
	int64_t to = from + (int64_t)p->payload_len;

	tcp->count.data_segments_in++;
	if (p->payload_len > tcp->count.segment_max)
		tcp->count.segment_max = (uint32_t)p->payload_len;
	if (p->payload_len > (tcp->no_options ? mss_default(tcp) : tcp->self_mss))
		guestsim_note_fault(tcp->sim, &faults->beyond_mss, "segment longer than the MSS");
	if (from < 0 || !take_bytes(tcp, (uint64_t)from, p)) {
		guestsim_note_fault(tcp->sim, &faults->mismatch, "data is not the pattern's");
		return;
	}
	if ((uint64_t)to <= tcp->received) {
		tcp->count.repeated_in++;
		tcp->ack_due = true;
	} else if ((uint64_t)to > tcp->right_edge) {
		if (p->payload_len == 1 && (uint64_t)from == tcp->right_edge)
			tcp->count.probes_in++;
		else
			guestsim_note_fault(tcp->sim, &faults->beyond_window,
					    "data beyond the window");
		tcp->ack_due = true;
	} else {
		take_data(tcp, (uint64_t)from, (uint64_t)to);
	}
}

static void input_fin(struct sim_tcp *tcp, const struct packet *p)
{
	uint32_t ahead =
	    p->seq + (uint32_t)p->payload_len - (tcp->irs + 1 + (uint32_t)tcp->received);

	if (tcp->fin_received) {
		tcp->ack_due = true;
		return;
	}
	if (ahead < 0x80000000u) {
		tcp->fin_seen = true;
		tcp->fin_at = tcp->received + ahead;
	}
}

static void input_open(struct sim_tcp *tcp, const struct packet *p, uint64_t now_ms)
{
	if (!(p->flags & FLAG_ACK)) {
		guestsim_note_fault(tcp->sim, &guestsim_faults(tcp->sim)->bad_ack,
				    "segment without ACK");
		return;
	}
	if (!input_ack(tcp, p, now_ms))
		return;
	if (p->flags & FLAG_URG)
		tcp->count.urgent_in++;
	if (p->payload_len)
		input_data(tcp, p);
	else if (!(p->flags & FLAG_FIN))
		tcp->count.pure_acks_in++;
	/* A pure segment below the window wants an answer: that is how keep-alives work. */
	if (!p->payload_len && (int32_t)(p->seq - sim_tcp_ack(tcp)) < 0)
		tcp->ack_due = true;
	if (p->flags & FLAG_FIN)
		input_fin(tcp, p);
	if (tcp->fin_seen && !tcp->fin_received && tcp->fin_at == tcp->received) {
		tcp->fin_received = true;
		tcp->ack_due = true;
	}
	if (tcp->fin_received && tcp->fin_acked)
		tcp->state = SIM_DONE;
}

static void input(struct sim_tcp *tcp, const struct packet *p, uint64_t now_ms)
{
	tcp->count.segments_in++;
	sim_tcp_mark(tcp);
	if (tcp->state == SIM_SYN_SENT) {
		input_syn_sent(tcp, p, now_ms);
		return;
	}
	if (p->flags & FLAG_RST) {
		if (tcp->state != SIM_DONE) /* RFC 1337: not in TIME_WAIT */
			input_reset(tcp, p);
		return;
	}
	if (p->flags & FLAG_SYN) {
		tcp->count.syn_acks_in++;
		if (tcp->state == SIM_SYN_RECEIVED && !(p->flags & FLAG_ACK))
			tcp->syn_due = true;
		else
			tcp->ack_due = true;
		if (tcp->state != SIM_SYN_RECEIVED)
			return;
	}
	if (tcp->state == SIM_SYN_RECEIVED && (p->flags & FLAG_ACK) && p->ack == tcp->iss + 1) {
		tcp->state = SIM_OPEN;
		tcp->rto_ms = 0;
		tcp->window_seq = p->seq - 1;
		sim_tcp_disarm(tcp);
	}
	if (tcp->state == SIM_OPEN || tcp->state == SIM_DONE)
		input_open(tcp, p, now_ms);
}

void sim_tcp_table_input(struct sim_tcp_table *table, const struct packet *p, uint64_t now_ms)
{
	const struct endpoint peer = {p->src, p->src_port};
	struct sim_tcp *tcp = find(table, p->dst_port, &peer);
	bool syn = (p->flags & (FLAG_SYN | FLAG_ACK | FLAG_RST)) == FLAG_SYN;
	bool over = tcp && tcp->state >= SIM_DONE;

	if (tcp && !(over && syn) && tcp->state <= SIM_DONE) {
		input(tcp, p, now_ms);
	} else if (syn) {
		accept_syn(table, p);
	} else {
		guestsim_counters_mutable(table->sim)->unknown_segments++;
		refuse(table, p);
	}
}

void sim_tcp_table_unreachable(struct sim_tcp_table *table, const struct packet *quoted,
			       const struct packet *icmp)
{
	const struct endpoint peer = {quoted->dst, quoted->dst_port};
	struct sim_tcp *tcp = find(table, quoted->src_port, &peer);

	if (!tcp || tcp->state != SIM_SYN_SENT || quoted->seq != tcp->iss)
		return;
	tcp->icmp_type = icmp->icmp_type;
	tcp->icmp_code = icmp->icmp_code;
	tcp->state = SIM_UNREACHABLE;
	sim_tcp_disarm(tcp);
}

void sim_tcp_table_run(struct sim_tcp_table *table, uint64_t now_ms)
{
	while (table->dirty) {
		struct sim_tcp *tcp = table->dirty;

		table->dirty = tcp->dirty_next;
		tcp->dirty = false;
		sim_tcp_output(tcp, now_ms);
	}
}

bool sim_tcp_all_received(struct sim_tcp *const *tcp, unsigned n, uint64_t len)
{
	for (unsigned i = 0; i < n; i++)
		if (tcp[i]->received < len)
			return false;
	return true;
}
