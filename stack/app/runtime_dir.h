/* Where a network's sockets live: $XDG_RUNTIME_DIR/lwnat, else /tmp/lwnat-UID; ours alone. */
#ifndef LWNAT_APP_RUNTIME_DIR_H
#define LWNAT_APP_RUNTIME_DIR_H

#include <stddef.h>

#define RUNTIME_ERROR_MAX 256

/* Makes the directory if need be and writes "DIR/NAME.SUFFIX" to 'path'. 'xdg' and 'tmp' are
 * $XDG_RUNTIME_DIR (may be NULL) and "/tmp". 0, or a negative errno and one line in 'error'. */
struct runtime_place {
	const char *xdg, *tmp;
};
int runtime_socket_path(const struct runtime_place *place, const char *file, char *path,
			size_t path_max, char error[RUNTIME_ERROR_MAX]);
/* The directory's name, without making it. 0, -ENOENT where there is none, or another negative
 * errno, and one line in 'error'. */
int runtime_dir_find(const struct runtime_place *place, char *dir, size_t dir_max,
		     char error[RUNTIME_ERROR_MAX]);

#endif
