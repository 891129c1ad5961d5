/* A device with several queue pairs, of which the guest uses all or some. */
#include "stack/link/virtio_net.h"
#include "stack/link/vu_net.h"
#include "tests/support/vq_driver.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define MEM_LEN (2 * 1024 * 1024)
#define SIZE 64
#define FRAME_LEN 60
#define VNET_LEN 12
#define FLOWS 64

static struct vu_device dev;
static struct vu_net *net;
static uint8_t *mem;
static struct vq_driver ring[VU_RINGS_MAX];
static unsigned taken;

static int on_map(void *ctx, int fd, const struct vu_mem_region *as, struct vu_region *ret)
{
	(void)ctx;
	(void)fd;
	(void)as;
	ret->bytes = mem;
	return 0;
}

static void on_unmap(void *ctx, const struct vu_region *region)
{
	(void)ctx;
	(void)region;
}

static void on_ring(void *ctx, unsigned index)
{
	(void)ctx;
	(void)index;
}

static void on_close(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
}

static const struct vu_device_ops ops = {
    .map = on_map, .unmap = on_unmap, .ring_changed = on_ring, .close_fd = on_close};

static void say(struct vu_msg msg)
{
	uint8_t reply[VU_REPLY_MAX];
	int fd = 9;
	size_t len;

	ck_assert_int_eq(vu_device_message(&dev, &msg, &fd, 1, reply, &len), 0);
}

static void enable(uint32_t pair, bool on)
{
	say((struct vu_msg){.request = VU_SET_VRING_ENABLE, .state = {2 * pair, on}});
	say((struct vu_msg){.request = VU_SET_VRING_ENABLE, .state = {2 * pair + 1, on}});
}

static void set_up(void)
{
	struct vu_mem_table table = {1, {{VQ_GUEST_BASE, MEM_LEN, VQ_GUEST_BASE, 0}}};
	size_t end = 0;

	mem = aligned_alloc(4096, MEM_LEN);
	memset(mem, 0, MEM_LEN);
	vu_device_init(&dev, vu_device_features(), &ops, NULL);
	ck_assert_int_eq(vu_net_new(&net, &dev), 0);
	say((struct vu_msg){.request = VU_SET_FEATURES,
			    .u64 = VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MQ |
				   VHOST_USER_F_PROTOCOL_FEATURES});
	say((struct vu_msg){.request = VU_SET_MEM_TABLE, .mem = table});
	for (uint32_t i = 0; i < VU_RINGS_MAX; i++) {
		end = vq_init(&ring[i], mem, end, SIZE, 2048);
		struct vu_vring_addr addr = {.index = i,
					     .desc = VQ_GUEST_BASE + vq_desc_at(&ring[i]),
					     .avail = VQ_GUEST_BASE + vq_avail_at(&ring[i]),
					     .used = VQ_GUEST_BASE + vq_used_at(&ring[i])};
		say((struct vu_msg){.request = VU_SET_VRING_NUM, .state = {i, SIZE}});
		say((struct vu_msg){.request = VU_SET_VRING_ADDR, .addr = addr});
		say((struct vu_msg){.request = VU_SET_VRING_KICK, .u64 = i});
		if (i % 2 == 0)
			vq_offer_buffers(&ring[i], SIZE);
	}
	ck_assert_uint_lt(end, MEM_LEN);
}

static void tear_down(void)
{
	vu_net_free(net);
	vu_device_reset(&dev);
	free(mem);
}

/* A frame of connection 'number', from the guest or to it. */
static void make_frame(uint8_t bytes[FRAME_LEN], bool ipv6, bool to_guest, uint8_t number)
{
	static const uint8_t there[2] = {93, 80}, here[2] = {15, 0};
	size_t from = ipv6 ? 22 : 26, addr_len = ipv6 ? 16 : 4, ports = from + 2 * addr_len;

	memset(bytes, 0, FRAME_LEN);
	bytes[12] = ipv6 ? 0x86 : 8;
	bytes[13] = ipv6 ? 0xdd : 0;
	bytes[from + (to_guest ? addr_len : 0)] = here[0];
	bytes[from + (to_guest ? 0 : addr_len)] = there[0];
	bytes[ports + (to_guest ? 2 : 0)] = number;
	bytes[ports + (to_guest ? 0 : 2) + 1] = there[1];
}

