#include "tests/support/asker.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK };

struct wire_out asker_receive_udp(struct asker *g, uint16_t port)
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

struct frames_ends asker_ends(const struct asker *g, const struct addr *dst)
{
	uint32_t v4 = addr_to_v4(dst);
	struct frames_ends ends = {.src_mac = dhcp_client_mac(g->n), .src = g->addr, .dst = *dst};

	if (v4 == UINT32_MAX)
		memset(ends.dst_mac.b, 0xff, sizeof(ends.dst_mac.b));
	else /* the gateway answers at one MAC for both of its addresses: 52:55 and host= */
		ends.dst_mac = (struct mac){{0x52, 0x55, 10, 0, 2, 2}};
	return ends;
}

void asker_send_udp(struct asker *g, const struct addr *dst, struct frames_ports ports,
		    struct iovec payload)
{
	struct frames_ends ends = asker_ends(g, dst);
	uint8_t bytes[2048];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	frames_udp(&out, &ends, ports, payload);
	ck_assert(!out.bad);
	guest_send(g->fd, bytes, wire_len(&out));
}

/* ---- DHCP ---- */

struct wire_out asker_dhcp(struct asker *g, struct dhcp_built *request)
{
	static const uint8_t wanted[] = {1, 3, 6, 12, 15, 26, 51, 66, 67, 119, 121};
	struct addr everybody = addr_v4(UINT32_MAX);
	struct wire_in in;

	dhcp_build_put(request, 55, wanted, sizeof(wanted));
	in = dhcp_built_in(request);
	g->addr = addr_v4(0);
	asker_send_udp(g, &everybody, (struct frames_ports){68, 67},
		       frames_bytes(in.at, wire_left(&in)));
	return asker_receive_udp(g, 68);
}

struct wire_out asker_lease(struct asker *g, const char *name)
{
	struct dhcp_built request = dhcp_build(DISCOVER, g->n);
	struct wire_out reply = asker_dhcp(g, &request);
	uint32_t offered = dhcp_reply_yiaddr(&reply), server = dhcp_reply_u32(&reply, 54);

	ck_assert_uint_eq(dhcp_reply_type(&reply), OFFER);
	request = dhcp_build(REQUEST, g->n);
	dhcp_build_put_u32(&request, 50, offered);
	dhcp_build_put_u32(&request, 54, server);
	if (name)
		dhcp_build_put(&request, 12, name, strlen(name));
	reply = asker_dhcp(g, &request);
	ck_assert_uint_eq(dhcp_reply_type(&reply), ACK);
	ck_assert_uint_eq(dhcp_reply_yiaddr(&reply), offered);
	g->addr = addr_v4(offered);
	return reply;
}

void asker_assert_text(struct asker *g, const struct wire_out *reply, uint8_t code,
		       const char *text)
{
	int len = dhcp_reply_option(reply, code, g->option);

	ck_assert_msg(len >= 0, "no option %u", code);
	ck_assert_msg((size_t)len == strlen(text) && memcmp(g->option, text, (size_t)len) == 0,
		      "option %u is not %s", code, text);
}

size_t dns_query_build(uint8_t *bytes, size_t max, const char *name, uint16_t type)
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

void dns_assert_answer(const uint8_t *bytes, size_t len, const void *data, size_t data_len)
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

void asker_ask(struct asker *g, const char *name, uint16_t type)
{
	struct addr dns = addr_v4(0x0a000203);
	uint8_t query[300];
	size_t len = dns_query_build(query, sizeof(query), name, type);

	asker_send_udp(g, &dns, (struct frames_ports){ASKER_PORT, DNS_PORT},
		       frames_bytes(query, len));
	asker_receive_udp(g, ASKER_PORT);
	ck_assert(addr_eq(&g->packet.src, &dns));
	ck_assert_uint_eq(g->packet.src_port, DNS_PORT);
}

uint16_t upstream_open(struct upstream *u, char *line, size_t line_max)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval hang = {.tv_sec = 30}; /* no query at all fails the test */
	socklen_t len = sizeof(addr);

	u->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(setsockopt(u->fd, SOL_SOCKET, SO_RCVTIMEO, &hang, sizeof(hang)), 0);
	ck_assert_int_eq(bind(u->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(getsockname(u->fd, (struct sockaddr *)&addr, &len), 0);
	if (line)
		snprintf(line, line_max, "--dns-upstream|127.0.0.1:%u", ntohs(addr.sin_port));
	return ntohs(addr.sin_port);
}

void upstream_take(struct upstream *u)
{
	socklen_t len = sizeof(u->from);
	ssize_t n =
	    recvfrom(u->fd, u->query, sizeof(u->query), 0, (struct sockaddr *)&u->from, &len);

	ck_assert_int_gt(n, 12);
	u->len = (size_t)n;
}

void upstream_refuse(struct upstream *u)
{
	u->query[2] |= 0x80;
	u->query[3] = 3;
	ck_assert_int_eq(
	    sendto(u->fd, u->query, u->len, 0, (struct sockaddr *)&u->from, sizeof(u->from)),
	    (ssize_t)u->len);
}

void upstream_answer(struct upstream *u, uint32_t ttl, uint32_t v4)
{
	struct wire_out out = wire_out(u->query, sizeof(u->query));

	ck_assert_uint_eq(u->query[11], 0); /* no OPT: the record can be appended */
	out.at += u->len;
	u->query[2] |= 0x80;
	u->query[3] = 0x80;
	u->query[7] = 1;
	wire_put_u16(&out, 0xc00c);
	wire_put_u16(&out, TYPE_A);
	wire_put_u16(&out, 1);
	wire_put_u32(&out, ttl);
	wire_put_u16(&out, 4);
	wire_put_u32(&out, v4);
	ck_assert_int_eq(sendto(u->fd, u->query, wire_len(&out), 0, (struct sockaddr *)&u->from,
				sizeof(u->from)),
			 (ssize_t)wire_len(&out));
}

uint16_t asker_rcode(const struct asker *g)
{
	ck_assert_uint_ge(g->packet.payload_len, 12);
	return g->packet.payload[3] & 0xf;
}
