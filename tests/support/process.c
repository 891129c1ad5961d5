#include "tests/support/process.h"

#include "stack/base/wire.h"
#include "stack/link/stream_codec.h"

#include <check.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 16
#define NOBODY 65534

void process_place_make(struct process_place *place)
{
	const char *program = getenv("LWNAT");
	char real[PATH_MAX];

	memset(place, 0, sizeof(*place));
	place->inherited = -1;
	strcpy(place->dir, "/tmp/lwnat-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place->dir));
	setenv("XDG_RUNTIME_DIR", place->dir, 1);
	ck_assert_ptr_nonnull(realpath(program ? program : "lwnat", real));
	snprintf(place->program, sizeof(place->program), "%s", real);
	snprintf(place->socket_path, sizeof(place->socket_path), "%s/lwnat/default.sock",
		 place->dir);
}

void process_place_remove(struct process_place *place)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", place->dir);
	ck_assert_int_eq(system(command), 0);
}

static void become_child(const struct process_place *place, const int out[2], const int err[2],
			 char *const argv[])
{
	dup2(out[1], STDOUT_FILENO);
	dup2(err[1], STDERR_FILENO);
	if (place->inherited >= 0)
		dup2(place->inherited, PROCESS_INHERITED_FD);
	if (place->as_nobody &&
	    (chdir("/") < 0 || setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
		_exit(99);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails takes its programs with it */
	execv(place->program, argv);
	_exit(98);
}

/* The program may lie where that user cannot look, so a copy is run. */
void process_place_give_away(struct process_place *place)
{
	char command[PATH_MAX + 128];

	snprintf(command, sizeof(command), "cp '%s' '%s/copy'", place->program, place->dir);
	ck_assert_int_eq(system(command), 0);
	snprintf(place->program, sizeof(place->program), "%s/copy", place->dir);
	ck_assert_int_eq(chown(place->dir, NOBODY, NOBODY), 0);
	place->as_nobody = true;
}

void process_spawn(struct process *p, const struct process_place *place, const char *line)
{
	char copy[1024], *rest = copy, *argv[ARGS_MAX + 1] = {(char *)"lwnat"};
	int out[2], err[2], argc = 1;

	memset(p, 0, sizeof(*p));
	ck_assert_uint_lt(strlen(line), sizeof(copy));
	strcpy(copy, line);
	while (rest && *line != '\0') {
		ck_assert_int_lt(argc, ARGS_MAX);
		argv[argc++] = strsep(&rest, "|");
	}
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(err, O_CLOEXEC), 0);
	fflush(stdout);
	p->pid = fork();
	ck_assert_int_ge(p->pid, 0);
	if (p->pid == 0)
		become_child(place, out, err, argv);
	close(out[1]);
	close(err[1]);
	p->out = out[0];
	p->err = err[0];
}

/* false at its end */
static bool take_output(int fd, char *text, size_t *len)
{
	ssize_t n = read(fd, text + *len, PROCESS_TEXT_MAX - 1 - *len);

	if (n <= 0)
		return false;
	*len += (size_t)n;
	text[*len] = '\0';
	return true;
}

static void read_until_ready(struct process *p)
{
	while (!strstr(p->out_text, "ready\n")) {
		if (!take_output(p->out, p->out_text, &p->out_len)) {
			take_output(p->err, p->err_text, &p->err_len);
			ck_abort_msg("no ready line: %s%s", p->out_text, p->err_text);
		}
	}
}

void process_finish(struct process *p)
{
	int status;

	while (take_output(p->out, p->out_text, &p->out_len))
		;
	while (take_output(p->err, p->err_text, &p->err_len))
		;
	ck_assert_int_eq(waitpid(p->pid, &status, 0), p->pid);
	p->pid = 0;
	p->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	close(p->out);
	close(p->err);
}

void process_start(struct process *p, const struct process_place *place, const char *line)
{
	process_spawn(p, place, line);
	read_until_ready(p);
}

void process_run(struct process *p, const struct process_place *place, const char *line)
{
	process_spawn(p, place, line);
	process_finish(p);
}

void process_kill(struct process *p)
{
	if (p->pid <= 0)
		return;
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	p->pid = 0;
}

void process_wait_for_log(struct process *p, const char *text)
{
	while (!strstr(p->err_text, text))
		ck_assert(take_output(p->err, p->err_text, &p->err_len));
}

int guest_connect(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_uint_lt(strlen(path), sizeof(to.sun_path));
	memcpy(to.sun_path, path, strlen(path));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

void guest_send(int fd, const void *frame, size_t len)
{
	uint8_t prefix[STREAM_PREFIX_LEN];
	struct wire_out out = wire_out(prefix, sizeof(prefix));

	wire_put_u32(&out, (uint32_t)len);
	ck_assert_int_eq(send(fd, prefix, sizeof(prefix), MSG_NOSIGNAL), sizeof(prefix));
	ck_assert_int_eq(send(fd, frame, len, MSG_NOSIGNAL), (ssize_t)len);
}

size_t guest_receive(int fd, uint8_t *frame, size_t frame_max)
{
	uint8_t prefix[STREAM_PREFIX_LEN];
	struct wire_in in = wire_in(prefix, sizeof(prefix));
	size_t len;

	ck_assert_int_eq(recv(fd, prefix, sizeof(prefix), MSG_WAITALL), sizeof(prefix));
	len = wire_get_u32(&in);
	ck_assert_uint_le(len, frame_max);
	ck_assert_int_eq(recv(fd, frame, len, MSG_WAITALL), (ssize_t)len);
	return len;
}
