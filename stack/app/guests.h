/* Who is on the network: one record per attached port, fed by DHCP, ARP, ND and traffic, and the
 * ways a user names a guest. The ports' own counters (frames, bytes, first and last frame) are in
 * struct port. */
#ifndef LWNAT_APP_GUESTS_H
#define LWNAT_APP_GUESTS_H

#include "stack/base/addr.h"
#include "stack/base/port.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUESTS_NAME_MAX 64 /* bytes with NUL: one DNS label */
#define GUESTS_MACS_MAX 8  /* per port: a bridge inside a guest has several; the rest is counted */
#define GUESTS_ADDRS_MAX 16
#define GUESTS_ERROR_MAX 256

enum guest_addr_source { GUEST_ADDR_SEEN, GUEST_ADDR_DHCP }; /* DHCP: v4 or v6, by our server */

struct guest_addr {
	struct addr addr;
	struct mac mac;
	enum guest_addr_source source;
	uint64_t since_ms;
};

/* DHCPv4 and DHCPv6 together. */
struct guest_dhcp {
	uint64_t asked, answered;
	uint64_t last_asked_ms, last_answered_ms; /* 0: never */
};

struct guest_record {
	const struct port *port; /* its name, id and counters */
	uint64_t attached_ms;
	char name[GUESTS_NAME_MAX]; /* DHCP host name, lower case; "": none known */
	struct mac mac[GUESTS_MACS_MAX];
	unsigned macs_n;
	uint64_t macs_more;   /* changes of MAC that found the list full */
	uint64_t mac_clashes; /* frames with a MAC that another port also uses */
	struct guest_addr addr[GUESTS_ADDRS_MAX]; /* newest last */
	unsigned addrs_n;
	struct guest_dhcp dhcp;
};

struct guests;

struct guests_config {
	unsigned ports_max;
	/* A name that no record has: of a lease from before this guest attached, or a static one.
	 * false: nobody's. May be NULL. */
	bool (*lease_by_name)(void *ctx, const char *name, struct addr *ret);
	void *ctx;
};

/* 0 or -ENOMEM. Allocates everything it will ever use. */
int guests_new(struct guests **ret, const struct guests_config *config);
void guests_free(struct guests *guests); /* NULL is fine */

/* ---- who feeds it; a port that is not attached is ignored ---- */
void guests_port_add(struct guests *guests, const struct port *port, uint64_t now_ms);
void guests_port_remove(struct guests *guests, const struct port *port);
void guests_saw_mac(struct guests *guests, const struct port *port, const struct mac *mac);
void guests_mac_clash(struct guests *guests, const struct port *port);
/* An address was heard of (ARP, ND, traffic), or was leased: it leaves every other port. */
void guests_saw_addr(struct guests *guests, const struct port *port, const struct guest_addr *addr);
void guests_dhcp_asked(struct guests *guests, const struct port *port, uint64_t now_ms);
void guests_dhcp_answered(struct guests *guests, const struct port *port, uint64_t now_ms);
/* The guest's name, from its lease ("" is ignored). Who had the name before loses it. */
void guests_named(struct guests *guests, const struct port *port, const char *name);

/* ---- who asks ---- */
/* Walks in the order of attaching: start with NULL; NULL at the end. Records are valid until the
 * port goes. */
const struct guest_record *guests_next(const struct guests *guests,
				       const struct guest_record *after);
const struct guest_record *guests_by_port(const struct guests *guests, const struct port *port);
/* Changes with everything that guests_find() could answer differently for. */
uint64_t guests_generation(const struct guests *guests);

/* The address to reach a guest at: leased before seen, IPv4 before IPv6, global before link-local,
 * newest first. Unspecified when none is known. */
struct addr guest_best_addr(const struct guest_record *guest);
/* "web", or its MAC, or its port's name: what to call it. */
const char *guest_label(const struct guest_record *guest, char text[GUESTS_NAME_MAX]);

struct guests_found {
	const struct guest_record *guest; /* NULL: nobody with this address is known (yet) */
	struct addr addr;                 /* where to connect to */
};
/* 'spec' is a DHCP host name (also "NAME.lwnat.internal"), a MAC, an IP address (with or without
 * brackets), a port's name ("port1"), or one of the latter two behind '@' ("@52:54:..", "@port1").
 * "" means the only guest there is. 0; or, with one line in 'error': -ENOENT (nobody is called so;
 * the line says who is there), -EAGAIN (attached, and has no address yet), -EINVAL (no form of a
 * name). */
int guests_find(const struct guests *guests, const char *spec, struct guests_found *ret,
		char error[GUESTS_ERROR_MAX]);

#endif
