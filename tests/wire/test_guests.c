/* Guests at the real program, with real sockets behind it: guests that come and go, guests that
 * misbehave. */
#include "stack/base/wire.h"
#include "tests/support/frames.h"
#include "tests/support/pattern.h"
#include "tests/support/suite.h"
#include "tests/support/wirebed.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

static const struct sim_tcp_setup echo_setup = {.wscale = 7, .send_seed = 1, .recv_seed = 1};

START_TEST(test_jumbo_frames_carry_the_same)
{
	struct sim_tcp_setup setup = echo_setup;
	struct guestsim_config config;
	struct sim_tcp *tcp;
	struct wire wire;
	uint16_t port;

	wire_start(&wire, "--mtu|65520");
	port = wire_tcp_echo(&wire);
	config = *guestsim_config(wire_add_guest(&wire, 0));
	ck_assert_uint_eq(guestsim_lease(wire.guests[0].sim)->mtu, 65520);
	guestsim_set_mtu(wire.guests[0].sim, 65520);
	setup.send_total = 20 * MIB;
	tcp = wire_connect_out(&wire, 0, 40000, port, &setup);
	tcp->no_timer = true;
	WIRE_UNTIL(&wire, tcp->received == 20 * MIB);
	ck_assert_uint_gt(tcp->count.segment_max, config.mtu);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_mappings_work_after_malformed_dhcp)
{
	static uint8_t bytes[600] = {1, 1, 6};
	struct endpoint to = {addr_v4(0x0a000202), 0}, dhcp = {addr_v4(0xffffffff), 67};
	struct guestsim_datagram *got = NULL;
	struct guestsim *sim;
	struct wire wire;

	wire_start(&wire, "");
	to.port = wire_udp_echo(&wire);
	sim = wire_add_guest(&wire, 0);
	for (size_t len = 0; len < sizeof(bytes); len++)
		guestsim_udp_send(sim, 68, &dhcp, frames_bytes(bytes, len));
	for (uint16_t port = 5000; port < 5010; port++) {
		guestsim_udp_send(sim, port, &to, frames_bytes(&port, 2));
		WIRE_UNTIL(&wire, (got = guestsim_udp_pop(sim)));
		ck_assert_uint_eq(got->to.port, port);
		free(got);
	}
	wire_finish(&wire);
}
END_TEST

START_TEST(test_two_guests_reach_the_host_and_each_other)
{
	struct sim_tcp_setup setup = echo_setup;
	struct sim_tcp *out[2], *across, *accepted = NULL;
	struct endpoint other;
	struct wire wire;
	uint16_t port;

	wire_start(&wire, "");
	port = wire_tcp_echo(&wire);
	wire_add_guest(&wire, 0);
	wire_add_guest(&wire, 1);
	other = (struct endpoint){guestsim_config(wire.guests[1].sim)->addr, 8080};
	ck_assert(!addr_eq(&other.addr, &guestsim_config(wire.guests[0].sim)->addr));
	setup.send_total = 2 * MIB;
	for (unsigned n = 0; n < 2; n++)
		out[n] = wire_connect_out(&wire, n, 40000, port, &setup);
	sim_tcp_listen(wire.guests[1].sim, 8080, &setup);
	across = sim_tcp_connect(wire.guests[0].sim, 41000, &other, &setup);
	WIRE_UNTIL(&wire, (accepted = sim_tcp_accept(wire.guests[1].sim, 8080)));
	WIRE_UNTIL(&wire, across->received == 2 * MIB && accepted->received == 2 * MIB);
	WIRE_UNTIL(&wire, sim_tcp_all_received(out, 2, 2 * MIB));
	wire_finish(&wire);
}
END_TEST

