#include "stack/nat/dgflow.h"

#include "stack/base/checksum.h"
#include "stack/base/wire.h"
#include "stack/nat/forward.h"
#include "stack/nat/icmp.h"
#include "stack/nat/policy.h"

#include <errno.h>
#include <stdlib.h>

#define BATCH_MAX 32             /* datagrams per receive call, ... */
#define BATCH_MIN 4              /* ... or some of the longest there are ... */
#define BATCH_BYTES (256 * 1024) /* ... that are about this much */
#define BATCHES_PER_TURN 4       /* then other flows get theirs */
#define LIFE_SERVICE_MS 10000u
#define LIFE_SHORT_MS 30000u
#define LIFE_LONG_MS 180000u /* RFC 4787 section 4.3 asks for two minutes at least */

static struct dgflow *of_flow(struct flow *flow)
{
	return (struct dgflow *)(void *)flow;
}

static uint32_t limit_of(const struct nat *nat, enum flow_kind kind)
{
	return kind == FLOW_UDP ? nat->config.limits.udp_per_guest_max
				: nat->config.limits.ping_per_guest_max;
}

static bool drop_longest_idle(struct nat *nat, struct guest *guest, enum flow_kind kind)
{
	if (list_is_empty(&guest->flows[kind]))
		return false;
	nat->counters.flows_evicted++;
	dgflow_end(nat, of_flow(list_entry(guest->flows[kind].next, struct flow, guest_link)));
	return true;
}

static int open_handle(struct nat *nat, const struct flow *flow)
{
	const struct host_ops *host = nat->config.host;
	bool v6 = !addr_is_v4(&flow->key.guest.addr);

	if (flow->key.kind == FLOW_UDP)
		return host->udp_open(nat->config.host_ctx, flow->token, v6);
	return host->ping_open(nat->config.host_ctx, flow->token, v6);
}

struct dgflow *dgflow_new(struct nat *nat, struct guest *guest, const struct flow_key *key,
			  int borrowed, int *ret_err)
{
	struct dgflow *dg = calloc(1, sizeof(*dg));
	int handle = -ENOMEM;

	if (!dg) {
		nat->counters.dropped_memory++;
		*ret_err = -ENOMEM;
		return NULL;
	}
	dg->flow.key = *key;
	dg->flow.handle = -1;
	dg->borrowed = borrowed >= 0;
	dg->batch = BATCH_MAX;
	list_init(&dg->work_link);
	if (guest->flows_n[key->kind] >= limit_of(nat, key->kind))
		drop_longest_idle(nat, guest, key->kind);
	*ret_err = nat_flow_add(nat, guest, &dg->flow);
	if (*ret_err == -ENOSPC && drop_longest_idle(nat, guest, key->kind))
		*ret_err = nat_flow_add(nat, guest, &dg->flow);
	if (*ret_err != 0) {
		free(dg);
		return NULL;
	}
	if (dg->borrowed) {
		dg->flow.handle = borrowed;
		forward_attach(forward_of_udp_handle(nat, borrowed), &dg->flow);
		nat->inbound_udp_n++;
		return dg;
	}
	handle = open_handle(nat, &dg->flow);
	if ((handle == -EMFILE || handle == -ENFILE) && guest->flows_n[key->kind] > 1 &&
	    drop_longest_idle(nat, guest, key->kind))
		handle = open_handle(nat, &dg->flow);
	if (handle < 0) {
		*ret_err = handle;
		dgflow_end(nat, dg);
		return NULL;
	}
	nat_flow_set_handle(nat, &dg->flow, handle);
	return dg;
}

void dgflow_end(struct nat *nat, struct dgflow *dg)
{
	if (dg->borrowed) {
		dg->flow.handle = -1;
		nat->inbound_udp_n--;
	} else if (dg->flow.handle >= 0) {
		nat->config.host->datagram_close(nat->config.host_ctx, dg->flow.handle);
		nat_flow_drop_handle(nat, &dg->flow);
	}
	list_remove(&dg->work_link);
	nat_flow_remove(nat, &dg->flow);
	free(dg);
}

