/* What a reply says: which options, in which order, for which room; and the names of guests. */
#include "dhcp/dhcpd.h"
#include "tests/support/dhcp_bed.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NET DHCP_BED_NET
#define FIRST DHCP_BED_FIRST

static struct dhcp_bed bed;
static uint8_t value[DHCP_BUILT_MAX];

static int option(uint8_t code)
{
	memset(value, 0, sizeof(value));
	return dhcp_reply_option(&bed.reply.bytes, code, value);
}

static void expect_text(uint8_t code, const char *text)
{
	ck_assert_int_eq(option(code), (int)strlen(text));
	ck_assert_mem_eq(value, text, strlen(text));
}

/* One DISCOVER that asks for 'params'; NULL: it has no list. */
static void ask(const struct dhcpd_config *config, const char *params, uint16_t max_len)
{
	dhcp_bed_open(&bed, config);
	struct dhcp_built m = dhcp_build(DISCOVER, 1);
	uint8_t max[2] = {(uint8_t)(max_len >> 8), (uint8_t)max_len};
	if (params)
		dhcp_build_put(&m, 55, params, strlen(params));
	if (max_len)
		dhcp_build_put(&m, 57, max, 2);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_OFFERED);
	dhcp_bed_close(&bed);
}

START_TEST(test_configured_options_come_asked_or_not)
{
	static const char *const search[] = {"lab.example"};
	struct dhcpd_config c = dhcp_bed_config();
	c.domainname = "lab.example";
	c.hostname = "box";
	c.search = search;
	c.search_n = 1;
	c.mtu = 9000;
	static const char *const lists[] = {NULL, "\001\003\006", "\032\167\017\014\006\003\001"};
	for (unsigned i = 0; i < 3; i++) {
		ask(&c, lists[i], 0);
		expect_text(15, "lab.example");
		expect_text(12, "box");
		ck_assert_int_eq(option(119), 13);
		ck_assert_mem_eq(value, "\003lab\007example", 13);
		ck_assert_int_eq(option(26), 2);
		ck_assert_uint_eq(value[0] << 8 | value[1], 9000);
		ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 51), 86400);
		ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 3), DHCP_BED_SERVER);
	}
}
END_TEST

START_TEST(test_derived_options_come_when_asked_or_without_a_list)
{
	static const uint8_t derived[] = {28, 58, 59};
	for (unsigned i = 0; i < 3; i++) {
		ask(NULL, NULL, 0);
		ck_assert_int_eq(option(derived[i]), 4);
		ask(NULL, "\001\003\006", 0);
		ck_assert_int_eq(option(derived[i]), -1);
		ask(NULL, "\034\072\073", 0);
		ck_assert_int_eq(option(derived[i]), 4);
	}
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 28), NET + 255);
}
END_TEST

START_TEST(test_options_come_in_the_order_asked_behind_the_fixed_ones)
{
	struct dhcpd_config c = dhcp_bed_config();
	c.domainname = "d";
	ask(&c, "\034\017\032\003\001\017", 0);
	static const uint8_t order[] = {53, 54, 51, 1, 3, 6, 28, 15, 26};
	const uint8_t *at = bed.reply.bytes.start + 240;
	for (unsigned i = 0; i < sizeof(order); i++) {
		ck_assert_uint_eq(*at, order[i]);
		at += 2 + at[1];
	}
	ck_assert_uint_eq(*at, 255);
}
END_TEST

START_TEST(test_mtu_0_is_not_sent)
{
	struct dhcpd_config c = dhcp_bed_config();
	c.mtu = 0;
	ask(&c, "\032", 0);
	ck_assert_int_eq(option(26), -1);
}
END_TEST

START_TEST(test_restricted_net_tells_no_router_and_no_dns)
{
	struct dhcpd_config c = dhcp_bed_config();
	c.no_router = true;
	ask(&c, "\001\003\006", 0);
	ck_assert_int_eq(option(1), 4);
	ck_assert_int_eq(option(3), -1);
	ck_assert_int_eq(option(6), -1);
}
END_TEST

