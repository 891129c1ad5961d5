/* The few things lwIP asks of its surroundings. */
#ifndef LWNAT_NAT_PORT_LWIP_PORT_H
#define LWNAT_NAT_PORT_LWIP_PORT_H

#include "lwip/ip_addr.h"

/* RFC 6528: a keyed hash of the four-tuple plus a clock. */
u32_t lwip_port_tcp_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip,
			u16_t remote_port);

#endif
