/* The real host behind nat's host_ops.h: sockets of flows, edge-triggered, in the loop's poller
 * (stack/link/poller_uv.h). One epoll_ctl() in a flow's life. */
#ifndef LWNAT_HOST_HOST_H
#define LWNAT_HOST_HOST_H

#include "stack/base/addr.h"
#include "stack/nat/host_ops.h"

#include <stdint.h>
#include <uv.h>

struct host;

#define HOST_TARGET_ADDRS_MAX 4

enum host_target_kind {
	HOST_TARGET_PAIR,      /* a socket pair, whose far end host_config.service() gets */
	HOST_TARGET_INET_PAIR, /* the same over the loopback, for programs that look at addresses */
	HOST_TARGET_TCP,
	HOST_TARGET_UNIX,
};

/* Where the connections of a service go. */
struct host_target {
	enum host_target_kind kind;
	/* TCP: the first that connect() does not refuse at once. */
	struct endpoint tcp[HOST_TARGET_ADDRS_MAX];
	unsigned tcp_n;
	const char *path; /* UNIX: borrowed for the call */
};

/* A guest's connection to a service of ours. */
struct host_service_request {
	unsigned service;
	uint64_t token; /* of the flow: never that of another one */
	struct endpoint guest;
};

struct host_config {
	/* A handle has something to tell ('events': enum host_event): nat_host_event(). An event
	 * may be told once too often, never once too seldom. Datagram handles are never told
	 * HOST_WRITABLE: what they cannot send is dropped. */
	void (*event)(void *ctx, uint64_t token, unsigned events);
	/* A batch of events, accepted connections or datagrams has been told: the NAT may work and
	 * the ports be flushed now. */
	void (*turn_end)(void *ctx);
	/* A guest has connected to a service of ours. 0 takes 'fd' over, a non-blocking stream
	 * socket whose other end is the guest's flow; -errno refuses, and 'fd' stays the host's.
	 * NULL: every service with a pair is refused. */
	int (*service)(void *ctx, const struct host_service_request *request, int fd);
	/* Where a service's connections go: HOST_TARGET_PAIR when *ret is left alone. NULL: always
	 * that. */
	void (*service_target)(void *ctx, unsigned service, struct host_target *ret);
	/* The flow of a connection that service() took has closed its end. May be NULL. */
	void (*service_closed)(void *ctx, uint64_t token);
	void *ctx;
};

/* 0, -ENOMEM, or the errno of epoll_create1(). */
int host_new(struct host **ret, uv_loop_t *loop, const struct host_config *config);
/* Closes all handles that are still open. Listeners (host_listen.h) must have been closed before.
 * The memory goes when libuv has closed its handle: run the loop once more. NULL is fine. */
void host_close(struct host *host);
/* The loop's time, ms. */
uint64_t host_now_ms(const struct host *host);

/* The operations; their 'ctx' is the struct host. */
const struct host_ops *host_ops(void);
/* Handles that are open now. */
unsigned host_handle_count(const struct host *host);

#endif
