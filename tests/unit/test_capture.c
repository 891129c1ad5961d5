/* Captures: into files and streams, of all guests, of one port, of one MAC. Files are read back
 * with libpcap. */
#include "stack/app/capture.h"

#include "stack/base/log.h"
#include "stack/link/lan.h"

#include <check.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORTS 3
#define FRAME_LEN 60

static const struct mac gateway = {{0x52, 0x55, 10, 0, 2, 2}};
static const struct mac broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static struct {
	uv_loop_t loop;
	struct lan *lan;
	struct capture *capture;
	struct port ports[PORTS];
	unsigned sent, warnings;
	char dir[32], path[64];
	unsigned ready;
} bed;

static struct mac mac_of(unsigned n)
{
	return (struct mac){{0x52, 0x54, 0, 0, 0, (uint8_t)n}};
}

static void on_send(struct port *port, const void *hdr, size_t hdr_len, const struct iovec *iov,
		    unsigned iov_n)
{
	(void)port;
	(void)hdr;
	(void)hdr_len;
	(void)iov;
	(void)iov_n;
	bed.sent++;
}

static void on_flush(struct port *port)
{
	(void)port;
}

static const struct port_ops ops = {.send = on_send, .flush = on_flush};

static void on_gateway(void *ctx, struct port *from, const struct frame *frame)
{
	(void)ctx;
	(void)from;
	(void)frame;
}

static void on_log(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)line;
	bed.warnings += level == LOG_LEVEL_WARN;
}

static void open_bed(void)
{
	struct lan_config config = {.gateway_mac = gateway,
				    .ports_max = PORTS,
				    .macs_max = 16,
				    .mac_age_ms = 300000,
				    .gateway_input = on_gateway};

	memset(&bed, 0, sizeof(bed));
	log_set_sink(on_log, NULL);
	ck_assert_int_eq(uv_loop_init(&bed.loop), 0);
	ck_assert_int_eq(lan_new(&bed.lan, &config), 0);
	for (unsigned i = 0; i < PORTS; i++) {
		bed.ports[i].ops = &ops;
		bed.ports[i].id = i + 1;
		ck_assert_int_eq(lan_port_add(bed.lan, &bed.ports[i]), 0);
	}
	ck_assert_int_eq(capture_new(&bed.capture, &bed.loop, bed.lan), 0);
	strcpy(bed.dir, "/tmp/lwnat-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(bed.dir));
	snprintf(bed.path, sizeof(bed.path), "%s/x.pcap", bed.dir);
}

static void close_bed(void)
{
	char command[64];

	capture_close(bed.capture);
	for (unsigned i = 0; i < PORTS; i++) {
		ck_assert_ptr_eq(bed.ports[i].ops, &ops);
		lan_port_remove(bed.lan, &bed.ports[i]);
	}
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&bed.loop), 0);
	lan_free(bed.lan);
	snprintf(command, sizeof(command), "rm -rf '%s'", bed.dir);
	ck_assert_int_eq(system(command), 0);
}

/* A frame of 'len' bytes from the guest on this port, in two pieces. */
static void from_guest(unsigned port, const struct mac *to, size_t len)
{
	static uint8_t bytes[FRAME_LEN_MAX];
	struct mac from = mac_of(port);
	struct iovec iov[2] = {{bytes, 20}, {bytes + 20, len - 20}};
	struct frame frame = {.iov = iov, .iov_n = 2, .len = (uint32_t)len};

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)i;
	memcpy(bytes, to->b, 6);
	memcpy(bytes + 6, from.b, 6);
	lan_input(bed.lan, &bed.ports[port], &frame, 1000);
}

static void from_gateway(unsigned port, const struct mac *to)
{
	uint8_t bytes[FRAME_LEN] = {0};
	struct iovec iov = {bytes + 14, FRAME_LEN - 14};

	memcpy(bytes, to->b, 6);
	memcpy(bytes + 6, gateway.b, 6);
	bed.ports[port].ops->send(&bed.ports[port], bytes, 14, &iov, 1);
}

/* What the loop does between two waits. */
static void turn(void)
{
	uv_timer_t timer;

	uv_timer_init(&bed.loop, &timer); /* something to wait for */
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
}

static int start(struct capture_target target, uint32_t snaplen, uint64_t size, unsigned files)
{
	struct capture_file file = {
	    .target = target, .snaplen = snaplen, .size_max = size, .files_n = files};
	char error[CAPTURE_ERROR_MAX] = "";
	int number;

	strcpy(file.path, bed.path);
	number = capture_start(bed.capture, &file, error);
	ck_assert_msg(number > 0, "%s", error);
	return number;
}

struct read_back {
	unsigned frames;
	bpf_u_int32 caplen, len; /* of the last one */
	uint8_t first[16];
};

