/* The merge engine's promises beside what tests/model shows: columns that belong together, a window that stays small, and rebuilding
 * from the log. If these fail, a row gets half of each node's address, or a gate's memory runs full while its peer is away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "merge/merge.h"

enum { COLUMNS = 4 };

/* person(id, street, town, age); street and town belong together */
static const uint32_t key_columns[] = {0};
static const uint16_t groups[] = {0, 1, 1, 2};
static const struct merge_table person = {.id = 77, .column_count = COLUMNS, .key = {1, key_columns}, .groups = groups};

static void fill(struct content *values, const char *const *texts)
{
	for (int i = 0; i < COLUMNS; i++)
		values[i] = (struct content){.bytes = (const uint8_t *)texts[i], .size = (uint32_t)strlen(texts[i])};
}

static struct merge *copy; /* what the last outcome is borrowed from */

/* before or after NULL: no row. context: the seqs of domains 1 and 2 that the origin has. */
static struct merge_outcome write(struct merge *m, uint32_t me, uint32_t origin, uint64_t seq, uint32_t time,
                                  const uint64_t context[2], const char *const *before, const char *const *after)
{
	static struct content old[COLUMNS], new[COLUMNS];
	if (before != NULL)
		fill(old, before);
	if (after != NULL)
		fill(new, after);
	struct merge_change change = {.op = before == NULL  ? MERGE_INSERT
	                                    : after == NULL ? MERGE_DELETE
	                                                    : MERGE_UPDATE,
	                              .table = &person,
	                              .before = before != NULL ? old : NULL,
	                              .after = after != NULL ? new : NULL};
	struct vector vector = {0};
	for (uint32_t d = 0; d < 2; d++)
		if (context[d] > 0)
			vector.gtids[vector.count++] = (struct gtid){.domain = d + 1, .server = d + 1, .seq = context[d]};
	struct merge_transaction t = {.gtid = {.domain = origin, .server = origin, .seq = seq},
	                              .time = time,
	                              .context = &vector,
	                              .count = 1,
	                              .changes = &change};
	if (origin == me) {
		merge_applied(m, &t);
		return merge_plan(m);
	}
	merge_free(copy);
	copy = merge_what_if(m, &t);
	struct merge_outcome outcome = merge_plan(copy);
	merge_resolved(m, &t, outcome.step_count, outcome.steps);
	assert_int_equal(merge_plan(m).step_count, 0);
	return outcome;
}

static int forget(void **state)
{
	(void)state;
	merge_free(copy);
	copy = NULL;
	return 0;
}

static void assert_row(const struct content *values, const char *const *texts)
{
	for (int i = 0; i < COLUMNS; i++) {
		assert_int_equal(values[i].size, strlen(texts[i]));
		assert_memory_equal(values[i].bytes, texts[i], values[i].size);
	}
}

static const char *const base[] = {"1", "Main St", "Oslo", "30"};

/* Node 1 changes the street, node 2 later the town and the age: nobody lives in node 1's street in node 2's town. */
static void test_bound_columns_win_together(void **state)
{
	(void)state;
	static const char *const one[] = {"1", "Elm St", "Oslo", "30"}, *const two[] = {"1", "Main St", "Bergen", "31"};
	struct merge *first = merge_new(1), *second = merge_new(2);
	struct merge_outcome outcome = write(first, 1, 1, 1, 100, (uint64_t[]){0, 0}, base, one);
	assert_int_equal(outcome.step_count, 0);
	outcome = write(first, 1, 2, 1, 101, (uint64_t[]){0, 0}, base, two);
	assert_int_equal(outcome.step_count, 1);
	assert_row(outcome.steps[0].before, one);
	assert_row(outcome.steps[0].after, two);
	assert_int_equal(outcome.record_count, 1);
	assert_string_equal(merge_kind_name(outcome.records[0].kind), "update_origin_differs");
	assert_row(outcome.records[0].local, one);
	assert_row(outcome.records[0].base, base);
	assert_true(outcome.records[0].lost[1]);
	assert_false(outcome.records[0].lost[2] || outcome.records[0].lost[3]);
	/* The other way round nothing is to be done, and it is not the winner who records. */
	write(second, 2, 2, 1, 101, (uint64_t[]){0, 0}, base, two);
	outcome = write(second, 2, 1, 1, 100, (uint64_t[]){0, 0}, base, one);
	assert_int_equal(outcome.step_count, 0);
	assert_int_equal(outcome.record_count, 0);
	merge_free(first);
	merge_free(second);
}

