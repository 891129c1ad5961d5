#include "dns/dns_msg.h"

#include <check.h>
#include <stdlib.h>

/* busybox nslookup on Linux/x86 asking for the IPv4 address of www.zoo.test. */
static const uint8_t busybox_query[] = "\x6b\x64\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
				       "\x03www\x03zoo\x04test\x00\x00\x01\x00\x01";
#define BUSYBOX_LEN (sizeof(busybox_query) - 1)

#define HEADER(flags, qd, an, ns, ar) "\x12\x34" flags "\x00" qd "\x00" an "\x00" ns "\x00" ar
#define QUESTION                                                                                   \
	"\x01"                                                                                     \
	"a\x00\x00\x01\x00\x01"
#define OPT_RECORD "\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00"

static enum dns_verdict get(const void *bytes, size_t len, struct dns_query *ret)
{
	return dns_query_get(wire_in(bytes, len), ret);
}

#define GET(literal, ret) get(literal, sizeof(literal) - 1, ret)

START_TEST(test_captured_query_is_read)
{
	struct dns_query q;
	struct dns_name name;

	ck_assert_int_eq(get(busybox_query, BUSYBOX_LEN, &q), DNS_QUERY_OK);
	ck_assert_uint_eq(q.header.id, 27492);
	ck_assert_uint_eq(q.header.flags, DNS_FLAG_RD);
	ck_assert_uint_eq(q.type, DNS_TYPE_A);
	ck_assert_uint_eq(q.class, DNS_CLASS_IN);
	ck_assert(!q.edns.present);
	ck_assert(dns_name_parse("www.zoo.test", &name));
	ck_assert(dns_name_eq(&q.name, &name));
}
END_TEST

START_TEST(test_every_shorter_query_is_refused)
{
	struct dns_query q;

	for (size_t len = 0; len < BUSYBOX_LEN; len++) {
		uint8_t *exact = malloc(len ? len : 1); /* so that ASan sees a byte too many */
		memcpy(exact, busybox_query, len);
		ck_assert_int_eq(get(exact, len, &q),
				 len < DNS_HEADER_LEN ? DNS_QUERY_NOT_ONE : DNS_QUERY_MALFORMED);
		ck_assert_uint_eq(q.name.len, 0);
		free(exact);
	}
}
END_TEST

START_TEST(test_response_is_not_a_query)
{
	struct dns_query q;
	ck_assert_int_eq(GET(HEADER("\x81\x80", "\x01", "\x00", "\x00", "\x00") QUESTION, &q),
			 DNS_QUERY_NOT_ONE);
}
END_TEST

START_TEST(test_other_opcodes_are_unknown)
{
	struct dns_query q;
	ck_assert_int_eq(GET(HEADER("\x28\x00", "\x01", "\x00", "\x00", "\x00") QUESTION, &q),
			 DNS_QUERY_UNKNOWN_OPCODE);
}
END_TEST

START_TEST(test_none_or_two_questions_are_malformed)
{
	struct dns_query q;
	ck_assert_int_eq(GET(HEADER("\x01\x00", "\x00", "\x00", "\x00", "\x00"), &q),
			 DNS_QUERY_MALFORMED);
	ck_assert_int_eq(
	    GET(HEADER("\x01\x00", "\x02", "\x00", "\x00", "\x00") QUESTION QUESTION, &q),
	    DNS_QUERY_MALFORMED);
}
END_TEST

START_TEST(test_pointer_in_the_question_is_malformed)
{
	struct dns_query q;
	/* to itself, to the header, behind the end, and after a label */
	static const char *const names[] = {"\xc0\x0c", "\xc0\x02", "\xff\xff", "\x01x\xc0\x0c"};

	for (size_t i = 0; i < 4; i++) {
		uint8_t bytes[64] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";
		size_t name_len = i == 3 ? 4 : 2;
		memcpy(bytes + DNS_HEADER_LEN, names[i], name_len);
		memcpy(bytes + DNS_HEADER_LEN + name_len, "\x00\x01\x00\x01", 4);
		ck_assert_int_eq(get(bytes, DNS_HEADER_LEN + name_len + 4, &q),
				 DNS_QUERY_MALFORMED);
	}
}
END_TEST

/* A query for a name of labels of 'label_len' until 'name_len' bytes, the root included. */
static size_t long_query(uint8_t *bytes, unsigned name_len, unsigned label_len)
{
	struct wire_out out = wire_out(bytes, 512);
	struct dns_header header = {.id = 1, .question_n = 1};
	unsigned left = name_len - 1;

	dns_header_put(&out, &header);
	while (left) {
		unsigned len = left > label_len ? label_len : left - 1;
		if (left - len - 1 == 1) /* what remains must hold a label */
			len--;
		wire_put_u8(&out, (uint8_t)len);
		for (unsigned i = 0; i < len; i++)
			wire_put_u8(&out, 'x');
		left -= len + 1;
	}
	wire_put_u8(&out, 0);
	wire_put_u16(&out, DNS_TYPE_A);
	wire_put_u16(&out, DNS_CLASS_IN);
	ck_assert(!out.bad);
	return wire_len(&out);
}

