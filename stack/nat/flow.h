/* The flow table: TCP connections, UDP mappings and pings of all guests, found by what a packet
 * says and by the token their host handle reports events with. Knows no protocol. */
#ifndef LWNAT_NAT_FLOW_H
#define LWNAT_NAT_FLOW_H

#include "stack/base/addr.h"
#include "stack/base/list.h"
#include "stack/base/rng.h"

#include <stdbool.h>
#include <stdint.h>

enum flow_kind { FLOW_TCP, FLOW_UDP, FLOW_PING, FLOW_KINDS };

struct flow_key {
	struct endpoint guest;
	struct endpoint peer; /* as the guest sees it; zero for a UDP mapping to any peer */
	uint32_t port_id;     /* of the guest's NIC: two guests may use one address */
	uint32_t kind;        /* enum flow_kind; ping: guest.port is the echo identifier */
};

/* The part all kinds share; the kind's own struct begins with it. */
struct flow {
	struct flow_key key;
	uint64_t token; /* what host events carry: never that of an earlier flow */
	uint64_t hash;
	struct flow *hash_next;
	struct guest *guest;    /* borrowed: a flow dies before its guest */
	struct list guest_link; /* in the guest's list of this kind, oldest use first */
	struct list age_link;   /* for the kinds that expire */
	uint64_t expires_ms;
	struct nat_forward *forward; /* it belongs to this one; or NULL */
	struct list forward_link;
	uint64_t bytes_to_guest, bytes_to_host; /* payload */
	int handle;                             /* the host's, owned; -1: none */
};

struct flow_table;

/* At most 'max' flows at once. 0 or -ENOMEM. */
int flow_table_new(struct flow_table **ret, struct rng *rng, uint32_t max);
void flow_table_free(struct flow_table *table); /* must be empty; NULL is fine */
uint32_t flow_table_count(const struct flow_table *table);

/* A key with its padding cleared, so that it can be hashed and compared as bytes. */
struct flow_key flow_key(enum flow_kind kind, uint32_t port_id, const struct endpoint *guest,
			 const struct endpoint *peer);
struct flow *flow_find(const struct flow_table *table, const struct flow_key *key);
struct flow *flow_by_token(const struct flow_table *table, uint64_t token);
/* Enters a flow whose key is set and not yet in the table; sets its token. 0, -ENOSPC or -ENOMEM.
 */
int flow_insert(struct flow_table *table, struct flow *flow);
void flow_remove(struct flow_table *table, struct flow *flow);

#endif
