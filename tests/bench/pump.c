/* pump: one TCP stream, looked at by its reader: is every byte right, and how long did nothing
 * come?
 *
 *   pump serve ADDRESS                      port 7300; one client at a time
 *   pump up|down ADDRESS MS                 for that long
 *   pump up-stop|down-stop ADDRESS MIB MS   that much; after a quarter the reader stops for MS
 *
 * All but serve print one line of JSON: what the reader saw. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	PORT = 7300,
	PATTERN_LEN = 1000003, /* a prime: no segment and no buffer is a multiple of it */
	CHUNK_LEN = 256 << 10,
	MIB = 1 << 20,
	PATIENCE_S = 15,
	SLICE_S = 1,      /* of waiting for data, or for room */
	ENOUGH_MS = 8000, /* beside the stop, for a stream of a given length */
	MS_MAX = 600 * 1000,
};

/* What a client asks for; both ends are this machine's, so the bytes are in its order. */
struct want {
	uint64_t len;     /* 0: as much as 'ms' admits */
	uint32_t ms;      /* how long to send; or how long the reader stops */
	uint32_t is_down; /* the server sends */
};

struct seen {
	uint64_t bytes, wrong;
	uint64_t us, gap_us;             /* from the first byte to the last; longest without any */
	uint64_t after_us, after_gap_us; /* the same once the reader reads on */
	uint64_t after_bytes;
};

struct pump {
	uint8_t *pattern; /* CHUNK_LEN longer than PATTERN_LEN, so that no chunk wraps around */
	uint8_t *chunk;
};

static void die(const char *what)
{
	printf("{\"error\": \"%s: %s\"}\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static struct pump pump_new(void)
{
	struct pump p = {malloc(PATTERN_LEN + CHUNK_LEN), malloc(CHUNK_LEN)};
	uint32_t state = 1;

	if (!p.pattern || !p.chunk)
		die("memory");
	for (size_t i = 0; i < PATTERN_LEN; i++) {
		state = state * 1664525 + 1013904223;
		p.pattern[i] = (uint8_t)(state >> 24);
	}
	memcpy(p.pattern + PATTERN_LEN, p.pattern, CHUNK_LEN);
	return p;
}

/* ---- both ends ---- */

static void wait_at_most(int fd, int seconds)
{
	struct timeval patience = {.tv_sec = seconds};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

/* How long both ends go on at most; what a slow way still holds then is left there. */
static uint64_t most_us(const struct want *want)
{
	return (want->len ? want->ms + ENOUGH_MS : want->ms) * (uint64_t)1000;
}

static void send_stream(const struct pump *p, int fd, const struct want *want)
{
	uint64_t end = now_us() + most_us(want), sent = 0;

	wait_at_most(fd, SLICE_S);
	while (now_us() < end && (!want->len || sent < want->len)) {
		uint64_t left = want->len ? want->len - sent : CHUNK_LEN;
		ssize_t n = send(fd, p->pattern + sent % PATTERN_LEN,
				 left < CHUNK_LEN ? (size_t)left : CHUNK_LEN, 0);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return;
		sent += n > 0 ? (uint64_t)n : 0;
	}
	shutdown(fd, SHUT_WR);
}

static uint64_t wrong_bytes(const struct pump *p, uint64_t at, size_t len)
{
	const uint8_t *right = p->pattern + at % PATTERN_LEN;
	uint64_t n = 0;

	if (memcmp(p->chunk, right, len) == 0)
		return 0;
	for (size_t i = 0; i < len; i++)
		n += p->chunk[i] != right[i];
	return n;
}

/* Reads on after the stop at 'on', or, when that is 0, has not stopped. */
static void note(struct seen *seen, uint64_t now, uint64_t gap, uint64_t on, size_t len)
{
	seen->bytes += len;
	seen->gap_us = gap > seen->gap_us ? gap : seen->gap_us;
	if (!on)
		return;
	seen->after_bytes += len;
	seen->after_us = now - on;
	seen->after_gap_us = gap > seen->after_gap_us ? gap : seen->after_gap_us;
}

/* Reads to the end, or as long as is meant. */
static struct seen receive_stream(const struct pump *p, int fd, const struct want *want)
{
	struct seen seen = {0};
	uint64_t begin = now_us(), first = 0, last = 0, on = 0, now = begin;

	wait_at_most(fd, SLICE_S);
	while (now - begin < most_us(want)) {
		ssize_t n = recv(fd, p->chunk, CHUNK_LEN, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			break;
		now = now_us();
		if (n < 0)
			continue; /* the pause goes on */
		first = first ? first : now;
		seen.wrong += wrong_bytes(p, seen.bytes, (size_t)n);
		note(&seen, now, last ? now - last : 0, on, (size_t)n);
		last = now;
		if (!on && want->len && seen.bytes >= want->len / 4) {
			usleep((useconds_t)want->ms * 1000);
			last = on = now_us();
		}
	}
	if (!want->len || seen.bytes < want->len) /* a pause at the end is one, too */
		note(&seen, now, now - (last ? last : begin), on, 0);
	seen.us = now - (first ? first : begin);
	return seen;
}

static bool all(ssize_t n, size_t len)
{
	return n == (ssize_t)len;
}

static struct sockaddr_in server_name(const char *address)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	errno = EINVAL;
	if (inet_pton(AF_INET, address, &name.sin_addr) != 1)
		die(address);
	return name;
}

/* ---- serve ---- */

static void serve_one(const struct pump *p, int fd)
{
	struct want want;

	wait_at_most(fd, PATIENCE_S);
	if (!all(recv(fd, &want, sizeof(want), MSG_WAITALL), sizeof(want)) || want.ms > MS_MAX)
		return;
	if (want.is_down) {
		send_stream(p, fd, &want);
	} else {
		struct seen seen = receive_stream(p, fd, &want);
		send(fd, &seen, sizeof(seen), 0);
	}
	wait_at_most(fd, SLICE_S);
	while (recv(fd, p->chunk, CHUNK_LEN, want.is_down ? 0 : MSG_TRUNC) > 0)
		continue; /* until the other has it all, and ends */
}

static _Noreturn void serve(const struct pump *p, const char *address)
{
	struct sockaddr_in name = server_name(address);
	int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (const struct sockaddr *)&name, sizeof(name)) < 0 ||
	    listen(listener, 8) < 0)
		die("listen");
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			continue;
		serve_one(p, fd);
		close(fd);
	}
}

