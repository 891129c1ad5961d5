/* Datagrams as frames for a guest. Those that fit the MTU are made here, as little finished as the
 * guest allows; lwIP makes fragments of the others. */
#include "stack/nat/dgflow.h"

#include "stack/base/checksum.h"
#include "stack/nat/headers.h"
#include "stack/nat/ip_lwip.h"

#define UDP_HEADER_LEN 8
#define UDP_CSUM_AT 6
#define IP_HEADER_LEN(v6) ((v6) ? 40u : 20u)
#define HEADERS_MAX (FRAME_HDR_LEN + 40 + UDP_HEADER_LEN)
#define TTL 255            /* as lwIP gives its datagrams */
#define PAYLOAD_MAX 65507u /* of one IPv4 packet, whether it is one datagram or to be cut */

struct headers {
	uint8_t bytes[HEADERS_MAX];
	size_t len;
	bool v6;
	checksum_sum pseudo; /* of the pseudo header but for the length */
};

static void begin(struct headers *h, const struct nat *nat, const struct endpoint *from,
		  const struct endpoint *to)
{
	struct headers_ends ends = {&nat->output.mac, &nat->config.mac, &from->addr, &to->addr};
	struct wire_out out = wire_out(h->bytes, sizeof(h->bytes));

	h->v6 = !addr_is_v4(&to->addr);
	headers_put_ip(&out, &ends, IPPROTO_NUMBER_UDP, TTL);
	wire_put_u16(&out, from->port);
	wire_put_u16(&out, to->port);
	wire_put_u32(&out, 0); /* length, checksum */
	h->len = wire_len(&out);
	h->pseudo = checksum_add_pseudo(0, &from->addr, &to->addr, IPPROTO_NUMBER_UDP, 0);
}

static void put_lengths(struct headers *h, struct nat *nat, size_t udp_len)
{
	wire_set_u16(h->bytes + h->len - UDP_HEADER_LEN + 4, (uint16_t)udp_len);
	headers_set_ip_len(h->bytes + FRAME_HDR_LEN, h->v6, udp_len, &nat->ip_id);
}

/* The guest finishes it: the checksum is left at the pseudo header's sum, and what is longer than
 * 'segment' it takes apart (virtio 1.2 section 5.1.6.2). */
static void send_unfinished(struct headers *h, struct nat *nat, const struct iovec *payload,
			    uint16_t segment)
{
	struct port *port = nat->output.guest->port;
	size_t udp_at = h->len - UDP_HEADER_LEN, udp_len = UDP_HEADER_LEN + payload->iov_len;
	struct iovec iov[2] = {{h->bytes, h->len}, *payload};
	struct frame frame = {.iov = iov,
			      .iov_n = payload->iov_len ? 2 : 1,
			      .len = (uint32_t)(h->len + payload->iov_len)};

	put_lengths(h, nat, udp_len);
	wire_set_u16(h->bytes + udp_at + UDP_CSUM_AT,
		     (uint16_t)~checksum_finish(h->pseudo + udp_len));
	frame.offload = (struct frame_offload){
	    .needs_csum = 1, .csum_start = (uint16_t)udp_at, .csum_offset = UDP_CSUM_AT};
	if (segment && payload->iov_len > segment) {
		frame.offload.gso_type = FRAME_GSO_UDP_L4;
		frame.offload.gso_size = segment;
	}
	port->ops->send_unfinished(port, &frame);
}

static void send_finished(struct headers *h, struct nat *nat, const struct iovec *payload)
{
	struct port *port = nat->output.guest->port;
	uint8_t *udp = h->bytes + h->len - UDP_HEADER_LEN;
	size_t udp_len = UDP_HEADER_LEN + payload->iov_len;
	checksum_sum sum;

	put_lengths(h, nat, udp_len);
	wire_set_u16(udp + UDP_CSUM_AT, 0);
	sum = checksum_add(h->pseudo + udp_len, udp, UDP_HEADER_LEN);
	sum = checksum_add(sum, payload->iov_base, payload->iov_len);
	wire_set_u16(udp + UDP_CSUM_AT, checksum_finish_udp(sum));
	port->ops->send(port, h->bytes, h->len, payload, payload->iov_len ? 1 : 0);
}

void udpout_pass(struct nat *nat, const struct endpoint *from, const struct endpoint *to,
		 const struct iovec *payload, uint16_t segment)
{
	bool unfinished = nat->output.guest->port->takes & PORT_CSUM;
	bool large = nat->output.guest->port->takes & PORT_USO && payload->iov_len <= PAYLOAD_MAX;
	struct iovec left = *payload;
	struct headers headers;
	size_t room;

	begin(&headers, nat, from, to);
	room = nat->config.mtu - IP_HEADER_LEN(headers.v6) - UDP_HEADER_LEN;
	do {
		struct iovec one = left;

		if (segment && one.iov_len > segment && !(large && segment <= room))
			one.iov_len = segment;
		if (one.iov_len > room && (!segment || segment > room))
			iplwip_udp_send(nat, from, to, &one);
		else if (unfinished)
			send_unfinished(&headers, nat, &one, segment);
		else
			send_finished(&headers, nat, &one);
		left.iov_base = (uint8_t *)left.iov_base + one.iov_len;
		left.iov_len -= one.iov_len;
	} while (left.iov_len);
}
