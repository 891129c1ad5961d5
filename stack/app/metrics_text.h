/* Prometheus's text format 0.0.4: one family after the other, each with its HELP and TYPE. Pure. */
#ifndef LWNAT_APP_METRICS_TEXT_H
#define LWNAT_APP_METRICS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct metrics_text {
	char *bytes; /* from malloc(); NULL: there was no memory for it */
	size_t len, room;
	bool failed;
	const char *family; /* the one being written */
};

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE };

/* A pair; the value is escaped, and cut where it is no UTF-8. */
struct metrics_label {
	const char *name, *value;
};

void metrics_begin(struct metrics_text *out);
/* HELP and TYPE of a family. All its samples follow. */
void metrics_family(struct metrics_text *out, const char *name, enum metrics_type type,
		    const char *help);
void metrics_sample(struct metrics_text *out, const struct metrics_label *labels, unsigned labels_n,
		    uint64_t value);
void metrics_sample_real(struct metrics_text *out, double value);
/* A family of one sample. */
void metrics_one(struct metrics_text *out, const char *name, enum metrics_type type,
		 const char *help, uint64_t value);

#endif
