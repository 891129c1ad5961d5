/* Connections that guests open, in the order that lets a guest see what the host saw: connect() on
 * the host first, then an answer to the SYN. */
#include "stack/nat/tcpflow.h"

#include "stack/nat/icmp.h"
#include "stack/nat/policy.h"

#include <errno.h>
#include <stdlib.h>

#define MSS_DEFAULT4 536u /* RFC 9293 section 3.7.1 */
#define MSS_DEFAULT6 1220u

/* ---- the guest's SYN ------------------------------------------------------------------------ */

static struct tcp_segment clamp_syn(const struct nat *nat, const struct packet *packet,
				    const struct tcp_segment *segment)
{
	struct tcp_segment syn = *segment;

	if (!syn.mss)
		syn.mss = packet->v6 ? MSS_DEFAULT6 : MSS_DEFAULT4;
	syn.mss = tcpflow_clamp_mss(nat, syn.mss, packet->v6);
	syn.data = NULL; /* data on a SYN comes again after the handshake */
	syn.data_len = 0;
	syn.flags = TCP_FLAG_SYN;
	return syn;
}

static struct tcpflow_syn *keep_syn(const struct nat *nat, const struct packet *packet,
				    const struct tcp_segment *segment)
{
	struct tcpflow_syn *syn = calloc(1, sizeof(*syn));
	size_t quote_len = (size_t)(packet->l4 - packet->ip) + 8;

	if (!syn)
		return NULL;
	syn->segment = clamp_syn(nat, packet, segment);
	if (quote_len <= sizeof(syn->quote)) {
		memcpy(syn->quote, packet->ip, quote_len);
		syn->quote_len = (uint8_t)quote_len;
	}
	return syn;
}

static void refuse_syn(struct nat *nat, struct guest *guest, const struct mac *mac,
		       const struct flow_key *key, const struct tcp_segment *segment)
{
	nat->output = (struct nat_output){.guest = guest, .mac = *mac};
	solo_refuse(nat->engine, &key->guest, &key->peer, segment);
}

/* ---- the host's connect() ------------------------------------------------------------------- */

static void send_unreachable(struct nat *nat, struct tcpflow *tf, enum icmp_reason reason)
{
	struct icmp_error error = {
	    .to_mac = tf->mac,
	    .quote = tf->syn->quote,
	    .quote_len = tf->syn->quote_len,
	};
	icmp_error_set(&error, !addr_is_v4(&tf->flow.key.guest.addr), reason);
	icmp_send_error(nat, tf->flow.guest, &error);
}

/* The host could not connect: tell the guest what the host was told. Frees the flow. */
static void dial_failed(struct nat *nat, struct tcpflow *tf, int err)
{
	enum icmp_reason reason = icmp_reason_of_errno(err);

	if (reason != ICMP_NO_REASON && tf->syn->quote_len) {
		nat->counters.tcp_unreachable++;
		send_unreachable(nat, tf, reason);
		/* Not every TCP gives up for an ICMP error (RFC 1122 section 4.2.3.9), and who
		 * tries both families must not wait for the one that has no way out. */
		if (reason == ICMP_NO_ROUTE)
			refuse_syn(nat, tf->flow.guest, &tf->mac, &tf->flow.key, &tf->syn->segment);
	} else if (err == -ETIMEDOUT) {
		nat->counters.tcp_timed_out++; /* the guest has long been told by its own timer */
	} else {
		nat->counters.tcp_refused++;
		refuse_syn(nat, tf->flow.guest, &tf->mac, &tf->flow.key, &tf->syn->segment);
	}
	tcpflow_end(nat, tf, true);
}

void tcpoutbound_stop(struct tcpflow *tf)
{
	if (!list_is_empty(&tf->connecting_link)) {
		list_remove(&tf->connecting_link);
		tf->flow.guest->connecting_n--;
	}
	free(tf->syn);
	tf->syn = NULL;
}

/* The host is connected: now the guest's SYN is answered. */
static void dial_succeeded(struct nat *nat, struct tcpflow *tf)
{
	tf->state = TCPFLOW_OPENING;
	tf->host_writable = true;
	tcpflow_output_to(nat, tf);
	solo_accept(nat->engine, &tf->solo, &tf->flow.key.guest, &tf->flow.key.peer,
		    &tf->syn->segment);
	tcpoutbound_stop(tf);
	if (solo_is_empty(&tf->solo)) {
		nat->counters.dropped_memory++;
		tcpflow_end(nat, tf, true);
		return;
	}
	nat->counters.tcp_flows_opened++;
	tcpflow_after_lwip(nat, tf);
}

