#include "dhcp/lease.h"

#include "dhcp/lease_pool.h"
#include "dhcp/lease_port.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_TRIES 16 /* leases AWAY that are asked about before one of them is taken */

struct lease_list {
	struct lease *first, *last;
	uint32_t n;
};

struct lease_table {
	struct lease_table_config config;
	struct lease *leases; /* leases_n of them; those from unused_from on were never used */
	uint32_t leases_n;
	uint32_t unused_from;
	struct lease_list lists[LEASE_STATES];
	struct lease_ports ports;
	uint64_t changes;
	struct lease_pool pool; /* taken: reserved, or in the table */
	struct lease **buckets[LEASE_INDEXES];
	uint32_t bucket_mask;
};

/* ---- lists by state */

static void list_remove(struct lease_table *table, struct lease *lease)
{
	struct lease_list *list = &table->lists[lease->state];
	if (lease->prev)
		lease->prev->next = lease->next;
	else
		list->first = lease->next;
	if (lease->next)
		lease->next->prev = lease->prev;
	else
		list->last = lease->prev;
	list->n--;
}

static void list_append(struct lease_table *table, struct lease *lease)
{
	struct lease_list *list = &table->lists[lease->state];
	lease->prev = list->last;
	lease->next = NULL;
	if (list->last)
		list->last->next = lease;
	else
		list->first = lease;
	list->last = lease;
	list->n++;
}

static void set_state(struct lease_table *table, struct lease *lease, enum lease_state state,
		      uint64_t now_ms)
{
	lease_port_uncount(lease);
	list_remove(table, lease);
	lease->state = state;
	lease->since_ms = now_ms;
	list_append(table, lease);
	lease_port_count(lease);
}

static void set_port(struct lease_table *table, struct lease *lease, uint32_t port)
{
	lease_port_uncount(lease);
	lease->port = lease_ports_get(&table->ports, port);
	lease->pub.port = lease->port ? port : 0;
	lease_port_count(lease);
}

/* ---- indexes */

static struct lease **bucket_of(const struct lease_table *table, enum lease_index index,
				const void *key, size_t len)
{
	uint64_t hash = siphash(&table->config.hash_key, key, len);
	return &table->buckets[index][hash & table->bucket_mask];
}

static void index_add(struct lease **bucket, struct lease *lease, enum lease_index index)
{
	lease->hash_next[index] = *bucket;
	if (*bucket)
		(*bucket)->hash_link[index] = &lease->hash_next[index];
	lease->hash_link[index] = bucket;
	*bucket = lease;
}

static void index_remove(struct lease *lease, enum lease_index index)
{
	if (!lease->hash_link[index])
		return;
	*lease->hash_link[index] = lease->hash_next[index];
	if (lease->hash_next[index])
		lease->hash_next[index]->hash_link[index] = lease->hash_link[index];
	lease->hash_link[index] = NULL;
}

struct lease *lease_by_mac(const struct lease_table *table, const struct mac *mac)
{
	struct lease *lease = *bucket_of(table, LEASE_BY_MAC, mac->b, sizeof(mac->b));
	while (lease && !mac_eq(&lease->pub.mac, mac))
		lease = lease->hash_next[LEASE_BY_MAC];
	return lease;
}

struct lease *lease_by_addr(const struct lease_table *table, uint32_t addr)
{
	struct lease *lease = *bucket_of(table, LEASE_BY_ADDR, &addr, sizeof(addr));
	while (lease && lease->addr != addr)
		lease = lease->hash_next[LEASE_BY_ADDR];
	return lease;
}

/* The one lease that owns a name; it may have expired since. */
static struct lease *owner_of(const struct lease_table *table, const char *name)
{
	struct lease *lease = *bucket_of(table, LEASE_BY_NAME, name, strlen(name));
	while (lease && strcmp(lease->pub.hostname, name) != 0)
		lease = lease->hash_next[LEASE_BY_NAME];
	return lease;
}

const struct lease *lease_by_name(const struct lease_table *table, const char *name,
				  uint64_t now_ms)
{
	const struct lease *lease = name[0] ? owner_of(table, name) : NULL;
	return lease && (lease->named || lease_is_active(lease, now_ms)) ? lease : NULL;
}

