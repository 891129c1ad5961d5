/* The program as a service: its log, its signals, and the service manager's protocols. */
#include "tests/support/process.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct process_place place;
static struct process program;

static const char *content(const char *path)
{
	static char text[65536];
	FILE *in = fopen(path, "r");

	text[0] = '\0';
	if (in) {
		text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
		fclose(in);
	}
	return text;
}

/* The limit only ends what hangs. */
static void wait_for_content(const char *path, const char *part)
{
	for (unsigned i = 0; !strstr(content(path), part); i++) {
		ck_assert_msg(i < 5000, "never in %s: '%s'", path, part);
		usleep(10000);
	}
}

static void end(void)
{
	kill(program.pid, SIGTERM);
	process_finish(&program);
	ck_assert_msg(program.status == 0, "%s", program.err_text);
	process_place_remove(&place);
}

START_TEST(test_sighup_opens_the_log_file_again)
{
	char path[100], old[100], line[200];

	process_place_make(&place);
	snprintf(path, sizeof(path), "%s/log", place.dir);
	snprintf(old, sizeof(old), "%s/log.1", place.dir);
	snprintf(line, sizeof(line), "--log-file|%s|--hostfwd|tcp::0-web:22", path);
	process_start(&program, &place, line);
	kill(program.pid, SIGUSR1);
	wait_for_content(path, "status: counters:");
	ck_assert_int_eq(rename(path, old), 0);
	kill(program.pid, SIGHUP);
	wait_for_content(path, "lwnat: info: log: opened again");
	kill(program.pid, SIGUSR1);
	wait_for_content(path, "status: counters:");
	ck_assert_ptr_nonnull(strstr(content(path), "status: network default, up for "));
	ck_assert_ptr_nonnull(
	    strstr(content(path), "waiting: no guest called web: none is attached"));
	end();
	ck_assert_str_eq(program.err_text, "");
}
END_TEST

START_TEST(test_sighup_without_a_log_file_ends_the_program)
{
	process_place_make(&place);
	process_start(&program, &place, "");
	kill(program.pid, SIGHUP);
	process_finish(&program);
	ck_assert_int_eq(program.status, 0);
	process_place_remove(&place);
}
END_TEST

START_TEST(test_state_is_said_on_request_at_every_level)
{
	int guest;

	process_place_make(&place);
	process_start(&program, &place, "--log-level|error");
	guest = guest_connect(place.socket_path);
	do {
		kill(program.pid, SIGUSR1);
		process_wait_for_log(&program, "status: network");
		program.err_len = 0;
		process_wait_for_log(&program, "counters:");
	} while (!strstr(program.err_text, "status: guest port1 on port1: no MAC yet"));
	close(guest);
	end();
}
END_TEST

START_TEST(test_json_log_has_one_object_per_line)
{
	int guest;

	process_place_make(&place);
	process_start(&program, &place, "--log-json");
	guest = guest_connect(place.socket_path);
	process_wait_for_log(&program, "\"message\":\"port1: guest attached\"}\n");
	ck_assert_ptr_eq(strstr(program.err_text, "{\"time\":\"20"), program.err_text);
	close(guest);
	end();
}
END_TEST

START_TEST(test_log_file_that_cannot_be_made_stops_the_start)
{
	process_place_make(&place);
	process_run(&program, &place, "--log-file|/nonexistent/log");
	ck_assert_int_eq(program.status, 1);
	ck_assert_str_eq(
	    program.err_text,
	    "lwnat: error: --log-file: '/nonexistent/log': No such file or directory\n");
	process_place_remove(&place);
}
END_TEST

/* ---- a service manager ---- */

static int bound(const char *name, int type)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", place.dir, name);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	if (type == SOCK_STREAM)
		ck_assert_int_eq(listen(fd, 8), 0);
	return fd;
}

static const char *received(int fd)
{
	static char text[200];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	return text;
}

START_TEST(test_service_manager_hears_ready_guests_and_stopping)
{
	char path[100];
	int fd, guest;

	process_place_make(&place);
	fd = bound("notify", SOCK_DGRAM);
	snprintf(path, sizeof(path), "%s/notify", place.dir);
	setenv("NOTIFY_SOCKET", path, 1);
	process_start(&program, &place, "");
	ck_assert_str_eq(received(fd), "READY=1");
	ck_assert_str_eq(received(fd), "STATUS=guests attached: 0");
	guest = guest_connect(place.socket_path);
	ck_assert_str_eq(received(fd), "STATUS=guests attached: 1");
	close(guest);
	ck_assert_str_eq(received(fd), "STATUS=guests attached: 0");
	kill(program.pid, SIGTERM);
	ck_assert_str_eq(received(fd), "STOPPING=1");
	process_finish(&program);
	process_place_remove(&place);
}
END_TEST

START_TEST(test_watchdog_is_told_that_the_loop_turns)
{
	char path[100];
	unsigned beats = 0;
	int fd;

	process_place_make(&place);
	fd = bound("notify", SOCK_DGRAM);
	snprintf(path, sizeof(path), "%s/notify", place.dir);
	setenv("NOTIFY_SOCKET", path, 1);
	setenv("WATCHDOG_USEC", "20000", 1);
	process_start(&program, &place, "");
	while (beats < 3)
		beats += strcmp(received(fd), "WATCHDOG=1") == 0;
	end();
}
END_TEST

/* A shell puts the sockets at 3 and 4 and its own process id, which exec keeps, into the
 * environment, as the service manager does. */
