#include "stack/host/host_resolver.h"

#include "dns/dns_msg.h"
#include "stack/host/resolv_conf.h"
#include "tests/support/fake_dns.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NO_STEP_MS 600000 /* a machine that is slow takes no server for silent */
#define STEP_MS 1000      /* where a server has to be given up before another answers */
#define SHORT_STEP_MS 15

struct result {
	unsigned calls;
	int status;
	size_t len;
	uint8_t bytes[4096];
};

static uv_loop_t loop;
static struct fake_dns fake[2];
static struct host_resolver *resolver;
static struct result result;
static struct endpoint upstreams[2];
static struct host_resolver_config config;

static int open_both(void)
{
	int status = fake_dns_open(&fake[0], &loop, "127.0.0.2", 0);

	if (status == 0) {
		status = fake_dns_open(&fake[1], &loop, "127.0.0.3", fake[0].endpoint.port);
		if (status != 0)
			fake_dns_close(&fake[1]);
	}
	if (status != 0)
		fake_dns_close(&fake[0]);
	return status;
}

static void open_fakes(void)
{
	int status = -1;

	ck_assert_int_eq(uv_loop_init(&loop), 0);
	/* A free UDP port may be taken for TCP, or at the other address: try some. */
	for (unsigned tries = 0; tries < 20 && status != 0; tries++) {
		status = open_both();
		if (status != 0)
			uv_run(&loop, UV_RUN_NOWAIT);
	}
	ck_assert_int_eq(status, 0);
	for (unsigned i = 0; i < 2; i++) {
		fake[i].mark = (uint8_t)(i + 1);
		upstreams[i] = fake[i].endpoint;
	}
	memset(&result, 0, sizeof(result));
	resolver = NULL;
	config = (struct host_resolver_config){
	    .upstreams = upstreams, .upstreams_n = 2, .step_ms = NO_STEP_MS};
}

/* Nothing may be left: no handle, and ASan sees to the memory. */
static void close_all(void)
{
	int status = -1;

	host_resolver_close(resolver);
	fake_dns_close(&fake[0]);
	fake_dns_close(&fake[1]);
	/* TCP connections of the fakes end when they read what the resolver closed. */
	for (unsigned i = 0; i < 1000 && status != 0; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		status = uv_loop_close(&loop);
		if (status != 0)
			usleep(1000);
	}
	ck_assert_int_eq(status, 0);
}

static void start(void)
{
	ck_assert_int_eq(host_resolver_new(&resolver, &loop, &config), 0);
}

static void on_done(void *ctx, int status, const uint8_t *answer, size_t len)
{
	struct result *r = ctx;

	r->calls++;
	r->status = status;
	r->len = len;
	ck_assert_int_eq(answer != NULL, status == 0);
	if (answer && len <= sizeof(r->bytes))
		memcpy(r->bytes, answer, len);
}

static size_t make_query(uint8_t *bytes, bool edns)
{
	struct wire_out out = wire_out(bytes, 512);
	struct dns_query q = {.type = DNS_TYPE_A, .class = DNS_CLASS_IN};

	q.header = (struct dns_header){
	    .id = 0x1234, .flags = DNS_FLAG_RD, .question_n = 1, .additional_n = edns};
	ck_assert(dns_name_parse("Www.zoo.test", &q.name));
	dns_header_put(&out, &q.header);
	dns_question_put(&out, &q);
	if (edns)
		dns_opt_put(&out, 4096, false, 0);
	return wire_len(&out);
}

static int send_query(bool edns, struct result *r)
{
	uint8_t bytes[512];
	size_t len = make_query(bytes, edns);
	return host_resolver_send(resolver, bytes, len, on_done, r);
}

/* Runs until the one query has its result. */
static void resolve(bool edns)
{
	memset(&result, 0, sizeof(result));
	ck_assert_int_eq(send_query(edns, &result), 0);
	while (!result.calls)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(result.calls, 1);
}

static unsigned result_rcode(void)
{
	ck_assert_int_eq(result.status, 0);
	ck_assert_uint_ge(result.len, DNS_HEADER_LEN);
	return result.bytes[3] & DNS_FLAG_RCODE;
}

