/* The program's vhost-user socket, with a front-end and a driver of the test's own: what QEMU does,
 * and what nobody should. */
#include "stack/link/virtio_net.h"
#include "stack/link/vu_msg.h"
#include "tests/support/frames.h"
#include "tests/support/process.h"
#include "tests/support/vq_driver.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MEM_LEN (2 * 1024 * 1024)
#define USER_BASE UINT64_C(0x7f0000000000)
#define RX 0
#define TX 1
#define SIZE 64
#define WAIT_MS 20000 /* only ends what hangs */
#define FEATURES                                                                                   \
	(VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_EVENT_IDX |                        \
	 VHOST_USER_F_PROTOCOL_FEATURES)

static struct process_place place;
static struct process lwnat;
static char path[80], line[256];

/* One guest: the connection and its memory. */
struct front {
	int fd, mem_fd;
	uint8_t *mem;
	struct vq_driver rx, tx;
	int kick[2], call[2];
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

/* ---- messages ---- */

static void say(struct front *f, uint32_t request, const void *payload, uint32_t len, int fd)
{
	uint32_t hdr[3] = {request, 1, len};
	struct iovec iov[2] = {{hdr, sizeof(hdr)}, {(void *)(uintptr_t)payload, len}};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	ck_assert_int_eq(sendmsg(f->fd, &msg, MSG_NOSIGNAL), (int)(sizeof(hdr) + len));
}

static void say_u64(struct front *f, uint32_t request, uint64_t value, int fd)
{
	say(f, request, &value, sizeof(value), fd);
}

static uint64_t ask(struct front *f, uint32_t request, const void *payload, uint32_t len)
{
	uint8_t reply[VU_HDR_LEN + 8];
	uint64_t value;

	say(f, request, payload, len, -1);
	ck_assert_int_eq(recv(f->fd, reply, sizeof(reply), MSG_WAITALL), (int)sizeof(reply));
	memcpy(&value, reply + VU_HDR_LEN, 8);
	return value;
}

static void say_ring(struct front *f, uint32_t ring, struct vq_driver *vq)
{
	/* What QEMU says of a ring: as far as the used index the back-end has come. */
	struct vu_vring_state size = {ring, SIZE}, base = {ring, vq_used_idx(vq)},
			      enable = {ring, 1};
	struct vu_vring_addr addr = {.index = ring,
				     .desc = USER_BASE + vq_desc_at(vq),
				     .avail = USER_BASE + vq_avail_at(vq),
				     .used = USER_BASE + vq_used_at(vq)};

	f->kick[ring] = eventfd(0, EFD_NONBLOCK);
	f->call[ring] = eventfd(0, EFD_NONBLOCK);
	say(f, VU_SET_VRING_NUM, &size, sizeof(size), -1);
	say(f, VU_SET_VRING_BASE, &base, sizeof(base), -1);
	say(f, VU_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	say_u64(f, VU_SET_VRING_KICK, ring, f->kick[ring]);
	say_u64(f, VU_SET_VRING_CALL, ring, f->call[ring]);
	say(f, VU_SET_VRING_ENABLE, &enable, sizeof(enable), -1);
}

static int connect_to(const char *to)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", to);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

static void attach(struct front *f)
{
	struct {
		uint32_t n, padding;
		struct vu_mem_region region;
	} table = {1, 0, {VQ_GUEST_BASE, MEM_LEN, USER_BASE, 0}};

	say(f, VU_SET_OWNER, NULL, 0, -1);
	ck_assert_uint_eq(ask(f, VU_GET_FEATURES, NULL, 0) & FEATURES, FEATURES);
	say_u64(f, VU_SET_PROTOCOL_FEATURES, VU_PROTOCOL_F_MQ, -1);
	say_u64(f, VU_SET_FEATURES, FEATURES, -1);
	say(f, VU_SET_MEM_TABLE, &table, sizeof(table), f->mem_fd);
	say_ring(f, RX, &f->rx);
	say_ring(f, TX, &f->tx);
	/* Messages are handled in order: what is sent on a ring before it is enabled is discarded.
	 */
	ask(f, VU_GET_FEATURES, NULL, 0);
}

static void front_boot(struct front *f, uint8_t number)
{
	memset(f, 0, sizeof(*f));
	f->mac = (struct mac){{0x52, 0x54, 0, 0, 9, number}};
	f->mem_fd = memfd_create("guest", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(f->mem_fd, MEM_LEN), 0);
	f->mem = mmap(NULL, MEM_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, f->mem_fd, 0);
	ck_assert(f->mem != MAP_FAILED);
	vq_init(&f->tx, f->mem, vq_init(&f->rx, f->mem, 0, SIZE, 2048), SIZE, 2048);
	vq_offer_buffers(&f->rx, SIZE);
}

static void front_begin(struct front *f, uint8_t number)
{
	front_boot(f, number);
	f->fd = connect_to(path);
	attach(f);
}

static void detach(struct front *f)
{
	close(f->fd);
	for (unsigned i = 0; i < 2; i++) {
		close(f->kick[i]);
		close(f->call[i]);
	}
}

static void front_end(struct front *f)
{
	detach(f);
	munmap(f->mem, MEM_LEN);
	close(f->mem_fd);
}

/* ---- frames ---- */

static void kick(struct front *f, unsigned ring)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(f->kick[ring], &one, sizeof(one)), (int)sizeof(one));
}

