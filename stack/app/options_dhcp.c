/* The setters of --dhcp-host, --dhcp-option, --dhcp-route and --dhcp-boot. */
#include "stack/app/options_table.h"

#include "dhcp/dhcpd_msg.h"
#include "stack/base/hex.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define ARCH_MAX 65535

/* The text up to the first comma; the rest, behind it, or NULL. -EINVAL when it does not fit. */
static int split(const char *text, char *ret, size_t ret_size, const char **ret_rest)
{
	size_t len = strcspn(text, ",");

	if (len >= ret_size)
		return -EINVAL;
	memcpy(ret, text, len);
	ret[len] = '\0';
	*ret_rest = text[len] ? text + len + 1 : NULL;
	return 0;
}

/* ---- --dhcp-host MAC,ADDR[,NAME] ---- */

static int check_host(struct setting *s, const struct options_dhcp_host *host)
{
	const struct options_dhcp_hosts *hosts = &s->options->dhcp_hosts;
	char text[ADDR_TEXT_MAX > MAC_TEXT_MAX ? ADDR_TEXT_MAX : MAC_TEXT_MAX];

	for (unsigned i = 0; i < hosts->n; i++) {
		const struct options_dhcp_host *other = &hosts->host[i];

		if (mac_eq(&other->mac, &host->mac))
			return setting_fail(s, "the MAC has %s already",
					    addr_format(&other->addr, text));
		if (addr_eq(&other->addr, &host->addr))
			return setting_fail(s, "the address is %s's already",
					    mac_format(&other->mac, text));
		if (host->name[0] && strcmp(other->name, host->name) == 0)
			return setting_fail(s, "the name is %s's already",
					    mac_format(&other->mac, text));
	}
	if (hosts->n == OPTIONS_DHCP_HOSTS_MAX)
		return setting_fail(s, "at most %d of them", OPTIONS_DHCP_HOSTS_MAX);
	return 0;
}

int options_set_dhcp_host(struct setting *s)
{
	struct options_dhcp_hosts *hosts = &s->options->dhcp_hosts;
	struct options_dhcp_host host = {.name = ""};
	const char *addr, *name = NULL;
	char text[ADDR_TEXT_MAX];

	if (split(s->value, text, sizeof(text), &addr) < 0 || mac_parse(text, &host.mac) < 0)
		return setting_fail(s, "has no MAC address in front");
	if (mac_is_multicast(&host.mac))
		return setting_fail(s, "the MAC is a multicast one, which no guest has");
	if (!addr || split(addr, text, sizeof(text), &name) < 0 ||
	    addr_parse(text, &host.addr) < 0 || !addr_is_v4(&host.addr))
		return setting_fail(s, "has no IPv4 address behind the MAC");
	if (name)
		dhcpd_hostname_clean(name, strlen(name), host.name);
	if (name && strcasecmp(name, host.name) != 0)
		return setting_fail(s, "the name must be one label of letters, digits and '-'");
	if (check_host(s, &host) < 0)
		return -EINVAL;
	hosts->host[hosts->n++] = host;
	return 0;
}

static bool is_service(const struct options *o, const struct addr *addr)
{
	struct addr services[OPTIONS_SERVICE_ADDRS_MAX];
	unsigned n = options_service_addrs(o, services);

	for (unsigned i = 0; i < n; i++) {
		if (addr_eq(&services[i], addr))
			return true;
	}
	return false;
}

