/* What is kept of upstream answers, for how long, and how it is given back. */
#include "dns/cache.h"
#include "dns/dns_msg.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct dnscache *cache;
static struct dnsfwd *fwd;
static uint8_t bytes[DNSCACHE_ANSWER_MAX];
static struct wire_out got;

static void open_cache(uint32_t bytes_max, uint32_t answers_n)
{
	struct dnscache_config config = {.bytes = bytes_max, .answers_n = answers_n};
	struct dnsfwd_config names = {.domain = "lwnat.internal"};

	ck_assert_int_eq(dnscache_new(&cache, &config), 0);
	ck_assert_int_eq(dnsfwd_new(&fwd, &names), 0);
}

static void setup(void)
{
	open_cache(65536, 256);
}

static void teardown(void)
{
	dnscache_free(cache);
	dnsfwd_free(fwd);
}

struct asked {
	const char *name;
	uint16_t type, flags;
	bool edns, dnssec_ok, signature;
};

/* As the forwarder would remember it. */
static struct dnsfwd_pending pending_of(const struct asked *asked)
{
	uint8_t query[512], reply[512];
	struct wire_out out = wire_out(query, sizeof(query)), none = wire_out(reply, sizeof(reply));
	struct dns_query q = {.type = asked->type, .class = DNS_CLASS_IN};
	struct dnsfwd_pending ret;

	ck_assert(dns_name_parse(asked->name, &q.name));
	q.header = (struct dns_header){.id = 7,
				       .flags = asked->flags,
				       .question_n = 1,
				       .additional_n = asked->edns + asked->signature};
	dns_header_put(&out, &q.header);
	dns_question_put(&out, &q);
	if (asked->edns)
		dns_opt_put(&out, 1232, asked->dnssec_ok, 0);
	if (asked->signature)
		wire_put_bytes(&out, "\0\0\372\0\377\0\0\0\0\0\0", 11); /* TSIG */
	ck_assert_int_eq(dnsfwd_query(fwd, wire_in(query, wire_len(&out)), false, &none, &ret),
			 DNSFWD_FORWARD);
	return ret;
}

static struct dnsfwd_pending plain(const char *name)
{
	return pending_of(&(struct asked){.name = name, .type = DNS_TYPE_A, .flags = DNS_FLAG_RD});
}

struct reply {
	uint8_t bytes[1024];
	struct wire_out out;
};

static void begin(struct reply *r, const struct dnsfwd_pending *p, unsigned rcode)
{
	struct dns_header header = {
	    .flags = (uint16_t)(DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA | rcode), .question_n = 1};

	r->out = wire_out(r->bytes, sizeof(r->bytes));
	dns_header_put(&r->out, &header);
	wire_put_bytes(&r->out, p->question, p->question_len);
}

static void put_record(struct reply *r, uint16_t type, uint32_t ttl, const void *data, size_t len)
{
	wire_put_u16(&r->out, 0xc00c);
	wire_put_u16(&r->out, type);
	wire_put_u16(&r->out, DNS_CLASS_IN);
	wire_put_u32(&r->out, ttl);
	wire_put_u16(&r->out, (uint16_t)len);
	wire_put_bytes(&r->out, data, len);
}

static void put_answer(struct reply *r, uint32_t ttl)
{
	put_record(r, DNS_TYPE_A, ttl, "\300\0\2\1", 4);
	r->bytes[7]++;
}

static void put_soa(struct reply *r, uint32_t ttl, uint8_t minimum)
{
	uint8_t data[2 + 2 + 20] = {0xc0, 0x0c, 0xc0, 0x0c, [23] = minimum};

	put_record(r, DNS_TYPE_SOA, ttl, data, sizeof(data));
	r->bytes[9]++;
}

static struct wire_in reply_in(const struct reply *r)
{
	ck_assert(!r->out.bad);
	return wire_in(r->bytes, wire_len(&r->out));
}

static void keep(const char *name, uint32_t ttl, uint64_t now_ms)
{
	struct dnsfwd_pending p = plain(name);
	struct reply r;

	begin(&r, &p, 0);
	put_answer(&r, ttl);
	dnscache_put(cache, &p, reply_in(&r), now_ms);
}

static bool find(const struct dnsfwd_pending *p, uint64_t now_ms)
{
	got = wire_out(bytes, sizeof(bytes));
	return dnscache_get(cache, p, now_ms, &got);
}

static bool find_name(const char *name, uint64_t now_ms)
{
	struct dnsfwd_pending p = plain(name);

	return find(&p, now_ms);
}

/* The first record's. */
static uint32_t ttl_of_got(void)
{
	struct wire_in in = wire_in(bytes, wire_len(&got));
	struct dns_header header;
	struct dns_record record;
	struct dns_name name;

	dns_header_get(&in, &header);
	dns_name_get(&in, &name);
	wire_skip(&in, 4);
	ck_assert(dns_record_get(&in, &record));
	return record.ttl;
}

