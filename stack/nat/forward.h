/* What is accounted to a forward: which flows are its, and what they have carried. */
#ifndef LWNAT_NAT_FORWARD_H
#define LWNAT_NAT_FORWARD_H

#include "stack/nat/nat_priv.h"

/* The flow is this forward's until one of them ends. NULL is fine. */
void forward_attach(struct nat_forward *forward, struct flow *flow);
/* The flow ends: what it has carried is kept. */
void forward_detach(struct flow *flow);
void forward_failed(struct nat_forward *forward); /* NULL is fine */
/* Whose listener this UDP handle is; NULL when nobody's. */
struct nat_forward *forward_of_udp_handle(struct nat *nat, int handle);
/* Those that the program has not given back. */
void forward_drop_all(struct nat *nat);

#endif
