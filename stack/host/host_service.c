/* A guest's connection to one of our services: straight to a socket of the host's, so that nothing
 * copies in between, or through a socket pair to whoever serves it. */
#include "stack/host/host_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPTS_MAX 16 /* strangers that may get in before us */

/* A pair over the loopback: who connects is looked at, for any program of this host could. */
static int accept_own(int listener, const struct sockaddr_in *own)
{
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		struct sockaddr_in peer = {.sin_port = 0};
		socklen_t len = sizeof(peer);
		int fd =
		    accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return -errno;
		if (peer.sin_port == own->sin_port && peer.sin_addr.s_addr == own->sin_addr.s_addr)
			return fd;
		close(fd);
	}
	return -ECONNABORTED;
}

static int connect_loopback(int fd, int listener, struct sockaddr_in *ret_own)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(at);

	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(listener, ACCEPTS_MAX) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &len) < 0 ||
	    connect(fd, (struct sockaddr *)&at, len) < 0)
		return -errno;
	len = sizeof(*ret_own);
	return getsockname(fd, (struct sockaddr *)ret_own, &len) < 0 ? -errno : 0;
}

static int inet_pair(int fds[2])
{
	/* Blocking while they connect, which on the loopback is at once. */
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = listener < 0 || fd < 0 ? -errno : 0;
	struct sockaddr_in own = {.sin_port = 0};

	if (r == 0)
		r = connect_loopback(fd, listener, &own);
	if (r == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	if (r == 0)
		r = accept_own(listener, &own);
	if (listener >= 0)
		close(listener);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	fds[0] = r;
	fds[1] = fd;
	return 0;
}

static int dial_pair(struct host *host, const struct host_service_request *request, bool inet)
{
	const struct host_config *config = &host->config;
	int fds[2]; /* the flow's, the service's */
	int r = 0;

	if (!config->service)
		return -ECONNREFUSED;
	if (inet)
		r = inet_pair(fds);
	else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		r = -errno;
	if (r < 0)
		return r;
	r = host_watch(host, fds[0], request->token, HOST_STREAM_EVENTS);
	if (r == 0)
		r = config->service(config->ctx, request, fds[1]);
	if (r < 0) {
		host_unwatch_and_close(host, fds[0]);
		close(fds[1]);
		return r;
	}
	if (config->service_closed)
		host_slot_of(host, fds[0])->flags |= HOST_SLOT_SERVICE;
	return fds[0];
}

static int dial_unix(struct host *host, uint64_t token, const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd, r = 0;

	if (strlen(path) >= sizeof(name.sun_path))
		return -ENAMETOOLONG;
	memcpy(name.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		r = -errno;
	/* The listener's queue is full (unix(7)). A host would stay silent too; the guest asks
	 * again. */
	if (r == -EAGAIN)
		r = -ETIMEDOUT;
	return host_watch_new(host, fd, r, token, HOST_STREAM_EVENTS);
}

static int dial_tcp(struct host *host, uint64_t token, const struct host_target *target)
{
	int r = -EHOSTUNREACH;

	for (unsigned i = 0; i < target->tcp_n && r < 0; i++)
		r = host_tcp_dial(host, token, &target->tcp[i]);
	return r;
}

int host_tcp_dial_service(void *ctx, uint64_t token, unsigned service, const struct endpoint *guest)
{
	struct host *host = ctx;
	struct host_service_request request = {service, token, *guest};
	struct host_target target = {.kind = HOST_TARGET_PAIR};

	if (host->config.service_target)
		host->config.service_target(host->config.ctx, service, &target);
	switch (target.kind) {
	case HOST_TARGET_TCP:
		return dial_tcp(host, token, &target);
	case HOST_TARGET_UNIX:
		return dial_unix(host, token, target.path);
	case HOST_TARGET_INET_PAIR:
		return dial_pair(host, &request, true);
	case HOST_TARGET_PAIR:
		break;
	}
	return dial_pair(host, &request, false);
}
