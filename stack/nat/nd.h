/* Neighbour discovery (RFC 4861): the gateway answers for its own IPv6 addresses, and for the
 * gateway a guest with a static address believes in; it asks for guests it wants to reach. */
#ifndef LWNAT_NAT_ND_H
#define LWNAT_NAT_ND_H

#include "stack/nat/nat_priv.h"

/* fe80::/64 with the modified EUI-64 of 'mac' (RFC 4291 appendix A). */
struct addr nd_linklocal_of(const struct mac *mac);
/* Takes a message of ICMPv6 type 133 to 137; what is not valid is dropped and counted. */
void nd_input(struct nat *nat, struct guest *guest, const struct packet *packet);
/* Asks on every port who has 'addr' (IPv6). The answer comes in through nat_learn(). */
void nd_ask(struct nat *nat, const struct addr *addr);

#endif
