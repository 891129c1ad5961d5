/* Upstream DNS through c-ares under libuv: raw queries to the host's resolvers, with retries,
 * fail-over, TCP for truncated answers, and resolv.conf followed while running. */
#ifndef LWNAT_HOST_HOST_RESOLVER_H
#define LWNAT_HOST_HOST_RESOLVER_H

#include "stack/base/addr.h"

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct host_resolver;

struct host_resolver_config {
	const struct endpoint
	    *upstreams; /* --dns-upstream; none: resolv.conf is read and followed */
	unsigned upstreams_n;
	const char *resolv_conf; /* NULL: /etc/resolv.conf */
	uint32_t queries_max;    /* outstanding at once; more are refused with -EBUSY */
};

/* 'answer' is NULL when nobody answered in time or all failed (status: negative errno). Bytes are
 * borrowed. */
typedef void host_resolver_done(void *ctx, int status, const uint8_t *answer, size_t len);

int host_resolver_new(struct host_resolver **ret, uv_loop_t *loop,
		      const struct host_resolver_config *config);
/* Sends a raw query. 'done' is called exactly once, also at host_resolver_close(); maybe before
 * this returns. 0, or -EBUSY / -ENOMEM and then 'done' is not called. */
int host_resolver_send(struct host_resolver *r, const uint8_t *query, size_t len,
		       host_resolver_done *done, void *ctx);
void host_resolver_close(
    struct host_resolver *r); /* memory goes when the handles have closed; NULL is fine */

#endif
