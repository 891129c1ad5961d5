/* A vhost-user guest's memory as mapped here: its regions, addresses in them, and the log of dirty
 * pages. Pure: who maps and unmaps is vu_map_uv. Nothing of what a guest or front-end says is
 * believed: what lies outside of a region has no address. */
#ifndef LWNAT_LINK_VU_MEM_H
#define LWNAT_LINK_VU_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define VU_REGIONS_MAX                                                                             \
	64               /* memory slots offered to the front-end (VHOST_USER_GET_MAX_MEM_SLOTS)   \
			  */
#define VU_LOG_PAGE 4096 /* bytes for which one bit of the dirty log stands */

struct vu_region {
	uint64_t guest_addr; /* guest physical */
	uint64_t user_addr;  /* in the front-end's address space: what ring addresses mean */
	uint64_t len;        /* bytes */
	uint8_t *bytes;      /* here */
	unsigned users;      /* how often it was added */
};

struct vu_mem {
	struct vu_region region[VU_REGIONS_MAX];
	unsigned n;
	unsigned last; /* where the last address was found */
	uint8_t *log;  /* the dirty log's bits; NULL: nobody asked for it */
	uint64_t log_len;
};

/* 0; -ENOSPC; -EINVAL for an empty region, or one whose addresses wrap or overlap another's. */
int vu_mem_add(struct vu_mem *mem, const struct vu_region *region);
/* The region with these addresses and length, or NULL. QEMU up to 7.2 adds and removes each of them
 * once per queue pair: see 'users'. */
struct vu_region *vu_mem_find(struct vu_mem *mem, const struct vu_region *like);
/* Takes one of mem's regions out. */
void vu_mem_remove(struct vu_mem *mem, struct vu_region *region);

/* 'len' bytes at a front-end address; NULL unless they lie in one region. */
void *vu_mem_user(const struct vu_mem *mem, uint64_t addr, uint64_t len);
/* 'len' bytes at a guest address as pieces, more than one where regions meet. How many pieces, or
 * -EFAULT (no memory there), -E2BIG (more than 'max' pieces). */
int vu_mem_guest(struct vu_mem *mem, uint64_t addr, uint64_t len, struct iovec *ret, unsigned max);

/* We have written 'len' bytes at a guest address. Nothing while there is no log. */
void vu_mem_dirty(struct vu_mem *mem, uint64_t addr, uint64_t len);
/* The same for bytes that vu_mem_guest() or vu_mem_user() gave. */
void vu_mem_dirty_bytes(struct vu_mem *mem, const void *bytes, uint64_t len);

#endif
