#include "tests/support/packet.h"

#include "stack/base/checksum.h"
#include "stack/base/wire.h"
#include "tests/support/frames.h"

static bool checksum_ok(const struct packet *p, const uint8_t *bytes, size_t len)
{
	checksum_sum sum = 0;

	if (p->proto != PROTO_ICMP)
		sum = checksum_add_pseudo(sum, &p->src, &p->dst, p->proto, (uint32_t)len);
	return checksum_finish(checksum_add(sum, bytes, len)) == 0;
}

static void parse_options(struct packet *p, struct wire_in in)
{
	p->wscale = -1;
	while (wire_left(&in) > 0) {
		uint8_t kind = wire_get_u8(&in);
		uint8_t len;
		struct wire_in body;

		if (kind == 0)
			return;
		if (kind == 1)
			continue;
		len = wire_get_u8(&in);
		if (in.bad || len < 2) {
			p->fault = "TCP option without a length";
			return;
		}
		body = wire_get_in(&in, len - 2u);
		if (kind == 2)
			p->mss = wire_get_u16(&body);
		else if (kind == 3)
			p->wscale = wire_get_u8(&body);
		else if (kind == 4)
			p->sack_permitted = true;
		else if (kind == 8)
			p->timestamps = true;
		if (body.bad) {
			p->fault = "TCP option cut short";
			return;
		}
	}
}

static void parse_tcp(struct packet *p, const uint8_t *bytes, size_t len)
{
	struct wire_in in = wire_in(bytes, len);
	unsigned hdr_len;

	p->kind = PACKET_TCP;
	p->src_port = wire_get_u16(&in);
	p->dst_port = wire_get_u16(&in);
	p->seq = wire_get_u32(&in);
	p->ack = wire_get_u32(&in);
	hdr_len = (unsigned)(wire_get_u8(&in) >> 4) * 4;
	p->flags = wire_get_u8(&in);
	p->window = wire_get_u16(&in);
	wire_skip(&in, 2);
	p->urgent = wire_get_u16(&in);
	if (in.bad || hdr_len < 20 || hdr_len > len) {
		p->fault = "TCP header cut short";
		return;
	}
	if (!checksum_ok(p, bytes, len)) {
		p->fault = "TCP checksum";
		return;
	}
	parse_options(p, wire_get_in(&in, hdr_len - 20));
	p->payload = bytes + hdr_len;
	p->payload_len = len - hdr_len;
}

static void parse_udp(struct packet *p, const uint8_t *bytes, size_t len)
{
	struct wire_in in = wire_in(bytes, len);
	uint16_t udp_len, sum;

	p->kind = PACKET_UDP;
	p->src_port = wire_get_u16(&in);
	p->dst_port = wire_get_u16(&in);
	udp_len = wire_get_u16(&in);
	sum = wire_get_u16(&in);
	if (in.bad || udp_len < 8 || udp_len != len)
		p->fault = "UDP length";
	else if (sum == 0)
		p->fault = "UDP without checksum";
	else if (!checksum_ok(p, bytes, len))
		p->fault = "UDP checksum";
	p->payload = bytes + 8;
	p->payload_len = len - 8;
}

static void parse_icmp(struct packet *p, const uint8_t *bytes, size_t len)
{
	struct wire_in in = wire_in(bytes, len);

	p->kind = PACKET_ICMP;
	p->icmp_type = wire_get_u8(&in);
	p->icmp_code = wire_get_u8(&in);
	wire_skip(&in, 2);
	p->icmp_rest = wire_get_u32(&in);
	if (in.bad)
		p->fault = "ICMP message cut short";
	else if (!checksum_ok(p, bytes, len))
		p->fault = "ICMP checksum";
	p->payload = bytes + 8;
	p->payload_len = len - 8;
}

void packet_parse_payload(struct packet *ret, const uint8_t *bytes, size_t len)
{
	if (ret->proto == PROTO_TCP)
		parse_tcp(ret, bytes, len);
	else if (ret->proto == PROTO_UDP)
		parse_udp(ret, bytes, len);
	else if (ret->proto == PROTO_ICMP || ret->proto == PROTO_ICMP6)
		parse_icmp(ret, bytes, len);
	else {
		ret->payload = bytes;
		ret->payload_len = len;
	}
}

static void parse_ip4(struct packet *p, struct wire_in in)
{
	const uint8_t *start = in.at;
	uint8_t version = wire_get_u8(&in);
	unsigned hdr_len = (version & 15u) * 4;
	uint16_t flags;

	wire_skip(&in, 1);
	p->ip_len = wire_get_u16(&in);
	p->ip_id = wire_get_u16(&in);
	flags = wire_get_u16(&in);
	p->ttl = wire_get_u8(&in);
	p->proto = wire_get_u8(&in);
	wire_skip(&in, 2);
	p->src = addr_v4(wire_get_u32(&in));
	p->dst = addr_v4(wire_get_u32(&in));
	p->dont_fragment = flags & 0x4000;
	p->more_fragments = flags & 0x2000;
	p->fragment_offset = (uint16_t)((flags & 0x1fff) * 8);
	if (in.bad || version >> 4 != 4 || hdr_len != 20 || p->ip_len < 20 ||
	    (size_t)(in.end - start) < p->ip_len)
		p->fault = "IPv4 header";
	else if ((size_t)(in.end - start) > p->ip_len && p->ip_len > 46)
		p->fault = "bytes after the IPv4 packet";
	else if (checksum_finish(checksum_add(0, start, 20)) != 0)
		p->fault = "IPv4 header checksum";
	if (p->fault)
		return;
	if (p->more_fragments || p->fragment_offset) {
		p->kind = PACKET_FRAGMENT;
		p->payload = start + 20;
		p->payload_len = p->ip_len - 20u;
		return;
	}
	packet_parse_payload(p, start + 20, p->ip_len - 20u);
}

