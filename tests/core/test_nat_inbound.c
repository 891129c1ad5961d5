/* Forwards: connections and datagrams from the host side to a guest. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#define PEER "203.0.113.5"

static const struct sim_tcp_setup server_setup = {
    .wscale = 7, .send_seed = 1, .recv_seed = 2, .send_total = 100000};

static int inbound(struct bed *bed, const char *peer_text, uint16_t peer_port, uint16_t port)
{
	struct endpoint peer = bed_endpoint(peer_text, peer_port);
	struct endpoint guest = {bed_guest_addr(0), port};
	int handle = fake_host_accepted(&bed->host);

	nat_tcp_inbound(bed->nat, handle, &peer, &guest);
	bed_settle(bed);
	return handle;
}

START_TEST(test_forwarded_client_reaches_the_guest_under_its_own_address)
{
	struct endpoint peer = bed_endpoint(PEER, 5555);
	struct guestsim *sim;
	struct sim_tcp *tcp;
	struct bed bed;
	int handle;

	sim = bed_simple(&bed);
	guestsim_arp_ask(sim, bed_gateway(&bed)); /* it has spoken: its MAC is known */
	bed_settle(&bed);
	bed.host.defaults.send_total = 200000;
	sim_tcp_listen(sim, 22, &server_setup);
	handle = inbound(&bed, PEER, 5555, 22);
	tcp = sim_tcp_accept(sim, 22);
	ck_assert_ptr_nonnull(tcp);
	ck_assert(endpoint_eq(&tcp->peer, &peer));
	ck_assert_uint_eq(guestsim_counters(sim)->arp_requests_in, 0);
	BED_UNTIL(&bed, tcp->received == 200000);
	ck_assert_uint_eq(bed.host.handles[handle].written, 100000);
	ck_assert_uint_eq(bed.host.handles[handle].mismatch, 0);
	tcp->fin_when_sent = true;
	sim_tcp_kick(tcp);
	bed_settle(&bed);
	ck_assert(bed.host.handles[handle].eof_from_guest);
	bed.host.handles[handle].eof_when_sent = true;
	fake_host_kick(&bed.host, handle);
	bed_settle(&bed);
	ck_assert_int_eq(tcp->state, SIM_DONE);
	ck_assert_uint_eq(nat_counters(bed.nat)->tcp_inbound, 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_mss_beyond_the_mtu_is_not_believed)
{
	struct sim_tcp_setup setup = server_setup;
	struct endpoint away = bed_endpoint(PEER, 80);
	struct sim_tcp *in, *out;
	struct guestsim *sim;
	struct bed bed;

	sim = bed_simple(&bed);
	bed.host.defaults.send_total = 50000;
	setup.mss = 2484;
	sim_tcp_listen(sim, 22, &setup);
	inbound(&bed, PEER, 5555, 22);
	in = sim_tcp_accept(sim, 22);
	ck_assert_ptr_nonnull(in);
	out = sim_tcp_connect(sim, 40000, &away, &setup);
	BED_UNTIL(&bed, in->received == 50000 && out->received == 50000);
	ck_assert_uint_eq(in->count.segment_max, 1500 - bed_ip_len() - 20);
	ck_assert_uint_eq(out->count.segment_max, 1500 - bed_ip_len() - 20);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_local_client_is_seen_as_the_gateway)
{
	static const char *const peers[] = {"127.0.0.1", "127.9.8.7", "::1"};
	struct guestsim *sim;
	struct bed bed;

	sim = bed_simple(&bed);
	sim_tcp_listen(sim, 22, &server_setup);
	for (unsigned i = 0; i < 3; i++) {
		struct sim_tcp *tcp;

		inbound(&bed, peers[i], (uint16_t)(6000 + i), 22);
		tcp = sim_tcp_accept(sim, 22);
		ck_assert_ptr_nonnull(tcp);
		ck_assert(addr_eq(&tcp->peer.addr, bed_gateway(&bed)));
	}
	bed_finish(&bed);
}
END_TEST

