/* Connections into guests whose outcome somebody wants to know, and what forwards account for. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#define PEER "203.0.113.5"

static const struct sim_tcp_setup server_setup = {
    .wscale = 7, .send_seed = 1, .recv_seed = 2, .send_total = 100000};

struct told {
	unsigned n;
	enum nat_outcome outcome;
	uint64_t cookie;
	int handle; /* to hand over */
};

static int on_outcome(void *ctx, uint64_t cookie, enum nat_outcome outcome)
{
	struct told *told = ctx;

	told->n++;
	told->outcome = outcome;
	told->cookie = cookie;
	return told->handle;
}

static struct nat_attempt *connect_with(struct bed *bed, struct told *told, int handle,
					struct nat_forward *forward)
{
	struct nat_connect connect = {.peer = bed_endpoint("127.0.0.1", 0),
				      .guest = {bed_guest_addr(0), 22},
				      .handle = handle,
				      .forward = forward,
				      .outcome = on_outcome,
				      .ctx = told,
				      .cookie = 77};
	struct nat_attempt *attempt = NULL;

	ck_assert_int_eq(nat_tcp_connect(bed->nat, &connect, &attempt), 0);
	ck_assert_uint_eq(told->n, 0); /* never from inside */
	return attempt;
}

static void check_told(const struct told *told, enum nat_outcome outcome)
{
	ck_assert_uint_eq(told->n, 1);
	ck_assert_str_eq(nat_outcome_text(told->outcome), nat_outcome_text(outcome));
	ck_assert_uint_eq(told->cookie, 77);
}

