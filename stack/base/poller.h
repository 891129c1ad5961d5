/* One epoll set for the descriptors that packets come through: guests' sockets, kicks, flows' host
 * sockets. Waiting for all of them, and for libuv, is one system call (stack/link/poller_uv.h). */
#ifndef LWNAT_BASE_POLLER_H
#define LWNAT_BASE_POLLER_H

#include <stdint.h>
#include <sys/epoll.h>

#define POLLER_EVENTS_MAX 256 /* of one wait */

/* A descriptor with a callback of its own. */
struct poller_watch {
	/* May remove any watch, this one too. 'events': EPOLLIN ... */
	void (*ready)(struct poller_watch *watch, uint32_t events);
	int fd;
};

/* Many descriptors that one owner tells apart by a number, with nothing kept here for each. */
struct poller_crowd {
	/* One that was closed during this batch may be told once more. */
	void (*ready)(void *ctx, uint64_t number, uint32_t events);
	void (*batch_end)(void *ctx); /* all that one wait has found is told */
	void *ctx;
};

/* Numbers are less than this. */
#define POLLER_NUMBERS ((uint64_t)1 << 63)

struct poller {
	int fd; /* the epoll set; readable when something in it is ready */
	struct poller_crowd crowd;
	struct epoll_event events[POLLER_EVENTS_MAX];
	int at, n; /* of 'events', those still to be told: [at, n) */
};

/* 0 or the negative errno of epoll_create1(). */
int poller_init(struct poller *poller);
void poller_fini(struct poller *poller);
/* At most one at a time; NULL: none. */
void poller_set_crowd(struct poller *poller, const struct poller_crowd *crowd);

/* 'watch' stays the caller's, and where it is until removed. 0 or a negative errno. */
int poller_add(struct poller *poller, struct poller_watch *watch, uint32_t events);
/* What is true of the descriptor now is told again, as if it were news. */
void poller_change(struct poller *poller, struct poller_watch *watch, uint32_t events);
/* Before the descriptor is closed. Nothing is told from now on. */
void poller_remove(struct poller *poller, struct poller_watch *watch);

/* For the crowd: as above; closing the descriptor takes it out. */
int poller_add_number(struct poller *poller, int fd, uint64_t number, uint32_t events);
void poller_change_number(struct poller *poller, int fd, uint64_t number, uint32_t events);

/* Waits for events, -1: for ever. How many there are. */
int poller_wait(struct poller *poller, int timeout_ms);
/* Tells those that the last wait has found. */
void poller_tell(struct poller *poller);

#endif
