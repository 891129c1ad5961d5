#include "stack/nat/nat_priv.h"

#include "stack/nat/arp.h"
#include "stack/nat/dgflow.h"
#include "stack/nat/forward.h"
#include "stack/nat/icmp.h"
#include "stack/nat/gateway6.h"
#include "stack/nat/ip_lwip.h"
#include "stack/nat/nd.h"
#include "stack/nat/ping_guest.h"
#include "stack/nat/policy.h"
#include "stack/nat/port/port_state.h"
#include "stack/nat/tcpflow.h"

#include <errno.h>
#include <stdlib.h>

#define FLOWS_WITHOUT_HANDLE_PER_GUEST_MAX 8192u
#define FLOWS_WITHOUT_HANDLE_MAX                                                                   \
	16384u /* TIME_WAIT and the like, beside those the descriptors limit */

/* ---- flows: limits and book-keeping shared by all kinds ------------------------------------- */

/* Connections whose host side is done and whose guest does not let go. */
static uint32_t flows_without_handle(const struct guest *guest)
{
	uint32_t flows_n = 0;

	for (int kind = 0; kind < FLOW_KINDS; kind++)
		flows_n += guest->flows_n[kind];
	return flows_n > guest->handles_n ? flows_n - guest->handles_n : 0;
}

int nat_flow_add(struct nat *nat, struct guest *guest, struct flow *flow)
{
	int err;

	if (nat->handles_n >= nat->config.limits.flows_max ||
	    guest->handles_n >= nat->config.limits.flows_per_guest_max ||
	    flows_without_handle(guest) >= FLOWS_WITHOUT_HANDLE_PER_GUEST_MAX) {
		nat->counters.dropped_limit++;
		return -ENOSPC;
	}
	err = flow_insert(nat->flows, flow);
	if (err != 0) {
		nat->counters.dropped_limit++;
		return err;
	}
	flow->guest = guest;
	flow->meter.began_ms = flow->meter.used_ms = flow->meter.since_ms = nat->now_ms;
	list_init(&flow->guest_link);
	list_init(&flow->age_link);
	list_init(&flow->forward_link);
	list_append(&guest->flows[flow->key.kind], &flow->guest_link);
	guest->flows_n[flow->key.kind]++;
	return 0;
}

void nat_flow_remove(struct nat *nat, struct flow *flow)
{
	forward_detach(flow);
	list_remove(&flow->guest_link);
	list_remove(&flow->age_link);
	flow->guest->flows_n[flow->key.kind]--;
	flow_remove(nat->flows, flow);
}

void nat_flow_set_handle(struct nat *nat, struct flow *flow, int handle)
{
	flow->handle = handle;
	nat->handles_n++;
	flow->guest->handles_n++;
}

void nat_flow_drop_handle(struct nat *nat, struct flow *flow)
{
	flow->handle = -1;
	nat->handles_n--;
	flow->guest->handles_n--;
}

struct nat_limits nat_limits_default(uint64_t nofile)
{
	uint32_t flows = nofile > 1000000 ? 1000000 : nofile < 64 ? 64 : (uint32_t)nofile;

	return (struct nat_limits){
	    .flows_max = flows,
	    .flows_per_guest_max = flows - flows / 8, /* the rest stays for the other guests */
	    .half_open_per_guest_max = flows / 2,
	    .udp_per_guest_max = flows / 4,
	    .ping_per_guest_max = 256,
	    .guest_to_host_bytes_max = (size_t)16 << 20,
	    .host_to_guest_bytes_max = (size_t)64 << 20,
	    .host_to_guest_bytes_per_guest_max = (size_t)16 << 20,
	};
}

/* ---- making and freeing --------------------------------------------------------------------- */

