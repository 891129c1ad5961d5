/* The lease file: whatever stands in it, the records that come out are such that writing them and
 * reading that gives the same again, and a server takes or refuses each. */
#include "dhcp/lease_file.h"
#include "tests/support/dhcp_bed.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool truth)
{
	if (!truth)
		abort();
}

struct again {
	const struct lease_record *record;
	unsigned n;
};

static void take_again(void *ctx, const struct lease_record *record)
{
	struct again *again = ctx;

	again->n++;
	expect(record->kind == again->record->kind &&
	       addr_eq(&record->addr, &again->record->addr) &&
	       record->expires_s == again->record->expires_s &&
	       strcmp(record->hostname, again->record->hostname) == 0 &&
	       mac_eq(&record->mac, &again->record->mac) && record->iaid == again->record->iaid &&
	       record->duid_len == again->record->duid_len &&
	       memcmp(record->duid, again->record->duid, sizeof(record->duid)) == 0);
}

static void take(void *ctx, const struct lease_record *record)
{
	struct dhcp_bed *bed = ctx;
	char text[LEASE_FILE_LINE_MAX + 512];
	struct wire_out out = wire_out(text, sizeof(text));
	struct again again = {record, 0};
	struct dhcpd_lease lease = {.addr = record->addr, .mac = record->mac, .active = true};

	lease_file_put_head(&out);
	lease_file_put(&out, record);
	lease_file_put_end(&out);
	expect(!out.bad);
	expect(lease_file_parse(text, wire_len(&out), take_again, &again) == 0 && again.n == 1);
	memcpy(lease.hostname, record->hostname, sizeof(lease.hostname));
	lease.expires_ms = (uint64_t)record->expires_s;
	(void)dhcpd_restore(bed->server, &lease, bed->now_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dhcpd_config config = dhcp_bed_config();
	static struct dhcp_bed bed;

	config.leases_max = 8;
	dhcp_bed_open(&bed, &config);
	(void)lease_file_parse((const char *)data, size, take, &bed);
	for (uint32_t n = 0; n < 12; n++)
		(void)dhcp_bed_boot(&bed, n);
	dhcp_bed_close(&bed);
	return 0;
}
