/* Whole frames into the NAT, with a host that answers at random and a clock that jumps. Whatever
 * comes in: what goes out is well-formed, flows and handles stay within their limits, and at the
 * end nothing is left.
 *
 * An input is a row of records. A record begins with one byte: 0x00-0x7f is a frame, its length in
 * the next two bytes (clipped to what is there), bit 0 the guest, bit 1 set to patch its TCP
 * numbers so that it answers the NAT's last segment, bit 2 to cut it into pieces; 0x80-0xff is an
 * action with one byte of argument, or with bit 3 set a TCP segment near the numbers of a
 * connection: struct near. */
#include "stack/base/log.h"
#include "stack/base/wire.h"
#include "stack/nat/nat.h"
#include "tests/support/fake_host.h"
#include "tests/support/fake_port.h"
#include "tests/support/frames.h"
#include "tests/support/packet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GUESTS 2
#define FLOWS_MAX 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct chunk {
	struct frame_owner owner;
	unsigned *alive;
	uint8_t *bytes;
};

struct fuzz {
	struct nat *nat;
	struct nat_config config;
	struct fake_host host;
	struct fake_port ports[GUESTS];
	bool attached[GUESTS];
	struct rng rng;
	struct dice dice;
	uint64_t now_ms;
	unsigned chunks_alive;
	struct packet last; /* the last TCP segment that came out; payload void */
	size_t last_len;
	int listener; /* a forward's UDP handle */
	struct nat_forward *forward;
	unsigned untold;             /* connections into guests whose outcome is not yet known */
	struct nat_attempt *attempt; /* of the latest one, if it is untold */
};

static void expect(int truth)
{
	if (!truth)
		abort();
}

static void chunk_release(struct frame_owner *owner)
{
	struct chunk *chunk = (struct chunk *)owner; /* its first member */

	--*chunk->alive;
	free(chunk->bytes);
	free(chunk);
}

/* One in four dials fails at once, one in four later, one hangs; a peer has some bytes or none. */
static int dial(void *ctx, const struct endpoint *to, int *ret_connect_result)
{
	static const int errors[] = {-ECONNREFUSED, -ENETUNREACH, -EHOSTUNREACH, -ETIMEDOUT,
				     -EACCES,       -EMFILE,      -EINVAL,       -ECONNRESET};
	struct fuzz *fuzz = ctx;
	uint32_t roll = dice_u32(&fuzz->dice);

	expect(to->port != 0 || addr_is_unspecified(&to->addr)); /* a service has no address */
	fuzz->host.defaults.echo = roll >> 8 & 1;
	fuzz->host.defaults.send_total = roll >> 9 & 1 ? roll >> 16 : 0;
	fuzz->host.defaults.eof_when_sent = roll >> 10 & 1;
	fuzz->host.defaults.write_room = roll >> 11 & 3 ? FAKE_UNLIMITED : roll >> 20;
	*ret_connect_result = roll & 4 ? 0 : roll & 8 ? FAKE_DIAL_PENDING : errors[roll >> 13 & 7];
	return (roll & 0x73) == 0 ? errors[roll >> 13 & 7] : 0;
}

static void on_service(void *ctx, const struct nat_udp_meta *meta, const uint8_t *payload,
		       size_t len)
{
	struct fuzz *fuzz = ctx;
	bool v4 = addr_is_v4(&meta->guest.addr);
	const struct nat_udp_reply reply = {
	    meta->port,
	    meta->guest_mac,
	    {v4 ? fuzz->config.dns4 : fuzz->config.dns6, meta->service.port},
	    meta->guest};

	nat_udp_send(fuzz->nat, &reply, payload, len);
}

static void on_router_solicited(void *ctx, struct port *port, const struct mac *mac,
				const struct addr *from)
{
	static const uint8_t advertisement[16] = {134};
	struct fuzz *fuzz = ctx;

	nat_icmp6_send(fuzz->nat,
		       &(struct nat_udp_reply){.port = port, .to_mac = *mac, .to.addr = *from},
		       advertisement, sizeof(advertisement));
}

static void attach(struct fuzz *fuzz, unsigned n)
{
	fake_port_init(&fuzz->ports[n], n + 1);
	expect(nat_port_add(fuzz->nat, &fuzz->ports[n].port) == 0);
	fuzz->attached[n] = true;
}

