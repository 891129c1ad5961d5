/* DNS through the real program: what is kept, who is asked, names by option, and a thousand queries
 * at once. The test plays the upstream servers. */
#include "tests/support/asker.h"
#include "tests/support/suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUTSTANDING 1000

static struct process_place place;
static struct process process;
static struct asker guest;
static struct upstream upstream, other;
static char line[512];

static void set_up(const char *more)
{
	size_t len = strlen(line);

	snprintf(line + len, sizeof(line) - len, "%s", more);
	process_place_make(&place);
	process_start(&process, &place, line);
	guest = (struct asker){.fd = guest_connect(place.socket_path), .n = 1};
	asker_lease(&guest, NULL);
}

static void take_down(void)
{
	close(guest.fd);
	close(upstream.fd);
	process_kill(&process);
	process_place_remove(&place);
}

static void send_query(const char *name, uint16_t type, uint16_t id)
{
	struct addr dns = addr_v4(0x0a000203);
	uint8_t query[300];
	size_t len = dns_query_build(query, sizeof(query), name, type);

	query[0] = (uint8_t)(id >> 8);
	query[1] = (uint8_t)id;
	asker_send_udp(&guest, &dns, (struct frames_ports){ASKER_PORT, DNS_PORT},
		       frames_bytes(query, len));
}

static void assert_received(const char *data, size_t len)
{
	asker_receive_udp(&guest, ASKER_PORT);
	dns_assert_answer(guest.packet.payload, guest.packet.payload_len, data, len);
}

START_TEST(test_answer_is_kept_and_given_again)
{
	upstream_open(&upstream, line, sizeof(line));
	set_up("");
	send_query("www.example", TYPE_A, 0x1234);
	upstream_take(&upstream);
	upstream_answer(&upstream, 3600, 0xc0000207);
	assert_received("\300\0\2\7", 4);
	asker_ask(&guest, "WWW.example", TYPE_A); /* nobody answers upstream any more */
	dns_assert_answer(guest.packet.payload, guest.packet.payload_len, "\300\0\2\7", 4);
	ck_assert_mem_eq(guest.packet.payload + 12, "\3WWW\7example", 12);
	take_down();
}
END_TEST

START_TEST(test_domain_with_a_route_is_asked_of_its_own_server)
{
	char routes[256];
	uint16_t port, main_port;

	main_port = upstream_open(&upstream, line, sizeof(line));
	port = upstream_open(&other, NULL, 0);
	snprintf(routes, sizeof(routes),
		 "|--dns-route|corp.example=127.0.0.1:%u|--dns-route|pub.corp.example=127.0.0.1:%u",
		 port, main_port);
	set_up(routes);
	send_query("a.CORP.example", TYPE_A, 0x1234);
	upstream_take(&other);
	upstream_answer(&other, 60, 0x0a010203);
	assert_received("\12\1\2\3", 4);
	send_query("corp.example", TYPE_A, 0x1234);
	upstream_take(&other);
	upstream_answer(&other, 60, 0x0a010204);
	assert_received("\12\1\2\4", 4);
	send_query("notcorp.example", TYPE_A, 0x1234);
	upstream_take(&upstream);
	upstream_answer(&upstream, 60, 0x01010101);
	assert_received("\1\1\1\1", 4);
	send_query("www.pub.corp.example", TYPE_A, 0x1234); /* the longer domain */
	upstream_take(&upstream);
	upstream_answer(&upstream, 60, 0x02020202);
	assert_received("\2\2\2\2", 4);
	close(other.fd);
	take_down();
}
END_TEST

