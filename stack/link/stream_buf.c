#include "stack/link/stream_buf.h"

#include <stdbool.h>
#include <stdlib.h>

#define FREE_MAX                                                                                   \
	4 /* buffers kept for the next wake-up; the last one used is still in the cache            \
	   */

struct stream_bufs {
	struct stream_buf *free_first;
	unsigned free_n;
	unsigned taken_n;
	bool closed;
};

struct stream_bufs *stream_bufs_new(void)
{
	return calloc(1, sizeof(struct stream_bufs));
}

static void give_back(struct frame_owner *owner)
{
	struct stream_buf *buf = (struct stream_buf *)owner; /* its first member */
	struct stream_bufs *bufs = buf->bufs;

	bufs->taken_n--;
	if (!bufs->closed && bufs->free_n < FREE_MAX) {
		buf->next_free = bufs->free_first;
		bufs->free_first = buf;
		bufs->free_n++;
		return;
	}
	free(buf);
	if (bufs->closed && bufs->taken_n == 0)
		free(bufs);
}

void stream_bufs_free(struct stream_bufs *bufs)
{
	if (!bufs)
		return;
	while (bufs->free_first) {
		struct stream_buf *buf = bufs->free_first;
		bufs->free_first = buf->next_free;
		free(buf);
	}
	bufs->closed = true;
	if (bufs->taken_n == 0)
		free(bufs);
}

struct stream_buf *stream_buf_take(struct stream_bufs *bufs)
{
	struct stream_buf *buf = bufs->free_first;

	if (buf) {
		bufs->free_first = buf->next_free;
		bufs->free_n--;
	} else {
		buf = malloc(sizeof(*buf));
		if (!buf)
			return NULL;
	}
	buf->owner = (struct frame_owner){.refs = 1, .release = give_back};
	buf->bufs = bufs;
	bufs->taken_n++;
	return buf;
}
