/* DNS over TCP for guests (RFC 7766): messages with a length in front, many at once on a
 * connection, answered in any order. The other end of each socket is a flow of the NAT. */
#ifndef LWNAT_HOST_DNS_TCP_H
#define LWNAT_HOST_DNS_TCP_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct dns_tcp;
struct dns_tcp_conn;

struct dns_tcp_config {
	uv_loop_t *loop;
	unsigned conns_max;   /* 0: 32; one more is refused */
	unsigned queries_max; /* per connection, unanswered; 0: 16; no more is read until then */
	uint32_t idle_ms;     /* without a whole query or a finished answer; 0: 10,000 */
	/* Each query is answered exactly once by dns_tcp_answer(), maybe before this returns.
	 * 'client' is what dns_tcp_serve() was given. */
	void (*query)(void *ctx, struct dns_tcp_conn *conn, uint32_t client, const uint8_t *bytes,
		      size_t len);
	void *ctx;
};

int dns_tcp_new(struct dns_tcp **ret, const struct dns_tcp_config *config); /* 0, -ENOMEM */
/* Takes over a stream socket: 0. Or -EBUSY, -ENOMEM, an errno of libuv, and 'fd' stays the
 * caller's. */
int dns_tcp_serve(struct dns_tcp *tcp, int fd, uint32_t client);
/* The answer to one query, copied; len 0: there is none. The connection may be gone by then, its
 * 'conn' is valid until its last query is answered. */
void dns_tcp_answer(struct dns_tcp_conn *conn, const uint8_t *bytes, size_t len);
/* Ends all connections; unanswered queries must still be "answered". Memory goes when that is done
 * and libuv has closed the handles. NULL is fine. */
void dns_tcp_close(struct dns_tcp *tcp);

#endif
