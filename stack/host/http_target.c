#include "stack/host/http_target.h"

#include "stack/base/hex.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* In place; shorter or as long. 'plus': a form's '+' is a space. */
static int unescape(char *text, bool plus)
{
	char *out = text;

	for (; *text; text++) {
		int byte;

		if (*text != '%') {
			*out++ = plus && *text == '+' ? ' ' : *text;
			continue;
		}
		byte = hex_byte(text + 1);
		if (byte <= 0)
			return -EINVAL;
		*out++ = (char)byte;
		text += 2;
	}
	*out = '\0';
	return 0;
}

/* "http://host/path" and "/path" mean the same here (RFC 9112 section 3.2.2). */
static const char *origin_form(const char *text)
{
	if (strncasecmp(text, "http://", 7) != 0)
		return text;
	text += 7 + strcspn(text + 7, "/?");
	return *text == '\0' ? "/" : text;
}

static int add_param(struct http_target *t, char *piece)
{
	struct http_param *param = &t->param[t->params_n];
	char *equals = strchr(piece, '=');
	char *value = equals ? equals + 1 : piece + strlen(piece);

	if (t->params_n == HTTP_PARAMS_MAX)
		return -E2BIG;
	if (equals)
		*equals = '\0';
	if (unescape(piece, true) < 0 || unescape(value, true) < 0 || *piece == '\0')
		return -EINVAL;
	for (unsigned i = 0; i < t->params_n; i++) {
		if (strcmp(t->param[i].name, piece) == 0)
			return -EINVAL;
	}
	param->name = piece;
	param->value = value;
	t->params_n++;
	return 0;
}

int http_target_parse(const char *text, struct http_target *ret)
{
	size_t len;
	char *query, *piece;
	int result = 0;

	text = origin_form(text);
	len = strlen(text);
	if (len >= sizeof(ret->bytes))
		return -E2BIG;
	memcpy(ret->bytes, text, len + 1);
	ret->path = ret->bytes;
	ret->params_n = 0;
	query = ret->bytes + strcspn(ret->bytes, "?#");
	if (*query == '#')
		return -EINVAL; /* a fragment is never sent (RFC 9110 section 4.2.5) */
	if (*query == '?')
		*query++ = '\0';
	while (result == 0 && (piece = strsep(&query, "&"))) {
		if (*piece)
			result = add_param(ret, piece);
	}
	if (result == 0)
		result = unescape(ret->bytes, false);
	if (result == 0 && ret->bytes[0] != '/' && strcmp(ret->bytes, "*") != 0)
		result = -EINVAL;
	return result;
}
