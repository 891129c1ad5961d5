/* The log of dirty pages, as a front-end that moves a guest reads it: it takes bits out and copies
 * the pages at any moment, and what is written after that must be in the log again. */
#include "stack/link/virtio_net.h"
#include "stack/link/vu_net.h"
#include "tests/support/vq_driver.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MEM_LEN (1024 * 1024)
#define LOG_LEN ((VQ_GUEST_BASE + MEM_LEN) / VU_LOG_PAGE / 8)
#define RX 0
#define SIZE 64
#define BUFFER_LEN VU_LOG_PAGE
#define VNET_LEN 12
#define FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MRG_RXBUF)

static uint8_t *bytes;
static struct vu_device dev;
static struct vu_net *net;
static struct vq_driver rx;
static uint8_t logs[2][LOG_LEN]; /* known by descriptors 0 and 1 */

/* ---- a device whose memory is just memory ---- */

static int on_map(void *ctx, int fd, const struct vu_mem_region *as, struct vu_region *ret)
{
	(void)ctx;
	(void)fd;
	(void)as;
	ret->bytes = bytes;
	return 0;
}

static void on_unmap(void *ctx, const struct vu_region *region)
{
	(void)ctx;
	(void)region;
}

static int on_map_log(void *ctx, int fd, const struct vu_log *as, uint8_t **ret)
{
	(void)ctx;
	(void)as;
	*ret = logs[fd];
	return 0;
}

static void on_unmap_log(void *ctx, uint8_t *log, uint64_t len)
{
	(void)ctx;
	ck_assert_uint_eq(len, LOG_LEN);
	memset(log, 0, len);
}

static void on_ring(void *ctx, unsigned ring)
{
	(void)ctx;
	(void)ring;
}

static void on_close(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
}

static const struct vu_device_ops ops = {.map = on_map,
					 .unmap = on_unmap,
					 .map_log = on_map_log,
					 .unmap_log = on_unmap_log,
					 .ring_changed = on_ring,
					 .close_fd = on_close};

static uint64_t say(struct vu_msg msg, int fd)
{
	uint8_t reply[VU_REPLY_MAX] = {0};
	uint64_t value;
	size_t len;

	ck_assert_int_eq(vu_device_message(&dev, &msg, &fd, 1, reply, &len), 0);
	memcpy(&value, reply + VU_HDR_LEN, sizeof(value));
	return value;
}

static void set_features(uint64_t features)
{
	say((struct vu_msg){.request = VU_SET_FEATURES, .u64 = features}, 9);
}

static void give_log(int number)
{
	say((struct vu_msg){.request = VU_SET_LOG_BASE, .log = {LOG_LEN, 0}}, number);
}

static void start_ring(void)
{
	struct vu_vring_addr addr = {.index = RX,
				     .flags = VU_VRING_F_LOG,
				     .desc = VQ_GUEST_BASE + vq_desc_at(&rx),
				     .avail = VQ_GUEST_BASE + vq_avail_at(&rx),
				     .used = VQ_GUEST_BASE + vq_used_at(&rx),
				     .log = VQ_GUEST_BASE + vq_used_at(&rx)};

	say((struct vu_msg){.request = VU_SET_VRING_NUM, .state = {RX, SIZE}}, 9);
	say((struct vu_msg){.request = VU_SET_VRING_ADDR, .addr = addr}, 9);
	say((struct vu_msg){.request = VU_SET_VRING_KICK, .u64 = RX}, 9);
}

/* The base to go on from. */
static uint32_t stop_ring(void)
{
	return say((struct vu_msg){.request = VU_GET_VRING_BASE, .state = {RX, 0}}, 9) >> 32;
}

static void set_up(void)
{
	struct vu_mem_table table = {1, {{VQ_GUEST_BASE, MEM_LEN, VQ_GUEST_BASE, 0}}};

	bytes = aligned_alloc(VU_LOG_PAGE, MEM_LEN);
	memset(bytes, 0, MEM_LEN);
	memset(logs, 0, sizeof(logs));
	vu_device_init(&dev, vu_device_features(), &ops, NULL);
	ck_assert_int_eq(vu_net_new(&net, &dev), 0);
	ck_assert_uint_lt(vq_init(&rx, bytes, 0, SIZE, BUFFER_LEN), MEM_LEN);
	rx.buffers_at = BUFFER_LEN; /* each page has one buffer, or the ring */
	vq_offer_buffers(&rx, SIZE);
	set_features(FEATURES);
	say((struct vu_msg){.request = VU_SET_PROTOCOL_FEATURES, .u64 = VU_PROTOCOL_F_LOG_SHMFD},
	    9);
	say((struct vu_msg){.request = VU_SET_MEM_TABLE, .mem = table}, 9);
	start_ring();
}

static void tear_down(void)
{
	vu_net_free(net);
	vu_device_reset(&dev);
	free(bytes);
}

static bool is_logged(unsigned log, size_t at)
{
	uint64_t page = (VQ_GUEST_BASE + at) / VU_LOG_PAGE;

	return logs[log][page / 8] & 1U << page % 8;
}

static bool is_empty(unsigned log)
{
	for (size_t i = 0; i < LOG_LEN; i++) {
		if (logs[log][i])
			return false;
	}
	return true;
}

