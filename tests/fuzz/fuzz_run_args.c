/* QEMU's command line from bytes: NUL bytes end arguments. Whatever comes, the rest of the command
 * line stays, and what lwnat is handed has only words that it may have. */
#include "stack/app/run_args.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARGS_MAX 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct run_plan *plan, char *const argv[])
{
	bool replaced[2 * ARGS_MAX] = {false};

	for (unsigned i = 0; i < plan->networks_n; i++) {
		const struct run_network *n = &plan->network[i];

		assert(n->at < plan->argc && !replaced[n->at]);
		replaced[n->at] = true;
		assert(strncmp(n->netdev, "user", 4) == 0);
		assert(n->name[0] != '\0' && strlen(n->name) < RUN_NAME_MAX);
		assert(run_plan_connect(plan, i, 3, (struct qemu_version){7, 2}) == 0);
	}
	for (unsigned i = 0; argv[i]; i++)
		assert(replaced[i] || strcmp(plan->argv[i], argv[i]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[ARGS_MAX + 1], *text = malloc(size + 1), *error = NULL;
	struct run_plan plan;
	int argc = 1, result;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	argv[0] = (char *)"qemu";
	for (size_t at = 0; at < size && argc < ARGS_MAX; at += strlen(text + at) + 1)
		argv[argc++] = text + at;
	argv[argc] = NULL;
	result = run_plan_make(&plan, argv, &error);
	if (result == 0)
		check(&plan, argv);
	else
		assert(error && *error != '\0');
	free(error);
	run_plan_free(&plan);
	free(text);
	return 0;
}
