#include "tests/support/frames.h"

#include "stack/base/checksum.h"

void frames_eth(struct wire_out *out, const struct mac *dst, const struct mac *src,
		uint16_t ethertype)
{
	wire_put_bytes(out, dst->b, sizeof(dst->b));
	wire_put_bytes(out, src->b, sizeof(src->b));
	wire_put_u16(out, ethertype);
}

static void put_ip4(struct wire_out *out, const struct frames_ends *ends,
		    const struct frames_fragment *fragment, size_t len)
{
	size_t start = wire_len(out);
	uint16_t flags = (uint16_t)(fragment->offset / 8 | (fragment->more ? 0x2000 : 0) |
				    (ends->dont_fragment ? 0x4000 : 0));

	wire_put_u8(out, 0x45);
	wire_put_u8(out, 0);
	wire_put_u16(out, (uint16_t)(20 + len));
	wire_put_u16(out, ends->ip_id);
	wire_put_u16(out, flags);
	wire_put_u8(out, ends->ttl ? ends->ttl : 64);
	wire_put_u8(out, fragment->proto);
	wire_put_u16(out, 0);
	wire_put_bytes(out, ends->src.b + 12, 4);
	wire_put_bytes(out, ends->dst.b + 12, 4);
	if (!out->bad)
		wire_patch_u16(out, start + 10,
			       checksum_finish(checksum_add(0, out->start + start, 20)));
}

static void put_ip6(struct wire_out *out, const struct frames_ends *ends, uint8_t proto, size_t len)
{
	wire_put_u32(out, 0x60000000);
	wire_put_u16(out, (uint16_t)len);
	wire_put_u8(out, proto);
	wire_put_u8(out, ends->ttl ? ends->ttl : 64);
	wire_put_bytes(out, ends->src.b, 16);
	wire_put_bytes(out, ends->dst.b, 16);
}

void frames_ip(struct wire_out *out, const struct frames_ends *ends, uint8_t proto, size_t len)
{
	bool v4 = addr_is_v4(&ends->src);

	frames_eth(out, &ends->dst_mac, &ends->src_mac, v4 ? ETHER_IPV4 : ETHER_IPV6);
	if (v4)
		put_ip4(out, ends, &(struct frames_fragment){.proto = proto}, len);
	else
		put_ip6(out, ends, proto, len);
}

/* Fills in the checksum of everything from 'start', which is also what the pseudo header covers. */
static void patch_checksum(struct wire_out *out, const struct frames_ends *ends, size_t start,
			   uint8_t proto)
{
	size_t at = proto == PROTO_TCP ? 16 : proto == PROTO_UDP ? 6 : 2;
	checksum_sum sum = 0;
	uint16_t value;

	if (out->bad)
		return;
	if (proto != PROTO_ICMP)
		sum = checksum_add_pseudo(sum, &ends->src, &ends->dst, proto,
					  (uint32_t)(wire_len(out) - start));
	value = checksum_finish(checksum_add(sum, out->start + start, wire_len(out) - start));
	if (proto == PROTO_UDP && value == 0)
		value = 0xffff;
	wire_patch_u16(out, start + at, value);
}

void frames_tcp(struct wire_out *out, const struct frames_ends *ends, const struct frames_tcp *tcp,
		struct iovec payload)
{
	size_t start;

	frames_ip(out, ends, PROTO_TCP, 20 + tcp->options_len + payload.iov_len);
	start = wire_len(out);
	wire_put_u16(out, tcp->src_port);
	wire_put_u16(out, tcp->dst_port);
	wire_put_u32(out, tcp->seq);
	wire_put_u32(out, tcp->ack);
	wire_put_u8(out, (uint8_t)((20 + tcp->options_len) / 4 << 4));
	wire_put_u8(out, tcp->flags);
	wire_put_u16(out, tcp->window);
	wire_put_u16(out, 0);
	wire_put_u16(out, tcp->urgent);
	if (tcp->options_len)
		wire_put_bytes(out, tcp->options, tcp->options_len);
	wire_put_bytes(out, payload.iov_base, payload.iov_len);
	patch_checksum(out, ends, start, PROTO_TCP);
}

