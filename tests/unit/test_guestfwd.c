#include "hostfwd/guestfwd.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct guestfwd_rule R(const char *text) {
	char error[GUESTFWD_ERROR_MAX] = "";
	struct guestfwd_rule rule;

	ck_assert_msg(guestfwd_parse(text, &rule, error) == 0, "%s: %s", text, error);
	return rule;
}

START_TEST(test_accepted_rules_have_one_spelling)
{
	static const struct {
		const char *text, *same;
	} rows[] = {
	    {"tcp:10.0.2.100:80-tcp:127.0.0.1:8080", "tcp:10.0.2.100:80-tcp:127.0.0.1:8080"},
	    {":10.0.2.100:80-tcp:web.example:80", "tcp:10.0.2.100:80-tcp:web.example:80"},
	    {"tcp::80-unix:/run/x y,z", "tcp::80-unix:/run/x y,z"},
	    {"tcp:10.0.2.100:7-cmd:netcat 10.10.1.1 4321",
	     "tcp:10.0.2.100:7-cmd:netcat 10.10.1.1 4321"},
	    {"tcp:10.0.2.100:7-cmd:a-b:c;d|e 'f'", "tcp:10.0.2.100:7-cmd:a-b:c;d|e 'f'"},
	    {"tcp:[fec0::100]:80-tcp:[::1]:80", "tcp:[fec0::100]:80-tcp:[::1]:80"},
	    {"tcp:10.0.2.100:80-tcp:h:1,nodelay,reconnect=1", "tcp:10.0.2.100:80-tcp:h:1"},
	    {"tcp:10.0.2.100:65535-tcp:h_1.x-y:65535", "tcp:10.0.2.100:65535-tcp:h_1.x-y:65535"},
	};
	char text[GUESTFWD_TEXT_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct guestfwd_rule rule = R(rows[i].text);
		ck_assert_str_eq(guestfwd_format(&rule, text), rows[i].same);
	}
}
END_TEST

START_TEST(test_the_fields_of_rules)
{
	struct guestfwd_rule rule = R("tcp:10.0.2.100:80-tcp:[2001:db8::1]:8080");
	char text[ADDR_TEXT_MAX];

	ck_assert_int_eq(rule.kind, GUESTFWD_TCP);
	ck_assert(rule.addr_given);
	ck_assert_str_eq(addr_format(&rule.addr, text), "10.0.2.100");
	ck_assert_uint_eq(rule.port, 80);
	ck_assert_str_eq(rule.target, "2001:db8::1");
	ck_assert_uint_eq(rule.target_port, 8080);
	rule = R("::80-unix:/tmp/s");
	ck_assert(!rule.addr_given);
	ck_assert_int_eq(rule.kind, GUESTFWD_UNIX);
	ck_assert_str_eq(rule.target, "/tmp/s");
	rule = R("::80-cmd: cat");
	ck_assert_int_eq(rule.kind, GUESTFWD_CMD);
	ck_assert_str_eq(rule.target, " cat");
}
END_TEST

