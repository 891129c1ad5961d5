#include "stack/link/virtio_net.h"

#include "stack/base/port.h"
#include "stack/link/vu_device.h"
#include "tests/support/suite.h"

#include <check.h>
#include <string.h>

#define FRAME_LEN 60000
#define ALL vu_device_features()

/* What a guest writes before a large segment of this kind. */
static bool is_read(uint8_t gso_type, uint64_t features, struct frame_offload *ret)
{
	uint8_t hdr[VIRTIO_NET_HDR_LEN_MAX] = {1, gso_type, 54, 0, 0xb4, 5, 34, 0, 16, 0, 1, 0};

	return virtio_net_hdr_get(hdr, features, FRAME_LEN, ret);
}

START_TEST(test_each_kind_of_large_segment_needs_its_feature)
{
	static const struct {
		uint8_t gso_type;
		uint64_t feature;
	} kinds[] = {{FRAME_GSO_TCPV4, VIRTIO_NET_F_HOST_TSO4},
		     {FRAME_GSO_TCPV6, VIRTIO_NET_F_HOST_TSO6},
		     {FRAME_GSO_TCPV4 | FRAME_GSO_ECN, VIRTIO_NET_F_HOST_ECN},
		     {FRAME_GSO_TCPV6 | FRAME_GSO_ECN, VIRTIO_NET_F_HOST_ECN},
		     {FRAME_GSO_UDP_L4, VIRTIO_NET_F_HOST_USO}};
	struct frame_offload offload;

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		ck_assert(ALL & kinds[i].feature);
		ck_assert(is_read(kinds[i].gso_type, ALL, &offload));
		ck_assert_uint_eq(offload.gso_type, kinds[i].gso_type);
		ck_assert_uint_eq(offload.gso_size, 1460);
		ck_assert(!is_read(kinds[i].gso_type, ALL & ~kinds[i].feature, &offload));
	}
}
END_TEST

START_TEST(test_kinds_that_nobody_knows_are_refused)
{
	struct frame_offload offload;

	for (unsigned gso_type = 1; gso_type < 256; gso_type++) {
		bool known = gso_type == FRAME_GSO_UDP_L4 ||
			     (gso_type & ~FRAME_GSO_ECN) == FRAME_GSO_TCPV4 ||
			     (gso_type & ~FRAME_GSO_ECN) == FRAME_GSO_TCPV6;
		ck_assert_int_eq(is_read((uint8_t)gso_type, ALL, &offload), known);
	}
}
END_TEST

START_TEST(test_marks_that_do_not_fit_their_frame_are_refused)
{
	uint8_t no_csum[12] = {0, FRAME_GSO_TCPV4, 54, 0, 0xb4, 5},
		no_size[12] = {1, FRAME_GSO_TCPV4, 54, 0, 0, 0, 34, 0, 16},
		behind[12] = {1, 0, 0, 0, 0, 0, 34, 0, 16}, plain[12] = {0};
	struct frame_offload offload;

	ck_assert(!virtio_net_hdr_get(no_csum, ALL, FRAME_LEN, &offload));
	ck_assert(!virtio_net_hdr_get(no_size, ALL, FRAME_LEN, &offload));
	ck_assert(!virtio_net_hdr_get(behind, ALL, 51, &offload));
	ck_assert(virtio_net_hdr_get(behind, ALL, 52, &offload));
	ck_assert(!virtio_net_hdr_get(behind, ALL & ~VIRTIO_NET_F_CSUM, 52, &offload));
	ck_assert(virtio_net_hdr_get(plain, 0, 14, &offload));
}
END_TEST

START_TEST(test_a_header_that_was_written_is_read_the_same)
{
	static const uint8_t kinds[] = {0, FRAME_GSO_TCPV4, FRAME_GSO_TCPV6 | FRAME_GSO_ECN,
					FRAME_GSO_UDP_L4};
	uint8_t hdr[VIRTIO_NET_HDR_LEN_MAX];

	for (unsigned i = 0; i < sizeof(kinds); i++) {
		struct frame_offload offload = {.needs_csum = 1,
						.gso_type = kinds[i],
						.gso_size = kinds[i] ? 1448 : 0,
						.csum_start = 34,
						.csum_offset = 16},
				     read;
		virtio_net_hdr_put(hdr, ALL, &offload, 5);
		ck_assert_uint_eq(hdr[10], 5);
		ck_assert(virtio_net_hdr_get(hdr, ALL, FRAME_LEN, &read));
		ck_assert_uint_eq(read.needs_csum, 1);
		ck_assert_uint_eq(read.gso_type, kinds[i]);
		ck_assert_uint_eq(read.gso_size, offload.gso_size);
		ck_assert_uint_eq(read.csum_start, 34);
		ck_assert_uint_eq(read.csum_offset, 16);
	}
}
END_TEST

START_TEST(test_a_guest_takes_what_it_acknowledged)
{
	ck_assert_uint_eq(virtio_net_guest_takes(ALL),
			  PORT_CSUM | PORT_TSO4 | PORT_TSO6 | PORT_TSO_ECN | PORT_USO);
	ck_assert_uint_eq(virtio_net_guest_takes(ALL & ~VIRTIO_NET_F_GUEST_CSUM), 0);
	ck_assert_uint_eq(virtio_net_guest_takes(VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO6),
			  PORT_CSUM | PORT_TSO6);
	/* Datagrams of one family alone: not worth a mark of its own. */
	ck_assert_uint_eq(virtio_net_guest_takes(VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_USO4),
			  PORT_CSUM);
}
END_TEST

int main(void)
{
	return SUITE_RUN("virtio_net", test_each_kind_of_large_segment_needs_its_feature,
			 test_kinds_that_nobody_knows_are_refused,
			 test_marks_that_do_not_fit_their_frame_are_refused,
			 test_a_header_that_was_written_is_read_the_same,
			 test_a_guest_takes_what_it_acknowledged);
}
