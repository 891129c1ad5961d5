/* Who may talk to whom, and what a guest's address is on the host: decided here, once, for every
 * protocol and both families. Pure. */
#ifndef LWNAT_NAT_POLICY_H
#define LWNAT_NAT_POLICY_H

#include "stack/nat/nat.h"

enum policy_verdict {
	POLICY_HOST,    /* *ret_host is where it goes on the host */
	POLICY_GATEWAY, /* to one of the gateway's own addresses, and no host service stands behind
			   it */
	POLICY_FORBIDDEN,   /* tell the guest: administratively prohibited, RST */
	POLICY_UNREACHABLE, /* an address of the virtual network that nobody answers for */
	POLICY_DROP,        /* no such destination can exist: say nothing */
};

/* Whether a guest may use 'src' as its own address.
 */
bool policy_source_ok(const struct nat_config *config, const struct addr *src);
/* What becomes of a guest's packet to 'guest_dst'. */
enum policy_verdict policy_outbound(const struct nat_config *config,
				    const struct endpoint *guest_dst, struct endpoint *ret_host);
/* How a guest at 'guest' sees host peer 'host_peer': as it is, or as the gateway when it is local
 * to the host. */
struct addr policy_peer_seen(const struct nat_config *config, const struct addr *host_peer,
			     const struct addr *guest);
/* The gateway as the guest at 'guest' can talk to it: link-local to link-local. */
struct addr policy_gateway_for(const struct nat_config *config, const struct addr *guest);
/* IPv6: false for a packet with a link-local source and a destination beyond the link (RFC 4007
 * section 9). */
bool policy_scope_ok(const struct nat_config *config, const struct addr *src,
		     const struct addr *dst);
/* Whether 'a' is one of the gateway's own addresses: gateway, DNS, a service's or, IPv6,
 * link-local. */
bool policy_is_gateway(const struct nat_config *config, const struct addr *a);
bool policy_is_host_or_dns(const struct nat_config *config, const struct addr *a);
bool policy_is_dns(const struct nat_config *config, const struct addr *a);

#endif
