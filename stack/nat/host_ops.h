/* What the NAT asks of the host: sockets, without knowing what a socket is. stack/host implements
 * it with real ones, tests with a fake. A handle is a small non-negative integer of the
 * implementation's (a descriptor).
 *
 * Nothing here blocks. Progress is told by nat_host_event(nat, token, events) with the token given
 * when the handle was made. It is edge-triggered: told once, then again only when there is news
 * after a call has returned -EAGAIN or, for TCP, fewer bytes than asked for (that too means: no
 * more for now). It is never told from inside one of these functions. */
#ifndef LWNAT_NAT_HOST_OPS_H
#define LWNAT_NAT_HOST_OPS_H

#include "stack/base/addr.h"
#include "stack/base/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum host_event {
	HOST_READABLE = 1,
	HOST_WRITABLE = 2,
	HOST_ERROR = 4,
	HOST_EOF = 8, /* the peer's FIN or RST is in: read on until 0 or an error, also after a
			 short read */
};

enum host_datagram_kind {
	HOST_DATAGRAM_DATA,
	HOST_DATAGRAM_ERROR, /* an ICMP error about something sent earlier */
};

/* One received datagram or ICMP error. The bytes are the implementation's, valid until the next
 * call for any handle. */
struct host_datagram {
	enum host_datagram_kind kind;
	struct endpoint peer; /* DATA: who sent it; ERROR: where what failed was going */
	const uint8_t *bytes; /* DATA: payload (ping: the ICMP message); ERROR: start of the payload
				 that failed, maybe 0 bytes */
	size_t len;
	/* DATA: 'bytes' are datagrams of this many bytes each, one behind the other, the last one
	 * as long or shorter; 0: it is one. */
	uint16_t segment;
	/* ERROR only: */
	uint8_t icmp_type; /* of the peer's family: ICMP or ICMPv6 type and code, also for errors
			      the host found itself */
	uint8_t icmp_code;
	uint32_t icmp_info; /* next-hop MTU for "fragmentation needed" / "packet too big", else 0 */
	struct addr
	    offender; /* who sent the ICMP error; unspecified when the host itself found it */
};

/* Datagrams to one peer, for udp_send(). */
struct host_udp_out {
	struct endpoint to;
	uint8_t ttl;      /* 0: the host's default */
	uint16_t segment; /* as in struct host_datagram */
	/* Of the bytes, which may then be referred to until flush(); NULL: they are copied. */
	struct frame_owner *owner;
	const struct iovec *iov;
	unsigned iov_n;
};

struct host_ops {
	/* Starts connect(). A handle or -errno (-ECONNREFUSED, -ENETUNREACH, -EMFILE, ...). The end
	 * of it is told as an event; then tcp_connect_result(): 0 connected, -EINPROGRESS not yet,
	 * or the errno it failed with. */
	int (*tcp_dial)(void *ctx, uint64_t token, const struct endpoint *to);
	/* The same to a service of ours ('service' is what nat_tcp_service_add() was given), no
	 * real network. */
	int (*tcp_dial_service)(void *ctx, uint64_t token, unsigned service,
				const struct endpoint *guest);
	int (*tcp_connect_result)(void *ctx, int handle);
	/* Takes over an accepted connection (nat_tcp_inbound()). 0 or -errno; on failure the handle
	 * stays the caller's. */
	int (*tcp_adopt)(void *ctx, int handle, uint64_t token);
	/* Bytes read into / taken from the pieces; 0 from read is the peer's FIN; -EAGAIN; another
	 * -errno ends the flow. */
	ssize_t (*tcp_read)(void *ctx, int handle, const struct iovec *iov, unsigned iov_n);
	ssize_t (*tcp_write)(void *ctx, int handle, const struct iovec *iov, unsigned iov_n);
	int (*tcp_shut_write)(void *ctx, int handle);         /* sends FIN; 0 or -errno */
	void (*tcp_close)(void *ctx, int handle, bool reset); /* reset: the peer sees RST */

	/* An unconnected UDP socket of one family, port chosen by the kernel. A handle or -errno.
	 */
	int (*udp_open)(void *ctx, uint64_t token, bool v6);
	/* 0 or -errno; -EAGAIN means dropped. Each datagram as a whole or not at all. Of many, an
	 * error is the first one's, and then none has left; others are lost, as on any link. */
	int (*udp_send)(void *ctx, int handle, const struct host_udp_out *out);
	/* The end of a turn: datagrams for which sending has said 0 may have waited for it. What
	 * cannot be sent then is lost, as on any link. NULL: none ever wait. */
	void (*flush)(void *ctx);
	/* An unprivileged ping socket (icmp(7)). A handle, or -EACCES when ping_group_range forbids
	 * it. Messages are whole ICMP echo requests and replies; the identifier is the kernel's, so
	 * the caller puts its own back. */
	int (*ping_open)(void *ctx, uint64_t token, bool v6);
	/* As udp_send(), of one message. */
	int (*ping_send)(void *ctx, int handle, const struct addr *to, uint8_t ttl,
			 const struct iovec *iov, unsigned iov_n);
	/* For UDP and ping handles. Up to 'max' datagrams; how many, or -EAGAIN when there is none.
	 */
	int (*recv)(void *ctx, int handle, struct host_datagram *ret, unsigned max);
	void (*datagram_close)(void *ctx, int handle);
};

#endif
