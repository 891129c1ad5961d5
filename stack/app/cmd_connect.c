#include "stack/app/client.h"
#include "stack/app/client_dial.h"
#include "stack/app/cmd.h"
#include "stack/app/commands.h"
#include "stack/app/write_all.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECT_MS 30000 /* until the guest has answered */
#define COPY_MAX 65536   /* bytes at a time */

/* Until the end of 'from': 0; or a negative errno, of reading or writing. */
static int copy(int from, int to)
{
	char bytes[COPY_MAX];

	for (;;) {
		ssize_t n = read(from, bytes, sizeof(bytes));
		int result;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? 0 : -errno;
		result = write_all(to, bytes, (size_t)n);
		if (result < 0)
			return result;
	}
}

/* Guest to standard output, in a process of its own: descriptors that others may share are not
 * made non-blocking, and a reader that is slow does not stop the other direction. */
static void become_reader(int fd, const struct client_reply *early, pid_t parent)
{
	int result;

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* ssh ends its ProxyCommand with a signal */
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	close(STDIN_FILENO);
	result = write_all(STDOUT_FILENO, early->body, early->body_len);
	if (result == 0)
		result = copy(fd, STDOUT_FILENO);
	/* Nobody reads any more, or the connection was reset: the other direction ends too. */
	if (result < 0)
		shutdown(fd, SHUT_RDWR);
	_exit(result < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* Standard input to the guest, until its end, or until the guest takes no more. */
static void write_to_guest(int fd)
{
	char bytes[COPY_MAX];
	ssize_t n = 1;

	while (n > 0) {
		struct pollfd polled[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd}};

		if (poll(polled, 2, -1) < 0)
			continue;
		if (polled[1].revents & (POLLHUP | POLLERR))
			return;
		if (polled[0].revents == 0)
			continue;
		n = read(STDIN_FILENO, bytes, sizeof(bytes));
		if (n > 0 && write_all(fd, bytes, (size_t)n) < 0)
			return;
	}
	shutdown(fd, SHUT_WR);
}

static int relay(const struct client *client, int fd, const struct client_reply *early)
{
	pid_t self = getpid(), pid = fork();
	int status = 0;

	if (pid < 0)
		return client_fail(client, "cannot start: %s", strerror(errno));
	if (pid == 0)
		become_reader(fd, early, self);
	close(STDOUT_FILENO); /* whose end is the other process's to tell */
	write_to_guest(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

int cmd_connect(const struct command_line *line)
{
	struct client_dial dial = {.guest = line->args[0],
				   .timeout_ms = line->timeout_ms ? line->timeout_ms : CONNECT_MS};
	struct client_reply early = {0};
	char error[CLIENT_ERROR_MAX];
	struct client client;
	int status, fd;

	if (client_dial_port(&dial, line->args[1], error) < 0) {
		fprintf(stderr, "lwnat %s: %s\n", line->command->name, error);
		return EXIT_USAGE;
	}
	if (client_find_guest(&client, line, dial.guest, error) < 0)
		return client_fail(&client, "%s", error);
	fd = client_dial(&client, &dial, &early, error);
	if (fd < 0)
		return client_fail(&client, "%s", error);
	status = relay(&client, fd, &early);
	free(early.body);
	close(fd);
	return status;
}