bool lease_is_active(const struct lease *lease, uint64_t now_ms)
{
	return lease->pub.active && now_ms < lease->pub.expires_ms;
}

const struct lease *lease_next(const struct lease_table *table, uint32_t *cursor)
{
	while (*cursor < table->unused_from) {
		const struct lease *lease = &table->leases[(*cursor)++];
		if (lease->state != LEASE_FREE && lease->state != LEASE_OFFERED &&
		    lease->state != LEASE_BAD)
			return lease;
	}
	return NULL;
}

uint64_t lease_changes(const struct lease_table *table)
{
	return table->changes;
}

/* ---- life of a lease */

void lease_forget(struct lease_table *table, struct lease *lease)
{
	assert(lease->state != LEASE_FREE && !lease->pub.fixed);
	table->changes += lease->state != LEASE_OFFERED;
	for (unsigned i = 0; i < LEASE_INDEXES; i++)
		index_remove(lease, (enum lease_index)i);
	lease_pool_give(&table->pool, lease_pool_position(&table->pool, lease->addr));
	lease->pub.active = false;
	set_state(table, lease, LEASE_FREE, 0);
	lease->port = NULL;
}

/* The lease whose guest has been away longest. One that is seen on the net all the same (its port
 * came back and it keeps to its lease without a word to us) goes to the end of the line. */
static struct lease *longest_away(struct lease_table *table)
{
	struct lease_list *list = &table->lists[LEASE_AWAY];
	for (unsigned i = 0; i < SEEN_TRIES && list->first; i++) {
		struct lease *lease = list->first;
		if (!table->config.is_seen ||
		    !table->config.is_seen(table->config.ctx, &lease->pub.addr))
			return lease;
		set_state(table, lease, LEASE_AWAY, lease->since_ms);
	}
	return NULL;
}

/* The lease that is missed least, or NULL when all are in use. Stale offers go first: a flood of
 * DISCOVERs should not make the table forget guests that had an address. Then what expired or was
 * released, the oldest first; then what guests that have gone left behind. A BOOTP client says
 * nothing while it runs, so its silence counts only after a full lease time; a declined address is
 * better than none. */
static struct lease *least_missed(struct lease_table *table, uint64_t now_ms)
{
	const struct lease_list *lists = table->lists;
	struct lease *offered = lists[LEASE_OFFERED].first;
	struct lease *bootp = lists[LEASE_BOOTP].first;
	if (offered && now_ms - offered->since_ms >= LEASE_OFFER_MS)
		return offered;
	if (lists[LEASE_IDLE].first)
		return lists[LEASE_IDLE].first;
	struct lease *away = longest_away(table);
	if (away)
		return away;
	if (offered)
		return offered;
	if (bootp && !bootp->pub.fixed &&
	    (now_ms - bootp->since_ms) / 1000 >= table->config.lease_s)
		return bootp;
	return lists[LEASE_BAD].first;
}

static struct lease *take_unused(struct lease_table *table)
{
	struct lease *lease = table->lists[LEASE_FREE].first;
	if (lease || table->unused_from == table->leases_n)
		return lease;
	lease = &table->leases[table->unused_from++];
	lease->state = LEASE_FREE;
	list_append(table, lease);
	return lease;
}

/* How many addresses could still be given without taking one from somebody. */
static uint32_t left_n(const struct lease_table *table)
{
	const struct lease_list *lists = table->lists;
	return table->leases_n - lists[LEASE_OFFERED].n - lists[LEASE_ACTIVE].n -
	       lists[LEASE_BOOTP].n - lists[LEASE_BAD].n - lists[LEASE_KEPT].n;
}

/* A lease to write the new one into; NULL when there is none for this port. */
static struct lease *take_any(struct lease_table *table, const struct lease_port *port,
			      uint64_t now_ms)
{
	struct lease *lease = NULL;
	bool may = lease_port_may_take(port, left_n(table));
	if (port && (!may || port->offers_n >= LEASE_PORT_OFFERS))
		lease = port->first_offer;
	if (!lease && may)
		lease = take_unused(table);
	if (!lease && may)
		lease = least_missed(table, now_ms);
	if (lease && lease->state != LEASE_FREE)
		lease_forget(table, lease);
	return lease;
}

