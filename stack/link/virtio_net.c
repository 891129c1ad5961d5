#include "stack/link/virtio_net.h"

#include "stack/base/port.h"

#include <endian.h>
#include <string.h>

/* Section 5.1.6: the header's members, all little-endian. */
#define FLAGS_AT 0
#define GSO_TYPE_AT 1
#define HDR_LEN_AT 2
#define GSO_SIZE_AT 4
#define CSUM_START_AT 6
#define CSUM_OFFSET_AT 8
#define NUM_BUFFERS_AT 10

#define F_NEEDS_CSUM 1

/* Enough for what the guest's driver pulls together of a large segment: Ethernet, IP and TCP with
 * all their options. A hint (section 5.1.6.2.1). */
#define HDR_LEN_HINT_V4 54
#define HDR_LEN_HINT_V6 74

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static void put16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

size_t virtio_net_hdr_len(uint64_t features)
{
	return features & (VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_VERSION_1) ? 12 : 10;
}

/* The features without which a guest may not send this; 0: nobody may. */
static uint64_t features_for(uint8_t gso_type)
{
	uint64_t ecn = gso_type & FRAME_GSO_ECN ? VIRTIO_NET_F_HOST_ECN : 0;

	switch (gso_type & ~FRAME_GSO_ECN) {
	case FRAME_GSO_TCPV4:
		return VIRTIO_NET_F_HOST_TSO4 | ecn;
	case FRAME_GSO_TCPV6:
		return VIRTIO_NET_F_HOST_TSO6 | ecn;
	case FRAME_GSO_UDP_L4:
		return ecn ? 0 : VIRTIO_NET_F_HOST_USO;
	default:
		return 0;
	}
}

bool virtio_net_hdr_get(const uint8_t *hdr, uint64_t features, uint32_t frame_len,
			struct frame_offload *ret)
{
	*ret = (struct frame_offload){0};
	if (hdr[FLAGS_AT] & F_NEEDS_CSUM) {
		ret->needs_csum = 1;
		ret->csum_start = get16(hdr + CSUM_START_AT);
		ret->csum_offset = get16(hdr + CSUM_OFFSET_AT);
		if (!(features & VIRTIO_NET_F_CSUM) ||
		    (uint32_t)ret->csum_start + ret->csum_offset + 2 > frame_len)
			return false;
	}
	if (hdr[GSO_TYPE_AT] == 0)
		return true;
	ret->gso_type = hdr[GSO_TYPE_AT];
	ret->gso_size = get16(hdr + GSO_SIZE_AT);
	uint64_t needed = features_for(ret->gso_type);
	/* A segment to be cut gets new checksums: section 5.1.6.2 wants it marked so. */
	return needed && (features & needed) == needed && ret->gso_size > 0 && ret->needs_csum;
}

void virtio_net_hdr_put(uint8_t *hdr, uint64_t features, const struct frame_offload *offload,
			uint16_t buffers_n)
{
	memset(hdr, 0, virtio_net_hdr_len(features));
	if (virtio_net_hdr_len(features) > NUM_BUFFERS_AT)
		put16(hdr + NUM_BUFFERS_AT, buffers_n);
	if (offload->needs_csum) {
		hdr[FLAGS_AT] = F_NEEDS_CSUM;
		put16(hdr + CSUM_START_AT, offload->csum_start);
		put16(hdr + CSUM_OFFSET_AT, offload->csum_offset);
	}
	if (offload->gso_type) {
		bool v4 = (offload->gso_type & ~FRAME_GSO_ECN) == FRAME_GSO_TCPV4;
		hdr[GSO_TYPE_AT] = offload->gso_type;
		put16(hdr + GSO_SIZE_AT, offload->gso_size);
		put16(hdr + HDR_LEN_AT, v4 ? HDR_LEN_HINT_V4 : HDR_LEN_HINT_V6);
	}
}

unsigned virtio_net_guest_takes(uint64_t features)
{
	unsigned takes = 0;

	if (!(features & VIRTIO_NET_F_GUEST_CSUM))
		return 0; /* section 5.1.3.1: all others stand on it */
	takes |= PORT_CSUM;
	if (features & VIRTIO_NET_F_GUEST_TSO4)
		takes |= PORT_TSO4;
	if (features & VIRTIO_NET_F_GUEST_TSO6)
		takes |= PORT_TSO6;
	if (features & VIRTIO_NET_F_GUEST_ECN)
		takes |= PORT_TSO_ECN;
	if (features & VIRTIO_NET_F_GUEST_USO4 && features & VIRTIO_NET_F_GUEST_USO6)
		takes |= PORT_USO;
	return takes;
}
