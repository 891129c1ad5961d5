#include "stack/app/options_table.h"

#include <errno.h>
#include <string.h>

#define WORD_MAX 512 /* bytes of "NAME=VALUE" with NUL: more than any value may have */

/* The next "NAME=VALUE" up to a single comma; two commas stand for one in the value. -EINVAL when
 * it does not fit. */
static int next_word(const char **at, char word[WORD_MAX])
{
	size_t n = 0;

	for (; **at != '\0'; (*at)++) {
		if (**at == ',' && (*at)[1] != ',') {
			(*at)++;
			break;
		}
		if (**at == ',')
			(*at)++;
		if (n == WORD_MAX - 1)
			return -EINVAL;
		word[n++] = **at;
	}
	word[n] = '\0';
	return 0;
}

static int unknown_word(struct setting *s, const char *word)
{
	char quoted[OPTIONS_QUOTE_MAX], advice[OPTION_ADVICE_MAX];

	return setting_fail(s, "'%s' is no word of -netdev user%s", options_quote(word, quoted),
			    option_advice(word, true, advice));
}

static int set_id(struct setting *s, const char *id)
{
	if (!id || *id == '\0')
		return setting_fail(s, "id: needs a value");
	if (strlen(id) >= sizeof(s->options->netdev))
		return setting_fail(s, "id: is too long");
	memcpy(s->options->netdev, id, strlen(id) + 1);
	return 0;
}

static bool is_bool_row(const struct option_row *row)
{
	return row->arg && strcmp(row->arg, "on|off") == 0;
}

/* 'value' is NULL for a word without '='. */
static int apply_word(struct setting *s, const char *word, const char *value)
{
	const struct option_row *row = option_row_by_qemu(word);
	struct setting inner = {.row = row,
				.value = value,
				.options = s->options,
				.in_netdev = s->in_netdev,
				.given = s->given};

	if (strcmp(word, "id") == 0)
		return set_id(s, value);
	if (!row)
		return unknown_word(s, word);
	if (!value && !is_bool_row(row))
		return setting_fail(s, "%s needs a value (accepted: %s=%s)", word, word, row->arg);
	if (!value)
		inner.value = "on";
	if (setting_apply(&inner) < 0)
		return setting_fail(s, "%s%s%s", word, inner.reason_is_whole ? ": " : "=",
				    inner.reason);
	*s->in_netdev |= UINT64_C(1) << (row - option_rows);
	return 0;
}

/* The first word says the type, with or without "type="; left out, it is user as well. */
static int check_type(struct setting *s, const char *word, bool *ret_is_type)
{
	const char *type = strncmp(word, "type=", 5) == 0 ? word + 5 : word;
	char quoted[OPTIONS_QUOTE_MAX];

	*ret_is_type = type != word || (!strchr(word, '=') && !option_row_by_qemu(word));
	if (*ret_is_type && strcmp(type, "user") != 0)
		return setting_fail(s, "'%s': only user networks are served (accepted: %s)",
				    options_quote(type, quoted), s->row->arg);
	return 0;
}

int options_set_netdev(struct setting *s)
{
	const char *at = s->value;
	bool first = true, is_type = false;
	char word[WORD_MAX];

	s->reason_is_whole = true;
	if (*at == '\0')
		return setting_fail(s, "is empty (accepted: %s)", s->row->arg);
	while (*at != '\0') {
		char *value;

		if (next_word(&at, word) < 0)
			return setting_fail(s, "a word has more than %d bytes", WORD_MAX - 1);
		if (first && check_type(s, word, &is_type) < 0)
			return -EINVAL;
		if (first && is_type) {
			first = false;
			continue;
		}
		first = false;
		value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		if (apply_word(s, word, value) < 0)
			return -EINVAL;
	}
	return 0;
}
