#include "stack/host/http_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 64
#define BODY_MAX 65536
#define REQUEST_S 30
#define REPLY_S 60
#define SWEEP_MS 1000  /* how often deadlines are looked at, while there are connections */
#define POOL_LEN 32768 /* libmicrohttpd's memory of one connection: its request's head */

static void on_run(uv_timer_t *timer);

/* ---- connections ---- */

void http_conn_enter(struct http_conn *conn, enum http_conn_state state)
{
	conn->state = state;
	conn->since_ms = uv_now(conn->server->loop);
}

void http_conn_suspend(struct http_conn *conn)
{
	if (!conn->suspended) {
		conn->suspended = true;
		MHD_suspend_connection(conn->mhd);
	}
}

/* Without a thread libmicrohttpd wakes nobody: its next call is ours to make. */
void http_conn_resume(struct http_conn *conn)
{
	if (conn->suspended) {
		conn->suspended = false;
		MHD_resume_connection(conn->mhd);
		uv_timer_start(&conn->server->run, on_run, 0, 0);
	}
}

/* libmicrohttpd has no call to close a connection: it finds it closed. */
void http_conn_cut(struct http_conn *conn)
{
	http_conn_enter(conn, CONN_CUT);
	shutdown(conn->fd, SHUT_RDWR);
	http_conn_resume(conn);
}

static struct http_conn *find_added(struct http_server *server, int fd)
{
	for (struct list *link = server->added.next; link != &server->added; link = link->next) {
		struct http_conn *conn = list_entry(link, struct http_conn, link);

		if (conn->fd == fd)
			return conn;
	}
	return NULL;
}

static void free_conn(struct http_conn *conn)
{
	list_remove(&conn->link);
	conn->server->conns_n--;
	free(conn);
}

static void on_connection(void *ctx, struct MHD_Connection *mhd, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http_server *server = ctx;
	struct http_conn *conn = *socket_context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		conn = find_added(
		    server,
		    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
		if (!conn)
			return; /* its first request is refused */
		conn->mhd = mhd;
		list_remove(&conn->link);
		list_append(&server->conns, &conn->link);
		http_conn_enter(conn, CONN_READING);
		*socket_context = conn;
	} else if (conn) {
		http_exchange_end(conn);
		free_conn(conn);
		*socket_context = NULL;
	}
}

static struct http_conn *conn_of(struct MHD_Connection *mhd)
{
	return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* ---- requests ---- */

/* The target as it came: libmicrohttpd's own reading of it stops at an escaped NUL. */
static void *on_target(void *ctx, const char *uri, struct MHD_Connection *mhd)
{
	struct http_conn *conn = conn_of(mhd);
	struct http_exchange *x;

	(void)ctx;
	if (!conn)
		return NULL;
	http_exchange_end(conn);
	x = calloc(1, sizeof(*x));
	if (x) {
		x->conn = conn;
		x->holders_n = 1;
		x->target_result = http_target_parse(uri, &x->target);
	}
	conn->x = x;
	return x;
}

static void on_completed(void *ctx, struct MHD_Connection *mhd, void **request,
			 enum MHD_RequestTerminationCode code)
{
	struct http_conn *conn = conn_of(mhd);

