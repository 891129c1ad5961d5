/* Flows without a connection: UDP mappings and pings. A mapping belongs to a guest's (address,
 * port) and serves all peers (endpoint-independent, RFC 4787 section 4.1); a ping flow to a guest's
 * (address, identifier). Both expire. */
#ifndef LWNAT_NAT_DGFLOW_H
#define LWNAT_NAT_DGFLOW_H

#include "stack/base/wire.h"
#include "stack/nat/nat_priv.h"

struct dgflow {
	struct flow flow;          /* first: flows are found as this */
	struct mac mac;            /* the guest's */
	uint8_t batch;             /* datagrams to receive at once: fewer of large ones */
	struct list work_link;     /* on nat->datagrams_dirty, guest->stalled_datagrams, or none */
	bool two_way;              /* something has come back: it may live longer */
	bool borrowed;             /* the handle is a forward's: never closed, never read here */
	struct endpoint host_peer; /* borrowed: the one peer, as the host knows it */
};

/* Enters a new flow with a fresh handle of its kind, or with a borrowed one (borrowed >= 0). Makes
 * room by dropping the guest's longest idle flow of that kind. NULL with the reason in *ret_err. */
struct dgflow *dgflow_new(struct nat *nat, struct guest *guest, const struct flow_key *key,
			  int borrowed, int *ret_err);
void dgflow_end(struct nat *nat, struct dgflow *dg);
/* It has just carried a datagram. 'service': a short question-and-answer protocol (DNS, NTP). */
void dgflow_used(struct nat *nat, struct dgflow *dg, bool service);
void dgflow_host_event(struct nat *nat, struct dgflow *dg);
void dgflow_run(struct nat *nat); /* reads what hosts have for guests */
void dgflow_tick(struct nat *nat);
uint64_t dgflow_next_ms(const struct nat *nat);
void dgflow_port_writable(struct nat *nat, struct guest *guest);

/* The host did not take what 'packet' held: the guest is told why, unless it was a full queue. */
void dgflow_send_failed(struct nat *nat, struct guest *guest, const struct packet *packet, int err);

/* udp.c */
void udp_flow_input(struct nat *nat, struct guest *guest, const struct packet *packet);
/* The same for a frame in pieces, of which 'packet' has the headers. False: nothing has been done,
 * and the frame is wanted in one piece. */
bool udp_flow_input_pieces(struct nat *nat, struct guest *guest, const struct packet *packet,
			   const struct frame *frame);
void udp_flow_received(struct nat *nat, struct dgflow *dg, const struct host_datagram *datagram);
/* To the guest, as from 'from': one datagram, or as many of 'segment' bytes; the bytes are referred
 * to until the port is flushed. */
void udp_flow_pass(struct nat *nat, struct dgflow *dg, const struct endpoint *from,
		   const struct iovec *payload, uint16_t segment);
/* udp_out.c: the same, to nat->output.guest. */
void udpout_pass(struct nat *nat, const struct endpoint *from, const struct endpoint *to,
		 const struct iovec *payload, uint16_t segment);
/* udp_inbound.c */
void udpinbound_neighbour_known(struct nat *nat,
				const struct addr *addr); /* those that wait for it go on */
void udpinbound_tick(struct nat *nat);
uint64_t udpinbound_next_ms(const struct nat *nat);
void udpinbound_drop_all(struct nat *nat);
void udpinbound_drop_waiting_of(struct nat *nat, int handle);
/* ping.c */
void ping_request(struct nat *nat, struct guest *guest, const struct packet *packet);
void ping_received(struct nat *nat, struct dgflow *dg, const struct host_datagram *datagram);
/* An ICMP error from the host about something this flow has sent: passed on, quoting
 * what the guest had sent: 'l4', from its UDP or ICMP header on. */
void dgflow_pass_error(struct nat *nat, struct dgflow *dg, const struct host_datagram *error,
		       const struct wire_out *l4);

#endif
