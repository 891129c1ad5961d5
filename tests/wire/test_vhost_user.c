/* The program's vhost-user socket, with a front-end and a driver of the test's own: what QEMU does,
 * and what nobody should. */
#include "stack/link/virtio_net.h"
#include "stack/link/vu_msg.h"
#include "tests/support/frames.h"
#include "tests/support/process.h"
#include "tests/support/vu_front.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MEM_LEN (2 * 1024 * 1024)
#define RX VU_FRONT_RX
#define TX VU_FRONT_TX
#define SIZE 64
#define WAIT_MS VU_FRONT_WAIT_MS

static struct process_place place;
static struct process lwnat;
static char path[80], line[256];

/* One guest, and its card's address. */
struct front {
	struct vu_front vu;
	struct mac mac;
};

static void set_up(void)
{
	process_place_make(&place);
	snprintf(path, sizeof(path), "%s/v", place.dir);
	snprintf(line, sizeof(line), "--vhost-user|%s|--log-level|info", path);
	process_start(&lwnat, &place, line);
}

static void tear_down(void)
{
	process_kill(&lwnat);
	process_place_remove(&place);
}

static void front_boot(struct front *f, uint8_t number)
{
	static const struct vu_front_ring ring = {SIZE, 2048};

	f->mac = (struct mac){{0x52, 0x54, 0, 0, 9, number}};
	vu_front_boot(&f->vu, MEM_LEN, &ring, &ring);
}

static void attach(struct front *f)
{
	vu_front_attach(&f->vu, VU_FRONT_FEATURES);
}

static void front_attach_again(struct front *f)
{
	vu_front_connect(&f->vu, path);
	attach(f);
}

static void front_begin(struct front *f, uint8_t number)
{
	front_boot(f, number);
	front_attach_again(f);
}

static void front_end(struct front *f)
{
	vu_front_detach(&f->vu);
	vu_front_free(&f->vu);
}

/* ---- frames ---- */

static size_t arp_request(const struct front *f, uint8_t bytes[128])
{
	struct wire_out out = wire_out(bytes, 128);
	struct frames_arp arp = {.eth_src = f->mac,
				 .eth_dst = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
				 .op = 1,
				 .sender_mac = f->mac,
				 .sender = addr_v4(0x0a00020f),
				 .target = addr_v4(0x0a000202)};

	wire_put_zero(&out, VU_FRONT_VNET_LEN);
	frames_arp(&out, &arp);
	return wire_len(&out);
}

/* The gateway answers ARP: proof that frames pass both ways. */
static void check_arp(struct front *f)
{
	uint8_t bytes[128];
	uint32_t id, len;
	size_t request_len = arp_request(f, bytes);

	vq_set_used_event(&f->vu.rx, f->vu.rx.used_seen);
	vq_send(&f->vu.tx, bytes, (uint32_t)request_len);
	vu_front_kick(&f->vu, TX);
	/* Others' broadcasts may come in between. */
	for (;;) {
		vu_front_wait_for_used(&f->vu, &id, &len);
		const uint8_t *frame = vq_buffer(&f->vu.rx, (uint16_t)id) + VU_FRONT_VNET_LEN;
		if (frame[12] == 8 && frame[13] == 6 && frame[21] == 2 &&
		    memcmp(frame, f->mac.b, 6) == 0)
			return;
	}
}

static void wait_for_hangup(struct front *f)
{
	struct pollfd p = {.fd = f->vu.fd, .events = POLLIN};
	char byte;

	ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
	ck_assert_int_le(recv(f->vu.fd, &byte, 1, 0), 0);
}

/* Another guest, attached all the time, must not notice anything. */
static struct front witness;

static void begin_with_witness(struct front *f)
{
	front_begin(&witness, 1);
	check_arp(&witness);
	front_begin(f, 2);
	check_arp(f);
}

static void end_with_witness(struct front *f)
{
	wait_for_hangup(f);
	check_arp(&witness);
	front_end(f);
	front_end(&witness);
}

/* ---- tests ---- */

START_TEST(test_frames_pass_both_ways)
{
	struct front f;

	front_begin(&f, 2);
	for (unsigned i = 0; i < 200; i++) {
		uint32_t id, len;
		check_arp(&f);
		while (vq_take_used(&f.vu.tx, &id, &len))
			;
		vq_offer_buffers(&f.vu.rx, 1);
	}
	front_end(&f);
	process_wait_for_log(&lwnat, "guest left");
}
END_TEST

START_TEST(test_a_guest_may_come_again)
{
	struct front f;

	for (unsigned i = 0; i < 5; i++) {
		front_begin(&f, 2);
		check_arp(&f);
		front_end(&f);
	}
}
END_TEST

START_TEST(test_memory_cut_short_costs_only_its_guest)
{
	struct front f;

	begin_with_witness(&f);
	ck_assert_int_eq(ftruncate(f.vu.mem_fd, 0), 0);
	vu_front_kick(&f.vu, TX);
	process_wait_for_log(&lwnat, "took its memory away");
	end_with_witness(&f);
}
END_TEST

