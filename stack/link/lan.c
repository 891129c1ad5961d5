#include "stack/link/lan.h"

#include "stack/base/log.h"
#include "stack/base/rng.h"
#include "stack/link/offload.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define NONE UINT32_MAX       /* no entry */
#define MACS_MAX (1U << 20)   /* what a configuration may ask for */
#define CONFLICT_MS 10000     /* two ports that speak with one MAC in turn, this close together */
#define CONFLICT_LOG_MS 60000 /* one line per MAC in this time, ... */
#define CONFLICT_LOG_BURST 20 /* ... and this many for all of them */
#define GATEWAY_TAKES (PORT_CSUM | PORT_TSO4 | PORT_TSO6 | PORT_TSO_ECN | PORT_USO)
#define SPOOF_LOG_MS 10000 /* one line in this time */

struct mac_entry {
	struct mac mac;
	struct port *port;     /* where it spoke last; NULL: the entry is free */
	uint64_t last_ms;      /* when */
	uint64_t moved_ms;     /* when it came to this port from another; 0: never */
	uint32_t chain_next;   /* in its bucket, or in the list of free entries */
	uint32_t older, newer; /* in order of last_ms */
	struct log_limit conflict_log;
};

struct lan {
	struct lan_config config;
	struct lan_counters counters;
	struct siphash_key key;
	struct log_limit conflict_log, spoof_log;
	struct port **ports;
	unsigned ports_n;
	uint32_t ids_used;
	struct mac_entry *macs; /* macs_max of them */
	uint32_t *buckets;      /* first entry of each chain */
	uint32_t buckets_mask;
	uint32_t free_first;
	uint32_t newest, oldest; /* the newest is also the likeliest source of the next frame */
	struct lan_tap tap;      /* 'frame' is NULL: none */
	bool switching;          /* what is sent comes from a guest */
};

/* ---- the tap ---- */

static void tapped_send(struct port *port, const void *hdr, size_t hdr_len, const struct iovec *iov,
			unsigned iov_n)
{
	const struct lan *lan = port->tap;
	struct lan_tap_frame frame = {hdr, hdr_len, iov, iov_n};

	lan->tap.frame(lan->tap.ctx, port, lan->switching ? LAN_SWITCHED : LAN_TO_GUEST, &frame);
	port->tapped_ops->send(port, hdr, hdr_len, iov, iov_n);
}

/* Told as it is, one frame: what its receiver does with it is not on the wire. */
static void tapped_send_unfinished(struct port *port, const struct frame *frame)
{
	const struct lan *lan = port->tap;
	struct lan_tap_frame tapped = {NULL, 0, frame->iov, frame->iov_n};

	lan->tap.frame(lan->tap.ctx, port, lan->switching ? LAN_SWITCHED : LAN_TO_GUEST, &tapped);
	port->tapped_ops->send_unfinished(port, frame);
}

static void tapped_flush(struct port *port)
{
	port->tapped_ops->flush(port);
}

static bool tapped_stands_still(struct port *port)
{
	return port->tapped_ops->stands_still && port->tapped_ops->stands_still(port);
}

static void tap_port(struct lan *lan, struct port *port)
{
	static const struct port_ops tapped = {.send = tapped_send,
					       .send_unfinished = tapped_send_unfinished,
					       .flush = tapped_flush,
					       .stands_still = tapped_stands_still};

	port->tapped_ops = port->ops;
	port->tap = lan;
	port->ops = &tapped;
}

static void untap_port(struct port *port)
{
	port->ops = port->tapped_ops;
	port->tapped_ops = NULL;
	port->tap = NULL;
}

static void tap_input(struct lan *lan, const struct port *from, const struct frame *frame)
{
	struct lan_tap_frame tapped = {NULL, 0, frame->iov, frame->iov_n};

	lan->tap.frame(lan->tap.ctx, from, LAN_FROM_GUEST, &tapped);
}

void lan_set_tap(struct lan *lan, const struct lan_tap *tap)
{
	for (unsigned i = 0; i < lan->ports_n; i++) {
		if (tap && !lan->ports[i]->tap)
			tap_port(lan, lan->ports[i]);
		else if (!tap && lan->ports[i]->tap)
			untap_port(lan->ports[i]);
	}
	lan->tap = tap ? *tap : (struct lan_tap){.frame = NULL};
}

