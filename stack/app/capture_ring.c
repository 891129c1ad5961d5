#include "stack/app/capture_ring.h"

#include "stack/app/write_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Others' data may be in it, so nobody else may read it, whoever made the file. */
static int make_file(struct capture_ring *ring)
{
	struct stat st;
	int err = 0;
	/* Not waiting: the name may be a pipe's. */
	int fd = openat(ring->folder, ring->name,
			O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);

	if (fd < 0)
		return errno == ENXIO ? -EEXIST : -errno;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = -EEXIST;
	else if (fchmod(fd, 0600) < 0 || ftruncate(fd, 0) < 0)
		err = -errno;
	if (err < 0) {
		close(fd);
		return err;
	}
	ring->fd = fd;
	ring->size = 0;
	return 0;
}

int capture_ring_open(struct capture_ring *ret, const char *path, unsigned files_n)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	struct capture_ring ring = {.fd = -1, .files_n = files_n};
	char folder[PATH_MAX] = ".";
	int err;

	/* With room for ".99" behind it. */
	if (name[0] == '\0' || strlen(name) + 4 > NAME_MAX || strlen(path) >= sizeof(folder))
		return -EINVAL;
	memcpy(ring.name, name, strlen(name) + 1);
	if (slash) {
		memcpy(folder, path, (size_t)(name - path));
		folder[name - path] = '\0';
	}
	ring.folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ring.folder < 0)
		return -errno;
	err = make_file(&ring);
	if (err < 0) {
		close(ring.folder);
		return err;
	}
	*ret = ring;
	return 0;
}

int capture_ring_write(struct capture_ring *ring, const uint8_t *bytes, size_t len)
{
	int err = write_all(ring->fd, bytes, len);

	if (err == 0) {
		ring->size += len;
		return 0;
	}
	/* Half a record would be an error to every reader. */
	if (ftruncate(ring->fd, (off_t)ring->size) < 0)
		return err;
	return err;
}

static void name_of(const struct capture_ring *ring, unsigned i, char out[NAME_MAX + 16])
{
	if (i == 0)
		snprintf(out, NAME_MAX + 16, "%s", ring->name);
	else
		snprintf(out, NAME_MAX + 16, "%s.%u", ring->name, i);
}

int capture_ring_turn(struct capture_ring *ring)
{
	char from[NAME_MAX + 16], to[NAME_MAX + 16];

	for (unsigned i = ring->files_n - 1; i > 0; i--) {
		name_of(ring, i - 1, from);
		name_of(ring, i, to);
		if (renameat(ring->folder, from, ring->folder, to) < 0 && errno != ENOENT)
			return -errno;
	}
	close(ring->fd);
	ring->fd = -1;
	return make_file(ring);
}

void capture_ring_close(struct capture_ring *ring)
{
	if (ring->fd >= 0)
		close(ring->fd);
	if (ring->folder >= 0)
		close(ring->folder);
	ring->fd = ring->folder = -1;
}
