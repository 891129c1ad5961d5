#include "hostfwd/hostfwd.h"

#include <errno.h>
#include <stdio.h>

#define FORM "[tcp|udp]:[hostaddr]:hostport[-last]-[guestaddr]:guestport[-last]"

/* A part of the rule's text. */
struct piece {
	const char *at;
	size_t len;
};

struct parser {
	struct piece rest;
	char *error; /* HOSTFWD_ERROR_MAX bytes */
};

/* An inclusive range; one port when both are the same. */
struct ports {
	struct piece text;
	uint32_t first, last;
};

/* What is wrong with which part, and how it should look. Always -EINVAL. */
static int fail(struct parser *p, const char *what, struct piece bad, const char *why)
{
	int len = bad.len > 40 ? 40 : (int)bad.len;

	snprintf(p->error, HOSTFWD_ERROR_MAX, "%s '%.*s%s' %s (accepted: " FORM ")", what, len,
		 bad.at, bad.len > 40 ? "..." : "", why);
	for (char *c = p->error; *c; c++) { /* it has to stay one line */
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	return -EINVAL;
}

static bool piece_is(struct piece piece, const char *word)
{
	return piece.len == strlen(word) && memcmp(piece.at, word, piece.len) == 0;
}

static struct piece take(struct parser *p, size_t len)
{
	struct piece piece = {p->rest.at, len};

	p->rest.at += len;
	p->rest.len -= len;
	return piece;
}

/* Takes all before the first of the 'delimiters', which is left; all when there is none. */
static struct piece take_until(struct parser *p, const char *delimiters)
{
	return take(p, strcspn(p->rest.at, delimiters));
}

static bool take_char(struct parser *p, char c)
{
	if (p->rest.len == 0 || *p->rest.at != c)
		return false;
	take(p, 1);
	return true;
}

static int proto_parse(struct parser *p, enum hostfwd_proto *ret)
{
	struct piece word = take_until(p, ":");

	if (word.len && !piece_is(word, "tcp") && !piece_is(word, "udp"))
		return fail(p, "protocol", word, "is neither tcp nor udp");
	if (!take_char(p, ':'))
		return fail(p, "rule", word, "has no ':' after the protocol");
	*ret = piece_is(word, "udp") ? HOSTFWD_UDP : HOSTFWD_TCP;
	return 0;
}

/* An address, or nothing, and the ':' behind it. */
static int addr_take(struct parser *p, const char *what, bool *ret_given, struct addr *ret)
{
	char text[ADDR_TEXT_MAX];
	bool bracket = take_char(p, '[');
	struct piece piece = take_until(p, bracket ? "]" : ":");

	if (bracket && !take_char(p, ']'))
		return fail(p, what, piece, "has no ']' behind it");
	if (!take_char(p, ':'))
		return fail(p, what, piece, "has no ':' and port behind it");
	*ret_given = piece.len > 0 || bracket;
	if (!*ret_given)
		return 0;
	if (piece.len >= sizeof(text))
		return fail(p, what, piece, "is no IP address");
	memcpy(text, piece.at, piece.len);
	text[piece.len] = '\0';
	if (addr_parse(text, ret) || addr_is_v4(ret) == bracket)
		return fail(p, what, piece,
			    bracket ? "is no IPv6 address" : "is no IPv4 address (IPv6: in [])");
	return 0;
}

/* QEMU also takes hexadecimal and octal here; "010" means two things, so neither is taken. */
static int port_parse(struct parser *p, const char *what, struct piece text, uint32_t *ret)
{
	uint32_t port = 0;

	if (text.len == 0)
		return fail(p, what, text, "is missing");
	if (text.len > 1 && text.at[0] == '0')
		return fail(p, what, text,
			    text.at[1] == 'x' || text.at[1] == 'X'
				? "is hexadecimal: write it in decimal"
				: "begins with 0: write it in plain decimal");
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return fail(p, what, text, "is not a number");
		port = port * 10 + (uint32_t)(text.at[i] - '0');
		if (port > 65535)
			return fail(p, what, text, "is over 65535");
	}
	*ret = port;
	return 0;
}

/* PORT or PORT-PORT, where the second is 'last' when it is there. */
static int ports_parse(struct parser *p, const char *what, struct piece first, struct piece last,
		       struct ports *ret)
{
	int err = port_parse(p, what, first, &ret->first);
	if (err)
		return err;
	ret->text = first;
	ret->last = ret->first;
	if (!last.at)
		return 0;

