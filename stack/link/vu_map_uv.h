/* Guests' memory mapped into this process, and what keeps a guest from killing it: memory that is
 * taken away behind a mapping (a file made shorter) reads as zeroes, and the mapping says so. */
#ifndef LWNAT_LINK_VU_MAP_UV_H
#define LWNAT_LINK_VU_MAP_UV_H

#include <stdbool.h>
#include <stdint.h>

/* One mapping. Stays where it is while it is mapped: the SIGBUS handler finds it in a list. */
struct vu_map {
	struct vu_map *next, **link;
	uint8_t *bytes;
	uint64_t len;
	volatile bool lost; /* its memory was taken away */
};

/* Maps 'len' bytes at 'offset' of a file, shared. 0; -EINVAL: empty, wraps, or reaches behind the
 * end of the file; or the errno of mmap(). The descriptor stays the caller's. */
int vu_map(struct vu_map *ret, int fd, uint64_t offset, uint64_t len, uint8_t **ret_bytes);
void vu_unmap(struct vu_map *map);

#endif
