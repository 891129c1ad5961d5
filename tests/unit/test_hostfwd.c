#include "hostfwd/hostfwd.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct hostfwd_rule R(const char *text) {
	char error[HOSTFWD_ERROR_MAX] = "";
	struct hostfwd_rule rule;

	ck_assert_msg(hostfwd_parse(text, &rule, error) == 0, "%s: %s", text, error);
	return rule;
}

START_TEST(test_accepted_rules_have_one_spelling)
{
	static const struct {
		const char *text, *same;
	} rows[] = {
	    {"tcp::3522-:22", "tcp::3522-:22"},
	    {"::3522-:22", "tcp::3522-:22"},
	    {"udp::5353-:53", "udp::5353-:53"},
	    {"tcp:0.0.0.0:80-:8080", "tcp:0.0.0.0:80-:8080"},
	    {"tcp:127.0.0.1:5555-10.0.2.16:22", "tcp:127.0.0.1:5555-10.0.2.16:22"},
	    {"tcp:[::]:80-[fec0::15]:80", "tcp:[::]:80-[fec0::15]:80"},
	    {"tcp:[::1]:80-:80", "tcp:[::1]:80-:80"},
	    {"tcp::8000-8010-:8000", "tcp::8000-8010-:8000"},
	    {"tcp::8000-8010-:8000-8010", "tcp::8000-8010-:8000"},
	    {"tcp::8000-8010-[fec0::15]:9000-9010", "tcp::8000-8010-[fec0::15]:9000"},
	    {"udp:10.1.2.3:8000-8010-10.0.2.99:9000", "udp:10.1.2.3:8000-8010-10.0.2.99:9000"},
	    {"tcp::80-80-:80-80", "tcp::80-:80"},
	    {"tcp::0-:22", "tcp::0-:22"},
	    {"tcp::65535-:65535", "tcp::65535-:65535"},
	    {"tcp::1-65535-:1", "tcp::1-65535-:1"},
	    {"tcp::2222-web:22", "tcp::2222-web:22"},
	    {"tcp::2222-web-1:22", "tcp::2222-web-1:22"},
	    {"tcp::8000-8010-web-1:8000", "tcp::8000-8010-web-1:8000"},
	    {"tcp::2222-2222-7-web:22", "tcp::2222-2222-7-web:22"},
	    {"tcp::0-0-7-web:22", "tcp::0-0-7-web:22"},
	    {"tcp::2222-@52:54:00:12:34:56:22", "tcp::2222-@52:54:00:12:34:56:22"},
	    {"udp::2222-@port12:22", "udp::2222-@port12:22"},
	    {"tcp::2222-:22,hold=30", "tcp::2222-:22,hold=30"},
	    {"tcp::80-81-web:80-81,hold=1", "tcp::80-81-web:80,hold=1"},
	    {"unix:/run/web.sock-:22", "unix:/run/web.sock-:22"},
	    {"unix:/run/a-b.sock-web:22", "unix:/run/a-b.sock-web:22"},
	    {"unix:/run/a-web-1:22,hold=5", "unix:/run/a-web-1:22,hold=5"},
	    {"unix:x:y-10.0.2.15:22", "unix:x:y-10.0.2.15:22"},
	    {"unix:/x-[fec0::15]:22", "unix:/x-[fec0::15]:22"},
	    {"unix:/x-@52:54:00:12:34:56:22", "unix:/x-@52:54:00:12:34:56:22"},
	};
	char text[HOSTFWD_TEXT_MAX];

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hostfwd_rule rule = R(rows[i].text);
		ck_assert_str_eq(hostfwd_format(&rule, text), rows[i].same);
	}
}
END_TEST

