/* The HTTP client against a socket that says what the test says: whole answers, broken ones, and
 * bytes behind an upgrade. */
#include "stack/app/client_http.h"

#include "stack/app/client.h"
#include "stack/app/table.h"
#include "tests/support/suite.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct client_request get = {.method = "GET", .target = "/v1/x", .timeout_ms = 200};

static struct client_reply reply;
static int server;
static char said[4096];

/* The client's end of a connection at which 'answer' waits, and then the end where 'open' is not
 * set. */
static int answers(const char *answer, bool open)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	server = ends[1];
	ck_assert_int_eq(write(server, answer, strlen(answer)), (ssize_t)strlen(answer));
	if (!open)
		shutdown(server, SHUT_WR);
	memset(&reply, 0, sizeof(reply));
	return ends[0];
}

static const char *heard(void)
{
	ssize_t n = read(server, said, sizeof(said) - 1);

	said[n > 0 ? n : 0] = '\0';
	close(server);
	return said;
}

static void request(const char *answer, int wanted)
{
	ck_assert_msg(client_http_request(answers(answer, false), &get, &reply) == wanted, "'%s'",
		      answer);
	heard();
}

START_TEST(test_body_ends_with_the_connection_or_its_length)
{
	request("HTTP/1.0 200 OK\r\nX: y\r\n\r\nhello", 0);
	ck_assert_int_eq(reply.status, 200);
	ck_assert_str_eq(reply.body, "hello");
	ck_assert_str_eq(said, "GET /v1/x HTTP/1.0\r\nHost: lwnat\r\n\r\n");
	free(reply.body);
	request("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}more", 0);
	ck_assert_int_eq(reply.status, 404);
	ck_assert_str_eq(reply.body, "{}");
	free(reply.body);
	request("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 0);
	ck_assert_str_eq(reply.body, "");
	free(reply.body);
}
END_TEST

START_TEST(test_answer_with_a_length_does_not_wait_for_the_end)
{
	int fd = answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true);

	ck_assert_int_eq(client_http_request(fd, &get, &reply), 0);
	ck_assert_str_eq(reply.body, "ok");
	free(reply.body);
	close(server);
}
END_TEST

START_TEST(test_broken_answers_are_errors)
{
	request("", -ESHUTDOWN);
	request("HTTP/1.1 200 OK\r\n", -EPIPE);
	request("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", -EPIPE);
	request("SSH-2.0-OpenSSH\r\n\r\n", -EPROTO);
	request("HTTP/1.\r\n\r\n", -EPROTO);
	request("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", -EPROTO);
}
END_TEST

START_TEST(test_silence_is_a_timeout)
{
	int fd = answers("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", true);

	ck_assert_int_eq(client_http_request(fd, &get, &reply), -ETIMEDOUT);
	close(server);
	ck_assert_int_eq(client_http_request(answers("", true), &get, &reply), -ETIMEDOUT);
	close(server);
}
END_TEST

START_TEST(test_head_without_an_end_is_no_answer)
{
	char *head = malloc(20001);

	memset(head, 'x', 20000);
	head[20000] = '\0';
	memcpy(head, "HTTP/1.1 200 ", 13);
	request(head, -EPROTO);
	free(head);
}
END_TEST

