/* What http_server.c (connections, limits) and http_exchange.c (one request and its reply) share.
 */
#ifndef LWNAT_HOST_HTTP_INTERNAL_H
#define LWNAT_HOST_HTTP_INTERNAL_H

#include "stack/base/list.h"
#include "stack/host/http_server.h"
#include "stack/host/http_target.h"

#include <microhttpd.h>

#define HEADERS_MAX 4 /* of one reply, set by http_header() */
#define HEADER_NAME_MAX 32
#define HEADER_VALUE_MAX 256

enum http_conn_state {
	CONN_READING,   /* a request has not come whole, or not begun */
	CONN_LATER,     /* its handler will reply later; suspended */
	CONN_REPLYING,  /* a reply is being sent, or is about to be */
	CONN_STREAMING, /* the same, from a source; suspended while that has nothing */
	CONN_UPGRADED,  /* no longer HTTP: the socket is somebody else's */
	CONN_CUT,       /* to be closed at libmicrohttpd's next call */
};

struct http_reply_header {
	char name[HEADER_NAME_MAX], value[HEADER_VALUE_MAX];
};

struct http_exchange {
	struct http_conn *conn; /* NULL: it has ended */
	unsigned holders_n;     /* the connection, a response from a source */
	struct http_target target;
	int target_result; /* http_target_parse()'s */
	const char *method;
	char *body;
	size_t body_len, body_room;
	bool begun; /* the head has been looked at */
	bool body_too_long;
	struct http_reply_header header[HEADERS_MAX];
	unsigned headers_n;
	bool replied;
	void (*gone)(void *ctx); /* of http_later(); NULL: none */
	void *gone_ctx;
	struct http_source source; /* end NULL: none, or it has been called */
	http_upgraded *upgraded;   /* still to be called */
	void *upgraded_ctx;
};

/* Lives as long as libmicrohttpd's connection. 'mhd' is NULL until that has begun. */
struct http_conn {
	struct http_server *server;
	struct MHD_Connection *mhd;
	struct list link;
	enum http_conn_state state;
	bool suspended;
	int fd; /* libmicrohttpd's */
	uintptr_t peer;
	uint64_t since_ms;       /* when this state began, or last had progress */
	struct http_exchange *x; /* owned; NULL between requests */
};

struct http_server {
	struct http_server_config config;
	uv_loop_t *loop;
	struct MHD_Daemon *daemon;
	uv_poll_t poll; /* libmicrohttpd's epoll set */
	uv_timer_t run; /* it has something to do without an event */
	uv_timer_t sweep;
	unsigned handles_n; /* open */
	struct list conns;
	struct list added; /* since libmicrohttpd's last call, which it has not begun with */
	unsigned conns_n;  /* on both lists */
};

/* http_server.c */
void http_conn_enter(struct http_conn *conn, enum http_conn_state state);
void http_conn_suspend(struct http_conn *conn);
void http_conn_resume(struct http_conn *conn);
void http_conn_cut(struct http_conn *conn); /* soon */
/* http_exchange.c: tells all that wait for the exchange, if there is one. */
void http_exchange_end(struct http_conn *conn);

#endif
