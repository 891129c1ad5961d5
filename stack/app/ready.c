#include "stack/app/ready.h"

#include "stack/base/log.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void notify_service_manager(void)
{
	static const char message[] = "READY=1";
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0'; /* an abstract socket, unix(7) */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, message, sizeof(message) - 1, MSG_NOSIGNAL, (struct sockaddr *)&to,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warn_errno(errno, "cannot tell the service manager");
	if (fd >= 0)
		close(fd);
}

/* As "tcp::41873-web:22": what 'lwnat ctl hostfwd list' says too. */
static void write_forwards(FILE *out, const struct forwards *forwards)
{
	struct forward_info info;

	for (const struct forward *f = forwards_next(forwards, NULL); f;
	     f = forwards_next(forwards, f)) {
		forward_info(f, &info);
		fprintf(out, "hostfwd %s\n", info.text);
	}
}

void ready_tell(int fd, const struct forwards *forwards)
{
	FILE *out;

	fputs("ready\n", stdout);
	fflush(stdout);
	if (fd >= 0) {
		out = fdopen(fd, "w");
		if (out) {
			write_forwards(out, forwards);
			fputs("ready\n", out);
		}
		if (!out || fclose(out) != 0)
			log_warn_errno(errno, "--ready-fd: cannot write to %d", fd);
	}
	notify_service_manager();
}
