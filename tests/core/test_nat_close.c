/* How connections end: FIN in either order, RST both ways, TIME_WAIT, stale segments, guests that
 * vanish. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#define AWAY "198.51.100.7"

START_TEST(test_guest_closes_first_and_goes_on_receiving)
{
	struct fake_handle *h;
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	tcp->send_total = 3000;
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	bed_settle(&bed);
	h = bed_only_handle(&bed);
	ck_assert_uint_eq(h->written, 3000);
	ck_assert(h->eof_from_guest);
	ck_assert(tcp->fin_acked);
	ck_assert(!tcp->fin_received);
	bed_advance(&bed, 100000); /* a half-closed connection is no idle one */
	h->send_total = 50000;
	bed_kick_host(&bed);
	ck_assert_uint_eq(tcp->received, 50000);
	h->eof_when_sent = true;
	bed_kick_host(&bed);
	ck_assert_int_eq(tcp->state, SIM_DONE);
	ck_assert_uint_eq(bed.host.count.closes, 1);
	ck_assert_uint_eq(bed.host.count.resets, 0);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_host_closes_first_and_goes_on_receiving)
{
	struct fake_handle *h;
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.send_total = 1000;
	bed.host.defaults.eof_when_sent = true;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	ck_assert_uint_eq(tcp->received, 1000);
	ck_assert(tcp->fin_received);
	bed_advance(&bed, 100000);
	tcp->send_total = 100000;
	sim_tcp_kick(tcp);
	bed_settle(&bed);
	h = bed_only_handle(&bed);
	ck_assert_uint_eq(h->written, 100000);
	ck_assert(!h->eof_from_guest);
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	bed_settle(&bed);
	ck_assert_int_eq(tcp->state, SIM_DONE);
	BED_UNTIL(&bed, bed.host.open_n == 0);
	ck_assert_uint_eq(bed.host.count.closes, 1);
	BED_UNTIL(&bed, nat_flow_count(bed.nat) == 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_time_wait_holds_no_descriptor)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.eof_when_sent = true;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	bed_settle(&bed);
	ck_assert_int_eq(tcp->state, SIM_DONE);
	ck_assert_uint_eq(bed.host.open_n, 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_both_close_at_once)
{
	struct fake_handle *h;
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	h = bed_only_handle(&bed);
	h->send_total = 5000;
	h->eof_when_sent = true;
	fake_host_kick(&bed.host, fake_host_nth(&bed.host, FAKE_TCP, 0));
	tcp->send_total = 7000;
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	guestsim_run(bed.guests[0].sim, bed.now_ms); /* its FIN is on the wire before ours */
	bed_settle(&bed);
	ck_assert_int_eq(tcp->state, SIM_DONE);
	ck_assert_uint_eq(tcp->received, 5000);
	BED_UNTIL(&bed, nat_flow_count(bed.nat) == 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_fins_are_repeated_until_acknowledged)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	bed.guests[0].port.impair.drop_ppm = 1000000;
	bed_only_handle(&bed)->eof_when_sent = true;
	bed_kick_host(&bed);
	bed_advance(&bed, 500);
	bed.guests[0].port.impair.drop_ppm = 0;
	BED_UNTIL(&bed, tcp->fin_received);
	bed.guests[0].impair.drop_ppm = 1000000;
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	bed_advance(&bed, 500);
	bed.guests[0].impair.drop_ppm = 0;
	BED_UNTIL(&bed, tcp->state == SIM_DONE);
	BED_UNTIL(&bed, nat_flow_count(bed.nat) == 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_ports_can_be_used_again_during_time_wait)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.eof_when_sent = true;
	for (unsigned i = 0; i < 20; i++) {
		uint64_t before_ms = bed.now_ms;

		tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
		BED_UNTIL(&bed, tcp->state == SIM_OPEN && tcp->fin_received);
		ck_assert_uint_le(bed.now_ms - before_ms, 5000);
		tcp->fin_when_sent = true;
		sim_tcp_kick(tcp);
		BED_UNTIL(&bed, tcp->state == SIM_DONE);
	}
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_reset_resets_the_host_side)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.send_total = 100000;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	ck_assert_uint_eq(tcp->received, 100000);
	sim_tcp_abort(tcp);
	bed_settle(&bed);
	ck_assert_uint_eq(bed.host.count.resets, 1);
	ck_assert_uint_eq(bed.host.open_n, 0);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	ck_assert_uint_eq(nat_counters(bed.nat)->tcp_reset_by_guest, 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_reset_after_its_fin_resets_the_host_side)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	bed_settle(&bed);
	sim_tcp_abort(tcp);
	bed_settle(&bed);
	ck_assert_uint_eq(bed.host.count.resets, 1);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_host_reset_resets_the_guest)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	tcp->send_total = 1000;
	sim_tcp_kick(tcp);
	bed_settle(&bed);
	bed_only_handle(&bed)->read_error = -ECONNRESET;
	bed_kick_host(&bed);
	ck_assert_int_eq(tcp->state, SIM_RESET);
	ck_assert_uint_eq(bed.host.open_n, 0);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	ck_assert_uint_eq(nat_counters(bed.nat)->tcp_reset_by_host, 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_host_reset_reaches_a_guest_that_does_not_read)
{
	struct sim_tcp_setup setup = bed_setup;
	struct endpoint away = bed_endpoint(AWAY, 80);
	struct guestsim *sim;
	struct sim_tcp *tcp;
	struct bed bed;

	sim = bed_simple(&bed);
	setup.paused = true;
	setup.recv_buffer = 20000;
	bed.host.defaults.send_total = 1000000;
	tcp = sim_tcp_connect(sim, 40000, &away, &setup);
	bed_advance(&bed, 1000);
	bed_only_handle(&bed)->read_error = -ECONNRESET;
	bed_only_handle(&bed)->write_error = -EPIPE;
	bed_only_handle(&bed)->send_total = bed_only_handle(&bed)->read_n;
	bed_kick_host(&bed);
	BED_UNTIL(&bed, bed.host.open_n == 0 || bed.now_ms > 2000000);
	tcp->paused = false;
	sim_tcp_kick(tcp);
	BED_UNTIL(&bed, tcp->state == SIM_RESET);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_broken_pipe_on_write_resets_the_guest)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	bed_only_handle(&bed)->write_error = -EPIPE;
	tcp->send_total = 10;
	sim_tcp_kick(tcp);
	bed_settle(&bed);
	ck_assert_int_eq(tcp->state, SIM_RESET);
	ck_assert_uint_eq(bed.host.open_n, 0);
	bed_finish(&bed);
}
END_TEST

