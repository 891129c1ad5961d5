#include "stack/host/dns_service.h"

#include "dns/dns_msg.h"
#include "stack/base/log.h"
#include "stack/host/dns_tcp.h"
#include "tests/support/fake_dns.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define GUEST 7

struct seen {
	unsigned n;
	struct dns_service_client client;
	size_t len;
	uint8_t bytes[4096];
};

static uv_loop_t loop;
static struct fake_dns fake;
static struct dns_service *svc;
static struct seen seen;
static unsigned warnings;

static void on_log(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)line;
	warnings += level == LOG_LEVEL_WARN;
}

static void on_reply(void *ctx, const struct dns_service_client *client, const uint8_t *bytes,
		     size_t len)
{
	ck_assert_ptr_eq(ctx, &seen);
	ck_assert_uint_gt(len, 0);
	ck_assert_uint_le(len, sizeof(seen.bytes));
	seen.n++;
	seen.client = *client;
	seen.len = len;
	memcpy(seen.bytes, bytes, len);
}

static void start(uint32_t queries_max, uint32_t per_client)
{
	struct dns_service_config config = {
	    .loop = &loop,
	    .names.domain = "lwnat.internal",
	    .names.host4 = addr_v4(0x0a000202),
	    .resolver.upstreams = &fake.endpoint,
	    .resolver.upstreams_n = 1,
	    .resolver.queries_max = queries_max,
	    .queries_per_client = per_client,
	    .reply = on_reply,
	    .ctx = &seen,
	};
	ck_assert_int_eq(dns_service_new(&svc, &config), 0);
}

static void setup(void)
{
	int status = -1;

	signal(SIGPIPE, SIG_IGN);
	log_set_sink(on_log, NULL);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	for (unsigned tries = 0; tries < 20 && status != 0; tries++) {
		status = fake_dns_open(&fake, &loop, "127.0.0.1", 0);
		if (status != 0) {
			fake_dns_close(&fake);
			uv_run(&loop, UV_RUN_NOWAIT);
		}
	}
	ck_assert_int_eq(status, 0);
	memset(&seen, 0, sizeof(seen));
	warnings = 0;
	svc = NULL;
}

static void teardown(void)
{
	int status = -1;

	dns_service_close(svc);
	fake_dns_close(&fake);
	for (unsigned i = 0; i < 1000 && status != 0; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		status = uv_loop_close(&loop);
		if (status != 0)
			usleep(1000);
	}
	ck_assert_int_eq(status, 0);
}

static size_t make_query(uint8_t *bytes, uint16_t id, const char *name)
{
	struct wire_out out = wire_out(bytes, 512);
	struct dns_query q = {.type = DNS_TYPE_A, .class = DNS_CLASS_IN};

	q.header = (struct dns_header){.id = id, .flags = DNS_FLAG_RD, .question_n = 1};
	ck_assert(dns_name_parse(name, &q.name));
	dns_header_put(&out, &q.header);
	dns_question_put(&out, &q);
	return wire_len(&out);
}

static void ask_udp(uint32_t guest, uint16_t id, const char *name)
{
	struct dns_service_client client = {.id = guest, .cookie_len = 5, .cookie = "abcd"};
	uint8_t bytes[512];
	size_t len = make_query(bytes, id, name);
	dns_service_udp(svc, &client, bytes, len);
}

static void wait_for_replies(unsigned n)
{
	while (seen.n < n)
		uv_run(&loop, UV_RUN_ONCE);
}

static unsigned rcode(const uint8_t *message)
{
	return message[3] & DNS_FLAG_RCODE;
}

START_TEST(test_own_name_is_answered_at_once)
{
	start(0, 0);
	ask_udp(GUEST, 0x1234, "host.lwnat.internal");
	ck_assert_uint_eq(seen.n, 1);
	ck_assert_uint_eq(rcode(seen.bytes), 0);
	ck_assert_mem_eq(seen.bytes, "\x12\x34", 2);
	ck_assert_mem_eq(seen.bytes + seen.len - 4, "\x0a\x00\x02\x02", 4);
	ck_assert_uint_eq(fake.udp_queries, 0);
}
END_TEST

