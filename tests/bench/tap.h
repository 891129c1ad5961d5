/* What both kinds of guest share: a TAP device, whose frames have a virtio-net header, and the way
 * to the NAT's socket. Both end the program when they fail. */
#ifndef LWNAT_BENCH_TAP_H
#define LWNAT_BENCH_TAP_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <sys/uio.h>

enum {
	TAP_HDR_LEN = sizeof(struct virtio_net_hdr_v1), /* before every frame */
	TAP_TSO_MTU_BELOW = 32768, /* above, a segment is hardly larger than a frame */
};

struct tap_config {
	const char *name, *mac;
	int mtu;
	bool has_tso; /* hands over TCP segments of up to 64 KiB; it always takes them */
};

_Noreturn void die(const char *what);

/* Creates the device in the network namespace of this process. */
int tap_open(const struct tap_config *config);
/* False when the kernel refused the frame: lost, as on any wire. */
bool tap_write(int tap, const struct iovec *iov, int n);

/* Connects to a UNIX stream socket, which may be about to appear. */
int sock_connect(const char *path);
/* Listens there, as a NAT does, until somebody has connected. */
int sock_accept(const char *path);

#endif
