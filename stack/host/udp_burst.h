/* Bulk datagrams of one socket to one peer, sent in few system calls: what follows the first one of
 * a turn waits for the turn's end, and leaves as one large send that the kernel cuts (UDP_SEGMENT,
 * udp(7)). The first one always leaves at once, so that its errors are told by the call. */
#ifndef LWNAT_HOST_UDP_BURST_H
#define LWNAT_HOST_UDP_BURST_H

#include "stack/base/addr.h"
#include "stack/host/host_internal.h"

#include <stdbool.h>
#include <stdint.h>

/* Sends a datagram, or keeps it, or a copy when it has no owner, for udp_burst_flush(). With
 * 'out->segment' it is many, which leave at once. 0, or -errno of the socket about the first. */
int udp_burst_send(struct udp_burst *burst, int fd, const struct host_datagram_out *out);
/* Sends what is kept. The next datagram is a first one again. */
void udp_burst_flush(struct udp_burst *burst);

#endif
