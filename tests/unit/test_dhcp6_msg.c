/* What DHCPv6 messages may say and what is answered beside addresses: clients as they are, and what
 * no client sends. */
#include "dhcp/dhcp6.h"
#include "tests/support/dhcp6_bed.h"
#include "tests/support/suite.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

/* ISC dhclient 4.4 asks for configuration alone, and for an address; EDK2's HTTP boot. */
static const uint8_t dhclient_inform[] = {0x0b, 0x7b, 0x23, 0xc6, 0x00, 0x01, 0x00, 0x0a, 0x00,
					  0x03, 0x00, 0x01, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56,
					  0x00, 0x06, 0x00, 0x08, 0x00, 0x17, 0x00, 0x18, 0x00,
					  0x27, 0x00, 0x1f, 0x00, 0x08, 0x00, 0x02, 0x00, 0x00};
static const uint8_t dhclient_solicit[] = {
    0x01, 0xb3, 0xd0, 0xdc, 0x00, 0x01, 0x00, 0x0e, 0x00, 0x01, 0x00, 0x01, 0x32, 0x94,
    0x29, 0xf4, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x00, 0x06, 0x00, 0x08, 0x00, 0x17,
    0x00, 0x18, 0x00, 0x27, 0x00, 0x1f, 0x00, 0x08, 0x00, 0x02, 0x00, 0x00, 0x00, 0x03,
    0x00, 0x0c, 0x00, 0x12, 0x34, 0x56, 0x00, 0x00, 0x0e, 0x10, 0x00, 0x00, 0x15, 0x18};
static const uint8_t ovmf_solicit[] = {
    0x01, 0xff, 0x7e, 0x2a, 0x00, 0x01, 0x00, 0x0e, 0x00, 0x01, 0x00, 0x01, 0x31, 0xda, 0x5a, 0xf9,
    0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x00, 0x08, 0x00, 0x02, 0x00, 0x00, 0x00, 0x03, 0x00, 0x0c,
    0xfc, 0x76, 0x2c, 0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x06, 0x00, 0x08,
    0x00, 0x3b, 0x00, 0x3c, 0x00, 0x17, 0x00, 0x10, 0x00, 0x3e, 0x00, 0x03, 0x01, 0x03, 0x00, 0x00,
    0x3d, 0x00, 0x02, 0x00, 0x10, 0x00, 0x10, 0x00, 0x27, 0x00, 0x00, 0x01, 0x57, 0x00, 0x21, 0x48,
    0x54, 0x54, 0x50, 0x43, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x3a, 0x41, 0x72, 0x63, 0x68, 0x3a, 0x30,
    0x30, 0x30, 0x31, 0x36, 0x3a, 0x55, 0x4e, 0x44, 0x49, 0x3a, 0x30, 0x30, 0x33, 0x30, 0x30, 0x30};

static struct dhcp6_bed bed;

static void expect_silence(const struct dhcp6_built *m, enum dhcpd6_verdict verdict)
{
	ck_assert_int_eq(dhcp6_bed_send_built(&bed, m, 1), verdict);
	ck_assert_uint_eq(wire_len(&bed.reply.bytes), 0);
}

