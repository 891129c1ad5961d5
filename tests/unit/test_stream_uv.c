#include "stack/link/stream_uv.h"

#include "stack/base/log.h"
#include "stack/base/rng.h"
#include "stack/base/wire.h"
#include "stack/link/stream_codec.h"
#include "stack/link/stream_out_uv.h"

#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define GUESTS_MAX 40
#define HELD_MAX 4096

static const struct mac gateway = {{0x52, 0x55, 0x0a, 0x00, 0x02, 0x02}};
static const struct mac broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/* What the gateway got: the frames it keeps a reference to. */
struct held {
	struct frame_owner *owner;
	const uint8_t *bytes;
	uint32_t len, seed;
};

struct bed {
	uv_loop_t loop;
	struct lan *lan;
	struct stream_uv *s;
	char dir[64], path[96];
	int fds_before;

	struct port *ports[GUESTS_MAX]; /* attached, by id - 1 */
	unsigned attached, gone, batches, writable;
	bool close_when_gone;

	unsigned frames;
	uint64_t bytes;
	unsigned hold_every; /* 0: never */
	struct held held[HELD_MAX];
	unsigned held_n;

	unsigned lines;
	char line[2048]; /* the last one */
};

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static struct mac M(unsigned n) {
	return (struct mac){{0x52, 0x54, 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
}

/* The byte a frame with this seed has at this place, behind its header. */
static uint8_t
pattern(uint32_t seed, size_t at)
{
	return (uint8_t)(seed * 31 + at * 7 + (at >> 8));
}

/* A frame of 'len' bytes, at least 18: the first four after the header are its seed. */
static void frame_fill(uint8_t *bytes, size_t len, struct mac dst, struct mac src)
{
	static uint32_t next_seed;
	uint32_t seed = ++next_seed;
	struct wire_out out = wire_out(bytes, len);

	wire_put_bytes(&out, dst.b, 6);
	wire_put_bytes(&out, src.b, 6);
	wire_put_u16(&out, 0x88b5);
	wire_put_u32(&out, seed);
	for (size_t i = wire_len(&out); i < len; i++)
		bytes[i] = pattern(seed, i);
	ck_assert(!out.bad);
}

static uint32_t frame_check(const uint8_t *bytes, size_t len)
{
	size_t good = 18;

	ck_assert_uint_ge(len, good);
	struct wire_in in = wire_in(bytes + 14, 4);
	uint32_t seed = wire_get_u32(&in);
	while (good < len && bytes[good] == pattern(seed, good))
		good++;
	ck_assert_msg(good == len, "byte %zu of %zu is wrong", good, len);
	return seed;
}

static void gateway_input(void *ctx, struct port *from, const struct frame *frame)
{
	struct bed *bed = ctx;

	(void)from;
	ck_assert_uint_eq(frame->iov_n, 1);
	ck_assert_uint_eq(frame->iov[0].iov_len, frame->len);
	uint32_t seed = frame_check(frame->iov[0].iov_base, frame->len);
	bed->frames++;
	bed->bytes += frame->len;
	if (bed->hold_every && bed->frames % bed->hold_every == 0 && bed->held_n < HELD_MAX) {
		frame_owner_ref(frame->owner);
		bed->held[bed->held_n++] =
		    (struct held){frame->owner, frame->iov[0].iov_base, frame->len, seed};
	}
}

/* What is held must not have changed meanwhile. */
static void release_held(struct bed *bed)
{
	for (unsigned i = 0; i < bed->held_n; i++) {
		ck_assert_uint_eq(frame_check(bed->held[i].bytes, bed->held[i].len),
				  bed->held[i].seed);
		frame_owner_unref(bed->held[i].owner);
	}
	bed->held_n = 0;
}

static void on_attached(void *ctx, struct port *port)
{
	struct bed *bed = ctx;
	ck_assert_uint_le(port->id, GUESTS_MAX);
	ck_assert_ptr_null(bed->ports[port->id - 1]); /* ids are never reused */
	bed->ports[port->id - 1] = port;
	bed->attached++;
}

static void on_gone(void *ctx, struct port *port)
{
	struct bed *bed = ctx;
	ck_assert_ptr_eq(bed->ports[port->id - 1], port);
	bed->gone++;
	if (bed->close_when_gone) {
		struct stream_uv *s = bed->s;
		bed->s = NULL;
		stream_uv_close(s);
	}
}

static void on_batch_end(void *ctx)
{
	((struct bed *)ctx)->batches++;
}

static void on_writable(void *ctx, struct port *port)
{
	struct bed *bed = ctx;
	ck_assert(!port->blocked);
	bed->writable++;
}

static void take_line(void *ctx, enum log_level level, const char *line)
{
	struct bed *bed = ctx;
	(void)level;
	bed->lines++;
	snprintf(bed->line, sizeof(bed->line), "%s", line);
}

static struct bed *bed_new(unsigned ports_max)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct lan_config config = {.gateway_mac = gateway,
				    .ports_max = ports_max,
				    .macs_max = 256,
				    .mac_age_ms = 300000,
				    .gateway_input = gateway_input,
				    .ctx = bed};
	struct stream_uv_events events = {.attached = on_attached,
					  .gone = on_gone,
					  .batch_end = on_batch_end,
					  .writable = on_writable,
					  .ctx = bed};

	/* The first loop of a process opens what libuv never closes. */
	ck_assert_int_eq(uv_loop_init(&bed->loop), 0);
	ck_assert_int_eq(uv_loop_close(&bed->loop), 0);
	bed->fds_before = open_fds();
	strcpy(bed->dir, "/tmp/lwnat-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(bed->dir));
	snprintf(bed->path, sizeof(bed->path), "%s/sock", bed->dir);
	log_set_sink(take_line, bed);
	ck_assert_int_eq(uv_loop_init(&bed->loop), 0);
	ck_assert_int_eq(lan_new(&bed->lan, &config), 0);
	ck_assert_int_eq(stream_uv_new(&bed->s, &bed->loop, bed->lan, &events), 0);
	return bed;
}

static void run(struct bed *bed)
{
	for (unsigned i = 0; i < 5; i++)
		uv_run(&bed->loop, UV_RUN_NOWAIT);
}

/* Ends with the proof that nothing is left: no handle, no descriptor, no file. */
static void bed_free(struct bed *bed)
{
	stream_uv_close(bed->s);
	uv_run(&bed->loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&bed->loop), 0);
	ck_assert_uint_eq(bed->gone, bed->attached);
	lan_free(bed->lan);
	release_held(bed);
	ck_assert_int_eq(open_fds(), bed->fds_before);
	ck_assert_msg(rmdir(bed->dir) == 0, "%s is not empty", bed->dir);
	log_set_sink(NULL, NULL);
	free(bed);
}

/* An attached guest; the test's end of its wire. */
static int guest(struct bed *bed)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(stream_uv_adopt(bed->s, fds[0]), 0);
	ck_assert_int_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	return fds[1];
}

