/* IPv6's services through the real program: router advertisements, DHCPv6, names and DNS, the
 * host's loopback and forwards. The test plays a guest that speaks IPv6. */
#include "stack/base/wire.h"
#include "tests/support/dhcp6_bed.h"
#include "tests/support/dhcp_client.h"
#include "tests/support/frames.h"
#include "tests/support/packet.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TYPE_A = 1, TYPE_PTR = 12, TYPE_AAAA = 28 };
enum { RS = 133, RA = 134, NS = 135, NA = 136 };

#define DNS_PORT 53
#define ASKER_PORT 40000

static struct process_place place;
static struct process process;

static struct guest {
	int fd;
	struct mac mac;
	struct addr linklocal, addr;
	uint8_t frame[2048]; /* the last one received */
	struct packet packet;
} guest;

static const struct mac gateway_mac = {{0x52, 0x55, 10, 0, 2, 2}};
static struct addr gateway, dns, all_nodes, gateway_linklocal;

static void set_up(const char *line)
{
	gateway = dhcp6_addr("fec0::2");
	dns = dhcp6_addr("fec0::3");
	all_nodes = dhcp6_addr("ff02::1");
	gateway_linklocal = dhcp6_addr("fe80::5055:aff:fe00:202");
	process_place_make(&place);
	process_start(&process, &place, line);
	guest = (struct guest){.fd = guest_connect(place.socket_path), .mac = dhcp6_mac(1)};
	guest.linklocal = dhcp6_addr("fe80::5054:ff:fe00:1");
	guest.addr = dhcp6_addr("fec0::5054:ff:fe00:1");
}

static void take_down(void)
{
	close(guest.fd);
	process_kill(&process);
	process_place_remove(&place);
}

static void send_frame(const struct wire_out *out)
{
	ck_assert(!out->bad);
	guest_send(guest.fd, out->start, wire_len(out));
}

static struct frames_ends ends_of(const struct addr *src, const struct addr *dst)
{
	struct frames_ends ends = {
	    .src_mac = guest.mac, .dst_mac = gateway_mac, .src = *src, .dst = *dst, .ttl = 255};

	if (addr_is_multicast(dst)) {
		ends.dst_mac = (struct mac){{0x33, 0x33}};
		memcpy(ends.dst_mac.b + 2, dst->b + 12, 4);
	}
	return ends;
}

/* The gateway asks who has an address of ours. */
static void answer_solicitation(void)
{
	struct frames_icmp icmp = {.type = NA, .rest = 0x60000000};
	struct frames_ends ends;
	struct addr target;
	uint8_t bytes[256], body[24] = {[16] = 2, 1};
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	ck_assert_uint_ge(guest.packet.payload_len, 16);
	memcpy(target.b, guest.packet.payload, 16);
	if (!addr_eq(&target, &guest.addr) && !addr_eq(&target, &guest.linklocal))
		return;
	memcpy(body, target.b, 16);
	memcpy(body + 18, guest.mac.b, 6);
	ends = ends_of(&target, &guest.packet.src);
	frames_icmp(&out, &ends, &icmp, frames_bytes(body, sizeof(body)));
	send_frame(&out);
}

/* The next packet of a kind: for ICMP of a type, else to one of our ports. What else comes is
 * passed over. */
static void receive(enum packet_kind kind, unsigned number)
{
	struct packet *p = &guest.packet;

	for (;;) {
		packet_parse(p, guest.frame,
			     guest_receive(guest.fd, guest.frame, sizeof(guest.frame)));
		ck_assert_msg(p->fault == NULL, "%s", p->fault);
		if (p->kind == PACKET_ICMP && p->icmp_type == NS)
			answer_solicitation();
		if (p->kind == kind && (kind == PACKET_ICMP ? p->icmp_type : p->dst_port) == number)
			return;
	}
}

static void send_udp(const struct addr *src, const struct addr *dst, struct frames_ports ports,
		     struct iovec payload)
{
	struct frames_ends ends = ends_of(src, dst);
	uint8_t bytes[2048];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	frames_udp(&out, &ends, ports, payload);
	send_frame(&out);
}

/* ---- router advertisements ---- */

