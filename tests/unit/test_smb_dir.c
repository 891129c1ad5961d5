/* The private directory of smb=: what is in it, what is refused, what is left behind. */
#include "stack/app/smb_dir.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[32], program[64], share[64];
static char error[SMB_ERROR_MAX];

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *out = fopen(path, "w");

	ck_assert_ptr_nonnull(out);
	fputs(text, out);
	fclose(out);
	ck_assert_int_eq(chmod(path, mode), 0);
}

static void open_place(void)
{
	strcpy(base, "/tmp/lwnat-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	snprintf(program, sizeof(program), "%s/smbd", base);
	write_file(program, "#!/bin/sh\n", 0755);
	/* Everything that smb.conf gives a meaning to. */
	snprintf(share, sizeof(share), "%s/a b%%u;\n[x]\\", base);
	ck_assert_int_eq(mkdir(share, 0700), 0);
}

static void close_place(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf '%s'", base);
	ck_assert_int_eq(system(command), 0);
}

static int make(struct smb_dir *ret, const char *folder)
{
	struct smb_place place = {.xdg = base, .tmp = "/tmp", .path = base};

	error[0] = '\0';
	return smb_dir_make(ret, folder, &place, error);
}

static unsigned left_behind(void)
{
	const struct dirent *entry;
	DIR *dir = opendir(base);
	unsigned n = 0;

	while ((entry = readdir(dir)))
		n += strncmp(entry->d_name, "lwnat-smb.", 10) == 0;
	closedir(dir);
	return n;
}

START_TEST(test_directory_is_private_and_goes)
{
	char link[100], target[100] = "";
	struct smb_dir dir;
	struct stat st;

	open_place();
	ck_assert_msg(make(&dir, share) == 0, "%s", error);
	ck_assert_str_eq(dir.smbd, program);
	ck_assert_int_eq(stat(dir.path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(stat(dir.conf, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	snprintf(link, sizeof(link), "%s/share", dir.path);
	ck_assert_int_gt(readlink(link, target, sizeof(target) - 1), 0);
	ck_assert_str_eq(target, share);
	ck_assert_int_eq(fcntl(dir.lock, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	smb_dir_remove(&dir);
	ck_assert_uint_eq(left_behind(), 0);
	ck_assert_int_eq(stat(share, &st), 0); /* the link went, not what it leads to */
	smb_dir_remove(&dir);
	close_place();
}
END_TEST

START_TEST(test_no_text_of_the_users_is_in_the_configuration)
{
	char line[300], section[8] = "";
	unsigned sections = 0;
	struct smb_dir dir;
	FILE *in;

	open_place();
	ck_assert_int_eq(make(&dir, share), 0);
	in = fopen(dir.conf, "r");
	while (fgets(line, sizeof(line), in)) {
		ck_assert_ptr_null(strstr(line, "a b"));
		ck_assert_ptr_null(strchr(line, '%'));
		if (line[0] == '[') {
			sections++;
			snprintf(section, sizeof(section), "%.6s", line);
		}
	}
	fclose(in);
	ck_assert_uint_eq(sections, 2);
	ck_assert_str_eq(section, "[qemu]");
	smb_dir_remove(&dir);
	close_place();
}
END_TEST

START_TEST(test_what_cannot_be_served_is_told_and_leaves_nothing)
{
	char file[100], missing[100];
	struct smb_dir dir;

	open_place();
	snprintf(file, sizeof(file), "%s/file", base);
	write_file(file, "", 0600);
	snprintf(missing, sizeof(missing), "%s/missing", base);
	ck_assert_int_eq(make(&dir, missing), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error, missing));
	ck_assert_int_eq(make(&dir, file), -ENOTDIR);
	ck_assert_ptr_nonnull(strstr(error, "is no folder"));
	ck_assert_uint_eq(left_behind(), 0);
	close_place();
}
END_TEST

START_TEST(test_absent_smbd_is_told_with_its_package)
{
	struct smb_place place = {
	    .xdg = base, .tmp = "/tmp", .path = "/nonexistent:", .usual = base};
	struct smb_dir dir;

	open_place();
	ck_assert_int_eq(smb_dir_make(&dir, share, &place, error), 0);
	smb_dir_remove(&dir);
	ck_assert_int_eq(chmod(program, 0644), 0);
	ck_assert_int_eq(smb_dir_make(&dir, share, &place, error), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error, "needs smbd"));
	ck_assert_ptr_nonnull(strstr(error, "package samba"));
	ck_assert_uint_eq(left_behind(), 0);
	close_place();
}
END_TEST

START_TEST(test_what_a_killed_one_left_goes_and_what_lives_stays)
{
	struct smb_dir lives, killed, next;

	open_place();
	ck_assert_int_eq(make(&lives, share), 0);
	ck_assert_int_eq(make(&killed, share), 0);
	ck_assert_uint_eq(left_behind(), 2);
	close(killed.lock); /* as the kernel does it */
	ck_assert_int_eq(make(&next, share), 0);
	ck_assert_uint_eq(left_behind(), 2);
	ck_assert_int_eq(access(lives.conf, R_OK), 0);
	ck_assert_int_ne(access(killed.conf, R_OK), 0);
	smb_dir_remove(&lives);
	smb_dir_remove(&next);
	close_place();
}
END_TEST

START_TEST(test_base_with_odd_characters_is_not_used)
{
	struct smb_place place = {.tmp = "/tmp"};
	char odd[64];
	struct smb_dir dir;

	open_place();
	snprintf(odd, sizeof(odd), "%s/%%u", base);
	ck_assert_int_eq(mkdir(odd, 0700), 0);
	place.xdg = odd;
	place.path = base;
	ck_assert_int_eq(smb_dir_make(&dir, share, &place, error), 0);
	ck_assert_int_eq(strncmp(dir.path, "/tmp/lwnat-smb.", 15), 0);
	smb_dir_remove(&dir);
	close_place();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("smb_dir");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, test_directory_is_private_and_goes);
	tcase_add_test(tc, test_no_text_of_the_users_is_in_the_configuration);
	tcase_add_test(tc, test_what_cannot_be_served_is_told_and_leaves_nothing);
	tcase_add_test(tc, test_absent_smbd_is_told_with_its_package);
	tcase_add_test(tc, test_what_a_killed_one_left_goes_and_what_lives_stays);
	tcase_add_test(tc, test_base_with_odd_characters_is_not_used);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
