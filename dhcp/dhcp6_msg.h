/* DHCPv6 messages on the wire (RFC 8415 section 8 and 21): a request read into a struct, options
 * written. Bounded: what is more than the struct holds is left out. */
#ifndef LWNAT_DHCP_DHCP6_MSG_H
#define LWNAT_DHCP_DHCP6_MSG_H

#include "dhcp/dhcp6.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DHCPD6_DUID_MIN 3 /* bytes: RFC 8415 section 11.1, a type and something behind it */

enum dhcpd6_type {
	DHCPD6_SOLICIT = 1,
	DHCPD6_ADVERTISE = 2,
	DHCPD6_REQUEST = 3,
	DHCPD6_CONFIRM = 4,
	DHCPD6_RENEW = 5,
	DHCPD6_REBIND = 6,
	DHCPD6_REPLY = 7,
	DHCPD6_RELEASE = 8,
	DHCPD6_DECLINE = 9,
	DHCPD6_INFORMATION_REQUEST = 11,
};

enum dhcpd6_code { /* RFC 8415 unless said */
		   DHCPD6_OPT_CLIENT_ID = 1,
		   DHCPD6_OPT_SERVER_ID = 2,
		   DHCPD6_OPT_IA_NA = 3,
		   DHCPD6_OPT_IA_TA = 4,
		   DHCPD6_OPT_IA_ADDR = 5,
		   DHCPD6_OPT_ORO = 6,
		   DHCPD6_OPT_PREFERENCE = 7,
		   DHCPD6_OPT_STATUS = 13,
		   DHCPD6_OPT_RAPID_COMMIT = 14,
		   DHCPD6_OPT_VENDOR_CLASS = 16,
		   DHCPD6_OPT_DNS = 23,    /* RFC 3646 */
		   DHCPD6_OPT_SEARCH = 24, /* RFC 3646 */
		   DHCPD6_OPT_IA_PD = 25,
		   DHCPD6_OPT_REFRESH = 32,
		   DHCPD6_OPT_FQDN = 39,        /* RFC 4704 */
		   DHCPD6_OPT_BOOT_URL = 59,    /* RFC 5970 */
		   DHCPD6_OPT_BOOT_PARAMS = 60, /* RFC 5970 */
		   DHCPD6_OPT_ARCH = 61,        /* RFC 5970 */
};

enum dhcpd6_status {
	DHCPD6_SUCCESS = 0,
	DHCPD6_NO_ADDRS_AVAIL = 2,
	DHCPD6_NO_BINDING = 3,
	DHCPD6_NOT_ON_LINK = 4,
	DHCPD6_NO_PREFIX_AVAIL = 6,
};

struct dhcpd6_ia {
	uint32_t iaid;
	struct addr addrs[DHCPD6_IA_ADDRS_MAX];
	unsigned addrs_n;
};

struct dhcpd6_request { /* pointers are into the message */
	uint8_t type;
	uint32_t xid;                         /* 24 bits */
	const uint8_t *client_id, *server_id; /* NULL: none */
	uint16_t client_id_len, server_id_len;
	struct dhcpd6_ia ias[DHCPD6_IAS_MAX];
	unsigned ias_n;
	uint32_t pd_iaids[DHCPD6_IAS_MAX]; /* IA_PD: refused one by one */
	unsigned pd_n;
	bool has_other_ia; /* IA_TA, or more than fit */
	bool rapid_commit;
	bool has_oro;
	uint8_t asked[32]; /* a bit per option code up to 255 that the ORO names */
	bool has_fqdn;
	uint8_t fqdn_flags;
	char hostname[DHCPD6_HOSTNAME_MAX]; /* cleaned; "" */
	struct dhcpd6_boot_ask boot;
	uint32_t enterprise; /* of the vendor class that names a boot class */
};

/* False when the message is malformed, or breaks a rule of RFC 8415 section 16 that holds for all
 * messages (an option that must stand once stands twice). */
bool dhcpd6_request_read(struct wire_in message, struct dhcpd6_request *ret);
bool dhcpd6_is_asked(const struct dhcpd6_request *request, uint16_t code);

/* Code and a length that dhcpd6_end() fills in; returns what that needs. */
size_t dhcpd6_begin(struct wire_out *out, uint16_t code);
void dhcpd6_end(struct wire_out *out, size_t begun);
void dhcpd6_put(struct wire_out *out, uint16_t code, const void *value, size_t len);
void dhcpd6_put_status(struct wire_out *out, enum dhcpd6_status status, const char *text);

#endif
