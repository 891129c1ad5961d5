#include "stack/link/stream_codec.h"

#include "stack/base/frame.h"
#include "stack/base/wire.h"

#include <check.h>
#include <stdlib.h>

/* A stream that begins with 'prefix' and goes on for 'len' bytes in all. */
static enum stream_verdict verdict_of(uint32_t prefix, size_t len, uint32_t *ret)
{
	uint8_t *bytes = calloc(1, len ? len : 1);
	struct wire_out out = wire_out(bytes, len);

	wire_put_u32(&out, prefix);
	enum stream_verdict verdict = stream_next(bytes, len, ret);
	free(bytes);
	return verdict;
}

START_TEST(test_lengths_no_nic_sends_break_the_stream)
{
	static const uint32_t lengths[] = {0,          1,          13,         FRAME_LEN_MAX + 1,
					   0x10000000, 0x7fffffff, 0x80000000, 0xffffffff};
	uint32_t len = 77;

	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		ck_assert_int_eq(verdict_of(lengths[i], 4, &len), STREAM_BROKEN);
		ck_assert_int_eq(verdict_of(lengths[i], 70000, &len), STREAM_BROKEN);
	}
	ck_assert_uint_eq(len, 77);
}
END_TEST

START_TEST(test_the_shortest_and_the_longest_frame_pass)
{
	uint32_t len = 0;

	ck_assert_int_eq(verdict_of(14, 18, &len), STREAM_FRAME);
	ck_assert_uint_eq(len, 14);
	ck_assert_int_eq(verdict_of(FRAME_LEN_MAX, FRAME_LEN_MAX + 4, &len), STREAM_FRAME);
	ck_assert_uint_eq(len, FRAME_LEN_MAX);
}
END_TEST

START_TEST(test_a_frame_cut_at_any_byte_asks_for_the_rest)
{
	uint32_t need;

	for (size_t len = 0; len < 4; len++) {
		need = 77;
		ck_assert_int_eq(verdict_of(60, len, &need), STREAM_NEED_MORE);
		ck_assert_uint_eq(need, 0);
	}
	for (size_t len = 4; len < 64; len++) {
		need = 77;
		ck_assert_int_eq(verdict_of(60, len, &need), STREAM_NEED_MORE);
		ck_assert_uint_eq(need, 64);
	}
	ck_assert_int_eq(verdict_of(60, 64, &need), STREAM_FRAME);
}
END_TEST

START_TEST(test_bytes_after_a_frame_are_not_looked_at)
{
	static const uint8_t bytes[4 + 14 + 4] = {
	    0, 0, 0, 14, [18] = 0xff, [19] = 0xff, [20] = 0xff, [21] = 0xff};
	uint32_t len;

	ck_assert_int_eq(stream_next(bytes, sizeof(bytes), &len), STREAM_FRAME);
	ck_assert_uint_eq(len, 14);
	ck_assert_int_eq(stream_next(bytes + 18, 4, &len), STREAM_BROKEN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream_codec");
	TCase *tc = tcase_create("stream_codec");
	tcase_add_test(tc, test_lengths_no_nic_sends_break_the_stream);
	tcase_add_test(tc, test_the_shortest_and_the_longest_frame_pass);
	tcase_add_test(tc, test_a_frame_cut_at_any_byte_asks_for_the_rest);
	tcase_add_test(tc, test_bytes_after_a_frame_are_not_looked_at);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
