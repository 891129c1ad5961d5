/* Who gets an address, keeps it, loses it: whole exchanges with the server of 192.168.31.0/24. */
#include "dhcp/dhcpd.h"
#include "tests/support/dhcp_bed.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#define NET DHCP_BED_NET
#define FIRST DHCP_BED_FIRST

static struct dhcp_bed bed;

static void open_bed(void)
{
	dhcp_bed_open(&bed, NULL);
}

static void close_bed(void)
{
	dhcp_bed_close(&bed);
}

static uint32_t yiaddr(void)
{
	return dhcp_reply_yiaddr(&bed.reply.bytes);
}

static bool is_active(uint32_t addr)
{
	struct addr a = addr_v4(addr);
	return dhcpd_lease_by_addr(bed.server, &a, bed.now_ms) != NULL;
}

static void expect_broadcast(void)
{
	struct addr everyone = addr_v4(UINT32_MAX);
	struct mac all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
	ck_assert(addr_eq(&bed.reply.to, &everyone));
	ck_assert(mac_eq(&bed.reply.to_mac, &all));
}

static void expect_unicast(uint32_t addr, uint32_t n)
{
	struct addr to = addr_v4(addr);
	struct mac mac = dhcp_client_mac(n);
	ck_assert(addr_eq(&bed.reply.to, &to));
	ck_assert(mac_eq(&bed.reply.to_mac, &mac));
}

static void expect_nak(void)
{
	ck_assert_uint_eq(dhcp_reply_type(&bed.reply.bytes), NAK);
	ck_assert_uint_eq(yiaddr(), 0);
	ck_assert_uint_eq(dhcp_field_u32(bed.reply.bytes.start, 12), 0);
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 54), DHCP_BED_SERVER);
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 51), 0);
	ck_assert(addr_is_unspecified(&bed.reply.leased) || !addr_is_v4(&bed.reply.leased));
	expect_broadcast();
}

static void expect_silence(void)
{
	ck_assert_uint_eq(wire_len(&bed.reply.bytes), 0);
	ck_assert(!bed.reply.bytes.bad);
}

START_TEST(test_first_client_gets_the_first_address_for_a_day)
{
	ck_assert_int_eq(dhcp_bed_discover(&bed, 1, 0), DHCPD_OFFERED);
	ck_assert_uint_eq(dhcp_reply_type(&bed.reply.bytes), OFFER);
	ck_assert_uint_eq(yiaddr(), FIRST);
	ck_assert_uint_eq(dhcp_field_u32(bed.reply.bytes.start, 4), 0xabcd0001);
	ck_assert_uint_ge(wire_len(&bed.reply.bytes), 300);
	ck_assert(!is_active(FIRST));

	ck_assert_int_eq(dhcp_bed_select(&bed, 1, FIRST), DHCPD_ACKED);
	ck_assert_uint_eq(dhcp_reply_type(&bed.reply.bytes), ACK);
	ck_assert_uint_eq(yiaddr(), FIRST);
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 1), 0xffffff00);
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 3), DHCP_BED_SERVER);
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 6), DHCP_BED_DNS);
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 51), 86400);
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 54), DHCP_BED_SERVER);
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 58), 43200);
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 59), 75600);
	ck_assert_uint_eq(addr_to_v4(&bed.reply.leased), FIRST);
	ck_assert(is_active(FIRST));
	struct mac mac = dhcp_client_mac(1);
	ck_assert(mac_eq(&bed.reply.client_mac, &mac));
	ck_assert_uint_eq(dhcpd_counters(bed.server)->verdicts[DHCPD_ACKED], 1);
}
END_TEST

START_TEST(test_every_boot_of_one_mac_gets_the_same_address_at_once)
{
	uint32_t mine = dhcp_bed_boot(&bed, 7);
	dhcp_bed_boot(&bed, 8);
	for (int i = 0; i < 20; i++) /* killed and booted again, its lease still running */
		ck_assert_uint_eq(dhcp_bed_boot(&bed, 7), mine);
	ck_assert_int_eq(dhcp_bed_release(&bed, 7, mine), DHCPD_RELEASED);
	ck_assert_uint_ne(dhcp_bed_boot(&bed, 9), mine);
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 7), mine);
	bed.now_ms += 30 * DHCP_BED_LEASE_MS; /* long expired */
	ck_assert(!is_active(mine));
	ck_assert_uint_ne(dhcp_bed_boot(&bed, 10), mine);
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 7), mine);
}
END_TEST

