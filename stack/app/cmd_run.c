#include "stack/app/cmd.h"

#include "stack/app/commands.h"
#include "stack/app/run_args.h"
#include "stack/app/run_name.h"
#include "stack/app/shell_quote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_CANNOT_RUN 126 /* what shells say of a program that is there and cannot be run, */
#define EXIT_NOT_FOUND 127  /* and of one that is not */
#define FIRST_FD 3          /* what --print calls the descriptors */
#define OWN_WORDS 10        /* of a network's command line, beside the user's */

/* Options that 'run' gives by itself, or that would tie several networks to one thing. */
static const char *const refused[] = {"netdev",        "fd",         "ready-fd",
				      "socket",        "vhost-user", "vhost-user-connect",
				      "vhost-user-fd", "version"};

/* Options that name one file, which several networks cannot share. */
static const char *const single[] = {"control", "lease-file", "pcap"};

struct run {
	const struct command_line *line;
	struct run_plan plan;
	const char *name; /* as the user gave it; NULL: not */
	bool has_log_level;
	int qemu_fd[RUN_NETWORKS_MAX], network_fd[RUN_NETWORKS_MAX];
	char fd_text[16], ready_text[16];
	char *argv_text; /* of the words above */
};

static int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int complain(const char *format, ...)
{
	va_list args;

	fputs("lwnat run: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return -EINVAL;
}

/* ---- the options before QEMU ---- */

/* The value of --NAME among the options, in either spelling; NULL when it is not there. */
static const char *own_option(const struct command_line *line, const char *name)
{
	size_t len = strlen(name);
	const char *ret = NULL;

	for (int i = 1; i < line->options_n; i++) {
		const char *arg = line->options[i];

		if (!arg || strncmp(arg, "--", 2) != 0 || strncmp(arg + 2, name, len) != 0)
			continue;
		if (arg[2 + len] == '=')
			ret = arg + 2 + len + 1;
		else if (arg[2 + len] == '\0')
			ret = line->options[i + 1] ? line->options[i + 1] : "";
	}
	return ret;
}

static int check_own_options(struct run *r)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (own_option(r->line, refused[i]))
			return complain("--%s: not with 'run', where QEMU's command line says it",
					refused[i]);
	}
	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]) && r->plan.networks_n > 1; i++) {
		if (own_option(r->line, single[i]))
			return complain("--%s: QEMU has %u user networks, which cannot share it "
					"(accepted: one of them)",
					single[i], r->plan.networks_n);
	}
	r->name = own_option(r->line, "name");
	r->has_log_level = own_option(r->line, "log-level") != NULL;
	return 0;
}

/* ---- a network's command line ---- */

/* argv for network i; the caller frees it, not its strings. */
static char **network_argv(struct run *r, unsigned i, int fd, int ready_fd)
{
	struct run_network *n = &r->plan.network[i];
	char **argv = calloc((size_t)r->line->options_n + OWN_WORDS + 1, sizeof(*argv));
	int k = r->line->options_n;

	if (!argv)
		return NULL;
	memcpy(argv, r->line->options, (size_t)k * sizeof(*argv));
	argv[k++] = (char *)"--netdev";
	argv[k++] = n->netdev;
	argv[k++] = (char *)"--name";
	argv[k++] = n->name;
	if (!r->has_log_level) {
		/* The terminal is the guest's. */
		argv[k++] = (char *)"--log-level";
		argv[k++] = (char *)"warn";
	}
	snprintf(r->fd_text, sizeof(r->fd_text), "%d", fd);
	argv[k++] = (char *)"--fd";
	argv[k++] = r->fd_text;
	if (ready_fd >= 0) {
		snprintf(r->ready_text, sizeof(r->ready_text), "%d", ready_fd);
		argv[k++] = (char *)"--ready-fd";
		argv[k++] = r->ready_text;
	}
	return argv;
}

/* An error in QEMU's string names it as QEMU would; one in ours, our option. */
static int check_network(struct run *r, unsigned i)
{
	static const char netdev[] = "--netdev: ";
	const char *option = r->plan.network[i].option;
	struct options *options = malloc(sizeof(*options));
	char **argv = network_argv(r, i, FIRST_FD, -1);
	struct options_error error;
	int argc = 0, result = 0;

	if (!options || !argv) {
		result = complain("out of memory");
		goto out;
	}
	while (argv[argc])
		argc++;
	result = options_parse(options, argc, argv, &error);
	if (result < 0 && strncmp(error.text, netdev, strlen(netdev)) == 0)
		complain("%s: %s", option, error.text + strlen(netdev));
	else if (result < 0)
		complain("%s", error.text);
out:
	free(argv);
	free(options);
	return result;
}

/* ---- starting a network ---- */

