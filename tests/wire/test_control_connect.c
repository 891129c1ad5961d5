/* Connections into guests through the control socket. */
#include "tests/support/ctl.h"
#include "tests/support/pattern.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

static const struct sim_tcp_setup server_setup = {
    .wscale = 7, .send_seed = 1, .recv_seed = 2, .send_total = 3 * MIB};

static int ask(const struct wire *wire, const char *target, const char *behind)
{
	int fd = ctl_connect(wire);
	char text[512];

	snprintf(text, sizeof(text),
		 "GET %s HTTP/1.1\r\nHost: lwnat\r\nConnection: Upgrade\r\nUpgrade: "
		 "lwnat-tcp\r\n\r\n%s",
		 target, behind);
	ctl_say(fd, text);
	return fd;
}

/* Takes the head of a 101, and not a byte more. */
static void take_head(struct wire *wire, int fd)
{
	char head[1024];
	ssize_t n = 0;
	size_t len;

	WIRE_UNTIL(wire, (n = recv(fd, head, sizeof(head) - 1, MSG_PEEK | MSG_DONTWAIT)) > 0 &&
			     (head[n] = '\0', strstr(head, "\r\n\r\n")));
	ck_assert_msg(strncmp(head, "HTTP/1.1 101 ", 13) == 0, "%s", head);
	ck_assert_ptr_nonnull(strcasestr(head, "\r\nUpgrade: lwnat-tcp\r\n"));
	len = (size_t)(strstr(head, "\r\n\r\n") + 4 - head);
	ck_assert_int_eq(recv(fd, head, len, 0), (long)len);
}

static struct sim_tcp *accepted(struct wire *wire, uint16_t port)
{
	struct sim_tcp *tcp = NULL;

	WIRE_UNTIL(wire, (tcp = sim_tcp_accept(wire->guests[0].sim, port)));
	return tcp;
}

static void check_refusal(struct wire *wire, const char *target, int status, const char *text)
{
	struct ctl_reply reply;
	int fd = ask(wire, target, "");

	ctl_hear(wire, fd, &reply);
	ck_assert_msg(reply.status == status, "%s: %s", target, reply.body);
	ck_assert_msg(strstr(reply.body, text) != NULL, "%s: %s", target, reply.body);
	ctl_reply_free(&reply);
	close(fd);
}

START_TEST(test_bytes_and_half_closes_pass_both_ways)
{
	struct addr gateway = addr_v4(0x0a000202);
	static char bytes[65536];
	uint64_t sent = 0, have = 0;
	struct sim_tcp *tcp;
	struct wire wire;
	ssize_t n;
	int fd;

	wire_start(&wire, "");
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &server_setup);
	fd = ask(&wire, "/v1/connect?guest=port1&port=22", "");
	tcp = accepted(&wire, 22);
	ck_assert(addr_eq(&tcp->peer.addr, &gateway));
	take_head(&wire, fd);
	while (have < tcp->send_total || tcp->received < 2 * MIB) {
		uint64_t piece = 2 * MIB - sent < sizeof(bytes) ? 2 * MIB - sent : sizeof(bytes);

		pattern_fill(tcp->recv_seed, sent, bytes, piece);
		n = piece ? send(fd, bytes, piece, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
		sent += n > 0 ? (uint64_t)n : 0;
		n = wire_read(fd, bytes, sizeof(bytes));
		ck_assert(n > 0 || n == -EAGAIN);
		if (n > 0)
			ck_assert(pattern_matches(tcp->send_seed, have, bytes, (size_t)n));
		have += n > 0 ? (uint64_t)n : 0;
		wire_turn(&wire, n > 0 ? 0 : 5);
	}
	shutdown(fd, SHUT_WR);
	WIRE_UNTIL(&wire, tcp->fin_received);
	tcp->send_total += 1000; /* the other way is still open */
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	for (have = 0; have<1000; have += n> 0 ? (uint64_t)n : 0) {
		n = wire_read(fd, bytes, sizeof(bytes));
		ck_assert(n > 0 || n == -EAGAIN);
		wire_turn(&wire, 5);
	}
	WIRE_UNTIL(&wire, wire_read(fd, bytes, 1) == 0);
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_refusals_say_what_the_guest_did)
{
	struct wire wire;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	check_refusal(&wire, "/v1/connect?guest=10.0.2.15&port=23", 502, "nothing listens");
	check_refusal(&wire, "/v1/connect?guest=10.0.2.99&port=22", 504, "nobody");
	check_refusal(&wire, "/v1/connect?guest=10.0.2.99&port=22&timeout_ms=50", 504, "in time");
	check_refusal(&wire, "/v1/connect?guest=web&port=22", 404, "web");
	wire_finish(&wire);
}
END_TEST

