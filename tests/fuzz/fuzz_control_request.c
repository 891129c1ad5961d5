/* A request of the control API: its target, parameters and body. What passes the checks is within
 * the table's limits; what does not is told in one line. The first byte chooses a route, the body
 * comes behind the first line feed. */
#include "stack/app/control_api.h"
#include "stack/host/http_target.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int truth)
{
	if (!truth)
		abort();
}

static void check_value(const struct api_param *param, const struct api_value *value)
{
	size_t len;

	if (!value->given)
		return;
	switch (param->type) {
	case API_UINT:
		expect(value->number >= param->min && value->number <= param->max);
		break;
	case API_BOOL:
		break;
	case API_WORD:
		expect(value->text && value->text[0] && !strchr(value->text, '|'));
		expect(strstr(param->words, value->text) != NULL);
		break;
	case API_TEXT:
		len = strlen(value->text);
		expect(len >= param->min && len <= param->max);
		break;
	}
}

static void check_error(const char *error)
{
	expect(error[0] && memchr(error, '\0', API_ERROR_MAX) != NULL);
}

static void try_query(const struct api_param *params, const struct http_target *target)
{
	struct api_value values[API_PARAMS_MAX];
	char error[API_ERROR_MAX] = "";

	api_values_default(params, values);
	for (unsigned n = 0; n < target->params_n; n++) {
		int i = api_param_find(params, target->param[n].name);

		expect(target->param[n].name[0] != '\0');
		if (i < 0)
			continue;
		if (api_value_from_text(&params[i], target->param[n].value, &values[i], error) < 0)
			check_error(error);
		check_value(&params[i], &values[i]);
	}
}

static void try_body(const struct api_param *params, const char *text, size_t len)
{
	json_t *body = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	struct api_value values[API_PARAMS_MAX];
	char error[API_ERROR_MAX] = "";
	const char *field = NULL;

	if (!body)
		return;
	if (api_values_from_body(params, body, values, &field, error) < 0) {
		check_error(error);
	} else {
		for (unsigned i = 0; params[i].name; i++) {
			expect(!params[i].required || values[i].given);
			check_value(&params[i], &values[i]);
		}
	}
	json_decref(body);
}

static void check_target(const struct http_target *target)
{
	const char *end = target->bytes + sizeof(target->bytes);

	expect(target->path == target->bytes);
	expect(target->path[0] == '/' || strcmp(target->path, "*") == 0);
	for (unsigned i = 0; i < target->params_n; i++) {
		const struct http_param *param = &target->param[i];

		expect(param->name >= target->bytes && param->name < end);
		expect(param->value >= target->bytes && param->value < end);
		for (unsigned j = 0; j < i; j++)
			expect(strcmp(param->name, target->param[j].name) != 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *body;
	const struct api_route *routes;
	struct http_target target;
	unsigned n;

	expect(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	routes = api_routes(&n);
	if (size > 1) {
		const struct api_route *route = &routes[data[0] % n];

		body = memchr(text + 1, '\n', size - 1);
		if (body)
			*body++ = '\0';
		if (http_target_parse(text + 1, &target) == 0) {
			check_target(&target);
			if (route->query)
				try_query(route->query, &target);
		}
		if (body && route->body)
			try_body(route->body, body, size - (size_t)(body - text));
	}
	free(text);
	return 0;
}
