/* Ping to the outside, through the host's unprivileged ping sockets. */
#include "stack/nat/dgflow.h"

#include "stack/base/checksum.h"
#include "stack/base/wire.h"
#include "stack/nat/icmp.h"
#include "stack/nat/policy.h"

#include <errno.h>

#define ECHO_HEADER_LEN 8
#define ICMP4_LEN_MAX (65535 - 20) /* bytes in one packet that lwIP can count */
#define ICMP6_LEN_MAX (65535 - 40)

static void forbidden(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	nat->counters.ping_forbidden++;
	if (log_limit_ok(&nat->log_ping_forbidden, nat->now_ms, 1, 60000))
		log_warn("%s pings the outside, but this host forbids ping sockets; to allow them: "
			 "sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"",
			 guest->port->name);
	icmp_answer_error(nat, guest, packet, ICMP_PROHIBITED);
}

static struct dgflow *find_or_open(struct nat *nat, struct guest *guest,
				   const struct packet *packet, uint16_t identifier, int *ret_err)
{
	struct endpoint from = {packet->src, identifier};
	struct flow_key key = flow_key(FLOW_PING, guest->port->id, &from, NULL);
	struct dgflow *dg = (struct dgflow *)(void *)flow_find(nat->flows, &key);

	if (dg)
		return dg;
	dg = dgflow_new(nat, guest, &key, -1, ret_err);
	if (dg)
		nat->counters.ping_flows_opened++;
	return dg;
}

void ping_request(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	struct wire_in in = wire_in(packet->l4, packet->l4_len);
	struct iovec message = {(void *)(uintptr_t)packet->l4, packet->l4_len};
	uint16_t identifier;
	struct dgflow *dg;
	int err = 0;

	wire_skip(&in, 4);
	identifier = wire_get_u16(&in);
	wire_skip(&in, 2);
	if (in.bad) {
		nat->counters.dropped_malformed++;
		return;
	}
	if (packet->ttl <= 1) {
		icmp_answer_error(nat, guest, packet, ICMP_TTL_EXCEEDED);
		return;
	}
	dg = find_or_open(nat, guest, packet, identifier, &err);
	if (!dg) {
		if (err == -EACCES || err == -EPERM)
			forbidden(nat, guest, packet);
		else
			icmp_answer_error(nat, guest, packet, icmp_reason_of_errno(err));
		return;
	}
	dg->mac = packet->src_mac;
	dgflow_used(nat, dg, false);
	err = nat->config.host->ping_send(nat->config.host_ctx, dg->flow.handle, &packet->dst,
					  (uint8_t)(packet->ttl - 1), &message, 1);
	if (err == 0) {
		nat->counters.ping_to_host++;
		dg->flow.meter.packets_to_host++;
		flow_moved(&dg->flow, packet->l4_len - ECHO_HEADER_LEN, 0, nat->now_ms);
	} else {
		dgflow_send_failed(nat, guest, packet, err);
	}
}

void ping_received(struct nat *nat, struct dgflow *dg, const struct host_datagram *datagram)
{
	uint8_t *bytes = nat->linear;
	struct wire_out header = wire_out(bytes + 4, 2);
	struct icmp_message message = {
	    .to = dg->flow.key.guest.addr,
	    .to_mac = dg->mac,
	    .ttl = 64,
	    .bytes = bytes,
	    .len = datagram->len,
	};

	if (datagram->len < ECHO_HEADER_LEN ||
	    datagram->len > (addr_is_v4(&message.to) ? ICMP4_LEN_MAX : ICMP6_LEN_MAX))
		return;
	memcpy(bytes, datagram->bytes, datagram->len);
	/* The kernel has put its own identifier there. */
	wire_put_u16(&header, dg->flow.key.guest.port);
	if (datagram->kind == HOST_DATAGRAM_ERROR) {
		struct wire_out sent = wire_out(bytes, datagram->len);
		(void)wire_put(&sent, datagram->len);
		dgflow_pass_error(nat, dg, datagram, &sent);
		return;
	}
	/* All that such a socket receives (icmp(7)). */
	if (bytes[0] != (addr_is_v4(&message.to) ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY))
		return;
	message.from = policy_peer_seen(&nat->config, &datagram->peer.addr, &message.to);
	dgflow_used(nat, dg, false);
	icmp_send(nat, dg->flow.guest, &message);
	nat->counters.ping_to_guest++;
	dg->flow.meter.packets_to_guest++;
	flow_moved(&dg->flow, 0, message.len - ECHO_HEADER_LEN, nat->now_ms);
}
