#include "stack/nat/block.h"

#include <assert.h>
#include <stdlib.h>

#define FREE_MAX 64u /* spare 64 KiB blocks kept */
#define SMALL_LEN_MIN                                                                              \
	512u /* so that a trickle of bytes shares a block, and a frame has few pieces */

void block_pool_init(struct block_pool *pool, size_t in_use_max)
{
	*pool = (struct block_pool){.in_use_max = in_use_max};
}

static struct block *new_block(struct block_pool *pool, uint32_t cap)
{
	struct block *block;

	if (pool->in_use + cap > pool->in_use_max)
		return NULL;
	if (cap == BLOCK_LEN && pool->free) {
		block = pool->free;
		pool->free = block->next;
		pool->free_n--;
	} else {
		block = malloc(sizeof(*block) + cap);
		if (!block)
			return NULL;
		block->cap = cap;
	}
	block->next = NULL;
	block->used = 0;
	pool->in_use += cap;
	return block;
}

struct block *block_take(struct block_pool *pool)
{
	return new_block(pool, BLOCK_LEN);
}

struct block *block_take_small(struct block_pool *pool, uint32_t len)
{
	return new_block(pool, len < SMALL_LEN_MIN ? SMALL_LEN_MIN : len);
}

void block_return(struct block_pool *pool, struct block *block)
{
	pool->in_use -= block->cap;
	if (block->cap == BLOCK_LEN && pool->free_n < FREE_MAX) {
		block->next = pool->free;
		pool->free = block;
		pool->free_n++;
	} else {
		free(block);
	}
}

void block_release(struct block_pool *pool, struct block *block)
{
	block->next = pool->limbo;
	pool->limbo = block;
}

void block_settle(struct block_pool *pool)
{
	while (pool->limbo) {
		struct block *block = pool->limbo;
		pool->limbo = block->next;
		block_return(pool, block);
	}
}

void block_pool_fini(struct block_pool *pool)
{
	block_settle(pool);
	assert(pool->in_use == 0);
	while (pool->free) {
		struct block *block = pool->free;
		pool->free = block->next;
		free(block);
	}
	pool->free_n = 0;
}