START_TEST(test_boot_stages_with_different_client_ids_share_the_address)
{
	static const char *const ids[] = {"\001RT", "\377duid", "iPXE"};
	for (unsigned i = 0; i < 3; i++) {
		uint8_t echoed[DHCP_BUILT_MAX];
		struct dhcp_built m = dhcp_build(DISCOVER, 1);
		dhcp_build_put(&m, 61, ids[i], 3);
		ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_OFFERED);
		ck_assert_uint_eq(yiaddr(), FIRST);
		/* RFC 6842: the client sees that the answer is its own. */
		ck_assert_int_eq(dhcp_reply_option(&bed.reply.bytes, 61, echoed), 3);
		ck_assert_mem_eq(echoed, ids[i], 3);
	}
}
END_TEST

START_TEST(test_a_wish_in_discover_is_granted_when_the_address_is_free)
{
	ck_assert_int_eq(dhcp_bed_discover(&bed, 1, NET + 55), DHCPD_OFFERED);
	ck_assert_uint_eq(yiaddr(), NET + 55);
	ck_assert_int_eq(dhcp_bed_select(&bed, 1, NET + 55), DHCPD_ACKED);
	/* taken, ours, the net's own, and foreign addresses are not */
	static const uint32_t no[] = {NET + 55, NET + 2, NET + 3, NET, NET + 255, 0x0a000005};
	for (uint32_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		ck_assert_int_eq(dhcp_bed_discover(&bed, 2 + i, no[i]), DHCPD_OFFERED);
		ck_assert_uint_eq(yiaddr(), FIRST + i);
	}
	/* and who has an address keeps that one */
	ck_assert_int_eq(dhcp_bed_discover(&bed, 1, NET + 77), DHCPD_OFFERED);
	ck_assert_uint_eq(yiaddr(), NET + 55);
}
END_TEST

START_TEST(test_renewal_extends_the_lease_and_is_unicast)
{
	uint32_t mine = dhcp_bed_boot(&bed, 1);
	bed.now_ms += DHCP_BED_LEASE_MS / 2;
	struct dhcp_built m = dhcp_build(REQUEST, 1);
	dhcp_build_set_u32(&m, 12, mine);
	dhcp_build_set_u32(&m, 8, 0x8000); /* the broadcast flag does not matter with ciaddr */
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_ACKED);
	ck_assert_uint_eq(yiaddr(), mine);
	ck_assert_uint_eq(dhcp_field_u32(bed.reply.bytes.start, 12), mine);
	expect_unicast(mine, 1);
	bed.now_ms += DHCP_BED_LEASE_MS - 1;
	ck_assert(is_active(mine));
	bed.now_ms += 1;
	ck_assert(!is_active(mine));
}
END_TEST

START_TEST(test_renewal_of_a_foreign_or_another_ones_address_is_refused)
{
	dhcp_bed_boot(&bed, 1);
	uint32_t other = dhcp_bed_boot(&bed, 2);
	ck_assert_int_eq(dhcp_bed_renew(&bed, 1, other), DHCPD_NAKED);
	expect_nak();
	ck_assert_int_eq(dhcp_bed_renew(&bed, 3, other), DHCPD_NAKED);
	ck_assert_int_eq(dhcp_bed_renew(&bed, 3, 0x0a00020f), DHCPD_NAKED);
	expect_nak();
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 1), FIRST);
}
END_TEST

START_TEST(test_init_reboot_with_the_own_address_is_acknowledged)
{
	uint32_t mine = dhcp_bed_boot(&bed, 1);
	ck_assert_int_eq(dhcp_bed_reboot(&bed, 1, mine), DHCPD_ACKED);
	ck_assert_uint_eq(yiaddr(), mine);
	ck_assert_uint_eq(dhcp_field_u32(bed.reply.bytes.start, 12), 0);
	expect_unicast(mine, 1);
}
END_TEST

