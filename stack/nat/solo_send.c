/* Windows, and what goes to the guest: credit, bytes, FIN, what was lost, RST. */
#include "stack/nat/solo_priv.h"

#include <errno.h>

void solo_credit(struct solo *solo, uint32_t len)
{
	struct tcp_pcb *pcb = solo->active;
	uint32_t window_max, news;

	if (!pcb || pcb->state < ESTABLISHED)
		return;
	window_max = TCP_WND_MAX(pcb);
	pcb->rcv_wnd = pcb->rcv_wnd + len > window_max ? window_max : pcb->rcv_wnd + len;
	news = pcb->rcv_nxt + pcb->rcv_wnd - pcb->rcv_ann_right_edge;
	/* Receiver-side silly window avoidance (RFC 9293 section 3.8.6.2.2), by our own measure:
	 * lwIP's would take the super-segment length for the MSS. */
	if ((int32_t)news > 0 && (news >= 2 * 1460 || news >= pcb->rcv_wnd / 2))
		pcb->rcv_ann_wnd = pcb->rcv_wnd;
	if ((int32_t)news > 0 && news >= pcb->rcv_wnd / 4)
		tcp_ack_now(pcb);
}

void solo_ack_now(struct solo *solo)
{
	if (solo->active)
		tcp_ack_now(solo->active);
}

uint32_t solo_room(const struct solo *solo, uint32_t cwnd, uint16_t mss)
{
	const struct tcp_pcb *pcb = solo->active;
	uint32_t window, queued, room;

	if (!pcb || (pcb->state != ESTABLISHED && pcb->state != CLOSE_WAIT))
		return 0;
	window = pcb->snd_wnd < cwnd ? pcb->snd_wnd : cwnd;
	queued = pcb->snd_lbb - pcb->lastack; /* in flight and not yet sent */
	if (queued == 0 && window == 0)
		return 1;
	if (queued >= window)
		return 0;
	room = window - queued;
	if (room > pcb->snd_buf)
		room = pcb->snd_buf;
	if (room < mss && queued > 0 && room < pcb->snd_wnd_max / 2)
		return 0;
	return room;
}

/* tcp_write() asserts that a segment it may extend is no longer than pcb->mss: never go below that.
 */
static uint16_t segment_len_allowed(const struct tcp_pcb *pcb, uint16_t super_len)
{
	const struct tcp_seg *tail = pcb->unsent;

	if (!tail)
		return super_len;
	while (tail->next)
		tail = tail->next;
	return tail->len > super_len ? tail->len : super_len;
}

int solo_write(struct solo_engine *engine, struct solo *solo, const void *bytes, uint16_t len,
	       uint16_t super_len)
{
	err_t err;

	solo_enter(engine, solo);
	solo->active->mss = segment_len_allowed(solo->active, super_len);
	err = tcp_write(solo->active, bytes, len, 0);
	solo_leave(solo);
	return err == ERR_OK ? 0 : -ENOMEM;
}

int solo_send_fin(struct solo_engine *engine, struct solo *solo)
{
	err_t err;

	solo_enter(engine, solo);
	err = tcp_shutdown(solo->active, 0, 1);
	solo_leave(solo);
	return err == ERR_OK ? 0 : -ENOMEM;
}

void solo_flush(struct solo_engine *engine, struct solo *solo, uint32_t cwnd)
{
	struct tcp_pcb *pcb = solo->active;

	if (!pcb || (!pcb->unsent && !(pcb->flags & TF_ACK_NOW)))
		return;
	if (pcb->state >= ESTABLISHED) {
		/* A segment that was cut for a larger window must still be able to leave. */
		uint32_t least = pcb->unsent ? pcb->unsent->len : 0;
		pcb->cwnd = cwnd > least ? cwnd : least;
		pcb->ssthresh = pcb->cwnd;
	}
	solo_enter(engine, solo);
	tcp_output(pcb);
	solo_leave(solo);
}

void solo_retransmit(struct solo_engine *engine, struct solo *solo)
{
	struct tcp_pcb *pcb = solo->active;

	if (!pcb || !pcb->unacked || pcb->state < ESTABLISHED)
		return;
	solo_enter(engine, solo);
	if (tcp_rexmit(pcb) == ERR_OK) {
		/* Duplicates that were under way before it tell nothing new (RFC 6582 section 3.2,
		 * step 3: fast recovery lasts). */
		tcp_set_flags(pcb, TF_INFR);
		tcp_output(pcb);
	}
	solo_leave(solo);
}

void solo_abort(struct solo_engine *engine, struct solo *solo, bool silent)
{
	struct tcp_pcb *pcb = solo->active ? solo->active : solo->time_wait;

	if (!pcb)
		return;
	solo_enter(engine, solo);
	tcp_err(pcb, NULL);
	tcp_abandon(pcb, silent ? 0 : 1);
	solo_leave(solo);
}
