/* Reading requests option by option, and host names. */
#include "dhcp/dhcpd_msg.h"
#include "tests/support/dhcp_client.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define DISCOVER DHCPD_DISCOVER

static struct dhcpd_request request;

static bool read_built(struct dhcp_built *m)
{
	return dhcpd_request_read(dhcp_built_in(m), &request);
}

START_TEST(test_all_that_a_request_says_is_read)
{
	struct dhcp_built m = dhcp_build(DISCOVER, 9);
	struct mac mac = dhcp_client_mac(9);
	dhcp_build_set_u32(&m, 8, 0x00078000);
	dhcp_build_set_u32(&m, 12, 0x0a000001);
	dhcp_build_set_u32(&m, 24, 0x0a000002);
	dhcp_build_put_u32(&m, 50, 0x0a000003);
	dhcp_build_put_u32(&m, 54, 0x0a000004);
	dhcp_build_put(&m, 55, "\001\003", 2);
	dhcp_build_put(&m, 57, "\005\300", 2);
	dhcp_build_put(&m, 61, "\001abcdef", 7);
	dhcp_build_put(&m, 12, "Host.example", 12);
	dhcp_build_put(&m, 224, "", 0);
	ck_assert(read_built(&m));
	ck_assert_uint_eq(request.op, DHCPD_BOOTREQUEST);
	ck_assert_int_eq(request.type, DHCPD_DISCOVER);
	ck_assert_uint_eq(request.xid, 0xabcd0009);
	ck_assert_uint_eq(request.flags, DHCPD_FLAG_BROADCAST);
	ck_assert_uint_eq(request.ciaddr, 0x0a000001);
	ck_assert_uint_eq(request.giaddr, 0x0a000002);
	ck_assert(mac_eq(&request.chaddr, &mac));
	ck_assert_uint_eq(request.requested_addr, 0x0a000003);
	ck_assert_uint_eq(request.server_id, 0x0a000004);
	ck_assert_uint_eq(request.params_n, 2);
	ck_assert_mem_eq(request.params, "\001\003", 2);
	ck_assert_uint_eq(request.payload_max, 1472 - 28);
	ck_assert_uint_eq(request.client_id_len, 7);
	ck_assert_mem_eq(request.client_id, "\001abcdef", 7);
	ck_assert_str_eq(request.hostname, "host");
}
END_TEST

START_TEST(test_only_ethernet_addresses_are_taken)
{
	static const uint8_t bad[][2] = {{6, 6}, {1, 0}, {1, 5}, {1, 7}, {1, 16}, {1, 255}, {0, 6}};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct dhcp_built m = dhcp_build(DISCOVER, 1);
		memcpy(m.bytes + 1, bad[i], 2);
		ck_assert(!read_built(&m));
	}
}
END_TEST

START_TEST(test_options_of_an_impossible_length_make_the_message_malformed)
{
	static const uint8_t codes[] = {50, 53, 54, 57};
	for (unsigned i = 0; i < sizeof(codes); i++) {
		for (unsigned len = 0; len < 6; len++) {
			bool right = len == (codes[i] == 57 ? 2 : codes[i] == 53 ? 1 : 4);
			struct dhcp_built m = dhcp_build(codes[i] == 53 ? 0 : DISCOVER, 1);
			dhcp_build_put(&m, codes[i], "\002\002\002\002\002\002", len);
			ck_assert_int_eq(read_built(&m), right);
		}
	}
	struct dhcp_built zero = dhcp_build(0, 1);
	dhcp_build_put(&zero, 53, "", 1);
	ck_assert(!read_built(&zero));
}
END_TEST

START_TEST(test_an_option_beyond_the_end_makes_the_message_malformed)
{
	struct dhcp_built m = dhcp_build(DISCOVER, 1);
	dhcp_build_put(&m, 12, "abcdefgh", 8);
	for (size_t cut = 243; cut < m.len; cut++) {
		bool whole = cut == 243; /* ends behind option 53, without an end mark */
		ck_assert_int_eq(dhcpd_request_read(wire_in(m.bytes, cut), &request), whole);
	}
	ck_assert(dhcpd_request_read(wire_in(m.bytes, m.len), &request));
}
END_TEST