/* libpcap has to read it to its very end. */
static struct read_back read_back(const char *path)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *pcap =
	    pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, error);
	struct read_back ret = {0};
	struct pcap_pkthdr *header;
	const u_char *bytes;
	int result;

	ck_assert_msg(pcap, "%s", error);
	ck_assert_int_eq(pcap_datalink(pcap), DLT_EN10MB);
	while ((result = pcap_next_ex(pcap, &header, &bytes)) == 1) {
		ck_assert_uint_lt((unsigned long)header->ts.tv_usec, 1000000000ul);
		ret.frames++;
		ret.caplen = header->caplen;
		ret.len = header->len;
		memcpy(ret.first, bytes, header->caplen < 16 ? header->caplen : 16);
	}
	ck_assert_int_eq(result, PCAP_ERROR_BREAK);
	pcap_close(pcap);
	return ret;
}

static const struct capture_target all = {.whom = CAPTURE_ALL};

START_TEST(test_nothing_is_between_while_nobody_captures)
{
	int number;

	open_bed();
	ck_assert_ptr_eq(bed.ports[0].ops, &ops);
	number = start(all, 0, 0, 0);
	ck_assert_ptr_ne(bed.ports[0].ops, &ops);
	ck_assert_int_eq(capture_stop(bed.capture, number), 0);
	ck_assert_ptr_eq(bed.ports[0].ops, &ops);
	ck_assert_int_eq(capture_stop(bed.capture, number), -ENOENT);
	close_bed();
}
END_TEST

START_TEST(test_all_sees_both_directions_and_each_frame_once)
{
	struct mac other = mac_of(1);

	open_bed();
	from_guest(1, &gateway, FRAME_LEN); /* before: not captured, but learnt */
	start(all, 0, 0, 0);
	from_guest(0, &gateway, 1514);
	from_gateway(0, &broadcast);
	from_guest(0, &other, FRAME_LEN);     /* switched to another port */
	from_guest(0, &broadcast, FRAME_LEN); /* flooded to two */
	ck_assert_uint_eq(bed.sent, 4);
	turn();
	ck_assert_uint_eq(read_back(bed.path).frames, 4);
	close_bed();
}
END_TEST

START_TEST(test_file_is_for_its_owner_alone_also_when_it_was_there)
{
	struct stat st;
	FILE *out;

	open_bed();
	out = fopen(bed.path, "w");
	fputs("something that was there before", out);
	fclose(out);
	ck_assert_int_eq(chmod(bed.path, 0644), 0);
	start(all, 0, 0, 0);
	ck_assert_int_eq(stat(bed.path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_uint_eq(read_back(bed.path).frames, 0);
	close_bed();
}
END_TEST

START_TEST(test_one_port_sees_its_own_frames_alone_and_ends_with_it)
{
	struct capture_target target = {.whom = CAPTURE_PORT, .port_id = 2};
	struct mac mine = mac_of(1), other = mac_of(0);

	open_bed();
	from_guest(1, &gateway, FRAME_LEN);
	from_guest(0, &gateway, FRAME_LEN);
	start(target, 0, 0, 0);
	from_guest(1, &gateway, FRAME_LEN);
	from_guest(0, &gateway, FRAME_LEN);   /* another's */
	from_guest(0, &mine, FRAME_LEN);      /* switched to it */
	from_guest(0, &broadcast, FRAME_LEN); /* flooded to it too */
	from_guest(1, &other, FRAME_LEN);
	from_gateway(1, &mine);
	from_gateway(0, &other);
	capture_port_gone(bed.capture, 1);
	from_guest(1, &gateway, FRAME_LEN);
	capture_port_gone(bed.capture, 2);
	ck_assert_ptr_eq(bed.ports[0].ops, &ops);
	ck_assert_uint_eq(read_back(bed.path).frames, 6);
	close_bed();
}
END_TEST

START_TEST(test_one_mac_is_followed_from_port_to_port)
{
	struct capture_target target = {.whom = CAPTURE_MAC, .mac = mac_of(1)};
	struct mac mine = mac_of(1);

	open_bed();
	start(target, 0, 0, 0);
	from_guest(1, &gateway, FRAME_LEN);
	from_guest(0, &gateway, FRAME_LEN);
	from_gateway(1, &mine);
	from_gateway(1, &broadcast);
	from_gateway(0, &broadcast); /* to another guest */
	capture_port_gone(bed.capture, 2);
	from_gateway(2, &mine); /* it has come back elsewhere */
	turn();
	ck_assert_uint_eq(read_back(bed.path).frames, 4);
	close_bed();
}
END_TEST

START_TEST(test_snaplen_cuts_what_is_kept_and_tells_the_whole_length)
{
	struct read_back got;

	open_bed();
	start(all, 64, 0, 0);
	from_guest(0, &gateway, 1514);
	turn();
	got = read_back(bed.path);
	ck_assert_uint_eq(got.caplen, 64);
	ck_assert_uint_eq(got.len, 1514);
	ck_assert_mem_eq(got.first, gateway.b, 6);
	close_bed();
}
END_TEST

START_TEST(test_longest_frame_there_is_is_one_record)
{
	struct read_back got;

	open_bed();
	start(all, 0, 0, 0);
	for (unsigned i = 0; i < 10; i++) /* more than the buffer holds */
		from_guest(0, &gateway, FRAME_LEN_MAX);
	turn();
	got = read_back(bed.path);
	ck_assert_uint_eq(got.frames, 10);
	ck_assert_uint_eq(got.caplen, FRAME_LEN_MAX);
	ck_assert_uint_eq(got.len, FRAME_LEN_MAX);
	close_bed();
}
END_TEST

START_TEST(test_ring_keeps_as_many_files_as_asked_for)
{
	unsigned frames = 0;
	char path[96];
	struct stat st;

	open_bed();
	start(all, 0, CAPTURE_SIZE_MIN, 3);
	for (unsigned i = 0; i < 100; i++)
		from_guest(0, &gateway, 1514);
	turn();
	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), i ? "%s.%u" : "%s", bed.path, i);
		ck_assert_int_eq(stat(path, &st), 0);
		ck_assert_int_le(st.st_size, CAPTURE_SIZE_MIN);
		ck_assert_int_eq(st.st_mode & 07777, 0600);
		frames += read_back(path).frames;
		ck_assert(i == 0 || read_back(path).frames == 10);
	}
	ck_assert_uint_ge(frames, 21);
	snprintf(path, sizeof(path), "%s.3", bed.path);
	ck_assert_int_eq(stat(path, &st), -1);
	close_bed();
}
END_TEST

