/* --rate: a limit that is read as another one lets a comparison slow down a server that it was to spare. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/verify_nodes.h"

static void test_rates(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t rows, bytes;
	} good[] = {{"0", 0, 0},          {"100000", 100000, 0},        {"20M", 0, 20u << 20},
	            {"64K", 0, 64 << 10}, {"1G", 0, (uint64_t)1 << 30}, {"0M", 0, 0}};
	static const char *const bad[] = {
	    "", "fast", "-5", "5 M", "5MB", "5m", " 5", "99999999999999999999", "99999999999999G", "1.5M"};
	struct err err;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		uint64_t rows = 1, bytes = 1;
		assert_int_equal(verify_parse_rate(good[i].text, &rows, &bytes, &err), ERR_OK);
		assert_int_equal(rows, good[i].rows);
		assert_int_equal(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint64_t rows, bytes;
		assert_int_equal(verify_parse_rate(bad[i], &rows, &bytes, &err), ERR_USAGE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rates)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
