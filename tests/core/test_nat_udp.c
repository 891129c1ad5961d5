/* UDP: mappings, fragments, errors that come back, the gateway's services. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#include <string.h>

#define AWAY "198.51.100.7"

static void send_text(struct bed *bed, uint16_t port, const char *to, uint16_t to_port)
{
	struct endpoint peer = bed_endpoint(to, to_port);

	guestsim_udp_send(bed->guests[0].sim, port, &peer, frames_bytes("hello", 5));
	bed_settle(bed);
}

static unsigned sent_n(struct bed *bed)
{
	struct fake_sent *sent;
	unsigned n = 0;

	for (; (sent = fake_host_sent_pop(&bed->host)); n++)
		free(sent);
	return n;
}

START_TEST(test_one_mapping_serves_all_destinations)
{
	struct guestsim_datagram *got;
	struct endpoint from = bed_endpoint("203.0.113.1", 53);
	struct guestsim *sim;
	struct bed bed;

	sim = bed_simple(&bed);
	send_text(&bed, 5000, AWAY, 53);
	send_text(&bed, 5000, "203.0.113.1", 53);
	send_text(&bed, 5000, AWAY, 54);
	ck_assert_uint_eq(bed.host.count.udp_opened, 1);
	ck_assert_uint_eq(sent_n(&bed), 3);
	fake_host_udp_deliver(&bed.host, fake_host_nth(&bed.host, FAKE_UDP, 0), &from, "reply", 5);
	bed_settle(&bed);
	got = guestsim_udp_pop(sim);
	ck_assert_ptr_nonnull(got);
	ck_assert(endpoint_eq(&got->from, &from));
	ck_assert_uint_eq(got->to.port, 5000);
	ck_assert_mem_eq(got->bytes, "reply", 5);
	free(got);
	send_text(&bed, 5001, AWAY, 53);
	ck_assert_uint_eq(bed.host.count.udp_opened, 2);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_gateway_is_the_hosts_loopback_both_ways)
{
	struct endpoint loopback = bed_endpoint("127.0.0.1", 7);
	struct guestsim_datagram *got;
	struct guestsim *sim;
	struct fake_sent *sent;
	struct bed bed;

	sim = bed_simple(&bed);
	bed.host.udp_echo = true;
	send_text(&bed, 5000, "10.0.2.2", 7);
	sent = fake_host_sent_pop(&bed.host);
	ck_assert_ptr_nonnull(sent);
	ck_assert(endpoint_eq(&sent->to, &loopback));
	free(sent);
	got = guestsim_udp_pop(sim);
	ck_assert_ptr_nonnull(got);
	ck_assert(addr_eq(&got->from.addr, bed_gateway(&bed)));
	free(got);
	bed_finish(&bed);
}
END_TEST

static void check_echo(struct bed *bed, size_t len)
{
	struct guestsim *sim = bed->guests[0].sim;
	struct endpoint to = bed_endpoint(AWAY, 7);
	struct guestsim_datagram *got;
	struct fake_sent *sent;
	uint8_t *bytes = malloc(len + 1);

	pattern_fill(len, 0, bytes, len);
	guestsim_udp_send(sim, 5000, &to, frames_bytes(bytes, len));
	bed_settle(bed);
	sent = fake_host_sent_pop(&bed->host);
	ck_assert_msg(sent, "%zu bytes did not reach the host", len);
	ck_assert_uint_eq(sent->len, len);
	ck_assert(pattern_matches(len, 0, sent->bytes, len));
	got = guestsim_udp_pop(sim);
	ck_assert_msg(got, "%zu bytes did not reach the guest", len);
	ck_assert_uint_eq(got->len, len);
	ck_assert(pattern_matches(len, 0, got->bytes, len));
	free(got);
	free(sent);
	free(bytes);
}

/* 65,507 bytes are the most in IPv4; over IPv6 what lwIP can count, headers included. */
static size_t longest(size_t len)
{
	size_t most = 65535 - bed_ip_len() - 8;

	return len < most ? len : most;
}

START_TEST(test_every_size_passes_both_ways)
{
	static const size_t lens[] = {0,    1,    7,    8,    1471,  1472,  1473,
				      1480, 2952, 4000, 9000, 32768, 65506, 65507};
	struct bed bed;

	bed_simple(&bed);
	bed.host.udp_echo = true;
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		check_echo(&bed, longest(lens[i]));
	bed_finish(&bed);
}
END_TEST

