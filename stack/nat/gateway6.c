#include "stack/nat/gateway6.h"

#include "stack/nat/dgflow.h"
#include "stack/nat/icmp.h"
#include "stack/nat/ip_lwip.h"
#include "stack/nat/nd.h"
#include "stack/nat/policy.h"
#include "stack/nat/tcpflow.h"

/* Types of ICMPv6 that are the link's own business. */
#define MLD_QUERY 130
#define MLD_DONE 132
#define ND_FIRST 133
#define ND_LAST 137
#define MLD2_REPORT 143

static bool is_for_us(const struct nat *nat, const struct packet *packet)
{
	return mac_eq(&packet->dst_mac, &nat->config.mac);
}

/* RFC 8200 section 4: the sender learns which byte of its packet is not understood. */
static void answer_problem(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	static const enum icmp_reason reasons[] = {
	    [PACKET_NO_PROBLEM] = ICMP_NO_REASON,
	    [PACKET_BAD_FIELD] = ICMP_BAD_FIELD,
	    [PACKET_BAD_NEXT_HEADER] = ICMP_NO_PROTOCOL,
	    [PACKET_BAD_OPTION] = ICMP_BAD_OPTION,
	};

	nat->counters.dropped_malformed++;
	if ((is_for_us(nat, packet) || addr_is_multicast(&packet->dst)) &&
	    policy_source_ok(&nat->config, &packet->src))
		icmp_answer_error_at(nat, guest, packet, reasons[packet->problem],
				     packet->problem_at);
}

static void input_icmp6(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	uint8_t type = packet->l4_len ? packet->l4[0] : 0;

	if (type >= ND_FIRST && type <= ND_LAST) {
		nd_input(nat, guest, packet);
		return;
	}
	/* Everything multicast is flooded to all ports anyway: nobody need ask for it. */
	if ((type >= MLD_QUERY && type <= MLD_DONE) || type == MLD2_REPORT)
		return;
	if (!policy_source_ok(&nat->config, &packet->src))
		nat->counters.dropped_address++;
	else if (is_for_us(nat, packet) || addr_is_multicast(&packet->dst))
		icmp_input(nat, guest, packet);
}

/* What is flooded to all is none of our business, but for UDP services and the link's own. */
static void input_for_us(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	if (!is_for_us(nat, packet))
		return;
	if (packet->proto == IPPROTO_NUMBER_TCP) {
		tcpflow_input(nat, guest, packet);
		return;
	}
	if (!policy_source_ok(&nat->config, &packet->src)) {
		nat->counters.dropped_address++;
		return;
	}
	nat->counters.dropped_protocol++;
	icmp_answer_error_at(nat, guest, packet, ICMP_NO_PROTOCOL, packet->next_header_at);
}

static void input_complete(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	if (packet->problem != PACKET_NO_PROBLEM) {
		answer_problem(nat, guest, packet);
	} else if (!policy_scope_ok(&nat->config, &packet->src, &packet->dst)) {
		nat->counters.dropped_address++;
		if (is_for_us(nat, packet))
			icmp_answer_error(nat, guest, packet, ICMP_BEYOND_SCOPE);
	} else if (packet->proto == IPPROTO_NUMBER_UDP) {
		udp_flow_input(nat, guest, packet);
	} else if (packet->proto == IPPROTO_NUMBER_ICMPV6) {
		input_icmp6(nat, guest, packet);
	} else {
		input_for_us(nat, guest, packet);
	}
}

/* RFC 6980 section 5: neighbour discovery never comes in fragments. */
static bool is_fragmented_nd(const struct packet *packet)
{
	return packet->proto == IPPROTO_NUMBER_ICMPV6 && packet->l4_len &&
	       packet->l4[0] >= ND_FIRST && packet->l4[0] <= ND_LAST;
}

void gateway6_input(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	struct packet whole;

	if (!nat->config.ipv6) {
		nat->counters.dropped_protocol++;
		return;
	}
	if (!packet->fragment || packet->problem != PACKET_NO_PROBLEM) {
		input_complete(nat, guest, packet);
		return;
	}
	if (!iplwip_reassemble(nat, guest, packet, &whole))
		return;
	if (is_fragmented_nd(&whole))
		nat->counters.dropped_malformed++;
	else
		input_complete(nat, guest, &whole);
}
