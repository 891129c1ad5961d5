/* What the files of stack/host share among themselves. */
#ifndef LWNAT_HOST_HOST_INTERNAL_H
#define LWNAT_HOST_HOST_INTERNAL_H

#include "stack/base/poller.h"
#include "stack/host/host.h"

#include <stdbool.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#define HOST_BATCH_MAX 32 /* datagrams per recvmmsg() */

/* bytes: one struct in_pktinfo or in6_pktinfo, and the length of segments */
#define HOST_CONTROL_LEN (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)))

#define HOST_STREAM_EVENTS (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET)
/* No EPOLLOUT: the kernel reports it after every datagram that has left, to nobody's use. */
#define HOST_DATAGRAM_EVENTS (EPOLLIN | EPOLLET)

enum host_slot_flag {
	HOST_SLOT_OPEN = 1,
	HOST_SLOT_ERRORS = 2, /* the error queue may hold something */
	/* The receive queue has been seen empty and nothing was told since. What comes later is a
	 * new edge, so receiving needs no system call to say -EAGAIN. */
	HOST_SLOT_DRAINED = 4,
	/* Urgent data is in the receive queue: a read stops at its mark, so that one which comes
	 * short does not mean an empty queue. */
	HOST_SLOT_URGENT = 8,
	HOST_SLOT_SERVICE = 16, /* host_config.service_closed() is owed */
	/* Writable, and nothing else: connected, whatever getsockopt() would have to say. */
	HOST_SLOT_CONNECTED = 32,
	HOST_SLOT_WRITTEN = 64,  /* once at least ... */
	HOST_SLOT_NODELAY = 128, /* ... and once more: TCP_NODELAY is set */
};

/* What is known about one handle. 'life' tells a descriptor from the next one with its number. */
struct host_slot {
	uint64_t token;
	uint32_t life; /* less than 2^31: half of a poller's number */
	uint8_t flags; /* enum host_slot_flag */
};

/* An address of the host's that a datagram came to or leaves from. */
struct host_source {
	struct addr addr;
	unsigned interface; /* only for an IPv6 link-local address, else 0 */
};

/* Where received datagrams lie. Memory that no datagram was long enough for is never touched. */
struct host_batch {
	struct mmsghdr msgs[HOST_BATCH_MAX];
	struct iovec iov[HOST_BATCH_MAX];
	struct sockaddr_storage names[HOST_BATCH_MAX];
	_Alignas(struct cmsghdr) uint8_t control[HOST_BATCH_MAX][HOST_CONTROL_LEN];
	uint8_t *area;
};

#define UDP_BURST_MAX 64 /* datagrams: UDP_MAX_SEGMENTS of all kernels that have UDP_SEGMENT */
#define UDP_BURST_PIECES_MAX 256 /* of them together, and of what is sent at once */

/* udp_burst.h */
struct udp_burst {
	int fd; /* of the last datagram sent; -1: none in this turn */
	struct endpoint to;
	uint8_t ttl;
	unsigned rest;  /* so many sends go without UDP_SEGMENT: it has failed */
	unsigned n;     /* datagrams kept, ... */
	size_t segment; /* ... of this many bytes each, ... */
	size_t len;     /* ... and in all */
	struct iovec iov[UDP_BURST_PIECES_MAX];
	unsigned iov_n;
	struct frame_owner *owner[UDP_BURST_MAX]; /* a reference each; NULL: copied */
	uint8_t *bytes;                           /* copies; NULL until needed */
	size_t copied;                            /* bytes of them */
	uint64_t lost; /* datagrams that were kept and could not be sent */
};

struct host {
	uv_loop_t *loop;
	struct poller *poller;
	uv_idle_t last; /* never runs: closed so that this is freed outside of callbacks */
	struct host_config config;
	struct host_slot *slots; /* by descriptor; entries beyond the highest one ever used: zero */
	unsigned slots_n;
	unsigned open_n;
	unsigned listeners_n;
	struct host_listener *any_address_listeners; /* UDP, bound to 0.0.0.0 or :: */
	struct udp_burst burst;
	struct host_batch batch;
	/* Listeners' own: NAT code that runs in their callback may receive from other handles. */
	struct host_batch listen_batch;
};

