/* Names that guests send, and what they find; with openat2() and without. */
#include "stack/host/host_files.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[64];
static struct host_files *files;

static void put(const char *name, const char *text)
{
	int fd = openat(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
}

static void link_to(const char *target, const char *name)
{
	ck_assert_int_eq(symlink(target, name), 0);
}

/* base/secret, base/dir = "two words"; what is served is base/root. */
static void make_tree(bool by_hand)
{
	strcpy(base, "/tmp/lwnat-files.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	ck_assert_int_eq(chdir(base), 0);
	put("secret", "secret");
	mkdir("root", 0755);
	mkdir("rootlike", 0755);
	put("rootlike/secret", "secret");
	ck_assert_int_eq(chdir("root"), 0);
	put("file", "hello");
	mkdir("sub", 0755);
	mkdir("sub/sub", 0755);
	put("sub/file", "in sub");
	put("sub/sub/deep", "deep");
	link_to("sub/file", "inside");
	link_to("../file", "sub/up");
	link_to("sub/sub/../up", "winding");
	link_to("sub", "subdir");
	link_to("../secret", "out");
	link_to("../../secret", "sub/out");
	link_to("/etc/passwd", "absolute");
	link_to("/", "top");
	link_to("..", "parent");
	link_to("loop", "loop");
	link_to("../root/file", "out-and-in");
	link_to("/proc/self/root/etc/passwd", "magic");
	ck_assert_int_eq(mkfifo("pipe", 0644), 0);
	put("dark", "dark");
	ck_assert_int_eq(chmod("dark", 0), 0);
	ck_assert_int_eq(host_files_new(&files, "."), 0);
	if (by_hand)
		host_files_without_openat2(files);
	/* Opened once: what becomes of the name does not matter. */
	ck_assert_int_eq(chdir("/"), 0);
}

static void remove_tree(void)
{
	char command[96];

	host_files_free(files);
	snprintf(command, sizeof(command), "rm -rf '%s'", base);
	ck_assert_int_eq(system(command), 0);
}

static void assert_text(const char *name, const char *text)
{
	struct host_file file;
	char bytes[32] = "";
	int err = host_files_open(files, name, &file);

	ck_assert_msg(err == 0, "%s: %s", name, strerror(-err));
	ck_assert_uint_eq(file.size, strlen(text));
	ck_assert_int_eq(host_files_read(file.fd, 0, bytes, sizeof(bytes)), (long)strlen(text));
	ck_assert_str_eq(bytes, text);
	ck_assert_int_eq(host_files_read(file.fd, 2, bytes, 2), 2);
	ck_assert_int_eq(host_files_read(file.fd, 1 << 20, bytes, 2), 0);
	close(file.fd);
}

static void assert_refused(const char *name, int err)
{
	struct host_file file;
	int got = host_files_open(files, name, &file);

	ck_assert_msg(got == err, "%.40s: %d, not %d", name, got, err);
}

static int fds_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

START_TEST(test_names_inside_are_found)
{
	int fds;

	make_tree(_i);
	fds = fds_open();
	assert_text("file", "hello");
	assert_text("/file", "hello");
	assert_text("///file", "hello");
	assert_text("\\file", "hello");
	assert_text("./file", "hello");
	assert_text("sub/file", "in sub");
	assert_text("/sub\\sub//deep", "deep");
	assert_text("sub/../file", "hello");
	assert_text("sub/sub/../../sub/sub/../file", "in sub");
	assert_text("inside", "in sub");
	assert_text("sub/up", "hello");
	assert_text("winding", "hello");
	assert_text("subdir/sub/deep", "deep");
	ck_assert_int_eq(fds_open(), fds);
	remove_tree();
}
END_TEST

START_TEST(test_no_name_leads_out)
{
	static const char *const names[] = {
	    "../secret",
	    "/../secret",
	    "..\\secret",
	    "\\..\\secret",
	    "sub/../../secret",
	    "sub/../../root/file",
	    "../rootlike/secret",
	    "..",
	    "out",
	    "sub/out",
	    "absolute",
	    "parent/secret",
	    "top/etc/passwd",
	    "out-and-in",
	    "sub/sub/../../../secret",
	    "subdir/../../secret",
	    "subdir/../out",
	    "parent",
	};
	int fds;

	make_tree(_i);
	fds = fds_open();
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_refused(names[i], -EXDEV);
	assert_refused("magic", -EXDEV);
	ck_assert_int_eq(fds_open(), fds);
	remove_tree();
}
END_TEST

START_TEST(test_only_regular_files_are_opened)
{
	int fds;

	make_tree(_i);
	fds = fds_open();
	assert_refused("pipe", -EACCES);
	assert_refused("sub", -EISDIR);
	assert_refused("sub/", -EISDIR);
	assert_refused("subdir", -EISDIR);
	assert_refused(".", -EISDIR);
	assert_refused("file/", -ENOTDIR);
	assert_refused("file/x", -ENOTDIR);
	assert_refused("loop", -ELOOP);
	assert_refused("absent", -ENOENT);
	assert_refused("sub/absent", -ENOENT);
	assert_refused("", -ENOENT);
	assert_refused("/", -ENOENT);
	if (geteuid() != 0)
		assert_refused("dark", -EACCES);
	ck_assert_int_eq(fds_open(), fds);
	remove_tree();
}
END_TEST

START_TEST(test_long_names)
{
	char name[3000];

	make_tree(_i);
	memset(name, 'n', sizeof(name));
	name[600] = '\0';
	assert_refused(name, -ENAMETOOLONG); /* one component */
	name[600] = 'n';
	name[sizeof(name) - 1] = '\0';
	assert_refused(name, -ENAMETOOLONG);
	for (unsigned i = 0; i < 600; i += 2)
		memcpy(name + i, "./", 2);
	strcpy(name + 600, "sub/file"); /* long, and there */
	assert_text(name, "in sub");
	remove_tree();
}
END_TEST

START_TEST(test_directory_may_move_and_must_be_one)
{
	struct host_files *other;
	char from[80], to[80];

	make_tree(_i);
	snprintf(from, sizeof(from), "%s/root", base);
	snprintf(to, sizeof(to), "%s/moved", base);
	ck_assert_int_eq(rename(from, to), 0);
	assert_text("sub/file", "in sub");
	snprintf(to, sizeof(to), "%s/secret", base);
	ck_assert_int_eq(host_files_new(&other, to), -ENOTDIR);
	ck_assert_int_eq(host_files_new(&other, from), -ENOENT);
	host_files_free(NULL);
	remove_tree();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host_files");
	TCase *with = tcase_create("both ways");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(with, test_names_inside_are_found, 0, 2);
	tcase_add_loop_test(with, test_no_name_leads_out, 0, 2);
	tcase_add_loop_test(with, test_only_regular_files_are_opened, 0, 2);
	tcase_add_loop_test(with, test_long_names, 0, 2);
	tcase_add_loop_test(with, test_directory_may_move_and_must_be_one, 0, 2);
	suite_add_tcase(suite, with);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
