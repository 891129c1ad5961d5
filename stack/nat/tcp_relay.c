/* Bytes from one side of a TCP flow to the other, half-closes and ends. Runs once per turn for each
 * flow that has work; the back-pressure of both sides is decided here. */
#include "stack/nat/tcpflow.h"

#include <errno.h>

#define TO_HOST_PIECES 64 /* pieces per write */
#define KEPT_LEN_MIN 2048 /* bytes for a slow host are kept in pieces of this at least */
#define WINDOW_MAX (2u * 1024 * 1024)
/* A turn that is not enough is followed by one that reads more: the kernel makes room in the socket
 * for as much as is taken from it, and a host peer that never waits for room sends at its own
 * expense. Each read goes on to the guest before the next one, while it is in the cache. */
#define TURN_LEN_MAX (32u * BLOCK_LEN)
#define READ_BLOCKS_MAX 6
#define SMALL_READ 4096u       /* reads up to this are copied to a block of their size */
#define TAIL_ROOM_MIN 8192u    /* a shared block's rest is worth reading into from this on */
#define SUPER_LEN_MAX 65000u   /* segments given to lwIP: header and all within 16 bits */
#define SUPER_WORTH_MSS 30000u /* from this MSS on a frame is large enough by itself */

/* ---- guest to host -------------------------------------------------------------------------- */

static unsigned gather(const struct pbuf *chain, struct iovec *pieces, size_t *ret_len)
{
	unsigned n = 0;

	*ret_len = 0;
	for (; chain && n < TO_HOST_PIECES; chain = chain->next) {
		if (chain->len == 0)
			continue;
		pieces[n++] = (struct iovec){chain->payload, chain->len};
		*ret_len += chain->len;
	}
	return n;
}

static void drop_front(struct tcpflow *tf, size_t len)
{
	struct solo_events *events = &tf->solo.events;

	events->data_len -= (uint32_t)len;
	tf->flow.guest->queued_to_host -= len;
	while (events->data_head && len >= events->data_head->len) {
		struct pbuf *done = events->data_head;
		len -= done->len;
		events->data_head = done->next;
		done->next = NULL;
		if (tf->kept == done) {
			tf->kept = NULL;
			tf->kept_room = 0;
		}
		pbuf_free(done);
	}
	if (events->data_head && len) {
		events->data_head->payload = (uint8_t *)events->data_head->payload + len;
		events->data_head->len = (u16_t)(events->data_head->len - len);
	}
	if (!events->data_head)
		events->data_tail = NULL;
}

/* A host peer that takes all it is given earns its guest a larger window. */
static uint32_t grow_window(struct tcpflow *tf, uint32_t taken)
{
	uint32_t more;

	tf->window_taken += taken;
	if (tf->solo.events.data_head || tf->window_taken < tf->window || tf->window >= WINDOW_MAX)
		return 0;
	tf->window_taken = 0;
	more = tf->window < WINDOW_MAX - tf->window ? tf->window : WINDOW_MAX - tf->window;
	tf->window += more;
	return more;
}

/* Room behind the flow's last own copy for 'len' more bytes. */
static bool make_room(struct tcpflow *tf, struct pbuf **link, uint16_t len)
{
	uint16_t cap = len > KEPT_LEN_MIN ? len : KEPT_LEN_MIN;
	struct pbuf *kept;

	if (tf->kept && len <= tf->kept_room)
		return true;
	kept = pbuf_alloc(PBUF_RAW, cap, PBUF_RAM);
	if (!kept)
		return false;
	kept->len = 0;
	kept->next = *link;
	*link = kept;
	tf->kept = kept;
	tf->kept_room = cap;
	return true;
}

/* Bytes that the host does not take now are copied, many small pieces to one: they must not make a
 * read buffer wait, and one byte in a pbuf of its own costs a hundred. Only what has come since the
 * last time is looked at. -ENOMEM: what is acknowledged cannot be kept, and the connection ends. */
static int retain(struct tcpflow *tf)
{
	struct solo_events *events = &tf->solo.events;
	struct pbuf **link = tf->kept ? &tf->kept->next : &events->data_head;

	while (*link) {
		struct pbuf *p = *link;

		if (!make_room(tf, link, p->len))
			return -ENOMEM;
		memcpy((uint8_t *)tf->kept->payload + tf->kept->len, p->payload, p->len);
		tf->kept->len = (u16_t)(tf->kept->len + p->len);
		tf->kept_room = (uint16_t)(tf->kept_room - p->len);
		tf->kept->next = p->next;
		p->next = NULL;
		pbuf_free(p);
		link = &tf->kept->next;
	}
	events->data_tail = tf->kept;
	return 0;
}

