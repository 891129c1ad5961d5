#include "hostfwd/hostfwd.h"

#include <errno.h>
#include <stdio.h>

#define FORM "[tcp|udp]:[hostaddr]:hostport[-last]-[guest]:guestport[-last]"
#define UNIX_FORM "unix:PATH-[guest]:guestport"
#define HOLD_FORM ",hold=SECONDS, 1-3600, behind a tcp or unix rule"
#define MAC_LEN (MAC_TEXT_MAX - 1)

/* A part of the rule's text. */
struct piece {
	const char *at;
	size_t len;
};

struct parser {
	struct piece rest;
	const char *form;
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

	snprintf(p->error, HOSTFWD_ERROR_MAX, "%s '%.*s%s' %s (accepted: %s)", what, len, bad.at,
		 bad.len > 40 ? "..." : "", why, p->form);
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
	size_t len = strcspn(p->rest.at, delimiters);

	return take(p, len < p->rest.len ? len : p->rest.len);
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
		return fail(p, "protocol", word, "is neither tcp, udp nor unix");
	if (!take_char(p, ':'))
		return fail(p, "rule", word, "has no ':' after the protocol");
	*ret = piece_is(word, "udp") ? HOSTFWD_UDP : HOSTFWD_TCP;
	return 0;
}

/* Copies a piece that fits, as a string. */
static bool piece_copy(struct piece piece, char *text, size_t text_max)
{
	if (piece.len >= text_max)
		return false;
	memcpy(text, piece.at, piece.len);
	text[piece.len] = '\0';
	return true;
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
	if (!piece_copy(piece, text, sizeof(text)))
		return fail(p, what, piece, "is no IP address");
	if (addr_parse(text, ret) || addr_is_v4(ret) == bracket)
		return fail(p, what, piece,
			    bracket ? "is no IPv6 address" : "is no IPv4 address (IPv6: in [])");
	return 0;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A DNS label with a letter in it: a number alone is a mistyped address. */
static bool is_name(struct piece piece)
{
	bool letter = false;

	if (piece.len == 0 || piece.len >= HOSTFWD_GUEST_MAX || piece.at[0] == '-' ||
	    piece.at[piece.len - 1] == '-')
		return false;
	for (size_t i = 0; i < piece.len; i++) {
		char c = piece.at[i];

		if (!is_letter(c) && !is_digit(c) && c != '-' && c != '_')
			return false;
		letter |= is_letter(c);
	}
	return letter;
}

/* "@52:54:00:12:34:56:" or "@port1:". */
static int card_take(struct parser *p, struct hostfwd_rule *rule)
{
	char text[MAC_TEXT_MAX];
	struct piece card = {p->rest.at, p->rest.len < 1 + MAC_LEN ? p->rest.len : 1 + MAC_LEN};
	struct mac mac;

	if (card.len == 1 + MAC_LEN &&
	    piece_copy((struct piece){card.at + 1, MAC_LEN}, text, sizeof(text)) &&
	    mac_parse(text, &mac) == 0)
		take(p, card.len);
	else
		card = take_until(p, ":");
	if (card.len < 1 + MAC_LEN && !is_name((struct piece){card.at + 1, card.len - 1}))
		return fail(p, "guest", card, "is no '@', MAC address or port's name");
	if (!take_char(p, ':'))
		return fail(p, "guest", card, "has no ':' and port behind it");
	if (!piece_copy(card, rule->guest, sizeof(rule->guest)))
		return fail(p, "guest", card, "is too long");
	return 0;
}

static int guest_addr_take(struct parser *p, struct hostfwd_rule *rule)
{
	const char *at = p->rest.at;
	const struct addr *a = &rule->guest_addr;
	int err = addr_take(p, "guest address", &rule->guest_addr_given, &rule->guest_addr);

	if (!err && rule->guest_addr_given &&
	    (addr_is_unspecified(a) || addr_is_loopback(a) || addr_is_multicast(a) ||
	     addr_is_broadcast(a)))
		err = fail(p, "guest address", (struct piece){at, (size_t)(p->rest.at - at - 1)},
			   "is not one a guest can have");
	return err;
}

/* Who it is for, and the ':' behind it. */
static int guest_take(struct parser *p, struct hostfwd_rule *rule)
{
	struct parser ahead = *p;
	struct piece name = take_until(&ahead, ":");

	if (p->rest.len && *p->rest.at == '@')
		return card_take(p, rule);
	/* "fec0::15:22" is an address that lacks its brackets. */
	if (!is_name(name) || !take_char(&ahead, ':') || (ahead.rest.len && *ahead.rest.at == ':'))
		return guest_addr_take(p, rule);
	*p = ahead;
	(void)piece_copy(name, rule->guest, sizeof(rule->guest));
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
	if (ret->first == 0 && ret->last != 0)
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
	/* Digits that end in another '-' are the end of the range: no address has one in it. */
	size_t len = strspn(p->rest.at, "0123456789");
	if (len < p->rest.len && p->rest.at[len] == '-') {
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

/* ",hold=SECONDS" at the end, which is taken off. */
static int hold_take(struct parser *p, uint16_t *ret)
{
	static const char word[] = ",hold=";
	const char *at = NULL, *next = strstr(p->rest.at, word);
	struct piece text;
	uint32_t seconds = 0;

	for (; next; next = strstr(next + 1, word))
		at = next;
	if (!at)
		return 0;
	text = (struct piece){at + sizeof(word) - 1, strlen(at + sizeof(word) - 1)};
	p->rest.len = (size_t)(at - p->rest.at);
	for (size_t i = 0; i < text.len && seconds <= HOSTFWD_HOLD_MAX_S; i++)
		seconds = is_digit(text.at[i]) ? seconds * 10 + (uint32_t)(text.at[i] - '0')
					       : HOSTFWD_HOLD_MAX_S + 1;
	if (seconds == 0 || seconds > HOSTFWD_HOLD_MAX_S) {
		p->form = HOLD_FORM;
		return fail(p, "hold", text, "is not 1-3600 seconds");
	}
	*ret = (uint16_t)seconds;
	return 0;
}

/* GUEST:PORT to the end. */
static int unix_guest_take(struct parser *p, struct hostfwd_rule *rule)
{
	uint32_t port = 0;
	int err = guest_take(p, rule);

	if (!err)
		err = port_parse(p, "guest port", p->rest, &port);
	if (!err && port == 0)
		err = fail(p, "guest port", p->rest, "is not a port");
	if (!err)
		rule->guest_port = (uint16_t)port;
	return err;
}

static int unix_path_take(struct parser *p, struct hostfwd_rule *split, struct piece path,
			  struct hostfwd_rule *ret)
{
	if (path.len == 0)
		return fail(p, "path", path, "is missing");
	for (size_t i = 0; i < path.len; i++) {
		if ((unsigned char)path.at[i] < ' ' || path.at[i] == 0x7f)
			return fail(p, "path", path, "has a control character");
	}
	if (!piece_copy(path, split->path, sizeof(split->path)))
		return fail(p, "path", path, "has more than 107 bytes");
	split->ports_n = 1;
	*ret = *split;
	return 0;
}

/* Behind "unix:". A path may have a '-' in it, and so may a name: the first split that gives a
 * guest and a port is meant. */
static int unix_parse(struct parser *p, struct hostfwd_rule *rule)
{
	struct piece all = p->rest;
	int err = 0;

	p->form = UNIX_FORM;
	for (size_t len = 0; len < all.len; len++) {
		struct hostfwd_rule split = *rule;

		if (all.at[len] != '-')
			continue;
		p->rest = (struct piece){all.at + len + 1, all.len - len - 1};
		err = unix_guest_take(p, &split);
		if (err)
			continue;
		return unix_path_take(p, &split, (struct piece){all.at, len}, rule);
	}
	return err ? err : fail(p, "path", all, "has no '-' and guest behind it");
}

static int net_parse(struct parser *p, struct hostfwd_rule *rule)
{
	struct ports host = {0}, guest = {0};
	int err = proto_parse(p, &rule->proto);

	if (!err)
		err = addr_take(p, "host address", &rule->host_addr_given, &rule->host_addr);
	if (!err)
		err = host_ports_take(p, &host);
	if (!err)
		err = guest_take(p, rule);
	if (!err)
		err = guest_ports_take(p, &guest);
	if (!err)
		err = lengths_check(p, &host, &guest);
	if (err)
		return err;
	rule->host_port = (uint16_t)host.first;
	rule->ports_n = (uint16_t)(host.last - host.first + 1);
	rule->guest_port = (uint16_t)guest.first;
	return 0;
}

int hostfwd_parse(const char *text, struct hostfwd_rule *ret, char error[HOSTFWD_ERROR_MAX])
{
	struct parser p = {.rest = {text, strlen(text)}, .form = FORM};
	struct hostfwd_rule rule = {.proto = HOSTFWD_TCP};
	bool is_unix = strncmp(text, "unix:", 5) == 0;
	int err;

	p.error = error;
	err = hold_take(&p, &rule.hold_s);
	if (err)
		return err;
	if (is_unix)
		take(&p, 5);
	err = is_unix ? unix_parse(&p, &rule) : net_parse(&p, &rule);
	if (!err && rule.hold_s && rule.proto == HOSTFWD_UDP) {
		p.form = HOLD_FORM;
		err = fail(&p, "rule", (struct piece){text, strlen(text)},
			   "is for udp, which has no connections to hold");
	}
	if (err)
		return err;
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
	char host[HOSTFWD_PATH_MAX + 24], guest[HOSTFWD_GUEST_MAX], hold[16] = "";
	char addr[ADDR_TEXT_MAX + 2], last[8] = "";

	/* Digits and '-' in front of a name would read as the end of a range. */
	if (rule->ports_n > 1 || rule->guest[strspn(rule->guest, "0123456789")] == '-')
		snprintf(last, sizeof(last), "-%u",
			 (unsigned)(uint16_t)(rule->host_port + rule->ports_n - 1));
	addr_text(addr, rule->host_addr_given, &rule->host_addr);
	if (rule->path[0])
		snprintf(host, sizeof(host), "unix:%s", rule->path);
	else
		snprintf(host, sizeof(host), "%s:%s:%u%s",
			 rule->proto == HOSTFWD_UDP ? "udp" : "tcp", addr, rule->host_port, last);
	addr_text(addr, rule->guest_addr_given, &rule->guest_addr);
	snprintf(guest, sizeof(guest), "%s", rule->guest[0] ? rule->guest : addr);
	if (rule->hold_s)
		snprintf(hold, sizeof(hold), ",hold=%u", rule->hold_s);
	snprintf(text, HOSTFWD_TEXT_MAX, "%s-%s:%u%s", host, guest, rule->guest_port, hold);
	return text;
}

const char *hostfwd_format_guest(const struct hostfwd_rule *rule, char text[HOSTFWD_TEXT_MAX])
{
	char addr[ADDR_TEXT_MAX + 2];

	addr_text(addr, !addr_is_unspecified(&rule->guest_addr), &rule->guest_addr);
	snprintf(text, HOSTFWD_TEXT_MAX, "%s:%u", rule->guest[0] ? rule->guest : addr,
		 rule->guest_port);
	return text;
}
