/* DHCPv4 server (RFC 2131, 2132) and BOOTP (RFC 951) for one subnet: bytes in, bytes out, time as a
 * number. */
#ifndef LWNAT_DHCP_DHCPD_H
#define LWNAT_DHCP_DHCPD_H

#include "stack/base/addr.h"
#include "stack/base/siphash.h"
#include "stack/base/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define DHCPD_RESERVED_MAX 72
#define DHCPD_HOSTNAME_MAX 64 /* bytes with NUL: one DNS label (RFC 1035) */

struct dhcpd_route { /* option 121, RFC 3442 */
	struct subnet to;
	struct addr via;
};

/* A guest whose address is fixed. Nobody else gets the address, nor the name. */
struct dhcpd_host {
	struct mac mac;
	struct addr addr; /* a host of the net, neither server nor dns */
	const char *name; /* a DNS label; NULL or "": the one the guest sends */
};

/* An option as it is sent; in place of what the server would say by itself. */
struct dhcpd_free_option {
	uint8_t code;
	uint16_t len; /* bytes; over 255 it is split (RFC 3396); 0: the option is left out */
	const uint8_t *value;
};

/* Who asks for a boot file. HTTP: option 60 begins with "HTTPClient" (UEFI section 24.7.3.1); it is
 * answered with option 60 again and a URL. IPXE: option 77 says "iPXE". PXE: everybody else. */
enum dhcpd_boot_client { DHCPD_BOOT_PXE, DHCPD_BOOT_IPXE, DHCPD_BOOT_HTTP };

#define DHCPD_BOOT_FILE_MAX 256 /* bytes of its name or URL, with NUL */
#define DHCPD_ARCH_ANY (-1)     /* also clients that send no option 93 */

/* A boot file for clients of one kind and architecture (option 93, RFC 4578 section 2.1; the
 * numbers are IANA's of RFC 5970). The entry of the client's own architecture goes before one for
 * any, an iPXE without an entry takes what a PXE client gets, and 'bootfile' below is for all
 * clients that no entry is for. */
struct dhcpd_boot {
	enum dhcpd_boot_client client;
	int arch;
	const char *file; /* or URL; at most 255 bytes */
};

struct dhcpd_config {
	struct subnet net;  /* IPv4, prefix 8-30 */
	struct addr server; /* the gateway: server identifier, and router unless 'no_router' */
	struct addr dns;
	const struct addr *reserved; /* never given out either: those of services */
	unsigned reserved_n;         /* at most DHCPD_RESERVED_MAX */
	struct addr
	    pool_first; /* dhcpstart; the pool runs from here to the last host of the net, then from
			   the net's first host up to here, without server and dns */
	bool no_router; /* restrict=on: QEMU sends no option 3 and 6 then */
	uint32_t lease_s;       /* 86400 */
	uint16_t mtu;           /* option 26; 0 leaves it out */
	const char *hostname;   /* QEMU hostname=: option 12 to every client; NULL: the client's own
				   name is echoed */
	const char *domainname; /* option 15, may be NULL */
	const char *const *search; /* option 119 (RFC 3397), 'search_n' names */
	unsigned search_n;
	const struct dhcpd_route *routes;
	unsigned routes_n;
	const struct dhcpd_host *hosts;
	unsigned hosts_n;
	const struct dhcpd_free_option *options;
	unsigned options_n;
	const char *bootfile; /* option 67 and 'file'; NULL */
	const struct dhcpd_boot *boots;
	unsigned boots_n;
	/* For clients that no entry is for: true and the file, "" for none at all; false:
	 * 'bootfile'. NULL: always that. Called inside dhcpd_input(). */
	bool (*boot_file)(void *ctx, enum dhcpd_boot_client client, int arch,
			  char ret[DHCPD_BOOT_FILE_MAX]);
	const char *tftp_server_name; /* option 66 and 'sname'; NULL */
	struct addr next_server; /* siaddr; unspecified: the server when there is a boot file */
	/* Whether an address is in use on the net by what else is known; NULL: nothing is. Called
	 * inside dhcpd_input(). */
	bool (*is_seen)(void *ctx, const struct addr *addr);
	void *ctx;
	uint32_t leases_max;         /* remembered clients, at most the size of the pool */
	struct siphash_key hash_key; /* random, so that no guest can choose collisions */
};

