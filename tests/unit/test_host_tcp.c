#include "tests/support/host_fixture.h"

#include "stack/host/sockaddr.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* One flow: our handle, and the other end as a plain blocking socket. */
struct flow {
	int handle, peer;
	uint64_t token;
};

static struct flow flow_open(struct host_fixture *f, uint64_t token, bool v6)
{
	struct endpoint at;
	int listener = loopback_socket(SOCK_STREAM, v6, &at);
	struct flow flow = {.token = token};

	flow.handle = f->ops->tcp_dial(f->host, token, &at);
	ck_assert_int_ge(flow.handle, 0);
	flow.peer = accept(listener, NULL, NULL);
	ck_assert_int_ge(flow.peer, 0);
	ck_assert(host_fixture_wait(f, token, HOST_WRITABLE) & HOST_WRITABLE);
	ck_assert_int_eq(f->ops->tcp_connect_result(f->host, flow.handle), 0);
	host_fixture_settle(f);
	host_fixture_take(f, token);
	close(listener);
	return flow;
}

static void flow_close(struct host_fixture *f, const struct flow *flow)
{
	f->ops->tcp_close(f->host, flow->handle, false);
	close(flow->peer);
}

static ssize_t read_into(struct host_fixture *f, int handle, void *ret, size_t len)
{
	struct iovec iov = {ret, len};

	return f->ops->tcp_read(f->host, handle, &iov, 1);
}

static ssize_t write_from(struct host_fixture *f, int handle, const void *bytes, size_t len)
{
	struct iovec iov = {(void *)bytes, len};

	return f->ops->tcp_write(f->host, handle, &iov, 1);
}