static void solicit_router(const struct addr *src)
{
	struct addr all_routers = dhcp6_addr("ff02::2");
	struct frames_ends ends = ends_of(src, &all_routers);
	struct frames_icmp icmp = {.type = RS};
	uint8_t bytes[256], option[8] = {1, 1};
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	memcpy(option + 2, guest.mac.b, 6);
	frames_icmp(&out, &ends, &icmp,
		    frames_bytes(option, addr_is_unspecified(src) ? 0 : sizeof(option)));
	send_frame(&out);
}

/* The option of a type in the advertisement at hand; its 'payload' begins behind the fourth of the
 * header's words. NULL. */
static const uint8_t *ra_option(uint8_t type)
{
	const struct packet *p = &guest.packet;

	for (size_t at = 8; at + 8 <= p->payload_len; at += 8u * p->payload[at + 1]) {
		ck_assert_uint_gt(p->payload[at + 1], 0);
		if (p->payload[at] == type)
			return p->payload + at;
	}
	return NULL;
}

static unsigned router_lifetime(void)
{
	return guest.packet.icmp_rest & 0xffff;
}

START_TEST(test_solicitations_are_answered_at_once)
{
	struct addr none = {{0}};
	const uint8_t *prefix;

	set_up("--mtu|1400|--dnssearch|a.example");
	receive(PACKET_ICMP, RA); /* at attaching, to all */
	ck_assert(addr_eq(&guest.packet.dst, &all_nodes));
	solicit_router(&guest.linklocal);
	do
		receive(PACKET_ICMP, RA);
	while (addr_eq(&guest.packet.dst, &all_nodes)); /* a periodic one */
	ck_assert(addr_eq(&guest.packet.dst, &guest.linklocal));
	ck_assert(mac_eq(&guest.packet.dst_mac, &guest.mac));
	ck_assert(addr_eq(&guest.packet.src, &gateway_linklocal));
	ck_assert_uint_eq(guest.packet.ttl, 255);
	ck_assert_uint_eq(guest.packet.icmp_rest >> 16, 0x40c0); /* hop limit, M and O */
	prefix = ra_option(3);
	ck_assert_mem_eq(prefix + 2, "\100\300", 2);
	ck_assert_mem_eq(prefix + 16, gateway.b, 15);
	ck_assert_mem_eq(ra_option(5) + 4, "\0\0\5\170", 4);
	ck_assert_mem_eq(ra_option(25) + 8, dns.b, 16);
	ck_assert_mem_eq(ra_option(31) + 8, "\1a\7example\0\5lwnat\10internal", 26);
	ck_assert_mem_eq(ra_option(1) + 2, gateway_mac.b, 6);
	solicit_router(&none);
	receive(PACKET_ICMP, RA);
	ck_assert(addr_eq(&guest.packet.dst, &all_nodes));
	take_down();
}
END_TEST

START_TEST(test_the_end_is_told_to_guests)
{
	set_up("");
	receive(PACKET_ICMP, RA);
	ck_assert_int_eq(kill(process.pid, SIGTERM), 0);
	do
		receive(PACKET_ICMP, RA);
	while (memcmp(ra_option(25) + 4, "\0\0\0\0", 4) != 0);
	ck_assert_uint_eq(router_lifetime(), 0);
	take_down();
}
END_TEST

START_TEST(test_a_restricted_guest_has_no_router_and_no_dns)
{
	set_up("--restrict|on");
	receive(PACKET_ICMP, RA);
	ck_assert_uint_eq(router_lifetime(), 0);
	ck_assert_ptr_nonnull(ra_option(3));
	ck_assert_ptr_null(ra_option(25));
	take_down();
}
END_TEST

/* As a guest does before it speaks to an address. */
static void solicit_neighbour(const struct addr *target)
{
	struct addr node = dhcp6_addr("ff02::1:ff00:0");
	struct frames_icmp icmp = {.type = NS};
	struct frames_ends ends;
	uint8_t bytes[256], body[24] = {[16] = 1, 1};
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	memcpy(node.b + 13, target->b + 13, 3);
	memcpy(body, target->b, 16);
	memcpy(body + 18, guest.mac.b, 6);
	ends = ends_of(&guest.addr, &node);
	frames_icmp(&out, &ends, &icmp, frames_bytes(body, sizeof(body)));
	send_frame(&out);
	receive(PACKET_ICMP, NA);
	ck_assert_mem_eq(guest.packet.payload, target->b, 16);
}

