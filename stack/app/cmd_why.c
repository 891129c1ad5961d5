#include "stack/app/client.h"
#include "stack/app/client_json.h"
#include "stack/app/cmd.h"
#include "stack/app/commands.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PINGS 4           /* as many as a person looks at */
#define PING_PAUSE_MS 500 /* between two of them */

static void print_check(const json_t *check)
{
	const char *result = json_text(check, "result", "?");
	const char *advice = json_text(check, "advice", NULL);

	printf("  %-4s ", strcmp(result, "ok") == 0     ? "ok"
			  : strcmp(result, "fail") == 0 ? "FAIL"
							: "?");
	print_safe(stdout, json_text(check, "text", "-"));
	putchar('\n');
	if (advice) {
		fputs("       -> ", stdout);
		print_safe(stdout, advice);
		putchar('\n');
	}
}

/* A heading whenever the guest is another one. */
static void print_checks(const json_t *checks)
{
	const char *last = NULL;
	json_t *check;
	size_t i;

	json_array_foreach(checks, i, check)
	{
		const char *guest = json_text(check, "guest", "");

		if (!last || strcmp(last, guest) != 0) {
			print_safe(stdout, *guest != '\0' ? guest : "the network");
			puts(":");
			last = guest;
		}
		print_check(check);
	}
}

int cmd_why(const struct command_line *line)
{
	char *target = client_target("/v1/why", "guest", line->args_n ? line->args[0] : NULL);
	json_t *answer = NULL;
	int status = client_ask(line, target, &answer);

	free(target);
	if (status != 0)
		return status;
	if (line->json)
		json_print(stdout, answer);
	else
		print_checks(json_object_get(answer, "checks"));
	status = json_yes(answer, "ok") ? EXIT_SUCCESS : EXIT_FAILURE;
	json_decref(answer);
	return status;
}

/* ---- ping ---- */

static void print_ping(const json_t *answer)
{
	if (json_yes(answer, "answered")) {
		printf("%s (%s) answered in %.2f ms\n", json_text(answer, "guest", "?"),
		       json_text(answer, "address", "?"),
		       (double)json_count(answer, "rtt_us") / 1000);
		return;
	}
	printf("%s (%s): ", json_text(answer, "guest", "?"), json_text(answer, "address", "?"));
	print_safe(stdout, json_text(answer, "reason", "no answer"));
	putchar('\n');
}

/* 0 once one has been answered. */
int cmd_ping(const struct command_line *line)
{
	struct timespec pause = {.tv_nsec = PING_PAUSE_MS * 1000000L};
	unsigned pings = line->number ? line->number : PINGS, answered = 0;
	unsigned timeout_ms = line->timeout_ms ? line->timeout_ms : 1000;
	char path[64], *target;
	struct client client;
	int status = client_open(&client, line);

	if (status != 0)
		return status;
	snprintf(path, sizeof(path), "/v1/ping?timeout_ms=%u", timeout_ms);
	target = client_target(path, "guest", line->args[0]);
	for (unsigned i = 0; i < pings && status == 0; i++) {
		struct client_request request = {.method = "GET",
						 .target = target,
						 .timeout_ms = (int)timeout_ms + CLIENT_TIMEOUT_MS};
		json_t *answer = NULL;

		if (i > 0)
			nanosleep(&pause, NULL);
		status = target ? client_call(&client, &request, &answer)
				: client_fail(&client, "out of memory");
		if (status != 0)
			break;
		answered += json_yes(answer, "answered");
		if (line->json)
			json_print(stdout, answer);
		else
			print_ping(answer);
		fflush(stdout);
		json_decref(answer);
	}
	free(target);
	return status != 0 ? status : answered > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
