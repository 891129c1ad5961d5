/* Floods and limits: what one guest does costs a bounded amount of memory, and nobody else. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define AWAY "198.51.100.7"
#define MIB ((uint64_t)1 << 20)

static const struct sim_tcp_setup echo_setup = {.wscale = 7, .send_seed = 1, .recv_seed = 1};

static void raw_syn(struct bed *bed, unsigned n, uint32_t i)
{
	struct frames_ends ends = bed_ends(bed, n, AWAY);
	uint8_t bytes[100];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	ends.dst = addr_v4(0xcb007100u + (i >> 14)); /* 203.0.113.0 and on */
	frames_tcp(&out, &ends,
		   &(struct frames_tcp){.src_port = (uint16_t)(1 + i % 65535),
					.dst_port = (uint16_t)(1 + i % 60000),
					.seq = i * 7919,
					.flags = FLAG_SYN,
					.window = 60000},
		   frames_bytes(NULL, 0));
	ck_assert(!out.bad);
	fake_queue_push(&bed->guests[n].out, bytes, wire_len(&out));
}

static int dial_only_away(void *ctx, const struct endpoint *to, int *ret_connect_result)
{
	struct addr away = bed_addr(AWAY);

	*ret_connect_result = addr_eq(&to->addr, &away) ? 0 : *(int *)ctx;
	return 0;
}

/* Floods with SYNs whose dials come to 'result', then connects as the same and another guest. */
static void check_syn_flood(int result)
{
	struct sim_tcp *same, *other, *old;
	uint64_t start_ms;
	struct bed bed;

	bed_init(&bed);
	bed.config.limits = nat_limits_default(20000);
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	bed_add_guest(&bed, 1);
	bed.host.dial_policy = dial_only_away;
	bed.host.dial_ctx = &result;
	bed.host.defaults.echo = true;
	old = bed_connect(&bed, 0, 40000, AWAY, 80);
	for (uint32_t i = 0; i < 50000; i++) {
		raw_syn(&bed, 0, i);
		if (i % 1000 == 0)
			bed_settle(&bed);
	}
	bed_settle(&bed);
	ck_assert_uint_le(bed.host.open_max, 20000);
	ck_assert_uint_le(nat_flow_count(bed.nat), 40000);
	other = bed_connect(&bed, 1, 40000, AWAY, 80);
	ck_assert_int_eq(other->state, SIM_OPEN);
	start_ms = bed.now_ms;
	same = bed_connect(&bed, 0, 40001, AWAY, 80);
	BED_UNTIL(&bed, same->state == SIM_OPEN);
	ck_assert_uint_le(bed.now_ms - start_ms, 3100); /* two SYNs may have been lost */
	old->recv_seed = old->send_seed;
	old->send_total = 1000;
	sim_tcp_kick(old);
	BED_UNTIL(&bed, old->received == 1000);
	bed_finish(&bed);
}

START_TEST(test_service_after_fifty_thousand_syns_into_a_black_hole)
{
	check_syn_flood(FAKE_DIAL_PENDING);
}
END_TEST

START_TEST(test_service_after_fifty_thousand_refused_syns)
{
	check_syn_flood(-ECONNREFUSED);
}
END_TEST

START_TEST(test_service_after_fifty_thousand_unreachable_syns)
{
	check_syn_flood(-EHOSTUNREACH);
}
END_TEST

