/* lwIP's TCP as a state machine for one connection at a time ("solo lists", stack/README.md).
 * Together with tcp_output.c this is the only code that knows lwIP's TCP: its list globals, pcb
 * fields, input statics and timers, all as of 2.2.1.
 *   solo.c        the engine, and questions about a connection
 *   solo_input.c  handshakes, segments from the guest, callbacks
 *   solo_send.c   windows, and what goes to the guest
 *   solo_timer.c  lwIP's timers
 *
 * Every call into lwIP happens between enter and leave of one connection; outside, lwIP's lists are
 * empty. Callbacks only record (struct solo_events); the caller looks at the record afterwards. */
#ifndef LWNAT_NAT_SOLO_H
#define LWNAT_NAT_SOLO_H

#include "stack/base/addr.h"
#include "stack/nat/packet.h"

#include "lwip/pbuf.h"

#include <stdbool.h>
#include <stdint.h>

struct tcp_pcb;
struct netif;

enum solo_end {
	SOLO_ALIVE,
	SOLO_RESET_BY_GUEST,
	SOLO_TIMED_OUT, /* the guest acknowledges no more */
	SOLO_CLOSED,    /* FINs both ways, acknowledged */
};

/* What callbacks have recorded since the caller last looked. */
struct solo_events {
	bool established;    /* the handshake is complete, whoever began it */
	bool fin_from_guest; /* after all bytes in 'data' */
	uint32_t window;     /* in: the receive window to begin with */
	uint32_t acked;      /* bytes the guest has newly acknowledged */
	struct pbuf *data_head,
	    *data_tail; /* received in order; linked by 'next', tot_len is not kept */
	uint32_t data_len;
	enum solo_end end;
};

/* One connection: lwIP's lists, at most one pcb in all (both NULL: lwIP knows the connection no
 * more), and what has happened to it. */
struct solo {
	struct tcp_pcb *active;
	struct tcp_pcb *time_wait;
	struct solo_events events;
};

/* lwIP's one network interface, its listening pcb and its timers. 'output' gets every IP packet
 * that lwIP sends, headers in its first pbuf; it must not call back into lwIP. One engine per
 * process. */
struct solo_engine;
typedef void solo_output(void *ctx, struct pbuf *packet, bool v6);
struct solo_engine *solo_engine_new(uint16_t mtu, solo_output *output,
				    void *ctx); /* NULL: out of memory */
void solo_engine_free(struct solo_engine *engine);
struct netif *solo_netif(struct solo_engine *engine); /* for ip_lwip.c */
/* What lwIP's IP input leaves behind for TCP and UDP input: whom the packet in hand is from and to.
 * Also for ip_lwip.c. */
void solo_set_current_ends(struct solo_engine *engine, const struct endpoint *guest,
			   const struct endpoint *peer);

/* A SYN whose host connection stands: lwIP answers SYN-ACK. On return 'solo' has a pcb, or not (out
 * of memory). events.window must be set. */
void solo_accept(struct solo_engine *engine, struct solo *solo, const struct endpoint *guest,
		 const struct endpoint *peer, const struct tcp_segment *syn);
/* We open a connection to the guest from 'peer': sends SYN. events.window must be set. 0 or
 * -ENOMEM. */
int solo_connect(struct solo_engine *engine, struct solo *solo, const struct endpoint *peer,
		 const struct endpoint *guest);
/* A segment of this connection; 'data' (its bytes, tot_len right) is owned by the call and may be
 * NULL. */
void solo_input(struct solo_engine *engine, struct solo *solo, const struct tcp_segment *header,
		struct pbuf *data);
/* A segment of no connection: lwIP answers with the right RST (none to an RST). */
void solo_refuse(struct solo_engine *engine, const struct endpoint *guest,
		 const struct endpoint *peer, const struct tcp_segment *segment);

/* After the handshake: the MSS the guest takes (never over the MTU allows), before super-segments
 * hide it. */
uint16_t solo_mss(const struct solo *solo);
/* 'len' more bytes may come. Told to the guest with the next segment, at once when the news is
 * large. */
void solo_credit(struct solo *solo, uint32_t len);
void solo_ack_now(struct solo *solo); /* with the next flush */

/* How many bytes may be written now so that they leave at once: the guest's window and 'cwnd', less
 * what is in flight or queued. Withholds silly windows (under 'mss') while data is in flight; gives
 * 1 for a zero window with nothing queued, so that lwIP's persist timer probes. */
uint32_t solo_room(const struct solo *solo, uint32_t cwnd, uint16_t mss);
/* Queues bytes that stay put until acknowledged, in segments of up to 'super_len'. 0 or -ENOMEM. */
int solo_write(struct solo_engine *engine, struct solo *solo, const void *bytes, uint16_t len,
	       uint16_t super_len);
int solo_send_fin(struct solo_engine *engine,
		  struct solo *solo); /* after what is queued; 0 or -ENOMEM */
/* Sends what 'cwnd' and the guest's window admit, and an ACK that is due. */
void solo_flush(struct solo_engine *engine, struct solo *solo, uint32_t cwnd);
/* While a loss is repaired: sends the earliest unacknowledged bytes again, at once. */
void solo_retransmit(struct solo_engine *engine, struct solo *solo);
/* Ends it with a RST to the guest ('silent': without). */
void solo_abort(struct solo_engine *engine, struct solo *solo, bool silent);

bool solo_is_empty(const struct solo *solo);
bool solo_is_synchronized(const struct solo *solo); /* ESTABLISHED or later, not TIME_WAIT */
uint32_t solo_rcv_nxt(const struct solo *solo);     /* also in TIME_WAIT */
uint32_t solo_lastack(const struct solo *solo);     /* first byte the guest has not acknowledged */
uint32_t solo_snd_nxt(const struct solo *solo);
bool solo_is_retransmitting(const struct solo *solo);
bool solo_ack_is_due(const struct solo *solo);
/* What is kept of segments that came out of order: about how many bytes of memory. */
uint32_t solo_ahead_cost(const struct solo *solo);

/* Timers: a connection that needs them is called every SOLO_TICK_MS. */
#define SOLO_TICK_MS 25
bool solo_needs_ticks(const struct solo *solo);
/* The next solo_tick() sends unacknowledged bytes again. */
bool solo_timer_is_due(const struct solo_engine *engine, const struct solo *solo);
void solo_wait_a_tick(struct solo *solo); /* not in this solo_tick() but in the next such one */
/* It has asked a guest with a closed window for news, and not been answered. */
bool solo_probes_in_vain(const struct solo_engine *engine, const struct solo *solo);
/* The guest stood still: its timers begin anew, and the round trip being timed is worth nothing. */
void solo_stood_still(struct solo *solo);
void solo_ticks_advance(
    struct solo_engine *engine); /* once per tick, before the connections' calls */
bool solo_tick(struct solo_engine *engine, struct solo *solo); /* whether lwIP was called */

#endif