/* The last byte of the A record says which server spoke. */
static unsigned result_mark(void)
{
	ck_assert_uint_eq(result_rcode(), 0);
	ck_assert_uint_eq(result.len, 12 + 14 + 4 + 16);
	return result.bytes[result.len - 1];
}

START_TEST(test_answer_of_the_first_server_is_passed_on)
{
	start();
	resolve(false);
	ck_assert_uint_eq(result_mark(), 1);
	ck_assert_uint_eq(fake[0].udp_queries, 1);
	ck_assert_uint_eq(fake[1].udp_queries, 0);
	ck_assert_uint_eq(fake[0].tcp_queries, 0);
}
END_TEST

START_TEST(test_letters_of_the_question_come_back_as_sent)
{
	start();
	resolve(false);
	ck_assert_mem_eq(result.bytes + 12, "\3Www\3zoo\4test", 14);
}
END_TEST

START_TEST(test_nothing_runs_once_all_is_answered)
{
	config.step_ms = STEP_MS;
	start();
	resolve(false);
	/* The fakes' handles do not count, so this returns only when ours are at rest. */
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	ck_assert_uint_eq(fake[0].udp_queries, 1);
}
END_TEST

START_TEST(test_answer_with_a_wrong_id_is_not_taken)
{
	start();
	fake[0].mode = FAKE_DNS_WRONG_ID_FIRST;
	resolve(false);
	ck_assert_uint_eq(result_mark(), 1);
	ck_assert_mem_eq(result.bytes + 12, "\3Www", 4);
}
END_TEST

START_TEST(test_answer_to_another_question_is_not_taken)
{
	start();
	fake[0].mode = FAKE_DNS_WRONG_QUESTION_FIRST;
	resolve(false);
	ck_assert_uint_eq(result_mark(), 1);
	ck_assert_mem_eq(result.bytes + 12, "\3Www", 4);
}
END_TEST

START_TEST(test_truncated_answer_is_fetched_over_tcp)
{
	start();
	fake[0].mode = FAKE_DNS_TRUNCATED;
	fake[0].tcp_len = 3000;
	resolve(false);
	ck_assert_uint_eq(result_rcode(), 0);
	ck_assert_uint_eq(result.len, 3000);
	ck_assert_uint_eq(fake[0].udp_queries, 1);
	ck_assert_uint_eq(fake[0].tcp_queries, 1);
	resolve(true);
	ck_assert_uint_eq(result.len, 3000);
	ck_assert_uint_eq(fake[0].tcp_queries, 2);
}
END_TEST

START_TEST(test_largest_answer_comes_through_tcp)
{
	start();
	fake[0].mode = FAKE_DNS_TRUNCATED;
	fake[0].tcp_len = 65535;
	resolve(false);
	ck_assert_int_eq(result.status, 0);
	ck_assert_uint_eq(result.len, 65535);
}
END_TEST

START_TEST(test_edns_answer_above_512_bytes_comes_by_udp)
{
	start();
	fake[0].mode = FAKE_DNS_PADDED;
	fake[0].udp_len = 1200;
	resolve(true);
	ck_assert_uint_eq(result.len, 1200);
	ck_assert_uint_eq(fake[0].tcp_queries, 0);
	ck_assert_uint_eq(fake[0].last_udp_size, 1232);
}
END_TEST

START_TEST(test_query_without_opt_goes_out_without)
{
	start();
	fake[0].last_udp_size = 1;
	resolve(false);
	ck_assert_uint_eq(fake[0].last_udp_size, 0);
}
END_TEST

START_TEST(test_servfail_is_asked_of_the_next_server)
{
	start();
	fake[0].mode = FAKE_DNS_RCODE;
	for (unsigned rcode = 2; rcode <= 5; rcode++) {
		if (rcode == DNS_RCODE_NXDOMAIN)
			continue;
		fake[0].rcode = (uint8_t)rcode;
		resolve(false);
		ck_assert_uint_eq(result_mark(), 2);
	}
}
END_TEST

