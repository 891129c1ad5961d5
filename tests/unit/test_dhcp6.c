/* Who gets an IPv6 address, keeps it, loses it: whole exchanges with the server of fec0::/64. */
#include "dhcp/dhcp6.h"
#include "tests/support/dhcp6_bed.h"
#include "tests/support/suite.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct dhcp6_bed bed;

static void expect_addr(const struct addr *addr, const char *text)
{
	char got[ADDR_TEXT_MAX];

	ck_assert_str_eq(addr_format(addr, got), text);
}

static void expect_reply_addr(const char *text)
{
	struct addr addr = dhcp6_reply_addr(&bed);

	ck_assert(dhcp6_reply_is_whole(&bed));
	expect_addr(&addr, text);
}

static bool is_active(const char *text)
{
	struct addr addr = dhcp6_addr(text);

	return dhcpd6_lease_by_addr(bed.server, &addr, bed.now_ms) != NULL;
}

/* One with server id, association 1 and this address. */
static enum dhcpd6_verdict send_for(uint8_t type, uint32_t n, const char *text)
{
	struct dhcp6_built m = dhcp6_build(type, n);
	struct addr addr = dhcp6_addr(text);

	if (type != REBIND && type != CONFIRM && type != SOLICIT)
		dhcp6_build_server_id(&m);
	dhcp6_build_ia(&m, 1, &addr);
	return dhcp6_bed_send_built(&bed, &m, n);
}

START_TEST(test_first_client_gets_the_first_address_for_a_day)
{
	static const uint8_t duid[] = {0, 3, 0, 1, 0x52, 0x55, 10, 0, 2, 2};
	struct dhcp6_built m = dhcp6_build(SOLICIT, 1);
	struct dhcp6_view v;

	dhcp6_bed_open(&bed, NULL);
	dhcp6_build_ia(&m, 0x1234, NULL);
	ck_assert_int_eq(dhcp6_bed_send_built(&bed, &m, 1), DHCPD6_ADVERTISED);
	ck_assert_uint_eq(dhcp6_reply_type(&bed), ADVERTISE);
	ck_assert_mem_eq(bed.buffer + 1, "\xab\xcd\xef", 3);
	expect_reply_addr("fec0::15");
	ck_assert(!is_active("fec0::15"));
	v = dhcp6_reply_option(&bed, 7); /* nothing to wait for */
	ck_assert(v.len == 1 && v.at[0] == 255);
	v = dhcp6_reply_option(&bed, 2);
	ck_assert_uint_eq(v.len, sizeof(duid));
	ck_assert_mem_eq(v.at, duid, sizeof(duid));
	v = dhcp6_reply_option(&bed, 1);
	ck_assert_mem_eq(v.at, m.bytes + 8, 10);

	m = dhcp6_build(REQUEST, 1);
	dhcp6_build_server_id(&m);
	dhcp6_build_ia(&m, 0x1234, NULL);
	ck_assert_int_eq(dhcp6_bed_send_built(&bed, &m, 1), DHCPD6_REPLIED);
	ck_assert_uint_eq(dhcp6_reply_type(&bed), REPLY);
	expect_reply_addr("fec0::15");
	v = dhcp6_reply_option(&bed, 3);
	ck_assert_uint_eq(dhcp6_u32(v.at), 0x1234);
	ck_assert_uint_eq(dhcp6_u32(v.at + 4), 43200);
	ck_assert_uint_eq(dhcp6_u32(v.at + 8), 69120);
	ck_assert_uint_eq(dhcp6_u32(v.at + 12 + 4 + 16), 86400);
	ck_assert_uint_eq(dhcp6_u32(v.at + 12 + 4 + 20), 86400);
	ck_assert_ptr_null(dhcp6_reply_option(&bed, 7).at);
	ck_assert_uint_eq(bed.reply.leased_n, 1);
	expect_addr(&bed.reply.leased[0], "fec0::15");
	ck_assert(is_active("fec0::15"));
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_rapid_commit_needs_two_messages)
{
	struct dhcp6_built m = dhcp6_build(SOLICIT, 1);

	dhcp6_bed_open(&bed, NULL);
	dhcp6_build_put(&m, 14, "", 0);
	dhcp6_build_ia(&m, 1, NULL);
	ck_assert_int_eq(dhcp6_bed_send_built(&bed, &m, 1), DHCPD6_REPLIED);
	ck_assert_uint_eq(dhcp6_reply_type(&bed), REPLY);
	ck_assert_ptr_nonnull(dhcp6_reply_option(&bed, 14).at);
	expect_reply_addr("fec0::15");
	ck_assert(is_active("fec0::15"));
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_every_boot_of_one_card_gets_the_same_address)
{
	struct addr mine, again;

	dhcp6_bed_open(&bed, NULL);
	mine = dhcp6_bed_boot(&bed, 7);
	dhcp6_bed_boot(&bed, 8);
	for (int i = 0; i < 5; i++) {
		again = dhcp6_bed_boot(&bed, 7);
		ck_assert(addr_eq(&mine, &again));
	}
	ck_assert_int_eq(send_for(RELEASE, 7, "fec0::15"), DHCPD6_RELEASED);
	ck_assert_int_eq(dhcp6_reply_status(&bed), 0);
	ck_assert(!is_active("fec0::15"));
	again = dhcp6_bed_boot(&bed, 9);
	ck_assert(!addr_eq(&mine, &again));
	bed.now_ms += 30 * DHCP6_BED_LEASE_MS;
	again = dhcp6_bed_boot(&bed, 7);
	ck_assert(addr_eq(&mine, &again));
	dhcp6_bed_close(&bed);
}
END_TEST