START_TEST(test_init_reboot_with_an_address_it_cannot_have_is_refused_at_once)
{
	uint32_t mine = dhcp_bed_boot(&bed, 1);
	static const uint32_t no[] = {0x0a00020f, FIRST,     DHCP_BED_SERVER, DHCP_BED_DNS,
				      NET,        NET + 255, NET + 256,       NET - 1};
	ck_assert_uint_eq(mine, FIRST);
	for (unsigned i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		ck_assert_int_eq(dhcp_bed_reboot(&bed, 2, no[i]), DHCPD_NAKED);
		expect_nak();
	}
	ck_assert_int_eq(dhcp_bed_reboot(&bed, 1, NET + 150), DHCPD_NAKED);
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 1), mine);
}
END_TEST

START_TEST(test_guests_keep_their_addresses_over_a_restart_of_the_server)
{
	uint32_t one = dhcp_bed_boot(&bed, 1), two = dhcp_bed_boot(&bed, 2);
	dhcp_bed_restart(&bed);
	ck_assert_int_eq(dhcp_bed_renew(&bed, 2, two), DHCPD_ACKED);
	ck_assert_int_eq(dhcp_bed_reboot(&bed, 1, one), DHCPD_ACKED);
	ck_assert(is_active(one) && is_active(two));
}
END_TEST

START_TEST(test_a_renewal_beats_an_offer_made_to_another_after_a_restart)
{
	uint32_t mine = dhcp_bed_boot(&bed, 1);
	dhcp_bed_restart(&bed);
	ck_assert_int_eq(dhcp_bed_discover(&bed, 2, 0), DHCPD_OFFERED);
	ck_assert_uint_eq(yiaddr(), mine);
	ck_assert_int_eq(dhcp_bed_renew(&bed, 1, mine), DHCPD_ACKED);
	ck_assert_int_eq(dhcp_bed_select(&bed, 2, mine), DHCPD_NAKED);
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 2), FIRST + 1);
}
END_TEST

START_TEST(test_request_for_another_server_frees_our_offer_in_silence)
{
	dhcp_bed_discover(&bed, 1, 0);
	struct dhcp_built m = dhcp_build(REQUEST, 1);
	dhcp_build_put_u32(&m, 54, NET + 9);
	dhcp_build_put_u32(&m, 50, FIRST);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_IGNORED);
	expect_silence();
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 2), FIRST);
	/* a lease that runs is not given away by it */
	m = dhcp_build(REQUEST, 2);
	dhcp_build_put_u32(&m, 54, NET + 9);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_IGNORED);
	ck_assert(is_active(FIRST));
}
END_TEST

START_TEST(test_selecting_with_the_address_in_ciaddr_is_understood)
{
	dhcp_bed_discover(&bed, 1, 0);
	struct dhcp_built m = dhcp_build(REQUEST, 1);
	dhcp_build_put_u32(&m, 54, DHCP_BED_SERVER);
	dhcp_build_set_u32(&m, 12, FIRST);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_ACKED);
}
END_TEST

START_TEST(test_selecting_goes_by_the_requested_address_not_by_ciaddr)
{
	dhcp_bed_discover(&bed, 1, 0);
	struct dhcp_built m = dhcp_build(REQUEST, 1);
	dhcp_build_put_u32(&m, 54, DHCP_BED_SERVER);
	dhcp_build_put_u32(&m, 50, FIRST);
	dhcp_build_set_u32(&m, 12, 0x0a00020f);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_ACKED);
	expect_unicast(FIRST, 1);
}
END_TEST

START_TEST(test_an_offer_says_nothing_in_ciaddr)
{
	struct dhcp_built m = dhcp_build(DISCOVER, 1);
	dhcp_build_set_u32(&m, 12, 0x0a00020f);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_OFFERED);
	ck_assert_uint_eq(dhcp_field_u32(bed.reply.bytes.start, 12), 0);
	expect_unicast(FIRST, 1);
}
END_TEST