START_TEST(test_dhclient_without_addresses_is_told_dns_and_search_list)
{
	static const uint8_t search[] = "\4corp\7example\0\5lwnat\10internal";
	struct addr dns = dhcp6_addr("fec0::3");
	struct dhcp6_view v;

	dhcp6_bed_open(&bed, NULL);
	ck_assert_int_eq(dhcp6_bed_send(&bed, dhclient_inform, sizeof(dhclient_inform), 1),
			 DHCPD6_INFORMED);
	ck_assert(dhcp6_reply_is_whole(&bed));
	ck_assert_uint_eq(dhcp6_reply_type(&bed), REPLY);
	ck_assert_mem_eq(bed.buffer + 1, "\x7b\x23\xc6", 3);
	v = dhcp6_reply_option(&bed, 23);
	ck_assert_uint_eq(v.len, 16);
	ck_assert_mem_eq(v.at, dns.b, 16);
	v = dhcp6_reply_option(&bed, 24);
	ck_assert_uint_eq(v.len, sizeof(search));
	ck_assert_mem_eq(v.at, search, sizeof(search));
	ck_assert_ptr_null(dhcp6_reply_option(&bed, 3).at);
	ck_assert_ptr_null(dhcp6_reply_option(&bed, 59).at);
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_dhclient_gets_an_address_with_its_own_iaid)
{
	struct dhcp6_view v;

	dhcp6_bed_open(&bed, NULL);
	ck_assert_int_eq(dhcp6_bed_send(&bed, dhclient_solicit, sizeof(dhclient_solicit), 1),
			 DHCPD6_ADVERTISED);
	v = dhcp6_reply_option(&bed, 3);
	ck_assert_uint_eq(dhcp6_u32(v.at), 0x123456);
	v = dhcp6_reply_option(&bed, 1);
	ck_assert_mem_eq(v.at, dhclient_solicit + 8, 14);
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_firmware_gets_the_url_beside_the_class_that_it_sent)
{
	static const uint8_t class[] = "\0\0\1\127\0\12HTTPClient";
	struct dhcp6_view v;
	struct mac mac = dhcp6_mac(1);

	dhcp6_bed_open(&bed, NULL);
	strcpy(bed.url, "http://[fec0::2]/boot.efi");
	ck_assert_int_eq(dhcp6_bed_send(&bed, ovmf_solicit, sizeof(ovmf_solicit), 1),
			 DHCPD6_ADVERTISED);
	ck_assert(dhcp6_reply_is_whole(&bed));
	v = dhcp6_reply_option(&bed, 59);
	ck_assert_uint_eq(v.len, strlen(bed.url));
	ck_assert_mem_eq(v.at, bed.url, v.len);
	v = dhcp6_reply_option(&bed, 16);
	ck_assert_uint_eq(v.len, sizeof(class) - 1);
	ck_assert_mem_eq(v.at, class, v.len);
	ck_assert(bed.asked.http);
	ck_assert(mac_eq(&bed.asked.mac, &mac));
	ck_assert_uint_eq(bed.asked.archs_n, 1);
	ck_assert_uint_eq(bed.asked.archs[0], 16);
	bed.url[0] = '\0'; /* nothing to boot: no class either */
	dhcp6_bed_send(&bed, ovmf_solicit, sizeof(ovmf_solicit), 1);
	ck_assert_ptr_null(dhcp6_reply_option(&bed, 59).at);
	ck_assert_ptr_null(dhcp6_reply_option(&bed, 16).at);
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_a_client_that_lists_nothing_is_told_all_but_a_url)
{
	struct dhcp6_built m = dhcp6_build(INFORMATION_REQUEST, 0);

	dhcp6_bed_open(&bed, NULL);
	strcpy(bed.url, "tftp://[fec0::2]/x");
	ck_assert_int_eq(dhcp6_bed_send_built(&bed, &m, 1), DHCPD6_INFORMED);
	ck_assert_ptr_null(dhcp6_reply_option(&bed, 1).at);
	ck_assert_ptr_nonnull(dhcp6_reply_option(&bed, 2).at);
	ck_assert_ptr_nonnull(dhcp6_reply_option(&bed, 23).at);
	ck_assert_ptr_nonnull(dhcp6_reply_option(&bed, 24).at);
	ck_assert_uint_eq(dhcp6_u32(dhcp6_reply_option(&bed, 32).at), 86400);
	ck_assert_ptr_null(dhcp6_reply_option(&bed, 59).at);
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_free_options_are_told_to_those_who_ask)
{
	static const uint8_t params[] = {0, 1, 'q', 0, 2, 'i', 'p'}, ntp[16] = {0xfd, [15] = 5};
	const struct dhcpd6_option options[] = {{60, sizeof(params), params},
						{31, sizeof(ntp), ntp}};
	struct dhcpd6_config config;
	struct dhcp6_view v;

	memset(&bed, 0, sizeof(bed));
	config = dhcp6_bed_config(&bed);
	config.options = options;
	config.options_n = 2;
	dhcp6_bed_open(&bed, &config);
	dhcp6_bed_send(&bed, ovmf_solicit, sizeof(ovmf_solicit), 1);
	v = dhcp6_reply_option(&bed, 60);
	ck_assert_uint_eq(v.len, sizeof(params));
	ck_assert_mem_eq(v.at, params, sizeof(params));
	ck_assert_ptr_null(dhcp6_reply_option(&bed, 31).at);
	dhcp6_bed_send(&bed, dhclient_inform, sizeof(dhclient_inform), 1);
	ck_assert_uint_eq(dhcp6_reply_option(&bed, 31).len, 16);
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_what_does_not_fit_is_left_out_and_the_address_is_not)
{
	struct dhcp6_built m = dhcp6_build(SOLICIT, 1);
	struct addr addr = dhcp6_addr("fec0::77");

	dhcp6_bed_open(&bed, NULL);
	memset(bed.url, 'u', 500);
	bed.room = 300;
	dhcp6_build_put(&m, 6, "\0\27\0\30\0\73", 6);
	dhcp6_build_ia(&m, 1, &addr);
	dhcp6_build_name(&m, "web");
	ck_assert_int_eq(dhcp6_bed_send_built(&bed, &m, 1), DHCPD6_ADVERTISED);
	ck_assert(dhcp6_reply_is_whole(&bed));
	ck_assert_ptr_nonnull(dhcp6_reply_option(&bed, 3).at);
	ck_assert_ptr_nonnull(dhcp6_reply_option(&bed, 24).at);
	ck_assert_ptr_null(dhcp6_reply_option(&bed, 59).at);
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_prefixes_are_refused_one_by_one)
{
	struct dhcp6_built m = dhcp6_build(SOLICIT, 1);
	struct dhcp6_view v;

	dhcp6_bed_open(&bed, NULL);
	dhcp6_build_ia(&m, 1, NULL);
	dhcp6_build_put(&m, 25, "\0\0\0\7\0\0\0\0\0\0\0\0", 12);
	ck_assert_int_eq(dhcp6_bed_send_built(&bed, &m, 1), DHCPD6_ADVERTISED);
	v = dhcp6_reply_option(&bed, 25);
	ck_assert_uint_eq(dhcp6_u32(v.at), 7);
	ck_assert_uint_eq(dhcp6_find(v.at + 12, v.len - 12, 13).at[1], 6);
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_messages_that_are_not_for_us_get_no_reply)
{
	static const uint8_t types[] = {0, ADVERTISE, REPLY, RECONFIGURE, 14, 99, 255};
	struct dhcp6_built m;

	dhcp6_bed_open(&bed, NULL);
	for (unsigned i = 0; i < sizeof(types); i++) {
		m = dhcp6_build(types[i], 1);
		dhcp6_build_ia(&m, 1, NULL);
		expect_silence(&m, DHCPD6_IGNORED);
	}
	m = dhcp6_build(RELAY_FORW, 1);
	expect_silence(&m, DHCPD6_RELAYED);
	m = dhcp6_build(13, 1);
	expect_silence(&m, DHCPD6_RELAYED);
	m = dhcp6_build(REQUEST, 1); /* of another server */
	dhcp6_build_put(&m, 2, "\0\3\0\1another", 11);
	dhcp6_build_ia(&m, 1, NULL);
	expect_silence(&m, DHCPD6_IGNORED);
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_rules_of_each_message_are_kept)
{
	static const uint8_t need_client[] = {SOLICIT, REQUEST, CONFIRM, RENEW,
					      REBIND,  RELEASE, DECLINE};
	static const uint8_t need_server[] = {REQUEST, RENEW, RELEASE, DECLINE};
	static const uint8_t forbid_server[] = {SOLICIT, CONFIRM, REBIND};
	struct dhcp6_built m;

	dhcp6_bed_open(&bed, NULL);
	for (unsigned i = 0; i < sizeof(need_client); i++) {
		m = dhcp6_build(need_client[i], 0);
		dhcp6_build_ia(&m, 1, NULL);
		expect_silence(&m, DHCPD6_MALFORMED);
	}
	for (unsigned i = 0; i < sizeof(need_server); i++) {
		m = dhcp6_build(need_server[i], 1);
		dhcp6_build_ia(&m, 1, NULL);
		expect_silence(&m, DHCPD6_IGNORED);
	}
	for (unsigned i = 0; i < sizeof(forbid_server); i++) {
		m = dhcp6_build(forbid_server[i], 1);
		dhcp6_build_server_id(&m);
		dhcp6_build_ia(&m, 1, NULL);
		expect_silence(&m, DHCPD6_MALFORMED);
	}
	m = dhcp6_build(INFORMATION_REQUEST, 1);
	dhcp6_build_ia(&m, 1, NULL);
	expect_silence(&m, DHCPD6_MALFORMED);
	dhcp6_bed_close(&bed);
}
END_TEST

