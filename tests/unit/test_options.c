/* The command line and the --netdev string: what they become, and the exact line for what they must
 * not be. */
#include "stack/app/options.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARGS_MAX 16

static struct options options;
static struct options_error error;

/* 'line' is split at '|'. */
static int parse(const char *line)
{
	char *argv[ARGS_MAX + 1] = {(char *)"lwnat"};
	char *copy = strdup(line), *rest = copy;
	int argc = 1, result;

	while (rest && *line != '\0') {
		ck_assert_int_lt(argc, ARGS_MAX);
		argv[argc++] = strsep(&rest, "|");
	}
	memset(&options, 0xa5, sizeof(options));
	memset(&error, 0, sizeof(error));
	result = options_parse(&options, argc, argv, &error);
	free(copy);
	return result;
}

static void accept(const char *line)
{
	ck_assert_msg(parse(line) == 0, "'%s' was refused: %s", line, error.text);
}

static void refuse(const char *line, const char *text)
{
	ck_assert_msg(parse(line) == -EINVAL, "'%s' was accepted", line);
	ck_assert_msg(strcmp(error.text, text) == 0, "'%s' gave\n%s\ninstead of\n%s", line,
		      error.text, text);
}

static void assert_addr(const struct addr *addr, const char *text)
{
	char got[ADDR_TEXT_MAX];

	ck_assert_str_eq(addr_format(addr, got), text);
}

/* "BASE/LEN HOST DNS DHCPSTART" */
static void assert_net(const char *line, const char *text)
{
	char base[ADDR_TEXT_MAX], host[ADDR_TEXT_MAX], dns[ADDR_TEXT_MAX], first[ADDR_TEXT_MAX];
	char got[256];

	accept(line);
	snprintf(got, sizeof(got), "%s/%u %s %s %s", addr_format(&options.net.addr, base),
		 options.net.prefix_len, addr_format(&options.host, host),
		 addr_format(&options.dns, dns), addr_format(&options.dhcpstart, first));
	ck_assert_msg(strcmp(got, text) == 0, "'%s' gave %s instead of %s", line, got, text);
}

/* ---- what is accepted ---- */

START_TEST(test_guest_forwards_and_the_share_get_their_addresses)
{
	struct addr service[OPTIONS_SERVICE_ADDRS_MAX];

	accept(
	    "--guestfwd|tcp::80-cmd:a,,b|--netdev|user,guestfwd=:10.0.2.100:80-cmd:a,,b,smb=/srv");
	ck_assert_uint_eq(options.guestfwd.n, 2);
	assert_addr(&options.guestfwd.rule[0].addr, "10.0.2.4");
	ck_assert_str_eq(options.guestfwd.rule[0].target, "a,,b");
	assert_addr(&options.guestfwd.rule[1].addr, "10.0.2.100");
	ck_assert_str_eq(options.guestfwd.rule[1].target, "a,b");
	ck_assert_str_eq(options.smb, "/srv");
	assert_addr(&options.smbserver, "10.0.2.4");
	ck_assert_uint_eq(options_service_addrs(&options, service), 3);
	accept("--smb|/srv|--smbserver|10.0.2.9|--net|10.0.2.0/24");
	assert_addr(&options.smbserver, "10.0.2.9");
	accept("--ipv6|on|--guestfwd|tcp:[fec0::100]:80-tcp:[::1]:80");
	assert_addr(&options.guestfwd.rule[0].addr, "fec0::100");
}
END_TEST

START_TEST(test_guest_forwards_where_nothing_can_wait_are_refused)
{
#define NOBODY_HAS " (accepted: an address of the guests' network that nobody has)"
	refuse("--guestfwd|:10.0.3.1:80-cmd:x",
	       "--guestfwd: '10.0.3.1': is outside of --net" NOBODY_HAS);
	refuse("--guestfwd|:10.0.2.2:80-cmd:x",
	       "--guestfwd: '10.0.2.2': is the gateway's address" NOBODY_HAS);
	refuse("--guestfwd|:10.0.2.3:80-cmd:x",
	       "--guestfwd: '10.0.2.3': is the DNS server's address" NOBODY_HAS);
	refuse("--guestfwd|:10.0.2.255:80-cmd:x",
	       "--guestfwd: '10.0.2.255': is no host's address" NOBODY_HAS);
	refuse("--smb|/|--smbserver|10.0.2.15",
	       "--smbserver: '10.0.2.15': is the dhcpstart address, which guests have" NOBODY_HAS);
	refuse("--guestfwd|::80-cmd:x|--guestfwd|::80-cmd:y",
	       "--guestfwd: '10.0.2.4:80': is given twice (accepted: each ADDR:PORT once)");
	refuse("--smb|/|--guestfwd|::445-cmd:x", "--guestfwd: '10.0.2.4:445': is where --smb waits "
						 "(accepted: another ADDR or PORT)");
	refuse("--ipv6|off|--guestfwd|:[fec0::100]:80-cmd:x",
	       "--guestfwd: 'fec0::100': the guests have no IPv6" NOBODY_HAS);
}
END_TEST