void dgflow_used(struct nat *nat, struct dgflow *dg, bool service)
{
	struct list *age = dg->two_way ? &nat->age_long : &nat->age_short;
	uint32_t life_ms = dg->two_way ? LIFE_LONG_MS : LIFE_SHORT_MS;

	if (service) {
		age = &nat->age_service;
		life_ms = LIFE_SERVICE_MS;
	}
	dg->flow.expires_ms = nat->now_ms + life_ms;
	list_append(age, &dg->flow.age_link); /* one life time per list: each stays in order */
	list_append(&dg->flow.guest->flows[dg->flow.key.kind], &dg->flow.guest_link);
}

void dgflow_host_event(struct nat *nat, struct dgflow *dg)
{
	list_append(&nat->datagrams_dirty, &dg->work_link);
}

static void received(struct nat *nat, struct dgflow *dg, const struct host_datagram *datagram)
{
	if (dg->flow.key.kind == FLOW_UDP)
		udp_flow_received(nat, dg, datagram);
	else
		ping_received(nat, dg, datagram);
}

/* The host may give 64 KiB of datagrams as one: the next batch is chosen by the length of those in
 * this one, so that a flow's turn has bounded bytes, and the guest's queue room for them. */
static void size_next_batch(struct dgflow *dg, const struct host_datagram *batch, int n)
{
	size_t bytes = 0, next;

	for (int i = 0; i < n; i++)
		bytes += batch[i].len;
	next = BATCH_BYTES / (bytes / (unsigned)n + 1);
	dg->batch = (uint8_t)(next < BATCH_MIN ? BATCH_MIN : next > BATCH_MAX ? BATCH_MAX : next);
}

static void read_flow(struct nat *nat, struct dgflow *dg)
{
	struct port *port = dg->flow.guest->port;
	struct host_datagram batch[BATCH_MAX];

	for (int round = 0; round < BATCHES_PER_TURN; round++) {
		int n;

		if (port->blocked) {
			list_append(&dg->flow.guest->stalled_datagrams, &dg->work_link);
			return;
		}
		n = nat->config.host->recv(nat->config.host_ctx, dg->flow.handle, batch, dg->batch);
		if (n <= 0)
			return;
		size_next_batch(dg, batch, n);
		for (int i = 0; i < n; i++)
			received(nat, dg, &batch[i]);
		port->ops->flush(port); /* the bytes are the host's until its next call */
	}
	list_append(&nat->datagrams_dirty, &dg->work_link);
}

void dgflow_run(struct nat *nat)
{
	struct list work;

	list_init(&work);
	list_splice(&work, &nat->datagrams_dirty);
	while (!list_is_empty(&work)) {
		struct dgflow *dg = list_entry(work.next, struct dgflow, work_link);
		list_remove(&dg->work_link);
		read_flow(nat, dg);
	}
}

void dgflow_port_writable(struct nat *nat, struct guest *guest)
{
	list_splice(&nat->datagrams_dirty, &guest->stalled_datagrams);
}

static void expire(struct nat *nat, struct list *age)
{
	while (!list_is_empty(age)) {
		struct flow *flow = list_entry(age->next, struct flow, age_link);
		if (nat->now_ms < flow->expires_ms)
			return;
		dgflow_end(nat, of_flow(flow));
	}
}

void dgflow_tick(struct nat *nat)
{
	expire(nat, &nat->age_service);
	expire(nat, &nat->age_short);
	expire(nat, &nat->age_long);
}

static uint64_t first_expiry(const struct list *age)
{
	return list_is_empty(age) ? UINT64_MAX
				  : list_entry(age->next, struct flow, age_link)->expires_ms;
}

