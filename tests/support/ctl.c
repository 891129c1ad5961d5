#include "tests/support/ctl.h"

#include "tests/support/prom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REPLY_MAX (8u << 20)

int ctl_connect(const struct wire *wire)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(name.sun_path, sizeof(name.sun_path), "%s/lwnat/default.ctl", wire->place.dir);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

void ctl_say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (long)strlen(text));
}

const char *ctl_header(const struct ctl_reply *reply, const char *name, char value[256])
{
	char line[128];
	const char *at;
	size_t len;

	snprintf(line, sizeof(line), "\r\n%s: ", name);
	at = strcasestr(reply->head, line);
	if (!at)
		return NULL;
	at += strlen(line);
	len = strcspn(at, "\r\n");
	ck_assert_uint_lt(len, 256);
	memcpy(value, at, len);
	value[len] = '\0';
	return value;
}

/* Where the head ends; 0: it has not come whole. A 1xx but for 101 is no reply. */
static size_t head_len(const char *bytes)
{
	const char *end = strstr(bytes, "\r\n\r\n");

	return end ? (size_t)(end - bytes) + 4 : 0;
}

/* Moves the chunks together. false: the last one has not come. */
static bool unchunk(struct ctl_reply *reply)
{
	char *in = reply->body, *out = reply->body, *end = reply->body + reply->body_len;
	char *copy = malloc(reply->body_len + 1);

	memcpy(copy, reply->body, reply->body_len + 1);
	while (strstr(in, "\r\n")) {
		size_t len = strtoul(in, NULL, 16);

		in = strstr(in, "\r\n") + 2;
		if (len == 0) {
			*out = '\0';
			reply->body_len = (size_t)(out - reply->body);
			free(copy);
			return true;
		}
		if (in + len + 2 > end)
			break;
		memmove(out, in, len);
		out += len;
		in += len + 2;
	}
	memcpy(reply->body, copy, reply->body_len + 1);
	free(copy);
	return false;
}

static bool is_whole(struct ctl_reply *reply, bool ended)
{
	char value[256];

	if (reply->status == 101 || reply->status == 304)
		return true;
	if (ctl_header(reply, "Content-Length", value))
		return reply->body_len >= strtoul(value, NULL, 10);
	if (ctl_header(reply, "Transfer-Encoding", value))
		return unchunk(reply);
	return ended;
}

static bool take(struct ctl_reply *ret, const char *bytes, size_t len, bool ended)
{
	size_t head = head_len(bytes);

	if (head == 0)
		return false;
	free(ret->head);
	free(ret->body);
	ret->head = strndup(bytes, head);
	ret->body_len = len - head;
	ret->body = malloc(ret->body_len + 1);
	memcpy(ret->body, bytes + head, ret->body_len);
	ret->body[ret->body_len] = '\0';
	ck_assert_int_eq(sscanf(ret->head, "HTTP/1.1 %d ", &ret->status), 1);
	return is_whole(ret, ended);
}

void ctl_hear(struct wire *wire, int fd, struct ctl_reply *ret)
{
	char *bytes = malloc(REPLY_MAX);
	size_t len = 0;
	bool whole = false;

	memset(ret, 0, sizeof(*ret));
	bytes[0] = '\0';
	for (unsigned turns = 0; !whole; turns++) {
		ssize_t n = recv(fd, bytes + len, REPLY_MAX - 1 - len, 0);

		ck_assert_msg(turns < 2000000, "no reply: %s", bytes);
		len += n > 0 ? (size_t)n : 0;
		bytes[len] = '\0';
		if (n >= 0)
			whole = take(ret, bytes, len, n == 0);
		ck_assert_msg(whole || n > 0 || (n < 0 && errno == EAGAIN), "cut short: %s", bytes);
		if (n < 0)
			wire_turn(wire, 5);
	}
	free(bytes);
	ret->json = json_loadb(ret->body, ret->body_len, JSON_REJECT_DUPLICATES, NULL);
}

void ctl_ask(struct wire *wire, const char *method, const char *target, const char *body,
	     struct ctl_reply *ret)
{
	int fd = ctl_connect(wire), n;
	char text[8192];

	/* In one piece: what comes behind a head that is refused at once finds nobody. */
	if (body)
		n = snprintf(text, sizeof(text),
			     "%s %s HTTP/1.1\r\nHost: lwnat\r\nContent-Type: application/json\r\n"
			     "Content-Length: %zu\r\n\r\n%s",
			     method, target, strlen(body), body);
	else
		n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: lwnat\r\n\r\n", method,
			     target);
	ck_assert_int_lt(n, (int)sizeof(text));
	ctl_say(fd, text);
	ctl_hear(wire, fd, ret);
	close(fd);
}

void ctl_reply_free(struct ctl_reply *reply)
{
	json_decref(reply->json);
	free(reply->head);
	free(reply->body);
}

json_t *ctl_get(struct wire *wire, const char *target)
{
	struct ctl_reply reply;
	json_t *json;

	ctl_ask(wire, "GET", target, NULL, &reply);
	ck_assert_msg(reply.status == 200, "%s: %s%s", target, reply.head, reply.body);
	ck_assert_msg(reply.json != NULL, "%s: %s", target, reply.body);
	json = json_incref(reply.json);
	ctl_reply_free(&reply);
	return json;
}

void ctl_refused(struct wire *wire, const char *line, const char *body, int status,
		 const char *field)
{
	struct ctl_reply reply;
	char method[16], target[4096];
	const json_t *error;
	const char *blamed;

	ck_assert_int_eq(sscanf(line, "%15s %4095s", method, target), 2);
	ctl_ask(wire, method, target, body, &reply);
	ck_assert_msg(reply.status == status, "%s: %d instead of %d: %s", line, reply.status,
		      status, reply.body);
	error = json_object_get(reply.json, "error");
	ck_assert_msg(json_is_object(error), "%s: %s", line, reply.body);
	ck_assert_int_eq(json_integer_value(json_object_get(error, "status")), status);
	ck_assert(json_is_string(json_object_get(error, "message")));
	blamed = json_string_value(json_object_get(error, "field"));
	ck_assert_msg(field ? blamed && strcmp(field, blamed) == 0 : !blamed,
		      "%s: blames %s instead of %s", line, blamed ? blamed : "nothing",
		      field ? field : "nothing");
	ctl_reply_free(&reply);
}

uint64_t ctl_metric(struct wire *wire, const char *sample)
{
	struct ctl_reply reply;
	double value;

	ctl_ask(wire, "GET", "/metrics", NULL, &reply);
	ck_assert_int_eq(reply.status, 200);
	value = prom_value(reply.body, sample);
	ctl_reply_free(&reply);
	ck_assert(value >= 0);
	return (uint64_t)value;
}
