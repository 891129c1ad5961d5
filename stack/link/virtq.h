/* Split virtqueues as a device serves them (virtio 1.2 section 2.7): takes descriptor chains that
 * the driver made available, gives them back used, and says who wants to be woken. The rings lie in
 * guest memory, which the guest changes at any time: every value is read once and checked. */
#ifndef LWNAT_LINK_VIRTQ_H
#define LWNAT_LINK_VIRTQ_H

#include "stack/link/vu_mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define VIRTQ_SIZE_MAX 32768  /* entries (section 2.7) */
#define VIRTQ_PIECES_MAX 1024 /* of one chain: IOV_MAX, which no driver reaches */

struct virtq {
	struct vu_mem *mem;
	uint16_t size;        /* entries, a power of 2; 0: not set */
	const uint8_t *desc;  /* 16 bytes an entry; these three NULL: not set */
	const uint8_t *avail; /* flags, idx, ring[], used_event */
	uint8_t *used;        /* flags, idx, ring[] of 8 bytes, avail_event */
	bool event_idx;       /* VIRTIO_RING_F_EVENT_IDX */
	bool indirect;        /* VIRTIO_RING_F_INDIRECT_DESC */
	bool used_logged;     /* writes to 'used' go to the dirty log, ... */
	uint64_t used_log;    /* ... as if it stood at this guest address */
	uint16_t avail_next;  /* free-running: the next available entry to look at */
	uint16_t avail_seen;  /* the driver's index when it was last read */
	uint16_t used_next;   /* free-running: where the next used entry goes */
	uint16_t used_told;   /* the index up to which the driver has been called */
};

/* A chain: first the pieces the device reads, then those it writes. */
struct virtq_chain {
	uint16_t head;
	unsigned out_n, in_n;
	uint32_t out_len, in_len; /* bytes */
	struct iovec iov[VIRTQ_PIECES_MAX];
};

/* Bytes of the three parts of a ring of 'size' entries, events included. */
size_t virtq_desc_len(uint16_t size);
size_t virtq_avail_len(uint16_t size);
size_t virtq_used_len(uint16_t size);

static inline bool virtq_is_set(const struct virtq *q)
{
	return q->size && q->desc && q->avail && q->used;
}

/* 1: a chain; 0: the driver has none; -EPROTO: the ring is broken (an index that jumps, a loop, a
 * descriptor outside of memory or out of order) and must not be used on. */
int virtq_pop(struct virtq *q, struct virtq_chain *ret);
/* Puts the last 'n' popped chains back, unused. */
void virtq_unpop(struct virtq *q, uint16_t n);
/* Gives a chain back with 'len' bytes written to it; seen by the driver at virtq_publish(). */
void virtq_push(struct virtq *q, uint16_t head, uint32_t len);
/* True when the driver wants to be called for what has been pushed since the last time. */
bool virtq_publish(struct virtq *q);

/* Asks the driver to kick when it makes more chains available than virtq_pop() has looked at. True
 * when it has done so meanwhile: look again, for no kick may come for these. */
bool virtq_kicks_on(struct virtq *q);
void virtq_kicks_off(struct virtq *q);

/* After a front-end said which entry is the next: the used index is what the driver last saw. */
void virtq_start_at(struct virtq *q, uint16_t avail_next);

#endif
