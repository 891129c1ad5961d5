/* Addresses: ARP, what may be a source, what may be a destination, whose frames are our business.
 */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#include <string.h>

#define AWAY "198.51.100.7"

static const struct mac broadcast_mac = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/* Whether an ARP request with these addresses is answered, by the gateway's MAC for this target. */
static bool arp_answered(struct bed *bed, unsigned n, const char *sender, const char *target)
{
	uint8_t bytes[64];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct addr wanted = bed_addr(target);
	struct fake_frame *frame;
	bool answered = false;
	struct packet p;

	bed->guests[n].deaf = true;
	frames_arp(&out, &(struct frames_arp){.eth_src = bed_guest_mac(n),
					      .eth_dst = broadcast_mac,
					      .op = 1,
					      .sender_mac = bed_guest_mac(n),
					      .sender = bed_addr(sender),
					      .target = wanted});
	bed_inject(bed, n, &out);
	while (bed_next_packet(bed, n, &p, &frame)) {
		if (p.kind == PACKET_ARP && p.arp_op == 2) {
			struct mac mac = bed_guest_mac(n);
			answered = true;
			ck_assert(addr_eq(&p.src, &wanted));
			ck_assert(mac_eq(&p.arp_sender_mac, &bed->config.mac));
			ck_assert(mac_eq(&p.src_mac, &bed->config.mac));
			ck_assert(mac_eq(&p.dst_mac, &mac));
			ck_assert(mac_eq(&p.arp_target_mac, &mac));
		}
		free(frame);
	}
	bed->guests[n].deaf = false;
	return answered;
}

START_TEST(test_gateway_answers_arp_for_its_addresses)
{
	struct bed bed;

	bed_simple(&bed);
	ck_assert(arp_answered(&bed, 0, "10.0.2.15", "10.0.2.2"));
	ck_assert(arp_answered(&bed, 0, "10.0.2.15", "10.0.2.3"));
	bed_finish(&bed);
}
END_TEST

START_TEST(test_gateway_defends_its_addresses_against_probes)
{
	struct bed bed;

	bed_simple(&bed);
	ck_assert(arp_answered(&bed, 0, "0.0.0.0", "10.0.2.2"));
	ck_assert(arp_answered(&bed, 0, "0.0.0.0", "10.0.2.3"));
	bed_finish(&bed);
}
END_TEST

START_TEST(test_static_guests_foreign_gateway_is_answered_for)
{
	struct bed bed;

	bed_simple(&bed);
	ck_assert(arp_answered(&bed, 0, "172.17.1.1", "192.168.0.1"));
	ck_assert(arp_answered(&bed, 0, "172.17.1.1", "172.17.0.1"));
	bed_finish(&bed);
}
END_TEST

/* RFC 5227: an answer would make a client give its address up. */
START_TEST(test_probes_and_announcements_are_never_answered)
{
	static const char *const addrs[] = {"10.0.2.15", "10.0.2.99", "172.17.1.1", "192.168.0.1"};
	struct bed bed;

	bed_simple(&bed);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_msg(!arp_answered(&bed, 0, "0.0.0.0", addrs[i]), "probe %s", addrs[i]);
		ck_assert_msg(!arp_answered(&bed, 0, addrs[i], addrs[i]), "announcement %s",
			      addrs[i]);
	}
	bed_finish(&bed);
}
END_TEST

START_TEST(test_other_guests_addresses_are_not_answered_for)
{
	struct bed bed;

	bed_simple(&bed);
	bed_add_guest(&bed, 1);
	bed_connect(&bed, 1, 40000, AWAY, 80);
	ck_assert(!arp_answered(&bed, 0, "10.0.2.15", "10.0.2.16"));
	ck_assert(!arp_answered(&bed, 0, "10.0.2.15", "10.0.2.77"));
	arp_answered(&bed, 1, "172.17.1.2", "172.17.0.1"); /* guest 1 has this one, too */
	ck_assert(!arp_answered(&bed, 0, "172.17.1.1", "172.17.1.2"));
	bed_finish(&bed);
}
END_TEST

