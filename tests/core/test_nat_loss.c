/* Frames lost on the guest's side, and readers that stand still: how much is sent again, and when.
 */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#define AWAY "198.51.100.7"
#define MIB ((uint64_t)1 << 20)
#define KIB ((uint64_t)1 << 10)

/* A connection over which 'total' bytes have come, so that its round trips are known. */
static struct sim_tcp *warmed_up(struct bed *bed, uint64_t total)
{
	struct sim_tcp *tcp;

	bed_simple(bed);
	bed->host.defaults.send_total = total;
	tcp = bed_connect(bed, 0, 40000, AWAY, 80);
	BED_UNTIL(bed, tcp->received == total);
	bed_advance(bed, 1000);
	return tcp;
}

static void host_sends(struct bed *bed, uint64_t more)
{
	bed_only_handle(bed)->send_total += more;
	bed_kick_host(bed);
}

/* RFC 6298 section 5.4: the earliest segment, not all 64 KB that went out as one. */
START_TEST(test_first_time_out_sends_one_frame_again)
{
	struct sim_tcp *tcp;
	uint32_t segments;
	struct bed bed;

	tcp = warmed_up(&bed, 4 * MIB);
	tcp->mute = true;
	host_sends(&bed, 60 * KIB);
	ck_assert_uint_eq(tcp->received, 4 * MIB + 60 * KIB);
	segments = tcp->count.data_segments_in;
	BED_UNTIL(&bed, tcp->count.data_segments_in > segments);
	bed_settle(&bed);
	ck_assert_uint_eq(tcp->count.data_segments_in - segments, 1);
	tcp->mute = false;
	tcp->ack_due = true;
	sim_tcp_kick(tcp);
	host_sends(&bed, MIB);
	BED_UNTIL(&bed, tcp->received == 5 * MIB + 60 * KIB);
	ck_assert_uint_le(tcp->count.repeated_in, 1);
	bed_finish(&bed);
}
END_TEST

/* A guest that answers nothing for ten seconds with 256 KB on their way, as when it is stopped. */
START_TEST(test_silent_guest_is_sent_few_frames_again)
{
	struct sim_tcp *tcp;
	uint32_t segments;
	struct bed bed;

	tcp = warmed_up(&bed, 4 * MIB);
	tcp->mute = true;
	host_sends(&bed, 4 * MIB);
	segments = tcp->count.data_segments_in;
	bed_advance(&bed, 10000);
	ck_assert_uint_le(tcp->count.data_segments_in - segments, 8);
	ck_assert_uint_ge(tcp->count.data_segments_in - segments, 3);
	tcp->mute = false;
	tcp->ack_due = true;
	sim_tcp_kick(tcp);
	BED_UNTIL(&bed, tcp->received == 8 * MIB);
	ck_assert_uint_le(tcp->count.repeated_in, 12);
	bed_finish(&bed);
}
END_TEST

/* For a quarter of an hour, in a snapshot or a debugger: it may take as long as it likes. */
START_TEST(test_guest_that_stands_still_is_waited_for)
{
	struct sim_tcp *tcp;
	uint32_t segments;
	struct bed bed;

	tcp = warmed_up(&bed, 4 * MIB);
	bed.guests[0].port.stands_still = true;
	tcp->mute = true;
	host_sends(&bed, MIB / 2);
	segments = tcp->count.data_segments_in;
	bed_advance(&bed, 900000);
	ck_assert_uint_eq(tcp->count.data_segments_in, segments);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 1);
	bed.guests[0].port.stands_still = false;
	tcp->mute = false;
	tcp->ack_due = true;
	sim_tcp_kick(tcp);
	BED_UNTIL(&bed, tcp->received == 4 * MIB + MIB / 2);
	ck_assert_uint_le(tcp->count.repeated_in, 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_that_stands_still_with_a_closed_window_is_waited_for)
{
	struct sim_tcp *tcp;
	uint32_t probes;
	struct bed bed;

	tcp = warmed_up(&bed, 4 * MIB);
	tcp->paused = true;
	host_sends(&bed, 4 * MIB);
	bed_advance(&bed, 1000);
	bed.guests[0].port.stands_still = true;
	tcp->mute = true;
	probes = tcp->count.probes_in;
	bed_advance(&bed, 900000);
	ck_assert_uint_le(tcp->count.probes_in - probes, 2);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 1);
	bed.guests[0].port.stands_still = false;
	tcp->mute = tcp->paused = false;
	sim_tcp_kick(tcp);
	BED_UNTIL(&bed, tcp->received == 8 * MIB);
	bed_finish(&bed);
}
END_TEST