/* What follows is passed on as it came. */
static void test_a_write_that_follows_is_one_step(void **state)
{
	(void)state;
	static const char *const one[] = {"1", "Elm St", "Oslo", "30"}, *const two[] = {"1", "Elm St", "Oslo", "31"};
	struct merge *m = merge_new(1);
	write(m, 1, 1, 1, 5000, (uint64_t[]){0, 0}, base, one);
	struct merge_outcome outcome = write(m, 1, 2, 1, 5001, (uint64_t[]){1, 0}, one, two);
	assert_int_equal(outcome.step_count, 1);
	assert_int_equal(outcome.record_count, 0);
	outcome = write(m, 1, 2, 2, 5002, (uint64_t[]){1, 1}, two, NULL);
	assert_int_equal(outcome.step_count, 1);
	assert_int_equal(outcome.steps[0].op, MERGE_DELETE);
	assert_int_equal(outcome.record_count, 0);
	merge_free(m);
}

/* A peer is away for days, and one row is written all the time. */
static void test_a_hot_row_keeps_few_writes(void **state)
{
	(void)state;
	static const char *const rows[2][COLUMNS] = {{"1", "Elm St", "Oslo", "30"}, {"1", "Main St", "Oslo", "31"}};
	struct merge *m = merge_new(1);
	for (uint64_t i = 1; i <= 20000; i++) {
		write(m, 1, 1, i, 1000 + i, (uint64_t[]){i - 1, 0}, rows[i % 2], rows[(i + 1) % 2]);
		assert_true(merge_counts(m).writes <= 8);
	}
	/* It still loses to nothing it knew, and wins over what didn't know it. */
	static const char *const late[] = {"1", "Nowhere", "Oslo", "30"};
	struct merge_outcome outcome = write(m, 1, 2, 1, 999, (uint64_t[]){0, 0}, rows[1], late);
	assert_int_equal(outcome.step_count, 0);
	struct vector everywhere = {.count = 2, .gtids = {{1, 1, 20000}, {2, 2, 1}}};
	merge_settle(m, &everywhere);
	assert_int_equal(merge_counts(m).rows, 0);
	assert_int_equal(merge_counts(m).writes, 0);
	merge_free(m);
}

static void test_settling_leaves_what_somebody_lacks(void **state)
{
	(void)state;
	struct merge *m = merge_new(1);
	char id[16];
	for (uint64_t i = 1; i <= 1000; i++) {
		snprintf(id, sizeof id, "%llu", (unsigned long long)i);
		const char *row[] = {id, "Elm St", "Oslo", "30"};
		write(m, 1, 1, i, 1000 + i, (uint64_t[]){i - 1, 0}, NULL, row);
	}
	struct vector everywhere = {.count = 1, .gtids = {{1, 1, 600}}};
	merge_settle(m, &everywhere);
	assert_int_equal(merge_counts(m).rows, 400);
	assert_int_equal(merge_counts(m).held, 0);
	merge_free(m);
}

/* After a restart the log is given to it again: what is here already gives no steps, and the same is decided. */
static void test_rebuilt_from_the_log_it_decides_alike(void **state)
{
	(void)state;
	static const char *const one[] = {"1", "Elm St", "Oslo", "30"}, *const two[] = {"1", "Main St", "Oslo", "31"};
	for (int crash = 0; crash < 2; crash++) {
		struct merge *m = merge_new(1);
		write(m, 1, 1, 1, 200, (uint64_t[]){0, 0}, base, one);
		if (crash) {
			merge_free(m);
			m = merge_new(1);
			write(m, 1, 1, 1, 200, (uint64_t[]){0, 0}, base, one);
		}
		struct merge_outcome outcome = write(m, 1, 2, 1, 100, (uint64_t[]){0, 0}, base, two);
		assert_int_equal(outcome.step_count, 1);
		assert_row(outcome.steps[0].after, (const char *const[]){"1", "Elm St", "Oslo", "31"});
		assert_int_equal(outcome.record_count, 0);
		merge_free(m);
	}
}

