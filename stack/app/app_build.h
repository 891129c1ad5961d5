/* Makes the parts of a network and opens its ways in. app.c says what they call. */
#ifndef LWNAT_APP_APP_BUILD_H
#define LWNAT_APP_APP_BUILD_H

#include "stack/app/network.h"
#include "stack/app/runtime_dir.h"
#include "stack/host/host.h"
#include "stack/link/stream_uv.h"

struct app_hooks {
	struct host_config host;
	struct stream_uv_events stream;
	void (*frame)(void *ctx, struct port *from, const struct frame *frame); /* lan's */
	void (*mac_seen)(void *ctx, struct port *port, const struct mac *mac, bool clash); /* too */
	void *ctx; /* theirs */
};

/* Both log what fails and return 0 or a negative errno; what has been made stays in 'net'. */
int app_build(struct network *net, const struct app_hooks *hooks);
int app_open(struct network *net);
/* NAME.SUFFIX ("sock", "vhost", "ctl") in the runtime directory. 0, or a negative errno and
 * 'error'. */
int app_runtime_path(const struct network *net, const char *suffix, char path[OPTIONS_PATH_MAX],
		     char error[RUNTIME_ERROR_MAX]);
/* Of a socket that was bound by somebody else. */
void app_path_of(int fd, char path[OPTIONS_PATH_MAX]);
int app_open_vhost(struct network *net); /* a part of app_open(): vhost-user's ways in */
/* Descriptors of the command line must not be inherited by what is run. 0 or a negative errno. */
int app_keep_fds(const struct options *options);

#endif
