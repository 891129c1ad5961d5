/* bridge: makes the kernel of this machine a NAT's guest. It creates a TAP device in the network
 * namespace it is started in and carries its frames over a socket in QEMU's stream framing, as
 * -netdev stream,server=off would:
 *
 *   bridge TAP MTU MAC SOCKET
 *   bridge -l TAP MTU MAC SOCKET       the far end, for measuring without a NAT: listens there
 *
 * At an MTU below 32768 the TAP has TSO and GRO, done here as a network card would, so that the
 * guest costs little and the NAT is what is measured. What crosses the socket is always what a
 * guest without offloads sends: whole frames of the MTU, with right checksums. */
#include "tests/bench/segment.h"
#include "tests/bench/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PREFIX_LEN = 4, /* a frame's length, big-endian, comes before it */
	OUT_LEN = 512 * 1024,
	IN_LEN = 1024 * 1024,
	TAP_READS = 256, /* in one turn */
};

struct bridge {
	int tap, sock;
	bool has_tso;
	struct cutter cutter;
	struct merger merger;
	uint8_t out[OUT_LEN + PREFIX_LEN + SEGMENT_FRAME_MAX];
	size_t out_sent, out_len;
	uint8_t in[IN_LEN + PREFIX_LEN + SEGMENT_FRAME_MAX];
	size_t in_len;
};

/* ---- guest to NAT ---- */

static bool out_has_room(const struct bridge *b)
{
	return b->out_len < OUT_LEN;
}

static uint8_t *out_room(struct bridge *b)
{
	return b->out + b->out_len + PREFIX_LEN;
}

static void out_commit(struct bridge *b, size_t len)
{
	uint8_t *p = b->out + b->out_len;

	p[0] = (uint8_t)(len >> 24);
	p[1] = (uint8_t)(len >> 16);
	p[2] = (uint8_t)(len >> 8);
	p[3] = (uint8_t)len;
	b->out_len += PREFIX_LEN + len;
}

static void out_flush(struct bridge *b)
{
	while (b->out_sent < b->out_len) {
		ssize_t n = write(b->sock, b->out + b->out_sent, b->out_len - b->out_sent);
		if (n < 0) {
			if (errno == EAGAIN || errno == EINTR)
				return;
			die("socket");
		}
		b->out_sent += (size_t)n;
	}
	b->out_sent = b->out_len = 0;
}

/* False when the TAP has nothing more. */
static bool tap_read(struct bridge *b)
{
	struct virtio_net_hdr_v1 hdr;
	uint8_t *room = out_room(b), *frame = b->has_tso ? b->cutter.frame : room;
	struct iovec iov[] = {{&hdr, sizeof(hdr)}, {frame, SEGMENT_FRAME_MAX}};
	ssize_t n = readv(b->tap, iov, 2);
	size_t len;

	if (n < (ssize_t)sizeof(hdr)) {
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			die("TAP");
		return false;
	}
	len = (size_t)n - sizeof(hdr);
	if (b->has_tso && cutter_start(&b->cutter, len, &hdr))
		return true;
	segment_complete_checksum(frame, len, &hdr);
	if (frame != room)
		memcpy(room, frame, len);
	out_commit(b, len);
	return true;
}

static void guest_to_nat(struct bridge *b)
{
	bool has_more = true;

	for (int i = 0; i < TAP_READS && has_more; i++) {
		while (b->cutter.busy && out_has_room(b))
			out_commit(b, cutter_next(&b->cutter, out_room(b)));
		if (!out_has_room(b))
			break;
		has_more = tap_read(b);
	}
	out_flush(b);
}

/* ---- NAT to guest ---- */

static void write_merged(struct bridge *b)
{
	int n = merger_take_out(&b->merger);

	if (n)
		tap_write(b->tap, b->merger.iov, n);
}

static void deliver(struct bridge *b, uint8_t *frame, size_t len)
{
	struct virtio_net_hdr_v1 plain = {.gso_type = VIRTIO_NET_HDR_GSO_NONE};

	if (!b->has_tso) {
		struct iovec iov[] = {{&plain, sizeof(plain)}, {frame, len}};
		tap_write(b->tap, iov, 2);
	} else if (!merger_add(&b->merger, frame, len, &plain)) {
		write_merged(b);
		merger_add(&b->merger, frame, len, &plain);
	}
}

static void nat_to_guest(struct bridge *b)
{
	ssize_t n = read(b->sock, b->in + b->in_len, IN_LEN);
	size_t at = 0;

	if (n == 0)
		exit(0);
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return;
		die("socket");
	}
	b->in_len += (size_t)n;
	while (b->in_len - at >= PREFIX_LEN) {
		const uint8_t *p = b->in + at;
		size_t len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
		if (len > SEGMENT_FRAME_MAX) {
			errno = EMSGSIZE;
			die("frame from the NAT");
		}
		if (b->in_len - at - PREFIX_LEN < len)
			break;
		deliver(b, b->in + at + PREFIX_LEN, len);
		at += PREFIX_LEN + len;
	}
	write_merged(b);
	memmove(b->in, b->in + at, b->in_len - at);
	b->in_len -= at;
}

static void run(struct bridge *b)
{
	for (;;) {
		bool is_full = b->out_len > 0;
		struct pollfd fds[] = {
		    {.fd = b->tap, .events = is_full ? 0 : POLLIN},
		    {.fd = b->sock, .events = (short)(POLLIN | (is_full ? POLLOUT : 0))},
		};
		/* What was being cut when the socket filled up goes on without the TAP's say. */
		if (poll(fds, 2, b->cutter.busy && !is_full ? 0 : -1) < 0 && errno != EINTR)
			die("poll");
		if (fds[1].revents & POLLOUT)
			out_flush(b);
		if (fds[1].revents & (POLLIN | POLLHUP | POLLERR))
			nat_to_guest(b);
		if (b->out_len == 0 && (b->cutter.busy || (fds[0].revents & POLLIN)))
			guest_to_nat(b);
	}
}

int main(int argc, char **argv)
{
	struct bridge *b = calloc(1, sizeof(*b));

	bool is_far = argc == 6 && strcmp(argv[1], "-l") == 0;

	if ((argc != 5 && !is_far) || !b) {
		fputs("usage: bridge [-l] TAP MTU MAC SOCKET\n", stderr);
		return 2;
	}
	argv += is_far;
	struct tap_config tap = {.name = argv[1], .mac = argv[3], .mtu = atoi(argv[2])};

	signal(SIGPIPE, SIG_IGN);
	tap.has_tso = b->has_tso = tap.mtu < TAP_TSO_MTU_BELOW;
	b->sock = is_far ? sock_accept(argv[4]) : sock_connect(argv[4]);
	if (fcntl(b->sock, F_SETFL, O_NONBLOCK) < 0)
		die(argv[4]);
	b->tap = tap_open(&tap);
	run(b);
}
