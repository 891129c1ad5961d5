/* vhost-user guests over libuv: a listening UNIX socket with any number of guests (QEMU's
 * `-netdev vhost-user` connects), a front-end's listening socket that we connect to, and inherited
 * connected descriptors. Each connection is one port of the lan. */
#ifndef LWNAT_LINK_VU_UV_H
#define LWNAT_LINK_VU_UV_H

#include "stack/link/lan.h"
#include "stack/link/stream_uv.h"

#include <uv.h>

struct vu_uv;

/* The events are those of stream_uv: for their receiver a port is a port. 0 or -ENOMEM. */
int vu_uv_new(struct vu_uv **ret, uv_loop_t *loop, struct lan *lan,
	      const struct stream_uv_events *events);
/* Listens on a UNIX socket; errors as of stream_uv_listen(). */
int vu_uv_listen(struct vu_uv *v, const char *path);
/* The same with a socket that listens already; it is taken over unless this fails. */
int vu_uv_listen_fd(struct vu_uv *v, int fd);
/* Connects to a front-end that listens at 'path', now and again whenever it is not there: QEMU may
 * be started, and started again, at any time. One path; 0, -EALREADY, -ENAMETOOLONG, -EINVAL. */
int vu_uv_connect(struct vu_uv *v, const char *path);
/* Serves an already connected UNIX stream socket; takes the descriptor over, unless this fails.
 * Errors as of stream_uv_adopt(). */
int vu_uv_adopt(struct vu_uv *v, int fd);
/* Drops all ports and stops listening and connecting. The memory goes when libuv has closed the
 * handles. NULL is fine. */
void vu_uv_close(struct vu_uv *v);

#endif
