/* Connections into guests: opened at once, or, when nobody knows the guest's MAC yet (a static
 * guest that has never spoken), after asking for it; and whoever began one is told what became of
 * it. */
#include "stack/nat/tcpflow.h"

#include "stack/nat/forward.h"
#include "stack/nat/policy.h"

#include <errno.h>
#include <stdlib.h>

#define ATTEMPTS_MAX 4096u /* at once */
#define WAITING_MAX 1024u  /* of them those whose guest's MAC is not known */
#define ASK_INTERVAL_MS 1000u
#define ASK_TRIES 5

struct nat_attempt {
	struct list link; /* nat->waiting in the order of next_ms, nat->opening, or nat->ended */
	struct nat_connect connect; /* owns 'handle' until the flow does */
	struct tcpflow *tf;         /* NULL while the MAC is not known, and after its end */
	enum nat_outcome outcome;   /* on nat->ended */
	uint64_t next_ms;
	unsigned tries_left;
	bool accepted; /* came with a handle: its end is a failure of its forward */
};

const char *nat_outcome_text(enum nat_outcome outcome)
{
	static const char *const texts[] = {
	    [NAT_OPEN] = "open",
	    [NAT_REFUSED] = "refused",
	    [NAT_TIMED_OUT] = "timed out",
	    [NAT_NO_NEIGHBOUR] = "no such neighbour",
	    [NAT_GUEST_GONE] = "guest gone",
	    [NAT_NO_RESOURCES] = "no resources",
	};

	return texts[outcome];
}

static void reset(struct nat *nat, int handle)
{
	if (handle >= 0)
		nat->config.host->tcp_close(nat->config.host_ctx, handle, true);
}

/* ---- its flow ------------------------------------------------------------------------------- */

/* The guest sees a local host peer as the gateway: two of those may have the same port. Any free
 * one will do. */
static bool choose_peer_port(struct nat *nat, struct flow_key *key)
{
	for (int tries = 0; tries < 32; tries++) {
		if (key->peer.port != 0 && !flow_find(nat->flows, key))
			return true;
		key->peer.port = (uint16_t)(32768 + rng_below(nat->config.rng, 28000));
	}
	return false;
}

/* Its host side, when there was none. 0, or -errno with the handle still the caller's. */
static int adopt(struct nat *nat, struct tcpflow *tf, int handle)
{
	int err = nat->config.host->tcp_adopt(nat->config.host_ctx, handle, tf->flow.token);

	if (err != 0)
		return err;
	nat_flow_set_handle(nat, &tf->flow, handle);
	tf->host_writable = true;
	tcpflow_mark(nat, tf);
	return 0;
}

/* The guest's MAC is known: lwIP sends SYN. 0 or -errno; connect->handle, if any, is the flow's or
 * closed. */
static int new_flow(struct nat *nat, struct guest *guest, const struct mac *mac,
		    const struct nat_connect *connect, struct tcpflow **ret)
{
	struct endpoint seen = {
	    policy_peer_seen(&nat->config, &connect->peer.addr, &connect->guest.addr),
	    connect->peer.port,
	};
	struct flow_key key = flow_key(FLOW_TCP, guest->port->id, &connect->guest, &seen);
	struct tcpflow *tf =
	    choose_peer_port(nat, &key) ? tcpflow_new(nat, guest, &key, mac) : NULL;
	int err = tf ? 0 : -ENOBUFS;

	if (tf && connect->handle >= 0)
		err = adopt(nat, tf, connect->handle);
	if (err != 0) {
		reset(nat, connect->handle);
		if (tf)
			tcpflow_end(nat, tf, true);
		return err;
	}
	tf->state = TCPFLOW_OPENING;
	tcpflow_output_to(nat, tf);
	err = solo_connect(nat->engine, &tf->solo, &key.peer, &key.guest);
	if (err != 0) {
		tcpflow_end(nat, tf, true);
		return err;
	}
	nat->counters.tcp_inbound++;
	tcpflow_after_lwip(nat, tf);
	*ret = tf;
	return 0;
}

/* ---- attempts ------------------------------------------------------------------------------- */

static void leave_waiting(struct nat *nat, struct nat_attempt *attempt)
{
	if (!attempt->tf && attempt->tries_left > 0)
		nat->waiting_n--;
	attempt->tries_left = 0;
}

