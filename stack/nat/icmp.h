/* ICMP and ICMPv6 of the gateway: echo for its own addresses, and errors in the words of either
 * family. */
#ifndef LWNAT_NAT_ICMP_H
#define LWNAT_NAT_ICMP_H

#include "stack/nat/nat_priv.h"
#include "stack/nat/policy.h"

enum icmp4_type {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_ECHO = 8,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAMETER_PROBLEM = 12,
};

enum icmp6_type { /* RFC 4443: below 128 are errors */
		  ICMP6_UNREACHABLE = 1,
		  ICMP6_TOO_BIG = 2,
		  ICMP6_TIME_EXCEEDED = 3,
		  ICMP6_PARAMETER_PROBLEM = 4,
		  ICMP6_ECHO = 128,
		  ICMP6_ECHO_REPLY = 129,
};

/* What is wrong with a packet; icmp.c knows type and code of each in both families. */
enum icmp_reason {
	ICMP_NO_REASON, /* nothing is to be said */
	ICMP_NO_ROUTE,
	ICMP_HOST_UNREACHABLE,
	ICMP_NO_PROTOCOL,
	ICMP_NO_PORT,
	ICMP_PROHIBITED,
	ICMP_BEYOND_SCOPE, /* IPv6: a link-local source, and a destination beyond the link */
	ICMP_TTL_EXCEEDED,
	/* IPv6 only: 'info' is the offset of what is wrong. */
	ICMP_BAD_FIELD,
	ICMP_BAD_OPTION,
	ICMP_REASONS,
};

/* An ICMP error about a packet the guest has sent. Its family is that of the packet. */
struct icmp_error {
	uint8_t type, code;
	uint32_t info;    /* bytes 4-7 of the message: next-hop MTU, pointer, else 0 */
	struct addr from; /* who says so; unspecified: the gateway */
	struct mac to_mac;
	const uint8_t *quote; /* the packet, from its IP header on; cut to what the RFCs allow */
	size_t quote_len;
};

/* Sent to the source of the quoted packet; at most 100 a second per guest (RFC 1812 section
 * 4.3.2.8, RFC 4443 section 2.4 (f)). */
void icmp_send_error(struct nat *nat, struct guest *guest, const struct icmp_error *error);
/* Type and code for 'reason' in the family asked for. */
void icmp_error_set(struct icmp_error *error, bool v6, enum icmp_reason reason);
/* The error about 'packet', which has just arrived, in the gateway's name; none where the RFCs
 * forbid one. */
void icmp_answer_error(struct nat *nat, struct guest *guest, const struct packet *packet,
		       enum icmp_reason reason);
/* The same with bytes 4-7. */
void icmp_answer_error_at(struct nat *nat, struct guest *guest, const struct packet *packet,
			  enum icmp_reason reason, uint32_t info);
/* What the guest is told when a socket answers 'err' (negative errno) to its packet. */
enum icmp_reason icmp_reason_of_errno(int err);
/* Answers, and counts, a packet that policy does not let out; 'gateway_reason' is for one to the
 * gateway itself. */
void icmp_answer_policy(struct nat *nat, struct guest *guest, const struct packet *packet,
			enum policy_verdict verdict, enum icmp_reason gateway_reason);
/* ICMP or ICMPv6 from a guest, but for neighbour discovery: echo to the gateway is answered here,
 * echo to others goes to ping.c, errors to icmp_guest.c. */
void icmp_input(struct nat *nat, struct guest *guest, const struct packet *packet);
/* icmp_guest.c: an error from a guest about a packet of ours. false: about nothing that is under
 * way. */
bool icmp_error_input(struct nat *nat, struct guest *guest, const struct packet *packet);
/* One message in one packet of its addresses' family, fragmented when it exceeds the MTU. 'bytes'
 * need no checksum. */
struct icmp_message {
	struct addr from, to;
	struct mac to_mac;
	uint8_t ttl;
	const uint8_t *bytes;
	size_t len;
};
void icmp_send(struct nat *nat, struct guest *guest, const struct icmp_message *message);

#endif