START_TEST(test_other_name_is_answered_from_upstream_with_id_and_cookie_of_the_guest)
{
	start(0, 0);
	fake.mark = 9;
	ask_udp(GUEST, 0x1234, "www.zoo.test");
	ck_assert_uint_eq(seen.n, 0);
	wait_for_replies(1);
	ck_assert_mem_eq(seen.bytes, "\x12\x34", 2);
	ck_assert_mem_eq(seen.bytes + seen.len - 4, "\xc0\x00\x02\x09", 4);
	ck_assert_uint_eq(seen.client.id, GUEST);
	ck_assert_uint_eq(seen.client.cookie_len, 5);
	ck_assert_str_eq((const char *)seen.client.cookie, "abcd");
}
END_TEST

START_TEST(test_long_answer_is_cut_for_udp)
{
	start(0, 0);
	fake.mode = FAKE_DNS_TRUNCATED;
	fake.tcp_len = 3000;
	ask_udp(GUEST, 1, "www.zoo.test");
	wait_for_replies(1);
	ck_assert_uint_eq(seen.len, 12 + 14 + 4);
	ck_assert(seen.bytes[2] & DNS_FLAG_TC >> 8);
}
END_TEST

START_TEST(test_rcode_of_upstream_reaches_the_guest)
{
	start(0, 0);
	fake.mode = FAKE_DNS_RCODE;
	for (unsigned code = 1; code <= 5; code++) {
		char name[] = "1.zoo.test";

		name[0] = (char)('0' + code);
		fake.rcode = (uint8_t)code;
		ask_udp(GUEST, 1, name);
		wait_for_replies(code);
		ck_assert_uint_eq(rcode(seen.bytes), code);
	}
}
END_TEST

START_TEST(test_kept_answer_needs_no_server)
{
	struct dnscache_state state;

	start(0, 0);
	ask_udp(GUEST, 1, "www.zoo.test");
	wait_for_replies(1);
	ask_udp(GUEST + 1, 2, "WWW.zoo.test");
	ck_assert_uint_eq(seen.n, 2);
	ck_assert_uint_eq(fake.udp_queries, 1);
	ck_assert_mem_eq(seen.bytes, "\0\2", 2);
	ck_assert_mem_eq(seen.bytes + 12, "\3WWW", 4); /* the letters as asked */
	dns_service_cache_state(svc, &state);
	ck_assert_uint_eq(state.counters.hits, 1);
	ck_assert_uint_eq(state.answers_n, 1);
}
END_TEST

START_TEST(test_routes_have_servers_of_their_own)
{
	struct host_resolver_server server;
	struct endpoint main_server = {addr_v4(0x7f000004), 5353};
	const char *domain;
	struct dns_service_route routes[] = {
	    {"zoo.test", fake.endpoint}, {"other.test", main_server}, {"ZOO.test", main_server}};
	struct dns_service_config config = {.loop = &loop,
					    .names.domain = "lwnat.internal",
					    .resolver.upstreams = &main_server,
					    .resolver.upstreams_n = 1,
					    .routes = routes,
					    .routes_n = 3,
					    .reply = on_reply,
					    .ctx = &seen};

	ck_assert_int_eq(dns_service_new(&svc, &config), 0);
	ask_udp(GUEST, 1, "www.zoo.test");
	wait_for_replies(1);
	ck_assert_uint_eq(rcode(seen.bytes), 0);
	ck_assert(dns_service_server(svc, 0, &domain, &server) && !domain);
	ck_assert(dns_service_server(svc, 1, &domain, &server));
	ck_assert_str_eq(domain, "zoo.test");
	ck_assert_uint_eq(server.answered, 1);
	ck_assert(dns_service_server(svc, 2, &domain, &server));
	ck_assert_str_eq(domain, "zoo.test");
	ck_assert(dns_service_server(svc, 3, &domain, &server));
	ck_assert_str_eq(domain, "other.test");
	ck_assert(!dns_service_server(svc, 4, &domain, &server));
}
END_TEST

START_TEST(test_dead_upstream_becomes_servfail_and_one_warning)
{
	uint16_t port = fake.endpoint.port;

	fake.endpoint.addr = addr_v4(0x7f000004);
	start(0, 0);
	for (unsigned i = 1; i <= 5; i++) {
		ask_udp(GUEST, 1, "www.zoo.test");
		wait_for_replies(i);
		ck_assert_uint_eq(rcode(seen.bytes), DNS_RCODE_SERVFAIL);
	}
	ck_assert_uint_eq(warnings, 1);
	ck_assert_uint_eq(fake.endpoint.port, port);
}
END_TEST

