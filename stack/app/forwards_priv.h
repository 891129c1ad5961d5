/* What the files of forwards share. */
#ifndef LWNAT_APP_FORWARDS_PRIV_H
#define LWNAT_APP_FORWARDS_PRIV_H

#include "stack/app/forwards.h"
#include "stack/base/list.h"
#include "stack/base/log.h"
#include "stack/host/host_listen.h"

/* One listening socket of a rule. */
struct way {
	struct forward *forward;
	struct host_listener *listener;
	struct nat_forward *account;
	uint16_t offset; /* of its port in the range */
};

struct forward {
	struct list link; /* forwards->rules, in the order of numbers */
	struct forwards *forwards;
	int number;
	struct hostfwd_rule rule;  /* with the port that was picked */
	struct hostfwd_rule given; /* as the user wrote it */
	/* What guests_find() said when guests_generation() was 'target_generation'. */
	uint64_t target_generation;
	bool target_known;
	struct addr target;
	struct list held; /* struct held.link */
	unsigned held_n;
	uint64_t failed; /* connections that had nowhere to go, or were held in vain */
	unsigned ways_n;
	struct way way[]; /* without host address: 127.0.0.1 and ::1 by turns */
};

struct forwards {
	struct forwards_config config;
	struct hostfwd_table *table; /* numbers and conflicts */
	struct list rules;
	unsigned held_n;
	struct log_limit hold_log;
	uv_timer_t timer; /* runs while connections are held */
};

/* Where the next connection through this way goes. 0, -ENOENT, -EAGAIN (guests_find()), and then
 * one line in 'why'. */
int forward_target(struct forward *forward, uint16_t offset, struct endpoint *ret,
		   char why[GUESTS_ERROR_MAX]);

/* forwards_hold.c: connections that wait for their guest, outside of the NAT. */
void hold_init(struct forwards *forwards);
void hold_close(struct forwards *forwards); /* none may be held any more */
/* Takes 'fd' over, unless it returns false: as many are held already as may be. */
bool hold_accepted(struct way *way, int fd, const struct endpoint *peer);
void hold_drop_all(struct forward *forward); /* their clients are reset */

/* forwards_error.c: why a way could not be opened, for people. Returns 'err'. */
int forward_explain(int err, const struct hostfwd_rule *rule, const struct endpoint *at,
		    char error[FORWARDS_ERROR_MAX]);

#endif
