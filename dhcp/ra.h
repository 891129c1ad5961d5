/* IPv6 Router Advertisements (RFC 4861, 8106): what they say and when they are due. Bytes out, time
 * as a number; the ICMPv6 checksum is the sender's. */
#ifndef LWNAT_DHCP_RA_H
#define LWNAT_DHCP_RA_H

#include "stack/base/addr.h"
#include "stack/base/rng.h"
#include "stack/base/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define RA_MAX 1232 /* bytes that fit IPv6's smallest MTU in one piece, behind its header */

struct ra_config {
	struct mac mac;    /* the gateway's: source link-layer address */
	struct subnet net; /* on-link; addresses may be made in it (SLAAC) when it is a /64 */
	uint16_t mtu;      /* 0 leaves the option out */
	struct addr dns;   /* RDNSS; unspecified: none */
	const char *const *search; /* DNSSL, 'search_n' names */
	unsigned search_n;
	bool managed; /* DHCPv6 gives addresses, and all else */
};

struct ra;

/* Allocates all that it will ever use and copies the config. 0, -ENOMEM, or -EINVAL for a search
 * name that is none. A search list that does not fit is cut. */
int ra_new(struct ra **ret, const struct ra_config *config);
void ra_free(struct ra *ra); /* NULL is fine */

/* Whether the gateway leads anywhere: it is the guests' default router then, and only then (RFC
 * 4861 section 4.2: a lifetime of 0). True when that is news: one to all is due soon. */
bool ra_set_online(struct ra *ra, bool online, uint64_t now_ms, struct rng *rng);

/* A guest has come, and was sent one: the next ones to all come in short intervals again (RFC 4861
 * section 6.2.4). */
void ra_guest_came(struct ra *ra, uint64_t now_ms);
/* Nobody is there: none is due until one comes. */
void ra_guests_gone(struct ra *ra);

/* When the next one to all is due; UINT64_MAX: never. */
uint64_t ra_due_ms(const struct ra *ra);
/* The one that was due is sent: the time of the next one is drawn. */
void ra_sent(struct ra *ra, uint64_t now_ms, struct rng *rng);

/* Writes the ICMPv6 message with a checksum of 0. 'last': the gateway ends, everything's lifetime
 * but the prefix's is 0 (RFC 4861 section 6.2.5, RFC 8106 section 5.1). */
void ra_write(const struct ra *ra, bool last, struct wire_out *out);

#endif