START_TEST(test_garbage_gets_no_reply_and_half_a_query_formerr)
{
	struct dns_service_client client = {.id = GUEST};
	uint8_t bytes[512];

	start(0, 0);
	make_query(bytes, 1, "www.zoo.test");
	for (size_t len = 0; len < DNS_HEADER_LEN; len++)
		dns_service_udp(svc, &client, bytes, len);
	ck_assert_uint_eq(seen.n, 0);
	dns_service_udp(svc, &client, bytes, 20);
	ck_assert_uint_eq(seen.n, 1);
	ck_assert_uint_eq(rcode(seen.bytes), DNS_RCODE_FORMERR);
}
END_TEST

START_TEST(test_one_guest_cannot_take_all_places)
{
	start(10, 4);
	fake.mode = FAKE_DNS_SILENT;
	for (unsigned i = 0; i < 4; i++)
		ask_udp(GUEST, 1, "www.zoo.test");
	ck_assert_uint_eq(seen.n, 0);
	ask_udp(GUEST, 2, "www.zoo.test");
	ck_assert_uint_eq(seen.n, 1);
	ck_assert_uint_eq(rcode(seen.bytes), DNS_RCODE_SERVFAIL);
	ck_assert_mem_eq(seen.bytes, "\x00\x02", 2);
	ask_udp(GUEST + 1, 3, "www.zoo.test");
	ck_assert_uint_eq(seen.n, 1);
	ck_assert_uint_eq(dns_service_counters(svc)->refused_busy, 1);
}
END_TEST

START_TEST(test_places_are_given_back)
{
	start(0, 1);
	for (unsigned i = 1; i <= 20; i++) {
		ask_udp(GUEST, (uint16_t)i, "www.zoo.test");
		wait_for_replies(i);
		ck_assert_uint_eq(rcode(seen.bytes), 0);
	}
}
END_TEST

START_TEST(test_full_resolver_says_servfail)
{
	start(2, 0);
	fake.mode = FAKE_DNS_SILENT;
	for (unsigned i = 0; i < 3; i++)
		ask_udp(i, 1, "www.zoo.test");
	ck_assert_uint_eq(seen.n, 1);
	ck_assert_uint_eq(rcode(seen.bytes), DNS_RCODE_SERVFAIL);
}
END_TEST

START_TEST(test_closing_replies_nothing)
{
	start(0, 0);
	fake.mode = FAKE_DNS_SILENT;
	ask_udp(GUEST, 1, "www.zoo.test");
	dns_service_close(svc);
	svc = NULL;
	ck_assert_uint_eq(seen.n, 0);
}
END_TEST

/* ---- over TCP: the test is the guest's end ---- */

static int connect_tcp(void)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(dns_service_tcp(svc, fds[1], GUEST), 0);
	return fds[0];
}

static size_t make_tcp_query(uint8_t *bytes, uint16_t id, const char *name)
{
	size_t len = make_query(bytes + 2, id, name);
	bytes[0] = (uint8_t)(len >> 8);
	bytes[1] = (uint8_t)len;
	return len + 2;
}

static void ask_tcp(int fd, uint16_t id, const char *name)
{
	uint8_t bytes[514];
	size_t len = make_tcp_query(bytes, id, name);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
}

/* Reads 'len' bytes, running the loop meanwhile; fewer when the connection ends. */
static size_t read_all(int fd, uint8_t *bytes, size_t len)
{
	size_t at = 0;

	while (at < len) {
		ssize_t got = read(fd, bytes + at, len - at);
		if (got == 0 || (got < 0 && errno != EAGAIN))
			break;
		if (got > 0)
			at += (size_t)got;
		else
			uv_run(&loop, UV_RUN_ONCE);
	}
	return at;
}

static size_t read_message(int fd, uint8_t *bytes)
{
	uint8_t prefix[2];
	size_t len;

	if (read_all(fd, prefix, 2) != 2)
		return 0;
	len = (size_t)prefix[0] << 8 | prefix[1];
	ck_assert_uint_eq(read_all(fd, bytes, len), len);
	return len;
}