START_TEST(test_no_option_gives_qemus_network)
{
	assert_net("", "10.0.2.0/24 10.0.2.2 10.0.2.3 10.0.2.15");
	ck_assert_int_eq(options.action, OPTIONS_RUN);
	ck_assert(options.dns_is_ours);
	ck_assert(options.ipv4);
	ck_assert(options.ipv6);
	ck_assert(!options.restrict_guests);
	ck_assert(!options.no_host_loopback);
	ck_assert(!options.net_by_class);
	ck_assert_str_eq(options.hostname, "");
	ck_assert_str_eq(options.domainname, "");
	ck_assert_str_eq(options.bootfile, "");
	ck_assert_str_eq(options.tftp_server_name, "");
	ck_assert_str_eq(options.socket, "");
	ck_assert_str_eq(options.name, "default");
	ck_assert_uint_eq(options.mtu, 1500);
	ck_assert_int_eq(options.ready_fd, -1);
	ck_assert_int_eq(options.log_level, LOG_LEVEL_INFO);
	ck_assert_uint_eq(options.dnssearch.n, 0);
	ck_assert_uint_eq(options.hostfwd.n, 0);
	ck_assert_uint_eq(options.fd.n, 0);
	ck_assert_uint_eq(options.dns_upstream.n, 0);
}
END_TEST

START_TEST(test_course_book_string_means_what_it_means_in_qemu)
{
	assert_net("--netdev|user,id=net0,net=192.168.31.0/24,dhcpstart=192.168.31.100,"
		   "hostfwd=tcp::3522-:22,hostfwd=tcp::3580-:80",
		   "192.168.31.0/24 192.168.31.2 192.168.31.3 192.168.31.100");
	ck_assert_str_eq(options.netdev, "net0");
	ck_assert_uint_eq(options.hostfwd.n, 2);
	ck_assert_int_eq(options.hostfwd.rule[1].proto, HOSTFWD_TCP);
	ck_assert_uint_eq(options.hostfwd.rule[1].host_port, 3580);
	ck_assert_uint_eq(options.hostfwd.rule[1].guest_port, 80);
	ck_assert(!options.hostfwd.rule[1].host_addr_given);
	assert_addr(&options.hostfwd.rule[1].guest_addr, "192.168.31.100");
}
END_TEST

START_TEST(test_long_options_equal_the_netdev_string)
{
	static struct options by_string;

	accept("--netdev|user,net=10.5.0.0/16,host=10.5.0.1,dns=10.5.0.2,dhcpstart=10.5.0.9,"
	       "hostname=h,domainname=d.example,dnssearch=a.example,dnssearch=b,restrict=on,"
	       "ipv4=on,ipv6=off,tftp=/srv,bootfile=/b.0,tftp-server-name=t,hostfwd=udp::53-:53");
	by_string = options;
	accept(
	    "--net=10.5.0.0/16|--host|10.5.0.1|--dns=10.5.0.2|--dhcpstart=10.5.0.9|"
	    "--hostname=h|--domainname=d.example|--dnssearch=a.example|--dnssearch=b|"
	    "--restrict=on|--ipv4=on|--ipv6=off|--tftp=/srv|--bootfile=/b.0|--tftp-server-name=t");
	by_string.hostfwd.n = 0;
	memset(by_string.hostfwd.rule, 0, sizeof(by_string.hostfwd.rule));
	ck_assert_int_eq(memcmp(&by_string, &options, sizeof(options)), 0);
	ck_assert_str_eq(options.dnssearch.name[1], "b");
	ck_assert_str_eq(options.tftp_server_name, "t");
	ck_assert(options.restrict_guests);
}
END_TEST

START_TEST(test_netdev_type_may_be_left_out_or_spelt_out)
{
	assert_net("--netdev|net=10.9.9.0/24", "10.9.9.0/24 10.9.9.2 10.9.9.3 10.9.9.15");
	assert_net("--netdev|type=user,net=10.9.9.0/24", "10.9.9.0/24 10.9.9.2 10.9.9.3 10.9.9.15");
	accept("--netdev|user");
	accept("--netdev|user,");
	accept("--netdev|restrict");
	ck_assert(options.restrict_guests);
}
END_TEST

START_TEST(test_two_commas_are_one_in_a_value)
{
	accept("--netdev|user,bootfile=a,,b,restrict=on");
	ck_assert_str_eq(options.bootfile, "a,b");
	ck_assert(options.restrict_guests);
}
END_TEST

