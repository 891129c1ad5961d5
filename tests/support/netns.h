/* A network of the test's own, where it is root: for what needs a sysctl or a router. */
#ifndef LWNAT_TESTS_SUPPORT_NETNS_H
#define LWNAT_TESTS_SUPPORT_NETNS_H

#include <stdbool.h>
#include <stdint.h>

/* Moves this process into new user and network namespaces, loopback up. false where that is
 * forbidden; stderr then says so. */
bool netns_enter(void);
/* Lets this process, and it alone, use ping sockets. */
bool netns_allow_ping(void);
/* A TUN device with 'addr4'/24: what the kernel sends to that net is read from the descriptor, what
 * is written there it receives. -1 where there is no /dev/net/tun; stderr then says so. */
int netns_tun(uint32_t addr4);

#endif
