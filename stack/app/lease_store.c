#include "stack/app/lease_store.h"

#include "stack/app/write_all.h"
#include "stack/base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DELAY_MS 50
#define PAUSE_MS 1000 /* between two writes, at least */
#define PAUSE_BYTES_PER_MS                                                                         \
	100                  /* and more with a large file: a guest that renews all the time makes \
				us write no more than 100 KB/s */
#define FILE_MAX (64u << 20) /* bytes; more is no lease file */
#define LOG_MS 60000
#define NAME_ROOM 256 /* NAME_MAX of limits.h with NUL */
#define NEW_SUFFIX ".new"
#define DAMAGED_SUFFIX ".damaged"

/* A write under way: the thread's until it is done. */
struct job {
	uv_work_t work;
	struct lease_store *store;
	uint8_t *bytes; /* owned */
	size_t len;
	int result;
};

struct lease_store {
	struct lease_store_config config; /* 'path' is none of ours after lease_store_new() */
	char *path;                       /* owned; for messages */
	char name[NAME_ROOM];             /* in 'folder' */
	int folder;
	uv_timer_t timer;
	struct job job;
	bool writing, dirty, closing, timer_closed;
	uint64_t not_before_ms;
	struct wire_out out; /* being collected; 'start' owned */
	bool no_memory;
	struct log_limit log;
	struct lease_record *records; /* while loading; owned */
	size_t records_n, records_room;
};

/* ---- the file, in whatever thread ---- */

