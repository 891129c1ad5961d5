/* TCP connections into guests for clients of the control socket: an HTTP upgrade, and then bytes
 * both ways between the client's socket and one end of a socket pair, whose other end is the NAT's.
 * Each side is read only as fast as the other one takes it. */
#include "stack/app/control_api.h"
#include "stack/app/control_internal.h"
#include "stack/nat/nat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROTOCOL "lwnat-tcp"
#define BUFFER_LEN 65536
#define PIECES_PER_TURN 8 /* reads of one way, then others get their turn */

/* Bytes from one of the two sockets to the other. */
struct way {
	size_t at, len; /* what waits in 'bytes' */
	bool eof;       /* nothing more comes in ... */
	bool shut;      /* ... and the other side has been told */
	char bytes[BUFFER_LEN];
};

struct end {
	int fd;
	uv_poll_t poll;
	int wanted; /* events that are asked for */
	bool dead;  /* closed altogether, not for writing alone */
};

enum { CLIENT, GUEST };

struct tunnel {
	struct control *control;
	struct list link;
	struct http_exchange *x; /* waits for the outcome; NULL: has been answered */
	struct nat_attempt *attempt;
	uv_timer_t timer; /* until the guest answers */
	struct end end[2];
	struct way *way[2]; /* [CLIENT]: from the client to the guest; NULL until it is open */
	unsigned handles_n;
};

/* ---- the end ---- */

static void on_tunnel_closed(uv_handle_t *handle)
{
	struct tunnel *t = handle->data;
	struct control *control = t->control;

	if (--t->handles_n == 0) {
		free(t->way[CLIENT]);
		free(t->way[GUEST]);
		free(t);
	}
	control_handle_closed(control);
}

static void end_close(struct end *end)
{
	if (end->poll.data) {
		uv_poll_stop(&end->poll);
		uv_close((uv_handle_t *)&end->poll, on_tunnel_closed);
	}
	if (end->fd >= 0)
		close(end->fd);
	end->fd = -1;
}

static void tunnel_close(struct tunnel *t)
{
	if (uv_is_closing((uv_handle_t *)&t->timer))
		return;
	list_remove(&t->link);
	t->control->tunnels_n--;
	if (t->attempt)
		nat_tcp_connect_cancel(t->control->net->nat, t->attempt);
	t->attempt = NULL;
	end_close(&t->end[CLIENT]);
	end_close(&t->end[GUEST]);
	uv_close((uv_handle_t *)&t->timer, on_tunnel_closed);
}

void control_tunnels_end(struct control *control)
{
	while (!list_is_empty(&control->tunnels)) {
		struct tunnel *t = list_entry(control->tunnels.next, struct tunnel, link);

		/* The server is closed next: it tells on_gone() of one that waits. */
		t->x = NULL;
		tunnel_close(t);
	}
}

/* ---- bytes ---- */

