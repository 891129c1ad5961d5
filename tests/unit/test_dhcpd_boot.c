/* Boot files by kind and architecture of the client, fixed hosts, free options, and whose address
 * is whose when identifiers are shared. */
#include "tests/support/dhcp_bed.h"
#include "tests/support/dhcp_captures.h"
#include "tests/support/suite.h"

#include <check.h>
#include <string.h>

static struct dhcp_bed bed;
static uint8_t value[DHCP_BUILT_MAX];

static const struct dhcpd_boot boots[] = {
    {DHCPD_BOOT_PXE, DHCPD_ARCH_ANY, "any.0"},
    {DHCPD_BOOT_PXE, 7, "x64.efi"},
    {DHCPD_BOOT_IPXE, DHCPD_ARCH_ANY, "menu.ipxe"},
    {DHCPD_BOOT_HTTP, 16, "http://192.168.31.2/x64.efi"},
};

static void open_boots(unsigned from, unsigned n, const char *bootfile)
{
	struct dhcpd_config config = dhcp_bed_config();

	config.boots = boots + from;
	config.boots_n = n;
	config.bootfile = bootfile;
	dhcp_bed_open(&bed, &config);
}

struct client {
	int arch;          /* -1: says none */
	const char *class; /* option 60 */
	const char *user;  /* option 77 */
};

static void offer(const struct client *client)
{
	struct dhcp_built m = dhcp_build(DISCOVER, 1);
	uint8_t arch[2] = {(uint8_t)(client->arch >> 8), (uint8_t)client->arch};

	if (client->arch >= 0)
		dhcp_build_put(&m, 93, arch, 2);
	if (client->class)
		dhcp_build_put(&m, 60, client->class, strlen(client->class));
	if (client->user)
		dhcp_build_put(&m, 77, client->user, strlen(client->user));
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_OFFERED);
}

static void assert_option(uint8_t code, const char *text)
{
	int len = dhcp_reply_option(&bed.reply.bytes, code, value);

	ck_assert_int_eq(len, text ? (int)strlen(text) : -1);
	ck_assert(!text || memcmp(value, text, (size_t)len) == 0);
}

static void assert_file(const struct client *client, const char *file, const char *class)
{
	offer(client);
	assert_option(67, file);
	assert_option(60, class);
	ck_assert_str_eq((const char *)bed.reply.bytes.start + 108, file ? file : "");
}

START_TEST(test_entry_of_the_own_architecture_goes_before_one_for_any)
{
	open_boots(0, 4, "other.0");
	assert_file(&(struct client){0, "PXEClient:Arch:00000", NULL}, "any.0", NULL);
	assert_file(&(struct client){7, "PXEClient:Arch:00007", NULL}, "x64.efi", NULL);
	assert_file(&(struct client){-1, NULL, NULL}, "any.0", NULL);
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_ipxe_gets_its_own_or_what_pxe_gets)
{
	open_boots(0, 4, NULL);
	assert_file(&(struct client){7, "PXEClient:Arch:00007", "iPXE"}, "menu.ipxe", NULL);
	assert_file(&(struct client){7, "PXEClient", "\4iPXE"}, "menu.ipxe", NULL);
	dhcp_bed_close(&bed);
	open_boots(0, 2, NULL);
	assert_file(&(struct client){7, "PXEClient:Arch:00007", "iPXE"}, "x64.efi", NULL);
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_http_client_gets_a_url_and_its_class)
{
	open_boots(0, 4, "other.0");
	assert_file(&(struct client){16, "HTTPClient:Arch:00016:UNDI:003001", NULL},
		    "http://192.168.31.2/x64.efi", "HTTPClient");
	assert_file(&(struct client){19, "HTTPClient:Arch:00019:UNDI:003001", NULL}, "other.0",
		    NULL);
	dhcp_bed_close(&bed);
	open_boots(0, 0, "http://192.168.31.2/all.efi");
	assert_file(&(struct client){19, "HTTPClient:Arch:00019:UNDI:003001", NULL},
		    "http://192.168.31.2/all.efi", "HTTPClient");
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_client_without_an_entry_gets_the_bootfile_or_none)
{
	open_boots(1, 1, NULL);
	assert_file(&(struct client){0, "PXEClient:Arch:00000", NULL}, NULL, NULL);
	assert_file(&(struct client){7, "PXEClient:Arch:00007", NULL}, "x64.efi", NULL);
	ck_assert_uint_eq(dhcp_field_u32(bed.reply.bytes.start, 20), DHCP_BED_SERVER);
	dhcp_bed_close(&bed);
}
END_TEST

