/* QEMU's command line with its user networks taken out: what 'lwnat run' serves, and what it hands
 * QEMU in their place. Pure. */
#ifndef LWNAT_APP_RUN_ARGS_H
#define LWNAT_APP_RUN_ARGS_H

#include "stack/app/qemu_version.h"

#include <stdbool.h>

#define RUN_NETWORKS_MAX 16
#define RUN_NAME_MAX 64 /* bytes, with NUL */

enum run_form { RUN_NETDEV, RUN_NIC, RUN_NET };

/* One user network of QEMU's: an lwnat of its own. */
struct run_network {
	char name[RUN_NAME_MAX]; /* its id=, else nic0, nic1, ...: a name for lwnat's --name */
	char *netdev;            /* "user,...": for lwnat's --netdev */
	char *option;            /* "-netdev user,...", as the user wrote it, for messages */
	enum run_form form;
	char *kept;  /* ",id=net0,mac=...": what stays QEMU's */
	unsigned at; /* the index in argv of the value to be replaced */
};

struct run_plan {
	char **argv; /* of QEMU, ends with NULL */
	unsigned argc;
	struct run_network network[RUN_NETWORKS_MAX];
	unsigned networks_n;
};

/* Finds the user networks in 'argv', which ends with NULL and is copied. A command line without
 * any network option gets QEMU's default one, as a -nic of its own. 0, -ENOMEM, or -EINVAL with
 * *ret_error being the line that QEMU would print; the caller frees it. */
int run_plan_make(struct run_plan *ret, char *const argv[], char **ret_error);
void run_plan_free(struct run_plan *plan);

/* Puts QEMU's end of network i, a connected stream socket that it inherits as 'fd', in place of
 * the option. 0 or -ENOMEM. */
int run_plan_connect(struct run_plan *plan, unsigned i, int fd, struct qemu_version version);

#endif
