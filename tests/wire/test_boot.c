/* --tftp and --boot at the real program: files by TFTP and HTTP, and what DHCP tells of them. */
#include "tests/support/dhcp_client.h"
#include "tests/support/pattern.h"
#include "tests/support/suite.h"
#include "tests/support/wirebed.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RRQ = 1, WRQ, DATA, ACK, ERROR, OACK };
enum { INFORM = 8 };

#define FILE_LEN 100000
#define FILE_SEED 5

static struct wire wire;
static struct guestsim *sim;
static char dir[64];
static const struct addr gateway = {{[10] = 0xff, [11] = 0xff, [12] = 10, [14] = 2, [15] = 2}};

static void put(const char *name, const void *bytes, size_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT, 0644);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len), (long)len);
	close(fd);
}

/* A directory with "file", "script", an iPXE and a program for x64 UEFI. */
static void make_dir(void)
{
	static uint8_t bytes[FILE_LEN];
	char path[128];

	strcpy(dir, "/tmp/lwnat-boot.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	pattern_fill(FILE_SEED, 0, bytes, sizeof(bytes));
	put("file", bytes, sizeof(bytes));
	put("undionly.kpxe", "x", 1);
	put("boot.ipxe", "#!ipxe\n", 7);
	put("bootx64.efi", "MZ", 2);
	snprintf(path, sizeof(path), "%s/out", dir);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
}

/* The option that takes the directory, and what comes behind it: "" or "|--option...". */
static void set_up(const char *option, const char *more)
{
	char args[512];

	make_dir();
	snprintf(args, sizeof(args), "%s|%s%s", option, dir, more);
	wire_start(&wire, args);
	sim = wire_add_guest(&wire, 0);
}

static void take_down(void)
{
	char command[96];

	wire_finish(&wire);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

/* ---- TFTP ---- */

static struct guestsim_datagram *receive(void)
{
	struct guestsim_datagram *got;

	WIRE_UNTIL(&wire, (got = guestsim_udp_pop(sim)) != NULL);
	return got;
}

static unsigned field(const struct guestsim_datagram *d, size_t at)
{
	ck_assert_uint_ge(d->len, at + 2);
	return (unsigned)(d->bytes[at] << 8 | d->bytes[at + 1]);
}

/* "name|octet|...", the opcode put before it. */
static void ask(uint16_t port, uint8_t opcode, const char *words)
{
	struct endpoint to = {gateway, 69};
	char bytes[1024] = {0, (char)opcode};
	size_t len = strlen(words);

	memcpy(bytes + 2, words, len + 1);
	for (size_t i = 2; i < 2 + len; i++)
		bytes[i] = bytes[i] == '|' ? '\0' : bytes[i];
	guestsim_udp_send(sim, port, &to, (struct iovec){bytes, len + 3});
}

static void acknowledge(uint16_t port, const struct endpoint *to, unsigned block)
{
	uint8_t bytes[4] = {0, ACK, (uint8_t)(block >> 8), (uint8_t)block};

	guestsim_udp_send(sim, port, to, (struct iovec){bytes, sizeof(bytes)});
}

static void assert_error(uint16_t port, uint8_t opcode, const char *words, unsigned code)
{
	struct guestsim_datagram *got;

	ask(port, opcode, words);
	got = receive();
	ck_assert_uint_eq(field(got, 0), ERROR);
	ck_assert_uint_eq(field(got, 2), code);
	ck_assert_uint_ne(got->from.port, 69);
	ck_assert(addr_eq(&got->from.addr, &gateway));
	free(got);
}

/* Reads "file" after an OACK; returns its length. */
static size_t read_file(uint16_t port, const struct endpoint *server, unsigned blksize,
			unsigned windowsize)
{
	unsigned block = 0;
	size_t at = 0, len = blksize;

	acknowledge(port, server, 0);
	while (len == blksize) {
		struct guestsim_datagram *got = receive();

		ck_assert(endpoint_eq(&got->from, server));
		ck_assert_uint_eq(field(got, 0), DATA);
		ck_assert_uint_eq(field(got, 2), ++block);
		len = got->len - 4;
		ck_assert(pattern_matches(FILE_SEED, at, got->bytes + 4, len));
		at += len;
		free(got);
		if (block % windowsize == 0 || len < blksize)
			acknowledge(port, server, block);
	}
	return at;
}

START_TEST(test_file_is_read_by_tftp)
{
	static const char oack[] = "\0\6blksize\0"
				   "1468\0tsize\0"
				   "100000\0windowsize\0"
				   "8";
	struct guestsim_datagram *got;
	struct endpoint server;

	set_up(_i ? "--tftp" : "--boot", _i ? "|--restrict|on" : "");
	ask(2070, RRQ, "/file|octet|blksize|9000|tsize|0|windowsize|8");
	got = receive();
	ck_assert_uint_eq(got->len, sizeof(oack));
	ck_assert_mem_eq(got->bytes, oack, sizeof(oack));
	ck_assert_uint_ne(got->from.port, 69);
	server = got->from;
	free(got);
	ck_assert_uint_eq(read_file(2070, &server, 1468, 8), FILE_LEN);
	take_down();
}
END_TEST

START_TEST(test_tftp_refuses_what_it_must)
{
	char long_name[700];

	set_up("--tftp", "");
	assert_error(2000, RRQ, "absent|octet", 1);
	assert_error(2001, RRQ, "../passwd|octet", 2);
	assert_error(2002, RRQ, "out|octet", 2);
	assert_error(2003, RRQ, "..\\..\\etc\\passwd|octet", 2);
	assert_error(2004, RRQ, "/|octet", 1);
	assert_error(2005, RRQ, "file|mail", 4);
	assert_error(2006, WRQ, "new|octet", 2);
	assert_error(2007, WRQ, "file|octet", 2);
	memset(long_name, 'n', 600);
	strcpy(long_name + 600, "|octet");
	assert_error(2008, RRQ, long_name, 1);
	take_down();
}
END_TEST

START_TEST(test_tftp_ends_at_64_transfers_until_some_end)
{
	struct guestsim_datagram *first = NULL;
	uint8_t error[5] = {0, ERROR};

	set_up("--tftp", "");
	for (uint16_t i = 0; i < 64; i++) {
		struct guestsim_datagram *got;

		ask((uint16_t)(3000 + i), RRQ, "file|octet|timeout|200");
		got = receive();
		ck_assert_uint_eq(field(got, 0), OACK);
		if (first)
			free(got);
		else
			first = got;
	}
	assert_error(4000, RRQ, "file|octet", 0);
	guestsim_udp_send(sim, 3000, &first->from, (struct iovec){error, sizeof(error)});
	free(first);
	ask(4001, RRQ, "file|octet|timeout|200");
	first = receive();
	ck_assert_uint_eq(field(first, 0), OACK);
	free(first);
	wire_drop_guest(&wire, 0); /* its 64 transfers go with it */
	sim = wire_add_guest(&wire, 1);
	ask(3000, RRQ, "file|octet|tsize|0");
	first = receive();
	ck_assert_uint_eq(field(first, 0), OACK);
	free(first);
	take_down();
}
END_TEST

START_TEST(test_lost_block_is_sent_again)
{
	struct guestsim_datagram *got;
	struct endpoint server;

	set_up("--tftp", "");
	ask(2070, RRQ, "file|octet");
	for (unsigned i = 0; i < 3; i++) { /* nobody answers the first two */
		got = receive();
		server = got->from;
		ck_assert_uint_eq(field(got, 0), DATA);
		ck_assert_uint_eq(field(got, 2), 1);
		free(got);
	}
	acknowledge(2070, &server, 1);
	got = receive();
	ck_assert_uint_eq(field(got, 2), 2);
	ck_assert(pattern_matches(FILE_SEED, 512, got->bytes + 4, 512));
	free(got);
	take_down();
}
END_TEST

/* ---- HTTP ---- */

static uint8_t reply[FILE_LEN + 2000];
static uint16_t http_port = 40000;

/* One request on a connection of its own; the reply ends up in 'reply', with a NUL behind it. */
static size_t http(const char *request)
{
	struct sim_tcp_setup setup = {.wscale = 7, .send_total = strlen(request)};
	struct endpoint to = {gateway, 80};
	struct sim_tcp *tcp = sim_tcp_connect(sim, http_port++, &to, &setup);

	tcp->text = (const uint8_t *)request;
	tcp->got = reply;
	tcp->got_max = sizeof(reply) - 1;
	WIRE_UNTIL(&wire, tcp->fin_received);
	ck_assert_uint_lt(tcp->received, sizeof(reply));
	reply[tcp->received] = '\0';
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	return tcp->received;
}

static void assert_reply(const char *status, const char *header)
{
	const char *text = (const char *)reply;

	ck_assert_msg(strncmp(text, status, strlen(status)) == 0, "%.40s", text);
	ck_assert_msg(strstr(text, header) != NULL, "no %s in:\n%.600s", header, text);
}

static const uint8_t *body(void)
{
	return (const uint8_t *)strstr((const char *)reply, "\r\n\r\n") + 4;
}

START_TEST(test_file_is_read_by_http)
{
	size_t len;

	set_up("--boot", _i ? "|--restrict|on" : "");
	len = http("GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_reply("HTTP/1.1 200 ", "Content-Length: 100000\r\n");
	assert_reply("HTTP/1.1 200 ", "Accept-Ranges: bytes\r\n");
	assert_reply("HTTP/1.1 200 ", "Last-Modified: ");
	ck_assert_uint_eq(len - (size_t)(body() - reply), FILE_LEN);
	ck_assert(pattern_matches(FILE_SEED, 0, body(), FILE_LEN));
	take_down();
}
END_TEST

START_TEST(test_http_head_ranges_and_refusals)
{
	size_t len;

	set_up("--boot", "");
	len = http("HEAD /bootx64.efi HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_reply("HTTP/1.1 200 ", "Content-Length: 2\r\n");
	assert_reply("HTTP/1.1 200 ", "Content-Type: application/efi\r\n");
	ck_assert_ptr_eq(body(), reply + len);
	len = http("GET /file HTTP/1.1\r\nHost: x\r\nRange: bytes=1000-1999\r\n"
		   "Connection: close\r\n\r\n");
	assert_reply("HTTP/1.1 206 ", "Content-Range: bytes 1000-1999/100000\r\n");
	ck_assert_uint_eq(len - (size_t)(body() - reply), 1000);
	ck_assert(pattern_matches(FILE_SEED, 1000, body(), 1000));
	http("GET /file HTTP/1.1\r\nHost: x\r\nRange: bytes=100000-\r\nConnection: close\r\n\r\n");
	assert_reply("HTTP/1.1 416 ", "Content-Range: bytes */100000\r\n");
	http("GET /absent HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_reply("HTTP/1.1 404 ", "");
	http("GET /out HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_reply("HTTP/1.1 403 ", "");
	http("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_reply("HTTP/1.1 403 ", "");
	http("DELETE /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_reply("HTTP/1.1 405 ", "Allow: GET, HEAD\r\n");
	take_down();
}
END_TEST

/* ---- DHCP ---- */

struct client {
	int arch; /* -1: not sent */
	const char *vendor_class, *user_class;
};

static uint32_t next_server = 0x0a000202; /* siaddr that is expected */

/* What a client of this kind is told as boot file; "" for nothing. */
static void assert_told(const struct client *client, const char *file)
{
	struct dhcp_built m = dhcp_build(INFORM, 1);
	struct endpoint to = {gateway, 67};
	static uint8_t option[1500], wanted[] = {43, 60, 66, 67};
	struct guestsim_datagram *got;
	struct wire_out out;
	struct wire_in in;
	int len;

	dhcp_build_set_u32(&m, 12, addr_to_v4(&guestsim_config(sim)->addr));
	memcpy(m.bytes + 28, guestsim_config(sim)->mac.b, 6); /* chaddr */
	dhcp_build_put(&m, 55, wanted, sizeof(wanted));
	if (client->arch >= 0)
		dhcp_build_put(&m, 93, (uint8_t[]){0, (uint8_t)client->arch}, 2);
	if (client->vendor_class)
		dhcp_build_put(&m, 60, client->vendor_class, strlen(client->vendor_class));
	if (client->user_class)
		dhcp_build_put(&m, 77, client->user_class, strlen(client->user_class));
	in = dhcp_built_in(&m);
	guestsim_udp_send(sim, 68, &to, (struct iovec){(void *)(uintptr_t)in.at, wire_left(&in)});
	got = receive();
	out = wire_out(got->bytes, got->len);
	out.at = out.end;
	len = dhcp_reply_option(&out, 67, option);
	option[len > 0 ? len : 0] = '\0';
	ck_assert_str_eq((char *)option, file);
	ck_assert_uint_eq(dhcp_field_u32(got->bytes, 20), next_server);
	len = dhcp_reply_option(&out, 60, option);
	if (client->vendor_class && strncmp(client->vendor_class, "HTTPClient", 10) == 0)
		ck_assert_int_eq(memcmp(option, "HTTPClient", 10), 0);
	free(got);
}

static const struct client bios = {0, "PXEClient:Arch:00000:UNDI:002001", NULL};
static const struct client bios_ipxe = {0, "PXEClient:Arch:00000:UNDI:002001", "iPXE"};
static const struct client x64 = {7, "PXEClient:Arch:00007:UNDI:003001", NULL};
static const struct client x64_http = {16, "HTTPClient:Arch:00016:UNDI:003001", NULL};
static const struct client arm64 = {11, "PXEClient:Arch:00011:UNDI:003000", NULL};
static const struct client plain = {-1, NULL, NULL};

START_TEST(test_boot_file_by_architecture)
{
	set_up("--boot", "");
	assert_told(&bios, "undionly.kpxe");
	assert_told(&bios_ipxe, "boot.ipxe");
	assert_told(&x64, "bootx64.efi");
	assert_told(&x64_http, "http://10.0.2.2/bootx64.efi");
	assert_told(&arm64, "");
	put("bootaa64.efi", "MZ", 2); /* what is there when it asks */
	assert_told(&arm64, "bootaa64.efi");
	assert_told(&plain, "");
	take_down();
}
END_TEST

START_TEST(test_users_word_goes_before_the_directory)
{
	set_up("--boot", "|--bootfile|mine/loader");
	assert_told(&bios, "mine/loader");
	assert_told(&bios_ipxe, "mine/loader");
	assert_told(&x64_http, "http://10.0.2.2/mine/loader");
	take_down();
}
END_TEST

START_TEST(test_next_server_is_the_users_word)
{
	set_up("--tftp", "|--next-server|10.0.2.77|--dhcp-boot|bios,pxelinux.0");
	next_server = 0x0a00024d;
	assert_told(&bios, "pxelinux.0");
	assert_told(&x64, "");
	take_down();
}
END_TEST

START_TEST(test_directory_that_is_none_is_one_clear_line)
{
	static struct process_place place;
	static struct process process;

	process_place_make(&place);
	process_run(&process, &place, "--boot|/nonexistent/x");
	ck_assert_int_ne(process.status, 0);
	ck_assert_str_eq(process.err_text,
			 "lwnat: error: --boot: '/nonexistent/x': No such file or "
			 "directory (accepted: a directory that can be read)\n");
	process_place_remove(&place);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("boot");
	TCase *twice = tcase_create("free and restricted"), *once = tcase_create("once");
	SRunner *runner;
	int failed;

	tcase_set_timeout(twice, PROCESS_HANG_S);
	tcase_set_timeout(once, PROCESS_HANG_S);
	tcase_add_loop_test(twice, test_file_is_read_by_tftp, 0, 2);
	tcase_add_loop_test(twice, test_file_is_read_by_http, 0, 2);
	tcase_add_test(once, test_tftp_refuses_what_it_must);
	tcase_add_test(once, test_tftp_ends_at_64_transfers_until_some_end);
	tcase_add_test(once, test_lost_block_is_sent_again);
	tcase_add_test(once, test_http_head_ranges_and_refusals);
	tcase_add_test(once, test_boot_file_by_architecture);
	tcase_add_test(once, test_users_word_goes_before_the_directory);
	tcase_add_test(once, test_next_server_is_the_users_word);
	tcase_add_test(once, test_directory_that_is_none_is_one_clear_line);
	suite_add_tcase(suite, twice);
	suite_add_tcase(suite, once);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
