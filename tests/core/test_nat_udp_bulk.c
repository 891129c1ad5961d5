/* Many datagrams in one piece: what the host received so goes to the guest as much in one as it
 * takes, what a guest sends so goes to the host uncut. */
#include "stack/base/checksum.h"
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#include <string.h>

#define AWAY "198.51.100.7"
#define TAKES_ALL (PORT_CSUM | PORT_USO)

static void open_mapping(struct bed *bed)
{
	struct endpoint peer = bed_endpoint(AWAY, 7);

	guestsim_udp_send(bed->guests[0].sim, 5000, &peer, frames_bytes("first", 5));
	bed_settle(bed);
	free(fake_host_sent_pop(&bed->host));
}

static void from_host(struct bed *bed, size_t len, uint16_t segment)
{
	struct endpoint from = bed_endpoint(AWAY, 7);
	uint8_t *bytes = malloc(len + 1);

	pattern_fill(1, 0, bytes, len);
	fake_host_udp_deliver_segments(&bed->host, fake_host_nth(&bed->host, FAKE_UDP, 0), &from,
				       frames_bytes(bytes, len), segment);
	free(bytes);
	bed_settle(bed);
}

/* The guest checks every checksum. */
static void check_guest_got(struct bed *bed, size_t len, size_t segment)
{
	for (size_t at = 0; at < len; at += segment) {
		struct guestsim_datagram *got = guestsim_udp_pop(bed->guests[0].sim);
		size_t here = len - at < segment ? len - at : segment;

		ck_assert_msg(got, "nothing at %zu of %zu", at, len);
		ck_assert_uint_eq(got->len, here);
		ck_assert_uint_eq(got->from.port, 7);
		ck_assert(pattern_matches(1, at, got->bytes, here));
		free(got);
	}
	ck_assert_ptr_null(guestsim_udp_pop(bed->guests[0].sim));
}

START_TEST(test_segments_become_single_datagrams_for_a_guest_that_takes_no_others)
{
	static const struct {
		size_t len;
		uint16_t segment;
	} cases[] = {{2800, 1400}, {2801, 1400}, {64, 1},      {65000, 1200},
		     {3, 2},       {1400, 1400}, {9000, 2000}, {40, 0}};
	struct bed bed;

	bed_simple(&bed);
	open_mapping(&bed);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t each = cases[i].segment ? cases[i].segment : cases[i].len;

		from_host(&bed, cases[i].len, cases[i].segment);
		check_guest_got(&bed, cases[i].len, each);
	}
	ck_assert_uint_eq(bed.guests[0].port.unfinished, 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_segments_go_whole_to_a_guest_that_cuts_them)
{
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].port.port.takes = TAKES_ALL;
	open_mapping(&bed);
	from_host(&bed, 60001, 1400);
	check_guest_got(&bed, 60001, 1400);
	ck_assert_uint_eq(bed.guests[0].port.unfinished, 1);
	ck_assert_uint_eq(bed.guests[0].port.unfinished_max, 14 + bed_ip_len() + 8 + 60001);
	ck_assert_uint_eq(nat_counters(bed.nat)->udp_to_guest, 43);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_a_guest_that_sums_gets_single_datagrams_without_a_sum)
{
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].port.port.takes = PORT_CSUM;
	open_mapping(&bed);
	from_host(&bed, 7000, 1400);
	check_guest_got(&bed, 7000, 1400);
	ck_assert_uint_eq(bed.guests[0].port.unfinished, 5);
	from_host(&bed, 0, 0);
	struct guestsim_datagram *got = guestsim_udp_pop(bed.guests[0].sim);
	ck_assert_ptr_nonnull(got);
	ck_assert_uint_eq(got->len, 0);
	free(got);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_segments_longer_than_the_mtu_become_fragments)
{
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].port.port.takes = TAKES_ALL;
	open_mapping(&bed);
	from_host(&bed, 20000, 4000);
	check_guest_got(&bed, 20000, 4000);
	ck_assert_uint_eq(bed.guests[0].port.unfinished_max, 0);
	bed_finish(&bed);
}
END_TEST

