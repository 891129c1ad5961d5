/* Programs that serve guests' connections: one process for each, the connection as its standard
 * input and output, its standard error in our log. Each has a session of its own, all of which is
 * ended when the connection goes. */
#ifndef LWNAT_APP_PROGRAMS_H
#define LWNAT_APP_PROGRAMS_H

#include "stack/base/addr.h"

#include <stdint.h>
#include <uv.h>

#define PROGRAMS_MAX 64       /* processes at once */
#define PROGRAMS_GUEST_MAX 32 /* of one guest's */
#define PROGRAMS_NAME_MAX 96

struct programs;

struct program {
	const char *const *argv; /* NULL at the end; copied by the system */
	int fd;                  /* the connection */
	uint64_t token;          /* names it: programs_closed() */
	struct endpoint guest, at;
	const char *name; /* for the log: "guestfwd 10.0.2.100:80" */
};

int programs_new(struct programs **ret, uv_loop_t *loop); /* 0 or -ENOMEM */
/* 0 takes 'fd' over. -EAGAIN: too many run (said in the log); or the errno of starting it: 'fd'
 * stays the caller's. */
int programs_run(struct programs *programs, const struct program *program);
/* The connection is gone: SIGTERM for its process group, SIGKILL two seconds later. */
void programs_closed(struct programs *programs, uint64_t token);
unsigned programs_running(const struct programs *programs);
/* Ends them all. The memory goes when they have ended: run the loop once more, which takes two
 * seconds at most. NULL is fine. */
void programs_close(struct programs *programs);

#endif
