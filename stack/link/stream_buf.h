/* Counted read buffers of the stream transport. A buffer may outlive its port and its pool: whoever
 * took a reference to a frame keeps it. */
#ifndef LWNAT_LINK_STREAM_BUF_H
#define LWNAT_LINK_STREAM_BUF_H

#include "stack/base/frame.h"

#include <stddef.h>

#define STREAM_READ_LEN (256 * 1024)                         /* bytes asked for in one read */
#define STREAM_BUF_LEN (STREAM_READ_LEN + 4 + FRAME_LEN_MAX) /* and the frame begun before it */

struct stream_bufs;

struct stream_buf {
	struct frame_owner owner; /* one reference is the port's */
	struct stream_bufs *bufs;
	struct stream_buf *next_free;
	uint8_t bytes[STREAM_BUF_LEN];
};

struct stream_bufs *stream_bufs_new(void); /* NULL: no memory */
/* Buffers still referenced stay valid and free themselves, and the rest, when they are released. */
void stream_bufs_free(struct stream_bufs *bufs);
/* A buffer with one reference, the caller's; NULL when there is no memory. */
struct stream_buf *stream_buf_take(struct stream_bufs *bufs);

#endif
