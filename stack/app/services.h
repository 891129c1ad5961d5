/* The gateway's services on the NAT: DHCP and DNS, and the names they share. */
#ifndef LWNAT_APP_SERVICES_H
#define LWNAT_APP_SERVICES_H

#include "stack/app/options.h"
#include "stack/nat/nat.h"

#include <uv.h>

struct services;

struct services_config {
	const struct options *options; /* borrowed for the life of the services */
	uv_loop_t *loop;
	struct nat *nat;
	/* Frames were queued outside of a turn of the NAT: run it and flush. */
	void (*turn_end)(void *ctx);
	void *ctx;
};

/* 0 or a negative errno. */
int services_new(struct services **ret, const struct services_config *config);
/* A guest's TCP connection to a service; host_config.service. */
int services_accept(struct services *services, unsigned service, int fd,
		    const struct endpoint *guest);
/* A guest has gone: nothing is sent to its port any more. */
void services_port_gone(struct services *services, const struct port *port);
/* Before nat_free(). The memory goes when libuv has closed the handles. NULL is fine. */
void services_close(struct services *services);

#endif
