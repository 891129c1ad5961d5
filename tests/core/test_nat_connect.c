/* How a guest's connect() ends: the guest sees what the host saw, and only then. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#include <string.h>

#define AWAY "198.51.100.7"

START_TEST(test_syn_is_answered_once_the_host_has_connected)
{
	struct endpoint away = bed_endpoint(AWAY, 80);
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	bed.host.connect_result = FAKE_DIAL_PENDING;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	for (unsigned i = 0; i < 3; i++)
		ck_assert(bed_step(&bed));
	ck_assert_int_eq(tcp->state, SIM_SYN_SENT);
	ck_assert_uint_ge(tcp->count.segments_out, 3);
	ck_assert_uint_eq(bed.host.count.dials, 1);
	ck_assert_uint_eq(bed.frames_out, 0);
	fake_host_dial_done(&bed.host, fake_host_find(&bed.host, &away), 0);
	bed_settle(&bed);
	ck_assert_int_eq(tcp->state, SIM_OPEN);
	ck_assert_uint_eq(tcp->count.syn_acks_in, 1);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 1);
	ck_assert_uint_eq(nat_counters(bed.nat)->tcp_flows_opened, 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_syn_ack_offers_our_mss_and_a_window_scale)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_init(&bed);
	bed.config.mtu = 9000;
	bed_start(&bed);
	bed_add_guest(&bed, 0);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	ck_assert_int_eq(tcp->state, SIM_OPEN);
	ck_assert_uint_eq(tcp->peer_mss, 9000 - bed_ip_len() - 20);
	ck_assert_int_ge(tcp->peer_wscale, 0);
	ck_assert_uint_gt(tcp->peer_window, 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_without_options_gets_none)
{
	struct sim_tcp_setup setup = bed_setup;
	struct endpoint away = bed_endpoint(AWAY, 80);
	struct guestsim *sim;
	struct sim_tcp *tcp;
	struct bed bed;

	sim = bed_simple(&bed);
	setup.no_options = true;
	setup.recv_buffer = 60000;
	setup.send_total = 300000;
	bed.host.defaults.send_total = 300000;
	tcp = sim_tcp_connect(sim, 40000, &away, &setup);
	BED_UNTIL(&bed, tcp->received == 300000 && tcp->acked == 300000);
	ck_assert_int_lt(tcp->peer_wscale, 0);
	ck_assert_uint_eq(tcp->count.segment_max,
			  bed_is_v6() ? 1220 : 536); /* RFC 9293 section 3.7.1 */
	bed_finish(&bed);
}
END_TEST

static void check_refused(int at_once, int later)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	bed.host.dial_result = at_once;
	bed.host.connect_result = later;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	ck_assert_int_eq(tcp->state, SIM_RESET);
	ck_assert_uint_eq(bed.frames_out, 1);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	ck_assert_uint_eq(bed.host.open_n, 0);
	bed_finish(&bed);
}

START_TEST(test_refused_is_a_reset_at_once)
{
	check_refused(0, -ECONNREFUSED);
	check_refused(-ECONNREFUSED, 0);
}
END_TEST

START_TEST(test_refused_counts_as_refused)
{
	struct bed bed;

	bed_simple(&bed);
	bed.host.connect_result = -ECONNREFUSED;
	bed_connect(&bed, 0, 40000, AWAY, 80);
	ck_assert_uint_eq(nat_counters(bed.nat)->tcp_refused, 1);
	bed_finish(&bed);
}
END_TEST

static void check_unreachable(int at_once, int later, enum bed_error error)
{
	struct guestsim_icmp *icmp;
	struct guestsim *sim;
	struct sim_tcp *tcp;
	struct bed bed;

	sim = bed_simple(&bed);
	bed.host.dial_result = at_once;
	bed.host.connect_result = later;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	ck_assert_int_eq(tcp->state, SIM_UNREACHABLE);
	bed_check_error(error, tcp->icmp_type, tcp->icmp_code);
	icmp = guestsim_icmp_pop(sim);
	ck_assert(addr_eq(&icmp->from, bed_gateway(&bed)));
	free(icmp);
	/* A reset after it for those whose TCP takes an ICMP error for a passing one. */
	ck_assert_uint_eq(bed.frames_out, error == BED_NO_ROUTE ? 2 : 1);
	ck_assert_uint_eq(nat_counters(bed.nat)->tcp_unreachable, 1);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}

START_TEST(test_unreachable_is_told_by_icmp_with_the_syn_quoted)
{
	check_unreachable(0, -ENETUNREACH, BED_NO_ROUTE);
	check_unreachable(-ENETUNREACH, 0, BED_NO_ROUTE);
	check_unreachable(0, -EHOSTUNREACH, BED_HOST_UNREACHABLE);
	check_unreachable(-EHOSTUNREACH, 0, BED_HOST_UNREACHABLE);
}
END_TEST

