#include "stack/app/commands.h"

#include "stack/app/text.h"

#include <string.h>

static void print_option(FILE *out, const struct command_option *o)
{
	if (o->letter)
		fprintf(out, "  -%c, --%s", o->letter, o->name);
	else
		fprintf(out, "  --%s", o->name);
	fprintf(out, "%s%s\n", o->arg ? " " : "", o->arg ? o->arg : "");
	text_wrap(out, o->help);
}

void commands_print(FILE *out, const char *first)
{
	size_t len = first ? strlen(first) : 0;

	for (unsigned i = 0; i < commands_n; i++) {
		const struct command *c = &commands[i];

		if (first && (strncmp(c->name, first, len) != 0 || c->name[len] != ' '))
			continue;
		fprintf(out, "  %s%s%s\n", c->name, *c->args ? " " : "", c->args);
		text_wrap(out, c->summary);
	}
}

void command_print_help(FILE *out, const struct command *c)
{
	fprintf(out, "Usage: lwnat %s [OPTION]... %s\n", c->name, c->args);
	text_wrap(out, c->summary);
	if (*c->text != '\0')
		text_wrap(out, c->text);
	fputs("\nOptions:\n", out);
	for (unsigned i = 0; i < command_options_n; i++) {
		if (command_has_option(c, &command_options[i]))
			print_option(out, &command_options[i]);
	}
}

/* ---- the man page ---- */

/* The options of this command that are not of all commands beginning with 'first' as well. */
static void man_own_options(FILE *out, const struct command *c, const char *first)
{
	const struct command all = {.name = first};
	bool any = false;

	for (unsigned i = 0; i < command_options_n; i++) {
		if (!command_has_option(c, &command_options[i]) ||
		    command_has_option(&all, &command_options[i]))
			continue;
		fputs(any ? "" : ".RS\n", out);
		text_roff_option(out, command_options[i].letter, command_options[i].name,
				 command_options[i].arg, command_options[i].help);
		any = true;
	}
	fputs(any ? ".RE\n" : "", out);
}

static void man_command(FILE *out, const struct command *c, const char *first)
{
	fputs(".TP\n\\fB", out);
	text_roff(out, c->name + strlen(first) + 1);
	fputs("\\fR", out);
	if (*c->args != '\0') {
		fputs(" \\fI", out);
		text_roff(out, c->args);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	text_roff(out, c->summary);
	fputc('\n', out);
	if (*c->text != '\0') {
		text_roff(out, c->text);
		fputc('\n', out);
	}
	man_own_options(out, c, first);
}

void commands_print_man(FILE *out, const char *first)
{
	const struct command all = {.name = first};
	size_t len = strlen(first);
	bool any = false;

	for (unsigned i = 0; i < commands_n; i++) {
		const struct command *c = &commands[i];

		if (strcmp(c->name, first) == 0) {
			fputs(".SH DESCRIPTION\n", out);
			text_roff(out, c->summary);
			fputc('\n', out);
			text_roff(out, c->text);
			fputc('\n', out);
		} else if (strncmp(c->name, first, len) == 0 && c->name[len] == ' ') {
			fputs(any ? "" : ".SH COMMANDS\n", out);
			man_command(out, c, first);
			any = true;
		}
	}
	fputs(".SH OPTIONS\n", out);
	for (unsigned i = 0; i < command_options_n; i++) {
		if (command_has_option(&all, &command_options[i]))
			text_roff_option(out, command_options[i].letter, command_options[i].name,
					 command_options[i].arg, command_options[i].help);
	}
}