START_TEST(test_routes_come_with_the_default_route)
{
	struct dhcpd_route routes[] = {
	    {{addr_v4(0x0a010203), 8}, addr_v4(NET + 9)},
	    {{addr_v4(0xac101180), 25}, addr_v4(NET + 10)},
	    {{addr_v4(0x08080808), 32}, addr_v4(NET + 11)},
	};
	static const uint8_t expected[] = {8,   10,  192, 168, 31, 9,   25,  172, 16, 17,
					   128, 192, 168, 31,  10, 32,  8,   8,   8,  8,
					   192, 168, 31,  11,  0,  192, 168, 31,  2};
	struct dhcpd_config c = dhcp_bed_config();
	ask(&c, "\171", 0);
	ck_assert_int_eq(option(121), -1);
	c.routes = routes;
	c.routes_n = 3;
	ask(&c, "\171", 0);
	ck_assert_int_eq(option(121), sizeof(expected));
	ck_assert_mem_eq(value, expected, sizeof(expected));
	routes[0].to = (struct subnet){addr_v4(0), 0}; /* a default route of the user's own */
	ask(&c, "\171", 0);
	ck_assert_int_eq(option(121), 5 + 9 + 9);
	routes[0].via = (struct addr){{0xfe, 0x80}};
	struct dhcpd *server = NULL;
	ck_assert_int_eq(dhcpd_new(&server, &c), -EINVAL);
}
END_TEST

START_TEST(test_search_list_is_compressed_as_in_rfc_3397)
{
	static const char *const search[] = {"eng.apple.com", "marketing.apple.com.", "apple.com",
					     "eng.apple.com"};
	static const uint8_t expected[] = "\003eng\005apple\003com\0\011marketing\300\004\300\004"
					  "\300\0";
	struct dhcpd_config c = dhcp_bed_config();
	c.search = search;
	c.search_n = 4;
	ask(&c, NULL, 0);
	ck_assert_int_eq(option(119), sizeof(expected) - 1);
	ck_assert_mem_eq(value, expected, sizeof(expected) - 1);
}
END_TEST

START_TEST(test_search_list_is_not_compressed_to_a_name_that_only_looks_alike)
{
	static const char *const search[] = {"ab.net", "x.ab.net", "abc.net", "y.x.ab.net",
					     "a.b.net"};
	static const uint8_t expected[] = "\002ab\003net\0\001x\300\000\003abc\300\003\001y\300\010"
					  "\001a\001b\300\003";
	struct dhcpd_config c = dhcp_bed_config();
	c.search = search;
	c.search_n = 5;
	ask(&c, NULL, 0);
	ck_assert_int_eq(option(119), sizeof(expected) - 1);
	ck_assert_mem_eq(value, expected, sizeof(expected) - 1);
}
END_TEST

START_TEST(test_too_many_names_or_routes_are_refused)
{
	char names[40][132];
	const char *search[40];
	struct dhcpd_route routes[500];
	struct dhcpd *server = NULL;
	struct dhcpd_config c = dhcp_bed_config();
	for (unsigned i = 0; i < 40; i++) { /* 123 bytes each */
		memset(names[i], '0' + (int)i, 132);
		names[i][60] = '.';
		names[i][121] = '\0';
		search[i] = names[i];
	}
	c.search = search;
	c.search_n = 40;
	ck_assert_int_eq(dhcpd_new(&server, &c), -EINVAL);
	c.search_n = 0;
	for (unsigned i = 0; i < 500; i++)
		routes[i] = (struct dhcpd_route){{addr_v4(i), 32}, addr_v4(NET + 9)};
	c.routes = routes;
	c.routes_n = 500;
	ck_assert_int_eq(dhcpd_new(&server, &c), -EINVAL);
	ck_assert_ptr_null(server);
}
END_TEST

/* Domains that cannot be compressed: 'n' of 3 + 2 * len bytes each in the option. */
static void fill_search(char names[][132], const char **search, unsigned n, int len)
{
	for (unsigned i = 0; i < n; i++) {
		memset(names[i], 'a' + (int)i, 132);
		names[i][len] = '.';
		names[i][2 * len + 1] = '\0';
		search[i] = names[i];
	}
}

