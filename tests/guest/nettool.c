/* nettool: the few network peers that the guest tests need and busybox lacks. Runs on the host and,
 * being static, inside the guest. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nettool.h"

enum {
	DATAGRAM_MAX = 65507,
	DNS_HEADER_LEN = 12,
	DNS_TYPE_A = 1,
};

static int usage(void)
{
	fputs("usage: nettool free-port                    print a port free for TCP and UDP on "
	      "127.0.0.1\n"
	      "       nettool udp-echo PORT [ADDRESS]      answer every datagram with itself (of "
	      "both families)\n"
	      "       nettool udp-ask ADDRESS PORT LENGTH  send LENGTH bytes, want the same back\n"
	      "       nettool bulk-echo PORT ADDRESS       the same, rows of datagrams as such\n"
	      "       nettool bulk-ask ADDRESS PORT        send such a row, want the same back\n"
	      "       nettool dns ADDRESS PORT NAME IPV4   a name server that knows one name\n"
	      "       nettool dhcp6 INTERFACE NAME         a DHCPv6 lease for a host of this name\n"
	      "       nettool pairs INTERFACE [NUMBER]     prints or sets how many queue pairs are "
	      "used\n"
	      "       nettool packets INTERFACE            prints the driver's packet counters\n"
	      "       nettool patient INTERFACE IPV4       TCP to there sends nothing again for "
	      "being late\n",
	      stderr);
	return 2;
}

/* Of either family. */
union name {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static bool parse_address(const char *address, const char *port, union name *ret_name)
{
	*ret_name =
	    (union name){.v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port))}};
	if (inet_pton(AF_INET6, address, &ret_name->v6.sin6_addr) == 1)
		return true;
	*ret_name =
	    (union name){.v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))}};
	return inet_pton(AF_INET, address, &ret_name->v4.sin_addr) == 1;
}

