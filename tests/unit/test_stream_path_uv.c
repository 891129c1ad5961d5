#include "stack/link/stream_path_uv.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define RIVALS 4

struct place {
	char dir[64], path[96];
};

static struct place place_new(void)
{
	struct place place = {.dir = "/tmp/lwnat-test-XXXXXX"};

	ck_assert_ptr_nonnull(mkdtemp(place.dir));
	snprintf(place.path, sizeof(place.path), "%s/sock", place.dir);
	return place;
}

/* Nothing but an empty folder is left. */
static void place_free(const struct place *place)
{
	ck_assert_msg(rmdir(place->dir) == 0, "%s is not empty", place->dir);
}

static int connect_to(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(name.sun_path, path);
	int result = connect(fd, (struct sockaddr *)&name, sizeof(name)) ? -errno : 0;
	close(fd);
	return result;
}

static void leave_stale(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(name.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	close(fd);
	ck_assert_int_eq(connect_to(path), -ECONNREFUSED);
}

/* A process that listens when '*started', says the result, and goes when 'hold' is closed. */
static pid_t rival(const char *path, int say, const int hold[2], const atomic_bool *started)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct stream_path made;
		close(hold[1]);
		int fd = -1;
		char byte;
		while (!*started)
			;
		int result = stream_path_listen(path, &made, &fd);
		if (write(say, &result, sizeof(result)) != sizeof(result) ||
		    read(hold[0], &byte, 1) != 0)
			_exit(1);
		if (result == 0)
			stream_path_remove(&made);
		_exit(0);
	}
	ck_assert_int_gt(pid, 0);
	return pid;
}

START_TEST(test_of_several_that_start_at_once_one_gets_the_socket)
{
	struct place place = place_new();
	atomic_bool *started =
	    mmap(NULL, sizeof(*started), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(started, MAP_FAILED);
	for (unsigned round = 0; round < 40; round++) {
		int said[2], hold[2], result, won = 0, status;
		leave_stale(place.path);
		*started = false;
		ck_assert_int_eq(pipe2(said, O_CLOEXEC) | pipe2(hold, O_CLOEXEC), 0);
		pid_t pids[RIVALS];
		for (unsigned i = 0; i < RIVALS; i++)
			pids[i] = rival(place.path, said[1], hold, started);
		*started = true;
		for (unsigned i = 0; i < RIVALS; i++) {
			ck_assert_int_eq(read(said[0], &result, sizeof(result)), sizeof(result));
			won += result == 0;
			ck_assert(result == 0 || result == -EADDRINUSE);
		}
		ck_assert_int_eq(won, 1);
		ck_assert_int_eq(connect_to(place.path), 0);
		close(hold[1]);
		for (unsigned i = 0; i < RIVALS; i++) {
			ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
			ck_assert_int_eq(status, 0);
		}
		close(hold[0]);
		close(said[0]);
		close(said[1]);
	}
	munmap(started, sizeof(*started));
	place_free(&place);
}
END_TEST

START_TEST(test_a_foreign_lock_on_the_folder_does_not_stop_us)
{
	struct place place = place_new();
	struct stream_path made;
	int lock = open(place.dir, O_RDONLY | O_DIRECTORY), fd;

	ck_assert_int_eq(flock(lock, LOCK_EX), 0);
	leave_stale(place.path);
	ck_assert_int_eq(stream_path_listen(place.path, &made, &fd), 0);
	close(fd);
	close(lock);
	stream_path_remove(&made);
	place_free(&place);
}
END_TEST

START_TEST(test_a_path_without_a_folder_means_the_current_one)
{
	struct place place = place_new();
	struct stream_path made;
	int fd;

	ck_assert_int_eq(chdir(place.dir), 0);
	leave_stale("sock");
	ck_assert_int_eq(stream_path_listen("sock", &made, &fd), 0);
	ck_assert_int_eq(connect_to(place.path), 0);
	stream_path_remove(&made);
	stream_path_remove(&made); /* gone already: nothing happens */
	close(fd);
	ck_assert_int_eq(chdir("/"), 0);
	place_free(&place);
}
END_TEST

START_TEST(test_a_datagram_socket_in_use_is_left_alone)
{
	struct place place = place_new();
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct stream_path made;
	int fd, other = socket(AF_UNIX, SOCK_DGRAM, 0);

	strcpy(name.sun_path, place.path);
	ck_assert_int_eq(bind(other, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert_int_eq(stream_path_listen(place.path, &made, &fd), -EADDRINUSE);
	close(other);
	ck_assert_int_eq(stream_path_listen(place.path, &made, &fd), 0);
	close(fd);
	stream_path_remove(&made);
	place_free(&place);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream_path_uv");
	TCase *tc = tcase_create("stream_path_uv");
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_of_several_that_start_at_once_one_gets_the_socket);
	tcase_add_test(tc, test_a_foreign_lock_on_the_folder_does_not_stop_us);
	tcase_add_test(tc, test_a_path_without_a_folder_means_the_current_one);
	tcase_add_test(tc, test_a_datagram_socket_in_use_is_left_alone);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
