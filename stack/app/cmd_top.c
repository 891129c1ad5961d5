#include "stack/app/client.h"
#include "stack/app/client_json.h"
#include "stack/app/cmd.h"
#include "stack/app/cmd_show.h"
#include "stack/app/commands.h"
#include "stack/app/screen.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INTERVAL_MS 1000
#define FLOWS_MAX 100 /* asked for at once */
#define HEAD_LINES 6  /* all but the rows of the two tables */

/* What was asked at one moment. */
struct sample {
	uint64_t at_ms;
	json_t *status, *guests, *flows;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sample_free(struct sample *s)
{
	json_decref(s->status);
	json_decref(s->guests);
	json_decref(s->flows);
	memset(s, 0, sizeof(*s));
}

static int sample_take(struct sample *ret, const struct client *client, const char *sort)
{
	char target[64];
	int status;

	memset(ret, 0, sizeof(*ret));
	snprintf(target, sizeof(target), "/v1/flows?sort=%s&limit=%d", sort ? sort : "rate",
		 FLOWS_MAX);
	ret->at_ms = now_ms();
	status = client_get(client, "/v1/status", &ret->status);
	if (status == 0)
		status = client_get(client, "/v1/guests", &ret->guests);
	if (status == 0)
		status = client_get(client, target, &ret->flows);
	if (status != 0)
		sample_free(ret);
	return status;
}

/* Bytes per second of a guest since the sample before; 0 for one that is new. */
static double rate(const struct sample *before, const struct sample *now, const json_t *guest,
		   const char *name)
{
	json_t *other;
	size_t i;

	json_array_foreach(json_object_get(before->guests, "guests"), i, other)
	{
		double bytes = json_number(guest, name) - json_number(other, name);

		if (strcmp(json_text(other, "port", ""), json_text(guest, "port", "")) == 0 &&
		    bytes >= 0 && now->at_ms > before->at_ms)
			return bytes * 1000 / (double)(now->at_ms - before->at_ms);
	}
	return 0;
}

/* Each guest gets its rates, and the status their sums. */
static void add_rates(const struct sample *before, struct sample *now)
{
	static const char *const names[][2] = {{"bytes_from_guest", "rate_from_guest"},
					       {"bytes_to_guest", "rate_to_guest"}};
	json_t *guest;
	size_t i;

	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		double sum = 0;

		json_array_foreach(json_object_get(now->guests, "guests"), i, guest)
		{
			double value = rate(before, now, guest, names[k][0]);

			json_object_set_new(guest, names[k][1], json_real(value));
			sum += value;
		}
		json_object_set_new(now->status, names[k][1], json_real(sum));
	}
}

/* ---- what is shown ---- */

static void show_head(FILE *out, const json_t *status, unsigned width)
{
	const json_t *flows = json_object_get(status, "flows");
	char a[TABLE_UNIT_MAX], b[TABLE_UNIT_MAX], c[TABLE_UNIT_MAX], line[256];

	snprintf(line, sizeof(line),
		 "lwnat %.63s  up %s  %lld %s  %lld tcp, %lld udp, %lld ping  out %s/s  in %s/s",
		 json_text(status, "name", "-"), json_seconds(status, "uptime_s", a),
		 (long long)json_count(status, "guests"),
		 json_count(status, "guests") == 1 ? "guest" : "guests",
		 (long long)json_count(flows, "tcp"), (long long)json_count(flows, "udp"),
		 (long long)json_count(flows, "ping"), json_bytes(status, "rate_from_guest", b),
		 json_bytes(status, "rate_to_guest", c));
	if (width > 0 && width < sizeof(line))
		line[width] = '\0';
	fprintf(out, "%s\n\n", line);
}

