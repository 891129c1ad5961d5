/* MONKEY_SEED and MONKEY_N choose the walks.
 *
 * Guests and hosts that do anything at any time, over wires that lose, repeat and reorder: whatever
 * data arrives is right, connections that were left in peace deliver all of it, and at the end
 * nothing is left. */
#include "tests/support/natbed.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>

#define SLOTS 40
#define GUESTS 3

struct slot {
	struct sim_tcp *tcp; /* NULL: free */
	unsigned guest;
	bool peaceful; /* no abort on either side: all bytes have to arrive */
	uint64_t to_guest, to_host;
	struct endpoint peer;
};

struct monkey {
	struct bed bed;
	struct dice dice;
	struct slot slots[SLOTS];
	uint16_t next_port;
	uint32_t finished; /* peaceful connections that delivered everything */
};

/* Peers that are left in peace have ports above 20,000. */
static int dial(void *ctx, const struct endpoint *to, int *ret_connect_result)
{
	static const int errors[] = {-ECONNREFUSED, -EHOSTUNREACH, -ETIMEDOUT, FAKE_DIAL_PENDING};
	struct monkey *monkey = ctx;
	struct fake_handle *defaults = &monkey->bed.host.defaults;

	*ret_connect_result = 0;
	defaults->send_total = dice_below(&monkey->dice, 400000);
	defaults->eof_when_sent = true;
	defaults->write_each =
	    dice_below(&monkey->dice, 2) ? 0 : 1 + dice_below(&monkey->dice, 5000);
	defaults->read_each =
	    dice_below(&monkey->dice, 2) ? 0 : 1 + dice_below(&monkey->dice, 5000);
	defaults->write_room = dice_below(&monkey->dice, 3) ? FAKE_UNLIMITED : 0;
	for (unsigned i = 0; i < SLOTS; i++)
		if (endpoint_eq(&monkey->slots[i].peer, to))
			monkey->slots[i].to_guest = defaults->send_total;
	if (to->port < 20000 && dice_below(&monkey->dice, 3) == 0)
		*ret_connect_result = errors[dice_below(&monkey->dice, 4)];
	return 0;
}

static void open_slot(struct monkey *monkey, struct slot *slot)
{
	struct sim_tcp_setup setup = bed_setup;
	static const uint16_t mss[] = {0, 0, 88, 536, 1000};

	slot->guest = dice_below(&monkey->dice, GUESTS);
	if (!monkey->bed.guests[slot->guest].attached)
		return;
	slot->peaceful = slot->guest != GUESTS - 1 && dice_below(&monkey->dice, 2);
	slot->to_host = dice_below(&monkey->dice, 400000);
	slot->to_guest = UINT64_MAX; /* until it is dialled */
	slot->peer =
	    (struct endpoint){bed_place(0xcb007100u + dice_below(&monkey->dice, 200)),
			      (uint16_t)((slot->peaceful ? 20000 : 1) + monkey->next_port % 19000)};
	setup.send_total = slot->to_host;
	setup.fin_when_sent = true;
	setup.mss = mss[dice_below(&monkey->dice, 5)];
	setup.wscale = (int)dice_below(&monkey->dice, 9) - 1;
	setup.recv_buffer = 3000 + dice_below(&monkey->dice, setup.wscale < 0 ? 60000 : 300000);
	setup.paused = dice_below(&monkey->dice, 4) == 0;
	slot->tcp =
	    sim_tcp_connect(monkey->bed.guests[slot->guest].sim,
			    (uint16_t)(1024 + monkey->next_port++ % 60000), &slot->peer, &setup);
}

static bool is_over(const struct slot *slot)
{
	return slot->tcp->state >= SIM_DONE;
}

static void close_slot(struct monkey *monkey, struct slot *slot)
{
	if (slot->peaceful) {
		const struct sim_tcp *tcp = slot->tcp;
		ck_assert_msg(tcp->state == SIM_DONE,
			      "peaceful, but: state %d, %llu of %llu received, %llu of %llu sent "
			      "acknowledged, FINs %d %d, window %u",
			      (int)tcp->state, (unsigned long long)tcp->received,
			      (unsigned long long)slot->to_guest, (unsigned long long)tcp->acked,
			      (unsigned long long)slot->to_host, tcp->fin_received, tcp->fin_acked,
			      (unsigned)tcp->peer_window);
		ck_assert_uint_eq(slot->tcp->received, slot->to_guest);
		ck_assert_uint_eq(slot->tcp->acked, slot->to_host);
		monkey->finished++;
	}
	slot->tcp = NULL; /* the sim keeps it, so that a late segment finds it */
}

static void disturb_guest(struct monkey *monkey, struct slot *slot)
{
	switch (dice_below(&monkey->dice, 4)) {
	case 0:
		slot->tcp->paused = !slot->tcp->paused;
		sim_tcp_kick(slot->tcp);
		break;
	case 1:
		sim_tcp_read(slot->tcp, dice_below(&monkey->dice, 50000));
		break;
	case 2:
		if (!slot->peaceful && slot->tcp->state == SIM_OPEN &&
		    dice_below(&monkey->dice, 4) == 0)
			sim_tcp_abort(slot->tcp);
		break;
	default:
		if (!slot->peaceful && dice_below(&monkey->dice, 8) == 0) {
			sim_tcp_free(slot->tcp); /* as if it had crashed */
			slot->tcp = NULL;
		}
		break;
	}
}

