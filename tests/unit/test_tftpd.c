/* The TFTP server on bytes, with the clock as a number. */
#include "tests/support/suite.h"
#include "tests/support/tftp_bed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct tftp_bed bed;
static struct tftpd_peer client, tid; /* its request's way, and the way of what follows */

/* Asks, and remembers the port of the answer. */
static const struct tftp_bed_packet *ask(const char *words)
{
	tftp_bed_forget(&bed);
	tftp_bed_ask(&bed, &client, words);
	ck_assert_uint_gt(bed.sent_n, 0);
	tid = tftp_bed_last(&bed)->peer;
	ck_assert_uint_ne(tid.server.port, TFTPD_PORT);
	ck_assert(endpoint_eq(&tid.client, &client.client));
	ck_assert(addr_eq(&tid.server.addr, &client.server.addr));
	return &bed.sent[0];
}

static void ack(uint16_t block)
{
	tftp_bed_forget(&bed);
	tftp_bed_ack(&bed, &tid, block);
}

static void open_bed(uint64_t size)
{
	tftp_bed_open(&bed);
	bed.size = size;
	client = tftp_bed_peer(1, 2070);
}

static void assert_data(const struct tftp_bed_packet *p, uint16_t block, size_t len)
{
	ck_assert_uint_eq(p->opcode, TFTPD_DATA);
	ck_assert_uint_eq(p->value, block);
	ck_assert_uint_eq(p->len, TFTPD_HEADER_LEN + len);
}

static void assert_error(const struct tftp_bed_packet *p, enum tftpd_error error)
{
	ck_assert_uint_eq(p->opcode, TFTPD_ERROR);
	ck_assert_uint_eq(p->value, error);
	ck_assert_uint_gt(p->len, 5);
	ck_assert_uint_eq(p->bytes[p->len - 1], 0);
}

/* Of an OACK; NULL when the option is not in it. */
static const char *oack_value(const struct tftp_bed_packet *p, const char *name)
{
	const char *at = (const char *)p->bytes + 2, *end = (const char *)p->bytes + p->len;

	ck_assert_uint_eq(p->opcode, TFTPD_OACK);
	while (at < end) {
		const char *value = at + strlen(at) + 1;

		if (strcmp(at, name) == 0)
			return value;
		at = value + strlen(value) + 1;
	}
	return NULL;
}

static void assert_option(const struct tftp_bed_packet *p, const char *name, const char *value)
{
	const char *got = oack_value(p, name);

	if (!value)
		ck_assert_msg(!got, "%s is %s", name, got);
	else
		ck_assert_msg(got && strcmp(got, value) == 0, "%s is %s", name,
			      got ? got : "absent");
}

/* Reads the rest as a client does, with block 1 on its way; every byte is compared. */
static uint64_t read_rest(unsigned windowsize, size_t blksize)
{
	uint64_t block = 0, offset = 0;
	bool ended = false;

	while (!ended) {
		for (unsigned i = 0; i < bed.sent_n && !ended; i++) {
			const struct tftp_bed_packet *p = &bed.sent[i];
			size_t len = p->len - TFTPD_HEADER_LEN;

			block++;
			ck_assert_uint_eq(p->opcode, TFTPD_DATA);
			ck_assert_uint_eq(p->value, (uint16_t)block);
			for (size_t k = 0; k < len; k++) {
				if (p->bytes[TFTPD_HEADER_LEN + k] != tftp_bed_byte(offset + k))
					ck_abort_msg("byte %zu of block %lu", k,
						     (unsigned long)block);
			}
			offset += len;
			ended = len < blksize;
		}
		ck_assert_uint_le(bed.sent_n, windowsize);
		ack((uint16_t)block);
	}
	ck_assert_uint_eq(bed.sent_n, 0);
	return offset;
}

