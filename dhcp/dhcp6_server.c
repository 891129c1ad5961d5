#include "dhcp/dhcp6.h"

#include "dhcp/dhcp6_msg.h"
#include "dhcp/dhcp6_name.h"
#include "dhcp/dhcp6_priv.h"

#include <stdio.h>
#include <string.h>

#define REFRESH_S 86400 /* how long stateless configuration holds (RFC 8415 section 21.23) */
#define IN_USE_TRIES 8  /* addresses found in use before a client is refused */
#define FQDN_S 1        /* RFC 4704 section 4.1: the server does the AAAA record */
#define FQDN_O 2        /* and it overrides what the client wished */

/* One request on its way to its answer. */
struct exchange {
	struct dhcpd6 *server;
	struct dhcpd6_request request;
	const struct dhcpd6_from *from;
	uint64_t now_ms;
	struct dhcpd6_reply *reply;
};

static struct lease6_client client_of(const struct exchange *x, uint32_t iaid)
{
	return (struct lease6_client){.mac = x->from->mac,
				      .port = x->from->port,
				      .duid = x->request.client_id,
				      .duid_len = x->request.client_id_len,
				      .iaid = iaid};
}

/* ---- what a reply says ---- */

/* Header and the two identifiers (RFC 8415 section 18.3: they come with every answer). */
static void begin_reply(struct exchange *x, enum dhcpd6_type type)
{
	struct wire_out *out = &x->reply->bytes;

	wire_put_u8(out, (uint8_t)type);
	wire_put_u8(out, (uint8_t)(x->request.xid >> 16));
	wire_put_u16(out, (uint16_t)x->request.xid);
	if (x->request.client_id)
		dhcpd6_put(out, DHCPD6_OPT_CLIENT_ID, x->request.client_id,
			   x->request.client_id_len);
	dhcpd6_put(out, DHCPD6_OPT_SERVER_ID, x->server->duid, DHCPD6_OWN_DUID_LEN);
}

/* A client that lists nothing takes what there is. */
static bool wants(const struct exchange *x, uint16_t code)
{
	return !x->request.has_oro || dhcpd6_is_asked(&x->request, code);
}

/* What a client can do without is left out where it does not fit. */
static void put_if_it_fits(struct wire_out *out, const struct wire_out *before)
{
	if (out->bad && !before->bad)
		*out = *before;
}

/* UEFI takes a URL for HTTP boot only beside the class that it sent itself (UEFI 2.10 section
 * 24.7.3.1). */
static void put_boot(struct exchange *x)
{
	const struct dhcpd6_config *config = &x->server->config;
	struct wire_out *out = &x->reply->bytes, before = *out;
	char url[DHCPD6_URL_MAX] = "";

	if (!config->boot_url || !dhcpd6_is_asked(&x->request, DHCPD6_OPT_BOOT_URL))
		return;
	x->request.boot.mac = x->from->mac;
	config->boot_url(config->ctx, &x->request.boot, url);
	if (url[0] == '\0')
		return;
	dhcpd6_put(out, DHCPD6_OPT_BOOT_URL, url, strlen(url));
	if (x->request.boot.http) {
		size_t begun = dhcpd6_begin(out, DHCPD6_OPT_VENDOR_CLASS);

		wire_put_u32(out, x->request.enterprise);
		wire_put_u16(out, sizeof("HTTPClient") - 1);
		wire_put_bytes(out, "HTTPClient", sizeof("HTTPClient") - 1);
		dhcpd6_end(out, begun);
	}
	put_if_it_fits(out, &before);
}

/* RFC 4704 section 6: the names are ours to answer for, so S is set, and O where the client did not
 * want that. */
