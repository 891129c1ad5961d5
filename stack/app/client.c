#include "stack/app/client.h"

#include "stack/app/commands.h"
#include "stack/app/runtime_dir.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char suffix[] = ".ctl";

static int find_dir(char dir[PATH_MAX], char error[RUNTIME_ERROR_MAX])
{
	struct runtime_place place = {.xdg = getenv("XDG_RUNTIME_DIR"), .tmp = "/tmp"};

	return runtime_dir_find(&place, dir, PATH_MAX, error);
}

static bool answers(const char *path)
{
	int fd = client_http_connect(path);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

void client_networks(struct client_networks *ret)
{
	char dir[PATH_MAX], path[PATH_MAX + 300], error[RUNTIME_ERROR_MAX];
	struct dirent *entry;
	DIR *d;

	ret->n = 0;
	d = find_dir(dir, error) < 0 ? NULL : opendir(dir);
	while (d && ret->n < CLIENT_NETWORKS_MAX && (entry = readdir(d)) != NULL) {
		size_t len = strlen(entry->d_name), name_len = len - strlen(suffix);

		if (len <= strlen(suffix) || name_len >= CLIENT_NAME_MAX ||
		    strcmp(entry->d_name + name_len, suffix) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (answers(path))
			snprintf(ret->name[ret->n++], CLIENT_NAME_MAX, "%.*s", (int)name_len,
				 entry->d_name);
	}
	if (d)
		closedir(d);
	qsort(ret->name, ret->n, sizeof(ret->name[0]), by_name);
}

/* "no network runs (start one with ...)", or which ones do. */
static void say_who_runs(const struct client_networks *networks, const char *what,
			 char error[CLIENT_ERROR_MAX])
{
	size_t n = (size_t)snprintf(error, CLIENT_ERROR_MAX, "%s", what);

	if (networks->n == 0) {
		snprintf(error + n, CLIENT_ERROR_MAX - n,
			 "%s (start one with 'lwnat' or 'lwnat run')",
			 *what ? "nor is any other" : "no network is running");
		return;
	}
	n += (size_t)snprintf(error + n, CLIENT_ERROR_MAX - n, "running: ");
	for (unsigned i = 0; i < networks->n && n < CLIENT_ERROR_MAX; i++)
		n += (size_t)snprintf(error + n, CLIENT_ERROR_MAX - n, "%s%s", i > 0 ? ", " : "",
				      networks->name[i]);
	if (n < CLIENT_ERROR_MAX)
		snprintf(error + n, CLIENT_ERROR_MAX - n, " (accepted: --name NAME)");
}

static bool has(const struct client_networks *networks, const char *name)
{
	for (unsigned i = 0; i < networks->n; i++) {
		if (strcmp(networks->name[i], name) == 0)
			return true;
	}
	return false;
}

static int find_by_name(struct client *c, const char *given, char error[CLIENT_ERROR_MAX])
{
	struct client_networks networks;
	char dir[PATH_MAX], text[CLIENT_ERROR_MAX / 2];
	const char *name = given;

	client_networks(&networks);
	if (!name && has(&networks, "default"))
		name = "default";
	if (!name && networks.n == 1)
		name = networks.name[0];
	if (!name) {
		say_who_runs(&networks, networks.n > 0 ? "several networks are " : "", error);
		return networks.n > 0 ? -ENOTUNIQ : -ENOENT;
	}
	if (!has(&networks, name)) {
		snprintf(text, sizeof(text), "no network '%.63s' is running; ", name);
		say_who_runs(&networks, text, error);
		return -ENOENT;
	}
	snprintf(c->name, sizeof(c->name), "%s", name);
	find_dir(dir, error);
	if ((size_t)snprintf(c->path, sizeof(c->path), "%.200s/%s%s", dir, name, suffix) >=
	    sizeof(c->path)) {
		snprintf(error, CLIENT_ERROR_MAX, "the socket's path is too long: %.200s/%s%s", dir,
			 name, suffix);
		return -ENOENT;
	}
	return 0;
}

int client_find(struct client *ret, const struct command_line *line, char error[CLIENT_ERROR_MAX])
{
	memset(ret, 0, sizeof(*ret));
	ret->command = line->command->name;
	if (!line->control)
		return find_by_name(ret, line->name, error);
	if ((size_t)snprintf(ret->path, sizeof(ret->path), "%s", line->control) >=
	    sizeof(ret->path)) {
		snprintf(error, CLIENT_ERROR_MAX, "--control: is longer than a socket's path");
		return -ENOENT;
	}
	if (!answers(ret->path)) {
		snprintf(error, CLIENT_ERROR_MAX, "--control: '%.107s': no network answers there",
			 ret->path);
		return -ENOENT;
	}
	return 0;
}

int client_open(struct client *ret, const struct command_line *line)
{
	char error[CLIENT_ERROR_MAX];
	int result = client_find(ret, line, error);

	return result < 0 ? client_fail(ret, "%s", error) : 0;
}

int client_fail(const struct client *client, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "lwnat %s: ", client->command);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

const char *client_errno_text(int result)
{
	switch (-result) {
	case ETIMEDOUT:
		return "the network does not answer";
	case EPIPE:
		return "the network ended in the middle of its answer";
	case ESHUTDOWN:
		return "the network closed the connection without an answer";
	case EPROTO:
		return "what answers on the control socket is no lwnat";
	default:
		return strerror(-result);
	}
}

void client_reason(const struct client_reply *reply, char text[CLIENT_ERROR_MAX])
{
	json_t *body = reply->body ? json_loads(reply->body, 0, NULL) : NULL;
	const json_t *error = json_object_get(body, "error");
	const char *field = json_string_value(json_object_get(error, "field"));
	const char *message = json_string_value(json_object_get(error, "message"));

	if (!message)
		snprintf(text, CLIENT_ERROR_MAX, "refused with HTTP status %d", reply->status);
	else if (field && !strstr(message, field))
		snprintf(text, CLIENT_ERROR_MAX, "%s: %s", field, message);
	else
		snprintf(text, CLIENT_ERROR_MAX, "%s", message);
	json_decref(body);
	for (char *c = text; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}

/* Says why there is no answer: a network that was ended a moment ago had still been connected to.
 */
static int fail_unanswered(const struct client *client, int result)
{
	struct client_networks networks;
	char error[CLIENT_ERROR_MAX];

	if ((result != -ESHUTDOWN && result != -ECONNREFUSED) || answers(client->path))
		return client_fail(client, "%s", client_errno_text(result));
	client_networks(&networks);
	say_who_runs(&networks, "", error);
	return client_fail(client, "%s", error);
}

int client_call(const struct client *client, const struct client_request *request, json_t **ret)
{
	struct client_reply reply = {0};
	char reason[CLIENT_ERROR_MAX];
	int result = client_http_connect(client->path), status = 0;

	if (result >= 0)
		result = client_http_request(result, request, &reply);
	if (result < 0)
		return fail_unanswered(client, result);
	if (reply.status < 200 || reply.status > 299) {
		client_reason(&reply, reason);
		status = client_fail(client, "%s", reason);
	} else {
		*ret = json_loadb(reply.body, reply.body_len, 0, NULL);
		if (!*ret)
			status = client_fail(client, "%s", client_errno_text(-EPROTO));
	}
	free(reply.body);
	return status;
}

int client_get(const struct client *client, const char *target, json_t **ret)
{
	struct client_request request = {
	    .method = "GET", .target = target, .timeout_ms = CLIENT_TIMEOUT_MS};

	if (!target)
		return client_fail(client, "out of memory");
	return client_call(client, &request, ret);
}

int client_ask(const struct command_line *line, const char *target, json_t **ret)
{
	struct client client;
	int status = client_open(&client, line);

	return status == 0 ? client_get(&client, target, ret) : status;
}

char *client_target(const char *path, const char *parameter, const char *value)
{
	char *ret = NULL;
	size_t len;
	FILE *out = open_memstream(&ret, &len);

	if (!out)
		return NULL;
	fputs(path, out);
	if (value) {
		fprintf(out, "%c%s=", strchr(path, '?') ? '&' : '?', parameter);
		client_http_escape(out, value);
	}
	fclose(out);
	return ret;
}