START_TEST(test_service_after_fifty_thousand_syns_answered_and_left_alone)
{
	struct sim_tcp *other, *same;
	struct bed bed;

	bed_init(&bed);
	bed.config.limits = nat_limits_default(5000);
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	bed_add_guest(&bed, 1);
	bed.guests[0].deaf = true;
	for (uint32_t i = 0; i < 50000; i++) {
		raw_syn(&bed, 0, i);
		if (i % 1000 == 0)
			bed_settle(&bed);
	}
	bed_settle(&bed);
	ck_assert_uint_le(bed.host.open_max, 5000);
	other = bed_connect(&bed, 1, 40000, AWAY, 80);
	ck_assert_int_eq(other->state, SIM_OPEN);
	bed_advance(&bed, 60000);
	bed.guests[0].deaf = false;
	fake_queue_clear(&bed.guests[0].port.sent);
	same = bed_connect(&bed, 0, 40001, AWAY, 80);
	BED_UNTIL(&bed, same->state == SIM_OPEN);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_flows_per_guest_are_limited_and_old_ones_live)
{
	struct sim_tcp *tcp[20];
	struct bed bed;

	bed_init(&bed);
	bed.config.limits.flows_per_guest_max = 10;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	bed_add_guest(&bed, 1);
	bed.host.defaults.echo = true;
	for (unsigned i = 0; i < 20; i++)
		tcp[i] = bed_connect(&bed, 0, (uint16_t)(40000 + i), AWAY, 80);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(tcp[i]->state, i < 10 ? SIM_OPEN : SIM_RESET);
	ck_assert_uint_eq(nat_counters(bed.nat)->dropped_limit, 10);
	ck_assert_int_eq(bed_connect(&bed, 1, 40000, AWAY, 80)->state, SIM_OPEN);
	sim_tcp_abort(tcp[3]);
	bed_settle(&bed);
	ck_assert_int_eq(bed_connect(&bed, 0, 50000, AWAY, 80)->state, SIM_OPEN);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_flows_in_all_are_limited)
{
	unsigned open = 0;
	struct bed bed;

	bed_init(&bed);
	bed.config.limits.flows_max = 10;
	bed.config.limits.flows_per_guest_max = 8;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	bed_add_guest(&bed, 1);
	for (unsigned i = 0; i < 20; i++)
		open +=
		    bed_connect(&bed, i % 2, (uint16_t)(40000 + i), AWAY, 80)->state == SIM_OPEN;
	ck_assert_uint_eq(open, 10);
	ck_assert_uint_eq(bed.host.open_max, 10);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_inbound_beyond_the_limit_is_reset)
{
	struct endpoint guest = {bed_guest_addr(0), 22};
	struct bed bed;

	bed_init(&bed);
	bed.config.limits.flows_per_guest_max = 4;
	bed_start(&bed);
	sim_tcp_listen(bed_add_guest(&bed, 0), 22, &echo_setup);
	for (unsigned i = 0; i < 10; i++) {
		struct endpoint peer = bed_endpoint("203.0.113.9", (uint16_t)(7000 + i));
		nat_tcp_inbound(bed.nat, fake_host_accepted(&bed.host), &peer, &guest);
		bed_settle(&bed);
	}
	ck_assert_uint_eq(bed.host.open_n, 4);
	ck_assert_uint_eq(bed.host.count.resets, 6);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_oldest_dial_gives_way_to_the_newest)
{
	struct sim_tcp *last = NULL;
	struct endpoint away = bed_endpoint(AWAY, 80);
	struct bed bed;

	bed_init(&bed);
	bed.config.limits.half_open_per_guest_max = 16;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	bed.host.connect_result = FAKE_DIAL_PENDING;
	for (uint32_t i = 0; i < 100; i++) {
		raw_syn(&bed, 0, i);
		bed_settle(&bed);
	}
	ck_assert_uint_le(bed.host.open_n, 16);
	last = bed_connect(&bed, 0, 40000, AWAY, 80);
	fake_host_dial_done(&bed.host, fake_host_find(&bed.host, &away), 0);
	BED_UNTIL(&bed, last->state == SIM_OPEN);
	bed_finish(&bed);
}
END_TEST

/* Sends 'rounds' small segments of random flows; returns nanoseconds of CPU for each. */
static double cost_of(struct bed *bed, struct sim_tcp **tcp, unsigned tcp_n, unsigned rounds)
{
	struct timespec begin, end;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
	for (unsigned i = 0; i < rounds; i++) {
		struct sim_tcp *one = tcp[dice_below(&bed->dice, tcp_n)];
		one->send_total += 100;
		sim_tcp_kick(one);
		if (i % 100 == 99)
			bed_settle(bed);
	}
	bed_settle(bed);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	return ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) /
	       rounds;
}

