#include "stack/host/dns_tcp.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CONNS_MAX 32
#define QUERIES_MAX 16
#define IDLE_MS 10000
#define QUERY_LEN_MAX 4096 /* bytes; one question and an OPT record are some hundreds */
#define PAUSE_LEN 65536    /* bytes unsent: no more queries are read */
#define UNSENT_MAX 524288  /* bytes unsent: the guest does not read, the connection ends */

struct dns_tcp {
	struct dns_tcp_config config;
	struct dns_tcp_conn *first;
	unsigned conns_n; /* also those that are closing */
	bool closing;
};

struct dns_tcp_conn {
	struct dns_tcp *tcp;
	struct dns_tcp_conn *next, **at; /* in the list, until closing */
	uint32_t client;
	uv_pipe_t pipe;
	uv_timer_t idle;
	unsigned handles_n; /* open or closing */
	unsigned unanswered_n;
	bool closing;        /* handles are closing; only answers are waited for */
	bool eof_from_guest; /* no more queries; those that are there are answered */
	bool taking;         /* inside conn_take() */
	bool reading;
	size_t len; /* bytes in 'in' */
	uint8_t in[2 + QUERY_LEN_MAX];
};

struct answer {
	uv_write_t write;
	struct dns_tcp_conn *conn;
	uint8_t bytes[]; /* the length and the message */
};

int dns_tcp_new(struct dns_tcp **ret, const struct dns_tcp_config *config)
{
	struct dns_tcp *tcp = calloc(1, sizeof(*tcp));

	if (!tcp)
		return -ENOMEM;
	tcp->config = *config;
	if (!tcp->config.conns_max)
		tcp->config.conns_max = CONNS_MAX;
	if (!tcp->config.queries_max)
		tcp->config.queries_max = QUERIES_MAX;
	if (!tcp->config.idle_ms)
		tcp->config.idle_ms = IDLE_MS;
	*ret = tcp;
	return 0;
}

static void tcp_free_if_done(struct dns_tcp *tcp)
{
	if (tcp->closing && tcp->conns_n == 0)
		free(tcp);
}

static void conn_free_if_done(struct dns_tcp_conn *conn)
{
	struct dns_tcp *tcp = conn->tcp;

	if (!conn->closing || conn->handles_n || conn->unanswered_n)
		return;
	free(conn);
	tcp->conns_n--;
	tcp_free_if_done(tcp);
}

static void on_closed(uv_handle_t *handle)
{
	struct dns_tcp_conn *conn = handle->data;

	conn->handles_n--;
	conn_free_if_done(conn);
}

static void conn_close(struct dns_tcp_conn *conn)
{
	if (conn->closing)
		return;
	conn->closing = true;
	*conn->at = conn->next;
	if (conn->next)
		conn->next->at = conn->at;
	uv_close((uv_handle_t *)&conn->pipe, on_closed);
	uv_close((uv_handle_t *)&conn->idle, on_closed);
}

static void on_idle(uv_timer_t *timer)
{
	conn_close(timer->data);
}

static void conn_progress(struct dns_tcp_conn *conn)
{
	(void)uv_timer_start(&conn->idle, on_idle, conn->tcp->config.idle_ms, 0);
}

static size_t conn_unsent(const struct dns_tcp_conn *conn)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&conn->pipe);
}

static bool conn_is_full(const struct dns_tcp_conn *conn)
{
	return conn->unanswered_n >= conn->tcp->config.queries_max ||
	       conn_unsent(conn) >= PAUSE_LEN;
}

/* The length of the query that has arrived whole; 0: none has; -EMSGSIZE: none ever will. */
static int conn_query_len(const struct dns_tcp_conn *conn)
{
	unsigned len;

	if (conn->len < 2)
		return 0;
	len = (unsigned)conn->in[0] << 8 | conn->in[1];
	if (len == 0 || len > QUERY_LEN_MAX)
		return -EMSGSIZE;
	return conn->len >= 2 + len ? (int)len : 0;
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
	struct dns_tcp_conn *conn = handle->data;

	(void)size;
	*ret = uv_buf_init((char *)conn->in + conn->len, (unsigned)(sizeof(conn->in) - conn->len));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf);

static void conn_set_reading(struct dns_tcp_conn *conn, bool reading)
{
	if (conn->reading == reading)
		return;
	conn->reading = reading;
	if (!reading)
		(void)uv_read_stop((uv_stream_t *)&conn->pipe);
	else if (uv_read_start((uv_stream_t *)&conn->pipe, on_alloc, on_read) < 0)
		conn_close(conn);
}