/* The end of a flight is lost whole: nobody but the timer tells. */
START_TEST(test_lost_flight_is_sent_once_more)
{
	struct sim_tcp *tcp;
	struct bed bed;

	tcp = warmed_up(&bed, 4 * MIB);
	bed.guests[0].port.impair.drop_ppm = 1000000;
	host_sends(&bed, 200 * KIB);
	bed.guests[0].port.impair.drop_ppm = 0;
	ck_assert_uint_eq(tcp->received, 4 * MIB);
	BED_UNTIL(&bed, tcp->received == 4 * MIB + 200 * KIB);
	ck_assert_uint_eq(tcp->count.repeated_in, 0);
	ck_assert_uint_eq(nat_counters(bed.nat)->tcp_resend_timeouts, 1);
	bed_finish(&bed);
}
END_TEST

/* Each loss costs about one frame: those behind it are not sent again, and the timer is waited for
 * only when what was sent again is lost as well. */
static void check_dropping(unsigned takes, uint32_t drop_ppm)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		uint64_t resent, lost = 30 * MIB / 1460 * drop_ppm / 1000000;
		struct sim_tcp *tcp;
		struct bed bed;

		tcp = warmed_up(&bed, MIB);
		bed.guests[0].port.port.takes = takes;
		bed.guests[0].port.impair.dice.state = seed * 7919;
		bed.guests[0].port.impair.drop_ppm = drop_ppm;
		host_sends(&bed, 30 * MIB);
		BED_UNTIL(&bed, tcp->received == 31 * MIB);
		resent = nat_counters(bed.nat)->tcp_resent;
		ck_assert_uint_ge(resent, lost / 2);
		ck_assert_uint_le(resent, lost * 2);
		ck_assert_uint_le(tcp->count.repeated_in, resent / 20);
		ck_assert_uint_le(nat_counters(bed.nat)->tcp_resend_timeouts, resent / 20);
		bed_finish(&bed);
	}
}

START_TEST(test_lost_frames_are_sent_again_one_by_one)
{
	check_dropping(0, 1000);
	check_dropping(0, 10000);
	check_dropping(PORT_CSUM, 10000);
}
END_TEST

/* The guest's window closes while a loss is repaired, and opens again. */
START_TEST(test_reader_that_stops_within_a_loss_goes_on)
{
	struct sim_tcp *tcp;
	struct bed bed;

	tcp = warmed_up(&bed, 4 * MIB);
	tcp->paused = true;
	bed.guests[0].port.impair.dice.state = 7;
	bed.guests[0].port.impair.drop_ppm = 30000;
	host_sends(&bed, 4 * MIB);
	bed_advance(&bed, 5000);
	bed.guests[0].port.impair.drop_ppm = 0;
	bed_advance(&bed, 20000);
	tcp->paused = false;
	sim_tcp_kick(tcp);
	BED_UNTIL(&bed, tcp->received == 8 * MIB);
	ck_assert_uint_le(nat_counters(bed.nat)->tcp_resent, 4 * MIB / 1460 / 10);
	bed_finish(&bed);
}
END_TEST

/* The guest's FIN answers ours, and ours alone is lost. */
START_TEST(test_lost_fin_is_sent_again_alone)
{
	struct sim_tcp *tcp;
	struct bed bed;

	tcp = warmed_up(&bed, MIB);
	tcp->mute = true;
	host_sends(&bed, 50 * KIB);
	bed.guests[0].port.impair.drop_ppm = 1000000;
	bed_only_handle(&bed)->eof_when_sent = true;
	bed_kick_host(&bed);
	bed.guests[0].port.impair.drop_ppm = 0;
	tcp->mute = false;
	tcp->ack_due = true;
	sim_tcp_kick(tcp);
	BED_UNTIL(&bed, tcp->fin_received);
	ck_assert_uint_eq(tcp->count.repeated_in, 0);
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	BED_UNTIL(&bed, tcp->state == SIM_DONE);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return NATBED_SUITE(
	    "nat_loss", test_first_time_out_sends_one_frame_again,
	    test_silent_guest_is_sent_few_frames_again, test_guest_that_stands_still_is_waited_for,
	    test_guest_that_stands_still_with_a_closed_window_is_waited_for,
	    test_lost_flight_is_sent_once_more, test_lost_frames_are_sent_again_one_by_one,
	    test_reader_that_stops_within_a_loss_goes_on, test_lost_fin_is_sent_again_alone);
}
