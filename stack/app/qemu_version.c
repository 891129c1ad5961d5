#include "stack/app/qemu_version.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS 2000 /* after that the QEMU is taken as unknown */

struct qemu_version qemu_version_parse(const char *line)
{
	static const char before[] = "QEMU emulator version ";
	struct qemu_version v;
	char *dot, *end;

	if (strncmp(line, before, sizeof(before) - 1) != 0)
		return (struct qemu_version){0, 0};
	v.major = (int)strtol(line + sizeof(before) - 1, &dot, 10);
	if (*dot != '.')
		return (struct qemu_version){0, 0};
	v.minor = (int)strtol(dot + 1, &end, 10);
	return end == dot + 1 ? (struct qemu_version){0, 0} : v;
}

const char *qemu_reconnect_words(struct qemu_version v)
{
	if (v.major < 8)
		return "";
	if (v.major < 9 || (v.major == 9 && v.minor < 2))
		return ",reconnect=1";
	return ",reconnect-ms=1000";
}

int qemu_escape(const char *value, char *out, size_t out_max)
{
	size_t n = 0;

	for (; *value != '\0'; value++) {
		if (n + 3 > out_max)
			return -ENAMETOOLONG;
		if (*value == ',')
			out[n++] = ',';
		out[n++] = *value;
	}
	out[n] = '\0';
	return 0;
}

/* The program's first output, within ANSWER_MS; what came late or in pieces is not waited for. */
static struct qemu_version read_answer(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	char line[256];
	ssize_t n;

	if (poll(&pollfd, 1, ANSWER_MS) <= 0)
		return (struct qemu_version){0, 0};
	n = read(fd, line, sizeof(line) - 1);
	line[n > 0 ? n : 0] = '\0';
	return qemu_version_parse(line);
}

struct qemu_version qemu_version_ask(const char *program)
{
	char *const argv[] = {(char *)program, (char *)"--version", NULL};
	struct qemu_version ret = {0, 0};
	posix_spawn_file_actions_t actions;
	int pipe_fds[2];
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return ret;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, program, &actions, NULL, argv, environ) == 0) {
		close(pipe_fds[1]);
		pipe_fds[1] = -1;
		ret = read_answer(pipe_fds[0]);
		kill(pid, SIGKILL); /* it may hang; one that has ended does not mind */
		waitpid(pid, NULL, 0);
	}
	posix_spawn_file_actions_destroy(&actions);
	if (pipe_fds[1] >= 0)
		close(pipe_fds[1]);
	close(pipe_fds[0]);
	return ret;
}

struct qemu_version qemu_version_find(void)
{
	static const char *const programs[] = {"qemu-system-x86_64", "qemu-system-aarch64",
					       "qemu-system-riscv64", "qemu-kvm"};
	struct qemu_version v = {0, 0};

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]) && v.major == 0; i++)
		v = qemu_version_ask(programs[i]);
	return v;
}
