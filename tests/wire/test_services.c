/* DHCP and DNS through the real program: what the options make of them, and that each answer finds
 * the guest that asked. */
#include "stack/base/wire.h"
#include "tests/support/dhcp_client.h"
#include "tests/support/frames.h"
#include "tests/support/packet.h"
#include "tests/support/process.h"
#include "tests/support/suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK };
enum { TYPE_A = 1, TYPE_PTR = 12 };

#define DNS_PORT 53
#define ASKER_PORT 40000

struct guest {
	int fd;
	uint32_t n; /* its MAC is dhcp_client_mac(n) */
	struct addr addr;
	uint8_t frame[2048]; /* the last one received */
	struct packet packet;
	uint8_t option[1500];
};

static struct process_place place;
static struct process process;
static struct guest first, second;

static void set_up(const char *line)
{
	process_place_make(&place);
	process_start(&process, &place, line);
	first = (struct guest){.fd = guest_connect(place.socket_path), .n = 1};
	second = (struct guest){.fd = guest_connect(place.socket_path), .n = 2};
}

static void take_down(void)
{
	close(first.fd);
	close(second.fd);
	process_kill(&process);
	process_place_remove(&place);
}

/* The next UDP datagram to 'port'; what else comes is passed over. */
static struct wire_out receive_udp(struct guest *g, uint16_t port)
{
	struct wire_out ret;

	do {
		packet_parse(&g->packet, g->frame,
			     guest_receive(g->fd, g->frame, sizeof(g->frame)));
		ck_assert_msg(g->packet.fault == NULL, "%s", g->packet.fault);
	} while (g->packet.kind != PACKET_UDP || g->packet.dst_port != port);
	ret = wire_out((void *)(uintptr_t)g->packet.payload, g->packet.payload_len);
	ret.at = ret.end;
	return ret;
}

static struct frames_ends ends_of(const struct guest *g, const struct addr *dst)
{
	uint32_t v4 = addr_to_v4(dst);
	struct frames_ends ends = {.src_mac = dhcp_client_mac(g->n), .src = g->addr, .dst = *dst};

	if (v4 == UINT32_MAX)
		memset(ends.dst_mac.b, 0xff, sizeof(ends.dst_mac.b));
	else /* the gateway answers at one MAC for both of its addresses: 52:55 and host= */
		ends.dst_mac = (struct mac){{0x52, 0x55, 10, 0, 2, 2}};
	return ends;
}

static void send_udp(struct guest *g, const struct addr *dst, struct frames_ports ports,
		     struct iovec payload)
{
	struct frames_ends ends = ends_of(g, dst);
	uint8_t bytes[2048];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	frames_udp(&out, &ends, ports, payload);
	ck_assert(!out.bad);
	guest_send(g->fd, bytes, wire_len(&out));
}

/* ---- DHCP ---- */

static struct wire_out exchange_dhcp(struct guest *g, struct dhcp_built *request)
{
	static const uint8_t wanted[] = {1, 3, 6, 12, 15, 26, 51, 66, 67, 119};
	struct addr everybody = addr_v4(UINT32_MAX);
	struct wire_in in;

	dhcp_build_put(request, 55, wanted, sizeof(wanted));
	in = dhcp_built_in(request);
	g->addr = addr_v4(0);
	send_udp(g, &everybody, (struct frames_ports){68, 67}, frames_bytes(in.at, wire_left(&in)));
	return receive_udp(g, 68);
}

/* DISCOVER and REQUEST; the ACK. */
static struct wire_out lease(struct guest *g, const char *name)
{
	struct dhcp_built request = dhcp_build(DISCOVER, g->n);
	struct wire_out reply = exchange_dhcp(g, &request);
	uint32_t offered = dhcp_reply_yiaddr(&reply), server = dhcp_reply_u32(&reply, 54);

