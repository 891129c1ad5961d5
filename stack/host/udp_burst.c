#include "stack/host/udp_burst.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENTS_MAX 64     /* UDP_MAX_SEGMENTS of all kernels that have UDP_SEGMENT */
#define BURST_LEN_MAX 65000 /* bytes: an IP packet's, with room for headers and options */
#define SEGMENT_LEN_MAX                                                                            \
	(8 * 1024) /* longer ones are sent one by one: a copy costs more than a call */

static bool continues(const struct udp_burst *burst, int fd, const struct host_datagram_out *out)
{
	return burst->fd == fd && !out->from_given && burst->ttl == out->ttl &&
	       endpoint_eq(&burst->to, &out->to);
}

static size_t len_of(const struct host_datagram_out *out)
{
	size_t len = 0;

	for (unsigned i = 0; i < out->iov_n; i++)
		len += out->iov[i].iov_len;
	return len;
}

/* All of a burst's datagrams are as long as the first; the last may be shorter. */
static bool has_room(const struct udp_burst *burst, size_t len)
{
	return burst->n == 0 ||
	       (burst->n < SEGMENTS_MAX && len <= burst->segment &&
		burst->len == burst->n * burst->segment && burst->len + len <= BURST_LEN_MAX);
}

static int send_bytes(struct udp_burst *burst, size_t at, size_t len, size_t segment)
{
	struct iovec iov = {burst->bytes + at, len};
	struct host_datagram_out out = {.to = burst->to,
					.ttl = burst->ttl,
					.iov = &iov,
					.iov_n = 1,
					.segment = (uint16_t)segment};

	return host_datagram_send(burst->fd, &out);
}

static void send_one_by_one(struct udp_burst *burst)
{
	for (size_t at = 0; at < burst->len; at += burst->segment) {
		size_t left = burst->len - at;
		if (send_bytes(burst, at, left < burst->segment ? left : burst->segment, 0) < 0)
			burst->lost++;
	}
}

static void send_kept(struct udp_burst *burst)
{
	int result = 0;

	if (burst->n > 1 && !burst->no_segments)
		result = send_bytes(burst, 0, burst->len, burst->segment);
	if (result == -EAGAIN)
		burst->lost += burst->n;
	else if (result == -EIO || result == -ENOPROTOOPT || result == -EOPNOTSUPP)
		burst->no_segments = true; /* this kernel, or its devices, cannot */
	/* Else one segment is too long for the path: fragments are for single datagrams. */
	if (burst->n == 1 || burst->no_segments || (result < 0 && result != -EAGAIN))
		send_one_by_one(burst);
	burst->n = 0;
	burst->len = 0;
}

static void keep(struct udp_burst *burst, const struct host_datagram_out *out, size_t len)
{
	if (burst->n++ == 0)
		burst->segment = len;
	for (unsigned i = 0; i < out->iov_n; i++) {
		memcpy(burst->bytes + burst->len, out->iov[i].iov_base, out->iov[i].iov_len);
		burst->len += out->iov[i].iov_len;
	}
}

int udp_burst_send(struct udp_burst *burst, int fd, const struct host_datagram_out *out)
{
	size_t len = len_of(out);
	bool goes_on = continues(burst, fd, out);

	if (goes_on && len > 0 && len <= SEGMENT_LEN_MAX && !burst->no_segments) {
		if (!burst->bytes)
			burst->bytes = malloc(BURST_LEN_MAX);
		if (!has_room(burst, len))
			send_kept(burst);
		if (burst->bytes) {
			keep(burst, out, len);
			return 0;
		}
	}
	if (burst->n)
		send_kept(burst); /* in order */
	int result = host_datagram_send(fd, out);
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
