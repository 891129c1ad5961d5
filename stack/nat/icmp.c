#include "stack/nat/icmp.h"

#include "stack/base/checksum.h"
#include "stack/base/wire.h"
#include "stack/nat/dgflow.h"
#include "stack/nat/headers.h"
#include "stack/nat/ip_lwip.h"
#include "stack/nat/ping_guest.h"
#include "stack/nat/policy.h"

#include <errno.h>

#define ERRORS_PER_SECOND 100u
#define QUOTE4_MAX (576 - 28)  /* RFC 1812 section 4.3.2.3: as much as fits in 576 bytes */
#define QUOTE6_MAX (1280 - 48) /* RFC 4443 section 3.1: in the least MTU of IPv6 */
#define ONE_FRAME_MAX 2048     /* messages up to this are copied into one frame */
#define IP_LEN_MAX 65535u      /* what lwIP counts a packet's bytes with */

/* ---- sending -------------------------------------------------------------------------------- */

static size_t header_len(bool v6)
{
	return v6 ? 40 : 20;
}

/* Of 'bytes', whose checksum field is zero. ICMPv6 covers a pseudo header (RFC 4443 section 2.3).
 */
static uint16_t checksum_of(const struct icmp_message *message, const uint8_t *bytes, bool v6)
{
	checksum_sum sum = 0;

	if (v6)
		sum = checksum_add_pseudo(0, &message->from, &message->to, IPPROTO_NUMBER_ICMPV6,
					  (uint32_t)message->len);
	return checksum_finish(checksum_add(sum, bytes, message->len));
}

/* One packet that fits the MTU: built whole, so that nobody need keep its bytes. */
static void send_one_frame(struct nat *nat, struct guest *guest, const struct icmp_message *message,
			   bool v6)
{
	struct headers_ends ends = {&message->to_mac, &nat->config.mac, &message->from,
				    &message->to};
	uint8_t frame[FRAME_HDR_LEN + 40 + ONE_FRAME_MAX];
	struct wire_out out = wire_out(frame, sizeof(frame));
	size_t icmp_at = FRAME_HDR_LEN + header_len(v6);

	headers_put_ip(&out, &ends, v6 ? IPPROTO_NUMBER_ICMPV6 : IPPROTO_NUMBER_ICMP, message->ttl);
	headers_set_ip_len(frame + FRAME_HDR_LEN, v6, message->len, &nat->ip_id);
	wire_put_bytes(&out, message->bytes, message->len);
	wire_patch_u16(&out, icmp_at + 2, 0);
	wire_patch_u16(&out, icmp_at + 2, checksum_of(message, frame + icmp_at, v6));
	if (!out.bad)
		guest->port->ops->send(guest->port, frame, wire_len(&out), NULL, 0);
}

void icmp_send(struct nat *nat, struct guest *guest, const struct icmp_message *message)
{
	bool v6 = !addr_is_v4(&message->to);
	size_t packet_len = header_len(v6) + message->len;

	if (message->len < 8 || packet_len > IP_LEN_MAX)
		return;
	if (message->len <= ONE_FRAME_MAX && packet_len <= nat->config.mtu) {
		send_one_frame(nat, guest, message, v6);
		return;
	}
	/* Large: lwIP cuts it. The copy must stay until the port has passed it on. */
	if (message->bytes != nat->linear)
		memmove(nat->linear, message->bytes, message->len);
	struct wire_out checksum = wire_out(nat->linear + 2, 2);
	wire_put_u16(&checksum, 0);
	checksum.at = checksum.start;
	wire_put_u16(&checksum, checksum_of(message, nat->linear, v6));
	nat->output = (struct nat_output){.guest = guest, .mac = message->to_mac};
	iplwip_send(nat, &(struct iplwip_message){
			     .from = message->from,
			     .to = message->to,
			     .proto = v6 ? IPPROTO_NUMBER_ICMPV6 : IPPROTO_NUMBER_ICMP,
			     .ttl = message->ttl,
			     .bytes = {nat->linear, message->len},
			 });
	guest->port->ops->flush(guest->port);
}

void nat_icmp6_send(struct nat *nat, const struct nat_udp_reply *reply, const uint8_t *bytes,
		    size_t len)
{
	struct guest *guest = reply->port->nat_data;
	struct icmp_message message = {
	    .from = reply->from.addr,
	    .to = reply->to.addr,
	    .to_mac = reply->to_mac,
	    .ttl = 255,
	    .bytes = bytes,
	    .len = len,
	};

	if (!guest || addr_is_v4(&message.to))
		return;
	if (addr_is_unspecified(&message.from))
		message.from = nat->config.linklocal6;
	icmp_send(nat, guest, &message);
}

