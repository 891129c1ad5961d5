/* Readers that stop: a program on the host, one in the guest, the guest as a whole. Nothing may be
 * lost, little may be sent again, and the others go on. */
#include "tests/support/ctl.h"
#include "tests/support/host_fixture.h"
#include "tests/support/pattern.h"
#include "tests/support/suite.h"
#include "tests/support/wirebed.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)
#define STALL_MS 2000

static const struct sim_tcp_setup echo_setup = {.wscale = 7, .send_seed = 1, .recv_seed = 1};

/* A connection's end on the host. */
struct end {
	int fd;
	uint64_t read_n, written;
};

static struct sim_tcp *connected(struct wire *wire, const struct sim_tcp_setup *setup,
				 struct end *ret)
{
	uint16_t port;
	int listener = wire_listen(0, &port);
	struct sim_tcp *tcp = wire_connect_out(wire, 0, 40000, port, setup);

	*ret = (struct end){.fd = -1};
	WIRE_UNTIL(wire, tcp->state == SIM_OPEN && (ret->fd = wire_accept(listener)) >= 0);
	close(listener);
	return tcp;
}

/* Reads what is there, which must be the guest's pattern. */
static uint64_t reads(struct end *end)
{
	static uint8_t bytes[1 << 18];
	long n;

	while ((n = wire_read(end->fd, bytes, sizeof(bytes))) > 0) {
		ck_assert(pattern_matches(1, end->read_n, bytes, (size_t)n));
		end->read_n += (uint64_t)n;
	}
	ck_assert(n == 0 || n == -EAGAIN);
	return end->read_n;
}

