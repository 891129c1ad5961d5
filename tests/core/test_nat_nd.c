/* IPv6 that IPv4 has no counterpart of: neighbour discovery, router solicitations, scopes,
 * extension headers. The scenarios that both families share run for both in the other files. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>

#define LINKLOCAL "fe80::5055:aff:fe00:202" /* of 52:55:0a:00:02:02 */
#define GUEST "fec0::f"
#define AWAY "2001:db8::7"

static const struct mac all_nodes_mac = {{0x33, 0x33, 0, 0, 0, 1}};

static struct frames_ends ends_to(struct bed *bed, const char *src, const char *dst)
{
	struct frames_ends ends = {.src_mac = bed_guest_mac(0),
				   .dst_mac = bed->config.mac,
				   .src = bed_addr(src),
				   .dst = bed_addr(dst),
				   .ttl = 255};

	if (addr_is_multicast(&ends.dst)) {
		ends.dst_mac = (struct mac){{0x33, 0x33}};
		memcpy(ends.dst_mac.b + 2, ends.dst.b + 12, 4);
	}
	return ends;
}

static struct addr solicited_node(const char *target)
{
	struct addr addr = bed_addr(target);

	return (struct addr){{0xff, 0x02, [11] = 1, 0xff, addr.b[13], addr.b[14], addr.b[15]}};
}

static struct guestsim *start(struct bed *bed)
{
	bed_use_v6();
	return bed_simple(bed);
}

/* Sends a frame; the one packet that came back, or false. */
static bool ask(struct bed *bed, unsigned n, const struct wire_out *out, struct packet *ret,
		uint8_t keep[2048])
{
	struct fake_frame *frame;
	struct packet p;
	bool any = false;

	bed->guests[n].deaf = true;
	bed_inject(bed, n, out);
	while (bed_next_packet(bed, n, &p, &frame)) {
		ck_assert_msg(!any, "more than one answer");
		ck_assert_uint_le(frame->len, 2048);
		memcpy(keep, frame->bytes, frame->len);
		packet_parse(ret, keep, frame->len);
		free(frame);
		any = true;
	}
	bed->guests[n].deaf = false;
	return any;
}

static void build_solicitation(struct bed *bed, struct wire_out *out, const char *src,
			       const char *target)
{
	struct frames_ends ends = ends_to(bed, src, "ff02::1");
	struct addr dst = solicited_node(target);
	struct frames_nd nd = {135, 0, bed_addr(target), bed_guest_mac(0)};

	ends.dst = dst;
	memcpy(ends.dst_mac.b + 2, dst.b + 12, 4);
	if (!addr_is_unspecified(&ends.src)) {
		frames_nd(out, &ends, &nd);
		return;
	}
	/* RFC 4861 section 4.3: no link-layer address from who has no address. */
	frames_icmp(out, &ends, &(struct frames_icmp){.type = 135}, frames_bytes(nd.target.b, 16));
}

/* Whether the solicitation is answered, and rightly. */
static bool answered(struct bed *bed, unsigned n, const char *src, const char *target)
{
	struct addr source = bed_addr(src), wanted = bed_addr(target), all = bed_addr("ff02::1");
	bool probe = addr_is_unspecified(&source);
	uint8_t bytes[200], keep[2048];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct mac mac = bed_guest_mac(0);
	struct packet p;

	build_solicitation(bed, &out, src, target);
	if (!ask(bed, n, &out, &p, keep))
		return false;
	ck_assert_uint_eq(p.icmp_type, 136);
	ck_assert_uint_eq(p.icmp_code, 0);
	ck_assert_uint_eq(p.ttl, 255);
	ck_assert_uint_eq(p.icmp_rest, probe ? 0xa0000000 : 0xe0000000); /* R, S, O */
	ck_assert_uint_eq(p.payload_len, 24);
	ck_assert_mem_eq(p.payload, wanted.b, 16);
	ck_assert_mem_eq(p.payload + 16, "\x02\x01\x52\x55\x0a\x00\x02\x02", 8);
	ck_assert(addr_eq(&p.src, &wanted));
	ck_assert(addr_eq(&p.dst, probe ? &all : &source));
	ck_assert(mac_eq(&p.dst_mac, probe ? &all_nodes_mac : &mac));
	return true;
}