START_TEST(test_booleans_take_all_of_qemus_spellings)
{
	static const char *const yes[] = {"on", "yes", "true", "y"}, *const no[] = {"off", "no",
										    "false", "n"};
	char line[64];

	for (unsigned i = 0; i < 4; i++) {
		snprintf(line, sizeof(line), "--restrict|%s", yes[i]);
		accept(line);
		ck_assert(options.restrict_guests);
		snprintf(line, sizeof(line), "--netdev|user,restrict=%s", no[i]);
		accept(line);
		ck_assert(!options.restrict_guests);
	}
	accept("--netdev|user,restrict,ipv4");
	ck_assert(options.restrict_guests);
}
END_TEST

START_TEST(test_last_one_counts_of_an_option_given_twice)
{
	assert_net("--netdev|user,net=10.9.9.0/24|--net|10.8.8.0/24",
		   "10.8.8.0/24 10.8.8.2 10.8.8.3 10.8.8.15");
	assert_net("--net|10.8.8.0/24|--netdev|user,net=10.9.9.0/24",
		   "10.9.9.0/24 10.9.9.2 10.9.9.3 10.9.9.15");
	assert_net("--net|192.168.1.0|--net|10.0.3.0/24",
		   "10.0.3.0/24 10.0.3.2 10.0.3.3 10.0.3.15");
	ck_assert(!options.net_by_class);
}
END_TEST

/* The lengths were read off `info network` of QEMU 7.2. */
START_TEST(test_net_without_a_length_follows_qemus_rule)
{
	assert_net("--net|10.9.0.0", "10.0.0.0/8 10.0.2.2 10.0.2.3 10.0.2.15");
	ck_assert(options.net_by_class);
	assert_net("--net|172.16.5.0", "172.16.0.0/12 172.16.2.2 172.16.2.3 172.16.2.15");
	assert_net("--net|150.1.2.3", "150.1.0.0/16 150.1.2.2 150.1.2.3 150.1.2.15");
	assert_net("--net|192.168.31.0", "192.168.0.0/16 192.168.2.2 192.168.2.3 192.168.2.15");
	assert_net("--net|198.18.0.0", "198.18.0.0/15 198.18.2.2 198.18.2.3 198.18.2.15");
	assert_net("--net|203.0.113.77", "203.0.113.64/28 203.0.113.66 203.0.113.67 203.0.113.68");
}
END_TEST

START_TEST(test_net_takes_a_netmask_and_drops_host_bits)
{
	assert_net("--net|10.7.7.9/255.255.255.128", "10.7.7.0/25 10.7.7.2 10.7.7.3 10.7.7.15");
	assert_net("--net|10.7.7.200/25", "10.7.7.128/25 10.7.7.130 10.7.7.131 10.7.7.143");
}
END_TEST

START_TEST(test_small_nets_get_addresses_that_are_hosts)
{
	assert_net("--net|10.1.1.0/27", "10.1.1.0/27 10.1.1.2 10.1.1.3 10.1.1.15");
	assert_net("--net|10.1.1.0/28", "10.1.1.0/28 10.1.1.2 10.1.1.3 10.1.1.4");
	assert_net("--net|10.1.1.0/29", "10.1.1.0/29 10.1.1.2 10.1.1.3 10.1.1.4");
	assert_net("--net|10.1.1.0/29|--dns|10.1.1.4", "10.1.1.0/29 10.1.1.2 10.1.1.4 10.1.1.5");
	assert_net("--net|10.1.1.0/30|--dns|9.9.9.9", "10.1.1.0/30 10.1.1.2 9.9.9.9 10.1.1.1");
}
END_TEST

START_TEST(test_dns_outside_of_the_net_is_somebody_elses)
{
	accept("--dns|9.9.9.9");
	assert_addr(&options.dns, "9.9.9.9");
	ck_assert(!options.dns_is_ours);
}
END_TEST

START_TEST(test_own_options_reach_their_fields)
{
	char text[ENDPOINT_TEXT_MAX];

	accept("--socket|/tmp/s|--fd|5|--fd=7|--name|web-1|--mtu|65520|--ready-fd|9|"
	       "--log-level|debug|--no-host-loopback");
	ck_assert_str_eq(options.socket, "/tmp/s");
	ck_assert_uint_eq(options.fd.n, 2);
	ck_assert_int_eq(options.fd.fd[0], 5);
	ck_assert_int_eq(options.fd.fd[1], 7);
	ck_assert_str_eq(options.name, "web-1");
	ck_assert_uint_eq(options.mtu, 65520);
	ck_assert_int_eq(options.ready_fd, 9);
	ck_assert_int_eq(options.log_level, LOG_LEVEL_DEBUG);
	ck_assert(options.no_host_loopback);
	accept("--dns-upstream|1.1.1.1|--dns-upstream|1.1.1.1:5353|--dns-upstream|::1|"
	       "--dns-upstream=[2001:db8::1]:54|--dns-upstream|[::1]");
	ck_assert_uint_eq(options.dns_upstream.n, 5);
	ck_assert_str_eq(endpoint_format(&options.dns_upstream.endpoint[0], text), "1.1.1.1:53");
	ck_assert_str_eq(endpoint_format(&options.dns_upstream.endpoint[1], text), "1.1.1.1:5353");
	ck_assert_str_eq(endpoint_format(&options.dns_upstream.endpoint[2], text), "[::1]:53");
	ck_assert_str_eq(endpoint_format(&options.dns_upstream.endpoint[3], text),
			 "[2001:db8::1]:54");
	ck_assert_str_eq(endpoint_format(&options.dns_upstream.endpoint[4], text), "[::1]:53");
}
END_TEST

