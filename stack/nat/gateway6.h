/* IPv6 packets from guests: what their headers ask for (RFC 8200), and to whom they go. */
#ifndef LWNAT_NAT_GATEWAY6_H
#define LWNAT_NAT_GATEWAY6_H

#include "stack/nat/nat_priv.h"

void gateway6_input(struct nat *nat, struct guest *guest, const struct packet *packet);

#endif
