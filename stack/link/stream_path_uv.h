/* The socket file of a listener: made without harming what is there, removed only if it is still
 * ours. */
#ifndef LWNAT_LINK_STREAM_PATH_UV_H
#define LWNAT_LINK_STREAM_PATH_UV_H

#include <sys/types.h>
#include <sys/un.h>

struct stream_path {
	struct sockaddr_un name;
	dev_t dev; /* of the file that was made */
	ino_t ino;
};

/* A listening, non-blocking UNIX socket at 'path', mode 0600. A socket file that nobody listens on
 * is replaced. *ret_fd is the caller's. 0; -EADDRINUSE: somebody listens there; -EEXIST: the path
 * is something else than a socket; -ENAMETOOLONG, -EINVAL for "", or the errno of what failed. */
int stream_path_listen(const char *path, struct stream_path *ret, int *ret_fd);
/* Removes the file, unless another one stands there now. */
void stream_path_remove(const struct stream_path *path);

#endif
