#include "stack/link/vu_port_uv.h"

#include "stack/base/list.h"
#include "stack/base/log.h"
#include "stack/link/guest_log.h"
#include "stack/base/wire.h"
#include "stack/link/poller_uv.h"
#include "stack/link/virtio_net.h"
#include "stack/link/vu_device.h"
#include "stack/link/vu_inbox_uv.h"
#include "stack/link/vu_map_uv.h"
#include "stack/link/vu_net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define MESSAGES_PER_WAKE 32
#define BATCHES_PER_WAKE 4            /* of one guest before the others get their turn */
#define MAPS_MAX (VU_REGIONS_MAX + 2) /* with a dirty log, and one to take its place */
#define RARP_LEN 60

/* Watches a ring's kick descriptor, and owns it. */
struct kick {
	struct poller_watch watch;
	struct vu_port *p;
	unsigned ring;
};

struct vu_port {
	struct port port; /* first: port_ops get a pointer to it */
	const struct vu_port_host *host;
	struct vu_device dev;
	struct vu_net *net;
	struct vu_map maps[MAPS_MAX]; /* bytes NULL: free */
	struct kick *kick[VU_RINGS_MAX];
	unsigned pending; /* set of transmit rings (bit n: ring n) with work left */
	uv_idle_t again;  /* runs while there is such a ring */
	uv_poll_t poll;
	int fd;
	unsigned handles; /* not yet closed; the last one frees this struct */
	bool dropped;

	struct vu_inbox in;
};

/* ---- going ---- */

static void handle_gone(struct vu_port *p)
{
	if (--p->handles)
		return;
	const struct vu_port_host *host = p->host;
	vu_net_free(p->net);
	free(p);
	host->freed(host->ctx);
}

static void on_closed(uv_handle_t *handle)
{
	handle_gone(handle->data);
}

static bool line_ok(const struct vu_port *p)
{
	return guest_log_ok(p->host->log_limit, uv_now(p->host->loop));
}

/* Never from within a turn: the frames' bytes are this guest's memory. */
static void drop(struct vu_port *p, int err, const char *why)
{
	if (p->dropped)
		return;
	p->dropped = true;
	if (why && line_ok(p)) {
		if (err)
			log_warn_errno(err, "%s: %s", p->port.name, why);
		else
			log_info("%s: %s", p->port.name, why);
	}
	lan_port_remove(p->host->lan, &p->port);
	vu_inbox_close_fds(&p->in);
	uv_close((uv_handle_t *)&p->poll, on_closed);
	uv_close((uv_handle_t *)&p->again, on_closed);
	close(p->fd);
	p->host->left(p->host->ctx, p);
	if (p->host->events.gone)
		p->host->events.gone(p->host->events.ctx, &p->port);
	vu_device_reset(&p->dev);
}

void vu_port_drop(struct vu_port *port, const char *why)
{
	drop(port, 0, why);
}

/* ---- what the device asks for ---- */

static struct vu_map *free_map(struct vu_port *p)
{
	for (unsigned i = 0; i < MAPS_MAX; i++) {
		if (!p->maps[i].bytes)
			return &p->maps[i];
	}
	return NULL;
}

static int on_map(void *ctx, int fd, const struct vu_mem_region *as, struct vu_region *ret)
{
	struct vu_map *map = free_map(ctx);

	return map ? vu_map(map, fd, as->mmap_offset, as->len, &ret->bytes) : -ENOSPC;
}

static int on_map_log(void *ctx, int fd, const struct vu_log *as, uint8_t **ret)
{
	struct vu_map *map = free_map(ctx);

	return map ? vu_map(map, fd, as->mmap_offset, as->len, ret) : -ENOSPC;
}

static void unmap_at(struct vu_port *p, const uint8_t *bytes)
{
	for (unsigned i = 0; i < MAPS_MAX; i++) {
		struct vu_map *map = &p->maps[i];
		if (map->bytes && bytes >= map->bytes && bytes < map->bytes + map->len) {
			vu_unmap(map);
			return;
		}
	}
}

static void on_unmap(void *ctx, const struct vu_region *region)
{
	unmap_at(ctx, region->bytes);
}

static void on_unmap_log(void *ctx, uint8_t *log, uint64_t len)
{
	(void)len;
	unmap_at(ctx, log);
}

