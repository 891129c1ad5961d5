/* --tftp and --boot: the directory, the servers on it, and what DHCP tells of it. */
#ifndef LWNAT_APP_BOOT_H
#define LWNAT_APP_BOOT_H

#include "dhcp/dhcp6.h"
#include "stack/app/boot_menu.h"
#include "stack/app/options.h"
#include "stack/nat/nat.h"

#include <uv.h>

#define BOOT_HTTP_PORT 80

struct boot;
struct tftpd;

struct boot_config {
	const struct options *options; /* borrowed for the life of the boot, as all here */
	uv_loop_t *loop;
	struct nat *nat;
	struct rng *rng;
	struct port *(*port_by_id)(void *ctx, uint32_t id); /* NULL when it has gone */
	void *ctx;
	unsigned http_service; /* nat_tcp_service_add()'s number for boot_accept() */
};

/* 0 and *ret NULL when neither option is given. -ECANCELED when the reason has been logged. */
int boot_new(struct boot **ret, const struct boot_config *config);
/* Whether DHCP asks us for boot files: --boot was given. */
bool boot_has_menu(const struct boot *boot);
/* What there is for this client now. */
void boot_file(const struct boot *boot, const struct boot_client *client, char ret[BOOT_FILE_MAX]);
/* The same as a URL for DHCPv6; without --boot (NULL) what --bootfile and --dhcp-boot say. */
void boot_url6(const struct boot *boot, const struct options *o, const struct dhcpd6_boot_ask *ask,
	       char ret[DHCPD6_URL_MAX]);
/* A connection of the guest on this port to BOOT_HTTP_PORT: takes 'fd' over when it returns 0. */
int boot_accept(struct boot *boot, int fd, uint32_t port_id);
const struct tftpd *boot_tftpd(const struct boot *boot); /* NULL: there is none */
/* Descriptors that the servers may hold at once. */
unsigned boot_fds_max(const struct options *o);
void boot_port_gone(struct boot *boot, const struct port *port);
/* Before nat_free(). The memory goes when libuv has closed the handles. NULL is fine, as above. */
void boot_close(struct boot *boot);

#endif
