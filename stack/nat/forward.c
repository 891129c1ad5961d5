#include "stack/nat/forward.h"

#include "stack/nat/dgflow.h"
#include "stack/nat/tcpflow.h"

#include <errno.h>
#include <stdlib.h>

struct nat_forward {
	struct list link;              /* nat->forwards */
	struct list flows;             /* struct flow.forward_link */
	int udp_handle;                /* -1: TCP */
	struct nat_forward_stats done; /* without the flows that live; 'live' is right */
};

int nat_forward_new(struct nat *nat, int udp_handle, struct nat_forward **ret)
{
	struct nat_forward *forward = calloc(1, sizeof(*forward));

	if (!forward)
		return -ENOMEM;
	forward->udp_handle = udp_handle;
	list_init(&forward->flows);
	list_init(&forward->link);
	list_append(&nat->forwards, &forward->link);
	*ret = forward;
	return 0;
}

void nat_forward_stats(const struct nat_forward *forward, struct nat_forward_stats *ret)
{
	*ret = forward->done;
	for (struct list *link = forward->flows.next; link != &forward->flows; link = link->next) {
		const struct flow *flow = list_entry(link, struct flow, forward_link);

		ret->bytes_to_guest += flow->bytes_to_guest;
		ret->bytes_to_host += flow->bytes_to_host;
	}
}

void forward_attach(struct nat_forward *forward, struct flow *flow)
{
	if (!forward)
		return;
	flow->forward = forward;
	list_append(&forward->flows, &flow->forward_link);
	forward->done.live++;
	forward->done.opened++;
}

void forward_detach(struct flow *flow)
{
	struct nat_forward *forward = flow->forward;

	if (!forward)
		return;
	flow->forward = NULL;
	list_remove(&flow->forward_link);
	forward->done.live--;
	forward->done.bytes_to_guest += flow->bytes_to_guest;
	forward->done.bytes_to_host += flow->bytes_to_host;
}

void forward_failed(struct nat_forward *forward)
{
	if (forward)
		forward->done.failed++;
}

/* The one that was wanted last stands last: a range may have thousands. */
struct nat_forward *forward_of_udp_handle(struct nat *nat, int handle)
{
	for (struct list *link = nat->forwards.prev; link != &nat->forwards; link = link->prev) {
		struct nat_forward *forward = list_entry(link, struct nat_forward, link);

		if (forward->udp_handle != handle)
			continue;
		list_append(&nat->forwards, &forward->link);
		return forward;
	}
	return NULL;
}

/* Mappings answer through the listener's socket, which goes. */
static void end_flow(struct nat *nat, struct flow *flow, bool cut)
{
	if (flow->key.kind == FLOW_UDP)
		dgflow_end(nat, (struct dgflow *)(void *)flow);
	else if (cut)
		tcpflow_kill(nat, (struct tcpflow *)(void *)flow, false);
	else
		forward_detach(flow);
}

void nat_forward_drop(struct nat *nat, struct nat_forward *forward, bool cut)
{
	if (!forward)
		return;
	tcpinbound_forward_gone(nat, forward);
	if (forward->udp_handle >= 0)
		udpinbound_drop_waiting_of(nat, forward->udp_handle);
	while (!list_is_empty(&forward->flows))
		end_flow(nat, list_entry(forward->flows.next, struct flow, forward_link), cut);
	list_remove(&forward->link);
	free(forward);
}

void forward_drop_all(struct nat *nat)
{
	while (!list_is_empty(&nat->forwards))
		nat_forward_drop(nat, list_entry(nat->forwards.next, struct nat_forward, link),
				 false);
}