/* ---- DHCPv6 ---- */

/* The reply's options; fails when there is none of that type. */
static struct dhcp6_view exchange_dhcp(const struct dhcp6_built *m, uint8_t type)
{
	struct addr servers = dhcp6_addr("ff02::1:2");

	send_udp(&guest.linklocal, &servers, (struct frames_ports){546, 547},
		 frames_bytes(m->bytes, m->len));
	receive(PACKET_UDP, 546);
	ck_assert(addr_eq(&guest.packet.src, &gateway_linklocal));
	ck_assert_uint_eq(guest.packet.src_port, 547);
	ck_assert(addr_eq(&guest.packet.dst, &guest.linklocal));
	ck_assert_uint_gt(guest.packet.payload_len, 4);
	ck_assert_uint_eq(guest.packet.payload[0], type);
	return (struct dhcp6_view){guest.packet.payload + 4, guest.packet.payload_len - 4};
}

/* Solicit with rapid commit, and a name. */
static void lease(const char *name)
{
	struct dhcp6_built m = dhcp6_build(SOLICIT, 1);
	struct dhcp6_view reply, ia;

	dhcp6_build_put(&m, 14, "", 0);
	dhcp6_build_ia(&m, 1, NULL);
	dhcp6_build_name(&m, name);
	reply = exchange_dhcp(&m, REPLY);
	ia = dhcp6_find(reply.at, reply.len, 3);
	ck_assert_uint_eq(ia.len, 12 + 28);
	memcpy(guest.addr.b, ia.at + 16, 16);
}

START_TEST(test_dhcpv6_tells_addresses_dns_and_a_boot_file)
{
	struct dhcp6_built m = dhcp6_build(SOLICIT, 1);
	struct dhcp6_view reply, v;
	struct addr first = dhcp6_addr("fec0::15");

	set_up("--bootfile|pxe/boot.efi");
	dhcp6_build_ia(&m, 1, NULL);
	dhcp6_build_put(&m, 6, "\0\27\0\73", 4);
	reply = exchange_dhcp(&m, ADVERTISE);
	v = dhcp6_find(reply.at, reply.len, 23);
	ck_assert_mem_eq(v.at, dns.b, 16);
	v = dhcp6_find(reply.at, reply.len, 59);
	ck_assert_uint_eq(v.len, 29);
	ck_assert_mem_eq(v.at, "tftp://[fec0::2]/pxe/boot.efi", v.len);
	lease("web");
	ck_assert(addr_eq(&guest.addr, &first));
	m = dhcp6_build(INFORMATION_REQUEST, 1);
	reply = exchange_dhcp(&m, REPLY);
	ck_assert_uint_eq(dhcp6_find(reply.at, reply.len, 23).len, 16);
	take_down();
}
END_TEST

START_TEST(test_leases_are_listed)
{
	char line[PATH_MAX + 200], text[1024];
	FILE *ctl;
	size_t len;

	set_up("");
	lease("web");
	snprintf(line, sizeof(line), "XDG_RUNTIME_DIR=%s %s ctl leases", place.dir, place.program);
	ctl = popen(line, "r");
	ck_assert_ptr_nonnull(ctl);
	len = fread(text, 1, sizeof(text) - 1, ctl);
	text[len] = '\0';
	ck_assert_int_eq(pclose(ctl), 0);
	ck_assert_msg(strstr(text, "fec0::15") && strstr(text, "web"), "%s", text);
	take_down();
}
END_TEST