static size_t arp_request(const struct front *f, uint8_t bytes[128])
{
	struct wire_out out = wire_out(bytes, 128);
	struct frames_arp arp = {.eth_src = f->mac,
				 .eth_dst = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
				 .op = 1,
				 .sender_mac = f->mac,
				 .sender = addr_v4(0x0a00020f),
				 .target = addr_v4(0x0a000202)};

	wire_put_zero(&out, 12); /* virtio header */
	frames_arp(&out, &arp);
	return wire_len(&out);
}

/* The gateway answers ARP: proof that frames pass both ways. */
static void check_arp(struct front *f)
{
	uint8_t bytes[128];
	uint64_t count;
	uint32_t id, len;
	size_t request_len = arp_request(f, bytes);
	struct pollfd call = {.fd = f->call[RX], .events = POLLIN};

	vq_set_used_event(&f->rx, f->rx.used_seen);
	vq_send(&f->tx, bytes, (uint32_t)request_len);
	kick(f, TX);
	/* Others' broadcasts may come in between. */
	for (;;) {
		while (!vq_take_used(&f->rx, &id, &len)) {
			vq_set_used_event(&f->rx, f->rx.used_seen);
			if (vq_used_idx(&f->rx) != f->rx.used_seen)
				continue;
			ck_assert_int_eq(poll(&call, 1, WAIT_MS), 1);
			ck_assert_int_eq(read(call.fd, &count, sizeof(count)), (int)sizeof(count));
		}
		const uint8_t *frame = vq_buffer(&f->rx, (uint16_t)id) + 12;
		if (frame[12] == 8 && frame[13] == 6 && frame[21] == 2 &&
		    memcmp(frame, f->mac.b, 6) == 0)
			return;
	}
}

static void wait_for_hangup(struct front *f)
{
	struct pollfd p = {.fd = f->fd, .events = POLLIN};
	char byte;

	ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
	ck_assert_int_le(recv(f->fd, &byte, 1, 0), 0);
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
		while (vq_take_used(&f.tx, &id, &len))
			;
		vq_offer_buffers(&f.rx, 1);
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
	ck_assert_int_eq(ftruncate(f.mem_fd, 0), 0);
	kick(&f, TX);
	process_wait_for_log(&lwnat, "took its memory away");
	end_with_witness(&f);
}
END_TEST

START_TEST(test_a_broken_ring_costs_only_its_guest)
{
	struct front f;

	begin_with_witness(&f);
	vq_set_avail(&f.tx, (uint16_t)(f.tx.avail + SIZE + 1));
	kick(&f, TX);
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
		vq_set_desc(&f.rx, i, (struct vq_desc){UINT64_C(1) << 50, 2048, VQ_WRITE, 0});
	len = arp_request(&f, bytes);
	vq_send(&f.tx, bytes, (uint32_t)len);
	kick(&f, TX);
	process_wait_for_log(&lwnat, "a broken ring");
	end_with_witness(&f);
}
END_TEST

