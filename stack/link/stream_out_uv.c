#include "stack/link/stream_out_uv.h"

#include "stack/base/frame.h"
#include "stack/base/wire.h"
#include "stack/link/stream_codec.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define PIECES_MAX 1000       /* iovecs in one sendmsg(); the kernel takes 1,024 (IOV_MAX) */
#define SEND_LEN (190 * 1024) /* bytes in one sendmsg(): fits the usual socket buffer in one go */
#define ARENA_LEN (72 * 1024) /* bytes of prefixes and headers; the longest frame fits */
#define BACKLOG_FIRST (256 * 1024) /* bytes; doubles up to STREAM_BACKLOG_MAX, and is kept */
#define SHORTEST 60 /* bytes: IEEE 802.3's minimum without FCS; some of QEMU's NICs drop less */

/* One gathered frame: its first piece, in the arena, begins with the length prefix. */
struct gathered {
	unsigned piece_first;
	size_t len; /* bytes, prefix included */
};

struct stream_out {
	int fd;
	int err; /* negative errno: the connection is lost */
	unsigned lost_n;

	struct iovec pieces[PIECES_MAX];
	unsigned pieces_n;
	struct gathered frames[PIECES_MAX];
	unsigned frames_n;
	size_t len; /* bytes gathered */
	size_t arena_used;

	/* A ring. Its first bytes may be the end of a frame that is already half sent. */
	uint8_t *backlog;
	size_t backlog_size, backlog_at, backlog_len;

	uint64_t sent; /* bytes, in all */
	/* When it was last asked whether the guest stands still: */
	uint64_t asked_sent, asked_unread;

	uint8_t arena[ARENA_LEN];
};

/* Room for 'len' more bytes in the backlog. 0, -ENOBUFS at the limit, -ENOMEM. */
static int backlog_reserve(struct stream_out *out, size_t len)
{
	size_t size = out->backlog_size ? out->backlog_size : BACKLOG_FIRST;

	if (len > STREAM_BACKLOG_MAX - out->backlog_len)
		return -ENOBUFS;
	while (size < out->backlog_len + len)
		size *= 2;
	if (size == out->backlog_size)
		return 0;
	uint8_t *bytes = malloc(size);
	if (!bytes)
		return -ENOMEM;
	size_t to_end = out->backlog_size - out->backlog_at;
	size_t first = out->backlog_len < to_end ? out->backlog_len : to_end;
	if (out->backlog_len) {
		memcpy(bytes, out->backlog + out->backlog_at, first);
		memcpy(bytes + first, out->backlog, out->backlog_len - first);
	}
	free(out->backlog);
	out->backlog = bytes;
	out->backlog_size = size;
	out->backlog_at = 0;
	return 0;
}

/* Only after backlog_reserve(). */
static void backlog_put(struct stream_out *out, const void *bytes, size_t len)
{
	size_t at = (out->backlog_at + out->backlog_len) % out->backlog_size;
	size_t first = out->backlog_size - at < len ? out->backlog_size - at : len;

	if (len == 0)
		return;
	memcpy(out->backlog + at, bytes, first);
	memcpy(out->backlog, (const uint8_t *)bytes + first, len - first);
	out->backlog_len += len;
}

/* Copies frame 'f' without its first 'skip' bytes. */
static void frame_to_backlog(struct stream_out *out, unsigned f, size_t skip)
{
	const struct gathered *frame = &out->frames[f];
	unsigned end = f + 1 < out->frames_n ? out->frames[f + 1].piece_first : out->pieces_n;
	int err = backlog_reserve(out, frame->len - skip);

	if (err) {
		out->lost_n++;
		/* The rest of a frame that is already on its way has to follow it. */
		if (skip)
			out->err = err;
		return;
	}
	for (unsigned i = frame->piece_first; i < end; i++) {
		const struct iovec *piece = &out->pieces[i];
		size_t cut = skip < piece->iov_len ? skip : piece->iov_len;
		skip -= cut;
		backlog_put(out, (const uint8_t *)piece->iov_base + cut, piece->iov_len - cut);
	}
}