static int connect_to(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	ck_assert_int_ge(fd, 0);
	strcpy(name.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

static void send_all(struct bed *bed, int fd, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		if (n < 0)
			ck_assert_int_eq(errno, EAGAIN);
		else {
			p += n;
			len -= (size_t)n;
		}
		run(bed);
	}
}

static size_t put_frame(uint8_t *bytes, size_t frame_len, struct mac dst, struct mac src)
{
	struct wire_out out = wire_out(bytes, 4);

	wire_put_u32(&out, (uint32_t)frame_len);
	frame_fill(bytes + 4, frame_len, dst, src);
	return 4 + frame_len;
}

static void send_frame(struct bed *bed, int fd, size_t frame_len, struct mac dst, struct mac src)
{
	uint8_t *bytes = malloc(4 + frame_len);

	send_all(bed, fd, bytes, put_frame(bytes, frame_len, dst, src));
	free(bytes);
}

/* A guest's memory of what it has read. */
struct reader {
	int fd;
	size_t have;
	unsigned frames;
	uint64_t bytes;
	uint32_t last_seed;
	uint8_t buf[1 << 20];
};

static struct reader *reader_new(int fd)
{
	struct reader *r = calloc(1, sizeof(*r));
	r->fd = fd;
	return r;
}

/* Reads what is there, at most 'max' bytes. Every frame must be whole, and in order. */
static size_t reader_take(struct reader *r, size_t max)
{
	size_t room = sizeof(r->buf) - r->have, at = 0;
	ssize_t n = recv(r->fd, r->buf + r->have, max < room ? max : room, MSG_DONTWAIT);
	uint32_t len;

	if (n <= 0)
		return 0;
	r->have += (size_t)n;
	enum stream_verdict verdict;
	while ((verdict = stream_next(r->buf + at, r->have - at, &len)) == STREAM_FRAME) {
		uint32_t seed = frame_check(r->buf + at + 4, len > 60 ? len : 18);
		ck_assert_uint_gt(seed, r->last_seed);
		r->last_seed = seed;
		r->frames++;
		r->bytes += len;
		at += 4 + len;
	}
	ck_assert_int_eq(verdict, STREAM_NEED_MORE);
	memmove(r->buf, r->buf + at, r->have - at);
	r->have -= at;
	return (size_t)n;
}

static void reader_drain(struct bed *bed, struct reader *r)
{
	do {
		while (reader_take(r, sizeof(r->buf)))
			;
		run(bed);
	} while (reader_take(r, sizeof(r->buf)));
}

START_TEST(test_frames_arrive_whole_however_they_are_cut)
{
	struct bed *bed = bed_new(4);
	int fd = guest(bed);
	uint8_t bytes[3 * 64];
	size_t len = 0;

	for (unsigned i = 0; i < 3; i++)
		len += put_frame(bytes + len, 18 + i * 11, gateway, M(1));
	for (size_t cut = 0; cut <= len; cut++) {
		unsigned before = bed->frames;
		send_all(bed, fd, bytes, cut);
		send_all(bed, fd, bytes + cut, len - cut);
		ck_assert_uint_eq(bed->frames, before + 3);
	}
	for (size_t i = 0; i < len; i++)
		send_all(bed, fd, bytes + i, 1);
	ck_assert_uint_eq(bed->frames, (len + 2) * 3);
	ck_assert_uint_eq(bed->ports[0]->counters.frames_from_guest, bed->frames);
	ck_assert_uint_eq(bed->ports[0]->counters.bytes_from_guest, bed->bytes);
	ck_assert_uint_gt(bed->batches, 0);
	close(fd);
	run(bed);
	ck_assert_uint_eq(bed->gone, 1);
	bed_free(bed);
}
END_TEST

START_TEST(test_random_frames_survive_random_cuts_and_held_references)
{
	struct bed *bed = bed_new(4);
	int fd = guest(bed);
	size_t room = 4 << 20, len = 0, at = 0;
	uint8_t *bytes = malloc(room);
	unsigned frames = 0;
	struct rng rng;

	rng_init_fixed(&rng, 11);
	while (len + 4 + FRAME_LEN_MAX <= room) {
		size_t frame_len = 18 + (rng_below(&rng, 4) ? rng_below(&rng, 1500)
							    : rng_below(&rng, FRAME_LEN_MAX - 17));
		len += put_frame(bytes + len, frame_len, gateway, M(1));
		frames++;
	}
	while (at < len) {
		size_t step = rng_below(&rng, 3) ? rng_below(&rng, 200000) : rng_below(&rng, 20);
		step = len - at < step ? len - at : step;
		bed->hold_every = rng_below(&rng, 4);
		send_all(bed, fd, bytes + at, step);
		at += step;
		if (rng_below(&rng, 8) == 0)
			release_held(bed);
	}
	ck_assert_uint_eq(bed->frames, frames);
	ck_assert_uint_eq(bed->gone, 0);
	bed->hold_every = 1;
	send_frame(bed, fd, 1000, gateway, M(1)); /* held until after the end of everything */
	close(fd);
	free(bytes);
	bed_free(bed);
}
END_TEST

START_TEST(test_the_longest_frame_passes_between_guests)
{
	struct bed *bed = bed_new(4);
	int a = guest(bed), b = guest(bed);
	struct reader *r = reader_new(b);

	send_frame(bed, b, 60, gateway, M(2));
	for (unsigned i = 0; i < 8; i++)
		send_frame(bed, a, FRAME_LEN_MAX, M(2), M(1));
	reader_drain(bed, r);
	ck_assert_uint_eq(r->frames, 8);
	ck_assert_uint_eq(r->bytes, 8ULL * FRAME_LEN_MAX);
	ck_assert_uint_eq(bed->frames, 1);
	free(r);
	close(a);
	close(b);
	bed_free(bed);
}
END_TEST

START_TEST(test_short_frames_are_padded_because_some_nics_drop_them)
{
	struct bed *bed = bed_new(4);
	int a = guest(bed), b = guest(bed);
	struct reader *r = reader_new(b);

	send_frame(bed, a, 18, broadcast, M(1));
	send_frame(bed, a, 59, broadcast, M(1));
	send_frame(bed, a, 61, broadcast, M(1));
	reader_drain(bed, r);
	ck_assert_uint_eq(r->frames, 3);
	ck_assert_uint_eq(r->bytes, 60 + 60 + 61);
	free(r);
	close(a);
	close(b);
	bed_free(bed);
}
END_TEST

START_TEST(test_many_guests_share_one_socket)
{
	struct bed *bed = bed_new(32);
	struct reader *readers[32];
	struct stat st;

	ck_assert_int_eq(stream_uv_listen(bed->s, bed->path), 0);
	ck_assert_int_eq(stream_uv_listen(bed->s, bed->path), -EALREADY);
	ck_assert_int_eq(stat(bed->path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	for (unsigned i = 0; i < 32; i++)
		readers[i] = reader_new(connect_to(bed->path));
	run(bed);
	ck_assert_uint_eq(bed->attached, 32);
	for (unsigned i = 0; i < 32; i++)
		send_frame(bed, readers[i]->fd, 200, broadcast, M(i));
	for (unsigned i = 0; i < 32; i++) {
		reader_drain(bed, readers[i]);
		ck_assert_uint_eq(readers[i]->frames, 31);
		for (unsigned j = 0; j < i; j++)
			ck_assert_str_ne(bed->ports[i]->name, bed->ports[j]->name);
	}
	ck_assert_uint_eq(bed->frames, 32);

	int extra = connect_to(bed->path); /* one more than the lan takes: turned away at once */
	run(bed);
	ck_assert_uint_eq(bed->attached, 32);
	char byte;
	ck_assert_int_eq(recv(extra, &byte, 1, 0), 0);
	close(extra);
	for (unsigned i = 0; i < 32; i++) {
		close(readers[i]->fd);
		free(readers[i]);
	}
	run(bed);
	ck_assert_uint_eq(bed->gone, 32);
	bed_free(bed);
}
END_TEST

START_TEST(test_a_guest_that_never_reads_costs_a_bounded_backlog_and_nobody_else)
{
	struct bed *bed = bed_new(4);
	int talker = guest(bed), deaf = guest(bed), fine = guest(bed);
	struct reader *r = reader_new(deaf), *r_fine = reader_new(fine);
	const unsigned frames_n = 12000;

	send_frame(bed, deaf, 60, gateway, M(2));
	send_frame(bed, fine, 60, gateway, M(3));
	for (unsigned i = 0; i < frames_n; i++) {
		send_frame(bed, talker, 1514, M(2), M(1));
		send_frame(bed, talker, 1514, M(3), M(1));
		while (reader_take(r_fine, sizeof(r_fine->buf)))
			;
	}
	ck_assert_uint_eq(r_fine->frames, frames_n);
	ck_assert(bed->ports[1]->blocked);
	ck_assert(!bed->ports[2]->blocked);
	ck_assert_uint_eq(bed->writable, 0);
	uint64_t dropped = bed->ports[1]->counters.dropped_queue_full;
	ck_assert_uint_gt(dropped, 0);

	/* It reads after all, in crumbs at first: what was not dropped is whole and in order. */
	for (unsigned i = 0; i < 500; i++) {
		reader_take(r, 1 + i * 7);
		run(bed);
	}
	reader_drain(bed, r);
	ck_assert_uint_eq(r->frames + dropped, frames_n);
	ck_assert_uint_eq(r->frames, bed->ports[1]->counters.frames_to_guest);
	ck_assert_uint_le(r->bytes, STREAM_BACKLOG_MAX + (9U << 20));
	ck_assert_uint_ge(r->bytes, STREAM_BACKLOG_MAX - 2000);
	ck_assert(!bed->ports[1]->blocked);
	ck_assert_uint_eq(bed->writable, 1);

	send_frame(bed, talker, 1514, M(2), M(1)); /* and it is a normal guest again */
	reader_drain(bed, r);
	ck_assert_uint_eq(r->frames + dropped, frames_n + 1);
	free(r);
	free(r_fine);
	close(talker);
	close(deaf);
	close(fine);
	bed_free(bed);
}
END_TEST

START_TEST(test_many_frames_of_one_turn_are_split_over_several_sends)
{
	struct bed *bed = bed_new(4);
	int fd = guest(bed);
	struct reader *r = reader_new(fd);
	struct port *port = bed->ports[0];
	static uint8_t frames[3000][100];

	/* More pieces, and more bytes of headers, than one sendmsg() takes. */
	for (unsigned i = 0; i < 3000; i++) {
		struct iovec iov[2] = {{frames[i] + 54, 20}, {frames[i] + 74, 26}};
		frame_fill(frames[i], 100, M(1), gateway);
		port->ops->send(port, frames[i], 54, iov, 2);
	}
	ck_assert(port->queued);
	port->ops->flush(port);
	ck_assert(!port->queued);
	reader_drain(bed, r);
	ck_assert_uint_eq(r->frames, 3000);
	ck_assert_uint_eq(port->counters.frames_to_guest, 3000);
	ck_assert_uint_eq(port->counters.bytes_to_guest, 300000);

	/* One header of the full frame length: it has to fit the arena. */
	static uint8_t big[FRAME_LEN_MAX];
	frame_fill(big, sizeof(big), M(1), gateway);
	port->ops->send(port, big, sizeof(big), NULL, 0);
	port->ops->flush(port);
	reader_drain(bed, r);
	ck_assert_uint_eq(r->frames, 3001);

	/* Longer than the framing allows: it would cost the guest its connection. */
	struct iovec more = {big, 1};
	port->ops->send(port, big, sizeof(big), &more, 1);
	ck_assert_uint_eq(port->counters.dropped_queue_full, 1);
	ck_assert(!port->queued);
	free(r);
	close(fd);
	bed_free(bed);
}
END_TEST

START_TEST(test_a_send_that_is_taken_in_part_goes_on_where_it_stopped)
{
	struct bed *bed = bed_new(4);
	int fd = guest(bed);
	struct reader *r = reader_new(fd);
	struct port *port = bed->ports[0];
	static uint8_t frames[7000][1514];
	unsigned sent = 0;

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0, behind = 0; i < 7000 && behind < 400; i++, sent++) {
			struct iovec iov[2] = {{frames[i] + 66, 1000}, {frames[i] + 1066, 448}};
			frame_fill(frames[i], 1514, M(1), gateway);
			port->ops->send(port, frames[i], 66, iov, 2);
			behind += port->blocked;
		}
		port->ops->flush(port);
		ck_assert(port->blocked);
		memset(frames, 0, sizeof(frames)); /* no longer referenced */
		reader_take(r, 50001);
		reader_drain(bed, r);
		ck_assert(!port->blocked);
		ck_assert_uint_eq(bed->writable, round + 1);
	}
	ck_assert_uint_eq(r->frames, sent);
	ck_assert_uint_gt(sent, 1500);
	free(r);
	close(fd);
	bed_free(bed);
}
END_TEST

START_TEST(test_half_a_frame_dies_with_its_connection)
{
	struct bed *bed = bed_new(4);
	uint8_t bytes[104];

	ck_assert_int_eq(stream_uv_listen(bed->s, bed->path), 0);
	put_frame(bytes, 100, gateway, M(1));
	for (size_t cut = 1; cut < 30; cut++) {
		int fd = connect_to(bed->path);
		send_all(bed, fd, bytes, cut);
		close(fd);
		run(bed);
		ck_assert_uint_eq(bed->gone, cut);
		ck_assert_ptr_nonnull(strstr(bed->line, "middle of a frame"));
	}
	ck_assert_uint_eq(bed->frames, 0);
	int fd = connect_to(bed->path);
	send_all(bed, fd, bytes, sizeof(bytes));
	ck_assert_uint_eq(bed->frames, 1);
	close(fd);
	bed_free(bed);
}
END_TEST

START_TEST(test_broken_framing_drops_that_port_alone)
{
	static const uint32_t lengths[] = {0, 1, 13, FRAME_LEN_MAX + 1, 0x7fffffff, 0xffffffff};
	struct bed *bed = bed_new(4);
	int good = guest(bed);

	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint8_t bytes[104 + 4 + 50] = {0};
		char text[32], byte;
		int bad = guest(bed);
		struct wire_out out = wire_out(bytes + 104, 4);
		put_frame(bytes, 100, gateway, M(2)); /* what came before still counts */
		wire_put_u32(&out, lengths[i]);
		unsigned before = bed->frames;
		send_all(bed, bad, bytes, sizeof(bytes));
		ck_assert_uint_eq(bed->frames, before + 1);
		ck_assert_uint_eq(bed->gone, i + 1);
		snprintf(text, sizeof(text), "port%u: ", i + 2);
		ck_assert_ptr_eq(strstr(bed->line, text), bed->line);
		snprintf(text, sizeof(text), " %u bytes", lengths[i]);
		ck_assert_ptr_nonnull(strstr(bed->line, text));
		ck_assert_int_eq(recv(bad, &byte, 1, 0), 0);
		close(bad);
		send_frame(bed, good, 100, gateway, M(1));
		ck_assert_uint_eq(bed->frames, before + 2);
	}
	close(good);
	bed_free(bed);
}
END_TEST

