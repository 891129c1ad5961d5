/* The lease file's text, written and read, and what is done with one that is not whole. */
#include "dhcp/lease_file.h"
#include "tests/support/dhcp_bed.h"
#include "tests/support/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS_MAX 16

static struct lease_record taken[RECORDS_MAX];
static unsigned taken_n;

static void take(void *ctx, const struct lease_record *record)
{
	(void)ctx;
	ck_assert_uint_lt(taken_n, RECORDS_MAX);
	taken[taken_n++] = *record;
}

static unsigned parse(const char *text)
{
	taken_n = 0;
	return lease_file_parse(text, strlen(text), take, NULL);
}

static struct lease_record web(void)
{
	struct lease_record r = {.kind = LEASE_RECORD_V4,
				 .addr = addr_v4(0x0a00020f),
				 .mac = {{0x52, 0x54, 0, 0x12, 0x34, 0x56}},
				 .expires_s = 1795445482,
				 .hostname = "web"};
	return r;
}

static struct lease_record six(void)
{
	struct lease_record r = {.kind = LEASE_RECORD_V6,
				 .addr = {{0xfe, 0xc0, [15] = 0x15}},
				 .expires_s = LEASE_FOR_EVER,
				 .iaid = 4294967295u,
				 .duid_len = 4,
				 .duid = {0, 3, 0, 0xab}};
	return r;
}

START_TEST(test_text_is_for_people)
{
	struct lease_record records[] = {web(), six()};
	char text[1024] = "";
	struct wire_out out = wire_out(text, sizeof(text) - 1);

	lease_file_put(&out, &records[0]);
	lease_file_put(&out, &records[1]);
	ck_assert_str_eq(text, "ipv4 52:54:00:12:34:56 10.0.2.15 2026-11-23T14:51:22Z web\n"
			       "ipv6 000300ab/4294967295/00:00:00:00:00:00 fec0::15 never -\n");
}
END_TEST

START_TEST(test_what_was_written_is_read)
{
	struct lease_record records[] = {web(), six(), web(), web()};
	char text[2048] = "";
	struct wire_out out = wire_out(text, sizeof(text) - 1);

	records[2].expires_s = 0;
	records[3].expires_s = 253402300799; /* the last second of the year 9999 */
	lease_file_put_head(&out);
	for (unsigned i = 0; i < 4; i++)
		lease_file_put(&out, &records[i]);
	lease_file_put_end(&out);
	ck_assert(!out.bad);
	ck_assert_uint_eq(parse(text), 0);
	ck_assert_uint_eq(taken_n, 4);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(taken[i].kind, records[i].kind);
		ck_assert(addr_eq(&taken[i].addr, &records[i].addr));
		ck_assert(mac_eq(&taken[i].mac, &records[i].mac));
		ck_assert_int_eq(taken[i].expires_s, records[i].expires_s);
		ck_assert_str_eq(taken[i].hostname, records[i].hostname);
		ck_assert_uint_eq(taken[i].iaid, records[i].iaid);
		ck_assert_uint_eq(taken[i].duid_len, records[i].duid_len);
		ck_assert_mem_eq(taken[i].duid, records[i].duid, LEASE_DUID_MAX);
	}
}
END_TEST

START_TEST(test_longest_record_fits_a_line)
{
	struct lease_record r = six();
	char text[LEASE_FILE_LINE_MAX] = "";
	struct wire_out out = wire_out(text, sizeof(text));

	r.duid_len = LEASE_DUID_MAX;
	memset(r.duid, 0xff, sizeof(r.duid));
	memset(r.addr.b, 0xfe, sizeof(r.addr.b));
	memset(r.hostname, 'x', sizeof(r.hostname) - 1);
	lease_file_put(&out, &r);
	ck_assert(!out.bad);
}
END_TEST

