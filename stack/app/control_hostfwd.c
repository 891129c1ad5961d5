/* Forwards while the network runs. */
#include "stack/app/control_api.h"
#include "stack/app/forwards.h"

#include <errno.h>

static json_t *rule_json(const struct forward *forward)
{
	struct forward_info info;
	char target[HOSTFWD_TEXT_MAX];
	bool ready;
	json_t *json;

	forward_info(forward, &info);
	ready = info.state == FORWARD_READY;
	json = json_pack(
	    "{s:i, s:s, s:s, s:s, s:o, s:i, s:s, s:o, s:s, s:o}", "id", info.number, "rule",
	    info.text, "protocol", info.rule.proto == HOSTFWD_UDP ? "udp" : "tcp", "host",
	    info.listens_on, "host_port",
	    info.rule.host_port ? json_integer(info.rule.host_port) : json_null(), "ports",
	    (int)info.rule.ports_n, "target", hostfwd_format_guest(&info.rule, target), "guest",
	    ready ? api_endpoint(&info.guest) : json_null(), "state", ready ? "ready" : "waiting",
	    "reason", api_text_or_null(ready ? NULL : info.why));
	if (json)
		json_object_update_new(
		    json, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "connections",
				    (json_int_t)info.live, "held", (json_int_t)info.held,
				    "connections_total", (json_int_t)info.opened, "failed",
				    (json_int_t)info.failed, "bytes_to_guest",
				    (json_int_t)info.bytes_to_guest, "bytes_to_host",
				    (json_int_t)info.bytes_to_host));
	return json;
}

void api_get_hostfwd(struct api_call *call)
{
	const struct forward *forward = NULL;
	json_t *list = json_array();

	while ((forward = forwards_next(call->net->forwards, forward)))
		json_array_append_new(list, rule_json(forward));
	api_reply(call->x, 200, json_pack("{s:o}", "forwards", list));
}

void api_post_hostfwd(struct api_call *call)
{
	char error[FORWARDS_ERROR_MAX];
	int number;

	number = forwards_add_text(call->net->forwards, call->body[0].text, error);
	if (number > 0)
		api_reply(call->x, 201, rule_json(forwards_get(call->net->forwards, number)));
	else if (number == -EINVAL)
		api_error(call->x, 400, "rule", "%s", error);
	else
		api_error(call->x, 409, "rule", "%s", error);
}

void api_delete_hostfwd(struct api_call *call)
{
	const struct api_value *id = &call->query[0], *rule = &call->query[1];
	struct forwards *forwards = call->net->forwards;
	const struct forward *forward;
	struct forward_info info;
	bool cut = call->query[2].flag;

	if (id->given == rule->given) {
		api_error(call->x, 400, "id", "either id or rule must be given");
		return;
	}
	if (id->given)
		forward = id->number <= INT32_MAX ? forwards_get(forwards, (int)id->number) : NULL;
	else
		forward = forwards_find(forwards, rule->text);
	if (!forward) {
		api_error(call->x, 404, id->given ? "id" : "rule", "there is no such rule");
		return;
	}
	forward_info(forward, &info);
	(void)forwards_remove(forwards, info.number, cut);
	call->net->turn(call->net->ctx);
	api_reply(call->x, 200,
		  json_pack("{s:i, s:I}", "removed", 1, "cut", (json_int_t)(cut ? info.live : 0)));
}
