#include "stack/host/host_routes.h"

#include "stack/base/addr.h"
#include "stack/host/sockaddr.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SETTLE_MS 200     /* routes come in bursts: asked once, behind the last of them */
#define FALLBACK_MS 30000 /* without netlink */
#define HANDLES_N 2

struct host_routes {
	void (*changed)(void *ctx, bool online6);
	void *ctx;
	bool online6;
	int fd; /* -1: no netlink */
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned handles_n; /* to be closed by libuv */
};

/* connect() on a datagram socket looks up route and source address, and sends nothing. The address
 * is a root name server's: any global one would do. */
bool host_routes_probe6(void)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6,
				  .sin6_port = 0xffff, /* the same in either order */
				  .sin6_addr = {{{0x20, 0x01, 0x05, 0, 0, 0x2f, [15] = 0xf}}}};
	struct sockaddr_in6 from = {0};
	socklen_t len = sizeof(from);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct addr addr;
	bool ok;

	if (fd < 0)
		return false;
	ok = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	     getsockname(fd, (struct sockaddr *)&from, &len) == 0;
	close(fd);
	memcpy(addr.b, &from.sin6_addr, sizeof(addr.b));
	return ok && !addr_is_unspecified(&addr) && !addr_is_loopback(&addr) &&
	       !addr_is_link_local(&addr);
}

bool host_routes_online6(const struct host_routes *routes)
{
	return routes->online6;
}

static void on_timer(uv_timer_t *timer)
{
	struct host_routes *routes = timer->data;
	bool online6 = host_routes_probe6();

	if (routes->fd < 0)
		uv_timer_start(&routes->timer, on_timer, FALLBACK_MS, 0);
	if (online6 == routes->online6)
		return;
	routes->online6 = online6;
	routes->changed(routes->ctx, online6);
}

/* What the messages say is not read: the probe knows better. ENOBUFS says that some were lost,
 * which is news as well. */
static void on_netlink(uv_poll_t *poll, int status, int events)
{
	struct host_routes *routes = poll->data;
	char bytes[8192];
	ssize_t n;

	(void)status;
	(void)events;
	do {
		n = recv(routes->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	} while (n > 0 || (n < 0 && (errno == EINTR || errno == ENOBUFS)));
	uv_timer_start(&routes->timer, on_timer, SETTLE_MS, 0);
}

static int open_netlink(void)
{
	struct sockaddr_nl at = {.nl_family = AF_NETLINK,
				 .nl_groups = RTMGRP_IPV6_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void on_closed(uv_handle_t *handle)
{
	struct host_routes *routes = handle->data;

	if (--routes->handles_n > 0)
		return;
	if (routes->fd >= 0)
		close(routes->fd);
	free(routes);
}

int host_routes_new(struct host_routes **ret, uv_loop_t *loop,
		    void (*changed)(void *ctx, bool online6), void *ctx)
{
	struct host_routes *routes = calloc(1, sizeof(*routes));

	if (!routes)
		return -ENOMEM;
	routes->changed = changed;
	routes->ctx = ctx;
	routes->timer.data = routes->poll.data = routes;
	uv_timer_init(loop, &routes->timer);
	routes->handles_n = 1;
	routes->fd = open_netlink();
	if (routes->fd >= 0 && uv_poll_init(loop, &routes->poll, routes->fd) < 0) {
		close(routes->fd);
		routes->fd = -1;
	}
	if (routes->fd >= 0) {
		routes->handles_n = HANDLES_N;
		uv_poll_start(&routes->poll, UV_READABLE, on_netlink);
	} else {
		uv_timer_start(&routes->timer, on_timer, FALLBACK_MS, 0);
	}
	routes->online6 = host_routes_probe6();
	*ret = routes;
	return 0;
}

void host_routes_close(struct host_routes *routes)
{
	if (!routes)
		return;
	uv_close((uv_handle_t *)&routes->timer, on_closed);
	if (routes->fd >= 0)
		uv_close((uv_handle_t *)&routes->poll, on_closed);
}
