/* Forwards through the real program: host clients reach guests. */
#include "tests/support/frames.h"
#include "tests/support/pattern.h"
#include "tests/support/suite.h"
#include "tests/support/wirebed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

static const struct sim_tcp_setup server_setup = {
    .wscale = 7, .send_seed = 1, .recv_seed = 2, .send_total = 300000};

/* Sends the client's pattern and takes the server's, both to the end. */
static void check_exchange(struct wire *wire, int fd, struct sim_tcp *tcp, uint64_t len)
{
	static char bytes[65536];
	uint64_t sent = 0, have = 0;

	while (have < tcp->send_total || tcp->received < len) {
		uint64_t piece = len - sent < sizeof(bytes) ? len - sent : sizeof(bytes);
		ssize_t n;

		pattern_fill(tcp->recv_seed, sent, bytes, piece);
		n = piece ? send(fd, bytes, piece, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
		sent += n > 0 ? (uint64_t)n : 0;
		n = wire_read(fd, bytes, sizeof(bytes));
		ck_assert(n > 0 || n == -EAGAIN);
		if (n > 0)
			ck_assert(pattern_matches(tcp->send_seed, have, bytes, (size_t)n));
		have += n > 0 ? (uint64_t)n : 0;
		wire_turn(wire, n > 0 ? 0 : 5);
	}
	ck_assert_uint_eq(have, tcp->send_total);
	ck_assert_uint_eq(tcp->received, len);
}

static struct sim_tcp *accepted(struct wire *wire, unsigned n, uint16_t port)
{
	struct sim_tcp *tcp = NULL;

	WIRE_UNTIL(wire, (tcp = sim_tcp_accept(wire->guests[n].sim, port)));
	return tcp;
}

START_TEST(test_host_client_reaches_the_guest_and_is_seen_as_the_gateway)
{
	uint16_t port = wire_free_port(SOCK_STREAM);
	struct addr gateway = addr_v4(0x0a000202);
	struct sim_tcp *tcp;
	char line[100], byte;
	struct wire wire;
	int fd;

	snprintf(line, sizeof(line), "--hostfwd|tcp::%u-:22", port);
	wire_start(&wire, line);
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &server_setup);
	fd = wire_connect(port);
	tcp = accepted(&wire, 0, 22);
	ck_assert(addr_eq(&tcp->peer.addr, &gateway));
	check_exchange(&wire, fd, tcp, MIB);
	shutdown(fd, SHUT_WR);
	WIRE_UNTIL(&wire, tcp->fin_received);
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	WIRE_UNTIL(&wire, wire_read(fd, &byte, 1) == 0);
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_closed_guest_port_and_absent_guest_reset_the_client)
{
	uint16_t port = wire_free_port(SOCK_STREAM);
	char line[100], byte;
	struct wire wire;
	int fd;

	snprintf(line, sizeof(line), "--hostfwd|tcp:127.0.0.1:%u-10.0.2.15:22", port);
	wire_start(&wire, line);
	wire_add_guest(&wire, 0);
	fd = wire_connect(port);
	WIRE_UNTIL(&wire, wire_read(fd, &byte, 1) == -ECONNRESET);
	close(fd);
	wire_drop_guest(&wire, 0);
	wire_turns_for(&wire, 50);
	fd = wire_connect(port);
	WIRE_UNTIL(&wire, wire_read(fd, &byte, 1) == -ECONNRESET);
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_guest_reset_reaches_the_client)
{
	uint16_t port = wire_free_port(SOCK_STREAM);
	char line[100], bytes[1000];
	struct wire wire;
	long n = 0;
	int fd;

	snprintf(line, sizeof(line), "--hostfwd|tcp::%u-:22", port);
	wire_start(&wire, line);
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &server_setup);
	fd = wire_connect(port);
	sim_tcp_abort(accepted(&wire, 0, 22));
	while ((n = wire_read(fd, bytes, sizeof(bytes))) > 0 || n == -EAGAIN)
		wire_turn(&wire, 5);
	ck_assert_int_eq(n, -ECONNRESET);
	close(fd);
	wire_finish(&wire);
}
END_TEST