/* What real firmware says of itself is understood. */
START_TEST(test_captured_firmware_gets_the_file_of_its_architecture)
{
	unsigned x64_n = 0, http_n = 0, other_n = 0;
	const struct dhcp_capture *capture;

	open_boots(0, 4, NULL);
	for (unsigned i = 0; (capture = dhcp_capture_nth(i)) != NULL; i++) {
		uint8_t request[DHCP_CAPTURE_MAX];
		size_t len = dhcp_capture_bytes(capture, request);
		int file_len;

		if (dhcp_bed_send(&bed, wire_in(request, len)) != DHCPD_OFFERED)
			continue;
		file_len = dhcp_reply_option(&bed.reply.bytes, 67, value);
		ck_assert_msg(file_len > 0, "%s", capture->client);
		value[file_len] = '\0';
		x64_n += strcmp((char *)value, "x64.efi") == 0;
		http_n += strncmp((char *)value, "http:", 5) == 0;
		other_n += strcmp((char *)value, "any.0") == 0;
	}
	ck_assert_uint_gt(x64_n, 0);
	ck_assert_uint_gt(http_n, 0);
	ck_assert_uint_gt(other_n, 0);
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_too_long_a_name_is_refused)
{
	struct dhcpd_config config = dhcp_bed_config();
	struct dhcpd_boot boot = {DHCPD_BOOT_PXE, 0, NULL};
	struct dhcpd *none = NULL;
	char name[257];

	memset(name, 'a', 256);
	name[256] = '\0';
	boot.file = name;
	config.boots = &boot;
	config.boots_n = 1;
	ck_assert_int_eq(dhcpd_new(&none, &config), -22);
	name[255] = '\0';
	ck_assert_int_eq(dhcpd_new(&none, &config), 0);
	dhcpd_free(none);
}
END_TEST

/* ---- free options ---- */

START_TEST(test_free_option_stands_in_place_of_ours)
{
	static const struct dhcpd_free_option options[] = {
	    {3, 0, NULL}, {6, 4, (const uint8_t *)"\1\2\3\4"}, {43, 3, (const uint8_t *)"\1\1\7"}};
	struct dhcpd_config config = dhcp_bed_config();
	struct dhcp_built m = dhcp_build(DISCOVER, 1);

	config.options = options;
	config.options_n = 3;
	dhcp_bed_open(&bed, &config);
	dhcp_build_put(&m, 55, "\3\6\53", 3);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_OFFERED);
	assert_option(3, NULL);
	assert_option(6, "\1\2\3\4");
	assert_option(43, "\1\1\7");
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_long_free_option_is_split)
{
	static uint8_t long_value[600];
	struct dhcpd_free_option option = {224, sizeof(long_value), long_value};
	struct dhcpd_config config = dhcp_bed_config();
	struct dhcp_built m = dhcp_build(DISCOVER, 1);

	config.options = &option;
	config.options_n = 1;
	dhcp_bed_open(&bed, &config);
	dhcp_build_put(&m, 57, "\5\334", 2);
	ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_OFFERED);
	ck_assert_int_eq(dhcp_reply_option(&bed.reply.bytes, 224, value), 600);
	dhcp_bed_close(&bed);
	option.code = 255;
	struct dhcpd *none = NULL;
	ck_assert_int_eq(dhcpd_new(&none, &config), -22);
}
END_TEST

/* ---- identity ---- */

