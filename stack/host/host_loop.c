#include "stack/host/host.h"

#include "stack/host/host_internal.h"
#include "stack/link/poller_uv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned events_of(uint32_t epoll_events)
{
	unsigned events = 0;

	if (epoll_events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
		events |= HOST_READABLE;
	if (epoll_events & (EPOLLOUT | EPOLLHUP))
		events |= HOST_WRITABLE;
	if (epoll_events & (EPOLLRDHUP | EPOLLHUP))
		events |= HOST_EOF;
	if (epoll_events & EPOLLERR)
		events |= HOST_READABLE | HOST_ERROR; /* reading is what tells the errno */
	return events;
}

static void on_ready(void *ctx, uint64_t number, uint32_t events)
{
	struct host *host = ctx;
	uint32_t fd = (uint32_t)number;
	uint32_t life = (uint32_t)(number >> 32);
	struct host_slot *slot = &host->slots[fd];

	/* Closed by the handling of an earlier event of this batch, maybe opened anew. */
	if (!(slot->flags & HOST_SLOT_OPEN) || slot->life != life)
		return;
	slot->flags &= (uint8_t) ~(HOST_SLOT_DRAINED | HOST_SLOT_URGENT | HOST_SLOT_CONNECTED);
	if (events & EPOLLOUT && !(events & (EPOLLERR | EPOLLHUP)))
		slot->flags |= HOST_SLOT_CONNECTED;
	if (events & EPOLLERR)
		slot->flags |= HOST_SLOT_ERRORS;
	if (events & EPOLLPRI)
		slot->flags |= HOST_SLOT_URGENT;
	host->config.event(host->config.ctx, slot->token, events_of(events));
}

static void on_batch_end(void *ctx)
{
	struct host *host = ctx;

	host->config.turn_end(host->config.ctx);
}

static void host_free(struct host *host)
{
	host_batch_fini(&host->batch);
	host_batch_fini(&host->listen_batch);
	free(host->burst.bytes);
	free(host->slots);
	free(host);
}

int host_new(struct host **ret, uv_loop_t *loop, const struct host_config *config)
{
	struct host *host = calloc(1, sizeof(*host));
	int r = -ENOMEM;

	if (!host)
		return r;
	host->loop = loop;
	host->config = *config;
	host->burst.fd = -1;
	r = host_batch_init(&host->batch);
	if (r < 0)
		goto fail;
	r = host_batch_init(&host->listen_batch);
	if (r < 0)
		goto fail;
	r = poller_uv_get(loop, &host->poller);
	if (r < 0)
		goto fail;

	struct poller_crowd crowd = {.ready = on_ready, .batch_end = on_batch_end, .ctx = host};

	poller_set_crowd(host->poller, &crowd);
	uv_idle_init(loop, &host->last);
	host->last.data = host;
	*ret = host;
	return 0;

fail:
	host_free(host);
	return r;
}

static void on_closed(uv_handle_t *handle)
{
	host_free(handle->data);
}

uint64_t host_now_ms(const struct host *host)
{
	return uv_now(host->loop);
}

void host_close(struct host *host)
{
	if (!host)
		return;
	assert(host->listeners_n == 0);
	for (unsigned i = 0; i < host->slots_n; i++) {
		if (host->slots[i].flags & HOST_SLOT_OPEN)
			host_unwatch_and_close(host, (int)i);
	}
	poller_set_crowd(host->poller, NULL);
	poller_uv_put(host->loop);
	uv_close((uv_handle_t *)&host->last, on_closed);
}

const struct host_ops *host_ops(void)
{
	static const struct host_ops ops = {
	    .tcp_dial = host_tcp_dial,
	    .tcp_dial_service = host_tcp_dial_service,
	    .tcp_connect_result = host_tcp_connect_result,
	    .tcp_adopt = host_tcp_adopt,
	    .tcp_read = host_tcp_read,
	    .tcp_write = host_tcp_write,
	    .tcp_shut_write = host_tcp_shut_write,
	    .tcp_close = host_tcp_close,
	    .udp_open = host_udp_open,
	    .udp_send = host_udp_send,
	    .flush = host_flush,
	    .ping_open = host_ping_open,
	    .ping_send = host_ping_send,
	    .recv = host_datagram_recv,
	    .datagram_close = host_datagram_close,
	};

	return &ops;
}

unsigned host_handle_count(const struct host *host)
{
	return host->open_n;
}
