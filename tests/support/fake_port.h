/* A port for tests: gathers what is sent, checks at flush() that payload memory was left alone,
 * and can be blocked, drop, duplicate and reorder by a seeded dice. */
#ifndef LWNAT_TESTS_FAKE_PORT_H
#define LWNAT_TESTS_FAKE_PORT_H

#include "stack/base/port.h"
#include "tests/support/pattern.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake_frame {
	struct fake_frame *next;
	size_t len;
	uint8_t bytes[];
};

struct fake_queue {
	struct fake_frame *first, **tail;
	size_t frames_n, bytes_n;
};

void fake_queue_init(struct fake_queue *queue);
void fake_queue_push(struct fake_queue *queue, const uint8_t *bytes, size_t len);
struct fake_frame *fake_queue_pop(struct fake_queue *queue); /* the caller's to free() */
void fake_queue_clear(struct fake_queue *queue);

struct fake_impair {
	uint32_t drop_ppm, duplicate_ppm, reorder_ppm;
	struct dice dice;
	struct fake_frame *held; /* let one frame pass first */
};

/* Moves everything from one queue to another through the impairment. */
void fake_impair_move(struct fake_impair *impair, struct fake_queue *from, struct fake_queue *to);

struct fake_pending;

struct fake_port {
	struct port port;
	struct fake_impair impair;
	struct fake_queue sent; /* flushed and impaired: the guest's to read */
	size_t blocked_at;      /* bytes in 'sent' at which flush() sets port.blocked; 0: never */
	bool stands_still;      /* what it says when it is asked */
	size_t queue_max;       /* bytes in 'sent' beyond which frames are dropped; 0: none */
	struct fake_pending *pending, **pending_tail;
	uint64_t payload_touched; /* frames whose payload had changed between send and flush */
	uint64_t oversized;       /* frames longer than FRAME_LEN_MAX or with too many pieces */
	uint64_t flushes;
	uint64_t unfinished;     /* frames with marks; 'sent' has them finished */
	uint64_t unfinished_max; /* bytes of the longest of them */
};

void fake_port_init(struct fake_port *fake, uint32_t id);
void fake_port_fini(struct fake_port *fake);

#endif