/* RFC 768, RFC 8200 section 8.1: what sums up to zero is sent as 0xffff. */
START_TEST(test_a_checksum_of_zero_is_sent_as_all_ones)
{
	struct endpoint from = bed_endpoint(AWAY, 7);
	struct endpoint guest;
	struct fake_frame *frame;
	struct packet packet;
	struct bed bed;

	bed_simple(&bed);
	open_mapping(&bed);
	guest = (struct endpoint){guestsim_config(bed.guests[0].sim)->addr, 5000};
	checksum_sum sum = checksum_add_pseudo(0, &from.addr, &guest.addr, PROTO_UDP, 10);
	uint16_t rest = checksum_finish(sum + 7 + 5000 + 10);
	uint8_t bytes[2] = {(uint8_t)(rest >> 8), (uint8_t)rest};
	bed.guests[0].deaf = true;
	fake_host_udp_deliver(&bed.host, fake_host_nth(&bed.host, FAKE_UDP, 0), &from, bytes, 2);
	bed_settle(&bed);
	ck_assert(bed_next_packet(&bed, 0, &packet, &frame));
	ck_assert_uint_eq(packet.payload[-2] << 8 | packet.payload[-1], 0xffff);
	free(frame);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_a_long_turn_of_one_flow_leaves_none_behind)
{
	struct bed bed;
	unsigned n = 0;

	bed_simple(&bed);
	bed.guests[0].port.blocked_at = 200000;
	open_mapping(&bed);
	for (unsigned i = 0; i < 100; i++) {
		struct endpoint from = bed_endpoint(AWAY, 7);
		static uint8_t bytes[60000];
		fake_host_udp_deliver_segments(&bed.host, fake_host_nth(&bed.host, FAKE_UDP, 0),
					       &from, frames_bytes(bytes, sizeof(bytes)), 1000);
	}
	bed_settle(&bed);
	for (struct guestsim_datagram *got; (got = guestsim_udp_pop(bed.guests[0].sim)); n++)
		free(got);
	ck_assert_uint_eq(n, 6000);
	ck_assert_uint_eq(bed.guests[0].port.port.counters.dropped_queue_full, 0);
	bed_finish(&bed);
}
END_TEST

/* ---- from the guest ---- */

struct bulk {
	uint8_t bytes[FRAMES_BUF_LEN];
	size_t len;
	struct frame_offload offload;
};

static void bulk_make(struct bulk *bulk, const struct bed *bed, const char *to, size_t len)
{
	static uint8_t payload[65507];
	struct wire_out out = wire_out(bulk->bytes, sizeof(bulk->bytes));
	struct frames_ends ends = bed_ends(bed, 0, to);

	pattern_fill(2, 0, payload, len);
	frames_udp(&out, &ends, (struct frames_ports){5000, 7}, frames_bytes(payload, len));
	ck_assert(!out.bad);
	bulk->len = wire_len(&out);
	bulk->offload = (struct frame_offload){.needs_csum = 1,
					       .gso_type = FRAME_GSO_UDP_L4,
					       .gso_size = 1000,
					       .csum_start = (uint16_t)(14 + bed_ip_len()),
					       .csum_offset = 6};
}

static void on_release(struct frame_owner *owner)
{
	(void)owner;
}

/* 'first': bytes in the frame's first piece, the rest is in pieces of 4,000; 0: one piece. */
static void bulk_inject(struct bed *bed, const struct bulk *bulk, size_t first)
{
	struct frame_owner owner = {1, on_release};
	struct iovec iov[FRAME_PIECES_MAX];
	struct frame frame = {
	    .iov = iov, .len = (uint32_t)bulk->len, .offload = bulk->offload, .owner = &owner};
	size_t at = 0;

	for (size_t here = first ? first : bulk->len; at < bulk->len; here = 4000) {
		here = here < bulk->len - at ? here : bulk->len - at;
		iov[frame.iov_n++] = frames_bytes(bulk->bytes + at, here);
		at += here;
	}
	nat_input(bed->nat, &bed->guests[0].port.port, &frame);
	bed_settle(bed);
	ck_assert_uint_eq(owner.refs, 1);
}

static void check_host_got(struct bed *bed, size_t len, size_t segment)
{
	for (size_t at = 0; at < len; at += segment) {
		struct fake_sent *sent = fake_host_sent_pop(&bed->host);
		size_t here = len - at < segment ? len - at : segment;

		ck_assert_msg(sent, "nothing at %zu of %zu", at, len);
		ck_assert_uint_eq(sent->len, here);
		ck_assert_uint_eq(sent->to.port, 7);
		ck_assert(pattern_matches(2, at, sent->bytes, here));
		free(sent);
	}
	ck_assert_ptr_null(fake_host_sent_pop(&bed->host));
}

