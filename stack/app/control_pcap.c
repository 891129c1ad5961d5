/* Captures. */
#include "stack/app/capture.h"
#include "stack/app/control_api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Whom the path means; a guest's MAC outlives its connection. -ENOENT: the error has been
 * replied. */
static int find_target(struct api_call *call, struct capture_target *ret)
{
	const struct guest_record *guest;

	*ret = (struct capture_target){.whom = CAPTURE_ALL};
	if (strcmp(call->arg, "all") == 0)
		return 0;
	if (api_find_attached(call, "guest", call->arg, &guest) < 0)
		return -ENOENT;
	ret->whom = CAPTURE_PORT;
	ret->port_id = guest->port->id;
	if (guest->macs_n == 1) {
		ret->whom = CAPTURE_MAC;
		ret->mac = guest->mac[0];
	}
	return 0;
}

static json_t *target_json(const struct network *net, const struct capture_target *target)
{
	const struct guest_record *guest = NULL;

	if (target->whom == CAPTURE_ALL)
		return json_string("all");
	if (target->whom == CAPTURE_MAC)
		return api_mac(&target->mac);
	while ((guest = guests_next(net->guests, guest))) {
		if (guest->port->id == target->port_id)
			return json_string(guest->port->name);
	}
	return json_string("gone");
}

static json_t *info_json(const struct network *net, const struct capture_info *info)
{
	return json_pack("{s:i, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "id", info->number,
			 "guest", target_json(net, &info->target), "file",
			 api_text_or_null(info->path), "snaplen", (json_int_t)info->snaplen,
			 "file_bytes", (json_int_t)info->size_max, "files",
			 (json_int_t)info->files_n, "packets", (json_int_t)info->frames, "bytes",
			 (json_int_t)info->bytes, "dropped", (json_int_t)info->dropped_reader,
			 "error", api_text_or_null(info->error ? strerror(-info->error) : NULL));
}

void api_get_captures(struct api_call *call)
{
	json_t *list = json_array();
	struct capture_info info;
	int number = 0;

	while ((number = capture_next(call->net->capture, number, &info)))
		json_array_append_new(list, info_json(call->net, &info));
	api_reply(call->x, 200, json_pack("{s:o}", "captures", list));
}

/* ---- streams ---- */

struct watcher {
	struct http_exchange *x;
	struct capture_stream *stream;
};

static long on_read(void *ctx, char *bytes, size_t max)
{
	ssize_t n = capture_stream_read(((struct watcher *)ctx)->stream, (uint8_t *)bytes, max);

	if (n == -EAGAIN)
		return 0;
	return n > 0 ? n : -1;
}

static void on_ready(void *ctx)
{
	http_wake(((struct watcher *)ctx)->x);
}

static void on_end(void *ctx)
{
	struct watcher *watcher = ctx;

	capture_stream_close(watcher->stream);
	free(watcher);
}

void api_get_pcap(struct api_call *call)
{
	struct capture_stream_config config = {.snaplen = (uint32_t)call->query[0].number,
					       .ready = on_ready};
	struct http_source source = {.read = on_read, .end = on_end, .len = HTTP_LEN_UNKNOWN};
	struct watcher *watcher;

	if (find_target(call, &config.target) < 0)
		return;
	watcher = calloc(1, sizeof(*watcher));
	config.ctx = source.ctx = watcher;
	if (!watcher || capture_stream_open(&watcher->stream, call->net->capture, &config) < 0) {
		free(watcher);
		api_error(call->x, 503, NULL, "there are %d captures already, or no memory",
			  CAPTURES_MAX);
		return;
	}
	watcher->x = call->x;
	http_reply_stream(call->x, 200, "application/vnd.tcpdump.pcap", &source);
}

/* ---- files ---- */

static bool info_of(const struct api_call *call, int number, struct capture_info *ret)
{
	return capture_next(call->net->capture, number - 1, ret) == number;
}

void api_post_pcap(struct api_call *call)
{
	struct capture_file file = {.snaplen = (uint32_t)call->body[1].number,
				    .size_max = call->body[2].number,
				    .files_n = (unsigned)call->body[3].number};
	const char *path = call->body[0].text;
	char error[CAPTURE_ERROR_MAX];
	struct capture_info info;
	int number;

	if (find_target(call, &file.target) < 0)
		return;
	if (*path != '/') {
		api_error(call->x, 400, "file", "'%s' is no absolute path", path);
		return;
	}
	if (file.size_max > 0 && file.size_max < CAPTURE_SIZE_MIN) {
		api_error(call->x, 400, "file_bytes", "is 0, or %d or more", CAPTURE_SIZE_MIN);
		return;
	}
	for (number = 0; (number = capture_next(call->net->capture, number, &info));) {
		if (strcmp(info.path, path) == 0) {
			api_error(call->x, 409, "file", "'%s' is written by capture %d", path,
				  number);
			return;
		}
	}
	memcpy(file.path, path, strlen(path) + 1);
	number = capture_start(call->net->capture, &file, error);
	if (number > 0 && info_of(call, number, &info))
		api_reply(call->x, 201, info_json(call->net, &info));
	else
		api_error(call->x, 400, "file", "%s", error);
}

/* 'guest' is NULL for all of them. */
static bool is_of(const struct capture_target *target, const struct guest_record *guest)
{
	if (!guest || target->whom == CAPTURE_ALL)
		return !guest && target->whom == CAPTURE_ALL;
	if (target->whom == CAPTURE_PORT)
		return target->port_id == guest->port->id;
	for (unsigned i = 0; i < guest->macs_n; i++) {
		if (mac_eq(&target->mac, &guest->mac[i]))
			return true;
	}
	return false;
}

/* A guest that has gone by now is still named by its capture's number, with any path. */
void api_delete_pcap(struct api_call *call)
{
	const struct api_value *id = &call->query[0];
	const struct guest_record *guest = NULL;
	struct capture_info info;
	json_t *list;
	int number = 0;

	if (!id->given && strcmp(call->arg, "all") != 0 &&
	    api_find_attached(call, "guest", call->arg, &guest) < 0)
		return;
	list = json_array();
	while ((number = capture_next(call->net->capture, number, &info))) {
		if (id->given ? (uint64_t)number != id->number
			      : info.is_stream || !is_of(&info.target, guest))
			continue;
		json_array_append_new(list, info_json(call->net, &info));
		(void)capture_stop(call->net->capture, number);
	}
	if (json_array_size(list) == 0) {
		json_decref(list);
		api_error(call->x, 404, id->given ? "id" : "guest", "there is no such capture");
		return;
	}
	api_reply(call->x, 200, json_pack("{s:o}", "captures", list));
}
