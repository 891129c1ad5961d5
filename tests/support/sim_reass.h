/* Puts IPv4 fragments together again for the synthetic guest: strict about overlaps, a few
 * datagrams at a time. */
#ifndef LWNAT_TESTS_SIM_REASS_H
#define LWNAT_TESTS_SIM_REASS_H

#include "tests/support/packet.h"

#define SIM_REASS_SLOTS 4

struct sim_reass_slot {
	uint8_t *bytes;   /* 65,536 of them */
	uint8_t *present; /* one for each 8-byte unit */
	struct addr src, dst;
	uint16_t ip_id;
	uint8_t proto;
	uint32_t have, total; /* bytes; total 0 until the last fragment has come */
	uint32_t age;
};

struct sim_reass {
	struct sim_reass_slot slots[SIM_REASS_SLOTS];
	uint32_t clock;
	struct sim_reass_slot *done; /* its bytes are what the last packet points into */
};

/* Takes a fragment; true when it completed a datagram: 'p' is then that datagram's packet (or has a
 * fault), its payload valid until the next call. */
bool sim_reass_add(struct sim_reass *reass, struct packet *p);
void sim_reass_fini(struct sim_reass *reass);

#endif
