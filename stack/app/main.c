#include "stack/app/app.h"
#include "stack/app/options.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define EXIT_USAGE 2

int main(int argc, char *argv[])
{
	struct options_error error;
	struct options *options = malloc(sizeof(*options));
	int status = EXIT_SUCCESS;

	if (!options) {
		fputs("lwnat: out of memory\n", stderr);
		return EXIT_FAILURE;
	}
	signal(SIGPIPE, SIG_IGN);
	if (options_parse(options, argc, argv, &error) < 0) {
		fprintf(stderr, "lwnat: %s\n", error.text);
		status = EXIT_USAGE;
	} else if (options->action == OPTIONS_HELP) {
		options_print_help(stdout);
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
