/* A guest as a state machine: frames in, frames out, time as a number. It speaks IPv4 with ARP or
 * IPv6 with ND (as its address is), TCP, UDP, echo and enough DHCP for a lease, checks every frame
 * that it gets as strictly as it can, and counts what a kernel would only have suffered in silence.
 * It answers nothing from inside guestsim_input(): frames leave from guestsim_run() and from calls
 * that send. */
#ifndef LWNAT_TESTS_GUESTSIM_H
#define LWNAT_TESTS_GUESTSIM_H

#include "stack/base/addr.h"
#include "tests/support/packet.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct guestsim;

struct guestsim_config {
	struct mac mac;
	struct addr addr; /* unspecified until a lease is there */
	struct subnet net;
	struct addr gateway;
	uint16_t mtu;      /* of IP packets, both ways */
	char hostname[32]; /* told to DHCP; "": none */
	uint64_t seed;
	void (*send)(void *ctx, const uint8_t *frame, size_t len);
	void *ctx;
};

/* What the peer did wrong, or a test must know of. A clean run has zero in all of 'faults'. */
struct guestsim_faults {
	uint32_t malformed;     /* packet_parse() objects; see guestsim_fault_text() */
	uint32_t wrong_mac;     /* not for us, or not from the gateway or a known neighbour */
	uint32_t wrong_addr;    /* IP destination is not ours */
	uint32_t oversize;      /* longer than the MTU */
	uint32_t beyond_window; /* TCP data to the right of what we ever offered */
	uint32_t beyond_mss;
	uint32_t mismatch;      /* TCP data that is not the pattern's */
	uint32_t bad_ack;       /* acknowledges what we never sent */
	uint32_t bad_reset;     /* RST that RFC 9293 section 3.10.7 tells a receiver to ignore */
	uint32_t window_shrunk; /* a window's right edge moved left */
};

struct guestsim_counters {
	uint64_t frames_in, frames_out;
	uint64_t unknown_segments;                /* TCP for no connection: answered by RST */
	uint64_t arp_answers_in, arp_requests_in; /* or neighbour advertisements, solicitations */
	uint64_t resets_out;
};

struct guestsim_datagram {
	struct guestsim_datagram *next;
	struct endpoint from, to;
	struct mac src_mac;
	uint8_t ttl;
	size_t len;
	uint8_t bytes[];
};

struct guestsim_icmp {
	struct guestsim_icmp *next;
	struct addr from, to;
	struct mac src_mac;
	uint8_t type, code;
	uint32_t rest;
	size_t len;
	uint8_t bytes[];
};

struct guestsim *guestsim_new(const struct guestsim_config *config);
void guestsim_free(struct guestsim *sim);

void guestsim_input(struct guestsim *sim, const uint8_t *frame, size_t len, uint64_t now_ms);
/* Sends what the input and the test's wishes made due. */
void guestsim_run(struct guestsim *sim, uint64_t now_ms);
uint64_t guestsim_next_ms(const struct guestsim *sim, uint64_t now_ms);
void guestsim_tick(struct guestsim *sim, uint64_t now_ms);

struct guestsim_faults *guestsim_faults(struct guestsim *sim);
uint32_t guestsim_faults_sum(struct guestsim *sim);
const char *guestsim_fault_text(struct guestsim *sim); /* of the first fault, for messages */
const struct guestsim_counters *guestsim_counters(const struct guestsim *sim);
const struct guestsim_config *guestsim_config(const struct guestsim *sim);

/* Neighbours. An IP packet whose next hop is unknown is replaced by an ARP request and lost. */
void guestsim_neighbour_set(struct guestsim *sim, const struct addr *addr, const struct mac *mac);
bool guestsim_neighbour(const struct guestsim *sim, const struct addr *addr, struct mac *ret);
void guestsim_arp_ask(struct guestsim *sim, const struct addr *addr);
void guestsim_set_arp_silent(struct guestsim *sim, bool silent); /* answers no ARP */

void guestsim_udp_send(struct guestsim *sim, uint16_t port, const struct endpoint *to,
		       struct iovec payload);
/* The oldest received datagram, to be given to free(); NULL when there is none. */
struct guestsim_datagram *guestsim_udp_pop(struct guestsim *sim);
void guestsim_ping(struct guestsim *sim, const struct addr *to, uint32_t id_and_seq,
		   struct iovec payload);
void guestsim_set_ttl(struct guestsim *sim, uint8_t ttl); /* of UDP and ICMP sent; 0 means 64 */
struct guestsim_icmp *guestsim_icmp_pop(struct guestsim *sim);

void guestsim_set_mtu(struct guestsim *sim, uint16_t mtu);
/* Asks for a lease; guestsim_config() has the address when it is there. */
void guestsim_dhcp_start(struct guestsim *sim);
struct guestsim_lease {
	bool acked;
	struct addr addr, server, router, dns;
	uint32_t lease_s;
	uint16_t mtu;
};
const struct guestsim_lease *guestsim_lease(const struct guestsim *sim);

/* For the modules that make up the guest (guestsim_tcp.c), and for tests that send odd segments. */
bool guestsim_next_hop(struct guestsim *sim, const struct addr *dst, struct mac *ret);
void guestsim_send_frame(struct guestsim *sim, const uint8_t *frame, size_t len);
void guestsim_send_later(struct guestsim *sim, const uint8_t *frame, size_t len);
struct guestsim_counters *guestsim_counters_mutable(struct guestsim *sim);
void guestsim_note_fault(struct guestsim *sim, uint32_t *counter, const char *text);
struct sim_tcp_table *guestsim_tcp_table(struct guestsim *sim);

#endif
