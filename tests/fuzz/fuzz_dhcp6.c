/* The DHCPv6 server: a sequence of messages with time steps between them. Input: one byte that
 * chooses the config, then records of time step, card, length (big-endian) and message. Whatever is
 * sent, replies are whole and inside their buffer, and no two running guests have one address. */
#include "dhcp/dhcp6.h"
#include "tests/support/dhcp6_bed.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 64
#define MESSAGE_LEN_MAX 1500
#define LEASES_MAX 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool truth)
{
	if (!truth)
		abort();
}

static struct dhcpd6_config choose_config(struct dhcp6_bed *bed, uint8_t choice)
{
	struct dhcpd6_config config = dhcp6_bed_config(bed);

	config.leases_max = LEASES_MAX;
	config.per_port_max = choice & 1 ? 4 : LEASES_MAX;
	if (choice & 2)
		config.net.prefix_len = 123; /* 31 hosts */
	if (choice & 4)
		config.search_n = 0;
	if (choice & 8)
		config.dns = (struct addr){{0}};
	if (choice & 16)
		config.lease_s = UINT32_MAX;
	if (choice & 32)
		config.domain = NULL;
	return config;
}

static bool may_be_leased(const struct dhcpd6_config *config, const struct addr *addr)
{
	struct addr base = subnet_base(&config->net);

	return subnet_contains(&config->net, addr) && !addr_eq(addr, &base) &&
	       !addr_eq(addr, &config->server) && !addr_eq(addr, &config->dns);
}

static void check_reply(const struct dhcp6_bed *bed, const struct dhcpd6_config *config,
			enum dhcpd6_verdict verdict)
{
	bool replied = wire_len(&bed->reply.bytes) > 0;

	expect(bed->reply.leased_n == 0 || verdict == DHCPD6_REPLIED);
	for (unsigned i = 0; i < bed->reply.leased_n; i++)
		expect(may_be_leased(config, &bed->reply.leased[i]));
	if (verdict == DHCPD6_IGNORED || verdict == DHCPD6_MALFORMED || verdict == DHCPD6_RELAYED)
		expect(!replied);
	if (replied)
		expect(dhcp6_reply_is_whole(bed) &&
		       (bed->buffer[0] == ADVERTISE || bed->buffer[0] == REPLY));
}

/* What is remembered is consistent, and what runs is unique. */
static void check_leases(const struct dhcp6_bed *bed, const struct dhcpd6_config *config)
{
	const struct dhcpd6_lease *leases[LEASES_MAX], *lease;
	uint32_t cursor = 0, n = 0;

	while ((lease = dhcpd6_lease_next(bed->server, &cursor)) != NULL) {
		bool active = lease->active && bed->now_ms < lease->expires_ms;

		expect(n < LEASES_MAX);
		expect(may_be_leased(config, &lease->addr));
		for (uint32_t i = 0; i < n; i++)
			expect(!addr_eq(&leases[i]->addr, &lease->addr));
		leases[n++] = lease;
		expect(dhcpd6_lease_by_addr(bed->server, &lease->addr, bed->now_ms) ==
		       (active ? lease : NULL));
		expect(strlen(lease->hostname) < DHCPD6_HOSTNAME_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dhcp6_bed bed;
	struct wire_in in = wire_in(data, size);
	uint8_t choice = wire_get_u8(&in);
	struct dhcpd6_config config = choose_config(&bed, choice);

	dhcp6_bed_open(&bed, &config);
	strcpy(bed.url, "http://[fec0::2]/boot.efi");
	bed.room = choice & 64 ? 200 : 1232;
	for (unsigned i = 0; i < MESSAGES_MAX && wire_left(&in) > 0; i++) {
		uint8_t step = wire_get_u8(&in), card = wire_get_u8(&in);
		size_t len = wire_get_u16(&in) % (MESSAGE_LEN_MAX + 1);
		struct dhcpd6_from from = {dhcp6_mac(card & 15), card >> 4 & 3};
		struct wire_in message =
		    wire_get_in(&in, len < wire_left(&in) ? len : wire_left(&in));
		enum dhcpd6_verdict verdict;

		if (message.bad)
			break;
		bed.now_ms += (uint64_t)step * step * step * 10; /* up to 46 hours */
		if (card & 128)
			dhcpd6_port_gone(bed.server, from.port);
		verdict = dhcp6_bed_send_from(&bed, message.at, wire_left(&message), &from);
		check_reply(&bed, &config, verdict);
		check_leases(&bed, &config);
	}
	dhcp6_bed_close(&bed);
	return 0;
}
