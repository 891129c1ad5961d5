#include "stack/app/run_name.h"

#include "stack/app/runtime_dir.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SAME_NAME_MAX 1000

static int path_of(const char *file, char *path, size_t path_max)
{
	struct runtime_place place = {.xdg = getenv("XDG_RUNTIME_DIR"), .tmp = "/tmp"};
	char error[RUNTIME_ERROR_MAX];

	return runtime_socket_path(&place, file, path, path_max, error);
}

int run_names_lock(void)
{
	char path[PATH_MAX];
	int fd;

	if (path_of("run.lock", path, sizeof(path)) < 0)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		(void)flock(fd, LOCK_EX);
	return fd;
}

/* Somebody listens on the control socket of that name. */
static bool is_taken(const char *name)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	char file[RUN_NAME_MAX + sizeof(".ctl")];
	bool taken;
	int fd;

	snprintf(file, sizeof(file), "%s.ctl", name);
	if (path_of(file, to.sun_path, sizeof(to.sun_path)) < 0)
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	taken = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
	if (fd >= 0)
		close(fd);
	return taken;
}

void run_name_choose(char name[RUN_NAME_MAX], const char *given, bool several)
{
	char own[RUN_NAME_MAX];

	memcpy(own, name, sizeof(own));
	if (given && several)
		snprintf(name, RUN_NAME_MAX, "%.40s-%.22s", given, own);
	else if (given)
		snprintf(name, RUN_NAME_MAX, "%s", given);
	if (given)
		return;
	for (unsigned i = 2; i < SAME_NAME_MAX && is_taken(name); i++)
		snprintf(name, RUN_NAME_MAX, "%.58s-%u", own, i);
}
