/* src/link/growth: how fast the log grows. An operator plans by it how long a node may be away; counted too low, it
 * has to be copied anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "link/growth.h"

static void count(struct growth *g, int64_t now, size_t files, struct logs_file *list)
{
	growth_count(g, &(struct logs){.count = files, .files = list}, now);
}

static void rate_is(const struct growth *g, int64_t now, double expected)
{
	double rate;
	assert_true(growth_rate(g, now, &rate));
	assert_true(rate >= expected * 0.999 && rate <= expected * 1.001);
}

/* What was there already grew nobody knows when; what was rotated, and what was purged since, counts. */
static void files_that_grow_and_rotate_are_counted(void **state)
{
	(void)state;
	struct growth g = {0};
	struct logs_file files[] = {{"log.1", 5000}, {"log.2", 700}, {"log.3", 300}};
	double rate;
	assert_false(growth_rate(&g, 1000, &rate));
	count(&g, 1000, 1, files);
	assert_false(growth_rate(&g, 1059, &rate));
	rate_is(&g, 1060, 0);
	files[0].bytes = 6000;
	count(&g, 1100, 2, files);
	rate_is(&g, 1100, 17);
	files[1].bytes = 900;
	count(&g, 1100, 2, files + 1);
	rate_is(&g, 1100, 22);
	count(&g, 1100, 2, files + 1);
	rate_is(&g, 1100, 22);
	files[2].name[4] = '7'; /* the one that was counted last is gone */
	count(&g, 1100, 1, files + 2);
	rate_is(&g, 1100, 25);
}

/* A day, not for ever: a rush long ago makes nobody hurry. A clock that is set says nothing about the log. */
static void a_day_counts(void **state)
{
	(void)state;
	struct growth g = {0};
	struct logs_file file = {"log.1", 1};
	int64_t now = 1000;
	count(&g, now, 1, &file);
	file.bytes += 1000000000;
	count(&g, now += 60, 1, &file);
	for (int hour = 0; hour < 30; hour++) {
		file.bytes += 3600;
		count(&g, now += GROWTH_HOUR_S, 1, &file);
	}
	assert_in_range(g.count, GROWTH_HOURS, GROWTH_HOURS + 1);
	rate_is(&g, now, 1);
	count(&g, now += 100 * 24 * GROWTH_HOUR_S, 1, &file);
	assert_int_equal(g.count, 1);
	count(&g, 5, 1, &file);
	assert_int_equal(g.count, 1);
	assert_int_equal(g.hours[0].since, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_that_grow_and_rotate_are_counted),
	    cmocka_unit_test(a_day_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
