/* One ping from the gateway to a guest. */
#include "stack/app/control_api.h"
#include "stack/app/control_internal.h"
#include "stack/nat/nat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct guest_asked {
	struct control *control;
	struct http_exchange *x;
	int number; /* the NAT's */
	uint64_t sent_ns;
	struct addr addr;
	char port[sizeof(((struct port *)NULL)->name)]; /* empty: not known */
};

static void on_gone(void *ctx)
{
	struct guest_asked *asked = ctx;

	nat_guest_ping_cancel(asked->control->net->nat, asked->number);
	free(asked);
}

static const char *reason_of(enum nat_outcome outcome)
{
	switch (outcome) {
	case NAT_OPEN:
		return NULL;
	case NAT_NO_NEIGHBOUR:
		return "nobody answers for this address (ARP or neighbour discovery)";
	default:
		return "the address is somebody's, but no answer has come in time; its firewall "
		       "may drop pings";
	}
}

static void on_done(void *ctx, enum nat_outcome outcome)
{
	struct guest_asked *asked = ctx;
	uint64_t rtt_us = (uv_hrtime() - asked->sent_ns) / 1000;
	bool answered = outcome == NAT_OPEN;

	api_reply(asked->x, 200,
		  json_pack("{s:o, s:o, s:b, s:o, s:o}", "guest", api_text_or_null(asked->port),
			    "address", api_addr(&asked->addr), "answered", (int)answered, "rtt_us",
			    answered ? json_integer((json_int_t)rtt_us) : json_null(), "reason",
			    api_text_or_null(reason_of(outcome))));
	free(asked);
}

void api_get_ping(struct api_call *call)
{
	struct nat *nat = call->net->nat;
	struct nat_guest_ping ping = {.timeout_ms = (uint32_t)call->query[1].number,
				      .done = on_done};
	struct guests_found found;
	struct guest_asked *asked;

	if (api_find_guest(call, "guest", call->query[0].text, &found) < 0)
		return;
	asked = calloc(1, sizeof(*asked));
	if (!asked) {
		api_error(call->x, 503, NULL, "out of memory");
		return;
	}
	asked->control = call->control;
	asked->x = call->x;
	asked->addr = ping.to = found.addr;
	asked->sent_ns = uv_hrtime();
	if (found.guest)
		memcpy(asked->port, found.guest->port->name, sizeof(asked->port));
	ping.ctx = asked;
	nat_set_time(nat, uv_now(call->net->loop));
	asked->number = nat_guest_ping(nat, &ping);
	if (asked->number < 0) {
		if (asked->number == -EAFNOSUPPORT)
			api_error(call->x, 400, "guest", "its address is of a family that is off");
		else
			api_error(call->x, 503, NULL, "too many pings are under way");
		free(asked);
		return;
	}
	http_later(call->x, on_gone, asked);
	call->net->turn(call->net->ctx);
}
