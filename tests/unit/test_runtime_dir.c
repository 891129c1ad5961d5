#include "stack/app/runtime_dir.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[64]; /* a directory of the test's own */
static char path[108], error[RUNTIME_ERROR_MAX], want[128];

static void make_base(void)
{
	strcpy(base, "/tmp/lwnat-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
}

static void remove_base(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", base);
	ck_assert_int_eq(system(command), 0);
}

static const char *own_dir(void)
{
	snprintf(want, sizeof(want), "%s/lwnat-%lu", base, (unsigned long)geteuid());
	return want;
}

static int find(const char *xdg)
{
	struct runtime_place place = {.xdg = xdg, .tmp = base};

	return runtime_socket_path(&place, "default.sock", path, sizeof(path), error);
}

static void assert_private(const char *dir)
{
	struct stat st;

	ck_assert_int_eq(lstat(dir, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
}

START_TEST(test_runtime_directory_is_used_where_there_is_one)
{
	ck_assert_int_eq(find(base), 0);
	snprintf(want, sizeof(want), "%s/lwnat/default.sock", base);
	ck_assert_str_eq(path, want);
	snprintf(want, sizeof(want), "%s/lwnat", base);
	assert_private(want);
	ck_assert_int_eq(find(base), 0); /* again, now that it is there */
}
END_TEST

START_TEST(test_without_a_usable_one_it_is_in_tmp)
{
	static const char *const unusable[] = {NULL, "", "relative", "/nonexistent/dir"};

	for (size_t i = 0; i < sizeof(unusable) / sizeof(unusable[0]); i++) {
		ck_assert_int_eq(find(unusable[i]), 0);
		snprintf(want, sizeof(want), "%s/lwnat-%lu/default.sock", base,
			 (unsigned long)geteuid());
		ck_assert_str_eq(path, want);
	}
	assert_private(own_dir());
}
END_TEST

START_TEST(test_directory_open_to_others_is_refused)
{
	ck_assert_int_eq(mkdir(own_dir(), 0700), 0);
	ck_assert_int_eq(chmod(own_dir(), 0755), 0);
	ck_assert_int_eq(find(NULL), -EPERM);
	ck_assert_ptr_nonnull(strstr(error, "open to others"));
}
END_TEST

START_TEST(test_link_in_its_place_is_refused)
{
	ck_assert_int_eq(symlink("/tmp", own_dir()), 0);
	ck_assert_int_eq(find(NULL), -EPERM);
	ck_assert_ptr_nonnull(strstr(error, "is no directory"));
}
END_TEST

START_TEST(test_directory_of_somebody_else_is_refused)
{
	if (geteuid() != 0)
		return; /* only root can give a directory away */
	ck_assert_int_eq(mkdir(own_dir(), 0700), 0);
	ck_assert_int_eq(chown(own_dir(), 12345, 12345), 0);
	ck_assert_int_eq(find(NULL), -EPERM);
	ck_assert_ptr_nonnull(strstr(error, "belongs to somebody else"));
}
END_TEST

START_TEST(test_path_too_long_for_a_socket_is_refused)
{
	struct runtime_place place = {.xdg = NULL, .tmp = base};
	char name[128];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(runtime_socket_path(&place, name, path, sizeof(path), error),
			 -ENAMETOOLONG);
	ck_assert_int_eq(access(own_dir(), F_OK), -1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("runtime_dir");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, make_base, remove_base);
	tcase_add_test(tcase, test_runtime_directory_is_used_where_there_is_one);
	tcase_add_test(tcase, test_without_a_usable_one_it_is_in_tmp);
	tcase_add_test(tcase, test_directory_open_to_others_is_refused);
	tcase_add_test(tcase, test_link_in_its_place_is_refused);
	tcase_add_test(tcase, test_directory_of_somebody_else_is_refused);
	tcase_add_test(tcase, test_path_too_long_for_a_socket_is_refused);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
