/* What 'lwnat run' calls its networks, so that two of them can run the same command line. */
#ifndef LWNAT_APP_RUN_NAME_H
#define LWNAT_APP_RUN_NAME_H

#include "stack/app/run_args.h"

#include <stdbool.h>

/* Held while names are chosen and taken: two that start at a time must not choose the same one.
 * The descriptor to close, or -1 where there is no directory for it. */
int run_names_lock(void);
/* Turns the name of QEMU's side into the network's: with 'given' (may be NULL) that one, with
 * "-NAME" behind it where there are several; else, when a network of this name is running,
 * NAME-2, NAME-3, ... */
void run_name_choose(char name[RUN_NAME_MAX], const char *given, bool several);

#endif
