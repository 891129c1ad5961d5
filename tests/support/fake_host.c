#include "tests/support/fake_host.h"

#include "stack/nat/nat.h"
#include "tests/support/fake_host_priv.h"
#include "tests/support/pattern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void fake_host_init(struct fake_host *host)
{
	*host = (struct fake_host){.sent_tail = &host->sent, .ping_id = 0x4321};
	host->defaults.write_room = FAKE_UNLIMITED;
	host->next_free = 0;
}

void fake_host_fini(struct fake_host *host)
{
	struct fake_sent *sent;

	for (uint32_t i = 0; i < host->handles_room; i++)
		fake_datagrams_clear(&host->handles[i]);
	while ((sent = fake_host_sent_pop(host)))
		free(sent);
	for (unsigned i = 0; i < sizeof(host->recv_bytes) / sizeof(host->recv_bytes[0]); i++)
		free(host->recv_bytes[i]);
	free(host->handles);
}

void fake_host_misuse(struct fake_host *host, const char *text)
{
	host->count.misuse++;
	if (!host->misuse_text)
		host->misuse_text = text;
}

struct fake_handle *fake_host_handle(struct fake_host *host, int handle)
{
	if (handle < 0 || (uint32_t)handle >= host->handles_room)
		return NULL;
	return host->handles[handle].kind == FAKE_FREE ? NULL : &host->handles[handle];
}

struct fake_handle *fake_host_expect(struct fake_host *host, int handle, enum fake_kind kind)
{
	struct fake_handle *h = fake_host_handle(host, handle);

	if (!h || h->kind != kind) {
		fake_host_misuse(host, h ? "handle of another kind" : "handle is not open");
		return NULL;
	}
	return h;
}

int fake_host_open(struct fake_host *host, enum fake_kind kind, uint64_t token)
{
	struct fake_handle *h;
	uint32_t i;

	if (host->handles_limit && host->open_n >= host->handles_limit)
		return -EMFILE;
	for (i = host->next_free; i < host->handles_room && host->handles[i].kind; i++)
		;
	if (i == host->handles_room) {
		uint32_t room = host->handles_room ? host->handles_room * 2 : 16;
		host->handles = realloc(host->handles, room * sizeof(*host->handles));
		/* An empty queue's tail points into the array, which has moved. */
		for (uint32_t at = 0; at < host->handles_room; at++)
			if (!host->handles[at].datagrams)
				host->handles[at].datagrams_tail = &host->handles[at].datagrams;
		memset(host->handles + host->handles_room, 0,
		       (room - host->handles_room) * sizeof(*host->handles));
		host->handles_room = room;
	}
	host->next_free = i + 1;
	h = &host->handles[i];
	*h = host->defaults;
	h->kind = kind;
	h->token = token;
	h->datagrams_tail = &h->datagrams;
	h->read_armed = h->write_armed = true;
	if (++host->open_n > host->open_max)
		host->open_max = host->open_n;
	return (int)i;
}

void fake_host_release(struct fake_host *host, int handle)
{
	struct fake_handle *h = &host->handles[handle];
	uint32_t *at = &host->dirty;

	fake_datagrams_clear(h);
	while (h->dirty && *at != (uint32_t)handle + 1)
		at = &host->handles[*at - 1].dirty_next;
	if (h->dirty)
		*at = h->dirty_next;
	*h = (struct fake_handle){.kind = FAKE_FREE};
	if ((uint32_t)handle < host->next_free)
		host->next_free = (uint32_t)handle;
	host->open_n--;
}

void fake_host_post(struct fake_host *host, int handle, unsigned events)
{
	struct fake_handle *h = &host->handles[handle];

	if (!events)
		return;
	h->events |= events;
	if (!h->dirty) {
		h->dirty = true;
		h->dirty_next = host->dirty;
		host->dirty = (uint32_t)handle + 1;
	}
}

bool fake_host_deliver(struct fake_host *host, struct nat *nat)
{
	bool any = host->dirty != 0;

	while (host->dirty) {
		struct fake_handle *h = &host->handles[host->dirty - 1];
		unsigned events = h->events;

		host->dirty = h->dirty_next;
		h->dirty = false;
		h->events = 0;
		nat_host_event(nat, h->token, events);
	}
	return any;
}

