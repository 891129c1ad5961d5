/* What lwIP sends becomes Ethernet frames for a guest. A TCP segment longer than the guest's MSS
 * (our super-segments) is cut here: our GSO. */
#include "stack/nat/tcpflow.h"

#include "stack/base/checksum.h"
#include "stack/base/wire.h"
#include "stack/nat/headers.h"

#include "lwip/pbuf.h"

#define PIECES_MAX 16      /* a frame's payload in more pieces than this is copied together */
#define HEADERS_MAX 128    /* Ethernet 14, IP 40, TCP 60 */
#define TSO_LEN_MAX 65400u /* payload that fits one IP packet with any TCP header */
#define TCP_HEADER_AT(v6) (FRAME_HDR_LEN + ((v6) ? 40u : 20u))

/* A segment being cut: its headers as the first frame has them, and how far we are. */
struct cut {
	uint8_t headers[HEADERS_MAX];
	size_t headers_len;
	bool v6;
	uint32_t seq;
	uint8_t flags;
	struct addr src, dst;
	const struct pbuf *first; /* lwIP's own memory: bytes in it do not outlive the call */
	struct pbuf *at;          /* payload not yet sent begins at 'offset' in 'at' */
	uint32_t offset;
	uint32_t left; /* bytes */
};

/* The next 'len' bytes of payload as pieces; how many pieces, or 0 when they are more than
 * PIECES_MAX. */
static unsigned take_pieces(struct cut *cut, uint32_t len, struct iovec *pieces)
{
	unsigned n = 0;

	while (len) {
		uint32_t here = cut->at->len - cut->offset;
		if (here == 0) {
			cut->at = cut->at->next;
			cut->offset = 0;
			continue;
		}
		if (n == PIECES_MAX || cut->at == cut->first)
			return 0;
		if (here > len)
			here = len;
		pieces[n].iov_base = (uint8_t *)cut->at->payload + cut->offset;
		pieces[n].iov_len = here;
		n++;
		cut->offset += here;
		cut->left -= here;
		len -= here;
	}
	return n;
}

/* The same when there are too many pieces: one piece, copied together in the nat's linear buffer.
 */
static void take_copy(struct cut *cut, uint32_t len, uint8_t *ret)
{
	while (len) {
		uint32_t here = cut->at->len - cut->offset;
		if (here > len)
			here = len;
		memcpy(ret, (uint8_t *)cut->at->payload + cut->offset, here);
		ret += here;
		cut->offset += here;
		cut->left -= here;
		len -= here;
		if (len) {
			cut->at = cut->at->next;
			cut->offset = 0;
		}
	}
}

/* 'unfinished': the checksum is left at the pseudo header's sum (virtio 1.2 section 5.1.6.2). */
static void finish_headers(struct nat *nat, struct cut *cut, uint32_t len,
			   const struct iovec *pieces, unsigned n, bool unfinished)
{
	uint8_t *ip = cut->headers + FRAME_HDR_LEN;
	uint8_t *tcp = cut->headers + TCP_HEADER_AT(cut->v6);
	uint32_t tcp_len = (uint32_t)(cut->headers_len - TCP_HEADER_AT(cut->v6)) + len;
	checksum_sum sum;

	if (!cut->v6)
		wire_set_u16(ip + 6, 0x4000); /* don't fragment */
	headers_set_ip_len(ip, cut->v6, tcp_len, &nat->ip_id);
	wire_set_u32(tcp + 4, cut->seq);
	/* FIN and PSH belong to the last byte (RFC 9293 section 3.8.2). */
	tcp[13] = cut->left ? cut->flags & (uint8_t) ~(TCP_FLAG_FIN | TCP_FLAG_PSH) : cut->flags;
	wire_set_u16(tcp + 16, 0);
	sum = checksum_add_pseudo(0, &cut->src, &cut->dst, IPPROTO_NUMBER_TCP, tcp_len);
	if (unfinished) {
		wire_set_u16(tcp + 16, (uint16_t)~checksum_finish(sum));
		return;
	}
	sum = checksum_add(sum, tcp, cut->headers_len - TCP_HEADER_AT(cut->v6));
	wire_set_u16(tcp + 16, checksum_finish(checksum_add_iov(sum, pieces, n)));
}

/* The next 'len' bytes of payload as pieces behind iov[0], where the headers go. How many in all.
 */
