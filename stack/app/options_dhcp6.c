/* --dhcp6-option NUMBER,VALUE... */
#include "dhcp/dhcp6.h"
#include "stack/app/options_table.h"

#include <errno.h>
#include <stdlib.h>

#define OPT_BOOT_PARAMS 60
#define HEAD_LEN 4 /* bytes of an option's code and length */

/* RFC 5970 section 3.2: each parameter with its length in front. */
static void put_parameters(struct wire_out *out, const char *value)
{
	while (*value) {
		size_t len = strcspn(value, ",");

		wire_put_u16(out, (uint16_t)len);
		wire_put_bytes(out, value, len);
		value += len;
		value += *value == ',';
	}
}

static bool read_number(const char *text, size_t len, uint8_t *ret)
{
	unsigned value = 0;

	if (len == 0 || len > 3)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	*ret = (uint8_t)value;
	return value >= 1 && value <= 255;
}

static int take_value(struct setting *s, struct options_dhcp_option *option, const char *value)
{
	struct wire_out out = wire_out(option->value, sizeof(option->value));

	if (value[0] == '\0')
		return setting_fail(s, "the value is empty");
	if (option->code == OPT_BOOT_PARAMS)
		put_parameters(&out, value);
	else if (options_put_value(s, &out, value, true) < 0)
		return -EINVAL;
	if (out.bad)
		return setting_fail(s, "the value has more than %d bytes", OPTIONS_DHCP_VALUE_MAX);
	if (wire_len(&out) == 0)
		return setting_fail(s, "the value is empty");
	option->len = (uint8_t)wire_len(&out);
	return 0;
}

int options_set_dhcp6_option(struct setting *s)
{
	struct options_dhcp6_options *options = &s->options->dhcp6_options;
	size_t len = strcspn(s->value, ",");
	struct options_dhcp_option option = {0};

	if (!read_number(s->value, len, &option.code))
		return setting_fail(s, "has no option number of 1-255 in front");
	if (!dhcpd6_option_is_free(option.code))
		return setting_fail(
		    s, "option %u is the protocol's own, or has an option of lwnat's", option.code);
	for (unsigned i = 0; i < options->n; i++) {
		if (options->option[i].code == option.code)
			return setting_fail(s, "option %u is given twice", option.code);
	}
	if (options->n == OPTIONS_DHCP6_OPTIONS_MAX)
		return setting_fail(s, "at most %d of them", OPTIONS_DHCP6_OPTIONS_MAX);
	if (take_value(s, &option, s->value[len] ? s->value + len + 1 : "") < 0)
		return -EINVAL;
	options->bytes += HEAD_LEN + option.len;
	if (options->bytes > OPTIONS_DHCP6_BYTES_MAX)
		return setting_fail(s, "all of them have more than %d bytes",
				    OPTIONS_DHCP6_BYTES_MAX);
	options->option[options->n++] = option;
	return 0;
}
