#include "stack/app/services.h"

#include "stack/app/dhcp4.h"
#include "stack/app/lease_store.h"
#include "stack/app/services_v6.h"
#include "stack/app/boot.h"
#include "stack/base/log.h"
#include "stack/host/dns_service.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define DNS_PORT 53
#define DNS_QUERIES_MAX 2000    /* waiting, of all guests; one guest has half of them at most */
#define DOMAIN "lwnat.internal" /* of all names that are lwnat's own */

enum { SERVICE_DNS = 1, SERVICE_BOOT }; /* nat_tcp_service_add()'s numbers */

struct services {
	struct services_config config;
	struct lease_store *store; /* NULL: leases are not kept */
	struct dhcp4 *dhcp4;       /* NULL: no IPv4 */
	struct services_v6 *v6;    /* NULL: no IPv6 */
	struct dns_service *dns;   /* NULL: not served */
	struct boot *boot;         /* likewise */
	struct port **ports;       /* attached, 'ports_n' of config.ports_max */
	unsigned ports_n;
};

/* Nobody is told of a DNS server by restrict=on, and a forwarder would be a way out. */
static bool wants_dns4(const struct options *o)
{
	return o->ipv4 && o->dns_is_ours && !o->restrict_guests;
}

static bool wants_dns6(const struct options *o)
{
	return o->ipv6 && o->dns6_is_ours && !o->restrict_guests;
}

#define SEARCH_MAX (OPTIONS_SEARCH_MAX + 2)

/* Guests find each other by bare name because our domain stands last in their search list; it is
 * their only domain when the user names none. 'named': they ask us. Returns how many there are. */
static unsigned list_search(const struct options *o, bool named, const char *ret[SEARCH_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < o->dnssearch.n; i++)
		ret[n++] = o->dnssearch.name[i];
	if (named && o->domainname[0])
		ret[n++] = o->domainname;
	if (named)
		ret[n++] = DOMAIN;
	return n;
}

static const char *or_null(const char *text)
{
	return text[0] ? text : NULL;
}

/* ---- names ---- */

static bool guest_by_name(void *ctx, const char *label, bool v6, struct addr *ret)
{
	struct services *s = ctx;

	if (v6)
		return s->v6 && services_v6_by_name(s->v6, label, ret);
	return s->dhcp4 && dhcp4_name_to_addr(s->dhcp4, label, ret);
}

bool services_name_to_addr(struct services *s, const char *name, struct addr *ret)
{
	return guest_by_name(s, name, false, ret) || guest_by_name(s, name, true, ret);
}

static bool guest_by_addr(void *ctx, const struct addr *addr, char ret[DHCPD_HOSTNAME_MAX])
{
	struct services *s = ctx;

	if (!addr_is_v4(addr))
		return s->v6 && services_v6_by_addr(s->v6, addr, ret);
	return s->dhcp4 && dhcp4_addr_to_name(s->dhcp4, addr, ret);
}

/* ---- DNS ---- */

/* Where a datagram's answer goes, kept until it comes. */
struct dns_asker {
	uint32_t port_id;
	struct mac mac;
	struct endpoint guest, service;
};
_Static_assert(sizeof(struct dns_asker) <= DNS_SERVICE_COOKIE_MAX, "must fit the cookie");

static struct port *port_by_id(const struct services *s, uint32_t id)
{
	for (unsigned i = 0; i < s->ports_n; i++) {
		if (s->ports[i]->id == id)
			return s->ports[i];
	}
	return NULL;
}

/* What was broadcast is not answered: no address could be the answer's source. */
static bool is_asked_at(const struct options *o, const struct addr *addr)
{
	return addr_eq(addr, &o->dns) || addr_eq(addr, &o->host) ||
	       (o->ipv6 && (addr_eq(addr, &o->dns6) || addr_eq(addr, &o->host6)));
}

static void on_dns(void *ctx, const struct nat_udp_meta *meta, const uint8_t *payload, size_t len)
{
	struct services *s = ctx;
	struct dns_service_client client = {.id = meta->port->id,
					    .cookie_len = sizeof(struct dns_asker)};
	struct dns_asker asker = {.port_id = meta->port->id,
				  .mac = meta->guest_mac,
				  .guest = meta->guest,
				  .service = meta->service};

	if (!is_asked_at(s->config.options, &meta->service.addr))
		return;
	memcpy(client.cookie, &asker, sizeof(asker));
	dns_service_udp(s->dns, &client, payload, len);
}

static void on_dns_reply(void *ctx, const struct dns_service_client *client, const uint8_t *bytes,
			 size_t len)
{
	struct services *s = ctx;
	struct dns_asker asker;
	struct nat_udp_reply to;

	memcpy(&asker, client->cookie, sizeof(asker));
	to = (struct nat_udp_reply){.port = port_by_id(s, asker.port_id),
				    .to_mac = asker.mac,
				    .from = asker.service,
				    .to = asker.guest};
	if (to.port)
		nat_udp_send(s->config.nat, &to, bytes, len);
}

