/* Rings of 1,024 descriptors, as QEMU has them with rx_queue_size=1024, and a guest that gives no
 * receive buffers for a while: a synthetic guest on shared memory, connections to the loopback. */
#include "stack/link/virtio_net.h"
#include "stack/link/vu_msg.h"
#include "tests/support/ctl.h"
#include "tests/support/pattern.h"
#include "tests/support/prom.h"
#include "tests/support/suite.h"
#include "tests/support/vq_driver.h"
#include "tests/support/wirebed.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)
#define MEM_LEN (8 * 1024 * 1024)
#define USER_BASE UINT64_C(0x7f0000000000)
#define RX 0
#define TX 1
#define SIZE 1024
#define BUFFER_LEN 1600
#define VNET_LEN 12
#define FEATURES                                                                                   \
	(VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_EVENT_IDX |                        \
	 VHOST_USER_F_PROTOCOL_FEATURES)

struct bed {
	struct wire wire; /* without guests of its own */
	char path[64];
	int fd, mem_fd, kick[2], call[2];
	uint8_t *mem;
	struct vq_driver rx, tx;
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

/* ---- the front-end ---- */

static void say(struct bed *bed, uint32_t request, const void *payload, uint32_t len, int fd)
{
	uint32_t hdr[3] = {request, 1, len};
	struct iovec iov[2] = {{hdr, sizeof(hdr)}, {(void *)(uintptr_t)payload, len}};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	ck_assert_int_eq(sendmsg(bed->fd, &msg, MSG_NOSIGNAL), (int)(sizeof(hdr) + len));
}

static void say_u64(struct bed *bed, uint32_t request, uint64_t value, int fd)
{
	say(bed, request, &value, sizeof(value), fd);
}

static void say_ring(struct bed *bed, uint32_t ring, struct vq_driver *vq)
{
	struct vu_vring_state size = {ring, SIZE}, base = {ring, 0}, enable = {ring, 1};
	struct vu_vring_addr addr = {.index = ring,
				     .desc = USER_BASE + vq_desc_at(vq),
				     .avail = USER_BASE + vq_avail_at(vq),
				     .used = USER_BASE + vq_used_at(vq)};

	bed->kick[ring] = eventfd(0, EFD_NONBLOCK);
	bed->call[ring] = eventfd(0, EFD_NONBLOCK);
	say(bed, VU_SET_VRING_NUM, &size, sizeof(size), -1);
	say(bed, VU_SET_VRING_BASE, &base, sizeof(base), -1);
	say(bed, VU_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	say_u64(bed, VU_SET_VRING_KICK, ring, bed->kick[ring]);
	say_u64(bed, VU_SET_VRING_CALL, ring, bed->call[ring]);
	say(bed, VU_SET_VRING_ENABLE, &enable, sizeof(enable), -1);
}

static void attach(struct bed *bed)
{
	struct {
		uint32_t n, padding;
		struct vu_mem_region region;
	} table = {1, 0, {VQ_GUEST_BASE, MEM_LEN, USER_BASE, 0}};
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	uint8_t reply[VU_HDR_LEN + 8];

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", bed->path);
	bed->mem_fd = memfd_create("guest", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(bed->mem_fd, MEM_LEN), 0);
	bed->mem = mmap(NULL, MEM_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, bed->mem_fd, 0);
	ck_assert(bed->mem != MAP_FAILED);
	vq_init(&bed->tx, bed->mem, vq_init(&bed->rx, bed->mem, 0, SIZE, BUFFER_LEN), SIZE,
		BUFFER_LEN);
	vq_offer_buffers(&bed->rx, SIZE);
	bed->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(bed->fd, (struct sockaddr *)&name, sizeof(name)), 0);
	say(bed, VU_SET_OWNER, NULL, 0, -1);
	say_u64(bed, VU_SET_FEATURES, FEATURES, -1);
	say(bed, VU_SET_MEM_TABLE, &table, sizeof(table), bed->mem_fd);
	say_ring(bed, RX, &bed->rx);
	say_ring(bed, TX, &bed->tx);
	/* Messages are handled in order: what is sent on a ring before it is enabled is discarded.
	 */
	say(bed, VU_GET_FEATURES, NULL, 0, -1);
	ck_assert_int_eq(recv(bed->fd, reply, sizeof(reply), MSG_WAITALL), (int)sizeof(reply));
}

/* ---- the driver ---- */

static void kick(const struct bed *bed, unsigned ring)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(bed->kick[ring], &one, sizeof(one)), (int)sizeof(one));
}

