/* Many datagrams at once through the real program: from a sender that leaves the cutting to the
 * kernel, and over vhost-user to and from guests that take and give large ones. */
#include "stack/base/frame.h"
#include "stack/link/offload.h"
#include "stack/link/virtio_net.h"
#include "tests/support/frames.h"
#include "tests/support/host_fixture.h"
#include "tests/support/packet.h"
#include "tests/support/pattern.h"
#include "tests/support/suite.h"
#include "tests/support/vu_front.h"
#include "tests/support/wirebed.h"

#include "stack/host/sockaddr.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS VU_FRONT_WAIT_MS

static void send_cut(int fd, const struct endpoint *to, size_t len, int segment)
{
	static uint8_t bytes[65507];
	struct sockaddr_storage name;
	socklen_t name_len = host_sockaddr_from(to, &name);

	pattern_fill(4, 0, bytes, len);
	ck_assert_int_eq(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	ck_assert_int_eq(sendto(fd, bytes, len, 0, (struct sockaddr *)&name, name_len),
			 (ssize_t)len);
}

/* The next datagram; its length, and where it came from. */
static size_t next_datagram(int fd, uint8_t *ret, size_t room, struct endpoint *ret_from)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct sockaddr_storage name;
	socklen_t name_len = sizeof(name);

	ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
	ssize_t n = recvfrom(fd, ret, room, 0, (struct sockaddr *)&name, &name_len);
	ck_assert_int_ge(n, 0);
	ck_assert(host_sockaddr_to(&name, name_len, ret_from));
	return (size_t)n;
}

/* ---- over a stream socket ---- */

static bool has_datagram(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

START_TEST(test_a_burst_sent_as_one_reaches_a_guest_as_single_datagrams)
{
	static const struct {
		size_t len;
		int segment;
	} cases[] = {{14000, 1400}, {14001, 1400}, {60001, 1000}, {40, 1}, {30000, 3000}};
	struct endpoint to = {wire_gateway(), 0}, guest;
	struct guestsim_datagram *got = NULL;
	struct guestsim *sim;
	struct wire wire;
	uint8_t hello[8];

	wire_start(&wire, "");
	int peer = wire_udp(&to.port);
	sim = wire_add_guest(&wire, 0);
	guestsim_udp_send(sim, 5000, &to, frames_bytes("hello", 5));
	WIRE_UNTIL(&wire, has_datagram(peer));
	ck_assert_uint_eq(next_datagram(peer, hello, sizeof(hello), &guest), 5);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t each = (size_t)cases[i].segment;

		send_cut(peer, &guest, cases[i].len, cases[i].segment);
		for (size_t at = 0; at < cases[i].len; at += got->len, free(got)) {
			WIRE_UNTIL(&wire, (got = guestsim_udp_pop(sim)));
			ck_assert_uint_eq(got->len,
					  cases[i].len - at < each ? cases[i].len - at : each);
			ck_assert(pattern_matches(4, at, got->bytes, got->len));
		}
	}
	close(peer);
	wire_finish(&wire);
}
END_TEST

/* ---- over vhost-user ---- */

#define MEM_LEN (4 * 1024 * 1024)
#define TX_LEN 70000
#define VNET_LEN VU_FRONT_VNET_LEN
#define SUMS (VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM)
#define USO (VIRTIO_NET_F_HOST_USO | VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6)

struct front {
	struct process_place place;
	struct process lwnat;
	struct vu_front vu;
	struct frames_ends ends; /* to the gateway */
	uint64_t features;
};