/* lwIP's connection lists: with one connection at a time swapped in, they are empty between calls
 * however many connections there are, so that no call can walk along others. */
extern void *tcp_active_pcbs;
extern void *tcp_tw_pcbs;
extern void *tcp_bound_pcbs;

#define FLOWS 50000u

START_TEST(test_fifty_thousand_flows_are_never_on_a_list_together)
{
	static struct sim_tcp *tcp[FLOWS];
	struct guestsim *sim;
	double few = 0, many;
	struct bed bed;

	sim = bed_simple(&bed);
	bed.host.defaults.echo = true;
	bed.host.defaults.recv_seed = echo_setup.send_seed;
	for (unsigned i = 0; i < FLOWS; i++) {
		struct endpoint to = {addr_v4(0xcb007100u + i / 20000), 80};
		tcp[i] = sim_tcp_connect(sim, (uint16_t)(2000 + i % 20000), &to, &echo_setup);
		if (i % 500 == 499)
			bed_settle(&bed);
		if (i == 999)
			few = cost_of(&bed, tcp, 1000, 20000);
	}
	bed_settle(&bed);
	ck_assert_uint_eq(nat_flow_count(bed.nat), FLOWS);
	for (unsigned i = 0; i < FLOWS; i++)
		ck_assert_int_eq(tcp[i]->state, SIM_OPEN);
	many = cost_of(&bed, tcp, FLOWS, 20000);
	ck_assert_ptr_null(tcp_active_pcbs);
	ck_assert_ptr_null(tcp_tw_pcbs);
	ck_assert_ptr_null(tcp_bound_pcbs);
	printf("a small echo costs %.0f ns among 1,000 flows and %.0f ns among 50,000, guest and "
	       "host included\n",
	       few, many);
	for (unsigned i = 0; i < FLOWS; i++)
		ck_assert_uint_eq(tcp[i]->received, tcp[i]->send_total);
	bed_advance(&bed, 1000);
	ck_assert_uint_ge(nat_next_ms(bed.nat, bed.now_ms), 1000);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_that_reads_nothing_costs_a_bounded_amount)
{
	uint64_t taken = 0;
	struct sim_tcp *tcp[40];
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.send_total = 100 * MIB;
	bed.guests[0].port.impair.drop_ppm = 1000000; /* no data before all have connected */
	bed.host.connect_result = FAKE_DIAL_PENDING;
	for (unsigned i = 0; i < 40; i++)
		tcp[i] = bed_connect(&bed, 0, (uint16_t)(40000 + i), AWAY, (uint16_t)(80 + i));
	bed.guests[0].port.impair.drop_ppm = 0;
	bed.host.defaults.send_total = 0;
	for (int i = 0; i < 40; i++) {
		fake_host_handle(&bed.host, i)->send_total = 0;
		fake_host_dial_done(&bed.host, i, 0);
	}
	BED_UNTIL(&bed, tcp[39]->state == SIM_OPEN && tcp[0]->state == SIM_OPEN);
	bed.guests[0].deaf = true;
	bed.guests[0].port.blocked_at = 200000;
	bed.guests[0].port.queue_max = MIB; /* as a real one: it drops what is too much */
	for (int i = 0; i < 40; i++) {
		fake_host_handle(&bed.host, i)->send_total = 20 * MIB;
		fake_host_kick(&bed.host, i);
	}
	bed_advance(&bed, 60000);
	for (int i = 0; i < 40; i++)
		taken +=
		    fake_host_handle(&bed.host, i) ? fake_host_handle(&bed.host, i)->read_n : 0;
	ck_assert_uint_le(taken, 16 * MIB); /* of 800 */
	bed_finish(&bed);
}
END_TEST

