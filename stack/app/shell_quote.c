#include "stack/app/shell_quote.h"

#include <string.h>

/* What no shell gives a meaning to, anywhere in a word. */
static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
			    "@%+=:,./_-";

void shell_quote(FILE *out, const char *text)
{
	if (*text != '\0' && text[strspn(text, plain)] == '\0') {
		fputs(text, out);
		return;
	}
	fputc('\'', out);
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else
			fputc(*text, out);
	}
	fputc('\'', out);
}

void shell_print(FILE *out, char *const argv[])
{
	for (size_t i = 0; argv[i]; i++) {
		if (i > 0)
			fputc(' ', out);
		shell_quote(out, argv[i]);
	}
	fputc('\n', out);
}
