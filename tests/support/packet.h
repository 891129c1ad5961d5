/* Takes one frame apart and checks everything that a strict receiver would: lengths, IP, TCP, UDP
 * and ICMP checksums, TCP options. */
#ifndef LWNAT_TESTS_PACKET_H
#define LWNAT_TESTS_PACKET_H

#include "stack/base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum packet_kind {
	PACKET_OTHER,
	PACKET_ARP,
	PACKET_TCP,
	PACKET_UDP,
	PACKET_ICMP,
	PACKET_FRAGMENT, /* 'payload' is the piece of the IP payload */
};

struct packet {
	const char *fault; /* NULL, or what is wrong: the rest is then unfinished */
	enum packet_kind kind;
	struct mac src_mac, dst_mac;
	uint16_t ethertype;
	struct addr src, dst; /* ARP: sender's and target's protocol addresses */
	uint8_t ttl, proto;
	uint16_t ip_id, ip_len;
	bool dont_fragment, more_fragments;
	uint16_t fragment_offset; /* bytes */
	uint16_t arp_op;
	struct mac arp_sender_mac, arp_target_mac;
	uint16_t src_port, dst_port; /* TCP, UDP */
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window, urgent;
	uint16_t mss; /* option's value, 0 when absent */
	int wscale;   /* option's value, -1 when absent */
	bool timestamps, sack_permitted;
	uint8_t icmp_type, icmp_code;
	uint32_t icmp_rest;
	const uint8_t *payload; /* points into the frame */
	size_t payload_len;
};

void packet_parse(struct packet *ret, const void *frame, size_t len);
/* A complete IP payload (reassembled): 'ret' has the IP fields already. */
void packet_parse_payload(struct packet *ret, const uint8_t *bytes, size_t len);
/* The IP packet quoted in an ICMP error, cut short as it may be: addresses, protocol, ports and
 * TCP sequence number. */
void packet_parse_quoted(struct packet *ret, const uint8_t *bytes, size_t len);

#endif
