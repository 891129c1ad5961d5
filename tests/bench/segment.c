#include "tests/bench/segment.h"

#include "stack/base/checksum.h"

#include <string.h>

enum {
	ETH_LEN = 14,
	ETHERTYPE_V4 = 0x0800,
	ETHERTYPE_V6 = 0x86dd,
	V4_LEN = 20,
	V6_LEN = 40,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	TCP_LEN = 20,
	TCP_SEQ_AT = 4,
	TCP_ACK_AT = 8,
	TCP_FLAGS_AT = 13,
	TCP_WINDOW_AT = 14,
	TCP_CHECKSUM_AT = 16,
	UDP_CHECKSUM_AT = 6,
	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_CWR = 0x80,
	MERGED_LEN_MAX = 64000,
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value);
}

static bool parse(uint8_t *frame, size_t len, struct segment *ret_seg)
{
	const uint8_t *ip = frame + ETH_LEN;
	struct segment seg = {.frame = frame, .proto = PROTO_TCP};
	size_t end;

	if (len < ETH_LEN + V4_LEN + TCP_LEN)
		return false;
	if (get16(frame + 12) == ETHERTYPE_V4) {
		if (ip[0] != 0x45 || ip[9] != PROTO_TCP || (get16(ip + 6) & 0x3fff))
			return false;
		seg.tcp_at = ETH_LEN + V4_LEN;
		end = ETH_LEN + (size_t)get16(ip + 2);
	} else if (get16(frame + 12) == ETHERTYPE_V6) {
		if (len < ETH_LEN + V6_LEN + TCP_LEN || ip[6] != PROTO_TCP)
			return false;
		seg.is_v6 = true;
		seg.tcp_at = ETH_LEN + V6_LEN;
		end = seg.tcp_at + get16(ip + 4);
	} else {
		return false;
	}
	seg.payload_at = seg.tcp_at + (size_t)(frame[seg.tcp_at + 12] >> 4) * 4;
	if (end > len || seg.payload_at < seg.tcp_at + TCP_LEN || seg.payload_at > end)
		return false;
	seg.payload_len = end - seg.payload_at;
	*ret_seg = seg;
	return true;
}

static size_t tcp_len(const struct segment *seg)
{
	return seg->payload_at - seg->tcp_at + seg->payload_len;
}

static checksum_sum pseudo_sum(const struct segment *seg)
{
	const uint8_t *ip = seg->frame + ETH_LEN;
	checksum_sum sum = seg->is_v6 ? checksum_add(0, ip + 8, 32) : checksum_add(0, ip + 12, 8);

	return sum + seg->proto + tcp_len(seg);
}

static bool checksum_is_right(const struct segment *seg)
{
	return checksum_finish(
		   checksum_add(pseudo_sum(seg), seg->frame + seg->tcp_at, tcp_len(seg))) == 0;
}

/* Lengths of the IP header for what payload_len says now. */
static void fix_ip(const struct segment *seg)
{
	uint8_t *ip = seg->frame + ETH_LEN;

	if (seg->is_v6) {
		put16(ip + 4, tcp_len(seg));
		return;
	}
	put16(ip + 2, V4_LEN + tcp_len(seg));
	put16(ip + 10, 0);
	put16(ip + 10, checksum_finish(checksum_add(0, ip, V4_LEN)));
}

void segment_complete_checksum(uint8_t *frame, size_t len, const struct virtio_net_hdr_v1 *hdr)
{
	size_t start = hdr->csum_start, field = start + hdr->csum_offset;
	uint16_t sum;

	if (!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || field + 2 > len)
		return;
	/* The field holds the pseudo header's sum. Zero would mean "none" in UDP. */
	sum = checksum_finish(checksum_add(0, frame + start, len - start));
	put16(frame + field, sum ? sum : 0xffff);
}

