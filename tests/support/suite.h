/* The main() of a test program: one suite, each test in a process of its own. */
#ifndef LWNAT_TESTS_SUITE_H
#define LWNAT_TESTS_SUITE_H

#include <check.h>

/* Runs the tests and returns the exit status. The time limit is only there to end what hangs. */
int suite_run(const char *name, const TTest *const *tests, unsigned tests_n);

/* The same, and all of them once more, each after 'setup_again'. */
int suite_run_twice(const char *name, const TTest *const *tests, unsigned tests_n,
		    void (*setup_again)(void));

#define SUITE_RUN(name, ...)                                                                       \
	suite_run(name, (const TTest *const[]){__VA_ARGS__},                                       \
		  sizeof((const TTest *const[]){__VA_ARGS__}) / sizeof(TTest *))

#endif
