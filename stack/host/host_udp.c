#include "stack/host/host_internal.h"
#include "stack/host/udp_burst.h"

#include <errno.h>
#include <netinet/in.h>

/* bytes; the kernel cuts it to net.core.rmem_max, and uses only what is waiting. What a fast sender
 * sends while this process gets no CPU for some milliseconds must find room here. */
#define RECEIVE_BUFFER (4 << 20)

int host_udp_open(void *ctx, uint64_t token, bool v6)
{
	int fd =
	    socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
	int size = RECEIVE_BUFFER;
	int r;

	if (fd < 0)
		return -errno;
	r = host_datagram_prepare(fd, v6);
	if (r == 0)
		r = host_datagram_want_errors(fd, v6);
	if (r == 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		host_datagram_want_segments(fd);
	}
	return host_watch_new(ctx, fd, r, token, HOST_DATAGRAM_EVENTS);
}

int host_udp_send(void *ctx, int handle, const struct host_udp_out *what)
{
	struct host *host = ctx;
	struct host_datagram_out out = {.to = what->to,
					.ttl = what->ttl,
					.segment = what->segment,
					.owner = what->owner,
					.iov = what->iov,
					.iov_n = what->iov_n};

	/* No flow's handle, so a listener's. */
	if (host->any_address_listeners && !host_is_watched(host, handle))
		out.from_given = host_listener_source(host, handle, &out.to, &out.from);
	return udp_burst_send(&host->burst, handle, &out);
}

void host_flush(void *ctx)
{
	struct host *host = ctx;

	udp_burst_flush(&host->burst);
}
