#include "dns/dnsfwd.h"

#include "dns/dns_msg.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

/* A reply taken apart; the name of the first record is always a pointer into the question. */
struct reply {
	struct dns_header header;
	unsigned rcode;
	struct dns_name name;
	uint16_t rr_name, rr_type, rdata_len;
	uint32_t ttl;
	uint8_t rdata[256];
	bool edns;
	unsigned ext_rcode;
	size_t len;
};

static struct dnsfwd *fwd;
static struct dnsfwd_pending pending;
static uint8_t reply_bytes[DNSFWD_MESSAGE_MAX];

static struct addr A(const char *text) {
	struct addr a;
	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

static struct subnet
N(const char *text) {
	struct subnet n;
	ck_assert_int_eq(subnet_parse(text, &n), 0);
	return n;
}

/* Guests: "web" has both families, "old" IPv4 alone, "com" takes a name that is in use outside. */
static bool
guest_addr(void *ctx, const char *label, bool v6, struct addr *ret)
{
	(void)ctx;
	ck_assert_str_ne(label, "host");
	if (strcmp(label, "web") == 0)
		*ret = A(v6 ? "fec0::15" : "10.0.2.15");
	else if (!v6 && (strcmp(label, "old") == 0 || strcmp(label, "com") == 0))
		*ret = A("10.0.2.16");
	else
		return false;
	return true;
}

static bool guest_name(void *ctx, const struct addr *addr, char ret[64])
{
	struct addr v4 = A("10.0.2.15"), v6 = A("fec0::15"), dotted = A("10.0.2.17");
	(void)ctx;
	if (addr_eq(addr, &dotted))
		strcpy(ret, "..");
	else if (addr_eq(addr, &v4) || addr_eq(addr, &v6))
		strcpy(ret, "web");
	else
		return false;
	return true;
}

static struct dnsfwd_config config(void)
{
	return (struct dnsfwd_config){
	    .domain = "lwnat.internal",
	    .host4 = A("10.0.2.2"),
	    .host6 = A("fec0::2"),
	    .net4 = N("10.0.2.0/24"),
	    .net6 = N("fec0::/64"),
	    .search = "corp.example",
	    .name_to_addr = guest_addr,
	    .addr_to_name = guest_name,
	};
}

static void setup(void)
{
	struct dnsfwd_config c = config();
	ck_assert_int_eq(dnsfwd_new(&fwd, &c), 0);
}

static void teardown(void)
{
	dnsfwd_free(fwd);
}

static void parse_reply(struct wire_in in, struct reply *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->len = wire_left(&in);
	dns_header_get(&in, &ret->header);
	ret->rcode = ret->header.flags & DNS_FLAG_RCODE;
	if (ret->header.question_n) {
		dns_name_get(&in, &ret->name);
		wire_skip(&in, 4);
	}
	if (ret->header.answer_n + ret->header.authority_n == 1) {
		ret->rr_name = wire_get_u16(&in);
		ret->rr_type = wire_get_u16(&in);
		ck_assert_uint_eq(wire_get_u16(&in), DNS_CLASS_IN);
		ret->ttl = wire_get_u32(&in);
		ret->rdata_len = wire_get_u16(&in);
		ck_assert_uint_le(ret->rdata_len, sizeof(ret->rdata));
		wire_get_bytes(&in, ret->rdata, ret->rdata_len);
	}
	if (ret->header.additional_n) {
		ck_assert_uint_eq(wire_get_u8(&in), 0);
		ck_assert_uint_eq(wire_get_u16(&in), DNS_TYPE_OPT);
		ret->edns = true;
		ck_assert_uint_eq(wire_get_u16(&in), 4096);
		ret->ext_rcode = wire_get_u32(&in) >> 24;
		ck_assert_uint_eq(wire_get_u16(&in), 0);
	}
	ck_assert(!in.bad);
	ck_assert_uint_eq(wire_left(&in), 0);
}

static size_t make_query(uint8_t *bytes, const char *name, uint16_t type, int udp_size)
{
	struct wire_out out = wire_out(bytes, 512);
	struct dns_query q = {.type = type, .class = DNS_CLASS_IN};

	q.header = (struct dns_header){
	    .id = 0x1234, .flags = DNS_FLAG_RD, .question_n = 1, .additional_n = udp_size >= 0};
	ck_assert(dns_name_parse(name, &q.name));
	dns_header_put(&out, &q.header);
	dns_question_put(&out, &q);
	if (udp_size >= 0)
		dns_opt_put(&out, (uint16_t)udp_size, false, 0);
	return wire_len(&out);
}

static enum dnsfwd_verdict ask_bytes(const void *bytes, size_t len, bool over_tcp,
				     struct reply *ret)
{
	struct wire_out reply = wire_out(reply_bytes, 512);
	enum dnsfwd_verdict verdict =
	    dnsfwd_query(fwd, wire_in(bytes, len), over_tcp, &reply, &pending);