/* 0, or a negative errno: the connection is over. */
static int move(struct way *way, int from, int to)
{
	for (unsigned i = 0; i < PIECES_PER_TURN; i++) {
		ssize_t n;

		if (way->len == 0 && !way->eof) {
			n = recv(from, way->bytes, BUFFER_LEN, MSG_DONTWAIT);
			if (n < 0)
				return errno == EAGAIN ? 0 : -errno;
			way->at = 0;
			way->len = (size_t)n;
			way->eof = n == 0;
		}
		if (way->len == 0)
			break;
		n = send(to, way->bytes + way->at, way->len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		way->at += (size_t)n;
		way->len -= (size_t)n;
	}
	if (way->eof && way->len == 0 && !way->shut) {
		way->shut = true;
		shutdown(to, SHUT_WR);
	}
	return 0;
}

static void on_ready(uv_poll_t *poll, int status, int events);

static void want(struct end *end, int events)
{
	if (events == end->wanted)
		return;
	end->wanted = events;
	if (events)
		uv_poll_start(&end->poll, events, on_ready);
	else
		uv_poll_stop(&end->poll);
}

/* Nothing can move any more, in one direction or the other. */
static bool is_over(const struct tunnel *t)
{
	bool out_done = t->way[CLIENT]->shut, in_done = t->way[GUEST]->shut;

	return (out_done && in_done) || (out_done && t->end[CLIENT].dead) ||
	       (in_done && t->end[GUEST].dead);
}

/* What an end is watched for. One that has sent its last byte tells by hanging up that it reads no
 * more either: the kernel says so whatever is asked for, and nothing else is what is asked for. */
static int wish(const struct end *end, const struct way *from, const struct way *to)
{
	int events = to->len ? UV_WRITABLE : 0;

	if (end->dead)
		return 0;
	if (from->eof)
		return events | UV_PRIORITIZED;
	return events | (from->len ? 0 : UV_READABLE);
}

static void pump(struct tunnel *t)
{
	struct end *client = &t->end[CLIENT], *guest = &t->end[GUEST];
	struct way *out = t->way[CLIENT], *in = t->way[GUEST];

	if (move(out, client->fd, guest->fd) < 0 || move(in, guest->fd, client->fd) < 0 ||
	    is_over(t)) {
		tunnel_close(t);
		return;
	}
	want(client, wish(client, out, in));
	want(guest, wish(guest, in, out));
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct tunnel *t = poll->data;
	int which = poll == &t->end[CLIENT].poll ? CLIENT : GUEST;

	if (status < 0) {
		tunnel_close(t);
		return;
	}
	if ((events & UV_PRIORITIZED) && t->way[which]->eof)
		t->end[which].dead = true;
	pump(t);
}

static int watch(struct tunnel *t, struct end *end, int fd)
{
	int result = uv_poll_init(t->control->net->loop, &end->poll, fd);

	if (result < 0)
		return result;
	end->fd = fd;
	end->poll.data = t;
	t->handles_n++;
	t->control->handles_n++;
	return 0;
}

/* ---- opening ---- */

static void on_upgraded(void *ctx, int fd, const char *extra, size_t extra_len)
{
	struct tunnel *t = ctx;

	if (fd < 0 || extra_len > BUFFER_LEN || watch(t, &t->end[CLIENT], fd) < 0) {
		if (fd >= 0)
			close(fd);
		tunnel_close(t);
		return;
	}
	if (extra_len > 0)
		memcpy(t->way[CLIENT]->bytes, extra, extra_len);
	t->way[CLIENT]->len = extra_len;
	pump(t);
}

static void refuse(struct tunnel *t, unsigned status, const char *text)
{
	struct http_exchange *x = t->x;

	t->x = NULL;
	if (x)
		api_error(x, status, NULL, "%s", text);
	tunnel_close(t);
}

/* The NAT's end of the pair, or a negative errno. */
static int open_pair(struct tunnel *t)
{
	int fds[2];

	t->way[CLIENT] = calloc(1, sizeof(struct way));
	t->way[GUEST] = calloc(1, sizeof(struct way));
	if (!t->way[CLIENT] || !t->way[GUEST])
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	if (watch(t, &t->end[GUEST], fds[0]) < 0) {
		close(fds[0]);
		close(fds[1]);
		return -ENOMEM;
	}
	return fds[1];
}

static int on_outcome(void *ctx, uint64_t cookie, enum nat_outcome outcome)
{
	struct tunnel *t = ctx;
	struct http_exchange *x = t->x;
	int fd = -1;

	(void)cookie;
	t->attempt = NULL;
	uv_timer_stop(&t->timer);
	switch (outcome) {
	case NAT_OPEN:
		fd = open_pair(t);
		if (fd < 0) {
			refuse(t, 503, "no memory or descriptors");
			return fd;
		}
		t->x = NULL;
		http_reply_upgrade(x, PROTOCOL, on_upgraded, t);
		return fd;
	case NAT_REFUSED:
		refuse(t, 502, "the guest refused the connection: nothing listens on this port");
		break;
	case NAT_NO_NEIGHBOUR:
		refuse(t, 504, "nobody on the network answers for this address");
		break;
	case NAT_TIMED_OUT:
		refuse(t, 504, "the guest is there, but does not answer on this port");
		break;
	case NAT_GUEST_GONE:
		refuse(t, 504, "the guest has gone");
		break;
	case NAT_NO_RESOURCES:
		refuse(t, 503, "too many connections, or no memory or descriptors");
		break;
	}
	return -1;
}

static void on_timeout(uv_timer_t *timer)
{
	refuse(timer->data, 504, "the guest has not answered in time");
}

static void on_gone(void *ctx)
{
	struct tunnel *t = ctx;

	t->x = NULL;
	tunnel_close(t);
}

static bool asks_for_upgrade(const struct http_exchange *x)
{
	const char *upgrade = http_request_header(x, "Upgrade");

	return upgrade && strcasecmp(upgrade, PROTOCOL) == 0;
}

static struct tunnel *tunnel_new(struct api_call *call)
{
	struct control *control = call->control;
	struct tunnel *t = control->tunnels_n < CONTROL_TUNNELS_MAX ? calloc(1, sizeof(*t)) : NULL;

	if (!t)
		return NULL;
	t->control = control;
	t->x = call->x;
	t->end[CLIENT].fd = t->end[GUEST].fd = -1;
	list_init(&t->link);
	list_append(&control->tunnels, &t->link);
	control->tunnels_n++;
	uv_timer_init(control->net->loop, &t->timer);
	t->timer.data = t;
	t->handles_n = 1;
	control->handles_n++;
	return t;
}

void api_get_connect(struct api_call *call)
{
	const struct network *net = call->net;
	struct nat_connect connect = {.handle = -1, .outcome = on_outcome};
	struct guests_found found;
	struct tunnel *t;

	if (!asks_for_upgrade(call->x)) {
		http_header(call->x, "Upgrade", PROTOCOL); /* RFC 9110 section 15.5.22 */
		api_error(call->x, 426, "Upgrade", "must be " PROTOCOL);
		return;
	}
	if (api_find_guest(call, "guest", call->query[0].text, &found) < 0)
		return;
	t = tunnel_new(call);
	if (!t) {
		api_error(call->x, 503, NULL, "too many connections");
		return;
	}
	connect.guest = (struct endpoint){found.addr, (uint16_t)call->query[1].number};
	/* A local address: the guest sees its gateway. */
	connect.peer.addr =
	    addr_is_v4(&found.addr) ? addr_v4(0x7f000001) : (struct addr){{[15] = 1}};
	connect.ctx = t;
	nat_set_time(net->nat, uv_now(net->loop));
	if (nat_tcp_connect(net->nat, &connect, &t->attempt) < 0) {
		refuse(t, 503, "too many connections, or no memory");
		return;
	}
	uv_timer_start(&t->timer, on_timeout, call->query[2].number, 0);
	http_later(call->x, on_gone, t);
	net->turn(net->ctx);
}
