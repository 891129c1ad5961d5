/* Data through the real program, with real sockets on the host's loopback, in both families. */
#include "tests/support/frames.h"
#include "tests/support/host_fixture.h"
#include "tests/support/pattern.h"
#include "tests/support/suite.h"
#include "tests/support/wirebed.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

static const struct sim_tcp_setup echo_setup = {.wscale = 7, .send_seed = 1, .recv_seed = 1};

START_TEST(test_eight_echoes_of_five_megabytes_at_once)
{
	struct sim_tcp_setup setup = echo_setup;
	struct sim_tcp *tcp[8];
	struct wire wire;
	uint16_t port;

	wire_start(&wire, "");
	port = wire_tcp_echo(&wire);
	wire_add_guest(&wire, 0);
	setup.send_total = 5 * MIB;
	setup.fin_when_sent = true;
	for (unsigned i = 0; i < 8; i++) {
		tcp[i] = wire_connect_out(&wire, 0, (uint16_t)(40000 + i), port, &setup);
		tcp[i]->no_timer = true; /* an upload has no retransmission */
	}
	WIRE_UNTIL(&wire, sim_tcp_all_received(tcp, 8, 5 * MIB));
	for (unsigned i = 0; i < 8; i++)
		WIRE_UNTIL(&wire, tcp[i]->state == SIM_DONE); /* half-closed by the guest first */
	wire_finish(&wire);
}
END_TEST

START_TEST(test_refused_and_reset_are_passed_on)
{
	struct sim_tcp *refused, *reset, *aborted;
	struct linger linger = {1, 0};
	int listener, fd = -1;
	uint16_t port;
	struct wire wire;
	char byte;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	refused = wire_connect_out(&wire, 0, 40000, wire_free_port(SOCK_STREAM), &echo_setup);
	WIRE_UNTIL(&wire, refused->state != SIM_SYN_SENT);
	ck_assert_int_eq(refused->state, SIM_RESET);
	listener = wire_listen(0, &port);
	reset = wire_connect_out(&wire, 0, 40001, port, &echo_setup);
	WIRE_UNTIL(&wire, reset->state == SIM_OPEN && (fd = wire_accept(listener)) >= 0);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
	WIRE_UNTIL(&wire, reset->state == SIM_RESET);
	aborted = wire_connect_out(&wire, 0, 40002, port, &echo_setup);
	WIRE_UNTIL(&wire, aborted->state == SIM_OPEN && (fd = wire_accept(listener)) >= 0);
	sim_tcp_abort(aborted);
	WIRE_UNTIL(&wire, wire_read(fd, &byte, 1) == -ECONNRESET);
	close(fd);
	close(listener);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_host_closes_first_and_hears_the_rest)
{
	struct sim_tcp_setup setup = echo_setup;
	static char bytes[100000];
	struct sim_tcp *tcp;
	int listener, fd = -1;
	size_t have = 0;
	uint16_t port;
	struct wire wire;
	long n = 0;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	listener = wire_listen(0, &port);
	tcp = wire_connect_out(&wire, 0, 40000, port, &setup);
	WIRE_UNTIL(&wire, tcp->state == SIM_OPEN && (fd = wire_accept(listener)) >= 0);
	shutdown(fd, SHUT_WR);
	WIRE_UNTIL(&wire, tcp->fin_received);
	tcp->send_total = sizeof(bytes);
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	while ((n = wire_read(fd, bytes + have, sizeof(bytes) - have)) != 0) {
		have += n > 0 ? (size_t)n : 0;
		ck_assert(n > 0 || n == -EAGAIN);
		if (have == sizeof(bytes))
			break;
		wire_turn(&wire, 10);
	}
	ck_assert_uint_eq(have, sizeof(bytes));
	ck_assert(pattern_matches(setup.send_seed, 0, bytes, have));
	WIRE_UNTIL(&wire, tcp->state == SIM_DONE);
	close(fd);
	close(listener);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_slow_readers_on_either_side_lose_nothing)
{
	struct sim_tcp_setup setup = echo_setup;
	struct sim_tcp *tcp;
	struct wire wire;
	uint16_t port;

	wire_start(&wire, "");
	port = wire_tcp_echo(&wire);
	wire_add_guest(&wire, 0);
	setup.send_total = 20 * MIB; /* the echo server stops reading when it cannot write */
	setup.paused = true;
	tcp = wire_connect_out(&wire, 0, 40000, port, &setup);
	WIRE_UNTIL(&wire, tcp->received > 200000);
	wire_turns_for(&wire, 1500);
	ck_assert_uint_lt(tcp->received, 20 * MIB);
	tcp->paused = false;
	sim_tcp_kick(tcp);
	WIRE_UNTIL(&wire, tcp->received == 20 * MIB);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_datagrams_of_every_size_are_echoed)
{
	static const size_t lens[] = {0, 1, 1472, 1473, 9000, 65487};
	static uint8_t bytes[65507];
	struct guestsim_datagram *got = NULL;
	struct endpoint to = {wire_gateway(), 0};
	struct guestsim *sim;
	struct wire wire;

	wire_start(&wire, "");
	to.port = wire_udp_echo(&wire);
	sim = wire_add_guest(&wire, 0);
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		pattern_fill(i, 0, bytes, lens[i]);
		guestsim_udp_send(sim, 5000, &to, frames_bytes(bytes, lens[i]));
		WIRE_UNTIL(&wire, (got = guestsim_udp_pop(sim)));
		ck_assert_uint_eq(got->len, lens[i]);
		ck_assert(endpoint_eq(&got->from, &to));
		ck_assert(pattern_matches(i, 0, got->bytes, got->len));
		free(got);
	}
	wire_finish(&wire);
}
END_TEST

