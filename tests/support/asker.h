/* A guest at the real program that asks DHCP and DNS, and the name server that the program asks. */
#ifndef LWNAT_TESTS_ASKER_H
#define LWNAT_TESTS_ASKER_H

#include "stack/base/wire.h"
#include "tests/support/dhcp_client.h"
#include "tests/support/frames.h"
#include "tests/support/packet.h"
#include "tests/support/process.h"

#include <netinet/in.h>

enum { TYPE_A = 1, TYPE_PTR = 12, TYPE_AAAA = 28 };

#define ASKER_PORT 40000
#define DNS_PORT 53

struct asker {
	int fd;
	uint32_t n; /* its MAC is dhcp_client_mac(n) */
	struct addr addr;
	uint8_t frame[2048]; /* the last one received */
	struct packet packet;
	uint8_t option[1500];
};

/* The next UDP datagram to 'port'; what else comes is passed over. */
struct wire_out asker_receive_udp(struct asker *g, uint16_t port);
struct frames_ends asker_ends(const struct asker *g, const struct addr *dst);
void asker_send_udp(struct asker *g, const struct addr *dst, struct frames_ports ports,
		    struct iovec payload);

/* Sends it with a list of wanted options, and waits for the reply. */
struct wire_out asker_dhcp(struct asker *g, struct dhcp_built *request);
/* DISCOVER and REQUEST; the ACK. 'name' may be NULL. */
struct wire_out asker_lease(struct asker *g, const char *name);
void asker_assert_text(struct asker *g, const struct wire_out *reply, uint8_t code,
		       const char *text);

size_t dns_query_build(uint8_t *bytes, size_t max, const char *name, uint16_t type);
/* The answer has one record, which ends with 'data'. */
void dns_assert_answer(const uint8_t *bytes, size_t len, const void *data, size_t data_len);
/* By UDP, of 10.0.2.3; the answer is the payload of 'packet'. */
void asker_ask(struct asker *g, const char *name, uint16_t type);
uint16_t asker_rcode(const struct asker *g);

/* A name server that the test plays. */
struct upstream {
	int fd;
	uint8_t query[600];
	size_t len;
	struct sockaddr_in from;
};

/* 'line' becomes the arguments that make the program ask it; NULL where that is done by hand. */
uint16_t upstream_open(struct upstream *u, char *line, size_t line_max);
void upstream_take(struct upstream *u);
/* NXDOMAIN, with the query's own bytes. */
void upstream_refuse(struct upstream *u);
/* One A record with these four bytes. */
void upstream_answer(struct upstream *u, uint32_t ttl, uint32_t v4);

#endif