static int bound_socket(int type, const union name *name)
{
	int fd = socket(name->any.sa_family, type, 0);

	if (fd >= 0 && bind(fd, &name->any, sizeof(*name)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int free_port(void)
{
	for (int attempt = 0; attempt < 100; attempt++) {
		union name name;
		socklen_t name_len = sizeof(name);
		int tcp, udp;

		parse_address("127.0.0.1", "0", &name);
		tcp = bound_socket(SOCK_STREAM, &name);
		if (tcp < 0 || getsockname(tcp, &name.any, &name_len) < 0)
			return 1;
		udp = bound_socket(SOCK_DGRAM, &name);
		close(tcp);
		if (udp < 0)
			continue;
		close(udp);
		printf("%d\n", ntohs(name.v4.sin_port));
		return 0;
	}
	return 1;
}

/* Answers each datagram with what 'answer' makes of it, for ever; a length of 0 is no answer. */
static int serve_udp(const union name *name,
		     size_t (*answer)(uint8_t *bytes, size_t len, void *context), void *context)
{
	static uint8_t bytes[DATAGRAM_MAX + 512];
	int fd = bound_socket(SOCK_DGRAM, name);

	if (fd < 0) {
		perror("nettool: bind");
		return 1;
	}
	for (;;) {
		union name peer;
		socklen_t peer_len = sizeof(peer);
		ssize_t got = recvfrom(fd, bytes, DATAGRAM_MAX, 0, &peer.any, &peer_len);
		size_t len;

		if (got < 0)
			continue;
		len = answer(bytes, (size_t)got, context);
		if (len > 0)
			sendto(fd, bytes, len, 0, &peer.any, peer_len);
	}
}

static size_t answer_echo(uint8_t *bytes, size_t len, void *context)
{
	(void)bytes;
	(void)context;
	return len;
}

static int udp_ask(const union name *server, size_t len)
{
	static uint8_t sent[DATAGRAM_MAX], got[DATAGRAM_MAX];
	int fd = socket(server->any.sa_family, SOCK_DGRAM, 0);

	if (fd < 0 || len < 1 || len > DATAGRAM_MAX)
		return 2;
	for (size_t i = 0; i < len; i++)
		sent[i] = (uint8_t)(i * 7 + i / 251 + len);
	if (connect(fd, &server->any, sizeof(*server)) < 0) {
		perror("nettool: connect");
		return 1;
	}
	/* UDP may lose a datagram: ask again a few times. */
	for (int attempt = 0; attempt < 20; attempt++) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};

		if (send(fd, sent, len, 0) < 0)
			perror("nettool: send");
		if (poll(&wait, 1, 3000) != 1)
			continue;
		ssize_t got_len = recv(fd, got, sizeof(got), 0);
		if (got_len < 0) {
			perror("nettool: recv");
			return 1;
		}
		if ((size_t)got_len == len && memcmp(sent, got, len) == 0)
			return 0;
		fprintf(stderr, "nettool: sent %zu bytes, got %zd others\n", len, got_len);
		return 1;
	}
	fputs("nettool: no answer\n", stderr);
	return 1;
}

/* ---- rows of datagrams that pass the kernel in one piece: UDP_SEGMENT, UDP_GRO ---- */

enum { BULK_COUNT = 40, BULK_LEN = 1200, BULK_LAST_LEN = 700 };

/* Room for the one ancillary item, the length of all datagrams but the last. */
union segment_item {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static int bulk_socket(int family)
{
	int fd = socket(family, SOCK_DGRAM, 0), on = 1;

	if (fd >= 0 && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) < 0)
		perror("nettool: UDP_GRO");
	return fd;
}

/* The length of what came; *ret_segment is that of each datagram in it but the last. */
static ssize_t bulk_receive(int fd, struct iovec bytes, union name *ret_peer, uint16_t *ret_segment)
{
	union segment_item item;
	struct msghdr msg = {.msg_name = ret_peer,
			     .msg_namelen = sizeof(*ret_peer),
			     .msg_iov = &bytes,
			     .msg_iovlen = 1,
			     .msg_control = &item,
			     .msg_controllen = sizeof(item)};
	ssize_t got = recvmsg(fd, &msg, 0);
	int segment = (int)got;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); got > 0 && c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	}
	*ret_segment = (uint16_t)segment;
	return got;
}

static bool bulk_send(int fd, struct iovec bytes, const union name *to, uint16_t segment)
{
	union segment_item item = {0};
	struct msghdr msg = {
	    .msg_name = (void *)to, .msg_namelen = sizeof(*to), .msg_iov = &bytes, .msg_iovlen = 1};

	if (bytes.iov_len > segment) {
		msg.msg_control = &item;
		msg.msg_controllen = CMSG_SPACE(sizeof(segment));
		item.align = (struct cmsghdr){.cmsg_level = IPPROTO_UDP,
					      .cmsg_type = UDP_SEGMENT,
					      .cmsg_len = CMSG_LEN(sizeof(segment))};
		memcpy(CMSG_DATA(&item.align), &segment, sizeof(segment));
	}
	if (sendmsg(fd, &msg, 0) == (ssize_t)bytes.iov_len)
		return true;
	perror("nettool: sendmsg");
	return false;
}

static int bulk_echo(const union name *name)
{
	static uint8_t bytes[65536];
	int fd = bulk_socket(name->any.sa_family);

	if (fd < 0 || bind(fd, &name->any, sizeof(*name)) < 0) {
		perror("nettool: bind");
		return 1;
	}
	for (;;) {
		union name peer;
		uint16_t segment;
		ssize_t got =
		    bulk_receive(fd, (struct iovec){bytes, sizeof(bytes)}, &peer, &segment);

		if (got > 0)
			bulk_send(fd, (struct iovec){bytes, (size_t)got}, &peer, segment);
	}
}