/* Beside the file, to the disk, and in its place: whoever crashes when, one of the two is whole. */
static int replace_file(int folder, const char *name, const uint8_t *bytes, size_t len)
{
	char beside[NAME_ROOM + sizeof(NEW_SUFFIX)];
	int fd, result;

	snprintf(beside, sizeof(beside), "%s%s", name, NEW_SUFFIX);
	(void)unlinkat(folder, beside, 0);
	fd = openat(folder, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	result = write_all(fd, bytes, len);
	if (result == 0 && fsync(fd) < 0)
		result = -errno;
	if (close(fd) < 0 && result == 0)
		result = -errno;
	if (result == 0 && renameat(folder, beside, folder, name) < 0)
		result = -errno;
	if (result < 0)
		(void)unlinkat(folder, beside, 0);
	else
		(void)fsync(folder); /* some file systems cannot; the rename stands all the same */
	return result;
}

/* ---- writing ---- */

static void grow(struct lease_store *store)
{
	size_t len = wire_len(&store->out);
	size_t room = (size_t)(store->out.end - store->out.start);
	size_t bigger = room ? 2 * room : 16384;
	uint8_t *bytes;

	if (room - len >= LEASE_FILE_LINE_MAX || store->no_memory)
		return;
	bytes = realloc(store->out.start, bigger);
	if (!bytes) {
		store->no_memory = true;
		return;
	}
	store->out.start = bytes;
	store->out.at = bytes + len;
	store->out.end = bytes + bigger;
}

void lease_store_put(struct lease_store *store, const struct lease_record *record)
{
	grow(store);
	if (!store->no_memory)
		lease_file_put(&store->out, record);
}

/* The whole file as bytes, the caller's to free; NULL when there is no memory for it. */
static uint8_t *collect(struct lease_store *store, size_t *ret_len)
{
	uint8_t *bytes;

	store->out = (struct wire_out){0};
	store->no_memory = false;
	grow(store);
	if (!store->no_memory)
		lease_file_put_head(&store->out);
	store->config.collect(store->config.ctx, store);
	grow(store);
	if (!store->no_memory)
		lease_file_put_end(&store->out);
	assert(!store->out.bad);
	bytes = store->out.start;
	*ret_len = wire_len(&store->out);
	if (store->no_memory) {
		free(bytes);
		bytes = NULL;
	}
	store->out = (struct wire_out){0};
	return bytes;
}

static void written(struct lease_store *store, int result)
{
	if (result == 0)
		return;
	store->dirty = true; /* tried again with the next change, or at the end */
	if (log_limit_ok(&store->log, uv_now(store->config.loop), 1, LOG_MS))
		log_warn_errno(result, "--lease-file: '%s' cannot be written", store->path);
}

static void in_thread(uv_work_t *work)
{
	struct job *job = work->data;

	job->result = replace_file(job->store->folder, job->store->name, job->bytes, job->len);
}

static void free_if_done(struct lease_store *store)
{
	if (!store->timer_closed || store->writing)
		return;
	close(store->folder);
	free(store->job.bytes);
	free(store->path);
	free(store);
}

static void schedule(struct lease_store *store);

/* Closing with a write under way has left the last state to write: there is nothing to wait for any
 * more. */
static void on_written(uv_work_t *work, int status)
{
	struct job *job = work->data;
	struct lease_store *store = job->store;
	uint64_t pause_ms = PAUSE_MS + job->len / PAUSE_BYTES_PER_MS;

	store->writing = false;
	store->not_before_ms = uv_now(store->config.loop) + pause_ms;
	if (store->closing) {
		if (store->out.start)
			(void)replace_file(store->folder, store->name, store->out.start,
					   wire_len(&store->out));
		free(store->out.start);
		free_if_done(store);
		return;
	}
	free(job->bytes);
	job->bytes = NULL;
	if (store->dirty)
		schedule(store);
	written(store, status < 0 ? status : job->result);
}

static void write_now(struct lease_store *store)
{
	struct job *job = &store->job;

	store->dirty = false;
	job->bytes = collect(store, &job->len);
	if (!job->bytes) {
		written(store, -ENOMEM);
		return;
	}
	job->store = store;
	job->work.data = job;
	store->writing = true;
	if (uv_queue_work(store->config.loop, &job->work, in_thread, on_written) < 0)
		store->writing = false;
}

static void on_timer(uv_timer_t *timer)
{
	write_now(timer->data);
}

static void schedule(struct lease_store *store)
{
	uint64_t now_ms = uv_now(store->config.loop);
	uint64_t in_ms = store->config.delay_ms ? store->config.delay_ms : DELAY_MS;

	if (store->not_before_ms > now_ms + in_ms)
		in_ms = store->not_before_ms - now_ms;
	if (!uv_is_active((uv_handle_t *)&store->timer))
		uv_timer_start(&store->timer, on_timer, in_ms, 0);
}

void lease_store_changed(struct lease_store *store)
{
	store->dirty = true;
	if (!store->writing)
		schedule(store);
}

/* ---- reading ---- */

static void take_record(void *ctx, const struct lease_record *record)
{
	struct lease_store *store = ctx;

	if (store->records_n == store->records_room) {
		size_t room = store->records_room ? 2 * store->records_room : 64;
		struct lease_record *records =
		    realloc(store->records, room * sizeof(*store->records));

		if (!records)
			return;
		store->records = records;
		store->records_room = room;
	}
	store->records[store->records_n++] = *record;
}

static int compare_records(const void *a, const void *b)
{
	const struct lease_record *first = a, *second = b;

	return (first->expires_s > second->expires_s) - (first->expires_s < second->expires_s);
}

static int read_whole(int fd, char **ret, size_t *ret_len)
{
	size_t len = 0, room = 65536;
	char *text = malloc(room);

	while (text && len < FILE_MAX) {
		ssize_t n = read(fd, text + len, room - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int result = -errno;

			free(text);
			return result;
		}
		if (n == 0)
			break;
		len += (size_t)n;
		if (len == room) {
			char *bigger = realloc(text, 2 * room);

			if (!bigger)
				free(text);
			text = bigger;
			room *= 2;
		}
	}
	*ret = text;
	*ret_len = len;
	return text ? 0 : -ENOMEM;
}

static void move_aside(struct lease_store *store, unsigned bad_line)
{
	char aside[NAME_ROOM + sizeof(DAMAGED_SUFFIX)];

	snprintf(aside, sizeof(aside), "%s%s", store->name, DAMAGED_SUFFIX);
	if (renameat(store->folder, store->name, store->folder, aside) < 0)
		log_warn_errno(errno,
			       "--lease-file: '%s' is damaged at line %u, and cannot be moved",
			       store->path, bad_line);
	else
		log_warn(
		    "--lease-file: '%s' is damaged at line %u: moved to '%s%s'; %zu leases of it "
		    "are used",
		    store->path, bad_line, store->path, DAMAGED_SUFFIX, store->records_n);
}

int lease_store_load(struct lease_store *store, char error[LEASE_STORE_ERROR_MAX])
{
	int fd = openat(store->folder, store->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = NULL;
	size_t len = 0;
	unsigned bad_line;
	int result;

	if (fd < 0 && errno == ENOENT)
		return 0;
	result = fd < 0 ? -errno : read_whole(fd, &text, &len);
	if (fd >= 0)
		close(fd);
	if (result < 0) {
		snprintf(error, LEASE_STORE_ERROR_MAX, "'%.300s': %s", store->path,
			 strerror(-result));
		return result;
	}
	bad_line = lease_file_parse(text, len, take_record, store);
	free(text);
	if (bad_line && len > 0)
		move_aside(store, bad_line);
	if (store->records_n > 1)
		qsort(store->records, store->records_n, sizeof(*store->records), compare_records);
	for (size_t i = 0; i < store->records_n; i++)
		store->config.restore(store->config.ctx, &store->records[i]);
	free(store->records);
	store->records = NULL;
	return 0;
}

/* ---- the whole ---- */

/* Opens the path's folder and checks that files can be made in it. */
static int open_folder(struct lease_store *store, char error[LEASE_STORE_ERROR_MAX])
{
	const char *slash = strrchr(store->path, '/');
	const char *name = slash ? slash + 1 : store->path;
	size_t folder_len = slash ? (size_t)(slash - store->path) : 0;
	char *folder;

	if (*name == '\0' || strlen(name) + sizeof(DAMAGED_SUFFIX) > NAME_ROOM) {
		snprintf(error, LEASE_STORE_ERROR_MAX, "'%.300s': is no file's name", store->path);
		return -EINVAL;
	}
	memcpy(store->name, name, strlen(name) + 1);
	folder = slash ? strndup(store->path, folder_len ? folder_len : 1) : strdup(".");
	if (!folder)
		return -ENOMEM;
	store->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->folder < 0 || faccessat(store->folder, ".", W_OK | X_OK, 0) < 0) {
		int result = -errno;

		snprintf(error, LEASE_STORE_ERROR_MAX, "'%.300s': its folder: %s", store->path,
			 strerror(errno));
		free(folder);
		return result;
	}
	free(folder);
	return 0;
}

int lease_store_new(struct lease_store **ret, const struct lease_store_config *config,
		    char error[LEASE_STORE_ERROR_MAX])
{
	struct lease_store *store = calloc(1, sizeof(*store));
	int result = -ENOMEM;

	snprintf(error, LEASE_STORE_ERROR_MAX, "out of memory");
	if (!store)
		return -ENOMEM;
	store->folder = -1;
	store->config = *config;
	store->path = strdup(config->path);
	if (store->path)
		result = open_folder(store, error);
	if (result < 0) {
		if (store->folder >= 0)
			close(store->folder);
		free(store->path);
		free(store);
		return result;
	}
	uv_timer_init(config->loop, &store->timer);
	store->timer.data = store;
	*ret = store;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct lease_store *store = handle->data;

	store->timer_closed = true;
	free_if_done(store);
}

void lease_store_close(struct lease_store *store)
{
	size_t len;
	uint8_t *bytes;

	if (!store)
		return;
	store->closing = true;
	bytes = store->dirty ? collect(store, &len) : NULL;
	if (bytes && store->writing) {
		store->out = (struct wire_out){bytes, bytes + len, bytes + len, false};
	} else if (bytes) {
		int result = replace_file(store->folder, store->name, bytes, len);

		if (result < 0)
			log_warn_errno(result, "--lease-file: '%s' cannot be written", store->path);
		free(bytes);
	}
	uv_close((uv_handle_t *)&store->timer, on_timer_closed);
}
