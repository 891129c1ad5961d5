/* What the files of solo.h share: the engine, and the way into lwIP and out again. */
#ifndef LWNAT_NAT_SOLO_PRIV_H
#define LWNAT_NAT_SOLO_PRIV_H

#include "stack/nat/solo.h"

#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include <assert.h>

/* These files rely on pcb fields, list globals and the order of calls inside this very version. */
_Static_assert(LWIP_VERSION_MAJOR == 2 && LWIP_VERSION_MINOR == 2 && LWIP_VERSION_REVISION == 1,
	       "lwIP 2.2.1");

#define SOLO_WINDOW_UNSCALED_MAX 65535u

struct solo_engine {
	struct netif netif;
	struct tcp_pcb *listener; /* kept off lwIP's lists but for a SYN */
	uint16_t mtu;
	solo_output *output;
	void *output_ctx;
	/* solo_timer.c */
	uint32_t slow_ticks; /* what tcp_ticks must be */
	bool slow_turn;      /* this tick runs the slow timer too */
};

/* MTU 0 means "never fragment": super-segments pass ip4_output_if() whole. During the handshake
 * lwIP computes the MSS it announces from the true MTU. */
static inline void solo_enter(struct solo_engine *engine, struct solo *solo)
{
	assert(!tcp_active_pcbs && !tcp_tw_pcbs && !tcp_bound_pcbs && !tcp_listen_pcbs.listen_pcbs);
	tcp_active_pcbs = solo->active;
	tcp_tw_pcbs = solo->time_wait;
	engine->netif.mtu = solo->active && solo->active->state >= ESTABLISHED ? 0 : engine->mtu;
#if LWIP_IPV6
	engine->netif.mtu6 = engine->netif.mtu;
#endif
}

static inline void solo_leave(struct solo *solo)
{
	solo->active = tcp_active_pcbs;
	solo->time_wait = tcp_tw_pcbs;
	assert(!tcp_bound_pcbs && (!solo->active || !solo->active->next));
	tcp_active_pcbs = NULL;
	tcp_tw_pcbs = NULL;
	tcp_listen_pcbs.listen_pcbs = NULL;
}

#endif
