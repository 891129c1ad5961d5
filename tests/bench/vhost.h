/* The front-end's words to a vhost-user back-end (QEMU, docs/interop/vhost-user.rst), as many as a
 * network card with two rings needs. All end the program when the socket fails. */
#ifndef LWNAT_BENCH_VHOST_H
#define LWNAT_BENCH_VHOST_H

#include "tests/bench/ring.h"

#include <stddef.h>
#include <stdint.h>

#define VHOST_GUEST_BASE UINT64_C(0x40000000) /* where the memory stands for the guest */

struct shared_memory {
	int fd;
	uint8_t *bytes;
	size_t len;
};

/* Takes of 'wanted' what the back-end offers; returns what was agreed on. */
uint64_t vhost_negotiate(int sock, uint64_t wanted, uint64_t *ret_offered);
/* Makes the memory that both will share. */
struct shared_memory vhost_memory_new(int sock, size_t len);
void vhost_ring_start(int sock, uint32_t index, const struct ring *ring);

#endif
