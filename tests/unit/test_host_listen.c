#include "tests/support/host_fixture.h"

#include "stack/base/log.h"
#include "stack/host/host_listen.h"
#include "stack/host/sockaddr.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTED_MAX 256

/* What a listener told. */
struct heard {
	struct host_fixture f;
	struct host_listener *listener;
	int accepted[ACCEPTED_MAX];
	struct endpoint peers[ACCEPTED_MAX];
	unsigned n;
	char text[16]; /* the last datagram */
	size_t len;
	bool close_in_callback;
	unsigned log_lines;
};

static void on_accepted(void *ctx, int handle, const struct endpoint *peer)
{
	struct heard *h = ctx;

	ck_assert_uint_lt(h->n, ACCEPTED_MAX);
	h->accepted[h->n] = handle;
	h->peers[h->n++] = *peer;
	if (h->close_in_callback)
		host_listener_close(h->listener);
}

static void on_datagram(void *ctx, int handle, const struct endpoint *peer, struct iovec payload)
{
	struct heard *h = ctx;

	ck_assert_int_eq(handle, host_listener_handle(h->listener));
	ck_assert_uint_lt(h->n, ACCEPTED_MAX);
	h->peers[h->n++] = *peer;
	h->len = payload.iov_len;
	if (payload.iov_len < sizeof(h->text))
		memcpy(h->text, payload.iov_base, payload.iov_len);
	if (h->close_in_callback)
		host_listener_close(h->listener);
}

static const struct endpoint anywhere4 = {{{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}}, 0};
static const struct endpoint anywhere6 = {{{[15] = 1}}, 0};

static void heard_open(struct heard *h, bool udp, bool v6)
{
	struct host_listen_events events = {on_accepted, on_datagram, h};
	const struct endpoint *at = v6 ? &anywhere6 : &anywhere4;

	memset(h, 0, sizeof(*h));
	host_fixture_open(&h->f);
	ck_assert_int_eq(udp ? host_listen_udp(&h->listener, h->f.host, at, &events)
			     : host_listen_tcp(&h->listener, h->f.host, at, &events),
			 0);
}

static void heard_close(struct heard *h)
{
	if (!h->close_in_callback)
		host_listener_close(h->listener);
	host_fixture_close(&h->f);
}

static int client_of(const struct host_listener *listener, int type, struct endpoint *ret)
{
	struct sockaddr_storage name;
	socklen_t name_len = host_sockaddr_from(host_listener_local(listener), &name);
	int fd = socket(name.ss_family, type | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, name_len), 0);
	name_len = sizeof(name);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&name, &name_len), 0);
	ck_assert(host_sockaddr_to(&name, name_len, ret));
	return fd;
}

