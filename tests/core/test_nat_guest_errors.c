/* ICMP errors that a guest sends about packets of ours. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#include <string.h>

#define PEER "203.0.113.5"

/* An error of the guest's about 'frame', which it got from the NAT. */
static void complain(struct bed *bed, const struct fake_frame *frame, enum bed_error error,
		     uint32_t info)
{
	size_t quote_len = frame->len - 14 < 200 ? frame->len - 14 : 200;
	struct frames_ends ends = bed_ends(bed, 0, PEER);
	struct frames_icmp icmp = {.rest = info};
	uint8_t bytes[400];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	bed_error_numbers(error, &icmp.type, &icmp.code);
	frames_icmp(&out, &ends, &icmp, frames_bytes(frame->bytes + 14, quote_len));
	bed_inject(bed, 0, &out);
}

/* A client of a forward; what comes back is the SYN that the guest got. */
static struct fake_frame *syn_of_client(struct bed *bed)
{
	struct endpoint peer = bed_endpoint(PEER, 5555), guest = {bed_guest_addr(0), 22};
	struct fake_frame *frame;
	struct packet p;

	guestsim_arp_ask(bed->guests[0].sim, bed_gateway(bed));
	bed_settle(bed);
	bed->guests[0].deaf = true;
	nat_tcp_inbound(bed->nat, fake_host_accepted(&bed->host), &peer, &guest);
	bed_settle(bed);
	ck_assert(bed_next_packet(bed, 0, &p, &frame));
	ck_assert_uint_eq(p.flags, FLAG_SYN);
	return frame;
}

static void check_refused(enum bed_error error)
{
	struct fake_frame *syn;
	struct bed bed;

	bed_simple(&bed);
	syn = syn_of_client(&bed);
	complain(&bed, syn, error, 0);
	ck_assert_uint_eq(bed.host.count.resets, 1);
	ck_assert_uint_eq(bed.host.open_n, 0);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	ck_assert_uint_eq(nat_counters(bed.nat)->tcp_inbound_failed, 1);
	ck_assert_uint_eq(bed.guests[0].port.sent.frames_n, 0); /* nothing more for the guest */
	free(syn);
	bed_finish(&bed);
}

START_TEST(test_client_of_a_guest_that_rejects_is_reset_at_once)
{
	check_refused(BED_NO_PORT);
	check_refused(BED_PROHIBITED);
	check_refused(BED_HOST_UNREACHABLE);
	check_refused(BED_NO_ROUTE);
}
END_TEST

START_TEST(test_error_about_what_is_not_under_way_is_ignored)
{
	struct fake_frame *syn;
	struct bed bed;

	bed_simple(&bed);
	syn = syn_of_client(&bed);
	syn->bytes[14 + bed_ip_len() + 4] ^= 0x40; /* sequence number */
	complain(&bed, syn, BED_PROHIBITED, 0);
	syn->bytes[14 + bed_ip_len() + 4] ^= 0x40;
	syn->bytes[14 + bed_ip_len() + 1] ^= 1; /* source port */
	complain(&bed, syn, BED_PROHIBITED, 0);
	syn->bytes[14 + bed_ip_len() + 1] ^= 1;
	complain(&bed, syn, BED_TTL_EXCEEDED, 0);
	ck_assert_uint_eq(bed.host.count.resets, 0);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 1);
	ck_assert_uint_eq(nat_counters(bed.nat)->dropped_protocol, 3);
	free(syn);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_quotes_cut_anywhere_do_no_harm)
{
	struct fake_frame *syn;
	struct bed bed;
	size_t len;

	bed_simple(&bed);
	syn = syn_of_client(&bed);
	len = syn->len;
	for (syn->len = 14; syn->len < 14 + bed_ip_len() + 8; syn->len++)
		complain(&bed, syn, BED_PROHIBITED, 0);
	ck_assert_uint_eq(bed.host.count.resets, 0);
	syn->len = len;
	free(syn);
	bed_finish(&bed);
}
END_TEST

/* A connection whose guest has got one segment of data, and has not answered. */
static struct fake_frame *data_in_flight(struct bed *bed)
{
	struct fake_frame *frame, *kept = NULL;
	struct packet p;

	bed_connect(bed, 0, 40000, PEER, 80);
	bed->guests[0].deaf = true;
	fake_host_handle(&bed->host, fake_host_nth(&bed->host, FAKE_TCP, 0))->send_total = 20000;
	fake_host_kick(&bed->host, fake_host_nth(&bed->host, FAKE_TCP, 0));
	bed_settle(bed);
	while (bed_next_packet(bed, 0, &p, &frame)) {
		if (!kept && p.payload_len > 1000)
			kept = frame;
		else
			free(frame);
	}
	ck_assert_ptr_nonnull(kept);
	return kept;
}

START_TEST(test_connection_that_stands_is_not_shaken)
{
	struct fake_frame *data;
	struct bed bed;

	bed_simple(&bed);
	data = data_in_flight(&bed);
	complain(&bed, data, BED_PROHIBITED, 0);
	complain(&bed, data, BED_NO_PORT, 0);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 1);
	ck_assert_uint_eq(bed.host.count.resets, 0);
	free(data);
	bed_finish(&bed);
}
END_TEST

static void check_shrunk(uint32_t mtu, size_t most)
{
	struct fake_frame *data, *frame;
	unsigned segments = 0;
	struct packet p;
	struct bed bed;

	bed_simple(&bed);
	data = data_in_flight(&bed);
	ck_assert_uint_eq(data->len, 1514);
	complain(&bed, data, BED_TOO_BIG, mtu);
	while (bed_next_packet(&bed, 0, &p, &frame)) {
		ck_assert_uint_le(frame->len, most + 14);
		segments += p.payload_len > 0;
		free(frame);
	}
	ck_assert_uint_ge(segments, 1); /* sent again at once */
	free(data);
	bed_finish(&bed);
}

START_TEST(test_packet_too_big_makes_segments_smaller)
{
	check_shrunk(1400, 1400);
	check_shrunk(1280, 1280);
	check_shrunk(0, bed_is_v6() ? 1280 : 576); /* not any smaller, whatever is claimed */
	check_shrunk(68, bed_is_v6() ? 1280 : 576);
}
END_TEST

START_TEST(test_syn_that_may_not_travel_is_told_so)
{
	const struct frames_tcp syn = {.src_port = 40000, .dst_port = 80, .flags = FLAG_SYN};
	struct guestsim_icmp *icmp;
	struct frames_ends ends;
	uint8_t bytes[100];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct bed bed;

	bed_simple(&bed);
	ends = bed_ends(&bed, 0, PEER);
	ends.ttl = 1;
	frames_tcp(&out, &ends, &syn, frames_bytes(NULL, 0));
	bed_inject(&bed, 0, &out);
	icmp = guestsim_icmp_pop(bed.guests[0].sim);
	ck_assert_ptr_nonnull(icmp);
	bed_check_error(BED_TTL_EXCEEDED, icmp->type, icmp->code);
	free(icmp);
	ck_assert_uint_eq(bed.host.count.dials, 0);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return NATBED_SUITE(
	    "nat_guest_errors", test_client_of_a_guest_that_rejects_is_reset_at_once,
	    test_error_about_what_is_not_under_way_is_ignored, test_quotes_cut_anywhere_do_no_harm,
	    test_connection_that_stands_is_not_shaken, test_packet_too_big_makes_segments_smaller,
	    test_syn_that_may_not_travel_is_told_so);
}
