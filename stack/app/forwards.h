/* The forwards of the command line: host listeners on one side, the NAT on the other. */
#ifndef LWNAT_APP_FORWARDS_H
#define LWNAT_APP_FORWARDS_H

#include "stack/app/options.h"
#include "stack/host/host.h"
#include "stack/nat/nat.h"

#define FORWARDS_ERROR_MAX 256

struct forwards;

/* Opens a listener for each port and address of all rules, or none at all. 0, or a negative errno
 * and one line in 'error' that names protocol, address, port and the way out. */
int forwards_open(struct forwards **ret, const struct options_forwards *rules, struct host *host,
		  struct nat *nat, char error[FORWARDS_ERROR_MAX]);
/* Before nat_free() and host_close(). NULL is fine. */
void forwards_close(struct forwards *forwards);

#endif
