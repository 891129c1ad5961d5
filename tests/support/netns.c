#include "tests/support/netns.h"

#include "stack/base/checksum.h"
#include "stack/base/wire.h"
#include "stack/host/sockaddr.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool interface_request(unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && ioctl(fd, request, ifr) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool interface_up(const char *name)
{
	struct ifreq ifr = {0};

	strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	if (!interface_request(SIOCGIFFLAGS, &ifr))
		return false;
	ifr.ifr_flags |= IFF_UP;
	return interface_request(SIOCSIFFLAGS, &ifr);
}

static bool interface_address(unsigned long request, const char *name, uint32_t addr4)
{
	struct endpoint at = {addr_v4(addr4), 0};
	struct sockaddr_storage name4;
	struct ifreq ifr = {0};

	host_sockaddr_from(&at, &name4);
	strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	memcpy(&ifr.ifr_addr, &name4, sizeof(ifr.ifr_addr));
	return interface_request(request, &ifr);
}

bool netns_enter(void)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[64];
	bool ok = unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;

	snprintf(map, sizeof(map), "0 %u 1", uid);
	ok = ok && write_file("/proc/self/uid_map", map);
	ok = ok && write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", gid);
	ok = ok && write_file("/proc/self/gid_map", map);
	ok = ok && interface_up("lo");
	if (!ok)
		fprintf(stderr, "no network namespace (%s): this test was left out\n",
			strerror(errno));
	return ok;
}

bool netns_allow_ping(void)
{
	return write_file("/proc/sys/net/ipv4/ping_group_range", "0 0");
}

struct netns_places netns_places(bool v6)
{
	struct netns_places places = {addr_v4(NETNS_TUN), addr_v4(NETNS_FAR),
				      addr_v4(NETNS_ROUTER)};

	if (v6) {
		places.self = (struct addr){{0xfd, 0, 0, 9, [15] = 1}};
		places.far = (struct addr){{0xfd, 0, 0, 9, [15] = 2}};
		places.router = (struct addr){{0xfd, 0, 0, 9, [15] = 0x63}};
	}
	return places;
}

/* Best effort: a kernel may have no IPv6. */
static void interface_address6(const char *name)
{
	char path[64];
	struct addr self = netns_places(true).self;
	struct in6_ifreq request = {.ifr6_prefixlen = 64,
				    .ifr6_ifindex = (int)if_nametoindex(name)};
	struct sockaddr_in6 at = {.sin6_family = AF_INET6};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&at.sin6_addr, self.b, sizeof(at.sin6_addr));
	memcpy(&request.ifr6_addr, self.b, sizeof(request.ifr6_addr));
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_dad", name);
	write_file(path, "0");
	bool ok = fd >= 0 && ioctl(fd, SIOCSIFADDR, &request) == 0;

	if (!ok)
		fprintf(stderr, "no IPv6 address for %s: %s\n", name, strerror(errno));
	/* Until the kernel has found that nobody else has it, it is no source. */
	for (int tries = 0; tries < 1000 && ok; tries++) {
		if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
			break;
		usleep(10000);
	}
	if (fd >= 0)
		close(fd);
}

int netns_tun(void)
{
	struct ifreq ifr = {.ifr_name = "tun0", .ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) == 0 &&
	    interface_address(SIOCSIFADDR, "tun0", NETNS_TUN) &&
	    interface_address(SIOCSIFNETMASK, "tun0", 0xffffff00) && interface_up("tun0")) {
		interface_address6("tun0");
		return fd;
	}
	fprintf(stderr, "no TUN device (%s): this test was left out\n", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

size_t netns_next_packet(int tun, uint8_t *ret, size_t len)
{
	ssize_t n;

	do
		n = read(tun, ret, len);
	while (n > 0 && ret[0] >> 4 != 4);
	ck_assert_int_gt(n, 20);
	return (size_t)n;
}

void netns_answer_icmp(int tun, const uint8_t *packet, size_t len, unsigned type_and_code,
		       uint32_t rest)
{
	struct addr to = addr_v4(NETNS_TUN), from = addr_v4(NETNS_ROUTER);
	uint8_t bytes[600];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	len = len < 500 ? len : 500;
	wire_put_u16(&out, 0x4500);
	wire_put_u16(&out, (uint16_t)(28 + len));
	wire_put_u32(&out, 0);
	wire_put_u16(&out, 64 << 8 | IPPROTO_ICMP);
	wire_put_u16(&out, 0);
	wire_put_bytes(&out, from.b + 12, 4);
	wire_put_bytes(&out, to.b + 12, 4);
	wire_patch_u16(&out, 10, checksum_finish(checksum_add(0, bytes, 20)));
	wire_put_u16(&out, (uint16_t)type_and_code);
	wire_put_u16(&out, 0);
	wire_put_u32(&out, rest);
	wire_put_bytes(&out, packet, len);
	wire_patch_u16(&out, 22, checksum_finish(checksum_add(0, bytes + 20, 8 + len)));
	ck_assert(!out.bad);
	ck_assert_int_eq(write(tun, bytes, wire_len(&out)), (ssize_t)wire_len(&out));
}

size_t netns_next_packet6(int tun, uint8_t *ret, size_t len)
{
	ssize_t n;

	do /* the kernel's own router solicitations and the like come before */
		n = read(tun, ret, len);
	while (n > 0 && (ret[0] >> 4 != 6 || ret[24] == 0xff));
	ck_assert_int_gt(n, 40);
	return (size_t)n;
}

void netns_answer_icmp6(int tun, const uint8_t *packet, size_t len, unsigned type_and_code,
			uint32_t rest)
{
	struct netns_places places = netns_places(true);
	uint8_t bytes[600];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	checksum_sum sum;

	len = len < 500 ? len : 500;
	wire_put_u32(&out, 0x60000000);
	wire_put_u16(&out, (uint16_t)(8 + len));
	wire_put_u16(&out, IPPROTO_ICMPV6 << 8 | 64);
	wire_put_bytes(&out, places.router.b, 16);
	wire_put_bytes(&out, places.self.b, 16);
	wire_put_u16(&out, (uint16_t)type_and_code);
	wire_put_u16(&out, 0);
	wire_put_u32(&out, rest);
	wire_put_bytes(&out, packet, len);
	sum = checksum_add_pseudo(0, &places.router, &places.self, IPPROTO_ICMPV6,
				  (uint32_t)(8 + len));
	wire_patch_u16(&out, 42, checksum_finish(checksum_add(sum, bytes + 40, 8 + len)));
	ck_assert(!out.bad);
	ck_assert_int_eq(write(tun, bytes, wire_len(&out)), (ssize_t)wire_len(&out));
}
