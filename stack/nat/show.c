/* What is going on in the gateway, for people: nothing here changes anything. */
#include "stack/nat/dgflow.h"
#include "stack/nat/tcpflow.h"

_Static_assert((int)NAT_FLOW_TCP == FLOW_TCP && (int)NAT_FLOW_UDP == FLOW_UDP &&
		   (int)NAT_FLOW_PING == FLOW_PING && (int)NAT_FLOW_KINDS == FLOW_KINDS,
	       "one order");

static enum nat_flow_state tcp_state(const struct tcpflow *tf)
{
	if (tf->state == TCPFLOW_DIALLING)
		return NAT_FLOW_DIALLING;
	if (tf->state == TCPFLOW_OPENING)
		return NAT_FLOW_OPENING;
	if (tf->wait_link.next != &tf->wait_link)
		return NAT_FLOW_WAITING;
	return tf->fin_to_guest || tf->fin_to_host ? NAT_FLOW_CLOSING : NAT_FLOW_OPEN;
}

struct walk {
	const struct nat *nat;
	void (*visit)(void *ctx, const struct nat_flow_info *info);
	void *ctx;
};

static void visit(void *ctx, const struct flow *flow)
{
	const struct walk *walk = ctx;
	struct nat_flow_info info = {
	    .kind = (enum nat_flow_kind)flow->key.kind,
	    .state = NAT_FLOW_OPEN,
	    .port = flow->guest->port,
	    .guest = flow->key.guest,
	    .peer = flow->key.peer,
	    .began_ms = flow->meter.began_ms,
	    .used_ms = flow->meter.used_ms,
	    .bytes_to_host = flow->bytes_to_host,
	    .bytes_to_guest = flow->bytes_to_guest,
	    .packets_to_host = flow->meter.packets_to_host,
	    .packets_to_guest = flow->meter.packets_to_guest,
	};

	if (flow->key.kind == FLOW_TCP) {
		const struct tcpflow *tf = (const struct tcpflow *)(const void *)flow;

		info.state = tcp_state(tf);
		info.inbound = !tf->outbound;
	} else {
		info.inbound = ((const struct dgflow *)(const void *)flow)->borrowed;
	}
	flow_rates(flow, walk->nat->now_ms, &info.rate_to_host, &info.rate_to_guest);
	walk->visit(walk->ctx, &info);
}

bool nat_flows_walk(const struct nat *nat, uint32_t *cursor, unsigned max,
		    void (*visitor)(void *ctx, const struct nat_flow_info *info), void *ctx)
{
	struct walk walk = {.nat = nat, .visit = visitor, .ctx = ctx};

	return flow_walk(nat->flows, cursor, max, visit, &walk);
}

static void add_counts(const struct guest *guest, uint32_t ret[NAT_FLOW_KINDS])
{
	for (unsigned kind = 0; kind < FLOW_KINDS; kind++)
		ret[kind] += guest->flows_n[kind];
}

void nat_flows_count(const struct nat *nat, const struct port *port, uint32_t ret[NAT_FLOW_KINDS])
{
	memset(ret, 0, NAT_FLOW_KINDS * sizeof(ret[0]));
	if (port) {
		if (port->nat_data)
			add_counts(port->nat_data, ret);
		return;
	}
	for (const struct list *link = nat->guests.next; link != &nat->guests; link = link->next)
		add_counts(list_entry(link, struct guest, link), ret);
}

const struct nat_limits *nat_limits(const struct nat *nat)
{
	return &nat->config.limits;
}
