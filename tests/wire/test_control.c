/* The control API of the real program: what it tells, what it changes, what it refuses. */
#include "tests/support/ctl.h"
#include "tests/support/pattern.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

static const struct sim_tcp_setup echo_setup = {.wscale = 7, .send_seed = 1, .recv_seed = 1};

static json_int_t number(const json_t *object, const char *name)
{
	ck_assert_msg(json_is_integer(json_object_get(object, name)), "%s", name);
	return json_integer_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
	ck_assert_msg(json_is_string(json_object_get(object, name)), "%s", name);
	return json_string_value(json_object_get(object, name));
}

/* Turns the guests until what the GET tells is so. */
#define UNTIL(wire, json, target, condition)                                                       \
	do {                                                                                       \
		for (unsigned tries_ = 0;; tries_++) {                                             \
			ck_assert_msg(tries_ < 2000, "never: %s", #condition);                     \
			(json) = ctl_get(wire, target);                                            \
			if (condition)                                                             \
				break;                                                             \
			json_decref(json);                                                         \
			wire_turn(wire, 20);                                                       \
		}                                                                                  \
	} while (0)

START_TEST(test_socket_is_the_users_alone)
{
	struct wire wire;
	struct stat st;
	char path[128];

	wire_start(&wire, "");
	snprintf(path, sizeof(path), "%s/lwnat/default.ctl", wire.place.dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	snprintf(path, sizeof(path), "%s/lwnat", wire.place.dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_status_tells_the_network)
{
	struct wire wire;
	json_t *json;

	wire_start(&wire, "--net|10.0.2.0/24|--mtu|1400|--ipv6|off|--restrict|on");
	json = ctl_get(&wire, "/v1/status");
	ck_assert_str_eq(text(json, "name"), "default");
	ck_assert_int_eq(number(json, "mtu"), 1400);
	ck_assert(json_is_true(json_object_get(json, "restrict")));
	ck_assert(json_is_null(json_object_get(json, "ipv6")));
	ck_assert_str_eq(text(json_object_get(json, "ipv4"), "network"), "10.0.2.0/24");
	ck_assert_str_eq(text(json_object_get(json, "ipv4"), "gateway"), "10.0.2.2");
	ck_assert_str_eq(text(json, "socket"), wire.place.socket_path);
	ck_assert_int_eq(number(json, "pid"), wire.process.pid);
	ck_assert_int_eq(number(json, "guests"), 0);
	json_decref(json);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_guest_and_lease_are_shown_as_they_are)
{
	const json_t *guest, *lease;
	struct wire wire;
	json_t *json;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	wire_add_guest(&wire, 1);
	json = ctl_get(&wire, "/v1/guests?guest=52:54:00:00:00:0f");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "guests")), 1);
	guest = json_array_get(json_object_get(json, "guests"), 0);
	ck_assert_str_eq(text(guest, "port"), "port1");
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(guest, "macs"), 0)),
			 "52:54:00:00:00:0f");
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(guest, "addresses"), 0)),
			 "10.0.2.15");
	ck_assert_int_ge(number(guest, "frames_from_guest"), 3);
	ck_assert_int_ge(number(guest, "bytes_to_guest"), 600);
	ck_assert_int_ge(number(json_object_get(guest, "dhcp"), "answered"), 2);
	json_decref(json);
	json = ctl_get(&wire, "/v1/guests");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "guests")), 2);
	json_decref(json);
	json = ctl_get(&wire, "/v1/leases");
	lease = json_array_get(json_object_get(json, "leases"), 0);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "leases")), 2);
	ck_assert(json_is_true(json_object_get(lease, "active")));
	ck_assert_int_gt(number(lease, "expires_in_s"), 80000);
	json_decref(json);
	wire_drop_guest(&wire, 1);
	UNTIL(&wire, json, "/v1/guests", json_array_size(json_object_get(json, "guests")) == 1);
	json_decref(json);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_flows_are_sorted_limited_and_counted)
{
	struct sim_tcp_setup setup = echo_setup;
	const json_t *flows, *first;
	struct sim_tcp *big, *small;
	struct wire wire;
	uint16_t port;
	json_t *json;

	wire_start(&wire, "");
	port = wire_tcp_echo(&wire);
	wire_add_guest(&wire, 0);
	setup.send_total = 1000;
	small = wire_connect_out(&wire, 0, 40001, port, &setup);
	WIRE_UNTIL(&wire, small->received == 1000);
	wire_turns_for(&wire, 5); /* one is older than the other */
	setup.send_total = MIB;
	big = wire_connect_out(&wire, 0, 40000, port, &setup);
	WIRE_UNTIL(&wire, big->received == MIB);
	json = ctl_get(&wire, "/v1/flows?sort=bytes&limit=1");
	ck_assert_int_eq(number(json, "total"), 2);
	flows = json_object_get(json, "flows");
	ck_assert_uint_eq(json_array_size(flows), 1);
	first = json_array_get(flows, 0);
	ck_assert_str_eq(text(first, "protocol"), "tcp");
	ck_assert_str_eq(text(first, "state"), "open");
	ck_assert_str_eq(text(first, "direction"), "out");
	ck_assert_str_eq(text(first, "source"), "10.0.2.15:40000");
	ck_assert_int_eq(number(first, "bytes_to_host"), (json_int_t)MIB);
	ck_assert_int_eq(number(first, "bytes_to_guest"), (json_int_t)MIB);
	ck_assert_int_ge(number(first, "packets_to_host"), (json_int_t)(MIB / 1460));
	ck_assert_int_ge(number(first, "packets_to_guest"), (json_int_t)(MIB / 1460));
	ck_assert_int_gt(number(first, "rate_to_host"), 0);
	json_decref(json);
	json = ctl_get(&wire, "/v1/flows?sort=age&guest=port1");
	first = json_array_get(json_object_get(json, "flows"), 0);
	ck_assert_str_eq(text(first, "source"), "10.0.2.15:40001");
	json_decref(json);
	json = ctl_get(&wire, "/v1/flows");
	first = json_array_get(json_object_get(json, "flows"), 0);
	ck_assert_str_eq(text(first, "source"), "10.0.2.15:40000"); /* by rate */
	json_decref(json);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_forwards_are_added_listed_and_removed)
{
	struct ctl_reply reply;
	const json_t *rule;
	struct sim_tcp *tcp = NULL;
	struct wire wire;
	char target[64];
	json_int_t port, id;
	json_t *json;
	int fd;

	wire_start(&wire, "");
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &echo_setup);
	ctl_ask(&wire, "POST", "/v1/hostfwd", "{\"rule\":\"tcp:127.0.0.1:0-:22\"}", &reply);
	ck_assert_msg(reply.status == 201, "%s", reply.body);
	port = number(reply.json, "host_port");
	id = number(reply.json, "id");
	ck_assert_int_gt(port, 0);
	ck_assert_str_eq(text(reply.json, "state"), "ready");
	ctl_reply_free(&reply);
	fd = wire_connect((uint16_t)port);
	WIRE_UNTIL(&wire, (tcp = sim_tcp_accept(wire.guests[0].sim, 22)));
	UNTIL(&wire, json, "/v1/hostfwd",
	      number(json_array_get(json_object_get(json, "forwards"), 0), "connections") == 1);
	rule = json_array_get(json_object_get(json, "forwards"), 0);
	ck_assert_int_eq(number(rule, "id"), id);
	ck_assert_str_eq(text(rule, "guest"), "10.0.2.15:22");
	json_decref(json);
	snprintf(target, sizeof(target), "/v1/hostfwd?id=%lld&cut=true", (long long)id);
	ctl_ask(&wire, "DELETE", target, NULL, &reply);
	ck_assert_int_eq(reply.status, 200);
	ck_assert_int_eq(number(reply.json, "removed"), 1);
	ck_assert_int_eq(number(reply.json, "cut"), 1);
	ctl_reply_free(&reply);
	WIRE_UNTIL(&wire, tcp->state == SIM_RESET);
	json = ctl_get(&wire, "/v1/hostfwd");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "forwards")), 0);
	json_decref(json);
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_busy_and_malformed_rules_are_refused_in_words)
{
	struct ctl_reply reply;
	char body[100], want[32];
	struct wire wire;
	uint16_t port;
	int listener;

	wire_start(&wire, "");
	listener = wire_listen(0, &port);
	snprintf(body, sizeof(body), "{\"rule\":\"tcp:127.0.0.1:%u-:22\"}", port);
	ctl_refused(&wire, "POST /v1/hostfwd", body, 409, "rule");
	ctl_ask(&wire, "POST", "/v1/hostfwd", body, &reply);
	snprintf(want, sizeof(want), "127.0.0.1:%u", port);
	ck_assert_msg(strstr(reply.body, want) != NULL, "%s", reply.body);
	ctl_reply_free(&reply);
	ctl_refused(&wire, "POST /v1/hostfwd", "{\"rule\":\"rubbish\"}", 400, "rule");
	ctl_refused(&wire, "DELETE /v1/hostfwd?id=77", NULL, 404, "id");
	ctl_refused(&wire, "DELETE /v1/hostfwd?rule=tcp::1-:1", NULL, 404, "rule");
	ctl_refused(&wire, "DELETE /v1/hostfwd", NULL, 400, "id");
	close(listener);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_log_level_changes_and_lines_are_kept)
{
	struct ctl_reply reply;
	struct wire wire;
	json_t *json;
	json_int_t last;
	size_t n;

	wire_start(&wire, "");
	ctl_ask(&wire, "PUT", "/v1/log", "{\"level\":\"debug\"}", &reply);
	ck_assert_int_eq(reply.status, 200);
	ck_assert_str_eq(text(reply.json, "level"), "debug");
	ctl_reply_free(&reply);
	wire_add_guest(&wire, 0);
	json = ctl_get(&wire, "/v1/log");
	n = json_array_size(json_object_get(json, "lines"));
	ck_assert_str_eq(text(json, "level"), "debug");
	ck_assert_uint_ge(n, 2);
	last = number(json_array_get(json_object_get(json, "lines"), n - 1), "number");
	json_decref(json);
	json = ctl_get(&wire, "/v1/log?lines=1");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "lines")), 1);
	ck_assert_int_ge(number(json_array_get(json_object_get(json, "lines"), 0), "number"), last);
	json_decref(json);
	json = ctl_get(&wire, "/v1/log?after=1000000");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "lines")), 0);
	json_decref(json);
	json = ctl_get(&wire, "/v1/log?level=error");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "lines")), 0);
	json_decref(json);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_bad_requests_name_what_is_wrong)
{
	static const struct {
		const char *line, *body;
		int status;
		const char *field;
	} rows[] = {
	    {"GET /", NULL, 404, "path"},
	    {"GET /v1", NULL, 404, "path"},
	    {"GET /v1/status/", NULL, 404, "path"},
	    {"GET /v1/pcap/", NULL, 404, "path"},
	    {"POST /v1/status", NULL, 405, "method"},
	    {"DELETE /metrics", NULL, 405, "method"},
	    {"OPTIONS /v1/log", NULL, 405, "method"},
	    {"GET /v1/status?x=1", NULL, 400, "x"},
	    {"GET /v1/status", "{}", 400, "body"},
	    {"GET /v1/flows?sort=size", NULL, 400, "sort"},
	    {"GET /v1/flows?limit=0", NULL, 400, "limit"},
	    {"GET /v1/flows?limit=1001", NULL, 400, "limit"},
	    {"GET /v1/flows?limit=-1", NULL, 400, "limit"},
	    {"GET /v1/flows?limit=99999999999999999999", NULL, 400, "limit"},
	    {"GET /v1/flows?limit=1&limit=2", NULL, 400, "path"},
	    {"GET /v1/flows?limit=%zz", NULL, 400, "path"},
	    {"GET /v1/flows?guest=", NULL, 400, "guest"},
	    {"GET /v1/flows?guest=nobody", NULL, 404, "guest"},
	    {"GET /v1/guests?guest=10.0.2.99", NULL, 404, "guest"},
	    {"GET /v1/guests?guest=a%20b", NULL, 400, "guest"},
	    {"GET /v1/connect?guest=web", NULL, 400, "port"},
	    {"GET /v1/connect?port=22", NULL, 400, "guest"},
	    {"GET /v1/connect?guest=web&port=65536", NULL, 400, "port"},
	    {"GET /v1/connect?guest=web&port=22", NULL, 426, "Upgrade"},
	    {"GET /v1/ping", NULL, 400, "guest"},
	    {"GET /v1/ping?guest=nobody", NULL, 404, "guest"},
	    {"GET /v1/why?guest=a%0ab", NULL, 400, "guest"},
	    {"DELETE /v1/hostfwd?id=1&cut=maybe", NULL, 400, "cut"},
	    {"POST /v1/hostfwd", "", 415, "Content-Type"},
	    {"POST /v1/hostfwd", "{", 400, "body"},
	    {"POST /v1/hostfwd", "[]", 400, "body"},
	    {"POST /v1/hostfwd", "{}", 400, "rule"},
	    {"POST /v1/hostfwd", "{\"rule\":1}", 400, "rule"},
	    {"POST /v1/hostfwd", "{\"rule\":\"\"}", 400, "rule"},
	    {"POST /v1/hostfwd", "{\"rule\":\"a\",\"rule\":\"b\"}", 400, "body"},
	    {"POST /v1/hostfwd", "{\"rule\":\"tcp::1-:1\",\"x\":1}", 400, "x"},
	    {"POST /v1/hostfwd", "{\"rule\":\"a\\u0000b\"}", 400, "body"},
	    {"PUT /v1/log", "{\"level\":\"loud\"}", 400, "level"},
	    {"PUT /v1/log", "{\"level\":[\"debug\"]}", 400, "level"},
	};
	struct wire wire;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* ctl_ask() calls every body it is given JSON. */
		const char *body = rows[i].body && rows[i].body[0] ? rows[i].body : NULL;

		ctl_refused(&wire, rows[i].line, body, rows[i].status, rows[i].field);
	}
	wire_finish(&wire);
}
END_TEST

