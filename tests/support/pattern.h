/* Data as a function of a seed and an offset, so that gigabytes can be sent and checked without
 * being stored. */
#ifndef LWNAT_TESTS_PATTERN_H
#define LWNAT_TESTS_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void pattern_fill(uint64_t seed, uint64_t offset, void *bytes, size_t len);
bool pattern_matches(uint64_t seed, uint64_t offset, const void *bytes, size_t len);

/* A small generator for choices in tests (which frame to drop): not for keys. */
struct dice {
	uint64_t state;
};
uint32_t dice_u32(struct dice *dice);
uint32_t dice_below(struct dice *dice, uint32_t bound); /* bound > 0 */
bool dice_ppm(struct dice *dice, uint32_t ppm);         /* true this many times in a million */

#endif
