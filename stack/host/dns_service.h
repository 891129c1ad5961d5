/* The DNS server that guests see: forwarder, host's resolver and TCP connections put together.
 * Datagrams come and go as bytes; TCP as sockets. */
#ifndef LWNAT_HOST_DNS_SERVICE_H
#define LWNAT_HOST_DNS_SERVICE_H

#include "dns/cache.h"
#include "dns/dnsfwd.h"
#include "stack/host/host_resolver.h"

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define DNS_SERVICE_COOKIE_MAX 64

struct dns_service;

/* Who asked. The cookie is the caller's: copied, given back with the reply, never looked into. What
 * it names may have gone by then. */
struct dns_service_client {
	uint32_t id; /* one guest's queries have the same: no guest may take all the places */
	uint32_t cookie_len;
	uint8_t cookie[DNS_SERVICE_COOKIE_MAX];
};

/* Names of a domain and below it are asked of servers of their own. */
struct dns_service_route {
	const char *domain;
	struct endpoint server; /* several for one domain: as many routes */
};

struct dns_service_config {
	uv_loop_t *loop;
	struct dnsfwd_config names;
	struct host_resolver_config resolver;   /* for names without a route */
	const struct dns_service_route *routes; /* the longest domain that fits counts */
	unsigned routes_n;
	uint32_t cache_bytes; /* of kept answers; 0: 4 MiB */
	/* Forwarded and unanswered; 0: 1,000. Never more than there are places left for others, so
	 * that no guest takes all. */
	uint32_t queries_per_client;
	/* The reply to a datagram, at most 4,096 bytes, borrowed; maybe before dns_service_udp()
	 * returns. */
	void (*reply)(void *ctx, const struct dns_service_client *client, const uint8_t *bytes,
		      size_t len);
	void *ctx;
};

struct dns_service_counters {
	uint64_t refused_busy; /* answered with SERVFAIL as there was no place */
};

/* 0, -ENOMEM, -EINVAL for a bad domain, or an errno of the resolver. */
int dns_service_new(struct dns_service **ret, const struct dns_service_config *config);
/* One datagram from a guest: one reply or none. */
void dns_service_udp(struct dns_service *svc, const struct dns_service_client *client,
		     const uint8_t *bytes, size_t len);
/* A guest's connection: takes 'fd' over and returns 0, or a negative errno and it stays the
 * caller's. */
int dns_service_tcp(struct dns_service *svc, int fd, uint32_t client_id);
const struct dns_service_counters *dns_service_counters(const struct dns_service *svc);
void dns_service_cache_state(const struct dns_service *svc, struct dnscache_state *ret);
/* Server n, those of resolv.conf or --dns-upstream first, then those of the routes; false behind
 * the last. *ret_domain is NULL or the route's. */
bool dns_service_server(const struct dns_service *svc, unsigned n, const char **ret_domain,
			struct host_resolver_server *ret);
const struct dnsfwd_counters *dns_service_forwarder_counters(const struct dns_service *svc);
/* Of all upstream servers together, those of the routes too. */
void dns_service_resolver_counters(const struct dns_service *svc,
				   struct host_resolver_counters *ret);
/* No reply comes after this. Memory that libuv needs goes when it has closed the handles. Not from
 * inside a reply. NULL is fine. */
void dns_service_close(struct dns_service *svc);

#endif
