#include "tests/support/guestsim.h"

#include "tests/support/frames.h"
#include "tests/support/sim_reass.h"
#include "tests/support/sim_tcp.h"

#include <stdlib.h>
#include <string.h>

#define NEIGHBOURS_MAX 32

static const struct mac broadcast_mac = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

struct neighbour {
	struct addr addr;
	struct mac mac;
};

struct guestsim {
	struct guestsim_config config;
	struct guestsim_faults faults;
	const char *fault_text;
	struct guestsim_counters counters;
	struct sim_tcp_table *tcp;
	struct sim_reass reass;
	struct neighbour neighbours[NEIGHBOURS_MAX];
	unsigned neighbours_n;
	bool arp_silent;
	uint8_t ttl;
	uint16_t ip_id;
	struct guestsim_datagram *datagrams, **datagrams_tail;
	struct guestsim_icmp *icmps, **icmps_tail;
	struct guestsim_lease lease;
	bool dhcp_wanted;
	uint32_t dhcp_xid;
	/* Frames that an input made due; sent by guestsim_run(). */
	uint8_t *due[256];
	size_t due_len[256];
	unsigned due_n;
	uint8_t scratch[FRAMES_BUF_LEN];
};

struct guestsim *guestsim_new(const struct guestsim_config *config)
{
	struct guestsim *sim = calloc(1, sizeof(*sim));

	sim->config = *config;
	sim->tcp = sim_tcp_table_new(sim, config->seed);
	sim->datagrams_tail = &sim->datagrams;
	sim->icmps_tail = &sim->icmps;
	sim->dhcp_xid = (uint32_t)config->seed * 2654435761u + 1;
	return sim;
}

void guestsim_free(struct guestsim *sim)
{
	void *item;

	if (!sim)
		return;
	sim_tcp_table_free(sim->tcp);
	sim_reass_fini(&sim->reass);
	while ((item = guestsim_udp_pop(sim)))
		free(item);
	while ((item = guestsim_icmp_pop(sim)))
		free(item);
	while (sim->due_n)
		free(sim->due[--sim->due_n]);
	free(sim);
}

struct guestsim_faults *guestsim_faults(struct guestsim *sim)
{
	return &sim->faults;
}

uint32_t guestsim_faults_sum(struct guestsim *sim)
{
	const struct guestsim_faults *f = &sim->faults;
	return f->malformed + f->wrong_mac + f->wrong_addr + f->oversize + f->beyond_window +
	       f->beyond_mss + f->mismatch + f->bad_ack + f->bad_reset + f->window_shrunk;
}

const char *guestsim_fault_text(struct guestsim *sim)
{
	return sim->fault_text ? sim->fault_text : "no fault";
}

void guestsim_note_fault(struct guestsim *sim, uint32_t *counter, const char *text)
{
	++*counter;
	if (!sim->fault_text)
		sim->fault_text = text;
}

const struct guestsim_counters *guestsim_counters(const struct guestsim *sim)
{
	return &sim->counters;
}

struct guestsim_counters *guestsim_counters_mutable(struct guestsim *sim)
{
	return &sim->counters;
}

const struct guestsim_config *guestsim_config(const struct guestsim *sim)
{
	return &sim->config;
}

struct sim_tcp_table *guestsim_tcp_table(struct guestsim *sim)
{
	return sim->tcp;
}

void guestsim_set_arp_silent(struct guestsim *sim, bool silent)
{
	sim->arp_silent = silent;
}

void guestsim_set_ttl(struct guestsim *sim, uint8_t ttl)
{
	sim->ttl = ttl;
}

void guestsim_set_mtu(struct guestsim *sim, uint16_t mtu)
{
	sim->config.mtu = mtu;
}

const struct guestsim_lease *guestsim_lease(const struct guestsim *sim)
{
	return &sim->lease;
}

void guestsim_send_frame(struct guestsim *sim, const uint8_t *frame, size_t len)
{
	sim->counters.frames_out++;
	sim->config.send(sim->config.ctx, frame, len);
}

static void send_built(struct guestsim *sim, const struct wire_out *out)
{
	if (!out->bad)
		guestsim_send_frame(sim, out->start, wire_len(out));
}

void guestsim_send_later(struct guestsim *sim, const uint8_t *frame, size_t len)
{
	if (sim->due_n == sizeof(sim->due) / sizeof(sim->due[0]))
		return;
	sim->due[sim->due_n] = malloc(len);
	memcpy(sim->due[sim->due_n], frame, len);
	sim->due_len[sim->due_n++] = len;
}

static void send_later(struct guestsim *sim, const struct wire_out *out)
{
	if (!out->bad)
		guestsim_send_later(sim, out->start, wire_len(out));
}

