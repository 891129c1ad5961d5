/* Setting up the server, and what it knows of its leases. */
#include "dhcp/dhcp6.h"

#include "dhcp/dhcp6_msg.h"
#include "dhcp/dhcp6_name.h"
#include "dhcp/dhcp6_priv.h"
#include "dhcp/dhcpd_msg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_MIN 8
#define PREFIX_MAX 126

/* ---- the server ---- */

static int set_texts(struct dhcpd6 *server, const struct dhcpd6_config *config)
{
	struct wire_out search = wire_out(server->search, sizeof(server->search));

	for (unsigned i = 0; i < config->search_n; i++) {
		struct wire_out mark = search;

		if (!dhcpd6_name_put(&search, config->search[i]))
			return -EINVAL;
		if (search.bad) {
			search = mark;
			break;
		}
	}
	server->search_len = wire_len(&search);
	if (config->domain && strlen(config->domain) >= sizeof(server->domain))
		return -EINVAL;
	if (config->domain)
		memcpy(server->domain, config->domain, strlen(config->domain) + 1);
	return 0;
}

bool dhcpd6_option_is_free(uint8_t code)
{
	switch (code) {
	case 0:
	case DHCPD6_OPT_DNS:
	case DHCPD6_OPT_SEARCH:
	case DHCPD6_OPT_IA_PD:
	case 26: /* a prefix of it */
	case DHCPD6_OPT_REFRESH:
	case DHCPD6_OPT_FQDN:
	case DHCPD6_OPT_BOOT_URL:
		return false;
	default:
		return code > 20; /* those below are RFC 8415's, but for vendor information */
	}
}

static int set_options(struct dhcpd6 *server, const struct dhcpd6_config *config)
{
	struct wire_out out = wire_out(server->options, sizeof(server->options));

	for (unsigned i = 0; i < config->options_n; i++) {
		const struct dhcpd6_option *option = &config->options[i];

		if (!dhcpd6_option_is_free(option->code))
			return -EINVAL;
		dhcpd6_put(&out, option->code, option->value, option->len);
	}
	server->options_len = wire_len(&out);
	return out.bad ? -EINVAL : 0;
}

static void set_duid(struct dhcpd6 *server)
{
	struct wire_out duid = wire_out(server->duid, sizeof(server->duid));

	wire_put_u16(&duid, 3); /* DUID-LL */
	wire_put_u16(&duid, 1); /* Ethernet */
	wire_put_bytes(&duid, server->config.mac.b, sizeof(server->config.mac.b));
}

int dhcpd6_new(struct dhcpd6 **ret, const struct dhcpd6_config *config)
{
	struct dhcpd6 *server;
	int result;

	if (addr_is_v4(&config->net.addr) || config->net.prefix_len < PREFIX_MIN ||
	    config->net.prefix_len > PREFIX_MAX || config->lease_s == 0)
		return -EINVAL;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->config = *config;
	server->config.search = NULL;
	server->config.reserved = NULL;
	server->config.options = NULL;
	server->config.domain = NULL;
	set_duid(server);
	result = set_texts(server, config);
	if (result == 0)
		result = set_options(server, config);
	if (result == 0)
		result = lease6_table_new(&server->leases, config);
	if (result < 0) {
		dhcpd6_free(server);
		return result;
	}
	*ret = server;
	return 0;
}

void dhcpd6_free(struct dhcpd6 *server)
{
	if (!server)
		return;
	lease6_table_free(server->leases);
	free(server);
}

void dhcpd6_port_gone(struct dhcpd6 *server, uint32_t port)
{
	lease6_port_gone(server->leases, port);
}

/* ---- what it knows ---- */

static const struct dhcpd6_lease *pub_of(const struct lease6 *lease)
{
	return lease ? &lease->pub : NULL;
}

const struct dhcpd6_lease *dhcpd6_lease_by_name(const struct dhcpd6 *server, const char *hostname,
						uint64_t now_ms)
{
	char name[DHCPD6_HOSTNAME_MAX];
	size_t len = strlen(hostname);

	dhcpd_hostname_clean(hostname, len, name);
	if (strlen(name) != len) /* "vm.example" is not "vm" */
		return NULL;
	return pub_of(lease6_by_name(server->leases, name, now_ms));
}

const struct dhcpd6_lease *dhcpd6_lease_by_addr(const struct dhcpd6 *server,
						const struct addr *addr, uint64_t now_ms)
{
	const struct lease6 *lease = lease6_by_addr(server->leases, addr);

	return lease && lease6_is_active(lease, now_ms) ? &lease->pub : NULL;
}

const struct dhcpd6_lease *dhcpd6_lease_by_mac(const struct dhcpd6 *server, const struct mac *mac,
					       uint64_t now_ms)
{
	return pub_of(lease6_by_mac(server->leases, mac, now_ms));
}

const struct dhcpd6_lease *dhcpd6_lease_next(const struct dhcpd6 *server, uint32_t *cursor)
{
	return pub_of(lease6_next(server->leases, cursor));
}

/* Whether it looks like one of ours. */
static bool is_sane(const struct dhcpd6_lease *lease)
{
	char name[DHCPD6_HOSTNAME_MAX];

	if (lease->duid_len < DHCPD6_DUID_MIN || lease->duid_len > DHCPD6_DUID_MAX ||
	    mac_is_multicast(&lease->mac) || !memchr(lease->hostname, '\0', DHCPD6_HOSTNAME_MAX))
		return false;
	dhcpd_hostname_clean(lease->hostname, strlen(lease->hostname), name);
	return strcmp(name, lease->hostname) == 0;
}

int dhcpd6_lease_restore(struct dhcpd6 *server, const struct dhcpd6_lease *from, uint64_t now_ms)
{
	struct lease6_table *leases = server->leases;
	struct lease6_client client = {
	    .mac = from->mac, .duid = from->duid, .duid_len = from->duid_len, .iaid = from->iaid};
	bool active = from->active && from->expires_ms > now_ms;
	struct lease6 *lease;

	if (!is_sane(from) || !subnet_contains(&server->config.net, &from->addr))
		return -EINVAL;
	if (lease6_by_addr(leases, &from->addr))
		return -EEXIST;
	lease = lease6_take(leases, &client, &from->addr, now_ms);
	if (!lease)
		return -ENOSPC;
	lease6_activate(leases, lease, from->hostname, false, active ? from->expires_ms : now_ms,
			now_ms);
	if (!active)
		lease6_release(leases, lease, now_ms);
	return 0;
}

uint64_t dhcpd6_changes(const struct dhcpd6 *server)
{
	return server->changes;
}

const struct dhcpd6_counters *dhcpd6_counters(const struct dhcpd6 *server)
{
	return &server->counters;
}