/* ---- MAC addresses ---- */

static uint32_t *bucket_of(const struct lan *lan, const struct mac *mac)
{
	return &lan->buckets[siphash(&lan->key, mac->b, sizeof(mac->b)) & lan->buckets_mask];
}

static uint32_t mac_find(const struct lan *lan, const struct mac *mac)
{
	if (lan->newest != NONE && mac_eq(&lan->macs[lan->newest].mac, mac))
		return lan->newest;
	uint32_t i = *bucket_of(lan, mac);
	while (i != NONE && !mac_eq(&lan->macs[i].mac, mac))
		i = lan->macs[i].chain_next;
	return i;
}

static void order_unlink(struct lan *lan, const struct mac_entry *e)
{
	*(e->older == NONE ? &lan->oldest : &lan->macs[e->older].newer) = e->newer;
	*(e->newer == NONE ? &lan->newest : &lan->macs[e->newer].older) = e->older;
}

static void order_append(struct lan *lan, uint32_t i)
{
	struct mac_entry *e = &lan->macs[i];

	e->older = lan->newest;
	e->newer = NONE;
	*(lan->newest == NONE ? &lan->oldest : &lan->macs[lan->newest].newer) = i;
	lan->newest = i;
}

static void mac_forget(struct lan *lan, uint32_t i)
{
	struct mac_entry *e = &lan->macs[i];
	uint32_t *link = bucket_of(lan, &e->mac);

	while (*link != i)
		link = &lan->macs[*link].chain_next;
	*link = e->chain_next;
	order_unlink(lan, e);
	e->port = NULL;
	e->chain_next = lan->free_first;
	lan->free_first = i;
}

/* The oldest go first, so that this costs one look when there is nothing to do. */
static void forget_silent(struct lan *lan, uint64_t now_ms)
{
	while (lan->oldest != NONE &&
	       now_ms - lan->macs[lan->oldest].last_ms >= lan->config.mac_age_ms)
		mac_forget(lan, lan->oldest);
}

static void tell_mac(const struct lan *lan, struct port *port, const struct mac *mac, bool clash)
{
	if (lan->config.mac_seen)
		lan->config.mac_seen(lan->config.ctx, port, mac, clash);
}

static void mac_add(struct lan *lan, const struct mac *mac, struct port *port, uint64_t now_ms)
{
	if (lan->free_first == NONE) {
		mac_forget(lan, lan->oldest);
		lan->counters.macs_evicted++;
	}
	uint32_t i = lan->free_first, *bucket = bucket_of(lan, mac);
	struct mac_entry *e = &lan->macs[i];

	lan->free_first = e->chain_next;
	*e =
	    (struct mac_entry){.mac = *mac, .port = port, .last_ms = now_ms, .chain_next = *bucket};
	*bucket = i;
	order_append(lan, i);
	tell_mac(lan, port, mac, false);
}

/* One MAC on two ports makes both guests' connections fail at random: nobody finds that without a
 * word from us. A MAC that moves once may be a guest that was moved to another QEMU (live
 * migration: both are attached at that moment); one that moves on or back soon belongs to two. */
static void mac_moves(struct lan *lan, struct mac_entry *e, struct port *port, uint64_t now_ms)
{
	bool clash = e->moved_ms && now_ms - e->moved_ms < CONFLICT_MS;
	char text[MAC_TEXT_MAX];

	if (clash) {
		tell_mac(lan, e->port, &e->mac, true);
		lan->counters.mac_conflicts++;
		if (log_limit_ok(&e->conflict_log, now_ms, 1, CONFLICT_LOG_MS) &&
		    log_limit_ok(&lan->conflict_log, now_ms, CONFLICT_LOG_BURST, CONFLICT_LOG_MS))
			log_warn("lan: %s and %s both use MAC address %s, so neither will work "
				 "reliably: give one guest another macaddr=",
				 e->port->name, port->name, mac_format(&e->mac, text));
	}
	e->port = port;
	e->moved_ms = now_ms;
	tell_mac(lan, port, &e->mac, clash);
}

