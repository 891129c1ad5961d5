/* The commands at the real program, with a guest that the test plays: what they print, what they
 * return, what they do to a connection. */
#include "tests/support/pattern.h"
#include "tests/support/suite.h"
#include "tests/support/wirebed.h"

#include <check.h>
#include <jansson.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define TEXT_MAX 65536
#define MIB ((uint64_t)1 << 20)

static struct wire wire;
static char out[TEXT_MAX], err[TEXT_MAX];

static void read_file(const char *name, char *text)
{
	char path[256];
	size_t n;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", wire.place.dir, name);
	file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	n = fread(text, 1, TEXT_MAX - 1, file);
	text[n] = '\0';
	fclose(file);
}

/* A line for the shell, in which $L is the program and $D a directory. */
static pid_t begin(const char *line)
{
	char command[2048];
	pid_t pid;

	setenv("L", wire.place.program, 1);
	setenv("D", wire.place.dir, 1);
	snprintf(command, sizeof(command), "{ %s\n} >$D/out 2>$D/err", line);
	fflush(stdout);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(99);
	}
	return pid;
}

static bool has_ended(pid_t pid, int *ret_status)
{
	int status;

	if (waitpid(pid, &status, WNOHANG) != pid)
		return false;
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return true;
}

/* Turns the guests until it has ended; its output is in 'out' and 'err' then. */
static int finish(pid_t pid)
{
	int status;

	WIRE_UNTIL(&wire, has_ended(pid, &status));
	read_file("out", out);
	read_file("err", err);
	return status;
}

static int run(const char *line)
{
	return finish(begin(line));
}

static void says(const char *line, const char *part)
{
	int status = run(line);

	ck_assert_msg(status == 0, "'%s' ended with %d: %s", line, status, err);
	ck_assert_msg(strstr(out, part) != NULL, "'%s' said: %s", line, out);
	ck_assert_str_eq(err, "");
}

/* Nothing on standard output, one line on the other. */
static void refuses(const char *line, int wanted, const char *part)
{
	int status = run(line);

	ck_assert_msg(status == wanted, "'%s' ended with %d: %s", line, status, err);
	ck_assert_msg(strstr(err, part) != NULL, "'%s' said: %s", line, err);
	ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);
	ck_assert_str_eq(out, "");
}

static void listen_on(uint16_t port, uint64_t send_total, bool fin_when_sent)
{
	struct sim_tcp_setup setup = {.wscale = 7,
				      .send_seed = 1,
				      .recv_seed = 2,
				      .send_total = send_total,
				      .fin_when_sent = fin_when_sent};

	sim_tcp_listen(wire.guests[0].sim, port, &setup);
}

static void write_pattern(const char *name, uint64_t seed, size_t len)
{
	char path[256], *bytes = malloc(len);
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", wire.place.dir, name);
	file = fopen(path, "w");
	pattern_fill(seed, 0, bytes, len);
	ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
	fclose(file);
	free(bytes);
}

static void check_pattern(const char *name, uint64_t seed, size_t len)
{
	char path[256], *bytes = malloc(len + 1);
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", wire.place.dir, name);
	file = fopen(path, "r");
	ck_assert_uint_eq(fread(bytes, 1, len + 1, file), len);
	ck_assert(pattern_matches(seed, 0, bytes, len));
	fclose(file);
	free(bytes);
}

/* ---- what is shown ---- */

START_TEST(test_lists_show_the_guest)
{
	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	says("$L ctl status", "\nguests     1 attached, 1 lease\n");
	says("$L ctl guests", " 10.0.2.15 ");
	says("$L ctl guests 10.0.2.15", " 10.0.2.15 ");
	says("$L ctl leases", "10.0.2.15");
	says("$L ctl flows", "PROTO");
	says("$L ctl dns", "address            10.0.2.3\n");
	says("$L ctl metrics", "# TYPE ");
	says("$L ctl log", "");
	says("$L ctl networks", "default ");
	says("$L ctl top --once", "port1");
	refuses("$L ctl guests nobody", 1, "lwnat ctl guests: ");
	wire_finish(&wire);
}
END_TEST

