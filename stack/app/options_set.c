#include "stack/app/options_table.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DNS_PORT 53
#define LABEL_MAX 63 /* bytes, RFC 1035 section 2.3.4 */

const char *options_quote(const char *text, char out[OPTIONS_QUOTE_MAX])
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		if (n + sizeof("\\xff...") > OPTIONS_QUOTE_MAX) {
			memcpy(out + n, "...", 3);
			n += 3;
			break;
		}
		if (*text >= ' ' && *text <= '~')
			out[n++] = *text;
		else
			n += (size_t)sprintf(out + n, "\\x%02x", (unsigned char)*text);
	}
	out[n] = '\0';
	return out;
}

int setting_fail(struct setting *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->reason, sizeof(s->reason), format, args);
	va_end(args);
	return -EINVAL;
}

static void *field(const struct setting *s)
{
	return (char *)s->options + s->row->offset;
}

int options_parse_number(const char *text, long max, long *ret)
{
	long value = 0;

	if (*text == '\0')
		return -EINVAL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (*text - '0');
		if (value > max)
			return -EINVAL;
	}
	*ret = value;
	return 0;
}

static int set_number(struct setting *s)
{
	long value;

	if (options_parse_number(s->value, s->row->max, &value) < 0 || value < s->row->min)
		return setting_fail(s, "must be a number from %ld to %ld", s->row->min,
				    s->row->max);
	*(uint16_t *)field(s) = (uint16_t)value;
	return 0;
}

static int set_fd(struct setting *s)
{
	long value;

	if (options_parse_number(s->value, s->row->max, &value) < 0)
		return setting_fail(s, "must be the number of an open descriptor");
	*(int *)field(s) = (int)value;
	return 0;
}

static int set_fds(struct setting *s)
{
	struct options_fds *fds = field(s);
	long value;

	if (options_parse_number(s->value, s->row->max, &value) < 0)
		return setting_fail(s, "must be the number of an open descriptor");
	for (unsigned i = 0; i < fds->n; i++) {
		if (fds->fd[i] == value)
			return setting_fail(s, "is given twice");
	}
	if (fds->n == OPTIONS_FDS_MAX)
		return setting_fail(s, "at most %d of them", OPTIONS_FDS_MAX);
	fds->fd[fds->n++] = (int)value;
	return 0;
}

static int set_flag(struct setting *s)
{
	*(bool *)field(s) = true;
	return 0;
}

/* All spellings that QEMU takes. */
static int set_bool(struct setting *s)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {{"on", true},   {"yes", true}, {"true", true},   {"y", true},
		     {"off", false}, {"no", false}, {"false", false}, {"n", false}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(s->value, words[i].word) == 0) {
			*(bool *)field(s) = words[i].value;
			return 0;
		}
	}
	return setting_fail(s, "is neither on nor off");
}

static int set_level(struct setting *s)
{
	if (log_level_parse(s->value, field(s)) < 0)
		return setting_fail(s, "is no log level");
	return 0;
}

/* The length QEMU takes for a network without one (net_slirp_init() of net/slirp.c), to the bit:
 * its test for class C compares with the wrong value, so that 203.0.113.0 becomes a /28. */
static uint8_t class_prefix_len(uint32_t addr)
{
	if (!(addr & 0x80000000))
		return 8;
	if ((addr & 0xfff00000) == 0xac100000)
		return 12;
	if ((addr & 0xc0000000) == 0x80000000)
		return 16;
	if ((addr & 0xffff0000) == 0xc0a80000)
		return 16;
	if ((addr & 0xffff0000) == 0xc6120000)
		return 15;
	if ((addr & 0xe0000000) == 0xe0000000)
		return 24;
	return 28;
}

/* 0/8, 127/8, multicast and what lies above are no addresses of hosts (RFC 6890). */
static bool is_host_addr(const struct addr *a)
{
	uint32_t v4 = addr_to_v4(a);

	return addr_is_v4(a) && v4 >> 24 != 0 && v4 >> 24 != 127 && v4 < 0xe0000000;
}

static int set_subnet(struct setting *s)
{
	const char *slash = strchr(s->value, '/');
	size_t addr_len = slash ? (size_t)(slash - s->value) : strlen(s->value);
	char text[ADDR_TEXT_MAX];
	struct subnet net;

	if (addr_len >= sizeof(text))
		return setting_fail(s, "has no IPv4 address in front");
	memcpy(text, s->value, addr_len);
	text[addr_len] = '\0';
	if (addr_parse(text, &net.addr) < 0)
		return setting_fail(s, "has no IPv4 address in front");
	if (!addr_is_v4(&net.addr))
		return setting_fail(s, "is an IPv6 network: write it as --ipv6-net");
	if (!slash)
		net.prefix_len = class_prefix_len(addr_to_v4(&net.addr));
	else if (subnet_parse(s->value, &net) < 0 && strchr(slash, '.'))
		return setting_fail(s, "has no valid netmask behind the '/'");
	else if (subnet_parse(s->value, &net) < 0 || net.prefix_len < s->row->min ||
		 net.prefix_len > s->row->max)
		return setting_fail(s, "prefix must be %ld-%ld", s->row->min, s->row->max);
	net.addr = subnet_base(&net);
	if (!is_host_addr(&net.addr))
		return setting_fail(s, "hosts have no addresses there");
	s->options->net_by_class = !slash;
	*(struct subnet *)field(s) = net;
	return 0;
}

