/* The running network: its parts, for those who show it or change it at run time (control API,
 * forwards, capture). app.c fills it in and owns what it points to. */
#ifndef LWNAT_APP_NETWORK_H
#define LWNAT_APP_NETWORK_H

#include "stack/app/activation.h"
#include "stack/app/options.h"
#include "stack/base/addr.h"
#include "stack/base/rng.h"

#include <stdint.h>
#include <uv.h>

struct capture;
struct control;
struct forwards;
struct guestfwds;
struct guests;
struct host;
struct lan;
struct nat;
struct services;
struct stream_uv;
struct vu_uv;

struct network {
	const struct options *options;
	uv_loop_t *loop;
	uint64_t started_ms; /* uv_now() at the start */
	int64_t started_unix_s;
	struct rng rng;
	struct mac mac; /* the gateway's */

	/* NULL until built; in the order in which they are, and taken down in the reverse one. */
	struct lan *lan;
	struct host *host;
	struct nat *nat;
	struct services *services;
	struct guests *guests;
	struct capture *capture;
	struct stream_uv *stream;
	struct vu_uv *vhost;
	struct forwards *forwards;
	struct guestfwds *guestfwds;
	struct control *control;

	struct activation activation; /* sockets given by the service manager */

	char socket_path[OPTIONS_PATH_MAX];  /* guests' way in; empty: nothing is listened on */
	char vhost_path[OPTIONS_PATH_MAX];   /* the same for vhost-user */
	char control_path[OPTIONS_PATH_MAX]; /* empty: no control socket */

	/* To be called with 'ctx' after anything that gave the NAT work outside of its own events
	 * (a connection opened into a guest, a frame sent): does the work and flushes the ports. */
	void (*turn)(void *ctx);
	void *ctx;
};

#endif
