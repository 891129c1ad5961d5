#include "stack/host/dns_service.h"

#include "dns/dns_msg.h"
#include "stack/base/log.h"
#include "stack/base/rng.h"
#include "stack/host/dns_tcp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define QUERIES_PER_CLIENT 1000
#define QUERIES_MAX 2000 /* of all clients together */
#define CACHE_BYTES (4u << 20)
#define CACHE_ANSWER_BYTES 256 /* of one answer, about: a place for each */
#define CLIENT_SLOTS 256       /* clients whose ids meet in a slot share its places */
#define WARNING_MS 60000
/* Bytes: what the cache gives, and what dnsfwd says by itself, is shorter. */
#define OWN_REPLY_MAX (DNSCACHE_ANSWER_MAX + 512)

struct route {
	char *text; /* owned */
	struct dns_name domain;
	struct host_resolver *resolver; /* owned */
};

struct dns_service {
	struct dnsfwd *fwd;             /* owned */
	struct host_resolver *resolver; /* owned */
	struct route *routes;           /* owned; one for each domain */
	unsigned routes_n;
	struct dnscache *cache; /* owned */
	uint64_t server_lists;  /* resolv.conf's state that the cache is of */
	struct dns_tcp *tcp;    /* owned */
	uv_loop_t *loop;
	void (*reply)(void *ctx, const struct dns_service_client *client, const uint8_t *bytes,
		      size_t len);
	void *ctx;
	uint32_t queries_per_client, queries_max;
	uint32_t waiting_n[CLIENT_SLOTS], all_waiting_n;
	bool closing;
	struct log_limit warnings;
	struct dns_service_counters counters;
};

/* Where a reply goes: over TCP to 'conn', else by the caller's function. */
struct origin {
	struct dns_tcp_conn *conn; /* NULL: a datagram */
	struct dns_service_client client;
};

/* A query that has gone upstream. */
struct pending {
	struct dns_service *svc;
	struct origin origin;
	struct dnsfwd_pending query;
};

static void send_reply(struct dns_service *svc, const struct origin *origin,
		       const struct wire_out *reply)
{
	size_t len = reply->bad ? 0 : wire_len(reply);

	if (origin->conn)
		dns_tcp_answer(origin->conn, reply->start, svc->closing ? 0 : len);
	else if (len && !svc->closing)
		svc->reply(svc->ctx, &origin->client, reply->start, len);
}

static void warn_of_silence(struct dns_service *svc, int status)
{
	if (log_limit_ok(&svc->warnings, uv_now(svc->loop), 1, WARNING_MS))
		log_warn_errno(status, "dns: no name server of the host answers");
}

static void on_resolved(void *ctx, int status, const uint8_t *answer, size_t len)
{
	struct pending *pending = ctx;
	struct dns_service *svc = pending->svc;
	uint8_t bytes[DNSFWD_MESSAGE_MAX];
	struct wire_out reply = wire_out(bytes, sizeof(bytes));

	svc->waiting_n[pending->origin.client.id % CLIENT_SLOTS]--;
	svc->all_waiting_n--;
	if (status < 0 && !svc->closing)
		warn_of_silence(svc, status);
	if (status < 0 || !dnsfwd_answer(svc->fwd, &pending->query, wire_in(answer, len), &reply))
		dnsfwd_servfail(svc->fwd, &pending->query, &reply);
	else
		dnscache_put(svc->cache, &pending->query, wire_in(answer, len), uv_now(svc->loop));
	send_reply(svc, &pending->origin, &reply);
	free(pending);
}

/* The servers for this question: those of the longest domain that it is in. */
static struct host_resolver *resolver_for(const struct dns_service *svc,
					  const struct dnsfwd_pending *question)
{
	struct host_resolver *found = svc->resolver;
	struct dns_name name = {.len = (uint8_t)(question->question_len - 4)};
	unsigned longest = 0;

	memcpy(name.wire, question->question, name.len);
	for (unsigned i = 0; i < svc->routes_n; i++) {
		const struct route *route = &svc->routes[i];

		if (route->domain.len > longest && dns_name_suffix(&name, &route->domain) >= 0) {
			longest = route->domain.len;
			found = route->resolver;
		}
	}
	return found;
}

static bool has_place(const struct dns_service *svc, uint32_t waiting_n)
{
	return waiting_n < svc->queries_per_client && svc->all_waiting_n < svc->queries_max &&
	       waiting_n < svc->queries_max - svc->all_waiting_n;
}

