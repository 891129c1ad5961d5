/* QEMU's command line: which networks are taken out of it, what stands there instead, and the exact
 * line where QEMU would refuse. */
#include "stack/app/run_args.h"
#include "stack/app/shell_quote.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARGS_MAX 24
#define FIRST_FD 20

static const struct qemu_version v72 = {7, 2}, v71 = {7, 1}, v10 = {10, 0}, unknown = {0, 0};

static struct run_plan plan;
static char *error;

/* 'line' is split at '|'. */
static int make(const char *line)
{
	char *argv[ARGS_MAX + 1] = {NULL}, *copy = strdup(line), *rest = copy;
	int argc = 0, result;

	while (rest) {
		ck_assert_int_lt(argc, ARGS_MAX);
		argv[argc++] = strsep(&rest, "|");
	}
	result = run_plan_make(&plan, argv, &error);
	free(copy);
	return result;
}

/* What QEMU is handed, and each network as "NAME:NETDEV"; all joined with '|'. */
static void rewrite(const char *line, struct qemu_version version, const char *wanted)
{
	char got[2048] = "";
	size_t n = 0;

	ck_assert_msg(make(line) == 0, "'%s' was refused: %s", line, error);
	for (unsigned i = 0; i < plan.networks_n; i++)
		ck_assert_int_eq(run_plan_connect(&plan, i, FIRST_FD + (int)i, version), 0);
	for (unsigned i = 0; i < plan.argc; i++)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%s", i ? "|" : "", plan.argv[i]);
	for (unsigned i = 0; i < plan.networks_n; i++)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "|%s:%s", plan.network[i].name,
				      plan.network[i].netdev);
	ck_assert_ptr_null(plan.argv[plan.argc]);
	ck_assert_msg(strcmp(got, wanted) == 0, "'%s' became\n%s\ninstead of\n%s", line, got,
		      wanted);
	run_plan_free(&plan);
}

static void unchanged(const char *line)
{
	rewrite(line, v72, line);
}

static void refuse(const char *line, const char *wanted)
{
	ck_assert_msg(make(line) == -EINVAL, "'%s' was accepted", line);
	ck_assert_msg(strcmp(error, wanted) == 0, "'%s' gave\n%s\ninstead of\n%s", line, error,
		      wanted);
	free(error);
}

/* ---- what is rewritten ---- */

START_TEST(test_board_course_line_keeps_all_but_its_netdev)
{
	rewrite("qemu-system-riscv64|-M|virt|-netdev|user,id=net0,net=192.168.31.0/24,"
		"dhcpstart=192.168.31.100,hostfwd=tcp::3522-:22|-device|"
		"virtio-net-device,netdev=net0|-append|console=ttyS0 a=\"b c\"",
		v72,
		"qemu-system-riscv64|-M|virt|-netdev|stream,id=net0,addr.type=fd,addr.str=20|"
		"-device|virtio-net-device,netdev=net0|-append|console=ttyS0 a=\"b c\"|"
		"net0:user,net=192.168.31.0/24,dhcpstart=192.168.31.100,hostfwd=tcp::3522-:22");
}
END_TEST

START_TEST(test_netdev_form_follows_the_version)
{
	rewrite("q|-netdev|user,id=n", v10,
		"q|-netdev|stream,id=n,addr.type=fd,addr.str=20|n:user");
	rewrite("q|-netdev|user,id=n", v71, "q|-netdev|socket,fd=20,id=n|n:user");
	rewrite("q|-netdev|user,id=n", unknown, "q|-netdev|socket,fd=20,id=n|n:user");
}
END_TEST

/* QEMU's -nic and -net know no stream network, but this one, which speaks the same. */
START_TEST(test_nic_keeps_model_mac_and_id)
{
	rewrite("q|-nic|user,model=virtio-net-pci,mac=52:54:00:12:34:57,id=lan,hostfwd=tcp::1-:2",
		v10,
		"q|-nic|socket,fd=20,model=virtio-net-pci,mac=52:54:00:12:34:57,id=lan|"
		"lan:user,hostfwd=tcp::1-:2");
	rewrite("q|-nic|model=e1000", v72, "q|-nic|socket,fd=20,model=e1000|nic0:user");
	rewrite("q|-nic|hostname=x", v72, "q|-nic|socket,fd=20|nic0:user,hostname=x");
	rewrite("q|-nic|mac=52:54:00:12:34:57,type=user", v72,
		"q|-nic|socket,fd=20,mac=52:54:00:12:34:57|nic0:user");
}
END_TEST

START_TEST(test_net_user_is_served_and_net_nic_stays)
{
	rewrite("q|-net|nic,model=e1000,macaddr=52:54:00:12:34:57|-net|user,net=10.9.9.0/24", v72,
		"q|-net|nic,model=e1000,macaddr=52:54:00:12:34:57|-net|socket,fd=20|"
		"nic0:user,net=10.9.9.0/24");
	rewrite("q|-net|user,id=u|-net|nic", v72, "q|-net|socket,fd=20,id=u|-net|nic|u:user");
}
END_TEST