START_TEST(test_static_guest_with_a_foreign_address_is_served)
{
	struct guestsim_config config;
	struct guestsim *sim;
	struct sim_tcp *tcp;
	struct bed bed;

	sim = bed_simple(&bed);
	config = *guestsim_config(sim);
	config.addr = bed_addr("172.17.1.1");
	config.gateway = bed_addr("172.17.0.1");
	config.net = (struct subnet){config.addr, 16};
	guestsim_free(sim);
	bed.guests[0].sim = guestsim_new(&config);
	guestsim_arp_ask(bed.guests[0].sim, &config.gateway);
	bed.host.defaults.echo = true;
	bed_settle(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	ck_assert_int_eq(tcp->state, SIM_OPEN);
	tcp->recv_seed = tcp->send_seed;
	tcp->send_total = 100000;
	sim_tcp_kick(tcp);
	BED_UNTIL(&bed, tcp->received == 100000);
	bed_finish(&bed);
}
END_TEST

/* A SYN, a stray segment, a datagram and a ping with these addresses: none may get through. */
static void check_dropped(const char *src, const char *dst)
{
	struct frames_ends ends;
	struct frames_tcp syn = {
	    .src_port = 40000, .dst_port = 80, .flags = FLAG_SYN, .window = 1000};
	uint8_t bytes[200];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].deaf = true;
	bed.host.ping_echo = true;
	ends = bed_ends(&bed, 0, dst);
	ends.src = bed_addr(src);
	frames_tcp(&out, &ends, &syn, frames_bytes(NULL, 0));
	bed_inject(&bed, 0, &out);
	syn.flags = FLAG_ACK;
	out = wire_out(bytes, sizeof(bytes));
	frames_tcp(&out, &ends, &syn, frames_bytes("x", 1));
	bed_inject(&bed, 0, &out);
	out = wire_out(bytes, sizeof(bytes));
	frames_udp(&out, &ends, (struct frames_ports){5000, 80}, frames_bytes("x", 1));
	bed_inject(&bed, 0, &out);
	out = wire_out(bytes, sizeof(bytes));
	frames_icmp(&out, &ends, &(struct frames_icmp){8, 0, 1}, frames_bytes(NULL, 0));
	bed_inject(&bed, 0, &out);
	ck_assert_msg(bed.host.count.dials == 0, "TCP from %s to %s", src, dst);
	ck_assert_msg(bed.host.count.sends == 0, "UDP or ping from %s to %s", src, dst);
	ck_assert_msg(bed.guests[0].port.sent.frames_n == 0, "answer to %s about %s", src, dst);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	ck_assert_uint_ge(nat_counters(bed.nat)->dropped_address, 1);
	bed_finish(&bed);
}