/* ---- errors --------------------------------------------------------------------------------- */

struct type_and_code {
	uint8_t type, code;
};

/* RFC 792, RFC 1812 section 5.2.7.1; RFC 4443 section 3. */
static const struct type_and_code errors4[ICMP_REASONS] = {
    [ICMP_NO_ROUTE] = {ICMP4_UNREACHABLE, 0},
    [ICMP_HOST_UNREACHABLE] = {ICMP4_UNREACHABLE, 1},
    [ICMP_NO_PROTOCOL] = {ICMP4_UNREACHABLE, 2},
    [ICMP_NO_PORT] = {ICMP4_UNREACHABLE, 3},
    [ICMP_PROHIBITED] = {ICMP4_UNREACHABLE, 13},
    [ICMP_BEYOND_SCOPE] = {ICMP4_UNREACHABLE, 1},
    [ICMP_TTL_EXCEEDED] = {ICMP4_TIME_EXCEEDED, 0},
    [ICMP_BAD_FIELD] = {ICMP4_PARAMETER_PROBLEM, 0},
    [ICMP_BAD_OPTION] = {ICMP4_PARAMETER_PROBLEM, 0},
};

static const struct type_and_code errors6[ICMP_REASONS] = {
    [ICMP_NO_ROUTE] = {ICMP6_UNREACHABLE, 0},
    [ICMP_HOST_UNREACHABLE] = {ICMP6_UNREACHABLE, 3},
    [ICMP_NO_PROTOCOL] = {ICMP6_PARAMETER_PROBLEM, 1},
    [ICMP_NO_PORT] = {ICMP6_UNREACHABLE, 4},
    [ICMP_PROHIBITED] = {ICMP6_UNREACHABLE, 1},
    [ICMP_BEYOND_SCOPE] = {ICMP6_UNREACHABLE, 2},
    [ICMP_TTL_EXCEEDED] = {ICMP6_TIME_EXCEEDED, 0},
    [ICMP_BAD_FIELD] = {ICMP6_PARAMETER_PROBLEM, 0},
    [ICMP_BAD_OPTION] = {ICMP6_PARAMETER_PROBLEM, 2},
};

void icmp_error_set(struct icmp_error *error, bool v6, enum icmp_reason reason)
{
	const struct type_and_code *row = v6 ? &errors6[reason] : &errors4[reason];

	error->type = row->type;
	error->code = row->code;
}

static bool may_send_error(struct nat *nat, struct guest *guest)
{
	if (nat->now_ms - guest->icmp_error_window_ms >= 1000) {
		guest->icmp_error_window_ms = nat->now_ms;
		guest->icmp_errors = 0;
	}
	return guest->icmp_errors++ < ERRORS_PER_SECOND;
}

/* The source of what the guest had sent. false when there is none to answer to. */
static bool read_quoted_source(const struct icmp_error *error, struct addr *ret)
{
	struct wire_in quote = wire_in(error->quote, error->quote_len);

	if (error->quote_len && error->quote[0] >> 4 == 6) {
		wire_skip(&quote, 8);
		wire_get_bytes(&quote, ret->b, 16);
	} else {
		wire_skip(&quote, 12);
		*ret = addr_v4(wire_get_u32(&quote));
	}
	return !quote.bad;
}

void icmp_send_error(struct nat *nat, struct guest *guest, const struct icmp_error *error)
{
	uint8_t bytes[8 + QUOTE6_MAX];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct icmp_message message = {
	    .from = error->from,
	    .to_mac = error->to_mac,
	    .ttl = 64,
	    .bytes = bytes,
	};
	size_t quote_max;

	if (!read_quoted_source(error, &message.to) || !may_send_error(nat, guest))
		return;
	quote_max = addr_is_v4(&message.to) ? QUOTE4_MAX : QUOTE6_MAX;
	if (addr_is_unspecified(&message.from) ||
	    addr_is_v4(&message.from) != addr_is_v4(&message.to))
		message.from = policy_gateway_for(&nat->config, &message.to);
	wire_put_u8(&out, error->type);
	wire_put_u8(&out, error->code);
	wire_put_u16(&out, 0);
	wire_put_u32(&out, error->info);
	wire_put_bytes(&out, error->quote,
		       error->quote_len < quote_max ? error->quote_len : quote_max);
	message.len = wire_len(&out);
	icmp_send(nat, guest, &message);
}

/* RFC 4443 section 2.4 (e): nothing about errors, about what was sent to many, or to nobody in
 * particular. An option may ask for an answer even then (RFC 8200 section 4.2). */
