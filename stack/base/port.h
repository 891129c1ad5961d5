/* A port: one attached guest NIC, as those who send frames to it see it.
 * Transports (stack/link) implement it; the switch and the NAT use it. */
#ifndef LWNAT_BASE_PORT_H
#define LWNAT_BASE_PORT_H

#include "stack/base/frame.h"

#include <stdbool.h>
#include <stdint.h>

struct port;

struct port_ops {
	/* Queues one frame: 'hdr_len' bytes of headers, copied at once, then 'iov_n' pieces of
	 * payload that must stay untouched until flush() returns. A port that is full drops the
	 * frame and counts it. Never calls back. */
	void (*send)(struct port *port, const void *hdr, size_t hdr_len, const struct iovec *iov,
		     unsigned iov_n);
	/* Passes all queued frames on in as few system calls as possible. What the guest does not
	 * take now is copied, so that no payload is referenced after the return. May set 'blocked'.
	 * Never calls back. */
	void (*flush)(struct port *port);
};

struct port_counters {
	uint64_t frames_from_guest, bytes_from_guest;
	uint64_t frames_to_guest, bytes_to_guest;
	uint64_t dropped_queue_full;
	uint64_t first_frame_ms, last_frame_ms; /* from the guest; 0: none yet */
};

struct port {
	const struct port_ops *ops;
	uint32_t id;   /* unique in the life of the process, never reused */
	char name[32]; /* for people: "port1"; printable */
	bool blocked; /* the guest does not read: stop making data for it (stack/link says when this
			 ends) */
	bool queued;  /* has frames that wait for flush() */
	void *nat_data; /* the NAT's own record of this guest */
	struct port_counters counters;
};

#endif
