/* The gateway: everything between guests' frames and host sockets. TCP through lwIP (one connection
 * at a time, see stack/README.md), UDP, ping, ARP, ICMP, the flow table, limits and policy. A
 * function of (state, frames, host events, time): no socket, no clock, no libuv here. One instance
 * per process, because lwIP is one per process. */
#ifndef LWNAT_NAT_NAT_H
#define LWNAT_NAT_NAT_H

#include "stack/base/addr.h"
#include "stack/base/frame.h"
#include "stack/base/port.h"
#include "stack/base/rng.h"
#include "stack/nat/host_ops.h"

#include <stdbool.h>
#include <stdint.h>

struct nat;

struct nat_limits {
	uint32_t flows_max; /* TCP, UDP and ping flows together: each holds one host descriptor */
	uint32_t flows_per_guest_max;
	uint32_t half_open_per_guest_max; /* TCP connects in the making, per guest */
	uint32_t udp_per_guest_max;       /* UDP mappings; the longest idle one goes first */
	uint32_t ping_per_guest_max;
	size_t guest_to_host_bytes_max; /* queued for slow host peers, per guest */
	size_t host_to_guest_bytes_max; /* unacknowledged towards guests, in all */
	size_t host_to_guest_bytes_per_guest_max;
};

#define NAT_SERVICE_ADDRS_MAX 72

struct nat_config {
	bool ipv4, ipv6;
	struct mac mac; /* the gateway's */
	struct subnet net4, net6;
	struct addr host4, host6; /* the gateway's own addresses; map to the host's loopback */
	struct addr dns4, dns6;
	/* More addresses that are the gateway's own, where nothing but services answers;
	 * nat_tcp_service_add_at() adds to them. */
	struct addr service_addrs[NAT_SERVICE_ADDRS_MAX];
	unsigned service_addrs_n;
	uint16_t mtu;         /* IP packets towards guests, 576-65535 bytes (68-1279: no IPv6) */
	bool restrict_guests; /* QEMU restrict=on: guests reach only the gateway's services and
				 forwards' peers */
	bool host_loopback;   /* false: the gateway address does not reach host services */
	struct nat_limits limits; /* see nat_limits_default() */
	const struct host_ops *host;
	void *host_ctx;
	struct rng *rng; /* borrowed for the life of the nat */
	/* An address was heard of on a port, or its MAC or port has changed. May be NULL. */
	void (*neighbour)(void *ctx, struct port *port, const struct addr *addr,
			  const struct mac *mac);
	void *neighbour_ctx;
	/* The gateway's link-local address, fe80::/64 and the EUI-64 of 'mac' (RFC 4291 appendix
	 * A): nat_new() sets it in its own copy; see nat_linklocal(). */
	struct addr linklocal6;
	/* A guest asks for a router advertisement: a valid Router Solicitation (RFC 4861 section
	 * 6.1.1) has come in on 'port'. 'from' is :: while the guest has no address. May send at
	 * once (nat_icmp6_send). NULL: nobody is told. */
	void (*router_solicited)(void *ctx, struct port *port, const struct mac *from_mac,
				 const struct addr *from);
	void *router_ctx;
};

/* Limits for 'nofile' usable descriptors (RLIMIT_NOFILE less what the program itself needs). */
struct nat_limits nat_limits_default(uint64_t nofile);

struct nat_counters {
	uint64_t tcp_flows_opened, tcp_refused, tcp_unreachable, tcp_timed_out, tcp_reset_by_guest,
	    tcp_reset_by_host;
	uint64_t tcp_inbound, tcp_inbound_failed;
	uint64_t tcp_resent; /* frames with bytes the guest has been sent before */
	uint64_t tcp_resend_timeouts;
	uint64_t udp_flows_opened, ping_flows_opened;
	uint64_t udp_to_host, udp_to_guest, ping_to_host, ping_to_guest;
	uint64_t dropped_malformed, dropped_address, dropped_policy, dropped_limit, dropped_memory,
	    dropped_no_neighbour, dropped_protocol, dropped_host_send, dropped_reassembly;
	uint64_t flows_evicted, ping_forbidden;
};

/* 0, -ENOMEM, -EINVAL for a bad config, -EBUSY when an instance exists. */
int nat_new(struct nat **ret, const struct nat_config *config);
/* Resets every flow, closes every handle. NULL is fine. */
void nat_free(struct nat *nat);

/* A guest NIC came or went. When it goes, its flows go at once (RST to their host peers). */
int nat_port_add(struct nat *nat, struct port *port);
void nat_port_remove(struct nat *nat, struct port *port);

/* What time it is: at the start of each turn, so that what happens in it is dated right. */
void nat_set_time(struct nat *nat, uint64_t now_ms);
/* The loop's turn: any number of nat_input() and nat_host_event(), then one nat_run(), which does
 * the work that they marked and leaves frames queued on the ports; then the caller flushes the
 * ports (lan_flush). */
