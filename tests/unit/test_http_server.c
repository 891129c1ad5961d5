/* The server at one end of socket pairs, raw bytes at the other. */
#include "stack/host/http_server.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT_MAX (1 << 20)

struct bed {
	uv_loop_t loop;
	struct http_server *server;
	unsigned requests, faults, gone, ended;
	struct http_exchange *later;
	/* a source */
	unsigned pieces; /* to come */
	bool stuck;      /* has nothing now */
	struct http_exchange *streaming;
	/* an upgrade */
	int upgraded_fd;
	char extra[64];
	char *text; /* what a client has received */
	size_t text_len;
};

static void on_gone(void *ctx)
{
	((struct bed *)ctx)->gone++;
}

static long on_read(void *ctx, char *bytes, size_t max)
{
	struct bed *bed = ctx;

	if (bed->stuck)
		return 0;
	if (bed->pieces == 0)
		return -1;
	bed->pieces--;
	memset(bytes, 'p', max);
	return (long)max;
}

static void on_end(void *ctx)
{
	((struct bed *)ctx)->ended++;
}

static void on_upgraded(void *ctx, int fd, const char *extra, size_t extra_len)
{
	struct bed *bed = ctx;

	bed->upgraded_fd = fd;
	ck_assert_uint_lt(extra_len, sizeof(bed->extra));
	if (extra_len)
		memcpy(bed->extra, extra, extra_len);
}

static void on_request(void *ctx, struct http_exchange *x)
{
	struct http_source source = {.read = on_read, .end = on_end, .len = HTTP_LEN_UNKNOWN};
	struct bed *bed = ctx;
	char text[512];
	size_t len;

	bed->requests++;
	source.ctx = bed;
	if (strcmp(http_path(x), "/later") == 0) {
		bed->later = x;
		http_later(x, on_gone, bed);
	} else if (strcmp(http_path(x), "/stream") == 0) {
		bed->streaming = x;
		http_reply_stream(x, 200, "application/octet-stream", &source);
	} else if (strcmp(http_path(x), "/upgrade") == 0) {
		http_reply_upgrade(x, "test", on_upgraded, bed);
	} else if (strcmp(http_path(x), "/big") == 0) {
		http_reply_take(x, 200, "text/plain", calloc(1, 8 << 20), 8 << 20);
	} else {
		const char *body = http_body(x, &len), *q = http_query(x, "q");

		snprintf(text, sizeof(text), "%s %s q=%s peer=%d body=%zu:%.20s", http_method(x),
			 http_path(x), q ? q : "-", (int)http_peer(x), len, body);
		http_header(x, "X-Test", "yes");
		http_reply(x, 200, "text/plain", text, strlen(text));
	}
}

static void bed_make(struct bed *bed, const struct http_limits *limits)
{
	struct http_server_config config = {.request = on_request, .ctx = bed};

	memset(bed, 0, sizeof(*bed));
	bed->upgraded_fd = -2;
	bed->text = malloc(TEXT_MAX);
	if (limits)
		config.limits = *limits;
	uv_loop_init(&bed->loop);
	ck_assert_int_eq(http_server_new(&bed->server, &bed->loop, &config), 0);
}

static void bed_end(struct bed *bed)
{
	http_server_close(bed->server);
	uv_run(&bed->loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&bed->loop), 0);
	free(bed->text);
}

static int bed_client(struct bed *bed)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	(void)http_server_add(bed->server, fds[1], 7);
	return fds[0];
}

/* UV_RUN_ONCE would wait for events also when a timer has just done all there was to do. */
static void turn(struct bed *bed)
{
	uv_run(&bed->loop, UV_RUN_NOWAIT);
	usleep(500);
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (long)strlen(text));
}

/* Lets the loop turn until the text has come, or until the end when NULL. */
static const char *hear(struct bed *bed, int fd, const char *text)
{
	bed->text_len = 0;
	for (;;) {
		long n =
		    recv(fd, bed->text + bed->text_len, TEXT_MAX - 1 - bed->text_len, MSG_DONTWAIT);

		if (n > 0)
			bed->text_len += (size_t)n;
		bed->text[bed->text_len] = '\0';
		if (text && strstr(bed->text, text))
			return bed->text;
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			ck_assert_msg(!text, "ended before '%s': %s", text, bed->text);
			return bed->text;
		}
		if (n < 0)
			turn(bed);
	}
}

