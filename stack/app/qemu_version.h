/* Which QEMU is installed, and how its -netdev stream is spelt. */
#ifndef LWNAT_APP_QEMU_VERSION_H
#define LWNAT_APP_QEMU_VERSION_H

#include <stddef.h>

struct qemu_version {
	int major, minor; /* 0 0: none found */
};

/* Reads "QEMU emulator version 7.2.22 ..."; 0.0 from anything else. Pure. */
struct qemu_version qemu_version_parse(const char *line);
/* Asks that program with --version, for two seconds at most. */
struct qemu_version qemu_version_ask(const char *program);
/* Asks the first QEMU in $PATH, for two seconds at most. */
struct qemu_version qemu_version_find(void);
/* What that QEMU needs behind addr.path= so that a guest's link comes back after lwnat was
 * restarted; "" where there is nothing. Pure. */
const char *qemu_reconnect_words(struct qemu_version version);
/* A value inside a -netdev string: each comma doubled. -ENAMETOOLONG when it does not fit. */
int qemu_escape(const char *value, char *out, size_t out_max);

#endif
