#include "hostfwd/guestfwd.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define FORM "[tcp]:[ADDR]:PORT-TARGET, TARGET being tcp:HOST:PORT, unix:PATH or cmd:COMMAND"
#define QUOTED_MAX 60 /* bytes of a bad part that an error repeats */

struct piece {
	const char *at;
	size_t len;
};

struct parser {
	const char *rest;
	char *error; /* GUESTFWD_ERROR_MAX bytes */
};

/* What is wrong with which part, and how it should look. Always -EINVAL. */
static int fail(struct parser *p, const char *what, struct piece bad, const char *why)
{
	int len = bad.len > QUOTED_MAX ? QUOTED_MAX : (int)bad.len;

	snprintf(p->error, GUESTFWD_ERROR_MAX, "%s '%.*s%s' %s (accepted: " FORM ")", what, len,
		 bad.at, bad.len > QUOTED_MAX ? "..." : "", why);
	for (char *c = p->error; *c; c++) { /* it has to stay one line */
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	return -EINVAL;
}

static struct piece whole(const char *text)
{
	return (struct piece){text, strlen(text)};
}

static bool piece_is(struct piece piece, const char *word)
{
	return piece.len == strlen(word) && memcmp(piece.at, word, piece.len) == 0;
}

static struct piece take_until(struct parser *p, const char *delimiters)
{
	struct piece piece = {p->rest, strcspn(p->rest, delimiters)};

	p->rest += piece.len;
	return piece;
}

static bool take_char(struct parser *p, char c)
{
	if (*p->rest != c)
		return false;
	p->rest++;
	return true;
}

/* "10.0.2.100" or "[fec0::100]", or nothing, and the ':' behind it. */
static int take_addr(struct parser *p, struct guestfwd_rule *ret)
{
	bool bracket = take_char(p, '[');
	struct piece piece = take_until(p, bracket ? "]" : ":");
	char text[ADDR_TEXT_MAX];

	if (bracket && !take_char(p, ']'))
		return fail(p, "address", piece, "has no ']' behind it");
	if (!take_char(p, ':'))
		return fail(p, "address", piece, "has no ':' and port behind it");
	ret->addr_given = piece.len > 0 || bracket;
	if (!ret->addr_given)
		return 0;
	if (piece.len >= sizeof(text))
		return fail(p, "address", piece, "is no IP address");
	memcpy(text, piece.at, piece.len);
	text[piece.len] = '\0';
	if (addr_parse(text, &ret->addr) || addr_is_v4(&ret->addr) == bracket)
		return fail(p, "address", piece,
			    bracket ? "is no IPv6 address" : "is no IPv4 address (IPv6: in [])");
	return 0;
}

static int parse_port(struct parser *p, struct piece text, uint16_t *ret)
{
	uint32_t port = 0;

	if (text.len == 0)
		return fail(p, "port", text, "is missing");
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return fail(p, "port", text, "is no number");
		port = port * 10 + (uint32_t)(text.at[i] - '0');
		if (port > UINT16_MAX)
			return fail(p, "port", text, "is over 65535");
	}
	if (port == 0)
		return fail(p, "port", text, "is no port");
	if (text.at[0] == '0')
		return fail(p, "port", text, "begins with 0: write it in plain decimal");
	*ret = (uint16_t)port;
	return 0;
}

/* Everything up to the '-' before the target. */
static int parse_place(struct parser *p, struct guestfwd_rule *ret)
{
	struct piece proto = take_until(p, ":");
	struct piece port;
	int err;

	if (!take_char(p, ':'))
		return fail(p, "rule", proto, "has no ':' behind the protocol");
	if (proto.len && !piece_is(proto, "tcp"))
		return fail(p, "protocol", proto, "is not tcp");
	err = take_addr(p, ret);
	if (err < 0)
		return err;
	port = take_until(p, "-");
	if (!take_char(p, '-'))
		return fail(p, "port", port, "has no '-' and target behind it");
	return parse_port(p, port, &ret->port);
}

/* QEMU's options of a character device; those that change nothing here are passed over. */
static int check_device_options(struct parser *p)
{
	static const char *const harmless[] = {"nodelay", "nodelay=on", "nodelay=off", "server=off",
					       "delay"};

	while (take_char(p, ',')) {
		struct piece option = take_until(p, ",");
		bool known = option.len > 10 && strncmp(option.at, "reconnect=", 10) == 0;

		for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
			known |= piece_is(option, harmless[i]);
		if (!known)
			return fail(p, "option", option,
				    "is not served: lwnat connects to the target");
	}
	return 0;
}

static bool is_host_text(struct piece host, bool bracket)
{
	for (size_t i = 0; i < host.len; i++) {
		if (!isalnum((unsigned char)host.at[i]) &&
		    !strchr(bracket ? ":.%" : "._-", host.at[i]))
			return false;
	}
	return host.len > 0 && host.len <= 255;
}