/* Every length of real messages: whole ones are answered, and nothing is read behind the end. */
START_TEST(test_short_messages_get_no_reply)
{
	static const struct {
		const uint8_t *bytes;
		size_t len;
	} messages[] = {{dhclient_inform, sizeof(dhclient_inform)},
			{dhclient_solicit, sizeof(dhclient_solicit)},
			{ovmf_solicit, sizeof(ovmf_solicit)}};

	dhcp6_bed_open(&bed, NULL);
	for (unsigned i = 0; i < 3; i++) {
		unsigned answered = 0;

		for (size_t len = 0; len < messages[i].len; len++) {
			dhcp6_bed_send(&bed, messages[i].bytes, len, 1);
			answered += wire_len(&bed.reply.bytes) > 0;
		}
		ck_assert_uint_lt(answered, 8); /* cut between two options */
		dhcp6_bed_send(&bed, messages[i].bytes, messages[i].len, 1);
		ck_assert_uint_gt(wire_len(&bed.reply.bytes), 0);
	}
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_options_that_lie_about_their_insides_are_malformed)
{
	static const struct {
		uint16_t code;
		uint8_t len;
		const char *value;
	} bad[] = {
	    {1, 10, "0123456789"},                           /* a second client id */
	    {3, 11, "\0\0\0\1\0\0\0\0\0\0\0"},               /* no room for T2 */
	    {3, 16, "\0\0\0\1\0\0\0\0\0\0\0\0\0\5\0\30"},    /* an address beyond the end */
	    {3, 20, "\0\0\0\1\0\0\0\0\0\0\0\0\0\5\0\4abcd"}, /* a short one */
	    {6, 3, "\0\27\0"},
	    {14, 1, "x"},
	    {16, 8, "\0\0\0\1\0\7ab"},
	    {16, 3, "\0\0\0"},
	    {25, 4, "\0\0\0\1"},
	    {39, 0, ""},
	    {39, 4, "\0\7ab"},
	    {39, 3, "\0\300\1"}, /* compression */
	    {61, 1, "\0"},
	    {2, 2, "\0\1"},
	};

	dhcp6_bed_open(&bed, NULL);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct dhcp6_built m = dhcp6_build(SOLICIT, 1);

		dhcp6_build_put(&m, bad[i].code, bad[i].value, bad[i].len);
		expect_silence(&m, DHCPD6_MALFORMED);
	}
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_names_that_are_none_are_left_out)
{
	static const char *const bad[] = {"a b", "-x", "x-", "localhost", "wpad", "\xc3\xa4"};

	dhcp6_bed_open(&bed, NULL);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct addr addr = dhcp6_bed_boot_named(&bed, 1, bad[i]);

		ck_assert(!addr_is_unspecified(&addr));
		ck_assert_ptr_null(dhcp6_reply_option(&bed, 39).at);
		ck_assert_str_eq(dhcpd6_lease_by_addr(bed.server, &addr, bed.now_ms)->hostname, "");
	}
	dhcp6_bed_close(&bed);
}
END_TEST

