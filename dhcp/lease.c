#include "dhcp/lease.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64u
#define NO_POSITION UINT32_MAX

struct lease_list {
	struct lease *first, *last;
};

/* A position is a place in pool order: 0 is host number 'first', and after the net's last host come
 * its first ones. */
struct lease_table {
	struct lease_table_config config;
	struct lease *leases; /* leases_n of them; those from unused_from on were never used */
	uint32_t leases_n;
	uint32_t unused_from;
	struct lease_list lists[LEASE_STATES];
	uint64_t *taken;    /* a bit per position: reserved, or in the table */
	uint32_t free_hint; /* no position below this one is free */
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
}

static void set_state(struct lease_table *table, struct lease *lease, enum lease_state state,
		      uint64_t now_ms)
{
	list_remove(table, lease);
	lease->state = state;
	lease->since_ms = now_ms;
	list_append(table, lease);
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
	return lease && lease_is_active(lease, now_ms) ? lease : NULL;
}

bool lease_is_active(const struct lease *lease, uint64_t now_ms)
{
	return lease->pub.active && now_ms < lease->pub.expires_ms;
}

const struct lease *lease_next(const struct lease_table *table, uint32_t *cursor)
{
	while (*cursor < table->unused_from) {
		const struct lease *lease = &table->leases[(*cursor)++];
		if (lease->state == LEASE_ACTIVE || lease->state == LEASE_BOOTP ||
		    lease->state == LEASE_IDLE)
			return lease;
	}
	return NULL;
}

/* ---- the pool */

static uint32_t position_of_host(const struct lease_table_config *config, uint32_t host)
{
	return host >= config->first ? host - config->first
				     : host + config->hosts_n - config->first;
}

static uint32_t addr_at(const struct lease_table_config *config, uint32_t position)
{
	uint64_t past_first = (uint64_t)config->first - 1 + position;
	return config->net + 1 + (uint32_t)(past_first % config->hosts_n);
}

/* NO_POSITION when the address is no host of this net. */
static uint32_t position_of_addr(const struct lease_table_config *config, uint32_t addr)
{
	uint32_t host = addr - config->net; /* wraps far beyond hosts_n when addr is below */
	if (host == 0 || host > config->hosts_n)
		return NO_POSITION;
	return position_of_host(config, host);
}

static bool position_is_taken(const struct lease_table *table, uint32_t position)
{
	return table->taken[position / WORD_BITS] >> (position % WORD_BITS) & 1;
}

static void position_take(struct lease_table *table, uint32_t position)
{
	table->taken[position / WORD_BITS] |= UINT64_C(1) << (position % WORD_BITS);
}

static void position_free(struct lease_table *table, uint32_t position)
{
	table->taken[position / WORD_BITS] &= ~(UINT64_C(1) << (position % WORD_BITS));
	if (position < table->free_hint)
		table->free_hint = position;
}

/* The lowest free position, or NO_POSITION. Sixty-four at a time: a full /16 is 1024 steps. */
static uint32_t position_find(struct lease_table *table)
{
	uint32_t words = (table->config.hosts_n + WORD_BITS - 1) / WORD_BITS;
	for (uint32_t word = table->free_hint / WORD_BITS; word < words; word++) {
		uint64_t free_bits = ~table->taken[word];
		if (!free_bits)
			continue;
		uint32_t position = word * WORD_BITS + (uint32_t)__builtin_ctzll(free_bits);
		table->free_hint = position;
		return position < table->config.hosts_n ? position : NO_POSITION;
	}
	table->free_hint = table->config.hosts_n;
	return NO_POSITION;
}

/* ---- life of a lease */

void lease_forget(struct lease_table *table, struct lease *lease)
{
	assert(lease->state != LEASE_FREE);
	for (unsigned i = 0; i < LEASE_INDEXES; i++)
		index_remove(lease, (enum lease_index)i);
	position_free(table, position_of_addr(&table->config, lease->addr));
	lease->pub.active = false;
	set_state(table, lease, LEASE_FREE, 0);
}

/* The lease that is missed least, or NULL when all are in use. Stale offers go first: a flood of
 * DISCOVERs should not make the table forget guests that had an address. A BOOTP client says
 * nothing while it runs, so its silence counts only after a full lease time; a declined address is
 * better than none. */
