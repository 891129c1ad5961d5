/* load: the small requests that iperf3 does not make.
 *
 *   load serve ADDRESS                 TCP echo on 16 ports from 7000
 *   load rr ADDRESS COUNT              COUNT one-byte round trips on one connection
 *   load crr ADDRESS PARALLEL MS       connect, 64 bytes there and back, close; PARALLEL at a time
 *   load idle ADDRESS COUNT            opens COUNT connections, proves each by a byte there and
 * back, and holds them until its standard input ends
 *   load busy ADDRESS COUNT MS         the same, but then each sends a byte a second, and has it
 * back load copy                          no network: memcpy()
 *
 * Each but serve prints one line of JSON, busy one when all are open and one at the end. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	FIRST_PORT = 7000,
	PORT_N = 16, /* so that a client's ports do not run out */
	REQUEST_LEN = 64,
	EVENTS = 256,
	BACKLOG = 4096,
	ACCEPTS = 64, /* in one turn */
	OPENING_MAX = 32,
	STALL_MS = 5000, /* this long without an event, and the rest has failed */
	GRACE_MS = 1000, /* for the last answers */
	COPY_MS = 300,
};

#define LISTENER ((uint64_t)1 << 32) /* in an event's data, beside the descriptor */

static void die(const char *what)
{
	printf("{\"error\": \"%s: %s\"}\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t now_us(void)
{
	return now_ns() / 1000;
}

/* ---- how long something took, many times ---- */

struct times {
	uint64_t *ns;
	size_t n, room;
};

static void times_add(struct times *times, uint64_t ns)
{
	if (times->n == times->room) {
		times->room = times->room ? times->room * 2 : 4096;
		times->ns = realloc(times->ns, times->room * sizeof(*times->ns));
		if (!times->ns)
			die("memory");
	}
	times->ns[times->n++] = ns;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Prints what is between two fields of JSON, and forgets them. */
static void times_print(struct times *times)
{
	if (times->n > 0) {
		qsort(times->ns, times->n, sizeof(*times->ns), compare_u64);
		printf("\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, ",
		       (double)times->ns[times->n / 2] / 1e3,
		       (double)times->ns[times->n * 99 / 100] / 1e3,
		       (double)times->ns[times->n - 1] / 1e3);
	}
	free(times->ns);
	*times = (struct times){0};
}

static struct sockaddr_in server_name(const char *address, unsigned port_index)
{
	struct sockaddr_in name = {
	    .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)(FIRST_PORT + port_index % PORT_N)),
	};

	if (inet_pton(AF_INET, address, &name.sin_addr) != 1) {
		errno = EINVAL;
		die(address);
	}
	return name;
}

static void watch(int ep, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	if (epoll_ctl(ep, op, fd, &ev) < 0)
		die("epoll");
}

static int tcp_socket(int flags)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | flags, 0);

	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* ---- serve ---- */

static void accept_all(int ep, int listener)
{
	for (int i = 0; i < ACCEPTS; i++) {
		int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		if (fd < 0)
			return;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		watch(ep, EPOLL_CTL_ADD, fd, EPOLLIN, (uint64_t)fd);
	}
}

static void echo(int fd)
{
	char bytes[4096];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || write(fd, bytes, (size_t)n) != n)
		close(fd);
}

static _Noreturn void serve(const char *address)
{
	int ep = epoll_create1(0);

	for (unsigned i = 0; i < PORT_N; i++) {
		struct sockaddr_in name = server_name(address, i);
		int on = 1, fd = tcp_socket(SOCK_NONBLOCK);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(fd, (const struct sockaddr *)&name, sizeof(name)) < 0 ||
		    listen(fd, BACKLOG) < 0)
			die("listen");
		watch(ep, EPOLL_CTL_ADD, fd, EPOLLIN, LISTENER | (uint64_t)fd);
	}
	for (;;) {
		struct epoll_event ev[EVENTS];
		int n = epoll_wait(ep, ev, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			int fd = (int)(uint32_t)ev[i].data.u64;
			if (ev[i].data.u64 & LISTENER)
				accept_all(ep, fd);
			else
				echo(fd);
		}
	}
}

/* ---- rr ---- */

static int round_trips(const char *address, int count)
{
	struct timeval patience = {.tv_sec = STALL_MS / 1000};
	struct sockaddr_in name = server_name(address, 0);
	struct times times = {0};
	int fd = tcp_socket(0);
	char byte = 'x';

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)); /* connect() too */
	if (connect(fd, (const struct sockaddr *)&name, sizeof(name)) < 0)
		die("connect");
	for (int i = 0; i < count; i++) {
		uint64_t begin = now_ns();
		if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
			die("round trip");
		times_add(&times, now_ns() - begin);
	}
	close(fd);
	printf("{");
	times_print(&times);
	printf("\"count\": %d}\n", count);
	return 0;
}

/* ---- crr ---- */

enum step { FAILED = -1, UNDER_WAY, DONE };

struct request {
	int fd;
	size_t got_len;
	uint64_t begin_ns;
};

