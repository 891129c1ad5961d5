#include "stack/app/notify.h"

#include "stack/base/log.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* 0, also without a service manager, or a negative errno. */
static int send_message(const char *message)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	int fd, result = 0;

	if (len < 2 || len >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return 0;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0'; /* an abstract socket, unix(7) */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&to,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		result = -errno;
	close(fd);
	return result;
}

void notify_ready(void)
{
	int result = send_message("READY=1");

	if (result < 0)
		log_warn_errno(result, "cannot tell the service manager");
}

void notify_stopping(void)
{
	(void)send_message("STOPPING=1");
}

void notify_guests(unsigned guests_n)
{
	char message[64];

	snprintf(message, sizeof(message), "STATUS=guests attached: %u", guests_n);
	(void)send_message(message);
}

static void on_timer(uv_timer_t *timer)
{
	(void)timer;
	(void)send_message("WATCHDOG=1");
}

/* 0: nobody watches us. */
static uint64_t interval_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

	if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid()))
		return 0;
	return strtoull(usec, NULL, 10) / 1000 / 2;
}

void notify_watchdog_init(struct notify_watchdog *watchdog, uv_loop_t *loop)
{
	uint64_t every_ms = interval_ms();

	uv_timer_init(loop, &watchdog->timer);
	if (every_ms)
		uv_timer_start(&watchdog->timer, on_timer, 0, every_ms);
}

void notify_watchdog_close(struct notify_watchdog *watchdog)
{
	uv_close((uv_handle_t *)&watchdog->timer, NULL);
}
