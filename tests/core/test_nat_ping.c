/* ICMP echo: answered by the gateway for its own addresses, through ping handles for all others. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#define AWAY "198.51.100.7"
#define ID_SEQ 0x12340001u

static void ping(struct bed *bed, const char *to, uint32_t id_and_seq, size_t len)
{
	struct addr addr = bed_addr(to);
	uint8_t *bytes = malloc(len + 1);

	pattern_fill(5, 0, bytes, len);
	guestsim_ping(bed->guests[0].sim, &addr, id_and_seq, frames_bytes(bytes, len));
	free(bytes);
	bed_settle(bed);
}

static void check_reply(struct bed *bed, const char *from, uint32_t id_and_seq, size_t len)
{
	struct guestsim_icmp *icmp = guestsim_icmp_pop(bed->guests[0].sim);
	struct addr addr = bed_addr(from);

	ck_assert_msg(icmp, "no reply to a ping of %zu bytes", len);
	ck_assert_uint_eq(icmp->type, bed_echo_type(true));
	ck_assert_uint_eq(icmp->code, 0);
	ck_assert_uint_eq(icmp->rest, id_and_seq);
	ck_assert_uint_eq(icmp->len, len);
	ck_assert(pattern_matches(5, 0, icmp->bytes, len));
	ck_assert(addr_eq(&icmp->from, &addr));
	free(icmp);
}

START_TEST(test_gateway_and_dns_address_answer_by_themselves)
{
	static const size_t lens[] = {0, 1, 56, 1472, 1473, 4000, 65487};
	struct bed bed;

	bed_simple(&bed);
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		ping(&bed, "10.0.2.2", ID_SEQ + i, lens[i]);
		check_reply(&bed, "10.0.2.2", ID_SEQ + i, lens[i]);
		ping(&bed, "10.0.2.3", ID_SEQ + i, lens[i]);
		check_reply(&bed, "10.0.2.3", ID_SEQ + i, lens[i]);
	}
	ck_assert_uint_eq(bed.host.count.ping_opened, 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_outside_ping_keeps_its_identifier)
{
	static const size_t lens[] = {0, 1, 56, 1472, 1473, 4000, 65487};
	struct fake_sent *sent;
	struct bed bed;

	bed_simple(&bed);
	bed.host.ping_echo = true;
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		ping(&bed, AWAY, ID_SEQ + i, lens[i]);
		check_reply(&bed, AWAY, ID_SEQ + i, lens[i]);
		sent = fake_host_sent_pop(&bed.host);
		ck_assert_ptr_nonnull(sent);
		ck_assert_uint_eq(sent->len, 8 + lens[i]);
		ck_assert_uint_eq(sent->bytes[6] << 8 | sent->bytes[7], (1 + i) & 0xffff);
		free(sent);
	}
	ck_assert_uint_eq(bed.host.count.ping_opened, 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_two_pings_at_once_are_kept_apart)
{
	struct bed bed;

	bed_simple(&bed);
	bed.host.ping_echo = true;
	for (uint32_t seq = 1; seq < 20; seq++) {
		struct addr away = bed_addr(AWAY), other = bed_addr("203.0.113.8");

		guestsim_ping(bed.guests[0].sim, &away, 1u << 16 | seq, frames_bytes(NULL, 0));
		guestsim_ping(bed.guests[0].sim, &other, 2u << 16 | seq, frames_bytes(NULL, 0));
		bed_settle(&bed);
		for (unsigned i = 0; i < 2; i++) {
			struct guestsim_icmp *icmp = guestsim_icmp_pop(bed.guests[0].sim);
			ck_assert_ptr_nonnull(icmp);
			ck_assert_uint_eq(icmp->rest & 0xffff, seq);
			ck_assert(addr_eq(&icmp->from, icmp->rest >> 16 == 1 ? &away : &other));
			free(icmp);
		}
	}
	bed_finish(&bed);
}
END_TEST

START_TEST(test_forbidden_ping_is_told_now_and_then)
{
	struct guestsim_icmp *icmp;
	unsigned told = 0;
	struct bed bed;

	bed_simple(&bed);
	bed.host.ping_open_result = -EACCES;
	for (unsigned i = 0; i < 1000; i++)
		ping(&bed, AWAY, ID_SEQ + i, 56);
	while ((icmp = guestsim_icmp_pop(bed.guests[0].sim))) {
		/* RFC 1812 section 5.2.7.1, RFC 4443 section 3.1 */
		bed_check_error(BED_PROHIBITED, icmp->type, icmp->code);
		free(icmp);
		told++;
	}
	ck_assert_uint_ge(told, 1);
	ck_assert_uint_le(told, 100);
	ck_assert_uint_eq(nat_counters(bed.nat)->ping_forbidden, 1000);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	ping(&bed, "10.0.2.2", ID_SEQ, 56);
	check_reply(&bed, "10.0.2.2", ID_SEQ, 56);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_last_hop_is_told_by_the_gateway_and_more_are_passed_on)
{
	struct guestsim_icmp *icmp;
	struct fake_sent *sent;
	struct bed bed;

	bed_simple(&bed);
	guestsim_set_ttl(bed.guests[0].sim, 1);
	ping(&bed, "10.0.2.2", ID_SEQ, 56);
	check_reply(&bed, "10.0.2.2", ID_SEQ, 56);
	ping(&bed, AWAY, ID_SEQ, 56);
	icmp = guestsim_icmp_pop(bed.guests[0].sim);
	ck_assert_ptr_nonnull(icmp);
	bed_check_error(BED_TTL_EXCEEDED, icmp->type, icmp->code);
	ck_assert(addr_eq(&icmp->from, bed_gateway(&bed)));
	free(icmp);
	ck_assert_uint_eq(bed.host.count.sends, 0);
	guestsim_set_ttl(bed.guests[0].sim, 2);
	ping(&bed, AWAY, ID_SEQ, 56);
	sent = fake_host_sent_pop(&bed.host);
	ck_assert_ptr_nonnull(sent);
	ck_assert_uint_eq(sent->ttl, 1);
	free(sent);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_error_of_a_router_on_the_way_comes_from_that_router)
{
	struct endpoint away = {bed_addr(AWAY), 0};
	struct fake_icmp error = {.to = away, .offender = bed_addr("192.0.2.1")};
	struct guestsim_icmp *icmp;
	struct fake_sent *sent;
	struct packet quoted;
	struct bed bed;

	bed_simple(&bed);
	ping(&bed, AWAY, ID_SEQ, 56);
	sent = fake_host_sent_pop(&bed.host);
	ck_assert_ptr_nonnull(sent);
	bed_error_numbers(BED_TTL_EXCEEDED, &error.type, &error.code);
	fake_host_error_deliver(&bed.host, sent->handle, &error,
				frames_bytes(sent->bytes, sent->len));
	free(sent);
	bed_settle(&bed);
	icmp = guestsim_icmp_pop(bed.guests[0].sim);
	ck_assert_ptr_nonnull(icmp);
	bed_check_error(BED_TTL_EXCEEDED, icmp->type, icmp->code);
	ck_assert(addr_eq(&icmp->from, &error.offender));
	packet_parse_quoted(&quoted, icmp->bytes, icmp->len);
	ck_assert_msg(!quoted.fault, "%s", quoted.fault);
	ck_assert_uint_eq(quoted.proto, bed_icmp_proto());
	ck_assert(addr_eq(&quoted.dst, &away.addr));
	/* Type and code, checksum, then the identifier and number the guest knows. */
	ck_assert_uint_eq(quoted.src_port, bed_echo_type(false) << 8);
	ck_assert_uint_eq(quoted.seq, ID_SEQ);
	free(icmp);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_pings_per_guest_are_limited)
{
	struct bed bed;

	bed_init(&bed);
	bed.config.limits.ping_per_guest_max = 4;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	bed.host.ping_echo = true;
	for (uint32_t id = 1; id < 200; id++)
		ping(&bed, AWAY, id << 16, 8);
	ck_assert_uint_le(bed.host.open_max, 4);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_idle_ping_is_forgotten)
{
	struct bed bed;

	bed_simple(&bed);
	ping(&bed, AWAY, ID_SEQ, 8);
	ck_assert_uint_eq(bed.host.open_n, 1);
	BED_UNTIL(&bed, bed.host.open_n == 0);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_odd_icmp_does_no_harm)
{
	struct bed bed;

	bed_simple(&bed);
	for (unsigned type = 0; type < 256; type++) {
		for (unsigned len = 0; len <= 36; len += 4) {
			struct frames_ends ends = bed_ends(&bed, 0, len % 8 ? AWAY : "10.0.2.2");
			uint8_t bytes[200], zeros[64] = {0x45};
			struct wire_out out = wire_out(bytes, sizeof(bytes));

			if (len < 8) {
				frames_ip(&out, &ends, bed_icmp_proto(), len);
				wire_put_u8(&out, (uint8_t)type);
				wire_put_zero(&out, len);
			} else {
				frames_icmp(&out, &ends,
					    &(struct frames_icmp){(uint8_t)type, 0, ID_SEQ},
					    frames_bytes(zeros, len - 8));
			}
			bed_inject(&bed, 0, &out);
		}
	}
	ck_assert_uint_le(bed.host.count.sends, 10);
	ping(&bed, "10.0.2.2", 77, 56);
	for (struct guestsim_icmp *icmp, *last = NULL;; last = icmp) {
		icmp = guestsim_icmp_pop(bed.guests[0].sim);
		if (!icmp) {
			ck_assert_ptr_nonnull(last);
			ck_assert_uint_eq(last->rest, 77);
			free(last);
			break;
		}
		free(last);
	}
	bed_finish(&bed);
}
END_TEST

START_TEST(test_foreign_packets_on_a_ping_handle_do_no_harm)
{
	struct endpoint from = {bed_addr(AWAY), 0};
	static const uint8_t message[8] = {8, 0, 0, 0, 0, 0, 0, 0};
	struct fake_sent *sent;
	struct bed bed;

	bed_simple(&bed);
	ping(&bed, AWAY, ID_SEQ, 56);
	sent = fake_host_sent_pop(&bed.host);
	for (size_t len = 0; len <= 8; len++)
		fake_host_udp_deliver(&bed.host, sent->handle, &from, message, len);
	bed_settle(&bed);
	free(sent);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return NATBED_SUITE(
	    "nat_ping", test_gateway_and_dns_address_answer_by_themselves,
	    test_outside_ping_keeps_its_identifier, test_two_pings_at_once_are_kept_apart,
	    test_forbidden_ping_is_told_now_and_then,
	    test_last_hop_is_told_by_the_gateway_and_more_are_passed_on,
	    test_error_of_a_router_on_the_way_comes_from_that_router,
	    test_pings_per_guest_are_limited, test_idle_ping_is_forgotten,
	    test_odd_icmp_does_no_harm, test_foreign_packets_on_a_ping_handle_do_no_harm);
}
