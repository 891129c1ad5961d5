#include "stack/nat/packet.h"

#include "stack/base/wire.h"

static enum packet_verdict read_ipv4(struct packet *ret, const uint8_t *bytes, size_t len)
{
	struct wire_in in = wire_in(bytes, len);
	uint8_t version_ihl = wire_get_u8(&in);
	size_t header_len = (size_t)(version_ihl & 0xf) * 4;
	size_t total_len;
	uint16_t fragment;

	wire_skip(&in, 1); /* type of service */
	total_len = wire_get_u16(&in);
	wire_skip(&in, 2); /* identification */
	fragment = wire_get_u16(&in);
	ret->ttl = wire_get_u8(&in);
	ret->proto = wire_get_u8(&in);
	wire_skip(&in, 2); /* checksum: the frame came over a local socket */
	ret->src = addr_v4(wire_get_u32(&in));
	ret->dst = addr_v4(wire_get_u32(&in));
	if (in.bad || version_ihl >> 4 != 4 || header_len < 20 || total_len < header_len ||
	    total_len > len)
		return PACKET_MALFORMED;
	ret->v6 = false;
	ret->fragment = (fragment & 0x3fff) != 0; /* more fragments, or an offset */
	ret->dont_fragment = (fragment & 0x4000) != 0;
	ret->ip = bytes;
	ret->ip_len = total_len;
	ret->l4 = bytes + header_len;
	ret->l4_len = total_len - header_len;
	return PACKET_OK;
}

static enum packet_verdict read_ipv6(struct packet *ret, const uint8_t *bytes, size_t len)
{
	struct wire_in in = wire_in(bytes, len);
	uint8_t version = wire_get_u8(&in) >> 4;
	size_t payload_len;

	wire_skip(&in, 3); /* traffic class and flow label */
	payload_len = wire_get_u16(&in);
	ret->proto = wire_get_u8(&in);
	ret->ttl = wire_get_u8(&in);
	wire_get_bytes(&in, ret->src.b, 16);
	wire_get_bytes(&in, ret->dst.b, 16);
	if (in.bad || version != 6 || payload_len > wire_left(&in))
		return PACKET_MALFORMED;
	/* A v4-mapped address would pass for IPv4 inside; it has no place on the wire. */
	if (addr_is_v4(&ret->src) || addr_is_v4(&ret->dst))
		return PACKET_MALFORMED;
	ret->v6 = true;
	ret->fragment = false;
	ret->dont_fragment = true;
	ret->ip = bytes;
	ret->ip_len = 40 + payload_len;
	ret->l4 = bytes + 40;
	ret->l4_len = payload_len;
	return PACKET_OK;
}

enum packet_verdict packet_read_ip(struct packet *ret, const uint8_t *bytes, size_t len)
{
	if (ret->ethertype == ETHERTYPE_IPV4)
		return read_ipv4(ret, bytes, len);
	return read_ipv6(ret, bytes, len);
}

enum packet_verdict packet_read(struct packet *ret, const uint8_t *bytes, size_t len)
{
	struct wire_in in = wire_in(bytes, len);

	wire_get_bytes(&in, ret->dst_mac.b, 6);
	wire_get_bytes(&in, ret->src_mac.b, 6);
	ret->ethertype = wire_get_u16(&in);
	ret->owner = NULL;
	if (in.bad)
		return PACKET_MALFORMED;
	switch (ret->ethertype) {
	case ETHERTYPE_IPV4:
	case ETHERTYPE_IPV6:
		return packet_read_ip(ret, in.at, wire_left(&in));
	case ETHERTYPE_ARP:
		ret->l4 = in.at;
		ret->l4_len = wire_left(&in);
		return PACKET_OK;
	default:
		return PACKET_OTHER;
	}
}

/* RFC 9293 section 3.1. Stops at the first option that does not fit: what was read before it
 * counts. */
static void read_syn_options(struct tcp_segment *ret, struct wire_in in)
{
	while (wire_left(&in)) {
		uint8_t kind = wire_get_u8(&in);
		uint8_t len;

		if (kind == 0)
			return;
		if (kind == 1)
			continue;
		len = wire_get_u8(&in);
		if (in.bad || len < 2 || (size_t)len - 2 > wire_left(&in))
			return;
		if (kind == 2 && len == 4) {
			ret->mss = wire_get_u16(&in);
		} else if (kind == 3 && len == 3) {
			uint8_t shift = wire_get_u8(&in);
			ret->has_wscale = true;
			ret->wscale = shift > 14 ? 14 : shift; /* RFC 7323 section 2.3 */
		} else {
			wire_skip(&in, (size_t)len - 2);
		}
	}
}

enum packet_verdict packet_read_tcp(struct tcp_segment *ret, const struct packet *packet)
{
	struct wire_in in = wire_in(packet->l4, packet->l4_len);
	size_t header_len;

	memset(ret, 0, sizeof(*ret));
	ret->src_port = wire_get_u16(&in);
	ret->dst_port = wire_get_u16(&in);
	ret->seq = wire_get_u32(&in);
	ret->ack = wire_get_u32(&in);
	header_len = (size_t)(wire_get_u8(&in) >> 4) * 4;
	ret->flags = wire_get_u8(&in) & 0x3f;
	ret->window = wire_get_u16(&in);
	wire_skip(&in, 4); /* checksum, urgent pointer: urgent data is data (RFC 6093) */
	if (in.bad || header_len < 20 || header_len > packet->l4_len)
		return PACKET_MALFORMED;
	if (ret->src_port == 0 || ret->dst_port == 0)
		return PACKET_MALFORMED;
	if (ret->flags & TCP_FLAG_SYN)
		read_syn_options(ret, wire_in(in.at, header_len - 20));
	ret->data = packet->l4 + header_len;
	ret->data_len = (uint16_t)(packet->l4_len - header_len);
	return PACKET_OK;
}

enum packet_verdict packet_read_udp(struct udp_datagram *ret, const struct packet *packet)
{
	struct wire_in in = wire_in(packet->l4, packet->l4_len);
	size_t len;

	ret->src_port = wire_get_u16(&in);
	ret->dst_port = wire_get_u16(&in);
	len = wire_get_u16(&in);
	wire_skip(&in, 2);
	if (in.bad || len < 8 || len > packet->l4_len || ret->dst_port == 0)
		return PACKET_MALFORMED;
	ret->data = in.at;
	ret->data_len = len - 8;
	return PACKET_OK;
}
