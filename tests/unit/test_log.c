#include "stack/base/log.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
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
	struct lines lines = {0};

	log_set_sink(take, &lines);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(log_limit_ok(&limit, 5000 + i, 3, 1000), i < 3);
	ck_assert_uint_eq(limit.suppressed, 7);
	ck_assert(!log_limit_ok(&limit, 5999, 3, 1000));
	ck_assert_uint_eq(lines.n, 0);
	ck_assert(log_limit_ok(&limit, 6000, 3, 1000));
	ck_assert_uint_eq(limit.suppressed, 8);
	ck_assert_str_eq(lines.last, "log: 8 lines like the next one were left out");
	ck_assert(log_limit_ok(&limit, 6001, 3, 1000));
	ck_assert_uint_eq(lines.n, 1);
}
END_TEST

static void temp_path(char path[64], const char *what)
{
	snprintf(path, 64, "/tmp/lwnat-test-log-%d-%s", (int)getpid(), what);
	unlink(path);
}

static const char *content(const char *path)
{
	static char text[65536];
	FILE *in = fopen(path, "r");

	ck_assert_ptr_nonnull(in);
	text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
	fclose(in);
	return text;
}

START_TEST(test_file_gets_dated_lines_and_is_private)
{
	char path[64], level[8];
	struct stat st;
	int year;

	temp_path(path, "dated");
	ck_assert_int_eq(log_open(path, false), 0);
	ck_assert(log_has_file());
	log_warn("hello \"you\"");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(sscanf(content(path),
				"%d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ lwnat: %7[a-z]: ", &year, level),
			 2);
	ck_assert_int_ge(year, 2024);
	ck_assert_str_eq(level, "warn");
	ck_assert_ptr_nonnull(strstr(content(path), "Z lwnat: warn: hello \"you\"\n"));
	unlink(path);
}
END_TEST

