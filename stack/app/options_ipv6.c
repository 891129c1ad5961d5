/* The families that there are, and IPv6's addresses: net_slirp_init() and net_init_slirp() of
 * QEMU's net/slirp.c. */
#include "stack/app/options_table.h"

#include <errno.h>

#define HOST_PART 2
#define DNS_PART 3
#define DHCPSTART_PART 0x15      /* reads as IPv4's .15 does */
#define DHCPSTART_SMALL_PART 1   /* where to look when the net is too small for it */
#define DHCPSTART_PREFIX_MAX 123 /* bits of the last net that is not */
#define IPV6_MTU_MIN 1280        /* RFC 8200 section 5 */

static bool is_given(uint64_t given, const char *name)
{
	const struct option_row *row = option_row_by_name(name, strlen(name));

	return row && (given >> (row - option_rows) & 1);
}

static const char *first_given(uint64_t given, const char *const *names, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (is_given(given, names[i]))
			return names[i];
	}
	return NULL;
}

/* Words of a family that is off have a wrong idea behind them: QEMU refuses them too. */
static int check_words(const struct options *o, uint64_t given, struct options_fault *ret)
{
	static const char *const words4[] = {"net", "host", "dns", "dhcpstart"};
	static const char *const words6[] = {"ipv6-net",  "ipv6-prefix", "ipv6-prefixlen",
					     "ipv6-host", "ipv6-dns",    "dhcp6-option"};
	const char *word = o->ipv4 ? NULL : first_given(given, words4, 4);

	if (word)
		return options_fault(ret, word, "IPv4 is off%s",
				     is_given(given, "ipv4") ? ""
							     : ", because --ipv6 on without "
							       "--ipv4 means IPv6 alone (accepted: "
							       "--ipv4 on beside it)");
	word = o->ipv6 ? NULL : first_given(given, words6, 6);
	if (word && o->ipv6_needs_mtu)
		return options_fault(ret, word, "IPv6 needs --mtu %d or more", IPV6_MTU_MIN);
	if (word)
		return options_fault(ret, word, "IPv6 is off%s",
				     is_given(given, "ipv6") ? ""
							     : ", because --ipv4 on without "
							       "--ipv6 means IPv4 alone (accepted: "
							       "--ipv6 on beside it)");
	return 0;
}

int options_settle_families(struct options *o, uint64_t given, struct options_fault *ret)
{
	bool given4 = is_given(given, "ipv4"), given6 = is_given(given, "ipv6");
	bool on4 = given4 && o->ipv4, on6 = given6 && o->ipv6;

	/* QEMU's rule: a family that is asked for stands alone when nothing is said of the other.
	 */
	if (on6 && !given4)
		o->ipv4 = false;
	if (on4 && !given6)
		o->ipv6 = false;
	if (!o->ipv4 && !o->ipv6)
		return options_fault(
		    ret, given4 ? "ipv4" : "ipv6",
		    "'off': IPv4 and IPv6 are both off (accepted: one of them on)");
	if (o->ipv6 && o->mtu < IPV6_MTU_MIN) {
		if (given6 || !o->ipv4)
			return options_fault(ret, "mtu",
					     "'%u': IPv6 needs %d or more (accepted: that, or "
					     "--ipv6 off)",
					     o->mtu, IPV6_MTU_MIN);
		o->ipv6 = false;
		o->ipv6_needs_mtu = true;
	}
	return check_words(o, given, ret);
}

/* "fec0::/64" */
static const char *net_format(const struct subnet *net, char text[ADDR_TEXT_MAX + 4])
{
	char addr[ADDR_TEXT_MAX];

	snprintf(text, ADDR_TEXT_MAX + 4, "%s/%u", addr_format(&net->addr, addr), net->prefix_len);
	return text;
}

static int settle_net(struct options *o, uint64_t given, struct options_fault *ret)
{
	const char *parts[] = {"ipv6-prefix", "ipv6-prefixlen"};
	const char *part = first_given(given, parts, 2);
	struct addr loopback = {{[15] = 1}}, link_local = {{0xfe, 0x80}};
	char text[ADDR_TEXT_MAX + 4];

	if (part && is_given(given, "ipv6-net"))
		return options_fault(ret, part,
				     "is given beside --ipv6-net (accepted: one or the other)");
	o->net6.prefix_len = (uint8_t)o->ipv6_prefixlen;
	o->net6.addr = subnet_base(&o->net6);
	if (subnet_contains(&o->net6, &loopback) || subnet_contains(&o->net6, &link_local))
		return options_fault(ret, part ? part : "ipv6-net",
				     "'%s': has addresses in it that are no host's (accepted: a "
				     "longer prefix)",
				     net_format(&o->net6, text));
	return 0;
}

/* The net's own address is the subnet-router anycast one (RFC 4291 section 2.6.1). */
static int check_addr(const struct options *o, const char *option, const struct addr *addr,
		      struct options_fault *ret)
{
	char text[ADDR_TEXT_MAX], net[ADDR_TEXT_MAX + 4];

	if (subnet_contains(&o->net6, addr) && !addr_eq(addr, &o->net6.addr))
		return 0;
	return options_fault(ret, option, "'%s': is %s --ipv6-net %s (accepted: an address in it)",
			     addr_format(addr, text),
			     addr_eq(addr, &o->net6.addr) ? "the anycast address of" : "outside of",
			     net_format(&o->net6, net));
}

/* The lowest free address from 'from' on. There is one: a net has three hosts at least. */
static struct addr first_free(const struct options *o, uint32_t from)
{
	for (uint32_t n = from;; n++) {
		struct addr addr = subnet_nth(&o->net6, n);

		if (!addr_eq(&addr, &o->host6) && !addr_eq(&addr, &o->dns6))
			return addr;
	}
}

static int settle_dns(struct options *o, bool host_given, struct options_fault *ret)
{
	bool given = !addr_is_unspecified(&o->dns6);

	if (!given)
		o->dns6 = subnet_nth(&o->net6, DNS_PART);
	o->dns6_is_ours = subnet_contains(&o->net6, &o->dns6);
	if (!o->dns6_is_ours && o->restrict_guests)
		return options_fault_addr(ret, "ipv6-dns", &o->dns6,
					  "is outside of --ipv6-net, where --restrict on lets no "
					  "guest go (accepted: an address inside)");
	if (addr_eq(&o->dns6, &o->host6))
		return options_fault_addr(
		    ret, given || !host_given ? "ipv6-dns" : "ipv6-host", &o->dns6,
		    "is both --ipv6-host and --ipv6-dns (accepted: two addresses)");
	return o->dns6_is_ours ? check_addr(o, "ipv6-dns", &o->dns6, ret) : 0;
}

int options_settle_ipv6(struct options *o, uint64_t given, struct options_fault *ret)
{
	bool host_given = !addr_is_unspecified(&o->host6);

	if (!o->ipv6)
		return 0;
	if (settle_net(o, given, ret) < 0)
		return -EINVAL;
	if (!host_given)
		o->host6 = subnet_nth(&o->net6, HOST_PART);
	if (check_addr(o, "ipv6-host", &o->host6, ret) < 0 || settle_dns(o, host_given, ret) < 0)
		return -EINVAL;
	o->dhcpstart6 = first_free(
	    o, o->net6.prefix_len <= DHCPSTART_PREFIX_MAX ? DHCPSTART_PART : DHCPSTART_SMALL_PART);
	return 0;
}
