/* A command's way to a running network: which one is meant, asking it, and saying what went wrong.
 * All of it waits, and prints one line on standard error when it fails. */
#ifndef LWNAT_APP_CLIENT_H
#define LWNAT_APP_CLIENT_H

#include "stack/app/client_http.h"

#include <jansson.h>
#include <stdbool.h>

#define CLIENT_PATH_MAX 108     /* bytes of a UNIX socket's path, with NUL */
#define CLIENT_NAME_MAX 64      /* of a network's name */
#define CLIENT_NETWORKS_MAX 64  /* looked at in one directory */
#define CLIENT_TIMEOUT_MS 10000 /* for what is answered at once */

struct command_line;

struct client {
	const char *command;        /* of the command, for messages: "ctl status" */
	char name[CLIENT_NAME_MAX]; /* the network's; "" with --control */
	char path[CLIENT_PATH_MAX]; /* of its control socket */
};

struct client_networks {
	char name[CLIENT_NETWORKS_MAX][CLIENT_NAME_MAX];
	unsigned n;
};

/* The networks that run in this user's directory, in alphabetical order. */
void client_networks(struct client_networks *ret);

/* Finds the network: --control, --name, else "default", else the only one there is. 0; or -ENOENT,
 * or -ENOTUNIQ where several run and none is said, with the reason in 'error'. */
#define CLIENT_ERROR_MAX 512
int client_find(struct client *ret, const struct command_line *line, char error[CLIENT_ERROR_MAX]);
/* The same, said on standard error. */
int client_open(struct client *ret, const struct command_line *line);

/* "lwnat COMMAND: MESSAGE". Returns the exit status 1. */
int client_fail(const struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Asks, and reads the answer as JSON. 0, or the exit status of what was said. */
int client_call(const struct client *client, const struct client_request *request, json_t **ret);
int client_get(const struct client *client, const char *target, json_t **ret);
/* The same of the network that is meant. */
int client_ask(const struct command_line *line, const char *target, json_t **ret);
/* What a refusal says, in 'text'; a stand-in when it says nothing. */
void client_reason(const struct client_reply *reply, char text[CLIENT_ERROR_MAX]);
/* Why a call that returned this errno has failed. */
const char *client_errno_text(int result);

/* "/v1/guests?guest=web"; 'value' NULL: only 'path'. Freed by the caller; NULL without memory. */
char *client_target(const char *path, const char *parameter, const char *value);

#endif