START_TEST(test_impossible_sources_are_dropped)
{
	static const char *const sources[] = {
	    "127.0.0.1", "127.255.0.9", "224.0.0.1", "239.1.2.3",  "255.255.255.255", "0.0.0.0",
	    "0.1.2.3",   "10.0.2.2",    "10.0.2.3",  "10.0.2.255", "240.0.0.1"};

	for (unsigned i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		check_dropped(sources[i], AWAY);
}
END_TEST

START_TEST(test_impossible_destinations_are_dropped)
{
	static const char *const destinations[] = {
	    "127.0.0.1",       "127.1.2.3",       "0.0.0.0",    "0.1.2.3",  "224.0.0.5",
	    "239.255.255.250", "255.255.255.255", "10.0.2.255", "240.0.0.1"};

	for (unsigned i = 0; i < sizeof(destinations) / sizeof(destinations[0]); i++)
		check_dropped("10.0.2.15", destinations[i]);
}
END_TEST

START_TEST(test_frames_between_guests_are_none_of_our_business)
{
	struct frames_ends ends;
	struct frames_tcp segment = {.src_port = 1, .dst_port = 2, .flags = FLAG_ACK};
	uint8_t bytes[200];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].deaf = true;
	ends = bed_ends(&bed, 0, "10.0.2.16");
	ends.dst_mac = bed_guest_mac(1);
	frames_tcp(&out, &ends, &segment, frames_bytes("abc", 3));
	bed_inject(&bed, 0, &out);
	segment.flags = FLAG_SYN;
	ends.dst = bed_addr(AWAY);
	out = wire_out(bytes, sizeof(bytes));
	frames_tcp(&out, &ends, &segment, frames_bytes(NULL, 0));
	bed_inject(&bed, 0, &out);
	ends.dst_mac = broadcast_mac; /* TCP to a broadcast MAC: RFC 1122 section 4.2.3.10 */
	out = wire_out(bytes, sizeof(bytes));
	frames_tcp(&out, &ends, &segment, frames_bytes(NULL, 0));
	bed_inject(&bed, 0, &out);
	ck_assert_uint_eq(bed.guests[0].port.sent.frames_n, 0);
	ck_assert_uint_eq(bed.host.count.dials, 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_broadcasts_of_guests_go_nowhere)
{
	struct frames_ends ends;
	uint8_t bytes[200];
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].deaf = true;
	for (unsigned i = 0; i < 3; i++) {
		static const char *const to[] = {"10.0.2.255", "255.255.255.255", "224.0.0.251"};
		struct wire_out out = wire_out(bytes, sizeof(bytes));

		ends = bed_ends(&bed, 0, to[i]);
		ends.dst_mac = broadcast_mac;
		frames_udp(&out, &ends, (struct frames_ports){137, 137}, frames_bytes("x", 1));
		bed_inject(&bed, 0, &out);
	}
	ck_assert_uint_eq(bed.host.count.udp_opened, 0);
	ck_assert_uint_eq(bed.guests[0].port.sent.frames_n, 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_restricted_guests_reach_services_and_answer_forwards_only)
{
	struct endpoint peer = bed_endpoint("203.0.113.5", 5555);
	struct endpoint guest = {bed_guest_addr(0), 22};
	struct addr away = bed_addr(AWAY);
	struct endpoint away_dns = {away, 53};
	struct guestsim *sim;
	struct bed bed;

	bed_init(&bed);
	bed.config.restrict_guests = true;
	bed_start(&bed);
	sim = bed_add_guest(&bed, 0);
	ck_assert_int_eq(nat_tcp_service_add(bed.nat, 53, true, 1), 0);
	ck_assert_int_ne(bed_connect(&bed, 0, 40000, AWAY, 80)->state, SIM_OPEN);
	ck_assert_int_ne(bed_connect(&bed, 0, 40001, "10.0.2.2", 80)->state, SIM_OPEN);
	guestsim_udp_send(sim, 5000, &away_dns, frames_bytes("x", 1));
	guestsim_ping(sim, &away, 1, frames_bytes(NULL, 0));
	bed_settle(&bed);
	ck_assert_uint_eq(bed.host.count.dials + bed.host.count.sends, 0);
	ck_assert_uint_ge(nat_counters(bed.nat)->dropped_policy, 1);
	ck_assert_int_eq(bed_connect(&bed, 0, 40002, "10.0.2.3", 53)->state, SIM_OPEN);
	sim_tcp_listen(sim, 22, &bed_setup);
	nat_tcp_inbound(bed.nat, fake_host_accepted(&bed.host), &peer, &guest);
	bed_settle(&bed);
	ck_assert_ptr_nonnull(sim_tcp_accept(sim, 22));
	bed_finish(&bed);
}
END_TEST

START_TEST(test_without_host_loopback_the_gateway_has_no_host_services)
{
	struct endpoint gateway;
	struct guestsim *sim;
	struct guestsim_icmp *icmp;
	struct bed bed;

	bed_init(&bed);
	bed.config.host_loopback = false;
	bed_start(&bed);
	sim = bed_add_guest(&bed, 0);
	gateway = (struct endpoint){bed.config.host4, 7};
	ck_assert_int_eq(bed_connect(&bed, 0, 40000, "10.0.2.2", 80)->state, SIM_RESET);
	guestsim_udp_send(sim, 5000, &gateway, frames_bytes("x", 1));
	guestsim_ping(sim, &gateway.addr, 7, frames_bytes(NULL, 0));
	bed_settle(&bed);
	ck_assert_uint_eq(bed.host.count.dials + bed.host.count.sends, 0);
	ck_assert_int_eq(bed_connect(&bed, 0, 40001, AWAY, 80)->state, SIM_OPEN);
	for (bool replied = false; !replied;) {
		icmp = guestsim_icmp_pop(sim);
		ck_assert_ptr_nonnull(icmp);
		replied = icmp->type == 0 && icmp->rest == 7;
		free(icmp);
	}
	bed_finish(&bed);
}
END_TEST

/* A good SYN, for the test to spoil. */
static struct wire_out good_syn(const struct bed *bed, uint8_t *bytes, size_t len)
{
	struct frames_ends ends = bed_ends(bed, 0, AWAY);
	struct wire_out out = wire_out(bytes, len);
	static const uint8_t options[8] = {2, 4, 5, 180, 1, 3, 3, 7};

	frames_tcp(&out, &ends,
		   &(struct frames_tcp){.src_port = 40000,
					.dst_port = 80,
					.flags = FLAG_SYN,
					.window = 1000,
					.options = options,
					.options_len = 8},
		   frames_bytes(NULL, 0));
	return out;
}

START_TEST(test_truncated_frames_are_dropped)
{
	uint8_t bytes[200];
	struct wire_out out;
	size_t whole;
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].deaf = true;
	out = good_syn(&bed, bytes, sizeof(bytes));
	whole = wire_len(&out);
	for (size_t len = FRAME_HDR_LEN; len < whole; len++) {
		out.at = out.start + len;
		bed_inject(&bed, 0, &out);
	}
	ck_assert_uint_eq(bed.host.count.dials, 0);
	ck_assert_uint_ge(nat_counters(bed.nat)->dropped_malformed, 1);
	out.at = out.start + whole;
	bed_inject(&bed, 0, &out);
	ck_assert_uint_eq(bed.host.count.dials, 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_every_spoilt_byte_of_a_syn_does_no_harm)
{
	uint8_t bytes[200];
	struct wire_out out;
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].deaf = true;
	out = good_syn(&bed, bytes, sizeof(bytes));
	for (size_t at = 12; at < wire_len(&out); at++) {
		uint8_t good = bytes[at];
		for (unsigned value = 0; value < 256; value++) {
			bytes[at] = (uint8_t)value;
			bed_inject(&bed, 0, &out);
		}
		bytes[at] = good;
	}
	bed_advance(&bed, 1000);
	fake_queue_clear(&bed.guests[0].port.sent);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_wrong_ip_headers_are_dropped)
{
	static const struct {
		size_t at;
		uint16_t value;
	} spoils[] = {
	    {14, 0x4400},           /* header of 16 bytes */
	    {14, 0x4000},           /* of none */
	    {14, 0x5500},           /* version 5 */
	    {14, 0x4f00},           /* longer than it is */
	    {16, 0},                /* total length 0 */
	    {16, 19},               /* shorter than the header */
	    {16, 39},               /* shorter than the TCP header */
	    {16, 2000},             /* longer than the frame */
	    {20, 0x2000},           /* a first fragment */
	    {20, 0x0001},           /* a later one */
	    {14 + 20 + 12, 0x4002}, /* TCP header of 16 bytes */
	    {14 + 20 + 12, 0xf002}, /* longer than the segment */
	};
	uint8_t bytes[200];
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].deaf = true;
	for (unsigned i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
		struct wire_out out = good_syn(&bed, bytes, sizeof(bytes));
		wire_patch_u16(&out, spoils[i].at, spoils[i].value);
		bed_inject(&bed, 0, &out);
		ck_assert_msg(bed.host.count.dials == 0, "spoil %u", i);
	}
	bed_finish(&bed);
}
END_TEST