START_TEST(test_frames_for_a_port_that_breaks_in_the_same_batch_harm_nobody)
{
	struct bed *bed = bed_new(4);
	int a = guest(bed), b = guest(bed);
	struct reader *r = reader_new(b);
	uint8_t bytes[2 * 1504 + 4];

	send_frame(bed, b, 60, gateway, M(2));
	/* Queued to b by reference when a's framing breaks and its buffer goes. */
	put_frame(bytes, 1500, M(2), M(1));
	put_frame(bytes + 1504, 1500, M(2), M(1));
	memset(bytes + 3008, 0xff, 4);
	send_all(bed, a, bytes, sizeof(bytes));
	ck_assert_uint_eq(bed->gone, 1);
	reader_drain(bed, r);
	ck_assert_uint_eq(r->frames, 2);
	free(r);
	close(a);
	close(b);
	bed_free(bed);
}
END_TEST

START_TEST(test_a_guest_that_leaves_with_a_backlog_takes_it_along)
{
	struct bed *bed = bed_new(4);
	int a = guest(bed), b = guest(bed);

	send_frame(bed, b, 60, gateway, M(2));
	for (unsigned i = 0; i < 200 && !bed->ports[1]->blocked; i++)
		send_frame(bed, a, 60000, M(2), M(1));
	ck_assert(bed->ports[1]->blocked);
	uint8_t bytes[1504];
	put_frame(bytes, 1500, M(2), M(1));
	close(b);
	/* The loop may see a's frame for b before it sees that b has gone. */
	ck_assert_int_eq(send(a, bytes, sizeof(bytes), 0), sizeof(bytes));
	run(bed);
	ck_assert_uint_eq(bed->gone, 1);
	send_frame(bed, a, 100, gateway, M(1));
	ck_assert_uint_eq(bed->frames, 2);
	close(a);
	bed_free(bed);
}
END_TEST