/* 0, and on_resolved() has it; or a negative errno. */
static int forward(struct dns_service *svc, const struct origin *origin, struct wire_in query,
		   const struct dnsfwd_pending *remembered)
{
	uint32_t *waiting_n = &svc->waiting_n[origin->client.id % CLIENT_SLOTS];
	struct pending *pending;
	int status;

	if (!has_place(svc, *waiting_n))
		return -EBUSY;
	pending = malloc(sizeof(*pending));
	if (!pending)
		return -ENOMEM;
	*pending = (struct pending){svc, *origin, *remembered};
	++*waiting_n;
	svc->all_waiting_n++;
	status = host_resolver_send(resolver_for(svc, remembered), query.at, wire_left(&query),
				    on_resolved, pending);
	if (status < 0) {
		--*waiting_n;
		svc->all_waiting_n--;
		free(pending);
	}
	return status;
}

/* Other servers may know other names: what the old ones said goes with them. */
static void follow_servers(struct dns_service *svc)
{
	uint64_t lists;

	host_resolver_follow(svc->resolver);
	lists = host_resolver_counters(svc->resolver)->server_lists;
	if (lists != svc->server_lists)
		dnscache_flush(svc->cache);
	svc->server_lists = lists;
}

static bool answer_from_cache(struct dns_service *svc, const struct dnsfwd_pending *question,
			      struct wire_out *reply)
{
	uint8_t bytes[DNSCACHE_ANSWER_MAX];
	struct wire_out kept = wire_out(bytes, sizeof(bytes));

	follow_servers(svc);
	return dnscache_get(svc->cache, question, uv_now(svc->loop), &kept) &&
	       dnsfwd_answer(svc->fwd, question, wire_in(bytes, wire_len(&kept)), reply);
}

static void take_query(struct dns_service *svc, const struct origin *origin, struct wire_in query)
{
	uint8_t bytes[OWN_REPLY_MAX];
	struct wire_out reply = wire_out(bytes, sizeof(bytes));
	struct dnsfwd_pending remembered;

	switch (dnsfwd_query(svc->fwd, query, origin->conn != NULL, &reply, &remembered)) {
	case DNSFWD_FORWARD:
		if (answer_from_cache(svc, &remembered, &reply))
			break;
		if (forward(svc, origin, query, &remembered) == 0)
			return;
		svc->counters.refused_busy++;
		dnsfwd_servfail(svc->fwd, &remembered, &reply);
		break;
	case DNSFWD_ANSWERED:
	case DNSFWD_DROP: /* over TCP even this one must be counted off */
		break;
	}
	send_reply(svc, origin, &reply);
}

static void on_tcp_query(void *ctx, struct dns_tcp_conn *conn, uint32_t client,
			 const uint8_t *bytes, size_t len)
{
	struct origin origin = {.conn = conn, .client = {.id = client}};
	take_query(ctx, &origin, wire_in(bytes, len));
}

void dns_service_udp(struct dns_service *svc, const struct dns_service_client *client,
		     const uint8_t *bytes, size_t len)
{
	struct origin origin = {.client = *client};
	take_query(svc, &origin, wire_in(bytes, len));
}

int dns_service_tcp(struct dns_service *svc, int fd, uint32_t client_id)
{
	return dns_tcp_serve(svc->tcp, fd, client_id);
}

static struct route *route_of(struct dns_service *svc, const struct dns_name *domain)
{
	for (unsigned i = 0; i < svc->routes_n; i++) {
		if (dns_name_eq(&svc->routes[i].domain, domain))
			return &svc->routes[i];
	}
	return NULL;
}

/* The route of one domain, with all servers that are named for it from number 'from' on. */
static int add_route(struct dns_service *svc, const struct dns_service_config *config,
		     unsigned from, const struct dns_name *domain)
{
	struct host_resolver_config resolver = config->resolver;
	struct endpoint servers[HOST_RESOLVER_SERVERS_MAX];
	struct route *route = &svc->routes[svc->routes_n];
	unsigned n = 0;
	int status;

	for (unsigned i = from; i < config->routes_n && n < HOST_RESOLVER_SERVERS_MAX; i++) {
		struct dns_name other;

		if (dns_name_parse(config->routes[i].domain, &other) && dns_name_eq(&other, domain))
			servers[n++] = config->routes[i].server;
	}
	resolver.upstreams = servers;
	resolver.upstreams_n = n;
	status = host_resolver_new(&route->resolver, config->loop, &resolver);
	if (status < 0)
		return status;
	route->domain = *domain;
	route->text = strdup(config->routes[from].domain);
	svc->routes_n++;
	return route->text ? 0 : -ENOMEM;
}

