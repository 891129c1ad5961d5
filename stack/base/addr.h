/* IP addresses of either family in one 16-byte value, so that policy and NAT are written once.
 * IPv4 is held as its v4-mapped form (RFC 4291 section 2.5.5.2); a v4-mapped address never appears
 * on the wire. */
#ifndef LWNAT_BASE_ADDR_H
#define LWNAT_BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ADDR_TEXT_MAX 46     /* bytes, "ffff:...:255.255.255.255" and its NUL */
#define ENDPOINT_TEXT_MAX 54 /* bytes, "[addr]:65535" and its NUL */
#define MAC_TEXT_MAX 18      /* bytes, "52:54:00:12:34:56" and its NUL */

struct addr {
	uint8_t b[16]; /* network order: compared and copied, never computed with */
};

struct endpoint {
	struct addr addr;
	uint16_t port; /* host order */
};

struct subnet {
	struct addr addr;   /* host bits may be set (10.0.2.5/24): see subnet_base() */
	uint8_t prefix_len; /* bits of its own family: 0-32 or 0-128 */
};

struct mac {
	uint8_t b[6];
};

static inline struct addr addr_v4(uint32_t host_order)
{
	return (struct addr){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, (uint8_t)(host_order >> 24),
			      (uint8_t)(host_order >> 16), (uint8_t)(host_order >> 8),
			      (uint8_t)host_order}};
}

static inline bool addr_is_v4(const struct addr *a)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	return memcmp(a->b, mapped, sizeof(mapped)) == 0;
}

/* Host order; only meaningful when addr_is_v4(). */
static inline uint32_t addr_to_v4(const struct addr *a)
{
	return (uint32_t)a->b[12] << 24 | (uint32_t)a->b[13] << 16 | (uint32_t)a->b[14] << 8 |
	       a->b[15];
}

static inline bool addr_eq(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static inline bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && addr_eq(&a->addr, &b->addr);
}

static inline bool mac_eq(const struct mac *a, const struct mac *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static inline bool mac_is_multicast(const struct mac *m) /* broadcast is one of them */
{
	return m->b[0] & 1;
}

/* All of these answer for both families. "Unspecified" is 0.0.0.0 or ::. */
bool addr_is_unspecified(const struct addr *a);
bool addr_is_loopback(const struct addr *a);   /* 127/8, ::1 */
bool addr_is_multicast(const struct addr *a);  /* 224/4, ff00::/8 */
bool addr_is_link_local(const struct addr *a); /* 169.254/16, fe80::/10 */
bool addr_is_broadcast(
    const struct addr *a); /* 255.255.255.255 only; a subnet's: subnet_is_broadcast() */

/* Text to value. 0, or -EINVAL and *ret untouched. IPv4 is strict dotted quad (no "10.1", no
 * leading zeros); a v4-mapped IPv6 text is refused. */
int addr_parse(const char *text, struct addr *ret);
int subnet_parse(const char *text,
		 struct subnet *ret); /* "ADDR/LEN" or, IPv4, "ADDR/MASK" (contiguous) */
int mac_parse(const char *text, struct mac *ret);

/* Value to text; return 'text', always NUL-terminated. Endpoints: "1.2.3.4:80", "[::1]:80". */
const char *addr_format(const struct addr *a, char text[ADDR_TEXT_MAX]);
const char *endpoint_format(const struct endpoint *e, char text[ENDPOINT_TEXT_MAX]);
const char *mac_format(const struct mac *m, char text[MAC_TEXT_MAX]);

bool subnet_contains(const struct subnet *net, const struct addr *a); /* false across families */
struct addr subnet_base(const struct subnet *net);                    /* host bits cleared */
bool subnet_is_broadcast(const struct subnet *net,
			 const struct addr *a); /* IPv4 all-ones host part, prefix < 31 */
struct addr subnet_nth(const struct subnet *net,
		       uint32_t n); /* base + n; the caller keeps n inside */
uint32_t subnet_index(const struct subnet *net,
		      const struct addr *a); /* inverse, low 32 bits of the host part */

#endif
