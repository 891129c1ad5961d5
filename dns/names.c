#include "dns/names.h"

#include <stddef.h>

#define LABELS_MAX 128 /* one byte of length and one of text each, in 255 bytes */

/* One of the two reverse trees (RFC 1035 section 3.5, RFC 3596 section 2.5). */
struct reverse_tree {
	struct dns_name root;
	unsigned labels; /* of a whole address */
	unsigned bits;   /* in each of them */
};

static const struct reverse_tree in_addr_arpa = {{14, "\7in-addr\4arpa"}, 4, 8};
static const struct reverse_tree ip6_arpa = {{10, "\3ip6\4arpa"}, 32, 4};

static bool is_our_own_label(const char *label)
{
	return strcmp(label, "host") == 0 || strcmp(label, "gateway") == 0;
}

/* Either address may be NULL: not there. ANY gets one of them (RFC 8482 section 4.1). */
static void answer_addr(const struct addr *addr4, const struct addr *addr6, uint16_t type,
			struct names_answer *ret)
{
	const struct addr *found = NULL;

	if (type == DNS_TYPE_A || type == DNS_TYPE_ANY)
		found = addr4;
	if (type == DNS_TYPE_AAAA || (type == DNS_TYPE_ANY && !found))
		found = addr6;
	ret->verdict = found ? NAMES_ADDR : NAMES_NODATA;
	ret->addrs_n = found != NULL;
	if (found)
		ret->addrs[0] = *found;
}

static bool is_asked(const struct addr *addr, uint16_t type)
{
	return type == DNS_TYPE_ANY || type == (addr_is_v4(addr) ? DNS_TYPE_A : DNS_TYPE_AAAA);
}

/* All addresses of a configured name. false: it is none. */
static bool find_static(const struct names *names, const struct dns_name *name, uint16_t type,
			struct names_answer *ret)
{
	bool is_one = false;

	for (unsigned i = 0; i < names->statics_n; i++) {
		const struct names_static *s = &names->statics[i];

		if (!dns_name_eq(&s->name, name))
			continue;
		is_one = true;
		if (is_asked(&s->addr, type) && ret->addrs_n < NAMES_ADDRS_MAX)
			ret->addrs[ret->addrs_n++] = s->addr;
	}
	if (is_one)
		ret->verdict = ret->addrs_n ? NAMES_ADDR : NAMES_NODATA;
	return is_one;
}

/* The same by the first label alone. */
static bool find_static_label(const struct names *names, const char *label, uint16_t type,
			      struct names_answer *ret)
{
	struct dns_name name;

	return dns_name_parse(label, &name) && find_static(names, &name, type, ret);
}

static bool find_guest(const struct names *names, const char *label, uint16_t type,
		       struct names_answer *ret)
{
	struct addr addr4, addr6;
	bool has4, has6;

	if (!names->name_to_addr)
		return false;
	has4 = names->name_to_addr(names->ctx, label, false, &addr4);
	has6 = names->name_to_addr(names->ctx, label, true, &addr6);
	if (!has4 && !has6)
		return false;
	answer_addr(has4 ? &addr4 : NULL, has6 ? &addr6 : NULL, type, ret);
	return true;
}

static void find_in_domain(const struct names *names, const struct dns_name *name, uint16_t type,
			   struct names_answer *ret)
{
	char label[DNS_LABEL_TEXT_MAX];

	if (ret->zone_at == 0) {
		ret->verdict =
		    type == DNS_TYPE_SOA || type == DNS_TYPE_ANY ? NAMES_SOA : NAMES_NODATA;
		return;
	}
	if (name->wire[0] + 1u != ret->zone_at || !dns_name_label(name, 0, label))
		return;
	if (is_our_own_label(label))
		answer_addr(addr_is_unspecified(&names->host4) ? NULL : &names->host4,
			    addr_is_unspecified(&names->host6) ? NULL : &names->host6, type, ret);
	else if (!find_static_label(names, label, type, ret))
		(void)find_guest(names, label, type, ret);
}

/* A guest's name outside our domain hides one of the outside world: only where somebody looks for
 * the guest, not where a resolver looks for a zone. */
static void find_outside_domain(const struct names *names, const struct dns_name *name,
				uint16_t type, struct names_answer *ret)
{
	char label[DNS_LABEL_TEXT_MAX];
	int search_at = dns_name_suffix(name, &names->search);

	ret->verdict = NAMES_FOREIGN;
	ret->zone_at = 0;
	if (type == DNS_TYPE_NS || type == DNS_TYPE_SOA || type == DNS_TYPE_DS ||
	    type == DNS_TYPE_DNSKEY)
		return;
	if (name->wire[0] + 2u != name->len && name->wire[0] + 1 != search_at)
		return;
	if (dns_name_label(name, 0, label) && !is_our_own_label(label) &&
	    !find_static_label(names, label, type, ret))
		(void)find_guest(names, label, type, ret);
}

/* One label of a reverse name: "0" to "255", or one hexadecimal digit. */
static bool reverse_number(const struct dns_name *name, unsigned at, unsigned bits, uint8_t *ret)
{
	unsigned len = name->wire[at];
	unsigned value = 0;

	if (len > (bits == 4 ? 1u : 3u) || (len > 1 && name->wire[at + 1] == '0'))
		return false;
	for (unsigned i = 1; i <= len; i++) {
		uint8_t c = name->wire[at + i] | 0x20;
		if (c >= '0' && c <= '9' && name->wire[at + i] == c)
			value = value * 10 + (c - '0');
		else if (bits == 4 && c >= 'a' && c <= 'f')
			value = c - 'a' + 10u;
		else
			return false;
	}
	*ret = (uint8_t)value;
	return value <= 255;
}

