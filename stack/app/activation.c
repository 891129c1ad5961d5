#include "stack/app/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */
#define FDS_MAX 16
#define NAME_MAX_LEN 255 /* systemd.socket(5), FileDescriptorName= */

static int option_of(int fd, int option)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

/* Where the socket of this name belongs; any other name is the guests'. */
static int *slot_of(struct activation *a, const char *name, const char **ret_meant_for)
{
	if (strcmp(name, "control") == 0) {
		*ret_meant_for = "control";
		return &a->control_fd;
	}
	if (strcmp(name, "vhost") == 0) {
		*ret_meant_for = "vhost-user guests";
		return &a->vhost_fd;
	}
	*ret_meant_for = "guests";
	return &a->guests_fd;
}

static int take_one(struct activation *a, int fd, const char *name,
		    char error[ACTIVATION_ERROR_MAX])
{
	const char *meant_for;
	int *slot = slot_of(a, name, &meant_for);

	if (option_of(fd, SO_DOMAIN) != AF_UNIX || option_of(fd, SO_TYPE) != SOCK_STREAM ||
	    option_of(fd, SO_ACCEPTCONN) != 1) {
		snprintf(error, ACTIVATION_ERROR_MAX,
			 "socket activation: '%.40s' is no listening UNIX stream socket (accepted: "
			 "ListenStream=/PATH, Accept=no)",
			 name);
		return -EINVAL;
	}
	if (*slot >= 0) {
		snprintf(
		    error, ACTIVATION_ERROR_MAX,
		    "socket activation: more than one socket for %s (accepted: one for guests, "
		    "and one each with FileDescriptorName=vhost and FileDescriptorName=control)",
		    meant_for);
		return -EINVAL;
	}
	*slot = fd;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno
											: 0;
}

/* The next of "a:b:c", "" when there are no more. */
static void next_name(const char **names, char name[NAME_MAX_LEN + 1])
{
	size_t len = strcspn(*names, ":");

	snprintf(name, NAME_MAX_LEN + 1, "%.*s", len > NAME_MAX_LEN ? NAME_MAX_LEN : (int)len,
		 *names);
	*names += len;
	*names += **names == ':';
}

static int take_all(struct activation *a, long fds_n, const char *names,
		    char error[ACTIVATION_ERROR_MAX])
{
	char name[NAME_MAX_LEN + 1];

	for (int fd = FIRST_FD; fd < FIRST_FD + fds_n; fd++) {
		int result;

		next_name(&names, name);
		result = take_one(a, fd, name, error);
		if (result < 0)
			return result;
	}
	return 0;
}

int activation_take(struct activation *ret, char error[ACTIVATION_ERROR_MAX])
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");
	long fds_n = fds ? strtol(fds, NULL, 10) : 0;
	int result = 0;

	*ret = (struct activation){-1, -1, -1};
	if (!pid || strtol(pid, NULL, 10) != (long)getpid() || fds_n <= 0)
		return 0;
	if (fds_n > FDS_MAX) {
		snprintf(error, ACTIVATION_ERROR_MAX,
			 "socket activation: %ld sockets (accepted: 3)", fds_n);
		result = -EINVAL;
	}
	if (result == 0)
		result = take_all(ret, fds_n, names ? names : "", error);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return result;
}
