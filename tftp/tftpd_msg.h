/* TFTP's packets (RFC 1350) and the options of requests (RFC 2347, 2348, 2349, 7440). */
#ifndef LWNAT_TFTP_TFTPD_MSG_H
#define LWNAT_TFTP_TFTPD_MSG_H

#include "stack/base/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define TFTPD_HEADER_LEN 4  /* bytes before the data of a block */
#define TFTPD_BLKSIZE 512   /* RFC 1350: without the option */
#define TFTPD_BLKSIZE_MIN 8 /* RFC 2348 */
#define TFTPD_BLKSIZE_MAX 65464

enum tftpd_opcode {
	TFTPD_RRQ = 1,
	TFTPD_WRQ,
	TFTPD_DATA,
	TFTPD_ACK,
	TFTPD_ERROR,
	TFTPD_OACK,
};

enum tftpd_error {
	TFTPD_UNDEFINED = 0,
	TFTPD_NOT_FOUND = 1,
	TFTPD_ACCESS_VIOLATION = 2,
	TFTPD_ILLEGAL_OPERATION = 4,
	TFTPD_UNKNOWN_TID = 5,
};

enum tftpd_mode { TFTPD_OCTET, TFTPD_NETASCII, TFTPD_MODE_UNKNOWN };

/* What a request asks for. A number is 0 when its option is absent or out of its range: RFC 2347
 * has the server leave such an option out of its answer. */
struct tftpd_request {
	const char *name; /* in the packet, NUL-terminated, not empty */
	enum tftpd_mode mode;
	uint32_t blksize, timeout_s, windowsize;
	bool tsize;
};

/* Reads what follows the opcode. false: malformed. */
bool tftpd_request_read(struct tftpd_request *ret, struct wire_in *in);

/* What an OACK says; the numbers as above, tsize absent when 'has_tsize' is false. */
struct tftpd_options {
	uint32_t blksize, timeout_s, windowsize;
	uint64_t tsize; /* bytes */
	bool has_tsize;
};

bool tftpd_options_any(const struct tftpd_options *options);
void tftpd_write_oack(struct wire_out *out, const struct tftpd_options *options);
void tftpd_write_error(struct wire_out *out, enum tftpd_error error, const char *text);

#endif
