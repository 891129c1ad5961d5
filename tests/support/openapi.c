#include "tests/support/openapi.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define WHERE_MAX 256

json_t *openapi_load(void)
{
	json_error_t error;
	json_t *doc = json_load_file("stack/app/openapi.json", JSON_REJECT_DUPLICATES, &error);

	ck_assert_msg(doc != NULL, "line %d: %s", error.line, error.text);
	return doc;
}

const json_t *openapi_schema(const json_t *doc, const json_t *schema)
{
	static const char prefix[] = "#/components/schemas/";
	const char *ref = json_string_value(json_object_get(schema, "$ref"));
	const json_t *found;

	if (!ref)
		return schema;
	ck_assert_msg(strncmp(ref, prefix, sizeof(prefix) - 1) == 0, "%s", ref);
	found = json_object_get(json_object_get(json_object_get(doc, "components"), "schemas"),
				ref + sizeof(prefix) - 1);
	ck_assert_msg(found != NULL, "%s leads nowhere", ref);
	return found;
}

const json_t *openapi_operation(const json_t *doc, const char *path, const char *method)
{
	return json_object_get(json_object_get(json_object_get(doc, "paths"), path), method);
}

const json_t *openapi_reply_schema(const json_t *operation, int status)
{
	const json_t *reply;
	char text[16];

	snprintf(text, sizeof(text), "%d", status);
	reply = json_object_get(json_object_get(operation, "responses"), text);
	return json_object_get(
	    json_object_get(json_object_get(reply, "content"), "application/json"), "schema");
}

static void check_object(const json_t *doc, const json_t *schema, const json_t *value,
			 const char *where)
{
	const json_t *properties = json_object_get(schema, "properties"), *member;
	char inside[WHERE_MAX];
	const char *name;
	size_t i;

	json_array_foreach(json_object_get(schema, "required"), i, member)
	    ck_assert_msg(json_object_get(value, json_string_value(member)) != NULL, "%s: no '%s'",
			  where, json_string_value(member));
	json_object_foreach((json_t *)value, name, member)
	{
		const json_t *property = json_object_get(properties, name);

		snprintf(inside, sizeof(inside), "%.200s.%.50s", where, name);
		ck_assert_msg(property != NULL, "%s is not documented", inside);
		openapi_check(doc, property, member, inside);
	}
}

static bool is_of(const json_t *words, const json_t *value)
{
	const json_t *word;
	size_t i;

	json_array_foreach(words, i, word)
	{
		if (json_equal(word, value))
			return true;
	}
	return !words;
}

void openapi_check(const json_t *doc, const json_t *schema, const json_t *value, const char *where)
{
	const char *type;
	char inside[WHERE_MAX];
	const json_t *item;
	size_t i;

	schema = openapi_schema(doc, schema);
	type = json_string_value(json_object_get(schema, "type"));
	if (json_is_null(value)) {
		ck_assert_msg(json_is_true(json_object_get(schema, "nullable")), "%s is null",
			      where);
		return;
	}
	ck_assert_msg(type != NULL, "%s: no type", where);
	ck_assert_msg((strcmp(type, "object") == 0 && json_is_object(value)) ||
			  (strcmp(type, "array") == 0 && json_is_array(value)) ||
			  (strcmp(type, "string") == 0 && json_is_string(value)) ||
			  (strcmp(type, "integer") == 0 && json_is_integer(value)) ||
			  (strcmp(type, "number") == 0 && json_is_number(value)) ||
			  (strcmp(type, "boolean") == 0 && json_is_boolean(value)),
		      "%s is no %s", where, type);
	ck_assert_msg(is_of(json_object_get(schema, "enum"), value), "%s: %s is none of the words",
		      where, json_string_value(value));
	if (json_is_object(value))
		check_object(doc, schema, value, where);
	json_array_foreach(value, i, item)
	{
		snprintf(inside, sizeof(inside), "%.200s[%zu]", where, i);
		openapi_check(doc, json_object_get(schema, "items"), item, inside);
	}
}