static void activate(int guests, int second, const char *names)
{
	char command[PATH_MAX + 400];
	pid_t pid;

	fflush(stdout);
	snprintf(command, sizeof(command),
		 "LISTEN_PID=$$ LISTEN_FDS=%d LISTEN_FDNAMES=%s exec %s >%s/out 2>%s/err",
		 second < 0 ? 1 : 2, names, place.program, place.dir, place.dir);
	pid = fork();
	if (pid == 0) {
		int high = fcntl(guests, F_DUPFD, 20),
		    high2 = second < 0 ? -1 : fcntl(second, F_DUPFD, 20);

		dup2(high, 3);
		if (high2 >= 0)
			dup2(high2, 4);
		for (int fd = high2 < 0 ? 4 : 5; fd < 64; fd++)
			close(fd);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(97);
	}
	program.pid = pid;
}

static int finish_activated(void)
{
	int status;

	ck_assert_int_eq(waitpid(program.pid, &status, 0), program.pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *in_place(const char *name)
{
	static char path[4][120];
	static unsigned n;
	char *one = path[n++ % 4];

	snprintf(one, sizeof(path[0]), "%s/%s", place.dir, name);
	return one;
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

START_TEST(test_activated_sockets_are_served_and_their_files_stay)
{
	static const char request[] =
	    "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	char reply[200] = "", expect[200];
	int guests, control, guest, client;
	struct stat st;

	process_place_make(&place);
	guests = bound("guests.sock", SOCK_STREAM);
	control = bound("control.sock", SOCK_STREAM);
	/* Both clients are there before the program is. */
	guest = connect_to(in_place("guests.sock"));
	client = connect_to(in_place("control.sock"));
	ck_assert_int_gt(write(client, request, strlen(request)), 0);
	activate(guests, control, "guests:control");
	wait_for_content(in_place("out"), "ready\n");
	wait_for_content(in_place("err"), "port1: guest attached");
	ck_assert_int_gt(recv(client, reply, sizeof(reply) - 1, 0), 0);
	ck_assert_ptr_eq(strstr(reply, "HTTP/1.1 200"), reply);
	snprintf(expect, sizeof(expect), "addr.path=%s", in_place("guests.sock"));
	ck_assert_ptr_nonnull(strstr(content(in_place("out")), expect));
	ck_assert_int_lt(lstat(in_place("lwnat/default.sock"), &st), 0);
	kill(program.pid, SIGTERM);
	ck_assert_int_eq(finish_activated(), 0);
	ck_assert_int_eq(lstat(in_place("guests.sock"), &st), 0);
	ck_assert_int_eq(lstat(in_place("control.sock"), &st), 0);
	close(guest);
	close(client);
	process_place_remove(&place);
}
END_TEST

START_TEST(test_one_activated_socket_of_any_name_is_the_guests)
{
	int guests, guest;

	process_place_make(&place);
	guests = bound("guests.sock", SOCK_STREAM);
	guest = connect_to(in_place("guests.sock"));
	activate(guests, -1, "lwnat.socket");
	wait_for_content(in_place("err"), "port1: guest attached");
	kill(program.pid, SIGTERM);
	ck_assert_int_eq(finish_activated(), 0);
	close(guest);
	process_place_remove(&place);
}
END_TEST

START_TEST(test_an_activated_vhost_user_socket_is_served_and_its_file_stays)
{
	int guests, vhost, guest;
	char expect[200];
	struct stat st;

	process_place_make(&place);
	guests = bound("guests.sock", SOCK_STREAM);
	vhost = bound("vhost.sock", SOCK_STREAM);
	guest = connect_to(in_place("vhost.sock"));
	activate(guests, vhost, "guests:vhost");
	wait_for_content(in_place("out"), "ready\n");
	wait_for_content(in_place("err"), "port1: guest attached (vhost-user)");
	snprintf(expect, sizeof(expect), "path=%s", in_place("vhost.sock"));
	ck_assert_ptr_nonnull(strstr(content(in_place("out")), expect));
	kill(program.pid, SIGTERM);
	ck_assert_int_eq(finish_activated(), 0);
	ck_assert_int_eq(lstat(in_place("vhost.sock"), &st), 0);
	close(guest);
	process_place_remove(&place);
}
END_TEST

START_TEST(test_activated_socket_of_another_kind_is_refused)
{
	int datagrams;

	process_place_make(&place);
	datagrams = bound("guests.sock", SOCK_DGRAM);
	activate(datagrams, -1, "lwnat.socket");
	ck_assert_int_eq(finish_activated(), 1);
	ck_assert_ptr_nonnull(strstr(content(in_place("err")),
				     "socket activation: 'lwnat.socket' is no listening UNIX"));
	process_place_remove(&place);
}
END_TEST

START_TEST(test_sockets_meant_for_another_process_are_left_alone)
{
	process_place_make(&place);
	setenv("LISTEN_PID", "1", 1);
	setenv("LISTEN_FDS", "1", 1);
	process_start(&program, &place, "");
	end();
}
END_TEST

int main(void)
{
	return SUITE_RUN("daemon", test_sighup_opens_the_log_file_again,
			 test_sighup_without_a_log_file_ends_the_program,
			 test_state_is_said_on_request_at_every_level,
			 test_json_log_has_one_object_per_line,
			 test_log_file_that_cannot_be_made_stops_the_start,
			 test_service_manager_hears_ready_guests_and_stopping,
			 test_watchdog_is_told_that_the_loop_turns,
			 test_activated_sockets_are_served_and_their_files_stay,
			 test_one_activated_socket_of_any_name_is_the_guests,
			 test_an_activated_vhost_user_socket_is_served_and_its_file_stays,
			 test_activated_socket_of_another_kind_is_refused,
			 test_sockets_meant_for_another_process_are_left_alone);
}
