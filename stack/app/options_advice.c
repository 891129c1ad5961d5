#include "stack/app/options_table.h"

#include <string.h>

#define WORD_LEN_MAX 31  /* bytes of a word that a near one is looked for */
#define DISTANCE_NONE 99 /* further than any two words are */

struct option_hint {
	const char *word, *text;
};

#define SECTION(text)
#define OPTION(name, letter, field, type, arg, preset, min, max, qemu, help)
#define HINT(word, text) {word, text},
static const struct option_hint option_hints[] = {
#include "stack/app/options.def"
};
#undef SECTION
#undef OPTION
#undef HINT

const struct option_row *option_row_by_name(const char *name, size_t len)
{
	for (unsigned i = 0; i < option_rows_n; i++) {
		const struct option_row *row = &option_rows[i];

		if (row->name && strlen(row->name) == len && memcmp(row->name, name, len) == 0)
			return row;
	}
	return NULL;
}

const struct option_row *option_row_by_letter(char letter)
{
	for (unsigned i = 0; i < option_rows_n; i++) {
		if (option_rows[i].letter != 0 && option_rows[i].letter == letter)
			return &option_rows[i];
	}
	return NULL;
}

const struct option_row *option_row_by_qemu(const char *word)
{
	for (unsigned i = 0; i < option_rows_n; i++) {
		if (option_rows[i].qemu && strcmp(option_rows[i].qemu, word) == 0)
			return &option_rows[i];
	}
	return NULL;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Levenshtein's distance: insertions, deletions and changes of one byte. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_LEN_MAX + 1];
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > WORD_LEN_MAX || b_len > WORD_LEN_MAX)
		return DISTANCE_NONE;
	for (unsigned j = 0; j <= b_len; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			unsigned above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[b_len];
}

static const char *nearest(const char *word, bool qemu_words_only)
{
	size_t len = strlen(word);
	unsigned best =
	    1 + (unsigned)(len < 9 ? len / 3 : 3); /* from here on it is no typing error */
	const char *ret = NULL;

	for (unsigned i = 0; i < option_rows_n; i++) {
		const struct option_row *row = &option_rows[i];
		const char *name = qemu_words_only ? row->qemu : row->name;
		unsigned d;

		if (!name)
			continue;
		d = len >= 3 && strncmp(name, word, len) == 0 ? 0 : distance(word, name);
		if (d < best) {
			best = d;
			ret = name;
		}
	}
	return ret;
}

const char *option_advice(const char *word, bool qemu_words_only, char out[OPTION_ADVICE_MAX])
{
	const char *near = nearest(word, qemu_words_only);

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(option_hints) / sizeof(option_hints[0]); i++) {
		if (strcmp(option_hints[i].word, word) == 0) {
			snprintf(out, OPTION_ADVICE_MAX, ": %s", option_hints[i].text);
			return out;
		}
	}
	if (qemu_words_only && option_row_by_name(word, strlen(word)))
		snprintf(out, OPTION_ADVICE_MAX, ": write --%s beside --netdev", word);
	else if (near && qemu_words_only)
		snprintf(out, OPTION_ADVICE_MAX, " (did you mean %s=?)", near);
	else if (near)
		snprintf(out, OPTION_ADVICE_MAX, " (did you mean --%s?)", near);
	return out;
}