static void on_frame(void *ctx, const struct frame *frame)
{
	(void)ctx;
	(void)frame;
	taken++;
}

static void guest_sends(unsigned pair, bool ipv6, uint8_t number)
{
	uint8_t bytes[VNET_LEN + FRAME_LEN] = {0};
	uint32_t id, len;

	make_frame(bytes + VNET_LEN, ipv6, false, number);
	vq_send(&ring[2 * pair + 1], bytes, sizeof(bytes));
	ck_assert_int_eq(vu_net_take(net, 2 * pair + 1, on_frame, NULL), 1);
	vu_net_give_back(net, 2 * pair + 1);
	ck_assert(vq_take_used(&ring[2 * pair + 1], &id, &len));
}

/* The pair on which the guest finds a frame sent to it. */
static unsigned guest_receives(bool ipv6, uint8_t number)
{
	uint8_t bytes[FRAME_LEN];
	struct iovec iov = {bytes, sizeof(bytes)};
	struct frame frame = {.iov = &iov, .iov_n = 1, .len = sizeof(bytes)};
	uint32_t id, len;

	make_frame(bytes, ipv6, true, number);
	ck_assert(vu_net_put(net, &frame));
	vu_net_publish(net);
	for (unsigned pair = 0; pair < VU_PAIRS_MAX; pair++) {
		if (vq_take_used(&ring[2 * pair], &id, &len)) {
			vq_offer_buffers(&ring[2 * pair], 1);
			return pair;
		}
	}
	ck_abort_msg("the frame is in no ring");
	return 0;
}

START_TEST(test_frames_come_back_on_the_pair_they_were_sent_on)
{
	for (uint32_t pair = 0; pair < VU_PAIRS_MAX; pair++)
		enable(pair, true);
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		for (unsigned i = 0; i < 3 * VU_PAIRS_MAX; i++) {
			guest_sends(i % VU_PAIRS_MAX, ipv6, 7);
			ck_assert_uint_eq(guest_receives(ipv6, 7), i % VU_PAIRS_MAX);
		}
	}
	ck_assert_uint_eq(taken, 6 * VU_PAIRS_MAX);
}
END_TEST

START_TEST(test_connections_that_the_guest_has_not_answered_are_spread_and_stay_where_they_are)
{
	unsigned used = 0;

	for (uint32_t pair = 0; pair < VU_PAIRS_MAX; pair++)
		enable(pair, true);
	for (uint8_t number = 0; number < FLOWS; number++) {
		unsigned pair = guest_receives(false, number);
		used |= 1U << pair;
		ck_assert_uint_eq(guest_receives(false, number), pair);
	}
	ck_assert_uint_eq(used, (1U << VU_PAIRS_MAX) - 1);
}
END_TEST

START_TEST(test_one_of_four_pairs_gets_everything)
{
	enable(0, true);
	for (uint8_t number = 0; number < FLOWS; number++)
		ck_assert_uint_eq(guest_receives(false, number), 0);
}
END_TEST

START_TEST(test_what_was_sent_on_a_pair_that_is_disabled_now_goes_to_another)
{
	for (uint32_t pair = 0; pair < VU_PAIRS_MAX; pair++)
		enable(pair, true);
	guest_sends(3, false, 7);
	ck_assert_uint_eq(guest_receives(false, 7), 3);
	enable(3, false);
	for (uint8_t number = 0; number < FLOWS; number++)
		ck_assert_uint_ne(guest_receives(false, number), 3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vu_queues");
	TCase *tc = tcase_create("vu_queues");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_frames_come_back_on_the_pair_they_were_sent_on);
	tcase_add_test(
	    tc,
	    test_connections_that_the_guest_has_not_answered_are_spread_and_stay_where_they_are);
	tcase_add_test(tc, test_one_of_four_pairs_gets_everything);
	tcase_add_test(tc, test_what_was_sent_on_a_pair_that_is_disabled_now_goes_to_another);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
