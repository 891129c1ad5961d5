/* A network of the test's own, where it is root: for what needs a sysctl or a router. */
#ifndef LWNAT_TESTS_SUPPORT_NETNS_H
#define LWNAT_TESTS_SUPPORT_NETNS_H

#include "stack/base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETNS_TUN 0x0a090001u    /* 10.9.0.1/24, ours */
#define NETNS_FAR 0x0a090002u    /* behind the TUN device */
#define NETNS_ROUTER 0x0a090063u /* who reports errors there */

/* Moves this process into new user and network namespaces, loopback up. false where that is
 * forbidden; stderr then says so. */
bool netns_enter(void);
/* Lets this process, and it alone, use ping sockets. */
bool netns_allow_ping(void);
/* A TUN device with NETNS_TUN: what the kernel sends to that net is read from the descriptor, what
 * is written there it receives. -1 where there is no /dev/net/tun; stderr then says so. */
int netns_tun(void);
/* Addresses of both families: the device's own, behind it, and who reports errors there. For IPv6
 * they are fd00:9::1, ::2 and ::63, in a /64. */
struct netns_places {
	struct addr self, far, router;
};
struct netns_places netns_places(bool v6);
/* The next IPv4 packet that the host sent through the device; its length. */
size_t netns_next_packet(int tun, uint8_t *ret, size_t len);
/* Answers an IPv4 packet with an ICMP error from NETNS_ROUTER; 'rest' is the header's second half.
 */
void netns_answer_icmp(int tun, const uint8_t *packet, size_t len, unsigned type_and_code,
		       uint32_t rest);

/* The same for IPv6. */
size_t netns_next_packet6(int tun, uint8_t *ret, size_t len);
void netns_answer_icmp6(int tun, const uint8_t *packet, size_t len, unsigned type_and_code,
			uint32_t rest);

#endif
