/* A host in memory behind struct host_ops: what each dial comes to is a script's, what a peer sends
 * and takes is the test's, and everything that the NAT does to a handle is counted. It holds the
 * NAT to the contract: events are told once, and again only when there is news after -EAGAIN or a
 * short count. */
#ifndef LWNAT_TESTS_FAKE_HOST_H
#define LWNAT_TESTS_FAKE_HOST_H

#include "stack/nat/host_ops.h"

#include <stdbool.h>
#include <stdint.h>

struct nat;

#define FAKE_DIAL_PENDING (-EINPROGRESS) /* until fake_host_dial_done() */
#define FAKE_UNLIMITED UINT64_MAX

enum fake_kind { FAKE_FREE, FAKE_TCP, FAKE_UDP, FAKE_PING };

struct fake_sent {
	struct fake_sent *next;
	int handle;
	struct endpoint to;
	uint8_t ttl;
	size_t len;
	uint8_t bytes[];
};

struct fake_handle {
	enum fake_kind kind;
	uint64_t token;
	bool v6, adopted, service;
	struct endpoint to; /* dialled */
	unsigned service_number;
	struct endpoint guest; /* of a service dial */

	/* TCP: the test sets, then fake_host_kick(). */
	uint64_t send_total; /* bytes the peer has for the guest, in all */
	uint64_t send_seed, recv_seed;
	bool eof_when_sent;
	int read_error, write_error; /* negative errno, after what there is to read */
	uint64_t write_room;         /* bytes it takes now; FAKE_UNLIMITED */
	uint64_t write_each;         /* at most this much in one call; 0: any */
	uint64_t read_each;
	bool echo; /* sends back what it has taken, FIN for FIN */

	/* TCP: the test reads. */
	int result;        /* 0 connected, -EINPROGRESS, or what the dial failed with */
	uint64_t read_n;   /* bytes the NAT has read */
	uint64_t written;  /* bytes the NAT has written */
	uint8_t head[64];  /* the first bytes written */
	uint32_t mismatch; /* writes that were not the pattern's */
	bool eof_from_guest;
	bool eof_read; /* the NAT has read our FIN */

	/* Datagrams waiting for recv(). */
	struct fake_datagram *datagrams, **datagrams_tail;
	int send_error; /* of the next udp_send/ping_send calls; 0 none */
	unsigned closed_n;

	bool read_armed, write_armed, end_told, error_told;
	unsigned events;
	uint32_t dirty_next; /* index + 1 */
	bool dirty;
};

struct fake_host_counters {
	uint32_t dials, service_dials, adopted;
	uint32_t resets, closes; /* of TCP handles */
	uint32_t udp_opened, ping_opened, sends;
	uint32_t misuse; /* calls on a closed handle, of the wrong kind, or before connected */
};

struct fake_host {
	struct fake_handle *handles;
	uint32_t handles_room, open_n, open_max;
	uint32_t handles_limit; /* -EMFILE beyond; 0: none */
	uint32_t next_free;
	uint32_t dirty; /* index + 1 of the first with events */
	struct fake_host_counters count;
	const char *misuse_text;

	/* The script: what the next dials come to. */
	int dial_result;    /* returned by tcp_dial itself when negative */
	int connect_result; /* 0, FAKE_DIAL_PENDING or an errno told later */
	int (*dial_policy)(void *ctx, const struct endpoint *to, int *ret_connect_result);
	void *dial_ctx;
	int ping_open_result, udp_open_result;
	bool ping_echo; /* answers pings by itself */
	bool udp_echo;
	uint16_t ping_id;
	struct fake_handle defaults; /* the TCP settings of new handles */

	struct fake_sent *sent, **sent_tail; /* datagrams and pings, oldest first */
	uint32_t sent_n;
	uint32_t sent_keep_max; /* older ones are forgotten; 0: 10,000 */
	uint8_t *recv_bytes[16];
};

extern const struct host_ops fake_host_ops;

void fake_host_init(struct fake_host *host);
void fake_host_fini(struct fake_host *host);
/* Tells the NAT all events that are due. Whether there was one. */
bool fake_host_deliver(struct fake_host *host, struct nat *nat);

struct fake_handle *fake_host_handle(struct fake_host *host, int handle);
/* The open TCP handle dialled to this endpoint, or -1. */
int fake_host_find(const struct fake_host *host, const struct endpoint *to);
/* The n-th open handle of a kind, in order of number, or -1. */
int fake_host_nth(const struct fake_host *host, enum fake_kind kind, unsigned n);
void fake_host_dial_done(struct fake_host *host, int handle, int result);
void fake_host_kick(struct fake_host *host, int handle); /* settings changed: events may be due */
/* An accepted connection for nat_tcp_inbound(). */
int fake_host_accepted(struct fake_host *host);

int fake_host_listener(struct fake_host *host);               /* a forward's UDP handle */
struct fake_sent *fake_host_sent_pop(struct fake_host *host); /* to be given to free() */
void fake_host_udp_deliver(struct fake_host *host, int handle, const struct endpoint *from,
			   const void *bytes, size_t len);
/* As the host gives datagrams that came as one large piece. */
void fake_host_udp_deliver_segments(struct fake_host *host, int handle, const struct endpoint *from,
				    struct iovec bytes, uint16_t segment);
struct fake_icmp {
	struct endpoint to; /* where the datagram that failed was going */
	struct addr offender;
	uint8_t type, code;
	uint32_t info;
};
void fake_host_error_deliver(struct fake_host *host, int handle, const struct fake_icmp *error,
			     struct iovec quoted);

#endif
