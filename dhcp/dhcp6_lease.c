#include "dhcp/dhcp6_lease.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64u
#define NO_POSITION UINT32_MAX
#define HOSTS_MAX 65535u /* of a large net this many addresses are given away */
#define PORTS_MAX 512    /* ports with leases at a time */
#define SEARCH_STEPS 64  /* leases looked at for one that a port can do without */

struct lease6_list {
	struct lease6 *first, *last;
};

struct lease6_share {
	uint32_t port; /* 0: this place is free */
	uint32_t n;
};

/* A position is a place in pool order: 0 is host number 'first', and after the last one come those
 * from 1 on. */
struct lease6_table {
	struct subnet net;
	uint32_t hosts_n; /* host numbers are 1..hosts_n */
	uint32_t first;
	uint32_t per_port_max;
	struct siphash_key hash_key;
	struct lease6 *leases; /* leases_n of them; those from unused_from on were never used */
	uint32_t leases_n;
	uint32_t unused_from;
	struct lease6_list lists[LEASE6_STATES];
	struct lease6_share shares[PORTS_MAX];
	uint64_t *taken;    /* a bit per position: reserved, or in the table */
	uint32_t free_hint; /* no position below this one is free */
	struct lease6 **buckets[LEASE6_INDEXES];
	uint32_t bucket_mask;
};

/* ---- lists by state */

static void list_remove(struct lease6_table *table, struct lease6 *lease)
{
	struct lease6_list *list = &table->lists[lease->state];

	if (lease->prev)
		lease->prev->next = lease->next;
	else
		list->first = lease->next;
	if (lease->next)
		lease->next->prev = lease->prev;
	else
		list->last = lease->prev;
}

static void list_append(struct lease6_table *table, struct lease6 *lease)
{
	struct lease6_list *list = &table->lists[lease->state];

	lease->prev = list->last;
	lease->next = NULL;
	if (list->last)
		list->last->next = lease;
	else
		list->first = lease;
	list->last = lease;
}

static void set_state(struct lease6_table *table, struct lease6 *lease, enum lease6_state state,
		      uint64_t now_ms)
{
	list_remove(table, lease);
	lease->state = state;
	lease->since_ms = now_ms;
	list_append(table, lease);
}

/* ---- indexes */

static struct lease6 **bucket_of(const struct lease6_table *table, enum lease6_index index,
				 const void *key, size_t len)
{
	return &table->buckets[index][siphash(&table->hash_key, key, len) & table->bucket_mask];
}

static void index_add(struct lease6 **bucket, struct lease6 *lease, enum lease6_index index)
{
	lease->hash_next[index] = *bucket;
	if (*bucket)
		(*bucket)->hash_link[index] = &lease->hash_next[index];
	lease->hash_link[index] = bucket;
	*bucket = lease;
}

static void index_remove(struct lease6 *lease, enum lease6_index index)
{
	if (!lease->hash_link[index])
		return;
	*lease->hash_link[index] = lease->hash_next[index];
	if (lease->hash_next[index])
		lease->hash_next[index]->hash_link[index] = lease->hash_link[index];
	lease->hash_link[index] = NULL;
}

/* The next lease of this card in a chain. */
static struct lease6 *of_mac(struct lease6 *lease, const struct mac *mac)
{
	while (lease && !mac_eq(&lease->pub.mac, mac))
		lease = lease->hash_next[LEASE6_BY_MAC];
	return lease;
}

static struct lease6 *first_of_mac(const struct lease6_table *table, const struct mac *mac)
{
	return of_mac(*bucket_of(table, LEASE6_BY_MAC, mac->b, sizeof(mac->b)), mac);
}

static struct lease6 *next_of_mac(const struct lease6 *lease)
{
	return of_mac(lease->hash_next[LEASE6_BY_MAC], &lease->pub.mac);
}

struct lease6 *lease6_by_addr(const struct lease6_table *table, const struct addr *addr)
{
	struct lease6 *lease = *bucket_of(table, LEASE6_BY_ADDR, addr->b, sizeof(addr->b));