START_TEST(test_blocked_port_resumes_where_it_stopped)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	bed.guests[0].port.blocked_at = 30000; /* cleared by the bed when the guest has read */
	fake_host_handle(&bed.host, 0)->send_total = 20 * MIB;
	fake_host_kick(&bed.host, 0);
	BED_UNTIL(&bed, tcp->received == 20 * MIB);
	ck_assert_uint_eq(tcp->count.repeated_in, 0);
	bed_finish(&bed);
}
END_TEST

/* A virtual machine that is paused, for a minute or a weekend. */
START_TEST(test_paused_guest_costs_no_wake_ups_and_goes_on_afterwards)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	fake_host_handle(&bed.host, 0)->send_total = MIB;
	bed.guests[0].deaf = true;
	bed.guests[0].port.blocked_at = 1;
	fake_host_kick(&bed.host, 0);
	bed_advance(&bed, 100);
	ck_assert(bed.guests[0].port.port.blocked);
	ck_assert_uint_eq(nat_next_ms(bed.nat, bed.now_ms), UINT64_MAX);
	bed_advance(&bed, 3600000);
	ck_assert_int_eq(tcp->state, SIM_OPEN);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 1);
	bed.guests[0].deaf = false;
	bed.guests[0].port.blocked_at = 0;
	BED_UNTIL(&bed, tcp->received == MIB);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_port_that_drops_is_backed_off_from)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	bed.guests[0].port.queue_max = 20000; /* a NIC with a dozen buffers, emptied once a turn */
	fake_host_handle(&bed.host, 0)->send_total = 10 * MIB;
	fake_host_kick(&bed.host, 0);
	BED_UNTIL(&bed, tcp->received == 10 * MIB);
	/* Half of the frames may be lost while the rate is sought, not nine tenths for ever. */
	ck_assert_uint_lt(bed.guests[0].port.port.counters.dropped_queue_full,
			  bed.guests[0].port.port.counters.frames_to_guest);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_retransmission_lost_again_shrinks_to_one_frame)
{
	const struct port *port;
	uint64_t frames;
	struct bed bed;

	bed_simple(&bed);
	bed_connect(&bed, 0, 40000, AWAY, 80);
	port = &bed.guests[0].port.port;
	bed.guests[0].deaf = true; /* frames reach its NIC and go no further */
	fake_host_handle(&bed.host, 0)->send_total = MIB;
	fake_host_kick(&bed.host, 0);
	bed_advance(&bed, 5000); /* the first time-outs */
	frames = port->counters.frames_to_guest;
	bed_advance(&bed, 20000);
	ck_assert_uint_gt(port->counters.frames_to_guest, frames);
	ck_assert_uint_le(port->counters.frames_to_guest, frames + 8);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_that_acknowledges_nothing_leaves_the_others_their_memory)
{
	struct sim_tcp *other;
	uint64_t held = 0;
	struct bed bed;

	bed_init(&bed);
	bed.config.limits.host_to_guest_bytes_max = 4 * MIB;
	bed.config.limits.host_to_guest_bytes_per_guest_max = 2 * MIB;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	bed_add_guest(&bed, 1);
	for (unsigned i = 0; i < 50; i++)
		bed_connect(&bed, 0, (uint16_t)(40000 + i), AWAY, (uint16_t)(80 + i))->mute = true;
	for (int i = 0; i < 50; i++) {
		fake_host_handle(&bed.host, i)->send_total = 2 * MIB;
		fake_host_kick(&bed.host, i);
	}
	bed_advance(&bed, 1000);
	for (int i = 0; i < 50; i++)
		held += fake_host_handle(&bed.host, i)->read_n;
	ck_assert_uint_gt(held, MIB);
	ck_assert_uint_le(held, 2 * MIB + 4 * 65536); /* the last read may go over it */
	bed.host.defaults.send_total = 10 * MIB;
	other = bed_connect(&bed, 1, 40000, AWAY, 80);
	BED_UNTIL(&bed, other->received == 10 * MIB);
	bed_finish(&bed);
}
END_TEST