static void put_fqdn(struct exchange *x)
{
	const struct dhcpd6_request *request = &x->request;
	struct wire_out *out = &x->reply->bytes, before = *out;
	char name[DHCPD6_HOSTNAME_MAX + DHCPD6_DOMAIN_MAX];
	size_t begun;

	if (!request->has_fqdn || !request->hostname[0] || !x->server->domain[0])
		return;
	snprintf(name, sizeof(name), "%s.%s", request->hostname, x->server->domain);
	begun = dhcpd6_begin(out, DHCPD6_OPT_FQDN);
	wire_put_u8(out, request->fqdn_flags & FQDN_S ? FQDN_S : FQDN_S | FQDN_O);
	if (dhcpd6_name_put(out, name))
		dhcpd6_end(out, begun);
	else
		out->bad = true;
	put_if_it_fits(out, &before);
}

static void put_options(struct exchange *x)
{
	struct wire_in options = wire_in(x->server->options, x->server->options_len);

	while (wire_left(&options) > 0) {
		struct wire_out *out = &x->reply->bytes, before = *out;
		uint16_t code = wire_get_u16(&options);
		struct wire_in value = wire_get_in(&options, wire_get_u16(&options));

		if (wants(x, code))
			dhcpd6_put(out, code, value.at, wire_left(&value));
		put_if_it_fits(out, &before);
	}
}

static void put_configuration(struct exchange *x)
{
	const struct dhcpd6 *server = x->server;
	struct wire_out *out = &x->reply->bytes, before;

	if (wants(x, DHCPD6_OPT_DNS) && !addr_is_unspecified(&server->config.dns))
		dhcpd6_put(out, DHCPD6_OPT_DNS, server->config.dns.b, sizeof(server->config.dns.b));
	put_boot(x);
	put_fqdn(x);
	put_options(x);
	before = *out;
	if (wants(x, DHCPD6_OPT_SEARCH) && server->search_len > 0)
		dhcpd6_put(out, DHCPD6_OPT_SEARCH, server->search, server->search_len);
	put_if_it_fits(out, &before);
}

static uint32_t left_s(uint64_t expires_ms, uint64_t now_ms)
{
	if (expires_ms == UINT64_MAX)
		return UINT32_MAX;
	return (uint32_t)((expires_ms - now_ms) / 1000);
}

static void put_ia_addr(struct wire_out *out, const struct addr *addr, uint32_t valid_s)
{
	size_t begun = dhcpd6_begin(out, DHCPD6_OPT_IA_ADDR);

	wire_put_bytes(out, addr->b, sizeof(addr->b));
	wire_put_u32(out, valid_s); /* preferred */
	wire_put_u32(out, valid_s);
	dhcpd6_end(out, begun);
}

static size_t begin_ia(struct wire_out *out, uint32_t iaid, uint32_t valid_s)
{
	size_t begun = dhcpd6_begin(out, DHCPD6_OPT_IA_NA);
	bool for_ever = valid_s == UINT32_MAX;

	wire_put_u32(out, iaid);
	wire_put_u32(out, for_ever ? valid_s : valid_s / 2); /* T1, T2: RFC 8415 section 21.4 */
	wire_put_u32(out, for_ever ? valid_s : valid_s / 5 * 4);
	return begun;
}

static void put_ia_status(struct wire_out *out, uint32_t iaid, enum dhcpd6_status status,
			  const char *text)
{
	size_t begun = begin_ia(out, iaid, 0);

	dhcpd6_put_status(out, status, text);
	dhcpd6_end(out, begun);
}

/* What the client says it has and the lease is not, is taken from it (RFC 8415 section 18.3.4). */
static void put_ia_lease(struct exchange *x, const struct dhcpd6_ia *ia, const struct lease6 *lease,
			 uint64_t expires_ms)
{
	struct wire_out *out = &x->reply->bytes;
	uint32_t valid_s = left_s(expires_ms, x->now_ms);
	size_t begun = begin_ia(out, ia->iaid, valid_s);
	bool keeps = x->request.type == DHCPD6_RENEW || x->request.type == DHCPD6_REBIND;

	put_ia_addr(out, &lease->pub.addr, valid_s);
	for (unsigned i = 0; keeps && i < ia->addrs_n; i++) {
		if (!addr_eq(&ia->addrs[i], &lease->pub.addr))
			put_ia_addr(out, &ia->addrs[i], 0);
	}
	dhcpd6_end(out, begun);
}

