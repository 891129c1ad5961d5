/* The synthetic guest's TCP (RFC 9293 without congestion control): both opens, both closes, MSS and
 * window scale, out-of-order reception, retransmission by timer and by three duplicates. What it
 * sends and expects is the pattern of tests/support/pattern.h. */
#ifndef LWNAT_TESTS_SIM_TCP_H
#define LWNAT_TESTS_SIM_TCP_H

#include "stack/base/addr.h"
#include "tests/support/guestsim.h"

#include <stdbool.h>
#include <stdint.h>

#define SIM_RANGES_MAX 256

enum sim_tcp_state {
	SIM_SYN_SENT,
	SIM_SYN_RECEIVED,
	SIM_OPEN,        /* either side may have sent FIN: see the booleans */
	SIM_DONE,        /* both FINs sent and acknowledged; answers repeated FINs */
	SIM_RESET,       /* by the peer */
	SIM_ABORTED,     /* by sim_tcp_abort() */
	SIM_UNREACHABLE, /* ICMP said so while connecting */
};

struct sim_tcp_setup {
	uint16_t mss; /* announced; 0: the MTU less 40 */
	bool no_options;
	int wscale;           /* announced; -1: no option */
	uint32_t recv_buffer; /* bytes; 0: 1 MiB */
	uint64_t send_seed, recv_seed;
	uint64_t send_total; /* bytes to send in all */
	bool fin_when_sent;
	bool paused; /* starts without reading */
};

struct sim_tcp_counters {
	uint32_t segments_in, data_segments_in, segments_out;
	uint32_t
	    repeated_in;    /* data segments wholly below what we have: retransmitted by the peer */
	uint32_t probes_in; /* one byte against a closed window */
	uint32_t retransmits_out, timeouts;
	uint32_t zero_windows_in; /* times the peer's window became zero */
	uint32_t segment_max;     /* largest payload seen */
	uint32_t pure_acks_in;
	uint32_t syn_acks_in;
	uint32_t urgent_in;
	uint32_t stale_acks_in;  /* in SYN-SENT, and not for our SYN */
	uint32_t challenges_out; /* RST in the window but not at its left edge: RFC 5961 */
};

struct sim_range {
	uint64_t from, to; /* offsets of data held beyond the first gap */
};

struct sim_tcp {
	/* For tests to set, then sim_tcp_kick(). */
	uint64_t send_total, send_seed, recv_seed;
	bool fin_when_sent;
	bool paused;          /* does not read: the window closes */
	bool mute;            /* sends no acknowledgement, no window update */
	bool no_timer;        /* never retransmits by itself */
	uint32_t recv_buffer; /* only ever raise it */
	uint32_t in_flight_max;
	const uint8_t *text; /* sent in place of the pattern: 'send_total' bytes */
	uint8_t *got;        /* received bytes go here, what they are is not checked; or NULL */
	size_t got_max;

	/* For tests to read. */
	enum sim_tcp_state state;
	struct endpoint self, peer;
	uint64_t acked;    /* bytes of our data */
	uint64_t sent;     /* highest offset sent */
	uint64_t received; /* bytes in order */
	uint64_t consumed; /* of them, read by the application */
	bool fin_sent, fin_acked, fin_received;
	uint8_t icmp_type, icmp_code;
	uint16_t peer_mss;
	uint32_t peer_window; /* bytes, scaled */
	struct sim_tcp_counters count;

