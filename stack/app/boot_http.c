#include "stack/app/boot_http.h"

#include "stack/base/log.h"
#include "stack/host/http_range.h"
#include "stack/host/http_server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_PER_GUEST_MAX 32
#define LOG_BURST 20 /* lines of info in LOG_MS: guests can ask as often as they like */
#define LOG_MS 10000

struct boot_http {
	uv_loop_t *loop;
	const struct host_files *files;
	struct http_server *server;
	struct log_limit log;
};

/* What EDK2 goes by when it decides what it has loaded (HttpBootSupport.c), and what people look
 * at. */
static const struct {
	const char *ending, *type;
} types[] = {
    {".efi", "application/efi"},
    {".iso", "application/vnd.efi-iso"},
    {".img", "application/vnd.efi-img"},
    {".ipxe", "text/plain"},
    {".cfg", "text/plain"},
    {".txt", "text/plain"},
    {".html", "text/html"},
};

static const char *type_of(const char *name)
{
	const char *ending = strrchr(name, '.');

	for (size_t i = 0; ending && i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcasecmp(ending, types[i].ending) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

struct sending {
	int fd;
	uint64_t at, end; /* in the file */
};

static long on_read(void *ctx, char *bytes, size_t max)
{
	struct sending *s = ctx;
	uint64_t left = s->end - s->at;
	long len;

	if (left == 0)
		return -1;
	len = host_files_read(s->fd, s->at, bytes, left < max ? (size_t)left : max);
	if (len <= 0)
		return -2; /* the file has become shorter, or cannot be read: no silent gap */
	s->at += (uint64_t)len;
	return len;
}

static void on_end(void *ctx)
{
	struct sending *s = ctx;

	close(s->fd);
	free(s);
}

static void reply_text(struct http_exchange *x, unsigned status, const char *text)
{
	http_reply(x, status, "text/plain", text, strlen(text));
}

static void refuse(struct http_exchange *x, int err)
{
	log_debug("http: '%s' is not served: %s", http_path(x), strerror(-err));
	if (err == -ENOENT || err == -ENOTDIR || err == -EISDIR || err == -ENAMETOOLONG)
		reply_text(x, 404, "not found\n");
	else if (err == -EMFILE || err == -ENFILE || err == -ENOMEM)
		reply_text(x, 503, "no resources left, try again\n");
	else
		reply_text(x, 403, "access denied\n");
}

static void send_file(struct http_exchange *x, const struct host_file *file, uint64_t first,
		      uint64_t len, unsigned status)
{
	struct sending *s = malloc(sizeof(*s));
	struct http_source source = {.read = on_read, .end = on_end, .ctx = s, .len = len};

	if (!s) {
		close(file->fd);
		refuse(x, -ENOMEM);
		return;
	}
	*s = (struct sending){.fd = file->fd, .at = first, .end = first + len};
	http_reply_stream(x, status, type_of(http_path(x)), &source);
}

static void reply_file(struct http_exchange *x, const struct host_file *file)
{
	const char *condition = http_request_header(x, "If-Range");
	const char *wanted = http_request_header(x, "Range");
	char date[64] = "", text[96];
	time_t when = (time_t)file->mtime_s;
	uint64_t first, len;
	struct tm tm;

	if (gmtime_r(&when, &tm))
		strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	http_header(x, "Accept-Ranges", "bytes");
	http_header(x, "Last-Modified", date);
	if (condition && strcmp(condition, date) != 0)
		wanted = NULL; /* RFC 9110 section 13.1.5: another file by now */
	switch (http_range_read(wanted, file->size, &first, &len)) {
	case HTTP_RANGE_NONE:
		close(file->fd);
		snprintf(text, sizeof(text), "bytes */%" PRIu64, file->size);
		http_header(x, "Content-Range", text);
		reply_text(x, 416, "range not satisfiable\n");
		return;
	case HTTP_RANGE_PART:
		snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
			 first + len - 1, file->size);
		http_header(x, "Content-Range", text);
		send_file(x, file, first, len, 206);
		return;
	case HTTP_RANGE_WHOLE:
		send_file(x, file, first, len, 200);
		return;
	}
}

static void on_request(void *ctx, struct http_exchange *x)
{
	struct boot_http *http = ctx;
	const char *method = http_method(x);
	struct host_file file;
	int err;

	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		http_header(x, "Allow", "GET, HEAD");
		reply_text(x, 405, "files can only be read here\n");
		return;
	}
	err = host_files_open(http->files, http_path(x), &file);
	if (err < 0) {
		refuse(x, err);
		return;
	}
	if (log_limit_ok(&http->log, uv_now(http->loop), LOG_BURST, LOG_MS))
		log_info("http: a guest reads '%s' (%" PRIu64 " bytes)", http_path(x), file.size);
	reply_file(x, &file);
}

int boot_http_new(struct boot_http **ret, uv_loop_t *loop, const struct host_files *files)
{
	struct boot_http *http = calloc(1, sizeof(*http));
	struct http_server_config config = {
	    .limits = {.connections = BOOT_HTTP_CONNECTIONS_MAX,
		       .connections_per_peer = CONNECTIONS_PER_GUEST_MAX},
	    .request = on_request,
	    .ctx = http};
	int err;

	if (!http)
		return -ENOMEM;
	http->loop = loop;
	http->files = files;
	err = http_server_new(&http->server, loop, &config);
	if (err < 0)
		free(http);
	else
		*ret = http;
	return err;
}

int boot_http_accept(struct boot_http *http, int fd, uint32_t port_id)
{
	return http_server_add(http->server, fd, port_id);
}

void boot_http_close(struct boot_http *http)
{
	if (!http)
		return;
	http_server_close(http->server);
	free(http);
}
