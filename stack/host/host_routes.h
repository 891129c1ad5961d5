/* Whether this host reaches the IPv6 Internet, and when that changes: what the guests' default
 * route follows. */
#ifndef LWNAT_HOST_HOST_ROUTES_H
#define LWNAT_HOST_HOST_ROUTES_H

#include <stdbool.h>
#include <uv.h>

struct host_routes;

/* 'changed' is called when the answer is another than before, never from inside of a function here.
 * 0 or a negative errno. Where the kernel does not tell of routes, it is asked every half a minute.
 */
int host_routes_new(struct host_routes **ret, uv_loop_t *loop,
		    void (*changed)(void *ctx, bool online6), void *ctx);
/* The memory goes when libuv has closed its handles: run the loop once more. NULL is fine. */
void host_routes_close(struct host_routes *routes);

/* Whether there is a route to a global address, and a source address of more than this link. Asks
 * the kernel alone: nothing is sent. */
bool host_routes_probe6(void);
/* The answer as of the last change. */
bool host_routes_online6(const struct host_routes *routes);

#endif
