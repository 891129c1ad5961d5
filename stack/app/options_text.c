#include "stack/app/options.h"
#include "stack/app/options_table.h"
#include "stack/app/text.h"

#include <string.h>

#define UNSERVED_MAX 512 /* bytes of their list */

/* "tftp, smb, ...", each behind 'dashes'. */
static void list_unserved(const char *dashes, char *text, size_t text_max)
{
	size_t n = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < option_rows_n && n < text_max; i++) {
		if (option_rows[i].name && !option_rows[i].set)
			n += (size_t)snprintf(text + n, text_max - n, "%s%s%s", n > 0 ? ", " : "",
					      dashes, option_rows[i].name);
	}
}

static void print_help_row(FILE *out, const struct option_row *row)
{
	char text[1024];

	if (row->letter)
		fprintf(out, "  -%c, --%s\n", row->letter, row->name);
	else
		fprintf(out, "  --%s%s%s\n", row->name, row->arg ? " " : "",
			row->arg ? row->arg : "");
	if (row->preset)
		snprintf(text, sizeof(text), "%s Default: %s.", row->help, row->preset);
	else
		snprintf(text, sizeof(text), "%s", row->help);
	text_wrap(out, text);
}

void options_print_help(FILE *out)
{
	char unserved[UNSERVED_MAX];

	fputs("Usage: lwnat [OPTION]...\n"
	      "       lwnat COMMAND [OPTION]... [ARG]...\n"
	      "A network for virtual machines, without root: guests attach with QEMU's\n"
	      "-netdev stream and reach the host, each other and the world.\n",
	      out);
	for (unsigned i = 0; i < option_rows_n; i++) {
		const struct option_row *row = &option_rows[i];

		if (!row->name)
			fprintf(out, "\n%s:\n", row->help);
		else if (row->set)
			print_help_row(out, row);
	}
	fputs("\nOptions are written --NAME VALUE or --NAME=VALUE; of an option given twice the\n"
	      "last counts, unless it may be repeated. QEMU's words not served yet by this\n"
	      "version:\n",
	      out);
	list_unserved("", unserved, sizeof(unserved));
	text_wrap(out, unserved);
}

static void print_man_row(FILE *out, const struct option_row *row)
{
	fputs(".TP\n\\fB", out);
	if (row->letter)
		fprintf(out, "\\-%c\\fR, \\fB", row->letter);
	fputs("\\-\\-", out);
	text_roff(out, row->name);
	fputs("\\fR", out);
	if (row->arg) {
		fputs(" \\fI", out);
		text_roff(out, row->arg);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	text_roff(out, row->help);
	fputc('\n', out);
	if (row->preset) {
		fputs("Default: ", out);
		text_roff(out, row->preset);
		fputs(".\n", out);
	}
}

void options_print_man(FILE *out)
{
	char unserved[UNSERVED_MAX];

	for (unsigned i = 0; i < option_rows_n; i++) {
		const struct option_row *row = &option_rows[i];

		if (!row->name) {
			fputs(".SS ", out);
			text_roff(out, row->help);
			fputc('\n', out);
		} else if (row->set) {
			print_man_row(out, row);
		}
	}
	fputs(".SS Words of QEMU not served yet by this version\n", out);
	list_unserved("--", unserved, sizeof(unserved));
	text_roff(out, unserved);
	fputs(".\nEach is refused by name, as an option and in\n.BR \\-\\-netdev .\n", out);
}
