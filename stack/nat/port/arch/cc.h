/* lwIP's view of the compiler and the C library. */
#ifndef LWNAT_NAT_PORT_ARCH_CC_H
#define LWNAT_NAT_PORT_ARCH_CC_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#define LWIP_ERRNO_STDINCLUDE 1

/* lwIP's assertions state what our own code guarantees; input is checked before lwIP sees it. */
#define LWIP_PLATFORM_ASSERT(message)                                                              \
	do {                                                                                       \
		fprintf(stderr, "lwnat: lwIP: %s (%s:%d)\n", message, __FILE__, __LINE__);         \
		abort();                                                                           \
	} while (0)
#define LWIP_PLATFORM_DIAG(arguments)                                                              \
	do {                                                                                       \
		printf arguments;                                                                  \
	} while (0)

uint32_t lwip_port_rand(void);
#define LWIP_RAND() lwip_port_rand()

uint16_t lwip_port_chksum(const void *bytes, int len);

/* lwIP declares it only with LWIP_ICMP6, but names it always. See lwip_port.c. */
struct pbuf;
void icmp6_param_problem(struct pbuf *p, int code, const void *pointer);

#endif