START_TEST(test_help_and_version_end_the_parsing)
{
	accept("-h|--nonsense");
	ck_assert_int_eq(options.action, OPTIONS_HELP);
	accept("--help");
	ck_assert_int_eq(options.action, OPTIONS_HELP);
	accept("-V");
	ck_assert_int_eq(options.action, OPTIONS_VERSION);
	accept("--version");
	ck_assert_int_eq(options.action, OPTIONS_VERSION);
	accept("--");
	ck_assert_int_eq(options.action, OPTIONS_RUN);
}
END_TEST

START_TEST(test_help_and_man_name_every_option)
{
	static const char *const names[] = {
	    "net",
	    "host",
	    "dns",
	    "dhcpstart",
	    "hostname",
	    "domainname",
	    "dnssearch",
	    "hostfwd",
	    "restrict",
	    "bootfile",
	    "ipv4",
	    "ipv6",
	    "netdev",
	    "tftp-server-name",
	    "socket",
	    "fd",
	    "name",
	    "mtu",
	    "dns-upstream",
	    "no-host-loopback",
	    "ready-fd",
	    "log-level",
	    "version",
	    "help",
	    "tftp",
	    "smb",
	    "smbserver",
	    "guestfwd",
	    "ipv6-net",
	    "ipv6-prefix",
	    "ipv6-host",
	    "ipv6-dns",
	    "ipv6-prefixlen",
	};
	char *help, *man, in_man[64];
	size_t help_len, man_len;
	FILE *out;

	out = open_memstream(&help, &help_len);
	options_print_help(out);
	fclose(out);
	out = open_memstream(&man, &man_len);
	options_print_man(out);
	fclose(out);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = (size_t)sprintf(in_man, "\\-\\-");

		for (const char *c = names[i]; *c != '\0'; c++)
			n += (size_t)sprintf(in_man + n, *c == '-' ? "\\%c" : "%c", *c);
		ck_assert_msg(strstr(help, names[i]) != NULL, "--help lacks %s", names[i]);
		ck_assert_msg(strstr(man, in_man) != NULL, "the man page lacks %s", in_man);
	}
	for (char *line = strtok(help, "\n"); line; line = strtok(NULL, "\n"))
		ck_assert_msg(strlen(line) < 80, "too wide: %s", line);
	free(help);
	free(man);
}
END_TEST

/* ---- what is refused, and how ---- */

struct refusal {
	const char *line, *text;
};

#define NET_FORMS " (accepted: ADDR/LEN, ADDR/MASK or ADDR)"

