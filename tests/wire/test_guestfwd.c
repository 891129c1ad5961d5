/* guestfwd= and smb= through the real program: guests reach sockets and programs of the host. */
#include "tests/support/frames.h"
#include "tests/support/suite.h"
#include "tests/support/wirebed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define AT "10.0.2.100"

/* What the guest sends, it gets back. */
static const struct sim_tcp_setup echoed = {
    .wscale = 7, .send_seed = 5, .recv_seed = 5, .send_total = 300000, .fin_when_sent = true};
static const struct sim_tcp_setup silent = {.wscale = 7, .send_seed = 5, .recv_seed = 5};

/* The guest asks for the address first. */
static struct sim_tcp *connect_to(struct wire *wire, const char *addr, uint16_t port,
				  const struct sim_tcp_setup *setup)
{
	struct guestsim *sim = wire->guests[0].sim;
	static uint16_t from = 40000;
	struct endpoint to = {.port = port};
	struct mac mac;

	ck_assert_int_eq(addr_parse(addr, &to.addr), 0);
	guestsim_arp_ask(sim, &to.addr);
	WIRE_UNTIL(wire, guestsim_neighbour(sim, &to.addr, &mac));
	return sim_tcp_connect(sim, from++, &to, setup);
}

static void check_echoed(struct wire *wire, struct sim_tcp *tcp)
{
	WIRE_UNTIL(wire, tcp->received == tcp->send_total && tcp->fin_received);
	ck_assert(tcp->fin_acked);
}

/* Processes that have the program for a parent, zombies too. */
static int children_of(const struct wire *wire)
{
	char command[128], text[32] = "";
	FILE *out;

	snprintf(command, sizeof(command), "ps -o pid= --ppid %d | wc -l", (int)wire->process.pid);
	out = popen(command, "r");
	ck_assert_ptr_nonnull(out);
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), out));
	pclose(out);
	return atoi(text);
}

static bool file_has(const struct wire *wire, const char *name, const char *text)
{
	char path[128], bytes[4096];
	size_t n;
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s", wire->place.dir, name);
	in = fopen(path, "r");
	if (!in)
		return false;
	n = fread(bytes, 1, sizeof(bytes) - 1, in);
	bytes[n] = '\0';
	fclose(in);
	return strstr(bytes, text) != NULL;
}

START_TEST(test_tcp_targets_by_address_and_name_on_one_port)
{
	struct wire servers = {.children_n = 0}, wire;
	uint16_t one = wire_tcp_echo(&servers), two = wire_tcp_echo(&servers);
	char line[200];

	snprintf(line, sizeof(line),
		 "--guestfwd|tcp:" AT ":80-tcp:127.0.0.1:%u|--guestfwd|:10.0.2.101:80-tcp:"
		 "localhost:%u",
		 one, two);
	wire_start(&wire, line);
	memcpy(wire.children, servers.children, sizeof(wire.children));
	wire.children_n = servers.children_n;
	wire_add_guest(&wire, 0);
	check_echoed(&wire, connect_to(&wire, AT, 80, &echoed));
	check_echoed(&wire, connect_to(&wire, "10.0.2.101", 80, &echoed));
	wire_finish(&wire);
}
END_TEST

START_TEST(test_refused_targets_are_resets_and_other_ports_are_closed)
{
	struct wire wire;
	struct sim_tcp *tcp;
	char line[200];

	snprintf(line, sizeof(line),
		 "--restrict|on|--guestfwd|tcp:" AT ":80-tcp:127.0.0.1:%u|--guestfwd|tcp:" AT
		 ":81-unix:/tmp/lwnat-nobody",
		 wire_free_port(SOCK_STREAM));
	wire_start(&wire, line);
	wire_add_guest(&wire, 0);
	for (uint16_t port = 80; port < 83; port++) {
		tcp = connect_to(&wire, AT, port, &silent);
		WIRE_UNTIL(&wire, tcp->state == SIM_RESET);
	}
	wire_finish(&wire);
}
END_TEST

START_TEST(test_unix_target)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), fd = -1;
	char path[] = "/tmp/lwnat-test-XXXXXX", line[200], bytes[100];
	struct sim_tcp_setup setup = silent;
	struct sim_tcp *tcp;
	struct wire wire;

	ck_assert_ptr_nonnull(mkdtemp(path));
	snprintf(name.sun_path, sizeof(name.sun_path), "%s/a b", path);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert_int_eq(listen(listener, 4), 0);
	snprintf(line, sizeof(line), "--guestfwd|tcp::7-unix:%s", name.sun_path);
	wire_start(&wire, line);
	wire_add_guest(&wire, 0);
	setup.send_total = sizeof(bytes);
	setup.fin_when_sent = true;
	tcp = connect_to(&wire, "10.0.2.4", 7, &setup);
	WIRE_UNTIL(&wire, (fd = wire_accept(listener)) >= 0);
	WIRE_UNTIL(&wire, wire_read(fd, bytes, sizeof(bytes)) == sizeof(bytes));
	WIRE_UNTIL(&wire, wire_read(fd, bytes, sizeof(bytes)) == 0);
	close(fd);
	WIRE_UNTIL(&wire, tcp->fin_received);
	close(listener);
	unlink(name.sun_path);
	rmdir(path);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_command_gets_the_connection_and_leaves_no_zombie)
{
	struct wire wire;

	wire_start(&wire, "--guestfwd|tcp:" AT ":7-cmd:echo hello on standard error >&2; echo "
			  "$PROTO $TCPREMOTEIP $TCPLOCALIP:$TCPLOCALPORT >\"$XDG_RUNTIME_DIR/env\";"
			  " cat");
	wire_add_guest(&wire, 0);
	check_echoed(&wire, connect_to(&wire, AT, 7, &echoed));
	check_echoed(&wire, connect_to(&wire, AT, 7, &echoed));
	ck_assert(file_has(&wire, "env", "TCP 10.0.2.15 " AT ":7\n"));
	WIRE_UNTIL(&wire, children_of(&wire) == 0);
	process_wait_for_log(&wire.process, "guestfwd " AT ":7: hello on standard error");
	wire_finish(&wire);
}
END_TEST