int services_accept(struct services *s, unsigned service, int fd, const struct endpoint *guest)
{
	struct port *port;
	struct mac mac;

	if (!nat_neighbour(s->config.nat, &guest->addr, &port, &mac))
		return -EHOSTUNREACH;
	if (service == SERVICE_BOOT)
		return boot_accept(s->boot, fd, port->id);
	if (service != SERVICE_DNS || !s->dns)
		return -ECONNREFUSED;
	return dns_service_tcp(s->dns, fd, port->id);
}

/* ---- building ---- */

void services_port_add(struct services *s, struct port *port)
{
	assert(s->ports_n < s->config.ports_max);
	s->ports[s->ports_n++] = port;
	if (s->v6)
		services_v6_port_add(s->v6, port);
}

void services_router_solicited(struct services *s, struct port *port, const struct mac *from_mac,
			       const struct addr *from)
{
	if (s->v6)
		services_v6_solicited(s->v6, port, from_mac, from);
}

void services_leave(struct services *s)
{
	if (s->v6)
		services_v6_leave(s->v6);
}

void services_port_remove(struct services *s, const struct port *port)
{
	if (s->dhcp4)
		dhcp4_port_gone(s->dhcp4, port);
	for (unsigned i = 0; i < s->ports_n; i++) {
		if (s->ports[i] == port) {
			boot_port_gone(s->boot, port);
			s->ports[i] = s->ports[--s->ports_n];
			break;
		}
	}
	if (s->v6)
		services_v6_port_remove(s->v6, port);
}

static struct port *on_port_wanted(void *ctx, uint32_t id)
{
	return port_by_id(ctx, id);
}

static int start_boot(struct services *s)
{
	struct boot_config config = {
	    .options = s->config.options,
	    .loop = s->config.loop,
	    .nat = s->config.nat,
	    .rng = s->config.rng,
	    .port_by_id = on_port_wanted,
	    .ctx = s,
	    .http_service = SERVICE_BOOT,
	};

	return boot_new(&s->boot, &config);
}

static void restore_lease(void *ctx, const struct lease_record *record)
{
	struct services *s = ctx;

	if (s->dhcp4)
		dhcp4_restore(s->dhcp4, record);
	if (s->v6)
		services_v6_restore(s->v6, record);
}

static void collect_leases(void *ctx, struct lease_store *store)
{
	struct services *s = ctx;

	if (s->dhcp4)
		dhcp4_collect(s->dhcp4, store);
	if (s->v6)
		services_v6_collect(s->v6, store);
}

static int open_store(struct services *s)
{
	struct lease_store_config config = {.loop = s->config.loop,
					    .path = s->config.options->lease_file,
					    .restore = restore_lease,
					    .collect = collect_leases,
					    .ctx = s};
	char error[LEASE_STORE_ERROR_MAX];
	int result;

	if (!config.path[0])
		return 0;
	result = lease_store_new(&s->store, &config, error);
	if (result < 0)
		log_err("--lease-file: %s", error);
	return result < 0 ? -ECANCELED : 0;
}

static int load_store(struct services *s)
{
	char error[LEASE_STORE_ERROR_MAX];
	int result = s->store ? lease_store_load(s->store, error) : 0;

	if (result < 0)
		log_err("--lease-file: %s", error);
	return result < 0 ? -ECANCELED : 0;
}

static int start_dhcp(struct services *s)
{
	const struct options *o = s->config.options;
	const char *search[SEARCH_MAX];
	struct dhcp4_config config = {
	    .options = o,
	    .loop = s->config.loop,
	    .nat = s->config.nat,
	    .guests = s->config.guests,
	    .rng = s->config.rng,
	    .store = s->store,
	    .boot = s->boot,
	    .search = search,
	    .search_n = list_search(o, wants_dns4(o), search),
	    .domain = or_null(o->domainname),
	};

	if (!config.domain && wants_dns4(o))
		config.domain = DOMAIN;
	return dhcp4_new(&s->dhcp4, &config);
}

static void on_boot_url(void *ctx, const struct dhcpd6_boot_ask *ask, char url[DHCPD6_URL_MAX])
{
	const struct services *s = ctx;

	boot_url6(s->boot, s->config.options, ask, url);
}

