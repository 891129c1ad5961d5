/* A network option's string as QEMU reads it: "user,id=net0,hostfwd=...", or JSON for -netdev.
 * Pure. */
#ifndef LWNAT_APP_RUN_WORDS_H
#define LWNAT_APP_RUN_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct run_word {
	char *name, *value; /* into run_words.text; value unescaped, "on" or "off" of a bare word */
};

struct run_words {
	struct run_word *word;
	unsigned n;
	char *text;
	bool json;
};

/* 0, -ENOMEM, or -EINVAL for JSON that is none or has a value that fits no option. A first word
 * without '=' is the type, as QEMU has it. */
int run_words_parse(struct run_words *ret, const char *string);
void run_words_free(struct run_words *words);

/* The last value given, NULL for none. */
const char *run_words_get(const struct run_words *words, const char *name);
/* "NAME=VALUE" with each comma of the value doubled. */
void run_word_print(FILE *out, const struct run_word *word);

#endif