void nat_input(struct nat *nat, struct port *from, const struct frame *frame);
void nat_host_event(struct nat *nat, uint64_t token,
		    unsigned events);                       /* a stale token is ignored */
void nat_port_writable(struct nat *nat, struct port *port); /* 'blocked' has ended */
void nat_run(struct nat *nat, uint64_t now_ms);
/* When nat_tick() wants to be called next, in ms from now_ms; UINT64_MAX for never (nothing is
 * pending). */
uint64_t nat_next_ms(const struct nat *nat, uint64_t now_ms);
void nat_tick(struct nat *nat, uint64_t now_ms);

/* What became of a connection into a guest. */
enum nat_outcome {
	NAT_OPEN,         /* the guest has answered: bytes move */
	NAT_REFUSED,      /* the guest answered with RST: nobody listens on that port */
	NAT_TIMED_OUT,    /* the guest is there (somebody answers ARP or ND), but says nothing */
	NAT_NO_NEIGHBOUR, /* nobody answers for the guest's address */
	NAT_GUEST_GONE,   /* its port closed meanwhile */
	NAT_NO_RESOURCES, /* a limit, memory or descriptors */
};
/* "open", "refused", ... */
const char *nat_outcome_text(enum nat_outcome outcome);

/* A forward, as the NAT accounts for it. */
struct nat_forward;
struct nat_forward_stats {
	unsigned live; /* connections, or UDP mappings */
	uint64_t opened, failed;
	uint64_t bytes_to_guest, bytes_to_host;
};
/* 'udp_handle': the listener that nat_udp_inbound() is called for; -1 for TCP. 0 or -ENOMEM. */
int nat_forward_new(struct nat *nat, int udp_handle, struct nat_forward **ret);
void nat_forward_stats(const struct nat_forward *forward, struct nat_forward_stats *ret);
/* The caller needs it no more; 'cut' resets its connections, else they live on. Also ends what
 * still waits for a guest's MAC. NULL is fine. Before nat_free(). */
void nat_forward_drop(struct nat *nat, struct nat_forward *forward, bool cut);

struct nat_attempt;

/* Opens a TCP connection into a guest. */
struct nat_connect {
	/* Who connects; the guest sees it as it is, or as the gateway when it is a local address
	 * (port 0: any). */
	struct endpoint peer;
	struct endpoint guest;
	/* The accepted connection, the nat's from here on, also when this fails: it is reset then.
	 * -1: 'outcome' hands it over once the guest has answered. */
	int handle;
	struct nat_forward *forward; /* accounts for it; may be NULL */
	/* Told once, in a later turn, never from inside nat_tcp_connect() or its cancelling; may be
	 * NULL when 'handle' is given. With handle -1 and NAT_OPEN the return value is the host's
	 * stream socket that becomes the connection's other end, the nat's from then on; negative:
	 * none, the guest sees FIN and then RST. In all other cases it is not looked at. The call
	 * may begin or cancel other attempts. */
	int (*outcome)(void *ctx, uint64_t cookie, enum nat_outcome outcome);
	void *ctx;
	uint64_t cookie;
};
/* 0, or a negative errno, and then nothing will be told. *ret (may be NULL) is valid until the
 * outcome is told. */
int nat_tcp_connect(struct nat *nat, const struct nat_connect *connect, struct nat_attempt **ret);
/* Gives up: the guest gets RST, a handle that was given is reset, nothing is told. */
void nat_tcp_connect_cancel(struct nat *nat, struct nat_attempt *attempt);
/* The same for an accepted connection about which nobody wants to know. */
int nat_tcp_inbound(struct nat *nat, int handle, const struct endpoint *peer,
		    const struct endpoint *guest);
/* One datagram that came in on a forward's UDP handle; the guest's answer leaves through that
 * handle. */
void nat_udp_inbound(struct nat *nat, int handle, const struct endpoint *peer,
		     const struct endpoint *guest, struct iovec payload);
/* The forward's handle is about to be closed: forget the mappings that use it. */
void nat_udp_inbound_closed(struct nat *nat, int handle);

/* A UDP datagram for one of the gateway's services: addressed to the gateway, DNS or link-local
 * address, or broadcast/multicast (as ff02::1:2 of DHCPv6). */
struct nat_udp_meta {
	struct port *port;
	struct mac guest_mac;
	struct endpoint guest;   /* source; 0.0.0.0 or :: while the guest has no address */
	struct endpoint service; /* destination as sent */
};
typedef void nat_udp_service(void *ctx, const struct nat_udp_meta *meta, const uint8_t *payload,
			     size_t len);
/* Registers a handler for datagrams to UDP 'port': on the DNS addresses (dns_only), or on all of
 * the gateway's and by broadcast. -EEXIST, -ENOSPC. */
int nat_udp_service_add(struct nat *nat, uint16_t port, bool dns_only, nat_udp_service *handler,
			void *ctx);