START_TEST(test_without_options_blocks_are_512_bytes)
{
	open_bed(1000);
	assert_data(ask("file|octet"), 1, 512);
	ck_assert_uint_eq(bed.sent_n, 1);
	ck_assert_str_eq(bed.last_name, "file");
	ck_assert_uint_eq(read_rest(1, 512), 1000);
	ck_assert_uint_eq(bed.events[TFTPD_FINISHED], 1);
	ck_assert_uint_eq(bed.open_n, 0);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_file_of_whole_blocks_ends_with_an_empty_one)
{
	open_bed(1024);
	ask("file|octet");
	ack(1);
	assert_data(tftp_bed_last(&bed), 2, 512);
	ack(2);
	assert_data(tftp_bed_last(&bed), 3, 0);
	ck_assert_uint_eq(bed.open_n, 1);
	ack(3);
	ck_assert_uint_eq(bed.open_n, 0);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_empty_file_is_one_empty_block)
{
	open_bed(0);
	assert_data(ask("file|octet"), 1, 0);
	ack(1);
	ck_assert_uint_eq(bed.events[TFTPD_FINISHED], 1);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_each_transfer_has_a_port_of_its_own)
{
	uint16_t first;

	open_bed(1000);
	ask("file|octet");
	first = tid.server.port;
	ck_assert_uint_ge(first, 49152);
	client.client.port++;
	ask("file|octet");
	ck_assert_uint_ne(tid.server.port, first);
	ck_assert(tftpd_claims(bed.d, &tid));
	tid.server.port = TFTPD_PORT;
	ck_assert(!tftpd_claims(bed.d, &tid));
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_options_are_answered_as_granted)
{
	const struct tftp_bed_packet *p;

	open_bed(1000);
	p = ask("file|OCTET|BlkSize|1468|tsize|0|timeout|5|windowsize|4|multicast|");
	assert_option(p, "blksize", "1468");
	assert_option(p, "tsize", "1000");
	assert_option(p, "timeout", "5");
	assert_option(p, "windowsize", "4");
	assert_option(p, "multicast", NULL);
	ack(0);
	assert_data(tftp_bed_last(&bed), 1, 1000);
	ack(1);
	ck_assert_uint_eq(bed.open_n, 0);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_blocks_are_no_longer_than_a_packet)
{
	open_bed(1000);
	assert_option(ask("file|octet|blksize|65464"), "blksize", "1468");
	client = (struct tftpd_peer){.guest = 1, .client = {{{0xfe, 0x80}}, 99}};
	client.server = (struct endpoint){{{0xfe, 0x80, [15] = 2}}, TFTPD_PORT};
	assert_option(ask("file|octet|blksize|65464"), "blksize", "1448");
	tftp_bed_close(&bed);

	bed.config.mtu = 65520;
	tftp_bed_open(&bed);
	assert_option(ask("file|octet|blksize|65464"), "blksize", "65464");
	bed.config.mtu = 0;
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_values_out_of_range_are_not_answered)
{
	static const char *const words[] = {
	    "file|octet|blksize|7",   "file|octet|blksize|65465",   "file|octet|blksize|-1",
	    "file|octet|blksize|",    "file|octet|timeout|0",       "file|octet|timeout|256",
	    "file|octet|blksize|1 0", "file|octet|windowsize|0",    "file|octet|windowsize|65536",
	    "file|octet|blksize",     "file|octet|x|99999999999999"};

	open_bed(1000);
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		client.client.port++;
		assert_data(ask(words[i]), 1, 512);
	}
	tftp_bed_close(&bed);
}
END_TEST

/* A request as it was captured, and what it gets. */
struct captured {
	const char *client;
	const char bytes[96];
	size_t len;
	const char *name, *blksize, *tsize, *timeout, *windowsize;
};

