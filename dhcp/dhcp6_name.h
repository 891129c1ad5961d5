/* Domain names in options: RFC 8415 section 10 and RFC 8106 section 5.2, labels without
 * compression. */
#ifndef LWNAT_DHCP_DHCP6_NAME_H
#define LWNAT_DHCP_DHCP6_NAME_H

#include "stack/base/wire.h"

#include <stdbool.h>

/* Writes the name with its end. False when it is no name; out->bad when it does not fit. */
bool dhcpd6_name_put(struct wire_out *out, const char *name);

/* Reads the name's first label into 'ret' as it stands, "" when there is none. False when a length
 * is wrong. The name may end without the root (RFC 4704 section 4.2: a partial one). */
bool dhcpd6_name_label(struct wire_in in, char ret[64]);

#endif
