#include "stack/app/guests.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct port ports[3] = {
    {.id = 1, .name = "port1"}, {.id = 2, .name = "port2"}, {.id = 3, .name = "port3"}};

static struct addr A(const char *text) {
	struct addr addr;

	ck_assert_int_eq(addr_parse(text, &addr), 0);
	return addr;
}

static struct mac
M(uint8_t last) {
	return (struct mac){{0x52, 0x54, 0, 0, 0, last}};
}

static bool
lease_by_name(void *ctx, const char *name, struct addr *ret)
{
	(void)ctx;
	if (strcmp(name, "old") != 0)
		return false;
	*ret = A("10.0.2.77");
	return true;
}

static struct guests *new_guests(void)
{
	struct guests_config config = {.ports_max = 3, .lease_by_name = lease_by_name};
	struct guests *guests;

	ck_assert_int_eq(guests_new(&guests, &config), 0);
	return guests;
}

static void saw(struct guests *guests, unsigned port, const char *addr, uint8_t mac)
{
	struct guest_addr seen = {A(addr), M(mac), GUEST_ADDR_SEEN, 0};

	guests_saw_mac(guests, &ports[port], &seen.mac);
	guests_saw_addr(guests, &ports[port], &seen);
}

static void leased(struct guests *guests, unsigned port, const char *addr, uint8_t mac)
{
	struct guest_addr seen = {A(addr), M(mac), GUEST_ADDR_DHCP, 0};

	guests_saw_mac(guests, &ports[port], &seen.mac);
	guests_saw_addr(guests, &ports[port], &seen);
}

/* "ADDR", or the error. */
static const char *find(const struct guests *guests, const char *spec)
{
	static char text[GUESTS_ERROR_MAX];
	struct guests_found found;

	if (guests_find(guests, spec, &found, text) == 0)
		addr_format(&found.addr, text);
	return text;
}

START_TEST(test_guest_is_found_by_name_card_address_and_port)
{
	struct guests *guests = new_guests();

	guests_port_add(guests, &ports[0], 5);
	guests_port_add(guests, &ports[1], 6);
	leased(guests, 0, "10.0.2.15", 1);
	guests_named(guests, &ports[0], "Web");
	saw(guests, 1, "10.0.2.9", 2);
	ck_assert_str_eq(find(guests, "web"), "10.0.2.15");
	ck_assert_str_eq(find(guests, "WEB"), "10.0.2.15");
	ck_assert_str_eq(find(guests, "web.lwnat.internal"), "10.0.2.15");
	ck_assert_str_eq(find(guests, "52:54:00:00:00:01"), "10.0.2.15");
	ck_assert_str_eq(find(guests, "@52:54:00:00:00:02"), "10.0.2.9");
	ck_assert_str_eq(find(guests, "port2"), "10.0.2.9");
	ck_assert_str_eq(find(guests, "@port1"), "10.0.2.15");
	ck_assert_str_eq(find(guests, "10.0.2.200"), "10.0.2.200");
	ck_assert_str_eq(find(guests, "[fec0::15]"), "fec0::15");
	guests_free(guests);
}
END_TEST

START_TEST(test_errors_say_who_is_there)
{
	struct guests *guests = new_guests();

	ck_assert_str_eq(find(guests, "web"), "no guest called web: none is attached");
	ck_assert_str_eq(find(guests, ""), "no guest: none is attached");
	guests_port_add(guests, &ports[0], 5);
	ck_assert_str_eq(find(guests, ""), "guest port1 on port1 has no address yet");
	ck_assert_str_eq(find(guests, "@port1"), "guest port1 on port1 has no address yet");
	leased(guests, 0, "10.0.2.15", 1);
	guests_named(guests, &ports[0], "db");
	ck_assert_str_eq(find(guests, ""), "10.0.2.15");
	ck_assert_str_eq(find(guests, "web"),
			 "no guest called web: there is db on port1 (10.0.2.15)");
	ck_assert_str_eq(find(guests, "@52:54:00:00:00:09"),
			 "no guest with MAC address 52:54:00:00:00:09: there is db on port1 "
			 "(10.0.2.15)");
	guests_port_add(guests, &ports[1], 6);
	ck_assert_str_eq(find(guests, ""),
			 "which guest: there is db on port1 (10.0.2.15), port2 on "
			 "port2 (no address yet)");
	ck_assert_ptr_eq(strstr(find(guests, "a b"), "'a b' is no guest"), find(guests, "a b"));
	ck_assert_ptr_null(strchr(find(guests, "a\nb"), '\n'));
	guests_free(guests);
}
END_TEST

START_TEST(test_new_lease_takes_the_place_of_the_old_one)
{
	struct guests *guests = new_guests();
	uint64_t before;

	guests_port_add(guests, &ports[0], 5);
	leased(guests, 0, "10.0.2.15", 1);
	guests_named(guests, &ports[0], "web");
	before = guests_generation(guests);
	leased(guests, 0, "10.0.2.15", 1);
	saw(guests, 0, "10.0.2.15", 1);
	ck_assert_uint_eq(guests_generation(guests), before);
	leased(guests, 0, "10.0.2.99", 1);
	ck_assert_uint_ne(guests_generation(guests), before);
	ck_assert_str_eq(find(guests, "web"), "10.0.2.99");
	ck_assert_uint_eq(guests_next(guests, NULL)->addrs_n, 1);
	guests_free(guests);
}
END_TEST

