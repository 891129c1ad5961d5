#include "stack/link/stream_uv.h"

#include "stack/base/list.h"
#include "stack/base/log.h"
#include "stack/base/wire.h"
#include "stack/link/guest_log.h"
#include "stack/link/listener_uv.h"
#include "stack/link/poller_uv.h"
#include "stack/link/stream_buf.h"
#include "stack/link/stream_codec.h"
#include "stack/link/stream_out_uv.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READS_PER_WAKE 2      /* full buffers of one guest before the others get their turn */
#define ROOM_MIN (128 * 1024) /* bytes: with less, the next read gets a new buffer */
#define SNDBUF_LEN (4 * 1024 * 1024) /* bytes; the kernel gives what net.core.wmem_max permits */
#define RETRY_MS 250                 /* pause after running out of memory */
#define SHORTAGE_LOG_MS 60000        /* one line about a shortage in this time */

struct stream_port {
	struct port port; /* first: port_ops get a pointer to it */
	struct stream_uv *s;
	struct stream_port *next, **link;
	struct poller_watch watch;
	uv_idle_t
	    last;    /* never runs: closed so that a dropped port is freed outside of callbacks */
	bool ending; /* the guest has closed, or the connection is lost: read to its end */
	int fd;
	struct stream_out *out;
	struct stream_buf *buf; /* NULL while nothing is left over from the last read */
	size_t at, end;         /* bytes of 'buf' read and not yet parsed */
	bool starved;           /* not polled: there was no memory for a buffer */
	bool dropped;           /* out of the lan and of 's'; freed by on_port_closed() */
};

struct stream_uv {
	uv_loop_t *loop;
	struct poller *poller;
	struct lan *lan;
	struct stream_uv_events events;
	struct stream_bufs *bufs;
	struct stream_port *ports;
	unsigned handles; /* not yet closed; the last one frees this struct */
	bool closing;

	struct listener_uv *listener; /* NULL: none */
	uv_timer_t retry;
	struct log_limit guest_log, shortage_log;
};

/* ---- handles and memory ---- */

static void handle_gone(struct stream_uv *s)
{
	if (--s->handles == 0)
		free(s);
}

static void on_closed(uv_handle_t *handle)
{
	handle_gone(handle->data);
}

static void on_port_closed(uv_handle_t *handle)
{
	struct stream_port *p = handle->data;
	struct stream_uv *s = p->s;

	stream_out_free(p->out);
	free(p);
	handle_gone(s);
}

static bool guest_line_ok(struct stream_uv *s)
{
	return guest_log_ok(&s->guest_log, uv_now(s->loop));
}

/* Says 'why', with the errno 'err' if there is one, and lets go of everything but the memory. */
static void port_drop(struct stream_port *p, int err, const char *why)
{
	struct stream_uv *s = p->s;

	if (p->dropped)
		return;
	p->dropped = true;
	if (!s->closing && guest_line_ok(s)) {
		const char *half = p->end > p->at ? " in the middle of a frame" : "";
		if (err)
			log_warn_errno(err, "%s: %s%s", p->port.name, why, half);
		else
			log_info("%s: %s%s", p->port.name, why, half);
	}
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	lan_port_remove(s->lan, &p->port);
	if (p->buf)
		frame_owner_unref(&p->buf->owner);
	p->buf = NULL;
	poller_remove(s->poller, &p->watch);
	uv_close((uv_handle_t *)&p->last, on_port_closed);
	close(p->fd);
	if (s->events.gone)
		s->events.gone(s->events.ctx, &p->port);
}

/* ---- to the guest ---- */

/* Edges alone spare the kernel a second look at the socket for every wake-up. A blocked port is
 * told what is the case: not every reason for which a guest's socket takes nothing ends in an edge.
 */
static uint32_t wanted_events(const struct stream_port *p)
{
	uint32_t events = p->starved ? 0 : EPOLLIN | EPOLLRDHUP;

	return events | (p->port.blocked ? EPOLLOUT : EPOLLET);
}

