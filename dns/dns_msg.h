/* DNS messages on the wire (RFC 1035 section 4, EDNS of RFC 6891): queries taken apart, pieces of
 * replies written. Names stay in wire form; upstream answers are never taken apart. */
#ifndef LWNAT_DNS_DNS_MSG_H
#define LWNAT_DNS_DNS_MSG_H

#include "stack/base/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define DNS_HEADER_LEN 12
#define DNS_NAME_MAX 255      /* bytes on the wire, with the root's zero (RFC 1035 section 3.1) */
#define DNS_LABEL_TEXT_MAX 64 /* bytes, with NUL */
#define DNS_UDP_PLAIN_MAX 512 /* bytes by UDP without EDNS (RFC 1035 section 4.2.1) */

#define DNS_FLAG_QR 0x8000u
#define DNS_FLAG_OPCODE 0x7800u
#define DNS_FLAG_AA 0x0400u
#define DNS_FLAG_TC 0x0200u
#define DNS_FLAG_RD 0x0100u
#define DNS_FLAG_RA 0x0080u
#define DNS_FLAG_AD 0x0020u
#define DNS_FLAG_CD 0x0010u
#define DNS_FLAG_RCODE 0x000fu

enum dns_type {
	DNS_TYPE_A = 1,
	DNS_TYPE_NS = 2,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_OPT = 41,
	DNS_TYPE_DS = 43,
	DNS_TYPE_DNSKEY = 48,
	DNS_TYPE_TKEY = 249, /* the first of those that ask for a dialogue, not for data */
	DNS_TYPE_MAILA = 254,
	DNS_TYPE_ANY = 255,
};

enum dns_class { DNS_CLASS_IN = 1 };

enum dns_rcode {
	DNS_RCODE_NOERROR = 0,
	DNS_RCODE_FORMERR = 1,
	DNS_RCODE_SERVFAIL = 2,
	DNS_RCODE_NXDOMAIN = 3,
	DNS_RCODE_NOTIMP = 4,
	DNS_RCODE_REFUSED = 5,
	DNS_RCODE_BADVERS = 16, /* its upper bits travel in the OPT record */
};

struct dns_header {
	uint16_t id;
	uint16_t flags;
	uint16_t question_n, answer_n, authority_n, additional_n;
};

struct dns_name {
	uint8_t len; /* 0: no name; the root is 1 */
	uint8_t wire[DNS_NAME_MAX];
};

struct dns_edns {
	bool present;
	bool dnssec_ok;
	uint8_t version;
	uint16_t udp_size; /* bytes the sender takes by UDP */
};

struct dns_query {
	struct dns_header header;
	struct dns_name name; /* of the question, letters as sent; len 0 when there is none */
	uint16_t type, class;
	struct dns_edns edns;
};

enum dns_verdict {
	DNS_QUERY_OK,
	DNS_QUERY_NOT_ONE,        /* a response, or shorter than a header: nothing may answer it */
	DNS_QUERY_UNKNOWN_OPCODE, /* only the header is filled */
	DNS_QUERY_MALFORMED, /* the header is filled, the question when its name has a length */
};

/* Reads a whole query: one question, records that can be walked, at most one OPT. */
enum dns_verdict dns_query_get(struct wire_in in, struct dns_query *ret);

/* A name without compression; 'in' becomes bad when there is none. */
void dns_name_get(struct wire_in *in, struct dns_name *ret);
/* "web.example" or "web.example."; false for empty or overlong labels and overlong names. */
bool dns_name_parse(const char *text, struct dns_name *ret);
/* a.b, where a loses its root; false when that gets too long. */
bool dns_name_join(const struct dns_name *a, const struct dns_name *b, struct dns_name *ret);
/* Letters without case (RFC 4343). */
bool dns_name_eq(const struct dns_name *a, const struct dns_name *b);
/* The bytes of 'name' before 'suffix' starts in it, at a label's edge; -1 when it does not end so.
 */
int dns_name_suffix(const struct dns_name *name, const struct dns_name *suffix);
/* The label at byte 'at', as text in lower case; false unless it is letters, digits, '-' or '_'. */
bool dns_name_label(const struct dns_name *name, unsigned at, char ret[DNS_LABEL_TEXT_MAX]);
/* Wire bytes that may differ in the case of letters: length bytes are below 'A', so they compare
 * exactly. */
bool dns_bytes_eq_nocase(const uint8_t *a, const uint8_t *b, size_t len);

void dns_bytes_lower(uint8_t *bytes, size_t len);

/* A record of an answer. Its name may be compressed and is passed over. */
struct dns_record {
	uint16_t type, class;
	uint32_t ttl;          /* seconds; RFC 2181 section 8: 0 when its top bit is set */
	const uint8_t *ttl_at; /* in the message */
	struct wire_in data;
};
bool dns_record_get(struct wire_in *in, struct dns_record *ret);
/* The last number of an SOA record's data: how long "there is none" may be kept (RFC 2308). */
bool dns_soa_minimum(struct wire_in data, uint32_t *ret);

void dns_header_get(struct wire_in *in, struct dns_header *ret);
void dns_header_put(struct wire_out *out, const struct dns_header *header);
void dns_question_put(struct wire_out *out, const struct dns_query *query);
/* An OPT record without options; 'rcode' gives it the upper bits of the extended code. */
void dns_opt_put(struct wire_out *out, uint16_t udp_size, bool dnssec_ok, unsigned rcode);

/* Writes the query as it goes upstream, under another id. OPT is between neighbours and not to be
 * forwarded (RFC 6891 section 6.1.1): the client's is replaced by a bare one that ends the message.
 * True when the result ends in such an OPT; everything else goes as it came. */
bool dns_query_put_upstream(struct wire_in query, uint16_t id, uint16_t udp_size,
			    struct wire_out *out);

#endif
