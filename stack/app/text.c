#include "stack/app/text.h"

#include <string.h>

#define WIDTH 79
#define INDENT 6

void text_wrap(FILE *out, const char *text)
{
	unsigned column = 0;

	while (*text != '\0') {
		unsigned len = (unsigned)strcspn(text, " ");

		if (column == 0 || column + 1 + len > WIDTH) {
			fprintf(out, "%s%*s", column ? "\n" : "", INDENT, "");
			column = INDENT;
		} else {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", (int)len, text);
		column += len;
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

void text_roff(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else if (*text == '\'')
			fputs("\\(aq", out);
		else if (*text == '"')
			fputs("\\(dq", out);
		else
			fputc(*text, out);
	}
}

void text_roff_option(FILE *out, char letter, const char *name, const char *arg, const char *help)
{
	fputs(".TP\n\\fB", out);
	if (letter)
		fprintf(out, "\\-%c\\fR, \\fB", letter);
	fputs("\\-\\-", out);
	text_roff(out, name);
	fputs("\\fR", out);
	if (arg) {
		fputs(" \\fI", out);
		text_roff(out, arg);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	text_roff(out, help);
	fputc('\n', out);
}
