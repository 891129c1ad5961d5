#include "stack/app/control_internal.h"

#include "stack/app/control_api.h"
#include "stack/app/metrics_text.h"
#include "stack/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_EVENT 16
#define RETRY_MS 250 /* after descriptors ran out */

static const char forbidden[] =
    "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    "{\"error\":{\"status\":403,\"field\":null,\"message\":\"the control socket is for the user "
    "who runs lwnat, and root\"}}\n";

bool control_admits(uid_t uid, uid_t own)
{
	return uid == own || uid == 0;
}

/* The socket file's mode keeps others out; one who inherited the socket, or a folder that was given
 * away, is found here. */
static void admit(struct control *control, int fd)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t len = sizeof(peer);
	ssize_t told;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	    control_admits(peer.uid, geteuid())) {
		(void)http_server_add(control->server, fd, (uintptr_t)peer.uid);
		return;
	}
	control->refused_peers++;
	if (log_limit_ok(&control->log_refused, uv_now(control->net->loop), 1, 60000))
		log_warn("control: user %ld is not let in", (long)peer.uid);
	told = send(fd, forbidden, sizeof(forbidden) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)told;
	close(fd);
}

static void on_listening(uv_poll_t *listener, int status, int events);

static void on_retry(uv_timer_t *timer)
{
	struct control *control = timer->data;

	uv_poll_start(&control->listener, UV_READABLE, on_listening);
}

static void on_listening(uv_poll_t *listener, int status, int events)
{
	struct control *control = listener->data;

	(void)status;
	(void)events;
	for (unsigned i = 0; i < ACCEPTS_PER_EVENT; i++) {
		int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			admit(control, fd);
			continue;
		}
		/* It would be told again at once, for as long as nobody closes a descriptor. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			uv_poll_stop(listener);
			uv_timer_start(&control->retry, on_retry, RETRY_MS, 0);
		}
		return;
	}
}

int control_new(struct control **ret, const struct network *net)
{
	struct control *control = calloc(1, sizeof(*control));
	struct http_server_config config = {
	    .request = api_request, .fault = api_fault, .ctx = control};
	int result;

	if (!control)
		return -ENOMEM;
	control->net = net;
	control->fd = -1;
	list_init(&control->walks);
	list_init(&control->tunnels);
	list_init(&control->pings);
	result = http_server_new(&control->server, net->loop, &config);
	if (result < 0) {
		free(control);
		return result;
	}
	uv_timer_init(net->loop, &control->retry);
	control->retry.data = control;
	control->handles_n = 1;
	*ret = control;
	return 0;
}

int control_adopt(struct control *control, int fd)
{
	int result = uv_poll_init(control->net->loop, &control->listener, fd);

	if (result < 0)
		return result;
	control->fd = fd;
	control->listener.data = control;
	control->handles_n++;
	uv_poll_start(&control->listener, UV_READABLE, on_listening);
	return 0;
}

int control_listen(struct control *control, const char *path)
{
	int fd, result;

	result = stream_path_listen(path, &control->path, &fd);
	if (result < 0)
		return result;
	control->has_path = true;
	result = control_adopt(control, fd);
	if (result < 0)
		close(fd);
	return result;
}

void control_metrics(const struct control *control, struct metrics_text *out)
{
	metrics_one(out, "lwnat_control_requests_total", METRICS_COUNTER,
		    "Requests served on the control socket.", control->requests);
	metrics_one(out, "lwnat_control_refused_total", METRICS_COUNTER,
		    "Clients of other users, not let in.", control->refused_peers);
	metrics_one(out, "lwnat_control_connections", METRICS_GAUGE,
		    "Connections to the control socket.", http_server_connections(control->server));
	metrics_one(out, "lwnat_control_tunnels", METRICS_GAUGE,
		    "Connections into guests through it.", control->tunnels_n);
}

void control_handle_closed(struct control *control)
{
	if (--control->handles_n == 0 && control->closing)
		free(control);
}

static void on_closed(uv_handle_t *handle)
{
	control_handle_closed(handle->data);
}

void control_close(struct control *control)
{
	if (!control)
		return;
	control->closing = true;
	if (control->has_path)
		stream_path_remove(&control->path);
	if (control->fd >= 0) {
		uv_poll_stop(&control->listener);
		close(control->fd);
		uv_close((uv_handle_t *)&control->listener, on_closed);
	}
	uv_close((uv_handle_t *)&control->retry, on_closed);
	control_tunnels_end(control);
	http_server_close(control->server);
}
