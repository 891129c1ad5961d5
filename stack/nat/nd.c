#include "stack/nat/nd.h"

#include "stack/base/checksum.h"
#include "stack/base/wire.h"
#include "stack/nat/icmp.h"
#include "stack/nat/policy.h"

#define ND_ROUTER_SOLICITATION 133
#define ND_NEIGHBOUR_SOLICITATION 135
#define ND_NEIGHBOUR_ADVERTISEMENT 136

#define OPTION_SOURCE_MAC 1
#define OPTION_TARGET_MAC 2
#define HOP_LIMIT 255 /* RFC 4861 section 3.1: no router has touched the packet */

#define FLAG_ROUTER 0x80000000u
#define FLAG_SOLICITED 0x40000000u
#define FLAG_OVERRIDE 0x20000000u

static const struct addr all_nodes = {{0xff, 0x02, [15] = 1}};
static const struct mac all_nodes_mac = {{0x33, 0x33, 0, 0, 0, 1}};

/* What a neighbour's message says. */
struct nd {
	uint8_t type;
	uint32_t flags;     /* advertisement: the FLAG_ above */
	struct addr target; /* not of a router solicitation */
	bool has_mac;       /* the link-layer address option that goes with the type */
	struct mac mac;
};

struct addr nd_linklocal_of(const struct mac *mac)
{
	const uint8_t *m = mac->b;

	return (struct addr){
	    {0xfe, 0x80, [8] = m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}};
}

/* ---- reading -------------------------------------------------------------------------------- */

static bool checksum_ok(const struct packet *packet)
{
	checksum_sum sum = checksum_add_pseudo(0, &packet->src, &packet->dst, IPPROTO_NUMBER_ICMPV6,
					       (uint32_t)packet->l4_len);

	return checksum_finish(checksum_add(sum, packet->l4, packet->l4_len)) == 0;
}

/* An option of length 0 makes the message invalid; those we do not know are passed over. */
static bool read_options(struct nd *ret, struct wire_in *in)
{
	uint8_t wanted =
	    ret->type == ND_NEIGHBOUR_ADVERTISEMENT ? OPTION_TARGET_MAC : OPTION_SOURCE_MAC;

	while (wire_left(in)) {
		uint8_t type = wire_get_u8(in);
		uint8_t len = wire_get_u8(in); /* units of 8 bytes */
		struct wire_in option = wire_get_in(in, len ? (size_t)len * 8 - 2 : 0);

		if (in->bad || len == 0)
			return false;
		if (type == wanted && len == 1) {
			wire_get_bytes(&option, ret->mac.b, 6);
			ret->has_mac = !mac_is_multicast(&ret->mac);
		}
	}
	return !in->bad;
}

static bool read_nd(struct nd *ret, const struct packet *packet)
{
	struct wire_in in = wire_in(packet->l4, packet->l4_len);
	uint8_t code;

	memset(ret, 0, sizeof(*ret));
	ret->type = wire_get_u8(&in);
	code = wire_get_u8(&in);
	wire_skip(&in, 2);
	ret->flags = wire_get_u32(&in);
	if (ret->type != ND_ROUTER_SOLICITATION)
		wire_get_bytes(&in, ret->target.b, 16);
	return !in.bad && code == 0 && packet->ttl == HOP_LIMIT && read_options(ret, &in) &&
	       checksum_ok(packet);
}

/* ff02::1:ff00:0/104 with the last three bytes of 'addr' (RFC 4291 section 2.7.1). */
static struct addr solicited_node(const struct addr *addr)
{
	return (struct addr){{0xff, 0x02, [11] = 1, 0xff, addr->b[13], addr->b[14], addr->b[15]}};
}

/* RFC 4861 sections 6.1.1, 7.1.1 and 7.1.2. */
static bool is_valid(const struct nd *nd, const struct packet *packet)
{
	bool no_source = addr_is_unspecified(&packet->src);
	struct addr asked = solicited_node(&nd->target);

	if (nd->type != ND_ROUTER_SOLICITATION &&
	    (addr_is_multicast(&nd->target) || addr_is_v4(&nd->target)))
		return false;
	switch (nd->type) {
	case ND_NEIGHBOUR_ADVERTISEMENT:
		return !(addr_is_multicast(&packet->dst) && nd->flags & FLAG_SOLICITED);
	case ND_NEIGHBOUR_SOLICITATION:
		return !no_source || (addr_eq(&packet->dst, &asked) && !nd->has_mac);
	default:
		return !no_source || !nd->has_mac;
	}
}

/* ---- answering ------------------------------------------------------------------------------ */