static void parse_fragment6(struct packet *p, struct wire_in in)
{
	uint16_t offset;

	p->kind = PACKET_FRAGMENT;
	p->proto = wire_get_u8(&in);
	wire_skip(&in, 1);
	offset = wire_get_u16(&in);
	p->more_fragments = offset & 1;
	p->fragment_offset = offset & 0xfff8;
	p->ip_id = (uint16_t)wire_get_u32(&in);
	if (in.bad)
		p->fault = "Fragment header";
	p->payload = in.at;
	p->payload_len = wire_left(&in);
}

static void parse_ip6(struct packet *p, struct wire_in in)
{
	uint16_t len;

	if (wire_get_u32(&in) >> 28 != 6)
		p->fault = "IPv6 version";
	len = wire_get_u16(&in);
	p->proto = wire_get_u8(&in);
	p->ttl = wire_get_u8(&in);
	wire_get_bytes(&in, p->src.b, 16);
	wire_get_bytes(&in, p->dst.b, 16);
	p->ip_len = (uint16_t)(40 + len);
	if (in.bad || wire_left(&in) != len)
		p->fault = "IPv6 length";
	else if (p->proto == 44)
		parse_fragment6(p, in);
	else if (!p->fault)
		packet_parse_payload(p, in.at, len);
}

static void parse_arp(struct packet *p, struct wire_in in)
{
	p->kind = PACKET_ARP;
	if (wire_get_u16(&in) != 1 || wire_get_u16(&in) != ETHER_IPV4 || wire_get_u8(&in) != 6 ||
	    wire_get_u8(&in) != 4)
		p->fault = "ARP header";
	p->arp_op = wire_get_u16(&in);
	wire_get_bytes(&in, p->arp_sender_mac.b, 6);
	p->src = addr_v4(wire_get_u32(&in));
	wire_get_bytes(&in, p->arp_target_mac.b, 6);
	p->dst = addr_v4(wire_get_u32(&in));
	if (in.bad)
		p->fault = "ARP cut short";
}

void packet_parse(struct packet *ret, const void *frame, size_t len)
{
	struct wire_in in = wire_in(frame, len);

	*ret = (struct packet){.wscale = -1};
	wire_get_bytes(&in, ret->dst_mac.b, 6);
	wire_get_bytes(&in, ret->src_mac.b, 6);
	ret->ethertype = wire_get_u16(&in);
	if (in.bad)
		ret->fault = "frame shorter than its header";
	else if (ret->ethertype == ETHER_IPV4)
		parse_ip4(ret, in);
	else if (ret->ethertype == ETHER_IPV6)
		parse_ip6(ret, in);
	else if (ret->ethertype == ETHER_ARP)
		parse_arp(ret, in);
}

static void parse_quoted_ip4(struct packet *ret, struct wire_in *in)
{
	const uint8_t *bytes = in->at;

	if (wire_get_u8(in) != 0x45)
		ret->fault = "quoted header is not plain IPv4";
	wire_skip(in, 1);
	ret->ip_len = wire_get_u16(in);
	ret->ip_id = wire_get_u16(in);
	wire_skip(in, 3);
	ret->proto = wire_get_u8(in);
	wire_skip(in, 2);
	ret->src = addr_v4(wire_get_u32(in));
	ret->dst = addr_v4(wire_get_u32(in));
	if (!in->bad && checksum_finish(checksum_add(0, bytes, 20)) != 0)
		ret->fault = "quoted header's checksum";
}

static void parse_quoted_ip6(struct packet *ret, struct wire_in *in)
{
	wire_skip(in, 4);
	ret->ip_len = (uint16_t)(40 + wire_get_u16(in));
	ret->proto = wire_get_u8(in);
	wire_skip(in, 1);
	wire_get_bytes(in, ret->src.b, 16);
	wire_get_bytes(in, ret->dst.b, 16);
}

void packet_parse_quoted(struct packet *ret, const uint8_t *bytes, size_t len)
{
	struct wire_in in = wire_in(bytes, len);

	*ret = (struct packet){.wscale = -1};
	if (len && bytes[0] >> 4 == 6)
		parse_quoted_ip6(ret, &in);
	else
		parse_quoted_ip4(ret, &in);
	ret->src_port = wire_get_u16(&in);
	ret->dst_port = wire_get_u16(&in);
	ret->seq = wire_get_u32(&in);
	if (in.bad)
		ret->fault = "quoted packet has fewer than 8 bytes of payload"; /* RFC 792 */
	if (ret->fault)
		return;
	ret->payload = in.at;
	ret->payload_len = wire_left(&in);
}
