#include "tests/support/dhcp6_bed.h"

#include <stdlib.h>
#include <string.h>

/* Not check's: the fuzzer runs without it. */
static void expect(bool truth)
{
	if (!truth)
		abort();
}

static const struct mac gateway = {{0x52, 0x55, 10, 0, 2, 2}};

struct addr dhcp6_addr(const char *text)
{
	struct addr addr;

	expect(addr_parse(text, &addr) == 0);
	return addr;
}

struct mac dhcp6_mac(uint32_t n)
{
	return (struct mac){{0x52, 0x54, 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
}

static void boot_url(void *ctx, const struct dhcpd6_boot_ask *ask, char url[DHCPD6_URL_MAX])
{
	struct dhcp6_bed *bed = ctx;

	bed->asked = *ask;
	memcpy(url, bed->url, DHCPD6_URL_MAX);
}

static bool in_use(void *ctx, const struct addr *addr, const struct mac *mac)
{
	const struct dhcp6_bed *bed = ctx;

	(void)mac;
	return addr_eq(&bed->in_use, addr);
}

struct dhcpd6_config dhcp6_bed_config(struct dhcp6_bed *bed)
{
	static const char *const search[] = {"corp.example", "lwnat.internal"};

	return (struct dhcpd6_config){
	    .net = {{{0xfe, 0xc0}}, 64},
	    .server = {{0xfe, 0xc0, [15] = 2}},
	    .dns = {{0xfe, 0xc0, [15] = 3}},
	    .pool_first = {{0xfe, 0xc0, [15] = 0x15}},
	    .mac = gateway,
	    .lease_s = 86400,
	    .search = search,
	    .search_n = 2,
	    .domain = "lwnat.internal",
	    .leases_max = 16,
	    .per_port_max = 8,
	    .hash_key = {{1, 2}},
	    .boot_url = boot_url,
	    .in_use = in_use,
	    .ctx = bed,
	};
}

void dhcp6_bed_open(struct dhcp6_bed *bed, const struct dhcpd6_config *config)
{
	struct dhcpd6_config usual;

	memset(bed, 0, sizeof(*bed));
	bed->now_ms = 1000000;
	bed->room = 1232;
	usual = dhcp6_bed_config(bed);
	expect(dhcpd6_new(&bed->server, config ? config : &usual) == 0);
}

void dhcp6_bed_close(struct dhcp6_bed *bed)
{
	dhcpd6_free(bed->server);
	bed->server = NULL;
}

/* ---- building ---- */

static void put(struct dhcp6_built *m, const void *bytes, size_t len)
{
	expect(m->len + len <= sizeof(m->bytes));
	if (len)
		memcpy(m->bytes + m->len, bytes, len);
	m->len += len;
}

static void put_u16(struct dhcp6_built *m, uint32_t v)
{
	uint8_t bytes[] = {(uint8_t)(v >> 8), (uint8_t)v};

	put(m, bytes, 2);
}

static void put_u32(struct dhcp6_built *m, uint32_t v)
{
	put_u16(m, v >> 16);
	put_u16(m, v);
}

static void put_duid(struct dhcp6_built *m, uint16_t code, const struct mac *mac)
{
	put_u16(m, code);
	put_u16(m, 10);
	put_u16(m, 3);
	put_u16(m, 1);
	put(m, mac->b, 6);
}

struct dhcp6_built dhcp6_build(uint8_t type, uint32_t n)
{
	struct dhcp6_built m = {.bytes = {type, 0xab, 0xcd, 0xef}, .len = 4};
	struct mac mac = dhcp6_mac(n);

	if (n)
		put_duid(&m, 1, &mac);
	return m;
}

void dhcp6_build_put(struct dhcp6_built *m, uint16_t code, const void *value, size_t len)
{
	put_u16(m, code);
	put_u16(m, (uint32_t)len);
	put(m, value, len);
}

void dhcp6_build_ia(struct dhcp6_built *m, uint32_t iaid, const struct addr *addr)
{
	put_u16(m, 3);
	put_u16(m, addr ? 12 + 28 : 12);
	put_u32(m, iaid);
	put_u32(m, 0);
	put_u32(m, 0);
	if (!addr)
		return;
	put_u16(m, 5);
	put_u16(m, 24);
	put(m, addr->b, 16);
	put_u32(m, 0);
	put_u32(m, 0);
}

void dhcp6_build_server_id(struct dhcp6_built *m)
{
	put_duid(m, 2, &gateway);
}

void dhcp6_build_name(struct dhcp6_built *m, const char *label)
{
	size_t len = strlen(label);
	uint8_t bytes[66] = {0, (uint8_t)len};

	memcpy(bytes + 2, label, len);
	dhcp6_build_put(m, 39, bytes, len + 2);
}

/* ---- sending ---- */

enum dhcpd6_verdict dhcp6_bed_send_from(struct dhcp6_bed *bed, const void *bytes, size_t len,
					const struct dhcpd6_from *from)
{
	uint8_t *copy = malloc(len ? len : 1);
	enum dhcpd6_verdict verdict;

	expect(copy != NULL);
	if (len)
		memcpy(copy, bytes, len);
	memset(bed->buffer, 0xa5, sizeof(bed->buffer));
	bed->reply = (struct dhcpd6_reply){.bytes = wire_out(bed->buffer, bed->room)};
	verdict = dhcpd6_input(bed->server, wire_in(copy, len), from, bed->now_ms, &bed->reply);
	free(copy);
	for (size_t i = bed->room; i < sizeof(bed->buffer); i++)
		expect(bed->buffer[i] == 0xa5);
	return verdict;
}

enum dhcpd6_verdict dhcp6_bed_send(struct dhcp6_bed *bed, const void *bytes, size_t len, uint32_t n)
{
	struct dhcpd6_from from = {dhcp6_mac(n), 1};

	return dhcp6_bed_send_from(bed, bytes, len, &from);
}

enum dhcpd6_verdict dhcp6_bed_send_built(struct dhcp6_bed *bed, const struct dhcp6_built *m,
					 uint32_t n)
{
	return dhcp6_bed_send(bed, m->bytes, m->len, n);
}

struct addr dhcp6_bed_boot_named(struct dhcp6_bed *bed, uint32_t n, const char *name)
{
	struct dhcp6_built solicit = dhcp6_build(SOLICIT, n), request = dhcp6_build(REQUEST, n);
	struct addr addr;

	dhcp6_build_ia(&solicit, 1, NULL);
	dhcp6_bed_send_built(bed, &solicit, n);
	addr = dhcp6_reply_addr(bed);
	dhcp6_build_server_id(&request);
	dhcp6_build_ia(&request, 1, &addr);
	if (name)
		dhcp6_build_name(&request, name);
	if (dhcp6_bed_send_built(bed, &request, n) != DHCPD6_REPLIED)
		return (struct addr){{0}};
	return dhcp6_reply_addr(bed);
}

struct addr dhcp6_bed_boot(struct dhcp6_bed *bed, uint32_t n)
{
	return dhcp6_bed_boot_named(bed, n, NULL);
}

/* ---- reading ---- */

static uint16_t u16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

uint32_t dhcp6_u32(const uint8_t *at)
{
	return (uint32_t)u16(at) << 16 | u16(at + 2);
}

struct dhcp6_view dhcp6_find(const uint8_t *at, size_t len, uint16_t code)
{
	while (len >= 4) {
		size_t n = u16(at + 2);

		if (n > len - 4)
			break;
		if (u16(at) == code)
			return (struct dhcp6_view){at + 4, n};
		at += 4 + n;
		len -= 4 + n;
	}
	return (struct dhcp6_view){NULL, 0};
}

bool dhcp6_reply_is_whole(const struct dhcp6_bed *bed)
{
	const uint8_t *at = bed->buffer + 4;
	size_t len = wire_len(&bed->reply.bytes);

	if (len < 4)
		return false;
	for (len -= 4; len >= 4 && u16(at + 2) <= len - 4u;) {
		size_t n = 4u + u16(at + 2);

		at += n;
		len -= n;
	}
	return len == 0;
}

uint8_t dhcp6_reply_type(const struct dhcp6_bed *bed)
{
	return wire_len(&bed->reply.bytes) ? bed->buffer[0] : 0;
}

struct dhcp6_view dhcp6_reply_option(const struct dhcp6_bed *bed, uint16_t code)
{
	size_t len = wire_len(&bed->reply.bytes);

	return len < 4 ? (struct dhcp6_view){NULL, 0} : dhcp6_find(bed->buffer + 4, len - 4, code);
}

struct addr dhcp6_reply_addr(const struct dhcp6_bed *bed)
{
	struct dhcp6_view ia = dhcp6_reply_option(bed, 3), inner;
	struct addr addr = {{0}};

	if (!ia.at || ia.len < 12)
		return addr;
	inner = dhcp6_find(ia.at + 12, ia.len - 12, 5);
	if (inner.at && inner.len >= 24)
		memcpy(addr.b, inner.at, 16);
	return addr;
}

int dhcp6_reply_status(const struct dhcp6_bed *bed)
{
	struct dhcp6_view ia = dhcp6_reply_option(bed, 3), status = {NULL, 0};

	if (ia.at && ia.len >= 12)
		status = dhcp6_find(ia.at + 12, ia.len - 12, 13);
	if (!status.at)
		status = dhcp6_reply_option(bed, 13);
	return status.at && status.len >= 2 ? u16(status.at) : -1;
}
