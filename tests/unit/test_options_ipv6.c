/* Which families there are, and IPv6's addresses: QEMU's words with QEMU's meaning. */
#include "stack/app/options.h"
#include "tests/support/suite.h"

#include <check.h>
#include <string.h>

static struct options options;

/* 'line' holds the arguments, split at '|'. Returns the error line, or NULL. */
static const char *parse(const char *line)
{
	static struct options_error error;
	char copy[512], *rest = copy, *argv[16] = {(char *)"lwnat"};
	int argc = 1;

	ck_assert_uint_lt(strlen(line), sizeof(copy));
	strcpy(copy, line);
	while (rest && *line != '\0')
		argv[argc++] = strsep(&rest, "|");
	return options_parse(&options, argc, argv, &error) == 0 ? NULL : error.text;
}

static void accept(const char *line)
{
	const char *error = parse(line);

	ck_assert_msg(error == NULL, "'%s': %s", line, error);
}

/* "NET/LEN HOST DNS FIRST" */
static void assert_net6(const char *line, const char *text)
{
	char net[ADDR_TEXT_MAX], host[ADDR_TEXT_MAX], dns[ADDR_TEXT_MAX], first[ADDR_TEXT_MAX];
	char got[4 * ADDR_TEXT_MAX + 8];

	accept(line);
	ck_assert_msg(options.ipv6, "'%s' has no IPv6", line);
	snprintf(got, sizeof(got), "%s/%u %s %s %s", addr_format(&options.net6.addr, net),
		 options.net6.prefix_len, addr_format(&options.host6, host),
		 addr_format(&options.dns6, dns), addr_format(&options.dhcpstart6, first));
	ck_assert_msg(strcmp(got, text) == 0, "'%s' gave %s instead of %s", line, got, text);
}

static void assert_families(const char *line, bool ipv4, bool ipv6)
{
	accept(line);
	ck_assert_msg(options.ipv4 == ipv4 && options.ipv6 == ipv6, "'%s': IPv4 %d, IPv6 %d", line,
		      options.ipv4, options.ipv6);
}

START_TEST(test_a_family_asked_for_stands_alone_as_in_qemu)
{
	assert_families("--ipv6|on", false, true);
	assert_families("--ipv4|on", true, false);
	assert_families("--ipv4|on|--ipv6|on", true, true);
	assert_families("--netdev|user,ipv6=on,ipv4=on", true, true);
	assert_families("--netdev|user,ipv6", false, true);
	assert_families("--ipv6|off", true, false);
	assert_families("--ipv4|off|--ipv6|on", false, true);
}
END_TEST

START_TEST(test_defaults_are_qemus)
{
	assert_net6("--ipv4|on|--ipv6|on", "fec0::/64 fec0::2 fec0::3 fec0::15");
	ck_assert(options.dns6_is_ours);
}
END_TEST

START_TEST(test_network_gives_the_addresses_that_are_not_given)
{
	assert_net6("--ipv6|on|--ipv6-net|fd00:1::/64",
		    "fd00:1::/64 fd00:1::2 fd00:1::3 fd00:1::15");
	assert_net6("--ipv6|on|--ipv6-net|fd00:1::9", "fd00:1::/64 fd00:1::2 fd00:1::3 fd00:1::15");
	assert_net6("--ipv6|on|--ipv6-prefix|fd00:2::|--ipv6-prefixlen|48",
		    "fd00:2::/48 fd00:2::2 fd00:2::3 fd00:2::15");
	assert_net6("--ipv6|on|--ipv6-prefixlen|120", "fec0::/120 fec0::2 fec0::3 fec0::15");
	assert_net6("--ipv6|on|--ipv6-net|fd00::/126", "fd00::/126 fd00::2 fd00::3 fd00::1");
	assert_net6("--ipv6|on|--ipv6-net|fd00::/124", "fd00::/124 fd00::2 fd00::3 fd00::1");
	assert_net6("--netdev|user,ipv6=on,ipv6-net=fd00::/64,ipv6-host=fd00::1,ipv6-dns=fd00::1:1",
		    "fd00::/64 fd00::1 fd00::1:1 fd00::15");
	assert_net6("--ipv6|on|--ipv6-host|fec0::15", "fec0::/64 fec0::15 fec0::3 fec0::16");
	assert_net6("--ipv6|on|--ipv6-dns|2001:db8::53", "fec0::/64 fec0::2 2001:db8::53 fec0::15");
	ck_assert(!options.dns6_is_ours);
}
END_TEST