START_TEST(test_who_asks_again_keeps_its_offer_longest)
{
	for (uint32_t n = 0; n < 252; n++)
		dhcp_bed_discover(&bed, n, 0);
	uint32_t mine = FIRST;
	ck_assert_int_eq(dhcp_bed_discover(&bed, 0, 0), DHCPD_OFFERED);
	ck_assert_uint_eq(yiaddr(), mine);
	for (uint32_t n = 252; n < 502; n++) { /* all the others' offers are lost */
		dhcp_bed_discover(&bed, n, 0);
		ck_assert_uint_ne(yiaddr(), mine);
	}
	/* the same for a known guest that comes back when the pool is full of known guests */
	dhcp_bed_restart(&bed);
	for (uint32_t n = 1000; n < 1252; n++)
		ck_assert_int_eq(dhcp_bed_release(&bed, n, dhcp_bed_boot(&bed, n)), DHCPD_RELEASED);
	dhcp_bed_discover(&bed, 1000, 0);
	ck_assert_uint_eq(yiaddr(), mine);
	for (uint32_t n = 2000; n < 2250; n++) {
		dhcp_bed_boot(&bed, n);
		ck_assert_uint_ne(yiaddr(), mine);
	}
}
END_TEST

START_TEST(test_request_for_no_address_at_all_is_malformed)
{
	struct dhcp_built m = dhcp_build(REQUEST, 1);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_MALFORMED);
	expect_silence();
}
END_TEST

START_TEST(test_release_ends_the_lease_only_for_its_owner)
{
	uint32_t mine = dhcp_bed_boot(&bed, 1);
	ck_assert_int_eq(dhcp_bed_release(&bed, 2, mine), DHCPD_IGNORED);
	ck_assert_int_eq(dhcp_bed_release(&bed, 1, mine + 1), DHCPD_IGNORED);
	ck_assert(is_active(mine));
	struct dhcp_built m = dhcp_build(RELEASE, 1);
	dhcp_build_set_u32(&m, 12, mine);
	dhcp_build_put_u32(&m, 54, NET + 9);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_IGNORED);
	ck_assert(is_active(mine));

	ck_assert_int_eq(dhcp_bed_release(&bed, 1, mine), DHCPD_RELEASED);
	expect_silence();
	ck_assert(!is_active(mine));
	ck_assert_int_eq(dhcp_bed_release(&bed, 1, mine), DHCPD_IGNORED);
}
END_TEST

START_TEST(test_a_declined_address_rests_for_ten_minutes)
{
	uint32_t bad = dhcp_bed_boot(&bed, 1);
	ck_assert_int_eq(dhcp_bed_decline(&bed, 2, bad), DHCPD_IGNORED);
	ck_assert_int_eq(dhcp_bed_decline(&bed, 1, bad), DHCPD_DECLINED);
	expect_silence();
	ck_assert(!is_active(bad));
	uint32_t next = dhcp_bed_boot(&bed, 1);
	ck_assert_uint_eq(next, FIRST + 1);
	bed.now_ms += 10 * 60 * 1000 - 1;
	ck_assert_int_eq(dhcp_bed_reboot(&bed, 2, bad), DHCPD_NAKED);
	bed.now_ms += 1;
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 2), bad);
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 1), next);
}
END_TEST

START_TEST(test_inform_gets_options_and_no_lease)
{
	struct dhcp_built m = dhcp_build(INFORM, 1);
	dhcp_build_set_u32(&m, 12, NET + 200);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_INFORMED);
	ck_assert_uint_eq(dhcp_reply_type(&bed.reply.bytes), ACK);
	ck_assert_uint_eq(yiaddr(), 0);
	ck_assert_uint_eq(dhcp_field_u32(bed.reply.bytes.start, 12), NET + 200);
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 6), DHCP_BED_DNS);
	static const uint8_t none[] = {51, 58, 59};
	for (unsigned i = 0; i < sizeof(none); i++)
		ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, none[i]), 0);
	expect_unicast(NET + 200, 1);
	uint32_t cursor = 0;
	ck_assert_ptr_null(dhcpd_lease_next(bed.server, &cursor));
}
END_TEST

