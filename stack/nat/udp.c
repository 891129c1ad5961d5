/* UDP: services of the gateway, mappings to the host, forwards' datagrams. */
#include "stack/nat/dgflow.h"

#include "stack/base/wire.h"
#include "stack/nat/icmp.h"
#include "stack/nat/ip_lwip.h"
#include "stack/nat/policy.h"

#include <errno.h>

#define PORT_DNS 53
#define PORT_NTP 123

static bool is_question_and_answer(uint16_t port)
{
	return port == PORT_DNS || port == PORT_NTP;
}

/* ---- services ------------------------------------------------------------------------------- */

static bool is_for_services(const struct nat *nat, const struct addr *dst)
{
	return policy_is_gateway(&nat->config, dst) || addr_is_multicast(dst) ||
	       addr_is_broadcast(dst) || subnet_is_broadcast(&nat->config.net4, dst);
}

static bool row_serves(const struct nat *nat, const struct nat_udp_service_row *row,
		       const struct nat_udp_meta *meta)
{
	if (row->claims)
		return row->claims(row->ctx, meta);
	return row->port == meta->service.port &&
	       (!row->dns_only || policy_is_dns(&nat->config, &meta->service.addr));
}

/* Services know one datagram at a time. */
static void serve_each(const struct nat_udp_service_row *row, const struct nat_udp_meta *meta,
		       const struct udp_datagram *datagram, uint16_t segment)
{
	size_t each = segment ? segment : datagram->data_len, at = 0;

	do {
		size_t left = datagram->data_len - at;

		row->handler(row->ctx, meta, datagram->data + at, left < each ? left : each);
		at += each;
	} while (at < datagram->data_len);
}

static bool serve(struct nat *nat, struct guest *guest, const struct packet *packet,
		  const struct udp_datagram *datagram)
{
	struct nat_udp_meta meta = {
	    .port = guest->port,
	    .guest_mac = packet->src_mac,
	    .guest = {packet->src, datagram->src_port},
	    .service = {packet->dst, datagram->dst_port},
	};

	if (!is_for_services(nat, &packet->dst))
		return false;
	for (unsigned i = 0; i < nat->udp_services_n; i++) {
		const struct nat_udp_service_row *row = &nat->udp_services[i];
		if (row_serves(nat, row, &meta)) {
			serve_each(row, &meta, datagram, packet->segment);
			return true;
		}
	}
	return false;
}

int nat_udp_service_add(struct nat *nat, uint16_t port, bool dns_only, nat_udp_service *handler,
			void *ctx)
{
	for (unsigned i = 0; i < nat->udp_services_n; i++) {
		if (!nat->udp_services[i].claims && nat->udp_services[i].port == port)
			return -EEXIST;
	}
	if (nat->udp_services_n == NAT_UDP_SERVICES_MAX)
		return -ENOSPC;
	nat->udp_services[nat->udp_services_n++] = (struct nat_udp_service_row){
	    .port = port, .dns_only = dns_only, .handler = handler, .ctx = ctx};
	return 0;
}

int nat_udp_service_add_claiming(struct nat *nat, nat_udp_claims *claims, nat_udp_service *handler,
				 void *ctx)
{
	if (nat->udp_services_n == NAT_UDP_SERVICES_MAX)
		return -ENOSPC;
	nat->udp_services[nat->udp_services_n++] =
	    (struct nat_udp_service_row){.claims = claims, .handler = handler, .ctx = ctx};
	return 0;
}

void nat_udp_send(struct nat *nat, const struct nat_udp_reply *reply, const uint8_t *payload,
		  size_t len)
{
	struct guest *guest = reply->port->nat_data;
	struct iovec bytes = {(void *)(uintptr_t)payload, len};

	if (!guest || len > 65507 || addr_is_v4(&reply->from.addr) != addr_is_v4(&reply->to.addr))
		return;
	nat->output = (struct nat_output){.guest = guest, .mac = reply->to_mac};
	iplwip_udp_send(nat, &reply->from, &reply->to, &bytes);
	reply->port->ops->flush(reply->port); /* the payload is the caller's again when we return */
}

/* ---- guest to host -------------------------------------------------------------------------- */

struct sending {
	struct nat *nat;
	struct dgflow *dg;
	struct endpoint to;
	uint8_t ttl;
	int err;
};

static void deliver(void *ctx, const struct iovec *pieces, unsigned pieces_n)
{
	struct sending *sending = ctx;
	struct nat *nat = sending->nat;
	struct host_udp_out out = {
	    .to = sending->to, .ttl = sending->ttl, .iov = pieces, .iov_n = pieces_n};

	sending->err =
	    nat->config.host->udp_send(nat->config.host_ctx, sending->dg->flow.handle, &out);
}