static void close_with_rst(int fd)
{
	struct linger at_once = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

START_TEST(test_connection_is_told_and_carries_bytes)
{
	struct host_fixture f;
	char text[8] = {0}, first[3] = {0}, second[5] = {0};

	if (_i && !loopback_v6_available())
		return;
	host_fixture_open(&f);

	struct flow flow = flow_open(&f, 7, _i);
	struct iovec out[2] = {{"he", 2}, {"llo", 3}}, in[2] = {{first, 2}, {second, 4}};

	ck_assert_int_eq(f.ops->tcp_write(f.host, flow.handle, out, 2), 5);
	ck_assert_int_eq(recv(flow.peer, text, 5, MSG_WAITALL), 5);
	ck_assert_str_eq(text, "hello");
	ck_assert_int_eq(send(flow.peer, "back", 4, 0), 4);
	ck_assert(host_fixture_wait(&f, 7, HOST_READABLE) & HOST_READABLE);
	ck_assert_int_eq(f.ops->tcp_read(f.host, flow.handle, in, 2), 4);
	ck_assert_str_eq(first, "ba");
	ck_assert_str_eq(second, "ck");
	ck_assert_int_eq(f.ops->tcp_read(f.host, flow.handle, in, 2), -EAGAIN);
	ck_assert_uint_eq(host_handle_count(f.host), 1);
	flow_close(&f, &flow);
	ck_assert_uint_eq(host_handle_count(f.host), 0);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_flow_sockets_send_at_once_and_do_not_leak_into_children)
{
	struct host_fixture f;
	int on = 0;
	socklen_t len = sizeof(on);

	host_fixture_open(&f);

	struct flow flow = flow_open(&f, 1, false);
	struct iovec byte = {"x", 1};

	/* Nagle's algorithm lets the first one go. */
	ck_assert_int_eq(f.ops->tcp_write(f.host, flow.handle, &byte, 1), 1);
	ck_assert_int_eq(f.ops->tcp_write(f.host, flow.handle, &byte, 1), 1);
	ck_assert_int_eq(getsockopt(flow.handle, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	ck_assert_int_eq(on, 1);
	ck_assert(fcntl(flow.handle, F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(flow.handle, F_GETFL) & O_NONBLOCK);
	flow_close(&f, &flow);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_refused_connection_is_told_once_with_its_errno)
{
	struct host_fixture f;
	struct endpoint at;

	if (_i && !loopback_v6_available())
		return;
	host_fixture_open(&f);
	close(loopback_socket(SOCK_STREAM, _i, &at));

	int handle = f.ops->tcp_dial(f.host, 3, &at);

	ck_assert_int_ge(handle, 0);
	ck_assert(host_fixture_wait(&f, 3, HOST_ERROR | HOST_WRITABLE) & HOST_WRITABLE);
	ck_assert_int_eq(f.ops->tcp_connect_result(f.host, handle), -ECONNREFUSED);
	/* The kernel tells the errno once; the flow is over all the same. */
	ck_assert_int_lt(f.ops->tcp_connect_result(f.host, handle), 0);
	ck_assert_int_ne(f.ops->tcp_connect_result(f.host, handle), -EINPROGRESS);
	f.ops->tcp_close(f.host, handle, false);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_unanswered_connection_stays_in_progress)
{
	struct host_fixture f;
	struct endpoint at;
	int listener = loopback_socket(SOCK_STREAM, false, &at), handles[4];

	listen(listener, 0); /* from now on one waits, and the SYNs of the next are dropped */
	host_fixture_open(&f);
	for (unsigned i = 0; i < 4; i++) {
		handles[i] = f.ops->tcp_dial(f.host, i, &at);
		ck_assert_int_ge(handles[i], 0);
	}
	host_fixture_settle(&f);
	ck_assert_uint_eq(host_fixture_take(&f, 3), 0);
	ck_assert_int_eq(f.ops->tcp_connect_result(f.host, handles[3]), -EINPROGRESS);
	for (unsigned i = 0; i < 4; i++)
		f.ops->tcp_close(f.host, handles[i], true);
	host_fixture_close(&f);
	close(listener);
}
END_TEST

START_TEST(test_impossible_destinations_fail_at_once_and_cost_no_descriptor)
{
	struct host_fixture f;
	struct endpoint any4 = {addr_v4(0), 80}, any6 = {.port = 80},
			everybody = {addr_v4(0xffffffff), 80};

	host_fixture_open(&f);

	int before = open_fd_count();

	ck_assert_int_eq(f.ops->tcp_dial(f.host, 1, &any4), -ENETUNREACH);
	ck_assert_int_eq(f.ops->tcp_dial(f.host, 1, &any6), -ENETUNREACH);
	ck_assert_int_lt(f.ops->tcp_dial(f.host, 1, &everybody), 0);
	ck_assert_int_eq(open_fd_count(), before);
	ck_assert_uint_eq(host_handle_count(f.host), 0);
	host_fixture_close(&f);
}
END_TEST

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16));
}

struct stream {
	uint8_t *bytes;
	size_t at;
};

/* The peer's side of a transfer: sends what the socket takes, compares what comes. */
static bool peer_step(int fd, struct stream *out, struct stream *in, size_t total)
{
	static uint8_t buf[20000];
	ssize_t n;

	if (out->at < total) {
		n = send(fd, out->bytes + out->at, total - out->at, MSG_DONTWAIT);
		out->at += n > 0 ? (size_t)n : 0;
	}
	n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n > 0) {
		ck_assert_uint_le(in->at + (size_t)n, total);
		ck_assert_int_eq(memcmp(buf, in->bytes + in->at, (size_t)n), 0);
		in->at += (size_t)n;
	}
	return out->at == total && in->at == total;
}

START_TEST(test_long_transfers_both_ways_arrive_whole_through_partial_writes)
{
	enum { TOTAL = 8 << 20 };
	struct host_fixture f;
	uint8_t *bytes = malloc(TOTAL), *buf = malloc(TOTAL);
	struct stream peer_out = {bytes, 0}, peer_in = {bytes, 0};
	size_t out = 0, in = 0;
	unsigned partial = 0, told = HOST_READABLE | HOST_WRITABLE;

	for (size_t i = 0; i < TOTAL; i++)
		bytes[i] = pattern(i);
	host_fixture_open(&f);

	struct flow flow = flow_open(&f, 2, false);

	while (out < TOTAL || in < TOTAL || !peer_step(flow.peer, &peer_out, &peer_in, TOTAL)) {
		/* The contract: as long as a call takes all, nobody tells; so go on. */
		while (told & HOST_WRITABLE && out < TOTAL) {
			ssize_t n = write_from(&f, flow.handle, bytes + out, TOTAL - out);

			if (n < 0 || (size_t)n < TOTAL - out)
				told &= ~(unsigned)HOST_WRITABLE;
			if (n == -EAGAIN)
				break;
			ck_assert_int_gt(n, 0);
			partial += (size_t)n < TOTAL - out;
			out += (size_t)n;
		}
		while (told & HOST_READABLE && in < TOTAL) {
			ssize_t n = read_into(&f, flow.handle, buf + in, TOTAL - in);

			if (n < 0 || (size_t)n < TOTAL - in)
				told &= ~(unsigned)HOST_READABLE;
			if (n == -EAGAIN)
				break;
			ck_assert_int_gt(n, 0);
			in += (size_t)n;
		}
		peer_step(flow.peer, &peer_out, &peer_in, TOTAL);
		uv_run(&f.loop, UV_RUN_NOWAIT);
		told |= host_fixture_take(&f, 2);
	}
	ck_assert_uint_gt(partial, 0);
	ck_assert_int_eq(memcmp(buf, bytes, TOTAL), 0);
	flow_close(&f, &flow);
	host_fixture_close(&f);
	free(bytes);
	free(buf);
}
END_TEST