START_TEST(test_long_search_list_is_split_into_several_options)
{
	char names[8][132];
	const char *search[8];
	struct dhcpd_config c = dhcp_bed_config();
	fill_search(names, search, 8, 40);
	c.search = search;
	c.search_n = 8;
	ask(&c, "\167", 1500);
	ck_assert_int_eq(option(52), -1);
	ck_assert_uint_le(wire_len(&bed.reply.bytes), 1472);
	ck_assert_int_eq(option(119), 8 * 83);
	for (unsigned i = 0; i < 8; i++) {
		ck_assert_uint_eq(value[i * 83], 40);
		ck_assert_uint_eq(value[i * 83 + 1], 'a' + i);
		ck_assert_uint_eq(value[i * 83 + 82], 0);
	}
}
END_TEST

START_TEST(test_unused_fields_carry_options_when_the_client_takes_no_long_reply)
{
	char names[3][132], domain[101];
	const char *search[3];
	struct dhcpd_config c = dhcp_bed_config();
	fill_search(names, search, 3, 40);
	memset(domain, 'd', 100);
	domain[100] = '\0';
	c.search = search;
	c.search_n = 3;
	c.domainname = domain;
	static const uint16_t sizes[] = {0, 1, 300, 576}; /* under 576 counts as 576 */
	for (unsigned i = 0; i < 4; i++) {
		ask(&c, "\017\167", sizes[i]);
		ck_assert_uint_le(wire_len(&bed.reply.bytes), 548);
		ck_assert_int_eq(option(52), 1);
		ck_assert_uint_eq(value[0], 3);
		ck_assert_int_eq(option(119), 3 * 83);
		expect_text(15, domain);
		ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 3), DHCP_BED_SERVER);
	}
	ask(&c, "\017\167", 1500);
	ck_assert_int_eq(option(52), -1);
	ck_assert_int_eq(option(119), 3 * 83);
	c.bootfile = "kernel"; /* then 'file' is not free */
	ask(&c, "\017\167", 576);
	ck_assert_str_eq((const char *)bed.reply.bytes.start + 108, "kernel");
	ck_assert_int_eq(option(52), 1);
	ck_assert_uint_eq(value[0], 2);
}
END_TEST

START_TEST(test_a_split_option_is_whole_or_absent_at_every_reply_length)
{
	char names[8][132];
	const char *search[8];
	struct dhcpd_config c = dhcp_bed_config();
	unsigned present_n = 0, absent_n = 0;
	fill_search(names, search, 8, 60);
	c.search = search;
	c.search_n = 8;
	dhcp_bed_open(&bed, &c);
	for (unsigned max_len = 1100; max_len < 1500; max_len++) {
		struct dhcp_built m = dhcp_build(DISCOVER, 1);
		uint8_t max[2] = {(uint8_t)(max_len >> 8), (uint8_t)max_len};
		dhcp_build_put(&m, 57, max, 2);
		ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_OFFERED);
		ck_assert_uint_le(wire_len(&bed.reply.bytes), max_len - 28);
		int len = option(119);
		ck_assert(len == 8 * 123 || len == -1);
		present_n += len > 0;
		absent_n += len < 0;
	}
	ck_assert(present_n > 0 && absent_n > 0);
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_reply_never_outgrows_the_buffer_or_the_mtu)
{
	char names[9][132];
	const char *search[9];
	struct dhcpd_config c = dhcp_bed_config();
	fill_search(names, search, 9, 60);
	c.search = search;
	c.search_n = 9;
	ask(&c, NULL, 65535);
	ck_assert_uint_le(wire_len(&bed.reply.bytes), 1472);
	ck_assert_int_eq(option(119), 9 * 123);
	c.mtu = 1280;
	ask(&c, NULL, 65535);
	ck_assert_uint_le(wire_len(&bed.reply.bytes), 1252);
	ck_assert_int_eq(option(1), 4);
	dhcp_bed_open(&bed, &c);
	bed.room = 576;
	struct dhcp_built m = dhcp_build(DISCOVER, 1);
	dhcp_build_put(&m, 57, "\005\334", 2);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_OFFERED);
	ck_assert_uint_le(wire_len(&bed.reply.bytes), 576);
	ck_assert_int_eq(option(119), -1); /* left out whole */
	ck_assert_int_eq(option(6), 4);
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_boot_file_and_server_stand_in_fields_and_options)
{
	struct dhcpd_config c = dhcp_bed_config();
	c.bootfile = "pxelinux.0";
	c.tftp_server_name = "boot.example";
	ask(&c, "\001\003", 0);
	ck_assert_str_eq((const char *)bed.reply.bytes.start + 108, "pxelinux.0");
	ck_assert_str_eq((const char *)bed.reply.bytes.start + 44, "boot.example");
	expect_text(67, "pxelinux.0");
	expect_text(66, "boot.example");
	ck_assert_uint_eq(dhcp_field_u32(bed.reply.bytes.start, 20), DHCP_BED_SERVER);
	c.next_server = addr_v4(NET + 44);
	ask(&c, NULL, 0);
	ck_assert_uint_eq(dhcp_field_u32(bed.reply.bytes.start, 20), NET + 44);
	char url[201]; /* too long for the field, which must not name half of it */
	memset(url, 'u', 200);
	url[200] = '\0';
	c.bootfile = url;
	ask(&c, NULL, 0);
	ck_assert_uint_eq(bed.reply.bytes.start[108], 0);
	expect_text(67, url);
	url[128] = '\0'; /* the field needs its NUL */
	ask(&c, NULL, 0);
	ck_assert_uint_eq(bed.reply.bytes.start[108], 0);
	url[127] = '\0';
	ask(&c, NULL, 0);
	ck_assert_str_eq((const char *)bed.reply.bytes.start + 108, url);
	ask(NULL, NULL, 0);
	ck_assert_uint_eq(dhcp_field_u32(bed.reply.bytes.start, 20), 0);
}
END_TEST

