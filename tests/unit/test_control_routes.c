/* The table of routes says the same as the OpenAPI file, both ways round. */
#include "stack/app/control_api.h"
#include "tests/support/openapi.h"
#include "tests/support/suite.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *lower(const char *method, char text[16])
{
	size_t i;

	for (i = 0; method[i] && i < 15; i++)
		text[i] = (char)tolower((unsigned char)method[i]);
	text[i] = '\0';
	return text;
}

/* "a|b" of an enum. */
static void join_words(const json_t *words, char text[256])
{
	const json_t *word;
	size_t i;

	text[0] = '\0';
	json_array_foreach(words, i, word) snprintf(text + strlen(text), 256 - strlen(text), "%s%s",
						    i ? "|" : "", json_string_value(word));
}

static uint64_t number_of(const json_t *schema, const char *name, uint64_t otherwise)
{
	const json_t *number = json_object_get(schema, name);

	return number ? (uint64_t)json_integer_value(number) : otherwise;
}

static void check_default(const struct api_param *param, const json_t *schema, const char *where)
{
	const json_t *preset = json_object_get(schema, "default");
	char text[64] = "";

	if (json_is_string(preset))
		snprintf(text, sizeof(text), "%s", json_string_value(preset));
	else if (json_is_integer(preset))
		snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(preset));
	else if (json_is_boolean(preset))
		snprintf(text, sizeof(text), "%s", json_is_true(preset) ? "true" : "false");
	ck_assert_msg(!preset == !param->fallback, "%s: default", where);
	if (preset)
		ck_assert_str_eq(text, param->fallback);
}

static void check_param(const struct api_param *param, const json_t *schema, bool required,
			const char *where)
{
	const char *type = json_string_value(json_object_get(schema, "type"));
	char words[256];

	ck_assert_msg(required == param->required, "%s.%s: required", where, param->name);
	switch (param->type) {
	case API_UINT:
		ck_assert_str_eq(type, "integer");
		ck_assert_uint_eq(number_of(schema, "minimum", 0), param->min);
		ck_assert_uint_eq(number_of(schema, "maximum", INT64_MAX), param->max);
		break;
	case API_BOOL:
		ck_assert_str_eq(type, "boolean");
		break;
	case API_WORD:
		ck_assert_str_eq(type, "string");
		join_words(json_object_get(schema, "enum"), words);
		ck_assert_str_eq(words, param->words);
		break;
	case API_TEXT:
		ck_assert_str_eq(type, "string");
		ck_assert_uint_eq(number_of(schema, "minLength", 0), param->min);
		ck_assert_uint_eq(number_of(schema, "maxLength", 0), param->max);
		break;
	}
	check_default(param, schema, where);
}

static unsigned params_count(const struct api_param *params)
{
	unsigned n = 0;

	while (params && params[n].name)
		n++;
	ck_assert_uint_le(n, API_PARAMS_MAX);
	return n;
}

static void check_query(const struct api_route *route, const json_t *operation, const char *where)
{
	const json_t *list = json_object_get(operation, "parameters"), *row;
	size_t i;

	ck_assert_msg(json_array_size(list) == params_count(route->query), "%s: parameters", where);
	json_array_foreach(list, i, row)
	{
		int at =
		    api_param_find(route->query, json_string_value(json_object_get(row, "name")));

		ck_assert_msg(at >= 0, "%s", where);
		ck_assert_str_eq(json_string_value(json_object_get(row, "in")), "query");
		ck_assert(json_is_string(json_object_get(row, "description")));
		check_param(&route->query[at], json_object_get(row, "schema"),
			    json_is_true(json_object_get(row, "required")), where);
	}
}

static bool names(const json_t *list, const char *name)
{
	const json_t *row;
	size_t i;

	json_array_foreach(list, i, row)
	{
		if (strcmp(json_string_value(row), name) == 0)
			return true;
	}
	return false;
}