START_TEST(test_each_nic_is_a_network_of_its_own)
{
	rewrite("q|-netdev|user,id=a|-nic|user|-netdev|tap,id=t|-netdev|user,id=b,restrict=on|"
		"-nic|user",
		v72,
		"q|-netdev|stream,id=a,addr.type=fd,addr.str=20|-nic|socket,fd=21|-netdev|"
		"tap,id=t|-netdev|stream,id=b,addr.type=fd,addr.str=22|-nic|socket,fd=23|"
		"a:user|nic1:user|b:user,restrict=on|nic3:user");
}
END_TEST

START_TEST(test_two_dashes_are_one_to_qemu)
{
	rewrite("q|--netdev|user,id=n|--nic|none", v72,
		"q|--netdev|stream,id=n,addr.type=fd,addr.str=20|--nic|none|n:user");
}
END_TEST

START_TEST(test_type_may_stand_anywhere)
{
	rewrite("q|-netdev|id=n,type=user,restrict=on", v72,
		"q|-netdev|stream,id=n,addr.type=fd,addr.str=20|n:user,restrict=on");
	rewrite("q|-netdev|type=user,id=n", v72,
		"q|-netdev|stream,id=n,addr.type=fd,addr.str=20|n:user");
}
END_TEST

START_TEST(test_bare_words_are_on_and_off)
{
	rewrite("q|-netdev|user,id=n,restrict,noipv6", v72,
		"q|-netdev|stream,id=n,addr.type=fd,addr.str=20|n:user,restrict=on,ipv6=off");
}
END_TEST

START_TEST(test_commas_in_values_stay_doubled)
{
	rewrite("q|-netdev|user,id=n,bootfile=a,,b,,,,c,hostname=h", v72,
		"q|-netdev|stream,id=n,addr.type=fd,addr.str=20|"
		"n:user,bootfile=a,,b,,,,c,hostname=h");
}
END_TEST

START_TEST(test_old_word_for_the_network_is_known)
{
	rewrite("q|-netdev|user,id=n,ip=10.1.0.0/16", v72,
		"q|-netdev|stream,id=n,addr.type=fd,addr.str=20|n:user,net=10.1.0.0/16");
}
END_TEST

START_TEST(test_json_is_read_as_the_words_are)
{
	rewrite("q|-netdev|{\"type\": \"user\", \"id\": \"n\", \"restrict\": true, \"ipv6\": "
		"false, \"ipv6-prefixlen\": 64, \"bootfile\": \"a,b\", \"hostfwd\": "
		"[{\"str\": \"tcp::1-:2\"}, {\"str\": \"tcp::3-:4\"}]}",
		v72,
		"q|-netdev|stream,id=n,addr.type=fd,addr.str=20|n:user,restrict=on,ipv6=off,"
		"ipv6-prefixlen=64,bootfile=a,,b,hostfwd=tcp::1-:2,hostfwd=tcp::3-:4");
}
END_TEST

/* QEMU makes a NIC and a user network when nobody speaks of any. */
START_TEST(test_default_network_is_served)
{
	rewrite("q|-m|1G|disk.img", v72, "q|-m|1G|disk.img|-nic|socket,fd=20|nic0:user");
	unchanged("q|-nodefaults|-m|1G");
	unchanged("q|--version");
	unchanged("q|-readconfig|file");
}
END_TEST

/* ---- what is none of ours ---- */

START_TEST(test_other_networks_stay_as_they_are)
{
	unchanged("q|-nic|none");
	unchanged("q|-net|none");
	unchanged("q|-nic|tap,ifname=tap0,script=no");
	unchanged("q|-netdev|tap,id=n,ifname=t|-device|e1000,netdev=n");
	unchanged("q|-netdev|socket,id=user,listen=:1234");
	unchanged("q|-netdev|stream,id=n,addr.type=unix,addr.path=/x,,y");
	unchanged("q|-netdev|help");
	unchanged("q|-netdev|{\"type\": \"tap\", \"id\": \"n\"}");
	unchanged("q|-net|nic");
}
END_TEST

/* Nothing is made of what QEMU itself will refuse. */
START_TEST(test_what_qemu_refuses_reaches_it)
{
	unchanged("q|-netdev");
	unchanged("q|-netdev=user,id=n|-nic|none");
	unchanged("q|--netdev=user,id=n|-nic|none");
	unchanged("q|-netdev|{\"type\": \"user\"");
	unchanged("q|-netdev|USER,id=n");
	unchanged("q|-netdev|");
	unchanged("q|-net|{\"type\": \"user\"}");
}
END_TEST

START_TEST(test_text_that_looks_like_an_option_is_text)
{
	unchanged("q|-append|-netdev|user,id=n|-nic|none");
	unchanged("q|-name|-nic|-net|none");
	unchanged("q|-nic|none|-device|-netdev");
}
END_TEST

