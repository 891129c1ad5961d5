#include "stack/link/vu_net.h"

#include "stack/base/pieces.h"
#include "stack/link/virtio_net.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MERGED_MAX 1024 /* buffers that one frame may take: 64 KiB in the smallest ones */

#define FLOWS_N 1024 /* whose queue pair is remembered */

/* A frame that waits for room. */
struct kept {
	struct kept *next;
	struct frame_offload offload;
	uint32_t len;
	uint8_t bytes[];
};

struct vu_net {
	struct vu_device *dev;
	struct vu_net_counters counters;
	struct virtq_chain chain; /* the one in hand */

	/* Taken and not yet given back. */
	struct frame_owner owner; /* of the batch's bytes: nobody may hold them past the turn */
	unsigned batch_n;
	uint16_t batch_head[VU_BATCH_MAX];
	uint8_t batch_headers[VU_BATCH_MAX][VU_HEADERS_LEN];
	uint8_t *bounce; /* a frame in too many pieces; NULL until there is one */
	bool bounce_used;

	uint16_t put_head[MERGED_MAX];
	uint32_t put_len[MERGED_MAX];
	uint8_t
	    sent_on[FLOWS_N]; /* by flow_hash(): the pair it was sent on last, plus 1; 0: none */
	bool broke;
	struct kept *kept, **kept_end;
	size_t kept_bytes;
};

/* ---- queue pairs ---- */

/* Frames of one connection stay in order: they go to one queue, that on which the guest sends its
 * half ("automatic receive steering", virtio 1.2 section 5.1.6.5.6.1), so that one of its
 * processors has all of the work. The same number for both directions: of addresses and ports. */
static uint32_t flow_hash(const struct iovec *headers)
{
	const uint8_t *p = headers->iov_base;
	size_t from = 26, addr_len = 4; /* IPv4 without options */
	uint32_t hash = 0;

	if (headers->iov_len >= FRAME_HDR_LEN && p[12] == 0x86 && p[13] == 0xdd) {
		from = 22;
		addr_len = 16;
	}
	size_t ports = from + 2 * addr_len;
	if (headers->iov_len < ports + 4)
		return 0;
	for (size_t i = from; i < from + addr_len; i++)
		hash = (hash ^ (p[i] + p[i + addr_len])) * 16777619U; /* FNV-1a */
	for (size_t i = ports; i < ports + 2; i++)
		hash = (hash ^ (p[i] + p[i + 2])) * 16777619U;
	return hash ^ hash >> 16;
}

static void note_pair(struct vu_net *net, unsigned ring, const struct frame *frame)
{
	if (net->dev->features & VIRTIO_NET_F_MQ)
		net->sent_on[flow_hash(&frame->iov[0]) % FLOWS_N] = (uint8_t)(ring / 2 + 1);
}

/* ---- from the guest ---- */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The rest of a frame, copied into one piece. There is one place for that: false when it is in use.
 */
static bool bounce_take(struct vu_net *net, struct pieces *rest, struct iovec *ret)
{
	if (!net->bounce)
		net->bounce = malloc(FRAME_LEN_MAX);
	if (!net->bounce || net->bounce_used)
		return false;
	net->bounce_used = true;
	*ret = (struct iovec){net->bounce, rest->left};
	pieces_copy(rest, rest->left, net->bounce);
	return true;
}

enum taken { TAKEN, TAKEN_LATER, TAKEN_BAD };

/* The chain in hand as a frame. Headers are copied, so that the guest cannot change them while they
 * are read; payload is not. */
static enum taken frame_of(struct vu_net *net, struct iovec *iov, struct frame *ret)
{
	uint8_t vnet[VIRTIO_NET_HDR_LEN_MAX], *headers = net->batch_headers[net->batch_n];
	struct pieces rest = pieces_of(net->chain.iov, net->chain.out_len);
	uint64_t features = net->dev->features;
	size_t vnet_len = virtio_net_hdr_len(features);

	if (net->chain.out_len < vnet_len + FRAME_HDR_LEN ||
	    net->chain.out_len - vnet_len > FRAME_LEN_MAX)
		return TAKEN_BAD;
	ret->len = net->chain.out_len - (uint32_t)vnet_len;
	pieces_copy(&rest, vnet_len, vnet);
	if (!virtio_net_hdr_get(vnet, features, ret->len, &ret->offload))
		return TAKEN_BAD;
	iov[0] = (struct iovec){headers, least(ret->len, VU_HEADERS_LEN)};
	pieces_copy(&rest, iov[0].iov_len, headers);
	ret->iov = iov;
	ret->iov_n = 1;
	ret->owner = &net->owner;
	if (rest.left == 0)
		return TAKEN;
	if (net->chain.iov + net->chain.out_n - rest.iov < FRAME_PIECES_MAX) {
		ret->iov_n += pieces_take(&rest, rest.left, iov + 1);
		return TAKEN;
	}
	if (!bounce_take(net, &rest, iov + 1))
		return net->bounce_used ? TAKEN_LATER : TAKEN_BAD;
	ret->iov_n++;
	return TAKEN;
}

