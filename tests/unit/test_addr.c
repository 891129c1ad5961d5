#include "stack/base/addr.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

static struct addr A(const char *text) {
	struct addr a;
	ck_assert_msg(addr_parse(text, &a) == 0, "%s", text);
	return a;
}

static struct subnet
N(const char *text) {
	struct subnet n;
	ck_assert_msg(subnet_parse(text, &n) == 0, "%s", text);
	return n;
}

START_TEST(test_addresses_of_both_families_survive_a_round_trip)
{
	static const char *const texts[] = {"0.0.0.0",
					    "10.0.2.2",
					    "255.255.255.255",
					    "::",
					    "::1",
					    "fec0::2",
					    "fe80::1",
					    "2001:db8::1:0:0:1",
					    "1:2:3:4:5:6:7:8",
					    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
	char text[ADDR_TEXT_MAX];

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct addr a = A(texts[i]);
		ck_assert_str_eq(addr_format(&a, text), texts[i]);
	}
	struct addr a = A("10.0.2.15");
	ck_assert(addr_is_v4(&a));
	ck_assert_uint_eq(addr_to_v4(&a), 0x0a00020f);
	struct addr same = addr_v4(0x0a00020f);
	ck_assert(addr_eq(&a, &same));
	a = A("::10.0.2.15");
	ck_assert(!addr_is_v4(&a));
}
END_TEST

START_TEST(test_bad_address_text_is_refused_and_leaves_the_result_alone)
{
	static const char *const texts[] = {"",
					    " ",
					    "10.1",
					    "10",
					    "0x0a000202",
					    "010.0.2.2",
					    "10.0.2.02",
					    "10.0.2.256",
					    "10.0.2.2 ",
					    " 10.0.2.2",
					    "10.0.2.2.",
					    "10.0.2.2/24",
					    "10.0..2",
					    "-1.0.0.0",
					    "1.2.3.4.5",
					    ":",
					    ":::",
					    "1::2::3",
					    "12345::",
					    "fe80::1%eth0",
					    "[::1]",
					    "::ffff:1.2.3.4",
					    "::ffff:102:304",
					    "1:2:3:4:5:6:7",
					    "1:2:3:4:5:6:7:8:9",
					    "localhost",
					    "::FFFF:0:0"};
	struct addr before = A("1.2.3.4"), a = before;

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_msg(addr_parse(texts[i], &a) == -EINVAL, "'%s'", texts[i]);
		ck_assert(addr_eq(&a, &before));
	}
}
END_TEST

START_TEST(test_kinds_of_address_are_told_for_both_families)
{
	enum kind { PLAIN, UNSPECIFIED, LOOPBACK, MULTICAST, LINK_LOCAL, BROADCAST };
	static const struct {
		const char *text;
		enum kind kind;
	} rows[] = {
	    {"0.0.0.0", UNSPECIFIED},
	    {"::", UNSPECIFIED},
	    {"127.0.0.1", LOOPBACK},
	    {"127.255.255.255", LOOPBACK},
	    {"126.255.255.255", PLAIN},
	    {"128.0.0.0", PLAIN},
	    {"::1", LOOPBACK},
	    {"::2", PLAIN},
	    {"::127.0.0.1", PLAIN},
	    {"224.0.0.1", MULTICAST},
	    {"239.255.255.255", MULTICAST},
	    {"223.255.255.255", PLAIN},
	    {"240.0.0.1", PLAIN},
	    {"ff02::1", MULTICAST},
	    {"169.254.0.1", LINK_LOCAL},
	    {"169.253.0.1", PLAIN},
	    {"fe80::1", LINK_LOCAL},
	    {"febf::1", LINK_LOCAL},
	    {"fec0::1", PLAIN},
	    {"fe00::", PLAIN},
	    {"255.255.255.255", BROADCAST},
	    {"255.255.255.254", PLAIN},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr a = A(rows[i].text);
		enum kind kind = rows[i].kind;
		ck_assert_msg(addr_is_unspecified(&a) == (kind == UNSPECIFIED) &&
				  addr_is_loopback(&a) == (kind == LOOPBACK) &&
				  addr_is_multicast(&a) == (kind == MULTICAST) &&
				  addr_is_link_local(&a) == (kind == LINK_LOCAL) &&
				  addr_is_broadcast(&a) == (kind == BROADCAST),
			      "%s", rows[i].text);
	}
}
END_TEST