static void request_start(struct request *r, int ep, const char *address, unsigned i)
{
	struct sockaddr_in name = server_name(address, i);

	r->got_len = 0;
	r->begin_ns = now_ns();
	r->fd = tcp_socket(SOCK_NONBLOCK);
	if (r->fd < 0 || (connect(r->fd, (const struct sockaddr *)&name, sizeof(name)) < 0 &&
			  errno != EINPROGRESS))
		die("connect");
	watch(ep, EPOLL_CTL_ADD, r->fd, EPOLLOUT, (uintptr_t)r);
}

static enum step request_step(struct request *r, int ep, uint32_t events)
{
	char bytes[REQUEST_LEN] = {0};
	ssize_t n;

	if (events & EPOLLOUT) {
		if (write(r->fd, bytes, sizeof(bytes)) != sizeof(bytes))
			return FAILED;
		watch(ep, EPOLL_CTL_MOD, r->fd, EPOLLIN, (uintptr_t)r);
		return UNDER_WAY;
	}
	n = read(r->fd, bytes, sizeof(bytes));
	if (n <= 0)
		return FAILED;
	r->got_len += (size_t)n;
	return r->got_len == REQUEST_LEN ? DONE : UNDER_WAY;
}

static int connections(const char *address, int parallel, int ms)
{
	int ep = epoll_create1(0), live = parallel;
	struct request *requests = calloc((size_t)parallel, sizeof(*requests));
	uint64_t begin = now_us(), end = begin + (uint64_t)ms * 1000;
	struct times times = {0};
	uint64_t failed = 0;
	unsigned started = 0;

	if (!requests)
		die("memory");
	for (int i = 0; i < parallel; i++)
		request_start(&requests[i], ep, address, started++);
	while (live > 0) {
		struct epoll_event ev[EVENTS];
		int n = epoll_wait(ep, ev, EVENTS, STALL_MS);
		if (n == 0) {
			failed += (uint64_t)live;
			break;
		}
		for (int i = 0; i < n; i++) {
			struct request *r = ev[i].data.ptr;
			enum step step = request_step(r, ep, ev[i].events);
			if (step == UNDER_WAY)
				continue;
			close(r->fd);
			failed += step == FAILED;
			if (step == DONE)
				times_add(&times, now_ns() - r->begin_ns);
			if (now_us() < end)
				request_start(r, ep, address, started++);
			else
				live--;
		}
	}
	printf("{\"done\": %zu, \"failed\": %" PRIu64 ", ", times.n, failed);
	double per_s = (double)times.n * 1e6 / (double)(now_us() - begin);
	times_print(&times);
	printf("\"per_s\": %.1f}\n", per_s);
	free(requests);
	return 0;
}

/* ---- idle ---- */

static bool idle_start(int ep, const char *address, unsigned i)
{
	struct sockaddr_in name = server_name(address, i);
	int fd = tcp_socket(SOCK_NONBLOCK);

	if (fd < 0)
		return false; /* out of descriptors */
	if (connect(fd, (const struct sockaddr *)&name, sizeof(name)) < 0 && errno != EINPROGRESS) {
		close(fd);
		return false;
	}
	watch(ep, EPOLL_CTL_ADD, fd, EPOLLOUT, (uint64_t)fd);
	return true;
}

static enum step idle_step(int ep, const struct epoll_event *ev)
{
	int fd = (int)ev->data.u64;
	char byte = 'x';

	if (ev->events & EPOLLOUT) {
		if (write(fd, &byte, 1) == 1) {
			watch(ep, EPOLL_CTL_MOD, fd, EPOLLIN, (uint64_t)fd);
			return UNDER_WAY;
		}
	} else if (read(fd, &byte, 1) == 1) {
		watch(ep, EPOLL_CTL_DEL, fd, 0, 0);
		return DONE;
	}
	close(fd);
	return FAILED;
}

/* Opens that many, watched by 'ep' for what comes, and says so. The number that is open. */
static int open_all(int ep, const char *address, int count)
{
	int started = 0, opening = 0, open_n = 0;
	uint64_t begin = now_us();

	for (;;) {
		struct epoll_event ev[EVENTS];
		int n;
		while (opening < OPENING_MAX && started < count) {
			if (!idle_start(ep, address, (unsigned)started)) {
				count = started;
				break;
			}
			started++;
			opening++;
		}
		if (opening == 0)
			break;
		n = epoll_wait(ep, ev, EVENTS, STALL_MS);
		if (n == 0)
			break;
		for (int i = 0; i < n; i++) {
			enum step step = idle_step(ep, &ev[i]);
			opening -= step != UNDER_WAY;
			open_n += step == DONE;
		}
	}
	printf("{\"open\": %d, \"per_s\": %.0f}\n", open_n,
	       open_n * 1e6 / (double)(now_us() - begin));
	fflush(stdout);
	return open_n;
}

static int idle(const char *address, int count)
{
	char byte;

	open_all(epoll_create1(0), address, count);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
	return 0;
}

/* ---- busy ---- */

