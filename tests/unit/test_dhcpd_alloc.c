/* Each allocation of dhcpd_new() failing in turn, and none at all afterwards. */
#include "tests/support/dhcp_bed.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
void *__interceptor_calloc(size_t n, size_t size);
#define real_calloc __interceptor_calloc
#else
void *__libc_calloc(size_t n, size_t size);
#define real_calloc __libc_calloc
#endif

static bool counting;
static unsigned calls_n, failing; /* 'failing' counts from 1; 0: none fails */

void *calloc(size_t n, size_t size)
{
	if (counting && ++calls_n == failing)
		return NULL;
	return real_calloc(n, size);
}

static int new_with_failing(unsigned nth, struct dhcpd **ret)
{
	struct dhcpd_config config = dhcp_bed_config();
	calls_n = 0;
	failing = nth;
	counting = true;
	int error = dhcpd_new(ret, &config);
	counting = false;
	return error;
}

START_TEST(test_a_server_is_made_whole_or_not_at_all)
{
	struct dhcpd *server = NULL;
	unsigned nth = 1;
	while (new_with_failing(nth, &server) == -ENOMEM) {
		ck_assert_ptr_null(server);
		nth++;
	}
	ck_assert_ptr_nonnull(server);
	ck_assert_uint_gt(nth, 3);
	dhcpd_free(server);
}
END_TEST

START_TEST(test_no_message_allocates)
{
	static struct dhcp_bed bed;
	dhcp_bed_open(&bed, NULL);
	calls_n = failing = 0;
	counting = true;
	for (uint32_t n = 0; n < 300; n++) {
		dhcp_bed_boot_named(&bed, n, "vm");
		dhcp_bed_decline(&bed, n, DHCP_BED_FIRST);
		dhcp_bed_reboot(&bed, n, 0x0a00020f);
	}
	counting = false;
	ck_assert_uint_eq(calls_n, 0);
	dhcp_bed_close(&bed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dhcpd_alloc");
	TCase *tc = tcase_create("allocations");
	tcase_add_test(tc, test_a_server_is_made_whole_or_not_at_all);
	tcase_add_test(tc, test_no_message_allocates);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