START_TEST(test_requests_on_one_connection_are_answered_in_order)
{
	struct bed bed;
	int fd;

	bed_make(&bed, NULL);
	fd = bed_client(&bed);
	say(fd, "GET /a?q=1%202 HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\n"
		"Content-Length: 5\r\n\r\nhello");
	hear(&bed, fd, "body=5:hello");
	ck_assert_ptr_nonnull(strstr(bed.text, "GET /a q=1 2 peer=7 body=0:"));
	ck_assert_ptr_nonnull(strstr(bed.text, "X-Test: yes\r\n"));
	ck_assert_uint_eq(http_server_connections(bed.server), 1);
	close(fd);
	while (http_server_connections(bed.server))
		turn(&bed);
	bed_end(&bed);
}
END_TEST

START_TEST(test_bad_targets_and_bodies_are_refused_before_the_handler)
{
	struct http_limits limits = {.body_max = 10};
	struct bed bed;
	int fd;

	bed_make(&bed, &limits);
	fd = bed_client(&bed);
	say(fd, "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(&bed, fd, "parameter twice\n");
	ck_assert_ptr_nonnull(strstr(bed.text, "HTTP/1.1 400 "));
	close(fd);
	fd = bed_client(&bed);
	say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n");
	hear(&bed, fd, "too long\n");
	ck_assert_ptr_nonnull(strstr(bed.text, "HTTP/1.1 413 "));
	close(fd);
	fd = bed_client(&bed);
	say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		"8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n");
	hear(&bed, fd, "too long\n");
	ck_assert_ptr_nonnull(strstr(bed.text, "HTTP/1.1 413 "));
	ck_assert_uint_eq(bed.requests, 0);
	say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		"5\r\n12345\r\n5\r\n12345\r\n0\r\n\r\n");
	hear(&bed, fd, "body=10:1234512345");
	close(fd);
	bed_end(&bed);
}
END_TEST

