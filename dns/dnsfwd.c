#include "dns/dnsfwd.h"

#include "dns/dns_msg.h"
#include "dns/names.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define UDP_MAX 4096u /* the most we send in a datagram, whatever the client takes */
#define TTL_S 30      /* guests come, go and are renamed */
#define NEGATIVE_TTL_S 10
#define COPIED_FLAGS (DNS_FLAG_OPCODE | DNS_FLAG_RD | DNS_FLAG_CD)
#define QUESTION_POINTER (0xc000u | DNS_HEADER_LEN)

struct dnsfwd {
	struct names names;
	struct names_static *statics; /* owned; NULL */
	struct dnsfwd_counters counters;
};

static_assert(sizeof(((struct dnsfwd_pending *)0)->question) >= DNS_NAME_MAX + 4,
	      "every question fits");

void dnsfwd_free(struct dnsfwd *fwd)
{
	if (!fwd)
		return;
	free(fwd->statics);
	free(fwd);
}

static int copy_names(struct dnsfwd *fwd, const struct dnsfwd_config *config)
{
	if (config->names_n == 0)
		return 0;
	fwd->statics = calloc(config->names_n, sizeof(*fwd->statics));
	if (!fwd->statics)
		return -ENOMEM;
	for (unsigned i = 0; i < config->names_n; i++) {
		if (!dns_name_parse(config->names[i].name, &fwd->statics[i].name))
			return -EINVAL;
		fwd->statics[i].addr = config->names[i].addr;
	}
	fwd->names.statics = fwd->statics;
	fwd->names.statics_n = config->names_n;
	return 0;
}

int dnsfwd_new(struct dnsfwd **ret, const struct dnsfwd_config *config)
{
	struct dnsfwd *fwd = calloc(1, sizeof(*fwd));

	if (!fwd)
		return -ENOMEM;
	if (!config->domain || !dns_name_parse(config->domain, &fwd->names.domain) ||
	    (config->search && !dns_name_parse(config->search, &fwd->names.search))) {
		free(fwd);
		return -EINVAL;
	}
	fwd->names.host4 = config->host4;
	fwd->names.host6 = config->host6;
	fwd->names.net4 = config->net4;
	fwd->names.net6 = config->net6;
	fwd->names.name_to_addr = config->name_to_addr;
	fwd->names.addr_to_name = config->addr_to_name;
	fwd->names.ctx = config->ctx;
	int error = copy_names(fwd, config);
	if (error) {
		dnsfwd_free(fwd);
		return error;
	}
	*ret = fwd;
	return 0;
}

const struct dnsfwd_counters *dnsfwd_counters(const struct dnsfwd *fwd)
{
	return &fwd->counters;
}

/* A reply of our own with nothing but a code in it. */
static void put_code(const struct dns_query *q, enum dns_rcode rcode, struct wire_out *reply)
{
	struct dns_header header = {
	    .id = q->header.id,
	    .flags = (uint16_t)(DNS_FLAG_QR | (q->header.flags & COPIED_FLAGS) | DNS_FLAG_RA |
				(rcode & DNS_FLAG_RCODE)),
	    .question_n = q->name.len > 0,
	    .additional_n = q->edns.present,
	};

	dns_header_put(reply, &header);
	if (q->name.len)
		dns_question_put(reply, q);
	if (q->edns.present)
		dns_opt_put(reply, UDP_MAX, q->edns.dnssec_ok, rcode);
}

static void put_record_start(struct wire_out *reply, unsigned name_at, uint16_t type, uint32_t ttl)
{
	wire_put_u16(reply, (uint16_t)(QUESTION_POINTER + name_at));
	wire_put_u16(reply, type);
	wire_put_u16(reply, DNS_CLASS_IN);
	wire_put_u32(reply, ttl);
}

/* RFC 2308 section 3: what lets the client remember that there is nothing. Values after RFC 6303
 * section 3. */