static bool config_ok(const struct nat_config *config)
{
	if (!config->host || !config->rng || config->mtu < 68 || (!config->ipv4 && !config->ipv6))
		return false;
	if (config->ipv6 && config->mtu < 1280)
		return false;
	if (config->ipv4 && (!addr_is_v4(&config->host4) || !addr_is_v4(&config->dns4) ||
			     !addr_is_v4(&config->net4.addr)))
		return false;
	if (config->ipv6 && (addr_is_v4(&config->host6) || addr_is_v4(&config->dns6) ||
			     addr_is_v4(&config->net6.addr)))
		return false;
	return config->limits.flows_max > 0;
}

static void init_lists(struct nat *nat)
{
	list_init(&nat->guests);
	list_init(&nat->dirty);
	list_init(&nat->starved);
	list_init(&nat->merging);
	list_init(&nat->ticking);
	list_init(&nat->waiting);
	list_init(&nat->opening);
	list_init(&nat->ended);
	list_init(&nat->forwards);
	list_init(&nat->waiting_datagrams);
	list_init(&nat->datagrams_dirty);
	list_init(&nat->age_short);
	list_init(&nat->age_long);
	list_init(&nat->age_service);
	list_init(&nat->time_wait);
}

/* lwIP's lists are globals: a second nat in one process would share them. */
static bool nat_exists;

int nat_new(struct nat **ret, const struct nat_config *config)
{
	struct nat *nat;
	int err;

	if (!config_ok(config))
		return -EINVAL;
	if (nat_exists)
		return -EBUSY;
	nat = calloc(1, sizeof(*nat));
	if (!nat)
		return -ENOMEM;
	nat_exists = true;
	nat->config = *config;
	nat->config.linklocal6 = nd_linklocal_of(&config->mac);
	init_lists(nat);
	block_pool_init(&nat->blocks, config->limits.host_to_guest_bytes_max);
	port_state_set(config->rng);
	nat->ip_id = rng_u16(config->rng);
	err = flow_table_new(&nat->flows, config->rng,
			     config->limits.flows_max + FLOWS_WITHOUT_HANDLE_MAX);
	if (err == 0)
		err = neighbour_table_new(&nat->neighbours, config->rng);
	if (err == 0) {
		nat->engine = solo_engine_new(config->mtu, tcpout_packet, nat);
		err = nat->engine ? iplwip_init(nat) : -ENOMEM;
	}
	if (err != 0) {
		nat_free(nat);
		return err;
	}
	*ret = nat;
	return 0;
}

void nat_free(struct nat *nat)
{
	if (!nat)
		return;
	tcpinbound_drop_all(nat);
	udpinbound_drop_all(nat);
	while (!list_is_empty(&nat->guests))
		nat_port_remove(nat, list_entry(nat->guests.next, struct guest, link)->port);
	forward_drop_all(nat);
	iplwip_fini(nat);
	solo_engine_free(nat->engine);
	neighbour_table_free(nat->neighbours);
	flow_table_free(nat->flows);
	block_pool_fini(&nat->blocks);
	port_state_set(NULL);
	free(nat);
	nat_exists = false;
}

int nat_port_add(struct nat *nat, struct port *port)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	if (!guest)
		return -ENOMEM;
	guest->port = port;
	for (int kind = 0; kind < FLOW_KINDS; kind++)
		list_init(&guest->flows[kind]);
	list_init(&guest->connecting);
	list_init(&guest->stalled);
	list_init(&guest->stalled_datagrams);
	list_init(&guest->paused);
	list_init(&guest->link);
	list_append(&nat->guests, &guest->link);
	port->nat_data = guest;
	return 0;
}

static void end_flow(struct nat *nat, struct flow *flow)
{
	if (flow->key.kind == FLOW_TCP)
		tcpflow_kill(nat, (struct tcpflow *)(void *)flow, true);
	else
		dgflow_end(nat, (struct dgflow *)(void *)flow);
}

