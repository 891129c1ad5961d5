/* What the gateway reads from a guest's frame before it decides anything: Ethernet and IP headers,
 * every length checked against the buffer. Pure, no lwIP. */
#ifndef LWNAT_NAT_PACKET_H
#define LWNAT_NAT_PACKET_H

#include "stack/base/addr.h"
#include "stack/base/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_IPV6 0x86dd

#define IPPROTO_NUMBER_ICMP 1
#define IPPROTO_NUMBER_TCP 6
#define IPPROTO_NUMBER_UDP 17
#define IPPROTO_NUMBER_ICMPV6 58

/* What an IPv6 packet's headers forbid to pass it on (RFC 8200 section 4). */
enum packet_problem {
	PACKET_NO_PROBLEM,
	PACKET_BAD_FIELD,
	PACKET_BAD_NEXT_HEADER,
	PACKET_BAD_OPTION,
};

struct packet {
	struct mac dst_mac, src_mac;
	uint16_t ethertype;
	/* What follows is set for IP only. */
	struct addr src, dst;
	uint8_t proto; /* IPv4 protocol or IPv6 next header */
	uint8_t ttl;   /* or hop limit */
	bool v6;
	bool fragment; /* one piece of a larger datagram: 'l4' is not a header; IPv6: 'l4' is the
			  Fragment header */
	bool dont_fragment;
	/* IPv6 only. With a problem, 'l4' is where reading ended. */
	enum packet_problem problem;
	uint16_t problem_at;     /* bytes from the IP header to what is wrong */
	uint16_t next_header_at; /* likewise to the field that 'proto' comes from */
	const uint8_t
	    *ip; /* the IP header; 'ip_len' bytes to the end of the IP packet, padding cut off */
	size_t ip_len;
	const uint8_t *l4;
	size_t l4_len;
	uint16_t segment; /* UDP: the payload is datagrams of this many bytes each, the last one
			     as long or shorter, and none of this is read from the bytes; 0: one */
	struct frame_owner *owner; /* of the bytes; NULL: they must be copied to be kept */
};

enum packet_verdict {
	PACKET_OK,
	PACKET_MALFORMED,
	PACKET_OTHER /* an ethertype we do not speak */
};

/* Reads the Ethernet header of a frame whose bytes are in one piece, and what is above it. */
enum packet_verdict packet_read(struct packet *ret, const uint8_t *bytes, size_t len);
/* True when these bytes, the beginning of a frame, hold all headers of an unfragmented TCP segment:
 * of such a frame packet_read() and packet_read_tcp() look at nothing else. */
bool packet_has_tcp_headers(const uint8_t *bytes, size_t len);
/* The same of a UDP datagram. */
bool packet_has_udp_headers(const uint8_t *bytes, size_t len);
/* Reads from an IPv4 or IPv6 header on; the Ethernet part of 'ret' stays as it is. */
enum packet_verdict packet_read_ip(struct packet *ret, const uint8_t *bytes, size_t len);

/* A TCP header's fields, in host order, and the options that matter (RFC 9293 section 3.2, RFC
 * 7323). */
struct tcp_segment {
	uint16_t src_port, dst_port;
	uint32_t seq, ack;
	uint8_t flags; /* TCP_FLAG_* */
	uint16_t window;
	uint16_t mss; /* 0: no such option */
	bool has_wscale;
	uint8_t wscale;
	const uint8_t *data;
	uint16_t data_len;
	/* Where the data goes on when the frame came in pieces; else rest_n is 0. */
	const struct iovec *rest;
	unsigned rest_n;
};

enum tcp_flag {
	TCP_FLAG_FIN = 0x01,
	TCP_FLAG_SYN = 0x02,
	TCP_FLAG_RST = 0x04,
	TCP_FLAG_PSH = 0x08,
	TCP_FLAG_ACK = 0x10,
	TCP_FLAG_URG = 0x20,
};

/* Options are read for SYNs only. PACKET_MALFORMED for a header that does not fit or a port 0;
 * options that are broken are read up to where they break. */
enum packet_verdict packet_read_tcp(struct tcp_segment *ret, const struct packet *packet);

struct udp_datagram {
	uint16_t src_port, dst_port;
	const uint8_t *data;
	size_t data_len;
	/* Where the data goes on when the frame came in pieces; else rest_n is 0. */
	const struct iovec *rest;
	unsigned rest_n;
};
enum packet_verdict packet_read_udp(struct udp_datagram *ret, const struct packet *packet);

#endif