static void front_begin(struct front *f, uint64_t features)
{
	static const struct vu_front_ring rx = {64, 4096}, tx = {16, TX_LEN};
	char path[80], line[128];

	memset(f, 0, sizeof(*f));
	process_place_make(&f->place);
	snprintf(path, sizeof(path), "%s/v", f->place.dir);
	snprintf(line, sizeof(line), "--vhost-user|%s", path);
	process_start(&f->lwnat, &f->place, line);
	f->features = VU_FRONT_FEATURES | features;
	f->ends = (struct frames_ends){.src_mac = {{0x52, 0x54, 0, 0, 9, 1}},
				       .src = addr_v4(0x0a00020f),
				       .dst = addr_v4(0x0a000202)};
	vu_front_boot(&f->vu, MEM_LEN, &rx, &tx);
	vu_front_connect(&f->vu, path);
	vu_front_attach(&f->vu, f->features);
}

static void front_end(struct front *f)
{
	vu_front_detach(&f->vu);
	vu_front_free(&f->vu);
	process_kill(&f->lwnat);
	process_place_remove(&f->place);
}

/* A frame with these marks in front of it; NULL: none. */
static void front_send(struct front *f, const struct wire_out *frame,
		       const struct frame_offload *offload)
{
	static uint8_t bytes[TX_LEN];
	const struct frame_offload none = {0};

	virtio_net_hdr_put(bytes, f->features, offload ? offload : &none, 0);
	memcpy(bytes + VNET_LEN, frame->start, wire_len(frame));
	vq_send(&f->vu.tx, bytes, (uint32_t)(VNET_LEN + wire_len(frame)));
	vu_front_kick(&f->vu, VU_FRONT_TX);
}

/* The next frame of UDP with what precedes it, from as many buffers as it has; its length. */
static size_t front_receive(struct front *f, uint8_t *ret)
{
	size_t len;

	do {
		unsigned buffers_n = 1;
		len = 0;
		for (unsigned i = 0; i < buffers_n; i++) {
			uint32_t id, here;
			vu_front_wait_for_used(&f->vu, &id, &here);
			ck_assert_uint_le(len + here, TX_LEN);
			memcpy(ret + len, vq_buffer(&f->vu.rx, (uint16_t)id), here);
			len += here;
			if (i == 0)
				buffers_n = ret[10] | (unsigned)ret[11] << 8;
			vq_offer_buffers(&f->vu.rx, 1);
		}
		vu_front_kick(&f->vu, VU_FRONT_RX);
	} while (len < VNET_LEN + 42 || ret[VNET_LEN + 12] != 8 || ret[VNET_LEN + 13] != 0 ||
		 ret[VNET_LEN + 23] != PROTO_UDP);
	return len;
}

/* Learns the gateway's MAC, and says hello from port 5000 to the peer, whose answers then have
 * somewhere to go. */
static void front_greet(struct front *f, int peer, uint16_t port, struct endpoint *ret_guest)
{
	static const struct mac gateway = {{0x52, 0x55, 0x0a, 0x00, 0x02, 0x02}};
	uint8_t bytes[128], hello[8];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	f->ends.dst_mac = gateway;
	frames_udp(&out, &f->ends, (struct frames_ports){5000, port}, frames_bytes("hello", 5));
	front_send(f, &out, NULL);
	ck_assert_uint_eq(next_datagram(peer, hello, sizeof(hello), ret_guest), 5);
}

struct seen {
	size_t at;
	size_t segment;
	unsigned datagrams;
};

/* What the guest's stack would make of it: each datagram right, and its sum. */
static void on_finished(void *ctx, const struct frame *frame)
{
	static uint8_t bytes[TX_LEN];
	struct seen *seen = ctx;
	struct packet packet;
	size_t len = 0;

	for (unsigned i = 0; i < frame->iov_n; i++) {
		memcpy(bytes + len, frame->iov[i].iov_base, frame->iov[i].iov_len);
		len += frame->iov[i].iov_len;
	}
	packet_parse(&packet, bytes, len);
	ck_assert_msg(!packet.fault, "%s", packet.fault);
	ck_assert_uint_eq(packet.dst_port, 5000);
	ck_assert_uint_le(packet.payload_len, seen->segment);
	ck_assert(pattern_matches(4, seen->at, packet.payload, packet.payload_len));
	seen->at += packet.payload_len;
	seen->datagrams++;
}

