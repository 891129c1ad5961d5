/* A route on which TCP is patient: rtnetlink's words that busybox's ip does not know. */
#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nettool.h"

/* A request to the kernel for a route of its own to a neighbour. */
struct route_request {
	struct nlmsghdr header;
	struct rtmsg route;
	struct {
		struct rtattr to_attr;
		struct in_addr to;
		struct rtattr interface_attr;
		uint32_t interface;
		struct rtattr metrics_attr;
		struct rtattr lock_attr;
		uint32_t lock;
		struct rtattr rto_min_attr;
		uint32_t rto_min_ms;
	} attrs;
};

#define ATTR(type, len) ((struct rtattr){(unsigned short)(RTA_LENGTH(len)), type})

/* The least time after which the guest's TCP sends again what nobody has acknowledged: a minute in
 * place of 200 ms, which the other side may need on a busy machine. */
int route_patient(const char *interface, const char *ipv4)
{
	struct route_request r = {
	    .header = {.nlmsg_len = sizeof(r),
		       .nlmsg_type = RTM_NEWROUTE,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK},
	    .route = {.rtm_family = AF_INET,
		      .rtm_dst_len = 32,
		      .rtm_table = RT_TABLE_MAIN,
		      .rtm_protocol = RTPROT_STATIC,
		      .rtm_scope = RT_SCOPE_LINK,
		      .rtm_type = RTN_UNICAST},
	    .attrs = {ATTR(RTA_DST, 4),
		      {inet_addr(ipv4)},
		      ATTR(RTA_OIF, 4),
		      if_nametoindex(interface),
		      ATTR(RTA_METRICS, 16),
		      ATTR(RTAX_LOCK, 4),
		      1u << RTAX_RTO_MIN,
		      ATTR(RTAX_RTO_MIN, 4),
		      60000}};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		uint8_t rest[512];
	} reply;
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	if (fd < 0 || send(fd, &r, sizeof(r), 0) < 0 ||
	    recv(fd, &reply, sizeof(reply), 0) < (ssize_t)NLMSG_LENGTH(sizeof(reply.error)))
		return 1;
	close(fd);
	if (reply.error.error != 0)
		fprintf(stderr, "nettool: route: %s\n", strerror(-reply.error.error));
	return reply.error.error != 0;
}