START_TEST(test_subnets_are_read_with_length_or_mask)
{
	static const struct {
		const char *text;
		unsigned prefix_len;
	} rows[] = {
	    {"0.0.0.0/0", 0},
	    {"10.0.2.0/24", 24},
	    {"10.0.2.5/31", 31},
	    {"10.0.2.5/32", 32},
	    {"10.0.2.0/255.255.255.0", 24},
	    {"10.0.0.0/255.0.0.0", 8},
	    {"10.0.0.0/0.0.0.0", 0},
	    {"10.0.0.0/255.255.255.255", 32},
	    {"10.0.0.0/255.255.255.254", 31},
	    {"10.0.0.0/128.0.0.0", 1},
	    {"::/0", 0},
	    {"fec0::/64", 64},
	    {"::1/128", 128},
	    {"fec0::1/127", 127},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct subnet n = N(rows[i].text);
		ck_assert_msg(n.prefix_len == rows[i].prefix_len, "%s: %u", rows[i].text,
			      n.prefix_len);
	}
	struct subnet n = N("10.0.2.5/24");
	ck_assert_uint_eq(addr_to_v4(&n.addr), 0x0a000205);
}
END_TEST

START_TEST(test_bad_subnet_text_is_refused_and_leaves_the_result_alone)
{
	static const char *const texts[] = {
	    "",
	    "10.0.2.0",
	    "10.0.2.0/",
	    "10.0.2.0/33",
	    "10.0.2.0/024",
	    "10.0.2.0/+24",
	    "10.0.2.0/ 24",
	    "10.0.2.0/24 ",
	    "10.0.2.0/24/24",
	    "10.0.2.0/-1",
	    "10.0.2.0/4294967320",
	    "10.0.2.0/00",
	    "10.0.2.0/255.0.255.0",
	    "10.0.2.0/0.255.255.255",
	    "10.0.2.0/0.0.0.1",
	    "10.0.2.0/255.255.255",
	    "10.0.2/24",
	    "/24",
	    "fec0::/129",
	    "fec0::/255.255.255.0",
	    "10.0.2.0/ffff::",
	    "::ffff:10.0.2.0/120",
	    "10.0.2.0/::",
	    "10.0.2.0/0x18",
	    "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/64"};
	struct subnet before = N("1.2.3.4/5"), n = before;

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_msg(subnet_parse(texts[i], &n) == -EINVAL, "'%s'", texts[i]);
		ck_assert(memcmp(&n, &before, sizeof(n)) == 0);
	}
}
END_TEST

static bool contains(const char *net, const char *addr)
{
	struct subnet n = N(net);
	struct addr a = A(addr);
	return subnet_contains(&n, &a);
}

START_TEST(test_a_subnet_contains_its_own_addresses_only)
{
	ck_assert(contains("0.0.0.0/0", "255.255.255.255"));
	ck_assert(!contains("0.0.0.0/0", "::1"));
	ck_assert(contains("::/0", "ffff::"));
	ck_assert(!contains("::/0", "10.0.2.2")); /* families are apart even where the bits agree */
	ck_assert(contains("10.0.2.5/24", "10.0.2.255"));
	ck_assert(!contains("10.0.2.5/24", "10.0.3.0"));
	ck_assert(contains("10.0.2.4/31", "10.0.2.5"));
	ck_assert(!contains("10.0.2.4/31", "10.0.2.6"));
	ck_assert(contains("10.0.2.5/32", "10.0.2.5"));
	ck_assert(!contains("10.0.2.5/32", "10.0.2.4"));
	ck_assert(contains("fec0::/64", "fec0::ffff:ffff:ffff:ffff"));
	ck_assert(!contains("fec0::/64", "fec0:0:0:1::"));
	ck_assert(contains("fec0::8/125", "fec0::f"));
	ck_assert(!contains("fec0::8/125", "fec0::10"));
	ck_assert(!contains("fec0::1/128", "fec0::2"));
}
END_TEST

