#include "stack/link/offload.h"

#include "stack/base/checksum.h"
#include "stack/base/wire.h"
#include "stack/link/virtio_net.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX 64

/* A frame of a guest, and what came of it. */
static uint8_t headers[128], payload[65000];
static struct {
	uint8_t bytes[2048];
	size_t len;
} got[FRAMES_MAX];
static unsigned got_n;

static void on_frame(void *ctx, const struct frame *frame)
{
	size_t len = 0;

	(void)ctx;
	ck_assert_uint_lt(got_n, FRAMES_MAX);
	ck_assert_uint_eq(frame->offload.needs_csum, 0);
	ck_assert_uint_eq(frame->offload.gso_type, 0);
	for (unsigned i = 0; i < frame->iov_n; i++) {
		ck_assert_uint_le(len + frame->iov[i].iov_len, sizeof(got[0].bytes));
		memcpy(got[got_n].bytes + len, frame->iov[i].iov_base, frame->iov[i].iov_len);
		len += frame->iov[i].iov_len;
	}
	ck_assert_uint_eq(frame->len, len);
	got[got_n++].len = len;
}

/* Ethernet, IP and TCP or UDP headers before 'len' bytes of payload. Returns their length. */
static size_t put_headers(bool v6, bool udp, size_t len)
{
	struct wire_out out = wire_out(headers, sizeof(headers));
	size_t l4_len = udp ? 8 : 32;

	wire_put_zero(&out, 12);
	wire_put_u16(&out, v6 ? 0x86dd : 0x0800);
	if (v6) {
		wire_put_u32(&out, 0x60000000);
		wire_put_u16(&out, (uint16_t)(l4_len + len));
		wire_put_u8(&out, udp ? 17 : 6);
		wire_put_u8(&out, 64);
		for (unsigned i = 0; i < 32; i++)
			wire_put_u8(&out, (uint8_t)(0xfd + i));
	} else {
		wire_put_u16(&out, 0x4500);
		wire_put_u16(&out, (uint16_t)(20 + l4_len + len));
		wire_put_u32(&out, 0x12fe4000);
		wire_put_u16(&out, (uint16_t)(64 << 8 | (udp ? 17 : 6)));
		wire_put_u16(&out, 0);
		wire_put_u32(&out, 0x0a00020f);
		wire_put_u32(&out, 0x0a000210);
	}
	wire_put_u16(&out, 4000);
	wire_put_u16(&out, 80);
	if (udp) {
		wire_put_u16(&out, (uint16_t)(8 + len));
		wire_put_u16(&out, 0);
		return wire_len(&out);
	}
	wire_put_u32(&out, 0xfffffff0); /* the sequence number wraps in between */
	wire_put_u32(&out, 0x01020304);
	wire_put_u16(&out, 0x8000 | 0x99); /* 32 bytes; CWR ACK PSH FIN */
	wire_put_u16(&out, 500);
	wire_put_u32(&out, 0);
	wire_put_u32(&out, 0x0101080a); /* time stamps */
	wire_put_u32(&out, 0x11111111);
	wire_put_u32(&out, 0x22222222);
	return wire_len(&out);
}

static uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* A right checksum sums up to zero, pseudo header included. */
static void check_sums(const uint8_t *bytes, size_t len, bool v6)
{
	const uint8_t *ip = bytes + 14, *l4 = ip + (v6 ? 40 : 20);
	size_t l4_len = len - (size_t)(l4 - bytes);
	uint8_t proto = v6 ? ip[6] : ip[9];
	uint8_t rest[4] = {(uint8_t)(l4_len >> 8), (uint8_t)l4_len, 0, proto};
	checksum_sum sum = v6 ? checksum_add(0, ip + 8, 32) : checksum_add(0, ip + 12, 8);

	if (!v6) {
		ck_assert_uint_eq(checksum_finish(checksum_add(0, ip, 20)), 0);
		ck_assert_uint_eq(get_u16(ip + 2), len - 14);
	} else {
		ck_assert_uint_eq(get_u16(ip + 4), len - 54);
	}
	sum = checksum_add(sum, rest, 4);
	ck_assert_uint_eq(checksum_finish(checksum_add(sum, l4, l4_len)), 0);
}