static int dial_black_hole(void *ctx, const struct endpoint *to, int *ret_connect_result)
{
	(void)ctx;
	*ret_connect_result = to->port == 9 ? FAKE_DIAL_PENDING : 0;
	return 0;
}

START_TEST(test_black_hole_is_silent_and_holds_nobody_up)
{
	struct endpoint away = bed_endpoint(AWAY, 9);
	struct sim_tcp *lost, *other;
	struct bed bed;

	bed_simple(&bed);
	bed.host.dial_policy = dial_black_hole;
	bed.host.defaults.echo = true;
	lost = bed_connect(&bed, 0, 40000, AWAY, 9);
	other = bed_connect(&bed, 0, 40001, AWAY, 80);
	other->recv_seed = other->send_seed;
	other->send_total = 100000;
	sim_tcp_kick(other);
	bed_settle(&bed);
	ck_assert_uint_eq(other->received, 100000);
	ck_assert_int_eq(lost->state, SIM_SYN_SENT);
	bed_advance(&bed, 20000);
	ck_assert_uint_eq(lost->count.segments_in, 0);
	fake_host_dial_done(&bed.host, fake_host_find(&bed.host, &away), -ETIMEDOUT);
	bed_settle(&bed);
	ck_assert_uint_eq(lost->count.segments_in, 0);
	ck_assert_int_eq(lost->state, SIM_SYN_SENT);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 1);
	ck_assert_int_eq(other->state, SIM_OPEN);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_gives_up_while_the_host_still_dials)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	bed.host.connect_result = FAKE_DIAL_PENDING;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	sim_tcp_send_segment(tcp, &(struct sim_segment){.flags = FLAG_RST, .seq = tcp->iss + 1});
	bed_settle(&bed);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	ck_assert_uint_eq(bed.host.open_n, 0);
	tcp->state = SIM_ABORTED;
	bed_finish(&bed);
}
END_TEST