START_TEST(test_a_lost_connection_is_noticed_by_the_loop_not_by_the_sender)
{
	struct bed *bed = bed_new(4);
	int fd = guest(bed);
	struct port *port = bed->ports[0];
	uint8_t bytes[100];
	struct iovec iov = {bytes + 54, 46};

	frame_fill(bytes, sizeof(bytes), M(1), gateway);
	close(fd);
	for (unsigned i = 0; i < 3; i++) { /* the NAT goes on as if nothing was */
		port->ops->send(port, bytes, 54, &iov, 1);
		port->ops->flush(port);
		ck_assert_uint_eq(bed->gone, 0);
		ck_assert(!port->blocked && !port->queued);
	}
	ck_assert_uint_eq(port->counters.dropped_queue_full, 2);
	run(bed);
	ck_assert_uint_eq(bed->gone, 1);
	ck_assert_ptr_nonnull(strstr(bed->line, "guest left"));
	bed_free(bed);
}
END_TEST

START_TEST(test_closing_from_within_an_event_is_safe)
{
	struct bed *bed = bed_new(4);
	int a = guest(bed), b = guest(bed);

	bed->close_when_gone = true;
	ck_assert_int_eq(stream_uv_listen(bed->s, bed->path), 0);
	send_all(bed, a, "\xff\xff\xff\xff", 4);
	ck_assert_uint_eq(bed->gone, 2);
	close(a);
	close(b);
	bed_free(bed);
}
END_TEST