static void unwatch(struct vu_port *p, unsigned ring)
{
	struct kick *k = p->kick[ring];
	uint64_t count;
	struct iovec iov = {&count, sizeof(count)};

	p->kick[ring] = NULL;
	poller_remove(p->host->poller, &k->watch);
	/* Who serves the ring next is not to find kicks that we have served. The front-end can make
	 * the descriptor a blocking one at any time. */
	if (preadv2(k->watch.fd, &iov, 1, -1, RWF_NOWAIT) < 0 && errno != EAGAIN)
		log_debug("%s: a kick descriptor: %s", p->port.name, strerror(errno));
	close(k->watch.fd);
	free(k);
}

static void on_close_fd(void *ctx, int fd)
{
	struct vu_port *p = ctx;

	for (unsigned i = 0; i < VU_RINGS_MAX; i++) {
		if (p->kick[i] && p->kick[i]->watch.fd == fd) {
			unwatch(p, i);
			return;
		}
	}
	close(fd);
}

static void on_kick(struct poller_watch *watch, uint32_t events);

/* Edges: each kick is one, and the counter need not be read. */
static int watch(struct vu_port *p, unsigned ring, int fd)
{
	struct kick *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->watch = (struct poller_watch){.ready = on_kick, .fd = fd};
	k->p = p;
	k->ring = ring;
	int result = poller_add(p->host->poller, &k->watch, EPOLLIN | EPOLLET);
	if (result < 0) {
		free(k);
		return result;
	}
	p->kick[ring] = k;
	return 0;
}

static void on_again(uv_idle_t *idle);

static void look_again(struct vu_port *p, unsigned ring)
{
	p->pending |= 1U << ring;
	uv_idle_start(&p->again, on_again);
}

static bool any_rx_up(const struct vu_port *p)
{
	for (unsigned i = 0; i < VU_RINGS_MAX; i += 2) {
		if (vu_ring_serves(&p->dev.ring[i]) && p->dev.ring[i].enabled)
			return true;
	}
	return false;
}

static void on_ring_changed(void *ctx, unsigned ring)
{
	struct vu_port *p = ctx;
	struct vu_ring *r = &p->dev.ring[ring];

	if (p->dropped)
		return;
	p->port.takes = any_rx_up(p) ? virtio_net_guest_takes(p->dev.features) : 0;
	if (r->kick_fd >= 0 && !p->kick[ring] && watch(p, ring, r->kick_fd) < 0)
		log_warn("%s: no memory to watch a ring", p->port.name);
	if (!any_rx_up(p))
		vu_net_forget(p->net);
	/* What was queued before we watched, or waits for what has changed. */
	look_again(p, ring);
}

/* A RARP frame of the guest's, as it would have sent itself: switches learn where it is now (the
 * guest was moved here and cannot announce itself). */
static void on_announce(void *ctx, uint64_t mac)
{
	struct vu_port *p = ctx;
	uint8_t bytes[RARP_LEN], from[6];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct frame_owner owner = {.refs = 1};
	struct iovec iov = {bytes, sizeof(bytes)};
	struct frame frame = {.iov = &iov, .iov_n = 1, .len = sizeof(bytes), .owner = &owner};

	for (unsigned i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)(mac >> 8 * i);
	wire_put_bytes(&out, "\xff\xff\xff\xff\xff\xff", 6);
	wire_put_bytes(&out, from, 6);
	wire_put_u16(&out, 0x8035);                    /* RFC 903 */
	wire_put_bytes(&out, "\0\1\x08\0\6\4\0\3", 8); /* reverse request, Ethernet, IPv4 */
	wire_put_bytes(&out, from, 6);
	wire_put_zero(&out, 4);
	wire_put_bytes(&out, from, 6);
	wire_put_zero(&out, sizeof(bytes) - wire_len(&out));
	lan_input(p->host->lan, &p->port, &frame, uv_now(p->host->loop));
	lan_flush(p->host->lan);
}

static const struct vu_device_ops device_ops = {
    .map = on_map,
    .unmap = on_unmap,
    .map_log = on_map_log,
    .unmap_log = on_unmap_log,
    .ring_changed = on_ring_changed,
    .close_fd = on_close_fd,
    .announce = on_announce,
};

/* ---- the data path ---- */

static void call(struct vu_port *p, unsigned ring)
{
	static const uint64_t one = 1;
	int fd = p->dev.ring[ring].call_fd;

	/* A full counter has woken the guest already. */
	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_debug("%s: calling the guest failed: %s", p->port.name, strerror(errno));
}