/* 0, or the errno the host connection has failed with. */
static int relay_to_host(struct nat *nat, struct tcpflow *tf)
{
	const struct host_ops *host = nat->config.host;
	uint32_t taken = 0;

	while (tf->solo.events.data_head && tf->host_writable) {
		struct iovec pieces[TO_HOST_PIECES];
		size_t len;
		unsigned n = gather(tf->solo.events.data_head, pieces, &len);
		ssize_t sent =
		    n ? host->tcp_write(nat->config.host_ctx, tf->flow.handle, pieces, n) : 0;

		if (sent < 0 && sent != -EAGAIN)
			return (int)sent;
		if (sent < (ssize_t)len)
			tf->host_writable = false;
		if (sent > 0) {
			taken += (uint32_t)sent;
			flow_moved(&tf->flow, (uint64_t)sent, 0, nat->now_ms);
		}
		drop_front(tf, sent > 0 ? (size_t)sent : 0);
	}
	if (taken) {
		solo_credit(&tf->solo, taken + grow_window(tf, taken));
		if (taken >= 2u * tf->mss)
			solo_ack_now(&tf->solo);
	}
	if (!tf->solo.events.data_head && tf->solo.events.fin_from_guest && !tf->fin_to_host) {
		tf->fin_to_host = true;
		return host->tcp_shut_write(nat->config.host_ctx, tf->flow.handle);
	}
	return tf->solo.events.data_head ? retain(tf) : 0;
}

/* ---- host to guest -------------------------------------------------------------------------- */

static void release_block(struct nat *nat, struct tcpflow *tf, struct block *block)
{
	tf->flow.guest->held_for_guest -= block->cap;
	block_release(&nat->blocks, block);
}

void tcpflow_free_blocks(struct nat *nat, struct tcpflow *tf)
{
	while (tf->blocks_head) {
		struct block *block = tf->blocks_head;
		tf->blocks_head = block->next;
		release_block(nat, tf, block);
	}
	tf->blocks_tail = NULL;
	tf->head_acked = 0;
}

void tcpflow_release_acked(struct nat *nat, struct tcpflow *tf, uint32_t acked)
{
	while (tf->blocks_head && acked) {
		struct block *block = tf->blocks_head;
		uint32_t here = block->used - tf->head_acked;

		if (acked < here) {
			tf->head_acked += acked;
			return;
		}
		acked -= here;
		tf->head_acked = 0;
		tf->blocks_head = block->next;
		if (!tf->blocks_head)
			tf->blocks_tail = NULL;
		release_block(nat, tf, block);
	}
}

static uint16_t super_len(const struct tcpflow *tf)
{
	uint32_t most =
	    tf->in_flight_max / 2 < SUPER_LEN_MAX ? tf->in_flight_max / 2 : SUPER_LEN_MAX;

	if (tf->mss >= SUPER_WORTH_MSS || most < tf->mss)
		return tf->mss;
	return (uint16_t)(most - most % tf->mss); /* whole frames only */
}

static void append_block(struct tcpflow *tf, struct block *block)
{
	if (tf->blocks_tail)
		tf->blocks_tail->next = block;
	else
		tf->blocks_head = block;
	tf->blocks_tail = block;
	tf->flow.guest->held_for_guest += block->cap;
}

/* Half of a guest's memory, and of all, is for flows that have little of it. */
static uint32_t in_flight_max(const struct nat *nat, const struct tcpflow *tf)
{
	bool scarce = tf->flow.guest->held_for_guest >
			  nat->config.limits.host_to_guest_bytes_per_guest_max / 2 ||
		      nat->blocks.in_use > nat->blocks.in_use_max / 2;

	return scarce && tf->in_flight_max > TCPFLOW_IN_FLIGHT_FAIR ? TCPFLOW_IN_FLIGHT_FAIR
								    : tf->in_flight_max;
}

/* Where the next bytes from the host go: the rest of the last block, then fresh ones. */
struct reading {
	struct block *blocks[READ_BLOCKS_MAX]; /* fresh ones, not the flow's yet */
	struct iovec pieces[READ_BLOCKS_MAX + 1];
	unsigned blocks_n, pieces_n;
	size_t len;
	bool into_tail; /* pieces[0] is the last block's rest */
};

