/* The addresses that DHCPv6 gives away and who has them: the pool, the table, its indexes by card,
 * address and name, and how many each port has. Nothing is allocated after lease6_table_new(). */
#ifndef LWNAT_DHCP_DHCP6_LEASE_H
#define LWNAT_DHCP_DHCP6_LEASE_H

#include "dhcp/dhcp6.h"

#include <stdbool.h>
#include <stdint.h>

#define LEASE6_OFFER_MS (60 * 1000)    /* an offer that was not taken up by then is stale */
#define LEASE6_BAD_MS (10 * 60 * 1000) /* how long a declined address stays out of use */

enum lease6_state {
	LEASE6_FREE,    /* no address and no card; in no index */
	LEASE6_OFFERED, /* was never acknowledged */
	LEASE6_ACTIVE,  /* acknowledged; ends at expires_ms */
	LEASE6_IDLE,    /* expired or released; kept so that the card finds its address again */
	LEASE6_BAD,     /* declined: has an address, belongs to no card */
	LEASE6_STATES,  /* how many */
};

enum lease6_index { LEASE6_BY_MAC, LEASE6_BY_ADDR, LEASE6_BY_NAME, LEASE6_INDEXES };

struct lease6 {
	struct dhcpd6_lease pub;
	enum lease6_state state;
	uint32_t position; /* in the pool */
	uint32_t port;     /* 0: none that is there */
	uint64_t since_ms;
	struct lease6 *next, *prev; /* in the list of its state, longest silent first */
	struct lease6 *hash_next[LEASE6_INDEXES];
	struct lease6 **hash_link[LEASE6_INDEXES]; /* what points here; NULL: not in this index */
};

/* Who asks: a card, and which of its associations. */
struct lease6_client {
	struct mac mac;
	uint32_t port;
	const uint8_t *duid;
	uint16_t duid_len;
	uint32_t iaid;
};

struct lease6_table;

/* Takes of the config what it needs. 0, -ENOMEM, or -EINVAL when not one address is left to give.
 */
int lease6_table_new(struct lease6_table **ret, const struct dhcpd6_config *config);
void lease6_table_free(struct lease6_table *table); /* NULL is fine */
/* Moves what has expired by now_ms to its next state. */
void lease6_table_tick(struct lease6_table *table, uint64_t now_ms);
/* No port of this number is there any more. */
void lease6_port_gone(struct lease6_table *table, uint32_t port);

/* The client's own lease in any state; a card that has one under another DUID passes it on. NULL.
 */
struct lease6 *lease6_find(struct lease6_table *table, const struct lease6_client *client);
/* The card's first lease that is active; NULL. */
const struct lease6 *lease6_by_mac(const struct lease6_table *table, const struct mac *mac,
				   uint64_t now_ms);
struct lease6 *lease6_by_addr(const struct lease6_table *table, const struct addr *addr);
const struct lease6 *lease6_by_name(const struct lease6_table *table, const char *name,
				    uint64_t now_ms);
bool lease6_is_active(const struct lease6 *lease, uint64_t now_ms);
/* Walks all that were acknowledged once. */
const struct lease6 *lease6_next(const struct lease6_table *table, uint32_t *cursor);

/* A new offer for a client that lease6_find() does not know. 'wish' NULL: the next free address, or
 * the one that is missed least. NULL: the wish is not to be had, the card or the port has its
 * share, or all are in use. */
struct lease6 *lease6_take(struct lease6_table *table, const struct lease6_client *client,
			   const struct addr *wish, uint64_t now_ms);

/* The client was offered its address again, from this port. */
void lease6_touch(struct lease6_table *table, struct lease6 *lease, uint32_t port, uint64_t now_ms);
/* 'name' "" keeps the one it had; a renewal takes none from another. */
void lease6_activate(struct lease6_table *table, struct lease6 *lease, const char *name,
		     bool renewal, uint64_t expires_ms, uint64_t now_ms);
void lease6_release(struct lease6_table *table, struct lease6 *lease, uint64_t now_ms);
void lease6_decline(struct lease6_table *table, struct lease6 *lease, uint64_t now_ms);
/* Gives the address back to the pool and forgets the client. */
void lease6_forget(struct lease6_table *table, struct lease6 *lease);

#endif
