/* front: makes the kernel of this machine a NAT's guest, as bridge.c does, but over vhost-user: a
 * real front-end with its rings and buffers in memory that it shares with the NAT.
 *
 *   front TAP MTU MAC SOCKET RING [plain]
 *
 * RING is the number of receive descriptors, a power of two up to 1024. What the back-end offers of
 * checksum and TSO offloads is used, none of it with 'plain'. Where both have them, frames and
 * their offload marks go through unchanged in both directions, from the TAP's read straight into
 * guest memory and from there with one write to the TAP. A back-end without TSO gets and sends what
 * is on the wire; at an MTU below 32768 large segments are then cut and merged here, as a network
 * card would.
 *
 * At SIGTERM it prints what it saw, as one line of JSON. */
#include "tests/bench/ring.h"
#include "tests/bench/segment.h"
#include "tests/bench/tap.h"
#include "tests/bench/vhost.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define F(bit) (UINT64_C(1) << (bit))
#define F_BASE (F(VIRTIO_F_VERSION_1_BIT) | F(VIRTIO_NET_F_MRG_RXBUF) | F(VIRTIO_RING_F_EVENT_IDX))
#define F_CSUM (F(VIRTIO_NET_F_CSUM) | F(VIRTIO_NET_F_GUEST_CSUM))
#define F_HOST_TSO (F(VIRTIO_NET_F_HOST_TSO4) | F(VIRTIO_NET_F_HOST_TSO6))
#define F_GUEST_TSO (F(VIRTIO_NET_F_GUEST_TSO4) | F(VIRTIO_NET_F_GUEST_TSO6))

enum {
	VIRTIO_F_VERSION_1_BIT = 32,
	RX_BUFFER_LEN = 4096, /* as large as Linux's become when segments are large */
	RX_BUFFERS_MAX = 64,  /* of one frame */
	RX_BATCH = 64,        /* buffers, before they are given back */
	TX_RING_SIZE = 256,
	TX_BUFFER_LEN = 68 * 1024,
	TAP_READS = 256, /* in one turn */
	RING_ROOM = 64 * 1024,
	RX_RING_AT = 0,
	TX_RING_AT = RING_ROOM,
	RX_BUFFERS_AT = 2 * RING_ROOM,
	TX_BUFFERS_AT = RX_BUFFERS_AT + RING_SIZE_MAX * RX_BUFFER_LEN,
	MEMORY_LEN = TX_BUFFERS_AT + TX_RING_SIZE * TX_BUFFER_LEN,
};

struct counters {
	uint64_t tx, tx_large, tx_marked; /* frames; marked: one of the wire's size, NEEDS_CSUM */
	uint64_t rx, rx_large, rx_marked, rx_merged; /* merged: of several buffers */
	uint64_t refused;                            /* by the TAP */
};

struct front {
	int tap, sock, signals;
	uint64_t offered, features;
	bool cuts, merges; /* here, for a back-end that does not */
	struct shared_memory memory;
	struct ring rx, tx;
	uint16_t tx_free[TX_RING_SIZE], tx_free_n;
	uint16_t rx_need; /* buffers to wait for */
	uint16_t rx_done[RX_BATCH + RX_BUFFERS_MAX], rx_done_n;
	struct cutter cutter;
	struct merger merger;
	struct counters seen;
};

static bool has(const struct front *f, uint64_t features)
{
	return (f->features & features) == features;
}

/* ---- guest to NAT ---- */

static uint8_t *tx_buffer(const struct front *f, uint16_t id)
{
	return f->memory.bytes + TX_BUFFERS_AT + (size_t)id * TX_BUFFER_LEN;
}

static bool tx_has_room(struct front *f)
{
	if (f->tx_free_n)
		return true;
	for (uint16_t n = ring_used_n(&f->tx); n > 0; n--) {
		struct vring_used_elem e = ring_take(&f->tx);
		errno = EPROTO;
		if (e.id >= TX_RING_SIZE || f->tx_free_n == TX_RING_SIZE)
			die("transmit ring");
		f->tx_free[f->tx_free_n++] = (uint16_t)e.id;
	}
	return f->tx_free_n > 0;
}

