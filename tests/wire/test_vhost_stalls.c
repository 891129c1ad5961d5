/* Rings of 1,024 descriptors, as QEMU has them with rx_queue_size=1024, and a guest that gives no
 * receive buffers for a while: a synthetic guest on shared memory, connections to the loopback. */
#include "stack/link/virtio_net.h"
#include "tests/support/ctl.h"
#include "tests/support/pattern.h"
#include "tests/support/suite.h"
#include "tests/support/vu_front.h"
#include "tests/support/wirebed.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)
#define MEM_LEN (8 * 1024 * 1024)
#define SIZE 1024
#define BUFFER_LEN 1600
#define VNET_LEN VU_FRONT_VNET_LEN

struct bed {
	struct wire wire; /* without guests of its own */
	char path[64];
	struct vu_front vu;
	unsigned tx_busy; /* descriptors that the program has */
	unsigned rx_free; /* buffers that were used, and are not offered again */
	bool keeps_buffers;
	struct guestsim *sim;
	struct sim_tcp *tcp; /* to ... */
	int peer;            /* ... this socket */
	uint64_t read_n, written;
	uint64_t dropped; /* before the driver was there */
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the driver ---- */

static void take_sent_back(struct bed *bed)
{
	uint32_t id, len;

	while (vq_take_used(&bed->vu.tx, &id, &len))
		bed->tx_busy--;
}

static void guest_sends(void *ctx, const uint8_t *frame, size_t len)
{
	struct bed *bed = ctx;
	uint8_t bytes[BUFFER_LEN] = {0};

	take_sent_back(bed);
	while (bed->tx_busy == SIZE) {
		vu_front_kick(&bed->vu, VU_FRONT_TX);
		poll(NULL, 0, 1);
		take_sent_back(bed);
	}
	ck_assert_uint_le(VNET_LEN + len, sizeof(bytes));
	memcpy(bytes + VNET_LEN, frame, len);
	vq_send(&bed->vu.tx, bytes, (uint32_t)(VNET_LEN + len));
	bed->tx_busy++;
}

static bool guest_receives(struct bed *bed)
{
	uint32_t id, len;
	bool any = false;

	while (vq_take_used(&bed->vu.rx, &id, &len)) {
		const uint8_t *bytes = vq_buffer(&bed->vu.rx, (uint16_t)id);
		ck_assert_uint_eq(bytes[10], 1); /* num_buffers: every frame fits one */
		guestsim_input(bed->sim, bytes + VNET_LEN, len - VNET_LEN, now_ms());
		bed->rx_free++;
		any = true;
	}
	if (!bed->keeps_buffers && bed->rx_free) {
		vq_offer_buffers(&bed->vu.rx, (uint16_t)bed->rx_free);
		bed->rx_free = 0;
		vu_front_kick(&bed->vu, VU_FRONT_RX);
	}
	return any;
}

/* One turn of the guest and of the peer, who reads all there is and writes up to 'total'. */
static void turn(struct bed *bed, uint64_t total)
{
	static uint8_t bytes[1 << 17];
	ssize_t n = 1;
	bool any = guest_receives(bed);

	guestsim_tick(bed->sim, now_ms());
	guestsim_run(bed->sim, now_ms());
	vu_front_kick(&bed->vu, VU_FRONT_TX);
	while (bed->peer >= 0 && (n = wire_read(bed->peer, bytes, sizeof(bytes))) > 0) {
		ck_assert(pattern_matches(1, bed->read_n, bytes, (size_t)n));
		bed->read_n += (uint64_t)n;
	}
	for (n = 1; n > 0 && bed->written < total;) {
		size_t len = total - bed->written < sizeof(bytes) ? (size_t)(total - bed->written)
								  : sizeof(bytes);
		pattern_fill(2, bed->written, bytes, len);
		n = send(bed->peer, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		bed->written += n > 0 ? (uint64_t)n : 0;
	}
	if (!any)
		poll(NULL, 0, 1);
}

#define TURN_UNTIL(bed, total, condition)                                                          \
	do {                                                                                       \
		for (unsigned turns_ = 0; !(condition); turns_++) {                                \
			ck_assert_msg(turns_ < 200000, "never: %s", #condition);                   \
			turn(bed, total);                                                          \
		}                                                                                  \
	} while (0)

/* ---- the bed ---- */

static uint64_t dropped(struct bed *bed)
{
	return ctl_metric(&bed->wire, "lwnat_guest_dropped_frames_total{port=\"port1\",name=\"\"}");
}

static void bed_begin(struct bed *bed, uint64_t upload)
{
	static const struct vu_front_ring ring = {SIZE, BUFFER_LEN};
	struct guestsim_config config = {.mac = {{0x52, 0x54, 0, 0, 9, 1}},
					 .addr = addr_v4(0x0a00020f),
					 .net = {addr_v4(0x0a000200), 24},
					 .gateway = wire_gateway(),
					 .mtu = 1500,
					 .seed = 1,
					 .send = guest_sends,
					 .ctx = bed};
	struct sim_tcp_setup setup = {
	    .wscale = 7, .send_seed = 1, .recv_seed = 2, .send_total = upload};
	char line[128];
	uint16_t port;
	int listener;

	memset(bed, 0, sizeof(*bed));
	bed->peer = -1;
	snprintf(bed->path, sizeof(bed->path), "/tmp/lwnat-stalls-%d", (int)getpid());
	snprintf(line, sizeof(line), "--vhost-user|%s", bed->path);
	wire_start(&bed->wire, line);
	bed->sim = guestsim_new(&config);
	vu_front_boot(&bed->vu, MEM_LEN, &ring, &ring);
	vu_front_connect(&bed->vu, bed->path);
	vu_front_attach(&bed->vu, VU_FRONT_FEATURES);
	guestsim_arp_ask(bed->sim, &config.gateway);
	TURN_UNTIL(bed, 0, guestsim_neighbour(bed->sim, &config.gateway, &(struct mac){{0}}));
	listener = wire_listen(0, &port);
	bed->tcp =
	    sim_tcp_connect(bed->sim, 40000, &(struct endpoint){wire_gateway(), port}, &setup);
	TURN_UNTIL(bed, 0, bed->tcp->state == SIM_OPEN && (bed->peer = wire_accept(listener)) >= 0);
	close(listener);
	bed->dropped = dropped(bed);
}

static void bed_end(struct bed *bed)
{
	ck_assert_msg(guestsim_faults_sum(bed->sim) == 0, "%s", guestsim_fault_text(bed->sim));
	guestsim_free(bed->sim);
	close(bed->peer);
	vu_front_detach(&bed->vu);
	vu_front_free(&bed->vu);
	wire_finish(&bed->wire);
}

START_TEST(test_rings_of_1024_carry_data_both_ways)
{
	struct bed bed;

	bed_begin(&bed, 20 * MIB);
	TURN_UNTIL(&bed, 20 * MIB, bed.read_n == 20 * MIB && bed.tcp->received == 20 * MIB);
	ck_assert_uint_eq(dropped(&bed), bed.dropped);
	ck_assert_uint_le(ctl_metric(&bed.wire, "lwnat_tcp_resent_total"), 20 * MIB / 1460 / 50);
	bed_end(&bed);
}
END_TEST

static void turn_until_no_more_is_taken(struct bed *bed, uint64_t total)
{
	uint64_t written, end_ms;

	do {
		written = bed->written;
		end_ms = now_ms() + 1500;
		TURN_UNTIL(bed, total, now_ms() > end_ms);
	} while (bed->written != written);
}

START_TEST(test_guest_that_gives_no_buffers_loses_nothing)
{
	struct bed bed;

	bed_begin(&bed, 0);
	TURN_UNTIL(&bed, 60 * MIB, bed.tcp->received > 4 * MIB);
	bed.keeps_buffers = true;
	TURN_UNTIL(&bed, 60 * MIB, bed.rx_free == SIZE);
	turn_until_no_more_is_taken(&bed, 60 * MIB);
	ck_assert_uint_lt(bed.written, 40 * MIB);
	bed.keeps_buffers = false;
	TURN_UNTIL(&bed, 60 * MIB, bed.tcp->received == 60 * MIB);
	ck_assert_uint_eq(dropped(&bed), bed.dropped);
	ck_assert_uint_le(ctl_metric(&bed.wire, "lwnat_tcp_resent_total"), 60 * MIB / 1460 / 50);
	bed_end(&bed);
}
END_TEST

int main(void)
{
	return SUITE_RUN("vhost_stalls", test_rings_of_1024_carry_data_both_ways,
			 test_guest_that_gives_no_buffers_loses_nothing);
}