START_TEST(test_a_later_reply_comes_later)
{
	struct bed bed;
	int fd;

	bed_make(&bed, NULL);
	fd = bed_client(&bed);
	say(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
	while (!bed.later)
		turn(&bed);
	ck_assert_uint_eq(bed.requests, 1);
	http_reply(bed.later, 202, "text/plain", "at last", 7);
	ck_assert_int_eq(uv_backend_timeout(&bed.loop), 0); /* and waits for no other event */
	hear(&bed, fd, "GET /next");
	ck_assert_ptr_nonnull(strstr(bed.text, "at last"));
	ck_assert_uint_eq(bed.gone, 0);
	close(fd);
	bed_end(&bed);
}
END_TEST

START_TEST(test_who_leaves_before_a_later_reply_is_noticed)
{
	struct bed bed;
	int fd;

	bed_make(&bed, NULL);
	fd = bed_client(&bed);
	say(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	while (!bed.later)
		turn(&bed);
	close(fd);
	while (!bed.gone)
		turn(&bed);
	while (http_server_connections(bed.server))
		turn(&bed);
	ck_assert_uint_eq(bed.gone, 1);
	bed_end(&bed);
}
END_TEST

START_TEST(test_a_stream_waits_for_its_source_and_its_client)
{
	struct bed bed;
	size_t len = 0;
	int fd;

	bed_make(&bed, NULL);
	fd = bed_client(&bed);
	bed.stuck = true;
	bed.pieces = 3;
	say(fd, "GET /stream HTTP/1.0\r\n\r\n");
	hear(&bed, fd, "\r\n\r\n");
	for (unsigned i = 0; i < 10; i++)
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	ck_assert_uint_eq(bed.pieces, 3);
	bed.stuck = false;
	http_wake(bed.streaming);
	ck_assert_int_eq(uv_backend_timeout(&bed.loop), 0);
	hear(&bed, fd, NULL);
	for (size_t i = 0; i < bed.text_len; i++)
		len += bed.text[i] == 'p';
	ck_assert_uint_gt(len, 3000);
	ck_assert_uint_eq(bed.ended, 1);
	close(fd);
	bed_end(&bed);
}
END_TEST

START_TEST(test_a_stream_ends_with_its_client_or_the_server)
{
	struct bed bed;
	int fd;

	bed_make(&bed, NULL);
	fd = bed_client(&bed);
	bed.stuck = true;
	say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(&bed, fd, "\r\n\r\n");
	close(fd);
	while (!bed.ended)
		turn(&bed);
	fd = bed_client(&bed);
	say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(&bed, fd, "\r\n\r\n");
	bed_end(&bed);
	ck_assert_uint_eq(bed.ended, 2);
	close(fd);
}
END_TEST

START_TEST(test_an_upgraded_connection_is_its_new_owners)
{
	struct bed bed;
	char text[32];
	int fd;

	bed_make(&bed, NULL);
	fd = bed_client(&bed);
	say(fd,
	    "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\nab");
	hear(&bed, fd, "\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(bed.text, "HTTP/1.1 101 "));
	ck_assert_ptr_nonnull(strstr(bed.text, "Upgrade: test\r\n"));
	ck_assert_int_ge(bed.upgraded_fd, 0);
	while (http_server_connections(bed.server))
		turn(&bed);
	ck_assert_str_eq(bed.extra, "ab");
	say(fd, "ping");
	ck_assert_int_eq(recv(bed.upgraded_fd, text, sizeof(text), 0), 4);
	say(bed.upgraded_fd, "pong");
	ck_assert_int_eq(recv(fd, text, sizeof(text), 0), 4);
	close(bed.upgraded_fd);
	ck_assert_int_eq(recv(fd, text, sizeof(text), 0), 0);
	close(fd);
	bed_end(&bed);
}
END_TEST

START_TEST(test_more_connections_than_the_limit_are_closed)
{
	struct http_limits limits = {.connections = 2};
	struct bed bed;
	int fd[3];

	bed_make(&bed, &limits);
	for (unsigned i = 0; i < 3; i++)
		fd[i] = bed_client(&bed);
	ck_assert_str_eq(hear(&bed, fd[2], NULL), "");
	say(fd[1], "GET /still HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(&bed, fd[1], "GET /still");
	for (unsigned i = 0; i < 3; i++)
		close(fd[i]);
	bed_end(&bed);
}
END_TEST

START_TEST(test_one_peer_leaves_room_for_the_others)
{
	struct http_limits limits = {.connections = 10, .connections_per_peer = 1};
	struct bed bed;
	int fds[2], greedy[2];

	bed_make(&bed, &limits);
	for (unsigned i = 0; i < 2; i++)
		greedy[i] = bed_client(&bed);
	ck_assert_str_eq(hear(&bed, greedy[1], NULL), "");
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(http_server_add(bed.server, fds[1], 8), 0);
	say(fds[0], "GET /mine HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(&bed, fds[0], "GET /mine");
	close(greedy[0]);
	close(greedy[1]);
	close(fds[0]);
	bed_end(&bed);
}
END_TEST

START_TEST(test_connections_added_in_one_go_keep_their_peers)
{
	struct bed bed;
	int fds[2], first;

	bed_make(&bed, NULL);
	first = bed_client(&bed);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(http_server_add(bed.server, fds[1], 8), 0);
	ck_assert_uint_eq(http_server_connections(bed.server), 2);
	say(first, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(&bed, first, "peer=7 ");
	say(fds[0], "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(&bed, fds[0], "peer=8 ");
	close(first);
	close(fds[0]);
	bed_end(&bed);
}
END_TEST

START_TEST(test_dribbled_requests_and_idle_connections_are_cut)
{
	struct http_limits limits = {.request_s = 1};
	const char *text = "GET /slow HTTP/1.1\r\nHost: x\r\nX: ";
	struct bed bed;
	int dribble, idle;

	bed_make(&bed, &limits);
	idle = bed_client(&bed);
	dribble = bed_client(&bed);
	for (size_t i = 0; http_server_connections(bed.server); i++) {
		char c = i < strlen(text) ? text[i] : 'x';

		(void)!send(dribble, &c, 1, MSG_NOSIGNAL);
		turn(&bed);
	}
	ck_assert_uint_eq(bed.requests, 0);
	close(idle);
	close(dribble);
	bed_end(&bed);
}
END_TEST

START_TEST(test_a_reply_that_is_not_taken_is_cut_and_stalls_nobody)
{
	struct http_limits limits = {.reply_s = 1};
	struct bed bed;
	int deaf, fd;

	bed_make(&bed, &limits);
	deaf = bed_client(&bed);
	fd = bed_client(&bed);
	say(deaf, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
	while (!bed.requests)
		turn(&bed);
	say(fd, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(&bed, fd, "GET /other");
	while (http_server_connections(bed.server) > 1)
		turn(&bed);
	close(deaf);
	close(fd);
	bed_end(&bed);
}
END_TEST

int main(void)
{
	return SUITE_RUN("http_server", test_requests_on_one_connection_are_answered_in_order,
			 test_bad_targets_and_bodies_are_refused_before_the_handler,
			 test_a_later_reply_comes_later,
			 test_who_leaves_before_a_later_reply_is_noticed,
			 test_a_stream_waits_for_its_source_and_its_client,
			 test_a_stream_ends_with_its_client_or_the_server,
			 test_an_upgraded_connection_is_its_new_owners,
			 test_more_connections_than_the_limit_are_closed,
			 test_one_peer_leaves_room_for_the_others,
			 test_connections_added_in_one_go_keep_their_peers,
			 test_dribbled_requests_and_idle_connections_are_cut,
			 test_a_reply_that_is_not_taken_is_cut_and_stalls_nobody);
}
