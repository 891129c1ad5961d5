/* The poller, alone and with libuv inside of it: who is told what, and by how many waits. */
#include "tests/support/suite.h"

#include "stack/base/list.h"
#include "stack/link/poller_uv.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EVENT EPOLLIN | EPOLLET

static unsigned waits_n; /* of the process: ours and libuv's */

/* In the place of libc's, for libuv as well. */
int epoll_pwait(int fd, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask)
{
	waits_n++;
	return (int)syscall(SYS_epoll_pwait, fd, events, max, timeout_ms, mask, _NSIG / 8);
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
	return epoll_pwait(fd, events, max, timeout_ms, NULL);
}

struct bed;

struct told {
	struct poller_watch watch;
	struct bed *bed;
	unsigned n;
	uint32_t events;
};

struct bed {
	uv_loop_t loop;
	struct poller *poller;
	struct told a, b;
	void (*on_told)(struct told *told);
	unsigned left; /* for on_told */
	uv_timer_t timer;
	uv_poll_t poll;
	uv_prepare_t prepare;
	unsigned timers_n, polls_n, prepares_n, numbers_n, batches_n;
	uint64_t number;
};

static void kick(const struct told *told)
{
	ck_assert_int_eq(eventfd_write(told->watch.fd, 1), 0);
}

static void on_ready(struct poller_watch *watch, uint32_t events)
{
	struct told *told = list_entry(watch, struct told, watch);

	told->n++;
	told->events |= events;
	if (told->bed->on_told)
		told->bed->on_told(told);
}

static void told_open(struct told *told, struct bed *bed)
{
	*told = (struct told){.bed = bed};
	told->watch.ready = on_ready;
	told->watch.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ck_assert_int_ge(told->watch.fd, 0);
	ck_assert_int_eq(poller_add(bed->poller, &told->watch, EVENT), 0);
}

static void bed_open(struct bed *bed)
{
	*bed = (struct bed){.left = 0};
	ck_assert_int_eq(uv_loop_init(&bed->loop), 0);
	ck_assert_int_eq(poller_uv_get(&bed->loop, &bed->poller), 0);
	told_open(&bed->a, bed);
	told_open(&bed->b, bed);
	uv_timer_init(&bed->loop, &bed->timer);
	uv_prepare_init(&bed->loop, &bed->prepare);
	uv_poll_init(&bed->loop, &bed->poll, bed->b.watch.fd);
	bed->timer.data = bed->poll.data = bed->prepare.data = bed;
}

static void bed_close(struct bed *bed)
{
	uv_close((uv_handle_t *)&bed->timer, NULL);
	uv_close((uv_handle_t *)&bed->prepare, NULL);
	uv_close((uv_handle_t *)&bed->poll, NULL);
	poller_uv_put(&bed->loop);
	close(bed->a.watch.fd);
	close(bed->b.watch.fd);
	ck_assert_int_eq(uv_run(&bed->loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&bed->loop), 0);
}

static void stop(struct told *told)
{
	poller_uv_stop(&told->bed->loop);
}

static void on_end(uv_timer_t *timer)
{
	struct bed *bed = timer->data;

	bed->timers_n++;
	poller_uv_stop(&bed->loop);
}

START_TEST(test_plain_uv_run_tells_watches)
{
	struct bed bed;

	bed_open(&bed);
	kick(&bed.a);
	uv_run(&bed.loop, UV_RUN_ONCE);
	ck_assert_uint_eq(bed.a.n, 1);
	ck_assert_uint_eq(bed.a.events, EPOLLIN);
	ck_assert_uint_eq(bed.b.n, 0);
	bed_close(&bed);
}
END_TEST

static void kick_again(struct told *told)
{
	if (--told->bed->left)
		kick(told);
	else
		stop(told);
}

