#include "stack/link/lan.h"

#include "stack/base/log.h"
#include "stack/base/rng.h"
#include "stack/base/wire.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORTS 4
#define FRAME_BYTES 60

static const struct mac gateway = {{0x52, 0x55, 0x0a, 0x00, 0x02, 0x02}};
static const struct mac broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
static const struct mac group = {{0x33, 0x33, 0, 0, 0, 1}};

struct fake_port {
	struct port port; /* first: the cast in fake_send() */
	unsigned frames, flushes;
	uint8_t last[2048];
	size_t last_len;
};

struct bed {
	struct lan *lan;
	struct fake_port ports[PORTS];
	unsigned gateway_frames;
	const struct port *gateway_from;
	unsigned warnings;
	char warning[2048];
};

static struct mac M(unsigned n) {
	return (struct mac){{0x52, 0x54, 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
}

static void
fake_send(struct port *port, const void *hdr, size_t hdr_len, const struct iovec *iov,
	  unsigned iov_n)
{
	struct fake_port *fake = (struct fake_port *)port;
	struct wire_out out = wire_out(fake->last, sizeof(fake->last));

	wire_put_bytes(&out, hdr, hdr_len);
	for (unsigned i = 0; i < iov_n; i++)
		wire_put_bytes(&out, iov[i].iov_base, iov[i].iov_len);
	ck_assert(!out.bad);
	fake->last_len = wire_len(&out);
	fake->frames++;
	port->queued = true;
}

static void fake_flush(struct port *port)
{
	((struct fake_port *)port)->flushes++;
	port->queued = false;
}

static const struct port_ops fake_ops = {.send = fake_send, .flush = fake_flush};

static void gateway_input(void *ctx, struct port *from, const struct frame *frame)
{
	struct bed *bed = ctx;
	(void)frame;
	bed->gateway_frames++;
	bed->gateway_from = from;
}

static void take_warning(void *ctx, enum log_level level, const char *line)
{
	struct bed *bed = ctx;
	if (strncmp(line, "log: ", 5) == 0) /* how many were left out */
		return;
	ck_assert_int_eq(level, LOG_LEVEL_WARN);
	bed->warnings++;
	snprintf(bed->warning, sizeof(bed->warning), "%s", line);
}

static struct bed *bed_new(unsigned macs_max, unsigned ports_n)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct lan_config config = {.gateway_mac = gateway,
				    .ports_max = PORTS,
				    .macs_max = macs_max,
				    .mac_age_ms = 300000,
				    .gateway_input = gateway_input,
				    .ctx = bed};

	ck_assert_int_eq(lan_new(&bed->lan, &config), 0);
	log_set_sink(take_warning, bed);
	for (unsigned i = 0; i < ports_n; i++) {
		bed->ports[i].port = (struct port){.ops = &fake_ops, .id = i + 1};
		snprintf(bed->ports[i].port.name, sizeof(bed->ports[i].port.name), "port%u", i + 1);
		ck_assert_int_eq(lan_port_add(bed->lan, &bed->ports[i].port), 0);
	}
	return bed;
}

static void bed_free(struct bed *bed, unsigned ports_n)
{
	for (unsigned i = 0; i < ports_n; i++)
		lan_port_remove(bed->lan, &bed->ports[i].port);
	lan_free(bed->lan);
	log_set_sink(NULL, NULL);
	free(bed);
}

static void frame_bytes(uint8_t *bytes, struct mac dst, struct mac src)
{
	struct wire_out out = wire_out(bytes, FRAME_BYTES);

	wire_put_bytes(&out, dst.b, 6);
	wire_put_bytes(&out, src.b, 6);
	wire_put_u16(&out, 0x0800);
	while (wire_len(&out) < FRAME_BYTES)
		wire_put_u8(&out, (uint8_t)wire_len(&out));
}

/* Port number 'from' (0 is the first) speaks. */
static void say(struct bed *bed, unsigned from, struct mac dst, struct mac src, uint64_t now_ms)
{
	uint8_t bytes[FRAME_BYTES];
	struct iovec iov = {bytes, sizeof(bytes)};
	struct frame frame = {.iov = &iov, .iov_n = 1, .len = sizeof(bytes)};

	frame_bytes(bytes, dst, src);
	lan_input(bed->lan, &bed->ports[from].port, &frame, now_ms);
}

static void expect_frames(const struct bed *bed, unsigned a, unsigned b, unsigned c, unsigned d)
{
	ck_assert_uint_eq(bed->ports[0].frames, a);
	ck_assert_uint_eq(bed->ports[1].frames, b);
	ck_assert_uint_eq(bed->ports[2].frames, c);
	ck_assert_uint_eq(bed->ports[3].frames, d);
}

START_TEST(test_a_frame_for_the_gateway_goes_nowhere_else)
{
	struct bed *bed = bed_new(16, PORTS);

	say(bed, 1, gateway, M(1), 0);
	ck_assert_uint_eq(bed->gateway_frames, 1);
	ck_assert_ptr_eq(bed->gateway_from, &bed->ports[1].port);
	expect_frames(bed, 0, 0, 0, 0);
	ck_assert_uint_eq(lan_counters(bed->lan)->for_gateway, 1);
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_broadcast_and_multicast_reach_the_gateway_and_all_others)
{
	struct bed *bed = bed_new(16, PORTS);

	say(bed, 1, broadcast, M(1), 0);
	ck_assert_uint_eq(bed->gateway_frames, 1);
	expect_frames(bed, 1, 0, 1, 1);
	say(bed, 3, group, M(2), 0);
	ck_assert_uint_eq(bed->gateway_frames, 2);
	expect_frames(bed, 2, 1, 2, 1);
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_unicast_is_flooded_until_its_port_is_known)
{
	struct bed *bed = bed_new(16, PORTS);

	say(bed, 0, M(2), M(1), 0);
	expect_frames(bed, 0, 1, 1, 1);
	say(bed, 2, M(1), M(2), 0);
	expect_frames(bed, 1, 1, 1, 1);
	say(bed, 0, M(2), M(1), 0);
	expect_frames(bed, 1, 1, 2, 1);
	ck_assert_uint_eq(bed->gateway_frames, 0); /* none of the gateway's business */
	ck_assert_uint_eq(lan_counters(bed->lan)->flooded, 1);
	ck_assert_uint_eq(lan_counters(bed->lan)->forwarded, 2);
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_nothing_goes_back_where_it_came_from)
{
	struct bed *bed = bed_new(16, PORTS);

	say(bed, 0, gateway, M(1), 0);
	say(bed, 0, M(1), M(2), 0); /* two guests behind one port */
	say(bed, 0, M(1), M(1), 0);
	expect_frames(bed, 0, 0, 0, 0);
	ck_assert_uint_eq(lan_counters(bed->lan)->dropped_same_port, 2);
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_a_frame_in_pieces_arrives_whole)
{
	struct bed *bed = bed_new(16, 2);
	uint8_t bytes[FRAME_BYTES];

	frame_bytes(bytes, broadcast, M(1));
	for (size_t first = FRAME_HDR_LEN; first <= FRAME_BYTES; first++) {
		size_t second = (FRAME_BYTES - first) / 2;
		struct iovec iov[3] = {{bytes, first},
				       {bytes + first, second},
				       {bytes + first + second, FRAME_BYTES - first - second}};
		struct frame frame = {.iov = iov, .iov_n = 3, .len = FRAME_BYTES};
		lan_input(bed->lan, &bed->ports[0].port, &frame, 0);
		ck_assert_uint_eq(bed->ports[1].last_len, FRAME_BYTES);
		ck_assert(memcmp(bed->ports[1].last, bytes, FRAME_BYTES) == 0);
	}
	bed_free(bed, 2);
}
END_TEST

START_TEST(test_malformed_frames_are_counted_and_teach_nothing)
{
	struct bed *bed = bed_new(16, PORTS);
	uint8_t bytes[FRAME_BYTES];
	struct iovec iov = {bytes, 0};
	struct mac odd = M(1), learnt = M(1);

	frame_bytes(bytes, gateway, M(1));
	for (uint32_t len = 0; len < FRAME_HDR_LEN; len++) {
		struct frame frame = {.iov = &iov, .iov_n = len ? 1 : 0, .len = len};
		iov.iov_len = len;
		lan_input(bed->lan, &bed->ports[0].port, &frame, 0);
	}
	ck_assert_uint_eq(lan_counters(bed->lan)->malformed, FRAME_HDR_LEN);
	odd.b[0] |= 1;
	say(bed, 0, gateway, odd, 0);
	say(bed, 0, gateway, broadcast, 0);
	ck_assert_uint_eq(lan_counters(bed->lan)->malformed, FRAME_HDR_LEN + 2);
	ck_assert_uint_eq(bed->gateway_frames, 0);
	ck_assert_ptr_null(lan_port_of(bed->lan, &odd));
	ck_assert_ptr_null(lan_port_of(bed->lan, &learnt));

	struct iovec many[FRAME_PIECES_MAX + 1];
	for (unsigned i = 0; i <= FRAME_PIECES_MAX; i++)
		many[i] = (struct iovec){bytes, FRAME_HDR_LEN};
	struct frame frame = {.iov = many, .iov_n = FRAME_PIECES_MAX + 1, .len = 21 * 14};
	lan_input(bed->lan, &bed->ports[0].port, &frame, 0);
	ck_assert_uint_eq(lan_counters(bed->lan)->malformed, FRAME_HDR_LEN + 3);
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_a_guest_with_the_gateways_mac_is_dropped_with_one_warning)
{
	struct bed *bed = bed_new(16, PORTS);

	for (unsigned i = 0; i < 100; i++)
		say(bed, 2, broadcast, gateway, i);
	ck_assert_uint_eq(lan_counters(bed->lan)->source_spoofs_gateway, 100);
	ck_assert_uint_eq(bed->gateway_frames, 0);
	expect_frames(bed, 0, 0, 0, 0);
	ck_assert_ptr_null(lan_port_of(bed->lan, &gateway));
	ck_assert_uint_eq(bed->warnings, 1);
	ck_assert_ptr_nonnull(strstr(bed->warning, "port3"));
	say(bed, 2, broadcast, gateway, 10000);
	ck_assert_uint_eq(bed->warnings, 2);
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_one_mac_on_two_ports_is_said_loudly_once_and_follows_the_speaker)
{
	struct bed *bed = bed_new(16, PORTS);
	struct mac mac = M(0x123456);

	say(bed, 0, gateway, mac, 1000);
	say(bed, 3, gateway, mac, 1001);
	say(bed, 0, gateway, mac, 11000);
	ck_assert_uint_eq(bed->warnings, 1);
	ck_assert_ptr_nonnull(strstr(bed->warning, "port1"));
	ck_assert_ptr_nonnull(strstr(bed->warning, "port4"));
	ck_assert_ptr_nonnull(strstr(bed->warning, "52:54:00:12:34:56"));
	ck_assert_ptr_nonnull(strstr(bed->warning, "macaddr="));
	ck_assert_ptr_eq(lan_port_of(bed->lan, &mac), &bed->ports[0].port);
	for (unsigned i = 0; i < 50; i++)
		say(bed, i % 2 ? 0 : 2, gateway, mac, 11000 + i);
	ck_assert_uint_eq(bed->warnings, 1);
	ck_assert_uint_eq(lan_counters(bed->lan)->mac_conflicts, 51);
	ck_assert_ptr_eq(lan_port_of(bed->lan, &mac), &bed->ports[0].port);
	say(bed, 1, gateway, mac, 70990);
	say(bed, 0, gateway, mac, 71000); /* a minute after the first word */
	ck_assert_uint_eq(bed->warnings, 2);
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_a_mac_may_move_without_a_word_when_it_stays_there)
{
	struct bed *bed = bed_new(16, PORTS);
	struct mac mac = M(7);

	say(bed, 0, gateway, mac, 1000);
	say(bed, 1, gateway, mac, 1001);
	say(bed, 1, gateway, mac, 2000);
	say(bed, 2, gateway, mac, 11001);
	say(bed, 1, gateway, mac, 21001);
	ck_assert_ptr_eq(lan_port_of(bed->lan, &mac), &bed->ports[1].port);
	lan_port_remove(bed->lan, &bed->ports[1].port); /* the guest leaves and comes again */
	say(bed, 2, gateway, mac, 11001);
	ck_assert_uint_eq(bed->warnings, 0);
	ck_assert_uint_eq(lan_counters(bed->lan)->mac_conflicts, 0);
	ck_assert_int_eq(lan_port_add(bed->lan, &bed->ports[1].port), 0);
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_conflicts_of_many_macs_cannot_flood_the_log)
{
	struct bed *bed = bed_new(1024, PORTS);

	for (unsigned i = 0; i < 1000; i++) {
		say(bed, 0, gateway, M(i), 1);
		say(bed, 1, gateway, M(i), 1);
		say(bed, 0, gateway, M(i), 1);
	}
	ck_assert_uint_eq(lan_counters(bed->lan)->mac_conflicts, 1000);
	ck_assert_uint_eq(bed->warnings, 20);
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_silent_macs_are_forgotten_and_speaking_ones_are_not)
{
	struct bed *bed = bed_new(16, PORTS);
	struct mac one = M(1), two = M(2);

	say(bed, 0, gateway, one, 0);
	say(bed, 1, gateway, two, 0);
	say(bed, 0, gateway, one, 299999);
	say(bed, 2, gateway, M(3), 300000);
	ck_assert_ptr_nonnull(lan_port_of(bed->lan, &one));
	ck_assert_ptr_null(lan_port_of(bed->lan, &two));
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_a_full_table_gives_up_the_longest_silent_mac)
{
	struct bed *bed = bed_new(8, PORTS);

	for (unsigned i = 0; i < 8; i++)
		say(bed, 0, gateway, M(i), i);
	say(bed, 0, gateway, M(0), 8); /* now M(1) is the longest silent */
	say(bed, 1, gateway, M(100), 9);
	ck_assert_uint_eq(lan_counters(bed->lan)->macs_evicted, 1);
	for (unsigned i = 0; i < 8; i++) {
		struct mac mac = M(i);
		ck_assert_ptr_eq(lan_port_of(bed->lan, &mac), i == 1 ? NULL : &bed->ports[0].port);
	}
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_a_flood_of_macs_stays_bounded_and_the_table_stays_right)
{
	struct bed *bed = bed_new(64, PORTS);
	struct rng rng;

	rng_init_fixed(&rng, 5);
	for (unsigned i = 0; i < 100000; i++) {
		struct mac mac = M(rng_below(&rng, 200));
		unsigned from = rng_below(&rng, PORTS);
		say(bed, from, gateway, mac, i * 20ULL);
		ck_assert_ptr_eq(lan_port_of(bed->lan, &mac), &bed->ports[from].port);
		if (i % 1000 == 0) {
			lan_port_remove(bed->lan, &bed->ports[from].port);
			ck_assert_ptr_null(lan_port_of(bed->lan, &mac));
			ck_assert_int_eq(lan_port_add(bed->lan, &bed->ports[from].port), 0);
		}
	}
	unsigned known = 0;
	for (unsigned i = 0; i < 200; i++) {
		struct mac mac = M(i);
		known += lan_port_of(bed->lan, &mac) != NULL;
	}
	ck_assert_uint_gt(known, 32);
	ck_assert_uint_le(known, 64);
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_flush_touches_only_ports_with_frames)
{
	struct bed *bed = bed_new(16, PORTS);

	say(bed, 0, gateway, M(1), 0);
	say(bed, 1, M(1), M(2), 0);
	lan_flush(bed->lan);
	ck_assert_uint_eq(bed->ports[0].flushes, 1);
	ck_assert_uint_eq(bed->ports[1].flushes, 0);
	lan_flush(bed->lan);
	ck_assert_uint_eq(bed->ports[0].flushes, 1);
	say(bed, 1, M(1), M(2), 0);
	lan_port_remove(bed->lan, &bed->ports[0].port); /* with a frame queued */
	lan_flush(bed->lan);
	ck_assert_uint_eq(bed->ports[0].flushes, 1);
	ck_assert_int_eq(lan_port_add(bed->lan, &bed->ports[0].port), 0);
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_frames_whose_marks_do_not_fit_are_counted_not_sent)
{
	struct bed *bed = bed_new(16, PORTS);
	uint8_t bytes[FRAME_BYTES];
	struct iovec iov = {bytes, sizeof(bytes)};
	struct frame frame = {
	    .iov = &iov, .iov_n = 1, .len = sizeof(bytes), .offload = {.gso_type = 1}};

	frame_bytes(bytes, broadcast, M(1));
	lan_input(bed->lan, &bed->ports[0].port, &frame, 0);
	expect_frames(bed, 0, 0, 0, 0);
	ck_assert_uint_eq(lan_counters(bed->lan)->dropped_offload, PORTS - 1);
	ck_assert_uint_eq(bed->gateway_frames, 1); /* the NAT finishes them itself */
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_gateway_gets_large_segments_and_datagrams_whole)
{
	struct bed *bed = bed_new(16, PORTS);
	uint8_t bytes[14 + 20 + 8 + 30] = {0};
	struct iovec iov = {bytes, sizeof(bytes)};
	struct frame frame = {.iov = &iov,
			      .iov_n = 1,
			      .len = sizeof(bytes),
			      .offload = {1, FRAME_GSO_UDP_L4, 10, 34, 6}};

	frame_bytes(bytes, gateway, M(1));
	bytes[12] = 8;
	bytes[13] = 0;
	bytes[14] = 0x45;
	lan_input(bed->lan, &bed->ports[0].port, &frame, 0);
	ck_assert_uint_eq(bed->gateway_frames, 1);
	frame.offload = (struct frame_offload){1, FRAME_GSO_TCPV4 | FRAME_GSO_ECN, 10, 34, 16};
	lan_input(bed->lan, &bed->ports[0].port, &frame, 0);
	ck_assert_uint_eq(bed->gateway_frames, 2);
	ck_assert_uint_eq(lan_counters(bed->lan)->dropped_offload, 0);
	bed_free(bed, PORTS);
}
END_TEST

START_TEST(test_ports_have_a_limit_and_bad_configurations_are_refused)
{
	struct bed *bed = bed_new(16, PORTS);
	struct port extra = {.ops = &fake_ops};
	struct lan *lan = NULL;
	struct lan_config good = {
	    .gateway_mac = gateway, .ports_max = 1, .macs_max = 1, .gateway_input = gateway_input};
	struct lan_config bad = good;

	ck_assert_int_eq(lan_port_add(bed->lan, &extra), -ENOSPC);
	bad.ports_max = 0;
	ck_assert_int_eq(lan_new(&lan, &bad), -EINVAL);
	bad = good;
	bad.macs_max = 0;
	ck_assert_int_eq(lan_new(&lan, &bad), -EINVAL);
	bad = good;
	bad.gateway_mac.b[0] |= 1;
	ck_assert_int_eq(lan_new(&lan, &bad), -EINVAL);
	ck_assert_ptr_null(lan);
	lan_free(NULL);
	ck_assert_int_eq(lan_new(&lan, &good), 0);
	lan_free(lan);
	bed_free(bed, PORTS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lan");
	TCase *tc = tcase_create("lan");
	tcase_add_test(tc, test_a_frame_for_the_gateway_goes_nowhere_else);
	tcase_add_test(tc, test_broadcast_and_multicast_reach_the_gateway_and_all_others);
	tcase_add_test(tc, test_unicast_is_flooded_until_its_port_is_known);
	tcase_add_test(tc, test_nothing_goes_back_where_it_came_from);
	tcase_add_test(tc, test_a_frame_in_pieces_arrives_whole);
	tcase_add_test(tc, test_malformed_frames_are_counted_and_teach_nothing);
	tcase_add_test(tc, test_a_guest_with_the_gateways_mac_is_dropped_with_one_warning);
	tcase_add_test(tc, test_one_mac_on_two_ports_is_said_loudly_once_and_follows_the_speaker);
	tcase_add_test(tc, test_a_mac_may_move_without_a_word_when_it_stays_there);
	tcase_add_test(tc, test_conflicts_of_many_macs_cannot_flood_the_log);
	tcase_add_test(tc, test_silent_macs_are_forgotten_and_speaking_ones_are_not);
	tcase_add_test(tc, test_a_full_table_gives_up_the_longest_silent_mac);
	tcase_add_test(tc, test_a_flood_of_macs_stays_bounded_and_the_table_stays_right);
	tcase_add_test(tc, test_flush_touches_only_ports_with_frames);
	tcase_add_test(tc, test_frames_whose_marks_do_not_fit_are_counted_not_sent);
	tcase_add_test(tc, test_gateway_gets_large_segments_and_datagrams_whole);
	tcase_add_test(tc, test_ports_have_a_limit_and_bad_configurations_are_refused);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
