#include "dhcp/dhcp6_name.h"

#include <string.h>

#define LABEL_MAX 63 /* RFC 1035 section 2.3.4 */
#define NAME_MAX_WIRE 255

bool dhcpd6_name_put(struct wire_out *out, const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > NAME_MAX_WIRE - 2)
		return false;
	while (*name) {
		size_t label = strcspn(name, ".");

		if (label == 0 || label > LABEL_MAX)
			return false;
		wire_put_u8(out, (uint8_t)label);
		wire_put_bytes(out, name, label);
		name += label;
		name += *name == '.'; /* also the root's dot at the end */
	}
	wire_put_u8(out, 0);
	return true;
}

bool dhcpd6_name_label(struct wire_in in, char ret[64])
{
	bool first = true;

	ret[0] = '\0';
	while (wire_left(&in) > 0) {
		uint8_t len = wire_get_u8(&in);
		const uint8_t *label;

		if (len == 0)
			return wire_left(&in) == 0;
		if (len > LABEL_MAX)
			return false;
		label = wire_get(&in, len);
		if (!label)
			return false;
		if (first) {
			memcpy(ret, label, len);
			ret[len] = '\0';
		}
		first = false;
	}
	return !in.bad;
}
