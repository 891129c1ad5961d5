#include "dhcp/lease_pool.h"

#include <errno.h>
#include <stdlib.h>

#define WORD_BITS 64u

int lease_pool_init(struct lease_pool *pool, uint32_t net, uint32_t hosts_n, uint32_t first)
{
	*pool = (struct lease_pool){.net = net, .hosts_n = hosts_n, .first = first};
	pool->taken = calloc((hosts_n + WORD_BITS - 1) / WORD_BITS, sizeof(uint64_t));
	return pool->taken ? 0 : -ENOMEM;
}

void lease_pool_fini(struct lease_pool *pool)
{
	free(pool->taken);
	pool->taken = NULL;
}

uint32_t lease_pool_addr(const struct lease_pool *pool, uint32_t position)
{
	uint64_t past_first = (uint64_t)pool->first - 1 + position;
	return pool->net + 1 + (uint32_t)(past_first % pool->hosts_n);
}

uint32_t lease_pool_position(const struct lease_pool *pool, uint32_t addr)
{
	uint32_t host = addr - pool->net; /* wraps far beyond hosts_n when addr is below */
	if (host == 0 || host > pool->hosts_n)
		return LEASE_POOL_NONE;
	return host >= pool->first ? host - pool->first : host + pool->hosts_n - pool->first;
}

bool lease_pool_is_taken(const struct lease_pool *pool, uint32_t position)
{
	return pool->taken[position / WORD_BITS] >> (position % WORD_BITS) & 1;
}

void lease_pool_take(struct lease_pool *pool, uint32_t position)
{
	pool->taken[position / WORD_BITS] |= UINT64_C(1) << (position % WORD_BITS);
}

void lease_pool_give(struct lease_pool *pool, uint32_t position)
{
	pool->taken[position / WORD_BITS] &= ~(UINT64_C(1) << (position % WORD_BITS));
	if (position < pool->free_hint)
		pool->free_hint = position;
}

/* Sixty-four at a time: a full /16 is 1024 steps. */
uint32_t lease_pool_find(struct lease_pool *pool)
{
	uint32_t words = (pool->hosts_n + WORD_BITS - 1) / WORD_BITS;
	for (uint32_t word = pool->free_hint / WORD_BITS; word < words; word++) {
		uint64_t free_bits = ~pool->taken[word];
		if (!free_bits)
			continue;
		uint32_t position = word * WORD_BITS + (uint32_t)__builtin_ctzll(free_bits);
		pool->free_hint = position;
		return position < pool->hosts_n ? position : LEASE_POOL_NONE;
	}
	pool->free_hint = pool->hosts_n;
	return LEASE_POOL_NONE;
}
