/* A connection into a guest, through the network's control socket. */
#ifndef LWNAT_APP_CLIENT_DIAL_H
#define LWNAT_APP_CLIENT_DIAL_H

#include "stack/app/client.h"

#include <stdint.h>

struct client_dial {
	const char *guest; /* as guests_find() takes it */
	uint16_t port;
	unsigned timeout_ms; /* for the guest to answer */
};

/* "22" to dial->port. 0, or -EINVAL and one line in 'error'. */
int client_dial_port(struct client_dial *dial, const char *text, char error[CLIENT_ERROR_MAX]);

/* client_find(), and where several networks run and none is said: the one that has this guest. */
int client_find_guest(struct client *ret, const struct command_line *line, const char *guest,
		      char error[CLIENT_ERROR_MAX]);

/* A descriptor that carries the connection's bytes; ret->body, the caller's to free, came first.
 * Or one line in 'error' and: -EINVAL when the question is wrong, another negative errno when the
 * answer may be another one later. */
int client_dial(const struct client *client, const struct client_dial *dial,
		struct client_reply *ret, char error[CLIENT_ERROR_MAX]);

#endif
