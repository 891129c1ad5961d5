/* Files beneath one directory, for guests to read. The directory is opened once; a name never leads
 * out of it, whatever it holds, and nothing but regular files is ever opened. */
#ifndef LWNAT_HOST_HOST_FILES_H
#define LWNAT_HOST_HOST_FILES_H

#include <stddef.h>
#include <stdint.h>

#define HOST_FILES_NAME_MAX 1024 /* bytes of a name, with NUL */

struct host_files;

/* 0, -ENOMEM, or the errno of opening the directory. */
int host_files_new(struct host_files **ret, const char *dir);
void host_files_free(struct host_files *files); /* NULL is fine */

struct host_file {
	int fd; /* the caller's to close */
	uint64_t size;
	int64_t mtime_s;
};

/* 'name' is a guest's: a leading '/' means the directory, '\' is read as '/'. 0 or a negative
 * errno: -ENOENT, -ENAMETOOLONG, -EXDEV for what leads out, -EISDIR, -EACCES for other things than
 * regular files or what we must not read, and so on. */
int host_files_open(const struct host_files *files, const char *name, struct host_file *ret);
/* As many bytes as there are from 'offset' on, or a negative errno. */
long host_files_read(int fd, uint64_t offset, void *bytes, size_t len);

/* For tests: resolves by hand, as on kernels and in containers without openat2(). */
void host_files_without_openat2(struct host_files *files);

#endif