void nat_port_remove(struct nat *nat, struct port *port)
{
	struct guest *guest = port->nat_data;

	if (!guest)
		return;
	for (int kind = 0; kind < FLOW_KINDS; kind++) {
		while (!list_is_empty(&guest->flows[kind]))
			end_flow(nat, list_entry(guest->flows[kind].next, struct flow, guest_link));
	}
	neighbour_forget_port(nat->neighbours, port);
	iplwip_drop_fragments(nat, guest);
	if (nat->output.guest == guest)
		nat->output = (struct nat_output){.guest = NULL};
	list_remove(&guest->link);
	port->nat_data = NULL;
	free(guest);
}

/* ---- frames from guests --------------------------------------------------------------------- */

void nat_learn(struct nat *nat, const struct addr *addr, const struct mac *mac, struct guest *guest)
{
	if (!neighbour_learn(nat->neighbours, addr, mac, guest->port))
		return;
	if (nat->config.neighbour)
		nat->config.neighbour(nat->config.neighbour_ctx, guest->port, addr, mac);
	tcpinbound_neighbour_known(nat, addr);
	udpinbound_neighbour_known(nat, addr);
	pingguest_neighbour_known(nat, addr);
}

void nat_ask(struct nat *nat, const struct addr *addr)
{
	if (addr_is_v4(addr))
		arp_ask(nat, addr);
	else
		nd_ask(nat, addr);
}

static void input_complete(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	if (packet->proto == IPPROTO_NUMBER_UDP) {
		udp_flow_input(nat, guest, packet);
		return;
	}
	/* Everything else has to be addressed to the gateway as a router: what is flooded to all is
	 * none of our business. */
	if (!mac_eq(&packet->dst_mac, &nat->config.mac))
		return;
	if (packet->proto == IPPROTO_NUMBER_TCP) {
		tcpflow_input(nat, guest, packet);
		return;
	}
	if (!policy_source_ok(&nat->config, &packet->src)) {
		nat->counters.dropped_address++;
		return;
	}
	switch (packet->proto) {
	case IPPROTO_NUMBER_ICMP:
		icmp_input(nat, guest, packet);
		break;
	default:
		nat->counters.dropped_protocol++;
		if (!addr_is_multicast(&packet->dst) && !addr_is_broadcast(&packet->dst))
			icmp_answer_error(nat, guest, packet, ICMP_NO_PROTOCOL);
		break;
	}
}

static void input_ip(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	struct packet whole;

	if (packet->v6) {
		gateway6_input(nat, guest, packet);
		return;
	}
	if (!nat->config.ipv4) {
		nat->counters.dropped_protocol++;
		return;
	}
	if (!packet->fragment)
		input_complete(nat, guest, packet);
	else if (iplwip_reassemble(nat, guest, packet, &whole))
		input_complete(nat, guest, &whole);
}

/* The frame in one piece. Frames of several pieces are copied; nobody may then keep a reference. */
static const uint8_t *linearize(struct nat *nat, const struct frame *frame)
{
	size_t at = 0;

	if (frame->iov_n == 1)
		return frame->iov[0].iov_base;
	for (unsigned i = 0; i < frame->iov_n; i++) {
		if (frame->iov[i].iov_len > sizeof(nat->linear) - at)
			return NULL;
		memcpy(nat->linear + at, frame->iov[i].iov_base, frame->iov[i].iov_len);
		at += frame->iov[i].iov_len;
	}
	return nat->linear;
}

/* The marks that the frame has speak of what is in it. */
static bool takes_segments(struct packet *packet, const struct frame *frame)
{
	if ((frame->offload.gso_type & ~FRAME_GSO_ECN) != FRAME_GSO_UDP_L4)
		return true;
	packet->segment = frame->offload.gso_size;
	return packet->ethertype != ETHERTYPE_ARP && packet->proto == IPPROTO_NUMBER_UDP &&
	       !packet->fragment && packet->segment > 0 &&
	       packet->ip_len / packet->segment < FRAME_SEGMENTS_MAX;
}

