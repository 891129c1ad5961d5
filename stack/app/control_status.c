/* What there is: the network, its guests, its leases, its DNS server. */
#include "dhcp/dhcp6.h"
#include "dhcp/dhcpd.h"
#include "stack/app/control_api.h"
#include "stack/app/forwards.h"
#include "stack/app/metrics.h"
#include "stack/app/services.h"
#include "stack/host/dns_service.h"
#include "stack/nat/nat.h"

#include <stdlib.h>
#include <unistd.h>

void api_get_healthz(struct api_call *call)
{
	api_reply(call->x, 200, json_pack("{s:s}", "status", "ok"));
}

void api_get_metrics(struct api_call *call)
{
	struct metrics_text text;

	metrics_write(&text, call->net);
	if (text.failed) {
		free(text.bytes);
		api_error(call->x, 500, NULL, "out of memory");
		return;
	}
	http_reply_take(call->x, 200, "text/plain; version=0.0.4; charset=utf-8", text.bytes,
			text.len);
}

static json_t *flow_counts(const struct nat *nat, const struct port *port)
{
	uint32_t n[NAT_FLOW_KINDS];

	nat_flows_count(nat, port, n);
	return json_pack("{s:I, s:I, s:I}", "tcp", (json_int_t)n[NAT_FLOW_TCP], "udp",
			 (json_int_t)n[NAT_FLOW_UDP], "ping", (json_int_t)n[NAT_FLOW_PING]);
}

static json_t *ipv4_status(const struct options *o)
{
	if (!o->ipv4)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o}", "network", api_subnet(&o->net), "gateway",
			 api_addr(&o->host), "dns", api_addr(&o->dns), "dhcp_first",
			 api_addr(&o->dhcpstart));
}

static json_t *ipv6_status(const struct options *o)
{
	if (!o->ipv6)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "network", api_subnet(&o->net6), "gateway",
			 api_addr(&o->host6), "dns", api_addr(&o->dns6));
}

static json_int_t active_leases(const struct network *net)
{
	const struct dhcpd *v4 = services_dhcpd(net->services);
	const struct dhcpd6 *v6 = services_dhcpd6(net->services);
	const struct dhcpd_lease *lease;
	const struct dhcpd6_lease *lease6;
	json_int_t n = 0;
	uint32_t at = 0;

	while (v4 && (lease = dhcpd_lease_next(v4, &at)))
		n += lease->active && lease->expires_ms > uv_now(net->loop);
	at = 0;
	while (v6 && (lease6 = dhcpd6_lease_next(v6, &at)))
		n += lease6->active && lease6->expires_ms > uv_now(net->loop);
	return n;
}

static void put_totals(const struct network *net, json_t *json)
{
	const struct guest_record *guest = NULL;
	json_int_t guests = 0, from = 0, to = 0;

	while ((guest = guests_next(net->guests, guest))) {
		guests++;
		from += (json_int_t)guest->port->counters.bytes_from_guest;
		to += (json_int_t)guest->port->counters.bytes_to_guest;
	}
	json_object_set_new(json, "guests", json_integer(guests));
	json_object_set_new(json, "leases", json_integer(active_leases(net)));
	json_object_set_new(json, "forwards", json_integer(forwards_count(net->forwards)));
	json_object_set_new(json, "flows", flow_counts(net->nat, NULL));
	json_object_set_new(json, "flows_max", json_integer(nat_limits(net->nat)->flows_max));
	json_object_set_new(json, "bytes_from_guests", json_integer(from));
	json_object_set_new(json, "bytes_to_guests", json_integer(to));
}

static json_t *drops(const struct network *net)
{
	struct metrics_drop drop;
	json_t *list = json_array();

	for (unsigned i = 0; metrics_drop(net, i, &drop); i++) {
		if (drop.packets)
			json_array_append_new(
			    list, json_pack("{s:s, s:I, s:s}", "reason", drop.reason, "packets",
					    (json_int_t)drop.packets, "meaning", drop.meaning));
	}
	return list;
}

