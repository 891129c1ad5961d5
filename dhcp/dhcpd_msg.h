/* BOOTP and DHCP messages on the wire (RFC 951; RFC 2131 section 2; RFC 2132): a request read into
 * a struct, a reply written option by option. Addresses are host-order integers here; 0 is "none".
 */
#ifndef LWNAT_DHCP_DHCPD_MSG_H
#define LWNAT_DHCP_DHCPD_MSG_H

#include "dhcp/dhcpd.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DHCPD_MSG_MIN 300 /* bytes of UDP payload: RFC 951's fixed size; shorter ones get lost */
/* What every client takes: 576 less IP and UDP headers (RFC 2131 section 2). */
#define DHCPD_MSG_576 548
#define DHCPD_MSG_MAX 1472 /* what fits an Ethernet frame in one piece */
#define DHCPD_FLAG_BROADCAST 0x8000

enum dhcpd_op { DHCPD_BOOTREQUEST = 1, DHCPD_BOOTREPLY = 2 };

enum dhcpd_type {                  /* option 53 */
		  DHCPD_BOOTP = 0, /* no option 53: RFC 1534 */
		  DHCPD_DISCOVER = 1,
		  DHCPD_OFFER = 2,
		  DHCPD_REQUEST = 3,
		  DHCPD_DECLINE = 4,
		  DHCPD_ACK = 5,
		  DHCPD_NAK = 6,
		  DHCPD_RELEASE = 7,
		  DHCPD_INFORM = 8,
};

enum dhcpd_code { /* RFC 2132 unless said */
		  DHCPD_OPT_PAD = 0,
		  DHCPD_OPT_MASK = 1,
		  DHCPD_OPT_ROUTER = 3,
		  DHCPD_OPT_DNS = 6,
		  DHCPD_OPT_HOSTNAME = 12,
		  DHCPD_OPT_DOMAIN = 15,
		  DHCPD_OPT_MTU = 26,
		  DHCPD_OPT_BROADCAST = 28,
		  DHCPD_OPT_REQUESTED_ADDR = 50,
		  DHCPD_OPT_LEASE_TIME = 51,
		  DHCPD_OPT_OVERLOAD = 52,
		  DHCPD_OPT_TYPE = 53,
		  DHCPD_OPT_SERVER_ID = 54,
		  DHCPD_OPT_PARAMS = 55,
		  DHCPD_OPT_MESSAGE = 56,
		  DHCPD_OPT_MAX_LEN = 57,
		  DHCPD_OPT_T1 = 58,
		  DHCPD_OPT_T2 = 59,
		  DHCPD_OPT_VENDOR_CLASS = 60,
		  DHCPD_OPT_CLIENT_ID = 61,
		  DHCPD_OPT_TFTP_NAME = 66,
		  DHCPD_OPT_BOOTFILE = 67,
		  DHCPD_OPT_USER_CLASS = 77, /* RFC 3004 */
		  DHCPD_OPT_FQDN = 81,       /* RFC 4702 */
		  DHCPD_OPT_RELAY = 82,      /* RFC 3046 */
		  DHCPD_OPT_ARCH = 93,       /* RFC 4578 section 2.1 */
		  DHCPD_OPT_SEARCH = 119,    /* RFC 3397 */
		  DHCPD_OPT_ROUTES = 121,    /* RFC 3442 */
		  DHCPD_OPT_END = 255,
};

/* The options of a message in the order of RFC 3396: the options field, then 'file' and 'sname'
 * when option 52 says that they hold options too. */
struct dhcpd_options {
	struct wire_in areas[3]; /* options, file, sname */
	unsigned area;
	uint8_t overload; /* option 52 as met so far */
	bool bad;         /* an option reaches beyond its field */
};

struct dhcpd_option {
	const uint8_t *value;
	uint8_t code;
	uint8_t len;
};

/* The next option, without pads and ends; false at the end, or when the rest is bad. */
bool dhcpd_options_next(struct dhcpd_options *options, struct dhcpd_option *ret);

struct dhcpd_request { /* pointers are into the message */
	uint32_t len;  /* bytes of UDP payload */
	uint8_t op;
	enum dhcpd_type type; /* or a number that RFC 2131 does not know */
	uint32_t xid;
	uint16_t flags;
	uint32_t ciaddr, giaddr;
	struct mac chaddr;
	uint32_t requested_addr;
	uint32_t server_id;
	uint32_t payload_max;  /* bytes that the reply may have: option 57 less headers, clamped */
	const uint8_t *params; /* option 55 */
	uint8_t params_n;
	const uint8_t *client_id; /* option 61 */
	uint8_t client_id_len;
	char hostname[DHCPD_HOSTNAME_MAX];  /* options 12 or 81, cleaned; "" */
	enum dhcpd_boot_client boot_client; /* options 60 and 77 */
	int arch;                           /* option 93's first; DHCPD_ARCH_ANY when not sent */
};

/* False when the message is malformed; then *ret holds nothing to rely on. */
bool dhcpd_request_read(struct wire_in message, struct dhcpd_request *ret);

/* Makes a DNS label of a name that a guest sent: its first label in lower case. "" when that has
 * anything but letters, digits and inner hyphens, is over 63 long, or is a name no guest may take.
 */
void dhcpd_hostname_clean(const void *name, size_t len, char ret[DHCPD_HOSTNAME_MAX]);

struct dhcpd_reply_head {
	const struct dhcpd_request *request; /* xid, flags, giaddr and chaddr are its own */
	uint32_t ciaddr, yiaddr, siaddr;
	const char *sname, *file; /* NULL or too long: left empty */
};

/* A reply being written. Options go to the first field with room: the options field, then those
 * that were made free for them. */
struct dhcpd_writer {
	struct wire_out fields[3]; /* options, file, sname */
	unsigned fields_n;
	size_t payload_max;
	uint8_t *start;
	bool spread; /* set by the caller: fill the fullest field that has room, to keep the options
			field for the long ones */
	bool lost;   /* an option did not fit */
};

/* 'payload_max' is at least DHCPD_MSG_MIN, and there are that many bytes at 'start'. 'overload':
 * also use those of 'sname' and 'file' that the head leaves empty. */
void dhcpd_writer_begin(struct dhcpd_writer *writer, uint8_t *start, size_t payload_max,
			const struct dhcpd_reply_head *head, bool overload);
/* All of the option or nothing of it; over 255 bytes it becomes several (RFC 3396). */
void dhcpd_writer_put(struct dhcpd_writer *writer, uint8_t code, const void *value, size_t len);
/* Ends and pads the message; returns its length in bytes. */
size_t dhcpd_writer_end(struct dhcpd_writer *writer);

#endif
