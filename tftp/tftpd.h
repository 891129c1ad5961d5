/* Read-only TFTP server (RFC 1350, 2347, 2348, 2349, 7440): bytes in, bytes out, time as a number,
 * files through three functions. Each transfer answers from a port of its own (its TID). */
#ifndef LWNAT_TFTP_TFTPD_H
#define LWNAT_TFTP_TFTPD_H

#include "stack/base/addr.h"
#include "stack/base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TFTPD_PORT 69
#define TFTPD_TRANSFERS_PER_GUEST_MAX 64

/* Where files come from. 'name' is what the guest sent: any bytes but NUL. */
struct tftpd_files {
	/* 0 with a handle and its size in bytes; -ENOENT and -ENAMETOOLONG are told as "not found",
	 * -EMFILE, -ENFILE and -ENOMEM as a shortage, everything else as an access violation. */
	int (*open)(void *ctx, const char *name, int *ret_file, uint64_t *ret_size);
	/* As many bytes as there are from 'offset' on, fewer than 'len' only at the file's end, or
	 * a negative errno. */
	long (*read)(void *ctx, int file, uint64_t offset, uint8_t *bytes, size_t len);
	void (*close)(void *ctx, int file);
};

/* Who talks to whom. */
struct tftpd_peer {
	uint32_t guest; /* whose limits count; the port's id */
	struct mac mac; /* for the sender of the answers */
	struct endpoint client, server;
};

enum tftpd_event_kind {
	TFTPD_STARTED,
	TFTPD_FINISHED, /* the guest has all of it */
	TFTPD_GIVEN_UP, /* the guest said so, or nothing for too long; or the file could not be read
			 */
	TFTPD_REFUSED,
};

/* For logs; valid during the call. */
struct tftpd_event {
	enum tftpd_event_kind kind;
	const struct tftpd_peer *peer;
	const char *name;   /* STARTED, REFUSED: as sent; NULL when none could be read */
	const char *reason; /* GIVEN_UP, REFUSED */
	uint64_t bytes;     /* STARTED: the file's size; FINISHED: what was sent */
};

struct tftpd_config {
	uint16_t mtu; /* of the guests' network: no block is longer than fits into one packet */
	unsigned transfers_max; /* in all */
	struct rng *rng;        /* borrowed for the life of the server */
	struct tftpd_files files;
	/* Sends from peer->server to peer->client; never calls back. */
	void (*send)(void *ctx, const struct tftpd_peer *peer, const uint8_t *bytes, size_t len);
	void (*event)(void *ctx, const struct tftpd_event *event); /* NULL: nobody cares */
	void *ctx;
};

struct tftpd_counters {
	uint64_t started, finished, given_up, refused;
	uint64_t bytes;   /* of files, sent for the first time */
	uint64_t resent;  /* packets sent once more */
	uint64_t ignored; /* packets that fit no transfer, duplicate acknowledgements */
};

struct tftpd;

/* Allocates everything the server will ever use. 0, -ENOMEM, or -EINVAL for a bad config. */
int tftpd_new(struct tftpd **ret, const struct tftpd_config *config);
void tftpd_free(struct tftpd *d); /* closes the files; NULL is fine */

/* One datagram: a request when it was sent to TFTPD_PORT, else one that tftpd_claims(). */
void tftpd_input(struct tftpd *d, const struct tftpd_peer *peer, const uint8_t *bytes, size_t len,
		 uint64_t now_ms);
/* Whether peer->server is the port of a transfer of this guest's. */
bool tftpd_claims(const struct tftpd *d, const struct tftpd_peer *peer);
/* The guest has left: its transfers end at once. */
void tftpd_guest_gone(struct tftpd *d, uint32_t guest);

/* When tftpd_tick() is due: ms from now_ms, UINT64_MAX for never. */
uint64_t tftpd_next_ms(const struct tftpd *d, uint64_t now_ms);
void tftpd_tick(struct tftpd *d, uint64_t now_ms);

unsigned tftpd_transfers(const struct tftpd *d); /* running now */
const struct tftpd_counters *tftpd_counters(const struct tftpd *d);

#endif
