/* What fake_host.c and fake_datagrams.c share. */
#ifndef LWNAT_TESTS_FAKE_HOST_PRIV_H
#define LWNAT_TESTS_FAKE_HOST_PRIV_H

#include "tests/support/fake_host.h"

struct fake_datagram {
	struct fake_datagram *next;
	struct host_datagram d; /* 'bytes' unset */
	size_t len;
	uint8_t bytes[];
};

void fake_host_misuse(struct fake_host *host, const char *text);
/* The handle, or NULL and a misuse counted. */
struct fake_handle *fake_host_expect(struct fake_host *host, int handle, enum fake_kind kind);
int fake_host_open(struct fake_host *host, enum fake_kind kind, uint64_t token);
void fake_host_release(struct fake_host *host, int handle);
void fake_host_post(struct fake_host *host, int handle, unsigned events);
void fake_datagrams_clear(struct fake_handle *h);

int fake_udp_open(void *ctx, uint64_t token, bool v6);
int fake_udp_send(void *ctx, int handle, const struct host_udp_out *out);
int fake_ping_open(void *ctx, uint64_t token, bool v6);
int fake_ping_send(void *ctx, int handle, const struct addr *to, uint8_t ttl,
		   const struct iovec *iov, unsigned iov_n);
int fake_recv(void *ctx, int handle, struct host_datagram *ret, unsigned max);
void fake_datagram_close(void *ctx, int handle);

#endif