	while (lease && !addr_eq(&lease->pub.addr, addr))
		lease = lease->hash_next[LEASE6_BY_ADDR];
	return lease;
}

static struct lease6 *owner_of(const struct lease6_table *table, const char *name)
{
	struct lease6 *lease = *bucket_of(table, LEASE6_BY_NAME, name, strlen(name));

	while (lease && strcmp(lease->pub.hostname, name) != 0)
		lease = lease->hash_next[LEASE6_BY_NAME];
	return lease;
}

const struct lease6 *lease6_by_name(const struct lease6_table *table, const char *name,
				    uint64_t now_ms)
{
	const struct lease6 *lease = name[0] ? owner_of(table, name) : NULL;

	return lease && lease6_is_active(lease, now_ms) ? lease : NULL;
}

bool lease6_is_active(const struct lease6 *lease, uint64_t now_ms)
{
	return lease->pub.active && now_ms < lease->pub.expires_ms;
}

const struct lease6 *lease6_by_mac(const struct lease6_table *table, const struct mac *mac,
				   uint64_t now_ms)
{
	const struct lease6 *lease = first_of_mac(table, mac);

	while (lease && !lease6_is_active(lease, now_ms))
		lease = next_of_mac(lease);
	return lease;
}

const struct lease6 *lease6_next(const struct lease6_table *table, uint32_t *cursor)
{
	while (*cursor < table->unused_from) {
		const struct lease6 *lease = &table->leases[(*cursor)++];

		if (lease->state == LEASE6_ACTIVE || lease->state == LEASE6_IDLE)
			return lease;
	}
	return NULL;
}

/* ---- who asks */

static bool is_duid_of(const struct lease6 *lease, const struct lease6_client *client)
{
	return lease->pub.duid_len == client->duid_len &&
	       memcmp(lease->pub.duid, client->duid, client->duid_len) == 0;
}

static void set_client(struct lease6 *lease, const struct lease6_client *client)
{
	lease->pub.iaid = client->iaid;
	lease->pub.duid_len = client->duid_len;
	memcpy(lease->pub.duid, client->duid, client->duid_len);
}

struct lease6 *lease6_find(struct lease6_table *table, const struct lease6_client *client)
{
	struct lease6 *foreign = NULL;

	for (struct lease6 *lease = first_of_mac(table, &client->mac); lease;
	     lease = next_of_mac(lease)) {
		bool same = is_duid_of(lease, client);

		if (same && lease->pub.iaid == client->iaid)
			return lease;
		/* The one that most likely was for the same thing. */
		if (!same && (!foreign || lease->pub.iaid == client->iaid))
			foreign = lease;
	}
	if (foreign)
		set_client(foreign, client);
	return foreign;
}

/* ---- shares of ports */

static struct lease6_share *share_of(struct lease6_table *table, uint32_t port)
{
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		if (table->shares[i].port == port)
			return &table->shares[i];
	}
	return NULL;
}

static void leave_port(struct lease6_table *table, struct lease6 *lease)
{
	struct lease6_share *share = lease->port ? share_of(table, lease->port) : NULL;

	lease->port = 0;
	if (share && --share->n == 0)
		share->port = 0;
}

/* Where there is no place to count it, it goes uncounted: there are more places than ports. */
static void join_port(struct lease6_table *table, struct lease6 *lease, uint32_t port)
{
	struct lease6_share *share;

	if (lease->port == port)
		return;
	leave_port(table, lease);
	share = port ? share_of(table, port) : NULL;
	if (port && !share)
		share = share_of(table, 0);
	if (!share)
		return;
	share->port = port;
	share->n++;
	lease->port = port;
}

void lease6_port_gone(struct lease6_table *table, uint32_t port)
{
	struct lease6_share *share = port ? share_of(table, port) : NULL;

	if (!share)
		return;
	for (uint32_t i = 0; i < table->unused_from; i++) {
		if (table->leases[i].port == port)
			table->leases[i].port = 0;
	}
	*share = (struct lease6_share){0};
}