START_TEST(test_end_of_one_direction_leaves_the_other_open)
{
	struct host_fixture f;
	char c;

	host_fixture_open(&f);

	struct flow flow = flow_open(&f, 1, false);

	ck_assert_int_eq(shutdown(flow.peer, SHUT_WR), 0);
	ck_assert(host_fixture_wait(&f, 1, HOST_READABLE) & HOST_EOF);
	ck_assert_int_eq(read_into(&f, flow.handle, &c, 1), 0);
	ck_assert_int_eq(write_from(&f, flow.handle, "x", 1), 1);
	ck_assert_int_eq(recv(flow.peer, &c, 1, 0), 1);
	ck_assert_int_eq(f.ops->tcp_shut_write(f.host, flow.handle), 0);
	ck_assert_int_eq(recv(flow.peer, &c, 1, 0), 0);
	flow_close(&f, &flow);

	/* and ours first */
	flow = flow_open(&f, 2, false);
	ck_assert_int_eq(f.ops->tcp_shut_write(f.host, flow.handle), 0);
	ck_assert_int_eq(recv(flow.peer, &c, 1, 0), 0);
	ck_assert_int_eq(send(flow.peer, "y", 1, 0), 1);
	host_fixture_wait(&f, 2, HOST_READABLE);
	ck_assert_int_eq(read_into(&f, flow.handle, &c, 1), 1);
	flow_close(&f, &flow);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_data_before_the_end_is_read_before_it)
{
	struct host_fixture f;
	char text[4] = {0};

	host_fixture_open(&f);

	struct flow flow = flow_open(&f, 1, false);

	ck_assert_int_eq(send(flow.peer, "end", 3, 0), 3);
	ck_assert_int_eq(shutdown(flow.peer, SHUT_WR), 0);
	ck_assert(host_fixture_wait(&f, 1, HOST_EOF) & HOST_READABLE);
	ck_assert_int_eq(read_into(&f, flow.handle, text, sizeof(text)), 3);
	ck_assert_int_eq(read_into(&f, flow.handle, text, sizeof(text)), 0);
	flow_close(&f, &flow);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_reset_by_the_peer_is_an_errno_and_no_signal)
{
	struct host_fixture f;
	char c;

	host_fixture_open(&f);

	struct flow flow = flow_open(&f, 1, false);

	close_with_rst(flow.peer);
	ck_assert(host_fixture_wait(&f, 1, HOST_ERROR) & HOST_READABLE);
	ck_assert_int_eq(read_into(&f, flow.handle, &c, 1), -ECONNRESET);
	ck_assert_int_eq(write_from(&f, flow.handle, "x", 1), -EPIPE);
	f.ops->tcp_close(f.host, flow.handle, false);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_peer_sees_how_we_close)
{
	struct host_fixture f;
	char c;

	host_fixture_open(&f);

	struct flow flow = flow_open(&f, 1, false);

	f.ops->tcp_close(f.host, flow.handle, true);
	ck_assert_int_eq(recv(flow.peer, &c, 1, 0), -1);
	ck_assert_int_eq(errno, ECONNRESET);
	close(flow.peer);

	flow = flow_open(&f, 2, false);
	ck_assert_int_eq(write_from(&f, flow.handle, "x", 1), 1);
	f.ops->tcp_close(f.host, flow.handle, false);
	ck_assert_int_eq(recv(flow.peer, &c, 1, 0), 1);
	ck_assert_int_eq(recv(flow.peer, &c, 1, 0), 0);
	close(flow.peer);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_short_read_makes_the_next_arrival_news)
{
	struct host_fixture f;
	char buf[16];

	host_fixture_open(&f);

	struct flow flow = flow_open(&f, 1, false);

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(send(flow.peer, "abc", 3, 0), 3);
		ck_assert_uint_eq(host_fixture_wait(&f, 1, HOST_READABLE) & HOST_EOF, 0);
		ck_assert_int_eq(read_into(&f, flow.handle, buf, sizeof(buf)), 3);
	}
	shutdown(flow.peer, SHUT_WR);
	host_fixture_wait(&f, 1, HOST_EOF);
	ck_assert_int_eq(read_into(&f, flow.handle, buf, sizeof(buf)), 0);
	flow_close(&f, &flow);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_events_are_told_once_and_again_after_eagain)
{
	struct host_fixture f;
	char buf[16];

	host_fixture_open(&f);

	struct flow flow = flow_open(&f, 1, false);

	ck_assert_int_eq(send(flow.peer, "abc", 3, 0), 3);
	ck_assert(host_fixture_wait(&f, 1, HOST_READABLE) & HOST_READABLE);
	host_fixture_settle(&f);
	ck_assert_uint_eq(f.told_n[1], 0);
	/* A read that leaves something is no reason to tell again. */
	ck_assert_int_eq(read_into(&f, flow.handle, buf, 1), 1);
	host_fixture_settle(&f);
	ck_assert_uint_eq(f.told_n[1], 0);
	ck_assert_int_eq(read_into(&f, flow.handle, buf, sizeof(buf)), 2);
	ck_assert_int_eq(read_into(&f, flow.handle, buf, sizeof(buf)), -EAGAIN);
	host_fixture_settle(&f);
	ck_assert_uint_eq(f.told_n[1], 0);
	ck_assert_int_eq(send(flow.peer, "d", 1, 0), 1);
	ck_assert(host_fixture_wait(&f, 1, HOST_READABLE) & HOST_READABLE);
	flow_close(&f, &flow);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_room_to_write_is_told_when_the_peer_reads)
{
	struct host_fixture f;
	static char buf[1 << 16];
	ssize_t n;

	host_fixture_open(&f);

	struct flow flow = flow_open(&f, 1, false);

	while ((n = write_from(&f, flow.handle, buf, sizeof(buf))) > 0)
		;
	ck_assert_int_eq(n, -EAGAIN);
	host_fixture_settle(&f);
	ck_assert_uint_eq(host_fixture_take(&f, 1) & HOST_WRITABLE, 0);
	while (!(f.told[1] & HOST_WRITABLE)) {
		recv(flow.peer, buf, sizeof(buf), MSG_DONTWAIT);
		uv_run(&f.loop, UV_RUN_NOWAIT);
	}
	ck_assert_int_gt(write_from(&f, flow.handle, buf, sizeof(buf)), 0);
	flow_close(&f, &flow);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_urgent_data_comes_as_data)
{
	struct host_fixture f;
	char text[8] = {0};
	size_t len = 0;

	host_fixture_open(&f);

	struct flow flow = flow_open(&f, 1, false);

	ck_assert_int_eq(send(flow.peer, "ab", 2, 0), 2);
	ck_assert_int_eq(send(flow.peer, "!", 1, MSG_OOB), 1);
	ck_assert_int_eq(send(flow.peer, "cd", 2, 0), 2);
	host_fixture_settle(&f);
	/* A read stops at the mark although more is there. The contract says that one which comes
	 * short has taken all, so the rest must be told anew. */
	while (len < 5) {
		ssize_t n;

		ck_assert(host_fixture_wait(&f, 1, HOST_READABLE) & HOST_READABLE);
		n = read_into(&f, flow.handle, text + len, sizeof(text) - 1 - len);
		ck_assert_int_gt(n, 0);
		len += (size_t)n;
	}
	ck_assert_str_eq(text, "ab!cd");
	flow_close(&f, &flow);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_accepted_connection_is_told_after_adoption)
{
	struct host_fixture f;
	struct endpoint at;
	int listener = loopback_socket(SOCK_STREAM, false, &at);
	struct sockaddr_storage name;
	socklen_t name_len = host_sockaddr_from(&at, &name);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	char c;

	ck_assert_int_eq(connect(client, (struct sockaddr *)&name, name_len), 0);
	ck_assert_int_eq(send(client, "z", 1, 0), 1);
	host_fixture_open(&f);

	int handle = accept(listener, NULL, NULL); /* blocking */

	ck_assert_int_eq(f.ops->tcp_adopt(f.host, handle, 9), 0);
	ck_assert_uint_eq(host_fixture_wait(&f, 9, HOST_READABLE), HOST_READABLE | HOST_WRITABLE);
	ck_assert(fcntl(handle, F_GETFL) & O_NONBLOCK);
	ck_assert_int_eq(read_into(&f, handle, &c, 1), 1);
	ck_assert_int_eq(c, 'z');
	f.ops->tcp_close(f.host, handle, false);

	/* One that never got as far as adoption is closed in the same way. */
	int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	f.ops->tcp_close(f.host, other, true);
	ck_assert_int_eq(f.ops->tcp_adopt(f.host, other, 9), -EBADF);
	host_fixture_close(&f);
	close(client);
	close(listener);
}
END_TEST

