/* Our GRO: consecutive plain segments of one read batch become one before lwIP sees them. lwIP's
 * cost is per segment, and it acknowledges a merged one with a single ACK. */
#include "stack/nat/tcpflow.h"

#include <stdlib.h>

#define MERGE_LEN_MAX 64000u /* pbuf lengths are 16 bits wide, headers included */

/* Bytes of a frame, lent to lwIP. */
struct frame_pbuf {
	struct pbuf_custom custom; /* first: lwIP hands this back */
	struct frame_owner *owner;
};

static void frame_pbuf_free(struct pbuf *p)
{
	struct frame_pbuf *lent = (struct frame_pbuf *)(void *)p;

	frame_owner_unref(lent->owner);
	free(lent);
}

static struct pbuf *copied(const uint8_t *bytes, uint16_t len)
{
	struct pbuf *copy = pbuf_alloc(PBUF_RAW, len, PBUF_RAM);

	if (copy)
		memcpy(copy->payload, bytes, len);
	return copy;
}

static struct pbuf *lend(const uint8_t *bytes, uint16_t len, struct frame_owner *owner)
{
	struct frame_pbuf *lent;

	if (!owner)
		return copied(bytes, len);
	lent = malloc(sizeof(*lent));
	if (!lent)
		return NULL;
	lent->owner = owner;
	frame_owner_ref(owner);
	lent->custom.custom_free_function = frame_pbuf_free;
	/* lwIP only reads payload: the const goes because pbuf has no place for it. */
	return pbuf_alloced_custom(PBUF_RAW, len, PBUF_REF, &lent->custom, (void *)(uintptr_t)bytes,
				   len);
}

static size_t rest_len(const struct tcp_segment *segment)
{
	size_t len = 0;

	for (unsigned i = 0; i < segment->rest_n; i++)
		len += segment->rest[i].iov_len;
	return len;
}

struct pbuf *tcpmerge_pbuf(const struct tcp_segment *segment, struct frame_owner *owner)
{
	uint16_t left = segment->data_len;
	struct pbuf *head = NULL, **link = &head;
	const struct iovec first = {(void *)(uintptr_t)segment->data, left - rest_len(segment)};

	for (unsigned i = 0; i <= segment->rest_n; i++) {
		const struct iovec *piece = i ? &segment->rest[i - 1] : &first;
		if (piece->iov_len == 0)
			continue;
		*link = lend(piece->iov_base, (uint16_t)piece->iov_len, owner);
		if (!*link) {
			if (head)
				pbuf_free(head);
			return NULL;
		}
		(*link)->tot_len = left;
		left = (uint16_t)(left - piece->iov_len);
		link = &(*link)->next;
	}
	return head;
}

static bool is_lent(const struct pbuf *p)
{
	return p->flags & PBUF_FLAG_IS_CUSTOM;
}

/* One PBUF_RAM with the bytes of the lent pbufs at the head of 'chain', up to 64 KB but of one at
 * least (a jumbo frame may be longer); *ret_rest is what follows. */
static struct pbuf *copy_run(struct pbuf *chain, struct pbuf **ret_rest)
{
	struct pbuf *end = chain->next;
	struct pbuf *copy;
	size_t len = chain->len;

	while (end && is_lent(end) && len + end->len <= MERGE_LEN_MAX) {
		len += end->len;
		end = end->next;
	}
	copy = pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_RAM);
	if (!copy)
		return NULL;
	len = 0;
	while (chain != end) {
		struct pbuf *next = chain->next;
		memcpy((uint8_t *)copy->payload + len, chain->payload, chain->len);
		len += chain->len;
		chain->next = NULL;
		pbuf_free(chain);
		chain = next;
	}
	*ret_rest = end;
	return copy;
}

struct pbuf *tcpmerge_copy(struct pbuf *chain)
{
	struct pbuf *head = NULL;
	struct pbuf **link = &head;

	while (chain) {
		struct pbuf *rest = chain->next;
		struct pbuf *kept = is_lent(chain) ? copy_run(chain, &rest) : chain;

		if (!kept) {
			pbuf_free(chain);
			if (head)
				pbuf_free(head);
			return NULL;
		}
		kept->next = NULL;
		*link = kept;
		link = &kept->next;
		chain = rest;
	}
	return head;
}

static bool is_newer(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static bool is_plain(const struct tcp_segment *segment)
{
	return (segment->flags & ~(TCP_FLAG_PSH | TCP_FLAG_URG)) == TCP_FLAG_ACK;
}

/* A repeated ACK without data means something of its own (RFC 5681 section 2): it is never folded
 * away. */
static bool continues(const struct tcpflow_merge *merge, const struct tcp_segment *segment)
{
	if (!merge->pending || segment->seq != merge->header.seq + merge->len ||
	    merge->len + segment->data_len > MERGE_LEN_MAX)
		return false;
	if (segment->data_len)
		return !is_newer(merge->header.ack, segment->ack);
	return is_newer(segment->ack, merge->header.ack);
}

static bool append_data(struct tcpflow_merge *merge, const struct tcp_segment *segment,
			struct frame_owner *owner)
{
	struct pbuf *data;

	if (!segment->data_len)
		return true;
	data = tcpmerge_pbuf(segment, owner);
	if (!data)
		return false;
	if (merge->data_tail)
		merge->data_tail->next = data;
	else
		merge->data_head = data;
	while (data->next)
		data = data->next;
	merge->data_tail = data;
	merge->len += segment->data_len;
	return true;
}

bool tcpmerge_continue(struct tcpflow *tf, const struct tcp_segment *segment,
		       struct frame_owner *owner)
{
	struct tcpflow_merge *merge = &tf->merge;

	if (!is_plain(segment) || !continues(merge, segment) || !append_data(merge, segment, owner))
		return false;
	merge->header.ack = segment->ack;
	merge->header.window = segment->window;
	merge->header.flags |= segment->flags;
	return true;
}

bool tcpmerge_begin(struct tcpflow *tf, const struct tcp_segment *segment,
		    struct frame_owner *owner)
{
	struct tcpflow_merge *merge = &tf->merge;

	if (!is_plain(segment) || !append_data(merge, segment, owner))
		return false;
	merge->header = *segment;
	merge->pending = true;
	return true;
}

struct pbuf *tcpmerge_take(struct tcpflow *tf, struct tcp_segment *ret_header)
{
	struct tcpflow_merge *merge = &tf->merge;
	struct pbuf *data = merge->data_head;
	uint32_t left = merge->len;

	*ret_header = merge->header;
	for (struct pbuf *p = data; p; p = p->next) {
		p->tot_len = (u16_t)left;
		left -= p->len;
	}
	memset(merge, 0, sizeof(*merge));
	return data;
}

void tcpmerge_drop(struct tcpflow *tf)
{
	if (tf->merge.data_head)
		pbuf_free(tf->merge.data_head);
	memset(&tf->merge, 0, sizeof(tf->merge));
}