START_TEST(test_base_broadcast_and_numbering_agree)
{
	char text[ADDR_TEXT_MAX];
	struct subnet n = N("10.0.2.77/20");
	struct addr a = subnet_base(&n);
	ck_assert_str_eq(addr_format(&a, text), "10.0.0.0");
	a = subnet_nth(&n, 4095);
	ck_assert_str_eq(addr_format(&a, text), "10.0.15.255");
	ck_assert(subnet_is_broadcast(&n, &a));
	ck_assert_uint_eq(subnet_index(&n, &a), 4095);
	a = A("10.0.31.255");
	ck_assert(!subnet_is_broadcast(&n, &a));
	a = A("10.0.2.255");
	ck_assert(!subnet_is_broadcast(&n, &a));

	n = N("fec0::5/64");
	a = subnet_base(&n);
	ck_assert_str_eq(addr_format(&a, text), "fec0::");
	a = subnet_nth(&n, 0xfffffffe);
	ck_assert_str_eq(addr_format(&a, text), "fec0::ffff:fffe");
	ck_assert_uint_eq(subnet_index(&n, &a), 0xfffffffe);
	a = A("fec0::ffff:ffff:ffff:ffff");
	ck_assert(!subnet_is_broadcast(&n, &a));
	ck_assert_uint_eq(subnet_index(&n, &a), 0xffffffff);
}
END_TEST

START_TEST(test_tiny_subnets_have_no_broadcast_and_the_whole_internet_has_one)
{
	struct subnet n = N("10.0.2.4/31");
	struct addr a = A("10.0.2.5");
	ck_assert(!subnet_is_broadcast(&n, &a));
	ck_assert_uint_eq(subnet_index(&n, &a), 1);
	n = N("10.0.2.5/32");
	ck_assert(!subnet_is_broadcast(&n, &a));
	ck_assert_uint_eq(subnet_index(&n, &a), 0);
	n = N("10.0.2.4/30");
	a = A("10.0.2.7");
	ck_assert(subnet_is_broadcast(&n, &a));
	n = N("0.0.0.0/0");
	a = A("255.255.255.255");
	ck_assert(subnet_is_broadcast(&n, &a));
	ck_assert_uint_eq(subnet_index(&n, &a), 0xffffffff);
	struct addr last = subnet_nth(&n, 0xffffffff);
	ck_assert(addr_eq(&last, &a));
}
END_TEST

START_TEST(test_macs_and_endpoints_have_one_spelling)
{
	static const char *const bad[] = {"",
					  "52:54:00:12:34",
					  "52:54:00:12:34:5",
					  "52:54:00:12:34:567",
					  "52-54-00-12-34-56",
					  "5:254:00:12:34:56",
					  "52:54:00:12:34:5g",
					  "525400123456xxxxx"};
	struct mac m, before;
	char mac_text[MAC_TEXT_MAX], text[ENDPOINT_TEXT_MAX];

	ck_assert_int_eq(mac_parse("52:54:00:12:aB:Cd", &m), 0);
	ck_assert_str_eq(mac_format(&m, mac_text), "52:54:00:12:ab:cd");
	ck_assert(!mac_is_multicast(&m));
	before = m;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(mac_parse(bad[i], &m) == -EINVAL, "'%s'", bad[i]);
		ck_assert(mac_eq(&m, &before));
	}

	struct endpoint e = {A("1.2.3.4"), 65535};
	ck_assert_str_eq(endpoint_format(&e, text), "1.2.3.4:65535");
	e = (struct endpoint){A("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 65535};
	ck_assert_str_eq(endpoint_format(&e, text),
			 "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("addr");
	TCase *tc = tcase_create("addr");
	tcase_add_test(tc, test_addresses_of_both_families_survive_a_round_trip);
	tcase_add_test(tc, test_bad_address_text_is_refused_and_leaves_the_result_alone);
	tcase_add_test(tc, test_kinds_of_address_are_told_for_both_families);
	tcase_add_test(tc, test_subnets_are_read_with_length_or_mask);
	tcase_add_test(tc, test_bad_subnet_text_is_refused_and_leaves_the_result_alone);
	tcase_add_test(tc, test_a_subnet_contains_its_own_addresses_only);
	tcase_add_test(tc, test_base_broadcast_and_numbering_agree);
	tcase_add_test(tc, test_tiny_subnets_have_no_broadcast_and_the_whole_internet_has_one);
	tcase_add_test(tc, test_macs_and_endpoints_have_one_spelling);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