int options_check_dhcp_hosts(const struct options *o, struct options_fault *ret)
{
	for (unsigned i = 0; i < o->dhcp_hosts.n; i++) {
		const struct addr *addr = &o->dhcp_hosts.host[i].addr;
		struct addr base = subnet_base(&o->net);
		const char *reason = NULL;

		if (!o->ipv4)
			reason = "the guests have no IPv4 (accepted: with --ipv4 on)";
		else if (!subnet_contains(&o->net, addr))
			reason = "is outside of --net (accepted: a host of it)";
		else if (addr_eq(addr, &base) || subnet_is_broadcast(&o->net, addr))
			reason = "is no host of --net (accepted: one that is)";
		else if (addr_eq(addr, &o->host))
			reason = "is --host, the gateway (accepted: another address)";
		else if (addr_eq(addr, &o->dns))
			reason = "is --dns (accepted: another address)";
		else if (is_service(o, addr))
			reason = "is --guestfwd's or --smb's (accepted: another address)";
		if (reason)
			return options_fault_addr(ret, "dhcp-host", addr, reason);
	}
	return 0;
}

/* ---- --dhcp-option NUMBER[,VALUE]... ---- */

/* Those that the protocol needs as they are, or that have an option of lwnat's own. */
static const char *reason_not_free(long code)
{
	switch (code) {
	case DHCPD_OPT_MASK:
	case DHCPD_OPT_BROADCAST:
		return "comes from --net";
	case DHCPD_OPT_REQUESTED_ADDR:
	case DHCPD_OPT_LEASE_TIME:
	case DHCPD_OPT_OVERLOAD:
	case DHCPD_OPT_TYPE:
	case DHCPD_OPT_SERVER_ID:
	case DHCPD_OPT_PARAMS:
	case DHCPD_OPT_MESSAGE:
	case DHCPD_OPT_MAX_LEN:
	case DHCPD_OPT_T1:
	case DHCPD_OPT_T2:
	case DHCPD_OPT_CLIENT_ID:
	case DHCPD_OPT_RELAY:
		return "is the protocol's own";
	default:
		return NULL;
	}
}

/* Options that hold IPv4 addresses and nothing else (RFC 2132 sections 3 to 8). */
static bool holds_addresses(uint8_t code)
{
	return (code >= 3 && code <= 11) || code == 16 || code == 21 || code == 32 || code == 33 ||
	       code == 41 || code == 42 || code == 44 || code == 45 || code == 48 || code == 49 ||
	       code == 65 || (code >= 68 && code <= 76);
}

static int put_hex(struct wire_out *out, const char *text)
{
	for (; *text; text += 2) {
		int byte = hex_byte(text);

		if (byte < 0)
			return -EINVAL;
		wire_put_u8(out, (uint8_t)byte);
		if (text[2] == ':')
			text++;
	}
	return 0;
}

static int put_integer(struct wire_out *out, const char *text, unsigned bytes)
{
	long value;

	if (options_parse_number(text, (long)(UINT32_MAX >> (32 - 8 * bytes)), &value) < 0)
		return -EINVAL;
	for (unsigned i = bytes; i > 0; i--)
		wire_put_u8(out, (uint8_t)((unsigned long)value >> (8 * (i - 1))));
	return 0;
}

/* One piece between commas. -ENOENT when it has none of the forms below. */
static int put_piece(struct wire_out *out, const char *text, bool v6)
{
	struct addr addr;

	if (strncmp(text, "u8:", 3) == 0)
		return put_integer(out, text + 3, 1);
	if (strncmp(text, "u16:", 4) == 0)
		return put_integer(out, text + 4, 2);
	if (strncmp(text, "u32:", 4) == 0)
		return put_integer(out, text + 4, 4);
	if (strncmp(text, "hex:", 4) == 0)
		return put_hex(out, text + 4);
	if (addr_parse(text, &addr) < 0 || addr_is_v4(&addr) == v6)
		return -ENOENT;
	if (v6)
		wire_put_bytes(out, addr.b, sizeof(addr.b));
	else
		wire_put_u32(out, addr_to_v4(&addr));
	return 0;
}

static int put_pieces(struct setting *s, struct wire_out *out, const char *value, bool v6)
{
	char piece[3 * OPTIONS_DHCP_VALUE_MAX + 8], quoted[OPTIONS_QUOTE_MAX];

	for (const char *rest = value; rest;) {
		if (split(rest, piece, sizeof(piece), &rest) < 0 || put_piece(out, piece, v6) < 0)
			return setting_fail(s, "'%.60s' is no address and no number of its size",
					    options_quote(piece, quoted));
	}
	return 0;
}

