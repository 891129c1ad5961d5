/* mirror: stands where a NAT would and sends every datagram back to the guest, in place, without a
 * look at more than its addresses: what the guest, its bridge and the socket can do at most.
 *
 *   mirror SOCKET        listens in QEMU's stream framing; one guest
 *
 * It answers ARP for every address. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/tap.h"

enum {
	PREFIX_LEN = 4, /* the frame's length */
	FRAME_MAX = 65535 + 14,
	ROOM = 1 << 20,
	MAC_LEN = 6,
	IP_AT = 14,
	ARP_LEN = IP_AT + 28,
	ARP_OPERATION_AT = IP_AT + 7,
	ARP_SENDER_AT = IP_AT + 8,
	ARP_TARGET_AT = IP_AT + 18,
	ARP_PARTY_LEN = MAC_LEN + 4,
	IP4_LEN = 20,
	IP4_PROTO_AT = IP_AT + 9,
	IP4_SOURCE_AT = IP_AT + 12,
	UDP_AT = IP_AT + IP4_LEN, /* no guest of ours sends options */
	UDP_LEN = 8,
};

static const uint8_t own_mac[MAC_LEN] = {0x52, 0x54, 0, 0x12, 0x34, 0x02};

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t kept[16];

	memcpy(kept, a, len);
	memcpy(a, b, len);
	memcpy(b, kept, len);
}

/* Makes an answer of a frame; false when there is none. Swapped addresses leave every sum as it
 * was. */
static bool turn_round(uint8_t *f, size_t len)
{
	bool is_arp = len >= ARP_LEN && f[12] == 0x08 && f[13] == 0x06 &&
		      f[ARP_OPERATION_AT] == 1 &&
		      memcmp(f + ARP_SENDER_AT + MAC_LEN, f + ARP_TARGET_AT + MAC_LEN, 4) != 0;
	bool is_udp = len >= UDP_AT + UDP_LEN && f[12] == 0x08 && f[13] == 0x00 &&
		      f[IP_AT] == 0x45 && f[IP4_PROTO_AT] == IPPROTO_UDP;

	if (is_arp) {
		f[ARP_OPERATION_AT] = 2;
		swap(f + ARP_SENDER_AT, f + ARP_TARGET_AT, ARP_PARTY_LEN);
		memcpy(f + ARP_SENDER_AT, own_mac, MAC_LEN);
	} else if (is_udp) {
		swap(f + IP4_SOURCE_AT, f + IP4_SOURCE_AT + 4, 4);
		swap(f + UDP_AT, f + UDP_AT + 2, 2);
	} else {
		return false;
	}
	memcpy(f, f + MAC_LEN, MAC_LEN);
	memcpy(f + MAC_LEN, own_mac, MAC_LEN);
	return true;
}

static size_t frame_len(const uint8_t *prefix)
{
	return (size_t)prefix[0] << 24 | (size_t)prefix[1] << 16 | (size_t)prefix[2] << 8 |
	       prefix[3];
}

static void write_all(int sock, const uint8_t *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(sock, bytes, len);
		if (n < 0)
			die("socket");
		bytes += n;
		len -= (size_t)n;
	}
}

/* Turns the whole frames among these bytes, and closes the gaps that others leave. Returns how many
 * bytes it has seen to. */
static size_t turn_all(uint8_t *bytes, size_t len, size_t *ret_out_len)
{
	size_t at = 0, out_len = 0;

	while (len - at >= PREFIX_LEN) {
		size_t whole = PREFIX_LEN + frame_len(bytes + at);
		errno = EMSGSIZE;
		if (whole > PREFIX_LEN + FRAME_MAX)
			die("frame");
		if (len - at < whole)
			break;
		if (turn_round(bytes + at + PREFIX_LEN, whole - PREFIX_LEN)) {
			if (out_len != at)
				memmove(bytes + out_len, bytes + at, whole);
			out_len += whole;
		}
		at += whole;
	}
	*ret_out_len = out_len;
	return at;
}

int main(int argc, char **argv)
{
	uint8_t *bytes = malloc(ROOM);
	size_t len = 0;
	ssize_t n;

	if (argc != 2 || !bytes) {
		fputs("usage: mirror SOCKET\n", stderr);
		return 2;
	}
	int sock = sock_accept(argv[1]);

	while ((n = read(sock, bytes + len, ROOM - len)) > 0) {
		size_t out_len, done;
		len += (size_t)n;
		done = turn_all(bytes, len, &out_len);
		write_all(sock, bytes, out_len);
		memmove(bytes, bytes + done, len - done);
		len -= done;
	}
	return 0;
}