void frames_udp_message(struct wire_out *out, const struct frames_ends *ends,
			struct frames_ports ports, struct iovec payload)
{
	size_t start = wire_len(out);

	wire_put_u16(out, ports.src);
	wire_put_u16(out, ports.dst);
	wire_put_u16(out, (uint16_t)(8 + payload.iov_len));
	wire_put_u16(out, 0);
	wire_put_bytes(out, payload.iov_base, payload.iov_len);
	patch_checksum(out, ends, start, PROTO_UDP);
}

void frames_udp(struct wire_out *out, const struct frames_ends *ends, struct frames_ports ports,
		struct iovec payload)
{
	frames_ip(out, ends, PROTO_UDP, 8 + payload.iov_len);
	frames_udp_message(out, ends, ports, payload);
}

void frames_icmp(struct wire_out *out, const struct frames_ends *ends,
		 const struct frames_icmp *icmp, struct iovec payload)
{
	uint8_t proto = addr_is_v4(&ends->src) ? PROTO_ICMP : PROTO_ICMP6;
	size_t start;

	frames_ip(out, ends, proto, 8 + payload.iov_len);
	start = wire_len(out);
	wire_put_u8(out, icmp->type);
	wire_put_u8(out, icmp->code);
	wire_put_u16(out, 0);
	wire_put_u32(out, icmp->rest);
	wire_put_bytes(out, payload.iov_base, payload.iov_len);
	patch_checksum(out, ends, start, proto);
}

void frames_arp(struct wire_out *out, const struct frames_arp *arp)
{
	frames_eth(out, &arp->eth_dst, &arp->eth_src, ETHER_ARP);
	wire_put_u16(out, 1); /* Ethernet */
	wire_put_u16(out, ETHER_IPV4);
	wire_put_u8(out, 6);
	wire_put_u8(out, 4);
	wire_put_u16(out, arp->op);
	wire_put_bytes(out, arp->sender_mac.b, 6);
	wire_put_bytes(out, arp->sender.b + 12, 4);
	wire_put_bytes(out, arp->target_mac.b, 6);
	wire_put_bytes(out, arp->target.b + 12, 4);
}

void frames_nd(struct wire_out *out, const struct frames_ends *ends, const struct frames_nd *nd)
{
	uint8_t body[24];
	struct wire_out rest = wire_out(body, sizeof(body));

	wire_put_bytes(&rest, nd->target.b, 16);
	wire_put_u8(&rest, nd->type == 135 ? 1 : 2); /* source's or target's link-layer address */
	wire_put_u8(&rest, 1);
	wire_put_bytes(&rest, nd->mac.b, 6);
	frames_icmp(out, ends, &(struct frames_icmp){.type = nd->type, .rest = nd->flags},
		    frames_bytes(body, sizeof(body)));
}

static void put_fragment6(struct wire_out *out, const struct frames_ends *ends,
			  const struct frames_fragment *fragment, size_t len)
{
	bool whole = !fragment->offset && !fragment->more;

	put_ip6(out, ends, whole ? fragment->proto : 44, len + (whole ? 0 : 8));
	if (whole)
		return;
	wire_put_u8(out, fragment->proto);
	wire_put_u8(out, 0);
	wire_put_u16(out, (uint16_t)(fragment->offset | fragment->more));
	wire_put_u32(out, ends->ip_id);
}

void frames_fragment(struct wire_out *out, const struct frames_ends *ends,
		     const struct frames_fragment *fragment, struct iovec piece)
{
	bool v4 = addr_is_v4(&ends->src);

	frames_eth(out, &ends->dst_mac, &ends->src_mac, v4 ? ETHER_IPV4 : ETHER_IPV6);
	if (v4)
		put_ip4(out, ends, fragment, piece.iov_len);
	else
		put_fragment6(out, ends, fragment, piece.iov_len);
	wire_put_bytes(out, piece.iov_base, piece.iov_len);
}