/* Where a message came from. */
struct dhcpd_sender {
	struct addr addr; /* source of the IP header: 0.0.0.0 or, renewing, the client's own */
	uint32_t port;    /* the guest NIC it came in by; 0: unknown, its leases are not limited */
};

enum dhcpd_verdict {
	DHCPD_IGNORED, /* well-formed but not for us, or not answerable (RFC 2131: stay silent) */
	DHCPD_MALFORMED,
	DHCPD_OFFERED,
	DHCPD_ACKED, /* also BOOTP replies */
	DHCPD_NAKED,
	DHCPD_INFORMED,
	DHCPD_RELEASED,
	DHCPD_DECLINED,
	DHCPD_POOL_EMPTY,
	DHCPD_VERDICTS, /* how many */
};

/* Where the reply goes (RFC 2131 section 4.1): always to 'mac' or the Ethernet broadcast address.
 */
struct dhcpd_reply {
	struct wire_out bytes; /* in: room for the message (576 bytes or more); out: the message,
				  empty when there is none */
	struct addr to;        /* 255.255.255.255, ciaddr or yiaddr; UDP port 68 */
	struct mac to_mac;     /* ff:ff:ff:ff:ff:ff for broadcast */
	struct mac client_mac; /* chaddr, for logs and the neighbour table */
	struct addr leased;    /* ACKED: the address that is the client's now; else unspecified */
};

struct dhcpd_lease {
	struct addr addr;
	struct mac mac;
	char hostname[DHCPD_HOSTNAME_MAX]; /* lower case, valid as a DNS label; empty when the
					      client sent none or a bad one */
	uint64_t expires_ms;
	bool active;   /* acknowledged and not released or declined; expiry is expires_ms */
	bool fixed;    /* of the config's hosts; may never have been asked for */
	uint32_t port; /* dhcpd_sender.port of the last message; 0: unknown, or gone */
};

struct dhcpd_counters {
	uint64_t verdicts[DHCPD_VERDICTS];
};

struct dhcpd;

/* Allocates everything the server will ever use and copies the config. 0, -ENOMEM, or -EINVAL for a
 * bad config. */
int dhcpd_new(struct dhcpd **ret, const struct dhcpd_config *config);
void dhcpd_free(struct dhcpd *server); /* NULL is fine */

/* Handles one UDP payload received on port 67. */
enum dhcpd_verdict dhcpd_input(struct dhcpd *server, struct wire_in request,
			       const struct dhcpd_sender *sender, uint64_t now_ms,
			       struct dhcpd_reply *reply);
/* A guest NIC has gone: its offers end, its leases are the first that a full pool takes back. */
void dhcpd_port_gone(struct dhcpd *server, uint32_t port, uint64_t now_ms);

/* A lease of an earlier life of the server: 'addr', 'mac', 'hostname', 'active' and 'expires_ms'
 * count; the one that expires first is restored first. 0; -EINVAL when the address is none to give;
 * -EEXIST when the address or the MAC has another lease; -ENOSPC. */
int dhcpd_restore(struct dhcpd *server, const struct dhcpd_lease *lease, uint64_t now_ms);
/* Another number than before: a lease was made, extended or ended since. */
uint64_t dhcpd_changes(const struct dhcpd *server);

/* Leases that are active at now_ms, and by name also those of hosts whose name is fixed; NULL when
 * there is none. Valid until the next dhcpd_input(). */
const struct dhcpd_lease *dhcpd_lease_by_name(const struct dhcpd *server, const char *hostname,
					      uint64_t now_ms);
const struct dhcpd_lease *dhcpd_lease_by_addr(const struct dhcpd *server, const struct addr *addr,
					      uint64_t now_ms);
/* Walks all remembered leases and all fixed ones: start with *cursor = 0; NULL at the end. */
const struct dhcpd_lease *dhcpd_lease_next(const struct dhcpd *server, uint32_t *cursor);
const struct dhcpd_counters *dhcpd_counters(const struct dhcpd *server);

#endif