START_TEST(test_pads_are_skipped_and_nothing_is_read_behind_the_end)
{
	struct dhcp_built m = dhcp_build(0, 1);
	memset(m.bytes + m.len, 0, 40);
	m.len += 40;
	dhcp_build_put(&m, 53, "\001", 1);
	m.bytes[m.len++] = 255;
	dhcp_build_put(&m, 53, "\003", 1);
	m.bytes[m.len++] = 50; /* broken, but behind the end */
	ck_assert(dhcpd_request_read(wire_in(m.bytes, m.len), &request));
	ck_assert_int_eq(request.type, DHCPD_DISCOVER);
}
END_TEST

START_TEST(test_overloaded_fields_are_read_when_option_52_says_so)
{
	for (uint8_t overload = 0; overload < 4; overload++) {
		struct dhcp_built m = dhcp_build(DISCOVER, 1);
		memcpy(m.bytes + 108, "\062\004\012\000\000\011\377", 7); /* file: option 50 */
		memcpy(m.bytes + 44, "\014\003abc\377", 6);               /* sname: option 12 */
		dhcp_build_put(&m, 52, &overload, 1);
		ck_assert(read_built(&m));
		ck_assert_uint_eq(request.requested_addr, overload & 1 ? 0x0a000009 : 0);
		ck_assert_str_eq(request.hostname, overload & 2 ? "abc" : "");
	}
}
END_TEST

START_TEST(test_option_52_inside_an_overloaded_field_means_nothing)
{
	struct dhcp_built m = dhcp_build(DISCOVER, 1);
	memcpy(m.bytes + 108, "\064\001\003\377", 4);
	memcpy(m.bytes + 44, "\014\003abc\377", 6);
	dhcp_build_put(&m, 52, "\001", 1);
	ck_assert(read_built(&m));
	ck_assert_str_eq(request.hostname, "");
}
END_TEST

START_TEST(test_an_overloaded_field_may_be_full_but_not_overfull)
{
	struct dhcp_built m = dhcp_build(DISCOVER, 1);
	m.bytes[44] = 12;
	m.bytes[45] = 62;
	memset(m.bytes + 46, 'a', 62);
	dhcp_build_put(&m, 52, "\002", 1);
	ck_assert(read_built(&m));
	ck_assert_uint_eq(strlen(request.hostname), 62);
	m.bytes[45] = 63;
	ck_assert(!read_built(&m));
}
END_TEST

START_TEST(test_bootp_needs_its_300_bytes_and_dhcp_does_not)
{
	struct dhcp_built m = dhcp_build(0, 1);
	m.bytes[240] = 255;
	ck_assert(dhcpd_request_read(wire_in(m.bytes, 300), &request));
	ck_assert_int_eq(request.type, DHCPD_BOOTP);
	ck_assert(!dhcpd_request_read(wire_in(m.bytes, 299), &request));
	m = dhcp_build(DISCOVER, 1);
	ck_assert(dhcpd_request_read(wire_in(m.bytes, 243), &request));
}
END_TEST

START_TEST(test_maximum_length_is_clamped_to_what_makes_sense)
{
	static const struct {
		uint16_t said;
		uint32_t meant;
	} cases[] = {{0, 548},     {1, 548},     {575, 548},    {576, 548},   {577, 549},
		     {1500, 1472}, {1501, 1472}, {65280, 1472}, {65535, 1472}};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dhcp_built m = dhcp_build(DISCOVER, 1);
		uint8_t value[2] = {(uint8_t)(cases[i].said >> 8), (uint8_t)cases[i].said};
		dhcp_build_put(&m, 57, value, 2);
		ck_assert(read_built(&m));
		ck_assert_uint_eq(request.payload_max, cases[i].meant);
	}
}
END_TEST