int options_put_value(struct setting *s, struct wire_out *out, const char *value, bool v6)
{
	char first[3 * OPTIONS_DHCP_VALUE_MAX + 8];
	uint8_t scratch[OPTIONS_DHCP_VALUE_MAX];
	struct wire_out trial = wire_out(scratch, sizeof(scratch));
	const char *rest;

	if (strncmp(value, "text:", 5) == 0) {
		wire_put_bytes(out, value + 5, strlen(value + 5));
		return 0;
	}
	if (split(value, first, sizeof(first), &rest) == 0 &&
	    put_piece(&trial, first, v6) != -ENOENT)
		return put_pieces(s, out, value, v6);
	if (value[strspn(value, "0123456789")] == '\0')
		return setting_fail(s, "does not say the number's size: u8:, u16:, u32:, or text:");
	wire_put_bytes(out, value, strlen(value));
	return 0;
}

int options_set_dhcp_option(struct setting *s)
{
	struct options_dhcp_options *options = &s->options->dhcp_options;
	struct options_dhcp_option *option = &options->option[options->n];
	const char *value = NULL;
	char number[8];
	long code;

	if (split(s->value, number, sizeof(number), &value) < 0 ||
	    options_parse_number(number, 254, &code) < 0 || code == 0)
		return setting_fail(s, "has no option number of 1-254 in front");
	if (reason_not_free(code))
		return setting_fail(s, "option %ld %s", code, reason_not_free(code));
	for (unsigned i = 0; i < options->n; i++) {
		if (options->option[i].code == code)
			return setting_fail(s, "option %ld is given twice", code);
	}
	if (options->n == OPTIONS_DHCP_OPTIONS_MAX)
		return setting_fail(s, "at most %d of them", OPTIONS_DHCP_OPTIONS_MAX);

	struct wire_out out = wire_out(option->value, sizeof(option->value));
	if (value && options_put_value(s, &out, value, false) < 0)
		return -EINVAL;
	if (out.bad)
		return setting_fail(s, "the value has more than %d bytes", OPTIONS_DHCP_VALUE_MAX);
	if (value && wire_len(&out) == 0)
		return setting_fail(s, "the value is empty");
	if (holds_addresses((uint8_t)code) && wire_len(&out) % 4)
		return setting_fail(s, "option %ld holds IPv4 addresses", code);
	option->code = (uint8_t)code;
	option->len = (uint8_t)wire_len(&out);
	options->n++;
	return 0;
}

/* ---- --dhcp-route NET/LEN,ADDR ---- */

int options_set_dhcp_route(struct setting *s)
{
	struct options_dhcp_routes *routes = &s->options->dhcp_routes;
	struct dhcpd_route route;
	char text[ADDR_TEXT_MAX + 20];
	const char *via;

	if (split(s->value, text, sizeof(text), &via) < 0 || subnet_parse(text, &route.to) < 0 ||
	    !addr_is_v4(&route.to.addr))
		return setting_fail(s, "has no IPv4 network in front");
	if (!via || addr_parse(via, &route.via) < 0 || !addr_is_v4(&route.via))
		return setting_fail(s, "has no router's IPv4 address behind the network");
	if (routes->n == OPTIONS_DHCP_ROUTES_MAX)
		return setting_fail(s, "at most %d of them", OPTIONS_DHCP_ROUTES_MAX);
	route.to.addr = subnet_base(&route.to);
	routes->route[routes->n++] = route;
	return 0;
}

/* ---- --dhcp-boot CLIENT,FILE ---- */

