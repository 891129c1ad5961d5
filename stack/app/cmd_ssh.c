#include "stack/app/client_dial.h"
#include "stack/app/cmd.h"
#include "stack/app/commands.h"
#include "stack/app/shell_quote.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_SSH 255 /* what ssh says of its own failures */
#define OWN_WORDS_MAX 16

/* A guest is made anew all the time, with another key each time, and the way to it never leaves
 * this machine: asking about its key would only teach people to say yes. */
static const char *const host_key_words[] = {
    "-o", "StrictHostKeyChecking=no",       "-o", "UserKnownHostsFile=/dev/null",
    "-o", "GlobalKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"};

/* The value of ssh's ProxyCommand: a line for a shell in which '%' begins what ssh fills in. */
static char *proxy_command(const struct client *client, const char *guest)
{
	char exe[PATH_MAX], *line = NULL, *ret = NULL;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	size_t len;
	FILE *out;

	snprintf(exe + (n > 0 ? n : 0), n > 0 ? 1 : sizeof(exe), "%s", n > 0 ? "" : "lwnat");
	out = open_memstream(&line, &len);
	if (!out)
		return NULL;
	shell_quote(out, exe);
	fputs(" connect --control ", out);
	shell_quote(out, client->path);
	fputs(" -- ", out);
	shell_quote(out, guest);
	fclose(out);
	out = line ? open_memstream(&ret, &len) : NULL;
	if (out) {
		fputs("ProxyCommand=", out);
		for (const char *c = line; *c != '\0'; c++)
			fputs(*c == '%' ? "%%" : (char[]){*c, '\0'}, out);
		fputs(" %p", out);
		fclose(out);
	}
	free(line);
	return ret;
}

/* ssh's own destination, "USER@GUEST"; an '@' in front of a guest is none of its. */
static char *destination(const char *arg, const char *guest)
{
	char *ret;

	if (asprintf(&ret, "%.*s%s", (int)(guest - arg), arg, guest + (*guest == '@')) < 0)
		return NULL;
	return ret;
}

static int become_ssh(const struct command_line *line, const struct client *client,
		      const char *guest)
{
	char **argv = calloc(line->args_n + OWN_WORDS_MAX + 1, sizeof(*argv));
	char *proxy = proxy_command(client, guest), *where = destination(line->args[0], guest);
	size_t n = 0;

	if (argv && proxy && where) {
		argv[n++] = (char *)"ssh";
		argv[n++] = (char *)"-o";
		argv[n++] = proxy;
		for (size_t i = 0; !line->check_host_key &&
				   i < sizeof(host_key_words) / sizeof(host_key_words[0]);
		     i++)
			argv[n++] = (char *)host_key_words[i];
		argv[n++] = where;
		for (unsigned i = 1; i < line->args_n; i++)
			argv[n++] = line->args[i];
		signal(SIGPIPE, SIG_DFL);
		execvp(argv[0], argv);
		client_fail(client, "cannot run ssh: %s", strerror(errno));
	} else {
		client_fail(client, "out of memory");
	}
	free(argv);
	free(proxy);
	free(where);
	return EXIT_SSH;
}

/* ssh's errors are 255 too, so that what the command in the guest says stays apart. */
int cmd_ssh(const struct command_line *line)
{
	const char *arg = line->args[0], *at = strchr(arg, '@');
	const char *guest = at && at != arg ? at + 1 : arg;
	char error[CLIENT_ERROR_MAX];
	struct client client;

	if (client_find_guest(&client, line, guest, error) < 0) {
		client_fail(&client, "%s", error);
		return EXIT_SSH;
	}
	return become_ssh(line, &client, guest);
}