static void poll_update(struct stream_port *p)
{
	poller_change(p->s->poller, &p->watch, wanted_events(p));
}

/* Called from within the NAT or the lan: nothing may be dropped here. A lost connection is shut
 * down, which the next poll reports. */
static void after_send(struct stream_port *p, int err)
{
	bool blocked = stream_out_backlog(p->out) > 0;

	p->port.counters.dropped_queue_full += stream_out_lost(p->out);
	p->port.queued = stream_out_gathered(p->out);
	if (err)
		shutdown(p->fd, SHUT_RDWR);
	if (!err && blocked && !p->port.blocked) {
		p->port.blocked = true;
		poll_update(p);
	}
}

static void port_send(struct port *port, const void *hdr, size_t hdr_len, const struct iovec *iov,
		      unsigned iov_n)
{
	struct stream_port *p = (struct stream_port *)port;
	size_t len = hdr_len;

	if (p->dropped)
		return;
	for (unsigned i = 0; i < iov_n; i++)
		len += iov[i].iov_len;
	if (stream_out_add(p->out, hdr, hdr_len, iov, iov_n)) {
		port->counters.frames_to_guest++;
		port->counters.bytes_to_guest += len;
	} else {
		port->counters.dropped_queue_full++;
	}
	after_send(p, 0);
}

static void port_flush(struct port *port)
{
	struct stream_port *p = (struct stream_port *)port;

	if (!p->dropped)
		after_send(p, stream_out_flush(p->out));
}

static bool port_stands_still(struct port *port)
{
	struct stream_port *p = (struct stream_port *)port;

	return !p->dropped && stream_out_stands_still(p->out);
}

static const struct port_ops port_ops = {
    .send = port_send, .flush = port_flush, .stands_still = port_stands_still};

/* Work that events made possible, and what came of it. */
static void turn_end(struct stream_uv *s)
{
	if (s->events.batch_end)
		s->events.batch_end(s->events.ctx);
	if (!s->closing)
		lan_flush(s->lan);
}

static void port_writable(struct stream_port *p)
{
	int err = stream_out_drain(p->out);

	if (err) {
		port_drop(p, err, "connection to the guest lost");
		return;
	}
	if (stream_out_backlog(p->out) || !p->port.blocked)
		return;
	p->port.blocked = false;
	poll_update(p);
	if (p->s->events.writable)
		p->s->events.writable(p->s->events.ctx, &p->port);
	turn_end(p->s);
}

/* ---- from the guest ---- */

static void on_retry(uv_timer_t *timer);

static void retry_later(struct stream_uv *s)
{
	if (log_limit_ok(&s->shortage_log, uv_now(s->loop), 1, SHORTAGE_LOG_MS))
		log_warn_errno(ENOMEM, "link: reading from guests; trying on");
	uv_timer_start(&s->retry, on_retry, RETRY_MS, 0);
}

/* A buffer with room for a read and for the whole of a frame already begun. While somebody holds
 * frames in the last one, reading goes on behind them, so that small ones do not pin a buffer each.
 */
static int buf_prepare(struct stream_port *p)
{
	struct stream_buf *old = p->buf;
	size_t left = p->end - p->at;

	if (old && old->owner.refs == 1 && p->at) {
		memmove(old->bytes, old->bytes + p->at, left);
		p->at = 0;
		p->end = left;
	}
	if (old && STREAM_BUF_LEN - p->end >= ROOM_MIN)
		return 0;

	struct stream_buf *buf = stream_buf_take(p->s->bufs);
	if (!buf)
		return -ENOMEM;
	if (old) {
		memcpy(buf->bytes, old->bytes + p->at, left);
		frame_owner_unref(&old->owner);
	}
	p->buf = buf;
	p->at = 0;
	p->end = left;
	return 0;
}