START_TEST(test_json_is_json_everywhere)
{
	static const char *const lines[] = {"status",       "guests",     "leases",    "flows",
					    "hostfwd list", "dns",        "log-level", "pcap list",
					    "networks",     "top --once", "why"};
	char line[64];

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		json_error_t error;
		json_t *json;

		snprintf(line, sizeof(line), "$L ctl %s --json", lines[i]);
		run(line);
		json = json_loads(out, 0, &error);
		ck_assert_msg(json != NULL, "'%s' said: %s", line, out);
		json_decref(json);
	}
	wire_finish(&wire);
}
END_TEST

START_TEST(test_flows_are_shown_while_they_live)
{
	struct sim_tcp_setup setup = {.wscale = 7, .send_total = 1000};
	struct sim_tcp *tcp;
	uint16_t port;

	wire_start(&wire, "");
	port = wire_tcp_echo(&wire);
	wire_add_guest(&wire, 0);
	tcp = wire_connect_out(&wire, 0, 40000, port, &setup);
	WIRE_UNTIL(&wire, tcp->received == 1000);
	says("$L ctl flows", "10.0.2.15:40000");
	says("$L ctl flows --sort bytes --limit 1 10.0.2.15", "10.0.2.15:40000");
	says("$L ctl top --once --sort age", "10.0.2.15:40000");
	says("$L ctl status", "10.0.2.15:40000");
	refuses("$L ctl flows --sort size", 1, "sort");
	sim_tcp_abort(tcp);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_forward_is_added_used_and_removed)
{
	struct sim_tcp *tcp = NULL;
	unsigned number, port;
	char line[128];
	int fd;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	listen_on(80, 0, false);
	says("$L ctl hostfwd add tcp:127.0.0.1:0-:80", "-> 10.0.2.15:80\n");
	ck_assert_int_eq(sscanf(out, "%u: tcp 127.0.0.1:%u -> ", &number, &port), 2);
	fd = wire_connect((uint16_t)port);
	WIRE_UNTIL(&wire, (tcp = sim_tcp_accept(wire.guests[0].sim, 80)));
	snprintf(line, sizeof(line), "127.0.0.1:%u", port);
	says("$L ctl hostfwd list", line);
	snprintf(line, sizeof(line), "$L ctl hostfwd remove %u --cut", number);
	says(line, "removed, 1 connections cut\n");
	WIRE_UNTIL(&wire, tcp->state == SIM_RESET);
	refuses(line, 1, "lwnat ctl hostfwd remove: ");
	says("$L ctl hostfwd add tcp:127.0.0.1:0-:80 udp:127.0.0.1:0-:53", "udp 127.0.0.1:");
	refuses("$L ctl hostfwd add rubbish", 1, "rubbish");
	close(fd);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_log_level_is_shown_and_set)
{
	wire_start(&wire, "");
	says("$L ctl log-level", "info\n");
	says("$L ctl log-level debug", "debug\n");
	says("$L ctl log-level", "debug\n");
	refuses("$L ctl log-level loud", 1, "level: ");
	wire_finish(&wire);
}
END_TEST

START_TEST(test_why_and_ping_have_a_status)
{
	wire_start(&wire, "");
	ck_assert_int_eq(run("$L ctl why"), 1);
	ck_assert_ptr_nonnull(strstr(out, "the network:\n  FAIL no guest is attached"));
	ck_assert_ptr_nonnull(strstr(out, "\n       -> "));
	wire_add_guest(&wire, 0);
	says("$L ctl ping 10.0.2.15 -c 2", "answered in ");
	refuses("$L ctl ping nobody", 1, "lwnat ctl ping: ");
	ck_assert_int_eq(run("$L ctl ping 10.0.2.77 -c 1 --timeout 0.2"), 1);
	wire_finish(&wire);
}
END_TEST

/* It ends with its reader. */
START_TEST(test_top_is_plain_text_for_a_pipe)
{
	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	says("$L ctl top --interval 0.05 | sed 7q", "lwnat default");
	ck_assert_ptr_null(strchr(out, '\033'));
	says("$L ctl top --interval 0.05 | grep -m 3 '^lwnat default' | wc -l", "3\n");
	wire_finish(&wire);
}
END_TEST

/* The program on a terminal of its own; what it writes is added to 'out'. */
static pid_t begin_on_terminal(int *ret_terminal, const struct winsize *size)
{
	pid_t pid;

	fflush(stdout);
	memset(out, 0, sizeof(out));
	pid = forkpty(ret_terminal, NULL, NULL, size);
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		execl(wire.place.program, "lwnat", "ctl", "top", "--interval", "0.1", (char *)NULL);
		_exit(99);
	}
	ck_assert_int_eq(fcntl(*ret_terminal, F_SETFL, O_NONBLOCK), 0);
	return pid;
}

