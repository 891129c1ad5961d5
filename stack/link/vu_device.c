#include "stack/link/vu_device.h"

#include "stack/link/virtio_net.h"

#include <errno.h>
#include <string.h>

/* Not INFLIGHT_SHMFD: chains are used in the order in which they are taken, so that the used index,
 * from which QEMU restores a ring whose back-end died, says how far we came. (What was sent and not
 * yet used is sent again; QEMU's network devices do not ask for it either.) */
#define PROTOCOL_FEATURES                                                                          \
	(VU_PROTOCOL_F_MQ | VU_PROTOCOL_F_LOG_SHMFD | VU_PROTOCOL_F_RARP |                         \
	 VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_NET_MTU | VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS)

#define LOG_LEN_MAX (UINT64_C(1) << 30) /* bytes, for 32 TiB of guest memory */

uint64_t vu_device_features(void)
{
	/* MAC, STATUS, CTRL_VQ are answered by the front-end, which holds the configuration space:
	 * not ours to offer. MQ and GUEST_ANNOUNCE it masks with what we say.
	 * Not RING_PACKED: it has no used index to go on from after a crash, no front-end chooses
	 * it by itself, and a split ring's indices cost 63 of 135 instructions a descriptor, 6 % of
	 * what a download takes in user space: it could save a part of that. */
	return VIRTIO_F_VERSION_1 | VIRTIO_F_ANY_LAYOUT | VIRTIO_F_INDIRECT_DESC |
	       VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_CSUM |
	       VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_MTU | VIRTIO_NET_F_GUEST_TSO4 |
	       VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_GUEST_ECN | VIRTIO_NET_F_HOST_TSO4 |
	       VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_HOST_ECN | VIRTIO_NET_F_HOST_USO |
	       VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6 | VIRTIO_NET_F_GUEST_ANNOUNCE |
	       VIRTIO_NET_F_MQ | VHOST_F_LOG_ALL | VHOST_USER_F_PROTOCOL_FEATURES;
}

/* ---- rings ---- */

static void close_fd(struct vu_device *dev, int *fd)
{
	if (*fd >= 0)
		dev->ops->close_fd(dev->ctx, *fd);
	*fd = -1;
}

static void ring_reset(struct vu_device *dev, struct vu_ring *ring)
{
	close_fd(dev, &ring->kick_fd);
	close_fd(dev, &ring->call_fd);
	*ring = (struct vu_ring){.kick_fd = -1, .call_fd = -1, .q.mem = &dev->mem};
}

static void ring_features(struct vu_device *dev, struct vu_ring *ring)
{
	ring->q.event_idx = dev->features & VIRTIO_F_EVENT_IDX;
	ring->q.indirect = dev->features & VIRTIO_F_INDIRECT_DESC;
	ring->q.used_logged = dev->features & VHOST_F_LOG_ALL && ring->addr.flags & VU_VRING_F_LOG;
}

/* Once per start, when the ring has both its memory and its kick. */
static void ring_begin(struct vu_ring *ring)
{
	if (!ring->started || ring->at_base)
		return;
	virtq_start_at(&ring->q, ring->base);
	ring->at_base = true;
}

/* Finds the ring's parts in the memory there is now. Virtio's alignments (section 2.7) are those of
 * our loads. False: they are not all there, and the ring stands still. */
static bool ring_resolve(struct vu_device *dev, struct vu_ring *ring)
{
	struct virtq *q = &ring->q;
	const struct vu_vring_addr *a = &ring->addr;

	q->desc = vu_mem_user(&dev->mem, a->desc, virtq_desc_len(q->size));
	q->avail = vu_mem_user(&dev->mem, a->avail, virtq_avail_len(q->size));
	q->used = vu_mem_user(&dev->mem, a->used, virtq_used_len(q->size));
	if (q->size && q->desc && q->avail && q->used && (uintptr_t)q->desc % 16 == 0 &&
	    (uintptr_t)q->avail % 2 == 0 && (uintptr_t)q->used % 4 == 0) {
		ring_begin(ring);
		return true;
	}
	q->desc = NULL;
	q->avail = NULL;
	q->used = NULL;
	return false;
}

static bool has_address(const struct vu_ring *ring)
{
	return ring->addr.desc || ring->addr.avail || ring->addr.used;
}

/* After the memory changed: addresses mean other bytes now, or none. */
static void rings_resolve(struct vu_device *dev)
{
	for (unsigned i = 0; i < VU_RINGS_MAX; i++) {
		if (has_address(&dev->ring[i])) {
			ring_resolve(dev, &dev->ring[i]);
			dev->ops->ring_changed(dev->ctx, i);
		}
	}
}

