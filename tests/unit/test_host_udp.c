#include "tests/support/host_fixture.h"
#include "tests/support/netns.h"

#include "stack/base/poller.h"
#include "stack/host/sockaddr.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int send_ttl(struct host_fixture *f, int handle, const struct endpoint *to, uint8_t ttl,
		    const struct iovec *bytes)
{
	struct host_udp_out out = {.to = *to, .ttl = ttl, .iov = bytes, .iov_n = 1};

	return f->ops->udp_send(f->host, handle, &out);
}

static int send_bytes(struct host_fixture *f, int handle, const struct endpoint *to,
		      const void *bytes, size_t len)
{
	struct iovec iov = {(void *)bytes, len};
	int result = send_ttl(f, handle, to, 0, &iov);

	f->ops->flush(f->host);
	return result;
}

/* As in the middle of a turn. */
static int send_in_turn(struct host_fixture *f, int handle, const struct endpoint *to,
			const uint8_t *bytes, size_t len)
{
	struct iovec iov[2] = {{(void *)(uintptr_t)bytes, len / 3},
			       {(void *)(uintptr_t)(bytes + len / 3), len - len / 3}};

	return f->ops->udp_send(f->host, handle,
				&(struct host_udp_out){.to = *to, .iov = iov, .iov_n = 2});
}

static struct endpoint receive_from(int fd, void *ret, size_t len, size_t *ret_n)
{
	struct sockaddr_storage name;
	socklen_t name_len = sizeof(name);
	struct endpoint from = {0};
	ssize_t n = recvfrom(fd, ret, len, 0, (struct sockaddr *)&name, &name_len);

	ck_assert_int_ge(n, 0);
	ck_assert(host_sockaddr_to(&name, name_len, &from));
	*ret_n = (size_t)n;
	return from;
}

static void send_to(int fd, const struct endpoint *to, const void *bytes, size_t len)
{
	struct sockaddr_storage name;
	socklen_t name_len = host_sockaddr_from(to, &name);

	ck_assert_int_eq(sendto(fd, bytes, len, 0, (struct sockaddr *)&name, name_len),
			 (ssize_t)len);
}

START_TEST(test_datagrams_go_out_and_answers_come_back)
{
	struct host_fixture f;
	struct host_datagram got[4];
	struct endpoint at, from;
	char text[16] = {0};
	size_t len;

	if (_i && !loopback_v6_available())
		return;

	int peer = loopback_socket(SOCK_DGRAM, _i, &at);

	host_fixture_open(&f);

	int handle = f.ops->udp_open(f.host, 5, _i);
	struct iovec pieces[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};

	ck_assert_int_ge(handle, 0);
	ck_assert_int_eq(
	    f.ops->udp_send(f.host, handle,
			    &(struct host_udp_out){.to = at, .iov = pieces, .iov_n = 3}),
	    0);
	from = receive_from(peer, text, sizeof(text), &len);
	ck_assert_uint_eq(len, 5);
	ck_assert_str_eq(text, "abcde");
	ck_assert(addr_eq(&from.addr, &at.addr));
	send_to(peer, &from, "answer", 6);
	send_to(peer, &from, "", 0);
	ck_assert_uint_eq(host_fixture_wait(&f, 5, HOST_READABLE), HOST_READABLE);
	ck_assert_int_eq(f.ops->recv(f.host, handle, got, 4), 2);
	ck_assert_int_eq(got[0].kind, HOST_DATAGRAM_DATA);
	ck_assert(endpoint_eq(&got[0].peer, &at));
	ck_assert_uint_eq(got[0].len, 6);
	ck_assert_int_eq(memcmp(got[0].bytes, "answer", 6), 0);
	ck_assert_uint_eq(got[1].len, 0);
	ck_assert(endpoint_eq(&got[1].peer, &at));
	ck_assert_int_eq(f.ops->recv(f.host, handle, got, 4), -EAGAIN);
	f.ops->datagram_close(f.host, handle);
	ck_assert_uint_eq(host_handle_count(f.host), 0);
	host_fixture_close(&f);
	close(peer);
}
END_TEST

