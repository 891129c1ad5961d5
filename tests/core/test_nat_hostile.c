/* Guests and peers that mean harm: segments a sound TCP never sends, aimed at what lwIP asserts and
 * at what we set in its pcb by hand. Reaching the end without an abort is most of the proof. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#include <string.h>

#define AWAY "198.51.100.7"
#define WINDOW_FIRST (256u * 1024) /* what the NAT lets a new flow send */

static const uint8_t junk[65000];

/* A connection whose guest side is the test's: the sim neither acknowledges nor retransmits. */
static struct sim_tcp *connect_mute(struct bed *bed)
{
	struct sim_tcp *tcp = bed_connect(bed, 0, 40000, AWAY, 80);

	ck_assert_int_eq(tcp->state, SIM_OPEN);
	tcp->mute = tcp->no_timer = true;
	bed->guests[0].deaf = true;
	bed->faults_expected = true;
	return tcp;
}

/* 'len' bytes at 'offset' of the guest's stream, acknowledging 'acked' bytes of the host's. */
struct raw {
	uint64_t offset;
	size_t len;
	uint32_t acked;
	uint16_t window; /* as on the wire */
	uint8_t flags;   /* beside ACK */
};

static void send_raw(struct bed *bed, struct sim_tcp *tcp, const struct raw *raw)
{
	const struct sim_segment segment = {
	    .flags = raw->flags | FLAG_ACK,
	    .seq = sim_tcp_seq(tcp, raw->offset),
	    .ack = tcp->irs + 1 + raw->acked,
	    .window = raw->window,
	    .payload = frames_bytes(junk, raw->len),
	};

	sim_tcp_send_segment(tcp, &segment);
	bed_settle(bed);
}

static void host_has(struct bed *bed, uint64_t total)
{
	fake_host_handle(&bed->host, 0)->send_total = total;
	fake_host_kick(&bed->host, 0);
	bed_settle(bed);
}

START_TEST(test_segment_ahead_that_overruns_the_window_is_cut)
{
	struct sim_tcp *tcp;
	struct bed bed;
	uint64_t at = 0;

	bed_simple(&bed);
	tcp = connect_mute(&bed);
	fake_host_handle(&bed.host, 0)->write_room = 0;
	send_raw(&bed, tcp, &(struct raw){.offset = WINDOW_FIRST - 1, .len = 1000, .window = 999});
	while (at < WINDOW_FIRST - 1) {
		size_t len = WINDOW_FIRST - 1 - at < 60000 ? WINDOW_FIRST - 1 - at : 60000;
		send_raw(&bed, tcp, &(struct raw){.offset = at, .len = len, .window = 999});
		at += len;
	}
	fake_host_handle(&bed.host, 0)->write_room = FAKE_UNLIMITED;
	fake_host_kick(&bed.host, 0);
	bed_advance(&bed, 1000);
	ck_assert_uint_eq(fake_host_handle(&bed.host, 0)->written, WINDOW_FIRST);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_fin_ahead_that_overruns_the_window_comes_again)
{
	struct sim_tcp *tcp;
	struct bed bed;
	uint64_t at = 0;

	bed_simple(&bed);
	tcp = connect_mute(&bed);
	fake_host_handle(&bed.host, 0)->write_room = 0;
	send_raw(&bed, tcp,
		 &(struct raw){
		     .offset = WINDOW_FIRST - 1000, .len = 1000, .window = 999, .flags = FLAG_FIN});
	while (at < WINDOW_FIRST - 1000) {
		size_t len = WINDOW_FIRST - 1000 - at < 60000 ? WINDOW_FIRST - 1000 - at : 60000;
		send_raw(&bed, tcp, &(struct raw){.offset = at, .len = len, .window = 999});
		at += len;
	}
	fake_host_handle(&bed.host, 0)->write_room = FAKE_UNLIMITED;
	fake_host_kick(&bed.host, 0);
	bed_advance(&bed, 1000);
	ck_assert_uint_eq(fake_host_handle(&bed.host, 0)->written, WINDOW_FIRST);
	ck_assert(!fake_host_handle(&bed.host, 0)->eof_from_guest);
	send_raw(&bed, tcp,
		 &(struct raw){.offset = WINDOW_FIRST, .window = 999, .flags = FLAG_FIN});
	ck_assert(fake_host_handle(&bed.host, 0)->eof_from_guest);
	bed_finish(&bed);
}
END_TEST

/* lwIP hangs a FIN that it has kept to a longer segment which covers it. */
START_TEST(test_window_filled_across_a_fin_that_came_ahead)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = connect_mute(&bed);
	fake_host_handle(&bed.host, 0)->write_room = 0;
	for (uint64_t at = 0; at < 200000; at += 50000)
		send_raw(&bed, tcp, &(struct raw){.offset = at, .len = 50000, .window = 999});
	send_raw(&bed, tcp,
		 &(struct raw){.offset = 200100, .len = 1, .window = 999, .flags = FLAG_FIN});
	send_raw(&bed, tcp,
		 &(struct raw){.offset = 200000, .len = WINDOW_FIRST - 200000, .window = 999});
	bed_advance(&bed, 1000);
	bed_finish(&bed);
}
END_TEST

/* A window that shrinks counts only in a segment that is newer: two bytes of data make it so. */
static void close_window(struct bed *bed, struct sim_tcp *tcp, uint32_t acked, uint16_t window)
{
	send_raw(bed, tcp, &(struct raw){.len = 1, .acked = acked, .window = window});
	send_raw(bed, tcp, &(struct raw){.offset = 1, .len = 1, .acked = acked, .window = window});
}

