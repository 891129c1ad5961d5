#include "tests/support/netns.h"

#include "stack/base/checksum.h"
#include "stack/base/wire.h"
#include "stack/host/sockaddr.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
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

int netns_tun(void)
{
	struct ifreq ifr = {.ifr_name = "tun0", .ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) == 0 &&
	    interface_address(SIOCSIFADDR, "tun0", NETNS_TUN) &&
	    interface_address(SIOCSIFNETMASK, "tun0", 0xffffff00) && interface_up("tun0"))
		return fd;
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