START_TEST(test_longest_datagrams_pass_both_ways)
{
	struct host_fixture f;
	struct host_datagram got;
	struct endpoint at, from;
	static uint8_t out[65508], in[65508];
	size_t len;

	if (_i && !loopback_v6_available())
		return;

	int peer = loopback_socket(SOCK_DGRAM, _i, &at);

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 31 + (i >> 8));
	host_fixture_open(&f);

	int handle = f.ops->udp_open(f.host, 1, _i);

	ck_assert_int_eq(send_bytes(&f, handle, &at, out, 65507), 0);
	from = receive_from(peer, in, sizeof(in), &len);
	ck_assert_uint_eq(len, 65507);
	ck_assert_int_eq(memcmp(in, out, len), 0);
	send_to(peer, &from, out, 65507);
	host_fixture_wait(&f, 1, HOST_READABLE);
	ck_assert_int_eq(f.ops->recv(f.host, handle, &got, 1), 1);
	ck_assert_uint_eq(got.len, 65507);
	ck_assert_int_eq(memcmp(got.bytes, out, got.len), 0);
	if (!_i)
		ck_assert_int_eq(send_bytes(&f, handle, &at, out, 65508), -EMSGSIZE);
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(peer);
}
END_TEST

START_TEST(test_closed_port_is_told_as_port_unreachable)
{
	struct host_fixture f;
	struct host_datagram got[4];
	struct endpoint at;

	if (_i && !loopback_v6_available())
		return;
	close(loopback_socket(SOCK_DGRAM, _i, &at));
	host_fixture_open(&f);

	int handle = f.ops->udp_open(f.host, 1, _i);

	ck_assert_int_eq(send_bytes(&f, handle, &at, "hello?", 6), 0);
	ck_assert(host_fixture_wait(&f, 1, HOST_ERROR) & HOST_READABLE);
	ck_assert_int_eq(f.ops->recv(f.host, handle, got, 4), 1);
	ck_assert_int_eq(got[0].kind, HOST_DATAGRAM_ERROR);
	ck_assert(endpoint_eq(&got[0].peer, &at));
	ck_assert_uint_eq(got[0].icmp_type, _i ? 1 : 3);
	ck_assert_uint_eq(got[0].icmp_code, _i ? 4 : 3);
	ck_assert_uint_eq(got[0].icmp_info, 0);
	ck_assert(addr_eq(&got[0].offender, &at.addr));
	ck_assert_uint_eq(got[0].len, 6);
	ck_assert_int_eq(memcmp(got[0].bytes, "hello?", 6), 0);
	ck_assert_int_eq(f.ops->recv(f.host, handle, got, 4), -EAGAIN);
	host_fixture_settle(&f);
	ck_assert_uint_eq(f.told_n[1], 0);
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_error_about_one_peer_hinders_no_other)
{
	struct host_fixture f;
	struct host_datagram got[8];
	struct endpoint open_at, closed_at, from;
	char text[8];
	size_t len;
	int peer = loopback_socket(SOCK_DGRAM, false, &open_at);
	unsigned errors = 0, data = 0;

	close(loopback_socket(SOCK_DGRAM, false, &closed_at));
	host_fixture_open(&f);

	int handle = f.ops->udp_open(f.host, 1, false);

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(send_bytes(&f, handle, &closed_at, "a", 1), 0);
		/* The refusal of the last one waits in the socket and is not this one's. */
		ck_assert_int_eq(send_bytes(&f, handle, &open_at, "b", 1), 0);
		from = receive_from(peer, text, sizeof(text), &len);
		ck_assert_uint_eq(len, 1);
		send_to(peer, &from, "c", 1);
	}
	host_fixture_wait(&f, 1, HOST_ERROR);
	/* Fewer at a time than there are, so that both kinds meet the limit. */
	for (;;) {
		int n = f.ops->recv(f.host, handle, got, 2);

		if (n == -EAGAIN)
			break;
		ck_assert_int_gt(n, 0);
		for (int i = 0; i < n; i++) {
			bool error = got[i].kind == HOST_DATAGRAM_ERROR;

			errors += error;
			data += !error;
			ck_assert(endpoint_eq(&got[i].peer, error ? &closed_at : &open_at));
			ck_assert_int_eq(got[i].bytes[0], error ? 'a' : 'c');
		}
	}
	ck_assert_uint_eq(errors, 3);
	ck_assert_uint_eq(data, 3);
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(peer);
}
END_TEST