START_TEST(test_inform_from_outside_the_net_is_ignored)
{
	static const uint32_t foreign[] = {0,   0x0a00020f, 0x7f000001, 0xe0000001,
					   NET, NET + 255,  UINT32_MAX};
	for (unsigned i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		struct dhcp_built m = dhcp_build(INFORM, 1);
		dhcp_build_set_u32(&m, 12, foreign[i]);
		ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_IGNORED);
		expect_silence();
	}
}
END_TEST

START_TEST(test_inform_without_ciaddr_is_answered_to_its_source)
{
	struct dhcp_built m = dhcp_build(INFORM, 1);
	struct dhcpd_sender src = {addr_v4(NET + 201), 0};
	bed.reply.bytes = wire_out(bed.buffer, 576);
	ck_assert_int_eq(dhcpd_input(bed.server, dhcp_built_in(&m), &src, 1, &bed.reply),
			 DHCPD_INFORMED);
	expect_unicast(NET + 201, 1);
}
END_TEST

START_TEST(test_broadcast_flag_is_honoured_and_otherwise_replies_are_unicast)
{
	dhcp_bed_discover(&bed, 1, 0);
	expect_unicast(FIRST, 1);
	struct dhcp_built m = dhcp_build(DISCOVER, 1);
	dhcp_build_set_u32(&m, 8, 0x8000);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_OFFERED);
	expect_broadcast();
	ck_assert_uint_eq(dhcp_field_u32(bed.reply.bytes.start, 8), 0x8000);
	m = dhcp_build(REQUEST, 1);
	dhcp_build_set_u32(&m, 8, 0x8000);
	dhcp_build_put_u32(&m, 50, FIRST);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_ACKED);
	expect_broadcast();
}
END_TEST

START_TEST(test_messages_that_are_not_for_us_are_ignored)
{
	static const uint8_t types[] = {OFFER, ACK, NAK, 9, 10, 13, 255};
	for (unsigned i = 0; i < sizeof(types); i++) {
		struct dhcp_built m = dhcp_build(types[i], 1);
		ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_IGNORED);
		expect_silence();
	}
	struct dhcp_built reply = dhcp_build(DISCOVER, 1);
	reply.bytes[0] = 2;
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &reply), DHCPD_IGNORED);
	struct dhcp_built relayed = dhcp_build(DISCOVER, 1);
	dhcp_build_set_u32(&relayed, 24, NET + 1);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &relayed), DHCPD_IGNORED);
	expect_silence();
	struct dhcp_built multicast = dhcp_build(DISCOVER, 1);
	multicast.bytes[28] |= 1;
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &multicast), DHCPD_IGNORED);
	struct dhcp_built nobody = dhcp_build(DISCOVER, 1);
	for (unsigned i = 28; i < 34; i++)
		nobody.bytes[i] = 0;
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &nobody), DHCPD_IGNORED);
}
END_TEST

START_TEST(test_bootp_client_gets_an_address_for_ever_and_no_dhcp_options)
{
	struct dhcp_built m = dhcp_build(0, 1);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_ACKED);
	ck_assert_uint_eq(wire_len(&bed.reply.bytes), 300);
	ck_assert_uint_eq(yiaddr(), FIRST);
	ck_assert_uint_eq(addr_to_v4(&bed.reply.leased), FIRST);
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 1), 0xffffff00);
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 3), DHCP_BED_SERVER);
	static const uint8_t none[] = {50, 51, 52, 53, 54, 56, 58, 59};
	uint8_t value[DHCP_BUILT_MAX];
	for (unsigned i = 0; i < sizeof(none); i++)
		ck_assert_int_eq(dhcp_reply_option(&bed.reply.bytes, none[i], value), -1);
	bed.now_ms += 1000 * DHCP_BED_LEASE_MS;
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 2), FIRST + 1);
	ck_assert(is_active(FIRST));
}
END_TEST

START_TEST(test_bootp_without_vendor_data_is_answered)
{
	struct dhcp_built m = dhcp_build(0, 1);
	dhcp_build_set_u32(&m, 236, 0);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_ACKED);
	ck_assert_uint_eq(yiaddr(), FIRST);
}
END_TEST

