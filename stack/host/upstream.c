#include "stack/host/upstream.h"

/* c-ares 1.28 declares ares_send() deprecated for a call that 1.18 does not have. */
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* One socket of c-ares under the loop's eye. Freed when its handle has closed, which may be after
 * the exchange has gone. */
struct watch {
	uv_poll_t poll;
	struct exchange *exchange; /* borrowed; NULL once closing */
	struct watch *next;
	int fd;
	int events;
};

/* One query and its answer, with a c-ares of its own: c-ares before 1.20 sends all that is under
 * way from one port, where every query should have an unpredictable one (RFC 5452 section 9.2). */
struct exchange {
	struct exchange *next, **at; /* in the server's list */
	struct upstream *up;
	ares_channel ares;
	struct watch *watches;
	upstream_done *done;
	void *ctx;
	int refusal;   /* negative errno of the socket; 0: none */
	bool finished; /* 'done' was called; freed once c-ares is not on the stack */
};

struct upstream {
	uv_loop_t *loop;
	struct resolv_server server;
	uint32_t timeout_ms;
	unsigned waiting_n;
	struct exchange *exchanges; /* owned */
};

static int errno_of(int ares_status)
{
	switch (ares_status) {
	case ARES_SUCCESS:
		return 0;
	case ARES_ETIMEOUT:
		return -ETIMEDOUT;
	case ARES_ECONNREFUSED:
		return -ECONNREFUSED;
	case ARES_ENOMEM:
		return -ENOMEM;
	case ARES_ECANCELLED:
	case ARES_EDESTRUCTION:
		return -ECANCELED;
	default:
		return -EBADMSG;
	}
}

static void on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch_close(struct watch **at)
{
	struct watch *w = *at;

	*at = w->next;
	w->exchange = NULL;
	(void)uv_poll_stop(&w->poll);
	uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

static struct watch *watch_open(struct exchange *e, int fd)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	if (uv_poll_init(e->up->loop, &w->poll, fd) < 0) {
		free(w);
		return NULL;
	}
	w->poll.data = w;
	w->exchange = e;
	w->fd = fd;
	w->next = e->watches;
	e->watches = w;
	return w;
}

/* c-ares says what it waits for; neither means that it is about to close the socket. A socket that
 * cannot be watched leaves its query to time out. */
static void on_sock_state(void *data, ares_socket_t fd, int readable, int writable)
{
	struct exchange *e = data;
	struct watch **at = &e->watches;
	int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	if (!events) {
		if (*at)
			watch_close(at);
		return;
	}
	if (!*at && !watch_open(e, fd))
		return;
	/* A new watch is the first in the list, where 'at' still points if it was empty. */
	struct watch *w = *at ? *at : e->watches;
	w->events = events;
	(void)uv_poll_start(&w->poll, events, on_poll);
}

static void exchange_free(struct exchange *e)
{
	*e->at = e->next;
	if (e->next)
		e->next->at = e->at;
	if (e->ares)
		ares_destroy(e->ares);
	while (e->watches) /* c-ares has said so of every socket; this is for a version that
			      forgets */
		watch_close(&e->watches);
	free(e);
}

static void free_if_finished(struct exchange *e)
{
	if (e->finished)
		exchange_free(e);
}

/* The error that waits at a datagram's socket: ICMP said that nobody is there. Versions of c-ares
 * differ in whether that ends the query or is waited out, so they do not get to see it. */
static int datagram_error(int fd)
{
	int type = 0, error = 0;
	socklen_t type_len = sizeof(type), error_len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0 || type != SOCK_DGRAM)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) < 0)
		return 0;
	return -error;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	struct exchange *e = w->exchange;
	ares_socket_t fd = w->fd;

	if (status < 0) { /* libuv stops a poll at EPOLLERR */
		e->refusal = datagram_error(fd);
		events = UV_READABLE;
		(void)uv_poll_start(&w->poll, w->events, on_poll);
	}
	if (e->refusal)
		ares_cancel(e->ares);
	else
		ares_process_fd(e->ares, events & UV_READABLE ? fd : ARES_SOCKET_BAD,
				events & UV_WRITABLE ? fd : ARES_SOCKET_BAD);
	free_if_finished(e);
}

/* A link-local server is reached through one interface alone. c-ares 1.18 knows no scopes, and
 * connect() takes the bound interface for one; Linux 5.7 and later let anybody bind once. */
static int on_socket_made(ares_socket_t fd, int type, void *data)
{
	const struct upstream *up = data;

	(void)type;
	if (up->server.scope[0])
		(void)setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, up->server.scope,
				 (socklen_t)strlen(up->server.scope));
	return 0;
}

