/* The control socket: HTTP and JSON on a UNIX socket for the user himself and root
 * (stack/app/openapi.json). */
#ifndef LWNAT_APP_CONTROL_H
#define LWNAT_APP_CONTROL_H

#include "stack/app/network.h"

#include <sys/types.h>

struct control;
struct metrics_text;

/* 0, or a negative errno (-ENOMEM, -EIO). 'net' is borrowed, and its parts must be there. */
int control_new(struct control **ret, const struct network *net);
/* Listens at 'path' (0600); once. As stream_uv_listen(): a socket file that nobody listens on is
 * replaced, -EADDRINUSE when somebody does, -EEXIST when something else is there. */
int control_listen(struct control *control, const char *path);
/* A listening socket that was inherited; taken over unless this fails. */
int control_adopt(struct control *control, int fd);
/* Cuts all clients, and all connections made through them. Before the parts of 'net' go; the memory
 * goes when libuv has closed the handles. NULL is fine. */
void control_close(struct control *control);

/* What it counts of itself. */
void control_metrics(const struct control *control, struct metrics_text *out);
/* Whether a client of this user may come in. */
bool control_admits(uid_t uid, uid_t own);

#endif