/* Bulk data of a known connection needs not be in one piece, only its headers. False: nothing has
 * been done. */
static bool input_pieces(struct nat *nat, struct guest *guest, const struct frame *frame)
{
	const uint8_t *bytes = frame->iov[0].iov_base;
	struct packet packet;

	bool udp = packet_has_udp_headers(bytes, frame->iov[0].iov_len);

	/* Padding behind the packet is for those who look closer. */
	if ((!udp && !packet_has_tcp_headers(bytes, frame->iov[0].iov_len)) ||
	    packet_read(&packet, bytes, frame->len) != PACKET_OK ||
	    packet.ip_len != frame->len - FRAME_HDR_LEN ||
	    !mac_eq(&packet.dst_mac, &nat->config.mac) || !takes_segments(&packet, frame))
		return false;
	packet.owner = frame->owner;
	return udp ? udp_flow_input_pieces(nat, guest, &packet, frame)
		   : tcpflow_input_pieces(nat, guest, &packet, frame);
}

void nat_input(struct nat *nat, struct port *from, const struct frame *frame)
{
	struct guest *guest = from->nat_data;

	if (guest && frame->iov_n > 1 && input_pieces(nat, guest, frame))
		return;
	const uint8_t *bytes = guest ? linearize(nat, frame) : NULL;
	struct packet packet;

	if (!bytes)
		return;
	switch (packet_read(&packet, bytes, frame->len)) {
	case PACKET_OK:
		break;
	case PACKET_MALFORMED:
		nat->counters.dropped_malformed++;
		return;
	case PACKET_OTHER:
		nat->counters.dropped_protocol++;
		return;
	}
	if (mac_is_multicast(&packet.src_mac) || !takes_segments(&packet, frame)) {
		nat->counters.dropped_malformed++;
		return;
	}
	packet.owner = frame->iov_n == 1 ? frame->owner : NULL;
	if (packet.ethertype == ETHERTYPE_ARP)
		arp_input(nat, guest, &packet);
	else
		input_ip(nat, guest, &packet);
}

/* ---- turns ---------------------------------------------------------------------------------- */

void nat_set_time(struct nat *nat, uint64_t now_ms)
{
	if (now_ms > nat->now_ms)
		nat->now_ms = now_ms;
	port_state_set_time(nat->now_ms);
}

void nat_host_event(struct nat *nat, uint64_t token, unsigned events)
{
	struct flow *flow = flow_by_token(nat->flows, token);

	if (!flow)
		return;
	if (flow->key.kind == FLOW_TCP)
		tcpflow_host_event(nat, (struct tcpflow *)(void *)flow, events);
	else
		dgflow_host_event(nat, (struct dgflow *)(void *)flow);
}

void nat_port_writable(struct nat *nat, struct port *port)
{
	struct guest *guest = port->nat_data;

	if (!guest)
		return;
	tcpflow_port_writable(nat, guest);
	dgflow_port_writable(nat, guest);
}

/* Once the ports have been flushed nothing points into released blocks any more. */
static void settle_blocks(struct nat *nat)
{
	if (!nat->blocks.limbo)
		return;
	for (struct list *link = nat->guests.next; link != &nat->guests; link = link->next) {
		if (list_entry(link, struct guest, link)->port->queued)
			return; /* input of this turn has already made lwIP send */
	}
	block_settle(&nat->blocks);
}

void nat_run(struct nat *nat, uint64_t now_ms)
{
	nat_set_time(nat, now_ms);
	settle_blocks(nat);
	list_splice(&nat->dirty, &nat->starved);
	tcpinbound_tell(nat);
	tcpflow_run(nat);
	tcpinbound_tell(nat);
	dgflow_run(nat);
	if (nat->config.host->flush)
		nat->config.host->flush(nat->config.host_ctx);
	nat->turn++;
}

