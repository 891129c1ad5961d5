/* Guest-to-host forwards (QEMU's guestfwd=): an address and port of the guests' network that lead
 * to a target on the host. Rule text <-> struct, and conflicts. Opens nothing. */
#ifndef LWNAT_HOSTFWD_GUESTFWD_H
#define LWNAT_HOSTFWD_GUESTFWD_H

#include "stack/base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUESTFWD_ERROR_MAX 320  /* bytes of an error text, with NUL */
#define GUESTFWD_TARGET_MAX 512 /* bytes, with NUL */
#define GUESTFWD_TEXT_MAX (GUESTFWD_TARGET_MAX + 80)
#define GUESTFWD_UNIX_PATH_MAX 107 /* bytes, unix(7) */

enum guestfwd_kind {
	GUESTFWD_TCP, /* connects to a host and port, anew for each connection of a guest */
	GUESTFWD_UNIX,
	GUESTFWD_CMD, /* runs a command for each connection */
};

struct guestfwd_rule {
	bool addr_given;
	struct addr addr; /* when not given: the network's x.x.x.4, filled in by the caller */
	uint16_t port;
	enum guestfwd_kind kind;
	char target[GUESTFWD_TARGET_MAX]; /* TCP: address or name, no brackets; UNIX: the path; CMD:
					     what the shell gets */
	uint16_t target_port;             /* TCP */
};

/* "[tcp]:[ADDR]:PORT-TARGET", TARGET being "tcp:HOST:PORT", "unix:PATH" or "cmd:COMMAND"; IPv6
 * addresses in brackets. 0, or -EINVAL and one line in 'error' that names the bad part and the
 * accepted form. */
int guestfwd_parse(const char *text, struct guestfwd_rule *ret, char error[GUESTFWD_ERROR_MAX]);
const char *guestfwd_format(const struct guestfwd_rule *rule, char text[GUESTFWD_TEXT_MAX]);
/* Whether both wait at one place. */
bool guestfwd_overlap(const struct guestfwd_rule *a, const struct guestfwd_rule *b);

#endif
