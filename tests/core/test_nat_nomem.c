/* Every allocation that a guest or a host peer can cause fails once, and then all from there on: no
 * crash, nothing left behind, and who had a connection keeps it. The linker's --wrap (Makefile)
 * lets us count the NAT's and lwIP's allocations alone, not those of the bed around them. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#include <string.h>

#define AWAY "198.51.100.7"

/* The state of the wrappers below: file-scope, because malloc() has no context. */
static struct {
	int inside; /* nat calls, less calls of theirs into the bed */
	uint64_t count, fail_at;
	bool all_after;
} alloc_state;

static bool fails(void)
{
	if (alloc_state.inside <= 0 || !alloc_state.fail_at)
		return false;
	alloc_state.count++;
	return alloc_state.all_after ? alloc_state.count >= alloc_state.fail_at
				     : alloc_state.count == alloc_state.fail_at;
}

void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__real_realloc(void *old, size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_realloc(void *old, size_t len);

void *__wrap_malloc(size_t len)
{
	return fails() ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t n, size_t len)
{
	return fails() ? NULL : __real_calloc(n, len);
}

void *__wrap_realloc(void *old, size_t len)
{
	return fails() ? NULL : __real_realloc(old, len);
}

/* Calls of the bed into the NAT. */
#define WRAP_NAT(type, name, params)                                                               \
	type __real_##name params;                                                                 \
	type __wrap_##name params;                                                                 \
	type __wrap_##name params
#define INSIDE(statement)                                                                          \
	do {                                                                                       \
		alloc_state.inside++;                                                              \
		statement;                                                                         \
		alloc_state.inside--;                                                              \
	} while (0)

WRAP_NAT(int, nat_new, (struct nat * *ret, const struct nat_config *config))
{
	int err;
	INSIDE(err = __real_nat_new(ret, config));
	return err;
}

WRAP_NAT(int, nat_port_add, (struct nat * nat, struct port *port))
{
	int err;
	INSIDE(err = __real_nat_port_add(nat, port));
	return err;
}

WRAP_NAT(void, nat_input, (struct nat * nat, struct port *from, const struct frame *frame))
{
	INSIDE(__real_nat_input(nat, from, frame));
}

WRAP_NAT(void, nat_host_event, (struct nat * nat, uint64_t token, unsigned events))
{
	INSIDE(__real_nat_host_event(nat, token, events));
}

WRAP_NAT(void, nat_run, (struct nat * nat, uint64_t now_ms))
{
	INSIDE(__real_nat_run(nat, now_ms));
}

WRAP_NAT(void, nat_tick, (struct nat * nat, uint64_t now_ms))
{
	INSIDE(__real_nat_tick(nat, now_ms));
}

WRAP_NAT(int, nat_tcp_inbound,
	 (struct nat * nat, int handle, const struct endpoint *peer, const struct endpoint *guest))
{
	int err;
	INSIDE(err = __real_nat_tcp_inbound(nat, handle, peer, guest));
	return err;
}

WRAP_NAT(void, nat_udp_inbound,
	 (struct nat * nat, int handle, const struct endpoint *peer, const struct endpoint *guest,
	  struct iovec payload))
{
	INSIDE(__real_nat_udp_inbound(nat, handle, peer, guest, payload));
}

/* Calls of the NAT into the bed. */
#define OUTSIDE(type, call)                                                                        \
	int inside = alloc_state.inside;                                                           \
	type result;                                                                               \
	alloc_state.inside = 0;                                                                    \
	result = fake_host_ops.call;                                                               \
	alloc_state.inside = inside;                                                               \
	return result

static int out_tcp_dial(void *ctx, uint64_t token, const struct endpoint *to)
{
	OUTSIDE(int, tcp_dial(ctx, token, to));
}

static int out_udp_open(void *ctx, uint64_t token, bool v6)
{
	OUTSIDE(int, udp_open(ctx, token, v6));
}

static int out_ping_open(void *ctx, uint64_t token, bool v6)
{
	OUTSIDE(int, ping_open(ctx, token, v6));
}

static int out_udp_send(void *ctx, int handle, const struct host_udp_out *out)
{
	OUTSIDE(int, udp_send(ctx, handle, out));
}

static int out_ping_send(void *ctx, int handle, const struct addr *to, uint8_t ttl,
			 const struct iovec *iov, unsigned iov_n)
{
	OUTSIDE(int, ping_send(ctx, handle, to, ttl, iov, iov_n));
}

static int out_recv(void *ctx, int handle, struct host_datagram *ret, unsigned max)
{
	OUTSIDE(int, recv(ctx, handle, ret, max));
}

static struct host_ops outside_ops(void)
{
	struct host_ops ops = fake_host_ops;

	ops.tcp_dial = out_tcp_dial;
	ops.udp_open = out_udp_open;
	ops.ping_open = out_ping_open;
	ops.udp_send = out_udp_send;
	ops.ping_send = out_ping_send;
	ops.recv = out_recv;
	return ops;
}

/* The fake port's operations, likewise. */
static const struct port_ops *inner_port_ops;

static void out_port_send(struct port *port, const void *hdr, size_t hdr_len,
			  const struct iovec *iov, unsigned iov_n)
{
	int inside = alloc_state.inside;

	alloc_state.inside = 0;
	inner_port_ops->send(port, hdr, hdr_len, iov, iov_n);
	alloc_state.inside = inside;
}

static void out_port_flush(struct port *port)
{
	int inside = alloc_state.inside;

	alloc_state.inside = 0;
	inner_port_ops->flush(port);
	alloc_state.inside = inside;
}

static const struct port_ops outside_port_ops = {.send = out_port_send, .flush = out_port_flush};

/* What guests and hosts do while memory runs out. Nothing of it must succeed. */
typedef void scenario(struct bed *bed);

static void outbound(struct bed *bed)
{
	struct sim_tcp *tcp = bed_connect(bed, 0, 41000, AWAY, 80);

	tcp->send_total = 200000;
	tcp->recv_seed = tcp->send_seed;
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	bed_advance(bed, 20000);
	if (tcp->state == SIM_OPEN || tcp->state == SIM_SYN_SENT)
		sim_tcp_abort(tcp);
	bed_settle(bed);
}

static void download_with_loss(struct bed *bed)
{
	struct sim_tcp *tcp;

	bed->host.defaults.echo = false;
	bed->host.defaults.send_total = 300000;
	bed->guests[0].port.impair.drop_ppm = 100000;
	bed->guests[0].impair.reorder_ppm = 100000;
	tcp = bed_connect(bed, 0, 41000, AWAY, 80);
	tcp->send_total = 100000;
	sim_tcp_kick(tcp);
	bed_advance(bed, 20000);
	sim_tcp_abort(tcp);
	bed->guests[0].port.impair.drop_ppm = bed->guests[0].impair.reorder_ppm = 0;
	bed_settle(bed);
}

static void refused(struct bed *bed)
{
	bed->host.connect_result = -ECONNREFUSED;
	bed_connect(bed, 0, 41000, AWAY, 80);
	bed->host.connect_result = -EHOSTUNREACH;
	bed_connect(bed, 0, 41001, AWAY, 80);
	bed->host.connect_result = -ETIMEDOUT;
	bed_connect(bed, 0, 41002, AWAY, 80)->no_timer = true;
	bed->host.connect_result = 0;
	bed_advance(bed, 1000);
}

static void slow_host(struct bed *bed)
{
	struct sim_tcp *tcp;
	int handle;

	bed->host.defaults.write_room = 5000;
	bed->host.defaults.echo = false;
	tcp = bed_connect(bed, 0, 41000, AWAY, 80);
	tcp->send_total = 300000;
	sim_tcp_kick(tcp);
	bed_advance(bed, 3000);
	handle = fake_host_nth(&bed->host, FAKE_TCP, 1);
	if (handle >= 0) {
		bed->host.handles[handle].write_room = FAKE_UNLIMITED;
		fake_host_kick(&bed->host, handle);
	}
	bed->host.defaults.write_room = FAKE_UNLIMITED;
	bed_advance(bed, 3000);
	sim_tcp_abort(tcp);
	bed_settle(bed);
}

static void datagrams(struct bed *bed)
{
	static uint8_t bytes[20000];
	struct guestsim *sim = bed->guests[0].sim;
	struct endpoint to = bed_endpoint(AWAY, 7);
	struct guestsim_datagram *got;
	struct guestsim_icmp *icmp;

	bed->host.udp_echo = bed->host.ping_echo = true;
	guestsim_udp_send(sim, 5000, &to, frames_bytes(bytes, 100));
	guestsim_udp_send(sim, 5000, &to, frames_bytes(bytes, sizeof(bytes)));
	guestsim_ping(sim, &to.addr, 1, frames_bytes(bytes, 4000));
	guestsim_ping(sim, &bed->config.host4, 1, frames_bytes(bytes, 4000));
	bed_advance(bed, 200000);
	while ((got = guestsim_udp_pop(sim)))
		free(got);
	while ((icmp = guestsim_icmp_pop(sim)))
		free(icmp);
}

static void inbound(struct bed *bed)
{
	struct endpoint known = {bed_guest_addr(0), 22}, unknown = {bed_guest_addr(1), 22};
	struct endpoint peer = bed_endpoint("203.0.113.5", 7000);
	int udp = fake_host_listener(&bed->host);

	sim_tcp_listen(bed->guests[0].sim, 22, &bed_setup);
	nat_tcp_inbound(bed->nat, fake_host_accepted(&bed->host), &peer, &known);
	peer.port++;
	nat_tcp_inbound(bed->nat, fake_host_accepted(&bed->host), &peer, &unknown);
	nat_udp_inbound(bed->nat, udp, &peer, &known, frames_bytes("hello", 5));
	bed_advance(bed, 10000);
	nat_udp_inbound_closed(bed->nat, udp);
	fake_host_ops.datagram_close(&bed->host, udp);
	free(guestsim_udp_pop(bed->guests[0].sim));
}

/* Runs the scenario with allocation n failing. How many there were in all. */
static uint64_t run(scenario *play, uint64_t n, bool all_after)
{
	struct host_ops ops = outside_ops();
	struct sim_tcp *old, *late;
	uint64_t count;
	struct bed bed;

	alloc_state.fail_at = 0;
	bed_init(&bed);
	bed.config.host = &ops;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	inner_port_ops = bed.guests[0].port.port.ops;
	bed.guests[0].port.port.ops = &outside_port_ops;
	guestsim_arp_ask(bed.guests[0].sim, bed_gateway(&bed));
	bed.host.defaults.echo = true;
	old = bed_connect(&bed, 0, 40000, AWAY, 9999);
	old->recv_seed = old->send_seed;
	alloc_state.count = 0;
	alloc_state.fail_at = n;
	alloc_state.all_after = all_after;
	play(&bed);
	count = alloc_state.count;
	alloc_state.fail_at = 0;
	bed.host.defaults.echo = true;
	old->send_total = 50000;
	sim_tcp_kick(old);
	BED_UNTIL(&bed, old->received == 50000);
	late = bed_connect(&bed, 0, 50000, AWAY, 80);
	BED_UNTIL(&bed, late->state == SIM_OPEN);
	guestsim_faults(bed.guests[0].sim)->window_shrunk = 0; /* late segments */
	guestsim_faults(bed.guests[0].sim)->mismatch = 0;      /* the peer is no echo here */
	bed_finish(&bed);
	return count;
}

static void check_scenario(scenario *play)
{
	uint64_t total = run(play, UINT64_MAX, false);

	ck_assert_uint_gt(total, 5);
	for (int all_after = 0; all_after < 2; all_after++)
		for (uint64_t n = 1; n <= total; n += 1 + n / 64)
			run(play, n, all_after);
}

START_TEST(test_outbound_connection_without_memory)
{
	check_scenario(outbound);
}
END_TEST

START_TEST(test_download_with_loss_without_memory)
{
	check_scenario(download_with_loss);
}
END_TEST

START_TEST(test_failed_connections_without_memory)
{
	check_scenario(refused);
}
END_TEST

START_TEST(test_slow_host_without_memory)
{
	check_scenario(slow_host);
}
END_TEST

START_TEST(test_datagrams_and_pings_without_memory)
{
	check_scenario(datagrams);
}
END_TEST

START_TEST(test_forwards_without_memory)
{
	check_scenario(inbound);
}
END_TEST

START_TEST(test_nat_cannot_be_made_without_memory)
{
	struct nat *nat = NULL;
	unsigned failed = 0;
	int err = -ENOMEM;
	struct bed bed;

	bed_init(&bed);
	for (uint64_t n = 1; err != 0; n++) {
		alloc_state.count = 0;
		alloc_state.fail_at = n;
		err = nat_new(&nat, &bed.config);
		alloc_state.fail_at = 0;
		ck_assert(err == 0 || err == -ENOMEM);
		failed += err != 0;
	}
	ck_assert_uint_gt(failed, 3);
	nat_free(nat);
	fake_host_fini(&bed.host);
}
END_TEST

START_TEST(test_port_cannot_be_added_without_memory)
{
	struct fake_port port;
	struct bed bed;

	bed_init(&bed);
	bed_start(&bed);
	fake_port_init(&port, 1);
	alloc_state.count = 0;
	alloc_state.fail_at = 1;
	ck_assert_int_eq(nat_port_add(bed.nat, &port.port), -ENOMEM);
	alloc_state.fail_at = 0;
	nat_port_remove(bed.nat, &port.port);
	fake_port_fini(&port);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return NATBED_SUITE("nat_nomem", test_outbound_connection_without_memory,
			    test_download_with_loss_without_memory,
			    test_failed_connections_without_memory, test_slow_host_without_memory,
			    test_datagrams_and_pings_without_memory, test_forwards_without_memory,
			    test_nat_cannot_be_made_without_memory,
			    test_port_cannot_be_added_without_memory);
}
