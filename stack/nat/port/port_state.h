/* Sets the file-scope state that lwIP's hooks read (lwip_port.c). */
#ifndef LWNAT_NAT_PORT_PORT_STATE_H
#define LWNAT_NAT_PORT_PORT_STATE_H

#include "stack/base/rng.h"

void port_state_set(struct rng *rng); /* borrowed; NULL takes it back */
void port_state_set_time(uint64_t now_ms);

#endif