/* ---- the client ---- */

static double gbit_s(uint64_t bytes, uint64_t us)
{
	return us ? (double)bytes * 8 / 1e3 / (double)us : 0;
}

static int run(const struct pump *p, const char *address, const struct want *want)
{
	struct sockaddr_in name = server_name(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct seen seen;

	wait_at_most(fd, PATIENCE_S);
	if (connect(fd, (const struct sockaddr *)&name, sizeof(name)) < 0 ||
	    !all(send(fd, want, sizeof(*want), 0), sizeof(*want)))
		die("connect");
	if (want->is_down) {
		seen = receive_stream(p, fd, want);
	} else {
		send_stream(p, fd, want);
		wait_at_most(fd, PATIENCE_S);
		if (!all(recv(fd, &seen, sizeof(seen), MSG_WAITALL), sizeof(seen)))
			die("upload");
	}
	printf("{\"bytes\": %" PRIu64 ", \"wrong\": %" PRIu64 ", ", seen.bytes, seen.wrong);
	if (want->len)
		printf("\"late_mib\": %.1f, ", (double)(want->len - seen.bytes) / MIB);
	if (seen.after_us)
		printf("\"after_gbit_s\": %.3f, \"after_gap_ms\": %.1f, ",
		       gbit_s(seen.after_bytes, seen.after_us), (double)seen.after_gap_us / 1e3);
	printf("\"gbit_s\": %.3f, \"gap_ms\": %.1f}\n", gbit_s(seen.bytes, seen.us),
	       (double)seen.gap_us / 1e3);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	struct want want = {.is_down = strncmp(what, "down", 4) == 0};
	const char *stop = what + (want.is_down ? 4 : 2);
	struct pump p = pump_new();

	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(what, "serve") == 0)
		serve(&p, argv[2]);
	if (argc == 5)
		want.len = (uint64_t)atoi(argv[3]) * MIB;
	if (argc > 3)
		want.ms = (uint32_t)atoi(argv[argc - 1]);
	if ((strncmp(what, "up", 2) != 0 && !want.is_down) || want.ms == 0 || want.ms > MS_MAX ||
	    strcmp(stop, argc == 5 ? "-stop" : "") != 0) {
		fputs("usage: pump serve ADDRESS | up|down ADDRESS MS | "
		      "up-stop|down-stop ADDRESS MIB MS\n",
		      stderr);
		return 2;
	}
	return run(&p, argv[2], &want);
}