START_TEST(test_an_event_costs_one_wait)
{
	struct bed bed;

	bed_open(&bed);
	uv_timer_start(&bed.timer, on_end, 60000, 0);
	bed.on_told = kick_again;
	bed.left = 1;
	kick(&bed.a);
	waits_n = 0;
	ck_assert_int_eq(poller_uv_run(&bed.loop), 0);

	unsigned for_one = waits_n;

	bed.left = 1001;
	kick(&bed.a);
	waits_n = 0;
	ck_assert_int_eq(poller_uv_run(&bed.loop), 0);
	ck_assert_uint_eq(waits_n - for_one, 1000);
	ck_assert_uint_eq(bed.a.n, 1002);
	bed_close(&bed);
}
END_TEST

static void remove_the_other(struct told *told)
{
	struct bed *bed = told->bed;
	struct told *other = told == &bed->a ? &bed->b : &bed->a;

	poller_remove(bed->poller, &other->watch);
}

START_TEST(test_what_is_removed_is_not_told_any_more)
{
	struct bed bed;

	bed_open(&bed);
	bed.on_told = remove_the_other;
	kick(&bed.a);
	kick(&bed.b);
	ck_assert_int_eq(poller_wait(bed.poller, 0), 2);
	poller_tell(bed.poller);
	ck_assert_uint_eq(bed.a.n + bed.b.n, 1);
	ck_assert_int_eq(poller_wait(bed.poller, 0), 0);
	bed_close(&bed);
}
END_TEST

START_TEST(test_a_change_tells_again_what_is_the_case)
{
	struct bed bed;

	bed_open(&bed);
	kick(&bed.a);
	ck_assert_int_eq(poller_wait(bed.poller, 0), 1);
	poller_tell(bed.poller);
	ck_assert_int_eq(poller_wait(bed.poller, 0), 0);
	poller_change(bed.poller, &bed.a.watch, EVENT);
	ck_assert_int_eq(poller_wait(bed.poller, 0), 1);
	bed_close(&bed);
}
END_TEST

static void on_number(void *ctx, uint64_t number, uint32_t events)
{
	struct bed *bed = ctx;

	ck_assert_uint_eq(events, EPOLLIN);
	bed->number = number;
	bed->numbers_n++;
}

static void on_batch_end(void *ctx)
{
	((struct bed *)ctx)->batches_n++;
}

START_TEST(test_a_crowd_is_told_by_number_and_once_per_batch_that_it_ends)
{
	struct bed bed;
	struct poller_crowd crowd = {on_number, on_batch_end, &bed};
	const uint64_t greatest = POLLER_NUMBERS - 1;
	int one = eventfd(1, EFD_CLOEXEC), two = eventfd(1, EFD_CLOEXEC);

	bed_open(&bed);
	poller_set_crowd(bed.poller, &crowd);
	ck_assert_int_eq(poller_add_number(bed.poller, one, greatest, EVENT), 0);
	kick(&bed.a);
	uv_run(&bed.loop, UV_RUN_ONCE);
	ck_assert_uint_eq(bed.number, greatest);
	ck_assert_uint_eq(bed.a.n, 1);
	ck_assert_int_eq(poller_add_number(bed.poller, two, 0, EVENT), 0);
	poller_change_number(bed.poller, one, greatest, EVENT);
	uv_run(&bed.loop, UV_RUN_ONCE);
	ck_assert_uint_eq(bed.numbers_n, 3);
	ck_assert_uint_eq(bed.batches_n, 2);
	kick(&bed.a);
	uv_run(&bed.loop, UV_RUN_ONCE);
	ck_assert_uint_eq(bed.batches_n, 2);
	ck_assert_int_eq(poller_add_number(bed.poller, -1, 0, EVENT), -EBADF);
	poller_set_crowd(bed.poller, NULL);
	close(one);
	close(two);
	bed_close(&bed);
}
END_TEST

static void start_timer(struct told *told)
{
	uv_timer_start(&told->bed->timer, on_end, 1, 0);
}

