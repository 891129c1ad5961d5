/* One HTTP request to a control socket, waited for. */
#ifndef LWNAT_APP_CLIENT_HTTP_H
#define LWNAT_APP_CLIENT_HTTP_H

#include <stddef.h>
#include <stdio.h>

#define CLIENT_REPLY_MAX (64 << 20) /* bytes of a body; more is no answer of lwnat's */

struct client_request {
	const char *method; /* "GET" */
	const char *target; /* "/v1/status?x=y", escaped */
	const char *body;   /* JSON; NULL: none */
	int timeout_ms;     /* without a byte */
};

struct client_reply {
	int status;
	char *body; /* ends with a NUL that does not count */
	size_t body_len;
};

/* A connection to the socket at 'path', or a negative errno. */
int client_http_connect(const char *path);

/* Sends the request and reads all of the answer. Closes 'fd'. 0, or a negative errno: -ETIMEDOUT,
 * -EPROTO for what is no HTTP, -EPIPE when it ended early, -ESHUTDOWN before its first byte. The
 * caller frees ret->body. */
int client_http_request(int fd, const struct client_request *request, struct client_reply *ret);
/* The same, but a body of status 200 goes to 'out' as it comes, without a time limit, and
 * ret->body is NULL then. */
int client_http_stream(int fd, const struct client_request *request, FILE *out,
		       struct client_reply *ret);
/* Asks for the protocol 'upgrade'. With status 101 'fd' stays open and ret->body is what has come
 * behind the head; else 'fd' is closed and ret is the refusal. */
int client_http_upgrade(int fd, const struct client_request *request, const char *upgrade,
			struct client_reply *ret);

/* Appends 'text' to a target, with all but RFC 3986's unreserved characters escaped. */
void client_http_escape(FILE *target, const char *text);

#endif