START_TEST(test_nxdomain_is_an_answer)
{
	start();
	fake[0].mode = FAKE_DNS_RCODE;
	fake[0].rcode = DNS_RCODE_NXDOMAIN;
	resolve(false);
	ck_assert_uint_eq(result_rcode(), DNS_RCODE_NXDOMAIN);
	ck_assert_uint_eq(fake[1].udp_queries, 0);
}
END_TEST

START_TEST(test_what_all_servers_refuse_is_refused)
{
	start();
	fake[0].mode = fake[1].mode = FAKE_DNS_RCODE;
	fake[0].rcode = DNS_RCODE_REFUSED;
	fake[1].rcode = DNS_RCODE_SERVFAIL;
	resolve(false);
	ck_assert_uint_eq(result_rcode(), DNS_RCODE_REFUSED);
	ck_assert_uint_eq(fake[0].udp_queries, 1);
	ck_assert_uint_eq(fake[1].udp_queries, 1);
}
END_TEST

START_TEST(test_formerr_reaches_the_client_and_spoils_no_later_query)
{
	config.upstreams_n = 1;
	config.step_ms = 600000; /* a second attempt would end the test by its time limit */
	start();
	fake[0].mode = FAKE_DNS_RCODE;
	fake[0].rcode = DNS_RCODE_FORMERR;
	resolve(false);
	ck_assert_uint_eq(result_rcode(), DNS_RCODE_FORMERR);
	/* Once more without OPT: servers from before EDNS say FORMERR to it. */
	resolve(true);
	ck_assert_uint_eq(result_rcode(), DNS_RCODE_FORMERR);
	fake[0].mode = FAKE_DNS_ANSWER;
	fake[0].rcode = 0;
	resolve(true);
	ck_assert_uint_eq(result_mark(), 1);
	resolve(false);
	ck_assert_uint_eq(result_mark(), 1);
}
END_TEST

START_TEST(test_silent_server_is_passed_over)
{
	config.step_ms = STEP_MS;
	start();
	fake[0].mode = FAKE_DNS_SILENT;
	resolve(false);
	ck_assert_uint_eq(result_mark(), 2);
	ck_assert_uint_eq(fake[0].udp_queries, 1);
}
END_TEST

START_TEST(test_server_that_stays_silent_is_asked_last)
{
	config.step_ms = STEP_MS;
	start();
	fake[0].mode = FAKE_DNS_SILENT;
	for (unsigned i = 0; i < 3; i++)
		resolve(false);
	ck_assert_uint_eq(fake[0].udp_queries, 3);
	resolve(false);
	ck_assert_uint_eq(result_mark(), 2);
	ck_assert_uint_eq(fake[0].udp_queries, 3);
	/* When the other one fails it is asked all the same, and is back. */
	fake[0].mode = FAKE_DNS_ANSWER;
	fake[1].mode = FAKE_DNS_RCODE;
	fake[1].rcode = DNS_RCODE_SERVFAIL;
	resolve(false);
	ck_assert_uint_eq(result_mark(), 1);
	fake[1].udp_queries = 0;
	resolve(false);
	ck_assert_uint_eq(result_mark(), 1);
	ck_assert_uint_eq(fake[1].udp_queries, 0);
}
END_TEST

START_TEST(test_server_that_missed_is_raced_and_one_that_is_dead_is_shown)
{
	struct host_resolver_server server;

	config.step_ms = STEP_MS;
	start();
	fake[0].mode = FAKE_DNS_SILENT;
	resolve(false);
	ck_assert_uint_eq(host_resolver_counters(resolver)->attempts, 2);
	resolve(false); /* both at once */
	ck_assert_uint_eq(result_mark(), 2);
	ck_assert_uint_eq(host_resolver_counters(resolver)->attempts, 4);
	ck_assert(host_resolver_server(resolver, 0, &server));
	ck_assert(!server.dead);
	resolve(false);
	ck_assert(host_resolver_server(resolver, 0, &server));
	ck_assert(server.dead);
	ck_assert_uint_eq(server.asked, 3);
	ck_assert_uint_eq(server.answered, 0);
	ck_assert_uint_eq(server.missed, 3);
	ck_assert(host_resolver_server(resolver, 1, &server));
	ck_assert(!server.dead);
	ck_assert_uint_eq(server.answered, 3);
	ck_assert(endpoint_eq(&server.endpoint, &upstreams[1]));
	ck_assert(!host_resolver_server(resolver, 2, &server));
}
END_TEST