bool guestsim_neighbour(const struct guestsim *sim, const struct addr *addr, struct mac *ret)
{
	for (unsigned i = 0; i < sim->neighbours_n; i++) {
		if (addr_eq(&sim->neighbours[i].addr, addr)) {
			*ret = sim->neighbours[i].mac;
			return true;
		}
	}
	return false;
}

void guestsim_neighbour_set(struct guestsim *sim, const struct addr *addr, const struct mac *mac)
{
	for (unsigned i = 0; i < sim->neighbours_n; i++) {
		if (addr_eq(&sim->neighbours[i].addr, addr)) {
			sim->neighbours[i].mac = *mac;
			return;
		}
	}
	if (sim->neighbours_n < NEIGHBOURS_MAX)
		sim->neighbours[sim->neighbours_n++] = (struct neighbour){*addr, *mac};
}

static void nd_ask(struct guestsim *sim, const struct addr *addr)
{
	const uint8_t *b = addr->b;
	uint8_t frame[100];
	struct wire_out out = wire_out(frame, sizeof(frame));
	struct frames_ends ends = {
	    .src_mac = sim->config.mac,
	    .dst_mac = {{0x33, 0x33, 0xff, b[13], b[14], b[15]}},
	    .src = sim->config.addr,
	    .dst = {{0xff, 0x02, [11] = 1, 0xff, b[13], b[14], b[15]}},
	    .ttl = 255,
	};

	frames_nd(&out, &ends, &(struct frames_nd){135, 0, *addr, sim->config.mac});
	send_built(sim, &out);
}

void guestsim_arp_ask(struct guestsim *sim, const struct addr *addr)
{
	uint8_t frame[64];
	struct wire_out out = wire_out(frame, sizeof(frame));

	if (!addr_is_v4(addr)) {
		nd_ask(sim, addr);
		return;
	}
	frames_arp(&out, &(struct frames_arp){.eth_src = sim->config.mac,
					      .eth_dst = broadcast_mac,
					      .op = 1,
					      .sender_mac = sim->config.mac,
					      .sender = sim->config.addr,
					      .target = *addr});
	send_built(sim, &out);
}

bool guestsim_next_hop(struct guestsim *sim, const struct addr *dst, struct mac *ret)
{
	const struct addr *hop = dst;

	if (addr_is_broadcast(dst) || subnet_is_broadcast(&sim->config.net, dst)) {
		*ret = broadcast_mac;
		return true;
	}
	if (!subnet_contains(&sim->config.net, dst))
		hop = &sim->config.gateway;
	if (guestsim_neighbour(sim, hop, ret))
		return true;
	guestsim_arp_ask(sim, hop);
	return false;
}

static bool ends_to(struct guestsim *sim, const struct addr *dst, struct frames_ends *ret)
{
	*ret = (struct frames_ends){.src_mac = sim->config.mac,
				    .src = sim->config.addr,
				    .dst = *dst,
				    .ttl = sim->ttl,
				    .ip_id = ++sim->ip_id};
	return guestsim_next_hop(sim, dst, &ret->dst_mac);
}

/* Sends an IP payload, in fragments when it is longer than the MTU. */
static void send_ip(struct guestsim *sim, const struct frames_ends *ends, uint8_t proto,
		    struct iovec message)
{
	bool v4 = addr_is_v4(&ends->src);
	size_t header = v4 ? 20 : 40;
	size_t room = (sim->config.mtu - header - (v4 ? 0 : 8)) & ~(size_t)7;
	uint8_t *frame = malloc(FRAMES_BUF_LEN);

	for (size_t at = 0; at < message.iov_len || at == 0;) {
		size_t len = message.iov_len - at;
		bool last = len + header + (at && !v4 ? 8 : 0) <= sim->config.mtu;
		struct wire_out out = wire_out(frame, FRAMES_BUF_LEN);

		if (!last)
			len = room;
		frames_fragment(&out, ends, &(struct frames_fragment){proto, (uint16_t)at, !last},
				frames_bytes((uint8_t *)message.iov_base + at, len));
		send_built(sim, &out);
		at += len;
		if (last)
			break;
	}
	free(frame);
}

void guestsim_udp_send(struct guestsim *sim, uint16_t port, const struct endpoint *to,
		       struct iovec payload)
{
	struct frames_ends ends;
	struct wire_out out = wire_out(sim->scratch, sizeof(sim->scratch));

	if (!ends_to(sim, &to->addr, &ends))
		return;
	frames_udp_message(&out, &ends, (struct frames_ports){port, to->port}, payload);
	send_ip(sim, &ends, PROTO_UDP, frames_bytes(sim->scratch, wire_len(&out)));
}

