#include "stack/app/forwards_priv.h"

#include "stack/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PICKS_MAX 32 /* free ports tried until one is free on 127.0.0.1 and ::1 */

static const struct addr loopback6 = {{[15] = 1}};

/* ---- what comes in -------------------------------------------------------------------------- */

static int find_target(struct forward *f, char why[GUESTS_ERROR_MAX])
{
	uint64_t generation = guests_generation(f->forwards->config.guests);
	struct guests_found found;
	int result;

	if (f->target_known && f->target_generation == generation)
		return 0;
	f->target_known = false;
	result = guests_find(f->forwards->config.guests, f->rule.guest, &found, why);
	if (result < 0)
		return result;
	f->target_known = true;
	f->target_generation = generation;
	f->target = found.addr;
	return 0;
}

/* Where there is no IPv4, a rule without an address means the first lease's; but a guest may have
 * no address but one that it made itself. Then the only guest is meant. */
static void find_only_guest(const struct forward *f, struct addr *addr)
{
	const struct guests *guests = f->forwards->config.guests;
	char text[ADDR_TEXT_MAX], why[GUESTS_ERROR_MAX];
	struct guests_found found;

	if (f->rule.guest_addr_given || addr_is_v4(addr))
		return;
	if (guests_find(guests, addr_format(addr, text), &found, why) == 0 && found.guest)
		return;
	if (guests_find(guests, "", &found, why) == 0 && !addr_is_v4(&found.addr) &&
	    !addr_is_link_local(&found.addr))
		*addr = found.addr;
}

int forward_target(struct forward *forward, uint16_t offset, struct endpoint *ret,
		   char why[GUESTS_ERROR_MAX])
{
	int result = forward->rule.guest[0] ? find_target(forward, why) : 0;

	if (result < 0)
		return result;
	ret->addr = forward->rule.guest[0] ? forward->target : forward->rule.guest_addr;
	if (!forward->rule.guest[0])
		find_only_guest(forward, &ret->addr);
	ret->port = (uint16_t)(forward->rule.guest_port + offset);
	return 0;
}

static void on_accepted(void *ctx, int handle, const struct endpoint *peer)
{
	struct way *way = ctx;
	struct forward *f = way->forward;
	struct forwards *fs = f->forwards;
	struct nat_connect connect = {.handle = handle, .peer = *peer, .forward = way->account};
	char why[GUESTS_ERROR_MAX];

	if (f->rule.hold_s && hold_accepted(way, handle, peer))
		return;
	if (forward_target(f, way->offset, &connect.guest, why) < 0) {
		f->failed++;
		host_ops()->tcp_close(fs->config.host, handle, true);
		return;
	}
	nat_set_time(fs->config.nat, host_now_ms(fs->config.host));
	(void)nat_tcp_connect(fs->config.nat, &connect, NULL);
}

static void on_datagram(void *ctx, int handle, const struct endpoint *peer, struct iovec payload)
{
	struct way *way = ctx;
	struct forwards *fs = way->forward->forwards;
	char why[GUESTS_ERROR_MAX];
	struct endpoint guest;

	if (forward_target(way->forward, way->offset, &guest, why) < 0) {
		way->forward->failed++;
		return;
	}
	nat_set_time(fs->config.nat, host_now_ms(fs->config.host));
	nat_udp_inbound(fs->config.nat, handle, peer, &guest, payload);
}

/* ---- opening and closing -------------------------------------------------------------------- */

static void close_ways(struct forward *f, bool cut)
{
	struct nat *nat = f->forwards->config.nat;

	while (f->ways_n > 0) {
		struct way *way = &f->way[--f->ways_n];

		nat_forward_drop(nat, way->account, cut);
		host_listener_close(way->listener);
	}
}

static int listen_at(struct way *way, const struct endpoint *at)
{
	struct host_listen_events events = {
	    .accepted = on_accepted, .datagram = on_datagram, .ctx = way};
	const struct hostfwd_rule *rule = &way->forward->rule;
	struct host *host = way->forward->forwards->config.host;

	if (rule->path[0])
		return host_listen_unix(&way->listener, host, rule->path, &events);
	if (rule->proto == HOSTFWD_UDP)
		return host_listen_udp(&way->listener, host, at, &events);
	return host_listen_tcp(&way->listener, host, at, &events);
}