static unsigned take_behind_headers(struct nat *nat, struct cut *cut, uint32_t len,
				    struct iovec *iov)
{
	struct cut before = *cut;
	unsigned n = take_pieces(cut, len, iov + 1);

	if (len && n == 0) {
		*cut = before;
		take_copy(cut, len, nat->linear);
		iov[1] = (struct iovec){nat->linear, len};
		n = 1;
	}
	iov[0] = (struct iovec){cut->headers, cut->headers_len};
	return n + 1;
}

/* A segment for a guest that finishes what it gets itself: whole where it cuts, too. */
static void send_unfinished(struct nat *nat, struct cut *cut, uint32_t len, uint32_t mss)
{
	struct port *port = nat->output.guest->port;
	struct iovec iov[PIECES_MAX + 1];
	struct frame frame = {.iov = iov};

	frame.iov_n = take_behind_headers(nat, cut, len, iov);
	finish_headers(nat, cut, len, iov + 1, frame.iov_n - 1, true);
	frame.len = (uint32_t)cut->headers_len + len;
	frame.offload = (struct frame_offload){
	    .needs_csum = 1, .csum_start = (uint16_t)TCP_HEADER_AT(cut->v6), .csum_offset = 16};
	if (len > mss) {
		frame.offload.gso_type = cut->v6 ? FRAME_GSO_TCPV6 : FRAME_GSO_TCPV4;
		frame.offload.gso_size = (uint16_t)mss;
	}
	port->ops->send_unfinished(port, &frame);
	cut->seq += len;
}

static void send_finished(struct nat *nat, struct cut *cut, uint32_t len)
{
	struct port *port = nat->output.guest->port;
	struct iovec iov[PIECES_MAX + 1];
	unsigned n = take_behind_headers(nat, cut, len, iov);

	finish_headers(nat, cut, len, iov + 1, n - 1, false);
	if (n == 2 && iov[1].iov_base == nat->linear) {
		/* Not to be referenced: it goes along with the headers. */
		memmove(nat->linear + cut->headers_len, nat->linear, len);
		memcpy(nat->linear, cut->headers, cut->headers_len);
		port->ops->send(port, nat->linear, cut->headers_len + len, NULL, 0);
	} else {
		port->ops->send(port, cut->headers, cut->headers_len, iov + 1, n - 1);
	}
	cut->seq += len;
}

static void skip(struct cut *cut, uint32_t len)
{
	cut->seq += len;
	cut->left -= len;
	while (len >= cut->at->len - cut->offset) {
		len -= cut->at->len - cut->offset;
		cut->at = cut->at->next;
		cut->offset = 0;
	}
	cut->offset += len;
}

/* A segment that is sent again may begin before what the guest has acknowledged: those bytes stay
 * home, and all that tcp_loss.c does not want to go now; lwIP takes them for sent. Whether there is
 * anything left to send. */
static bool trim_to_needs(struct nat *nat, struct cut *cut)
{
	struct tcpflow *tf = nat->output.flow;
	uint32_t admitted, over;
	int32_t known;

	if (!tf || !solo_is_synchronized(&tf->solo) || !cut->left)
		return true;
	known = (int32_t)(solo_lastack(&tf->solo) - cut->seq);
	if (known > 0 && (uint32_t)known >= cut->left) { /* but for its FIN */
		cut->seq += cut->left;
		cut->left = 0;
		return true;
	}
	if (known > 0)
		skip(cut, (uint32_t)known);
	admitted = tcploss_admit(nat, tf, cut->seq, cut->left, &over);
	if (admitted && over)
		skip(cut, over);
	if (admitted == cut->left)
		return true;
	cut->left = admitted;
	cut->flags &= (uint8_t)~TCP_FLAG_FIN;
	if (admitted)
		return true;
	/* The acknowledgement it carries may be due all the same. */
	cut->seq = solo_snd_nxt(&tf->solo);
	cut->flags &= (uint8_t)~TCP_FLAG_PSH;
	return solo_ack_is_due(&tf->solo);
}

