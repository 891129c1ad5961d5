#include "stack/host/host_listen.h"

#include "stack/base/log.h"
#include "stack/host/host_internal.h"
#include "stack/host/sockaddr.h"
#include "stack/link/stream_path_uv.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64 /* the poll is level-triggered: the rest comes in the next turn */
#define BATCHES_PER_TURN 4  /* of HOST_BATCH_MAX datagrams */
#define PAUSE_MS 100        /* without descriptors or memory; clients wait in the backlog */
#define LOG_INTERVAL_MS 10000

/* What a UDP listener on any address remembers of its clients: a client hears only the address that
 * it spoke to. By a hash of the peer; whom a newer one displaces gets the source that routing
 * chooses. */
#define CLIENTS_N 256

struct client {
	struct endpoint peer;
	struct host_source source;
};

struct host_listener {
	struct host *host;
	struct host_listen_events events;
	struct endpoint local;
	struct stream_path path; /* of a UNIX socket */
	bool is_unix;
	int fd; /* -1 once closed */
	unsigned handles_open;
	struct client *clients;         /* CLIENTS_N of them; NULL unless UDP on any address */
	struct host_listener *next_any; /* host->any_address_listeners */
	struct log_limit log_limit;
	uv_poll_t poll;
	uv_timer_t pause;
};

static void on_readable(uv_poll_t *poll, int status, int uv_events);

static void watch(struct host_listener *l)
{
	uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

static void on_pause_over(uv_timer_t *timer)
{
	watch(timer->data);
}

static void pause_for(struct host_listener *l, int error)
{
	char text[ENDPOINT_TEXT_MAX];

	if (log_limit_ok(&l->log_limit, uv_now(l->host->loop), 1, LOG_INTERVAL_MS))
		log_warn_errno(error, "forward: %s takes no connections for now",
			       l->is_unix ? l->path.name.sun_path
					  : endpoint_format(&l->local, text));
	uv_poll_stop(&l->poll);
	uv_timer_start(&l->pause, on_pause_over, PAUSE_MS, 0);
}

/* accept(2): the network's errors that wait on the new connection, not on the listener. */
static bool concerns_one_connection(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
	case EPERM: /* a firewall's word */
		return true;
	default:
		return false;
	}
}

static void accept_some(struct host_listener *l)
{
	for (int i = 0; i < ACCEPTS_PER_TURN && l->fd >= 0; i++) {
		struct sockaddr_storage name;
		socklen_t name_len = sizeof(name);
		struct endpoint peer = {addr_v4(INADDR_LOOPBACK), 0};
		int fd = accept4(l->fd, (struct sockaddr *)&name, &name_len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			(void)host_sockaddr_to(&name, name_len, &peer);
			l->events.accepted(l->events.ctx, fd, &peer);
		} else if (errno == EAGAIN) {
			return;
		} else if (!concerns_one_connection(errno)) {
			pause_for(l, errno);
			return;
		}
	}
}

static struct client *client_slot(const struct host_listener *l, const struct endpoint *peer)
{
	unsigned hash = peer->port;

	for (size_t i = 0; i < sizeof(peer->addr.b); i++)
		hash = hash * 31 + peer->addr.b[i];
	return &l->clients[(hash ^ hash >> 8 ^ hash >> 16) % CLIENTS_N];
}

static void remember(struct host_listener *l, struct host_batch *batch, unsigned i,
		     const struct endpoint *peer)
{
	struct host_source source;

	if (l->clients && host_batch_source(batch, i, &source))
		*client_slot(l, peer) = (struct client){*peer, source};
}

bool host_listener_source(const struct host *host, int handle, const struct endpoint *peer,
			  struct host_source *ret)
{
	const struct host_listener *l = host->any_address_listeners;

	while (l && l->fd != handle)
		l = l->next_any;
	if (!l)
		return false;

	const struct client *client = client_slot(l, peer);

	if (!endpoint_eq(&client->peer, peer))
		return false;
	*ret = client->source;
	return true;
}

/* What came as one large piece is told as the datagrams it is. */
static void tell_datagrams(struct host_listener *l, struct host_batch *batch, unsigned i,
			   const struct endpoint *peer)
{
	size_t len = batch->msgs[i].msg_len, segment = host_batch_segment(batch, i), at = 0;

	do {
		size_t here = segment && len - at > segment ? segment : len - at;
		struct iovec payload = {(uint8_t *)batch->iov[i].iov_base + at, here};

		l->events.datagram(l->events.ctx, l->fd, peer, payload);
		at += here;
	} while (at < len && l->fd >= 0);
}

static void receive_some(struct host_listener *l)
{
	struct host_batch *batch = &l->host->listen_batch;

	for (int i = 0; i < BATCHES_PER_TURN && l->fd >= 0; i++) {
		int n = host_batch_receive(batch, l->fd, 0, HOST_BATCH_MAX);

		for (int k = 0; k < n && l->fd >= 0; k++) {
			struct endpoint peer;

			if (!host_sockaddr_to(&batch->names[k], batch->msgs[k].msg_hdr.msg_namelen,
					      &peer))
				continue;
			remember(l, batch, (unsigned)k, &peer);
			tell_datagrams(l, batch, (unsigned)k, &peer);
		}
		if (n < HOST_BATCH_MAX)
			return;
	}
}