START_TEST(test_name_of_255_bytes_is_read_and_256_are_malformed)
{
	struct dns_query q;
	uint8_t bytes[512];

	for (unsigned label_len = 1; label_len <= 63; label_len += 62) {
		ck_assert_int_eq(get(bytes, long_query(bytes, 255, label_len), &q), DNS_QUERY_OK);
		ck_assert_uint_eq(q.name.len, 255);
		/* One-byte labels give odd lengths only. */
		unsigned too_long = label_len == 1 ? 257 : 256;
		ck_assert_int_eq(get(bytes, long_query(bytes, too_long, label_len), &q),
				 DNS_QUERY_MALFORMED);
	}
}
END_TEST

START_TEST(test_label_of_64_bytes_is_malformed)
{
	struct dns_query q;
	uint8_t bytes[512];
	size_t len = long_query(bytes, 70, 63);

	bytes[DNS_HEADER_LEN] = 64;
	ck_assert_int_eq(get(bytes, len, &q), DNS_QUERY_MALFORMED);
}
END_TEST

START_TEST(test_the_root_is_a_name)
{
	struct dns_query q;
	ck_assert_int_eq(
	    GET(HEADER("\x01\x00", "\x01", "\x00", "\x00", "\x00") "\x00\x00\x02\x00\x01", &q),
	    DNS_QUERY_OK);
	ck_assert_uint_eq(q.name.len, 1);
	ck_assert_uint_eq(q.type, DNS_TYPE_NS);
}
END_TEST

START_TEST(test_opt_record_is_read)
{
	struct dns_query q;
	ck_assert_int_eq(
	    GET(HEADER("\x01\x00", "\x01", "\x00", "\x00", "\x01") QUESTION OPT_RECORD, &q),
	    DNS_QUERY_OK);
	ck_assert(q.edns.present && q.edns.dnssec_ok);
	ck_assert_uint_eq(q.edns.udp_size, 1232);
	ck_assert_uint_eq(q.edns.version, 0);
}
END_TEST

START_TEST(test_opt_is_found_behind_other_records)
{
	struct dns_query q;
	/* a compressed owner name, and rdata that looks like nothing */
	ck_assert_int_eq(GET(HEADER("\x01\x00", "\x01", "\x00", "\x00", "\x02") QUESTION
			     "\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x00\x00\x02\xff\xff" OPT_RECORD,
			     &q),
			 DNS_QUERY_OK);
	ck_assert(q.edns.present);
}
END_TEST

START_TEST(test_two_opt_records_are_malformed)
{
	struct dns_query q;
	ck_assert_int_eq(GET(HEADER("\x01\x00", "\x01", "\x00", "\x00", "\x02")
				 QUESTION OPT_RECORD OPT_RECORD,
			     &q),
			 DNS_QUERY_MALFORMED);
	ck_assert(!q.edns.present);
	ck_assert_uint_gt(q.name.len, 0); /* the question may be echoed */
}
END_TEST

START_TEST(test_opt_outside_its_place_is_malformed)
{
	struct dns_query q;
	/* in the answer section, and with an owner other than the root */
	ck_assert_int_eq(
	    GET(HEADER("\x01\x00", "\x01", "\x01", "\x00", "\x00") QUESTION OPT_RECORD, &q),
	    DNS_QUERY_MALFORMED);
	ck_assert_int_eq(
	    GET(HEADER("\x01\x00", "\x01", "\x00", "\x00", "\x01") QUESTION "\x01x" OPT_RECORD, &q),
	    DNS_QUERY_MALFORMED);
}
END_TEST

START_TEST(test_records_that_are_promised_and_missing_are_malformed)
{
	struct dns_query q;
	ck_assert_int_eq(GET(HEADER("\x01\x00", "\x01", "\xff", "\xff", "\xff") QUESTION, &q),
			 DNS_QUERY_MALFORMED);
	/* an OPT whose options would reach behind the end */
	ck_assert_int_eq(GET(HEADER("\x01\x00", "\x01", "\x00", "\x00", "\x01") QUESTION
			     "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\xff\xff",
			     &q),
			 DNS_QUERY_MALFORMED);
}
END_TEST

START_TEST(test_name_text_is_checked)
{
	struct dns_name name;
	char text[300];

	ck_assert(dns_name_parse("lwnat.internal.", &name));
	ck_assert_uint_eq(name.len, 16);
	ck_assert(dns_name_parse("a", &name));
	ck_assert(!dns_name_parse("", &name));
	ck_assert(!dns_name_parse(".", &name));
	ck_assert(!dns_name_parse("a..b", &name));
	ck_assert(!dns_name_parse(".a", &name));
	memset(text, 'x', sizeof(text));
	text[63] = '\0';
	ck_assert(dns_name_parse(text, &name));
	text[63] = 'x';
	text[64] = '\0';
	ck_assert(!dns_name_parse(text, &name));
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 2 ? '.' : 'x';
	text[253] = '\0';
	ck_assert(dns_name_parse(text, &name));
	ck_assert_uint_eq(name.len, 255);
	text[253] = '.';
	text[255] = '\0';
	ck_assert(!dns_name_parse(text, &name));
}
END_TEST

