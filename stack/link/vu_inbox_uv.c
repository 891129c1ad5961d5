#include "stack/link/vu_inbox_uv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void take_fds(struct vu_inbox *in, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (in->fds_n < VU_FDS_MAX)
				in->fds[in->fds_n++] = fd;
			else
				close(fd);
		}
	}
}

/* How much may be read without touching the next message, whose descriptors would be mistaken for
 * this one's. */
static size_t bytes_wanted(const struct vu_inbox *in)
{
	uint32_t size;

	if (in->len < VU_HDR_LEN)
		return VU_HDR_LEN - in->len;
	memcpy(&size, in->bytes + 8, sizeof(size));
	if (size > VU_PAYLOAD_MAX)
		return 0; /* vu_msg_get() says so */
	return VU_HDR_LEN + size - in->len;
}

int vu_inbox_read(struct vu_inbox *in, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * VU_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {in->bytes + in->len, bytes_wanted(in)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};

	if (iov.iov_len == 0)
		return 1;
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	take_fds(in, &msg);
	in->len += (size_t)n;
	return 1;
}

void vu_inbox_make_fds_nonblocking(const struct vu_inbox *in)
{
	for (unsigned i = 0; i < in->fds_n; i++) {
		int flags = fcntl(in->fds[i], F_GETFL);
		if (flags >= 0)
			(void)fcntl(in->fds[i], F_SETFL, flags | O_NONBLOCK);
	}
}

void vu_inbox_close_fds(struct vu_inbox *in)
{
	for (unsigned i = 0; i < in->fds_n; i++) {
		if (in->fds[i] >= 0)
			close(in->fds[i]);
	}
	in->fds_n = 0;
}
