/* Connections made while their guest boots: kept open and silent until it answers, or until their
 * time is over. */
#include "stack/app/forwards_priv.h"

#include "stack/base/log.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#define HELD_MAX 256
#define HELD_PER_RULE_MAX 64
#define TICK_MS 250
#define VAIN_LOG_BURST 10
#define VAIN_LOG_MS 60000
#define RETRY_MS 500u /* after a refusal: sshd comes up between two tries */
/* A SYN that a booting guest has not heard is sent again ever more seldom: begin afresh. */
#define ATTEMPT_MS 3000u

struct held {
	struct list link; /* forward->held */
	struct way *way;
	int fd; /* the client; owned */
	struct endpoint peer, target;
	enum nat_outcome last;       /* NAT_OPEN: none yet */
	struct nat_attempt *attempt; /* NULL: the next one begins at 'next_ms' */
	uint64_t began_ms, next_ms, ends_ms;
};

static void forget(struct held *held)
{
	struct forward *forward = held->way->forward;

	list_remove(&held->link);
	forward->held_n--;
	if (--forward->forwards->held_n == 0)
		uv_timer_stop(&forward->forwards->timer);
	free(held);
}

static void drop(struct held *held)
{
	const struct forwards_config *config = &held->way->forward->forwards->config;

	if (held->attempt)
		nat_tcp_connect_cancel(config->nat, held->attempt);
	host_ops()->tcp_close(config->host, held->fd, true);
	forget(held);
}

static int on_outcome(void *ctx, uint64_t cookie, enum nat_outcome outcome)
{
	struct held *held = ctx;
	int fd = held->fd;

	(void)cookie;
	held->attempt = NULL;
	if (outcome == NAT_OPEN) {
		forget(held);
		return fd;
	}
	held->last = outcome;
	held->next_ms = host_now_ms(held->way->forward->forwards->config.host) + RETRY_MS;
	return -1;
}

static void try(struct held *held, uint64_t now_ms)
{
	struct forward *forward = held->way->forward;
	const struct forwards_config *config = &forward->forwards->config;
	struct nat_connect connect = {.peer = held->peer,
				      .handle = -1,
				      .forward = held->way->account,
				      .outcome = on_outcome,
				      .ctx = held};
	char why[GUESTS_ERROR_MAX];

	held->next_ms = now_ms + RETRY_MS;
	if (forward_target(forward, held->way->offset, &held->target, why) < 0)
		return;
	connect.guest = held->target;
	held->began_ms = now_ms;
	nat_set_time(config->nat, now_ms);
	if (nat_tcp_connect(config->nat, &connect, &held->attempt) < 0)
		held->attempt = NULL;
}

/* A client that has closed and left nothing to pass on. */
static bool is_gone(const struct held *held)
{
	struct pollfd pollfd = {.fd = held->fd, .events = POLLIN | POLLRDHUP};
	char byte;

	if (poll(&pollfd, 1, 0) <= 0)
		return false;
	if (pollfd.revents & (POLLERR | POLLHUP | POLLNVAL))
		return true;
	return pollfd.revents & POLLRDHUP && recv(held->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* The guest has moved to another address, or has not heard us for long. */
static bool is_stale(struct held *held, uint64_t now_ms)
{
	struct endpoint target;
	char why[GUESTS_ERROR_MAX];

	if (forward_target(held->way->forward, held->way->offset, &target, why) < 0)
		return true;
	return !endpoint_eq(&target, &held->target) || now_ms - held->began_ms >= ATTEMPT_MS;
}

/* Guests decide how often this happens. */
static void log_in_vain(const struct held *held, uint64_t now_ms)
{
	struct forward *forward = held->way->forward;
	char why[GUESTS_ERROR_MAX];
	struct endpoint target;

	if (!log_limit_ok(&forward->forwards->hold_log, now_ms, VAIN_LOG_BURST, VAIN_LOG_MS))
		return;
	if (forward_target(forward, held->way->offset, &target, why) < 0)
		log_info("forward %d: a connection was held for %u s in vain: %s", forward->number,
			 forward->rule.hold_s, why);
	else
		log_info("forward %d: a connection was held for %u s in vain: %s", forward->number,
			 forward->rule.hold_s,
			 held->last == NAT_OPEN ? "the guest does not answer"
						: nat_outcome_text(held->last));
}

static void look_at(struct held *held, uint64_t now_ms)
{
	struct nat *nat = held->way->forward->forwards->config.nat;

	if (now_ms >= held->ends_ms)
		log_in_vain(held, now_ms);
	if (now_ms >= held->ends_ms || is_gone(held)) {
		held->way->forward->failed++;
		drop(held);
		return;
	}
	if (held->attempt && is_stale(held, now_ms)) {
		nat_tcp_connect_cancel(nat, held->attempt);
		held->attempt = NULL;
		held->next_ms = now_ms;
	}
	if (!held->attempt && now_ms >= held->next_ms)
		try(held, now_ms);
}

static void on_tick(uv_timer_t *timer)
{
	struct forwards *fs = timer->data;
	uint64_t now_ms = host_now_ms(fs->config.host);

	for (struct list *rule = fs->rules.next; rule != &fs->rules; rule = rule->next) {
		struct forward *forward = list_entry(rule, struct forward, link);
		struct list *link = forward->held.next;

		while (link != &forward->held) {
			struct held *held = list_entry(link, struct held, link);

			link = link->next;
			look_at(held, now_ms);
		}
	}
	fs->config.turn(fs->config.turn_ctx);
}

void hold_init(struct forwards *forwards)
{
	uv_timer_init(forwards->config.loop, &forwards->timer);
	forwards->timer.data = forwards;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void hold_close(struct forwards *forwards)
{
	uv_close((uv_handle_t *)&forwards->timer, on_closed);
}

bool hold_accepted(struct way *way, int fd, const struct endpoint *peer)
{
	struct forward *forward = way->forward;
	struct forwards *fs = forward->forwards;
	struct held *held;

	if (fs->held_n >= HELD_MAX || forward->held_n >= HELD_PER_RULE_MAX)
		return false;
	held = calloc(1, sizeof(*held));
	if (!held)
		return false;
	held->way = way;
	held->fd = fd;
	held->peer = *peer;
	held->ends_ms = host_now_ms(fs->config.host) + forward->rule.hold_s * UINT64_C(1000);
	list_init(&held->link);
	list_append(&forward->held, &held->link);
	forward->held_n++;
	if (fs->held_n++ == 0)
		uv_timer_start(&fs->timer, on_tick, TICK_MS, TICK_MS);
	try(held, host_now_ms(fs->config.host));
	return true;
}

void hold_drop_all(struct forward *forward)
{
	while (!list_is_empty(&forward->held))
		drop(list_entry(forward->held.next, struct held, link));
}