static void set_up(struct fuzz *fuzz, uint8_t variant)
{
	*fuzz = (struct fuzz){.now_ms = 5000000, .dice = {variant}};
	fake_host_init(&fuzz->host);
	rng_init_fixed(&fuzz->rng, 7);
	log_set_level(LOG_LEVEL_ERROR);
	fuzz->host.dial_policy = dial;
	fuzz->host.dial_ctx = fuzz;
	fuzz->host.udp_echo = variant & 1;
	fuzz->host.ping_echo = variant & 2;
	fuzz->host.ping_open_result = variant & 4 ? -EACCES : 0;
	fuzz->config = (struct nat_config){
	    .ipv4 = true,
	    .ipv6 = variant & 8,
	    .mac = {{0x52, 0x55, 0x0a, 0, 2, 2}},
	    .net4 = {addr_v4(0x0a000200), 24},
	    .host4 = addr_v4(0x0a000202),
	    .dns4 = addr_v4(0x0a000203),
	    .mtu = variant & 16 ? 65520 : 1500,
	    .restrict_guests = (variant & 0xe0) == 0xe0,
	    .host_loopback = !(variant & 32),
	    .limits = nat_limits_default(FLOWS_MAX),
	    .host = &fake_host_ops,
	    .host_ctx = &fuzz->host,
	    .rng = &fuzz->rng,
	    .router_solicited = on_router_solicited,
	    .router_ctx = fuzz,
	};
	fuzz->config.limits.flows_max = FLOWS_MAX;
	fuzz->config.limits.flows_per_guest_max = FLOWS_MAX - 4;
	expect(addr_parse("fec0::2", &fuzz->config.host6) == 0);
	expect(addr_parse("fec0::3", &fuzz->config.dns6) == 0);
	expect(subnet_parse("fec0::/64", &fuzz->config.net6) == 0);
	expect(nat_new(&fuzz->nat, &fuzz->config) == 0);
	nat_set_time(fuzz->nat, fuzz->now_ms);
	expect(nat_udp_service_add(fuzz->nat, 53, false, on_service, fuzz) == 0);
	expect(nat_udp_service_add(fuzz->nat, 67, false, on_service, fuzz) == 0);
	expect(nat_tcp_service_add(fuzz->nat, 53, true, 1) == 0);
	fuzz->listener = fake_host_listener(&fuzz->host);
	expect(nat_forward_new(fuzz->nat, -1, &fuzz->forward) == 0);
	for (unsigned n = 0; n < GUESTS; n++)
		attach(fuzz, n);
}

/* Every frame that comes out has to be one that a strict guest would take. */
static void check_output(struct fuzz *fuzz, struct fake_port *port)
{
	struct fake_frame *frame;

	expect(port->payload_touched == 0 && port->oversized == 0);
	while ((frame = fake_queue_pop(&port->sent))) {
		struct packet p;

		packet_parse(&p, frame->bytes, frame->len);
		expect(!p.fault && mac_eq(&p.src_mac, &fuzz->config.mac));
		expect(p.kind == PACKET_ARP || frame->len <= fuzz->config.mtu + 14u);
		if (p.kind == PACKET_TCP) {
			fuzz->last = p;
			fuzz->last_len = p.payload_len;
		}
		free(frame);
	}
}

static void turn(struct fuzz *fuzz)
{
	for (unsigned i = 0; i < 20; i++) {
		bool busy = fake_host_deliver(&fuzz->host, fuzz->nat);

		nat_run(fuzz->nat, fuzz->now_ms);
		for (unsigned n = 0; n < GUESTS; n++) {
			if (!fuzz->attached[n] || !fuzz->ports[n].port.queued)
				continue;
			fuzz->ports[n].port.ops->flush(&fuzz->ports[n].port);
			check_output(fuzz, &fuzz->ports[n]);
			busy = true;
		}
		if (!busy)
			break;
	}
	expect(fuzz->host.open_n <= FLOWS_MAX + 1 + 8); /* the listener, and connections waiting */
	expect(fuzz->host.count.misuse == 0);
}

