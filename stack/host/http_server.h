/* An HTTP/1.1 server for connections that somebody else has accepted: libmicrohttpd in one epoll
 * set under libuv. No thread, no listening, nothing that waits. A client can neither stay, nor send
 * nor ask for more than the limits say. */
#ifndef LWNAT_HOST_HTTP_SERVER_H
#define LWNAT_HOST_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct http_server;
/* One request and its reply. Borrowed by the handler; after a reply it is gone. */
struct http_exchange;

struct http_limits {
	unsigned connections;          /* at once; more are closed unanswered. 0: 64 */
	unsigned connections_per_peer; /* of these, with the same 'peer'. 0: all of them */
	size_t body_max;               /* bytes of a request's body; more gets 413. 0: 64 KiB */
	uint32_t request_s; /* to send a whole request, from the connection's start or the last
			       reply on. 0: 30 */
	uint32_t reply_s;   /* to take a whole reply, streams excepted. 0: 60 */
};

struct http_server_config {
	struct http_limits limits;
	/* A whole request has come. Replies before it returns, or says http_later(). */
	void (*request)(void *ctx, struct http_exchange *x);
	/* Instead of the former, for a request that must be refused with 'status': 400 for a bad
	 * target or 413 for a body that is too long; 'text' says it in one line. NULL: refused with
	 * that line as text/plain. */
	void (*fault)(void *ctx, struct http_exchange *x, unsigned status, const char *text);
	void *ctx;
};

/* 0, -ENOMEM, or -EIO when libmicrohttpd does not start. */
int http_server_new(struct http_server **ret, uv_loop_t *loop,
		    const struct http_server_config *config);
/* Takes a connected stream socket (TCP or UNIX) over, also when this fails; 'peer' comes back with
 * each of its requests. 0, -ENOSPC at a limit of connections, -ENOMEM. */
int http_server_add(struct http_server *server, int fd, uintptr_t peer);
unsigned http_server_connections(const struct http_server *server);
/* Cuts all connections; 'gone' and 'end' callbacks come before the return. The memory goes when
 * libuv has closed the handles. Not from inside a callback of the server. NULL is fine. */
void http_server_close(struct http_server *server);

/* ---- the request ---- */

const char *http_method(const struct http_exchange *x);
/* "/v1/status": without percent-escapes, and never with a NUL in it. */
const char *http_path(const struct http_exchange *x);
/* A parameter's value ("" for a bare name), or NULL. */
const char *http_query(const struct http_exchange *x, const char *name);
/* The parameters in order, each name once: the name, or NULL when there are no more. */
const char *http_query_nth(const struct http_exchange *x, unsigned n, const char **ret_value);
const char *http_request_header(const struct http_exchange *x, const char *name); /* or NULL */
const char *http_body(const struct http_exchange *x, size_t *ret_len); /* ends with a NUL too */
uintptr_t http_peer(const struct http_exchange *x);

/* ---- the reply: exactly one of these for each request ---- */

/* Before the reply; both texts are copied. */
void http_header(struct http_exchange *x, const char *name, const char *value);
/* 'bytes' are copied. */
void http_reply(struct http_exchange *x, unsigned status, const char *type, const void *bytes,
		size_t len);
/* 'bytes' are from malloc() and are freed here. */
void http_reply_take(struct http_exchange *x, unsigned status, const char *type, char *bytes,
		     size_t len);

/* A reply made piece by piece, only as fast as the client takes it. */
struct http_source {
	/* Writes up to 'max' bytes: how many; 0 for none now (http_wake() says that there are
	 * again); -1 at the end; -2: cut the connection, for this was not all. */
	long (*read)(void *ctx, char *bytes, size_t max);
	void (*end)(void *ctx); /* always called once, whatever happens; no read() after it */
	void *ctx;
	uint64_t len; /* bytes in all, or HTTP_LEN_UNKNOWN */
};
#define HTTP_LEN_UNKNOWN UINT64_MAX
/* The exchange stays valid for http_wake() until source.end(). */
void http_reply_stream(struct http_exchange *x, unsigned status, const char *type,
		       const struct http_source *source);
void http_wake(struct http_exchange *x);

/* The connection becomes the caller's: after a 101 with "Upgrade: 'protocol'" done(ctx, fd) is
 * called once with a non-blocking descriptor that is the caller's, or -1 when the client has gone.
 * The first 'extra_len' bytes were sent behind the request already. */
typedef void http_upgraded(void *ctx, int fd, const char *extra, size_t extra_len);
void http_reply_upgrade(struct http_exchange *x, const char *protocol, http_upgraded *done,
			void *ctx);

/* The reply comes later, from the loop. gone(ctx) is called, and 'x' is not valid any more, when
 * the client has gone before: the reply must not be made then. */
void http_later(struct http_exchange *x, void (*gone)(void *ctx), void *ctx);

#endif
