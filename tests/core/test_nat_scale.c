/* What a packet and a connection cost the NAT among few flows and among 50,000: instructions,
 * counted by stepping through them one by one, so that no other load has a say. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLOWS_MAX 50000u
#define PACKETS 3u
#define CONNECTIONS 1u
#define TOLERANCE_PERCENT 15u

/* A sanitizer's own are ten times as many: there the same life is only looked at for its errors. */
#ifdef __SANITIZE_ADDRESS__
#define COUNTS false
#else
#define COUNTS true
#endif

enum stage { FEW, ALL, STAGES };
static const unsigned flows_of[STAGES] = {100, FLOWS_MAX};

enum what { NOTHING, PACKET, CONNECTION, TICK, WHATS };

/* Shared by the NAT's process and the one that counts. */
struct counts {
	bool counting;
	enum what what;
	enum stage stage;
	bool finished;
	uint64_t calls[STAGES][WHATS], n[STAGES][WHATS];
};

static struct counts *shared;

/* ---- the NAT's process: its calls, between two signals ---- */

static void begin(void)
{
	if (!shared->counting)
		return;
	shared->calls[shared->stage][shared->what]++;
	raise(SIGUSR1);
}

static void end(void)
{
	if (shared->counting)
		raise(SIGUSR2);
}

void __real_nat_input(struct nat *nat, struct port *from, const struct frame *frame);
void __real_nat_host_event(struct nat *nat, uint64_t token, unsigned events);
void __real_nat_run(struct nat *nat, uint64_t now_ms);
void __real_nat_tick(struct nat *nat, uint64_t now_ms);
void __wrap_nat_input(struct nat *nat, struct port *from, const struct frame *frame);
void __wrap_nat_host_event(struct nat *nat, uint64_t token, unsigned events);
void __wrap_nat_run(struct nat *nat, uint64_t now_ms);
void __wrap_nat_tick(struct nat *nat, uint64_t now_ms);

void __wrap_nat_input(struct nat *nat, struct port *from, const struct frame *frame)
{
	begin();
	__real_nat_input(nat, from, frame);
	end();
}

void __wrap_nat_host_event(struct nat *nat, uint64_t token, unsigned events)
{
	begin();
	__real_nat_host_event(nat, token, events);
	end();
}

void __wrap_nat_run(struct nat *nat, uint64_t now_ms)
{
	begin();
	__real_nat_run(nat, now_ms);
	end();
}

void __wrap_nat_tick(struct nat *nat, uint64_t now_ms)
{
	begin();
	__real_nat_tick(nat, now_ms);
	end();
}

static struct sim_tcp *flow[FLOWS_MAX];

static const struct sim_tcp_setup echo_setup = {.wscale = 7, .send_seed = 1, .recv_seed = 1};

static void open_flows(struct bed *bed, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		struct endpoint at = {addr_v4(0xcb007100u + i / 20000), 80};

		flow[i] = sim_tcp_connect(bed->guests[0].sim, (uint16_t)(2000 + i % 20000), &at,
					  &echo_setup);
		if (i % 500 == 499)
			bed_settle(bed);
	}
	bed_settle(bed);
	bed_advance(bed, 1000);
	ck_assert_uint_eq(nat_flow_count(bed->nat), to);
}

/* Each one of another flow, there and back. */
static void count_packets(struct bed *bed, unsigned flows_n)
{
	shared->what = NOTHING;
	begin();
	end();
	shared->what = PACKET;
	for (unsigned i = 0; i < PACKETS; i++) {
		struct sim_tcp *tcp = flow[(uint64_t)i * flows_n / PACKETS];

		tcp->send_total += 100;
		sim_tcp_kick(tcp);
		bed_settle(bed);
		ck_assert_uint_eq(tcp->received, tcp->send_total);
	}
}

/* From the SYN to the last ACK, with a question and its answer. */
static void count_connections(struct bed *bed, enum stage stage)
{
	struct sim_tcp_setup setup = echo_setup;
	struct endpoint to = {addr_v4(0xc6336407u), 80};

	shared->what = CONNECTION;
	setup.send_total = 100;
	setup.fin_when_sent = true;
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		uint16_t port = (uint16_t)(30000 + stage * CONNECTIONS + i);
		struct sim_tcp *tcp = sim_tcp_connect(bed->guests[0].sim, port, &to, &setup);

		bed_settle(bed);
		ck_assert_int_eq(tcp->state, SIM_DONE);
	}
	ck_assert_uint_eq(nat_flow_count(bed->nat), flows_of[stage]);
}

static void live(struct bed *bed)
{
	unsigned open = 0;

	for (unsigned stage = 0; stage < STAGES; stage++) {
		shared->stage = stage;
		open_flows(bed, open, flows_of[stage]);
		open = flows_of[stage];
		shared->counting = COUNTS;
		count_packets(bed, open);
		count_connections(bed, stage);
		shared->what = TICK;
		nat_tick(bed->nat, bed->now_ms + 1);
		shared->counting = false;
		bed_advance(bed, 1000);
	}
}

static void nat_process(void)
{
	struct bed bed;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(77);
	bed_simple(&bed);
	bed.host.defaults.echo = true;
	bed.host.defaults.recv_seed = echo_setup.send_seed;
	live(&bed);
	bed_finish(&bed);
	shared->finished = true;
	_exit(0);
}

/* ---- the process that counts ---- */

/* False when the process cannot be traced here. */
static bool count(pid_t pid)
{
	bool stepping = false;
	int status;

	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		int number = WSTOPSIG(status), pass_on = 0;

		if (number == SIGUSR1 || number == SIGUSR2)
			stepping = number == SIGUSR1;
		else if (number == SIGTRAP && stepping)
			shared->n[shared->stage][shared->what]++;
		else
			pass_on = number;
		ptrace(stepping ? PTRACE_SINGLESTEP : PTRACE_CONT, pid, NULL, (long)pass_on);
	}
	return !(WIFEXITED(status) && WEXITSTATUS(status) == 77);
}

/* Without those between the signals and the calls. */
static uint64_t instructions(enum stage stage, enum what what, unsigned n)
{
	return (shared->n[stage][what] - shared->calls[stage][what] * shared->n[stage][NOTHING]) /
	       n;
}

static void check_flat(enum what what, unsigned n, const char *name)
{
	uint64_t few = instructions(FEW, what, n);
	uint64_t all = instructions(ALL, what, n);

	printf("%s among 100 and 50,000 flows: %lu and %lu instructions\n", name,
	       (unsigned long)few, (unsigned long)all);
	ck_assert_uint_gt(few, 0);
	ck_assert_uint_lt(all * 100, few * (100 + TOLERANCE_PERCENT));
}

START_TEST(test_packets_connections_and_ticks_cost_the_same_among_fifty_thousand_flows)
{
	shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);

	pid_t pid = fork();

	if (pid == 0)
		nat_process();
	ck_assert_int_gt(pid, 0);
	if (!count(pid)) {
		puts("skipped: processes cannot be traced here");
		return;
	}
	ck_assert_msg(shared->finished, "the NAT's process ended early");
	if (!COUNTS)
		return;
	check_flat(PACKET, PACKETS, "a small echo");
	check_flat(CONNECTION, CONNECTIONS, "a connection with one question");
	check_flat(TICK, 1, "a tick");
	munmap(shared, sizeof(*shared));
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "nat_scale",
	    test_packets_connections_and_ticks_cost_the_same_among_fifty_thousand_flows);
}
