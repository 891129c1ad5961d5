/* flood: datagrams at a given rate, and how many of them came.
 *
 *   flood serve ADDRESS                port 7100; one client at a time
 *   flood up ADDRESS RATE MS           sends RATE datagrams a second
 *   flood down ADDRESS RATE MS         has them sent
 *   flood mirror ADDRESS RATE MS       sends them to what sends them back, and counts those
 *   flood trips ADDRESS COUNT          COUNT one-byte round trips to such a one
 *
 * Each but serve prints one line of JSON: datagrams sent and arrived, and how long the sending
 * took. Payloads are 1400 bytes. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	PORT = 7100,
	PAYLOAD_LEN = 1400,
	BURST = 32, /* datagrams in a system call */
	NAP_US = 50,
	SOCKET_BUFFER = 8 << 20, /* bytes: no datagram is to be lost at the two ends */
	TRIES = 20,
	ANSWER_MS = 100,
	SETTLE_US = 150 * 1000, /* for what is under way */
	SILENCE_MS = 500,       /* after which no more will come */
	RATE_MAX = 10000000,
	MS_MAX = 10000,
};

enum kind { BEGIN = 0x666c6401, BEGUN, DATA, COUNT, COUNTED, SEND, SENT };

struct msg {
	uint32_t kind, id;
	uint32_t a, b; /* COUNTED: arrived; SEND: rate, ms; SENT: sent, took us */
};

struct burst {
	uint8_t bytes[BURST][PAYLOAD_LEN];
	struct iovec iov[BURST];
	struct mmsghdr msg[BURST];
};

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

