/* What the files of the control API share about the control socket itself. */
#ifndef LWNAT_APP_CONTROL_INTERNAL_H
#define LWNAT_APP_CONTROL_INTERNAL_H

#include "stack/app/control.h"
#include "stack/base/list.h"
#include "stack/base/log.h"
#include "stack/host/http_server.h"
#include "stack/link/stream_path_uv.h"

#include <uv.h>

#define CONTROL_WALKS_MAX 8     /* listings of flows under way */
#define CONTROL_TUNNELS_MAX 256 /* 'lwnat connect', being opened and open */

struct control {
	const struct network *net;
	struct http_server *server;
	uv_poll_t listener;
	uv_timer_t retry; /* descriptors had run out: listen again */
	int fd;           /* it listens; -1: none */
	struct stream_path path;
	bool has_path;
	uint64_t requests, refused_peers;
	struct log_limit log_refused;
	struct list walks; /* control_flows.c */
	unsigned walks_n;
	struct list tunnels; /* control_connect.c */
	unsigned tunnels_n;
	struct list pings;  /* control_ping.c */
	unsigned handles_n; /* libuv's, of everything here: open or closing */
	bool closing;
};

/* A handle of 'control' has closed: the last one frees it. */
void control_handle_closed(struct control *control);
/* control_connect.c: ends all, before the server and the NAT go. */
void control_tunnels_end(struct control *control);

#endif