START_TEST(test_refused_rules_name_the_bad_part)
{
	static const struct {
		const char *text, *part;
	} rows[] = {
	    {"", "rule ''"},
	    {"tcp", "rule 'tcp'"},
	    {"udp:10.0.2.100:80-tcp:h:1", "protocol 'udp'"},
	    {"tcp:10.0.2.100", "address '10.0.2.100'"},
	    {"tcp:10.0.2:80-tcp:h:1", "address '10.0.2'"},
	    {"tcp:fec0::1:80-tcp:h:1", "address 'fec0'"},
	    {"tcp:[10.0.2.1]:80-tcp:h:1", "address '10.0.2.1'"},
	    {"tcp:[fec0::1:80-tcp:h:1", "address 'fec0::1:80-tcp:h:1'"},
	    {"tcp:[]:80-tcp:h:1", "address ''"},
	    {"tcp:10.0.2.100:80", "port '80' has no '-'"},
	    {"tcp:10.0.2.100:-tcp:h:1", "port ''"},
	    {"tcp:10.0.2.100:0-tcp:h:1", "port '0'"},
	    {"tcp:10.0.2.100:080-tcp:h:1", "port '080'"},
	    {"tcp:10.0.2.100:65536-tcp:h:1", "port '65536'"},
	    {"tcp:10.0.2.100:8x-tcp:h:1", "port '8x'"},
	    {"tcp:10.0.2.100:80-", "target ''"},
	    {"tcp:10.0.2.100:80-x", "target 'x'"},
	    {"tcp:10.0.2.100:80-chardev:c0", "is a character device of QEMU's"},
	    {"tcp:10.0.2.100:80-file:/x", "is a character device of QEMU's"},
	    {"tcp:10.0.2.100:80-pty", "is a character device of QEMU's"},
	    {"tcp:10.0.2.100:80-udp:h:1", "is a character device of QEMU's"},
	    {"tcp:10.0.2.100:80-tcp:h", "target host 'h'"},
	    {"tcp:10.0.2.100:80-tcp::1", "target host ''"},
	    {"tcp:10.0.2.100:80-tcp:h h:1", "target host 'h h'"},
	    {"tcp:10.0.2.100:80-tcp:h:0", "port '0'"},
	    {"tcp:10.0.2.100:80-tcp:h:1,server=on", "option 'server=on'"},
	    {"tcp:10.0.2.100:80-tcp:[::1:1", "target host '::1:1'"},
	    {"tcp:10.0.2.100:80-unix:", "target path ''"},
	    {"tcp:10.0.2.100:80-unix:/x,server,nowait", "target '/x,server,nowait'"},
	    {"tcp:10.0.2.100:80-cmd:", "command ''"},
	    {"tcp:10.0.2.100:80-cmd: \t", "command ' ?'"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char error[GUESTFWD_ERROR_MAX] = "";
		struct guestfwd_rule rule;

		ck_assert_msg(guestfwd_parse(rows[i].text, &rule, error) == -EINVAL, "'%s' taken",
			      rows[i].text);
		ck_assert_msg(strstr(error, rows[i].part), "'%s': %s", rows[i].text, error);
		ck_assert_ptr_nonnull(strstr(error, "(accepted: "));
		ck_assert_ptr_null(strchr(error, '\n'));
	}
}
END_TEST

START_TEST(test_long_targets_are_refused_not_cut)
{
	char text[1200] = "tcp:10.0.2.100:80-unix:", error[GUESTFWD_ERROR_MAX];
	size_t at = strlen(text);
	struct guestfwd_rule rule;

	memset(text + at, 'x', 107);
	ck_assert_int_eq(guestfwd_parse(text, &rule, error), 0);
	memset(text + at, 'x', 108);
	ck_assert_int_eq(guestfwd_parse(text, &rule, error), -EINVAL);
	strcpy(text + at - 5, "cmd:");
	at = strlen(text);
	memset(text + at, 'x', GUESTFWD_TARGET_MAX - 1);
	text[at + GUESTFWD_TARGET_MAX - 1] = '\0';
	ck_assert_int_eq(guestfwd_parse(text, &rule, error), 0);
	memset(text + at, 'x', GUESTFWD_TARGET_MAX);
	text[at + GUESTFWD_TARGET_MAX] = '\0';
	ck_assert_int_eq(guestfwd_parse(text, &rule, error), -EINVAL);
}
END_TEST

START_TEST(test_rules_overlap_only_at_one_address_and_port)
{
	struct guestfwd_rule a = R("tcp:10.0.2.100:80-cmd:x"), b = R("tcp:10.0.2.101:80-cmd:x"),
			     c = R("tcp:10.0.2.100:81-cmd:x"), d = R(":10.0.2.100:80-unix:/x");

	ck_assert(!guestfwd_overlap(&a, &b));
	ck_assert(!guestfwd_overlap(&a, &c));
	ck_assert(guestfwd_overlap(&a, &d));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guestfwd");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, test_accepted_rules_have_one_spelling);
	tcase_add_test(tc, test_the_fields_of_rules);
	tcase_add_test(tc, test_refused_rules_name_the_bad_part);
	tcase_add_test(tc, test_long_targets_are_refused_not_cut);
	tcase_add_test(tc, test_rules_overlap_only_at_one_address_and_port);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