/* We delegate no prefixes: said at once, so that a router of a guest does not go on asking. */
static void put_pd_refusals(struct exchange *x)
{
	for (unsigned i = 0; i < x->request.pd_n; i++) {
		struct wire_out *out = &x->reply->bytes;
		size_t begun = dhcpd6_begin(out, DHCPD6_OPT_IA_PD);

		wire_put_u32(out, x->request.pd_iaids[i]);
		wire_put_u32(out, 0);
		wire_put_u32(out, 0);
		dhcpd6_put_status(out, DHCPD6_NO_PREFIX_AVAIL, "no prefixes here");
		dhcpd6_end(out, begun);
	}
}

/* ---- who gets what ---- */

static bool is_in_use(const struct exchange *x, const struct addr *addr)
{
	const struct dhcpd6_config *config = &x->server->config;

	return config->in_use && config->in_use(config->ctx, addr, &x->from->mac);
}

/* The first of the addresses the client names that can be had. What was only offered to another
 * goes to the one who has used it all along. */
static struct lease6 *take_wish(struct exchange *x, const struct lease6_client *client,
				const struct dhcpd6_ia *ia)
{
	struct lease6_table *leases = x->server->leases;
	struct lease6 *lease = NULL;

	for (unsigned i = 0; i < ia->addrs_n && !lease; i++) {
		struct lease6 *other = lease6_by_addr(leases, &ia->addrs[i]);

		if (is_in_use(x, &ia->addrs[i]))
			continue;
		if (other && other->state == LEASE6_OFFERED)
			lease6_forget(leases, other);
		lease = lease6_take(leases, client, &ia->addrs[i], x->now_ms);
	}
	return lease;
}

/* The client's own address, else the one it asks for, else any. NULL: none is to be had. */
static struct lease6 *find_or_take(struct exchange *x, const struct dhcpd6_ia *ia)
{
	struct lease6_table *leases = x->server->leases;
	struct lease6_client client = client_of(x, ia->iaid);
	struct lease6 *lease = lease6_find(leases, &client);

	if (!lease)
		lease = take_wish(x, &client, ia);
	for (unsigned i = 0; i < IN_USE_TRIES && !lease; i++) {
		lease = lease6_take(leases, &client, NULL, x->now_ms);
		if (!lease)
			return NULL;
		if (is_in_use(x, &lease->pub.addr)) { /* set by hand in some guest */
			lease6_decline(leases, lease, x->now_ms);
			lease = NULL;
		}
	}
	if (lease)
		lease6_touch(leases, lease, x->from->port, x->now_ms);
	return lease;
}

static void commit(struct exchange *x, struct lease6 *lease, uint64_t expires_ms)
{
	bool renewal = x->request.type == DHCPD6_RENEW || x->request.type == DHCPD6_REBIND;

	lease6_activate(x->server->leases, lease, x->request.hostname, renewal, expires_ms,
			x->now_ms);
	x->server->changes++;
	x->reply->leased[x->reply->leased_n++] = lease->pub.addr;
}

/* Answers each association; how many got an address. */
static unsigned answer_ias(struct exchange *x, bool for_good)
{
	uint64_t expires_ms = x->server->config.lease_s == UINT32_MAX
				  ? UINT64_MAX
				  : x->now_ms + (uint64_t)x->server->config.lease_s * 1000;
	unsigned given_n = 0;

	for (unsigned i = 0; i < x->request.ias_n; i++) {
		const struct dhcpd6_ia *ia = &x->request.ias[i];
		struct lease6 *lease = find_or_take(x, ia);

		if (!lease) {
			put_ia_status(&x->reply->bytes, ia->iaid, DHCPD6_NO_ADDRS_AVAIL,
				      "no address left");
			continue;
		}
		if (for_good)
			commit(x, lease, expires_ms);
		put_ia_lease(x, ia, lease, expires_ms);
		given_n++;
	}
	return given_n;
}