static const struct refusal network_refusals[] = {
    {"--net|10.0.2.0/33", "--net: '10.0.2.0/33': prefix must be 8-30" NET_FORMS},
    {"--net|10.0.2.0/32", "--net: '10.0.2.0/32': prefix must be 8-30" NET_FORMS},
    {"--net|10.0.2.0/31", "--net: '10.0.2.0/31': prefix must be 8-30" NET_FORMS},
    {"--net|10.0.0.0/7", "--net: '10.0.0.0/7': prefix must be 8-30" NET_FORMS},
    {"--net|10.0.2.0/", "--net: '10.0.2.0/': prefix must be 8-30" NET_FORMS},
    {"--net|10.0.2.0/24x", "--net: '10.0.2.0/24x': prefix must be 8-30" NET_FORMS},
    {"--net|10.0.2.0/99999999999999999999",
     "--net: '10.0.2.0/99999999999999999999': prefix must be 8-30" NET_FORMS},
    {"--net|10.0.2.0/255.0.255.0",
     "--net: '10.0.2.0/255.0.255.0': has no valid netmask behind the '/'" NET_FORMS},
    {"--net|10.0.2", "--net: '10.0.2': has no IPv4 address in front" NET_FORMS},
    {"--net|garbage", "--net: 'garbage': has no IPv4 address in front" NET_FORMS},
    {"--net|", "--net: '': has no IPv4 address in front" NET_FORMS},
    {"--net|fec0::/64", "--net: 'fec0::/64': is an IPv6 network: write it as --ipv6-net" NET_FORMS},
    {"--net|127.0.0.0/8", "--net: '127.0.0.0/8': hosts have no addresses there" NET_FORMS},
    {"--net|224.0.0.0/24", "--net: '224.0.0.0/24': hosts have no addresses there" NET_FORMS},
    {"--net|0.0.0.0/8", "--net: '0.0.0.0/8': hosts have no addresses there" NET_FORMS},
    {"--net|10.0.2.0/30",
     "--net: '10.0.2.0/30': has no room for the gateway, the DNS server and a guest (accepted: "
     "prefix 8-29, or 30 with --dns outside of it)"},
    {"--net", "--net: needs a value" NET_FORMS},
    {"--dhcpstart|10.0.3.1",
     "--dhcpstart: '10.0.3.1': is outside of --net 10.0.2.0/24 (accepted: 10.0.2.1-10.0.2.254)"},
    {"--dhcpstart|10.0.2.0", "--dhcpstart: '10.0.2.0': is the network address of --net 10.0.2.0/24 "
			     "(accepted: 10.0.2.1-10.0.2.254)"},
    {"--dhcpstart|10.0.2.255",
     "--dhcpstart: '10.0.2.255': is the broadcast address of --net 10.0.2.0/24 "
     "(accepted: 10.0.2.1-10.0.2.254)"},
    {"--dhcpstart|10.0.2.2",
     "--dhcpstart: '10.0.2.2': is both --host and --dhcpstart (accepted: two addresses)"},
    {"--dhcpstart|10.0.2.3",
     "--dhcpstart: '10.0.2.3': is both --dns and --dhcpstart (accepted: two addresses)"},
    {"--dhcpstart|10.0.2.256", "--dhcpstart: '10.0.2.256': is no IPv4 address (accepted: ADDR)"},
    {"--dhcpstart|127.0.0.1", "--dhcpstart: '127.0.0.1': is no host's address (accepted: ADDR)"},
    {"--dhcpstart|fec0::1",
     "--dhcpstart: 'fec0::1': is an IPv6 address (IPv6 has options of its own: --ipv6-net, "
     "--ipv6-host, --ipv6-dns) (accepted: ADDR)"},
    {"--host|10.0.2.3|--dns|10.0.2.3",
     "--dns: '10.0.2.3': is both --host and --dns (accepted: two addresses)"},
    {"--host|10.0.2.3", "--host: '10.0.2.3': is both --host and --dns (accepted: two addresses)"},
    {"--dns|10.0.2.2", "--dns: '10.0.2.2': is both --host and --dns (accepted: two addresses)"},
    {"--host|10.0.2.15",
     "--host: '10.0.2.15': is both --host and --dhcpstart (accepted: two addresses)"},
    {"--host|10.0.3.2",
     "--host: '10.0.3.2': is outside of --net 10.0.2.0/24 (accepted: 10.0.2.1-10.0.2.254)"},
    {"--host|10.0.2.0", "--host: '10.0.2.0': is the network address of --net 10.0.2.0/24 "
			"(accepted: 10.0.2.1-10.0.2.254)"},
    {"--dns|10.0.2.255", "--dns: '10.0.2.255': is the broadcast address of --net 10.0.2.0/24 "
			 "(accepted: 10.0.2.1-10.0.2.254)"},
    {"--dns|9.9.9.9|--restrict|on",
     "--dns: '9.9.9.9': is outside of --net, where --restrict on lets no guest go (accepted: an "
     "address inside)"},
    {"--restrict|maybe", "--restrict: 'maybe': is neither on nor off (accepted: on|off)"},
    {"--hostname|a b", "--hostname: 'a b': has a character that no DNS name has (accepted: NAME)"},
    {"--hostname|", "--hostname: '': must not be empty (accepted: NAME)"},
    {"--domainname|a..b", "--domainname: 'a..b': has an empty label (accepted: NAME)"},
    {"--dnssearch|"
     "0123456789012345678901234567890123456789012345678901234567890123",
     "--dnssearch: '0123456789012345678901234567890123456789012345678901234567890123': has a label "
     "of more than 63 bytes (accepted: NAME)"},
};

