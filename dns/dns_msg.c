#include "dns/dns_msg.h"

#define LABEL_MAX 63u
#define POINTER 0xc0u
#define OPT_DO 0x8000u /* in the lower half of OPT's TTL (RFC 3225) */

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool dns_bytes_eq_nocase(const uint8_t *a, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (lower(a[i]) != lower(b[i]))
			return false;
	}
	return true;
}

void dns_name_get(struct wire_in *in, struct dns_name *ret)
{
	const uint8_t *start = in->at;
	uint8_t label_len;

	ret->len = 0;
	do {
		label_len = wire_get_u8(in);
		/* A pointer in the first name of a message could only lead into itself. */
		if (label_len > LABEL_MAX)
			in->bad = true;
		wire_skip(in, label_len);
	} while (label_len && !in->bad && in->at - start < DNS_NAME_MAX);
	if (label_len)
		in->bad = true;
	if (in->bad || in->at - start > DNS_NAME_MAX) {
		in->bad = true;
		return;
	}
	ret->len = (uint8_t)(in->at - start);
	memcpy(ret->wire, start, ret->len);
}

/* Over a name that may end in a pointer; where that leads does not matter here. */
static void name_skip(struct wire_in *in)
{
	for (;;) {
		uint8_t label_len = wire_get_u8(in);
		if (label_len >= POINTER) {
			wire_skip(in, 1);
			return;
		}
		if (label_len > LABEL_MAX)
			in->bad = true;
		wire_skip(in, label_len);
		if (label_len == 0 || in->bad)
			return;
	}
}

void dns_bytes_lower(uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = lower(bytes[i]);
}

bool dns_record_get(struct wire_in *in, struct dns_record *ret)
{
	name_skip(in);
	ret->type = wire_get_u16(in);
	ret->class = wire_get_u16(in);
	ret->ttl_at = in->at;
	ret->ttl = wire_get_u32(in);
	ret->data = wire_get_in(in, wire_get_u16(in));
	if (ret->ttl & 0x80000000u)
		ret->ttl = 0;
	return !in->bad;
}

bool dns_soa_minimum(struct wire_in data, uint32_t *ret)
{
	name_skip(&data);
	name_skip(&data);
	wire_skip(&data, 16);
	*ret = wire_get_u32(&data);
	return !data.bad;
}

bool dns_name_parse(const char *text, struct dns_name *ret)
{
	struct dns_name name = {0};
	unsigned at = 0;

	for (;;) {
		size_t label_len = strcspn(text, ".");
		if (label_len == 0 || label_len > LABEL_MAX ||
		    at + 1 + label_len + 1 > DNS_NAME_MAX)
			return false;
		name.wire[at++] = (uint8_t)label_len;
		memcpy(name.wire + at, text, label_len);
		at += (unsigned)label_len;
		text += label_len;
		if (text[0] == '\0' || text[1] == '\0')
			break;
		text++;
	}
	name.len = (uint8_t)(at + 1);
	*ret = name;
	return true;
}

bool dns_name_join(const struct dns_name *a, const struct dns_name *b, struct dns_name *ret)
{
	struct dns_name name;

	if (a->len == 0 || a->len - 1u + b->len > DNS_NAME_MAX)
		return false;
	memcpy(name.wire, a->wire, a->len - 1u);
	memcpy(name.wire + a->len - 1u, b->wire, b->len);
	name.len = (uint8_t)(a->len - 1u + b->len);
	*ret = name;
	return true;
}

bool dns_name_eq(const struct dns_name *a, const struct dns_name *b)
{
	return a->len == b->len && dns_bytes_eq_nocase(a->wire, b->wire, a->len);
}

int dns_name_suffix(const struct dns_name *name, const struct dns_name *suffix)
{
	unsigned at = 0;

	while (at + suffix->len < name->len)
		at += 1u + name->wire[at];
	if (suffix->len == 0 || at + suffix->len != name->len ||
	    !dns_bytes_eq_nocase(name->wire + at, suffix->wire, suffix->len))
		return -1;
	return (int)at;
}

bool dns_name_label(const struct dns_name *name, unsigned at, char ret[DNS_LABEL_TEXT_MAX])
{
	unsigned len = at < name->len ? name->wire[at] : 0;

	if (len == 0)
		return false;
	for (unsigned i = 0; i < len; i++) {
		uint8_t c = lower(name->wire[at + 1 + i]);
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return false;
		ret[i] = (char)c;
	}
	ret[len] = '\0';
	return true;
}

