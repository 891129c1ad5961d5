/* DHCP through the real program: leases that outlive it, fixed hosts, options, boot files, and
 * guests that want everything for themselves. */
#include "tests/support/asker.h"
#include "tests/support/suite.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE };

#define LINE_MAX_ 1024
#define FILE_MAX_ 65536

static struct process_place place;
static struct process process;
static char lease_path[256];
static char text[FILE_MAX_];

static void make_place(void)
{
	process_place_make(&place);
	snprintf(lease_path, sizeof(lease_path), "%s/leases", place.dir);
}

/* 'more' comes behind --lease-file PATH. */
static void start(const char *more)
{
	char line[LINE_MAX_];

	snprintf(line, sizeof(line), "--lease-file|%s%s%s", lease_path, *more ? "|" : "", more);
	process_start(&process, &place, line);
}

static void take_down(void)
{
	process_kill(&process);
	process_place_remove(&place);
}

static struct asker attach(uint32_t n)
{
	return (struct asker){.fd = guest_connect(place.socket_path), .n = n};
}

static void write_file(const char *path, const char *bytes)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(bytes, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static bool read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return true;
}

/* It is written soon, not at once. */
static void wait_for_file(const char *part)
{
	while (!read_file(lease_path) || !strstr(text, part))
		usleep(10000);
}

/* ---- the lease file ---- */

START_TEST(test_guests_have_their_addresses_after_lwnat_was_killed)
{
	struct asker first, second;
	struct wire_out ack;

	make_place();
	start("");
	first = attach(1);
	second = attach(2);
	ack = asker_lease(&first, "one");
	ck_assert_uint_eq(dhcp_reply_yiaddr(&ack), 0x0a00020f);
	ack = asker_lease(&second, "two");
	ck_assert_uint_eq(dhcp_reply_yiaddr(&ack), 0x0a000210);
	wait_for_file(" 10.0.2.16 ");
	ck_assert_ptr_nonnull(strstr(text, "ipv4 52:54:00:00:00:01 10.0.2.15 2"));
	ck_assert_ptr_nonnull(strstr(text, "Z one\n"));
	process_kill(&process);
	close(first.fd);
	close(second.fd);

	start("");
	second = attach(2);
	ack = asker_lease(&second, NULL); /* as first one: it would get .15 */
	ck_assert_uint_eq(dhcp_reply_yiaddr(&ack), 0x0a000210);
	first = attach(3);
	ack = asker_lease(&first, NULL);
	ck_assert_uint_eq(dhcp_reply_yiaddr(&ack), 0x0a000211);
	asker_ask(&second, "one", TYPE_A);
	dns_assert_answer(second.packet.payload, second.packet.payload_len, "\12\0\2\17", 4);
	take_down();
}
END_TEST

START_TEST(test_the_last_change_is_written_at_the_end)
{
	struct asker guest;

	make_place();
	start("");
	guest = attach(7);
	asker_lease(&guest, NULL);
	kill(process.pid, SIGTERM);
	process_finish(&process);
	ck_assert_int_eq(process.status, 0);
	ck_assert(read_file(lease_path));
	ck_assert_ptr_nonnull(strstr(text, "52:54:00:00:00:07 10.0.2.15 "));
	ck_assert_ptr_nonnull(strstr(text, "\nend\n"));
	take_down();
}
END_TEST

START_TEST(test_damaged_lease_file_is_moved_aside_and_its_good_lines_count)
{
	char damaged[300];
	struct asker guest;
	struct wire_out ack;

	make_place();
	snprintf(damaged, sizeof(damaged), "%s.damaged", lease_path);
	write_file(lease_path, "lwnat-leases 1\n"
			       "ipv4 52:54:00:00:00:01 10.0.2.77 2999-01-01T00:00:00Z -\n"
			       "ipv4 52:54:00:00:00:02 10.0.2.7");
	start("");
	process_wait_for_log(&process, "is damaged at line 3");
	ck_assert(read_file(damaged));
	ck_assert_ptr_nonnull(strstr(text, "10.0.2.77"));
	guest = attach(1);
	ack = asker_lease(&guest, NULL);
	ck_assert_uint_eq(dhcp_reply_yiaddr(&ack), 0x0a00024d);
	wait_for_file("10.0.2.77");
	take_down();
}
END_TEST

START_TEST(test_lease_file_of_garbage_does_not_stop_the_start)
{
	struct asker guest;

	make_place();
	write_file(lease_path, "\x7f"
			       "ELF garbage\n\n\xff\xfe\n");
	start("");
	process_wait_for_log(&process, "is damaged at line 1");
	guest = attach(1);
	asker_lease(&guest, NULL);
	take_down();
}
END_TEST