START_TEST(test_a_host_name_becomes_a_label_or_nothing)
{
	static const char longest[] =
	    "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij123";
	static const struct {
		const char *said, *meant;
	} cases[] = {{"vm", "vm"},      {"VM-1.Example.", "vm-1"},
		     {"1", "1"},        {"", ""},
		     {"-a", ""},        {"a-", ""},
		     {"-", ""},         {".a", ""},
		     {"a b", ""},       {"a_b", ""},
		     {"a\n", ""},       {"(none)", ""},
		     {"localhost", ""}, {"wpad", ""},
		     {"WPAD", ""},      {"wpad2", "wpad2"},
		     {longest, longest}};
	char name[DHCPD_HOSTNAME_MAX];
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		dhcpd_hostname_clean(cases[i].said, strlen(cases[i].said), name);
		ck_assert_str_eq(name, cases[i].meant);
	}
	char over[sizeof(longest) + 1];
	memcpy(over, longest, sizeof(longest));
	over[sizeof(longest) - 1] = 'x';
	dhcpd_hostname_clean(over, sizeof(longest), name);
	ck_assert_str_eq(name, "");
	dhcpd_hostname_clean("vm\0\0", 4, name); /* some clients count the NUL */
	ck_assert_str_eq(name, "vm");
}
END_TEST

START_TEST(test_fqdn_option_names_a_client_without_option_12)
{
	static const struct {
		const char *value;
		size_t len;
		const char *meant;
	} cases[] = {
	    {"\001\000\000vm.example", 13, "vm"},            /* text */
	    {"\005\000\000\002vm\007example\000", 15, "vm"}, /* DNS labels */
	    {"\005\000\000\002vm", 6, "vm"},
	    {"\005\000\000\077vm", 6, ""}, /* the label leaves the option */
	    {"\005\000\000\000", 4, ""},
	    {"\005\000\000", 3, ""},
	    {"\001\000\000", 3, ""},
	    {"\001\000", 2, ""},
	    {"", 0, ""},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dhcp_built m = dhcp_build(DISCOVER, 1);
		dhcp_build_put(&m, 81, cases[i].value, cases[i].len);
		ck_assert(read_built(&m));
		ck_assert_str_eq(request.hostname, cases[i].meant);
	}
	struct dhcp_built both = dhcp_build(DISCOVER, 1);
	dhcp_build_put(&both, 81, "\001\000\000other", 8);
	dhcp_build_put(&both, 12, "vm", 2);
	ck_assert(read_built(&both));
	ck_assert_str_eq(request.hostname, "vm");
	both = dhcp_build(DISCOVER, 1);
	dhcp_build_put(&both, 12, "vm", 2);
	dhcp_build_put(&both, 81, "\001\000\000other", 8);
	ck_assert(read_built(&both));
	ck_assert_str_eq(request.hostname, "vm");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dhcpd_msg");
	TCase *tc = tcase_create("requests");
	tcase_add_test(tc, test_all_that_a_request_says_is_read);
	tcase_add_test(tc, test_only_ethernet_addresses_are_taken);
	tcase_add_test(tc, test_options_of_an_impossible_length_make_the_message_malformed);
	tcase_add_test(tc, test_an_option_beyond_the_end_makes_the_message_malformed);
	tcase_add_test(tc, test_pads_are_skipped_and_nothing_is_read_behind_the_end);
	tcase_add_test(tc, test_overloaded_fields_are_read_when_option_52_says_so);
	tcase_add_test(tc, test_option_52_inside_an_overloaded_field_means_nothing);
	tcase_add_test(tc, test_an_overloaded_field_may_be_full_but_not_overfull);
	tcase_add_test(tc, test_bootp_needs_its_300_bytes_and_dhcp_does_not);
	tcase_add_test(tc, test_maximum_length_is_clamped_to_what_makes_sense);
	tcase_add_test(tc, test_a_host_name_becomes_a_label_or_nothing);
	tcase_add_test(tc, test_fqdn_option_names_a_client_without_option_12);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
