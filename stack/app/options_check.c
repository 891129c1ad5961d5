#include "stack/app/options_table.h"

#include <errno.h>
#include <stdarg.h>

/* QEMU's host parts (net_slirp_init() of net/slirp.c): in a /16 they are x.y.2.2, not x.y.0.2. */
#define HOST_PART 0x0202
#define DNS_PART 0x0203
#define DHCPSTART_PART 0x020f
#define DHCPSTART_SMALL_PART 4 /* where to look when the net is too small for .15 */

int options_fault(struct options_fault *ret, const char *option, const char *format, ...)
{
	va_list args;

	ret->option = option;
	va_start(args, format);
	vsnprintf(ret->text, sizeof(ret->text), format, args);
	va_end(args);
	return -EINVAL;
}

int options_fault_addr(struct options_fault *ret, const char *option, const struct addr *addr,
		       const char *reason)
{
	char text[ADDR_TEXT_MAX];

	return options_fault(ret, option, "'%s': %s", addr_format(addr, text), reason);
}

/* "10.0.2.0/24" */
static const char *net_format(const struct subnet *net, char text[ADDR_TEXT_MAX + 4])
{
	char addr[ADDR_TEXT_MAX];

	snprintf(text, ADDR_TEXT_MAX + 4, "%s/%u", addr_format(&net->addr, addr), net->prefix_len);
	return text;
}

static uint32_t last_host(const struct subnet *net)
{
	return (UINT32_MAX >> net->prefix_len) - 1;
}

static bool is_host_of(const struct subnet *net, const struct addr *addr)
{
	uint32_t index = subnet_index(net, addr);

	return subnet_contains(net, addr) && index >= 1 && index <= last_host(net);
}

/* QEMU's address, or where that is none of a host's in a small net, the first free one from 'from'
 * on, round the net. Unspecified when none is free. */
static struct addr derive(const struct options *o, uint32_t part, uint32_t from)
{
	struct addr addr = subnet_nth(&o->net, part & (UINT32_MAX >> o->net.prefix_len));
	uint32_t hosts = last_host(&o->net);

	if (is_host_of(&o->net, &addr))
		return addr;
	for (uint32_t i = 0; i < hosts; i++) {
		addr = subnet_nth(&o->net, 1 + (from - 1 + i) % hosts);
		if (!addr_eq(&addr, &o->host) && !addr_eq(&addr, &o->dns) &&
		    !addr_eq(&addr, &o->dhcpstart))
			return addr;
	}
	return (struct addr){0};
}

static int check_addr(const struct options *o, const char *option, const struct addr *addr,
		      struct options_fault *ret)
{
	char text[ADDR_TEXT_MAX], net[ADDR_TEXT_MAX + 4], first[ADDR_TEXT_MAX], last[ADDR_TEXT_MAX];
	struct addr first_addr = subnet_nth(&o->net, 1),
		    last_addr = subnet_nth(&o->net, last_host(&o->net));
	const char *what = !subnet_contains(&o->net, addr) ? "outside of"
			   : subnet_index(&o->net, addr)   ? "the broadcast address of"
							   : "the network address of";

	if (is_host_of(&o->net, addr))
		return 0;
	return options_fault(ret, option, "'%s': is %s --net %s (accepted: %s-%s)",
			     addr_format(addr, text), what, net_format(&o->net, net),
			     addr_format(&first_addr, first), addr_format(&last_addr, last));
}

static int settle_host(struct options *o, struct options_fault *ret)
{
	bool given = !addr_is_unspecified(&o->host);

	if (!given)
		o->host = derive(o, HOST_PART, 1);
	return check_addr(o, "host", &o->host, ret);
}

static int no_room(const struct options *o, struct options_fault *ret)
{
	char text[ADDR_TEXT_MAX + 4];

	return options_fault(
	    ret, "net",
	    "'%s': has no room for the gateway, the DNS server and a guest (accepted: "
	    "prefix 8-29, or 30 with --dns outside of it)",
	    net_format(&o->net, text));
}

static int settle_dns(struct options *o, struct options_fault *ret)
{
	bool given = !addr_is_unspecified(&o->dns);

	if (!given)
		o->dns = derive(o, DNS_PART, 1);
	if (addr_is_unspecified(&o->dns))
		return no_room(o, ret);
	o->dns_is_ours = subnet_contains(&o->net, &o->dns);
	if (!o->dns_is_ours && o->restrict_guests)
		return options_fault_addr(
		    ret, "dns", &o->dns,
		    "is outside of --net, where --restrict on lets no guest go "
		    "(accepted: an address inside)");
	if (!o->dns_is_ours)
		return 0;
	if (addr_eq(&o->dns, &o->host))
		return options_fault_addr(ret, given ? "dns" : "host", &o->dns,
					  "is both --host and --dns (accepted: two addresses)");
	return check_addr(o, "dns", &o->dns, ret);
}

