#include "stack/app/runtime_dir.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Another user may have made the name in /tmp first: a directory of his, or a link to one of ours.
 */
static int check_dir(const char *dir, char error[RUNTIME_ERROR_MAX])
{
	const char *reason;
	struct stat st;

	if (lstat(dir, &st) < 0) {
		int err = -errno;

		snprintf(error, RUNTIME_ERROR_MAX, "cannot look at %.150s: %s", dir,
			 strerror(-err));
		return err;
	}
	if (!S_ISDIR(st.st_mode))
		reason = "is no directory";
	else if (st.st_uid != geteuid())
		reason = "belongs to somebody else";
	else if (st.st_mode & (S_IRWXG | S_IRWXO))
		reason = "is open to others (chmod 700 mends it)";
	else
		return 0;
	snprintf(error, RUNTIME_ERROR_MAX, "%.150s %s; or give --socket PATH", dir, reason);
	return -EPERM;
}

static int make_dir(const char *dir, char error[RUNTIME_ERROR_MAX])
{
	if (mkdir(dir, S_IRWXU) < 0 && errno != EEXIST) {
		int err = -errno;

		snprintf(error, RUNTIME_ERROR_MAX, "cannot make %.150s: %s; or give --socket PATH",
			 dir, strerror(-err));
		return err;
	}
	return check_dir(dir, error);
}

/* After su or in a cron job the variable may name somebody else's directory, or none. */
static bool xdg_is_usable(const char *xdg)
{
	struct stat st;

	return xdg && xdg[0] == '/' && stat(xdg, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid() && access(xdg, W_OK | X_OK) == 0;
}

static int dir_name(const struct runtime_place *place, char *dir, size_t dir_max)
{
	int n;

	if (xdg_is_usable(place->xdg))
		n = snprintf(dir, dir_max, "%s/lwnat", place->xdg);
	else
		n = snprintf(dir, dir_max, "%s/lwnat-%lu", place->tmp, (unsigned long)geteuid());
	return n < 0 || (size_t)n >= dir_max ? -ENAMETOOLONG : n;
}

int runtime_dir_find(const struct runtime_place *place, char *dir, size_t dir_max,
		     char error[RUNTIME_ERROR_MAX])
{
	int result = dir_name(place, dir, dir_max);

	if (result < 0) {
		snprintf(error, RUNTIME_ERROR_MAX, "the runtime directory's name is too long");
		return result;
	}
	return check_dir(dir, error);
}

int runtime_socket_path(const struct runtime_place *place, const char *file, char *path,
			size_t path_max, char error[RUNTIME_ERROR_MAX])
{
	char dir[PATH_MAX];
	int n = dir_name(place, dir, sizeof(dir)), result;

	if (n < 0 || (size_t)n + 1 + strlen(file) >= path_max) {
		snprintf(error, RUNTIME_ERROR_MAX,
			 "the runtime directory's name is too long for a socket; give --socket "
			 "PATH of at most %zu bytes",
			 path_max - 1);
		return -ENAMETOOLONG;
	}
	result = make_dir(dir, error);
	if (result == 0)
		snprintf(path, path_max, "%s/%s", dir, file);
	return result;
}
