/* The way out of a stream port: frames gathered into few large sendmsg() calls, and a bounded
 * backlog of what the guest did not take. Never waits, never cuts a frame short. */
#ifndef LWNAT_LINK_STREAM_OUT_UV_H
#define LWNAT_LINK_STREAM_OUT_UV_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#define STREAM_BACKLOG_MAX                                                                         \
	(4 * 1024 * 1024) /* bytes, one read from a host of 2 MiB surely; what comes on top is     \
			     dropped, by whole frames */

struct stream_out;

/* For a connected, non-blocking stream socket, which stays the caller's. 0 or -ENOMEM. */
int stream_out_new(struct stream_out **ret, int fd);
void stream_out_free(struct stream_out *out); /* NULL is fine */

/* As port_ops.send(), and may send what is already gathered. false: the frame was dropped. */
bool stream_out_add(struct stream_out *out, const void *hdr, size_t hdr_len,
		    const struct iovec *iov, unsigned iov_n);
/* Sends everything gathered; what the socket does not take is copied to the backlog. 0, or the
 * negative errno for which the connection is lost (it stays that). */
int stream_out_flush(struct stream_out *out);
/* The socket is writable: sends from the backlog. As stream_out_flush(). */
int stream_out_drain(struct stream_out *out);

/* As port_ops.stands_still(). */
bool stream_out_stands_still(struct stream_out *out);

bool stream_out_gathered(const struct stream_out *out); /* frames wait for stream_out_flush() */
size_t
stream_out_backlog(const struct stream_out *out); /* bytes; frames added now go behind them */
/* Frames of those already added that the backlog had no room for; counts from 0 again. */
unsigned stream_out_lost(struct stream_out *out);

#endif