static void test_stamps_are_a_total_order(void **state)
{
	(void)state;
	const struct stamp ascending[] = {{0, 0, 0}, {0, 1, 1}, {5, 1, 1},         {5, 1, 2},
	                                  {5, 2, 1}, {6, 1, 1}, {UINT32_MAX, 1, 1}};
	size_t count = sizeof ascending / sizeof *ascending;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < count; j++)
			assert_int_equal(stamp_compare(ascending[i], ascending[j]), i < j ? -1 : i > j);
	assert_true(stamp_is_none(ascending[0]));
	assert_false(stamp_is_none(ascending[1])); /* a clock that stands at 1970 */
}

/* Node 2's clock is years behind: what it writes over a row that it has read is shown all the same. */
static void test_who_follows_wins_whatever_its_clock_says(void **state)
{
	(void)state;
	static const char *const one[] = {"1", "Elm St", "Oslo", "30"}, *const two[] = {"1", "Elm St", "Oslo", "31"};
	struct merge *m = merge_new(1);
	write(m, 1, 1, 5, 1000, (uint64_t[]){4, 0}, base, one);
	/* Its stamp's time is what it had read, as its log has it; the transaction knew more. */
	struct merge_outcome outcome = write(m, 1, 2, 1, 1000, (uint64_t[]){5, 0}, one, two);
	assert_int_equal(outcome.step_count, 1);
	assert_row(outcome.steps[0].after, two);
	assert_int_equal(outcome.record_count, 0);
	merge_free(m);
}

/* A plan that isn't carried out (the server was away) is made again; what is recorded is told once. */
static void test_a_plan_is_told_until_it_is_shown(void **state)
{
	(void)state;
	static const char *const one[] = {"1", "Elm St", "Oslo", "30"}, *const two[] = {"1", "Main St", "Oslo", "31"};
	struct merge *m = merge_new(1);
	write(m, 1, 1, 1, 100, (uint64_t[]){0, 0}, base, one);
	struct content before[COLUMNS], after[COLUMNS];
	fill(before, base);
	fill(after, two);
	struct vector nothing = {0};
	struct merge_change change = {.op = MERGE_UPDATE, .table = &person, .before = before, .after = after};
	struct merge_transaction t = {
	    .gtid = {.domain = 2, .server = 2, .seq = 1}, .time = 99, .context = &nothing, .count = 1, .changes = &change};
	merge_resolved(m, &t, 0, NULL);
	for (int i = 0; i < 2; i++) {
		struct merge_outcome outcome = merge_plan(m);
		assert_int_equal(outcome.step_count, 1);
		assert_row(outcome.steps[0].after, (const char *const[]){"1", "Elm St", "Oslo", "31"});
	}
	struct vector everywhere = {.count = 2, .gtids = {{1, 1, 1}, {2, 2, 1}}};
	merge_settle(m, &everywhere);
	assert_int_equal(merge_counts(m).rows, 1);
	struct merge_outcome outcome = merge_plan(m);
	merge_shown(m, outcome.step_count, outcome.steps);
	assert_int_equal(merge_plan(m).step_count, 0);
	merge_settle(m, &everywhere);
	assert_int_equal(merge_counts(m).rows, 0);
	merge_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bound_columns_win_together),
	    cmocka_unit_test(test_a_write_that_follows_is_one_step),
	    cmocka_unit_test(test_a_hot_row_keeps_few_writes),
	    cmocka_unit_test(test_settling_leaves_what_somebody_lacks),
	    cmocka_unit_test(test_rebuilt_from_the_log_it_decides_alike),
	    cmocka_unit_test(test_stamps_are_a_total_order),
	    cmocka_unit_test(test_who_follows_wins_whatever_its_clock_says),
	    cmocka_unit_test(test_a_plan_is_told_until_it_is_shown),
	};
	return cmocka_run_group_tests(tests, NULL, forget);
}
