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

void ready_tell(int fd)
{
	static const char message[] = "ready\n";

	fputs(message, stdout);
	fflush(stdout);
	if (fd >= 0) {
		if (write(fd, message, sizeof(message) - 1) < 0)
			log_warn_errno(errno, "--ready-fd: cannot write to %d", fd);
		close(fd);
	}
	notify_service_manager();
}
