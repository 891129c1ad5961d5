#include "stack/nat/arp.h"

#include "stack/base/wire.h"
#include "stack/nat/headers.h"
#include "stack/nat/policy.h"

#define ARP_REQUEST 1
#define ARP_REPLY 2
#define ARP_FRAME_LEN 60 /* the least an Ethernet carries, without its checksum */

static const struct mac mac_broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

struct arp {
	uint16_t operation;
	struct mac sender_mac, target_mac;
	struct addr sender, target;
};

static bool read_arp(struct arp *ret, const struct packet *packet)
{
	struct wire_in in = wire_in(packet->l4, packet->l4_len);
	uint16_t hardware = wire_get_u16(&in);
	uint16_t protocol = wire_get_u16(&in);
	uint16_t lengths = wire_get_u16(&in);

	ret->operation = wire_get_u16(&in);
	wire_get_bytes(&in, ret->sender_mac.b, 6);
	ret->sender = addr_v4(wire_get_u32(&in));
	wire_get_bytes(&in, ret->target_mac.b, 6);
	ret->target = addr_v4(wire_get_u32(&in));
	return !in.bad && hardware == 1 && protocol == ETHERTYPE_IPV4 && lengths == 0x0604;
}

static void send_arp(struct nat *nat, struct port *port, const struct mac *to,
		     const struct arp *arp)
{
	uint8_t frame[ARP_FRAME_LEN];
	struct wire_out out = wire_out(frame, sizeof(frame));

	headers_put_ethernet(&out, to, &nat->config.mac, ETHERTYPE_ARP);
	wire_put_u16(&out, 1);
	wire_put_u16(&out, ETHERTYPE_IPV4);
	wire_put_u16(&out, 0x0604);
	wire_put_u16(&out, arp->operation);
	wire_put_bytes(&out, arp->sender_mac.b, 6);
	wire_put_u32(&out, addr_to_v4(&arp->sender));
	wire_put_bytes(&out, arp->target_mac.b, 6);
	wire_put_u32(&out, addr_to_v4(&arp->target));
	wire_put_zero(&out, sizeof(frame) - wire_len(&out));
	port->ops->send(port, frame, sizeof(frame), NULL, 0);
}

/* A guest with a static address outside our net asks for the gateway it was given (172.17.1.1/16
 * behind 192.168.0.1): we are that gateway. The address may also be another guest's that we have
 * not heard of: with more than one guest attached, its owner gets the first question to answer. */
static bool is_foreign_gateway(struct nat *nat, struct guest *guest, const struct addr *target)
{
	struct port *port;
	struct mac mac;
	bool alone = guest->link.next == guest->link.prev; /* itself and the head */
	bool asked_before = addr_eq(&guest->arp_asked, target);

	if (subnet_contains(&nat->config.net4, target) || !policy_source_ok(&nat->config, target))
		return false;
	if (neighbour_find(nat->neighbours, target, &port, &mac))
		return false;
	guest->arp_asked = *target;
	return alone || asked_before;
}

void arp_input(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	struct arp arp, reply;
	bool probe, gratuitous;

	if (!nat->config.ipv4 || !read_arp(&arp, packet)) {
		nat->counters.dropped_malformed++;
		return;
	}
	probe = addr_is_unspecified(&arp.sender); /* RFC 5227 section 2.1.1 */
	gratuitous = addr_eq(&arp.sender, &arp.target);
	if (!probe && policy_source_ok(&nat->config, &arp.sender) &&
	    !mac_is_multicast(&arp.sender_mac))
		nat_learn(nat, &arp.sender, &arp.sender_mac, guest);
	if (arp.operation != ARP_REQUEST || gratuitous)
		return;
	if (!policy_is_gateway(&nat->config, &arp.target) &&
	    (probe || !is_foreign_gateway(nat, guest, &arp.target)))
		return;
	reply.operation = ARP_REPLY;
	reply.sender_mac = nat->config.mac;
	reply.sender = arp.target;
	reply.target_mac = arp.sender_mac;
	reply.target = arp.sender;
	send_arp(nat, guest->port, &packet->src_mac, &reply);
}

void arp_ask(struct nat *nat, const struct addr *addr)
{
	struct arp request = {
	    .operation = ARP_REQUEST,
	    .sender_mac = nat->config.mac,
	    .sender = nat->config.host4,
	    .target = *addr,
	};

	if (!addr_is_v4(addr))
		return;
	for (struct list *link = nat->guests.next; link != &nat->guests; link = link->next)
		send_arp(nat, list_entry(link, struct guest, link)->port, &mac_broadcast, &request);
}
