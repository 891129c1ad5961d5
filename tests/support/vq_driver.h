/* A virtio driver in a few bytes of memory: what a guest's side of split rings does, and what a
 * hostile one may do. Used on plain memory and, over a real vhost-user socket, on shared memory. */
#ifndef LWNAT_TESTS_VQ_DRIVER_H
#define LWNAT_TESTS_VQ_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VQ_GUEST_BASE UINT64_C(0x100000) /* where the memory stands for the guest */

/* One ring and its buffers: descriptors, available, used from 'at' on, the buffers behind them. */
struct vq_driver {
	uint8_t *mem;                   /* all of the guest's memory */
	size_t at, used_at, buffers_at; /* set by vq_init(), and free to be changed after it */
	size_t hole_at;                 /* what lies behind this place in memory (0: nothing) ... */
	uint64_t hole_len;              /* ... stands so much further up for the guest */
	uint16_t size;
	uint32_t buffer_len; /* one buffer for each descriptor */
	uint16_t avail;      /* our index */
	uint16_t used_seen;
	uint16_t next_desc;
};

struct vq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

#define VQ_NEXT 1
#define VQ_WRITE 2
#define VQ_INDIRECT 4

/* Lays the ring out at 'at'; returns the first byte behind it and its buffers. */
size_t vq_init(struct vq_driver *vq, uint8_t *mem, size_t at, uint16_t size, uint32_t buffer_len);
size_t vq_desc_at(const struct vq_driver *vq);
size_t vq_avail_at(const struct vq_driver *vq);
size_t vq_used_at(const struct vq_driver *vq);
/* Where a place in memory stands for the guest. */
uint64_t vq_guest_addr(const struct vq_driver *vq, size_t at);

void vq_set_desc(struct vq_driver *vq, uint16_t i, struct vq_desc desc);
/* Makes the chain that begins at descriptor 'head' available. */
void vq_offer(struct vq_driver *vq, uint16_t head);
void vq_set_avail(struct vq_driver *vq, uint16_t idx);
/* Makes a frame available in one descriptor (buffer number = descriptor number). */
uint16_t vq_send(struct vq_driver *vq, const void *bytes, uint32_t len);
/* Makes all buffers available for the device to write to. */
void vq_offer_buffers(struct vq_driver *vq, uint16_t n);

uint8_t *vq_buffer(struct vq_driver *vq, uint16_t i);
uint16_t vq_used_idx(const struct vq_driver *vq);
/* The next used element; false when there is none. */
bool vq_take_used(struct vq_driver *vq, uint32_t *ret_id, uint32_t *ret_len);
void vq_set_used_event(struct vq_driver *vq, uint16_t event);
uint16_t vq_avail_event(const struct vq_driver *vq);
uint16_t vq_used_flags(const struct vq_driver *vq);
void vq_set_avail_flags(struct vq_driver *vq, uint16_t flags);

#endif