static void assert_closed(int fd)
{
	uint8_t byte;
	ck_assert_uint_eq(read_all(fd, &byte, 1), 0);
	close(fd);
}

START_TEST(test_tcp_query_for_an_own_name_is_answered)
{
	uint8_t bytes[65536];
	int fd;

	start(0, 0);
	fd = connect_tcp();
	ask_tcp(fd, 0x1234, "host.lwnat.internal");
	ck_assert_uint_gt(read_message(fd, bytes), DNS_HEADER_LEN);
	ck_assert_mem_eq(bytes, "\x12\x34", 2);
	close(fd);
}
END_TEST

START_TEST(test_tcp_answer_may_have_any_length)
{
	uint8_t bytes[65536];
	int fd;

	start(0, 0);
	fake.mode = FAKE_DNS_TRUNCATED;
	fake.tcp_len = 65535;
	fd = connect_tcp();
	ask_tcp(fd, 1, "www.zoo.test");
	ck_assert_uint_eq(read_message(fd, bytes), 65535);
	ck_assert(!(bytes[2] & DNS_FLAG_TC >> 8));
	close(fd);
}
END_TEST

START_TEST(test_query_that_arrives_byte_by_byte_is_answered)
{
	uint8_t bytes[65536], query[514];
	size_t len;
	int fd;

	start(0, 0);
	fd = connect_tcp();
	len = make_tcp_query(query, 7, "host.lwnat.internal");
	for (size_t i = 0; i < len; i++) {
		ck_assert_int_eq(write(fd, query + i, 1), 1);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	ck_assert_uint_gt(read_message(fd, bytes), DNS_HEADER_LEN);
	close(fd);
}
END_TEST

START_TEST(test_pipelined_queries_are_all_answered)
{
	uint8_t bytes[65536], queries[50 * 64];
	bool answered[50] = {false};
	size_t len = 0;
	int fd;

	start(0, 0);
	fd = connect_tcp();
	/* In one write, more than may wait at once, own names among others. */
	for (unsigned i = 0; i < 50; i++)
		len += make_tcp_query(queries + len, (uint16_t)i,
				      i % 3 ? "www.zoo.test" : "host.lwnat.internal");
	ck_assert_int_eq(write(fd, queries, len), (ssize_t)len);
	for (unsigned i = 0; i < 50; i++) {
		ck_assert_uint_gt(read_message(fd, bytes), DNS_HEADER_LEN);
		unsigned id = (unsigned)bytes[0] << 8 | bytes[1];
		ck_assert(id < 50 && !answered[id]);
		answered[id] = true;
	}
	close(fd);
}
END_TEST

START_TEST(test_local_answer_overtakes_one_that_waits)
{
	uint8_t bytes[65536];
	int fd;

	start(0, 0);
	fake.mode = FAKE_DNS_SILENT;
	fd = connect_tcp();
	ask_tcp(fd, 1, "www.zoo.test");
	ask_tcp(fd, 2, "host.lwnat.internal");
	ck_assert_uint_gt(read_message(fd, bytes), 0);
	ck_assert_mem_eq(bytes, "\x00\x02", 2);
	close(fd);
}
END_TEST

START_TEST(test_guest_that_shuts_its_side_still_gets_its_answers)
{
	uint8_t bytes[65536];
	int fd;

	start(0, 0);
	fd = connect_tcp();
	for (uint16_t id = 0; id < 20; id++)
		ask_tcp(fd, id, "www.zoo.test");
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_uint_gt(read_message(fd, bytes), DNS_HEADER_LEN);
	assert_closed(fd);
}
END_TEST

START_TEST(test_impossible_lengths_end_the_connection)
{
	static const uint8_t lengths[][2] = {{0, 0}, {0x10, 0x01}, {0xff, 0xff}};

	start(0, 0);
	for (unsigned i = 0; i < 3; i++) {
		int fd = connect_tcp();
		ck_assert_int_eq(write(fd, lengths[i], 2), 2);
		assert_closed(fd);
	}
}
END_TEST

START_TEST(test_longest_query_is_read)
{
	uint8_t query[2 + 4096] = {0x10, 0x00}, bytes[65536];
	int fd;

	start(0, 0);
	make_query(query + 2, 5, "host.lwnat.internal");
	fd = connect_tcp();
	ck_assert_int_eq(write(fd, query, sizeof(query)), sizeof(query));
	ck_assert_uint_gt(read_message(fd, bytes), DNS_HEADER_LEN);
	ck_assert_mem_eq(bytes, "\x00\x05", 2);
	close(fd);
}
END_TEST

START_TEST(test_message_without_a_reply_keeps_the_connection)
{
	/* a response, to which nothing may be said */
	static const uint8_t response[] =
	    "\x00\x0c\x00\x01\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00";
	uint8_t bytes[65536];
	int fd;

	start(0, 0);
	fd = connect_tcp();
	for (unsigned i = 0; i < 100; i++) /* more than may wait at once */
		ck_assert_int_eq(write(fd, response, 14), 14);
	ask_tcp(fd, 3, "host.lwnat.internal");
	ck_assert_uint_gt(read_message(fd, bytes), DNS_HEADER_LEN);
	ck_assert_mem_eq(bytes, "\x00\x03", 2);
	close(fd);
}
END_TEST

START_TEST(test_guest_that_leaves_before_the_answer_is_forgotten)
{
	int fd;

	start(0, 0);
	fd = connect_tcp();
	ask_tcp(fd, 1, "www.zoo.test");
	while (fake.udp_queries == 0)
		uv_run(&loop, UV_RUN_ONCE);
	close(fd);
	struct host_resolver_counters counters = {.answered = 0};
	for (; counters.answered == 0; dns_service_resolver_counters(svc, &counters))
		uv_run(&loop, UV_RUN_ONCE);
}
END_TEST

START_TEST(test_closing_with_queries_under_way_leaves_nothing)
{
	int fd;

	start(0, 0);
	fake.mode = FAKE_DNS_SILENT;
	fd = connect_tcp();
	for (uint16_t id = 0; id < 20; id++)
		ask_tcp(fd, id, "www.zoo.test");
	while (fake.udp_queries == 0)
		uv_run(&loop, UV_RUN_ONCE);
	dns_service_close(svc);
	svc = NULL;
	assert_closed(fd);
}
END_TEST

START_TEST(test_guest_that_does_not_read_stops_being_read)
{
	uint8_t query[514], bytes[65536];
	size_t len, written = 0, answered = 0;
	ssize_t got;
	int fd;

	start(0, 0);
	fd = connect_tcp();
	len = make_tcp_query(query, 1, "host.lwnat.internal");
	for (unsigned idle_turns = 0; idle_turns < 10;) {
		got = write(fd, query, len);
		/* Part of a query at most is left over when the socket is full. */
		if (got == (ssize_t)len)
			written++;
		else if (got > 0)
			break;
		idle_turns = got > 0 ? 0 : idle_turns + 1;
		uv_run(&loop, UV_RUN_NOWAIT);
		ck_assert_uint_lt(written, 100000);
	}
	while (answered < written && read_message(fd, bytes))
		answered++;
	ck_assert_uint_eq(answered, written);
	close(fd);
}
END_TEST

/* ---- dns_tcp alone: what the service sets by itself ---- */

static struct dns_tcp_conn *waiting_conn;

static void keep_query(void *ctx, struct dns_tcp_conn *conn, uint32_t client, const uint8_t *bytes,
		       size_t len)
{
	(void)ctx;
	(void)bytes;
	ck_assert_uint_eq(client, GUEST);
	ck_assert_uint_gt(len, 0);
	waiting_conn = conn;
}

static int serve(struct dns_tcp *tcp, int *ret_status)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	*ret_status = dns_tcp_serve(tcp, fds[1], GUEST);
	if (*ret_status < 0)
		close(fds[1]);
	return fds[0];
}