struct busy {
	int ep, count;
	uint64_t *sent_ns; /* by descriptor; 0: nothing is under way */
	int *fd;           /* those that are open */
	struct times times;
	uint64_t failed;
};

static void busy_send(struct busy *b, uint64_t turn)
{
	int fd = b->fd[turn % (uint64_t)b->count];

	if (b->sent_ns[fd]) {
		b->failed++; /* the last second's byte is not back */
		return;
	}
	b->sent_ns[fd] = now_ns();
	if (write(fd, "x", 1) != 1)
		b->failed++;
}

static void busy_take(struct busy *b, int timeout_ms)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(b->ep, ev, EVENTS, timeout_ms);

	for (int i = 0; i < n; i++) {
		int fd = (int)ev[i].data.u64;
		char byte;
		if (read(fd, &byte, 1) == 1) {
			times_add(&b->times, now_ns() - b->sent_ns[fd]);
			b->sent_ns[fd] = 0;
		} else {
			watch(b->ep, EPOLL_CTL_DEL, fd, 0, 0);
		}
	}
}

/* The descriptors that 'ep' had been given, all of them connected; 0 of them is an error. */
static void busy_find(struct busy *b, const char *address, int count)
{
	struct sockaddr_in name;
	int most = count + PORT_N + EVENTS;

	b->fd = calloc((size_t)most, sizeof(*b->fd));
	b->sent_ns = calloc((size_t)most, sizeof(*b->sent_ns));
	if (!b->fd || !b->sent_ns)
		die("memory");
	open_all(b->ep, address, count);
	for (int fd = b->ep + 1; fd < most; fd++) {
		socklen_t len = sizeof(name);
		if (getpeername(fd, (struct sockaddr *)&name, &len) < 0)
			continue;
		b->fd[b->count++] = fd;
		watch(b->ep, EPOLL_CTL_ADD, fd, EPOLLIN, (uint64_t)fd);
	}
	errno = ECONNREFUSED;
	if (b->count == 0)
		die("connect");
}

static int busy(const char *address, int count, int ms)
{
	struct busy b = {.ep = epoll_create1(0)};

	busy_find(&b, address, count);
	uint64_t begin = now_us(), end = begin + (uint64_t)ms * 1000, turn = 0, now;
	while ((now = now_us()) < end) {
		for (uint64_t due = (now - begin) * (uint64_t)b.count / 1000000; turn < due; turn++)
			busy_send(&b, turn);
		busy_take(&b, 1);
	}
	while (b.times.n + b.failed < turn && now_us() < end + (uint64_t)GRACE_MS * 1000)
		busy_take(&b, GRACE_MS);
	b.failed = turn - b.times.n;
	printf("{\"answered\": %zu, \"answered_s\": %.0f, \"failed\": %" PRIu64 ", ", b.times.n,
	       (double)b.times.n * 1e3 / ms, b.failed);
	times_print(&b.times);
	printf("\"ms\": %d}\n", ms);
	free(b.fd);
	free(b.sent_ns);
	return 0;
}

/* ---- copy ---- */

/* Bytes in a nanosecond, in blocks of this size. */
static double copy_rate(size_t len)
{
	char *from = malloc(len), *to = malloc(len);
	uint64_t begin = now_ns(), ns, copied = 0;

	if (!from || !to)
		die("memory");
	memset(from, 1, len);
	memset(to, 2, len);
	do {
		memcpy(to, from, len);
		from[copied % len] = to[len / 2]; /* so that none of it can be left out */
		copied += len;
		ns = now_ns() - begin;
	} while (ns < (uint64_t)COPY_MS * 1000000);
	free(from);
	free(to);
	return (double)copied / (double)ns;
}

static int copy(void)
{
	const double gib_s = 1e9 / (1 << 30);

	printf("{\"cache_gib_s\": %.1f, \"memory_gib_s\": %.1f}\n", copy_rate(64 << 10) * gib_s,
	       copy_rate(64 << 20) * gib_s);
	return 0;
}

static int usage(void)
{
	fputs("usage: load serve ADDRESS | rr ADDRESS COUNT | crr ADDRESS PARALLEL MS | "
	      "idle ADDRESS COUNT | busy ADDRESS COUNT MS | copy\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int number = argc > 3 ? atoi(argv[3]) : 0;

	if (argc == 2 && strcmp(what, "copy") == 0)
		return copy();
	if (argc == 3 && strcmp(what, "serve") == 0)
		serve(argv[2]);
	if (argc == 4 && number > 0 && strcmp(what, "rr") == 0)
		return round_trips(argv[2], number);
	if (argc == 5 && number > 0 && strcmp(what, "crr") == 0)
		return connections(argv[2], number, atoi(argv[4]));
	if (argc == 4 && number > 0 && strcmp(what, "idle") == 0)
		return idle(argv[2], number);
	if (argc == 5 && number > 0 && strcmp(what, "busy") == 0 && atoi(argv[4]) > 0)
		return busy(argv[2], number, atoi(argv[4]));
	return usage();
}