static int parse_tcp(struct parser *p, struct guestfwd_rule *ret)
{
	bool bracket = take_char(p, '[');
	struct piece host = take_until(p, bracket ? "]" : ":");
	int err;

	if (bracket && !take_char(p, ']'))
		return fail(p, "target host", host, "has no ']' behind it");
	if (!take_char(p, ':'))
		return fail(p, "target host", host, "has no ':' and port behind it");
	if (!is_host_text(host, bracket))
		return fail(p, "target host", host, "is no address and no name");
	err = parse_port(p, take_until(p, ","), &ret->target_port);
	if (err < 0)
		return err;
	memcpy(ret->target, host.at, host.len);
	ret->target[host.len] = '\0';
	return check_device_options(p);
}

static int parse_unix(struct parser *p, struct guestfwd_rule *ret)
{
	struct piece path = whole(p->rest);

	if (strstr(path.at, ",server") || strstr(path.at, ",path="))
		return fail(p, "target", path, "has options: lwnat connects to the plain path");
	if (path.len == 0)
		return fail(p, "target path", path, "is missing");
	if (path.len > GUESTFWD_UNIX_PATH_MAX)
		return fail(p, "target path", path, "has more than 107 bytes");
	memcpy(ret->target, path.at, path.len + 1);
	return 0;
}

static int parse_cmd(struct parser *p, struct guestfwd_rule *ret)
{
	struct piece command = whole(p->rest);

	if (strspn(command.at, " \t") == command.len)
		return fail(p, "command", command, "is missing");
	if (command.len >= sizeof(ret->target))
		return fail(p, "command", command, "is too long");
	memcpy(ret->target, command.at, command.len + 1);
	return 0;
}

/* The kinds of -chardev (QEMU's docs/system, "Character device options"): they live in QEMU. */
static bool is_qemu_device(struct piece word)
{
	static const char *const kinds[] = {
	    "chardev", "null",     "udp",   "socket",  "vc",        "ringbuf", "file", "pipe",
	    "pty",     "msmouse",  "stdio", "braille", "testdev",   "serial",  "tty",  "parallel",
	    "parport", "spicevmc", "mon",   "telnet",  "websocket", "con",     "fdset"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (piece_is(word, kinds[i]))
			return true;
	}
	return false;
}

static int parse_target(struct parser *p, struct guestfwd_rule *ret)
{
	struct piece target = whole(p->rest), kind = take_until(p, ":");

	if (is_qemu_device(kind))
		return fail(p, "target", target,
			    "is a character device of QEMU's, which lwnat cannot reach");
	if (piece_is(kind, "tcp") && take_char(p, ':')) {
		ret->kind = GUESTFWD_TCP;
		return parse_tcp(p, ret);
	}
	if (piece_is(kind, "unix") && take_char(p, ':')) {
		ret->kind = GUESTFWD_UNIX;
		return parse_unix(p, ret);
	}
	if (piece_is(kind, "cmd") && take_char(p, ':')) {
		ret->kind = GUESTFWD_CMD;
		return parse_cmd(p, ret);
	}
	return fail(p, "target", target, "is none that is served");
}

int guestfwd_parse(const char *text, struct guestfwd_rule *ret, char error[GUESTFWD_ERROR_MAX])
{
	struct parser p = {.rest = text};
	struct guestfwd_rule rule = {.kind = GUESTFWD_TCP};
	int err;

	p.error = error;
	err = parse_place(&p, &rule);

	if (err == 0)
		err = parse_target(&p, &rule);
	if (err == 0)
		*ret = rule;
	return err;
}

const char *guestfwd_format(const struct guestfwd_rule *rule, char text[GUESTFWD_TEXT_MAX])
{
	bool v6_target = rule->kind == GUESTFWD_TCP && strchr(rule->target, ':') != NULL;
	struct endpoint at = {rule->addr, rule->port};
	char place[ENDPOINT_TEXT_MAX];
	int n;

	if (!rule->addr_given && addr_is_unspecified(&rule->addr))
		snprintf(place, sizeof(place), ":%u", rule->port);
	else
		endpoint_format(&at, place);
	n = snprintf(text, GUESTFWD_TEXT_MAX, "tcp:%s-%s:%s%s%s", place,
		     rule->kind == GUESTFWD_TCP    ? "tcp"
		     : rule->kind == GUESTFWD_UNIX ? "unix"
						   : "cmd",
		     v6_target ? "[" : "", rule->target, v6_target ? "]" : "");
	if (rule->kind == GUESTFWD_TCP && n > 0 && n < GUESTFWD_TEXT_MAX)
		snprintf(text + n, (size_t)(GUESTFWD_TEXT_MAX - n), ":%u", rule->target_port);
	return text;
}

bool guestfwd_overlap(const struct guestfwd_rule *a, const struct guestfwd_rule *b)
{
	return a->port == b->port && addr_eq(&a->addr, &b->addr);
}
