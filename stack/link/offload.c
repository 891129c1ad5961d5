#include "stack/link/offload.h"

#include "stack/base/checksum.h"
#include "stack/base/pieces.h"
#include "stack/base/wire.h"
#include "stack/link/virtio_net.h"

#include <string.h>

#define HEADERS_MAX 256
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define IP_AT FRAME_HDR_LEN
#define TCP_FLAGS_AT 13
#define TCP_FIN_PSH 0x09
#define TCP_CWR 0x80
#define TCP_CSUM_AT 16
#define UDP_CSUM_AT 6

bool offload_is_taken(const struct frame_offload *offload, unsigned takes)
{
	unsigned needs = 0;

	if (offload->needs_csum || offload->gso_type)
		needs |= PORT_CSUM;
	if (offload->gso_type & FRAME_GSO_ECN)
		needs |= PORT_TSO_ECN;
	switch (offload->gso_type & ~FRAME_GSO_ECN) {
	case 0:
		break;
	case FRAME_GSO_TCPV4:
		needs |= PORT_TSO4;
		break;
	case FRAME_GSO_TCPV6:
		needs |= PORT_TSO6;
		break;
	case FRAME_GSO_UDP_L4:
		needs |= PORT_USO;
		break;
	default:
		return false;
	}
	return (needs & ~takes) == 0;
}

/* A frame in work: its headers apart from its payload. */
struct work {
	uint8_t headers[HEADERS_MAX];
	size_t headers_len, l4_at, csum_at;
	bool v6, udp;
	const struct frame *frame;
	struct pieces payload; /* not yet passed on */
};

static uint16_t get_u16(const uint8_t *at)
{
	struct wire_in in = wire_in(at, 2);
	return wire_get_u16(&in);
}

/* Copies what precedes the payload, which begins 'headers_len' bytes into the frame's first piece.
 */
static bool begin(struct work *w, const struct frame *frame, size_t headers_len)
{
	if (headers_len > frame->iov[0].iov_len || headers_len > sizeof(w->headers))
		return false;
	memcpy(w->headers, frame->iov[0].iov_base, headers_len);
	w->headers_len = headers_len;
	w->frame = frame;
	w->payload = pieces_of(frame->iov, frame->len);
	w->payload.at = headers_len;
	w->payload.left -= headers_len;
	return true;
}

static void emit_work(struct work *w, struct iovec *iov, unsigned pieces_n, size_t payload_len,
		      offload_emit *emit, void *ctx)
{
	iov[0] = (struct iovec){w->headers, w->headers_len};
	struct frame frame = {.iov = iov,
			      .iov_n = pieces_n + 1,
			      .len = (uint32_t)(w->headers_len + payload_len),
			      .owner = w->frame->owner};
	emit(ctx, &frame);
}

/* The guest has put the pseudo header's sum where the checksum goes (section 5.1.6.2). */
static bool fill_checksum(const struct frame *frame, offload_emit *emit, void *ctx)
{
	size_t start = frame->offload.csum_start, at = start + frame->offload.csum_offset;
	struct iovec iov[FRAME_PIECES_MAX + 1];
	struct work w;

	if (!begin(&w, frame, at + 2))
		return false;
	size_t payload_len = w.payload.left;
	unsigned n = pieces_take(&w.payload, payload_len, iov + 1);
	struct iovec all[FRAME_PIECES_MAX + 1] = {{w.headers + start, w.headers_len - start}};
	memcpy(all + 1, iov + 1, n * sizeof(iov[0]));
	/* Maybe TCP: no harm, there 0xffff and 0 mean the same. */
	uint16_t sum = checksum_finish_udp(checksum_add_iov(0, all, n + 1));
	wire_set_u16(w.headers + at, sum);
	emit_work(&w, iov, n, payload_len, emit, ctx);
	return true;
}