START_TEST(test_a_lease_is_the_same_after_a_restart)
{
	struct dhcp6_built m = dhcp6_build(SOLICIT, 2);
	struct addr kept;
	char line[200], path[160], head[] = "--lease-file|";

	/* The place is made by set_up(), and the file lies beside it. */
	snprintf(path, sizeof(path), "/tmp/lwnat-leases.%d", (int)getpid());
	snprintf(line, sizeof(line), "%s%s", head, path);
	set_up(line);
	dhcp6_build_put(&m, 14, "", 0);
	dhcp6_build_ia(&m, 9, NULL);
	exchange_dhcp(&m, REPLY); /* another system of this card, which takes ::15 */
	guest.mac = dhcp6_mac(3);
	lease("web"); /* ::16 */
	kept = guest.addr;
	ck_assert_int_eq(kill(process.pid, SIGTERM), 0);
	process_finish(&process);
	close(guest.fd);
	process_place_remove(&place);

	set_up(line);
	guest.mac = dhcp6_mac(3);
	lease("web");
	ck_assert(addr_eq(&guest.addr, &kept));
	kept = dhcp6_addr("fec0::16");
	ck_assert(addr_eq(&guest.addr, &kept));
	take_down();
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/* ---- DNS ---- */

static size_t build_query(uint8_t *bytes, size_t max, const char *name, uint16_t type)
{
	struct wire_out out = wire_out(bytes, max);

	wire_put_u16(&out, 0x1234);
	wire_put_u16(&out, 0x0100); /* RD */
	wire_put_u16(&out, 1);
	wire_put_zero(&out, 6);
	while (*name != '\0') {
		size_t len = strcspn(name, ".");

		wire_put_u8(&out, (uint8_t)len);
		wire_put_bytes(&out, name, len);
		name += len + (name[len] == '.');
	}
	wire_put_u8(&out, 0);
	wire_put_u16(&out, type);
	wire_put_u16(&out, 1);
	ck_assert(!out.bad);
	return wire_len(&out);
}

static void ask(const char *name, uint16_t type)
{
	uint8_t query[300];
	size_t len = build_query(query, sizeof(query), name, type);

	send_udp(&guest.addr, &dns, (struct frames_ports){ASKER_PORT, DNS_PORT},
		 frames_bytes(query, len));
	receive(PACKET_UDP, ASKER_PORT);
	ck_assert(addr_eq(&guest.packet.src, &dns));
}

/* One record, whose data stands at the end: an OPT record was not asked for. */
static void assert_answer(const void *data, size_t data_len)
{
	const struct packet *p = &guest.packet;

	ck_assert_uint_gt(p->payload_len, 12 + data_len);
	ck_assert_msg((p->payload[3] & 15) == 0, "rcode %u", p->payload[3] & 15);
	ck_assert_mem_eq(p->payload + 6, "\0\1", 2);
	ck_assert_mem_eq(p->payload + p->payload_len - data_len, data, data_len);
}

static void assert_no_data(void)
{
	ck_assert_uint_eq(guest.packet.payload[3] & 15, 0);
	ck_assert_mem_eq(guest.packet.payload + 6, "\0\0", 2);
}

START_TEST(test_names_have_addresses_of_both_families)
{
	set_up("");
	lease("web");
	ask("host.lwnat.internal", TYPE_AAAA);
	assert_answer(gateway.b, 16);
	ask("gateway.lwnat.internal", TYPE_A);
	assert_answer("\12\0\2\2", 4);
	ask("web.lwnat.internal", TYPE_AAAA);
	assert_answer(guest.addr.b, 16);
	ask("web.lwnat.internal", TYPE_A);
	assert_no_data();
	ask("5.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.c.e.f.ip6.arpa", TYPE_PTR);
	assert_answer("\3web\5lwnat\10internal", 20);
	take_down();
}
END_TEST

/* A guest that only names itself to DHCPv4 and makes its IPv6 address alone. */
START_TEST(test_a_name_of_dhcpv4_has_the_address_that_the_guest_made)
{
	struct dhcp_built request = dhcp_build(3, 1); /* REQUEST, as after a reboot */
	struct addr any = addr_v4(0), all = addr_v4(UINT32_MAX), slaac = guest.addr;
	struct frames_ends ends = {.src_mac = dhcp_client_mac(1), .src = any, .dst = all};
	uint8_t bytes[2048];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct wire_in in;

	set_up("");
	slaac = guest.addr;
	guest.mac = ends.src_mac;
	memset(ends.dst_mac.b, 0xff, 6);
	dhcp_build_put_u32(&request, 50, 0x0a00020f);
	dhcp_build_put(&request, 12, "Alone", 5);
	in = dhcp_built_in(&request);
	frames_udp(&out, &ends, (struct frames_ports){68, 67}, frames_bytes(in.at, wire_left(&in)));
	send_frame(&out);
	receive(PACKET_UDP, 68);
	ask("alone.lwnat.internal", TYPE_AAAA); /* not seen yet */
	assert_no_data();
	solicit_neighbour(&dns);
	ask("alone.lwnat.internal", TYPE_AAAA);
	assert_answer(slaac.b, 16);
	ask("1.0.0.0.0.0.e.f.f.f.0.0.4.5.0.5.0.0.0.0.0.0.0.0.0.0.0.0.0.c.e.f.ip6.arpa", TYPE_PTR);
	assert_answer("\5alone\5lwnat\10internal", 22);
	take_down();
}
END_TEST

/* ---- DNS upstream of the other family ---- */

static int open_upstream(const char *addr_text, uint16_t *ret_port)
{
	struct addr addr = dhcp6_addr(addr_text);
	struct sockaddr_in6 at6 = {.sin6_family = AF_INET6};
	struct sockaddr_in at4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	bool v4 = addr_is_v4(&addr);
	socklen_t len = v4 ? sizeof(at4) : sizeof(at6);
	struct sockaddr *at = v4 ? (struct sockaddr *)&at4 : (struct sockaddr *)&at6;
	int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);

	memcpy(&at6.sin6_addr, addr.b, 16);
	ck_assert_int_eq(bind(fd, at, len), 0);
	ck_assert_int_eq(getsockname(fd, at, &len), 0);
	*ret_port = ntohs(v4 ? at4.sin_port : at6.sin6_port);
	return fd;
}

