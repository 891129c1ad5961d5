/* The pool and the lease table at their limits. */
#include "dhcp/lease.h"
#include "tests/support/dhcp_bed.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NET 0x0a000000u
#define LEASE_S 3600u

static struct lease_table *table;

/* A /28: hosts 1..14, first is 5, 2 and 3 are never given out. */
static struct lease_table_config small(void)
{
	return (struct lease_table_config){.net = NET,
					   .hosts_n = 14,
					   .first = 5,
					   .reserved = {2, 3},
					   .leases_max = 1000,
					   .lease_s = LEASE_S};
}

static void open_small(void)
{
	struct lease_table_config config = small();
	ck_assert_int_eq(lease_table_new(&table, &config), 0);
}

static void close_table(void)
{
	lease_table_free(table);
	table = NULL;
}

static struct lease *take_on(uint32_t port, uint32_t n, uint64_t now_ms)
{
	struct lease_client client = {dhcp_client_mac(n), port};
	return lease_take(table, &client, now_ms);
}

static struct lease *take(uint32_t n, uint64_t now_ms)
{
	return take_on(0, n, now_ms);
}

static struct lease *of(uint32_t n)
{
	struct mac mac = dhcp_client_mac(n);
	return lease_by_mac(table, &mac);
}

static void activate(struct lease *lease, const char *name, bool bootp, uint64_t now_ms)
{
	struct lease_ack ack = {.name = name, .bootp = bootp};
	lease_activate(table, lease, &ack, now_ms);
}

START_TEST(test_pool_runs_to_the_last_host_and_wraps_to_the_first)
{
	static const uint32_t order[] = {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 1, 4};
	for (uint32_t i = 0; i < 12; i++) {
		struct lease *lease = take(i, 0);
		ck_assert_ptr_nonnull(lease);
		ck_assert_uint_eq(lease->addr, NET + order[i]);
		ck_assert_uint_eq(addr_to_v4(&lease->pub.addr), NET + order[i]);
		ck_assert_ptr_eq(lease_by_addr(table, NET + order[i]), lease);
		ck_assert_ptr_eq(of(i), lease);
		activate(lease, "", false, 0);
	}
	ck_assert_ptr_null(take(12, 0));
	ck_assert_ptr_null(of(12));
}
END_TEST

START_TEST(test_first_and_last_host_may_be_the_first_of_the_pool)
{
	for (unsigned first = 1; first <= 14; first += 13) {
		struct lease_table_config config = small();
		config.first = first;
		close_table();
		ck_assert_int_eq(lease_table_new(&table, &config), 0);
		ck_assert_uint_eq(take(1, 0)->addr, NET + first);
		ck_assert_uint_eq(take(2, 0)->addr, first == 1 ? NET + 4 : NET + 1);
	}
}
END_TEST

