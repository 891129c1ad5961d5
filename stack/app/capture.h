/* What passes on guests' wires, as pcap: into files, and to whoever reads a stream. Costs nothing
 * while nobody captures. Nanosecond stamps; each frame is recorded once, also one from guest to
 * guest in a capture of all. */
#ifndef LWNAT_APP_CAPTURE_H
#define LWNAT_APP_CAPTURE_H

#include "stack/base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#define CAPTURE_ERROR_MAX 320
#define CAPTURE_PATH_MAX 256      /* bytes, with NUL */
#define CAPTURE_SNAPLEN_MAX 65549 /* bytes: the longest frame there is */
#define CAPTURE_SNAPLEN_MIN 64
#define CAPTURE_SIZE_MIN 16384 /* bytes of a file in a ring */
#define CAPTURE_FILES_MAX 100
#define CAPTURE_FILES_DEFAULT 10
#define CAPTURES_MAX 32 /* files and streams together */

struct lan;
struct capture;
struct capture_stream;

enum capture_whom {
	CAPTURE_ALL,  /* every port, now and later */
	CAPTURE_PORT, /* the guest on this port; ends when it goes */
	CAPTURE_MAC,  /* the guest with this MAC, on whatever port it speaks, now and later */
};

struct capture_target {
	enum capture_whom whom;
	uint32_t port_id; /* CAPTURE_PORT */
	struct mac mac;   /* CAPTURE_MAC */
};

struct capture_file {
	struct capture_target target;
	uint32_t snaplen; /* bytes kept of each frame; 0: all */
	char path[CAPTURE_PATH_MAX];
	uint64_t size_max; /* bytes; 0: one file without end */
	unsigned files_n;  /* kept in all, FILE being the newest, then FILE.1, FILE.2; 0: the
			      default */
};

/* 0 or -ENOMEM. Nothing is captured yet. */
int capture_new(struct capture **ret, uv_loop_t *loop, struct lan *lan);
/* Ends all; streams that are still open get their end. Before lan_free(). The memory goes when
 * libuv has closed the handles. NULL is fine. */
void capture_close(struct capture *capture);
/* Before the port's memory goes: what was for it alone ends. */
void capture_port_gone(struct capture *capture, uint32_t port_id);

/* Begins to write a file, which is made anew, for its owner alone; its folder is opened once. The
 * number of the capture (> 0), or a negative errno and one line in 'error'. */
int capture_start(struct capture *capture, const struct capture_file *file,
		  char error[CAPTURE_ERROR_MAX]);
int capture_stop(struct capture *capture, int number); /* 0 or -ENOENT; also for a stream */

/* A stream of pcap bytes, header first, then whole records. What the reader does not take in time
 * is dropped, by records, and counted; memory is bounded. 'ready' is called when there is something
 * to read again after a read gave -EAGAIN, or when the stream has ended; never from inside of this
 * or of capture_stream_read(). 0, -ENOMEM or -ENOSPC. */
struct capture_stream_config {
	struct capture_target target;
	uint32_t snaplen; /* as above */
	void (*ready)(void *ctx);
	void *ctx;
};
int capture_stream_open(struct capture_stream **ret, struct capture *capture,
			const struct capture_stream_config *config);
/* Bytes put into 'buf'; -EAGAIN: none now; 0: ended, none will come. */
ssize_t capture_stream_read(struct capture_stream *stream, uint8_t *buf, size_t max);
/* The reader has gone. NULL is fine. After capture_close() too. */
void capture_stream_close(struct capture_stream *stream);

/* For lists. */
struct capture_info {
	int number;
	struct capture_target target;
	bool is_stream;
	uint32_t snaplen;
	char path[CAPTURE_PATH_MAX]; /* "" for a stream */
	uint64_t size_max;
	unsigned files_n;
	uint64_t started_ms;     /* uv_now() */
	uint64_t frames, bytes;  /* recorded; bytes of pcap */
	uint64_t dropped_reader; /* frames that a slow reader had no room for */
	int error;               /* negative errno that ended it (disk full); 0: it runs */
};
/* Walks: start with 0, returns the next number and fills *ret; 0 at the end. Also those that an
 * error has ended, until they are stopped. */
int capture_next(const struct capture *capture, int number, struct capture_info *ret);

#endif