int vu_net_take(struct vu_net *net, unsigned ring, vu_net_frame *frame_in, void *ctx)
{
	struct virtq *q = &net->dev->ring[ring].q;
	struct iovec iov[FRAME_PIECES_MAX];
	struct frame frame;

	assert(net->batch_n == 0 && net->owner.refs == 1);
	while (net->batch_n < VU_BATCH_MAX) {
		int result = virtq_pop(q, &net->chain);
		if (result < 0)
			return result;
		if (result == 0)
			break;
		enum taken taken = frame_in ? frame_of(net, iov, &frame) : TAKEN_BAD;
		if (taken == TAKEN_LATER) {
			virtq_unpop(q, 1);
			break;
		}
		net->batch_head[net->batch_n++] = net->chain.head;
		if (taken == TAKEN) {
			note_pair(net, ring, &frame);
			frame_in(ctx, &frame);
		} else if (frame_in) {
			net->counters.malformed++;
		}
	}
	return (int)net->batch_n;
}

bool vu_net_give_back(struct vu_net *net, unsigned ring)
{
	struct virtq *q = &net->dev->ring[ring].q;

	assert(net->owner.refs == 1);
	if (virtq_is_set(q)) {
		for (unsigned i = 0; i < net->batch_n; i++)
			virtq_push(q, net->batch_head[i], 0);
	}
	net->batch_n = 0;
	net->bounce_used = false;
	return virtq_is_set(q) && virtq_publish(q);
}

/* ---- to the guest ---- */

static bool takes_frames(const struct vu_ring *ring)
{
	return vu_ring_serves(ring) && ring->enabled;
}

static struct vu_ring *rx_ring_for(struct vu_net *net, const struct frame *frame)
{
	struct vu_ring *rx[VU_PAIRS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < VU_RINGS_MAX; i += 2) {
		if (takes_frames(&net->dev->ring[i]))
			rx[n++] = &net->dev->ring[i];
	}
	if (n <= 1)
		return n == 1 ? rx[0] : NULL;
	uint32_t hash = flow_hash(&frame->iov[0]);
	unsigned pair = net->sent_on[hash % FLOWS_N];
	struct vu_ring *same = pair ? &net->dev->ring[2 * (pair - 1)] : NULL;
	return same && takes_frames(same) ? same : rx[hash % n];
}

enum put { PUT, PUT_FULL, PUT_TOO_LARGE, PUT_BROKEN };

/* Fills the chain in hand from 'from'; its number and bytes are remembered until all fit. */
static void fill_chain(struct vu_net *net, unsigned n, struct pieces *from)
{
	size_t had = from->left;

	for (unsigned i = 0; i < net->chain.in_n; i++) {
		const struct iovec *to = &net->chain.iov[i];

		pieces_copy(from, least(to->iov_len, from->left), to->iov_base);
		if (net->dev->mem.log)
			vu_mem_dirty_bytes(&net->dev->mem, to->iov_base, to->iov_len);
	}
	net->put_head[n] = net->chain.head;
	net->put_len[n] = (uint32_t)(had - from->left);
}

/* The place of the virtio header in the first buffer: what counts the buffers is known last. */
static bool header_place(const struct virtq_chain *chain, size_t vnet_len, uint8_t **ret)
{
	*ret = chain->in_n ? chain->iov[0].iov_base : NULL;
	return chain->in_n && chain->iov[0].iov_len >= vnet_len;
}

/* Takes buffers until the frame fits. */
static enum put fill(struct vu_net *net, struct vu_ring *ring, struct pieces *from, unsigned *ret_n)
{
	bool merged = net->dev->features & VIRTIO_NET_F_MRG_RXBUF;
	size_t vnet_len = virtio_net_hdr_len(net->dev->features);
	uint8_t *header = NULL;
	unsigned n = 0;

	while (from->left) {
		int result = virtq_pop(&ring->q, &net->chain);
		if (result < 0)
			return PUT_BROKEN;
		/* A ring of which half is not enough (a chain has two descriptors or fewer) may
		 * never be. */
		if (result == 0)
			return n < ring->q.size / 2 ? PUT_FULL : PUT_TOO_LARGE;
		/* A chain that the device may only read, or without room for the header at its
		 * head: no driver makes one. */
		if (net->chain.out_n || (n == 0 && !header_place(&net->chain, vnet_len, &header)))
			return PUT_BROKEN;
		fill_chain(net, n, from);
		*ret_n = ++n;
		if (from->left && (!merged || n == MERGED_MAX))
			return PUT_TOO_LARGE;
	}
	assert(header); /* the virtio header is never empty */
	if (merged || vnet_len == VIRTIO_NET_HDR_LEN_MAX) {
		header[10] = (uint8_t)n;
		header[11] = (uint8_t)(n >> 8);
		/* Again: the front-end may have copied the page since the rest was written. */
		vu_mem_dirty_bytes(&net->dev->mem, header, vnet_len);
	}
	return PUT;
}