	err = port_parse(p, what, last, &ret->last);
	if (err)
		return err;
	ret->text.len = (size_t)(last.at + last.len - first.at);
	if (ret->first == 0)
		return fail(p, what, ret->text, "is a range from 0");
	if (ret->last < ret->first)
		return fail(p, what, ret->text, "is a range that runs backwards");
	return 0;
}

/* HOSTPORT[-LAST] and the '-' before the guest's part. */
static int host_ports_take(struct parser *p, struct ports *ret)
{
	struct piece first = take_until(p, "-"), last = {NULL, 0};

	if (!take_char(p, '-'))
		return fail(p, "host port", first, "has no '-' and guest behind it");
	/* Neither kind of address has a '-' in it: what ends in one is the end of the range. */
	size_t len = strcspn(p->rest.at, "-:[");
	if (p->rest.at[len] == '-') {
		last = take(p, len);
		take_char(p, '-');
	}
	return ports_parse(p, "host port", first, last, ret);
}

static int guest_ports_take(struct parser *p, struct ports *ret)
{
	struct piece first = take_until(p, "-"), last = {NULL, 0};

	if (take_char(p, '-'))
		last = take(p, p->rest.len);
	int err = ports_parse(p, "guest port", first, last, ret);
	if (err)
		return err;
	return ret->first == 0 ? fail(p, "guest port", ret->text, "is not a port") : 0;
}

static int lengths_check(struct parser *p, const struct ports *host, const struct ports *guest)
{
	uint32_t more = host->last - host->first;

	if (guest->last != guest->first && guest->last - guest->first != more)
		return fail(p, "guest ports", guest->text, "are not as many as the host's");
	if (guest->first + more > 65535)
		return fail(p, "guest port", guest->text, "is too high for a range this long");
	return 0;
}

int hostfwd_parse(const char *text, struct hostfwd_rule *ret, char error[HOSTFWD_ERROR_MAX])
{
	struct parser p = {.rest = {text, strlen(text)}};
	struct hostfwd_rule rule = {.proto = HOSTFWD_TCP};
	struct ports host = {0}, guest = {0};

	p.error = error;
	int err = proto_parse(&p, &rule.proto);
	if (!err)
		err = addr_take(&p, "host address", &rule.host_addr_given, &rule.host_addr);
	if (!err)
		err = host_ports_take(&p, &host);
	const char *guest_at = p.rest.at;
	if (!err)
		err = addr_take(&p, "guest address", &rule.guest_addr_given, &rule.guest_addr);
	const struct addr *a = &rule.guest_addr;
	if (!err && rule.guest_addr_given &&
	    (addr_is_unspecified(a) || addr_is_loopback(a) || addr_is_multicast(a) ||
	     addr_is_broadcast(a)))
		err = fail(&p, "guest address",
			   (struct piece){guest_at, (size_t)(p.rest.at - guest_at - 1)},
			   "is not one a guest can have");
	if (!err)
		err = guest_ports_take(&p, &guest);
	if (!err)
		err = lengths_check(&p, &host, &guest);
	if (err)
		return err;

	rule.host_port = (uint16_t)host.first;
	rule.ports_n = (uint16_t)(host.last - host.first + 1);
	rule.guest_port = (uint16_t)guest.first;
	*ret = rule;
	return 0;
}

/* "1.2.3.4" or "[::1]", or nothing. */
static void addr_text(char text[ADDR_TEXT_MAX + 2], bool given, const struct addr *addr)
{
	char plain[ADDR_TEXT_MAX];

	text[0] = '\0';
	if (given)
		snprintf(text, ADDR_TEXT_MAX + 2, addr_is_v4(addr) ? "%s" : "[%s]",
			 addr_format(addr, plain));
}

const char *hostfwd_format(const struct hostfwd_rule *rule, char text[HOSTFWD_TEXT_MAX])
{
	char host[ADDR_TEXT_MAX + 2], guest[ADDR_TEXT_MAX + 2], last[8] = "";

	addr_text(host, rule->host_addr_given, &rule->host_addr);
	addr_text(guest, rule->guest_addr_given, &rule->guest_addr);
	if (rule->ports_n > 1)
		snprintf(last, sizeof(last), "-%u",
			 (unsigned)(uint16_t)(rule->host_port + rule->ports_n - 1));
	snprintf(text, HOSTFWD_TEXT_MAX, "%s:%s:%u%s-%s:%u",
		 rule->proto == HOSTFWD_UDP ? "udp" : "tcp", host, rule->host_port, last, guest,
		 rule->guest_port);
	return text;
}
