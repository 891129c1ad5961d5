/* SipHash-2-4 (Aumasson, Bernstein 2012): a keyed hash, so that no guest can choose collisions. */
#ifndef LWNAT_BASE_SIPHASH_H
#define LWNAT_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t k[2];
};

uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t len);

#endif
