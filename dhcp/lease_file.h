/* The lease file's text: one lease a line, of DHCPv4 and DHCPv6, as people read it. Text in,
 * records out, and back; the file itself is stack/app's. */
#ifndef LWNAT_DHCP_LEASE_FILE_H
#define LWNAT_DHCP_LEASE_FILE_H

#include "dhcp/dhcpd.h"
#include "stack/base/wire.h"

#include <stddef.h>
#include <stdint.h>

#define LEASE_DUID_MAX 130      /* bytes, RFC 8415 section 11.1 */
#define LEASE_FILE_LINE_MAX 512 /* bytes of the longest line, with its newline */
#define LEASE_FOR_EVER INT64_MAX

enum lease_record_kind { LEASE_RECORD_V4, LEASE_RECORD_V6 };

struct lease_record {
	enum lease_record_kind kind;
	struct addr addr;
	int64_t expires_s; /* seconds since 1970; in the past: kept for the client's return */
	char hostname[DHCPD_HOSTNAME_MAX]; /* "": none */
	struct mac mac;                    /* V4's identity, and the larger part of V6's */
	uint32_t iaid;                     /* V6: this and the DUID */
	uint8_t duid_len;                  /* bytes */
	uint8_t duid[LEASE_DUID_MAX];
};

/* What stands before the records and behind them. A file without its end is damaged. */
void lease_file_put_head(struct wire_out *out);
void lease_file_put(struct wire_out *out, const struct lease_record *record);
void lease_file_put_end(struct wire_out *out);

/* Calls 'take' for every line that is a record, also of a damaged file. 0, or the number of the
 * first line that cannot be understood (counted from 1; the one behind the last when the end is
 * missing). Lines that are empty or begin with '#' are passed over. */
unsigned lease_file_parse(const char *text, size_t len,
			  void (*take)(void *ctx, const struct lease_record *record), void *ctx);

#endif