int fake_host_find(const struct fake_host *host, const struct endpoint *to)
{
	for (uint32_t i = 0; i < host->handles_room; i++) {
		const struct fake_handle *h = &host->handles[i];
		if (h->kind == FAKE_TCP && !h->adopted && endpoint_eq(&h->to, to))
			return (int)i;
	}
	return -1;
}

int fake_host_nth(const struct fake_host *host, enum fake_kind kind, unsigned n)
{
	for (uint32_t i = 0; i < host->handles_room; i++)
		if (host->handles[i].kind == kind && n-- == 0)
			return (int)i;
	return -1;
}

static uint64_t data_end(const struct fake_handle *h)
{
	return h->echo ? h->written : h->send_total;
}

static bool at_end(const struct fake_handle *h)
{
	return (h->echo ? h->eof_from_guest : h->eof_when_sent) || h->read_error;
}

void fake_host_kick(struct fake_host *host, int handle)
{
	struct fake_handle *h = &host->handles[handle];
	unsigned events = 0;

	if (h->kind != FAKE_TCP || h->result != 0 || h->token == UINT64_MAX)
		return;
	if (h->read_armed && h->read_n < data_end(h))
		events |= HOST_READABLE;
	if (at_end(h) && !h->end_told) {
		events |= HOST_READABLE | HOST_EOF;
		h->end_told = true;
	}
	if (events & HOST_READABLE)
		h->read_armed = false;
	if (h->write_armed && (h->write_room || h->write_error)) {
		events |= HOST_WRITABLE;
		h->write_armed = false;
	}
	if ((h->read_error || h->write_error) && !h->error_told) {
		events |= HOST_ERROR;
		h->error_told = true;
	}
	fake_host_post(host, handle, events);
}

void fake_host_dial_done(struct fake_host *host, int handle, int result)
{
	host->handles[handle].result = result;
	if (result == 0) {
		host->handles[handle].write_armed = false;
		fake_host_post(host, handle, HOST_WRITABLE);
		fake_host_kick(host, handle);
	} else {
		fake_host_post(host, handle, HOST_ERROR | HOST_WRITABLE);
	}
}

int fake_host_accepted(struct fake_host *host)
{
	int handle = fake_host_open(host, FAKE_TCP, UINT64_MAX);

	if (handle >= 0)
		host->handles[handle].adopted = true;
	return handle;
}

static int dial(struct fake_host *host, uint64_t token, const struct endpoint *to)
{
	int result = host->dial_result, connected = host->connect_result;
	int handle;

	if (host->dial_policy)
		result = host->dial_policy(host->dial_ctx, to, &connected);
	if (result < 0)
		return result;
	handle = fake_host_open(host, FAKE_TCP, token);
	if (handle < 0)
		return handle;
	host->handles[handle].to = *to;
	host->handles[handle].result = -EINPROGRESS;
	if (connected != FAKE_DIAL_PENDING)
		fake_host_dial_done(host, handle, connected);
	return handle;
}

static int op_tcp_dial(void *ctx, uint64_t token, const struct endpoint *to)
{
	struct fake_host *host = ctx;

	host->count.dials++;
	return dial(host, token, to);
}

static int op_tcp_dial_service(void *ctx, uint64_t token, unsigned service,
			       const struct endpoint *guest)
{
	struct fake_host *host = ctx;
	int handle;

	host->count.service_dials++;
	handle = dial(host, token, &(struct endpoint){.port = 0});
	if (handle >= 0) {
		host->handles[handle].service = true;
		host->handles[handle].service_number = service;
		host->handles[handle].guest = *guest;
	}
	return handle;
}

static int op_tcp_connect_result(void *ctx, int handle)
{
	struct fake_handle *h = fake_host_expect(ctx, handle, FAKE_TCP);
	return h ? h->result : -EBADF;
}

static int op_tcp_adopt(void *ctx, int handle, uint64_t token)
{
	struct fake_host *host = ctx;
	struct fake_handle *h = fake_host_expect(host, handle, FAKE_TCP);

	if (!h)
		return -EBADF;
	if (host->dial_result < 0)
		return host->dial_result;
	host->count.adopted++;
	h->token = token;
	fake_host_kick(host, handle);
	return 0;
}