static void forget(struct nat *nat, struct nat_attempt *attempt)
{
	list_remove(&attempt->link);
	nat->attempts_n--;
	free(attempt);
}

/* What became of it is told at the end of the turn. */
static void settle(struct nat *nat, struct nat_attempt *attempt, enum nat_outcome outcome)
{
	leave_waiting(nat, attempt);
	attempt->outcome = outcome;
	list_append(&nat->ended, &attempt->link);
	if (outcome == NAT_OPEN)
		return;
	nat->counters.tcp_inbound_failed++;
	if (attempt->accepted)
		forward_failed(attempt->connect.forward);
	reset(nat, attempt->connect.handle);
	attempt->connect.handle = -1;
	attempt->tf = NULL;
}

/* 0 or -errno; the handle is gone either way. */
static int open_flow(struct nat *nat, struct nat_attempt *attempt, struct guest *guest,
		     const struct mac *mac)
{
	int err;

	leave_waiting(nat, attempt);
	err = new_flow(nat, guest, mac, &attempt->connect, &attempt->tf);
	attempt->connect.handle = -1;
	if (err != 0)
		return err;
	attempt->tf->attempt = attempt;
	forward_attach(attempt->connect.forward, &attempt->tf->flow);
	list_append(&nat->opening, &attempt->link);
	return 0;
}

static void ask(struct nat *nat, struct nat_attempt *attempt)
{
	attempt->next_ms = nat->now_ms + ASK_INTERVAL_MS;
	list_append(&nat->waiting, &attempt->link);
	nat_ask(nat, &attempt->connect.guest.addr);
}

/* -ENOSPC, or 0. */
static int wait_for_neighbour(struct nat *nat, struct nat_attempt *attempt)
{
	if (nat->waiting_n >= WAITING_MAX)
		return -ENOSPC;
	nat->waiting_n++;
	attempt->tries_left = ASK_TRIES;
	ask(nat, attempt);
	return 0;
}

int nat_tcp_connect(struct nat *nat, const struct nat_connect *connect, struct nat_attempt **ret)
{
	struct nat_attempt *attempt =
	    nat->attempts_n < ATTEMPTS_MAX ? calloc(1, sizeof(*attempt)) : NULL;
	struct port *port;
	struct mac mac;
	int err;

	if (!attempt) {
		nat->counters.tcp_inbound_failed++;
		forward_failed(connect->forward);
		reset(nat, connect->handle);
		return -ENOMEM;
	}
	attempt->connect = *connect;
	attempt->accepted = connect->handle >= 0;
	list_init(&attempt->link);
	nat->attempts_n++;
	if (neighbour_find(nat->neighbours, &connect->guest.addr, &port, &mac))
		err = open_flow(nat, attempt, port->nat_data, &mac);
	else
		err = wait_for_neighbour(nat, attempt);
	if (err != 0) {
		nat->counters.tcp_inbound_failed++;
		forward_failed(connect->forward);
		reset(nat, attempt->connect.handle);
		forget(nat, attempt);
		return err;
	}
	if (ret)
		*ret = attempt;
	return 0;
}

int nat_tcp_inbound(struct nat *nat, int handle, const struct endpoint *peer,
		    const struct endpoint *guest)
{
	struct nat_connect connect = {.handle = handle, .peer = *peer, .guest = *guest};

	return nat_tcp_connect(nat, &connect, NULL);
}

void nat_tcp_connect_cancel(struct nat *nat, struct nat_attempt *attempt)
{
	struct tcpflow *tf = attempt->tf;

	leave_waiting(nat, attempt);
	if (tf) {
		tf->attempt = NULL;
		tcpflow_kill(nat, tf, false);
	}
	reset(nat, attempt->connect.handle);
	forget(nat, attempt);
}

void tcpinbound_neighbour_known(struct nat *nat, const struct addr *addr)
{
	struct list *link = nat->waiting.next;
	struct port *port;
	struct mac mac;

	while (link != &nat->waiting) {
		struct nat_attempt *attempt = list_entry(link, struct nat_attempt, link);

		link = link->next;
		if (!addr_eq(&attempt->connect.guest.addr, addr))
			continue;
		if (!neighbour_find(nat->neighbours, addr, &port, &mac))
			settle(nat, attempt, NAT_NO_NEIGHBOUR);
		else if (open_flow(nat, attempt, port->nat_data, &mac) != 0)
			settle(nat, attempt, NAT_NO_RESOURCES);
	}
}

