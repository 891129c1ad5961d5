#include "stack/app/forwards_priv.h"
#include "stack/app/port_holder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What stands in the sysctl, or 1024 when it cannot be read. */
static long unprivileged_port_start(void)
{
	FILE *in = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
	char line[16];
	long port = 1024;

	if (in && fgets(line, sizeof(line), in))
		port = strtol(line, NULL, 10);
	if (in)
		fclose(in);
	return port;
}

static const char *explain_unix(int err)
{
	switch (err) {
	case -EADDRINUSE:
		return "somebody listens there";
	case -EEXIST:
		return "is there already and no socket (accepted: a path that is free)";
	default:
		return strerror(-err);
	}
}

/* "tcp 127.0.0.1:2222 is taken by pid 12 (nc)" and the like. */
static void explain_taken(bool udp, const struct endpoint *at, const char *text,
			  char error[FORWARDS_ERROR_MAX])
{
	const char *proto = udp ? "udp" : "tcp";
	struct port_holder holder;

	if (port_holder_find(udp, at, &holder))
		snprintf(error, FORWARDS_ERROR_MAX, "%s %s is taken by pid %ld (%s)", proto, text,
			 holder.pid, holder.name);
	else
		snprintf(error, FORWARDS_ERROR_MAX, "%s %s is taken by another process", proto,
			 text);
}

int forward_explain(int err, const struct hostfwd_rule *rule, const struct endpoint *at,
		    char error[FORWARDS_ERROR_MAX])
{
	const char *proto = rule->proto == HOSTFWD_UDP ? "udp" : "tcp";
	char text[ENDPOINT_TEXT_MAX];
	long start = unprivileged_port_start();

	endpoint_format(at, text);
	if (rule->path[0])
		snprintf(error, FORWARDS_ERROR_MAX, "unix %s: %s", rule->path, explain_unix(err));
	else if (err == -EADDRINUSE)
		explain_taken(rule->proto == HOSTFWD_UDP, at, text, error);
	else if (err == -EADDRNOTAVAIL)
		snprintf(error, FORWARDS_ERROR_MAX,
			 "%s %s: this host has no such address (accepted: one of its own, 0.0.0.0, "
			 "or none for localhost)",
			 proto, text);
	else if ((err == -EACCES || err == -EPERM) && at->port < start)
		snprintf(error, FORWARDS_ERROR_MAX,
			 "%s %s: ports below %ld are root's; take a higher one, or set sysctl "
			 "net.ipv4.ip_unprivileged_port_start=%u",
			 proto, text, start, at->port);
	else if (err == -EMFILE || err == -ENFILE)
		snprintf(error, FORWARDS_ERROR_MAX,
			 "%s %s: no descriptor is left for it (ulimit -n)", proto, text);
	else
		snprintf(error, FORWARDS_ERROR_MAX, "%s %s: %s", proto, text, strerror(-err));
	return err;
}
