#include "stack/app/dhcp4.h"

#include "stack/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SERVER_PORT 67
#define CLIENT_PORT 68
#define LEASE_S 86400       /* QEMU's */
#define LEASES_MAX 65536    /* clients remembered: a /16 */
#define REPLY_MAX 1472      /* bytes: what fits an Ethernet frame of 1,500 */
#define IP_UDP_HEADERS 28   /* bytes, IPv4 without options */
#define POOL_LOG_MS 60000   /* a full pool is said once in this time */
#define LEASE_LOG_MS 1000   /* leases are said one by one, */
#define LEASE_LOG_BURST 100 /* but no more than that */

struct dhcp4 {
	struct dhcp4_config config;
	struct dhcpd *server;
	uint64_t changes; /* dhcpd_changes() that the store knows of */
	struct log_limit pool_log, lease_log, decline_log;
};

/* ---- the server's configuration ---- */

static uint32_t leases_max(const struct subnet *net)
{
	uint32_t hosts = (UINT32_MAX >> net->prefix_len) - 1;

	return hosts < LEASES_MAX ? hosts : LEASES_MAX;
}

static const char *or_null(const char *text)
{
	return text[0] ? text : NULL;
}

/* What a server's config points to while it is made. */
struct drafts {
	struct dhcpd_host hosts[OPTIONS_DHCP_HOSTS_MAX];
	struct dhcpd_free_option options[OPTIONS_DHCP_OPTIONS_MAX];
	struct dhcpd_boot boots[OPTIONS_DHCP_BOOTS_MAX];
	struct addr reserved[OPTIONS_SERVICE_ADDRS_MAX];
};

static void set_hosts(struct dhcpd_config *config, struct drafts *drafts, const struct options *o)
{
	for (unsigned i = 0; i < o->dhcp_hosts.n; i++) {
		const struct options_dhcp_host *host = &o->dhcp_hosts.host[i];

		drafts->hosts[i] = (struct dhcpd_host){host->mac, host->addr, host->name};
	}
	config->hosts = drafts->hosts;
	config->hosts_n = o->dhcp_hosts.n;
}

static void set_options(struct dhcpd_config *config, struct drafts *drafts, const struct options *o)
{
	for (unsigned i = 0; i < o->dhcp_options.n; i++) {
		const struct options_dhcp_option *option = &o->dhcp_options.option[i];

		drafts->options[i] =
		    (struct dhcpd_free_option){option->code, option->len, option->value};
	}
	config->options = drafts->options;
	config->options_n = o->dhcp_options.n;
	config->routes = o->dhcp_routes.route;
	config->routes_n = o->dhcp_routes.n;
}

static void set_boots(struct dhcpd_config *config, struct drafts *drafts, const struct options *o)
{
	for (unsigned i = 0; i < o->dhcp_boots.n; i++) {
		const struct options_dhcp_boot *boot = &o->dhcp_boots.boot[i];

		drafts->boots[i] = (struct dhcpd_boot){boot->client, boot->arch, boot->file};
	}
	config->boots = drafts->boots;
	config->boots_n = o->dhcp_boots.n;
}

/* The port may have come back with a guest that needs no lease to go on. */
static bool is_seen(void *ctx, const struct addr *addr)
{
	struct dhcp4 *dhcp = ctx;
	struct port *port;
	struct mac mac;

	return nat_neighbour(dhcp->config.nat, addr, &port, &mac);
}

static bool on_boot_file(void *ctx, enum dhcpd_boot_client kind, int arch,
			 char ret[DHCPD_BOOT_FILE_MAX])
{
	const struct dhcp4 *dhcp = ctx;
	struct boot_client client = {kind, arch};

	boot_file(dhcp->config.boot, &client, ret);
	return true;
}

static int new_server(struct dhcp4 *dhcp)
{
	const struct options *o = dhcp->config.options;
	struct rng *rng = dhcp->config.rng;
	struct drafts *drafts = calloc(1, sizeof(*drafts));
	struct dhcpd_config config = {
	    .net = o->net,
	    .server = o->host,
	    .dns = o->dns,
	    .pool_first = o->dhcpstart,
	    .no_router = o->restrict_guests,
	    .lease_s = LEASE_S,
	    .mtu = o->mtu,
	    .hostname = or_null(o->hostname),
	    .domainname = dhcp->config.domain,
	    .search = dhcp->config.search,
	    .search_n = dhcp->config.search_n,
	    .bootfile = or_null(o->bootfile),
	    .tftp_server_name = or_null(o->tftp_server_name),
	    .boot_file = boot_has_menu(dhcp->config.boot) ? on_boot_file : NULL,
	    .is_seen = is_seen,
	    .ctx = dhcp,
	    .leases_max = leases_max(&o->net),
	    .hash_key = {{rng_u64(rng), rng_u64(rng)}}, /* no guest can choose collisions */
	};
	int result;

	if (!drafts)
		return -ENOMEM;
	config.reserved = drafts->reserved;
	config.reserved_n = options_service_addrs(o, drafts->reserved);
	/* Boot loaders look for the files' server there, boot file or not. */
	if (!addr_is_unspecified(&o->next_server))
		config.next_server = o->next_server;
	else if (dhcp->config.boot)
		config.next_server = o->host;
	set_hosts(&config, drafts, o);
	set_options(&config, drafts, o);
	set_boots(&config, drafts, o);
	result = dhcpd_new(&dhcp->server, &config);
	free(drafts);
	return result;
}