/* ---- decisions, RFC 8415 section 18.3 ---- */

static enum dhcpd6_verdict on_solicit(struct exchange *x)
{
	bool at_once = x->request.rapid_commit;
	unsigned given_n;

	begin_reply(x, at_once ? DHCPD6_REPLY : DHCPD6_ADVERTISE);
	if (at_once) {
		dhcpd6_put(&x->reply->bytes, DHCPD6_OPT_RAPID_COMMIT, NULL, 0);
	} else { /* nobody else will answer: there is nothing to wait for */
		static const uint8_t most = 255;

		dhcpd6_put(&x->reply->bytes, DHCPD6_OPT_PREFERENCE, &most, 1);
	}
	given_n = answer_ias(x, at_once);
	put_pd_refusals(x);
	put_configuration(x);
	if (given_n == 0) {
		dhcpd6_put_status(&x->reply->bytes, DHCPD6_NO_ADDRS_AVAIL, "no address left");
		return DHCPD6_REFUSED;
	}
	return at_once ? DHCPD6_REPLIED : DHCPD6_ADVERTISED;
}

/* Request, Renew and Rebind: what is asked for is granted where it can be, also without a record of
 * it (sections 18.3.2, 18.3.4, 18.3.5), else it gets lifetimes of 0 beside another one. */
static enum dhcpd6_verdict on_request(struct exchange *x)
{
	unsigned given_n;

	begin_reply(x, DHCPD6_REPLY);
	given_n = answer_ias(x, true);
	put_pd_refusals(x);
	put_configuration(x);
	return given_n ? DHCPD6_REPLIED : DHCPD6_REFUSED;
}

/* Section 18.3.3: only whether the addresses are of this link. */
static enum dhcpd6_verdict on_confirm(struct exchange *x)
{
	unsigned addrs_n = 0;
	bool on_link = true;

	for (unsigned i = 0; i < x->request.ias_n; i++) {
		const struct dhcpd6_ia *ia = &x->request.ias[i];

		for (unsigned j = 0; j < ia->addrs_n; j++, addrs_n++)
			on_link = on_link && subnet_contains(&x->server->config.net, &ia->addrs[j]);
	}
	if (addrs_n == 0)
		return DHCPD6_IGNORED;
	begin_reply(x, DHCPD6_REPLY);
	dhcpd6_put_status(&x->reply->bytes, on_link ? DHCPD6_SUCCESS : DHCPD6_NOT_ON_LINK,
			  on_link ? "on link" : "not on link");
	put_configuration(x);
	return on_link ? DHCPD6_CONFIRMED : DHCPD6_REFUSED;
}

static bool names_addr(const struct dhcpd6_ia *ia, const struct addr *addr)
{
	for (unsigned i = 0; i < ia->addrs_n; i++) {
		if (addr_eq(&ia->addrs[i], addr))
			return true;
	}
	return false;
}

/* Sections 18.3.7 and 18.3.8: Success in any case, and NoBinding for each association that is none.
 */
static enum dhcpd6_verdict on_give_back(struct exchange *x, bool declined)
{
	struct lease6_table *leases = x->server->leases;
	struct wire_out *out = &x->reply->bytes;

	begin_reply(x, DHCPD6_REPLY);
	for (unsigned i = 0; i < x->request.ias_n; i++) {
		const struct dhcpd6_ia *ia = &x->request.ias[i];
		struct lease6_client client = client_of(x, ia->iaid);
		struct lease6 *lease = lease6_find(leases, &client);

		if (!lease) {
			put_ia_status(out, ia->iaid, DHCPD6_NO_BINDING, "no such binding");
			continue;
		}
		if (!names_addr(ia, &lease->pub.addr))
			continue;
		if (declined)
			lease6_decline(leases, lease, x->now_ms);
		else
			lease6_release(leases, lease, x->now_ms);
		x->server->changes++;
	}
	dhcpd6_put_status(out, DHCPD6_SUCCESS, declined ? "noted" : "released");
	return declined ? DHCPD6_DECLINED : DHCPD6_RELEASED;
}