START_TEST(test_gateway_advertises_its_addresses)
{
	struct bed bed;

	start(&bed);
	ck_assert(answered(&bed, 0, GUEST, "fec0::2"));
	ck_assert(answered(&bed, 0, GUEST, "fec0::3"));
	ck_assert(answered(&bed, 0, GUEST, LINKLOCAL));
	ck_assert(answered(&bed, 0, "fe80::1:2", LINKLOCAL));
	ck_assert(!answered(&bed, 0, GUEST, "fec0::4"));
	ck_assert(!answered(&bed, 0, GUEST, GUEST));
	bed_finish(&bed);
}
END_TEST

START_TEST(test_gateway_defends_its_addresses_against_duplicates)
{
	struct bed bed;

	start(&bed);
	ck_assert(answered(&bed, 0, "::", "fec0::2"));
	ck_assert(answered(&bed, 0, "::", LINKLOCAL));
	ck_assert(!answered(&bed, 0, "::", GUEST));
	ck_assert(!answered(&bed, 0, "::", "fe80::1")); /* not even as a foreign gateway */
	bed_finish(&bed);
}
END_TEST

START_TEST(test_service_addresses_are_answered_for)
{
	struct bed bed;

	bed_use_v6();
	bed_init(&bed);
	bed.config.service_addrs[bed.config.service_addrs_n++] = bed_addr("fec0::4");
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	ck_assert(answered(&bed, 0, GUEST, "fec0::4"));
	bed_finish(&bed);
}
END_TEST

START_TEST(test_static_guests_foreign_gateway_is_answered_for)
{
	struct bed bed;

	start(&bed);
	ck_assert(answered(&bed, 0, GUEST, "fe80::1"));
	ck_assert(answered(&bed, 0, "2001:db8:5::9", "2001:db8:5::1"));
	bed_add_guest(&bed, 1);
	ck_assert(!answered(&bed, 0, GUEST, "fe80::2")); /* another guest may be */
	ck_assert(answered(&bed, 0, GUEST, "fe80::2"));
	ck_assert(!answered(&bed, 0, GUEST, "fec0::99"));
	ck_assert(!answered(&bed, 0, GUEST, "fec0::99"));
	bed_finish(&bed);
}
END_TEST

START_TEST(test_known_neighbour_is_no_foreign_gateway)
{
	struct addr other = bed_addr("fe80::77");
	struct mac mac = bed_guest_mac(1);
	struct bed bed;

	start(&bed);
	bed_add_guest(&bed, 1);
	nat_neighbour_set(bed.nat, &other, &mac, &bed.guests[1].port.port);
	ck_assert(!answered(&bed, 0, GUEST, "fe80::77"));
	ck_assert(!answered(&bed, 0, GUEST, "fe80::77"));
	bed_finish(&bed);
}
END_TEST

/* One byte of a good solicitation for fec0::2 changed, checksum right unless that is it. */
static bool spoilt_is_answered(struct bed *bed, size_t at, uint8_t value, bool fix_checksum)
{
	struct frames_ends ends = ends_to(bed, GUEST, "fec0::2");
	uint8_t bytes[200], keep[2048];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct frames_nd nd = {135, 0, bed_addr("fec0::2"), bed_guest_mac(0)};
	struct wire_out again;
	struct packet p;

	frames_nd(&out, &ends, &nd);
	bytes[at] = value;
	if (fix_checksum) {
		uint8_t body[24];
		memcpy(body, bytes + 62, sizeof(body));
		again = wire_out(bytes, sizeof(bytes));
		frames_icmp(&again, &ends, &(struct frames_icmp){bytes[54], bytes[55], 0},
			    frames_bytes(body, sizeof(body)));
	}
	return ask(bed, 0, &out, &p, keep);
}

