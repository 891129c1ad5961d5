/* Real clients' messages against our server: each exchange has to go through, with an answer that
 * this client can use. */
#include "dhcp/dhcpd.h"
#include "tests/support/dhcp_bed.h"
#include "tests/support/dhcp_captures.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct dhcp_bed bed;

static struct dhcpd_config boot_config(void)
{
	static const char *const search[] = {"lab.example", "example"};
	struct dhcpd_config config = dhcp_bed_config();
	config.domainname = "lab.example";
	config.search = search;
	config.search_n = 2;
	config.hostname = "guest";
	config.bootfile = "boot/pxelinux.0";
	config.tftp_server_name = "192.168.31.2";
	return config;
}

/* The value of an option in the request, or NULL; none of the captures has option 52. */
static uint8_t *request_option(uint8_t *bytes, size_t len, uint8_t code, uint8_t *ret_len)
{
	size_t at = 240;
	while (at + 1 < len && bytes[at] != 255) {
		if (bytes[at] == 0) {
			at++;
			continue;
		}
		if (bytes[at] == code) {
			*ret_len = bytes[at + 1];
			return bytes + at + 2;
		}
		at += 2u + bytes[at + 1];
	}
	return NULL;
}

static void patch(uint8_t *bytes, size_t len, uint8_t code, uint32_t value)
{
	uint8_t n;
	uint8_t *at = request_option(bytes, len, code, &n);
	if (!at)
		return;
	ck_assert_uint_eq(n, 4);
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* What this server has for option 'code'; -1: nothing. */
static int expected_len(uint8_t code)
{
	switch (code) {
	case 1:
	case 3:
	case 6:
	case 28:
	case 51:
	case 54:
	case 58:
	case 59:
		return 4;
	case 26:
		return 2;
	case 12:
		return (int)strlen("guest");
	case 15:
		return (int)strlen("lab.example");
	case 66:
		return (int)strlen("192.168.31.2");
	case 67:
		return (int)strlen("boot/pxelinux.0");
	case 119:
		return 13 + 2;
	default:
		return -1;
	}
}

static void expect_what_was_asked(const struct dhcp_capture *capture, uint8_t *request, size_t len)
{
	uint8_t value[DHCP_BUILT_MAX], n = 0;
	const uint8_t *params = request_option(request, len, 55, &n);
	for (unsigned i = 0; params && i < n; i++) {
		int expected = expected_len(params[i]);
		int got = dhcp_reply_option(&bed.reply.bytes, params[i], value);
		if (expected >= 0)
			ck_assert_msg(got == expected, "%s: option %u: %d", capture->client,
				      params[i], got);
	}
}

static void expect_answer(const struct dhcp_capture *capture, uint8_t *request, size_t len)
{
	const uint8_t *reply = bed.reply.bytes.start;
	uint8_t n = 0, max_n = 0;
	const uint8_t *type = request_option(request, len, 53, &n);
	const uint8_t *max = request_option(request, len, 57, &max_n);
	size_t reply_max = max ? (size_t)(max[0] << 8 | max[1]) - 28 : 548;

	ck_assert_msg(wire_len(&bed.reply.bytes) >= 300, "%s", capture->client);
	ck_assert_msg(wire_len(&bed.reply.bytes) <= reply_max, "%s", capture->client);
	ck_assert_uint_eq(reply[0], 2);
	ck_assert_mem_eq(reply + 4, request + 4, 4);    /* xid */
	ck_assert_mem_eq(reply + 10, request + 10, 2);  /* flags */
	ck_assert_mem_eq(reply + 28, request + 28, 16); /* chaddr */
	ck_assert_uint_eq(dhcp_field_u32(reply, 236), 0x63825363);
	ck_assert_uint_eq(dhcp_reply_type(&bed.reply.bytes), *type == DISCOVER ? OFFER : ACK);
	ck_assert_uint_eq(dhcp_reply_yiaddr(&bed.reply.bytes), DHCP_BED_FIRST);
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 54), DHCP_BED_SERVER);
	ck_assert_uint_eq(dhcp_reply_u32(&bed.reply.bytes, 51), 86400);
	ck_assert_str_eq((const char *)reply + 108, "boot/pxelinux.0");
	bool broadcast = request[10] & 0x80;
	ck_assert_uint_eq(addr_to_v4(&bed.reply.to), broadcast ? UINT32_MAX : DHCP_BED_FIRST);
	expect_what_was_asked(capture, request, len);
}

