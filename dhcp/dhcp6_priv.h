/* What the files of the DHCPv6 server share. */
#ifndef LWNAT_DHCP_DHCP6_PRIV_H
#define LWNAT_DHCP_DHCP6_PRIV_H

#include "dhcp/dhcp6.h"
#include "dhcp/dhcp6_lease.h"

#include <stddef.h>
#include <stdint.h>

#define DHCPD6_OWN_DUID_LEN 10 /* bytes: DUID-LL of an Ethernet card (RFC 8415 section 11.4) */
#define DHCPD6_SEARCH_MAX 900  /* bytes of option 24: a reply fits IPv6's smallest MTU */
#define DHCPD6_OPTIONS_MAX 900
#define DHCPD6_DOMAIN_MAX 254 /* bytes of its text, with NUL */

struct dhcpd6 {
	struct lease6_table *leases;
	struct dhcpd6_config config; /* what it points to is not kept */
	struct dhcpd6_counters counters;
	uint64_t changes;
	uint8_t duid[DHCPD6_OWN_DUID_LEN];
	char domain[DHCPD6_DOMAIN_MAX];
	uint8_t search[DHCPD6_SEARCH_MAX];
	size_t search_len;
	uint8_t options[DHCPD6_OPTIONS_MAX]; /* as on the wire */
	size_t options_len;
};

#endif
