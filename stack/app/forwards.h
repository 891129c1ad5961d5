/* Forwards while the network runs: host listeners on one side, the NAT on the other. A rule whose
 * guest is absent waits; the guest is looked up at each connection. */
#ifndef LWNAT_APP_FORWARDS_H
#define LWNAT_APP_FORWARDS_H

#include "hostfwd/hostfwd.h"
#include "stack/app/guests.h"
#include "stack/app/options.h"
#include "stack/host/host.h"
#include "stack/nat/nat.h"

#define FORWARDS_ERROR_MAX 512
#define FORWARDS_MAX 4096 /* rules at once */

struct forwards;
struct forward; /* one rule */

struct forwards_config {
	const struct options *options; /* the network that rules are checked against */
	uv_loop_t *loop;
	struct host *host;
	struct nat *nat;
	const struct guests *guests;
	/* The NAT has been given work outside of its own events. */
	void (*turn)(void *ctx);
	void *turn_ctx;
};

/* 0 or -ENOMEM. */
int forwards_new(struct forwards **ret, const struct forwards_config *config);
/* Closes all rules. Before nat_free() and host_close(); the memory goes when libuv has closed the
 * handles. NULL is fine. */
void forwards_close(struct forwards *forwards);

/* Opens a listener for each port and address of the rule, or none at all. Its number (> 0), or a
 * negative errno and one line in 'error' that names protocol, address, port, who holds it when that
 * can be seen, and the way out. */
int forwards_add(struct forwards *forwards, const struct hostfwd_rule *rule,
		 char error[FORWARDS_ERROR_MAX]);
/* The same from a rule's text (hostfwd_parse()). */
int forwards_add_text(struct forwards *forwards, const char *text, char error[FORWARDS_ERROR_MAX]);
/* Closes the listeners at once. Connections that stand live on, unless 'cut': then both ends get a
 * reset. Those that are held wait no more. (UDP has no connections: its mappings end with the
 * socket.) 0 or -ENOENT. */
int forwards_remove(struct forwards *forwards, int number, bool cut);
/* The rule that 'text' means: a number, the rule as it was given or is listed, or its host side as
 * QEMU's hostfwd_remove takes it ("tcp:127.0.0.1:2222", "tcp::2222", "unix:PATH"). NULL: none. */
const struct forward *forwards_find(const struct forwards *forwards, const char *text);

enum forward_state {
	FORWARD_READY,   /* its guest is known; whether it listens there shows at a connection */
	FORWARD_WAITING, /* no guest of that name or card is here, or it has no address yet */
};

struct forward_info {
	int number;
	struct hostfwd_rule
	    rule; /* with the host port that was picked; the guest as it was given */
	char text[HOSTFWD_TEXT_MAX]; /* of 'rule' */
	/* Where it listens, one line: "127.0.0.1:2222 and [::1]:2222", or the socket's path. */
	char listens_on[HOSTFWD_TEXT_MAX];
	enum forward_state state;
	struct endpoint guest;      /* where the next connection goes; unspecified while waiting */
	char why[GUESTS_ERROR_MAX]; /* WAITING: one line */
	unsigned live, held;     /* connections (UDP: mappings) now; held ones are not among them */
	uint64_t opened, failed; /* so far */
	uint64_t bytes_to_guest, bytes_to_host;
};

/* Walks in the order of the numbers: start with NULL; NULL at the end. */
const struct forward *forwards_next(const struct forwards *forwards, const struct forward *after);
const struct forward *forwards_get(const struct forwards *forwards, int number); /* or NULL */
void forward_info(const struct forward *forward, struct forward_info *ret);
unsigned forwards_count(const struct forwards *forwards);

#endif
