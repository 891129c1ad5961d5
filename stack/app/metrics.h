/* The counters of all parts, for Prometheus (text format 0.0.4) and for people. */
#ifndef LWNAT_APP_METRICS_H
#define LWNAT_APP_METRICS_H

#include "stack/app/metrics_text.h"
#include "stack/app/network.h"

#include <stdbool.h>
#include <stdint.h>

/* Writes all metrics of the network; out->bytes are the caller's to free, also when it failed. */
void metrics_write(struct metrics_text *out, const struct network *net);

void metrics_write_guests(struct metrics_text *out, const struct network *net);

struct metrics_drop {
	const char *reason, *meaning;
	uint64_t packets;
};
/* The n-th reason for which packets are dropped; false when there are no more. */
bool metrics_drop(const struct network *net, unsigned n, struct metrics_drop *ret);

#endif