START_TEST(test_invalid_solicitations_are_dropped)
{
	struct bed bed;

	start(&bed);
	ck_assert(spoilt_is_answered(&bed, 61, 0, true));
	ck_assert(!spoilt_is_answered(&bed, 14 + 7, 254, false)); /* hop limit: came by a router */
	ck_assert(!spoilt_is_answered(&bed, 56, 0xaa, false));    /* checksum */
	ck_assert(!spoilt_is_answered(&bed, 55, 1, true));        /* code */
	ck_assert(!spoilt_is_answered(&bed, 62, 0xff, true));     /* multicast target */
	ck_assert(!spoilt_is_answered(&bed, 79, 0, true));        /* option of length 0 */
	ck_assert(!spoilt_is_answered(&bed, 79, 2, true));        /* option cut short */
	ck_assert_uint_eq(nat_counters(bed.nat)->dropped_malformed, 6);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_probe_with_a_mac_or_to_a_wrong_group_is_dropped)
{
	struct frames_nd nd = {135, 0, bed_addr("fec0::2"), bed_guest_mac(0)};
	uint8_t bytes[200], keep[2048];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct frames_ends ends;
	struct packet p;
	struct bed bed;

	start(&bed);
	ends = ends_to(&bed, "::", "ff02::1:ff00:2");
	frames_nd(&out, &ends, &nd);
	ck_assert(!ask(&bed, 0, &out, &p, keep));
	ends = ends_to(&bed, "::", "ff02::1");
	out = wire_out(bytes, sizeof(bytes));
	frames_icmp(&out, &ends, &(struct frames_icmp){.type = 135}, frames_bytes(nd.target.b, 16));
	ck_assert(!ask(&bed, 0, &out, &p, keep));
	ck_assert_uint_eq(nat_counters(bed.nat)->dropped_malformed, 2);
	bed_finish(&bed);
}
END_TEST

static void advertise(struct bed *bed, const char *src, const char *target, const struct mac *mac)
{
	struct frames_ends ends = ends_to(bed, src, "ff02::1");
	uint8_t bytes[200];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	frames_nd(&out, &ends, &(struct frames_nd){136, 0x20000000, bed_addr(target), *mac});
	bed_inject(bed, 0, &out);
}

START_TEST(test_unsolicited_advertisements_are_believed_but_for_our_addresses)
{
	struct addr guest, gateway, linklocal;
	struct mac news = {{2, 2, 2, 2, 2, 2}}, got;
	struct port *port;
	struct bed bed;

	start(&bed);
	guest = bed_addr(GUEST);
	gateway = bed_addr("fec0::2");
	linklocal = bed_addr(LINKLOCAL);
	answered(&bed, 0, GUEST, "fec0::2");
	ck_assert(nat_neighbour(bed.nat, &guest, &port, &got));
	ck_assert(!mac_eq(&got, &news));
	advertise(&bed, GUEST, GUEST, &news);
	ck_assert(nat_neighbour(bed.nat, &guest, &port, &got));
	ck_assert(mac_eq(&got, &news));
	advertise(&bed, GUEST, "fec0::2", &news);
	advertise(&bed, "fec0::2", "fec0::2", &news);
	advertise(&bed, LINKLOCAL, LINKLOCAL, &news);
	ck_assert(!nat_neighbour(bed.nat, &gateway, &port, &got));
	ck_assert(!nat_neighbour(bed.nat, &linklocal, &port, &got));
	bed_finish(&bed);
}
END_TEST

struct solicited {
	unsigned calls;
	struct port *port;
	struct mac mac;
	struct addr from;
};

static void on_solicited(void *ctx, struct port *port, const struct mac *mac,
			 const struct addr *from)
{
	struct solicited *seen = ctx;

	*seen = (struct solicited){seen->calls + 1, port, *mac, *from};
}

static void solicit_router(struct bed *bed, const char *src, uint8_t ttl, bool with_mac)
{
	struct frames_ends ends = ends_to(bed, src, "ff02::2");
	static const uint8_t option[8] = {1, 1, 0x52, 0x54, 0, 0, 0, 15};
	uint8_t bytes[200];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	ends.ttl = ttl;
	frames_icmp(&out, &ends, &(struct frames_icmp){.type = 133},
		    frames_bytes(option, with_mac ? sizeof(option) : 0));
	bed_inject(bed, 0, &out);
}

