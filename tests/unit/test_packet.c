/* Reading IPv6: extension headers, bounded, and what each error of them is called. */
#include "stack/nat/packet.h"
#include "stack/base/wire.h"
#include "tests/support/frames.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, NONE = 59, DESTINATION = 60 };

/* A packet under construction: its headers, each 8 bytes, then a UDP datagram. */
struct build {
	uint8_t bytes[400];
	struct wire_out out;
	size_t next_at; /* where the number of the next header goes */
	struct packet packet;
};

static void begin(struct build *b, const char *dst)
{
	struct addr src, to;

	addr_parse("fec0::15", &src);
	addr_parse(dst, &to);
	b->out = wire_out(b->bytes, sizeof(b->bytes));
	frames_eth(&b->out, &(struct mac){{2}}, &(struct mac){{4}}, ETHERTYPE_IPV6);
	wire_put_u32(&b->out, 0x60000000);
	wire_put_u16(&b->out, 0);
	b->next_at = wire_len(&b->out);
	wire_put_u16(&b->out, 59 << 8 | 64);
	wire_put_bytes(&b->out, src.b, 16);
	wire_put_bytes(&b->out, to.b, 16);
}

/* A header of 8 bytes; the last six as given. */
static void header(struct build *b, uint8_t kind, const char *body)
{
	b->bytes[b->next_at] = kind;
	b->next_at = wire_len(&b->out);
	wire_put_u8(&b->out, NONE);
	wire_put_u8(&b->out, 0);
	wire_put_bytes(&b->out, body, 6);
}

static enum packet_verdict end(struct build *b, uint8_t proto)
{
	b->bytes[b->next_at] = proto;
	if (proto != NONE)
		wire_put_bytes(&b->out,
			       "\x13\x88\x00\x35\x00\x0c\x00\x00"
			       "abcd",
			       12);
	wire_patch_u16(&b->out, 14 + 4, (uint16_t)(wire_len(&b->out) - 54));
	return packet_read(&b->packet, b->bytes, wire_len(&b->out));
}

#define PADDING "\x01\x04\0\0\0\0"

START_TEST(test_known_headers_are_passed_over)
{
	struct udp_datagram udp;
	struct build b;

	begin(&b, "2001:db8::1");
	header(&b, HOP_BY_HOP, "\x05\x02\0\0\0\0"); /* router alert, pads */
	header(&b, DESTINATION, PADDING);
	header(&b, ROUTING, "\x02\0\0\0\0\0");  /* no segments left */
	header(&b, FRAGMENT, "\0\0\0\0\0\x07"); /* the only one */
	header(&b, DESTINATION, PADDING);
	ck_assert_int_eq(end(&b, IPPROTO_NUMBER_UDP), PACKET_OK);
	ck_assert_int_eq(b.packet.problem, PACKET_NO_PROBLEM);
	ck_assert(!b.packet.fragment);
	ck_assert_uint_eq(b.packet.proto, IPPROTO_NUMBER_UDP);
	ck_assert_uint_eq(b.packet.l4_len, 12);
	ck_assert_uint_eq(b.packet.next_header_at, 40 + 4 * 8);
	ck_assert_int_eq(packet_read_udp(&udp, &b.packet), PACKET_OK);
	ck_assert_uint_eq(udp.dst_port, 53);
	ck_assert_mem_eq(udp.data, "abcd", 4);
}
END_TEST