static int open_way(struct forward *f, const struct endpoint *at, uint16_t offset)
{
	struct way *way = &f->way[f->ways_n];
	int result;

	*way = (struct way){.forward = f, .offset = offset};
	result = listen_at(way, at);
	if (result < 0)
		return result;
	result = nat_forward_new(
	    f->forwards->config.nat,
	    f->rule.proto == HOSTFWD_UDP ? host_listener_handle(way->listener) : -1, &way->account);
	if (result < 0) {
		host_listener_close(way->listener);
		return result;
	}
	f->ways_n++;
	return 0;
}

/* One port of the rule, on its address or on both loopbacks. *at is what failed. */
static int open_port(struct forward *f, uint16_t offset, struct endpoint *at)
{
	const struct hostfwd_rule *rule = &f->rule;
	int result;

	at->addr = rule->host_addr_given ? rule->host_addr : addr_v4(0x7f000001);
	at->port = (uint16_t)(rule->host_port + offset);
	result = open_way(f, at, offset);
	if (result < 0 || rule->path[0])
		return result;
	at->port = host_listener_local(f->way[f->ways_n - 1].listener)->port;
	if (rule->host_addr_given)
		return 0;
	at->addr = loopback6;
	result = open_way(f, at, offset);
	/* A host without IPv6 is served on 127.0.0.1 alone. */
	return result == -EADDRNOTAVAIL || result == -EAFNOSUPPORT ? 0 : result;
}

/* A port that is free on 127.0.0.1 may be taken on ::1: then another one is picked. */
static int pick_port(struct forward *f, struct endpoint *at)
{
	int result = -EADDRINUSE;

	for (unsigned i = 0; i < PICKS_MAX && result == -EADDRINUSE; i++) {
		close_ways(f, false);
		result = open_port(f, 0, at);
	}
	if (result == 0)
		f->rule.host_port = host_listener_local(f->way[0].listener)->port;
	return result;
}

static int open_rule(struct forward *f, char error[FORWARDS_ERROR_MAX])
{
	struct endpoint at = {0};
	int result = 0;

	if (!f->rule.path[0] && f->rule.host_port == 0)
		result = pick_port(f, &at);
	else
		for (unsigned i = 0; i < f->rule.ports_n && result == 0; i++)
			result = open_port(f, (uint16_t)i, &at);
	if (result == 0)
		return 0;
	close_ways(f, false);
	return forward_explain(result, &f->rule, &at, error);
}

static struct forward *new_forward(struct forwards *fs, const struct hostfwd_rule *rule)
{
	unsigned each = rule->host_addr_given || rule->path[0] ? 1 : 2;
	struct forward *f = calloc(1, sizeof(*f) + rule->ports_n * each * sizeof(f->way[0]));

	if (!f)
		return NULL;
	f->forwards = fs;
	f->rule = f->given = *rule;
	list_init(&f->link);
	list_init(&f->held);
	return f;
}

/* ---- rules ---------------------------------------------------------------------------------- */

static int settle(const struct forwards *fs, struct hostfwd_rule *rule,
		  char error[FORWARDS_ERROR_MAX])
{
	struct options_error fault;
	int result = options_settle_forward(fs->config.options, rule, &fault);

	if (result < 0)
		snprintf(error, FORWARDS_ERROR_MAX, "%s", fault.text);
	return result;
}

int forwards_add(struct forwards *forwards, const struct hostfwd_rule *rule,
		 char error[FORWARDS_ERROR_MAX])
{
	struct hostfwd_rule settled = *rule;
	char conflict[HOSTFWD_ERROR_MAX] = "";
	struct forward *f;
	int result = settle(forwards, &settled, error);

	if (result < 0)
		return result;
	result = hostfwd_add(forwards->table, &settled, conflict);
	if (result < 0) {
		snprintf(error, FORWARDS_ERROR_MAX, "%s", conflict);
		return result;
	}
	f = new_forward(forwards, &settled);
	if (!f) {
		(void)hostfwd_remove(forwards->table, result);
		snprintf(error, FORWARDS_ERROR_MAX, "out of memory");
		return -ENOMEM;
	}
	f->number = result;
	result = open_rule(f, error);
	if (result < 0) {
		(void)hostfwd_remove(forwards->table, f->number);
		free(f);
		return result;
	}
	list_append(&forwards->rules, &f->link);
	return f->number;
}

