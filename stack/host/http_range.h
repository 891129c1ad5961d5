/* "Range: bytes=..." (RFC 9110 section 14) against a file's size. */
#ifndef LWNAT_HOST_HTTP_RANGE_H
#define LWNAT_HOST_HTTP_RANGE_H

#include <stdint.h>

enum http_range {
	HTTP_RANGE_WHOLE, /* no header, several ranges, or nothing we understand: all of it, 200 */
	HTTP_RANGE_PART,  /* 206 */
	HTTP_RANGE_NONE,  /* 416: begins behind the end */
};

/* 'header' may be NULL. Fills *ret_first and *ret_len for WHOLE and PART. */
enum http_range http_range_read(const char *header, uint64_t size, uint64_t *ret_first,
				uint64_t *ret_len);

#endif