static int set_ring_num(struct vu_device *dev, const struct vu_vring_state *s)
{
	if (s->num == 0 || s->num > VIRTQ_SIZE_MAX || s->num & (s->num - 1) ||
	    dev->ring[s->index].started)
		return -EINVAL;
	dev->ring[s->index].q.size = (uint16_t)s->num;
	if (has_address(&dev->ring[s->index]))
		ring_resolve(dev, &dev->ring[s->index]);
	return 0;
}

static int set_ring_base(struct vu_device *dev, const struct vu_vring_state *s)
{
	if (s->num > UINT16_MAX || dev->ring[s->index].started)
		return -EINVAL;
	dev->ring[s->index].base = (uint16_t)s->num;
	return 0;
}

/* Also while the ring runs: logging goes on and off this way. */
static int set_ring_addr(struct vu_device *dev, const struct vu_vring_addr *a)
{
	struct vu_ring *ring = &dev->ring[a->index];

	ring->addr = *a;
	ring->q.used_log = a->log;
	ring_features(dev, ring);
	if (!ring_resolve(dev, ring))
		return -EFAULT;
	dev->ops->ring_changed(dev->ctx, a->index);
	return 0;
}

static int get_ring_base(struct vu_device *dev, uint32_t index, struct vu_vring_state *ret)
{
	struct vu_ring *ring = &dev->ring[index];

	/* Who goes on from this base goes on from the used index, too. He makes the call. */
	if (ring->at_base && virtq_is_set(&ring->q))
		(void)virtq_publish(&ring->q);
	*ret = (struct vu_vring_state){index, ring->at_base ? ring->q.avail_next : ring->base};
	ring->base = (uint16_t)ret->num;
	ring->started = false;
	ring->at_base = false;
	close_fd(dev, &ring->kick_fd);
	close_fd(dev, &ring->call_fd);
	dev->ops->ring_changed(dev->ctx, index);
	return 0;
}

static int set_ring_enable(struct vu_device *dev, const struct vu_vring_state *s)
{
	dev->ring[s->index].enabled = s->num == 1;
	dev->ops->ring_changed(dev->ctx, s->index);
	return s->num > 1 ? -EINVAL : 0;
}

/* Takes the descriptor of a kick or call message: -1 when it says that there is none. */
static int take_fd(uint64_t u64, int *fds, unsigned fds_n, int *ret)
{
	*ret = -1;
	if (u64 & VU_VRING_NO_FD)
		return 0;
	if (fds_n != 1)
		return -EBADMSG;
	*ret = fds[0];
	fds[0] = -1;
	return 0;
}

static void ring_start(struct vu_device *dev, struct vu_ring *ring)
{
	ring->started = true;
	dev->log_missed |= (dev->features & VHOST_F_LOG_ALL) != 0;
	if (virtq_is_set(&ring->q))
		ring_begin(ring);
	/* "If VHOST_USER_F_PROTOCOL_FEATURES has not been negotiated, the ring starts directly in
	 * the enabled state." */
	if (!(dev->features & VHOST_USER_F_PROTOCOL_FEATURES))
		ring->enabled = true;
}

static int set_ring_kick(struct vu_device *dev, uint64_t u64, int *fds, unsigned fds_n)
{
	struct vu_ring *ring = &dev->ring[u64 & VU_VRING_INDEX];
	int fd, result = take_fd(u64, fds, fds_n, &fd);

	if (result < 0)
		return result;
	/* To be polled then. Front-ends ask for that on kernels whose KVM has no event descriptors
	 * (before 2.6.32). */
	if (fd < 0)
		return -EOPNOTSUPP;
	close_fd(dev, &ring->kick_fd);
	ring->kick_fd = fd;
	ring_start(dev, ring);
	dev->ops->ring_changed(dev->ctx, (unsigned)(u64 & VU_VRING_INDEX));
	return 0;
}

static int set_ring_call(struct vu_device *dev, uint64_t u64, int *fds, unsigned fds_n)
{
	struct vu_ring *ring = &dev->ring[u64 & VU_VRING_INDEX];
	int fd, result = take_fd(u64, fds, fds_n, &fd);

	if (result < 0)
		return result;
	close_fd(dev, &ring->call_fd);
	ring->call_fd = fd;
	dev->ops->ring_changed(dev->ctx, (unsigned)(u64 & VU_VRING_INDEX));
	return 0;
}

/* ---- memory ---- */

static struct vu_region region_of(const struct vu_mem_region *as)
{
	return (struct vu_region){
	    .guest_addr = as->guest_addr, .user_addr = as->user_addr, .len = as->len, .users = 1};
}

static int add_region(struct vu_device *dev, const struct vu_mem_region *as, int fd)
{
	struct vu_region region = region_of(as);
	int result = dev->ops->map(dev->ctx, fd, as, &region);

	if (result < 0)
		return result;
	result = vu_mem_add(&dev->mem, &region);
	if (result < 0)
		dev->ops->unmap(dev->ctx, &region);
	return result;
}

