#include "stack/host/dns_service.h"

#include "stack/base/log.h"
#include "stack/host/dns_tcp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define QUERIES_PER_CLIENT 250
#define CLIENT_SLOTS 256 /* clients whose ids meet in a slot share its places */
#define WARNING_MS 60000
#define OWN_REPLY_MAX 512 /* what dnsfwd says by itself is shorter */

struct dns_service {
	struct dnsfwd *fwd;             /* owned */
	struct host_resolver *resolver; /* owned */
	struct dns_tcp *tcp;            /* owned */
	uv_loop_t *loop;
	void (*reply)(void *ctx, const struct dns_service_client *client, const uint8_t *bytes,
		      size_t len);
	void *ctx;
	uint32_t queries_per_client;
	uint32_t waiting_n[CLIENT_SLOTS];
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
	if (status < 0 && !svc->closing)
		warn_of_silence(svc, status);
	if (status < 0 || !dnsfwd_answer(svc->fwd, &pending->query, wire_in(answer, len), &reply))
		dnsfwd_servfail(svc->fwd, &pending->query, &reply);
	send_reply(svc, &pending->origin, &reply);
	free(pending);
}

/* 0, and on_resolved() has it; or a negative errno. */
static int forward(struct dns_service *svc, const struct origin *origin, struct wire_in query,
		   const struct dnsfwd_pending *remembered)
{
	uint32_t *waiting_n = &svc->waiting_n[origin->client.id % CLIENT_SLOTS];
	struct pending *pending;
	int status;

	if (*waiting_n >= svc->queries_per_client)
		return -EBUSY;
	pending = malloc(sizeof(*pending));
	if (!pending)
		return -ENOMEM;
	*pending = (struct pending){svc, *origin, *remembered};
	++*waiting_n;
	status =
	    host_resolver_send(svc->resolver, query.at, wire_left(&query), on_resolved, pending);
	if (status < 0) {
		--*waiting_n;
		free(pending);
	}
	return status;
}

static void take_query(struct dns_service *svc, const struct origin *origin, struct wire_in query)
{
	uint8_t bytes[OWN_REPLY_MAX];
	struct wire_out reply = wire_out(bytes, sizeof(bytes));
	struct dnsfwd_pending remembered;

	switch (dnsfwd_query(svc->fwd, query, origin->conn != NULL, &reply, &remembered)) {
	case DNSFWD_FORWARD:
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
	status = dnsfwd_new(&svc->fwd, &config->names);
	if (status == 0)
		status = host_resolver_new(&svc->resolver, config->loop, &config->resolver);
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

const struct dnsfwd_counters *dns_service_forwarder_counters(const struct dns_service *svc)
{
	return dnsfwd_counters(svc->fwd);
}

const struct host_resolver_counters *dns_service_resolver_counters(const struct dns_service *svc)
{
	return host_resolver_counters(svc->resolver);
}

void dns_service_close(struct dns_service *svc)
{
	if (!svc)
		return;
	svc->closing = true;
	/* The resolver first: it gives every query back, and the connections count on that. */
	host_resolver_close(svc->resolver);
	dns_tcp_close(svc->tcp);
	dnsfwd_free(svc->fwd);
	free(svc);
}