START_TEST(test_error_that_comes_after_the_event_is_told_too)
{
	struct host_fixture f;
	struct host_datagram got[4];
	struct endpoint open_at, closed_at, from;
	char text[8];
	size_t len;
	int peer = loopback_socket(SOCK_DGRAM, false, &open_at), n = 0;

	close(loopback_socket(SOCK_DGRAM, false, &closed_at));
	host_fixture_open(&f);

	int handle = f.ops->udp_open(f.host, 1, false);

	ck_assert_int_eq(send_bytes(&f, handle, &open_at, "b", 1), 0);
	from = receive_from(peer, text, sizeof(text), &len);
	send_to(peer, &from, "c", 1);
	host_fixture_wait(&f, 1, HOST_READABLE);
	/* Told without an error; now there is one, and one more datagram. */
	ck_assert_int_eq(send_bytes(&f, handle, &closed_at, "a", 1), 0);
	send_to(peer, &from, "d", 1);
	while (n < 3) {
		int r = f.ops->recv(f.host, handle, got, 4);

		if (r == -EAGAIN) {
			host_fixture_wait(&f, 1, HOST_READABLE);
			continue;
		}
		ck_assert_int_gt(r, 0);
		n += r;
	}
	ck_assert_int_eq(n, 3);
	ck_assert_int_eq(f.ops->recv(f.host, handle, got, 4), -EAGAIN);
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(peer);
}
END_TEST

static int received_ttl(int fd)
{
	uint8_t control[128] __attribute__((aligned(8)));
	char text[8];
	struct iovec iov = {text, sizeof(text)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	int ttl = -1;

	ck_assert_int_ge(recvmsg(fd, &msg, 0), 0);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
		    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT))
			memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
	}
	return ttl;
}

START_TEST(test_ttl_is_the_guests_when_given_and_the_hosts_otherwise)
{
	struct host_fixture f;
	struct endpoint at;
	struct iovec iov = {"t", 1};
	int on = 1;

	if (_i && !loopback_v6_available())
		return;

	int peer = loopback_socket(SOCK_DGRAM, _i, &at);

	ck_assert_int_eq(_i ? setsockopt(peer, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof(on))
			    : setsockopt(peer, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on)),
			 0);
	host_fixture_open(&f);

	int handle = f.ops->udp_open(f.host, 1, _i);

	ck_assert_int_eq(send_ttl(&f, handle, &at, 7, &iov), 0);
	ck_assert_int_eq(received_ttl(peer), 7);
	ck_assert_int_eq(send_ttl(&f, handle, &at, 255, &iov), 0);
	ck_assert_int_eq(received_ttl(peer), 255);
	send_to(peer, &at, "self", 4);

	int default_ttl = received_ttl(peer);

	ck_assert_int_eq(send_ttl(&f, handle, &at, 0, &iov), 0);
	ck_assert_int_eq(received_ttl(peer), default_ttl);
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(peer);
}
END_TEST

START_TEST(test_bursts_arrive_whole_and_in_order)
{
	enum { TOTAL = 1000, BURST = 100 };
	struct host_fixture f;
	struct host_datagram got[64];
	struct endpoint at, from;
	char text[8];
	size_t len;
	unsigned sent = 0, received = 0;
	int peer = loopback_socket(SOCK_DGRAM, false, &at);

	host_fixture_open(&f);

	int handle = f.ops->udp_open(f.host, 1, false);

	ck_assert_int_eq(send_bytes(&f, handle, &at, "x", 1), 0);
	from = receive_from(peer, text, sizeof(text), &len);
	while (sent < TOTAL) {
		for (int i = 0; i < BURST; i++, sent++)
			send_to(peer, &from, &sent, sizeof(sent));
		host_fixture_wait(&f, 1, HOST_READABLE);
		for (;;) {
			int n = f.ops->recv(f.host, handle, got, 64);

			if (n == -EAGAIN)
				break;
			ck_assert_int_gt(n, 0);
			for (int i = 0; i < n; i++, received++) {
				ck_assert_uint_eq(got[i].len, sizeof(received));
				ck_assert_int_eq(memcmp(got[i].bytes, &received, got[i].len), 0);
			}
		}
		ck_assert_uint_eq(received, sent);
	}
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(peer);
}
END_TEST