static int settle_dhcpstart(struct options *o, struct options_fault *ret)
{
	bool given = !addr_is_unspecified(&o->dhcpstart);
	bool is_host, is_dns;

	if (!given)
		o->dhcpstart = derive(o, DHCPSTART_PART, DHCPSTART_SMALL_PART);
	if (addr_is_unspecified(&o->dhcpstart))
		return no_room(o, ret);
	is_host = addr_eq(&o->dhcpstart, &o->host);
	is_dns = addr_eq(&o->dhcpstart, &o->dns);
	if (is_host)
		return options_fault_addr(
		    ret, given ? "dhcpstart" : "host", &o->host,
		    "is both --host and --dhcpstart (accepted: two addresses)");
	if (is_dns)
		return options_fault_addr(
		    ret, given ? "dhcpstart" : "dns", &o->dns,
		    "is both --dns and --dhcpstart (accepted: two addresses)");
	return check_addr(o, "dhcpstart", &o->dhcpstart, ret);
}

static bool is_our_own(const struct options *o, const struct addr *addr)
{
	if (addr_is_v4(addr))
		return addr_eq(addr, &o->host) || (o->dns_is_ours && addr_eq(addr, &o->dns));
	return addr_eq(addr, &o->host6) || (o->dns6_is_ours && addr_eq(addr, &o->dns6));
}

static int check_guest_addr(const struct options *o, const struct hostfwd_rule *rule,
			    struct options_fault *ret)
{
	const struct addr *addr = &rule->guest_addr;
	bool v4 = addr_is_v4(addr);
	const char *reason = NULL;
	char text[HOSTFWD_TEXT_MAX];

	if (v4 ? !o->ipv4 : !o->ipv6)
		reason = v4 ? "the guests have no IPv4" : "the guests have no IPv6";
	else if (is_our_own(o, addr))
		reason = "the guest address is lwnat's own";
	else if (v4 ? subnet_contains(&o->net, addr) && !is_host_of(&o->net, addr)
		    : addr_is_link_local(addr))
		reason = v4 ? "the guest address is no host's"
			    : "a link-local address does not say which guest";
	if (!reason)
		return 0;
	return options_fault(ret, "hostfwd", "'%s': %s (accepted: a guest's %s address, or none)",
			     hostfwd_format(rule, text), reason,
			     o->ipv4 && o->ipv6 ? "IPv4 or IPv6"
			     : o->ipv4          ? "IPv4"
						: "IPv6");
}

static int settle_forward(const struct options *o, struct hostfwd_rule *rule,
			  struct options_fault *ret)
{
	if (rule->guest_addr_given)
		return check_guest_addr(o, rule, ret);
	if (!rule->guest[0])
		rule->guest_addr = o->ipv4 ? o->dhcpstart : o->dhcpstart6;
	return 0;
}

int options_settle_forward(const struct options *options, struct hostfwd_rule *rule,
			   struct options_error *ret_error)
{
	struct options_fault fault;

	if (settle_forward(options, rule, &fault) == 0)
		return 0;
	snprintf(ret_error->text, sizeof(ret_error->text), "%s", fault.text);
	return -EINVAL;
}

static int settle_forwards(struct options *o, struct options_fault *ret)
{
	char error[HOSTFWD_ERROR_MAX] = "", text[HOSTFWD_TEXT_MAX];
	struct hostfwd_table *table;
	int result;

	result = hostfwd_new(&table, OPTIONS_FORWARDS_MAX);
	if (result < 0)
		return options_fault(ret, "hostfwd", "out of memory");
	for (unsigned i = 0; i < o->hostfwd.n && result >= 0; i++) {
		struct hostfwd_rule *rule = &o->hostfwd.rule[i];

		result = settle_forward(o, rule, ret);
		if (result < 0)
			break;
		result = hostfwd_add(table, rule, error);
		if (result < 0)
			options_fault(ret, "hostfwd", "'%s': %s (accepted: each host port once)",
				      hostfwd_format(rule, text), error);
	}
	hostfwd_free(table);
	return result < 0 ? -EINVAL : 0;
}

static int check_fds(const struct options *o, struct options_fault *ret)
{
	for (unsigned i = 0; i < o->fd.n; i++) {
		if (o->fd.fd[i] == o->ready_fd)
			return options_fault(ret, "ready-fd",
					     "'%d': is also --fd (accepted: another one)",
					     o->ready_fd);
	}
	return 0;
}

static int check_boot(const struct options *o, struct options_fault *ret)
{
	char quoted[OPTIONS_QUOTE_MAX];

	if (!o->tftp[0] || !o->boot[0])
		return 0;
	return options_fault(
	    ret, "tftp", "'%s': --boot serves its directory by TFTP too (accepted: one of them)",
	    options_quote(o->tftp, quoted));
}

int options_check(struct options *o, uint64_t given, struct options_fault *ret)
{
	if (options_settle_families(o, given, ret) < 0 || settle_host(o, ret) < 0 ||
	    settle_dns(o, ret) < 0 || settle_dhcpstart(o, ret) < 0)
		return -EINVAL;
	if (options_settle_ipv6(o, given, ret) < 0 || settle_forwards(o, ret) < 0 ||
	    options_settle_guestfwds(o, ret) < 0 || options_check_dhcp_hosts(o, ret) < 0 ||
	    options_check_pcap(o, ret) < 0 || check_fds(o, ret) < 0 || check_boot(o, ret) < 0)
		return -EINVAL;
	return 0;
}
