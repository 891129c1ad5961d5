#include "tests/support/fake_port.h"

#include "stack/link/offload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A frame between send() and flush(): a copy of what it was, and where it is. */
struct fake_pending {
	struct fake_pending *next;
	struct iovec iov[FRAME_PIECES_MAX];
	unsigned iov_n;
	size_t hdr_len, len;
	uint8_t bytes[];
};

void fake_queue_init(struct fake_queue *queue)
{
	*queue = (struct fake_queue){.tail = &queue->first};
}

static void push_frame(struct fake_queue *queue, struct fake_frame *frame)
{
	frame->next = NULL;
	*queue->tail = frame;
	queue->tail = &frame->next;
	queue->frames_n++;
	queue->bytes_n += frame->len;
}

void fake_queue_push(struct fake_queue *queue, const uint8_t *bytes, size_t len)
{
	struct fake_frame *frame = malloc(sizeof(*frame) + len);

	frame->len = len;
	memcpy(frame->bytes, bytes, len);
	push_frame(queue, frame);
}

struct fake_frame *fake_queue_pop(struct fake_queue *queue)
{
	struct fake_frame *frame = queue->first;

	if (!frame)
		return NULL;
	queue->first = frame->next;
	if (!queue->first)
		queue->tail = &queue->first;
	queue->frames_n--;
	queue->bytes_n -= frame->len;
	return frame;
}

void fake_queue_clear(struct fake_queue *queue)
{
	struct fake_frame *frame;

	while ((frame = fake_queue_pop(queue)))
		free(frame);
}

void fake_impair_move(struct fake_impair *impair, struct fake_queue *from, struct fake_queue *to)
{
	struct fake_frame *frame;

	while ((frame = fake_queue_pop(from))) {
		if (dice_ppm(&impair->dice, impair->drop_ppm)) {
			free(frame);
			continue;
		}
		if (dice_ppm(&impair->dice, impair->duplicate_ppm))
			fake_queue_push(to, frame->bytes, frame->len);
		if (!impair->held && dice_ppm(&impair->dice, impair->reorder_ppm)) {
			impair->held = frame;
			continue;
		}
		push_frame(to, frame);
		if (impair->held && dice_below(&impair->dice, 4) == 0) {
			push_frame(to, impair->held);
			impair->held = NULL;
		}
	}
	if (impair->held) { /* nothing stays for ever: late, but not lost */
		push_frame(to, impair->held);
		impair->held = NULL;
	}
}

static struct fake_port *of(struct port *port)
{
	return (struct fake_port *)port; /* 'port' is its first member */
}

static void port_send(struct port *port, const void *hdr, size_t hdr_len, const struct iovec *iov,
		      unsigned iov_n)
{
	struct fake_port *fake = of(port);
	size_t len = hdr_len;
	struct fake_pending *p;

	for (unsigned i = 0; i < iov_n; i++)
		len += iov[i].iov_len;
	if (len > FRAME_LEN_MAX || iov_n > FRAME_PIECES_MAX) {
		fake->oversized++;
		return;
	}
	p = malloc(sizeof(*p) + len);
	p->next = NULL;
	p->iov_n = iov_n;
	p->hdr_len = hdr_len;
	p->len = len;
	memcpy(p->bytes, hdr, hdr_len);
	for (unsigned i = 0; i < iov_n; i++) {
		p->iov[i] = iov[i];
		memcpy(p->bytes + hdr_len, iov[i].iov_base, iov[i].iov_len);
		hdr_len += iov[i].iov_len;
	}
	*fake->pending_tail = p;
	fake->pending_tail = &p->next;
	port->queued = true;
}

static bool payload_unchanged(const struct fake_pending *p)
{
	size_t at = p->hdr_len;

	for (unsigned i = 0; i < p->iov_n; i++) {
		if (memcmp(p->bytes + at, p->iov[i].iov_base, p->iov[i].iov_len) != 0)
			return false;
		at += p->iov[i].iov_len;
	}
	return true;
}

static void port_flush(struct port *port)
{
	struct fake_port *fake = of(port);
	struct fake_pending *p;
	struct fake_queue out;

	fake_queue_init(&out);
	fake->flushes++;
	while ((p = fake->pending)) {
		fake->pending = p->next;
		if (!payload_unchanged(p))
			fake->payload_touched++;
		if (fake->queue_max &&
		    fake->sent.bytes_n + out.bytes_n + p->len > fake->queue_max) {
			port->counters.dropped_queue_full++;
		} else {
			fake_queue_push(&out, p->bytes, p->len);
			port->counters.frames_to_guest++;
			port->counters.bytes_to_guest += p->len;
		}
		free(p);
	}
	fake->pending_tail = &fake->pending;
	fake_impair_move(&fake->impair, &out, &fake->sent);
	port->queued = false;
	if (fake->blocked_at && fake->sent.bytes_n >= fake->blocked_at)
		port->blocked = true;
}

static void send_finished(void *ctx, const struct frame *frame)
{
	struct port *port = ctx;
	uint8_t bytes[FRAME_LEN_MAX];
	size_t at = 0;

	/* What is cut is new: its payload has no memory of its own to be watched. */
	for (unsigned i = 0; i < frame->iov_n; i++) {
		memcpy(bytes + at, frame->iov[i].iov_base, frame->iov[i].iov_len);
		at += frame->iov[i].iov_len;
	}
	port_send(port, bytes, at, NULL, 0);
}

static void port_send_unfinished(struct port *port, const struct frame *frame)
{
	struct fake_port *fake = of(port);

	fake->unfinished++;
	if (frame->len > fake->unfinished_max)
		fake->unfinished_max = frame->len;
	if (!offload_is_taken(&frame->offload, port->takes) ||
	    !offload_finish(frame, send_finished, port))
		fake->oversized++;
}

static bool fake_stands_still(struct port *port)
{
	return ((struct fake_port *)(void *)port)->stands_still;
}

static const struct port_ops fake_port_ops = {.stands_still = fake_stands_still,
					      .send = port_send,
					      .send_unfinished = port_send_unfinished,
					      .flush = port_flush};

void fake_port_init(struct fake_port *fake, uint32_t id)
{
	*fake = (struct fake_port){.port = {.ops = &fake_port_ops, .id = id},
				   .pending_tail = &fake->pending};
	snprintf(fake->port.name, sizeof(fake->port.name), "port%u", (unsigned)id);
	fake_queue_init(&fake->sent);
	fake->impair.dice.state = id * 7919u;
}

void fake_port_fini(struct fake_port *fake)
{
	struct fake_pending *p;

	while ((p = fake->pending)) {
		fake->pending = p->next;
		free(p);
	}
	free(fake->impair.held);
	fake_queue_clear(&fake->sent);
}