static struct lease6 *oldest_of_port(const struct lease6_table *table, enum lease6_state state,
				     uint32_t port)
{
	struct lease6 *lease = table->lists[state].first;

	for (unsigned i = 0; i < SEARCH_STEPS && lease; i++, lease = lease->next) {
		if (lease->port == port)
			return lease;
	}
	return NULL;
}

/* Makes room in a port's share. False when all that it has is in use. */
static bool make_room(struct lease6_table *table, uint32_t port)
{
	const struct lease6_share *share = port ? share_of(table, port) : NULL;
	struct lease6 *lease;

	if (!share || share->n < table->per_port_max)
		return true;
	lease = oldest_of_port(table, LEASE6_OFFERED, port);
	if (!lease)
		lease = oldest_of_port(table, LEASE6_IDLE, port);
	if (lease)
		lease6_forget(table, lease);
	return lease != NULL;
}

/* ---- the pool */

static uint32_t position_of_host(const struct lease6_table *table, uint32_t host)
{
	return host >= table->first ? host - table->first : host + table->hosts_n - table->first;
}

static struct addr addr_at(const struct lease6_table *table, uint32_t position)
{
	uint64_t past_first = (uint64_t)table->first - 1 + position;

	return subnet_nth(&table->net, 1 + (uint32_t)(past_first % table->hosts_n));
}

/* NO_POSITION when the address is none of the pool. */
static uint32_t position_of_addr(const struct lease6_table *table, const struct addr *addr)
{
	uint32_t host = subnet_index(&table->net, addr);
	struct addr back = subnet_nth(&table->net, host);

	if (host == 0 || host > table->hosts_n || !addr_eq(&back, addr))
		return NO_POSITION;
	return position_of_host(table, host);
}

static bool is_taken(const struct lease6_table *table, uint32_t position)
{
	return table->taken[position / WORD_BITS] >> (position % WORD_BITS) & 1;
}

static void position_take(struct lease6_table *table, uint32_t position)
{
	table->taken[position / WORD_BITS] |= UINT64_C(1) << (position % WORD_BITS);
}

static void position_free(struct lease6_table *table, uint32_t position)
{
	table->taken[position / WORD_BITS] &= ~(UINT64_C(1) << (position % WORD_BITS));
	if (position < table->free_hint)
		table->free_hint = position;
}

static uint32_t position_find(struct lease6_table *table)
{
	uint32_t words = (table->hosts_n + WORD_BITS - 1) / WORD_BITS;

	for (uint32_t word = table->free_hint / WORD_BITS; word < words; word++) {
		uint64_t free_bits = ~table->taken[word];
		uint32_t position;

		if (!free_bits)
			continue;
		position = word * WORD_BITS + (uint32_t)__builtin_ctzll(free_bits);
		table->free_hint = position;
		return position < table->hosts_n ? position : NO_POSITION;
	}
	table->free_hint = table->hosts_n;
	return NO_POSITION;
}

/* ---- life of a lease */

void lease6_forget(struct lease6_table *table, struct lease6 *lease)
{
	assert(lease->state != LEASE6_FREE);
	for (unsigned i = 0; i < LEASE6_INDEXES; i++)
		index_remove(lease, (enum lease6_index)i);
	leave_port(table, lease);
	position_free(table, lease->position);
	lease->pub.active = false;
	set_state(table, lease, LEASE6_FREE, 0);
}

/* The lease that is missed least, or NULL when all are in use. Stale offers go first: a flood of
 * Solicits should not make the table forget guests that had an address. */
static struct lease6 *least_missed(const struct lease6_table *table, uint64_t now_ms)
{
	const struct lease6_list *lists = table->lists;
	struct lease6 *offered = lists[LEASE6_OFFERED].first;

	if (offered && now_ms - offered->since_ms >= LEASE6_OFFER_MS)
		return offered;
	if (lists[LEASE6_IDLE].first)
		return lists[LEASE6_IDLE].first;
	return offered ? offered : lists[LEASE6_BAD].first;
}