START_TEST(test_server_that_is_not_there_is_passed_over_at_once)
{
	struct endpoint nobody = {addr_v4(0x7f000004), upstreams[0].port};

	upstreams[0] = nobody;
	config.step_ms = 600000; /* a step would end the test by its time limit */
	start();
	for (unsigned i = 0; i < 5; i++) {
		resolve(i % 2);
		ck_assert_uint_eq(result_mark(), 2);
	}
}
END_TEST

START_TEST(test_no_server_at_all_fails_at_once)
{
	struct endpoint nobody = {addr_v4(0x7f000004), upstreams[0].port};

	upstreams[0] = upstreams[1] = nobody;
	config.step_ms = 600000;
	start();
	resolve(false);
	ck_assert_int_eq(result.status, -ECONNREFUSED);
}
END_TEST

START_TEST(test_silence_everywhere_is_an_error_in_the_end)
{
	config.step_ms = SHORT_STEP_MS;
	start();
	fake[0].mode = fake[1].mode = FAKE_DNS_SILENT;
	resolve(false);
	ck_assert_int_eq(result.status, -ETIMEDOUT);
	ck_assert_uint_eq(host_resolver_counters(resolver)->attempts, 4);
	ck_assert_uint_eq(host_resolver_counters(resolver)->failed, 1);
	/* What c-ares still waits for ends too, and changes nothing. */
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	ck_assert_uint_eq(result.calls, 1);
}
END_TEST

START_TEST(test_lost_query_is_sent_again_to_the_only_server)
{
	config.upstreams_n = 1;
	config.step_ms = STEP_MS;
	start();
	fake[0].mode = FAKE_DNS_SILENT;
	memset(&result, 0, sizeof(result));
	ck_assert_int_eq(send_query(false, &result), 0);
	while (fake[0].udp_queries < 1)
		uv_run(&loop, UV_RUN_ONCE);
	fake[0].mode = FAKE_DNS_ANSWER;
	while (!result.calls)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(result_mark(), 1);
	ck_assert_uint_eq(fake[0].udp_queries, 2);
}
END_TEST

START_TEST(test_five_hundred_queries_at_once_are_all_answered)
{
	struct result *results = calloc(500, sizeof(*results));
	unsigned answered = 0;

	config.step_ms = 0;
	start();
	for (unsigned i = 0; i < 500; i++)
		ck_assert_int_eq(send_query(i % 2, &results[i]), 0);
	while (answered < 500) {
		uv_run(&loop, UV_RUN_ONCE);
		answered = 0;
		for (unsigned i = 0; i < 500; i++)
			answered += results[i].calls;
	}
	for (unsigned i = 0; i < 500; i++) {
		ck_assert_uint_eq(results[i].calls, 1);
		ck_assert_int_eq(results[i].status, 0);
	}
	ck_assert_uint_eq(host_resolver_counters(resolver)->answered, 500);
	free(results);
}
END_TEST

START_TEST(test_more_queries_than_allowed_are_refused)
{
	struct result results[4] = {0};

	config.queries_max = 3;
	start();
	fake[0].mode = fake[1].mode = FAKE_DNS_SILENT;
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(send_query(false, &results[i]), 0);
	ck_assert_int_eq(send_query(false, &results[3]), -EBUSY);
	host_resolver_close(resolver);
	resolver = NULL;
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(results[i].calls, 1);
		ck_assert_int_eq(results[i].status, -ECANCELED);
	}
	ck_assert_uint_eq(results[3].calls, 0);
}
END_TEST

