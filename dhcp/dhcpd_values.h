/* The config as option values in wire format, made once, so that answering only copies them. */
#ifndef LWNAT_DHCP_DHCPD_VALUES_H
#define LWNAT_DHCP_DHCPD_VALUES_H

#include "dhcp/dhcpd.h"

#include <stdint.h>

#define DHCPD_VALUES_MAX 4096 /* bytes of all values together */

struct dhcpd_value {
	uint16_t at;  /* offset in 'bytes' */
	uint16_t len; /* 0: this option is not sent */
};

struct dhcpd_values {
	struct dhcpd_value by_code[256];
	uint8_t bytes[DHCPD_VALUES_MAX];
	uint16_t bytes_n;
};

/* 0, or -EINVAL for a value that has no wire format: a name that is no name, a text over 255 bytes,
 * a route of the wrong family, too much of everything. The addresses are checked by the caller. */
int dhcpd_values_init(struct dhcpd_values *values, const struct dhcpd_config *config);

#endif
