#include "tests/support/tftp_bed.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { HANDLE_FILE = 7, HANDLE_TEXT = 8 };

static int file_open(void *ctx, const char *name, int *ret_file, uint64_t *ret_size)
{
	struct tftp_bed *bed = ctx;
	bool text = bed->text && strcmp(name, "text") == 0;

	if (strcmp(name, "secret") == 0)
		return -EXDEV;
	if (strcmp(name, "busy") == 0)
		return -EMFILE;
	if (!text && !bed->any_name && strncmp(name, "file", 4) != 0)
		return strlen(name) > 255 ? -ENAMETOOLONG : -ENOENT;
	bed->open_n++;
	bed->opened_n++;
	*ret_file = text ? HANDLE_TEXT : HANDLE_FILE;
	*ret_size = text ? strlen(bed->text) : bed->size;
	return 0;
}

/* Of a file that no test reads whole, only the beginning of each piece is true. */
static void fill(const struct tftp_bed *bed, uint64_t offset, uint8_t *bytes, size_t len)
{
	size_t true_len = bed->size > (64u << 20) && len > 8 ? 8 : len;

	for (size_t i = 0; i < true_len; i++)
		bytes[i] = tftp_bed_byte(offset + i);
}

static long file_read(void *ctx, int file, uint64_t offset, uint8_t *bytes, size_t len)
{
	const struct tftp_bed *bed = ctx;
	uint64_t size = file == HANDLE_TEXT ? strlen(bed->text) : bed->size;

	assert(bed->open_n > 0);
	if (bed->read_error < 0)
		return bed->read_error;
	if (offset >= size)
		return 0;
	if (len > size - offset)
		len = (size_t)(size - offset);
	if (file == HANDLE_TEXT)
		memcpy(bytes, bed->text + offset, len);
	else
		fill(bed, offset, bytes, len);
	return (long)len;
}

static void file_close(void *ctx, int file)
{
	struct tftp_bed *bed = ctx;

	assert(bed->open_n > 0 && (file == HANDLE_FILE || file == HANDLE_TEXT));
	bed->open_n--;
}

static void on_send(void *ctx, const struct tftpd_peer *peer, const uint8_t *bytes, size_t len)
{
	struct tftp_bed *bed = ctx;
	struct tftp_bed_packet *packet;
	struct wire_in in = wire_in(bytes, len);

	if (bed->sent_n == TFTP_BED_SENT_MAX)
		memmove(&bed->sent[0], &bed->sent[1], sizeof(bed->sent[0]) * --bed->sent_n);
	packet = &bed->sent[bed->sent_n++];
	packet->peer = *peer;
	packet->len = len;
	packet->opcode = wire_get_u16(&in);
	packet->value = wire_get_u16(&in);
	assert(!in.bad);
	memcpy(packet->bytes, bytes, len < sizeof(packet->bytes) ? len : sizeof(packet->bytes));
}

static void on_event(void *ctx, const struct tftpd_event *event)
{
	struct tftp_bed *bed = ctx;

	bed->events[event->kind]++;
	if (event->name)
		snprintf(bed->last_name, sizeof(bed->last_name), "%s", event->name);
	bed->last_reason = event->reason;
}

void tftp_bed_open(struct tftp_bed *bed)
{
	struct tftpd_config config = {
	    .mtu = bed->config.mtu ? bed->config.mtu : 1500,
	    .transfers_max = 200,
	    .rng = &bed->rng,
	    .files = {file_open, file_read, file_close},
	    .send = on_send,
	    .event = on_event,
	    .ctx = bed,
	};
	int err;

	memset(bed, 0, sizeof(*bed));
	rng_init_fixed(&bed->rng, 1);
	bed->config = config;
	bed->size = 1000;
	bed->now_ms = 1000000;
	err = tftpd_new(&bed->d, &config);
	assert(err == 0);
	(void)err;
}

void tftp_bed_close(struct tftp_bed *bed)
{
	assert(bed->open_n == tftpd_transfers(bed->d));
	tftpd_free(bed->d);
	assert(bed->open_n == 0);
}

struct tftpd_peer tftp_bed_peer(uint32_t guest, uint16_t port)
{
	return (struct tftpd_peer){.guest = guest,
				   .client = {addr_v4(0x0a00020f + guest), port},
				   .server = {addr_v4(0x0a000202), TFTPD_PORT}};
}

void tftp_bed_request(struct tftp_bed *bed, const struct tftpd_peer *peer, const void *bytes,
		      size_t len)
{
	tftpd_input(bed->d, peer, bytes, len, bed->now_ms);
}

void tftp_bed_ask(struct tftp_bed *bed, const struct tftpd_peer *peer, const char *words)
{
	uint8_t bytes[2048] = {0, TFTPD_RRQ};
	size_t len = strlen(words);

	assert(len + 3 <= sizeof(bytes));
	memcpy(bytes + 2, words, len + 1);
	for (size_t i = 2; i < 2 + len; i++) {
		if (bytes[i] == '|')
			bytes[i] = '\0';
	}
	tftp_bed_request(bed, peer, bytes, len + 3);
}

static void answer(struct tftp_bed *bed, const struct tftpd_peer *to, uint16_t opcode,
		   uint16_t value)
{
	uint8_t bytes[5] = {0};
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	wire_put_u16(&out, opcode);
	wire_put_u16(&out, value);
	tftpd_input(bed->d, to, bytes, opcode == TFTPD_ERROR ? 5 : 4, bed->now_ms);
}

void tftp_bed_ack(struct tftp_bed *bed, const struct tftpd_peer *to, uint16_t block)
{
	answer(bed, to, TFTPD_ACK, block);
}

void tftp_bed_error(struct tftp_bed *bed, const struct tftpd_peer *to)
{
	answer(bed, to, TFTPD_ERROR, 0);
}

void tftp_bed_tick(struct tftp_bed *bed, uint64_t ms)
{
	bed->now_ms += ms;
	tftpd_tick(bed->d, bed->now_ms);
}

void tftp_bed_forget(struct tftp_bed *bed)
{
	bed->sent_n = 0;
}

const struct tftp_bed_packet *tftp_bed_last(const struct tftp_bed *bed)
{
	assert(bed->sent_n > 0);
	return &bed->sent[bed->sent_n - 1];
}