void dns_header_get(struct wire_in *in, struct dns_header *ret)
{
	ret->id = wire_get_u16(in);
	ret->flags = wire_get_u16(in);
	ret->question_n = wire_get_u16(in);
	ret->answer_n = wire_get_u16(in);
	ret->authority_n = wire_get_u16(in);
	ret->additional_n = wire_get_u16(in);
}

static void edns_get(struct wire_in *in, struct dns_edns *ret)
{
	uint32_t ttl;

	if (ret->present) /* RFC 6891 section 6.1.1: more than one is FORMERR */
		in->bad = true;
	ret->present = true;
	ret->udp_size = wire_get_u16(in);
	ttl = wire_get_u32(in);
	ret->version = (uint8_t)(ttl >> 16);
	ret->dnssec_ok = ttl & OPT_DO;
	wire_skip(in, wire_get_u16(in));
}

/* All records behind the question; those of the additional section may be an OPT. */
static void records_get(struct wire_in *in, struct dns_query *q)
{
	uint32_t other_n = (uint32_t)q->header.answer_n + q->header.authority_n;
	uint32_t all_n = other_n + q->header.additional_n;

	for (uint32_t i = 0; i < all_n && !in->bad; i++) {
		const uint8_t *start = in->at;
		uint16_t type;

		name_skip(in);
		bool at_root = in->at - start == 1;
		type = wire_get_u16(in);
		if (type == DNS_TYPE_OPT && (i < other_n || !at_root)) {
			in->bad = true;
		} else if (type == DNS_TYPE_OPT) {
			edns_get(in, &q->edns);
		} else {
			wire_skip(in, 6); /* class, TTL */
			wire_skip(in, wire_get_u16(in));
		}
	}
}

enum dns_verdict dns_query_get(struct wire_in in, struct dns_query *ret)
{
	memset(ret, 0, sizeof(*ret));
	dns_header_get(&in, &ret->header);
	if (in.bad || ret->header.flags & DNS_FLAG_QR)
		return DNS_QUERY_NOT_ONE;
	if (ret->header.flags & DNS_FLAG_OPCODE)
		return DNS_QUERY_UNKNOWN_OPCODE;
	if (ret->header.question_n != 1) /* RFC 9619 */
		return DNS_QUERY_MALFORMED;
	dns_name_get(&in, &ret->name);
	ret->type = wire_get_u16(&in);
	ret->class = wire_get_u16(&in);
	if (in.bad || ret->type == 0 || ret->type == DNS_TYPE_OPT) {
		ret->name.len = 0;
		return DNS_QUERY_MALFORMED;
	}
	records_get(&in, ret);
	if (in.bad) {
		ret->edns = (struct dns_edns){0};
		return DNS_QUERY_MALFORMED;
	}
	return DNS_QUERY_OK;
}

void dns_header_put(struct wire_out *out, const struct dns_header *header)
{
	wire_put_u16(out, header->id);
	wire_put_u16(out, header->flags);
	wire_put_u16(out, header->question_n);
	wire_put_u16(out, header->answer_n);
	wire_put_u16(out, header->authority_n);
	wire_put_u16(out, header->additional_n);
}

void dns_question_put(struct wire_out *out, const struct dns_query *query)
{
	wire_put_bytes(out, query->name.wire, query->name.len);
	wire_put_u16(out, query->type);
	wire_put_u16(out, query->class);
}

void dns_opt_put(struct wire_out *out, uint16_t udp_size, bool dnssec_ok, unsigned rcode)
{
	wire_put_u8(out, 0); /* the root */
	wire_put_u16(out, DNS_TYPE_OPT);
	wire_put_u16(out, udp_size);
	wire_put_u32(out, (uint32_t)(rcode >> 4) << 24 | (dnssec_ok ? OPT_DO : 0));
	wire_put_u16(out, 0); /* no options */
}

bool dns_query_put_upstream(struct wire_in query, uint16_t id, uint16_t udp_size,
			    struct wire_out *out)
{
	struct wire_in rest = query;
	struct dns_query q;

	if (dns_query_get(query, &q) == DNS_QUERY_OK && q.edns.present && q.header.answer_n == 0 &&
	    q.header.authority_n == 0 && q.header.additional_n == 1) {
		q.header.id = id;
		dns_header_put(out, &q.header);
		dns_question_put(out, &q);
		dns_opt_put(out, udp_size, q.edns.dnssec_ok, DNS_RCODE_NOERROR);
		return true;
	}
	wire_put_u16(out, id);
	wire_skip(&rest, 2);
	wire_put_bytes(out, rest.at, wire_left(&rest));
	return false;
}