static struct lease6 *take_unused(struct lease6_table *table, uint64_t now_ms)
{
	struct lease6 *lease = table->lists[LEASE6_FREE].first;

	if (!lease && table->unused_from < table->leases_n) {
		lease = &table->leases[table->unused_from++];
		lease->state = LEASE6_FREE;
		list_append(table, lease);
	}
	if (!lease) {
		lease = least_missed(table, now_ms);
		if (lease)
			lease6_forget(table, lease);
	}
	return lease;
}

static bool card_has_its_share(const struct lease6_table *table, const struct mac *mac)
{
	const struct lease6 *lease = first_of_mac(table, mac);
	unsigned n = 0;

	for (; lease; lease = next_of_mac(lease))
		n++;
	return n >= DHCPD6_IAS_MAX;
}

struct lease6 *lease6_take(struct lease6_table *table, const struct lease6_client *client,
			   const struct addr *wish, uint64_t now_ms)
{
	uint32_t position = wish ? position_of_addr(table, wish) : NO_POSITION;
	struct lease6 *lease;

	if (wish && (position == NO_POSITION || is_taken(table, position)))
		return NULL;
	if (card_has_its_share(table, &client->mac) || !make_room(table, client->port))
		return NULL;
	lease = take_unused(table, now_ms);
	if (!lease)
		return NULL;
	if (position == NO_POSITION)
		position = position_find(table);
	assert(position != NO_POSITION); /* there are at most as many leases as addresses */
	position_take(table, position);
	lease->position = position;
	lease->pub = (struct dhcpd6_lease){.addr = addr_at(table, position), .mac = client->mac};
	set_client(lease, client);
	join_port(table, lease, client->port);
	index_add(bucket_of(table, LEASE6_BY_MAC, client->mac.b, sizeof(client->mac.b)), lease,
		  LEASE6_BY_MAC);
	index_add(bucket_of(table, LEASE6_BY_ADDR, lease->pub.addr.b, sizeof(lease->pub.addr.b)),
		  lease, LEASE6_BY_ADDR);
	set_state(table, lease, LEASE6_OFFERED, now_ms);
	return lease;
}

void lease6_touch(struct lease6_table *table, struct lease6 *lease, uint32_t port, uint64_t now_ms)
{
	join_port(table, lease, port);
	if (lease->state == LEASE6_OFFERED || lease->state == LEASE6_IDLE)
		set_state(table, lease, lease->state, now_ms);
}

/* As in DHCPv4: a name is the client's that last booted with it. */
static void take_name(struct lease6_table *table, struct lease6 *lease, const char *name,
		      bool renewal, uint64_t now_ms)
{
	struct lease6 *owner;

	if (name[0] && strcmp(name, lease->pub.hostname) != 0) {
		size_t size = strlen(name) + 1;

		assert(size <= sizeof(lease->pub.hostname));
		index_remove(lease, LEASE6_BY_NAME);
		memcpy(lease->pub.hostname, name, size);
	}
	name = lease->pub.hostname;
	if (!name[0] || lease->hash_link[LEASE6_BY_NAME])
		return;
	owner = owner_of(table, name);
	if (owner && renewal && lease6_is_active(owner, now_ms))
		return;
	if (owner)
		index_remove(owner, LEASE6_BY_NAME);
	index_add(bucket_of(table, LEASE6_BY_NAME, name, strlen(name)), lease, LEASE6_BY_NAME);
}

void lease6_activate(struct lease6_table *table, struct lease6 *lease, const char *name,
		     bool renewal, uint64_t expires_ms, uint64_t now_ms)
{
	assert(lease->state != LEASE6_FREE && lease->state != LEASE6_BAD);
	lease->pub.active = true;
	lease->pub.expires_ms = expires_ms;
	set_state(table, lease, LEASE6_ACTIVE, now_ms);
	take_name(table, lease, name, renewal, now_ms);
}

void lease6_release(struct lease6_table *table, struct lease6 *lease, uint64_t now_ms)
{
	index_remove(lease, LEASE6_BY_NAME);
	lease->pub.active = false;
	set_state(table, lease, LEASE6_IDLE, now_ms);
}

