#include "tests/bench/ring.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "virtio's integers are little-endian");

int ring_open(struct ring *ring, unsigned size, void *memory, bool has_event_idx)
{
	*ring = (struct ring){.has_event_idx = has_event_idx};
	vring_init(&ring->v, size, memory, RING_ALIGN);
	ring->kick_fd = eventfd(0, EFD_NONBLOCK);
	ring->call_fd = eventfd(0, EFD_NONBLOCK);
	return ring->kick_fd < 0 || ring->call_fd < 0 ? -errno : 0;
}

void ring_offer(struct ring *ring, uint16_t head)
{
	ring->v.avail->ring[ring->avail_next++ & (ring->v.num - 1)] = head;
}

static bool wants_kick(const struct ring *ring, uint16_t old)
{
	if (!ring->has_event_idx)
		return !(__atomic_load_n(&ring->v.used->flags, __ATOMIC_RELAXED) &
			 VRING_USED_F_NO_NOTIFY);
	return vring_need_event(__atomic_load_n(&vring_avail_event(&ring->v), __ATOMIC_RELAXED),
				ring->avail_next, old);
}

void ring_publish(struct ring *ring)
{
	uint16_t old = ring->avail_seen;

	if (ring->avail_next == old)
		return;
	__atomic_store_n(&ring->v.avail->idx, ring->avail_next, __ATOMIC_RELEASE);
	ring->avail_seen = ring->avail_next;
	/* Section 2.7.21.1: the index is out before it is read whether the device sleeps. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (wants_kick(ring, old)) {
		eventfd_write(ring->kick_fd, 1);
		ring->kicks++;
	}
}

uint16_t ring_used_n(const struct ring *ring)
{
	return (uint16_t)(__atomic_load_n(&ring->v.used->idx, __ATOMIC_ACQUIRE) - ring->used_next);
}

struct vring_used_elem ring_take(struct ring *ring)
{
	return ring->v.used->ring[ring->used_next++ & (ring->v.num - 1)];
}

bool ring_calls_on(struct ring *ring, uint16_t n)
{
	if (ring->has_event_idx)
		__atomic_store_n(&vring_used_event(&ring->v), (uint16_t)(ring->used_next + n - 1),
				 __ATOMIC_RELAXED);
	else
		__atomic_store_n(&ring->v.avail->flags, 0, __ATOMIC_RELAXED);
	/* Section 2.7.7: what was given back meanwhile brings no call. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return ring_used_n(ring) >= n;
}

void ring_calls_off(struct ring *ring)
{
	/* An event that lies behind is as good as none. */
	if (ring->has_event_idx)
		__atomic_store_n(&vring_used_event(&ring->v), (uint16_t)(ring->used_next - 1),
				 __ATOMIC_RELAXED);
	else
		__atomic_store_n(&ring->v.avail->flags, VRING_AVAIL_F_NO_INTERRUPT,
				 __ATOMIC_RELAXED);
}

void ring_called(struct ring *ring)
{
	eventfd_t count;

	eventfd_read(ring->call_fd, &count);
	ring->calls++;
}
