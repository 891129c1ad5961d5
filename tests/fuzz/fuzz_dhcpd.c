/* The DHCP server: a sequence of messages with time steps between them. Input: one byte that
 * chooses the config, then records of time step, length (big-endian) and message. Whatever is sent,
 * replies are whole and inside their buffer, and no two running guests have one address. */
#include "dhcp/dhcpd.h"
#include "tests/support/dhcp_bed.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 64
#define LEASES_MAX 12
#define MESSAGE_LEN_MAX 1500

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool truth)
{
	if (!truth)
		abort();
}

static struct dhcpd_config choose_config(uint8_t choice)
{
	static const char *const search[] = {"a.lab.example",
					     "b.lab.example",
					     "example",
					     "abcdefghijabcdefghijabcdefghijabcdefghij.net",
					     "bcdefghijabcdefghijabcdefghijabcdefghija.net",
					     "cdefghijabcdefghijabcdefghijabcdefghijab.net"};
	static const struct dhcpd_route route = {
	    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 0}}, 8},
	    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 31, 9}}};
	static const struct dhcpd_host host = {
	    {{0x52, 0x54, 0, 0x12, 0x34, 0x56}},
	    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 31, 101}},
	    "fixed"};
	static const struct dhcpd_boot boots[] = {{DHCPD_BOOT_PXE, 7, "x64.efi"},
						  {DHCPD_BOOT_HTTP, 16, "http://a/x64.efi"},
						  {DHCPD_BOOT_IPXE, DHCPD_ARCH_ANY, "menu.ipxe"}};
	static const struct dhcpd_free_option option = {43, 2, (const uint8_t *)"\1\0"};
	struct dhcpd_config config = dhcp_bed_config();
	config.leases_max = LEASES_MAX;
	if (choice & 1) {
		config.search = search;
		config.search_n = sizeof(search) / sizeof(search[0]);
		config.routes = &route;
		config.routes_n = 1;
		config.domainname = "lab.example";
	}
	if (choice & 2)
		config.bootfile = "boot/pxelinux.0";
	if (choice & 4)
		config.tftp_server_name = "boot.example";
	if (choice & 8)
		config.hostname = "guest";
	if (choice & 16) { /* 12 addresses */
		config.net.prefix_len = 28;
		config.server = addr_v4(DHCP_BED_FIRST - 1);
		config.dns = addr_v4(DHCP_BED_FIRST - 2);
		config.net.addr = addr_v4(DHCP_BED_FIRST - 4);
	}
	config.no_router = choice & 32;
	if (choice & 128) {
		config.hosts = &host;
		config.hosts_n = 1;
		config.boots = boots;
		config.boots_n = sizeof(boots) / sizeof(boots[0]);
		config.options = &option;
		config.options_n = 1;
	}
	return config;
}

static bool may_be_leased(const struct dhcpd_config *config, const struct addr *addr)
{
	struct addr base = subnet_base(&config->net);
	return subnet_contains(&config->net, addr) && !subnet_is_broadcast(&config->net, addr) &&
	       !addr_eq(addr, &base) && !addr_eq(addr, &config->server) &&
	       !addr_eq(addr, &config->dns);
}

static void check_reply(const struct dhcp_bed *bed, const struct dhcpd_config *config,
			enum dhcpd_verdict verdict)
{
	const struct wire_out *bytes = &bed->reply.bytes;
	uint8_t value[DHCP_BUILT_MAX];
	bool replied = wire_len(bytes) > 0;
	expect(!bytes->bad && bytes->start == bed->buffer);
	expect(replied == (verdict == DHCPD_OFFERED || verdict == DHCPD_ACKED ||
			   verdict == DHCPD_NAKED || verdict == DHCPD_INFORMED));
	if (verdict == DHCPD_ACKED)
		expect(may_be_leased(config, &bed->reply.leased));
	if (!replied)
		return;
	expect(wire_len(bytes) >= 300 && wire_len(bytes) <= bed->room);
	for (unsigned code = 1; code < 255; code += 13)
		expect(dhcp_reply_option(bytes, (uint8_t)code, value) != -2);
	struct addr yiaddr = addr_v4(dhcp_reply_yiaddr(bytes));
	expect(addr_to_v4(&yiaddr) == 0 || may_be_leased(config, &yiaddr));
	expect(addr_is_broadcast(&bed->reply.to) || subnet_contains(&config->net, &bed->reply.to));
}

/* What is remembered is consistent, and what runs is unique. */
static void check_leases(const struct dhcp_bed *bed, const struct dhcpd_config *config)
{
	const struct dhcpd_lease *leases[LEASES_MAX];
	uint32_t cursor = 0, n = 0;
	const struct dhcpd_lease *lease;
	while ((lease = dhcpd_lease_next(bed->server, &cursor)) != NULL) {
		expect(n < LEASES_MAX);
		expect(may_be_leased(config, &lease->addr));
		for (uint32_t i = 0; i < n; i++)
			expect(!addr_eq(&leases[i]->addr, &lease->addr) &&
			       !mac_eq(&leases[i]->mac, &lease->mac));
		leases[n++] = lease;
		bool active = lease->active && bed->now_ms < lease->expires_ms;
		expect(dhcpd_lease_by_addr(bed->server, &lease->addr, bed->now_ms) ==
		       (active ? lease : NULL));
		expect(strlen(lease->hostname) < DHCPD_HOSTNAME_MAX);
		const struct dhcpd_lease *named =
		    dhcpd_lease_by_name(bed->server, lease->hostname, bed->now_ms);
		expect(!named || ((named->active || named->fixed) &&
				  strcmp(named->hostname, lease->hostname) == 0));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dhcp_bed bed;
	struct wire_in in = wire_in(data, size);
	uint8_t choice = wire_get_u8(&in);
	struct dhcpd_config config = choose_config(choice);
	dhcp_bed_open(&bed, &config);
	bed.room = choice & 64 ? 576 : 1500;
	for (unsigned i = 0; i < MESSAGES_MAX && wire_left(&in) > 0; i++) {
		uint8_t step = wire_get_u8(&in);
		size_t len = wire_get_u16(&in) % (MESSAGE_LEN_MAX + 1);
		if (len > wire_left(&in))
			len = wire_left(&in);
		struct wire_in message = wire_get_in(&in, len);
		if (message.bad)
			break;
		bed.port = choice & 128 ? i % 3 : 0;
		if (step == 255)
			dhcpd_port_gone(bed.server, 1, bed.now_ms);
		bed.now_ms += (uint64_t)step * step * step * 10; /* up to 46 hours */
		enum dhcpd_verdict verdict = dhcp_bed_send(&bed, message);
		check_reply(&bed, &config, verdict);
		check_leases(&bed, &config);
	}
	dhcp_bed_close(&bed);
	return 0;
}
