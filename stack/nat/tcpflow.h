/* One TCP connection through the gateway: its lwIP side, its host side, and the bytes between them.
 *   tcpflow.c       begins and ends flows; turns, ticks, and what calls into lwIP have done
 *   tcp_input.c     segments from the guest: whose they are, and into lwIP
 *   tcp_merge.c     our GRO: consecutive segments of a batch become one
 *   tcp_outbound.c  connections that guests open: host connect() before SYN-ACK
 *   tcp_inbound.c   connections into guests, and telling who asked for one what became of it
 *   tcp_relay.c     bytes from one side to the other, half-closes, the end
 *   tcp_loss.c      frames a guest has lost: how much may be in flight, what is sent again
 *   tcp_output.c    our GSO: what lwIP sends becomes frames
 */
#ifndef LWNAT_NAT_TCPFLOW_H
#define LWNAT_NAT_TCPFLOW_H

#include "stack/nat/nat_priv.h"

/* Bytes towards the guest, unacknowledged: what any flow may have, and what one may have whose
 * guest is fast, while there is memory for others. */
#define TCPFLOW_IN_FLIGHT_FAIR (1024u * 1024)
#define TCPFLOW_IN_FLIGHT_MAX (8u * 1024 * 1024)
#define TCPFLOW_READ_FIRST (4u * BLOCK_LEN) /* bytes of one turn from the host: what all get */

enum tcpflow_state {
	/* The host connect() runs. No pcb yet; the guest's SYN is kept in 'syn'. No bytes move. */
	TCPFLOW_DIALLING,
	/* The handshake with the guest runs. There is a pcb; no bytes move. */
	TCPFLOW_OPENING,
	/* Bytes move. */
	TCPFLOW_OPEN,
};

/* What an answer to the guest's SYN is made of. Freed when the guest has been answered. */
struct tcpflow_syn {
	struct tcp_segment segment; /* its 'data' is NULL */
	uint8_t quote[60 + 8];      /* IP header and 8 bytes, for ICMP errors (RFC 792, RFC 4443) */
	uint8_t quote_len;
};

/* Segments waiting to be one (tcp_merge.c). */
struct tcpflow_merge {
	bool pending;
	struct tcp_segment header; /* first segment's sequence number, last one's ACK and window */
	struct pbuf *data_head, *data_tail;
	uint32_t len;
};

struct tcpflow {
	struct flow flow; /* first: flows are found as this */
	enum tcpflow_state state;
	struct solo solo;
	struct mac mac;          /* the guest's */
	uint16_t mss;            /* what the guest takes in one frame */
	struct tcpflow_syn *syn; /* owned; state DIALLING */
	struct tcpflow_merge merge;
	struct list work_link; /* on one of nat->dirty, nat->starved, guest->stalled, or none */
	struct list merge_link;
	struct list tick_link;
	struct list connecting_link; /* guest->connecting, while DIALLING */
	struct list wait_link;       /* nat->time_wait */
	struct nat_attempt *attempt; /* whoever opened it still waits for the outcome; or NULL */

	/* guest to host */
	uint32_t window;       /* bytes we let the guest have in flight towards us */
	uint32_t window_taken; /* of them taken by the host since 'window' last grew */
	uint32_t ahead_cost;   /* bytes kept out of order, as counted in guest->queued_to_host */
	struct pbuf *kept;     /* the last copy in solo.events' data, or NULL; with this ... */
	uint16_t kept_room;    /* ... much room behind its bytes */

	/* host to guest: queued for lwIP, freed as the guest acknowledges */
	struct block *blocks_head, *blocks_tail;
	uint32_t head_acked;     /* bytes of blocks_head that the guest has acknowledged */
	uint32_t in_flight_max;  /* our congestion window, bytes */
	uint32_t in_flight_calm; /* up to here it grows with each acknowledgement, then slowly */
	uint32_t in_flight_pace; /* and not beyond this: what the guest takes in a moment */
	uint32_t paced_bytes;    /* acknowledged since ... */
	uint32_t paced_ms;       /* ... nat->now_ms was this */
	uint32_t read_max;       /* bytes that the next turn may bring from the host */
	uint32_t acked_to;       /* sequence number: solo_lastack() when last looked at */
	uint32_t recover_until;  /* sequence number: losses before it are one event */
	uint32_t resent_to;      /* sequence number: up to here it has been sent again */
	uint32_t resent_turn;    /* nat->turn at that time */
	uint32_t resend_max;     /* bytes behind the last acknowledged one that may be sent again */

	bool host_readable : 1;
	bool host_writable : 1;
	bool host_hung_up : 1;  /* HOST_EOF seen: read on after short reads */
	bool host_failed : 1;   /* HOST_ERROR seen: the socket may hold an error */
	bool eof_from_host : 1; /* the host peer has sent all it will */
	bool fin_to_guest : 1;  /* and the guest has been told (or lwIP, to tell it) */
	bool fin_to_host : 1;   /* the guest's FIN has been passed on */
	bool recovering : 1;
	bool outbound : 1;
};

/* A segment from a guest to an address that may be ours to serve. */
void tcpflow_input(struct nat *nat, struct guest *guest, const struct packet *packet);
/* The same for a frame in pieces, of which the first has all headers, as 'packet' has read them.
 * False when its bytes are needed in one piece: nothing has been done. */
bool tcpflow_input_pieces(struct nat *nat, struct guest *guest, const struct packet *packet,
			  const struct frame *frame);
