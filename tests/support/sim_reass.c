#include "tests/support/sim_reass.h"

#include <stdlib.h>
#include <string.h>

#define UNITS (65536 / 8)

static void slot_clear(struct sim_reass_slot *slot)
{
	free(slot->bytes);
	free(slot->present);
	*slot = (struct sim_reass_slot){0};
}

static struct sim_reass_slot *slot_for(struct sim_reass *reass, const struct packet *p)
{
	struct sim_reass_slot *oldest = &reass->slots[0];

	for (unsigned i = 0; i < SIM_REASS_SLOTS; i++) {
		struct sim_reass_slot *slot = &reass->slots[i];
		if (slot->bytes && slot->ip_id == p->ip_id && slot->proto == p->proto &&
		    addr_eq(&slot->src, &p->src) && addr_eq(&slot->dst, &p->dst))
			return slot;
		if (slot->age < oldest->age)
			oldest = slot;
	}
	slot_clear(oldest);
	oldest->bytes = malloc(65536);
	oldest->present = calloc(UNITS, 1);
	oldest->src = p->src;
	oldest->dst = p->dst;
	oldest->ip_id = p->ip_id;
	oldest->proto = p->proto;
	oldest->age = ++reass->clock;
	return oldest;
}

bool sim_reass_add(struct sim_reass *reass, struct packet *p)
{
	struct sim_reass_slot *slot;

	if (reass->done)
		slot_clear(reass->done);
	reass->done = NULL;
	slot = slot_for(reass, p);
	if (p->fragment_offset + p->payload_len > 65535) {
		p->fault = "fragment beyond 65,535 bytes";
		return true;
	}
	if (p->more_fragments && p->payload_len % 8 != 0) {
		p->fault = "fragment in the middle is no multiple of 8";
		return true;
	}
	memcpy(slot->bytes + p->fragment_offset, p->payload, p->payload_len);
	for (size_t at = 0; at < p->payload_len; at += 8) {
		uint8_t *unit = &slot->present[(p->fragment_offset + at) / 8];
		if (!*unit)
			slot->have += (uint32_t)(p->payload_len - at < 8 ? p->payload_len - at : 8);
		*unit = 1;
	}
	if (!p->more_fragments)
		slot->total = (uint32_t)(p->fragment_offset + p->payload_len);
	if (!slot->total || slot->have < slot->total)
		return false;
	reass->done = slot;
	packet_parse_payload(p, slot->bytes, slot->total);
	return true;
}

void sim_reass_fini(struct sim_reass *reass)
{
	for (unsigned i = 0; i < SIM_REASS_SLOTS; i++)
		slot_clear(&reass->slots[i]);
}
