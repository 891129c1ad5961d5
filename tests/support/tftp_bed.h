/* The TFTP server with files that are made up, and what it has sent. */
#ifndef LWNAT_TESTS_TFTP_BED_H
#define LWNAT_TESTS_TFTP_BED_H

#include "tftp/tftpd.h"
#include "tftp/tftpd_msg.h"

#define TFTP_BED_SENT_MAX 256

struct tftp_bed_packet {
	struct tftpd_peer peer;
	uint16_t opcode, value; /* block number or error code */
	size_t len;             /* of it all */
	uint8_t bytes[2048];    /* its beginning */
};

struct tftp_bed {
	struct tftpd *d;
	struct tftpd_config config;
	struct rng rng;
	uint64_t now_ms;
	uint64_t size;     /* of the file "file" and of every name that begins with "file" */
	bool any_name;     /* every name is "file" */
	const char *text;  /* what is in "text"; NULL: there is none */
	int read_error;    /* what reading answers instead, when negative */
	unsigned open_n;   /* handles */
	unsigned opened_n; /* ever */
	struct tftp_bed_packet sent[TFTP_BED_SENT_MAX]; /* the last ones, oldest first */
	unsigned sent_n;
	unsigned events[4];
	char last_name[64]; /* of the last event that had one */
	const char *last_reason;
};

/* The byte of "file" at this offset. */
static inline uint8_t tftp_bed_byte(uint64_t offset)
{
	return (uint8_t)(offset * 31 + (offset >> 9) * 7 + (offset >> 25));
}

void tftp_bed_open(
    struct tftp_bed *bed); /* 1,500 bytes of MTU, 200 transfers, "file" of 1,000 bytes */
void tftp_bed_close(struct tftp_bed *bed); /* checks that nothing is left */

struct tftpd_peer tftp_bed_peer(uint32_t guest, uint16_t port);
/* A datagram to TFTPD_PORT. */
void tftp_bed_request(struct tftp_bed *bed, const struct tftpd_peer *peer, const void *bytes,
		      size_t len);
/* "name|mode|option|value...", the opcode put before it. */
void tftp_bed_ask(struct tftp_bed *bed, const struct tftpd_peer *peer, const char *words);
/* To where the answers come from. */
void tftp_bed_ack(struct tftp_bed *bed, const struct tftpd_peer *to, uint16_t block);
void tftp_bed_error(struct tftp_bed *bed, const struct tftpd_peer *to);
void tftp_bed_tick(struct tftp_bed *bed, uint64_t ms);
void tftp_bed_forget(struct tftp_bed *bed); /* what was sent */
const struct tftp_bed_packet *tftp_bed_last(const struct tftp_bed *bed);

#endif
