/* The Internet checksum (RFC 1071), over pieces of any length and alignment. */
#ifndef LWNAT_BASE_CHECKSUM_H
#define LWNAT_BASE_CHECKSUM_H

#include "stack/base/addr.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* A running one's-complement sum of big-endian 16-bit words. Start with 0. */
typedef uint64_t checksum_sum;

/* Adds 'len' bytes to the sum; 'len' must be even in all calls but the last. */
checksum_sum checksum_add(checksum_sum sum, const void *bytes, size_t len);
/* Adds pieces of any length, one behind the other. */
checksum_sum checksum_add_iov(checksum_sum sum, const struct iovec *iov, unsigned iov_n);
/* Adds the TCP/UDP/ICMPv6 pseudo header (RFC 9293 section 3.1, RFC 8200 section 8.1); the family is
 * src's. */
checksum_sum checksum_add_pseudo(checksum_sum sum, const struct addr *src, const struct addr *dst,
				 uint8_t proto, uint32_t len);
/* The 16-bit checksum in host order, ready for wire_put_u16(); 0 is possible. */
uint16_t checksum_finish(checksum_sum sum);
/* The same for UDP, where 0 would say that there is none (RFC 768, RFC 8200 section 8.1): never 0.
 */
static inline uint16_t checksum_finish_udp(checksum_sum sum)
{
	uint16_t folded = checksum_finish(sum);

	return folded ? folded : 0xffff;
}

#endif