START_TEST(test_a_timer_of_a_watch_is_due_in_time)
{
	struct bed bed;

	bed_open(&bed);
	uv_timer_start(&bed.timer, on_end, 1000000, 0);
	bed.on_told = start_timer;
	kick(&bed.a);
	ck_assert_int_eq(poller_uv_run(&bed.loop), 0);
	ck_assert_uint_eq(bed.timers_n, 1);
	bed_close(&bed);
}
END_TEST

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct bed *bed = poll->data;

	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(events, UV_READABLE);
	bed->polls_n++;
	poller_uv_stop(&bed->loop);
}

static void watch_by_libuv(struct told *told)
{
	uv_poll_start(&told->bed->poll, UV_READABLE, on_poll);
}

START_TEST(test_what_a_watch_asks_of_libuv_is_served)
{
	struct bed bed;

	bed_open(&bed);
	uv_timer_start(&bed.timer, on_end, 60000, 0);
	poller_remove(bed.poller, &bed.b.watch);
	kick(&bed.b);
	bed.on_told = watch_by_libuv;
	kick(&bed.a);
	ck_assert_int_eq(poller_uv_run(&bed.loop), 0);
	ck_assert_uint_eq(bed.polls_n, 1);
	ck_assert_uint_eq(bed.timers_n, 0);
	bed_close(&bed);
}
END_TEST

static void on_prepare(uv_prepare_t *prepare)
{
	((struct bed *)prepare->data)->prepares_n++;
}

static unsigned prepares_of_hundred(struct bed *bed)
{
	bed->prepares_n = 0;
	bed->left = 100;
	bed->on_told = kick_again;
	kick(&bed->a);
	ck_assert_int_eq(poller_uv_run(&bed->loop), 0);
	return bed->prepares_n;
}

START_TEST(test_libuv_runs_in_every_turn_only_for_those_who_want_it)
{
	struct bed bed;

	bed_open(&bed);
	uv_prepare_start(&bed.prepare, on_prepare);
	ck_assert_uint_lt(prepares_of_hundred(&bed), 5);
	poller_uv_every_turn(&bed.loop, true);
	poller_uv_every_turn(&bed.loop, true);
	poller_uv_every_turn(&bed.loop, false);
	ck_assert_uint_ge(prepares_of_hundred(&bed), 100);
	poller_uv_every_turn(&bed.loop, false);
	ck_assert_uint_lt(prepares_of_hundred(&bed), 5);
	bed_close(&bed);
}
END_TEST

START_TEST(test_a_stop_before_the_beginning_counts)
{
	struct bed bed;

	bed_open(&bed);
	uv_timer_start(&bed.timer, on_end, 1000000, 0);
	poller_uv_stop(&bed.loop);
	ck_assert_int_eq(poller_uv_run(&bed.loop), 0);
	ck_assert_uint_eq(bed.timers_n, 0);
	/* Afterwards the loop is as it was. */
	kick(&bed.a);
	uv_run(&bed.loop, UV_RUN_ONCE);
	ck_assert_uint_eq(bed.a.n, 1);
	bed_close(&bed);
}
END_TEST

START_TEST(test_a_loop_with_nothing_alive_ends)
{
	struct bed bed;

	bed_open(&bed);
	ck_assert_int_eq(poller_uv_run(&bed.loop), 0);
	bed_close(&bed);
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "poller_uv", test_plain_uv_run_tells_watches, test_an_event_costs_one_wait,
	    test_what_is_removed_is_not_told_any_more, test_a_change_tells_again_what_is_the_case,
	    test_a_crowd_is_told_by_number_and_once_per_batch_that_it_ends,
	    test_a_timer_of_a_watch_is_due_in_time, test_what_a_watch_asks_of_libuv_is_served,
	    test_libuv_runs_in_every_turn_only_for_those_who_want_it,
	    test_a_stop_before_the_beginning_counts, test_a_loop_with_nothing_alive_ends);
}
