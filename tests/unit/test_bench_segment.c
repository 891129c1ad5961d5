/* The test-bed's network card: what it makes of checksums and marks decides whether what a NAT sent
 * arrives at its guest. */
#include "tests/bench/segment.c"

#include "tests/support/suite.h"

#include <check.h>

#define ETH 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x52, 0x55, 0x0a, 0, 2, 2

/* 10.99.0.1:7 to 10.0.2.15:1234; 3 bytes; no right checksum. */
static const uint8_t UDP_FRAME[] = {ETH, 0x08, 0x00, 0x45, 0,  0,    31,   0,   0,   0x40, 0,  64,
				    17,  0,    0,    10,   99, 0,    1,    10,  0,   2,    15, 0,
				    7,   0x04, 0xd2, 0,    11, 0xab, 0xcd, 'a', 'b', 'c'};

/* The same ends, TCP, PSH and ACK. */
static const uint8_t TCP_FRAME[] = {ETH,  0x08, 0x00, 0x45, 0,    0, 43, 0,   0,   0x40, 0,  64,
				    6,    0,    0,    10,   99,   0, 1,  10,  0,   2,    15, 0,
				    7,    0x04, 0xd2, 0,    0,    1, 0,  0,   0,   2,    0,  0x50,
				    0x18, 0x10, 0,    0xab, 0xcd, 0, 0,  'a', 'b', 'c'};

static const struct virtio_net_hdr_v1 VALID = {.flags = VIRTIO_NET_HDR_F_DATA_VALID};
static const struct virtio_net_hdr_v1 PLAIN = {0};

static uint16_t udp_sum(const uint8_t *frame, uint8_t proto, size_t len)
{
	checksum_sum sum = checksum_add(0, frame + 26, 8) + proto + len;

	return checksum_finish(checksum_add(sum, frame + 34, len));
}

START_TEST(test_trusted_datagram_is_marked_and_can_be_completed)
{
	struct virtio_net_hdr_v1 hdr = VALID;
	uint8_t frame[sizeof(UDP_FRAME)];

	memcpy(frame, UDP_FRAME, sizeof(frame));
	segment_trust_checksum(frame, sizeof(frame), &hdr);
	ck_assert_uint_eq(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	ck_assert_uint_eq(hdr.csum_start, 34);
	ck_assert_uint_eq(hdr.csum_offset, 6);
	segment_complete_checksum(frame, sizeof(frame), &hdr);
	ck_assert_uint_eq(udp_sum(frame, 17, 11), 0);
}
END_TEST

START_TEST(test_trusted_segment_of_which_only_headers_are_at_hand_is_marked)
{
	struct virtio_net_hdr_v1 hdr = VALID;
	uint8_t frame[sizeof(TCP_FRAME)];

	memcpy(frame, TCP_FRAME, sizeof(frame));
	segment_trust_checksum(frame, sizeof(frame) - 3, &hdr);
	ck_assert_uint_eq(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	ck_assert_uint_eq(hdr.csum_offset, 16);
	segment_complete_checksum(frame, sizeof(frame), &hdr);
	ck_assert_uint_eq(udp_sum(frame, 6, 23), 0);
}
END_TEST

START_TEST(test_frame_cut_off_in_its_headers_is_left_alone)
{
	uint8_t frame[sizeof(TCP_FRAME)];

	for (size_t len = 0; len < 52; len++) {
		struct virtio_net_hdr_v1 hdr = VALID;
		memcpy(frame, TCP_FRAME, sizeof(frame));
		segment_trust_checksum(frame, len, &hdr);
		ck_assert_uint_eq(hdr.flags, VIRTIO_NET_HDR_F_DATA_VALID);
		ck_assert_mem_eq(frame, TCP_FRAME, sizeof(frame));
	}
}
END_TEST

START_TEST(test_frame_that_is_not_trusted_keeps_its_checksum)
{
	struct virtio_net_hdr_v1 hdr = PLAIN;
	uint8_t frame[sizeof(TCP_FRAME)];

	memcpy(frame, TCP_FRAME, sizeof(frame));
	segment_trust_checksum(frame, sizeof(frame), &hdr);
	ck_assert_uint_eq(hdr.flags, 0);
	ck_assert_mem_eq(frame, TCP_FRAME, sizeof(frame));
}
END_TEST

START_TEST(test_lone_marked_frame_leaves_the_merger_with_its_mark)
{
	struct virtio_net_hdr_v1 hdr = VALID;
	struct merger merger = {0};
	uint8_t frame[sizeof(TCP_FRAME)];
	const struct virtio_net_hdr_v1 *out = &merger.hdr;

	memcpy(frame, TCP_FRAME, sizeof(frame));
	segment_trust_checksum(frame, sizeof(frame), &hdr);
	ck_assert(merger_add(&merger, frame, sizeof(frame), &hdr));
	ck_assert_int_eq(merger_take_out(&merger), 2);
	ck_assert_ptr_eq(merger.iov[0].iov_base, out);
	ck_assert_uint_eq(out->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	ck_assert_uint_eq(out->csum_start, 34);
}
END_TEST

START_TEST(test_frame_with_a_wrong_checksum_and_no_mark_is_not_merged)
{
	struct merger merger = {0};
	uint8_t first[sizeof(TCP_FRAME)], second[sizeof(TCP_FRAME)];

	memcpy(first, TCP_FRAME, sizeof(first));
	memcpy(second, TCP_FRAME, sizeof(second));
	second[41] += 3; /* the next in sequence */
	ck_assert(merger_add(&merger, first, sizeof(first), &PLAIN));
	ck_assert(!merger_add(&merger, second, sizeof(second), &PLAIN));
	ck_assert_int_eq(merger_take_out(&merger), 2);
	ck_assert_uint_eq(merger.hdr.flags, 0);
}
END_TEST

START_TEST(test_marked_segments_in_sequence_become_one)
{
	struct virtio_net_hdr_v1 mark[2] = {VALID, VALID};
	struct merger merger = {0};
	uint8_t first[sizeof(TCP_FRAME)], second[sizeof(TCP_FRAME)];

	memcpy(first, TCP_FRAME, sizeof(first));
	first[47] = TCP_ACK; /* PSH would end it */
	memcpy(second, TCP_FRAME, sizeof(second));
	second[41] += 3;
	segment_trust_checksum(first, sizeof(first), &mark[0]);
	segment_trust_checksum(second, sizeof(second), &mark[1]);
	ck_assert(merger_add(&merger, first, sizeof(first), &mark[0]));
	ck_assert(merger_add(&merger, second, sizeof(second), &mark[1]));
	ck_assert_int_eq(merger_take_out(&merger), 3);
	ck_assert_uint_eq(merger.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	ck_assert_uint_eq(merger.hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	ck_assert_uint_eq(merger.hdr.gso_size, 3);
	ck_assert_uint_eq(first[47], TCP_ACK | TCP_PSH);
}
END_TEST

int main(void)
{
	return SUITE_RUN("bench segment", test_trusted_datagram_is_marked_and_can_be_completed,
			 test_trusted_segment_of_which_only_headers_are_at_hand_is_marked,
			 test_frame_cut_off_in_its_headers_is_left_alone,
			 test_frame_that_is_not_trusted_keeps_its_checksum,
			 test_lone_marked_frame_leaves_the_merger_with_its_mark,
			 test_frame_with_a_wrong_checksum_and_no_mark_is_not_merged,
			 test_marked_segments_in_sequence_become_one);
}