START_TEST(test_closing_ends_queries_under_way_over_tcp)
{
	start();
	fake[0].mode = FAKE_DNS_TRUNCATED;
	memset(&result, 0, sizeof(result));
	ck_assert_int_eq(send_query(false, &result), 0);
	while (fake[0].udp_queries < 1)
		uv_run(&loop, UV_RUN_ONCE);
	fake[0].mode = FAKE_DNS_SILENT;
	while (fake[0].tcp_queries < 1)
		uv_run(&loop, UV_RUN_ONCE);
	host_resolver_close(resolver);
	resolver = NULL;
	ck_assert_uint_eq(result.calls, 1);
	ck_assert_int_eq(result.status, -ECANCELED);
}
END_TEST

START_TEST(test_query_shorter_than_a_header_is_refused)
{
	uint8_t bytes[12] = {0};
	start();
	ck_assert_int_eq(host_resolver_send(resolver, bytes, 11, on_done, &result), -EINVAL);
	ck_assert_uint_eq(result.calls, 0);
}
END_TEST

static void write_file(const char *path, const char *text)
{
	char other[64];
	FILE *f;

	snprintf(other, sizeof(other), "%s.new", path);
	f = fopen(other, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	ck_assert_int_eq(rename(other, path), 0);
}

static void resolve_until_mark(unsigned mark)
{
	do {
		usleep(2000); /* the file is looked at once a millisecond at most */
		uv_update_time(&loop);
		resolve(false);
	} while (result_mark() != mark);
}

START_TEST(test_resolv_conf_is_followed)
{
	char path[] = "/tmp/lwnat-test-XXXXXX", link_path[64];
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	snprintf(link_path, sizeof(link_path), "%s.link", path);
	ck_assert_int_eq(symlink(path, link_path), 0);
	config.upstreams_n = 0;
	config.resolv_conf = link_path;
	config.port = upstreams[0].port;
	config.recheck_ms = 1;
	write_file(path, "search example\nnameserver 127.0.0.2\n");
	start();
	resolve(false);
	ck_assert_uint_eq(result_mark(), 1);
	write_file(path, "nameserver 127.0.0.3\n");
	resolve_until_mark(2);
	/* An empty file is one being written: the old servers stay. */
	write_file(path, "");
	usleep(2000);
	uv_update_time(&loop);
	resolve(false);
	ck_assert_uint_eq(result_mark(), 2);
	ck_assert_int_eq(unlink(path), 0);
	usleep(2000);
	uv_update_time(&loop);
	resolve(false);
	ck_assert_uint_eq(result_mark(), 2);
	write_file(path, "nameserver 127.0.0.2\n");
	resolve_until_mark(1);
	ck_assert_uint_eq(host_resolver_counters(resolver)->server_lists, 3);
	unlink(path);
	unlink(link_path);
}
END_TEST

START_TEST(test_query_under_way_turns_to_the_new_servers)
{
	char path[] = "/tmp/lwnat-test-XXXXXX";
	int fd = mkstemp(path);
	struct result late = {0};

	ck_assert_int_ge(fd, 0);
	close(fd);
	config.upstreams_n = 0;
	config.resolv_conf = path;
	config.port = upstreams[0].port;
	config.recheck_ms = 1;
	config.step_ms = STEP_MS;
	fake[0].mode = FAKE_DNS_SILENT;
	write_file(path, "nameserver 127.0.0.2\n");
	start();
	ck_assert_int_eq(send_query(false, &late), 0);
	write_file(path, "nameserver 127.0.0.3\n");
	resolve_until_mark(2);
	while (!late.calls)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_int_eq(late.status, 0);
	ck_assert_uint_eq(late.bytes[late.len - 1], 2);
	/* The old server's socket goes when its last wait is over. */
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	unlink(path);
}
END_TEST

START_TEST(test_resolv_conf_text_is_understood)
{
	static const char text[] = "# nameserver 1.1.1.1\n"
				   "nameserver 127.0.0.53\n"
				   "  nameserver\t2001:db8::53   # two\r\n"
				   "nameserver fe80::1%eth0\n"
				   "nameserver\n"
				   "nameserver \n"
				   "nameservers 9.9.9.9\n"
				   "nameserver 1.2.3\n"
				   "nameserver fe80::1%an-interface-too-long\n"
				   "nameserver 10.0.0.1;x\n"
				   "search a b\n"
				   "nameserver 10.0.0.2";
	static const char *const expected[] = {"127.0.0.53:53", "[2001:db8::53]:53", "[fe80::1]:53",
					       "10.0.0.1:53", "10.0.0.2:53"};
	struct resolv_server servers[RESOLV_SERVERS_MAX];
	char line[ENDPOINT_TEXT_MAX];

	ck_assert_uint_eq(resolv_conf_parse(text, sizeof(text) - 1, servers), 5);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_str_eq(endpoint_format(&servers[i].endpoint, line), expected[i]);
	ck_assert_str_eq(servers[2].scope, "eth0");
	ck_assert_str_eq(servers[0].scope, "");
}
END_TEST

START_TEST(test_resolv_conf_names_no_more_than_eight)
{
	struct resolv_server servers[RESOLV_SERVERS_MAX];
	char text[20 * 32] = "";

	for (unsigned i = 0; i < 20; i++)
		strcat(text, "nameserver 10.0.0.1\n");
	ck_assert_uint_eq(resolv_conf_parse(text, strlen(text), servers), RESOLV_SERVERS_MAX);
	ck_assert_uint_eq(resolv_conf_parse(text, 18, servers), 0);
	ck_assert_uint_eq(resolv_conf_parse("", 0, servers), 0);
	ck_assert_uint_eq(resolv_conf_parse("nameserver 1\0.1.1.1", 19, servers), 0);
}
END_TEST

static TCase *answers_case(void)
{
	TCase *tc = tcase_create("answers");
	tcase_add_checked_fixture(tc, open_fakes, close_all);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_answer_of_the_first_server_is_passed_on);
	tcase_add_test(tc, test_letters_of_the_question_come_back_as_sent);
	tcase_add_test(tc, test_nothing_runs_once_all_is_answered);
	tcase_add_test(tc, test_answer_with_a_wrong_id_is_not_taken);
	tcase_add_test(tc, test_answer_to_another_question_is_not_taken);
	tcase_add_test(tc, test_truncated_answer_is_fetched_over_tcp);
	tcase_add_test(tc, test_largest_answer_comes_through_tcp);
	tcase_add_test(tc, test_edns_answer_above_512_bytes_comes_by_udp);
	tcase_add_test(tc, test_query_without_opt_goes_out_without);
	tcase_add_test(tc, test_nxdomain_is_an_answer);
	tcase_add_test(tc, test_formerr_reaches_the_client_and_spoils_no_later_query);
	tcase_add_test(tc, test_five_hundred_queries_at_once_are_all_answered);
	tcase_add_test(tc, test_more_queries_than_allowed_are_refused);
	tcase_add_test(tc, test_closing_ends_queries_under_way_over_tcp);
	tcase_add_test(tc, test_query_shorter_than_a_header_is_refused);
	return tc;
}

