#include "stack/base/addr.h"

#include "stack/base/hex.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#define V4_BITS_BEFORE 96 /* ::ffff:0:0/96 in front of the 32 bits of an IPv4 address */

bool addr_is_unspecified(const struct addr *a)
{
	static const uint8_t zero[16];
	return addr_is_v4(a) ? addr_to_v4(a) == 0 : memcmp(a->b, zero, sizeof(zero)) == 0;
}

bool addr_is_loopback(const struct addr *a)
{
	static const uint8_t one[16] = {[15] = 1};
	return addr_is_v4(a) ? a->b[12] == 127 : memcmp(a->b, one, sizeof(one)) == 0;
}

bool addr_is_multicast(const struct addr *a)
{
	return addr_is_v4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

bool addr_is_link_local(const struct addr *a)
{
	if (addr_is_v4(a))
		return a->b[12] == 169 && a->b[13] == 254;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool addr_is_broadcast(const struct addr *a)
{
	return addr_is_v4(a) && addr_to_v4(a) == 0xffffffff;
}

int addr_parse(const char *text, struct addr *ret)
{
	struct addr a;
	uint8_t quad[4];

	/* Both C libraries in use refuse "10.1" and leading zeros here; the tests hold them to it.
	 */
	if (inet_pton(AF_INET, text, quad) == 1) {
		a = addr_v4(0);
		memcpy(a.b + 12, quad, sizeof(quad));
	} else if (inet_pton(AF_INET6, text, a.b) != 1 || addr_is_v4(&a)) {
		return -EINVAL;
	}
	*ret = a;
	return 0;
}

/* A decimal number of one to three digits without leading zeros, and nothing after it. */
static int prefix_len_parse(const char *text, unsigned max, uint8_t *ret)
{
	unsigned v = 0, digits = 0;

	for (; text[digits] >= '0' && text[digits] <= '9'; digits++) {
		if (digits == 3 || (digits > 0 && v == 0))
			return -EINVAL;
		v = v * 10 + (unsigned)(text[digits] - '0');
	}
	if (digits == 0 || text[digits] || v > max)
		return -EINVAL;
	*ret = (uint8_t)v;
	return 0;
}

static int mask_parse(const char *text, uint8_t *ret)
{
	struct addr mask;
	if (addr_parse(text, &mask) || !addr_is_v4(&mask))
		return -EINVAL;

	uint32_t host_bits = ~addr_to_v4(&mask);
	if (host_bits & (host_bits + 1))
		return -EINVAL; /* not contiguous */
	uint8_t prefix_len = 32;
	for (; host_bits; host_bits >>= 1)
		prefix_len--;
	*ret = prefix_len;
	return 0;
}

int subnet_parse(const char *text, struct subnet *ret)
{
	char before[ADDR_TEXT_MAX];
	struct subnet net;
	const char *slash = strchr(text, '/');
	if (!slash || (size_t)(slash - text) >= sizeof(before))
		return -EINVAL;
	memcpy(before, text, (size_t)(slash - text));
	before[slash - text] = '\0';

	int err = addr_parse(before, &net.addr);
	if (err)
		return err;
	bool v4 = addr_is_v4(&net.addr);
	if (v4 && strchr(slash + 1, '.'))
		err = mask_parse(slash + 1, &net.prefix_len);
	else
		err = prefix_len_parse(slash + 1, v4 ? 32 : 128, &net.prefix_len);
	if (!err)
		*ret = net;
	return err;
}

int mac_parse(const char *text, struct mac *ret)
{
	struct mac m;

	if (strlen(text) != MAC_TEXT_MAX - 1)
		return -EINVAL;
	for (unsigned i = 0; i < 6; i++, text += 3) {
		int byte = hex_byte(text);
		if (byte < 0 || text[2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		m.b[i] = (uint8_t)byte;
	}
	*ret = m;
	return 0;
}

const char *addr_format(const struct addr *a, char text[ADDR_TEXT_MAX])
{
	/* Cannot fail: the family is known and ADDR_TEXT_MAX is enough for either. */
	if (addr_is_v4(a))
		inet_ntop(AF_INET, a->b + 12, text, ADDR_TEXT_MAX);
	else
		inet_ntop(AF_INET6, a->b, text, ADDR_TEXT_MAX);
	return text;
}

const char *endpoint_format(const struct endpoint *e, char text[ENDPOINT_TEXT_MAX])
{
	char addr[ADDR_TEXT_MAX];
	addr_format(&e->addr, addr);
	snprintf(text, ENDPOINT_TEXT_MAX, addr_is_v4(&e->addr) ? "%s:%u" : "[%s]:%u", addr,
		 e->port);
	return text;
}

const char *mac_format(const struct mac *m, char text[MAC_TEXT_MAX])
{
	snprintf(text, MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", m->b[0], m->b[1], m->b[2],
		 m->b[3], m->b[4], m->b[5]);
	return text;
}

/* The prefix in bits of the 16-byte form. */
static unsigned subnet_bits(const struct subnet *net)
{
	return net->prefix_len + (addr_is_v4(&net->addr) ? V4_BITS_BEFORE : 0U);
}

/* The network's bits of byte i. */
static uint8_t mask_byte(unsigned bits, unsigned i)
{
	if (bits >= 8 * i + 8)
		return 0xff;
	return bits <= 8 * i ? 0 : (uint8_t)(0xff << (8 * i + 8 - bits));
}

bool subnet_contains(const struct subnet *net, const struct addr *a)
{
	unsigned bits = subnet_bits(net);

	if (addr_is_v4(&net->addr) != addr_is_v4(a))
		return false;
	for (unsigned i = 0; i < 16; i++) {
		if ((net->addr.b[i] ^ a->b[i]) & mask_byte(bits, i))
			return false;
	}
	return true;
}

struct addr subnet_base(const struct subnet *net)
{
	unsigned bits = subnet_bits(net);
	struct addr base = net->addr;

	for (unsigned i = 0; i < 16; i++)
		base.b[i] &= mask_byte(bits, i);
	return base;
}

bool subnet_is_broadcast(const struct subnet *net, const struct addr *a)
{
	/* RFC 3021: a /31 has no broadcast address; a /32 has but the one host. */
	if (!addr_is_v4(&net->addr) || net->prefix_len >= 31 || !subnet_contains(net, a))
		return false;
	return (addr_to_v4(a) | ~(0xffffffffU >> net->prefix_len)) == 0xffffffff;
}

struct addr subnet_nth(const struct subnet *net, uint32_t n)
{
	struct addr a = subnet_base(net);
	uint64_t carry = n;

	for (unsigned i = 16; i-- > 0 && carry;) {
		carry += a.b[i];
		a.b[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return a;
}

uint32_t subnet_index(const struct subnet *net, const struct addr *a)
{
	unsigned bits = subnet_bits(net);
	uint32_t index = 0;

	for (unsigned i = 12; i < 16; i++)
		index = index << 8 | (a->b[i] & (uint8_t)~mask_byte(bits, i));
	return index;
}