START_TEST(test_body_is_sent_as_json)
{
	struct client_request post = get;

	post.method = "POST";
	post.body = "{\"a\":1}";
	ck_assert_int_eq(
	    client_http_request(answers("HTTP/1.0 201 X\r\n\r\n", false), &post, &reply), 0);
	ck_assert_str_eq(heard(), "POST /v1/x HTTP/1.0\r\nHost: lwnat\r\nContent-Type: "
				  "application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
	free(reply.body);
}
END_TEST

START_TEST(test_upgrade_hands_over_what_came_behind_it)
{
	int fd = answers("HTTP/1.1 101 Switching\r\nUpgrade: lwnat-tcp\r\n\r\nSSH-", true);

	ck_assert_int_eq(client_http_upgrade(fd, &get, "lwnat-tcp", &reply), 0);
	ck_assert_int_eq(reply.status, 101);
	ck_assert_str_eq(reply.body, "SSH-");
	ck_assert_int_eq(write(fd, "x", 1), 1); /* still open */
	ck_assert_ptr_nonnull(strstr(heard(), "Upgrade: lwnat-tcp\r\n"));
	free(reply.body);
	close(fd);
}
END_TEST

START_TEST(test_refused_upgrade_says_why)
{
	ck_assert_int_eq(
	    client_http_upgrade(answers("HTTP/1.1 502 X\r\nContent-Length: 70\r\n\r\n{\"error\":{"
					"\"status\":502,\"field\":null,\"message\":\"the guest "
					"\\u001brefused\"}}}",
					true),
				&get, "lwnat-tcp", &reply),
	    0);
	ck_assert_int_eq(reply.status, 502);
	ck_assert_ptr_nonnull(strstr(reply.body, "refused"));
	free(reply.body);
	close(server);
}
END_TEST

static void reason(const char *body, const char *wanted)
{
	struct client_reply r = {.status = 400, .body = (char *)body, .body_len = strlen(body)};
	char text[CLIENT_ERROR_MAX];

	client_reason(&r, text);
	ck_assert_str_eq(text, wanted);
}

START_TEST(test_reason_is_one_printable_line)
{
	reason("{\"error\":{\"status\":400,\"field\":\"port\",\"message\":\"must be a number\"}}",
	       "port: must be a number");
	reason("{\"error\":{\"status\":400,\"field\":\"port\",\"message\":\"the port is busy\"}}",
	       "the port is busy");
	reason("{\"error\":{\"status\":400,\"field\":null,\"message\":\"a\\u001b\\nb\"}}", "a??b");
	reason("<html>", "refused with HTTP status 400");
	reason("[]", "refused with HTTP status 400");
}
END_TEST

START_TEST(test_stream_ends_with_its_reader)
{
	int fd = answers("HTTP/1.0 200 OK\r\n\r\npackets", true), ends[2];
	char text[16];
	FILE *out;

	ck_assert_int_eq(pipe(ends), 0);
	out = fdopen(ends[1], "w");
	close(ends[0]); /* nobody reads: it must not wait for more packets */
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(client_http_stream(fd, &get, out, &reply), 0);
	fclose(out);
	close(server);
	fd = answers("HTTP/1.0 200 OK\r\n\r\npackets", false);
	ck_assert_int_eq(pipe(ends), 0);
	out = fdopen(ends[1], "w");
	ck_assert_int_eq(client_http_stream(fd, &get, out, &reply), 0);
	ck_assert_int_eq(read(ends[0], text, sizeof(text)), 7);
	ck_assert_int_eq(memcmp(text, "packets", 7), 0);
	fclose(out);
	close(ends[0]);
	close(server);
}
END_TEST

START_TEST(test_targets_are_escaped)
{
	char *target = client_target("/v1/guests", "guest", "a b&c=/%:\xc3\xa4~");

	ck_assert_str_eq(target, "/v1/guests?guest=a%20b%26c%3D%2F%25%3A%C3%A4~");
	free(target);
	target = client_target("/v1/x?y=1", "z", "2");
	ck_assert_str_eq(target, "/v1/x?y=1&z=2");
	free(target);
}
END_TEST

/* ---- tables ---- */

START_TEST(test_columns_are_aligned_and_cut)
{
	char headings[] = "NAME|>SIZE|X", *text;
	struct table table;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	table_init(&table, headings);
	for (unsigned i = 0; i < 2; i++) {
		table_add(&table, "%s", i == 0 ? "a" : "long\033name");
		table_add(&table, "%u", i == 0 ? 5 : 12345);
		table_add(&table, "%s", "x");
	}
	table_print(&table, out, 18);
	fclose(out);
	ck_assert_str_eq(text, "NAME        SIZE\n"
			       "a              5\n"
			       "long?name  12345\n");
	free(text);
}
END_TEST

START_TEST(test_units_round_as_people_read)
{
	char text[TABLE_UNIT_MAX];

	ck_assert_str_eq(table_bytes(0, text), "0 B");
	ck_assert_str_eq(table_bytes(999, text), "999 B");
	ck_assert_str_eq(table_bytes(1000, text), "1.0 kB");
	ck_assert_str_eq(table_bytes(99949, text), "99.9 kB");
	ck_assert_str_eq(table_bytes(999600, text), "1.0 MB");
	ck_assert_str_eq(table_bytes(1e20, text), "100000 PB");
	ck_assert_str_eq(table_seconds(0.04, text), "0.0 s");
	ck_assert_str_eq(table_seconds(9.96, text), "10 s");
	ck_assert_str_eq(table_seconds(119, text), "119 s");
	ck_assert_str_eq(table_seconds(3600, text), "60 min");
	ck_assert_str_eq(table_seconds(86400, text), "24 h");
	ck_assert_str_eq(table_seconds(1e6, text), "12 d");
}
END_TEST

int main(void)
{
	return SUITE_RUN("client_http", test_body_ends_with_the_connection_or_its_length,
			 test_answer_with_a_length_does_not_wait_for_the_end,
			 test_broken_answers_are_errors, test_silence_is_a_timeout,
			 test_head_without_an_end_is_no_answer, test_body_is_sent_as_json,
			 test_upgrade_hands_over_what_came_behind_it, test_refused_upgrade_says_why,
			 test_reason_is_one_printable_line, test_stream_ends_with_its_reader,
			 test_targets_are_escaped, test_columns_are_aligned_and_cut,
			 test_units_round_as_people_read);
}
