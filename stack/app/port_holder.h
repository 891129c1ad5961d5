/* Who holds a port of the host, as far as /proc tells. */
#ifndef LWNAT_APP_PORT_HOLDER_H
#define LWNAT_APP_PORT_HOLDER_H

#include "stack/base/addr.h"

#include <stdbool.h>

struct port_holder {
	long pid;
	char name[64]; /* printable */
};

/* One line of /proc/net/{tcp,tcp6,udp,udp6}: true when it is a socket that keeps 'at' from being
 * bound (a TCP socket must listen). Pure. */
bool port_holder_line(const char *line, bool udp, const struct endpoint *at,
		      unsigned long *ret_inode);
/* false when nobody is found: the process may be another user's. */
bool port_holder_find(bool udp, const struct endpoint *at, struct port_holder *ret);

#endif
