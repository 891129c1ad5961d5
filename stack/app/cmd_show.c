#include "stack/app/cmd_show.h"

#include "stack/app/client.h"
#include "stack/app/client_json.h"
#include "stack/app/cmd.h"
#include "stack/app/commands.h"

#include <stdlib.h>
#include <string.h>

void show_guests(FILE *out, const json_t *guests, unsigned width)
{
	char headings[] = "GUEST|PORT|MAC|ADDRESSES|>FLOWS|>SENT|>RECEIVED|>LAST FRAME|>ATTACHED";
	char a[TABLE_UNIT_MAX], b[TABLE_UNIT_MAX];
	struct table table;
	json_t *guest;
	size_t i;

	table_init(&table, headings);
	json_array_foreach(guests, i, guest)
	{
		const json_t *macs = json_object_get(guest, "macs");
		const json_t *flows = json_object_get(guest, "flows");
		const char *mac = json_string_value(json_array_get(macs, 0));
		char *addresses = json_join(json_object_get(guest, "addresses"), " ");

		table_add(&table, "%s", json_text(guest, "name", "-"));
		table_add(&table, "%s%s", json_text(guest, "port", "-"),
			  json_yes(guest, "blocked") ? " (stalled)" : "");
		table_add(&table, "%s%s", mac ? mac : "-", json_array_size(macs) > 1 ? " ..." : "");
		table_add(&table, "%s", addresses ? addresses : "?");
		table_add(&table, "%lld",
			  (long long)(json_count(flows, "tcp") + json_count(flows, "udp") +
				      json_count(flows, "ping")));
		table_add(&table, "%s", json_bytes(guest, "bytes_from_guest", a));
		table_add(&table, "%s", json_bytes(guest, "bytes_to_guest", b));
		table_add(&table, "%s", json_seconds(guest, "last_frame_s", a));
		table_add(&table, "%s", json_seconds(guest, "attached_s", b));
		free(addresses);
	}
	table_print(&table, out, width);
}

void show_flows(FILE *out, const json_t *flows, unsigned width)
{
	char headings[] =
	    "PROTO|GUEST|SOURCE|DIR|DESTINATION|STATE|>OUT/S|>IN/S|>OUT|>IN|>AGE|>IDLE";
	char text[TABLE_UNIT_MAX];
	struct table table;
	json_t *flow;
	size_t i;

	table_init(&table, headings);
	json_array_foreach(flows, i, flow)
	{
		bool inbound = strcmp(json_text(flow, "direction", ""), "in") == 0;

		table_add(&table, "%s", json_text(flow, "protocol", "-"));
		table_add(&table, "%s", json_text(flow, "name", json_text(flow, "guest", "-")));
		table_add(&table, "%s", json_text(flow, "source", "-"));
		table_add(&table, "%s", inbound ? "<-" : "->");
		table_add(&table, "%s", json_text(flow, "destination", "any"));
		table_add(&table, "%s", json_text(flow, "state", "-"));
		table_add(&table, "%s", json_bytes(flow, "rate_to_host", text));
		table_add(&table, "%s", json_bytes(flow, "rate_to_guest", text));
		table_add(&table, "%s", json_bytes(flow, "bytes_to_host", text));
		table_add(&table, "%s", json_bytes(flow, "bytes_to_guest", text));
		table_add(&table, "%s", json_seconds(flow, "age_s", text));
		table_add(&table, "%s", json_seconds(flow, "idle_s", text));
	}
	table_print(&table, out, width);
}

void show_forwards(FILE *out, const json_t *forwards, unsigned width)
{
	char headings[] = ">ID|PROTO|HOST|GUEST|STATE|>LIVE|>HELD|>SO FAR|>FAILED|>IN|>OUT";
	char text[TABLE_UNIT_MAX];
	struct table table;
	json_t *forward;
	size_t i;

	table_init(&table, headings);
	json_array_foreach(forwards, i, forward)
	{
		const char *reason = json_text(forward, "reason", NULL);

		table_add(&table, "%lld", (long long)json_count(forward, "id"));
		table_add(&table, "%s", json_text(forward, "protocol", "-"));
		table_add(&table, "%s", json_text(forward, "host", "-"));
		table_add(&table, "%s",
			  json_text(forward, "guest", json_text(forward, "target", "-")));
		table_add(&table, "%s%s%s", json_text(forward, "state", "-"), reason ? ": " : "",
			  reason ? reason : "");
		table_add(&table, "%lld", (long long)json_count(forward, "connections"));
		table_add(&table, "%lld", (long long)json_count(forward, "held"));
		table_add(&table, "%lld", (long long)json_count(forward, "connections_total"));
		table_add(&table, "%lld", (long long)json_count(forward, "failed"));
		table_add(&table, "%s", json_bytes(forward, "bytes_to_guest", text));
		table_add(&table, "%s", json_bytes(forward, "bytes_to_host", text));
	}
	table_print(&table, out, width);
}

static void show_leases(FILE *out, const json_t *leases, unsigned width)
{
	char headings[] = "ADDRESS|MAC|NAME|STATE|>EXPIRES IN";
	char text[TABLE_UNIT_MAX];
	struct table table;
	json_t *lease;
	size_t i;

	table_init(&table, headings);
	json_array_foreach(leases, i, lease)
	{
		table_add(&table, "%s", json_text(lease, "address", "-"));
		table_add(&table, "%s", json_text(lease, "mac", "-"));
		table_add(&table, "%s", json_text(lease, "hostname", "-"));
		table_add(&table, "%s", json_yes(lease, "active") ? "active" : "over");
		table_add(&table, "%s", json_seconds(lease, "expires_in_s", text));
	}
	table_print(&table, out, width);
}