static void bind_to(struct lease_table *table, struct lease *lease, const struct mac *mac,
		    uint32_t position)
{
	lease_pool_take(&table->pool, position);
	lease->addr = lease_pool_addr(&table->pool, position);
	lease->pub = (struct dhcpd_lease){.addr = addr_v4(lease->addr), .mac = *mac};
	lease->named = false;
	index_add(bucket_of(table, LEASE_BY_MAC, mac->b, sizeof(mac->b)), lease, LEASE_BY_MAC);
	index_add(bucket_of(table, LEASE_BY_ADDR, &lease->addr, sizeof(lease->addr)), lease,
		  LEASE_BY_ADDR);
}

/* 'position' LEASE_POOL_NONE: whichever is free. */
static struct lease *bind_new(struct lease_table *table, const struct lease_client *client,
			      uint32_t position, uint64_t now_ms)
{
	const struct lease_port *port = lease_ports_get(&table->ports, client->port);
	struct lease *lease = take_any(table, port, now_ms);
	if (!lease)
		return NULL;
	if (position == LEASE_POOL_NONE)
		position = lease_pool_find(&table->pool);
	assert(position != LEASE_POOL_NONE); /* there are at most as many leases as addresses */
	bind_to(table, lease, &client->mac, position);
	set_state(table, lease, LEASE_OFFERED, now_ms);
	set_port(table, lease, client->port);
	return lease;
}

struct lease *lease_take(struct lease_table *table, const struct lease_client *client,
			 uint64_t now_ms)
{
	return bind_new(table, client, LEASE_POOL_NONE, now_ms);
}

struct lease *lease_take_addr(struct lease_table *table, const struct lease_client *client,
			      uint32_t addr, uint64_t now_ms)
{
	uint32_t position = lease_pool_position(&table->pool, addr);
	if (position == LEASE_POOL_NONE || lease_pool_is_taken(&table->pool, position))
		return NULL;
	return bind_new(table, client, position, now_ms);
}

void lease_touch(struct lease_table *table, struct lease *lease, uint32_t port, uint64_t now_ms)
{
	if (lease->state == LEASE_OFFERED || lease->state == LEASE_IDLE)
		set_state(table, lease, lease->state, now_ms);
	set_port(table, lease, port);
}

static void give_name(struct lease_table *table, struct lease *lease, const char *name)
{
	size_t size = strlen(name) + 1;
	assert(size <= sizeof(lease->pub.hostname));
	index_remove(lease, LEASE_BY_NAME);
	memmove(lease->pub.hostname, name, size);
	index_add(bucket_of(table, LEASE_BY_NAME, name, size - 1), lease, LEASE_BY_NAME);
}

/* A name that is fixed is nobody else's. Otherwise it is whose guest has it and is there; of two
 * that come from one port, and after a guest has gone, it is the one's that booted last, as when a
 * guest is replaced by one with another MAC. A renewal takes only a name nobody holds, so that two
 * guests of one name do not swap it. */
static bool keeps_name(const struct lease *owner, const struct lease *other,
		       const struct lease_ack *ack, uint64_t now_ms)
{
	if (owner->named)
		return true;
	if (!lease_is_active(owner, now_ms))
		return false;
	return ack->renewal || (owner->port && other->port && owner->port != other->port);
}

static void take_name(struct lease_table *table, struct lease *lease, const struct lease_ack *ack,
		      uint64_t now_ms)
{
	if (lease->named)
		return;
	if (ack->name[0] && strcmp(ack->name, lease->pub.hostname) != 0) {
		index_remove(lease, LEASE_BY_NAME);
		size_t size = strlen(ack->name) + 1;
		assert(size <= sizeof(lease->pub.hostname));
		memcpy(lease->pub.hostname, ack->name, size);
	}
	const char *name = lease->pub.hostname;
	if (!name[0] || lease->hash_link[LEASE_BY_NAME])
		return;
	struct lease *owner = owner_of(table, name);
	if (owner && keeps_name(owner, lease, ack, now_ms))
		return;
	if (owner)
		index_remove(owner, LEASE_BY_NAME);
	give_name(table, lease, name);
}

