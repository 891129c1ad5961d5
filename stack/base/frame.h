/* An Ethernet frame on its way through lwnat: pieces of somebody's buffer, and who that somebody
 * is. A frame is valid until the call it was passed to returns, unless the receiver takes a
 * reference. */
#ifndef LWNAT_BASE_FRAME_H
#define LWNAT_BASE_FRAME_H

#include <stdint.h>
#include <sys/uio.h>

#define FRAME_HDR_LEN 14    /* Ethernet II header, bytes */
#define FRAME_LEN_MAX 65549 /* header + 65,535 bytes of IP: the most a stream transport carries */
#define FRAME_PIECES_MAX 20 /* 64 KiB in 4 KiB pages, and headers */
#define FRAME_SEGMENTS_MAX 512 /* four times what 64 KiB at the smallest MTU makes */

/* The memory behind frames (a read buffer, a guest's ring entry). 'refs' counts the holders. */
struct frame_owner {
	unsigned refs;
	void (*release)(struct frame_owner *owner); /* called when refs falls to 0 */
};

/* frame_offload.gso_type: VIRTIO_NET_HDR_GSO_* */
#define FRAME_GSO_TCPV4 1
#define FRAME_GSO_TCPV6 4
#define FRAME_GSO_UDP_L4 5
#define FRAME_GSO_ECN 0x80 /* or'ed to the TCP ones: CWR may be set */

/* What the sender left undone or glued together (virtio 1.2 section 5.1.6); all zero for a plain
 * frame. */
struct frame_offload {
	uint8_t needs_csum;   /* the checksum at csum_start + csum_offset is not filled in */
	uint8_t gso_type;     /* FRAME_GSO_*; 0 = none */
	uint16_t gso_size;    /* bytes of payload per segment */
	uint16_t csum_start;  /* from the frame's first byte */
	uint16_t csum_offset; /* from csum_start */
};

struct frame {
	const struct iovec *iov; /* pieces in order; the first holds at least the Ethernet header */
	unsigned iov_n;
	uint32_t len; /* bytes, all pieces together, Ethernet header included */
	struct frame_offload offload;
	struct frame_owner *owner;
};

static inline void frame_owner_ref(struct frame_owner *owner)
{
	owner->refs++;
}

static inline void frame_owner_unref(struct frame_owner *owner)
{
	if (--owner->refs == 0)
		owner->release(owner);
}

#endif
