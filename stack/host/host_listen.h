/* The host side of forwards: listening TCP sockets and bound UDP sockets. */
#ifndef LWNAT_HOST_HOST_LISTEN_H
#define LWNAT_HOST_HOST_LISTEN_H

#include "stack/host/host.h"

struct host_listener;

/* A listener may be closed from inside its own callbacks. */
struct host_listen_events {
	/* TCP: 'handle' is the receiver's from now on, for nat_tcp_inbound(). */
	void (*accepted)(void *ctx, int handle, const struct endpoint *peer);
	/* UDP: the payload is valid until the return; 'handle' is the listener's, also for
	 * udp_send(). */
	void (*datagram)(void *ctx, int handle, const struct endpoint *peer, struct iovec payload);
	void *ctx;
};

/* Port 0 lets the kernel choose: host_listener_local() tells. 0 or -errno as socket(), bind() and
 * listen() say it (-EADDRINUSE, -EACCES, -EADDRNOTAVAIL, -EMFILE, ...). */
int host_listen_tcp(struct host_listener **ret, struct host *host, const struct endpoint *at,
		    const struct host_listen_events *events);
int host_listen_udp(struct host_listener **ret, struct host *host, const struct endpoint *at,
		    const struct host_listen_events *events);

/* A UNIX stream socket's file, mode 0600. A socket file that nobody listens on is replaced; it is
 * removed at the close unless another stands there now. Peers are told as 127.0.0.1, port 0.
 * -EADDRINUSE: somebody listens there; -EEXIST: the path is something else than a socket. */
int host_listen_unix(struct host_listener **ret, struct host *host, const char *path,
		     const struct host_listen_events *events);

const struct endpoint *host_listener_local(const struct host_listener *listener);
int host_listener_handle(const struct host_listener *listener);
/* The port is free at once; the memory goes when libuv has closed the handles. NULL is fine. */
void host_listener_close(struct host_listener *listener);

#endif
