/* The program as its user meets it: arguments, exit status, one line per error, the socket file. */
#include "tests/support/process.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct process_place place;
static struct process first, second;

static void make_place(void)
{
	process_place_make(&place);
}

static void clean_up(void)
{
	process_kill(&first);
	process_kill(&second);
	process_place_remove(&place);
}

static void start(struct process *p, const char *line)
{
	process_start(p, &place, line);
}

static unsigned lines_in(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

/* ---- what is left behind ---- */

static void assert_no_socket_file(void)
{
	ck_assert_msg(access(place.socket_path, F_OK) < 0 && errno == ENOENT, "%s is left",
		      place.socket_path);
}

static void assert_untouched(const char *line)
{
	struct dirent *entry;
	DIR *dir = opendir(place.dir);

	while ((entry = readdir(dir)) != NULL)
		ck_assert_msg(entry->d_name[0] == '.', "'%s' left %s", line, entry->d_name);
	closedir(dir);
}

static void refuse(const char *line, int status, const char *part)
{
	process_run(&first, &place, line);
	ck_assert_msg(first.status == status, "'%s' ended with %d: %s", line, first.status,
		      first.err_text);
	ck_assert_msg(lines_in(first.err_text) == 1, "'%s' said: %s", line, first.err_text);
	ck_assert_msg(strncmp(first.err_text, "lwnat: ", 7) == 0, "'%s' said: %s", line,
		      first.err_text);
	ck_assert_msg(strstr(first.err_text, part) != NULL, "'%s' said: %s", line, first.err_text);
	ck_assert_msg(first.out_len == 0, "'%s' said on stdout: %s", line, first.out_text);
	assert_no_socket_file();
}

START_TEST(test_bad_usage_is_one_line_and_status_2)
{
	static const char *const rows[][2] = {
	    {"--net|10.0.2.0/33", "--net: '10.0.2.0/33': prefix must be 8-30"},
	    {"--net|10.0.2.0/31", "--net: '10.0.2.0/31': prefix must be 8-30"},
	    {"--net|garbage", "--net: 'garbage'"},
	    {"--dhcpstart|192.168.1.1", "--dhcpstart: '192.168.1.1': is outside of --net"},
	    {"--host|10.0.2.9|--dns|10.0.2.9", "--dns: '10.0.2.9': is both"},
	    {"--hostfwd|tcp::0-9-:22", "--hostfwd: "},
	    {"--hostfwd|tcp::70000-:22", "--hostfwd: "},
	    {"--hostfwd|tcp::2222-:70000", "--hostfwd: "},
	    {"--hostfwd|rubbish", "--hostfwd: "},
	    {"--hostfwd|tcp::2222-:22|--hostfwd|tcp::2222-:23", "--hostfwd: "},
	    {"--netdev|user,net=10.0.2.0/32", "--netdev: net='10.0.2.0/32': prefix must be 8-30"},
	    {"--netdev|user,hostfwd=tcp::22-:0", "--netdev: hostfwd: guest port '0'"},
	    {"--netdev|tap", "--netdev: 'tap': only user networks are served"},
	    {"--guestfwd|tcp:1.2.3.4:5-cmd:x", "--guestfwd: '1.2.3.4': is outside of --net"},
	    {"--ipv4|off|--ipv6|off", "--ipv4: 'off': IPv4 and IPv6 are both off"},
	    {"--nett|1", "did you mean --net?"},
	    {"--mtu|70000", "--mtu: '70000'"},
	    {"--socket", "--socket: needs a value"},
	    {"--name|../../etc/x", "--name: "},
	    {"--x\ny", "'--x\\x0ay': unknown option"},
	    {"-redir|tcp:5555::22", "--hostfwd tcp::5555-:22"},
	    {"-net|user", "--netdev"},
	    {"extra", "'extra': unexpected argument"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		refuse(rows[i][0], 2, rows[i][1]);
		assert_untouched(rows[i][0]);
	}
}
END_TEST

START_TEST(test_help_and_version_go_to_standard_output)
{
	static const char *const lines[] = {"--help", "-h", "--version", "-V"};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		process_run(&first, &place, lines[i]);
		ck_assert_int_eq(first.status, 0);
		ck_assert_uint_eq(first.err_len, 0);
		ck_assert_ptr_nonnull(strstr(first.out_text, "lwnat"));
		assert_untouched(lines[i]);
	}
}
END_TEST

/* A listening socket on 127.0.0.1; the port it got. */
static int listen_on_host(uint16_t *ret_port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(addr);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

/* A port that nobody has, for now. */
static uint16_t free_port(void)
{
	uint16_t port;

	close(listen_on_host(&port));
	return port;
}

/* ---- start and end ---- */

static void assert_said(const char *text)
{
	ck_assert_msg(strstr(first.out_text, text) != NULL, "no '%s' in %s", text, first.out_text);
}

START_TEST(test_start_says_what_to_paste_and_where_all_is)
{
	unsigned tcp = free_port(), udp = free_port();
	char text[256];

	snprintf(text, sizeof(text),
		 "--netdev|user,id=n1,net=192.168.31.0/24,dhcpstart=192.168.31.100,"
		 "hostfwd=tcp::%u-:22,hostfwd=udp:127.0.0.1:%u-:53",
		 tcp, udp);
	start(&first, text);
	assert_said("-netdev stream,id=n1,server=off,");
	assert_said(place.socket_path);
	assert_said("netdev=n1\n");
	assert_said("net 192.168.31.0/24\n");
	assert_said("gateway 192.168.31.2 ");
	assert_said("dns 192.168.31.3\n");
	assert_said("dhcp from 192.168.31.100\n");
	snprintf(text, sizeof(text),
		 "tcp localhost:%u -> 192.168.31.100:22 (bound to localhost only; for all "
		 "interfaces write tcp:0.0.0.0:%u-:22)\n",
		 tcp, tcp);
	assert_said(text);
	snprintf(text, sizeof(text), "udp 127.0.0.1:%u -> 192.168.31.100:53\n", udp);
	assert_said(text);
}
END_TEST

START_TEST(test_class_rule_is_said_at_start)
{
	start(&first, "--net|192.168.31.0");
	ck_assert_ptr_nonnull(strstr(
	    first.out_text, "net 192.168.0.0/16 (no length was given: /16 is what QEMU takes)\n"));
}
END_TEST

static void assert_ends_well(int signal)
{
	struct stat st;
	char dir[128];

	start(&first, "");
	ck_assert_int_eq(lstat(place.socket_path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	snprintf(dir, sizeof(dir), "%s/lwnat", place.dir);
	ck_assert_int_eq(lstat(dir, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(kill(first.pid, signal), 0);
	process_finish(&first);
	ck_assert_int_eq(first.status, 0);
	ck_assert_msg(first.err_len == 0, "said: %s", first.err_text);
	assert_no_socket_file();
}

START_TEST(test_signals_end_it_and_remove_the_socket)
{
	assert_ends_well(SIGTERM);
	assert_ends_well(SIGINT);
	assert_ends_well(SIGHUP);
}
END_TEST

START_TEST(test_guests_attached_at_the_end_are_let_go)
{
	int guest;
	char bytes[512];

	start(&first, "");
	guest = guest_connect(place.socket_path);
	ck_assert_int_eq(kill(first.pid, SIGTERM), 0);
	process_finish(&first);
	ck_assert_int_eq(first.status, 0);
	while (read(guest, bytes, sizeof(bytes)) > 0)
		; /* a router advertisement */
	close(guest);
	assert_no_socket_file();
}
END_TEST

START_TEST(test_socket_of_a_dead_process_is_replaced)
{
	start(&first, "");
	process_kill(&first);
	ck_assert_int_eq(access(place.socket_path, F_OK), 0);
	start(&second, "");
	close(guest_connect(place.socket_path));
}
END_TEST

START_TEST(test_socket_of_a_live_process_is_refused_and_kept)
{
	start(&first, "");
	process_run(&second, &place, "");
	ck_assert_int_eq(second.status, 1);
	ck_assert_uint_eq(lines_in(second.err_text), 1);
	ck_assert_ptr_nonnull(strstr(second.err_text, "another lwnat listens there"));
	close(guest_connect(place.socket_path));
}
END_TEST

START_TEST(test_other_names_are_other_networks)
{
	char path[128];

	start(&first, "");
	start(&second, "--name|second");
	snprintf(path, sizeof(path), "%s/lwnat/second.sock", place.dir);
	close(guest_connect(place.socket_path));
	close(guest_connect(path));
}
END_TEST

START_TEST(test_file_in_the_sockets_place_is_kept)
{
	char path[128], line[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/precious", place.dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(line, sizeof(line), "--socket|%s", path);
	refuse(line, 1, "is there already and no socket");
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
}
END_TEST

START_TEST(test_socket_in_a_missing_directory_is_one_line)
{
	refuse("--socket|/nonexistent/dir/s", 1, "--socket: '/nonexistent/dir/s'");
}
END_TEST

START_TEST(test_ready_fd_gets_its_line_and_is_closed)
{
	char text[16] = "";
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	place.inherited = fds[1];
	start(&first, "--ready-fd|7");
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], text, sizeof(text)), 6);
	ck_assert_str_eq(text, "ready\n");
	ck_assert_int_eq(read(fds[0], text, sizeof(text)), 0);
}
END_TEST

START_TEST(test_closed_ready_fd_is_refused)
{
	refuse("--ready-fd|77", 1, "--ready-fd: '77': is not open");
}
END_TEST

/* ---- --fd ---- */

START_TEST(test_inherited_guest_is_served_until_it_goes)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	place.inherited = pair[1];
	start(&first, "--fd|7");
	close(pair[1]);
	assert_no_socket_file();
	ck_assert_ptr_null(strstr(first.out_text, "-netdev"));
	close(pair[0]);
	process_finish(&first);
	ck_assert_int_eq(first.status, 0);
}
END_TEST

START_TEST(test_inherited_guest_beside_a_socket_ends_nothing)
{
	char line[256];
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	place.inherited = pair[1];
	snprintf(line, sizeof(line), "--fd|7|--socket|%s/s", place.dir);
	start(&first, line);
	close(pair[1]);
	close(pair[0]);
	process_wait_for_log(&first, "guest left");
	snprintf(line, sizeof(line), "%s/s", place.dir);
	close(guest_connect(line));
}
END_TEST

START_TEST(test_fd_that_is_no_socket_is_refused)
{
	int fds[2];

	refuse("--fd|77", 1, "--fd: '77': ");
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	place.inherited = fds[1];
	refuse("--fd|7", 1, "--fd: '7': is no connected stream socket");
}
END_TEST

/* ---- forwards ---- */

START_TEST(test_busy_port_names_its_holder)
{
	char line[64], want[128];
	uint16_t port;
	int fd = listen_on_host(&port);

	snprintf(line, sizeof(line), "--hostfwd|tcp::%u-:22", port);
	snprintf(want, sizeof(want), "--hostfwd: tcp 127.0.0.1:%u is taken by pid %d (test_cli)",
		 port, getpid());
	refuse(line, 1, want);
	close(fd);
}
END_TEST

START_TEST(test_forward_is_bound_to_localhost_and_freed_at_the_end)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	char line[64];
	uint16_t port = free_port();
	int fd;

	snprintf(line, sizeof(line), "--hostfwd|tcp::%u-:22", port);
	start(&first, line);
	to.sin_port = htons(port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	close(fd);
	to.sin_addr.s_addr = htonl(0x7f000002); /* bound to one address, not to all */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), -1);
	ck_assert_int_eq(errno, ECONNREFUSED);
	close(fd);
	kill(first.pid, SIGTERM);
	process_finish(&first);
	ck_assert_int_eq(first.status, 0);
	start(&second, line);
}
END_TEST

START_TEST(test_forward_from_an_address_that_is_not_ours_is_refused)
{
	refuse("--hostfwd|tcp:203.0.113.9:35230-:22", 1, "this host has no such address");
}
END_TEST

START_TEST(test_failed_forward_leaves_no_other_open)
{
	char line[128];
	uint16_t busy, other = free_port();
	int fd = listen_on_host(&busy);

	snprintf(line, sizeof(line), "--hostfwd|tcp::%u-:22|--hostfwd|tcp::%u-:23", other, busy);
	refuse(line, 1, "is taken by pid");
	close(fd);
	start(&first, line);
}
END_TEST

/* ---- an ordinary user ---- */

START_TEST(test_no_root_and_no_writable_directory_are_needed)
{
	char line[64];

	if (geteuid() != 0)
		return; /* then all the other tests show it */
	process_place_give_away(&place);
	snprintf(line, sizeof(line), "--hostfwd|tcp::%u-:22", free_port());
	start(&first, line);
	ck_assert_int_eq(access(place.socket_path, F_OK), 0);
	kill(first.pid, SIGTERM);
	process_finish(&first);
	ck_assert_int_eq(first.status, 0);
	assert_no_socket_file();
}
END_TEST

START_TEST(test_privileged_port_names_the_sysctl)
{
	FILE *in = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
	int start_port = 1024;

	if (in && fscanf(in, "%d", &start_port) != 1)
		start_port = 1024;
	if (in)
		fclose(in);
	if (geteuid() != 0 || start_port <= 35)
		return; /* nobody is kept from port 35 here */
	process_place_give_away(&place);
	refuse("--hostfwd|tcp::35-:22", 1, "sysctl net.ipv4.ip_unprivileged_port_start=35");
}
END_TEST

/* How often it has gone to sleep; -1: it is not asleep now. */
static long times_asleep(pid_t pid)
{
	char path[64], line[256];
	bool sleeps = false;
	long sum = 0;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	in = fopen(path, "r");
	ck_assert_ptr_nonnull(in);
	while (fgets(line, sizeof(line), in)) {
		if (strncmp(line, "State:\tS", 8) == 0)
			sleeps = true;
		else if (strncmp(line, "voluntary_ctxt_switches:", 24) == 0)
			sum = strtol(line + 24, NULL, 10);
	}
	fclose(in);
	return sleeps ? sum : -1;
}

START_TEST(test_idle_process_never_wakes_up)
{
	long before, now;
	int guest;

	start(&first, "");
	guest = guest_connect(place.socket_path);
	process_wait_for_log(&first, "attached");
	do { /* until what the start set going has ended */
		before = times_asleep(first.pid);
		usleep(300000);
		now = times_asleep(first.pid);
	} while (before < 0 || now != before);
	usleep(1500000);
	ck_assert_int_eq(times_asleep(first.pid), before);
	close(guest);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, test_bad_usage_is_one_line_and_status_2);
	tcase_add_test(tcase, test_help_and_version_go_to_standard_output);
	tcase_add_test(tcase, test_start_says_what_to_paste_and_where_all_is);
	tcase_add_test(tcase, test_class_rule_is_said_at_start);
	tcase_add_test(tcase, test_signals_end_it_and_remove_the_socket);
	tcase_add_test(tcase, test_guests_attached_at_the_end_are_let_go);
	tcase_add_test(tcase, test_socket_of_a_dead_process_is_replaced);
	tcase_add_test(tcase, test_socket_of_a_live_process_is_refused_and_kept);
	tcase_add_test(tcase, test_other_names_are_other_networks);
	tcase_add_test(tcase, test_file_in_the_sockets_place_is_kept);
	tcase_add_test(tcase, test_socket_in_a_missing_directory_is_one_line);
	tcase_add_test(tcase, test_ready_fd_gets_its_line_and_is_closed);
	tcase_add_test(tcase, test_closed_ready_fd_is_refused);
	tcase_add_test(tcase, test_inherited_guest_is_served_until_it_goes);
	tcase_add_test(tcase, test_inherited_guest_beside_a_socket_ends_nothing);
	tcase_add_test(tcase, test_fd_that_is_no_socket_is_refused);
	tcase_add_test(tcase, test_busy_port_names_its_holder);
	tcase_add_test(tcase, test_forward_is_bound_to_localhost_and_freed_at_the_end);
	tcase_add_test(tcase, test_forward_from_an_address_that_is_not_ours_is_refused);
	tcase_add_test(tcase, test_failed_forward_leaves_no_other_open);
	tcase_add_test(tcase, test_no_root_and_no_writable_directory_are_needed);
	tcase_add_test(tcase, test_privileged_port_names_the_sysctl);
	tcase_add_test(tcase, test_idle_process_never_wakes_up);
}

int main(void)
{
	Suite *suite = suite_create("cli");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, make_place, clean_up);
	tcase_set_timeout(tcase, PROCESS_HANG_S);
	add_tests(tcase);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