START_TEST(test_every_size_passes_in_pieces_and_at_other_mtus)
{
	static const uint16_t mtus[] = {576, 9000, 65520, 65535};

	for (unsigned i = 0; i < 4; i++) {
		struct bed bed;

		bed_init(&bed);
		bed.config.mtu = bed_is_v6() && mtus[i] < 1280 ? 1280 : mtus[i];
		bed.pieces = true;
		bed_start(&bed);
		bed_add_guest(&bed, 0);
		bed.host.udp_echo = true;
		check_echo(&bed, 500);
		check_echo(&bed, 9000);
		check_echo(&bed, longest(65507));
		bed_finish(&bed);
	}
}
END_TEST

START_TEST(test_fragments_in_any_order_and_twice_are_put_together)
{
	struct guestsim_datagram *got;
	struct bed bed;

	bed_simple(&bed);
	bed.host.udp_echo = true;
	bed.guests[0].impair.reorder_ppm = 300000;
	for (unsigned i = 0; i < 50; i++) {
		bed.guests[0].impair.dice.state = i;
		check_echo(&bed, 20000);
	}
	bed.guests[0].impair.duplicate_ppm = 300000;
	for (unsigned i = 0; i < 50; i++) {
		struct fake_sent *sent;
		uint8_t bytes[20000];

		bed.guests[0].impair.dice.state = i;
		pattern_fill(i, 0, bytes, sizeof(bytes));
		guestsim_udp_send(bed.guests[0].sim, 5000, &(struct endpoint){bed_addr(AWAY), 7},
				  frames_bytes(bytes, sizeof(bytes)));
		bed_settle(&bed);
		sent = fake_host_sent_pop(&bed.host);
		ck_assert_ptr_nonnull(sent);
		ck_assert_uint_eq(sent->len, sizeof(bytes));
		ck_assert(pattern_matches(i, 0, sent->bytes, sent->len));
		free(sent);
		while ((got = guestsim_udp_pop(bed.guests[0].sim)))
			free(got);
		bed_advance(&bed, 61000); /* a left-over fragment is not joined to the next */
	}
	bed_finish(&bed);
}
END_TEST

static void inject_fragment_of(struct bed *bed, unsigned n, uint16_t id,
			       const struct frames_fragment *fragment, size_t len)
{
	struct frames_ends ends = bed_ends(bed, n, AWAY);
	static uint8_t zeros[FRAMES_BUF_LEN];
	uint8_t bytes[FRAMES_BUF_LEN];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	ends.ip_id = id;
	frames_fragment(&out, &ends, fragment, frames_bytes(zeros, len));
	bed_inject(bed, n, &out);
}

static void inject_fragment(struct bed *bed, uint16_t id, const struct frames_fragment *fragment,
			    size_t len)
{
	inject_fragment_of(bed, 0, id, fragment, len);
}

