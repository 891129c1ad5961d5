#include "stack/app/options_table.h"

#include <errno.h>

#define SMBSERVER_PART 0x0204 /* x.x.x.4, as libslirp has it for both */

int options_set_guestfwd(struct setting *s)
{
	struct options_guestfwds *rules = &s->options->guestfwd;
	char error[GUESTFWD_ERROR_MAX] = "";
	struct guestfwd_rule rule;

	if (guestfwd_parse(s->value, &rule, error) < 0) {
		s->reason_is_whole = true;
		return setting_fail(s, "%s", error);
	}
	if (rules->n == OPTIONS_GUESTFWDS_MAX)
		return setting_fail(s, "at most %d of them", OPTIONS_GUESTFWDS_MAX);
	rules->rule[rules->n++] = rule;
	return 0;
}

/* NULL, or why nothing of ours can wait at this address. */
static const char *fault4(const struct options *o, const struct addr *addr)
{
	uint32_t index = subnet_index(&o->net, addr);

	if (!o->ipv4)
		return "the guests have no IPv4";
	if (!subnet_contains(&o->net, addr))
		return "is outside of --net";
	if (index == 0 || subnet_is_broadcast(&o->net, addr))
		return "is no host's address";
	if (addr_eq(addr, &o->host))
		return "is the gateway's address";
	if (addr_eq(addr, &o->dns))
		return "is the DNS server's address";
	if (addr_eq(addr, &o->dhcpstart))
		return "is the dhcpstart address, which guests have";
	return NULL;
}

static const char *fault6(const struct options *o, const struct addr *addr)
{
	struct addr base = subnet_base(&o->net6);

	if (!o->ipv6)
		return "the guests have no IPv6";
	if (!subnet_contains(&o->net6, addr))
		return "is outside of --ipv6-net";
	if (addr_eq(addr, &base))
		return "is no host's address"; /* RFC 4291 section 2.6.1: any router's */
	if (addr_eq(addr, &o->host6))
		return "is the gateway's address";
	if (addr_eq(addr, &o->dns6))
		return "is the DNS server's address";
	return NULL;
}

static int check_place(const struct options *o, const char *option, const struct addr *addr,
		       struct options_fault *ret)
{
	const char *why = addr_is_v4(addr) ? fault4(o, addr) : fault6(o, addr);
	char text[ADDR_TEXT_MAX];

	if (!why)
		return 0;
	return options_fault(ret, option,
			     "'%s': %s (accepted: an address of the guests' network that nobody "
			     "has)",
			     addr_format(addr, text), why);
}

static int check_twice(const struct options *o, unsigned i, struct options_fault *ret)
{
	const struct guestfwd_rule *rule = &o->guestfwd.rule[i];
	bool is_smb = o->smb[0] && (rule->port == 139 || rule->port == 445) &&
		      addr_eq(&rule->addr, &o->smbserver);
	struct endpoint at = {rule->addr, rule->port};
	char text[ENDPOINT_TEXT_MAX];

	for (unsigned j = 0; j < i; j++) {
		if (guestfwd_overlap(&o->guestfwd.rule[j], rule))
			return options_fault(ret, "guestfwd",
					     "'%s': is given twice (accepted: each ADDR:PORT once)",
					     endpoint_format(&at, text));
	}
	if (is_smb)
		return options_fault(ret, "guestfwd",
				     "'%s': is where --smb waits (accepted: another ADDR or PORT)",
				     endpoint_format(&at, text));
	return 0;
}

unsigned options_service_addrs(const struct options *o, struct addr ret[OPTIONS_SERVICE_ADDRS_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < o->guestfwd.n; i++)
		ret[n++] = o->guestfwd.rule[i].addr;
	if (o->smb[0])
		ret[n++] = o->smbserver;
	return n;
}

/* QEMU's default, when the network has such a host. */
static struct addr usual_place(const struct options *o)
{
	return subnet_nth(&o->net, SMBSERVER_PART & (UINT32_MAX >> o->net.prefix_len));
}

int options_settle_guestfwds(struct options *o, struct options_fault *ret)
{
	struct options_guestfwds *rules = &o->guestfwd;

	if (o->smb[0] && addr_is_unspecified(&o->smbserver))
		o->smbserver = usual_place(o);
	if (o->smb[0] && check_place(o, "smbserver", &o->smbserver, ret) < 0)
		return -EINVAL;
	for (unsigned i = 0; i < rules->n; i++) {
		if (!rules->rule[i].addr_given)
			rules->rule[i].addr = usual_place(o);
		if (check_place(o, "guestfwd", &rules->rule[i].addr, ret) < 0 ||
		    check_twice(o, i, ret) < 0)
			return -EINVAL;
	}
	return 0;
}
