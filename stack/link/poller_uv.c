#include "stack/link/poller_uv.h"

#include "stack/base/list.h"

#include <errno.h>
#include <stdlib.h>

struct poller_uv {
	struct poller poller;
	uv_poll_t nested; /* the poller's set in libuv's; active unless poller_uv_run() runs */
	struct poller_watch libuv; /* libuv's set in the poller's */
	unsigned users_n;
	unsigned every_turn_n;
	bool libuv_ready;
	bool stopped;
};

static void on_nested(uv_poll_t *nested, int status, int events)
{
	struct poller_uv *p = nested->data;

	(void)status;
	(void)events;
	if (poller_wait(&p->poller, 0) > 0)
		poller_tell(&p->poller);
}

static int poller_uv_new(uv_loop_t *loop)
{
	struct poller_uv *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	int result = poller_init(&p->poller);
	if (result < 0)
		goto fail;
	result = uv_poll_init(loop, &p->nested, p->poller.fd);
	if (result < 0) {
		poller_fini(&p->poller);
		goto fail;
	}
	p->nested.data = p;
	uv_poll_start(&p->nested, UV_READABLE, on_nested);
	loop->data = p;
	return 0;

fail:
	free(p);
	return result;
}

int poller_uv_get(uv_loop_t *loop, struct poller **ret)
{
	struct poller_uv *p;

	if (!loop->data) {
		int result = poller_uv_new(loop);

		if (result < 0)
			return result;
	}
	p = loop->data;
	p->users_n++;
	*ret = &p->poller;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct poller_uv *p = handle->data;

	free(p);
}

void poller_uv_put(uv_loop_t *loop)
{
	struct poller_uv *p = loop->data;

	if (--p->users_n > 0)
		return;
	loop->data = NULL;
	uv_close((uv_handle_t *)&p->nested, on_closed);
	poller_fini(&p->poller);
}

static void on_libuv(struct poller_watch *watch, uint32_t events)
{
	struct poller_uv *p = list_entry(watch, struct poller_uv, libuv);

	(void)events;
	p->libuv_ready = true;
}

/* One wait for everything. */
static void turn(struct poller_uv *p, uv_loop_t *loop)
{
	/* 0 also when libuv has work that its set does not show: handles to close, watchers that
	 * are not in its set yet. */
	int timeout_ms = uv_backend_timeout(loop);

	p->libuv_ready = false;
	int n = poller_wait(&p->poller, timeout_ms);
	if (n > 0) {
		uv_update_time(loop);
		poller_tell(&p->poller);
	}
	if (p->libuv_ready || p->every_turn_n || timeout_ms == 0 || (n == 0 && timeout_ms > 0))
		uv_run(loop, UV_RUN_NOWAIT);
}

int poller_uv_run(uv_loop_t *loop)
{
	struct poller *poller;
	int result = poller_uv_get(loop, &poller);

	if (result < 0)
		return result;

	struct poller_uv *p = loop->data;

	uv_poll_stop(&p->nested);
	uv_run(loop, UV_RUN_NOWAIT);
	p->libuv = (struct poller_watch){.ready = on_libuv, .fd = uv_backend_fd(loop)};
	result = poller_add(poller, &p->libuv, EPOLLIN);
	while (result == 0 && !p->stopped && uv_loop_alive(loop))
		turn(p, loop);
	if (result == 0)
		poller_remove(poller, &p->libuv);
	p->stopped = false;
	uv_poll_start(&p->nested, UV_READABLE, on_nested);
	poller_uv_put(loop);
	return result;
}

void poller_uv_stop(uv_loop_t *loop)
{
	struct poller_uv *p = loop->data;

	if (p)
		p->stopped = true;
}

void poller_uv_every_turn(uv_loop_t *loop, bool wanted)
{
	struct poller_uv *p = loop->data;

	p->every_turn_n += wanted ? 1 : -1u;
}
