/* How lwIP is built into lwnat: a TCP/UDP engine for one connection at a time (see
 * stack/README.md), no routing, no neighbour tables, no timers of its own. Every value that differs
 * from lwIP's default says why. */
#ifndef LWNAT_NAT_PORT_LWIPOPTS_H
#define LWNAT_NAT_PORT_LWIPOPTS_H

#define NO_SYS 1
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS                                                                                \
	0 /* stack/nat/solo_timer.c calls the two TCP timers, per flow and only while needed */

/* Memory: the C library's. lwIP's own pools would make it kill connections when they run out. */
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define PBUF_POOL_BUFSIZE 256 /* unused, the smallest that compiles with the MSS below */
#define LWIP_SUPPORT_CUSTOM_PBUF 1

#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define LWIP_ARP 0
#define LWIP_ETHERNET 0
#define LWIP_ICMP 0
#define LWIP_ICMP6 0
#define LWIP_RAW 0
#define LWIP_IGMP 0
#define LWIP_IPV6_MLD 0
#define LWIP_ND6 0
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_IPV6_SCOPES 0
#define LWIP_DHCP 0
#define LWIP_DNS 0
#define LWIP_ACD 0
#define LWIP_SINGLE_NETIF 1
#define LWIP_NETIF_LOOPBACK 0
#define LWIP_HAVE_LOOPIF 0

/* Reassembly and fragmentation are lwIP's; its limits hold for each guest by itself (reass.h). A
 * 65,507 byte datagram at MTU 1500 is 45 fragments. */
#define IP_REASSEMBLY 1
#define IP_FRAG 1
#define IP_REASS_MAX_PBUFS 256
#define MEMP_NUM_REASSDATA 64
#define IP_REASS_MAXAGE 15 /* seconds */
#define IP_REASS_FREE_OLDEST 1
#define LWIP_IPV6_REASS 1
#define IPV6_REASS_MAXAGE IP_REASS_MAXAGE
#define IPV6_FRAG_COPYHEADER 1 /* pointers are longer than it could hide in a Fragment header */
#define LWIP_IPV6_FRAG 1

#define LWIP_UDP 1
#define LWIP_TCP 1
#define LWIP_CALLBACK_API 1
#define TCP_LISTEN_BACKLOG 0
#define SO_REUSE 0

/* Segments as large as IP carries: tcp_output.c cuts them to the guest's MSS (our own GSO),
 * tcp_merge.c glues what arrives (our own GRO). */
#define TCP_MSS 65495
#define TCP_WND (2 * 1024 * 1024) /* the ceiling; each flow's window is ours (tcp_relay.c) */
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 7
#define TCP_SND_BUF (8 * 1024 * 1024)
#define TCP_SND_QUEUELEN 0xffff
#define MEMP_NUM_TCP_SEG 0xffff
#define TCP_SNDLOWAT (64 * 1024 - 1)
#define TCP_OVERSIZE 0
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_BYTES (256 * 1024) /* out-of-order bytes kept per flow, as copies */
#define TCP_OOSEQ_MAX_PBUFS 256
#define LWIP_TCP_TIMESTAMPS 0 /* lwIP echoes but does not check them: no PAWS, so better none */
#define LWIP_TCP_SACK_OUT 0
#define LWIP_TCP_KEEPALIVE 1
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1

/* Ticks of 25 and 50 ms instead of 250 and 500: the guest is on this machine, a lost frame must not
 * cost 1.5 s. */
#define TCP_TMR_INTERVAL 25
#define LWIP_TCP_RTO_TIME 1000
/* TIME_WAIT and LAST_ACK end after 10 s: the link is local, the guest may be slow. */
#define TCP_MSL 5000UL
#define TCP_SYN_RCVD_TIMEOUT 20000

/* Frames come over a local socket or shared memory: their checksums are not verified, and
 * tcp_output.c fills in those of TCP when it cuts. Only what lwIP sends unaltered (UDP, fragments)
 * gets its checksum here. */
#define LWIP_CHECKSUM_ON_COPY 0
#define CHECKSUM_CHECK_IP 0
#define CHECKSUM_CHECK_TCP 0
#define CHECKSUM_CHECK_UDP 0
#define CHECKSUM_GEN_IP 1
#define CHECKSUM_GEN_TCP 0
#define CHECKSUM_GEN_UDP 1
#define LWIP_CHKSUM lwip_port_chksum

#define LWIP_HOOK_TCP_ISN lwip_port_tcp_isn
#define LWIP_HOOK_FILENAME "stack/nat/port/lwip_port.h"

#define LWIP_STATS 1 /* memory only: tests prove with it that nothing is left */
#define LINK_STATS 0
#define ETHARP_STATS 0
#define IP_STATS 0
#define IPFRAG_STATS 0
#define ICMP_STATS 0
#define UDP_STATS 0
#define TCP_STATS 0
#define MEM_STATS 0
#define SYS_STATS 0
#define IP6_STATS 0
#define ICMP6_STATS 0
#define IP6_FRAG_STATS 0
#define MIB2_STATS 0

#endif
