#include "stack/app/client_dial.h"

#include "stack/app/commands.h"
#include "stack/app/options_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int client_dial_port(struct client_dial *dial, const char *text, char error[CLIENT_ERROR_MAX])
{
	char quoted[OPTIONS_QUOTE_MAX];
	long port = strlen(text) <= 5 ? strtol(text, NULL, 10) : 0;

	if (text[strspn(text, "0123456789")] != '\0' || port < 1 || port > UINT16_MAX) {
		snprintf(error, CLIENT_ERROR_MAX, "'%s': is no port (accepted: 1-65535)",
			 options_quote(text, quoted));
		return -EINVAL;
	}
	dial->port = (uint16_t)port;
	return 0;
}

/* Asks without a word on standard error. */
static bool has_guest(const struct client *client, const char *guest)
{
	char *target = client_target("/v1/guests", "guest", guest);
	struct client_request request = {
	    .method = "GET", .target = target, .timeout_ms = CLIENT_TIMEOUT_MS};
	struct client_reply reply = {0};
	int fd = target ? client_http_connect(client->path) : -ENOMEM;
	bool found =
	    fd >= 0 && client_http_request(fd, &request, &reply) == 0 && reply.status == 200;

	free(reply.body);
	free(target);
	return found;
}

int client_find_guest(struct client *ret, const struct command_line *line, const char *guest,
		      char error[CLIENT_ERROR_MAX])
{
	int result = client_find(ret, line, error);
	struct client_networks networks;
	struct command_line one = *line;
	char none[CLIENT_ERROR_MAX];
	unsigned found = 0;

	if (result != -ENOTUNIQ)
		return result;
	client_networks(&networks);
	for (unsigned i = 0; i < networks.n; i++) {
		struct client client;

		one.name = networks.name[i];
		if (client_find(&client, &one, none) < 0 || !has_guest(&client, guest))
			continue;
		if (found++ == 0)
			*ret = client;
	}
	return found == 1 ? 0 : result;
}

int client_dial(const struct client *client, const struct client_dial *dial,
		struct client_reply *ret, char error[CLIENT_ERROR_MAX])
{
	char path[64], *target;
	struct client_request request = {.method = "GET"};
	int fd = client_http_connect(client->path), result;

	if (fd < 0) {
		snprintf(error, CLIENT_ERROR_MAX, "%s", client_errno_text(fd));
		return fd == -EINVAL ? -EIO : fd;
	}
	snprintf(path, sizeof(path), "/v1/connect?port=%u&timeout_ms=%u", dial->port,
		 dial->timeout_ms);
	target = client_target(path, "guest", dial->guest);
	request.target = target ? target : "";
	request.timeout_ms = (int)dial->timeout_ms + CLIENT_TIMEOUT_MS;
	result = client_http_upgrade(fd, &request, "lwnat-tcp", ret);
	free(target);
	if (result < 0) {
		snprintf(error, CLIENT_ERROR_MAX, "%s", client_errno_text(result));
		return result == -EINVAL ? -EIO : result;
	}
	if (ret->status == 101)
		return fd;
	client_reason(ret, error);
	free(ret->body);
	ret->body = NULL;
	return ret->status == 400 ? -EINVAL : -EHOSTUNREACH;
}
