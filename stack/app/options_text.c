#include "stack/app/options.h"
#include "stack/app/options_table.h"
#include "stack/app/text.h"

#include <string.h>

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
	fputs("Usage: lwnat [OPTION]...\n"
	      "       lwnat COMMAND [OPTION]... [ARG]...\n"
	      "A network for virtual machines, without root: guests attach with QEMU's\n"
	      "-netdev stream and reach the host, each other and the world.\n",
	      out);
	for (unsigned i = 0; i < option_rows_n; i++) {
		const struct option_row *row = &option_rows[i];

		if (!row->name)
			fprintf(out, "\n%s:\n", row->help);
		else
			print_help_row(out, row);
	}
	fputs("\nOptions are written --NAME VALUE or --NAME=VALUE; of an option given twice the\n"
	      "last counts, unless it may be repeated.\n",
	      out);
}

static void print_man_row(FILE *out, const struct option_row *row)
{
	text_roff_option(out, row->letter, row->name, row->arg, row->help);
	if (row->preset) {
		fputs("Default: ", out);
		text_roff(out, row->preset);
		fputs(".\n", out);
	}
}

void options_print_man(FILE *out)
{
	for (unsigned i = 0; i < option_rows_n; i++) {
		const struct option_row *row = &option_rows[i];

		if (!row->name) {
			fputs(".SS ", out);
			text_roff(out, row->help);
			fputc('\n', out);
		} else {
			print_man_row(out, row);
		}
	}
}
