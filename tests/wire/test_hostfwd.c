/* Forwards that change while the program runs, name their guest, and hold their clients. */
#include "tests/support/ctl.h"
#include "tests/support/pattern.h"
#include "tests/support/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

static const struct sim_tcp_setup server_setup = {
    .wscale = 7, .send_seed = 1, .recv_seed = 2, .send_total = 30000};

static struct sim_tcp *accepted(struct wire *wire, unsigned n, uint16_t port)
{
	struct sim_tcp *tcp = NULL;

	WIRE_UNTIL(wire, (tcp = sim_tcp_accept(wire->guests[n].sim, port)));
	return tcp;
}

/* The server's pattern arrives whole; returns what came after it. */
static long check_answer(struct wire *wire, int fd, uint64_t total)
{
	static char bytes[65536];
	uint64_t have = 0;
	long n = 0;

	while (have < total) {
		n = wire_read(fd, bytes, sizeof(bytes));
		ck_assert_msg(n > 0 || n == -EAGAIN, "%s after %lu bytes", strerror((int)-n),
			      (unsigned long)have);
		if (n > 0)
			ck_assert(pattern_matches(server_setup.send_seed, have, bytes, (size_t)n));
		have += n > 0 ? (uint64_t)n : 0;
		wire_turn(wire, n > 0 ? 0 : 5);
	}
	return n;
}

static void check_is_reset(struct wire *wire, int fd)
{
	char byte;

	WIRE_UNTIL(wire, wire_read(fd, &byte, 1) == -ECONNRESET);
	close(fd);
}

/* Through the control socket; returns the rule's id and tells the port. */
static int add(struct wire *wire, const char *rule, uint16_t *ret_port)
{
	struct ctl_reply reply;
	char body[300];
	int id;

	snprintf(body, sizeof(body), "{\"rule\":\"%s\"}", rule);
	ctl_ask(wire, "POST", "/v1/hostfwd", body, &reply);
	ck_assert_msg(reply.status == 201, "%s", reply.body);
	id = (int)json_integer_value(json_object_get(reply.json, "id"));
	if (ret_port)
		*ret_port = (uint16_t)json_integer_value(json_object_get(reply.json, "host_port"));
	ctl_reply_free(&reply);
	return id;
}

static void remove_rule(struct wire *wire, int id, bool cut)
{
	struct ctl_reply reply;
	char target[80];

	snprintf(target, sizeof(target), "/v1/hostfwd?id=%d&cut=%s", id, cut ? "true" : "false");
	ctl_ask(wire, "DELETE", target, NULL, &reply);
	ck_assert_msg(reply.status == 200, "%s", reply.body);
	ctl_reply_free(&reply);
}

/* A member of the first rule listed. */
static json_int_t listed(struct wire *wire, const char *member)
{
	json_t *json = ctl_get(wire, "/v1/hostfwd");
	json_t *rule = json_array_get(json_object_get(json, "forwards"), 0);
	json_int_t value = json_integer_value(json_object_get(rule, member));

	json_decref(json);
	return value;
}

START_TEST(test_picked_ports_stand_before_ready)
{
	char text[500] = "", tail[20], expect[100];
	struct wire wire;
	unsigned port, port2;
	size_t len = 0;
	ssize_t n;
	int fds[2], fd;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	wire_start_with(&wire, "--ready-fd|7|--hostfwd|tcp::0-:22|--hostfwd|udp:127.0.0.1:0-web:53",
			fds[1]);
	close(fds[1]);
	while ((n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	ck_assert_int_eq(sscanf(text,
				"hostfwd tcp::%u-:22\nhostfwd udp:127.0.0.1:%u-web:53\n%19[^\n]",
				&port, &port2, tail),
			 3);
	ck_assert_str_eq(tail, "ready");
	snprintf(expect, sizeof(expect), "tcp localhost:%u -> 10.0.2.15:22", port);
	ck_assert_ptr_nonnull(strstr(wire.process.out_text, expect));
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &server_setup);
	fd = wire_connect((uint16_t)port);
	check_answer(&wire, fd, server_setup.send_total);
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_name_is_followed_from_guest_to_guest)
{
	struct wire wire;
	uint16_t port;
	int fd;

	wire_start(&wire, "");
	add(&wire, "tcp::0-web:22", &port);
	check_is_reset(&wire, wire_connect(port)); /* the rule waits */
	wire.hostname = "web";
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &server_setup);
	fd = wire_connect(port);
	ck_assert_uint_eq(addr_to_v4(&accepted(&wire, 0, 22)->self.addr), 0x0a00020f);
	check_answer(&wire, fd, server_setup.send_total);
	/* The name moves on to a guest with another address. */
	wire_drop_guest(&wire, 0);
	sim_tcp_listen(wire_add_guest(&wire, 1), 22, &server_setup);
	close(fd);
	fd = wire_connect(port);
	ck_assert_uint_eq(addr_to_v4(&accepted(&wire, 1, 22)->self.addr), 0x0a000210);
	check_answer(&wire, fd, server_setup.send_total);
	close(fd);
	wire_drop_guest(&wire, 1);
	wire_turns_for(&wire, 50);
	check_is_reset(&wire, wire_connect(port));
	wire_finish(&wire);
}
END_TEST