START_TEST(test_router_solicitations_are_checked_and_handed_on)
{
	struct solicited seen = {0};
	struct mac mac;
	struct addr from;
	struct bed bed;

	bed_use_v6();
	bed_init(&bed);
	bed.config.router_solicited = on_solicited;
	bed.config.router_ctx = &seen;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	mac = bed_guest_mac(0);
	solicit_router(&bed, "::", 255, false);
	ck_assert_uint_eq(seen.calls, 1);
	ck_assert(addr_is_unspecified(&seen.from));
	ck_assert_ptr_eq(seen.port, &bed.guests[0].port.port);
	ck_assert(mac_eq(&seen.mac, &mac));
	solicit_router(&bed, "fe80::f", 255, true);
	ck_assert_uint_eq(seen.calls, 2);
	from = bed_addr("fe80::f");
	ck_assert(addr_eq(&seen.from, &from));
	solicit_router(&bed, "fe80::f", 64, true);
	solicit_router(&bed, "::", 255, true);
	solicit_router(&bed, LINKLOCAL, 255, true);
	ck_assert_uint_eq(seen.calls, 2);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_messages_of_the_gateway_leave_from_its_link_local_address)
{
	static const uint8_t advertisement[16] = {134};
	struct nat_udp_reply to;
	struct fake_frame *frame;
	struct packet p;
	struct bed bed;

	start(&bed);
	bed.guests[0].deaf = true;
	to = (struct nat_udp_reply){.port = &bed.guests[0].port.port,
				    .to_mac = all_nodes_mac,
				    .to = {bed_addr("ff02::1"), 0}};
	nat_icmp6_send(bed.nat, &to, advertisement, sizeof(advertisement));
	bed_settle(&bed);
	ck_assert(bed_next_packet(&bed, 0, &p, &frame));
	ck_assert(addr_eq(&p.src, nat_linklocal(bed.nat)));
	ck_assert_uint_eq(p.ttl, 255);
	ck_assert_uint_eq(p.icmp_type, 134);
	ck_assert_uint_eq(p.payload_len, 8);
	ck_assert(mac_eq(&p.dst_mac, &all_nodes_mac));
	free(frame);
	bed_finish(&bed);
}
END_TEST

struct heard {
	unsigned calls;
	struct nat_udp_meta meta;
};

static void on_datagram(void *ctx, const struct nat_udp_meta *meta, const uint8_t *payload,
			size_t len)
{
	struct heard *heard = ctx;

	(void)payload;
	(void)len;
	*heard = (struct heard){heard->calls + 1, *meta};
}

START_TEST(test_services_hear_multicast_from_link_local_guests_and_answer)
{
	struct heard heard = {0};
	uint8_t bytes[200];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct fake_frame *frame;
	struct frames_ends ends;
	struct packet p;
	struct bed bed;

	start(&bed);
	ck_assert_int_eq(nat_udp_service_add(bed.nat, 547, false, on_datagram, &heard), 0);
	ends = ends_to(&bed, "fe80::f", "ff02::1:2");
	frames_udp(&out, &ends, (struct frames_ports){546, 547}, frames_bytes("solicit", 7));
	bed_inject(&bed, 0, &out);
	ck_assert_uint_eq(heard.calls, 1);
	ck_assert(addr_eq(&heard.meta.guest.addr, &ends.src));
	ck_assert(addr_eq(&heard.meta.service.addr, &ends.dst));
	bed.guests[0].deaf = true;
	nat_udp_send(bed.nat,
		     &(struct nat_udp_reply){heard.meta.port,
					     heard.meta.guest_mac,
					     {*nat_linklocal(bed.nat), 547},
					     heard.meta.guest},
		     (const uint8_t *)"reply", 5);
	bed_settle(&bed);
	ck_assert(bed_next_packet(&bed, 0, &p, &frame));
	ck_assert_uint_eq(p.dst_port, 546);
	ck_assert(addr_eq(&p.src, nat_linklocal(bed.nat)));
	ck_assert(addr_eq(&p.dst, &ends.src));
	ck_assert_mem_eq(p.payload, "reply", 5);
	free(frame);
	bed_finish(&bed);
}
END_TEST