START_TEST(test_a_packet_cut_anywhere_is_malformed)
{
	struct build b;
	size_t len;

	begin(&b, "2001:db8::1");
	header(&b, HOP_BY_HOP, PADDING);
	header(&b, ROUTING, "\x02\0\0\0\0\0");
	header(&b, DESTINATION, PADDING);
	end(&b, IPPROTO_NUMBER_UDP);
	len = wire_len(&b.out);
	for (size_t cut = 0; cut < 54 + 24; cut++) {
		struct packet p;
		uint8_t *copy = malloc(cut + 1);

		memcpy(copy, b.bytes, cut);
		if (cut >= 20) /* a length that agrees with the cut */
			copy[19] = (uint8_t)(cut > 54 ? cut - 54 : 0);
		ck_assert_int_eq(packet_read(&p, copy, cut), PACKET_MALFORMED);
		free(copy);
	}
	ck_assert_int_eq(packet_read(&b.packet, b.bytes, len - 1), PACKET_MALFORMED);
	ck_assert_int_eq(packet_read(&b.packet, b.bytes, len), PACKET_OK);
}
END_TEST

START_TEST(test_length_that_leads_beyond_the_packet_is_malformed)
{
	struct build b;

	begin(&b, "2001:db8::1");
	header(&b, DESTINATION, PADDING);
	b.bytes[54 + 1] = 255;
	ck_assert_int_eq(end(&b, IPPROTO_NUMBER_UDP), PACKET_MALFORMED);
}
END_TEST

static enum packet_verdict read_option(struct build *b, const char *dst, uint8_t type)
{
	char body[6] = {1, 0, (char)type, 1, 0, 0};

	begin(b, dst);
	header(b, HOP_BY_HOP, body);
	return end(b, IPPROTO_NUMBER_UDP);
}

START_TEST(test_unknown_options_get_what_they_ask_for)
{
	struct build b;

	ck_assert_int_eq(read_option(&b, "2001:db8::1", 0x1e), PACKET_OK);
	ck_assert_int_eq(b.packet.problem, PACKET_NO_PROBLEM);
	ck_assert_int_eq(read_option(&b, "2001:db8::1", 0x5e), PACKET_OTHER);
	ck_assert_int_eq(read_option(&b, "2001:db8::1", 0x9e), PACKET_OK);
	ck_assert_int_eq(b.packet.problem, PACKET_BAD_OPTION);
	ck_assert_uint_eq(b.packet.problem_at, 40 + 4);
	ck_assert_int_eq(read_option(&b, "ff02::1", 0x9e), PACKET_OK);
	ck_assert_int_eq(b.packet.problem, PACKET_BAD_OPTION);
	ck_assert_int_eq(read_option(&b, "2001:db8::1", 0xde), PACKET_OK);
	ck_assert_int_eq(b.packet.problem, PACKET_BAD_OPTION);
	ck_assert_int_eq(read_option(&b, "ff02::1", 0xde), PACKET_OK);
	ck_assert_int_eq(b.packet.problem, PACKET_NO_PROBLEM);
}
END_TEST

START_TEST(test_option_longer_than_its_header_is_named)
{
	struct build b;

	begin(&b, "2001:db8::1");
	header(&b, DESTINATION, "\x01\x05\0\0\0\0");
	end(&b, IPPROTO_NUMBER_UDP);
	ck_assert_int_eq(b.packet.problem, PACKET_BAD_FIELD);
	ck_assert_uint_eq(b.packet.problem_at, 42);
}
END_TEST

START_TEST(test_hop_by_hop_options_come_first_or_not_at_all)
{
	struct build b;

	begin(&b, "2001:db8::1");
	header(&b, DESTINATION, PADDING);
	header(&b, HOP_BY_HOP, PADDING);
	ck_assert_int_eq(end(&b, IPPROTO_NUMBER_UDP), PACKET_OK);
	ck_assert_int_eq(b.packet.problem, PACKET_BAD_NEXT_HEADER);
	ck_assert_uint_eq(b.packet.problem_at, 40);
}
END_TEST

START_TEST(test_segments_left_in_a_routing_header_are_named)
{
	for (int type = 0; type < 5; type++) {
		char body[6] = {(char)type, 1, 0, 0, 0, 0};
		struct build b;

		begin(&b, "2001:db8::1");
		header(&b, ROUTING, body);
		ck_assert_int_eq(end(&b, IPPROTO_NUMBER_UDP), PACKET_OK);
		ck_assert_int_eq(b.packet.problem, PACKET_BAD_FIELD);
		ck_assert_uint_eq(b.packet.problem_at, 42);
	}
}
END_TEST