/* Between batches an idle port holds no buffer: all ports share the few that are in the cache. */
static void buf_release_if_done(struct stream_port *p)
{
	if (p->buf && p->at == p->end && p->buf->owner.refs == 1) {
		frame_owner_unref(&p->buf->owner);
		p->buf = NULL;
		p->at = p->end = 0;
	}
}

/* Passes every whole frame on. False when the framing is broken. */
static bool switch_frames(struct stream_port *p)
{
	enum stream_verdict verdict = STREAM_NEED_MORE;
	uint64_t now_ms = uv_now(p->s->loop);
	uint32_t len;

	while (!p->dropped) {
		uint8_t *bytes = p->buf->bytes + p->at;
		verdict = stream_next(bytes, p->end - p->at, &len);
		if (verdict != STREAM_FRAME)
			break;
		struct iovec iov = {bytes + STREAM_PREFIX_LEN, len};
		struct frame frame = {.iov = &iov, .iov_n = 1, .len = len, .owner = &p->buf->owner};
		p->at += STREAM_PREFIX_LEN + len;
		p->port.counters.frames_from_guest++;
		p->port.counters.bytes_from_guest += len;
		lan_input(p->s->lan, &p->port, &frame, now_ms);
	}
	return verdict != STREAM_BROKEN;
}

static void drop_broken(struct stream_port *p)
{
	struct wire_in in = wire_in(p->buf->bytes + p->at, p->end - p->at);
	char why[80];

	snprintf(why, sizeof(why), "broken framing, a frame of %u bytes: connection closed",
		 wire_get_u32(&in));
	p->at = p->end;
	port_drop(p, 0, why);
}

static void switch_batch(struct stream_port *p)
{
	struct frame_owner *owner = &p->buf->owner;

	/* Ours until the flush, even if a callback drops the port: other ports have frames of this
	 * buffer queued. */
	frame_owner_ref(owner);
	bool whole = switch_frames(p);
	turn_end(p->s);
	frame_owner_unref(owner);
	if (!whole && !p->dropped)
		drop_broken(p);
}

/* End of file, or 'err'. */
static void drop_left(struct stream_port *p, int err)
{
	int send_err = stream_out_flush(p->out); /* what made after_send() shut the socket down */

	if (send_err && send_err != -EPIPE && send_err != -ECONNRESET)
		port_drop(p, send_err, "connection to the guest lost");
	else if (err && err != ECONNRESET)
		port_drop(p, err, "connection to the guest lost");
	else
		port_drop(p, 0, "guest left");
}

