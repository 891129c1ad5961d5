/* One vhost-user connection: its messages, its memory, its rings' kicks and calls. */
#ifndef LWNAT_LINK_VU_PORT_UV_H
#define LWNAT_LINK_VU_PORT_UV_H

#include "stack/link/lan.h"
#include "stack/link/stream_uv.h"

#include <uv.h>

struct vu_port;

/* What a port tells and uses; must outlive it. */
struct vu_port_host {
	uv_loop_t *loop;
	struct poller *poller;
	struct lan *lan;
	struct stream_uv_events events;
	struct log_limit *log_limit; /* for lines about guests that come and go */
	/* The port has left the lan ... */
	void (*left)(void *ctx, struct vu_port *port);
	/* ... and has now closed its last handle: its memory is gone. */
	void (*freed)(void *ctx);
	void *ctx;
};

/* Serves a connected socket, the port's unless this fails: 0, -ENOMEM, -ENOSPC or another negative
 * errno. The attached event comes before the return. */
int vu_port_new(struct vu_port **ret, const struct vu_port_host *host, int fd);
/* Lets go of everything at once; the memory follows (freed). */
void vu_port_drop(struct vu_port *port, const char *why);

#endif
