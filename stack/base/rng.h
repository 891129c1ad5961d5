/* Unpredictable numbers for ids, initial sequence numbers and hash keys. Seeded once, then no
 * system call. */
#ifndef LWNAT_BASE_RNG_H
#define LWNAT_BASE_RNG_H

#include "stack/base/siphash.h"

#include <stdint.h>

struct rng {
	struct siphash_key key;
	uint64_t counter;
};

/* Seeds from getrandom(). 0 or a negative errno. */
int rng_init(struct rng *rng);
/* A fixed seed, for tests that must repeat. */
void rng_init_fixed(struct rng *rng, uint64_t seed);
uint64_t rng_u64(struct rng *rng);
uint32_t rng_u32(struct rng *rng);
uint16_t rng_u16(struct rng *rng);
uint32_t rng_below(struct rng *rng, uint32_t bound); /* 0 .. bound-1, unbiased; bound > 0 */

#endif
