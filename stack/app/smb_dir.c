#include "stack/app/smb_dir.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "lwnat-smb."
#define BASE_MAX 40 /* bytes: smbd makes sockets below it, whose paths are short (unix(7)) */

static int fail(int result, char error[SMB_ERROR_MAX], const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(int result, char error[SMB_ERROR_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, SMB_ERROR_MAX, format, args);
	va_end(args);
	return result;
}

/* ---- what is there ---- */

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* The folders of $PATH, then those that an ordinary user's PATH lacks. */
static int find_smbd(char out[PATH_MAX], const struct smb_place *place, char error[SMB_ERROR_MAX])
{
	static const char usual[] =
	    "/usr/sbin:/usr/local/sbin:/sbin:/usr/local/samba/sbin:/usr/bin";
	const char *lists[] = {place->path ? place->path : "", place->usual ? place->usual : usual};

	for (size_t i = 0; i < 2; i++) {
		for (const char *at = lists[i]; *at;) {
			size_t len = strcspn(at, ":");

			if (len > 0 && *at == '/' && len + sizeof("/smbd") < PATH_MAX) {
				snprintf(out, PATH_MAX, "%.*s/smbd", (int)len, at);
				if (is_program(out))
					return 0;
			}
			at += len + (at[len] == ':');
		}
	}
	return fail(-ENOENT, error,
		    "--smb: needs smbd, which is not here (it is in the package samba)");
}

static int find_share(char out[PATH_MAX], const char *share, char error[SMB_ERROR_MAX])
{
	struct stat st;
	int err;

	if (!realpath(share, out) || stat(out, &st) < 0) {
		err = -errno;
		return fail(err, error, "--smb: '%s': %s (accepted: a folder)", share,
			    strerror(-err));
	}
	if (!S_ISDIR(st.st_mode))
		return fail(-ENOTDIR, error, "--smb: '%s': is no folder", share);
	if (access(out, R_OK | X_OK) < 0) {
		err = -errno;
		return fail(err, error, "--smb: '%s': %s (accepted: a folder that you may read)",
			    share, strerror(-err));
	}
	return 0;
}

/* smbd acts as the user that lwnat is; what smb.conf gives a meaning to is not in the names of
 * users. */
static int find_user(char out[64], char error[SMB_ERROR_MAX])
{
	const struct passwd *user = getpwuid(geteuid());
	const char *name = user ? user->pw_name : "";

	if (name[0] == '\0')
		return fail(-ENOENT, error, "--smb: smbd needs a user name, and user %lu has none",
			    (unsigned long)geteuid());
	for (const char *c = name; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("._-$@", *c))
			return fail(-EINVAL, error,
				    "--smb: smbd cannot be told of the user name '%s'", name);
	}
	if (strlen(name) >= 64 || !isalnum((unsigned char)*name))
		return fail(-EINVAL, error, "--smb: smbd cannot be told of the user name '%s'",
			    name);
	memcpy(out, name, strlen(name) + 1);
	return 0;
}

/* ---- the directory ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	(void)remove(path);
	return 0;
}

static void remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* What an lwnat left that was killed: ours, and its lock is free. */
static void remove_stale(const char *base)
{
	DIR *dir = opendir(base);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char path[PATH_MAX], lock[PATH_MAX + 8];
		struct stat st;
		int fd;

		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", base, entry->d_name);
		snprintf(lock, sizeof(lock), "%s/lock", path);
		if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
			continue;
		fd = open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			remove_tree(path);
		close(fd);
	}
	if (dir)
		closedir(dir);
}

/* Plain characters only: the path stands in smb.conf. */
static bool is_usable_base(const char *base)
{
	struct stat st;

	if (!base || base[0] != '/' || strlen(base) > BASE_MAX)
		return false;
	for (const char *c = base; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("/._-", *c))
			return false;
	}
	return stat(base, &st) == 0 && S_ISDIR(st.st_mode) && access(base, W_OK | X_OK) == 0;
}