START_TEST(test_the_fields_of_a_full_rule)
{
	char text[ADDR_TEXT_MAX];
	struct hostfwd_rule rule = R("udp:[2001:db8::1]:8000-8010-10.0.2.99:9000-9010");

	ck_assert_int_eq(rule.proto, HOSTFWD_UDP);
	ck_assert(rule.host_addr_given && rule.guest_addr_given);
	ck_assert_str_eq(addr_format(&rule.host_addr, text), "2001:db8::1");
	ck_assert_str_eq(addr_format(&rule.guest_addr, text), "10.0.2.99");
	ck_assert_uint_eq(rule.host_port, 8000);
	ck_assert_uint_eq(rule.ports_n, 11);
	ck_assert_uint_eq(rule.guest_port, 9000);

	rule = R("tcp::1-65535-:1");
	ck_assert(!rule.host_addr_given && !rule.guest_addr_given);
	ck_assert_uint_eq(rule.ports_n, 65535);
	ck_assert_str_eq(rule.guest, "");

	rule = R("tcp::2222-web-1:22,hold=30");
	ck_assert_str_eq(rule.guest, "web-1");
	ck_assert(!rule.guest_addr_given);
	ck_assert_uint_eq(rule.ports_n, 1);
	ck_assert_uint_eq(rule.guest_port, 22);
	ck_assert_uint_eq(rule.hold_s, 30);

	rule = R("unix:/run/my-vm-web-1:22");
	ck_assert_str_eq(rule.path, "/run/my");
	ck_assert_str_eq(rule.guest, "vm-web-1");
	rule = R("unix:/run/my-vm.sock-web-1:22");
	ck_assert_str_eq(rule.path, "/run/my-vm.sock");
	ck_assert_str_eq(rule.guest, "web-1");
	ck_assert_int_eq(rule.proto, HOSTFWD_TCP);

	rule = R("tcp::2222-@52:54:00:12:34:56:22");
	ck_assert_str_eq(rule.guest, "@52:54:00:12:34:56");
}
END_TEST

START_TEST(test_the_longest_rule_fits_its_text)
{
	char text[HOSTFWD_TEXT_MAX];
	const char *full = "tcp:[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1]:10000-10009-"
			   "[2fff:ffff:ffff:ffff:ffff:ffff:ffff:fff2]:20000";
	struct hostfwd_rule rule = R(full);

	ck_assert_str_eq(hostfwd_format(&rule, text), full);
}
END_TEST

