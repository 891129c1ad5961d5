/* The setters of --dns-name and --dns-route. */
#include "stack/app/options_table.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* The DNS name in front of '=', in lower case and without a dot at its end, and what stands behind
 * it. */
static int split_name(struct setting *s, char ret[254], const char **ret_rest)
{
	const char *equals = strchr(s->value, '=');
	size_t len = equals ? (size_t)(equals - s->value) : 0;
	struct setting name = {.row = s->row, .options = s->options};

	if (!equals)
		return setting_fail(s, "has no '='");
	if (len > 0 && s->value[len - 1] == '.')
		len--;
	if (len == 0 || len > 253)
		return setting_fail(s, "has no name of 1-253 bytes in front of the '='");
	for (size_t i = 0; i < len; i++)
		ret[i] = (char)tolower((unsigned char)s->value[i]);
	ret[len] = '\0';
	name.value = ret;
	if (options_check_dns_name(&name) < 0)
		return setting_fail(s, "the name %s", name.reason);
	*ret_rest = equals + 1;
	return 0;
}

int options_set_dns_name(struct setting *s)
{
	struct options_dns_names *names = &s->options->dns_names;
	struct options_dns_name name = {.name = ""};
	const char *addr = NULL;

	if (split_name(s, name.name, &addr) < 0)
		return -EINVAL;
	if (addr_parse(addr, &name.addr) < 0 || addr_is_unspecified(&name.addr) ||
	    addr_is_multicast(&name.addr))
		return setting_fail(s, "has no host's address behind the '='");
	if (strcmp(name.name, "host") == 0 || strcmp(name.name, "gateway") == 0 ||
	    strcmp(name.name, "localhost") == 0)
		return setting_fail(s, "the name has a meaning of its own already");
	for (unsigned i = 0; i < names->n; i++) {
		if (strcmp(names->name[i].name, name.name) == 0 &&
		    addr_eq(&names->name[i].addr, &name.addr))
			return setting_fail(s, "is given twice");
	}
	if (names->n == OPTIONS_DNS_NAMES_MAX)
		return setting_fail(s, "at most %d of them", OPTIONS_DNS_NAMES_MAX);
	names->name[names->n++] = name;
	return 0;
}

int options_set_dns_route(struct setting *s)
{
	struct options_dns_routes *routes = &s->options->dns_routes;
	struct options_dns_route route = {.domain = ""};
	const char *server = NULL;

	if (split_name(s, route.domain, &server) < 0)
		return -EINVAL;
	if (options_parse_endpoint(server, &route.server) < 0 || route.server.port == 0)
		return setting_fail(s, "has no server's address behind the '='");
	if (addr_is_unspecified(&route.server.addr) || addr_is_multicast(&route.server.addr) ||
	    addr_is_broadcast(&route.server.addr))
		return setting_fail(s, "is no server's address");
	for (unsigned i = 0; i < routes->n; i++) {
		if (strcmp(routes->route[i].domain, route.domain) == 0 &&
		    endpoint_eq(&routes->route[i].server, &route.server))
			return setting_fail(s, "is given twice");
	}
	if (routes->n == OPTIONS_DNS_ROUTES_MAX)
		return setting_fail(s, "at most %d of them", OPTIONS_DNS_ROUTES_MAX);
	routes->route[routes->n++] = route;
	return 0;
}