static bool finish(struct frame_offload offload, size_t headers_len, size_t len)
{
	/* Odd pieces: sums must not depend on where the pieces are cut. */
	size_t first = len < 7 ? len : 7, second = (len - first) / 2 | 1;
	second = second > len - first ? len - first : second;
	struct iovec iov[] = {{headers, headers_len},
			      {payload, first},
			      {payload + first, second},
			      {payload + first + second, len - first - second}};
	struct frame frame = {
	    .iov = iov, .iov_n = 4, .len = (uint32_t)(headers_len + len), .offload = offload};

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + i / 256);
	got_n = 0;
	return offload_finish(&frame, on_frame, NULL);
}

START_TEST(test_a_large_segment_is_cut)
{
	bool v6 = _i;
	size_t len = 10001, headers_len = put_headers(v6, false, len), done = 0;
	struct frame_offload offload = {.needs_csum = 1,
					.gso_type = (v6 ? FRAME_GSO_TCPV6 : FRAME_GSO_TCPV4) |
						    FRAME_GSO_ECN,
					.gso_size = 1448,
					.csum_start = v6 ? 54 : 34,
					.csum_offset = 16};

	ck_assert(finish(offload, headers_len, len));
	ck_assert_uint_eq(got_n, 7);
	for (unsigned i = 0; i < got_n; i++) {
		const uint8_t *tcp = got[i].bytes + offload.csum_start;
		size_t here = got[i].len - headers_len;
		struct wire_in in = wire_in(tcp + 4, 4);
		ck_assert_uint_eq(here, i < 6 ? 1448 : len - 6 * 1448);
		ck_assert_uint_eq(wire_get_u32(&in), (uint32_t)(0xfffffff0 + done));
		ck_assert_mem_eq(tcp + 32, payload + done, here);
		ck_assert_uint_eq(tcp[13], i == 0 ? 0x90 : i < 6 ? 0x10 : 0x19);
		if (!v6)
			ck_assert_uint_eq(get_u16(got[i].bytes + 18), 0x12fe + i);
		check_sums(got[i].bytes, got[i].len, v6);
		done += here;
	}
	ck_assert_uint_eq(done, len);
}
END_TEST

START_TEST(test_a_large_datagram_is_cut)
{
	bool v6 = _i;
	size_t len = 3000, headers_len = put_headers(v6, true, len);
	struct frame_offload offload = {.needs_csum = 1,
					.gso_type = FRAME_GSO_UDP_L4,
					.gso_size = 1200,
					.csum_start = v6 ? 54 : 34,
					.csum_offset = 6};

	ck_assert(finish(offload, headers_len, len));
	ck_assert_uint_eq(got_n, 3);
	for (unsigned i = 0; i < got_n; i++) {
		size_t here = i < 2 ? 1200 : 600;
		ck_assert_uint_eq(got[i].len, headers_len + here);
		ck_assert_uint_eq(get_u16(got[i].bytes + offload.csum_start + 4), 8 + here);
		ck_assert_mem_eq(got[i].bytes + headers_len, payload + i * 1200, here);
		check_sums(got[i].bytes, got[i].len, v6);
	}
}
END_TEST

