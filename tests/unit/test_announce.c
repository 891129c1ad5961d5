#include "stack/app/announce.h"
#include "tests/support/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static char *text;        /* what was said */
static bool without_ipv6; /* the host */

/* 'line' holds the arguments, split at '|'. */
static void say(const char *line, const char *socket_path, struct qemu_version qemu)
{
	static struct options options;
	struct announcement a = {.options = &options,
				 .socket_path = socket_path,
				 .qemu = qemu,
				 .ipv6_stays_here = without_ipv6};
	char copy[256], *rest = copy, *argv[8] = {(char *)"lwnat"};
	struct options_error error;
	int argc = 1;
	size_t len;
	FILE *out;

	strcpy(copy, line);
	while (rest && *line != '\0')
		argv[argc++] = strsep(&rest, "|");
	ck_assert_msg(options_parse(&options, argc, argv, &error) == 0, "%s", error.text);
	free(text);
	out = open_memstream(&text, &len);
	announce(out, &a);
	fclose(out);
}

static void assert_said(const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in:\n%s", part, text);
}

static const struct qemu_version old = {6, 2}, seven = {7, 2}, nine = {9, 1}, ten = {10, 2};

START_TEST(test_arguments_are_those_of_the_qemu_found)
{
	say("", "/run/s", seven);
	assert_said("for QEMU 7.2:\n  -netdev stream,id=net0,server=off,addr.type=unix,"
		    "addr.path=/run/s -device virtio-net-pci,netdev=net0\n");
	say("", "/run/s", nine);
	assert_said("addr.path=/run/s,reconnect=1 -device");
	say("", "/run/s", ten);
	assert_said("addr.path=/run/s,reconnect-ms=1000 -device");
	say("", "/run/s", old);
	assert_said("QEMU 6.2 is too old");
	say("", "/run/s", (struct qemu_version){0, 0});
	assert_said("7.2 and newer");
}
END_TEST

START_TEST(test_served_directory_is_said)
{
	say("--tftp|/srv/boot", "/run/s", seven);
	assert_said("\ntftp 10.0.2.2 -> /srv/boot (read only)\n");
	say("--boot|/srv/a\nb", "/run/s", seven);
	assert_said("\nboot tftp and http://10.0.2.2/ -> /srv/a?b (read only)\n");
	say("--boot|/srv|--ipv4|off", "/run/s", seven);
	assert_said("\nboot tftp and http://[fec0::2]/ -> /srv (read only)\n");
}
END_TEST

START_TEST(test_odd_names_are_escaped_for_qemu)
{
	say("--netdev|user,id=a,,b", "/run/x,y", seven);
	assert_said("id=a,,b,server=off");
	assert_said("addr.path=/run/x,,y -device virtio-net-pci,netdev=a,,b\n");
}
END_TEST

START_TEST(test_without_a_socket_there_is_nothing_to_paste)
{
	say("", NULL, seven);
	ck_assert_ptr_null(strstr(text, "-netdev"));
	assert_said("gateway 10.0.2.2");
}
END_TEST

START_TEST(test_large_mtu_is_told_to_the_network_card)
{
	say("--mtu|65520", "/run/s", seven);
	assert_said("netdev=net0,host_mtu=65520\n");
}
END_TEST

START_TEST(test_addresses_say_what_leads_where)
{
	say("", "/run/s", seven);
	assert_said("net 10.0.2.0/24\ngateway 10.0.2.2 (this host's own services too)\n"
		    "dns 10.0.2.3\ndhcp from 10.0.2.15\n");
	say("--net|172.16.1.0", "/run/s", seven);
	assert_said("net 172.16.0.0/12 (no length was given: /12 is what QEMU takes)\n");
	say("--no-host-loopback|--dns|9.9.9.9", "/run/s", seven);
	assert_said("gateway 10.0.2.2\ndns 9.9.9.9 (outside of the net: not lwnat's)\n");
	say("--restrict|on", "/run/s", seven);
	assert_said("gateway 10.0.2.2 (restricted: leads nowhere)\n"
		    "dns 10.0.2.3 (restricted: not served)\n");
}
END_TEST

