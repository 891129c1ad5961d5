/* The gateway's services of IPv6: Router Advertisements and DHCPv6, and what guests' names mean
 * there. A part of the services. */
#ifndef LWNAT_APP_SERVICES_V6_H
#define LWNAT_APP_SERVICES_V6_H

#include "dhcp/dhcp6.h"
#include "stack/app/guests.h"
#include "stack/app/lease_store.h"
#include "stack/app/options.h"
#include "stack/nat/nat.h"

#include <stdbool.h>
#include <uv.h>

struct services_v6;

struct services_v6_config {
	const struct options *options; /* borrowed for the life of the services, as all here */
	uv_loop_t *loop;
	struct nat *nat;
	struct guests *guests;
	struct rng *rng;
	struct lease_store *store; /* NULL: leases are not kept */
	struct mac mac;            /* the gateway's */
	unsigned ports_max;        /* attached at once */
	bool tells_dns;            /* guests are told of a DNS server */
	const char *const *search; /* their search list, 'search_n' names; for the call alone */
	unsigned search_n;
	const char *domain; /* of the guests' own names, NULL: none */
	/* struct dhcpd6_config's. */
	void (*boot_url)(void *ctx, const struct dhcpd6_boot_ask *ask, char url[DHCPD6_URL_MAX]);
	void *boot_ctx;
	/* Sends what was queued for the guests outside of the NAT's own turn. */
	void (*turn)(void *ctx);
	void *turn_ctx;
};

/* 0 or a negative errno. */
int services_v6_new(struct services_v6 **ret, const struct services_v6_config *config);
/* nat_config.router_solicited */
void services_v6_solicited(struct services_v6 *s, struct port *port, const struct mac *from_mac,
			   const struct addr *from);
void services_v6_port_add(struct services_v6 *s, struct port *port);
void services_v6_port_remove(struct services_v6 *s, const struct port *port);
/* Queues the last advertisement for every guest. */
void services_v6_leave(struct services_v6 *s);

/* A guest's address by its name: leased before made by itself. */
bool services_v6_by_name(const struct services_v6 *s, const char *label, struct addr *ret);
bool services_v6_by_addr(const struct services_v6 *s, const struct addr *addr,
			 char ret[DHCPD6_HOSTNAME_MAX]);

/* For the lease file: see struct lease_store_config. Takes V6 records alone. */
void services_v6_restore(struct services_v6 *s, const struct lease_record *record);
void services_v6_collect(struct services_v6 *s, struct lease_store *store);

/* The server, for listings. */
struct dhcpd6 *services_v6_dhcpd(struct services_v6 *s);
/* Before nat_free(). The memory goes when libuv has closed the handles. NULL is fine. */
void services_v6_close(struct services_v6 *s);

#endif
