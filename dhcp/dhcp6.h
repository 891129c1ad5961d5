/* DHCPv6 server (RFC 8415) for one prefix: bytes in, bytes out, time as a number.
 *
 * Who is who: as in DHCPv4, a guest's network card. RFC 8415 has DUID and IAID for that, but one
 * guest boots through firmware, an installer and its system, each with a DUID of its own, and
 * copies of one image have one DUID on many cards. A DUID and IAID are found again on the card that
 * they came from; a new DUID on a known card takes over what the card had.
 *
 * We are the only server of this link: what a client says it has is granted when that can be. */
#ifndef LWNAT_DHCP_DHCP6_H
#define LWNAT_DHCP_DHCP6_H

#include "stack/base/addr.h"
#include "stack/base/siphash.h"
#include "stack/base/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define DHCPD6_HOSTNAME_MAX 64 /* bytes with NUL: one DNS label */
#define DHCPD6_DUID_MAX 130    /* bytes: RFC 8415 section 11.1 */
#define DHCPD6_URL_MAX 512     /* bytes of a boot file's URL, with NUL */
#define DHCPD6_IAS_MAX 4       /* identity associations of one message, and of one card */
#define DHCPD6_IA_ADDRS_MAX 4  /* looked at in one association */
#define DHCPD6_ARCHS_MAX 4

/* What a client says of itself when it wants to boot. */
struct dhcpd6_boot_ask {
	struct mac mac;
	uint16_t archs[DHCPD6_ARCHS_MAX]; /* option 61 (RFC 5970 section 3.3), best first */
	unsigned archs_n;
	bool http; /* its vendor class is "HTTPClient" */
};

struct dhcpd6_option { /* told as it is to those who ask for it */
	uint8_t code;
	uint16_t len;
	const uint8_t *value;
};

struct dhcpd6_config {
	struct subnet net;      /* IPv6, prefix 8-126 */
	struct addr server;     /* the gateway: not given away */
	struct addr dns;        /* option 23; unspecified: none */
	struct addr pool_first; /* the pool runs from here on, then from the net's start */
	struct mac mac;         /* the gateway's, for the server's DUID: the same after a restart */
	uint32_t lease_s;       /* valid lifetime; preferred is the same */
	const struct addr *reserved; /* not given away either, 'reserved_n' of them */
	unsigned reserved_n;
	const char *const *search; /* option 24, 'search_n' names */
	unsigned search_n;
	const struct dhcpd6_option *options; /* 'options_n' of them, of codes that are free */
	unsigned options_n;
	const char *domain;          /* what a host name stands under, NULL: none */
	uint32_t leases_max;         /* remembered associations */
	uint32_t per_port_max;       /* of them, of one port */
	struct siphash_key hash_key; /* random, so that no guest can choose collisions */
	/* The URL for one who asks for it (option 59), '\0' for none. NULL: nobody gets one. */
	void (*boot_url)(void *ctx, const struct dhcpd6_boot_ask *ask, char url[DHCPD6_URL_MAX]);
	/* Whether somebody else than 'mac' is known to use an address. NULL: nobody is. */
	bool (*in_use)(void *ctx, const struct addr *addr, const struct mac *mac);
	void *ctx;
};

enum dhcpd6_verdict {
	DHCPD6_IGNORED, /* well-formed but not for us, or not to be answered */
	DHCPD6_MALFORMED,
	DHCPD6_RELAYED, /* from a relay agent: there is none on this link */
	DHCPD6_ADVERTISED,
	DHCPD6_REPLIED,  /* addresses were given, or kept */
	DHCPD6_INFORMED, /* configuration alone */
	DHCPD6_CONFIRMED,
	DHCPD6_REFUSED, /* answered, with no address */
	DHCPD6_RELEASED,
	DHCPD6_DECLINED,
	DHCPD6_VERDICTS, /* how many */
};

struct dhcpd6_from {
	struct mac mac;
	uint32_t port; /* a number for the card's port, to share the leases out */
};

struct dhcpd6_reply {
	struct wire_out
	    bytes; /* in: room, 1,232 bytes will do; out: the message, empty when there is
		      none. It goes back to where the request came from, UDP port 546 */
	struct addr leased[DHCPD6_IAS_MAX]; /* REPLIED: the client's now */
	unsigned leased_n;
};

struct dhcpd6_lease {
	struct addr addr;
	struct mac mac;
	uint32_t iaid;
	uint8_t duid[DHCPD6_DUID_MAX];
	uint16_t duid_len;
	char hostname[DHCPD6_HOSTNAME_MAX]; /* lower case, valid as a DNS label; "" */
	uint64_t expires_ms;
	bool active; /* acknowledged and not released; expiry is expires_ms */
};

struct dhcpd6_counters {
	uint64_t verdicts[DHCPD6_VERDICTS];
};

struct dhcpd6;

/* Allocates everything the server will ever use and copies the config. 0, -ENOMEM, or -EINVAL for a
 * bad config. */
int dhcpd6_new(struct dhcpd6 **ret, const struct dhcpd6_config *config);
void dhcpd6_free(struct dhcpd6 *server); /* NULL is fine */

/* Whether lwnat does not say the option itself, and the protocol has no use of its own for it. */
bool dhcpd6_option_is_free(uint8_t code);

/* Handles one UDP payload received on port 547. */
enum dhcpd6_verdict dhcpd6_input(struct dhcpd6 *server, struct wire_in message,
				 const struct dhcpd6_from *from, uint64_t now_ms,
				 struct dhcpd6_reply *reply);

/* The port is not there any more: its leases are remembered, but nobody's share. */
void dhcpd6_port_gone(struct dhcpd6 *server, uint32_t port);

/* Leases that are active at now_ms; NULL when there is none. Valid until the next dhcpd6_input().
 */
const struct dhcpd6_lease *dhcpd6_lease_by_name(const struct dhcpd6 *server, const char *hostname,
						uint64_t now_ms);
const struct dhcpd6_lease *dhcpd6_lease_by_addr(const struct dhcpd6 *server,
						const struct addr *addr, uint64_t now_ms);
const struct dhcpd6_lease *dhcpd6_lease_by_mac(const struct dhcpd6 *server, const struct mac *mac,
					       uint64_t now_ms);
/* Walks all that were acknowledged once, also those that have ended: start with *cursor = 0; NULL
 * at the end. For listings and for a lease file. */
const struct dhcpd6_lease *dhcpd6_lease_next(const struct dhcpd6 *server, uint32_t *cursor);
/* Puts back what a walk gave before a restart. 0, -EINVAL when it is none that this server could
 * have given, -EEXIST when address or client have one, -ENOSPC. */
int dhcpd6_lease_restore(struct dhcpd6 *server, const struct dhcpd6_lease *from, uint64_t now_ms);
/* Grows with each change that a lease file has to follow. */
uint64_t dhcpd6_changes(const struct dhcpd6 *server);
const struct dhcpd6_counters *dhcpd6_counters(const struct dhcpd6 *server);

#endif