static void on_readable(uv_poll_t *poll, int status, int uv_events)
{
	struct host_listener *l = poll->data;
	struct host *host = l->host;

	(void)uv_events;
	if (l->events.accepted)
		accept_some(l);
	else
		receive_some(l);
	/* libuv stops a poll that met an error condition; reading has cleared it. */
	if (status < 0 && l->fd >= 0 && !uv_is_active((uv_handle_t *)&l->pause))
		watch(l);
	host->config.turn_end(host->config.ctx);
}

static int bind_to(int fd, const struct endpoint *at, struct endpoint *ret_local)
{
	struct sockaddr_storage name;
	socklen_t name_len = host_sockaddr_from(at, &name);
	int on = 1;

	if (name.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&name, name_len) < 0)
		return -errno;
	name_len = sizeof(name);
	if (getsockname(fd, (struct sockaddr *)&name, &name_len) < 0)
		return -errno;
	return host_sockaddr_to(&name, name_len, ret_local) ? 0 : -EAFNOSUPPORT;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct host_listener *l = handle->data;

	if (--l->handles_open == 0) {
		free(l->clients);
		free(l);
	}
}

static int remember_clients(struct host_listener *l)
{
	if (l->events.accepted || !addr_is_unspecified(&l->local.addr))
		return 0;
	l->clients = calloc(CLIENTS_N, sizeof(*l->clients));
	if (!l->clients)
		return -ENOMEM;
	return host_datagram_want_source(l->fd, !addr_is_v4(&l->local.addr));
}

/* Takes 'fd' over when it succeeds. */
static int listener_new(struct host_listener **ret, struct host *host, int fd,
			const struct endpoint *local, const struct host_listen_events *events)
{
	struct host_listener *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->host = host;
	l->events = *events;
	l->fd = fd;
	l->local = *local;
	r = remember_clients(l);
	if (r == 0)
		r = uv_poll_init(host->loop, &l->poll, fd);
	if (r < 0) {
		free(l->clients);
		free(l);
		return r;
	}
	if (l->clients) {
		l->next_any = host->any_address_listeners;
		host->any_address_listeners = l;
	}
	uv_timer_init(host->loop, &l->pause);
	l->handles_open = 2;
	l->poll.data = l;
	l->pause.data = l;
	host->listeners_n++;
	watch(l);
	*ret = l;
	return 0;
}

static int prepare(int fd, int type, bool v6)
{
	int on = 1;

	if (type == SOCK_DGRAM) {
		host_datagram_want_segments(fd);
		return host_datagram_prepare(fd, v6);
	}
	/* For a restart while old connections linger in TIME_WAIT. */
	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ? -errno : 0;
}

static int listen_on(struct host_listener **ret, struct host *host, int type,
		     const struct endpoint *at, const struct host_listen_events *events)
{
	bool v6 = !addr_is_v4(&at->addr);
	int fd = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct endpoint local;
	int r;

	if (fd < 0)
		return -errno;
	r = prepare(fd, type, v6);
	if (r == 0)
		r = bind_to(fd, at, &local);
	if (r == 0 && type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0)
		r = -errno;
	if (r == 0)
		r = listener_new(ret, host, fd, &local, events);
	if (r < 0)
		close(fd);
	return r;
}

int host_listen_tcp(struct host_listener **ret, struct host *host, const struct endpoint *at,
		    const struct host_listen_events *events)
{
	struct host_listen_events tcp = *events;

	tcp.datagram = NULL;
	return listen_on(ret, host, SOCK_STREAM, at, &tcp);
}

int host_listen_udp(struct host_listener **ret, struct host *host, const struct endpoint *at,
		    const struct host_listen_events *events)
{
	struct host_listen_events udp = *events;

	udp.accepted = NULL;
	return listen_on(ret, host, SOCK_DGRAM, at, &udp);
}

int host_listen_unix(struct host_listener **ret, struct host *host, const char *path,
		     const struct host_listen_events *events)
{
	struct endpoint nowhere = {addr_v4(INADDR_LOOPBACK), 0};
	struct host_listen_events stream = *events;
	struct stream_path made;
	int fd, r;

	stream.datagram = NULL;
	r = stream_path_listen(path, &made, &fd);
	if (r < 0)
		return r;
	r = listener_new(ret, host, fd, &nowhere, &stream);
	if (r < 0) {
		stream_path_remove(&made);
		close(fd);
		return r;
	}
	(*ret)->path = made;
	(*ret)->is_unix = true;
	return 0;
}

const struct endpoint *host_listener_local(const struct host_listener *listener)
{
	return &listener->local;
}

int host_listener_handle(const struct host_listener *listener)
{
	return listener->fd;
}

void host_listener_close(struct host_listener *listener)
{
	if (!listener)
		return;
	struct host_listener **at = &listener->host->any_address_listeners;

	while (*at && *at != listener)
		at = &(*at)->next_any;
	if (*at)
		*at = listener->next_any;
	if (listener->is_unix)
		stream_path_remove(&listener->path);
	listener->host->listeners_n--;
	uv_close((uv_handle_t *)&listener->poll, on_handle_closed);
	uv_close((uv_handle_t *)&listener->pause, on_handle_closed);
	close(listener->fd);
	listener->fd = -1;
}
