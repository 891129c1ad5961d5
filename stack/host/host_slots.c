#include "stack/host/host_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int slots_grow(struct host *host, int fd)
{
	unsigned n = host->slots_n ? host->slots_n : 64;

	if ((unsigned)fd < host->slots_n)
		return 0;
	while (n <= (unsigned)fd)
		n *= 2;

	struct host_slot *slots = realloc(host->slots, n * sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	memset(slots + host->slots_n, 0, (n - host->slots_n) * sizeof(*slots));
	host->slots = slots;
	host->slots_n = n;
	return 0;
}

static uint64_t number_of(const struct host_slot *slot, int fd)
{
	return (uint64_t)slot->life << 32 | (uint32_t)fd;
}

int host_watch(struct host *host, int fd, uint64_t token, uint32_t epoll_events)
{
	int r = slots_grow(host, fd);

	if (r < 0)
		return r;

	struct host_slot *slot = &host->slots[fd];

	assert(!(slot->flags & HOST_SLOT_OPEN));
	slot->life = (slot->life + 1) & INT32_MAX;
	r = poller_add_number(host->poller, fd, number_of(slot, fd), epoll_events);
	if (r < 0)
		return r;
	slot->token = token;
	slot->flags = HOST_SLOT_OPEN;
	host->open_n++;
	return 0;
}

int host_watch_new(struct host *host, int fd, int err, uint64_t token, uint32_t epoll_events)
{
	if (err == 0)
		err = host_watch(host, fd, token, epoll_events);
	if (err == 0)
		return fd;
	close(fd);
	return err;
}

bool host_is_watched(const struct host *host, int handle)
{
	return (unsigned)handle < host->slots_n && host->slots[handle].flags & HOST_SLOT_OPEN;
}

struct host_slot *host_slot_of(struct host *host, int handle)
{
	assert(host_is_watched(host, handle));
	return &host->slots[handle];
}

void host_tell_again(struct host *host, int handle)
{
	uint64_t number = number_of(host_slot_of(host, handle), handle);

	poller_change_number(host->poller, handle, number, HOST_STREAM_EVENTS);
}

void host_unwatch_and_close(struct host *host, int handle)
{
	struct host_slot was = {0};

	if (host_is_watched(host, handle)) {
		was = host->slots[handle];
		host->slots[handle].flags = 0;
		host->open_n--;
	}
	/* Nobody else holds the open file, so this takes it out of the epoll set too. */
	close(handle);
	if (was.flags & HOST_SLOT_SERVICE)
		host->config.service_closed(host->config.ctx, was.token);
}