/* Datagram 'n' of the row. */
static size_t bulk_fill(uint8_t *bytes, unsigned n)
{
	size_t len = n == BULK_COUNT - 1 ? BULK_LAST_LEN : BULK_LEN;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i == 0 ? n : i * 7 + i / 251 + n);
	return len;
}

/* How many datagrams of the row are in a piece for the first time; -1: one that we did not send. */
static int bulk_check(const uint8_t *bytes, size_t len, size_t segment, bool came[BULK_COUNT])
{
	uint8_t want[BULK_LEN];
	int fresh = 0;

	while (len > 0) {
		size_t one = len < segment ? len : segment;

		if (bytes[0] >= BULK_COUNT || bulk_fill(want, bytes[0]) != one ||
		    memcmp(want, bytes, one) != 0)
			return -1;
		fresh += !came[bytes[0]];
		came[bytes[0]] = true;
		bytes += one;
		len -= one;
	}
	return fresh;
}

static int bulk_ask(const union name *server)
{
	static uint8_t sent[BULK_COUNT * BULK_LEN], got[65536];
	bool came[BULK_COUNT] = {0};
	int fd = bulk_socket(server->any.sa_family), missing = BULK_COUNT, pieces = 0;
	size_t len = 0;

	for (unsigned n = 0; n < BULK_COUNT; n++)
		len += bulk_fill(sent + len, n);
	/* UDP may lose some: ask again a few times. */
	for (int attempt = 0; attempt < 5 && missing; attempt++) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};

		if (!bulk_send(fd, (struct iovec){sent, len}, server, BULK_LEN))
			return 1;
		while (missing && poll(&wait, 1, 3000) == 1) {
			union name peer;
			uint16_t segment;
			ssize_t piece =
			    bulk_receive(fd, (struct iovec){got, sizeof(got)}, &peer, &segment);
			int fresh = piece > 0 ? bulk_check(got, (size_t)piece, segment, came) : -1;

			if (fresh < 0) {
				fprintf(stderr, "nettool: got %zd others by %u\n", piece, segment);
				return 1;
			}
			missing -= fresh;
			pieces++;
		}
	}
	printf("%d of %d came back, in %d pieces\n", BULK_COUNT - missing, BULK_COUNT, pieces);
	return missing ? 1 : 0;
}

struct known_name {
	uint8_t wire[256];
	size_t wire_len;
	struct in_addr address;
};

static bool parse_known_name(const char *text, const char *address, struct known_name *ret_known)
{
	size_t at = 0;

	while (*text != '\0') {
		size_t label = strcspn(text, ".");

		if (label == 0 || label > 63 || at + label + 2 > sizeof(ret_known->wire))
			return false;
		ret_known->wire[at++] = (uint8_t)label;
		memcpy(&ret_known->wire[at], text, label);
		at += label;
		text += label;
		text += *text == '.';
	}
	ret_known->wire[at++] = 0;
	ret_known->wire_len = at;
	return inet_pton(AF_INET, address, &ret_known->address) == 1;
}

/* Case does not count in names (RFC 4343); length bytes are below 'A' and stay themselves. */
static bool same_name(const uint8_t *a, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t x = a[i] >= 'A' && a[i] <= 'Z' ? a[i] + 32 : a[i];
		uint8_t y = b[i] >= 'A' && b[i] <= 'Z' ? b[i] + 32 : b[i];

		if (x != y)
			return false;
	}
	return true;
}

