#include "stack/host/host_resolver.h"

#include "dns/dns_msg.h"
#include "stack/base/rng.h"
#include "stack/host/resolv_conf.h"
#include "stack/host/upstream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define QUERIES_MAX 2000
#define STEP_MS 1000
#define RECHECK_MS 1000
#define STEPS_MAX 4                /* then a query has failed */
#define ATTEMPTS_MIN 4             /* per query, however few the servers */
#define MISSES_MAX 3               /* unanswered in a row: the server is asked last */
#define DEMOTION_STEPS 10          /* and for how long */
#define DEFAULT_SERVER 0x7f000001u /* resolv.conf(5): when none is named, the local machine */

struct server {
	struct upstream *up; /* owned */
	struct endpoint endpoint;
	uint64_t asked, answered, missed;
	unsigned misses; /* in a row */
	uint64_t demoted_until_ms;
};

/* The servers of one state of resolv.conf. A set that was replaced lives until its last answer. */
struct server_set {
	struct server_set *next;
	unsigned servers_n;
	struct server servers[RESOLV_SERVERS_MAX];
};

/* One query sent to one server. */
struct attempt {
	struct attempt *next, **at; /* in the query's list, while there is one */
	struct host_resolver *r;
	struct query *query; /* NULL: it has got its answer elsewhere */
	struct server *server;
	bool missed; /* silent for a step, counted */
};

struct query {
	struct query *next, **at; /* in the resolver's list, the earliest next_ms first */
	struct host_resolver *r;
	host_resolver_done *done;
	void *ctx;
	uint64_t next_ms; /* the end of this step */
	unsigned steps_n; /* gone by */
	struct attempt *attempts;
	unsigned attempts_n; /* ever made */
	uint64_t tried_list; /* which list of servers 'tried' speaks of */
	uint32_t tried;
	uint8_t *refusal; /* owned: a SERVFAIL or the like, for when there is nothing better */
	size_t refusal_len;
	bool edns;
	size_t len;
	uint8_t bytes[];
};

struct host_resolver {
	uv_loop_t *loop;
	uv_timer_t timer; /* runs only while something is outstanding */
	struct rng rng;
	char *resolv_conf; /* owned; NULL: fixed upstreams */
	uint16_t port;     /* of the servers named there */
	struct resolv_mark mark;
	uint64_t checked_ms;
	uint32_t queries_max, step_ms, recheck_ms;
	struct server_set *set, *retired; /* owned */
	struct query *first, **last;      /* owned */
	struct query *starting;           /* borrowed; in query_start(), until it ends */
	uint32_t queries_n, attempts_n;
	bool closing;
	struct host_resolver_counters counters;
};

/* ---- servers ---- */

static void set_free(struct server_set *set)
{
	if (!set)
		return;
	for (unsigned i = 0; i < set->servers_n; i++)
		upstream_free(set->servers[i].up);
	free(set);
}

static unsigned set_waiting_n(const struct server_set *set)
{
	unsigned n = 0;

	for (unsigned i = 0; i < set->servers_n; i++)
		n += upstream_waiting_n(set->servers[i].up);
	return n;
}

static bool set_is_idle(const struct server_set *set)
{
	for (unsigned i = 0; i < set->servers_n; i++) {
		if (!upstream_is_idle(set->servers[i].up))
			return false;
	}
	return true;
}

static void set_tick(struct server_set *set)
{
	for (unsigned i = 0; i < set->servers_n; i++)
		upstream_tick(set->servers[i].up);
}

static int set_new(struct server_set **ret, struct host_resolver *r,
		   const struct resolv_server *servers, unsigned n)
{
	struct server_set *set = calloc(1, sizeof(*set));

	if (!set)
		return -ENOMEM;
	for (; set->servers_n < n; set->servers_n++) {
		set->servers[set->servers_n].endpoint = servers[set->servers_n].endpoint;
		/* As long as a query lives: a late answer is still an answer. */
		if (upstream_new(&set->servers[set->servers_n].up, r->loop,
				 &servers[set->servers_n], STEPS_MAX * r->step_ms) < 0) {
			set_free(set);
			return -ENOMEM;
		}
	}
	*ret = set;
	return 0;
}

static unsigned read_servers(struct host_resolver *r, struct resolv_server *ret)
{
	unsigned n = resolv_conf_read(r->resolv_conf, &r->mark, ret);

	for (unsigned i = 0; i < n; i++)
		ret[i].endpoint.port = r->port;
	return n;
}

