#include "stack/app/client_dial.h"
#include "stack/app/cmd.h"
#include "stack/app/commands.h"
#include "stack/app/options_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_MS 300000
#define PAUSE_MS 200    /* between two tries */
#define ATTEMPT_MS 5000 /* then the guest is looked up anew: it may have got another address */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* "GUEST:PORT", where GUEST may have colons of its own. 'guest' gets the first part. */
static int split(const char *text, char *guest, struct client_dial *dial,
		 char error[CLIENT_ERROR_MAX])
{
	char quoted[OPTIONS_QUOTE_MAX];
	const char *colon = strrchr(text, ':');

	if (!colon || colon == text) {
		snprintf(error, CLIENT_ERROR_MAX,
			 "'%s': names no guest and port (accepted: GUEST:PORT)",
			 options_quote(text, quoted));
		return -EINVAL;
	}
	memcpy(guest, text, (size_t)(colon - text));
	guest[colon - text] = '\0';
	dial->guest = guest;
	return client_dial_port(dial, colon + 1, error);
}

/* One connection, closed again. 0 or what client_dial() says. */
static int try_once(struct client *client, const struct command_line *line,
		    const struct client_dial *dial, char error[CLIENT_ERROR_MAX])
{
	struct client_reply early = {0};
	int fd, result = client_find_guest(client, line, dial->guest, error);

	if (result < 0)
		return result;
	fd = client_dial(client, dial, &early, error);
	if (fd < 0)
		return fd;
	free(early.body);
	close(fd);
	return 0;
}

static int wait_for(struct client_dial *dial, const struct command_line *line)
{
	struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
	unsigned timeout_ms = line->timeout_ms ? line->timeout_ms : DEFAULT_MS;
	uint64_t end_ms = now_ms() + timeout_ms, left_ms = timeout_ms;
	struct client client = {.command = line->command->name};
	char error[CLIENT_ERROR_MAX];
	int result;

	do {
		dial->timeout_ms = left_ms < ATTEMPT_MS ? (unsigned)left_ms : ATTEMPT_MS;
		result = try_once(&client, line, dial, error);
		if (result == 0)
			return EXIT_SUCCESS;
		if (result == -EINVAL)
			return client_fail(&client, "%s", error);
		nanosleep(&pause, NULL);
		left_ms = now_ms() < end_ms ? end_ms - now_ms() : 0;
	} while (left_ms > 0);
	return client_fail(&client, "%s: not within %g s: %s", line->args[0], timeout_ms / 1000.0,
			   error);
}

int cmd_wait(const struct command_line *line)
{
	char *guest = malloc(strlen(line->args[0]) + 1), error[CLIENT_ERROR_MAX];
	struct client_dial dial;
	int status;

	if (!guest)
		return EXIT_FAILURE;
	if (split(line->args[0], guest, &dial, error) < 0) {
		fprintf(stderr, "lwnat %s: %s\n", line->command->name, error);
		status = EXIT_USAGE;
	} else {
		status = wait_for(&dial, line);
	}
	free(guest);
	return status;
}
