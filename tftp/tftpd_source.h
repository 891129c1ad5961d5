/* A file as the blocks of a transfer: octets as they are, or netascii (RFC 764, RFC 1350: LF is
 * sent as CR LF, CR as CR NUL). */
#ifndef LWNAT_TFTP_TFTPD_SOURCE_H
#define LWNAT_TFTP_TFTPD_SOURCE_H

#include "tftp/tftpd.h"

/* A place between two bytes of what is sent. */
struct tftpd_place {
	uint64_t offset; /* in the file, bytes */
	bool has_second; /* 'second' comes next: the other half of a pair */
	uint8_t second;
};

struct tftpd_source {
	const struct tftpd_files *files;
	void *ctx;
	int file;
	bool netascii;
};

/* Fills 'bytes' from *place on and moves it. The length, shorter than 'len' only at the end, or a
 * negative errno. */
long tftpd_source_read(const struct tftpd_source *source, struct tftpd_place *place, uint8_t *bytes,
		       size_t len);

#endif
