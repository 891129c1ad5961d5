#include "tests/support/fake_dns.h"

#include "dns/dns_msg.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX 65535

struct fake_conn {
	uv_tcp_t tcp;
	struct fake_dns *fake;
	size_t len;
	uint8_t in[2 + 1024];
};

static void on_conn_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* An answer of one A record, and zeros behind it up to 'pad_to' bytes in a record of type 65280. */
static size_t make_answer(struct fake_dns *fake, const struct dns_query *q, size_t pad_to,
			  uint8_t *bytes)
{
	struct wire_out out = wire_out(bytes, MESSAGE_MAX);
	struct dns_header header = q->header;
	size_t len;

	header.flags = (uint16_t)(0x8180 | fake->rcode);
	header.answer_n = fake->mode == FAKE_DNS_RCODE ? 0 : 1;
	header.additional_n = 0;
	dns_header_put(&out, &header);
	dns_question_put(&out, q);
	if (header.answer_n) {
		wire_put_u16(&out, 0xc000 | DNS_HEADER_LEN);
		wire_put_u16(&out, DNS_TYPE_A);
		wire_put_u16(&out, DNS_CLASS_IN);
		wire_put_u32(&out, 60);
		wire_put_u16(&out, 4);
		wire_put_u32(&out, 0xc0000200u | fake->mark);
	}
	len = wire_len(&out);
	if (pad_to > len + 11) {
		wire_patch_u16(&out, 6, 2);
		wire_put_u8(&out, 0);
		wire_put_u16(&out, 65280);
		wire_put_u16(&out, DNS_CLASS_IN);
		wire_put_u32(&out, 60);
		wire_put_u16(&out, (uint16_t)(pad_to - len - 11));
		wire_put_zero(&out, pad_to - len - 11);
	}
	return wire_len(&out);
}

static void send_udp(struct fake_dns *fake, const struct sockaddr *to, const uint8_t *bytes,
		     size_t len)
{
	uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)len);
	(void)uv_udp_try_send(&fake->udp, &buf, 1, to);
}

static void answer_udp(struct fake_dns *fake, const struct dns_query *q, const struct sockaddr *to)
{
	static uint8_t bytes[MESSAGE_MAX];
	size_t len = make_answer(fake, q, fake->mode == FAKE_DNS_PADDED ? fake->udp_len : 0, bytes);

	switch (fake->mode) {
	case FAKE_DNS_SILENT:
		return;
	case FAKE_DNS_WRONG_ID_FIRST:
		bytes[0] ^= 0x55;
		send_udp(fake, to, bytes, len);
		bytes[0] ^= 0x55;
		break;
	case FAKE_DNS_WRONG_QUESTION_FIRST:
		bytes[DNS_HEADER_LEN + 1] ^= 0x01;
		send_udp(fake, to, bytes, len);
		bytes[DNS_HEADER_LEN + 1] ^= 0x01;
		break;
	case FAKE_DNS_TRUNCATED:
		bytes[2] |= DNS_FLAG_TC >> 8;
		bytes[7] = 0;
		len = DNS_HEADER_LEN + q->name.len + 4u;
		break;
	default:
		break;
	}
	send_udp(fake, to, bytes, len);
}

static void on_udp_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
	static char bytes[MESSAGE_MAX];
	(void)handle;
	(void)size;
	*ret = uv_buf_init(bytes, sizeof(bytes));
}

static void on_udp(uv_udp_t *udp, ssize_t len, const uv_buf_t *buf, const struct sockaddr *from,
		   unsigned flags)
{
	struct fake_dns *fake = udp->data;
	struct dns_query q;

	(void)flags;
	if (len <= 0 || !from || dns_query_get(wire_in(buf->base, (size_t)len), &q) != DNS_QUERY_OK)
		return;
	fake->udp_queries++;
	fake->last_udp_size = q.edns.present ? q.edns.udp_size : 0;
	answer_udp(fake, &q, from);
}

static void on_conn_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
	struct fake_conn *conn = handle->data;
	(void)size;
	*ret = uv_buf_init((char *)conn->in + conn->len, (unsigned)(sizeof(conn->in) - conn->len));
}

static void answer_tcp(struct fake_conn *conn, const struct dns_query *q)
{
	static uint8_t bytes[2 + MESSAGE_MAX];
	size_t len = make_answer(conn->fake, q, conn->fake->tcp_len, bytes + 2);
	uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)(len + 2));

	bytes[0] = (uint8_t)(len >> 8);
	bytes[1] = (uint8_t)len;
	/* Loopback takes 64 KiB at once; a test that sees less fails by its length. */
	(void)uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);
}

static void on_conn_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	struct fake_conn *conn = stream->data;
	struct dns_query q;
	size_t len;

	(void)buf;
	if (got < 0) {
		uv_close((uv_handle_t *)stream, on_conn_closed);
		return;
	}
	conn->len += (size_t)got;
	while (conn->len >= 2) {
		len = (size_t)(conn->in[0] << 8 | conn->in[1]);
		if (conn->len < 2 + len)
			return;
		if (dns_query_get(wire_in(conn->in + 2, len), &q) == DNS_QUERY_OK) {
			conn->fake->tcp_queries++;
			if (conn->fake->mode != FAKE_DNS_SILENT)
				answer_tcp(conn, &q);
		}
		conn->len -= 2 + len;
		memmove(conn->in, conn->in + 2 + len, conn->len);
	}
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct fake_conn *conn = calloc(1, sizeof(*conn));

	if (!conn || status < 0)
		abort();
	conn->fake = listener->data;
	(void)uv_tcp_init(listener->loop, &conn->tcp);
	conn->tcp.data = conn;
	uv_unref((uv_handle_t *)&conn->tcp);
	(void)uv_accept(listener, (uv_stream_t *)&conn->tcp);
	(void)uv_read_start((uv_stream_t *)&conn->tcp, on_conn_alloc, on_conn_read);
}

static int open_tcp(struct fake_dns *fake, const struct sockaddr *addr)
{
	int status = uv_tcp_bind(&fake->tcp, addr, 0);

	if (status == 0)
		status = uv_listen((uv_stream_t *)&fake->tcp, 64, on_connection);
	return status;
}

int fake_dns_open(struct fake_dns *ret, uv_loop_t *loop, const char *addr, uint16_t port)
{
	struct sockaddr_in sin;
	int sin_len = sizeof(sin);
	int status;

	memset(ret, 0, sizeof(*ret));
	(void)uv_udp_init(loop, &ret->udp); /* neither opens anything yet */
	(void)uv_tcp_init(loop, &ret->tcp);
	ret->udp.data = ret->tcp.data = ret;
	status = uv_ip4_addr(addr, port, &sin);
	if (status == 0)
		status = uv_udp_bind(&ret->udp, (struct sockaddr *)&sin, 0);
	if (status == 0)
		status = uv_udp_getsockname(&ret->udp, (struct sockaddr *)&sin, &sin_len);
	if (status == 0)
		status = open_tcp(ret, (struct sockaddr *)&sin);
	if (status == 0)
		status = uv_udp_recv_start(&ret->udp, on_udp_alloc, on_udp);
	uv_unref((uv_handle_t *)&ret->udp);
	uv_unref((uv_handle_t *)&ret->tcp);
	ret->endpoint.port = ntohs(sin.sin_port);
	(void)addr_parse(addr, &ret->endpoint.addr);
	return status;
}

void fake_dns_close(struct fake_dns *fake)
{
	uv_close((uv_handle_t *)&fake->udp, NULL);
	uv_close((uv_handle_t *)&fake->tcp, NULL);
}