START_TEST(test_ethernet_padding_is_not_data)
{
	struct sim_tcp *tcp;
	struct frames_ends ends;
	uint8_t bytes[200], data[2];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	ends = bed_ends(&bed, 0, AWAY);
	pattern_fill(tcp->send_seed, 0, data, 2);
	tcp->send_total = tcp->sent = tcp->next = 2;
	frames_tcp(&out, &ends,
		   &(struct frames_tcp){.src_port = 40000,
					.dst_port = 80,
					.seq = sim_tcp_seq(tcp, 0),
					.ack = sim_tcp_ack(tcp),
					.flags = FLAG_ACK,
					.window = 1000},
		   frames_bytes(data, 2));
	wire_put_bytes(&out, "padding", 4);
	bed_inject(&bed, 0, &out);
	ck_assert_uint_eq(fake_host_handle(&bed.host, 0)->written, 2);
	ck_assert_uint_eq(fake_host_handle(&bed.host, 0)->mismatch, 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_other_ethertypes_are_ignored)
{
	static const uint16_t types[] = {0,      46,     1500,   0x8100, 0x88a8,
					 0x8863, 0x86dd, 0x88cc, 0xffff};
	uint8_t bytes[200];
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].deaf = true;
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct wire_out out = good_syn(&bed, bytes, sizeof(bytes));
		wire_patch_u16(&out, 12, types[i]);
		bed_inject(&bed, 0, &out);
	}
	ck_assert_uint_eq(bed.host.count.dials, 0);
	ck_assert_uint_eq(bed.guests[0].port.sent.frames_n, 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_ipv6_frames_do_no_harm_while_it_is_off)
{
	static const char *const to[] = {"fec0::2", "198.51.100.7", "::1",
					 "::",      "ff02::1",      "2001:db8::1"};
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].deaf = true;
	for (unsigned i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		struct frames_ends ends = bed_ends(&bed, 0, AWAY);
		uint8_t bytes[200];
		struct wire_out out = wire_out(bytes, sizeof(bytes));

		ends.src = bed_addr("fec0::15");
		ends.dst = bed_addr(to[i]);
		frames_tcp(&out, &ends,
			   &(struct frames_tcp){.src_port = 1, .dst_port = 80, .flags = FLAG_SYN},
			   frames_bytes(NULL, 0));
		bed_inject(&bed, 0, &out);
		out = wire_out(bytes, sizeof(bytes));
		frames_icmp(&out, &ends, &(struct frames_icmp){128, 0, 1}, frames_bytes(NULL, 0));
		bed_inject(&bed, 0, &out);
	}
	ck_assert_uint_eq(bed.host.count.dials, 0);
	ck_assert_uint_eq(bed.guests[0].port.sent.frames_n, 0);
	bed_finish(&bed);
}
END_TEST

