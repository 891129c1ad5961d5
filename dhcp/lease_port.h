/* The ports that clients ask from, and how many addresses each of them holds. */
#ifndef LWNAT_DHCP_LEASE_PORT_H
#define LWNAT_DHCP_LEASE_PORT_H

#include "dhcp/lease.h"

struct lease_port {
	uint32_t id;     /* 0: this record is free */
	uint32_t held_n; /* leases that nobody else can have: offered, in use, declined */
	uint32_t offers_n;
	struct lease *first_offer, *last_offer; /* oldest first */
};

struct lease_ports {
	struct lease_port port[LEASE_PORTS_MAX];
	unsigned used_n; /* records beyond were never used */
};

/* The port's record, a new one when it has none; NULL for 0, or when all are taken. */
struct lease_port *lease_ports_get(struct lease_ports *ports, uint32_t id);
/* NULL when it has none. */
struct lease_port *lease_ports_find(struct lease_ports *ports, uint32_t id);

/* A lease came to its port, or is about to leave it or its state. */
void lease_port_count(struct lease *lease);
void lease_port_uncount(struct lease *lease);

/* Whether the port may have one more of the 'left' addresses. */
bool lease_port_may_take(const struct lease_port *port, uint32_t left);

#endif