static bool shows(int terminal, const char *text)
{
	size_t len = strlen(out);
	ssize_t n = read(terminal, out + len, TEXT_MAX - 1 - len);

	if (n > 0)
		out[len + (size_t)n] = '\0';
	return strstr(out, text) != NULL;
}

/* The longest line and the number of lines of the last whole screen. */
static void measure_screen(unsigned *ret_width, unsigned *ret_height)
{
	char *end = NULL, *at = out;

	for (char *next = out; (next = strstr(next, "\033[J")) != NULL; next++)
		end = next;
	ck_assert_ptr_nonnull(end);
	*end = '\0';
	for (char *next = out; (next = strstr(next, "\033[H")) != NULL; next++)
		at = next + 3;
	*ret_width = 0;
	*ret_height = 1;
	for (; *at != '\0'; at++) {
		size_t len = strcspn(at, "\033");

		if (len > *ret_width)
			*ret_width = (unsigned)len;
		at += len + 2; /* "\033[K", and "\r\n" but behind the last */
		*ret_height += at[1] == '\r';
		at += strspn(at + 1, "\r\n");
	}
	*end = '\033';
}

START_TEST(test_top_lives_in_its_terminal)
{
	struct winsize size = {.ws_row = 24, .ws_col = 100}, small = {.ws_row = 5, .ws_col = 30};
	unsigned width, height;
	int terminal, status;
	struct termios mode;
	pid_t pid;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	pid = begin_on_terminal(&terminal, &size);
	WIRE_UNTIL(&wire, shows(terminal, "port1"));
	WIRE_UNTIL(&wire, shows(terminal, "\033[J"));
	ck_assert_ptr_nonnull(strstr(out, "\033[?1049h"));
	ck_assert_int_eq(tcgetattr(terminal, &mode), 0);
	ck_assert(!(mode.c_lflag & (ICANON | ECHO)));
	measure_screen(&width, &height);
	ck_assert_uint_gt(width, 30);
	ck_assert_int_eq(ioctl(terminal, TIOCSWINSZ, &small), 0);
	/* The first of these may have been on its way before. */
	for (unsigned i = 0; i < 4; i++) {
		memset(out, 0, sizeof(out));
		WIRE_UNTIL(&wire,
			   shows(terminal, "\033[H") && strstr(strstr(out, "\033[H"), "\033[J"));
	}
	ck_assert_int_eq(write(terminal, "q", 1), 1);
	WIRE_UNTIL(&wire, shows(terminal, "\033[?1049l"));
	WIRE_UNTIL(&wire, has_ended(pid, &status));
	ck_assert_int_eq(status, 0);
	measure_screen(&width, &height);
	ck_assert_uint_le(width, 30);
	ck_assert_uint_le(height, 5);
	close(terminal);
	wire_finish(&wire);
}
END_TEST

/* ---- connect ---- */

START_TEST(test_connect_half_closes_both_ways)
{
	struct sim_tcp *tcp = NULL;
	pid_t pid;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	listen_on(22, 0, false);
	write_pattern("in", 2, 3 * MIB);
	pid = begin("$L connect 10.0.2.15 22 <$D/in");
	WIRE_UNTIL(&wire, (tcp = sim_tcp_accept(wire.guests[0].sim, 22)));
	WIRE_UNTIL(&wire, tcp->fin_received);
	ck_assert_uint_eq(tcp->received, 3 * MIB);
	/* Its input has ended; the guest's has not. */
	tcp->send_total = 5 * MIB;
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	ck_assert_int_eq(finish(pid), 0);
	check_pattern("out", 1, 5 * MIB);
	WIRE_UNTIL(&wire, tcp->state == SIM_DONE);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_connect_takes_input_after_the_guests_end)
{
	struct sim_tcp *tcp = NULL;
	pid_t pid;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	listen_on(22, MIB, true);
	write_pattern("in", 2, MIB);
	/* The reader of its output says when that has ended, and only then comes its input. */
	pid = begin("mkfifo $D/ended; { cat $D/ended >/dev/null; cat $D/in; } | "
		    "$L connect 10.0.2.15 22 | { cat; : >$D/ended; }");
	WIRE_UNTIL(&wire, (tcp = sim_tcp_accept(wire.guests[0].sim, 22)));
	WIRE_UNTIL(&wire, tcp->fin_received);
	ck_assert_uint_eq(tcp->received, MIB);
	ck_assert_int_eq(finish(pid), 0);
	check_pattern("out", 1, MIB);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_connect_says_why_not)
{
	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	refuses("$L connect 10.0.2.15 23 </dev/null", 1, "refused");
	refuses("$L connect nobody 23 </dev/null", 1, "nobody");
	refuses("$L connect 10.0.2.15 0 </dev/null", 2, "'0': is no port (accepted: 1-65535)");
	refuses("$L connect 10.0.2.15 </dev/null", 2, "more is needed");
	refuses("$L connect -n other 10.0.2.15 22 </dev/null", 1,
		"no network 'other' is running; running: default");
	wire_finish(&wire);
}
END_TEST

