/* ICMP the gateway sends: echo replies for its own addresses, and errors. */
#ifndef LWNAT_NAT_ICMP_H
#define LWNAT_NAT_ICMP_H

#include "stack/nat/nat_priv.h"
#include "stack/nat/policy.h"

enum icmp4_type {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_ECHO = 8,
	ICMP4_TIME_EXCEEDED = 11,
};

enum icmp4_unreachable { /* RFC 792, RFC 1812 section 5.2.7.1 */
			 ICMP4_NET = 0,
			 ICMP4_HOST = 1,
			 ICMP4_PROTOCOL = 2,
			 ICMP4_PORT = 3,
			 ICMP4_FRAGMENTATION_NEEDED = 4,
			 ICMP4_ADMIN_PROHIBITED = 13,
};

/* An ICMP error about a packet the guest has sent. */
struct icmp_error {
	uint8_t type, code;
	uint32_t info;    /* bytes 4-7 of the message: next-hop MTU, else 0 */
	struct addr from; /* who says so; unspecified: the gateway */
	struct mac to_mac;
	const uint8_t *quote; /* the packet, from its IP header on; cut to what the RFCs allow */
	size_t quote_len;
};

/* IPv4. Sent to the source of the quoted packet; at most 100 a second per guest (RFC 1812
 * section 4.3.2.8). */
void icmp_send_error(struct nat *nat, struct guest *guest, const struct icmp_error *error);
/* The same about 'packet', which has just arrived, in the gateway's name. */
void icmp_answer_error(struct nat *nat, struct guest *guest, const struct packet *packet,
		       uint8_t type, uint8_t code);
/* What the guest is told when a socket answers 'err' (negative errno) to its packet: the code of an
 * ICMP unreachable, or -1 when nothing is to be said. */
int icmp_code_of_errno(int err);
/* Answers, and counts, a packet that policy does not let out; 'gateway_code' is for one to the
 * gateway itself. */
void icmp_answer_policy(struct nat *nat, struct guest *guest, const struct packet *packet,
			enum policy_verdict verdict, uint8_t gateway_code);
/* ICMP from a guest: echo to the gateway is answered here, echo to others goes to ping.c, errors
 * are dropped. */
void icmp_input(struct nat *nat, struct guest *guest, const struct packet *packet);
/* One ICMP message in one IPv4 packet, fragmented when it exceeds the MTU. 'message' needs no
 * checksum. */
struct icmp_message {
	struct addr from, to;
	struct mac to_mac;
	uint8_t ttl;
	const uint8_t *bytes;
	size_t len;
};
void icmp_send(struct nat *nat, struct guest *guest, const struct icmp_message *message);

#endif