/* Bytes taken, 0 when the guest has to read first, or a negative errno. */
static ssize_t send_pieces(struct stream_out *out, struct iovec *pieces, size_t pieces_n)
{
	struct msghdr msg = {.msg_iov = pieces, .msg_iovlen = pieces_n};
	ssize_t n;

	do {
		n = sendmsg(out->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		out->sent += (uint64_t)n;
		return n;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM)
		return 0;
	return -errno;
}

/* What is gathered, without its first 'sent' bytes, goes to the backlog. */
static void rest_to_backlog(struct stream_out *out, size_t sent)
{
	for (unsigned f = 0; f < out->frames_n && !out->err; f++) {
		size_t skip = sent < out->frames[f].len ? sent : out->frames[f].len;
		sent -= skip;
		if (skip < out->frames[f].len)
			frame_to_backlog(out, f, skip);
	}
}

static void gathered_reset(struct stream_out *out)
{
	out->frames_n = out->pieces_n = 0;
	out->len = out->arena_used = 0;
}

int stream_out_flush(struct stream_out *out)
{
	if (out->frames_n && !out->err) {
		ssize_t n = send_pieces(out, out->pieces, out->pieces_n);
		if (n < 0)
			out->err = (int)n;
		else if ((size_t)n < out->len)
			rest_to_backlog(out, (size_t)n);
	}
	gathered_reset(out);
	return out->err;
}

int stream_out_drain(struct stream_out *out)
{
	while (out->backlog_len && !out->err) {
		size_t to_end = out->backlog_size - out->backlog_at;
		size_t first = out->backlog_len < to_end ? out->backlog_len : to_end;
		struct iovec pieces[2] = {{out->backlog + out->backlog_at, first},
					  {out->backlog, out->backlog_len - first}};
		ssize_t n = send_pieces(out, pieces, out->backlog_len > first ? 2 : 1);
		if (n < 0)
			out->err = (int)n;
		if (n <= 0)
			break;
		out->backlog_at = (out->backlog_at + (size_t)n) % out->backlog_size;
		out->backlog_len -= (size_t)n;
	}
	if (out->backlog_len == 0 && out->backlog_size > BACKLOG_FIRST) {
		free(out->backlog);
		out->backlog = NULL;
		out->backlog_size = out->backlog_at = 0;
	}
	return out->err;
}

static size_t pieces_len(const struct iovec *iov, unsigned iov_n)
{
	size_t len = 0;

	for (unsigned i = 0; i < iov_n; i++)
		len += iov[i].iov_len;
	return len;
}

/* Gathers one frame of 'len' bytes; there is room. */
static void gather(struct stream_out *out, struct wire_out *head, const struct iovec *iov,
		   unsigned iov_n)
{
	struct gathered *frame = &out->frames[out->frames_n++];

	*frame = (struct gathered){.piece_first = out->pieces_n, .len = wire_len(head)};
	out->pieces[out->pieces_n++] = (struct iovec){head->start, wire_len(head)};
	out->arena_used += wire_len(head);
	for (unsigned i = 0; i < iov_n; i++) {
		if (iov[i].iov_len == 0)
			continue;
		out->pieces[out->pieces_n++] = iov[i];
		frame->len += iov[i].iov_len;
	}
	out->len += frame->len;
}

bool stream_out_add(struct stream_out *out, const void *hdr, size_t hdr_len,
		    const struct iovec *iov, unsigned iov_n)
{
	size_t len = hdr_len + pieces_len(iov, iov_n);
	size_t padded_len = len < SHORTEST ? SHORTEST : len;
	size_t head_len = STREAM_PREFIX_LEN + (len < SHORTEST ? SHORTEST : hdr_len);

	if (out->err || len > FRAME_LEN_MAX || iov_n >= PIECES_MAX)
		return false;
	if (out->pieces_n + 1 + iov_n > PIECES_MAX || out->arena_used + head_len > ARENA_LEN ||
	    (out->frames_n && out->len + padded_len > SEND_LEN)) {
		if (stream_out_flush(out))
			return false;
	}

	struct wire_out head = wire_out(out->arena + out->arena_used, head_len);
	wire_put_u32(&head, (uint32_t)padded_len);
	wire_put_bytes(&head, hdr, hdr_len);
	if (len < SHORTEST) { /* so short that copying it is cheaper than another piece */
		for (unsigned i = 0; i < iov_n; i++)
			wire_put_bytes(&head, iov[i].iov_base, iov[i].iov_len);
		wire_put_zero(&head, SHORTEST - len);
		iov_n = 0;
	}
	gather(out, &head, iov, iov_n);
	if (out->backlog_len == 0)
		return true;

	/* Behind a backlog nothing may be sent directly; and nothing else is gathered now. */
	unsigned lost_before = out->lost_n;
	frame_to_backlog(out, 0, 0);
	gathered_reset(out);
	bool dropped = out->lost_n > lost_before;
	out->lost_n = lost_before;
	return !dropped;
}

/* What the kernel says is at least the bytes that wait, and what it adds for itself comes and goes
 * with them: when it has grown by all that was sent, nothing was read. */
bool stream_out_stands_still(struct stream_out *out)
{
	uint64_t sent = out->sent - out->asked_sent, before = out->asked_unread;
	int unread;

	if (ioctl(out->fd, SIOCOUTQ, &unread) < 0 || unread < 0)
		return false;
	out->asked_sent = out->sent;
	out->asked_unread = (uint64_t)unread;
	return unread > 0 && (uint64_t)unread >= before + sent;
}

bool stream_out_gathered(const struct stream_out *out)
{
	return out->frames_n > 0;
}

size_t stream_out_backlog(const struct stream_out *out)
{
	return out->backlog_len;
}

unsigned stream_out_lost(struct stream_out *out)
{
	unsigned lost_n = out->lost_n;

	out->lost_n = 0;
	return lost_n;
}

int stream_out_new(struct stream_out **ret, int fd)
{
	struct stream_out *out = calloc(1, sizeof(*out));

	if (!out)
		return -ENOMEM;
	out->fd = fd;
	*ret = out;
	return 0;
}

void stream_out_free(struct stream_out *out)
{
	if (!out)
		return;
	free(out->backlog);
	free(out);
}
