/* A split virtqueue as its driver sees it (virtio 1.2 section 2.7), with the event index where the
 * device has that. Integers are the machine's own: little-endian machines only, as virtio is. */
#ifndef LWNAT_BENCH_RING_H
#define LWNAT_BENCH_RING_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RING_ALIGN = 4096,
	RING_SIZE_MAX = 1024,
};

struct ring {
	struct vring v; /* in memory shared with the device */
	int kick_fd, call_fd;
	bool has_event_idx;
	uint16_t avail_next; /* free-running: the next entry to fill */
	uint16_t
	    avail_seen; /* what the device sees; it has been kicked for that, or did not want it */
	uint16_t used_next; /* the next one to take back */
	uint64_t kicks, calls;
};

/* Lays the ring out in 'memory', zeroed, of vring_size(size, RING_ALIGN) bytes. 0, or a negative
 * errno. */
int ring_open(struct ring *ring, unsigned size, void *memory, bool has_event_idx);

/* Gives a descriptor chain to the device, who sees it after ring_publish(). */
void ring_offer(struct ring *ring, uint16_t head);
/* Kicks the device if it wants that. */
void ring_publish(struct ring *ring);

/* How many chains the device has given back. */
uint16_t ring_used_n(const struct ring *ring);
/* The next of them, which is there. */
struct vring_used_elem ring_take(struct ring *ring);

/* Asks for a call when 'n' chains have been given back; true: they have been, do not sleep. */
bool ring_calls_on(struct ring *ring, uint16_t n);
void ring_calls_off(struct ring *ring);
/* After poll() said that there was a call. */
void ring_called(struct ring *ring);

#endif
