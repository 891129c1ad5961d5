/* A scripted DNS server on the loop: UDP and TCP on one port of a loopback address. */
#ifndef LWNAT_TESTS_FAKE_DNS_H
#define LWNAT_TESTS_FAKE_DNS_H

#include "stack/base/addr.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum fake_dns_mode {
	FAKE_DNS_ANSWER, /* one A record, 192.0.2.<mark> */
	FAKE_DNS_SILENT,
	FAKE_DNS_RCODE,                /* 'rcode' alone */
	FAKE_DNS_WRONG_ID_FIRST,       /* then the right answer */
	FAKE_DNS_WRONG_QUESTION_FIRST, /* then the right answer */
	FAKE_DNS_TRUNCATED,            /* TC by UDP, 'tcp_len' bytes by TCP */
	FAKE_DNS_PADDED,               /* 'udp_len' bytes by UDP */
};

struct fake_dns {
	uv_udp_t udp;
	uv_tcp_t tcp;
	struct endpoint endpoint;
	enum fake_dns_mode mode;
	uint8_t rcode, mark;
	uint16_t udp_len, tcp_len;
	unsigned udp_queries, tcp_queries;
	uint16_t last_udp_size; /* of the OPT in the last query; 0: none */
};

/* port 0: any. Handles do not keep the loop alive. Returns 0 or a negative errno. */
int fake_dns_open(struct fake_dns *ret, uv_loop_t *loop, const char *addr, uint16_t port);
void fake_dns_close(struct fake_dns *fake);

#endif