void tcpoutbound_progress(struct nat *nat, struct tcpflow *tf)
{
	int err = nat->config.host->tcp_connect_result(nat->config.host_ctx, tf->flow.handle);

	if (err == -EINPROGRESS)
		return;
	if (err == 0)
		dial_succeeded(nat, tf);
	else
		dial_failed(nat, tf, err);
}

/* ---- where it goes -------------------------------------------------------------------------- */

/* Where a guest's connection goes: to an endpoint on the host or to one of our services. */
struct target {
	bool is_service;
	unsigned service;
	struct endpoint host;
};

static bool row_serves(const struct nat *nat, const struct nat_tcp_service_row *row,
		       const struct endpoint *to)
{
	if (row->port != to->port)
		return false;
	if (!addr_is_unspecified(&row->at))
		return addr_eq(&row->at, &to->addr);
	return row->dns_only ? policy_is_dns(&nat->config, &to->addr)
			     : policy_is_host_or_dns(&nat->config, &to->addr);
}

static bool find_service(const struct nat *nat, const struct endpoint *to, struct target *ret)
{
	if (!policy_is_gateway(&nat->config, &to->addr))
		return false;
	for (unsigned i = 0; i < nat->tcp_services_n; i++) {
		if (row_serves(nat, &nat->tcp_services[i], to)) {
			ret->is_service = true;
			ret->service = nat->tcp_services[i].service;
			return true;
		}
	}
	return false;
}

/* Makes the flow and starts connect(). */
static void dial(struct nat *nat, struct guest *guest, const struct packet *packet,
		 const struct tcp_segment *segment, const struct target *target)
{
	struct endpoint from = {packet->src, segment->src_port};
	struct endpoint to = {packet->dst, segment->dst_port};
	struct flow_key key = flow_key(FLOW_TCP, guest->port->id, &from, &to);
	struct tcpflow *tf;
	int handle;

	if (guest->connecting_n >= nat->config.limits.half_open_per_guest_max) {
		/* A flood: the oldest attempt has had the longest chance. */
		nat->counters.flows_evicted++;
		tcpflow_end(
		    nat, list_entry(guest->connecting.next, struct tcpflow, connecting_link), true);
	}
	nat_learn(nat, &packet->src, &packet->src_mac, guest);
	tf = tcpflow_new(nat, guest, &key, &packet->src_mac);
	if (!tf) {
		refuse_syn(nat, guest, &packet->src_mac, &key, segment);
		return;
	}
	tf->outbound = true;
	tf->syn = keep_syn(nat, packet, segment);
	if (!tf->syn) {
		nat->counters.dropped_memory++;
		tcpflow_end(nat, tf, true);
		return;
	}
	list_append(&guest->connecting, &tf->connecting_link);
	guest->connecting_n++;
	if (target->is_service)
		handle = nat->config.host->tcp_dial_service(nat->config.host_ctx, tf->flow.token,
							    target->service, &from);
	else
		handle =
		    nat->config.host->tcp_dial(nat->config.host_ctx, tf->flow.token, &target->host);
	if (handle < 0)
		dial_failed(nat, tf, handle);
	else
		nat_flow_set_handle(nat, &tf->flow, handle);
}

void tcpoutbound_begin(struct nat *nat, struct guest *guest, const struct packet *packet,
		       const struct tcp_segment *segment)
{
	struct endpoint to = {packet->dst, segment->dst_port};
	struct endpoint from = {packet->src, segment->src_port};
	struct flow_key key = flow_key(FLOW_TCP, guest->port->id, &from, &to);
	struct target target = {.is_service = false};

	if (find_service(nat, &to, &target)) {
		dial(nat, guest, packet, segment, &target);
		return;
	}
	switch (policy_outbound(&nat->config, &to, &target.host)) {
	case POLICY_HOST:
		/* traceroute by TCP: we are the first hop, the host's next router the second. */
		if (packet->ttl <= 1 && !policy_is_gateway(&nat->config, &to.addr)) {
			icmp_answer_error(nat, guest, packet, ICMP_TTL_EXCEEDED);
			break;
		}
		dial(nat, guest, packet, segment, &target);
		break;
	case POLICY_GATEWAY:
	case POLICY_FORBIDDEN:
		nat->counters.dropped_policy++;
		refuse_syn(nat, guest, &packet->src_mac, &key, segment);
		break;
	case POLICY_UNREACHABLE:
		nat->counters.tcp_unreachable++;
		icmp_answer_error(nat, guest, packet, ICMP_HOST_UNREACHABLE);
		break;
	case POLICY_DROP:
		nat->counters.dropped_address++;
		break;
	}
}