/* ---- messages ---- */

static void log_message(struct dhcp4 *dhcp, enum dhcpd_verdict verdict,
			const struct nat_udp_meta *meta, const struct dhcpd_reply *reply)
{
	uint64_t now_ms = uv_now(dhcp->config.loop);
	const char *port = meta->port->name;
	char mac[MAC_TEXT_MAX], addr[ADDR_TEXT_MAX];

	mac_format(&reply->client_mac, mac);
	switch (verdict) {
	case DHCPD_ACKED:
		if (log_limit_ok(&dhcp->lease_log, now_ms, LEASE_LOG_BURST, LEASE_LOG_MS))
			log_info("dhcp: %s on %s has %s", mac, port,
				 addr_format(&reply->leased, addr));
		return;
	case DHCPD_POOL_EMPTY:
		if (log_limit_ok(&dhcp->pool_log, now_ms, 1, POOL_LOG_MS))
			log_warn("dhcp: no address left for %s on %s: its port has its share, or a "
				 "larger --net is needed",
				 mac, port);
		return;
	case DHCPD_DECLINED:
		if (log_limit_ok(&dhcp->decline_log, now_ms, 1, POOL_LOG_MS))
			log_warn("dhcp: %s on %s found that another guest uses its address", mac,
				 port);
		return;
	default:
		log_debug("dhcp: message from %s on %s, verdict %d",
			  mac_format(&meta->guest_mac, mac), port, verdict);
	}
}

static void tell_guests(struct dhcp4 *dhcp, const struct nat_udp_meta *meta,
			const struct dhcpd_reply *reply)
{
	uint64_t now_ms = uv_now(dhcp->config.loop);
	struct guest_addr addr = {reply->leased, reply->client_mac, GUEST_ADDR_DHCP, now_ms};
	const struct dhcpd_lease *lease;

	guests_saw_addr(dhcp->config.guests, meta->port, &addr);
	lease = dhcpd_lease_by_addr(dhcp->server, &reply->leased, now_ms);
	if (lease)
		guests_named(dhcp->config.guests, meta->port, lease->hostname);
}

static void tell_store(struct dhcp4 *dhcp)
{
	uint64_t changes = dhcpd_changes(dhcp->server);

	if (dhcp->config.store && changes != dhcp->changes)
		lease_store_changed(dhcp->config.store);
	dhcp->changes = changes;
}

static void send_reply(struct dhcp4 *dhcp, const struct nat_udp_meta *meta,
		       const struct dhcpd_reply *reply)
{
	struct nat_udp_reply to = {
	    .port = meta->port,
	    .to_mac = reply->to_mac,
	    .from = {dhcp->config.options->host, SERVER_PORT},
	    .to = {reply->to, CLIENT_PORT},
	};

	guests_dhcp_answered(dhcp->config.guests, meta->port, uv_now(dhcp->config.loop));
	nat_udp_send(dhcp->config.nat, &to, reply->bytes.start, wire_len(&reply->bytes));
}

static void on_message(void *ctx, const struct nat_udp_meta *meta, const uint8_t *payload,
		       size_t len)
{
	struct dhcp4 *dhcp = ctx;
	size_t room = dhcp->config.options->mtu - IP_UDP_HEADERS;
	uint64_t now_ms = uv_now(dhcp->config.loop);
	uint8_t bytes[REPLY_MAX];
	struct dhcpd_reply reply = {
	    .bytes = wire_out(bytes, room < sizeof(bytes) ? room : sizeof(bytes))};
	struct dhcpd_sender sender = {meta->guest.addr, meta->port->id};
	enum dhcpd_verdict verdict;

	verdict = dhcpd_input(dhcp->server, wire_in(payload, len), &sender, now_ms, &reply);
	log_message(dhcp, verdict, meta, &reply);
	guests_dhcp_asked(dhcp->config.guests, meta->port, now_ms);
	if (verdict == DHCPD_ACKED && !addr_is_unspecified(&reply.leased)) {
		tell_guests(dhcp, meta, &reply);
		nat_neighbour_set(dhcp->config.nat, &reply.leased, &reply.client_mac, meta->port);
	}
	tell_store(dhcp);
	if (!reply.bytes.bad && wire_len(&reply.bytes) > 0)
		send_reply(dhcp, meta, &reply);
}