/* Reads the headers lwIP has built: Ethernet is ours, IP and TCP are in the packet's first pbuf. */
static bool begin_cut(struct nat *nat, struct cut *cut, struct pbuf *packet, bool v6)
{
	size_t ip_len = v6 ? 40 : 20;
	struct wire_in in = wire_in(packet->payload, packet->len);
	const uint8_t *ip = wire_get(&in, ip_len);
	const uint8_t *tcp = wire_get(&in, 20);
	struct wire_out out = wire_out(cut->headers, sizeof(cut->headers));
	size_t tcp_len;

	if (in.bad)
		return false;
	tcp_len = (size_t)(tcp[12] >> 4) * 4;
	if (ip_len + tcp_len > packet->len)
		return false;
	headers_put_ethernet(&out, &nat->output.mac, &nat->config.mac,
			     v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
	wire_put_bytes(&out, ip, ip_len);
	wire_put_bytes(&out, tcp, tcp_len);
	cut->headers_len = wire_len(&out);
	cut->v6 = v6;
	in = wire_in(tcp + 4, 4);
	cut->seq = wire_get_u32(&in);
	cut->flags = tcp[13];
	if (v6) {
		memcpy(cut->src.b, ip + 8, 16);
		memcpy(cut->dst.b, ip + 24, 16);
	} else {
		in = wire_in(ip + 12, 8);
		cut->src = addr_v4(wire_get_u32(&in));
		cut->dst = addr_v4(wire_get_u32(&in));
	}
	cut->first = packet;
	cut->at = packet;
	cut->offset = (uint32_t)(ip_len + tcp_len);
	cut->left = packet->tot_len - (uint32_t)(ip_len + tcp_len);
	return !out.bad;
}

/* The most that the guest takes in one frame: all that lwIP sends at once, whether it is whole
 * segments of the guest's or not, for the last may be short. Never less than one segment, which a
 * large MTU makes longer than what fits below any header. */
static uint32_t unfinished_len_max(const struct nat *nat, const struct cut *cut, uint32_t mss)
{
	unsigned takes = nat->output.guest->port->takes;

	return takes & (cut->v6 ? PORT_TSO6 : PORT_TSO4) && mss && mss < TSO_LEN_MAX ? TSO_LEN_MAX
										     : mss;
}

static void send_tcp(struct nat *nat, struct pbuf *packet, bool v6)
{
	struct tcpflow *tf = nat->output.flow;
	struct cut cut;
	uint32_t mss, len_max;
	bool unfinished;

	if (!begin_cut(nat, &cut, packet, v6))
		return;
	mss = tf && tf->mss ? tf->mss : cut.left;
	if (!trim_to_needs(nat, &cut))
		return;
	unfinished = nat->output.guest->port->takes & PORT_CSUM;
	len_max = unfinished ? unfinished_len_max(nat, &cut, mss) : mss;
	do {
		uint32_t len = cut.left < len_max ? cut.left : len_max;
		if (unfinished)
			send_unfinished(nat, &cut, len, mss);
		else
			send_finished(nat, &cut, len);
		if (tf)
			tf->flow.meter.packets_to_guest++;
	} while (cut.left);
}

static bool is_lent(const struct nat *nat, const struct pbuf *p)
{
	const uint8_t *base = nat->output.lent.iov_base;
	const uint8_t *at = p->payload;

	return base && at >= base && at + p->len <= base + nat->output.lent.iov_len;
}

/* UDP and fragments: as lwIP made them. Its headers are gone when it returns: they are copied, the
 * payload is not. */
static void send_whole(struct nat *nat, struct pbuf *packet, bool v6)
{
	struct port *port = nat->output.guest->port;
	uint8_t headers[HEADERS_MAX];
	struct wire_out out = wire_out(headers, sizeof(headers));
	struct iovec pieces[PIECES_MAX];
	unsigned n = 0;

	headers_put_ethernet(&out, &nat->output.mac, &nat->config.mac,
			     v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
	for (struct pbuf *p = packet; p; p = p->next) {
		if (is_lent(nat, p) && n < PIECES_MAX)
			pieces[n++] = (struct iovec){p->payload, p->len};
		else if (n == 0)
			wire_put_bytes(&out, p->payload, p->len);
		else
			out.bad = true;
	}
	if (!out.bad)
		port->ops->send(port, headers, wire_len(&out), pieces, n);
	else
		nat->counters.dropped_memory++;
}

static uint8_t protocol_of(const struct pbuf *packet, bool v6)
{
	struct wire_in in = wire_in(packet->payload, packet->len);

	wire_skip(&in, v6 ? 6 : 9);
	return wire_get_u8(&in);
}

void tcpout_packet(void *ctx, struct pbuf *packet, bool v6)
{
	struct nat *nat = ctx;

	if (!nat->output.guest)
		return;
	if (protocol_of(packet, v6) == IPPROTO_NUMBER_TCP)
		send_tcp(nat, packet, v6);
	else
		send_whole(nat, packet, v6);
}