START_TEST(test_card_and_port_name_their_guest)
{
	static const char *const rules[] = {"tcp::0-@52:54:00:00:00:10:22", "tcp::0-@port2:22",
					    "tcp::0-10.0.2.16:22"};
	struct wire wire;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	sim_tcp_listen(wire_add_guest(&wire, 1), 22, &server_setup);
	for (unsigned i = 0; i < 3; i++) {
		uint16_t port;
		int fd;

		add(&wire, rules[i], &port);
		fd = wire_connect(port);
		check_answer(&wire, fd, server_setup.send_total);
		close(fd);
	}
	wire_finish(&wire);
}
END_TEST

START_TEST(test_held_client_gets_its_answer_when_the_guest_has_booted)
{
	struct guestsim *sim;
	struct wire wire;
	uint16_t port;
	char byte;
	int fd;

	wire_start(&wire, "");
	add(&wire, "tcp::0-web:22,hold=600", &port);
	fd = wire_connect(port);
	WIRE_UNTIL(&wire, listed(&wire, "held") == 1);
	wire.hostname = "web";
	sim = wire_add_guest(&wire, 0);
	WIRE_UNTIL(&wire, guestsim_counters(sim)->resets_out >= 2); /* refused, twice */
	ck_assert_int_eq(wire_read(fd, &byte, 1), -EAGAIN);
	sim_tcp_listen(sim, 22, &server_setup);
	check_answer(&wire, fd, server_setup.send_total);
	ck_assert_int_eq(listed(&wire, "held"), 0);
	ck_assert_int_eq(listed(&wire, "connections"), 1);
	ck_assert_int_eq(listed(&wire, "failed"), 0);
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_rules_change_while_a_transfer_runs)
{
	struct sim_tcp_setup setup = server_setup;
	int id, others[20], fd;
	struct sim_tcp *tcp;
	struct wire wire;
	uint16_t port;

	setup.send_total = 8 * MIB;
	wire_start(&wire, "");
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &setup);
	id = add(&wire, "tcp::0-:22", &port);
	fd = wire_connect(port);
	tcp = accepted(&wire, 0, 22);
	WIRE_UNTIL(&wire, tcp->acked > MIB / 4);
	for (unsigned i = 0; i < 20; i++)
		others[i] = add(&wire, i % 2 ? "udp::0-:22" : "tcp::0-:22", NULL);
	for (unsigned i = 0; i < 20; i++)
		remove_rule(&wire, others[i], true);
	remove_rule(&wire, id, false); /* its own: the connection stays */
	ck_assert_uint_lt(tcp->acked, 8 * MIB);
	check_answer(&wire, fd, 8 * MIB);
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_cut_resets_both_ends)
{
	struct sim_tcp *tcp;
	struct wire wire;
	uint16_t port;
	int id, fd;

	wire_start(&wire, "");
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &server_setup);
	id = add(&wire, "tcp::0-:22", &port);
	fd = wire_connect(port);
	tcp = accepted(&wire, 0, 22);
	check_answer(&wire, fd, server_setup.send_total);
	remove_rule(&wire, id, true);
	check_is_reset(&wire, fd);
	WIRE_UNTIL(&wire, tcp->state == SIM_RESET);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_many_rules_come_and_go_beside_a_connection)
{
	struct sim_tcp_setup setup = server_setup;
	struct wire wire;
	uint16_t port;
	int ids[200];
	int fd;

	wire_start(&wire, "");
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &setup);
	add(&wire, "tcp::0-:22", &port);
	for (unsigned i = 0; i < 200; i++)
		ids[i] = add(&wire, "tcp:127.0.0.1:0-web:22", NULL);
	fd = wire_connect(port);
	check_answer(&wire, fd, server_setup.send_total);
	for (unsigned i = 0; i < 200; i++)
		remove_rule(&wire, ids[i], false);
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_unix_socket_leads_to_the_guest_and_goes_at_the_end)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct process_place place;
	struct wire wire;
	struct stat st;
	char rule[200];
	int fd;

	wire_start(&wire, "");
	place = wire.place;
	snprintf(name.sun_path, sizeof(name.sun_path), "%s/g.sock", place.dir);
	snprintf(rule, sizeof(rule), "unix:%s-:22", name.sun_path);
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &server_setup);
	add(&wire, rule, NULL);
	ck_assert_int_eq(stat(name.sun_path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	check_answer(&wire, fd, server_setup.send_total);
	close(fd);
	kill(wire.process.pid, SIGTERM);
	process_finish(&wire.process);
	wire.process.pid = 0;
	ck_assert_int_lt(stat(name.sun_path, &st), 0);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_ipv6_client_reaches_a_guest_of_ipv4)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct wire wire;
	uint16_t port;
	int fd;

	wire_start(&wire, "");
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &server_setup);
	add(&wire, "tcp:[::1]:0-:22", &port);
	to.sin6_port = htons(port);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	check_answer(&wire, fd, server_setup.send_total);
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_datagrams_find_the_name_and_are_counted)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct guestsim_datagram *got = NULL;
	struct wire wire;
	uint16_t port, own;
	char answer[10];
	int fd = wire_udp(&own);

	wire_start(&wire, "");
	add(&wire, "udp:127.0.0.1:0-web:53", &port);
	to.sin_port = htons(port);
	/* The first goes nowhere. */
	sendto(fd, "early", 5, 0, (struct sockaddr *)&to, sizeof(to));
	WIRE_UNTIL(&wire, listed(&wire, "failed") == 1);
	wire.hostname = "web";
	wire_add_guest(&wire, 0);
	sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to));
	WIRE_UNTIL(&wire, (got = guestsim_udp_pop(wire.guests[0].sim)));
	ck_assert_uint_eq(got->len, 5);
	guestsim_udp_send(wire.guests[0].sim, 53, &got->from,
			  (struct iovec){(void *)(uintptr_t) "answer", 6});
	WIRE_UNTIL(&wire, wire_read(fd, answer, sizeof(answer)) == 6);
	ck_assert_int_eq(listed(&wire, "connections"), 1);
	ck_assert_int_eq(listed(&wire, "bytes_to_guest"), 5);
	ck_assert_int_eq(listed(&wire, "bytes_to_host"), 6);
	free(got);
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_busy_port_at_run_time_names_its_holder)
{
	struct ctl_reply reply;
	struct wire wire;
	char body[100], expect[100];
	uint16_t port;
	int listener = wire_listen(0, &port);

	wire_start(&wire, "");
	snprintf(body, sizeof(body), "{\"rule\":\"tcp:127.0.0.1:%u-:22\"}", port);
	ctl_ask(&wire, "POST", "/v1/hostfwd", body, &reply);
	ck_assert_int_eq(reply.status, 409);
	snprintf(expect, sizeof(expect), "tcp 127.0.0.1:%u is taken by pid %d (test_hostfwd)", port,
		 (int)getpid());
	ck_assert_msg(strstr(reply.body, expect), "%s", reply.body);
	ctl_reply_free(&reply);
	close(listener);
	wire_finish(&wire);
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "hostfwd", test_picked_ports_stand_before_ready,
	    test_name_is_followed_from_guest_to_guest, test_card_and_port_name_their_guest,
	    test_held_client_gets_its_answer_when_the_guest_has_booted,
	    test_rules_change_while_a_transfer_runs, test_cut_resets_both_ends,
	    test_many_rules_come_and_go_beside_a_connection,
	    test_unix_socket_leads_to_the_guest_and_goes_at_the_end,
	    test_ipv6_client_reaches_a_guest_of_ipv4, test_datagrams_find_the_name_and_are_counted,
	    test_busy_port_at_run_time_names_its_holder);
}
