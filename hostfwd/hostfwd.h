/* Host-to-guest forwards: rule text <-> struct, the table, conflicts. Opens nothing. */
#ifndef LWNAT_HOSTFWD_HOSTFWD_H
#define LWNAT_HOSTFWD_HOSTFWD_H

#include "stack/base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOSTFWD_ERROR_MAX 256 /* bytes of an error text, with NUL */
#define HOSTFWD_TEXT_MAX 256
#define HOSTFWD_PATH_MAX 108 /* bytes of a UNIX socket's path, with NUL (unix(7)) */
#define HOSTFWD_GUEST_MAX 64
#define HOSTFWD_HOLD_MAX_S 3600

enum hostfwd_proto { HOSTFWD_TCP, HOSTFWD_UDP };

/* One rule. A range of N ports forwards host_port+i to guest_port+i. */
struct hostfwd_rule {
	enum hostfwd_proto proto;
	/* The host's side is this UNIX socket, 'proto' TCP, 'ports_n' 1 and no host address or
	 * port; "": it is an address and a port. */
	char path[HOSTFWD_PATH_MAX];
	bool host_addr_given;
	struct addr host_addr; /* when not given: 127.0.0.1 and ::1 */
	uint16_t host_port;    /* 0: any that is free; never with a range */
	uint16_t ports_n;      /* 1, or the length of the range */
	/* "" or who it is for when that is no address: a DHCP host name, "@MAC" or "@" and the name
	 * of a port of the switch. */
	char guest[HOSTFWD_GUEST_MAX];
	bool guest_addr_given;
	struct addr guest_addr; /* when not given: the dhcpstart address, filled in by the caller */
	uint16_t guest_port;
	uint16_t hold_s; /* how long a connection waits for the guest to answer; 0: not */
};

/* "[tcp|udp]:[hostaddr]:hostport[-hostport]-[guest]:guestport[-guestport]", QEMU's form, and
 * ranges; or "unix:PATH-[guest]:guestport". The guest is an address (IPv6 in brackets), a host name
 * ("web"), "@52:54:00:12:34:56" or "@port1". At the end there may be ",hold=SECONDS" (not for UDP).
 * A PATH ends before the first '-' behind which a guest and port stand; what looks like a range's
 * end is one ("2222-7-web:22" needs "2222-2222-7-web:22"). 0, or -EINVAL and one line in 'error'
 * that names the bad part and the accepted form. */
int hostfwd_parse(const char *text, struct hostfwd_rule *ret, char error[HOSTFWD_ERROR_MAX]);
const char *hostfwd_format(const struct hostfwd_rule *rule, char text[HOSTFWD_TEXT_MAX]);
/* The guest's side alone: "web:22", "10.0.2.15:22". */
const char *hostfwd_format_guest(const struct hostfwd_rule *rule, char text[HOSTFWD_TEXT_MAX]);

struct hostfwd_table;
int hostfwd_new(struct hostfwd_table **ret, unsigned rules_max);
void hostfwd_free(struct hostfwd_table *table);
/* The rule's number (> 0), or -EEXIST (overlaps another rule's host side: 'error' names it),
 * -ENOSPC, -ENOMEM. */
int hostfwd_add(struct hostfwd_table *table, const struct hostfwd_rule *rule,
		char error[HOSTFWD_ERROR_MAX]);
int hostfwd_remove(struct hostfwd_table *table, int number); /* 0 or -ENOENT */
const struct hostfwd_rule *hostfwd_get(const struct hostfwd_table *table, int number);
/* Walks: start with 0, returns the next number, 0 at the end. */
int hostfwd_next(const struct hostfwd_table *table, int number);

#endif
