/* Flows begin and end here, and take part in turns and ticks: which lists they are on, and what a
 * call into lwIP has done to them. */
#include "stack/nat/tcpflow.h"

#include <stdlib.h>

#define WINDOW_FIRST (256u * 1024) /* receive window of a new flow; tcp_relay.c lets it grow */
#define IN_FLIGHT_FIRST (256u * 1024)
#define LONG_READS_PER_TURN (32u * BLOCK_LEN) /* bytes, of all flows: the others wait for them */
#define TIME_WAIT_MAX 4096u                   /* connections remembered after their end */
#define MSS_MIN 88u /* below that a header costs more than its data; passt died of 0, 1 and 2 */
/* After a long sleep of the process: a second's worth, then go on from now. */
#define TICKS_AT_ONCE_MAX 40u

/* ---- flows come and go ---------------------------------------------------------------------- */

struct tcpflow *tcpflow_new(struct nat *nat, struct guest *guest, const struct flow_key *key,
			    const struct mac *mac)
{
	struct tcpflow *tf = calloc(1, sizeof(*tf));

	if (!tf) {
		nat->counters.dropped_memory++;
		return NULL;
	}
	tf->flow.key = *key;
	tf->flow.handle = -1;
	tf->mac = *mac;
	tf->window = tf->solo.events.window = WINDOW_FIRST;
	tf->in_flight_max = IN_FLIGHT_FIRST;
	tf->in_flight_calm = TCPFLOW_IN_FLIGHT_MAX;
	tf->in_flight_pace = TCPFLOW_IN_FLIGHT_FAIR;
	tf->read_max = TCPFLOW_READ_FIRST;
	list_init(&tf->work_link);
	list_init(&tf->merge_link);
	list_init(&tf->tick_link);
	list_init(&tf->connecting_link);
	list_init(&tf->wait_link);
	if (nat_flow_add(nat, guest, &tf->flow) != 0) {
		free(tf);
		return NULL;
	}
	return tf;
}

uint16_t tcpflow_clamp_mss(const struct nat *nat, uint16_t mss, bool v6)
{
	uint16_t most = (uint16_t)(nat->config.mtu - (v6 ? 60 : 40));

	if (mss < MSS_MIN)
		return MSS_MIN;
	return mss < most ? mss : most;
}

static void leave_time_wait(struct nat *nat, struct tcpflow *tf)
{
	if (!list_is_empty(&tf->wait_link)) {
		list_remove(&tf->wait_link);
		nat->time_wait_n--;
	}
}

/* Frees everything. The pcb must be gone and the handle closed. */
static void free_flow(struct nat *nat, struct tcpflow *tf)
{
	struct guest *guest = tf->flow.guest;

	tcpinbound_flow_gone(nat, tf);
	tcpoutbound_stop(tf);
	leave_time_wait(nat, tf);
	tcpmerge_drop(tf);
	guest->queued_to_host -= tf->solo.events.data_len + tf->ahead_cost;
	if (tf->solo.events.data_head)
		pbuf_free(tf->solo.events.data_head);
	tcpflow_free_blocks(nat, tf);
	list_remove(&tf->work_link);
	list_remove(&tf->merge_link);
	list_remove(&tf->tick_link);
	if (guest->last_tcp == tf)
		guest->last_tcp = NULL;
	if (nat->output.flow == tf)
		nat->output.flow = NULL;
	nat_flow_remove(nat, &tf->flow);
	free(tf);
}

void tcpflow_close_host(struct nat *nat, struct tcpflow *tf, bool reset)
{
	if (tf->flow.handle >= 0) {
		nat->config.host->tcp_close(nat->config.host_ctx, tf->flow.handle, reset);
		nat_flow_drop_handle(nat, &tf->flow);
	}
}

void tcpflow_end(struct nat *nat, struct tcpflow *tf, bool reset_host)
{
	tcpflow_close_host(nat, tf, reset_host);
	free_flow(nat, tf);
}

void tcpflow_kill(struct nat *nat, struct tcpflow *tf, bool silent)
{
	tcpflow_output_to(nat, tf);
	if (silent)
		nat->output.guest = NULL;
	solo_abort(nat->engine, &tf->solo, silent);
	tcpflow_end(nat, tf, true);
}

/* ---- after any call into lwIP --------------------------------------------------------------- */

static void enter_time_wait(struct nat *nat, struct tcpflow *tf)
{
	if (!list_is_empty(&tf->wait_link))
		return;
	list_append(&nat->time_wait, &tf->wait_link);
	if (++nat->time_wait_n > TIME_WAIT_MAX) {
		struct tcpflow *oldest = list_entry(nat->time_wait.next, struct tcpflow, wait_link);
		/* One whose slow host peer still takes bytes stays. */
		if (oldest->flow.handle < 0)
			tcpflow_kill(nat, oldest, true);
		else
			list_append(&nat->time_wait, &oldest->wait_link);
	}
}