static void put_soa(struct wire_out *reply, unsigned zone_at)
{
	static const uint8_t mailbox[] = "\6nobody\7invalid";

	put_record_start(reply, zone_at, DNS_TYPE_SOA, NEGATIVE_TTL_S);
	wire_put_u16(reply, 2 + sizeof(mailbox) + 20);
	wire_put_u16(reply, (uint16_t)(QUESTION_POINTER + zone_at));
	wire_put_bytes(reply, mailbox, sizeof(mailbox));
	wire_put_u32(reply, 1);      /* serial */
	wire_put_u32(reply, 3600);   /* refresh */
	wire_put_u32(reply, 1200);   /* retry */
	wire_put_u32(reply, 604800); /* expire */
	wire_put_u32(reply, NEGATIVE_TTL_S);
}

static void put_addr(struct wire_out *reply, const struct addr *addr)
{
	bool v4 = addr_is_v4(addr);

	put_record_start(reply, 0, v4 ? DNS_TYPE_A : DNS_TYPE_AAAA, TTL_S);
	wire_put_u16(reply, v4 ? 4 : 16);
	wire_put_bytes(reply, addr->b + (v4 ? 12 : 0), v4 ? 4 : 16);
}

static void put_answer(struct wire_out *reply, const struct names_answer *found)
{
	switch (found->verdict) {
	case NAMES_ADDR:
		for (unsigned i = 0; i < found->addrs_n; i++)
			put_addr(reply, &found->addrs[i]);
		return;
	case NAMES_PTR:
		put_record_start(reply, 0, DNS_TYPE_PTR, TTL_S);
		wire_put_u16(reply, found->target.len);
		wire_put_bytes(reply, found->target.wire, found->target.len);
		return;
	default:
		put_soa(reply, found->zone_at);
		return;
	}
}

static void put_local(const struct dns_query *q, const struct names_answer *found,
		      struct wire_out *reply)
{
	bool negative = found->verdict == NAMES_NXDOMAIN || found->verdict == NAMES_NODATA;
	unsigned rcode = found->verdict == NAMES_NXDOMAIN ? DNS_RCODE_NXDOMAIN : DNS_RCODE_NOERROR;
	struct dns_header header = {
	    .id = q->header.id,
	    .flags = (uint16_t)(DNS_FLAG_QR | DNS_FLAG_AA | (q->header.flags & COPIED_FLAGS) |
				DNS_FLAG_RA | rcode),
	    .question_n = 1,
	    .answer_n = negative                       ? 0
			: found->verdict == NAMES_ADDR ? (uint16_t)found->addrs_n
						       : 1,
	    .authority_n = negative,
	    .additional_n = q->edns.present,
	};

	dns_header_put(reply, &header);
	dns_question_put(reply, q);
	put_answer(reply, found);
	if (q->edns.present)
		dns_opt_put(reply, UDP_MAX, q->edns.dnssec_ok, DNS_RCODE_NOERROR);
}

static void remember(const struct dns_query *q, bool over_tcp, struct dnsfwd_pending *ret)
{
	struct wire_out question = wire_out(ret->question, sizeof(ret->question));
	uint16_t udp_max = q->edns.present ? q->edns.udp_size : DNS_UDP_PLAIN_MAX;

	if (udp_max < DNS_UDP_PLAIN_MAX) /* RFC 6891 section 6.2.5 */
		udp_max = DNS_UDP_PLAIN_MAX;
	if (udp_max > UDP_MAX)
		udp_max = UDP_MAX;
	ret->id = q->header.id;
	ret->flags = q->header.flags & COPIED_FLAGS;
	ret->udp_max = udp_max;
	ret->over_tcp = over_tcp;
	ret->edns = q->edns.present;
	ret->dnssec_ok = q->edns.dnssec_ok;
	ret->flavour = (uint8_t)((q->header.flags & (DNS_FLAG_AD | DNS_FLAG_CD)) |
				 (q->header.flags & DNS_FLAG_RD ? 1 : 0) | q->edns.present << 1 |
				 q->edns.dnssec_ok << 2);
	/* TSIG and its like sign this one exchange. */
	ret->cacheable = q->header.answer_n == 0 && q->header.authority_n == 0 &&
			 q->header.additional_n == q->edns.present;
	dns_question_put(&question, q);
	ret->question_len = (uint16_t)wire_len(&question);
}

/* Zone transfers answer in many messages, TKEY and its like are a dialogue with one server, and
 * classes other than IN speak of the server itself (RFC 4892): none of that goes through us. */
