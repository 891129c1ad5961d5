/* Which MAC on which port a guest's address belongs to: learnt from ARP, DHCP and the packets
 * guests send. Bounded; the longest unused entry goes first. */
#ifndef LWNAT_NAT_NEIGHBOUR_H
#define LWNAT_NAT_NEIGHBOUR_H

#include "stack/base/addr.h"
#include "stack/base/port.h"
#include "stack/base/rng.h"

#include <stdbool.h>
#include <stdint.h>

struct neighbour_table;

int neighbour_table_new(struct neighbour_table **ret, struct rng *rng); /* 0 or -ENOMEM */
void neighbour_table_free(struct neighbour_table *table);

/* true when this was news: a new address, or another MAC or port than before. */
bool neighbour_learn(struct neighbour_table *table, const struct addr *addr, const struct mac *mac,
		     struct port *port);
bool neighbour_find(const struct neighbour_table *table, const struct addr *addr,
		    struct port **ret_port, struct mac *ret_mac);
void neighbour_forget_port(struct neighbour_table *table, const struct port *port);

#endif