void dhcp4_port_gone(struct dhcp4 *dhcp, const struct port *port)
{
	dhcpd_port_gone(dhcp->server, port->id, uv_now(dhcp->config.loop));
}

/* ---- the lease file: wall-clock time there, the loop's here ---- */

void dhcp4_restore(struct dhcp4 *dhcp, const struct lease_record *record)
{
	uint64_t now_ms = uv_now(dhcp->config.loop);
	int64_t left_s = record->expires_s - (int64_t)time(NULL);
	struct dhcpd_lease lease = {.addr = record->addr, .mac = record->mac};

	if (record->kind != LEASE_RECORD_V4)
		return;
	memcpy(lease.hostname, record->hostname, sizeof(lease.hostname));
	lease.active = record->expires_s == LEASE_FOR_EVER || left_s > 0;
	/* A clock that was set back must not make leases of years. */
	if (left_s > LEASE_S)
		left_s = LEASE_S;
	lease.expires_ms = record->expires_s == LEASE_FOR_EVER ? UINT64_MAX
			   : left_s > 0                        ? now_ms + (uint64_t)left_s * 1000
							       : now_ms;
	(void)dhcpd_restore(dhcp->server, &lease, now_ms);
}

static int64_t expires_s(const struct dhcpd_lease *lease, uint64_t now_ms, int64_t now_s)
{
	if (!lease->active) /* it has ended; before this life of ours, maybe long ago */
		return lease->expires_ms < now_ms && lease->expires_ms
			   ? now_s - (int64_t)((now_ms - lease->expires_ms) / 1000)
			   : now_s;
	if (lease->expires_ms == UINT64_MAX)
		return LEASE_FOR_EVER;
	return now_s + ((int64_t)lease->expires_ms - (int64_t)now_ms) / 1000;
}

void dhcp4_collect(struct dhcp4 *dhcp, struct lease_store *store)
{
	uint64_t now_ms = uv_now(dhcp->config.loop);
	int64_t now_s = (int64_t)time(NULL);
	const struct dhcpd_lease *lease;
	uint32_t cursor = 0;

	while ((lease = dhcpd_lease_next(dhcp->server, &cursor)) != NULL) {
		struct lease_record record = {.kind = LEASE_RECORD_V4,
					      .addr = lease->addr,
					      .mac = lease->mac,
					      .expires_s = expires_s(lease, now_ms, now_s)};

		if (lease->fixed && !lease->active)
			continue; /* known from the options */
		memcpy(record.hostname, lease->hostname, sizeof(record.hostname));
		lease_store_put(store, &record);
	}
}

/* ---- who has which name ---- */

bool dhcp4_name_to_addr(struct dhcp4 *dhcp, const char *label, struct addr *ret)
{
	const struct dhcpd_lease *lease =
	    dhcpd_lease_by_name(dhcp->server, label, uv_now(dhcp->config.loop));

	if (lease)
		*ret = lease->addr;
	return lease != NULL;
}

bool dhcp4_addr_to_name(struct dhcp4 *dhcp, const struct addr *addr, char ret[DHCPD_HOSTNAME_MAX])
{
	uint64_t now_ms = uv_now(dhcp->config.loop);
	const struct dhcpd_lease *lease = dhcpd_lease_by_addr(dhcp->server, addr, now_ms);

	if (!lease || dhcpd_lease_by_name(dhcp->server, lease->hostname, now_ms) != lease)
		return false;
	memcpy(ret, lease->hostname, DHCPD_HOSTNAME_MAX);
	return true;
}

const struct dhcpd *dhcp4_server(const struct dhcp4 *dhcp)
{
	return dhcp->server;
}

/* ---- the whole ---- */

int dhcp4_new(struct dhcp4 **ret, const struct dhcp4_config *config)
{
	struct dhcp4 *dhcp = calloc(1, sizeof(*dhcp));
	int result;

	if (!dhcp)
		return -ENOMEM;
	dhcp->config = *config;
	result = new_server(dhcp);
	dhcp->config.rng = NULL;
	dhcp->config.search = NULL;
	if (result == 0)
		result = nat_udp_service_add(config->nat, SERVER_PORT, false, on_message, dhcp);
	if (result < 0) {
		dhcp4_free(dhcp);
		return result;
	}
	*ret = dhcp;
	return 0;
}

void dhcp4_free(struct dhcp4 *dhcp)
{
	if (!dhcp)
		return;
	dhcpd_free(dhcp->server);
	free(dhcp);
}