/* Three free ports in a row, as far as one can know. */
static uint16_t free_range(void)
{
	for (unsigned tries = 0; tries < 100; tries++) {
		uint16_t first = wire_free_port(SOCK_STREAM);
		unsigned ok = 0;
		for (unsigned i = 0; i < 3 && first < 65000; i++) {
			struct sockaddr_in addr = {.sin_family = AF_INET,
						   .sin_port = htons((uint16_t)(first + i)),
						   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
			int fd = socket(AF_INET, SOCK_STREAM, 0);
			ok += bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
			close(fd);
		}
		if (ok == 3)
			return first;
	}
	ck_abort_msg("no three free ports in a row");
	return 0;
}

START_TEST(test_each_port_of_a_range_has_its_guest_port)
{
	uint16_t first = free_range();
	struct guestsim *sim;
	char line[100];
	struct wire wire;

	snprintf(line, sizeof(line), "--hostfwd|tcp::%u-%u-:8000-8002", first, first + 2);
	wire_start(&wire, line);
	sim = wire_add_guest(&wire, 0);
	for (uint16_t i = 0; i < 3; i++) {
		int fd;

		sim_tcp_listen(sim, (uint16_t)(8000 + i), &server_setup);
		fd = wire_connect((uint16_t)(first + i));
		check_exchange(&wire, fd, accepted(&wire, 0, (uint16_t)(8000 + i)), 1000);
		close(fd);
	}
	wire_finish(&wire);
}
END_TEST

START_TEST(test_datagrams_go_both_ways)
{
	static const size_t lens[] = {0, 1, 1473, 9000, 65507};
	static uint8_t bytes[65508];
	uint16_t port = wire_free_port(SOCK_DGRAM), own;
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct guestsim_datagram *got = NULL;
	struct guestsim *sim;
	char line[100];
	struct wire wire;
	int fd = wire_udp(&own);

	snprintf(line, sizeof(line), "--hostfwd|udp::%u-:514", port);
	wire_start(&wire, line);
	sim = wire_add_guest(&wire, 0);
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		ssize_t n = -1;

		pattern_fill(i, 0, bytes, lens[i]);
		ck_assert_int_eq(sendto(fd, bytes, lens[i], 0, (struct sockaddr *)&to, sizeof(to)),
				 (ssize_t)lens[i]);
		WIRE_UNTIL(&wire, (got = guestsim_udp_pop(sim)));
		ck_assert_uint_eq(got->to.port, 514);
		ck_assert_uint_eq(got->len, lens[i]);
		ck_assert(pattern_matches(i, 0, got->bytes, got->len));
		guestsim_udp_send(sim, 514, &got->from, frames_bytes(got->bytes, got->len));
		free(got);
		WIRE_UNTIL(&wire, (n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) >= 0);
		ck_assert_uint_eq((size_t)n, lens[i]);
		ck_assert(pattern_matches(i, 0, bytes, lens[i]));
	}
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_forward_to_the_second_guest_finds_it)
{
	uint16_t port = wire_free_port(SOCK_STREAM);
	char line[100];
	struct wire wire;
	int fd;

	snprintf(line, sizeof(line), "--hostfwd|tcp::%u-10.0.2.16:22", port);
	wire_start(&wire, line);
	wire_add_guest(&wire, 0);
	sim_tcp_listen(wire_add_guest(&wire, 1), 22, &server_setup);
	fd = wire_connect(port);
	check_exchange(&wire, fd, accepted(&wire, 1, 22), 50000);
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_guest_that_comes_back_is_reached_again)
{
	uint16_t port = wire_free_port(SOCK_STREAM);
	char line[100], byte;
	struct wire wire;
	int fd;

	snprintf(line, sizeof(line), "--hostfwd|tcp::%u-:22", port);
	wire_start(&wire, line);
	for (unsigned i = 0; i < 5; i++) {
		struct addr first = addr_v4(0x0a00020f);
		struct guestsim *sim = wire_add_guest(&wire, 0);

		ck_assert(addr_eq(&guestsim_config(sim)->addr, &first)); /* the same lease */
		sim_tcp_listen(sim, 22, &server_setup);
		fd = wire_connect(port);
		check_exchange(&wire, fd, accepted(&wire, 0, 22), 1000);
		wire_drop_guest(&wire, 0);
		WIRE_UNTIL(&wire, wire_read(fd, &byte, 1) == -ECONNRESET);
		close(fd);
	}
	wire_finish(&wire);
}
END_TEST

START_TEST(test_restricted_guest_is_reached_but_does_not_get_out)
{
	uint16_t port = wire_free_port(SOCK_STREAM), listening;
	int fd, listener = wire_listen(0, &listening);
	struct sim_tcp *out;
	char line[100];
	struct wire wire;

	snprintf(line, sizeof(line), "--restrict|on|--hostfwd|tcp::%u-:22", port);
	wire_start(&wire, line);
	sim_tcp_listen(wire_add_guest(&wire, 0), 22, &server_setup);
	fd = wire_connect(port);
	check_exchange(&wire, fd, accepted(&wire, 0, 22), 1000);
	out = wire_connect_out(&wire, 0, 40000, listening, &server_setup);
	wire_turns_for(&wire, 200);
	ck_assert_int_ne(out->state, SIM_OPEN);
	ck_assert_int_lt(wire_accept(listener), 0);
	close(listener);
	close(fd);
	wire_finish(&wire);
}
END_TEST

int main(void)
{
	return SUITE_RUN("forwards", test_host_client_reaches_the_guest_and_is_seen_as_the_gateway,
			 test_closed_guest_port_and_absent_guest_reset_the_client,
			 test_guest_reset_reaches_the_client,
			 test_each_port_of_a_range_has_its_guest_port, test_datagrams_go_both_ways,
			 test_forward_to_the_second_guest_finds_it,
			 test_guest_that_comes_back_is_reached_again,
			 test_restricted_guest_is_reached_but_does_not_get_out);
}
