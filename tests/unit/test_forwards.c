/* Rules that come and go: real listeners, the NAT without a guest. Connections through them are
 * tests/wire/test_hostfwd.c. */
#include "stack/app/forwards.h"
#include "tests/support/host_fixture.h"
#include "tests/support/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct bed {
	struct host_fixture host;
	struct nat *nat;
	struct guests *guests;
	struct forwards *forwards;
	struct options options;
	struct rng rng;
	unsigned turns;
	char error[FORWARDS_ERROR_MAX];
};

static void on_turn(void *ctx)
{
	struct bed *bed = ctx;

	bed->turns++;
	nat_run(bed->nat, uv_now(&bed->host.loop));
}

static void new_nat(struct bed *bed)
{
	const struct options *o = &bed->options;
	struct nat_config config = {
	    .ipv4 = true,
	    .mac = {{0x52, 0x55, 10, 0, 2, 2}},
	    .net4 = o->net,
	    .host4 = o->host,
	    .dns4 = o->dns,
	    .mtu = 1500,
	    .limits = nat_limits_default(1000),
	    .host = host_ops(),
	    .host_ctx = bed->host.host,
	    .rng = &bed->rng,
	};

	rng_init_fixed(&bed->rng, 1);
	ck_assert_int_eq(nat_new(&bed->nat, &config), 0);
}

static struct bed *bed_open(void)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct guests_config guests = {.ports_max = 4};
	char *argv[] = {(char *)"lwnat"};
	struct forwards_config config;
	struct options_error error;

	host_fixture_open(&bed->host);
	ck_assert_int_eq(options_parse(&bed->options, 1, argv, &error), 0);
	new_nat(bed);
	ck_assert_int_eq(guests_new(&bed->guests, &guests), 0);
	config = (struct forwards_config){.options = &bed->options,
					  .loop = &bed->host.loop,
					  .host = bed->host.host,
					  .nat = bed->nat,
					  .guests = bed->guests,
					  .turn = on_turn,
					  .turn_ctx = bed};
	ck_assert_int_eq(forwards_new(&bed->forwards, &config), 0);
	return bed;
}

/* host_fixture_close() proves that no descriptor is left. */
static void bed_close(struct bed *bed)
{
	forwards_close(bed->forwards);
	nat_free(bed->nat);
	guests_free(bed->guests);
	host_fixture_close(&bed->host);
	free(bed);
}

static int add(struct bed *bed, const char *text)
{
	return forwards_add_text(bed->forwards, text, bed->error);
}

static struct forward_info info_of(const struct bed *bed, int number)
{
	const struct forward *forward = forwards_get(bed->forwards, number);
	struct forward_info info;

	ck_assert_ptr_nonnull(forward);
	forward_info(forward, &info);
	return info;
}

