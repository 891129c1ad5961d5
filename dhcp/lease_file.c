#include "dhcp/lease_file.h"

#include "dhcp/dhcpd_msg.h"
#include "stack/base/hex.h"

#include <stdio.h>
#include <string.h>

/* The civil calendar, without a time zone and without the year 2038 (Howard Hinnant's
 * days_from_civil algorithm). */
#define DAY_S 86400
#define YEAR_MIN 1970
#define YEAR_MAX 9999

static const char head[] =
    "# Leases of lwnat: family, client, address, end (UTC), host name.\n"
    "# Written anew after each change; edit only while lwnat is not running.\n"
    "lwnat-leases 1\n";
static const char end[] = "end\n";

static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
	year -= month <= 2;
	int64_t era = year / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

static void date_of(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	days += 719468;
	int64_t era = days / 146097;
	int64_t day_of_era = days - era * 146097;
	int64_t year_of_era =
	    (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
	    day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month = (5 * day_of_year + 2) / 153;
	*ret_day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
	*ret_month = (unsigned)(month < 10 ? month + 3 : month - 9);
	*ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

/* ---- writing */

static void put_text(struct wire_out *out, const char *text)
{
	wire_put_bytes(out, text, strlen(text));
}

static void put_time(struct wire_out *out, int64_t time_s)
{
	int64_t last_s = days_of(YEAR_MAX, 12, 31) * DAY_S + DAY_S - 1;
	char text[40];
	int64_t year;
	unsigned month, day;

	if (time_s > last_s) {
		put_text(out, "never");
		return;
	}
	if (time_s < 0)
		time_s = 0;
	date_of(time_s / DAY_S, &year, &month, &day);
	unsigned second = (unsigned)(time_s % DAY_S);
	snprintf(text, sizeof(text), "%04d-%02u-%02uT%02u:%02u:%02uZ", (int)year, month, day,
		 second / 3600, second / 60 % 60, second % 60);
	put_text(out, text);
}

void lease_file_put_head(struct wire_out *out)
{
	put_text(out, head);
}

void lease_file_put_end(struct wire_out *out)
{
	put_text(out, end);
}

/* "ipv4 52:54:00:12:34:56 10.0.2.15 2026-11-22T14:51:22Z web", "ipv6 DUID/IAID/MAC ADDR ...";
 * the name is "-" when there is none. */
void lease_file_put(struct wire_out *out, const struct lease_record *record)
{
	char text[ADDR_TEXT_MAX > MAC_TEXT_MAX ? ADDR_TEXT_MAX : MAC_TEXT_MAX];

	if (record->kind == LEASE_RECORD_V4) {
		put_text(out, "ipv4 ");
		put_text(out, mac_format(&record->mac, text));
	} else {
		put_text(out, "ipv6 ");
		for (unsigned i = 0; i < record->duid_len; i++) {
			snprintf(text, sizeof(text), "%02x", record->duid[i]);
			put_text(out, text);
		}
		snprintf(text, sizeof(text), "/%u/", (unsigned)record->iaid);
		put_text(out, text);
		put_text(out, mac_format(&record->mac, text));
	}
	put_text(out, " ");
	put_text(out, addr_format(&record->addr, text));
	put_text(out, " ");
	put_time(out, record->expires_s);
	put_text(out, " ");
	put_text(out, record->hostname[0] ? record->hostname : "-");
	put_text(out, "\n");
}

/* ---- reading */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of a line, cut off and NUL-terminated; "" at its end. */
static char *next_word(char **at)
{
	while (is_blank(**at))
		++*at;
	char *word = *at;
	while (**at && !is_blank(**at))
		++*at;
	if (**at)
		*(*at)++ = '\0';
	return word;
}

/* Exactly 'len' decimal digits. */
static bool get_digits(const char **at, unsigned len, unsigned *ret)
{
	unsigned value = 0;
	for (; len > 0; len--, ++*at) {
		if (**at < '0' || **at > '9')
			return false;
		value = value * 10 + (unsigned)(**at - '0');
	}
	*ret = value;
	return true;
}

static bool get_char(const char **at, char c)
{
	return *(*at)++ == c;
}

static bool parse_time(const char *text, int64_t *ret)
{
	unsigned year, month, day, hour, minute, second;

	if (strcmp(text, "never") == 0) {
		*ret = LEASE_FOR_EVER;
		return true;
	}
	if (strlen(text) != strlen("2026-11-22T14:51:22Z"))
		return false;
	if (!get_digits(&text, 4, &year) || !get_char(&text, '-') ||
	    !get_digits(&text, 2, &month) || !get_char(&text, '-') || !get_digits(&text, 2, &day) ||
	    !get_char(&text, 'T') || !get_digits(&text, 2, &hour) || !get_char(&text, ':') ||
	    !get_digits(&text, 2, &minute) || !get_char(&text, ':') ||
	    !get_digits(&text, 2, &second) || !get_char(&text, 'Z'))
		return false;
	if (year < YEAR_MIN || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
	    minute > 59 || second > 59)
		return false;
	*ret = days_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
	return true;
}

static bool parse_iaid(const char *text, size_t len, uint32_t *ret)
{
	uint64_t value = 0;

	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text[i] - '0');
		if (value > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)value;
	return true;
}

/* "DUID/IAID/MAC", the first in hexadecimal. */
static bool parse_duid(const char *text, struct lease_record *ret)
{
	unsigned n = 0;
	for (; *text && *text != '/'; text += 2) {
		int byte = hex_byte(text);
		if (byte < 0 || n == LEASE_DUID_MAX)
			return false;
		ret->duid[n++] = (uint8_t)byte;
	}
	ret->duid_len = (uint8_t)n;
	size_t iaid_len = *text == '/' ? strcspn(text + 1, "/") : 0;
	return n > 0 && *text == '/' && parse_iaid(text + 1, iaid_len, &ret->iaid) &&
	       text[1 + iaid_len] == '/' && mac_parse(text + 2 + iaid_len, &ret->mac) == 0;
}

static bool parse_hostname(const char *text, char ret[DHCPD_HOSTNAME_MAX])
{
	ret[0] = '\0';
	if (strcmp(text, "-") == 0)
		return true;
	dhcpd_hostname_clean(text, strlen(text), ret);
	return *text && strcmp(text, ret) == 0;
}

static bool parse_record(char *line, struct lease_record *ret)
{
	const char *family = next_word(&line), *client = next_word(&line);
	const char *addr = next_word(&line), *expires = next_word(&line);
	const char *hostname = next_word(&line), *more = next_word(&line);

	*ret = (struct lease_record){.kind = LEASE_RECORD_V4};
	if (strcmp(family, "ipv6") == 0)
		ret->kind = LEASE_RECORD_V6;
	else if (strcmp(family, "ipv4") != 0)
		return false;
	if (ret->kind == LEASE_RECORD_V4 ? mac_parse(client, &ret->mac) < 0
					 : !parse_duid(client, ret))
		return false;
	return addr_parse(addr, &ret->addr) == 0 &&
	       addr_is_v4(&ret->addr) == (ret->kind == LEASE_RECORD_V4) &&
	       parse_time(expires, &ret->expires_s) && parse_hostname(hostname, ret->hostname) &&
	       *more == '\0';
}

/* A line as a string; false when it is too long or holds a NUL. */
static bool copy_line(const char *text, size_t len, char ret[LEASE_FILE_LINE_MAX])
{
	if (len >= LEASE_FILE_LINE_MAX || memchr(text, '\0', len))
		return false;
	memcpy(ret, text, len);
	ret[len] = '\0';
	return true;
}

struct reading {
	bool headed, ended;
	void (*take)(void *ctx, const struct lease_record *record);
	void *ctx;
};

/* False when the line is none that may stand here. */
static bool read_line(struct reading *r, const char *text, size_t len)
{
	char line[LEASE_FILE_LINE_MAX];
	struct lease_record record;

	if (!copy_line(text, len, line))
		return false;
	if (line[strspn(line, " \t\r")] == '\0' || line[0] == '#')
		return true;
	if (strcmp(line, "lwnat-leases 1") == 0) {
		bool first = !r->headed;
		r->headed = true;
		return first;
	}
	if (strcmp(line, "end") == 0) {
		bool in_place = r->headed && !r->ended;
		r->ended = true;
		return in_place;
	}
	bool in_place = r->headed && !r->ended;
	if (!parse_record(line, &record))
		return false;
	r->take(r->ctx, &record);
	return in_place;
}

unsigned lease_file_parse(const char *text, size_t len,
			  void (*take)(void *ctx, const struct lease_record *record), void *ctx)
{
	struct reading r = {.take = take, .ctx = ctx};
	unsigned line_n = 0, bad_line = 0;
	size_t at = 0;

	while (at < len) {
		const char *newline = memchr(text + at, '\n', len - at);
		size_t line_len = newline ? (size_t)(newline - text) - at : len - at;

		line_n++;
		/* A last line without its newline was cut off. */
		if ((!newline || !read_line(&r, text + at, line_len)) && !bad_line)
			bad_line = line_n;
		at += line_len + 1;
	}
	if (!r.ended && !bad_line)
		bad_line = line_n + 1;
	return bad_line;
}