START_TEST(test_full_disk_ends_the_capture_with_one_line_and_the_network_goes_on)
{
	struct rlimit limit = {20000, 20000};
	struct capture_info info;
	unsigned sent;
	int number;

	open_bed();
	number = start(all, 0, 0, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	from_guest(0, &gateway, 1514);
	turn();
	for (unsigned i = 0; i < 100; i++)
		from_guest(0, &gateway, 1514);
	turn();
	for (unsigned i = 0; i < 100; i++)
		from_guest(0, &gateway, 1514);
	turn();
	ck_assert_uint_eq(bed.warnings, 1);
	ck_assert_int_eq(capture_next(bed.capture, number - 1, &info), number);
	ck_assert_int_eq(info.error, -EFBIG);
	ck_assert_uint_eq(read_back(bed.path).frames, 1); /* no half record */
	sent = bed.sent;
	from_gateway(0, &broadcast);
	ck_assert_uint_eq(bed.sent, sent + 1);
	ck_assert_int_eq(capture_stop(bed.capture, number), 0);
	close_bed();
}
END_TEST

START_TEST(test_what_is_no_file_is_refused)
{
	static const char *const paths[] = {"/dev/null", "/tmp", "/nonexistent/x", "/tmp/", ""};
	char error[CAPTURE_ERROR_MAX], fifo[80];
	struct capture_file file = {.target = all};

	open_bed();
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		strcpy(file.path, paths[i]);
		ck_assert_int_lt(capture_start(bed.capture, &file, error), 0);
		ck_assert_ptr_nonnull(strstr(error, paths[i]));
	}
	snprintf(fifo, sizeof(fifo), "%s/fifo", bed.dir);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	strcpy(file.path, fifo);
	ck_assert_int_eq(capture_start(bed.capture, &file, error), -EEXIST);
	ck_assert_ptr_eq(bed.ports[0].ops, &ops);
	close_bed();
}
END_TEST

START_TEST(test_captures_are_bounded_and_listed)
{
	struct capture_info info;
	char error[CAPTURE_ERROR_MAX];
	struct capture_file file = {.target = all};
	int number = 0;

	open_bed();
	for (unsigned i = 0; i < CAPTURES_MAX; i++) {
		snprintf(bed.path, sizeof(bed.path), "%s/%u", bed.dir, i);
		number = start(all, 0, 0, 0);
	}
	snprintf(file.path, sizeof(file.path), "%s/more", bed.dir);
	ck_assert_int_eq(capture_start(bed.capture, &file, error), -ENOSPC);
	ck_assert_int_eq(capture_stop(bed.capture, number), 0);
	ck_assert_int_eq(capture_start(bed.capture, &file, error), number + 1);
	for (number = 0; (number = capture_next(bed.capture, number, &info));)
		ck_assert_int_eq(info.number, number);
	close_bed();
}
END_TEST

/* ---- streams ---- */