START_TEST(test_local_clients_with_the_same_port_are_kept_apart)
{
	struct sim_tcp *first, *second;
	struct guestsim *sim;
	struct bed bed;

	sim = bed_simple(&bed);
	sim_tcp_listen(sim, 22, &server_setup);
	inbound(&bed, "127.0.0.1", 6000, 22);
	inbound(&bed, "::1", 6000, 22);
	first = sim_tcp_accept(sim, 22);
	second = sim_tcp_accept(sim, 22);
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_nonnull(second);
	ck_assert_uint_ne(first->peer.port, second->peer.port);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 2);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_closed_guest_port_resets_the_client)
{
	struct bed bed;

	bed_simple(&bed);
	inbound(&bed, PEER, 5555, 22);
	ck_assert_uint_eq(bed.host.count.resets, 1);
	ck_assert_uint_eq(bed.host.open_n, 0);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	ck_assert_uint_eq(nat_counters(bed.nat)->tcp_inbound_failed, 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_that_has_never_spoken_is_asked_for)
{
	struct guestsim *sim;
	struct bed bed;

	sim = bed_simple(&bed);
	bed_add_guest(&bed, 1);
	sim_tcp_listen(sim, 22, &server_setup);
	inbound(&bed, PEER, 5555, 22);
	ck_assert_uint_ge(guestsim_counters(sim)->arp_requests_in, 1);
	ck_assert_ptr_nonnull(sim_tcp_accept(sim, 22));
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_that_answers_late_is_asked_again)
{
	struct guestsim *sim;
	struct bed bed;

	sim = bed_simple(&bed);
	guestsim_set_arp_silent(sim, true);
	sim_tcp_listen(sim, 22, &server_setup);
	inbound(&bed, PEER, 5555, 22);
	guestsim_set_arp_silent(sim, false);
	BED_UNTIL(&bed, sim_tcp_accept(sim, 22));
	ck_assert_uint_ge(guestsim_counters(sim)->arp_requests_in, 2);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_that_never_answers_costs_the_client_a_reset)
{
	struct guestsim *sim;
	struct bed bed;

	sim = bed_simple(&bed);
	guestsim_set_arp_silent(sim, true);
	inbound(&bed, PEER, 5555, 22);
	ck_assert_uint_eq(bed.host.open_n, 1);
	BED_UNTIL(&bed, bed.host.open_n == 0);
	ck_assert_uint_eq(bed.host.count.resets, 1);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	ck_assert_uint_le(guestsim_counters(sim)->arp_requests_in, 20);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_without_any_guest_the_client_is_reset)
{
	struct endpoint peer = bed_endpoint(PEER, 5555);
	struct endpoint guest = {bed_guest_addr(0), 22};
	struct bed bed;

	bed_init(&bed);
	bed_start(&bed);
	nat_tcp_inbound(bed.nat, fake_host_accepted(&bed.host), &peer, &guest);
	bed_settle(&bed);
	while (bed.host.open_n && bed_step(&bed))
		;
	ck_assert_uint_eq(bed.host.open_n, 0);
	ck_assert_uint_eq(bed.host.count.resets, 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_client_after_the_guest_has_left_is_reset)
{
	struct endpoint peer = bed_endpoint(PEER, 5555);
	struct endpoint guest = {bed_guest_addr(0), 22};
	struct bed bed;

	bed_simple(&bed);
	bed_connect(&bed, 0, 40000, PEER, 80);
	bed_remove_guest(&bed, 0);
	nat_tcp_inbound(bed.nat, fake_host_accepted(&bed.host), &peer, &guest);
	bed_settle(&bed);
	while (bed.host.open_n && bed_step(&bed))
		;
	ck_assert_uint_eq(bed.host.open_n, 0);
	ck_assert_uint_eq(bed.host.count.resets, 2);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_guest_leaving_during_the_handshake_resets_the_client)
{
	struct bed bed;

	bed_simple(&bed);
	bed.guests[0].deaf = true;
	inbound(&bed, PEER, 5555, 22);
	ck_assert_uint_eq(bed.host.open_n, 1);
	bed_remove_guest(&bed, 0);
	while (bed.host.open_n && bed_step(&bed))
		;
	ck_assert_uint_eq(bed.host.count.resets, 1);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_refused_adoption_closes_the_handle)
{
	struct bed bed;

	bed_simple(&bed);
	bed.host.dial_result = -ENOMEM;
	inbound(&bed, PEER, 5555, 22);
	ck_assert_uint_eq(bed.host.open_n, 0);
	ck_assert_uint_eq(bed.host.count.resets, 1);
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_client_that_speaks_and_closes_before_the_guest_answers_is_heard)
{
	struct guestsim *sim;
	struct sim_tcp *tcp;
	struct bed bed;

	sim = bed_simple(&bed);
	sim_tcp_listen(sim, 22, &server_setup);
	bed.host.defaults.send_total = 3000;
	bed.host.defaults.eof_when_sent = true;
	inbound(&bed, PEER, 5555, 22);
	tcp = sim_tcp_accept(sim, 22);
	ck_assert_ptr_nonnull(tcp);
	BED_UNTIL(&bed, tcp->fin_received);
	ck_assert_uint_eq(tcp->received, 3000);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_client_that_resets_before_the_guest_answers_leaves_nothing)
{
	struct guestsim *sim;
	struct bed bed;
	int handle;

	sim = bed_simple(&bed);
	guestsim_set_arp_silent(sim, true);
	handle = inbound(&bed, PEER, 5555, 22);
	bed.host.handles[handle].read_error = -ECONNRESET;
	fake_host_kick(&bed.host, handle);
	bed_settle(&bed);
	while (bed.host.open_n && bed_step(&bed))
		;
	ck_assert_uint_eq(nat_flow_count(bed.nat), 0);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_syns_that_cross_do_no_harm)
{
	struct sim_tcp *tcp;
	struct guestsim *sim;
	struct bed bed;

	sim = bed_simple(&bed);
	bed_connect(&bed, 0, 1, PEER, 1); /* known now */
	bed.guests[0].deaf = true;
	inbound(&bed, PEER, 5555, 22);
	tcp = bed_connect(&bed, 0, 22, PEER, 5555);
	bed.guests[0].deaf = false;
	bed_advance(&bed, 30000);
	ck_assert_uint_le(nat_flow_count(bed.nat), 2);
	if (tcp->state == SIM_OPEN || tcp->state == SIM_SYN_SENT)
		sim_tcp_abort(tcp);
	ck_assert_int_eq(bed_connect(&bed, 0, 40001, PEER, 80)->state, SIM_OPEN);
	guestsim_faults(sim)->bad_ack = 0;
	bed_finish(&bed);
}
END_TEST

START_TEST(test_forwarded_datagram_waits_for_a_guest_that_has_never_spoken)
{
	struct endpoint guest = {bed_guest_addr(0), 514}, nobody = {bed_guest_addr(3), 514};
	struct endpoint peer = bed_endpoint(PEER, 7000);
	struct guestsim_datagram *got;
	struct guestsim *sim;
	struct bed bed;
	int handle;

	sim = bed_simple(&bed);
	handle = fake_host_listener(&bed.host);
	nat_udp_inbound(bed.nat, handle, &peer, &guest, frames_bytes("first", 5));
	for (unsigned i = 0; i < 1000; i++)
		nat_udp_inbound(bed.nat, handle, &peer, &nobody, frames_bytes("lost", 4));
	bed_settle(&bed);
	got = guestsim_udp_pop(sim);
	ck_assert_ptr_nonnull(got);
	ck_assert_uint_eq(got->len, 5);
	ck_assert(endpoint_eq(&got->from, &peer));
	free(got);
	bed_advance(&bed, 10000);
	ck_assert_uint_eq(nat_counters(bed.nat)->dropped_no_neighbour, 1000);
	nat_udp_inbound(bed.nat, handle, &peer, &nobody, frames_bytes("lost", 4));
	nat_udp_inbound_closed(bed.nat, handle);
	fake_host_ops.datagram_close(&bed.host, handle);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_forwarded_datagrams_go_both_ways)
{
	static const char *const peers[] = {PEER, "127.0.0.1"};
	struct endpoint guest = {bed_guest_addr(0), 514};
	struct guestsim_datagram *got;
	struct guestsim *sim;
	struct bed bed;

	sim = bed_simple(&bed);
	bed_connect(&bed, 0, 1, PEER, 1);
	for (unsigned i = 0; i < 2; i++) {
		struct endpoint peer = bed_endpoint(peers[i], (uint16_t)(7000 + i));
		int handle = fake_host_listener(&bed.host);
		struct fake_sent *sent;

		nat_udp_inbound(bed.nat, handle, &peer, &guest, frames_bytes("question", 8));
		bed_settle(&bed);
		got = guestsim_udp_pop(sim);
		ck_assert_ptr_nonnull(got);
		ck_assert_uint_eq(got->len, 8);
		ck_assert(endpoint_eq(&got->to, &guest));
		ck_assert(addr_eq(&got->from.addr, i ? bed_gateway(&bed) : &peer.addr));
		guestsim_udp_send(sim, 514, &got->from, frames_bytes("answer", 6));
		bed_settle(&bed);
		sent = fake_host_sent_pop(&bed.host);
		ck_assert_ptr_nonnull(sent);
		ck_assert_int_eq(sent->handle, handle);
		ck_assert(endpoint_eq(&sent->to, &peer));
		ck_assert_uint_eq(sent->len, 6);
		free(sent);
		nat_udp_inbound_closed(bed.nat, handle);
		fake_host_ops.datagram_close(&bed.host, handle);
		guestsim_udp_send(sim, 514, &got->from, frames_bytes("late", 4));
		bed_settle(&bed);
		sent = fake_host_sent_pop(&bed.host);
		ck_assert(!sent || sent->handle != handle || bed.host.count.udp_opened);
		free(sent);
		free(got);
	}
	bed_finish(&bed);
}
END_TEST

START_TEST(test_forwarded_datagram_finds_a_guest_that_has_never_spoken)
{
	struct endpoint peer = bed_endpoint(PEER, 7000);
	struct endpoint guest = {bed_guest_addr(0), 514};
	struct guestsim_datagram *got = NULL;
	struct guestsim *sim;
	struct bed bed;
	int handle;

	sim = bed_simple(&bed);
	handle = fake_host_listener(&bed.host);
	for (unsigned i = 0; i < 3 && !got; i++) { /* the first may be spent on asking for it */
		nat_udp_inbound(bed.nat, handle, &peer, &guest, frames_bytes("question", 8));
		bed_advance(&bed, 2000);
		got = guestsim_udp_pop(sim);
	}
	ck_assert_ptr_nonnull(got);
	free(got);
	nat_udp_inbound_closed(bed.nat, handle);
	fake_host_ops.datagram_close(&bed.host, handle);
	bed_finish(&bed);
}
END_TEST

START_TEST(test_large_forwarded_datagram_arrives_whole)
{
	static uint8_t bytes[65507];
	size_t len = bed_is_v6() ? 65487 : 65507; /* see test_nat_udp.c */
	struct endpoint peer = bed_endpoint(PEER, 7000);
	struct endpoint guest = {bed_guest_addr(0), 514};
	struct guestsim_datagram *got;
	struct guestsim *sim;
	struct bed bed;
	int handle;

	sim = bed_simple(&bed);
	bed_connect(&bed, 0, 1, PEER, 1);
	handle = fake_host_listener(&bed.host);
	pattern_fill(9, 0, bytes, len);
	nat_udp_inbound(bed.nat, handle, &peer, &guest, frames_bytes(bytes, len));
	bed_settle(&bed);
	got = guestsim_udp_pop(sim);
	ck_assert_ptr_nonnull(got);
	ck_assert_uint_eq(got->len, len);
	ck_assert(pattern_matches(9, 0, got->bytes, got->len));
	free(got);
	nat_udp_inbound_closed(bed.nat, handle);
	fake_host_ops.datagram_close(&bed.host, handle);
	bed_finish(&bed);
}
END_TEST

int main(void)
{
	return NATBED_SUITE(
	    "nat_inbound", test_forwarded_client_reaches_the_guest_under_its_own_address,
	    test_mss_beyond_the_mtu_is_not_believed, test_local_client_is_seen_as_the_gateway,
	    test_local_clients_with_the_same_port_are_kept_apart,
	    test_closed_guest_port_resets_the_client, test_guest_that_has_never_spoken_is_asked_for,
	    test_guest_that_answers_late_is_asked_again,
	    test_guest_that_never_answers_costs_the_client_a_reset,
	    test_without_any_guest_the_client_is_reset,
	    test_client_after_the_guest_has_left_is_reset,
	    test_guest_leaving_during_the_handshake_resets_the_client,
	    test_refused_adoption_closes_the_handle,
	    test_client_that_speaks_and_closes_before_the_guest_answers_is_heard,
	    test_client_that_resets_before_the_guest_answers_leaves_nothing,
	    test_syns_that_cross_do_no_harm,
	    test_forwarded_datagram_waits_for_a_guest_that_has_never_spoken,
	    test_forwarded_datagrams_go_both_ways,
	    test_forwarded_datagram_finds_a_guest_that_has_never_spoken,
	    test_large_forwarded_datagram_arrives_whole);
}
