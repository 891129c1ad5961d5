/* The TFTP server on the NAT: requests on port 69, transfers on ports of their own, its timer. */
#ifndef LWNAT_APP_BOOT_TFTP_H
#define LWNAT_APP_BOOT_TFTP_H

#include "stack/host/host_files.h"
#include "stack/nat/nat.h"
#include "tftp/tftpd.h"

#include <uv.h>

#define BOOT_TFTP_TRANSFERS_MAX 256 /* of all guests: each holds a descriptor */

struct boot_tftp;

struct boot_tftp_config {
	uv_loop_t *loop;
	struct nat *nat;
	struct rng *rng;                /* borrowed for the life of the server */
	const struct host_files *files; /* borrowed likewise */
	uint16_t mtu;
	struct addr dns4, dns6; /* of the gateway's addresses those that do not serve files */
	struct port *(*port_by_id)(void *ctx, uint32_t id); /* NULL when it has gone */
	void *ctx;
};

/* 0 or a negative errno. */
int boot_tftp_new(struct boot_tftp **ret, const struct boot_tftp_config *config);
void boot_tftp_port_gone(struct boot_tftp *tftp, const struct port *port); /* NULL is fine */
const struct tftpd *boot_tftp_server(const struct boot_tftp *tftp);
/* The memory goes when libuv has closed the timer. NULL is fine. */
void boot_tftp_close(struct boot_tftp *tftp);

#endif