static const struct refusal own_refusals[] = {
    {"--mtu|70000", "--mtu: '70000': must be a number from 576 to 65520 (accepted: BYTES)"},
    {"--mtu|575", "--mtu: '575': must be a number from 576 to 65520 (accepted: BYTES)"},
    {"--mtu|1500x", "--mtu: '1500x': must be a number from 576 to 65520 (accepted: BYTES)"},
    {"--mtu|", "--mtu: '': must be a number from 576 to 65520 (accepted: BYTES)"},
    {"--mtu|-5", "--mtu: '-5': must be a number from 576 to 65520 (accepted: BYTES)"},
    {"--fd|x", "--fd: 'x': must be the number of an open descriptor (accepted: NUMBER)"},
    {"--fd|99999999",
     "--fd: '99999999': must be the number of an open descriptor (accepted: NUMBER)"},
    {"--fd|3|--fd|3", "--fd: '3': is given twice (accepted: NUMBER)"},
    {"--fd|3|--ready-fd|3", "--ready-fd: '3': is also --fd (accepted: another one)"},
    {"--ready-fd|-1",
     "--ready-fd: '-1': must be the number of an open descriptor (accepted: NUMBER)"},
    {"--name|../x", "--name: '../x': may hold letters, digits, '.', '_' and '-' (accepted: NAME)"},
    {"--name|.x", "--name: '.x': must begin with a letter, a digit or '_' (accepted: NAME)"},
    {"--name|", "--name: '': must not be empty (accepted: NAME)"},
    {"--socket|", "--socket: '': must not be empty (accepted: PATH)"},
    {"--log-level|loud", "--log-level: 'loud': is no log level (accepted: error|warn|info|debug)"},
    {"--dns-upstream|1.1.1.1:0",
     "--dns-upstream: '1.1.1.1:0': port must be 1-65535 (accepted: ADDR[:PORT] or [ADDR6]:PORT)"},
    {"--dns-upstream|1.1.1.1:70000",
     "--dns-upstream: '1.1.1.1:70000': is no address with a port of 1-65535 (accepted: ADDR[:PORT] "
     "or [ADDR6]:PORT)"},
    {"--dns-upstream|[::1",
     "--dns-upstream: '[::1': is no address with a port of 1-65535 (accepted: ADDR[:PORT] or "
     "[ADDR6]:PORT)"},
    {"--dns-upstream|0.0.0.0", "--dns-upstream: '0.0.0.0': is no server's address (accepted: "
			       "ADDR[:PORT] or [ADDR6]:PORT)"},
    {"--no-host-loopback=1", "--no-host-loopback: takes no value (accepted: --no-host-loopback)"},
    {"--mtu", "--mtu: needs a value (accepted: BYTES)"},
};

static const struct refusal word_refusals[] = {
    {"--nett|1", "'--nett': unknown option (did you mean --net?)"},
    {"--dns-up=1", "'--dns-up': unknown option (did you mean --dns-upstream?)"},
    {"--hostfw|tcp::1-:2", "'--hostfw': unknown option (did you mean --hostfwd?)"},
    {"--quite-another", "'--quite-another': unknown option"},
    {"--bad\nline", "'--bad\\x0aline': unknown option"},
    {"-x", "'-x': unknown option"},
    {"-Vh", "'-Vh': unknown option"},
    {"extra", "'extra': unexpected argument"},
    {"-", "'-': unexpected argument"},
    {"--|extra", "'extra': unexpected argument"},
    {"-redir|tcp:5555::22", "'-redir': unknown option: gone since QEMU 3.1: write '-redir "
			    "tcp:5555::22' as --hostfwd tcp::5555-:22"},
    {"-net|user", "'-net': unknown option: write the network as --net ADDR/LEN, or QEMU's words as "
		  "--netdev 'user,...'"},
    {"-netdev|user",
     "'-netdev': unknown option: long options take two dashes: --netdev 'user,...'"},
    {"--vlan|0", "'--vlan': unknown option: gone since QEMU 3.0: one lwnat is one network, start "
		 "one per vlan with its own --name"},
    {"--tftp|/srv|--boot|/srv/boot",
     "--tftp: '/srv': --boot serves its directory by TFTP too (accepted: one of them)"},
    {"--tftp=", "--tftp: '': must not be empty (accepted: DIR)"},
};

static const struct refusal netdev_refusals[] = {
    {"--netdev|", "--netdev: is empty (accepted: user[,WORD=VALUE]...)"},
    {"--netdev|tap,ifname=t0",
     "--netdev: 'tap': only user networks are served (accepted: user[,WORD=VALUE]...)"},
    {"--netdev|type=tap",
     "--netdev: 'tap': only user networks are served (accepted: user[,WORD=VALUE]...)"},
    {"--netdev|user,net=10.0.2.0/31", "--netdev: net='10.0.2.0/31': prefix must be 8-30" NET_FORMS},
    {"--netdev|user,dhcpstart=10.0.3.1",
     "--netdev: dhcpstart='10.0.3.1': is outside of --net 10.0.2.0/24 (accepted: "
     "10.0.2.1-10.0.2.254)"},
    {"--netdev|user,tftp=", "--netdev: tftp='': must not be empty (accepted: DIR)"},
    {"--netdev|user,vlan=0",
     "--netdev: 'vlan' is no word of -netdev user: gone since QEMU 3.0: one "
     "lwnat is one network, start one per vlan with its own --name"},
    {"--netdev|user,script=no", "--netdev: 'script' is no word of -netdev user: belongs to tap "
				"networks: lwnat needs no script"},
    {"--netdev|user,macaddr=52:54:00:12:34:56",
     "--netdev: 'macaddr' is no word of -netdev user: belongs to QEMU's -device (mac=)"},
    {"--netdev|user,mtu=9000",
     "--netdev: 'mtu' is no word of -netdev user: write --mtu beside --netdev"},
    {"--netdev|user,dhcpstrat=10.0.2.9",
     "--netdev: 'dhcpstrat' is no word of -netdev user (did you mean dhcpstart=?)"},
    {"--netdev|user,host", "--netdev: host needs a value (accepted: host=ADDR)"},
    {"--netdev|user,id=", "--netdev: id: needs a value"},
    {"--netdev|user,=x", "--netdev: '' is no word of -netdev user"},
    {"--netdev|user,restrict=perhaps",
     "--netdev: restrict='perhaps': is neither on nor off (accepted: on|off)"},
};