START_TEST(test_new_syn_on_the_same_ports_replaces_a_dial_in_the_making)
{
	struct endpoint away = bed_endpoint(AWAY, 80);
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	bed.host.connect_result = FAKE_DIAL_PENDING;
	bed_connect(&bed, 0, 40000, AWAY, 80);
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80); /* another initial sequence number */
	fake_host_dial_done(&bed.host, fake_host_find(&bed.host, &away), 0);
	BED_UNTIL(&bed, tcp->state == SIM_OPEN);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_out_of_descriptors_refuses_the_new_and_keeps_the_old)
{
	struct sim_tcp *old, *late;
	struct bed bed;

	bed_simple(&bed);
	bed.host.defaults.echo = true;
	old = bed_connect(&bed, 0, 40000, AWAY, 80);
	bed.host.dial_result = -EMFILE;
	late = bed_connect(&bed, 0, 40001, AWAY, 80);
	ck_assert_int_eq(late->state, SIM_RESET);
	old->recv_seed = old->send_seed;
	old->send_total = 5000;
	sim_tcp_kick(old);
	bed_settle(&bed);
	ck_assert_uint_eq(old->received, 5000);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_gateway_address_is_the_hosts_loopback)
{
	struct endpoint loopback = bed_endpoint("127.0.0.1", 8080);
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	tcp = bed_connect(&bed, 0, 40000, "10.0.2.2", 8080);
	ck_assert_int_eq(tcp->state, SIM_OPEN);
	ck_assert_int_ge(fake_host_find(&bed.host, &loopback), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_service_port_is_dialled_as_a_service)
{
	struct sim_tcp *dns, *gateway;
	struct fake_handle *h;
	struct bed bed;

	bed_simple(&bed);
	ck_assert_int_eq(nat_tcp_service_add(bed.nat, 53, true, 7), 0);
	dns = bed_connect(&bed, 0, 40000, "10.0.2.3", 53);
	ck_assert_int_eq(dns->state, SIM_OPEN);
	ck_assert_uint_eq(bed.host.count.service_dials, 1);
	h = fake_host_handle(&bed.host, fake_host_nth(&bed.host, FAKE_TCP, 0));
	ck_assert_uint_eq(h->service_number, 7);
	ck_assert(endpoint_eq(&h->guest, &dns->self));
	gateway = bed_connect(&bed, 0, 40001, "10.0.2.2", 53);
	ck_assert_int_eq(gateway->state, SIM_OPEN);
	ck_assert_uint_eq(bed.host.count.service_dials, 1);
	bed_finish(&bed);
}
END_TEST

/* Sends one SYN of the test's own and a little data if it is answered. */
static void try_syn(struct bed *bed, const struct frames_tcp *syn, struct iovec payload)
{
	struct frames_ends ends = bed_ends(bed, 0, AWAY);
	uint8_t bytes[FRAMES_BUF_LEN];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct fake_frame *frame;
	struct packet p;

	bed->guests[0].deaf = true;
	frames_tcp(&out, &ends, syn, payload);
	bed_inject(bed, 0, &out);
	while (bed_next_packet(bed, 0, &p, &frame)) {
		struct frames_tcp ack = *syn;

		ack.seq = p.ack;
		ack.ack = p.seq + 1;
		ack.flags = FLAG_ACK;
		ack.options_len = 0;
		if (p.kind == PACKET_TCP &&
		    (p.flags & (FLAG_SYN | FLAG_ACK)) == (FLAG_SYN | FLAG_ACK)) {
			out = wire_out(bytes, sizeof(bytes));
			frames_tcp(&out, &ends, &ack, frames_bytes(NULL, 0));
			bed_inject(bed, 0, &out);
		}
		free(frame);
	}
	bed_advance(bed, 3000);
	fake_queue_clear(&bed->guests[0].port.sent);
}

START_TEST(test_tiny_mss_does_no_harm)
{
	for (unsigned mss = 0; mss < 100; mss++) {
		const uint8_t options[4] = {2, 4, 0, (uint8_t)mss};
		const struct frames_tcp syn = {.src_port = (uint16_t)(40000 + mss),
					       .dst_port = 80,
					       .seq = 1000,
					       .flags = FLAG_SYN,
					       .window = 60000,
					       .options = options,
					       .options_len = 4};
		struct bed bed;

		bed_simple(&bed);
		bed.host.defaults.send_total = 20000;
		try_syn(&bed, &syn, frames_bytes(NULL, 0));
		ck_assert_uint_eq(bed.host.count.dials, 1);
		bed_finish(&bed);
	}
}
END_TEST

START_TEST(test_odd_syn_options_do_no_harm)
{
	static const uint8_t options[][40] = {
	    {2, 0, 5, 180},     /* length 0 */
	    {2, 1, 5, 180},     /* length 1 */
	    {2, 40, 5, 180},    /* longer than the header */
	    {1, 1, 1, 2},       /* a kind and no more */
	    {1, 1, 2, 4},       /* a length and no more */
	    {3, 3, 255, 0},     /* a window scale beyond 14: RFC 7323 section 2.3 */
	    {3, 2, 0, 0},       /* a window scale without a value */
	    {8, 10, 0, 0},      /* timestamps cut short */
	    {254, 4, 0, 0},     /* experimental */
	    {0, 2, 4, 5},       /* after the end */
	    {2, 4, 0xff, 0xff}, /* MSS 65,535 */
	    {5, 2, 5, 2},       /* empty SACKs */
	    {34, 2, 1, 1},      /* a fast-open cookie request */
	    {253, 253, 253, 253},
	};
	struct bed bed;

	bed_simple(&bed);
	for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		for (size_t len = 4; len <= 40; len += 36) {
			const struct frames_tcp syn = {.src_port =
							   (uint16_t)(41000 + i * 2 + len / 40),
						       .dst_port = 80,
						       .flags = FLAG_SYN,
						       .window = 1000,
						       .options = options[i],
						       .options_len = len};
			try_syn(&bed, &syn, frames_bytes(NULL, 0));
		}
	}
	bed.guests[0].deaf = false;
	ck_assert_int_eq(bed_connect(&bed, 0, 50000, AWAY, 81)->state, SIM_OPEN);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_every_combination_of_flags_does_no_harm)
{
	struct bed bed;

	bed_simple(&bed);
	for (unsigned flags = 0; flags < 256; flags++) {
		const struct frames_tcp segment = {.src_port = (uint16_t)(41000 + flags),
						   .dst_port = 80,
						   .seq = flags * 1000,
						   .ack = flags,
						   .urgent = (uint16_t)(flags * 300),
						   .flags = (uint8_t)flags,
						   .window = 1000};
		try_syn(&bed, &segment, frames_bytes("0123456789", flags % 11));
		try_syn(&bed, &segment, frames_bytes("0123456789", 10));
	}
	bed.guests[0].deaf = false;
	ck_assert_int_eq(bed_connect(&bed, 0, 50000, AWAY, 81)->state, SIM_OPEN);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_port_zero_makes_no_flow)
{
	struct frames_tcp syn = {.src_port = 40000, .flags = FLAG_SYN, .window = 1000};
	struct bed bed;

	bed_simple(&bed);
	try_syn(&bed, &syn, frames_bytes(NULL, 0));
	syn.src_port = 0;
	syn.dst_port = 80;
	try_syn(&bed, &syn, frames_bytes(NULL, 0));
	syn.dst_port = 0;
	try_syn(&bed, &syn, frames_bytes(NULL, 0));
	ck_assert_uint_eq(bed.host.count.dials, 0);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_data_on_a_syn_is_not_lost)
{
	struct frames_ends ends;
	struct frames_tcp segment = {
	    .src_port = 40000, .dst_port = 80, .seq = 100, .flags = FLAG_SYN, .window = 60000};
	uint8_t bytes[200], data[40];
	struct wire_out out = wire_out(bytes, sizeof(bytes));
	struct fake_frame *frame;
	struct fake_handle *h;
	struct packet p;
	uint32_t taken;
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].deaf = true;
	ends = bed_ends(&bed, 0, AWAY);
	pattern_fill(bed_setup.send_seed, 0, data, sizeof(data));
	frames_tcp(&out, &ends, &segment, frames_bytes(data, sizeof(data)));
	bed_inject(&bed, 0, &out);
	ck_assert(bed_next_packet(&bed, 0, &p, &frame));
	ck_assert_uint_eq(p.flags & (FLAG_SYN | FLAG_ACK | FLAG_RST), FLAG_SYN | FLAG_ACK);
	taken = p.ack - 101; /* acknowledged with the SYN, or to be sent again */
	ck_assert_uint_le(taken, sizeof(data));
	segment.flags = FLAG_ACK;
	segment.seq = p.ack;
	segment.ack = p.seq + 1;
	out = wire_out(bytes, sizeof(bytes));
	frames_tcp(&out, &ends, &segment, frames_bytes(data + taken, sizeof(data) - taken));
	bed_inject(&bed, 0, &out);
	h = fake_host_handle(&bed.host, fake_host_nth(&bed.host, FAKE_TCP, 0));
	ck_assert_uint_eq(h->written, sizeof(data));
	ck_assert_uint_eq(h->mismatch, 0);
	free(frame);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_initial_sequence_numbers_do_not_advance_by_a_constant)
{
	struct sim_tcp *tcp[8];
	unsigned same = 0;
	struct bed bed;

	bed_simple(&bed);
	for (unsigned i = 0; i < 8; i++)
		tcp[i] = bed_connect(&bed, 0, (uint16_t)(40000 + i), AWAY, 80);
	for (unsigned i = 2; i < 8; i++)
		same += tcp[i]->irs - tcp[i - 1]->irs == tcp[1]->irs - tcp[0]->irs;
	ck_assert_uint_eq(same, 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_syn_ack_is_repeated_until_it_is_acknowledged)
{
	struct sim_tcp *tcp;
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].port.impair.drop_ppm = 1000000;
	tcp = bed_connect(&bed, 0, 40000, AWAY, 80);
	tcp->no_timer = true;
	ck_assert(bed_step(&bed));
	bed.guests[0].port.impair.drop_ppm = 0;
	BED_UNTIL(&bed, tcp->state == SIM_OPEN);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_that_never_acknowledges_the_syn_ack_is_forgotten)
{
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].deaf = true;
	bed_connect(&bed, 0, 40000, AWAY, 80)->no_timer = true;
	ck_assert_uint_eq(bed.host.open_n, 1);
	BED_UNTIL(&bed, bed.host.open_n == 0);
	ck_assert_uint_eq(bed.host.count.resets, 1);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return NATBED_SUITE(
	    "nat_connect", test_syn_is_answered_once_the_host_has_connected,
	    test_syn_ack_offers_our_mss_and_a_window_scale, test_guest_without_options_gets_none,
	    test_refused_is_a_reset_at_once, test_refused_counts_as_refused,
	    test_unreachable_is_told_by_icmp_with_the_syn_quoted,
	    test_black_hole_is_silent_and_holds_nobody_up,
	    test_guest_gives_up_while_the_host_still_dials,
	    test_new_syn_on_the_same_ports_replaces_a_dial_in_the_making,
	    test_out_of_descriptors_refuses_the_new_and_keeps_the_old,
	    test_gateway_address_is_the_hosts_loopback, test_service_port_is_dialled_as_a_service,
	    test_tiny_mss_does_no_harm, test_odd_syn_options_do_no_harm,
	    test_every_combination_of_flags_does_no_harm, test_port_zero_makes_no_flow,
	    test_data_on_a_syn_is_not_lost,
	    test_initial_sequence_numbers_do_not_advance_by_a_constant,
	    test_syn_ack_is_repeated_until_it_is_acknowledged,
	    test_guest_that_never_acknowledges_the_syn_ack_is_forgotten);
}