/* The error that a UDP datagram with these ends comes back as. */
static void check_refused(struct bed *bed, const char *src, const char *dst, unsigned error)
{
	struct frames_ends ends = ends_to(bed, src, dst);
	uint8_t bytes[200], keep[2048];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct packet p, quoted;

	frames_udp(&out, &ends, (struct frames_ports){5000, 7}, frames_bytes("hello", 5));
	ck_assert_msg(ask(bed, 0, &out, &p, keep), "no answer about %s to %s", src, dst);
	ck_assert_uint_eq(p.icmp_type << 8 | p.icmp_code, error);
	ck_assert(addr_eq(&p.dst, &ends.src));
	packet_parse_quoted(&quoted, p.payload, p.payload_len);
	ck_assert_msg(!quoted.fault, "%s", quoted.fault);
	ck_assert(addr_eq(&quoted.dst, &ends.dst));
	ck_assert_uint_eq(bed->host.count.sends, 0);
}

START_TEST(test_link_local_guests_reach_the_gateway_alone)
{
	struct addr loopback = {{[15] = 1}};
	uint8_t bytes[200];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct frames_ends ends;
	struct fake_sent *sent;
	struct bed bed;

	start(&bed);
	check_refused(&bed, "fe80::f", AWAY, 0x102);     /* beyond scope of source address */
	check_refused(&bed, GUEST, "fe80::1234", 0x103); /* address unreachable */
	check_refused(&bed, GUEST, "fec0::1234", 0x103);
	ends = ends_to(&bed, "fe80::f", LINKLOCAL);
	bed.host.udp_echo = true;
	bed.guests[0].deaf = true;
	frames_udp(&out, &ends, (struct frames_ports){5000, 7}, frames_bytes("hello", 5));
	bed_inject(&bed, 0, &out);
	sent = fake_host_sent_pop(&bed.host);
	ck_assert_ptr_nonnull(sent);
	ck_assert(addr_eq(&sent->to.addr, &loopback));
	free(sent);
	for (struct fake_frame *frame;;) {
		struct packet p;
		ck_assert_msg(bed_next_packet(&bed, 0, &p, &frame), "no answer");
		free(frame);
		if (p.kind != PACKET_UDP)
			continue;
		ck_assert(addr_eq(&p.src, &ends.dst)); /* whom the guest has asked */
		break;
	}
	bed_finish(&bed);
}
END_TEST

START_TEST(test_restricted_guest_reaches_the_gateway_but_nothing_of_the_host)
{
	struct guestsim *sim;
	struct addr gateway;
	struct bed bed;

	bed_use_v6();
	bed_init(&bed);
	bed.config.restrict_guests = true;
	bed_start(&bed);
	sim = bed_add_guest(&bed, 0);
	check_refused(&bed, GUEST, AWAY, 0x101); /* administratively prohibited */
	check_refused(&bed, GUEST, "fec0::2", 0x104);
	gateway = bed_addr("fec0::2");
	guestsim_ping(sim, &gateway, 7, frames_bytes(NULL, 0));
	bed_settle(&bed);
	struct guestsim_icmp *icmp = guestsim_icmp_pop(sim);
	ck_assert_ptr_nonnull(icmp);
	ck_assert_uint_eq(icmp->type, 129);
	free(icmp);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_impossible_sources_are_dropped)
{
	static const char *const sources[] = {"::",      "::1", "ff02::1", "fec0::2",
					      "fec0::3", "::7", LINKLOCAL, "::10.0.2.15"};
	struct bed bed;

	start(&bed);
	bed.guests[0].deaf = true;
	for (unsigned i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct frames_ends ends = ends_to(&bed, sources[i], AWAY);
		uint8_t bytes[200];
		struct wire_out out = wire_out(bytes, sizeof(bytes));

		frames_udp(&out, &ends, (struct frames_ports){5000, 7}, frames_bytes("x", 1));
		bed_inject(&bed, 0, &out);
		out = wire_out(bytes, sizeof(bytes));
		frames_tcp(&out, &ends,
			   &(struct frames_tcp){.src_port = 1, .dst_port = 80, .flags = FLAG_SYN},
			   frames_bytes(NULL, 0));
		bed_inject(&bed, 0, &out);
		out = wire_out(bytes, sizeof(bytes));
		frames_icmp(&out, &ends, &(struct frames_icmp){128, 0, 1}, frames_bytes(NULL, 0));
		bed_inject(&bed, 0, &out);
	}
	ck_assert_uint_eq(bed.host.count.sends + bed.host.count.dials, 0);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed.faults_expected = true;
	bed_finish(&bed);
}
END_TEST

