#include "stack/nat/flow.h"

#include "stack/base/siphash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 256

/* Where a token points: the low half is the row, the high half must equal 'generation'. */
struct row {
	struct flow *flow; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};

struct flow_table {
	struct siphash_key key;
	struct flow **buckets;
	uint32_t buckets_n; /* power of two */
	struct row *rows;
	uint32_t rows_n; /* allocated */
	uint32_t rows_used;
	uint32_t free_row; /* head of the free rows, or UINT32_MAX */
	uint32_t count, max;
};

int flow_table_new(struct flow_table **ret, struct rng *rng, uint32_t max)
{
	struct flow_table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	table->buckets = calloc(BUCKETS_MIN, sizeof(*table->buckets));
	if (!table->buckets) {
		free(table);
		return -ENOMEM;
	}
	table->buckets_n = BUCKETS_MIN;
	table->key.k[0] = rng_u64(rng);
	table->key.k[1] = rng_u64(rng);
	table->free_row = UINT32_MAX;
	table->max = max;
	*ret = table;
	return 0;
}

void flow_table_free(struct flow_table *table)
{
	if (!table)
		return;
	free(table->buckets);
	free(table->rows);
	free(table);
}

uint32_t flow_table_count(const struct flow_table *table)
{
	return table->count;
}

struct flow_key flow_key(enum flow_kind kind, uint32_t port_id, const struct endpoint *guest,
			 const struct endpoint *peer)
{
	struct flow_key key;

	memset(&key, 0, sizeof(key));
	key.guest.addr = guest->addr;
	key.guest.port = guest->port;
	if (peer) {
		key.peer.addr = peer->addr;
		key.peer.port = peer->port;
	}
	key.port_id = port_id;
	key.kind = kind;
	return key;
}

struct flow *flow_find(const struct flow_table *table, const struct flow_key *key)
{
	uint64_t hash = siphash(&table->key, key, sizeof(*key));
	struct flow *flow = table->buckets[hash & (table->buckets_n - 1)];

	while (flow && (flow->hash != hash || memcmp(&flow->key, key, sizeof(*key)) != 0))
		flow = flow->hash_next;
	return flow;
}

struct flow *flow_by_token(const struct flow_table *table, uint64_t token)
{
	uint32_t row = (uint32_t)token;

	if (row >= table->rows_used || table->rows[row].generation != (uint32_t)(token >> 32))
		return NULL;
	return table->rows[row].flow;
}

/* Doubles the buckets when they hold more than one flow each on average. Failing to is no error:
 * chains grow. */
static void grow_buckets(struct flow_table *table)
{
	uint32_t buckets_n = table->buckets_n * 2;
	struct flow **buckets = calloc(buckets_n, sizeof(struct flow *));

	if (!buckets)
		return;
	for (uint32_t i = 0; i < table->buckets_n; i++) {
		struct flow *flow = table->buckets[i];
		while (flow) {
			struct flow *next = flow->hash_next;
			struct flow **head = &buckets[flow->hash & (buckets_n - 1)];
			flow->hash_next = *head;
			*head = flow;
			flow = next;
		}
	}
	free(table->buckets);
	table->buckets = buckets;
	table->buckets_n = buckets_n;
}

static int take_row(struct flow_table *table, uint32_t *ret_row)
{
	if (table->free_row != UINT32_MAX) {
		*ret_row = table->free_row;
		table->free_row = table->rows[*ret_row].next_free;
		return 0;
	}
	if (table->rows_used == table->rows_n) {
		uint32_t rows_n = table->rows_n ? table->rows_n * 2 : 256;
		struct row *rows = realloc(table->rows, rows_n * sizeof(*rows));
		if (!rows)
			return -ENOMEM;
		table->rows = rows;
		table->rows_n = rows_n;
	}
	*ret_row = table->rows_used++;
	table->rows[*ret_row].generation = 0;
	return 0;
}

int flow_insert(struct flow_table *table, struct flow *flow)
{
	struct flow **head;
	uint32_t row;

	if (table->count >= table->max)
		return -ENOSPC;
	if (take_row(table, &row) != 0)
		return -ENOMEM;
	table->rows[row].flow = flow;
	flow->token = (uint64_t)table->rows[row].generation << 32 | row;
	if (table->count++ >= table->buckets_n)
		grow_buckets(table);
	flow->hash = siphash(&table->key, &flow->key, sizeof(flow->key));
	head = &table->buckets[flow->hash & (table->buckets_n - 1)];
	flow->hash_next = *head;
	*head = flow;
	return 0;
}

void flow_remove(struct flow_table *table, struct flow *flow)
{
	struct flow **link = &table->buckets[flow->hash & (table->buckets_n - 1)];
	uint32_t row = (uint32_t)flow->token;

	while (*link != flow)
		link = &(*link)->hash_next;
	*link = flow->hash_next;
	table->rows[row].flow = NULL;
	table->rows[row].generation++;
	table->rows[row].next_free = table->free_row;
	table->free_row = row;
	table->count--;
}

bool flow_walk(const struct flow_table *table, uint32_t *cursor, unsigned max,
	       void (*visit)(void *ctx, const struct flow *flow), void *ctx)
{
	/* A row costs little also when it is free. */
	for (unsigned seen = 0; *cursor < table->rows_used && seen < max; (*cursor)++, seen++) {
		if (table->rows[*cursor].flow)
			visit(ctx, table->rows[*cursor].flow);
	}
	return *cursor < table->rows_used;
}

static uint32_t per_second(uint64_t bytes, uint64_t ms)
{
	uint64_t rate = ms ? bytes * 1000 / ms : 0;

	return rate < UINT32_MAX ? (uint32_t)rate : UINT32_MAX;
}

void flow_meter_turn(struct flow *flow, uint64_t now_ms)
{
	struct flow_meter *meter = &flow->meter;
	uint64_t span_ms = now_ms - meter->since_ms;

	meter->rate_to_host = per_second(flow->bytes_to_host - meter->mark_to_host, span_ms);
	meter->rate_to_guest = per_second(flow->bytes_to_guest - meter->mark_to_guest, span_ms);
	meter->mark_to_host = flow->bytes_to_host;
	meter->mark_to_guest = flow->bytes_to_guest;
	meter->since_ms = now_ms;
}

void flow_rates(const struct flow *flow, uint64_t now_ms, uint64_t *ret_to_host,
		uint64_t *ret_to_guest)
{
	const struct flow_meter *meter = &flow->meter;
	uint64_t span_ms = now_ms - meter->since_ms;

	/* The span before counts for what is left of FLOW_METER_MS. */
	if (span_ms < FLOW_METER_MS) {
		uint64_t rest_ms = FLOW_METER_MS - span_ms;

		*ret_to_host = flow->bytes_to_host - meter->mark_to_host +
			       meter->rate_to_host * rest_ms / 1000;
		*ret_to_guest = flow->bytes_to_guest - meter->mark_to_guest +
				meter->rate_to_guest * rest_ms / 1000;
		return;
	}
	*ret_to_host = per_second(flow->bytes_to_host - meter->mark_to_host, span_ms);
	*ret_to_guest = per_second(flow->bytes_to_guest - meter->mark_to_guest, span_ms);
}