static TCase *failures_case(void)
{
	TCase *tc = tcase_create("failures");
	tcase_add_checked_fixture(tc, open_fakes, close_all);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_servfail_is_asked_of_the_next_server);
	tcase_add_test(tc, test_what_all_servers_refuse_is_refused);
	tcase_add_test(tc, test_silent_server_is_passed_over);
	tcase_add_test(tc, test_server_that_stays_silent_is_asked_last);
	tcase_add_test(tc, test_server_that_missed_is_raced_and_one_that_is_dead_is_shown);
	tcase_add_test(tc, test_server_that_is_not_there_is_passed_over_at_once);
	tcase_add_test(tc, test_no_server_at_all_fails_at_once);
	tcase_add_test(tc, test_silence_everywhere_is_an_error_in_the_end);
	tcase_add_test(tc, test_lost_query_is_sent_again_to_the_only_server);
	tcase_add_test(tc, test_resolv_conf_is_followed);
	tcase_add_test(tc, test_query_under_way_turns_to_the_new_servers);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("host_resolver");
	TCase *text = tcase_create("resolv.conf");
	SRunner *runner;
	int failed;

	tcase_add_test(text, test_resolv_conf_text_is_understood);
	tcase_add_test(text, test_resolv_conf_names_no_more_than_eight);
	suite_add_tcase(suite, text);
	suite_add_tcase(suite, answers_case());
	suite_add_tcase(suite, failures_case());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