static int udp_socket(const char *address, struct sockaddr_in *ret_name)
{
	int size = SOCKET_BUFFER, fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	errno = EINVAL;
	if (fd < 0 || inet_pton(AF_INET, address, &name.sin_addr) != 1)
		die(address);
	/* Root of the namespace may exceed the machine's limit. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	*ret_name = name;
	return fd;
}

static struct burst *burst_new(void)
{
	struct burst *burst = calloc(1, sizeof(*burst));

	if (!burst)
		die("memory");
	for (int i = 0; i < BURST; i++) {
		burst->iov[i] = (struct iovec){burst->bytes[i], PAYLOAD_LEN};
		burst->msg[i].msg_hdr.msg_iov = &burst->iov[i];
		burst->msg[i].msg_hdr.msg_iovlen = 1;
	}
	return burst;
}

/* How many datagrams of this flood lie in the socket; it is emptied. */
static uint32_t returned(int fd, struct burst *burst, uint32_t id)
{
	uint32_t count = 0;
	int n;

	do {
		n = recvmmsg(fd, burst->msg, BURST, MSG_DONTWAIT, NULL);
		for (int i = 0; i < n; i++) {
			struct msg in;
			memcpy(&in, burst->bytes[i], sizeof(in));
			count += in.kind == DATA && in.id == id;
		}
	} while (n == BURST);
	return count;
}

/* Sends what 'want' says to 'to', or, when that is NULL, to where 'fd' is connected. What comes
 * back meanwhile is counted when the caller asks for that. */
static struct msg flood(int fd, const struct msg *want, struct sockaddr_in *to,
			uint32_t *ret_returned)
{
	struct burst *back = ret_returned ? burst_new() : NULL;
	struct burst *burst = burst_new();
	struct msg data = {.kind = DATA, .id = want->id};
	uint64_t total = (uint64_t)want->a * want->b / 1000, begin = now_us(), sent = 0;

	for (int i = 0; i < BURST; i++) {
		memcpy(burst->bytes[i], &data, sizeof(data));
		burst->msg[i].msg_hdr.msg_name = to;
		burst->msg[i].msg_hdr.msg_namelen = to ? sizeof(*to) : 0;
	}
	while (sent < total) {
		uint64_t due = (now_us() - begin) * want->a / 1000000;
		due = due < total ? due : total;
		if (back)
			*ret_returned += returned(fd, back, want->id);
		if (due <= sent) {
			usleep(NAP_US);
			continue;
		}
		unsigned n = due - sent < BURST ? (unsigned)(due - sent) : BURST;
		int done = sendmmsg(fd, burst->msg, n, 0);
		sent += done > 0 ? (unsigned)done : n; /* refused: lost */
	}
	free(burst);
	free(back);
	return (struct msg){SENT, want->id, (uint32_t)sent, (uint32_t)(now_us() - begin)};
}

/* ---- serve ---- */

static void serve_one(int fd, const struct msg *in, struct sockaddr_in *from, struct msg *session)
{
	struct msg out = {.id = in->id};

	if (in->kind == BEGIN) {
		*session = (struct msg){.id = in->id};
		out.kind = BEGUN;
	} else if (in->kind == COUNT && in->id == session->id) {
		out.kind = COUNTED;
		out.a = session->a;
	} else if (in->kind == SEND && in->id != session->id && in->a <= RATE_MAX &&
		   in->b <= MS_MAX) {
		*session = (struct msg){.id = in->id}; /* asked again: it is under way */
		out = flood(fd, in, from, NULL);
		usleep(SETTLE_US);
	} else {
		return;
	}
	sendto(fd, &out, sizeof(out), 0, (struct sockaddr *)from, sizeof(*from));
}

static _Noreturn void serve(const char *address)
{
	struct burst *burst = burst_new();
	struct sockaddr_in name, from[BURST];
	struct msg session = {0};
	int fd = udp_socket(address, &name);

	if (bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		die("bind");
	for (;;) {
		for (int i = 0; i < BURST; i++) {
			burst->msg[i].msg_hdr.msg_name = &from[i];
			burst->msg[i].msg_hdr.msg_namelen = sizeof(from[i]);
		}
		int n = recvmmsg(fd, burst->msg, BURST, MSG_WAITFORONE, NULL);
		for (int i = 0; i < n; i++) {
			struct msg in;
			memcpy(&in, burst->bytes[i], sizeof(in));
			if (in.kind == DATA)
				session.a += in.id == session.id;
			else
				serve_one(fd, &in, &from[i], &session);
		}
	}
}

/* ---- the client ---- */

/* Asks until there is an answer of that kind; false when there is none. */
static bool ask(int fd, struct msg question, enum kind kind, struct msg *ret)
{
	struct msg in;

	for (int i = 0; i < TRIES; i++) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		send(fd, &question, sizeof(question), 0);
		while (poll(&wait, 1, ANSWER_MS) > 0) {
			if (recv(fd, &in, sizeof(in), 0) == sizeof(in) && in.kind == kind &&
			    in.id == question.id) {
				*ret = in;
				return true;
			}
		}
	}
	return false;
}

static void print(const struct msg *sent, uint32_t arrived)
{
	printf("{\"sent\": %" PRIu32 ", \"arrived\": %" PRIu32 ", \"ms\": %.1f}\n", sent->a,
	       arrived, sent->b / 1e3);
}

static int up(int fd, struct msg want)
{
	struct msg answer, sent, question = {.kind = BEGIN, .id = want.id};

	errno = ETIMEDOUT;
	if (!ask(fd, question, BEGUN, &answer))
		die("begin");
	sent = flood(fd, &want, NULL, NULL);
	usleep(SETTLE_US);
	question.kind = COUNT;
	errno = ETIMEDOUT;
	if (!ask(fd, question, COUNTED, &answer))
		die("count");
	print(&sent, answer.a);
	return 0;
}

static int down(int fd, struct msg want)
{
	struct burst *burst = burst_new();
	struct msg sent = {.a = (uint32_t)((uint64_t)want.a * want.b / 1000), .b = want.b * 1000};
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	uint32_t arrived = 0;
	bool is_over = false;

	send(fd, &want, sizeof(want), 0);
	for (int tries = 1; !is_over;) {
		if (poll(&wait, 1, SILENCE_MS) == 0) {
			if (arrived || tries++ == TRIES)
				break;
			send(fd, &want, sizeof(want), 0);
			continue;
		}
		int n = recvmmsg(fd, burst->msg, BURST, MSG_DONTWAIT, NULL);
		for (int i = 0; i < n; i++) {
			struct msg in;
			memcpy(&in, burst->bytes[i], sizeof(in));
			arrived += in.kind == DATA && in.id == want.id;
			if (in.kind == SENT && in.id == want.id) {
				sent = in;
				is_over = true;
			}
		}
	}
	free(burst);
	print(&sent, arrived);
	return 0;
}

static int mirror(int fd, struct msg want)
{
	struct burst *burst = burst_new();
	uint32_t back = 0;
	struct msg sent = flood(fd, &want, NULL, &back);

	usleep(SETTLE_US);
	back += returned(fd, burst, want.id);
	free(burst);
	print(&sent, back);
	return 0;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int trips(int fd, int count)
{
	uint64_t *ns = calloc((size_t)count, sizeof(*ns));

	if (!ns)
		die("memory");
	for (int i = 0; i < count; i++) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		char byte = 'x';
		uint64_t begin = now_ns();
		errno = ETIMEDOUT;
		if (send(fd, &byte, 1, 0) != 1 || poll(&wait, 1, SILENCE_MS) != 1 ||
		    recv(fd, &byte, 1, 0) != 1)
			die("round trip");
		ns[i] = now_ns() - begin;
	}
	qsort(ns, (size_t)count, sizeof(*ns), compare_u64);
	printf("{\"count\": %d, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", count,
	       (double)ns[count / 2] / 1e3, (double)ns[(size_t)count * 99 / 100] / 1e3);
	free(ns);
	return 0;
}

static int usage(void)
{
	fputs("usage: flood serve ADDRESS | up|down|mirror ADDRESS RATE MS | trips ADDRESS COUNT\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	bool is_trips = argc == 4 && strcmp(what, "trips") == 0;
	struct msg want = {.kind = SEND, .id = (uint32_t)now_us() ^ (uint32_t)getpid() << 20};
	struct sockaddr_in server;

	if (argc == 3 && strcmp(what, "serve") == 0)
		serve(argv[2]);
	if (argc == 4 || argc == 5)
		want.a = (uint32_t)atoi(argv[3]);
	if (argc == 5)
		want.b = (uint32_t)atoi(argv[4]);
	if (want.a == 0 || want.a > RATE_MAX || (!is_trips && (want.b == 0 || want.b > MS_MAX)))
		return usage();
	int fd = udp_socket(argv[2], &server);

	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0)
		die("connect");
	if (is_trips)
		return trips(fd, (int)want.a);
	if (strcmp(what, "up") == 0)
		return up(fd, want);
	if (strcmp(what, "down") == 0)
		return down(fd, want);
	return strcmp(what, "mirror") == 0 ? mirror(fd, want) : usage();
}