static int start_v6(struct services *s)
{
	const struct services_config *c = &s->config;
	const struct options *o = c->options;
	const char *search[SEARCH_MAX];
	struct services_v6_config config = {
	    .options = o,
	    .loop = c->loop,
	    .nat = c->nat,
	    .guests = c->guests,
	    .rng = c->rng,
	    .store = s->store,
	    .mac = c->mac,
	    .ports_max = c->ports_max,
	    .tells_dns = !o->restrict_guests,
	    .search = search,
	    .search_n = list_search(o, wants_dns6(o), search),
	    .domain = or_null(o->domainname),
	    .boot_url = on_boot_url,
	    .boot_ctx = s,
	    .turn = c->turn,
	    .turn_ctx = c->turn_ctx,
	};

	if (!config.domain && wants_dns6(o))
		config.domain = DOMAIN;
	return services_v6_new(&s->v6, &config);
}

/* What a DNS service's config points to while it is made. */
struct dns_drafts {
	struct dnsfwd_name names[OPTIONS_DNS_NAMES_MAX];
	struct dns_service_route routes[OPTIONS_DNS_ROUTES_MAX];
};

static void set_dns(struct dns_service_config *config, struct dns_drafts *drafts,
		    const struct options *o)
{
	for (unsigned i = 0; i < o->dns_names.n; i++)
		drafts->names[i] =
		    (struct dnsfwd_name){o->dns_names.name[i].name, o->dns_names.name[i].addr};
	for (unsigned i = 0; i < o->dns_routes.n; i++)
		drafts->routes[i] = (struct dns_service_route){o->dns_routes.route[i].domain,
							       o->dns_routes.route[i].server};
	config->names.names = drafts->names;
	config->names.names_n = o->dns_names.n;
	config->routes = drafts->routes;
	config->routes_n = o->dns_routes.n;
	if (o->ipv4) {
		config->names.host4 = o->host;
		config->names.net4 = o->net;
	}
	if (o->ipv6) {
		config->names.host6 = o->host6;
		config->names.net6 = o->net6;
	}
}

/* A query that waits holds a descriptor for each server that was asked: at most half of all. */
static uint32_t dns_queries_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / 8 >= DNS_QUERIES_MAX)
		return DNS_QUERIES_MAX;
	return limit.rlim_cur < 8 ? 1 : (uint32_t)limit.rlim_cur / 8;
}

static int start_dns(struct services *s)
{
	const struct options *o = s->config.options;
	struct dns_drafts *drafts = calloc(1, sizeof(*drafts));
	struct dns_service_config config = {
	    .loop = s->config.loop,
	    .names = {.domain = DOMAIN,
		      .search = or_null(o->domainname),
		      .name_to_addr = guest_by_name,
		      .addr_to_name = guest_by_addr,
		      .ctx = s},
	    .resolver = {.upstreams = o->dns_upstream.endpoint,
			 .upstreams_n = o->dns_upstream.n,
			 .queries_max = dns_queries_max()},
	    .reply = on_dns_reply,
	    .ctx = s,
	};
	int result;

	if (!drafts)
		return -ENOMEM;
	set_dns(&config, drafts, o);
	result = dns_service_new(&s->dns, &config);
	free(drafts);
	if (result == 0)
		result = nat_udp_service_add(s->config.nat, DNS_PORT, true, on_dns, s);
	if (result == 0)
		result = nat_tcp_service_add(s->config.nat, DNS_PORT, true, SERVICE_DNS);
	return result;
}

int services_new(struct services **ret, const struct services_config *config)
{
	struct services *s = calloc(1, sizeof(*s));
	int result;

	if (!s)
		return -ENOMEM;
	s->config = *config;
	s->ports = calloc(config->ports_max, sizeof(struct port *));
	result = s->ports ? open_store(s) : -ENOMEM;
	if (result == 0)
		result = start_boot(s);
	if (result == 0 && config->options->ipv4)
		result = start_dhcp(s);
	if (result == 0 && config->options->ipv6)
		result = start_v6(s);
	if (result == 0)
		result = load_store(s);
	if (result == 0 && (wants_dns4(config->options) || wants_dns6(config->options)))
		result = start_dns(s);
	if (result < 0) {
		services_close(s);
		return result;
	}
	*ret = s;
	return 0;
}

const struct dhcpd *services_dhcpd(const struct services *s)
{
	return s->dhcp4 ? dhcp4_server(s->dhcp4) : NULL;
}

const struct dhcpd6 *services_dhcpd6(const struct services *s)
{
	return s->v6 ? services_v6_dhcpd(s->v6) : NULL;
}

const struct dns_service *services_dns(const struct services *s)
{
	return s->dns;
}

const struct tftpd *services_tftpd(const struct services *s)
{
	return boot_tftpd(s->boot);
}

const char *services_domain(void)
{
	return DOMAIN;
}

void services_close(struct services *s)
{
	if (!s)
		return;
	boot_close(s->boot);
	dns_service_close(s->dns);
	lease_store_close(s->store); /* while there is what it collects from */
	services_v6_close(s->v6);
	dhcp4_free(s->dhcp4);
	free(s->ports);
	free(s);
}