static void learn(struct lan *lan, const struct mac *mac, struct port *port, uint64_t now_ms)
{
	uint32_t i = mac_find(lan, mac);

	if (i == NONE) {
		mac_add(lan, mac, port, now_ms);
		return;
	}
	struct mac_entry *e = &lan->macs[i];
	if (e->port != port)
		mac_moves(lan, e, port, now_ms);
	e->last_ms = now_ms;
	if (i != lan->newest) {
		order_unlink(lan, e);
		order_append(lan, i);
	}
}

/* A frame in the form that port_ops.send() takes. */
struct outgoing {
	const void *hdr;
	struct iovec rest[FRAME_PIECES_MAX];
	unsigned rest_n;
};

static void outgoing_from(struct outgoing *out, const struct frame *frame)
{
	out->hdr = frame->iov[0].iov_base;
	out->rest_n = 0;
	for (unsigned i = 0; i < frame->iov_n; i++) {
		size_t skip = i == 0 ? FRAME_HDR_LEN : 0;
		if (frame->iov[i].iov_len > skip)
			out->rest[out->rest_n++] = (struct iovec){
			    (uint8_t *)frame->iov[i].iov_base + skip, frame->iov[i].iov_len - skip};
	}
}

static void send_finished(void *ctx, const struct frame *frame)
{
	struct port *to = ctx;

	to->ops->send(to, frame->iov[0].iov_base, frame->iov[0].iov_len, frame->iov + 1,
		      frame->iov_n - 1);
}

/* What a vhost-user guest left undone is done here, unless the receiver does it itself. */
static void send_to(struct lan *lan, struct port *to, const struct frame *frame)
{
	struct outgoing out;

	if (!frame->offload.gso_type && !frame->offload.needs_csum) {
		outgoing_from(&out, frame);
		to->ops->send(to, out.hdr, FRAME_HDR_LEN, out.rest, out.rest_n);
	} else if (offload_is_taken(&frame->offload, to->takes)) {
		to->ops->send_unfinished(to, frame);
	} else if (!offload_finish(frame, send_finished, to)) {
		lan->counters.dropped_offload++;
	}
}

struct to_gateway {
	struct lan *lan;
	struct port *from;
};

static void gateway_finished(void *ctx, const struct frame *frame)
{
	const struct to_gateway *to = ctx;

	to->lan->config.gateway_input(to->lan->config.ctx, to->from, frame);
}

static void send_to_gateway(struct lan *lan, struct port *from, const struct frame *frame)
{
	struct to_gateway to = {lan, from};

	/* It looks at no checksum, and what is bulk is the better the larger it is. */
	if (offload_is_taken(&frame->offload, GATEWAY_TAKES))
		gateway_finished(&to, frame);
	else if (!offload_finish(frame, gateway_finished, &to))
		lan->counters.dropped_offload++;
}

/* To one port, or with 'to' NULL to all but the one it came from. */
static void forward(struct lan *lan, struct port *from, struct port *to, const struct frame *frame)
{
	lan->switching = true;
	if (to) {
		lan->counters.forwarded++;
		send_to(lan, to, frame);
	} else {
		lan->counters.flooded++;
	}
	for (unsigned i = 0; i < lan->ports_n && !to; i++) {
		if (lan->ports[i] != from)
			send_to(lan, lan->ports[i], frame);
	}
	lan->switching = false;
}

static void source_is_gateway(struct lan *lan, const struct port *from, uint64_t now_ms)
{
	char text[MAC_TEXT_MAX];

	lan->counters.source_spoofs_gateway++;
	if (log_limit_ok(&lan->spoof_log, now_ms, 1, SPOOF_LOG_MS))
		log_warn("lan: %s sends with the gateway's own MAC address %s: its frames are "
			 "dropped; give this guest another macaddr=",
			 from->name, mac_format(&lan->config.gateway_mac, text));
}