/* Reads the labels before the tree's root from the right, as far as they are numbers.
 * Returns how many; 'ret_at' gets where each begins, the rightmost first. */
static unsigned reverse_labels(const struct reverse_tree *tree, const struct dns_name *name,
			       unsigned root_at, struct addr *ret_addr, unsigned ret_at[32])
{
	unsigned at[LABELS_MAX];
	unsigned at_n = 0;
	unsigned known_n = 0;

	for (unsigned i = 0; i < root_at; i += 1u + name->wire[i])
		at[at_n++] = i;
	*ret_addr = tree->bits == 8 ? addr_v4(0) : (struct addr){{0}};
	while (known_n < tree->labels && known_n < at_n) {
		unsigned label_at = at[at_n - 1 - known_n];
		uint8_t number;
		if (!reverse_number(name, label_at, tree->bits, &number))
			break;
		if (tree->bits == 8)
			ret_addr->b[12 + known_n] = number;
		else
			ret_addr->b[known_n / 2] |= (uint8_t)(known_n % 2 ? number : number << 4);
		ret_at[known_n++] = label_at;
	}
	return known_n;
}

static void answer_ptr(const struct names *names, const struct addr *addr, uint16_t type,
		       struct names_answer *ret)
{
	char label[DNS_LABEL_TEXT_MAX] = "host";
	struct dns_name first;

	if (!addr_eq(addr, &names->host4) && !addr_eq(addr, &names->host6) &&
	    !(names->addr_to_name && names->addr_to_name(names->ctx, addr, label)))
		return;
	if (!dns_name_parse(label, &first) || !dns_name_join(&first, &names->domain, &ret->target))
		return;
	ret->verdict = type == DNS_TYPE_PTR || type == DNS_TYPE_ANY ? NAMES_PTR : NAMES_NODATA;
}

/* A configured name's address may be anywhere. */
static void find_static_reverse(const struct names *names, const struct addr *addr, uint16_t type,
				struct names_answer *ret)
{
	for (unsigned i = 0; i < names->statics_n; i++) {
		const struct names_static *s = &names->statics[i];
		bool is_label = s->name.wire[0] + 2u == s->name.len;

		if (!addr_eq(&s->addr, addr))
			continue;
		ret->target = s->name;
		if (is_label && !dns_name_join(&s->name, &names->domain, &ret->target))
			continue;
		ret->verdict =
		    type == DNS_TYPE_PTR || type == DNS_TYPE_ANY ? NAMES_PTR : NAMES_NODATA;
		return;
	}
}

static void find_reverse(const struct names *names, const struct dns_name *name, uint16_t type,
			 struct names_answer *ret)
{
	int at4 = dns_name_suffix(name, &in_addr_arpa.root);
	const struct reverse_tree *tree = at4 >= 0 ? &in_addr_arpa : &ip6_arpa;
	const struct subnet *net = at4 >= 0 ? &names->net4 : &names->net6;
	int root_at = at4 >= 0 ? at4 : dns_name_suffix(name, &ip6_arpa.root);
	unsigned label_at[32];
	unsigned known_n, zone_n;
	struct addr addr;

	ret->verdict = NAMES_FOREIGN;
	if (root_at <= 0)
		return;
	known_n = reverse_labels(tree, name, (unsigned)root_at, &addr, label_at);
	if (known_n == tree->labels && label_at[known_n - 1] == 0)
		find_static_reverse(names, &addr, type, ret);
	if (ret->verdict != NAMES_FOREIGN || addr_is_unspecified(&net->addr))
		return;
	/* The zone is cut at the first label edge inside the subnet. */
	zone_n = (net->prefix_len + tree->bits - 1) / tree->bits;
	if (zone_n == 0 || known_n < zone_n || !subnet_contains(net, &addr))
		return;
	ret->zone_at = label_at[zone_n - 1];
	ret->verdict = NAMES_NXDOMAIN;
	if (label_at[known_n - 1] != 0)
		return; /* further labels below: none of them exists */
	if (type == DNS_TYPE_SOA && ret->zone_at == 0)
		ret->verdict = NAMES_SOA;
	else if (known_n < tree->labels)
		ret->verdict = NAMES_NODATA;
	else
		answer_ptr(names, &addr, type, ret);
}

void names_find(const struct names *names, const struct dns_name *name, uint16_t type,
		struct names_answer *ret)
{
	int domain_at = dns_name_suffix(name, &names->domain);

	memset(ret, 0, sizeof(*ret));
	if (name->wire[0] + 2u != name->len && find_static(names, name, type, ret))
		return;
	if (domain_at >= 0) {
		ret->verdict = NAMES_NXDOMAIN;
		ret->zone_at = (unsigned)domain_at;
		find_in_domain(names, name, type, ret);
		return;
	}
	find_reverse(names, name, type, ret);
	if (ret->verdict == NAMES_FOREIGN)
		find_outside_domain(names, name, type, ret);
}
