/* The synthetic guest against itself: what the other core tests lean on must stand by itself. */
#include "stack/base/addr.h"
#include "tests/support/fake_port.h"
#include "tests/support/frames.h"
#include "tests/support/guestsim.h"
#include "tests/support/pattern.h"
#include "tests/support/sim_tcp.h"
#include "tests/support/suite.h"

#include <check.h>
#include <stdlib.h>

struct pair {
	struct guestsim *sims[2];
	struct fake_queue queues[2]; /* on their way to sims[i] */
	struct fake_impair impair[2];
	uint64_t now_ms;
};

static void to_0(void *ctx, const uint8_t *frame, size_t len)
{
	fake_queue_push(&((struct pair *)ctx)->queues[0], frame, len);
}

static void to_1(void *ctx, const uint8_t *frame, size_t len)
{
	fake_queue_push(&((struct pair *)ctx)->queues[1], frame, len);
}

static void pair_init(struct pair *pair)
{
	struct guestsim_config config = {
	    .net = {addr_v4(0x0a000000), 24}, .mtu = 1500, .ctx = pair};

	*pair = (struct pair){.now_ms = 1000};
	for (unsigned i = 0; i < 2; i++) {
		fake_queue_init(&pair->queues[i]);
		pair->impair[i].dice.state = i + 5;
		config.mac = (struct mac){{2, 0, 0, 0, 0, (uint8_t)(i + 1)}};
		config.addr = addr_v4(0x0a000001 + i);
		config.seed = i + 1;
		config.send = i ? to_0 : to_1;
		pair->sims[i] = guestsim_new(&config);
	}
}

static void pair_settle(struct pair *pair)
{
	bool busy = true;

	while (busy) {
		busy = false;
		for (unsigned i = 0; i < 2; i++) {
			struct fake_queue arrived;
			struct fake_frame *frame;

			fake_queue_init(&arrived);
			guestsim_run(pair->sims[1 - i], pair->now_ms);
			fake_impair_move(&pair->impair[i], &pair->queues[i], &arrived);
			while ((frame = fake_queue_pop(&arrived))) {
				guestsim_input(pair->sims[i], frame->bytes, frame->len,
					       pair->now_ms);
				free(frame);
				busy = true;
			}
		}
	}
}

static bool pair_step(struct pair *pair)
{
	uint64_t next = UINT64_MAX;

	pair_settle(pair);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t at = guestsim_next_ms(pair->sims[i], pair->now_ms);
		next = at < next ? at : next;
	}
	if (next == UINT64_MAX)
		return false;
	pair->now_ms += next ? next : 1;
	guestsim_tick(pair->sims[0], pair->now_ms);
	guestsim_tick(pair->sims[1], pair->now_ms);
	pair_settle(pair);
	return true;
}

static void pair_finish(struct pair *pair)
{
	for (unsigned i = 0; i < 2; i++) {
		guestsim_faults(pair->sims[i])->window_shrunk = 0;
		ck_assert_msg(guestsim_faults_sum(pair->sims[i]) == 0, "%s",
			      guestsim_fault_text(pair->sims[i]));
		guestsim_free(pair->sims[i]);
		fake_queue_clear(&pair->queues[i]);
	}
}

static void run_transfer(struct pair *pair, uint64_t bytes)
{
	const struct sim_tcp_setup a = {.wscale = 2,
					.send_seed = 1,
					.recv_seed = 2,
					.send_total = bytes,
					.fin_when_sent = true};
	const struct sim_tcp_setup b = {.wscale = 5,
					.send_seed = 2,
					.recv_seed = 1,
					.send_total = bytes / 2,
					.fin_when_sent = true,
					.recv_buffer = 40000};
	const struct endpoint to = {addr_v4(0x0a000002), 80};
	struct sim_tcp *client, *server;

	sim_tcp_listen(pair->sims[1], 80, &b);
	client = sim_tcp_connect(pair->sims[0], 5000, &to, &a);
	while (client->state < SIM_DONE)
		ck_assert(pair_step(pair));
	server = sim_tcp_accept(pair->sims[1], 80);
	ck_assert_ptr_nonnull(server);
	while (server->state < SIM_DONE)
		ck_assert(pair_step(pair));
	ck_assert_int_eq(client->state, SIM_DONE);
	ck_assert_int_eq(server->state, SIM_DONE);
	ck_assert_uint_eq(server->received, bytes);
	ck_assert_uint_eq(client->received, bytes / 2);
}

START_TEST(test_two_guests_exchange_data_and_close)
{
	struct pair pair;

	pair_init(&pair);
	run_transfer(&pair, 1000000);
	pair_finish(&pair);
}
END_TEST

