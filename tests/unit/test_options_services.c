/* --dhcp-host, --dhcp-option, --dhcp-route, --dhcp-boot, --dns-name, --dns-route, --lease-file. */
#include "stack/app/options.h"
#include "tests/support/suite.h"

#include <check.h>
#include <string.h>

static struct options options;

/* 'line' holds the arguments, split at '|'. Returns the error line, or NULL. */
static const char *parse(const char *line)
{
	static struct options_error error;
	char copy[2048], *rest = copy, *argv[16] = {(char *)"lwnat"};
	int argc = 1;

	ck_assert_uint_lt(strlen(line), sizeof(copy));
	memcpy(copy, line, strlen(line) + 1);
	while (rest && *line != '\0')
		argv[argc++] = strsep(&rest, "|");
	return options_parse(&options, argc, argv, &error) == 0 ? NULL : error.text;
}

static void accept(const char *line)
{
	const char *error = parse(line);

	ck_assert_msg(error == NULL, "'%s': %s", line, error);
}

static void refuse(const char *line, const char *text)
{
	const char *error = parse(line);

	ck_assert_msg(error != NULL, "'%s' was accepted", line);
	ck_assert_msg(strcmp(error, text) == 0, "'%s' gave\n%s\ninstead of\n%s", line, error, text);
}

/* Only that it is, and by which option. */
static void refuse_somehow(const char *line)
{
	const char *error = parse(line);

	ck_assert_msg(error != NULL, "'%s' was accepted", line);
	ck_assert_msg(strncmp(error, line, strcspn(line, "|")) == 0, "'%s' gave %s", line, error);
}

START_TEST(test_hosts_have_a_mac_an_address_and_maybe_a_name)
{
	struct addr nine = addr_v4(0x0a000209);

	accept("--dhcp-host|52:54:00:00:00:01,10.0.2.9,DB|--dhcp-host|52:54:00:00:00:02,10.0.2.1|"
	       "--lease-file|/var/lib/leases");
	ck_assert_uint_eq(options.dhcp_hosts.n, 2);
	ck_assert_uint_eq(options.dhcp_hosts.host[0].mac.b[5], 1);
	ck_assert(addr_eq(&options.dhcp_hosts.host[0].addr, &nine));
	ck_assert_str_eq(options.dhcp_hosts.host[0].name, "db");
	ck_assert_str_eq(options.dhcp_hosts.host[1].name, "");
	ck_assert_str_eq(options.lease_file, "/var/lib/leases");
}
END_TEST

START_TEST(test_hosts_that_meet_each_other_are_refused)
{
	refuse(
	    "--dhcp-host|52:54:00:00:00:01,10.0.2.9|--dhcp-host|52:54:00:00:00:01,10.0.2.10",
	    "--dhcp-host: '52:54:00:00:00:01,10.0.2.10': the MAC has 10.0.2.9 already (accepted: "
	    "MAC,ADDR[,NAME])");
	refuse(
	    "--dhcp-host|52:54:00:00:00:01,10.0.2.9|--dhcp-host|52:54:00:00:00:02,10.0.2.9",
	    "--dhcp-host: '52:54:00:00:00:02,10.0.2.9': the address is 52:54:00:00:00:01's already "
	    "(accepted: MAC,ADDR[,NAME])");
	refuse(
	    "--dhcp-host|52:54:00:00:00:01,10.0.2.9,a|--dhcp-host|52:54:00:00:00:02,10.0.2.8,A",
	    "--dhcp-host: '52:54:00:00:00:02,10.0.2.8,A': the name is 52:54:00:00:00:01's already "
	    "(accepted: MAC,ADDR[,NAME])");
}
END_TEST

