/* Whether the host reaches the IPv6 Internet: in a network of the test's own, where routes come and
 * go. */
#include "stack/host/host_routes.h"
#include "tests/support/netns.h"
#include "tests/support/suite.h"

#include <check.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uv_loop_t loop;
static unsigned changes;
static bool last;

static void on_changed(void *ctx, bool online6)
{
	(void)ctx;
	changes++;
	last = online6;
	uv_stop(&loop);
}

struct request {
	struct nlmsghdr header;
	union {
		struct ifaddrmsg addr;
		struct rtmsg route;
	} body;
	char attributes[64];
};

static void put(struct request *r, unsigned short type, const void *value, unsigned short len)
{
	struct rtattr attr = {(unsigned short)RTA_LENGTH(len), type};
	char *at = (char *)r + NLMSG_ALIGN(r->header.nlmsg_len);

	memcpy(at, &attr, sizeof(attr));
	memcpy(at + RTA_LENGTH(0), value, len);
	r->header.nlmsg_len = (unsigned)NLMSG_ALIGN(r->header.nlmsg_len) + RTA_ALIGN(attr.rta_len);
}

/* 0 or a negative errno. */
static int ask_kernel(struct request *r)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[256];
	} reply;

	r->header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	ck_assert_int_gt(send(fd, r, r->header.nlmsg_len, 0), 0);
	ck_assert_int_gt(recv(fd, &reply, sizeof(reply), 0), 0);
	close(fd);
	return reply.error.error;
}

/* 2001:db8::1/64 on the loopback, which is as good as any interface. */
static int add_address(void)
{
	static const unsigned char addr[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
	struct request r = {.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)),
				       .nlmsg_type = RTM_NEWADDR,
				       .nlmsg_flags = NLM_F_CREATE}};

	r.body.addr = (struct ifaddrmsg){.ifa_family = AF_INET6,
					 .ifa_prefixlen = 64,
					 .ifa_flags = IFA_F_NODAD,
					 .ifa_index = if_nametoindex("lo")};
	put(&r, IFA_LOCAL, addr, sizeof(addr));
	return ask_kernel(&r);
}

static int default_route(unsigned short type)
{
	struct request r = {.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
				       .nlmsg_type = type,
				       .nlmsg_flags = type == RTM_NEWROUTE ? NLM_F_CREATE : 0}};
	unsigned index = if_nametoindex("lo");

	r.body.route = (struct rtmsg){.rtm_family = AF_INET6,
				      .rtm_table = RT_TABLE_MAIN,
				      .rtm_protocol = RTPROT_STATIC,
				      .rtm_scope = RT_SCOPE_UNIVERSE,
				      .rtm_type = RTN_UNICAST};
	put(&r, RTA_OIF, &index, sizeof(index));
	return ask_kernel(&r);
}

START_TEST(test_the_answer_follows_the_default_route)
{
	struct host_routes *routes;
	int result;

	if (!netns_enter())
		return;
	uv_loop_init(&loop);
	ck_assert_int_eq(host_routes_new(&routes, &loop, on_changed, NULL), 0);
	ck_assert(!host_routes_online6(routes));
	result = add_address();
	if (result == 0)
		result = default_route(RTM_NEWROUTE);
	if (result == -EOPNOTSUPP || result == -EACCES) {
		fprintf(stderr, "this host has no IPv6: this test was left out\n");
	} else {
		ck_assert_int_eq(result, 0);
		uv_run(&loop, UV_RUN_DEFAULT);
		ck_assert_uint_eq(changes, 1);
		ck_assert(last && host_routes_online6(routes));
		ck_assert_int_eq(default_route(RTM_DELROUTE), 0);
		uv_run(&loop, UV_RUN_DEFAULT);
		ck_assert_uint_eq(changes, 2);
		ck_assert(!last && !host_routes_online6(routes));
	}
	host_routes_close(routes);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

START_TEST(test_nothing_is_a_handle_to_close)
{
	host_routes_close(NULL);
}
END_TEST

int main(void)
{
	return SUITE_RUN("host_routes", test_the_answer_follows_the_default_route,
			 test_nothing_is_a_handle_to_close);
}
