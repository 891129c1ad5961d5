/* A row of pieces of memory that is used up from its beginning. */
#ifndef LWNAT_BASE_PIECES_H
#define LWNAT_BASE_PIECES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
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

/* The next bytes, at most 'len' of them, that lie in one piece. There must be some left. */
static inline struct iovec pieces_next(struct pieces *pieces, size_t len)
{
	struct iovec next;

	while (pieces->at == pieces->iov->iov_len) {
		pieces->iov++;
		pieces->at = 0;
	}
	next.iov_base = (uint8_t *)pieces->iov->iov_base + pieces->at;
	next.iov_len = pieces->iov->iov_len - pieces->at;
	if (next.iov_len > len)
		next.iov_len = len;
	pieces->at += next.iov_len;
	pieces->left -= next.iov_len;
	return next;
}

/* The next 'len' bytes, no more than are left, as pieces; how many. 'ret' has room for as many as
 * the row has. */
static inline unsigned pieces_take(struct pieces *pieces, size_t len, struct iovec *ret)
{
	unsigned n = 0;

	for (; len; len -= ret[n++].iov_len)
		ret[n] = pieces_next(pieces, len);
	return n;
}

/* The same, copied. */
static inline void pieces_copy(struct pieces *pieces, size_t len, void *ret)
{
	uint8_t *to = ret;

	while (len) {
		struct iovec next = pieces_next(pieces, len);

		memcpy(to, next.iov_base, next.iov_len);
		to += next.iov_len;
		len -= next.iov_len;
	}
}

#endif
