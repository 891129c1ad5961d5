#include "stack/nat/neighbour.h"

#include "stack/base/siphash.h"

#include <errno.h>
#include <stdlib.h>

#define SETS 512 /* power of two */
#define WAYS 4   /* entries per set: the hash is keyed, so a guest cannot aim at one set */

struct neighbour {
	struct addr addr;
	struct mac mac;
	struct port *port; /* borrowed; NULL: free */
	uint64_t used;     /* serial number of the last use */
};

struct neighbour_table {
	struct siphash_key key;
	uint64_t serial;
	struct neighbour sets[SETS][WAYS];
};

int neighbour_table_new(struct neighbour_table **ret, struct rng *rng)
{
	struct neighbour_table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	table->key.k[0] = rng_u64(rng);
	table->key.k[1] = rng_u64(rng);
	*ret = table;
	return 0;
}

void neighbour_table_free(struct neighbour_table *table)
{
	free(table);
}

static uint64_t set_of(const struct neighbour_table *table, const struct addr *addr)
{
	return siphash(&table->key, addr->b, sizeof(addr->b)) & (SETS - 1);
}

bool neighbour_learn(struct neighbour_table *table, const struct addr *addr, const struct mac *mac,
		     struct port *port)
{
	struct neighbour *set = table->sets[set_of(table, addr)];
	struct neighbour *oldest = &set[0];

	for (int i = 0; i < WAYS; i++) {
		struct neighbour *n = &set[i];
		if (n->port && addr_eq(&n->addr, addr)) {
			bool news = n->port != port || !mac_eq(&n->mac, mac);
			n->mac = *mac;
			n->port = port;
			n->used = ++table->serial;
			return news;
		}
		if (!n->port || (oldest->port && n->used < oldest->used))
			oldest = n;
	}
	*oldest = (struct neighbour){*addr, *mac, port, ++table->serial};
	return true;
}

bool neighbour_find(const struct neighbour_table *table, const struct addr *addr,
		    struct port **ret_port, struct mac *ret_mac)
{
	const struct neighbour *set = table->sets[set_of(table, addr)];

	for (int i = 0; i < WAYS; i++) {
		if (set[i].port && addr_eq(&set[i].addr, addr)) {
			*ret_port = set[i].port;
			*ret_mac = set[i].mac;
			return true;
		}
	}
	return false;
}

void neighbour_forget_port(struct neighbour_table *table, const struct port *port)
{
	for (int s = 0; s < SETS; s++) {
		for (int i = 0; i < WAYS; i++) {
			if (table->sets[s][i].port == port)
				table->sets[s][i].port = NULL;
		}
	}
}
