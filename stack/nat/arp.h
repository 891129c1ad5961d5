/* ARP (RFC 826): the gateway answers for its own addresses, and for the gateway a guest with a
 * static address believes in; it asks for guests it wants to reach. */
#ifndef LWNAT_NAT_ARP_H
#define LWNAT_NAT_ARP_H

#include "stack/nat/nat_priv.h"

void arp_input(struct nat *nat, struct guest *guest, const struct packet *packet);
/* Asks on every port who has 'addr' (IPv4). The answer comes in through nat_learn(). */
void arp_ask(struct nat *nat, const struct addr *addr);

#endif
