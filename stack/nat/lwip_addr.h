/* Our addresses to lwIP's. */
#ifndef LWNAT_NAT_LWIP_ADDR_H
#define LWNAT_NAT_LWIP_ADDR_H

#include "stack/base/addr.h"

#include "lwip/ip_addr.h"

#include <string.h>

static inline void lwip_addr_from(ip_addr_t *ret, const struct addr *a)
{
	memset(ret, 0, sizeof(*ret));
	if (addr_is_v4(a)) {
		IP_SET_TYPE(ret, IPADDR_TYPE_V4);
		memcpy(&ip_2_ip4(ret)->addr, &a->b[12], 4);
	} else {
		IP_SET_TYPE(ret, IPADDR_TYPE_V6);
		memcpy(ip_2_ip6(ret)->addr, a->b, 16);
	}
}

#endif
