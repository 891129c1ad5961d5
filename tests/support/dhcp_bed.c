#include "tests/support/dhcp_bed.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CANARY 0xa5

struct dhcpd_config dhcp_bed_config(void)
{
	return (struct dhcpd_config){.net = {addr_v4(DHCP_BED_NET), 24},
				     .server = addr_v4(DHCP_BED_SERVER),
				     .dns = addr_v4(DHCP_BED_DNS),
				     .pool_first = addr_v4(DHCP_BED_FIRST),
				     .lease_s = 86400,
				     .mtu = 1500,
				     .leases_max = 65536};
}

void dhcp_bed_open(struct dhcp_bed *bed, const struct dhcpd_config *config)
{
	struct dhcpd_config usual = dhcp_bed_config();
	*bed = (struct dhcp_bed){.now_ms = 1000, .room = 1500};
	int error = dhcpd_new(&bed->server, config ? config : &usual);
	assert(!error);
}

void dhcp_bed_close(struct dhcp_bed *bed)
{
	dhcpd_free(bed->server);
	bed->server = NULL;
}

void dhcp_bed_restart(struct dhcp_bed *bed)
{
	dhcp_bed_close(bed);
	dhcp_bed_open(bed, NULL);
}

enum dhcpd_verdict dhcp_bed_send(struct dhcp_bed *bed, struct wire_in message)
{
	struct dhcpd_sender sender = {addr_v4(0), bed->port};
	size_t len = wire_left(&message);
	uint8_t *exact = malloc(len ? len : 1);
	assert(exact);
	memcpy(exact, message.at, len);
	memset(bed->buffer, CANARY, sizeof(bed->buffer));
	bed->reply.bytes = wire_out(bed->buffer, bed->room);
	enum dhcpd_verdict verdict =
	    dhcpd_input(bed->server, wire_in(exact, len), &sender, bed->now_ms, &bed->reply);
	free(exact);
	for (size_t i = bed->room; i < sizeof(bed->buffer); i++)
		assert(bed->buffer[i] == CANARY);
	assert(bed->reply.bytes.at <= bed->buffer + bed->room);
	return verdict;
}

enum dhcpd_verdict dhcp_bed_send_built(struct dhcp_bed *bed, struct dhcp_built *m)
{
	return dhcp_bed_send(bed, dhcp_built_in(m));
}

enum dhcpd_verdict dhcp_bed_discover(struct dhcp_bed *bed, uint32_t n, uint32_t addr)
{
	struct dhcp_built m = dhcp_build(DISCOVER, n);
	if (addr)
		dhcp_build_put_u32(&m, 50, addr);
	return dhcp_bed_send_built(bed, &m);
}

enum dhcpd_verdict dhcp_bed_select(struct dhcp_bed *bed, uint32_t n, uint32_t addr)
{
	struct dhcp_built m = dhcp_build(REQUEST, n);
	dhcp_build_put_u32(&m, 54, DHCP_BED_SERVER);
	dhcp_build_put_u32(&m, 50, addr);
	return dhcp_bed_send_built(bed, &m);
}

enum dhcpd_verdict dhcp_bed_reboot(struct dhcp_bed *bed, uint32_t n, uint32_t addr)
{
	struct dhcp_built m = dhcp_build(REQUEST, n);
	dhcp_build_put_u32(&m, 50, addr);
	return dhcp_bed_send_built(bed, &m);
}

enum dhcpd_verdict dhcp_bed_renew(struct dhcp_bed *bed, uint32_t n, uint32_t addr)
{
	struct dhcp_built m = dhcp_build(REQUEST, n);
	dhcp_build_set_u32(&m, 12, addr);
	return dhcp_bed_send_built(bed, &m);
}

enum dhcpd_verdict dhcp_bed_release(struct dhcp_bed *bed, uint32_t n, uint32_t addr)
{
	struct dhcp_built m = dhcp_build(RELEASE, n);
	dhcp_build_set_u32(&m, 12, addr);
	dhcp_build_put_u32(&m, 54, DHCP_BED_SERVER);
	return dhcp_bed_send_built(bed, &m);
}

enum dhcpd_verdict dhcp_bed_decline(struct dhcp_bed *bed, uint32_t n, uint32_t addr)
{
	struct dhcp_built m = dhcp_build(DECLINE, n);
	dhcp_build_put_u32(&m, 50, addr);
	dhcp_build_put_u32(&m, 54, DHCP_BED_SERVER);
	return dhcp_bed_send_built(bed, &m);
}

uint32_t dhcp_bed_boot_named(struct dhcp_bed *bed, uint32_t n, const char *name)
{
	if (dhcp_bed_discover(bed, n, 0) != DHCPD_OFFERED)
		return 0;
	uint32_t addr = dhcp_reply_yiaddr(&bed->reply.bytes);
	struct dhcp_built m = dhcp_build(REQUEST, n);
	dhcp_build_put_u32(&m, 54, dhcp_reply_u32(&bed->reply.bytes, 54));
	dhcp_build_put_u32(&m, 50, addr);
	if (name)
		dhcp_build_put(&m, 12, name, strlen(name));
	if (dhcp_bed_send_built(bed, &m) != DHCPD_ACKED)
		return 0;
	return dhcp_reply_yiaddr(&bed->reply.bytes) == addr ? addr : 0;
}

uint32_t dhcp_bed_boot(struct dhcp_bed *bed, uint32_t n)
{
	return dhcp_bed_boot_named(bed, n, NULL);
}
