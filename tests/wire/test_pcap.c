/* Captures of the real program: from its start, by 'lwnat ctl', and after it was killed. */
#include "tests/support/frames.h"
#include "tests/support/suite.h"
#include "tests/support/wirebed.h"

#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct seen {
	unsigned from_guest, to_guest, from_other;
};

/* libpcap has to read the file to its very end. */
static struct seen read_back(const char *path)
{
	static const uint8_t guest[6] = {0x52, 0x54, 0, 0, 0, 15},
			     other[6] = {0x52, 0x54, 0, 0, 0, 16};
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = pcap_open_offline(path, error);
	struct pcap_pkthdr *header;
	struct seen ret = {0};
	const u_char *bytes;
	int result;

	ck_assert_msg(pcap, "%s", error);
	while ((result = pcap_next_ex(pcap, &header, &bytes)) == 1) {
		ck_assert_uint_eq(header->caplen, header->len);
		ret.from_guest += memcmp(bytes + 6, guest, 6) == 0;
		ret.to_guest += memcmp(bytes, guest, 6) == 0;
		/* Broadcasts of one are on the other's wire too. */
		ret.from_other += memcmp(bytes + 6, other, 6) == 0 && !(bytes[0] & 1);
	}
	ck_assert_int_eq(result, PCAP_ERROR_BREAK);
	pcap_close(pcap);
	return ret;
}

static void ping_gateway(struct wire *wire, unsigned n)
{
	struct addr gateway = addr_v4(0x0a000202);
	struct guestsim_icmp *icmp = NULL;

	guestsim_ping(wire->guests[n].sim, &gateway, 1, frames_bytes("x", 1));
	WIRE_UNTIL(wire, (icmp = guestsim_icmp_pop(wire->guests[n].sim)));
	free(icmp);
}

static bool is_as_long_as(const char *path, long len)
{
	FILE *in = fopen(path, "r");
	bool is = in && fseek(in, 0, SEEK_END) == 0 && ftell(in) >= len;

	if (in)
		fclose(in);
	return is;
}

START_TEST(test_capture_from_the_start_is_whole_after_sigkill)
{
	char dir[] = "/tmp/lwnat-test-XXXXXX", all[64], one[64], line[256];
	struct wire wire;
	struct seen seen;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(all, sizeof(all), "%s/all, of them", dir);
	snprintf(one, sizeof(one), "%s/one", dir);
	snprintf(line, sizeof(line), "--pcap|%s|--pcap|52:54:00:00:00:0f,%s", all, one);
	wire_start(&wire, line);
	wire_add_guest(&wire, 0);
	wire_add_guest(&wire, 1);
	ping_gateway(&wire, 0);
	ping_gateway(&wire, 1);
	/* What is there is on its way to the file when the loop waits: one more exchange. */
	ping_gateway(&wire, 0);
	WIRE_UNTIL(&wire, is_as_long_as(all, 24 + 16 * 60));
	process_kill(&wire.process);
	seen = read_back(all);
	ck_assert_uint_ge(seen.from_guest, 4); /* DHCP, ARP, ping */
	ck_assert_uint_ge(seen.to_guest, 2);
	ck_assert_uint_ge(seen.from_other, 1);
	seen = read_back(one);
	ck_assert_uint_ge(seen.from_guest, 4);
	ck_assert_uint_ge(seen.to_guest, 2);
	ck_assert_uint_eq(seen.from_other, 0);
	unlink(all);
	unlink(one);
	rmdir(dir);
	for (unsigned n = 0; n < 2; n++)
		wire_drop_guest(&wire, n);
	process_start(&wire.process, &wire.place, "");
	wire_finish(&wire);
}
END_TEST

/* Runs 'lwnat ctl pcap ...' to its end. */
static void ctl(const struct wire *wire, struct process *ret, const char *line)
{
	process_run(ret, &wire->place, line);
	ck_assert_msg(ret->status == 0, "%s: %s", line, ret->err_text);
}