static void take_sent_back(struct bed *bed)
{
	uint32_t id, len;

	while (vq_take_used(&bed->tx, &id, &len))
		bed->tx_busy--;
}

static void guest_sends(void *ctx, const uint8_t *frame, size_t len)
{
	struct bed *bed = ctx;
	uint8_t bytes[BUFFER_LEN] = {0};

	take_sent_back(bed);
	while (bed->tx_busy == SIZE) {
		kick(bed, TX);
		poll(NULL, 0, 1);
		take_sent_back(bed);
	}
	ck_assert_uint_le(VNET_LEN + len, sizeof(bytes));
	memcpy(bytes + VNET_LEN, frame, len);
	vq_send(&bed->tx, bytes, (uint32_t)(VNET_LEN + len));
	bed->tx_busy++;
}

static bool guest_receives(struct bed *bed)
{
	uint32_t id, len;
	bool any = false;

	while (vq_take_used(&bed->rx, &id, &len)) {
		const uint8_t *bytes = vq_buffer(&bed->rx, (uint16_t)id);
		ck_assert_uint_eq(bytes[10], 1); /* num_buffers: every frame fits one */
		guestsim_input(bed->sim, bytes + VNET_LEN, len - VNET_LEN, now_ms());
		bed->rx_free++;
		any = true;
	}
	if (!bed->keeps_buffers && bed->rx_free) {
		vq_offer_buffers(&bed->rx, (uint16_t)bed->rx_free);
		bed->rx_free = 0;
		kick(bed, RX);
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
	kick(bed, TX);
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

static uint64_t metric(struct bed *bed, const char *name)
{
	struct ctl_reply reply;
	double value;

	ctl_ask(&bed->wire, "GET", "/metrics", NULL, &reply);
	value = prom_value(reply.body, name);
	ctl_reply_free(&reply);
	ck_assert(value >= 0);
	return (uint64_t)value;
}

static uint64_t dropped(struct bed *bed)
{
	return metric(bed, "lwnat_guest_dropped_frames_total{port=\"port1\",name=\"\"}");
}

static void bed_begin(struct bed *bed, uint64_t upload)
{
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
	attach(bed);
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
	close(bed->fd);
	munmap(bed->mem, MEM_LEN);
	close(bed->mem_fd);
	for (unsigned i = 0; i < 2; i++) {
		close(bed->kick[i]);
		close(bed->call[i]);
	}
	wire_finish(&bed->wire);
}

START_TEST(test_rings_of_1024_carry_data_both_ways)
{
	struct bed bed;

	bed_begin(&bed, 20 * MIB);
	TURN_UNTIL(&bed, 20 * MIB, bed.read_n == 20 * MIB && bed.tcp->received == 20 * MIB);
	ck_assert_uint_eq(dropped(&bed), bed.dropped);
	ck_assert_uint_le(metric(&bed, "lwnat_tcp_resent_total"), 20 * MIB / 1460 / 50);
	bed_end(&bed);
}
END_TEST

START_TEST(test_guest_that_gives_no_buffers_loses_nothing)
{
	uint64_t written, end_ms;
	struct bed bed;

	bed_begin(&bed, 0);
	TURN_UNTIL(&bed, 60 * MIB, bed.tcp->received > 4 * MIB);
	bed.keeps_buffers = true;
	end_ms = now_ms() + 1500;
	TURN_UNTIL(&bed, 60 * MIB, now_ms() > end_ms && bed.rx_free == SIZE);
	written = bed.written;
	end_ms = now_ms() + 1500;
	TURN_UNTIL(&bed, 60 * MIB, now_ms() > end_ms);
	ck_assert_uint_eq(bed.written, written); /* no more is taken for it */
	ck_assert_uint_lt(written, 40 * MIB);
	bed.keeps_buffers = false;
	TURN_UNTIL(&bed, 60 * MIB, bed.tcp->received == 60 * MIB);
	ck_assert_uint_eq(dropped(&bed), bed.dropped);
	ck_assert_uint_le(metric(&bed, "lwnat_tcp_resent_total"), 60 * MIB / 1460 / 50);
	bed_end(&bed);
}
END_TEST

int main(void)
{
	return SUITE_RUN("vhost_stalls", test_rings_of_1024_carry_data_both_ways,
			 test_guest_that_gives_no_buffers_loses_nothing);
}
