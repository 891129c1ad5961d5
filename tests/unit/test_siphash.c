#include "stack/base/siphash.h"

#include "stack/base/rng.h"

#include <check.h>
#include <stdlib.h>

static const struct siphash_key counting = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};

/* The authors' vectors: key 00 01 .. 0f, message 00 01 .. (i - 1) for row i. */
static const uint64_t vectors[] = {
    0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
    0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
    0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
    0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
};

START_TEST(test_the_authors_vectors_come_out)
{
	uint8_t message[64];

	for (unsigned i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)i;
	for (unsigned i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		ck_assert_msg(siphash(&counting, message, i) == vectors[i], "%u bytes", i);
	ck_assert_uint_eq(siphash(&counting, message, 63), 0x958a324ceb064572);
}
END_TEST

START_TEST(test_another_key_gives_another_hash)
{
	struct siphash_key other = counting;

	other.k[1] ^= 1;
	ck_assert_uint_ne(siphash(&counting, "abc", 3), siphash(&other, "abc", 3));
}
END_TEST

START_TEST(test_a_fixed_seed_repeats_and_seeds_differ)
{
	struct rng a, b, c;

	rng_init_fixed(&a, 7);
	rng_init_fixed(&b, 7);
	rng_init_fixed(&c, 8);
	uint64_t first = rng_u64(&a);
	ck_assert_uint_eq(first, rng_u64(&b));
	ck_assert_uint_ne(first, rng_u64(&c));
	ck_assert_uint_ne(first, rng_u64(&a));
}
END_TEST

START_TEST(test_two_real_seeds_differ)
{
	struct rng a, b;

	ck_assert_int_eq(rng_init(&a), 0);
	ck_assert_int_eq(rng_init(&b), 0);
	ck_assert_uint_ne(rng_u64(&a), rng_u64(&b));
}
END_TEST

START_TEST(test_bounded_numbers_stay_below_and_reach_everything)
{
	unsigned seen[3] = {0};
	struct rng rng;

	rng_init_fixed(&rng, 3);
	for (unsigned i = 0; i < 30000; i++) {
		uint32_t n = rng_below(&rng, 3);
		ck_assert_uint_lt(n, 3);
		seen[n]++;
	}
	for (unsigned i = 0; i < 3; i++)
		ck_assert(seen[i] > 9500 && seen[i] < 10500);
	ck_assert_uint_eq(rng_below(&rng, 1), 0);

	/* Two thirds of the values fall below half of this bound when the bias is not removed. */
	unsigned low = 0;
	for (unsigned i = 0; i < 30000; i++)
		low += rng_below(&rng, 0xc0000000) < 0x60000000;
	ck_assert(low > 14500 && low < 15500);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("siphash");
	TCase *tc = tcase_create("siphash and rng");
	tcase_add_test(tc, test_the_authors_vectors_come_out);
	tcase_add_test(tc, test_another_key_gives_another_hash);
	tcase_add_test(tc, test_a_fixed_seed_repeats_and_seeds_differ);
	tcase_add_test(tc, test_two_real_seeds_differ);
	tcase_add_test(tc, test_bounded_numbers_stay_below_and_reach_everything);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
