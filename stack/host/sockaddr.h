/* struct endpoint <-> the kernel's socket addresses. IPv4 becomes AF_INET, never a v4-mapped
 * AF_INET6. */
#ifndef LWNAT_HOST_SOCKADDR_H
#define LWNAT_HOST_SOCKADDR_H

#include "stack/base/addr.h"

#include <stdbool.h>
#include <sys/socket.h>

/* Fills 'ret' and returns how many of its bytes count. */
socklen_t host_sockaddr_from(const struct endpoint *from, struct sockaddr_storage *ret);
/* false, and 'ret' untouched, for another family than AF_INET and AF_INET6. 'len' is what the
 * kernel said: a shorter address than its family needs is refused too. */
bool host_sockaddr_to(const struct sockaddr_storage *from, socklen_t len, struct endpoint *ret);

#endif