START_TEST(test_connection_ends_with_connect)
{
	struct sim_tcp *tcp = NULL;
	pid_t pid;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	listen_on(22, 0, false);
	pid = begin("sleep 1000 | exec $L connect 10.0.2.15 22 & echo $! >$D/pid; wait");
	WIRE_UNTIL(&wire, (tcp = sim_tcp_accept(wire.guests[0].sim, 22)));
	read_file("pid", out);
	kill((pid_t)atoi(out), SIGKILL);
	WIRE_UNTIL(&wire, tcp->fin_received || tcp->state == SIM_RESET);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	wire_finish(&wire);
}
END_TEST

/* ---- ssh, which is a shell here ---- */

START_TEST(test_ssh_is_run_with_a_way_to_the_guest)
{
	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	ck_assert_int_eq(run("mkdir $D/bin; printf '#!/bin/sh\\nfor i; do echo \"<$i>\"; "
			     "done\\nexit 9\\n' >$D/bin/ssh; chmod +x $D/bin/ssh"),
			 0);
	ck_assert_int_eq(run("PATH=$D/bin:$PATH $L ssh root@10.0.2.15 -v echo 'a b'"), 9);
	ck_assert_ptr_nonnull(strstr(out, "<-o>\n<ProxyCommand="));
	ck_assert_ptr_nonnull(strstr(out, "default.ctl -- 10.0.2.15 %p>\n"));
	ck_assert_ptr_nonnull(strstr(out, "<UserKnownHostsFile=/dev/null>\n"));
	ck_assert_ptr_nonnull(strstr(out, "<root@10.0.2.15>\n<-v>\n<echo>\n<a b>\n"));
	ck_assert_int_eq(run("PATH=$D/bin:$PATH $L ssh --check-host-key 10.0.2.15"), 9);
	ck_assert_ptr_null(strstr(out, "KnownHosts"));
	refuses("$L ssh -n other guest", 255, "no network 'other' is running");
	refuses("PATH= $L ssh guest", 255, "cannot run ssh");
	wire_finish(&wire);
}
END_TEST

/* ---- wait ---- */

START_TEST(test_wait_ends_when_the_port_is_open)
{
	struct sim_tcp *tcp = NULL;
	pid_t pid;

	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	pid = begin("$L wait 10.0.2.15:22");
	wire_turns_for(&wire, 500);
	listen_on(22, 0, false);
	ck_assert_int_eq(finish(pid), 0);
	ck_assert_str_eq(out, "");
	WIRE_UNTIL(&wire, (tcp = sim_tcp_accept(wire.guests[0].sim, 22)));
	WIRE_UNTIL(&wire, tcp->fin_received || tcp->state == SIM_RESET);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_wait_waits_for_the_guest_too)
{
	pid_t pid;

	wire_start(&wire, "");
	pid = begin("$L wait port1:22");
	wire_turns_for(&wire, 500);
	wire_add_guest(&wire, 0);
	listen_on(22, 0, false);
	ck_assert_int_eq(finish(pid), 0);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_wait_gives_up_with_the_reason)
{
	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	refuses("$L wait 10.0.2.15:23 --timeout 0.5", 1,
		"lwnat wait: 10.0.2.15:23: not within 0.5 s: ");
	ck_assert_ptr_nonnull(strstr(err, "refused"));
	refuses("$L wait nobody:23 --timeout 0.3", 1, "nobody");
	refuses("$L wait nobody", 2, "names no guest and port (accepted: GUEST:PORT)");
	refuses("$L wait nobody:ssh", 2, "'ssh': is no port");
	wire_finish(&wire);
}
END_TEST

