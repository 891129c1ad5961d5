#include "stack/host/http_target.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <string.h>

START_TEST(test_path_and_parameters_are_told_apart)
{
	struct http_target t;

	ck_assert_int_eq(http_target_parse("/v1/flows?sort=rate&limit=5&bare", &t), 0);
	ck_assert_str_eq(t.path, "/v1/flows");
	ck_assert_uint_eq(t.params_n, 3);
	ck_assert_str_eq(t.param[0].name, "sort");
	ck_assert_str_eq(t.param[0].value, "rate");
	ck_assert_str_eq(t.param[1].value, "5");
	ck_assert_str_eq(t.param[2].name, "bare");
	ck_assert_str_eq(t.param[2].value, "");
}
END_TEST

START_TEST(test_escapes_are_undone_after_the_splitting)
{
	struct http_target t;

	ck_assert_int_eq(http_target_parse("/a%2Fb%3fc/%41+?r=tcp%3A%3a2222-%3a22+x%26y%3Dz", &t),
			 0);
	ck_assert_str_eq(t.path, "/a/b?c/A+");
	ck_assert_uint_eq(t.params_n, 1);
	ck_assert_str_eq(t.param[0].value, "tcp::2222-:22 x&y=z");
}
END_TEST

START_TEST(test_absolute_form_means_its_path)
{
	struct http_target t;

	ck_assert_int_eq(http_target_parse("HTTP://gateway:80/boot.img?x=1", &t), 0);
	ck_assert_str_eq(t.path, "/boot.img");
	ck_assert_uint_eq(t.params_n, 1);
	ck_assert_int_eq(http_target_parse("http://gateway", &t), 0);
	ck_assert_str_eq(t.path, "/");
	ck_assert_int_eq(http_target_parse("*", &t), 0);
	ck_assert_str_eq(t.path, "*");
}
END_TEST

START_TEST(test_malformed_targets_are_refused)
{
	static const char *const bad[] = {
	    "",          "v1",         "?x",        "/%",   "/%4",           "/%zz",
	    "/a%00b",    "/?a=%0",     "/?a=%00",   "/?=x", "/?a=1&a=2",     "/?a&a",
	    "/x#anchor", "/?a=1&%61=", "http://h?", "*x",   "/?%3D=1&%3D=2",
	};
	struct http_target t;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(http_target_parse(bad[i], &t) == -EINVAL, "'%s'", bad[i]);
}
END_TEST

START_TEST(test_limits_hold)
{
	char text[HTTP_TARGET_MAX + 2];
	struct http_target t;

	memset(text, 'a', sizeof(text));
	text[0] = '/';
	text[HTTP_TARGET_MAX - 1] = '\0';
	ck_assert_int_eq(http_target_parse(text, &t), 0);
	text[HTTP_TARGET_MAX - 1] = 'a';
	text[HTTP_TARGET_MAX] = '\0';
	ck_assert_int_eq(http_target_parse(text, &t), -E2BIG);
	ck_assert_int_eq(http_target_parse("/?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p", &t), 0);
	ck_assert_int_eq(http_target_parse("/?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q", &t), -E2BIG);
}
END_TEST

int main(void)
{
	return SUITE_RUN("http_target", test_path_and_parameters_are_told_apart,
			 test_escapes_are_undone_after_the_splitting,
			 test_absolute_form_means_its_path, test_malformed_targets_are_refused,
			 test_limits_hold);
}