START_TEST(test_address_and_name_move_with_their_guest)
{
	struct guests *guests = new_guests();

	guests_port_add(guests, &ports[0], 5);
	guests_port_add(guests, &ports[1], 6);
	leased(guests, 0, "10.0.2.15", 1);
	guests_named(guests, &ports[0], "web");
	leased(guests, 1, "10.0.2.15", 1);
	guests_named(guests, &ports[1], "web");
	ck_assert_uint_eq(guests_by_port(guests, &ports[0])->addrs_n, 0);
	ck_assert_str_eq(guests_by_port(guests, &ports[0])->name, "");
	ck_assert_str_eq(find(guests, "web"), "10.0.2.15");
	guests_port_remove(guests, &ports[1]);
	ck_assert_ptr_eq(strstr(find(guests, "web"), "no guest called web"), find(guests, "web"));
	guests_free(guests);
}
END_TEST

START_TEST(test_leased_goes_before_seen_and_ipv4_before_ipv6)
{
	struct guests *guests = new_guests();
	const struct guest_record *guest;
	struct addr addr;

	guests_port_add(guests, &ports[0], 5);
	guest = guests_next(guests, NULL);
	saw(guests, 0, "fe80::1", 1);
	addr = guest_best_addr(guest);
	ck_assert(addr_is_link_local(&addr));
	saw(guests, 0, "fec0::15", 1);
	ck_assert_str_eq(find(guests, "@port1"), "fec0::15");
	saw(guests, 0, "10.0.2.3", 1);
	ck_assert_str_eq(find(guests, "@port1"), "10.0.2.3");
	leased(guests, 0, "10.0.2.20", 1);
	saw(guests, 0, "10.0.2.4", 1);
	ck_assert_str_eq(find(guests, "@port1"), "10.0.2.20");
	guests_free(guests);
}
END_TEST

START_TEST(test_one_port_with_two_cards_has_each_cards_address)
{
	struct guests *guests = new_guests();

	guests_port_add(guests, &ports[0], 5);
	leased(guests, 0, "10.0.2.15", 1);
	leased(guests, 0, "10.0.2.16", 2);
	ck_assert_str_eq(find(guests, "@52:54:00:00:00:01"), "10.0.2.15");
	ck_assert_str_eq(find(guests, "@52:54:00:00:00:02"), "10.0.2.16");
	guests_free(guests);
}
END_TEST

START_TEST(test_lists_are_bounded_and_keep_the_lease)
{
	struct guests *guests = new_guests();
	const struct guest_record *guest;
	char text[ADDR_TEXT_MAX];

	guests_port_add(guests, &ports[0], 5);
	guest = guests_next(guests, NULL);
	leased(guests, 0, "10.0.2.15", 1);
	for (unsigned i = 0; i < 250; i++) {
		snprintf(text, sizeof(text), "10.0.3.%u", i);
		saw(guests, 0, text, (uint8_t)i);
	}
	ck_assert_uint_eq(guest->addrs_n, GUESTS_ADDRS_MAX);
	ck_assert_uint_eq(guest->macs_n, GUESTS_MACS_MAX);
	ck_assert_uint_gt(guest->macs_more, 200);
	ck_assert_str_eq(find(guests, "@port1"), "10.0.2.15");
	guests_free(guests);
}
END_TEST

START_TEST(test_lease_from_before_counts_while_its_guest_may_be_here)
{
	struct guests *guests = new_guests();

	ck_assert_ptr_nonnull(strstr(find(guests, "old"), "no guest called old"));
	guests_port_add(guests, &ports[0], 5);
	ck_assert_str_eq(find(guests, "old"), "10.0.2.77");
	saw(guests, 0, "10.0.2.15", 1);
	ck_assert_ptr_nonnull(strstr(find(guests, "old"), "no guest called old"));
	saw(guests, 0, "10.0.2.77", 1);
	ck_assert_str_eq(find(guests, "old"), "10.0.2.77");
	guests_free(guests);
}
END_TEST

START_TEST(test_name_stays_with_the_guest_that_dhcp_gives_it_to)
{
	struct guests *guests = new_guests();

	guests_port_add(guests, &ports[0], 5);
	guests_port_add(guests, &ports[1], 6);
	leased(guests, 0, "10.0.2.77", 1);
	guests_named(guests, &ports[0], "old");
	leased(guests, 1, "10.0.2.78", 2);
	guests_named(guests, &ports[1], "old");
	ck_assert_str_eq(find(guests, "old"), "10.0.2.77");
	ck_assert_str_eq(guests_by_port(guests, &ports[0])->name, "old");
	ck_assert_str_eq(guests_by_port(guests, &ports[1])->name, "");
	guests_free(guests);
}
END_TEST

START_TEST(test_ports_that_are_not_attached_are_ignored)
{
	struct guests *guests = new_guests();

	saw(guests, 0, "10.0.2.15", 1);
	guests_named(guests, &ports[0], "web");
	guests_dhcp_asked(guests, &ports[0], 1);
	guests_dhcp_answered(guests, &ports[0], 1);
	guests_mac_clash(guests, &ports[0]);
	guests_port_remove(guests, &ports[0]);
	ck_assert_ptr_null(guests_next(guests, NULL));
	guests_free(guests);
	guests_free(NULL);
}
END_TEST

int main(void)
{
	return SUITE_RUN("guests", test_guest_is_found_by_name_card_address_and_port,
			 test_errors_say_who_is_there,
			 test_new_lease_takes_the_place_of_the_old_one,
			 test_address_and_name_move_with_their_guest,
			 test_leased_goes_before_seen_and_ipv4_before_ipv6,
			 test_one_port_with_two_cards_has_each_cards_address,
			 test_lists_are_bounded_and_keep_the_lease,
			 test_lease_from_before_counts_while_its_guest_may_be_here,
			 test_name_stays_with_the_guest_that_dhcp_gives_it_to,
			 test_ports_that_are_not_attached_are_ignored);
}
