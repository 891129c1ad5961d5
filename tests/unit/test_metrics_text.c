#include "stack/app/metrics_text.h"
#include "tests/support/prom.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

/* As text, with a NUL, to be freed. */
static char *finish(struct metrics_text *out)
{
	char *text;

	ck_assert(!out->failed);
	text = strndup(out->bytes, out->len);
	free(out->bytes);
	return text;
}

START_TEST(test_a_family_is_help_type_and_samples)
{
	struct metrics_label labels[] = {{"port", "port1"}, {"name", ""}};
	struct metrics_text out;
	char *text;

	metrics_begin(&out);
	metrics_one(&out, "a_guests", METRICS_GAUGE, "Guests attached.", 3);
	metrics_family(&out, "b_bytes_total", METRICS_COUNTER, "Bytes moved.");
	metrics_sample(&out, labels, 2, UINT64_MAX);
	metrics_family(&out, "c_seconds_total", METRICS_COUNTER, "Seconds gone.");
	metrics_sample_real(&out, 1.5);
	text = finish(&out);
	ck_assert_str_eq(text, "# HELP a_guests Guests attached.\n# TYPE a_guests gauge\n"
			       "a_guests 3\n"
			       "# HELP b_bytes_total Bytes moved.\n# TYPE b_bytes_total counter\n"
			       "b_bytes_total{port=\"port1\",name=\"\"} 18446744073709551615\n"
			       "# HELP c_seconds_total Seconds gone.\n"
			       "# TYPE c_seconds_total counter\nc_seconds_total 1.500\n");
	prom_check(text, strlen(text));
	free(text);
}
END_TEST

START_TEST(test_label_values_cannot_break_out)
{
	struct metrics_label label = {"name", "a\"b\\c\nd} 1\n# TYPE"};
	struct metrics_text out;
	char *text;

	metrics_begin(&out);
	metrics_family(&out, "x", METRICS_GAUGE, "Anything.");
	metrics_sample(&out, &label, 1, 1);
	text = finish(&out);
	ck_assert_ptr_nonnull(strstr(text, "x{name=\"a\\\"b\\\\c\\nd} 1\\n# TYPE\"} 1\n"));
	prom_check(text, strlen(text));
	free(text);
}
END_TEST

START_TEST(test_values_that_are_no_utf8_are_cut)
{
	static const char *const values[] = {"ab\xff", "ab\xc0\x80", "ab\xe4\xb8",
					     "ab\xf5\x80\x80\x80", "ab\x80"};
	struct metrics_text out;
	char *text;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		metrics_begin(&out);
		metrics_family(&out, "x", METRICS_GAUGE, "Anything.");
		metrics_sample(&out, &(struct metrics_label){"name", values[i]}, 1, 1);
		text = finish(&out);
		ck_assert_ptr_nonnull(strstr(text, "x{name=\"ab\"} 1\n"));
		free(text);
	}
	metrics_begin(&out);
	metrics_family(&out, "x", METRICS_GAUGE, "Anything.");
	metrics_sample(&out, &(struct metrics_label){"name", "\xe4\xb8\xad\xc3\xa9"}, 1, 1);
	text = finish(&out);
	ck_assert_ptr_nonnull(strstr(text, "{name=\"\xe4\xb8\xad\xc3\xa9\"}"));
	free(text);
}
END_TEST

START_TEST(test_it_grows_with_what_is_written)
{
	struct metrics_text out;
	char value[200];
	char *text;

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	metrics_begin(&out);
	metrics_family(&out, "x", METRICS_GAUGE, "Anything.");
	for (unsigned i = 0; i < 1000; i++)
		metrics_sample(&out, &(struct metrics_label){"name", value}, 1, i);
	text = finish(&out);
	ck_assert_uint_gt(strlen(text), 200000);
	ck_assert_ptr_nonnull(strstr(text, " 999\n"));
	free(text);
}
END_TEST

int main(void)
{
	return SUITE_RUN("metrics_text", test_a_family_is_help_type_and_samples,
			 test_label_values_cannot_break_out, test_values_that_are_no_utf8_are_cut,
			 test_it_grows_with_what_is_written);
}