void lease6_decline(struct lease6_table *table, struct lease6 *lease, uint64_t now_ms)
{
	index_remove(lease, LEASE6_BY_NAME);
	index_remove(lease, LEASE6_BY_MAC);
	leave_port(table, lease);
	lease->pub.active = false;
	set_state(table, lease, LEASE6_BAD, now_ms);
}

/* Leases of one list all last equally long but for those that were restored: one of them that ends
 * early waits behind those before it, and lease6_is_active() knows. */
void lease6_table_tick(struct lease6_table *table, uint64_t now_ms)
{
	struct lease6 *lease = table->lists[LEASE6_ACTIVE].first;

	while (lease && lease->pub.expires_ms <= now_ms) {
		lease6_release(table, lease, lease->pub.expires_ms);
		lease = table->lists[LEASE6_ACTIVE].first;
	}
	lease = table->lists[LEASE6_BAD].first;
	while (lease && now_ms - lease->since_ms >= LEASE6_BAD_MS) {
		lease6_forget(table, lease);
		lease = table->lists[LEASE6_BAD].first;
	}
}

/* ---- the table */

/* Marks an address that may never be given out; how many that takes away. */
static uint32_t reserve(struct lease6_table *table, const struct addr *addr)
{
	uint32_t position =
	    subnet_contains(&table->net, addr) ? position_of_addr(table, addr) : NO_POSITION;

	if (position == NO_POSITION || is_taken(table, position))
		return 0;
	position_take(table, position);
	return 1;
}

static int allocate(struct lease6_table *table)
{
	uint32_t buckets_n = 16;
	bool ok;

	while (buckets_n < table->leases_n)
		buckets_n *= 2;
	table->bucket_mask = buckets_n - 1;
	table->leases = calloc(table->leases_n, sizeof(*table->leases));
	ok = table->leases != NULL;
	for (unsigned i = 0; i < LEASE6_INDEXES; i++) {
		table->buckets[i] = calloc(buckets_n, sizeof(struct lease6 *));
		ok = ok && table->buckets[i];
	}
	return ok ? 0 : -ENOMEM;
}

static int set_up(struct lease6_table *table, const struct dhcpd6_config *config)
{
	unsigned host_bits = 128u - config->net.prefix_len;
	uint32_t addrs_n;

	table->net = (struct subnet){subnet_base(&config->net), config->net.prefix_len};
	table->hosts_n = host_bits >= 16 ? HOSTS_MAX : (UINT32_C(1) << host_bits) - 1;
	table->first = subnet_index(&table->net, &config->pool_first);
	table->per_port_max = config->per_port_max;
	table->hash_key = config->hash_key;
	if (!subnet_contains(&table->net, &config->pool_first) || table->first == 0 ||
	    table->first > table->hosts_n || config->leases_max == 0)
		return -EINVAL;
	table->taken = calloc((table->hosts_n + WORD_BITS - 1) / WORD_BITS, sizeof(*table->taken));
	if (!table->taken)
		return -ENOMEM;
	addrs_n = table->hosts_n - reserve(table, &config->server) - reserve(table, &config->dns);
	for (unsigned i = 0; i < config->reserved_n; i++)
		addrs_n -= reserve(table, &config->reserved[i]);
	if (addrs_n == 0)
		return -EINVAL;
	table->leases_n = config->leases_max < addrs_n ? config->leases_max : addrs_n;
	return allocate(table);
}

int lease6_table_new(struct lease6_table **ret, const struct dhcpd6_config *config)
{
	struct lease6_table *table = calloc(1, sizeof(*table));
	int result;

	if (!table)
		return -ENOMEM;
	result = set_up(table, config);
	if (result < 0) {
		lease6_table_free(table);
		return result;
	}
	*ret = table;
	return 0;
}

void lease6_table_free(struct lease6_table *table)
{
	if (!table)
		return;
	for (unsigned i = 0; i < LEASE6_INDEXES; i++)
		free(table->buckets[i]);
	free(table->leases);
	free(table->taken);
	free(table);
}