static void refuse_all(const struct refusal *refusals, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (refusals[i].text[0] != '\0')
			refuse(refusals[i].line, refusals[i].text);
	}
}

#define REFUSE_ALL(table) refuse_all(table, sizeof(table) / sizeof(table[0]))

START_TEST(test_odd_networks_get_one_line_each)
{
	REFUSE_ALL(network_refusals);
}
END_TEST

START_TEST(test_odd_values_of_own_options_get_one_line_each)
{
	REFUSE_ALL(own_refusals);
}
END_TEST

START_TEST(test_unknown_and_old_words_get_a_hint)
{
	REFUSE_ALL(word_refusals);
}
END_TEST

START_TEST(test_errors_inside_netdev_name_the_word)
{
	REFUSE_ALL(netdev_refusals);
}
END_TEST

START_TEST(test_error_blames_the_option_that_set_the_value)
{
	refuse("--netdev|user,dhcpstart=10.0.2.9|--dhcpstart|10.0.3.1",
	       "--dhcpstart: '10.0.3.1': is outside of --net 10.0.2.0/24 (accepted: "
	       "10.0.2.1-10.0.2.254)");
}
END_TEST

START_TEST(test_too_many_of_a_repeatable_option_are_refused)
{
	char line[1024] = "";
	size_t n = 0;

	for (unsigned i = 0; i < OPTIONS_SEARCH_MAX; i++)
		n += (size_t)sprintf(line + n, ",dnssearch=d%u", i);
	memmove(line + sizeof("--netdev|user") - 1, line, n + 1);
	memcpy(line, "--netdev|user", sizeof("--netdev|user") - 1);
	accept(line);
	ck_assert_uint_eq(options.dnssearch.n, OPTIONS_SEARCH_MAX);
	strcat(line, ",dnssearch=more");
	refuse(line, "--netdev: dnssearch='more': at most 16 of them (accepted: NAME)");
}
END_TEST

START_TEST(test_longest_values_fit_and_longer_ones_are_refused)
{
	char line[512];
	size_t n = (size_t)sprintf(line, "--socket|");

	memset(line + n, 'x', 107);
	line[n + 107] = '\0';
	accept(line);
	ck_assert_uint_eq(strlen(options.socket), 107);
	strcat(line, "x");
	ck_assert_int_eq(parse(line), -EINVAL);
	ck_assert_ptr_nonnull(
	    strstr(error.text, "': has 108 bytes, at most 107 fit (accepted: PATH)"));

	n = (size_t)sprintf(line, "--domainname|");
	for (unsigned i = 0; i < 126; i++)
		n += (size_t)sprintf(line + n, "a.");
	strcpy(line + n, "b");
	accept(line);
	ck_assert_uint_eq(strlen(options.domainname), 253);
	strcpy(line + n, "bc");
	ck_assert_int_eq(parse(line), -EINVAL);
}
END_TEST

/* ---- forwards ---- */

START_TEST(test_forwards_default_to_dhcpstart_wherever_it_stands)
{
	accept("--hostfwd|tcp::2222-:22|--dhcpstart|10.0.2.77");
	assert_addr(&options.hostfwd.rule[0].guest_addr, "10.0.2.77");
	accept("--hostfwd|tcp::2222-10.0.2.20:22");
	assert_addr(&options.hostfwd.rule[0].guest_addr, "10.0.2.20");
	ck_assert(options.hostfwd.rule[0].guest_addr_given);
}
END_TEST

static void refuse_forward(const char *line, const char *start)
{
	ck_assert_msg(parse(line) == -EINVAL, "'%s' was accepted", line);
	ck_assert_msg(strncmp(error.text, start, strlen(start)) == 0, "'%s' gave %s", line,
		      error.text);
	ck_assert_msg(strstr(error.text, "accepted") != NULL, "no accepted form: %s", error.text);
	ck_assert_ptr_null(strchr(error.text, '\n'));
}