static struct fake_handle *connected(struct fake_host *host, int handle)
{
	struct fake_handle *h = fake_host_expect(host, handle, FAKE_TCP);

	if (h && h->result != 0)
		fake_host_misuse(host, "data on a handle that is not connected");
	return h && h->result == 0 ? h : NULL;
}

static ssize_t op_tcp_read(void *ctx, int handle, const struct iovec *iov, unsigned iov_n)
{
	struct fake_handle *h = connected(ctx, handle);
	uint64_t n = 0, asked = 0;

	if (!h)
		return -EBADF;
	for (unsigned i = 0; i < iov_n; i++) {
		uint64_t len = data_end(h) - h->read_n;
		asked += iov[i].iov_len;
		if (len > iov[i].iov_len)
			len = iov[i].iov_len;
		if (h->read_each && len > h->read_each - n)
			len = h->read_each - n;
		pattern_fill(h->echo ? h->recv_seed : h->send_seed, h->read_n, iov[i].iov_base,
			     len);
		h->read_n += len;
		n += len;
	}
	if (n < asked)
		h->read_armed = true;
	if (n) {
		fake_host_kick(ctx, handle);
		return (ssize_t)n;
	}
	if (h->read_error)
		return h->read_error;
	if (!asked || !at_end(h))
		return asked ? -EAGAIN : -EINVAL;
	h->eof_read = true;
	return 0;
}

static uint64_t take(struct fake_handle *h, const struct iovec *iov, uint64_t taken)
{
	uint64_t len = iov->iov_len, room = h->write_room;

	if (h->write_each && room > h->write_each - taken)
		room = h->write_each - taken;
	if (len > room)
		len = room;
	if (!pattern_matches(h->recv_seed, h->written, iov->iov_base, len))
		h->mismatch++;
	for (uint64_t at = h->written; at < sizeof(h->head) && at < h->written + len; at++)
		h->head[at] = ((uint8_t *)iov->iov_base)[at - h->written];
	h->written += len;
	if (h->write_room != FAKE_UNLIMITED)
		h->write_room -= len;
	return len;
}

static ssize_t op_tcp_write(void *ctx, int handle, const struct iovec *iov, unsigned iov_n)
{
	struct fake_handle *h = connected(ctx, handle);
	uint64_t n = 0, asked = 0;

	if (!h)
		return -EBADF;
	if (h->eof_from_guest)
		fake_host_misuse(ctx, "write after shutdown");
	if (h->write_error)
		return h->write_error;
	for (unsigned i = 0; i < iov_n; i++) {
		asked += iov[i].iov_len;
		n += take(h, &iov[i], n);
	}
	if (n < asked)
		h->write_armed = true;
	fake_host_kick(ctx, handle);
	return n || !asked ? (ssize_t)n : -EAGAIN;
}

static int op_tcp_shut_write(void *ctx, int handle)
{
	struct fake_handle *h = connected(ctx, handle);

	if (!h)
		return -EBADF;
	if (h->eof_from_guest)
		fake_host_misuse(ctx, "shut down twice");
	h->eof_from_guest = true;
	if (h->echo)
		fake_host_kick(ctx, handle);
	return 0;
}

static void op_tcp_close(void *ctx, int handle, bool reset)
{
	struct fake_host *host = ctx;

	if (!fake_host_expect(host, handle, FAKE_TCP))
		return;
	if (reset)
		host->count.resets++;
	else
		host->count.closes++;
	fake_host_release(host, handle);
}

const struct host_ops fake_host_ops = {
    .tcp_dial = op_tcp_dial,
    .tcp_dial_service = op_tcp_dial_service,
    .tcp_connect_result = op_tcp_connect_result,
    .tcp_adopt = op_tcp_adopt,
    .tcp_read = op_tcp_read,
    .tcp_write = op_tcp_write,
    .tcp_shut_write = op_tcp_shut_write,
    .tcp_close = op_tcp_close,
    .udp_open = fake_udp_open,
    .udp_send = fake_udp_send,
    .ping_open = fake_ping_open,
    .ping_send = fake_ping_send,
    .recv = fake_recv,
    .datagram_close = fake_datagram_close,
};
