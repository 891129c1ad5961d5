#include "stack/app/metrics_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 16384

static bool make_room(struct metrics_text *out, size_t len)
{
	size_t room = out->room ? out->room : ROOM_FIRST;
	char *grown;

	if (out->failed)
		return false;
	while (room - out->len < len)
		room *= 2;
	if (room == out->room)
		return true;
	grown = realloc(out->bytes, room);
	if (!grown) {
		out->failed = true;
		return false;
	}
	out->bytes = grown;
	out->room = room;
	return true;
}

static void put(struct metrics_text *out, const char *text, size_t len)
{
	if (!make_room(out, len))
		return;
	memcpy(out->bytes + out->len, text, len);
	out->len += len;
}

static void put_text(struct metrics_text *out, const char *text)
{
	put(out, text, strlen(text));
}

static void put_format(struct metrics_text *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void put_format(struct metrics_text *out, const char *format, ...)
{
	char text[64];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	put_text(out, text);
}

/* Bytes of the UTF-8 character that begins here; 0: none does. */
static size_t utf8_len(const char *text)
{
	unsigned char c = (unsigned char)text[0];
	size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < len; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}

/* Label values escape backslash, quote and line feed; HELP texts are our own. */
static void put_value(struct metrics_text *out, const char *value)
{
	while (*value) {
		size_t len = utf8_len(value);

		if (len == 0)
			return;
		if (*value == '\\' || *value == '"')
			put(out, "\\", 1);
		if (*value == '\n')
			put(out, "\\n", 2);
		else
			put(out, value, len);
		value += len;
	}
}

void metrics_begin(struct metrics_text *out)
{
	*out = (struct metrics_text){0};
}

void metrics_family(struct metrics_text *out, const char *name, enum metrics_type type,
		    const char *help)
{
	out->family = name;
	put_text(out, "# HELP ");
	put_text(out, name);
	put_text(out, " ");
	put_text(out, help);
	put_text(out, "\n# TYPE ");
	put_text(out, name);
	put_text(out, type == METRICS_COUNTER ? " counter\n" : " gauge\n");
}

void metrics_sample(struct metrics_text *out, const struct metrics_label *labels, unsigned labels_n,
		    uint64_t value)
{
	put_text(out, out->family);
	for (unsigned i = 0; i < labels_n; i++) {
		put_text(out, i == 0 ? "{" : ",");
		put_text(out, labels[i].name);
		put_text(out, "=\"");
		put_value(out, labels[i].value);
		put_text(out, "\"");
	}
	if (labels_n)
		put_text(out, "}");
	put_format(out, " %" PRIu64 "\n", value);
}

void metrics_sample_real(struct metrics_text *out, double value)
{
	put_text(out, out->family);
	put_format(out, " %.3f\n", value);
}

void metrics_one(struct metrics_text *out, const char *name, enum metrics_type type,
		 const char *help, uint64_t value)
{
	metrics_family(out, name, type, help);
	metrics_sample(out, NULL, 0, value);
}