/* Called at a query, so that an idle resolver does nothing at all. A file that names nobody is in
 * the middle of being written: the old servers stay. */
void host_resolver_follow(struct host_resolver *r)
{
	struct resolv_server servers[RESOLV_SERVERS_MAX];
	uint64_t now_ms = uv_now(r->loop);
	struct server_set *set;
	unsigned n;

	if (!r->resolv_conf || now_ms - r->checked_ms < r->recheck_ms)
		return;
	r->checked_ms = now_ms;
	n = read_servers(r, servers);
	if (n == 0 || set_new(&set, r, servers, n) < 0)
		return;
	r->set->next = r->retired;
	r->retired = r->set;
	r->set = set;
	r->counters.server_lists++;
}

static void server_missed(struct host_resolver *r, struct server *s)
{
	s->missed++;
	if (++s->misses < MISSES_MAX)
		return;
	s->misses = MISSES_MAX - 1; /* once back in its place, one more miss is enough */
	s->demoted_until_ms = uv_now(r->loop) + (uint64_t)DEMOTION_STEPS * r->step_ms;
}

/* The next server in the file's order that this query has not tried; one that has been silent of
 * late only when no other is left. */
static struct server *pick_server(struct host_resolver *r, struct query *q)
{
	uint64_t now_ms = uv_now(r->loop);
	uint32_t all;
	int found = -1;

	all = (1u << r->set->servers_n) - 1;
	if (q->tried_list != r->counters.server_lists || q->tried == all)
		q->tried = 0;
	q->tried_list = r->counters.server_lists;
	for (unsigned i = 0; i < r->set->servers_n; i++) {
		if (q->tried & 1u << i)
			continue;
		if (r->set->servers[i].demoted_until_ms <= now_ms) {
			found = (int)i;
			break;
		}
		if (found < 0)
			found = (int)i;
	}
	assert(found >= 0);
	q->tried |= 1u << found;
	return &r->set->servers[found];
}

/* ---- one query ---- */

static void query_unlink(struct query *q)
{
	*q->at = q->next;
	if (q->next)
		q->next->at = q->at;
	else
		q->r->last = q->at;
}

/* At the end: every next_ms is one step from some now, so the list stays in order. */
static void query_link(struct query *q)
{
	q->next_ms = uv_now(q->r->loop) + q->r->step_ms;
	q->next = NULL;
	q->at = q->r->last;
	*q->at = q;
	q->r->last = &q->next;
}

/* The query has its answer. A server that was raced and lost has missed once more; should it just
 * be slow, its own answer makes good for that. */
static void attempt_lost(struct attempt *a)
{
	if (!a->missed && a->server->misses > 0) {
		a->missed = true;
		server_missed(a->r, a->server);
	}
}

static void query_finish(struct query *q, int status, const uint8_t *answer, size_t len)
{
	struct host_resolver *r = q->r;

	if (r->starting == q)
		r->starting = NULL;
	query_unlink(q);
	r->queries_n--;
	for (struct attempt *a = q->attempts; a; a = a->next) {
		if (status == 0)
			attempt_lost(a);
		a->query = NULL;
	}
	if (status == 0)
		r->counters.answered++;
	else
		r->counters.failed++;
	q->done(q->ctx, status, answer, len);
	free(q->refusal);
	free(q);
}

static void query_fail(struct query *q, int status)
{
	if (q->refusal)
		query_finish(q, 0, q->refusal, q->refusal_len);
	else
		query_finish(q, status, NULL, 0);
}

static unsigned attempts_max(const struct host_resolver *r)
{
	unsigned twice = 2 * r->set->servers_n;
	return twice > ATTEMPTS_MIN ? twice : ATTEMPTS_MIN;
}

static void query_try(struct query *q);

/* One server will not answer any more, or not usefully. */
static void query_next(struct query *q, int status)
{
	struct host_resolver *r = q->r;

	if (q->attempts_n < r->set->servers_n)
		query_try(q);
	else if (q->attempts)
		return; /* another may still answer */
	else if (q->refusal || q->attempts_n >= attempts_max(r))
		query_fail(q, status);
	else if (status != -ETIMEDOUT)
		query_try(q);
	/* else the timer tries again: c-ares 1.34 gives up sooner than a slow server answers */
}