	/* The sim's own. */
	struct guestsim *sim;
	struct sim_tcp *hash_next;
	struct sim_tcp *dirty_next;
	bool dirty, armed, ack_due, syn_due, probe_due, resend_due;
	unsigned extra_acks_due; /* duplicates owed for segments out of order */
	struct sim_tcp *armed_next, *armed_prev;
	uint32_t iss, irs;
	uint64_t next;    /* offset to send next; send_total + 1 when the FIN is out */
	uint64_t recover; /* offset up to which a loss is being repaired; 0: none is */
	unsigned duplicates;
	uint32_t window_seq, window_ack; /* of the segment that last set the window */
	uint64_t due_ms;
	uint32_t rto_ms;
	uint64_t right_edge; /* offset, of the widest window we offered */
	uint64_t window_end; /* offset, of the peer's window */
	int self_wscale, peer_wscale;
	uint16_t self_mss;
	bool no_options;
	struct sim_range *ranges; /* SIM_RANGES_MAX of them, or NULL; sorted, apart */
	unsigned ranges_n;
	bool fin_seen;
	uint64_t fin_at; /* offset of the peer's FIN */
};

/* For sim_tcp.c and sim_tcp_out.c only. */
struct sim_tcp_table {
	struct guestsim *sim;
	struct sim_tcp **buckets;
	struct sim_tcp *dirty, *armed;
	struct sim_listener *listeners;
	struct sim_tcp **accepted; /* not yet handed out */
	unsigned accepted_n, accepted_room;
	uint64_t iss_state;
};
void sim_tcp_mark(struct sim_tcp *tcp);
void sim_tcp_arm(struct sim_tcp *tcp, uint64_t now_ms);
void sim_tcp_disarm(struct sim_tcp *tcp);
void sim_tcp_output(struct sim_tcp *tcp, uint64_t now_ms);
bool sim_tcp_wants_timer(const struct sim_tcp *tcp);
uint64_t sim_tcp_data_end(const struct sim_tcp *tcp); /* send_total, and 1 for a wanted FIN */

struct sim_tcp_table *sim_tcp_table_new(struct guestsim *sim, uint64_t seed);
void sim_tcp_table_free(struct sim_tcp_table *table);
void sim_tcp_table_input(struct sim_tcp_table *table, const struct packet *p, uint64_t now_ms);
void sim_tcp_table_unreachable(struct sim_tcp_table *table, const struct packet *quoted,
			       const struct packet *icmp);
void sim_tcp_table_run(struct sim_tcp_table *table, uint64_t now_ms);
uint64_t sim_tcp_table_next_ms(const struct sim_tcp_table *table);
void sim_tcp_table_tick(struct sim_tcp_table *table, uint64_t now_ms);

/* Sends a SYN from 'port' (one in use is replaced, as when TIME_WAIT is reused). The sim owns the
 * connection; it stays readable until sim_tcp_free() or guestsim_free(). */
struct sim_tcp *sim_tcp_connect(struct guestsim *sim, uint16_t port, const struct endpoint *to,
				const struct sim_tcp_setup *setup);
/* Accepts connections on 'port' from now on, each with this set-up (kept by value). */
void sim_tcp_listen(struct guestsim *sim, uint16_t port, const struct sim_tcp_setup *setup);
/* The next accepted connection that was not yet handed out; NULL when there is none. */
struct sim_tcp *sim_tcp_accept(struct guestsim *sim, uint16_t port);
void sim_tcp_kick(struct sim_tcp *tcp); /* looks at the settings again in the next run */
void sim_tcp_read(struct sim_tcp *tcp, uint64_t len); /* a paused one reads this much */
void sim_tcp_abort(struct sim_tcp *tcp);              /* sends RST */
/* Forgets it without a word, as a guest does that was switched off. */
void sim_tcp_free(struct sim_tcp *tcp);
uint32_t sim_tcp_seq(const struct sim_tcp *tcp, uint64_t offset); /* of our byte 'offset' */
uint32_t sim_tcp_ack(const struct sim_tcp *tcp);                  /* what we expect next */
/* All 'n' have 'len' bytes in order. */
bool sim_tcp_all_received(struct sim_tcp *const *tcp, unsigned n, uint64_t len);
/* One segment of the test's own making. */
struct sim_segment {
	uint8_t flags;
	uint32_t seq, ack;
	uint16_t window, urgent;
	struct iovec payload;
};
void sim_tcp_send_segment(struct sim_tcp *tcp, const struct sim_segment *segment);

#endif