START_TEST(test_forwards_name_guests_of_either_family)
{
	struct addr addr;

	accept("--ipv4|on|--ipv6|on|--hostfwd|tcp:[::1]:2222-[fec0::15]:22|--hostfwd|tcp::80-:80");
	addr_parse("fec0::15", &addr);
	ck_assert(addr_eq(&options.hostfwd.rule[0].guest_addr, &addr));
	ck_assert(addr_is_v4(&options.hostfwd.rule[1].guest_addr));
	accept("--ipv6|on|--hostfwd|tcp::80-:80");
	ck_assert(addr_eq(&options.hostfwd.rule[0].guest_addr, &addr));
}
END_TEST

START_TEST(test_options_of_dhcpv6_become_bytes)
{
	const struct options_dhcp_option *option = options.dhcp6_options.option;

	accept("--dhcp6-option|60,quiet,ip=dhcp|--dhcp6-option|31,fd00::5,fd00::6|--dhcp6-option|"
	       "56,hex:00010010");
	ck_assert_uint_eq(options.dhcp6_options.n, 3);
	ck_assert_uint_eq(option[0].len, 2 + 5 + 2 + 7);
	ck_assert_mem_eq(option[0].value, "\0\5quiet\0\7ip=dhcp", 16);
	ck_assert_uint_eq(option[1].len, 32);
	ck_assert_uint_eq(option[1].value[31], 6);
	ck_assert_mem_eq(option[2].value, "\0\1\0\20", 4);
}
END_TEST

START_TEST(test_a_small_mtu_turns_off_what_nobody_asked_for)
{
	accept("--mtu|1000");
	ck_assert(!options.ipv6);
	accept("--ipv6|on|--mtu|1280");
	ck_assert(options.ipv6);
}
END_TEST