/* Writes what is taken, up to 'total' bytes in all. */
static uint64_t writes(struct end *end, uint64_t total)
{
	static uint8_t bytes[1 << 18];
	ssize_t n = 1;

	while (end->written < total && n > 0) {
		size_t len = total - end->written < sizeof(bytes) ? (size_t)(total - end->written)
								  : sizeof(bytes);
		pattern_fill(1, end->written, bytes, len);
		n = send(end->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		end->written += n > 0 ? (uint64_t)n : 0;
	}
	return end->written;
}

/* Few frames were sent again, compared with all of so many MiB: a machine that is slow makes some.
 */
static void check_few_resent(struct wire *wire, uint64_t mib)
{
	ck_assert_uint_le(ctl_metric(wire, "lwnat_tcp_resent_total"), mib * MIB / 1460 / 50);
}

/* Until the window towards the host is closed for good: it opens and closes while the program still
 * fills the host's socket. */
static void wait_until_closed(struct wire *wire, const struct sim_tcp *tcp)
{
	uint64_t acked;

	do {
		WIRE_UNTIL(wire, tcp->peer_window == 0);
		acked = tcp->acked;
		wire_turns_for(wire, 300);
	} while (tcp->peer_window != 0 || tcp->acked != acked);
}

START_TEST(test_program_on_the_host_stops_reading)
{
	struct sim_tcp_setup setup = echo_setup;
	uint32_t answers, again;
	struct sim_tcp *tcp;
	struct wire wire;
	struct end end;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	setup.send_total = 40 * MIB;
	tcp = connected(&wire, &setup, &end);
	WIRE_UNTIL(&wire, reads(&end) > 4 * MIB);
	wait_until_closed(&wire, tcp);
	answers = tcp->count.pure_acks_in;
	again = tcp->count.retransmits_out;
	wire_turns_for(&wire, STALL_MS);
	WIRE_UNTIL(&wire, tcp->count.pure_acks_in > answers); /* the guest's probes are answered */
	ck_assert_uint_eq(tcp->peer_window, 0);
	tcp->no_timer = true; /* the news that there is room come unasked */
	WIRE_UNTIL(&wire, reads(&end) == 40 * MIB);
	ck_assert_uint_le(tcp->count.retransmits_out - again, 4); /* its probes */
	close(end.fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_program_in_the_guest_stops_reading)
{
	uint64_t taken, written = 0;
	struct sim_tcp *tcp;
	uint32_t probes;
	struct wire wire;
	struct end end;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	tcp = connected(&wire, &echo_setup, &end);
	WIRE_UNTIL(&wire, writes(&end, 60 * MIB) && tcp->received > 4 * MIB);
	tcp->paused = true;
	WIRE_UNTIL(&wire, writes(&end, 60 * MIB) && tcp->received > tcp->consumed + MIB - 1000);
	probes = tcp->count.data_segments_in;
	for (unsigned still = 0; still < 20;) { /* until no more is taken */
		wire_turns_for(&wire, STALL_MS / 20);
		taken = writes(&end, 60 * MIB);
		still = taken == written ? still + 1 : 0;
		written = taken;
	}
	ck_assert_uint_lt(written, 40 * MIB);
	WIRE_UNTIL(&wire, tcp->count.data_segments_in > probes);
	ck_assert_uint_le(tcp->count.data_segments_in - probes, 12);
	tcp->paused = false;
	sim_tcp_kick(tcp);
	WIRE_UNTIL(&wire, writes(&end, 60 * MIB) && tcp->received == 60 * MIB);
	check_few_resent(&wire, 60);
	close(end.fd);
	wire_finish(&wire);
}
END_TEST

/* QEMU reads its socket no more ("stop", a snapshot, SIGSTOP) while eight connections are busy. */
START_TEST(test_guest_that_is_stopped_loses_nothing)
{
	struct sim_tcp_setup setup = echo_setup;
	struct sim_tcp *tcp[8], *other;
	struct wire wire;
	uint16_t port;

	wire_start(&wire, "");
	port = wire_tcp_echo(&wire);
	wire_add_guest(&wire, 0);
	wire_add_guest(&wire, 1);
	setup.send_total = 5 * MIB;
	for (unsigned i = 0; i < 8; i++)
		tcp[i] = wire_connect_out(&wire, 0, (uint16_t)(40000 + i), port, &setup);
	WIRE_UNTIL(&wire, sim_tcp_all_received(tcp, 8, MIB / 2));
	wire.guests[0].stopped = true;
	other = wire_connect_out(&wire, 1, 40000, port, &setup);
	WIRE_UNTIL(&wire, other->received == 5 * MIB);
	wire_turns_for(&wire, STALL_MS);
	wire.guests[0].stopped = false;
	WIRE_UNTIL(&wire, sim_tcp_all_received(tcp, 8, 5 * MIB));
	check_few_resent(&wire, 40);
	wire_finish(&wire);
}
END_TEST

/* Too little is under way to fill the socket: only the time goes by. */
START_TEST(test_guest_that_is_stopped_is_not_called_again_and_again)
{
	uint64_t timeouts, repeated;
	struct sim_tcp *tcp;
	struct wire wire;
	struct end end;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	tcp = connected(&wire, &echo_setup, &end);
	for (uint64_t n = 100; n <= 4000; n += 100)
		WIRE_UNTIL(&wire, writes(&end, n) && tcp->received == n);
	timeouts = ctl_metric(&wire, "lwnat_tcp_resend_timeouts_total");
	repeated = tcp->count.repeated_in;
	wire.guests[0].stopped = true;
	writes(&end, 4100);
	wire_turns_for(&wire, 3 * STALL_MS);
	ck_assert_uint_le(ctl_metric(&wire, "lwnat_tcp_resend_timeouts_total"), timeouts + 2);
	wire.guests[0].stopped = false;
	WIRE_UNTIL(&wire, tcp->received == 4100);
	ck_assert_uint_le(tcp->count.repeated_in, repeated + 2);
	close(end.fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_stalled_connections_do_not_hold_up_others)
{
	struct sim_tcp_setup setup = echo_setup;
	struct sim_tcp *tcp[6], *down, *up;
	struct end end;
	struct wire wire;
	uint16_t port;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	setup.send_total = 40 * MIB;
	up = connected(&wire, &setup, &end); /* whom nobody reads on either side */
	up->paused = true;
	WIRE_UNTIL(&wire,
		   writes(&end, 40 * MIB) && up->peer_window == 0 && up->received > MIB - 1000);
	port = wire_tcp_echo(&wire);
	setup.send_total = 5 * MIB;
	for (unsigned i = 0; i < 6; i++)
		tcp[i] = wire_connect_out(&wire, 0, (uint16_t)(41000 + i), port, &setup);
	setup.paused = true;
	down = wire_connect_out(&wire, 0, 42000, port, &setup);
	WIRE_UNTIL(&wire, sim_tcp_all_received(tcp, 6, 5 * MIB));
	ck_assert_uint_lt(down->received, 5 * MIB);
	down->paused = up->paused = false;
	sim_tcp_kick(down);
	sim_tcp_kick(up);
	WIRE_UNTIL(&wire, reads(&end) == 40 * MIB && writes(&end, 40 * MIB) == 40 * MIB &&
			      up->received == 40 * MIB && down->received == 5 * MIB);
	check_few_resent(&wire, 75);
	close(end.fd);
	wire_finish(&wire);
}
END_TEST

int main(void)
{
	return SUITE_RUN("stalls", test_program_on_the_host_stops_reading,
			 test_program_in_the_guest_stops_reading,
			 test_guest_that_is_stopped_loses_nothing,
			 test_guest_that_is_stopped_is_not_called_again_and_again,
			 test_stalled_connections_do_not_hold_up_others);
}
