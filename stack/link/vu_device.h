/* What a vhost-user front-end sets up: features, memory, rings (QEMU, docs/interop/vhost-user.rst).
 * Takes its messages one by one, says what to answer, and keeps the state that the data path
 * (vu_net) runs on. Pure: mapping memory is left to its user. */
#ifndef LWNAT_LINK_VU_DEVICE_H
#define LWNAT_LINK_VU_DEVICE_H

#include "stack/link/virtq.h"
#include "stack/link/vu_mem.h"
#include "stack/link/vu_msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VU_PAIRS_MAX 4 /* queue pairs offered */
#define VU_RINGS_MAX (2 * VU_PAIRS_MAX)
#define VU_REPLY_MAX (VU_HDR_LEN + 8)

/* Ring 2n is the guest's receive queue, 2n+1 its transmit queue (virtio 1.2 section 5.1.2). */
struct vu_ring {
	struct virtq q;
	struct vu_vring_addr addr; /* as set; all zero: not yet */
	uint16_t base;             /* the entry to start at */
	int kick_fd, call_fd;      /* -1: none */
	bool at_base;              /* the queue has taken its indices up */
	bool started;              /* between SET_VRING_KICK and GET_VRING_BASE */
	bool enabled;              /* VU_SET_VRING_ENABLE */
};

struct vu_device_ops {
	/* Maps a region's memory; 'fd' stays the caller's. 0 and ret->bytes, or a negative errno.
	 */
	int (*map)(void *ctx, int fd, const struct vu_mem_region *as, struct vu_region *ret);
	void (*unmap)(void *ctx, const struct vu_region *region);
	/* The dirty log; the previous one is unmapped by unmap_log(). */
	int (*map_log)(void *ctx, int fd, const struct vu_log *as, uint8_t **ret);
	void (*unmap_log)(void *ctx, uint8_t *log, uint64_t len);
	/* A ring's descriptors, or whether it may be served, have changed. */
	void (*ring_changed)(void *ctx, unsigned ring);
	/* The descriptor is not needed any more. */
	void (*close_fd)(void *ctx, int fd);
	/* VU_SEND_RARP: announces this MAC address (48 bits, first byte lowest). */
	void (*announce)(void *ctx, uint64_t mac);
};

struct vu_device {
	const struct vu_device_ops *ops;
	void *ctx;
	uint64_t offered;  /* virtio features, with the vhost bits */
	uint64_t features; /* acknowledged by the guest's driver */
	uint64_t protocol; /* acknowledged by the front-end */
	uint16_t mtu;      /* what the front-end told (VU_NET_SET_MTU), bytes; 0: nothing */
	struct vu_mem mem; /* with a 'log' while VHOST_F_LOG_ALL is on */
	uint8_t *log;      /* the dirty log, mapped; NULL: none was given */
	uint64_t log_len;
	bool log_missed; /* a ring was started with VHOST_F_LOG_ALL on: a log that is given later
			    does not know of its first writes */
	struct vu_ring ring[VU_RINGS_MAX];
};

/* All bits we serve. */
uint64_t vu_device_features(void);
void vu_device_init(struct vu_device *dev, uint64_t offered, const struct vu_device_ops *ops,
		    void *ctx);
/* Unmaps and closes everything. */
void vu_device_reset(struct vu_device *dev);

/* Takes one message. Descriptors that were kept are set to -1 in 'fds'; the others stay the
 * caller's. 0 and the bytes of a reply (none: *ret_len is 0), or a negative errno when the
 * front-end broke the protocol and must be let go. */
int vu_device_message(struct vu_device *dev, const struct vu_msg *msg, int *fds, unsigned fds_n,
		      uint8_t ret_reply[VU_REPLY_MAX], size_t *ret_len);

/* True when the ring can be worked on: set up, started, with memory. A disabled one may only be
 * emptied ("Ring states"). */
static inline bool vu_ring_serves(const struct vu_ring *ring)
{
	return ring->started && virtq_is_set(&ring->q);
}

#endif