static enum put put(struct vu_net *net, struct vu_ring *ring, const struct frame *frame)
{
	uint8_t vnet[VIRTIO_NET_HDR_LEN_MAX];
	size_t vnet_len = virtio_net_hdr_len(net->dev->features);
	struct iovec iov[FRAME_PIECES_MAX + 2] = {{vnet, vnet_len}};
	struct pieces from = pieces_of(iov, vnet_len + frame->len);
	unsigned n = 0;

	virtio_net_hdr_put(vnet, net->dev->features, &frame->offload, 0);
	memcpy(iov + 1, frame->iov, frame->iov_n * sizeof(iov[0]));
	enum put result = fill(net, ring, &from, &n);
	if (result != PUT) {
		virtq_unpop(&ring->q, (uint16_t)n);
		return result;
	}
	for (unsigned i = 0; i < n; i++)
		virtq_push(&ring->q, net->put_head[i], net->put_len[i]);
	return PUT;
}

/* As put(), and asks for a kick when the ring is full. */
static enum put put_or_wait(struct vu_net *net, struct vu_ring *ring, const struct frame *frame)
{
	enum put result = put(net, ring, frame);

	while (result == PUT_FULL && virtq_kicks_on(&ring->q))
		result = put(net, ring, frame);
	if (result == PUT)
		virtq_kicks_off(&ring->q);
	if (result == PUT_BROKEN)
		net->broke = true;
	return result;
}

static bool keep(struct vu_net *net, const struct frame *frame)
{
	struct kept *k;

	if (net->kept_bytes + frame->len > VU_BACKLOG_MAX)
		return false;
	k = malloc(sizeof(*k) + frame->len);
	if (!k)
		return false;
	struct pieces from = pieces_of(frame->iov, frame->len);
	pieces_copy(&from, frame->len, k->bytes);
	k->next = NULL;
	k->len = frame->len;
	k->offload = frame->offload;
	*net->kept_end = k;
	net->kept_end = &k->next;
	net->kept_bytes += k->len;
	return true;
}

bool vu_net_put(struct vu_net *net, const struct frame *frame)
{
	struct vu_ring *ring = rx_ring_for(net, frame);

	if (!ring) {
		net->counters.dropped_not_up++;
		return false;
	}
	enum put result = net->kept ? PUT_FULL : put_or_wait(net, ring, frame);
	if (result == PUT_FULL && !keep(net, frame)) {
		net->counters.dropped_backlog++;
		return false;
	}
	if (result == PUT_TOO_LARGE)
		net->counters.dropped_buffer++;
	return result == PUT || result == PUT_FULL;
}

static void drop_first(struct vu_net *net)
{
	struct kept *k = net->kept;

	net->kept = k->next;
	if (!net->kept)
		net->kept_end = &net->kept;
	net->kept_bytes -= k->len;
	free(k);
}

void vu_net_put_kept(struct vu_net *net)
{
	while (net->kept) {
		struct iovec iov = {net->kept->bytes, net->kept->len};
		struct frame frame = {
		    .iov = &iov, .iov_n = 1, .len = net->kept->len, .offload = net->kept->offload};
		struct vu_ring *ring = rx_ring_for(net, &frame);
		enum put result = ring ? put_or_wait(net, ring, &frame) : PUT_TOO_LARGE;
		if (result == PUT_FULL || result == PUT_BROKEN)
			return;
		drop_first(net);
	}
}

bool vu_net_is_up(const struct vu_net *net)
{
	for (unsigned i = 0; i < VU_RINGS_MAX; i += 2) {
		if (takes_frames(&net->dev->ring[i]))
			return true;
	}
	return false;
}

bool vu_net_keeps(const struct vu_net *net)
{
	return net->kept;
}

bool vu_net_broke(struct vu_net *net)
{
	bool broke = net->broke;

	net->broke = false;
	return broke;
}

unsigned vu_net_publish(struct vu_net *net)
{
	unsigned calls = 0;

	for (unsigned i = 0; i < VU_RINGS_MAX; i += 2) {
		struct vu_ring *ring = &net->dev->ring[i];
		if (vu_ring_serves(ring) && virtq_publish(&ring->q))
			calls |= 1U << i;
	}
	return calls;
}

void vu_net_forget(struct vu_net *net)
{
	while (net->kept)
		drop_first(net);
}

const struct vu_net_counters *vu_net_counters(const struct vu_net *net)
{
	return &net->counters;
}

/* ---- life ---- */

static void on_last_reference(struct frame_owner *owner)
{
	(void)owner; /* one is always the net's own */
}

int vu_net_new(struct vu_net **ret, struct vu_device *dev)
{
	struct vu_net *net = calloc(1, sizeof(*net));

	if (!net)
		return -ENOMEM;
	net->dev = dev;
	net->owner = (struct frame_owner){.refs = 1, .release = on_last_reference};
	net->kept_end = &net->kept;
	*ret = net;
	return 0;
}

void vu_net_free(struct vu_net *net)
{
	if (!net)
		return;
	vu_net_forget(net);
	free(net->bounce);
	free(net);
}