static bool is_refusal(const uint8_t *answer, size_t len)
{
	unsigned rcode = len >= DNS_HEADER_LEN ? answer[3] & DNS_FLAG_RCODE : DNS_RCODE_SERVFAIL;
	return rcode == DNS_RCODE_SERVFAIL || rcode == DNS_RCODE_NOTIMP ||
	       rcode == DNS_RCODE_REFUSED;
}

static void keep_refusal(struct query *q, const uint8_t *answer, size_t len)
{
	if (q->refusal || len < DNS_HEADER_LEN)
		return;
	q->refusal = malloc(len);
	if (!q->refusal)
		return;
	memcpy(q->refusal, answer, len);
	q->refusal_len = len;
}

static void on_attempt_done(void *ctx, int status, const uint8_t *answer, size_t len)
{
	struct attempt *a = ctx;
	struct query *q = a->query;

	a->r->attempts_n--;
	if (q) {
		*a->at = a->next;
		if (a->next)
			a->next->at = a->at;
	}
	if (status == 0) {
		a->server->answered++;
		a->server->misses = 0;
		a->server->demoted_until_ms = 0;
	} else if (!a->missed && q && status != -ECANCELED) {
		server_missed(a->r, a->server);
	}
	free(a);
	if (!q)
		return;
	if (status == 0 && !is_refusal(answer, len)) {
		query_finish(q, 0, answer, len);
		return;
	}
	if (status == 0)
		keep_refusal(q, answer, len);
	query_next(q, status ? status : -EBADMSG);
}

static void query_try(struct query *q)
{
	struct host_resolver *r = q->r;
	struct attempt *a = calloc(1, sizeof(*a));
	struct iovec bytes = {q->bytes, q->len};
	uint16_t id = rng_u16(&r->rng);

	q->attempts_n++;
	if (!a) {
		query_fail(q, -ENOMEM);
		return;
	}
	a->r = r;
	a->query = q;
	a->server = pick_server(r, q);
	a->next = q->attempts;
	a->at = &q->attempts;
	if (a->next)
		a->next->at = &a->next;
	q->attempts = a;
	a->server->asked++;
	r->attempts_n++;
	r->counters.attempts++;
	q->bytes[0] = (uint8_t)(id >> 8);
	q->bytes[1] = (uint8_t)id;
	upstream_send(a->server->up, &bytes, q->edns, on_attempt_done, a);
}

/* A server that missed of late is not waited for: the next one is asked beside it. */
static void query_start(struct query *q)
{
	struct host_resolver *r = q->r;

	r->starting = q;
	query_try(q);
	if (r->starting != q)
		return; /* it has ended */
	r->starting = NULL;
	if (r->set->servers_n > 1 && q->attempts_n == 1 && q->attempts &&
	    q->attempts->server->misses > 0)
		query_try(q);
}

/* A step has gone by. They are counted, so that a process that was stopped for a while does not
 * take its own absence for the servers' silence. */
static void query_step(struct query *q)
{
	struct attempt *latest = q->attempts;

	if (latest && !latest->missed) {
		latest->missed = true;
		server_missed(q->r, latest->server);
	}
	if (++q->steps_n >= STEPS_MAX || q->refusal) {
		query_fail(q, -ETIMEDOUT);
		return;
	}
	query_unlink(q);
	query_link(q);
	if (q->attempts_n < attempts_max(q->r))
		query_try(q);
}

/* ---- the timer ---- */

static void on_timer(uv_timer_t *timer);

static void timer_update(struct host_resolver *r)
{
	uint64_t now_ms = uv_now(r->loop);
	uint64_t wait_ms = r->step_ms;

	if (!r->first && !r->retired && set_is_idle(r->set)) {
		(void)uv_timer_stop(&r->timer);
		return;
	}
	if (uv_is_active((uv_handle_t *)&r->timer))
		return; /* nothing new can be due earlier than what it waits for */
	if (r->first)
		wait_ms = r->first->next_ms > now_ms ? r->first->next_ms - now_ms : 1;
	(void)uv_timer_start(&r->timer, on_timer, wait_ms, 0);
}

