#include "tests/support/suite.h"

static void add(Suite *suite, const TTest *const *tests, unsigned tests_n, void (*setup)(void))
{
	TCase *tc = tcase_create(setup ? "again" : "all");

	tcase_set_timeout(tc, 900);
	if (setup)
		tcase_add_checked_fixture(tc, setup, NULL);
	for (unsigned i = 0; i < tests_n; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
}

static int run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

int suite_run(const char *name, const TTest *const *tests, unsigned tests_n)
{
	Suite *suite = suite_create(name);

	add(suite, tests, tests_n, NULL);
	return run(suite);
}

int suite_run_twice(const char *name, const TTest *const *tests, unsigned tests_n,
		    void (*setup_again)(void))
{
	Suite *suite = suite_create(name);

	add(suite, tests, tests_n, NULL);
	add(suite, tests, tests_n, setup_again);
	return run(suite);
}
