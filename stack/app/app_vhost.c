#include "stack/app/app_build.h"
#include "stack/app/runtime_dir.h"
#include "stack/base/log.h"
#include "stack/link/vu_uv.h"

#include <errno.h>
#include <string.h>

/* Beside the stream socket, unless the ways in were chosen by hand. */
static int find_path(struct network *net)
{
	const struct options *o = net->options;
	char error[RUNTIME_ERROR_MAX];

	if (net->activation.vhost_fd >= 0) {
		app_path_of(net->activation.vhost_fd, net->vhost_path);
		return 0;
	}
	if (o->vhost_user[0]) {
		memcpy(net->vhost_path, o->vhost_user, sizeof(net->vhost_path));
		return 0;
	}
	if (o->socket[0] || o->fd.n || o->vhost_user_fd.n || o->vhost_user_connect[0])
		return 0;
	int result = app_runtime_path(net, "vhost", net->vhost_path, error);
	if (result < 0)
		log_err("%s", error);
	return result;
}

static int listen_for_guests(struct network *net)
{
	int result = vu_uv_listen(net->vhost, net->vhost_path);

	if (result == -EADDRINUSE)
		log_err("--vhost-user: '%s': another program listens there (accepted: another "
			"path, or another --name)",
			net->vhost_path);
	else if (result == -EEXIST)
		log_err("--vhost-user: '%s': is there already and no socket (accepted: a path "
			"that is free)",
			net->vhost_path);
	else if (result < 0)
		log_err_errno(-result, "--vhost-user: '%s'", net->vhost_path);
	return result;
}

static int listen_activated(struct network *net)
{
	int result = vu_uv_listen_fd(net->vhost, net->activation.vhost_fd);

	if (result < 0)
		log_err_errno(result, "socket activation: vhost");
	else
		net->activation.vhost_fd = -1;
	return result;
}

static int adopt_guests(struct network *net)
{
	const struct options_fds *fds = &net->options->vhost_user_fd;

	for (unsigned i = 0; i < fds->n; i++) {
		int result = vu_uv_adopt(net->vhost, fds->fd[i]);

		if (result == -EBADF)
			log_err("--vhost-user-fd: '%d': is not open", fds->fd[i]);
		else if (result == -ENOTSOCK)
			log_err("--vhost-user-fd: '%d': is no connected UNIX stream socket",
				fds->fd[i]);
		else if (result < 0)
			log_err_errno(-result, "--vhost-user-fd: '%d'", fds->fd[i]);
		if (result < 0)
			return result;
	}
	return 0;
}

int app_open_vhost(struct network *net)
{
	const char *front_end = net->options->vhost_user_connect;
	int result = find_path(net);

	if (result == 0 && net->activation.vhost_fd >= 0)
		result = listen_activated(net);
	else if (result == 0 && net->vhost_path[0])
		result = listen_for_guests(net);
	if (result == 0 && front_end[0])
		result = vu_uv_connect(net->vhost, front_end);
	return result < 0 ? result : adopt_guests(net);
}