START_TEST(test_commands_group_ends_with_the_connection)
{
	struct sim_tcp *tcp;
	struct wire wire;

	/* A shell that waits for another process, neither of which reads. */
	wire_start(&wire, "--guestfwd|tcp:" AT ":7-cmd:sleep 1000 & echo $! >$XDG_RUNTIME_DIR/pid; "
			  "wait; echo not >$XDG_RUNTIME_DIR/here");
	wire_add_guest(&wire, 0);
	tcp = connect_to(&wire, AT, 7, &silent);
	WIRE_UNTIL(&wire, tcp->state == SIM_OPEN && file_has(&wire, "pid", "\n"));
	ck_assert_int_eq(children_of(&wire), 1);
	sim_tcp_abort(tcp);
	WIRE_UNTIL(&wire, children_of(&wire) == 0);
	ck_assert(!file_has(&wire, "here", "not"));
	tcp = connect_to(&wire, AT, 7, &silent);
	WIRE_UNTIL(&wire, tcp->state == SIM_OPEN);
	wire_drop_guest(&wire, 0); /* the guest's machine goes */
	WIRE_UNTIL(&wire, children_of(&wire) == 0);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_command_that_minds_no_sigterm_is_killed_at_the_end_of_the_network_too)
{
	struct sim_tcp *tcp;
	struct wire wire;

	wire_start(&wire, "--guestfwd|tcp:" AT ":7-cmd:trap '' TERM; echo >$XDG_RUNTIME_DIR/up; "
			  "while :; do sleep 1000; done");
	wire_add_guest(&wire, 0);
	tcp = connect_to(&wire, AT, 7, &silent);
	WIRE_UNTIL(&wire, tcp->state == SIM_OPEN && file_has(&wire, "up", "\n"));
	sim_tcp_abort(tcp);
	WIRE_UNTIL(&wire, children_of(&wire) == 0);
	tcp = connect_to(&wire, AT, 7, &silent);
	WIRE_UNTIL(&wire, tcp->state == SIM_OPEN);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_one_guest_cannot_start_more_than_its_share)
{
	struct sim_tcp *tcp[33];
	struct wire wire;

	wire_start(&wire, "--guestfwd|tcp:" AT ":7-cmd:exec sleep 1000");
	wire_add_guest(&wire, 0);
	for (unsigned i = 0; i < 33; i++) {
		tcp[i] = connect_to(&wire, AT, 7, &silent);
		WIRE_UNTIL(&wire, tcp[i]->state == (i < 32 ? SIM_OPEN : SIM_RESET));
	}
	ck_assert_int_eq(children_of(&wire), 32);
	process_wait_for_log(&wire.process, "refused, 32 programs run");
	sim_tcp_abort(tcp[0]);
	WIRE_UNTIL(&wire, children_of(&wire) == 31);
	tcp[0] = connect_to(&wire, AT, 7, &silent);
	WIRE_UNTIL(&wire, tcp[0]->state == SIM_OPEN);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_dhcp_gives_no_services_address_away)
{
	struct addr second = addr_v4(0x0a000213);
	struct guestsim *sim;
	struct wire wire;

	wire_start(&wire, "--guestfwd|tcp:10.0.2.16:7-cmd:cat|--guestfwd|tcp:10.0.2.17:7-cmd:cat|"
			  "--guestfwd|tcp:10.0.2.18:7-cmd:cat");
	wire_add_guest(&wire, 0);
	sim = wire_add_guest(&wire, 1);
	ck_assert(addr_eq(&guestsim_lease(sim)->addr, &second));
	wire_finish(&wire);
}
END_TEST

START_TEST(test_targets_that_cannot_be_are_told_at_the_start)
{
	static const char *const rows[][2] = {
	    {"--guestfwd|tcp:10.0.2.9:5-tcp:no.such.host.invalid:1",
	     "--guestfwd: target host 'no.such.host.invalid': "},
	    {"--smb|/nonexistent", "--smb: "},
	    {"--smb|/etc/passwd", "--smb: "},
	};
	struct process_place place;
	struct process process;

	process_place_make(&place);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		process_run(&process, &place, rows[i][0]);
		ck_assert_int_eq(process.status, 1);
		ck_assert_ptr_nonnull(strstr(process.err_text, rows[i][1]));
		ck_assert_ptr_eq(strchr(process.err_text, '\n'),
				 process.err_text + process.err_len - 1);
	}
	process_place_remove(&place);
}
END_TEST

int main(void)
{
	return SUITE_RUN("guestfwd", test_tcp_targets_by_address_and_name_on_one_port,
			 test_refused_targets_are_resets_and_other_ports_are_closed,
			 test_unix_target, test_command_gets_the_connection_and_leaves_no_zombie,
			 test_commands_group_ends_with_the_connection,
			 test_command_that_minds_no_sigterm_is_killed_at_the_end_of_the_network_too,
			 test_one_guest_cannot_start_more_than_its_share,
			 test_dhcp_gives_no_services_address_away,
			 test_targets_that_cannot_be_are_told_at_the_start);
}
