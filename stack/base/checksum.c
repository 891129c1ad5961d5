#include "stack/base/checksum.h"

#include <stdbool.h>
#include <string.h>

/* Four 64-bit lanes; every machine's vector unit, or none, can do these. */
typedef uint64_t lanes __attribute__((vector_size(32)));

#define LANE_BYTES sizeof(lanes)

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* RFC 1071 section 2 (B) and (C): the sum may be taken in the machine's own byte order and in wider
 * words, and swapped once at the end. 32-bit words go into 64-bit lanes, which cannot overflow
 * below 8 GiB. */
static inline __attribute__((always_inline)) uint64_t sum_native(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;

	if (len >= 2 * LANE_BYTES) {
		const lanes low_half = {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff};
		lanes a = {0}, b = {0}, c = {0}, d = {0};
		for (; len >= 2 * LANE_BYTES; p += 2 * LANE_BYTES, len -= 2 * LANE_BYTES) {
			lanes v, w;
			memcpy(&v, p, LANE_BYTES);
			memcpy(&w, p + LANE_BYTES, LANE_BYTES);
			a += v & low_half;
			b += v >> 32;
			c += w & low_half;
			d += w >> 32;
		}
		a += b + c + d;
		sum = a[0] + a[1] + a[2] + a[3];
	}
	for (; len >= 4; p += 4, len -= 4) {
		uint32_t v;
		memcpy(&v, p, 4);
		sum += v;
	}
	if (len) {
		uint8_t tail[4] = {0}; /* an odd last byte is padded with zero on its right */
		uint32_t v;
		memcpy(tail, p, len);
		memcpy(&v, tail, 4);
		sum += v;
	}
	return sum;
}

#ifdef __x86_64__
/* The same, twice as fast where the CPU has 256-bit registers. */
__attribute__((target("avx2"))) static uint64_t sum_native_avx2(const uint8_t *p, size_t len)
{
	return sum_native(p, len);
}

static uint64_t sum_fast(const uint8_t *p, size_t len)
{
	if (len >= 4 * LANE_BYTES && __builtin_cpu_supports("avx2"))
		return sum_native_avx2(p, len);
	return sum_native(p, len);
}
#else
static uint64_t sum_fast(const uint8_t *p, size_t len)
{
	return sum_native(p, len);
}
#endif

checksum_sum checksum_add(checksum_sum sum, const void *bytes, size_t len)
{
	const union {
		uint8_t bytes[2];
		uint16_t word;
	} order = {{0, 1}};
	uint16_t part = fold(sum_fast(bytes, len));

	if (order.word != 1)
		part = (uint16_t)(part << 8 | part >> 8);
	return sum + part;
}

/* Sums of pieces at odd offsets are byte-swapped (RFC 1071 section 2 (B)). */
checksum_sum checksum_add_iov(checksum_sum sum, const struct iovec *iov, unsigned iov_n)
{
	bool odd = false;

	for (unsigned i = 0; i < iov_n; i++) {
		uint16_t piece = fold(checksum_add(0, iov[i].iov_base, iov[i].iov_len));
		sum += odd ? (uint16_t)(piece << 8 | piece >> 8) : piece;
		odd ^= iov[i].iov_len & 1;
	}
	return sum;
}

checksum_sum checksum_add_pseudo(checksum_sum sum, const struct addr *src, const struct addr *dst,
				 uint8_t proto, uint32_t len)
{
	size_t skip = addr_is_v4(src) ? 12 : 0;

	sum = checksum_add(sum, src->b + skip, 16 - skip);
	sum = checksum_add(sum, dst->b + skip, 16 - skip);
	return sum + proto + len;
}

uint16_t checksum_finish(checksum_sum sum)
{
	return (uint16_t)~fold(sum);
}