/* Lengths in the order of a hard-to-join flow: equal ones, shorter and longer ones, none, too long.
 */
static size_t nth_len(unsigned i)
{
	static const size_t lens[] = {1000, 1000, 1000, 999, 1000, 1001, 0, 1, 9000, 1000};

	return i < 200 ? 1200 : lens[i % 10];
}

START_TEST(test_datagrams_of_one_turn_arrive_as_they_were_sent)
{
	enum { TOTAL = 300 };
	static uint8_t bytes[16384], got[16384];
	struct host_fixture f;
	struct endpoint at[2];
	int peer[2] = {loopback_socket(SOCK_DGRAM, false, &at[0]),
		       loopback_socket(SOCK_DGRAM, false, &at[1])};
	size_t len;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31 + i / 255);
	for (unsigned i = 0; i < 2; i++) {
		int room = 4 << 20;
		setsockopt(peer[i], SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	}
	host_fixture_open(&f);
	int handle = f.ops->udp_open(f.host, 1, false);

	/* Five turns, so that a small receive buffer does; peers change every 50 datagrams. */
	for (unsigned from = 0; from < TOTAL; from += TOTAL / 5) {
		unsigned to = from + TOTAL / 5;
		for (unsigned i = from; i < to; i++)
			ck_assert_int_eq(
			    send_in_turn(&f, handle, &at[i / 50 % 2], bytes + i, nth_len(i)), 0);
		f.ops->flush(f.host);
		for (unsigned i = from; i < to; i++) {
			receive_from(peer[i / 50 % 2], got, sizeof(got), &len);
			ck_assert_uint_eq(len, nth_len(i));
			ck_assert_int_eq(memcmp(got, bytes + i, len), 0);
		}
	}
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(peer[0]);
	close(peer[1]);
}
END_TEST

START_TEST(test_what_is_kept_leaves_before_its_handle_closes)
{
	struct host_fixture f;
	struct endpoint at;
	uint8_t got[64];
	int peer = loopback_socket(SOCK_DGRAM, false, &at);
	size_t len;

	host_fixture_open(&f);
	int handle = f.ops->udp_open(f.host, 1, false);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(send_in_turn(&f, handle, &at, (const uint8_t *)"abcdef", 6 - i),
				 0);
	f.ops->datagram_close(f.host, handle);
	for (unsigned i = 0; i < 3; i++) {
		receive_from(peer, got, sizeof(got), &len);
		ck_assert_uint_eq(len, 6 - i);
	}
	host_fixture_close(&f);
	close(peer);
}
END_TEST

START_TEST(test_sending_alone_tells_nothing)
{
	struct host_fixture f;
	struct endpoint at;
	int peer = loopback_socket(SOCK_DGRAM, false, &at);

	host_fixture_open(&f);

	int handle = f.ops->udp_open(f.host, 1, false);

	for (int i = 0; i < 20; i++) {
		char text[8];
		size_t len;

		ck_assert_int_eq(send_bytes(&f, handle, &at, "x", 1), 0);
		receive_from(peer, text, sizeof(text), &len);
		host_fixture_settle(&f);
	}
	ck_assert_uint_eq(f.told_n[1], 0);
	ck_assert_uint_eq(f.turn_ends, 0);
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(peer);
}
END_TEST

START_TEST(test_what_a_limited_read_leaves_is_read_without_news)
{
	struct host_fixture f;
	struct host_datagram got[4];
	struct endpoint at, from;
	char text[8];
	size_t len;
	int peer = loopback_socket(SOCK_DGRAM, false, &at);

	host_fixture_open(&f);

	int handle = f.ops->udp_open(f.host, 1, false);

	ck_assert_int_eq(send_bytes(&f, handle, &at, "x", 1), 0);
	from = receive_from(peer, text, sizeof(text), &len);
	for (int i = 0; i < 3; i++)
		send_to(peer, &from, "abc" + i, 1);
	host_fixture_wait(&f, 1, HOST_READABLE);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(f.ops->recv(f.host, handle, got, 1), 1);
		ck_assert_int_eq(got[0].bytes[0], 'a' + i);
	}
	ck_assert_int_eq(f.ops->recv(f.host, handle, got, 1), -EAGAIN);
	send_to(peer, &from, "d", 1);
	host_fixture_wait(&f, 1, HOST_READABLE);
	ck_assert_int_eq(f.ops->recv(f.host, handle, got, 4), 1);
	ck_assert_int_eq(got[0].bytes[0], 'd');
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(peer);
}
END_TEST