static void on_ready(void *ctx)
{
	(void)ctx;
	bed.ready++;
}

static struct capture_stream *open_stream(struct capture_target target)
{
	struct capture_stream_config config = {.target = target, .ready = on_ready};
	struct capture_stream *stream = NULL;

	ck_assert_int_eq(capture_stream_open(&stream, bed.capture, &config), 0);
	return stream;
}

/* Reads all there is; what is behind it (-EAGAIN, or 0 at the end). */
static ssize_t drain(struct capture_stream *stream, FILE *out)
{
	uint8_t bytes[1000];
	ssize_t n;

	while ((n = capture_stream_read(stream, bytes, sizeof(bytes))) > 0)
		ck_assert_uint_eq(fwrite(bytes, 1, (size_t)n, out), (size_t)n);
	return n;
}

START_TEST(test_stream_is_a_file_read_piece_by_piece)
{
	struct capture_stream *stream;
	FILE *out;

	open_bed();
	out = fopen(bed.path, "w");
	stream = open_stream(all);
	ck_assert_int_eq(drain(stream, out), -EAGAIN); /* the header */
	ck_assert_uint_eq(bed.ready, 0);
	from_guest(0, &gateway, 1514);
	from_guest(0, &gateway, 1514);
	ck_assert_uint_eq(bed.ready, 0); /* not from inside */
	turn();
	ck_assert_uint_eq(bed.ready, 1);
	turn();
	ck_assert_uint_eq(bed.ready, 1);
	ck_assert_int_eq(drain(stream, out), -EAGAIN);
	capture_stream_close(stream);
	fclose(out);
	ck_assert_uint_eq(read_back(bed.path).frames, 2);
	ck_assert_ptr_eq(bed.ports[0].ops, &ops);
	close_bed();
}
END_TEST

START_TEST(test_slow_reader_loses_whole_frames_which_are_counted)
{
	struct capture_stream *stream;
	struct capture_info info;
	FILE *out;

	open_bed();
	out = fopen(bed.path, "w");
	stream = open_stream(all);
	for (unsigned i = 0; i < 2000; i++)
		from_guest(0, &gateway, 1514);
	ck_assert_int_eq(drain(stream, out), -EAGAIN);
	for (unsigned i = 0; i < 10; i++)
		from_guest(0, &gateway, 1514);
	ck_assert_int_eq(drain(stream, out), -EAGAIN);
	fclose(out);
	ck_assert_int_gt(capture_next(bed.capture, 0, &info), 0);
	ck_assert_uint_gt(info.dropped_reader, 0);
	ck_assert_uint_eq(info.frames + info.dropped_reader, 2010);
	ck_assert_uint_eq(read_back(bed.path).frames, info.frames);
	capture_stream_close(stream);
	close_bed();
}
END_TEST

START_TEST(test_streams_end_is_told_and_what_was_there_is_read_first)
{
	struct capture_target target = {.whom = CAPTURE_PORT, .port_id = 1};
	struct capture_stream *stream, *late;
	FILE *out;

	open_bed();
	out = fopen(bed.path, "w");
	stream = open_stream(target);
	late = open_stream(all);
	ck_assert_int_eq(drain(stream, out), -EAGAIN);
	capture_port_gone(bed.capture, 1);
	ck_assert_uint_eq(bed.ready, 1);
	ck_assert_int_eq(drain(stream, out), 0);
	capture_stream_close(stream);
	close_bed();
	ck_assert_int_eq(drain(late, out), 0); /* after capture_close() */
	capture_stream_close(late);
	fclose(out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("capture");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_nothing_is_between_while_nobody_captures);
	tcase_add_test(tc, test_all_sees_both_directions_and_each_frame_once);
	tcase_add_test(tc, test_file_is_for_its_owner_alone_also_when_it_was_there);
	tcase_add_test(tc, test_one_port_sees_its_own_frames_alone_and_ends_with_it);
	tcase_add_test(tc, test_one_mac_is_followed_from_port_to_port);
	tcase_add_test(tc, test_snaplen_cuts_what_is_kept_and_tells_the_whole_length);
	tcase_add_test(tc, test_longest_frame_there_is_is_one_record);
	tcase_add_test(tc, test_ring_keeps_as_many_files_as_asked_for);
	tcase_add_test(tc, test_full_disk_ends_the_capture_with_one_line_and_the_network_goes_on);
	tcase_add_test(tc, test_what_is_no_file_is_refused);
	tcase_add_test(tc, test_captures_are_bounded_and_listed);
	tcase_add_test(tc, test_stream_is_a_file_read_piece_by_piece);
	tcase_add_test(tc, test_slow_reader_loses_whole_frames_which_are_counted);
	tcase_add_test(tc, test_streams_end_is_told_and_what_was_there_is_read_first);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