static const struct captured captured[] = {
    {"SLOF",
     "\0\1boot.bin\0octet\0blksize\0"
     "1428",
     30, "boot.bin", "1428", NULL, NULL, NULL},
    {"GRUB",
     "\0\1/hello.txt\0octet\0blksize\0"
     "1024\0tsize\0"
     "0",
     40, "/hello.txt", "1024", "1000", NULL, NULL},
    {"iPXE",
     "\0\1grub.pxe\0octet\0blksize\0"
     "1432\0tsize\0"
     "0",
     38, "grub.pxe", "1432", "1000", NULL, NULL},
    {"busybox",
     "\0\1boot.bin\0octet\0tsize\0"
     "0",
     25, "boot.bin", NULL, "1000", NULL, NULL},
    {"EDK2, asking for the size",
     "\0\1debian-installer/amd64/bootnetx64.efi\0octet\0tsize\0"
     "0\0blksize\0"
     "1468\0"
     "windowsize\0"
     "4",
     80, "debian-installer/amd64/bootnetx64.efi", "1468", "1000", NULL, "4"},
    {"EDK2",
     "\0\1debian-installer/amd64/bootnetx64.efi\0octet\0blksize\0"
     "1468\0windowsize\0"
     "4",
     72, "debian-installer/amd64/bootnetx64.efi", "1468", NULL, NULL, "4"},
    {"PXELINUX",
     "\0\1ldlinux.c32\0octet\0tsize\0"
     "0\0blksize\0"
     "1408",
     41, "ldlinux.c32", "1408", "1000", NULL, NULL},
    {"U-Boot on ARM",
     "\0\1boot.bin\0octet\0timeout\0"
     "5\0blksize\0"
     "1468",
     40, "boot.bin", "1468", NULL, "5", NULL},
    {"U-Boot on x86",
     "\0\1boot.bin\0octet\0timeout\0"
     "5\0tsize\0"
     "0\0blksize\0"
     "1468",
     48, "boot.bin", "1468", "1000", "5", NULL},
};

START_TEST(test_requests_of_real_clients)
{
	open_bed(1000);
	bed.any_name = true;
	for (unsigned i = 0; i < sizeof(captured) / sizeof(captured[0]); i++) {
		const struct captured *c = &captured[i];

		client.client.port++;
		tftp_bed_forget(&bed);
		tftp_bed_request(&bed, &client, c->bytes, c->len);
		ck_assert_msg(bed.sent_n == 1, "%s", c->client);
		ck_assert_str_eq(bed.last_name, c->name);
		assert_option(&bed.sent[0], "blksize", c->blksize);
		assert_option(&bed.sent[0], "tsize", c->tsize);
		assert_option(&bed.sent[0], "timeout", c->timeout);
		assert_option(&bed.sent[0], "windowsize", c->windowsize);
	}
	tftp_bed_close(&bed);
}
END_TEST

