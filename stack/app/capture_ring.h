/* The file that a capture writes, or a ring of them: FILE is the newest, FILE.1 the one before. */
#ifndef LWNAT_APP_CAPTURE_RING_H
#define LWNAT_APP_CAPTURE_RING_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

struct capture_ring {
	int folder; /* the directory, held open */
	int fd;     /* FILE; -1: none */
	char name[NAME_MAX + 1];
	unsigned files_n;
	uint64_t size; /* bytes written to FILE, whole records */
};

/* Makes FILE anew, 0600. 0, or a negative errno (-EINVAL: no name, -EEXIST: there and no regular
 * file) and nothing is open. */
int capture_ring_open(struct capture_ring *ret, const char *path, unsigned files_n);
/* Whole records. 0, or a negative errno; FILE then ends where it did before. */
int capture_ring_write(struct capture_ring *ring, const uint8_t *bytes, size_t len);
/* FILE becomes FILE.1 and so on, the oldest goes, and an empty FILE is there. 0 or a negative
 * errno. */
int capture_ring_turn(struct capture_ring *ring);
void capture_ring_close(struct capture_ring *ring);

#endif