void guestsim_ping(struct guestsim *sim, const struct addr *to, uint32_t id_and_seq,
		   struct iovec payload)
{
	struct frames_ends ends;
	struct wire_out out = wire_out(sim->scratch, sizeof(sim->scratch));

	bool v4 = addr_is_v4(to);
	size_t header = v4 ? 34 : 54;

	if (!ends_to(sim, to, &ends))
		return;
	frames_icmp(&out, &ends, &(struct frames_icmp){v4 ? 8 : 128, 0, id_and_seq}, payload);
	if (!out.bad)
		send_ip(sim, &ends, v4 ? PROTO_ICMP : PROTO_ICMP6,
			frames_bytes(sim->scratch + header, wire_len(&out) - header));
}

struct guestsim_datagram *guestsim_udp_pop(struct guestsim *sim)
{
	struct guestsim_datagram *d = sim->datagrams;

	if (d) {
		sim->datagrams = d->next;
		if (!d->next)
			sim->datagrams_tail = &sim->datagrams;
	}
	return d;
}

struct guestsim_icmp *guestsim_icmp_pop(struct guestsim *sim)
{
	struct guestsim_icmp *i = sim->icmps;

	if (i) {
		sim->icmps = i->next;
		if (!i->next)
			sim->icmps_tail = &sim->icmps;
	}
	return i;
}

static void send_dhcp(struct guestsim *sim, uint8_t type)
{
	uint8_t message[300] = {0};
	uint8_t frame[400];
	struct wire_out out = wire_out(message, sizeof(message));
	struct wire_out eth = wire_out(frame, sizeof(frame));
	struct frames_ends ends = {.src_mac = sim->config.mac,
				   .dst_mac = broadcast_mac,
				   .src = addr_v4(0),
				   .dst = addr_v4(0xffffffff)};

	wire_put_u32(&out, 0x01010600); /* BOOTREQUEST, Ethernet, 6, 0 hops */
	wire_put_u32(&out, sim->dhcp_xid);
	wire_put_zero(&out, 20);
	wire_put_bytes(&out, sim->config.mac.b, 6);
	wire_put_zero(&out, 10 + 64 + 128);
	wire_put_u32(&out, 0x63825363);
	wire_put_u8(&out, 53);
	wire_put_u8(&out, 1);
	wire_put_u8(&out, type);
	if (type == 3) {
		wire_put_u16(&out, 50 << 8 | 4);
		wire_put_bytes(&out, sim->lease.addr.b + 12, 4);
		wire_put_u16(&out, 54 << 8 | 4);
		wire_put_bytes(&out, sim->lease.server.b + 12, 4);
	}
	if (sim->config.hostname[0]) {
		wire_put_u8(&out, 12);
		wire_put_u8(&out, (uint8_t)strlen(sim->config.hostname));
		wire_put_bytes(&out, (const uint8_t *)sim->config.hostname,
			       strlen(sim->config.hostname));
	}
	wire_put_u32(&out, 55u << 24 | 3u << 16 | 3u << 8 | 6u);
	wire_put_u8(&out, 26);
	wire_put_u8(&out, 255);
	frames_udp(&eth, &ends, (struct frames_ports){68, 67},
		   frames_bytes(message, sizeof(message)));
	send_later(sim, &eth);
}

static uint8_t read_dhcp_options(struct guestsim_lease *lease, struct wire_in in)
{
	uint8_t type = 0;

	while (wire_left(&in)) {
		uint8_t code = wire_get_u8(&in);
		struct wire_in body;

		if (code == 255)
			break;
		if (code == 0)
			continue;
		body = wire_get_in(&in, wire_get_u8(&in));
		if (code == 53)
			type = wire_get_u8(&body);
		else if (code == 54)
			lease->server = addr_v4(wire_get_u32(&body));
		else if (code == 3)
			lease->router = addr_v4(wire_get_u32(&body));
		else if (code == 6)
			lease->dns = addr_v4(wire_get_u32(&body));
		else if (code == 51)
			lease->lease_s = wire_get_u32(&body);
		else if (code == 26)
			lease->mtu = wire_get_u16(&body);
	}
	return type;
}

