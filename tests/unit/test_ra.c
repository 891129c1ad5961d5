/* Router Advertisements: what they say, and when. */
#include "dhcp/ra.h"
#include "tests/support/suite.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct rng rng;
static struct ra *ra;
static uint8_t bytes[RA_MAX];
static struct wire_out out;

static void open_ra(const struct ra_config *config)
{
	rng_init_fixed(&rng, 7);
	ck_assert_int_eq(ra_new(&ra, config), 0);
}

static struct ra_config a_config(void)
{
	static const char *const search[] = {"corp.example", "lwnat.internal"};
	struct ra_config config = {.mac = {{0x52, 0x55, 10, 0, 2, 2}},
				   .mtu = 1500,
				   .search = search,
				   .search_n = 2,
				   .managed = true};

	ck_assert_int_eq(subnet_parse("fec0::/64", &config.net), 0);
	ck_assert_int_eq(addr_parse("fec0::3", &config.dns), 0);
	return config;
}

static void write_ra(bool last)
{
	out = wire_out(bytes, sizeof(bytes));
	ra_write(ra, last, &out);
	ck_assert(!out.bad);
}

/* The n-th option of a type, or NULL. Walks all of them: lengths add up to the end. */
static const uint8_t *option(uint8_t type)
{
	const uint8_t *found = NULL;
	size_t at = 16;

	while (at < wire_len(&out)) {
		ck_assert_uint_gt(bytes[at + 1], 0);
		if (bytes[at] == type)
			found = bytes + at;
		at += 8u * bytes[at + 1];
	}
	ck_assert_uint_eq(at, wire_len(&out));
	return found;
}

static unsigned router_lifetime(void)
{
	return (unsigned)bytes[6] << 8 | bytes[7];
}

START_TEST(test_all_that_a_guest_needs_is_in_it)
{
	static const uint8_t prefix[] = {3, 4,    64,   0xc0, 0, 1, 0x51, 0x80, 0,
					 0, 0x38, 0x40, 0,    0, 0, 0,    0xfe, 0xc0};
	static const uint8_t names[] = "\4corp\7example\0\5lwnat\10internal\0";
	struct ra_config config = a_config();

	open_ra(&config);
	write_ra(false);
	ck_assert_uint_eq(bytes[0], 134);
	ck_assert_uint_eq(bytes[4], 64);
	ck_assert_uint_eq(bytes[5], 0xc0);
	ck_assert_uint_eq(router_lifetime(), 0);
	ck_assert_mem_eq(option(1) + 2, config.mac.b, 6);
	ck_assert_mem_eq(option(3), prefix, sizeof(prefix));
	ck_assert_mem_eq(option(5), "\5\1\0\0\0\0\5\334", 8);
	ck_assert_mem_eq(option(25) + 8, config.dns.b, 16);
	ck_assert_mem_eq(option(25) + 4, "\0\0\7\10", 4);
	ck_assert_mem_eq(option(31) + 8, names, sizeof(names) - 1);
	ra_free(ra);
}
END_TEST

START_TEST(test_router_lifetime_follows_the_host)
{
	struct ra_config config = a_config();

	open_ra(&config);
	ra_guest_came(ra, 1000);
	ra_sent(ra, 1000, &rng);
	ck_assert(ra_set_online(ra, true, 60000, &rng));
	ck_assert_uint_ge(ra_due_ms(ra), 4000);
	write_ra(false);
	ck_assert_uint_eq(router_lifetime(), 1800);
	ck_assert(!ra_set_online(ra, true, 60000, &rng));
	ra_sent(ra, 60100, &rng);
	ck_assert(ra_set_online(ra, false, 60200, &rng));
	/* RFC 4861 section 6.2.6: never two within three seconds */
	ck_assert_uint_eq(ra_due_ms(ra), 63100);
	write_ra(false);
	ck_assert_uint_eq(router_lifetime(), 0);
	ck_assert_mem_eq(option(25) + 4, "\0\0\7\10", 4);
	ra_free(ra);
}
END_TEST

