#include "stack/app/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2                /* spaces between columns */
#define LINE_COLUMNS_MAX 512 /* of any terminal */

void table_init(struct table *t, char *headings)
{
	memset(t, 0, sizeof(*t));
	while (headings && t->columns_n < TABLE_COLUMNS_MAX)
		t->heading[t->columns_n++] = strsep(&headings, "|");
}

static bool grow(struct table *t)
{
	unsigned room = 2 * t->cells_room + 16 * t->columns_n;
	char **cell;

	if (t->cells_n < t->cells_room)
		return true;
	cell = realloc(t->cell, room * sizeof(*cell));
	if (!cell)
		return false;
	t->cell = cell;
	t->cells_room = room;
	return true;
}

void table_add(struct table *t, const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0 || !grow(t)) {
		t->failed = 1;
		if (n >= 0)
			free(text);
		return;
	}
	for (char *c = text; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	t->cell[t->cells_n++] = text;
}

static bool is_right(const char *heading)
{
	return heading[0] == '>';
}

static const char *bare(const char *heading)
{
	return is_right(heading) ? heading + 1 : heading;
}

/* One cell, padded; returns the column behind it. */
static unsigned print_cell(char *line, unsigned at, const char *text, unsigned width, bool right)
{
	unsigned len = (unsigned)strlen(text), pad = width > len ? width - len : 0;

	for (unsigned i = 0; right && i < pad && at < LINE_COLUMNS_MAX; i++)
		line[at++] = ' ';
	for (unsigned i = 0; i < len && at < LINE_COLUMNS_MAX; i++)
		line[at++] = text[i];
	for (unsigned i = 0; !right && i < pad && at < LINE_COLUMNS_MAX; i++)
		line[at++] = ' ';
	return at;
}

static void print_row(const struct table *t, FILE *out, const char *const cells[],
		      const unsigned widths[])
{
	char line[LINE_COLUMNS_MAX + 1] = "";
	unsigned at = 0;

	for (unsigned i = 0; i < t->columns_n; i++) {
		if (i > 0)
			at = print_cell(line, at, "", GAP, false);
		at = print_cell(line, at, cells[i], widths[i], is_right(t->heading[i]));
	}
	if (widths[t->columns_n] > 0 && at > widths[t->columns_n])
		at = widths[t->columns_n];
	while (at > 0 && line[at - 1] == ' ')
		at--;
	line[at] = '\0';
	fprintf(out, "%s\n", line);
}

void table_print(struct table *t, FILE *out, unsigned width)
{
	unsigned widths[TABLE_COLUMNS_MAX + 1] = {0};
	unsigned n = t->columns_n > 0 ? t->columns_n : 1;
	const char *headings[TABLE_COLUMNS_MAX] = {NULL};

	widths[n] = width;
	for (unsigned i = 0; i < n; i++) {
		headings[i] = bare(t->heading[i]);
		widths[i] = (unsigned)strlen(headings[i]);
	}
	for (unsigned i = 0; i < t->cells_n; i++) {
		unsigned len = (unsigned)strlen(t->cell[i]);

		if (len > widths[i % n])
			widths[i % n] = len;
	}
	print_row(t, out, headings, widths);
	for (unsigned i = 0; i + n <= t->cells_n; i += n)
		print_row(t, out, (const char *const *)&t->cell[i], widths);
	if (t->failed)
		fputs("(more than there is memory for)\n", out);
	for (unsigned i = 0; i < t->cells_n; i++)
		free(t->cell[i]);
	free(t->cell);
	t->cell = NULL;
	t->cells_n = t->cells_room = 0;
}

const char *table_bytes(double bytes, char text[TABLE_UNIT_MAX])
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
	unsigned i = 0;

	/* What would be printed as "1000" is the next unit's. */
	for (; bytes >= (i == 0 ? 1000 : 999.5) && i + 1 < sizeof(units) / sizeof(units[0]); i++)
		bytes /= 1000;
	snprintf(text, TABLE_UNIT_MAX, i == 0 || bytes >= 99.95 ? "%.0f %s" : "%.1f %s", bytes,
		 units[i]);
	return text;
}

const char *table_seconds(double s, char text[TABLE_UNIT_MAX])
{
	if (s < 9.95)
		snprintf(text, TABLE_UNIT_MAX, "%.1f s", s);
	else if (s < 120)
		snprintf(text, TABLE_UNIT_MAX, "%.0f s", s);
	else if (s < 2 * 3600.0)
		snprintf(text, TABLE_UNIT_MAX, "%.0f min", s / 60);
	else if (s < 48 * 3600.0)
		snprintf(text, TABLE_UNIT_MAX, "%.0f h", s / 3600);
	else
		snprintf(text, TABLE_UNIT_MAX, "%.0f d", s / 86400 < 1e6 ? s / 86400 : 1e6);
	return text;
}