/* NXDOMAIN for the query that comes. */
static void answer_upstream(int fd)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	uint8_t query[512];
	ssize_t n = recvfrom(fd, query, sizeof(query), 0, (struct sockaddr *)&from, &len);

	ck_assert_int_gt(n, 12);
	query[2] |= 0x80;
	query[3] = 3;
	ck_assert_int_eq(sendto(fd, query, (size_t)n, 0, (struct sockaddr *)&from, len), n);
}

START_TEST(test_v6_guest_asks_a_v4_resolver)
{
	uint8_t query[300];
	size_t len = build_query(query, sizeof(query), "www.example.com", TYPE_AAAA);
	char line[64];
	uint16_t port;
	int fd = open_upstream("127.0.0.1", &port);

	snprintf(line, sizeof(line), "--ipv6|on|--dns-upstream|127.0.0.1:%u", port);
	set_up(line);
	send_udp(&guest.addr, &dns, (struct frames_ports){ASKER_PORT, DNS_PORT},
		 frames_bytes(query, len));
	answer_upstream(fd);
	receive(PACKET_UDP, ASKER_PORT);
	ck_assert_uint_eq(guest.packet.payload[3] & 15, 3);
	close(fd);
	take_down();
}
END_TEST

START_TEST(test_v4_guest_asks_a_v6_resolver)
{
	struct addr v4 = addr_v4(0x0a00020f), dns4 = addr_v4(0x0a000203);
	uint8_t query[300];
	size_t len = build_query(query, sizeof(query), "www.example.com", TYPE_A);
	char line[64];
	uint16_t port;
	int fd = open_upstream("::1", &port);

	snprintf(line, sizeof(line), "--ipv6|off|--dns-upstream|[::1]:%u", port);
	set_up(line);
	send_udp(&v4, &dns4, (struct frames_ports){ASKER_PORT, DNS_PORT}, frames_bytes(query, len));
	answer_upstream(fd);
	receive(PACKET_UDP, ASKER_PORT);
	ck_assert_uint_eq(guest.packet.payload[3] & 15, 3);
	close(fd);
	take_down();
}
END_TEST

/* ---- TCP ---- */

struct tcp {
	struct addr peer;
	uint16_t port, peer_port;
	uint32_t seq, ack; /* what we send, and have */
};

