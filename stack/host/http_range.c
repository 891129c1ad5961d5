#include "stack/host/http_range.h"

#include <stdbool.h>
#include <strings.h>

/* Digits at *at, none of them being fine; false when they are too many. */
static bool read_number(const char **at, uint64_t *ret, bool *ret_there)
{
	uint64_t value = 0;

	*ret_there = false;
	for (; **at >= '0' && **at <= '9'; (*at)++) {
		uint64_t digit = (uint64_t)(**at - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
		*ret_there = true;
	}
	*ret = value;
	return true;
}

static enum http_range suffix(uint64_t last_n, uint64_t size, uint64_t *ret_first,
			      uint64_t *ret_len)
{
	if (last_n == 0 || size == 0)
		return HTTP_RANGE_NONE;
	*ret_len = last_n < size ? last_n : size;
	*ret_first = size - *ret_len;
	return HTTP_RANGE_PART;
}

enum http_range http_range_read(const char *header, uint64_t size, uint64_t *ret_first,
				uint64_t *ret_len)
{
	uint64_t first, last;
	bool has_first, has_last;

	*ret_first = 0;
	*ret_len = size;
	if (!header || strncasecmp(header, "bytes=", 6) != 0)
		return HTTP_RANGE_WHOLE;
	header += 6;
	while (*header == ' ')
		header++;
	if (!read_number(&header, &first, &has_first) || *header++ != '-' ||
	    !read_number(&header, &last, &has_last))
		return HTTP_RANGE_WHOLE;
	while (*header == ' ')
		header++;
	if (*header != '\0' || (!has_first && !has_last) || (has_first && has_last && last < first))
		return HTTP_RANGE_WHOLE;
	if (!has_first)
		return suffix(last, size, ret_first, ret_len);
	if (first >= size)
		return HTTP_RANGE_NONE;
	*ret_first = first;
	*ret_len = has_last && last < size - 1 ? last - first + 1 : size - first;
	return HTTP_RANGE_PART;
}
