/* A client of the program's control socket, turning the guests while it waits. */
#ifndef LWNAT_TESTS_CTL_H
#define LWNAT_TESTS_CTL_H

#include "tests/support/wirebed.h"

#include <jansson.h>

struct ctl_reply {
	int status;
	char *head; /* status line and headers */
	char *body; /* with a NUL */
	size_t body_len;
	json_t *json; /* of the body; NULL: it is none */
};

/* A connection to NAME.ctl of the network "default"; not blocking. */
int ctl_connect(const struct wire *wire);
/* Sends bytes as they are. */
void ctl_say(int fd, const char *text);
/* Reads one whole reply (Content-Length, chunks, or to the end). */
void ctl_hear(struct wire *wire, int fd, struct ctl_reply *ret);
/* One request on a connection of its own; 'body' may be NULL, else it is application/json. */
void ctl_ask(struct wire *wire, const char *method, const char *target, const char *body,
	     struct ctl_reply *ret);
void ctl_reply_free(struct ctl_reply *reply);
const char *ctl_header(const struct ctl_reply *reply, const char *name, char value[256]);

/* GETs a target that must answer 200; the JSON is the caller's. */
json_t *ctl_get(struct wire *wire, const char *target);
/* The request must be refused with this status and blame this field (NULL: none). */
void ctl_refused(struct wire *wire, const char *line, const char *body, int status,
		 const char *field);
/* A sample of /metrics, by its name with labels; it must be there. */
uint64_t ctl_metric(struct wire *wire, const char *sample);

#endif
