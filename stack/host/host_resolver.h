/* Upstream DNS through c-ares under libuv: raw queries to the host's resolvers, with retries,
 * fail-over, TCP for truncated answers, and resolv.conf followed while running. */
#ifndef LWNAT_HOST_HOST_RESOLVER_H
#define LWNAT_HOST_HOST_RESOLVER_H

#include "stack/base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct host_resolver;

struct host_resolver_config {
	/* --dns-upstream; none: resolv.conf is read and followed */
	const struct endpoint *upstreams;
	unsigned upstreams_n;
	const char *resolv_conf; /* NULL: /etc/resolv.conf */
	uint16_t port;           /* of the servers named there; 0: 53 */
	uint32_t queries_max;    /* outstanding at once; more are refused with -EBUSY; 0: 2,000 */
	uint32_t step_ms;        /* silence after which the next server is asked too, beside those
				    already asked; a query fails after 4 steps; 0: 1,000 */
	uint32_t recheck_ms;     /* resolv.conf is looked at by a query, not more often than this;
				    0: 1,000 */
};

struct host_resolver_counters {
	uint64_t queries, answered, failed, refused_busy;
	uint64_t attempts;     /* queries sent to servers: the retries are the excess */
	uint64_t server_lists; /* read from resolv.conf, the first one too */
};

#define HOST_RESOLVER_SERVERS_MAX 8

/* One server, for those who show it. */
struct host_resolver_server {
	struct endpoint endpoint;
	uint64_t asked, answered, missed; /* missed: refused, or silent for a step */
	bool dead; /* did not answer of late: asked after the others, and beside them */
};

/* 'answer' is NULL when nobody answered in time or all failed (status: negative errno). Bytes are
 * borrowed. */
typedef void host_resolver_done(void *ctx, int status, const uint8_t *answer, size_t len);

int host_resolver_new(struct host_resolver **ret, uv_loop_t *loop,
		      const struct host_resolver_config *config);
/* Sends a raw query. 'done' is called exactly once, also at host_resolver_close(); maybe before
 * this returns. 0, or -EBUSY / -ENOMEM / -EINVAL (shorter than a header) and then 'done' is not
 * called. The answer is the first that is neither SERVFAIL nor NOTIMP nor REFUSED, or, when all
 * servers say such a thing, what the first of them said. */
int host_resolver_send(struct host_resolver *r, const uint8_t *query, size_t len,
		       host_resolver_done *done, void *ctx);
/* Looks whether resolv.conf names other servers, not more often than every recheck_ms. */
void host_resolver_follow(struct host_resolver *r);
unsigned host_resolver_servers_n(const struct host_resolver *r);
/* false when there is none of this number. */
bool host_resolver_server(const struct host_resolver *r, unsigned n,
			  struct host_resolver_server *ret);
const struct host_resolver_counters *host_resolver_counters(const struct host_resolver *r);
/* Memory goes when the handles have closed; NULL is fine. Not from inside a 'done'. */
void host_resolver_close(struct host_resolver *r);

#endif