START_TEST(test_bad_rules_are_refused_by_their_bad_part)
{
	static const struct {
		const char *text, *expect;
	} rows[] = {
	    {"", "rule '' has no ':'"},
	    {"tcp", "rule 'tcp' has no ':'"},
	    {"garbage", "protocol 'garbage' is neither"},
	    {"TCP::22-:22", "protocol 'TCP' is neither"},
	    {"icmp::22-:22", "protocol 'icmp' is neither"},
	    {"tcp:22", "host address '22' has no ':' and port"},
	    {"tcp:22-:22", "host address '22-' is no IPv4"},
	    {"tcp:localhost:22-:22", "host address 'localhost' is no IPv4"},
	    {"tcp:10.1:22-:22", "host address '10.1' is no IPv4"},
	    {"tcp:[::1:22-:22", "host address '::1:22-:22' has no ']'"},
	    {"tcp:[::1]22-:22", "host address '::1' has no ':'"},
	    {"tcp:[127.0.0.1]:22-:22", "host address '127.0.0.1' is no IPv6"},
	    {"tcp:[]:22-:22", "host address '' is no IPv6"},
	    {"tcp:[::ffff:1.2.3.4]:22-:22", "host address '::ffff:1.2.3.4' is no IPv6"},
	    {"tcp:::1:22-:22", "host port ':1:22' is not a number"},
	    {"tcp::", "host port '' has no '-'"},
	    {"tcp::22", "host port '22' has no '-'"},
	    {"tcp::-:22", "host port '' is missing"},
	    {"tcp::70000-:22", "host port '70000' is over 65535"},
	    {"tcp::99999999999999999999-:22", "host port '99999999999999999999' is over"},
	    {"tcp::0x16-:22", "host port '0x16' is hexadecimal"},
	    {"tcp::022-:22", "host port '022' begins with 0"},
	    {"tcp:: 22-:22", "host port ' 22' is not a number"},
	    {"tcp::ssh-:22", "host port 'ssh' is not a number"},
	    {"tcp::+22-:22", "host port '+22' is not a number"},
	    {"tcp::8010-8000-:80", "host port '8010-8000' is a range that runs backwards"},
	    {"tcp::0-10-:80", "host port '0-10' is a range from 0"},
	    {"tcp::80--:80", "host port '' is missing"},
	    {"tcp::80-90-100-:80", "guest address '100-' is no IPv4"},
	    {"tcp::22-", "guest address '' has no ':' and port"},
	    {"tcp::22-22", "guest address '22' has no ':' and port"},
	    {"tcp::22-10.0.2.15", "guest address '10.0.2.15' has no ':' and port"},
	    {"tcp::22-10.0.2.256:22", "guest address '10.0.2.256' is no IPv4"},
	    {"tcp::22-0.0.0.0:22", "guest address '0.0.0.0' is not one a guest"},
	    {"tcp::22-127.0.0.1:22", "guest address '127.0.0.1' is not one a guest"},
	    {"tcp::22-[ff02::1]:22", "guest address '[ff02::1]' is not one a guest"},
	    {"tcp::22-[fec0::15]22", "guest address 'fec0::15' has no ':'"},
	    {"tcp::22-fec0::15:22", "guest address 'fec0' is no IPv4 address (IPv6: in [])"},
	    {"tcp::22-:", "guest port '' is missing"},
	    {"tcp::22-:0", "guest port '0' is not a port"},
	    {"tcp::22-:70000", "guest port '70000' is over 65535"},
	    {"tcp::22-:22x", "guest port '22x' is not a number"},
	    {"tcp::22-:22 ", "guest port '22 ' is not a number"},
	    {"tcp::22-:2\n2", "guest port '2?2' is not a number"},
	    {"tcp::22-:22:22", "guest port '22:22' is not a number"},
	    {"tcp::22-:22,tcp::23-:23", "guest port '22,tcp::23' is not a number"},
	    {"tcp::22-:22-", "guest port '' is missing"},
	    {"tcp::22-:22-23", "guest ports '22-23' are not as many"},
	    {"tcp::8000-8010-:8000-8009", "guest ports '8000-8009' are not as many"},
	    {"tcp::8000-8010-:8000-8010-8020", "guest port '8010-8020' is not a number"},
	    {"tcp::8000-8010-:65530", "guest port '65530' is too high"},
	    {"tcp::22-web-:22", "guest address 'web-' is no IPv4"},
	    {"tcp::22-300:22", "guest address '300' is no IPv4"},
	    {"tcp::22-web", "guest address 'web' has no ':' and port"},
	    {"tcp::22-web:", "guest port '' is missing"},
	    {"tcp::22-we b:22", "guest address 'we b' is no IPv4"},
	    {"tcp::22-@:22", "guest '@' is no '@', MAC"},
	    {"tcp::22-@52:54:00:12:34:5x:22", "guest '@52' is no '@', MAC"},
	    {"tcp::22-@a.b:22", "guest '@a.b' is no '@', MAC"},
	    {"tcp::22-@52:54:00:12:34:56", "guest '@52:54:00:12:34:56' has no ':'"},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char error[HOSTFWD_ERROR_MAX] = "";
		struct hostfwd_rule rule = {.host_port = 7};
		ck_assert_msg(hostfwd_parse(rows[i].text, &rule, error) == -EINVAL, "%s",
			      rows[i].text);
		ck_assert_msg(strstr(error, rows[i].expect) == error, "%s: %s", rows[i].text,
			      error);
		ck_assert_msg(strstr(error, "guestport[-last])") != NULL, "%s", error);
		ck_assert_ptr_null(strchr(error, '\n'));
		ck_assert_uint_eq(rule.host_port, 7);
	}
}
END_TEST