/* A mapping's further datagrams go straight to the host; their frame may be referred to until the
 * turn's end. */
static void deliver_bulk(struct sending *sending, const struct packet *packet,
			 const struct udp_datagram *datagram)
{
	struct nat *nat = sending->nat;
	struct iovec iov[FRAME_PIECES_MAX + 1];
	size_t rest = 0;
	struct host_udp_out out = {.to = sending->to,
				   .ttl = sending->ttl,
				   .segment = packet->segment,
				   .owner = packet->owner,
				   .iov = iov,
				   .iov_n = datagram->rest_n + 1};

	for (unsigned i = 0; i < datagram->rest_n; i++) {
		iov[i + 1] = datagram->rest[i];
		rest += iov[i + 1].iov_len;
	}
	iov[0] = (struct iovec){(void *)(uintptr_t)datagram->data, datagram->data_len - rest};
	sending->err =
	    nat->config.host->udp_send(nat->config.host_ctx, sending->dg->flow.handle, &out);
}

/* The mapping for a guest's datagram: the one made by a forward's peer if this answers that peer,
 * else the guest port's own. NULL: there is none. */
static struct dgflow *mapping(struct nat *nat, const struct guest *guest,
			      const struct endpoint *from, const struct endpoint *to)
{
	struct flow_key key = flow_key(FLOW_UDP, guest->port->id, from, to);
	struct flow *flow = nat->inbound_udp_n ? flow_find(nat->flows, &key) : NULL;

	if (!flow) {
		key = flow_key(FLOW_UDP, guest->port->id, from, NULL);
		flow = flow_find(nat->flows, &key);
	}
	return (struct dgflow *)(void *)flow;
}

static uint64_t datagrams_in(size_t len, uint16_t segment)
{
	return segment && len ? (len + segment - 1) / segment : 1;
}

/* 0 or -errno. A mapping's first datagram passes through lwIP; what is many is no first one. */
static int carry(struct nat *nat, struct dgflow *dg, const struct packet *packet,
		 const struct udp_datagram *datagram, const struct endpoint *host)
{
	bool first = dg->flow.meter.packets_to_host == 0 && !packet->segment;
	struct sending sending = {.nat = nat, .dg = dg, .to = *host};
	uint64_t n = datagrams_in(datagram->data_len, packet->segment);

	dg->mac = packet->src_mac;
	if (dg->borrowed)
		sending.to = dg->host_peer;
	else if (!addr_is_loopback(&host->addr))
		sending.ttl = (uint8_t)(packet->ttl - 1);
	dgflow_used(nat, dg, is_question_and_answer(datagram->dst_port));
	if (first)
		iplwip_udp_input(nat, packet, datagram, deliver, &sending);
	else
		deliver_bulk(&sending, packet, datagram);
	if (sending.err == 0) {
		nat->counters.udp_to_host += n;
		dg->flow.meter.packets_to_host += n;
		flow_moved(&dg->flow, datagram->data_len, 0, nat->now_ms);
	}
	return sending.err;
}

static void send_to_host(struct nat *nat, struct guest *guest, const struct packet *packet,
			 const struct udp_datagram *datagram, const struct endpoint *host)
{
	struct endpoint from = {packet->src, datagram->src_port};
	struct endpoint to = {packet->dst, datagram->dst_port};
	struct dgflow *dg = mapping(nat, guest, &from, &to);
	int err;

	if (!dg) {
		struct flow_key key = flow_key(FLOW_UDP, guest->port->id, &from, NULL);

		dg = dgflow_new(nat, guest, &key, -1, &err);
		if (!dg) {
			enum icmp_reason reason = icmp_reason_of_errno(err);
			icmp_answer_error(nat, guest, packet, reason ? reason : ICMP_PROHIBITED);
			return;
		}
		nat->counters.udp_flows_opened++;
		nat_learn(nat, &packet->src, &packet->src_mac, guest);
	}
	err = carry(nat, dg, packet, datagram, host);
	if (err != 0)
		dgflow_send_failed(nat, guest, packet, err);
}

/* Where a datagram goes on the host. */
static enum policy_verdict verdict_on(const struct nat *nat, const struct guest *guest,
				      const struct packet *packet,
				      const struct udp_datagram *datagram, struct endpoint *ret)
{
	struct endpoint to = {packet->dst, datagram->dst_port};
	struct endpoint from = {packet->src, datagram->src_port};
	struct flow_key answer = flow_key(FLOW_UDP, guest->port->id, &from, &to);

	*ret = to;
	enum policy_verdict verdict = policy_outbound(&nat->config, &to, ret);

	/* The answer to a forward's peer may leave whatever else is forbidden. */
	if (verdict != POLICY_HOST && nat->inbound_udp_n && flow_find(nat->flows, &answer))
		verdict = POLICY_HOST;
	return verdict;
}

