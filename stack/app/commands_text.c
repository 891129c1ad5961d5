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