START_TEST(test_capture_is_started_listed_and_stopped_while_it_runs)
{
	char dir[] = "/tmp/lwnat-test-XXXXXX", file[64], line[128];
	struct process process;
	struct wire wire;
	struct seen seen;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/x", dir);
	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	wire_add_guest(&wire, 1);
	snprintf(line, sizeof(line), "ctl|pcap|start|port1|%s", file);
	ctl(&wire, &process, line);
	ping_gateway(&wire, 0);
	ping_gateway(&wire, 1);
	ctl(&wire, &process, "ctl|pcap|list");
	ck_assert_ptr_nonnull(strstr(process.out_text, file));
	ctl(&wire, &process, "ctl|pcap|stop|port1");
	ck_assert_ptr_nonnull(strstr(process.out_text, file));
	ctl(&wire, &process, "ctl|pcap|list");
	ck_assert_ptr_null(strstr(process.out_text, file));
	seen = read_back(file);
	ck_assert_uint_eq(seen.from_guest, 1);
	ck_assert_uint_eq(seen.to_guest, 1);
	ck_assert_uint_eq(seen.from_other, 0);
	process_run(&process, &wire.place, "ctl|pcap|start|port1|/dev/null");
	ck_assert_int_ne(process.status, 0);
	unlink(file);
	rmdir(dir);
	wire_finish(&wire);
}
END_TEST

static pid_t stream_to(const struct wire *wire, const char *file, const char *guest)
{
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		dup2(fd, STDOUT_FILENO);
		execl(wire->place.program, "lwnat", "ctl", "pcap", "stream", guest, (char *)NULL);
		_exit(98);
	}
	return pid;
}

START_TEST(test_stream_runs_until_its_reader_goes)
{
	char dir[] = "/tmp/lwnat-test-XXXXXX", file[64];
	struct process process;
	struct wire wire;
	int status;
	pid_t pid;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/x", dir);
	wire_start(&wire, "");
	wire_add_guest(&wire, 0);
	pid = stream_to(&wire, file, "all");
	WIRE_UNTIL(&wire, is_as_long_as(file, 24));
	ping_gateway(&wire, 0);
	WIRE_UNTIL(&wire, is_as_long_as(file, 24 + 2 * 16 + 2 * 43));
	kill(pid, SIGTERM);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_uint_eq(read_back(file).to_guest, 1);
	do
		ctl(&wire, &process, "ctl|pcap|list");
	while (strstr(process.out_text, "stream"));
	unlink(file);
	rmdir(dir);
	wire_finish(&wire);
}
END_TEST

START_TEST(test_full_disk_ends_the_capture_and_not_the_network)
{
	struct rlimit limit, before;
	char dir[] = "/tmp/lwnat-test-XXXXXX", file[64], line[128];
	struct process process;
	struct wire wire;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/x", dir);
	snprintf(line, sizeof(line), "--pcap|%s", file);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 1024;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0); /* the program inherits it */
	wire_start(&wire, line);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	wire_add_guest(&wire, 0);
	for (unsigned i = 0; i < 20; i++)
		ping_gateway(&wire, 0);
	process_wait_for_log(&wire.process, "capture stopped after");
	ping_gateway(&wire, 0);
	ctl(&wire, &process, "ctl|--json|pcap|list");
	ck_assert_ptr_nonnull(strstr(process.out_text, "File too large"));
	ck_assert_uint_ge(read_back(file).from_guest, 1);
	unlink(file);
	rmdir(dir);
	wire_finish(&wire);
}
END_TEST

int main(void)
{
	return SUITE_RUN("pcap", test_capture_from_the_start_is_whole_after_sigkill,
			 test_capture_is_started_listed_and_stopped_while_it_runs,
			 test_stream_runs_until_its_reader_goes,
			 test_full_disk_ends_the_capture_and_not_the_network);
}