START_TEST(test_bytes_behind_the_request_are_the_guests)
{
	struct sim_tcp_setup setup = {.wscale = 7, .send_seed = 1, .recv_seed = 2};
	char early[101] = "";
	struct sim_tcp *tcp;
	size_t len;
	struct wire wire;
	int fd;

	wire_start(&wire, "");
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &setup);
	/* What is sent as text ends at a zero. */
	pattern_fill(setup.recv_seed, 0, early, 100);
	len = strlen(early);
	ck_assert_uint_gt(len, 0);
	fd = ask(&wire, "/v1/connect?guest=port1&port=22", early);
	tcp = accepted(&wire, 22);
	WIRE_UNTIL(&wire, tcp->received == len);
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_a_client_that_dies_takes_its_connection_with_it)
{
	struct sim_tcp_setup setup = server_setup;
	struct sim_tcp *tcp;
	struct wire wire;
	json_t *json;
	int fd;

	setup.send_total = 64 * MIB;
	wire_start(&wire, "");
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &setup);
	sim_tcp_listen(wire.guests[0].sim, 23, &(struct sim_tcp_setup){.wscale = 7});
	fd = ask(&wire, "/v1/connect?guest=port1&port=22", "");
	tcp = accepted(&wire, 22);
	take_head(&wire, fd);
	close(fd); /* while the guest sends */
	WIRE_UNTIL(&wire, tcp->state == SIM_RESET || tcp->state == SIM_DONE);
	fd = ask(&wire, "/v1/connect?guest=port1&port=23", "");
	tcp = accepted(&wire, 23);
	take_head(&wire, fd);
	close(fd); /* while nobody sends */
	WIRE_UNTIL(&wire, tcp->fin_received || tcp->state == SIM_RESET);
	fd = ask(&wire, "/v1/connect?guest=10.0.2.99&port=22", "");
	close(fd); /* while the guest is looked for */
	json = ctl_get(&wire, "/v1/status");
	json_decref(json);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_a_guest_that_goes_ends_its_connections)
{
	struct wire wire;
	char byte;
	int fd;

	wire_start(&wire, "");
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &(struct sim_tcp_setup){.wscale = 7});
	fd = ask(&wire, "/v1/connect?guest=port1&port=22", "");
	accepted(&wire, 22);
	take_head(&wire, fd);
	wire_drop_guest(&wire, 0);
	WIRE_UNTIL(&wire, wire_read(fd, &byte, 1) != -EAGAIN);
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_the_end_of_the_program_ends_them_all)
{
	struct wire wire;
	int open_fd, waiting;

	wire_start(&wire, "");
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &(struct sim_tcp_setup){.wscale = 7});
	open_fd = ask(&wire, "/v1/connect?guest=port1&port=22", "");
	accepted(&wire, 22);
	take_head(&wire, open_fd);
	waiting = ask(&wire, "/v1/connect?guest=10.0.2.99&port=22", "");
	wire_turns_for(&wire, 50);
	wire_finish(&wire); /* checks the exit status: under a sanitizer, leaks too */
	close(open_fd);
	close(waiting);
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "control_connect", test_bytes_and_half_closes_pass_both_ways,
	    test_refusals_say_what_the_guest_did, test_bytes_behind_the_request_are_the_guests,
	    test_a_client_that_dies_takes_its_connection_with_it,
	    test_a_guest_that_goes_ends_its_connections, test_the_end_of_the_program_ends_them_all);
}
