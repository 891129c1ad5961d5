#include "stack/app/services_v6.h"

#include "dhcp/ra.h"
#include "stack/base/log.h"
#include "stack/host/host_routes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DHCP6_SERVER_PORT 547
#define DHCP6_CLIENT_PORT 546
#define LEASE_S 86400     /* as DHCPv4's */
#define LEASES_MAX 4096   /* associations remembered */
#define PER_PORT_MAX 1024 /* of them, of one port */
#define REPLY_MAX 1232    /* bytes: what fits IPv6's smallest MTU in one piece */
#define REFUSED_LOG_MS 60000
#define LEASE_LOG_MS 1000   /* leases are said one by one, */
#define LEASE_LOG_BURST 100 /* but no more than that */

struct services_v6 {
	struct services_v6_config config;
	struct ra *ra;
	struct dhcpd6 *dhcpd;
	uint64_t changes; /* dhcpd's that the lease file has been told of */
	struct host_routes *routes;
	uv_timer_t timer;    /* the next advertisement */
	struct port **ports; /* attached, 'ports_n' of config.ports_max */
	unsigned ports_n;
	struct log_limit refused_log, lease_log;
};

/* ---- Router Advertisements ---- */

static void send_ra(struct services_v6 *s, struct port *port, const struct mac *mac,
		    const struct addr *to, bool last)
{
	static const struct mac all_nodes_mac = {{0x33, 0x33, 0, 0, 0, 1}};
	static const struct addr all_nodes = {{0xff, 2, [15] = 1}};
	uint8_t bytes[RA_MAX];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct nat_udp_reply reply = {
	    .port = port, .to_mac = to ? *mac : all_nodes_mac, .to = {to ? *to : all_nodes, 0}};

	ra_write(s->ra, last, &out);
	if (!out.bad)
		nat_icmp6_send(s->config.nat, &reply, bytes, wire_len(&out));
}