START_TEST(test_each_family_that_is_on_has_its_addresses)
{
	say("--mtu|1300", "/run/s", seven);
	assert_said("dhcp from 10.0.2.15\nnet6 fec0::/64\n"
		    "gateway6 fec0::2 (this host's own services too)\n"
		    "dns6 fec0::3\ndhcp6 from fec0::15\n");
	say("--ipv6|off", "/run/s", seven);
	ck_assert_ptr_null(strstr(text, "net6"));
	say("--ipv6|on|--ipv6-net|fd00:7::/64|--hostfwd|tcp:[::1]:80-[fd00:8::1]:80", "/run/s",
	    seven);
	ck_assert_ptr_null(strstr(text, "10.0.2"));
	assert_said("net6 fd00:7::/64\ngateway6 fd00:7::2 ");
	assert_said("tcp [::1]:80 -> [fd00:8::1]:80 (outside of the net: ");
	say("--mtu|1000", "/run/s", seven);
	assert_said("no IPv6: it needs --mtu 1280 or more\n");
	say("--restrict|on", "/run/s", seven);
	assert_said("gateway6 fec0::2 (restricted: leads nowhere)\n"
		    "dns6 fec0::3 (restricted: not served)\n");
}
END_TEST

START_TEST(test_a_host_without_ipv6_is_said_to_have_none)
{
	static const char line[] = "this host has no IPv6 beyond itself";

	say("", "/run/s", seven);
	ck_assert_ptr_null(strstr(text, line));
	without_ipv6 = true;
	say("", "/run/s", seven);
	assert_said(line);
	say("--ipv6|off", "/run/s", seven);
	ck_assert_ptr_null(strstr(text, line));
	say("--restrict|on", "/run/s", seven);
	ck_assert_ptr_null(strstr(text, line));
}
END_TEST

START_TEST(test_forwards_say_where_they_are_bound_and_how_to_widen_them)
{
	say("--hostfwd|tcp::3522-:22", "/run/s", seven);
	assert_said("tcp localhost:3522 -> 10.0.2.15:22 (bound to localhost only; for all "
		    "interfaces write tcp:0.0.0.0:3522-:22)\n");
	say("--hostfwd|udp:0.0.0.0:53-10.0.2.20:5353", "/run/s", seven);
	assert_said("udp 0.0.0.0:53 -> 10.0.2.20:5353\n");
	say("--hostfwd|tcp:[::1]:8000-8010-:8000-8010", "/run/s", seven);
	assert_said("tcp [::1]:8000-8010 -> 10.0.2.15:8000-8010\n");
	say("--hostfwd|tcp:127.0.0.1:80-192.168.7.7:80", "/run/s", seven);
	assert_said("-> 192.168.7.7:80 (outside of the net: ");
	say("--hostfwd|tcp:127.0.0.1:2222-web:22,hold=9", "/run/s", seven);
	assert_said("tcp 127.0.0.1:2222 -> web:22 (a connection waits up to 9 s for the guest to "
		    "answer)\n");
	say("--hostfwd|unix:/run/w-@52:54:00:12:34:56:22", "/run/s", seven);
	assert_said("unix /run/w -> @52:54:00:12:34:56:22\n");
}
END_TEST

START_TEST(test_services_at_addresses_of_their_own_are_told)
{
	say("--guestfwd|::80-tcp:web:8080|--guestfwd|:10.0.2.9:7-cmd:cat -u|--smb|/srv/a\nb",
	    "/run/s", seven);
	assert_said("guests' 10.0.2.4:80 -> tcp web port 8080\n"
		    "guests' 10.0.2.9:7 -> command cat -u\n"
		    "guests' \\\\10.0.2.4\\qemu -> /srv/a?b (no password)\n");
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "announce", test_served_directory_is_said, test_arguments_are_those_of_the_qemu_found,
	    test_odd_names_are_escaped_for_qemu, test_without_a_socket_there_is_nothing_to_paste,
	    test_large_mtu_is_told_to_the_network_card, test_addresses_say_what_leads_where,
	    test_each_family_that_is_on_has_its_addresses,
	    test_a_host_without_ipv6_is_said_to_have_none,
	    test_forwards_say_where_they_are_bound_and_how_to_widen_them,
	    test_services_at_addresses_of_their_own_are_told);
}