START_TEST(test_more_handles_than_one_wait_returns_are_all_told)
{
	enum { CROWD = 700 }; /* less than the usual limit of 1,024 descriptors */
	struct host_fixture f;
	struct endpoint at;
	static int handles[CROWD];
	int peer = loopback_socket(SOCK_DGRAM, false, &at);

	host_fixture_open(&f);
	for (unsigned i = 0; i < CROWD; i++) {
		char text[8];
		size_t len;

		handles[i] = f.ops->udp_open(f.host, i, false);
		ck_assert_int_ge(handles[i], 0);
		ck_assert_int_eq(send_bytes(&f, handles[i], &at, "x", 1), 0);

		struct endpoint from = receive_from(peer, text, sizeof(text), &len);

		send_to(peer, &from, "y", 1);
	}
	host_fixture_settle(&f);
	for (unsigned i = 0; i < CROWD; i++) {
		ck_assert_uint_eq(f.told_n[i], 1);
		ck_assert_uint_eq(f.told[i], HOST_READABLE);
		f.ops->datagram_close(f.host, handles[i]);
	}
	ck_assert_uint_eq(f.turn_ends, (CROWD + POLLER_EVENTS_MAX - 1) / POLLER_EVENTS_MAX);
	host_fixture_close(&f);
	close(peer);
}
END_TEST

START_TEST(test_impossible_destinations_are_refused)
{
	struct host_fixture f;
	struct endpoint any = {addr_v4(0), 53}, everybody = {addr_v4(0xffffffff), 53};

	host_fixture_open(&f);

	int handle = f.ops->udp_open(f.host, 1, false);

	ck_assert_int_eq(send_bytes(&f, handle, &any, "x", 1), -ENETUNREACH);
	ck_assert_int_lt(send_bytes(&f, handle, &everybody, "x", 1), 0);
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_errors_from_the_path_name_type_peer_and_router)
{
	static const unsigned cases[] = {11 << 8 | 0, 3 << 8 | 1, 3 << 8 | 0, 3 << 8 | 13,
					 3 << 8 | 2};
	struct endpoint far = {addr_v4(NETNS_FAR), 4242};
	struct addr router = addr_v4(NETNS_ROUTER);
	struct host_fixture f;
	struct host_datagram got[4];
	uint8_t packet[2000];

	if (!netns_enter())
		return;

	int tun = netns_tun();

	if (tun < 0)
		return;
	host_fixture_open(&f);

	int handle = f.ops->udp_open(f.host, 1, false);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(send_bytes(&f, handle, &far, "probe", 5), 0);

		size_t len = netns_next_packet(tun, packet, sizeof(packet));

		netns_answer_icmp(tun, packet, len, cases[i], 0);
		ck_assert(host_fixture_wait(&f, 1, HOST_ERROR) & HOST_READABLE);
		ck_assert_int_eq(f.ops->recv(f.host, handle, got, 4), 1);
		ck_assert_int_eq(got[0].kind, HOST_DATAGRAM_ERROR);
		ck_assert_uint_eq(got[0].icmp_type, cases[i] >> 8);
		ck_assert_uint_eq(got[0].icmp_code, cases[i] & 0xff);
		ck_assert(endpoint_eq(&got[0].peer, &far));
		ck_assert(addr_eq(&got[0].offender, &router));
		ck_assert_uint_eq(got[0].len, 5);
		ck_assert_int_eq(memcmp(got[0].bytes, "probe", 5), 0);
	}
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(tun);
}
END_TEST

