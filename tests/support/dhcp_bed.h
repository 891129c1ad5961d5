/* A DHCP server with a clock and a reply buffer, for tests that speak with it as clients. */
#ifndef LWNAT_TESTS_DHCP_BED_H
#define LWNAT_TESTS_DHCP_BED_H

#include "tests/support/dhcp_client.h"

#define DHCP_BED_NET 0xc0a81f00u    /* 192.168.31.0/24 */
#define DHCP_BED_SERVER 0xc0a81f02u /* .2 */
#define DHCP_BED_DNS 0xc0a81f03u    /* .3 */
#define DHCP_BED_FIRST 0xc0a81f64u  /* .100 */
#define DHCP_BED_LEASE_MS (UINT64_C(86400) * 1000)

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };

struct dhcp_bed {
	struct dhcpd *server;
	uint64_t now_ms;
	uint32_t port; /* that messages come in by; 0: unknown */
	size_t room;   /* bytes of 'buffer' that the server is given */
	uint8_t buffer[2048];
	struct dhcpd_reply reply; /* the last one */
};

struct dhcpd_config dhcp_bed_config(void);
void dhcp_bed_open(struct dhcp_bed *bed, const struct dhcpd_config *config); /* NULL: the above */
void dhcp_bed_close(struct dhcp_bed *bed);
/* Forgets all leases, as a server that was started again. */
void dhcp_bed_restart(struct dhcp_bed *bed);

/* Hands the bytes over in a buffer of exactly their size and checks that the reply stays in its. */
enum dhcpd_verdict dhcp_bed_send(struct dhcp_bed *bed, struct wire_in message);
enum dhcpd_verdict dhcp_bed_send_built(struct dhcp_bed *bed, struct dhcp_built *m);
/* 'addr' 0: no such option. */
enum dhcpd_verdict dhcp_bed_discover(struct dhcp_bed *bed, uint32_t n, uint32_t addr);
enum dhcpd_verdict dhcp_bed_select(struct dhcp_bed *bed, uint32_t n, uint32_t addr);
enum dhcpd_verdict dhcp_bed_reboot(struct dhcp_bed *bed, uint32_t n, uint32_t addr);
enum dhcpd_verdict dhcp_bed_renew(struct dhcp_bed *bed, uint32_t n, uint32_t addr);
enum dhcpd_verdict dhcp_bed_release(struct dhcp_bed *bed, uint32_t n, uint32_t addr);
enum dhcpd_verdict dhcp_bed_decline(struct dhcp_bed *bed, uint32_t n, uint32_t addr);
/* DISCOVER and REQUEST with a host name (NULL: none); the address, or 0. */
uint32_t dhcp_bed_boot_named(struct dhcp_bed *bed, uint32_t n, const char *name);
uint32_t dhcp_bed_boot(struct dhcp_bed *bed, uint32_t n);

#endif
