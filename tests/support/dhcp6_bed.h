/* A DHCPv6 server with a clock and a reply buffer, and a client's side that builds messages and
 * takes replies apart with a reader of its own. */
#ifndef LWNAT_TESTS_DHCP6_BED_H
#define LWNAT_TESTS_DHCP6_BED_H

#include "dhcp/dhcp6.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DHCP6_BED_LEASE_MS (UINT64_C(86400) * 1000)
#define DHCP6_BUILT_MAX 1500

enum { /* RFC 8415 section 7.3 */
       SOLICIT = 1,
       ADVERTISE,
       REQUEST,
       CONFIRM,
       RENEW,
       REBIND,
       REPLY,
       RELEASE,
       DECLINE,
       RECONFIGURE,
       INFORMATION_REQUEST,
       RELAY_FORW,
};

struct dhcp6_bed {
	struct dhcpd6 *server;
	uint64_t now_ms;
	size_t room;
	uint8_t buffer[2048];
	struct dhcpd6_reply reply;    /* the last one */
	char url[DHCPD6_URL_MAX];     /* told to all who ask */
	struct dhcpd6_boot_ask asked; /* the last one for it */
	struct addr in_use;           /* somebody has set this by hand */
};

struct dhcp6_built {
	uint8_t bytes[DHCP6_BUILT_MAX];
	size_t len;
};

struct dhcp6_view { /* of bytes with options in them; NULL: not there */
	const uint8_t *at;
	size_t len;
};

struct addr dhcp6_addr(const char *text);
struct mac dhcp6_mac(uint32_t n);

/* fec0::/64, gateway ::2, DNS ::3, from ::15; two search names; 16 leases, 8 of a port. */
struct dhcpd6_config dhcp6_bed_config(struct dhcp6_bed *bed);
void dhcp6_bed_open(struct dhcp6_bed *bed,
		    const struct dhcpd6_config *config); /* NULL: the above */
void dhcp6_bed_close(struct dhcp6_bed *bed);

/* A message with the client id of client n (DUID-LL of its card); n 0: none. */
struct dhcp6_built dhcp6_build(uint8_t type, uint32_t n);
void dhcp6_build_put(struct dhcp6_built *m, uint16_t code, const void *value, size_t len);
/* 'addr' NULL: an association without an address. */
void dhcp6_build_ia(struct dhcp6_built *m, uint32_t iaid, const struct addr *addr);
void dhcp6_build_server_id(struct dhcp6_built *m);
void dhcp6_build_name(struct dhcp6_built *m, const char *label); /* option 39 */

/* From client n's card on port 1. Hands the bytes over in a buffer of exactly their size. */
enum dhcpd6_verdict dhcp6_bed_send(struct dhcp6_bed *bed, const void *bytes, size_t len,
				   uint32_t n);
enum dhcpd6_verdict dhcp6_bed_send_from(struct dhcp6_bed *bed, const void *bytes, size_t len,
					const struct dhcpd6_from *from);
enum dhcpd6_verdict dhcp6_bed_send_built(struct dhcp6_bed *bed, const struct dhcp6_built *m,
					 uint32_t n);
/* Solicit and Request for association 1; the address, unspecified when there was none. */
struct addr dhcp6_bed_boot(struct dhcp6_bed *bed, uint32_t n);
struct addr dhcp6_bed_boot_named(struct dhcp6_bed *bed, uint32_t n, const char *name);

/* The reply's type, or 0 when there is none. */
uint8_t dhcp6_reply_type(const struct dhcp6_bed *bed);
/* The first option of a code in the reply, or among options in a value. */
struct dhcp6_view dhcp6_reply_option(const struct dhcp6_bed *bed, uint16_t code);
struct dhcp6_view dhcp6_find(const uint8_t *at, size_t len, uint16_t code);
/* The address given in the first IA_NA; unspecified when there is none. */
struct addr dhcp6_reply_addr(const struct dhcp6_bed *bed);
/* The status of the first IA_NA, or of the message when it has none; -1 when neither has one. */
int dhcp6_reply_status(const struct dhcp6_bed *bed);
/* Whether the reply is a row of whole options. */
bool dhcp6_reply_is_whole(const struct dhcp6_bed *bed);
uint32_t dhcp6_u32(const uint8_t *at);

#endif