/* "127.0.0.1:2222 and [::1]:2222", "0.0.0.0:8000-8010", or the path. */
static void say_listens_on(const struct forward *f, char text[HOSTFWD_TEXT_MAX])
{
	char at[ENDPOINT_TEXT_MAX], last[8] = "";
	unsigned each = f->rule.host_addr_given ? 1 : f->ways_n / f->rule.ports_n;
	size_t len = 0;

	if (f->rule.path[0]) {
		snprintf(text, HOSTFWD_TEXT_MAX, "%s", f->rule.path);
		return;
	}
	if (f->rule.ports_n > 1)
		snprintf(last, sizeof(last), "-%u",
			 (unsigned)f->rule.host_port + f->rule.ports_n - 1);
	text[0] = '\0';
	for (unsigned i = 0; i < each && i < 2; i++)
		len += (size_t)snprintf(
		    text + len, HOSTFWD_TEXT_MAX - len, "%s%s%s", i ? " and " : "",
		    endpoint_format(host_listener_local(f->way[i].listener), at), last);
}

/* At the start it is the start-up lines that say it. */
static void log_added(const struct forward *f)
{
	char text[HOSTFWD_TEXT_MAX], listens_on[HOSTFWD_TEXT_MAX];

	say_listens_on(f, listens_on);
	log_info("forward %d: %s listens on %s", f->number, hostfwd_format(&f->rule, text),
		 listens_on);
}

int forwards_add_text(struct forwards *forwards, const char *text, char error[FORWARDS_ERROR_MAX])
{
	char bad[HOSTFWD_ERROR_MAX] = "";
	struct hostfwd_rule rule;
	int result = hostfwd_parse(text, &rule, bad);

	if (result < 0) {
		snprintf(error, FORWARDS_ERROR_MAX, "%s", bad);
		return result;
	}
	result = forwards_add(forwards, &rule, error);
	if (result > 0)
		log_added(list_entry(forwards->rules.prev, struct forward, link));
	return result;
}

static void close_forward(struct forward *f, bool cut)
{
	hold_drop_all(f);
	close_ways(f, cut);
	list_remove(&f->link);
	free(f);
}

static struct forward *get(const struct forwards *forwards, int number)
{
	for (struct list *link = forwards->rules.next; link != &forwards->rules;
	     link = link->next) {
		struct forward *f = list_entry(link, struct forward, link);

		if (f->number == number)
			return f;
	}
	return NULL;
}

int forwards_remove(struct forwards *forwards, int number, bool cut)
{
	struct forward *f = get(forwards, number);
	bool work = cut;

	if (!f)
		return -ENOENT;
	(void)hostfwd_remove(forwards->table, number);
	log_info("forward %d: removed%s", number, cut ? ", its connections are cut" : "");
	work |= f->held_n > 0;
	close_forward(f, cut);
	if (work) /* resets for guests */
		forwards->config.turn(forwards->config.turn_ctx);
	return 0;
}

int forwards_new(struct forwards **ret, const struct forwards_config *config)
{
	struct forwards *fs = calloc(1, sizeof(*fs));

	if (!fs || hostfwd_new(&fs->table, FORWARDS_MAX) < 0) {
		free(fs);
		return -ENOMEM;
	}
	fs->config = *config;
	list_init(&fs->rules);
	hold_init(fs);
	*ret = fs;
	return 0;
}

void forwards_close(struct forwards *forwards)
{
	if (!forwards)
		return;
	while (!list_is_empty(&forwards->rules))
		close_forward(list_entry(forwards->rules.next, struct forward, link), false);
	hostfwd_free(forwards->table);
	hold_close(forwards);
}

/* ---- questions ------------------------------------------------------------------------------ */