/* Here no c-ares call is under way, so that channels can be taken down. */
static void free_retired(struct host_resolver *r)
{
	struct server_set **at = &r->retired;

	while (*at) {
		struct server_set *set = *at;
		if (set_waiting_n(set)) {
			at = &set->next;
			continue;
		}
		*at = set->next;
		set_free(set);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct host_resolver *r = timer->data;
	uint64_t now_ms = uv_now(r->loop);

	while (r->first && r->first->next_ms <= now_ms)
		query_step(r->first);
	set_tick(r->set);
	for (struct server_set *set = r->retired; set; set = set->next)
		set_tick(set);
	free_retired(r);
	timer_update(r);
}

/* ---- the whole ---- */

static int first_servers(struct host_resolver *r, const struct host_resolver_config *config)
{
	struct resolv_server servers[RESOLV_SERVERS_MAX] = {0};
	unsigned n = 0;

	if (config->upstreams_n) {
		for (; n < config->upstreams_n && n < RESOLV_SERVERS_MAX; n++)
			servers[n].endpoint = config->upstreams[n];
		return set_new(&r->set, r, servers, n);
	}
	r->resolv_conf = strdup(config->resolv_conf ? config->resolv_conf : "/etc/resolv.conf");
	if (!r->resolv_conf)
		return -ENOMEM;
	n = read_servers(r, servers);
	if (n == 0)
		servers[n++].endpoint = (struct endpoint){addr_v4(DEFAULT_SERVER), r->port};
	r->checked_ms = uv_now(r->loop);
	r->counters.server_lists++;
	return set_new(&r->set, r, servers, n);
}

int host_resolver_new(struct host_resolver **ret, uv_loop_t *loop,
		      const struct host_resolver_config *config)
{
	struct host_resolver *r = calloc(1, sizeof(*r));
	int status;

	if (!r)
		return -ENOMEM;
	r->loop = loop;
	r->queries_max = config->queries_max ? config->queries_max : QUERIES_MAX;
	r->step_ms = config->step_ms ? config->step_ms : STEP_MS;
	r->recheck_ms = config->recheck_ms ? config->recheck_ms : RECHECK_MS;
	r->port = config->port ? config->port : 53;
	r->last = &r->first;
	status = rng_init(&r->rng);
	if (status == 0)
		status = first_servers(r, config);
	if (status == 0)
		status = uv_timer_init(loop, &r->timer);
	if (status < 0) {
		set_free(r->set);
		free(r->resolv_conf);
		free(r);
		return status;
	}
	r->timer.data = r;
	*ret = r;
	return 0;
}

int host_resolver_send(struct host_resolver *r, const uint8_t *query, size_t len,
		       host_resolver_done *done, void *ctx)
{
	struct wire_out out;
	struct query *q;

	if (len < DNS_HEADER_LEN || len > UINT16_MAX)
		return -EINVAL;
	/* Attempts outlive a query that another server has answered: they are bounded too. */
	if (r->closing || r->queries_n >= r->queries_max ||
	    r->attempts_n / ATTEMPTS_MIN >= r->queries_max) {
		r->counters.refused_busy++;
		return -EBUSY;
	}
	q = calloc(1, sizeof(*q) + len);
	if (!q)
		return -ENOMEM;
	host_resolver_follow(r);
	q->r = r;
	q->done = done;
	q->ctx = ctx;
	out = wire_out(q->bytes, len);
	q->edns = dns_query_put_upstream(wire_in(query, len), 0, UPSTREAM_UDP_SIZE, &out);
	assert(!out.bad); /* an OPT record without options is the shortest there is */
	q->len = wire_len(&out);
	query_link(q);
	r->queries_n++;
	r->counters.queries++;
	query_start(q);
	timer_update(r);
	return 0;
}

unsigned host_resolver_servers_n(const struct host_resolver *r)
{
	return r->set->servers_n;
}

bool host_resolver_server(const struct host_resolver *r, unsigned n,
			  struct host_resolver_server *ret)
{
	const struct server *s = &r->set->servers[n];

	if (n >= r->set->servers_n)
		return false;
	*ret = (struct host_resolver_server){.endpoint = s->endpoint,
					     .asked = s->asked,
					     .answered = s->answered,
					     .missed = s->missed,
					     .dead = s->demoted_until_ms > uv_now(r->loop)};
	return true;
}

const struct host_resolver_counters *host_resolver_counters(const struct host_resolver *r)
{
	return &r->counters;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct host_resolver *r = handle->data;

	free(r->resolv_conf);
	free(r);
}

void host_resolver_close(struct host_resolver *r)
{
	if (!r)
		return;
	r->closing = true;
	while (r->first)
		query_finish(r->first, -ECANCELED, NULL, 0);
	set_free(r->set);
	while (r->retired) {
		struct server_set *set = r->retired;
		r->retired = set->next;
		set_free(set);
	}
	assert(r->attempts_n == 0);
	uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}