uint64_t nat_next_ms(const struct nat *nat, uint64_t now_ms)
{
	uint64_t next_ms[] = {
	    tcpflow_next_ms(nat),
	    tcpinbound_next_ms(nat),
	    udpinbound_next_ms(nat),
	    dgflow_next_ms(nat),
	    pingguest_next_ms(nat),
	    iplwip_reassembly_pending(nat) ? nat->reassembly_ms : UINT64_MAX,
	};
	uint64_t first_ms = UINT64_MAX;

	for (size_t i = 0; i < sizeof(next_ms) / sizeof(next_ms[0]); i++) {
		if (next_ms[i] < first_ms)
			first_ms = next_ms[i];
	}
	/* Flows that wait for blocks get those that rest since this turn. */
	if (!list_is_empty(&nat->starved) && nat->blocks.limbo)
		return 0;
	if (first_ms == UINT64_MAX)
		return UINT64_MAX;
	return first_ms > now_ms ? first_ms - now_ms : 0;
}

void nat_tick(struct nat *nat, uint64_t now_ms)
{
	nat_set_time(nat, now_ms);
	settle_blocks(nat);
	tcpflow_tick(nat);
	tcpinbound_tick(nat);
	tcpinbound_tell(nat);
	udpinbound_tick(nat);
	pingguest_tick(nat);
	dgflow_tick(nat);
	if (iplwip_reassembly_pending(nat) && nat->now_ms >= nat->reassembly_ms)
		iplwip_reassembly_tick(nat);
	tcpflow_run(nat);
	dgflow_run(nat);
}

/* ---- questions ------------------------------------------------------------------------------ */

int nat_tcp_service_add(struct nat *nat, uint16_t port, bool dns_only, unsigned service)
{
	if (nat->tcp_services_n == NAT_TCP_SERVICES_MAX)
		return -ENOSPC;
	nat->tcp_services[nat->tcp_services_n++] =
	    (struct nat_tcp_service_row){.port = port, .dns_only = dns_only, .service = service};
	return 0;
}

int nat_tcp_service_add_at(struct nat *nat, const struct endpoint *at, unsigned service)
{
	struct nat_config *config = &nat->config;

	if (at->port == 0 || addr_is_unspecified(&at->addr) || addr_is_loopback(&at->addr) ||
	    addr_is_multicast(&at->addr) || addr_is_broadcast(&at->addr) ||
	    policy_is_host_or_dns(config, &at->addr))
		return -EINVAL;
	for (unsigned i = 0; i < nat->tcp_services_n; i++) {
		if (nat->tcp_services[i].port == at->port &&
		    addr_eq(&nat->tcp_services[i].at, &at->addr))
			return -EEXIST;
	}
	if (nat->tcp_services_n == NAT_TCP_SERVICES_MAX)
		return -ENOSPC;
	if (!policy_is_gateway(config, &at->addr)) {
		if (config->service_addrs_n == NAT_SERVICE_ADDRS_MAX)
			return -ENOSPC;
		config->service_addrs[config->service_addrs_n++] = at->addr;
	}
	nat->tcp_services[nat->tcp_services_n++] =
	    (struct nat_tcp_service_row){.at = at->addr, .port = at->port, .service = service};
	return 0;
}

bool nat_neighbour(const struct nat *nat, const struct addr *addr, struct port **ret_port,
		   struct mac *ret_mac)
{
	return neighbour_find(nat->neighbours, addr, ret_port, ret_mac);
}

void nat_neighbour_set(struct nat *nat, const struct addr *addr, const struct mac *mac,
		       struct port *port)
{
	if (port->nat_data)
		nat_learn(nat, addr, mac, port->nat_data);
}

const struct addr *nat_linklocal(const struct nat *nat)
{
	return &nat->config.linklocal6;
}

const struct nat_counters *nat_counters(const struct nat *nat)
{
	return &nat->counters;
}

uint32_t nat_flow_count(const struct nat *nat)
{
	return flow_table_count(nat->flows);
}