START_TEST(test_a_stale_socket_file_is_replaced_and_a_live_one_is_not)
{
	struct bed *bed = bed_new(4);
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int old = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(name.sun_path, bed->path);
	ck_assert_int_eq(bind(old, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert_int_eq(listen(old, 0), 0);
	ck_assert_int_eq(stream_uv_listen(bed->s, bed->path), -EADDRINUSE);
	/* The first look has filled its queue: still live. */
	ck_assert_int_eq(stream_uv_listen(bed->s, bed->path), -EADDRINUSE);
	close(old);
	ck_assert_int_eq(stream_uv_listen(bed->s, bed->path), 0);
	int fd = connect_to(bed->path);
	run(bed);
	ck_assert_uint_eq(bed->attached, 1);
	close(fd);
	bed_free(bed);
}
END_TEST

START_TEST(test_a_path_that_is_no_socket_is_refused_and_untouched)
{
	struct bed *bed = bed_new(4);
	struct stat st;
	char text[8] = "", long_path[200];

	int file = open(bed->path, O_CREAT | O_WRONLY, 0640);
	ck_assert_int_eq(write(file, "keep", 4), 4);
	close(file);
	ck_assert_int_eq(stream_uv_listen(bed->s, bed->path), -EEXIST);
	file = open(bed->path, O_RDONLY);
	ck_assert_int_eq(read(file, text, sizeof(text)), 4);
	ck_assert_str_eq(text, "keep");
	close(file);
	unlink(bed->path);

	ck_assert_int_eq(symlink("/nonexistent/target", bed->path), 0);
	ck_assert_int_eq(stream_uv_listen(bed->s, bed->path), -EEXIST);
	ck_assert_int_eq(lstat(bed->path, &st), 0);
	unlink(bed->path);

	ck_assert_int_eq(mkdir(bed->path, 0700), 0);
	ck_assert_int_eq(stream_uv_listen(bed->s, bed->path), -EEXIST);
	rmdir(bed->path);

	memset(long_path, 'x', sizeof(long_path));
	long_path[sizeof(long_path) - 1] = '\0';
	ck_assert_int_eq(stream_uv_listen(bed->s, long_path), -ENAMETOOLONG);
	ck_assert_int_eq(stream_uv_listen(bed->s, ""), -EINVAL);
	ck_assert_int_eq(stream_uv_listen(bed->s, "/nonexistent/folder/sock"), -ENOENT);
	bed_free(bed);
}
END_TEST

START_TEST(test_a_socket_file_that_is_no_longer_ours_stays)
{
	struct bed *bed = bed_new(4);
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct stat st;

	ck_assert_int_eq(stream_uv_listen(bed->s, bed->path), 0);
	/* Kept under another name, so that its inode number cannot be given out again. */
	char moved[128];
	snprintf(moved, sizeof(moved), "%s.moved", bed->path);
	ck_assert_int_eq(rename(bed->path, moved), 0);
	int other = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(name.sun_path, bed->path);
	ck_assert_int_eq(bind(other, (struct sockaddr *)&name, sizeof(name)), 0);
	stream_uv_close(bed->s);
	run(bed);
	bed->s = NULL;
	ck_assert_int_eq(lstat(bed->path, &st), 0);
	close(other);
	unlink(bed->path);
	unlink(moved);
	bed_free(bed);
}
END_TEST

START_TEST(test_only_connected_stream_sockets_are_adopted)
{
	struct bed *bed = bed_new(4);
	int fds[2], file = open("/dev/null", O_RDWR);

	ck_assert_int_eq(stream_uv_adopt(bed->s, -1), -EBADF);
	ck_assert_int_eq(stream_uv_adopt(bed->s, file), -ENOTSOCK);
	close(file);
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(stream_uv_adopt(bed->s, fds[0]), -ENOTSOCK);
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	ck_assert_int_eq(stream_uv_adopt(bed->s, fds[0]), -ENOTSOCK);
	close(fds[0]);
	close(fds[1]);
	fds[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(stream_uv_adopt(bed->s, fds[0]), -ENOTCONN);
	close(fds[0]);
	ck_assert_uint_eq(bed->attached, 0);
	bed_free(bed);
}
END_TEST

START_TEST(test_an_inherited_tcp_connection_works_too)
{
	struct bed *bed = bed_new(4);
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(name);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&name, &len), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	int accepted = accept(listener, NULL, NULL);
	ck_assert_int_eq(stream_uv_adopt(bed->s, accepted), 0);
	ck_assert(fcntl(accepted, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(accepted, F_GETFD) & FD_CLOEXEC);

	uint8_t bytes[104];
	put_frame(bytes, 100, gateway, M(1));
	ck_assert_int_eq(send(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	while (bed->frames == 0)
		uv_run(&bed->loop, UV_RUN_ONCE);
	close(fd);
	while (bed->gone == 0)
		uv_run(&bed->loop, UV_RUN_ONCE);
	close(listener);
	bed_free(bed);
}
END_TEST

static unsigned turns;
static void count_turn(uv_prepare_t *prepare)
{
	(void)prepare;
	turns++;
}

START_TEST(test_without_descriptors_accepting_pauses_and_goes_on)
{
	struct bed *bed = bed_new(4);
	struct rlimit before, none;
	uv_prepare_t prepare;

	ck_assert_int_eq(stream_uv_listen(bed->s, bed->path), 0);
	run(bed); /* libuv opens what it wants to */
	int fd = connect_to(bed->path);
	int lowest_free = dup(fd);
	close(lowest_free);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){(rlim_t)lowest_free, before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	unsigned lines = bed->lines;
	turns = 0;
	uv_prepare_init(&bed->loop, &prepare);
	uv_prepare_start(&prepare, count_turn);
	/* Three pauses at a few turns each; a spin would take thousands. */
	uint64_t start = uv_hrtime();
	while (uv_hrtime() - start < 800000000)
		uv_run(&bed->loop, UV_RUN_ONCE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_uint_lt(turns, 50);
	ck_assert_uint_eq(bed->lines, lines + 1);
	ck_assert_uint_eq(bed->attached, 0);
	while (bed->attached == 0)
		uv_run(&bed->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&prepare, NULL);
	close(fd);
	bed_free(bed);
}
END_TEST

START_TEST(test_guests_that_come_and_go_without_end_do_not_flood_the_log)
{
	struct bed *bed = bed_new(4);

	for (unsigned i = 0; i < GUESTS_MAX; i++) {
		close(guest(bed));
		run(bed);
	}
	ck_assert_uint_eq(bed->gone, GUESTS_MAX);
	ck_assert_uint_le(bed->lines, 20);
	bed_free(bed);
}
END_TEST

START_TEST(test_guests_are_let_go_at_the_end)
{
	struct bed *bed = bed_new(4);
	int a = guest(bed), b = guest(bed);
	char byte;

	send_all(bed, a, "\0\0\0", 3);
	send_frame(bed, b, 60, gateway, M(2));
	bed->hold_every = 1;
	send_frame(bed, b, 600, gateway, M(2));
	stream_uv_close(bed->s);
	bed->s = NULL;
	ck_assert_int_eq(recv(a, &byte, 1, 0), 0);
	ck_assert_int_eq(recv(b, &byte, 1, 0), 0);
	ck_assert_uint_eq(bed->gone, 2);
	close(a);
	close(b);
	bed_free(bed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream_uv");
	TCase *tc = tcase_create("stream_uv");
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_frames_arrive_whole_however_they_are_cut);
	tcase_add_test(tc, test_random_frames_survive_random_cuts_and_held_references);
	tcase_add_test(tc, test_the_longest_frame_passes_between_guests);
	tcase_add_test(tc, test_short_frames_are_padded_because_some_nics_drop_them);
	tcase_add_test(tc, test_many_guests_share_one_socket);
	tcase_add_test(tc, test_a_guest_that_never_reads_costs_a_bounded_backlog_and_nobody_else);
	tcase_add_test(tc, test_many_frames_of_one_turn_are_split_over_several_sends);
	tcase_add_test(tc, test_a_send_that_is_taken_in_part_goes_on_where_it_stopped);
	tcase_add_test(tc, test_half_a_frame_dies_with_its_connection);
	tcase_add_test(tc, test_broken_framing_drops_that_port_alone);
	tcase_add_test(tc, test_frames_for_a_port_that_breaks_in_the_same_batch_harm_nobody);
	tcase_add_test(tc, test_a_guest_that_leaves_with_a_backlog_takes_it_along);
	tcase_add_test(tc, test_a_lost_connection_is_noticed_by_the_loop_not_by_the_sender);
	tcase_add_test(tc, test_closing_from_within_an_event_is_safe);
	tcase_add_test(tc, test_a_stale_socket_file_is_replaced_and_a_live_one_is_not);
	tcase_add_test(tc, test_a_path_that_is_no_socket_is_refused_and_untouched);
	tcase_add_test(tc, test_a_socket_file_that_is_no_longer_ours_stays);
	tcase_add_test(tc, test_only_connected_stream_sockets_are_adopted);
	tcase_add_test(tc, test_an_inherited_tcp_connection_works_too);
	tcase_add_test(tc, test_without_descriptors_accepting_pauses_and_goes_on);
	tcase_add_test(tc, test_guests_that_come_and_go_without_end_do_not_flood_the_log);
	tcase_add_test(tc, test_guests_are_let_go_at_the_end);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
