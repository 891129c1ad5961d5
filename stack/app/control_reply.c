#include "stack/app/control_api.h"

#include "stack/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_MEDIA_TYPE "application/json"

static const char no_memory[] =
    "{\"error\":{\"status\":500,\"field\":null,\"message\":\"out of memory\"}}\n";

void api_reply(struct http_exchange *x, unsigned status, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL, *line;
	size_t len = text ? strlen(text) : 0;

	json_decref(json);
	line = text ? realloc(text, len + 1) : NULL;
	if (!line) {
		free(text);
		http_reply(x, 500, JSON_MEDIA_TYPE, no_memory, sizeof(no_memory) - 1);
		return;
	}
	line[len++] = '\n'; /* for those who read it in a terminal */
	http_header(x, "Cache-Control", "no-store");
	http_reply_take(x, status, JSON_MEDIA_TYPE, line, len);
}

void api_error(struct http_exchange *x, unsigned status, const char *field, const char *format, ...)
{
	char text[API_ERROR_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	api_reply(x, status,
		  json_pack("{s:{s:i, s:o, s:o}}", "error", "status", (int)status, "field",
			    api_text_or_null(field), "message", api_text_or_null(text)));
}

int api_find_guest(struct api_call *call, const char *field, const char *spec,
		   struct guests_found *ret)
{
	char error[GUESTS_ERROR_MAX];
	int result;

	result = guests_find(call->net->guests, spec, ret, error);
	if (result < 0)
		api_error(call->x, result == -EINVAL ? 400 : 404, field, "%s", error);
	return result;
}

int api_find_attached(struct api_call *call, const char *field, const char *spec,
		      const struct guest_record **ret)
{
	char error[GUESTS_ERROR_MAX];
	struct guests_found found;
	int result = guests_find(call->net->guests, spec, &found, error);

	/* One without an address is a guest all the same. */
	if (result == 0 || result == -EAGAIN) {
		if (found.guest) {
			*ret = found.guest;
			return 0;
		}
		snprintf(error, sizeof(error), "'%.100s': no guest with this address is attached",
			 spec);
		result = -ENOENT;
	}
	api_error(call->x, result == -EINVAL ? 400 : 404, field, "%s", error);
	return result;
}

/* A text that is no UTF-8 is escaped as the log does. */
static json_t *escaped(const char *text)
{
	char out[4 * API_ERROR_MAX];

	return json_stringn(out, log_escape(text, out, sizeof(out)));
}

json_t *api_text_or_null(const char *text)
{
	json_t *json;

	if (!text || !text[0])
		return json_null();
	json = json_string(text);
	return json ? json : escaped(text);
}

json_t *api_addr(const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	return json_string(addr_format(addr, text));
}

json_t *api_endpoint(const struct endpoint *endpoint)
{
	char text[ENDPOINT_TEXT_MAX];

	return json_string(endpoint_format(endpoint, text));
}

json_t *api_mac(const struct mac *mac)
{
	char text[MAC_TEXT_MAX];

	return json_string(mac_format(mac, text));
}

json_t *api_subnet(const struct subnet *net)
{
	char text[ADDR_TEXT_MAX];

	return json_sprintf("%s/%u", addr_format(&net->addr, text), net->prefix_len);
}

json_t *api_seconds(uint64_t from_ms, uint64_t to_ms)
{
	return json_real(to_ms > from_ms ? (double)(to_ms - from_ms) / 1000 : 0.0);
}
