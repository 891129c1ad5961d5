/* Frames that a guest has lost: how much may be in flight, and what of it is sent again. lwIP says
 * when; its segments are up to 64 KB long, so what goes out of one is decided here, frame by frame.
 */
#include "stack/nat/tcpflow.h"

#define IN_FLIGHT_LEAST_MSS 4u /* the congestion window never falls below so many MSS */
#define STANDS_FRESH_MS 200u
#define PACE_MS 10u /* how often a guest's pace is taken; twice what it took since */

static int32_t seq_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

/* RFC 5681 section 3.2, RFC 6298 section 5.4: one segment is sent again first. */
static void resend_from_the_start(struct tcpflow *tf)
{
	tf->resent_to = solo_lastack(&tf->solo);
	tf->resend_max = tf->mss;
}

/* Congestion: a guest on the same machine loses frames only when its NIC does, and then because a
 * burst was too long for its ring. Halve once per window of data, then probe upwards with what is
 * acknowledged: at once up to where the last loss was halved to, one MSS per window from there (RFC
 * 5681 section 3.1). A retransmission that is lost as well says that even so much was too much. */
static void begin_recovery(struct tcpflow *tf)
{
	uint32_t least = IN_FLIGHT_LEAST_MSS * tf->mss;

	tf->in_flight_max = tf->in_flight_max / 2 > least ? tf->in_flight_max / 2 : least;
	tf->in_flight_calm = tf->in_flight_max;
	tf->recover_until = solo_snd_nxt(&tf->solo);
	tf->recovering = true;
	resend_from_the_start(tf);
}

/* One answer for all connections of a tick: the port tells of what happened since it was asked
 * last. When that is long ago, the answer says nothing, and the next tick's will. */
static enum guest_stands stands(const struct nat *nat, struct guest *guest)
{
	struct port *port = guest->port;
	bool is_fresh = nat->now_ms - guest->stands_asked_ms <= STANDS_FRESH_MS;

	if (!port->ops->stands_still)
		return GUEST_RUNS;
	if (guest->stands_asked_ms == nat->now_ms)
		return guest->stands;
	guest->stands_asked_ms = nat->now_ms;
	guest->stands = port->ops->stands_still(port) ? GUEST_STANDS_STILL : GUEST_RUNS;
	if (!is_fresh)
		guest->stands = port->ops->stands_still(port) ? GUEST_MAY_STAND : GUEST_RUNS;
	return guest->stands;
}

/* A guest that is stopped, for a snapshot or by its user, has lost nothing that lies unread in its
 * socket: it is not sent again, and its connections do not end for want of an answer. */
void tcploss_before_tick(struct nat *nat, struct tcpflow *tf)
{
	bool is_due = solo_timer_is_due(nat->engine, &tf->solo);
	enum guest_stands now;

	if (!is_due && !solo_probes_in_vain(nat->engine, &tf->solo))
		return;
	now = stands(nat, tf->flow.guest);
	if (now == GUEST_STANDS_STILL) {
		solo_stood_still(&tf->solo);
		return;
	}
	if (is_due && now == GUEST_MAY_STAND) {
		solo_wait_a_tick(&tf->solo);
		return;
	}
	if (!is_due)
		return;
	nat->counters.tcp_resend_timeouts++;
	if (!tf->recovering) {
		begin_recovery(tf);
		return;
	}
	tf->in_flight_max = tf->mss;
	tf->recover_until = solo_snd_nxt(&tf->solo);
	resend_from_the_start(tf);
}