START_TEST(test_one_guests_flood_of_fragments_leaves_the_other_its_datagrams)
{
	const struct frames_fragment first = {PROTO_UDP, 0, true}, last = {PROTO_UDP, 1440, false};
	struct bed bed;

	bed_simple(&bed);
	bed_add_guest(&bed, 1);
	for (unsigned round = 0; round < 20; round++) {
		inject_fragment_of(&bed, 0, (uint16_t)round, &first, 1440);
		for (unsigned i = 0; i < 1000; i++)
			inject_fragment_of(&bed, 1, (uint16_t)i, &first, 1440);
		inject_fragment_of(&bed, 0, (uint16_t)round, &last, 100);
	}
	/* Zeros for a UDP header make it malformed, but whole. */
	ck_assert_uint_eq(nat_counters(bed.nat)->dropped_malformed, 20);
	bed_advance(&bed, 61000);
	ck_assert_uint_eq(nat_next_ms(bed.nat, bed.now_ms), UINT64_MAX);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_flood_of_first_fragments_is_bounded)
{
	struct bed bed;

	bed_simple(&bed);
	bed.host.udp_echo = true;
	bed.batch_bytes = 1;
	for (unsigned i = 0; i < 30000; i++)
		inject_fragment(&bed, (uint16_t)i, &(struct frames_fragment){PROTO_UDP, 0, true},
				1480);
	ck_assert_uint_eq(sent_n(&bed), 0);
	ck_assert_uint_le(bed.chunks_kept, 1100);
	bed_advance(&bed, 61000);
	ck_assert_uint_eq(bed.chunks_alive, 0);
	check_echo(&bed, 9000);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_odd_fragments_do_no_harm)
{
	struct bed bed;

	bed_simple(&bed);
	bed.host.udp_echo = true;
	for (unsigned proto = 0; proto < 256; proto += 6) {
		uint16_t id = (uint16_t)(proto * 10);
		uint8_t p = (uint8_t)proto;

		inject_fragment(&bed, id, &(struct frames_fragment){p, 0, true}, 0);
		inject_fragment(&bed, id, &(struct frames_fragment){p, 0, true}, 7);
		inject_fragment(&bed, id, &(struct frames_fragment){p, 65528, false}, 8);
		inject_fragment(&bed, id, &(struct frames_fragment){p, 65528, true}, 1480);
		inject_fragment(&bed, id, &(struct frames_fragment){p, 8, true}, 1480);
		inject_fragment(&bed, id, &(struct frames_fragment){p, 0, true}, 1480);
		inject_fragment(&bed, id, &(struct frames_fragment){p, 16, false}, 3);
		inject_fragment(&bed, id, &(struct frames_fragment){p, 0, false}, 3);
		inject_fragment(&bed, id, &(struct frames_fragment){p, 8, false}, 0);
	}
	for (unsigned id = 60000; id < 60010; id++) { /* a tiny first fragment: RFC 1858 */
		inject_fragment(&bed, (uint16_t)id, &(struct frames_fragment){PROTO_TCP, 0, true},
				8);
		inject_fragment(&bed, (uint16_t)id, &(struct frames_fragment){PROTO_TCP, 8, false},
				12);
	}
	bed_advance(&bed, 61000);
	sent_n(&bed);
	check_echo(&bed, 9000);
	ck_assert_uint_eq(bed.host.count.dials, 0);
	bed.faults_expected = true;
	bed_finish(&bed);
}
END_TEST

