/* guestfwd= and smb= while the network runs: addresses of the guests' network that lead to sockets
 * and programs of the host. */
#ifndef LWNAT_APP_GUESTFWDS_H
#define LWNAT_APP_GUESTFWDS_H

#include "stack/app/options.h"
#include "stack/host/host.h"

#include <stdbool.h>

#define GUESTFWDS_ERROR_MAX 1024

struct guestfwds;
struct nat;

/* Tells the NAT of each place; names of targets are resolved now, smbd is looked for. 'options' are
 * borrowed. 0, or a negative errno and one line in 'error'. */
int guestfwds_open(struct guestfwds **ret, const struct options *options, uv_loop_t *loop,
		   struct nat *nat, char error[GUESTFWDS_ERROR_MAX]);

/* For host_config; NULL has no service. */
bool guestfwds_has(const struct guestfwds *guestfwds, unsigned service);
void guestfwds_target(const struct guestfwds *guestfwds, unsigned service, struct host_target *ret);
int guestfwds_accept(struct guestfwds *guestfwds, const struct host_service_request *request,
		     int fd);
void guestfwds_closed(struct guestfwds *guestfwds, uint64_t token);

/* Ends the programs; after nat_free(). */
void guestfwds_close(struct guestfwds *guestfwds);
/* When the loop has run once more. NULL is fine for both. */
void guestfwds_free(struct guestfwds *guestfwds);

#endif
