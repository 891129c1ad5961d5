#include "tests/support/dhcp_client.h"

#include <assert.h>
#include <string.h>

static void put_u32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

struct mac dhcp_client_mac(uint32_t n)
{
	return (struct mac){
	    {0x52, 0x54, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
}

struct dhcp_built dhcp_build(uint8_t type, uint32_t n)
{
	struct dhcp_built m = {.bytes = {1, 1, 6, 0}, .len = 240};
	struct mac mac = dhcp_client_mac(n);
	put_u32(m.bytes + 4, 0xabcd0000 + n);
	memcpy(m.bytes + 28, mac.b, sizeof(mac.b));
	put_u32(m.bytes + 236, 0x63825363);
	if (type)
		dhcp_build_put(&m, 53, &type, 1);
	return m;
}

void dhcp_build_put(struct dhcp_built *m, uint8_t code, const void *value, size_t len)
{
	assert(m->len + 2 + len < sizeof(m->bytes) && len < 256);
	m->bytes[m->len++] = code;
	m->bytes[m->len++] = (uint8_t)len;
	memcpy(m->bytes + m->len, value, len);
	m->len += len;
}

void dhcp_build_put_u32(struct dhcp_built *m, uint8_t code, uint32_t value)
{
	uint8_t bytes[4];
	put_u32(bytes, value);
	dhcp_build_put(m, code, bytes, sizeof(bytes));
}

void dhcp_build_set_u32(struct dhcp_built *m, size_t offset, uint32_t value)
{
	put_u32(m->bytes + offset, value);
}

struct wire_in dhcp_built_in(struct dhcp_built *m)
{
	size_t len = m->len + 1;
	m->bytes[m->len] = 255;
	return wire_in(m->bytes, len < 300 ? 300 : len);
}

/* Appends what [at, end) has of the option; false when an option leaves it. */
static bool collect(const uint8_t *at, const uint8_t *end, uint8_t code, uint8_t *ret, int *len)
{
	while (at < end && *at != 255) {
		if (*at == 0) {
			at++;
			continue;
		}
		if (end - at < 2 || end - at < 2 + at[1])
			return false;
		if (*at == code) {
			if (*len < 0)
				*len = 0;
			memcpy(ret + *len, at + 2, at[1]);
			*len += at[1];
		}
		at += 2 + at[1];
	}
	return at < end; /* every field needs its end mark */
}

int dhcp_reply_option(const struct wire_out *reply, uint8_t code, uint8_t *ret)
{
	const uint8_t *bytes = reply->start;
	int len = -1, overload_len = -1;
	uint8_t overload[DHCP_BUILT_MAX] = {0};

	if (wire_len(reply) < 240 || dhcp_field_u32(bytes, 236) != 0x63825363 ||
	    !collect(bytes + 240, reply->at, 52, overload, &overload_len) ||
	    !collect(bytes + 240, reply->at, code, ret, &len))
		return -2;
	if ((overload[0] & 1) && !collect(bytes + 108, bytes + 236, code, ret, &len))
		return -2;
	if ((overload[0] & 2) && !collect(bytes + 44, bytes + 108, code, ret, &len))
		return -2;
	return len;
}

uint32_t dhcp_field_u32(const uint8_t *bytes, size_t offset)
{
	const uint8_t *at = bytes + offset;
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

uint32_t dhcp_reply_u32(const struct wire_out *reply, uint8_t code)
{
	uint8_t value[DHCP_BUILT_MAX];
	return dhcp_reply_option(reply, code, value) == 4 ? dhcp_field_u32(value, 0) : 0;
}

uint8_t dhcp_reply_type(const struct wire_out *reply)
{
	uint8_t value[DHCP_BUILT_MAX];
	return dhcp_reply_option(reply, 53, value) == 1 ? value[0] : 0;
}

uint32_t dhcp_reply_yiaddr(const struct wire_out *reply)
{
	return wire_len(reply) < 240 ? 0 : dhcp_field_u32(reply->start, 16);
}
