/* DHCPv4 on the NAT: the options made a server, messages in and out, leases from and to the file.
 */
#ifndef LWNAT_APP_DHCP4_H
#define LWNAT_APP_DHCP4_H

#include "dhcp/dhcpd.h"
#include "stack/app/boot.h"
#include "stack/app/guests.h"
#include "stack/app/lease_store.h"
#include "stack/app/options.h"
#include "stack/nat/nat.h"

#include <uv.h>

struct dhcp4;

struct dhcp4_config {
	const struct options *options; /* borrowed, as all else here */
	uv_loop_t *loop;
	struct nat *nat;
	struct guests *guests;     /* told what DHCP knows */
	struct rng *rng;           /* for the call of dhcp4_new() */
	struct lease_store *store; /* NULL: leases are not kept */
	struct boot *boot;         /* NULL: no files are served */
	const char *const *search; /* option 119; for the call of dhcp4_new() */
	unsigned search_n;
	const char *domain; /* option 15; NULL */
};

/* 0 or a negative errno. */
int dhcp4_new(struct dhcp4 **ret, const struct dhcp4_config *config);
void dhcp4_free(struct dhcp4 *dhcp); /* NULL is fine */

void dhcp4_port_gone(struct dhcp4 *dhcp, const struct port *port);
/* For the lease file: see struct lease_store_config. Takes V4 records alone. */
void dhcp4_restore(struct dhcp4 *dhcp, const struct lease_record *record);
void dhcp4_collect(struct dhcp4 *dhcp, struct lease_store *store);

/* By a guest's host name, or a fixed one. */
bool dhcp4_name_to_addr(struct dhcp4 *dhcp, const char *label, struct addr *ret);
/* false also when another guest has the name now. */
bool dhcp4_addr_to_name(struct dhcp4 *dhcp, const struct addr *addr, char ret[DHCPD_HOSTNAME_MAX]);
/* For those who show leases and counters. */
const struct dhcpd *dhcp4_server(const struct dhcp4 *dhcp);

#endif
