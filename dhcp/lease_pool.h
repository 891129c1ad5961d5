/* Which addresses of a net are taken. A position is a place in pool order: 0 is host number
 * 'first', and after the net's last host come its first ones. */
#ifndef LWNAT_DHCP_LEASE_POOL_H
#define LWNAT_DHCP_LEASE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#define LEASE_POOL_NONE UINT32_MAX /* no position */

struct lease_pool {
	uint32_t net; /* host order, host bits clear */
	uint32_t hosts_n, first;
	uint64_t *taken;    /* owned; a bit per position */
	uint32_t free_hint; /* no position below this one is free */
};

/* 0 or -ENOMEM. */
int lease_pool_init(struct lease_pool *pool, uint32_t net, uint32_t hosts_n, uint32_t first);
void lease_pool_fini(struct lease_pool *pool);

uint32_t lease_pool_addr(const struct lease_pool *pool, uint32_t position);
/* LEASE_POOL_NONE when the address is no host of this net. */
uint32_t lease_pool_position(const struct lease_pool *pool, uint32_t addr);
bool lease_pool_is_taken(const struct lease_pool *pool, uint32_t position);
void lease_pool_take(struct lease_pool *pool, uint32_t position);
void lease_pool_give(struct lease_pool *pool, uint32_t position);
/* The lowest free position, or LEASE_POOL_NONE. */
uint32_t lease_pool_find(struct lease_pool *pool);

#endif