void tcpinbound_opened(struct nat *nat, struct tcpflow *tf)
{
	if (tf->attempt)
		settle(nat, tf->attempt, NAT_OPEN);
}

void tcpinbound_flow_gone(struct nat *nat, struct tcpflow *tf)
{
	struct nat_attempt *attempt = tf->attempt;

	if (!attempt)
		return;
	tf->attempt = NULL;
	switch (tf->solo.events.end) {
	case SOLO_RESET_BY_GUEST:
		settle(nat, attempt, NAT_REFUSED);
		break;
	case SOLO_TIMED_OUT:
		settle(nat, attempt, NAT_TIMED_OUT);
		break;
	default:
		settle(nat, attempt, NAT_GUEST_GONE);
		break;
	}
}

/* The guest has answered a connection that has no host side yet: whoever asked for it brings one,
 * or wanted to know no more. */
static void complete(struct nat *nat, struct tcpflow *tf, int handle)
{
	if (handle < 0) {
		tcpflow_output_to(nat, tf);
		(void)solo_send_fin(nat->engine, &tf->solo);
		solo_flush(nat->engine, &tf->solo, tf->in_flight_max);
		tcpflow_kill(nat, tf, true);
	} else if (adopt(nat, tf, handle) != 0) {
		reset(nat, handle);
		tcpflow_kill(nat, tf, false);
	}
}

void tcpinbound_tell(struct nat *nat)
{
	while (!list_is_empty(&nat->ended)) {
		struct nat_attempt *attempt = list_entry(nat->ended.next, struct nat_attempt, link);
		struct nat_connect connect = attempt->connect;
		enum nat_outcome outcome = attempt->outcome;
		struct tcpflow *tf = attempt->tf;
		bool accepted = attempt->accepted;
		int handle = -1;

		/* The call may do anything but meet this attempt again. */
		uint64_t token = tf ? tf->flow.token : 0;
		if (tf)
			tf->attempt = NULL;
		forget(nat, attempt);
		if (connect.outcome)
			handle = connect.outcome(connect.ctx, connect.cookie, outcome);
		if (!tf || outcome != NAT_OPEN || accepted)
			continue;
		if (flow_by_token(nat->flows, token) == &tf->flow)
			complete(nat, tf, handle);
		else
			reset(nat, handle);
	}
}

void tcpinbound_tick(struct nat *nat)
{
	while (!list_is_empty(&nat->waiting)) {
		struct nat_attempt *attempt =
		    list_entry(nat->waiting.next, struct nat_attempt, link);

		if (nat->now_ms < attempt->next_ms)
			return;
		if (attempt->tries_left > 1) {
			attempt->tries_left--;
			ask(nat, attempt);
			continue;
		}
		nat->counters.dropped_no_neighbour++;
		settle(nat, attempt, NAT_NO_NEIGHBOUR);
	}
}

uint64_t tcpinbound_next_ms(const struct nat *nat)
{
	if (!list_is_empty(&nat->ended))
		return nat->now_ms;
	if (list_is_empty(&nat->waiting))
		return UINT64_MAX;
	return list_entry(nat->waiting.next, struct nat_attempt, link)->next_ms;
}

void tcpinbound_forward_gone(struct nat *nat, const struct nat_forward *forward)
{
	struct list *lists[] = {&nat->waiting, &nat->opening, &nat->ended};

	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct list *link = lists[i]->next;

		while (link != lists[i]) {
			struct nat_attempt *attempt = list_entry(link, struct nat_attempt, link);

			link = link->next;
			if (attempt->connect.forward != forward)
				continue;
			attempt->connect.forward = NULL;
			if (lists[i] == &nat->waiting)
				settle(nat, attempt, NAT_NO_NEIGHBOUR);
		}
	}
}

void tcpinbound_drop_all(struct nat *nat)
{
	struct list *lists[] = {&nat->waiting, &nat->opening, &nat->ended};

	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		while (!list_is_empty(lists[i]))
			nat_tcp_connect_cancel(
			    nat, list_entry(lists[i]->next, struct nat_attempt, link));
	}
}