START_TEST(test_port_unreachable_comes_back_with_the_datagram_quoted)
{
	struct endpoint away = bed_endpoint(AWAY, 9);
	struct fake_icmp error = {.to = away, .offender = away.addr};
	struct guestsim_icmp *icmp;
	struct guestsim *sim;
	struct packet quoted;
	struct bed bed;

	sim = bed_simple(&bed);
	bed_error_numbers(BED_NO_PORT, &error.type, &error.code);
	send_text(&bed, 5000, AWAY, 9);
	fake_host_error_deliver(&bed.host, fake_host_nth(&bed.host, FAKE_UDP, 0), &error,
				frames_bytes("hello", 5));
	bed_settle(&bed);
	icmp = guestsim_icmp_pop(sim);
	ck_assert_ptr_nonnull(icmp);
	bed_check_error(BED_NO_PORT, icmp->type, icmp->code);
	ck_assert(addr_eq(&icmp->from, &away.addr));
	packet_parse_quoted(&quoted, icmp->bytes, icmp->len);
	ck_assert_msg(!quoted.fault, "%s", quoted.fault);
	ck_assert_uint_eq(quoted.proto, PROTO_UDP);
	ck_assert(addr_eq(&quoted.src, &guestsim_config(sim)->addr));
	ck_assert(addr_eq(&quoted.dst, &away.addr));
	ck_assert_uint_eq(quoted.src_port, 5000);
	ck_assert_uint_eq(quoted.dst_port, 9);
	free(icmp);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_refused_on_the_hosts_loopback_comes_from_the_gateway)
{
	struct endpoint loopback = bed_endpoint("127.0.0.1", 9);
	struct fake_icmp error = {.to = loopback};
	struct guestsim_icmp *icmp;
	struct packet quoted;
	struct bed bed;

	bed_simple(&bed);
	bed_error_numbers(BED_NO_PORT, &error.type, &error.code);
	send_text(&bed, 5000, "10.0.2.2", 9);
	fake_host_error_deliver(&bed.host, fake_host_nth(&bed.host, FAKE_UDP, 0), &error,
				frames_bytes(NULL, 0));
	bed_settle(&bed);
	icmp = guestsim_icmp_pop(bed.guests[0].sim);
	ck_assert_ptr_nonnull(icmp);
	ck_assert(addr_eq(&icmp->from, bed_gateway(&bed)));
	packet_parse_quoted(&quoted, icmp->bytes, icmp->len);
	ck_assert(addr_eq(&quoted.dst, bed_gateway(&bed)));
	free(icmp);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_fragmentation_needed_tells_the_mtu)
{
	struct endpoint away = bed_endpoint(AWAY, 9);
	struct fake_icmp error = {.to = away, .info = 1280};
	struct guestsim_icmp *icmp;
	struct bed bed;

	bed_simple(&bed);
	bed_error_numbers(BED_TOO_BIG, &error.type, &error.code);
	send_text(&bed, 5000, AWAY, 9);
	fake_host_error_deliver(&bed.host, fake_host_nth(&bed.host, FAKE_UDP, 0), &error,
				frames_bytes(NULL, 0));
	bed_settle(&bed);
	icmp = guestsim_icmp_pop(bed.guests[0].sim);
	ck_assert_ptr_nonnull(icmp);
	bed_check_error(BED_TOO_BIG, icmp->type, icmp->code);
	ck_assert_uint_eq(icmp->rest & 0xffff, 1280); /* RFC 1191 section 4 */
	free(icmp);
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
	send_text(&bed, 5000, AWAY, 33434);
	ck_assert_uint_eq(bed.host.count.sends, 0);
	icmp = guestsim_icmp_pop(bed.guests[0].sim);
	ck_assert_ptr_nonnull(icmp);
	bed_check_error(BED_TTL_EXCEEDED, icmp->type, icmp->code);
	ck_assert(addr_eq(&icmp->from, bed_gateway(&bed)));
	free(icmp);
	guestsim_set_ttl(bed.guests[0].sim, 3);
	send_text(&bed, 5000, AWAY, 33434);
	sent = fake_host_sent_pop(&bed.host);
	ck_assert_ptr_nonnull(sent);
	ck_assert_uint_eq(sent->ttl, 2);
	free(sent);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_full_table_evicts_the_longest_idle)
{
	struct endpoint from = bed_endpoint(AWAY, 7);
	struct bed bed;

	bed_init(&bed);
	bed.config.limits.udp_per_guest_max = 4;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	bed_add_guest(&bed, 1);
	guestsim_udp_send(bed.guests[1].sim, 4999, &from, frames_bytes("x", 1));
	for (unsigned i = 0; i < 4; i++) {
		send_text(&bed, (uint16_t)(5000 + i), AWAY, 7);
		bed_advance(&bed, 10);
	}
	send_text(&bed, 5000, AWAY, 7); /* 5001 is the longest idle one now */
	bed_advance(&bed, 10);
	send_text(&bed, 5004, AWAY, 7);
	ck_assert_uint_eq(bed.host.open_n, 5);
	ck_assert_uint_eq(nat_counters(bed.nat)->flows_evicted, 1);
	ck_assert_uint_eq(bed.host.count.udp_opened, 6);
	send_text(&bed, 5000, AWAY, 7);
	ck_assert_uint_eq(bed.host.count.udp_opened, 6);
	guestsim_udp_send(bed.guests[1].sim, 4999, &from, frames_bytes("x", 1));
	bed_settle(&bed);
	ck_assert_uint_eq(bed.host.count.udp_opened, 6); /* another guest's was no candidate */
	send_text(&bed, 5001, AWAY, 7);
	ck_assert_uint_eq(bed.host.count.udp_opened, 7);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_idle_mapping_is_forgotten)
{
	struct bed bed;

	bed_simple(&bed);
	send_text(&bed, 5000, AWAY, 7);
	ck_assert_uint_eq(bed.host.open_n, 1);
	bed_advance(&bed, 15000);
	ck_assert_uint_eq(bed.host.open_n, 1);
	BED_UNTIL(&bed, bed.host.open_n == 0);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_two_way_mapping_lives_longer)
{
	struct bed bed;

	bed_simple(&bed);
	bed.host.udp_echo = true;
	for (unsigned i = 0; i < 4; i++) {
		send_text(&bed, 5000, AWAY, 7000);
		bed_advance(&bed, 1000);
	}
	bed_advance(&bed, 100000); /* RFC 4787 section 4.3: not under two minutes */
	ck_assert_uint_eq(bed.host.open_n, 1);
	BED_UNTIL(&bed, bed.host.open_n == 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_no_descriptor_left_is_told_by_icmp)
{
	struct guestsim_icmp *icmp;
	struct bed bed;

	bed_simple(&bed);
	bed.host.udp_open_result = -EMFILE;
	send_text(&bed, 5000, AWAY, 7);
	icmp = guestsim_icmp_pop(bed.guests[0].sim);
	ck_assert_ptr_nonnull(icmp);
	bed_check_error(BED_PROHIBITED, icmp->type, icmp->code);
	free(icmp);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed.host.udp_open_result = 0;
	send_text(&bed, 5000, AWAY, 7);
	ck_assert_uint_eq(sent_n(&bed), 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_host_that_cannot_send_is_counted)
{
	struct bed bed;

	bed_simple(&bed);
	send_text(&bed, 5000, AWAY, 7);
	fake_host_handle(&bed.host, fake_host_nth(&bed.host, FAKE_UDP, 0))->send_error = -EAGAIN;
	send_text(&bed, 5000, AWAY, 7);
	ck_assert_uint_eq(nat_counters(bed.nat)->dropped_host_send, 1);
	fake_host_handle(&bed.host, fake_host_nth(&bed.host, FAKE_UDP, 0))->send_error = 0;
	send_text(&bed, 5000, AWAY, 7);
	ck_assert_uint_eq(sent_n(&bed), 2);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_datagram_without_checksum_is_taken)
{
	struct frames_ends ends;
	uint8_t bytes[100];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct bed bed;

	bed_simple(&bed);
	ends = bed_ends(&bed, 0, AWAY);
	frames_udp(&out, &ends, (struct frames_ports){5000, 7}, frames_bytes("hello", 5));
	wire_patch_u16(&out, 14 + bed_ip_len() + 6, 0);
	bed_inject(&bed, 0, &out);
	ck_assert_uint_eq(sent_n(&bed), 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_wrong_udp_lengths_are_dropped)
{
	static const uint16_t lens[] = {0, 1, 7, 14, 100, 65535};
	struct bed bed;

	bed_simple(&bed);
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct frames_ends ends = bed_ends(&bed, 0, AWAY);
		uint8_t bytes[100];
		struct wire_out out = wire_out(bytes, sizeof(bytes));

		frames_udp(&out, &ends, (struct frames_ports){5000, 7}, frames_bytes("hello", 5));
		wire_patch_u16(&out, 14 + bed_ip_len() + 4, lens[i]);
		bed_inject(&bed, 0, &out);
	}
	ck_assert_uint_eq(sent_n(&bed), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_port_zero_makes_no_mapping)
{
	struct bed bed;

	bed_simple(&bed);
	send_text(&bed, 5000, AWAY, 0);
	send_text(&bed, 0, AWAY, 7);
	ck_assert_uint_eq(bed.host.count.sends, 0);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

struct service_seen {
	unsigned calls;
	struct nat_udp_meta meta;
	uint8_t bytes[64];
	size_t len;
};

static void on_service(void *ctx, const struct nat_udp_meta *meta, const uint8_t *payload,
		       size_t len)
{
	struct service_seen *seen = ctx;

	seen->calls++;
	seen->meta = *meta;
	seen->len = len;
	memcpy(seen->bytes, payload, len < sizeof(seen->bytes) ? len : sizeof(seen->bytes));
}

START_TEST(test_services_hear_guests_and_answer_them)
{
	struct service_seen seen = {0};
	struct guestsim_datagram *got;
	struct nat_udp_reply reply;
	struct guestsim *sim;
	struct bed bed;

	sim = bed_simple(&bed);
	ck_assert_int_eq(nat_udp_service_add(bed.nat, 53, true, on_service, &seen), 0);
	ck_assert_int_eq(nat_udp_service_add(bed.nat, 53, true, on_service, &seen), -EEXIST);
	send_text(&bed, 5000, "10.0.2.3", 53);
	ck_assert_uint_eq(seen.calls, 1);
	ck_assert_uint_eq(seen.len, 5);
	ck_assert_mem_eq(seen.bytes, "hello", 5);
	ck_assert(addr_eq(&seen.meta.guest.addr, &guestsim_config(sim)->addr));
	ck_assert_uint_eq(seen.meta.guest.port, 5000);
	ck_assert(addr_eq(&seen.meta.service.addr, bed_dns(&bed)));
	ck_assert(mac_eq(&seen.meta.guest_mac, &guestsim_config(sim)->mac));
	ck_assert_ptr_eq(seen.meta.port, &bed.guests[0].port.port);
	reply = (struct nat_udp_reply){seen.meta.port, seen.meta.guest_mac, seen.meta.service,
				       seen.meta.guest};
	nat_udp_send(bed.nat, &reply, (const uint8_t *)"answer", 6);
	bed_settle(&bed);
	got = guestsim_udp_pop(sim);
	ck_assert_ptr_nonnull(got);
	ck_assert_uint_eq(got->len, 6);
	ck_assert(endpoint_eq(&got->from, &seen.meta.service));
	free(got);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	send_text(&bed, 5000, AWAY, 53);       /* no service of ours */
	send_text(&bed, 5000, "10.0.2.2", 53); /* the host's own DNS server, if it has one */
	ck_assert_uint_eq(seen.calls, 1);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 1);
	bed_finish(&bed);
}
END_TEST

/* Port 51000 is one that the service has answered from. */
static bool claims_51000(void *ctx, const struct nat_udp_meta *meta)
{
	(void)ctx;
	return meta->service.port == 51000 && meta->guest.port == 5000;
}

START_TEST(test_service_claims_ports_and_leaves_the_others)
{
	struct service_seen seen = {0};
	struct bed bed;

	bed_simple(&bed);
	ck_assert_int_eq(nat_udp_service_add_claiming(bed.nat, claims_51000, on_service, &seen), 0);
	send_text(&bed, 5000, "10.0.2.2", 51000);
	ck_assert_uint_eq(seen.calls, 1);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	send_text(&bed, 5001, "10.0.2.2", 51000); /* the host's loopback */
	send_text(&bed, 5000, "10.0.2.2", 51001);
	send_text(&bed, 5000, AWAY, 51000);
	ck_assert_uint_eq(seen.calls, 1);
	ck_assert_uint_eq(bed.host.count.sends, 3);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_service_hears_broadcasts_of_guests_without_an_address)
{
	struct service_seen seen = {0};
	struct frames_ends ends;
	uint8_t bytes[100];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct bed bed;

	bed_simple(&bed);
	ck_assert_int_eq(nat_udp_service_add(bed.nat, 67, false, on_service, &seen), 0);
	ends = bed_ends(&bed, 0, "255.255.255.255");
	memset(ends.dst_mac.b, 0xff, 6);
	ends.src = addr_v4(0);
	frames_udp(&out, &ends, (struct frames_ports){68, 67}, frames_bytes("discover", 8));
	bed_inject(&bed, 0, &out);
	ck_assert_uint_eq(seen.calls, 1);
	ck_assert(addr_is_unspecified(&seen.meta.guest.addr));
	ck_assert_uint_eq(bed.host.count.udp_opened, 0);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return NATBED_SUITE(
	    "nat_udp", test_one_mapping_serves_all_destinations,
	    test_gateway_is_the_hosts_loopback_both_ways, test_every_size_passes_both_ways,
	    test_every_size_passes_in_pieces_and_at_other_mtus,
	    test_fragments_in_any_order_and_twice_are_put_together,
	    test_one_guests_flood_of_fragments_leaves_the_other_its_datagrams,
	    test_flood_of_first_fragments_is_bounded, test_odd_fragments_do_no_harm,
	    test_port_unreachable_comes_back_with_the_datagram_quoted,
	    test_refused_on_the_hosts_loopback_comes_from_the_gateway,
	    test_fragmentation_needed_tells_the_mtu,
	    test_last_hop_is_told_by_the_gateway_and_more_are_passed_on,
	    test_full_table_evicts_the_longest_idle, test_idle_mapping_is_forgotten,
	    test_two_way_mapping_lives_longer, test_no_descriptor_left_is_told_by_icmp,
	    test_host_that_cannot_send_is_counted, test_datagram_without_checksum_is_taken,
	    test_wrong_udp_lengths_are_dropped, test_port_zero_makes_no_mapping,
	    test_services_hear_guests_and_answer_them,
	    test_service_claims_ports_and_leaves_the_others,
	    test_service_hears_broadcasts_of_guests_without_an_address);
}