/* 'len' bytes of the frame are at hand, its headers at least. */
static bool transport_parse(uint8_t *frame, size_t len, struct segment *ret_seg,
			    size_t *ret_checksum_at)
{
	const uint8_t *ip = frame + ETH_LEN;
	struct segment seg = {.frame = frame};
	uint8_t proto;
	size_t end;

	if (len < ETH_LEN + V4_LEN)
		return false;
	if (get16(frame + 12) == ETHERTYPE_V4 && !(get16(ip + 6) & 0x3fff)) {
		seg.payload_at = ETH_LEN + (size_t)(ip[0] & 15) * 4;
		end = ETH_LEN + (size_t)get16(ip + 2);
		proto = ip[9];
	} else if (get16(frame + 12) == ETHERTYPE_V6 && len >= ETH_LEN + V6_LEN) {
		seg.is_v6 = true;
		seg.payload_at = ETH_LEN + V6_LEN;
		end = seg.payload_at + get16(ip + 4);
		proto = ip[6];
	} else {
		return false;
	}
	if (proto != PROTO_TCP && proto != PROTO_UDP)
		return false;
	seg.proto = proto;
	seg.tcp_at = seg.payload_at;
	seg.payload_len = end - seg.payload_at;
	*ret_checksum_at = seg.tcp_at + (proto == PROTO_TCP ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT);
	*ret_seg = seg;
	return *ret_checksum_at + 2 <= end && *ret_checksum_at + 2 <= len;
}

void segment_trust_checksum(uint8_t *frame, size_t len, struct virtio_net_hdr_v1 *hdr)
{
	struct segment seg;
	size_t checksum_at;

	if (!(hdr->flags & VIRTIO_NET_HDR_F_DATA_VALID) ||
	    hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ||
	    !transport_parse(frame, len, &seg, &checksum_at))
		return;
	put16(frame + checksum_at, (uint16_t)~checksum_finish(pseudo_sum(&seg)));
	hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->csum_start = (uint16_t)seg.tcp_at;
	hdr->csum_offset = (uint16_t)(checksum_at - seg.tcp_at);
}

bool cutter_start(struct cutter *cutter, size_t len, const struct virtio_net_hdr_v1 *hdr)
{
	if (hdr->gso_type == VIRTIO_NET_HDR_GSO_NONE || hdr->gso_size == 0 ||
	    !parse(cutter->frame, len, &cutter->seg))
		return false;
	cutter->piece_len = hdr->gso_size;
	cutter->done_len = 0;
	cutter->next_id = get16(cutter->frame + ETH_LEN + 4);
	cutter->busy = true;
	return true;
}

size_t cutter_next(struct cutter *cutter, uint8_t *out)
{
	const struct segment *whole = &cutter->seg;
	struct segment piece = *whole;
	size_t left = whole->payload_len - cutter->done_len;
	uint8_t *tcp = out + piece.tcp_at;
	bool is_last = left <= cutter->piece_len;

	piece.frame = out;
	piece.payload_len = is_last ? left : cutter->piece_len;
	memcpy(out, whole->frame, whole->payload_at);
	memcpy(out + whole->payload_at, whole->frame + whole->payload_at + cutter->done_len,
	       piece.payload_len);
	put32(tcp + TCP_SEQ_AT, get32(tcp + TCP_SEQ_AT) + (uint32_t)cutter->done_len);
	if (!is_last)
		tcp[TCP_FLAGS_AT] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (cutter->done_len)
		tcp[TCP_FLAGS_AT] &= (uint8_t)~TCP_CWR; /* RFC 3168 section 6.1.2: once */
	if (!piece.is_v6)
		put16(out + ETH_LEN + 4, cutter->next_id++);
	fix_ip(&piece);
	put16(tcp + TCP_CHECKSUM_AT, 0);
	put16(tcp + TCP_CHECKSUM_AT,
	      checksum_finish(checksum_add(pseudo_sum(&piece), tcp, tcp_len(&piece))));
	cutter->done_len += piece.payload_len;
	cutter->busy = !is_last;
	return piece.payload_at + piece.payload_len;
}

