/* The front-end of a synthetic vhost-user guest: its memory with two rings in it, the connection to
 * the program, and what QEMU says over it. The driver is tests/support/vq_driver.h. */
#ifndef LWNAT_TESTS_VU_FRONT_H
#define LWNAT_TESTS_VU_FRONT_H

#include "stack/link/virtio_net.h"
#include "stack/link/vu_msg.h"
#include "tests/support/vq_driver.h"

#define VU_FRONT_RINGS_MAX 4
#define VU_FRONT_RX 0
#define VU_FRONT_TX 1
#define VU_FRONT_USER_BASE                                                                         \
	UINT64_C(0x7f0000000000) /* where the memory stands for the front-end                      \
				  */
#define VU_FRONT_VNET_LEN 12     /* the virtio header before each frame */
#define VU_FRONT_WAIT_MS 120000  /* only ends what hangs */
/* What every driver of today wants. */
#define VU_FRONT_FEATURES                                                                          \
	(VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_EVENT_IDX |                        \
	 VHOST_USER_F_PROTOCOL_FEATURES)

/* Descriptors of a ring, and the bytes of each one's buffer. */
struct vu_front_ring {
	uint16_t size;
	uint32_t buffer_len;
};

struct vu_front {
	int fd, mem_fd;
	uint8_t *mem;
	size_t mem_len;
	unsigned rings_n;
	union {
		struct {
			struct vq_driver rx, tx;
		};
		struct vq_driver ring[VU_FRONT_RINGS_MAX]; /* as the device counts them; all with
							      the same hole */
	};
	int kick[VU_FRONT_RINGS_MAX], call[VU_FRONT_RINGS_MAX];
};

/* Memory of 'mem_len' bytes, without rings. */
void vu_front_memory(struct vu_front *f, size_t mem_len);
/* Memory of 'mem_len' bytes with both rings in it, all receive buffers offered; no connection. */
void vu_front_boot(struct vu_front *f, size_t mem_len, const struct vu_front_ring *rx,
		   const struct vu_front_ring *tx);
void vu_front_connect(struct vu_front *f, const char *path);
/* Everything that is said before a guest's card is up, on f->fd; returns when all is handled. */
void vu_front_attach(struct vu_front *f, uint64_t features);
/* Closes the connection and the event descriptors; the memory and its rings stay. */
void vu_front_detach(struct vu_front *f);
void vu_front_free(struct vu_front *f); /* the memory */

/* A message, with a descriptor or -1. */
void vu_front_say(struct vu_front *f, uint32_t request, const void *payload, uint32_t len, int fd);
void vu_front_say_u64(struct vu_front *f, uint32_t request, uint64_t value, int fd);
/* The 64 bits of an answer. */
uint64_t vu_front_hear(struct vu_front *f);
/* Says it, and hears the answer. */
uint64_t vu_front_ask(struct vu_front *f, uint32_t request, const void *payload, uint32_t len);
/* Where a ring is; 'flags' may ask for its log. */
void vu_front_say_addr(struct vu_front *f, uint32_t ring, uint32_t flags);
void vu_front_kick(const struct vu_front *f, unsigned ring);
/* The next used receive buffer, for which the guest waits to be called. */
void vu_front_wait_for_used(struct vu_front *f, uint32_t *ret_id, uint32_t *ret_len);

#endif