static struct lease *least_missed(const struct lease_table *table, uint64_t now_ms)
{
	const struct lease_list *lists = table->lists;
	struct lease *offered = lists[LEASE_OFFERED].first;
	struct lease *bootp = lists[LEASE_BOOTP].first;
	if (offered && now_ms - offered->since_ms >= LEASE_OFFER_MS)
		return offered;
	if (lists[LEASE_IDLE].first)
		return lists[LEASE_IDLE].first;
	if (offered)
		return offered;
	if (bootp && (now_ms - bootp->since_ms) / 1000 >= table->config.lease_s)
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

/* 'position' NO_POSITION: whichever is free. */
static struct lease *bind_new(struct lease_table *table, const struct mac *mac, uint32_t position,
			      uint64_t now_ms)
{
	struct lease *lease = take_unused(table);
	if (!lease) {
		lease = least_missed(table, now_ms);
		if (!lease)
			return NULL;
		lease_forget(table, lease);
	}
	if (position == NO_POSITION)
		position = position_find(table);
	assert(position != NO_POSITION); /* there are at most as many leases as addresses */
	position_take(table, position);
	lease->addr = addr_at(&table->config, position);
	lease->pub = (struct dhcpd_lease){.addr = addr_v4(lease->addr), .mac = *mac};
	index_add(bucket_of(table, LEASE_BY_MAC, mac->b, sizeof(mac->b)), lease, LEASE_BY_MAC);
	index_add(bucket_of(table, LEASE_BY_ADDR, &lease->addr, sizeof(lease->addr)), lease,
		  LEASE_BY_ADDR);
	set_state(table, lease, LEASE_OFFERED, now_ms);
	return lease;
}

struct lease *lease_take(struct lease_table *table, const struct mac *mac, uint64_t now_ms)
{
	return bind_new(table, mac, NO_POSITION, now_ms);
}

struct lease *lease_take_addr(struct lease_table *table, const struct mac *mac, uint32_t addr,
			      uint64_t now_ms)
{
	uint32_t position = position_of_addr(&table->config, addr);
	if (position == NO_POSITION || position_is_taken(table, position))
		return NULL;
	return bind_new(table, mac, position, now_ms);
}

void lease_touch(struct lease_table *table, struct lease *lease, uint64_t now_ms)
{
	if (lease->state == LEASE_OFFERED || lease->state == LEASE_IDLE)
		set_state(table, lease, lease->state, now_ms);
}

/* A name belongs to the client that last booted with it, as when a guest is replaced by one with
 * another MAC; a renewal takes only a name nobody holds, so that two guests of one name do not
 * swap it at every renewal. */
static void take_name(struct lease_table *table, struct lease *lease, const struct lease_ack *ack,
		      uint64_t now_ms)
{
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
	if (owner && ack->renewal && lease_is_active(owner, now_ms))
		return;
	if (owner)
		index_remove(owner, LEASE_BY_NAME);
	index_add(bucket_of(table, LEASE_BY_NAME, name, strlen(name)), lease, LEASE_BY_NAME);
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
	take_name(table, lease, ack, now_ms);
}

void lease_release(struct lease_table *table, struct lease *lease, uint64_t now_ms)
{
	index_remove(lease, LEASE_BY_NAME);
	lease->pub.active = false;
	set_state(table, lease, LEASE_IDLE, now_ms);
}

void lease_decline(struct lease_table *table, struct lease *lease, uint64_t now_ms)
{
	index_remove(lease, LEASE_BY_NAME);
	index_remove(lease, LEASE_BY_MAC);
	lease->pub.active = false;
	set_state(table, lease, LEASE_BAD, now_ms);
}

/* Leases of one list all last equally long, so the first is always the next to end. */
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

/* ---- the table */

/* Marks what may never be given out; returns how many addresses are left. */
static uint32_t reserve(struct lease_table *table)
{
	const struct lease_table_config *config = &table->config;
	uint32_t left = config->hosts_n;
	for (unsigned i = 0; i < 2; i++) {
		uint32_t host = config->reserved[i];
		if (host == 0 || host > config->hosts_n)
			continue;
		uint32_t position = position_of_host(config, host);
		left -= !position_is_taken(table, position);
		position_take(table, position);
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
	int error = -ENOMEM;
	table->taken = calloc((config->hosts_n + WORD_BITS - 1) / WORD_BITS, sizeof(uint64_t));
	if (!table->taken)
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
	free(table->taken);
	free(table);
}
