#include "stack/link/virtq.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* virtio 1.2 section 2.7.5 to 2.7.8 */
#define DESC_LEN 16
#define DESC_F_NEXT 1
#define DESC_F_WRITE 2
#define DESC_F_INDIRECT 4
#define AVAIL_F_NO_INTERRUPT 1
#define USED_F_NO_NOTIFY 1
#define FLAGS_AT 0
#define IDX_AT 2
#define RING_AT 4
#define USED_ELEM_LEN 8
#define INDIRECT_MAX 32768 /* descriptors in one table */

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

size_t virtq_desc_len(uint16_t size)
{
	return (size_t)DESC_LEN * size;
}

size_t virtq_avail_len(uint16_t size)
{
	return RING_AT + 2 * (size_t)size + 2;
}

size_t virtq_used_len(uint16_t size)
{
	return RING_AT + USED_ELEM_LEN * (size_t)size + 2;
}

/* The ring parts are aligned to 2 and 4 bytes (checked when they are set), so that these are single
 * accesses. */
static uint16_t load16(const uint8_t *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE));
}

static void store16(void *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)p, htole16(v), __ATOMIC_RELEASE);
}

static void log_used(struct virtq *q, size_t at, size_t len)
{
	if (q->used_logged)
		vu_mem_dirty(q->mem, q->used_log + at, len);
}

static uint8_t *avail_event(const struct virtq *q)
{
	return q->used + RING_AT + USED_ELEM_LEN * (size_t)q->size;
}

static const uint8_t *used_event(const struct virtq *q)
{
	return q->avail + RING_AT + 2 * (size_t)q->size;
}

static struct desc desc_get(const uint8_t *p)
{
	struct desc d;

	memcpy(&d.addr, p, 8);
	memcpy(&d.len, p + 8, 4);
	memcpy(&d.flags, p + 12, 2);
	memcpy(&d.next, p + 14, 2);
	return (struct desc){le64toh(d.addr), le32toh(d.len), le16toh(d.flags), le16toh(d.next)};
}

/* Adds one buffer to the chain. */
static int chain_add(struct virtq *q, struct virtq_chain *chain, const struct desc *d)
{
	unsigned n = chain->out_n + chain->in_n;
	bool in = d->flags & DESC_F_WRITE;
	uint32_t *len = in ? &chain->in_len : &chain->out_len;

	if (!in && chain->in_n)
		return -EPROTO; /* section 2.7.4.2: what is written comes last */
	if (d->len > UINT32_MAX - *len)
		return -EPROTO;
	int pieces = vu_mem_guest(q->mem, d->addr, d->len, chain->iov + n, VIRTQ_PIECES_MAX - n);
	if (pieces < 0)
		return -EPROTO;
	*len += d->len;
	*(in ? &chain->in_n : &chain->out_n) += (unsigned)pieces;
	return 0;
}

/* Follows 'table' from descriptor 'i', in no more steps than it has entries. */
static int walk(struct virtq *q, struct virtq_chain *chain, const uint8_t *table, uint32_t size,
		uint32_t i, struct desc *ret_indirect)
{
	for (uint32_t steps = 0; steps < size; steps++) {
		if (i >= size)
			return -EPROTO;
		struct desc d = desc_get(table + DESC_LEN * (size_t)i);
		if (d.flags & DESC_F_INDIRECT) {
			/* Section 2.7.5.3.1: not inside a table, and the last of its chain. */
			if (!ret_indirect || !q->indirect || d.flags & DESC_F_NEXT)
				return -EPROTO;
			*ret_indirect = d;
			return 1;
		}
		if (chain_add(q, chain, &d) < 0)
			return -EPROTO;
		if (!(d.flags & DESC_F_NEXT))
			return 0;
		i = d.next;
	}
	return -EPROTO;
}

static int walk_indirect(struct virtq *q, struct virtq_chain *chain, const struct desc *d)
{
	struct iovec table;

	if (d->len == 0 || d->len % DESC_LEN || d->len / DESC_LEN > INDIRECT_MAX)
		return -EPROTO;
	/* A table across two regions is within the letter; no driver makes one. */
	if (vu_mem_guest(q->mem, d->addr, d->len, &table, 1) != 1)
		return -EPROTO;
	return walk(q, chain, table.iov_base, d->len / DESC_LEN, 0, NULL);
}

int virtq_pop(struct virtq *q, struct virtq_chain *ret)
{
	struct desc indirect;
	uint16_t mask = (uint16_t)(q->size - 1);

	if (q->avail_next == q->avail_seen) {
		q->avail_seen = load16(q->avail + IDX_AT);
		if (q->avail_next == q->avail_seen)
			return 0;
	}
	if ((uint16_t)(q->avail_seen - q->avail_next) > q->size)
		return -EPROTO;
	ret->head = load16(q->avail + RING_AT + 2 * (size_t)(q->avail_next & mask));
	ret->out_n = ret->in_n = 0;
	ret->out_len = ret->in_len = 0;
	int result = walk(q, ret, q->desc, q->size, ret->head, &indirect);
	if (result == 1)
		result = walk_indirect(q, ret, &indirect);
	if (result < 0)
		return result;
	q->avail_next++;
	return 1;
}

void virtq_unpop(struct virtq *q, uint16_t n)
{
	q->avail_next = (uint16_t)(q->avail_next - n);
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t len)
{
	size_t at = RING_AT + USED_ELEM_LEN * (size_t)(q->used_next & (q->size - 1));
	uint32_t elem[2] = {htole32(head), htole32(len)};

	memcpy(q->used + at, elem, sizeof(elem));
	log_used(q, at, sizeof(elem));
	q->used_next++;
}

/* Section 2.7.7.2: has the index passed 'event' since it was 'old'? */
static bool passed(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

bool virtq_publish(struct virtq *q)
{
	uint16_t old = q->used_told;

	if (q->used_next == old)
		return false;
	store16(q->used + IDX_AT, q->used_next);
	log_used(q, IDX_AT, 2);
	q->used_told = q->used_next;
	/* The driver sets its event, then looks at the index; we do it the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (q->event_idx)
		return passed(load16(used_event(q)), q->used_next, old);
	return !(load16(q->avail + FLAGS_AT) & AVAIL_F_NO_INTERRUPT);
}

bool virtq_kicks_on(struct virtq *q)
{
	uint16_t seen = q->avail_seen;

	if (q->event_idx) {
		store16(avail_event(q), seen);
		log_used(q, (size_t)(avail_event(q) - q->used), 2);
	} else {
		store16(q->used + FLAGS_AT, 0);
		log_used(q, FLAGS_AT, 2);
	}
	/* The driver moves its index, then looks for our event; we do it the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	q->avail_seen = load16(q->avail + IDX_AT);
	return q->avail_seen != seen;
}

void virtq_kicks_off(struct virtq *q)
{
	if (q->event_idx)
		return; /* an event that is left behind keeps silent for 65,535 entries */
	store16(q->used + FLAGS_AT, USED_F_NO_NOTIFY);
	log_used(q, FLAGS_AT, 2);
}

void virtq_start_at(struct virtq *q, uint16_t avail_next)
{
	q->avail_next = q->avail_seen = avail_next;
	q->used_next = q->used_told = load16(q->used + IDX_AT);
}