/* EDK2 asks for the size alone, says ERROR, and begins again from another port. */
START_TEST(test_client_that_wanted_the_size_alone_leaves_nothing)
{
	open_bed(1000);
	assert_option(ask("file|octet|tsize|0"), "tsize", "1000");
	tftp_bed_forget(&bed);
	tftp_bed_error(&bed, &tid);
	ck_assert_uint_eq(bed.sent_n, 0);
	ck_assert_uint_eq(bed.open_n, 0);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_netascii_has_cr_lf_and_no_size)
{
	const struct tftp_bed_packet *p;

	open_bed(0);
	bed.text = "a\nb\rc\n";
	p = ask("text|NetASCII|tsize|0|blksize|8");
	assert_option(p, "tsize", NULL);
	ack(0);
	assert_data(tftp_bed_last(&bed), 1, 8);
	ck_assert_mem_eq(tftp_bed_last(&bed)->bytes + 4, "a\r\nb\r\0c\r", 8);
	ack(1); /* the pair was cut in two */
	assert_data(tftp_bed_last(&bed), 2, 1);
	ck_assert_mem_eq(tftp_bed_last(&bed)->bytes + 4, "\n", 1);
	tftp_bed_tick(&bed, 1000);
	assert_data(tftp_bed_last(&bed), 2, 1);
	ck_assert_mem_eq(tftp_bed_last(&bed)->bytes + 4, "\n", 1);
	ack(2);
	ck_assert_uint_eq(bed.open_n, 0);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_netascii_window_is_sent_again_from_its_middle)
{
	open_bed(0);
	bed.text = "\n\n\n\n\n\n\n\n\n\n"; /* 20 bytes of netascii */
	ask("text|netascii|windowsize|4|blksize|8");
	ack(0);
	ck_assert_uint_eq(bed.sent_n, 3);
	ack(1);
	ck_assert_uint_eq(bed.sent_n, 2);
	assert_data(&bed.sent[0], 2, 8);
	ck_assert_mem_eq(bed.sent[0].bytes + 4, "\r\n\r\n\r\n\r\n", 8);
	assert_data(&bed.sent[1], 3, 4);
	ack(3);
	ck_assert_uint_eq(bed.open_n, 0);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_block_numbers_roll_over_beyond_32_mib)
{
	open_bed((33u << 20) + 77);
	ask("file|octet");
	ck_assert_uint_eq(read_rest(1, 512), (33u << 20) + 77);
	ck_assert_uint_eq(bed.open_n, 0);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_windows_cross_the_roll_over)
{
	open_bed((33u << 20) + 77);
	ask("file|octet|windowsize|7");
	tftp_bed_forget(&bed);
	ack(0);
	ck_assert_uint_eq(read_rest(7, 512), (33u << 20) + 77);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_file_beyond_4_gib)
{
	uint64_t size = (4ull << 30) + 5000, block = 0, offset = 0;
	size_t len = 1468;

	open_bed(size);
	assert_option(ask("file|octet|blksize|1468|tsize|0|windowsize|32"), "tsize", "4294972296");
	ack(0);
	while (len == 1468) {
		for (unsigned i = 0; i < bed.sent_n; i++) {
			const struct tftp_bed_packet *p = &bed.sent[i];

			block++;
			len = p->len - TFTPD_HEADER_LEN;
			if (p->value != (uint16_t)block || p->bytes[4] != tftp_bed_byte(offset) ||
			    p->bytes[11] != tftp_bed_byte(offset + 7))
				ck_abort_msg("block %lu", (unsigned long)block);
			offset += len;
		}
		ack((uint16_t)block);
	}
	ck_assert_uint_eq(offset, size);
	ck_assert_uint_eq(bed.open_n, 0);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_duplicate_acknowledgement_sends_nothing)
{
	open_bed(5000);
	ask("file|octet");
	ack(1);
	assert_data(tftp_bed_last(&bed), 2, 512);
	for (unsigned i = 0; i < 5; i++) {
		ack(1);
		ck_assert_uint_eq(bed.sent_n, 0);
	}
	ack(0);
	ack(3); /* not sent yet */
	ck_assert_uint_eq(bed.sent_n, 0);
	ack(2);
	ck_assert_uint_eq(bed.sent_n, 1);
	assert_data(tftp_bed_last(&bed), 3, 512);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_window_is_sent_again_from_the_gap_once)
{
	open_bed(100000);
	ask("file|octet|windowsize|8");
	ack(0);
	ck_assert_uint_eq(bed.sent_n, 8);
	ack(3); /* block 4 was lost */
	ck_assert_uint_eq(bed.sent_n, 8);
	assert_data(&bed.sent[0], 4, 512);
	assert_data(&bed.sent[7], 11, 512);
	ck_assert_uint_eq(bed.sent[0].bytes[4], tftp_bed_byte(3 * 512));
	ack(3); /* the guest says so for each block behind the gap */
	ack(3);
	ck_assert_uint_eq(bed.sent_n, 0);
	ack(11);
	assert_data(&bed.sent[0], 12, 512);
	ack(11); /* now the window's first block is missing */
	ck_assert_uint_eq(bed.sent_n, 8);
	assert_data(&bed.sent[0], 12, 512);
	ack(11);
	ck_assert_uint_eq(bed.sent_n, 0);
	tftp_bed_close(&bed);
}
END_TEST

