/* Bulk data both ways, and everything that can stand in its way. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#define AWAY "198.51.100.7"
#define MIB ((uint64_t)1 << 20)

/* Connects with this set-up, both sides with 'total' bytes to send and then FIN; all must arrive.
 */
static struct sim_tcp *exchange(struct bed *bed, struct sim_tcp_setup setup, uint64_t total)
{
	struct endpoint away = bed_endpoint(AWAY, 80);
	struct fake_handle *h;
	struct sim_tcp *tcp;
	uint32_t mismatch;

	setup.send_total = total;
	bed->host.defaults.send_total = total;
	tcp = sim_tcp_connect(bed->guests[0].sim, 40000, &away, &setup);
	BED_UNTIL(bed, tcp->state == SIM_OPEN);
	h = bed_only_handle(bed);
	BED_UNTIL(bed, tcp->received == total && h->written == total);
	mismatch = h->mismatch;
	ck_assert_uint_eq(mismatch, 0);
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	h->eof_when_sent = true;
	bed_kick_host(bed);
	BED_UNTIL(bed, tcp->state == SIM_DONE);
	ck_assert_uint_eq(bed->host.count.resets, 0);
	return tcp;
}

START_TEST(test_ten_megabytes_both_ways_without_a_retransmission)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = exchange(&bed, bed_setup, 10 * MIB);
	ck_assert_uint_eq(tcp->count.retransmits_out, 0);
	ck_assert_uint_eq(tcp->count.timeouts, 0);
	ck_assert_uint_eq(tcp->count.repeated_in, 0);
	ck_assert_uint_eq(tcp->count.segment_max, 1500 - bed_ip_len() - 20);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_frames_in_pieces_are_taken_as_well)
{
	struct bed bed;

	bed_simple(&bed);
	bed.pieces = true;
	exchange(&bed, bed_setup, 2 * MIB);
	bed_finish(&bed);
}
END_TEST

/* A guest that finishes what it gets: the same bytes, in few large frames or in many small ones. */
static void check_takes(unsigned takes, size_t longest)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].port.port.takes = takes;
	tcp = exchange(&bed, bed_setup, 4 * MIB);
	ck_assert_uint_eq(tcp->count.repeated_in, 0);
	ck_assert_uint_eq(tcp->count.segment_max, 1500 - bed_ip_len() - 20);
	ck_assert_uint_gt(bed.guests[0].port.unfinished, 0);
	if (longest > 1514)
		ck_assert_uint_gt(bed.guests[0].port.unfinished_max, longest);
	else
		ck_assert_uint_le(bed.guests[0].port.unfinished_max, longest);
	bed_finish(&bed);
}

START_TEST(test_guest_that_cuts_segments_itself_gets_large_ones)
{
	check_takes(PORT_CSUM | PORT_TSO4 | PORT_TSO6, 20000);
}
END_TEST

START_TEST(test_guest_that_only_fills_checksums_in_gets_segments_of_its_mss)
{
	check_takes(PORT_CSUM, 1514);
}
END_TEST

START_TEST(test_guest_that_cuts_segments_itself_gets_those_of_a_large_mtu_whole)
{
	const uint16_t mss = (uint16_t)(65520 - bed_ip_len() - 20);
	struct sim_tcp_setup setup = bed_setup;
	struct sim_tcp *tcp;
	struct bed bed;

	bed_init(&bed);
	bed.config.mtu = 65520;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	bed.guests[0].port.port.takes = PORT_CSUM | PORT_TSO4 | PORT_TSO6;
	setup.mss = mss;
	tcp = exchange(&bed, setup, 4 * MIB);
	ck_assert_uint_eq(tcp->count.segment_max, mss);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_small_read_batches_are_taken_as_well)
{
	struct bed bed;

	bed_simple(&bed);
	bed.batch_bytes = 1;
	exchange(&bed, bed_setup, 1 * MIB);
	bed_finish(&bed);
}
END_TEST