uint32_t tcploss_admit(struct nat *nat, struct tcpflow *tf, uint32_t seq, uint32_t len,
		       uint32_t *ret_skip)
{
	uint32_t from = seq, end = solo_lastack(&tf->solo);

	*ret_skip = 0;
	/* One byte asks for a closed window's news, and costs nothing otherwise. */
	if (len <= 1 || seq_diff(seq, solo_snd_nxt(&tf->solo)) >= 0)
		return len;
	if (!tf->recovering) {
		if (!solo_is_retransmitting(&tf->solo))
			return len;
		begin_recovery(tf);
	}
	if (seq_diff(seq, tf->recover_until) >= 0)
		return len;
	end += tf->resend_max;
	if (seq_diff(end, seq + len) > 0)
		end = seq + len;
	if (seq_diff(tf->resent_to, from) > 0)
		from = tf->resent_to;
	if (seq_diff(end, from) <= 0)
		return 0;
	tf->resent_to = end;
	tf->resent_turn = nat->turn;
	nat->counters.tcp_resent += (end - from + tf->mss - 1) / tf->mss;
	*ret_skip = from - seq;
	return end - from;
}

/* Beyond the fair share no more may be on its way than the guest takes in a moment: the queue of a
 * slow one would delay all that comes behind it. A fast one must have much: while a download waits
 * for acknowledgements, its bytes pile up in the host's socket, and from then on each read of ours
 * pays for the host peer's sending. */
static void take_pace(const struct nat *nat, struct tcpflow *tf, uint32_t acked)
{
	uint32_t elapsed = (uint32_t)nat->now_ms - tf->paced_ms;
	uint64_t pace;

	tf->paced_bytes += acked;
	if (elapsed < PACE_MS)
		return;
	pace = 2ull * tf->paced_bytes * PACE_MS / elapsed;
	if (pace < TCPFLOW_IN_FLIGHT_FAIR)
		pace = TCPFLOW_IN_FLIGHT_FAIR;
	if (pace > TCPFLOW_IN_FLIGHT_MAX)
		pace = TCPFLOW_IN_FLIGHT_MAX;
	tf->in_flight_pace = (uint32_t)pace;
	tf->paced_bytes = 0;
	tf->paced_ms += elapsed;
}

static void grow_in_flight(struct tcpflow *tf, uint32_t acked)
{
	if (tf->in_flight_max < tf->in_flight_calm)
		tf->in_flight_max += acked;
	else
		tf->in_flight_max += (uint32_t)((uint64_t)tf->mss * acked / tf->in_flight_max) + 1;
	if (tf->in_flight_max > tf->in_flight_pace)
		tf->in_flight_max = tf->in_flight_pace;
}

/* A partial acknowledgement says the next bytes are lost too (RFC 6582 section 3.2). One that just
 * covers what was sent again comes from a long gap, which is filled faster and faster; one that
 * goes beyond is from a guest that has kept what followed, and the next gap may be a single frame.
 */
static void go_on(struct nat *nat, struct tcpflow *tf, uint32_t acked)
{
	uint32_t lastack = solo_lastack(&tf->solo);

	if (seq_diff(lastack, tf->resent_to) > 0) {
		resend_from_the_start(tf);
		/* What was sent again in this turn has not left yet: this answers frames that were
		 * late, not lost, as those of a guest that was stopped. */
		if (tf->resent_turn == nat->turn)
			return;
	} else if (tf->resend_max < tf->in_flight_max) {
		tf->resend_max += acked;
	}
	if (tf->resent_to != lastack &&
	    seq_diff(lastack + tf->resend_max, tf->resent_to + tf->mss) < 0)
		return;
	tcpflow_output_to(nat, tf);
	solo_retransmit(nat->engine, &tf->solo);
}

/* solo_events.acked comes when a whole segment of lwIP's is acknowledged: too late here. */
void tcploss_after_lwip(struct nat *nat, struct tcpflow *tf)
{
	uint32_t acked = solo_lastack(&tf->solo) - tf->acked_to;

	if (!solo_is_synchronized(&tf->solo) || !acked)
		return;
	tf->acked_to += acked;
	take_pace(nat, tf, acked);
	if (!tf->recovering) {
		grow_in_flight(tf, acked);
	} else if (seq_diff(solo_lastack(&tf->solo), tf->recover_until) >= 0) {
		tf->recovering = false;
	} else {
		go_on(nat, tf, acked);
	}
}