static void dhcp_input(struct guestsim *sim, const struct packet *p)
{
	struct wire_in in = wire_in(p->payload, p->payload_len);
	struct addr yours;
	uint8_t type;

	wire_skip(&in, 4);
	if (wire_get_u32(&in) != sim->dhcp_xid)
		return;
	wire_skip(&in, 8);
	yours = addr_v4(wire_get_u32(&in));
	wire_skip(&in, 236 - 20);
	if (wire_get_u32(&in) != 0x63825363 || in.bad)
		return;
	sim->lease.addr = yours;
	type = read_dhcp_options(&sim->lease, in);
	if (type == 2)
		send_dhcp(sim, 3);
	if (type == 5) {
		sim->lease.acked = true;
		sim->dhcp_wanted = false;
		sim->config.addr = yours;
		sim->config.gateway = sim->lease.router;
	}
}

void guestsim_dhcp_start(struct guestsim *sim)
{
	sim->dhcp_wanted = true;
	sim->dhcp_xid++;
	sim->lease = (struct guestsim_lease){0};
	send_dhcp(sim, 1);
}

static void udp_input(struct guestsim *sim, const struct packet *p)
{
	struct guestsim_datagram *d;

	if (sim->dhcp_wanted && p->dst_port == 68) {
		dhcp_input(sim, p);
		return;
	}
	d = malloc(sizeof(*d) + p->payload_len);
	*d = (struct guestsim_datagram){.from = {p->src, p->src_port},
					.to = {p->dst, p->dst_port},
					.src_mac = p->src_mac,
					.ttl = p->ttl,
					.len = p->payload_len};
	memcpy(d->bytes, p->payload, p->payload_len);
	*sim->datagrams_tail = d;
	sim->datagrams_tail = &d->next;
}

static void answer_solicitation(struct guestsim *sim, const struct packet *p)
{
	uint8_t frame[100];
	struct wire_out out = wire_out(frame, sizeof(frame));
	struct frames_ends ends = {.src_mac = sim->config.mac,
				   .dst_mac = p->src_mac,
				   .src = sim->config.addr,
				   .dst = p->src,
				   .ttl = 255};

	frames_nd(&out, &ends,
		  &(struct frames_nd){136, 0x60000000, sim->config.addr, sim->config.mac});
	send_later(sim, &out);
}

/* Solicitations and advertisements alone. */
static void nd_input(struct guestsim *sim, const struct packet *p)
{
	struct wire_in in = wire_in(p->payload, p->payload_len);
	struct addr target;
	struct mac mac;

	wire_get_bytes(&in, target.b, 16);
	wire_skip(&in, 2);
	wire_get_bytes(&in, mac.b, 6);
	if (in.bad || p->ttl != 255) {
		guestsim_note_fault(sim, &sim->faults.malformed, "neighbour discovery");
		return;
	}
	if (p->icmp_type == 136) {
		sim->counters.arp_answers_in++;
		guestsim_neighbour_set(sim, &target, &mac);
		return;
	}
	sim->counters.arp_requests_in++;
	if (!sim->arp_silent && addr_eq(&target, &sim->config.addr))
		answer_solicitation(sim, p);
}

static bool is_icmp_error(const struct packet *p)
{
	return addr_is_v4(&p->src) ? p->icmp_type == 3 : p->icmp_type < 128;
}

static void icmp_input(struct guestsim *sim, const struct packet *p)
{
	bool v4 = addr_is_v4(&p->src);
	struct guestsim_icmp *i;

	if (!v4 && (p->icmp_type == 135 || p->icmp_type == 136)) {
		nd_input(sim, p);
		return;
	}
	if (p->icmp_type == (v4 ? 8 : 128)) {
		struct frames_ends ends;
		struct wire_out out = wire_out(sim->scratch, sizeof(sim->scratch));

		if (!ends_to(sim, &p->src, &ends))
			return;
		frames_icmp(&out, &ends,
			    &(struct frames_icmp){.type = v4 ? 0 : 129, .rest = p->icmp_rest},
			    frames_bytes(p->payload, p->payload_len));
		send_later(sim, &out);
		return;
	}
	if (is_icmp_error(p)) {
		struct packet quoted;

		packet_parse_quoted(&quoted, p->payload, p->payload_len);
		if (quoted.fault)
			guestsim_note_fault(sim, &sim->faults.malformed, quoted.fault);
		else if (quoted.proto == PROTO_TCP)
			sim_tcp_table_unreachable(sim->tcp, &quoted, p);
	}
	i = malloc(sizeof(*i) + p->payload_len);
	*i = (struct guestsim_icmp){.from = p->src,
				    .to = p->dst,
				    .src_mac = p->src_mac,
				    .type = p->icmp_type,
				    .code = p->icmp_code,
				    .rest = p->icmp_rest,
				    .len = p->payload_len};
	memcpy(i->bytes, p->payload, p->payload_len);
	*sim->icmps_tail = i;
	sim->icmps_tail = &i->next;
}