/* One extension header of 8 bytes before a UDP datagram to AWAY. */
static void build_extended(struct bed *bed, struct wire_out *out, uint8_t kind, const char *body)
{
	struct frames_ends ends = ends_to(bed, GUEST, AWAY);
	uint8_t udp[13 + 8];
	struct wire_out message = wire_out(udp, sizeof(udp));

	frames_udp_message(&message, &ends, (struct frames_ports){5000, 7},
			   frames_bytes("hello", 5));
	frames_ip(out, &ends, kind, 8 + wire_len(&message));
	wire_put_u8(out, PROTO_UDP);
	wire_put_u8(out, 0);
	wire_put_bytes(out, body, 6);
	wire_put_bytes(out, udp, wire_len(&message));
}

START_TEST(test_datagram_behind_known_extension_headers_goes_out)
{
	static const uint8_t kinds[] = {0, 43, 44, 60};
	struct bed bed;

	start(&bed);
	for (unsigned i = 0; i < sizeof(kinds); i++) {
		uint8_t bytes[200];
		struct wire_out out = wire_out(bytes, sizeof(bytes));
		struct fake_sent *sent;

		build_extended(&bed, &out, kinds[i], "\0\0\0\0\0\0");
		bed_inject(&bed, 0, &out);
		sent = fake_host_sent_pop(&bed.host);
		ck_assert_msg(sent, "header %u", kinds[i]);
		ck_assert_mem_eq(sent->bytes, "hello", 5);
		free(sent);
	}
	bed_finish(&bed);
}
END_TEST

static void check_problem(struct bed *bed, uint8_t kind, const char *body, uint8_t code,
			  uint32_t pointer)
{
	uint8_t bytes[200], keep[2048];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct packet p;

	build_extended(bed, &out, kind, body);
	ck_assert_msg(ask(bed, 0, &out, &p, keep), "header %u", kind);
	ck_assert_uint_eq(p.icmp_type, 4);
	ck_assert_uint_eq(p.icmp_code, code);
	ck_assert_uint_eq(p.icmp_rest, pointer);
	ck_assert_uint_eq(bed->host.count.sends, 0);
}

START_TEST(test_headers_that_are_not_understood_are_pointed_at)
{
	struct bed bed;

	start(&bed);
	check_problem(&bed, 132, "\0\0\0\0\0\0", 1, 6); /* SCTP: next header not recognised */
	check_problem(&bed, 50, "\0\0\0\0\0\0", 1, 6);
	check_problem(&bed, 43, "\0\1\0\0\0\0", 0, 42); /* segments left */
	check_problem(&bed, 60, "\x9e\0\0\0\0\0", 2, 42);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_no_error_about_an_error_nor_about_multicast)
{
	struct frames_ends ends;
	uint8_t bytes[200], keep[2048];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct packet p;
	struct bed bed;

	start(&bed);
	ends = ends_to(&bed, "fe80::f", AWAY); /* beyond its scope */
	frames_icmp(&out, &ends, &(struct frames_icmp){.type = 3}, frames_bytes("quoted", 6));
	ck_assert(!ask(&bed, 0, &out, &p, keep));
	ends = ends_to(&bed, GUEST, "ff02::1");
	out = wire_out(bytes, sizeof(bytes));
	frames_ip(&out, &ends, 132, 0);
	ck_assert(!ask(&bed, 0, &out, &p, keep));
	bed_finish(&bed);
}
END_TEST