START_TEST(test_more_connections_than_allowed_are_refused)
{
	struct dns_tcp_config config = {.loop = &loop, .conns_max = 2, .query = keep_query};
	struct dns_tcp *tcp;
	int fds[3], status[3];

	ck_assert_int_eq(dns_tcp_new(&tcp, &config), 0);
	for (unsigned i = 0; i < 3; i++)
		fds[i] = serve(tcp, &status[i]);
	ck_assert_int_eq(status[0], 0);
	ck_assert_int_eq(status[1], 0);
	ck_assert_int_eq(status[2], -EBUSY);
	close(fds[0]);
	/* One has left: there is a place again. */
	for (status[0] = -EBUSY; status[0] == -EBUSY;) {
		uv_run(&loop, UV_RUN_NOWAIT);
		fds[0] = serve(tcp, &status[0]);
		if (status[0] < 0)
			close(fds[0]);
	}
	ck_assert_int_eq(status[0], 0);
	dns_tcp_close(tcp);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
}
END_TEST

START_TEST(test_silent_connection_ends)
{
	struct dns_tcp_config config = {.loop = &loop, .idle_ms = 1, .query = keep_query};
	struct dns_tcp *tcp;
	int fd, status;

	ck_assert_int_eq(dns_tcp_new(&tcp, &config), 0);
	fd = serve(tcp, &status);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(write(fd, "\x00", 1), 1); /* half a length is no progress */
	assert_closed(fd);
	dns_tcp_close(tcp);
}
END_TEST