static void send_up_to(struct bed *bed, int handle, uint64_t total, struct sim_tcp *tcp)
{
	fake_host_handle(&bed->host, handle)->send_total = total;
	fake_host_kick(&bed->host, handle);
	if (tcp->mute)
		bed_settle(bed);
	else
		BED_UNTIL(bed, tcp->received == total);
}

/* Bytes that nat has on their way to a guest that took 30 MiB, ten of them 'ms' later, when it
 * acknowledges no more. */
static uint64_t on_their_way_after(unsigned ms)
{
	struct sim_tcp *tcp;
	uint64_t held;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	tcp->recv_buffer = 8 * MIB;
	send_up_to(&bed, 0, 20 * MIB, tcp);
	bed_advance(&bed, ms);
	send_up_to(&bed, 0, 30 * MIB, tcp);
	tcp->mute = true;
	send_up_to(&bed, 0, 60 * MIB, tcp);
	held = fake_host_handle(&bed.host, 0)->read_n - 30 * MIB;
	bed_finish(&bed);
	return held;
}

START_TEST(test_fast_guest_has_much_on_its_way_and_a_slow_one_little)
{
	uint64_t fast = on_their_way_after(10), slow = on_their_way_after(10000);

	ck_assert_uint_gt(fast, 4 * MIB);
	ck_assert_uint_le(fast, 8 * MIB);
	ck_assert_uint_gt(slow, MIB / 2);
	ck_assert_uint_le(slow, MIB + 65536);
}
END_TEST

static void send_and_be_full(struct port *port, const void *hdr, size_t hdr_len,
			     const struct iovec *iov, unsigned iov_n)
{
	port->tapped_ops->send(port, hdr, hdr_len, iov, iov_n);
	port->blocked = true;
}

/* What is read is sent before more is read: a guest whose buffers are full with it is not read for.
 */
START_TEST(test_guest_that_is_full_in_the_middle_of_a_turn_ends_the_reading)
{
	static const struct port_ops full = {.send = send_and_be_full};
	struct fake_handle *peer;
	struct sim_tcp *tcp;
	struct port *port;
	uint64_t before = 0;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	tcp->recv_buffer = 8 * MIB;
	send_up_to(&bed, 0, 20 * MIB, tcp);
	bed_advance(&bed, 10);
	send_up_to(&bed, 0, 30 * MIB, tcp);
	peer = fake_host_handle(&bed.host, 0);
	peer->send_total = 60 * MIB;
	fake_host_kick(&bed.host, 0);
	fake_host_deliver(&bed.host, bed.nat);
	for (int turn = 0; turn < 3; turn++) { /* each reads more than the one before */
		before = peer->read_n;
		nat_run(bed.nat, bed.now_ms);
	}
	ck_assert_uint_ge(peer->read_n - before, MIB - 65536);
	before = peer->read_n;
	port = &bed.guests[0].port.port;
	port->tapped_ops = port->ops;
	port->ops = &full;
	nat_run(bed.nat, bed.now_ms);
	ck_assert_uint_gt(peer->read_n, before);
	ck_assert_uint_lt(peer->read_n, before + MIB / 2);
	port->ops = port->tapped_ops;
	bed_finish(&bed);
}
END_TEST

