/* The life of two guests with each allocation failing in turn: what fails is refused, lost or put
 * off, and nothing else suffers or leaks. */
#include "stack/base/log.h"
#include "stack/link/stream_codec.h"
#include "stack/link/stream_uv.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
void *__interceptor_calloc(size_t n, size_t size);
void *__interceptor_malloc(size_t size);
#define real_calloc __interceptor_calloc
#define real_malloc __interceptor_malloc
#else
void *__libc_calloc(size_t n, size_t size);
void *__libc_malloc(size_t size);
#define real_calloc __libc_calloc
#define real_malloc __libc_malloc
#endif

#define FRAME_BYTES 60000
#define FRAMES 60

static bool counting;
static unsigned calls_n, failing; /* 'failing' counts from 1; 0: none fails */
static bool all_fail;

static bool fails(void)
{
	return counting && (++calls_n == failing || all_fail);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : real_calloc(n, size);
}

void *malloc(size_t size)
{
	return fails() ? NULL : real_malloc(size);
}

struct life {
	uv_loop_t loop;
	struct lan *lan;
	struct stream_uv *s;
	struct port *port; /* the last one attached */
	unsigned attached, gone, frames;
	uint64_t dropped; /* by the port that is gone */
};

static void gateway_input(void *ctx, struct port *from, const struct frame *frame)
{
	(void)from;
	(void)frame;
	((struct life *)ctx)->frames++;
}

static void on_attached(void *ctx, struct port *port)
{
	((struct life *)ctx)->port = port;
	((struct life *)ctx)->attached++;
}

static void on_gone(void *ctx, struct port *port)
{
	struct life *life = ctx;
	life->dropped += port->counters.dropped_queue_full;
	life->gone++;
}

static void ignore_line(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	(void)line;
}

static int life_new(struct life *life)
{
	struct lan_config config = {.gateway_mac = {{0x52, 0x55, 0, 0, 0, 2}},
				    .ports_max = 4,
				    .macs_max = 4,
				    .mac_age_ms = 300000,
				    .gateway_input = gateway_input,
				    .ctx = life};
	struct stream_uv_events events = {.attached = on_attached, .gone = on_gone, .ctx = life};

	*life = (struct life){.frames = 0};
	ck_assert_int_eq(uv_loop_init(&life->loop), 0);
	counting = true;
	int err = lan_new(&life->lan, &config);
	if (!err)
		err = stream_uv_new(&life->s, &life->loop, life->lan, &events);
	counting = false;
	return err;
}

static void life_end(struct life *life)
{
	stream_uv_close(life->s);
	uv_run(&life->loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&life->loop), 0);
	ck_assert_uint_eq(life->attached, life->gone);
	lan_free(life->lan);
}

static void turn(struct life *life)
{
	counting = true;
	for (unsigned i = 0; i < 3; i++)
		uv_run(&life->loop, UV_RUN_NOWAIT);
	counting = false;
}

static int adopt(struct life *life, int fds[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	counting = true;
	int err = stream_uv_adopt(life->s, fds[0]);
	counting = false;
	if (err)
		close(fds[0]);
	return err;
}

/* The first guest broadcasts to the second, which reads late. Returns the frames that came. */
static unsigned talk(struct life *life, int talker, int deaf)
{
	static uint8_t out[STREAM_PREFIX_LEN + FRAME_BYTES] = {0,
							       0,
							       FRAME_BYTES >> 8,
							       FRAME_BYTES & 0xff,
							       0xff,
							       0xff,
							       0xff,
							       0xff,
							       0xff,
							       0xff,
							       0x52,
							       0x54,
							       0,
							       0,
							       0,
							       1};
	static uint8_t in[8 << 20];
	size_t have = 0, at = 0;
	unsigned frames = 0;
	uint32_t len;
	ssize_t n;

	for (unsigned i = 1; i <= FRAMES; i++) {
		ck_assert_int_eq(send(talker, out, sizeof(out), 0), sizeof(out));
		turn(life);
		/* Without memory for a buffer it is read a little later. */
		while (life->frames < i)
			uv_run(&life->loop, UV_RUN_ONCE);
	}
	while ((n = recv(deaf, in + have, sizeof(in) - have, MSG_DONTWAIT)) > 0) {
		have += (size_t)n;
		turn(life);
	}
	while (stream_next(in + at, have - at, &len) == STREAM_FRAME) {
		ck_assert_uint_eq(len, FRAME_BYTES);
		at += STREAM_PREFIX_LEN + len;
		frames++;
	}
	if (life->gone == 0)
		ck_assert_uint_eq(at, have);
	return frames;
}

/* True when the life ended before allocation 'nth'. */
static bool live(unsigned nth)
{
	struct life life;
	int a[2], b[2];

	calls_n = 0;
	failing = nth;
	int err = life_new(&life);
	if (!err) {
		bool have_a = adopt(&life, a) == 0, have_b = adopt(&life, b) == 0;
		if (have_a && have_b) {
			unsigned frames = talk(&life, a[1], b[1]);
			stream_uv_close(life.s);
			life.s = NULL;
			ck_assert_uint_eq(life.frames, FRAMES);
			ck_assert_uint_eq(frames + life.dropped, FRAMES);
		}
		ck_assert_uint_eq(life.attached, (unsigned)have_a + have_b);
		close(a[1]);
		close(b[1]);
	} else {
		ck_assert_int_eq(err, -ENOMEM);
	}
	life_end(&life);
	return calls_n < nth;
}

START_TEST(test_two_guests_survive_each_failing_allocation)
{
	unsigned nth = 1;

	log_set_sink(ignore_line, NULL);
	while (!live(nth))
		nth++;
	ck_assert_uint_gt(nth, 12);
}
END_TEST

START_TEST(test_a_frame_that_cannot_be_finished_costs_its_connection)
{
	static uint8_t bytes[1514];
	struct iovec iov = {bytes + 54, 1460};
	struct life life;
	int a[2];

	log_set_sink(ignore_line, NULL);
	failing = 0;
	ck_assert_int_eq(life_new(&life), 0);
	ck_assert_int_eq(adopt(&life, a), 0);
	counting = all_fail = true;         /* no backlog */
	for (unsigned i = 0; i < 8000; i++) /* more than any socket takes */
		life.port->ops->send(life.port, bytes, 54, &iov, 1);
	life.port->ops->flush(life.port);
	counting = all_fail = false;
	ck_assert_uint_eq(life.gone, 0);
	turn(&life);
	ck_assert_uint_eq(life.gone, 1);
	ck_assert_uint_gt(life.dropped, 0);
	close(a[1]);
	life_end(&life);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("link_alloc");
	TCase *tc = tcase_create("link_alloc");
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_two_guests_survive_each_failing_allocation);
	tcase_add_test(tc, test_a_frame_that_cannot_be_finished_costs_its_connection);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