START_TEST(test_a_broken_ring_costs_only_its_guest)
{
	struct front f;

	begin_with_witness(&f);
	vq_set_avail(&f.vu.tx, (uint16_t)(f.vu.tx.avail + SIZE + 1));
	vu_front_kick(&f.vu, TX);
	process_wait_for_log(&lwnat, "a broken ring");
	end_with_witness(&f);
}
END_TEST

START_TEST(test_a_receive_buffer_outside_of_memory_costs_only_its_guest)
{
	struct front f;
	uint8_t bytes[128];
	size_t len;

	begin_with_witness(&f);
	for (uint16_t i = 0; i < SIZE; i++)
		vq_set_desc(&f.vu.rx, i, (struct vq_desc){UINT64_C(1) << 50, 2048, VQ_WRITE, 0});
	len = arp_request(&f, bytes);
	vq_send(&f.vu.tx, bytes, (uint32_t)len);
	vu_front_kick(&f.vu, TX);
	process_wait_for_log(&lwnat, "a broken ring");
	end_with_witness(&f);
}
END_TEST

START_TEST(test_junk_costs_only_its_sender)
{
	static const uint8_t junk[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct front f;

	begin_with_witness(&f);
	ck_assert_int_gt(send(f.vu.fd, junk, sizeof(junk), 0), 0);
	process_wait_for_log(&lwnat, "no vhost-user message");
	end_with_witness(&f);
}
END_TEST

START_TEST(test_a_kick_that_is_no_event_descriptor_is_survived)
{
	struct front f;
	int pipes[2];

	begin_with_witness(&f);
	ck_assert_int_eq(pipe(pipes), 0);
	vu_front_say_u64(&f.vu, VU_SET_VRING_KICK, TX, pipes[0]);
	ck_assert_int_eq(write(pipes[1], "x", 1), 1); /* shorter than a count */
	close(pipes[0]);
	close(pipes[1]); /* hangs up for ever: must not spin or kill */
	vu_front_say_u64(&f.vu, VU_SET_VRING_KICK, TX, f.vu.mem_fd); /* cannot even be polled */
	check_arp(&witness);
	vu_front_say_u64(&f.vu, VU_SET_FEATURES, UINT64_MAX, -1);
	process_wait_for_log(&lwnat, "refused");
	end_with_witness(&f);
}
END_TEST

START_TEST(test_memory_that_goes_while_in_use_stops_the_rings_until_it_is_back)
{
	struct {
		uint64_t padding;
		struct vu_mem_region region;
	} single = {0, {VQ_GUEST_BASE, MEM_LEN, VU_FRONT_USER_BASE, 0}};
	uint8_t bytes[128];
	struct front f;

	front_begin(&f, 2);
	check_arp(&f);
	vu_front_say(&f.vu, VU_REM_MEM_REG, &single, sizeof(single), -1);
	vq_send(&f.vu.tx, bytes, (uint32_t)arp_request(&f, bytes));
	vu_front_kick(&f.vu, TX);
	ck_assert_uint_ne(vu_front_ask(&f.vu, VU_GET_FEATURES, NULL, 0), 0); /* is alive */
	vu_front_say(&f.vu, VU_ADD_MEM_REG, &single, sizeof(single), f.vu.mem_fd);
	check_arp(&f);
	front_end(&f);
}
END_TEST

START_TEST(test_the_ring_goes_on_where_it_was_stopped)
{
	struct vu_vring_state tx = {TX, 0};
	struct front f;
	uint64_t state;

	front_begin(&f, 2);
	check_arp(&f);
	check_arp(&f);
	state = vu_front_ask(&f.vu, VU_GET_VRING_BASE, &tx, sizeof(tx));
	ck_assert_uint_eq(state >> 32, 2);
	tx.num = 2;
	close(f.vu.kick[TX]);
	f.vu.kick[TX] = eventfd(0, EFD_NONBLOCK);
	vu_front_say(&f.vu, VU_SET_VRING_BASE, &tx, sizeof(tx), -1);
	vu_front_say_u64(&f.vu, VU_SET_VRING_KICK, TX, f.vu.kick[TX]);
	check_arp(&f);
	front_end(&f);
}
END_TEST

START_TEST(test_a_guest_outlives_the_process_and_goes_on_with_the_next)
{
	struct front f;

	front_begin(&f, 2);
	for (unsigned i = 0; i < 3; i++) {
		check_arp(&f);
		process_kill(&lwnat);
		vu_front_detach(&f.vu);
		vq_offer_buffers(&f.vu.rx, 1);
		process_start(&lwnat, &place, line);
		front_attach_again(&f);
	}
	check_arp(&f);
	front_end(&f);
}
END_TEST

/* The process before this one has shown its last used entries and died: the guest, which waits for
 * a call since an earlier one, would wait for 65,536 more. */
START_TEST(test_a_call_that_was_never_made_is_made_by_the_next_process)
{
	struct pollfd call = {.events = POLLIN};
	uint8_t bytes[128];
	struct front f;

	front_begin(&f, 2);
	vq_set_used_event(&f.vu.rx, (uint16_t)(f.vu.rx.used_seen - 1)); /* asks for none */
	vq_send(&f.vu.tx, bytes, (uint32_t)arp_request(&f, bytes));
	vu_front_kick(&f.vu, TX);
	for (unsigned i = 0; vq_used_idx(&f.vu.rx) == f.vu.rx.used_seen && i < WAIT_MS; i++)
		poll(NULL, 0, 1);
	process_kill(&lwnat);
	vu_front_detach(&f.vu);
	process_start(&lwnat, &place, line);
	front_attach_again(&f);
	call.fd = f.vu.call[RX];
	ck_assert_int_eq(poll(&call, 1, WAIT_MS), 1);
	front_end(&f);
}
END_TEST

START_TEST(test_a_ring_that_would_have_to_be_polled_is_refused)
{
	struct front f;

	begin_with_witness(&f);
	vu_front_say_u64(&f.vu, VU_SET_VRING_KICK, TX | VU_VRING_NO_FD, -1);
	process_wait_for_log(&lwnat, "a ring without a kick descriptor");
	end_with_witness(&f);
}
END_TEST

/* A process that connects to a front-end; its listening socket. */
static int start_dialler(struct process *other, struct sockaddr_un *name)
{
	char words[256];

	*name = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(name->sun_path, sizeof(name->sun_path), "%s/qemu", place.dir);
	snprintf(words, sizeof(words), "--name|other|--log-level|info|--vhost-user-connect|%s",
		 name->sun_path);
	process_start(other, &place, words);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

START_TEST(test_a_front_end_that_listens_is_connected_to_again_and_again)
{
	struct process other = {0};
	struct sockaddr_un name;
	int listener = start_dialler(&other, &name);

	process_wait_for_log(&other, "No such file or directory: trying again");
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
	process_wait_for_log(&other, "Connection refused: trying again");
	ck_assert_int_eq(listen(listener, 4), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct pollfd p = {.fd = listener, .events = POLLIN};
		struct front f = {0};
		ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
		f.vu.fd = accept(listener, NULL, NULL);
		ck_assert_uint_eq(vu_front_ask(&f.vu, VU_GET_FEATURES, NULL, 0) & VU_FRONT_FEATURES,
				  VU_FRONT_FEATURES);
		ck_assert_uint_eq(vu_front_ask(&f.vu, VU_GET_QUEUE_NUM, NULL, 0), 4);
		close(f.vu.fd);
	}
	process_kill(&other);
	close(listener);
}
END_TEST

START_TEST(test_a_guest_goes_on_when_its_listening_front_end_takes_the_next_connection)
{
	struct process other = {0};
	struct sockaddr_un name;
	struct front f;
	int listener = start_dialler(&other, &name);

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert_int_eq(listen(listener, 4), 0);
	front_boot(&f, 2);
	for (unsigned i = 0; i < 2; i++) {
		f.vu.fd = accept(listener, NULL, NULL);
		attach(&f);
		check_arp(&f);
		vu_front_detach(&f.vu);
		vq_offer_buffers(&f.vu.rx, 1);
	}
	process_kill(&other);
	close(listener);
	vu_front_free(&f.vu);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vhost_user");
	TCase *tc = tcase_create("vhost_user");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, PROCESS_HANG_S);
	tcase_add_test(tc, test_frames_pass_both_ways);
	tcase_add_test(tc, test_a_guest_may_come_again);
	tcase_add_test(tc, test_memory_cut_short_costs_only_its_guest);
	tcase_add_test(tc, test_a_broken_ring_costs_only_its_guest);
	tcase_add_test(tc, test_a_receive_buffer_outside_of_memory_costs_only_its_guest);
	tcase_add_test(tc, test_junk_costs_only_its_sender);
	tcase_add_test(tc, test_a_kick_that_is_no_event_descriptor_is_survived);
	tcase_add_test(tc, test_memory_that_goes_while_in_use_stops_the_rings_until_it_is_back);
	tcase_add_test(tc, test_the_ring_goes_on_where_it_was_stopped);
	tcase_add_test(tc, test_a_guest_outlives_the_process_and_goes_on_with_the_next);
	tcase_add_test(tc, test_a_call_that_was_never_made_is_made_by_the_next_process);
	tcase_add_test(tc, test_a_ring_that_would_have_to_be_polled_is_refused);
	tcase_add_test(tc,
		       test_a_guest_goes_on_when_its_listening_front_end_takes_the_next_connection);
	tcase_add_test(tc, test_a_front_end_that_listens_is_connected_to_again_and_again);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
