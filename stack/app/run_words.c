#include "stack/app/run_words.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* A value up to a single comma, written to *to without the doubling. Returns what follows. */
static const char *take_value(const char *at, char **to)
{
	while (*at != '\0') {
		if (*at == ',' && at[1] != ',')
			break;
		if (*at == ',')
			at++;
		*(*to)++ = *at++;
	}
	*(*to)++ = '\0';
	return *at == ',' ? at + 1 : at;
}

static const char *take_name(const char *at, size_t len, char **to)
{
	memcpy(*to, at, len);
	*to += len;
	*(*to)++ = '\0';
	return at + len;
}

/* get_opt_name_value() of QEMU's util/qemu-option.c: a bare word is a flag, and one that begins
 * with "no" the opposite of the rest. */
static const char *take_word(struct run_words *words, const char *at, char **to)
{
	struct run_word *word = &words->word[words->n];
	size_t len = strcspn(at, "=,");
	bool negated = strncmp(at, "no", 2) == 0;

	if (at[len] == '=') {
		word->name = *to;
		at = take_name(at, len, to);
		word->value = *to;
		at = take_value(at + 1, to);
	} else if (words->n == 0) {
		word->name = (char *)"type";
		word->value = *to;
		at = take_value(at, to);
	} else {
		word->name = *to;
		at = take_name(negated ? at + 2 : at, negated ? len - 2 : len, to);
		at += *at == ',';
		word->value = (char *)(negated ? "off" : "on");
	}
	words->n++;
	return at;
}

static int parse_text(struct run_words *ret, const char *string)
{
	size_t len = strlen(string), words_max = 1;
	char *to;

	for (const char *at = string; *at != '\0'; at++)
		words_max += *at == ',';
	ret->word = calloc(words_max, sizeof(*ret->word));
	/* A name's NUL takes the place of its '=' or ',', a value's that of its ',' or the end. */
	ret->text = to = malloc(len + words_max + 1);
	if (!ret->word || !to)
		return -ENOMEM;
	while (*string != '\0')
		string = take_word(ret, string, &to);
	return 0;
}

/* ---- JSON ---- */

/* As text to *to, or only its length where 'to' is NULL; -EINVAL when it is no plain value. */
static int scalar_text(const json_t *value, char *to, size_t to_max)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		return snprintf(to, to_max, "%s", json_string_value(value));
	case JSON_INTEGER:
		return snprintf(to, to_max, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	case JSON_TRUE:
		return snprintf(to, to_max, "on");
	case JSON_FALSE:
		return snprintf(to, to_max, "off");
	default:
		return -EINVAL;
	}
}

struct json_walk {
	struct run_words *ret; /* NULL: only counts */
	size_t words_n, text_len;
};

static int add_scalar(struct json_walk *w, const char *name, const json_t *value)
{
	int len = scalar_text(value, NULL, 0);

	if (len < 0)
		return len;
	if (w->ret) {
		struct run_word *word = &w->ret->word[w->ret->n++];

		word->name = memcpy(w->ret->text + w->text_len, name, strlen(name) + 1);
		word->value = word->name + strlen(name) + 1;
		scalar_text(value, word->value, (size_t)len + 1);
	}
	w->words_n++;
	w->text_len += strlen(name) + 1 + (size_t)len + 1;
	return 0;
}

/* A list's elements are {"str": VALUE}: 'hostfwd' and its like (qapi/net.json, String). */
static int walk_json(struct json_walk *w, json_t *object)
{
	const char *name;
	json_t *value;
	int result = 0;

	json_object_foreach(object, name, value)
	{
		size_t elements_n = json_array_size(value);

		if (!json_is_array(value))
			result = add_scalar(w, name, value);
		for (size_t i = 0; i < elements_n && result == 0; i++) {
			json_t *text = json_object_get(json_array_get(value, i), "str");

			result = json_is_string(text) ? add_scalar(w, name, text) : -EINVAL;
		}
		if (result < 0)
			return result;
	}
	return 0;
}

static int parse_json(struct run_words *ret, const char *string)
{
	json_t *object = json_loads(string, 0, NULL);
	struct json_walk count = {NULL, 0, 0}, fill = {ret, 0, 0};
	int result = json_is_object(object) ? walk_json(&count, object) : -EINVAL;

	ret->json = true;
	if (result == 0) {
		ret->word = calloc(count.words_n + 1, sizeof(*ret->word));
		ret->text = malloc(count.text_len + 1);
		result = ret->word && ret->text ? walk_json(&fill, object) : -ENOMEM;
	}
	json_decref(object);
	return result;
}

int run_words_parse(struct run_words *ret, const char *string)
{
	int result;

	memset(ret, 0, sizeof(*ret));
	result = *string == '{' ? parse_json(ret, string) : parse_text(ret, string);
	if (result < 0)
		run_words_free(ret);
	return result;
}

void run_words_free(struct run_words *words)
{
	free(words->word);
	free(words->text);
	words->word = NULL;
	words->text = NULL;
	words->n = 0;
}

const char *run_words_get(const struct run_words *words, const char *name)
{
	for (unsigned i = words->n; i > 0; i--) {
		if (strcmp(words->word[i - 1].name, name) == 0)
			return words->word[i - 1].value;
	}
	return NULL;
}

void run_word_print(FILE *out, const struct run_word *word)
{
	fprintf(out, "%s=", word->name);
	for (const char *at = word->value; *at != '\0'; at++) {
		if (*at == ',')
			fputc(',', out);
		fputc(*at, out);
	}
}