static void check_mss(uint16_t mtu, uint16_t mss)
{
	uint16_t most = (uint16_t)(mtu - bed_ip_len() - 20);
	struct sim_tcp_setup setup = bed_setup;
	struct sim_tcp *tcp;
	struct bed bed;

	bed_init(&bed);
	bed.config.mtu = mtu;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	setup.mss = mss;
	tcp = exchange(&bed, setup, MIB);
	ck_assert_uint_eq(tcp->count.segment_max, mss < most ? mss : most);
	ck_assert_uint_le(tcp->peer_mss, most);
	ck_assert_uint_eq(tcp->count.retransmits_out, 0);
	bed_finish(&bed);
}

START_TEST(test_guests_mss_is_filled_and_never_exceeded)
{
	check_mss(1500, 88);
	check_mss(1500, 536);
	check_mss(1500, 1460);
	if (!bed_is_v6())
		check_mss(576, 536);
	check_mss(1280, 1240);
	check_mss(9000, 8960);
	check_mss(9000, 1460);
	check_mss(65520, 65480);
	check_mss(65520, 1460);
	check_mss(65520, 30000);
	check_mss(65520, 40000);
	check_mss(65535, 65495);
}
END_TEST

static void check_impaired(uint32_t drop, uint32_t reorder, uint32_t duplicate)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct sim_tcp_setup setup = bed_setup;
		struct guestsim *sim;
		struct bed bed;

		sim = bed_simple(&bed);
		for (unsigned way = 0; way < 2; way++) {
			struct fake_impair *impair =
			    way ? &bed.guests[0].impair : &bed.guests[0].port.impair;
			impair->dice.state = seed * 1000 + way;
			impair->drop_ppm = drop;
			impair->reorder_ppm = reorder;
			impair->duplicate_ppm = duplicate;
		}
		setup.recv_buffer = 100000u * (unsigned)seed;
		exchange(&bed, setup, 3 * MIB);
		guestsim_faults(sim)->window_shrunk = 0; /* late segments tell of old windows */
		bed_finish(&bed);
	}
}

START_TEST(test_one_frame_in_a_hundred_lost)
{
	check_impaired(10000, 0, 0);
}
END_TEST

START_TEST(test_frames_out_of_order)
{
	check_impaired(0, 50000, 0);
}
END_TEST

START_TEST(test_frames_twice)
{
	check_impaired(0, 0, 50000);
}
END_TEST

START_TEST(test_lost_late_and_twice_together)
{
	check_impaired(30000, 30000, 30000);
}
END_TEST

START_TEST(test_one_lost_frame_costs_no_second)
{
	struct sim_tcp *tcp;
	uint64_t start_ms;
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].port.impair.drop_ppm = 1000;
	start_ms = bed.now_ms;
	bed.host.defaults.send_total = 20 * MIB;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	BED_UNTIL(&bed, tcp->received == 20 * MIB);
	ck_assert_uint_lt(bed.now_ms - start_ms, 3000); /* of the bed's clock */
	bed_finish(&bed);
}
END_TEST

START_TEST(test_paused_guest_closes_its_window_and_is_not_overrun)
{
	struct sim_tcp_setup setup = bed_setup;
	struct endpoint away = bed_endpoint(AWAY, 80);
	struct guestsim *sim;
	struct sim_tcp *tcp;
	uint64_t before_ms;
	struct bed bed;

	sim = bed_simple(&bed);
	bed.host.defaults.send_total = 50 * MIB;
	setup.paused = true;
	setup.recv_buffer = 511 * 128; /* what a window scale of 7 can say exactly */
	tcp = sim_tcp_connect(sim, 40000, &away, &setup);
	bed_advance(&bed, 60000);
	ck_assert_uint_eq(tcp->received, 511 * 128);
	ck_assert_uint_lt(bed_only_handle(&bed)->read_n, 8 * MIB);
	ck_assert_uint_gt(tcp->count.probes_in, 0);
	ck_assert_int_eq(tcp->state, SIM_OPEN);
	tcp->paused = false;
	before_ms = bed.now_ms;
	sim_tcp_kick(tcp);
	BED_UNTIL(&bed, tcp->received == 50 * MIB);
	ck_assert_uint_lt(bed.now_ms - before_ms, 1000);
	bed_finish(&bed);
}
END_TEST

