#include "stack/app/port_holder.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct endpoint at(const char *addr, uint16_t port)
{
	struct endpoint e = {.port = port};

	ck_assert_int_eq(addr_parse(addr, &e.addr), 0);
	return e;
}

static unsigned long inode;

static bool holds(const char *line, bool udp, const char *addr, uint16_t port)
{
	struct endpoint e = at(addr, port);

	inode = 0;
	return port_holder_line(line, udp, &e, &inode);
}

/* The tables hold native words; these are as a little-endian kernel writes them. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static const char listening[] =
    "   4: 0100007F:0DC2 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
    "123456 1 0000000000000000 100 0 0 10 0\n";
static const char wildcard[] =
    "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
    "77 1 0000000000000000 100 0 0 10 0\n";
static const char connected[] =
    "   9: 0100007F:0DC2 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 "
    "88 1 0000000000000000 20 4 30 10 -1\n";
static const char v6_loopback[] =
    "   2: 00000000000000000000000001000000:0DC2 00000000000000000000000000000000:0000 0A "
    "00000000:00000000 00:00000000 00000000     0        0 99 1 0000000000000000 100 0 0 10 0\n";
static const char heading[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode\n";

START_TEST(test_listening_socket_at_the_address_holds_the_port)
{
	ck_assert(holds(listening, false, "127.0.0.1", 3522));
	ck_assert_uint_eq(inode, 123456);
	ck_assert(holds(v6_loopback, false, "::1", 3522));
	ck_assert_uint_eq(inode, 99);
}
END_TEST

START_TEST(test_wildcards_on_either_side_collide)
{
	ck_assert(holds(wildcard, false, "127.0.0.1", 22));
	ck_assert(holds(listening, false, "0.0.0.0", 3522));
}
END_TEST

START_TEST(test_other_sockets_do_not_hold_the_port)
{
	ck_assert(!holds(listening, false, "127.0.0.1", 3523));
	ck_assert(!holds(listening, false, "127.0.0.2", 3522));
	ck_assert(!holds(connected, false, "127.0.0.1", 3522));
	ck_assert(!holds(heading, false, "127.0.0.1", 3522));
	ck_assert(!holds("", false, "127.0.0.1", 3522));
	ck_assert(!holds("   4: 0100007F", false, "127.0.0.1", 3522));
	ck_assert(!holds("   4: 0100:0DC2 0:0 0A 0:0 0:0 0 0 0 1", false, "127.0.0.1", 3522));
}
END_TEST
#endif

START_TEST(test_this_process_is_found_as_the_holder)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct port_holder holder;
	struct endpoint e;

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	e = at("127.0.0.1", ntohs(addr.sin_port));
	ck_assert(port_holder_find(false, &e, &holder));
	ck_assert_int_eq(holder.pid, getpid());
	ck_assert_msg(strncmp(holder.name, "test_port_holde", 15) == 0, "%s", holder.name);
	close(fd);
	ck_assert(!port_holder_find(false, &e, &holder));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("port_holder");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	tcase_add_test(tcase, test_listening_socket_at_the_address_holds_the_port);
	tcase_add_test(tcase, test_wildcards_on_either_side_collide);
	tcase_add_test(tcase, test_other_sockets_do_not_hold_the_port);
#endif
	tcase_add_test(tcase, test_this_process_is_found_as_the_holder);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
