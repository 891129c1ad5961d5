#include "stack/app/qemu_version.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

static void assert_version(const char *line, int major, int minor)
{
	struct qemu_version v = qemu_version_parse(line);

	ck_assert_msg(v.major == major && v.minor == minor, "%s gave %d.%d", line, v.major,
		      v.minor);
}

START_TEST(test_version_is_read_from_qemus_first_line)
{
	assert_version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright", 7,
		       2);
	assert_version("QEMU emulator version 10.1.0", 10, 1);
	assert_version("QEMU emulator version 9.2", 9, 2);
}
END_TEST

START_TEST(test_other_text_is_no_version)
{
	assert_version("", 0, 0);
	assert_version("QEMU emulator version ", 0, 0);
	assert_version("QEMU emulator version x.y", 0, 0);
	assert_version("QEMU emulator version 9", 0, 0);
	assert_version("QEMU emulator version 9.", 0, 0);
	assert_version("sh: qemu-system-x86_64: not found", 0, 0);
}
END_TEST

/* -netdev stream had no reconnect in 7.2; seconds from 8.0; milliseconds from 9.2, and seconds are
 * gone since 10.2. */
START_TEST(test_reconnect_is_spelt_as_each_qemu_knows_it)
{
	static const struct {
		struct qemu_version version;
		const char *words;
	} rows[] = {
	    {{0, 0}, ""},
	    {{7, 2}, ""},
	    {{8, 0}, ",reconnect=1"},
	    {{8, 2}, ",reconnect=1"},
	    {{9, 1}, ",reconnect=1"},
	    {{9, 2}, ",reconnect-ms=1000"},
	    {{10, 2}, ",reconnect-ms=1000"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_str_eq(qemu_reconnect_words(rows[i].version), rows[i].words);
}
END_TEST

START_TEST(test_commas_are_doubled_for_qemu)
{
	char out[8];

	ck_assert_int_eq(qemu_escape("a,b", out, sizeof(out)), 0);
	ck_assert_str_eq(out, "a,,b");
	ck_assert_int_eq(qemu_escape("", out, sizeof(out)), 0);
	ck_assert_str_eq(out, "");
	ck_assert_int_eq(qemu_escape("12345678", out, sizeof(out)), -ENAMETOOLONG);
	ck_assert_int_eq(qemu_escape(",,,,", out, sizeof(out)), -ENAMETOOLONG);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("qemu_version");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, test_version_is_read_from_qemus_first_line);
	tcase_add_test(tcase, test_other_text_is_no_version);
	tcase_add_test(tcase, test_reconnect_is_spelt_as_each_qemu_knows_it);
	tcase_add_test(tcase, test_commas_are_doubled_for_qemu);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
