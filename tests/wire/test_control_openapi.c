/* The program answers what its OpenAPI file says: each operation, each field, and no others. */
#include "tests/support/ctl.h"
#include "tests/support/openapi.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A request for each operation that is answered with 'status', when a guest and a forward are
 * there. */
static const struct {
	const char *operation, *target, *body;
	int status;
} examples[] = {
    {"health", "/healthz", NULL, 200},
    {"metrics", "/metrics", NULL, 200},
    {"status", "/v1/status", NULL, 200},
    {"guests", "/v1/guests?guest=port1", NULL, 200},
    {"guests", "/v1/guests?guest=nobody", NULL, 404},
    {"leases", "/v1/leases", NULL, 200},
    {"flows", "/v1/flows?sort=bytes&limit=10&guest=10.0.2.15", NULL, 200},
    {"flows", "/v1/flows?guest=nobody", NULL, 404},
    {"hostfwdList", "/v1/hostfwd", NULL, 200},
    {"hostfwdAdd", "/v1/hostfwd", "{\"rule\":\"tcp:127.0.0.1:0-absent:22\"}", 201},
    {"hostfwdAdd", "/v1/hostfwd", "{\"rule\":\"udp:127.0.0.1:0-:53\"}", 201},
    {"hostfwdList", "/v1/hostfwd", NULL, 200},
    {"hostfwdRemove", "/v1/hostfwd?id=1&cut=true", NULL, 200},
    {"hostfwdRemove", "/v1/hostfwd?id=999", NULL, 404},
    {"dns", "/v1/dns", NULL, 200},
    {"log", "/v1/log?lines=1000&after=0&level=debug", NULL, 200},
    {"logLevel", "/v1/log", "{\"level\":\"debug\"}", 200},
    {"log", "/v1/log", NULL, 200},
    {"captures", "/v1/pcap", NULL, 200},
    {"captureStart", "/v1/pcap/nobody", "{\"file\":\"/nonexistent/x.pcap\"}", 404},
    {"captureStop", "/v1/pcap/nobody", NULL, 404},
    {"captureStream", "/v1/pcap/nobody", NULL, 404},
    {"connect", "/v1/connect?guest=port1&port=22", NULL, 426},
    {"ping", "/v1/ping?guest=port1&timeout_ms=60000", NULL, 200},
    {"ping", "/v1/ping?guest=10.0.2.99&timeout_ms=1", NULL, 200},
    {"ping", "/v1/ping?guest=nobody", NULL, 404},
    {"why", "/v1/why", NULL, 200},
    {"why", "/v1/why?guest=port1", NULL, 200},
    {"why", "/v1/why?guest=port2", NULL, 200},
    {"why", "/v1/why?guest=nobody", NULL, 200},
};
#define EXAMPLES (sizeof(examples) / sizeof(examples[0]))

/* A network in which there is something to tell. */
static void furnish(struct wire *wire, int *ret_silent)
{
	static const struct sim_tcp_setup setup = {
	    .wscale = 7, .send_seed = 1, .recv_seed = 1, .send_total = 1000};
	struct sim_tcp *tcp;
	uint16_t port;

	wire_start(wire, "--hostfwd|tcp:127.0.0.1:0-:22|--log-level|debug");
	port = wire_tcp_echo(wire);
	wire_add_guest(wire, 0);
	tcp = wire_connect_out(wire, 0, 40000, port, &setup);
	WIRE_UNTIL(wire, tcp->received == 1000);
	*ret_silent = guest_connect(wire->place.socket_path);
}

static void upper(const char *method, char text[16])
{
	size_t i;

	for (i = 0; method[i]; i++)
		text[i] = (char)(method[i] - 'a' + 'A');
	text[i] = '\0';
}

struct operation {
	const json_t *doc, *json;
	const char *path, *id;
	char method[16];
};

static void check_reply(const struct operation *op, const char *target, struct ctl_reply *reply)
{
	char where[100], value[256];
	const json_t *schema = openapi_reply_schema(op->json, reply->status);

	snprintf(where, sizeof(where), "%s %s: %d", op->method, target, reply->status);
	if (strcmp(op->id, "metrics") == 0 && reply->status == 200) {
		ck_assert_str_eq(ctl_header(reply, "Content-Type", value),
				 "text/plain; version=0.0.4; charset=utf-8");
		return;
	}
	ck_assert_msg(schema != NULL, "%s is not documented: %s", where, reply->body);
	ck_assert_msg(reply->json != NULL, "%s is no JSON", where);
	ck_assert_str_eq(ctl_header(reply, "Content-Type", value), "application/json");
	openapi_check(op->doc, schema, reply->json, where);
}

static void check_operation(struct wire *wire, const struct operation *op)
{
	struct ctl_reply reply;
	char target[128];
	unsigned n = 0;

	for (size_t i = 0; i < EXAMPLES; i++) {
		if (strcmp(examples[i].operation, op->id) != 0)
			continue;
		ctl_ask(wire, op->method, examples[i].target, examples[i].body, &reply);
		ck_assert_msg(reply.status == examples[i].status, "%s %s: %d: %s", op->method,
			      examples[i].target, reply.status, reply.body);
		check_reply(op, examples[i].target, &reply);
		ctl_reply_free(&reply);
		n++;
	}
	ck_assert_msg(n > 0, "%s has no example", op->id);
	snprintf(target, sizeof(target), "%.*s%s", (int)strcspn(op->path, "{"), op->path,
		 strchr(op->path, '{') ? "port1?nonsense=1" : "?nonsense=1");
	ctl_ask(wire, op->method, target, NULL, &reply);
	ck_assert_msg(reply.status == 400, "%s %s: %d", op->method, target, reply.status);
	check_reply(op, target, &reply);
	ctl_reply_free(&reply);
}

START_TEST(test_each_operation_answers_as_documented)
{
	json_t *doc = openapi_load();
	struct operation op = {.doc = doc};
	const json_t *operations;
	const char *method;
	struct wire wire;
	int silent;

	furnish(&wire, &silent);
	json_object_foreach(json_object_get(doc, "paths"), op.path, operations)
	{
		json_object_foreach((json_t *)operations, method, op.json)
		{
			if (strcmp(method, "parameters") == 0)
				continue;
			upper(method, op.method);
			op.id = json_string_value(json_object_get(op.json, "operationId"));
			check_operation(&wire, &op);
		}
	}
	close(silent);
	wire_finish(&wire);
	json_decref(doc);
}
END_TEST

START_TEST(test_example_requests_are_of_operations_that_exist)
{
	const json_t *operations, *operation;
	const char *path, *method;
	json_t *doc = openapi_load();

	for (size_t i = 0; i < EXAMPLES; i++) {
		bool found = false;

		json_object_foreach(json_object_get(doc, "paths"), path, operations)
		{
			json_object_foreach((json_t *)operations, method, operation)
			{
				const char *id =
				    json_string_value(json_object_get(operation, "operationId"));

				found = found || (id && strcmp(id, examples[i].operation) == 0);
			}
		}
		ck_assert_msg(found, "%s", examples[i].operation);
	}
	json_decref(doc);
}
END_TEST

int main(void)
{
	return SUITE_RUN("control_openapi", test_each_operation_answers_as_documented,
			 test_example_requests_are_of_operations_that_exist);
}