/* The buffer that tx_commit() will send; there is room. */
static uint8_t *tx_room(const struct front *f)
{
	return tx_buffer(f, f->tx_free[f->tx_free_n - 1]);
}

static void tx_commit(struct front *f, const struct virtio_net_hdr_v1 *hdr, size_t frame_len)
{
	uint16_t id = f->tx_free[--f->tx_free_n];

	memcpy(tx_buffer(f, id), hdr, sizeof(*hdr));
	f->tx.v.desc[id].len = (uint32_t)(sizeof(*hdr) + frame_len);
	ring_offer(&f->tx, id);
	f->seen.tx++;
	if (hdr->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		f->seen.tx_large++;
	else if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		f->seen.tx_marked++;
}

static void tx_commit_plain(struct front *f, size_t frame_len)
{
	struct virtio_net_hdr_v1 plain = {.gso_type = VIRTIO_NET_HDR_GSO_NONE};

	tx_commit(f, &plain, frame_len);
}

/* A frame is in the buffer; tells what the back-end has to know of it. */
static void tx_send(struct front *f, struct virtio_net_hdr_v1 hdr, size_t frame_len)
{
	hdr.num_buffers = 0; /* section 5.1.6.2; the TAP leaves it as it was */
	if (has(f, F(VIRTIO_NET_F_CSUM))) {
		tx_commit(f, &hdr, frame_len);
		return;
	}
	segment_complete_checksum(tx_room(f) + TAP_HDR_LEN, frame_len, &hdr);
	tx_commit_plain(f, frame_len);
}

/* False when the TAP has nothing more. */
static bool tap_read(struct front *f)
{
	struct virtio_net_hdr_v1 hdr;
	uint8_t *room = tx_room(f) + TAP_HDR_LEN, *frame = f->cuts ? f->cutter.frame : room;
	struct iovec iov[] = {{&hdr, sizeof(hdr)}, {frame, SEGMENT_FRAME_MAX}};
	ssize_t n = readv(f->tap, iov, 2);
	size_t len;

	if (n < (ssize_t)sizeof(hdr)) {
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			die("TAP");
		return false;
	}
	len = (size_t)n - sizeof(hdr);
	if (f->cuts && cutter_start(&f->cutter, len, &hdr))
		return true;
	if (frame != room)
		memcpy(room, frame, len);
	tx_send(f, hdr, len);
	return true;
}

static void guest_to_nat(struct front *f)
{
	bool has_more = true;

	for (int i = 0; i < TAP_READS && has_more; i++) {
		while (f->cutter.busy && tx_has_room(f))
			tx_commit_plain(f, cutter_next(&f->cutter, tx_room(f) + TAP_HDR_LEN));
		if (!tx_has_room(f))
			break;
		has_more = tap_read(f);
	}
	ring_publish(&f->tx);
}

/* ---- NAT to guest ---- */

static uint8_t *rx_buffer(const struct front *f, uint32_t id)
{
	return f->memory.bytes + RX_BUFFERS_AT + (size_t)id * RX_BUFFER_LEN;
}

static void write_counted(struct front *f, const struct iovec *iov, int n)
{
	if (n && !tap_write(f->tap, iov, n))
		f->seen.refused++;
}

static void write_merged(struct front *f)
{
	write_counted(f, f->merger.iov, merger_take_out(&f->merger));
}

static void count_rx(struct front *f, const struct virtio_net_hdr_v1 *hdr)
{
	f->seen.rx++;
	f->seen.rx_merged += hdr->num_buffers > 1;
	if (hdr->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		f->seen.rx_large++;
	else if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		f->seen.rx_marked++;
}

/* 'iov': the frame's buffers, and room for its header before them. */
static void deliver(struct front *f, struct virtio_net_hdr_v1 *hdr, struct iovec *iov, int n)
{
	uint8_t *frame = iov[1].iov_base;
	size_t len = iov[1].iov_len;

	segment_trust_checksum(frame, len, hdr);
	if (f->merges && n == 1 && hdr->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		if (merger_add(&f->merger, frame, len, hdr))
			return;
		write_merged(f);
		merger_add(&f->merger, frame, len, hdr);
		return;
	}
	write_merged(f);
	iov[0] = (struct iovec){hdr, sizeof(*hdr)};
	write_counted(f, iov, 1 + n);
}

static struct iovec take_buffer(struct front *f)
{
	struct vring_used_elem e = ring_take(&f->rx);

	errno = EPROTO;
	if (e.id >= f->rx.v.num || e.len > RX_BUFFER_LEN)
		die("receive ring");
	f->rx_done[f->rx_done_n++] = (uint16_t)e.id;
	return (struct iovec){rx_buffer(f, e.id), e.len};
}

/* How many buffers the next frame has. */
static uint16_t buffers_n(const struct front *f)
{
	const struct ring *rx = &f->rx;
	uint32_t id = rx->v.used->ring[rx->used_next & (rx->v.num - 1)].id;
	struct virtio_net_hdr_v1 hdr;

	errno = EPROTO;
	if (id >= rx->v.num)
		die("receive ring");
	if (!has(f, F(VIRTIO_NET_F_MRG_RXBUF)))
		return 1;
	memcpy(&hdr, rx_buffer(f, id), sizeof(hdr));
	if (hdr.num_buffers == 0 || hdr.num_buffers > RX_BUFFERS_MAX)
		die("merged buffers");
	return hdr.num_buffers;
}

/* One frame of 'n' buffers, which are there. */
static void take_frame(struct front *f, uint16_t n)
{
	struct iovec iov[1 + RX_BUFFERS_MAX];
	struct virtio_net_hdr_v1 hdr;

	for (uint16_t i = 0; i < n; i++)
		iov[1 + i] = take_buffer(f);
	errno = EPROTO;
	if (iov[1].iov_len < sizeof(hdr))
		die("received frame");
	memcpy(&hdr, iov[1].iov_base, sizeof(hdr));
	iov[1].iov_base = (uint8_t *)iov[1].iov_base + sizeof(hdr);
	iov[1].iov_len -= sizeof(hdr);
	count_rx(f, &hdr);
	deliver(f, &hdr, iov, n);
}

static void give_back(struct front *f)
{
	write_merged(f);
	for (uint16_t i = 0; i < f->rx_done_n; i++)
		ring_offer(&f->rx, f->rx_done[i]);
	f->rx_done_n = 0;
	ring_publish(&f->rx);
}

static void nat_to_guest(struct front *f)
{
	uint16_t have = ring_used_n(&f->rx);

	f->rx_need = 1;
	while (have > 0) {
		uint16_t n = buffers_n(f);
		if (n > have) {
			f->rx_need = n;
			break;
		}
		take_frame(f, n);
		have = (uint16_t)(have - n);
		if (f->rx_done_n >= RX_BATCH)
			give_back(f);
	}
	give_back(f);
}

/* ---- the loop ---- */

static void report(const struct front *f)
{
	const struct counters *s = &f->seen;

	printf("{\"offered\": %" PRIu64 ", \"features\": %" PRIu64 ", \"tx\": %" PRIu64
	       ", \"tx_large\": %" PRIu64 ", \"tx_marked\": %" PRIu64 ", \"rx\": %" PRIu64
	       ", \"rx_large\": %" PRIu64 ", \"rx_marked\": %" PRIu64 ", \"rx_merged\": %" PRIu64
	       ", \"refused\": %" PRIu64 ", \"kicks\": %" PRIu64 ", \"calls\": %" PRIu64 "}\n",
	       f->offered, f->features, s->tx, s->tx_large, s->tx_marked, s->rx, s->rx_large,
	       s->rx_marked, s->rx_merged, s->refused, f->rx.kicks + f->tx.kicks,
	       f->rx.calls + f->tx.calls);
}

/* True: the transmit ring is full, and a call will come when half of it is free. */
static bool tx_is_full(struct front *f)
{
	if (tx_has_room(f)) {
		ring_calls_off(&f->tx);
		return false;
	}
	return !ring_calls_on(&f->tx, TX_RING_SIZE / 2) || !tx_has_room(f);
}

static void run(struct front *f)
{
	for (;;) {
		bool is_full = tx_is_full(f), is_behind = ring_calls_on(&f->rx, f->rx_need);
		struct pollfd fds[] = {
		    {.fd = f->tap, .events = is_full ? 0 : POLLIN},
		    {.fd = f->rx.call_fd, .events = POLLIN},
		    {.fd = f->tx.call_fd, .events = POLLIN},
		    {.fd = f->sock, .events = POLLRDHUP},
		    {.fd = f->signals, .events = POLLIN},
		};
		/* What was being cut when the ring filled up goes on without the TAP's say. */
		bool must_go_on = is_behind || (f->cutter.busy && !is_full);
		if (poll(fds, 5, must_go_on ? 0 : -1) < 0 && errno != EINTR)
			die("poll");
		if (fds[3].revents || fds[4].revents)
			return;
		if (fds[1].revents)
			ring_called(&f->rx);
		if (fds[2].revents)
			ring_called(&f->tx);
		nat_to_guest(f);
		if (f->cutter.busy || fds[0].revents & POLLIN)
			guest_to_nat(f);
	}
}

/* ---- set-up ---- */

static void negotiate(struct front *f, bool is_plain)
{
	uint64_t wanted = F_BASE | (is_plain ? 0 : F_CSUM | F_HOST_TSO | F_GUEST_TSO);

	f->features = vhost_negotiate(f->sock, wanted, &f->offered);
	if (!has(f, F(VIRTIO_F_VERSION_1_BIT))) {
		errno = ENOTSUP;
		die("VERSION_1");
	}
}

static void rings_start(struct front *f, unsigned rx_size)
{
	bool has_event_idx = has(f, F(VIRTIO_RING_F_EVENT_IDX));

	f->memory = vhost_memory_new(f->sock, MEMORY_LEN);
	if (ring_open(&f->rx, rx_size, f->memory.bytes + RX_RING_AT, has_event_idx) < 0 ||
	    ring_open(&f->tx, TX_RING_SIZE, f->memory.bytes + TX_RING_AT, has_event_idx) < 0)
		die("rings");
	vhost_ring_start(f->sock, 0, &f->rx);
	vhost_ring_start(f->sock, 1, &f->tx);
	for (uint16_t i = 0; i < rx_size; i++) {
		f->rx.v.desc[i] = (struct vring_desc){
		    .addr = VHOST_GUEST_BASE + RX_BUFFERS_AT + (uint64_t)i * RX_BUFFER_LEN,
		    .len = RX_BUFFER_LEN,
		    .flags = VRING_DESC_F_WRITE,
		};
		ring_offer(&f->rx, i);
	}
	for (uint16_t i = 0; i < TX_RING_SIZE; i++) {
		f->tx.v.desc[i].addr =
		    VHOST_GUEST_BASE + TX_BUFFERS_AT + (uint64_t)i * TX_BUFFER_LEN;
		f->tx_free[f->tx_free_n++] = i;
	}
	ring_publish(&f->rx);
}

static int catch_end(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK);
}

int main(int argc, char **argv)
{
	struct front *f = calloc(1, sizeof(*f));
	int rx_size = argc > 5 ? atoi(argv[5]) : 0;

	if (argc < 6 || !f || rx_size < RX_BUFFERS_MAX || rx_size > RING_SIZE_MAX ||
	    rx_size & (rx_size - 1)) {
		fputs("usage: front TAP MTU MAC SOCKET RING [plain]\n", stderr);
		return 2;
	}
	struct tap_config tap = {.name = argv[1], .mac = argv[3], .mtu = atoi(argv[2])};

	f->sock = sock_connect(argv[4]);
	f->signals = catch_end();
	negotiate(f, argc > 6);
	tap.has_tso = tap.mtu < TAP_TSO_MTU_BELOW;
	f->cuts = tap.has_tso && !has(f, F(VIRTIO_NET_F_CSUM) | F_HOST_TSO);
	f->merges = tap.has_tso && !has(f, F(VIRTIO_NET_F_GUEST_CSUM) | F_GUEST_TSO);
	f->tap = tap_open(&tap);
	rings_start(f, (unsigned)rx_size);
	run(f);
	report(f);
	free(f);
	return 0;
}