static void publish(struct vu_port *p)
{
	unsigned calls = vu_net_publish(p->net);

	p->port.queued = false;
	for (unsigned i = 0; calls; i++, calls >>= 1) {
		if (calls & 1)
			call(p, i);
	}
}

static void put(struct vu_port *p, const struct frame *frame)
{
	if (p->dropped)
		return;
	if (vu_net_put(p->net, frame)) {
		p->port.counters.frames_to_guest++;
		p->port.counters.bytes_to_guest += frame->len;
	} else {
		p->port.counters.dropped_queue_full++;
	}
	p->port.queued = true;
	p->port.blocked = vu_net_keeps(p->net);
}

static void port_send(struct port *port, const void *hdr, size_t hdr_len, const struct iovec *iov,
		      unsigned iov_n)
{
	struct iovec all[FRAME_PIECES_MAX + 1] = {{(void *)(uintptr_t)hdr, hdr_len}};
	struct frame frame = {.iov = all, .iov_n = iov_n + 1, .len = (uint32_t)hdr_len};

	for (unsigned i = 0; i < iov_n; i++) {
		all[i + 1] = iov[i];
		frame.len += (uint32_t)iov[i].iov_len;
	}
	put((struct vu_port *)port, &frame);
}

static void port_send_unfinished(struct port *port, const struct frame *frame)
{
	put((struct vu_port *)port, frame);
}

static void port_flush(struct port *port)
{
	publish((struct vu_port *)port);
}

/* Frames for a stopped machine are lost, and sent again when it goes on. */
static bool port_stands_still(struct port *port)
{
	return !vu_net_is_up(((struct vu_port *)port)->net);
}

static const struct port_ops port_ops = {.send = port_send,
					 .send_unfinished = port_send_unfinished,
					 .flush = port_flush,
					 .stands_still = port_stands_still};

static void turn_end(struct vu_port *p)
{
	if (p->host->events.batch_end)
		p->host->events.batch_end(p->host->events.ctx);
	lan_flush(p->host->lan);
}

static void on_frame(void *ctx, const struct frame *frame)
{
	struct vu_port *p = ctx;

	p->port.counters.frames_from_guest++;
	p->port.counters.bytes_from_guest += frame->len;
	lan_input(p->host->lan, &p->port, frame, uv_now(p->host->loop));
}

static bool memory_lost(const struct vu_port *p)
{
	for (unsigned i = 0; i < MAPS_MAX; i++) {
		if (p->maps[i].bytes && p->maps[i].lost)
			return true;
	}
	return false;
}

/* True when the guest broke its rings or took its memory away, and is gone now. */
static bool drop_if_broken(struct vu_port *p, bool broken)
{
	broken |= vu_net_broke(p->net);
	if (memory_lost(p))
		drop(p, 0, "took its memory away: connection closed");
	else if (broken)
		drop(p, 0, "a broken ring: connection closed");
	return p->dropped;
}

/* Takes what the guest has sent. */
static void serve_tx(struct vu_port *p, unsigned ring)
{
	struct vu_ring *r = &p->dev.ring[ring];

	if (!vu_ring_serves(r))
		return;
	virtq_kicks_off(&r->q);
	for (unsigned batches = 0; batches < BATCHES_PER_WAKE;) {
		int n = vu_net_take(p->net, ring, r->enabled ? on_frame : NULL, p);
		if (n != 0) {
			turn_end(p);
			if (vu_net_give_back(p->net, ring))
				call(p, ring);
			batches++;
		}
		if (drop_if_broken(p, n < 0) || (n == 0 && !virtq_kicks_on(&r->q)))
			return;
	}
	look_again(p, ring);
}

/* The guest has given new buffers, or has none to give any more. */
static void serve_rx(struct vu_port *p)
{
	if (!p->port.blocked)
		return;
	vu_net_put_kept(p->net);
	publish(p);
	if (drop_if_broken(p, false) || vu_net_keeps(p->net))
		return;
	p->port.blocked = false;
	if (p->host->events.writable)
		p->host->events.writable(p->host->events.ctx, &p->port);
	turn_end(p);
}

static void serve(struct vu_port *p, unsigned ring)
{
	if (ring % 2)
		serve_tx(p, ring);
	else
		serve_rx(p);
}