/* -1 when nobody listens. */
static int connect_to(uint16_t port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons(port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool was_reset(int fd)
{
	char byte;
	bool reset = recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET;

	return reset;
}

START_TEST(test_port_0_is_picked_and_told)
{
	struct bed *bed = bed_open();
	struct forward_info info;
	char text[100];
	int fd, number = add(bed, "tcp::0-:22");

	ck_assert_msg(number > 0, "%s", bed->error);
	info = info_of(bed, number);
	ck_assert_uint_ne(info.rule.host_port, 0);
	snprintf(text, sizeof(text), "tcp::%u-:22", info.rule.host_port);
	ck_assert_str_eq(info.text, text);
	snprintf(text, sizeof(text), "127.0.0.1:%u", info.rule.host_port);
	ck_assert_ptr_eq(strstr(info.listens_on, text), info.listens_on);
	if (loopback_v6_available())
		ck_assert_ptr_nonnull(strstr(info.listens_on, " and [::1]:"));
	ck_assert_ptr_eq(forwards_find(bed->forwards, "tcp::0-:22"),
			 forwards_get(bed->forwards, number));
	fd = connect_to(info.rule.host_port);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(forwards_remove(bed->forwards, number, false), 0);
	ck_assert_int_eq(connect_to(info.rule.host_port), -1);
	bed_close(bed);
}
END_TEST

START_TEST(test_rules_are_found_as_people_write_them)
{
	struct bed *bed = bed_open();
	int one = add(bed, "tcp:127.0.0.1:0-web:22"), two = add(bed, "udp::0-:53");
	struct forward_info info = info_of(bed, one);
	char text[HOSTFWD_TEXT_MAX];

	snprintf(text, sizeof(text), "%d", two);
	ck_assert_ptr_eq(forwards_find(bed->forwards, text), forwards_get(bed->forwards, two));
	ck_assert_ptr_eq(forwards_find(bed->forwards, info.text), forwards_get(bed->forwards, one));
	snprintf(text, sizeof(text), "tcp:127.0.0.1:%u", info.rule.host_port);
	ck_assert_ptr_eq(forwards_find(bed->forwards, text), forwards_get(bed->forwards, one));
	snprintf(text, sizeof(text), "tcp::%u", info.rule.host_port);
	ck_assert_ptr_eq(forwards_find(bed->forwards, text), forwards_get(bed->forwards, one));
	snprintf(text, sizeof(text), "tcp:127.0.0.1:%u-db:22", info.rule.host_port);
	ck_assert_ptr_null(forwards_find(bed->forwards, text));
	ck_assert_ptr_null(forwards_find(bed->forwards, "tcp:127.0.0.2:1"));
	ck_assert_ptr_null(forwards_find(bed->forwards, ""));
	ck_assert_ptr_null(forwards_find(bed->forwards, "99999999999999999999"));
	ck_assert_ptr_null(forwards_find(bed->forwards, "rubbish"));
	bed_close(bed);
}
END_TEST

START_TEST(test_busy_port_names_protocol_address_and_holder)
{
	struct bed *bed = bed_open();
	struct endpoint at;
	int fd = loopback_socket(SOCK_STREAM, false, &at);
	char rule[100], expect[100];

	snprintf(rule, sizeof(rule), "tcp:127.0.0.1:%u-:22", at.port);
	ck_assert_int_eq(add(bed, rule), -EADDRINUSE);
	snprintf(expect, sizeof(expect), "tcp 127.0.0.1:%u is taken by pid %d (test_forwards)",
		 at.port, (int)getpid());
	ck_assert_str_eq(bed->error, expect);
	ck_assert_uint_eq(forwards_count(bed->forwards), 0);
	close(fd);
	ck_assert_int_gt(add(bed, rule), 0);
	ck_assert_int_eq(add(bed, rule), -EEXIST);
	ck_assert_ptr_nonnull(strstr(bed->error, "overlaps"));
	bed_close(bed);
}
END_TEST

START_TEST(test_bad_rules_are_refused_with_their_reason)
{
	static const struct {
		const char *text, *reason;
	} rows[] = {
	    {"rubbish", "protocol 'rubbish'"},
	    {"tcp::0-10.0.2.2:22", "lwnat's own"},
	    {"tcp:203.0.113.1:0-:22", "this host has no such address"},
	};
	struct bed *bed = bed_open();

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_int_lt(add(bed, rows[i].text), 0);
		ck_assert_msg(strstr(bed->error, rows[i].reason), "%s", bed->error);
	}
	ck_assert_int_eq(forwards_remove(bed->forwards, 1, true), -ENOENT);
	bed_close(bed);
}
END_TEST

START_TEST(test_range_is_opened_whole_or_not_at_all)
{
	struct bed *bed = bed_open();
	struct endpoint at;
	int fd = loopback_socket(SOCK_STREAM, false, &at);
	char rule[100];

	snprintf(rule, sizeof(rule), "tcp::%u-%u-:1000", at.port - 3, at.port);
	ck_assert_int_lt(add(bed, rule), 0);
	snprintf(rule, sizeof(rule), "tcp::%u-:1000", at.port - 1);
	ck_assert_int_gt(add(bed, rule), 0); /* was let go */
	close(fd);
	bed_close(bed);
}
END_TEST

START_TEST(test_1000_rules_come_and_go)
{
	struct bed *bed = bed_open();
	int first = 0, last = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < 1000; i++) {
		last = add(bed, i % 2 ? "udp:127.0.0.1:0-web:53" : "tcp:127.0.0.1:0-web:22");
		ck_assert_msg(last > 0, "%s", bed->error);
		first = first ? first : last;
	}
	ck_assert_uint_eq(forwards_count(bed->forwards), 1000);
	for (const struct forward *f = forwards_next(bed->forwards, NULL); f;
	     f = forwards_next(bed->forwards, f)) {
		struct forward_info info;

		forward_info(f, &info);
		ck_assert_int_eq(info.number, first + (int)n++);
		ck_assert_int_eq(info.state, FORWARD_WAITING);
		ck_assert_ptr_nonnull(strstr(info.why, "no guest called web"));
	}
	ck_assert_uint_eq(n, 1000);
	for (int number = first; number <= last; number++)
		ck_assert_int_eq(forwards_remove(bed->forwards, number, number % 2), 0);
	ck_assert_uint_eq(forwards_count(bed->forwards), 0);
	bed_close(bed);
}
END_TEST

START_TEST(test_client_of_an_absent_guest_is_reset)
{
	struct bed *bed = bed_open();
	int number = add(bed, "tcp::0-web:22");
	int fd = connect_to(info_of(bed, number).rule.host_port);

	while (!was_reset(fd))
		uv_run(&bed->host.loop, UV_RUN_ONCE);
	ck_assert_uint_eq(info_of(bed, number).failed, 1);
	close(fd);
	bed_close(bed);
}
END_TEST