static int set_server(ares_channel ares, const struct endpoint *endpoint)
{
	struct ares_addr_port_node node = {.udp_port = endpoint->port, .tcp_port = endpoint->port};

	if (addr_is_v4(&endpoint->addr)) {
		node.family = AF_INET;
		memcpy(&node.addr, endpoint->addr.b + 12, 4);
	} else {
		node.family = AF_INET6;
		memcpy(&node.addr, endpoint->addr.b, 16);
	}
	return ares_set_servers_ports(ares, &node);
}

/* c-ares 1.18 takes answers of at most 512 bytes by UDP unless ARES_FLAG_EDNS is set, and with it
 * cuts an OPT of 11 bytes off any query that was answered with FORMERR: so it is set for those that
 * end in such an OPT alone. */
static int channel_open(struct exchange *e, bool edns)
{
	struct upstream *up = e->up;
	char lookups[] = "b", nothing[] = "/dev/null";
	struct ares_options options = {
	    /* Every rcode is passed on: the next server is asked above here. */
	    .flags = ARES_FLAG_NOCHECKRESP | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES |
		     (edns ? ARES_FLAG_EDNS : 0),
	    .timeout = (int)up->timeout_ms,
	    .tries = 1,
	    .ednspsz = UPSTREAM_UDP_SIZE,
	    .lookups = lookups,
	    .resolvconf_path = nothing,
	    .sock_state_cb = on_sock_state,
	    .sock_state_cb_data = e,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
		   ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF | ARES_OPT_SOCK_STATE_CB;

#ifdef ARES_OPT_QUERY_CACHE /* 1.24; ours to decide, and not of one server alone */
	options.qcache_max_ttl = 0;
	mask |= ARES_OPT_QUERY_CACHE;
#endif
	if (ares_init_options(&e->ares, &options, mask) != ARES_SUCCESS) {
		e->ares = NULL;
		return -ENOMEM;
	}
	ares_set_socket_configure_callback(e->ares, on_socket_made, up);
	return set_server(e->ares, &up->server.endpoint) == ARES_SUCCESS ? 0 : -ENOMEM;
}

int upstream_new(struct upstream **ret, uv_loop_t *loop, const struct resolv_server *server,
		 uint32_t timeout_ms)
{
	struct upstream *up = calloc(1, sizeof(*up));

	if (!up)
		return -ENOMEM;
	up->loop = loop;
	up->server = *server;
	up->timeout_ms = timeout_ms;
	*ret = up;
	return 0;
}

static void on_ares_done(void *arg, int status, int timeouts, unsigned char *answer, int len)
{
	struct exchange *e = arg;

	(void)timeouts;
	e->up->waiting_n--;
	e->finished = true;
	if (status == ARES_SUCCESS && answer && len > 0)
		e->done(e->ctx, 0, answer, (size_t)len);
	else if (e->refusal)
		e->done(e->ctx, e->refusal, NULL, 0);
	else
		e->done(e->ctx, status == ARES_SUCCESS ? -EBADMSG : errno_of(status), NULL, 0);
}

void upstream_send(struct upstream *up, const struct iovec *query, bool edns, upstream_done *done,
		   void *ctx)
{
	struct exchange *e = calloc(1, sizeof(*e));

	if (!e) {
		done(ctx, -ENOMEM, NULL, 0);
		return;
	}
	*e = (struct exchange){.next = up->exchanges, .at = &up->exchanges, .up = up};
	e->done = done;
	e->ctx = ctx;
	up->exchanges = e;
	if (e->next)
		e->next->at = &e->next;
	if (channel_open(e, edns) < 0) {
		exchange_free(e);
		done(ctx, -ENOMEM, NULL, 0);
		return;
	}
	up->waiting_n++;
	ares_send(e->ares, query->iov_base, (int)query->iov_len, on_ares_done, e);
	free_if_finished(e);
}

/* What is asked anew meanwhile comes at the list's head, and nothing but its own turn frees an
 * exchange. */
void upstream_tick(struct upstream *up)
{
	for (struct exchange *e = up->exchanges, *next; e; e = next) {
		next = e->next;
		ares_process_fd(e->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
		free_if_finished(e);
	}
}

unsigned upstream_waiting_n(const struct upstream *up)
{
	return up->waiting_n;
}

bool upstream_is_idle(const struct upstream *up)
{
	return up->exchanges == NULL;
}

void upstream_free(struct upstream *up)
{
	if (!up)
		return;
	while (up->exchanges)
		exchange_free(up->exchanges);
	free(up);
}