static void replay(const struct dhcp_capture *capture)
{
	uint8_t request[DHCP_CAPTURE_MAX], n = 0;
	size_t len = dhcp_capture_bytes(capture, request);
	const uint8_t *type = request_option(request, len, 53, &n);
	ck_assert_msg(type && n == 1, "%s", capture->client);
	patch(request, len, 54, DHCP_BED_SERVER);
	patch(request, len, 50, DHCP_BED_FIRST);
	enum dhcpd_verdict verdict = dhcp_bed_send(&bed, wire_in(request, len));
	ck_assert_msg(verdict == (*type == DISCOVER ? DHCPD_OFFERED : DHCPD_ACKED), "%s: %d",
		      capture->client, (int)verdict);
	expect_answer(capture, request, len);
	bed.now_ms += 250;
}

START_TEST(test_every_captured_exchange_ends_with_a_lease)
{
	struct dhcpd_config config = boot_config();
	const struct dhcp_capture *capture;
	const char *client = "";
	unsigned exchanges_n = 0;
	for (unsigned i = 0; (capture = dhcp_capture_nth(i)) != NULL; i++) {
		if (strcmp(client, capture->client) != 0) {
			dhcp_bed_close(&bed);
			dhcp_bed_open(&bed, &config);
			exchanges_n++;
		}
		client = capture->client;
		replay(capture);
	}
	dhcp_bed_close(&bed);
	ck_assert_uint_ge(exchanges_n, 25);
}
END_TEST

START_TEST(test_boot_stages_of_one_nic_keep_its_address)
{
	struct dhcpd_config config = boot_config();
	const struct dhcp_capture *capture;
	uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
	dhcp_bed_open(&bed, &config); /* one server meets them all, nearly all are one MAC */
	for (unsigned i = 0; (capture = dhcp_capture_nth(i)) != NULL; i++) {
		uint8_t request[DHCP_CAPTURE_MAX];
		dhcp_capture_bytes(capture, request);
		if (memcmp(request + 28, mac, 6) == 0)
			replay(capture);
	}
	uint32_t cursor = 0;
	ck_assert_ptr_nonnull(dhcpd_lease_next(bed.server, &cursor));
	ck_assert_ptr_null(dhcpd_lease_next(bed.server, &cursor));
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_captured_request_for_another_net_is_refused_at_once)
{
	const struct dhcp_capture *capture;
	unsigned refused_n = 0;
	dhcp_bed_open(&bed, NULL);
	for (unsigned i = 0; (capture = dhcp_capture_nth(i)) != NULL; i++) {
		uint8_t request[DHCP_CAPTURE_MAX], n = 0;
		size_t len = dhcp_capture_bytes(capture, request);
		uint8_t *type = request_option(request, len, 53, &n);
		uint8_t *server = request_option(request, len, 54, &n);
		if (*type != REQUEST || !server)
			continue;
		/* Without its server identifier it is what this client sends when it wakes up. */
		server[-2] = 224;
		patch(request, len, 50, 0x0a00020f);
		ck_assert_int_eq(dhcp_bed_send(&bed, wire_in(request, len)), DHCPD_NAKED);
		refused_n++;
	}
	ck_assert_uint_ge(refused_n, 25);
	dhcp_bed_close(&bed);
}
END_TEST

START_TEST(test_every_truncation_of_a_captured_message_is_survived)
{
	const struct dhcp_capture *capture;
	for (unsigned i = 0; (capture = dhcp_capture_nth(i)) != NULL; i++) {
		uint8_t request[DHCP_CAPTURE_MAX];
		size_t len = dhcp_capture_bytes(capture, request);
		dhcp_bed_open(&bed, NULL);
		for (size_t cut = 0; cut < len; cut++) {
			enum dhcpd_verdict verdict = dhcp_bed_send(&bed, wire_in(request, cut));
			if (cut < 243) /* not even a message type */
				ck_assert_int_eq(verdict, DHCPD_MALFORMED);
			bool replied = wire_len(&bed.reply.bytes) > 0;
			ck_assert_int_eq(replied, verdict == DHCPD_OFFERED ||
						      verdict == DHCPD_ACKED ||
						      verdict == DHCPD_NAKED);
		}
		dhcp_bed_close(&bed);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dhcpd_clients");
	TCase *tc = tcase_create("captures");
	tcase_add_test(tc, test_every_captured_exchange_ends_with_a_lease);
	tcase_add_test(tc, test_boot_stages_of_one_nic_keep_its_address);
	tcase_add_test(tc, test_captured_request_for_another_net_is_refused_at_once);
	tcase_add_test(tc, test_every_truncation_of_a_captured_message_is_survived);
	tcase_set_timeout(tc, 300);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