START_TEST(test_wrong_methods_are_told_the_right_ones)
{
	struct ctl_reply reply;
	char value[256];
	struct wire wire;
	int fd;

	wire_start(&wire, "");
	ctl_ask(&wire, "PATCH", "/v1/hostfwd", NULL, &reply);
	ck_assert_int_eq(reply.status, 405);
	ck_assert_str_eq(ctl_header(&reply, "Allow", value), "GET, HEAD, POST, DELETE");
	ctl_reply_free(&reply);
	fd = ctl_connect(&wire);
	ctl_say(fd, "HEAD /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	WIRE_UNTIL(&wire, recv(fd, value, sizeof(value) - 1, MSG_PEEK | MSG_DONTWAIT) > 0);
	ck_assert_ptr_nonnull(strstr((recv(fd, value, 255, 0), value), "HTTP/1.1 200 "));
	ck_assert_ptr_null(strstr(value, "{"));
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_why_finds_what_is_wrong_with_a_guest)
{
	const char *wanted[] = {"attached", "frames",      "reading",  "mac_clash",  "dhcp",
				"address",  "ping_socket", "forwards", "ipv6_route", "drops"};
	struct wire wire;
	json_t *json, *checks;
	size_t found;
	int silent;

	wire_start(&wire, "");
	silent = guest_connect(wire.place.socket_path);
	UNTIL(&wire, json, "/v1/why?guest=port1",
	      !strcmp(text(json_array_get(json_object_get(json, "checks"), 0), "result"), "ok"));
	ck_assert(json_is_false(json_object_get(json, "ok")));
	checks = json_object_get(json, "checks");
	ck_assert_str_eq(text(json_array_get(checks, 1), "id"), "frames");
	ck_assert_str_eq(text(json_array_get(checks, 1), "result"), "fail");
	ck_assert(json_is_string(json_object_get(json_array_get(checks, 1), "advice")));
	json_decref(json);
	wire_add_guest(&wire, 0);
	json = ctl_get(&wire, "/v1/why?guest=10.0.2.15");
	checks = json_object_get(json, "checks");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		for (found = 0; found < json_array_size(checks); found++) {
			if (!strcmp(text(json_array_get(checks, found), "id"), wanted[i]))
				break;
		}
		ck_assert_msg(found < json_array_size(checks), "%s", wanted[i]);
		if (i < 6)
			ck_assert_str_eq(text(json_array_get(checks, found), "result"), "ok");
	}
	json_decref(json);
	json = ctl_get(&wire, "/v1/why?guest=nobody");
	ck_assert_str_eq(text(json_array_get(json_object_get(json, "checks"), 0), "id"),
			 "attached");
	ck_assert_str_eq(text(json_array_get(json_object_get(json, "checks"), 0), "result"),
			 "fail");
	json_decref(json);
	close(silent);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_ping_says_who_answers_and_who_does_not)
{
	struct wire wire;
	json_t *json;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	json = ctl_get(&wire, "/v1/ping?guest=10.0.2.99&timeout_ms=50");
	ck_assert(json_is_false(json_object_get(json, "answered")));
	ck_assert_ptr_nonnull(strstr(text(json, "reason"), "nobody"));
	json_decref(json);
	json = ctl_get(&wire, "/v1/ping?guest=port1&timeout_ms=60000");
	ck_assert_str_eq(text(json, "address"), "10.0.2.15");
	ck_assert_str_eq(text(json, "guest"), "port1");
	ck_assert(json_is_true(json_object_get(json, "answered")));
	ck_assert_int_gt(number(json, "rtt_us"), 0);
	json_decref(json);
	wire_finish(&wire);
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "control", test_socket_is_the_users_alone, test_status_tells_the_network,
	    test_guest_and_lease_are_shown_as_they_are, test_flows_are_sorted_limited_and_counted,
	    test_forwards_are_added_listed_and_removed,
	    test_busy_and_malformed_rules_are_refused_in_words,
	    test_log_level_changes_and_lines_are_kept, test_bad_requests_name_what_is_wrong,
	    test_wrong_methods_are_told_the_right_ones, test_why_finds_what_is_wrong_with_a_guest,
	    test_ping_says_who_answers_and_who_does_not);
}
