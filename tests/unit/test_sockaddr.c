#include "stack/host/sockaddr.h"

#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

START_TEST(test_ipv4_becomes_af_inet_and_comes_back)
{
	struct endpoint from = {addr_v4(0xc0a81fc8), 0x1f90}, back = {0};
	struct sockaddr_storage name;
	struct sockaddr_in in;

	ck_assert_uint_eq(host_sockaddr_from(&from, &name), sizeof(in));
	memcpy(&in, &name, sizeof(in));
	ck_assert_int_eq(in.sin_family, AF_INET);
	ck_assert_int_eq(memcmp(&in.sin_addr, "\xc0\xa8\x1f\xc8", 4), 0);
	ck_assert_int_eq(memcmp(&in.sin_port, "\x1f\x90", 2), 0);
	ck_assert(host_sockaddr_to(&name, sizeof(in), &back));
	ck_assert(endpoint_eq(&from, &back));
}
END_TEST

START_TEST(test_ipv6_becomes_af_inet6_and_comes_back)
{
	struct endpoint from = {{{0xfe, 0xc0, [15] = 2}}, 65535}, back = {0};
	struct sockaddr_storage name;
	struct sockaddr_in6 in6;

	ck_assert_uint_eq(host_sockaddr_from(&from, &name), sizeof(in6));
	memcpy(&in6, &name, sizeof(in6));
	ck_assert_int_eq(in6.sin6_family, AF_INET6);
	ck_assert_int_eq(memcmp(&in6.sin6_addr, from.addr.b, 16), 0);
	ck_assert_int_eq(memcmp(&in6.sin6_port, "\xff\xff", 2), 0);
	ck_assert_uint_eq(in6.sin6_scope_id, 0);
	ck_assert_uint_eq(in6.sin6_flowinfo, 0);
	ck_assert(host_sockaddr_to(&name, sizeof(in6), &back));
	ck_assert(endpoint_eq(&from, &back));
}
END_TEST

START_TEST(test_v4_mapped_from_the_kernel_is_ipv4)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
				   .sin6_addr = {{{[10] = 0xff, [11] = 0xff, 127, 0, 0, 1}}}};
	struct addr loopback = addr_v4(0x7f000001);
	struct sockaddr_storage name;
	struct endpoint got;

	memcpy(&name, &in6, sizeof(in6));
	ck_assert(host_sockaddr_to(&name, sizeof(in6), &got));
	ck_assert(addr_eq(&got.addr, &loopback));
}
END_TEST

START_TEST(test_other_families_and_short_addresses_are_refused)
{
	struct endpoint from = {addr_v4(0x01020304), 5}, got = from;
	struct sockaddr_storage name;
	socklen_t len = host_sockaddr_from(&from, &name);

	got.port = 77;
	ck_assert(!host_sockaddr_to(&name, len - 1, &got));
	ck_assert(!host_sockaddr_to(&name, 0, &got));
	from.addr.b[0] = 0x20;
	len = host_sockaddr_from(&from, &name);
	ck_assert(!host_sockaddr_to(&name, len - 1, &got));
	name.ss_family = AF_UNIX;
	ck_assert(!host_sockaddr_to(&name, sizeof(struct sockaddr_un), &got));
	ck_assert_uint_eq(got.port, 77);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sockaddr");
	TCase *tc = tcase_create("sockaddr");
	SRunner *runner = srunner_create(suite);

	tcase_add_test(tc, test_ipv4_becomes_af_inet_and_comes_back);
	tcase_add_test(tc, test_ipv6_becomes_af_inet6_and_comes_back);
	tcase_add_test(tc, test_v4_mapped_from_the_kernel_is_ipv4);
	tcase_add_test(tc, test_other_families_and_short_addresses_are_refused);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);

	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