START_TEST(test_suffix_is_found_only_at_a_labels_edge)
{
	struct dns_name name, suffix, root = {1, {0}};

	dns_name_parse("web.LWNAT.internal", &name);
	dns_name_parse("lwnat.Internal", &suffix);
	ck_assert_int_eq(dns_name_suffix(&name, &suffix), 4);
	ck_assert_int_eq(dns_name_suffix(&suffix, &suffix), 0);
	ck_assert_int_eq(dns_name_suffix(&suffix, &name), -1);
	dns_name_parse("xlwnat.internal", &name);
	ck_assert_int_eq(dns_name_suffix(&name, &suffix), -1);
	ck_assert_int_eq(dns_name_suffix(&root, &suffix), -1);
	suffix.len = 0;
	ck_assert_int_eq(dns_name_suffix(&name, &suffix), -1);
}
END_TEST

START_TEST(test_label_text_is_lower_case_and_free_of_surprises)
{
	struct dns_name name = {0};
	char label[DNS_LABEL_TEXT_MAX];

	dns_name_parse("Web-1_x.internal", &name);
	ck_assert(dns_name_label(&name, 0, label));
	ck_assert_str_eq(label, "web-1_x");
	ck_assert(!dns_name_label(&name, name.len - 1u, label));
	for (unsigned c = 0; c < 256; c++) {
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || c == '-' || c == '_';
		name.wire[1] = (uint8_t)c;
		ck_assert_int_eq(dns_name_label(&name, 0, label), plain);
	}
}
END_TEST

START_TEST(test_upstream_query_gets_a_bare_opt_and_another_id)
{
	/* version 0, DO, size 4096 and a cookie, as dig sends it */
	static const uint8_t query[] = HEADER("\x01\x20", "\x01", "\x00", "\x00", "\x01") QUESTION
	    "\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x0c\x00\x0a\x00\x08"
	    "12345678";
	static const uint8_t expected[] =
	    "\xab\xcd\x01\x20\x00\x01\x00\x00\x00\x00\x00\x01" QUESTION
	    "\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00";
	uint8_t bytes[64];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	ck_assert(dns_query_put_upstream(wire_in(query, sizeof(query) - 1), 0xabcd, 1232, &out));
	ck_assert(!out.bad);
	ck_assert_uint_eq(wire_len(&out), sizeof(expected) - 1);
	ck_assert_mem_eq(bytes, expected, sizeof(expected) - 1);
}
END_TEST

START_TEST(test_upstream_query_without_opt_stays_as_it_is)
{
	uint8_t bytes[64];
	struct wire_out out = wire_out(bytes, sizeof(bytes));

	ck_assert(!dns_query_put_upstream(wire_in(busybox_query, BUSYBOX_LEN), 0xabcd, 1232, &out));
	ck_assert_uint_eq(wire_len(&out), BUSYBOX_LEN);
	ck_assert_mem_eq(bytes, "\xab\xcd", 2);
	ck_assert_mem_eq(bytes + 2, busybox_query + 2, BUSYBOX_LEN - 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dns_msg");
	TCase *tc = tcase_create("dns_msg");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, test_captured_query_is_read);
	tcase_add_test(tc, test_every_shorter_query_is_refused);
	tcase_add_test(tc, test_response_is_not_a_query);
	tcase_add_test(tc, test_other_opcodes_are_unknown);
	tcase_add_test(tc, test_none_or_two_questions_are_malformed);
	tcase_add_test(tc, test_pointer_in_the_question_is_malformed);
	tcase_add_test(tc, test_name_of_255_bytes_is_read_and_256_are_malformed);
	tcase_add_test(tc, test_label_of_64_bytes_is_malformed);
	tcase_add_test(tc, test_the_root_is_a_name);
	tcase_add_test(tc, test_opt_record_is_read);
	tcase_add_test(tc, test_opt_is_found_behind_other_records);
	tcase_add_test(tc, test_two_opt_records_are_malformed);
	tcase_add_test(tc, test_opt_outside_its_place_is_malformed);
	tcase_add_test(tc, test_records_that_are_promised_and_missing_are_malformed);
	tcase_add_test(tc, test_name_text_is_checked);
	tcase_add_test(tc, test_suffix_is_found_only_at_a_labels_edge);
	tcase_add_test(tc, test_label_text_is_lower_case_and_free_of_surprises);
	tcase_add_test(tc, test_upstream_query_gets_a_bare_opt_and_another_id);
	tcase_add_test(tc, test_upstream_query_without_opt_stays_as_it_is);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
