#include "stack/nat/headers.h"

#include "stack/base/checksum.h"
#include "stack/nat/packet.h"

#define IPV4_LEN 20

void headers_put_ethernet(struct wire_out *out, const struct mac *to, const struct mac *from,
			  uint16_t ethertype)
{
	wire_put_bytes(out, to->b, 6);
	wire_put_bytes(out, from->b, 6);
	wire_put_u16(out, ethertype);
}

static void put_ipv4(struct wire_out *out, const struct headers_ends *ends, uint8_t proto,
		     uint8_t ttl)
{
	wire_put_u16(out, 0x4500);
	wire_put_zero(out, 6); /* length, identification, no fragment */
	wire_put_u8(out, ttl);
	wire_put_u8(out, proto);
	wire_put_u16(out, 0);
	wire_put_u32(out, addr_to_v4(ends->from));
	wire_put_u32(out, addr_to_v4(ends->to));
}

static void put_ipv6(struct wire_out *out, const struct headers_ends *ends, uint8_t proto,
		     uint8_t ttl)
{
	wire_put_u32(out, 0x60000000);
	wire_put_u16(out, 0);
	wire_put_u8(out, proto);
	wire_put_u8(out, ttl);
	wire_put_bytes(out, ends->from->b, 16);
	wire_put_bytes(out, ends->to->b, 16);
}

void headers_put_ip(struct wire_out *out, const struct headers_ends *ends, uint8_t proto,
		    uint8_t ttl)
{
	bool v6 = !addr_is_v4(ends->to);

	headers_put_ethernet(out, ends->to_mac, ends->from_mac,
			     v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
	(v6 ? put_ipv6 : put_ipv4)(out, ends, proto, ttl);
}

void headers_set_ip_len(uint8_t *ip, bool v6, size_t payload_len, uint16_t *next_id)
{
	if (v6) {
		wire_set_u16(ip + 4, (uint16_t)payload_len);
		return;
	}
	wire_set_u16(ip + 2, (uint16_t)(IPV4_LEN + payload_len));
	wire_set_u16(ip + 4, (*next_id)++);
	wire_set_u16(ip + 10, 0);
	wire_set_u16(ip + 10, checksum_finish(checksum_add(0, ip, IPV4_LEN)));
}
