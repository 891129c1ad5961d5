#include "tests/support/pattern.h"

#include <string.h>

/* The finalizer of MurmurHash3 (Appleby): every input bit reaches every output bit. */
static uint64_t mix(uint64_t v)
{
	v ^= v >> 33;
	v *= 0xff51afd7ed558ccdULL;
	v ^= v >> 33;
	v *= 0xc4ceb9fe1a85ec53ULL;
	return v ^ v >> 33;
}

static uint64_t word_at(uint64_t seed, uint64_t offset)
{
	return mix((seed << 40) + (offset >> 3) + 1);
}

static uint8_t byte_at(uint64_t seed, uint64_t offset)
{
	uint64_t word = word_at(seed, offset);
	return ((const uint8_t *)&word)[offset & 7];
}

void pattern_fill(uint64_t seed, uint64_t offset, void *bytes, size_t len)
{
	uint8_t *at = bytes;

	for (; len && (offset & 7); len--)
		*at++ = byte_at(seed, offset++);
	for (; len >= 8; len -= 8, at += 8, offset += 8) {
		uint64_t word = word_at(seed, offset);
		memcpy(at, &word, 8);
	}
	for (; len; len--)
		*at++ = byte_at(seed, offset++);
}

bool pattern_matches(uint64_t seed, uint64_t offset, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	for (; len && (offset & 7); len--)
		if (*at++ != byte_at(seed, offset++))
			return false;
	for (; len >= 8; len -= 8, at += 8, offset += 8) {
		uint64_t word = word_at(seed, offset);
		if (memcmp(at, &word, 8) != 0)
			return false;
	}
	for (; len; len--)
		if (*at++ != byte_at(seed, offset++))
			return false;
	return true;
}

uint32_t dice_u32(struct dice *dice)
{
	return (uint32_t)(mix(++dice->state) >> 16);
}

uint32_t dice_below(struct dice *dice, uint32_t bound)
{
	return (uint32_t)((uint64_t)dice_u32(dice) * bound >> 32);
}

bool dice_ppm(struct dice *dice, uint32_t ppm)
{
	return dice_below(dice, 1000000) < ppm;
}