START_TEST(test_unknown_word_gets_qemus_line)
{
	refuse("/usr/bin/qemu-system-x86_64|-netdev|user,id=n,foo=bar",
	       "qemu-system-x86_64: -netdev user,id=n,foo=bar: Invalid parameter 'foo'");
	refuse("q|-nic|user,vlan=1", "q: -nic user,vlan=1: Invalid parameter 'vlan'");
	refuse("q|--net|user,script=no", "q: --net user,script=no: Invalid parameter 'script'");
	refuse("q|-netdev|user,id=n,nonsense",
	       "q: -netdev user,id=n,nonsense: Invalid parameter 'nsense'");
	refuse("q|-netdev|user,id=n,model=e1000",
	       "q: -netdev user,id=n,model=e1000: Invalid parameter 'model'");
	refuse("q|-netdev|{\"type\":\"user\",\"id\":\"n\",\"foo\":1}",
	       "q: -netdev {\"type\":\"user\",\"id\":\"n\",\"foo\":1}: Parameter 'foo' is "
	       "unexpected");
	refuse("q|-netdev|user", "q: -netdev user: Parameter 'id' is missing");
}
END_TEST

START_TEST(test_networks_are_limited)
{
	char line[1024] = "q";

	for (unsigned i = 0; i < RUN_NETWORKS_MAX + 1; i++)
		strcat(line, "|-nic|user");
	ck_assert_uint_gt(ARGS_MAX * 2, RUN_NETWORKS_MAX * 2);
	{
		char *argv[2 * RUN_NETWORKS_MAX + 4] = {NULL}, *rest = line;

		for (int argc = 0; rest; argc++)
			argv[argc] = strsep(&rest, "|");
		ck_assert_int_eq(run_plan_make(&plan, argv, &error), -EINVAL);
	}
	ck_assert_str_eq(error, "lwnat run: more than 16 user networks");
	free(error);
}
END_TEST

START_TEST(test_id_that_is_no_name_is_not_taken_for_one)
{
	rewrite("q|-nic|user,id=1x", v72, "q|-nic|socket,fd=20,id=1x|nic0:user");
	rewrite("q|-nic|user,id=../x", v72, "q|-nic|socket,fd=20,id=../x|nic0:user");
}
END_TEST

/* ---- quoting ---- */

static void quoted(const char *text, const char *wanted)
{
	char *got, command[256], back[128] = "";
	size_t len;
	FILE *out = open_memstream(&got, &len);

	shell_quote(out, text);
	fclose(out);
	ck_assert_str_eq(got, wanted);
	snprintf(command, sizeof(command), "printf %%s %s", got);
	out = popen(command, "r");
	len = fread(back, 1, sizeof(back) - 1, out);
	pclose(out);
	ck_assert_uint_eq(len, strlen(text));
	ck_assert_str_eq(back, text);
	free(got);
}

START_TEST(test_shell_reads_quoted_words_back)
{
	quoted("plain-1.0,x=y:/a@b%+_", "plain-1.0,x=y:/a@b%+_");
	quoted("", "''");
	quoted("a b", "'a b'");
	quoted("it's", "'it'\\''s'");
	quoted("$HOME `x` \"y\" \\ *", "'$HOME `x` \"y\" \\ *'");
	quoted("a\nb", "'a\nb'");
	quoted("~", "'~'");
	quoted("#x", "'#x'");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("run_args");
	TCase *tc = tcase_create("rewriting");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, test_board_course_line_keeps_all_but_its_netdev);
	tcase_add_test(tc, test_netdev_form_follows_the_version);
	tcase_add_test(tc, test_nic_keeps_model_mac_and_id);
	tcase_add_test(tc, test_net_user_is_served_and_net_nic_stays);
	tcase_add_test(tc, test_each_nic_is_a_network_of_its_own);
	tcase_add_test(tc, test_two_dashes_are_one_to_qemu);
	tcase_add_test(tc, test_type_may_stand_anywhere);
	tcase_add_test(tc, test_bare_words_are_on_and_off);
	tcase_add_test(tc, test_commas_in_values_stay_doubled);
	tcase_add_test(tc, test_old_word_for_the_network_is_known);
	tcase_add_test(tc, test_json_is_read_as_the_words_are);
	tcase_add_test(tc, test_default_network_is_served);
	tcase_add_test(tc, test_other_networks_stay_as_they_are);
	tcase_add_test(tc, test_what_qemu_refuses_reaches_it);
	tcase_add_test(tc, test_text_that_looks_like_an_option_is_text);
	tcase_add_test(tc, test_unknown_word_gets_qemus_line);
	tcase_add_test(tc, test_networks_are_limited);
	tcase_add_test(tc, test_id_that_is_no_name_is_not_taken_for_one);
	tcase_add_test(tc, test_shell_reads_quoted_words_back);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
