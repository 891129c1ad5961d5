/* Connections accepted for a forward: opened to the guest at once, or, when nobody knows the
 * guest's MAC yet (a static guest that has never spoken), after asking for it. */
#include "stack/nat/tcpflow.h"

#include "stack/nat/arp.h"

#include <errno.h>
#include <stdlib.h>

#define WAITING_MAX 1024u
#define ASK_INTERVAL_MS 1000u
#define ASK_TRIES 5

struct waiting {
	struct list link;           /* nat->waiting, in the order of next_ms */
	struct tcp_inbound inbound; /* owns the handle */
	uint64_t next_ms;
	unsigned tries_left;
};

static void reset(struct nat *nat, int handle)
{
	nat->counters.tcp_inbound_failed++;
	nat->config.host->tcp_close(nat->config.host_ctx, handle, true);
}

static void forget(struct nat *nat, struct waiting *waiting)
{
	list_remove(&waiting->link);
	nat->waiting_n--;
	free(waiting);
}

static void ask(struct nat *nat, struct waiting *waiting)
{
	waiting->tries_left--;
	waiting->next_ms = nat->now_ms + ASK_INTERVAL_MS;
	list_append(&nat->waiting, &waiting->link);
	arp_ask(nat, &waiting->inbound.guest.addr);
}

int nat_tcp_inbound(struct nat *nat, int handle, const struct endpoint *peer,
		    const struct endpoint *guest)
{
	struct tcp_inbound inbound = {handle, *peer, *guest};
	struct waiting *waiting;
	struct port *port;
	struct mac mac;

	if (neighbour_find(nat->neighbours, &guest->addr, &port, &mac))
		return tcpflow_open_inbound(nat, port->nat_data, &mac, &inbound);
	waiting = nat->waiting_n < WAITING_MAX ? calloc(1, sizeof(*waiting)) : NULL;
	if (!waiting) {
		reset(nat, handle);
		return -ENOMEM;
	}
	waiting->inbound = inbound;
	waiting->tries_left = ASK_TRIES;
	list_init(&waiting->link);
	nat->waiting_n++;
	ask(nat, waiting);
	return 0;
}

void tcpinbound_neighbour_known(struct nat *nat, const struct addr *addr)
{
	struct list *link = nat->waiting.next;
	struct port *port;
	struct mac mac;

	while (link != &nat->waiting) {
		struct waiting *waiting = list_entry(link, struct waiting, link);
		struct tcp_inbound inbound = waiting->inbound;

		link = link->next;
		if (!addr_eq(&inbound.guest.addr, addr))
			continue;
		forget(nat, waiting);
		if (neighbour_find(nat->neighbours, addr, &port, &mac))
			(void)tcpflow_open_inbound(nat, port->nat_data, &mac, &inbound);
		else
			reset(nat, inbound.handle);
	}
}

void tcpinbound_tick(struct nat *nat)
{
	while (!list_is_empty(&nat->waiting)) {
		struct waiting *waiting = list_entry(nat->waiting.next, struct waiting, link);

		if (nat->now_ms < waiting->next_ms)
			return;
		if (waiting->tries_left) {
			ask(nat, waiting);
			continue;
		}
		nat->counters.dropped_no_neighbour++;
		reset(nat, waiting->inbound.handle);
		forget(nat, waiting);
	}
}

uint64_t tcpinbound_next_ms(const struct nat *nat)
{
	if (list_is_empty(&nat->waiting))
		return UINT64_MAX;
	return list_entry(nat->waiting.next, struct waiting, link)->next_ms;
}

void tcpinbound_drop_all(struct nat *nat)
{
	while (!list_is_empty(&nat->waiting)) {
		struct waiting *waiting = list_entry(nat->waiting.next, struct waiting, link);
		reset(nat, waiting->inbound.handle);
		forget(nat, waiting);
	}
}