static void send_bytes(struct wire *wire, unsigned n, const void *bytes, size_t len)
{
	ck_assert_int_eq(send(wire->guests[n].fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void check_echo(struct wire *wire, unsigned n, uint16_t port, uint16_t from)
{
	struct sim_tcp *tcp = wire_connect_out(wire, n, from, port, &echo_setup);

	tcp->send_total = 10000;
	WIRE_UNTIL(wire, tcp->received == 10000);
}

START_TEST(test_impossible_lengths_drop_that_guest_only)
{
	static const uint32_t lens[] = {0, 1, 13, 65550, 65536 * 2, 0x7fffffff, 0xffffffff};
	struct wire wire;
	uint16_t port;

	wire_start(&wire, "");
	port = wire_tcp_echo(&wire);
	wire_add_guest(&wire, 0);
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		uint8_t prefix[4];
		struct wire_out out = wire_out(prefix, 4);

		wire_add_guest(&wire, 1);
		check_echo(&wire, 1, port, (uint16_t)(41000 + i));
		wire_put_u32(&out, lens[i]);
		send_bytes(&wire, 1, prefix, 4);
		WIRE_UNTIL(&wire, wire.guests[1].fd < 0);
		check_echo(&wire, 0, port, (uint16_t)(40000 + i));
	}
	wire_finish(&wire);
}
END_TEST

START_TEST(test_half_a_frame_dies_with_its_connection)
{
	uint8_t bytes[64] = {0, 0, 0, 100};
	struct wire wire;
	uint16_t port;

	wire_start(&wire, "");
	port = wire_tcp_echo(&wire);
	for (size_t len = 1; len <= sizeof(bytes); len += 9) {
		wire_add_guest(&wire, 0);
		send_bytes(&wire, 0, bytes, len);
		wire_turns_for(&wire, 20);
		wire_drop_guest(&wire, 0);
	}
	wire_add_guest(&wire, 0);
	check_echo(&wire, 0, port, 40000);
	wire_finish(&wire);
}
END_TEST

/* The program comes to rest: less than a fifth of a second on the CPU in one. How soon is the
 * machine's business: what the test has set going may take a while. */
static void check_idle(struct wire *wire)
{
	unsigned long used, hz = (unsigned long)sysconf(_SC_CLK_TCK);

	wire_turns_for(wire, 300);
	for (unsigned i = 0; i < 20; i++) {
		used = wire_cpu_ticks(wire);
		wire_turns_for(wire, 1000);
		used = wire_cpu_ticks(wire) - used;
		if (used <= hz / 5)
			return;
	}
	ck_abort_msg("still %lu ticks of %lu a second", used, hz);
}

START_TEST(test_guest_that_leaves_takes_its_fifty_connections_along)
{
	int listener, fd[50];
	unsigned n = 0;
	uint16_t port;
	struct wire wire;
	char byte;

	wire_start(&wire, "");
	listener = wire_listen(0, &port);
	wire_add_guest(&wire, 0);
	wire_add_guest(&wire, 1);
	for (unsigned i = 0; i < 50; i++)
		wire_connect_out(&wire, 0, (uint16_t)(40000 + i), port, &echo_setup);
	while (n < 50) {
		wire_turn(&wire, 10);
		while (n < 50 && (fd[n] = wire_accept(listener)) >= 0)
			n++;
	}
	wire_turns_for(&wire, 100);
	wire_drop_guest(&wire, 0);
	for (unsigned i = 0; i < 50; i++) {
		WIRE_UNTIL(&wire, wire_read(fd[i], &byte, 1) == -ECONNRESET);
		close(fd[i]);
	}
	check_idle(&wire);
	wire_add_guest(&wire, 0);
	wire_connect_out(&wire, 0, 40000, port, &echo_setup);
	WIRE_UNTIL(&wire, (fd[0] = wire_accept(listener)) >= 0);
	close(fd[0]);
	close(listener);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_two_thousand_idle_connections_cost_no_cpu)
{
	static struct sim_tcp *tcp[2000];
	static int fd[2000];
	struct rlimit limit;
	unsigned n = 0;
	int listener;
	uint16_t port;
	struct wire wire;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max < 2500) /* nothing to show here */
		return;
	wire_start(&wire, "");
	listener = wire_listen(0, &port);
	wire_add_guest(&wire, 0);
	for (unsigned i = 0; i < 2000; i++) {
		tcp[i] = wire_connect_out(&wire, 0, (uint16_t)(20000 + i), port, &echo_setup);
		if (i % 50 == 0)
			wire_turn(&wire, 1);
		while ((fd[n] = wire_accept(listener)) >= 0)
			n++;
	}
	for (unsigned i = 0; i < 2000; i++)
		WIRE_UNTIL(&wire, tcp[i]->state == SIM_OPEN);
	for (; n < 2000; n++)
		WIRE_UNTIL(&wire, (fd[n] = wire_accept(listener)) >= 0);
	check_idle(&wire);
	ck_assert_int_eq(write(fd[1234], "x", 1), 1);
	wire_drop_guest(&wire, 0);
	check_idle(&wire);
	for (unsigned i = 0; i < 2000; i++)
		close(fd[i]);
	close(listener);
	guestsim_faults(wire.guests[0].sim)->mismatch = 0; /* "x" is not the pattern's */
	wire_finish(&wire);
}
END_TEST

START_TEST(test_few_descriptors_refuse_new_connections_and_keep_old_ones)
{
	struct rlimit before, few = {128, 128};
	struct sim_tcp *tcp[300], *old = NULL, *late;
	unsigned open = 0, refused = 0;
	struct wire wire;
	uint16_t port;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	few.rlim_max = few.rlim_cur < before.rlim_max ? few.rlim_cur : before.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	wire_start(&wire, "");
	port = wire_tcp_echo(&wire);
	wire_add_guest(&wire, 0);
	for (unsigned i = 0; i < 300; i++) {
		tcp[i] = wire_connect_out(&wire, 0, (uint16_t)(20000 + i), port, &echo_setup);
		if (i % 20 == 0)
			wire_turn(&wire, 5);
	}
	for (unsigned i = 0; i < 300; i++) {
		WIRE_UNTIL(&wire, tcp[i]->state == SIM_OPEN || tcp[i]->state == SIM_RESET);
		open += tcp[i]->state == SIM_OPEN;
		if (!old && tcp[i]->state == SIM_OPEN)
			old = tcp[i];
		refused += tcp[i]->state == SIM_RESET;
	}
	ck_assert_uint_gt(open, 30);
	ck_assert_uint_lt(open, 128);
	ck_assert_uint_eq(open + refused, 300);
	check_idle(&wire);
	/* Which are kept depends on how many came at once: the oldest attempts make room. */
	old->send_total = 10000;
	sim_tcp_kick(old);
	WIRE_UNTIL(&wire, old->received == 10000);
	for (unsigned i = 0; i < 300; i++)
		if (tcp[i] != old && tcp[i]->state == SIM_OPEN)
			sim_tcp_abort(tcp[i]);
	wire_turns_for(&wire, 100);
	late = wire_connect_out(&wire, 0, 30000, port, &echo_setup);
	WIRE_UNTIL(&wire, late->state == SIM_OPEN);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_guest_that_reads_nothing_holds_nobody_up)
{
	struct sim_tcp_setup setup = echo_setup;
	struct wire wire;
	uint16_t port;

	wire_start(&wire, "");
	port = wire_tcp_echo(&wire);
	wire_add_guest(&wire, 0);
	wire_add_guest(&wire, 1);
	setup.send_total = 100 * MIB;
	wire_connect_out(&wire, 0, 40000, port, &setup);
	wire_turns_for(&wire, 50);
	/* From here on nobody reads the first guest's socket; the second gets its full service. */
	int stuck = wire.guests[0].fd;
	wire.guests[0].fd = -1;
	setup.send_total = 10 * MIB;
	struct sim_tcp *tcp = wire_connect_out(&wire, 1, 40000, port, &setup);
	WIRE_UNTIL(&wire, tcp->received == 10 * MIB);
	check_idle(&wire);
	close(stuck);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_sigterm_ends_it_cleanly_with_connections_open)
{
	struct wire wire;
	uint16_t port;
	char byte;
	int listener, fd = -1;

	wire_start(&wire, "");
	listener = wire_listen(0, &port);
	wire_add_guest(&wire, 0);
	wire_connect_out(&wire, 0, 40000, port, &echo_setup);
	WIRE_UNTIL(&wire, (fd = wire_accept(listener)) >= 0);
	kill(wire.process.pid, SIGTERM);
	process_finish(&wire.process);
	ck_assert_int_eq(wire.process.status, 0);
	wire.process.pid = 0;
	ck_assert_int_ne(access(wire.place.socket_path, F_OK), 0);
	ck_assert_int_le(wire_read(fd, &byte, 1), 0);
	close(fd);
	close(listener);
	wire_finish(&wire);
}
END_TEST

int main(void)
{
	return SUITE_RUN("guests", test_jumbo_frames_carry_the_same,
			 test_mappings_work_after_malformed_dhcp,
			 test_two_guests_reach_the_host_and_each_other,
			 test_impossible_lengths_drop_that_guest_only,
			 test_half_a_frame_dies_with_its_connection,
			 test_guest_that_leaves_takes_its_fifty_connections_along,
			 test_two_thousand_idle_connections_cost_no_cpu,
			 test_few_descriptors_refuse_new_connections_and_keep_old_ones,
			 test_guest_that_reads_nothing_holds_nobody_up,
			 test_sigterm_ends_it_cleanly_with_connections_open);
}
