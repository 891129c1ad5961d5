#include "tests/support/wirebed.h"

#include "stack/base/wire.h"
#include "stack/link/stream_codec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IN_MAX (1 << 20)

static bool is_v6;

void wire_use_v6(void)
{
	is_v6 = true;
}

bool wire_is_v6(void)
{
	return is_v6;
}

static struct addr net6(uint8_t high, uint8_t low)
{
	return (struct addr){{0xfe, 0xc0, [14] = high, low}};
}

struct addr wire_gateway(void)
{
	return is_v6 ? net6(0, 2) : addr_v4(0x0a000202);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- guests ---------------------------------------------------------------------------------- */

static void guest_sends(void *ctx, const uint8_t *frame, size_t len)
{
	struct wire_guest *guest = ctx;
	struct wire_out prefix;

	if (guest->fd < 0)
		return;
	if (guest->out_at) {
		guest->out_len -= guest->out_at;
		memmove(guest->out, guest->out + guest->out_at, guest->out_len);
		guest->out_at = 0;
	}
	if (guest->out_len + 4 + len > guest->out_room) {
		guest->out_room = guest->out_room * 2 + 4 + len;
		guest->out = realloc(guest->out, guest->out_room);
	}
	prefix = wire_out(guest->out + guest->out_len, 4);
	wire_put_u32(&prefix, (uint32_t)len);
	memcpy(guest->out + guest->out_len + 4, frame, len);
	guest->out_len += 4 + len;
}

static void guest_hangs_up(struct wire_guest *guest)
{
	close(guest->fd);
	guest->fd = -1;
	guest->in_len = guest->out_len = guest->out_at = 0;
}

static void guest_writes(struct wire_guest *guest)
{
	ssize_t n = send(guest->fd, guest->out + guest->out_at, guest->out_len - guest->out_at,
			 MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN) {
		guest_hangs_up(guest);
	} else if (n > 0) {
		guest->out_at += (size_t)n;
		if (guest->out_at == guest->out_len)
			guest->out_at = guest->out_len = 0;
	}
}

static void guest_reads(struct wire_guest *guest)
{
	ssize_t n =
	    recv(guest->fd, guest->in + guest->in_len, IN_MAX - guest->in_len, MSG_DONTWAIT);
	uint32_t len;
	size_t at = 0;

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		guest_hangs_up(guest);
		return;
	}
	guest->in_len += n > 0 ? (size_t)n : 0;
	while (stream_next(guest->in + at, guest->in_len - at, &len) == STREAM_FRAME) {
		guestsim_input(guest->sim, guest->in + at + 4, len, now_ms());
		at += 4 + len;
	}
	guest->in_len -= at;
	memmove(guest->in, guest->in + at, guest->in_len);
}

struct guestsim *wire_add_guest(struct wire *wire, unsigned n)
{
	struct wire_guest *guest = &wire->guests[n];
	struct guestsim_config config = {
	    .mac = {{0x52, 0x54, 0, 0, 0, (uint8_t)(15 + n)}},
	    .addr = is_v6 ? net6(1, (uint8_t)n) : (struct addr){{0}},
	    .net = {is_v6 ? net6(0, 0) : addr_v4(0x0a000200), is_v6 ? 64 : 24},
	    .gateway = wire_gateway(),
	    .mtu = 1500,
	    .seed = n + 1,
	    .send = guest_sends,
	    .ctx = guest,
	};

	if (wire->hostname)
		snprintf(config.hostname, sizeof(config.hostname), "%s", wire->hostname);
	if (guest->sim)
		guestsim_free(guest->sim);
	guest->fd = guest_connect(wire->place.socket_path);
	guest->sim = guestsim_new(&config);
	if (!guest->in)
		guest->in = malloc(IN_MAX);
	if (!is_v6) {
		guestsim_dhcp_start(guest->sim);
		WIRE_UNTIL(wire, guestsim_lease(guest->sim)->acked);
	}
	guestsim_arp_ask(guest->sim, &config.gateway);
	WIRE_UNTIL(wire, guestsim_neighbour(guest->sim, &config.gateway, &(struct mac){{0}}));
	return guest->sim;
}