/* It would be right in RFC 1350, and is not in RFC 7440. */
START_TEST(test_client_that_acknowledges_every_block_is_not_flooded)
{
	unsigned sent_n = 0;

	open_bed(1000 * 512);
	ask("file|octet|windowsize|64");
	ack(0);
	for (uint16_t block = 1; block <= 1000; block++) {
		ack(block);
		sent_n += bed.sent_n;
	}
	ck_assert_uint_le(sent_n, 2 * 1001);
	ack(1001);
	ck_assert_uint_eq(bed.open_n, 0);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_windows_are_bounded)
{
	open_bed(1u << 20);
	assert_option(ask("file|octet|blksize|8|windowsize|65535"), "windowsize", "64");
	ack(0);
	ck_assert_uint_eq(bed.sent_n, 64);
	tftp_bed_close(&bed);
	bed.config.mtu = 65520;
	tftp_bed_open(&bed);
	assert_option(ask("file|octet|blksize|65464|windowsize|64"), "windowsize", "2");
	bed.config.mtu = 0;
	tftp_bed_close(&bed);
}
END_TEST

/* When each repetition comes; the number of them until it is given up. */
static unsigned repetitions(uint64_t first_ms)
{
	uint64_t due_ms = first_ms, before_ms = 0;
	unsigned n = 0;

	while (bed.open_n > 0) {
		due_ms = tftpd_next_ms(bed.d, bed.now_ms);
		ck_assert_uint_ge(due_ms, first_ms);
		ck_assert_uint_ge(due_ms, before_ms);
		before_ms = due_ms > 16000 ? 0 : due_ms;
		tftp_bed_tick(&bed, due_ms - 1);
		ck_assert_uint_eq(bed.sent_n, n);
		tftp_bed_tick(&bed, 1);
		n += bed.open_n > 0;
		ck_assert_uint_eq(bed.sent_n, n);
	}
	return n;
}