START_TEST(test_json_lines_are_whole_objects_whatever_is_said)
{
	char path[64], text[2000];
	const char *line;

	temp_path(path, "json");
	ck_assert_int_eq(log_open(path, true), 0);
	log_info("a \"b\" \\ \n c");
	line = content(path);
	ck_assert_ptr_eq(strstr(line, "{\"time\":\"20"), line);
	ck_assert_ptr_nonnull(strstr(line, ",\"level\":\"info\",\"message\":\"a \\\"b\\\" \\\\ "
					   "\\\\x0a c\"}\n"));
	memset(text, '\x01', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(truncate(path, 0), 0);
	log_warn("%s", text);
	line = content(path);
	ck_assert_uint_le(strlen(line), 4096);
	ck_assert_str_eq(line + strlen(line) - 3, "\"}\n");
	ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
	unlink(path);
}
END_TEST

START_TEST(test_reopened_file_is_a_new_one_once_the_old_has_been_moved)
{
	char path[64], old[80];

	temp_path(path, "rotate");
	snprintf(old, sizeof(old), "%s.1", path);
	ck_assert_int_eq(log_open(path, false), 0);
	log_info("first");
	ck_assert_int_eq(rename(path, old), 0);
	log_info("second");
	ck_assert_int_eq(log_reopen(), 0);
	log_info("third");
	ck_assert_ptr_nonnull(strstr(content(old), "second\n"));
	ck_assert_ptr_null(strstr(content(old), "third"));
	ck_assert_ptr_nonnull(strstr(content(path), "third\n"));
	unlink(path);
	unlink(old);
}
END_TEST

START_TEST(test_file_that_cannot_be_opened_leaves_standard_error)
{
	char got[200];
	size_t n;

	ck_assert_int_eq(log_open("/nonexistent/log", false), -ENOENT);
	ck_assert(!log_has_file());
	ck_assert_int_eq(log_reopen(), 0);
	n = captured("still here", got, sizeof(got));
	ck_assert_uint_eq(n, strlen("lwnat: warn: still here\n"));
}
END_TEST

START_TEST(test_the_journal_gets_its_priorities)
{
	char stream[64], got[200] = "";
	int fds[2], saved = dup(STDERR_FILENO);
	struct stat st;

	ck_assert_int_eq(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	ck_assert_int_eq(fstat(fds[1], &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	ck_assert_int_eq(log_open(NULL, false), 0);
	log_err("a");
	log_warn("b");
	log_info("c");
	dup2(saved, STDERR_FILENO);
	ck_assert_int_gt(read(fds[0], got, sizeof(got) - 1), 0);
	ck_assert_str_eq(got, "<3>a\n<4>b\n<6>c\n");
	setenv("JOURNAL_STREAM", "1:1", 1); /* inherited, but standard error is another one */
	ck_assert_int_eq(log_open(NULL, false), 0);
	ck_assert_uint_eq(captured("d", got, sizeof(got)), strlen("lwnat: warn: d\n"));
}
END_TEST

START_TEST(test_full_pipe_loses_lines_and_says_how_many)
{
	static char got[1 << 20];
	int fds[2], saved = dup(STDERR_FILENO);
	size_t n = 0;
	ssize_t part;

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	dup2(fds[1], STDERR_FILENO);
	for (unsigned i = 0; i < 10000; i++)
		log_info("line %u of very many", i);
	while ((part = read(fds[0], got + n, sizeof(got) - n - 1)) > 0)
		n += (size_t)part;
	log_info("after");
	dup2(saved, STDERR_FILENO);
	part = read(fds[0], got, sizeof(got) - 1);
	ck_assert_int_gt(part, 0);
	got[part] = '\0';
	ck_assert_ptr_nonnull(strstr(got, " lines were lost\nlwnat: info: after\n"));
}
END_TEST

START_TEST(test_recent_lines_are_kept_in_order_and_cut)
{
	struct lines lines = {0};
	struct log_line line;
	char text[600];
	uint64_t serial = 0;

	log_set_sink(take, &lines);
	ck_assert(!log_recent(0, &line));
	log_debug("not wanted, not kept");
	log_warn("first");
	ck_assert(log_recent(0, &line));
	ck_assert_uint_eq(line.serial, 1);
	ck_assert_int_eq(line.level, LOG_LEVEL_WARN);
	ck_assert_str_eq(line.text, "first");
	ck_assert(!log_recent(1, &line));
	for (unsigned i = 0; i < 1000; i++)
		log_info("%u", i);
	for (unsigned i = 1000 - LOG_RECENT_MAX; i < 1000; i++) {
		snprintf(text, sizeof(text), "%u", i);
		ck_assert(log_recent(serial, &line));
		ck_assert_str_eq(line.text, text);
		serial = line.serial;
	}
	ck_assert(!log_recent(serial, &line));
	ck_assert(!log_recent(UINT64_MAX, &line));
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_info("%s", text);
	ck_assert(log_recent(serial, &line));
	ck_assert_uint_eq(strlen(line.text), LOG_RECENT_TEXT_MAX - 1);
}
END_TEST

START_TEST(test_answers_are_said_at_every_level)
{
	struct lines lines = {0};

	log_set_sink(take, &lines);
	log_set_level(LOG_LEVEL_ERROR);
	log_info("no");
	log_asked("yes");
	ck_assert_uint_eq(lines.n, 1);
	ck_assert_str_eq(lines.last, "yes");
	ck_assert_int_eq(log_level_now(), LOG_LEVEL_ERROR);
	ck_assert_str_eq(log_level_word(log_level_now()), "error");
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
	tcase_add_test(tc, test_file_gets_dated_lines_and_is_private);
	tcase_add_test(tc, test_json_lines_are_whole_objects_whatever_is_said);
	tcase_add_test(tc, test_reopened_file_is_a_new_one_once_the_old_has_been_moved);
	tcase_add_test(tc, test_file_that_cannot_be_opened_leaves_standard_error);
	tcase_add_test(tc, test_the_journal_gets_its_priorities);
	tcase_add_test(tc, test_full_pipe_loses_lines_and_says_how_many);
	tcase_add_test(tc, test_recent_lines_are_kept_in_order_and_cut);
	tcase_add_test(tc, test_answers_are_said_at_every_level);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