	(void)ctx;
	(void)code;
	*request = NULL;
	if (!conn)
		return;
	http_exchange_end(conn);
	if (conn->state != CONN_CUT && conn->state != CONN_UPGRADED)
		http_conn_enter(conn, CONN_READING);
}

static size_t body_max(const struct http_exchange *x)
{
	return x->conn->server->config.limits.body_max;
}

/* What comes beyond the limit is read and forgotten: only at the end may it be answered. */
static void take_body(struct http_exchange *x, const char *bytes, size_t len)
{
	size_t room = x->body_room ? x->body_room : 1024;
	char *grown;

	if (x->body_too_long || len > body_max(x) - x->body_len) {
		x->body_too_long = true;
		return;
	}
	while (room < x->body_len + len + 1)
		room *= 2;
	if (room != x->body_room) {
		grown = realloc(x->body, room);
		if (!grown) {
			x->body_too_long = true;
			return;
		}
		x->body = grown;
		x->body_room = room;
	}
	memcpy(x->body + x->body_len, bytes, len);
	x->body_len += len;
	x->body[x->body_len] = '\0';
}

static void refuse(struct http_exchange *x, unsigned status, const char *text)
{
	const struct http_server_config *config = &x->conn->server->config;
	char line[128];

	if (config->fault) {
		config->fault(config->ctx, x, status, text);
		return;
	}
	snprintf(line, sizeof(line), "%s\n", text);
	http_reply(x, status, "text/plain; charset=utf-8", line, strlen(line));
}

/* Announced bodies that are too long are refused before they are sent. */
static bool says_too_long(const struct http_exchange *x)
{
	const char *text = http_request_header(x, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return text && strtoull(text, NULL, 10) > body_max(x);
}

static bool refuse_head(struct http_exchange *x)
{
	if (x->target_result == -E2BIG)
		refuse(x, MHD_HTTP_URI_TOO_LONG, "the request's target is too long");
	else if (x->target_result < 0)
		refuse(x, MHD_HTTP_BAD_REQUEST,
		       "the request's target is malformed, or has a parameter twice");
	else if (says_too_long(x))
		refuse(x, MHD_HTTP_CONTENT_TOO_LARGE, "the request's body is too long");
	else
		return false;
	return true;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *mhd, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_len, void **request)
{
	struct http_server *server = ctx;
	struct http_exchange *x = *request;
	struct http_conn *conn;

	(void)url;
	(void)version;
	conn = x ? x->conn : NULL;
	if (!conn || conn->mhd != mhd || conn->state == CONN_CUT)
		return MHD_NO;
	if (!x->begun) {
		x->begun = true;
		x->method = method;
		refuse_head(x);
		return MHD_YES;
	}
	if (*upload_len > 0) {
		take_body(x, upload, *upload_len);
		*upload_len = 0;
		return MHD_YES;
	}
	if (x->replied || x->gone)
		return MHD_YES;
	if (x->body_too_long)
		refuse(x, MHD_HTTP_CONTENT_TOO_LARGE, "the request's body is too long");
	else
		server->config.request(server->config.ctx, x);
	assert(x->replied || x->gone);
	if (!x->replied)
		http_conn_suspend(conn);
	return conn->state == CONN_CUT ? MHD_NO : MHD_YES;
}

/* ---- the server ---- */

static void arm(struct http_server *server);

static void free_added(struct http_server *server)
{
	while (!list_is_empty(&server->added))
		free_conn(list_entry(server->added.next, struct http_conn, link));
}

static void run(struct http_server *server)
{
	(void)MHD_run(server->daemon);
	free_added(server); /* libmicrohttpd has closed those that it did not take */
	arm(server);
}

static void on_run(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_event(uv_poll_t *poll_handle, int status, int events)
{
	(void)status;
	(void)events;
	run(poll_handle->data);
}

/* A suspended connection is not read from: whether its client is there still has to be asked. */
static bool has_hung_up(const struct http_conn *conn)
{
	struct pollfd pollfd = {.fd = conn->fd};

	return poll(&pollfd, 1, 0) > 0 && (pollfd.revents & (POLLHUP | POLLERR));
}

static bool is_overdue(const struct http_conn *conn)
{
	const struct http_limits *limits = &conn->server->config.limits;
	uint64_t silent_ms = uv_now(conn->server->loop) - conn->since_ms;

	switch (conn->state) {
	case CONN_READING:
		return silent_ms >= (uint64_t)limits->request_s * 1000;
	case CONN_LATER:
		return has_hung_up(conn);
	case CONN_REPLYING:
		return silent_ms >= (uint64_t)limits->reply_s * 1000;
	case CONN_STREAMING:
		return conn->suspended ? has_hung_up(conn)
				       : silent_ms >= (uint64_t)limits->reply_s * 1000;
	case CONN_UPGRADED:
	case CONN_CUT:
		break;
	}
	return false;
}

static void on_sweep(uv_timer_t *timer)
{
	struct http_server *server = timer->data;

	for (struct list *link = server->conns.next; link != &server->conns; link = link->next) {
		struct http_conn *conn = list_entry(link, struct http_conn, link);

		if (is_overdue(conn))
			http_conn_cut(conn);
	}
	run(server);
}

static void arm(struct http_server *server)
{
	MHD_UNSIGNED_LONG_LONG in_ms;

	if (MHD_get_timeout(server->daemon, &in_ms) == MHD_YES)
		uv_timer_start(&server->run, on_run, in_ms, 0);
	else
		uv_timer_stop(&server->run);
	if (server->conns_n == 0)
		uv_timer_stop(&server->sweep);
	else if (!uv_is_active((uv_handle_t *)&server->sweep))
		uv_timer_start(&server->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

static void set_limits(struct http_limits *limits)
{
	if (!limits->connections)
		limits->connections = CONNECTIONS;
	if (!limits->body_max)
		limits->body_max = BODY_MAX;
	if (!limits->request_s)
		limits->request_s = REQUEST_S;
	if (!limits->reply_s)
		limits->reply_s = REPLY_S;
}

static struct MHD_Daemon *start_daemon(struct http_server *server)
{
	return MHD_start_daemon(
	    MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE,
	    0, NULL, NULL, on_request, server, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_LEN,
	    MHD_OPTION_CONNECTION_LIMIT, server->config.limits.connections,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_NOTIFY_COMPLETED,
	    on_completed, server, MHD_OPTION_URI_LOG_CALLBACK, on_target, server, MHD_OPTION_END);
}

int http_server_new(struct http_server **ret, uv_loop_t *loop,
		    const struct http_server_config *config)
{
	struct http_server *server = calloc(1, sizeof(*server));

	if (!server)
		return -ENOMEM;
	server->config = *config;
	server->loop = loop;
	set_limits(&server->config.limits);
	list_init(&server->conns);
	list_init(&server->added);
	server->daemon = start_daemon(server);
	if (!server->daemon) {
		free(server);
		return -EIO;
	}
	/* Cannot fail: the descriptor is an epoll set's. */
	(void)uv_poll_init(loop, &server->poll,
			   MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
	uv_timer_init(loop, &server->run);
	uv_timer_init(loop, &server->sweep);
	server->poll.data = server->run.data = server->sweep.data = server;
	server->handles_n = 3;
	uv_poll_start(&server->poll, UV_READABLE, on_event);
	*ret = server;
	return 0;
}

static bool has_room(const struct http_server *server, uintptr_t peer)
{
	const struct http_limits *limits = &server->config.limits;
	const struct list *const heads[] = {&server->conns, &server->added};
	unsigned n = 0;

	if (server->conns_n >= limits->connections)
		return false;
	if (limits->connections_per_peer == 0)
		return true;
	for (unsigned i = 0; i < 2; i++) {
		for (const struct list *link = heads[i]->next; link != heads[i]; link = link->next)
			n += list_entry(link, const struct http_conn, link)->peer == peer;
	}
	return n < limits->connections_per_peer;
}

int http_server_add(struct http_server *server, int fd, uintptr_t peer)
{
	struct sockaddr_storage name = {.ss_family = AF_UNIX};
	struct http_conn *conn;

	if (!has_room(server, peer)) {
		close(fd);
		return -ENOSPC;
	}
	conn = calloc(1, sizeof(*conn));
	if (!conn) {
		close(fd);
		return -ENOMEM;
	}
	*conn = (struct http_conn){.server = server, .fd = fd, .peer = peer};
	list_init(&conn->link);
	list_append(&server->added, &conn->link);
	server->conns_n++;
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	/* A failure has closed the descriptor. Newer versions begin with it at their next call. */
	if (MHD_add_connection(server->daemon, fd, (struct sockaddr *)&name, sizeof(name)) !=
	    MHD_YES) {
		conn = find_added(server, fd);
		if (conn)
			free_conn(conn);
		return -ENOMEM;
	}
	arm(server);
	return 0;
}

unsigned http_server_connections(const struct http_server *server)
{
	return server->conns_n;
}

static void on_closed(uv_handle_t *handle)
{
	struct http_server *server = handle->data;

	if (--server->handles_n == 0)
		free(server);
}

void http_server_close(struct http_server *server)
{
	if (!server)
		return;
	/* libmicrohttpd does not stop while a connection is suspended. */
	for (struct list *link = server->conns.next; link != &server->conns; link = link->next)
		http_conn_resume(list_entry(link, struct http_conn, link));
	uv_poll_stop(&server->poll);
	MHD_stop_daemon(server->daemon);
	free_added(server);
	uv_close((uv_handle_t *)&server->poll, on_closed);
	uv_close((uv_handle_t *)&server->run, on_closed);
	uv_close((uv_handle_t *)&server->sweep, on_closed);
}
