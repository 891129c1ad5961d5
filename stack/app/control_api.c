#include "stack/app/control_api.h"

#include "stack/app/control_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define GUEST_TEXT .type = API_TEXT, .min = 1, .max = 255
#define LEVELS "error|warn|info|debug"
#define NO_PARAM                                                                                   \
	{                                                                                          \
		.name = NULL                                                                       \
	}

static const struct api_param guest_query[] = {{"guest", GUEST_TEXT}, NO_PARAM};
static const struct api_param flows_query[] = {
    {"sort", API_WORD, .words = "rate|bytes|age", .fallback = "rate"},
    {"limit", API_UINT, .min = 1, .max = 1000, .fallback = "100"},
    {"guest", GUEST_TEXT},
    NO_PARAM};
static const struct api_param hostfwd_body[] = {
    {"rule", API_TEXT, .required = true, .min = 1, .max = 512}, NO_PARAM};
static const struct api_param hostfwd_delete_query[] = {
    {"id", API_UINT, .min = 1, .max = INT64_MAX},
    {"rule", API_TEXT, .min = 1, .max = 512},
    {"cut", API_BOOL, .fallback = "false"},
    NO_PARAM};
static const struct api_param log_query[] = {
    {"lines", API_UINT, .min = 1, .max = 1000, .fallback = "100"},
    {"after", API_UINT, .max = INT64_MAX, .fallback = "0"},
    {"level", API_WORD, .words = LEVELS, .fallback = "debug"},
    NO_PARAM};
static const struct api_param log_body[] = {{"level", API_WORD, .required = true, .words = LEVELS},
					    NO_PARAM};
static const struct api_param pcap_query[] = {
    {"snaplen", API_UINT, .min = 64, .max = 65549, .fallback = "65549"}, NO_PARAM};
static const struct api_param pcap_body[] = {
    {"file", API_TEXT, .required = true, .min = 1, .max = 255},
    {"snaplen", API_UINT, .min = 64, .max = 65549, .fallback = "65549"},
    {"file_bytes", API_UINT, .max = INT64_MAX, .fallback = "0"},
    {"files", API_UINT, .min = 1, .max = 100, .fallback = "10"},
    NO_PARAM};
static const struct api_param pcap_delete_query[] = {{"id", API_UINT, .min = 1, .max = INT64_MAX},
						     NO_PARAM};
static const struct api_param connect_query[] = {
    {"guest", .required = true, GUEST_TEXT},
    {"port", API_UINT, .required = true, .min = 1, .max = 65535},
    {"timeout_ms", API_UINT, .min = 1, .max = 600000, .fallback = "30000"},
    NO_PARAM};
static const struct api_param ping_query[] = {
    {"guest", .required = true, GUEST_TEXT},
    {"timeout_ms", API_UINT, .min = 1, .max = 60000, .fallback = "1000"},
    NO_PARAM};

static const struct api_route routes[] = {
    {"GET", "/healthz", NULL, NULL, api_get_healthz},
    {"GET", "/metrics", NULL, NULL, api_get_metrics},
    {"GET", "/v1/status", NULL, NULL, api_get_status},
    {"GET", "/v1/guests", guest_query, NULL, api_get_guests},
    {"GET", "/v1/leases", NULL, NULL, api_get_leases},
    {"GET", "/v1/flows", flows_query, NULL, api_get_flows},
    {"GET", "/v1/hostfwd", NULL, NULL, api_get_hostfwd},
    {"POST", "/v1/hostfwd", NULL, hostfwd_body, api_post_hostfwd},
    {"DELETE", "/v1/hostfwd", hostfwd_delete_query, NULL, api_delete_hostfwd},
    {"GET", "/v1/dns", NULL, NULL, api_get_dns},
    {"GET", "/v1/log", log_query, NULL, api_get_log},
    {"PUT", "/v1/log", NULL, log_body, api_put_log},
    {"GET", "/v1/pcap", NULL, NULL, api_get_captures},
    {"GET", "/v1/pcap/{guest}", pcap_query, NULL, api_get_pcap},
    {"POST", "/v1/pcap/{guest}", NULL, pcap_body, api_post_pcap},
    {"DELETE", "/v1/pcap/{guest}", pcap_delete_query, NULL, api_delete_pcap},
    {"GET", "/v1/connect", connect_query, NULL, api_get_connect},
    {"GET", "/v1/ping", ping_query, NULL, api_get_ping},
    {"GET", "/v1/why", guest_query, NULL, api_get_why},
};
#define ROUTES_N (sizeof(routes) / sizeof(routes[0]))

const struct api_route *api_routes(unsigned *ret_n)
{
	*ret_n = ROUTES_N;
	return routes;
}

