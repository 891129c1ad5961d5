/* The lease file: read at the start, written soon after a change. Written beside, synced and
 * renamed by a thread, so that neither a crash nor a slow disk is felt. */
#ifndef LWNAT_APP_LEASE_STORE_H
#define LWNAT_APP_LEASE_STORE_H

#include "dhcp/lease_file.h"

#include <uv.h>

#define LEASE_STORE_ERROR_MAX 512

struct lease_store;

struct lease_store_config {
	uv_loop_t *loop;
	const char *path;
	uint32_t delay_ms; /* from a change to its writing; 0: 50 */
	/* Called by lease_store_load() for each record, the one that ends first comes first. */
	void (*restore)(void *ctx, const struct lease_record *record);
	/* Has to hand every record to lease_store_put(). */
	void (*collect)(void *ctx, struct lease_store *store);
	void *ctx;
};

/* Opens the folder. 0, or a negative errno and one line that says what is wrong with the path. */
int lease_store_new(struct lease_store **ret, const struct lease_store_config *config,
		    char error[LEASE_STORE_ERROR_MAX]);
/* Reads the file. One that is damaged is logged, moved aside to PATH.damaged, and its good lines
 * count; no file at all is fine. 0, or a negative errno and a line for what cannot be read. */
int lease_store_load(struct lease_store *store, char error[LEASE_STORE_ERROR_MAX]);
void lease_store_put(struct lease_store *store, const struct lease_record *record);
/* Something that 'collect' would hand over has changed. */
void lease_store_changed(struct lease_store *store);
/* Writes what has changed, before it returns unless a write is under way. The memory goes when the
 * loop has ended both. NULL is fine. */
void lease_store_close(struct lease_store *store);

#endif