const struct forward *forwards_next(const struct forwards *forwards, const struct forward *after)
{
	const struct list *link = after ? after->link.next : forwards->rules.next;

	return link == &forwards->rules ? NULL : list_entry(link, struct forward, link);
}

const struct forward *forwards_get(const struct forwards *forwards, int number)
{
	return get(forwards, number);
}

unsigned forwards_count(const struct forwards *forwards)
{
	unsigned n = 0;

	for (const struct list *link = forwards->rules.next; link != &forwards->rules;
	     link = link->next)
		n++;
	return n;
}

static struct addr host_addr(const struct hostfwd_rule *rule)
{
	return rule->host_addr_given ? rule->host_addr : addr_v4(0x7f000001);
}

/* One without an address is that of 127.0.0.1: no other rule can be bound there. */
static bool same_host_side(const struct hostfwd_rule *a, const struct hostfwd_rule *b)
{
	struct addr a_addr = host_addr(a), b_addr = host_addr(b);

	return a->proto == b->proto && strcmp(a->path, b->path) == 0 && addr_eq(&a_addr, &b_addr) &&
	       a->host_port == b->host_port && a->ports_n == b->ports_n;
}

static bool same_guest_side(const struct hostfwd_rule *a, const struct hostfwd_rule *b)
{
	return strcmp(a->guest, b->guest) == 0 && a->guest_addr_given == b->guest_addr_given &&
	       (!a->guest_addr_given || addr_eq(&a->guest_addr, &b->guest_addr)) &&
	       a->guest_port == b->guest_port;
}

const struct forward *forwards_find(const struct forwards *forwards, const char *text)
{
	char error[HOSTFWD_ERROR_MAX], full[HOSTFWD_TEXT_MAX];
	struct hostfwd_rule rule;
	bool whole;

	if (text[0] && strspn(text, "0123456789") == strlen(text))
		return strlen(text) < 10 ? get(forwards, (int)strtol(text, NULL, 10)) : NULL;
	whole = hostfwd_parse(text, &rule, error) == 0;
	if (!whole && (snprintf(full, sizeof(full), "%s-:1", text) >= (int)sizeof(full) ||
		       hostfwd_parse(full, &rule, error) < 0))
		return NULL;
	for (const struct forward *f = forwards_next(forwards, NULL); f;
	     f = forwards_next(forwards, f)) {
		if (!same_host_side(&f->rule, &rule) && !same_host_side(&f->given, &rule))
			continue;
		if (!whole || same_guest_side(&f->rule, &rule))
			return f;
	}
	return NULL;
}

static void say_state(const struct forward *f, struct forward_info *ret)
{
	struct forward *looked_at = (struct forward *)(uintptr_t)f; /* its cache may be renewed */
	struct guests_found found;
	char text[ADDR_TEXT_MAX];

	ret->state = FORWARD_WAITING;
	if (forward_target(looked_at, 0, &ret->guest, ret->why) < 0) {
		memset(&ret->guest, 0, sizeof(ret->guest));
		return;
	}
	addr_format(&ret->guest.addr, text);
	if (guests_find(f->forwards->config.guests, text, &found, ret->why) == 0 && found.guest) {
		ret->state = FORWARD_READY;
		ret->why[0] = '\0';
		return;
	}
	snprintf(ret->why, sizeof(ret->why), "no guest with address %s has been seen yet", text);
}

void forward_info(const struct forward *forward, struct forward_info *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->number = forward->number;
	ret->rule = forward->rule;
	hostfwd_format(&forward->rule, ret->text);
	say_listens_on(forward, ret->listens_on);
	say_state(forward, ret);
	ret->held = forward->held_n;
	ret->failed = forward->failed;
	for (unsigned i = 0; i < forward->ways_n; i++) {
		struct nat_forward_stats stats;

		nat_forward_stats(forward->way[i].account, &stats);
		ret->live += stats.live;
		ret->opened += stats.opened;
		ret->failed += stats.failed;
		ret->bytes_to_guest += stats.bytes_to_guest;
		ret->bytes_to_host += stats.bytes_to_host;
	}
}
