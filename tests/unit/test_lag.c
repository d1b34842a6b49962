/* src/link/lag and away: how far behind a link is said to be. Somebody decides by it whether to wait or to drive to
 * the gate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "link/away.h"
#include "link/lag.h"

static struct vector vector_of(const char *text)
{
	struct vector vector;
	assert_int_equal(vector_parse(text, &vector, NULL), ERR_OK);
	return vector;
}

/* What was written here comes back in the peer's log: counted, it would be a lag that never ends. */
static void transactions(void **state)
{
	(void)state;
	struct vector head = vector_of("1-1-100,2-2-50,3-3-7"), position = vector_of("2-2-40,3-3-9");
	assert_int_equal(lag_transactions(&head, &position, 1), 10);
	assert_int_equal(lag_transactions(&head, &position, 4), 110);
	assert_int_equal(lag_transactions(&head, &head, 4), 0);
}

static void bytes_of_several_files(void **state)
{
	(void)state;
	struct logs_file files[] = {{"bin.000001", 1000}, {"bin.000002", 2000}, {"bin.000003", 300}};
	struct logs logs = {.count = 3, .files = files};
	uint64_t bytes = 7;
	assert_true(lag_bytes(&logs, &(struct lag_place){"bin.000002", 500}, &bytes));
	assert_int_equal(bytes, 1800);
	assert_true(lag_bytes(&logs, &(struct lag_place){"bin.000003", 300}, &bytes));
	assert_int_equal(bytes, 0);
	/* It was asked a moment ago, and more was applied since: that isn't four gigabytes. */
	assert_true(lag_bytes(&logs, &(struct lag_place){"bin.000003", 400}, &bytes));
	assert_int_equal(bytes, 0);
	assert_false(lag_bytes(&logs, &(struct lag_place){"bin.000009", 4}, &bytes));
	assert_false(lag_bytes(&logs, &(struct lag_place){"", 0}, &bytes));
}

/* One large transaction makes a file larger than what an event's 32 bits can say. */
static void bytes_of_a_huge_file(void **state)
{
	(void)state;
	struct logs_file file = {"bin.000001", ((uint64_t)1 << 32) + 1000};
	struct logs logs = {.count = 1, .files = &file};
	uint64_t bytes;
	assert_true(lag_bytes(&logs, &(struct lag_place){"bin.000001", 400}, &bytes)); /* behind the wrap */
	assert_int_equal(bytes, 600);
	assert_true(lag_bytes(&logs, &(struct lag_place){"bin.000001", UINT32_MAX - 999}, &bytes));
	assert_int_equal(bytes, 2000);
}

/* A busy peer answers late: taken as it comes, its clock would seem to jump about. A clock that was really set is
 * believed at once. */
static void clock_of_a_peer(void **state)
{
	(void)state;
	struct lag_clock c = {0};
	int64_t s = 1000000;
	lag_clock_take(&c, 100 * s, 2000, 103 * s + 1000, 0);
	assert_true(c.is_known && c.offset_us == 3 * s && c.error_us == 1000);
	/* 400 ms on the way, all of it back: halfway is 200 ms off, but within what may be. */
	lag_clock_take(&c, 110 * s, 400000, 113 * s + 1000, 10000);
	assert_int_equal(c.offset_us, 3 * s);
	lag_clock_take(&c, 111 * s, 1000, 114 * s + 600, 11000);
	assert_true(c.offset_us == 3 * s + 100 && c.error_us == 500);
	/* Late, but it can't be explained by that. */
	lag_clock_take(&c, 120 * s, 400000, 60 * s, 20000);
	assert_int_equal(c.offset_us, -60 * s - 200000);
	/* After a while what was measured well is old. */
	lag_clock_take(&c, 300 * s, 500000, 240 * s + 50000, 200000);
	assert_int_equal(c.error_us, 250000);
}

/* The peer's clock is a day behind: what it wrote a moment ago would be told as a day late, and nobody could mend
 * that. */
static void age_by_another_clock(void **state)
{
	(void)state;
	struct lag_clock unknown = {0}, behind = {.is_known = true, .offset_us = -86400000000},
	                 ahead = {.is_known = true, .offset_us = 90000000};
	assert_int_equal(lag_age(&unknown, 990, 1000), 10);
	assert_int_equal(lag_age(&behind, 100000 - 86400 - 3, 100000), 3);
	assert_int_equal(lag_age(&ahead, 1090 - 5, 1000), 5);
	assert_int_equal(lag_age(&ahead, 1091, 1000), 0);
}

static void estimate(void **state)
{
	(void)state;
	struct lag_pace p = {0};
	int64_t seconds = -1;
	assert_false(lag_pace_estimate(&p, &seconds));
	lag_pace_note(&p, 1000, 10000);
	lag_pace_note(&p, 1100, 1); /* too soon after the last one to tell anything */
	assert_false(lag_pace_estimate(&p, &seconds));
	lag_pace_note(&p, 2000, 9000);
	assert_false(lag_pace_estimate(&p, &seconds));
	lag_pace_note(&p, 3000, 8000);
	assert_true(lag_pace_estimate(&p, &seconds));
	assert_int_equal(seconds, 8);
}

/* It doesn't get less: then there is no end to tell. And what was long ago doesn't count. */
static void estimate_of_what_grows(void **state)
{
	(void)state;
	struct lag_pace p = {0};
	int64_t seconds, ms = 0;
	for (int i = 0; i < 100; i++)
		lag_pace_note(&p, ms += 1000, 1000 + (uint64_t)i);
	assert_false(lag_pace_estimate(&p, &seconds));
	for (int i = 0; i < 100; i++)
		lag_pace_note(&p, ms += 1000, 100000 - 100 * (uint64_t)i);
	assert_true(lag_pace_estimate(&p, &seconds));
	assert_in_range(seconds, 900, 905);
	assert_in_range(p.count, 2, LAG_PACE_SAMPLES);
}

/* A node that is started anew while its peer is away goes on counting: "offline is critical after a day" would never
 * come true on a node that is switched off each night. */
static void away_across_restarts(void **state)
{
	(void)state;
	char dir[] = "/tmp/test_lag_XXXXXX";
	char path[64];
	struct away a;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/offline-2", dir);
	away_load(&a, dir, 2, 5000);
	assert_int_equal(a.since_s, 0);
	away_lost(&a, 4990, 5000);
	assert_int_equal(a.since_s, 4990);
	assert_int_not_equal(access(path, F_OK), 0); /* a short break costs no write */
	away_lost(&a, 4990, 5050);
	assert_int_equal(access(path, F_OK), 0);
	away_load(&a, dir, 2, 9000);
	assert_int_equal(a.since_s, 4990);
	away_load(&a, dir, 2, 100); /* the clock isn't set yet */
	assert_int_equal(a.since_s, 100);
	away_reached(&a);
	assert_int_equal(a.since_s, 0);
	assert_int_not_equal(access(path, F_OK), 0);
	away_lost(&a, 0, 7000); /* never there since this node started */
	assert_int_equal(a.since_s, 7000);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(transactions),           cmocka_unit_test(bytes_of_several_files),
	    cmocka_unit_test(bytes_of_a_huge_file),   cmocka_unit_test(clock_of_a_peer),
	    cmocka_unit_test(age_by_another_clock),   cmocka_unit_test(estimate),
	    cmocka_unit_test(estimate_of_what_grows), cmocka_unit_test(away_across_restarts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