START_TEST(test_chosen_port_is_told_and_connections_come_with_their_peer)
{
	struct heard h;
	struct endpoint at;

	if (_i && !loopback_v6_available())
		return;
	heard_open(&h, false, _i);
	ck_assert_uint_ne(host_listener_local(h.listener)->port, 0);
	ck_assert(addr_eq(&host_listener_local(h.listener)->addr,
			  _i ? &anywhere6.addr : &anywhere4.addr));

	int client = client_of(h.listener, SOCK_STREAM, &at);
	char c;
	struct iovec iov = {&c, 1};

	while (h.n == 0)
		uv_run(&h.f.loop, UV_RUN_ONCE);
	ck_assert(endpoint_eq(&h.peers[0], &at));
	ck_assert(fcntl(h.accepted[0], F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(h.accepted[0], F_GETFD) & FD_CLOEXEC);
	ck_assert_uint_eq(h.f.turn_ends, 1);
	ck_assert_int_eq(h.f.ops->tcp_adopt(h.f.host, h.accepted[0], 8), 0);
	ck_assert_int_eq(send(client, "s", 1, 0), 1);
	host_fixture_wait(&h.f, 8, HOST_READABLE);
	ck_assert_int_eq(h.f.ops->tcp_read(h.f.host, h.accepted[0], &iov, 1), 1);
	ck_assert_int_eq(c, 's');
	h.f.ops->tcp_close(h.f.host, h.accepted[0], false);
	close(client);
	heard_close(&h);
}
END_TEST

START_TEST(test_crowd_of_clients_is_accepted)
{
	enum { CROWD = 200 }; /* more than one turn takes */
	struct heard h;
	static int clients[CROWD];
	struct endpoint at;

	heard_open(&h, false, false);
	for (int i = 0; i < CROWD; i++)
		clients[i] = client_of(h.listener, SOCK_STREAM, &at);
	while (h.n < CROWD)
		uv_run(&h.f.loop, UV_RUN_ONCE);
	for (int i = 0; i < CROWD; i++) {
		close(clients[i]);
		h.f.ops->tcp_close(h.f.host, h.accepted[i], true);
	}
	heard_close(&h);
}
END_TEST

START_TEST(test_busy_port_is_an_errno_and_leaves_nothing)
{
	struct host_listen_events events = {on_accepted, on_datagram, NULL};
	struct heard h;
	struct host_listener *second = NULL;

	heard_open(&h, _i, false);

	struct endpoint at = *host_listener_local(h.listener);
	struct endpoint foreign = {addr_v4(0x08080808), 0};
	int before = open_fd_count();

	for (int i = 0; i < 2; i++) {
		int r = _i ? host_listen_udp(&second, h.f.host, &at, &events)
			   : host_listen_tcp(&second, h.f.host, &at, &events);

		ck_assert_int_eq(r, i ? -EADDRNOTAVAIL : -EADDRINUSE);
		at = foreign;
	}
	ck_assert_ptr_null(second);
	ck_assert_int_eq(open_fd_count(), before);
	heard_close(&h);
}
END_TEST

START_TEST(test_set_up_without_descriptors_is_emfile)
{
	struct host_listen_events events = {on_accepted, on_datagram, NULL};
	struct host_config config = {0};
	struct host_listener *listener;
	struct host *host;
	struct host_fixture f;
	struct rlimit limit, none;
	uv_loop_t other;

	host_fixture_open(&f);
	ck_assert_int_eq(uv_loop_init(&other), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(host_new(&host, &other, &config), -EMFILE);
	ck_assert_int_eq(host_listen_tcp(&listener, f.host, &anywhere4, &events), -EMFILE);
	ck_assert_int_eq(host_listen_udp(&listener, f.host, &anywhere4, &events), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(uv_loop_close(&other), 0);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_port_is_free_at_once_after_closing)
{
	struct host_listen_events events = {on_accepted, on_datagram, NULL};
	struct heard h;

	heard_open(&h, _i, false);

	struct endpoint at = *host_listener_local(h.listener);

	host_listener_close(h.listener); /* the loop has not run yet */
	ck_assert_int_eq(_i ? host_listen_udp(&h.listener, h.f.host, &at, &events)
			    : host_listen_tcp(&h.listener, h.f.host, &at, &events),
			 0);
	host_listener_close(NULL);
	heard_close(&h);
}
END_TEST

START_TEST(test_both_families_share_a_port)
{
	struct host_listen_events events = {on_accepted, on_datagram, NULL};
	struct heard h;
	struct host_listener *second;

	if (!loopback_v6_available())
		return;
	heard_open(&h, _i, false);

	struct endpoint any6 = {.port = host_listener_local(h.listener)->port};

	ck_assert_int_eq(_i ? host_listen_udp(&second, h.f.host, &any6, &events)
			    : host_listen_tcp(&second, h.f.host, &any6, &events),
			 0);
	host_listener_close(second);
	heard_close(&h);
}
END_TEST

START_TEST(test_listener_may_be_closed_in_its_own_callback)
{
	struct heard h;
	struct endpoint at;
	int clients[3];

	heard_open(&h, _i, false);
	h.close_in_callback = true;
	for (int i = 0; i < 3; i++) {
		clients[i] = client_of(h.listener, _i ? SOCK_DGRAM : SOCK_STREAM, &at);
		if (_i)
			ck_assert_int_eq(send(clients[i], "x", 1, 0), 1);
	}
	while (h.n == 0)
		uv_run(&h.f.loop, UV_RUN_ONCE);
	host_fixture_settle(&h.f);
	ck_assert_uint_eq(h.n, 1);
	if (!_i)
		close(h.accepted[0]);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
	heard_close(&h);
}
END_TEST

static int answer(struct heard *h, const struct endpoint *to, uint8_t ttl,
		  const struct iovec *bytes)
{
	struct host_udp_out out = {.to = *to, .ttl = ttl, .iov = bytes, .iov_n = 1};

	return h->f.ops->udp_send(h->f.host, host_listener_handle(h->listener), &out);
}

START_TEST(test_datagrams_come_with_their_peer_and_answers_leave_through_the_handle)
{
	struct heard h;
	struct endpoint at;
	char text[8] = {0};
	struct iovec iov = {"pong", 4};

	if (_i && !loopback_v6_available())
		return;
	heard_open(&h, true, _i);

	int client = client_of(h.listener, SOCK_DGRAM, &at);

	ck_assert_int_eq(send(client, "ping", 4, 0), 4);
	while (h.n == 0)
		uv_run(&h.f.loop, UV_RUN_ONCE);
	ck_assert_str_eq(h.text, "ping");
	ck_assert_uint_eq(h.len, 4);
	ck_assert(endpoint_eq(&h.peers[0], &at));
	ck_assert_uint_eq(h.f.turn_ends, 1);
	/* A connected client hears only the address it spoke to. */
	ck_assert_int_eq(answer(&h, &at, 0, &iov), 0);
	ck_assert_int_eq(recv(client, text, sizeof(text), 0), 4);
	ck_assert_str_eq(text, "pong");

	/* An answer to a client that has left is refused; the listener goes on. */
	close(client);
	ck_assert_int_eq(answer(&h, &at, 0, &iov), 0);
	host_fixture_settle(&h.f);
	client = client_of(h.listener, SOCK_DGRAM, &at);
	ck_assert_int_eq(send(client, "again", 5, 0), 5);
	while (h.n == 1)
		uv_run(&h.f.loop, UV_RUN_ONCE);
	ck_assert_str_eq(h.text, "again");
	close(client);
	heard_close(&h);
}
END_TEST

START_TEST(test_answers_come_from_the_address_the_client_spoke_to)
{
	struct host_listen_events events = {on_accepted, on_datagram, NULL};
	struct heard h;
	struct iovec iov = {"a", 1};
	char text[8];
	struct endpoint any = {addr_v4(0), 0}, to = {addr_v4(0x7f000002), 0}, client_at;
	struct sockaddr_storage name;

	heard_open(&h, true, false);
	host_listener_close(h.listener);
	events.ctx = &h;
	ck_assert_int_eq(host_listen_udp(&h.listener, h.f.host, &any, &events), 0);

	/* Two clients of two of our addresses, who hear nobody else. */
	for (unsigned i = 0; i < 2; i++) {
		int client = loopback_socket(SOCK_DGRAM, false, &client_at);
		socklen_t name_len;

		to.addr = addr_v4(0x7f000002 + i);
		to.port = host_listener_local(h.listener)->port;
		name_len = host_sockaddr_from(&to, &name);
		ck_assert_int_eq(connect(client, (struct sockaddr *)&name, name_len), 0);
		ck_assert_int_eq(send(client, "q", 1, 0), 1);
		while (h.n == i)
			uv_run(&h.f.loop, UV_RUN_ONCE);
		for (uint8_t ttl = 0; ttl < 2; ttl++) {
			ck_assert_int_eq(answer(&h, &client_at, ttl, &iov), 0);
			ck_assert_int_eq(recv(client, text, sizeof(text), MSG_DONTWAIT), 1);
		}
		close(client);
	}
	heard_close(&h);
}
END_TEST

START_TEST(test_ipv6_listener_on_any_address_answers)
{
	struct host_listen_events events = {on_accepted, on_datagram, NULL};
	struct heard h;
	struct iovec iov = {"a", 1};
	char text[8];
	struct endpoint any = {.port = 0}, to = anywhere6, client_at;
	struct sockaddr_storage name;
	socklen_t name_len;

	if (!loopback_v6_available())
		return;
	heard_open(&h, true, true);
	host_listener_close(h.listener);
	events.ctx = &h;
	ck_assert_int_eq(host_listen_udp(&h.listener, h.f.host, &any, &events), 0);

	int client = loopback_socket(SOCK_DGRAM, true, &client_at);

	to.port = host_listener_local(h.listener)->port;
	name_len = host_sockaddr_from(&to, &name);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&name, name_len), 0);
	ck_assert_int_eq(send(client, "q", 1, 0), 1);
	while (h.n == 0)
		uv_run(&h.f.loop, UV_RUN_ONCE);
	ck_assert_int_eq(answer(&h, &client_at, 9, &iov), 0);
	ck_assert_int_eq(recv(client, text, sizeof(text), MSG_DONTWAIT), 1);
	close(client);
	heard_close(&h);
}
END_TEST

START_TEST(test_bursts_and_long_datagrams_are_heard)
{
	enum { BURST = 150 }; /* more than one turn takes */
	struct heard h;
	struct endpoint at;
	static uint8_t longest[65507];

	heard_open(&h, true, false);

	int client = client_of(h.listener, SOCK_DGRAM, &at);

	for (int i = 0; i < BURST; i++)
		ck_assert_int_eq(send(client, "x", 1, 0), 1);
	while (h.n < BURST)
		uv_run(&h.f.loop, UV_RUN_ONCE);
	ck_assert_int_eq(send(client, longest, sizeof(longest), 0), (ssize_t)sizeof(longest));
	while (h.n == BURST)
		uv_run(&h.f.loop, UV_RUN_ONCE);
	ck_assert_uint_eq(h.len, sizeof(longest));
	close(client);
	heard_close(&h);
}
END_TEST

static void count_line(void *ctx, enum log_level level, const char *line)
{
	struct heard *h = ctx;

	ck_assert_int_eq(level, LOG_LEVEL_WARN);
	ck_assert_ptr_nonnull(strstr(line, "127.0.0.1:"));
	h->log_lines++;
}

static void count_turn(uv_prepare_t *handle)
{
	unsigned *turns = handle->data;

	++*turns;
}

static void stop(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

START_TEST(test_no_descriptors_pauses_accepting_without_spinning)
{
	struct heard h;
	struct endpoint at;
	struct rlimit limit, none;
	unsigned turns = 0;
	uv_prepare_t prepare;
	uv_timer_t timer;

	heard_open(&h, false, false);
	log_set_sink(count_line, &h);
	uv_prepare_init(&h.f.loop, &prepare);
	uv_prepare_start(&prepare, count_turn);
	prepare.data = &turns;
	uv_timer_init(&h.f.loop, &timer);

	int client = client_of(h.listener, SOCK_STREAM, &at);

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	uv_timer_start(&timer, stop, 350, 0);
	uv_run(&h.f.loop, UV_RUN_DEFAULT);
	ck_assert_uint_eq(h.n, 0);
	ck_assert_uint_eq(h.log_lines, 1);
	ck_assert_uint_lt(turns, 20); /* two for each pause; a spin makes thousands */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (h.n == 0)
		uv_run(&h.f.loop, UV_RUN_ONCE);
	ck_assert(endpoint_eq(&h.peers[0], &at));
	h.f.ops->tcp_close(h.f.host, h.accepted[0], true);
	close(client);
	uv_close((uv_handle_t *)&prepare, NULL);
	uv_close((uv_handle_t *)&timer, NULL);
	log_set_sink(NULL, NULL);
	heard_close(&h);
}
END_TEST

START_TEST(test_listener_closed_during_a_pause_leaves_nothing)
{
	struct heard h;
	struct endpoint at;
	struct rlimit limit, none;

	heard_open(&h, false, false);
	log_set_sink(count_line, &h);

	int client = client_of(h.listener, SOCK_STREAM, &at);

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	while (h.log_lines == 0)
		uv_run(&h.f.loop, UV_RUN_ONCE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	close(client);
	log_set_sink(NULL, NULL);
	heard_close(&h);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host_listen");
	TCase *tc = tcase_create("listen");
	SRunner *runner = srunner_create(suite);

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, test_chosen_port_is_told_and_connections_come_with_their_peer, 0,
			    2);
	tcase_add_test(tc, test_crowd_of_clients_is_accepted);
	tcase_add_loop_test(tc, test_busy_port_is_an_errno_and_leaves_nothing, 0, 2);
	tcase_add_test(tc, test_set_up_without_descriptors_is_emfile);
	tcase_add_loop_test(tc, test_port_is_free_at_once_after_closing, 0, 2);
	tcase_add_loop_test(tc, test_both_families_share_a_port, 0, 2);
	tcase_add_loop_test(tc, test_listener_may_be_closed_in_its_own_callback, 0, 2);
	tcase_add_loop_test(
	    tc, test_datagrams_come_with_their_peer_and_answers_leave_through_the_handle, 0, 2);
	tcase_add_test(tc, test_answers_come_from_the_address_the_client_spoke_to);
	tcase_add_test(tc, test_ipv6_listener_on_any_address_answers);
	tcase_add_test(tc, test_bursts_and_long_datagrams_are_heard);
	tcase_add_test(tc, test_no_descriptors_pauses_accepting_without_spinning);
	tcase_add_test(tc, test_listener_closed_during_a_pause_leaves_nothing);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);

	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
