/* Memory for bytes on their way to a guest: they stay put from the host's recv until the guest has
 * acknowledged them. Large reads fill 64 KiB blocks of one shared pool (last freed, first used, so
 * that it stays in the cache); small ones get a block of their size. */
#ifndef LWNAT_NAT_BLOCK_H
#define LWNAT_NAT_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_LEN 65520u /* bytes of data in a pool block: one tcp_write() takes up to 65,535 */

struct block {
	struct block *next;
	uint32_t cap, used; /* bytes */
	uint8_t data[];
};

/* Freed blocks rest in 'limbo' until block_settle(): frames queued on a port may still point into
 * them. */
struct block_pool {
	struct block *free;
	struct block *limbo;
	unsigned free_n;
	size_t in_use;     /* bytes of capacity handed out, limbo included */
	size_t in_use_max; /* hard limit */
};

void block_pool_init(struct block_pool *pool, size_t in_use_max);
void block_pool_fini(struct block_pool *pool); /* all blocks must be back */

/* A 64 KiB block, or NULL at the limit or without memory. */
struct block *block_take(struct block_pool *pool);
/* A block of at least 'len' bytes, for few bytes; NULL likewise. */
struct block *block_take_small(struct block_pool *pool, uint32_t len);
/* Gives back a block whose bytes were never queued on a port. */
void block_return(struct block_pool *pool, struct block *block);
/* Gives back a block that frames may point into until the ports are flushed. */
void block_release(struct block_pool *pool, struct block *block);
/* All ports have been flushed since the last release. */
void block_settle(struct block_pool *pool);

#endif