static void see(struct front *f, struct seen *seen, struct frame_offload *ret)
{
	static uint8_t bytes[TX_LEN];
	size_t len = front_receive(f, bytes);
	struct iovec iov = {bytes + VNET_LEN, len - VNET_LEN};
	struct frame frame = {.iov = &iov, .iov_n = 1, .len = (uint32_t)iov.iov_len};

	/* The header's members are the same in both directions. */
	ck_assert(virtio_net_hdr_get(bytes, f->features, frame.len, &frame.offload));
	*ret = frame.offload;
	if (frame.offload.needs_csum)
		ck_assert(offload_finish(&frame, on_finished, seen));
	else
		on_finished(seen, &frame);
}

static const struct guest_kind {
	uint64_t features;
	unsigned frames; /* that 40,001 bytes in datagrams of 1,000 come in */
	bool summed;
} kinds[] = {{0, 41, true}, {SUMS, 41, false}, {SUMS | USO, 1, false}};

START_TEST(test_a_burst_reaches_a_guest_as_it_takes_it)
{
	const struct guest_kind *kind = &kinds[_i];
	struct seen seen = {.segment = 1000};
	struct endpoint at, guest;
	struct front f;

	int peer = loopback_socket(SOCK_DGRAM, false, &at);
	front_begin(&f, kind->features);
	front_greet(&f, peer, at.port, &guest);
	send_cut(peer, &guest, 40001, 1000);
	for (unsigned n = 0; n < kind->frames; n++) {
		struct frame_offload offload;

		see(&f, &seen, &offload);
		ck_assert_uint_eq(offload.needs_csum, !kind->summed);
		ck_assert_uint_eq(offload.gso_type, kind->frames == 1 ? FRAME_GSO_UDP_L4 : 0);
	}
	ck_assert_uint_eq(seen.at, 40001);
	ck_assert_uint_eq(seen.datagrams, 41);
	front_end(&f);
	close(peer);
}
END_TEST

START_TEST(test_a_guests_large_datagrams_leave_as_the_ones_it_meant)
{
	static uint8_t bytes[FRAMES_BUF_LEN], payload[60001], in[2000];
	struct frame_offload offload = {1, FRAME_GSO_UDP_L4, 1000, 34, 6};
	struct endpoint at, guest, from;
	int size = 4 << 20;
	struct front f;

	int peer = loopback_socket(SOCK_DGRAM, false, &at);
	setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	front_begin(&f, SUMS | USO);
	front_greet(&f, peer, at.port, &guest);
	pattern_fill(4, 0, payload, sizeof(payload));
	for (unsigned i = 0; i < 3; i++) {
		struct wire_out out = wire_out(bytes, sizeof(bytes));

		frames_udp(&out, &f.ends, (struct frames_ports){5000, at.port},
			   frames_bytes(payload, sizeof(payload)));
		front_send(&f, &out, &offload);
		for (size_t n = 0; n < sizeof(payload); n += 1000) {
			size_t len = next_datagram(peer, in, sizeof(in), &from);
			ck_assert_uint_eq(len, n == 60000 ? 1 : 1000);
			ck_assert(pattern_matches(4, n, in, len));
			ck_assert(endpoint_eq(&from, &guest));
		}
	}
	front_end(&f);
	close(peer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("udp_bulk");
	TCase *tc = tcase_create("vhost");
	const TTest *const stream = test_a_burst_sent_as_one_reaches_a_guest_as_single_datagrams;
	int failed = loopback_v6_available()
			 ? suite_run_twice("udp_bulk stream", &stream, 1, wire_use_v6)
			 : suite_run("udp_bulk stream", &stream, 1);

	tcase_set_timeout(tc, PROCESS_HANG_S);
	tcase_add_loop_test(tc, test_a_burst_reaches_a_guest_as_it_takes_it, 0, 3);
	tcase_add_test(tc, test_a_guests_large_datagrams_leave_as_the_ones_it_meant);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed |= srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
