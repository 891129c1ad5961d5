#include "dhcp/dhcpd_values.h"

#include "dhcp/dhcpd_msg.h"

#include <errno.h>
#include <string.h>

#define LABEL_MAX 63 /* RFC 1035 section 2.3.4 */
#define NAME_MAX_WIRE 255
#define POINTER_MAX 0x3fff /* a compression pointer has 14 bits */

static struct wire_out begin(struct dhcpd_values *values)
{
	return wire_out(values->bytes + values->bytes_n, sizeof(values->bytes) - values->bytes_n);
}

static int commit(struct dhcpd_values *values, uint8_t code, const struct wire_out *out)
{
	if (out->bad)
		return -EINVAL;
	values->by_code[code] = (struct dhcpd_value){values->bytes_n, (uint16_t)wire_len(out)};
	values->bytes_n = (uint16_t)(values->bytes_n + wire_len(out));
	return 0;
}

static int set_u32(struct dhcpd_values *values, uint8_t code, uint32_t value)
{
	struct wire_out out = begin(values);
	wire_put_u32(&out, value);
	return commit(values, code, &out);
}

/* NULL and "" leave the option out: it must have a byte at least (RFC 2132 section 3.14). */
static int set_text(struct dhcpd_values *values, uint8_t code, const char *text)
{
	size_t len = text ? strlen(text) : 0;
	if (len == 0)
		return 0;
	if (len > 255)
		return -EINVAL;
	struct wire_out out = begin(values);
	wire_put_bytes(&out, text, len);
	return commit(values, code, &out);
}

/* Whether the name in wire format at 'at' spells 'text'. Only for what we wrote: pointers go back.
 */
static bool name_is(const uint8_t *bytes, size_t at, const char *text)
{
	for (;;) {
		uint8_t len = bytes[at];
		if (len >= 0xc0) {
			at = (size_t)(len & 0x3f) << 8 | bytes[at + 1];
			continue;
		}
		if (len == 0)
			return *text == '\0';
		if (strncmp(text, (const char *)bytes + at + 1, len) != 0)
			return false;
		text += len;
		if (*text != '.' && *text != '\0')
			return false;
		text += *text == '.';
		at += 1u + len;
	}
}

/* Where in out[0..search_len) the name 'text' stands already; POINTER_MAX + 1 when nowhere. */
static size_t name_find(const struct wire_out *out, size_t search_len, const char *text)
{
	size_t at = 0;
	while (at < search_len && at <= POINTER_MAX) {
		uint8_t len = out->start[at];
		if (len > 0 && len < 0xc0 && name_is(out->start, at, text))
			return at;
		at += len >= 0xc0 ? 2u : 1u + len;
	}
	return POINTER_MAX + 1;
}

/* RFC 3397: names as in DNS messages, compression pointers count from the option's first byte. */
static int put_name(struct wire_out *out, const char *name)
{
	size_t whole_names_len = wire_len(out); /* only finished names may be pointed into */
	size_t len = strlen(name);
	if (len == 0 || len + 2 > NAME_MAX_WIRE)
		return -EINVAL;
	while (*name) {
		size_t at = name_find(out, whole_names_len, name);
		if (at <= POINTER_MAX) {
			wire_put_u16(out, (uint16_t)(0xc000 | at));
			return out->bad ? -EINVAL : 0;
		}
		size_t label = strcspn(name, ".");
		if (label == 0 || label > LABEL_MAX)
			return -EINVAL;
		wire_put_u8(out, (uint8_t)label);
		wire_put_bytes(out, name, label);
		name += label;
		name += *name == '.'; /* also the root's dot at the end */
	}
	wire_put_u8(out, 0);
	return out->bad ? -EINVAL : 0;
}

static int set_search(struct dhcpd_values *values, const struct dhcpd_config *config)
{
	struct wire_out out = begin(values);
	for (unsigned i = 0; i < config->search_n; i++) {
		int error = put_name(&out, config->search[i]);
		if (error)
			return error;
	}
	return commit(values, DHCPD_OPT_SEARCH, &out);
}

/* RFC 3442: prefix length, the octets that it covers, router. */
static void put_route(struct wire_out *out, uint32_t base, uint8_t prefix_len, uint32_t via)
{
	wire_put_u8(out, prefix_len);
	for (unsigned octet = 0; octet < (prefix_len + 7u) / 8; octet++)
		wire_put_u8(out, (uint8_t)(base >> (24 - 8 * octet)));
	wire_put_u32(out, via);
}