START_TEST(test_bad_configurations_are_refused)
{
	struct dhcpd_config ok = dhcp_bed_config(), c;
	struct dhcpd *server = NULL;
	char long_text[300];
	for (unsigned i = 0; i < sizeof(long_text); i++)
		long_text[i] = i + 1 < sizeof(long_text) ? 'x' : '\0';
	const char *bad_search[] = {"", ".", "a..b", long_text};
	for (unsigned i = 0; i < 15; i++) {
		c = ok;
		switch (i) {
		case 0:
			c.net.prefix_len = 31;
			break;
		case 1:
			c.net.prefix_len = 7;
			break;
		case 2:
			c.server = addr_v4(0x0a000002);
			break;
		case 3:
			c.server = addr_v4(NET);
			break;
		case 4:
			c.pool_first = addr_v4(NET + 255);
			break;
		case 5:
			c.pool_first = addr_v4(NET + 256);
			break;
		case 6:
			c.lease_s = 0;
			break;
		case 7:
			c.leases_max = 0;
			break;
		case 8:
			c.bootfile = long_text;
			break;
		case 9:
			c.domainname = long_text;
			break;
		case 10:
			c.net.addr = (struct addr){{0xfe, 0x80}};
			break;
		default:
			c.search = &bad_search[i - 11];
			c.search_n = 1;
			break;
		}
		ck_assert_msg(dhcpd_new(&server, &c) == -EINVAL, "case %u", i);
		ck_assert_ptr_null(server);
	}
	c = ok; /* .1 and .2, both taken: nothing to give */
	c.net.prefix_len = 30;
	c.server = addr_v4(NET + 1);
	c.dns = c.pool_first = addr_v4(NET + 2);
	ck_assert_int_eq(dhcpd_new(&server, &c), -EINVAL);
	dhcpd_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dhcpd");
	TCase *tc = tcase_create("exchanges");
	tcase_add_checked_fixture(tc, open_bed, close_bed);
	tcase_add_test(tc, test_first_client_gets_the_first_address_for_a_day);
	tcase_add_test(tc, test_every_boot_of_one_mac_gets_the_same_address_at_once);
	tcase_add_test(tc, test_boot_stages_with_different_client_ids_share_the_address);
	tcase_add_test(tc, test_a_wish_in_discover_is_granted_when_the_address_is_free);
	tcase_add_test(tc, test_renewal_extends_the_lease_and_is_unicast);
	tcase_add_test(tc, test_renewal_of_a_foreign_or_another_ones_address_is_refused);
	tcase_add_test(tc, test_init_reboot_with_the_own_address_is_acknowledged);
	tcase_add_test(tc, test_init_reboot_with_an_address_it_cannot_have_is_refused_at_once);
	tcase_add_test(tc, test_guests_keep_their_addresses_over_a_restart_of_the_server);
	tcase_add_test(tc, test_a_renewal_beats_an_offer_made_to_another_after_a_restart);
	tcase_add_test(tc, test_request_for_another_server_frees_our_offer_in_silence);
	tcase_add_test(tc, test_selecting_with_the_address_in_ciaddr_is_understood);
	tcase_add_test(tc, test_selecting_goes_by_the_requested_address_not_by_ciaddr);
	tcase_add_test(tc, test_an_offer_says_nothing_in_ciaddr);
	tcase_add_test(tc, test_who_asks_again_keeps_its_offer_longest);
	tcase_add_test(tc, test_request_for_no_address_at_all_is_malformed);
	tcase_add_test(tc, test_release_ends_the_lease_only_for_its_owner);
	tcase_add_test(tc, test_a_declined_address_rests_for_ten_minutes);
	tcase_add_test(tc, test_inform_gets_options_and_no_lease);
	tcase_add_test(tc, test_inform_from_outside_the_net_is_ignored);
	tcase_add_test(tc, test_inform_without_ciaddr_is_answered_to_its_source);
	tcase_add_test(tc, test_broadcast_flag_is_honoured_and_otherwise_replies_are_unicast);
	tcase_add_test(tc, test_messages_that_are_not_for_us_are_ignored);
	tcase_add_test(tc, test_bootp_client_gets_an_address_for_ever_and_no_dhcp_options);
	tcase_add_test(tc, test_bootp_without_vendor_data_is_answered);
	tcase_add_test(tc, test_bad_configurations_are_refused);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
