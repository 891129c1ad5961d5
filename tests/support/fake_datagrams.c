#include "stack/base/checksum.h"
#include "stack/base/wire.h"
#include "tests/support/fake_host_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECV_MAX 16 /* datagrams handed out by one call */

void fake_datagrams_clear(struct fake_handle *h)
{
	while (h->datagrams) {
		struct fake_datagram *next = h->datagrams->next;
		free(h->datagrams);
		h->datagrams = next;
	}
	h->datagrams_tail = &h->datagrams;
}

int fake_udp_open(void *ctx, uint64_t token, bool v6)
{
	struct fake_host *host = ctx;
	int handle;

	if (host->udp_open_result < 0)
		return host->udp_open_result;
	handle = fake_host_open(host, FAKE_UDP, token);
	if (handle >= 0) {
		host->count.udp_opened++;
		host->handles[handle].v6 = v6;
	}
	return handle;
}

int fake_ping_open(void *ctx, uint64_t token, bool v6)
{
	struct fake_host *host = ctx;
	int handle;

	if (host->ping_open_result < 0)
		return host->ping_open_result;
	handle = fake_host_open(host, FAKE_PING, token);
	if (handle >= 0) {
		host->count.ping_opened++;
		host->handles[handle].v6 = v6;
	}
	return handle;
}

int fake_host_listener(struct fake_host *host)
{
	return fake_host_open(host, FAKE_UDP, UINT64_MAX);
}

struct fake_sent *fake_host_sent_pop(struct fake_host *host)
{
	struct fake_sent *sent = host->sent;

	if (!sent)
		return NULL;
	host->sent = sent->next;
	if (!sent->next)
		host->sent_tail = &host->sent;
	host->sent_n--;
	return sent;
}

static struct fake_sent *record(struct fake_host *host, int handle, const struct iovec *iov,
				unsigned iov_n)
{
	uint32_t keep = host->sent_keep_max ? host->sent_keep_max : 10000;
	struct fake_sent *sent;
	size_t len = 0;

	for (unsigned i = 0; i < iov_n; i++)
		len += iov[i].iov_len;
	sent = calloc(1, sizeof(*sent) + len);
	sent->handle = handle;
	for (unsigned i = 0; i < iov_n; i++) {
		memcpy(sent->bytes + sent->len, iov[i].iov_base, iov[i].iov_len);
		sent->len += iov[i].iov_len;
	}
	*host->sent_tail = sent;
	host->sent_tail = &sent->next;
	if (++host->sent_n > keep)
		free(fake_host_sent_pop(host));
	host->count.sends++;
	return sent;
}

static int send_one(struct fake_host *host, int handle, const struct host_udp_out *out,
		    const struct iovec *bytes)
{
	struct fake_handle *h = fake_host_expect(host, handle, FAKE_UDP);
	struct fake_sent *sent;

	if (!h || h->send_error)
		return h ? h->send_error : -EBADF;
	sent = record(host, handle, bytes, 1);
	sent->to = out->to;
	sent->ttl = out->ttl;
	if (host->udp_echo)
		fake_host_udp_deliver(host, handle, &out->to, sent->bytes, sent->len);
	return 0;
}

int fake_udp_send(void *ctx, int handle, const struct host_udp_out *out)
{
	size_t len = 0, each, at = 0;
	uint8_t *bytes;
	int result = 0;

	for (unsigned i = 0; i < out->iov_n; i++)
		len += out->iov[i].iov_len;
	bytes = malloc(len + 1);
	for (unsigned i = 0, n = 0; i < out->iov_n; n += (unsigned)out->iov[i++].iov_len) {
		if (out->iov[i].iov_len)
			memcpy(bytes + n, out->iov[i].iov_base, out->iov[i].iov_len);
	}
	each = out->segment ? out->segment : len;
	do {
		struct iovec one = {bytes + at, len - at < each ? len - at : each};

		result = send_one(ctx, handle, out, &one);
		at += each;
	} while (result == 0 && at < len);
	free(bytes);
	return result;
}

/* What icmp(7) does: the identifier is the socket's, and an echo request comes back as a reply. */
static void answer_ping(struct fake_host *host, int handle, const struct fake_sent *sent)
{
	struct endpoint from = {sent->to.addr, 0};
	uint8_t *reply = malloc(sent->len);
	struct wire_out out = wire_out(reply, sent->len);

	memcpy(reply, sent->bytes, sent->len);
	out.at = out.end;
	wire_patch_u16(&out, 0, addr_is_v4(&from.addr) ? 0 : 129 << 8);
	wire_patch_u16(&out, 2, 0);
	wire_patch_u16(&out, 4, host->ping_id);
	wire_patch_u16(&out, 2, checksum_finish(checksum_add(0, reply, sent->len)));
	fake_host_udp_deliver(host, handle, &from, reply, sent->len);
	free(reply);
}