/* Checks that the headers are those the marks speak of. */
static bool begin_cut(struct work *w, const struct frame *frame)
{
	const uint8_t *p = frame->iov[0].iov_base;
	size_t have = frame->iov[0].iov_len, l4 = frame->offload.csum_start, l4_len = 8;
	uint8_t type = frame->offload.gso_type & (uint8_t)~FRAME_GSO_ECN;

	w->udp = type == FRAME_GSO_UDP_L4;
	w->l4_at = l4;
	w->csum_at = w->udp ? UDP_CSUM_AT : TCP_CSUM_AT;
	if (frame->offload.gso_size == 0 || l4 < IP_AT + 20 || have < l4 + (w->udp ? 8 : 20) ||
	    frame->offload.csum_offset != w->csum_at)
		return false;
	w->v6 = get_u16(p + 12) == ETHERTYPE_IPV6;
	if (!w->v6 && (get_u16(p + 12) != ETHERTYPE_IPV4 || type == FRAME_GSO_TCPV6 ||
		       IP_AT + (size_t)(p[IP_AT] & 0xf) * 4 != l4))
		return false;
	if (w->v6 && (type == FRAME_GSO_TCPV4 || l4 < IP_AT + 40))
		return false;
	if (!w->udp)
		l4_len = (size_t)(p[l4 + 12] >> 4) * 4;
	return (w->udp || l4_len >= 20) && l4 + l4_len <= frame->len &&
	       (frame->len - l4 - l4_len) / frame->offload.gso_size < FRAME_SEGMENTS_MAX &&
	       begin(w, frame, l4 + l4_len);
}

static checksum_sum pseudo(const struct work *w, uint32_t l4_len)
{
	const uint8_t *ip = w->headers + IP_AT;
	checksum_sum sum = w->v6 ? checksum_add(0, ip + 8, 32) : checksum_add(0, ip + 12, 8);
	uint8_t rest[8] = {0, 0, (uint8_t)(l4_len >> 8), (uint8_t)l4_len, 0, 0, 0, w->udp ? 17 : 6};

	return checksum_add(sum, rest, sizeof(rest));
}

/* Lengths and checksums of one segment, whose payload is 'iov'. */
static void finish_headers(struct work *w, size_t len, const struct iovec *iov, unsigned n)
{
	uint8_t *ip = w->headers + IP_AT, *l4 = w->headers + w->l4_at;
	size_t l4_len = w->headers_len - w->l4_at + len;

	if (w->v6) {
		wire_set_u16(ip + 4, (uint16_t)(w->headers_len - IP_AT - 40 + len));
	} else {
		wire_set_u16(ip + 2, (uint16_t)(w->headers_len - IP_AT + len));
		wire_set_u16(ip + 10, 0);
		wire_set_u16(ip + 10, checksum_finish(checksum_add(0, ip, w->l4_at - IP_AT)));
	}
	if (w->udp)
		wire_set_u16(l4 + 4, (uint16_t)l4_len);
	wire_set_u16(l4 + w->csum_at, 0);
	checksum_sum sum = checksum_add(pseudo(w, (uint32_t)l4_len), l4, w->headers_len - w->l4_at);
	sum = checksum_add_iov(sum, iov, n);
	wire_set_u16(l4 + w->csum_at, w->udp ? checksum_finish_udp(sum) : checksum_finish(sum));
}

static void next_headers(struct work *w, size_t len)
{
	uint8_t *ip = w->headers + IP_AT, *l4 = w->headers + w->l4_at;

	if (!w->v6)
		wire_set_u16(ip + 4, (uint16_t)(get_u16(ip + 4) + 1));
	if (w->udp)
		return;
	struct wire_in in = wire_in(l4 + 4, 4);
	uint32_t seq = wire_get_u32(&in) + (uint32_t)len;
	wire_set_u32(l4 + 4, seq);
	l4[TCP_FLAGS_AT] &= (uint8_t)~TCP_CWR; /* RFC 3168 section 6.1.2: of the first only */
}

static bool cut(const struct frame *frame, offload_emit *emit, void *ctx)
{
	struct iovec iov[FRAME_PIECES_MAX + 1];
	struct work w;

	if (!begin_cut(&w, frame))
		return false;
	uint8_t *flags = w.headers + w.l4_at + TCP_FLAGS_AT;
	uint8_t last_flags = w.udp ? 0 : *flags & TCP_FIN_PSH;
	do {
		size_t len = w.payload.left < frame->offload.gso_size ? w.payload.left
								      : frame->offload.gso_size;
		unsigned n = pieces_take(&w.payload, len, iov + 1);
		if (!w.udp) /* what belongs to the last byte */
			*flags =
			    (uint8_t)((*flags & ~TCP_FIN_PSH) | (w.payload.left ? 0 : last_flags));
		finish_headers(&w, len, iov + 1, n);
		emit_work(&w, iov, n, len, emit, ctx);
		next_headers(&w, len);
	} while (w.payload.left);
	return true;
}

bool offload_finish(const struct frame *frame, offload_emit *emit, void *ctx)
{
	return frame->offload.gso_type ? cut(frame, emit, ctx) : fill_checksum(frame, emit, ctx);
}
