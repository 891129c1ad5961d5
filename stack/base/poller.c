#include "stack/base/poller.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

/* A watch is known by its address, which has this bit clear in every process. */
#define IS_NUMBER POLLER_NUMBERS

static int control(const struct poller *poller, int op, int fd, uint64_t data, uint32_t events)
{
	struct epoll_event event = {.events = events, .data = {.u64 = data}};

	return epoll_ctl(poller->fd, op, fd, &event) < 0 ? -errno : 0;
}

static uint64_t address_of(const struct poller_watch *watch)
{
	return (uint64_t)(uintptr_t)watch;
}

int poller_init(struct poller *poller)
{
	*poller = (struct poller){.fd = epoll_create1(EPOLL_CLOEXEC)};
	return poller->fd < 0 ? -errno : 0;
}

void poller_fini(struct poller *poller)
{
	close(poller->fd);
}

void poller_set_crowd(struct poller *poller, const struct poller_crowd *crowd)
{
	assert(!crowd || !poller->crowd.ready);
	poller->crowd = crowd ? *crowd : (struct poller_crowd){.ready = NULL};
}

int poller_add(struct poller *poller, struct poller_watch *watch, uint32_t events)
{
	return control(poller, EPOLL_CTL_ADD, watch->fd, address_of(watch), events);
}

void poller_change(struct poller *poller, struct poller_watch *watch, uint32_t events)
{
	(void)control(poller, EPOLL_CTL_MOD, watch->fd, address_of(watch), events);
}

void poller_remove(struct poller *poller, struct poller_watch *watch)
{
	/* Closing would not do where another process holds the same open file. */
	(void)control(poller, EPOLL_CTL_DEL, watch->fd, 0, 0);
	for (int i = poller->at; i < poller->n; i++) {
		if (poller->events[i].data.u64 == address_of(watch))
			poller->events[i].data.u64 = 0;
	}
}

int poller_add_number(struct poller *poller, int fd, uint64_t number, uint32_t events)
{
	assert(number < POLLER_NUMBERS);
	return control(poller, EPOLL_CTL_ADD, fd, IS_NUMBER | number, events);
}

void poller_change_number(struct poller *poller, int fd, uint64_t number, uint32_t events)
{
	assert(number < POLLER_NUMBERS);
	(void)control(poller, EPOLL_CTL_MOD, fd, IS_NUMBER | number, events);
}

/* True when it was one of the crowd's. */
static bool tell(struct poller *poller, const struct epoll_event *event)
{
	struct poller_watch *watch = (struct poller_watch *)(uintptr_t)event->data.u64;
	uint64_t data = event->data.u64;

	if (data & IS_NUMBER) {
		if (poller->crowd.ready)
			poller->crowd.ready(poller->crowd.ctx, data & ~IS_NUMBER, event->events);
		return true;
	}
	if (data)
		watch->ready(watch, event->events);
	return false;
}

int poller_wait(struct poller *poller, int timeout_ms)
{
	int n = epoll_wait(poller->fd, poller->events, POLLER_EVENTS_MAX, timeout_ms);

	poller->at = 0;
	poller->n = n > 0 ? n : 0; /* EINTR is the only error there is */
	return poller->n;
}

void poller_tell(struct poller *poller)
{
	bool told = false;

	while (poller->at < poller->n) {
		struct epoll_event event = poller->events[poller->at++];

		told |= tell(poller, &event);
	}
	if (told && poller->crowd.batch_end)
		poller->crowd.batch_end(poller->crowd.ctx);
}
