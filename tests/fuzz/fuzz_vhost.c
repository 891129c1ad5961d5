/* A vhost-user device whose guest memory, rings and messages are the fuzzer's. The input: 64 KiB at
 * most of guest memory (rings at its beginning), then messages as they stand on the socket. */
#include "stack/link/virtio_net.h"
#include "stack/link/vu_net.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MEM_LEN 65536
#define BASE 0x10000
#define SIZE 16
#define TX_AT 0x400
#define STEPS 64

struct bed {
	struct vu_device dev;
	struct vu_net *net;
	uint8_t *mem;
	uint64_t sum;
};

static int on_map(void *ctx, int fd, const struct vu_mem_region *as, struct vu_region *ret)
{
	struct bed *bed = ctx;

	(void)fd;
	if (as->mmap_offset >= MEM_LEN || as->len > MEM_LEN - as->mmap_offset || as->len == 0)
		return -1;
	ret->bytes = bed->mem + as->mmap_offset;
	return 0;
}

static void on_unmap(void *ctx, const struct vu_region *region)
{
	(void)ctx;
	(void)region;
}

static int on_map_log(void *ctx, int fd, const struct vu_log *as, uint8_t **ret)
{
	(void)ctx;
	(void)fd;
	if (as->len == 0 || as->len > MEM_LEN)
		return -1;
	*ret = calloc(1, as->len);
	return *ret ? 0 : -1;
}

static void on_unmap_log(void *ctx, uint8_t *log, uint64_t len)
{
	(void)ctx;
	(void)len;
	free(log);
}

static void on_ring(void *ctx, unsigned ring)
{
	(void)ctx;
	(void)ring;
}

static void on_close(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
}

static void on_announce(void *ctx, uint64_t mac)
{
	(void)ctx;
	(void)mac;
}

static const struct vu_device_ops ops = {on_map,  on_unmap, on_map_log, on_unmap_log,
					 on_ring, on_close, on_announce};

/* Reads every byte, as a receiver would. */
static void on_frame(void *ctx, const struct frame *frame)
{
	struct bed *bed = ctx;

	for (unsigned i = 0; i < frame->iov_n; i++) {
		const uint8_t *p = frame->iov[i].iov_base;
		for (size_t k = 0; k < frame->iov[i].iov_len; k++)
			bed->sum += p[k];
	}
}

static void say(struct bed *bed, const struct vu_msg *msg)
{
	uint8_t reply[VU_REPLY_MAX];
	int fds[VU_FDS_MAX] = {100, 101, 102, 103, 104, 105, 106, 107};
	size_t reply_len;
	unsigned fds_n = msg->request == VU_SET_MEM_TABLE ? msg->mem.n : 1;

	(void)vu_device_message(&bed->dev, msg, fds, fds_n, reply, &reply_len);
}

static void ring(struct bed *bed, uint32_t index, uint64_t at)
{
	struct vu_vring_addr addr = {.index = index,
				     .flags = VU_VRING_F_LOG,
				     .desc = BASE + at,
				     .avail = BASE + at + 16 * SIZE,
				     .used = BASE + at + 16 * SIZE + 64};

	say(bed, &(struct vu_msg){.request = VU_SET_VRING_NUM, .state = {index, SIZE}});
	say(bed, &(struct vu_msg){.request = VU_SET_VRING_ADDR, .addr = addr});
	say(bed, &(struct vu_msg){.request = VU_SET_VRING_KICK, .u64 = index});
	say(bed, &(struct vu_msg){.request = VU_SET_VRING_ENABLE, .state = {index, 1}});
}

static void work(struct bed *bed)
{
	static uint8_t bytes[3000];
	struct iovec iov[2] = {{bytes, 100}, {bytes + 100, 2900}};
	struct frame frame = {.iov = iov, .iov_n = 2, .len = sizeof(bytes)};

	for (unsigned i = 1; i < VU_RINGS_MAX; i += 2) {
		struct vu_ring *r = &bed->dev.ring[i];
		if (!vu_ring_serves(r))
			continue;
		(void)vu_net_take(bed->net, i, r->enabled ? on_frame : NULL, bed);
		(void)vu_net_give_back(bed->net, i);
		(void)virtq_kicks_on(&r->q);
	}
	(void)vu_net_put(bed->net, &frame);
	vu_net_put_kept(bed->net);
	(void)vu_net_publish(bed->net);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bed bed = {0};
	struct vu_mem_table table = {1, {{BASE, MEM_LEN, BASE, 0}}};
	size_t mem_len = len < MEM_LEN ? len : MEM_LEN;
	struct vu_msg msg;
	size_t used;

	bed.mem = aligned_alloc(4096, MEM_LEN);
	if (!bed.mem)
		return 0;
	memset(bed.mem, 0, MEM_LEN);
	if (mem_len)
		memcpy(bed.mem, data, mem_len);
	vu_device_init(&bed.dev, vu_device_features(), &ops, &bed);
	if (vu_net_new(&bed.net, &bed.dev) == 0) {
		say(&bed,
		    &(struct vu_msg){.request = VU_SET_FEATURES, .u64 = vu_device_features()});
		say(&bed, &(struct vu_msg){.request = VU_SET_MEM_TABLE, .mem = table});
		ring(&bed, 0, 0);
		ring(&bed, 1, TX_AT);
		work(&bed);
		/* The same bytes as messages. */
		for (unsigned i = 0; i < STEPS && vu_msg_get(data, len, &msg, &used) == VU_MSG;
		     i++) {
			say(&bed, &msg);
			work(&bed);
			data += used;
			len -= used;
		}
		vu_net_free(bed.net);
	}
	vu_device_reset(&bed.dev);
	free(bed.mem);
	return 0;
}