START_TEST(test_answer_is_told_before_the_host_side_is_there)
{
	struct told told = {.handle = -1};
	struct guestsim *sim;
	struct sim_tcp *tcp;
	struct bed bed;

	sim = bed_simple(&bed);
	bed.host.defaults.send_total = 200000;
	sim_tcp_listen(sim, 22, &server_setup);
	told.handle = fake_host_accepted(&bed.host);
	connect_with(&bed, &told, -1, NULL);
	bed_settle(&bed);
	check_told(&told, NAT_OPEN);
	tcp = sim_tcp_accept(sim, 22);
	ck_assert_ptr_nonnull(tcp);
	BED_UNTIL(&bed, tcp->received == 200000);
	BED_UNTIL(&bed, bed.host.handles[told.handle].written == 100000);
	ck_assert_uint_eq(bed.host.handles[told.handle].mismatch, 0);
	ck_assert_uint_eq(told.n, 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_answer_is_told_of_a_connection_that_is_there)
{
	struct told told = {.handle = -1};
	struct guestsim *sim;
	struct bed bed;
	int handle;

	sim = bed_simple(&bed);
	sim_tcp_listen(sim, 22, &server_setup);
	handle = fake_host_accepted(&bed.host);
	connect_with(&bed, &told, handle, NULL);
	bed_settle(&bed);
	check_told(&told, NAT_OPEN);
	BED_UNTIL(&bed, bed.host.handles[handle].written == 100000);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_who_wanted_to_know_only_leaves_no_connection)
{
	struct told told = {.handle = -1};
	struct guestsim *sim;
	struct sim_tcp *tcp;
	struct bed bed;

	sim = bed_simple(&bed);
	sim_tcp_listen(sim, 22, &bed_setup);
	connect_with(&bed, &told, -1, NULL);
	bed_settle(&bed);
	check_told(&told, NAT_OPEN);
	tcp = sim_tcp_accept(sim, 22);
	ck_assert_ptr_nonnull(tcp);
	BED_UNTIL(&bed, tcp->fin_received);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_closed_port_is_told_as_refused)
{
	struct told without = {.handle = -1}, with = {.handle = -1};
	struct bed bed;

	bed_simple(&bed);
	connect_with(&bed, &without, -1, NULL);
	bed_settle(&bed);
	check_told(&without, NAT_REFUSED);
	ck_assert_uint_eq(bed.host.count.resets, 0);
	connect_with(&bed, &with, fake_host_accepted(&bed.host), NULL);
	bed_settle(&bed);
	check_told(&with, NAT_REFUSED);
	ck_assert_uint_eq(bed.host.count.resets, 1);
	ck_assert_uint_eq(nat_counters(bed.nat)->tcp_inbound_failed, 2);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_address_of_nobody_is_told_as_no_neighbour)
{
	struct told told = {.handle = -1};
	struct guestsim *sim;
	struct bed bed;

	sim = bed_simple(&bed);
	guestsim_set_arp_silent(sim, true);
	connect_with(&bed, &told, -1, NULL);
	BED_UNTIL(&bed, told.n);
	check_told(&told, NAT_NO_NEIGHBOUR);
	ck_assert_uint_eq(guestsim_counters(sim)->arp_requests_in, 5);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_that_is_silent_is_told_as_timed_out)
{
	struct told told = {.handle = -1};
	struct bed bed;

	bed_simple(&bed);
	bed_connect(&bed, 0, 40000, PEER, 80); /* its MAC is known */
	bed.guests[0].deaf = true;
	connect_with(&bed, &told, -1, NULL);
	BED_UNTIL(&bed, told.n);
	check_told(&told, NAT_TIMED_OUT);
	bed.guests[0].deaf = false;
	bed.faults_expected = true;
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_that_leaves_meanwhile_is_told)
{
	struct told told = {.handle = -1};
	struct bed bed;

	bed_simple(&bed);
	bed_connect(&bed, 0, 40000, PEER, 80);
	bed.guests[0].deaf = true;
	connect_with(&bed, &told, -1, NULL);
	bed_remove_guest(&bed, 0);
	BED_UNTIL(&bed, told.n);
	check_told(&told, NAT_GUEST_GONE);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_cancelled_attempts_are_told_nothing)
{
	struct told told = {.handle = -1};
	struct nat_attempt *attempt;
	struct guestsim *sim;
	struct bed bed;

	sim = bed_simple(&bed);
	guestsim_set_arp_silent(sim, true);
	attempt = connect_with(&bed, &told, fake_host_accepted(&bed.host), NULL);
	nat_tcp_connect_cancel(bed.nat, attempt); /* waits for the MAC */
	ck_assert_uint_eq(bed.host.count.resets, 1);
	guestsim_set_arp_silent(sim, false);
	bed_connect(&bed, 0, 40000, PEER, 80);
	bed.guests[0].deaf = true;
	attempt = connect_with(&bed, &told, fake_host_accepted(&bed.host), NULL);
	nat_tcp_connect_cancel(bed.nat, attempt); /* waits for the answer */
	ck_assert_uint_eq(bed.host.count.resets, 2);
	bed.guests[0].deaf = false;
	bed_advance(&bed, 10000);
	ck_assert_uint_eq(told.n, 0);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_limit_of_waiting_attempts_holds)
{
	struct told told = {.handle = -1};
	struct nat_connect connect = {.peer = bed_endpoint("127.0.0.1", 0),
				      .guest = {bed_guest_addr(3), 22},
				      .handle = -1,
				      .outcome = on_outcome,
				      .ctx = &told};
	unsigned begun = 0;
	struct bed bed;

	bed_simple(&bed);
	for (unsigned i = 0; i < 5000; i++)
		begun += nat_tcp_connect(bed.nat, &connect, NULL) == 0;
	ck_assert_uint_ge(begun, 256);
	ck_assert_uint_lt(begun, 5000);
	BED_UNTIL(&bed, told.n == begun);
	ck_assert_int_eq(nat_tcp_connect(bed.nat, &connect, NULL), 0);
	bed_finish(&bed);
}
END_TEST

/* An outcome that begins and cancels others. */
struct chain {
	struct bed *bed;
	struct nat_attempt *other;
	unsigned n;
};

static int on_chain(void *ctx, uint64_t cookie, enum nat_outcome outcome)
{
	struct chain *chain = ctx;
	struct nat_connect again = {.peer = bed_endpoint("127.0.0.1", 0),
				    .guest = {bed_guest_addr(0), 22},
				    .handle = -1,
				    .outcome = on_chain,
				    .ctx = chain};

	ck_assert_uint_eq(cookie, 0);
	ck_assert_int_eq(outcome, NAT_REFUSED);
	if (chain->other)
		nat_tcp_connect_cancel(chain->bed->nat, chain->other);
	chain->other = NULL;
	if (++chain->n < 5)
		ck_assert_int_eq(nat_tcp_connect(chain->bed->nat, &again, NULL), 0);
	return -1;
}

START_TEST(test_outcome_may_begin_and_cancel_others)
{
	struct bed bed;
	struct chain chain = {.bed = &bed};
	struct nat_connect connect = {
	    .peer = bed_endpoint("127.0.0.1", 0), .handle = -1, .outcome = on_chain, .ctx = &chain};

	bed_simple(&bed);
	connect.guest = (struct endpoint){bed_guest_addr(0), 22};
	ck_assert_int_eq(nat_tcp_connect(bed.nat, &connect, NULL), 0);
	connect.cookie = 1; /* never told */
	ck_assert_int_eq(nat_tcp_connect(bed.nat, &connect, &chain.other), 0);
	BED_UNTIL(&bed, chain.n == 5);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_forward_counts_its_connections_and_bytes)
{
	struct told told = {.handle = -1};
	struct nat_forward_stats stats;
	struct nat_forward *forward;
	struct guestsim *sim;
	struct sim_tcp *tcp;
	struct bed bed;
	int handle;

	sim = bed_simple(&bed);
	bed.host.defaults.send_total = 5000;
	sim_tcp_listen(sim, 22, &server_setup);
	ck_assert_int_eq(nat_forward_new(bed.nat, -1, &forward), 0);
	handle = fake_host_accepted(&bed.host);
	connect_with(&bed, &told, handle, forward);
	BED_UNTIL(&bed, bed.host.handles[handle].written == 100000);
	nat_forward_stats(forward, &stats);
	ck_assert_uint_eq(stats.live, 1);
	ck_assert_uint_eq(stats.opened, 1);
	ck_assert_uint_eq(stats.bytes_to_guest, 5000);
	ck_assert_uint_eq(stats.bytes_to_host, 100000);
	tcp = sim_tcp_accept(sim, 22);
	sim_tcp_abort(tcp);
	bed_settle(&bed);
	nat_forward_stats(forward, &stats);
	ck_assert_uint_eq(stats.live, 0);
	ck_assert_uint_eq(stats.bytes_to_host, 100000);
	nat_forward_drop(bed.nat, forward, false);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_dropped_forward_leaves_or_cuts_its_connections)
{
	for (int cut = 0; cut < 2; cut++) {
		struct told told = {.handle = -1};
		struct nat_forward *forward;
		struct guestsim *sim;
		struct sim_tcp *tcp;
		struct bed bed;
		int handle;

		sim = bed_simple(&bed);
		sim_tcp_listen(sim, 22, &bed_setup);
		ck_assert_int_eq(nat_forward_new(bed.nat, -1, &forward), 0);
		handle = fake_host_accepted(&bed.host);
		connect_with(&bed, &told, handle, forward);
		bed_settle(&bed);
		tcp = sim_tcp_accept(sim, 22);
		nat_forward_drop(bed.nat, forward, cut);
		bed_settle(&bed);
		ck_assert_int_eq(tcp->state, cut ? SIM_RESET : SIM_OPEN);
		ck_assert_uint_eq(bed.host.count.resets, cut ? 1 : 0);
		if (!cut) { /* and it works on */
			tcp->send_total = 70000;
			tcp->send_seed = 0;
			sim_tcp_kick(tcp);
			BED_UNTIL(&bed, bed.host.handles[handle].written == 70000);
		}
		bed_finish(&bed);
	}
}
END_TEST

START_TEST(test_dropped_forward_ends_the_wait_for_its_guest)
{
	struct told told = {.handle = -1};
	struct nat_forward *forward;
	struct bed bed;

	bed_init(&bed);
	bed_start(&bed);
	ck_assert_int_eq(nat_forward_new(bed.nat, -1, &forward), 0);
	connect_with(&bed, &told, fake_host_accepted(&bed.host), forward);
	nat_forward_drop(bed.nat, forward, false);
	ck_assert_uint_eq(bed.host.count.resets, 1);
	bed_settle(&bed);
	check_told(&told, NAT_NO_NEIGHBOUR);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_udp_forward_counts_and_ends_its_mappings)
{
	struct endpoint peer = bed_endpoint(PEER, 7000), guest = {bed_guest_addr(0), 514};
	struct nat_forward_stats stats;
	struct nat_forward *forward;
	struct guestsim *sim;
	struct bed bed;
	int handle;

	sim = bed_simple(&bed);
	handle = fake_host_listener(&bed.host);
	ck_assert_int_eq(nat_forward_new(bed.nat, handle, &forward), 0);
	nat_udp_inbound(bed.nat, handle, &peer, &guest, frames_bytes("hello", 5));
	bed_settle(&bed);
	guestsim_udp_send(sim, 514, &peer, frames_bytes("answer", 6));
	bed_settle(&bed);
	free(guestsim_udp_pop(sim));
	nat_forward_stats(forward, &stats);
	ck_assert_uint_eq(stats.live, 1);
	ck_assert_uint_eq(stats.bytes_to_guest, 5);
	ck_assert_uint_eq(stats.bytes_to_host, 6);
	nat_forward_drop(bed.nat, forward, false);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	fake_host_ops.datagram_close(&bed.host, handle);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return NATBED_SUITE(
	    "nat_outcome", test_answer_is_told_before_the_host_side_is_there,
	    test_answer_is_told_of_a_connection_that_is_there,
	    test_who_wanted_to_know_only_leaves_no_connection, test_closed_port_is_told_as_refused,
	    test_address_of_nobody_is_told_as_no_neighbour,
	    test_guest_that_is_silent_is_told_as_timed_out,
	    test_guest_that_leaves_meanwhile_is_told, test_cancelled_attempts_are_told_nothing,
	    test_limit_of_waiting_attempts_holds, test_outcome_may_begin_and_cancel_others,
	    test_forward_counts_its_connections_and_bytes,
	    test_dropped_forward_leaves_or_cuts_its_connections,
	    test_dropped_forward_ends_the_wait_for_its_guest,
	    test_udp_forward_counts_and_ends_its_mappings);
}