static void arp_input(struct guestsim *sim, const struct packet *p)
{
	uint8_t frame[64];
	struct wire_out out = wire_out(frame, sizeof(frame));

	if (p->arp_op == 2) {
		sim->counters.arp_answers_in++;
		if (addr_eq(&p->dst, &sim->config.addr))
			guestsim_neighbour_set(sim, &p->src, &p->arp_sender_mac);
		return;
	}
	sim->counters.arp_requests_in++;
	if (sim->arp_silent || !addr_eq(&p->dst, &sim->config.addr))
		return;
	frames_arp(&out, &(struct frames_arp){.eth_src = sim->config.mac,
					      .eth_dst = p->arp_sender_mac,
					      .op = 2,
					      .sender_mac = sim->config.mac,
					      .sender = sim->config.addr,
					      .target_mac = p->arp_sender_mac,
					      .target = p->src});
	send_later(sim, &out);
}

/* Whether the frame is for this guest and from where it may come; notes faults. */
static bool check_addresses(struct guestsim *sim, const struct packet *p, size_t len)
{
	const struct guestsim_config *c = &sim->config;
	const struct addr *hop = subnet_contains(&c->net, &p->src) ? &p->src : &c->gateway;
	struct mac known;

	if (mac_is_multicast(&p->src_mac))
		guestsim_note_fault(sim, &sim->faults.wrong_mac, "source MAC is multicast");
	if (len > c->mtu + 14u)
		guestsim_note_fault(sim, &sim->faults.oversize, "frame longer than the MTU");
	if (!mac_eq(&p->dst_mac, &c->mac) && !mac_is_multicast(&p->dst_mac)) {
		guestsim_note_fault(sim, &sim->faults.wrong_mac, "frame for another MAC");
		return false;
	}
	if (p->kind == PACKET_ARP || p->kind == PACKET_OTHER)
		return true;
	if (addr_is_unspecified(&p->src)) /* another guest looks for a lease */
		return false;
	/* Neighbour discovery is for us, routers' advertisements and the like are not. */
	if (!addr_is_v4(&p->dst) && addr_is_multicast(&p->dst))
		return p->kind == PACKET_ICMP && (p->icmp_type == 135 || p->icmp_type == 136);
	if (guestsim_neighbour(sim, hop, &known) && !mac_eq(&known, &p->src_mac))
		guestsim_note_fault(sim, &sim->faults.wrong_mac, "frame from another MAC");
	if (!addr_eq(&p->dst, &c->addr) && !addr_is_broadcast(&p->dst) &&
	    !(sim->dhcp_wanted && p->kind == PACKET_UDP && p->dst_port == 68)) {
		guestsim_note_fault(sim, &sim->faults.wrong_addr, "packet for another address");
		return false;
	}
	return true;
}

static void dispatch(struct guestsim *sim, const struct packet *p, uint64_t now_ms)
{
	if (p->fault)
		guestsim_note_fault(sim, &sim->faults.malformed, p->fault);
	else if (p->kind == PACKET_ARP)
		arp_input(sim, p);
	else if (p->kind == PACKET_TCP)
		sim_tcp_table_input(sim->tcp, p, now_ms);
	else if (p->kind == PACKET_UDP)
		udp_input(sim, p);
	else if (p->kind == PACKET_ICMP)
		icmp_input(sim, p);
}

void guestsim_input(struct guestsim *sim, const uint8_t *frame, size_t len, uint64_t now_ms)
{
	struct packet p;

	sim->counters.frames_in++;
	packet_parse(&p, frame, len);
	if (p.fault)
		guestsim_note_fault(sim, &sim->faults.malformed, p.fault);
	else if (check_addresses(sim, &p, len)) {
		if (p.kind == PACKET_FRAGMENT && !sim_reass_add(&sim->reass, &p))
			return;
		dispatch(sim, &p, now_ms);
	}
}

void guestsim_run(struct guestsim *sim, uint64_t now_ms)
{
	for (unsigned i = 0; i < sim->due_n; i++) {
		guestsim_send_frame(sim, sim->due[i], sim->due_len[i]);
		free(sim->due[i]);
	}
	sim->due_n = 0;
	sim_tcp_table_run(sim->tcp, now_ms);
}

uint64_t guestsim_next_ms(const struct guestsim *sim, uint64_t now_ms)
{
	uint64_t at = sim_tcp_table_next_ms(sim->tcp);
	return at == UINT64_MAX ? at : at > now_ms ? at - now_ms : 0;
}

void guestsim_tick(struct guestsim *sim, uint64_t now_ms)
{
	sim_tcp_table_tick(sim->tcp, now_ms);
}
