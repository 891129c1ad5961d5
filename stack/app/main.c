#include "stack/app/app.h"
#include "stack/app/commands.h"
#include "stack/app/options.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int serve(int argc, char *argv[])
{
	struct options_error error;
	struct options *options = malloc(sizeof(*options));
	int status = EXIT_SUCCESS;

	if (!options) {
		fputs("lwnat: out of memory\n", stderr);
		return EXIT_FAILURE;
	}
	if (options_parse(options, argc, argv, &error) < 0) {
		fprintf(stderr, "lwnat: %s\n", error.text);
		status = EXIT_USAGE;
	} else if (options->action == OPTIONS_HELP) {
		options_print_help(stdout);
		puts("\nCommands, each with a --help of its own:");
		commands_print(stdout, NULL);
	} else if (options->action == OPTIONS_MAN) {
		options_print_man(stdout);
	} else if (options->action == OPTIONS_VERSION) {
		puts("lwnat " LWNAT_VERSION);
	} else if (app_run(options) < 0) {
		status = EXIT_FAILURE;
	}
	free(options);
	return status;
}

/* argv[0] is the command. */
static int command(int argc, char *argv[])
{
	struct options_error error;
	struct command_line line;
	int status = EXIT_SUCCESS;

	if (command_line_parse(&line, argc, argv, &error) < 0) {
		fprintf(stderr, "lwnat %s\n", error.text);
		status = EXIT_USAGE;
	} else if (!line.help) {
		status = line.command->run(&line);
	} else if (line.command) {
		command_print_help(stdout, line.command);
	} else {
		printf("Usage: lwnat %s COMMAND\n", argv[0]);
		commands_print(stdout, argv[0]);
	}
	command_line_fini(&line);
	return status;
}

int main(int argc, char *argv[])
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "--man-options") == 0) {
		commands_print_man(stdout, argv[2]); /* for the build alone, so in no table */
		return EXIT_SUCCESS;
	}
	if (argc > 1 && command_is_one(argv[1]))
		return command(argc - 1, argv + 1);
	return serve(argc, argv);
}
