/* DHCP and DNS through the real program: what the options make of them, and that each answer finds
 * the guest that asked. */
#include "tests/support/asker.h"
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

static struct process_place place;
static struct process process;
static struct asker first, second;

static void set_up(const char *line)
{
	process_place_make(&place);
	process_start(&process, &place, line);
	first = (struct asker){.fd = guest_connect(place.socket_path), .n = 1};
	second = (struct asker){.fd = guest_connect(place.socket_path), .n = 2};
}

static void take_down(void)
{
	close(first.fd);
	close(second.fd);
	process_kill(&process);
	process_place_remove(&place);
}

/* ---- DHCP ---- */

START_TEST(test_lease_has_what_the_options_say)
{
	struct wire_out ack;

	set_up("--hostname|box|--domainname|team.example|--dnssearch|a.example|--mtu|9000|"
	       "--bootfile|pxe.0|--tftp-server-name|boot");
	ack = asker_lease(&first, NULL);
	ck_assert_uint_eq(dhcp_reply_yiaddr(&ack), 0x0a00020f);
	ck_assert_uint_eq(dhcp_reply_u32(&ack, 1), 0xffffff00);
	ck_assert_uint_eq(dhcp_reply_u32(&ack, 3), 0x0a000202);
	ck_assert_uint_eq(dhcp_reply_u32(&ack, 6), 0x0a000203);
	ck_assert_uint_eq(dhcp_reply_u32(&ack, 51), 86400);
	ck_assert_uint_eq(dhcp_reply_u32(&ack, 54), 0x0a000202);
	asker_assert_text(&first, &ack, 12, "box");
	asker_assert_text(&first, &ack, 15, "team.example");
	asker_assert_text(&first, &ack, 66, "boot");
	asker_assert_text(&first, &ack, 67, "pxe.0");
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
	ack = asker_lease(&first, NULL);
	asker_assert_text(&first, &ack, 15, "lwnat.internal");
	ck_assert_int_eq(dhcp_reply_option(&ack, 119, first.option), 16);
	ck_assert_int_eq(memcmp(first.option, "\5lwnat\10internal\0", 16), 0);
	take_down();
}
END_TEST

START_TEST(test_restrict_tells_no_router_and_no_dns)
{
	struct wire_out ack;

	set_up("--restrict|on");
	ack = asker_lease(&first, NULL);
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
	ack = asker_lease(&first, NULL);
	ck_assert_uint_eq(dhcp_reply_u32(&ack, 6), 0x09090909);
	ck_assert_int_eq(dhcp_reply_option(&ack, 15, first.option), -1);
	take_down();
}
END_TEST

/* ---- DNS ---- */

START_TEST(test_names_of_the_network_resolve)
{
	set_up("");
	asker_lease(&first, "web");
	asker_lease(&second, NULL);
	asker_ask(&second, "host.lwnat.internal", TYPE_A);
	dns_assert_answer(second.packet.payload, second.packet.payload_len, "\12\0\2\2", 4);
	asker_ask(&second, "web.lwnat.internal", TYPE_A);
	dns_assert_answer(second.packet.payload, second.packet.payload_len, first.addr.b + 12, 4);
	asker_ask(&second, "15.2.0.10.in-addr.arpa", TYPE_PTR);
	dns_assert_answer(second.packet.payload, second.packet.payload_len,
			  "\3web\5lwnat\10internal\0", 20);
	take_down();
}
END_TEST

/* A TCP segment from a guest's port to the DNS server. */
static void send_tcp(struct asker *g, const struct frames_tcp *tcp, struct iovec payload)
{
	struct addr dns = addr_v4(0x0a000203);
	struct frames_ends ends = asker_ends(g, &dns);
	uint8_t bytes[2048];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	frames_tcp(&out, &ends, tcp, payload);
	guest_send(g->fd, bytes, wire_len(&out));
}

static void receive_tcp(struct asker *g)
{
	do {
		packet_parse(&g->packet, g->frame,
			     guest_receive(g->fd, g->frame, sizeof(g->frame)));
	} while (g->packet.kind != PACKET_TCP);
	ck_assert_msg((g->packet.flags & FLAG_RST) == 0, "reset");
}

/* So that the gateway knows the guest from itself, too, and not from DHCP alone. */
static void answer_arp(struct asker *g)
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
	asker_lease(&first, NULL);
	answer_arp(&first);
	send_tcp(&first, &tcp, frames_bytes(NULL, 0));
	receive_tcp(&first);
	ck_assert_uint_eq(first.packet.flags & (FLAG_SYN | FLAG_ACK), FLAG_SYN | FLAG_ACK);

	len = dns_query_build(query + 2, sizeof(query) - 2, "gateway.lwnat.internal", TYPE_A);
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
	dns_assert_answer(answer + 2, answer_len - 2, "\12\0\2\2", 4);
	take_down();
}
END_TEST

START_TEST(test_answer_for_a_guest_that_left_goes_nowhere)
{
	struct addr dns = addr_v4(0x0a000203);
	struct upstream upstream;
	uint8_t query[300];
	size_t len = dns_query_build(query, sizeof(query), "name.example", TYPE_A);
	char line[64];

	upstream_open(&upstream, line, sizeof(line));
	set_up(line);
	asker_lease(&first, NULL);
	asker_lease(&second, NULL);
	asker_send_udp(&first, &dns, (struct frames_ports){ASKER_PORT, DNS_PORT},
		       frames_bytes(query, len));
	upstream_take(&upstream);
	close(first.fd);
	first.fd = -1;
	process_wait_for_log(&process, "guest left");
	upstream_refuse(&upstream);
	query[1] = 0x35;
	asker_send_udp(&second, &dns, (struct frames_ports){ASKER_PORT, DNS_PORT},
		       frames_bytes(query, len));
	upstream_take(&upstream);
	upstream_refuse(&upstream);
	asker_receive_udp(&second, ASKER_PORT);
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