START_TEST(test_a_guests_large_datagram_is_many_at_the_host)
{
	static const size_t firsts[] = {0, 256, 62, 100};
	static const size_t lens[] = {60001, 1000, 999, 2000, 1};
	static struct bulk bulk;
	struct bed bed;

	bed_simple(&bed);
	for (unsigned i = 0; i < 4 * 5; i++) {
		bulk_make(&bulk, &bed, AWAY, lens[i / 4]);
		bulk_inject(&bed, &bulk, firsts[i % 4]);
		check_host_got(&bed, lens[i / 4], 1000);
	}
	ck_assert_uint_eq(bed.host.count.udp_opened, 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_pieces_that_only_look_complete_do_no_harm)
{
	static const size_t firsts[] = {14, 20, 34, 41, 42, 54, 61};
	static struct bulk bulk;
	struct bed bed;

	bed_simple(&bed);
	open_mapping(&bed);
	for (unsigned i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
		bulk_make(&bulk, &bed, AWAY, 5000);
		bulk_inject(&bed, &bulk, firsts[i]);
		check_host_got(&bed, 5000, 1000);
	}
	/* UDP says less than IP does. */
	bulk_make(&bulk, &bed, AWAY, 5000);
	wire_set_u16(bulk.bytes + 14 + bed_ip_len() + 4, 8 + 1500);
	bulk_inject(&bed, &bulk, 256);
	check_host_got(&bed, 1500, 1000);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_marks_that_do_not_fit_are_dropped)
{
	static struct bulk bulk;
	struct bed bed;

	bed_simple(&bed);
	open_mapping(&bed);
	for (unsigned first = 0; first < 512; first += 256) {
		uint64_t before = nat_counters(bed.nat)->dropped_malformed;
		bulk_make(&bulk, &bed, AWAY, 5000);
		bulk.offload.gso_size = 0;
		bulk_inject(&bed, &bulk, first);
		bulk.offload.gso_size = 1; /* 5,000 of them */
		bulk_inject(&bed, &bulk, first);
		bulk.offload.gso_size = 1000;
		bulk.bytes[14 + (bed_is_v6() ? 6 : 9)] = PROTO_TCP;
		bulk_inject(&bed, &bulk, first);
		ck_assert_uint_eq(nat_counters(bed.nat)->dropped_malformed, before + 3);
	}
	ck_assert_ptr_null(fake_host_sent_pop(&bed.host));
	bed_finish(&bed);
}
END_TEST

struct heard {
	unsigned calls;
	size_t bytes;
};

static void on_service(void *ctx, const struct nat_udp_meta *meta, const uint8_t *payload,
		       size_t len)
{
	struct heard *heard = ctx;

	ck_assert_uint_eq(meta->service.port, 7);
	ck_assert(pattern_matches(2, heard->bytes, payload, len));
	heard->calls++;
	heard->bytes += len;
}

START_TEST(test_a_service_hears_one_datagram_at_a_time)
{
	static struct bulk bulk;
	struct heard heard = {0};
	struct bed bed;

	bed_simple(&bed);
	ck_assert_int_eq(nat_udp_service_add(bed.nat, 7, false, on_service, &heard), 0);
	bulk_make(&bulk, &bed, "10.0.2.2", 5001);
	bulk_inject(&bed, &bulk, 256);
	ck_assert_uint_eq(heard.calls, 6);
	ck_assert_uint_eq(heard.bytes, 5001);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_a_large_datagram_that_cannot_leave_is_answered)
{
	static struct bulk bulk;
	struct guestsim_icmp *icmp;
	struct bed bed;

	bed_simple(&bed);
	open_mapping(&bed);
	fake_host_handle(&bed.host, fake_host_nth(&bed.host, FAKE_UDP, 0))->send_error =
	    -EHOSTUNREACH;
	bulk_make(&bulk, &bed, AWAY, 5000);
	bulk_inject(&bed, &bulk, 256);
	icmp = guestsim_icmp_pop(bed.guests[0].sim);
	ck_assert_ptr_nonnull(icmp);
	bed_check_error(BED_HOST_UNREACHABLE, icmp->type, icmp->code);
	free(icmp);
	fake_host_handle(&bed.host, fake_host_nth(&bed.host, FAKE_UDP, 0))->send_error = -EAGAIN;
	bulk_inject(&bed, &bulk, 256);
	ck_assert_ptr_null(guestsim_icmp_pop(bed.guests[0].sim));
	ck_assert_uint_eq(nat_counters(bed.nat)->dropped_host_send, 2);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return NATBED_SUITE(
	    "nat_udp_bulk", test_segments_become_single_datagrams_for_a_guest_that_takes_no_others,
	    test_segments_go_whole_to_a_guest_that_cuts_them,
	    test_a_guest_that_sums_gets_single_datagrams_without_a_sum,
	    test_segments_longer_than_the_mtu_become_fragments,
	    test_a_checksum_of_zero_is_sent_as_all_ones,
	    test_a_long_turn_of_one_flow_leaves_none_behind,
	    test_a_guests_large_datagram_is_many_at_the_host,
	    test_pieces_that_only_look_complete_do_no_harm, test_marks_that_do_not_fit_are_dropped,
	    test_a_service_hears_one_datagram_at_a_time,
	    test_a_large_datagram_that_cannot_leave_is_answered);
}
