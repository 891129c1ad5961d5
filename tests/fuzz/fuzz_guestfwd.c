/* The text of a guest-to-host forward: an accepted rule keeps its meaning when it is written and
 * read again, a refused one is told in one line with the accepted form. */
#include "hostfwd/guestfwd.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int truth)
{
	if (!truth)
		abort();
}

static void accepted(const struct guestfwd_rule *rule)
{
	char text[GUESTFWD_TEXT_MAX], again_text[GUESTFWD_TEXT_MAX], error[GUESTFWD_ERROR_MAX];
	struct guestfwd_rule again;

	expect(rule->port > 0 && rule->target[0] != '\0');
	expect(rule->kind != GUESTFWD_TCP || rule->target_port > 0);
	guestfwd_format(rule, text);
	expect(guestfwd_parse(text, &again, error) == 0);
	expect(strcmp(guestfwd_format(&again, again_text), text) == 0);
	expect(guestfwd_overlap(rule, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), error[GUESTFWD_ERROR_MAX] = "";
	struct guestfwd_rule rule;

	expect(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	if (guestfwd_parse(text, &rule, error) == 0) {
		accepted(&rule);
	} else {
		expect(strstr(error, "(accepted: ") != NULL);
		for (const char *c = error; *c; c++)
			expect((unsigned char)*c >= ' ' && *c != 0x7f);
	}
	free(text);
	return 0;
}