static void send_nd(struct nat *nat, const struct nat_udp_reply *to, const struct nd *nd)
{
	uint8_t bytes[32];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	wire_put_u8(&out, nd->type);
	wire_put_u8(&out, 0);
	wire_put_u16(&out, 0);
	wire_put_u32(&out, nd->flags);
	wire_put_bytes(&out, nd->target.b, 16);
	wire_put_u8(&out,
		    nd->type == ND_NEIGHBOUR_ADVERTISEMENT ? OPTION_TARGET_MAC : OPTION_SOURCE_MAC);
	wire_put_u8(&out, 1);
	wire_put_bytes(&out, nat->config.mac.b, 6);
	nat_icmp6_send(nat, to, bytes, wire_len(&out));
}

/* A guest with a static address believes in a gateway that is not ours (fe80::1, or one of another
 * net): we are that gateway. As for ARP, with more than one guest attached the address may be
 * another guest's that we have not heard of: its owner gets the first question to answer. */
static bool is_foreign_gateway(struct nat *nat, struct guest *guest, const struct addr *target)
{
	struct port *port;
	struct mac mac;
	bool alone = guest->link.next == guest->link.prev; /* itself and the head */
	bool asked_before = addr_eq(&guest->nd_asked, target);

	if (subnet_contains(&nat->config.net6, target) || !policy_source_ok(&nat->config, target))
		return false;
	if (neighbour_find(nat->neighbours, target, &port, &mac))
		return false;
	guest->nd_asked = *target;
	return alone || asked_before;
}

static void answer_solicitation(struct nat *nat, struct guest *guest, const struct packet *packet,
				const struct nd *nd)
{
	bool probe = addr_is_unspecified(&packet->src); /* RFC 4862 section 5.4 */
	struct nd advertisement = {
	    .type = ND_NEIGHBOUR_ADVERTISEMENT,
	    .flags = FLAG_ROUTER | FLAG_OVERRIDE | (probe ? 0 : FLAG_SOLICITED),
	    .target = nd->target,
	};
	struct nat_udp_reply to = {
	    .port = guest->port,
	    .to_mac = probe ? all_nodes_mac : packet->src_mac,
	    .from.addr = nd->target,
	    .to.addr = probe ? all_nodes : packet->src,
	};

	if (policy_is_gateway(&nat->config, &nd->target) ||
	    (!probe && is_foreign_gateway(nat, guest, &nd->target)))
		send_nd(nat, &to, &advertisement);
}

/* ---- entry ---------------------------------------------------------------------------------- */

static void learn(struct nat *nat, struct guest *guest, const struct packet *packet,
		  const struct nd *nd)
{
	bool advertised = nd->type == ND_NEIGHBOUR_ADVERTISEMENT;
	const struct addr *addr = advertised ? &nd->target : &packet->src;

	if (policy_source_ok(&nat->config, addr))
		nat_learn(nat, addr, nd->has_mac ? &nd->mac : &packet->src_mac, guest);
}

void nd_input(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	uint8_t type = packet->l4_len ? packet->l4[0] : 0;
	struct nd nd;

	/* Routers' own: another router of the guests' making is none of our business. */
	if (type != ND_ROUTER_SOLICITATION && type != ND_NEIGHBOUR_SOLICITATION &&
	    type != ND_NEIGHBOUR_ADVERTISEMENT)
		return;
	if (!read_nd(&nd, packet) || !is_valid(&nd, packet)) {
		nat->counters.dropped_malformed++;
		return;
	}
	/* A guest that claims one of our addresses is told so by what it asks, never believed. */
	if (!addr_is_unspecified(&packet->src) && !policy_source_ok(&nat->config, &packet->src)) {
		nat->counters.dropped_address++;
		return;
	}
	learn(nat, guest, packet, &nd);
	if (nd.type == ND_NEIGHBOUR_SOLICITATION)
		answer_solicitation(nat, guest, packet, &nd);
	else if (nd.type == ND_ROUTER_SOLICITATION && nat->config.router_solicited)
		nat->config.router_solicited(nat->config.router_ctx, guest->port, &packet->src_mac,
					     &packet->src);
}

void nd_ask(struct nat *nat, const struct addr *addr)
{
	struct addr to = solicited_node(addr);
	struct nd solicitation = {.type = ND_NEIGHBOUR_SOLICITATION, .target = *addr};
	struct nat_udp_reply reply = {
	    .to_mac = {{0x33, 0x33, 0xff, addr->b[13], addr->b[14], addr->b[15]}},
	    .to.addr = to,
	};

	if (!nat->config.ipv6 || addr_is_v4(addr))
		return;
	/* A guest that has no link-local address yet need not know how to answer ours. */
	if (!addr_is_link_local(addr))
		reply.from.addr = nat->config.host6;
	for (struct list *link = nat->guests.next; link != &nat->guests; link = link->next) {
		reply.port = list_entry(link, struct guest, link)->port;
		send_nd(nat, &reply, &solicitation);
	}
}