static void send_to_all(struct services_v6 *s, bool last)
{
	for (unsigned i = 0; i < s->ports_n; i++)
		send_ra(s, s->ports[i], NULL, NULL, last);
}

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct services_v6 *s)
{
	uint64_t now_ms = uv_now(s->config.loop), due_ms = ra_due_ms(s->ra);

	if (due_ms == UINT64_MAX)
		uv_timer_stop(&s->timer);
	else
		uv_timer_start(&s->timer, on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct services_v6 *s = timer->data;
	uint64_t now_ms = uv_now(s->config.loop);

	if (ra_due_ms(s->ra) <= now_ms) {
		send_to_all(s, false);
		ra_sent(s->ra, now_ms, s->config.rng);
	}
	arm_timer(s);
	s->config.turn(s->config.turn_ctx);
}

/* With --restrict on the gateway leads nowhere, whatever the host reaches. */
static bool is_online(const struct services_v6 *s)
{
	return host_routes_online6(s->routes) && !s->config.options->restrict_guests;
}

static void on_routes(void *ctx, bool online6)
{
	struct services_v6 *s = ctx;

	log_info("this host %s the IPv6 Internet: guests are told",
		 online6 ? "reaches" : "has lost");
	if (ra_set_online(s->ra, is_online(s), uv_now(s->config.loop), s->config.rng))
		arm_timer(s);
}

/* At once, which RFC 4861 section 6.2.6 allows to one; to all of them on that port where the asker
 * has no address yet. */
void services_v6_solicited(struct services_v6 *s, struct port *port, const struct mac *from_mac,
			   const struct addr *from)
{
	send_ra(s, port, from_mac, addr_is_unspecified(from) ? NULL : from, false);
}

void services_v6_port_add(struct services_v6 *s, struct port *port)
{
	assert(s->ports_n < s->config.ports_max);
	s->ports[s->ports_n++] = port;
	send_ra(s, port, NULL, NULL, false); /* a guest that outlived us waits for news */
	ra_guest_came(s->ra, uv_now(s->config.loop));
	arm_timer(s);
}

void services_v6_port_remove(struct services_v6 *s, const struct port *port)
{
	for (unsigned i = 0; i < s->ports_n; i++) {
		if (s->ports[i] == port) {
			s->ports[i] = s->ports[--s->ports_n];
			break;
		}
	}
	dhcpd6_port_gone(s->dhcpd, port->id);
	if (s->ports_n == 0) {
		ra_guests_gone(s->ra);
		arm_timer(s);
	}
}

void services_v6_leave(struct services_v6 *s)
{
	send_to_all(s, true);
}

/* ---- DHCPv6 ---- */

static void log_dhcp(struct services_v6 *s, enum dhcpd6_verdict verdict,
		     const struct nat_udp_meta *meta, const struct dhcpd6_reply *reply)
{
	char mac[MAC_TEXT_MAX], addr[ADDR_TEXT_MAX];

	mac_format(&meta->guest_mac, mac);
	for (unsigned i = 0; i < reply->leased_n; i++) {
		if (!log_limit_ok(&s->lease_log, uv_now(s->config.loop), LEASE_LOG_BURST,
				  LEASE_LOG_MS))
			break;
		log_info("dhcp6: %s on %s has %s", mac, meta->port->name,
			 addr_format(&reply->leased[i], addr));
	}
	if (verdict != DHCPD6_REFUSED)
		log_debug("dhcp6: message from %s on %s, verdict %d", mac, meta->port->name,
			  verdict);
	else if (log_limit_ok(&s->refused_log, uv_now(s->config.loop), 1, REFUSED_LOG_MS))
		log_warn("dhcp6: no address for %s on %s", mac, meta->port->name);
}

/* What others have to know of addresses that were given. */
static void tell_leased(struct services_v6 *s, const struct nat_udp_meta *meta,
			const struct dhcpd6_reply *reply)
{
	uint64_t now_ms = uv_now(s->config.loop);

	for (unsigned i = 0; i < reply->leased_n; i++) {
		struct guest_addr addr = {reply->leased[i], meta->guest_mac, GUEST_ADDR_DHCP,
					  now_ms};
		const struct dhcpd6_lease *lease =
		    dhcpd6_lease_by_addr(s->dhcpd, &reply->leased[i], now_ms);

		nat_neighbour_set(s->config.nat, &reply->leased[i], &meta->guest_mac, meta->port);
		guests_saw_addr(s->config.guests, meta->port, &addr);
		if (lease)
			guests_named(s->config.guests, meta->port, lease->hostname);
	}
}

static void tell_store(struct services_v6 *s)
{
	uint64_t changes = dhcpd6_changes(s->dhcpd);

	if (s->config.store && changes != s->changes)
		lease_store_changed(s->config.store);
	s->changes = changes;
}

static void on_dhcp(void *ctx, const struct nat_udp_meta *meta, const uint8_t *payload, size_t len)
{
	struct services_v6 *s = ctx;
	uint64_t now_ms = uv_now(s->config.loop);
	uint8_t bytes[REPLY_MAX];
	struct dhcpd6_reply reply = {.bytes = wire_out(bytes, sizeof(bytes))};
	struct dhcpd6_from from = {meta->guest_mac, meta->port->id};
	enum dhcpd6_verdict verdict;
	struct nat_udp_reply to = {.port = meta->port,
				   .to_mac = meta->guest_mac,
				   .from = {*nat_linklocal(s->config.nat), DHCP6_SERVER_PORT},
				   .to = {meta->guest.addr, DHCP6_CLIENT_PORT}};

	if (addr_is_v4(&meta->guest.addr) || addr_is_unspecified(&meta->guest.addr))
		return;
	guests_dhcp_asked(s->config.guests, meta->port, now_ms);
	verdict = dhcpd6_input(s->dhcpd, wire_in(payload, len), &from, now_ms, &reply);
	log_dhcp(s, verdict, meta, &reply);
	tell_leased(s, meta, &reply);
	tell_store(s);
	if (reply.bytes.bad || wire_len(&reply.bytes) == 0)
		return;
	guests_dhcp_answered(s->config.guests, meta->port, now_ms);
	nat_udp_send(s->config.nat, &to, bytes, wire_len(&reply.bytes));
}

static bool is_in_use(void *ctx, const struct addr *addr, const struct mac *mac)
{
	struct services_v6 *s = ctx;
	struct mac other;
	struct port *port;

	return nat_neighbour(s->config.nat, addr, &port, &other) && !mac_eq(&other, mac);
}

static void boot_url(void *ctx, const struct dhcpd6_boot_ask *ask, char url[DHCPD6_URL_MAX])
{
	struct services_v6 *s = ctx;

	if (s->config.boot_url)
		s->config.boot_url(s->config.boot_ctx, ask, url);
}

/* ---- the lease file: wall-clock time there, the loop's here ---- */

void services_v6_restore(struct services_v6 *s, const struct lease_record *record)
{
	uint64_t now_ms = uv_now(s->config.loop);
	int64_t left_s = record->expires_s - (int64_t)time(NULL);
	struct dhcpd6_lease lease = {.addr = record->addr,
				     .mac = record->mac,
				     .iaid = record->iaid,
				     .duid_len = record->duid_len,
				     .expires_ms = now_ms,
				     .active = left_s > 0};

	_Static_assert(sizeof(lease.duid) == sizeof(record->duid), "a DUID is a DUID");
	_Static_assert(sizeof(lease.hostname) == sizeof(record->hostname), "so is a name");
	if (record->kind != LEASE_RECORD_V6)
		return;
	if (left_s > LEASE_S) /* the clock was set back */
		left_s = LEASE_S;
	if (left_s > 0)
		lease.expires_ms += (uint64_t)left_s * 1000;
	memcpy(lease.duid, record->duid, record->duid_len);
	memcpy(lease.hostname, record->hostname, sizeof(lease.hostname));
	(void)dhcpd6_lease_restore(s->dhcpd, &lease, now_ms);
}

void services_v6_collect(struct services_v6 *s, struct lease_store *store)
{
	int64_t now_ms = (int64_t)uv_now(s->config.loop), now_s = (int64_t)time(NULL);
	const struct dhcpd6_lease *lease;
	uint32_t cursor = 0;

	while ((lease = dhcpd6_lease_next(s->dhcpd, &cursor)) != NULL) {
		int64_t left_ms = (int64_t)lease->expires_ms - now_ms;
		struct lease_record record = {.kind = LEASE_RECORD_V6,
					      .addr = lease->addr,
					      .mac = lease->mac,
					      .iaid = lease->iaid,
					      .duid_len = (uint8_t)lease->duid_len};

		/* A released one ends now, whatever it had left. */
		record.expires_s = now_s + (lease->active || left_ms < 0 ? left_ms / 1000 : 0);
		memcpy(record.duid, lease->duid, lease->duid_len);
		memcpy(record.hostname, lease->hostname, sizeof(record.hostname));
		lease_store_put(store, &record);
	}
}

/* ---- names ---- */

/* Modified EUI-64 (RFC 4291 appendix A): an address that a card keeps. */
static bool is_eui64_of(const struct addr *addr, const struct mac *mac)
{
	const uint8_t id[8] = {mac->b[0] ^ 2, mac->b[1], mac->b[2], 0xff,
			       0xfe,          mac->b[3], mac->b[4], mac->b[5]};

	return memcmp(addr->b + 8, id, sizeof(id)) == 0;
}

/* Better is more: leased, made of the card's MAC, any other of our net; 0 is none of it. */
static unsigned rank(const struct services_v6 *s, const struct guest_addr *a)
{
	if (addr_is_v4(&a->addr) || !subnet_contains(&s->config.options->net6, &a->addr))
		return 0;
	if (a->source == GUEST_ADDR_DHCP)
		return 3;
	return is_eui64_of(&a->addr, &a->mac) ? 2 : 1;
}

static bool best_of(const struct services_v6 *s, const struct guest_record *guest, struct addr *ret)
{
	unsigned best = 0;

	for (unsigned i = 0; i < guest->addrs_n; i++) {
		unsigned r = rank(s, &guest->addr[i]);

		if (r >= best && r > 0) { /* newest last: of equals the newest */
			best = r;
			*ret = guest->addr[i].addr;
		}
	}
	return best > 0;
}

bool services_v6_by_name(const struct services_v6 *s, const char *label, struct addr *ret)
{
	const struct dhcpd6_lease *lease =
	    dhcpd6_lease_by_name(s->dhcpd, label, uv_now(s->config.loop));
	const struct guest_record *guest = NULL;

	if (lease) {
		*ret = lease->addr;
		return true;
	}
	while ((guest = guests_next(s->config.guests, guest)) != NULL) {
		if (strcmp(guest->name, label) == 0 && label[0])
			return best_of(s, guest, ret);
	}
	return false;
}

bool services_v6_by_addr(const struct services_v6 *s, const struct addr *addr,
			 char ret[DHCPD6_HOSTNAME_MAX])
{
	const struct dhcpd6_lease *lease =
	    dhcpd6_lease_by_addr(s->dhcpd, addr, uv_now(s->config.loop));
	const struct guest_record *guest;
	struct port *port;
	struct mac mac;

	if (lease && lease->hostname[0]) {
		memcpy(ret, lease->hostname, DHCPD6_HOSTNAME_MAX);
		return true;
	}
	if (addr_is_v4(addr) || !nat_neighbour(s->config.nat, addr, &port, &mac))
		return false;
	guest = guests_by_port(s->config.guests, port);
	if (!guest || guest->name[0] == '\0')
		return false;
	memcpy(ret, guest->name, DHCPD6_HOSTNAME_MAX);
	return true;
}

/* ---- building ---- */

static int new_ra(struct services_v6 *s)
{
	const struct services_v6_config *c = &s->config;
	struct ra_config config = {.mac = c->mac,
				   .net = c->options->net6,
				   .mtu = c->options->mtu,
				   .search = c->search,
				   .search_n = c->search_n,
				   .managed = true};

	if (c->tells_dns)
		config.dns = c->options->dns6;
	return ra_new(&s->ra, &config);
}

static unsigned list_options(const struct options *o,
			     struct dhcpd6_option ret[OPTIONS_DHCP6_OPTIONS_MAX])
{
	for (unsigned i = 0; i < o->dhcp6_options.n; i++) {
		const struct options_dhcp_option *option = &o->dhcp6_options.option[i];

		ret[i] = (struct dhcpd6_option){option->code, option->len, option->value};
	}
	return o->dhcp6_options.n;
}

static int new_dhcpd(struct services_v6 *s)
{
	struct dhcpd6_option options[OPTIONS_DHCP6_OPTIONS_MAX];
	const struct services_v6_config *c = &s->config;
	struct addr reserved[OPTIONS_SERVICE_ADDRS_MAX];
	struct dhcpd6_config config = {
	    .net = c->options->net6,
	    .server = c->options->host6,
	    .pool_first = c->options->dhcpstart6,
	    .mac = c->mac,
	    .lease_s = LEASE_S,
	    .search = c->search,
	    .search_n = c->search_n,
	    .domain = c->domain,
	    .options = options,
	    .options_n = list_options(c->options, options),
	    .reserved = reserved,
	    .reserved_n = options_service_addrs(c->options, reserved),
	    .leases_max = LEASES_MAX,
	    .per_port_max = PER_PORT_MAX,
	    .hash_key = {{rng_u64(c->rng), rng_u64(c->rng)}}, /* no guest can choose collisions */
	    .boot_url = boot_url,
	    .in_use = is_in_use,
	    .ctx = s,
	};

	if (c->tells_dns)
		config.dns = c->options->dns6;
	return dhcpd6_new(&s->dhcpd, &config);
}

static int build(struct services_v6 *s)
{
	int result;

	s->ports = calloc(s->config.ports_max, sizeof(struct port *));
	result = s->ports ? new_ra(s) : -ENOMEM;
	if (result == 0)
		result = new_dhcpd(s);
	if (result == 0)
		result = host_routes_new(&s->routes, s->config.loop, on_routes, s);
	if (result == 0)
		(void)ra_set_online(s->ra, is_online(s), uv_now(s->config.loop), s->config.rng);
	if (result == 0)
		result = nat_udp_service_add(s->config.nat, DHCP6_SERVER_PORT, false, on_dhcp, s);
	return result;
}

int services_v6_new(struct services_v6 **ret, const struct services_v6_config *config)
{
	struct services_v6 *s = calloc(1, sizeof(*s));
	int result;

	if (!s)
		return -ENOMEM;
	s->config = *config;
	s->timer.data = s;
	uv_timer_init(config->loop, &s->timer);
	result = build(s);
	s->config.search = NULL;
	if (result < 0) {
		services_v6_close(s);
		return result;
	}
	*ret = s;
	return 0;
}

struct dhcpd6 *services_v6_dhcpd(struct services_v6 *s)
{
	return s->dhcpd;
}

static void on_closed(uv_handle_t *handle)
{
	struct services_v6 *s = handle->data;

	dhcpd6_free(s->dhcpd);
	ra_free(s->ra);
	free(s->ports);
	free(s);
}

void services_v6_close(struct services_v6 *s)
{
	if (!s)
		return;
	host_routes_close(s->routes);
	uv_close((uv_handle_t *)&s->timer, on_closed);
}
