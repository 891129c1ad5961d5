#include "stack/link/vu_mem.h"

#include <errno.h>

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

static bool wraps(uint64_t addr, uint64_t len)
{
	return addr + len < addr;
}

int vu_mem_add(struct vu_mem *mem, const struct vu_region *region)
{
	if (region->len == 0 || wraps(region->guest_addr, region->len) ||
	    wraps(region->user_addr, region->len))
		return -EINVAL;
	for (unsigned i = 0; i < mem->n; i++) {
		const struct vu_region *r = &mem->region[i];
		if (overlap(r->guest_addr, r->len, region->guest_addr, region->len) ||
		    overlap(r->user_addr, r->len, region->user_addr, region->len))
			return -EINVAL;
	}
	if (mem->n == VU_REGIONS_MAX)
		return -ENOSPC;
	mem->region[mem->n++] = *region;
	return 0;
}

struct vu_region *vu_mem_find(struct vu_mem *mem, const struct vu_region *like)
{
	for (unsigned i = 0; i < mem->n; i++) {
		struct vu_region *r = &mem->region[i];
		if (r->guest_addr == like->guest_addr && r->user_addr == like->user_addr &&
		    r->len == like->len)
			return r;
	}
	return NULL;
}

void vu_mem_remove(struct vu_mem *mem, struct vu_region *region)
{
	*region = mem->region[--mem->n];
	mem->last = 0;
}

void *vu_mem_user(const struct vu_mem *mem, uint64_t addr, uint64_t len)
{
	for (unsigned i = 0; i < mem->n; i++) {
		const struct vu_region *r = &mem->region[i];
		uint64_t at = addr - r->user_addr;
		if (addr >= r->user_addr && at < r->len && len <= r->len - at)
			return r->bytes + at;
	}
	return NULL;
}

static const struct vu_region *region_of(struct vu_mem *mem, uint64_t addr)
{
	const struct vu_region *r = &mem->region[mem->last];

	if (mem->last < mem->n && addr - r->guest_addr < r->len)
		return r;
	for (unsigned i = 0; i < mem->n; i++) {
		r = &mem->region[i];
		if (addr - r->guest_addr < r->len) {
			mem->last = i;
			return r;
		}
	}
	return NULL;
}

int vu_mem_guest(struct vu_mem *mem, uint64_t addr, uint64_t len, struct iovec *ret, unsigned max)
{
	unsigned n = 0;

	while (len > 0) {
		const struct vu_region *r = region_of(mem, addr);
		if (!r)
			return -EFAULT;
		if (n == max)
			return -E2BIG;
		uint64_t at = addr - r->guest_addr;
		uint64_t here = len < r->len - at ? len : r->len - at;
		ret[n++] = (struct iovec){r->bytes + at, here};
		addr += here;
		len -= here;
	}
	return (int)n;
}

void vu_mem_dirty(struct vu_mem *mem, uint64_t addr, uint64_t len)
{
	if (!mem->log || len == 0)
		return;
	uint64_t page = addr / VU_LOG_PAGE, last = (addr + len - 1) / VU_LOG_PAGE;
	/* The front-end reads and clears the bits meanwhile. */
	while (page <= last && page / 8 < mem->log_len) {
		if (page % 8 == 0 && last - page >= 7) {
			__atomic_store_n(&mem->log[page / 8], 0xff, __ATOMIC_RELEASE);
			page += 8;
		} else {
			__atomic_fetch_or(&mem->log[page / 8], (uint8_t)(1U << page % 8),
					  __ATOMIC_RELEASE);
			page++;
		}
	}
}

void vu_mem_dirty_bytes(struct vu_mem *mem, const void *bytes, uint64_t len)
{
	if (!mem->log)
		return;
	for (unsigned i = 0; i < mem->n; i++) {
		const struct vu_region *r = &mem->region[i];
		uintptr_t at = (uintptr_t)bytes - (uintptr_t)r->bytes;
		if (at < r->len)
			vu_mem_dirty(mem, r->guest_addr + at, len);
	}
}