START_TEST(test_bad_holds_and_sockets_are_refused_by_their_bad_part)
{
	static const struct {
		const char *text, *expect;
	} rows[] = {
	    {"tcp::22-:22,hold=", "hold '' is not 1-3600 seconds (accepted: ,hold=SECONDS"},
	    {"tcp::22-:22,hold=0", "hold '0' is not 1-3600"},
	    {"tcp::22-:22,hold=3601", "hold '3601' is not 1-3600"},
	    {"tcp::22-:22,hold=99999999999999", "hold '99999999999999' is not 1-3600"},
	    {"tcp::22-:22,hold=5x", "hold '5x' is not 1-3600"},
	    {"tcp::22-:22,hold=5,hold=", "hold '' is not 1-3600"},
	    {"udp::22-:22,hold=5", "rule 'udp::22-:22,hold=5' is for udp"},
	    {"unix:", "path '' has no '-' and guest behind it (accepted: unix:PATH-"},
	    {"unix:/x", "path '/x' has no '-' and guest"},
	    {"unix:-:22", "path '' is missing"},
	    {"unix:/x-:0", "guest port '0' is not a port"},
	    {"unix:/x-:", "guest port '' is missing"},
	    {"unix:/x-:22-23", "guest address '23' has no ':'"},
	    {"unix:/a\nb-:22", "path '/a?b' has a control character"},
	    {"unix:/"
	     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	     "xxxxxxxxxxxxxxxxxxxxxxxx-:22",
	     "path '/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...' has more than 107 bytes"},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char error[HOSTFWD_ERROR_MAX] = "";
		struct hostfwd_rule rule;

		ck_assert_msg(hostfwd_parse(rows[i].text, &rule, error) == -EINVAL, "%s",
			      rows[i].text);
		ck_assert_msg(strstr(error, rows[i].expect) == error, "%s: %s", rows[i].text,
			      error);
	}
}
END_TEST

START_TEST(test_long_garbage_is_cut_and_the_form_is_still_told)
{
	char text[5000], error[HOSTFWD_ERROR_MAX];
	struct hostfwd_rule rule;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(hostfwd_parse(text, &rule, error), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "guestport[-last])"));
	memcpy(text, "tcp::22-", 8);
	text[sizeof(text) - 2] = ':';
	ck_assert_int_eq(hostfwd_parse(text, &rule, error), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "guestport[-last])"));
}
END_TEST

START_TEST(test_overlaps_are_found_and_neighbours_are_not)
{
	static const struct {
		const char *a, *b;
		bool overlap;
	} rows[] = {
	    {"tcp::80-:1", "tcp::80-:2", true},
	    {"tcp::80-:1", "udp::80-:1", false},
	    {"tcp::80-:1", "tcp::81-:1", false},
	    {"tcp::80-90-:1", "tcp::90-99-:1", true},
	    {"tcp::80-90-:1", "tcp::91-99-:1", false},
	    {"tcp::80-90-:1", "tcp::85-:1", true},
	    {"tcp::1-65535-:1", "tcp::65535-:1", true},
	    {"tcp::80-:1", "tcp:127.0.0.1:80-:1", true},
	    {"tcp::80-:1", "tcp:[::1]:80-:1", true},
	    {"tcp::80-:1", "tcp:0.0.0.0:80-:1", true},
	    {"tcp::80-:1", "tcp:[::]:80-:1", true},
	    {"tcp::80-:1", "tcp:127.0.0.2:80-:1", false},
	    {"tcp::80-:1", "tcp:[::2]:80-:1", false},
	    {"tcp:0.0.0.0:80-:1", "tcp:10.1.2.3:80-:1", true},
	    {"tcp:0.0.0.0:80-:1", "tcp:[::]:80-:1", false},
	    {"tcp:0.0.0.0:80-:1", "tcp:[::1]:80-:1", false},
	    {"tcp:[::]:80-:1", "tcp:[2001:db8::1]:80-:1", true},
	    {"tcp:10.0.0.1:80-:1", "tcp:10.0.0.2:80-:1", false},
	    {"tcp::0-:1", "tcp::0-:1", false},
	    {"tcp::0-:1", "tcp::1-5-:1", false},
	};

	for (unsigned i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		const char *first = i % 2 ? rows[i / 2].b : rows[i / 2].a;
		const char *second = i % 2 ? rows[i / 2].a : rows[i / 2].b;
		struct hostfwd_rule a = R(first), b = R(second);
		char error[HOSTFWD_ERROR_MAX] = "";
		struct hostfwd_table *table;

		ck_assert_int_eq(hostfwd_new(&table, 4), 0);
		ck_assert_int_eq(hostfwd_add(table, &a, error), 1);
		int result = hostfwd_add(table, &b, error);
		ck_assert_msg(result == (rows[i / 2].overlap ? -EEXIST : 2), "%s and %s: %d", first,
			      second, result);
		if (result < 0)
			ck_assert_msg(strstr(error, first) != NULL, "%s", error);
		hostfwd_free(table);
	}
}
END_TEST