/* What the NAT answers to one segment of the test's own. */
static bool answer_to(struct bed *bed, const struct frames_tcp *segment, struct packet *ret)
{
	struct frames_ends ends = bed_ends(bed, 0, AWAY);
	uint8_t bytes[200];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct fake_frame *frame;
	bool any;

	bed->guests[0].deaf = true;
	frames_tcp(&out, &ends, segment, frames_bytes("abc", 3));
	bed_inject(bed, 0, &out);
	any = bed_next_packet(bed, 0, ret, &frame);
	free(frame);
	return any;
}

START_TEST(test_segment_for_no_flow_is_reset)
{
	struct frames_tcp segment = {.src_port = 40000,
				     .dst_port = 80,
				     .seq = 1000,
				     .ack = 77777,
				     .flags = FLAG_ACK | FLAG_PSH};
	struct packet p;
	struct bed bed;

	bed_simple(&bed);
	ck_assert(answer_to(&bed, &segment, &p)); /* RFC 9293 section 3.10.7.1 */
	ck_assert_uint_eq(p.kind, PACKET_TCP);
	ck_assert_uint_ne(p.flags & FLAG_RST, 0);
	ck_assert_uint_eq(p.seq, 77777);
	ck_assert_uint_eq(p.src_port, 80);
	ck_assert_uint_eq(p.dst_port, 40000);
	segment.flags = FLAG_FIN;
	ck_assert(answer_to(&bed, &segment, &p));
	ck_assert_uint_eq(p.flags & (FLAG_RST | FLAG_ACK), FLAG_RST | FLAG_ACK);
	ck_assert_uint_eq(p.ack, 1004);
	segment.flags = FLAG_RST | FLAG_ACK;
	ck_assert(!answer_to(&bed, &segment, &p));
	segment.flags = FLAG_RST;
	ck_assert(!answer_to(&bed, &segment, &p));
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guests_departure_resets_its_flows_and_no_others)
{
	struct sim_tcp *other;
	struct bed bed;

	bed_simple(&bed);
	bed_add_guest(&bed, 1);
	bed.host.defaults.echo = true;
	for (unsigned i = 0; i < 50; i++)
		bed_connect(&bed, 0, (uint16_t)(40000 + i), AWAY, 80);
	bed.host.connect_result = FAKE_DIAL_PENDING;
	bed_connect(&bed, 0, 50000, AWAY, 80);
	bed.host.connect_result = 0;
	other = bed_connect(&bed, 1, 40000, AWAY, 80);
	ck_assert_uint_eq(bed.host.open_n, 52);
	bed_remove_guest(&bed, 0);
	ck_assert_uint_eq(bed.host.open_n, 1);
	ck_assert_uint_eq(bed.host.count.resets, 51);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 1);
	other->recv_seed = other->send_seed;
	other->send_total = 5000;
	sim_tcp_kick(other);
	bed_settle(&bed);
	ck_assert_uint_eq(other->received, 5000);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_freeing_the_nat_resets_what_is_open)
{
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.send_total = 100000;
	bed_connect(&bed, 0, 40000, AWAY, 80);
	bed.host.connect_result = FAKE_DIAL_PENDING;
	bed_connect(&bed, 0, 40001, AWAY, 80);
	bed.host.udp_echo = true;
	guestsim_udp_send(bed.guests[0].sim, 5000, &(struct endpoint){bed_addr(AWAY), 7},
			  frames_bytes("x", 1));
	bed_settle(&bed);
	ck_assert_uint_eq(bed.host.open_n, 3);
	nat_free(bed.nat);
	ck_assert_uint_eq(bed.host.count.resets, 2);
	fake_port_fini(&bed.guests[0].port);
	fake_queue_clear(&bed.guests[0].out);
	bed_check_clean(&bed);
}
END_TEST