static void on_kick(struct poller_watch *watch, uint32_t events)
{
	struct kick *k = list_entry(watch, struct kick, watch);

	if (events & EPOLLERR)
		drop(k->p, 0, "a kick descriptor failed");
	else
		serve(k->p, k->ring);
}

static void on_again(uv_idle_t *idle)
{
	struct vu_port *p = idle->data;
	unsigned pending = p->pending;

	p->pending = 0;
	for (unsigned i = 0; i < VU_RINGS_MAX && !p->dropped; i++) {
		if (pending & 1U << i)
			serve(p, i);
	}
	if (!p->dropped && !p->pending)
		uv_idle_stop(&p->again);
}

/* ---- messages ---- */

static void refuse(struct vu_port *p, uint32_t request, int err)
{
	char why[80];

	if (err == -EOPNOTSUPP)
		snprintf(why, sizeof(why), "a ring without a kick descriptor: connection closed");
	else
		snprintf(why, sizeof(why), "vhost-user request %u refused: connection closed",
			 request);
	drop(p, -err, why);
}

/* Handles the message that has come in. False when the port was dropped. */
static bool handle(struct vu_port *p, const struct vu_msg *msg)
{
	uint8_t reply[VU_REPLY_MAX];
	size_t reply_len;

	if (msg->request == VU_SET_VRING_KICK || msg->request == VU_SET_VRING_CALL)
		vu_inbox_make_fds_nonblocking(&p->in);
	int result = vu_device_message(&p->dev, msg, p->in.fds, p->in.fds_n, reply, &reply_len);
	vu_inbox_close_fds(&p->in);
	if (result < 0) {
		refuse(p, msg->request, result);
		return false;
	}
	/* Whoever served the rings before us may have died between showing the guest its used
	 * entries and calling it, which the ring's events do not tell. */
	if (msg->request == VU_SET_VRING_CALL && (msg->u64 & VU_VRING_INDEX) < VU_RINGS_MAX)
		call(p, (unsigned)(msg->u64 & VU_VRING_INDEX));
	/* A front-end that does not read 20 bytes is none. */
	if (reply_len &&
	    send(p->fd, reply, reply_len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)reply_len) {
		drop(p, errno, "connection to the front-end lost");
		return false;
	}
	return true;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct vu_port *p = poll->data;
	struct vu_msg msg;
	size_t used;

	(void)events;
	(void)status; /* read like data: what was said before it still counts */
	for (unsigned i = 0; i < 3 * MESSAGES_PER_WAKE; i++) {
		int result = vu_inbox_read(&p->in, p->fd);
		if (result == 0)
			return;
		if (result < 0) {
			bool left = result == -EPIPE || result == -ECONNRESET;
			drop(p, left ? 0 : -result, left ? "guest left" : "connection lost");
			return;
		}
		enum vu_verdict verdict = vu_msg_get(p->in.bytes, p->in.len, &msg, &used);
		if (verdict == VU_NEED_MORE)
			continue;
		if (verdict == VU_BROKEN) {
			drop(p, 0, "no vhost-user message: connection closed");
			return;
		}
		p->in.len = 0;
		if (!handle(p, &msg))
			return;
	}
}

/* ---- coming ---- */

int vu_port_new(struct vu_port **ret, const struct vu_port_host *host, int fd)
{
	struct vu_port *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->host = host;
	p->fd = fd;
	p->port.ops = &port_ops;
	vu_device_init(&p->dev, vu_device_features(), &device_ops, p);
	int result = vu_net_new(&p->net, &p->dev);
	if (result == 0)
		result = lan_port_add(host->lan, &p->port);
	if (result < 0)
		goto fail;
	result = uv_poll_init(host->loop, &p->poll, fd);
	if (result < 0) {
		lan_port_remove(host->lan, &p->port);
		goto fail;
	}
	p->port.id = lan_new_port_id(host->lan);
	snprintf(p->port.name, sizeof(p->port.name), "port%u", p->port.id);
	uv_idle_init(host->loop, &p->again);
	p->poll.data = p->again.data = p;
	p->handles = 2;
	uv_poll_start(&p->poll, UV_READABLE, on_socket);
	if (line_ok(p))
		log_info("%s: guest attached (vhost-user)", p->port.name);
	*ret = p;
	if (host->events.attached)
		host->events.attached(host->events.ctx, &p->port);
	return 0;
fail:
	vu_net_free(p->net);
	free(p);
	return result;
}