static bool may_answer6(const struct packet *packet, enum icmp_reason reason)
{
	if (addr_is_unspecified(&packet->src) || addr_is_multicast(&packet->src))
		return false;
	if (addr_is_multicast(&packet->dst) && reason != ICMP_BAD_OPTION)
		return false;
	return packet->proto != IPPROTO_NUMBER_ICMPV6 || !packet->l4_len || packet->l4[0] >= 128;
}

void icmp_answer_error_at(struct nat *nat, struct guest *guest, const struct packet *packet,
			  enum icmp_reason reason, uint32_t info)
{
	struct icmp_error error = {
	    .info = info,
	    .to_mac = packet->src_mac,
	    .quote = packet->ip,
	    .quote_len = packet->ip_len,
	};

	if (reason == ICMP_NO_REASON || (packet->v6 && !may_answer6(packet, reason)))
		return;
	icmp_error_set(&error, packet->v6, reason);
	icmp_send_error(nat, guest, &error);
}

void icmp_answer_error(struct nat *nat, struct guest *guest, const struct packet *packet,
		       enum icmp_reason reason)
{
	icmp_answer_error_at(nat, guest, packet, reason, 0);
}

enum icmp_reason icmp_reason_of_errno(int err)
{
	switch (err) {
	case -ENETUNREACH:
	case -ENETDOWN:
	case -EADDRNOTAVAIL:
	case -EAFNOSUPPORT:
		return ICMP_NO_ROUTE;
	case -EHOSTUNREACH:
	case -EHOSTDOWN:
		return ICMP_HOST_UNREACHABLE;
	case -EACCES:
	case -EPERM:
		return ICMP_PROHIBITED;
	default:
		return ICMP_NO_REASON;
	}
}

void icmp_answer_policy(struct nat *nat, struct guest *guest, const struct packet *packet,
			enum policy_verdict verdict, enum icmp_reason gateway_reason)
{
	enum icmp_reason reason = ICMP_PROHIBITED;

	if (verdict == POLICY_DROP) {
		nat->counters.dropped_address++;
		return;
	}
	if (verdict == POLICY_GATEWAY)
		reason = gateway_reason;
	else if (verdict == POLICY_UNREACHABLE)
		reason = ICMP_HOST_UNREACHABLE;
	nat->counters.dropped_policy++;
	icmp_answer_error(nat, guest, packet, reason);
}

/* ---- echo ----------------------------------------------------------------------------------- */

/* All nodes or all routers of the link (RFC 4291 section 2.7.1): the gateway is both. */
static bool is_link_multicast(const struct addr *a)
{
	static const struct addr nodes = {{0xff, 0x02, [15] = 1}};
	static const struct addr routers = {{0xff, 0x02, [15] = 2}};

	return addr_eq(a, &nodes) || addr_eq(a, &routers);
}

static void answer_echo(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	struct icmp_message message = {
	    .from = packet->dst,
	    .to = packet->src,
	    .to_mac = packet->src_mac,
	    .ttl = 64,
	    .bytes = nat->linear,
	    .len = packet->l4_len,
	};

	if (addr_is_multicast(&message.from))
		message.from = policy_gateway_for(&nat->config, &message.to);
	memmove(nat->linear, packet->l4,
		packet->l4_len); /* a reassembled request lies there already */
	nat->linear[0] = packet->v6 ? ICMP6_ECHO_REPLY : ICMP4_ECHO_REPLY;
	icmp_send(nat, guest, &message);
}

static void route_echo(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	struct endpoint to = {packet->dst, 0};
	struct endpoint host;
	enum policy_verdict verdict = policy_outbound(&nat->config, &to, &host);

	if (verdict == POLICY_HOST)
		ping_request(nat, guest, packet);
	else
		icmp_answer_policy(nat, guest, packet, verdict, ICMP_PROHIBITED);
}

void icmp_input(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	struct wire_in in = wire_in(packet->l4, packet->l4_len);
	uint8_t type = wire_get_u8(&in);
	uint8_t code = wire_get_u8(&in);

	wire_skip(&in, 6);
	if (in.bad) {
		nat->counters.dropped_malformed++;
		return;
	}
	if (type == (packet->v6 ? ICMP6_ECHO_REPLY : ICMP4_ECHO_REPLY) &&
	    pingguest_answered(nat, packet))
		return;
	if (type != (packet->v6 ? ICMP6_ECHO : ICMP4_ECHO) || code != 0) {
		if (icmp_error_input(nat, guest, packet))
			return;
		nat->counters.dropped_protocol++;
		return;
	}
	if (policy_is_gateway(&nat->config, &packet->dst) || is_link_multicast(&packet->dst))
		answer_echo(nat, guest, packet);
	else
		route_echo(nat, guest, packet);
}