/* host_slots.c: puts 'fd' into the epoll set. 0 or -errno; the descriptor stays the caller's then.
 */
int host_watch(struct host *host, int fd, uint64_t token, uint32_t epoll_events);
/* The last step of opening a handle: the same when all went well so far ('err' is 0). The handle,
 * or -errno and 'fd' is closed. */
int host_watch_new(struct host *host, int fd, int err, uint64_t token, uint32_t epoll_events);
/* What is true of an open stream handle now is told again, as if it were news. */
void host_tell_again(struct host *host, int handle);
bool host_is_watched(const struct host *host, int handle);
/* The slot of an open handle. */
struct host_slot *host_slot_of(struct host *host, int handle);
/* Closes a handle, watched or not yet. */
void host_unwatch_and_close(struct host *host, int handle);

/* host_datagram.c */
int host_batch_init(struct host_batch *batch);
void host_batch_fini(struct host_batch *batch);
/* recvmmsg() of up to 'max' datagrams into the batch from slot 'first' on; how many, or -errno. */
int host_batch_receive(struct host_batch *batch, int fd, unsigned first, unsigned max);
/* Options that every datagram socket of ours needs. 0 or -errno. */
int host_datagram_prepare(int fd, bool v6);
/* Received datagrams shall say which address of the host's they came to. 0 or -errno. */
int host_datagram_want_source(int fd, bool v6);
/* What datagram 'i' of a batch said of that; false when nothing usable. */
bool host_batch_source(struct host_batch *batch, unsigned i, struct host_source *ret);
/* Datagrams that came, or were sent, as one large piece shall be received so: UDP_GRO of udp(7).
 * Kernels before 5.0 have none. */
void host_datagram_want_segments(int fd);
/* How long each of those in slot 'i' of a batch is; 0: it is one. */
uint16_t host_batch_segment(struct host_batch *batch, unsigned i);
/* ICMP errors about what this socket sent are to be queued for it. 0 or -errno. */
int host_datagram_want_errors(int fd, bool v6);
struct host_datagram_out {
	struct endpoint to;
	bool from_given;
	struct host_source from;
	uint8_t ttl;      /* 0: the host's default */
	uint16_t segment; /* the kernel cuts datagrams of this many bytes; 0: it is one */
	/* Of the bytes, which may then be referred to until host_flush(); NULL: they may not. */
	struct frame_owner *owner;
	const struct iovec *iov;
	unsigned iov_n;
};
int host_datagram_send(int fd, const struct host_datagram_out *out);
int host_datagram_recv(void *ctx, int handle, struct host_datagram *ret, unsigned max);
void host_datagram_close(void *ctx, int handle);

/* host_listen.c: where the answer of a listener's handle to 'peer' has to come from, if known. */
bool host_listener_source(const struct host *host, int handle, const struct endpoint *peer,
			  struct host_source *ret);

/* host_service.c */
int host_tcp_dial_service(void *ctx, uint64_t token, unsigned service,
			  const struct endpoint *guest);

/* host_tcp.c */
int host_tcp_dial(void *ctx, uint64_t token, const struct endpoint *to);
int host_tcp_connect_result(void *ctx, int handle);
int host_tcp_adopt(void *ctx, int handle, uint64_t token);
ssize_t host_tcp_read(void *ctx, int handle, const struct iovec *iov, unsigned iov_n);
ssize_t host_tcp_write(void *ctx, int handle, const struct iovec *iov, unsigned iov_n);
int host_tcp_shut_write(void *ctx, int handle);
void host_tcp_close(void *ctx, int handle, bool reset);

/* host_udp.c */
int host_udp_open(void *ctx, uint64_t token, bool v6);
int host_udp_send(void *ctx, int handle, const struct host_udp_out *what);
void host_flush(void *ctx);

/* host_ping.c */
int host_ping_open(void *ctx, uint64_t token, bool v6);
int host_ping_send(void *ctx, int handle, const struct addr *to, uint8_t ttl,
		   const struct iovec *iov, unsigned iov_n);

#endif
