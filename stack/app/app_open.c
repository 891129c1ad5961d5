#include "stack/app/app_build.h"

#include "stack/app/capture.h"
#include "stack/app/control.h"
#include "stack/app/forwards.h"
#include "stack/app/guestfwds.h"
#include "stack/app/runtime_dir.h"
#include "stack/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* NAME.SUFFIX in the runtime directory. 0, or a negative errno and one line in 'error'. */
int app_runtime_path(const struct network *net, const char *suffix, char path[OPTIONS_PATH_MAX],
		     char error[RUNTIME_ERROR_MAX])
{
	struct runtime_place place = {.xdg = getenv("XDG_RUNTIME_DIR"), .tmp = "/tmp"};
	char file[sizeof(net->options->name) + sizeof(".vhost")];

	snprintf(file, sizeof(file), "%s.%s", net->options->name, suffix);
	return runtime_socket_path(&place, file, path, OPTIONS_PATH_MAX, error);
}

void app_path_of(int fd, char path[OPTIONS_PATH_MAX])
{
	struct sockaddr_un name = {0};
	socklen_t len = sizeof(name);

	if (getsockname(fd, (struct sockaddr *)&name, &len) == 0)
		memcpy(
		    path, name.sun_path,
		    strnlen(name.sun_path, OPTIONS_PATH_MAX - 1)); /* an abstract one stays empty */
}

static int listen_activated(struct network *net)
{
	int result = stream_uv_listen_fd(net->stream, net->activation.guests_fd);

	if (result < 0)
		log_err_errno(result, "socket activation");
	else
		net->activation.guests_fd = -1;
	return result;
}

static int find_socket_path(struct network *net)
{
	char error[RUNTIME_ERROR_MAX];
	int result;

	if (net->activation.guests_fd >= 0) {
		app_path_of(net->activation.guests_fd, net->socket_path);
		return 0;
	}
	if (net->options->socket[0]) {
		memcpy(net->socket_path, net->options->socket, sizeof(net->socket_path));
		return 0;
	}
	if (net->options->fd.n > 0)
		return 0;
	result = app_runtime_path(net, "sock", net->socket_path, error);
	if (result < 0)
		log_err("%s", error);
	return result;
}

/* ---- the control socket ---- */

static int explain_control(int err, const char *path, char error[RUNTIME_ERROR_MAX])
{
	const char *reason = strerror(-err);

	if (err == -EADDRINUSE)
		reason = "another lwnat listens there (accepted: another path, or another --name)";
	else if (err == -EEXIST)
		reason = "is there already and no socket (accepted: a path that is free, or none)";
	snprintf(error, RUNTIME_ERROR_MAX, "--control: '%s': %s", path, reason);
	return err;
}

static int listen_for_control(struct network *net, char error[RUNTIME_ERROR_MAX])
{
	char path[OPTIONS_PATH_MAX];
	int result = 0;

	if (net->options->control[0])
		memcpy(path, net->options->control, sizeof(path));
	else
		result = app_runtime_path(net, "ctl", path, error);
	if (result < 0)
		return result;
	result = control_new(&net->control, net);
	if (result == 0)
		result = control_listen(net->control, path);
	if (result < 0)
		return explain_control(result, path, error);
	memcpy(net->control_path, path, sizeof(path));
	return 0;
}

static int adopt_control(struct network *net)
{
	int result = control_new(&net->control, net);

	app_path_of(net->activation.control_fd, net->control_path);
	if (result == 0)
		result = control_adopt(net->control, net->activation.control_fd);
	if (result < 0)
		log_err_errno(result, "socket activation: control");
	else
		net->activation.control_fd = -1;
	return result;
}

/* A network of inherited guests needs no place in the file system: it goes on without a control
 * socket, unless that was asked for. */
static int open_control(struct network *net)
{
	const struct options *o = net->options;
	bool is_optional = o->fd.n > 0 && !o->socket[0] && !o->control[0];
	char error[RUNTIME_ERROR_MAX];
	int result;

	if (net->activation.control_fd >= 0)
		return adopt_control(net);
	if (strcmp(o->control, "none") == 0)
		return 0;
	result = listen_for_control(net, error);
	if (result < 0 && is_optional) {
		log_info("no control socket: %s", error);
		return 0;
	}
	if (result < 0)
		log_err("%s", error);
	return result;
}

/* ---- guests and forwards ---- */