START_TEST(test_rows_of_headers_end_somewhere)
{
	struct build b;

	for (int n = 1; n < 20; n++) {
		begin(&b, "2001:db8::1");
		for (int i = 0; i < n; i++)
			header(&b, DESTINATION, PADDING);
		ck_assert_int_eq(end(&b, IPPROTO_NUMBER_UDP),
				 n <= 8 ? PACKET_OK : PACKET_MALFORMED);
	}
}
END_TEST

START_TEST(test_packet_without_a_payload_is_passed_over)
{
	struct build b;

	begin(&b, "2001:db8::1");
	ck_assert_int_eq(end(&b, NONE), PACKET_OTHER);
	begin(&b, "2001:db8::1");
	header(&b, DESTINATION, PADDING);
	ck_assert_int_eq(end(&b, NONE), PACKET_OTHER);
}
END_TEST

START_TEST(test_unknown_protocol_is_the_callers_to_refuse)
{
	struct build b;

	begin(&b, "2001:db8::1");
	header(&b, DESTINATION, PADDING);
	ck_assert_int_eq(end(&b, 132), PACKET_OK);
	ck_assert_uint_eq(b.packet.proto, 132);
	ck_assert_uint_eq(b.packet.next_header_at, 40);
}
END_TEST

/* 12 bytes of payload follow each of these. */
START_TEST(test_fragments_are_known_and_checked)
{
	struct build b;

	begin(&b, "2001:db8::1");
	header(&b, DESTINATION, PADDING);
	header(&b, FRAGMENT, "\0\x08\0\0\0\x07"); /* the last one */
	ck_assert_int_eq(end(&b, IPPROTO_NUMBER_UDP), PACKET_OK);
	ck_assert(b.packet.fragment);
	ck_assert_ptr_eq(b.packet.l4, b.packet.ip + 48);
	ck_assert_uint_eq(b.packet.l4_len, 8 + 12);
	begin(&b, "2001:db8::1");
	header(&b, FRAGMENT, "\0\x01\0\0\0\x07"); /* more follow, and 12 is no multiple of 8 */
	end(&b, IPPROTO_NUMBER_UDP);
	ck_assert_int_eq(b.packet.problem, PACKET_BAD_FIELD);
	ck_assert_uint_eq(b.packet.problem_at, 4);
	begin(&b, "2001:db8::1");
	header(&b, FRAGMENT, "\xff\xf8\0\0\0\x07"); /* ends beyond 65,535 bytes */
	end(&b, IPPROTO_NUMBER_UDP);
	ck_assert_int_eq(b.packet.problem, PACKET_BAD_FIELD);
	ck_assert_uint_eq(b.packet.problem_at, 42);
}
END_TEST

START_TEST(test_mapped_addresses_are_malformed)
{
	struct build b;

	begin(&b, "2001:db8::1");
	memset(b.bytes + 14 + 24, 0, 10);
	memset(b.bytes + 14 + 34, 0xff, 2);
	ck_assert_int_eq(end(&b, IPPROTO_NUMBER_UDP), PACKET_MALFORMED);
}
END_TEST

int main(void)
{
	return SUITE_RUN(
	    "packet", test_known_headers_are_passed_over, test_a_packet_cut_anywhere_is_malformed,
	    test_length_that_leads_beyond_the_packet_is_malformed,
	    test_unknown_options_get_what_they_ask_for, test_option_longer_than_its_header_is_named,
	    test_hop_by_hop_options_come_first_or_not_at_all,
	    test_segments_left_in_a_routing_header_are_named, test_rows_of_headers_end_somewhere,
	    test_packet_without_a_payload_is_passed_over,
	    test_unknown_protocol_is_the_callers_to_refuse, test_fragments_are_known_and_checked,
	    test_mapped_addresses_are_malformed);
}