	ck_assert(!reply.bad);
	memset(ret, 0, sizeof(*ret));
	if (verdict == DNSFWD_ANSWERED)
		parse_reply(wire_in(reply.start, wire_len(&reply)), ret);
	else
		ck_assert_uint_eq(wire_len(&reply), 0);
	return verdict;
}

static enum dnsfwd_verdict ask(const char *name, uint16_t type, struct reply *ret)
{
	uint8_t bytes[512];
	return ask_bytes(bytes, make_query(bytes, name, type, -1), false, ret);
}

static void assert_addr(const char *name, uint16_t type, const char *expected)
{
	struct addr a = A(expected);
	bool v4 = addr_is_v4(&a);
	struct reply r;

	ck_assert_msg(ask(name, type, &r) == DNSFWD_ANSWERED, "%s", name);
	ck_assert_uint_eq(r.header.id, 0x1234);
	ck_assert_uint_eq(r.header.flags, DNS_FLAG_QR | DNS_FLAG_AA | DNS_FLAG_RD | DNS_FLAG_RA);
	ck_assert_uint_eq(r.header.answer_n, 1);
	ck_assert_uint_eq(r.rr_name, 0xc00c);
	ck_assert_uint_eq(r.rr_type, v4 ? DNS_TYPE_A : DNS_TYPE_AAAA);
	ck_assert_uint_eq(r.rdata_len, v4 ? 4 : 16);
	ck_assert_mem_eq(r.rdata, a.b + (v4 ? 12 : 0), r.rdata_len);
	ck_assert_uint_le(r.ttl, 60);
}

/* Nothing there, with an SOA that says whose nothing it is. */
static void assert_nothing(const char *name, uint16_t type, unsigned rcode, const char *zone)
{
	struct dns_name asked, apex;
	struct reply r;

	ck_assert_msg(ask(name, type, &r) == DNSFWD_ANSWERED, "%s", name);
	ck_assert_msg(r.rcode == rcode, "%s: rcode %u", name, r.rcode);
	ck_assert_uint_eq(r.header.answer_n, 0);
	ck_assert_uint_eq(r.header.authority_n, 1);
	ck_assert_uint_eq(r.rr_type, DNS_TYPE_SOA);
	ck_assert(dns_name_parse(name, &asked) && dns_name_parse(zone, &apex));
	ck_assert_int_eq(r.rr_name - 0xc00c, dns_name_suffix(&asked, &apex));
}

static void assert_ptr(const char *name, const char *expected)
{
	struct dns_name target;
	struct reply r;

	ck_assert_msg(ask(name, DNS_TYPE_PTR, &r) == DNSFWD_ANSWERED, "%s", name);
	ck_assert_uint_eq(r.rcode, DNS_RCODE_NOERROR);
	ck_assert_uint_eq(r.rr_type, DNS_TYPE_PTR);
	ck_assert(dns_name_parse(expected, &target));
	ck_assert_uint_eq(r.rdata_len, target.len);
	ck_assert_mem_eq(r.rdata, target.wire, target.len);
}

static void assert_forwarded(const char *name, uint16_t type)
{
	struct reply r;
	ck_assert_msg(ask(name, type, &r) == DNSFWD_FORWARD, "%s", name);
}

START_TEST(test_host_and_gateway_have_both_addresses)
{
	assert_addr("host.lwnat.internal", DNS_TYPE_A, "10.0.2.2");
	assert_addr("gateway.lwnat.internal", DNS_TYPE_A, "10.0.2.2");
	assert_addr("host.lwnat.internal", DNS_TYPE_AAAA, "fec0::2");
	assert_addr("GateWay.LWNAT.internal", DNS_TYPE_AAAA, "fec0::2");
	assert_addr("host.lwnat.internal", DNS_TYPE_ANY, "10.0.2.2");
	assert_nothing("host.lwnat.internal", 15, DNS_RCODE_NOERROR, "lwnat.internal");
}
END_TEST

START_TEST(test_family_that_is_off_has_an_empty_answer)
{
	struct dnsfwd_config c = config();

	dnsfwd_free(fwd);
	c.host6 = (struct addr){{0}};
	c.net6 = (struct subnet){0};
	ck_assert_int_eq(dnsfwd_new(&fwd, &c), 0);
	assert_nothing("host.lwnat.internal", DNS_TYPE_AAAA, DNS_RCODE_NOERROR, "lwnat.internal");
	assert_forwarded("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.c.e.f.ip6.arpa",
			 DNS_TYPE_PTR);
}
END_TEST

START_TEST(test_guests_are_found_in_three_ways)
{
	assert_addr("web.lwnat.internal", DNS_TYPE_A, "10.0.2.15");
	assert_addr("WEB.corp.example", DNS_TYPE_A, "10.0.2.15");
	assert_addr("web", DNS_TYPE_AAAA, "fec0::15");
	assert_nothing("old.lwnat.internal", DNS_TYPE_AAAA, DNS_RCODE_NOERROR, "lwnat.internal");
	assert_nothing("old", DNS_TYPE_AAAA, DNS_RCODE_NOERROR, "old");
	assert_nothing("web.corp.example", 65, DNS_RCODE_NOERROR, "web.corp.example");
}
END_TEST

START_TEST(test_unknown_names_of_our_domain_stay_here)
{
	static const char *const names[] = {"nobody.lwnat.internal", "a.web.lwnat.internal",
					    "w b.lwnat.internal", "a.b.c.lwnat.internal"};
	for (size_t i = 0; i < 4; i++)
		assert_nothing(names[i], DNS_TYPE_A, DNS_RCODE_NXDOMAIN, "lwnat.internal");
	assert_nothing("lwnat.internal", DNS_TYPE_A, DNS_RCODE_NOERROR, "lwnat.internal");
	ck_assert_uint_eq(dnsfwd_counters(fwd)->answered_local, 5);
	ck_assert_uint_eq(dnsfwd_counters(fwd)->forwarded, 0);
}
END_TEST

START_TEST(test_soa_of_our_domain_is_an_answer)
{
	struct reply r;
	ck_assert_int_eq(ask("lwnat.internal", DNS_TYPE_SOA, &r), DNSFWD_ANSWERED);
	ck_assert_uint_eq(r.header.answer_n, 1);
	ck_assert_uint_eq(r.rr_type, DNS_TYPE_SOA);
}
END_TEST

START_TEST(test_other_names_go_upstream)
{
	assert_forwarded("www.zoo.test", DNS_TYPE_A);
	assert_forwarded("internal", DNS_TYPE_A);
	assert_forwarded("xlwnat.internal", DNS_TYPE_A);
	assert_forwarded("nobody", DNS_TYPE_A);
	assert_forwarded("host", DNS_TYPE_A);
	assert_forwarded("host.corp.example", DNS_TYPE_A);
	assert_forwarded("nobody.corp.example", DNS_TYPE_A);
	assert_forwarded("a.web.corp.example", DNS_TYPE_A);
	assert_forwarded("corp.example", DNS_TYPE_A);
	assert_forwarded("www.zoo.test", 65280);
}
END_TEST

START_TEST(test_guest_named_like_a_zone_does_not_hide_it_from_resolvers)
{
	assert_addr("com", DNS_TYPE_A, "10.0.2.16");
	assert_forwarded("com", DNS_TYPE_NS);
	assert_forwarded("com", DNS_TYPE_DS);
	assert_forwarded("com", DNS_TYPE_DNSKEY);
	assert_forwarded("com", DNS_TYPE_SOA);
}
END_TEST

START_TEST(test_addresses_of_our_subnets_have_names)
{
	assert_ptr("2.2.0.10.in-addr.arpa", "host.lwnat.internal");
	assert_ptr("15.2.0.10.IN-ADDR.arpa", "web.lwnat.internal");
	assert_ptr("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.c.e.f.ip6.arpa",
		   "host.lwnat.internal");
	assert_ptr("5.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.C.E.F.ip6.arpa",
		   "web.lwnat.internal");
	assert_nothing("15.2.0.10.in-addr.arpa", DNS_TYPE_A, DNS_RCODE_NOERROR,
		       "2.0.10.in-addr.arpa");
}
END_TEST

START_TEST(test_unknown_addresses_of_our_subnets_stay_here)
{
	assert_nothing("99.2.0.10.in-addr.arpa", DNS_TYPE_PTR, DNS_RCODE_NXDOMAIN,
		       "2.0.10.in-addr.arpa");
	/* a guest's name that is none */
	assert_nothing("17.2.0.10.in-addr.arpa", DNS_TYPE_PTR, DNS_RCODE_NXDOMAIN,
		       "2.0.10.in-addr.arpa");
	assert_nothing("x.15.2.0.10.in-addr.arpa", DNS_TYPE_PTR, DNS_RCODE_NXDOMAIN,
		       "2.0.10.in-addr.arpa");
	assert_nothing("256.2.0.10.in-addr.arpa", DNS_TYPE_PTR, DNS_RCODE_NXDOMAIN,
		       "2.0.10.in-addr.arpa");
	assert_nothing("015.2.0.10.in-addr.arpa", DNS_TYPE_PTR, DNS_RCODE_NXDOMAIN,
		       "2.0.10.in-addr.arpa");
	assert_nothing("2.0.10.in-addr.arpa", DNS_TYPE_PTR, DNS_RCODE_NOERROR,
		       "2.0.10.in-addr.arpa");
	assert_nothing("0.0.0.0.0.0.0.0.0.0.0.0.0.c.e.f.ip6.arpa", DNS_TYPE_NS, DNS_RCODE_NOERROR,
		       "0.0.0.0.0.0.0.0.0.0.0.0.0.c.e.f.ip6.arpa");
	assert_nothing("f.0.0.0.0.0.0.0.0.0.0.0.0.0.c.e.f.ip6.arpa", DNS_TYPE_NS, DNS_RCODE_NOERROR,
		       "0.0.0.0.0.0.0.0.0.0.0.0.0.c.e.f.ip6.arpa");
	assert_nothing("g.0.0.0.0.0.0.0.0.0.0.0.0.0.c.e.f.ip6.arpa", DNS_TYPE_PTR,
		       DNS_RCODE_NXDOMAIN, "0.0.0.0.0.0.0.0.0.0.0.0.0.c.e.f.ip6.arpa");
}
END_TEST

START_TEST(test_other_addresses_go_upstream)
{
	assert_forwarded("2.3.0.10.in-addr.arpa", DNS_TYPE_PTR);
	assert_forwarded("0.10.in-addr.arpa", DNS_TYPE_SOA);
	assert_forwarded("in-addr.arpa", DNS_TYPE_SOA);
	assert_forwarded("ip6.arpa", DNS_TYPE_SOA);
	assert_forwarded("8.8.8.8.in-addr.arpa", DNS_TYPE_PTR);
	assert_forwarded("x.0.10.in-addr.arpa", DNS_TYPE_PTR);
	assert_forwarded("1.0.0.0.c.e.f.ip6.arpa", DNS_TYPE_PTR);
}
END_TEST

START_TEST(test_subnet_between_label_edges_answers_for_its_own_part)
{
	struct dnsfwd_config c = config();

	dnsfwd_free(fwd);
	c.net4 = N("10.0.16.0/20");
	ck_assert_int_eq(dnsfwd_new(&fwd, &c), 0);
	assert_nothing("9.31.0.10.in-addr.arpa", DNS_TYPE_PTR, DNS_RCODE_NXDOMAIN,
		       "31.0.10.in-addr.arpa");
	assert_forwarded("9.32.0.10.in-addr.arpa", DNS_TYPE_PTR);
	assert_forwarded("0.10.in-addr.arpa", DNS_TYPE_PTR);

	/* Zeros that are missing must not pass for zeros that are there. */
	dnsfwd_free(fwd);
	c.net4 = N("10.0.0.0/24");
	ck_assert_int_eq(dnsfwd_new(&fwd, &c), 0);
	assert_forwarded("10.in-addr.arpa", DNS_TYPE_SOA);
	assert_forwarded("0.10.in-addr.arpa", DNS_TYPE_SOA);
}
END_TEST

START_TEST(test_question_is_echoed_letter_by_letter)
{
	uint8_t bytes[512];
	struct dns_name name;
	struct reply r;

	ask_bytes(bytes, make_query(bytes, "hOsT.LwNaT.iNtErNaL", DNS_TYPE_A, -1), false, &r);
	dns_name_parse("hOsT.LwNaT.iNtErNaL", &name);
	ck_assert_uint_eq(r.name.len, name.len);
	ck_assert_mem_eq(r.name.wire, name.wire, name.len);
}
END_TEST

START_TEST(test_opt_is_answered_with_opt)
{
	uint8_t bytes[512];
	struct reply r;

	ask_bytes(bytes, make_query(bytes, "host.lwnat.internal", DNS_TYPE_A, 4096), false, &r);
	ck_assert(r.edns);
	ck_assert_uint_eq(r.ext_rcode, 0);
	ck_assert_uint_eq(r.header.answer_n, 1);
	ask_bytes(bytes, make_query(bytes, "host.lwnat.internal", DNS_TYPE_A, -1), false, &r);
	ck_assert(!r.edns);
}
END_TEST

START_TEST(test_later_edns_version_gets_badvers)
{
	uint8_t bytes[512];
	size_t len = make_query(bytes, "www.zoo.test", DNS_TYPE_A, 4096);
	struct reply r;

	bytes[len - 5] = 1;
	ck_assert_int_eq(ask_bytes(bytes, len, false, &r), DNSFWD_ANSWERED);
	ck_assert_uint_eq(r.rcode, 0);
	ck_assert_uint_eq(r.ext_rcode, 1);
}
END_TEST

START_TEST(test_short_messages_and_responses_get_no_reply)
{
	uint8_t bytes[512];
	size_t len = make_query(bytes, "www.zoo.test", DNS_TYPE_A, -1);
	struct reply r;

	for (size_t short_len = 0; short_len < DNS_HEADER_LEN; short_len++)
		ck_assert_int_eq(ask_bytes(bytes, short_len, false, &r), DNSFWD_DROP);
	bytes[2] |= 0x80;
	ck_assert_int_eq(ask_bytes(bytes, len, false, &r), DNSFWD_DROP);
	ck_assert_uint_eq(dnsfwd_counters(fwd)->dropped, DNS_HEADER_LEN + 1);
}
END_TEST

START_TEST(test_truncated_query_gets_formerr)
{
	uint8_t bytes[512];
	size_t len = make_query(bytes, "www.zoo.test", DNS_TYPE_A, -1);
	struct reply r;

	for (size_t short_len = DNS_HEADER_LEN; short_len < len; short_len++) {
		ck_assert_int_eq(ask_bytes(bytes, short_len, false, &r), DNSFWD_ANSWERED);
		ck_assert_uint_eq(r.rcode, DNS_RCODE_FORMERR);
		ck_assert_uint_eq(r.header.id, 0x1234);
		ck_assert_uint_eq(r.len, DNS_HEADER_LEN);
	}
	ck_assert_uint_eq(dnsfwd_counters(fwd)->formerr, len - DNS_HEADER_LEN);
}
END_TEST

START_TEST(test_other_opcode_gets_notimp)
{
	uint8_t bytes[512];
	size_t len = make_query(bytes, "www.zoo.test", DNS_TYPE_A, -1);
	struct reply r;

	bytes[2] = 0x28; /* UPDATE */
	ck_assert_int_eq(ask_bytes(bytes, len, false, &r), DNSFWD_ANSWERED);
	ck_assert_uint_eq(r.rcode, DNS_RCODE_NOTIMP);
	ck_assert_uint_eq(r.header.flags & DNS_FLAG_OPCODE, 0x2800);
}
END_TEST

START_TEST(test_transfers_and_other_classes_are_refused)
{
	static const uint16_t types[] = {249, 250, 251, 252, 253, 254};
	uint8_t bytes[512];
	struct reply r;

	for (size_t i = 0; i < 6; i++) {
		ck_assert_int_eq(ask("www.zoo.test", types[i], &r), DNSFWD_ANSWERED);
		ck_assert_uint_eq(r.rcode, DNS_RCODE_REFUSED);
	}
	assert_forwarded("www.zoo.test", DNS_TYPE_ANY);
	size_t len = make_query(bytes, "version.bind", 16, -1);
	bytes[len - 1] = 3; /* CH */
	ck_assert_int_eq(ask_bytes(bytes, len, false, &r), DNSFWD_ANSWERED);
	ck_assert_uint_eq(r.rcode, DNS_RCODE_REFUSED);
	ck_assert_uint_eq(dnsfwd_counters(fwd)->refused, 7);
}
END_TEST

START_TEST(test_firmware_that_asks_for_an_address_in_brackets_is_forwarded)
{
	/* EDK2's HTTP boot with http://[fd5a:1::2]/ asks for that as a name. */
	assert_forwarded("[fd5a:1::2]", DNS_TYPE_A);
}
END_TEST

START_TEST(test_client_size_is_kept_within_512_and_4096)
{
	static const int sizes[][2] = {{-1, 512},    {0, 512},     {511, 512},   {512, 512},
				       {1232, 1232}, {4096, 4096}, {4097, 4096}, {65535, 4096}};
	uint8_t bytes[512];
	struct reply r;

	for (size_t i = 0; i < 8; i++) {
		size_t len = make_query(bytes, "www.zoo.test", DNS_TYPE_A, sizes[i][0]);
		ck_assert_int_eq(ask_bytes(bytes, len, false, &r), DNSFWD_FORWARD);
		ck_assert_int_eq(pending.udp_max, sizes[i][1]);
		ck_assert_int_eq(pending.edns, sizes[i][0] >= 0);
	}
}
END_TEST

/* Asks for www.zoo.test and makes an upstream answer of 'len' bytes to it, with another id and
 * other letters. */
static void forward(uint8_t *answer, size_t len, int udp_size, bool over_tcp)
{
	uint8_t query[512];
	struct reply r;
	size_t query_len = make_query(query, "wWw.zoo.test", DNS_TYPE_A, udp_size);

	ck_assert_int_eq(ask_bytes(query, query_len, over_tcp, &r), DNSFWD_FORWARD);
	memset(answer, 0xaa, len);
	make_query(answer, "Www.ZOO.test", DNS_TYPE_A, -1);
	memcpy(answer, "\xff\xfe\x81\x80", 4);
}

static bool answer_with(const uint8_t *answer, size_t len, struct wire_out *ret)
{
	uint8_t *exact = malloc(len ? len : 1);
	bool answered;

	memcpy(exact, answer, len);
	*ret = wire_out(reply_bytes, sizeof(reply_bytes));
	answered = dnsfwd_answer(fwd, &pending, wire_in(exact, len), ret);
	ck_assert(!ret->bad);
	ck_assert(answered || wire_len(ret) == 0);
	free(exact);
	return answered;
}

START_TEST(test_answer_gets_the_clients_id_and_letters_and_keeps_the_rest)
{
	uint8_t answer[600];
	struct wire_out reply;
	struct dns_name name;

	forward(answer, 100, -1, false);
	ck_assert(answer_with(answer, 100, &reply));
	ck_assert_uint_eq(wire_len(&reply), 100);
	ck_assert_mem_eq(reply.start, "\x12\x34\x81\x80", 4);
	ck_assert_mem_eq(reply.start + 4, answer + 4, 8);
	dns_name_parse("wWw.zoo.test", &name);
	ck_assert_mem_eq(reply.start + 12, name.wire, name.len);
	ck_assert_mem_eq(reply.start + 12 + name.len, answer + 12 + name.len, 100 - 12 - name.len);
}
END_TEST

START_TEST(test_answer_to_another_question_is_refused)
{
	uint8_t answer[600], changed[600];
	struct wire_out reply;

	forward(answer, 100, -1, false);
	/* every byte of the question, QR, the opcode and the question count */
	for (size_t at = 2; at < 12 + 14 + 4; at++) {
		if (at == 3 || (at >= 6 && at < 12))
			continue;
		memcpy(changed, answer, 100);
		changed[at] ^= at == 2 ? 0x80 : 0x01;
		ck_assert_msg(!answer_with(changed, 100, &reply), "byte %zu", at);
	}
	memcpy(changed, answer, 100);
	changed[2] |= 0x08;
	ck_assert(!answer_with(changed, 100, &reply));
	ck_assert_uint_gt(dnsfwd_counters(fwd)->bad_upstream_answers, 20);
}
END_TEST

START_TEST(test_short_answers_are_refused)
{
	uint8_t answer[600];
	struct wire_out reply;

	forward(answer, 100, -1, false);
	for (size_t len = 0; len < 12 + 14 + 4; len++)
		ck_assert(!answer_with(answer, len, &reply));
	ck_assert(answer_with(answer, 12 + 14 + 4, &reply)); /* an empty answer passes */
}
END_TEST

START_TEST(test_answer_too_long_for_udp_is_cut_with_tc)
{
	uint8_t answer[2000];
	struct wire_out out;
	struct reply r;

	forward(answer, 513, -1, false);
	answer[3] |= DNS_RCODE_NXDOMAIN;
	ck_assert(answer_with(answer, 512, &out));
	ck_assert_uint_eq(wire_len(&out), 512);
	ck_assert(answer_with(answer, 513, &out));
	parse_reply(wire_in(out.start, wire_len(&out)), &r);
	ck_assert_uint_eq(r.header.flags, 0x8180 | DNS_FLAG_TC | DNS_RCODE_NXDOMAIN);
	ck_assert_uint_eq(r.header.id, 0x1234);
	ck_assert_uint_eq(r.len, 12 + 14 + 4);
	ck_assert_uint_eq(dnsfwd_counters(fwd)->truncated, 1);

	forward(answer, 2000, 1232, false);
	ck_assert(answer_with(answer, 1232, &out));
	ck_assert_uint_eq(wire_len(&out), 1232);
	ck_assert(answer_with(answer, 1233, &out));
	parse_reply(wire_in(out.start, wire_len(&out)), &r);
	ck_assert(r.edns && r.header.flags & DNS_FLAG_TC);
}
END_TEST

START_TEST(test_answer_over_tcp_is_never_cut)
{
	uint8_t *answer = malloc(DNSFWD_MESSAGE_MAX);
	struct wire_out out;

	forward(answer, DNSFWD_MESSAGE_MAX, -1, true);
	ck_assert(answer_with(answer, DNSFWD_MESSAGE_MAX, &out));
	ck_assert_uint_eq(wire_len(&out), DNSFWD_MESSAGE_MAX);
	free(answer);
}
END_TEST

START_TEST(test_silence_upstream_becomes_servfail)
{
	uint8_t bytes[512];
	struct wire_out out = wire_out(reply_bytes, 512);
	struct reply r;

	ask_bytes(bytes, make_query(bytes, "www.zoo.test", DNS_TYPE_A, 1232), false, &r);
	dnsfwd_servfail(fwd, &pending, &out);
	parse_reply(wire_in(out.start, wire_len(&out)), &r);
	ck_assert_uint_eq(r.rcode, DNS_RCODE_SERVFAIL);
	ck_assert_uint_eq(r.header.id, 0x1234);
	ck_assert_uint_eq(r.header.flags & ~DNS_FLAG_RCODE,
			  DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA);
	ck_assert(r.edns);
	ck_assert_uint_eq(dnsfwd_counters(fwd)->servfail, 1);
}
END_TEST

START_TEST(test_bad_domains_are_refused)
{
	static const char *const bad[] = {"", ".", "a..b", ".a", NULL};
	struct dnsfwd_config c = config();
	struct dnsfwd *none;

	for (size_t i = 0; i < 5; i++) {
		c.domain = bad[i];
		ck_assert_int_eq(dnsfwd_new(&none, &c), -EINVAL);
	}
	c = config();
	c.search = "a..b";
	ck_assert_int_eq(dnsfwd_new(&none, &c), -EINVAL);
	dnsfwd_free(NULL);
}
END_TEST

START_TEST(test_guests_without_names_are_no_trouble)
{
	struct dnsfwd_config c = config();

	dnsfwd_free(fwd);
	c.name_to_addr = NULL;
	c.addr_to_name = NULL;
	c.search = NULL;
	ck_assert_int_eq(dnsfwd_new(&fwd, &c), 0);
	assert_forwarded("web", DNS_TYPE_A);
	assert_nothing("web.lwnat.internal", DNS_TYPE_A, DNS_RCODE_NXDOMAIN, "lwnat.internal");
	assert_nothing("15.2.0.10.in-addr.arpa", DNS_TYPE_PTR, DNS_RCODE_NXDOMAIN,
		       "2.0.10.in-addr.arpa");
}
END_TEST

static TCase *names_case(void)
{
	TCase *tc = tcase_create("names");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_host_and_gateway_have_both_addresses);
	tcase_add_test(tc, test_family_that_is_off_has_an_empty_answer);
	tcase_add_test(tc, test_guests_are_found_in_three_ways);
	tcase_add_test(tc, test_unknown_names_of_our_domain_stay_here);
	tcase_add_test(tc, test_soa_of_our_domain_is_an_answer);
	tcase_add_test(tc, test_other_names_go_upstream);
	tcase_add_test(tc, test_guest_named_like_a_zone_does_not_hide_it_from_resolvers);
	tcase_add_test(tc, test_addresses_of_our_subnets_have_names);
	tcase_add_test(tc, test_unknown_addresses_of_our_subnets_stay_here);
	tcase_add_test(tc, test_other_addresses_go_upstream);
	tcase_add_test(tc, test_subnet_between_label_edges_answers_for_its_own_part);
	tcase_add_test(tc, test_bad_domains_are_refused);
	tcase_add_test(tc, test_guests_without_names_are_no_trouble);
	return tc;
}