START_TEST(test_all_nodes_ping_is_answered_by_the_gateway)
{
	struct frames_ends ends;
	uint8_t bytes[200], keep[2048];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct packet p;
	struct bed bed;

	start(&bed);
	ends = ends_to(&bed, "fe80::f", "ff02::1");
	frames_icmp(&out, &ends, &(struct frames_icmp){128, 0, 77}, frames_bytes("x", 1));
	ck_assert(ask(&bed, 0, &out, &p, keep));
	ck_assert_uint_eq(p.icmp_type, 129);
	ck_assert_uint_eq(p.icmp_rest, 77);
	ck_assert(addr_eq(&p.src, nat_linklocal(bed.nat)));
	bed_finish(&bed);
}
END_TEST

START_TEST(test_ping_without_a_route_is_told_at_once)
{
	struct addr away;
	struct guestsim_icmp *icmp;
	struct guestsim *sim;
	struct bed bed;

	sim = start(&bed);
	away = bed_addr(AWAY);
	guestsim_ping(sim, &away, 1, frames_bytes(NULL, 0));
	bed_settle(&bed);
	fake_host_handle(&bed.host, fake_host_nth(&bed.host, FAKE_PING, 0))->send_error =
	    -ENETUNREACH;
	guestsim_ping(sim, &away, 2, frames_bytes(NULL, 0));
	bed_settle(&bed);
	icmp = guestsim_icmp_pop(sim);
	ck_assert_ptr_nonnull(icmp);
	ck_assert_uint_eq(icmp->type << 8 | icmp->code, 0x100); /* no route to destination */
	free(icmp);
	bed_finish(&bed);
}
END_TEST

/* Captured from guests of QEMU, with fd5a:1::/64 for a net. */
struct captured {
	const char *what, *hex;
	uint8_t answer; /* ICMPv6 type; 0: none */
	unsigned solicitations, datagrams;
};

static size_t from_hex(const char *hex, uint8_t *ret)
{
	size_t n = 0;

	for (; hex[2 * n]; n++) {
		unsigned byte;
		ck_assert_int_eq(sscanf(hex + 2 * n, "%2x", &byte), 1);
		ret[n] = (uint8_t)byte;
	}
	return n;
}

static void play(struct bed *bed, const struct captured *c, struct solicited *solicited,
		 struct heard *heard)
{
	unsigned calls = solicited->calls, datagrams = heard->calls;
	uint8_t bytes[300], keep[2048];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct packet p;
	bool any;

	out.at += from_hex(c->hex, bytes);
	if (!(bytes[0] & 1))
		memcpy(bytes, bed->config.mac.b, 6); /* its gateway had another */
	any = ask(bed, 0, &out, &p, keep);
	ck_assert_msg(any == (c->answer != 0), "%s", c->what);
	ck_assert_msg(!any || p.icmp_type == c->answer, "%s: %u", c->what, p.icmp_type);
	ck_assert_msg(solicited->calls - calls == c->solicitations, "%s", c->what);
	ck_assert_msg(heard->calls - datagrams == c->datagrams, "%s", c->what);
}