START_TEST(test_silence_is_answered_by_repetition_with_back_off)
{
	open_bed(1000);
	ask("file|octet");
	tftp_bed_forget(&bed);
	ck_assert_uint_eq(tftpd_next_ms(bed.d, bed.now_ms), 1000);
	ck_assert_uint_eq(repetitions(1000), 5);
	assert_data(tftp_bed_last(&bed), 1, 512);
	ck_assert_uint_eq(bed.events[TFTPD_GIVEN_UP], 1);
	ck_assert_uint_eq(tftpd_next_ms(bed.d, bed.now_ms), UINT64_MAX);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_oack_is_repeated_too)
{
	open_bed(1000);
	ask("file|octet|timeout|3");
	tftp_bed_tick(&bed, 2999);
	ck_assert_uint_eq(bed.sent_n, 1);
	tftp_bed_tick(&bed, 1);
	ck_assert_uint_eq(bed.sent_n, 2);
	assert_option(tftp_bed_last(&bed), "timeout", "3");
	ack(0);
	assert_data(tftp_bed_last(&bed), 1, 512);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_guest_that_repeats_without_progress_is_given_up)
{
	open_bed(100000);
	ask("file|octet|windowsize|2|timeout|255");
	tftp_bed_tick(&bed, 2 * 255000 - 1);
	ck_assert_uint_eq(bed.open_n, 1);
	tftp_bed_tick(&bed, 1);
	ck_assert_uint_eq(bed.open_n, 0);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_progress_starts_the_clock_anew)
{
	open_bed(100000);
	ask("file|octet");
	for (uint16_t block = 1; block < 100; block++) {
		tftp_bed_tick(&bed, 1000);
		tftp_bed_tick(&bed, 2000);
		ack(block);
		assert_data(tftp_bed_last(&bed), (uint16_t)(block + 1), 512);
		ck_assert_uint_eq(tftpd_next_ms(bed.d, bed.now_ms), 1000);
	}
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_repeated_request_gets_the_same_answer_from_the_same_port)
{
	struct tftpd_peer before;

	open_bed(1000);
	ask("file|octet|blksize|1000");
	before = tid;
	ask("file|octet|blksize|1000");
	ck_assert_uint_eq(tid.server.port, before.server.port);
	ck_assert_uint_eq(bed.opened_n, 1);
	ask("file2|octet"); /* another one from this port takes its place */
	ck_assert_uint_eq(bed.opened_n, 2);
	ck_assert_uint_eq(bed.open_n, 1);
	ack(1);
	ask("file2|octet"); /* as does the same after progress */
	ck_assert_uint_eq(bed.opened_n, 3);
	ck_assert_uint_eq(bed.open_n, 1);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_64_transfers_of_one_guest_and_no_more)
{
	struct tftpd_peer other = tftp_bed_peer(2, 2070);

	open_bed(1000);
	for (unsigned i = 0; i < TFTPD_TRANSFERS_PER_GUEST_MAX; i++) {
		client.client.port++;
		assert_data(ask("file|octet"), 1, 512);
	}
	client.client.port++;
	assert_error(ask("file|octet"), TFTPD_UNDEFINED);
	ck_assert_uint_eq(bed.open_n, TFTPD_TRANSFERS_PER_GUEST_MAX);
	tftp_bed_ask(&bed, &other, "file|octet"); /* others are not held up */
	assert_data(tftp_bed_last(&bed), 1, 512);
	tftp_bed_tick(&bed, 60000); /* idle ones make room */
	ck_assert_uint_eq(bed.open_n, 0);
	assert_data(ask("file|octet"), 1, 512);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_limit_of_all_guests)
{
	open_bed(1000);
	for (uint32_t i = 0; i < 200; i++) {
		client = tftp_bed_peer(i / 50, (uint16_t)(1000 + i));
		assert_data(ask("file|octet"), 1, 512);
	}
	client = tftp_bed_peer(77, 1000);
	assert_error(ask("file|octet"), TFTPD_UNDEFINED);
	tftpd_guest_gone(bed.d, 0);
	ck_assert_uint_eq(bed.open_n, 150);
	assert_data(ask("file|octet"), 1, 512);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_refusals_say_why)
{
	char name[700];

	open_bed(1000);
	assert_error(ask("absent|octet"), TFTPD_NOT_FOUND);
	assert_error(ask("secret|octet"), TFTPD_ACCESS_VIOLATION);
	assert_error(ask("busy|octet"), TFTPD_UNDEFINED);
	assert_error(ask("file|mail"), TFTPD_ILLEGAL_OPERATION);
	assert_error(ask("file"), TFTPD_ILLEGAL_OPERATION);
	assert_error(ask("|octet"), TFTPD_ILLEGAL_OPERATION);
	assert_error(ask(""), TFTPD_ILLEGAL_OPERATION);
	memset(name, 'n', 600);
	strcpy(name + 600, "|octet");
	assert_error(ask(name), TFTPD_NOT_FOUND);
	ck_assert_uint_eq(bed.events[TFTPD_REFUSED], 8);
	ck_assert_uint_eq(bed.events[TFTPD_STARTED], 0);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_writing_is_refused_with_access_violation)
{
	static const uint8_t request[] = "\0\2file\0octet";

	open_bed(1000);
	tftp_bed_request(&bed, &client, request, sizeof(request));
	assert_error(tftp_bed_last(&bed), TFTPD_ACCESS_VIOLATION);
	ck_assert_uint_ne(tftp_bed_last(&bed)->peer.server.port, TFTPD_PORT);
	ck_assert_uint_eq(bed.opened_n, 0);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_what_is_no_request_is_refused_or_ignored)
{
	open_bed(1000);
	tftp_bed_request(&bed, &client, "\0\4\0\1", 4);
	assert_error(tftp_bed_last(&bed), TFTPD_ILLEGAL_OPERATION);
	tftp_bed_forget(&bed);
	tftp_bed_request(&bed, &client, "\0\5\0\1x", 6); /* errors are never answered */
	tftp_bed_request(&bed, &client, "\0", 1);
	tftp_bed_request(&bed, &client, "", 0);
	ck_assert_uint_eq(bed.sent_n, 0);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_stranger_is_told_of_the_unknown_id_and_disturbs_nobody)
{
	struct tftpd_peer stranger;

	open_bed(1000);
	ask("file|octet");
	stranger = tid;
	stranger.client.port++;
	tftp_bed_ack(&bed, &stranger, 1);
	assert_error(tftp_bed_last(&bed), TFTPD_UNKNOWN_TID);
	ck_assert_uint_eq(tftp_bed_last(&bed)->peer.client.port, stranger.client.port);
	tftp_bed_forget(&bed);
	tftp_bed_error(&bed, &stranger);
	ck_assert_uint_eq(bed.sent_n, 0);
	stranger.guest = 9; /* other guests' datagrams are none of ours */
	ck_assert(!tftpd_claims(bed.d, &stranger));
	tftp_bed_ack(&bed, &stranger, 1);
	ck_assert_uint_eq(bed.sent_n, 0);
	ack(1);
	assert_data(tftp_bed_last(&bed), 2, 1000 - 512);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_file_that_goes_bad_ends_with_an_error)
{
	open_bed(5000);
	ask("file|octet");
	bed.read_error = -EIO;
	ack(1);
	assert_error(tftp_bed_last(&bed), TFTPD_UNDEFINED);
	ck_assert_uint_eq(bed.open_n, 0);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_file_that_shrinks_ends_where_it_ends)
{
	open_bed(5000);
	ask("file|octet");
	bed.size = 600;
	ack(1);
	assert_data(tftp_bed_last(&bed), 2, 88);
	ack(2);
	ck_assert_uint_eq(bed.events[TFTPD_FINISHED], 1);
	tftp_bed_close(&bed);
}
END_TEST