START_TEST(test_flow_with_much_on_its_way_leaves_the_others_theirs)
{
	struct sim_tcp *tcp[3];
	struct bed bed;

	bed_init(&bed);
	bed.config.limits.host_to_guest_bytes_per_guest_max = 8 * MIB;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	for (unsigned i = 0; i < 3; i++) {
		tcp[i] = bed_connect(&bed, 0, (uint16_t)(40000 + i), AWAY, (uint16_t)(80 + i));
		tcp[i]->recv_buffer = 8 * MIB;
	}
	for (unsigned round = 1; round <= 3; round++) {
		for (int i = 0; i < 2; i++)
			send_up_to(&bed, i, 20 * MIB * round, tcp[i]);
		bed_advance(&bed, 10);
	}
	for (int i = 0; i < 3; i++) {
		tcp[i]->mute = true;
		send_up_to(&bed, i, 80 * MIB, tcp[i]);
	}
	/* The first has all that is not kept back, the others have their fair shares. */
	ck_assert_uint_gt(fake_host_handle(&bed.host, 0)->read_n, 62 * MIB);
	ck_assert_uint_ge(fake_host_handle(&bed.host, 1)->read_n, 60 * MIB + MIB / 2);
	ck_assert_uint_gt(fake_host_handle(&bed.host, 2)->read_n, MIB / 5);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_unacknowledged_bytes_towards_guests_are_limited_in_all)
{
	struct sim_tcp *tcp[200];
	uint64_t held = 0;
	struct bed bed;

	bed_init(&bed);
	bed.config.limits.host_to_guest_bytes_max = 8 * MIB;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	for (unsigned i = 0; i < 200; i++) {
		tcp[i] = bed_connect(&bed, 0, (uint16_t)(40000 + i), AWAY, (uint16_t)(80 + i));
		tcp[i]->mute = true; /* acknowledges nothing after the handshake */
	}
	for (int i = 0; i < 200; i++) {
		fake_host_handle(&bed.host, i)->send_total = 2 * MIB;
		fake_host_kick(&bed.host, i);
	}
	bed_advance(&bed, 2000);
	for (int i = 0; i < 200; i++)
		held += fake_host_handle(&bed.host, i)->read_n;
	ck_assert_uint_gt(held, 4 * MIB);
	ck_assert_uint_le(held, 8 * MIB);
	for (unsigned i = 0; i < 200; i++) {
		tcp[i]->mute = false;
		tcp[i]->ack_due = true;
		sim_tcp_kick(tcp[i]);
	}
	for (unsigned i = 0; i < 200; i++)
		BED_UNTIL(&bed, tcp[i]->received == 2 * MIB);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_bytes_waiting_for_slow_hosts_are_limited_per_guest)
{
	struct sim_tcp *tcp[200];
	uint64_t acked = 0, written = 0;
	struct guestsim *sim;
	struct bed bed;

	sim = bed_simple(&bed);
	bed.host.defaults.write_room = 0;
	for (unsigned i = 0; i < 200; i++) {
		struct endpoint to = bed_endpoint(AWAY, (uint16_t)(80 + i));
		tcp[i] = sim_tcp_connect(sim, (uint16_t)(40000 + i), &to, &echo_setup);
		tcp[i]->send_total = 4 * MIB;
	}
	bed_advance(&bed, 3000);
	for (unsigned i = 0; i < 200; i++)
		acked += tcp[i]->acked;
	ck_assert_uint_le(acked, bed.config.limits.guest_to_host_bytes_max + 2 * MIB);
	ck_assert_uint_le(bed.chunks_alive, 64);
	for (int i = 0; i < 200; i++) {
		fake_host_handle(&bed.host, i)->write_room = FAKE_UNLIMITED;
		fake_host_kick(&bed.host, i);
	}
	for (unsigned i = 0; i < 200; i++)
		BED_UNTIL(&bed, tcp[i]->acked == 4 * MIB);
	for (int i = 0; i < 200; i++) {
		ck_assert_uint_eq(fake_host_handle(&bed.host, i)->mismatch, 0);
		written += fake_host_handle(&bed.host, i)->written;
	}
	ck_assert_uint_eq(written, 200 * 4 * MIB);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_one_guests_flood_leaves_the_other_its_mappings)
{
	struct endpoint to = bed_endpoint(AWAY, 7);
	struct guestsim_datagram *got;
	struct guestsim *other;
	struct bed bed;

	bed_init(&bed);
	bed.config.limits = nat_limits_default(1000);
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	other = bed_add_guest(&bed, 1);
	bed.host.udp_echo = true;
	guestsim_udp_send(other, 5000, &to, frames_bytes("mine", 4));
	bed_settle(&bed);
	free(guestsim_udp_pop(other));
	for (unsigned port = 1; port < 65536; port++) {
		guestsim_udp_send(bed.guests[0].sim, (uint16_t)port, &to, frames_bytes("x", 1));
		if (port % 500 == 0) {
			bed_settle(&bed);
			while ((got = guestsim_udp_pop(bed.guests[0].sim)))
				free(got);
		}
	}
	bed_settle(&bed);
	ck_assert_uint_le(bed.host.open_max, 1000);
	ck_assert_ptr_nonnull(fake_host_handle(&bed.host, 0)); /* the other guest was first */
	fake_host_udp_deliver(&bed.host, 0, &to, "yours", 5);
	bed_settle(&bed);
	got = guestsim_udp_pop(other);
	ck_assert_ptr_nonnull(got);
	free(got);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_stale_and_random_tokens_are_ignored)
{
	uint64_t token;
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	token = fake_host_handle(&bed.host, 0)->token;
	sim_tcp_abort(tcp);
	bed_settle(&bed);
	for (unsigned events = 0; events < 16; events++) {
		nat_host_event(bed.nat, token, events);
		nat_host_event(bed.nat, token + 1, events);
		nat_host_event(bed.nat, 0, events);
		nat_host_event(bed.nat, UINT64_MAX, events);
		nat_host_event(bed.nat, token ^ (1ull << 40), events);
	}
	bed_settle(&bed);
	bed_connect(&bed, 0, 40001, AWAY, 80);
	nat_host_event(bed.nat, token, HOST_ERROR | HOST_EOF);
	bed_settle(&bed);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_second_nat_is_refused)
{
	struct nat *second;
	struct bed bed;

	bed_simple(&bed);
	ck_assert_int_eq(nat_new(&second, &bed.config), -EBUSY);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_senseless_configurations_are_refused)
{
	struct nat *nat;
	struct bed bed;

	nat_free(NULL);
	bed_init(&bed);
	bed.config.mtu = 60;
	ck_assert_int_eq(nat_new(&nat, &bed.config), -EINVAL);
	bed.config.mtu = 1000;
	bed.config.ipv6 = true;
	ck_assert_int_eq(nat_new(&nat, &bed.config), -EINVAL);
	bed.config.ipv4 = bed.config.ipv6 = false;
	ck_assert_int_eq(nat_new(&nat, &bed.config), -EINVAL);
	fake_host_fini(&bed.host);
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "nat_limits", test_service_after_fifty_thousand_syns_into_a_black_hole,
	    test_service_after_fifty_thousand_refused_syns,
	    test_service_after_fifty_thousand_unreachable_syns,
	    test_service_after_fifty_thousand_syns_answered_and_left_alone,
	    test_flows_per_guest_are_limited_and_old_ones_live, test_flows_in_all_are_limited,
	    test_inbound_beyond_the_limit_is_reset, test_oldest_dial_gives_way_to_the_newest,
	    test_fifty_thousand_flows_are_never_on_a_list_together,
	    test_guest_that_reads_nothing_costs_a_bounded_amount,
	    test_paused_guest_costs_no_wake_ups_and_goes_on_afterwards,
	    test_blocked_port_resumes_where_it_stopped, test_port_that_drops_is_backed_off_from,
	    test_retransmission_lost_again_shrinks_to_one_frame,
	    test_guest_that_acknowledges_nothing_leaves_the_others_their_memory,
	    test_unacknowledged_bytes_towards_guests_are_limited_in_all,
	    test_fast_guest_has_much_on_its_way_and_a_slow_one_little,
	    test_guest_that_is_full_in_the_middle_of_a_turn_ends_the_reading,
	    test_flow_with_much_on_its_way_leaves_the_others_theirs,
	    test_bytes_waiting_for_slow_hosts_are_limited_per_guest,
	    test_one_guests_flood_leaves_the_other_its_mappings,
	    test_stale_and_random_tokens_are_ignored, test_second_nat_is_refused,
	    test_senseless_configurations_are_refused);
}
