#include "stack/link/vu_net.h"

#include "stack/link/virtio_net.h"
#include "tests/support/vq_driver.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MEM_LEN (4 * 1024 * 1024)
#define USER_BASE UINT64_C(0x7f0000000000)
#define RX 0
#define TX 1
#define SIZE 256
#define FEATURES                                                                                   \
	(VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4)

struct bed {
	uint8_t *bytes;
	struct vu_device dev;
	struct vu_net *net;
	struct vq_driver rx, tx;
	/* Frames taken. */
	unsigned n;
	struct frame_offload offload;
	uint32_t len;
	uint8_t frame[FRAME_LEN_MAX];
};

static struct bed bed;

/* ---- a device whose memory is just memory ---- */

static int on_map(void *ctx, int fd, const struct vu_mem_region *as, struct vu_region *ret)
{
	(void)ctx;
	(void)as;
	ret->bytes = bed.bytes;
	return fd == 7 ? 0 : -EBADF;
}

static void on_unmap(void *ctx, const struct vu_region *region)
{
	(void)ctx;
	(void)region;
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

static const struct vu_device_ops ops = {
    .map = on_map, .unmap = on_unmap, .ring_changed = on_ring, .close_fd = on_close};

static int say_fd(struct vu_msg msg, int fd)
{
	uint8_t reply[VU_REPLY_MAX];
	size_t len;

	return vu_device_message(&bed.dev, &msg, &fd, fd >= 0, reply, &len);
}

static int say(struct vu_msg msg)
{
	return say_fd(msg, -1);
}

static void start_ring(uint32_t ring, const struct vq_driver *vq)
{
	struct vu_vring_addr addr = {.index = ring,
				     .desc = USER_BASE + vq_desc_at(vq),
				     .avail = USER_BASE + vq_avail_at(vq),
				     .used = USER_BASE + vq_used_at(vq)};

	ck_assert_int_eq(say((struct vu_msg){.request = VU_SET_VRING_NUM, .state = {ring, SIZE}}),
			 0);
	ck_assert_int_eq(say((struct vu_msg){.request = VU_SET_VRING_ADDR, .addr = addr}), 0);
	ck_assert_int_eq(say_fd((struct vu_msg){.request = VU_SET_VRING_KICK, .u64 = ring}, 9), 0);
	ck_assert_int_eq(say((struct vu_msg){.request = VU_SET_VRING_ENABLE, .state = {ring, 1}}),
			 0);
}

static void start(uint64_t features, uint32_t rx_buffer_len)
{
	struct vu_mem_table table = {1, {{VQ_GUEST_BASE, MEM_LEN, USER_BASE, 0}}};
	size_t end = vq_init(&bed.rx, bed.bytes, 0, SIZE, rx_buffer_len);

	ck_assert_uint_lt(vq_init(&bed.tx, bed.bytes, end, SIZE, 4096), MEM_LEN);
	ck_assert_int_eq(say((struct vu_msg){.request = VU_SET_FEATURES, .u64 = features}), 0);
	ck_assert_int_eq(say_fd((struct vu_msg){.request = VU_SET_MEM_TABLE, .mem = table}, 7), 0);
	start_ring(RX, &bed.rx);
	start_ring(TX, &bed.tx);
}

static void set_up(void)
{
	memset(&bed, 0, sizeof(bed));
	bed.bytes = aligned_alloc(4096, MEM_LEN);
	memset(bed.bytes, 0, MEM_LEN);
	vu_device_init(&bed.dev, vu_device_features(), &ops, NULL);
	ck_assert_int_eq(vu_net_new(&bed.net, &bed.dev), 0);
}

static void tear_down(void)
{
	vu_net_free(bed.net);
	vu_device_reset(&bed.dev);
	free(bed.bytes);
}

/* ---- from the guest ---- */

static void on_frame(void *ctx, const struct frame *frame)
{
	size_t at = 0;

	(void)ctx;
	ck_assert_uint_ge(frame->iov[0].iov_len, FRAME_HDR_LEN);
	ck_assert_uint_le(frame->iov_n, FRAME_PIECES_MAX);
	for (unsigned i = 0; i < frame->iov_n; i++) {
		memcpy(bed.frame + at, frame->iov[i].iov_base, frame->iov[i].iov_len);
		at += frame->iov[i].iov_len;
	}
	ck_assert_uint_eq(at, frame->len);
	bed.len = frame->len;
	bed.offload = frame->offload;
	bed.n++;
}

static void fill(uint8_t *bytes, size_t len, uint8_t seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(seed + i * 3 + i / 251);
}

START_TEST(test_a_frame_arrives_without_its_header_and_goes_back)
{
	uint8_t bytes[12 + 600] = {0};
	uint32_t id, len;

	start(FEATURES, 2048);
	fill(bytes + 12, 600, 1);
	vq_send(&bed.tx, bytes, sizeof(bytes));
	ck_assert_int_eq(vu_net_take(bed.net, TX, on_frame, NULL), 1);
	ck_assert_uint_eq(bed.n, 1);
	ck_assert_uint_eq(bed.len, 600);
	ck_assert_mem_eq(bed.frame, bytes + 12, 600);
	ck_assert(!vq_take_used(&bed.tx, &id, &len));
	ck_assert(vu_net_give_back(bed.net, TX));
	ck_assert(vq_take_used(&bed.tx, &id, &len));
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(vu_net_take(bed.net, TX, on_frame, NULL), 0);
	vu_net_give_back(bed.net, TX);
}
END_TEST

START_TEST(test_marks_of_a_large_segment_arrive)
{
	uint8_t bytes[12 + 3000] = {1, FRAME_GSO_TCPV4, 54, 0, 0xa8, 5, 34, 0, 16};

	start(FEATURES, 2048);
	vq_send(&bed.tx, bytes, sizeof(bytes));
	ck_assert_int_eq(vu_net_take(bed.net, TX, on_frame, NULL), 1);
	ck_assert_uint_eq(bed.offload.needs_csum, 1);
	ck_assert_uint_eq(bed.offload.gso_type, FRAME_GSO_TCPV4);
	ck_assert_uint_eq(bed.offload.gso_size, 1448);
	ck_assert_uint_eq(bed.offload.csum_start, 34);
	ck_assert_uint_eq(bed.offload.csum_offset, 16);
	vu_net_give_back(bed.net, TX);
}
END_TEST

/* Headers that must not pass: too short; marks that were not negotiated, or that do not fit. */
static const struct {
	uint8_t hdr[12];
	uint32_t len;
} bad[] = {
    {{0}, 11},
    {{0}, 25},
    {{1, 0, 0, 0, 0, 0, 60, 0, 16}, 12 + 60},
    {{0, FRAME_GSO_TCPV4, 0, 0, 0xa8, 5, 34, 0, 16}, 12 + 2000},
    {{1, FRAME_GSO_TCPV4, 0, 0, 0, 0, 34, 0, 16}, 12 + 2000},
    {{1, FRAME_GSO_TCPV6, 0, 0, 0xa8, 5, 34, 0, 16}, 12 + 2000},
    {{1, FRAME_GSO_UDP_L4, 0, 0, 0xa8, 5, 34, 0, 6}, 12 + 2000},
    {{1, 3, 0, 0, 0xa8, 5, 34, 0, 6}, 12 + 2000},
    {{1, 0x80, 0, 0, 0xa8, 5, 34, 0, 6}, 12 + 2000},
};

START_TEST(test_a_bad_header_is_counted_and_given_back)
{
	uint8_t bytes[4096] = {0};
	uint32_t id, len;

	start(FEATURES, 2048);
	memcpy(bytes, bad[_i].hdr, 12);
	vq_send(&bed.tx, bytes, bad[_i].len);
	ck_assert_int_eq(vu_net_take(bed.net, TX, on_frame, NULL), 1);
	vu_net_give_back(bed.net, TX);
	ck_assert_uint_eq(bed.n, 0);
	ck_assert_uint_eq(vu_net_counters(bed.net)->malformed, 1);
	ck_assert(vq_take_used(&bed.tx, &id, &len));
}
END_TEST

/* One frame in a chain of 'n' buffers of 'each' bytes. */
static void send_chain(uint16_t n, uint32_t each)
{
	for (uint16_t i = 0; i < n; i++) {
		fill(vq_buffer(&bed.tx, i), each, (uint8_t)i);
		vq_set_desc(&bed.tx, i,
			    (struct vq_desc){VQ_GUEST_BASE + bed.tx.buffers_at + i * 4096U, each,
					     i + 1 < n ? VQ_NEXT : 0, (uint16_t)(i + 1)});
	}
	memset(vq_buffer(&bed.tx, 0), 0, 12);
	vq_offer(&bed.tx, 0);
}

START_TEST(test_a_frame_in_many_pieces_arrives_whole)
{
	start(FEATURES, 2048);
	send_chain(200, 100);
	ck_assert_int_eq(vu_net_take(bed.net, TX, on_frame, NULL), 1);
	ck_assert_uint_eq(bed.n, 1);
	ck_assert_uint_eq(bed.len, 200 * 100 - 12);
	ck_assert_mem_eq(bed.frame + 100 - 12, vq_buffer(&bed.tx, 1), 100);
	ck_assert_mem_eq(bed.frame + 199 * 100 - 12, vq_buffer(&bed.tx, 199), 100);
	vu_net_give_back(bed.net, TX);
}
END_TEST

START_TEST(test_two_frames_in_many_pieces_take_two_turns)
{
	start(FEATURES, 2048);
	send_chain(200, 100);
	vq_offer(&bed.tx, 0);
	ck_assert_int_eq(vu_net_take(bed.net, TX, on_frame, NULL), 1);
	vu_net_give_back(bed.net, TX);
	ck_assert_int_eq(vu_net_take(bed.net, TX, on_frame, NULL), 1);
	vu_net_give_back(bed.net, TX);
	ck_assert_uint_eq(bed.n, 2);
}
END_TEST

START_TEST(test_a_header_in_pieces_of_one_byte_is_read)
{
	start(FEATURES, 2048);
	send_chain(100, 1);
	for (uint16_t i = 0; i < 12; i++)
		*vq_buffer(&bed.tx, i) = 0;
	ck_assert_int_eq(vu_net_take(bed.net, TX, on_frame, NULL), 1);
	vu_net_give_back(bed.net, TX);
	ck_assert_uint_eq(bed.len, 88);
}
END_TEST

START_TEST(test_a_frame_longer_than_any_is_dropped)
{
	start(FEATURES, 2048);
	send_chain(17, 4096);
	ck_assert_int_eq(vu_net_take(bed.net, TX, on_frame, NULL), 1);
	vu_net_give_back(bed.net, TX);
	ck_assert_uint_eq(bed.n, 0);
	ck_assert_uint_eq(vu_net_counters(bed.net)->malformed, 1);
}
END_TEST

START_TEST(test_a_disabled_ring_is_only_emptied)
{
	uint8_t bytes[100] = {0};
	uint32_t id, len;

	start(FEATURES, 2048);
	vq_send(&bed.tx, bytes, sizeof(bytes));
	ck_assert_int_eq(vu_net_take(bed.net, TX, NULL, NULL), 1);
	vu_net_give_back(bed.net, TX);
	ck_assert(vq_take_used(&bed.tx, &id, &len));
	ck_assert_uint_eq(vu_net_counters(bed.net)->malformed, 0);
}
END_TEST

START_TEST(test_a_batch_is_bounded)
{
	uint8_t bytes[100] = {0};

	start(FEATURES, 2048);
	for (unsigned i = 0; i < SIZE; i++)
		vq_send(&bed.tx, bytes, sizeof(bytes));
	ck_assert_int_eq(vu_net_take(bed.net, TX, on_frame, NULL), VU_BATCH_MAX);
	vu_net_give_back(bed.net, TX);
}
END_TEST

/* ---- to the guest ---- */

static bool put(size_t len, struct frame_offload offload)
{
	static uint8_t bytes[FRAME_LEN_MAX];
	struct iovec iov[] = {{bytes, 54}, {bytes + 54, (len - 54) / 3}, {NULL, 0}};
	struct frame frame = {.iov = iov, .iov_n = 3, .len = (uint32_t)len, .offload = offload};

	fill(bytes, len, 9);
	iov[2] = (struct iovec){bytes + 54 + iov[1].iov_len, len - 54 - iov[1].iov_len};
	return vu_net_put(bed.net, &frame);
}

/* The next frame the guest finds: its header in 'hdr', its bytes in bed.frame. Returns its length.
 */
static size_t receive(uint8_t hdr[12], unsigned *ret_buffers)
{
	uint32_t id, len;
	size_t at = 0;

	ck_assert(vq_take_used(&bed.rx, &id, &len));
	memcpy(hdr, vq_buffer(&bed.rx, (uint16_t)id), 12);
	*ret_buffers = hdr[10] | (unsigned)hdr[11] << 8;
	memcpy(bed.frame, vq_buffer(&bed.rx, (uint16_t)id) + 12, len - 12);
	at = len - 12;
	for (unsigned i = 1; i < *ret_buffers; i++) {
		ck_assert(vq_take_used(&bed.rx, &id, &len));
		memcpy(bed.frame + at, vq_buffer(&bed.rx, (uint16_t)id), len);
		at += len;
	}
	return at;
}

static void check_received(size_t len, unsigned buffers)
{
	static uint8_t want[FRAME_LEN_MAX];
	uint8_t hdr[12];
	unsigned n;

	fill(want, len, 9);
	ck_assert_uint_eq(receive(hdr, &n), len);
	ck_assert_uint_eq(n, buffers);
	ck_assert_mem_eq(bed.frame, want, len);
}

START_TEST(test_a_frame_is_written_with_one_call)
{
	start(FEATURES, 2048);
	vq_offer_buffers(&bed.rx, 4);
	ck_assert(put(1514, (struct frame_offload){0}));
	ck_assert(put(60, (struct frame_offload){0}));
	ck_assert_uint_eq(vq_used_idx(&bed.rx), 0);
	ck_assert_uint_eq(vu_net_publish(bed.net), 1U << RX);
	ck_assert_uint_eq(vu_net_publish(bed.net), 0);
	check_received(1514, 1);
	check_received(60, 1);
}
END_TEST

START_TEST(test_a_large_frame_takes_several_buffers)
{
	struct frame_offload offload = {1, FRAME_GSO_TCPV4, 1448, 34, 16};
	uint8_t hdr[12];
	unsigned n;

	start(FEATURES, 2048);
	vq_offer_buffers(&bed.rx, 64);
	ck_assert(put(65000, offload));
	vu_net_publish(bed.net);
	ck_assert_uint_eq(receive(hdr, &n), 65000);
	ck_assert_uint_eq(n, (65000 + 12 + 2047) / 2048);
	ck_assert_uint_eq(hdr[0], 1);
	ck_assert_uint_eq(hdr[1], FRAME_GSO_TCPV4);
	ck_assert_uint_eq(hdr[4] | hdr[5] << 8, 1448);
	ck_assert_uint_eq(hdr[6], 34);
	ck_assert_uint_eq(hdr[8], 16);
}
END_TEST

START_TEST(test_a_full_ring_keeps_frames_for_later_in_order)
{
	start(FEATURES, 2048);
	vq_offer_buffers(&bed.rx, 1);
	ck_assert(put(100, (struct frame_offload){0}));
	ck_assert(put(3000, (struct frame_offload){0}));
	ck_assert(put(200, (struct frame_offload){0}));
	ck_assert(vu_net_keeps(bed.net));
	vu_net_publish(bed.net);
	check_received(100, 1);
	vq_offer_buffers(&bed.rx, 1);
	vu_net_put_kept(bed.net); /* not enough for the next */
	ck_assert(vu_net_keeps(bed.net));
	vq_offer_buffers(&bed.rx, 2);
	vu_net_put_kept(bed.net);
	ck_assert(!vu_net_keeps(bed.net));
	vu_net_publish(bed.net);
	check_received(3000, 2);
	check_received(200, 1);
}
END_TEST

START_TEST(test_what_is_kept_is_bounded)
{
	unsigned n = 0;

	start(FEATURES, 2048);
	while (n < 1000 && put(65000, (struct frame_offload){0}))
		n++;
	ck_assert_uint_eq(n, VU_BACKLOG_MAX / 65000);
	ck_assert_uint_eq(vu_net_counters(bed.net)->dropped_backlog, 1);
	vu_net_forget(bed.net);
	ck_assert(!vu_net_keeps(bed.net));
}
END_TEST

START_TEST(test_a_frame_larger_than_a_ring_does_not_stop_it)
{
	start(FEATURES, 200);
	vq_offer_buffers(&bed.rx, SIZE);
	ck_assert(!put(60000, (struct frame_offload){0}));
	ck_assert_uint_eq(vu_net_counters(bed.net)->dropped_buffer, 1);
	ck_assert(put(100, (struct frame_offload){0}));
	vu_net_publish(bed.net);
	check_received(100, 1);
}
END_TEST

START_TEST(test_without_merging_a_frame_needs_one_buffer)
{
	start(FEATURES & ~VIRTIO_NET_F_MRG_RXBUF, 2048);
	vq_offer_buffers(&bed.rx, 4);
	ck_assert(!put(3000, (struct frame_offload){0}));
	ck_assert_uint_eq(vu_net_counters(bed.net)->dropped_buffer, 1);
	ck_assert(put(1514, (struct frame_offload){0}));
	vu_net_publish(bed.net);
	check_received(1514, 1);
}
END_TEST

START_TEST(test_a_driver_that_is_not_there_gets_nothing)
{
	start(FEATURES, 2048);
	vq_offer_buffers(&bed.rx, 4);
	say((struct vu_msg){.request = VU_SET_VRING_ENABLE, .state = {RX, 0}});
	ck_assert(!vu_net_is_up(bed.net));
	ck_assert(!put(100, (struct frame_offload){0}));
	ck_assert_uint_eq(vu_net_counters(bed.net)->dropped_not_up, 1);
	say((struct vu_msg){.request = VU_SET_VRING_ENABLE, .state = {RX, 1}});
	ck_assert(vu_net_is_up(bed.net));
	ck_assert(put(100, (struct frame_offload){0}));
}
END_TEST

START_TEST(test_a_readable_buffer_in_the_receive_ring_breaks_it)
{
	uint8_t bytes[100] = {0};

	start(FEATURES, 2048);
	vq_send(&bed.rx, bytes, sizeof(bytes));
	ck_assert(!put(100, (struct frame_offload){0}));
	ck_assert(vu_net_broke(bed.net));
	ck_assert(!vu_net_broke(bed.net));
}
END_TEST

/* ---- what the front-end may do ---- */

START_TEST(test_taking_the_memory_away_stops_the_rings)
{
	struct vu_mem_region region = {VQ_GUEST_BASE, MEM_LEN, USER_BASE, 0};

	start(FEATURES, 2048);
	vq_offer_buffers(&bed.rx, 4);
	ck_assert_int_eq(say((struct vu_msg){.request = VU_REM_MEM_REG, .region = region}), 0);
	ck_assert(!vu_ring_serves(&bed.dev.ring[RX]));
	ck_assert(!put(100, (struct frame_offload){0}));
	ck_assert_int_eq(say((struct vu_msg){.request = VU_REM_MEM_REG, .region = region}),
			 -ENOENT);
	/* It comes back: the rings go on where they were. */
	ck_assert_int_eq(say_fd((struct vu_msg){.request = VU_ADD_MEM_REG, .region = region}, 7),
			 0);
	ck_assert(put(100, (struct frame_offload){0}));
	vu_net_publish(bed.net);
	check_received(100, 1);
}
END_TEST

START_TEST(test_a_region_added_twice_is_removed_twice)
{
	struct vu_mem_region region = {UINT64_C(1) << 40, 4096, UINT64_C(1) << 46, 0};

	start(FEATURES, 2048);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(
		    say_fd((struct vu_msg){.request = VU_ADD_MEM_REG, .region = region}, 7), 0);
	ck_assert_uint_eq(bed.dev.mem.n, 2);
	ck_assert_int_eq(say((struct vu_msg){.request = VU_REM_MEM_REG, .region = region}), 0);
	ck_assert_uint_eq(bed.dev.mem.n, 2);
	ck_assert_int_eq(say((struct vu_msg){.request = VU_REM_MEM_REG, .region = region}), 0);
	ck_assert_uint_eq(bed.dev.mem.n, 1);
}
END_TEST

START_TEST(test_the_base_of_a_stopped_ring_is_where_it_stood)
{
	struct vu_msg get = {.request = VU_GET_VRING_BASE, .state = {TX, 0}};
	uint8_t bytes[100] = {0}, reply[VU_REPLY_MAX];
	uint32_t base;
	size_t len;

	start(FEATURES, 2048);
	for (unsigned i = 0; i < 3; i++)
		vq_send(&bed.tx, bytes, sizeof(bytes));
	ck_assert_int_eq(vu_net_take(bed.net, TX, on_frame, NULL), 3);
	vu_net_give_back(bed.net, TX);
	ck_assert_int_eq(vu_device_message(&bed.dev, &get, NULL, 0, reply, &len), 0);
	ck_assert_uint_eq(len, VU_REPLY_MAX);
	memcpy(&base, reply + VU_HDR_LEN + 4, 4);
	ck_assert_uint_eq(base, 3);
	ck_assert(!vu_ring_serves(&bed.dev.ring[TX]));
	start_ring(TX, &bed.tx); /* with the base it was left at */
	vq_send(&bed.tx, bytes, sizeof(bytes));
	ck_assert_int_eq(vu_net_take(bed.net, TX, on_frame, NULL), 1);
	vu_net_give_back(bed.net, TX);
}
END_TEST

static const struct vu_msg refused[] = {
    {.request = VU_SET_VRING_NUM, .state = {8, 256}},
    {.request = VU_SET_VRING_NUM, .state = {2, 0}},
    {.request = VU_SET_VRING_NUM, .state = {2, 300}},
    {.request = VU_SET_VRING_NUM, .state = {2, 65536}},
    {.request = VU_SET_VRING_NUM, .state = {RX, 128}}, /* while it runs */
    {.request = VU_SET_VRING_BASE, .state = {2, 65536}},
    {.request = VU_SET_VRING_ADDR, .addr = {.index = 2, .desc = 4096}},
    {.request = VU_SET_VRING_ENABLE, .state = {UINT32_MAX, 1}},
    {.request = VU_SET_VRING_KICK, .u64 = 200},
    {.request = VU_SET_VRING_KICK, .u64 = 2}, /* no descriptor came along */
    {.request = VU_SET_FEATURES, .u64 = UINT64_C(1) << 40},
    {.request = VU_SET_MEM_TABLE, .mem = {.n = 2}},
    {.request = VU_ADD_MEM_REG, .region = {0, 0, 0, 0}},
    {.request = VU_SET_LOG_BASE, .log = {4096, 0}},
    {.request = VU_NET_SET_MTU, .u64 = 70000},
    {.request = 999},
};

START_TEST(test_what_makes_no_sense_is_refused)
{
	start(FEATURES, 2048);
	ck_assert_int_lt(say(refused[_i]), 0);
}
END_TEST

START_TEST(test_a_refusal_is_acknowledged_when_asked_for)
{
	struct vu_msg msg = {.request = 999, .need_reply = true};
	uint8_t reply[VU_REPLY_MAX];
	size_t len;

	say((struct vu_msg){.request = VU_SET_PROTOCOL_FEATURES, .u64 = VU_PROTOCOL_F_REPLY_ACK});
	ck_assert_int_eq(vu_device_message(&bed.dev, &msg, NULL, 0, reply, &len), 0);
	ck_assert_uint_eq(len, VU_REPLY_MAX);
	ck_assert_uint_eq(reply[VU_HDR_LEN], 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vu_net");
	TCase *tc = tcase_create("vu_net");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_a_frame_arrives_without_its_header_and_goes_back);
	tcase_add_test(tc, test_marks_of_a_large_segment_arrive);
	tcase_add_loop_test(tc, test_a_bad_header_is_counted_and_given_back, 0,
			    sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tc, test_a_frame_in_many_pieces_arrives_whole);
	tcase_add_test(tc, test_two_frames_in_many_pieces_take_two_turns);
	tcase_add_test(tc, test_a_header_in_pieces_of_one_byte_is_read);
	tcase_add_test(tc, test_a_frame_longer_than_any_is_dropped);
	tcase_add_test(tc, test_a_disabled_ring_is_only_emptied);
	tcase_add_test(tc, test_a_batch_is_bounded);
	tcase_add_test(tc, test_a_frame_is_written_with_one_call);
	tcase_add_test(tc, test_a_large_frame_takes_several_buffers);
	tcase_add_test(tc, test_a_full_ring_keeps_frames_for_later_in_order);
	tcase_add_test(tc, test_what_is_kept_is_bounded);
	tcase_add_test(tc, test_a_frame_larger_than_a_ring_does_not_stop_it);
	tcase_add_test(tc, test_without_merging_a_frame_needs_one_buffer);
	tcase_add_test(tc, test_a_driver_that_is_not_there_gets_nothing);
	tcase_add_test(tc, test_a_readable_buffer_in_the_receive_ring_breaks_it);
	tcase_add_test(tc, test_taking_the_memory_away_stops_the_rings);
	tcase_add_test(tc, test_a_region_added_twice_is_removed_twice);
	tcase_add_test(tc, test_the_base_of_a_stopped_ring_is_where_it_stood);
	tcase_add_loop_test(tc, test_what_makes_no_sense_is_refused, 0,
			    sizeof(refused) / sizeof(refused[0]));
	tcase_add_test(tc, test_a_refusal_is_acknowledged_when_asked_for);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
