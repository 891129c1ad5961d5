/* Builds frames for tests, byte by byte and with right checksums, into a wire_out. A builder that
 * runs out of room leaves the wire_out bad. */
#ifndef LWNAT_TESTS_FRAMES_H
#define LWNAT_TESTS_FRAMES_H

#include "stack/base/addr.h"
#include "stack/base/wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define FRAMES_BUF_LEN 65600 /* bytes, room for the longest frame */

enum { ETHER_IPV4 = 0x0800, ETHER_ARP = 0x0806, ETHER_IPV6 = 0x86dd };
enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMP6 = 58 };
enum {
	FLAG_FIN = 0x01,
	FLAG_SYN = 0x02,
	FLAG_RST = 0x04,
	FLAG_PSH = 0x08,
	FLAG_ACK = 0x10,
	FLAG_URG = 0x20
};

/* Who sends to whom; the family is that of 'src'. */
struct frames_ends {
	struct mac src_mac, dst_mac;
	struct addr src, dst;
	uint8_t ttl; /* 0: 64 */
	uint16_t ip_id;
	bool dont_fragment;
};

struct frames_tcp {
	uint16_t src_port, dst_port;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window; /* as on the wire, unscaled */
	uint16_t urgent;
	const uint8_t *options;
	size_t options_len; /* a multiple of 4 */
};

struct frames_icmp {
	uint8_t type, code;
	uint32_t rest; /* bytes 4-7: identifier and sequence number, or unused, or MTU */
};

struct frames_arp {
	struct mac eth_src, eth_dst;
	uint16_t op; /* 1 asks, 2 answers */
	struct mac sender_mac, target_mac;
	struct addr sender, target;
};

/* A piece of a datagram; IPv6 has a Fragment header only when it is one of several. 'offset' in
 * bytes, a multiple of 8. */
struct frames_fragment {
	uint8_t proto;
	uint16_t offset;
	bool more;
};

struct frames_ports {
	uint16_t src, dst;
};

static inline struct iovec frames_bytes(const void *bytes, size_t len)
{
	return (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
}

void frames_eth(struct wire_out *out, const struct mac *dst, const struct mac *src,
		uint16_t ethertype);
/* Ethernet and IP headers for 'len' bytes of 'proto' that the caller appends. */
void frames_ip(struct wire_out *out, const struct frames_ends *ends, uint8_t proto, size_t len);
void frames_tcp(struct wire_out *out, const struct frames_ends *ends, const struct frames_tcp *tcp,
		struct iovec payload);
void frames_udp(struct wire_out *out, const struct frames_ends *ends, struct frames_ports ports,
		struct iovec payload);
void frames_icmp(struct wire_out *out, const struct frames_ends *ends,
		 const struct frames_icmp *icmp, struct iovec payload);
/* A neighbour solicitation (type 135) or advertisement (136) with the sender's MAC. */
struct frames_nd {
	uint8_t type;
	uint32_t flags; /* of an advertisement */
	struct addr target;
	struct mac mac;
};
void frames_nd(struct wire_out *out, const struct frames_ends *ends, const struct frames_nd *nd);
void frames_arp(struct wire_out *out, const struct frames_arp *arp);
void frames_fragment(struct wire_out *out, const struct frames_ends *ends,
		     const struct frames_fragment *fragment, struct iovec piece);
/* A UDP header and payload without IP around it, to be cut into fragments. */
void frames_udp_message(struct wire_out *out, const struct frames_ends *ends,
			struct frames_ports ports, struct iovec payload);

#endif
