/* The addresses of one IPv4 net and who has them: the pool, the lease table, and their indexes by
 * MAC, address and name. Everything is O(1) and nothing is allocated after lease_table_new(). */
#ifndef LWNAT_DHCP_LEASE_H
#define LWNAT_DHCP_LEASE_H

#include "dhcp/dhcpd.h"
#include "stack/base/siphash.h"

#include <stdbool.h>
#include <stdint.h>

#define LEASE_OFFER_MS (60 * 1000)    /* an offer that was not taken up by then is stale */
#define LEASE_BAD_MS (10 * 60 * 1000) /* how long a declined address stays out of use */

enum lease_state {
	LEASE_FREE,    /* no address and no MAC; in no index */
	LEASE_OFFERED, /* has MAC and address, was never acknowledged */
	LEASE_ACTIVE,  /* acknowledged; ends at expires_ms */
	LEASE_BOOTP,   /* acknowledged to a client that knows no lease time; never ends by itself */
	LEASE_IDLE,    /* was acknowledged; expired or released; kept so that the MAC finds its
			  address again */
	LEASE_BAD,     /* declined: has an address, belongs to no MAC */
	LEASE_STATES,  /* how many */
};

enum lease_index { LEASE_BY_MAC, LEASE_BY_ADDR, LEASE_BY_NAME, LEASE_INDEXES };

struct lease {
	struct dhcpd_lease pub;
	uint32_t addr; /* host order, the same as pub.addr */
	enum lease_state state;
	uint64_t since_ms;         /* last offer, acknowledgement, release or decline */
	struct lease *next, *prev; /* in the list of its state, longest silent first */
	struct lease *hash_next[LEASE_INDEXES];
	struct lease **hash_link[LEASE_INDEXES]; /* what points here; NULL: not in this index */
};

struct lease_table_config {
	uint32_t net;         /* host order, host bits clear */
	uint32_t hosts_n;     /* usable host numbers are 1..hosts_n */
	uint32_t first;       /* host number that is given out first, 1..hosts_n */
	uint32_t reserved[2]; /* host numbers never given out; 0: none */
	uint32_t leases_max;
	uint32_t lease_s; /* UINT32_MAX: for ever */
	struct siphash_key hash_key;
};

struct lease_table;

/* 0, -ENOMEM, or -EINVAL when not one address is left to give. */
int lease_table_new(struct lease_table **ret, const struct lease_table_config *config);
void lease_table_free(struct lease_table *table); /* NULL is fine */
/* Moves what has expired by now_ms to its next state. */
void lease_table_tick(struct lease_table *table, uint64_t now_ms);

/* In any state but FREE and BAD; NULL when there is none. */
struct lease *lease_by_mac(const struct lease_table *table, const struct mac *mac);
/* In any state but FREE. */
struct lease *lease_by_addr(const struct lease_table *table, uint32_t addr);
/* The active lease that owns 'name' (lower case). */
const struct lease *lease_by_name(const struct lease_table *table, const char *name,
				  uint64_t now_ms);
/* Acknowledged and neither expired, released nor declined. */
bool lease_is_active(const struct lease *lease, uint64_t now_ms);
/* Walks all leases that were acknowledged once; start with *cursor = 0. */
const struct lease *lease_next(const struct lease_table *table, uint32_t *cursor);

/* Offers an address to a MAC that has none: the first free one in pool order, or the one that is
 * missed least. NULL when every address is in use. */
struct lease *lease_take(struct lease_table *table, const struct mac *mac, uint64_t now_ms);
/* The same for one certain address. NULL when it is not of the pool or not free. */
struct lease *lease_take_addr(struct lease_table *table, const struct mac *mac, uint32_t addr,
			      uint64_t now_ms);

/* The client was offered its address again. */
void lease_touch(struct lease_table *table, struct lease *lease, uint64_t now_ms);

struct lease_ack {
	const char *name; /* a clean DNS label; "" keeps the name it had */
	bool renewal;     /* the client was up already: takes no name from another */
	bool bootp;
};
void lease_activate(struct lease_table *table, struct lease *lease, const struct lease_ack *ack,
		    uint64_t now_ms);
void lease_release(struct lease_table *table, struct lease *lease, uint64_t now_ms);
void lease_decline(struct lease_table *table, struct lease *lease, uint64_t now_ms);
/* Gives the address back to the pool and forgets the MAC. */
void lease_forget(struct lease_table *table, struct lease *lease);

#endif