START_TEST(test_rules_keep_their_numbers_and_walk_in_order)
{
	char error[HOSTFWD_ERROR_MAX], text[HOSTFWD_TEXT_MAX];
	struct hostfwd_table *table;

	ck_assert_int_eq(hostfwd_new(&table, 3), 0);
	ck_assert_int_eq(hostfwd_next(table, 0), 0);
	for (int i = 1; i <= 3; i++) {
		snprintf(text, sizeof(text), "tcp::%d-:22", 1000 + i);
		struct hostfwd_rule rule = R(text);
		ck_assert_int_eq(hostfwd_add(table, &rule, error), i);
	}
	struct hostfwd_rule more = R("tcp::2000-:22");
	ck_assert_int_eq(hostfwd_add(table, &more, error), -ENOSPC);
	ck_assert_int_eq(hostfwd_remove(table, 2), 0);
	ck_assert_int_eq(hostfwd_remove(table, 2), -ENOENT);
	ck_assert_int_eq(hostfwd_remove(table, 0), -ENOENT);
	ck_assert_int_eq(hostfwd_remove(table, -1), -ENOENT);
	ck_assert_int_eq(hostfwd_remove(table, 99), -ENOENT);
	ck_assert_ptr_null(hostfwd_get(table, 2));
	ck_assert_int_eq(hostfwd_add(table, &more, error), 4);
	ck_assert_uint_eq(hostfwd_get(table, 4)->host_port, 2000);
	ck_assert_uint_eq(hostfwd_get(table, 3)->host_port, 1003);
	ck_assert_int_eq(hostfwd_next(table, 0), 1);
	ck_assert_int_eq(hostfwd_next(table, 1), 3);
	ck_assert_int_eq(hostfwd_next(table, 3), 4);
	ck_assert_int_eq(hostfwd_next(table, 4), 0);
	ck_assert_ptr_null(hostfwd_get(table, 0));
	hostfwd_free(table);
	hostfwd_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostfwd");
	TCase *tc = tcase_create("hostfwd");
	tcase_add_test(tc, test_accepted_rules_have_one_spelling);
	tcase_add_test(tc, test_the_fields_of_a_full_rule);
	tcase_add_test(tc, test_the_longest_rule_fits_its_text);
	tcase_add_test(tc, test_bad_rules_are_refused_by_their_bad_part);
	tcase_add_test(tc, test_bad_holds_and_sockets_are_refused_by_their_bad_part);
	tcase_add_test(tc, test_long_garbage_is_cut_and_the_form_is_still_told);
	tcase_add_test(tc, test_overlaps_are_found_and_neighbours_are_not);
	tcase_add_test(tc, test_rules_keep_their_numbers_and_walk_in_order);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