static void check_body(const struct api_route *route, const json_t *operation, const char *where)
{
	const json_t *body = json_object_get(operation, "requestBody");
	const json_t *schema = json_object_get(
	    json_object_get(json_object_get(body, "content"), "application/json"), "schema");
	const json_t *members = json_object_get(schema, "properties"), *member;
	const char *name;

	ck_assert_msg(!body == !route->body, "%s: body", where);
	if (!body)
		return;
	ck_assert_msg(json_is_false(json_object_get(schema, "additionalProperties")), "%s", where);
	ck_assert_msg(json_object_size(members) == params_count(route->body), "%s: members", where);
	json_object_foreach((json_t *)members, name, member)
	{
		int at = api_param_find(route->body, name);

		ck_assert_msg(at >= 0, "%s: %s", where, name);
		check_param(&route->body[at], member,
			    names(json_object_get(schema, "required"), name), where);
	}
}

START_TEST(test_every_route_is_documented_as_it_is)
{
	const struct api_route *routes;
	json_t *doc = openapi_load();
	unsigned n;

	routes = api_routes(&n);
	for (unsigned i = 0; i < n; i++) {
		char method[16], where[100];
		const json_t *operation =
		    openapi_operation(doc, routes[i].path, lower(routes[i].method, method));

		snprintf(where, sizeof(where), "%s %s", routes[i].method, routes[i].path);
		ck_assert_msg(operation != NULL, "%s is not documented", where);
		check_query(&routes[i], operation, where);
		check_body(&routes[i], operation, where);
	}
	json_decref(doc);
}
END_TEST

START_TEST(test_every_documented_operation_is_a_route)
{
	const json_t *operations, *operation;
	const struct api_route *routes;
	const char *path, *method;
	json_t *doc = openapi_load();
	unsigned n, documented = 0;

	routes = api_routes(&n);
	json_object_foreach(json_object_get(doc, "paths"), path, operations)
	{
		json_object_foreach((json_t *)operations, method, operation)
		{
			bool found = strcmp(method, "parameters") == 0;

			documented += !found;
			for (unsigned i = 0; i < n && !found; i++)
				found = strcmp(routes[i].path, path) == 0 &&
					strcasecmp(routes[i].method, method) == 0;
			ck_assert_msg(found, "%s %s is no route", method, path);
		}
	}
	ck_assert_uint_eq(documented, n);
	json_decref(doc);
}
END_TEST

/* An object says which members it always has; a field says what it means. */
static void check_schema(const json_t *doc, const json_t *schema, const char *where)
{
	const json_t *member;
	const char *name;
	char inside[200];
	size_t i;

	schema = openapi_schema(doc, schema);
	json_array_foreach(json_object_get(schema, "required"), i, member) ck_assert_msg(
	    json_object_get(json_object_get(schema, "properties"), json_string_value(member)),
	    "%s: no %s", where, json_string_value(member));
	json_object_foreach(json_object_get(schema, "properties"), name, member)
	{
		snprintf(inside, sizeof(inside), "%.140s.%.50s", where, name);
		ck_assert_msg(
		    json_object_get(openapi_schema(doc, member), "description") ||
			json_object_get(member, "enum") || json_object_get(member, "items") ||
			strcmp(json_string_value(json_object_get(member, "type")), "boolean") == 0,
		    "%s says nothing of itself", inside);
		check_schema(doc, member, inside);
	}
	if (json_object_get(schema, "items"))
		check_schema(doc, json_object_get(schema, "items"), where);
}

START_TEST(test_every_field_is_described)
{
	const json_t *schema;
	json_t *doc = openapi_load();
	const char *name;

	json_object_foreach(json_object_get(json_object_get(doc, "components"), "schemas"), name,
			    schema) check_schema(doc, schema, name);
	json_decref(doc);
}
END_TEST

int main(void)
{
	return SUITE_RUN("control_routes", test_every_route_is_documented_as_it_is,
			 test_every_documented_operation_is_a_route, test_every_field_is_described);
}