static void add_piece(struct reading *reading, void *base, size_t len, size_t room)
{
	if (len > room - reading->len)
		len = room - reading->len;
	reading->pieces[reading->pieces_n++] = (struct iovec){base, len};
	reading->len += len;
}

static int prepare_reading(struct nat *nat, struct tcpflow *tf, struct reading *reading,
			   size_t room)
{
	struct block *tail = tf->blocks_tail;

	reading->blocks_n = reading->pieces_n = 0;
	reading->len = 0;
	reading->into_tail = false;
	if (tail && tail->cap - tail->used >= TAIL_ROOM_MIN) {
		add_piece(reading, tail->data + tail->used, tail->cap - tail->used, room);
		reading->into_tail = true;
	}
	while (reading->len < room && reading->blocks_n < READ_BLOCKS_MAX &&
	       tf->flow.guest->held_for_guest <
		   nat->config.limits.host_to_guest_bytes_per_guest_max) {
		struct block *block = block_take(&nat->blocks);
		if (!block)
			break;
		reading->blocks[reading->blocks_n++] = block;
		add_piece(reading, block->data, block->cap, room);
	}
	return reading->pieces_n ? 0 : -ENOBUFS;
}

/* Few bytes would keep a large block busy until the guest acknowledges them. */
static struct block *shrink(struct nat *nat, struct block *block)
{
	struct block *small;

	if (block->used > SMALL_READ)
		return block;
	small = block_take_small(&nat->blocks, block->used);
	if (!small)
		return block;
	memcpy(small->data, block->data, block->used);
	small->used = block->used;
	block_return(&nat->blocks, block);
	return small;
}

static int write_bytes(struct nat *nat, struct tcpflow *tf, const uint8_t *bytes, size_t len)
{
	return solo_write(nat->engine, &tf->solo, bytes, (uint16_t)len, super_len(tf));
}

/* Hands 'got' bytes just read to lwIP; blocks that stayed empty go back. */
static int commit_reading(struct nat *nat, struct tcpflow *tf, struct reading *reading, size_t got)
{
	size_t left = got;
	int err = 0;

	if (reading->into_tail && left) {
		struct block *tail = tf->blocks_tail;
		size_t here = left < reading->pieces[0].iov_len ? left : reading->pieces[0].iov_len;
		uint8_t *at = tail->data + tail->used;
		tail->used += (uint32_t)here;
		left -= here;
		err = write_bytes(nat, tf, at, here);
	}
	for (unsigned i = 0; i < reading->blocks_n; i++) {
		struct block *block = reading->blocks[i];
		if (left == 0) {
			block_return(&nat->blocks, block);
			continue;
		}
		block->used = (uint32_t)(left < block->cap ? left : block->cap);
		left -= block->used;
		block = shrink(nat, block);
		append_block(tf, block);
		if (err == 0)
			err = write_bytes(nat, tf, block->data, block->used);
	}
	return err;
}

/* Bytes read (0: FIN), or a negative errno; -ENOBUFS: the pool is empty. */
static ssize_t read_host(struct nat *nat, struct tcpflow *tf, size_t room)
{
	struct reading reading;
	ssize_t got;
	int err = prepare_reading(nat, tf, &reading, room);

	if (err != 0)
		return err;
	got = nat->config.host->tcp_read(nat->config.host_ctx, tf->flow.handle, reading.pieces,
					 reading.pieces_n);
	err = commit_reading(nat, tf, &reading, got > 0 ? (size_t)got : 0);
	if (err != 0)
		return err;
	if (got > 0)
		flow_moved(&tf->flow, 0, (uint64_t)got, nat->now_ms);
	if (got == -EAGAIN || (got > 0 && (size_t)got < reading.len && !tf->host_hung_up))
		tf->host_readable = false;
	return got;
}

/* What this flow may bring in this turn, so that others get theirs. */
static uint32_t read_budget(const struct nat *nat, const struct tcpflow *tf)
{
	uint32_t more = tf->read_max - TCPFLOW_READ_FIRST;

	return TCPFLOW_READ_FIRST + (more < nat->long_reads_left ? more : nat->long_reads_left);
}

