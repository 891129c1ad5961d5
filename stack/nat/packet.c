#include "stack/nat/packet.h"

#include "stack/base/wire.h"

/* Next header values (RFC 8200 section 4.1). */
enum {
	HEADER_HOP_BY_HOP = 0,
	HEADER_ROUTING = 43,
	HEADER_FRAGMENT = 44,
	HEADER_NONE = 59,
	HEADER_DESTINATION = 60,
};

#define EXTENSION_HEADERS_MAX 8 /* RFC 8504 section 5.3 lets a node have such a limit */

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

/* Walks through the extension headers of 'packet'. */
struct walk {
	struct packet *packet;
	struct wire_in in;
	uint8_t next; /* header that begins at in.at */
	bool drop;    /* an option wants the packet gone without a word */
};

static uint16_t offset_of(const struct walk *walk, const uint8_t *at)
{
	return (uint16_t)(at - walk->packet->ip);
}

static void problem(struct walk *walk, enum packet_problem what, const uint8_t *at)
{
	walk->packet->problem = what;
	walk->packet->problem_at = offset_of(walk, at);
}

/* RFC 8200 section 4.2: an option's two highest bits say what becomes of the packet where the
 * option is not known, and we know none but padding. */
static void read_options(struct walk *walk, struct wire_in in)
{
	while (wire_left(&in) && !walk->packet->problem) {
		const uint8_t *at = in.at;
		uint8_t type = wire_get_u8(&in);

		if (type == 0)
			continue;
		wire_skip(&in, wire_get_u8(&in));
		if (in.bad)
			problem(walk, PACKET_BAD_FIELD, at);
		else if (type >> 6 == 1)
			walk->drop = true;
		else if (type >> 6 == 2 ||
			 (type >> 6 == 3 && !addr_is_multicast(&walk->packet->dst)))
			problem(walk, PACKET_BAD_OPTION, at);
	}
}

/* An extension header of the common form: next header, length, contents. */
static void read_extension(struct walk *walk)
{
	uint8_t kind = walk->next;
	const uint8_t *start = walk->in.at;
	struct wire_in in;

	walk->next = wire_get_u8(&walk->in);
	in = wire_get_in(&walk->in, (size_t)wire_get_u8(&walk->in) * 8 + 6);
	if (walk->in.bad)
		return;
	if (kind != HEADER_ROUTING)
		read_options(walk, in);
	else if (start[3] != 0) /* section 4.4: no type of it is ours, and segments are left */
		problem(walk, PACKET_BAD_FIELD, start + 2);
	walk->packet->next_header_at = offset_of(walk, start);
}

/* Section 4.5. true when this is one piece of several: 'l4' then stays at the Fragment header. A
 * whole datagram may have one, too (RFC 6946). */
static bool read_fragment(struct walk *walk)
{
	const uint8_t *start = walk->in.at;
	size_t len;
	uint16_t offset;
	bool more;

	walk->next = wire_get_u8(&walk->in);
	wire_skip(&walk->in, 1);
	offset = wire_get_u16(&walk->in);
	wire_skip(&walk->in, 4);
	len = wire_left(&walk->in);
	more = offset & 1;
	offset &= 0xfff8;
	if (walk->in.bad)
		return false;
	if (more && len % 8 != 0)
		problem(walk, PACKET_BAD_FIELD, walk->packet->ip + 4);
	else if (offset + len > 0xffff)
		problem(walk, PACKET_BAD_FIELD, start + 2);
	else if (more || offset != 0) {
		walk->in.at = start;
		walk->packet->fragment = true;
		return true;
	}
	walk->packet->next_header_at = offset_of(walk, start);
	return false;
}

static void read_extensions(struct walk *walk)
{
	for (int n = 0; n < EXTENSION_HEADERS_MAX && !walk->in.bad && !walk->drop; n++) {
		if (walk->packet->problem)
			return;
		switch (walk->next) {
		case HEADER_HOP_BY_HOP:
			if (n > 0) { /* section 4.1: it comes first */
				problem(walk, PACKET_BAD_NEXT_HEADER,
					walk->packet->ip + walk->packet->next_header_at);
				return;
			}
			read_extension(walk);
			break;
		case HEADER_ROUTING:
		case HEADER_DESTINATION:
			read_extension(walk);
			break;
		case HEADER_FRAGMENT:
			if (read_fragment(walk))
				return;
			break;
		case HEADER_NONE:
			walk->drop = true;
			return;
		default:
			return;
		}
	}
}

static bool is_extension(uint8_t header)
{
	return header == HEADER_HOP_BY_HOP || header == HEADER_ROUTING ||
	       header == HEADER_DESTINATION || header == HEADER_FRAGMENT;
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
	ret->problem = PACKET_NO_PROBLEM;
	ret->next_header_at = 6;
	if (!is_extension(ret->proto))
		return ret->proto == HEADER_NONE ? PACKET_OTHER : PACKET_OK;

	struct walk walk = {ret, wire_in(ret->l4, payload_len), ret->proto, false};
	read_extensions(&walk);
	if (walk.drop)
		return PACKET_OTHER;
	if (walk.in.bad || (is_extension(walk.next) && !ret->fragment && !ret->problem))
		return PACKET_MALFORMED;
	ret->proto = walk.next;
	ret->l4 = walk.in.at;
	ret->l4_len = wire_left(&walk.in);
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
	ret->segment = 0;
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

/* Goes past Ethernet and IP headers to the header of an unfragmented packet's 'proto'. False when
 * that is not what follows. */
static bool skip_to(struct wire_in *in, uint8_t proto)
{
	uint16_t fragment = 0;
	uint8_t found;

	wire_skip(in, 12);
	uint16_t ethertype = wire_get_u16(in);
	if (ethertype == ETHERTYPE_IPV4) {
		uint8_t version_ihl = wire_get_u8(in);
		wire_skip(in, 5);
		fragment = wire_get_u16(in);
		wire_skip(in, 1);
		found = wire_get_u8(in);
		if ((version_ihl & 0xf) < 5)
			return false;
		wire_skip(in, 10 + (version_ihl & 0xf) * 4u - 20);
	} else if (ethertype == ETHERTYPE_IPV6) {
		wire_skip(in, 6);
		found = wire_get_u8(in);
		wire_skip(in, 33);
	} else {
		return false;
	}
	return !in->bad && found == proto && !(fragment & 0x3fff);
}

bool packet_has_tcp_headers(const uint8_t *bytes, size_t len)
{
	struct wire_in in = wire_in(bytes, len);

	if (!skip_to(&in, IPPROTO_NUMBER_TCP))
		return false;
	wire_skip(&in, 12);
	size_t tcp_len = (size_t)(wire_get_u8(&in) >> 4) * 4;
	wire_skip(&in, tcp_len < 20 ? 0 : tcp_len - 13);
	return !in.bad && tcp_len >= 20;
}

bool packet_has_udp_headers(const uint8_t *bytes, size_t len)
{
	struct wire_in in = wire_in(bytes, len);

	return skip_to(&in, IPPROTO_NUMBER_UDP) && wire_left(&in) >= 8;
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
	ret->rest = NULL;
	ret->rest_n = 0;
	return PACKET_OK;
}