void tcpflow_update_ticking(struct nat *nat, struct tcpflow *tf)
{
	bool listed = !list_is_empty(&tf->tick_link);

	if (!solo_needs_ticks(&tf->solo)) {
		list_remove(&tf->tick_link);
	} else if (!listed) {
		if (list_is_empty(&nat->ticking))
			nat->tick_ms = nat->now_ms;
		list_append(&nat->ticking, &tf->tick_link);
	}
}

void tcpflow_after_lwip(struct nat *nat, struct tcpflow *tf)
{
	uint32_t acked = tf->solo.events.acked;
	uint32_t ahead_cost = solo_ahead_cost(&tf->solo);

	tf->flow.guest->queued_to_host += ahead_cost;
	tf->flow.guest->queued_to_host -= tf->ahead_cost;
	tf->ahead_cost = ahead_cost;
	tf->solo.events.acked = 0;
	if (tf->solo.events.established && tf->state == TCPFLOW_OPENING) {
		tf->state = TCPFLOW_OPEN;
		tf->mss = solo_mss(&tf->solo);
		tf->acked_to = solo_lastack(&tf->solo);
		tcpinbound_opened(nat, tf);
	}
	if (acked)
		tcpflow_release_acked(nat, tf, acked);
	if (tf->state == TCPFLOW_OPEN)
		tcploss_after_lwip(nat, tf);
	if (tf->solo.time_wait)
		enter_time_wait(nat, tf);
	tcpflow_update_ticking(nat, tf);
	tcpflow_mark(nat, tf);
}

/* ---- turns and ticks ------------------------------------------------------------------------ */

void tcpflow_host_event(struct nat *nat, struct tcpflow *tf, unsigned events)
{
	if (events & (HOST_READABLE | HOST_ERROR | HOST_EOF))
		tf->host_readable = true;
	if (events & (HOST_WRITABLE | HOST_ERROR))
		tf->host_writable = true;
	if (events & (HOST_EOF | HOST_ERROR))
		tf->host_hung_up = true;
	if (events & HOST_ERROR)
		tf->host_failed = true;
	tcpflow_mark(nat, tf);
}

void tcpflow_run(struct nat *nat)
{
	struct list work;

	if (!list_is_empty(&nat->merging))
		tcpinput_feed_merged(nat);
	/* Flows that mark themselves again have used up their share of this turn. */
	list_init(&work);
	list_splice(&work, &nat->dirty);
	/* Where they did not do for all, another flow comes first this time. */
	if (nat->long_reads_left < TCPFLOW_READ_FIRST && !list_is_empty(&work))
		list_append(&work, work.next);
	nat->long_reads_left = LONG_READS_PER_TURN;
	while (!list_is_empty(&work)) {
		struct tcpflow *tf = list_entry(work.next, struct tcpflow, work_link);
		list_remove(&tf->work_link);
		tcpflow_relay(nat, tf);
	}
}

void tcpflow_port_writable(struct nat *nat, struct guest *guest)
{
	struct list *link;

	list_splice(&nat->dirty, &guest->stalled);
	if (list_is_empty(&guest->paused))
		return;
	for (link = guest->paused.next; link != &guest->paused; link = link->next)
		solo_stood_still(&list_entry(link, struct tcpflow, tick_link)->solo);
	if (list_is_empty(&nat->ticking))
		nat->tick_ms = nat->now_ms;
	list_splice(&nat->ticking, &guest->paused);
}

/* A guest that is stopped loses nothing and answers nothing: its connections wait for it. */
static struct list *timers_of(struct nat *nat, struct tcpflow *tf)
{
	struct guest *guest = tf->flow.guest;

	return guest->port->blocked && tf->solo.active ? &guest->paused : &nat->ticking;
}

void tcpflow_tick(struct nat *nat)
{
	unsigned ticks = 0;

	while (!list_is_empty(&nat->ticking) && nat->now_ms >= nat->tick_ms + SOLO_TICK_MS) {
		struct list due;

		nat->tick_ms += SOLO_TICK_MS;
		if (++ticks == TICKS_AT_ONCE_MAX)
			nat->tick_ms = nat->now_ms;
		solo_ticks_advance(nat->engine);
		list_init(&due);
		list_splice(&due, &nat->ticking);
		while (!list_is_empty(&due)) {
			struct tcpflow *tf = list_entry(due.next, struct tcpflow, tick_link);
			struct list *timers = timers_of(nat, tf);

			list_append(timers, &tf->tick_link);
			if (timers != &nat->ticking)
				continue;
			tcpflow_output_to(nat, tf);
			if (tf->state == TCPFLOW_OPEN)
				tcploss_before_tick(nat, tf);
			if (solo_tick(nat->engine, &tf->solo))
				tcpflow_after_lwip(nat, tf);
		}
	}
}

uint64_t tcpflow_next_ms(const struct nat *nat)
{
	if (!list_is_empty(&nat->dirty) || !list_is_empty(&nat->merging))
		return nat->now_ms;
	return list_is_empty(&nat->ticking) ? UINT64_MAX : nat->tick_ms + SOLO_TICK_MS;
}
