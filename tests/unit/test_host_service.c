/* Where a guest's connection to a service goes: pairs, TCP and UNIX targets, and the end that is
 * told. */
#include "tests/support/host_fixture.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct endpoint *guest(void)
{
	static const struct endpoint at = {
	    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 2, 15}}, 1234};

	return &at;
}

static int dial(struct host_fixture *f, uint64_t token)
{
	return f->ops->tcp_dial_service(f->host, token, 7, guest());
}

static void check_exchange(struct host_fixture *f, int handle, int far)
{
	struct iovec out = {(void *)"q", 1}, in;
	char c = 0;

	in = (struct iovec){&c, 1};
	ck_assert_int_eq(f->ops->tcp_write(f->host, handle, &out, 1), 1);
	while (read(far, &c, 1) < 0)
		ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(c, 'q');
	ck_assert_int_eq(write(far, "a", 1), 1);
	while (f->ops->tcp_read(f->host, handle, &in, 1) == -EAGAIN)
		continue;
	ck_assert_int_eq(c, 'a');
}

START_TEST(test_pair_over_the_loopback_has_addresses)
{
	struct sockaddr_in name;
	socklen_t len = sizeof(name);
	struct host_fixture f;
	int handle;

	host_fixture_open(&f);
	f.target.kind = HOST_TARGET_INET_PAIR;
	handle = dial(&f, 4);
	ck_assert_int_ge(handle, 0);
	ck_assert_int_eq(getpeername(f.service_fd, (struct sockaddr *)&name, &len), 0);
	ck_assert_int_eq(name.sin_family, AF_INET);
	ck_assert_uint_eq(ntohl(name.sin_addr.s_addr), INADDR_LOOPBACK);
	ck_assert(fcntl(f.service_fd, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(f.service_fd, F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(handle, F_GETFD) & FD_CLOEXEC);
	host_fixture_wait(&f, 4, HOST_WRITABLE);
	ck_assert_int_eq(f.ops->tcp_connect_result(f.host, handle), 0);
	check_exchange(&f, handle, f.service_fd);
	f.ops->tcp_close(f.host, handle, true);
	close(f.service_fd);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_end_of_a_served_flow_is_told_once)
{
	struct host_fixture f;
	int handle;

	host_fixture_open(&f);
	handle = dial(&f, 4);
	ck_assert_uint_eq(f.service_token, 4);
	ck_assert_uint_eq(f.service_closed_n, 0);
	f.ops->tcp_close(f.host, handle, false);
	ck_assert_uint_eq(f.service_closed_n, 1);
	ck_assert_uint_eq(f.service_closed_token, 4);
	close(f.service_fd);
	host_fixture_close(&f);
	ck_assert_uint_eq(f.service_closed_n, 1);
}
END_TEST

START_TEST(test_refused_service_is_not_told_an_end)
{
	struct host_fixture f;

	host_fixture_open(&f);
	f.service_result = -ENOBUFS;
	ck_assert_int_eq(dial(&f, 4), -ENOBUFS);
	f.target.kind = HOST_TARGET_INET_PAIR;
	ck_assert_int_eq(dial(&f, 4), -ENOBUFS);
	ck_assert_uint_eq(f.service_closed_n, 0);
	ck_assert_uint_eq(host_handle_count(f.host), 0);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_tcp_target_is_connected_to_without_a_relay)
{
	struct host_fixture f;
	int handle, far, listener;

	host_fixture_open(&f);
	f.target.kind = HOST_TARGET_TCP;
	f.target.tcp_n = 1;
	listener = loopback_socket(SOCK_STREAM, false, &f.target.tcp[0]);
	handle = dial(&f, 4);
	ck_assert_int_ge(handle, 0);
	host_fixture_wait(&f, 4, HOST_WRITABLE);
	ck_assert_int_eq(f.ops->tcp_connect_result(f.host, handle), 0);
	far = accept(listener, NULL, NULL);
	check_exchange(&f, handle, far);
	ck_assert_int_eq(f.service_fd, -1);
	f.ops->tcp_close(f.host, handle, false);
	ck_assert_uint_eq(f.service_closed_n, 0);
	close(far);
	close(listener);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_next_address_is_tried_when_one_is_refused_at_once)
{
	struct host_fixture f;
	int handle, listener;

	host_fixture_open(&f);
	f.target.kind = HOST_TARGET_TCP;
	f.target.tcp_n = 2;
	f.target.tcp[0] = (struct endpoint){addr_v4(0), 80};
	listener = loopback_socket(SOCK_STREAM, false, &f.target.tcp[1]);
	handle = dial(&f, 4);
	ck_assert_int_ge(handle, 0);
	host_fixture_wait(&f, 4, HOST_WRITABLE);
	ck_assert_int_eq(f.ops->tcp_connect_result(f.host, handle), 0);
	f.ops->tcp_close(f.host, handle, false);
	close(listener);
	host_fixture_close(&f);
}
END_TEST

struct unix_place {
	char dir[32], path[64];
	int listener;
};

static void unix_listen(struct unix_place *place, int backlog)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	strcpy(place->dir, "/tmp/lwnat-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place->dir));
	snprintf(place->path, sizeof(place->path), "%s/s", place->dir);
	strcpy(name.sun_path, place->path);
	place->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(place->listener, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert_int_eq(listen(place->listener, backlog), 0);
}

static void unix_remove(struct unix_place *place)
{
	close(place->listener);
	unlink(place->path);
	rmdir(place->dir);
}

START_TEST(test_unix_target_is_connected_to)
{
	struct unix_place place;
	struct host_fixture f;
	int handle, far;

	host_fixture_open(&f);
	unix_listen(&place, 1);
	f.target.kind = HOST_TARGET_UNIX;
	f.target.path = place.path;
	handle = dial(&f, 4);
	ck_assert_int_ge(handle, 0);
	host_fixture_wait(&f, 4, HOST_WRITABLE);
	ck_assert_int_eq(f.ops->tcp_connect_result(f.host, handle), 0);
	far = accept(place.listener, NULL, NULL);
	check_exchange(&f, handle, far);
	f.ops->tcp_close(f.host, handle, true);
	close(far);
	unix_remove(&place);
	host_fixture_close(&f);
}
END_TEST

START_TEST(test_unix_target_that_is_not_there_or_full_refuses_or_stays_silent)
{
	int handles[8], n = 0, result;
	char too_long[300] = "";
	struct unix_place place;
	struct host_fixture f;

	host_fixture_open(&f);
	f.target.kind = HOST_TARGET_UNIX;
	f.target.path = "/tmp/lwnat-nobody-here";
	ck_assert_int_eq(dial(&f, 4), -ENOENT);
	memset(too_long, 'x', sizeof(too_long) - 1);
	f.target.path = too_long;
	ck_assert_int_eq(dial(&f, 4), -ENAMETOOLONG);
	unix_listen(&place, 0);
	f.target.path = place.path;
	do {
		result = dial(&f, 4);
		if (result >= 0)
			handles[n++] = result;
	} while (result >= 0 && n < 8);
	ck_assert_int_eq(result, -ETIMEDOUT); /* the guest's SYN comes again */
	while (n > 0)
		f.ops->tcp_close(f.host, handles[--n], false);
	close(place.listener);
	ck_assert_int_eq(dial(&f, 4), -ECONNREFUSED);
	place.listener = dup(0);
	unix_remove(&place);
	host_fixture_close(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host_service");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_pair_over_the_loopback_has_addresses);
	tcase_add_test(tc, test_end_of_a_served_flow_is_told_once);
	tcase_add_test(tc, test_refused_service_is_not_told_an_end);
	tcase_add_test(tc, test_tcp_target_is_connected_to_without_a_relay);
	tcase_add_test(tc, test_next_address_is_tried_when_one_is_refused_at_once);
	tcase_add_test(tc, test_unix_target_is_connected_to);
	tcase_add_test(tc, test_unix_target_that_is_not_there_or_full_refuses_or_stays_silent);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