static bool same_bytes(const struct segment *a, const struct segment *b, size_t at, size_t len)
{
	return memcmp(a->frame + at, b->frame + at, len) == 0;
}

/* Nothing but sequence number, PSH, checksum and the IP id may differ. */
static bool goes_with(const struct merger *merger, const struct segment *seg)
{
	const struct segment *head = &merger->head;
	size_t tcp_at = head->tcp_at;

	return merger->n < SEGMENT_MERGE_MAX && seg->is_v6 == head->is_v6 &&
	       seg->payload_at == head->payload_at && seg->payload_len <= merger->piece_len &&
	       head->payload_len % merger->piece_len == 0 &&
	       head->payload_len + seg->payload_len <= MERGED_LEN_MAX &&
	       get32(seg->frame + tcp_at + TCP_SEQ_AT) == merger->next_seq &&
	       !(head->frame[tcp_at + TCP_FLAGS_AT] & TCP_PSH) &&
	       same_bytes(head, seg, ETH_LEN + (head->is_v6 ? 8 : 12), head->is_v6 ? 32 : 8) &&
	       same_bytes(head, seg, tcp_at, 4) && same_bytes(head, seg, tcp_at + TCP_ACK_AT, 5) &&
	       same_bytes(head, seg, tcp_at + TCP_WINDOW_AT, 2) &&
	       same_bytes(head, seg, tcp_at + TCP_LEN, head->payload_at - tcp_at - TCP_LEN);
}

bool merger_add(struct merger *merger, uint8_t *frame, size_t len,
		const struct virtio_net_hdr_v1 *hdr)
{
	struct segment seg = {.frame = frame};
	bool is_marked = hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	bool is_data = parse(frame, len, &seg) && seg.payload_len &&
		       (frame[seg.tcp_at + TCP_FLAGS_AT] | TCP_PSH) == (TCP_ACK | TCP_PSH) &&
		       seg.payload_at + seg.payload_len == len &&
		       (is_marked || checksum_is_right(&seg));

	if (merger->n && (!is_data || !merger->piece_len || !goes_with(merger, &seg)))
		return false;
	if (!merger->n) {
		merger->iov[1] = (struct iovec){frame, len};
		merger->head = seg;
		merger->hdr = *hdr;
		merger->piece_len = is_data ? seg.payload_len : 0;
		merger->next_seq = 0;
	} else {
		merger->iov[1 + merger->n] =
		    (struct iovec){frame + seg.payload_at, seg.payload_len};
		merger->head.payload_len += seg.payload_len;
		merger->head.frame[seg.tcp_at + TCP_FLAGS_AT] |= frame[seg.tcp_at + TCP_FLAGS_AT];
	}
	if (is_data)
		merger->next_seq =
		    get32(frame + seg.tcp_at + TCP_SEQ_AT) + (uint32_t)seg.payload_len;
	merger->n++;
	return true;
}

int merger_take_out(struct merger *merger)
{
	const struct segment *head = &merger->head;
	int iov_n = merger->n ? 1 + merger->n : 0;

	/* A lone frame keeps the header it came with: a mark, or a checksum for the kernel to
	 * verify.
	 */
	merger->iov[0] = (struct iovec){&merger->hdr, sizeof(merger->hdr)};
	if (merger->n > 1) {
		fix_ip(head);
		put16(head->frame + head->tcp_at + TCP_CHECKSUM_AT,
		      (uint16_t)~checksum_finish(pseudo_sum(head)));
		merger->hdr = (struct virtio_net_hdr_v1){
		    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		    .gso_type = head->is_v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
		    .hdr_len = (uint16_t)head->payload_at,
		    .gso_size = (uint16_t)merger->piece_len,
		    .csum_start = (uint16_t)head->tcp_at,
		    .csum_offset = TCP_CHECKSUM_AT,
		};
	}
	merger->n = 0;
	return iov_n;
}
