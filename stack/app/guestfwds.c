#include "stack/app/guestfwds.h"

#include "stack/app/programs.h"
#include "stack/app/smb_dir.h"
#include "stack/host/sockaddr.h"
#include "stack/nat/nat.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE_FIRST 1000 /* our numbers for nat_tcp_service_add_at(): a row each */
#define SMB_ROWS 2
#define ROWS_MAX (OPTIONS_GUESTFWDS_MAX + SMB_ROWS)

static const uint16_t smb_ports[SMB_ROWS] = {445, 139};

struct row {
	struct endpoint at;
	const struct guestfwd_rule *rule; /* NULL: smb */
	struct endpoint tcp[HOST_TARGET_ADDRS_MAX];
	unsigned tcp_n;
};

struct guestfwds {
	struct programs *programs;
	struct smb_dir smb;
	struct row row[ROWS_MAX];
	unsigned rows_n;
};

/* ---- opening ---- */

/* Names are looked up once: a connection is made without waiting for a resolver. */
static int resolve(struct row *row, char error[GUESTFWDS_ERROR_MAX])
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	const struct guestfwd_rule *rule = row->rule;
	struct addrinfo *found = NULL;
	struct endpoint numeric = {.port = rule->target_port};
	int result;

	if (addr_parse(rule->target, &numeric.addr) == 0) {
		row->tcp[row->tcp_n++] = numeric;
		return 0;
	}
	result = getaddrinfo(rule->target, NULL, &hints, &found);
	for (const struct addrinfo *i = found; i && row->tcp_n < HOST_TARGET_ADDRS_MAX;
	     i = i->ai_next) {
		struct endpoint *to = &row->tcp[row->tcp_n];

		struct sockaddr_storage name = {0};

		memcpy(&name, i->ai_addr, i->ai_addrlen);
		if (!host_sockaddr_to(&name, i->ai_addrlen, to))
			continue;
		to->port = rule->target_port;
		row->tcp_n++;
	}
	if (found)
		freeaddrinfo(found);
	if (row->tcp_n > 0)
		return 0;
	snprintf(error, GUESTFWDS_ERROR_MAX,
		 "--guestfwd: target host '%s': %s (accepted: an "
		 "address, or a name that this host knows)",
		 rule->target, result ? gai_strerror(result) : "has no address");
	return -ENOENT;
}

static int add(struct guestfwds *g, struct nat *nat, const struct row *row,
	       char error[GUESTFWDS_ERROR_MAX])
{
	char at[ENDPOINT_TEXT_MAX];
	int result = nat_tcp_service_add_at(nat, &row->at, SERVICE_FIRST + g->rows_n);

	if (result < 0)
		snprintf(error, GUESTFWDS_ERROR_MAX, "--%s: '%s': %s",
			 row->rule ? "guestfwd" : "smb", endpoint_format(&row->at, at),
			 strerror(-result));
	else
		g->row[g->rows_n++] = *row;
	return result;
}

static int open_rules(struct guestfwds *g, const struct options *o, struct nat *nat,
		      char error[GUESTFWDS_ERROR_MAX])
{
	for (unsigned i = 0; i < o->guestfwd.n; i++) {
		const struct guestfwd_rule *rule = &o->guestfwd.rule[i];
		struct row row = {.at = {rule->addr, rule->port}, .rule = rule};
		int result = rule->kind == GUESTFWD_TCP ? resolve(&row, error) : 0;

		if (result == 0)
			result = add(g, nat, &row, error);
		if (result < 0)
			return result;
	}
	return 0;
}

static int open_smb(struct guestfwds *g, const struct options *o, struct nat *nat,
		    char error[GUESTFWDS_ERROR_MAX])
{
	struct smb_place place = {
	    .xdg = getenv("XDG_RUNTIME_DIR"), .tmp = "/tmp", .path = getenv("PATH")};
	int result;

	if (o->smb[0] == '\0')
		return 0;
	result = smb_dir_make(&g->smb, o->smb, &place, error);
	for (unsigned i = 0; i < SMB_ROWS && result == 0; i++) {
		struct row row = {.at = {o->smbserver, smb_ports[i]}};

		result = add(g, nat, &row, error);
	}
	return result;
}

int guestfwds_open(struct guestfwds **ret, const struct options *o, uv_loop_t *loop,
		   struct nat *nat, char error[GUESTFWDS_ERROR_MAX])
{
	struct guestfwds *g = calloc(1, sizeof(*g));
	int result = g ? programs_new(&g->programs, loop) : -ENOMEM;

	if (result < 0) {
		snprintf(error, GUESTFWDS_ERROR_MAX, "--guestfwd: out of memory");
		free(g);
		return result;
	}
	*ret = g; /* what has been made is taken down with the rest */
	result = open_rules(g, o, nat, error);
	return result < 0 ? result : open_smb(g, o, nat, error);
}

/* ---- a guest connects ---- */

bool guestfwds_has(const struct guestfwds *g, unsigned service)
{
	return g && service >= SERVICE_FIRST && service - SERVICE_FIRST < g->rows_n;
}

void guestfwds_target(const struct guestfwds *g, unsigned service, struct host_target *ret)
{
	const struct row *row;

	if (!guestfwds_has(g, service))
		return;
	row = &g->row[service - SERVICE_FIRST];
	if (!row->rule) {
		/* smbd ends when its peer has no address. */
		ret->kind = HOST_TARGET_INET_PAIR;
	} else if (row->rule->kind == GUESTFWD_TCP) {
		ret->kind = HOST_TARGET_TCP;
		ret->tcp_n = row->tcp_n;
		memcpy(ret->tcp, row->tcp, sizeof(ret->tcp));
	} else if (row->rule->kind == GUESTFWD_UNIX) {
		ret->kind = HOST_TARGET_UNIX;
		ret->path = row->rule->target;
	}
}

int guestfwds_accept(struct guestfwds *g, const struct host_service_request *request, int fd)
{
	const struct row *row = &g->row[request->service - SERVICE_FIRST];
	const char *shell[] = {"/bin/sh", "-c", row->rule ? row->rule->target : NULL, NULL};
	const char *smbd[] = {g->smb.smbd, "-l", g->smb.path, "-s", g->smb.conf, NULL};
	char at[ENDPOINT_TEXT_MAX], name[PROGRAMS_NAME_MAX];
	struct program program = {
	    .argv = row->rule ? shell : smbd,
	    .fd = fd,
	    .token = request->token,
	    .guest = request->guest,
	    .at = row->at,
	    .name = name,
	};

	snprintf(name, sizeof(name), "%s %s", row->rule ? "guestfwd" : "smb",
		 endpoint_format(&row->at, at));
	return programs_run(g->programs, &program);
}

void guestfwds_closed(struct guestfwds *g, uint64_t token)
{
	if (g && g->programs)
		programs_closed(g->programs, token);
}

/* ---- the end ---- */

void guestfwds_close(struct guestfwds *g)
{
	if (!g)
		return;
	programs_close(g->programs);
	g->programs = NULL;
}

void guestfwds_free(struct guestfwds *g)
{
	if (!g)
		return;
	smb_dir_remove(&g->smb);
	free(g);
}