START_TEST(test_bootp_reply_with_much_to_say_is_no_longer_than_the_request)
{
	char names[3][132];
	const char *search[3];
	struct dhcpd_config c = dhcp_bed_config();
	fill_search(names, search, 3, 40);
	c.search = search;
	c.search_n = 3;
	c.bootfile = "boot.img";
	dhcp_bed_open(&bed, &c);
	struct dhcp_built m = dhcp_build(0, 1);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_ACKED);
	ck_assert_uint_eq(wire_len(&bed.reply.bytes), 300);
	ck_assert_str_eq((const char *)bed.reply.bytes.start + 108, "boot.img");
	ck_assert_int_eq(option(52), -1);
	ck_assert_int_eq(option(3), 4);
	dhcp_bed_close(&bed);
}
END_TEST

/* ---- names */

static const struct dhcpd_lease *find(const char *name)
{
	return dhcpd_lease_by_name(bed.server, name, bed.now_ms);
}

static void expect_at(const char *name, uint32_t addr)
{
	const struct dhcpd_lease *lease = find(name);
	ck_assert_msg(lease != NULL, "%s", name);
	ck_assert_uint_eq(addr_to_v4(&lease->addr), addr);
}

START_TEST(test_a_guests_name_is_known_while_its_lease_runs)
{
	dhcp_bed_open(&bed, NULL);
	uint32_t web = dhcp_bed_boot_named(&bed, 1, "Web");
	expect_at("web", web);
	expect_at("WEB", web);
	ck_assert_str_eq(find("web")->hostname, "web");
	ck_assert_ptr_null(find("web.lan"));
	ck_assert_ptr_null(find(""));
	ck_assert_ptr_null(find("we"));
	dhcp_bed_renew(&bed, 1, web); /* without its name */
	expect_at("web", web);
	dhcp_bed_release(&bed, 1, web);
	ck_assert_ptr_null(find("web"));
	dhcp_bed_boot(&bed, 1); /* the boot ROM, that knows no name */
	expect_at("web", web);
	dhcp_bed_boot_named(&bed, 1, "db");
	ck_assert_ptr_null(find("web"));
	expect_at("db", web);
	bed.now_ms += DHCP_BED_LEASE_MS;
	ck_assert_ptr_null(find("db"));
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_a_name_goes_to_the_guest_that_booted_last)
{
	dhcp_bed_open(&bed, NULL);
	uint32_t one = dhcp_bed_boot_named(&bed, 1, "vm");
	uint32_t two = dhcp_bed_boot_named(&bed, 2, "vm");
	expect_at("vm", two);
	struct dhcp_built m = dhcp_build(REQUEST, 1); /* a renewal does not take it back */
	dhcp_build_set_u32(&m, 12, one);
	dhcp_build_put(&m, 12, "vm", 2);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_ACKED);
	expect_at("vm", two);
	dhcp_bed_release(&bed, 2, two); /* unless nobody has it */
	ck_assert_ptr_null(find("vm"));
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_ACKED);
	expect_at("vm", one);
	dhcp_bed_boot_named(&bed, 2, "vm");
	expect_at("vm", two);
	dhcp_bed_boot_named(&bed, 1, "vm");
	expect_at("vm", one);
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_a_bad_name_is_no_name_and_does_not_cost_the_lease)
{
	static const char *const bad[] = {"(none)",    "-vm",       "vm-",     "my_vm",
					  "a b",       ".vm",       "",        ".",
					  "localhost", "WPAD.corp", "\303\244"};
	dhcp_bed_open(&bed, NULL);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_uint_eq(dhcp_bed_boot_named(&bed, i, bad[i]), FIRST + i);
		struct addr a = addr_v4(FIRST + i);
		ck_assert_str_eq(dhcpd_lease_by_addr(bed.server, &a, bed.now_ms)->hostname, "");
		ck_assert_ptr_null(find(bad[i]));
	}
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_client_without_hostname_configured_hears_its_own)
{
	dhcp_bed_open(&bed, NULL);
	struct dhcp_built m = dhcp_build(REQUEST, 1);
	dhcp_build_put_u32(&m, 50, FIRST);
	dhcp_build_put(&m, 12, "Web.example", 11);
	dhcp_build_put(&m, 55, "\014", 1);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_ACKED);
	expect_text(12, "web");
	dhcp_bed_close(&bed);
	struct dhcpd_config c = dhcp_bed_config();
	c.hostname = "box";
	dhcp_bed_open(&bed, &c);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_ACKED);
	expect_text(12, "box");
	expect_at("web", FIRST); /* names of guests are their own still */
	dhcp_bed_close(&bed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dhcpd_options");
	TCase *tc = tcase_create("replies");
	tcase_add_test(tc, test_configured_options_come_asked_or_not);
	tcase_add_test(tc, test_derived_options_come_when_asked_or_without_a_list);
	tcase_add_test(tc, test_options_come_in_the_order_asked_behind_the_fixed_ones);
	tcase_add_test(tc, test_mtu_0_is_not_sent);
	tcase_add_test(tc, test_restricted_net_tells_no_router_and_no_dns);
	tcase_add_test(tc, test_routes_come_with_the_default_route);
	tcase_add_test(tc, test_search_list_is_compressed_as_in_rfc_3397);
	tcase_add_test(tc, test_search_list_is_not_compressed_to_a_name_that_only_looks_alike);
	tcase_add_test(tc, test_too_many_names_or_routes_are_refused);
	tcase_add_test(tc, test_long_search_list_is_split_into_several_options);
	tcase_add_test(tc, test_unused_fields_carry_options_when_the_client_takes_no_long_reply);
	tcase_add_test(tc, test_a_split_option_is_whole_or_absent_at_every_reply_length);
	tcase_add_test(tc, test_reply_never_outgrows_the_buffer_or_the_mtu);
	tcase_add_test(tc, test_boot_file_and_server_stand_in_fields_and_options);
	tcase_add_test(tc, test_bootp_reply_with_much_to_say_is_no_longer_than_the_request);
	tcase_add_test(tc, test_a_guests_name_is_known_while_its_lease_runs);
	tcase_add_test(tc, test_a_name_goes_to_the_guest_that_booted_last);
	tcase_add_test(tc, test_a_bad_name_is_no_name_and_does_not_cost_the_lease);
	tcase_add_test(tc, test_client_without_hostname_configured_hears_its_own);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