/* Not our child, so that QEMU, which takes our place, inherits none; and in a session of its own,
 * out of the reach of the terminal's Ctrl-C and Ctrl-Z, which are QEMU's. */
static void become_network(char *const argv[], int fd, int ready_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid;

	setsid();
	pid = fork();
	if (pid != 0)
		_exit(pid < 0);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (fcntl(fd, F_SETFD, 0) == 0 && fcntl(ready_fd, F_SETFD, 0) == 0)
		execv("/proc/self/exe", argv);
	complain("cannot start the network: %s", strerror(errno));
	_exit(EXIT_FAILURE);
}

/* Until the network says that it is ready. It has said why when it is not. */
static int wait_until_ready(int fd)
{
	char text[16];
	ssize_t n;

	do {
		n = read(fd, text, sizeof(text));
	} while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : -EIO;
}

static int start_network(struct run *r, unsigned i)
{
	int ready[2] = {-1, -1}, result = -EIO;
	char **argv = NULL;
	pid_t pid = -1;

	if (pipe2(ready, O_CLOEXEC) == 0)
		argv = network_argv(r, i, r->network_fd[i], ready[1]);
	fflush(NULL);
	if (argv)
		pid = fork();
	if (pid == 0)
		become_network(argv, r->network_fd[i], ready[1]);
	if (pid < 0)
		complain("cannot start the network: %s", strerror(errno));
	if (ready[1] >= 0)
		close(ready[1]);
	if (pid > 0) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		result = wait_until_ready(ready[0]);
	}
	if (ready[0] >= 0)
		close(ready[0]);
	free(argv);
	close(r->network_fd[i]);
	return result;
}

static int start_networks(struct run *r)
{
	int lock = run_names_lock(), result = 0;

	for (unsigned i = 0; i < r->plan.networks_n && result == 0; i++) {
		int ends[2];

		run_name_choose(r->plan.network[i].name, r->name, r->plan.networks_n > 1);
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
			result = complain("cannot start the network: %s", strerror(errno));
			break;
		}
		r->qemu_fd[i] = ends[0];
		r->network_fd[i] = ends[1];
		result = start_network(r, i);
	}
	if (lock >= 0)
		close(lock);
	return result;
}

/* ---- QEMU ---- */

static int connect_networks(struct run *r, struct qemu_version version)
{
	for (unsigned i = 0; i < r->plan.networks_n; i++) {
		if (run_plan_connect(&r->plan, i, r->qemu_fd[i], version) < 0)
			return complain("out of memory");
	}
	return 0;
}

static int become_qemu(struct run *r)
{
	const char *program = r->plan.argv[0];
	int err;

	for (unsigned i = 0; i < r->plan.networks_n; i++)
		(void)fcntl(r->qemu_fd[i], F_SETFD, 0);
	signal(SIGPIPE, SIG_DFL); /* as we found it, or nearly */
	execvp(program, r->plan.argv);
	err = errno;
	complain("%s: %s", program, strerror(err));
	return err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

static int print_all(struct run *r, struct qemu_version version)
{
	for (unsigned i = 0; i < r->plan.networks_n; i++) {
		char **argv;

		r->network_fd[i] = FIRST_FD + 2 * (int)i;
		r->qemu_fd[i] = r->network_fd[i] + 1;
		run_name_choose(r->plan.network[i].name, r->name, r->plan.networks_n > 1);
		argv = network_argv(r, i, r->network_fd[i], -1);
		if (!argv)
			return complain("out of memory");
		shell_print(stdout, argv);
		free(argv);
	}
	if (connect_networks(r, version) < 0)
		return -ENOMEM;
	shell_print(stdout, r->plan.argv);
	return 0;
}

static int run(struct run *r)
{
	struct qemu_version version = {0, 0};

	if (check_own_options(r) < 0)
		return EXIT_USAGE;
	for (unsigned i = 0; i < r->plan.networks_n; i++) {
		if (check_network(r, i) < 0)
			return EXIT_FAILURE;
	}
	if (r->plan.networks_n > 0)
		version = qemu_version_ask(r->plan.argv[0]);
	if (r->line->print)
		return print_all(r, version) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (start_networks(r) < 0 || connect_networks(r, version) < 0)
		return EXIT_FAILURE;
	return become_qemu(r);
}

int cmd_run(const struct command_line *line)
{
	struct run r = {.line = line};
	char *error;
	int result = run_plan_make(&r.plan, line->args, &error), status = EXIT_FAILURE;

	if (result == -EINVAL)
		fprintf(stderr, "%s\n", error);
	else if (result < 0)
		complain("out of memory");
	else
		status = run(&r);
	free(error);
	run_plan_free(&r.plan);
	return status;
}
