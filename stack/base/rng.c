#include "stack/base/rng.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int rng_init(struct rng *rng)
{
	struct rng fresh = {0};
	ssize_t n;

	/* Up to 256 bytes never come in part (getrandom(2)), but the wait for the pool may be
	 * interrupted. */
	do {
		n = getrandom(&fresh.key, sizeof(fresh.key), 0);
	} while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(fresh.key))
		return n < 0 ? -errno : -EIO;
	*rng = fresh;
	return 0;
}

void rng_init_fixed(struct rng *rng, uint64_t seed)
{
	*rng = (struct rng){.key = {{seed, ~seed}}};
}

uint64_t rng_u64(struct rng *rng)
{
	uint64_t n = rng->counter++;
	return siphash(&rng->key, &n, sizeof(n));
}

uint32_t rng_u32(struct rng *rng)
{
	return (uint32_t)rng_u64(rng);
}

uint16_t rng_u16(struct rng *rng)
{
	return (uint16_t)rng_u64(rng);
}

/* Lemire's multiplication: the low half tells whether the value fell into the biased part. */
uint32_t rng_below(struct rng *rng, uint32_t bound)
{
	uint32_t biased = -bound % bound;
	uint64_t product;

	do {
		product = (uint64_t)rng_u32(rng) * bound;
	} while ((uint32_t)product < biased);
	return (uint32_t)(product >> 32);
}