/* A v4-mapped destination ended one NAT of this kind; the others must not reach the host either. */
START_TEST(test_impossible_ipv6_destinations_are_dropped)
{
	static const char *const to[] = {"198.18.1.2", "127.0.0.1", "::1",
					 "::",         "ff02::1",   "ff0e::1"};

	for (unsigned i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		struct frames_ends ends;
		uint8_t bytes[200];
		struct wire_out out = wire_out(bytes, sizeof(bytes));
		struct bed bed;

		bed_init(&bed);
		bed.config.ipv6 = true;
		bed_start(&bed);
		bed_add_guest(&bed, 0);
		bed.guests[0].deaf = true;
		ends = bed_ends(&bed, 0, AWAY);
		ends.src = bed_addr("fec0::15");
		ends.dst = bed_addr(to[i]); /* 16 bytes: IPv4 as its v4-mapped form */
		frames_tcp(&out, &ends,
			   &(struct frames_tcp){.src_port = 1, .dst_port = 80, .flags = FLAG_SYN},
			   frames_bytes(NULL, 0));
		bed_inject(&bed, 0, &out);
		out = wire_out(bytes, sizeof(bytes));
		frames_udp(&out, &ends, (struct frames_ports){1, 80}, frames_bytes("x", 1));
		bed_inject(&bed, 0, &out);
		ck_assert_msg(bed.host.count.dials + bed.host.count.sends == 0, "%s", to[i]);
		ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
		bed_finish(&bed);
	}
}
END_TEST

START_TEST(test_neighbours_are_learnt_and_forgotten_with_their_port)
{
	struct addr known = bed_guest_addr(0), told = bed_addr("10.0.2.99");
	struct mac mac = bed_guest_mac(0), got;
	struct port *port;
	struct bed bed;

	bed_simple(&bed);
	ck_assert(!nat_neighbour(bed.nat, &known, &port, &got));
	bed_connect(&bed, 0, 40000, AWAY, 80);
	ck_assert(nat_neighbour(bed.nat, &known, &port, &got));
	ck_assert_ptr_eq(port, &bed.guests[0].port.port);
	ck_assert(mac_eq(&got, &mac));
	nat_neighbour_set(bed.nat, &told, &mac, &bed.guests[0].port.port);
	ck_assert(nat_neighbour(bed.nat, &told, &port, &got));
	bed_remove_guest(&bed, 0);
	ck_assert(!nat_neighbour(bed.nat, &known, &port, &got));
	ck_assert(!nat_neighbour(bed.nat, &told, &port, &got));
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_cannot_become_the_gateways_neighbour_entry)
{
	struct addr gateway;
	struct port *port;
	struct mac got;
	struct bed bed;

	bed_simple(&bed);
	gateway = bed.config.host4;
	arp_answered(&bed, 0, "10.0.2.2", "10.0.2.15");
	arp_answered(&bed, 0, "10.0.2.2", "10.0.2.2");
	ck_assert(!nat_neighbour(bed.nat, &gateway, &port, &got));
	ck_assert_int_eq(bed_connect(&bed, 0, 40000, "10.0.2.2", 80)->state, SIM_OPEN);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "nat_addr", test_gateway_answers_arp_for_its_addresses,
	    test_gateway_defends_its_addresses_against_probes,
	    test_static_guests_foreign_gateway_is_answered_for,
	    test_probes_and_announcements_are_never_answered,
	    test_other_guests_addresses_are_not_answered_for,
	    test_static_guest_with_a_foreign_address_is_served, test_impossible_sources_are_dropped,
	    test_impossible_destinations_are_dropped,
	    test_frames_between_guests_are_none_of_our_business,
	    test_broadcasts_of_guests_go_nowhere,
	    test_restricted_guests_reach_services_and_answer_forwards_only,
	    test_without_host_loopback_the_gateway_has_no_host_services,
	    test_truncated_frames_are_dropped, test_every_spoilt_byte_of_a_syn_does_no_harm,
	    test_wrong_ip_headers_are_dropped, test_ethernet_padding_is_not_data,
	    test_other_ethertypes_are_ignored, test_ipv6_frames_do_no_harm_while_it_is_off,
	    test_impossible_ipv6_destinations_are_dropped,
	    test_neighbours_are_learnt_and_forgotten_with_their_port,
	    test_guest_cannot_become_the_gateways_neighbour_entry);
}