static void disturb_host(struct monkey *monkey)
{
	struct fake_host *host = &monkey->bed.host;
	int handle = fake_host_nth(host, FAKE_TCP, dice_below(&monkey->dice, SLOTS));
	struct fake_handle *h = fake_host_handle(host, handle);

	if (!h)
		return;
	if (h->result == -EINPROGRESS) {
		fake_host_dial_done(host, handle, dice_below(&monkey->dice, 2) ? 0 : -ECONNREFUSED);
		return;
	}
	if (h->write_room != FAKE_UNLIMITED)
		h->write_room += dice_below(&monkey->dice, 100000);
	if (h->to.port < 20000 && dice_below(&monkey->dice, 10) == 0)
		h->read_error = h->write_error = -ECONNRESET;
	fake_host_kick(host, handle);
}

static void disturb_wire(struct monkey *monkey)
{
	struct bed_guest *guest = &monkey->bed.guests[dice_below(&monkey->dice, GUESTS)];
	struct fake_impair *impair =
	    dice_below(&monkey->dice, 2) ? &guest->impair : &guest->port.impair;

	if (!guest->attached)
		return;
	impair->drop_ppm = dice_below(&monkey->dice, 2) ? 0 : dice_below(&monkey->dice, 50000);
	impair->reorder_ppm = dice_below(&monkey->dice, 2) ? 0 : dice_below(&monkey->dice, 100000);
	impair->duplicate_ppm = dice_below(&monkey->dice, 2) ? 0 : dice_below(&monkey->dice, 50000);
	guest->port.blocked_at =
	    dice_below(&monkey->dice, 2) ? 0 : dice_below(&monkey->dice, 200000);
	monkey->bed.pieces = dice_below(&monkey->dice, 2);
	monkey->bed.batch_bytes = 1 + dice_below(&monkey->dice, 300000);
}

/* Only the last guest ever leaves: its connections are no peaceful ones. */
static void come_and_go(struct monkey *monkey)
{
	const unsigned n = GUESTS - 1;

	if (!monkey->bed.guests[n].attached) {
		guestsim_free(monkey->bed.guests[n].sim);
		bed_add_guest(&monkey->bed, n);
		return;
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (monkey->slots[i].guest == n)
			monkey->slots[i].tcp = NULL;
	bed_remove_guest(&monkey->bed, n);
	guestsim_faults(monkey->bed.guests[n].sim)->window_shrunk = 0;
	ck_assert_msg(guestsim_faults_sum(monkey->bed.guests[n].sim) == 0, "%s",
		      guestsim_fault_text(monkey->bed.guests[n].sim));
}

static void move(struct monkey *monkey)
{
	struct slot *slot = &monkey->slots[dice_below(&monkey->dice, SLOTS)];
	uint32_t roll = dice_below(&monkey->dice, 1000);

	if (roll < 2)
		come_and_go(monkey);
	else if (roll < 30)
		disturb_wire(monkey);
	else if (roll < 300)
		disturb_host(monkey);
	else if (roll < 400)
		bed_advance(&monkey->bed, dice_below(&monkey->dice, 2000));
	else if (!slot->tcp)
		open_slot(monkey, slot);
	else if (is_over(slot))
		close_slot(monkey, slot);
	else
		disturb_guest(monkey, slot);
}

/* Lets all connections come to their end. */
static void calm_down(struct monkey *monkey)
{
	for (unsigned n = 0; n < GUESTS; n++) {
		struct bed_guest *guest = &monkey->bed.guests[n];
		if (!guest->attached)
			continue;
		guest->impair.drop_ppm = guest->port.impair.drop_ppm = 0;
		guest->port.blocked_at = 0;
	}
	for (unsigned round = 0; round < 300; round++) {
		for (unsigned i = 0; i < SLOTS; i++) {
			if (monkey->slots[i].tcp) {
				monkey->slots[i].tcp->paused = false;
				sim_tcp_kick(monkey->slots[i].tcp);
			}
			disturb_host(monkey);
		}
		bed_advance(&monkey->bed, 1000);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (monkey->slots[i].tcp)
			close_slot(monkey, &monkey->slots[i]);
}

static void play(uint64_t seed, unsigned moves)
{
	static struct monkey monkey;
	struct bed *bed = &monkey.bed;

	memset(&monkey, 0, sizeof(monkey));
	monkey.dice.state = seed << 32;
	bed_init(bed);
	bed->dice.state = seed;
	bed->host.dial_policy = dial;
	bed->host.dial_ctx = &monkey;
	bed_start(bed);
	for (unsigned n = 0; n < GUESTS; n++)
		bed_add_guest(bed, n);
	for (unsigned i = 0; i < moves; i++) {
		move(&monkey);
		bed_settle(bed);
		ck_assert_uint_eq(bed->host.count.misuse, 0);
	}
	calm_down(&monkey);
	ck_assert_uint_gt(monkey.finished, moves / 100);
	for (unsigned n = 0; n < GUESTS; n++)
		guestsim_faults(bed->guests[n].sim)->window_shrunk = 0; /* late segments */
	bed_finish(bed);
}

START_TEST(test_anything_at_any_time)
{
	const char *first = getenv("MONKEY_SEED"), *n = getenv("MONKEY_N");
	uint64_t seed = first ? strtoull(first, NULL, 10) : 1;
	uint64_t end = seed + (n ? strtoull(n, NULL, 10) : 2);

	for (; seed < end; seed++)
		play(seed, 2000);
}
END_TEST

int main(void)
{
	return NATBED_SUITE("nat_monkey", test_anything_at_any_time);
}