void api_get_status(struct api_call *call)
{
	const struct network *net = call->net;
	const struct options *o = net->options;
	json_t *json;

	json = json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:i, s:b, s:b, s:o, s:o}",
			 "version", LWNAT_VERSION, "name", o->name, "pid", (json_int_t)getpid(),
			 "started_unix_s", (json_int_t)net->started_unix_s, "uptime_s",
			 api_seconds(net->started_ms, uv_now(net->loop)), "socket",
			 api_text_or_null(net->socket_path), "vhost_user",
			 api_text_or_null(net->vhost_path), "control",
			 api_text_or_null(net->control_path), "mac", api_mac(&net->mac), "mtu",
			 (int)o->mtu, "restrict", (int)o->restrict_guests, "host_loopback",
			 (int)!o->no_host_loopback, "ipv4", ipv4_status(o), "ipv6", ipv6_status(o));
	if (json) {
		put_totals(net, json);
		json_object_set_new(json, "log_level",
				    json_string(log_level_word(log_level_now())));
		json_object_set_new(json, "drops", drops(net));
	}
	api_reply(call->x, 200, json);
}

/* ---- guests ---- */

static json_t *guest_macs(const struct guest_record *guest)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < guest->macs_n; i++)
		json_array_append_new(list, api_mac(&guest->mac[i]));
	return list;
}

static json_t *guest_addrs(const struct guest_record *guest)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < guest->addrs_n; i++)
		json_array_append_new(list, api_addr(&guest->addr[i].addr));
	return list;
}

static json_t *ago_or_null(uint64_t then_ms, uint64_t now_ms)
{
	return then_ms ? api_seconds(then_ms, now_ms) : json_null();
}

static json_t *guest_dhcp(const struct guest_dhcp *dhcp, uint64_t now_ms)
{
	return json_pack("{s:I, s:I, s:o, s:o}", "asked", (json_int_t)dhcp->asked, "answered",
			 (json_int_t)dhcp->answered, "last_asked_s",
			 ago_or_null(dhcp->last_asked_ms, now_ms), "last_answered_s",
			 ago_or_null(dhcp->last_answered_ms, now_ms));
}

static json_t *guest_json(const struct network *net, const struct guest_record *guest)
{
	const struct port_counters *c = &guest->port->counters;
	uint64_t now_ms = uv_now(net->loop);
	json_t *json;

	json = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "port", guest->port->name, "name",
			 api_text_or_null(guest->name), "macs", guest_macs(guest), "addresses",
			 guest_addrs(guest), "attached_s", api_seconds(guest->attached_ms, now_ms),
			 "last_frame_s", ago_or_null(c->last_frame_ms, now_ms));
	if (json)
		json_object_update_new(
		    json, json_pack("{s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:I, s:o}",
				    "frames_from_guest", (json_int_t)c->frames_from_guest,
				    "bytes_from_guest", (json_int_t)c->bytes_from_guest,
				    "frames_to_guest", (json_int_t)c->frames_to_guest,
				    "bytes_to_guest", (json_int_t)c->bytes_to_guest,
				    "dropped_queue_full", (json_int_t)c->dropped_queue_full,
				    "blocked", (int)guest->port->blocked, "flows",
				    flow_counts(net->nat, guest->port), "mac_clashes",
				    (json_int_t)guest->mac_clashes, "dhcp",
				    guest_dhcp(&guest->dhcp, now_ms)));
	return json;
}

void api_get_guests(struct api_call *call)
{
	const struct guest_record *guest = NULL;
	struct guests_found found = {0};
	json_t *list;

	if (call->query[0].text &&
	    api_find_attached(call, "guest", call->query[0].text, &found.guest) < 0)
		return;
	list = json_array();
	while ((guest = guests_next(call->net->guests, guest))) {
		if (!found.guest || found.guest == guest)
			json_array_append_new(list, guest_json(call->net, guest));
	}
	api_reply(call->x, 200, json_pack("{s:o}", "guests", list));
}

/* ---- leases ---- */

struct lease_shown {
	const struct addr *addr;
	const struct mac *mac;
	const char *hostname;
	bool active;
	uint64_t expires_ms;
};