/* The host has news of this flow (enum host_event bits). */
void tcpflow_host_event(struct nat *nat, struct tcpflow *tf, unsigned events);
/* Ends a flow at once: RST to the host peer, RST to the guest unless 'silent', and frees it. */
void tcpflow_kill(struct nat *nat, struct tcpflow *tf, bool silent);
void tcpflow_run(struct nat *nat);  /* the turn's work: merged segments, then every dirty flow */
void tcpflow_tick(struct nat *nat); /* time has come: timers of lwIP */
uint64_t tcpflow_next_ms(const struct nat *nat);
void tcpflow_port_writable(struct nat *nat, struct guest *guest);

/* Between the files of tcpflow. */

/* It has work in this turn. */
static inline void tcpflow_mark(struct nat *nat, struct tcpflow *tf)
{
	list_append(&nat->dirty, &tf->work_link);
}

/* lwIP's frames go to this flow's guest. */
static inline void tcpflow_output_to(struct nat *nat, struct tcpflow *tf)
{
	nat->output.guest = tf->flow.guest;
	nat->output.mac = tf->mac;
	nat->output.flow = tf;
}

/* tcpflow.c */
/* A flow in state DIALLING, in the table, with no host side yet. It is freed by tcpflow_end(), or
 * with its guest. NULL: a limit is reached, or there is no memory; counted. */
struct tcpflow *tcpflow_new(struct nat *nat, struct guest *guest, const struct flow_key *key,
			    const struct mac *mac);
/* The MSS we go by when a guest offers this one: between what leaves room for data and what the
 * link carries. */
uint16_t tcpflow_clamp_mss(const struct nat *nat, uint16_t mss, bool v6);
/* Looks at events and lists after any call into lwIP. */
void tcpflow_after_lwip(struct nat *nat, struct tcpflow *tf);
void tcpflow_update_ticking(struct nat *nat, struct tcpflow *tf);
void tcpflow_close_host(struct nat *nat, struct tcpflow *tf, bool reset);
/* Frees a flow whose pcb is gone or never was; closes its host side. */
void tcpflow_end(struct nat *nat, struct tcpflow *tf, bool reset_host);

/* tcp_input.c */
void tcpinput_feed_merged(struct nat *nat); /* all pending segments go into lwIP */

/* tcp_outbound.c */
/* A SYN of no flow: begins to dial, or answers what policy says. */
void tcpoutbound_begin(struct nat *nat, struct guest *guest, const struct packet *packet,
		       const struct tcp_segment *segment);
/* The host has news of a flow in state DIALLING. May free tf. */
void tcpoutbound_progress(struct nat *nat, struct tcpflow *tf);
/* Its SYN waits for no answer any more. Fine for any flow. */
void tcpoutbound_stop(struct tcpflow *tf);

/* tcp_relay.c */
void tcpflow_relay(struct nat *nat, struct tcpflow *tf); /* may free tf */
void tcpflow_release_acked(struct nat *nat, struct tcpflow *tf, uint32_t acked);
void tcpflow_free_blocks(struct nat *nat, struct tcpflow *tf);

/* tcp_merge.c */
/* Adds a segment to the pending one. false: it does not continue that, or there is no memory. */
bool tcpmerge_continue(struct tcpflow *tf, const struct tcp_segment *segment,
		       struct frame_owner *owner);
/* Makes it the pending segment; there must be none. false: not one to merge (SYN, FIN, RST), or no
 * memory. */
bool tcpmerge_begin(struct tcpflow *tf, const struct tcp_segment *segment,
		    struct frame_owner *owner);
/* Takes the pending segment: its data (NULL: none; the caller's now), tot_len right. */
struct pbuf *tcpmerge_take(struct tcpflow *tf, struct tcp_segment *ret_header);
void tcpmerge_drop(struct tcpflow *tf);
/* A chain over a segment's data (there must be some): by reference with its owner, or copied when
 * there is none. NULL: no memory. */
struct pbuf *tcpmerge_pbuf(const struct tcp_segment *segment, struct frame_owner *owner);
/* Replaces a chain that refers to a frame's buffer by a copy: a frame's bytes are the guest's own
 * memory, or a buffer for all, and are not held past the turn. NULL: no memory, the chain is gone.
 */
struct pbuf *tcpmerge_copy(struct pbuf *chain);

/* tcp_inbound.c */
void tcpinbound_neighbour_known(struct nat *nat,
				const struct addr *addr); /* those that wait for it go on */
void tcpinbound_tick(struct nat *nat);                    /* ask again, or give up */
uint64_t tcpinbound_next_ms(const struct nat *nat);
void tcpinbound_drop_all(struct nat *nat);
/* The guest has answered; the flow ends: those who wait to know are told by tcpinbound_tell(), once
 * per turn. */
void tcpinbound_opened(struct nat *nat, struct tcpflow *tf);
void tcpinbound_flow_gone(struct nat *nat, struct tcpflow *tf);
void tcpinbound_tell(struct nat *nat);
/* What waits for it waits no more. */
void tcpinbound_forward_gone(struct nat *nat, const struct nat_forward *forward);

/* tcp_loss.c */
/* Before each call of lwIP's timers. */
void tcploss_before_tick(struct nat *nat, struct tcpflow *tf);
/* lwIP sends 'len' bytes from 'seq' on: how many of them go out, after leaving out the first
 * *ret_skip; all that are new, few of those sent before. */
uint32_t tcploss_admit(struct nat *nat, struct tcpflow *tf, uint32_t seq, uint32_t len,
		       uint32_t *ret_skip);
/* After a call into lwIP. Sends what has to be sent again next. */
void tcploss_after_lwip(struct nat *nat, struct tcpflow *tf);

/* tcp_output.c: what lwIP sends, for nat->output */
void tcpout_packet(void *ctx, struct pbuf *packet, bool v6);

#endif