START_TEST(test_service_gets_the_other_end_of_its_flow)
{
	struct host_fixture f;
	struct endpoint guest = {addr_v4(0x0a00020f), 1234};
	char c;

	host_fixture_open(&f);

	int handle = f.ops->tcp_dial_service(f.host, 4, 53, &guest);

	ck_assert_int_ge(handle, 0);
	ck_assert_uint_eq(f.service, 53);
	ck_assert(endpoint_eq(&f.service_guest, &guest));
	ck_assert(fcntl(f.service_fd, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(f.service_fd, F_GETFD) & FD_CLOEXEC);
	ck_assert_uint_eq(f.told_n[4], 0); /* not from inside */
	ck_assert(host_fixture_wait(&f, 4, HOST_WRITABLE) & HOST_WRITABLE);
	ck_assert_int_eq(f.ops->tcp_connect_result(f.host, handle), 0);
	ck_assert_int_eq(write_from(&f, handle, "q", 1), 1);
	ck_assert_int_eq(read(f.service_fd, &c, 1), 1);
	ck_assert_int_eq(write(f.service_fd, "a", 1), 1);
	ck_assert_int_eq(f.ops->tcp_shut_write(f.host, handle), 0);
	ck_assert_int_eq(read(f.service_fd, &c, 1), 0);
	host_fixture_wait(&f, 4, HOST_READABLE);
	ck_assert_int_eq(read_into(&f, handle, &c, 1), 1);
	ck_assert_int_eq(c, 'a');
	close(f.service_fd);
	host_fixture_wait(&f, 4, HOST_EOF);
	ck_assert_int_eq(read_into(&f, handle, &c, 1), 0);
	f.ops->tcp_close(f.host, handle, true);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_service_that_refuses_leaves_nothing)
{
	struct host_fixture f;
	struct endpoint guest = {addr_v4(0x0a00020f), 1234};

	host_fixture_open(&f);
	f.service_result = -ENOBUFS;

	int before = open_fd_count();

	ck_assert_int_eq(f.ops->tcp_dial_service(f.host, 4, 53, &guest), -ENOBUFS);
	ck_assert_int_eq(open_fd_count(), before);
	ck_assert_uint_eq(host_handle_count(f.host), 0);
	host_fixture_settle(&f);
	ck_assert_uint_eq(f.told_n[4], 0);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_no_descriptors_left_refuses_new_flows_and_keeps_old_ones)
{
	struct host_fixture f;
	struct endpoint at, guest = {addr_v4(0x0a00020f), 1};
	int listener = loopback_socket(SOCK_STREAM, false, &at);
	struct rlimit limit, none;
	char c;

	host_fixture_open(&f);

	struct flow flow = flow_open(&f, 1, false);

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3; /* all numbers below are taken */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(f.ops->tcp_dial(f.host, 2, &at), -EMFILE);
	ck_assert_int_eq(f.ops->tcp_dial_service(f.host, 2, 53, &guest), -EMFILE);
	ck_assert_int_eq(f.ops->udp_open(f.host, 2, false), -EMFILE);
	ck_assert_int_eq(f.service_fd, -1);
	ck_assert_int_eq(send(flow.peer, "k", 1, 0), 1);
	host_fixture_wait(&f, 1, HOST_READABLE);
	ck_assert_int_eq(read_into(&f, flow.handle, &c, 1), 1);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);

	int handle = f.ops->tcp_dial(f.host, 2, &at);

	ck_assert_int_ge(handle, 0);
	f.ops->tcp_close(f.host, handle, true);
	flow_close(&f, &flow);
	host_fixture_close(&f);
	close(listener);
}
END_TEST

