#include "stack/link/stream_path_uv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 128      /* guests that may wait for accept() */
#define LOCK_TRIES 50    /* ten milliseconds apart */
#define REPLACE_TRIES 10 /* the file may come and go while we look */

static int bind_and_listen(int fd, const struct sockaddr_un *name)
{
	mode_t before = umask(0177);
	int err = bind(fd, (const struct sockaddr *)name, sizeof(*name)) ? -errno : 0;

	umask(before);
	if (!err && listen(fd, BACKLOG)) {
		err = -errno;
		unlink(name->sun_path);
	}
	return err;
}

/* 0: nobody listens there; -EADDRINUSE: somebody does; else why we cannot tell. */
static int probe(const struct sockaddr_un *name)
{
	int err = -EADDRINUSE;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)name, sizeof(*name))) {
		if (errno == ECONNREFUSED || errno == ENOENT)
			err = 0;
		else if (errno != EAGAIN && errno != EPROTOTYPE) /* full queue; datagram socket */
			err = -errno;
	}
	close(fd);
	return err;
}

/* 0: the way is free, try again. */
static int remove_stale(const struct sockaddr_un *name)
{
	struct stat st;

	if (lstat(name->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	int err = probe(name);
	if (err)
		return err;
	return unlink(name->sun_path) && errno != ENOENT ? -errno : 0;
}

/* Between another lwnat's bind() and listen(), and between our probe and our unlink(), a socket
 * looks like what it is not. A lock on the folder keeps two lwnats apart and leaves no file behind.
 * Without it (-1: the folder cannot be read, or somebody holds the lock for long) there remains a
 * window of microseconds. */
static int lock_folder(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	const char *slash = strrchr(path, '/');

	if (!slash)
		strcpy(folder, ".");
	else if (slash == path)
		strcpy(folder, "/");
	else
		*(char *)mempcpy(folder, path, (size_t)(slash - path)) = '\0';

	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
	for (unsigned i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB); i++) {
		const struct timespec pause = {.tv_nsec = 10000000};
		if (i == LOCK_TRIES || (errno != EWOULDBLOCK && errno != EINTR)) {
			close(fd);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}

int stream_path_listen(const char *path, struct stream_path *ret, int *ret_fd)
{
	struct stream_path made = {.name = {.sun_family = AF_UNIX}};
	struct stat st;
	size_t len = strlen(path);

	if (len == 0)
		return -EINVAL;
	if (len >= sizeof(made.name.sun_path))
		return -ENAMETOOLONG;
	memcpy(made.name.sun_path, path, len + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;

	int lock = lock_folder(path);
	int err = bind_and_listen(fd, &made.name);
	for (unsigned i = 0; err == -EADDRINUSE && i < REPLACE_TRIES; i++) {
		err = remove_stale(&made.name);
		if (err)
			break;
		err = bind_and_listen(fd, &made.name);
	}
	if (!err && lstat(path, &st))
		err = -errno;
	if (lock >= 0)
		close(lock);
	if (err) {
		close(fd);
		return err;
	}
	made.dev = st.st_dev;
	made.ino = st.st_ino;
	*ret = made;
	*ret_fd = fd;
	return 0;
}

void stream_path_remove(const struct stream_path *path)
{
	struct stat st;

	if (lstat(path->name.sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    st.st_dev == path->dev && st.st_ino == path->ino)
		unlink(path->name.sun_path);
}
