#include "stack/app/control_params.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MAX 18 /* of a number: no more can overflow */

static int fail(char error[API_ERROR_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(char error[API_ERROR_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, API_ERROR_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

static int check_number(const struct api_param *param, uint64_t number, char error[API_ERROR_MAX])
{
	if (number >= param->min && number <= param->max)
		return 0;
	if (param->max == INT64_MAX)
		return fail(error, "must be a number from %" PRIu64 " on", param->min);
	return fail(error, "must be a number from %" PRIu64 " to %" PRIu64, param->min, param->max);
}

static bool is_word_of(const char *words, const char *text)
{
	size_t len = strlen(text);

	for (const char *word = words; *word; word += strcspn(word, "|"), word += *word == '|') {
		if (strcspn(word, "|") == len && memcmp(word, text, len) == 0)
			return true;
	}
	return false;
}

static int check_text(const struct api_param *param, const char *text, char error[API_ERROR_MAX])
{
	size_t len = strlen(text);

	if (param->type == API_WORD)
		return is_word_of(param->words, text)
			   ? 0
			   : fail(error, "must be one of: %s", param->words);
	if (len >= param->min && len <= param->max)
		return 0;
	return fail(error, "must be a text of %" PRIu64 " to %" PRIu64 " bytes", param->min,
		    param->max);
}

static int number_from_text(const struct api_param *param, const char *text, uint64_t *ret,
			    char error[API_ERROR_MAX])
{
	size_t len = strspn(text, "0123456789");
	uint64_t number = 0;

	/* Out of any range, and told so. */
	if (len == 0 || text[len] != '\0' || len > DIGITS_MAX)
		return check_number(param, UINT64_MAX, error);
	for (; *text; text++)
		number = number * 10 + (uint64_t)(*text - '0');
	*ret = number;
	return check_number(param, number, error);
}

int api_value_from_text(const struct api_param *param, const char *text, struct api_value *ret,
			char error[API_ERROR_MAX])
{
	struct api_value value = {.given = true};
	int result = 0;

	switch (param->type) {
	case API_UINT:
		result = number_from_text(param, text, &value.number, error);
		break;
	case API_BOOL:
		value.flag = strcmp(text, "true") == 0;
		if (!value.flag && strcmp(text, "false") != 0)
			result = fail(error, "must be true or false");
		break;
	case API_WORD:
	case API_TEXT:
		value.text = text;
		result = check_text(param, text, error);
		break;
	}
	if (result == 0)
		*ret = value;
	return result;
}

int api_value_from_json(const struct api_param *param, const json_t *json, struct api_value *ret,
			char error[API_ERROR_MAX])
{
	struct api_value value = {.given = true};
	int result = 0;

	switch (param->type) {
	case API_UINT:
		if (json_is_integer(json) && json_integer_value(json) >= 0)
			value.number = (uint64_t)json_integer_value(json);
		else
			value.number = UINT64_MAX; /* out of any range, and told so */
		result = check_number(param, value.number, error);
		break;
	case API_BOOL:
		value.flag = json_is_true(json);
		if (!json_is_boolean(json))
			result = fail(error, "must be true or false");
		break;
	case API_WORD:
	case API_TEXT:
		value.text = json_string_value(json);
		result = value.text ? check_text(param, value.text, error)
				    : fail(error, "must be a string");
		break;
	}
	if (result == 0)
		*ret = value;
	return result;
}

int api_param_find(const struct api_param *params, const char *name)
{
	for (int i = 0; params && params[i].name; i++) {
		if (strcmp(params[i].name, name) == 0)
			return i;
	}
	return -1;
}

void api_values_default(const struct api_param *params, struct api_value ret[API_PARAMS_MAX])
{
	char error[API_ERROR_MAX];

	memset(ret, 0, API_PARAMS_MAX * sizeof(ret[0]));
	for (int i = 0; params && params[i].name; i++) {
		assert(i < API_PARAMS_MAX);
		if (!params[i].fallback)
			continue;
		(void)api_value_from_text(&params[i], params[i].fallback, &ret[i], error);
		ret[i].given = false;
	}
}

int api_values_from_body(const struct api_param *params, const json_t *body,
			 struct api_value ret[API_PARAMS_MAX], const char **ret_field,
			 char error[API_ERROR_MAX])
{
	const char *name;
	json_t *member;

	*ret_field = NULL;
	api_values_default(params, ret);
	if (!json_is_object(body))
		return fail(error, "the body must be a JSON object");
	json_object_foreach((json_t *)body, name, member)
	{
		int i = api_param_find(params, name);

		*ret_field = name;
		if (i < 0)
			return fail(error, "there is no such member");
		if (api_value_from_json(&params[i], member, &ret[i], error) < 0)
			return -EINVAL;
	}
	*ret_field = NULL;
	for (int i = 0; params[i].name; i++) {
		if (params[i].required && !ret[i].given) {
			*ret_field = params[i].name;
			return fail(error, "must be given");
		}
	}
	return 0;
}