void lease_activate(struct lease_table *table, struct lease *lease, const struct lease_ack *ack,
		    uint64_t now_ms)
{
	assert(lease->state != LEASE_FREE && lease->state != LEASE_BAD);
	bool for_ever = ack->bootp || table->config.lease_s == UINT32_MAX;
	lease->pub.active = true;
	lease->pub.expires_ms =
	    for_ever ? UINT64_MAX : now_ms + (uint64_t)table->config.lease_s * 1000;
	set_state(table, lease, ack->bootp ? LEASE_BOOTP : LEASE_ACTIVE, now_ms);
	set_port(table, lease, ack->port);
	take_name(table, lease, ack, now_ms);
	table->changes++;
}

static void end_name(struct lease *lease)
{
	if (!lease->named)
		index_remove(lease, LEASE_BY_NAME);
}

void lease_release(struct lease_table *table, struct lease *lease, uint64_t now_ms)
{
	end_name(lease);
	lease->pub.active = false;
	set_state(table, lease, lease->pub.fixed ? LEASE_KEPT : LEASE_IDLE, now_ms);
	table->changes++;
}

/* A fixed lease stays what it is: its user has to settle who has the address. */
void lease_decline(struct lease_table *table, struct lease *lease, uint64_t now_ms)
{
	if (lease->pub.fixed) {
		lease_release(table, lease, now_ms);
		return;
	}
	index_remove(lease, LEASE_BY_NAME);
	index_remove(lease, LEASE_BY_MAC);
	lease->pub.active = false;
	set_state(table, lease, LEASE_BAD, now_ms);
	table->changes++;
}

/* Leases of the list ACTIVE all last equally long, so the first is always the next to end. Those
 * AWAY end in no order; that they have is seen where it matters. */
void lease_table_tick(struct lease_table *table, uint64_t now_ms)
{
	struct lease *lease = table->lists[LEASE_ACTIVE].first;
	while (lease && lease->pub.expires_ms <= now_ms) {
		lease_release(table, lease, lease->pub.expires_ms);
		lease = table->lists[LEASE_ACTIVE].first;
	}
	lease = table->lists[LEASE_BAD].first;
	while (lease && now_ms - lease->since_ms >= LEASE_BAD_MS) {
		lease_forget(table, lease);
		lease = table->lists[LEASE_BAD].first;
	}
}

static void leave_port(struct lease_table *table, struct lease *lease, uint64_t now_ms)
{
	set_port(table, lease, 0);
	if (lease->state == LEASE_OFFERED)
		lease_forget(table, lease);
	else if (lease->pub.fixed)
		set_state(table, lease, LEASE_KEPT, now_ms);
	else if (lease->state == LEASE_ACTIVE || lease->state == LEASE_BOOTP)
		set_state(table, lease, LEASE_AWAY, now_ms);
}

void lease_port_gone(struct lease_table *table, uint32_t port, uint64_t now_ms)
{
	struct lease_port *gone = lease_ports_find(&table->ports, port);
	if (!gone)
		return;
	for (uint32_t i = 0; i < table->unused_from; i++) {
		struct lease *lease = &table->leases[i];
		if (lease->state != LEASE_FREE && lease->port == gone)
			leave_port(table, lease, now_ms);
	}
	assert(gone->held_n == 0);
	gone->id = 0;
}

/* ---- leases that nobody asked for */

int lease_fix(struct lease_table *table, const struct mac *mac, uint32_t addr, const char *name)
{
	uint32_t position = lease_pool_position(&table->pool, addr);
	if (position == LEASE_POOL_NONE)
		return -EINVAL;
	if (lease_pool_is_taken(&table->pool, position) || lease_by_mac(table, mac) ||
	    (name[0] && owner_of(table, name)))
		return -EEXIST;
	struct lease *lease = take_unused(table);
	if (!lease)
		return -ENOSPC;
	bind_to(table, lease, mac, position);
	lease->pub.fixed = true;
	set_state(table, lease, LEASE_KEPT, 0);
	if (name[0]) {
		give_name(table, lease, name);
		lease->named = true;
	}
	return 0;
}