START_TEST(test_bad_forwards_are_refused_in_one_line)
{
	refuse_forward("--hostfwd|tcp::0-9-:22", "--hostfwd: ");
	refuse_forward("--hostfwd|tcp::70000-:22", "--hostfwd: ");
	refuse_forward("--hostfwd|tcp::2222-:0", "--hostfwd: ");
	refuse_forward("--hostfwd|garbage", "--hostfwd: ");
	refuse_forward("--hostfwd|", "--hostfwd: ");
	refuse_forward("--hostfwd|tcp::2222", "--hostfwd: ");
	refuse_forward("--netdev|user,hostfwd=tcp::70000-:22", "--netdev: hostfwd: ");
}
END_TEST

START_TEST(test_overlapping_forwards_are_refused)
{
	refuse_forward("--hostfwd|tcp::2222-:22|--hostfwd|tcp::2222-:23", "--hostfwd: ");
	refuse_forward("--hostfwd|tcp::2222-:22|--hostfwd|tcp:0.0.0.0:2222-:23", "--hostfwd: ");
	refuse_forward("--hostfwd|tcp::8000-8010-:8000-8010|--hostfwd|tcp::8005-:80",
		       "--hostfwd: ");
	refuse_forward("--netdev|user,hostfwd=tcp::2222-:22,hostfwd=tcp::2222-:23",
		       "--netdev: hostfwd=");
	accept("--hostfwd|tcp::2222-:22|--hostfwd|udp::2222-:22");
}
END_TEST

START_TEST(test_forwards_to_the_gateway_itself_are_refused)
{
	refuse_forward("--hostfwd|tcp::2222-10.0.2.2:22", "--hostfwd: ");
	refuse_forward("--hostfwd|tcp::2222-10.0.2.3:22", "--hostfwd: ");
	refuse_forward("--hostfwd|tcp::2222-10.0.2.255:22", "--hostfwd: ");
	refuse_forward("--hostfwd|tcp::2222-[fec0::2]:22", "--hostfwd: ");
	refuse_forward("--hostfwd|tcp::2222-[fec0::3]:22", "--hostfwd: ");
}
END_TEST

static Suite *options_suite(void)
{
	Suite *suite = suite_create("options");
	TCase *good = tcase_create("accepted"), *bad = tcase_create("refused"),
	      *forwards = tcase_create("forwards");

	tcase_add_test(good, test_guest_forwards_and_the_share_get_their_addresses);
	tcase_add_test(bad, test_guest_forwards_where_nothing_can_wait_are_refused);
	tcase_add_test(good, test_no_option_gives_qemus_network);
	tcase_add_test(good, test_course_book_string_means_what_it_means_in_qemu);
	tcase_add_test(good, test_long_options_equal_the_netdev_string);
	tcase_add_test(good, test_netdev_type_may_be_left_out_or_spelt_out);
	tcase_add_test(good, test_two_commas_are_one_in_a_value);
	tcase_add_test(good, test_booleans_take_all_of_qemus_spellings);
	tcase_add_test(good, test_last_one_counts_of_an_option_given_twice);
	tcase_add_test(good, test_net_without_a_length_follows_qemus_rule);
	tcase_add_test(good, test_net_takes_a_netmask_and_drops_host_bits);
	tcase_add_test(good, test_small_nets_get_addresses_that_are_hosts);
	tcase_add_test(good, test_dns_outside_of_the_net_is_somebody_elses);
	tcase_add_test(good, test_own_options_reach_their_fields);
	tcase_add_test(good, test_help_and_version_end_the_parsing);
	tcase_add_test(good, test_help_and_man_name_every_option);
	tcase_add_test(bad, test_odd_networks_get_one_line_each);
	tcase_add_test(bad, test_odd_values_of_own_options_get_one_line_each);
	tcase_add_test(bad, test_unknown_and_old_words_get_a_hint);
	tcase_add_test(bad, test_errors_inside_netdev_name_the_word);
	tcase_add_test(bad, test_error_blames_the_option_that_set_the_value);
	tcase_add_test(bad, test_too_many_of_a_repeatable_option_are_refused);
	tcase_add_test(bad, test_longest_values_fit_and_longer_ones_are_refused);
	tcase_add_test(forwards, test_forwards_default_to_dhcpstart_wherever_it_stands);
	tcase_add_test(forwards, test_bad_forwards_are_refused_in_one_line);
	tcase_add_test(forwards, test_overlapping_forwards_are_refused);
	tcase_add_test(forwards, test_forwards_to_the_gateway_itself_are_refused);
	suite_add_tcase(suite, good);
	suite_add_tcase(suite, bad);
	suite_add_tcase(suite, forwards);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(options_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