START_TEST(test_leap_days_are_real)
{
	ck_assert_uint_eq(parse("lwnat-leases 1\n"
				"ipv4 52:54:00:12:34:56 10.0.2.15 2024-02-29T00:00:00Z -\n"
				"ipv4 52:54:00:12:34:56 10.0.2.15 2024-03-01T00:00:00Z -\n"
				"ipv4 52:54:00:12:34:56 10.0.2.15 1970-01-01T00:00:00Z -\nend\n"),
			  0);
	ck_assert_int_eq(taken[0].expires_s, 1709164800);
	ck_assert_int_eq(taken[1].expires_s, 1709164800 + 86400);
	ck_assert_int_eq(taken[2].expires_s, 0);
}
END_TEST

START_TEST(test_comments_and_blank_lines_are_passed_over)
{
	ck_assert_uint_eq(parse("# mine\n\n  \t\r\nlwnat-leases 1\n"
				"ipv4  52:54:00:12:34:56\t10.0.2.15  never   web \n# x\nend\n\n"),
			  0);
	ck_assert_uint_eq(taken_n, 1);
	ck_assert_str_eq(taken[0].hostname, "web");
}
END_TEST

START_TEST(test_damage_is_found_and_good_lines_are_taken)
{
	static const struct {
		const char *text;
		unsigned line, records_n;
	} cases[] = {
	    {"", 1, 0},
	    {"lwnat-leases 1\n", 2, 0},
	    {"lwnat-leases 1\nend", 2, 0},
	    {"lwnat-leases 2\nend\n", 1, 0},
	    {"end\n", 1, 0},
	    {"ipv4 52:54:00:12:34:56 10.0.2.15 never -\nlwnat-leases 1\nend\n", 1, 1},
	    {"lwnat-leases 1\nlwnat-leases 1\nend\n", 2, 0},
	    {"lwnat-leases 1\nend\nipv4 52:54:00:12:34:56 10.0.2.15 never -\n", 3, 1},
	    {"lwnat-leases 1\nipv4 52:54:00:12:34:56 10.0.2.1", 2, 0},
	    {"lwnat-leases 1\nipv4 52:54:00:12:34:56 10.0.2.15 never w", 2, 0},
	    {"lwnat-leases 1\nrubbish\nipv4 52:54:00:12:34:56 10.0.2.15 never -\nend\n", 2, 1},
	    {"lwnat-leases 1\nipv4 52:54:00:12:34 10.0.2.15 never -\nend\n", 2, 0},
	    {"lwnat-leases 1\nipv4 52:54:00:12:34:56 fec0::1 never -\nend\n", 2, 0},
	    {"lwnat-leases 1\nipv6 0a/1 10.0.2.1 never -\nend\n", 2, 0},
	    {"lwnat-leases 1\nipv6 0/1 fec0::1 never -\nend\n", 2, 0},
	    {"lwnat-leases 1\nipv6 /1 fec0::1 never -\nend\n", 2, 0},
	    {"lwnat-leases 1\nipv6 0a/ fec0::1 never -\nend\n", 2, 0},
	    {"lwnat-leases 1\nipv6 0a/4294967296 fec0::1 never -\nend\n", 2, 0},
	    {"lwnat-leases 1\nipv4 52:54:00:12:34:56 10.0.2.15 2026-13-01T00:00:00Z -\nend\n", 2,
	     0},
	    {"lwnat-leases 1\nipv4 52:54:00:12:34:56 10.0.2.15 2026-1-001T00:00:00Z -\nend\n", 2,
	     0},
	    {"lwnat-leases 1\nipv4 52:54:00:12:34:56 10.0.2.15 never Bad.Name\nend\n", 2, 0},
	    {"lwnat-leases 1\nipv4 52:54:00:12:34:56 10.0.2.15 never web more\nend\n", 2, 0},
	    {"lwnat-leases 1\nipv4 52:54:00:12:34:56 10.0.2.15 never\nend\n", 2, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_msg(parse(cases[i].text) == cases[i].line, "case %zu", i);
		ck_assert_msg(taken_n == cases[i].records_n, "case %zu: %u records", i, taken_n);
	}
}
END_TEST

START_TEST(test_lines_of_any_length_and_nuls_are_damage_alone)
{
	char *text = calloc(1, 100000);

	ck_assert_ptr_nonnull(text);
	memset(text, 'a', 99999);
	ck_assert_uint_eq(lease_file_parse(text, 99999, take, NULL), 1);
	memset(text, 0, 99999);
	ck_assert_uint_eq(lease_file_parse(text, 99999, take, NULL), 1);
	free(text);
}
END_TEST

/* ---- into a server ---- */

static struct dhcpd_lease lease_of(uint32_t n, uint32_t addr, bool active)
{
	return (struct dhcpd_lease){.addr = addr_v4(addr),
				    .mac = dhcp_client_mac(n),
				    .expires_ms = active ? 500000 : 0,
				    .active = active,
				    .hostname = "vm"};
}

START_TEST(test_restored_leases_are_their_guests_again)
{
	struct dhcpd_lease running = lease_of(1, DHCP_BED_NET + 77, true);
	struct dhcpd_lease ended = lease_of(2, DHCP_BED_NET + 78, false);
	struct dhcp_bed bed;
	uint64_t changes;

	dhcp_bed_open(&bed, NULL);
	ck_assert_int_eq(dhcpd_restore(bed.server, &running, bed.now_ms), 0);
	ck_assert_int_eq(dhcpd_restore(bed.server, &ended, bed.now_ms), 0);
	ck_assert(dhcpd_lease_by_addr(bed.server, &running.addr, bed.now_ms));
	ck_assert(!dhcpd_lease_by_addr(bed.server, &ended.addr, bed.now_ms));
	ck_assert_ptr_eq(dhcpd_lease_by_name(bed.server, "vm", bed.now_ms),
			 dhcpd_lease_by_addr(bed.server, &running.addr, bed.now_ms));
	ck_assert(!dhcpd_lease_by_addr(bed.server, &running.addr, 500000));
	changes = dhcpd_changes(bed.server);
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 2), DHCP_BED_NET + 78);
	ck_assert_uint_ne(dhcpd_changes(bed.server), changes);
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 1), DHCP_BED_NET + 77);
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_leases_that_cannot_be_are_not_restored)
{
	struct dhcpd_lease lease = lease_of(1, DHCP_BED_NET + 77, true);
	struct dhcp_bed bed;

	dhcp_bed_open(&bed, NULL);
	ck_assert_int_eq(dhcpd_restore(bed.server, &lease, 0), 0);
	ck_assert_int_eq(dhcpd_restore(bed.server, &lease, 0), -17); /* EEXIST: the MAC's second */
	lease.mac = dhcp_client_mac(2);
	ck_assert_int_eq(dhcpd_restore(bed.server, &lease, 0), -17); /* the address */
	lease.addr = addr_v4(DHCP_BED_SERVER);
	ck_assert_int_eq(dhcpd_restore(bed.server, &lease, 0), -17);
	lease.addr = addr_v4(DHCP_BED_NET + 255);
	ck_assert_int_eq(dhcpd_restore(bed.server, &lease, 0), -22);
	lease.addr = addr_v4(0x01020304);
	ck_assert_int_eq(dhcpd_restore(bed.server, &lease, 0), -22);
	lease.addr = (struct addr){{0xfe, 0xc0, [15] = 1}};
	ck_assert_int_eq(dhcpd_restore(bed.server, &lease, 0), -22);
	dhcp_bed_close(&bed);
}
END_TEST

int main(void)
{
	return SUITE_RUN("lease_file", test_text_is_for_people, test_what_was_written_is_read,
			 test_longest_record_fits_a_line, test_leap_days_are_real,
			 test_comments_and_blank_lines_are_passed_over,
			 test_damage_is_found_and_good_lines_are_taken,
			 test_lines_of_any_length_and_nuls_are_damage_alone,
			 test_restored_leases_are_their_guests_again,
			 test_leases_that_cannot_be_are_not_restored);
}