START_TEST(test_the_last_one_takes_all_back_but_the_prefix)
{
	struct ra_config config = a_config();

	open_ra(&config);
	ra_set_online(ra, true, 0, &rng);
	write_ra(true);
	ck_assert_uint_eq(router_lifetime(), 0);
	ck_assert_mem_eq(option(25) + 4, "\0\0\0\0", 4);
	ck_assert_mem_eq(option(31) + 4, "\0\0\0\0", 4);
	ck_assert_mem_eq(option(3) + 4, "\0\1\x51\x80", 4);
	ra_free(ra);
}
END_TEST

START_TEST(test_only_a_64_lets_guests_make_their_addresses)
{
	struct ra_config config = a_config();

	config.net.prefix_len = 112;
	config.search_n = 0;
	config.dns = (struct addr){{0}};
	config.mtu = 0;
	open_ra(&config);
	write_ra(false);
	ck_assert_uint_eq(option(3)[2], 112);
	ck_assert_uint_eq(option(3)[3], 0x80);
	ck_assert_ptr_null(option(5));
	ck_assert_ptr_null(option(25));
	ck_assert_ptr_null(option(31));
	ra_free(ra);
}
END_TEST

START_TEST(test_periodic_ones_are_jittered_after_three_short_intervals)
{
	struct ra_config config = a_config();
	uint64_t now_ms = 5000, differing = 0, last_ms = 0;

	open_ra(&config);
	ck_assert_uint_eq(ra_due_ms(ra), UINT64_MAX);
	ra_guest_came(ra, now_ms);
	ck_assert_uint_eq(ra_due_ms(ra), now_ms + 16000);
	for (int i = 0; i < 3; i++) {
		now_ms = ra_due_ms(ra);
		ra_sent(ra, now_ms, &rng);
		ck_assert_uint_eq(ra_due_ms(ra), now_ms + 16000);
	}
	for (int i = 0; i < 50; i++) {
		uint64_t in_ms;

		now_ms = ra_due_ms(ra);
		ra_sent(ra, now_ms, &rng);
		in_ms = ra_due_ms(ra) - now_ms;
		ck_assert(in_ms >= 200000 && in_ms <= 600000);
		differing += in_ms != last_ms;
		last_ms = in_ms;
	}
	ck_assert_uint_gt(differing, 40);
	ra_guests_gone(ra);
	ck_assert_uint_eq(ra_due_ms(ra), UINT64_MAX);
	ra_set_online(ra, true, now_ms, &rng);
	ck_assert_uint_eq(ra_due_ms(ra), UINT64_MAX);
	ra_free(ra);
}
END_TEST

START_TEST(test_a_long_search_list_is_cut_and_a_bad_one_refused)
{
	static char names[16][240];
	const char *search[16];
	struct ra_config config = a_config();

	for (int i = 0; i < 16; i++) {
		snprintf(names[i], sizeof(names[i]), "%060d.%060d.%060d.n%d", 0, 1, 2, i);
		search[i] = names[i];
	}
	config.search = search;
	config.search_n = 16;
	open_ra(&config);
	write_ra(false);
	ck_assert_uint_gt(option(31)[1], 90);
	ra_free(ra);
	search[0] = "a..b";
	ck_assert_int_eq(ra_new(&ra, &config), -EINVAL);
}
END_TEST

int main(void)
{
	return SUITE_RUN("ra", test_all_that_a_guest_needs_is_in_it,
			 test_router_lifetime_follows_the_host,
			 test_the_last_one_takes_all_back_but_the_prefix,
			 test_only_a_64_lets_guests_make_their_addresses,
			 test_periodic_ones_are_jittered_after_three_short_intervals,
			 test_a_long_search_list_is_cut_and_a_bad_one_refused);
}
