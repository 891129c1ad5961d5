/* Ethernet and IP headers of the frames that are made here, not by lwIP. Pure. */
#ifndef LWNAT_NAT_HEADERS_H
#define LWNAT_NAT_HEADERS_H

#include "stack/base/addr.h"
#include "stack/base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct headers_ends {
	const struct mac *to_mac, *from_mac;
	const struct addr *from, *to; /* of one family */
};

void headers_put_ethernet(struct wire_out *out, const struct mac *to, const struct mac *from,
			  uint16_t ethertype);
/* Ethernet and IP (RFC 791, RFC 8200 section 3) without options; what headers_set_ip_len() sets is
 * zero. */
void headers_put_ip(struct wire_out *out, const struct headers_ends *ends, uint8_t proto,
		    uint8_t ttl);
/* The length, for so many bytes behind a header without options; IPv4: the next identification, and
 * the checksum of all that is in the header by now. */
void headers_set_ip_len(uint8_t *ip, bool v6, size_t payload_len, uint16_t *next_id);

#endif
