/* The text of a forward: an accepted rule keeps its meaning when it is written and read again, a
 * refused one is told in one line with the accepted form. */
#include "hostfwd/hostfwd.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int truth)
{
	if (!truth)
		abort();
}

static void accepted(const struct hostfwd_rule *rule)
{
	char text[HOSTFWD_TEXT_MAX], again_text[HOSTFWD_TEXT_MAX], error[HOSTFWD_ERROR_MAX];
	struct hostfwd_rule again;
	struct hostfwd_table *table;

	expect(rule->guest_port > 0 && rule->ports_n > 0);
	expect(rule->guest_port + rule->ports_n - 1 <= 65535);
	expect(rule->host_port + rule->ports_n - 1 <= 65535);
	hostfwd_format(rule, text);
	expect(hostfwd_parse(text, &again, error) == 0);
	expect(strcmp(hostfwd_format(&again, again_text), text) == 0);

	expect(hostfwd_new(&table, 2) == 0);
	expect(hostfwd_add(table, rule, error) == 1);
	expect((hostfwd_add(table, &again, error) < 0) == (rule->host_port != 0 || rule->path[0]));
	hostfwd_free(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), error[HOSTFWD_ERROR_MAX] = "";
	struct hostfwd_rule rule;

	expect(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	if (hostfwd_parse(text, &rule, error) == 0) {
		accepted(&rule);
	} else {
		expect(memchr(error, '\0', sizeof(error)) != NULL);
		expect(strstr(error, "(accepted: ") != NULL && error[strlen(error) - 1] == ')');
		for (const char *c = error; *c; c++)
			expect((unsigned char)*c >= ' ' && *c != 0x7f);
	}
	free(text);
	return 0;
}
