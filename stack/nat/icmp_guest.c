/* ICMP errors that guests send: what they mean for connections into a guest. The host's own peers
 * cannot be told by ICMP (that takes a raw socket), but by what becomes of their connection. */
#include "stack/nat/icmp.h"

#include "stack/base/wire.h"
#include "stack/nat/tcpflow.h"

#define MTU4_LEAST 576u /* below that an "MTU" is more likely an attack (RFC 5927 section 7.2) */
#define MTU6_LEAST 1280u

/* The start of the packet an error is about: one of ours, TCP alone. */
struct quoted {
	struct endpoint from, to;
	uint32_t seq;
};

static bool read_quoted(struct quoted *ret, struct wire_in in, bool v6)
{
	const uint8_t *ip = in.at;
	uint8_t version_ihl = wire_get_u8(&in);
	uint8_t proto;

	*ret = (struct quoted){.seq = 0};
	if (v6) {
		wire_skip(&in, 5);
		proto = wire_get_u8(&in);
		wire_skip(&in, 1);
		wire_get_bytes(&in, ret->from.addr.b, 16);
		wire_get_bytes(&in, ret->to.addr.b, 16);
	} else {
		wire_skip(&in, 8);
		proto = wire_get_u8(&in);
		wire_skip(&in, 2);
		ret->from.addr = addr_v4(wire_get_u32(&in));
		ret->to.addr = addr_v4(wire_get_u32(&in));
		if (!in.bad && version_ihl != 0x45)
			in = wire_in(ip, 0); /* our own packets have no options */
	}
	ret->from.port = wire_get_u16(&in);
	ret->to.port = wire_get_u16(&in);
	ret->seq = wire_get_u32(&in);
	return !in.bad && version_ihl >> 4 == (v6 ? 6 : 4) && proto == IPPROTO_NUMBER_TCP;
}

static struct tcpflow *find(struct nat *nat, struct guest *guest, const struct quoted *quoted)
{
	struct flow_key key = flow_key(FLOW_TCP, guest->port->id, &quoted->to, &quoted->from);
	struct tcpflow *tf = (struct tcpflow *)(void *)flow_find(nat->flows, &key);

	/* RFC 5927 section 4.1: what is quoted must be under way. */
	if (!tf || !tf->solo.active || (int32_t)(quoted->seq - solo_lastack(&tf->solo)) < 0 ||
	    (int32_t)(solo_snd_nxt(&tf->solo) - quoted->seq) < 0)
		return NULL;
	return tf;
}

/* A guest's firewall that rejects, or nobody behind a guest that routes: the client need not wait
 * for its own time-out. A connection that stands is not shaken by this (RFC 1122 section 4.2.3.9).
 */
static void refuse(struct nat *nat, struct tcpflow *tf)
{
	if (tf->outbound || tf->state != TCPFLOW_OPENING)
		return;
	tcpflow_output_to(nat, tf);
	nat->output.guest = NULL;
	solo_abort(nat->engine, &tf->solo, true);
	tf->solo.events.end = SOLO_RESET_BY_GUEST;
	tcpflow_end(nat, tf, true);
}

/* Behind a guest that routes, a narrower link. */
static void shrink(struct nat *nat, struct tcpflow *tf, uint32_t mtu, bool v6)
{
	uint32_t least = v6 ? MTU6_LEAST : MTU4_LEAST;
	uint32_t mss = (mtu > least ? mtu : least) - (v6 ? 60 : 40);

	if (tf->state != TCPFLOW_OPEN || mss >= tf->mss)
		return;
	tf->mss = (uint16_t)mss;
	tcpflow_output_to(nat, tf);
	solo_retransmit(nat->engine, &tf->solo);
	tcpflow_after_lwip(nat, tf);
}

bool icmp_error_input(struct nat *nat, struct guest *guest, const struct packet *packet)
{
	struct wire_in in = wire_in(packet->l4, packet->l4_len);
	uint8_t type = wire_get_u8(&in);
	uint8_t code = wire_get_u8(&in);
	bool unreachable = type == (packet->v6 ? ICMP6_UNREACHABLE : ICMP4_UNREACHABLE);
	bool too_big = packet->v6 ? type == ICMP6_TOO_BIG : unreachable && code == 4;
	struct quoted quoted;
	struct tcpflow *tf;
	uint32_t info;

	wire_skip(&in, 2);
	info = wire_get_u32(&in);
	if (in.bad || (!unreachable && !too_big) || !read_quoted(&quoted, in, packet->v6))
		return false;
	tf = find(nat, guest, &quoted);
	if (!tf)
		return false;
	if (too_big)
		shrink(nat, tf, packet->v6 ? info : info & 0xffff, packet->v6);
	else
		refuse(nat, tf);
	return true;
}
