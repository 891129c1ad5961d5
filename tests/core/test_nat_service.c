/* Services at addresses of their own: what guestfwd= and smb= stand on. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#define AT "10.0.2.100"

static int add_at(struct bed *bed, const char *addr, uint16_t port, unsigned service)
{
	struct endpoint at = bed_endpoint(addr, port);

	return nat_tcp_service_add_at(bed->nat, &at, service);
}

/* The guest asks for the address first. */
static struct sim_tcp *connect_to(struct bed *bed, uint16_t from, const char *addr, uint16_t port)
{
	struct addr at = bed_addr(addr);

	guestsim_arp_ask(bed->guests[0].sim, &at);
	bed_settle(bed);
	return bed_connect(bed, 0, from, addr, port);
}

static unsigned service_dialled(struct bed *bed, unsigned n)
{
	return fake_host_handle(&bed->host, fake_host_nth(&bed->host, FAKE_TCP, n))->service_number;
}

START_TEST(test_two_addresses_with_one_port_are_two_services)
{
	struct bed bed;

	bed_simple(&bed);
	ck_assert_int_eq(add_at(&bed, AT, 80, 5), 0);
	ck_assert_int_eq(add_at(&bed, "10.0.2.101", 80, 6), 0);
	ck_assert_int_eq(connect_to(&bed, 40000, AT, 80)->state, SIM_OPEN);
	ck_assert_int_eq(connect_to(&bed, 40001, "10.0.2.101", 80)->state, SIM_OPEN);
	ck_assert_uint_eq(bed.host.count.service_dials, 2);
	ck_assert_uint_eq(service_dialled(&bed, 0), 5);
	ck_assert_uint_eq(service_dialled(&bed, 1), 6);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_other_ports_of_a_service_address_are_closed_and_lead_nowhere)
{
	struct bed bed;

	bed_simple(&bed);
	ck_assert_int_eq(add_at(&bed, AT, 80, 5), 0);
	ck_assert_int_eq(nat_tcp_service_add(bed.nat, 81, false, 7), 0);
	ck_assert_int_eq(connect_to(&bed, 40000, AT, 22)->state, SIM_RESET);
	ck_assert_int_eq(connect_to(&bed, 40001, AT, 81)->state, SIM_RESET);
	ck_assert_uint_eq(bed.host.count.dials + bed.host.count.service_dials, 0);
	ck_assert_int_eq(connect_to(&bed, 40002, "10.0.2.2", 81)->state, SIM_OPEN);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_gateway_answers_arp_and_ping_for_a_service_address)
{
	struct addr at = bed_addr(AT);
	struct guestsim_icmp *icmp;
	struct guestsim *sim;
	struct bed bed;
	struct mac mac;

	sim = bed_simple(&bed);
	ck_assert_int_eq(add_at(&bed, AT, 80, 5), 0);
	guestsim_arp_ask(sim, &at);
	bed_settle(&bed);
	ck_assert(guestsim_neighbour(sim, &at, &mac));
	ck_assert(mac_eq(&mac, &bed.config.mac));
	guestsim_ping(sim, &at, 9, frames_bytes(NULL, 0));
	bed_settle(&bed);
	icmp = guestsim_icmp_pop(sim);
	ck_assert_ptr_nonnull(icmp);
	ck_assert_uint_eq(icmp->type, bed_echo_type(true));
	free(icmp);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_restricted_guests_reach_a_service_address)
{
	struct bed bed;

	bed_init(&bed);
	bed.config.restrict_guests = true;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	ck_assert_int_eq(add_at(&bed, AT, 80, 5), 0);
	ck_assert_int_eq(connect_to(&bed, 40000, AT, 80)->state, SIM_OPEN);
	ck_assert_int_ne(connect_to(&bed, 40001, AT, 81)->state, SIM_OPEN);
	ck_assert_uint_eq(bed.host.count.dials, 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_refused_service_is_a_reset)
{
	struct bed bed;

	bed_simple(&bed);
	ck_assert_int_eq(add_at(&bed, AT, 80, 5), 0);
	bed.host.connect_result = -ECONNREFUSED;
	ck_assert_int_eq(connect_to(&bed, 40000, AT, 80)->state, SIM_RESET);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_places_that_no_service_can_have_are_refused)
{
	struct bed bed;

	bed_simple(&bed);
	ck_assert_int_eq(add_at(&bed, "10.0.2.2", 80, 5), -EINVAL);
	ck_assert_int_eq(add_at(&bed, "10.0.2.3", 80, 5), -EINVAL);
	ck_assert_int_eq(add_at(&bed, "127.0.0.1", 80, 5), -EINVAL);
	ck_assert_int_eq(add_at(&bed, "224.0.0.1", 80, 5), -EINVAL);
	ck_assert_int_eq(add_at(&bed, AT, 0, 5), -EINVAL);
	ck_assert_int_eq(add_at(&bed, AT, 80, 5), 0);
	ck_assert_int_eq(add_at(&bed, AT, 80, 6), -EEXIST);
	ck_assert_int_eq(add_at(&bed, AT, 81, 6), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_table_of_services_is_bounded)
{
	unsigned added = 0;
	struct bed bed;
	int result = 0;

	bed_simple(&bed);
	while (result == 0 && added < 1000)
		result = add_at(&bed, AT, (uint16_t)(1000 + added++), 5);
	ck_assert_int_eq(result, -ENOSPC);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return NATBED_SUITE(
	    "nat_service", test_two_addresses_with_one_port_are_two_services,
	    test_other_ports_of_a_service_address_are_closed_and_lead_nowhere,
	    test_gateway_answers_arp_and_ping_for_a_service_address,
	    test_restricted_guests_reach_a_service_address, test_refused_service_is_a_reset,
	    test_places_that_no_service_can_have_are_refused, test_table_of_services_is_bounded);
}
