/* A virtio network device's data path on the rings of a vu_device: frames out of transmit queues,
 * frames into receive queues. Pure: guest memory is only memory here. */
#ifndef LWNAT_LINK_VU_NET_H
#define LWNAT_LINK_VU_NET_H

#include "stack/base/frame.h"
#include "stack/link/vu_device.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define VU_BATCH_MAX 256                 /* frames taken from a guest in one turn */
#define VU_HEADERS_LEN 256               /* bytes of each copied before anything is believed */
#define VU_BACKLOG_MAX (4 * 1024 * 1024) /* bytes kept for a guest whose ring is full */

struct vu_net_counters {
	uint64_t malformed;       /* from the guest: no frame, or marks that do not fit it */
	uint64_t dropped_not_up;  /* for a guest whose driver is not there */
	uint64_t dropped_backlog; /* for a guest that takes nothing */
	uint64_t dropped_buffer;  /* for a guest whose buffers are too small */
};

struct vu_net;

/* The device stays the caller's and must outlive it. 0 or -ENOMEM. */
int vu_net_new(struct vu_net **ret, struct vu_device *dev);
void vu_net_free(struct vu_net *net); /* NULL is fine */

/* Takes up to VU_BATCH_MAX frames from a transmit ring and passes each to 'frame_in'. Their bytes
 * stay until vu_net_give_back(), which must follow: the guest gets its descriptors back then. How
 * many chains were taken, or -EPROTO when the ring is broken. 'frame_in' NULL: they are thrown away
 * (a disabled ring). */
typedef void vu_net_frame(void *ctx, const struct frame *frame);
int vu_net_take(struct vu_net *net, unsigned ring, vu_net_frame *frame_in, void *ctx);
/* True when the guest wants a call on that ring. */
bool vu_net_give_back(struct vu_net *net, unsigned ring);

/* Writes one frame into a receive ring, or keeps a copy of it for later when the ring is full.
 * False: it was dropped and counted. The bytes are done with at the return. */
bool vu_net_put(struct vu_net *net, const struct frame *frame);
/* Tries the kept ones again, in order. */
void vu_net_put_kept(struct vu_net *net);
/* A driver, and a machine that runs, takes frames: false before, and while QEMU has stopped it. */
bool vu_net_is_up(const struct vu_net *net);
bool vu_net_keeps(const struct vu_net *net); /* frames wait for room in a ring */
/* A receive ring met by the above was broken: reported once, then forgotten. */
bool vu_net_broke(struct vu_net *net);
/* Makes what was put visible to the guest: a set of rings (bit n: ring n) that want a call. */
unsigned vu_net_publish(struct vu_net *net);
/* The guest's driver went, or came anew: kept frames were for the one before. */
void vu_net_forget(struct vu_net *net);

const struct vu_net_counters *vu_net_counters(const struct vu_net *net);

#endif
