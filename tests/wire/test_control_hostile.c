/* Clients of the control socket that are slow, many or not to be let in: the guests' traffic goes
 * on, and so does the control socket. */
#include "stack/app/control.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)
#define NOBODY 65534
#define MANY 200 /* more than the limit of connections */

/* A transfer of a guest's from start to end. */
static void check_data_path(struct wire *wire, uint16_t from)
{
	struct sim_tcp_setup setup = {.wscale = 7, .send_seed = 1, .recv_seed = 1};
	struct sim_tcp *tcp;
	uint16_t port = wire_tcp_echo(wire);

	setup.send_total = 2 * MIB;
	tcp = wire_connect_out(wire, 0, from, port, &setup);
	WIRE_UNTIL(wire, tcp->received == 2 * MIB);
}

static bool is_served(struct wire *wire)
{
	static const char request[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd = ctl_connect(wire);
	ssize_t n = -1;
	char byte;

	(void)!send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
	for (unsigned i = 0; i < 1000 && n < 0; i++) {
		n = recv(fd, &byte, 1, MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			break;
		wire_turn(wire, 5);
	}
	close(fd);
	return n == 1;
}

static unsigned still_open(const int *fd, unsigned n)
{
	unsigned open_n = 0;
	char byte;

	for (unsigned i = 0; i < n; i++)
		open_n += recv(fd[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
	return open_n;
}

START_TEST(test_many_silent_clients_hold_up_nobody_for_long)
{
	struct wire wire;
	int fd[MANY];

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	for (unsigned i = 0; i < MANY; i++) {
		fd[i] = ctl_connect(&wire);
		if (i % 2)
			(void)!send(fd[i], "GET /v1/sta", 11, MSG_NOSIGNAL);
		wire_turn(&wire, 0);
	}
	check_data_path(&wire, 40000);
	WIRE_UNTIL(&wire, still_open(fd, MANY) <= 64);
	wire_turns_for(&wire, 100);
	ck_assert_uint_eq(still_open(fd, MANY), 64); /* the others were closed unanswered */
	for (unsigned i = 0; i < MANY; i++)
		close(fd[i]);
	WIRE_UNTIL(&wire, is_served(&wire)); /* as soon as it has seen them go */
	wire_finish(&wire);
}
END_TEST

START_TEST(test_clients_that_never_read_stall_nobody)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	struct wire wire;
	int fd[20];

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	for (unsigned i = 0; i < 20; i++) {
		fd[i] = ctl_connect(&wire);
		for (unsigned j = 0; j < 200; j++)
			(void)!send(fd[i], request, sizeof(request) - 1,
				    MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	check_data_path(&wire, 40000);
	json_decref(ctl_get(&wire, "/v1/flows"));
	for (unsigned i = 0; i < 20; i++)
		close(fd[i]);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_garbage_and_giants_are_refused)
{
	static const char *const texts[] = {
	    "\r\n\r\n\r\n",
	    "GET\r\n\r\n",
	    "GET /v1/status HTTP/9.9\r\n\r\n",
	    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	    "GET /v1/status HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
	    "POST /v1/hostfwd HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
	    "POST /v1/log HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	};
	static char giant[100000];
	struct wire wire;
	char text[4096];
	int fd;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		fd = ctl_connect(&wire);
		ctl_say(fd, texts[i]);
		wire_turns_for(&wire, 20);
		close(fd);
	}
	memset(giant, 'a', sizeof(giant));
	memcpy(giant, "GET /", 5);
	fd = ctl_connect(&wire);
	(void)!send(fd, giant, sizeof(giant), MSG_NOSIGNAL | MSG_DONTWAIT);
	WIRE_UNTIL(&wire, recv(fd, text, sizeof(text), MSG_DONTWAIT) >= 0 || errno != EAGAIN);
	close(fd);
	giant[2100] = '\0';
	ctl_refused(&wire, giant, NULL, 414, "path");
	json_decref(ctl_get(&wire, "/healthz"));
	wire_finish(&wire);
}
END_TEST

START_TEST(test_bodies_have_a_limit)
{
	static char body[70000];
	struct ctl_reply reply;
	struct wire wire;
	int fd;

	wire_start(&wire, "");
	fd = ctl_connect(&wire);
	ctl_say(fd, "POST /v1/hostfwd HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		    "Content-Length: 65537\r\n\r\n");
	ctl_hear(&wire, fd, &reply);
	ck_assert_int_eq(reply.status, 413);
	ctl_reply_free(&reply);
	close(fd);
	memset(body, '[', sizeof(body) - 1); /* nesting has a limit of its own */
	body[60000] = '\0';
	fd = ctl_connect(&wire);
	ctl_say(fd, "POST /v1/hostfwd HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		    "Content-Length: 60000\r\n\r\n");
	ctl_say(fd, body);
	ctl_hear(&wire, fd, &reply);
	ck_assert_int_eq(reply.status, 400);
	ctl_reply_free(&reply);
	close(fd);
	wire_finish(&wire);
}
END_TEST

/* In a process of its own, as another user: what the control socket says to him. */
static void ask_as_nobody(const char *path)
{
	static const char request[] = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char text[512];
	ssize_t n;

	strcpy(name.sun_path, path);
	if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0 ||
	    connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		_exit(10);
	(void)!send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
	n = recv(fd, text, sizeof(text) - 1, MSG_WAITALL);
	text[n > 0 ? n : 0] = '\0';
	_exit(strncmp(text, "HTTP/1.1 403 ", 13) == 0 && strstr(text, "\"error\"") ? 0 : 11);
}

START_TEST(test_other_users_are_turned_away)
{
	struct wire wire;
	char path[128];
	int status;
	pid_t pid;

	ck_assert(control_admits(1000, 1000));
	ck_assert(control_admits(0, 1000));
	ck_assert(!control_admits(1001, 1000));
	if (geteuid() != 0)
		return; /* nobody else can be played */
	wire_start(&wire, "");
	/* The modes would keep him out already: they are given away. */
	chmod(wire.place.dir, 0755);
	snprintf(path, sizeof(path), "%s/lwnat", wire.place.dir);
	chmod(path, 0755);
	snprintf(path, sizeof(path), "%s/lwnat/default.ctl", wire.place.dir);
	chmod(path, 0666);
	pid = fork();
	if (pid == 0)
		ask_as_nobody(path);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	json_decref(ctl_get(&wire, "/healthz"));
	wire_finish(&wire);
}
END_TEST

static unsigned fd_count(const struct wire *wire)
{
	char command[128];
	unsigned n = 0;
	FILE *out;

	snprintf(command, sizeof(command), "ls /proc/%d/fd | wc -l", (int)wire->process.pid);
	out = popen(command, "r");
	ck_assert_int_eq(fscanf(out, "%u", &n), 1);
	pclose(out);
	return n;
}

START_TEST(test_clients_that_come_and_go_leave_nothing)
{
	struct wire wire;
	unsigned fds;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	fds = fd_count(&wire);
	for (unsigned i = 0; i < 300; i++) {
		int fd = ctl_connect(&wire);

		if (i % 3 == 0)
			ctl_say(fd, "GET /v1/flows HTTP/1.1\r\nHost: x\r\n\r\n");
		else if (i % 3 == 1)
			ctl_say(fd, "GET /v1/ping?guest=10.0.2.77&timeout_ms=10 HTTP/1.1\r\n"
				    "Host: x\r\n\r\n");
		if (i % 5 == 0)
			wire_turn(&wire, 5);
		close(fd);
	}
	WIRE_UNTIL(&wire, fd_count(&wire) == fds);
	wire_finish(&wire);
}
END_TEST

int main(void)
{
	return SUITE_RUN("control_hostile", test_many_silent_clients_hold_up_nobody_for_long,
			 test_clients_that_never_read_stall_nobody,
			 test_garbage_and_giants_are_refused, test_bodies_have_a_limit,
			 test_other_users_are_turned_away,
			 test_clients_that_come_and_go_leave_nothing);
}
