#include "tests/support/prom.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FAMILIES_MAX 200
#define SAMPLES_MAX 4000
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"
#define LINE_MAX_LEN 2000

struct prom {
	char *families[FAMILIES_MAX];
	unsigned families_n;
	char *samples[SAMPLES_MAX];
	unsigned samples_n;
	bool has_type, is_counter;
	char line[LINE_MAX_LEN];
};

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* The name at 'at', cut out; *ret_end is behind it. */
static char *take_name(const struct prom *p, const char *at, const char **ret_end)
{
	size_t len = strspn(at, NAME_CHARS);

	ck_assert_msg(len > 0 && (at[0] < '0' || at[0] > '9'), "no name: %s", p->line);
	*ret_end = at + len;
	return strndup(at, len);
}

static void take_help(struct prom *p)
{
	const char *end;
	char *name = take_name(p, p->line + 7, &end);

	ck_assert_msg(*end == ' ' && strlen(end) > 5, "no help: %s", p->line);
	for (const char *c = end; *c; c++)
		ck_assert_msg(*c != '\\' || c[1] == '\\' || c[1] == 'n', "escape: %s", p->line);
	for (unsigned i = 0; i < p->families_n; i++)
		ck_assert_msg(strcmp(p->families[i], name) != 0, "twice: %s", p->line);
	ck_assert_msg(p->families_n == 0 || p->has_type, "no TYPE before: %s", p->line);
	ck_assert_uint_lt(p->families_n, FAMILIES_MAX);
	p->families[p->families_n++] = name;
	p->has_type = false;
}

static void take_type(struct prom *p)
{
	const char *end;
	char *name = take_name(p, p->line + 7, &end);

	ck_assert_msg(p->families_n && strcmp(p->families[p->families_n - 1], name) == 0 &&
			  !p->has_type,
		      "TYPE without its HELP: %s", p->line);
	p->is_counter = strcmp(end, " counter") == 0;
	ck_assert_msg(p->is_counter || strcmp(end, " gauge") == 0, "type: %s", p->line);
	ck_assert_msg(p->is_counter == ends_with(name, "_total"), "name: %s", p->line);
	p->has_type = true;
	free(name);
}

/* Behind the closing brace. */
static const char *skip_labels(const struct prom *p, const char *at)
{
	do {
		const char *end;

		free(take_name(p, at + 1, &end));
		ck_assert_msg(end[0] == '=' && end[1] == '"', "label: %s", p->line);
		for (at = end + 2; *at && *at != '"'; at++) {
			if (*at == '\\') {
				at++;
				ck_assert_msg(*at == '\\' || *at == '"' || *at == 'n', "escape: %s",
					      p->line);
			}
		}
		ck_assert_msg(*at == '"', "quote: %s", p->line);
		at++;
	} while (*at == ',');
	ck_assert_msg(*at == '}', "brace: %s", p->line);
	return at + 1;
}

static void take_sample(struct prom *p)
{
	const char *end;
	char *name = take_name(p, p->line, &end), *rest;
	double value;

	ck_assert_msg(p->families_n && p->has_type &&
			  strcmp(p->families[p->families_n - 1], name) == 0,
		      "sample outside of its family: %s", p->line);
	free(name);
	if (*end == '{')
		end = skip_labels(p, end);
	ck_assert_msg(*end == ' ' && end[1] != ' ', "value: %s", p->line);
	value = strtod(end + 1, &rest);
	ck_assert_msg(rest > end + 1 && *rest == '\0', "value: %s", p->line);
	ck_assert_msg(value >= 0, "negative: %s", p->line);
	name = strndup(p->line, (size_t)(end - p->line));
	for (unsigned i = 0; i < p->samples_n; i++)
		ck_assert_msg(strcmp(p->samples[i], name) != 0, "twice: %s", p->line);
	ck_assert_uint_lt(p->samples_n, SAMPLES_MAX);
	p->samples[p->samples_n++] = name;
}

void prom_check(const char *text, size_t len)
{
	struct prom *p = calloc(1, sizeof(*p));

	ck_assert_uint_gt(len, 0);
	ck_assert_uint_eq(strlen(text), len);
	ck_assert_int_eq(text[len - 1], '\n');
	while (*text) {
		size_t line = strcspn(text, "\n");

		ck_assert_uint_lt(line, LINE_MAX_LEN);
		memcpy(p->line, text, line);
		p->line[line] = '\0';
		text += line + 1;
		if (strncmp(p->line, "# HELP ", 7) == 0)
			take_help(p);
		else if (strncmp(p->line, "# TYPE ", 7) == 0)
			take_type(p);
		else
			take_sample(p);
	}
	for (unsigned i = 0; i < p->families_n; i++)
		free(p->families[i]);
	for (unsigned i = 0; i < p->samples_n; i++)
		free(p->samples[i]);
	free(p);
}

double prom_value(const char *text, const char *sample)
{
	size_t len = strlen(sample);

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, sample, len) == 0 && at[len] == ' ')
			return strtod(at + len + 1, NULL);
	}
	return -1;
}
