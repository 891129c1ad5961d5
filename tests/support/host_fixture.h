/* A loop and a struct host for tests with real sockets on loopback. Closing proves that no
 * descriptor and no libuv handle is left. */
#ifndef LWNAT_TESTS_SUPPORT_HOST_FIXTURE_H
#define LWNAT_TESTS_SUPPORT_HOST_FIXTURE_H

#include "stack/base/addr.h"
#include "stack/host/host.h"

#define HOST_FIXTURE_TOKENS 1024

struct host_fixture {
	uv_loop_t loop;
	struct host *host;
	const struct host_ops *ops;
	int fds_before;
	unsigned told[HOST_FIXTURE_TOKENS];   /* events by token, until taken */
	unsigned told_n[HOST_FIXTURE_TOKENS]; /* calls */
	unsigned turn_ends;
	void (*on_event)(struct host_fixture *f, uint64_t token); /* may be NULL */
	/* the last service dial: */
	unsigned service;
	int service_fd;
	struct endpoint service_guest;
	uint64_t service_token;
	int service_result;
	struct host_target target; /* of the next service dial: a pair, unless set */
	unsigned service_closed_n;
	uint64_t service_closed_token;
	void *test_data;
};

void host_fixture_open(struct host_fixture *f);
void host_fixture_close(struct host_fixture *f);
/* Runs the loop until 'token' was told one of 'events'; takes and returns all it was told. */
unsigned host_fixture_wait(struct host_fixture *f, uint64_t token, unsigned events);
/* Runs the loop until nothing is pending. What loopback carries has then arrived. */
void host_fixture_settle(struct host_fixture *f);
unsigned host_fixture_take(struct host_fixture *f, uint64_t token); /* what was told since */

int open_fd_count(void);
/* A plain blocking socket bound to loopback, listening if it is a stream; its endpoint. */
int loopback_socket(int type, bool v6, struct endpoint *ret);
/* Whether this machine has ::1; says so on stderr when it has not. */
bool loopback_v6_available(void);

#endif