/* Firmware, installer and system each have a DUID of their own. */
START_TEST(test_a_new_duid_on_a_known_card_takes_over_its_address)
{
	static const char *const duids[] = {"\0\4uuid-of-firmware", "\0\1system's own", "\0\2en"};

	dhcp6_bed_open(&bed, NULL);
	dhcp6_bed_boot(&bed, 1);
	for (unsigned i = 0; i < 3; i++) {
		struct dhcp6_built m = dhcp6_build(SOLICIT, 0);

		dhcp6_build_put(&m, 1, duids[i], 2 + strlen(duids[i] + 2));
		dhcp6_build_put(&m, 14, "", 0);
		dhcp6_build_ia(&m, 100 + i, NULL);
		ck_assert_int_eq(dhcp6_bed_send_built(&bed, &m, 1), DHCPD6_REPLIED);
		expect_reply_addr("fec0::15");
	}
	dhcp6_bed_close(&bed);
}
END_TEST

/* Copies of one image have one machine-id, so one DUID. */
START_TEST(test_one_duid_on_two_cards_gets_two_addresses)
{
	struct dhcp6_built m = dhcp6_build(SOLICIT, 1);

	dhcp6_bed_open(&bed, NULL);
	dhcp6_build_put(&m, 14, "", 0);
	dhcp6_build_ia(&m, 1, NULL);
	dhcp6_bed_send_built(&bed, &m, 1);
	expect_reply_addr("fec0::15");
	dhcp6_bed_send_built(&bed, &m, 2);
	expect_reply_addr("fec0::16");
	ck_assert(is_active("fec0::15"));
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_several_associations_of_one_client_get_an_address_each)
{
	struct dhcp6_built m = dhcp6_build(SOLICIT, 1);

	dhcp6_bed_open(&bed, NULL);
	dhcp6_build_put(&m, 14, "", 0);
	for (uint32_t i = 1; i <= 6; i++) /* more than are looked at */
		dhcp6_build_ia(&m, i, NULL);
	ck_assert_int_eq(dhcp6_bed_send_built(&bed, &m, 1), DHCPD6_REPLIED);
	ck_assert_uint_eq(bed.reply.leased_n, DHCPD6_IAS_MAX);
	expect_addr(&bed.reply.leased[3], "fec0::18");
	m = dhcp6_build(SOLICIT, 1);
	dhcp6_build_ia(&m, 99, NULL); /* no more for this card */
	ck_assert_int_eq(dhcp6_bed_send_built(&bed, &m, 1), DHCPD6_REFUSED);
	ck_assert_int_eq(dhcp6_reply_status(&bed), 2);
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_a_wish_is_granted_when_the_address_is_free)
{
	static const char *const no[] = {"fec0::99", "fec0::2", "fec0::3",
					 "fec0::",   "fd00::5", "fec0::1:0:0:5"};

	dhcp6_bed_open(&bed, NULL);
	ck_assert_int_eq(send_for(SOLICIT, 1, "fec0::99"), DHCPD6_ADVERTISED);
	expect_reply_addr("fec0::99");
	ck_assert_int_eq(send_for(REQUEST, 1, "fec0::99"), DHCPD6_REPLIED);
	for (uint32_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		char text[ADDR_TEXT_MAX];

		snprintf(text, sizeof(text), "fec0::%x", 0x15 + i);
		ck_assert_int_eq(send_for(SOLICIT, 2 + i, no[i]), DHCPD6_ADVERTISED);
		expect_reply_addr(text);
	}
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_renew_and_rebind_keep_an_address_also_after_a_restart)
{
	dhcp6_bed_open(&bed, NULL);
	dhcp6_bed_boot(&bed, 1);
	bed.now_ms += DHCP6_BED_LEASE_MS / 2;
	ck_assert_int_eq(send_for(RENEW, 1, "fec0::15"), DHCPD6_REPLIED);
	expect_reply_addr("fec0::15");
	bed.now_ms += DHCP6_BED_LEASE_MS / 2 + 1;
	ck_assert(is_active("fec0::15"));
	dhcp6_bed_close(&bed);
	dhcp6_bed_open(&bed, NULL); /* nothing is remembered */
	ck_assert_int_eq(send_for(RENEW, 2, "fec0::16"), DHCPD6_REPLIED);
	expect_reply_addr("fec0::16");
	ck_assert_int_eq(send_for(REBIND, 1, "fec0::15"), DHCPD6_REPLIED);
	expect_reply_addr("fec0::15");
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_a_foreign_address_is_taken_from_the_one_who_renews_it)
{
	struct dhcp6_view ia, second;

	dhcp6_bed_open(&bed, NULL);
	ck_assert_int_eq(send_for(RENEW, 1, "fd00::77"), DHCPD6_REPLIED);
	expect_reply_addr("fec0::15");
	ia = dhcp6_reply_option(&bed, 3);
	second = dhcp6_find(ia.at + 12 + 28, ia.len - 12 - 28, 5);
	ck_assert_uint_eq(second.len, 24);
	ck_assert_uint_eq(second.at[0], 0xfd);
	ck_assert_uint_eq(dhcp6_u32(second.at + 16), 0);
	ck_assert_uint_eq(dhcp6_u32(second.at + 20), 0);
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_confirm_says_whether_the_link_is_the_right_one)
{
	struct dhcp6_built m = dhcp6_build(CONFIRM, 1);

	dhcp6_bed_open(&bed, NULL);
	ck_assert_int_eq(send_for(CONFIRM, 1, "fec0::15"), DHCPD6_CONFIRMED);
	ck_assert_int_eq(dhcp6_reply_status(&bed), 0);
	ck_assert_int_eq(send_for(CONFIRM, 1, "fd00::15"), DHCPD6_REFUSED);
	ck_assert_int_eq(dhcp6_reply_status(&bed), 4);
	dhcp6_build_ia(&m, 1, NULL); /* RFC 8415 section 18.3.3: nothing to confirm */
	ck_assert_int_eq(dhcp6_bed_send_built(&bed, &m, 1), DHCPD6_IGNORED);
	ck_assert_uint_eq(dhcp6_reply_type(&bed), 0);
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_a_declined_address_rests)
{
	struct addr addr;

	dhcp6_bed_open(&bed, NULL);
	dhcp6_bed_boot(&bed, 1);
	ck_assert_int_eq(send_for(DECLINE, 1, "fec0::15"), DHCPD6_DECLINED);
	ck_assert(!is_active("fec0::15"));
	addr = dhcp6_bed_boot(&bed, 1);
	expect_addr(&addr, "fec0::16");
	bed.now_ms += 11 * 60 * 1000;
	addr = dhcp6_bed_boot(&bed, 2);
	expect_addr(&addr, "fec0::15");
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_an_address_that_somebody_set_by_hand_is_passed_over)
{
	struct addr addr;

	dhcp6_bed_open(&bed, NULL);
	bed.in_use = dhcp6_addr("fec0::15");
	addr = dhcp6_bed_boot(&bed, 1);
	expect_addr(&addr, "fec0::16");
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_reserved_addresses_are_not_given_away)
{
	struct addr reserved[] = {dhcp6_addr("fec0::15"), dhcp6_addr("fec0::16"), addr_v4(1),
				  dhcp6_addr("fec0::15")};
	struct dhcpd6_config config;
	struct addr addr;

	memset(&bed, 0, sizeof(bed));
	config = dhcp6_bed_config(&bed);
	config.reserved = reserved;
	config.reserved_n = 4;
	dhcp6_bed_open(&bed, &config);
	addr = dhcp6_bed_boot(&bed, 1);
	expect_addr(&addr, "fec0::17");
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_nothing_is_given_back_by_those_who_do_not_have_it)
{
	dhcp6_bed_open(&bed, NULL);
	dhcp6_bed_boot(&bed, 1);
	ck_assert_int_eq(send_for(RELEASE, 2, "fec0::15"), DHCPD6_RELEASED);
	ck_assert_int_eq(dhcp6_reply_status(&bed), 3);
	ck_assert_int_eq(send_for(RELEASE, 1, "fec0::16"), DHCPD6_RELEASED);
	ck_assert(is_active("fec0::15"));
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_a_full_table_takes_what_is_missed_least)
{
	struct addr addr;

	dhcp6_bed_open(&bed, NULL);
	for (uint32_t n = 1; n <= 16; n++) {
		struct dhcp6_built m = dhcp6_build(SOLICIT, n);
		struct dhcpd6_from from = {dhcp6_mac(n), 1 + n % 4};

		dhcp6_build_put(&m, 14, "", 0);
		dhcp6_build_ia(&m, 1, NULL);
		ck_assert_int_eq(dhcp6_bed_send_from(&bed, m.bytes, m.len, &from), DHCPD6_REPLIED);
	}
	addr = dhcp6_bed_boot(&bed, 17); /* all are in use */
	ck_assert(addr_is_unspecified(&addr));
	ck_assert_int_eq(dhcp6_reply_status(&bed), 2);
	ck_assert_int_eq(send_for(RELEASE, 3, "fec0::17"), DHCPD6_RELEASED);
	addr = dhcp6_bed_boot(&bed, 17);
	expect_addr(&addr, "fec0::17");
	bed.now_ms += DHCP6_BED_LEASE_MS; /* all have expired */
	for (uint32_t n = 20; n < 28; n++) {
		addr = dhcp6_bed_boot(&bed, n);
		ck_assert(!addr_is_unspecified(&addr));
	}
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_one_port_cannot_take_everything)
{
	struct dhcpd6_from other = {dhcp6_mac(100), 2};
	struct dhcp6_built m = dhcp6_build(SOLICIT, 100);
	unsigned given = 0;

	dhcp6_bed_open(&bed, NULL);
	for (uint32_t n = 1; n <= 1000; n++) {
		struct addr addr = dhcp6_bed_boot(&bed, n);

		given += !addr_is_unspecified(&addr);
	}
	ck_assert_uint_eq(given, 8);
	dhcp6_build_ia(&m, 1, NULL);
	ck_assert_int_eq(dhcp6_bed_send_from(&bed, m.bytes, m.len, &other), DHCPD6_ADVERTISED);
	/* A guest that comes back has another port, and its card its address. */
	dhcpd6_port_gone(bed.server, 1);
	ck_assert(is_active("fec0::15"));
	ck_assert_int_eq(send_for(RENEW, 1, "fec0::15"), DHCPD6_REPLIED);
	expect_reply_addr("fec0::15");
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_stale_offers_of_a_port_make_room_for_its_next_client)
{
	dhcp6_bed_open(&bed, NULL);
	for (uint32_t n = 1; n <= 100; n++) {
		struct dhcp6_built m = dhcp6_build(SOLICIT, n);

		dhcp6_build_ia(&m, 1, NULL);
		ck_assert_int_eq(dhcp6_bed_send_built(&bed, &m, n), DHCPD6_ADVERTISED);
	}
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_small_nets_give_each_address_once)
{
	struct dhcpd6_config config;
	struct addr addr;

	memset(&bed, 0, sizeof(bed));
	config = dhcp6_bed_config(&bed);
	config.net.prefix_len = 126;
	config.pool_first = dhcp6_addr("fec0::1");
	dhcp6_bed_open(&bed, &config);
	addr = dhcp6_bed_boot(&bed, 1);
	expect_addr(&addr, "fec0::1");
	addr = dhcp6_bed_boot(&bed, 2);
	ck_assert(addr_is_unspecified(&addr));
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_names_are_found_by_address_and_back)
{
	struct addr addr = dhcp6_addr("fec0::15");
	const struct dhcpd6_lease *lease;

	dhcp6_bed_open(&bed, NULL);
	dhcp6_bed_boot_named(&bed, 1, "Web");
	lease = dhcpd6_lease_by_name(bed.server, "web", bed.now_ms);
	ck_assert_ptr_nonnull(lease);
	ck_assert(addr_eq(&lease->addr, &addr));
	ck_assert_str_eq(dhcpd6_lease_by_addr(bed.server, &addr, bed.now_ms)->hostname, "web");
	ck_assert_mem_eq(dhcp6_reply_option(&bed, 39).at, "\3\3web\5lwnat\10internal\0", 20);
	/* Who boots last has the name. */
	dhcp6_bed_boot_named(&bed, 2, "web");
	lease = dhcpd6_lease_by_name(bed.server, "web", bed.now_ms);
	ck_assert(!addr_eq(&lease->addr, &addr));
	ck_assert_ptr_null(dhcpd6_lease_by_name(bed.server, "web.x", bed.now_ms));
	bed.now_ms += DHCP6_BED_LEASE_MS;
	ck_assert_ptr_null(dhcpd6_lease_by_name(bed.server, "web", bed.now_ms));
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_what_a_walk_gave_can_be_put_back)
{
	static struct dhcpd6_lease kept[16];
	const struct dhcpd6_lease *lease;
	uint32_t cursor = 0, n = 0;
	uint64_t before;
	struct addr addr;

	dhcp6_bed_open(&bed, NULL);
	before = dhcpd6_changes(bed.server);
	dhcp6_bed_boot_named(&bed, 5, "five");
	dhcp6_bed_boot_named(&bed, 6, "six");
	ck_assert_uint_gt(dhcpd6_changes(bed.server), before);
	send_for(RELEASE, 6, "fec0::16");
	while ((lease = dhcpd6_lease_next(bed.server, &cursor)) != NULL)
		kept[n++] = *lease;
	ck_assert_uint_eq(n, 2);
	dhcp6_bed_close(&bed);

	dhcp6_bed_open(&bed, NULL);
	for (uint32_t i = 0; i < n; i++)
		ck_assert_int_eq(dhcpd6_lease_restore(bed.server, &kept[i], bed.now_ms), 0);
	ck_assert_int_eq(dhcpd6_lease_restore(bed.server, &kept[0], bed.now_ms), -EEXIST);
	ck_assert(is_active("fec0::15"));
	ck_assert(!is_active("fec0::16"));
	ck_assert_ptr_nonnull(dhcpd6_lease_by_name(bed.server, "five", bed.now_ms));
	addr = dhcp6_bed_boot(&bed, 6);
	expect_addr(&addr, "fec0::16");
	kept[0].addr = dhcp6_addr("fd00::15");
	ck_assert_int_eq(dhcpd6_lease_restore(bed.server, &kept[0], bed.now_ms), -EINVAL);
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_bad_configs_are_refused)
{
	struct dhcpd6_config config = dhcp6_bed_config(&bed);
	struct dhcpd6 *server;

	config.net.prefix_len = 127;
	ck_assert_int_eq(dhcpd6_new(&server, &config), -EINVAL);
	config = dhcp6_bed_config(&bed);
	config.pool_first = dhcp6_addr("fd00::15");
	ck_assert_int_eq(dhcpd6_new(&server, &config), -EINVAL);
	config = dhcp6_bed_config(&bed);
	config.net.addr = addr_v4(0x0a000200);
	ck_assert_int_eq(dhcpd6_new(&server, &config), -EINVAL);
	dhcpd6_free(NULL);
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "dhcp6", test_first_client_gets_the_first_address_for_a_day,
	    test_rapid_commit_needs_two_messages, test_every_boot_of_one_card_gets_the_same_address,
	    test_a_new_duid_on_a_known_card_takes_over_its_address,
	    test_one_duid_on_two_cards_gets_two_addresses,
	    test_several_associations_of_one_client_get_an_address_each,
	    test_a_wish_is_granted_when_the_address_is_free,
	    test_renew_and_rebind_keep_an_address_also_after_a_restart,
	    test_a_foreign_address_is_taken_from_the_one_who_renews_it,
	    test_confirm_says_whether_the_link_is_the_right_one, test_a_declined_address_rests,
	    test_an_address_that_somebody_set_by_hand_is_passed_over,
	    test_reserved_addresses_are_not_given_away,
	    test_nothing_is_given_back_by_those_who_do_not_have_it,
	    test_a_full_table_takes_what_is_missed_least, test_one_port_cannot_take_everything,
	    test_stale_offers_of_a_port_make_room_for_its_next_client,
	    test_small_nets_give_each_address_once, test_names_are_found_by_address_and_back,
	    test_what_a_walk_gave_can_be_put_back, test_bad_configs_are_refused);
}
