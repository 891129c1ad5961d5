#include "stack/app/client.h"
#include "stack/app/client_json.h"
#include "stack/app/cmd.h"
#include "stack/app/commands.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FOLLOW_MS 500 /* between looks at the log */

/* Asks with a JSON body, which is freed. */
static int call_with(const struct client *client, const struct client_request *request,
		     json_t *body, json_t **ret)
{
	struct client_request with_body = *request;
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	int status;

	json_decref(body);
	if (!text || !request->target) {
		free(text);
		return client_fail(client, "out of memory");
	}
	with_body.body = text;
	with_body.timeout_ms = CLIENT_TIMEOUT_MS;
	status = client_call(client, &with_body, ret);
	free(text);
	return status;
}

/* ---- networks ---- */

static void show_networks(const json_t *all)
{
	char headings[] = "NAME|>PROCESS|>UP|>GUESTS|NETWORK|CONTROL", text[TABLE_UNIT_MAX];
	struct table table;
	json_t *status;
	size_t i;

	table_init(&table, headings);
	json_array_foreach(all, i, status)
	{
		table_add(&table, "%s", json_text(status, "name", "-"));
		table_add(&table, "%lld", (long long)json_count(status, "pid"));
		table_add(&table, "%s", json_seconds(status, "uptime_s", text));
		table_add(&table, "%lld", (long long)json_count(status, "guests"));
		table_add(&table, "%s", json_text(json_object_get(status, "ipv4"), "network", "-"));
		table_add(&table, "%s", json_text(status, "control", "-"));
	}
	table_print(&table, stdout, 0);
}

/* One that has ended meanwhile is left out. */
int cmd_networks(const struct command_line *line)
{
	struct client_networks networks;
	json_t *all = json_array(), *status = NULL;
	struct command_line one = *line;
	char error[CLIENT_ERROR_MAX];
	struct client client;

	client_networks(&networks);
	one.control = NULL;
	for (unsigned k = 0; k < networks.n; k++) {
		one.name = networks.name[k];
		if (client_find(&client, &one, error) == 0 &&
		    client_get(&client, "/v1/status", &status) == 0)
			json_array_append_new(all, status);
	}
	if (line->json)
		json_print(stdout, all);
	else
		show_networks(all);
	json_decref(all);
	return EXIT_SUCCESS;
}

/* ---- forwards ---- */

static void print_forward(const json_t *forward)
{
	const char *reason = json_text(forward, "reason", NULL);

	printf("%lld: %s ", (long long)json_count(forward, "id"),
	       json_text(forward, "protocol", "?"));
	print_safe(stdout, json_text(forward, "host", "?"));
	fputs(" -> ", stdout);
	print_safe(stdout, json_text(forward, "guest", json_text(forward, "target", "?")));
	if (reason) {
		fputs(" (waits: ", stdout);
		print_safe(stdout, reason);
		putchar(')');
	}
	putchar('\n');
}

int cmd_hostfwd_add(const struct command_line *line)
{
	struct client_request request = {.method = "POST", .target = "/v1/hostfwd"};
	struct client client;
	json_t *answer = NULL;
	int status = client_open(&client, line);

	for (unsigned i = 0; i < line->args_n && status == 0; i++) {
		status = call_with(&client, &request, json_pack("{s:s}", "rule", line->args[i]),
				   &answer);
		if (status != 0)
			break;
		if (line->json)
			json_print(stdout, answer);
		else
			print_forward(answer);
		json_decref(answer);
	}
	return status;
}

/* By its number or by its text. */
static char *remove_target(const struct command_line *line, const char *which)
{
	bool number = which[strspn(which, "0123456789")] == '\0';

	return client_target(line->cut ? "/v1/hostfwd?cut=true" : "/v1/hostfwd",
			     number ? "id" : "rule", which);
}

int cmd_hostfwd_remove(const struct command_line *line)
{
	struct client_request request = {.method = "DELETE", .timeout_ms = CLIENT_TIMEOUT_MS};
	struct client client;
	json_t *answer = NULL;
	int status = client_open(&client, line);

	for (unsigned i = 0; i < line->args_n && status == 0; i++) {
		char *target = remove_target(line, line->args[i]);

		request.target = target;
		status = target ? client_call(&client, &request, &answer)
				: client_fail(&client, "out of memory");
		free(target);
		if (status != 0)
			break;
		if (line->json)
			json_print(stdout, answer);
		else if (line->cut)
			printf("removed, %lld connections cut\n",
			       (long long)json_count(answer, "cut"));
		json_decref(answer);
	}
	return status;
}

/* ---- the log ---- */

int cmd_log_level(const struct command_line *line)
{
	struct client_request request = {.method = "PUT", .target = "/v1/log"};
	struct client client;
	json_t *answer = NULL;
	int status = client_open(&client, line);

	if (status == 0 && line->args_n == 0)
		status = client_get(&client, "/v1/log?lines=1", &answer);
	else if (status == 0)
		status = call_with(&client, &request, json_pack("{s:s}", "level", line->args[0]),
				   &answer);
	if (status != 0)
		return status;
	json_object_del(answer, "lines");
	if (line->json)
		json_print(stdout, answer);
	else
		puts(json_text(answer, "level", "?"));
	json_decref(answer);
	return EXIT_SUCCESS;
}