/* RFC 9293 section 3.8.6: a window may shrink, and the sender must live with it. Here it does so
 * within a segment that is partly acknowledged and has to be sent again. */
START_TEST(test_window_that_shrinks_after_a_loss_does_not_stop_the_flow)
{
	for (uint32_t left = 100; left < 6000; left += 700) {
		struct sim_tcp_setup setup = bed_setup;
		struct endpoint away = bed_endpoint(AWAY, 80);
		struct fake_port *port;
		struct sim_tcp *tcp;
		struct bed bed;

		bed_simple(&bed);
		port = &bed.guests[0].port;
		setup.paused = true;
		setup.mss = 1000;
		setup.wscale = 0;
		setup.recv_buffer = 22000;
		tcp = sim_tcp_connect(bed.guests[0].sim, 40000, &away, &setup);
		bed_settle(&bed);
		tcp->mute = true;
		port->queue_max = 17 * (uint32_t)(1000 + 34 + bed_ip_len());
		bed_only_handle(&bed)->send_total = 300000;
		bed_kick_host(&bed);
		ck_assert_uint_eq(tcp->received, 17000);
		port->queue_max = 0;
		port->impair.drop_ppm = 1000000;
		tcp->mute = false;
		tcp->recv_buffer = 17000 + left;
		tcp->ack_due = true;
		sim_tcp_kick(tcp);
		bed_advance(&bed, 2000);
		port->impair.drop_ppm = 0;
		bed_advance(&bed, 10000);
		tcp->recv_buffer = 100000;
		tcp->paused = false;
		sim_tcp_kick(tcp);
		BED_UNTIL(&bed, tcp->received == 300000);
		bed_finish(&bed);
	}
}
END_TEST

