#include "stack/host/http_range.h"
#include "tests/support/suite.h"

#include <stddef.h>

START_TEST(test_ranges_against_a_file_of_1000_bytes)
{
	static const struct {
		const char *header;
		enum http_range range;
		uint64_t first, len;
	} rows[] = {
	    {NULL, HTTP_RANGE_WHOLE, 0, 1000},
	    {"bytes=0-0", HTTP_RANGE_PART, 0, 1},
	    {"bytes=0-", HTTP_RANGE_PART, 0, 1000},
	    {"Bytes= 10-19 ", HTTP_RANGE_PART, 10, 10},
	    {"bytes=999-", HTTP_RANGE_PART, 999, 1},
	    {"bytes=990-5000", HTTP_RANGE_PART, 990, 10},
	    {"bytes=990-18446744073709551615", HTTP_RANGE_PART, 990, 10},
	    {"bytes=-1", HTTP_RANGE_PART, 999, 1},
	    {"bytes=-5000", HTTP_RANGE_PART, 0, 1000},
	    {"bytes=1000-", HTTP_RANGE_NONE, 0, 1000},
	    {"bytes=-0", HTTP_RANGE_NONE, 0, 1000},
	    {"bytes=5-4", HTTP_RANGE_WHOLE, 0, 1000},
	    {"bytes=-", HTTP_RANGE_WHOLE, 0, 1000},
	    {"bytes=1-2,4-5", HTTP_RANGE_WHOLE, 0, 1000},
	    {"bytes=x-2", HTTP_RANGE_WHOLE, 0, 1000},
	    {"bytes=1", HTTP_RANGE_WHOLE, 0, 1000},
	    {"bytes=99999999999999999999-", HTTP_RANGE_WHOLE, 0, 1000},
	    {"pages=1-2", HTTP_RANGE_WHOLE, 0, 1000},
	    {"", HTTP_RANGE_WHOLE, 0, 1000},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t first = 7, len = 7;

		ck_assert_msg(http_range_read(rows[i].header, 1000, &first, &len) == rows[i].range,
			      "row %zu", i);
		ck_assert_uint_eq(first, rows[i].first);
		ck_assert_uint_eq(len, rows[i].len);
	}
}
END_TEST

START_TEST(test_empty_file_has_no_ranges)
{
	uint64_t first, len;

	ck_assert_int_eq(http_range_read("bytes=0-", 0, &first, &len), HTTP_RANGE_NONE);
	ck_assert_int_eq(http_range_read("bytes=-1", 0, &first, &len), HTTP_RANGE_NONE);
	ck_assert_int_eq(http_range_read(NULL, 0, &first, &len), HTTP_RANGE_WHOLE);
	ck_assert_uint_eq(len, 0);
}
END_TEST

int main(void)
{
	return SUITE_RUN("http_range", test_ranges_against_a_file_of_1000_bytes,
			 test_empty_file_has_no_ranges);
}
