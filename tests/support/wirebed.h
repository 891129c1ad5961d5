/* Synthetic guests at the real program: they speak over the program's socket with QEMU's framing,
 * and the host peers are real sockets on the loopback. Everything turns in wire_turn(). */
#ifndef LWNAT_TESTS_WIREBED_H
#define LWNAT_TESTS_WIREBED_H

#include "tests/support/guestsim.h"
#include "tests/support/process.h"
#include "tests/support/sim_tcp.h"

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#define WIRE_GUESTS_MAX 3
#define WIRE_CHILDREN_MAX 4

struct wire_guest {
	int fd; /* -1: not connected, or dropped by the program */
	struct guestsim *sim;
	uint8_t *in, *out;
	size_t in_len, out_len, out_room;
	size_t out_at; /* bytes of 'out' that have left */
	bool stopped;  /* like a machine that is: reads, sends and answers nothing */
};

struct wire {
	struct process_place place;
	struct process process;
	struct wire_guest guests[WIRE_GUESTS_MAX];
	int children[WIRE_CHILDREN_MAX]; /* echo servers: process ids */
	unsigned children_n;
	const char *hostname; /* that guests attached from here on tell DHCP; NULL: none */
};

/* Makes all beds of this process IPv6 ones: guest n has fec0::(0x100+n) by its own choice, the
 * host's side is on ::1. For suite_run_twice(). */
void wire_use_v6(void);
bool wire_is_v6(void);
struct addr wire_gateway(void);
/* Starts the program with these arguments, split at '|'. */
void wire_start(struct wire *wire, const char *line);
/* The same with 'fd' as the program's PROCESS_INHERITED_FD. */
void wire_start_with(struct wire *wire, const char *line, int fd);
/* Attaches guest n and gets it a lease (IPv4). */
struct guestsim *wire_add_guest(struct wire *wire, unsigned n);
void wire_drop_guest(struct wire *wire, unsigned n); /* closes its socket; the sim stays readable */
/* Ends all, and checks that no guest has seen a fault. */
void wire_finish(struct wire *wire);

/* Waits up to 'ms' for something to do, and does it. */
void wire_turn(struct wire *wire, int ms);
void wire_turns_for(struct wire *wire, int ms); /* one at least, however late it is */

/* Echo servers on the loopback in processes of their own; return the port. */
uint16_t wire_tcp_echo(struct wire *wire);
uint16_t wire_udp_echo(struct wire *wire);
/* Sockets of the test's own, on the loopback, not blocking. Port 0: any. */
int wire_listen(uint16_t port, uint16_t *ret_port);
int wire_udp(uint16_t *ret_port);
int wire_connect(uint16_t port);
uint16_t wire_free_port(int type); /* nobody has it right now; SOCK_STREAM or SOCK_DGRAM */
/* -1 when there is nobody yet. */
int wire_accept(int listener);
/* Reads what is there: bytes, 0 at the end, -EAGAIN or another negative errno. */
long wire_read(int fd, void *bytes, size_t len);

struct sim_tcp *wire_connect_out(struct wire *wire, unsigned n, uint16_t port, uint16_t to_port,
				 const struct sim_tcp_setup *setup);
/* Clock ticks of CPU that the program has used. */
unsigned long wire_cpu_ticks(const struct wire *wire);

/* Turns until the condition holds. The limit only ends what hangs. */
#define WIRE_UNTIL(wire, condition)                                                                \
	do {                                                                                       \
		for (unsigned turns_ = 0; !(condition); turns_++) {                                \
			ck_assert_msg(turns_ < 2000000, "never: %s", #condition);                  \
			wire_turn(wire, 20);                                                       \
		}                                                                                  \
	} while (0)

#endif
