#include "stack/nat/ping_guest.h"

#include "stack/base/wire.h"
#include "stack/nat/icmp.h"
#include "stack/nat/nat_priv.h"
#include "stack/nat/policy.h"

#include <errno.h>

#define ASK_MS 1000 /* between questions for the same neighbour (RFC 4861 RETRANS_TIMER) */
#define SEQUENCE 1
#define PAYLOAD_LEN 56 /* bytes, as ping sends */

static void send_request(struct nat *nat, struct guest_ping *ping, const struct port *port,
			 const struct mac *mac)
{
	uint8_t bytes[8 + PAYLOAD_LEN] = {0};
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct icmp_message message = {
	    .from = policy_gateway_for(&nat->config, &ping->ping.to),
	    .to = ping->ping.to,
	    .to_mac = *mac,
	    .ttl = 64,
	    .bytes = bytes,
	    .len = sizeof(bytes),
	};

	wire_put_u8(&out, addr_is_v4(&message.to) ? ICMP4_ECHO : ICMP6_ECHO);
	wire_put_u8(&out, 0);
	wire_put_u16(&out, 0);
	wire_put_u16(&out, ping->identifier);
	wire_put_u16(&out, SEQUENCE);
	ping->sent = true;
	if (port->nat_data)
		icmp_send(nat, port->nat_data, &message);
}

static void finish(struct nat *nat, struct guest_ping *ping, enum nat_outcome outcome)
{
	struct nat_guest_ping told = ping->ping;

	ping->number = 0;
	nat->guest_pings_n--;
	told.done(told.ctx, outcome);
}

static struct guest_ping *free_place(struct nat *nat)
{
	for (unsigned i = 0; i < GUEST_PINGS_MAX; i++) {
		if (!nat->guest_pings[i].number)
			return &nat->guest_pings[i];
	}
	return NULL;
}

int nat_guest_ping(struct nat *nat, const struct nat_guest_ping *ping)
{
	struct guest_ping *place = free_place(nat);
	struct port *port;
	struct mac mac;

	if (addr_is_v4(&ping->to) ? !nat->config.ipv4 : !nat->config.ipv6)
		return -EAFNOSUPPORT;
	if (!place)
		return -ENOSPC;
	*place = (struct guest_ping){
	    .number = (int)(1 + rng_below(nat->config.rng, INT32_MAX - 1)),
	    .ping = *ping,
	    .identifier = rng_u16(nat->config.rng),
	    .ask_ms = nat->now_ms + ASK_MS,
	    .end_ms = nat->now_ms + ping->timeout_ms,
	};
	nat->guest_pings_n++;
	if (nat_neighbour(nat, &ping->to, &port, &mac))
		send_request(nat, place, port, &mac);
	else
		nat_ask(nat, &ping->to);
	return place->number;
}

void nat_guest_ping_cancel(struct nat *nat, int number)
{
	for (unsigned i = 0; i < GUEST_PINGS_MAX; i++) {
		if (number > 0 && nat->guest_pings[i].number == number) {
			nat->guest_pings[i].number = 0;
			nat->guest_pings_n--;
		}
	}
}

void pingguest_neighbour_known(struct nat *nat, const struct addr *addr)
{
	struct port *port;
	struct mac mac;

	for (unsigned i = 0; nat->guest_pings_n && i < GUEST_PINGS_MAX; i++) {
		struct guest_ping *ping = &nat->guest_pings[i];

		if (ping->number && !ping->sent && addr_eq(&ping->ping.to, addr) &&
		    nat_neighbour(nat, addr, &port, &mac))
			send_request(nat, ping, port, &mac);
	}
}

bool pingguest_answered(struct nat *nat, const struct packet *packet)
{
	struct wire_in in = wire_in(packet->l4, packet->l4_len);
	uint16_t identifier, sequence;

	wire_skip(&in, 4);
	identifier = wire_get_u16(&in);
	sequence = wire_get_u16(&in);
	for (unsigned i = 0; nat->guest_pings_n && !in.bad && i < GUEST_PINGS_MAX; i++) {
		struct guest_ping *ping = &nat->guest_pings[i];

		if (ping->number && ping->sent && ping->identifier == identifier &&
		    sequence == SEQUENCE && addr_eq(&ping->ping.to, &packet->src)) {
			finish(nat, ping, NAT_OPEN);
			return true;
		}
	}
	return false;
}

void pingguest_tick(struct nat *nat)
{
	for (unsigned i = 0; nat->guest_pings_n && i < GUEST_PINGS_MAX; i++) {
		struct guest_ping *ping = &nat->guest_pings[i];

		if (!ping->number)
			continue;
		if (nat->now_ms >= ping->end_ms) {
			finish(nat, ping, ping->sent ? NAT_TIMED_OUT : NAT_NO_NEIGHBOUR);
		} else if (!ping->sent && nat->now_ms >= ping->ask_ms) {
			ping->ask_ms = nat->now_ms + ASK_MS;
			nat_ask(nat, &ping->ping.to);
		}
	}
}

uint64_t pingguest_next_ms(const struct nat *nat)
{
	uint64_t next_ms = UINT64_MAX;

	for (unsigned i = 0; nat->guest_pings_n && i < GUEST_PINGS_MAX; i++) {
		const struct guest_ping *ping = &nat->guest_pings[i];

		if (ping->number && ping->end_ms < next_ms)
			next_ms = ping->end_ms;
		if (ping->number && !ping->sent && ping->ask_ms < next_ms)
			next_ms = ping->ask_ms;
	}
	return next_ms;
}