/* Where a lease of the file goes: its own fixed one, or a free place. */
static int place_restored(struct lease_table *table, const struct dhcpd_lease *lease,
			  struct lease **ret)
{
	uint32_t addr = addr_to_v4(&lease->addr);
	uint32_t position = lease_pool_position(&table->pool, addr);
	if (position == LEASE_POOL_NONE)
		return -EINVAL;
	*ret = lease_by_mac(table, &lease->mac);
	if (*ret)
		return (*ret)->state == LEASE_KEPT && (*ret)->addr == addr && !(*ret)->pub.active
			   ? 0
			   : -EEXIST;
	if (lease_pool_is_taken(&table->pool, position))
		return -EEXIST;
	*ret = take_unused(table);
	if (!*ret)
		return -ENOSPC;
	bind_to(table, *ret, &lease->mac, position);
	return 0;
}

int lease_restore(struct lease_table *table, const struct dhcpd_lease *lease, uint64_t now_ms)
{
	struct lease_ack ack = {.name = lease->hostname, .renewal = true};
	struct lease *to;
	int error = place_restored(table, lease, &to);
	if (error)
		return error;
	to->pub.active = lease->active;
	to->pub.expires_ms = lease->expires_ms;
	if (!to->pub.fixed)
		set_state(table, to, lease->active ? LEASE_AWAY : LEASE_IDLE, now_ms);
	if (lease->active)
		take_name(table, to, &ack, now_ms);
	return 0;
}

/* ---- the table */

/* Marks what may never be given out; returns how many addresses are left. */
static uint32_t reserve(struct lease_table *table)
{
	uint32_t left = table->config.hosts_n;
	for (unsigned i = 0; i < LEASE_RESERVED_MAX; i++) {
		uint32_t host = table->config.reserved[i];
		uint32_t position = lease_pool_position(&table->pool, table->config.net + host);
		if (position == LEASE_POOL_NONE)
			continue;
		left -= !lease_pool_is_taken(&table->pool, position);
		lease_pool_take(&table->pool, position);
	}
	return left;
}

static int allocate(struct lease_table *table)
{
	uint32_t buckets_n = 16;
	while (buckets_n < table->leases_n)
		buckets_n *= 2;
	table->bucket_mask = buckets_n - 1;
	table->leases = calloc(table->leases_n, sizeof(*table->leases));
	bool ok = table->leases != NULL;
	for (unsigned i = 0; i < LEASE_INDEXES; i++) {
		table->buckets[i] = calloc(buckets_n, sizeof(*table->buckets[i]));
		ok = ok && table->buckets[i];
	}
	return ok ? 0 : -ENOMEM;
}

int lease_table_new(struct lease_table **ret, const struct lease_table_config *config)
{
	if (config->hosts_n == 0 || config->first == 0 || config->first > config->hosts_n ||
	    config->leases_max == 0)
		return -EINVAL;
	struct lease_table *table = calloc(1, sizeof(*table));
	if (!table)
		return -ENOMEM;
	table->config = *config;
	int error = lease_pool_init(&table->pool, config->net, config->hosts_n, config->first);
	if (error)
		goto fail;
	error = -EINVAL;
	uint32_t addrs_n = reserve(table);
	if (addrs_n == 0)
		goto fail;
	table->leases_n = config->leases_max < addrs_n ? config->leases_max : addrs_n;
	error = allocate(table);
	if (error)
		goto fail;
	*ret = table;
	return 0;
fail:
	lease_table_free(table);
	return error;
}

void lease_table_free(struct lease_table *table)
{
	if (!table)
		return;
	for (unsigned i = 0; i < LEASE_INDEXES; i++)
		free(table->buckets[i]);
	free(table->leases);
	lease_pool_fini(&table->pool);
	free(table);
}