/* Registers a handler for datagrams to whatever ports of the gateway it claims, such as those a
 * service has answered from; all others go where they would without it. -ENOSPC. */
typedef bool nat_udp_claims(void *ctx, const struct nat_udp_meta *meta);
int nat_udp_service_add_claiming(struct nat *nat, nat_udp_claims *claims, nat_udp_service *handler,
				 void *ctx);
/* Sends a service's answer, also to a guest without an address: to.addr may be broadcast, the MAC
 * is given. */
struct nat_udp_reply {
	struct port *port;
	struct mac to_mac;
	struct endpoint from, to;
};
void nat_udp_send(struct nat *nat, const struct nat_udp_reply *reply, const uint8_t *payload,
		  size_t len);
/* Sends an ICMPv6 message of the gateway's (a Router Advertisement): 'bytes' from its type on,
 * the checksum is filled in, the hop limit is 255. 'from.addr' :: means the gateway's link-local
 * address; ports are ignored; a multicast 'to.addr' needs the MAC that goes with it. */
void nat_icmp6_send(struct nat *nat, const struct nat_udp_reply *reply, const uint8_t *bytes,
		    size_t len);
/* The gateway's link-local address. */
const struct addr *nat_linklocal(const struct nat *nat);
/* TCP to 'port' on the DNS addresses (dns_only) or on all of the gateway's goes to
 * host_ops.tcp_dial_service('service'). */
int nat_tcp_service_add(struct nat *nat, uint16_t port, bool dns_only, unsigned service);
/* TCP to 'at' goes there too, whatever else is told of its port, also with restrict_guests. Its
 * address becomes the gateway's own: it answers ARP, ND and ping for it, no guest may have it, and
 * its other ports are closed. 0, -EINVAL for an address that no service can have, -EEXIST when 'at'
 * is taken, -ENOSPC. */
int nat_tcp_service_add_at(struct nat *nat, const struct endpoint *at, unsigned service);

/* A guest's port and MAC by address, as learnt from ARP, ND and traffic. false when unknown. */
bool nat_neighbour(const struct nat *nat, const struct addr *addr, struct port **ret_port,
		   struct mac *ret_mac);
/* Tells what DHCP knows: this address belongs to this MAC on this port. */
void nat_neighbour_set(struct nat *nat, const struct addr *addr, const struct mac *mac,
		       struct port *port);

const struct nat_counters *nat_counters(const struct nat *nat);
/* For tests and statistics: flows alive, and whether every pool is empty. */
uint32_t nat_flow_count(const struct nat *nat);

/* ---- what is going on, for people ---- */

enum nat_flow_kind { NAT_FLOW_TCP, NAT_FLOW_UDP, NAT_FLOW_PING, NAT_FLOW_KINDS };

enum nat_flow_state {
	NAT_FLOW_DIALLING, /* the host connects */
	NAT_FLOW_OPENING,  /* the handshake with the guest runs */
	NAT_FLOW_OPEN,
	NAT_FLOW_CLOSING, /* one side has said that it is done */
	NAT_FLOW_WAITING, /* TIME-WAIT (RFC 9293 section 3.6.1) */
};

struct nat_flow_info {
	enum nat_flow_kind kind;
	enum nat_flow_state state;
	const struct port *port;
	bool inbound;
	struct endpoint guest; /* of a ping: its identifier for a port */
	struct endpoint peer;  /* as the guest sees it; unspecified for a mapping to any peer */
	uint64_t began_ms, used_ms;
	uint64_t bytes_to_host, bytes_to_guest, packets_to_host, packets_to_guest;
	uint64_t rate_to_host, rate_to_guest; /* bytes per second of late */
};

/* Visits the flows from place *cursor (0 at the start) on, 'max' places at most, and moves *cursor
 * on; false at the end. What comes and goes between two calls may be missed, or be seen twice. */
bool nat_flows_walk(const struct nat *nat, uint32_t *cursor, unsigned max,
		    void (*visit)(void *ctx, const struct nat_flow_info *info), void *ctx);
/* How many there are, of one port or (NULL) of all. */
void nat_flows_count(const struct nat *nat, const struct port *port, uint32_t ret[NAT_FLOW_KINDS]);
const struct nat_limits *nat_limits(const struct nat *nat);

/* An echo request from the gateway to an address on the guests' network. */
struct nat_guest_ping {
	struct addr to;
	uint32_t timeout_ms;
	/* Told once, from inside nat_input() or nat_tick(), and must not call the nat: NAT_OPEN for
	 * an answer, NAT_TIMED_OUT, NAT_NO_NEIGHBOUR. */
	void (*done)(void *ctx, enum nat_outcome outcome);
	void *ctx;
};
/* A number to cancel it by (> 0); -ENOSPC when too many are under way, -EAFNOSUPPORT. */
int nat_guest_ping(struct nat *nat, const struct nat_guest_ping *ping);
void nat_guest_ping_cancel(struct nat *nat, int number); /* nothing will be told */

#endif