START_TEST(test_frames_of_real_guests_are_understood)
{
	static const struct captured captures[] = {
	    {"Linux: is fe80::5054:ff:fe12:3456 taken? With a nonce (RFC 7527)",
	     "3333ff12345652540012345686dd6000000000203aff00000000000000000000000000000000ff02"
	     "00000000000000000001ff12345687008ca200000000fe80000000000000505400fffe1234560e01"
	     "74a02d0587b1",
	     0, 0, 0},
	    {"Linux: router solicitation",
	     "33330000000252540012345686dd6000000000103afffe80000000000000505400fffe123456ff02"
	     "0000000000000000000000000002850071b5000000000101525400123456",
	     0, 1, 0},
	    {"dhclient: information request",
	     "33330001000252540012345686dd600a3d68002c1101fe80000000000000505400fffe123456ff02"
	     "000000000000000000000001000202220223002cc3740b7b23c60001000a00030001525400123456"
	     "00060008001700180027001f000800020000",
	     0, 0, 1},
	    {"Linux: who has fd5a:1::2?",
	     "3333ff00000252540012345686dd6000000000203afffd5a000100000000505400fffe123456ff02"
	     "00000000000000000001ff0000028700746a00000000fd5a00010000000000000000000000020101"
	     "525400123456",
	     136, 0, 0},
	    {"OVMF: is its link-local address taken? Without options",
	     "3333ff12345652540012345686dd6000000000183aff00000000000000000000000000000000ff02"
	     "00000000000000000001ff1234568700c40200000000fe80000000000000505400fffe123456",
	     0, 0, 0},
	    {"OVMF: router solicitation from no address",
	     "33330000000252540012345686dd6000000000083aff00000000000000000000000000000000ff02"
	     "000000000000000000000000000285007bb800000000",
	     0, 1, 0},
	    {"OVMF: DHCPv6 solicit for HTTP boot",
	     "33330001000252540012345686dd6000000000781180fe80000000000000505400fffe123456ff02"
	     "00000000000000000000000100020222022300782c4701ff7e2a0001000e0001000131da5af95254"
	     "001234560008000200000003000cfc762c1bffffffffffffffff00060008003b003c00170010003e"
	     "0003010300003d000200100010002700000157002148545450436c69656e743a417263683a303030"
	     "31363a554e44493a303033303030",
	     0, 0, 1},
	    {"OVMF: who has fd5a:1::2?",
	     "3333ff00000252540012345686dd6000000000203afffd5a0001000000000000000000000015ff02"
	     "00000000000000000001ff0000028700f81100000000fd5a00010000000000000000000000020101"
	     "525400123456",
	     136, 0, 0},
	    {"Linux: ping of fd5a:1::2",
	     "52560000000252540012345686dd6005930a00403a40fd5a000100000000505400fffe123456fd5a"
	     "00010000000000000000000000028000dd5e00750000ec3837020000000000000000000000000000"
	     "0000000000000000000000000000000000000000000000000000000000000000000000000000",
	     129, 0, 0},
	};
	struct solicited solicited = {0};
	struct heard heard = {0};
	struct bed bed;

	bed_use_v6();
	bed_init(&bed);
	bed.config.net6 = (struct subnet){bed_addr("fd5a:1::"), 64};
	bed.config.host6 = bed_addr("fd5a:1::2");
	bed.config.dns6 = bed_addr("fd5a:1::3");
	bed.config.router_solicited = on_solicited;
	bed.config.router_ctx = &solicited;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	ck_assert_int_eq(nat_udp_service_add(bed.nat, 547, false, on_datagram, &heard), 0);
	for (unsigned i = 0; i < sizeof(captures) / sizeof(captures[0]); i++)
		play(&bed, &captures[i], &solicited, &heard);
	ck_assert_uint_eq(nat_counters(bed.nat)->dropped_malformed, 0);
	ck_assert_uint_eq(nat_counters(bed.nat)->dropped_address, 0);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "nat_nd", test_gateway_advertises_its_addresses,
	    test_gateway_defends_its_addresses_against_duplicates,
	    test_service_addresses_are_answered_for,
	    test_static_guests_foreign_gateway_is_answered_for,
	    test_known_neighbour_is_no_foreign_gateway, test_invalid_solicitations_are_dropped,
	    test_probe_with_a_mac_or_to_a_wrong_group_is_dropped,
	    test_unsolicited_advertisements_are_believed_but_for_our_addresses,
	    test_router_solicitations_are_checked_and_handed_on,
	    test_messages_of_the_gateway_leave_from_its_link_local_address,
	    test_services_hear_multicast_from_link_local_guests_and_answer,
	    test_link_local_guests_reach_the_gateway_alone,
	    test_restricted_guest_reaches_the_gateway_but_nothing_of_the_host,
	    test_impossible_sources_are_dropped,
	    test_datagram_behind_known_extension_headers_goes_out,
	    test_headers_that_are_not_understood_are_pointed_at,
	    test_no_error_about_an_error_nor_about_multicast,
	    test_all_nodes_ping_is_answered_by_the_gateway,
	    test_ping_without_a_route_is_told_at_once, test_frames_of_real_guests_are_understood);
}