/* RFC 1035 section 4.1: the question back, with one A record, with none, or with NXDOMAIN. */
static size_t answer_dns(uint8_t *bytes, size_t len, void *context)
{
	static const uint8_t answer[] = {0xc0, 12, 0, DNS_TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4};
	const struct known_name *known = context;
	size_t at = DNS_HEADER_LEN;
	bool is_known, is_a;

	if (len < DNS_HEADER_LEN || (bytes[2] & 0x80) != 0)
		return 0;
	while (at < len && bytes[at] != 0)
		at += 1u + bytes[at];
	if (at + 5 > len)
		return 0;
	at++;
	is_known = at - DNS_HEADER_LEN == known->wire_len &&
		   same_name(&bytes[DNS_HEADER_LEN], known->wire, known->wire_len);
	is_a = bytes[at] == 0 && bytes[at + 1] == DNS_TYPE_A;
	at += 4;

	bytes[2] = 0x84 | (bytes[2] & 0x01); /* an answer, authoritative; the asker's RD */
	bytes[3] = is_known ? 0 : 3;
	memcpy(&bytes[4], (const uint8_t[]){0, 1, 0, is_known && is_a, 0, 0, 0, 0}, 8);
	if (is_known && is_a) {
		memcpy(&bytes[at], answer, sizeof(answer));
		memcpy(&bytes[at + sizeof(answer)], &known->address, 4);
		at += sizeof(answer) + 4;
	}
	return at;
}

/* ---- DHCPv6 (RFC 8415), as much of it as a client needs ---- */

enum { SOLICIT = 1, ADVERTISE = 2, REQUEST = 3, REPLY = 7 };
enum { CLIENT_ID = 1, SERVER_ID = 2, IA_NA = 3, IA_ADDR = 5, ORO = 6, DNS = 23, FQDN = 39 };

struct message {
	uint8_t bytes[1500];
	size_t len;
};

static void add_option(struct message *m, uint8_t code, const void *value, size_t len)
{
	const uint8_t head[] = {0, code, (uint8_t)(len >> 8), (uint8_t)len};

	memcpy(m->bytes + m->len, head, 4);
	if (len > 0)
		memcpy(m->bytes + m->len + 4, value, len);
	m->len += 4 + len;
}

/* The value of the first option of a code, NULL when there is none. */
static const uint8_t *find_option(const uint8_t *at, size_t len, unsigned code, size_t *ret_len)
{
	while (len >= 4) {
		size_t n = (size_t)at[2] << 8 | at[3];

		if (n > len - 4)
			break;
		if ((unsigned)(at[0] << 8 | at[1]) == code) {
			*ret_len = n;
			return at + 4;
		}
		at += 4 + n;
		len -= 4 + n;
	}
	return NULL;
}

static struct message begin_message(uint8_t type, const char *name)
{
	static const uint8_t duid[] = {0,   4,   'n', 'e', 't', 't', 'o', 'o', 'l',
				       '-', 'u', 'u', 'i', 'd', '-', '1', '6', '.'};
	static const uint8_t wanted[] = {0, DNS, 0, FQDN};
	struct message m = {.bytes = {type, 'x', 'i', 'd'}, .len = 4};
	uint8_t fqdn[66] = {0, (uint8_t)strlen(name)};

	memcpy(fqdn + 2, name, fqdn[1]);
	add_option(&m, CLIENT_ID, duid, sizeof(duid));
	add_option(&m, ORO, wanted, sizeof(wanted));
	add_option(&m, FQDN, fqdn, 2u + fqdn[1]);
	return m;
}

/* Sends until the answer of this type is there. */
static bool exchange(int fd, unsigned interface, const struct message *m, uint8_t type,
		     struct message *ret)
{
	struct sockaddr_in6 servers = {
	    .sin6_family = AF_INET6, .sin6_port = htons(547), .sin6_scope_id = interface};

	inet_pton(AF_INET6, "ff02::1:2", &servers.sin6_addr);
	for (int attempt = 0; attempt < 40; attempt++) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		ssize_t got;

		if (sendto(fd, m->bytes, m->len, 0, (struct sockaddr *)&servers, sizeof(servers)) <
		    0)
			perror("nettool: sendto");
		if (poll(&wait, 1, 1000) != 1)
			continue;
		got = recv(fd, ret->bytes, sizeof(ret->bytes), 0);
		if (got >= 4 && ret->bytes[0] == type && memcmp(ret->bytes + 1, "xid", 3) == 0) {
			ret->len = (size_t)got;
			return true;
		}
	}
	fputs("nettool: no answer\n", stderr);
	return false;
}

