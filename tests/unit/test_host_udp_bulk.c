/* Many datagrams with one system call, on real sockets: what GSO and GRO make of them, and what
 * happens where they cannot. */
#include "tests/support/host_fixture.h"
#include "tests/support/netns.h"
#include "tests/support/pattern.h"

#include "stack/host/host_listen.h"
#include "stack/host/sockaddr.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LEN_MAX 65507

/* Sends as one, to be cut by whoever has to. */
static void send_cut(int fd, const struct endpoint *to, const uint8_t *bytes, size_t len,
		     int segment)
{
	struct sockaddr_storage name;
	socklen_t name_len = host_sockaddr_from(to, &name);

	ck_assert_int_eq(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	ck_assert_int_eq(sendto(fd, bytes, len, 0, (struct sockaddr *)&name, name_len),
			 (ssize_t)len);
}

/* A handle, and the place where it is: it has said hello to 'peer'. */
static int open_handle(struct host_fixture *f, bool v6, int peer, const struct endpoint *peer_at,
		       struct endpoint *ret_at)
{
	int handle = f->ops->udp_open(f->host, 5, v6);
	struct iovec hello = {"hello", 5};
	struct sockaddr_storage name;
	socklen_t name_len = sizeof(name);
	char text[8];

	ck_assert_int_ge(handle, 0);
	ck_assert_int_eq(
	    f->ops->udp_send(f->host, handle,
			     &(struct host_udp_out){.to = *peer_at, .iov = &hello, .iov_n = 1}),
	    0);
	f->ops->flush(f->host);
	ck_assert_int_eq(recvfrom(peer, text, sizeof(text), 0, (struct sockaddr *)&name, &name_len),
			 5);
	ck_assert(host_sockaddr_to(&name, name_len, ret_at));
	return handle;
}

/* Checks that what is read next are pieces of the pattern of 'segment' bytes; how many reads gave
 * them. */
static unsigned read_pattern(struct host_fixture *f, int handle, size_t len, size_t segment)
{
	struct host_datagram got[32];
	unsigned reads = 0;
	size_t at = 0;

	while (at < len) {
		int n = f->ops->recv(f->host, handle, got, 32);
		if (n == -EAGAIN)
			host_fixture_wait(f, 5, HOST_READABLE);
		for (int i = 0; i < n; i++, reads++) {
			size_t each = got[i].segment ? got[i].segment : got[i].len;
			ck_assert_int_eq(got[i].kind, HOST_DATAGRAM_DATA);
			ck_assert(each == segment || (each < segment && at + each == len));
			ck_assert(at + got[i].len == len || got[i].len % segment == 0);
			ck_assert(pattern_matches(3, at, got[i].bytes, got[i].len));
			at += got[i].len;
		}
	}
	ck_assert_uint_eq(at, len);
	return reads;
}

START_TEST(test_a_burst_sent_as_one_is_received_as_one)
{
	static uint8_t bytes[LEN_MAX];
	struct endpoint at, to;
	struct host_fixture f;
	unsigned reads;

	if (_i && !loopback_v6_available())
		return;
	int peer = loopback_socket(SOCK_DGRAM, _i, &at);
	host_fixture_open(&f);
	int handle = open_handle(&f, _i, peer, &at, &to);

	pattern_fill(3, 0, bytes, sizeof(bytes));
	send_cut(peer, &to, bytes, 14000, 1400);
	reads = read_pattern(&f, handle, 14000, 1400);
	ck_assert_uint_eq(reads, 1);
	send_cut(peer, &to, bytes, 60001, 1000);
	ck_assert_uint_le(read_pattern(&f, handle, 60001, 1000), 2);
	send_cut(peer, &to, bytes, 33, 1);
	read_pattern(&f, handle, 33, 1);
	send_cut(peer, &to, bytes, 900, 1000);
	read_pattern(&f, handle, 900, 1000);
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(peer);
}
END_TEST

static int send_bulk(struct host_fixture *f, int handle, struct host_udp_out *bulk, size_t len)
{
	static uint8_t bytes[LEN_MAX];
	static struct iovec iov[20];

	/* Pieces whose ends are nobody's. */
	pattern_fill(3, 0, bytes, len);
	bulk->iov = iov;
	bulk->iov_n = 0;
	for (size_t at = 0, here = 777; at < len; here = 4096) {
		here = here < len - at ? here : len - at;
		iov[bulk->iov_n++] = (struct iovec){bytes + at, here};
		at += here;
	}
	return f->ops->udp_send(f->host, handle, bulk);
}

static void check_arrived(int peer, size_t len, size_t segment)
{
	static uint8_t in[LEN_MAX];

	for (size_t at = 0; at < len; at += segment) {
		size_t here = len - at < segment ? len - at : segment;

		ck_assert_int_eq(recv(peer, in, sizeof(in), 0), (ssize_t)here);
		ck_assert(pattern_matches(3, at, in, here));
	}
	ck_assert_int_eq(recv(peer, in, sizeof(in), MSG_DONTWAIT), -1);
}

START_TEST(test_bulk_arrives_as_the_datagrams_it_is)
{
	static const struct {
		size_t len;
		uint16_t segment;
	} cases[] = {{14000, 1400}, {14001, 1400},  {65507, 1000}, {300, 1},
		     {60000, 8000}, {65000, 32500}, {500, 1000},   {65507, 40000}};
	struct endpoint at, to;
	struct host_fixture f;

	if (_i && !loopback_v6_available())
		return;
	int peer = loopback_socket(SOCK_DGRAM, _i, &at);
	int size = 4 << 20;
	setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	host_fixture_open(&f);
	int handle = open_handle(&f, _i, peer, &at, &to);

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host_udp_out bulk = {.to = at, .segment = cases[i].segment};

		ck_assert_int_eq(send_bulk(&f, handle, &bulk, cases[i].len), 0);
		f.ops->flush(f.host);
		check_arrived(peer, cases[i].len, cases[i].segment);
	}
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(peer);
}
END_TEST

