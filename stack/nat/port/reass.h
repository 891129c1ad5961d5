/* lwIP's reassembly with the tables that it keeps in file scope handed to it for each call: every
 * guest has its own, so that one guest's flood of fragments costs no other guest anything. */
#ifndef LWNAT_NAT_PORT_REASS_H
#define LWNAT_NAT_PORT_REASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pbuf;

/* One guest's incomplete datagrams of one family. Zero: none. At most IP_REASS_MAX_PBUFS fragments;
 * the oldest datagram goes first. */
struct reass {
	void *datagrams; /* lwIP's list */
	uint16_t fragments_n;
};

static inline bool reass_is_empty(const struct reass *reass)
{
	return reass->datagrams == NULL;
}

/* Takes a fragment, owned, that begins with its IPv4 header; the whole datagram or NULL. */
struct pbuf *reass4_input(struct reass *reass, struct pbuf *fragment);
/* The same for IPv6. The Fragment header follows the IPv6 header at once. */
struct pbuf *reass6_input(struct reass *reass, struct pbuf *fragment);
/* To be called once a second while it is not empty. */
void reass4_tick(struct reass *reass);
void reass6_tick(struct reass *reass);

#endif
