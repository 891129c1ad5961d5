#include "tests/support/vq_driver.h"

#include <string.h>

static uint16_t get16(const struct vq_driver *vq, size_t at)
{
	return __atomic_load_n((const uint16_t *)(const void *)(vq->mem + at), __ATOMIC_ACQUIRE);
}

static void set16(struct vq_driver *vq, size_t at, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)(vq->mem + at), v, __ATOMIC_RELEASE);
}

size_t vq_desc_at(const struct vq_driver *vq)
{
	return vq->at;
}

size_t vq_avail_at(const struct vq_driver *vq)
{
	return vq->at + 16 * (size_t)vq->size;
}

size_t vq_used_at(const struct vq_driver *vq)
{
	return vq->used_at;
}

uint64_t vq_guest_addr(const struct vq_driver *vq, size_t at)
{
	return VQ_GUEST_BASE + at + (vq->hole_at && at >= vq->hole_at ? vq->hole_len : 0);
}

size_t vq_init(struct vq_driver *vq, uint8_t *mem, size_t at, uint16_t size, uint32_t buffer_len)
{
	*vq = (struct vq_driver){
	    .mem = mem, .at = (at + 15) & ~(size_t)15, .size = size, .buffer_len = buffer_len};
	vq->used_at = (vq_avail_at(vq) + 6 + 2 * (size_t)size + 3) & ~(size_t)3;
	size_t end = vq->used_at + 6 + 8 * (size_t)size;
	vq->buffers_at = (end + 63) & ~(size_t)63;
	memset(mem + vq->at, 0, vq->buffers_at - vq->at);
	return vq->buffers_at + (size_t)size * buffer_len;
}

void vq_set_desc(struct vq_driver *vq, uint16_t i, struct vq_desc desc)
{
	uint8_t *p = vq->mem + vq->at + 16 * (size_t)i;

	memcpy(p, &desc.addr, 8);
	memcpy(p + 8, &desc.len, 4);
	memcpy(p + 12, &desc.flags, 2);
	memcpy(p + 14, &desc.next, 2);
}

void vq_set_avail(struct vq_driver *vq, uint16_t idx)
{
	vq->avail = idx;
	set16(vq, vq_avail_at(vq) + 2, idx);
}

void vq_offer(struct vq_driver *vq, uint16_t head)
{
	set16(vq, vq_avail_at(vq) + 4 + 2 * (size_t)(vq->avail % vq->size), head);
	vq_set_avail(vq, (uint16_t)(vq->avail + 1));
}

static uint64_t buffer_addr(const struct vq_driver *vq, uint16_t i)
{
	return vq_guest_addr(vq, vq->buffers_at + (size_t)i * vq->buffer_len);
}

uint8_t *vq_buffer(struct vq_driver *vq, uint16_t i)
{
	return vq->mem + vq->buffers_at + (size_t)i * vq->buffer_len;
}

uint16_t vq_send(struct vq_driver *vq, const void *bytes, uint32_t len)
{
	uint16_t i = vq->next_desc;

	vq->next_desc = (uint16_t)((i + 1) % vq->size);
	memcpy(vq_buffer(vq, i), bytes, len);
	vq_set_desc(vq, i, (struct vq_desc){buffer_addr(vq, i), len, 0, 0});
	vq_offer(vq, i);
	return i;
}

void vq_offer_buffers(struct vq_driver *vq, uint16_t n)
{
	for (uint16_t k = 0; k < n; k++) {
		uint16_t i = vq->next_desc;
		vq->next_desc = (uint16_t)((i + 1) % vq->size);
		vq_set_desc(vq, i,
			    (struct vq_desc){buffer_addr(vq, i), vq->buffer_len, VQ_WRITE, 0});
		vq_offer(vq, i);
	}
}

uint16_t vq_used_idx(const struct vq_driver *vq)
{
	return get16(vq, vq_used_at(vq) + 2);
}

bool vq_take_used(struct vq_driver *vq, uint32_t *ret_id, uint32_t *ret_len)
{
	if (vq_used_idx(vq) == vq->used_seen)
		return false;
	const uint8_t *p = vq->mem + vq_used_at(vq) + 4 + 8 * (size_t)(vq->used_seen % vq->size);
	memcpy(ret_id, p, 4);
	memcpy(ret_len, p + 4, 4);
	vq->used_seen++;
	return true;
}

void vq_set_used_event(struct vq_driver *vq, uint16_t event)
{
	set16(vq, vq_avail_at(vq) + 4 + 2 * (size_t)vq->size, event);
}

uint16_t vq_avail_event(const struct vq_driver *vq)
{
	return get16(vq, vq_used_at(vq) + 4 + 8 * (size_t)vq->size);
}

uint16_t vq_used_flags(const struct vq_driver *vq)
{
	return get16(vq, vq_used_at(vq));
}

void vq_set_avail_flags(struct vq_driver *vq, uint16_t flags)
{
	set16(vq, vq_avail_at(vq), flags);
}
