/* Prose for a terminal. */
#ifndef LWNAT_APP_TEXT_H
#define LWNAT_APP_TEXT_H

#include <stdio.h>

/* Words of 'text' in lines of at most 79 columns behind an indent of six. */
void text_wrap(FILE *out, const char *text);

#endif