/* One read and all that follows from it. True when there is likely more to read. */
static bool read_batch(struct stream_port *p)
{
	ssize_t n;

	if (buf_prepare(p)) {
		p->starved = true;
		poll_update(p);
		retry_later(p->s);
		return false;
	}
	size_t room = STREAM_BUF_LEN - p->end;
	size_t want = room < STREAM_READ_LEN ? room : STREAM_READ_LEN;
	do {
		n = recv(p->fd, p->buf->bytes + p->end, want, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		p->end += (size_t)n;
		switch_batch(p);
	} else if (n == 0) {
		drop_left(p, 0);
	} else if (errno != EAGAIN && errno != EWOULDBLOCK) {
		drop_left(p, errno);
	}
	buf_release_if_done(p);
	return !p->dropped && n > 0 && (n == (ssize_t)want || p->ending);
}

static void on_port(struct poller_watch *watch, uint32_t events)
{
	struct stream_port *p = list_entry(watch, struct stream_port, watch);

	if (events & EPOLLOUT)
		port_writable(p);
	/* An error is read like data: what the guest said before it still counts. */
	p->ending |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	if (p->dropped || !(events & ~(uint32_t)EPOLLOUT))
		return;
	for (unsigned i = 0; i < READS_PER_WAKE; i++) {
		/* A read that came short has emptied the socket: the next byte is an edge. */
		if (!read_batch(p))
			return;
	}
	poll_update(p); /* and tells of the rest */
}

/* ---- coming and going ---- */

static void on_retry(uv_timer_t *timer)
{
	struct stream_uv *s = timer->data;

	for (struct stream_port *p = s->ports; p; p = p->next) {
		if (p->starved) {
			p->starved = false;
			poll_update(p);
		}
	}
}

/* Serves a connected socket. On failure it stays the caller's. */
static int attach(struct stream_uv *s, int fd)
{
	static const int sndbuf_len = SNDBUF_LEN, on = 1;
	struct stream_port *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	int err = stream_out_new(&p->out, fd);
	if (err)
		goto fail;
	p->s = s;
	p->fd = fd;
	p->port.ops = &port_ops;
	p->port.id = lan_new_port_id(s->lan);
	snprintf(p->port.name, sizeof(p->port.name), "port%u", p->port.id);
	err = lan_port_add(s->lan, &p->port);
	if (err)
		goto fail;
	p->watch = (struct poller_watch){.ready = on_port, .fd = fd};
	err = poller_add(s->poller, &p->watch, wanted_events(p));
	if (err) {
		lan_port_remove(s->lan, &p->port);
		goto fail;
	}

	/* Neither is vital: the first fails on no UNIX socket, the second on all of them. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf_len, sizeof(sndbuf_len));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	uv_idle_init(s->loop, &p->last);
	p->last.data = p;
	s->handles++;
	p->next = s->ports;
	p->link = &s->ports;
	if (p->next)
		p->next->link = &p->next;
	s->ports = p;
	if (guest_line_ok(s))
		log_info("%s: guest attached", p->port.name);
	if (s->events.attached)
		s->events.attached(s->events.ctx, &p->port);
	return 0;
fail:
	stream_out_free(p->out);
	free(p);
	return err;
}

static void on_accepted(void *ctx, int fd)
{
	struct stream_uv *s = ctx;
	int err = attach(s, fd);

	if (!err)
		return;
	close(fd);
	if (guest_line_ok(s))
		log_warn_errno(err, "link: a guest was turned away");
}

int stream_uv_adopt(struct stream_uv *s, int fd)
{
	struct sockaddr_storage peer;
	socklen_t type_len = sizeof(int), peer_len = sizeof(peer);
	int type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len))
		return -errno;
	if (type != SOCK_STREAM)
		return -ENOTSOCK;
	if (getpeername(fd, (struct sockaddr *)&peer, &peer_len))
		return -errno;
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return -errno;
	return attach(s, fd);
}

int stream_uv_listen_fd(struct stream_uv *s, int fd)
{
	if (s->listener)
		return -EALREADY;
	return listener_uv_new_fd(&s->listener, s->loop, fd, on_accepted, s);
}

int stream_uv_listen(struct stream_uv *s, const char *path)
{
	if (s->listener)
		return -EALREADY;
	return listener_uv_new(&s->listener, s->loop, path, on_accepted, s);
}

int stream_uv_new(struct stream_uv **ret, uv_loop_t *loop, struct lan *lan,
		  const struct stream_uv_events *events)
{
	struct stream_uv *s = calloc(1, sizeof(*s));
	struct stream_bufs *bufs = stream_bufs_new();
	int err = s && bufs ? poller_uv_get(loop, &s->poller) : -ENOMEM;

	if (err) {
		stream_bufs_free(bufs);
		free(s);
		return err;
	}
	s->loop = loop;
	s->lan = lan;
	s->events = *events;
	s->bufs = bufs;
	uv_timer_init(loop, &s->retry);
	s->retry.data = s;
	s->handles = 1;
	*ret = s;
	return 0;
}

void stream_uv_close(struct stream_uv *s)
{
	if (!s || s->closing)
		return;
	s->closing = true;
	while (s->ports)
		port_drop(s->ports, 0, "closed");
	listener_uv_close(s->listener);
	uv_close((uv_handle_t *)&s->retry, on_closed);
	poller_uv_put(s->loop);
	stream_bufs_free(s->bufs);
}