START_TEST(test_junk_costs_only_its_sender)
{
	static const uint8_t junk[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct front f;

	begin_with_witness(&f);
	ck_assert_int_gt(send(f.fd, junk, sizeof(junk), 0), 0);
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
	say_u64(&f, VU_SET_VRING_KICK, TX, pipes[0]);
	ck_assert_int_eq(write(pipes[1], "x", 1), 1); /* shorter than a count */
	close(pipes[0]);
	close(pipes[1]);                              /* hangs up for ever: must not spin or kill */
	say_u64(&f, VU_SET_VRING_KICK, TX, f.mem_fd); /* cannot even be polled */
	check_arp(&witness);
	say_u64(&f, VU_SET_FEATURES, UINT64_MAX, -1);
	process_wait_for_log(&lwnat, "refused");
	end_with_witness(&f);
}
END_TEST

START_TEST(test_memory_that_goes_while_in_use_stops_the_rings_until_it_is_back)
{
	struct {
		uint64_t padding;
		struct vu_mem_region region;
	} single = {0, {VQ_GUEST_BASE, MEM_LEN, USER_BASE, 0}};
	uint8_t bytes[128];
	struct front f;

	front_begin(&f, 2);
	check_arp(&f);
	say(&f, VU_REM_MEM_REG, &single, sizeof(single), -1);
	vq_send(&f.tx, bytes, (uint32_t)arp_request(&f, bytes));
	kick(&f, TX);
	ck_assert_uint_ne(ask(&f, VU_GET_FEATURES, NULL, 0), 0); /* is alive */
	say(&f, VU_ADD_MEM_REG, &single, sizeof(single), f.mem_fd);
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
	state = ask(&f, VU_GET_VRING_BASE, &tx, sizeof(tx));
	ck_assert_uint_eq(state >> 32, 2);
	tx.num = 2;
	close(f.kick[TX]);
	f.kick[TX] = eventfd(0, EFD_NONBLOCK);
	say(&f, VU_SET_VRING_BASE, &tx, sizeof(tx), -1);
	say_u64(&f, VU_SET_VRING_KICK, TX, f.kick[TX]);
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
		detach(&f);
		vq_offer_buffers(&f.rx, 1);
		process_start(&lwnat, &place, line);
		f.fd = connect_to(path);
		attach(&f);
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
	vq_set_used_event(&f.rx, (uint16_t)(f.rx.used_seen - 1)); /* asks for none */
	vq_send(&f.tx, bytes, (uint32_t)arp_request(&f, bytes));
	kick(&f, TX);
	for (unsigned i = 0; vq_used_idx(&f.rx) == f.rx.used_seen && i < WAIT_MS; i++)
		poll(NULL, 0, 1);
	process_kill(&lwnat);
	detach(&f);
	process_start(&lwnat, &place, line);
	f.fd = connect_to(path);
	attach(&f);
	call.fd = f.call[RX];
	ck_assert_int_eq(poll(&call, 1, WAIT_MS), 1);
	front_end(&f);
}
END_TEST

START_TEST(test_a_ring_that_would_have_to_be_polled_is_refused)
{
	struct front f;

	begin_with_witness(&f);
	say_u64(&f, VU_SET_VRING_KICK, TX | VU_VRING_NO_FD, -1);
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
		f.fd = accept(listener, NULL, NULL);
		ck_assert_uint_eq(ask(&f, VU_GET_FEATURES, NULL, 0) & FEATURES, FEATURES);
		ck_assert_uint_eq(ask(&f, VU_GET_QUEUE_NUM, NULL, 0), 4);
		close(f.fd);
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
		f.fd = accept(listener, NULL, NULL);
		attach(&f);
		check_arp(&f);
		detach(&f);
		vq_offer_buffers(&f.rx, 1);
	}
	process_kill(&other);
	close(listener);
	munmap(f.mem, MEM_LEN);
	close(f.mem_fd);
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
