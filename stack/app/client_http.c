#include "stack/app/client_http.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD_MAX 16384 /* bytes */
#define READ_MAX 65536

/* An answer that comes in. */
struct answer {
	int fd;
	int timeout_ms; /* -1: none */
	int watched;    /* a pipe whose reader's end is the end; -1: none */
	char *bytes;    /* head, then body */
	size_t len, room;
	size_t head_len; /* 0: not complete */
	long body_len;   /* as Content-Length says; -1: until the end */
	int status;
};

int client_http_connect(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd, err;

	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int send_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

/* HTTP/1.0 where it does: then a body's end is the connection's, and nothing comes in chunks. */
static int send_request(int fd, const struct client_request *r, const char *upgrade)
{
	char *text;
	int len, result;

	if (upgrade)
		len = asprintf(&text,
			       "%s %s HTTP/1.1\r\nHost: lwnat\r\nConnection: Upgrade\r\n"
			       "Upgrade: %s\r\n\r\n",
			       r->method, r->target, upgrade);
	else if (r->body)
		len = asprintf(&text,
			       "%s %s HTTP/1.0\r\nHost: lwnat\r\nContent-Type: application/json\r\n"
			       "Content-Length: %zu\r\n\r\n%s",
			       r->method, r->target, strlen(r->body), r->body);
	else
		len =
		    asprintf(&text, "%s %s HTTP/1.0\r\nHost: lwnat\r\n\r\n", r->method, r->target);
	if (len < 0)
		return -ENOMEM;
	result = send_all(fd, text, (size_t)len);
	free(text);
	/* A refusal may have come while we were still writing: then it is read. */
	return result == -EPIPE ? 0 : result;
}

/* Bytes read, 0 at the end, or a negative errno. */
static long read_some(struct answer *a)
{
	struct pollfd polled[2] = {{.fd = a->fd, .events = POLLIN}, {.fd = a->watched}};
	ssize_t n;
	int ready;

	if (a->room - a->len < READ_MAX + 1) {
		size_t room = 2 * a->room + READ_MAX + 1;
		char *bytes = room < CLIENT_REPLY_MAX ? realloc(a->bytes, room) : NULL;

		if (!bytes)
			return -ENOMEM;
		a->bytes = bytes;
		a->room = room;
	}
	do {
		ready = poll(polled, 2, a->timeout_ms);
	} while (ready < 0 && errno == EINTR);
	if (ready == 0)
		return -ETIMEDOUT;
	if (polled[1].revents)
		return 0;
	do {
		n = read(a->fd, a->bytes + a->len, READ_MAX);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	a->len += (size_t)n;
	a->bytes[a->len] = '\0';
	return n;
}

/* The status line and Content-Length, of a head that is complete. */
static int parse_head(struct answer *a)
{
	const char *line = a->bytes, *end = a->bytes + a->head_len;

	if (strncmp(line, "HTTP/1.", 7) != 0 || line[7] == '\0' || line[8] != ' ')
		return -EPROTO;
	a->status = (int)strtol(line + 9, NULL, 10);
	a->body_len = -1;
	while ((line = strstr(line, "\r\n")) != NULL && (line += 2) < end) {
		if (strncasecmp(line, "Content-Length:", 15) == 0)
			a->body_len = strtol(line + 15, NULL, 10);
	}
	return a->body_len < -1 || a->body_len > CLIENT_REPLY_MAX ? -EPROTO : 0;
}

static int read_head(struct answer *a)
{
	while (a->head_len == 0) {
		long n = read_some(a);
		const char *end;

		if (n < 0)
			return (int)n;
		end = a->len > 0 ? strstr(a->bytes, "\r\n\r\n") : NULL;
		if (end)
			a->head_len = (size_t)(end + 4 - a->bytes);
		else if (n == 0)
			return a->len > 0 ? -EPIPE : -ESHUTDOWN;
		else if (a->len > HEAD_MAX)
			return -EPROTO;
	}
	return parse_head(a);
}

/* The body, in front of which the head goes away. */
static int read_body(struct answer *a)
{
	long n = 1;

	while (n > 0 && (a->body_len < 0 || a->len - a->head_len < (size_t)a->body_len))
		n = read_some(a);
	if (n < 0)
		return (int)n;
	if (a->body_len >= 0 && a->len - a->head_len < (size_t)a->body_len)
		return -EPIPE;
	return 0;
}

static void hand_over(struct answer *a, struct client_reply *ret)
{
	ret->status = a->status;
	ret->body_len = a->len - a->head_len;
	if (a->status != 101 && a->body_len >= 0)
		ret->body_len = (size_t)a->body_len;
	memmove(a->bytes, a->bytes + a->head_len, ret->body_len);
	a->bytes[ret->body_len] = '\0';
	ret->body = a->bytes;
	a->bytes = NULL;
}

static int begin(struct answer *a, int fd, const struct client_request *r, const char *upgrade)
{
	int result;

	memset(a, 0, sizeof(*a));
	a->fd = fd;
	a->timeout_ms = r->timeout_ms;
	a->watched = -1;
	result = send_request(fd, r, upgrade);
	return result < 0 ? result : read_head(a);
}

int client_http_request(int fd, const struct client_request *request, struct client_reply *ret)
{
	struct answer a;
	int result = begin(&a, fd, request, NULL);

	if (result == 0)
		result = read_body(&a);
	if (result == 0)
		hand_over(&a, ret);
	free(a.bytes);
	close(fd);
	return result;
}

int client_http_stream(int fd, const struct client_request *request, FILE *out,
		       struct client_reply *ret)
{
	struct answer a;
	int result = begin(&a, fd, request, NULL);
	size_t at = a.head_len;
	long n = 1;

	if (result == 0 && a.status != 200)
		result = read_body(&a);
	if (result == 0 && a.status != 200)
		hand_over(&a, ret);
	if (result == 0 && a.status == 200) {
		*ret = (struct client_reply){.status = a.status};
		a.timeout_ms = -1;
		a.watched = fileno(out);
		while (n > 0) {
			if (fwrite(a.bytes + at, 1, a.len - at, out) < a.len - at ||
			    fflush(out) != 0)
				break;
			a.len = at = 0;
			n = read_some(&a);
		}
		result = n < 0 ? (int)n : 0;
	}
	free(a.bytes);
	close(fd);
	return result;
}

int client_http_upgrade(int fd, const struct client_request *request, const char *upgrade,
			struct client_reply *ret)
{
	struct answer a;
	int result = begin(&a, fd, request, upgrade);

	if (result == 0 && a.status != 101)
		result = read_body(&a);
	if (result == 0)
		hand_over(&a, ret);
	free(a.bytes);
	if (result < 0 || ret->status != 101)
		close(fd);
	return result;
}

void client_http_escape(FILE *target, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c < 0x80 && isalnum(c)) || strchr("-._~", c))
			fputc(c, target);
		else
			fprintf(target, "%%%02X", c);
	}
}