START_TEST(test_answer_is_kept_until_its_ttl_has_run_down)
{
	keep("www.example", 300, 1000);
	ck_assert(find_name("WWW.example", 1000));
	ck_assert_uint_eq(ttl_of_got(), 300);
	ck_assert(find_name("www.example", 1000 + 299999));
	ck_assert_uint_eq(ttl_of_got(), 1);
	ck_assert(!find_name("www.example", 1000 + 300000));
	ck_assert(!find_name("ww.example", 1000));
}
END_TEST

START_TEST(test_newer_answer_takes_the_olders_place)
{
	keep("www.example", 300, 0);
	keep("www.example", 20, 1000);
	ck_assert(find_name("www.example", 2000));
	ck_assert_uint_eq(ttl_of_got(), 19);
	ck_assert(!find_name("www.example", 21000));
}
END_TEST

START_TEST(test_the_least_ttl_counts_and_an_opt_record_has_none)
{
	struct dnsfwd_pending p = plain("www.example");
	struct reply r;

	begin(&r, &p, 0);
	put_answer(&r, 300);
	put_answer(&r, 60);
	dns_opt_put(&r.out, 1232, true, 0);
	r.bytes[11]++;
	ck_assert_uint_eq(dnscache_ttl(reply_in(&r)), 60);
	dnscache_put(cache, &p, reply_in(&r), 0);
	ck_assert(find(&p, 59000));
	ck_assert_uint_eq(ttl_of_got(), 241);
	ck_assert_mem_eq(bytes + wire_len(&got) - 11, r.out.at - 11, 11);
}
END_TEST

START_TEST(test_negative_answers_are_kept_as_their_soa_says)
{
	struct dnsfwd_pending p = plain("www.example");
	struct reply r;

	for (unsigned rcode = 0; rcode <= 3; rcode += 3) {
		begin(&r, &p, rcode);
		ck_assert_uint_eq(dnscache_ttl(reply_in(&r)), 0);
		put_soa(&r, 3600, 30);
		ck_assert_uint_eq(dnscache_ttl(reply_in(&r)), 30);
		begin(&r, &p, rcode);
		put_soa(&r, 20, 30);
		ck_assert_uint_eq(dnscache_ttl(reply_in(&r)), 20);
	}
}
END_TEST

START_TEST(test_long_negative_and_long_positive_ttls_are_cut)
{
	struct dnsfwd_pending p = plain("www.example");
	struct reply r;

	begin(&r, &p, 0);
	put_answer(&r, 0x7fffffff);
	ck_assert_uint_eq(dnscache_ttl(reply_in(&r)), DNSCACHE_TTL_MAX_S);
	begin(&r, &p, 3);
	put_soa(&r, 86400, 255);
	r.bytes[wire_len(&r.out) - 2] = 0xff;
	ck_assert_uint_eq(dnscache_ttl(reply_in(&r)), DNSCACHE_NEGATIVE_MAX_S);
	begin(&r, &p, 0);
	put_answer(&r, 0x80000000u); /* RFC 2181 section 8 */
	ck_assert_uint_eq(dnscache_ttl(reply_in(&r)), 0);
}
END_TEST

START_TEST(test_failures_are_hardly_kept_and_refusals_and_cut_answers_not_at_all)
{
	struct dnsfwd_pending p = plain("www.example");
	struct reply r;

	begin(&r, &p, DNS_RCODE_SERVFAIL);
	ck_assert_uint_eq(dnscache_ttl(reply_in(&r)), DNSCACHE_FAILURE_S);
	begin(&r, &p, DNS_RCODE_REFUSED);
	put_soa(&r, 60, 60);
	ck_assert_uint_eq(dnscache_ttl(reply_in(&r)), 0);
	begin(&r, &p, 0);
	put_answer(&r, 60);
	r.bytes[2] |= DNS_FLAG_TC >> 8;
	ck_assert_uint_eq(dnscache_ttl(reply_in(&r)), 0);
	begin(&r, &p, 0);
	put_answer(&r, 0);
	ck_assert_uint_eq(dnscache_ttl(reply_in(&r)), 0);
}
END_TEST

START_TEST(test_every_cut_of_an_answer_is_survived)
{
	struct dnsfwd_pending p = plain("www.example");
	struct reply r;

	begin(&r, &p, 3);
	put_soa(&r, 60, 60);
	for (size_t len = 0; len < wire_len(&r.out); len++) {
		struct wire_in in = wire_in(r.bytes, len);

		ck_assert_uint_eq(dnscache_ttl(in), 0);
		dnscache_put(cache, &p, in, 0);
	}
	ck_assert(!find(&p, 0));
}
END_TEST

