/* Pings from the gateway to guests, for people who ask whether a guest is there. */
#ifndef LWNAT_NAT_PING_GUEST_H
#define LWNAT_NAT_PING_GUEST_H

#include "stack/nat/nat.h"
#include "stack/nat/packet.h"

void pingguest_neighbour_known(struct nat *nat, const struct addr *addr);
/* An echo reply: true when somebody waited for it. */
bool pingguest_answered(struct nat *nat, const struct packet *packet);
void pingguest_tick(struct nat *nat);
uint64_t pingguest_next_ms(const struct nat *nat);

#endif
