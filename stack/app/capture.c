#include "stack/app/capture.h"

#include "stack/app/capture_ring.h"
#include "stack/app/pcapbuf.h"
#include "stack/base/frame.h"
#include "stack/base/list.h"
#include "stack/base/log.h"
#include "stack/link/lan.h"
#include "stack/link/poller_uv.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILE_ROOM (256 * 1024)    /* bytes between two writes at most; and once in each turn */
#define STREAM_ROOM (1024 * 1024) /* bytes that wait for a reader */

/* One file or one stream. A file's is the capture's; a stream's is its reader's, and goes with
 * capture_stream_close(). */
struct capture_stream {
	struct capture *capture; /* NULL: it has ended */
	struct list link;        /* in order of the numbers */
	struct capture_info info;
	struct pcapbuf *buf;
	struct capture_ring ring; /* a file's */
	struct capture_stream_config reader;
	bool reader_waits; /* 'ready' is owed */
};

struct capture {
	uv_loop_t *loop;
	struct lan *lan;
	struct list sinks; /* struct capture_stream.link */
	unsigned sinks_n;
	int last_number;
	struct poller *poller;        /* ours to put back */
	uv_prepare_t prepare;         /* runs before the loop waits, while there are sinks */
	uint8_t frame[FRAME_LEN_MAX]; /* the one in hand, in one piece */
};

/* ---- frames ---- */

static bool is_wanted(const struct capture *capture, const struct capture_stream *sink,
		      const struct port *port, enum lan_tap_way way)
{
	const struct capture_target *target = &sink->info.target;
	const uint8_t *dst = capture->frame, *src = capture->frame + sizeof(struct mac);

	switch (target->whom) {
	case CAPTURE_ALL:
		return way != LAN_SWITCHED;
	case CAPTURE_PORT:
		return port->id == target->port_id;
	case CAPTURE_MAC:
		break;
	}
	if (way == LAN_FROM_GUEST)
		return memcmp(src, target->mac.b, sizeof(target->mac.b)) == 0;
	if (memcmp(dst, target->mac.b, sizeof(target->mac.b)) == 0)
		return true;
	return (dst[0] & 1) && lan_port_of(capture->lan, &target->mac) == port;
}

static size_t append(uint8_t *to, size_t at, const void *bytes, size_t len)
{
	size_t room = FRAME_LEN_MAX - at;

	len = len < room ? len : room;
	if (len)
		memcpy(to + at, bytes, len);
	return at + len;
}

/* The only copy, and made only while somebody captures. */
static size_t collect(struct capture *capture, const struct lan_tap_frame *frame)
{
	size_t len = append(capture->frame, 0, frame->hdr, frame->hdr_len);

	for (unsigned i = 0; i < frame->iov_n; i++)
		len = append(capture->frame, len, frame->iov[i].iov_base, frame->iov[i].iov_len);
	return len;
}

static void fail_file(struct capture_stream *sink, int err)
{
	sink->info.error = err;
	log_warn_errno(err, "pcap: %s: capture stopped after %llu frames", sink->info.path,
		       (unsigned long long)sink->info.frames);
	capture_ring_close(&sink->ring);
}

static void write_out(struct capture_stream *sink)
{
	size_t len;
	const uint8_t *bytes = pcapbuf_bytes(sink->buf, &len);
	int err;

	if (len == 0 || sink->info.error)
		return;
	err = capture_ring_write(&sink->ring, bytes, len);
	pcapbuf_take(sink->buf, len);
	if (err < 0)
		fail_file(sink, err);
}

/* Makes room for a record, in the buffer and in the file. */
static void make_room(struct capture_stream *sink, size_t record)
{
	uint64_t size;
	size_t len;
	int err;

	(void)pcapbuf_bytes(sink->buf, &len);
	size = sink->ring.size + len;
	if (len + record > FILE_ROOM)
		write_out(sink);
	if (!sink->info.size_max || size + record <= sink->info.size_max ||
	    size <= PCAPBUF_HEADER_LEN)
		return;
	write_out(sink);
	if (sink->info.error)
		return;
	err = capture_ring_turn(&sink->ring);
	if (err == 0)
		err = pcapbuf_restart(sink->buf);
	if (err == 0)
		sink->info.bytes += PCAPBUF_HEADER_LEN;
	else
		fail_file(sink, err);
}

static void record(struct capture_stream *sink, const uint8_t *frame, size_t len,
		   const struct timespec *when)
{
	size_t caplen = len < sink->info.snaplen ? len : sink->info.snaplen;
	size_t record_len = PCAPBUF_RECORD_LEN + caplen;

	if (!sink->info.is_stream)
		make_room(sink, record_len);
	if (sink->info.error)
		return;
	if (!pcapbuf_add(sink->buf, when, frame, caplen, len)) {
		sink->info.dropped_reader++;
		return;
	}
	sink->info.frames++;
	sink->info.bytes += record_len;
}

