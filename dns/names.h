/* The names that are ours: host, gateway and guests under one domain, guests under the search
 * domain and bare, and the reverse zones of our subnets. Decides; writes nothing. */
#ifndef LWNAT_DNS_NAMES_H
#define LWNAT_DNS_NAMES_H

#include "dns/dns_msg.h"
#include "stack/base/addr.h"

#include <stdbool.h>
#include <stdint.h>

#define NAMES_ADDRS_MAX 16 /* of one name in one answer */

struct names_static {
	struct dns_name name; /* of one label: under any of our domains, and bare */
	struct addr addr;
};

struct names {
	struct dns_name domain;
	struct dns_name search; /* len 0: none */
	struct addr host4, host6;
	struct subnet net4, net6;
	const struct names_static *statics; /* borrowed */
	unsigned statics_n;
	bool (*name_to_addr)(void *ctx, const char *label, bool v6, struct addr *ret);
	bool (*addr_to_name)(void *ctx, const struct addr *addr, char ret[DNS_LABEL_TEXT_MAX]);
	void *ctx;
};

enum names_verdict {
	NAMES_FOREIGN,  /* somebody else's: ask upstream */
	NAMES_NXDOMAIN, /* ours, and it does not exist */
	NAMES_NODATA,   /* it exists, with nothing of this type */
	NAMES_ADDR,     /* 'addrs' */
	NAMES_PTR,      /* 'target' */
	NAMES_SOA,      /* the zone's own record was asked for */
};

struct names_answer {
	enum names_verdict verdict;
	unsigned zone_at; /* byte of the asked name where the zone's name begins */
	struct addr addrs[NAMES_ADDRS_MAX];
	unsigned addrs_n;
	struct dns_name target;
};

void names_find(const struct names *names, const struct dns_name *name, uint16_t type,
		struct names_answer *ret);

#endif