static int set_addr(struct setting *s)
{
	struct addr addr;

	if (addr_parse(s->value, &addr) < 0)
		return setting_fail(s, "is no IPv4 address");
	if (!addr_is_v4(&addr))
		return setting_fail(s, "is an IPv6 address (IPv6 has options of its own: "
				       "--ipv6-net, --ipv6-host, --ipv6-dns)");
	if (!is_host_addr(&addr))
		return setting_fail(s, "is no host's address");
	*(struct addr *)field(s) = addr;
	return 0;
}

/* ::1, multicast and link-local networks are none that guests could be given (RFC 4291). */
static bool is_net6(const struct subnet *net)
{
	struct addr loopback = {{[15] = 1}}, link_local = {{0xfe, 0x80}};

	return !addr_is_v4(&net->addr) && !addr_is_unspecified(&net->addr) &&
	       !addr_is_multicast(&net->addr) && !addr_is_link_local(&net->addr) &&
	       !subnet_contains(net, &loopback) && !subnet_contains(net, &link_local);
}

/* Also sets the length, 64 where none is given: QEMU's ipv6-net. */
static int set_subnet6(struct setting *s)
{
	char text[ADDR_TEXT_MAX + sizeof("/64")];
	struct subnet net;

	if (snprintf(text, sizeof(text), "%s%s", s->value, strchr(s->value, '/') ? "" : "/64") >=
		(int)sizeof(text) ||
	    subnet_parse(text, &net) < 0)
		return setting_fail(s, "is no IPv6 network");
	if (addr_is_v4(&net.addr))
		return setting_fail(s, "is an IPv4 network");
	if (net.prefix_len < s->row->min || net.prefix_len > s->row->max)
		return setting_fail(s, "prefix must be %ld-%ld", s->row->min, s->row->max);
	if (!is_net6(&net))
		return setting_fail(s, "hosts have no addresses there");
	*(struct subnet *)field(s) = net;
	s->options->ipv6_prefixlen = net.prefix_len;
	return 0;
}

static int set_prefix6(struct setting *s)
{
	struct subnet net = {.prefix_len = 128};

	if (addr_parse(s->value, &net.addr) < 0 || addr_is_v4(&net.addr))
		return setting_fail(s, "is no IPv6 address");
	if (!is_net6(&net))
		return setting_fail(s, "hosts have no addresses there");
	*(struct subnet *)field(s) = net;
	return 0;
}

static int set_addr6(struct setting *s)
{
	struct addr addr;

	if (addr_parse(s->value, &addr) < 0 || addr_is_v4(&addr))
		return setting_fail(s, "is no IPv6 address");
	if (addr_is_unspecified(&addr) || addr_is_loopback(&addr) || addr_is_multicast(&addr) ||
	    addr_is_link_local(&addr))
		return setting_fail(s, "is no host's address in a network");
	*(struct addr *)field(s) = addr;
	return 0;
}

int options_parse_endpoint(const char *text, struct endpoint *ret)
{
	const char *end = strchr(text, ']');
	char addr[ADDR_TEXT_MAX];
	long port = DNS_PORT;
	size_t len;

	if (addr_parse(text, &ret->addr) == 0) {
		ret->port = DNS_PORT;
		return 0;
	}
	if (*text == '[' && end)
		text++;
	else
		end = strchr(text, ':');
	if (!end)
		return -EINVAL;
	len = (size_t)(end - text);
	if (len >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, len);
	addr[len] = '\0';
	end += *end == ']';
	if (*end != '\0' && (*end != ':' || options_parse_number(end + 1, UINT16_MAX, &port) < 0))
		return -EINVAL;
	ret->port = (uint16_t)port;
	return addr_parse(addr, &ret->addr);
}

static int set_endpoints(struct setting *s)
{
	struct options_endpoints *list = field(s);
	struct endpoint e;

	if (options_parse_endpoint(s->value, &e) < 0)
		return setting_fail(s, "is no address with a port of 1-65535");
	if (e.port == 0)
		return setting_fail(s, "port must be 1-65535");
	if (addr_is_unspecified(&e.addr) || addr_is_multicast(&e.addr) ||
	    addr_is_broadcast(&e.addr))
		return setting_fail(s, "is no server's address");
	if (list->n == OPTIONS_UPSTREAMS_MAX)
		return setting_fail(s, "at most %d of them", OPTIONS_UPSTREAMS_MAX);
	list->endpoint[list->n++] = e;
	return 0;
}

static int check_len(struct setting *s)
{
	size_t len = strlen(s->value);

	if (len < (size_t)s->row->min)
		return setting_fail(s, "must not be empty");
	if (len > (size_t)s->row->max)
		return setting_fail(s, "has %zu bytes, at most %ld fit", len, s->row->max);
	return 0;
}