START_TEST(test_probe_of_a_closed_window_may_be_the_last_byte_there_is)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = connect_mute(&bed);
	close_window(&bed, tcp, 0, 0);
	host_has(&bed, 1);
	/* Something out of order keeps the timers running. */
	send_raw(&bed, tcp, &(struct raw){.offset = 100, .len = 10, .window = 0});
	bed_advance(&bed, 400);
	send_raw(&bed, tcp, &(struct raw){.offset = 2, .acked = 1, .window = 0});
	send_raw(&bed, tcp, &(struct raw){.offset = 100, .len = 10, .acked = 1, .window = 0});
	bed_advance(&bed, 3000);
	host_has(&bed, 1000);
	send_raw(&bed, tcp, &(struct raw){.offset = 2, .acked = 1, .window = 60000});
	bed_advance(&bed, 100);
	ck_assert_uint_eq(fake_host_handle(&bed.host, 0)->read_n, 1000);
	bed_finish(&bed);
}
END_TEST

/* Losses make segments smaller; a large one from before must still be cut to a window that shrinks.
 */
START_TEST(test_window_that_shrinks_after_losses_cuts_large_segments)
{
	struct sim_tcp *tcp;
	struct bed bed;
	uint32_t sent = 0;

	bed_simple(&bed);
	tcp = connect_mute(&bed);
	for (int loss = 0; loss < 2; loss++) { /* 256 KiB in flight become 64 */
		host_has(&bed, sent += 10);
		bed_advance(&bed,
			    700); /* one time-out each: a second would shrink it to one frame */
		send_raw(&bed, tcp, &(struct raw){.acked = sent, .window = 65535});
	}
	for (int i = 0; i < 3; i++)
		host_has(&bed, sent + 20000 * ((uint64_t)i + 1));
	bed_advance(&bed, 2000);
	host_has(&bed, sent + 80000);
	send_raw(&bed, tcp, &(struct raw){.acked = sent + 40000, .window = 65535});
	ck_assert_uint_gt(fake_host_handle(&bed.host, 0)->read_n, sent + 60000);
	close_window(&bed, tcp, sent + 40000, 18000 >> 7);
	bed_advance(&bed, 5000);
	send_raw(&bed, tcp, &(struct raw){.offset = 2, .acked = sent + 60000, .window = 65535});
	bed_advance(&bed, 5000);
	bed_finish(&bed);
}
END_TEST

static unsigned pieces_max; /* given to the host in one write */

static ssize_t count_pieces(void *ctx, int handle, const struct iovec *iov, unsigned iov_n)
{
	if (iov_n > pieces_max)
		pieces_max = iov_n;
	return fake_host_ops.tcp_write(ctx, handle, iov, iov_n);
}

START_TEST(test_single_bytes_for_a_host_that_stalls_are_kept_together)
{
	struct host_ops ops = fake_host_ops;
	struct sim_tcp *tcp;
	struct bed bed;

	ops.tcp_write = count_pieces;
	bed_init(&bed);
	bed.config.host = &ops;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	tcp = connect_mute(&bed);
	fake_host_handle(&bed.host, 0)->write_room = 0;
	for (unsigned at = 0; at < 20000; at++)
		send_raw(&bed, tcp, &(struct raw){.offset = at, .len = 1, .window = 999});
	pieces_max = 0;
	for (unsigned i = 0; i < 20; i++) {
		fake_host_handle(&bed.host, 0)->write_room = 1000;
		fake_host_kick(&bed.host, 0);
		bed_settle(&bed);
	}
	ck_assert_uint_eq(fake_host_handle(&bed.host, 0)->written, 20000);
	ck_assert_uint_le(pieces_max, 11);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_what_comes_out_of_order_counts_as_memory_of_the_guest)
{
	struct sim_tcp *tcp[40];
	struct bed bed;

	bed_init(&bed);
	bed.config.limits.guest_to_host_bytes_max = 1 << 20;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	for (unsigned i = 0; i < 40; i++)
		tcp[i] = bed_connect(&bed, 0, (uint16_t)(40000 + i), AWAY, 80);
	bed.guests[0].deaf = true;
	bed.faults_expected = true;
	for (unsigned i = 0; i < 40; i++) {
		tcp[i]->mute = tcp[i]->no_timer = true;
		send_raw(&bed, tcp[i], &(struct raw){.offset = 1, .len = 60000, .window = 999});
	}
	ck_assert_uint_ge(nat_counters(bed.nat)->dropped_memory, 22);
	send_raw(&bed, tcp[0], &(struct raw){.len = 1, .window = 999});
	ck_assert_uint_eq(fake_host_handle(&bed.host, 0)->written, 60001);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return NATBED_SUITE("nat_hostile", test_segment_ahead_that_overruns_the_window_is_cut,
			    test_fin_ahead_that_overruns_the_window_comes_again,
			    test_window_filled_across_a_fin_that_came_ahead,
			    test_probe_of_a_closed_window_may_be_the_last_byte_there_is,
			    test_window_that_shrinks_after_losses_cuts_large_segments,
			    test_single_bytes_for_a_host_that_stalls_are_kept_together,
			    test_what_comes_out_of_order_counts_as_memory_of_the_guest);
}