static void print_log_line(const json_t *entry)
{
	json_int_t ms = json_count(entry, "time_unix_ms");
	time_t seconds = (time_t)(ms / 1000);
	char stamp[32] = "?";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s.%03d %-5s ", stamp, (int)(ms % 1000), json_text(entry, "level", "?"));
	print_safe(stdout, json_text(entry, "text", ""));
	putchar('\n');
}

/* The number of the last line, for the next look. */
static json_int_t print_log(const json_t *answer, bool json, json_int_t last)
{
	json_t *entry;
	size_t i;

	json_array_foreach(json_object_get(answer, "lines"), i, entry)
	{
		last = json_count(entry, "number");
		if (json)
			json_print(stdout, entry);
		else
			print_log_line(entry);
	}
	fflush(stdout);
	return last;
}

int cmd_log(const struct command_line *line)
{
	struct timespec pause = {.tv_nsec = FOLLOW_MS * 1000000L};
	struct client client;
	json_int_t last = 0;
	int status = client_open(&client, line);

	while (status == 0) {
		json_t *answer = NULL;
		char target[128];

		snprintf(target, sizeof(target), "/v1/log?lines=%u&level=%s&after=%lld",
			 line->number && last == 0 ? line->number : 1000,
			 line->level ? line->level : "debug", (long long)last);
		status = client_get(&client, target, &answer);
		if (status != 0)
			break;
		last = print_log(answer, line->json, last);
		json_decref(answer);
		if (!line->follow || ferror(stdout))
			break;
		nanosleep(&pause, NULL);
	}
	return status;
}

/* ---- DNS and metrics ---- */

/* Those that are asked now, of --dns-upstream, --dns-route or resolv.conf. */
static void show_dns_servers(const json_t *servers)
{
	char headings[] = "SERVER|DOMAIN|>ASKED|>ANSWERED|>MISSED|STATE";
	struct table table;
	json_t *server;
	size_t i;

	if (json_array_size(servers) == 0)
		return;
	table_init(&table, headings);
	json_array_foreach(servers, i, server)
	{
		table_add(&table, "%s", json_text(server, "address", "-"));
		table_add(&table, "%s", json_text(server, "domain", "all"));
		table_add(&table, "%lld", (long long)json_count(server, "asked"));
		table_add(&table, "%lld", (long long)json_count(server, "answered"));
		table_add(&table, "%lld", (long long)json_count(server, "missed"));
		table_add(&table, "%s", json_yes(server, "dead") ? "does not answer" : "ok");
	}
	putchar('\n');
	table_print(&table, stdout, 0);
}

static void show_dns(const json_t *dns)
{
	static const char *const counts[] = {"queries",   "answered_local",    "answered_cached",
					     "forwarded", "answered_upstream", "failed_upstream",
					     "servfail",  "refused",           "dropped"};
	char *upstreams = json_join(json_object_get(dns, "upstreams"), " ");

	printf("%-18s %s%s\n", "address", json_text(dns, "address", "-"),
	       json_yes(dns, "served") ? "" : " (not lwnat's)");
	printf("%-18s %s\n", "domain", json_text(dns, "domain", "-"));
	printf("%-18s %s\n", "upstreams",
	       upstreams && strcmp(upstreams, "-") != 0 ? upstreams : "those of /etc/resolv.conf");
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		char label[32];

		snprintf(label, sizeof(label), "%s", counts[i]);
		for (char *c = label; *c != '\0'; c++)
			*c = *c == '_' ? ' ' : *c;
		printf("%-18s %lld\n", label, (long long)json_count(dns, counts[i]));
	}
	free(upstreams);
	show_dns_servers(json_object_get(dns, "servers"));
}

int cmd_dns(const struct command_line *line)
{
	json_t *answer = NULL;
	int status = client_ask(line, "/v1/dns", &answer);

	if (status != 0)
		return status;
	if (line->json)
		json_print(stdout, answer);
	else
		show_dns(answer);
	json_decref(answer);
	return EXIT_SUCCESS;
}

int cmd_metrics(const struct command_line *line)
{
	struct client_request request = {
	    .method = "GET", .target = "/metrics", .timeout_ms = CLIENT_TIMEOUT_MS};
	struct client_reply reply = {0};
	struct client client;
	int status = client_open(&client, line), result;

	if (status != 0)
		return status;
	result = client_http_connect(client.path);
	if (result >= 0)
		result = client_http_request(result, &request, &reply);
	if (result < 0)
		return client_fail(&client, "%s", client_errno_text(result));
	if (reply.status != 200)
		status = client_fail(&client, "refused with HTTP status %d", reply.status);
	else
		fwrite(reply.body, 1, reply.body_len, stdout);
	free(reply.body);
	return status;
}