int fake_ping_send(void *ctx, int handle, const struct addr *to, uint8_t ttl,
		   const struct iovec *iov, unsigned iov_n)
{
	struct fake_host *host = ctx;
	struct fake_handle *h = fake_host_expect(host, handle, FAKE_PING);
	struct fake_sent *sent;

	if (!h || h->send_error)
		return h ? h->send_error : -EBADF;
	sent = record(host, handle, iov, iov_n);
	sent->to.addr = *to;
	sent->ttl = ttl;
	if (sent->len < 8 || sent->bytes[0] != (addr_is_v4(to) ? 8 : 128))
		fake_host_misuse(host, "ping is no echo request");
	else if (host->ping_echo)
		answer_ping(host, handle, sent);
	return 0;
}

static void deliver(struct fake_host *host, int handle, struct fake_datagram *datagram)
{
	struct fake_handle *h = &host->handles[handle];

	if (!h->datagrams) /* the handles may have moved since */
		h->datagrams_tail = &h->datagrams;
	*h->datagrams_tail = datagram;
	h->datagrams_tail = &datagram->next;
	if (h->read_armed && h->token != UINT64_MAX) {
		h->read_armed = false;
		fake_host_post(host, handle, HOST_READABLE);
	}
}

void fake_host_udp_deliver(struct fake_host *host, int handle, const struct endpoint *from,
			   const void *bytes, size_t len)
{
	struct fake_datagram *datagram = calloc(1, sizeof(*datagram) + len);

	datagram->d.kind = HOST_DATAGRAM_DATA;
	datagram->d.peer = *from;
	datagram->len = len;
	memcpy(datagram->bytes, bytes, len);
	deliver(host, handle, datagram);
}

void fake_host_udp_deliver_segments(struct fake_host *host, int handle, const struct endpoint *from,
				    struct iovec bytes, uint16_t segment)
{
	struct fake_datagram *datagram = calloc(1, sizeof(*datagram) + bytes.iov_len);

	datagram->d.kind = HOST_DATAGRAM_DATA;
	datagram->d.peer = *from;
	datagram->d.segment = segment;
	datagram->len = bytes.iov_len;
	memcpy(datagram->bytes, bytes.iov_base, bytes.iov_len);
	deliver(host, handle, datagram);
}

void fake_host_error_deliver(struct fake_host *host, int handle, const struct fake_icmp *error,
			     struct iovec quoted)
{
	struct fake_datagram *datagram = calloc(1, sizeof(*datagram) + quoted.iov_len);

	datagram->d.kind = HOST_DATAGRAM_ERROR;
	datagram->d.peer = error->to;
	datagram->d.icmp_type = error->type;
	datagram->d.icmp_code = error->code;
	datagram->d.icmp_info = error->info;
	datagram->d.offender = error->offender;
	datagram->len = quoted.iov_len;
	if (quoted.iov_len)
		memcpy(datagram->bytes, quoted.iov_base, quoted.iov_len);
	deliver(host, handle, datagram);
}

int fake_recv(void *ctx, int handle, struct host_datagram *ret, unsigned max)
{
	struct fake_host *host = ctx;
	struct fake_handle *h = fake_host_handle(host, handle);
	unsigned n = 0;

	if (!h || (h->kind != FAKE_UDP && h->kind != FAKE_PING)) {
		fake_host_misuse(host, "recv on no datagram handle");
		return -EBADF;
	}
	for (unsigned i = 0; i < RECV_MAX; i++) { /* the last call's bytes are void now */
		free(host->recv_bytes[i]);
		host->recv_bytes[i] = NULL;
	}
	while (n < max && n < RECV_MAX && h->datagrams) {
		struct fake_datagram *datagram = h->datagrams;

		h->datagrams = datagram->next;
		if (!h->datagrams)
			h->datagrams_tail = &h->datagrams;
		ret[n] = datagram->d;
		ret[n].len = datagram->len;
		host->recv_bytes[n] = malloc(datagram->len + 1);
		memcpy(host->recv_bytes[n], datagram->bytes, datagram->len);
		ret[n].bytes = host->recv_bytes[n];
		n++;
		free(datagram);
	}
	if (n)
		return (int)n;
	h->read_armed = true;
	return -EAGAIN;
}

void fake_datagram_close(void *ctx, int handle)
{
	struct fake_host *host = ctx;
	struct fake_handle *h = fake_host_handle(host, handle);

	if (!h || (h->kind != FAKE_UDP && h->kind != FAKE_PING))
		fake_host_misuse(host, "closing no datagram handle");
	else
		fake_host_release(host, handle);
}
