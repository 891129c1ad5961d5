#include "stack/link/listener_uv.h"

#include "stack/base/log.h"
#include "stack/link/stream_path_uv.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_WAKE 16
#define RETRY_MS 250          /* pause after running out of descriptors */
#define SHORTAGE_LOG_MS 60000 /* one line about it in this time */

struct listener_uv {
	uv_loop_t *loop;
	listener_uv_accepted *accepted;
	void *ctx;
	uv_poll_t poll;
	uv_timer_t retry;
	unsigned handles; /* not yet closed; the last one frees this struct */
	int fd;           /* -1: closed */
	struct stream_path path;
	struct log_limit shortage_log;
};

static void on_listener(uv_poll_t *poll, int status, int events);

static void on_retry(uv_timer_t *timer)
{
	struct listener_uv *l = timer->data;

	uv_poll_start(&l->poll, UV_READABLE, on_listener);
}

/* The guest stays in the queue, and the socket readable: do not spin. */
static void pause_accepting(struct listener_uv *l, int err)
{
	if (log_limit_ok(&l->shortage_log, uv_now(l->loop), 1, SHORTAGE_LOG_MS))
		log_warn_errno(err, "link: accepting a guest; trying on");
	uv_poll_stop(&l->poll);
	uv_timer_start(&l->retry, on_retry, RETRY_MS, 0);
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
	struct listener_uv *l = poll->data;

	(void)status;
	(void)events;
	for (unsigned i = 0; i < ACCEPTS_PER_WAKE && l->fd >= 0; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			l->accepted(l->ctx, fd);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		if (errno != ECONNABORTED && errno != EINTR) {
			pause_accepting(l, errno);
			return;
		}
	}
}

int listener_uv_new_fd(struct listener_uv **ret, uv_loop_t *loop, int fd,
		       listener_uv_accepted *accepted, void *ctx)
{
	struct listener_uv *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	int result = uv_poll_init(loop, &l->poll, fd);
	if (result < 0) {
		free(l);
		return result;
	}
	l->fd = fd;
	l->loop = loop;
	l->accepted = accepted;
	l->ctx = ctx;
	l->handles = 2;
	l->poll.data = l;
	uv_timer_init(loop, &l->retry);
	l->retry.data = l;
	uv_poll_start(&l->poll, UV_READABLE, on_listener);
	*ret = l;
	return 0;
}

int listener_uv_new(struct listener_uv **ret, uv_loop_t *loop, const char *path,
		    listener_uv_accepted *accepted, void *ctx)
{
	struct stream_path made;
	int fd, result = stream_path_listen(path, &made, &fd);

	if (result < 0)
		return result;
	result = listener_uv_new_fd(ret, loop, fd, accepted, ctx);
	if (result < 0) {
		stream_path_remove(&made);
		close(fd);
		return result;
	}
	(*ret)->path = made;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct listener_uv *l = handle->data;

	if (--l->handles == 0)
		free(l);
}

void listener_uv_close(struct listener_uv *l)
{
	if (!l || l->fd < 0)
		return;
	stream_path_remove(&l->path);
	uv_close((uv_handle_t *)&l->poll, on_closed);
	uv_close((uv_handle_t *)&l->retry, on_closed);
	close(l->fd);
	l->fd = -1;
}