/* Hands on the queries that have arrived, as many as may wait; then reads on, waits or ends. */
static void conn_take(struct dns_tcp_conn *conn)
{
	const struct dns_tcp_config *config = &conn->tcp->config;
	int query_len = 0;

	if (conn->taking || conn->closing)
		return;
	conn->taking = true;
	while (!conn->closing && !conn_is_full(conn) && (query_len = conn_query_len(conn)) > 0) {
		uint8_t query[QUERY_LEN_MAX];
		memcpy(query, conn->in + 2, (size_t)query_len);
		conn->len -= 2 + (size_t)query_len;
		memmove(conn->in, conn->in + 2 + query_len, conn->len);
		conn->unanswered_n++;
		conn_progress(conn);
		config->query(config->ctx, conn, conn->client, query, (size_t)query_len);
	}
	conn->taking = false;
	if (conn->closing)
		return;
	if (conn_is_full(conn))
		conn_set_reading(conn, false);
	else if (query_len < 0)
		conn_close(conn);
	else if (!conn->eof_from_guest)
		conn_set_reading(conn, true);
	else if (conn->unanswered_n == 0 && conn_unsent(conn) == 0)
		conn_close(conn);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	struct dns_tcp_conn *conn = stream->data;

	(void)buf;
	if (got == UV_EOF) { /* RFC 7766 section 6.2.4: what has been asked is answered */
		conn->eof_from_guest = true;
		conn_set_reading(conn, false);
	} else if (got < 0) {
		conn_close(conn);
		return;
	} else {
		conn->len += (size_t)got;
	}
	conn_take(conn);
}

static void on_written(uv_write_t *write, int status)
{
	struct answer *answer = write->data;
	struct dns_tcp_conn *conn = answer->conn;

	free(answer);
	if (conn->closing)
		return;
	if (status < 0) {
		conn_close(conn);
		return;
	}
	conn_progress(conn);
	conn_take(conn);
}

static int conn_write(struct dns_tcp_conn *conn, const uint8_t *bytes, size_t len)
{
	struct answer *answer = malloc(sizeof(*answer) + 2 + len);
	uv_buf_t buf;
	int status;

	if (!answer)
		return -ENOMEM;
	answer->write.data = answer;
	answer->conn = conn;
	answer->bytes[0] = (uint8_t)(len >> 8);
	answer->bytes[1] = (uint8_t)len;
	memcpy(answer->bytes + 2, bytes, len);
	buf = uv_buf_init((char *)answer->bytes, (unsigned)(2 + len));
	status = uv_write(&answer->write, (uv_stream_t *)&conn->pipe, &buf, 1, on_written);
	if (status < 0)
		free(answer);
	return status;
}

void dns_tcp_answer(struct dns_tcp_conn *conn, const uint8_t *bytes, size_t len)
{
	assert(conn->unanswered_n > 0 && len <= UINT16_MAX);
	conn->unanswered_n--;
	if (conn->closing) {
		conn_free_if_done(conn);
		return;
	}
	if (len && (conn_unsent(conn) + len > UNSENT_MAX || conn_write(conn, bytes, len) < 0)) {
		conn_close(conn);
		return;
	}
	conn_take(conn);
}

int dns_tcp_serve(struct dns_tcp *tcp, int fd, uint32_t client)
{
	struct dns_tcp_conn *conn;
	int status;

	if (tcp->closing || tcp->conns_n >= tcp->config.conns_max)
		return -EBUSY;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return -ENOMEM;
	conn->tcp = tcp;
	conn->client = client;
	(void)uv_timer_init(tcp->config.loop, &conn->idle);
	(void)uv_pipe_init(tcp->config.loop, &conn->pipe, 0);
	conn->idle.data = conn;
	conn->pipe.data = conn;
	conn->handles_n = 2;
	tcp->conns_n++;
	conn->next = tcp->first;
	conn->at = &tcp->first;
	if (conn->next)
		conn->next->at = &conn->next;
	tcp->first = conn;
	status = uv_pipe_open(&conn->pipe, fd);
	if (status < 0) {
		conn_close(conn);
		return status;
	}
	conn_progress(conn);
	conn_set_reading(conn, true);
	return 0;
}

void dns_tcp_close(struct dns_tcp *tcp)
{
	if (!tcp)
		return;
	tcp->closing = true;
	while (tcp->first)
		conn_close(tcp->first);
	tcp_free_if_done(tcp);
}