START_TEST(test_errors_from_the_ipv6_path_name_type_peer_and_router)
{
	static const unsigned cases[] = {3 << 8 | 0, 1 << 8 | 0, 1 << 8 | 3, 1 << 8 | 1,
					 4 << 8 | 1};
	struct netns_places places = netns_places(true);
	struct endpoint far = {places.far, 4242};
	struct host_fixture f;
	struct host_datagram got[4];
	uint8_t packet[2000];

	if (!loopback_v6_available() || !netns_enter())
		return;

	int tun = netns_tun();

	if (tun < 0)
		return;
	host_fixture_open(&f);

	int handle = f.ops->udp_open(f.host, 1, true);
	struct iovec probe = {"probe", 5};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(send_ttl(&f, handle, &far, 3, &probe), 0);
		f.ops->flush(f.host);

		size_t len = netns_next_packet6(tun, packet, sizeof(packet));

		ck_assert_uint_eq(packet[7], 3); /* hop limit */
		netns_answer_icmp6(tun, packet, len, cases[i], 0);
		ck_assert(host_fixture_wait(&f, 1, HOST_ERROR) & HOST_READABLE);
		ck_assert_int_eq(f.ops->recv(f.host, handle, got, 4), 1);
		ck_assert_int_eq(got[0].kind, HOST_DATAGRAM_ERROR);
		ck_assert_uint_eq(got[0].icmp_type, cases[i] >> 8);
		ck_assert_uint_eq(got[0].icmp_code, cases[i] & 0xff);
		ck_assert(endpoint_eq(&got[0].peer, &far));
		ck_assert(addr_eq(&got[0].offender, &places.router));
		ck_assert_uint_eq(got[0].len, 5);
		ck_assert_int_eq(memcmp(got[0].bytes, "probe", 5), 0);
	}
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(tun);
}
END_TEST

START_TEST(test_narrow_path_makes_the_host_fragment)
{
	struct endpoint far = {addr_v4(NETNS_FAR), 4242};
	struct host_fixture f;
	struct host_datagram got[4];
	uint8_t packet[2000];
	static uint8_t payload[1400];

	if (!netns_enter())
		return;

	int tun = netns_tun();

	if (tun < 0)
		return;
	host_fixture_open(&f);

	int handle = f.ops->udp_open(f.host, 1, false);

	ck_assert_int_eq(send_bytes(&f, handle, &far, payload, sizeof(payload)), 0);

	size_t len = netns_next_packet(tun, packet, sizeof(packet));

	ck_assert_uint_eq(len, 1428);
	ck_assert_uint_eq(packet[6] & 0x40, 0); /* may be fragmented on the way */
	netns_answer_icmp(tun, packet, len, 3 << 8 | 4, 1000);
	host_fixture_settle(&f);
	ck_assert_int_eq(f.ops->recv(f.host, handle, got, 4), -EAGAIN);
	ck_assert_int_eq(send_bytes(&f, handle, &far, payload, sizeof(payload)), 0);
	ck_assert_uint_le(netns_next_packet(tun, packet, sizeof(packet)), 1000);
	ck_assert_uint_eq(packet[6] & 0x20, 0x20); /* more fragments */
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(tun);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host_udp");
	TCase *tc = tcase_create("udp");
	SRunner *runner = srunner_create(suite);

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, test_datagrams_go_out_and_answers_come_back, 0, 2);
	tcase_add_loop_test(tc, test_longest_datagrams_pass_both_ways, 0, 2);
	tcase_add_loop_test(tc, test_closed_port_is_told_as_port_unreachable, 0, 2);
	tcase_add_test(tc, test_error_about_one_peer_hinders_no_other);
	tcase_add_test(tc, test_error_that_comes_after_the_event_is_told_too);
	tcase_add_loop_test(tc, test_ttl_is_the_guests_when_given_and_the_hosts_otherwise, 0, 2);
	tcase_add_test(tc, test_bursts_arrive_whole_and_in_order);
	tcase_add_test(tc, test_datagrams_of_one_turn_arrive_as_they_were_sent);
	tcase_add_test(tc, test_what_is_kept_leaves_before_its_handle_closes);
	tcase_add_test(tc, test_sending_alone_tells_nothing);
	tcase_add_test(tc, test_what_a_limited_read_leaves_is_read_without_news);
	tcase_add_test(tc, test_more_handles_than_one_wait_returns_are_all_told);
	tcase_add_test(tc, test_impossible_destinations_are_refused);
	tcase_add_test(tc, test_errors_from_the_path_name_type_peer_and_router);
	tcase_add_test(tc, test_errors_from_the_ipv6_path_name_type_peer_and_router);
	tcase_add_test(tc, test_narrow_path_makes_the_host_fragment);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);

	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
