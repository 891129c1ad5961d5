/* The commands: 'lwnat run', 'lwnat ctl status', ... The table of all of them is commands.def. */
#ifndef LWNAT_APP_COMMANDS_H
#define LWNAT_APP_COMMANDS_H

#include "stack/app/options.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define COMMAND_REST UINT_MAX
#define COMMAND_MANY (UINT_MAX - 1)
#define EXIT_USAGE 2

struct command_line;

struct command {
	const char *name;
	const char *args;
	unsigned args_min, args_max;
	int (*run)(const struct command_line *line);
	const char *summary, *text;
};

struct command_option {
	const char *commands;
	const char *name;
	char letter;
	const char *arg; /* NULL: takes none */
	const char *help;
	/* NULL, or what must be given instead. */
	const char *(*set)(void *field, const char *value);
	size_t offset; /* of the member of struct command_line */
};

extern const struct command commands[];
extern const unsigned commands_n;
extern const struct command_option command_options[];
extern const unsigned command_options_n;

struct command_line {
	const struct command *command;
	bool help, print, json, once, cut, follow, check_host_key;
	const char *name, *control; /* of the network; NULL: not given */
	const char *sort, *level;   /* as given; NULL: not */
	unsigned timeout_ms, interval_ms, number, snaplen, files; /* 0: not given */
	uint64_t file_bytes;

	/* Not of COMMAND_REST: the words, without options. Of COMMAND_REST: the first word and all
	 * that follows it, ending with NULL. */
	char *const *args;
	unsigned args_n;
	char **words; /* all that are no options */

	/* Of 'run': the options of a network among its own. options[0] is "lwnat"; ends with NULL.
	 */
	char **options;
	int options_n;
};

/* argv[0] is the first word of a command's name: "run", "ctl". */
bool command_is_one(const char *word);
/* 0, or -EINVAL with *ret_error filled. Points into argv; command_line_fini() in any case. */
int command_line_parse(struct command_line *ret, int argc, char *argv[],
		       struct options_error *ret_error);
void command_line_fini(struct command_line *line);

bool command_has_option(const struct command *command, const struct command_option *option);
void command_print_help(FILE *out, const struct command *command);
/* The commands with their summaries, of which 'first' is the first word; NULL: all. */
void commands_print(FILE *out, const char *first);
/* DESCRIPTION or COMMANDS, and OPTIONS, of the man page of the command 'first'. */
void commands_print_man(FILE *out, const char *first);

#endif