static int new_routes(struct dns_service *svc, const struct dns_service_config *config)
{
	if (config->routes_n == 0)
		return 0;
	svc->routes = calloc(config->routes_n, sizeof(*svc->routes));
	if (!svc->routes)
		return -ENOMEM;
	for (unsigned i = 0; i < config->routes_n; i++) {
		struct dns_name domain;
		int status = 0;

		if (!dns_name_parse(config->routes[i].domain, &domain))
			return -EINVAL;
		if (!route_of(svc, &domain))
			status = add_route(svc, config, i, &domain);
		if (status < 0)
			return status;
	}
	return 0;
}

static int new_cache(struct dns_service *svc, uint32_t bytes)
{
	struct dnscache_config config = {.bytes = bytes ? bytes : CACHE_BYTES};
	struct rng rng;
	int status = rng_init(&rng);

	if (status < 0)
		return status;
	config.answers_n = config.bytes / CACHE_ANSWER_BYTES;
	config.hash_key = (struct siphash_key){{rng_u64(&rng), rng_u64(&rng)}};
	return dnscache_new(&svc->cache, &config);
}

int dns_service_new(struct dns_service **ret, const struct dns_service_config *config)
{
	struct dns_service *svc = calloc(1, sizeof(*svc));
	struct dns_tcp_config tcp = {.loop = config->loop, .query = on_tcp_query, .ctx = svc};
	int status;

	if (!svc)
		return -ENOMEM;
	svc->loop = config->loop;
	svc->reply = config->reply;
	svc->ctx = config->ctx;
	svc->queries_per_client =
	    config->queries_per_client ? config->queries_per_client : QUERIES_PER_CLIENT;
	svc->queries_max =
	    config->resolver.queries_max ? config->resolver.queries_max : QUERIES_MAX;
	status = dnsfwd_new(&svc->fwd, &config->names);
	if (status == 0)
		status = new_cache(svc, config->cache_bytes);
	if (status == 0)
		status = host_resolver_new(&svc->resolver, config->loop, &config->resolver);
	if (status == 0)
		status = new_routes(svc, config);
	if (status == 0)
		status = dns_tcp_new(&svc->tcp, &tcp);
	if (status < 0) {
		dns_service_close(svc);
		return status;
	}
	*ret = svc;
	return 0;
}

const struct dns_service_counters *dns_service_counters(const struct dns_service *svc)
{
	return &svc->counters;
}

void dns_service_cache_state(const struct dns_service *svc, struct dnscache_state *ret)
{
	dnscache_state(svc->cache, ret);
}

bool dns_service_server(const struct dns_service *svc, unsigned n, const char **ret_domain,
			struct host_resolver_server *ret)
{
	unsigned own_n = host_resolver_servers_n(svc->resolver);

	if (n < own_n) {
		*ret_domain = NULL;
		return host_resolver_server(svc->resolver, n, ret);
	}
	n -= own_n;
	for (unsigned i = 0; i < svc->routes_n; i++) {
		unsigned route_n = host_resolver_servers_n(svc->routes[i].resolver);

		if (n < route_n) {
			*ret_domain = svc->routes[i].text;
			return host_resolver_server(svc->routes[i].resolver, n, ret);
		}
		n -= route_n;
	}
	return false;
}

const struct dnsfwd_counters *dns_service_forwarder_counters(const struct dns_service *svc)
{
	return dnsfwd_counters(svc->fwd);
}

static void add_counters(struct host_resolver_counters *to, const struct host_resolver *resolver)
{
	const struct host_resolver_counters *from = host_resolver_counters(resolver);

	to->queries += from->queries;
	to->answered += from->answered;
	to->failed += from->failed;
	to->refused_busy += from->refused_busy;
	to->attempts += from->attempts;
	to->server_lists += from->server_lists;
}

void dns_service_resolver_counters(const struct dns_service *svc,
				   struct host_resolver_counters *ret)
{
	*ret = (struct host_resolver_counters){.queries = 0};
	add_counters(ret, svc->resolver);
	for (unsigned i = 0; i < svc->routes_n; i++)
		add_counters(ret, svc->routes[i].resolver);
}

void dns_service_close(struct dns_service *svc)
{
	if (!svc)
		return;
	svc->closing = true;
	/* The resolver first: it gives every query back, and the connections count on that. */
	host_resolver_close(svc->resolver);
	for (unsigned i = 0; i < svc->routes_n; i++) {
		host_resolver_close(svc->routes[i].resolver);
		free(svc->routes[i].text);
	}
	dns_tcp_close(svc->tcp);
	dnscache_free(svc->cache);
	dnsfwd_free(svc->fwd);
	free(svc->routes);
	free(svc);
}