static TCase *messages_case(void)
{
	TCase *tc = tcase_create("messages");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_question_is_echoed_letter_by_letter);
	tcase_add_test(tc, test_opt_is_answered_with_opt);
	tcase_add_test(tc, test_later_edns_version_gets_badvers);
	tcase_add_test(tc, test_short_messages_and_responses_get_no_reply);
	tcase_add_test(tc, test_truncated_query_gets_formerr);
	tcase_add_test(tc, test_other_opcode_gets_notimp);
	tcase_add_test(tc, test_transfers_and_other_classes_are_refused);
	tcase_add_test(tc, test_firmware_that_asks_for_an_address_in_brackets_is_forwarded);
	tcase_add_test(tc, test_client_size_is_kept_within_512_and_4096);
	tcase_add_test(tc, test_answer_gets_the_clients_id_and_letters_and_keeps_the_rest);
	tcase_add_test(tc, test_answer_to_another_question_is_refused);
	tcase_add_test(tc, test_short_answers_are_refused);
	tcase_add_test(tc, test_answer_too_long_for_udp_is_cut_with_tc);
	tcase_add_test(tc, test_answer_over_tcp_is_never_cut);
	tcase_add_test(tc, test_silence_upstream_becomes_servfail);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("dnsfwd");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, names_case());
	suite_add_tcase(suite, messages_case());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