START_TEST(test_only_free_addresses_of_the_pool_can_be_asked_for)
{
	static const uint32_t no[] = {0,        NET,      NET + 2, NET + 3,
				      NET + 15, NET + 16, NET - 1, UINT32_MAX};
	struct lease_client mac = {dhcp_client_mac(1), 0}, other = {dhcp_client_mac(2), 0};
	for (unsigned i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		ck_assert_ptr_null(lease_take_addr(table, &mac, no[i], 0));
	ck_assert_uint_eq(lease_take_addr(table, &mac, NET + 1, 0)->addr, NET + 1);
	ck_assert_ptr_null(lease_take_addr(table, &other, NET + 1, 0));
}
END_TEST

START_TEST(test_full_pool_reuses_stale_offers_then_old_leases_then_new_offers)
{
	for (uint32_t i = 0; i < 12; i++)
		take(i, i);
	for (uint32_t i = 4; i < 12; i++)
		activate(of(i), "", false, 100 + i);
	lease_release(table, of(7), 200);
	lease_release(table, of(5), 300);
	take(1000, 61000); /* offers 0..3 are stale by then */
	ck_assert_ptr_null(of(0));
	ck_assert_uint_eq(of(1000)->addr, NET + 5);
	lease_touch(table, of(1), 0, 61000);
	take(1001, 61000);
	ck_assert_ptr_null(of(2));
	ck_assert_ptr_nonnull(of(1));
	take(1002, 61000);
	ck_assert_ptr_null(of(3));
	take(1003, 61000); /* no stale offer left: the longest released lease */
	ck_assert_ptr_null(of(7));
	take(1004, 61000);
	ck_assert_ptr_null(of(5));
	take(1005, 61000); /* then the oldest offer */
	ck_assert_ptr_null(of(1000));
	for (uint32_t n = 1001; n <= 1005; n++)
		activate(of(n), "", false, 61000);
	activate(of(1), "", false, 61000);
	ck_assert_ptr_null(take(2000, 61000)); /* all in use */
	for (uint32_t n = 1001; n <= 1005; n++)
		ck_assert_ptr_nonnull(of(n));
}
END_TEST

START_TEST(test_an_expired_lease_is_kept_until_its_address_is_needed)
{
	for (uint32_t i = 0; i < 12; i++)
		activate(take(i, i), "", false, i);
	lease_table_tick(table, LEASE_S * 1000 + 1); /* 0 and 1 are over */
	ck_assert_int_eq(of(1)->state, LEASE_IDLE);
	ck_assert_int_eq(of(2)->state, LEASE_ACTIVE);
	ck_assert(!of(0)->pub.active);
	uint32_t addr = of(0)->addr;
	ck_assert_uint_eq(take(100, LEASE_S * 1000 + 1)->addr, addr);
	ck_assert_ptr_null(of(0));
	ck_assert_ptr_nonnull(of(1));
}
END_TEST

START_TEST(test_a_silent_bootp_client_gives_way_only_after_a_lease_time)
{
	for (uint32_t i = 0; i < 12; i++)
		activate(take(i, 0), "", i == 3, 0);
	for (uint32_t i = 0; i < 12; i++)
		if (i != 3)
			activate(of(i), "", false, 2000);
	lease_table_tick(table, LEASE_S * 1000 - 1);
	ck_assert_ptr_null(take(100, LEASE_S * 1000 - 1));
	ck_assert_ptr_nonnull(take(100, LEASE_S * 1000));
	ck_assert_ptr_null(of(3));
}
END_TEST

START_TEST(test_declined_addresses_are_the_last_resort_and_come_back)
{
	for (uint32_t i = 0; i < 12; i++)
		activate(take(i, 0), "", false, 0);
	uint32_t addr = of(4)->addr;
	lease_decline(table, of(4), 1000);
	ck_assert_ptr_null(of(4));
	ck_assert_int_eq(lease_by_addr(table, addr)->state, LEASE_BAD);
	lease_release(table, of(6), 1000);
	take(100, 1000);
	ck_assert_ptr_null(of(6));
	activate(of(100), "", false, 1000);
	ck_assert_uint_eq(take(101, 1000)->addr, addr);
	lease_decline(table, of(101), 2000);
	lease_table_tick(table, 2000 + LEASE_BAD_MS - 1);
	ck_assert_ptr_nonnull(lease_by_addr(table, addr));
	lease_table_tick(table, 2000 + LEASE_BAD_MS);
	ck_assert_ptr_null(lease_by_addr(table, addr));
}
END_TEST

START_TEST(test_a_table_smaller_than_the_pool_serves_every_new_client)
{
	struct lease_table_config config = small();
	config.leases_max = 3;
	close_table();
	ck_assert_int_eq(lease_table_new(&table, &config), 0);
	for (uint32_t i = 0; i < 100; i++) {
		struct lease *lease = take(i, i);
		ck_assert_ptr_nonnull(lease);
		activate(lease, "", false, i);
		lease_release(table, lease, i);
	}
	unsigned known_n = 0;
	for (uint32_t i = 0; i < 100; i++)
		known_n += of(i) != NULL;
	ck_assert_uint_eq(known_n, 3);
	ck_assert_ptr_nonnull(of(99));
}
END_TEST

START_TEST(test_walk_shows_acknowledged_leases_alone)
{
	activate(take(1, 0), "", false, 0);
	take(2, 0);
	activate(take(3, 0), "", true, 0);
	activate(take(4, 0), "", false, 0);
	activate(take(5, 0), "", false, 0);
	lease_release(table, of(4), 0);
	lease_decline(table, of(5), 0);
	uint32_t cursor = 0, n = 0;
	for (const struct lease *lease; (lease = lease_next(table, &cursor)) != NULL; n++)
		ck_assert(lease == of(1) || lease == of(3) || lease == of(4));
	ck_assert_uint_eq(n, 3);
	lease_forget(table, of(2));
	ck_assert_ptr_null(of(2));
}
END_TEST

START_TEST(test_leases_for_ever_do_not_expire)
{
	struct lease_table_config config = small();
	config.lease_s = UINT32_MAX;
	close_table();
	ck_assert_int_eq(lease_table_new(&table, &config), 0);
	activate(take(1, 0), "vm", false, 0);
	lease_table_tick(table, UINT64_MAX - 1);
	ck_assert_ptr_eq(lease_by_name(table, "vm", UINT64_MAX - 1), of(1));
}
END_TEST

/* ---- ports */

static struct lease *boot_on(uint32_t port, uint32_t n, const char *name, uint64_t now_ms)
{
	struct lease_ack ack = {.port = port, .name = name};
	struct lease *lease = of(n);
	if (!lease)
		lease = take_on(port, n, now_ms);
	if (lease)
		lease_activate(table, lease, &ack, now_ms);
	return lease;
}

START_TEST(test_a_port_gets_four_fifths_and_the_others_the_rest)
{
	for (uint32_t i = 0; i < 10; i++) /* 4 of 5, of 12 addresses */
		ck_assert_ptr_nonnull(boot_on(1, i, "", 0));
	ck_assert_ptr_null(take_on(1, 10, 0));
	ck_assert_ptr_nonnull(boot_on(2, 20, "", 0));
	ck_assert_ptr_nonnull(boot_on(3, 30, "", 0));
	ck_assert_ptr_null(take_on(4, 40, 0)); /* all in use now */
	lease_port_gone(table, 1, 0);
	ck_assert_ptr_nonnull(boot_on(4, 40, "", 0)); /* the guests there have gone */
	ck_assert_ptr_null(of(0));
	ck_assert_ptr_nonnull(of(20));
}
END_TEST

START_TEST(test_a_port_that_has_its_share_gives_up_its_own_offers)
{
	for (uint32_t i = 0; i < 10; i++)
		ck_assert_ptr_nonnull(take_on(1, i, i));
	uint32_t addr = of(0)->addr;
	ck_assert_uint_eq(take_on(1, 100, 20)->addr, addr);
	ck_assert_ptr_null(of(0));
	ck_assert_ptr_nonnull(of(1));
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert_ptr_nonnull(take_on(1, 1000 + i, 30));
	ck_assert_ptr_nonnull(take_on(2, 50, 30));
}
END_TEST

START_TEST(test_declining_everything_leaves_the_others_their_addresses)
{
	for (uint32_t i = 0; i < 1000; i++) {
		struct lease *lease = boot_on(1, i, "", i);
		if (lease)
			lease_decline(table, lease, i);
	}
	ck_assert_ptr_nonnull(boot_on(2, 2000, "", 2000));
	ck_assert_ptr_nonnull(boot_on(3, 2001, "", 2000));
}
END_TEST

START_TEST(test_leases_of_guests_that_have_gone_are_their_own_until_needed)
{
	struct lease *lease = boot_on(1, 1, "vm", 0);
	uint32_t addr = lease->addr;
	lease_port_gone(table, 1, 10);
	ck_assert_int_eq(of(1)->state, LEASE_AWAY);
	ck_assert_ptr_eq(lease_by_name(table, "vm", 20), of(1));
	ck_assert_uint_ne(take_on(2, 2, 20)->addr, addr);
	ck_assert_uint_eq(boot_on(3, 1, "vm", 30)->addr, addr);
	ck_assert_int_eq(of(1)->state, LEASE_ACTIVE);
	lease_port_gone(table, 3, 40);
	ck_assert_ptr_null(lease_by_name(table, "vm", 30 + LEASE_S * 1000)); /* ends as promised */
}
END_TEST

static bool is_seen(void *ctx, const struct addr *addr)
{
	return addr_to_v4(addr) == *(uint32_t *)ctx;
}

START_TEST(test_an_address_that_is_seen_on_the_net_is_not_taken_from_its_guest)
{
	struct lease_table_config config = small();
	uint32_t seen = NET + 5; /* the first of the pool */
	config.is_seen = is_seen;
	config.ctx = &seen;
	close_table();
	ck_assert_int_eq(lease_table_new(&table, &config), 0);
	for (uint32_t i = 0; i < 12; i++)
		boot_on(i + 1, i, "", i);
	for (uint32_t i = 0; i < 12; i++)
		lease_port_gone(table, i + 1, 100 + i);
	for (uint32_t i = 0; i < 11; i++)
		ck_assert_ptr_nonnull(boot_on(101 + i, 100 + i, "", 200));
	ck_assert_ptr_nonnull(of(0));
	ck_assert_uint_eq(of(0)->addr, seen);
}
END_TEST

START_TEST(test_of_two_guests_of_one_name_the_one_that_is_there_keeps_it)
{
	boot_on(1, 1, "web", 0);
	boot_on(2, 2, "web", 0);
	ck_assert_ptr_eq(lease_by_name(table, "web", 1), of(1));
	boot_on(1, 3, "web", 0); /* from the first one's port: it was set up anew */
	ck_assert_ptr_eq(lease_by_name(table, "web", 1), of(3));
	lease_port_gone(table, 1, 2);
	ck_assert_ptr_eq(lease_by_name(table, "web", 2), of(3));
	boot_on(2, 2, "web", 3);
	ck_assert_ptr_eq(lease_by_name(table, "web", 3), of(2));
}
END_TEST

START_TEST(test_fixed_leases_are_nobody_elses)
{
	struct mac mac = dhcp_client_mac(1);
	ck_assert_int_eq(lease_fix(table, &mac, NET + 5, "db"), 0);
	ck_assert_ptr_eq(lease_by_name(table, "db", 0), of(1));
	for (uint32_t i = 0; i < 11; i++) {
		ck_assert_ptr_nonnull(boot_on(0, 100 + i, "db", 0));
		ck_assert_uint_ne(of(100 + i)->addr, NET + 5);
	}
	ck_assert_ptr_null(take(200, 0));
	ck_assert_ptr_eq(lease_by_name(table, "db", 0), of(1));
	boot_on(7, 1, "other", 0);
	ck_assert_str_eq(of(1)->pub.hostname, "db");
	lease_table_tick(table, LEASE_S * 1000);
	lease_decline(table, of(1), LEASE_S * 1000);
	lease_port_gone(table, 7, LEASE_S * 1000);
	ck_assert_uint_eq(of(1)->addr, NET + 5);
	ck_assert_int_eq(of(1)->state, LEASE_KEPT);
}
END_TEST

START_TEST(test_fixed_leases_that_meet_are_refused)
{
	struct mac first = dhcp_client_mac(1), second = dhcp_client_mac(2);
	ck_assert_int_eq(lease_fix(table, &first, NET + 5, "db"), 0);
	ck_assert_int_eq(lease_fix(table, &first, NET + 6, ""), -EEXIST);
	ck_assert_int_eq(lease_fix(table, &second, NET + 5, ""), -EEXIST);
	ck_assert_int_eq(lease_fix(table, &second, NET + 6, "db"), -EEXIST);
	ck_assert_int_eq(lease_fix(table, &second, NET + 2, ""), -EEXIST);
	ck_assert_int_eq(lease_fix(table, &second, NET + 15, ""), -EINVAL);
	ck_assert_int_eq(lease_fix(table, &second, NET + 14, ""), 0);
}
END_TEST

START_TEST(test_bad_tables_are_refused)
{
	for (unsigned i = 0; i < 5; i++) {
		struct lease_table_config config = small();
		struct lease_table *none = NULL;
		if (i == 0)
			config.first = 0;
		if (i == 1)
			config.first = 15;
		if (i == 2)
			config.leases_max = 0;
		if (i == 3)
			config.hosts_n = 0;
		if (i == 4) {
			config.hosts_n = 2;
			config.first = 1;
			config.reserved[0] = 1;
			config.reserved[1] = 2;
		}
		ck_assert_int_eq(lease_table_new(&none, &config), -EINVAL);
		ck_assert_ptr_null(none);
	}
	lease_table_free(NULL);
}
END_TEST

/* ---- through the server */

START_TEST(test_300_clients_in_a_slash_24_and_none_gets_anothers_address)
{
	struct dhcp_bed bed;
	uint8_t seen[256] = {0};
	dhcp_bed_open(&bed, NULL);
	for (uint32_t n = 0; n < 252; n++) { /* 254 hosts less server and dns */
		uint32_t addr = dhcp_bed_boot(&bed, n);
		ck_assert_uint_eq(addr & 0xffffff00, DHCP_BED_NET);
		ck_assert_uint_eq(seen[addr & 0xff]++, 0);
	}
	static const uint8_t never[] = {0, 2, 3, 255};
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(seen[never[i]], 0);
	for (uint32_t n = 252; n < 300; n++)
		ck_assert_int_eq(dhcp_bed_discover(&bed, n, 0), DHCPD_POOL_EMPTY);
	ck_assert_uint_eq(wire_len(&bed.reply.bytes), 0);
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 0), DHCP_BED_FIRST); /* old ones are served */
	bed.now_ms += DHCP_BED_LEASE_MS;
	for (uint32_t n = 252; n < 300; n++)
		ck_assert_uint_ne(dhcp_bed_boot(&bed, n), 0);
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_10000_clients_in_a_slash_16_are_all_served_and_found)
{
	struct dhcpd_config config = dhcp_bed_config();
	struct dhcp_bed bed;
	static uint32_t addrs[10000];
	config.net.prefix_len = 16;
	config.hash_key = (struct siphash_key){{1, 2}};
	dhcp_bed_open(&bed, &config);
	for (uint32_t i = 0; i < 10000; i++) {
		char name[24];
		snprintf(name, sizeof(name), "vm%u", (unsigned)i);
		addrs[i] = dhcp_bed_boot_named(&bed, i * 2654435761u, name);
		ck_assert_uint_ne(addrs[i], 0);
	}
	for (uint32_t i = 0; i < 10000; i++) {
		char name[24];
		struct mac mac = dhcp_client_mac(i * 2654435761u);
		snprintf(name, sizeof(name), "vm%u", (unsigned)i);
		const struct dhcpd_lease *lease = dhcpd_lease_by_name(bed.server, name, bed.now_ms);
		ck_assert_ptr_nonnull(lease);
		ck_assert_uint_eq(addr_to_v4(&lease->addr), addrs[i]);
		ck_assert(mac_eq(&lease->mac, &mac));
		ck_assert_ptr_eq(dhcpd_lease_by_addr(bed.server, &lease->addr, bed.now_ms), lease);
	}
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_a_flood_of_discovers_costs_no_running_or_known_guest_its_address)
{
	struct dhcp_bed bed;
	dhcp_bed_open(&bed, NULL);
	uint32_t running = dhcp_bed_boot(&bed, 1);
	for (uint32_t n = 0; n < 1000000; n++) {
		bed.now_ms += n % 10 == 0;
		enum dhcpd_verdict verdict = dhcp_bed_discover(&bed, 1000 + n, 0);
		ck_assert(verdict == DHCPD_OFFERED);
		ck_assert_uint_ne(dhcp_reply_yiaddr(&bed.reply.bytes), running);
	}
	ck_assert_int_eq(dhcp_bed_renew(&bed, 1, running), DHCPD_ACKED);
	ck_assert_uint_ne(dhcp_bed_boot(&bed, 2), 0);
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_an_offer_lost_in_a_flood_is_honoured_all_the_same)
{
	struct dhcp_bed bed;
	dhcp_bed_open(&bed, NULL);
	ck_assert_int_eq(dhcp_bed_discover(&bed, 1, 0), DHCPD_OFFERED);
	uint32_t addr = dhcp_reply_yiaddr(&bed.reply.bytes);
	for (uint32_t n = 0; n < 1000; n++)
		dhcp_bed_discover(&bed, 1000 + n, 0);
	ck_assert_int_eq(dhcp_bed_select(&bed, 1, addr), DHCPD_ACKED);
	ck_assert_uint_eq(dhcp_reply_yiaddr(&bed.reply.bytes), addr);
	dhcp_bed_close(&bed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lease");
	TCase *tc = tcase_create("table");
	tcase_add_checked_fixture(tc, open_small, close_table);
	tcase_add_test(tc, test_pool_runs_to_the_last_host_and_wraps_to_the_first);
	tcase_add_test(tc, test_first_and_last_host_may_be_the_first_of_the_pool);
	tcase_add_test(tc, test_only_free_addresses_of_the_pool_can_be_asked_for);
	tcase_add_test(tc, test_full_pool_reuses_stale_offers_then_old_leases_then_new_offers);
	tcase_add_test(tc, test_an_expired_lease_is_kept_until_its_address_is_needed);
	tcase_add_test(tc, test_a_silent_bootp_client_gives_way_only_after_a_lease_time);
	tcase_add_test(tc, test_declined_addresses_are_the_last_resort_and_come_back);
	tcase_add_test(tc, test_a_table_smaller_than_the_pool_serves_every_new_client);
	tcase_add_test(tc, test_walk_shows_acknowledged_leases_alone);
	tcase_add_test(tc, test_leases_for_ever_do_not_expire);
	tcase_add_test(tc, test_bad_tables_are_refused);
	tcase_add_test(tc, test_a_port_gets_four_fifths_and_the_others_the_rest);
	tcase_add_test(tc, test_a_port_that_has_its_share_gives_up_its_own_offers);
	tcase_add_test(tc, test_declining_everything_leaves_the_others_their_addresses);
	tcase_add_test(tc, test_leases_of_guests_that_have_gone_are_their_own_until_needed);
	tcase_add_test(tc, test_an_address_that_is_seen_on_the_net_is_not_taken_from_its_guest);
	tcase_add_test(tc, test_of_two_guests_of_one_name_the_one_that_is_there_keeps_it);
	tcase_add_test(tc, test_fixed_leases_are_nobody_elses);
	tcase_add_test(tc, test_fixed_leases_that_meet_are_refused);
	suite_add_tcase(suite, tc);
	TCase *many = tcase_create("many clients");
	tcase_set_timeout(many, 300);
	tcase_add_test(many, test_300_clients_in_a_slash_24_and_none_gets_anothers_address);
	tcase_add_test(many, test_10000_clients_in_a_slash_16_are_all_served_and_found);
	tcase_add_test(many, test_a_flood_of_discovers_costs_no_running_or_known_guest_its_address);
	tcase_add_test(many, test_an_offer_lost_in_a_flood_is_honoured_all_the_same);
	suite_add_tcase(suite, many);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
