#include "stack/app/forwards.h"

#include "stack/app/port_holder.h"
#include "stack/host/host_listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct forward {
	struct host_listener *listener;
	struct forwards *forwards;
	enum hostfwd_proto proto;
	struct endpoint guest;
};

struct forwards {
	struct host *host;
	struct nat *nat;
	unsigned n, max;
	struct forward forward[]; /* 'n' of 'max' are open */
};

static void on_accepted(void *ctx, int handle, const struct endpoint *peer)
{
	struct forward *f = ctx;

	nat_set_time(f->forwards->nat, host_now_ms(f->forwards->host));
	nat_tcp_inbound(f->forwards->nat, handle, peer, &f->guest);
}

static void on_datagram(void *ctx, int handle, const struct endpoint *peer, struct iovec payload)
{
	struct forward *f = ctx;

	nat_set_time(f->forwards->nat, host_now_ms(f->forwards->host));
	nat_udp_inbound(f->forwards->nat, handle, peer, &f->guest, payload);
}

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

static void explain(int err, bool udp, const struct endpoint *at, char error[FORWARDS_ERROR_MAX])
{
	const char *proto = udp ? "udp" : "tcp";
	char text[ENDPOINT_TEXT_MAX];
	struct port_holder holder;
	long start;

	endpoint_format(at, text);
	if (err == -EADDRINUSE && port_holder_find(udp, at, &holder)) {
		snprintf(error, FORWARDS_ERROR_MAX, "--hostfwd: %s %s is taken by pid %ld (%s)",
			 proto, text, holder.pid, holder.name);
		return;
	}
	start = unprivileged_port_start();
	if (err == -EADDRINUSE)
		snprintf(error, FORWARDS_ERROR_MAX, "--hostfwd: %s %s is taken by another process",
			 proto, text);
	else if (err == -EADDRNOTAVAIL)
		snprintf(error, FORWARDS_ERROR_MAX,
			 "--hostfwd: %s %s: this host has no such address (accepted: one of its "
			 "own, 0.0.0.0, or none for localhost)",
			 proto, text);
	else if ((err == -EACCES || err == -EPERM) && at->port < start)
		snprintf(error, FORWARDS_ERROR_MAX,
			 "--hostfwd: %s %s: ports below %ld are root's; take a higher one, or set "
			 "sysctl net.ipv4.ip_unprivileged_port_start=%u",
			 proto, text, start, at->port);
	else
		snprintf(error, FORWARDS_ERROR_MAX, "--hostfwd: %s %s: %s", proto, text,
			 strerror(-err));
}

static int open_one(struct forwards *fs, const struct hostfwd_rule *rule, unsigned offset,
		    const struct addr *addr)
{
	struct forward *f = &fs->forward[fs->n];
	struct endpoint at = {*addr, (uint16_t)(rule->host_port + offset)};
	struct host_listen_events events = {
	    .accepted = on_accepted, .datagram = on_datagram, .ctx = f};
	int result;

	f->forwards = fs;
	f->proto = rule->proto;
	f->guest = (struct endpoint){rule->guest_addr, (uint16_t)(rule->guest_port + offset)};
	if (rule->proto == HOSTFWD_UDP)
		result = host_listen_udp(&f->listener, fs->host, &at, &events);
	else
		result = host_listen_tcp(&f->listener, fs->host, &at, &events);
	if (result == 0)
		fs->n++;
	return result;
}

static int open_rule(struct forwards *fs, const struct hostfwd_rule *rule,
		     char error[FORWARDS_ERROR_MAX])
{
	struct addr loopback6 = {{[15] = 1}};
	struct addr first = rule->host_addr_given ? rule->host_addr : addr_v4(0x7f000001);
	bool udp = rule->proto == HOSTFWD_UDP;

	for (unsigned i = 0; i < rule->ports_n; i++) {
		struct endpoint at = {first, (uint16_t)(rule->host_port + i)};
		int result = open_one(fs, rule, i, &first);

		if (result == 0 && !rule->host_addr_given) {
			at.addr = loopback6;
			result = open_one(fs, rule, i, &loopback6);
			/* A host without IPv6 is served on 127.0.0.1 alone. */
			if (result == -EADDRNOTAVAIL || result == -EAFNOSUPPORT)
				result = 0;
		}
		if (result < 0) {
			explain(result, udp, &at, error);
			return result;
		}
	}
	return 0;
}

int forwards_open(struct forwards **ret, const struct options_forwards *rules, struct host *host,
		  struct nat *nat, char error[FORWARDS_ERROR_MAX])
{
	struct forwards *fs;
	unsigned max = 0;

	for (unsigned i = 0; i < rules->n; i++)
		max += rules->rule[i].ports_n * (rules->rule[i].host_addr_given ? 1u : 2u);
	fs = calloc(1, sizeof(*fs) + max * sizeof(fs->forward[0]));
	if (!fs) {
		snprintf(error, FORWARDS_ERROR_MAX, "--hostfwd: out of memory");
		return -ENOMEM;
	}
	fs->host = host;
	fs->nat = nat;
	fs->max = max;
	for (unsigned i = 0; i < rules->n; i++) {
		int result = open_rule(fs, &rules->rule[i], error);

		if (result < 0) {
			forwards_close(fs);
			return result;
		}
	}
	*ret = fs;
	return 0;
}

void forwards_close(struct forwards *forwards)
{
	if (!forwards)
		return;
	for (unsigned i = 0; i < forwards->n; i++) {
		struct forward *f = &forwards->forward[i];

		if (f->proto == HOSTFWD_UDP)
			nat_udp_inbound_closed(forwards->nat, host_listener_handle(f->listener));
		host_listener_close(f->listener);
	}
	free(forwards);
}
