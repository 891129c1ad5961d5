#include "stack/nat/icmp.h"

#include "stack/base/checksum.h"
#include "stack/base/wire.h"
#include "stack/nat/dgflow.h"
#include "stack/nat/ip_lwip.h"
#include "stack/nat/policy.h"

#include <errno.h>

#define ERRORS_PER_SECOND 100u
#define QUOTE_MAX (576 - 28) /* RFC 1812 section 4.3.2.3: as much as fits in 576 bytes */
#define ONE_FRAME_MAX 2048   /* messages up to this are copied into one frame */

/* One packet that fits the MTU: built whole, so that nobody need keep its bytes. */
static void send_one_frame(struct nat *nat, struct guest *guest, const struct icmp_message *message)
{
	uint8_t frame[FRAME_HDR_LEN + 20 + ONE_FRAME_MAX];
	struct wire_out out = wire_out(frame, sizeof(frame));
	size_t icmp_at = FRAME_HDR_LEN + 20;

	wire_put_bytes(&out, message->to_mac.b, 6);
	wire_put_bytes(&out, nat->config.mac.b, 6);
	wire_put_u16(&out, ETHERTYPE_IPV4);
	wire_put_u16(&out, 0x4500);
	wire_put_u16(&out, (uint16_t)(20 + message->len));
	wire_put_u16(&out, nat->ip_id++);
	wire_put_u16(&out, 0);
	wire_put_u8(&out, message->ttl);
	wire_put_u8(&out, IPPROTO_NUMBER_ICMP);
	wire_put_u16(&out, 0);
	wire_put_u32(&out, addr_to_v4(&message->from));
	wire_put_u32(&out, addr_to_v4(&message->to));
	wire_put_bytes(&out, message->bytes, message->len);
	wire_patch_u16(&out, FRAME_HDR_LEN + 10,
		       checksum_finish(checksum_add(0, frame + FRAME_HDR_LEN, 20)));
	wire_patch_u16(&out, icmp_at + 2, 0);
	wire_patch_u16(&out, icmp_at + 2,
		       checksum_finish(checksum_add(0, frame + icmp_at, message->len)));
	if (!out.bad)
		guest->port->ops->send(guest->port, frame, wire_len(&out), NULL, 0);
}

void icmp_send(struct nat *nat, struct guest *guest, const struct icmp_message *message)
{
	if (message->len < 8)
		return;
	if (message->len <= ONE_FRAME_MAX && message->len + 20 <= nat->config.mtu) {
		send_one_frame(nat, guest, message);
		return;
	}
	/* Large: lwIP cuts it. The copy must stay until the port has passed it on. */
	if (message->bytes != nat->linear)
		memmove(nat->linear, message->bytes, message->len);
	struct wire_out checksum = wire_out(nat->linear + 2, 2);
	wire_put_u16(&checksum, 0);
	checksum.at = checksum.start;
	wire_put_u16(&checksum, checksum_finish(checksum_add(0, nat->linear, message->len)));
	nat->output = (struct nat_output){.guest = guest, .mac = message->to_mac};
	iplwip_send(nat, &(struct iplwip_message){
			     .from = message->from,
			     .to = message->to,
			     .proto = IPPROTO_NUMBER_ICMP,
			     .ttl = message->ttl,
			     .bytes = {nat->linear, message->len},
			 });
	guest->port->ops->flush(guest->port);
}

static bool may_send_error(struct nat *nat, struct guest *guest)
{
	if (nat->now_ms - guest->icmp_error_window_ms >= 1000) {
		guest->icmp_error_window_ms = nat->now_ms;
		guest->icmp_errors = 0;
	}
	return guest->icmp_errors++ < ERRORS_PER_SECOND;
}

void icmp_send_error(struct nat *nat, struct guest *guest, const struct icmp_error *error)
{
	uint8_t bytes[8 + QUOTE_MAX];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct wire_in quote = wire_in(error->quote, error->quote_len);
	struct icmp_message message = {
	    .from = error->from,
	    .to_mac = error->to_mac,
	    .ttl = 64,
	    .bytes = bytes,
	};

	wire_skip(&quote, 12);
	message.to = addr_v4(wire_get_u32(&quote)); /* the source of what the guest had sent */
	if (quote.bad || !may_send_error(nat, guest))
		return;
	if (addr_is_unspecified(&message.from) || !addr_is_v4(&message.from))
		message.from = nat->config.host4;
	wire_put_u8(&out, error->type);
	wire_put_u8(&out, error->code);
	wire_put_u16(&out, 0);
	wire_put_u32(&out, error->info);
	wire_put_bytes(&out, error->quote,
		       error->quote_len < QUOTE_MAX ? error->quote_len : QUOTE_MAX);
	message.len = wire_len(&out);
	icmp_send(nat, guest, &message);
}

void icmp_answer_error(struct nat *nat, struct guest *guest, const struct packet *packet,
		       uint8_t type, uint8_t code)
{
	struct icmp_error error = {
	    .type = type,
	    .code = code,
	    .to_mac = packet->src_mac,
	    .quote = packet->ip,
	    .quote_len = packet->ip_len,
	};

	if (!packet->v6)
		icmp_send_error(nat, guest, &error);
}

int icmp_code_of_errno(int err)
{
	switch (err) {
	case -ENETUNREACH:
	case -ENETDOWN:
		return ICMP4_NET;
	case -EHOSTUNREACH:
	case -EHOSTDOWN:
		return ICMP4_HOST;
	case -EACCES:
	case -EPERM:
		return ICMP4_ADMIN_PROHIBITED;
	default:
		return -1;
	}
}

void icmp_answer_policy(struct nat *nat, struct guest *guest, const struct packet *packet,
			enum policy_verdict verdict, uint8_t gateway_code)
{
	uint8_t code = ICMP4_ADMIN_PROHIBITED;

	if (verdict == POLICY_DROP) {
		nat->counters.dropped_address++;
		return;
	}
	if (verdict == POLICY_GATEWAY)
		code = gateway_code;
	else if (verdict == POLICY_UNREACHABLE)
		code = ICMP4_HOST;
	nat->counters.dropped_policy++;
	icmp_answer_error(nat, guest, packet, ICMP4_UNREACHABLE, code);
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

	memmove(nat->linear, packet->l4,
		packet->l4_len); /* a reassembled request lies there already */
	nat->linear[0] = ICMP4_ECHO_REPLY;
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
		icmp_answer_policy(nat, guest, packet, verdict, ICMP4_ADMIN_PROHIBITED);
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
	if (type != ICMP4_ECHO || code != 0) {
		nat->counters.dropped_protocol++;
		return;
	}
	if (policy_is_gateway(&nat->config, &packet->dst))
		answer_echo(nat, guest, packet);
	else
		route_echo(nat, guest, packet);
}
