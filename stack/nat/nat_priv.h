/* What the files of stack/nat share: the nat itself and its record of a guest. */
#ifndef LWNAT_NAT_NAT_PRIV_H
#define LWNAT_NAT_NAT_PRIV_H

#include "stack/base/list.h"
#include "stack/base/log.h"
#include "stack/nat/block.h"
#include "stack/nat/flow.h"
#include "stack/nat/nat.h"
#include "stack/nat/neighbour.h"
#include "stack/nat/packet.h"
#include "stack/nat/port/reass.h"
#include "stack/nat/solo.h"

#define GUEST_PINGS_MAX 16 /* under way at once */
#define NAT_UDP_SERVICES_MAX 16
#define NAT_TCP_SERVICES_MAX 96
#define NAT_LINEAR_LEN FRAME_LEN_MAX

struct tcpflow;

enum guest_stands { GUEST_RUNS, GUEST_MAY_STAND, GUEST_STANDS_STILL };

/* One attached NIC. Lives from nat_port_add() to nat_port_remove(), hung on port->nat_data. */
struct guest {
	struct port *port;
	struct list link; /* in nat->guests */
	/* struct flow.guest_link; UDP and ping: longest unused first */
	struct list flows[FLOW_KINDS];
	uint32_t flows_n[FLOW_KINDS];
	uint32_t handles_n;
	struct list connecting; /* struct tcpflow.connecting_link, oldest first */
	uint32_t connecting_n;
	struct list stalled; /* struct tcpflow.work_link: wait for the port to take frames */
	struct list paused;  /* struct tcpflow.tick_link: their timers stand still while the port is
				blocked */
	struct list stalled_datagrams; /* struct dgflow.work_link, likewise */
	size_t queued_to_host;         /* bytes received and not yet taken by host peers */
	size_t held_for_guest; /* capacity of the blocks that wait for its acknowledgements */
	/* Of the latest segment: bulk traffic needs no look-up. May be NULL. */
	struct tcpflow *last_tcp;
	uint64_t icmp_error_window_ms; /* start of the second in which 'icmp_errors' were sent */
	uint32_t icmp_errors;
	uint64_t stands_asked_ms;    /* when port_ops.stands_still() was asked last, ... */
	enum guest_stands stands;    /* ... and what came of it */
	struct reass reass4, reass6; /* fragments of what has not come whole yet */
	struct addr arp_asked;       /* the foreign address asked for last (arp.c) */
	struct addr nd_asked;        /* likewise (nd.c) */
};

/* A ping of ping_guest.c's. */
struct guest_ping {
	int number; /* 0: free */
	struct nat_guest_ping ping;
	uint16_t identifier;
	bool sent;
	uint64_t ask_ms; /* when to ask for the neighbour again */
	uint64_t end_ms;
};

struct nat_udp_service_row {
	uint16_t port;
	bool dns_only;
	nat_udp_claims *claims; /* instead of 'port'; or NULL */
	nat_udp_service *handler;
	void *ctx;
};

struct nat_tcp_service_row {
	struct addr at; /* unspecified: on the gateway's address and the DNS address */
	uint16_t port;
	bool dns_only;
	unsigned service;
};

/* Where frames that lwIP makes are going; set around each call into it. */
struct nat_output {
	struct guest *guest; /* NULL: drop them */
	struct mac mac;
	struct tcpflow *flow; /* whose segments these are, or NULL */
	/* Payload that stays put until the port is flushed; all else is lwIP's. */
	struct iovec lent;
};

struct nat {
	struct nat_config config;
	struct nat_counters counters;
	uint64_t now_ms;
	uint32_t turn; /* counts nat_run() */
	struct list guests;
	struct flow_table *flows;
	uint32_t handles_n; /* flows that hold a host handle: what the limits count */
	struct neighbour_table *neighbours;
	struct solo_engine *engine;
	struct udp_pcb *udp_pcb; /* the one pcb through which all UDP passes (lwip_udp.c) */
	struct nat_output output;
	struct block_pool blocks;

	struct list dirty;        /* struct tcpflow.work_link: have work in this turn */
	struct list starved;      /* struct tcpflow.work_link: wait for blocks of the pool */
	uint32_t long_reads_left; /* bytes that this turn may read beyond what all flows get */
	struct list merging;      /* struct tcpflow.merge_link: hold a merged segment for lwIP */
	struct list ticking;      /* struct tcpflow.tick_link: need lwIP's timers */
	/* struct nat_attempt.link: neighbour not known yet; not yet answered; outcome not yet told
	 * (tcp_inbound.c) */
	struct list waiting, opening, ended;
	unsigned waiting_n, attempts_n;
	struct list forwards;          /* struct nat_forward.link */
	struct list waiting_datagrams; /* struct waiting_datagram.link (udp_inbound.c) */
	unsigned waiting_datagrams_n;
	struct list datagrams_dirty;                  /* struct dgflow.work_link */
	struct list age_short, age_long, age_service; /* struct flow.age_link by life time */
	struct list time_wait;                        /* struct tcpflow.wait_link: oldest first */
	uint32_t time_wait_n;
	uint64_t tick_ms;       /* when the last TCP tick was due */
	uint64_t reassembly_ms; /* next second tick of IP reassembly; 0: nothing pending */

	struct nat_udp_service_row udp_services[NAT_UDP_SERVICES_MAX];
	unsigned udp_services_n;
	struct nat_tcp_service_row tcp_services[NAT_TCP_SERVICES_MAX];
	unsigned tcp_services_n;
	unsigned inbound_udp_n; /* mappings that use a forward's socket: the second look-up is for
				   them only */

	struct guest_ping guest_pings[GUEST_PINGS_MAX]; /* ping_guest.c */
	unsigned guest_pings_n;

	struct log_limit log_ping_forbidden;
	uint16_t ip_id;
	uint8_t linear[NAT_LINEAR_LEN]; /* frames in several pieces, and payload in too many */
};

/* nat.c */
/* Enters a flow into table and guest, within all limits. 0 or -ENOSPC/-ENOMEM (counted). */
int nat_flow_add(struct nat *nat, struct guest *guest, struct flow *flow);
void nat_flow_remove(struct nat *nat, struct flow *flow); /* its handle must be closed */
void nat_flow_set_handle(struct nat *nat, struct flow *flow, int handle);
void nat_flow_drop_handle(struct nat *nat, struct flow *flow);
/* Asks on every port who has 'addr', by ARP or neighbour solicitation. */
void nat_ask(struct nat *nat, const struct addr *addr);
/* An address is at this MAC and port: remembered, and told to those who wait for it. */
void nat_learn(struct nat *nat, const struct addr *addr, const struct mac *mac,
	       struct guest *guest);

#endif
