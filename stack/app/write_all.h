/* Bytes to a descriptor, however many calls it takes. */
#ifndef LWNAT_APP_WRITE_ALL_H
#define LWNAT_APP_WRITE_ALL_H

#include <stddef.h>

/* 0, or -errno with some of them written, maybe. Waits where the descriptor does. */
int write_all(int fd, const void *bytes, size_t len);

#endif