/* Makes a TCP frame the answer to the NAT's last segment: connections get past their handshake. */
static void patch_answer(const struct fuzz *fuzz, uint8_t *bytes, size_t len)
{
	struct wire_out out = wire_out(bytes, len);
	uint32_t seen = fuzz->last.seq + (uint32_t)fuzz->last_len +
			((fuzz->last.flags & (FLAG_SYN | FLAG_FIN)) != 0);

	bool v4 = addr_is_v4(&fuzz->last.src);

	if (len < (v4 ? 54 : 74) || fuzz->last.kind != PACKET_TCP)
		return;
	if (bytes[12] != (v4 ? 0x08 : 0x86) || bytes[v4 ? 23 : 20] != PROTO_TCP)
		return;
	out.at = bytes + (v4 ? 26 : 22);
	wire_put_bytes(&out, fuzz->last.dst.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	wire_put_bytes(&out, fuzz->last.src.b + (v4 ? 12 : 0), v4 ? 4 : 16);
	wire_put_u16(&out, fuzz->last.dst_port);
	wire_put_u16(&out, fuzz->last.src_port);
	wire_put_u32(&out, fuzz->last.ack);
	wire_put_u32(&out, seen);
}

static unsigned cut(uint8_t *bytes, size_t len, bool pieces, struct iovec *ret_iov)
{
	size_t first = len > 40 ? 20 : len;

	if (!pieces || len < FRAME_HDR_LEN + 6) {
		ret_iov[0] = (struct iovec){bytes, len};
		return 1;
	}
	ret_iov[0] = (struct iovec){bytes, first};
	ret_iov[1] = (struct iovec){bytes + first, len - first};
	return 2;
}

/* The record's bytes, in memory of exactly their length. */
static void play_frame(struct fuzz *fuzz, uint8_t op, const uint8_t *bytes, size_t len)
{
	unsigned n = op & 1;
	struct chunk *chunk;
	struct iovec iov[2];
	struct frame frame;

	if (len < FRAME_HDR_LEN || !fuzz->attached[n])
		return;
	chunk = malloc(sizeof(*chunk));
	*chunk = (struct chunk){{1, chunk_release}, &fuzz->chunks_alive, malloc(len)};
	fuzz->chunks_alive++;
	memcpy(chunk->bytes, bytes, len);
	if (op & 2)
		patch_answer(fuzz, chunk->bytes, len);
	frame = (struct frame){.iov = iov,
			       .iov_n = cut(chunk->bytes, len, op & 4, iov),
			       .len = (uint32_t)len,
			       .owner = &chunk->owner};
	nat_input(fuzz->nat, &fuzz->ports[n].port, &frame);
	frame_owner_unref(&chunk->owner);
	if (!(op & 8)) /* else the next frame is of the same batch */
		turn(fuzz);
}

static void advance(struct fuzz *fuzz, uint64_t ms)
{
	uint64_t end_ms = fuzz->now_ms + ms;

	for (unsigned i = 0; i < 200 && fuzz->now_ms < end_ms; i++) {
		uint64_t next = nat_next_ms(fuzz->nat, fuzz->now_ms);
		if (next > end_ms - fuzz->now_ms)
			next = end_ms - fuzz->now_ms;
		fuzz->now_ms += next ? next : 1;
		nat_set_time(fuzz->nat, fuzz->now_ms);
		nat_tick(fuzz->nat, fuzz->now_ms);
		turn(fuzz);
	}
	fuzz->now_ms = end_ms;
	nat_set_time(fuzz->nat, end_ms);
}

static int on_outcome(void *ctx, uint64_t cookie, enum nat_outcome outcome)
{
	struct fuzz *fuzz = ctx;

	expect(fuzz->untold-- > 0);
	fuzz->attempt = NULL; /* may be another's: it is only not cancelled then */
	expect(nat_outcome_text(outcome) != NULL);
	if (outcome != NAT_OPEN || (cookie & 1) || fuzz->host.open_n > FLOWS_MAX)
		return -1;
	return fake_host_accepted(&fuzz->host);
}

/* A connection whose host side comes later, if at all; and the forward that it belongs to. */
static void connect_guest(struct fuzz *fuzz, uint8_t arg, const struct endpoint *guest)
{
	struct nat_connect connect = {.peer = {addr_v4(0x7f000001), 0},
				      .guest = *guest,
				      .handle = -1,
				      .forward = fuzz->forward,
				      .outcome = on_outcome,
				      .ctx = fuzz,
				      .cookie = arg};

	if (arg & 2) {
		nat_forward_drop(fuzz->nat, fuzz->forward, arg & 1);
		expect(nat_forward_new(fuzz->nat, -1, &fuzz->forward) == 0);
		return;
	}
	if (fuzz->attempt && (arg & 1)) {
		nat_tcp_connect_cancel(fuzz->nat, fuzz->attempt);
		fuzz->attempt = NULL;
		fuzz->untold--;
	}
	if (nat_tcp_connect(fuzz->nat, &connect, &fuzz->attempt) == 0)
		fuzz->untold++;
	else
		fuzz->attempt = NULL;
}

static void forward(struct fuzz *fuzz, uint8_t arg)
{
	const struct endpoint peer = {arg & 1 ? addr_v4(0x7f000001) : addr_v4(0xcb007105),
				      (uint16_t)(arg & 2 ? 4000 : 4000 + arg)};
	struct endpoint guest = {addr_v4(0x0a00020f + (arg >> 6)), (uint16_t)(arg & 4 ? 22 : 80)};
	int handle;

	if (arg & 16)
		guest.addr = (struct addr){{0xfe, 0xc0, [15] = (uint8_t)(0x15 + (arg >> 6))}};
	if (arg & 8) {
		nat_udp_inbound(fuzz->nat, fuzz->listener, &peer, &guest, frames_bytes("hello", 5));
		return;
	}
	if (arg & 32) {
		connect_guest(fuzz, arg, &guest);
		return;
	}
	if (fuzz->host.open_n > FLOWS_MAX)
		return;
	handle = fake_host_accepted(&fuzz->host);
	if (handle >= 0)
		nat_tcp_inbound(fuzz->nat, handle, &peer, &guest);
}

static void disturb_host(struct fuzz *fuzz, uint8_t arg)
{
	int handle = fake_host_nth(&fuzz->host, FAKE_TCP, arg & 7);
	struct fake_handle *h = fake_host_handle(&fuzz->host, handle);

	if (!h || h->token == UINT64_MAX)
		return;
	switch (arg >> 3 & 7) {
	case 0:
		if (h->result == -EINPROGRESS)
			fake_host_dial_done(&fuzz->host, handle, arg & 64 ? 0 : -ECONNREFUSED);
		return;
	case 1:
		h->read_error = -ECONNRESET;
		break;
	case 2:
		h->write_error = -EPIPE;
		break;
	case 3:
		h->eof_when_sent = true;
		break;
	case 4:
		h->write_room = FAKE_UNLIMITED;
		break;
	case 5:
		h->send_total += 70000;
		break;
	default:
		h->write_room = arg;
		break;
	}
	fake_host_kick(&fuzz->host, handle);
}

static void disturb_datagrams(struct fuzz *fuzz, uint8_t arg)
{
	struct endpoint from = {addr_v4(0xcb007105), 53};
	struct fake_icmp error = {.offender = addr_v4(arg & 2 ? 0xc0000201 : 0),
				  .type = arg & 4 ? 3 : 11,
				  .code = arg & 3};
	enum fake_kind kind = arg & 1 ? FAKE_UDP : FAKE_PING;
	int handle = fake_host_nth(&fuzz->host, kind, arg >> 3 & 3);
	uint8_t bytes[256] = {0};

	if (handle < 0 || handle == fuzz->listener)
		return;
	if (fake_host_handle(&fuzz->host, handle)->v6) {
		from.addr = (struct addr){{0x20, 0x01, 0x0d, 0xb8, [15] = 5}};
		error.offender = (struct addr){{arg & 2 ? 0x20 : 0}};
		error.type = arg & 4 ? 1 : 3;
		bytes[0] = 129;
	}
	error.to = from;
	if (arg & 128)
		fake_host_error_deliver(&fuzz->host, handle, &error, frames_bytes(bytes, arg & 63));
	else
		fake_host_udp_deliver(&fuzz->host, handle, &from, bytes, arg);
}

static void play_action(struct fuzz *fuzz, uint8_t op, uint8_t arg)
{
	unsigned n = arg & 1;

	switch (op & 7) {
	case 0:
		advance(fuzz, (uint64_t)arg * arg * 4);
		break;
	case 1:
		disturb_host(fuzz, arg);
		break;
	case 2:
		disturb_datagrams(fuzz, arg);
		break;
	case 3:
		forward(fuzz, arg);
		break;
	case 4: /* the guest goes, or comes back */
		if (fuzz->attached[n]) {
			fuzz->ports[n].port.ops->flush(&fuzz->ports[n].port);
			check_output(fuzz, &fuzz->ports[n]);
			nat_port_remove(fuzz->nat, &fuzz->ports[n].port);
			fake_port_fini(&fuzz->ports[n]);
			fuzz->attached[n] = false;
		} else {
			attach(fuzz, n);
		}
		break;
	case 5:
		if (!fuzz->attached[n])
			break;
		fuzz->ports[n].port.blocked = !fuzz->ports[n].port.blocked;
		if (!fuzz->ports[n].port.blocked)
			nat_port_writable(fuzz->nat, &fuzz->ports[n].port);
		break;
	case 6:
		fuzz->host.handles_limit = arg & 1 ? fuzz->host.open_n : 0;
		break;
	default:
		nat_host_event(fuzz->nat, (uint64_t)arg << (arg & 31), arg & 15);
		break;
	}
	turn(fuzz);
}

/* A segment whose numbers lie about those that a connection is at, so that lwIP takes it seriously:
 * out of order, beyond the window, acknowledging part of what is out. */
struct near {
	uint8_t flags, ahead, acked;
	uint16_t window, len;
};

static struct near read_near(struct wire_in *in)
{
	struct near near;

	near.flags = wire_get_u8(in);
	near.ahead = wire_get_u8(in);
	near.acked = wire_get_u8(in);
	near.window = wire_get_u16(in);
	near.len = wire_get_u16(in);
	return near;
}

/* Small steps, or to a few bytes about the ends of the windows in use. */
static uint32_t distance(uint8_t code)
{
	static const uint32_t marks[] = {0, 1460, 64000, 65535, 131072, 262144, 524288, 0xffffff00};

	return marks[code >> 5] + (code & 31) - (code >> 5 ? 16 : 0);
}

static void play_near(struct fuzz *fuzz, uint8_t op, const struct near *near)
{
	static const uint8_t mss_and_scale[] = {2, 4, 5, 0xb4, 1, 3, 3, 7};
	static uint8_t frame[FRAMES_BUF_LEN], payload[65000];
	const struct packet *last = &fuzz->last;
	bool syn = near->flags & FLAG_SYN;
	struct frames_ends ends = {.dst_mac = fuzz->config.mac,
				   .src_mac = last->dst_mac,
				   .src = last->dst,
				   .dst = last->src};
	struct frames_tcp tcp = {.src_port = last->dst_port,
				 .dst_port = last->src_port,
				 .seq = last->ack + distance(near->ahead),
				 .ack = last->seq + (uint32_t)fuzz->last_len,
				 .flags = near->flags & 0x3f,
				 .window = near->window,
				 .options = mss_and_scale,
				 .options_len = syn ? sizeof(mss_and_scale) : 0};
	struct wire_out out = wire_out(frame, sizeof(frame));

	if (last->kind != PACKET_TCP)
		return;
	tcp.ack += (last->flags & (FLAG_SYN | FLAG_FIN)) != 0;
	tcp.ack -= near->acked & 128 ? distance(near->acked & 127) : 0;
	frames_tcp(&out, &ends, &tcp, frames_bytes(payload, near->len % sizeof(payload)));
	if (!out.bad)
		play_frame(fuzz, op & 1 ? 8 : 0, frame, wire_len(&out));
}

static void tear_down(struct fuzz *fuzz)
{
	turn(fuzz);
	for (unsigned n = 0; n < GUESTS; n++)
		if (fuzz->attached[n])
			play_action(fuzz, 4, (uint8_t)n);
	advance(fuzz, 20000);
	expect(nat_flow_count(fuzz->nat) == 0);
	expect(fuzz->untold == 0);
	nat_forward_drop(fuzz->nat, fuzz->forward, true);
	nat_free(fuzz->nat);
	fake_host_ops.datagram_close(&fuzz->host, fuzz->listener);
	expect(fuzz->chunks_alive == 0);
	expect(fuzz->host.open_n == 0 && fuzz->host.count.misuse == 0);
	fake_host_fini(&fuzz->host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_in in = wire_in(data, size);
	struct fuzz fuzz;

	set_up(&fuzz, wire_get_u8(&in));
	while (wire_left(&in)) {
		uint8_t op = wire_get_u8(&in);

		if ((op & 0x88) == 0x88) {
			struct near near = read_near(&in);
			play_near(&fuzz, op, &near);
		} else if (op & 0x80) {
			play_action(&fuzz, op, wire_get_u8(&in));
		} else {
			size_t len = wire_get_u16(&in);
			if (len > wire_left(&in))
				len = wire_left(&in);
			play_frame(&fuzz, op, wire_get(&in, len), len);
		}
	}
	tear_down(&fuzz);
	return 0;
}