START_TEST(test_guest_that_reads_little_by_little_gets_no_silly_segments)
{
	struct sim_tcp_setup setup = bed_setup;
	struct endpoint away = bed_endpoint(AWAY, 80);
	struct guestsim *sim;
	struct sim_tcp *tcp;
	struct bed bed;

	sim = bed_simple(&bed);
	bed.host.defaults.send_total = 100 * MIB;
	setup.paused = true;
	setup.wscale = 0;
	setup.recv_buffer = 30000;
	tcp = sim_tcp_connect(sim, 40000, &away, &setup);
	bed_advance(&bed, 1000);
	for (unsigned i = 0; i < 3000; i++) {
		sim_tcp_read(tcp, 100);
		bed_advance(&bed, 10);
	}
	ck_assert_uint_gt(tcp->received, 300000); /* RFC 9293 section 3.8.6.2.1 */
	ck_assert_uint_gt(tcp->received / tcp->count.data_segments_in, 300);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_host_that_takes_nothing_closes_our_window_and_loses_nothing)
{
	struct fake_handle *h;
	struct sim_tcp *tcp;
	uint64_t before_ms;
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.write_room = 0;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	tcp->send_total = 40 * MIB;
	sim_tcp_kick(tcp);
	bed_advance(&bed, 30000);
	ck_assert_uint_eq(tcp->peer_window, 0);
	ck_assert_uint_le(tcp->acked, bed.config.limits.guest_to_host_bytes_max + 2 * MIB);
	h = bed_only_handle(&bed);
	ck_assert_uint_eq(h->written, 0);
	h->write_room = FAKE_UNLIMITED;
	before_ms = bed.now_ms;
	bed_kick_host(&bed);
	BED_UNTIL(&bed, h->written == 40 * MIB);
	ck_assert_uint_lt(bed.now_ms - before_ms, 1000); /* a window update came, not a probe */
	ck_assert_uint_eq(h->mismatch, 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_host_that_takes_one_byte_at_a_time)
{
	struct fake_handle *h;
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.write_each = 1;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	tcp->send_total = 30000;
	sim_tcp_kick(tcp);
	h = bed_only_handle(&bed);
	BED_UNTIL(&bed, h->written == 30000);
	ck_assert_uint_eq(h->mismatch, 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_host_that_gives_one_byte_at_a_time)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.read_each = 1;
	bed.host.defaults.send_total = 30000;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	BED_UNTIL(&bed, tcp->received == 30000);
	bed_finish(&bed);
}
END_TEST

/* A guest fills every window to the last byte, the host is slow: what was offered must be taken. */
static void check_slow_host(uint16_t mtu)
{
	struct sim_tcp_setup setup = bed_setup;
	struct endpoint away = bed_endpoint(AWAY, 80);
	struct dice dice = {3};
	struct fake_handle *h;
	struct sim_tcp *tcp;
	struct bed bed;

	bed_init(&bed);
	bed.config.mtu = mtu;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	bed.host.defaults.write_room = 0;
	setup.mss = (uint16_t)(mtu - bed_ip_len() - 20);
	tcp = sim_tcp_connect(bed.guests[0].sim, 40000, &away, &setup);
	bed_settle(&bed);
	tcp->send_total = 30 * MIB;
	tcp->no_timer = true;
	sim_tcp_kick(tcp);
	bed_settle(&bed);
	h = bed_only_handle(&bed);
	while (h->written < 30 * MIB) {
		h->write_room += dice_below(&dice, 300000);
		bed_kick_host(&bed);
		bed_advance(&bed, dice_below(&dice, 60));
	}
	ck_assert_uint_eq(tcp->count.retransmits_out, 0);
	ck_assert_uint_eq(h->mismatch, 0);
	bed_finish(&bed);
}

START_TEST(test_upload_to_a_slow_host_has_no_retransmission)
{
	check_slow_host(1500);
	check_slow_host(65520);
}
END_TEST

START_TEST(test_one_byte_back_and_forth_takes_no_time)
{
	struct sim_tcp *tcp;
	uint64_t start_ms;
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.echo = true;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	tcp->recv_seed = tcp->send_seed;
	start_ms = bed.now_ms;
	for (unsigned i = 1; i <= 1000; i++) {
		tcp->send_total = i;
		sim_tcp_kick(tcp);
		bed_settle(&bed);
		ck_assert_uint_eq(tcp->received, i);
	}
	ck_assert_uint_eq(bed.now_ms, start_ms);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_small_upload_is_acknowledged_soon)
{
	struct sim_tcp *tcp;
	uint64_t start_ms;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	tcp->no_timer = true;
	tcp->send_total = 1;
	sim_tcp_kick(tcp);
	start_ms = bed.now_ms;
	bed_settle(&bed);
	BED_UNTIL(&bed, tcp->acked == 1);
	ck_assert_uint_le(bed.now_ms - start_ms, 500); /* RFC 9293 section 3.8.6.3 */
	bed_finish(&bed);
}
END_TEST

START_TEST(test_urgent_data_is_carried_as_data)
{
	struct sim_tcp *tcp;
	uint8_t bytes[8];
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	pattern_fill(tcp->send_seed, 0, bytes, sizeof(bytes));
	for (unsigned urgent = 0; urgent < 3; urgent++) {
		static const uint16_t pointers[] = {1, 8, 65535};
		sim_tcp_send_segment(
		    tcp, &(struct sim_segment){.flags = FLAG_ACK | FLAG_URG,
					       .seq = sim_tcp_seq(tcp, urgent * 2),
					       .ack = sim_tcp_ack(tcp),
					       .window = 1000,
					       .urgent = pointers[urgent],
					       .payload = frames_bytes(bytes + urgent * 2, 2)});
		tcp->sent = tcp->next = urgent * 2 + 2;
		tcp->send_total = tcp->sent;
		bed_settle(&bed);
	}
	ck_assert_uint_eq(bed_only_handle(&bed)->written, 6);
	ck_assert_uint_eq(bed_only_handle(&bed)->mismatch, 0);
	BED_UNTIL(&bed, tcp->acked == 6);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_idle_flows_ask_for_no_timer_soon)
{
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.echo = true;
	for (unsigned i = 0; i < 1000; i++) {
		struct sim_tcp *tcp = bed_connect(&bed, 0, (uint16_t)(20000 + i), AWAY, 80);
		tcp->recv_seed = tcp->send_seed;
		tcp->send_total = 100;
		sim_tcp_kick(tcp);
	}
	bed_advance(&bed, 2000);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 1000);
	ck_assert_uint_ge(nat_next_ms(bed.nat, bed.now_ms), 1000);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_reader_slower_than_sender_keeps_no_input_buffer)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.write_room = 0;
	bed.batch_bytes = 1;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	tcp->send_total = 30 * MIB;
	sim_tcp_kick(tcp);
	bed_settle(&bed);
	/* Out of a batch of one frame, hundreds of kilobytes would be held by a few bytes. */
	ck_assert_uint_le(bed.chunks_kept, 16);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_segments_out_of_order_keep_no_input_buffer)
{
	struct sim_tcp *tcp;
	uint8_t bytes[100];
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	bed.batch_bytes = 1;
	for (unsigned i = 200; i > 0; i--) {
		pattern_fill(tcp->send_seed, i * 100, bytes, sizeof(bytes));
		sim_tcp_send_segment(tcp,
				     &(struct sim_segment){.flags = FLAG_ACK,
							   .seq = sim_tcp_seq(tcp, i * 100),
							   .ack = sim_tcp_ack(tcp),
							   .window = 1000,
							   .payload = frames_bytes(bytes, 100)});
	}
	bed_settle(&bed);
	ck_assert_uint_le(bed.chunks_alive, 4);
	tcp->send_total = tcp->sent = 201 * 100;
	tcp->next = 0;
	sim_tcp_kick(tcp);
	BED_UNTIL(&bed, tcp->acked == 201 * 100);
	ck_assert_uint_eq(bed_only_handle(&bed)->mismatch, 0);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return NATBED_SUITE(
	    "nat_data", test_ten_megabytes_both_ways_without_a_retransmission,
	    test_frames_in_pieces_are_taken_as_well,
	    test_guest_that_cuts_segments_itself_gets_large_ones,
	    test_guest_that_only_fills_checksums_in_gets_segments_of_its_mss,
	    test_guest_that_cuts_segments_itself_gets_those_of_a_large_mtu_whole,
	    test_small_read_batches_are_taken_as_well, test_guests_mss_is_filled_and_never_exceeded,
	    test_one_frame_in_a_hundred_lost, test_frames_out_of_order, test_frames_twice,
	    test_lost_late_and_twice_together, test_one_lost_frame_costs_no_second,
	    test_paused_guest_closes_its_window_and_is_not_overrun,
	    test_window_that_shrinks_after_a_loss_does_not_stop_the_flow,
	    test_guest_that_reads_little_by_little_gets_no_silly_segments,
	    test_host_that_takes_nothing_closes_our_window_and_loses_nothing,
	    test_host_that_takes_one_byte_at_a_time, test_host_that_gives_one_byte_at_a_time,
	    test_upload_to_a_slow_host_has_no_retransmission,
	    test_one_byte_back_and_forth_takes_no_time, test_small_upload_is_acknowledged_soon,
	    test_urgent_data_is_carried_as_data, test_idle_flows_ask_for_no_timer_soon,
	    test_reader_slower_than_sender_keeps_no_input_buffer,
	    test_segments_out_of_order_keep_no_input_buffer);
}