/* The variable part goes to 'arg'. */
static bool path_matches(const struct api_route *route, const char *path, char arg[API_ARG_MAX])
{
	size_t fixed = strcspn(route->path, "{");
	size_t rest;

	if (route->path[fixed] == '\0')
		return strcmp(route->path, path) == 0;
	if (strncmp(route->path, path, fixed) != 0)
		return false;
	rest = strlen(path + fixed);
	if (rest == 0 || rest >= API_ARG_MAX)
		return false;
	memcpy(arg, path + fixed, rest + 1);
	return true;
}

static bool method_matches(const struct api_route *route, const char *method)
{
	return strcmp(route->method, method) == 0 ||
	       (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

/* RFC 9110 section 15.5.6: a 405 says in 'Allow' what would do. */
static void refuse_method(struct http_exchange *x)
{
	char allow[64] = "", arg[API_ARG_MAX];
	int len = 0;

	for (size_t i = 0; i < ROUTES_N && len < (int)sizeof(allow); i++) {
		const char *method = routes[i].method;

		if (path_matches(&routes[i], http_path(x), arg))
			len += snprintf(allow + len, sizeof(allow) - (size_t)len, "%s%s%s",
					len ? ", " : "", method,
					strcmp(method, "GET") == 0 ? ", HEAD" : "");
	}
	if (!allow[0]) {
		api_error(x, 404, "path", "there is no such resource");
		return;
	}
	http_header(x, "Allow", allow);
	api_error(x, 405, "method", "is not served for this path (accepted: %s)", allow);
}

static int take_query(struct api_call *call, const struct api_param *params)
{
	const char *name, *value;
	char error[API_ERROR_MAX];

	api_values_default(params, call->query);
	for (unsigned n = 0; (name = http_query_nth(call->x, n, &value)); n++) {
		int i = api_param_find(params, name);

		if (i < 0) {
			api_error(call->x, 400, name, "there is no such parameter");
			return -EINVAL;
		}
		if (api_value_from_text(&params[i], value, &call->query[i], error) < 0) {
			api_error(call->x, 400, name, "%s", error);
			return -EINVAL;
		}
	}
	for (unsigned i = 0; params && params[i].name; i++) {
		if (params[i].required && !call->query[i].given) {
			api_error(call->x, 400, params[i].name, "must be given");
			return -EINVAL;
		}
	}
	return 0;
}

static bool is_json_type(const char *type)
{
	static const char json[] = "application/json";
	size_t len = sizeof(json) - 1;

	return type && strncasecmp(type, json, len) == 0 &&
	       (type[len] == '\0' || type[len] == ';' || type[len] == ' ');
}

/* *ret is NULL when there is none and none is wanted. */
static int take_body(struct api_call *call, const struct api_param *params, json_t **ret)
{
	const char *field, *text;
	char error[API_ERROR_MAX];
	json_error_t where;
	size_t len;

	*ret = NULL;
	text = http_body(call->x, &len);
	if (!params && len == 0)
		return 0;
	if (!params) {
		api_error(call->x, 400, "body", "this request takes none");
		return -EINVAL;
	}
	if (!is_json_type(http_request_header(call->x, "Content-Type"))) {
		api_error(call->x, 415, "Content-Type", "must be application/json (curl: --json)");
		return -EINVAL;
	}
	*ret = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	if (!*ret) {
		api_error(call->x, 400, "body", "is no JSON: line %d, column %d: %s", where.line,
			  where.column, where.text);
		return -EINVAL;
	}
	if (api_values_from_body(params, *ret, call->body, &field, error) < 0) {
		api_error(call->x, 400, field ? field : "body", "%s", error);
		json_decref(*ret);
		return -EINVAL;
	}
	return 0;
}

void api_request(void *ctx, struct http_exchange *x)
{
	struct control *control = ctx;
	struct api_call call = {.net = control->net, .control = control, .x = x};
	const struct api_route *route = NULL;
	json_t *body;

	for (size_t i = 0; i < ROUTES_N && !route; i++) {
		if (method_matches(&routes[i], http_method(x)) &&
		    path_matches(&routes[i], http_path(x), call.arg))
			route = &routes[i];
	}
	if (!route) {
		refuse_method(x);
		return;
	}
	if (take_query(&call, route->query) < 0 || take_body(&call, route->body, &body) < 0)
		return;
	control->requests++;
	route->handle(&call);
	json_decref(body);
}

void api_fault(void *ctx, struct http_exchange *x, unsigned status, const char *text)
{
	(void)ctx;
	api_error(x, status, status == 413 ? "body" : "path", "%s", text);
}