static void append_lease(json_t *list, const struct lease_shown *lease, uint64_t now_ms)
{
	bool active = lease->active && lease->expires_ms > now_ms;
	json_t *left = active && lease->expires_ms != UINT64_MAX
			   ? json_integer((json_int_t)((lease->expires_ms - now_ms) / 1000))
			   : json_null();

	json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:b, s:o}", "address",
					      api_addr(lease->addr), "mac", api_mac(lease->mac),
					      "hostname", api_text_or_null(lease->hostname),
					      "active", (int)active, "expires_in_s", left));
}

void api_get_leases(struct api_call *call)
{
	const struct dhcpd *v4 = services_dhcpd(call->net->services);
	const struct dhcpd6 *v6 = services_dhcpd6(call->net->services);
	uint64_t now_ms = uv_now(call->net->loop);
	const struct dhcpd_lease *lease;
	const struct dhcpd6_lease *lease6;
	json_t *list = json_array();
	uint32_t at = 0;

	while (v4 && (lease = dhcpd_lease_next(v4, &at)))
		append_lease(list,
			     &(struct lease_shown){&lease->addr, &lease->mac, lease->hostname,
						   lease->active, lease->expires_ms},
			     now_ms);
	at = 0;
	while (v6 && (lease6 = dhcpd6_lease_next(v6, &at)))
		append_lease(list,
			     &(struct lease_shown){&lease6->addr, &lease6->mac, lease6->hostname,
						   lease6->active, lease6->expires_ms},
			     now_ms);
	api_reply(call->x, 200, json_pack("{s:o}", "leases", list));
}

/* ---- DNS ---- */

static json_t *upstreams(const struct options *o)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < o->dns_upstream.n; i++)
		json_array_append_new(list, api_endpoint(&o->dns_upstream.endpoint[i]));
	return list;
}

static json_t *dns_cache(const struct dnscache_state *c)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "answers", (json_int_t)c->answers_n, "bytes",
			 (json_int_t)c->bytes_n, "bytes_max", (json_int_t)c->bytes_max, "misses",
			 (json_int_t)c->counters.misses, "evicted",
			 (json_int_t)c->counters.evicted);
}

static json_t *dns_servers(const struct dns_service *dns)
{
	struct host_resolver_server server;
	json_t *list = json_array();
	const char *domain;

	for (unsigned n = 0; dns && dns_service_server(dns, n, &domain, &server); n++)
		json_array_append_new(
		    list, json_pack("{s:o, s:o, s:I, s:I, s:I, s:b}", "address",
				    api_endpoint(&server.endpoint), "domain",
				    api_text_or_null(domain), "asked", (json_int_t)server.asked,
				    "answered", (json_int_t)server.answered, "missed",
				    (json_int_t)server.missed, "dead", server.dead));
	return list;
}

void api_get_dns(struct api_call *call)
{
	const struct options *o = call->net->options;
	const struct dns_service *dns = services_dns(call->net->services);
	struct dnsfwd_counters f = {0};
	struct host_resolver_counters r = {0};
	struct dnscache_state cache = {.answers_n = 0};
	json_t *json;

	if (dns) {
		f = *dns_service_forwarder_counters(dns);
		dns_service_resolver_counters(dns, &r);
		dns_service_cache_state(dns, &cache);
	}
	json =
	    json_pack("{s:b, s:o, s:o, s:o}", "served", dns != NULL, "address",
		      o->ipv4 ? api_addr(&o->dns) : api_addr(&o->dns6), "domain",
		      api_text_or_null(dns ? services_domain() : NULL), "upstreams", upstreams(o));
	if (json)
		json_object_update_new(
		    json,
		    json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "queries",
			      (json_int_t)f.queries, "answered_local", (json_int_t)f.answered_local,
			      "answered_cached", (json_int_t)cache.counters.hits, "forwarded",
			      (json_int_t)(f.forwarded - cache.counters.hits), "answered_upstream",
			      (json_int_t)r.answered, "failed_upstream", (json_int_t)r.failed,
			      "servfail", (json_int_t)f.servfail, "refused", (json_int_t)f.refused,
			      "dropped", (json_int_t)f.dropped, "cache", dns_cache(&cache),
			      "servers", dns_servers(dns)));
	api_reply(call->x, 200, json);
}
