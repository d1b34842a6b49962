/* Whoever copies a node's databases over a slow link wants to know whether it goes on and when it will be through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "copy/progress.h"

#define MIB (1024 * 1024ull)

/* In the journal of a machine a bar that is drawn five times a second would be megabytes of noise, and none at all
 * would look like a copy that hangs. */
static void lines_come_each_ten_seconds(void **state)
{
	(void)state;
	struct progress p;
	struct buf out = {0};
	unsigned lines = 0;
	progress_init(&p, false, 0);
	for (int64_t ms = 0; ms <= 60000; ms += 100) {
		struct copy_state s = {"shop", "orders", (uint64_t)ms * MIB / 1000, 100 * MIB, 0, (uint64_t)ms * MIB / 2000,
		                       ms};
		lines += progress_draw(&p, &s, &out);
	}
	assert_int_equal(lines, 6);
	assert_string_equal(buf_str(&out), " 10%  5.0 MiB sent, 512 KiB/s, 1:30 left  shop.orders\n"
	                                   " 20%  10 MiB sent, 512 KiB/s, 1:20 left  shop.orders\n"
	                                   " 30%  15 MiB sent, 512 KiB/s, 1:10 left  shop.orders\n"
	                                   " 40%  20 MiB sent, 512 KiB/s, 1:00 left  shop.orders\n"
	                                   " 50%  25 MiB sent, 512 KiB/s, 0:50 left  shop.orders\n"
	                                   " 60%  30 MiB sent, 512 KiB/s, 0:40 left  shop.orders\n");
	buf_clear(&out);
	struct copy_state end = {NULL, NULL, 100 * MIB, 100 * MIB, 0, 50 * MIB, 61000};
	assert_true(progress_draw(&p, &end, &out));
	assert_non_null(strstr(buf_str(&out), "100%  50 MiB sent, "));
	assert_non_null(strstr(buf_str(&out), "1:01 in all\n"));
	progress_end(&p, &out);
	assert_int_equal(out.data[out.size - 1], '\n');
	assert_int_not_equal(out.data[out.size - 2], '\n');
	buf_free(&out);
}

/* A line wider than the terminal goes on in the next one, and each drawing would leave one behind. A narrower terminal
 * has no room for the bar, a very narrow one cuts the table's name. */
static void bar_fits_the_terminal(void **state)
{
	(void)state;
	struct copy_state s = {"a_rather_long_database", "and_a_table_k\xc3\xbc", 30 * MIB, 100 * MIB, 0, 30 * MIB, 30000};
	for (unsigned width = 10; width < 200; width++) {
		struct progress p;
		struct buf out = {0};
		progress_init(&p, true, width);
		assert_true(progress_draw(&p, &s, &out));
		assert_int_equal(out.data[0], '\r');
		assert_int_equal(out.size, width); /* the \r and all but the last column */
		assert_int_equal(memcmp(out.data + 1, " 30%", 4), 0);
		if (width >= 120)
			assert_non_null(
			    strstr(buf_str(&out), " [#########.....................]  30 MiB sent, 1.0 MiB/s, 1:10 left  a_"));
		assert_int_equal(out.data[out.size - 1] & 0x80, out.data[out.size - 1] == 0xbc ? 0x80 : 0);
		buf_free(&out);
	}
}

/* On a terminal it is drawn over itself, not more often than anybody can read, and ends with a line break. */
static void bar_is_drawn_over_itself(void **state)
{
	(void)state;
	struct progress p;
	struct buf out = {0};
	unsigned drawn = 0;
	progress_init(&p, true, 80);
	for (int64_t ms = 0; ms <= 2000; ms += 100) {
		struct copy_state s = {"d", "t", (uint64_t)ms, 4000, 0, 0, ms};
		drawn += progress_draw(&p, &s, &out);
	}
	assert_int_equal(drawn, 11);
	assert_null(memchr(out.data, '\n', out.size));
	progress_end(&p, &out);
	assert_int_equal(out.data[out.size - 1], '\n');
	buf_free(&out);
}

/* What was there already goes by in a moment; the rest, which is sent, takes its time. The time left must soon be the
 * rest's, and a copy that began anew after an ALTER must not show a rate of billions. */
static void rate_is_the_latest(void **state)
{
	(void)state;
	struct progress p;
	struct buf out = {0};
	progress_init(&p, false, 0);
	struct copy_state s = {"d", "t", 0, 1000 * MIB, 0, 0, 0};
	for (s.elapsed_ms = 0; s.elapsed_ms <= 20000; s.elapsed_ms += 10000, s.done += 200 * MIB)
		progress_draw(&p, &s, &out);
	for (; s.elapsed_ms <= 120000; s.elapsed_ms += 10000, s.done += MIB, s.bytes_sent += MIB) {
		buf_clear(&out);
		progress_draw(&p, &s, &out);
	}
	assert_non_null(strstr(buf_str(&out), "101 KiB/s"));
	assert_true(p.done_rate < 0.5 * MIB);
	s.done = 0;
	progress_draw(&p, &s, &out);
	assert_true(p.done_rate < 0.5 * MIB);
	buf_free(&out);
}

/* A source without a row, or one whose tables have no pages yet. */
static void nothing_is_no_division(void **state)
{
	(void)state;
	struct progress p;
	struct buf out = {0};
	progress_init(&p, true, 80);
	struct copy_state s = {NULL, NULL, 0, 0, 0, 0, 0};
	assert_true(progress_draw(&p, &s, &out));
	assert_non_null(strstr(buf_str(&out), "  0%"));
	assert_non_null(strstr(buf_str(&out), "? left"));
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_come_each_ten_seconds), cmocka_unit_test(bar_fits_the_terminal),
	    cmocka_unit_test(bar_is_drawn_over_itself),    cmocka_unit_test(rate_is_the_latest),
	    cmocka_unit_test(nothing_is_no_division),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