/* The lock is there under its name only when it is held. */
static int make_lock(struct smb_dir *dir)
{
	char fresh[sizeof(dir->path) + 16], path[sizeof(dir->path) + 16];
	int fd;

	snprintf(fresh, sizeof(fresh), "%s/lock.new", dir->path);
	snprintf(path, sizeof(path), "%s/lock", dir->path);
	fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || rename(fresh, path) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	dir->lock = fd;
	return 0;
}

/* QEMU's (net/slirp.c), less what a link of ours makes unnecessary to quote. The log is small, and
 * for one who looks while it runs. */
static void write_conf(FILE *out, const char *dir, const char *user)
{
	static const char *const places[] = {"private dir", "pid directory", "lock directory",
					     "state directory", "cache directory"};

	fputs("[global]\nserver role = standalone server\nsecurity = user\n"
	      "map to guest = Bad User\ninterfaces = 127.0.0.1\nbind interfaces only = yes\n"
	      "load printers = no\nprinting = bsd\nprintcap name = /dev/null\n"
	      "disable spoolss = yes\nusershare max shares = 0\ndns proxy = no\n"
	      "log level = 0\nmax log size = 1000\nenable core files = no\n",
	      out);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		fprintf(out, "%s = %s\n", places[i], dir);
	fprintf(out, "ncalrpc dir = %s/ncalrpc\nlog file = %s/log.smbd\n", dir, dir);
	fprintf(out, "smb passwd file = %s/smbpasswd\n", dir);
	/* Files of the guest account are another's to smbd's access checks than those of the user
	 * that it acts as: it must be one who has none. The default is nobody. */
	if (strcmp(user, "nobody") == 0)
		fputs("guest account = daemon\n", out);
	fprintf(out,
		"[qemu]\npath = %s/share\nread only = no\nguest ok = yes\nforce user = %s\n"
		"wide links = no\nmap archive = no\n",
		dir, user);
}

static int fill(struct smb_dir *dir, const char *share, const char *user)
{
	char link[sizeof(dir->path) + 16];
	bool written;
	FILE *out;
	int fd;

	snprintf(dir->conf, sizeof(dir->conf), "%s/smb.conf", dir->path);
	snprintf(link, sizeof(link), "%s/share", dir->path);
	if (symlink(share, link) < 0)
		return -errno;
	fd = open(dir->conf, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out) {
		int err = -errno;

		if (fd >= 0)
			close(fd);
		return err;
	}
	write_conf(out, dir->path, user);
	written = !ferror(out);
	return fclose(out) != 0 || !written ? -EIO : make_lock(dir);
}

int smb_dir_make(struct smb_dir *ret, const char *share, const struct smb_place *place,
		 char error[SMB_ERROR_MAX])
{
	const char *base = is_usable_base(place->xdg) ? place->xdg : place->tmp;
	struct smb_dir dir = {.lock = -1};
	char folder[PATH_MAX], user[64];
	int result = find_smbd(dir.smbd, place, error);

	if (result == 0)
		result = find_share(folder, share, error);
	if (result == 0)
		result = find_user(user, error);
	if (result < 0)
		return result;
	remove_stale(base);
	snprintf(dir.path, sizeof(dir.path), "%.40s/" PREFIX "XXXXXX", base);
	if (!mkdtemp(dir.path)) {
		result = -errno;
		return fail(result, error, "--smb: cannot make a directory in %s: %s", base,
			    strerror(-result));
	}
	result = fill(&dir, folder, user);
	if (result < 0) {
		smb_dir_remove(&dir);
		return fail(result, error, "--smb: cannot write to %s: %s", base,
			    strerror(-result));
	}
	*ret = dir;
	return 0;
}

void smb_dir_remove(struct smb_dir *dir)
{
	if (dir->path[0] == '\0')
		return;
	remove_tree(dir->path);
	if (dir->lock >= 0)
		close(dir->lock);
	dir->path[0] = '\0';
	dir->lock = -1;
}
