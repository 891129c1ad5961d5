/* The name servers of resolv.conf(5), read again when the file has changed: laptops change
 * networks, VPNs come and go. */
#ifndef LWNAT_HOST_RESOLV_CONF_H
#define LWNAT_HOST_RESOLV_CONF_H

#include "stack/base/addr.h"

#include <stddef.h>
#include <sys/stat.h>

#define RESOLV_SERVERS_MAX 8
#define RESOLV_SCOPE_MAX 16 /* bytes, an interface's name with NUL */

struct resolv_server {
	struct endpoint endpoint;     /* a file gives port 53 */
	char scope[RESOLV_SCOPE_MAX]; /* of a link-local address: "eth0"; else empty */
};

/* What tells one state of the file from another. All zero: never seen. */
struct resolv_mark {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified, changed;
};

/* The nameserver lines of a text, in order; what cannot be understood is left out. Returns how
 * many. */
unsigned resolv_conf_parse(const char *text, size_t len,
			   struct resolv_server ret[RESOLV_SERVERS_MAX]);
/* Reads the file when it is another than 'mark' tells, and updates the mark. Returns how many
 * servers it names, 0 when nothing changed, or none are named, or it cannot be read. Follows
 * symbolic links. */
unsigned resolv_conf_read(const char *path, struct resolv_mark *mark,
			  struct resolv_server ret[RESOLV_SERVERS_MAX]);

#endif