START_TEST(test_lease_file_that_cannot_be_is_an_error_at_the_start)
{
	make_place();
	process_run(&process, &place, "--lease-file|/nowhere/leases");
	ck_assert_int_eq(process.status, 1);
	ck_assert_ptr_nonnull(strstr(process.err_text,
				     "--lease-file: '/nowhere/leases': its folder: "
				     "No such file or directory"));
	process_run(&process, &place, "--lease-file|/");
	ck_assert_int_eq(process.status, 1);
	process_place_remove(&place);
}
END_TEST

/* ---- what the options say ---- */

START_TEST(test_fixed_host_gets_its_address_and_name_and_nobody_else_does)
{
	struct asker fixed, other;
	struct wire_out ack;

	make_place();
	process_start(
	    &process, &place,
	    "--dhcp-host|52:54:00:00:00:05,10.0.2.15,db|--dhcp-host|52:54:00:00:00:06,10.0.2.9");
	other = attach(1);
	ack = asker_lease(&other, "db"); /* the name is another's */
	ck_assert_uint_eq(dhcp_reply_yiaddr(&ack), 0x0a000210);
	asker_ask(&other, "db.lwnat.internal", TYPE_A);
	dns_assert_answer(other.packet.payload, other.packet.payload_len, "\12\0\2\17", 4);
	fixed = attach(5);
	ack = asker_lease(&fixed, "whatever");
	ck_assert_uint_eq(dhcp_reply_yiaddr(&ack), 0x0a00020f);
	asker_assert_text(&fixed, &ack, 12, "db");
	fixed.n = 6;
	ack = asker_lease(&fixed, NULL);
	ck_assert_uint_eq(dhcp_reply_yiaddr(&ack), 0x0a000209);
	take_down();
}
END_TEST

START_TEST(test_free_options_and_routes_are_told)
{
	struct asker guest;
	struct wire_out ack;

	make_place();
	process_start(&process, &place,
		      "--dhcp-option|42,10.0.2.2,10.9.9.9|--dhcp-option|43,hex:0104c0a80001|"
		      "--dhcp-option|114,https://portal.example/a,b|--dhcp-option|23,u8:64|"
		      "--dhcp-option|6|--dhcp-option|15,text:7|--dhcp-route|10.8.0.0/13,10.0.2.9");
	guest = attach(1);
	ack = asker_lease(&guest, NULL);
	ck_assert_int_eq(dhcp_reply_option(&ack, 42, guest.option), 8);
	ck_assert_int_eq(memcmp(guest.option, "\12\0\2\2\12\11\11\11", 8), 0);
	ck_assert_int_eq(dhcp_reply_option(&ack, 43, guest.option), 6);
	ck_assert_int_eq(memcmp(guest.option, "\1\4\300\250\0\1", 6), 0);
	asker_assert_text(&guest, &ack, 114, "https://portal.example/a,b");
	ck_assert_int_eq(dhcp_reply_option(&ack, 23, guest.option), 1);
	ck_assert_int_eq(dhcp_reply_option(&ack, 6, guest.option), -1);
	asker_assert_text(&guest, &ack, 15, "7");
	ck_assert_int_eq(dhcp_reply_option(&ack, 121, guest.option), 12);
	ck_assert_int_eq(memcmp(guest.option, "\15\12\10\12\0\2\11\0\12\0\2\2", 12), 0);
	take_down();
}
END_TEST

START_TEST(test_several_search_domains_of_qemus_string_are_told)
{
	struct asker guest;
	struct wire_out ack;

	make_place();
	process_start(&process, &place, "--netdev|user,dnssearch=a.example,dnssearch=b.example");
	guest = attach(1);
	ack = asker_lease(&guest, NULL);
	ck_assert_int_eq(dhcp_reply_option(&ack, 119, guest.option), 11 + 4 + 16);
	ck_assert_int_eq(
	    memcmp(guest.option, "\1a\7example\0\1b\300\2\5lwnat\10internal\0", 11 + 4 + 16), 0);
	take_down();
}
END_TEST

static struct wire_out boot(struct asker *g, uint16_t arch, const char *class)
{
	struct dhcp_built request = dhcp_build(DISCOVER, g->n);
	uint8_t bytes[2] = {(uint8_t)(arch >> 8), (uint8_t)arch};

	dhcp_build_put(&request, 93, bytes, 2);
	if (class)
		dhcp_build_put(&request, 60, class, strlen(class));
	else
		dhcp_build_put(&request, 77, "iPXE", 4);
	return asker_dhcp(g, &request);
}

