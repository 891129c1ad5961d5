#include "dhcp/lease_port.h"

#include <stddef.h>

struct lease_port *lease_ports_find(struct lease_ports *ports, uint32_t id)
{
	for (unsigned i = 0; id && i < ports->used_n; i++) {
		if (ports->port[i].id == id)
			return &ports->port[i];
	}
	return NULL;
}

struct lease_port *lease_ports_get(struct lease_ports *ports, uint32_t id)
{
	struct lease_port *port = lease_ports_find(ports, id);
	if (port || id == 0)
		return port;
	unsigned i = 0;
	while (i < ports->used_n && ports->port[i].id)
		i++;
	if (i == LEASE_PORTS_MAX)
		return NULL;
	if (i == ports->used_n)
		ports->used_n++;
	ports->port[i] = (struct lease_port){.id = id};
	return &ports->port[i];
}

static bool is_held(const struct lease *lease)
{
	return lease->state == LEASE_OFFERED || lease->state == LEASE_ACTIVE ||
	       lease->state == LEASE_BOOTP || lease->state == LEASE_BAD;
}

static void offer_append(struct lease_port *port, struct lease *lease)
{
	lease->prev_offer = port->last_offer;
	lease->next_offer = NULL;
	if (port->last_offer)
		port->last_offer->next_offer = lease;
	else
		port->first_offer = lease;
	port->last_offer = lease;
	port->offers_n++;
}

static void offer_remove(struct lease_port *port, struct lease *lease)
{
	if (lease->prev_offer)
		lease->prev_offer->next_offer = lease->next_offer;
	else
		port->first_offer = lease->next_offer;
	if (lease->next_offer)
		lease->next_offer->prev_offer = lease->prev_offer;
	else
		port->last_offer = lease->prev_offer;
	port->offers_n--;
}

void lease_port_count(struct lease *lease)
{
	if (!lease->port || !is_held(lease))
		return;
	lease->port->held_n++;
	if (lease->state == LEASE_OFFERED)
		offer_append(lease->port, lease);
}

void lease_port_uncount(struct lease *lease)
{
	if (!lease->port || !is_held(lease))
		return;
	lease->port->held_n--;
	if (lease->state == LEASE_OFFERED)
		offer_remove(lease->port, lease);
}

bool lease_port_may_take(const struct lease_port *port, uint32_t left)
{
	return !port || port->held_n < LEASE_PORT_MIN || port->held_n / LEASE_PORT_SHARE < left;
}