/* RFC 4361: type 255, IAID, DUID. Machines copied from one image have the same. */
START_TEST(test_copies_of_one_image_get_an_address_each)
{
	static const uint8_t id[] = {255,  0, 0, 0, 1, 0, 2, 0, 0, 0xab,
				     0x11, 1, 2, 3, 4, 5, 6, 7, 8};
	uint32_t addrs[3];

	dhcp_bed_open(&bed, NULL);
	for (uint32_t n = 0; n < 3; n++) {
		struct dhcp_built m = dhcp_build(DISCOVER, n);

		dhcp_build_put(&m, 61, id, sizeof(id));
		dhcp_build_put(&m, 12, "debian", 6);
		ck_assert_int_eq(dhcp_bed_send_built(&bed, &m), DHCPD_OFFERED);
		addrs[n] = dhcp_reply_yiaddr(&bed.reply.bytes);
		ck_assert_int_eq(dhcp_reply_option(&bed.reply.bytes, 61, value), sizeof(id));
		ck_assert_mem_eq(value, id, sizeof(id)); /* RFC 6842 */
		ck_assert_int_eq(dhcp_bed_select(&bed, n, addrs[n]), DHCPD_ACKED);
	}
	ck_assert_uint_ne(addrs[0], addrs[1]);
	ck_assert_uint_ne(addrs[1], addrs[2]);
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_fixed_host_keeps_its_address_through_all_it_does)
{
	struct dhcpd_host host = {dhcp_client_mac(5), addr_v4(DHCP_BED_NET + 9), "db"};
	struct dhcpd_config config = dhcp_bed_config();
	const struct dhcpd_lease *lease;

	config.hosts = &host;
	config.hosts_n = 1;
	dhcp_bed_open(&bed, &config);
	lease = dhcpd_lease_by_name(bed.server, "db", 0);
	ck_assert_ptr_nonnull(lease);
	ck_assert(lease->fixed && !lease->active);
	ck_assert_int_eq(dhcp_bed_discover(&bed, 1, DHCP_BED_NET + 9), DHCPD_OFFERED);
	ck_assert_uint_ne(dhcp_reply_yiaddr(&bed.reply.bytes), DHCP_BED_NET + 9);
	ck_assert_int_eq(dhcp_bed_reboot(&bed, 1, DHCP_BED_NET + 9), DHCPD_NAKED);
	ck_assert_uint_eq(dhcp_bed_boot_named(&bed, 5, "what"), DHCP_BED_NET + 9);
	assert_option(12, "db");
	ck_assert_int_eq(dhcp_bed_release(&bed, 5, DHCP_BED_NET + 9), DHCPD_RELEASED);
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 5), DHCP_BED_NET + 9);
	ck_assert_int_eq(dhcp_bed_decline(&bed, 5, DHCP_BED_NET + 9), DHCPD_DECLINED);
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 5), DHCP_BED_NET + 9);
	bed.now_ms += 2 * DHCP_BED_LEASE_MS;
	ck_assert_uint_eq(dhcp_bed_boot(&bed, 5), DHCP_BED_NET + 9);
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_hosts_that_cannot_be_are_refused)
{
	struct dhcpd_host hosts[2] = {{dhcp_client_mac(5), addr_v4(DHCP_BED_NET + 9), "db"},
				      {dhcp_client_mac(6), addr_v4(DHCP_BED_NET + 9), NULL}};
	struct dhcpd_config config = dhcp_bed_config();
	struct dhcpd *none = NULL;

	config.hosts = hosts;
	config.hosts_n = 2;
	ck_assert_int_eq(dhcpd_new(&none, &config), -17);
	hosts[1] = (struct dhcpd_host){dhcp_client_mac(6), addr_v4(DHCP_BED_NET + 10), "no name"};
	ck_assert_int_eq(dhcpd_new(&none, &config), -22);
	hosts[1] = (struct dhcpd_host){dhcp_client_mac(6), addr_v4(0x01020304), NULL};
	ck_assert_int_eq(dhcpd_new(&none, &config), -22);
	ck_assert_ptr_null(none);
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "dhcpd_boot", test_entry_of_the_own_architecture_goes_before_one_for_any,
	    test_ipxe_gets_its_own_or_what_pxe_gets, test_http_client_gets_a_url_and_its_class,
	    test_client_without_an_entry_gets_the_bootfile_or_none,
	    test_captured_firmware_gets_the_file_of_its_architecture,
	    test_too_long_a_name_is_refused, test_free_option_stands_in_place_of_ours,
	    test_long_free_option_is_split, test_copies_of_one_image_get_an_address_each,
	    test_fixed_host_keeps_its_address_through_all_it_does,
	    test_hosts_that_cannot_be_are_refused);
}
