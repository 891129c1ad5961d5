/* The switch that joins all ports of one virtual network and its gateway: MAC learning, flooding,
 * and a loud word when one MAC speaks on two ports. Knows no transport and no protocol above
 * Ethernet. */
#ifndef LWNAT_LINK_LAN_H
#define LWNAT_LINK_LAN_H

#include "stack/base/addr.h"
#include "stack/base/frame.h"
#include "stack/base/port.h"

#include <stdbool.h>
#include <stdint.h>

struct lan;

struct lan_config {
	struct mac gateway_mac;
	unsigned ports_max;  /* attached at once */
	unsigned macs_max;   /* learnt at once; the longest silent one goes first */
	uint32_t mac_age_ms; /* a MAC silent for this long is forgotten */
	/* A frame for the gateway: sent to its MAC, or broadcast or multicast. 'frame' is valid
	 * until the return. */
	void (*gateway_input)(void *ctx, struct port *from, const struct frame *frame);
	/* A MAC was learnt on this port ('clash': another port has just used it too). May be NULL.
	 */
	void (*mac_seen)(void *ctx, struct port *port, const struct mac *mac, bool clash);
	void *ctx;
};

/* One frame on its way, in pieces: 'hdr', then 'iov'. Valid during the call. */
struct lan_tap_frame {
	const void *hdr;
	size_t hdr_len;
	const struct iovec *iov;
	unsigned iov_n;
};

enum lan_tap_way {
	LAN_FROM_GUEST,
	LAN_TO_GUEST, /* from the gateway */
	LAN_SWITCHED, /* to a guest, from another one, as whose it has been told already */
};

struct lan_tap {
	void (*frame)(void *ctx, const struct port *port, enum lan_tap_way way,
		      const struct lan_tap_frame *frame);
	void *ctx;
};

struct lan_counters {
	uint64_t malformed, for_gateway, forwarded, flooded, source_spoofs_gateway, macs_evicted,
	    mac_conflicts;
	uint64_t dropped_same_port; /* its destination is behind the port it came from */
	uint64_t dropped_offload;   /* unfinished frames (frame_offload) whose marks do not fit */
};

/* 0, -ENOMEM, -EINVAL, or what getrandom() said. */
int lan_new(struct lan **ret, const struct lan_config *config);
void lan_free(struct lan *lan); /* NULL is fine; all ports must have left */

/* The port is the caller's and must stay until lan_port_remove(). 0, or -ENOSPC when ports_max are
 * attached. */
int lan_port_add(struct lan *lan, struct port *port);
/* For struct port's 'id': 1, 2, ... */
uint32_t lan_new_port_id(struct lan *lan);
void lan_port_remove(struct lan *lan, struct port *port); /* forgets its MACs too */

/* One frame from a guest. It is switched now: frames for other ports are queued there (by
 * reference) until lan_flush(), which the transport calls when it has passed on a whole read batch,
 * before it releases the buffer. */
void lan_input(struct lan *lan, struct port *from, const struct frame *frame, uint64_t now_ms);
/* Flushes every port that has frames queued. */
void lan_flush(struct lan *lan);

/* From here on 'tap' is told of every frame of every port, in both directions; NULL takes it away.
 * Without one nothing is done for it, frame by frame: a port's own ops are back in their place. */
void lan_set_tap(struct lan *lan, const struct lan_tap *tap);

/* The port a MAC was last seen on, or NULL. */
struct port *lan_port_of(const struct lan *lan, const struct mac *mac);
const struct lan_counters *lan_counters(const struct lan *lan);

#endif
