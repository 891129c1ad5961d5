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

#define FLOW_METER_MS 1000u

/* When a flow moved payload, and how fast of late. Told by those who move it, at each of their
 * calls to the host; nothing runs for it while it is silent. */
struct flow_meter {
	uint64_t began_ms, used_ms;
	uint64_t since_ms; /* the current span's start; one is FLOW_METER_MS long or longer */
	uint64_t mark_to_host, mark_to_guest; /* bytes up to then */
	uint32_t rate_to_host, rate_to_guest; /* bytes per second in the span before */
	uint64_t packets_to_host, packets_to_guest;
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
	struct flow_meter meter;
	int handle; /* the host's, owned; -1: none */
};

/* Payload has moved. */
void flow_meter_turn(struct flow *flow, uint64_t now_ms);
static inline void flow_moved(struct flow *flow, uint64_t to_host, uint64_t to_guest,
			      uint64_t now_ms)
{
	if (now_ms - flow->meter.since_ms >= FLOW_METER_MS)
		flow_meter_turn(flow, now_ms);
	flow->meter.used_ms = now_ms;
	flow->bytes_to_host += to_host;
	flow->bytes_to_guest += to_guest;
}
/* Bytes per second of late, as they are at now_ms. */
void flow_rates(const struct flow *flow, uint64_t now_ms, uint64_t *ret_to_host,
		uint64_t *ret_to_guest);

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
/* Visits flows from place *cursor on (0 at the start), 'max' places at most, and moves
 * *cursor on; false at the end. What comes and goes between two calls may be missed, or seen
 * twice. */
bool flow_walk(const struct flow_table *table, uint32_t *cursor, unsigned max,
	       void (*visit)(void *ctx, const struct flow *flow), void *ctx);
/* Enters a flow whose key is set and not yet in the table; sets its token. 0, -ENOSPC or -ENOMEM.
 */
int flow_insert(struct flow_table *table, struct flow *flow);
void flow_remove(struct flow_table *table, struct flow *flow);

#endif
