/* nettool: the few network peers that the guest tests need and busybox lacks. Runs on the host and,
 * being static, inside the guest. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	DATAGRAM_MAX = 65507,
	DNS_HEADER_LEN = 12,
	DNS_TYPE_A = 1,
};

static int usage(void)
{
	fputs("usage: nettool free-port                    print a port free for TCP and UDP on "
	      "127.0.0.1\n"
	      "       nettool udp-echo PORT [ADDRESS]      answer every datagram with itself\n"
	      "       nettool udp-ask ADDRESS PORT LENGTH  send LENGTH bytes, want the same back\n"
	      "       nettool dns ADDRESS PORT NAME IPV4   a name server that knows one name\n",
	      stderr);
	return 2;
}

static bool parse_address(const char *address, const char *port, struct sockaddr_in *ret_name)
{
	*ret_name = (struct sockaddr_in){
	    .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)atoi(port)),
	};
	return inet_pton(AF_INET, address, &ret_name->sin_addr) == 1;
}

static int bound_socket(int type, const struct sockaddr_in *name)
{
	int fd = socket(AF_INET, type, 0);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)name, sizeof(*name)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int free_port(void)
{
	for (int attempt = 0; attempt < 100; attempt++) {
		struct sockaddr_in name;
		socklen_t name_len = sizeof(name);
		int tcp, udp;

		parse_address("127.0.0.1", "0", &name);
		tcp = bound_socket(SOCK_STREAM, &name);
		if (tcp < 0 || getsockname(tcp, (struct sockaddr *)&name, &name_len) < 0)
			return 1;
		udp = bound_socket(SOCK_DGRAM, &name);
		close(tcp);
		if (udp < 0)
			continue;
		close(udp);
		printf("%d\n", ntohs(name.sin_port));
		return 0;
	}
	return 1;
}

/* Answers each datagram with what 'answer' makes of it, for ever; a length of 0 is no answer. */
static int serve_udp(const struct sockaddr_in *name,
		     size_t (*answer)(uint8_t *bytes, size_t len, void *context), void *context)
{
	static uint8_t bytes[DATAGRAM_MAX + 512];
	int fd = bound_socket(SOCK_DGRAM, name);

	if (fd < 0) {
		perror("nettool: bind");
		return 1;
	}
	for (;;) {
		struct sockaddr_in peer;
		socklen_t peer_len = sizeof(peer);
		ssize_t got =
		    recvfrom(fd, bytes, DATAGRAM_MAX, 0, (struct sockaddr *)&peer, &peer_len);
		size_t len;

		if (got < 0)
			continue;
		len = answer(bytes, (size_t)got, context);
		if (len > 0)
			sendto(fd, bytes, len, 0, (struct sockaddr *)&peer, peer_len);
	}
}

static size_t answer_echo(uint8_t *bytes, size_t len, void *context)
{
	(void)bytes;
	(void)context;
	return len;
}

static int udp_ask(const struct sockaddr_in *server, size_t len)
{
	static uint8_t sent[DATAGRAM_MAX], got[DATAGRAM_MAX];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || len < 1 || len > DATAGRAM_MAX)
		return 2;
	for (size_t i = 0; i < len; i++)
		sent[i] = (uint8_t)(i * 7 + i / 251 + len);
	if (connect(fd, (const struct sockaddr *)server, sizeof(*server)) < 0) {
		perror("nettool: connect");
		return 1;
	}
	/* UDP may lose a datagram: ask again a few times. */
	for (int attempt = 0; attempt < 5; attempt++) {
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

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	struct sockaddr_in name;
	struct known_name known;

	if (strcmp(verb, "free-port") == 0 && argc == 2)
		return free_port();
	if (strcmp(verb, "udp-echo") == 0 && (argc == 3 || argc == 4) &&
	    parse_address(argc == 4 ? argv[3] : "0.0.0.0", argv[2], &name))
		return serve_udp(&name, answer_echo, NULL);
	if (strcmp(verb, "udp-ask") == 0 && argc == 5 && parse_address(argv[2], argv[3], &name))
		return udp_ask(&name, (size_t)atoi(argv[4]));
	if (strcmp(verb, "dns") == 0 && argc == 6 && parse_address(argv[2], argv[3], &name) &&
	    parse_known_name(argv[4], argv[5], &known))
		return serve_udp(&name, answer_dns, &known);
	return usage();
}