	ck_assert_uint_eq(dhcp_reply_type(&reply), OFFER);
	request = dhcp_build(REQUEST, g->n);
	dhcp_build_put_u32(&request, 50, offered);
	dhcp_build_put_u32(&request, 54, server);
	if (name)
		dhcp_build_put(&request, 12, name, strlen(name));
	reply = exchange_dhcp(g, &request);
	ck_assert_uint_eq(dhcp_reply_type(&reply), ACK);
	ck_assert_uint_eq(dhcp_reply_yiaddr(&reply), offered);
	g->addr = addr_v4(offered);
	return reply;
}

static void assert_text(struct guest *g, const struct wire_out *reply, uint8_t code,
			const char *text)
{
	int len = dhcp_reply_option(reply, code, g->option);

	ck_assert_msg(len >= 0, "no option %u", code);
	ck_assert_msg((size_t)len == strlen(text) && memcmp(g->option, text, (size_t)len) == 0,
		      "option %u is not %s", code, text);
}

START_TEST(test_lease_has_what_the_options_say)
{
	struct wire_out ack;

	set_up("--hostname|box|--domainname|team.example|--dnssearch|a.example|--mtu|9000|"
	       "--bootfile|pxe.0|--tftp-server-name|boot");
	ack = lease(&first, NULL);
	ck_assert_uint_eq(dhcp_reply_yiaddr(&ack), 0x0a00020f);
	ck_assert_uint_eq(dhcp_reply_u32(&ack, 1), 0xffffff00);
	ck_assert_uint_eq(dhcp_reply_u32(&ack, 3), 0x0a000202);
	ck_assert_uint_eq(dhcp_reply_u32(&ack, 6), 0x0a000203);
	ck_assert_uint_eq(dhcp_reply_u32(&ack, 51), 86400);
	ck_assert_uint_eq(dhcp_reply_u32(&ack, 54), 0x0a000202);
	assert_text(&first, &ack, 12, "box");
	assert_text(&first, &ack, 15, "team.example");
	assert_text(&first, &ack, 66, "boot");
	assert_text(&first, &ack, 67, "pxe.0");
	ck_assert_int_eq(dhcp_reply_option(&ack, 26, first.option), 2);
	ck_assert_uint_eq(first.option[0] << 8 | first.option[1], 9000);
	ck_assert_int_gt(dhcp_reply_option(&ack, 119, first.option), 0);
	ck_assert_int_eq(memcmp(first.option, "\1a\7example\0", 11), 0);
	take_down();
}
END_TEST

START_TEST(test_without_names_of_its_own_the_domain_is_ours)
{
	struct wire_out ack;

	set_up("");
	ack = lease(&first, NULL);
	assert_text(&first, &ack, 15, "lwnat.internal");
	ck_assert_int_eq(dhcp_reply_option(&ack, 119, first.option), 16);
	ck_assert_int_eq(memcmp(first.option, "\5lwnat\10internal\0", 16), 0);
	take_down();
}
END_TEST

START_TEST(test_restrict_tells_no_router_and_no_dns)
{
	struct wire_out ack;

	set_up("--restrict|on");
	ack = lease(&first, NULL);
	ck_assert_int_eq(dhcp_reply_option(&ack, 3, first.option), -1);
	ck_assert_int_eq(dhcp_reply_option(&ack, 6, first.option), -1);
	ck_assert_int_eq(dhcp_reply_option(&ack, 119, first.option), -1);
	take_down();
}
END_TEST

