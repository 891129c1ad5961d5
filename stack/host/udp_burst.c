#include "stack/host/udp_burst.h"

#include "stack/base/pieces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BURST_LEN_MAX 65000 /* bytes: an IP packet's, with room for headers and options */
#define SEGMENT_LEN_MAX                                                                            \
	(8 * 1024) /* longer ones are sent one by one: a call is cheap beside them */
#define REST 1000  /* sends without UDP_SEGMENT after it failed: it may be one route's fault */

static size_t len_of(const struct host_datagram_out *out)
{
	size_t len = 0;

	for (unsigned i = 0; i < out->iov_n; i++)
		len += out->iov[i].iov_len;
	return len;
}

static bool means_no_segments(int error)
{
	return error == -EIO || error == -ENOPROTOOPT || error == -EOPNOTSUPP;
}

/* Datagrams of 'out->segment' bytes each by themselves. The first one's error, or 0; others are
 * counted. */
static int send_one_by_one(struct udp_burst *burst, int fd, const struct host_datagram_out *out)
{
	struct pieces rest = pieces_of(out->iov, len_of(out));
	struct iovec iov[UDP_BURST_PIECES_MAX];
	struct host_datagram_out one = *out;
	bool first = true;

	one.iov = iov;
	one.segment = 0;
	while (rest.left) {
		one.iov_n =
		    pieces_take(&rest, rest.left < out->segment ? rest.left : out->segment, iov);
		int result = host_datagram_send(fd, &one);
		if (result < 0 && first)
			return result;
		burst->lost += result < 0;
		first = false;
	}
	return 0;
}

/* As many as one call takes. */
static int send_at_once(struct udp_burst *burst, int fd, const struct host_datagram_out *out,
			size_t len)
{
	bool whole = len > out->segment && !burst->rest;
	int result = whole ? host_datagram_send(fd, out) : -EOPNOTSUPP;

	if (result == 0 || result == -EAGAIN)
		return result;
	if (whole && means_no_segments(result))
		burst->rest = REST;
	/* Else one segment is too long for the path: fragments are for single datagrams. */
	return send_one_by_one(burst, fd, out);
}

static unsigned segments_in(size_t len, size_t segment)
{
	return (unsigned)((len + segment - 1) / segment);
}

/* Datagrams of 'out->segment' bytes each. The first one's error, and none has left, or 0; others
 * are counted. */
static int send_segments(struct udp_burst *burst, int fd, const struct host_datagram_out *out)
{
	struct pieces rest = pieces_of(out->iov, len_of(out));
	size_t each_n = BURST_LEN_MAX / out->segment, each;
	struct iovec iov[UDP_BURST_PIECES_MAX];
	struct host_datagram_out some = *out;
	bool first = true;

	if (each_n == 0)
		return send_one_by_one(burst, fd, out);
	each = (each_n < UDP_BURST_MAX ? each_n : UDP_BURST_MAX) * out->segment;
	some.iov = iov;
	while (rest.left) {
		size_t len = rest.left < each ? rest.left : each;
		some.iov_n = pieces_take(&rest, len, iov);
		int result = send_at_once(burst, fd, &some, len);
		if (result < 0 && first)
			return result;
		if (result < 0)
			burst->lost += segments_in(len, out->segment);
		first = false;
	}
	return 0;
}

/* ---- what waits for the turn's end ---- */

static void send_kept(struct udp_burst *burst)
{
	struct host_datagram_out out = {.to = burst->to,
					.ttl = burst->ttl,
					.segment = (uint16_t)burst->segment,
					.iov = burst->iov,
					.iov_n = burst->iov_n};

	if (burst->n && send_segments(burst, burst->fd, &out) < 0)
		burst->lost += burst->n;
	for (unsigned i = 0; i < burst->n; i++) {
		if (burst->owner[i])
			frame_owner_unref(burst->owner[i]);
	}
	burst->n = 0;
	burst->iov_n = 0;
	burst->len = 0;
	burst->copied = 0;
}

/* All of a burst's datagrams are as long as the first; the last may be shorter. */
static bool has_room(const struct udp_burst *burst, const struct host_datagram_out *out, size_t len)
{
	return burst->n == 0 ||
	       (burst->n < UDP_BURST_MAX && len <= burst->segment &&
		burst->iov_n + out->iov_n <= UDP_BURST_PIECES_MAX &&
		burst->len == burst->n * burst->segment && burst->len + len <= BURST_LEN_MAX);
}

/* In one piece of the burst's own; consecutive copies are one. */
static void copy(struct udp_burst *burst, const struct host_datagram_out *out)
{
	uint8_t *at = burst->bytes + burst->copied;
	struct iovec *last = burst->iov_n ? &burst->iov[burst->iov_n - 1] : NULL;

	if (!last || (uint8_t *)last->iov_base + last->iov_len != at)
		last = NULL;
	if (!last) {
		last = &burst->iov[burst->iov_n++];
		*last = (struct iovec){at, 0};
	}
	for (unsigned i = 0; i < out->iov_n; i++) {
		memcpy(at, out->iov[i].iov_base, out->iov[i].iov_len);
		at += out->iov[i].iov_len;
		last->iov_len += out->iov[i].iov_len;
	}
	burst->copied = (size_t)(at - burst->bytes);
}

static void keep(struct udp_burst *burst, const struct host_datagram_out *out, size_t len)
{
	if (burst->n == 0)
		burst->segment = len;
	burst->owner[burst->n++] = out->owner;
	burst->len += len;
	if (!out->owner) {
		copy(burst, out);
		return;
	}
	frame_owner_ref(out->owner);
	memcpy(burst->iov + burst->iov_n, out->iov, out->iov_n * sizeof(out->iov[0]));
	burst->iov_n += out->iov_n;
}

static bool continues(const struct udp_burst *burst, int fd, const struct host_datagram_out *out)
{
	return burst->fd == fd && !out->from_given && burst->ttl == out->ttl &&
	       endpoint_eq(&burst->to, &out->to);
}

static bool can_keep(struct udp_burst *burst, const struct host_datagram_out *out, size_t len)
{
	if (len == 0 || len > SEGMENT_LEN_MAX || burst->rest)
		return false;
	if (!out->owner && !burst->bytes)
		burst->bytes = malloc(BURST_LEN_MAX);
	return out->owner || burst->bytes;
}

int udp_burst_send(struct udp_burst *burst, int fd, const struct host_datagram_out *out)
{
	size_t len = len_of(out);
	bool many = out->segment && len > out->segment;

	if (!many && continues(burst, fd, out) && can_keep(burst, out, len)) {
		if (!has_room(burst, out, len))
			send_kept(burst);
		keep(burst, out, len);
		return 0;
	}
	if (burst->n)
		send_kept(burst); /* in order */
	burst->rest -= burst->rest > 0;

	struct host_datagram_out one = *out;
	one.segment = 0;
	int result = many ? send_segments(burst, fd, out) : host_datagram_send(fd, &one);
	burst->fd = result == 0 ? fd : -1;
	burst->to = out->to;
	burst->ttl = out->ttl;
	return result;
}

void udp_burst_flush(struct udp_burst *burst)
{
	if (burst->n)
		send_kept(burst);
	burst->fd = -1;
}
