#include "stack/base/log.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lines {
	unsigned n;
	enum log_level level;
	char last[8192];
};

static void take(void *ctx, enum log_level level, const char *line)
{
	struct lines *lines = ctx;
	lines->n++;
	lines->level = level;
	ck_assert_uint_lt(strlen(line), sizeof(lines->last));
	strcpy(lines->last, line);
}

START_TEST(test_levels_below_the_chosen_one_are_silent)
{
	struct lines lines = {0};

	log_set_sink(take, &lines);
	log_debug("not by default");
	ck_assert_uint_eq(lines.n, 0);
	log_info("by default");
	ck_assert_uint_eq(lines.n, 1);
	ck_assert_int_eq(lines.level, LOG_LEVEL_INFO);
	log_set_level(LOG_LEVEL_WARN);
	ck_assert(!log_wants(LOG_LEVEL_INFO));
	ck_assert(log_wants(LOG_LEVEL_WARN));
	log_info("no");
	ck_assert_uint_eq(lines.n, 1);
	log_warn("yes %d", 5);
	ck_assert_str_eq(lines.last, "yes 5");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("no");
	ck_assert_uint_eq(lines.n, 2);
	log_err("yes");
	ck_assert_int_eq(lines.level, LOG_LEVEL_ERROR);
}
END_TEST

START_TEST(test_level_words_are_exact)
{
	enum log_level level = LOG_LEVEL_WARN;

	ck_assert_int_eq(log_level_parse("warning", &level), -EINVAL);
	ck_assert_int_eq(log_level_parse("", &level), -EINVAL);
	ck_assert_int_eq(level, LOG_LEVEL_WARN);
	ck_assert_int_eq(log_level_parse("debug", &level), 0);
	ck_assert_int_eq(level, LOG_LEVEL_DEBUG);
	ck_assert_int_eq(log_level_parse("error", &level), 0);
	ck_assert_int_eq(level, LOG_LEVEL_ERROR);
}
END_TEST

START_TEST(test_text_from_outside_cannot_forge_a_line_or_move_the_cursor)
{
	struct lines lines = {0};

	log_set_sink(take, &lines);
	log_warn("name '%s'", "a\nlwnat: error: b\x1b[2J\x7f\xc2\x9b\t");
	ck_assert_str_eq(lines.last, "name 'a\\x0alwnat: error: b\\x1b[2J\\x7f\\xc2\\x9b\\x09'");
}
END_TEST

START_TEST(test_errno_forms_add_the_text_and_keep_errno)
{
	struct lines lines = {0};

	log_set_sink(take, &lines);
	errno = EDOM;
	log_err_errno(-ENOENT, "open %s", "x");
	ck_assert_str_eq(lines.last, "open x: No such file or directory");
	log_warn_errno(ENOENT, "open %s", "y");
	ck_assert_str_eq(lines.last, "open y: No such file or directory");
	ck_assert_int_eq(errno, EDOM);
}
END_TEST

/* What one call of 'log_warn' leaves in the pipe that stands for stderr. */
static size_t captured(const char *text, char *got, size_t room)
{
	int pipe_fds[2], saved = dup(STDERR_FILENO);

	ck_assert_int_eq(pipe(pipe_fds), 0);
	dup2(pipe_fds[1], STDERR_FILENO);
	close(pipe_fds[1]);
	log_warn("%s", text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	ssize_t n = read(pipe_fds[0], got, room);
	close(pipe_fds[0]);
	ck_assert_int_ge(n, 0);
	return (size_t)n;
}

START_TEST(test_stderr_gets_whole_lines_that_a_pipe_takes_in_one_piece)
{
	char got[16384], text[8000];

	size_t n = captured("hello", got, sizeof(got));
	ck_assert_uint_eq(n, strlen("lwnat: warn: hello\n"));
	ck_assert(memcmp(got, "lwnat: warn: hello\n", n) == 0);

	memset(text, '\x01', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	n = captured(text, got, sizeof(got));
	ck_assert_uint_le(n, 4096);
	ck_assert(memcmp(got + n - 4, "...\n", 4) == 0);
}
END_TEST

START_TEST(test_a_limit_passes_its_burst_per_interval_and_counts_the_rest)
{
	struct log_limit limit = {0};

	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(log_limit_ok(&limit, 5000 + i, 3, 1000), i < 3);
	ck_assert_uint_eq(limit.suppressed, 7);
	ck_assert(!log_limit_ok(&limit, 5999, 3, 1000));
	ck_assert(log_limit_ok(&limit, 6000, 3, 1000));
	ck_assert_uint_eq(limit.suppressed, 8);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = tcase_create("log");
	tcase_add_test(tc, test_levels_below_the_chosen_one_are_silent);
	tcase_add_test(tc, test_level_words_are_exact);
	tcase_add_test(tc, test_text_from_outside_cannot_forge_a_line_or_move_the_cursor);
	tcase_add_test(tc, test_errno_forms_add_the_text_and_keep_errno);
	tcase_add_test(tc, test_stderr_gets_whole_lines_that_a_pipe_takes_in_one_piece);
	tcase_add_test(tc, test_a_limit_passes_its_burst_per_interval_and_counts_the_rest);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
