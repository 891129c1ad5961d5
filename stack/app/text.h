/* Prose for a terminal and for a man page. */
#ifndef LWNAT_APP_TEXT_H
#define LWNAT_APP_TEXT_H

#include <stdio.h>

/* Words of 'text' in lines of at most 79 columns behind an indent of six. */
void text_wrap(FILE *out, const char *text);
/* Escaped for roff, which reads '\', a leading '.' and more as its own, and '-' as a hyphen. */
void text_roff(FILE *out, const char *text);
/* An option's entry in a man page. 'letter' 0, 'arg' NULL: it has none. */
void text_roff_option(FILE *out, char letter, const char *name, const char *arg, const char *help);

#endif