void wire_drop_guest(struct wire *wire, unsigned n)
{
	if (wire->guests[n].fd >= 0)
		guest_hangs_up(&wire->guests[n]);
}

/* ---- turns ----------------------------------------------------------------------------------- */

static bool runs(const struct wire_guest *guest)
{
	return guest->fd >= 0 && !guest->stopped;
}

static int poll_time(struct wire *wire, int ms)
{
	for (unsigned n = 0; n < WIRE_GUESTS_MAX; n++) {
		uint64_t next;
		if (!runs(&wire->guests[n]))
			continue;
		guestsim_run(wire->guests[n].sim, now_ms());
		next = guestsim_next_ms(wire->guests[n].sim, now_ms());
		if (next < (uint64_t)ms)
			ms = (int)next;
	}
	return ms;
}

void wire_turn(struct wire *wire, int ms)
{
	struct pollfd fds[WIRE_GUESTS_MAX];

	ms = poll_time(wire, ms);
	for (unsigned n = 0; n < WIRE_GUESTS_MAX; n++)
		fds[n] = (struct pollfd){runs(&wire->guests[n]) ? wire->guests[n].fd : -1,
					 POLLIN | (wire->guests[n].out_len ? POLLOUT : 0), 0};
	poll(fds, WIRE_GUESTS_MAX, ms);
	for (unsigned n = 0; n < WIRE_GUESTS_MAX; n++) {
		struct wire_guest *guest = &wire->guests[n];
		if (guest->fd >= 0 && (fds[n].revents & (POLLIN | POLLHUP | POLLERR)))
			guest_reads(guest);
		if (runs(guest) && guest->out_len)
			guest_writes(guest);
		if (runs(guest)) {
			guestsim_tick(guest->sim, now_ms());
			guestsim_run(guest->sim, now_ms());
		}
	}
}

void wire_turns_for(struct wire *wire, int ms)
{
	uint64_t end = now_ms() + (uint64_t)ms;

	do {
		uint64_t now = now_ms();
		wire_turn(wire, now < end ? (int)(end - now) + 1 : 0);
	} while (now_ms() < end);
}

void wire_start_with(struct wire *wire, const char *line, int fd)
{
	memset(wire, 0, sizeof(*wire));
	for (unsigned n = 0; n < WIRE_GUESTS_MAX; n++)
		wire->guests[n].fd = -1;
	signal(SIGPIPE, SIG_IGN);
	process_place_make(&wire->place);
	wire->place.inherited = fd;
	process_start(&wire->process, &wire->place, line);
}

void wire_start(struct wire *wire, const char *line)
{
	wire_start_with(wire, line, -1);
}

void wire_finish(struct wire *wire)
{
	for (unsigned n = 0; n < WIRE_GUESTS_MAX; n++) {
		struct wire_guest *guest = &wire->guests[n];
		wire_drop_guest(wire, n);
		if (guest->sim)
			ck_assert_msg(guestsim_faults_sum(guest->sim) == 0, "guest %u: %s", n,
				      guestsim_fault_text(guest->sim));
		guestsim_free(guest->sim);
		free(guest->in);
		free(guest->out);
	}
	for (unsigned i = 0; i < wire->children_n; i++) {
		kill(wire->children[i], SIGKILL);
		waitpid(wire->children[i], NULL, 0);
	}
	if (wire->process.pid) {
		kill(wire->process.pid, SIGTERM);
		process_finish(&wire->process);
		ck_assert_msg(wire->process.status == 0, "ended with %d: %s", wire->process.status,
			      wire->process.err_text);
	}
	process_place_remove(&wire->place);
}

unsigned long wire_cpu_ticks(const struct wire *wire)
{
	unsigned long user = 0, system = 0;
	char path[64], text[1024], *at;
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)wire->process.pid);
	file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = '\0';
	at = strrchr(text, ')'); /* proc(5): fields 14 and 15, counted from behind the name */
	ck_assert_ptr_nonnull(at);
	ck_assert_int_eq(
	    sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system),
	    2);
	return user + system;
}

