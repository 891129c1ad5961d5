/* A port: one attached guest NIC, as those who send frames to it see it.
 * Transports (stack/link) implement it; the switch and the NAT use it. */
#ifndef LWNAT_BASE_PORT_H
#define LWNAT_BASE_PORT_H

#include "stack/base/frame.h"

#include <stdbool.h>
#include <stdint.h>

struct port;

/* What a port takes unfinished (struct port's 'takes'); all need PORT_CSUM. */
enum port_offload {
	PORT_CSUM = 1, /* a checksum that is not filled in */
	PORT_TSO4 = 2, /* TCP segments to be cut, IPv4 */
	PORT_TSO6 = 4,
	PORT_TSO_ECN = 8, /* of those, such with CWR set (virtio 1.2 section 5.1.6.2.1) */
	PORT_USO = 16,    /* UDP datagrams to be cut */
};

struct port_ops {
	/* Queues one frame: 'hdr_len' bytes of headers, copied at once, then 'iov_n' pieces of
	 * payload that must stay untouched until flush() returns. A port that is full drops the
	 * frame and counts it. Never calls back. */
	void (*send)(struct port *port, const void *hdr, size_t hdr_len, const struct iovec *iov,
		     unsigned iov_n);
	/* The same for a frame that is not finished, in ways the port takes. The first piece is
	 * copied at once, so it holds the headers. NULL where 'takes' is always 0. */
	void (*send_unfinished)(struct port *port, const struct frame *frame);
	/* Passes all queued frames on in as few system calls as possible. What the guest does not
	 * take now is copied, so that no payload is referenced after the return. May set 'blocked'.
	 * Never calls back. */
	void (*flush)(struct port *port);
	/* Whether the guest stands still: frames wait for it to read them, and it has read none
	 * since this was asked last. NULL: that cannot be known. */
	bool (*stands_still)(struct port *port);
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
	unsigned takes; /* a set of enum port_offload; may change while the guest's driver starts */
	bool queued;    /* has frames that wait for flush() */
	void *nat_data; /* the NAT's own record of this guest */
	/* While the switch has a tap: the transport's own 'ops', which its tap calls. */
	const struct port_ops *tapped_ops;
	void *tap;
	struct port_counters counters;
};

#endif
