/* What lwnat says on standard output when it starts: QEMU's arguments to paste, addresses,
 * forwards. */
#ifndef LWNAT_APP_ANNOUNCE_H
#define LWNAT_APP_ANNOUNCE_H

#include "stack/app/forwards.h"
#include "stack/app/options.h"
#include "stack/app/qemu_version.h"

#include <stdbool.h>
#include <stdio.h>

struct announcement {
	const struct options *options;
	const struct forwards *forwards; /* NULL: as the options have them */
	const char *socket_path;         /* NULL: nothing is listened on */
	const char *vhost_path;          /* the same for vhost-user */
	struct qemu_version qemu;
	bool ipv6_stays_here; /* this host reaches nobody by IPv6 */
	bool ping_forbidden;  /* the host's ping_group_range shuts us out */
};

/* All lines but "ready". */
void announce(FILE *out, const struct announcement *a);

#endif
