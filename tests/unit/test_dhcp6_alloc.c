/* Each allocation of dhcpd6_new() and ra_new() failing in turn, and none at all afterwards. */
#include "dhcp/ra.h"
#include "tests/support/dhcp6_bed.h"
#include "tests/support/suite.h"

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

static struct dhcp6_bed bed;

static int new_with_failing(unsigned nth, struct dhcpd6 **ret)
{
	struct dhcpd6_config config = dhcp6_bed_config(&bed);
	int result;

	calls_n = 0;
	failing = nth;
	counting = true;
	result = dhcpd6_new(ret, &config);
	counting = false;
	return result;
}

START_TEST(test_a_server_is_made_whole_or_not_at_all)
{
	struct dhcpd6 *server = NULL;
	unsigned nth = 1;

	while (new_with_failing(nth, &server) == -ENOMEM) {
		ck_assert_ptr_null(server);
		nth++;
	}
	ck_assert_ptr_nonnull(server);
	ck_assert_uint_gt(nth, 5);
	dhcpd6_free(server);
}
END_TEST

START_TEST(test_no_message_allocates)
{
	dhcp6_bed_open(&bed, NULL);
	calls_n = failing = 0;
	counting = true;
	for (uint32_t n = 1; n < 300; n++)
		dhcp6_bed_boot_named(&bed, n, "vm");
	counting = false;
	ck_assert_uint_eq(calls_n, 0);
	dhcp6_bed_close(&bed);
}
END_TEST

START_TEST(test_advertisements_are_made_or_not)
{
	struct ra_config config = {.net = {{{0xfe, 0xc0}}, 64}};
	struct ra *ra = NULL;

	calls_n = 0;
	failing = 1;
	counting = true;
	ck_assert_int_eq(ra_new(&ra, &config), -ENOMEM);
	counting = false;
	ck_assert_ptr_null(ra);
	ra_free(NULL);
}
END_TEST

int main(void)
{
	return SUITE_RUN("dhcp6_alloc", test_a_server_is_made_whole_or_not_at_all,
			 test_no_message_allocates, test_advertisements_are_made_or_not);
}