static void send_tcp(struct tcp *t, uint8_t flags, const char *text)
{
	struct frames_tcp tcp = {.src_port = t->port,
				 .dst_port = t->peer_port,
				 .seq = t->seq,
				 .ack = t->ack,
				 .flags = flags,
				 .window = 8192};
	struct frames_ends ends = ends_of(&guest.addr, &t->peer);
	uint8_t bytes[512];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	frames_tcp(&out, &ends, &tcp, frames_bytes(text, strlen(text)));
	send_frame(&out);
	t->seq += (uint32_t)strlen(text) + (flags & FLAG_SYN ? 1 : 0);
}

/* The next segment with all of these flags; its text, if any, is taken. */
static void receive_tcp(struct tcp *t, uint8_t flags)
{
	do
		receive(PACKET_TCP, t->port);
	while ((guest.packet.flags & flags) != flags);
	t->ack = guest.packet.seq + (uint32_t)guest.packet.payload_len +
		 (guest.packet.flags & FLAG_SYN ? 1 : 0);
}

static void receive_text(struct tcp *t, const char *text)
{
	do
		receive_tcp(t, FLAG_ACK);
	while (guest.packet.payload_len == 0);
	ck_assert_uint_eq(guest.packet.payload_len, strlen(text));
	ck_assert_mem_eq(guest.packet.payload, text, strlen(text));
}

START_TEST(test_gateway_is_the_hosts_loopback)
{
	struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct tcp t = {.peer = dhcp6_addr("fec0::2"), .port = 50000, .seq = 1000};
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET6, SOCK_STREAM, 0), fd;
	char text[16];

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	set_up("--ipv6|on");
	t.peer_port = ntohs(at.sin6_port);
	send_tcp(&t, FLAG_SYN, "");
	fd = accept(listener, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	receive_tcp(&t, FLAG_SYN | FLAG_ACK);
	send_tcp(&t, FLAG_ACK | FLAG_PSH, "to the host");
	ck_assert_int_eq(recv(fd, text, 11, MSG_WAITALL), 11);
	ck_assert_mem_eq(text, "to the host", 11);
	ck_assert_int_eq(write(fd, "to you", 6), 6);
	receive_text(&t, "to you");
	close(fd);
	close(listener);
	take_down();
}
END_TEST

START_TEST(test_dns_is_served_over_tcp)
{
	struct tcp t = {.peer = dhcp6_addr("fec0::3"), .peer_port = DNS_PORT, .port = 50001};
	uint8_t query[300] = {0};
	char bytes[2];
	size_t len;

	set_up("");
	lease("web");
	send_tcp(&t, FLAG_SYN, "");
	receive_tcp(&t, FLAG_SYN | FLAG_ACK);
	len = build_query(query, sizeof(query), "web.lwnat.internal", TYPE_AAAA);
	bytes[0] = 0;
	bytes[1] = (char)len;
	{
		struct frames_tcp tcp = {.src_port = t.port,
					 .dst_port = DNS_PORT,
					 .seq = t.seq,
					 .ack = t.ack,
					 .flags = FLAG_ACK | FLAG_PSH,
					 .window = 8192};
		struct frames_ends ends = ends_of(&guest.addr, &t.peer);
		uint8_t frame[512], message[302];
		struct wire_out out = wire_out(frame, sizeof(frame));

		memcpy(message, bytes, 2);
		memcpy(message + 2, query, len);
		frames_tcp(&out, &ends, &tcp, frames_bytes(message, len + 2));
		send_frame(&out);
	}
	do
		receive_tcp(&t, FLAG_ACK);
	while (guest.packet.payload_len <= 2);
	ck_assert_mem_eq(guest.packet.payload + guest.packet.payload_len - 16, guest.addr.b, 16);
	take_down();
}
END_TEST

/* ---- forwards ---- */

static uint16_t free_port6(void)
{
	struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	close(fd);
	return ntohs(at.sin6_port);
}

