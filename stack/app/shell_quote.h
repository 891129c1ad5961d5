/* Words as a shell reads them back. Pure. */
#ifndef LWNAT_APP_SHELL_QUOTE_H
#define LWNAT_APP_SHELL_QUOTE_H

#include <stdio.h>

/* 'text' as one word of a POSIX shell, bare where it needs no quotes. */
void shell_quote(FILE *out, const char *text);
/* A command line with a newline; 'argv' ends with NULL. */
void shell_print(FILE *out, char *const argv[]);

#endif
