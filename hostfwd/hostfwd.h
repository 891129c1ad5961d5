/* Host-to-guest forwards: rule text <-> struct, the table, conflicts. Opens nothing. */
#ifndef LWNAT_HOSTFWD_HOSTFWD_H
#define LWNAT_HOSTFWD_HOSTFWD_H

#include "stack/base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOSTFWD_ERROR_MAX 200 /* bytes of an error text, with NUL */
#define HOSTFWD_TEXT_MAX 128

enum hostfwd_proto { HOSTFWD_TCP, HOSTFWD_UDP };

/* One rule. A range of N ports forwards host_port+i to guest_port+i. */
struct hostfwd_rule {
	enum hostfwd_proto proto;
	bool host_addr_given;
	struct addr host_addr; /* when not given: 127.0.0.1 and ::1 */
	uint16_t host_port;
	uint16_t ports_n; /* 1, or the length of the range */
	bool guest_addr_given;
	struct addr guest_addr; /* when not given: the dhcpstart address, filled in by the caller */
	uint16_t guest_port;
};

/* "[tcp|udp]:[hostaddr]:hostport[-hostport]-[guestaddr]:guestport[-guestport]", QEMU's form and
 * ranges; IPv6 addresses in brackets. 0, or -EINVAL and one line in 'error' that names the bad part
 * and the accepted form. */
int hostfwd_parse(const char *text, struct hostfwd_rule *ret, char error[HOSTFWD_ERROR_MAX]);
const char *hostfwd_format(const struct hostfwd_rule *rule, char text[HOSTFWD_TEXT_MAX]);

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