START_TEST(test_closed_udp_port_is_told_by_icmp)
{
	struct guestsim_icmp *icmp = NULL;
	struct endpoint to = {wire_gateway(), 0};
	struct guestsim *sim;
	struct wire wire;

	wire_start(&wire, "");
	sim = wire_add_guest(&wire, 0);
	to.port = wire_free_port(SOCK_DGRAM);
	guestsim_udp_send(sim, 5000, &to, frames_bytes("hello", 5));
	WIRE_UNTIL(&wire, (icmp = guestsim_icmp_pop(sim)));
	ck_assert_uint_eq(icmp->type, wire_is_v6() ? 1 : 3);
	ck_assert_uint_eq(icmp->code, wire_is_v6() ? 4 : 3);
	free(icmp);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_gateway_answers_large_pings)
{
	static uint8_t bytes[4000];
	struct addr gateway = wire_gateway();
	struct guestsim_icmp *icmp = NULL;
	struct guestsim *sim;
	struct wire wire;

	wire_start(&wire, "");
	sim = wire_add_guest(&wire, 0);
	guestsim_ping(sim, &gateway, 0x12340001, frames_bytes(bytes, sizeof(bytes)));
	WIRE_UNTIL(&wire, (icmp = guestsim_icmp_pop(sim)));
	ck_assert_uint_eq(icmp->type, wire_is_v6() ? 129 : 0);
	ck_assert_uint_eq(icmp->len, sizeof(bytes));
	free(icmp);
	wire_finish(&wire);
}
END_TEST

int main(void)
{
	const TTest *const *tests =
	    (const TTest *const[]){test_eight_echoes_of_five_megabytes_at_once,
				   test_refused_and_reset_are_passed_on,
				   test_host_closes_first_and_hears_the_rest,
				   test_slow_readers_on_either_side_lose_nothing,
				   test_datagrams_of_every_size_are_echoed,
				   test_closed_udp_port_is_told_by_icmp,
				   test_gateway_answers_large_pings};
	unsigned tests_n = 7;

	if (!loopback_v6_available())
		return suite_run("data", tests, tests_n);
	return suite_run_twice("data", tests, tests_n, wire_use_v6);
}
