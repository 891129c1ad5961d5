#include "stack/app/client_json.h"

#include <string.h>

const char *json_text(const json_t *object, const char *name, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text && *text != '\0' ? text : otherwise;
}

double json_number(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

json_int_t json_count(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

bool json_yes(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

char *json_join(const json_t *array, const char *separator)
{
	size_t n = json_array_size(array), len;
	char *ret = NULL;
	FILE *out = open_memstream(&ret, &len);

	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(array, i));

		fprintf(out, "%s%s", i > 0 ? separator : "", text ? text : "?");
	}
	if (n == 0)
		fputc('-', out);
	fclose(out);
	return ret;
}

const char *json_bytes(const json_t *object, const char *name, char text[TABLE_UNIT_MAX])
{
	return table_bytes(json_number(object, name), text);
}

const char *json_seconds(const json_t *object, const char *name, char text[TABLE_UNIT_MAX])
{
	if (!json_is_number(json_object_get(object, name)))
		return "-";
	return table_seconds(json_number(object, name), text);
}

void json_print(FILE *out, const json_t *value)
{
	json_dumpf(value, out, JSON_INDENT(2) | JSON_REAL_PRECISION(9) | JSON_ENCODE_ANY);
	fputc('\n', out);
}

void print_safe(FILE *out, const char *text)
{
	for (; *text != '\0'; text++)
		fputc(*text < ' ' || *text > '~' ? '?' : *text, out);
}