static enum dhcpd6_verdict on_information_request(struct exchange *x)
{
	struct wire_out *out = &x->reply->bytes;

	begin_reply(x, DHCPD6_REPLY);
	if (wants(x, DHCPD6_OPT_REFRESH)) {
		size_t begun = dhcpd6_begin(out, DHCPD6_OPT_REFRESH);

		wire_put_u32(out, REFRESH_S);
		dhcpd6_end(out, begun);
	}
	put_configuration(x);
	return DHCPD6_INFORMED;
}

/* ---- whether it is for us, RFC 8415 section 16 ---- */

struct rule {
	enum dhcpd6_verdict (*handle)(struct exchange *x);
	bool needs_client_id, needs_server_id, forbids_server_id, forbids_ia;
};

static enum dhcpd6_verdict on_release(struct exchange *x)
{
	return on_give_back(x, false);
}

static enum dhcpd6_verdict on_decline(struct exchange *x)
{
	return on_give_back(x, true);
}

static const struct rule rules[] = {
    [DHCPD6_SOLICIT] = {on_solicit, true, false, true, false},
    [DHCPD6_REQUEST] = {on_request, true, true, false, false},
    [DHCPD6_CONFIRM] = {on_confirm, true, false, true, false},
    [DHCPD6_RENEW] = {on_request, true, true, false, false},
    [DHCPD6_REBIND] = {on_request, true, false, true, false},
    [DHCPD6_RELEASE] = {on_release, true, true, false, false},
    [DHCPD6_DECLINE] = {on_decline, true, true, false, false},
    [DHCPD6_INFORMATION_REQUEST] = {on_information_request, false, false, false, true},
};
#define RULES_N (sizeof(rules) / sizeof(rules[0]))
#define RELAY_FORW 12
#define RELAY_REPL 13

static enum dhcpd6_verdict decide(struct exchange *x)
{
	const struct dhcpd6_request *r = &x->request;
	const struct rule *rule = r->type < RULES_N ? &rules[r->type] : NULL;
	bool is_to_us = r->server_id && r->server_id_len == DHCPD6_OWN_DUID_LEN &&
			memcmp(r->server_id, x->server->duid, DHCPD6_OWN_DUID_LEN) == 0;

	if (!rule || !rule->handle) /* a server's message, or of a later standard */
		return DHCPD6_IGNORED;
	if ((rule->needs_client_id && !r->client_id) || (rule->forbids_server_id && r->server_id))
		return DHCPD6_MALFORMED;
	if (rule->forbids_ia && (r->ias_n > 0 || r->pd_n > 0 || r->has_other_ia))
		return DHCPD6_MALFORMED;
	if ((rule->needs_server_id || r->server_id) && !is_to_us)
		return DHCPD6_IGNORED;
	return rule->handle(x);
}

enum dhcpd6_verdict dhcpd6_input(struct dhcpd6 *server, struct wire_in message,
				 const struct dhcpd6_from *from, uint64_t now_ms,
				 struct dhcpd6_reply *reply)
{
	struct exchange x = {.server = server, .from = from, .now_ms = now_ms, .reply = reply};
	enum dhcpd6_verdict verdict = DHCPD6_MALFORMED;

	reply->bytes.at = reply->bytes.start;
	reply->leased_n = 0;
	lease6_table_tick(server->leases, now_ms);
	/* A relay's header is another one; on one link there is none (RFC 8415 section 19). */
	if (wire_left(&message) > 0 && (*message.at == RELAY_FORW || *message.at == RELAY_REPL))
		verdict = DHCPD6_RELAYED;
	else if (dhcpd6_request_read(message, &x.request))
		verdict = decide(&x);
	if (reply->bytes.bad) /* no room for all of it: then for nothing */
		reply->bytes.at = reply->bytes.start;
	server->counters.verdicts[verdict]++;
	return verdict;
}