static void on_frame(void *ctx, const struct port *port, enum lan_tap_way way,
		     const struct lan_tap_frame *frame)
{
	struct capture *capture = ctx;
	size_t len = collect(capture, frame);
	struct timespec when;

	if (len < FRAME_HDR_LEN)
		return;
	clock_gettime(CLOCK_REALTIME, &when);
	for (struct list *link = capture->sinks.next; link != &capture->sinks; link = link->next) {
		struct capture_stream *sink = list_entry(link, struct capture_stream, link);

		if (!sink->info.error && is_wanted(capture, sink, port, way))
			record(sink, capture->frame, len, &when);
	}
}

/* Files are whole after each turn, also for who looks after a SIGKILL; readers are told once. */
static void on_prepare(uv_prepare_t *prepare)
{
	struct capture *capture = prepare->data;

	for (struct list *link = capture->sinks.next, *next; link != &capture->sinks; link = next) {
		struct capture_stream *sink = list_entry(link, struct capture_stream, link);
		size_t len;

		next = link->next;
		if (!sink->info.is_stream) {
			write_out(sink);
			continue;
		}
		(void)pcapbuf_bytes(sink->buf, &len);
		if (sink->reader_waits && len > 0) {
			sink->reader_waits = false;
			sink->reader.ready(sink->reader.ctx);
			return; /* it may have closed any of them; the rest in the next turn */
		}
	}
}

/* ---- sinks ---- */

static void look_at_frames(struct capture *capture, bool look)
{
	struct lan_tap tap = {on_frame, capture};

	lan_set_tap(capture->lan, look ? &tap : NULL);
	poller_uv_every_turn(capture->loop, look);
	if (look)
		uv_prepare_start(&capture->prepare, on_prepare);
	else
		uv_prepare_stop(&capture->prepare);
}

static int sink_new(struct capture_stream **ret, struct capture *capture,
		    const struct capture_info *info)
{
	struct capture_stream *sink;
	int err;

	if (capture->sinks_n == CAPTURES_MAX)
		return -ENOSPC;
	sink = calloc(1, sizeof(*sink));
	if (!sink)
		return -ENOMEM;
	sink->info = *info;
	if (sink->info.snaplen == 0 || sink->info.snaplen > CAPTURE_SNAPLEN_MAX)
		sink->info.snaplen = CAPTURE_SNAPLEN_MAX;
	err =
	    pcapbuf_new(&sink->buf, sink->info.snaplen, info->is_stream ? STREAM_ROOM : FILE_ROOM);
	if (err < 0) {
		free(sink);
		return err;
	}
	sink->ring.fd = sink->ring.folder = -1;
	sink->info.bytes = PCAPBUF_HEADER_LEN;
	sink->info.started_ms = uv_now(capture->loop);
	list_init(&sink->link);
	*ret = sink;
	return 0;
}

static void sink_free(struct capture_stream *sink)
{
	capture_ring_close(&sink->ring);
	pcapbuf_free(sink->buf);
	free(sink);
}

static void sink_join(struct capture *capture, struct capture_stream *sink)
{
	sink->capture = capture;
	sink->info.number = ++capture->last_number;
	list_append(&capture->sinks, &sink->link);
	if (capture->sinks_n++ == 0)
		look_at_frames(capture, true);
}

static void sink_leave(struct capture_stream *sink)
{
	struct capture *capture = sink->capture;

	assert(capture);
	list_remove(&sink->link);
	sink->capture = NULL;
	if (--capture->sinks_n == 0)
		look_at_frames(capture, false);
}

/* A stream's memory stays its reader's, who is told. */
static void end(struct capture_stream *sink)
{
	sink_leave(sink);
	if (sink->info.is_stream) {
		if (sink->reader_waits) {
			sink->reader_waits = false;
			sink->reader.ready(sink->reader.ctx);
		}
		return;
	}
	write_out(sink);
	log_info("pcap: %s: ended, %llu frames", sink->info.path,
		 (unsigned long long)sink->info.frames);
	sink_free(sink);
}

/* ---- files ---- */

static int explain(int err, const char *path, char error[CAPTURE_ERROR_MAX])
{
	switch (err) {
	case -EEXIST:
		snprintf(error, CAPTURE_ERROR_MAX, "'%s': is there and no regular file", path);
		break;
	case -EINVAL:
		snprintf(error, CAPTURE_ERROR_MAX, "'%s': is no file's name", path);
		break;
	case -ENOSPC:
		snprintf(error, CAPTURE_ERROR_MAX,
			 "'%s': %d captures run already, or no space is "
			 "left",
			 path, CAPTURES_MAX);
		break;
	default:
		snprintf(error, CAPTURE_ERROR_MAX, "'%s': %s", path, strerror(-err));
	}
	return err;
}

