/* lwIP's timers, for one connection at a time. */
#include "stack/nat/solo_priv.h"

_Static_assert(TCP_TMR_INTERVAL == SOLO_TICK_MS, "one fast timer call per tick");
_Static_assert(TCP_SLOW_INTERVAL == 2 * SOLO_TICK_MS, "one slow timer call per two ticks");

/* Equals lwIP's static call counter tcp_timer_ctr, which goes on counting from one engine to the
 * next (tests make many). */
static uint8_t timer_calls;

static bool needs_fast(const struct tcp_pcb *pcb)
{
	return pcb->flags & (TF_ACK_DELAY | TF_CLOSEPEND);
}

static bool needs_slow(const struct tcp_pcb *pcb)
{
	if (pcb->unacked || pcb->unsent || pcb->ooseq)
		return true;
	return pcb->state != ESTABLISHED && pcb->state != CLOSE_WAIT && pcb->state != FIN_WAIT_2;
}

bool solo_needs_ticks(const struct solo *solo)
{
	return solo->time_wait ||
	       (solo->active && (needs_fast(solo->active) || needs_slow(solo->active)));
}

bool solo_timer_is_due(const struct solo_engine *engine, const struct solo *solo)
{
	const struct tcp_pcb *pcb = solo->active;

	return engine->slow_turn && pcb && pcb->unacked && !pcb->persist_backoff &&
	       pcb->rtime >= 0 && pcb->rtime + 1 >= pcb->rto && pcb->nrtx < TCP_MAXRTX;
}

void solo_wait_a_tick(struct solo *solo)
{
	if (solo->active && solo->active->rtime > 0)
		solo->active->rtime--;
}

bool solo_probes_in_vain(const struct solo_engine *engine, const struct solo *solo)
{
	const struct tcp_pcb *pcb = solo->active;

	return engine->slow_turn && pcb && pcb->persist_backoff && pcb->persist_probe;
}

void solo_stood_still(struct solo *solo)
{
	struct tcp_pcb *pcb = solo->active;

	if (!pcb)
		return;
	pcb->rttest = 0;
	if (pcb->rtime > 0)
		pcb->rtime = 0;
	pcb->persist_cnt = 0;
}

void solo_ticks_advance(struct solo_engine *engine)
{
	engine->slow_turn = !engine->slow_turn;
	if (engine->slow_turn)
		engine->slow_ticks++;
	tcp_ticks = engine->slow_ticks;
}

/* lwIP skips a pcb whose last_timer equals its 8-bit call counter after counting the call. With one
 * call per connection the counter wraps at random: give each pcb a value that is not the next one.
 */
static void before_timer(const struct solo *solo)
{
	if (solo->active)
		solo->active->last_timer = timer_calls;
	timer_calls++;
}

/* The persist timer splits the first segment at the guest's window, counted from where the segment
 * begins. With super-segments that may lie below what the guest has acknowledged: the first part
 * would then be nothing but old bytes, would never fit, and would stop the connection for ever.
 * What is acknowledged is split off and freed here, so that the segment begins where the window
 * does. */
static void drop_acknowledged(struct solo *solo)
{
	struct tcp_pcb *pcb = solo->active;
	struct tcp_seg *head;

	while ((head = pcb->unsent)) {
		int32_t known = (int32_t)(pcb->lastack - lwip_ntohl(head->tcphdr->seqno));

		if (known <= 0 || head->len == 0)
			break;
		pcb->mss = head->len > pcb->mss ? head->len : pcb->mss; /* lwIP asserts it */
		if (known < head->len && tcp_split_unsent_seg(pcb, (u16_t)known) != ERR_OK)
			return; /* out of memory: in the next tick */
		pcb->unsent = head->next;
		pcb->snd_queuelen = (u16_t)(pcb->snd_queuelen - pbuf_clen(head->p));
		pcb->snd_buf += head->len;
		solo->events.acked += head->len;
		tcp_seg_free(head);
	}
}

/* lwIP asserts that its persist timer has something to probe with, and that a window it cuts a
 * segment to is no larger than pcb->mss. A guest may take the probe and keep its window closed, and
 * we make pcb->mss smaller after losses. */
static void before_persist(struct solo *solo)
{
	struct tcp_pcb *pcb = solo->active;

	if (!pcb || !pcb->persist_backoff)
		return;
	if (pcb->snd_wnd)
		drop_acknowledged(solo);
	if (!pcb->unsent || pcb->snd_wnd > SOLO_WINDOW_UNSCALED_MAX)
		pcb->persist_backoff = 0;
	else if (pcb->mss < pcb->snd_wnd)
		pcb->mss = (u16_t)pcb->snd_wnd;
}

bool solo_tick(struct solo_engine *engine, struct solo *solo)
{
	bool called = false;

	if (solo->active && needs_fast(solo->active)) {
		before_timer(solo);
		solo_enter(engine, solo);
		tcp_fasttmr();
		solo_leave(solo);
		called = true;
	}
	if (engine->slow_turn && (solo->time_wait || (solo->active && needs_slow(solo->active)))) {
		before_timer(solo);
		tcp_ticks =
		    engine->slow_ticks - 1; /* tcp_slowtmr() counts it up, once per connection */
		solo_enter(engine, solo);
		before_persist(solo);
		tcp_slowtmr();
		solo_leave(solo);
		called = true;
	}
	return called;
}