/* IANA's processor architecture types, RFC 5970 section 3.3. */
static const struct boot_name {
	const char *name;
	enum dhcpd_boot_client client; /* of a FILE that is no URL */
	int arch[2];                   /* the same one twice where there is one */
	int http_arch;                 /* of a FILE that is a URL */
} boot_names[] = {
    {"any", DHCPD_BOOT_PXE, {DHCPD_ARCH_ANY, DHCPD_ARCH_ANY}, DHCPD_ARCH_ANY},
    {"bios", DHCPD_BOOT_PXE, {0, 0}, 20},
    {"uefi-x86", DHCPD_BOOT_PXE, {6, 6}, 15},
    {"uefi-x64", DHCPD_BOOT_PXE, {7, 9}, 16}, /* 9 is EBC; some x64 firmware sends it */
    {"uefi-arm", DHCPD_BOOT_PXE, {10, 10}, 18},
    {"uefi-arm64", DHCPD_BOOT_PXE, {11, 11}, 19},
    {"uefi-riscv64", DHCPD_BOOT_PXE, {27, 27}, 28},
    {"uefi-loong64", DHCPD_BOOT_PXE, {39, 39}, 40},
    {"uboot-arm", DHCPD_BOOT_PXE, {21, 21}, 23},
    {"uboot-arm64", DHCPD_BOOT_PXE, {22, 22}, 24},
};

static bool is_url(const char *file)
{
	return strncmp(file, "http://", 7) == 0 || strncmp(file, "https://", 8) == 0;
}

static int boot_name_parse(const char *text, struct boot_name *ret)
{
	long number;

	for (size_t i = 0; i < sizeof(boot_names) / sizeof(boot_names[0]); i++) {
		if (strcmp(text, boot_names[i].name) == 0) {
			*ret = boot_names[i];
			return 0;
		}
	}
	if (options_parse_number(text, ARCH_MAX, &number) < 0)
		return -EINVAL;
	*ret = (struct boot_name){text, DHCPD_BOOT_PXE, {(int)number, (int)number}, (int)number};
	return 0;
}

static int add_boot(struct setting *s, enum dhcpd_boot_client client, int arch, const char *file)
{
	struct options_dhcp_boots *boots = &s->options->dhcp_boots;

	for (unsigned i = 0; i < boots->n; i++) {
		if (boots->boot[i].client == client && boots->boot[i].arch == arch)
			return setting_fail(s, "this client has a file already");
	}
	if (boots->n == OPTIONS_DHCP_BOOTS_MAX)
		return setting_fail(s, "at most %d of them", OPTIONS_DHCP_BOOTS_MAX);
	struct options_dhcp_boot *boot = &boots->boot[boots->n++];
	boot->client = client;
	boot->arch = arch;
	memcpy(boot->file, file, strlen(file) + 1);
	return 0;
}

int options_set_dhcp_boot(struct setting *s)
{
	struct boot_name name;
	const char *file;
	char client[32];

	if (split(s->value, client, sizeof(client), &file) < 0 || !file || !*file)
		return setting_fail(s, "has no file behind the client");
	if (strlen(file) >= OPTIONS_DHCP_FILE_MAX)
		return setting_fail(s, "the file's name has more than %d bytes",
				    OPTIONS_DHCP_FILE_MAX - 1);
	if (strcmp(client, "ipxe") == 0)
		return add_boot(s, DHCPD_BOOT_IPXE, DHCPD_ARCH_ANY, file);
	if (boot_name_parse(client, &name) < 0)
		return setting_fail(s, "the client is none of any, ipxe, bios, uefi-x86, uefi-x64, "
				       "uefi-arm, uefi-arm64, uefi-riscv64, uefi-loong64, "
				       "uboot-arm, uboot-arm64, nor a number of option 93");
	if (is_url(file))
		return add_boot(s, DHCPD_BOOT_HTTP, name.http_arch, file);
	if (add_boot(s, name.client, name.arch[0], file) < 0)
		return -EINVAL;
	return name.arch[1] == name.arch[0] ? 0 : add_boot(s, name.client, name.arch[1], file);
}
