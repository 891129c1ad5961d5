/* What a network card with TSO and GRO does for a guest's kernel: large TCP segments are cut into
 * frames of the wire, frames of one flow are merged into large segments. */
#ifndef LWNAT_BENCH_SEGMENT_H
#define LWNAT_BENCH_SEGMENT_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
	SEGMENT_FRAME_MAX = 65535 + 14,
	SEGMENT_MERGE_MAX = 64, /* frames */
};

/* Where things are in an Ethernet frame with an unfragmented TCP segment. */
struct segment {
	uint8_t *frame; /* borrowed */
	bool is_v6;
	uint8_t proto;
	size_t tcp_at, payload_at, payload_len;
};

/* A large segment being cut. Start with 'busy' false. */
struct cutter {
	uint8_t frame[SEGMENT_FRAME_MAX];
	struct segment seg;
	size_t piece_len; /* payload of all but the last piece */
	size_t done_len;
	uint16_t next_id;
	bool busy;
};

/* Frames held to be written as one. They stay where they are until merger_take_out(). */
struct merger {
	struct iovec iov[1 + SEGMENT_MERGE_MAX]; /* the first is for the virtio-net header */
	struct virtio_net_hdr_v1 hdr;
	struct segment head;
	size_t piece_len;
	uint32_t next_seq;
	int n;
};

/* Fills in a checksum that the kernel left to the card. */
void segment_complete_checksum(uint8_t *frame, size_t len, const struct virtio_net_hdr_v1 *hdr);
/* Turns "the checksum is right" (DATA_VALID), which need not be so and which a TAP does not look
 * at, into "the checksum is yet to be filled in", which its kernel takes for as good. 'len' bytes
 * of the frame are at hand, its headers among them. */
void segment_trust_checksum(uint8_t *frame, size_t len, struct virtio_net_hdr_v1 *hdr);

/* Begins to cut the frame of 'len' bytes in cutter->frame; false when it is not one to be cut. */
bool cutter_start(struct cutter *cutter, size_t len, const struct virtio_net_hdr_v1 *hdr);
/* Writes the next piece to 'out', SEGMENT_FRAME_MAX bytes; returns its length. */
size_t cutter_next(struct cutter *cutter, uint8_t *out);

/* Holds a frame that came with this header, which has no GSO; false when it cannot go together with
 * those held, which must be taken out first. */
bool merger_add(struct merger *merger, uint8_t *frame, size_t len,
		const struct virtio_net_hdr_v1 *hdr);
/* Gives what is held, ready for writev() to a TAP, and forgets it; the number of iovecs, 0 for
 * nothing. Good until the next merger_add(). */
int merger_take_out(struct merger *merger);

#endif
