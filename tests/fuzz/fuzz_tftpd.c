/* The TFTP server under guests that send anything: requests, acknowledgements right and wrong,
 * silence. What it holds stays bounded, what it sends fits a packet, and no packet of a guest's
 * makes it send more than a window. */
#include "tests/support/tftp_bed.h"

#include <stdlib.h>

#define STEPS_MAX 64
#define CLIENTS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int truth)
{
	if (!truth)
		abort();
}

enum step { REQUEST, RAW, ACK_RIGHT, ACK_WRONG, WAIT, LEAVE, STEPS };

static struct tftp_bed bed;

/* The last packet to this client, so that it can answer. */
static const struct tftp_bed_packet *last_to(const struct tftpd_peer *client)
{
	for (unsigned i = bed.sent_n; i-- > 0;) {
		if (endpoint_eq(&bed.sent[i].peer.client, &client->client))
			return &bed.sent[i];
	}
	return NULL;
}

static void take_step(enum step step, const struct tftpd_peer *client, struct wire_in *in)
{
	const struct tftp_bed_packet *last = last_to(client);
	struct tftpd_peer to = last ? last->peer : *client;
	size_t len = wire_get_u8(in);
	const uint8_t *bytes;

	switch (step) {
	case REQUEST:
	case RAW:
		len = len < wire_left(in) ? len : wire_left(in);
		bytes = wire_get(in, len);
		if (bytes)
			tftp_bed_request(&bed, step == REQUEST ? client : &to, bytes, len);
		break;
	case ACK_RIGHT:
		tftp_bed_ack(&bed, &to, last && last->opcode == TFTPD_DATA ? last->value : 0);
		break;
	case ACK_WRONG:
		tftp_bed_ack(&bed, &to, (uint16_t)((last ? last->value : 0) + len - 128));
		break;
	case WAIT:
		tftp_bed_tick(&bed, (uint64_t)len * len);
		break;
	case LEAVE:
		tftpd_guest_gone(bed.d, client->guest);
		break;
	case STEPS:
		break;
	}
}

static void check(unsigned sent_before, enum step step)
{
	unsigned transfers = tftpd_transfers(bed.d);

	expect(transfers <= bed.config.transfers_max && bed.open_n == transfers);
	expect((tftpd_next_ms(bed.d, bed.now_ms) == UINT64_MAX) == (transfers == 0));
	if (step != WAIT)
		expect(bed.sent_n - sent_before <= 64);
	for (unsigned i = sent_before; i < bed.sent_n; i++) {
		expect(bed.sent[i].len <= 1472);
		expect(bed.sent[i].peer.server.port >= 49152);
		expect(bed.sent[i].opcode >= TFTPD_DATA && bed.sent[i].opcode != TFTPD_ACK);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_in in = wire_in(data, size);
	uint8_t choice = wire_get_u8(&in);

	tftp_bed_open(&bed);
	bed.size = (uint64_t)choice * choice * 3;
	bed.text = "a\nb\r\n\n\n\r\r0123456789";
	for (unsigned i = 0; i < STEPS_MAX && wire_left(&in) > 0; i++) {
		uint8_t byte = wire_get_u8(&in);
		enum step step = (enum step)(byte % STEPS);
		struct tftpd_peer client = tftp_bed_peer(1 + (byte / STEPS) % 2,
							 (uint16_t)(2000 + byte / STEPS % CLIENTS));
		unsigned sent_before;

		if (bed.sent_n > TFTP_BED_SENT_MAX / 2)
			tftp_bed_forget(&bed);
		sent_before = bed.sent_n;
		take_step(step, &client, &in);
		/* So many that the bed has dropped the first ones: only a tick sends that much. */
		check(sent_before < bed.sent_n ? sent_before : bed.sent_n, step);
	}
	tftp_bed_close(&bed);
	return 0;
}