START_TEST(test_bad_configs_are_refused)
{
	struct tftpd_config config;
	struct tftpd *d;

	open_bed(1);
	config = bed.config;
	config.mtu = 575;
	ck_assert_int_eq(tftpd_new(&d, &config), -EINVAL);
	config = bed.config;
	config.transfers_max = 0;
	ck_assert_int_eq(tftpd_new(&d, &config), -EINVAL);
	config = bed.config;
	config.send = NULL;
	ck_assert_int_eq(tftpd_new(&d, &config), -EINVAL);
	tftpd_free(NULL);
	tftp_bed_close(&bed);
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "tftpd", test_without_options_blocks_are_512_bytes,
	    test_file_of_whole_blocks_ends_with_an_empty_one, test_empty_file_is_one_empty_block,
	    test_each_transfer_has_a_port_of_its_own, test_options_are_answered_as_granted,
	    test_blocks_are_no_longer_than_a_packet, test_values_out_of_range_are_not_answered,
	    test_requests_of_real_clients, test_client_that_wanted_the_size_alone_leaves_nothing,
	    test_netascii_has_cr_lf_and_no_size, test_netascii_window_is_sent_again_from_its_middle,
	    test_block_numbers_roll_over_beyond_32_mib, test_windows_cross_the_roll_over,
	    test_file_beyond_4_gib, test_duplicate_acknowledgement_sends_nothing,
	    test_window_is_sent_again_from_the_gap_once, test_windows_are_bounded,
	    test_client_that_acknowledges_every_block_is_not_flooded,
	    test_silence_is_answered_by_repetition_with_back_off, test_oack_is_repeated_too,
	    test_guest_that_repeats_without_progress_is_given_up,
	    test_progress_starts_the_clock_anew,
	    test_repeated_request_gets_the_same_answer_from_the_same_port,
	    test_64_transfers_of_one_guest_and_no_more, test_limit_of_all_guests,
	    test_refusals_say_why, test_writing_is_refused_with_access_violation,
	    test_what_is_no_request_is_refused_or_ignored,
	    test_stranger_is_told_of_the_unknown_id_and_disturbs_nobody,
	    test_file_that_goes_bad_ends_with_an_error, test_file_that_shrinks_ends_where_it_ends,
	    test_bad_configs_are_refused);
}
