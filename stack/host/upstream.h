/* One DNS server behind c-ares: a query's bytes go out, the answer's bytes come back. c-ares keeps
 * the sockets, compares id and question, waits, and asks again over TCP when the answer was cut. */
#ifndef LWNAT_HOST_UPSTREAM_H
#define LWNAT_HOST_UPSTREAM_H

#include "stack/host/resolv_conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define UPSTREAM_UDP_SIZE 1232 /* bytes; the OPT of queries sent with 'edns' says the same */

struct upstream;

/* status 0 and an answer with any rcode, borrowed; or a negative errno and no answer. */
typedef void upstream_done(void *ctx, int status, const uint8_t *answer, size_t len);

/* 'timeout_ms' is how long an answer is waited for. 0 or -ENOMEM. */
int upstream_new(struct upstream **ret, uv_loop_t *loop, const struct resolv_server *server,
		 uint32_t timeout_ms);
/* Exactly one 'done' for each send, maybe before this returns. 'edns': the query ends in an OPT
 * record of 11 bytes. */
void upstream_send(struct upstream *up, const struct iovec *query, bool edns, upstream_done *done,
		   void *ctx);
/* Lets c-ares look at its clock: it has no timer here. */
void upstream_tick(struct upstream *up);
unsigned upstream_waiting_n(const struct upstream *up);
/* Nothing is waiting and no socket is open. */
bool upstream_is_idle(const struct upstream *up);
/* 'done' comes with -ECANCELED for whatever is waiting. Not from inside a 'done'. NULL is fine. */
void upstream_free(struct upstream *up);

#endif
