/* DNS forwarder (RFC 1035, 2181, 6891): answers our own names, says what goes upstream, and fits
 * upstream answers to the client. Bytes in, bytes out; the upstream exchange is somebody else's
 * (stack/host/host_resolver, c-ares). */
#ifndef LWNAT_DNS_DNSFWD_H
#define LWNAT_DNS_DNSFWD_H

#include "stack/base/addr.h"
#include "stack/base/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define DNSFWD_NAME_MAX 256 /* bytes of a name as text, with NUL */
#define DNSFWD_MESSAGE_MAX 65535

/* A name that is ours, by configuration. */
struct dnsfwd_name {
	const char
	    *name; /* one label: found bare, under 'domain' and under 'search'; else as it is */
	struct addr addr;
};

struct dnsfwd_config {
	const char *domain; /* "lwnat.internal"; names under it are ours and never go upstream */
	struct addr host4,
	    host6; /* host.DOMAIN and gateway.DOMAIN; unspecified when the family is off */
	struct subnet net4, net6; /* reverse zones that are ours */
	const char *search; /* QEMU domainname=, also searched for guests' names; may be NULL */
	const struct dnsfwd_name *names; /* several of one name are answered together */
	unsigned names_n;
	/* A guest by its DHCP host name or by address: borrowed functions, called inside
	 * dnsfwd_query(). Labels are lower case; both may be NULL: no guest has a name. */
	bool (*name_to_addr)(void *ctx, const char *label, bool v6, struct addr *ret);
	bool (*addr_to_name)(void *ctx, const struct addr *addr, char ret[64]);
	void *ctx;
};

enum dnsfwd_verdict {
	DNSFWD_ANSWERED, /* 'reply' holds the answer (own name, FORMERR, NOTIMP, REFUSED) */
	DNSFWD_FORWARD,  /* send the query's bytes upstream as they are; then dnsfwd_answer() or
			    dnsfwd_servfail() */
	DNSFWD_DROP,     /* no answer: not a query, or too short to answer */
};

/* What must be remembered of a forwarded query to answer it. */
struct dnsfwd_pending {
	uint16_t id;
	uint16_t udp_max; /* the most bytes the client takes by UDP: 512, or its EDNS size */
	bool over_tcp;
	uint16_t question_len; /* bytes of the question as sent, kept to compare and to echo */
	uint8_t question[DNSFWD_NAME_MAX + 4];
	bool edns;       /* the client sent an OPT record */
	bool dnssec_ok;  /* and set DO in it */
	uint16_t flags;  /* the client's that a reply repeats */
	uint8_t flavour; /* beside the question, what an answer depends on */
	bool cacheable;  /* nothing in the query makes the answer this client's alone */
};

struct dnsfwd_counters {
	uint64_t queries, answered_local, forwarded, formerr, refused, dropped, servfail, truncated,
	    bad_upstream_answers;
};

struct dnsfwd;

int dnsfwd_new(struct dnsfwd **ret,
	       const struct dnsfwd_config *config); /* copies; 0, -ENOMEM, -EINVAL */
void dnsfwd_free(struct dnsfwd *fwd);

/* One query as received (without the TCP length prefix). */
enum dnsfwd_verdict dnsfwd_query(struct dnsfwd *fwd, struct wire_in query, bool over_tcp,
				 struct wire_out *reply, struct dnsfwd_pending *ret_pending);
/* An upstream answer: checked against the question, given the client's id, cut with TC set when it
 * is too long for the client's UDP. false (nothing written) when it does not belong to the
 * question. */
bool dnsfwd_answer(struct dnsfwd *fwd, const struct dnsfwd_pending *pending, struct wire_in answer,
		   struct wire_out *reply);
/* No upstream answered. */
void dnsfwd_servfail(struct dnsfwd *fwd, const struct dnsfwd_pending *pending,
		     struct wire_out *reply);
const struct dnsfwd_counters *dnsfwd_counters(const struct dnsfwd *fwd);

#endif