START_TEST(test_hosts_where_no_guest_can_be_are_refused)
{
	refuse("--dhcp-host|52:54:00:00:00:01,10.0.3.9",
	       "--dhcp-host: '10.0.3.9': is outside of --net (accepted: a host of it)");
	refuse("--dhcp-host|52:54:00:00:00:01,10.0.2.2",
	       "--dhcp-host: '10.0.2.2': is --host, the gateway (accepted: another address)");
	refuse_somehow("--dhcp-host|52:54:00:00:00:01,10.0.2.3");
	refuse_somehow("--dhcp-host|52:54:00:00:00:01,10.0.2.0");
	refuse_somehow("--dhcp-host|52:54:00:00:00:01,10.0.2.255");
	refuse_somehow(
	    "--dhcp-host|52:54:00:00:00:01,10.0.2.50|--guestfwd|tcp:10.0.2.50:80-cmd:cat");
	refuse_somehow("--dhcp-host|53:54:00:00:00:01,10.0.2.9");
	refuse_somehow("--dhcp-host|52:54:00:00:00,10.0.2.9");
	refuse_somehow("--dhcp-host|52:54:00:00:00:01");
	refuse_somehow("--dhcp-host|52:54:00:00:00:01,fec0::9");
	refuse_somehow("--dhcp-host|52:54:00:00:00:01,10.0.2.9,a.b");
	refuse_somehow("--dhcp-host|52:54:00:00:00:01,10.0.2.9,localhost");
	refuse_somehow("--dhcp-host|");
}
END_TEST

static void assert_option(const char *line, uint8_t code, const char *value, size_t len)
{
	const struct options_dhcp_option *option = &options.dhcp_options.option[0];

	accept(line);
	ck_assert_uint_eq(options.dhcp_options.n, 1);
	ck_assert_uint_eq(option->code, code);
	ck_assert_msg(option->len == len && memcmp(option->value, value, len) == 0, "%s", line);
}

START_TEST(test_option_values_take_all_forms)
{
	assert_option("--dhcp-option|42,10.0.2.2", 42, "\12\0\2\2", 4);
	assert_option("--dhcp-option|42,10.0.2.2,1.2.3.4", 42, "\12\0\2\2\1\2\3\4", 8);
	assert_option("--dhcp-option|43,hex:01:04c0a80001", 43, "\1\4\300\250\0\1", 6);
	assert_option("--dhcp-option|23,u8:64", 23, "\100", 1);
	assert_option("--dhcp-option|22,u16:576", 22, "\2\100", 2);
	assert_option("--dhcp-option|35,u32:4294967295", 35, "\377\377\377\377", 4);
	assert_option("--dhcp-option|200,u8:1,10.0.0.1,hex:ff", 200, "\1\12\0\0\1\377", 6);
	assert_option("--dhcp-option|114,https://x/a,b", 114, "https://x/a,b", 13);
	assert_option("--dhcp-option|224,text:10.0.0.1", 224, "10.0.0.1", 8);
	assert_option("--dhcp-option|3", 3, "", 0);
}
END_TEST

START_TEST(test_odd_option_values_are_refused)
{
	refuse("--dhcp-option|23,64",
	       "--dhcp-option: '23,64': does not say the number's size: u8:, u16:, u32:, or text: "
	       "(accepted: NUMBER[,VALUE]...)");
	refuse("--dhcp-option|53,u8:5",
	       "--dhcp-option: '53,u8:5': option 53 is the protocol's own (accepted: "
	       "NUMBER[,VALUE]...)");
	refuse("--dhcp-option|42,ntp.example",
	       "--dhcp-option: '42,ntp.example': option 42 holds IPv4 addresses (accepted: "
	       "NUMBER[,VALUE]...)");
	refuse_somehow("--dhcp-option|42,10.0.2.2|--dhcp-option|42,10.0.2.9");
	refuse_somehow("--dhcp-option|0,x");
	refuse_somehow("--dhcp-option|255,x");
	refuse_somehow("--dhcp-option|ntp,10.0.2.2");
	refuse_somehow("--dhcp-option|1,10.0.2.2");
	refuse_somehow("--dhcp-option|23,u8:256");
	refuse_somehow("--dhcp-option|23,u8:");
	refuse_somehow("--dhcp-option|43,hex:1");
	refuse_somehow("--dhcp-option|43,hex:1g");
	refuse_somehow("--dhcp-option|200,10.0.2.2,oops");
	refuse_somehow("--dhcp-option|43,");
	refuse_somehow("--dhcp-option|43,text:");
}
END_TEST

