#include "stack/link/vu_uv.h"

#include "stack/base/log.h"
#include "stack/link/guest_log.h"
#include "stack/link/listener_uv.h"
#include "stack/link/poller_uv.h"
#include "stack/link/vu_port_uv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PORTS_MAX 256
#define CONNECT_MS 100      /* before the first try to reach a front-end again, ... */
#define CONNECT_MAX_MS 2000 /* ... doubled for each up to this */

struct vu_uv {
	struct vu_port_host host;
	struct log_limit log_limit;
	struct vu_port *ports[PORTS_MAX];
	unsigned ports_n;
	struct listener_uv *listener;
	struct sockaddr_un front_end; /* sun_family 0: none to connect to */
	struct vu_port *connected;    /* the port of that front-end; NULL: not there */
	uv_timer_t connect_timer;
	uint64_t connect_ms;   /* to the next try */
	uint64_t connected_ms; /* when the last one succeeded, by the loop's clock */
	int connect_error;     /* what was told last about tries; 0: nothing */
	unsigned handles; /* ports and the timer, not yet closed; the last one frees this struct */
	bool closing;
};

static void handle_gone(void *ctx)
{
	struct vu_uv *v = ctx;

	if (--v->handles == 0)
		free(v);
}

static void on_timer_closed(uv_handle_t *handle)
{
	handle_gone(handle->data);
}

static void on_connect_timer(uv_timer_t *timer);

static void connect_later(struct vu_uv *v)
{
	uv_timer_start(&v->connect_timer, on_connect_timer, v->connect_ms, 0);
	v->connect_ms = v->connect_ms < CONNECT_MAX_MS / 2 ? 2 * v->connect_ms : CONNECT_MAX_MS;
}

static void on_left(void *ctx, struct vu_port *port)
{
	struct vu_uv *v = ctx;

	for (unsigned i = 0; i < v->ports_n; i++) {
		if (v->ports[i] == port) {
			v->ports[i] = v->ports[--v->ports_n];
			break;
		}
	}
	if (v->connected != port)
		return;
	v->connected = NULL;
	/* One that takes connections only to end them is tried ever less often, too. */
	if (uv_now(v->host.loop) - v->connected_ms > CONNECT_MAX_MS)
		v->connect_ms = CONNECT_MS;
	if (!v->closing)
		connect_later(v);
}

/* On failure the socket stays the caller's. */
static int attach(struct vu_uv *v, int fd, struct vu_port **ret)
{
	if (v->ports_n == PORTS_MAX)
		return -ENOSPC;
	v->handles++;
	int result = vu_port_new(ret, &v->host, fd);
	if (result < 0)
		v->handles--;
	else
		v->ports[v->ports_n++] = *ret;
	return result;
}

static void on_accepted(void *ctx, int fd)
{
	struct vu_uv *v = ctx;
	struct vu_port *port;
	int result = attach(v, fd, &port);

	if (result == 0)
		return;
	close(fd);
	if (guest_log_ok(&v->log_limit, uv_now(v->host.loop)))
		log_warn_errno(-result, "link: a vhost-user guest was turned away");
}

static int connect_now(struct vu_uv *v)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&v->front_end, sizeof(v->front_end)) < 0)
		result = -errno;
	if (result == 0)
		result = attach(v, fd, &v->connected);
	if (result < 0)
		close(fd);
	return result;
}

static void on_connect_timer(uv_timer_t *timer)
{
	struct vu_uv *v = timer->data;
	int result = connect_now(v);

	if (result < 0) {
		if (result != v->connect_error)
			log_info("link: '%s': %s: trying again until a guest is there",
				 v->front_end.sun_path, strerror(-result));
		connect_later(v);
	}
	v->connect_error = result;
	v->connected_ms = uv_now(v->host.loop);
}

int vu_uv_listen(struct vu_uv *v, const char *path)
{
	if (v->listener)
		return -EALREADY;
	return listener_uv_new(&v->listener, v->host.loop, path, on_accepted, v);
}

int vu_uv_listen_fd(struct vu_uv *v, int fd)
{
	if (v->listener)
		return -EALREADY;
	return listener_uv_new_fd(&v->listener, v->host.loop, fd, on_accepted, v);
}

int vu_uv_connect(struct vu_uv *v, const char *path)
{
	size_t len = strlen(path);

	if (v->front_end.sun_family)
		return -EALREADY;
	if (len == 0)
		return -EINVAL;
	if (len >= sizeof(v->front_end.sun_path))
		return -ENAMETOOLONG;
	v->front_end.sun_family = AF_UNIX;
	memcpy(v->front_end.sun_path, path, len + 1);
	v->connect_ms = CONNECT_MS;
	uv_timer_start(&v->connect_timer, on_connect_timer, 0, 0);
	return 0;
}

int vu_uv_adopt(struct vu_uv *v, int fd)
{
	struct sockaddr_un peer = {0};
	socklen_t type_len = sizeof(int), peer_len = sizeof(peer);
	struct vu_port *port;
	int type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0)
		return -errno;
	if (type != SOCK_STREAM)
		return -ENOTSOCK;
	if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0)
		return -errno;
	if (peer.sun_family != AF_UNIX)
		return -ENOTSOCK; /* descriptors cannot be passed over another */
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return -errno;
	return attach(v, fd, &port);
}

int vu_uv_new(struct vu_uv **ret, uv_loop_t *loop, struct lan *lan,
	      const struct stream_uv_events *events)
{
	struct vu_uv *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	int result = poller_uv_get(loop, &v->host.poller);
	if (result < 0) {
		free(v);
		return result;
	}
	v->host = (struct vu_port_host){.loop = loop,
					.poller = v->host.poller,
					.lan = lan,
					.events = *events,
					.log_limit = &v->log_limit,
					.left = on_left,
					.freed = handle_gone,
					.ctx = v};
	uv_timer_init(loop, &v->connect_timer);
	v->connect_timer.data = v;
	v->handles = 1;
	*ret = v;
	return 0;
}

void vu_uv_close(struct vu_uv *v)
{
	if (!v || v->closing)
		return;
	v->closing = true;
	while (v->ports_n)
		vu_port_drop(v->ports[0], NULL);
	poller_uv_put(v->host.loop);
	listener_uv_close(v->listener);
	uv_close((uv_handle_t *)&v->connect_timer, on_timer_closed);
}
