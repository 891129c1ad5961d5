/* A listening UNIX socket for guests, under libuv: accepts, and waits a while when the process is
 * out of descriptors. */
#ifndef LWNAT_LINK_LISTENER_UV_H
#define LWNAT_LINK_LISTENER_UV_H

#include <uv.h>

struct listener_uv;

/* A guest came: the descriptor is the receiver's. */
typedef void listener_uv_accepted(void *ctx, int fd);

/* Listens at 'path'; errors as of stream_path_listen(), or -ENOMEM. */
int listener_uv_new(struct listener_uv **ret, uv_loop_t *loop, const char *path,
		    listener_uv_accepted *accepted, void *ctx);
/* The same with a socket that listens already: the listener's, unless this fails. Its file is left
 * alone. */
int listener_uv_new_fd(struct listener_uv **ret, uv_loop_t *loop, int fd,
		       listener_uv_accepted *accepted, void *ctx);
/* Removes the socket file, if it is still the one made here. The memory goes when libuv has closed
 * the handles. NULL is fine. */
void listener_uv_close(struct listener_uv *listener);

#endif