START_TEST(test_routes_have_a_network_and_a_router)
{
	accept("--dhcp-route|10.8.1.1/13,10.0.2.9");
	ck_assert_uint_eq(options.dhcp_routes.n, 1);
	ck_assert_uint_eq(addr_to_v4(&options.dhcp_routes.route[0].to.addr), 0x0a080000);
	ck_assert_uint_eq(options.dhcp_routes.route[0].to.prefix_len, 13);
	refuse_somehow("--dhcp-route|10.8.1.1/13");
	refuse_somehow("--dhcp-route|10.8.1.1,10.0.2.9");
	refuse_somehow("--dhcp-route|fec0::/64,10.0.2.9");
}
END_TEST

START_TEST(test_boot_files_are_by_client)
{
	const struct options_dhcp_boot *boot = options.dhcp_boots.boot;

	accept("--dhcp-boot|uefi-x64,a.efi|--dhcp-boot|uefi-x64,http://h/a.efi|--dhcp-boot|ipxe,m|"
	       "--dhcp-boot|any,b|--dhcp-boot|31,s390");
	ck_assert_uint_eq(options.dhcp_boots.n, 6);
	ck_assert_int_eq(boot[0].arch, 7);
	ck_assert_int_eq(boot[1].arch, 9);
	ck_assert_str_eq(boot[1].file, "a.efi");
	ck_assert_int_eq(boot[2].client, DHCPD_BOOT_HTTP);
	ck_assert_int_eq(boot[2].arch, 16);
	ck_assert_int_eq(boot[3].client, DHCPD_BOOT_IPXE);
	ck_assert_int_eq(boot[4].arch, DHCPD_ARCH_ANY);
	ck_assert_int_eq(boot[5].arch, 31);
	refuse_somehow("--dhcp-boot|uefi-x64");
	refuse_somehow("--dhcp-boot|vax,a");
	refuse_somehow("--dhcp-boot|65536,a");
	refuse_somehow("--dhcp-boot|bios,a|--dhcp-boot|0,b");
}
END_TEST

START_TEST(test_dns_names_and_routes_have_both_sides)
{
	accept("--dns-name|Web=10.0.2.9|--dns-name|web=fec0::9|--dns-name|a.b.example.=1.2.3.4|"
	       "--dns-route|Corp.example=10.1.2.3|--dns-route|x=[fe80::1]:5353");
	ck_assert_uint_eq(options.dns_names.n, 3);
	ck_assert_str_eq(options.dns_names.name[0].name, "web");
	ck_assert_str_eq(options.dns_names.name[2].name, "a.b.example");
	ck_assert_uint_eq(options.dns_routes.n, 2);
	ck_assert_str_eq(options.dns_routes.route[0].domain, "corp.example");
	ck_assert_uint_eq(options.dns_routes.route[0].server.port, 53);
	ck_assert_uint_eq(options.dns_routes.route[1].server.port, 5353);
	refuse("--dns-name|web", "--dns-name: 'web': has no '=' (accepted: NAME=ADDR)");
	refuse_somehow("--dns-name|=10.0.2.9");
	refuse_somehow("--dns-name|web=ten");
	refuse_somehow("--dns-name|we b=10.0.2.9");
	refuse_somehow("--dns-name|gateway=10.0.2.9");
	refuse_somehow("--dns-name|web=10.0.2.9|--dns-name|web=10.0.2.9");
	refuse_somehow("--dns-route|corp.example=");
	refuse_somehow("--dns-route|corp..example=10.1.2.3");
	refuse_somehow("--dns-route|corp.example=10.1.2.3:0");
	refuse_somehow("--dns-route|corp.example=224.0.0.1");
}
END_TEST

int main(void)
{
	return SUITE_RUN("options_services", test_hosts_have_a_mac_an_address_and_maybe_a_name,
			 test_hosts_that_meet_each_other_are_refused,
			 test_hosts_where_no_guest_can_be_are_refused,
			 test_option_values_take_all_forms, test_odd_option_values_are_refused,
			 test_routes_have_a_network_and_a_router, test_boot_files_are_by_client,
			 test_dns_names_and_routes_have_both_sides);
}
