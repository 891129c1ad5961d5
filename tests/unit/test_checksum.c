#include "stack/base/checksum.h"

#include "stack/base/rng.h"
#include "stack/base/wire.h"

#include <check.h>
#include <stdlib.h>

/* RFC 1071 section 4.1, word by word: slow and plainly right. */
static uint16_t reference(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (; len > 1; p += 2, len -= 2) {
		sum += (uint32_t)p[0] << 8 | p[1];
		sum = (sum & 0xffff) + (sum >> 16);
	}
	if (len) {
		sum += (uint32_t)p[0] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)~sum;
}

START_TEST(test_rfc_1071_example_gives_its_sum)
{
	static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	ck_assert_uint_eq(checksum_finish(checksum_add(0, bytes, sizeof(bytes))),
			  (uint16_t)~0xddf2);
}
END_TEST

START_TEST(test_an_ipv4_header_with_its_checksum_sums_to_zero)
{
	static const uint8_t header[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40,
					 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8,
					 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};

	ck_assert_uint_eq(checksum_finish(checksum_add(0, header, sizeof(header))), 0);
}
END_TEST

START_TEST(test_nothing_and_single_bytes_are_padded_with_zero)
{
	ck_assert_uint_eq(checksum_finish(0), 0xffff);
	ck_assert_uint_eq(checksum_finish(checksum_add(0, "", 0)), 0xffff);
	ck_assert_uint_eq(checksum_finish(checksum_add(0, "\x12", 1)), (uint16_t)~0x1200);
	ck_assert_uint_eq(checksum_finish(checksum_add(0, "\xff\xff", 2)), 0);
}
END_TEST

START_TEST(test_every_length_and_alignment_agrees_with_the_reference)
{
	static uint8_t bytes[600];
	struct rng rng;

	rng_init_fixed(&rng, 1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rng_u32(&rng);
	for (size_t at = 0; at < 40; at++) {
		for (size_t len = 0; at + len <= sizeof(bytes); len++) {
			uint16_t sum = checksum_finish(checksum_add(0, bytes + at, len));
			ck_assert_msg(sum == reference(bytes + at, len), "at %zu, %zu bytes", at,
				      len);
		}
	}
}
END_TEST

START_TEST(test_pieces_sum_to_the_whole)
{
	static uint8_t bytes[65535];
	struct rng rng;

	rng_init_fixed(&rng, 2);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rng_u32(&rng);
	uint16_t whole = reference(bytes, sizeof(bytes));
	for (unsigned round = 0; round < 200; round++) {
		checksum_sum sum = 0;
		size_t at = 0;
		while (at < sizeof(bytes)) {
			size_t len = 2 * (size_t)rng_below(&rng, 3000);
			if (len > sizeof(bytes) - at)
				len = sizeof(bytes) - at;
			sum = checksum_add(sum, bytes + at, len);
			at += len;
		}
		ck_assert_uint_eq(checksum_finish(sum), whole);
	}
}
END_TEST

START_TEST(test_a_long_run_of_ones_does_not_overflow)
{
	size_t len = 8 << 20;
	uint8_t *bytes = malloc(len);

	memset(bytes, 0xff, len);
	checksum_sum sum = 0;
	for (unsigned i = 0; i < 8; i++)
		sum = checksum_add(sum, bytes, len);
	ck_assert_uint_eq(checksum_finish(sum), 0);
	free(bytes);
}
END_TEST

START_TEST(test_udp_has_no_checksum_zero)
{
	const uint8_t ones[2] = {0xff, 0xff}, others[2] = {0x12, 0x34};

	ck_assert_uint_eq(checksum_finish(checksum_add(0, ones, 2)), 0);
	ck_assert_uint_eq(checksum_finish_udp(checksum_add(0, ones, 2)), 0xffff);
	ck_assert_uint_eq(checksum_finish_udp(checksum_add(0, others, 2)), 0xedcb);
}
END_TEST

START_TEST(test_pseudo_headers_of_both_families_are_the_same_as_their_bytes)
{
	struct addr a, b;
	uint8_t bytes[40];

	addr_parse("192.0.2.1", &a);
	addr_parse("198.51.100.200", &b);
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	wire_put_bytes(&out, a.b + 12, 4);
	wire_put_bytes(&out, b.b + 12, 4);
	wire_put_u16(&out, 6);
	wire_put_u16(&out, 0xfff1);
	ck_assert_uint_eq(checksum_finish(checksum_add_pseudo(0, &a, &b, 6, 0xfff1)),
			  reference(bytes, wire_len(&out)));

	addr_parse("fec0::1", &a);
	addr_parse("2001:db8::ffff", &b);
	out = wire_out(bytes, sizeof(bytes));
	wire_put_bytes(&out, a.b, 16);
	wire_put_bytes(&out, b.b, 16);
	wire_put_u32(&out, 0x12345);
	wire_put_u32(&out, 58);
	ck_assert_uint_eq(checksum_finish(checksum_add_pseudo(0, &a, &b, 58, 0x12345)),
			  reference(bytes, wire_len(&out)));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("checksum");
	TCase *tc = tcase_create("checksum");
	tcase_add_test(tc, test_rfc_1071_example_gives_its_sum);
	tcase_add_test(tc, test_an_ipv4_header_with_its_checksum_sums_to_zero);
	tcase_add_test(tc, test_nothing_and_single_bytes_are_padded_with_zero);
	tcase_add_test(tc, test_every_length_and_alignment_agrees_with_the_reference);
	tcase_add_test(tc, test_pieces_sum_to_the_whole);
	tcase_add_test(tc, test_a_long_run_of_ones_does_not_overflow);
	tcase_add_test(tc, test_udp_has_no_checksum_zero);
	tcase_add_test(tc, test_pseudo_headers_of_both_families_are_the_same_as_their_bytes);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