static int connect_to(const char *text, uint16_t port)
{
	struct addr addr = dhcp6_addr(text);
	struct sockaddr_in6 at6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in at4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	bool v4 = addr_is_v4(&addr);
	int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);

	memcpy(&at6.sin6_addr, addr.b, 16);
	memcpy(&at4.sin_addr, addr.b + 12, 4);
	ck_assert_int_eq(v4 ? connect(fd, (struct sockaddr *)&at4, sizeof(at4))
			    : connect(fd, (struct sockaddr *)&at6, sizeof(at6)),
			 0);
	return fd;
}

static void take_forwarded(const char *from, uint16_t port)
{
	struct tcp t = {.port = 22, .seq = 7000};
	int fd = connect_to(from, port);
	char text[8];

	receive(PACKET_TCP, 22);
	while (!(guest.packet.flags & FLAG_SYN))
		receive(PACKET_TCP, 22);
	ck_assert(addr_eq(&guest.packet.src, &gateway));
	ck_assert(addr_eq(&guest.packet.dst, &guest.addr));
	t.peer = guest.packet.src;
	t.peer_port = guest.packet.src_port;
	t.ack = guest.packet.seq + 1;
	send_tcp(&t, FLAG_SYN | FLAG_ACK, "");
	receive_tcp(&t, FLAG_ACK);
	send_tcp(&t, FLAG_ACK | FLAG_PSH, "ssh");
	ck_assert_int_eq(recv(fd, text, 3, MSG_WAITALL), 3);
	ck_assert_int_eq(write(fd, "hello", 5), 5);
	receive_text(&t, "hello");
	close(fd);
}

START_TEST(test_forwards_from_both_families_reach_a_v6_guest)
{
	uint16_t port6 = free_port6(), port4 = free_port6();
	char line[200];

	snprintf(line, sizeof(line),
		 "--hostfwd|tcp:[::1]:%u-[fec0::15]:22|--hostfwd|tcp:127.0.0.1:%u-[fec0::15]:22",
		 port6, port4);
	set_up(line);
	lease("web");
	take_forwarded("::1", port6);
	take_forwarded("127.0.0.1", port4);
	take_down();
}
END_TEST

START_TEST(test_a_forward_by_name_finds_the_lease_of_dhcpv6)
{
	uint16_t port = free_port6();
	char line[100];

	snprintf(line, sizeof(line), "--hostfwd|tcp:127.0.0.1:%u-web:22", port);
	set_up(line);
	lease("web");
	take_forwarded("127.0.0.1", port);
	take_down();
}
END_TEST

START_TEST(test_a_forward_without_address_goes_to_the_first_lease_where_there_is_no_ipv4)
{
	uint16_t port = free_port6();
	char line[100];

	snprintf(line, sizeof(line), "--ipv6|on|--hostfwd|tcp::%u-:22", port);
	set_up(line);
	lease("web");
	take_forwarded("::1", port);
	take_forwarded("127.0.0.1", port);
	take_down();
}
END_TEST

START_TEST(test_a_forward_without_address_finds_the_only_guest_by_the_address_that_it_made)
{
	uint16_t port = free_port6();
	char line[100];

	snprintf(line, sizeof(line), "--ipv6|on|--hostfwd|tcp::%u-:22", port);
	set_up(line);
	solicit_neighbour(&gateway);
	take_forwarded("::1", port);
	take_down();
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "services_v6", test_solicitations_are_answered_at_once, test_the_end_is_told_to_guests,
	    test_a_restricted_guest_has_no_router_and_no_dns,
	    test_dhcpv6_tells_addresses_dns_and_a_boot_file, test_leases_are_listed,
	    test_a_lease_is_the_same_after_a_restart, test_names_have_addresses_of_both_families,
	    test_a_name_of_dhcpv4_has_the_address_that_the_guest_made,
	    test_v6_guest_asks_a_v4_resolver, test_v4_guest_asks_a_v6_resolver,
	    test_gateway_is_the_hosts_loopback, test_dns_is_served_over_tcp,
	    test_forwards_from_both_families_reach_a_v6_guest,
	    test_a_forward_by_name_finds_the_lease_of_dhcpv6,
	    test_a_forward_without_address_finds_the_only_guest_by_the_address_that_it_made,
	    test_a_forward_without_address_goes_to_the_first_lease_where_there_is_no_ipv4);
}