static bool is_refused(const struct dns_query *q)
{
	return q->class != DNS_CLASS_IN || (q->type >= DNS_TYPE_TKEY && q->type <= DNS_TYPE_MAILA);
}

static enum dnsfwd_verdict answer_code(struct dnsfwd *fwd, const struct dns_query *q,
				       enum dns_rcode rcode, struct wire_out *reply)
{
	if (rcode == DNS_RCODE_FORMERR)
		fwd->counters.formerr++;
	else
		fwd->counters.refused++;
	put_code(q, rcode, reply);
	return DNSFWD_ANSWERED;
}

enum dnsfwd_verdict dnsfwd_query(struct dnsfwd *fwd, struct wire_in query, bool over_tcp,
				 struct wire_out *reply, struct dnsfwd_pending *ret_pending)
{
	struct names_answer found;
	struct dns_query q;

	fwd->counters.queries++;
	switch (dns_query_get(query, &q)) {
	case DNS_QUERY_NOT_ONE:
		fwd->counters.dropped++;
		return DNSFWD_DROP;
	case DNS_QUERY_UNKNOWN_OPCODE:
		return answer_code(fwd, &q, DNS_RCODE_NOTIMP, reply);
	case DNS_QUERY_MALFORMED:
		return answer_code(fwd, &q, DNS_RCODE_FORMERR, reply);
	case DNS_QUERY_OK:
		break;
	}
	if (q.edns.present && q.edns.version > 0) /* RFC 6891 section 6.1.3 */
		return answer_code(fwd, &q, DNS_RCODE_BADVERS, reply);
	if (is_refused(&q))
		return answer_code(fwd, &q, DNS_RCODE_REFUSED, reply);
	names_find(&fwd->names, &q.name, q.type, &found);
	if (found.verdict != NAMES_FOREIGN) {
		fwd->counters.answered_local++;
		put_local(&q, &found, reply);
		return DNSFWD_ANSWERED;
	}
	fwd->counters.forwarded++;
	remember(&q, over_tcp, ret_pending);
	return DNSFWD_FORWARD;
}

/* Header and question for the client, and OPT if it sent one. */
static void put_head(const struct dnsfwd_pending *pending, unsigned flags, struct wire_out *reply)
{
	struct dns_header header = {
	    .id = pending->id,
	    .flags = (uint16_t)flags,
	    .question_n = 1,
	    .additional_n = pending->edns,
	};

	dns_header_put(reply, &header);
	wire_put_bytes(reply, pending->question, pending->question_len);
	if (pending->edns)
		dns_opt_put(reply, UDP_MAX, pending->dnssec_ok, DNS_RCODE_NOERROR);
}

bool dnsfwd_answer(struct dnsfwd *fwd, const struct dnsfwd_pending *pending, struct wire_in answer,
		   struct wire_out *reply)
{
	size_t client_max = pending->over_tcp ? DNSFWD_MESSAGE_MAX : pending->udp_max;
	size_t room = (size_t)(reply->end - reply->at);
	struct wire_in rest = answer;
	struct dns_header header;
	const uint8_t *question;

	dns_header_get(&rest, &header);
	question = wire_get(&rest, pending->question_len);
	if (!question || !(header.flags & DNS_FLAG_QR) || header.flags & DNS_FLAG_OPCODE ||
	    header.question_n != 1 ||
	    !dns_bytes_eq_nocase(question, pending->question, pending->question_len)) {
		fwd->counters.bad_upstream_answers++;
		return false;
	}
	if (wire_left(&answer) > client_max || wire_left(&answer) > room) {
		fwd->counters.truncated++;
		put_head(pending, header.flags | DNS_FLAG_TC, reply);
		return true;
	}
	header.id = pending->id;
	dns_header_put(reply, &header);
	/* As the client wrote it: some check the case of their letters to tell forgeries. */
	wire_put_bytes(reply, pending->question, pending->question_len);
	wire_put_bytes(reply, rest.at, wire_left(&rest));
	return true;
}

void dnsfwd_servfail(struct dnsfwd *fwd, const struct dnsfwd_pending *pending,
		     struct wire_out *reply)
{
	fwd->counters.servfail++;
	put_head(pending, DNS_FLAG_QR | DNS_FLAG_RA | pending->flags | DNS_RCODE_SERVFAIL, reply);
}
