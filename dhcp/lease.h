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

/* What one port may hold, so that a guest of many MACs does not take the others' addresses: four
 * times as many as are left. The first port of a /24 gets up to 201 of its 252, a second one four
 * fifths of the rest, and so on: something is always left. */
#define LEASE_PORT_SHARE 4
#define LEASE_PORT_MIN 4     /* always, while there are any */
#define LEASE_PORT_OFFERS 64 /* offers not taken up, then its oldest one goes first */
#define LEASE_PORTS_MAX 512  /* more at once are not limited */

enum lease_state {
	LEASE_FREE,    /* no address and no MAC; in no index */
	LEASE_OFFERED, /* has MAC and address, was never acknowledged */
	LEASE_ACTIVE,  /* acknowledged; ends at expires_ms */
	LEASE_BOOTP,   /* acknowledged to a client that knows no lease time; never ends by itself */
	LEASE_IDLE,    /* was acknowledged; expired or released; kept so that the MAC finds its
			  address again */
	LEASE_AWAY,    /* acknowledged, but its port has gone, or that was in an earlier life; ends
			  at expires_ms, or before that when nothing else is left to give */
	LEASE_BAD,     /* declined: has an address, belongs to no MAC */
	LEASE_KEPT,    /* fixed, and not in use: has MAC and address for ever */
	LEASE_STATES,  /* how many */
};

enum lease_index { LEASE_BY_MAC, LEASE_BY_ADDR, LEASE_BY_NAME, LEASE_INDEXES };

struct lease {
	struct dhcpd_lease pub;
	uint32_t addr; /* host order, the same as pub.addr */
	enum lease_state state;
	bool named;                            /* fixed together with its name */
	struct lease_port *port;               /* borrowed; NULL: unknown, or gone */
	uint64_t since_ms;                     /* last offer, acknowledgement, release or decline */
	struct lease *next, *prev;             /* in the list of its state, longest silent first */
	struct lease *next_offer, *prev_offer; /* OFFERED: of the same port, oldest first */
	struct lease *hash_next[LEASE_INDEXES];
	struct lease **hash_link[LEASE_INDEXES]; /* what points here; NULL: not in this index */
};

#define LEASE_RESERVED_MAX (DHCPD_RESERVED_MAX + 2)

struct lease_table_config {
	uint32_t net;                          /* host order, host bits clear */
	uint32_t hosts_n;                      /* usable host numbers are 1..hosts_n */
	uint32_t first;                        /* host number that is given out first, 1..hosts_n */
	uint32_t reserved[LEASE_RESERVED_MAX]; /* host numbers never given out; 0: none */
	uint32_t leases_max;
	uint32_t lease_s;                                    /* UINT32_MAX: for ever */
	bool (*is_seen)(void *ctx, const struct addr *addr); /* as in struct dhcpd_config */
	void *ctx;
	struct siphash_key hash_key;
};

struct lease_table;

/* Who asks for an address. */
struct lease_client {
	struct mac mac;
	uint32_t port; /* 0: unknown */
};

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
/* Walks all leases that were acknowledged once, and all fixed ones; start with *cursor = 0. */
const struct lease *lease_next(const struct lease_table *table, uint32_t *cursor);
/* Another number than before: something that lease_next() shows has changed. */
uint64_t lease_changes(const struct lease_table *table);

/* Offers an address to a MAC that has none: the first free one in pool order, or the one that is
 * missed least. NULL when every address is in use, or the client's port has its share. */
struct lease *lease_take(struct lease_table *table, const struct lease_client *client,
			 uint64_t now_ms);
/* The same for one certain address. NULL when it is not of the pool or not free. */
struct lease *lease_take_addr(struct lease_table *table, const struct lease_client *client,
			      uint32_t addr, uint64_t now_ms);
/* Binds an address to a MAC for ever; 'name' is a clean DNS label or "". Before any other lease.
 * -EINVAL, -EEXIST, -ENOSPC. */
int lease_fix(struct lease_table *table, const struct mac *mac, uint32_t addr, const char *name);
/* See dhcpd_restore(). */
int lease_restore(struct lease_table *table, const struct dhcpd_lease *lease, uint64_t now_ms);

/* The client was offered its address again, or spoke from another port. */
void lease_touch(struct lease_table *table, struct lease *lease, uint32_t port, uint64_t now_ms);

struct lease_ack {
	uint32_t port;    /* of the client */
	const char *name; /* a clean DNS label; "" keeps the name it had */
	bool renewal;     /* the client was up already: takes no name from another */
	bool bootp;
};
void lease_activate(struct lease_table *table, struct lease *lease, const struct lease_ack *ack,
		    uint64_t now_ms);
void lease_release(struct lease_table *table, struct lease *lease, uint64_t now_ms);
void lease_decline(struct lease_table *table, struct lease *lease, uint64_t now_ms);
/* Gives the address back to the pool and forgets the MAC. Not for a fixed lease. */
void lease_forget(struct lease_table *table, struct lease *lease);
/* A port's offers are forgotten, its leases are AWAY. */
void lease_port_gone(struct lease_table *table, uint32_t port, uint64_t now_ms);

#endif