/* ---- status ---- */

static void show_family(FILE *out, const json_t *status, const char *name)
{
	const json_t *family = json_object_get(status, name);

	if (!json_is_object(family)) {
		fprintf(out, "%-10s off\n", name);
		return;
	}
	fprintf(out, "%-10s %s, gateway %s, dns %s", name, json_text(family, "network", "-"),
		json_text(family, "gateway", "-"), json_text(family, "dns", "-"));
	if (json_text(family, "dhcp_first", NULL))
		fprintf(out, ", dhcp from %s", json_text(family, "dhcp_first", "-"));
	fputc('\n', out);
}

static void show_drops(FILE *out, const json_t *drops)
{
	json_t *drop;
	size_t i;

	json_array_foreach(drops, i, drop)
	{
		fprintf(out, "%-10s %lld: ", i == 0 ? "drops" : "",
			(long long)json_count(drop, "packets"));
		print_safe(out, json_text(drop, "meaning", json_text(drop, "reason", "-")));
		fputc('\n', out);
	}
}

static void show_status(FILE *out, const json_t *s)
{
	const json_t *flows = json_object_get(s, "flows");
	char a[TABLE_UNIT_MAX], b[TABLE_UNIT_MAX];

	fprintf(out, "%-10s %s (lwnat %s, process %lld, up %s)\n", "network",
		json_text(s, "name", "-"), json_text(s, "version", "?"),
		(long long)json_count(s, "pid"), json_seconds(s, "uptime_s", a));
	show_family(out, s, "ipv4");
	show_family(out, s, "ipv6");
	fprintf(out, "%-10s %s, mtu %lld%s\n", "gateway", json_text(s, "mac", "-"),
		(long long)json_count(s, "mtu"),
		json_yes(s, "restrict")        ? ", restricted: leads nowhere"
		: json_yes(s, "host_loopback") ? ", leads to this host's own services too"
					       : "");
	fprintf(out, "%-10s %s\n", "socket", json_text(s, "socket", "none: guests came with --fd"));
	if (json_text(s, "vhost_user", NULL))
		fprintf(out, "%-10s %s\n", "vhost-user", json_text(s, "vhost_user", NULL));
	fprintf(out, "%-10s %s\n", "control", json_text(s, "control", "-"));
	fprintf(out, "%-10s %lld attached, %lld %s\n", "guests", (long long)json_count(s, "guests"),
		(long long)json_count(s, "leases"),
		json_count(s, "leases") == 1 ? "lease" : "leases");
	fprintf(out, "%-10s %s from guests, %s to guests\n", "traffic",
		json_bytes(s, "bytes_from_guests", a), json_bytes(s, "bytes_to_guests", b));
	fprintf(out, "%-10s %lld tcp, %lld udp, %lld ping (at most %lld)\n", "flows",
		(long long)json_count(flows, "tcp"), (long long)json_count(flows, "udp"),
		(long long)json_count(flows, "ping"), (long long)json_count(s, "flows_max"));
	fprintf(out, "%-10s %s\n", "log level", json_text(s, "log_level", "-"));
	show_drops(out, json_object_get(s, "drops"));
}

/* A list behind the status, where it is not empty. 'target' is where it comes from. */
static int show_list(const struct client *client, const char *target, const char *name,
		     void (*show)(FILE *, const json_t *, unsigned))
{
	json_t *answer = NULL;
	int status = client_get(client, target, &answer);

	if (status != 0)
		return status;
	if (json_array_size(json_object_get(answer, name)) > 0) {
		putchar('\n');
		show(stdout, json_object_get(answer, name), 0);
	}
	json_decref(answer);
	return 0;
}

int cmd_status(const struct command_line *line)
{
	struct client client;
	json_t *answer = NULL;
	int status = client_open(&client, line);

	if (status == 0)
		status = client_get(&client, "/v1/status", &answer);
	if (status != 0)
		return status;
	if (line->json)
		json_print(stdout, answer);
	else
		show_status(stdout, answer);
	json_decref(answer);
	if (line->json)
		return 0;
	status = show_list(&client, "/v1/guests", "guests", show_guests);
	if (status == 0)
		status = show_list(&client, "/v1/hostfwd", "forwards", show_forwards);
	if (status == 0)
		status = show_list(&client, "/v1/flows?limit=20", "flows", show_flows);
	return status;
}

/* ---- the lists alone ---- */

static int list(const struct command_line *line, char *target, const char *name,
		void (*show)(FILE *, const json_t *, unsigned))
{
	json_t *answer = NULL;
	int status = client_ask(line, target, &answer);

	free(target);
	if (status != 0)
		return status;
	if (line->json)
		json_print(stdout, answer);
	else
		show(stdout, json_object_get(answer, name), 0);
	json_decref(answer);
	return 0;
}

int cmd_guests(const struct command_line *line)
{
	return list(line, client_target("/v1/guests", "guest", line->args_n ? line->args[0] : NULL),
		    "guests", show_guests);
}

int cmd_leases(const struct command_line *line)
{
	return list(line, client_target("/v1/leases", NULL, NULL), "leases", show_leases);
}

int cmd_flows(const struct command_line *line)
{
	char path[64];

	snprintf(path, sizeof(path), "/v1/flows?limit=%u&sort=%s",
		 line->number ? line->number : 100, line->sort ? line->sort : "rate");
	return list(line, client_target(path, "guest", line->args_n ? line->args[0] : NULL),
		    "flows", show_flows);
}

int cmd_hostfwd_list(const struct command_line *line)
{
	return list(line, client_target("/v1/hostfwd", NULL, NULL), "forwards", show_forwards);
}