/* ---- the host's side ------------------------------------------------------------------------- */

struct place {
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
};

static struct place loopback(uint16_t port)
{
	struct place place = {.len = is_v6 ? sizeof(place.in6) : sizeof(place.in)};

	if (is_v6)
		place.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
						  .sin6_port = htons(port),
						  .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	else
		place.in = (struct sockaddr_in){.sin_family = AF_INET,
						.sin_port = htons(port),
						.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return place;
}

static int bound(int type, uint16_t port, uint16_t *ret_port)
{
	struct place place = loopback(port);
	int fd = socket(place.any.sa_family, type | SOCK_CLOEXEC, 0), one = 1;

	ck_assert_int_ge(fd, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ck_assert_int_eq(bind(fd, &place.any, place.len), 0);
	ck_assert_int_eq(getsockname(fd, &place.any, &place.len), 0);
	*ret_port = ntohs(is_v6 ? place.in6.sin6_port : place.in.sin_port);
	return fd;
}

static int unblocked(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

int wire_listen(uint16_t port, uint16_t *ret_port)
{
	int fd = bound(SOCK_STREAM, port, ret_port);

	ck_assert_int_eq(listen(fd, 4096), 0);
	return unblocked(fd);
}

int wire_udp(uint16_t *ret_port)
{
	return unblocked(bound(SOCK_DGRAM, 0, ret_port));
}

uint16_t wire_free_port(int type)
{
	uint16_t port;

	close(bound(type, 0, &port));
	return port;
}

int wire_connect(uint16_t port)
{
	struct place place = loopback(port);
	int fd = socket(place.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, &place.any, place.len), 0);
	return unblocked(fd);
}

int wire_accept(int listener)
{
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

long wire_read(int fd, void *bytes, size_t len)
{
	ssize_t n = recv(fd, bytes, len, MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

static void echo_stream(int fd)
{
	static char bytes[65536];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		for (ssize_t at = 0, done; at < n; at += done) {
			done = write(fd, bytes + at, (size_t)(n - at));
			if (done <= 0)
				_exit(0);
		}
	}
	shutdown(fd, SHUT_WR);
	_exit(0);
}

/* A child that serves until it is killed. */
static pid_t become_server(struct wire *wire)
{
	pid_t pid;

	ck_assert_uint_lt(wire->children_n, WIRE_CHILDREN_MAX);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		wire->children[wire->children_n++] = pid;
	return pid;
}

uint16_t wire_tcp_echo(struct wire *wire)
{
	uint16_t port;
	int listener = bound(SOCK_STREAM, 0, &port);

	ck_assert_int_eq(listen(listener, 1024), 0);
	if (become_server(wire) == 0) {
		signal(SIGCHLD, SIG_IGN);
		for (;;) {
			int fd = accept(listener, NULL, NULL);
			if (fd >= 0 && fork() == 0)
				echo_stream(fd);
			close(fd);
		}
	}
	close(listener);
	return port;
}

uint16_t wire_udp_echo(struct wire *wire)
{
	static char bytes[65536];
	uint16_t port;
	int fd = bound(SOCK_DGRAM, 0, &port);

	if (become_server(wire) == 0) {
		for (;;) {
			struct sockaddr_storage from;
			socklen_t len = sizeof(from);
			ssize_t n =
			    recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &len);
			if (n >= 0)
				sendto(fd, bytes, (size_t)n, 0, (struct sockaddr *)&from, len);
		}
	}
	close(fd);
	return port;
}

struct sim_tcp *wire_connect_out(struct wire *wire, unsigned n, uint16_t port, uint16_t to_port,
				 const struct sim_tcp_setup *setup)
{
	const struct endpoint to = {wire_gateway(), to_port};

	return sim_tcp_connect(wire->guests[n].sim, port, &to, setup);
}