/* RFC 8415 section 16: no more than a UDP payload's worth, and of those what a table holds. */
START_TEST(test_a_message_of_many_options_ends_nothing)
{
	struct dhcp6_built m = dhcp6_build(SOLICIT, 1);

	dhcp6_bed_open(&bed, NULL);
	while (m.len + 4 <= DHCP6_BUILT_MAX)
		dhcp6_build_put(&m, 1000, "", 0);
	expect_silence(&m, DHCPD6_MALFORMED);
	m = dhcp6_build(SOLICIT, 1);
	for (uint32_t i = 0; i < 30; i++) {
		struct addr addr = dhcp6_addr("fec0::77");

		dhcp6_build_ia(&m, i, &addr);
	}
	ck_assert_int_eq(dhcp6_bed_send_built(&bed, &m, 1), DHCPD6_ADVERTISED);
	ck_assert(dhcp6_reply_is_whole(&bed));
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_a_reply_without_room_is_none)
{
	dhcp6_bed_open(&bed, NULL);
	for (bed.room = 0; bed.room < 300; bed.room++) {
		dhcp6_bed_send(&bed, ovmf_solicit, sizeof(ovmf_solicit), 1);
		if (wire_len(&bed.reply.bytes) > 0)
			ck_assert(dhcp6_reply_is_whole(&bed));
	}
	dhcp6_bed_close(&bed);
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "dhcp6_msg", test_dhclient_without_addresses_is_told_dns_and_search_list,
	    test_dhclient_gets_an_address_with_its_own_iaid,
	    test_firmware_gets_the_url_beside_the_class_that_it_sent,
	    test_a_client_that_lists_nothing_is_told_all_but_a_url,
	    test_free_options_are_told_to_those_who_ask,
	    test_what_does_not_fit_is_left_out_and_the_address_is_not,
	    test_prefixes_are_refused_one_by_one, test_messages_that_are_not_for_us_get_no_reply,
	    test_rules_of_each_message_are_kept, test_short_messages_get_no_reply,
	    test_options_that_lie_about_their_insides_are_malformed,
	    test_names_that_are_none_are_left_out, test_a_message_of_many_options_ends_nothing,
	    test_a_reply_without_room_is_none);
}
