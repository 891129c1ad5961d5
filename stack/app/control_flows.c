/* Flows, the first ones in some order. All are looked at in pieces, one in a turn of the loop, so
 * that however many there are no packet waits for it. */
#include "stack/app/control_api.h"
#include "stack/app/control_internal.h"
#include "stack/nat/nat.h"

#include <stdlib.h>
#include <string.h>

#define PLACES_PER_TURN 2048 /* of the flow table */

enum order { BY_RATE, BY_BYTES, BY_AGE };

struct entry {
	uint64_t rank; /* more comes first */
	struct nat_flow_info info;
	char port[sizeof(((struct port *)NULL)->name)]; /* it may go meanwhile */
	char name[GUESTS_NAME_MAX];
};

struct walk {
	struct control *control;
	struct list link;
	uv_idle_t idle;
	struct http_exchange *x; /* NULL: nobody waits any more */
	enum order order;
	uint32_t port_id; /* 0: of all guests */
	uint32_t cursor;
	uint64_t total;
	unsigned entries_n, entries_max;
	struct entry entries[]; /* a heap: the last in order is the first here */
};

static void sift_down(struct walk *walk, unsigned at)
{
	struct entry moving = walk->entries[at];

	for (;;) {
		unsigned child = 2 * at + 1;

		if (child >= walk->entries_n)
			break;
		if (child + 1 < walk->entries_n &&
		    walk->entries[child + 1].rank < walk->entries[child].rank)
			child++;
		if (walk->entries[child].rank >= moving.rank)
			break;
		walk->entries[at] = walk->entries[child];
		at = child;
	}
	walk->entries[at] = moving;
}

static uint64_t rank_of(const struct walk *walk, const struct nat_flow_info *info)
{
	switch (walk->order) {
	case BY_RATE:
		return info->rate_to_host + info->rate_to_guest;
	case BY_BYTES:
		return info->bytes_to_host + info->bytes_to_guest;
	case BY_AGE:
		break;
	}
	return UINT64_MAX - info->began_ms;
}

static void on_flow(void *ctx, const struct nat_flow_info *info)
{
	struct walk *walk = ctx;
	uint64_t rank = rank_of(walk, info);
	const struct guest_record *guest;
	struct entry *entry;

	if (walk->port_id && info->port->id != walk->port_id)
		return;
	walk->total++;
	if (walk->entries_n < walk->entries_max)
		entry = &walk->entries[walk->entries_n++];
	else if (rank > walk->entries[0].rank)
		entry = &walk->entries[0];
	else
		return;
	guest = guests_by_port(walk->control->net->guests, info->port);
	*entry = (struct entry){.rank = rank, .info = *info};
	entry->info.port = NULL;
	memcpy(entry->port, info->port->name, sizeof(entry->port));
	if (guest)
		memcpy(entry->name, guest->name, sizeof(entry->name));
	if (walk->entries_n < walk->entries_max)
		return;
	if (entry == &walk->entries[0]) {
		sift_down(walk, 0);
		return;
	}
	for (unsigned at = walk->entries_n / 2; at-- > 0;) /* it is full now, and no heap yet */
		sift_down(walk, at);
}

static int compare(const void *a, const void *b)
{
	uint64_t left = ((const struct entry *)a)->rank, right = ((const struct entry *)b)->rank;

	return left < right ? 1 : left > right ? -1 : 0;
}

static json_t *entry_json(const struct entry *entry, uint64_t now_ms)
{
	static const char *const kinds[] = {"tcp", "udp", "ping"};
	static const char *const states[] = {"dialling", "opening", "open", "closing", "waiting"};
	const struct nat_flow_info *info = &entry->info;
	bool any_peer = info->peer.port == 0 &&
			memcmp(&info->peer.addr, &(struct addr){{0}}, sizeof(struct addr)) == 0;
	json_t *json;

	json = json_pack("{s:s, s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:o}", "protocol",
			 kinds[info->kind], "guest", entry->port, "name",
			 api_text_or_null(entry->name), "direction", info->inbound ? "in" : "out",
			 "state", states[info->state], "source", api_endpoint(&info->guest),
			 "destination", any_peer ? json_null() : api_endpoint(&info->peer), "age_s",
			 api_seconds(info->began_ms, now_ms), "idle_s",
			 api_seconds(info->used_ms, now_ms));
	if (json)
		json_object_update_new(
		    json, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "bytes_to_host",
				    (json_int_t)info->bytes_to_host, "bytes_to_guest",
				    (json_int_t)info->bytes_to_guest, "packets_to_host",
				    (json_int_t)info->packets_to_host, "packets_to_guest",
				    (json_int_t)info->packets_to_guest, "rate_to_host",
				    (json_int_t)info->rate_to_host, "rate_to_guest",
				    (json_int_t)info->rate_to_guest));
	return json;
}

static void on_walk_closed(uv_handle_t *handle)
{
	struct walk *walk = handle->data;
	struct control *control = walk->control;

	free(walk);
	control_handle_closed(control);
}

static void walk_end(struct walk *walk)
{
	if (uv_is_closing((uv_handle_t *)&walk->idle))
		return;
	walk->x = NULL;
	list_remove(&walk->link);
	walk->control->walks_n--;
	uv_close((uv_handle_t *)&walk->idle, on_walk_closed);
}

static void on_gone(void *ctx)
{
	walk_end(ctx);
}

static void reply(struct walk *walk)
{
	uint64_t now_ms = uv_now(walk->control->net->loop);
	json_t *list = json_array();

	qsort(walk->entries, walk->entries_n, sizeof(walk->entries[0]), compare);
	for (unsigned i = 0; i < walk->entries_n; i++)
		json_array_append_new(list, entry_json(&walk->entries[i], now_ms));
	api_reply(walk->x, 200,
		  json_pack("{s:I, s:o}", "total", (json_int_t)walk->total, "flows", list));
}

static void on_idle(uv_idle_t *idle)
{
	struct walk *walk = idle->data;

	if (nat_flows_walk(walk->control->net->nat, &walk->cursor, PLACES_PER_TURN, on_flow, walk))
		return;
	reply(walk);
	walk_end(walk);
}

static enum order order_of(const char *word)
{
	return strcmp(word, "rate") == 0 ? BY_RATE : strcmp(word, "bytes") == 0 ? BY_BYTES : BY_AGE;
}

void api_get_flows(struct api_call *call)
{
	struct control *control = call->control;
	unsigned limit = (unsigned)call->query[1].number;
	const struct guest_record *guest = NULL;
	struct walk *walk;

	if (call->query[2].text &&
	    api_find_attached(call, "guest", call->query[2].text, &guest) < 0)
		return;
	walk = control->walks_n < CONTROL_WALKS_MAX
		   ? calloc(1, sizeof(*walk) + limit * sizeof(walk->entries[0]))
		   : NULL;
	if (!walk) {
		api_error(call->x, 503, NULL, "too many listings of flows are being made");
		return;
	}
	walk->control = control;
	walk->x = call->x;
	walk->entries_max = limit;
	walk->order = order_of(call->query[0].text);
	walk->port_id = guest ? guest->port->id : 0;
	list_init(&walk->link);
	list_append(&control->walks, &walk->link);
	control->walks_n++;
	control->handles_n++;
	uv_idle_init(control->net->loop, &walk->idle);
	walk->idle.data = walk;
	uv_idle_start(&walk->idle, on_idle);
	http_later(call->x, on_gone, walk);
}