static void adapt_read_max(struct nat *nat, struct tcpflow *tf, size_t budget, size_t got)
{
	if (got > TCPFLOW_READ_FIRST)
		nat->long_reads_left -= (uint32_t)(got - TCPFLOW_READ_FIRST);
	if (got == budget && tf->read_max < TURN_LEN_MAX)
		tf->read_max *= 2;
	else if (got < tf->read_max / 2 && tf->read_max > TCPFLOW_READ_FIRST)
		tf->read_max /= 2;
}

/* 0, or the errno the host connection has failed with. */
static int read_share(struct nat *nat, struct tcpflow *tf)
{
	size_t budget = read_budget(nat, tf), left = budget;

	while (tf->host_readable && !tf->eof_from_host) {
		size_t room = solo_room(&tf->solo, in_flight_max(nat, tf), tf->mss);
		ssize_t got;

		if (room == 0)
			break; /* an ACK makes this flow dirty again */
		if (tf->flow.guest->port->blocked) {
			list_append(&tf->flow.guest->stalled, &tf->work_link);
			break;
		}
		if (left == 0) {
			tcpflow_mark(nat, tf); /* goes on in the next turn */
			break;
		}
		got = read_host(nat, tf, room < left ? room : left);
		if (got == -EAGAIN)
			break;
		if (got == -ENOBUFS) {
			list_append(&nat->starved, &tf->work_link);
			break;
		}
		if (got < 0)
			return (int)got;
		tf->eof_from_host = got == 0;
		left -= (size_t)got;
		if ((size_t)got >= TCPFLOW_READ_FIRST) /* few go with what follows, or the FIN */
			solo_flush(nat->engine, &tf->solo, tf->in_flight_max);
	}
	adapt_read_max(nat, tf, budget, budget - left);
	return 0;
}

static int relay_from_host(struct nat *nat, struct tcpflow *tf)
{
	int failed = read_share(nat, tf);

	if (failed)
		return failed;
	if (tf->eof_from_host && !tf->fin_to_guest && solo_is_synchronized(&tf->solo)) {
		int err = solo_send_fin(nat->engine, &tf->solo);
		tf->fin_to_guest = err == 0;
	}
	return 0;
}

/* ---- a flow's turn -------------------------------------------------------------------------- */

/* lwIP has no pcb any more. What the guest had sent before a proper end still goes to the host. */
static void relay_after_end(struct nat *nat, struct tcpflow *tf)
{
	bool proper = tf->solo.events.end == SOLO_CLOSED || tf->solo.events.end == SOLO_ALIVE;

	if (tf->solo.events.end == SOLO_RESET_BY_GUEST)
		nat->counters.tcp_reset_by_guest++;
	if (!proper || tf->state != TCPFLOW_OPEN || tf->flow.handle < 0 ||
	    relay_to_host(nat, tf) != 0 || tf->fin_to_host) {
		bool reset = !proper || !tf->eof_from_host || !tf->fin_to_host;
		tcpflow_end(nat, tf, reset);
	}
}

static void relay_open(struct nat *nat, struct tcpflow *tf)
{
	const struct host_ops *host = nat->config.host;
	int err = 0;

	/* A reset from the host peer is passed on even while the guest takes no bytes. */
	if (tf->host_failed)
		err = host->tcp_connect_result(nat->config.host_ctx, tf->flow.handle);
	tf->host_failed = false;
	if (err == 0)
		err = relay_to_host(nat, tf);
	if (err == 0)
		err = relay_from_host(nat, tf);
	if (err != 0) {
		nat->counters.tcp_reset_by_host++;
		tcpflow_kill(nat, tf, false);
		return;
	}
	if (tf->fin_to_host && tf->fin_to_guest)
		tcpflow_close_host(nat, tf, false);
}

void tcpflow_relay(struct nat *nat, struct tcpflow *tf)
{
	if (tf->state == TCPFLOW_DIALLING) {
		tcpoutbound_progress(nat, tf);
		return;
	}
	if (solo_is_empty(&tf->solo)) {
		relay_after_end(nat, tf);
		return;
	}
	tcpflow_output_to(nat, tf);
	if (tf->state == TCPFLOW_OPEN && tf->flow.handle >= 0) {
		uint64_t token = tf->flow.token;
		relay_open(nat, tf);
		if (!flow_by_token(nat->flows, token))
			return;
	}
	solo_flush(nat->engine, &tf->solo, tf->in_flight_max);
	tcpflow_update_ticking(nat, tf);
}
