/* The command line from bytes: the first byte decides whether --netdev stands in front, NUL bytes
 * end arguments. Whatever comes, an error is one printable line and the
 * values of an accepted command line fit together. */
#include "stack/app/options.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ARGS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const struct options_error *error)
{
	size_t len = strnlen(error->text, sizeof(error->text));

	assert(len > 0 && len < sizeof(error->text));
	for (size_t i = 0; i < len; i++)
		assert(error->text[i] >= ' ' && error->text[i] <= '~');
}

static void check_options(const struct options *o)
{
	if (o->action != OPTIONS_RUN)
		return;
	assert(o->net.prefix_len >= 8 && o->net.prefix_len <= 30);
	assert(subnet_contains(&o->net, &o->host) && subnet_contains(&o->net, &o->dhcpstart));
	assert(!addr_eq(&o->host, &o->dns) && !addr_eq(&o->host, &o->dhcpstart) &&
	       !addr_eq(&o->dns, &o->dhcpstart));
	assert(o->dns_is_ours == subnet_contains(&o->net, &o->dns));
	assert(o->mtu >= 576);
	for (unsigned i = 0; i < o->hostfwd.n; i++)
		assert(o->hostfwd.rule[i].guest_port != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct options options;
	struct options_error error = {""};
	char *argv[ARGS_MAX + 1], *text = malloc(size + 1);
	int argc = 1;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	argv[0] = (char *)"lwnat";
	if (size > 0 && data[0] == 'n')
		argv[argc++] = (char *)"--netdev";
	for (size_t at = 1; at < size && argc < ARGS_MAX; at += strlen(text + at) + 1)
		argv[argc++] = text + at;
	argv[argc] = NULL;
	if (options_parse(&options, argc, argv, &error) < 0)
		check_error(&error);
	else
		check_options(&options);
	free(text);
	return 0;
}
