/* The real program under a test: a runtime directory of its own, its output, its end. */
#ifndef LWNAT_TESTS_PROCESS_H
#define LWNAT_TESTS_PROCESS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_TEXT_MAX 16384
#define PROCESS_INHERITED_FD 7
#define PROCESS_HANG_S 300 /* for tcase_set_timeout(): only ends what hangs */

/* Where programs are run. */
struct process_place {
	char dir[64];           /* $XDG_RUNTIME_DIR of all programs */
	char socket_path[128];  /* of the network "default" */
	char program[PATH_MAX]; /* $LWNAT, or ./lwnat */
	int inherited;          /* becomes PROCESS_INHERITED_FD of the next ones; -1: nothing */
	bool as_nobody;
};

struct process {
	pid_t pid; /* 0: none */
	int out, err;
	char out_text[PROCESS_TEXT_MAX], err_text[PROCESS_TEXT_MAX]; /* what was read so far */
	size_t out_len, err_len;
	int status; /* exit status, -1 when a signal ended it; after process_finish() */
};

void process_place_make(struct process_place *place);
void process_place_remove(struct process_place *place);
/* From here on programs are an ordinary user's, in a directory that he cannot write to. */
void process_place_give_away(struct process_place *place);

/* 'line' holds the arguments, split at '|'. */
void process_spawn(struct process *p, const struct process_place *place, const char *line);
/* Spawns and reads until it says ready; the test fails when it does not. */
void process_start(struct process *p, const struct process_place *place, const char *line);
/* Spawns and reads until it has ended. */
void process_run(struct process *p, const struct process_place *place, const char *line);
void process_finish(struct process *p);
void process_kill(struct process *p); /* SIGKILL; one that is not there is fine */
/* Reads standard error until it holds 'text'. */
void process_wait_for_log(struct process *p, const char *text);

/* A guest's NIC at the program's socket. */
int guest_connect(const char *path);
void guest_send(int fd, const void *frame, size_t len);
/* The next frame's length; it waits for one. */
size_t guest_receive(int fd, uint8_t *frame, size_t frame_max);

#endif
