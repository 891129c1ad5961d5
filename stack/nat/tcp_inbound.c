/* Connections accepted for a forward: opened to the guest at once, or, when nobody knows the
 * guest's MAC yet (a static guest that has never spoken), after asking for it. */
#include "stack/nat/tcpflow.h"

#include "stack/nat/arp.h"

#include <errno.h>
#include <stdlib.h>

#define WAITING_MAX 1024u
#define ASK_INTERVAL_MS 1000u
#define ASK_TRIES 5

struct inbound {
	struct list link; /* nat->waiting, in the order of next_ms */
	int handle;       /* owned */
	struct endpoint peer, guest;
	uint64_t next_ms;
	unsigned tries_left;
};

static void reset(struct nat *nat, int handle)
{
	nat->counters.tcp_inbound_failed++;
	nat->config.host->tcp_close(nat->config.host_ctx, handle, true);
}

static void forget(struct nat *nat, struct inbound *inbound)
{
	list_remove(&inbound->link);
	nat->waiting_n--;
	free(inbound);
}

static void ask(struct nat *nat, struct inbound *inbound)
{
	inbound->tries_left--;
	inbound->next_ms = nat->now_ms + ASK_INTERVAL_MS;
	list_append(&nat->waiting, &inbound->link);
	arp_ask(nat, &inbound->guest.addr);
}

int nat_tcp_inbound(struct nat *nat, int handle, const struct endpoint *peer,
		    const struct endpoint *guest)
{
	struct inbound *inbound;
	struct port *port;
	struct mac mac;

	if (neighbour_find(nat->neighbours, &guest->addr, &port, &mac))
		return tcpflow_open_inbound(nat, port->nat_data, &mac, handle, peer, guest);
	inbound = nat->waiting_n < WAITING_MAX ? calloc(1, sizeof(*inbound)) : NULL;
	if (!inbound) {
		reset(nat, handle);
		return -ENOMEM;
	}
	inbound->handle = handle;
	inbound->peer = *peer;
	inbound->guest = *guest;
	inbound->tries_left = ASK_TRIES;
	list_init(&inbound->link);
	nat->waiting_n++;
	ask(nat, inbound);
	return 0;
}

void tcpinbound_neighbour_known(struct nat *nat, const struct addr *addr)
{
	struct list *link = nat->waiting.next;
	struct port *port;
	struct mac mac;

	while (link != &nat->waiting) {
		struct inbound *inbound = list_entry(link, struct inbound, link);
		struct inbound found = *inbound;

		link = link->next;
		if (!addr_eq(&found.guest.addr, addr))
			continue;
		forget(nat, inbound);
		if (neighbour_find(nat->neighbours, addr, &port, &mac))
			(void)tcpflow_open_inbound(nat, port->nat_data, &mac, found.handle,
						   &found.peer, &found.guest);
		else
			reset(nat, found.handle);
	}
}

void tcpinbound_tick(struct nat *nat)
{
	while (!list_is_empty(&nat->waiting)) {
		struct inbound *inbound = list_entry(nat->waiting.next, struct inbound, link);

		if (nat->now_ms < inbound->next_ms)
			return;
		if (inbound->tries_left) {
			ask(nat, inbound);
			continue;
		}
		nat->counters.dropped_no_neighbour++;
		reset(nat, inbound->handle);
		forget(nat, inbound);
	}
}

uint64_t tcpinbound_next_ms(const struct nat *nat)
{
	if (list_is_empty(&nat->waiting))
		return UINT64_MAX;
	return list_entry(nat->waiting.next, struct inbound, link)->next_ms;
}

void tcpinbound_drop_all(struct nat *nat)
{
	while (!list_is_empty(&nat->waiting)) {
		struct inbound *inbound = list_entry(nat->waiting.next, struct inbound, link);
		reset(nat, inbound->handle);
		forget(nat, inbound);
	}
}