static void on_release(struct frame_owner *owner)
{
	(void)owner;
}

START_TEST(test_what_has_an_owner_is_referred_to_until_the_turn_ends)
{
	struct frame_owner owner = {1, on_release};
	struct endpoint at, to;
	struct host_fixture f;
	char text[8];

	int peer = loopback_socket(SOCK_DGRAM, false, &at);
	host_fixture_open(&f);
	int handle = open_handle(&f, false, peer, &at, &to);

	for (unsigned i = 0; i < 200; i++) {
		struct iovec iov[2] = {{"ab", 2}, {"cde", 3}};
		struct host_udp_out bulk = {.to = at, .owner = &owner, .iov = iov, .iov_n = 2};
		/* Owned and copied ones in turns. */
		bulk.owner = i % 3 ? &owner : NULL;
		ck_assert_int_eq(f.ops->udp_send(f.host, handle, &bulk), 0);
	}
	ck_assert_uint_gt(owner.refs, 1);
	f.ops->flush(f.host);
	ck_assert_uint_eq(owner.refs, 1);
	for (unsigned i = 0; i < 200; i++) {
		ck_assert_int_eq(recv(peer, text, sizeof(text), 0), 5);
		ck_assert_int_eq(memcmp(text, "abcde", 5), 0);
	}
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(peer);
}
END_TEST

START_TEST(test_errors_in_the_middle_of_a_burst_lose_no_other_datagram)
{
	struct endpoint at, to, closed;
	struct host_fixture f;
	struct host_datagram got[32];
	unsigned errors = 0;

	int peer = loopback_socket(SOCK_DGRAM, false, &at);
	int gone = loopback_socket(SOCK_DGRAM, false, &closed);
	close(gone);
	host_fixture_open(&f);
	int handle = open_handle(&f, false, peer, &at, &to);

	for (unsigned i = 0; i < 20; i++) {
		struct host_udp_out bulk = {.to = i % 2 ? closed : at, .segment = 1000};
		ck_assert_int_eq(send_bulk(&f, handle, &bulk, 5000), 0);
	}
	f.ops->flush(f.host);
	for (unsigned i = 0; i < 10; i++) {
		static uint8_t in[LEN_MAX];
		for (size_t n = 0; n < 5000; n += 1000) {
			ck_assert_int_eq(recv(peer, in, sizeof(in), 0), 1000);
			ck_assert(pattern_matches(3, n, in, 1000));
		}
	}
	host_fixture_wait(&f, 5, HOST_ERROR);
	for (int n; (n = f.ops->recv(f.host, handle, got, 32)) > 0;) {
		for (int i = 0; i < n; i++)
			errors += got[i].kind == HOST_DATAGRAM_ERROR;
	}
	ck_assert_uint_gt(errors, 0);
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(peer);
}
END_TEST

