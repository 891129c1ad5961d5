#include "stack/host/host_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AGAIN_MAX 16 /* times that a rename elsewhere may disturb openat2() */
#define DEPTH_MAX 32 /* directories below each other, where there is no openat2() */
#define READ_FLAGS (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
#define LINKS_MAX 40 /* followed for one name: the kernel's own limit (path_resolution(7)) */

struct host_files {
	int dir;
	bool has_openat2;
};

/* ---- openat2() ---- */

static int openat2_beneath(int dir, const char *path, uint64_t flags)
{
	struct open_how how = {.flags = flags | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	long fd = -1;

	for (int tries = 0; tries < AGAIN_MAX; tries++) {
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

/* ---- the same by hand: kernels before 5.6, and sandboxes that do not know the call ---- */

/* A walk down the tree. Each directory on the way is held open, so that '..' goes back to where we
 * came from whatever is renamed meanwhile. */
struct walk {
	int dir[DEPTH_MAX + 1]; /* dir[0] is borrowed */
	unsigned depth;
	unsigned links;
	char rest[2 * HOST_FILES_NAME_MAX]; /* of the path */
};

static void leave_dir(struct walk *w)
{
	close(w->dir[w->depth--]);
}

/* A link's target takes its place in front of the rest. */
static int follow(struct walk *w, int link, const char *rest)
{
	char target[2 * HOST_FILES_NAME_MAX];
	size_t rest_len = strlen(rest);
	ssize_t len = readlinkat(link, "", target, sizeof(target));

	if (len < 0)
		return -errno;
	if (++w->links > LINKS_MAX)
		return -ELOOP;
	if (len == 0)
		return -ENOENT;
	if (target[0] == '/')
		return -EXDEV;
	if ((size_t)len + rest_len + 1 > sizeof(w->rest))
		return -ENAMETOOLONG;
	memmove(w->rest + len, rest, rest_len + 1); /* empty, or begins with '/' */
	memcpy(w->rest, target, (size_t)len);
	return 0;
}

static int enter_dir(struct walk *w, int fd)
{
	if (w->depth == DEPTH_MAX)
		return -ENAMETOOLONG;
	w->dir[++w->depth] = fd;
	return 0;
}

static int enter_dots(struct walk *w, const char *name)
{
	if (name[1] != '.')
		return 0;
	if (w->depth == 0)
		return -EXDEV;
	leave_dir(w);
	return 0;
}

/* One component. *ret_file is the file when it names one, opened for reading, else untouched. */
static int step(struct walk *w, const char *name, const char *rest, int *ret_file)
{
	int err, fd = openat(w->dir[w->depth], name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err = -errno;
	} else if (S_ISLNK(st.st_mode)) {
		err = follow(w, fd, rest);
	} else if (S_ISDIR(st.st_mode)) {
		err = enter_dir(w, fd);
		fd = err == 0 ? -1 : fd;
		memmove(w->rest, rest, strlen(rest) + 1);
	} else if (*rest != '\0') {
		err = -ENOTDIR;
	} else if (!S_ISREG(st.st_mode)) {
		err = -EACCES;
	} else {
		*ret_file = openat(w->dir[w->depth], name, READ_FLAGS | O_NOFOLLOW);
		err = *ret_file < 0 ? -errno : 0;
	}
	if (fd >= 0)
		close(fd);
	return err;
}

static int take(struct walk *w, const char *name, const char *rest, int *ret_file)
{
	int err;

	if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		return step(w, name, rest, ret_file);
	err = enter_dots(w, name);
	memmove(w->rest, rest, strlen(rest) + 1);
	return err;
}

static int walk_beneath(int dir, const char *path)
{
	struct walk w = {.dir = {dir}};
	int file = -1, err = 0;

	memcpy(w.rest, path, strlen(path) + 1);
	while (err == 0 && file < 0) {
		char name[NAME_MAX + 1];
		const char *at = w.rest + strspn(w.rest, "/");
		size_t len = strcspn(at, "/");

		if (len == 0) {
			err = -EISDIR;
		} else if (len > NAME_MAX) {
			err = -ENAMETOOLONG;
		} else {
			memcpy(name, at, len);
			name[len] = '\0';
			err = take(&w, name, at + len, &file);
		}
	}
	while (w.depth > 0)
		leave_dir(&w);
	return err < 0 ? err : file;
}

/* ---- opening ---- */

static int check_regular(int fd, struct host_file *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	*ret = (struct host_file){
	    .fd = fd, .size = (uint64_t)st.st_size, .mtime_s = st.st_mtim.tv_sec};
	return 0;
}

/* Looked at before it is opened for reading: to open a device or a pipe can do something. */
static int open_beneath(int dir, const char *path)
{
	int fd = openat2_beneath(dir, path, O_PATH), err;
	struct host_file file;

	if (fd < 0)
		return fd;
	err = check_regular(fd, &file);
	close(fd);
	return err < 0 ? err : openat2_beneath(dir, path, READ_FLAGS);
}

/* A guest's name as a path relative to the directory. 0 or a negative errno. */
static int to_path(const char *name, char path[HOST_FILES_NAME_MAX])
{
	size_t len;

	name += strspn(name, "/\\");
	len = strlen(name);
	if (len == 0)
		return -ENOENT;
	if (len >= HOST_FILES_NAME_MAX)
		return -ENAMETOOLONG;
	for (size_t i = 0; i <= len; i++)
		path[i] = name[i] == '\\' ? '/' : name[i];
	return 0;
}

int host_files_open(const struct host_files *files, const char *name, struct host_file *ret)
{
	char path[HOST_FILES_NAME_MAX];
	int err = to_path(name, path), fd;

	if (err < 0)
		return err;
	fd = files->has_openat2 ? open_beneath(files->dir, path) : walk_beneath(files->dir, path);
	if (fd < 0)
		return fd;
	err = check_regular(fd, ret);
	if (err < 0)
		close(fd);
	return err;
}

long host_files_read(int fd, uint64_t offset, void *bytes, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)bytes + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (long)done;
}

/* ---- life ---- */

int host_files_new(struct host_files **ret, const char *dir)
{
	struct host_files *files = calloc(1, sizeof(*files));
	int probe;

	if (!files)
		return -ENOMEM;
	files->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (files->dir < 0) {
		int err = -errno;

		free(files);
		return err;
	}
	probe = openat2_beneath(files->dir, ".", O_PATH | O_DIRECTORY);
	files->has_openat2 = probe >= 0;
	if (probe >= 0)
		close(probe);
	*ret = files;
	return 0;
}

void host_files_free(struct host_files *files)
{
	if (!files)
		return;
	close(files->dir);
	free(files);
}

void host_files_without_openat2(struct host_files *files)
{
	files->has_openat2 = false;
}