static void show_guest_rates(FILE *out, const json_t *guests, unsigned width)
{
	char headings[] = "GUEST|PORT|ADDRESS|>OUT/S|>IN/S|>OUT|>IN|>TCP|>UDP|>LOST";
	char text[TABLE_UNIT_MAX];
	struct table table;
	json_t *guest;
	size_t i;

	table_init(&table, headings);
	json_array_foreach(guests, i, guest)
	{
		const json_t *addresses = json_object_get(guest, "addresses");
		const json_t *flows = json_object_get(guest, "flows");
		const char *address = json_string_value(json_array_get(addresses, 0));

		table_add(&table, "%s", json_text(guest, "name", "-"));
		table_add(&table, "%s", json_text(guest, "port", "-"));
		table_add(&table, "%s", address ? address : "-");
		table_add(&table, "%s", json_bytes(guest, "rate_from_guest", text));
		table_add(&table, "%s", json_bytes(guest, "rate_to_guest", text));
		table_add(&table, "%s", json_bytes(guest, "bytes_from_guest", text));
		table_add(&table, "%s", json_bytes(guest, "bytes_to_guest", text));
		table_add(&table, "%lld", (long long)json_count(flows, "tcp"));
		table_add(&table, "%lld", (long long)json_count(flows, "udp"));
		table_add(&table, "%lld", (long long)json_count(guest, "dropped_queue_full"));
	}
	table_print(&table, out, width);
}

/* As many as there is room for; the rest is counted. */
static void show_busiest(FILE *out, const json_t *flows, const struct screen *screen,
			 size_t lines_before)
{
	json_t *list = json_object_get(flows, "flows"), *shown = json_array(), *flow;
	size_t room = screen->height > lines_before + 1 ? screen->height - lines_before - 1 : 1, i;
	json_int_t total = json_count(flows, "total");

	json_array_foreach(list, i, flow)
	{
		if (screen->height == 0 || i < room)
			json_array_append(shown, flow);
	}
	show_flows(out, shown, screen->width);
	if (total > (json_int_t)json_array_size(shown))
		fprintf(out, "... and %lld more\n",
			(long long)(total - (json_int_t)json_array_size(shown)));
	json_decref(shown);
}

static void show(struct screen *screen, const struct sample *now)
{
	const json_t *guests = json_object_get(now->guests, "guests");
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	show_head(out, now->status, screen->width);
	show_guest_rates(out, guests, screen->width);
	fputc('\n', out);
	show_busiest(out, now->flows, screen, HEAD_LINES + json_array_size(guests));
	if (!screen->live)
		fputc('\n', out);
	fclose(out);
	screen_show(screen, text);
	free(text);
}

static void print_sample(const struct sample *now)
{
	json_t *all = json_pack("{s:O, s:O*, s:O*}", "status", now->status, "guests",
				json_object_get(now->guests, "guests"), "flows",
				json_object_get(now->flows, "flows"));

	json_print(stdout, all);
	fflush(stdout);
	json_decref(all);
}

/* ---- the loop ---- */

static int watch(const struct command_line *line, const struct client *client,
		 struct screen *screen)
{
	int interval_ms = line->interval_ms ? (int)line->interval_ms : INTERVAL_MS;
	struct sample before = {0}, now;
	enum screen_event event = SCREEN_TIMEOUT;
	int status = 0;

	/* Rates need two looks. */
	for (bool first = true; event != SCREEN_QUIT && !ferror(stdout); first = false) {
		status = sample_take(&now, client, line->sort);
		if (status != 0)
			break;
		add_rates(&before, &now);
		if (line->json && !first)
			print_sample(&now);
		else if (!line->json && (screen->live || !first))
			show(screen, &now);
		sample_free(&before);
		before = now;
		if (line->once && !first)
			break;
		event = screen_wait(screen, interval_ms);
	}
	sample_free(&before);
	return status;
}

int cmd_top(const struct command_line *line)
{
	struct client client;
	struct screen screen;
	int status = client_open(&client, line);

	if (status != 0)
		return status;
	if (screen_open(&screen, !line->once && !line->json) < 0)
		return client_fail(&client, "cannot watch for signals");
	status = watch(line, &client, &screen);
	screen_close(&screen);
	return status;
}