START_TEST(test_names_by_option_resolve_forward_and_back)
{
	set_up(
	    "--dns-name|web=10.0.2.9|--dns-name|web=fec0::9|--dns-name|db.corp.example=192.168.7.7|"
	    "--dns-name|pair=10.0.2.20|--dns-name|pair=10.0.2.21|--domainname|team.example");
	asker_ask(&guest, "web", TYPE_A);
	dns_assert_answer(guest.packet.payload, guest.packet.payload_len, "\12\0\2\11", 4);
	asker_ask(&guest, "web.lwnat.internal", TYPE_A);
	dns_assert_answer(guest.packet.payload, guest.packet.payload_len, "\12\0\2\11", 4);
	asker_ask(&guest, "Web.team.example", TYPE_AAAA);
	dns_assert_answer(guest.packet.payload, guest.packet.payload_len,
			  "\xfe\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\11", 16);
	asker_ask(&guest, "db.corp.example", TYPE_A);
	dns_assert_answer(guest.packet.payload, guest.packet.payload_len, "\300\250\7\7", 4);
	asker_ask(&guest, "db.corp.example", TYPE_AAAA);
	ck_assert_uint_eq(asker_rcode(&guest), 0);
	ck_assert_uint_eq(guest.packet.payload[7], 0);
	asker_ask(&guest, "pair", TYPE_A);
	ck_assert_uint_eq(guest.packet.payload[7], 2);
	asker_ask(&guest, "9.2.0.10.in-addr.arpa", TYPE_PTR);
	dns_assert_answer(guest.packet.payload, guest.packet.payload_len,
			  "\3web\5lwnat\10internal\0", 20);
	asker_ask(&guest, "7.7.168.192.in-addr.arpa", TYPE_PTR);
	dns_assert_answer(guest.packet.payload, guest.packet.payload_len, "\2db\4corp\7example\0",
			  17);
	asker_ask(&guest,
		  "9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.c.e.f.ip6.arpa",
		  TYPE_PTR);
	dns_assert_answer(guest.packet.payload, guest.packet.payload_len,
			  "\3web\5lwnat\10internal\0", 20);
	take_down();
}
END_TEST

START_TEST(test_thousand_queries_wait_at_once_each_from_a_port_of_its_own)
{
	static uint8_t port_seen[65536], id_seen[65536];
	static struct upstream kept[OUTSTANDING];
	unsigned ports_n = 0, ids_n = 0;
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max < 16000)
		return; /* a host where lwnat takes fewer, on purpose */
	upstream_open(&upstream, line, sizeof(line));
	set_up("");
	for (unsigned i = 0; i < OUTSTANDING; i++) {
		char name[32];

		snprintf(name, sizeof(name), "n%u.example", i);
		send_query(name, TYPE_A, (uint16_t)i);
		kept[i].fd = upstream.fd;
		upstream_take(&kept[i]);
		ports_n += !port_seen[ntohs(kept[i].from.sin_port)]++;
		ids_n += !id_seen[kept[i].query[0] << 8 | kept[i].query[1]]++;
	}
	ck_assert_uint_eq(ports_n, OUTSTANDING);
	ck_assert_uint_ge(ids_n, OUTSTANDING - 40); /* at random: a few meet */
	for (unsigned i = 0; i < OUTSTANDING; i++) {
		upstream_answer(&kept[i], 60, 0x05000000 + i);
		asker_receive_udp(&guest, ASKER_PORT);
		ck_assert_uint_eq(guest.packet.payload[0] << 8 | guest.packet.payload[1], i);
		ck_assert_uint_eq(asker_rcode(&guest), 0);
	}
	take_down();
}
END_TEST

START_TEST(test_servfail_comes_when_every_upstream_is_silent_or_gone)
{
	upstream_open(&upstream, line, sizeof(line));
	set_up("|--dns-upstream|127.0.0.1:1"); /* refuses */
	asker_ask(&guest, "www.example", TYPE_A);
	ck_assert_uint_eq(asker_rcode(&guest), 2);
	take_down();
}
END_TEST

START_TEST(test_forged_answers_are_not_taken)
{
	struct sockaddr_in liar = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct upstream forged;
	int fd;

	upstream_open(&upstream, line, sizeof(line));
	set_up("");
	send_query("www.example", TYPE_A, 0x1234);
	upstream_take(&upstream);

	forged = upstream; /* another id */
	forged.query[1] ^= 1;
	upstream_answer(&forged, 60, 0x06060601);
	forged = upstream; /* another name */
	forged.query[13] = 'x';
	upstream_answer(&forged, 60, 0x06060602);
	forged = upstream; /* another sender */
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&liar, sizeof(liar)), 0);
	forged.fd = fd;
	(void)sendto(fd, forged.query, forged.len, 0, (struct sockaddr *)&forged.from,
		     sizeof(forged.from));
	upstream_answer(&upstream, 60, 0xc0000207);
	assert_received("\300\0\2\7", 4);
	close(fd);
	take_down();
}
END_TEST

int main(void)
{
	return SUITE_RUN("dns", test_answer_is_kept_and_given_again,
			 test_domain_with_a_route_is_asked_of_its_own_server,
			 test_names_by_option_resolve_forward_and_back,
			 test_thousand_queries_wait_at_once_each_from_a_port_of_its_own,
			 test_servfail_comes_when_every_upstream_is_silent_or_gone,
			 test_forged_answers_are_not_taken);
}
