#include "stack/app/status_log.h"

#include "stack/app/forwards.h"
#include "stack/app/guests.h"
#include "stack/base/log.h"
#include "stack/nat/nat.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#define FORWARDS_SAID_MAX 64

struct counter {
	const char *name;
	size_t offset; /* in struct nat_counters */
};

#define COUNTER(member)                                                                            \
	{                                                                                          \
#member, offsetof(struct nat_counters, member)                                     \
	}
/* What a user asks for when something does not work. */
static const struct counter counters[] = {
    COUNTER(tcp_flows_opened),     COUNTER(tcp_refused),         COUNTER(tcp_unreachable),
    COUNTER(tcp_timed_out),        COUNTER(tcp_reset_by_guest),  COUNTER(tcp_reset_by_host),
    COUNTER(tcp_inbound),          COUNTER(tcp_inbound_failed),  COUNTER(udp_flows_opened),
    COUNTER(ping_flows_opened),    COUNTER(dropped_malformed),   COUNTER(dropped_address),
    COUNTER(dropped_policy),       COUNTER(dropped_limit),       COUNTER(dropped_memory),
    COUNTER(dropped_no_neighbour), COUNTER(dropped_protocol),    COUNTER(dropped_host_send),
    COUNTER(dropped_reassembly),   COUNTER(flows_evicted),       COUNTER(ping_forbidden),
    COUNTER(tcp_resent),           COUNTER(tcp_resend_timeouts),
};

/* Those that are not zero, on one line. */
static void say_counters(const struct nat_counters *nat)
{
	char text[900] = "";
	size_t len = 0;

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		uint64_t value =
		    *(const uint64_t *)(const void *)((const char *)nat + counters[i].offset);

		if (value && len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, " %s %" PRIu64,
						counters[i].name, value);
	}
	log_asked("status: counters:%s", len ? text : " all zero");
}

static void say_guest(const struct guest_record *guest, uint64_t now_ms)
{
	const struct port_counters *c = &guest->port->counters;
	char label[GUESTS_NAME_MAX], addr_text[ADDR_TEXT_MAX], mac[MAC_TEXT_MAX] = "no MAC yet";
	struct addr addr = guest_best_addr(guest);

	if (guest->macs_n)
		mac_format(&guest->mac[0], mac);
	log_asked("status: guest %s on %s: %s, %s, attached for %" PRIu64 " s, %" PRIu64
		  " frames from it, %" PRIu64 " to it, %" PRIu64 " dropped, dhcp asked %" PRIu64
		  " answered %" PRIu64,
		  guest_label(guest, label), guest->port->name, mac,
		  addr_is_unspecified(&addr) ? "no address yet" : addr_format(&addr, addr_text),
		  (now_ms - guest->attached_ms) / 1000, c->frames_from_guest, c->frames_to_guest,
		  c->dropped_queue_full, guest->dhcp.asked, guest->dhcp.answered);
}

static void say_forward(const struct forward *forward)
{
	struct forward_info info;

	forward_info(forward, &info);
	log_asked("status: forward %d %s: %s%s, %u live, %u held, %" PRIu64 " opened, %" PRIu64
		  " failed, %" PRIu64 " bytes to the guest, %" PRIu64 " to the host",
		  info.number, info.text,
		  info.state == FORWARD_READY ? "ready" : "waiting: ", info.why, info.live,
		  info.held, info.opened, info.failed, info.bytes_to_guest, info.bytes_to_host);
}

void status_log(const struct network *net)
{
	uint64_t now_ms = uv_now(net->loop);
	const struct guest_record *guest = NULL;
	const struct forward *forward = NULL;
	unsigned guests_n = 0, said = 0;

	while ((guest = guests_next(net->guests, guest)))
		guests_n++;
	log_asked("status: network %s, up for %" PRIu64 " s, %u guests, %u flows, %u forwards",
		  net->options->name, (now_ms - net->started_ms) / 1000, guests_n,
		  nat_flow_count(net->nat), forwards_count(net->forwards));
	while ((guest = guests_next(net->guests, guest)))
		say_guest(guest, now_ms);
	while (said++ < FORWARDS_SAID_MAX && (forward = forwards_next(net->forwards, forward)))
		say_forward(forward);
	say_counters(nat_counters(net->nat));
}
