/* The gateway's services on the NAT: DHCP and DNS, and the names they share. */
#ifndef LWNAT_APP_SERVICES_H
#define LWNAT_APP_SERVICES_H

#include "stack/app/guests.h"
#include "stack/app/options.h"
#include "stack/nat/nat.h"

#include <uv.h>

struct services;

struct services_config {
	const struct options *options; /* borrowed for the life of the services */
	uv_loop_t *loop;
	struct nat *nat;
	struct guests *guests; /* told what DHCP knows */
	struct rng *rng;       /* borrowed for the life of the services */
	struct mac mac;        /* the gateway's */
	unsigned ports_max;    /* attached at once */
	/* Sends what a service queued for the guests outside of the NAT's own turn. */
	void (*turn)(void *ctx);
	void *turn_ctx;
};

/* 0 or a negative errno; -ECANCELED: what is wrong has been logged. */
int services_new(struct services **ret, const struct services_config *config);
/* A guest's TCP connection to a service; host_config.service. */
int services_accept(struct services *s, unsigned service, int fd, const struct endpoint *guest);
/* A guest came or went: answers that come late are for ports that are there still. */
void services_port_add(struct services *s, struct port *port);
void services_port_remove(struct services *s, const struct port *port);
/* nat_config.router_solicited */
void services_router_solicited(struct services *s, struct port *port, const struct mac *from_mac,
			       const struct addr *from);
/* The gateway ends: what guests are told of that is queued. The caller flushes the ports. */
void services_leave(struct services *s);
/* The address that a name of the guests' domain stands for: of a lease, or a static one. */
bool services_name_to_addr(struct services *s, const char *name, struct addr *ret);
/* What shows itself at run time; NULL for one that is not served. */
struct dhcpd;
struct dhcpd6;
struct dns_service;
struct tftpd;
const struct dhcpd *services_dhcpd(const struct services *s);
const struct dhcpd6 *services_dhcpd6(const struct services *s);
const struct dns_service *services_dns(const struct services *s);
const struct tftpd *services_tftpd(const struct services *s);
const char *services_domain(void); /* of all names that are lwnat's own */
/* Before nat_free(). The memory goes when libuv has closed the handles. NULL is fine. */
void services_close(struct services *s);

#endif