START_TEST(test_what_changes_the_answer_keeps_answers_apart)
{
	const struct asked kinds[] = {
	    {"www.example", DNS_TYPE_A, DNS_FLAG_RD, false, false, false},
	    {"www.example", DNS_TYPE_AAAA, DNS_FLAG_RD, false, false, false},
	    {"www.example", DNS_TYPE_A, DNS_FLAG_RD, true, false, false},
	    {"www.example", DNS_TYPE_A, DNS_FLAG_RD, true, true, false},
	    {"www.example", DNS_TYPE_A, DNS_FLAG_RD | DNS_FLAG_CD, true, true, false},
	    {"www.example", DNS_TYPE_A, DNS_FLAG_RD | DNS_FLAG_AD, false, false, false},
	    {"www.example", DNS_TYPE_A, 0, false, false, false},
	};

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct dnsfwd_pending p = pending_of(&kinds[i]);
		struct reply r;

		ck_assert_msg(!find(&p, 0), "kind %u", i);
		begin(&r, &p, 0);
		put_answer(&r, 100 + i);
		dnscache_put(cache, &p, reply_in(&r), 0);
		ck_assert(find(&p, 0));
		ck_assert_uint_eq(ttl_of_got(), 100 + i);
	}
}
END_TEST

START_TEST(test_signed_queries_are_nobody_elses)
{
	const struct asked asked = {"www.example", DNS_TYPE_A, DNS_FLAG_RD, false, false, true};
	struct dnsfwd_pending p = pending_of(&asked);
	struct reply r;

	begin(&r, &p, 0);
	put_answer(&r, 100);
	dnscache_put(cache, &p, reply_in(&r), 0);
	ck_assert(!find(&p, 0));
	ck_assert(!find_name("www.example", 0));
}
END_TEST

/* Whatever is dropped: what is found is right, and memory is what was asked for. */
START_TEST(test_crowd_of_names_pushes_the_oldest_out)
{
	struct dnscache_state state;
	char name[64];

	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "host%u.%.*s.example", i, (int)(i % 40) + 1,
			 "abcdefghijabcdefghijabcdefghijabcdefghij");
		keep(name, 1000 + i, 0);
		ck_assert(find_name(name, 0));
		ck_assert_uint_eq(ttl_of_got(), 1000 + i);
		dnscache_state(cache, &state);
		ck_assert_uint_le(state.answers_n, 256);
		ck_assert_uint_le(state.bytes_n, 65536);
	}
	ck_assert(!find_name("host0.a.example", 0));
	ck_assert_uint_eq(state.counters.stored, 5000);
	ck_assert_uint_eq(state.counters.evicted, 5000 - state.answers_n);
	dnscache_flush(cache);
	ck_assert(!find_name(name, 0));
	keep(name, 5, 0);
	ck_assert(find_name(name, 0));
}
END_TEST

START_TEST(test_large_answers_share_little_memory)
{
	static uint8_t big[DNSCACHE_ANSWER_MAX + 1];
	struct dnsfwd_pending p;
	struct reply r;
	char name[32];

	for (unsigned i = 0; i < 300; i++) {
		size_t len = 3000 + i * 37 % 5000;

		snprintf(name, sizeof(name), "n%u.example", i);
		p = plain(name);
		begin(&r, &p, 0);
		put_answer(&r, 100 + i);
		memset(big, 0, sizeof(big));
		memcpy(big, r.bytes, wire_len(&r.out));
		dnscache_put(cache, &p, wire_in(big, len), 0);
		ck_assert(find(&p, 0));
		ck_assert_uint_eq(wire_len(&got), len);
		ck_assert_uint_eq(ttl_of_got(), 100 + i);
	}
	p = plain("huge.example");
	begin(&r, &p, 0);
	put_answer(&r, 100);
	memcpy(big, r.bytes, wire_len(&r.out));
	dnscache_put(cache, &p, wire_in(big, sizeof(big)), 0);
	ck_assert(!find(&p, 0));
}
END_TEST

START_TEST(test_bad_sizes_are_refused)
{
	struct dnscache_config config = {.bytes = 100, .answers_n = 10};
	struct dnscache *none = NULL;

	ck_assert_int_eq(dnscache_new(&none, &config), -22);
	config = (struct dnscache_config){.bytes = 65536};
	ck_assert_int_eq(dnscache_new(&none, &config), -22);
	dnscache_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dns_cache");
	TCase *tc = tcase_create("cache");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_answer_is_kept_until_its_ttl_has_run_down);
	tcase_add_test(tc, test_newer_answer_takes_the_olders_place);
	tcase_add_test(tc, test_the_least_ttl_counts_and_an_opt_record_has_none);
	tcase_add_test(tc, test_negative_answers_are_kept_as_their_soa_says);
	tcase_add_test(tc, test_long_negative_and_long_positive_ttls_are_cut);
	tcase_add_test(tc, test_failures_are_hardly_kept_and_refusals_and_cut_answers_not_at_all);
	tcase_add_test(tc, test_every_cut_of_an_answer_is_survived);
	tcase_add_test(tc, test_what_changes_the_answer_keeps_answers_apart);
	tcase_add_test(tc, test_signed_queries_are_nobody_elses);
	tcase_add_test(tc, test_crowd_of_names_pushes_the_oldest_out);
	tcase_add_test(tc, test_large_answers_share_little_memory);
	tcase_add_test(tc, test_bad_sizes_are_refused);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