START_TEST(test_a_missing_checksum_is_filled_in)
{
	size_t len = 501, headers_len = put_headers(false, false, len);
	struct frame_offload offload = {.needs_csum = 1, .csum_start = 34, .csum_offset = 16};
	uint8_t rest[4] = {(32 + 501) >> 8, (32 + 501) & 0xff, 0, 6};
	checksum_sum sum = checksum_add(checksum_add(0, headers + 26, 8), rest, 4);
	uint16_t partial = (uint16_t)~checksum_finish(sum), ip_sum;

	headers[34 + 16] = (uint8_t)(partial >> 8);
	headers[34 + 17] = (uint8_t)partial;
	ip_sum = checksum_finish(checksum_add(0, headers + 14, 20));
	headers[24] = (uint8_t)(ip_sum >> 8);
	headers[25] = (uint8_t)ip_sum;
	ck_assert(finish(offload, headers_len, len));
	ck_assert_uint_eq(got_n, 1);
	check_sums(got[0].bytes, got[0].len, false);
	ck_assert_mem_eq(got[0].bytes + headers_len, payload, len);
}
END_TEST

/* Marks that do not fit a TCP frame over IPv4 of 1,000 bytes of payload. */
static const struct frame_offload misfits[] = {
    {1, FRAME_GSO_TCPV6, 500, 34, 16},    {1, FRAME_GSO_TCPV4, 500, 33, 16},
    {1, FRAME_GSO_TCPV4, 500, 34, 6},     {1, FRAME_GSO_TCPV4, 500, 54, 16},
    {1, FRAME_GSO_TCPV4, 500, 60000, 16}, {1, FRAME_GSO_UDP_L4, 500, 34, 16},
    {1, FRAME_GSO_TCPV4, 1, 34, 16},      {1, 0, 0, 65, 16},
};

START_TEST(test_marks_that_do_not_fit_are_refused)
{
	size_t headers_len = put_headers(false, false, 1000);

	ck_assert(!finish(misfits[_i], headers_len, 1000));
	ck_assert_uint_eq(got_n, 0);
}
END_TEST

START_TEST(test_a_tcp_header_longer_than_the_frame_is_refused)
{
	struct frame_offload offload = {1, FRAME_GSO_TCPV4, 500, 34, 16};
	size_t headers_len = put_headers(false, false, 0);

	headers[34 + 12] = 0xf0;
	ck_assert(!finish(offload, headers_len, 0));
	headers[34 + 12] = 0x10;
	ck_assert(!finish(offload, headers_len, 0));
}
END_TEST

START_TEST(test_ports_take_what_they_say)
{
	struct frame_offload none = {0}, csum = {.needs_csum = 1};
	struct frame_offload tso4 = {1, FRAME_GSO_TCPV4, 1, 0, 0};
	struct frame_offload ecn = {1, FRAME_GSO_TCPV6 | FRAME_GSO_ECN, 1, 0, 0};
	struct frame_offload uso = {1, FRAME_GSO_UDP_L4, 1, 0, 0};

	ck_assert(offload_is_taken(&none, 0));
	ck_assert(!offload_is_taken(&csum, 0));
	ck_assert(offload_is_taken(&csum, PORT_CSUM));
	ck_assert(!offload_is_taken(&tso4, PORT_CSUM | PORT_TSO6));
	ck_assert(offload_is_taken(&tso4, PORT_CSUM | PORT_TSO4));
	ck_assert(!offload_is_taken(&ecn, PORT_CSUM | PORT_TSO6));
	ck_assert(offload_is_taken(&ecn, PORT_CSUM | PORT_TSO6 | PORT_TSO_ECN));
	ck_assert(!offload_is_taken(&uso, PORT_CSUM | PORT_TSO4));
	ck_assert(offload_is_taken(&uso, PORT_CSUM | PORT_USO));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("offload");
	TCase *tc = tcase_create("offload");

	tcase_add_loop_test(tc, test_a_large_segment_is_cut, 0, 2);
	tcase_add_loop_test(tc, test_a_large_datagram_is_cut, 0, 2);
	tcase_add_test(tc, test_a_missing_checksum_is_filled_in);
	tcase_add_loop_test(tc, test_marks_that_do_not_fit_are_refused, 0,
			    sizeof(misfits) / sizeof(misfits[0]));
	tcase_add_test(tc, test_a_tcp_header_longer_than_the_frame_is_refused);
	tcase_add_test(tc, test_ports_take_what_they_say);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
