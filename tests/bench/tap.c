#include "tests/bench/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	CONNECT_TRIES = 1000,
	CONNECT_WAIT_US = 10 * 1000,
};

_Noreturn void die(const char *what)
{
	fprintf(stderr, "bridge: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void parse_mac(const char *text, uint8_t *ret_mac)
{
	unsigned b[6];

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", b, b + 1, b + 2, b + 3, b + 4, b + 5) != 6) {
		errno = EINVAL;
		die(text);
	}
	for (int i = 0; i < 6; i++)
		ret_mac[i] = (uint8_t)b[i];
}

int tap_open(const struct tap_config *config)
{
	unsigned offload = TUN_F_CSUM | (config->has_tso ? TUN_F_TSO4 | TUN_F_TSO6 : 0);
	int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK), sock = socket(AF_INET, SOCK_DGRAM, 0);
	int hdr_len = TAP_HDR_LEN;
	struct ifreq req = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

	if (tap < 0)
		die("/dev/net/tun");
	strncpy(req.ifr_name, config->name, IFNAMSIZ - 1);
	if (ioctl(tap, TUNSETIFF, &req) < 0 || ioctl(tap, TUNSETVNETHDRSZ, &hdr_len) < 0 ||
	    ioctl(tap, TUNSETOFFLOAD, offload) < 0)
		die("TAP device");
	req.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	parse_mac(config->mac, (uint8_t *)req.ifr_hwaddr.sa_data);
	if (ioctl(sock, SIOCSIFHWADDR, &req) < 0)
		die("MAC address");
	req.ifr_mtu = config->mtu;
	if (ioctl(sock, SIOCSIFMTU, &req) < 0)
		die("MTU");
	close(sock);
	return tap;
}

bool tap_write(int tap, const struct iovec *iov, int n)
{
	if (writev(tap, iov, n) >= 0)
		return true;
	/* It is not up yet, has no room, or does not like the frame. */
	if (errno != EIO && errno != EINVAL && errno != EAGAIN && errno != ENOBUFS)
		die("TAP");
	return false;
}

int sock_connect(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(name.sun_path, path, sizeof(name.sun_path) - 1);
	for (int i = 0; connect(fd, (const struct sockaddr *)&name, sizeof(name)) < 0; i++) {
		if (i == CONNECT_TRIES)
			die(path);
		usleep(CONNECT_WAIT_US);
	}
	return fd;
}

int sock_accept(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd, listener = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(name.sun_path, path, sizeof(name.sun_path) - 1);
	if (bind(listener, (const struct sockaddr *)&name, sizeof(name)) < 0 ||
	    listen(listener, 1) < 0)
		die(path);
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		die(path);
	close(listener);
	return fd;
}