static const struct {
	const char *line, *text;
} refusals[] = {
    {"--ipv4|off|--ipv6|off",
     "--ipv4: 'off': IPv4 and IPv6 are both off (accepted: one of them on)"},
    {"--ipv6|on|--net|10.0.0.0/24", "--net: IPv4 is off, because --ipv6 on without --ipv4 means "
				    "IPv6 alone (accepted: --ipv4 on beside it)"},
    {"--ipv4|off|--ipv6|on|--dhcpstart|10.0.2.9", "--dhcpstart: IPv4 is off"},
    {"--ipv4|on|--ipv6-host|fec0::9", "--ipv6-host: IPv6 is off, because --ipv4 on without --ipv6 "
				      "means IPv4 alone (accepted: --ipv6 on beside it)"},
    {"--ipv6|off|--ipv6-net|fd00::/64", "--ipv6-net: IPv6 is off"},
    {"--ipv6|on|--mtu|1279",
     "--mtu: '1279': IPv6 needs 1280 or more (accepted: that, or --ipv6 off)"},
    {"--ipv6-net|10.0.0.0/8",
     "--ipv6-net: '10.0.0.0/8': is an IPv4 network (accepted: ADDR/LEN or ADDR)"},
    {"--ipv6-net|fd00::/127",
     "--ipv6-net: 'fd00::/127': prefix must be 8-126 (accepted: ADDR/LEN or ADDR)"},
    {"--ipv6-net|fd00::/x",
     "--ipv6-net: 'fd00::/x': is no IPv6 network (accepted: ADDR/LEN or ADDR)"},
    {"--ipv6-net|fe80::/64",
     "--ipv6-net: 'fe80::/64': hosts have no addresses there (accepted: ADDR/LEN or ADDR)"},
    {"--ipv6-net|ff05::/16",
     "--ipv6-net: 'ff05::/16': hosts have no addresses there (accepted: ADDR/LEN or ADDR)"},
    {"--ipv6-prefix|::1", "--ipv6-prefix: '::1': hosts have no addresses there (accepted: ADDR)"},
    {"--ipv6-prefix|fd00::/64", "--ipv6-prefix: 'fd00::/64': is no IPv6 address (accepted: ADDR)"},
    {"--ipv6-prefixlen|0", "--ipv6-prefixlen: '0': must be a number from 8 to 126 (accepted: LEN)"},
    {"--ipv6-host|10.0.2.2", "--ipv6-host: '10.0.2.2': is no IPv6 address (accepted: ADDR6)"},
    {"--ipv6-host|fe80::2",
     "--ipv6-host: 'fe80::2': is no host's address in a network (accepted: ADDR6)"},
    {"--ipv6|on|--ipv6-net|fd00::/64|--ipv6-prefixlen|64",
     "--ipv6-prefixlen: is given beside --ipv6-net (accepted: one or the other)"},
    {"--ipv6|on|--ipv6-prefix|fe00::|--ipv6-prefixlen|8",
     "--ipv6-prefix: 'fe00::/8': has addresses in it that are no host's (accepted: a longer "
     "prefix)"},
    {"--ipv6|on|--ipv6-host|fec1::2",
     "--ipv6-host: 'fec1::2': is outside of --ipv6-net fec0::/64 (accepted: an address in it)"},
    {"--ipv6|on|--ipv6-host|fec0::", "--ipv6-host: 'fec0::': is the anycast address of --ipv6-net "
				     "fec0::/64 (accepted: an address in it)"},
    {"--ipv6|on|--ipv6-dns|fec0::2",
     "--ipv6-dns: 'fec0::2': is both --ipv6-host and --ipv6-dns (accepted: two addresses)"},
    {"--ipv6|on|--ipv6-host|fec0::3",
     "--ipv6-host: 'fec0::3': is both --ipv6-host and --ipv6-dns (accepted: two addresses)"},
    {"--ipv6|on|--restrict|on|--ipv6-dns|2001:db8::1",
     "--ipv6-dns: '2001:db8::1': is outside of --ipv6-net, where --restrict on lets no guest go "
     "(accepted: an address inside)"},
    {"--netdev|user,ipv6=on,ipv6-host=fec1::2",
     "--netdev: ipv6-host='fec1::2': is outside of --ipv6-net fec0::/64 (accepted: an address in "
     "it)"},
    {"--ipv6|off|--hostfwd|tcp::80-[fec0::15]:80",
     "--hostfwd: 'tcp::80-[fec0::15]:80': the guests have no IPv6 (accepted: a guest's IPv4 "
     "address, or none)"},
    {"--ipv6|on|--hostfwd|tcp::80-10.0.2.15:80",
     "--hostfwd: 'tcp::80-10.0.2.15:80': the guests have no IPv4 (accepted: a guest's IPv6 "
     "address, or none)"},
    {"--dhcp6-option|23,fec0::9",
     "--dhcp6-option: '23,fec0::9': option 23 is the protocol's own, or has an option of lwnat's "
     "(accepted: NUMBER,VALUE...)"},
    {"--dhcp6-option|31", "--dhcp6-option: '31': the value is empty (accepted: NUMBER,VALUE...)"},
    {"--dhcp6-option|256,x", "--dhcp6-option: '256,x': has no option number of 1-255 in front "
			     "(accepted: NUMBER,VALUE...)"},
    {"--ipv6|off|--dhcp6-option|31,fd00::5", "--dhcp6-option: IPv6 is off"},
    {"--ipv6|on|--hostfwd|tcp::80-[fec0::2]:80",
     "--hostfwd: 'tcp::80-[fec0::2]:80': the guest address is lwnat's own (accepted: a guest's "
     "IPv6 address, or none)"},
    {"--ipv6|on|--hostfwd|tcp::80-[fe80::1]:80",
     "--hostfwd: 'tcp::80-[fe80::1]:80': a link-local address does not say which guest (accepted: "
     "a guest's IPv6 address, or none)"},
};

START_TEST(test_conflicts_are_refused_by_name)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const char *error = parse(refusals[i].line);

		ck_assert_msg(error != NULL, "'%s' was accepted", refusals[i].line);
		ck_assert_msg(strcmp(error, refusals[i].text) == 0, "'%s' said\n%s\ninstead of\n%s",
			      refusals[i].line, error, refusals[i].text);
	}
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "options_ipv6", test_a_family_asked_for_stands_alone_as_in_qemu,
	    test_defaults_are_qemus, test_network_gives_the_addresses_that_are_not_given,
	    test_forwards_name_guests_of_either_family, test_options_of_dhcpv6_become_bytes,
	    test_a_small_mtu_turns_off_what_nobody_asked_for, test_conflicts_are_refused_by_name);
}