int capture_start(struct capture *capture, const struct capture_file *file,
		  char error[CAPTURE_ERROR_MAX])
{
	struct capture_info info = {.target = file->target,
				    .snaplen = file->snaplen,
				    .size_max = file->size_max,
				    .files_n = file->files_n};
	struct capture_stream *sink;
	int err;

	snprintf(info.path, sizeof(info.path), "%s", file->path);
	if (info.size_max == 0)
		info.files_n = 1;
	else if (info.files_n == 0)
		info.files_n = CAPTURE_FILES_DEFAULT;
	if (info.size_max > 0 && info.size_max < CAPTURE_SIZE_MIN)
		info.size_max = CAPTURE_SIZE_MIN;
	if (info.files_n > CAPTURE_FILES_MAX)
		info.files_n = CAPTURE_FILES_MAX;
	err = sink_new(&sink, capture, &info);
	if (err < 0)
		return explain(err, file->path, error);
	err = capture_ring_open(&sink->ring, info.path, info.files_n);
	if (err < 0) {
		sink->ring.fd = sink->ring.folder = -1;
		sink_free(sink);
		return explain(err, file->path, error);
	}
	sink_join(capture, sink);
	write_out(sink); /* a file without a frame is a capture too */
	log_info("pcap: writing to %s", info.path);
	return sink->info.number;
}

int capture_stop(struct capture *capture, int number)
{
	for (struct list *link = capture->sinks.next; link != &capture->sinks; link = link->next) {
		struct capture_stream *sink = list_entry(link, struct capture_stream, link);

		if (sink->info.number == number) {
			end(sink);
			return 0;
		}
	}
	return -ENOENT;
}

int capture_next(const struct capture *capture, int number, struct capture_info *ret)
{
	for (struct list *link = capture->sinks.next; link != &capture->sinks; link = link->next) {
		const struct capture_stream *sink = list_entry(link, struct capture_stream, link);

		if (sink->info.number > number) {
			*ret = sink->info;
			return sink->info.number;
		}
	}
	return 0;
}

/* ---- streams ---- */

int capture_stream_open(struct capture_stream **ret, struct capture *capture,
			const struct capture_stream_config *config)
{
	struct capture_info info = {
	    .target = config->target, .snaplen = config->snaplen, .is_stream = true};
	int err = sink_new(ret, capture, &info);

	if (err < 0)
		return err;
	(*ret)->reader = *config;
	sink_join(capture, *ret);
	return 0;
}

ssize_t capture_stream_read(struct capture_stream *stream, uint8_t *buf, size_t max)
{
	size_t len;
	const uint8_t *bytes = pcapbuf_bytes(stream->buf, &len);

	if (len == 0 && stream->capture)
		stream->reader_waits = true;
	if (len == 0)
		return stream->capture ? -EAGAIN : 0;
	len = len < max ? len : max;
	memcpy(buf, bytes, len);
	pcapbuf_take(stream->buf, len);
	return (ssize_t)len;
}

void capture_stream_close(struct capture_stream *stream)
{
	if (!stream)
		return;
	if (stream->capture)
		sink_leave(stream);
	sink_free(stream);
}

/* ---- all of it ---- */

int capture_new(struct capture **ret, uv_loop_t *loop, struct lan *lan)
{
	struct capture *capture = calloc(1, sizeof(*capture));

	if (!capture)
		return -ENOMEM;
	int err = poller_uv_get(loop, &capture->poller);
	if (err < 0) {
		free(capture);
		return err;
	}
	capture->loop = loop;
	capture->lan = lan;
	list_init(&capture->sinks);
	uv_prepare_init(loop, &capture->prepare);
	uv_unref((uv_handle_t *)&capture->prepare);
	capture->prepare.data = capture;
	/* A file that has reached RLIMIT_FSIZE is to end its capture, not the network. */
	signal(SIGXFSZ, SIG_IGN);
	*ret = capture;
	return 0;
}

void capture_port_gone(struct capture *capture, uint32_t port_id)
{
	struct list *link = capture->sinks.next;

	while (link != &capture->sinks) {
		struct capture_stream *sink = list_entry(link, struct capture_stream, link);
		bool ends =
		    sink->info.target.whom == CAPTURE_PORT && sink->info.target.port_id == port_id;

		link = link->next;
		if (!ends)
			continue;
		end(sink);
		link = capture->sinks.next; /* its reader may have closed another */
	}
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void capture_close(struct capture *capture)
{
	if (!capture)
		return;
	while (!list_is_empty(&capture->sinks))
		end(list_entry(capture->sinks.next, struct capture_stream, link));
	poller_uv_put(capture->loop);
	uv_close((uv_handle_t *)&capture->prepare, on_closed);
}
