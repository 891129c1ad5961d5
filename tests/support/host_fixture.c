#include "tests/support/host_fixture.h"

#include "stack/host/sockaddr.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int open_fd_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void on_event(void *ctx, uint64_t token, unsigned events)
{
	struct host_fixture *f = ctx;

	ck_assert_uint_lt(token, HOST_FIXTURE_TOKENS);
	f->told[token] |= events;
	f->told_n[token]++;
	if (f->on_event)
		f->on_event(f, token);
}

static void on_turn_end(void *ctx)
{
	struct host_fixture *f = ctx;

	f->turn_ends++;
}

static int on_service(void *ctx, const struct host_service_request *request, int fd)
{
	struct host_fixture *f = ctx;

	f->service = request->service;
	f->service_token = request->token;
	f->service_fd = fd;
	f->service_guest = request->guest;
	return f->service_result;
}

static void on_service_target(void *ctx, unsigned service, struct host_target *ret)
{
	(void)service;
	*ret = ((struct host_fixture *)ctx)->target;
}

static void on_service_closed(void *ctx, uint64_t token)
{
	struct host_fixture *f = ctx;

	f->service_closed_n++;
	f->service_closed_token = token;
}

void host_fixture_open(struct host_fixture *f)
{
	struct host_config config = {.event = on_event,
				     .turn_end = on_turn_end,
				     .service = on_service,
				     .service_target = on_service_target,
				     .service_closed = on_service_closed,
				     .ctx = f};

	memset(f, 0, sizeof(*f));
	f->service_fd = -1;
	/* libuv's first loop opens a pipe for signals that the process keeps. */
	ck_assert_int_eq(uv_loop_init(&f->loop), 0);
	ck_assert_int_eq(uv_loop_close(&f->loop), 0);
	f->fds_before = open_fd_count();
	ck_assert_int_eq(uv_loop_init(&f->loop), 0);
	ck_assert_int_eq(host_new(&f->host, &f->loop, &config), 0);
	f->ops = host_ops();
}

void host_fixture_close(struct host_fixture *f)
{
	host_close(f->host);
	ck_assert_int_eq(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&f->loop), 0);
	ck_assert_int_eq(open_fd_count(), f->fds_before);
}

unsigned host_fixture_take(struct host_fixture *f, uint64_t token)
{
	unsigned events = f->told[token];

	f->told[token] = 0;
	f->told_n[token] = 0;
	return events;
}

unsigned host_fixture_wait(struct host_fixture *f, uint64_t token, unsigned events)
{
	while (!(f->told[token] & events))
		uv_run(&f->loop, UV_RUN_ONCE);
	return host_fixture_take(f, token);
}

int loopback_socket(int type, bool v6, struct endpoint *ret)
{
	static const struct addr localhost6 = {{[15] = 1}};
	struct endpoint at = {.addr = v6 ? localhost6 : addr_v4(0x7f000001)};
	struct sockaddr_storage name;
	socklen_t name_len = host_sockaddr_from(&at, &name);
	int fd = socket(name.ss_family, type | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, name_len), 0);
	if (type == SOCK_STREAM)
		ck_assert_int_eq(listen(fd, 128), 0);
	name_len = sizeof(name);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&name, &name_len), 0);
	ck_assert(host_sockaddr_to(&name, name_len, ret));
	return fd;
}

/* Each processor has one queue for what its loopback carries, and under load hands it on later than
 * send() returns: a datagram through each queue comes behind all that was in it. */
static void wait_for_loopback(void)
{
	struct endpoint at;
	struct sockaddr_storage name;
	cpu_set_t all, one;
	char byte;
	int fd = loopback_socket(SOCK_DGRAM, false, &at);
	socklen_t name_len = host_sockaddr_from(&at, &name);

	ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
		ck_assert_int_eq(sendto(fd, "x", 1, 0, (struct sockaddr *)&name, name_len), 1);
		ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
	}
	ck_assert_int_eq(sched_setaffinity(0, sizeof(all), &all), 0);
	close(fd);
}

void host_fixture_settle(struct host_fixture *f)
{
	wait_for_loopback();
	for (int i = 0; i < 5; i++)
		uv_run(&f->loop, UV_RUN_NOWAIT);
}

bool loopback_v6_available(void)
{
	struct endpoint at = {.addr = {{[15] = 1}}};
	struct sockaddr_storage name;
	socklen_t name_len = host_sockaddr_from(&at, &name);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool available = fd >= 0 && bind(fd, (struct sockaddr *)&name, name_len) == 0;

	if (fd >= 0)
		close(fd);
	if (!available)
		fprintf(stderr,
			"no ::1 on this machine: the IPv6 half of this test was left out\n");
	return available;
}