void lan_input(struct lan *lan, struct port *from, const struct frame *frame, uint64_t now_ms)
{
	struct mac dst, src;

	if (frame->len < FRAME_HDR_LEN || frame->iov_n < 1 || frame->iov_n > FRAME_PIECES_MAX ||
	    frame->iov[0].iov_len < FRAME_HDR_LEN) {
		lan->counters.malformed++;
		return;
	}
	if (lan->tap.frame)
		tap_input(lan, from, frame);
	memcpy(&dst, frame->iov[0].iov_base, sizeof(dst));
	memcpy(&src, (const uint8_t *)frame->iov[0].iov_base + sizeof(dst), sizeof(src));
	if (mac_is_multicast(&src)) { /* IEEE 802.3 section 3.2.3: a group is never a source */
		lan->counters.malformed++;
		return;
	}
	if (mac_eq(&src, &lan->config.gateway_mac)) {
		source_is_gateway(lan, from, now_ms);
		return;
	}
	if (from->counters.first_frame_ms == 0)
		from->counters.first_frame_ms = now_ms;
	from->counters.last_frame_ms = now_ms;
	forget_silent(lan, now_ms);
	learn(lan, &src, from, now_ms);

	if (mac_eq(&dst, &lan->config.gateway_mac)) {
		lan->counters.for_gateway++;
		send_to_gateway(lan, from, frame);
	} else if (mac_is_multicast(&dst)) {
		if (lan->ports_n > 1)
			forward(lan, from, NULL, frame);
		lan->counters.for_gateway++;
		send_to_gateway(lan, from, frame);
	} else {
		struct port *to = lan_port_of(lan, &dst);
		if (to == from)
			lan->counters.dropped_same_port++;
		else if (to || lan->ports_n > 1)
			forward(lan, from, to, frame);
	}
}

void lan_flush(struct lan *lan)
{
	for (unsigned i = 0; i < lan->ports_n; i++) {
		if (lan->ports[i]->queued)
			lan->ports[i]->ops->flush(lan->ports[i]);
	}
}

struct port *lan_port_of(const struct lan *lan, const struct mac *mac)
{
	uint32_t i = mac_find(lan, mac);
	return i == NONE ? NULL : lan->macs[i].port;
}

const struct lan_counters *lan_counters(const struct lan *lan)
{
	return &lan->counters;
}

int lan_port_add(struct lan *lan, struct port *port)
{
	if (lan->ports_n == lan->config.ports_max)
		return -ENOSPC;
	lan->ports[lan->ports_n++] = port;
	if (lan->tap.frame)
		tap_port(lan, port);
	return 0;
}

uint32_t lan_new_port_id(struct lan *lan)
{
	return ++lan->ids_used;
}

void lan_port_remove(struct lan *lan, struct port *port)
{
	unsigned at = 0;

	while (at < lan->ports_n && lan->ports[at] != port)
		at++;
	assert(at < lan->ports_n);
	if (port->tap)
		untap_port(port);
	lan->ports[at] = lan->ports[--lan->ports_n];

	for (uint32_t i = lan->oldest, next; i != NONE; i = next) {
		next = lan->macs[i].newer;
		if (lan->macs[i].port == port)
			mac_forget(lan, i);
	}
}

int lan_new(struct lan **ret, const struct lan_config *config)
{
	uint32_t buckets_n = 1;
	struct rng rng;

	if (config->ports_max == 0 || config->macs_max == 0 || config->macs_max > MACS_MAX ||
	    mac_is_multicast(&config->gateway_mac) || !config->gateway_input)
		return -EINVAL;
	int err = rng_init(&rng);
	if (err)
		return err;
	struct lan *lan = calloc(1, sizeof(*lan));
	if (!lan)
		return -ENOMEM;
	while (buckets_n < config->macs_max)
		buckets_n *= 2;
	lan->config = *config;
	lan->ports = calloc(config->ports_max, sizeof(lan->ports[0]));
	lan->macs = calloc(config->macs_max, sizeof(lan->macs[0]));
	lan->buckets = calloc(buckets_n, sizeof(lan->buckets[0]));
	if (!lan->ports || !lan->macs || !lan->buckets) {
		lan_free(lan);
		return -ENOMEM;
	}

	lan->key = (struct siphash_key){{rng_u64(&rng), rng_u64(&rng)}};
	lan->buckets_mask = buckets_n - 1;
	for (uint32_t i = 0; i < buckets_n; i++)
		lan->buckets[i] = NONE;
	lan->free_first = lan->newest = lan->oldest = NONE;
	for (uint32_t i = config->macs_max; i-- > 0; lan->free_first = i)
		lan->macs[i].chain_next = lan->free_first;
	*ret = lan;
	return 0;
}

void lan_free(struct lan *lan)
{
	if (!lan)
		return;
	assert(lan->ports_n == 0);
	free(lan->buckets);
	free(lan->macs);
	free(lan->ports);
	free(lan);
}
