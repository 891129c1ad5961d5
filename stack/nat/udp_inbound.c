/* Datagrams that come in on a forward: passed on through a mapping of their own, or, when nobody
 * knows the guest's MAC yet, kept for the moment that asking takes. */
#include "stack/nat/dgflow.h"

#include "stack/nat/policy.h"

#include <stdlib.h>

#define DATAGRAM_MAX 65507u
#define WAITING_MAX 64u
#define WAITING_LEN_MAX 2048u /* bytes; longer ones are not waited with */
#define WAIT_MS 3000u

struct waiting_datagram {
	struct list link; /* nat->waiting_datagrams, oldest first */
	uint64_t expires_ms;
	int handle; /* the forward's */
	struct endpoint peer, guest;
	size_t len;
	uint8_t bytes[];
};

static void forget(struct nat *nat, struct waiting_datagram *waiting)
{
	list_remove(&waiting->link);
	nat->waiting_datagrams_n--;
	free(waiting);
}

static void wait_for_neighbour(struct nat *nat, int handle, const struct endpoint *peer,
			       const struct endpoint *guest, struct iovec payload)
{
	struct waiting_datagram *waiting = NULL;

	if (nat->waiting_datagrams_n < WAITING_MAX && payload.iov_len <= WAITING_LEN_MAX)
		waiting = malloc(sizeof(*waiting) + payload.iov_len);
	nat_ask(nat, &guest->addr);
	if (!waiting) {
		nat->counters.dropped_no_neighbour++;
		return;
	}
	waiting->expires_ms = nat->now_ms + WAIT_MS;
	waiting->handle = handle;
	waiting->peer = *peer;
	waiting->guest = *guest;
	waiting->len = payload.iov_len;
	if (payload.iov_len)
		memcpy(waiting->bytes, payload.iov_base, payload.iov_len);
	list_init(&waiting->link);
	list_append(&nat->waiting_datagrams, &waiting->link);
	nat->waiting_datagrams_n++;
}

void nat_udp_inbound(struct nat *nat, int handle, const struct endpoint *peer,
		     const struct endpoint *guest, struct iovec payload)
{
	struct endpoint seen = {policy_peer_seen(&nat->config, &peer->addr, &guest->addr),
				peer->port};
	struct flow_key key;
	struct dgflow *dg;
	struct port *port;
	struct mac mac;
	int err;

	if (payload.iov_len > DATAGRAM_MAX)
		return;
	if (!neighbour_find(nat->neighbours, &guest->addr, &port, &mac)) {
		wait_for_neighbour(nat, handle, peer, guest, payload);
		return;
	}
	key = flow_key(FLOW_UDP, port->id, guest, &seen);
	dg = (struct dgflow *)(void *)flow_find(nat->flows, &key);
	if (!dg || dg->flow.handle != handle) {
		if (dg)
			dgflow_end(nat, dg);
		dg = dgflow_new(nat, port->nat_data, &key, handle, &err);
	}
	if (!dg)
		return;
	dg->mac = mac;
	dg->host_peer = *peer;
	dg->two_way = true;
	dgflow_used(nat, dg, false);
	udp_flow_pass(nat, dg, &seen, &payload, 0);
	port->ops->flush(port); /* the payload is the caller's again when we return */
}

void udpinbound_neighbour_known(struct nat *nat, const struct addr *addr)
{
	struct list *link = nat->waiting_datagrams.next;

	while (link != &nat->waiting_datagrams) {
		struct waiting_datagram *waiting = list_entry(link, struct waiting_datagram, link);

		link = link->next;
		if (!addr_eq(&waiting->guest.addr, addr))
			continue;
		nat_udp_inbound(nat, waiting->handle, &waiting->peer, &waiting->guest,
				(struct iovec){waiting->bytes, waiting->len});
		forget(nat, waiting);
	}
}

void udpinbound_tick(struct nat *nat)
{
	while (udpinbound_next_ms(nat) <= nat->now_ms) {
		nat->counters.dropped_no_neighbour++;
		forget(nat, list_entry(nat->waiting_datagrams.next, struct waiting_datagram, link));
	}
}

uint64_t udpinbound_next_ms(const struct nat *nat)
{
	if (list_is_empty(&nat->waiting_datagrams))
		return UINT64_MAX;
	return list_entry(nat->waiting_datagrams.next, struct waiting_datagram, link)->expires_ms;
}

void udpinbound_drop_all(struct nat *nat)
{
	while (!list_is_empty(&nat->waiting_datagrams))
		forget(nat, list_entry(nat->waiting_datagrams.next, struct waiting_datagram, link));
}

void udpinbound_drop_waiting_of(struct nat *nat, int handle)
{
	struct list *link = nat->waiting_datagrams.next;

	while (link != &nat->waiting_datagrams) {
		struct waiting_datagram *waiting = list_entry(link, struct waiting_datagram, link);
		link = link->next;
		if (waiting->handle == handle)
			forget(nat, waiting);
	}
}

void nat_udp_inbound_closed(struct nat *nat, int handle)
{
	udpinbound_drop_waiting_of(nat, handle);
	for (struct list *g = nat->guests.next; g != &nat->guests; g = g->next) {
		struct guest *guest = list_entry(g, struct guest, link);
		struct list *link = guest->flows[FLOW_UDP].next;

		while (link != &guest->flows[FLOW_UDP]) {
			struct dgflow *dg =
			    (struct dgflow *)(void *)list_entry(link, struct flow, guest_link);
			link = link->next;
			if (dg->borrowed && dg->flow.handle == handle)
				dgflow_end(nat, dg);
		}
	}
}
