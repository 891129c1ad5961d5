/* The poller of a libuv loop (loop->data), shared by all who ask for it.
 *
 * uv_run() serves it like any handle, with one epoll set inside of the other: two waits for each
 * event. poller_uv_run() turns them round: libuv's set is one descriptor of the poller's, and libuv
 * runs only when that is ready, when a timer is due or when it was given something to do. */
#ifndef LWNAT_LINK_POLLER_UV_H
#define LWNAT_LINK_POLLER_UV_H

#include "stack/base/poller.h"

#include <stdbool.h>
#include <uv.h>

/* 0, -ENOMEM or the errno of epoll_create1(). The poller lives until the last who got it has put
 * it back, and the loop has run once more. */
int poller_uv_get(uv_loop_t *loop, struct poller **ret);
void poller_uv_put(uv_loop_t *loop);

/* uv_run(UV_RUN_DEFAULT), but that it ends with poller_uv_stop() instead of uv_stop(). 0 or as
 * poller_uv_get(). */
int poller_uv_run(uv_loop_t *loop);
void poller_uv_stop(uv_loop_t *loop); /* before it has begun, too */
/* While anybody wants it (calls are counted) libuv runs after every batch of events, with its
 * prepare and check handles. For those who have got the poller. */
void poller_uv_every_turn(uv_loop_t *loop, bool wanted);

#endif