START_TEST(test_switched_off_guest_is_found_out)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	bed.guests[0].deaf = true;
	tcp->no_timer = true;
	bed_only_handle(&bed)->send_total = 100000;
	bed_kick_host(&bed);
	BED_UNTIL(&bed, bed.host.open_n == 0);
	ck_assert_uint_eq(bed.host.count.resets, 1);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_rebooted_guest_resets_its_former_lifes_flow)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	sim_tcp_free(tcp);
	bed_only_handle(&bed)->send_total = 100;
	bed_kick_host(&bed);
	ck_assert_uint_eq(bed.host.open_n, 0);
	ck_assert_uint_eq(bed.host.count.resets, 1);
	bed_finish(&bed);
}
END_TEST

static void inject_segment(struct bed *bed, const struct sim_tcp *tcp, uint8_t flags, uint32_t seq)
{
	struct frames_ends ends = bed_ends(bed, 0, AWAY);
	const struct frames_tcp segment = {.src_port = tcp->self.port,
					   .dst_port = tcp->peer.port,
					   .seq = seq,
					   .ack = sim_tcp_ack(tcp),
					   .flags = flags,
					   .window = 1000};
	uint8_t bytes[200];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	frames_tcp(&out, &ends, &segment, frames_bytes(NULL, 0));
	bed_inject(bed, 0, &out);
}

/* RFC 5961 sections 3 and 4: only what hits the edge exactly may end or upset a connection. */
START_TEST(test_blind_resets_and_syns_do_not_end_a_connection)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.echo = true;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	tcp->recv_seed = tcp->send_seed;
	tcp->send_total = 1000;
	sim_tcp_kick(tcp);
	bed_settle(&bed);
	inject_segment(&bed, tcp, FLAG_RST, sim_tcp_seq(tcp, tcp->next) + 1000);
	inject_segment(&bed, tcp, FLAG_RST, sim_tcp_seq(tcp, tcp->next) - 500);
	inject_segment(&bed, tcp, FLAG_RST, sim_tcp_seq(tcp, tcp->next) + 0x40000000);
	inject_segment(&bed, tcp, FLAG_SYN, sim_tcp_seq(tcp, tcp->next) + 1000);
	inject_segment(&bed, tcp, FLAG_SYN | FLAG_ACK, sim_tcp_seq(tcp, tcp->next) + 1000);
	ck_assert_int_eq(tcp->state, SIM_OPEN);
	tcp->send_total = 20000;
	sim_tcp_kick(tcp);
	BED_UNTIL(&bed, tcp->received == 20000);
	inject_segment(&bed, tcp, FLAG_RST, sim_tcp_seq(tcp, tcp->next));
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_keep_alive_of_the_guest_is_answered)
{
	struct sim_tcp *tcp;
	uint32_t before;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	before = tcp->count.segments_in;
	inject_segment(&bed, tcp, FLAG_ACK, sim_tcp_seq(tcp, 0) - 1);
	ck_assert_uint_eq(tcp->count.segments_in, before + 1);
	ck_assert_int_eq(tcp->state, SIM_OPEN);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return NATBED_SUITE(
	    "nat_close", test_guest_closes_first_and_goes_on_receiving,
	    test_host_closes_first_and_goes_on_receiving, test_time_wait_holds_no_descriptor,
	    test_both_close_at_once, test_fins_are_repeated_until_acknowledged,
	    test_ports_can_be_used_again_during_time_wait, test_guest_reset_resets_the_host_side,
	    test_guest_reset_after_its_fin_resets_the_host_side, test_host_reset_resets_the_guest,
	    test_host_reset_reaches_a_guest_that_does_not_read,
	    test_broken_pipe_on_write_resets_the_guest, test_segment_for_no_flow_is_reset,
	    test_guests_departure_resets_its_flows_and_no_others,
	    test_freeing_the_nat_resets_what_is_open, test_switched_off_guest_is_found_out,
	    test_rebooted_guest_resets_its_former_lifes_flow,
	    test_blind_resets_and_syns_do_not_end_a_connection,
	    test_keep_alive_of_the_guest_is_answered);
}