START_TEST(test_dns_outside_of_the_net_is_told_to_guests)
{
	struct wire_out ack;

	set_up("--dns|9.9.9.9");
	ack = lease(&first, NULL);
	ck_assert_uint_eq(dhcp_reply_u32(&ack, 6), 0x09090909);
	ck_assert_int_eq(dhcp_reply_option(&ack, 15, first.option), -1);
	take_down();
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

/* The answer has one record, which ends with 'data'. */
static void assert_answer(const uint8_t *bytes, size_t len, const void *data, size_t data_len)
{
	struct wire_in in = wire_in(bytes, len);
	uint16_t flags, questions, answers;

	ck_assert_uint_eq(wire_get_u16(&in), 0x1234);
	flags = wire_get_u16(&in);
	questions = wire_get_u16(&in);
	answers = wire_get_u16(&in);
	ck_assert_uint_eq(flags & 0x800f, 0x8000);
	ck_assert_uint_eq(questions, 1);
	ck_assert_uint_eq(answers, 1);
	ck_assert_uint_ge(len, data_len);
	ck_assert_int_eq(memcmp(bytes + len - data_len, data, data_len), 0);
}

static void ask(struct guest *g, const char *name, uint16_t type)
{
	struct addr dns = addr_v4(0x0a000203);
	uint8_t query[300];
	size_t len = build_query(query, sizeof(query), name, type);

	send_udp(g, &dns, (struct frames_ports){ASKER_PORT, DNS_PORT}, frames_bytes(query, len));
	receive_udp(g, ASKER_PORT);
	ck_assert(addr_eq(&g->packet.src, &dns));
	ck_assert_uint_eq(g->packet.src_port, DNS_PORT);
}

START_TEST(test_names_of_the_network_resolve)
{
	set_up("");
	lease(&first, "web");
	lease(&second, NULL);
	ask(&second, "host.lwnat.internal", TYPE_A);
	assert_answer(second.packet.payload, second.packet.payload_len, "\12\0\2\2", 4);
	ask(&second, "web.lwnat.internal", TYPE_A);
	assert_answer(second.packet.payload, second.packet.payload_len, first.addr.b + 12, 4);
	ask(&second, "15.2.0.10.in-addr.arpa", TYPE_PTR);
	assert_answer(second.packet.payload, second.packet.payload_len, "\3web\5lwnat\10internal\0",
		      20);
	take_down();
}
END_TEST

/* A TCP segment from a guest's port to the DNS server. */
static void send_tcp(struct guest *g, const struct frames_tcp *tcp, struct iovec payload)
{
	struct addr dns = addr_v4(0x0a000203);
	struct frames_ends ends = ends_of(g, &dns);
	uint8_t bytes[2048];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	frames_tcp(&out, &ends, tcp, payload);
	guest_send(g->fd, bytes, wire_len(&out));
}

static void receive_tcp(struct guest *g)
{
	do {
		packet_parse(&g->packet, g->frame,
			     guest_receive(g->fd, g->frame, sizeof(g->frame)));
	} while (g->packet.kind != PACKET_TCP);
	ck_assert_msg((g->packet.flags & FLAG_RST) == 0, "reset");
}

/* So that the gateway knows the guest from itself, too, and not from DHCP alone. */
static void answer_arp(struct guest *g)
{
	struct mac mac = dhcp_client_mac(g->n), gateway = {{0x52, 0x55, 10, 0, 2, 2}};
	struct frames_arp arp = {.eth_src = mac,
				 .eth_dst = gateway,
				 .op = 2,
				 .sender_mac = mac,
				 .target_mac = gateway,
				 .sender = g->addr,
				 .target = addr_v4(0x0a000202)};
	uint8_t bytes[64];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	frames_arp(&out, &arp);
	guest_send(g->fd, bytes, wire_len(&out));
}

START_TEST(test_dns_is_served_over_tcp)
{
	struct frames_tcp tcp = {.src_port = ASKER_PORT,
				 .dst_port = DNS_PORT,
				 .seq = 1000,
				 .flags = FLAG_SYN,
				 .window = 65535};
	uint8_t query[300], answer[600];
	size_t len, answer_len = 0;

	set_up("");
	lease(&first, NULL);
	answer_arp(&first);
	send_tcp(&first, &tcp, frames_bytes(NULL, 0));
	receive_tcp(&first);
	ck_assert_uint_eq(first.packet.flags & (FLAG_SYN | FLAG_ACK), FLAG_SYN | FLAG_ACK);

	len = build_query(query + 2, sizeof(query) - 2, "gateway.lwnat.internal", TYPE_A);
	query[0] = 0;
	query[1] = (uint8_t)len;
	tcp.flags = FLAG_ACK | FLAG_PSH;
	tcp.seq = 1001;
	tcp.ack = first.packet.seq + 1;
	send_tcp(&first, &tcp, frames_bytes(query, len + 2));
	while (answer_len < 2 || answer_len < 2 + (size_t)(answer[0] << 8 | answer[1])) {
		receive_tcp(&first);
		ck_assert_uint_le(answer_len + first.packet.payload_len, sizeof(answer));
		memcpy(answer + answer_len, first.packet.payload, first.packet.payload_len);
		answer_len += first.packet.payload_len;
	}
	assert_answer(answer + 2, answer_len - 2, "\12\0\2\2", 4);
	take_down();
}
END_TEST

/* An upstream server that the test plays. */
struct upstream {
	int fd;
	uint8_t query[600];
	size_t len;
	struct sockaddr_in from;
};

static void open_upstream(struct upstream *u, char *line, size_t line_max)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval hang = {.tv_sec = 30}; /* no query at all fails the test */
	socklen_t len = sizeof(addr);

	u->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(setsockopt(u->fd, SOL_SOCKET, SO_RCVTIMEO, &hang, sizeof(hang)), 0);
	ck_assert_int_eq(bind(u->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(getsockname(u->fd, (struct sockaddr *)&addr, &len), 0);
	snprintf(line, line_max, "--dns-upstream|127.0.0.1:%u", ntohs(addr.sin_port));
}

static void take_query(struct upstream *u)
{
	socklen_t len = sizeof(u->from);
	ssize_t n =
	    recvfrom(u->fd, u->query, sizeof(u->query), 0, (struct sockaddr *)&u->from, &len);

	ck_assert_int_gt(n, 12);
	u->len = (size_t)n;
}

/* NXDOMAIN, with the query's own bytes. */
static void answer_query(struct upstream *u)
{
	u->query[2] |= 0x80;
	u->query[3] = 3;
	ck_assert_int_eq(
	    sendto(u->fd, u->query, u->len, 0, (struct sockaddr *)&u->from, sizeof(u->from)),
	    (ssize_t)u->len);
}

START_TEST(test_answer_for_a_guest_that_left_goes_nowhere)
{
	struct addr dns = addr_v4(0x0a000203);
	struct upstream upstream;
	uint8_t query[300];
	size_t len = build_query(query, sizeof(query), "name.example", TYPE_A);
	char line[64];

	open_upstream(&upstream, line, sizeof(line));
	set_up(line);
	lease(&first, NULL);
	lease(&second, NULL);
	send_udp(&first, &dns, (struct frames_ports){ASKER_PORT, DNS_PORT},
		 frames_bytes(query, len));
	take_query(&upstream);
	close(first.fd);
	first.fd = -1;
	process_wait_for_log(&process, "guest left");
	answer_query(&upstream);
	query[1] = 0x35;
	send_udp(&second, &dns, (struct frames_ports){ASKER_PORT, DNS_PORT},
		 frames_bytes(query, len));
	take_query(&upstream);
	answer_query(&upstream);
	receive_udp(&second, ASKER_PORT);
	ck_assert_uint_eq(second.packet.payload[1], 0x35);
	ck_assert_uint_eq(second.packet.payload[3] & 0xf, 3);
	close(upstream.fd);
	take_down();
}
END_TEST

int main(void)
{
	return SUITE_RUN("services", test_lease_has_what_the_options_say,
			 test_without_names_of_its_own_the_domain_is_ours,
			 test_restrict_tells_no_router_and_no_dns,
			 test_dns_outside_of_the_net_is_told_to_guests,
			 test_names_of_the_network_resolve, test_dns_is_served_over_tcp,
			 test_answer_for_a_guest_that_left_goes_nowhere);
}