START_TEST(test_boot_file_goes_by_the_clients_architecture)
{
	struct wire_out offer;
	struct asker guest;

	make_place();
	process_start(&process, &place,
		      "--bootfile|pxelinux.0|--dhcp-boot|uefi-x64,grubx64.efi|"
		      "--dhcp-boot|uefi-x64,http://10.0.2.2/grubx64.efi|--dhcp-boot|ipxe,menu.ipxe|"
		      "--dhcp-boot|11,arm64.efi");
	guest = attach(1);
	offer = boot(&guest, 0, "PXEClient:Arch:00000:UNDI:002001");
	asker_assert_text(&guest, &offer, 67, "pxelinux.0");
	ck_assert_uint_eq(dhcp_field_u32(offer.start, 20), 0x0a000202); /* siaddr */
	ck_assert_int_eq(dhcp_reply_option(&offer, 60, guest.option), -1);
	offer = boot(&guest, 7, "PXEClient:Arch:00007:UNDI:003016");
	asker_assert_text(&guest, &offer, 67, "grubx64.efi");
	ck_assert_str_eq((const char *)offer.start + 108, "grubx64.efi");
	offer = boot(&guest, 11, "PXEClient:Arch:00011:UNDI:003000");
	asker_assert_text(&guest, &offer, 67, "arm64.efi");
	offer = boot(&guest, 16, "HTTPClient:Arch:00016:UNDI:003001");
	asker_assert_text(&guest, &offer, 67, "http://10.0.2.2/grubx64.efi");
	asker_assert_text(&guest, &offer, 60, "HTTPClient");
	offer = boot(&guest, 7, NULL);
	asker_assert_text(&guest, &offer, 67, "menu.ipxe");
	take_down();
}
END_TEST

/* ---- many guests ---- */

START_TEST(test_ten_thousand_random_clients_in_a_16_all_get_an_address)
{
	static uint8_t seen[65536 / 8];
	struct asker guest;
	uint32_t random = 1;

	make_place();
	process_start(&process, &place, "--net|10.77.0.0/16|--log-level|warn");
	guest = attach(1);
	for (unsigned i = 0; i < 10000; i++) {
		struct wire_out ack;
		uint32_t addr;

		random = random * 1664525 + 1013904223; /* of full period: none comes twice */
		guest.n = random;
		ack = asker_lease(&guest, NULL);
		addr = dhcp_reply_yiaddr(&ack);
		ck_assert_uint_eq(addr >> 16, 10 << 8 | 77);
		ck_assert_uint_eq(seen[(addr & 0xffff) / 8] >> addr % 8 & 1, 0);
		seen[(addr & 0xffff) / 8] |= (uint8_t)(1u << addr % 8);
	}
	take_down();
}
END_TEST

START_TEST(test_guest_of_many_macs_leaves_addresses_for_the_others)
{
	struct asker hostile, other;
	struct wire_out ack;
	unsigned got_n = 0;

	make_place();
	process_start(&process, &place, "--log-level|info");
	hostile = attach(1);
	for (hostile.n = 1000; got_n == hostile.n - 1000; hostile.n++) {
		struct dhcp_built m = dhcp_build(DISCOVER, hostile.n);
		struct wire_in in;

		if (got_n == 200) { /* its share is 201; then it hears nothing more */
			in = dhcp_built_in(&m);
			asker_send_udp(
			    &hostile, &(struct addr){{[10] = 255, 255, 255, 255, 255, 255}},
			    (struct frames_ports){68, 67}, frames_bytes(in.at, wire_left(&in)));
			break;
		}
		asker_lease(&hostile, NULL);
		got_n++;
	}
	for (uint32_t n = 1; n <= 30; n++) {
		other = attach(n);
		ack = asker_lease(&other, NULL);
		ck_assert_uint_ne(dhcp_reply_yiaddr(&ack), 0);
	}
	take_down();
}
END_TEST

START_TEST(test_guests_that_came_and_went_do_not_fill_the_pool)
{
	struct asker guest;

	make_place();
	process_start(&process, &place, "--net|10.0.2.0/28|--log-level|info");
	for (uint32_t n = 1; n <= 40; n++) { /* of 12 addresses, all with a MAC of their own */
		guest = attach(n);
		asker_lease(&guest, NULL);
		close(guest.fd);
	}
	take_down();
}
END_TEST

int main(void)
{
	return SUITE_RUN("dhcp", test_guests_have_their_addresses_after_lwnat_was_killed,
			 test_the_last_change_is_written_at_the_end,
			 test_damaged_lease_file_is_moved_aside_and_its_good_lines_count,
			 test_lease_file_of_garbage_does_not_stop_the_start,
			 test_lease_file_that_cannot_be_is_an_error_at_the_start,
			 test_fixed_host_gets_its_address_and_name_and_nobody_else_does,
			 test_free_options_and_routes_are_told,
			 test_several_search_domains_of_qemus_string_are_told,
			 test_boot_file_goes_by_the_clients_architecture,
			 test_ten_thousand_random_clients_in_a_16_all_get_an_address,
			 test_guest_of_many_macs_leaves_addresses_for_the_others,
			 test_guests_that_came_and_went_do_not_fill_the_pool);
}