static void drop_memory(struct vu_device *dev)
{
	for (unsigned i = 0; i < dev->mem.n; i++)
		dev->ops->unmap(dev->ctx, &dev->mem.region[i]);
	dev->mem.n = 0;
	dev->mem.last = 0;
}

static int set_mem_table(struct vu_device *dev, const struct vu_mem_table *table, const int *fds,
			 unsigned fds_n)
{
	int result = 0;

	if (fds_n != table->n)
		return -EBADMSG;
	drop_memory(dev);
	for (uint32_t i = 0; i < table->n && result == 0; i++)
		result = add_region(dev, &table->region[i], fds[i]);
	if (result < 0)
		drop_memory(dev);
	rings_resolve(dev);
	return result;
}

static int add_mem_reg(struct vu_device *dev, const struct vu_mem_region *as, const int *fds,
		       unsigned fds_n)
{
	struct vu_region like = region_of(as), *known = vu_mem_find(&dev->mem, &like);
	int result;

	if (known) {
		known->users++;
		return 0;
	}
	result = fds_n == 1 ? add_region(dev, as, fds[0]) : -EBADMSG;
	if (result == 0)
		rings_resolve(dev);
	return result;
}

static int rem_mem_reg(struct vu_device *dev, const struct vu_mem_region *as)
{
	struct vu_region like = region_of(as), *known = vu_mem_find(&dev->mem, &like), gone;

	if (!known)
		return -ENOENT;
	if (--known->users)
		return 0;
	gone = *known;
	vu_mem_remove(&dev->mem, known);
	rings_resolve(dev); /* before the bytes go */
	dev->ops->unmap(dev->ctx, &gone);
	return 0;
}

/* Logging goes on and off with the feature; the log stays for the next time. */
static void log_features(struct vu_device *dev)
{
	bool on = dev->features & VHOST_F_LOG_ALL;

	dev->mem.log = on ? dev->log : NULL;
	dev->mem.log_len = on ? dev->log_len : 0;
	dev->log_missed &= on;
}

static void drop_log(struct vu_device *dev)
{
	if (dev->log)
		dev->ops->unmap_log(dev->ctx, dev->log, dev->log_len);
	dev->log = NULL;
	dev->log_len = 0;
}

static void log_everything(struct vu_device *dev)
{
	for (unsigned i = 0; i < dev->mem.n; i++)
		vu_mem_dirty(&dev->mem, dev->mem.region[i].guest_addr, dev->mem.region[i].len);
}

static int set_log_base(struct vu_device *dev, const struct vu_log *as, const int *fds,
			unsigned fds_n)
{
	uint8_t *log;

	if (fds_n != 1 || !(dev->protocol & VU_PROTOCOL_F_LOG_SHMFD))
		return -EBADMSG;
	if (as->len > LOG_LEN_MAX)
		return -EINVAL;
	int result = dev->ops->map_log(dev->ctx, fds[0], as, &log);
	if (result < 0)
		return result;
	drop_log(dev);
	dev->log = log;
	dev->log_len = as->len;
	log_features(dev);
	/* When a guest's driver comes anew while its machine is being moved, QEMU starts the rings
	 * first and has thrown away the log before this one. */
	if (dev->log_missed)
		log_everything(dev);
	dev->log_missed = false;
	return 0;
}

/* ---- messages ---- */

static int set_features(struct vu_device *dev, uint64_t features)
{
	if (features & ~dev->offered)
		return -EINVAL;
	dev->features = features;
	log_features(dev);
	for (unsigned i = 0; i < VU_RINGS_MAX; i++) {
		ring_features(dev, &dev->ring[i]);
		dev->ops->ring_changed(dev->ctx, i);
	}
	return 0;
}

static bool index_is_bad(const struct vu_msg *msg)
{
	switch (msg->request) {
	case VU_SET_VRING_NUM:
	case VU_SET_VRING_BASE:
	case VU_GET_VRING_BASE:
	case VU_SET_VRING_ENABLE:
		return msg->state.index >= VU_RINGS_MAX;
	case VU_SET_VRING_ADDR:
		return msg->addr.index >= VU_RINGS_MAX;
	case VU_SET_VRING_KICK:
	case VU_SET_VRING_CALL:
	case VU_SET_VRING_ERR:
		return (msg->u64 & VU_VRING_INDEX) >= VU_RINGS_MAX;
	default:
		return false;
	}
}

