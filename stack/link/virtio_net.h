/* virtio-net (virtio 1.2 section 5.1): feature bits, and the header before every frame against
 * struct frame_offload. Pure. */
#ifndef LWNAT_LINK_VIRTIO_NET_H
#define LWNAT_LINK_VIRTIO_NET_H

#include "stack/base/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIRTIO_F(bit) (UINT64_C(1) << (bit))
/* Section 5.1.3 */
#define VIRTIO_NET_F_CSUM VIRTIO_F(0)       /* the guest leaves checksums to us */
#define VIRTIO_NET_F_GUEST_CSUM VIRTIO_F(1) /* it takes frames without one */
#define VIRTIO_NET_F_MTU VIRTIO_F(3)
#define VIRTIO_NET_F_GUEST_TSO4 VIRTIO_F(7) /* it takes segments larger than its MTU */
#define VIRTIO_NET_F_GUEST_TSO6 VIRTIO_F(8)
#define VIRTIO_NET_F_GUEST_ECN VIRTIO_F(9)
#define VIRTIO_NET_F_HOST_TSO4 VIRTIO_F(11) /* it sends such */
#define VIRTIO_NET_F_HOST_TSO6 VIRTIO_F(12)
#define VIRTIO_NET_F_HOST_ECN VIRTIO_F(13)
#define VIRTIO_NET_F_MRG_RXBUF VIRTIO_F(15)
#define VIRTIO_NET_F_STATUS VIRTIO_F(16)
#define VIRTIO_NET_F_CTRL_VQ VIRTIO_F(17)
#define VIRTIO_NET_F_GUEST_ANNOUNCE VIRTIO_F(21)
#define VIRTIO_NET_F_MQ VIRTIO_F(22)
#define VIRTIO_NET_F_GUEST_USO4 VIRTIO_F(54)
#define VIRTIO_NET_F_GUEST_USO6 VIRTIO_F(55)
#define VIRTIO_NET_F_HOST_USO VIRTIO_F(56)
/* Section 6 */
#define VIRTIO_F_ANY_LAYOUT VIRTIO_F(27)
#define VIRTIO_F_INDIRECT_DESC VIRTIO_F(28)
#define VIRTIO_F_EVENT_IDX VIRTIO_F(29)
#define VIRTIO_F_VERSION_1 VIRTIO_F(32)

#define VIRTIO_NET_HDR_LEN_MAX 12

/* Bytes of the header under these features: 12, or 10 where buffers are neither merged nor
 * VERSION_1's (section 5.1.6.1). */
size_t virtio_net_hdr_len(uint64_t features);

/* Reads the header a guest put before a frame of 'frame_len' bytes. 'hdr' has
 * virtio_net_hdr_len(features) bytes. False when it asks for something that was not negotiated or
 * that does not fit the frame. */
bool virtio_net_hdr_get(const uint8_t *hdr, uint64_t features, uint32_t frame_len,
			struct frame_offload *ret);
/* Writes the header before a frame for a guest. 'buffers_n': of the merged buffers it stands in. */
void virtio_net_hdr_put(uint8_t *hdr, uint64_t features, const struct frame_offload *offload,
			uint16_t buffers_n);

/* What a guest with these features takes: a set of enum port_offload (stack/base/port.h). */
unsigned virtio_net_guest_takes(uint64_t features);

#endif
