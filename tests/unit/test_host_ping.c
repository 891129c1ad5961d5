#include "tests/support/host_fixture.h"
#include "tests/support/netns.h"

#include "stack/base/wire.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER_LEN 8 /* type, code, checksum, identifier, sequence number */

static const struct addr localhost6 = {{[15] = 1}};

static struct addr loopback(bool v6)
{
	return v6 ? localhost6 : addr_v4(0x7f000001);
}

static size_t make_echo(bool v6, uint16_t sequence, uint8_t *ret, size_t len)
{
	struct wire_out out = wire_out(ret, len);

	wire_put_u8(&out, v6 ? 128 : 8);
	wire_put_u8(&out, 0);
	wire_put_u16(&out, 0); /* checksum: the kernel's */
	wire_put_u16(&out, 0x1234);
	wire_put_u16(&out, sequence);
	for (size_t i = HEADER_LEN; i < len; i++)
		wire_put_u8(&out, (uint8_t)(i * 5));
	ck_assert(!out.bad);
	return wire_len(&out);
}

static int send_ping(struct host_fixture *f, int handle, const struct addr *to, uint8_t ttl,
		     const uint8_t *bytes, size_t len)
{
	struct iovec iov[2] = {{(void *)bytes, 5}, {(void *)(bytes + 5), len - 5}};

	return f->ops->ping_send(f->host, handle, to, ttl, iov, 2);
}

START_TEST(test_forbidden_ping_is_eacces_and_costs_no_descriptor)
{
	struct host_fixture f;

	/* A new network namespace allows nobody. */
	if (!netns_enter() || (_i && !loopback_v6_available()))
		return;
	host_fixture_open(&f);

	int before = open_fd_count();

	ck_assert_int_eq(f.ops->ping_open(f.host, 1, _i), -EACCES);
	ck_assert_int_eq(open_fd_count(), before);
	ck_assert_uint_eq(host_handle_count(f.host), 0);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_echo_is_answered_with_the_whole_message)
{
	static const size_t lengths[] = {HEADER_LEN, 64, 4000, 65507};
	struct addr to = loopback(_i);
	struct host_fixture f;
	struct host_datagram got[4];
	static uint8_t echo[65507];

	if (!netns_enter() || (_i && !loopback_v6_available()))
		return;
	ck_assert(netns_allow_ping());
	host_fixture_open(&f);

	int handle = f.ops->ping_open(f.host, 1, _i);

	ck_assert_int_ge(handle, 0);
	for (uint16_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t len = make_echo(_i, i, echo, lengths[i]);

		ck_assert_int_eq(send_ping(&f, handle, &to, 0, echo, len), 0);
		host_fixture_wait(&f, 1, HOST_READABLE);
		ck_assert_int_eq(f.ops->recv(f.host, handle, got, 4), 1);
		ck_assert_int_eq(got[0].kind, HOST_DATAGRAM_DATA);
		ck_assert(addr_eq(&got[0].peer.addr, &to));
		ck_assert_uint_eq(got[0].peer.port, 0);
		ck_assert_uint_eq(got[0].len, len);
		ck_assert_uint_eq(got[0].bytes[0], _i ? 129 : 0);
		ck_assert_int_eq(memcmp(got[0].bytes + 6, echo + 6, len - 6), 0);
		ck_assert_int_eq(f.ops->recv(f.host, handle, got, 4), -EAGAIN);
	}
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_other_messages_than_echo_are_refused)
{
	struct addr to = loopback(false);
	struct host_fixture f;
	uint8_t message[64];

	if (!netns_enter())
		return;
	ck_assert(netns_allow_ping());
	host_fixture_open(&f);

	int handle = f.ops->ping_open(f.host, 1, false);

	ck_assert_int_ge(handle, 0);
	make_echo(false, 1, message, sizeof(message));
	message[0] = 5; /* redirect */
	ck_assert_int_eq(send_ping(&f, handle, &to, 0, message, sizeof(message)), -EINVAL);
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_ttl_goes_out_and_its_end_comes_back)
{
	bool v6 = _i;
	struct netns_places places = netns_places(v6);
	size_t ip_len = v6 ? 40 : 20;
	unsigned exceeded = v6 ? 3 : 11, unreachable = v6 ? 1 : 3;
	struct host_fixture f;
	struct host_datagram got[4];
	uint8_t echo[64], packet[2000];

	if ((v6 && !loopback_v6_available()) || !netns_enter())
		return;

	int tun = netns_tun();

	if (tun < 0)
		return;
	ck_assert(netns_allow_ping());
	host_fixture_open(&f);

	int handle = f.ops->ping_open(f.host, 1, v6);

	ck_assert_int_ge(handle, 0);
	for (uint8_t ttl = 1; ttl < 4; ttl++) {
		size_t len = make_echo(v6, ttl, echo, sizeof(echo));

		ck_assert_int_eq(send_ping(&f, handle, &places.far, ttl, echo, len), 0);
		unsigned error = ttl == 3 ? unreachable << 8 | 1 : exceeded << 8;
		size_t got_len = v6 ? netns_next_packet6(tun, packet, sizeof(packet))
				    : netns_next_packet(tun, packet, sizeof(packet));

		ck_assert_uint_eq(got_len, ip_len + len);
		ck_assert_uint_eq(packet[v6 ? 7 : 8], ttl);
		if (v6)
			netns_answer_icmp6(tun, packet, got_len, error, 0);
		else
			netns_answer_icmp(tun, packet, got_len, error, 0);
		ck_assert(host_fixture_wait(&f, 1, HOST_ERROR) & HOST_READABLE);
		ck_assert_int_eq(f.ops->recv(f.host, handle, got, 4), 1);
		ck_assert_int_eq(got[0].kind, HOST_DATAGRAM_ERROR);
		ck_assert_uint_eq(got[0].icmp_type, error >> 8);
		ck_assert_uint_eq(got[0].icmp_code, error & 0xff);
		ck_assert(addr_eq(&got[0].peer.addr, &places.far));
		ck_assert(addr_eq(&got[0].offender, &places.router));
		ck_assert_uint_eq(got[0].len, len);
		ck_assert_uint_eq(got[0].bytes[0], v6 ? 128 : 8);
		ck_assert_int_eq(memcmp(got[0].bytes + 6, echo + 6, len - 6), 0);
	}
	f.ops->datagram_close(f.host, handle);
	host_fixture_close(&f);
	close(tun);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host_ping");
	TCase *tc = tcase_create("ping");
	SRunner *runner = srunner_create(suite);

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, test_forbidden_ping_is_eacces_and_costs_no_descriptor, 0, 2);
	tcase_add_loop_test(tc, test_echo_is_answered_with_the_whole_message, 0, 2);
	tcase_add_test(tc, test_other_messages_than_echo_are_refused);
	tcase_add_loop_test(tc, test_ttl_goes_out_and_its_end_comes_back, 0, 2);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);

	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