/* What changes the device. 0 or a negative errno: what an acknowledgement says. */
static int apply(struct vu_device *dev, const struct vu_msg *msg, int *fds, unsigned fds_n)
{
	if (index_is_bad(msg))
		return -EINVAL;
	switch (msg->request) {
	case VU_SET_FEATURES:
		return set_features(dev, msg->u64);
	case VU_SET_PROTOCOL_FEATURES:
		dev->protocol = msg->u64 & PROTOCOL_FEATURES;
		return 0;
	case VU_SET_MEM_TABLE:
		return set_mem_table(dev, &msg->mem, fds, fds_n);
	case VU_ADD_MEM_REG:
		return add_mem_reg(dev, &msg->region, fds, fds_n);
	case VU_REM_MEM_REG:
		return rem_mem_reg(dev, &msg->region);
	case VU_SET_LOG_BASE:
		return set_log_base(dev, &msg->log, fds, fds_n);
	case VU_SET_VRING_NUM:
		return set_ring_num(dev, &msg->state);
	case VU_SET_VRING_ADDR:
		return set_ring_addr(dev, &msg->addr);
	case VU_SET_VRING_BASE:
		return set_ring_base(dev, &msg->state);
	case VU_SET_VRING_KICK:
		return set_ring_kick(dev, msg->u64, fds, fds_n);
	case VU_SET_VRING_CALL:
		return set_ring_call(dev, msg->u64, fds, fds_n);
	case VU_SET_VRING_ENABLE:
		return set_ring_enable(dev, &msg->state);
	case VU_NET_SET_MTU:
		dev->mtu = msg->u64 <= UINT16_MAX ? (uint16_t)msg->u64 : dev->mtu;
		return msg->u64 <= UINT16_MAX ? 0 : -EINVAL;
	case VU_SEND_RARP:
		dev->ops->announce(dev->ctx, msg->u64);
		return 0;
	case VU_SET_OWNER:
	case VU_RESET_OWNER: /* "deprecated ... some back-ends interpreted it": does nothing */
	case VU_SET_LOG_FD:
	case VU_SET_VRING_ERR:
		return 0;
	default:
		return -ENOSYS;
	}
}

/* What asks for a value. False: it is no such request. */
static bool answer(struct vu_device *dev, const struct vu_msg *msg, uint8_t ret_reply[VU_REPLY_MAX],
		   size_t *ret_len)
{
	struct vu_vring_state state;
	uint64_t value;

	switch (msg->request) {
	case VU_GET_FEATURES:
		value = dev->offered;
		break;
	case VU_GET_PROTOCOL_FEATURES:
		value = PROTOCOL_FEATURES;
		break;
	case VU_GET_QUEUE_NUM:
		value = VU_PAIRS_MAX;
		break;
	case VU_GET_MAX_MEM_SLOTS:
		value = VU_REGIONS_MAX;
		break;
	case VU_GET_VRING_BASE:
		if (index_is_bad(msg))
			return false;
		get_ring_base(dev, msg->state.index, &state);
		*ret_len = vu_reply_state(msg->request, &state, ret_reply);
		return true;
	default:
		return false;
	}
	*ret_len = vu_reply_u64(msg->request, value, ret_reply);
	return true;
}

int vu_device_message(struct vu_device *dev, const struct vu_msg *msg, int *fds, unsigned fds_n,
		      uint8_t ret_reply[VU_REPLY_MAX], size_t *ret_len)
{
	*ret_len = 0;
	if (answer(dev, msg, ret_reply, ret_len))
		return 0;

	int result = apply(dev, msg, fds, fds_n);

	/* "With LOG_SHMFD, the back-end replies to SET_LOG_BASE", whatever was negotiated. */
	if (msg->request == VU_SET_LOG_BASE && result == 0) {
		*ret_len = vu_reply_u64(msg->request, 0, ret_reply);
		return 0;
	}
	if (msg->need_reply && dev->protocol & VU_PROTOCOL_F_REPLY_ACK) {
		*ret_len = vu_reply_u64(msg->request, result < 0 ? 1 : 0, ret_reply);
		return 0;
	}
	return result;
}

void vu_device_init(struct vu_device *dev, uint64_t offered, const struct vu_device_ops *ops,
		    void *ctx)
{
	memset(dev, 0, sizeof(*dev));
	dev->ops = ops;
	dev->ctx = ctx;
	dev->offered = offered;
	for (unsigned i = 0; i < VU_RINGS_MAX; i++)
		dev->ring[i] = (struct vu_ring){.kick_fd = -1, .call_fd = -1, .q.mem = &dev->mem};
}

void vu_device_reset(struct vu_device *dev)
{
	for (unsigned i = 0; i < VU_RINGS_MAX; i++)
		ring_reset(dev, &dev->ring[i]);
	drop_log(dev);
	drop_memory(dev);
	dev->features = dev->protocol = 0;
	log_features(dev);
}
