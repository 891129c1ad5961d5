#include "stack/host/host_internal.h"
#include "stack/host/sockaddr.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* Urgent data is carried as data (RFC 6093 section 5). Best effort: a UNIX socket (a service's)
 * does not know it. */
static void prepare(int fd)
{
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
}

/* The guest's TCP has done its own gathering; a second Nagle here would only add delay. Nothing is
 * outstanding that could hold up the first write: who asks a single question never needs this. */
static void send_at_once(int fd, struct host_slot *slot)
{
	int on = 1;

	if (slot->flags & HOST_SLOT_NODELAY)
		return;
	if (slot->flags & HOST_SLOT_WRITTEN) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		slot->flags |= HOST_SLOT_NODELAY;
	}
	slot->flags |= HOST_SLOT_WRITTEN;
}

int host_tcp_dial(void *ctx, uint64_t token, const struct endpoint *to)
{
	struct host *host = ctx;
	struct sockaddr_storage name;
	socklen_t name_len = host_sockaddr_from(to, &name);

	/* To connect() the unspecified address means the host's own loopback. */
	if (addr_is_unspecified(&to->addr))
		return -ENETUNREACH;

	int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	int r = 0;

	if (fd < 0)
		return -errno;
	prepare(fd);
	if (connect(fd, (struct sockaddr *)&name, name_len) < 0 && errno != EINPROGRESS)
		r = -errno;
	/* Not before connect(): a socket that is neither connecting nor connected counts as hung
	 * up. */
	return host_watch_new(host, fd, r, token, HOST_STREAM_EVENTS);
}

int host_tcp_connect_result(void *ctx, int handle)
{
	struct host_slot *slot = host_slot_of(ctx, handle);
	struct tcp_info info = {0};
	socklen_t info_len = sizeof(info);
	int error = 0;
	socklen_t error_len = sizeof(error);

	if (slot->flags & HOST_SLOT_CONNECTED)
		return 0;
	if (getsockopt(handle, SOL_SOCKET, SO_ERROR, &error, &error_len) < 0)
		return -errno;
	if (error)
		return -error;
	/* A socket pair has no such thing, and is connected. */
	if (getsockopt(handle, IPPROTO_TCP, TCP_INFO, &info, &info_len) < 0)
		return 0;
	if (info.tcpi_state == TCP_SYN_SENT)
		return -EINPROGRESS;
	/* Only after an error that has already been fetched. */
	if (info.tcpi_state == TCP_CLOSE)
		return -ECONNABORTED;
	return 0;
}

int host_tcp_adopt(void *ctx, int handle, uint64_t token)
{
	int flags = fcntl(handle, F_GETFL);

	if (flags < 0)
		return -errno;
	if (!(flags & O_NONBLOCK) && fcntl(handle, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	prepare(handle);
	return host_watch(ctx, handle, token, HOST_STREAM_EVENTS);
}

static struct msghdr message_of(const struct iovec *iov, unsigned iov_n)
{
	/* No pieces would make a read return 0, which means FIN. */
	assert(iov_n > 0);
	return (struct msghdr){.msg_iov = (struct iovec *)iov,
			       .msg_iovlen = iov_n < IOV_MAX ? iov_n : IOV_MAX};
}

ssize_t host_tcp_read(void *ctx, int handle, const struct iovec *iov, unsigned iov_n)
{
	struct host *host = ctx;
	struct msghdr msg = message_of(iov, iov_n);
	ssize_t n = recvmsg(handle, &msg, MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	if (n > 0 && host_slot_of(host, handle)->flags & HOST_SLOT_URGENT)
		host_tell_again(host, handle);
	return n;
}

ssize_t host_tcp_write(void *ctx, int handle, const struct iovec *iov, unsigned iov_n)
{
	struct msghdr msg = message_of(iov, iov_n);
	ssize_t n;

	send_at_once(handle, host_slot_of(ctx, handle));
	n = sendmsg(handle, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	return n < 0 ? -errno : n;
}

int host_tcp_shut_write(void *ctx, int handle)
{
	(void)ctx;
	return shutdown(handle, SHUT_WR) < 0 ? -errno : 0;
}

void host_tcp_close(void *ctx, int handle, bool reset)
{
	if (reset) {
		struct linger at_once = {.l_onoff = 1, .l_linger = 0};

		setsockopt(handle, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	}
	host_unwatch_and_close(ctx, handle);
}
