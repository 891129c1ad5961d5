/* A row of pieces of memory that is used up from its beginning. */
#ifndef LWNAT_BASE_PIECES_H
#define LWNAT_BASE_PIECES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct pieces {
	const struct iovec *iov; /* the next byte is 'at' bytes into this one */
	size_t at;
	size_t left; /* bytes in all */
};

/* 'len': how many bytes they have together. */
static inline struct pieces pieces_of(const struct iovec *iov, size_t len)
{
	return (struct pieces){.iov = iov, .left = len};
}

/* The next 'len' bytes, no more than are left, as pieces; how many. 'ret' has room for as many as
 * the row has. */
static inline unsigned pieces_take(struct pieces *pieces, size_t len, struct iovec *ret)
{
	unsigned n = 0;

	pieces->left -= len;
	while (len) {
		size_t here = pieces->iov->iov_len - pieces->at;
		if (here == 0) {
			pieces->iov++;
			pieces->at = 0;
			continue;
		}
		if (here > len)
			here = len;
		ret[n++] = (struct iovec){(uint8_t *)pieces->iov->iov_base + pieces->at, here};
		pieces->at += here;
		len -= here;
	}
	return n;
}

#endif
