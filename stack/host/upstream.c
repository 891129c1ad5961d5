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
 * the server has gone. */
struct watch {
	uv_poll_t poll;
	struct channel *channel; /* borrowed; NULL once closing */
	struct watch *next;
	int fd;
	int events;
};

/* c-ares 1.18 takes answers of at most 512 bytes by UDP unless ARES_FLAG_EDNS is set, and with it
 * cuts an OPT of 11 bytes off any query that was answered with FORMERR: so queries that end in such
 * an OPT have a channel of their own. */
struct channel {
	ares_channel ares; /* NULL until the first query of its kind */
	struct upstream *up;
	struct watch *watches;
};

struct upstream {
	uv_loop_t *loop;
	struct resolv_server server;
	uint32_t timeout_ms;
	unsigned waiting_n;
	struct channel plain, edns;
};

struct exchange {
	struct upstream *up;
	upstream_done *done;
	void *ctx;
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
	w->channel = NULL;
	(void)uv_poll_stop(&w->poll);
	uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

static struct watch *watch_open(struct channel *ch, int fd)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	if (uv_poll_init(ch->up->loop, &w->poll, fd) < 0) {
		free(w);
		return NULL;
	}
	w->poll.data = w;
	w->channel = ch;
	w->fd = fd;
	w->next = ch->watches;
	ch->watches = w;
	return w;
}

/* c-ares says what it waits for; neither means that it is about to close the socket. A socket that
 * cannot be watched leaves its queries to time out. */
static void on_sock_state(void *data, ares_socket_t fd, int readable, int writable)
{
	struct channel *ch = data;
	struct watch **at = &ch->watches;
	int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	if (!events) {
		if (*at)
			watch_close(at);
		return;
	}
	if (!*at && !watch_open(ch, fd))
		return;
	/* A new watch is the first in the list, where 'at' still points if it was empty. */
	struct watch *w = *at ? *at : ch->watches;
	w->events = events;
	(void)uv_poll_start(&w->poll, events, on_poll);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	struct channel *ch = w->channel;
	ares_socket_t fd = w->fd;

	if (status < 0) { /* libuv stops a poll at EPOLLERR; c-ares fetches the error itself */
		events = UV_READABLE;
		(void)uv_poll_start(&w->poll, w->events, on_poll);
	}
	ares_process_fd(ch->ares, events & UV_READABLE ? fd : ARES_SOCKET_BAD,
			events & UV_WRITABLE ? fd : ARES_SOCKET_BAD);
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

static int channel_open(struct channel *ch, bool edns)
{
	struct upstream *up = ch->up;
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
	    .sock_state_cb_data = ch,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
		   ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF | ARES_OPT_SOCK_STATE_CB;

#ifdef ARES_OPT_UDP_MAX_QUERIES /* 1.20: a port of its own for each query */
	options.udp_max_queries = 1;
	mask |= ARES_OPT_UDP_MAX_QUERIES;
#endif
#ifdef ARES_OPT_QUERY_CACHE /* 1.24; ours to decide, and not of one server alone */
	options.qcache_max_ttl = 0;
	mask |= ARES_OPT_QUERY_CACHE;
#endif
	if (ares_init_options(&ch->ares, &options, mask) != ARES_SUCCESS) {
		ch->ares = NULL;
		return -ENOMEM;
	}
	ares_set_socket_configure_callback(ch->ares, on_socket_made, up);
	if (set_server(ch->ares, &up->server.endpoint) != ARES_SUCCESS) {
		ares_destroy(ch->ares);
		ch->ares = NULL;
		return -ENOMEM;
	}
	return 0;
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
	up->plain.up = up;
	up->edns.up = up;
	*ret = up;
	return 0;
}

static void on_ares_done(void *arg, int status, int timeouts, unsigned char *answer, int len)
{
	struct exchange *e = arg;

	(void)timeouts;
	e->up->waiting_n--;
	if (status == ARES_SUCCESS && answer && len > 0)
		e->done(e->ctx, 0, answer, (size_t)len);
	else
		e->done(e->ctx, status == ARES_SUCCESS ? -EBADMSG : errno_of(status), NULL, 0);
	free(e);
}

void upstream_send(struct upstream *up, const struct iovec *query, bool edns, upstream_done *done,
		   void *ctx)
{
	struct channel *ch = edns ? &up->edns : &up->plain;
	struct exchange *e = malloc(sizeof(*e));

	if (!e || (!ch->ares && channel_open(ch, edns) < 0)) {
		free(e);
		done(ctx, -ENOMEM, NULL, 0);
		return;
	}
	*e = (struct exchange){up, done, ctx};
	up->waiting_n++;
	ares_send(ch->ares, query->iov_base, (int)query->iov_len, on_ares_done, e);
}

void upstream_tick(struct upstream *up)
{
	if (up->plain.ares)
		ares_process_fd(up->plain.ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	if (up->edns.ares)
		ares_process_fd(up->edns.ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

unsigned upstream_waiting_n(const struct upstream *up)
{
	return up->waiting_n;
}

bool upstream_is_idle(const struct upstream *up)
{
	return up->waiting_n == 0 && !up->plain.watches && !up->edns.watches;
}

static void channel_close(struct channel *ch)
{
	if (ch->ares)
		ares_destroy(ch->ares);
	while (ch->watches) /* c-ares has said so of every socket; this is for a version that
			       forgets */
		watch_close(&ch->watches);
}

void upstream_free(struct upstream *up)
{
	if (!up)
		return;
	channel_close(&up->plain);
	channel_close(&up->edns);
	free(up);
}