static void print_address(const char *word, const uint8_t *bytes)
{
	char text[INET6_ADDRSTRLEN];

	printf("%s %s\n", word, inet_ntop(AF_INET6, bytes, text, sizeof(text)));
}

static bool print_lease(const struct message *reply)
{
	size_t len, inner_len, dns_len;
	const uint8_t *ia = find_option(reply->bytes + 4, reply->len - 4, IA_NA, &len);
	const uint8_t *addr =
	    ia && len >= 12 ? find_option(ia + 12, len - 12, IA_ADDR, &inner_len) : NULL;
	const uint8_t *dns = find_option(reply->bytes + 4, reply->len - 4, DNS, &dns_len);

	if (!addr || inner_len < 24)
		return false;
	print_address("address", addr);
	if (dns && dns_len >= 16)
		print_address("dns", dns);
	return true;
}

static int dhcp6(const char *interface_name, const char *name)
{
	static const uint8_t ia[12] = {'i', 'a', 'i', 'd'};
	struct message m = begin_message(SOLICIT, name), reply;
	unsigned interface = if_nametoindex(interface_name);
	union name at;
	const uint8_t *server, *given;
	size_t server_len, given_len;
	int fd;

	parse_address("::", "546", &at);
	fd = bound_socket(SOCK_DGRAM, &at);
	if (fd < 0 || interface == 0 || strlen(name) > 63)
		return 2;
	add_option(&m, IA_NA, ia, sizeof(ia));
	if (!exchange(fd, interface, &m, ADVERTISE, &reply))
		return 1;
	server = find_option(reply.bytes + 4, reply.len - 4, SERVER_ID, &server_len);
	given = find_option(reply.bytes + 4, reply.len - 4, IA_NA, &given_len);
	if (!server || !given)
		return 1;
	m = begin_message(REQUEST, name);
	add_option(&m, SERVER_ID, server, server_len);
	add_option(&m, IA_NA, given, given_len);
	return exchange(fd, interface, &m, REPLY, &reply) && print_lease(&reply) ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	union name name;
	struct known_name known;

	if (strcmp(verb, "free-port") == 0 && argc == 2)
		return free_port();
	if (strcmp(verb, "udp-echo") == 0 && (argc == 3 || argc == 4) &&
	    parse_address(argc == 4 ? argv[3] : "::", argv[2], &name))
		return serve_udp(&name, answer_echo, NULL);
	if (strcmp(verb, "udp-ask") == 0 && argc == 5 && parse_address(argv[2], argv[3], &name))
		return udp_ask(&name, (size_t)atoi(argv[4]));
	if (strcmp(verb, "bulk-echo") == 0 && argc == 4 && parse_address(argv[3], argv[2], &name))
		return bulk_echo(&name);
	if (strcmp(verb, "bulk-ask") == 0 && argc == 4 && parse_address(argv[2], argv[3], &name))
		return bulk_ask(&name);
	if (strcmp(verb, "dns") == 0 && argc == 6 && parse_address(argv[2], argv[3], &name) &&
	    parse_known_name(argv[4], argv[5], &known))
		return serve_udp(&name, answer_dns, &known);
	if (strcmp(verb, "dhcp6") == 0 && argc == 4)
		return dhcp6(argv[2], argv[3]);
	if (strcmp(verb, "pairs") == 0 && (argc == 3 || argc == 4))
		return card_pairs(argv[2], argc == 4 ? argv[3] : NULL);
	if (strcmp(verb, "packets") == 0 && argc == 3)
		return card_packets(argv[2]);
	if (strcmp(verb, "patient") == 0 && argc == 4)
		return route_patient(argv[2], argv[3]);
	return usage();
}
