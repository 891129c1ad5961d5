#include "stack/host/host_internal.h"

#include <errno.h>
#include <netinet/in.h>

int host_ping_open(void *ctx, uint64_t token, bool v6)
{
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			v6 ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP);
	int r;

	/* EACCES by ping_group_range; a seccomp filter or a kernel without ping sockets says it in
	 * these other ways. */
	if (fd < 0)
		return errno == EPERM || errno == EPROTONOSUPPORT ? -EACCES : -errno;
	r = host_datagram_prepare(fd, v6);
	if (r == 0)
		r = host_datagram_want_errors(fd, v6);
	return host_watch_new(ctx, fd, r, token, HOST_DATAGRAM_EVENTS);
}

int host_ping_send(void *ctx, int handle, const struct addr *to, uint8_t ttl,
		   const struct iovec *iov, unsigned iov_n)
{
	struct host_datagram_out out = {
	    .to = {.addr = *to, .port = 0}, .ttl = ttl, .iov = iov, .iov_n = iov_n};

	(void)ctx;
	return host_datagram_send(handle, &out);
}