START_TEST(test_answer_after_the_end_is_no_trouble)
{
	struct dns_tcp_config config = {.loop = &loop, .query = keep_query};
	struct dns_tcp *tcp;
	int fd, status;

	ck_assert_int_eq(dns_tcp_new(&tcp, &config), 0);
	fd = serve(tcp, &status);
	ck_assert_int_eq(status, 0);
	waiting_conn = NULL;
	ck_assert_int_eq(write(fd, "\x00\x01x", 3), 3);
	while (!waiting_conn)
		uv_run(&loop, UV_RUN_ONCE);
	dns_tcp_close(tcp);
	assert_closed(fd);
	uv_run(&loop, UV_RUN_NOWAIT);
	dns_tcp_answer(waiting_conn, (const uint8_t *)"y", 1);
}
END_TEST

static TCase *udp_case(void)
{
	TCase *tc = tcase_create("udp");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_own_name_is_answered_at_once);
	tcase_add_test(tc,
		       test_other_name_is_answered_from_upstream_with_id_and_cookie_of_the_guest);
	tcase_add_test(tc, test_long_answer_is_cut_for_udp);
	tcase_add_test(tc, test_rcode_of_upstream_reaches_the_guest);
	tcase_add_test(tc, test_dead_upstream_becomes_servfail_and_one_warning);
	tcase_add_test(tc, test_kept_answer_needs_no_server);
	tcase_add_test(tc, test_routes_have_servers_of_their_own);
	tcase_add_test(tc, test_garbage_gets_no_reply_and_half_a_query_formerr);
	tcase_add_test(tc, test_one_guest_cannot_take_all_places);
	tcase_add_test(tc, test_places_are_given_back);
	tcase_add_test(tc, test_full_resolver_says_servfail);
	tcase_add_test(tc, test_closing_replies_nothing);
	return tc;
}

static TCase *tcp_case(void)
{
	TCase *tc = tcase_create("tcp");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_tcp_query_for_an_own_name_is_answered);
	tcase_add_test(tc, test_tcp_answer_may_have_any_length);
	tcase_add_test(tc, test_query_that_arrives_byte_by_byte_is_answered);
	tcase_add_test(tc, test_pipelined_queries_are_all_answered);
	tcase_add_test(tc, test_local_answer_overtakes_one_that_waits);
	tcase_add_test(tc, test_guest_that_shuts_its_side_still_gets_its_answers);
	tcase_add_test(tc, test_impossible_lengths_end_the_connection);
	tcase_add_test(tc, test_longest_query_is_read);
	tcase_add_test(tc, test_message_without_a_reply_keeps_the_connection);
	tcase_add_test(tc, test_guest_that_leaves_before_the_answer_is_forgotten);
	tcase_add_test(tc, test_closing_with_queries_under_way_leaves_nothing);
	tcase_add_test(tc, test_guest_that_does_not_read_stops_being_read);
	tcase_add_test(tc, test_more_connections_than_allowed_are_refused);
	tcase_add_test(tc, test_silent_connection_ends);
	tcase_add_test(tc, test_answer_after_the_end_is_no_trouble);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("dns_service");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, udp_case());
	suite_add_tcase(suite, tcp_case());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