static int listen_for_guests(struct network *net)
{
	int result = stream_uv_listen(net->stream, net->socket_path);

	if (result == -EADDRINUSE)
		log_err("--socket: '%s': another lwnat listens there (accepted: another path, or "
			"another --name)",
			net->socket_path);
	else if (result == -EEXIST)
		log_err("--socket: '%s': is there already and no socket (accepted: a path that is "
			"free)",
			net->socket_path);
	else if (result < 0)
		log_err_errno(result, "--socket: '%s'", net->socket_path);
	return result;
}

static int adopt_guests(struct network *net)
{
	const struct options_fds *fds = &net->options->fd;

	for (unsigned i = 0; i < fds->n; i++) {
		int result = stream_uv_adopt(net->stream, fds->fd[i]);

		if (result == -EBADF)
			log_err("--fd: '%d': is not open", fds->fd[i]);
		else if (result == -ENOTSOCK)
			log_err("--fd: '%d': is no connected stream socket", fds->fd[i]);
		else if (result < 0)
			log_err_errno(result, "--fd: '%d'", fds->fd[i]);
		if (result < 0)
			return result;
	}
	return 0;
}

/* QEMU is asked for its version and must not inherit a guest's connection. */
int app_keep_fds(const struct options *o)
{
	for (unsigned i = 0; i < o->fd.n; i++)
		(void)fcntl(o->fd.fd[i], F_SETFD, FD_CLOEXEC);
	for (unsigned i = 0; i < o->vhost_user_fd.n; i++)
		(void)fcntl(o->vhost_user_fd.fd[i], F_SETFD, FD_CLOEXEC);
	if (o->ready_fd >= 0 && fcntl(o->ready_fd, F_SETFD, FD_CLOEXEC) < 0) {
		log_err("--ready-fd: '%d': is not open", o->ready_fd);
		return -EBADF;
	}
	return 0;
}

static int open_forwards(struct network *net)
{
	const struct options_forwards *rules = &net->options->hostfwd;
	struct forwards_config config = {
	    .options = net->options,
	    .loop = net->loop,
	    .host = net->host,
	    .nat = net->nat,
	    .guests = net->guests,
	    .turn = net->turn,
	    .turn_ctx = net->ctx,
	};
	char error[FORWARDS_ERROR_MAX];
	int result = forwards_new(&net->forwards, &config);

	if (result < 0) {
		log_err_errno(result, "--hostfwd");
		return result;
	}
	for (unsigned i = 0; i < rules->n; i++) {
		result = forwards_add(net->forwards, &rules->rule[i], error);
		if (result < 0) {
			log_err("--hostfwd: %s", error);
			return result;
		}
	}
	return 0;
}

static int start_captures(struct network *net)
{
	const struct options *o = net->options;

	for (unsigned i = 0; i < o->pcap.n; i++) {
		const struct options_pcap *pcap = &o->pcap.pcap[i];
		struct capture_file file = {
		    .target = {.whom = pcap->of_mac ? CAPTURE_MAC : CAPTURE_ALL, .mac = pcap->mac},
		    .snaplen = (uint32_t)o->pcap_snaplen,
		    .size_max = o->pcap_size,
		    .files_n = o->pcap_files,
		};
		char error[CAPTURE_ERROR_MAX];
		int number;

		memcpy(file.path, pcap->file, sizeof(file.path));
		number = capture_start(net->capture, &file, error);
		if (number < 0) {
			log_err("--pcap: %s", error);
			return number;
		}
	}
	return 0;
}

static int open_guestfwds(struct network *net)
{
	char error[GUESTFWDS_ERROR_MAX];
	int result = guestfwds_open(&net->guestfwds, net->options, net->loop, net->nat, error);

	if (result < 0)
		log_err("%s", error);
	return result;
}

int app_open(struct network *net)
{
	int result;

	result = find_socket_path(net);
	if (result == 0)
		result = open_guestfwds(net);
	if (result < 0)
		return result;
	result = open_forwards(net);
	if (result < 0)
		return result;
	result = start_captures(net);
	if (result < 0)
		return result;
	if (net->activation.guests_fd >= 0)
		result = listen_activated(net);
	else if (net->socket_path[0])
		result = listen_for_guests(net);
	if (result == 0)
		result = app_open_vhost(net);
	if (result == 0)
		result = open_control(net);
	return result < 0 ? result : adopt_guests(net);
}
