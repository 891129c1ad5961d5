/* What shells complete on lwnat's command line, made from the tables of options and commands. */
#ifndef LWNAT_APP_COMPLETION_H
#define LWNAT_APP_COMPLETION_H

#include <stdio.h>

/* A script for "bash", "zsh" or "fish"; -EINVAL for another shell. */
int completion_print(FILE *out, const char *shell);

#endif