/* ---- which network ---- */

START_TEST(test_network_is_found_or_asked_for)
{
	struct process other;

	wire_start(&wire, "--name|one");
	says("$L ctl status", "network    one ");
	process_start(&other, &wire.place, "--name|two");
	refuses("$L ctl status", 1,
		"several networks are running: one, two (accepted: --name NAME)");
	says("$L ctl -n two status", "network    two ");
	says("$L ctl --control $XDG_RUNTIME_DIR/lwnat/one.ctl status", "network    one ");
	refuses("$L ctl --control /nonexistent status", 1, "no network answers there");
	refuses("$L ctl -n three status", 1, "no network 'three' is running; running: one, two");
	snprintf(wire.place.socket_path, sizeof(wire.place.socket_path), "%s/lwnat/one.sock",
		 wire.place.dir);
	wire_add_guest(&wire, 0);
	listen_on(22, 0, true);
	/* Only one of them has that guest. */
	ck_assert_int_eq(run("$L wait 10.0.2.15:22"), 0);
	process_kill(&other);
	refuses("$L ctl -n two status", 1, "no network 'two' is running");
	wire_finish(&wire);
}
END_TEST

START_TEST(test_network_that_was_killed_is_not_running)
{
	wire_start(&wire, "");
	says("$L ctl status", "network");
	kill(wire.process.pid, SIGKILL);
	refuses("$L ctl status", 1, "no network is running");
	process_kill(&wire.process);
	process_place_remove(&wire.place);
}
END_TEST

START_TEST(test_bad_usage_is_one_line_and_status_2)
{
	wire_start(&wire, "");
	refuses("$L ctl", 2, "lwnat ctl: which one?");
	refuses("$L ctl nonsense", 2, "'nonsense': no such command");
	refuses("$L ctl status extra", 2,
		"'extra': unexpected argument (accepted: lwnat ctl status)");
	refuses("$L ctl status --cut", 2, "--cut: is no option of this command");
	refuses("$L ctl flows --limit x", 2, "--limit: 'x': is no number from 1 to 999999999");
	refuses("$L ctl top --interval -1", 2, "--interval: '-1': ");
	refuses("$L ctl pcap start all /x --file-bytes 1T", 2, "--file-bytes: '1T': is no size");
	refuses("$L wait --nonsense", 2, "'--nonsense': unknown option");
	refuses("$L wait --timeout", 2, "--timeout: needs a value (accepted: SECONDS)");
	refuses("$L ctl status --json=1", 2, "--json: takes no value");
	refuses("$L ssh", 2, "more is needed");
	wire_finish(&wire);
}
END_TEST

START_TEST(test_each_command_has_a_help)
{
	static const char *const names[] = {"run",  "ssh",        "connect",
					    "wait", "ctl status", "ctl hostfwd add"};
	char line[64], wanted[64];

	wire_start(&wire, "");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(line, sizeof(line), "$L %s --help", names[i]);
		snprintf(wanted, sizeof(wanted), "Usage: lwnat %s [OPTION]...", names[i]);
		says(line, wanted);
	}
	says("$L ctl --help", "  ctl hostfwd add RULE...\n");
	says("$L --help", "  wait GUEST:PORT\n");
	wire_finish(&wire);
}
END_TEST

int main(void)
{
	return SUITE_RUN("client", test_lists_show_the_guest, test_json_is_json_everywhere,
			 test_flows_are_shown_while_they_live,
			 test_forward_is_added_used_and_removed, test_log_level_is_shown_and_set,
			 test_why_and_ping_have_a_status, test_top_is_plain_text_for_a_pipe,
			 test_top_lives_in_its_terminal, test_connect_half_closes_both_ways,
			 test_connect_takes_input_after_the_guests_end, test_connect_says_why_not,
			 test_connection_ends_with_connect, test_ssh_is_run_with_a_way_to_the_guest,
			 test_wait_ends_when_the_port_is_open, test_wait_waits_for_the_guest_too,
			 test_wait_gives_up_with_the_reason, test_network_is_found_or_asked_for,
			 test_network_that_was_killed_is_not_running,
			 test_bad_usage_is_one_line_and_status_2, test_each_command_has_a_help);
}
