#include "stack/host/http_internal.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_LEN 32768 /* bytes asked of a source at once */

static void source_end(struct http_exchange *x)
{
	void (*end)(void *ctx) = x->source.end;

	x->source.end = NULL;
	if (end)
		end(x->source.ctx);
}

static void exchange_drop(struct http_exchange *x)
{
	if (--x->holders_n > 0)
		return;
	free(x->body);
	free(x);
}

static void exchange_upgraded(struct http_exchange *x, int fd, const char *extra, size_t extra_len)
{
	http_upgraded *upgraded = x->upgraded;

	x->upgraded = NULL;
	if (upgraded)
		upgraded(x->upgraded_ctx, fd, extra, extra_len);
}

void http_exchange_end(struct http_conn *conn)
{
	struct http_exchange *x = conn->x;

	if (!x)
		return;
	conn->x = NULL;
	x->conn = NULL;
	if (x->gone && !x->replied)
		x->gone(x->gone_ctx);
	exchange_upgraded(x, -1, NULL, 0);
	source_end(x);
	exchange_drop(x);
}

/* ---- what handlers ask ---- */

const char *http_method(const struct http_exchange *x)
{
	return x->method;
}

const char *http_path(const struct http_exchange *x)
{
	return x->target.path;
}

const char *http_query_nth(const struct http_exchange *x, unsigned n, const char **ret_value)
{
	if (n >= x->target.params_n)
		return NULL;
	*ret_value = x->target.param[n].value;
	return x->target.param[n].name;
}

const char *http_query(const struct http_exchange *x, const char *name)
{
	for (unsigned i = 0; i < x->target.params_n; i++) {
		if (strcmp(x->target.param[i].name, name) == 0)
			return x->target.param[i].value;
	}
	return NULL;
}

const char *http_request_header(const struct http_exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->conn->mhd, MHD_HEADER_KIND, name);
}

const char *http_body(const struct http_exchange *x, size_t *ret_len)
{
	*ret_len = x->body_len;
	return x->body ? x->body : "";
}

uintptr_t http_peer(const struct http_exchange *x)
{
	return x->conn->peer;
}

/* ---- replies ---- */

void http_header(struct http_exchange *x, const char *name, const char *value)
{
	struct http_reply_header *header = &x->header[x->headers_n++];

	assert(x->headers_n <= HEADERS_MAX);
	assert(strlen(name) < sizeof(header->name) && strlen(value) < sizeof(header->value));
	memcpy(header->name, name, strlen(name) + 1);
	memcpy(header->value, value, strlen(value) + 1);
}

/* Takes the response over; NULL: there was no memory for it. */
static void reply(struct http_exchange *x, unsigned status, const char *type,
		  struct MHD_Response *response)
{
	struct http_conn *conn = x->conn;
	bool queued = false;

	assert(!x->replied);
	x->replied = true;
	if (response) {
		for (unsigned i = 0; i < x->headers_n; i++)
			(void)MHD_add_response_header(response, x->header[i].name,
						      x->header[i].value);
		if (type)
			(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
		http_conn_enter(conn, x->source.end ? CONN_STREAMING : CONN_REPLYING);
		queued = MHD_queue_response(conn->mhd, status, response) == MHD_YES;
		MHD_destroy_response(response);
	}
	if (queued)
		http_conn_resume(conn);
	else
		http_conn_cut(conn);
}

void http_reply(struct http_exchange *x, unsigned status, const char *type, const void *bytes,
		size_t len)
{
	reply(x, status, type,
	      MHD_create_response_from_buffer(len, (void *)bytes, MHD_RESPMEM_MUST_COPY));
}

void http_reply_take(struct http_exchange *x, unsigned status, const char *type, char *bytes,
		     size_t len)
{
	struct MHD_Response *response =
	    MHD_create_response_from_buffer(len, bytes, MHD_RESPMEM_MUST_FREE);

	if (!response)
		free(bytes);
	reply(x, status, type, response);
}

static ssize_t on_source_read(void *ctx, uint64_t at, char *bytes, size_t max)
{
	struct http_exchange *x = ctx;
	long n;

	(void)at;
	if (!x->conn || x->conn->state == CONN_CUT)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = x->source.read(x->source.ctx, bytes, max);
	if (n == 0)
		http_conn_suspend(x->conn);
	if (n == -1)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	x->conn->since_ms = uv_now(x->conn->server->loop);
	return n;
}

/* Maybe after the exchange has ended: libmicrohttpd keeps a reply longer than its request. */
static void on_source_free(void *ctx)
{
	struct http_exchange *x = ctx;

	source_end(x);
	exchange_drop(x);
}

void http_reply_stream(struct http_exchange *x, unsigned status, const char *type,
		       const struct http_source *source)
{
	uint64_t len = source->len == HTTP_LEN_UNKNOWN ? MHD_SIZE_UNKNOWN : source->len;
	struct MHD_Response *response;

	x->source = *source;
	x->holders_n++;
	response =
	    MHD_create_response_from_callback(len, STREAM_LEN, on_source_read, x, on_source_free);
	reply(x, status, type, response);
	if (!response)
		on_source_free(x);
}

void http_wake(struct http_exchange *x)
{
	if (!x->conn || x->conn->state != CONN_STREAMING)
		return;
	x->conn->since_ms = uv_now(x->conn->server->loop);
	http_conn_resume(x->conn);
}

static void on_upgraded(void *ctx, struct MHD_Connection *mhd, void *request, const char *extra,
			size_t extra_len, MHD_socket sock, struct MHD_UpgradeResponseHandle *handle)
{
	struct http_exchange *x = ctx;
	int fd = fcntl(sock, F_DUPFD_CLOEXEC, 0);

	(void)mhd;
	(void)request;
	x->conn->state = CONN_UPGRADED;
	exchange_upgraded(x, fd < 0 ? -1 : fd, extra, extra_len);
	(void)MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
}

void http_reply_upgrade(struct http_exchange *x, const char *protocol, http_upgraded *done,
			void *ctx)
{
	struct MHD_Response *response = MHD_create_response_for_upgrade(on_upgraded, x);

	x->upgraded = done;
	x->upgraded_ctx = ctx;
	http_header(x, MHD_HTTP_HEADER_UPGRADE, protocol);
	reply(x, MHD_HTTP_SWITCHING_PROTOCOLS, NULL, response);
}

void http_later(struct http_exchange *x, void (*gone)(void *ctx), void *ctx)
{
	assert(!x->replied && !x->gone);
	x->gone = gone;
	x->gone_ctx = ctx;
	http_conn_enter(x->conn, CONN_LATER);
}
