/* What the gateway tells of itself, and its own pings to guests. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#define AWAY "198.51.100.7"
#define MANY 3000

struct seen {
	unsigned n, tcp, udp, ping, inbound;
	struct nat_flow_info last;
};

static void on_flow(void *ctx, const struct nat_flow_info *info)
{
	struct seen *seen = ctx;

	seen->n++;
	seen->tcp += info->kind == NAT_FLOW_TCP;
	seen->udp += info->kind == NAT_FLOW_UDP;
	seen->ping += info->kind == NAT_FLOW_PING;
	seen->inbound += info->inbound;
	seen->last = *info;
}

static unsigned walk(struct bed *bed, unsigned max, struct seen *ret)
{
	uint32_t cursor = 0;
	unsigned calls = 1;

	memset(ret, 0, sizeof(*ret));
	while (nat_flows_walk(bed->nat, &cursor, max, on_flow, ret))
		calls++;
	return calls;
}

START_TEST(test_every_flow_is_shown_once_in_pieces)
{
	struct endpoint to = bed_endpoint(AWAY, 53);
	uint32_t n[NAT_FLOW_KINDS];
	struct seen seen;
	struct bed bed;

	bed_simple(&bed);
	bed_connect(&bed, 0, 40000, AWAY, 80);
	for (unsigned i = 0; i < MANY; i++)
		guestsim_udp_send(bed.guests[0].sim, (uint16_t)(10000 + i), &to,
				  frames_bytes("x", 1));
	guestsim_ping(bed.guests[0].sim, &to.addr, 0x10001, frames_bytes("x", 1));
	bed_settle(&bed);
	nat_flows_count(bed.nat, NULL, n);
	ck_assert_uint_eq(n[NAT_FLOW_TCP], 1);
	ck_assert_uint_eq(n[NAT_FLOW_PING], 1);
	ck_assert_uint_gt(n[NAT_FLOW_UDP], 100);
	ck_assert_uint_gt(walk(&bed, 64, &seen), 1);
	ck_assert_uint_eq(seen.n, nat_flow_count(bed.nat));
	ck_assert_uint_eq(seen.tcp, 1);
	ck_assert_uint_eq(seen.udp, n[NAT_FLOW_UDP]);
	ck_assert_uint_eq(seen.inbound, 0);
	nat_flows_count(bed.nat, &bed.guests[0].port.port, n);
	ck_assert_uint_eq(n[NAT_FLOW_TCP], 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_bytes_packets_and_rates_are_those_that_moved)
{
	struct endpoint away = bed_endpoint(AWAY, 80);
	struct sim_tcp_setup setup = bed_setup;
	struct endpoint guest = {bed_guest_addr(0), 40000};
	struct sim_tcp *tcp;
	struct seen seen;
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.send_total = 100000;
	setup.send_total = 200000;
	tcp = sim_tcp_connect(bed.guests[0].sim, 40000, &away, &setup);
	BED_UNTIL(&bed, tcp->received == 100000);
	walk(&bed, 64, &seen);
	ck_assert_uint_eq(seen.n, 1);
	ck_assert_uint_eq(seen.last.bytes_to_guest, 100000);
	ck_assert_uint_eq(seen.last.bytes_to_host, 200000);
	ck_assert_uint_ge(seen.last.packets_to_host, 200000 / 1460);
	ck_assert_uint_ge(seen.last.packets_to_guest, 100000 / 1460);
	ck_assert(endpoint_eq(&seen.last.guest, &guest));
	ck_assert(endpoint_eq(&seen.last.peer, &away));
	ck_assert_int_eq(seen.last.state, NAT_FLOW_OPEN);
	ck_assert_uint_gt(seen.last.rate_to_host, seen.last.rate_to_guest);
	ck_assert_uint_ge(seen.last.rate_to_guest, 50000);
	bed_advance(&bed, 1);
	nat_set_time(bed.nat, bed.now_ms += 100000); /* silence */
	walk(&bed, 64, &seen);
	ck_assert_uint_le(seen.last.rate_to_host, 200000 / 99);
	ck_assert_uint_eq(seen.last.used_ms < bed.now_ms - 90000, 1);
	bed_finish(&bed);
}
END_TEST

struct answer {
	unsigned n;
	enum nat_outcome outcome;
};

static void on_done(void *ctx, enum nat_outcome outcome)
{
	struct answer *answer = ctx;

	answer->n++;
	answer->outcome = outcome;
}

static int ping_guest(struct bed *bed, struct addr to, struct answer *answer)
{
	struct nat_guest_ping ping = {.to = to, .timeout_ms = 3000, .done = on_done, .ctx = answer};

	memset(answer, 0, sizeof(*answer));
	return nat_guest_ping(bed->nat, &ping);
}

START_TEST(test_a_guest_that_is_there_answers)
{
	struct answer answer;
	struct bed bed;

	bed_simple(&bed);
	ck_assert_int_gt(ping_guest(&bed, bed_guest_addr(0), &answer), 0);
	BED_UNTIL(&bed, answer.n == 1);
	ck_assert_int_eq(answer.outcome, NAT_OPEN);
	bed_advance(&bed, 10000);
	ck_assert_uint_eq(answer.n, 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_nobody_and_the_silent_are_told_apart)
{
	struct answer answer;
	struct bed bed;

	bed_simple(&bed);
	bed.faults_expected = true;
	ck_assert_int_gt(ping_guest(&bed, bed_addr("10.0.2.99"), &answer), 0);
	BED_UNTIL(&bed, answer.n == 1);
	ck_assert_int_eq(answer.outcome, NAT_NO_NEIGHBOUR);
	ck_assert_uint_ge(bed.now_ms, 3000);
	ping_guest(&bed, bed_guest_addr(0), &answer);
	BED_UNTIL(&bed, answer.n == 1);
	ck_assert_int_eq(answer.outcome, NAT_OPEN);
	bed.guests[0].deaf = true;
	ping_guest(&bed, bed_guest_addr(0), &answer);
	BED_UNTIL(&bed, answer.n == 1);
	ck_assert_int_eq(answer.outcome, NAT_TIMED_OUT);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_pings_are_limited_and_can_be_cancelled)
{
	struct answer answer;
	struct addr nobody = bed_addr("10.0.2.99");
	int number[100];
	unsigned n = 0;
	struct bed bed;

	bed_simple(&bed);
	while ((number[n] = ping_guest(&bed, nobody, &answer)) > 0)
		ck_assert_uint_lt(++n, 100);
	ck_assert_int_eq(number[n], -ENOSPC);
	while (n-- > 0)
		nat_guest_ping_cancel(bed.nat, number[n]);
	bed_advance(&bed, 10000);
	ck_assert_uint_eq(answer.n, 0);
	ck_assert_int_gt(ping_guest(&bed, bed_guest_addr(0), &answer), 0);
	BED_UNTIL(&bed, answer.n == 1);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return NATBED_SUITE(
	    "nat_show", test_every_flow_is_shown_once_in_pieces,
	    test_bytes_packets_and_rates_are_those_that_moved, test_a_guest_that_is_there_answers,
	    test_nobody_and_the_silent_are_told_apart, test_pings_are_limited_and_can_be_cancelled);
}