START_TEST(test_held_client_waits_until_its_rule_goes)
{
	struct bed *bed = bed_open();
	int number = add(bed, "tcp::0-web:22,hold=600");
	int fd = connect_to(info_of(bed, number).rule.host_port);

	while (info_of(bed, number).held == 0)
		uv_run(&bed->host.loop, UV_RUN_ONCE);
	for (unsigned i = 0; i < 3; i++) /* tries */
		uv_run(&bed->host.loop, UV_RUN_ONCE);
	ck_assert(!was_reset(fd));
	ck_assert_uint_eq(info_of(bed, number).held, 1);
	ck_assert_uint_eq(info_of(bed, number).failed, 0);
	ck_assert_int_eq(forwards_remove(bed->forwards, number, false), 0);
	ck_assert(was_reset(fd));
	close(fd);
	bed_close(bed);
}
END_TEST

START_TEST(test_held_client_is_reset_when_its_time_is_over)
{
	struct bed *bed = bed_open();
	int number = add(bed, "tcp::0-web:22,hold=1");
	int fd = connect_to(info_of(bed, number).rule.host_port);

	while (!was_reset(fd))
		uv_run(&bed->host.loop, UV_RUN_ONCE);
	ck_assert_uint_eq(info_of(bed, number).held, 0);
	ck_assert_uint_eq(info_of(bed, number).failed, 1);
	close(fd);
	bed_close(bed);
}
END_TEST

START_TEST(test_held_client_that_gives_up_is_let_go)
{
	struct bed *bed = bed_open();
	int number = add(bed, "tcp::0-web:22,hold=3600");
	int fd = connect_to(info_of(bed, number).rule.host_port);

	while (info_of(bed, number).held == 0)
		uv_run(&bed->host.loop, UV_RUN_ONCE);
	close(fd);
	while (info_of(bed, number).held == 1)
		uv_run(&bed->host.loop, UV_RUN_ONCE);
	bed_close(bed);
}
END_TEST

START_TEST(test_number_of_held_clients_is_bounded)
{
	struct bed *bed = bed_open();
	int number = add(bed, "tcp::0-web:22,hold=600"), fds[100];

	for (unsigned i = 0; i < 100; i++)
		fds[i] = connect_to(info_of(bed, number).rule.host_port);
	while (info_of(bed, number).failed < 36)
		uv_run(&bed->host.loop, UV_RUN_ONCE);
	ck_assert_uint_eq(info_of(bed, number).held, 64);
	for (unsigned i = 0; i < 100; i++)
		close(fds[i]);
	bed_close(bed);
}
END_TEST

static void unix_path(char path[100], char rule[140])
{
	snprintf(path, 100, "/tmp/lwnat-test-forwards-%d.sock", (int)getpid());
	snprintf(rule, 140, "unix:%s-web:22", path);
}

START_TEST(test_socket_file_is_private_replaced_when_stale_and_removed_at_the_end)
{
	struct bed *bed = bed_open();
	char path[100], rule[140];
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct stat st;
	int number, stale = socket(AF_UNIX, SOCK_STREAM, 0);

	unix_path(path, rule);
	snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	unlink(path);
	ck_assert_int_eq(bind(stale, (struct sockaddr *)&name, sizeof(name)), 0);
	close(stale);
	number = add(bed, rule);
	ck_assert_msg(number > 0, "%s", bed->error);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_str_eq(info_of(bed, number).listens_on, path);
	ck_assert_str_eq(info_of(bed, number).text, rule);
	ck_assert_int_eq(add(bed, rule), -EEXIST);
	ck_assert_int_eq(forwards_remove(bed->forwards, number, false), 0);
	ck_assert_int_lt(stat(path, &st), 0);
	bed_close(bed);
}
END_TEST

START_TEST(test_file_that_is_no_socket_stays)
{
	struct bed *bed = bed_open();
	char path[100], rule[140];
	FILE *file;

	unix_path(path, rule);
	unlink(path);
	file = fopen(path, "w");
	fputs("precious", file);
	fclose(file);
	ck_assert_int_eq(add(bed, rule), -EEXIST);
	ck_assert_ptr_nonnull(strstr(bed->error, "no socket"));
	ck_assert_int_eq(access(path, F_OK), 0);
	unlink(path);
	bed_close(bed);
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "forwards", test_port_0_is_picked_and_told, test_rules_are_found_as_people_write_them,
	    test_busy_port_names_protocol_address_and_holder,
	    test_bad_rules_are_refused_with_their_reason, test_range_is_opened_whole_or_not_at_all,
	    test_1000_rules_come_and_go, test_client_of_an_absent_guest_is_reset,
	    test_held_client_waits_until_its_rule_goes,
	    test_held_client_is_reset_when_its_time_is_over,
	    test_held_client_that_gives_up_is_let_go, test_number_of_held_clients_is_bounded,
	    test_socket_file_is_private_replaced_when_stale_and_removed_at_the_end,
	    test_file_that_is_no_socket_stays);
}
