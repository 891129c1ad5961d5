/* QEMU `-netdev stream` (and `-netdev socket,fd=`) guests over libuv: a listening UNIX socket with
 * any number of guests, and inherited connected descriptors. Each connection is one port of the
 * lan. */
#ifndef LWNAT_LINK_STREAM_UV_H
#define LWNAT_LINK_STREAM_UV_H

#include "stack/link/lan.h"

#include <uv.h>

struct stream_uv;

struct stream_uv_events {
	void (*attached)(void *ctx, struct port *port);
	/* The port is already out of the lan, and freed after the return. */
	void (*gone)(void *ctx, struct port *port);
	/* A read batch has been switched, or a port has become writable: NAT work may run now.
	 * lan_flush() follows. */
	void (*batch_end)(void *ctx);
	void (*writable)(void *ctx, struct port *port); /* 'blocked' is false again */
	void *ctx;
};

/* 0 or a negative errno (-ENOMEM). */
int stream_uv_new(struct stream_uv **ret, uv_loop_t *loop, struct lan *lan,
		  const struct stream_uv_events *events);
/* Listens on a UNIX socket (one; -EALREADY). A socket file that no process listens on is replaced;
 * -EADDRINUSE when one does; -EEXIST when the path is something else than a socket; else the errno
 * of bind(), listen(). The file is created 0600. */
int stream_uv_listen(struct stream_uv *s, const char *path);
/* Listens on a socket that somebody else has bound and listens on: takes the descriptor over unless
 * this fails; its file stays. */
int stream_uv_listen_fd(struct stream_uv *s, int fd);
/* Serves an already connected stream socket; takes the descriptor over, unless this fails. The
 * attached event comes before the return. -ENOTSOCK when it is no stream socket, -ENOTCONN, -ENOSPC
 * when the lan has no room, or another negative errno. */
int stream_uv_adopt(struct stream_uv *s, int fd);
/* Drops all ports, closes the listener, removes its socket file (only if it is still the one bound
 * here). The memory goes when libuv has closed the handles: run the loop once more. NULL is fine.
 */
void stream_uv_close(struct stream_uv *s);

#endif