uint64_t dgflow_next_ms(const struct nat *nat)
{
	uint64_t next_ms = first_expiry(&nat->age_service);

	if (!list_is_empty(&nat->datagrams_dirty))
		return nat->now_ms;
	if (first_expiry(&nat->age_short) < next_ms)
		next_ms = first_expiry(&nat->age_short);
	if (first_expiry(&nat->age_long) < next_ms)
		next_ms = first_expiry(&nat->age_long);
	return next_ms;
}

void dgflow_send_failed(struct nat *nat, struct guest *guest, const struct packet *packet, int err)
{
	nat->counters.dropped_host_send++;
	icmp_answer_error(nat, guest, packet, icmp_reason_of_errno(err));
}

/* The IP header the guest's packet had, near enough to be recognised: addresses, protocol, length.
 */
static void put_quoted_ip(struct wire_out *out, const struct dgflow *dg, const struct addr *dst,
			  size_t l4_len)
{
	const struct addr *src = &dg->flow.key.guest.addr;
	bool udp = dg->flow.key.kind == FLOW_UDP;

	if (!addr_is_v4(src)) {
		wire_put_u32(out, 0x60000000);
		wire_put_u16(out, (uint16_t)l4_len);
		wire_put_u8(out, udp ? IPPROTO_NUMBER_UDP : IPPROTO_NUMBER_ICMPV6);
		wire_put_u8(out, 1);
		wire_put_bytes(out, src->b, 16);
		wire_put_bytes(out, dst->b, 16);
		return;
	}
	wire_put_u16(out, 0x4500);
	wire_put_u16(out, (uint16_t)(20 + l4_len));
	wire_put_u32(out, 0); /* identification, fragment offset */
	wire_put_u8(out, 1);  /* time to live: what was left where it failed is not known */
	wire_put_u8(out, udp ? IPPROTO_NUMBER_UDP : IPPROTO_NUMBER_ICMP);
	wire_put_u16(out, 0);
	wire_put_u32(out, addr_to_v4(src));
	wire_put_u32(out, addr_to_v4(dst));
	wire_patch_u16(out, 10, checksum_finish(checksum_add(0, out->start, 20)));
}

static bool is_passed_on(const struct icmp_error *error, bool v6)
{
	if (v6)
		return error->type >= ICMP6_UNREACHABLE && error->type <= ICMP6_PARAMETER_PROBLEM;
	return error->type == ICMP4_UNREACHABLE || error->type == ICMP4_TIME_EXCEEDED;
}

static bool is_from_peer(const struct icmp_error *error, bool v6)
{
	struct icmp_error no_port;

	icmp_error_set(&no_port, v6, ICMP_NO_PORT);
	return error->type == no_port.type && error->code == no_port.code;
}

void dgflow_pass_error(struct nat *nat, struct dgflow *dg, const struct host_datagram *error,
		       const struct wire_out *l4)
{
	const struct addr *guest = &dg->flow.key.guest.addr;
	struct addr peer = policy_peer_seen(&nat->config, &error->peer.addr, guest);
	bool v6 = !addr_is_v4(guest);
	size_t l4_len = wire_len(l4);
	uint8_t quote[40 + 64];
	struct wire_out out = wire_out(quote, sizeof(quote));
	struct icmp_error icmp = {
	    .type = error->icmp_type,
	    .code = error->icmp_code,
	    .info = error->icmp_info,
	    .to_mac = dg->mac,
	};

	if (addr_is_v4(&error->peer.addr) == v6 || !is_passed_on(&icmp, v6))
		return;
	put_quoted_ip(&out, dg, &peer, l4_len);
	wire_put_bytes(&out, l4->start, l4_len < 64 ? l4_len : 64);
	icmp.quote = quote;
	icmp.quote_len = wire_len(&out);
	/* An error that the host itself found comes from where the packet was going, or from us. */
	if (!addr_is_unspecified(&error->offender))
		icmp.from = policy_peer_seen(&nat->config, &error->offender, guest);
	else if (is_from_peer(&icmp, v6))
		icmp.from = peer;
	icmp_send_error(nat, dg->flow.guest, &icmp);
}