/* The value, which check_len() has found to fit, as a string. */
static void store(const struct setting *s)
{
	memcpy(field(s), s->value, strlen(s->value) + 1);
}

/* Text that goes to the guests as it is. */
static int set_text(struct setting *s)
{
	for (const char *c = s->value; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return setting_fail(s, "has a control character");
	}
	if (check_len(s) < 0)
		return -EINVAL;
	store(s);
	return 0;
}

/* A DNS name (RFC 1035 section 2.3.1, with '_' for those who use it). */
int options_check_dns_name(struct setting *s)
{
	size_t label_len = 0;

	if (check_len(s) < 0)
		return -EINVAL;
	for (const char *c = s->value; *c != '\0'; c++) {
		if (*c == '.' && label_len == 0)
			return setting_fail(s, "has an empty label");
		label_len = *c == '.' ? 0 : label_len + 1;
		if (label_len > LABEL_MAX)
			return setting_fail(s, "has a label of more than %d bytes", LABEL_MAX);
		if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
			return setting_fail(s, "has a character that no DNS name has");
	}
	return 0;
}

static int set_name(struct setting *s)
{
	if (options_check_dns_name(s) < 0)
		return -EINVAL;
	store(s);
	return 0;
}

static int set_names(struct setting *s)
{
	struct options_names *names = field(s);

	if (options_check_dns_name(s) < 0)
		return -EINVAL;
	if (names->n == OPTIONS_SEARCH_MAX)
		return setting_fail(s, "at most %d of them", OPTIONS_SEARCH_MAX);
	memcpy(names->name[names->n++], s->value, strlen(s->value) + 1);
	return 0;
}

/* A part of file names. */
static int set_word(struct setting *s)
{
	if (check_len(s) < 0)
		return -EINVAL;
	for (const char *c = s->value; *c != '\0'; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			return setting_fail(s, "may hold letters, digits, '.', '_' and '-'");
	}
	if (*s->value == '.' || *s->value == '-')
		return setting_fail(s, "must begin with a letter, a digit or '_'");
	store(s);
	return 0;
}

static int set_path(struct setting *s)
{
	if (check_len(s) < 0)
		return -EINVAL;
	store(s);
	return 0;
}

static int set_forward(struct setting *s)
{
	struct options_forwards *forwards = field(s);
	char error[HOSTFWD_ERROR_MAX] = "";
	struct hostfwd_rule rule;

	if (hostfwd_parse(s->value, &rule, error) < 0) {
		s->reason_is_whole = true;
		return setting_fail(s, "%s", error);
	}
	if (forwards->n == OPTIONS_FORWARDS_MAX)
		return setting_fail(s, "at most %d of them", OPTIONS_FORWARDS_MAX);
	forwards->rule[forwards->n++] = rule;
	return 0;
}

static int set_guestfwd(struct setting *s)
{
	return options_set_guestfwd(s);
}

static int set_pcap(struct setting *s)
{
	return options_set_pcap(s);
}

static int set_bytes(struct setting *s)
{
	return options_set_bytes(s);
}

static int set_netdev(struct setting *s)
{
	return options_set_netdev(s);
}

static int set_dhcp_host(struct setting *s)
{
	return options_set_dhcp_host(s);
}

static int set_dhcp_option(struct setting *s)
{
	return options_set_dhcp_option(s);
}

static int set_dhcp6_option(struct setting *s)
{
	return options_set_dhcp6_option(s);
}

static int set_dhcp_route(struct setting *s)
{
	return options_set_dhcp_route(s);
}

static int set_dhcp_boot(struct setting *s)
{
	return options_set_dhcp_boot(s);
}

static int set_dns_name(struct setting *s)
{
	return options_set_dns_name(s);
}

static int set_dns_route(struct setting *s)
{
	return options_set_dns_route(s);
}

static int set_version(struct setting *s)
{
	s->options->action = OPTIONS_VERSION;
	return 0;
}

static int set_help(struct setting *s)
{
	s->options->action = OPTIONS_HELP;
	return 0;
}

#define SECTION(text) {.help = text},
#define OPTION(name_, letter_, field_, type_, arg_, preset_, min_, max_, qemu_, help_)             \
	{.name = name_,                                                                            \
	 .arg = arg_,                                                                              \
	 .preset = preset_,                                                                        \
	 .qemu = qemu_,                                                                            \
	 .help = help_,                                                                            \
	 .set = set_##type_,                                                                       \
	 .offset = offsetof(struct options, field_),                                               \
	 .min = min_,                                                                              \
	 .max = max_,                                                                              \
	 .letter = letter_},
#define HINT(word, text)
const struct option_row option_rows[] = {
#include "stack/app/options.def"
};
#undef SECTION
#undef OPTION
#undef HINT

const unsigned option_rows_n = sizeof(option_rows) / sizeof(option_rows[0]);
_Static_assert(sizeof(option_rows) / sizeof(option_rows[0]) <= OPTION_ROWS_MAX,
	       "a bit per row must fit");
