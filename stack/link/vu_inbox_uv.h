/* The message that is coming in on a vhost-user connection, with its descriptors. */
#ifndef LWNAT_LINK_VU_INBOX_UV_H
#define LWNAT_LINK_VU_INBOX_UV_H

#include "stack/link/vu_msg.h"

#include <stddef.h>
#include <stdint.h>

struct vu_inbox {
	uint8_t bytes[VU_HDR_LEN + VU_PAYLOAD_MAX];
	size_t len;
	int fds[VU_FDS_MAX]; /* -1: taken */
	unsigned fds_n;
};

/* Reads what there is of the message, nothing of the next one. 1: some bytes; 0: none now; or a
 * negative errno (-EPIPE: the front-end left). */
int vu_inbox_read(struct vu_inbox *in, int fd);
/* An eventfd of QEMU's blocks or not as it was made: ours must not. */
void vu_inbox_make_fds_nonblocking(const struct vu_inbox *in);
/* Those that were not taken. */
void vu_inbox_close_fds(struct vu_inbox *in);

#endif