/* A client that takes option 121 must not look at option 3 (RFC 3442), so the default route has to
 * be in it too. */
static int set_routes(struct dhcpd_values *values, const struct dhcpd_config *config)
{
	struct wire_out out = begin(values);
	bool has_default = false;
	for (unsigned i = 0; i < config->routes_n; i++) {
		const struct dhcpd_route *route = &config->routes[i];
		if (!addr_is_v4(&route->to.addr) || !addr_is_v4(&route->via) ||
		    route->to.prefix_len > 32)
			return -EINVAL;
		struct addr base = subnet_base(&route->to);
		put_route(&out, addr_to_v4(&base), route->to.prefix_len, addr_to_v4(&route->via));
		has_default = has_default || route->to.prefix_len == 0;
	}
	if (config->routes_n && !has_default && !config->no_router)
		put_route(&out, 0, 0, addr_to_v4(&config->server));
	return commit(values, DHCPD_OPT_ROUTES, &out);
}

static int set_addresses(struct dhcpd_values *values, const struct dhcpd_config *config)
{
	struct addr base = subnet_base(&config->net);
	uint32_t mask = UINT32_MAX << (32 - config->net.prefix_len);
	int error = set_u32(values, DHCPD_OPT_MASK, mask);
	if (!error)
		error = set_u32(values, DHCPD_OPT_BROADCAST, addr_to_v4(&base) | ~mask);
	if (!error)
		error = set_u32(values, DHCPD_OPT_SERVER_ID, addr_to_v4(&config->server));
	if (error || config->no_router)
		return error;
	error = set_u32(values, DHCPD_OPT_ROUTER, addr_to_v4(&config->server));
	if (!error && addr_is_v4(&config->dns) && !addr_is_unspecified(&config->dns))
		error = set_u32(values, DHCPD_OPT_DNS, addr_to_v4(&config->dns));
	return error;
}

static int set_times(struct dhcpd_values *values, uint32_t lease_s)
{
	int error = set_u32(values, DHCPD_OPT_LEASE_TIME, lease_s);
	if (error || lease_s == UINT32_MAX) /* for ever: nothing to renew */
		return error;
	error = set_u32(values, DHCPD_OPT_T1, lease_s / 2); /* RFC 2131 section 4.4.5 */
	if (error)
		return error;
	return set_u32(values, DHCPD_OPT_T2, (uint32_t)((uint64_t)lease_s * 7 / 8));
}

static int set_mtu(struct dhcpd_values *values, uint16_t mtu)
{
	if (mtu == 0)
		return 0;
	struct wire_out out = begin(values);
	wire_put_u16(&out, mtu);
	return commit(values, DHCPD_OPT_MTU, &out);
}

static int set_texts(struct dhcpd_values *values, const struct dhcpd_config *config)
{
	int error = set_text(values, DHCPD_OPT_HOSTNAME, config->hostname);
	if (!error)
		error = set_text(values, DHCPD_OPT_DOMAIN, config->domainname);
	if (!error)
		error = set_text(values, DHCPD_OPT_TFTP_NAME, config->tftp_server_name);
	if (!error)
		error = set_text(values, DHCPD_OPT_BOOTFILE, config->bootfile);
	return error;
}

/* Last: they stand in the place of whatever was set before. */
static int set_free_options(struct dhcpd_values *values, const struct dhcpd_config *config)
{
	for (unsigned i = 0; i < config->options_n; i++) {
		const struct dhcpd_free_option *option = &config->options[i];
		struct wire_out out = begin(values);
		if (option->code == DHCPD_OPT_PAD || option->code == DHCPD_OPT_END)
			return -EINVAL;
		wire_put_bytes(&out, option->value, option->len);
		int error = commit(values, option->code, &out);
		if (error)
			return error;
	}
	return 0;
}

int dhcpd_values_init(struct dhcpd_values *values, const struct dhcpd_config *config)
{
	memset(values, 0, sizeof(*values));
	int error = set_addresses(values, config);
	if (!error)
		error = set_times(values, config->lease_s);
	if (!error)
		error = set_mtu(values, config->mtu);
	if (!error)
		error = set_texts(values, config);
	if (!error)
		error = set_search(values, config);
	if (!error)
		error = set_routes(values, config);
	if (!error)
		error = set_free_options(values, config);
	return error;
}
