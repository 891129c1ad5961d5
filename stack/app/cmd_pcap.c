#include "stack/app/client.h"
#include "stack/app/client_json.h"
#include "stack/app/cmd.h"
#include "stack/app/commands.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "/v1/pcap/GUEST", freed by the caller. */
static char *guest_target(const char *guest, unsigned snaplen)
{
	char *ret = NULL;
	size_t len;
	FILE *out = open_memstream(&ret, &len);

	if (!out)
		return NULL;
	fputs("/v1/pcap/", out);
	client_http_escape(out, guest);
	if (snaplen > 0)
		fprintf(out, "?snaplen=%u", snaplen);
	fclose(out);
	return ret;
}

/* The network's process has a folder of its own. */
static json_t *start_body(const struct command_line *line)
{
	const char *file = line->args[1];
	char cwd[PATH_MAX], path[2 * PATH_MAX];
	json_t *body;

	if (*file != '/' && getcwd(cwd, sizeof(cwd)))
		snprintf(path, sizeof(path), "%s/%s", cwd, file);
	else
		snprintf(path, sizeof(path), "%s", file);
	body = json_pack("{s:s}", "file", path);
	if (line->snaplen)
		json_object_set_new(body, "snaplen", json_integer(line->snaplen));
	if (line->file_bytes)
		json_object_set_new(body, "file_bytes", json_integer((json_int_t)line->file_bytes));
	if (line->files)
		json_object_set_new(body, "files", json_integer(line->files));
	return body;
}

static void print_capture(const json_t *capture)
{
	char text[TABLE_UNIT_MAX];

	print_safe(stdout, json_text(capture, "guest", "?"));
	fputs(": ", stdout);
	print_safe(stdout, json_text(capture, "file", "a stream"));
	printf(", %lld packets, %s", (long long)json_count(capture, "packets"),
	       json_bytes(capture, "bytes", text));
	if (json_count(capture, "dropped") > 0)
		printf(", %lld left out", (long long)json_count(capture, "dropped"));
	putchar('\n');
}

static void print_captures(const json_t *answer)
{
	json_t *capture;
	size_t i;

	json_array_foreach(json_object_get(answer, "captures"), i, capture)
	{
		print_capture(capture);
	}
}

static int call_and_print(const struct command_line *line, struct client_request *request)
{
	struct client client;
	json_t *answer = NULL;
	int status = client_open(&client, line);

	request->timeout_ms = CLIENT_TIMEOUT_MS;
	if (status == 0 && !request->target)
		status = client_fail(&client, "out of memory");
	if (status == 0)
		status = client_call(&client, request, &answer);
	if (status != 0)
		return status;
	if (line->json)
		json_print(stdout, answer);
	else if (json_object_get(answer, "captures"))
		print_captures(answer);
	else
		print_capture(answer);
	json_decref(answer);
	return EXIT_SUCCESS;
}

int cmd_pcap_start(const struct command_line *line)
{
	json_t *body = start_body(line);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	char *target = text ? guest_target(line->args[0], 0) : NULL;
	struct client_request request = {.method = "POST", .target = target, .body = text};
	int status = call_and_print(line, &request);

	json_decref(body);
	free(text);
	free(target);
	return status;
}

int cmd_pcap_stop(const struct command_line *line)
{
	char *target = guest_target(line->args[0], 0);
	struct client_request request = {.method = "DELETE", .target = target};
	int status = call_and_print(line, &request);

	free(target);
	return status;
}

int cmd_pcap_list(const struct command_line *line)
{
	json_t *answer = NULL;
	int status = client_ask(line, "/v1/pcap", &answer);

	if (status != 0)
		return status;
	if (line->json)
		json_print(stdout, answer);
	else
		print_captures(answer);
	json_decref(answer);
	return EXIT_SUCCESS;
}

static int stream(const struct client *client, const char *target)
{
	struct client_request request = {
	    .method = "GET", .target = target, .timeout_ms = CLIENT_TIMEOUT_MS};
	struct client_reply reply = {0};
	char reason[CLIENT_ERROR_MAX];
	int result = client_http_connect(client->path), status = EXIT_SUCCESS;

	if (result >= 0)
		result = client_http_stream(result, &request, stdout, &reply);
	if (result < 0)
		return client_fail(client, "%s", client_errno_text(result));
	if (reply.status != 200) {
		client_reason(&reply, reason);
		status = client_fail(client, "%s", reason);
	}
	free(reply.body);
	return status;
}

int cmd_pcap_stream(const struct command_line *line)
{
	char *target = guest_target(line->args[0], line->snaplen);
	struct client client;
	int status = client_open(&client, line);

	if (status == 0 && isatty(STDOUT_FILENO))
		status = client_fail(&client,
				     "packets are nothing for a terminal (try: lwnat %s %s | "
				     "wireshark -k -i -)",
				     line->command->name, line->args[0]);
	else if (status == 0)
		status = target ? stream(&client, target) : client_fail(&client, "out of memory");
	free(target);
	return status;
}