static void put(void)
{
	uint8_t frame_bytes[100] = {0};
	struct iovec iov = {frame_bytes, sizeof(frame_bytes)};

	ck_assert(
	    vu_net_put(net, &(struct frame){.iov = &iov, .iov_n = 1, .len = sizeof(frame_bytes)}));
}

START_TEST(test_what_is_written_is_logged)
{
	give_log(0);
	put();
	ck_assert(is_empty(0)); /* nobody has asked for it yet */
	set_features(FEATURES | VHOST_F_LOG_ALL);
	put();
	ck_assert(is_logged(0, rx.buffers_at + BUFFER_LEN));
	ck_assert(!is_logged(0, rx.buffers_at + 3 * BUFFER_LEN));
	ck_assert(is_logged(0, vq_used_at(&rx)));
}
END_TEST

/* Stands for the front-end, which comes between the first buffer of a frame and the second. */
static uint8_t *protected;

static void on_sigsegv(int number)
{
	(void)number;
	ck_assert(is_logged(0, rx.buffers_at));
	ck_assert(!is_logged(0, rx.buffers_at + BUFFER_LEN));
	memset(logs, 0, sizeof(logs));
	mprotect(protected, VU_LOG_PAGE, PROT_READ | PROT_WRITE);
}

START_TEST(test_pages_are_logged_after_they_are_written)
{
	struct sigaction action = {.sa_handler = on_sigsegv}, before;
	uint8_t first[BUFFER_LEN - VNET_LEN] = {0};

	protected = mmap(NULL, VU_LOG_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov[] = {{first, sizeof(first)}, {protected, VU_LOG_PAGE}};
	struct frame frame = {.iov = iov, .iov_n = 2, .len = sizeof(first) + VU_LOG_PAGE};
	give_log(0);
	set_features(FEATURES | VHOST_F_LOG_ALL);
	sigaction(SIGSEGV, &action, &before);
	ck_assert(vu_net_put(net, &frame));
	sigaction(SIGSEGV, &before, NULL);
	ck_assert_uint_eq(vq_buffer(&rx, 0)[10], 2);
	ck_assert(is_logged(0, rx.buffers_at)); /* this number came last */
	ck_assert(is_logged(0, rx.buffers_at + BUFFER_LEN));
	munmap(protected, VU_LOG_PAGE);
}
END_TEST

START_TEST(test_logging_goes_off_and_on_with_its_feature)
{
	give_log(0);
	set_features(FEATURES | VHOST_F_LOG_ALL);
	set_features(FEATURES);
	put();
	vu_net_publish(net);
	ck_assert(is_empty(0));
	set_features(FEATURES | VHOST_F_LOG_ALL);
	put();
	ck_assert(is_logged(0, rx.buffers_at + BUFFER_LEN));
	ck_assert(is_logged(0, vq_used_at(&rx)));
}
END_TEST

START_TEST(test_a_log_takes_the_place_of_another)
{
	give_log(0);
	set_features(FEATURES | VHOST_F_LOG_ALL);
	put();
	memset(logs, 0, sizeof(logs));
	give_log(1);
	ck_assert(is_empty(1));
	put();
	ck_assert(is_empty(0));
	ck_assert(is_logged(1, rx.buffers_at + BUFFER_LEN));
}
END_TEST

/* QEMU starts a device in the middle of a migration: features, rings, the log. Frames may have come
 * in between. */
START_TEST(test_a_log_that_comes_after_its_rings_has_all_of_the_memory)
{
	stop_ring();
	set_features(FEATURES | VHOST_F_LOG_ALL);
	start_ring();
	put();
	give_log(1);
	for (size_t at = 0; at < MEM_LEN; at += VU_LOG_PAGE)
		ck_assert(is_logged(1, at));
	ck_assert_uint_eq(logs[1][VQ_GUEST_BASE / VU_LOG_PAGE / 8 - 1], 0);
	give_log(0);
	ck_assert(is_empty(0));
}
END_TEST

START_TEST(test_a_stopped_ring_has_shown_all_that_was_used)
{
	uint32_t id, len;

	put();
	put();
	ck_assert_uint_eq(stop_ring(), 2);
	ck_assert_uint_eq(vq_used_idx(&rx), 2);
	start_ring();
	put();
	vu_net_publish(net);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert(vq_take_used(&rx, &id, &len));
		ck_assert_uint_eq(id, i);
	}
}
END_TEST

START_TEST(test_a_log_longer_than_for_any_guest_is_refused)
{
	struct vu_msg msg = {.request = VU_SET_LOG_BASE, .log = {UINT64_C(1) << 40, 0}};
	uint8_t reply[VU_REPLY_MAX];
	size_t len;
	int fd = 0;

	ck_assert_int_eq(vu_device_message(&dev, &msg, &fd, 1, reply, &len), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vu_log");
	TCase *tc = tcase_create("vu_log");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_what_is_written_is_logged);
	tcase_add_test(tc, test_pages_are_logged_after_they_are_written);
	tcase_add_test(tc, test_logging_goes_off_and_on_with_its_feature);
	tcase_add_test(tc, test_a_log_takes_the_place_of_another);
	tcase_add_test(tc, test_a_log_that_comes_after_its_rings_has_all_of_the_memory);
	tcase_add_test(tc, test_a_stopped_ring_has_shown_all_that_was_used);
	tcase_add_test(tc, test_a_log_longer_than_for_any_guest_is_refused);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