#define CROWD 3

static void close_all_others(struct host_fixture *f, uint64_t token)
{
	struct flow *flows = f->test_data;

	for (unsigned i = 0; i < CROWD; i++) {
		if (flows[i].token == token || flows[i].handle < 0)
			continue;
		f->ops->tcp_close(f->host, flows[i].handle, true);
		flows[i].handle = -1;
	}
}

START_TEST(test_handle_closed_within_a_batch_is_not_told)
{
	struct host_fixture f;
	struct flow flows[CROWD];
	unsigned told = 0;

	host_fixture_open(&f);
	for (unsigned i = 0; i < CROWD; i++)
		flows[i] = flow_open(&f, i, false);
	for (unsigned i = 0; i < CROWD; i++)
		ck_assert_int_eq(send(flows[i].peer, "x", 1, 0), 1);
	f.test_data = flows;
	f.on_event = close_all_others;
	host_fixture_settle(&f);
	for (unsigned i = 0; i < CROWD; i++) {
		told += f.told_n[i];
		close(flows[i].peer);
		if (flows[i].handle >= 0)
			f.ops->tcp_close(f.host, flows[i].handle, false);
	}
	ck_assert_uint_eq(told, 1);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_turn_ends_once_per_batch_and_not_without_one)
{
	struct host_fixture f;
	struct flow flows[CROWD];

	host_fixture_open(&f);
	for (unsigned i = 0; i < CROWD; i++)
		flows[i] = flow_open(&f, i, false);
	f.turn_ends = 0;
	host_fixture_settle(&f);
	ck_assert_uint_eq(f.turn_ends, 0);
	for (unsigned i = 0; i < CROWD; i++)
		ck_assert_int_eq(send(flows[i].peer, "x", 1, 0), 1);
	host_fixture_settle(&f);
	ck_assert_uint_eq(f.turn_ends, 1);
	for (unsigned i = 0; i < CROWD; i++)
		flow_close(&f, &flows[i]);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_closing_the_host_closes_what_was_left_open)
{
	struct host_fixture f;

	host_fixture_open(&f);
	host_close(NULL);

	struct flow flow = flow_open(&f, 1, false);

	close(flow.peer);
	ck_assert_int_ge(f.ops->udp_open(f.host, 2, false), 0);
	host_fixture_close(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host_tcp");
	TCase *tc = tcase_create("tcp");
	SRunner *runner = srunner_create(suite);

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, test_connection_is_told_and_carries_bytes, 0, 2);
	tcase_add_test(tc, test_flow_sockets_send_at_once_and_do_not_leak_into_children);
	tcase_add_loop_test(tc, test_refused_connection_is_told_once_with_its_errno, 0, 2);
	tcase_add_test(tc, test_unanswered_connection_stays_in_progress);
	tcase_add_test(tc, test_impossible_destinations_fail_at_once_and_cost_no_descriptor);
	tcase_add_test(tc, test_long_transfers_both_ways_arrive_whole_through_partial_writes);
	tcase_add_test(tc, test_end_of_one_direction_leaves_the_other_open);
	tcase_add_test(tc, test_data_before_the_end_is_read_before_it);
	tcase_add_test(tc, test_reset_by_the_peer_is_an_errno_and_no_signal);
	tcase_add_test(tc, test_peer_sees_how_we_close);
	tcase_add_test(tc, test_short_read_makes_the_next_arrival_news);
	tcase_add_test(tc, test_events_are_told_once_and_again_after_eagain);
	tcase_add_test(tc, test_room_to_write_is_told_when_the_peer_reads);
	tcase_add_test(tc, test_urgent_data_comes_as_data);
	tcase_add_test(tc, test_accepted_connection_is_told_after_adoption);
	tcase_add_test(tc, test_service_gets_the_other_end_of_its_flow);
	tcase_add_test(tc, test_service_that_refuses_leaves_nothing);
	tcase_add_test(tc, test_no_descriptors_left_refuses_new_flows_and_keeps_old_ones);
	tcase_add_test(tc, test_handle_closed_within_a_batch_is_not_told);
	tcase_add_test(tc, test_turn_ends_once_per_batch_and_not_without_one);
	tcase_add_test(tc, test_closing_the_host_closes_what_was_left_open);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);

	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
