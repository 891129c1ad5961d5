/* What smbd needs to serve one folder to guests: a private directory with its configuration and
 * databases, which goes when the network ends. No text of the user's gets into the configuration:
 * the share is a link of ours to his folder. */
#ifndef LWNAT_APP_SMB_DIR_H
#define LWNAT_APP_SMB_DIR_H

#include "stack/app/options.h"

#include <limits.h>

#define SMB_ERROR_MAX 512

struct smb_dir {
	char path[64];       /* "" when there is none */
	char conf[80];       /* the configuration */
	char smbd[PATH_MAX]; /* the program */
	int lock;            /* held while we live, so that others can tell what was left behind */
};

/* Finds smbd, looks at 'share', makes the directory. 'xdg' (may be NULL) and 'tmp' as in
 * runtime_dir.h, 'path' is $PATH (may be NULL), 'usual' where else smbd may be (NULL: where it is
 * installed). 0; or a negative errno, one line in 'error', and nothing made. */
struct smb_place {
	const char *xdg, *tmp, *path, *usual;
};
int smb_dir_make(struct smb_dir *ret, const char *share, const struct smb_place *place,
		 char error[SMB_ERROR_MAX]);
/* Once no smbd runs. */
void smb_dir_remove(struct smb_dir *dir);

#endif