/* The TUN device has no GSO of UDP and an MTU of 1,500. */
START_TEST(test_segments_too_long_for_the_path_leave_as_fragments)
{
	struct endpoint far = {addr_v4(NETNS_FAR), 4242};
	struct host_udp_out bulk = {.to = far, .segment = 2000};
	struct host_fixture f;
	uint8_t packet[2000];
	size_t bytes = 0;
	unsigned first_n = 0;

	if (!netns_enter())
		return;
	int tun = netns_tun();
	if (tun < 0)
		return;
	host_fixture_open(&f);
	int handle = f.ops->udp_open(f.host, 1, false);

	ck_assert_int_eq(send_bulk(&f, handle, &bulk, 10000), 0);
	while (bytes < 10000 + 5 * 8) {
		size_t len = netns_next_packet(tun, packet, sizeof(packet));
		ck_assert_uint_le(len, 1500);
		first_n += ((packet[6] & 0x1f) << 8 | packet[7]) == 0;
		bytes += len - 20;
	}
	ck_assert_uint_eq(bytes, 10000 + 5 * 8);
	ck_assert_uint_eq(first_n, 5);
	/* What fits is cut by the kernel before it reaches the device. */
	bulk.segment = 1000;
	ck_assert_int_eq(send_bulk(&f, handle, &bulk, 10000), 0);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_uint_eq(netns_next_packet(tun, packet, sizeof(packet)), 1028);
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(tun);
}
END_TEST

struct inbound {
	size_t at;
	unsigned n;
};

static void on_datagram(void *ctx, int handle, const struct endpoint *peer, struct iovec payload)
{
	struct inbound *in = ctx;

	(void)handle;
	(void)peer;
	ck_assert(pattern_matches(3, in->at, payload.iov_base, payload.iov_len));
	ck_assert(payload.iov_len == 1000 || in->at + payload.iov_len == 20001);
	in->at += payload.iov_len;
	in->n++;
}

START_TEST(test_a_listener_is_told_single_datagrams)
{
	static uint8_t bytes[20001];
	struct inbound in = {0};
	struct host_listen_events events = {.datagram = on_datagram, .ctx = &in};
	struct endpoint at, any = {addr_v4(INADDR_LOOPBACK), 0};
	struct host_listener *listener;
	struct host_fixture f;

	int peer = loopback_socket(SOCK_DGRAM, false, &at);
	host_fixture_open(&f);
	ck_assert_int_eq(host_listen_udp(&listener, f.host, &any, &events), 0);
	pattern_fill(3, 0, bytes, sizeof(bytes));
	send_cut(peer, host_listener_local(listener), bytes, sizeof(bytes), 1000);
	while (in.at < sizeof(bytes))
		uv_run(&f.loop, UV_RUN_ONCE);
	ck_assert_uint_eq(in.n, 21);
	host_listener_close(listener);
	host_fixture_close(&f);
	close(peer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host_udp_bulk");
	TCase *tcase = tcase_create("bulk");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, test_a_burst_sent_as_one_is_received_as_one, 0, 2);
	tcase_add_loop_test(tcase, test_bulk_arrives_as_the_datagrams_it_is, 0, 2);
	tcase_add_test(tcase, test_what_has_an_owner_is_referred_to_until_the_turn_ends);
	tcase_add_test(tcase, test_errors_in_the_middle_of_a_burst_lose_no_other_datagram);
	tcase_add_test(tcase, test_segments_too_long_for_the_path_leave_as_fragments);
	tcase_add_test(tcase, test_a_listener_is_told_single_datagrams);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