START_TEST(test_two_guests_repair_loss_reorder_and_duplication)
{
	struct pair pair;

	pair_init(&pair);
	for (unsigned i = 0; i < 2; i++) {
		pair.impair[i].drop_ppm = 20000;
		pair.impair[i].reorder_ppm = 20000;
		pair.impair[i].duplicate_ppm = 20000;
	}
	run_transfer(&pair, 2000000);
	pair_finish(&pair);
}
END_TEST

START_TEST(test_nobody_listening_resets)
{
	const struct sim_tcp_setup setup = {.wscale = -1};
	const struct endpoint to = {addr_v4(0x0a000002), 81};
	struct sim_tcp *client;
	struct pair pair;

	pair_init(&pair);
	client = sim_tcp_connect(pair.sims[0], 5000, &to, &setup);
	while (client->state == SIM_SYN_SENT)
		ck_assert(pair_step(&pair));
	ck_assert_int_eq(client->state, SIM_RESET);
	pair_finish(&pair);
}
END_TEST

START_TEST(test_paused_reader_closes_window_and_reopens_it)
{
	const struct sim_tcp_setup a = {.wscale = 0, .send_seed = 1, .send_total = 300000};
	const struct sim_tcp_setup b = {
	    .wscale = 0, .recv_seed = 1, .recv_buffer = 50000, .paused = true};
	const struct endpoint to = {addr_v4(0x0a000002), 80};
	struct sim_tcp *client, *server;
	struct pair pair;

	pair_init(&pair);
	sim_tcp_listen(pair.sims[1], 80, &b);
	client = sim_tcp_connect(pair.sims[0], 5000, &to, &a);
	while (client->acked < 50000)
		ck_assert(pair_step(&pair));
	for (unsigned i = 0; i < 5; i++)
		ck_assert(pair_step(&pair));
	server = sim_tcp_accept(pair.sims[1], 80);
	ck_assert_uint_eq(server->received, 50000);
	ck_assert_uint_eq(client->peer_window, 0);
	ck_assert_uint_gt(server->count.probes_in, 0);
	server->paused = false;
	sim_tcp_kick(server);
	while (client->acked < 300000)
		ck_assert(pair_step(&pair) || client->acked == 300000);
	ck_assert_uint_eq(server->received, 300000);
	pair_finish(&pair);
}
END_TEST

START_TEST(test_large_datagram_crosses_in_fragments)
{
	static uint8_t bytes[65507];
	struct guestsim_datagram *got;
	const struct endpoint to = {addr_v4(0x0a000002), 7};
	struct pair pair;

	pair_init(&pair);
	pattern_fill(3, 0, bytes, sizeof(bytes));
	guestsim_arp_ask(pair.sims[0], &to.addr);
	pair_settle(&pair);
	guestsim_udp_send(pair.sims[0], 9, &to, frames_bytes(bytes, sizeof(bytes)));
	pair_settle(&pair);
	got = guestsim_udp_pop(pair.sims[1]);
	ck_assert_ptr_nonnull(got);
	ck_assert_uint_eq(got->len, sizeof(bytes));
	ck_assert(pattern_matches(3, 0, got->bytes, got->len));
	free(got);
	pair_finish(&pair);
}
END_TEST

START_TEST(test_wrong_checksum_is_a_fault)
{
	const struct frames_ends ends = {.src_mac = {{2, 0, 0, 0, 0, 2}},
					 .dst_mac = {{2, 0, 0, 0, 0, 1}},
					 .src = addr_v4(0x0a000002),
					 .dst = addr_v4(0x0a000001)};
	uint8_t frame[100];
	struct pair pair;

	pair_init(&pair);
	for (size_t at = 14; at < 14 + 20 + 8 + 5; at++) {
		struct wire_out out = wire_out(frame, sizeof(frame));
		uint32_t before = guestsim_faults_sum(pair.sims[0]);

		frames_udp(&out, &ends, (struct frames_ports){1, 2}, frames_bytes("hello", 5));
		guestsim_input(pair.sims[0], frame, wire_len(&out), 0);
		ck_assert_uint_eq(guestsim_faults_sum(pair.sims[0]), before);
		frame[at] ^= 0x10;
		guestsim_input(pair.sims[0], frame, wire_len(&out), 0);
		ck_assert_uint_gt(guestsim_faults_sum(pair.sims[0]), before);
	}
	*guestsim_faults(pair.sims[0]) = (struct guestsim_faults){0};
	pair_finish(&pair);
}
END_TEST

int main(void)
{
	return SUITE_RUN("guestsim", test_two_guests_exchange_data_and_close,
			 test_two_guests_repair_loss_reorder_and_duplication,
			 test_nobody_listening_resets,
			 test_paused_reader_closes_window_and_reopens_it,
			 test_large_datagram_crosses_in_fragments, test_wrong_checksum_is_a_fault);
}
