/* The merge engine's promises beside what tests/model shows: columns that belong together, a window that stays small,
 * rebuilding from the log, numbers. If these fail, a row gets half of each node's address, or a gate's memory runs full
 * while its peer is away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "merge/merge.h"
#include "merge/merge_parts.h"

enum { COLUMNS = 4 };

/* person(id, street, town, age); street and town belong together */
static const uint32_t key_columns[] = {0};
static const uint16_t groups[] = {0, 1, 1, 2};
static struct merge_table person = {
    .id = 77, .column_count = COLUMNS, .key = {.count = 1, .columns = key_columns}, .groups = groups};

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

/* In a pair what met nothing is in the applying node's log without its stamp: by its time there, late, and with a context that has too
 * much. A row of it is in conflict again, after a restart: if that stamp counted, the old value would come back here, and only here. */
static void test_a_write_applied_late_does_not_come_back(void **state)
{
	(void)state;
	static const char *const old[] = {"1", "Main St", "Oslo", "31"}, *const mine[] = {"1", "Elm St", "Oslo", "31"},
	                         *const new[] = {"1", "Main St", "Oslo", "32"},
	                         *const both[] = {"1", "Elm St", "Oslo", "32"};
	struct merge *m = merge_new(1);
	struct content values[2][COLUMNS];
	fill(values[0], base);
	fill(values[1], old);
	struct merge_change change = {.op = MERGE_UPDATE, .table = &person, .before = values[0], .after = values[1]};
	struct vector context = {.count = 1, .gtids = {{.domain = 1, .server = 1, .seq = 50}}};
	struct merge_transaction late = {
	    .gtid = {.domain = 2, .server = 2, .seq = 1}, .time = 900, .context = &context, .count = 1, .changes = &change};
	merge_applied(m, &late);
	write(m, 1, 1, 51, 901, (uint64_t[]){50, 1}, old, mine);
	struct merge_outcome outcome = write(m, 1, 2, 2, 101, (uint64_t[]){20, 1}, old, new);
	assert_int_equal(outcome.step_count, 1);
	assert_row(outcome.steps[0].after, both);
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

/* ---- Policies ---- */

static void use_policies(const struct merge_column_policy *policies, const uint16_t *with_groups)
{
	person.policies = policies;
	person.groups = with_groups;
}

static int last_update_wins_again(void **state)
{
	use_policies(NULL, groups);
	return forget(state);
}

/* A shop's stock is written 20,000 times while a peer is away: memory stays small, and not one piece is lost when they
 * meet. */
static void test_a_hot_counter_keeps_few_writes_and_its_sum(void **state)
{
	(void)state;
	static const struct merge_column_policy policies[COLUMNS] = {
	    [3] = {.policy = MERGE_DELTA_APPLY, .type = {.order = MERGE_ORDER_INTEGER}}};
	use_policies(policies, NULL);
	struct merge *m = merge_new(1);
	char counts[2][4] = {{0}};
	const char *before[] = {"1", "Elm St", "Oslo", counts[0]}, *after[] = {"1", "Elm St", "Oslo", counts[1]};
	/* Three bytes, none of which is 0. */
	uint32_t value = 0x010101;
	for (uint64_t i = 1; i <= 20000; i++) {
		memcpy(counts[0], (uint8_t[]){value & 255, value >> 8 & 255, value >> 16}, 3);
		do
			value += 3;
		while ((value & 255) == 0 || (value >> 8 & 255) == 0);
		memcpy(counts[1], (uint8_t[]){value & 255, value >> 8 & 255, value >> 16}, 3);
		write(m, 1, 1, i, 1000 + i, (uint64_t[]){i - 1, 0}, before, after);
		assert_true(merge_counts(m).writes <= 8);
	}
	uint32_t sum = value - 0x10;
	static const char *const first[] = {"1", "Elm St", "Oslo", "\x21\1\1"}, *const late[] = {"1", "Elm St", "Oslo",
	                                                                                         "\x11\1\1"};
	struct merge_outcome outcome = write(m, 1, 2, 1, 999, (uint64_t[]){0, 0}, first, late);
	assert_int_equal(outcome.step_count, 1);
	assert_memory_equal(outcome.steps[0].after[3].bytes, ((uint8_t[]){sum & 255, sum >> 8 & 255, sum >> 16}), 3);
	assert_int_equal(outcome.record_count, 0);
	merge_free(m);
}

/* Two nodes take more than there is. The tables show the lowest value there is, but whoever let the row go would forget
 * the debt and differ from those that still have it. */
static void test_a_sum_beyond_the_column_stays_in_the_window(void **state)
{
	(void)state;
	static const struct merge_column_policy policies[COLUMNS] = {
	    [3] = {.policy = MERGE_DELTA_APPLY, .type = {.order = MERGE_ORDER_INTEGER}}};
	use_policies(policies, NULL);
	static const char *const full[] = {"1", "Elm St", "Oslo", "\x9c"}; /* -100 */
	static const char *const one[] = {"1", "Elm St", "Oslo", "\x88"};  /* -120 */
	static const char *const low[] = {"1", "Elm St", "Oslo", "\x80"};  /* -128 */
	static const char *const more[] = {"1", "Elm St", "Oslo", "\x94"}; /* -108 */
	static const char *const end[] = {"1", "Elm St", "Oslo", "\x8c"};  /* -116 = -100 - 20 - 16 + 20 */
	static const char *const two[] = {"1", "Elm St", "Oslo", "\x8c"};  /* -116 */
	struct merge *m = merge_new(1);
	struct vector everywhere = {.count = 2, .gtids = {{1, 1, 1}, {2, 2, 1}}};
	write(m, 1, 1, 1, 100, (uint64_t[]){0, 0}, full, one);
	struct merge_outcome outcome = write(m, 1, 2, 1, 101, (uint64_t[]){0, 0}, full, two);
	assert_int_equal(outcome.step_count, 1);
	assert_row(outcome.steps[0].after, low);
	merge_settle(m, &everywhere);
	assert_int_equal(merge_counts(m).rows, 1);
	/* The next one is paid in by 20: of that, 8 pay the debt. */
	outcome = write(m, 1, 2, 2, 102, (uint64_t[]){1, 1}, low, more);
	assert_row(outcome.steps[0].after, end);
	everywhere.gtids[1].seq = 2;
	merge_settle(m, &everywhere);
	assert_int_equal(merge_counts(m).rows, 0);
	merge_free(m);
}

/* What the operator reads: by which rule, against what, and what became of the row. */
static void test_a_record_tells_policy_and_resolution(void **state)
{
	(void)state;
	static const uint32_t second_first[] = {2};
	static const struct merge_column_policy policies[COLUMNS] = {
	    [1] = {.policy = MERGE_ERROR}, [2] = {.policy = MERGE_SITE_PRIORITY, .site_count = 1, .sites = second_first}};
	use_policies(policies, NULL);
	static const char *const one[] = {"1", "Main St", "Bonn", "31"}, *const two[] = {"1", "Main St", "Bergen", "30"};
	static const char *const three[] = {"1", "Elm St", "Oslo", "30"}, *const four[] = {"1", "High St", "Oslo", "30"};
	struct merge *m = merge_new(1);
	write(m, 1, 1, 1, 9000, (uint64_t[]){0, 0}, base, one);
	struct merge_outcome outcome = write(m, 1, 2, 1, 101, (uint64_t[]){0, 0}, base, two);
	assert_int_equal(outcome.record_count, 1);
	assert_string_equal(merge_policy_name(outcome.records[0].policy), "site_priority");
	assert_string_equal(merge_resolution_name(outcome.records[0].resolution),
	                    "merge"); /* the age of 31 is still there */
	assert_row(outcome.records[0].remote, two);
	assert_row(outcome.records[0].applied, (const char *const[]){"1", "Main St", "Bergen", "31"});
	merge_free(m);

	m = merge_new(1);
	write(m, 1, 1, 1, 9000, (uint64_t[]){0, 0}, base, three);
	outcome = write(m, 1, 2, 1, 101, (uint64_t[]){0, 0}, base, four);
	assert_int_equal(outcome.record_count, 1);
	assert_row(outcome.steps[0].after, four);
	assert_string_equal(merge_policy_name(outcome.records[0].policy), "error");
	assert_string_equal(merge_resolution_name(outcome.records[0].resolution), "skip");
	merge_free(m);

	use_policies(NULL, NULL);
	m = merge_new(1);
	write(m, 1, 1, 1, 100, (uint64_t[]){0, 0}, base, three);
	outcome = write(m, 1, 2, 1, 101, (uint64_t[]){0, 0}, base, four);
	assert_string_equal(merge_policy_name(outcome.records[0].policy), "last_update_wins");
	assert_string_equal(merge_resolution_name(outcome.records[0].resolution), "apply_remote");
	merge_free(m);

	m = merge_new(1);
	write(m, 1, 1, 1, 100, (uint64_t[]){0, 0}, base, three);
	outcome = write(m, 1, 2, 1, 101, (uint64_t[]){0, 0}, base, NULL);
	assert_string_equal(merge_policy_name(outcome.records[0].policy), "delete_wins");
	assert_string_equal(merge_resolution_name(outcome.records[0].resolution), "apply_remote");
	assert_null(outcome.records[0].remote);
	merge_free(m);
}

/* ---- Numbers ---- */

static struct content content(const void *bytes, uint32_t size)
{
	return (struct content){.bytes = bytes, .size = size};
}

/* Which of two values wins under max; every one is lower than those behind it. If -1 counts as more than 1, who was
 * barred is let in. */
static void test_values_compare_as_the_server_does(void **state)
{
	(void)state;
	static const struct {
		struct column column;
		uint32_t size;
		const char *ascending[4];
	} cases[] = {
	    {{.type = COLUMN_LONG}, 4, {"\0\0\0\x80", "\xff\xff\xff\xff", "\1\0\0\0", "\0\1\0\0"}},
	    {{.type = COLUMN_LONG, .is_unsigned = true}, 4, {"\0\0\0\0", "\0\1\0\0", "\0\0\0\x80", "\xff\xff\xff\xff"}},
	    {{.type = COLUMN_DOUBLE},
	     8,
	     {"\0\0\0\0\0\0\0\xc0", "\0\0\0\0\0\0\xf0\xbf", "\0\0\0\0\0\0\xf0\x3f", "\0\0\0\0\0\0\0\x40"}},
	    {{.type = COLUMN_FLOAT}, 4, {"\0\0\0\xc0", "\0\0\x80\xbf", "\0\0\x80\x3f", "\0\0\0\x40"}},
	    {{.type = COLUMN_NEWDECIMAL, .metadata = 3 << 8 | 2}, 2, {"\x76\x9c", "\x7e\x9c", "\x80\x01", "\x81\0"}},
	    {{.type = COLUMN_DATE, .is_unsigned = true}, 3, {"\0\0\0", "\x9f\xcf\x0f", "\x21\xd0\x0f", "\x22\xd0\x0f"}},
	    {{.type = COLUMN_DATETIME2}, 5, {"\x99\0\0\0\0", "\x99\0\0\0\1", "\x99\0\1\0\0", "\x9a\0\0\0\0"}},
	    {{.type = COLUMN_STRING, .metadata = 8}, 1, {"A", "B", "a", "b"}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int max = 0; max < 2; max++)
			for (int a = 0; a < 4; a++)
				for (int b = 0; b < 4; b++) {
					struct merge_column_policy policy = {.policy = max ? MERGE_MAX : MERGE_MIN};
					assert_true(merge_number_type_of(&cases[i].column, &policy.type));
					struct content x = content(cases[i].ascending[a], cases[i].size);
					struct content y = content(cases[i].ascending[b], cases[i].size);
					struct content key = content("k", 1), values[2][2] = {{key, x}, {key, y}};
					struct merge_column_policy of_columns[2] = {{0}, policy};
					struct merge_table table = {
					    .id = 5, .column_count = 2, .key = {1, (const uint32_t[]){0}}, .policies = of_columns};
					struct merge *m = merge_new(9);
					struct vector nothing = {0};
					for (uint32_t d = 0; d < 2; d++) {
						struct merge_change change = {.op = MERGE_INSERT, .table = &table, .after = values[d]};
						struct merge_transaction t = {.gtid = {d + 1, d + 1, 1},
						                              .time = 100 - d,
						                              .context = &nothing,
						                              .count = 1,
						                              .changes = &change};
						merge_resolved(m, &t, 0, NULL);
					}
					struct merge_outcome outcome = merge_plan(m);
					const struct content *wins = (a > b) == max ? &x : &y;
					assert_int_equal(outcome.step_count, 1);
					assert_memory_equal(outcome.steps[0].after[1].bytes, wins->bytes, wins->size);
					merge_free(m);
				}
	struct merge_number_type type;
	assert_false(merge_number_type_of(&(struct column){.type = COLUMN_GEOMETRY}, &type));
	assert_false(merge_number_type_of(&(struct column){.type = COLUMN_DATETIME, .metadata = 3}, &type));
}

/* Sums of balances: a wrong digit is somebody's money. The bytes are decimal2bin's. */
static void test_numbers_add_up(void **state)
{
	(void)state;
	static const struct merge_number_type tiny = {.order = MERGE_ORDER_INTEGER},
	                                      big = {MERGE_ORDER_INTEGER, true, 0, 0},
	                                      money = {MERGE_ORDER_DECIMAL, false, 14, 4},
	                                      small = {MERGE_ORDER_DECIMAL, false, 3, 2},
	                                      most = {MERGE_ORDER_DECIMAL, false, 65, 30};
	static const struct {
		const struct merge_number_type *type;
		uint32_t size;
		const char *a, *b, *sum;
		bool fits;
	} cases[] = {
	    {&tiny, 1, "\x05", "\xfd", "\x02", true},
	    {&tiny, 1, "\x7f", "\x01", "\x7f", false},
	    {&tiny, 1, "\x80", "\xff", "\x80", false},
	    {&tiny, 2, "\xff\0", "\1\0", "\0\1", true},
	    {&big, 8, "\xff\xff\xff\xff\xff\xff\xff\xff", "\1\0\0\0\0\0\0\0", "\xff\xff\xff\xff\xff\xff\xff\xff", false},
	    /* 1234567890.1234 + -1234567890.1234 */
	    {&money, 7, "\x81\x0d\xfb\x38\xd2\x04\xd2", "\x7e\xf2\x04\xc7\x2d\xfb\x2d", "\x80\0\0\0\0\0\0", true},
	    /* 1234567890.1234 + 1234567890.1234 = 2469135780.2468 */
	    {&money, 7, "\x81\x0d\xfb\x38\xd2\x04\xd2", "\x81\x0d\xfb\x38\xd2\x04\xd2", "\x82\x1b\xf6\x71\xa4\x09\xa4",
	     true},
	    {&small, 2, "\x89\x63", "\x80\x01", "\x89\x63", false}, /* 9.99 + 0.01 */
	    {&small, 2, "\x76\x9c", "\x7f\xfe", "\x76\x9c", false}, /* -9.99 - 0.01 */
	    {&small, 2, "\x80\x32", "\x80\x32", "\x81\0", true},    /* 0.50 + 0.50 */
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint8_t bytes[8];
		struct content a = content(cases[i].a, cases[i].size), b = content(cases[i].b, cases[i].size);
		struct number sum = number_of(cases[i].type, &a), other = number_of(cases[i].type, &b);
		number_add(&sum, &other);
		assert_int_equal(number_write(cases[i].type, sum, cases[i].size, bytes), cases[i].fits);
		assert_memory_equal(bytes, cases[i].sum, cases[i].size);
		if (cases[i].fits) {
			number_subtract(&sum, &other);
			assert_true(number_write(cases[i].type, sum, cases[i].size, bytes));
			assert_memory_equal(bytes, cases[i].a, cases[i].size);
		}
	}
	/* The widest there is: its highest and its lowest value, and one step beyond. */
	uint8_t high[30], low[30], again[30];
	struct number huge = {{0, 0, 0, 0, 0, 0, 0, 0x7fffffff}}, none = {{0}};
	assert_false(number_write(&most, huge, sizeof high, high));
	number_subtract(&none, &huge);
	assert_false(number_write(&most, none, sizeof low, low));
	struct content c = content(high, sizeof high), d = content(low, sizeof low);
	struct number top = number_of(&most, &c), bottom = number_of(&most, &d), zero = top, one = {{1}};
	number_add(&zero, &bottom);
	assert_int_equal(number_compare(&zero, &(struct number){{0}}), 0);
	assert_true(number_write(&most, top, sizeof again, again));
	assert_memory_equal(again, high, sizeof high);
	number_add(&top, &one);
	assert_false(number_write(&most, top, sizeof again, again));
}

/* Node 2 has forgotten its history: node 1 records what node 2's writes lost, also where it was told before, and once. Else nobody would, and
 * what the second gate wrote would be gone without a trace. */
static void test_speaks_for_a_node_that_has_forgotten(void **state)
{
	(void)state;
	static const char *const one[] = {"1", "Elm St", "Oslo", "30"}, *const two[] = {"1", "Oak St", "Oslo", "30"};
	struct merge *m = merge_new(1);
	struct merge_outcome outcome = write(m, 1, 2, 1, 100, (uint64_t[]){0, 0}, base, two);
	outcome = write(m, 1, 1, 1, 101, (uint64_t[]){0, 0}, base, one);
	assert_int_equal(outcome.record_count, 0);
	merge_speak_for(m, 2, true);
	assert_true(merge_is_pending(m));
	outcome = merge_plan(m);
	assert_int_equal(outcome.step_count, 0);
	assert_int_equal(outcome.record_count, 1);
	assert_row(outcome.records[0].local, two);
	assert_row(outcome.records[0].remote, one);
	merge_speak_for(m, 2, true);
	assert_int_equal(merge_plan(m).record_count, 0);
	merge_speak_for(m, 2, false);
	assert_int_equal(merge_plan(m).record_count, 0);
	merge_free(m);
}

static int no_uniques_again(void **state)
{
	(void)state;
	person.unique_count = 0;
	person.uniques = NULL;
	person.groups = groups;
	return 0;
}

/* Row 1 has lost the street that node 1 gave it and the town that node 2 gave it, each to an older claim: each node
 * records its own. Node 1 also where row 2, which has the older claim to the street, has lost its town and goes, too:
 * else it would record node 2's loss, which would stand twice in replication_conflicts, and its own in no record. */
static void test_a_decision_records_this_nodes_claim(void **state)
{
	(void)state;
	static const uint32_t street[] = {1}, town[] = {2};
	static const struct merge_columns uniques[] = {{.count = 1, .columns = street}, {.count = 1, .columns = town}};
	static const char *const one[] = {"1", "Elm St", "Oslo", "30"}, *const two[] = {"1", "Main St", "Bergen", "30"};
	static const char *const second[] = {"2", "Elm St", "Bonn", "40"};
	const uint64_t nothing[] = {0, 0};
	struct merge_step step;
	struct merge_record record;
	bool is_shown;
	person.groups = NULL;
	person.uniques = uniques;
	person.unique_count = 2;
	struct merge *m = merge_new(1);
	write(m, 1, 1, 1, 300, nothing, base, one);
	write(m, 1, 2, 1, 200, nothing, base, two);
	write(m, 1, 2, 2, 201, nothing, NULL, second);
	write(m, 1, 3, 1, 100, nothing, NULL, (const char *const[]){"3", "High St", "Bonn", "50"});
	write(m, 1, 3, 2, 101, nothing, NULL, (const char *const[]){"4", "Oak St", "Bergen", "60"});
	assert_true(merge_decision(m, &step, &is_shown, &record));
	assert_memory_equal(step.before[0].bytes, "1", 1);
	assert_int_equal(record.loser.domain, 1);
	assert_int_equal(record.loser.seq, 1);
	assert_row(record.local, one);
	assert_int_equal(record.winner.domain, 2);
	assert_int_equal(record.winner.seq, 2);
	assert_row(record.remote, second);
	assert_string_equal(merge_kind_name(record.kind), "multiple_unique_conflicts");
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
	    cmocka_unit_test(test_a_write_applied_late_does_not_come_back),
	    cmocka_unit_test(test_a_plan_is_told_until_it_is_shown),
	    cmocka_unit_test_teardown(test_a_hot_counter_keeps_few_writes_and_its_sum, last_update_wins_again),
	    cmocka_unit_test_teardown(test_a_sum_beyond_the_column_stays_in_the_window, last_update_wins_again),
	    cmocka_unit_test_teardown(test_a_record_tells_policy_and_resolution, last_update_wins_again),
	    cmocka_unit_test(test_values_compare_as_the_server_does),
	    cmocka_unit_test(test_numbers_add_up),
	    cmocka_unit_test(test_speaks_for_a_node_that_has_forgotten),
	    cmocka_unit_test_teardown(test_a_decision_records_this_nodes_claim, no_uniques_again),
	};
	return cmocka_run_group_tests(tests, NULL, forget);
}