static bool dies_here(const struct nat *nat, const struct packet *packet)
{
	return packet->ttl <= 1 && !policy_is_gateway(&nat->config, &packet->dst);
}

static void route(struct nat *nat, struct guest *guest, const struct packet *packet,
		  const struct udp_datagram *datagram)
{
	struct endpoint host;
	enum policy_verdict verdict = verdict_on(nat, guest, packet, datagram, &host);

	if (verdict != POLICY_HOST)
		icmp_answer_policy(nat, guest, packet, verdict, ICMP_NO_PORT);
	else if (dies_here(nat, packet))
		icmp_answer_error(nat, guest, packet, ICMP_TTL_EXCEEDED);
	else
		send_to_host(nat, guest, packet, datagram, &host);
}

static bool is_from_and_to_us(const struct nat *nat, const struct packet *packet,
			      const struct udp_datagram *datagram)
{
	return policy_source_ok(&nat->config, &packet->src) &&
	       mac_eq(&packet->dst_mac, &nat->config.mac) && datagram->src_port != 0;
}

bool udp_flow_input_pieces(struct nat *nat, struct guest *guest, const struct packet *packet,
			   const struct frame *frame)
{
	struct udp_datagram datagram;
	struct endpoint from, to, host;
	struct dgflow *dg;
	int err;

	/* What has to be looked at, or answered with a part of itself, comes in one piece. */
	if (packet_read_udp(&datagram, packet) != PACKET_OK ||
	    datagram.data_len != packet->l4_len - 8 || is_for_services(nat, &packet->dst) ||
	    !is_from_and_to_us(nat, packet, &datagram))
		return false;
	from = (struct endpoint){packet->src, datagram.src_port};
	to = (struct endpoint){packet->dst, datagram.dst_port};
	dg = mapping(nat, guest, &from, &to);
	if (!dg || verdict_on(nat, guest, packet, &datagram, &host) != POLICY_HOST ||
	    dies_here(nat, packet))
		return false;
	datagram.rest = frame->iov + 1;
	datagram.rest_n = frame->iov_n - 1;
	err = carry(nat, dg, packet, &datagram, &host);
	if (err == -EAGAIN)
		nat->counters.dropped_host_send++;
	return err == 0 || err == -EAGAIN;
}

void udp_flow_input(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	struct udp_datagram datagram;

	if (packet_read_udp(&datagram, packet) != PACKET_OK) {
		nat->counters.dropped_malformed++;
		return;
	}
	if (serve(nat, guest, packet, &datagram))
		return;
	if (!is_from_and_to_us(nat, packet, &datagram)) {
		nat->counters.dropped_address++;
		return;
	}
	route(nat, guest, packet, &datagram);
}

/* ---- host to guest -------------------------------------------------------------------------- */

static void pass_error(struct nat *nat, struct dgflow *dg, const struct host_datagram *error)
{
	uint8_t udp[64];
	struct wire_out out = wire_out(udp, sizeof(udp));

	wire_put_u16(&out, dg->flow.key.guest.port);
	wire_put_u16(&out, error->peer.port);
	wire_put_u16(&out, (uint16_t)(8 + error->len));
	wire_put_u16(&out, 0);
	wire_put_bytes(&out, error->bytes, error->len < 56 ? error->len : 56);
	dgflow_pass_error(nat, dg, error, &out);
}

void udp_flow_pass(struct nat *nat, struct dgflow *dg, const struct endpoint *from,
		   const struct iovec *payload, uint16_t segment)
{
	uint64_t n = datagrams_in(payload->iov_len, segment);

	nat->output = (struct nat_output){.guest = dg->flow.guest, .mac = dg->mac};
	udpout_pass(nat, from, &dg->flow.key.guest, payload, segment);
	nat->counters.udp_to_guest += n;
	dg->flow.meter.packets_to_guest += n;
	flow_moved(&dg->flow, 0, payload->iov_len, nat->now_ms);
}

void udp_flow_received(struct nat *nat, struct dgflow *dg, const struct host_datagram *datagram)
{
	struct iovec payload = {(void *)(uintptr_t)datagram->bytes, datagram->len};
	struct endpoint from = datagram->peer;

	if (datagram->kind == HOST_DATAGRAM_ERROR) {
		pass_error(nat, dg, datagram);
		return;
	}
	if ((datagram->segment ? datagram->segment : datagram->len) > 65507)
		return;
	from.addr = policy_peer_seen(&nat->config, &from.addr, &dg->flow.key.guest.addr);
	dg->two_way = true;
	dgflow_used(nat, dg, is_question_and_answer(from.port));
	udp_flow_pass(nat, dg, &from, &payload, datagram->segment);
}
