/* TRUNCATE and DROP in the history: a delete of every row, for whoever didn't know of it. If these fail, a row that one node wrote
 * while another emptied the table stays on some nodes, or goes without being told to anybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "merge/history.h"

enum { COLUMNS = 2, TABLE = 77, ME = 1, PEER = 2 };

static const uint32_t key_columns[] = {0};
static const struct merge_table table = {
    .id = TABLE, .column_count = COLUMNS, .key = {.count = 1, .columns = key_columns}};

struct texts {
	const char *id, *value;
};

static struct vector vector_of(uint64_t mine, uint64_t peers)
{
	struct vector v = {0};
	if (mine > 0)
		v.gtids[v.count++] = (struct gtid){.domain = ME, .server = ME, .seq = mine};
	if (peers > 0)
		v.gtids[v.count++] = (struct gtid){.domain = PEER, .server = PEER, .seq = peers};
	return v;
}

/* One change, and what it borrows from. */
struct written {
	struct content before[COLUMNS], after[COLUMNS];
	struct merge_change change;
	struct vector context;
	struct merge_transaction transaction;
};

static void fill(struct content *to, const struct texts *row)
{
	to[0] = (struct content){.bytes = (const uint8_t *)row->id, .size = (uint32_t)strlen(row->id)};
	to[1] = (struct content){.bytes = (const uint8_t *)row->value, .size = (uint32_t)strlen(row->value)};
}

static void write_of(struct written *w, uint32_t origin, uint64_t seq, struct vector context,
                     const struct texts *before, const struct texts *after)
{
	*w = (struct written){.context = context};
	if (before != NULL)
		fill(w->before, before);
	if (after != NULL)
		fill(w->after, after);
	w->change = (struct merge_change){.op = before == NULL  ? MERGE_INSERT
	                                        : after == NULL ? MERGE_DELETE
	                                                        : MERGE_UPDATE,
	                                  .table = &table,
	                                  .before = before != NULL ? w->before : NULL,
	                                  .after = after != NULL ? w->after : NULL};
	w->transaction = (struct merge_transaction){.gtid = {.domain = origin, .server = origin, .seq = seq},
	                                            .time = 100,
	                                            .context = &w->context,
	                                            .count = 1,
	                                            .changes = &w->change};
}

/* It is in this node's log, shown as it is. */
static void tell(struct history *h, uint32_t origin, uint64_t seq, struct vector context, const struct texts *before,
                 const struct texts *after)
{
	struct written w;
	write_of(&w, origin, seq, context, before, after);
	struct history_transaction t = {.gtid = w.transaction.gtid, .time = 100, .context = &w.context};
	assert_int_equal(history_begin(h, &t, NULL), ERR_OK);
	assert_int_equal(history_write(h, &w.change, NULL), ERR_OK);
	assert_int_equal(history_end(h, NULL), ERR_OK);
	history_group_end(h);
}

static void empty(struct history *h, uint32_t origin, uint64_t seq, struct vector context, bool drops)
{
	struct history_transaction t = {
	    .gtid = {.domain = origin, .server = origin, .seq = seq}, .time = 100, .context = &context};
	assert_int_equal(history_emptied(h, &t, TABLE, drops, NULL), ERR_OK);
	history_group_end(h);
}

static bool finds(struct history *h, const struct written *w)
{
	struct history_keys keys = {0};
	history_keys_add(&keys, &w->change);
	bool found = history_finds(h, &keys, w->transaction.gtid.domain, w->transaction.context, NULL);
	history_keys_free(&keys);
	return found;
}

/* A peer's transaction arrives and is in conflict: how many steps it takes, which are then taken. */
static size_t resolve(struct history *h, const struct written *w)
{
	struct history_plan plan;
	assert_true(finds(h, w));
	assert_int_equal(history_plan(h, &w->transaction, &plan, NULL), ERR_OK);
	size_t count = plan.step_count;
	assert_int_equal(history_resolved(h, &w->transaction, plan.step_count, plan.steps, NULL), ERR_OK);
	history_plan_free(&plan);
	history_group_end(h);
	return count;
}

/* A peer's row comes after the TRUNCATE that it didn't know of: if it were inserted, it would be on this node alone. */
static void test_later_write_that_did_not_know(void **state)
{
	(void)state;
	struct history *h = history_new(ME, NULL);
	struct written w;
	empty(h, ME, 1, vector_of(0, 0), false);
	write_of(&w, PEER, 1, vector_of(0, 0), NULL, &(struct texts){"a", "x"});
	assert_int_equal(resolve(h, &w), 0);
	/* Nor does its next version come back, which knew the first one only. */
	write_of(&w, PEER, 2, vector_of(0, 1), &(struct texts){"a", "x"}, &(struct texts){"a", "y"});
	assert_int_equal(resolve(h, &w), 0);
	assert_int_equal(history_pending(h).record_count, 0); /* its origin's to record */
	/* Who knew of the TRUNCATE may write what it likes. */
	write_of(&w, PEER, 3, vector_of(1, 2), NULL, &(struct texts){"b", "x"});
	assert_false(finds(h, &w));
	history_free(h);
}

/* The row that was deleted is inserted here again: a late update of the old one must not touch the new one. */
static void test_row_of_the_same_key_lives(void **state)
{
	(void)state;
	struct history *h = history_new(ME, NULL);
	struct written w;
	empty(h, ME, 1, vector_of(0, 0), false);
	tell(h, ME, 2, vector_of(1, 0), NULL, &(struct texts){"a", "new"});
	write_of(&w, PEER, 1, vector_of(0, 0), &(struct texts){"a", "old"}, &(struct texts){"a", "x"});
	assert_int_equal(resolve(h, &w), 0);
	assert_int_equal(history_pending(h).step_count, 0);
	assert_int_equal(history_pending(h).record_count, 0);
	history_free(h);
}

/* A peer's statement takes what this node wrote without its knowing: told once, with the right winner; what it knew is no loss. */
static void lose(bool drops, enum merge_kind kind)
{
	struct history *h = history_new(ME, NULL);
	tell(h, ME, 1, vector_of(0, 0), NULL, &(struct texts){"a", "known"});
	tell(h, ME, 2, vector_of(1, 0), NULL, &(struct texts){"b", "lost"});
	tell(h, PEER, 1, vector_of(0, 0), NULL, &(struct texts){"c", "the peer's"});
	empty(h, PEER, 2, vector_of(1, 1), drops);
	struct merge_outcome outcome = history_pending(h);
	assert_int_equal(outcome.step_count, 0);
	assert_int_equal(outcome.record_count, 1);
	assert_int_equal(outcome.records[0].kind, kind);
	assert_int_equal(outcome.records[0].loser.seq, 2);
	assert_int_equal(outcome.records[0].winner.domain, PEER);
	assert_int_equal(outcome.records[0].winner.seq, 2);
	assert_null(outcome.records[0].applied);
	assert_memory_equal(outcome.records[0].local[1].bytes, "lost", 4);
	assert_int_equal(history_pending(h).record_count, 0);
	history_free(h);
}

static void test_own_rows_are_lost(void **state)
{
	(void)state;
	lose(false, MERGE_DELETE_ORIGIN_DIFFERS);
	lose(true, MERGE_TARGET_TABLE_MISSING);
}

/* A row in dispute when the table is emptied: what is planned for it afterwards must not bring it back. */
static void test_disputed_rows_go(void **state)
{
	(void)state;
	struct history *h = history_new(ME, NULL);
	struct written w;
	tell(h, ME, 1, vector_of(0, 0), NULL, &(struct texts){"a", "mine"});
	write_of(&w, PEER, 1, vector_of(0, 0), NULL, &(struct texts){"a", "yours"});
	resolve(h, &w);
	history_pending(h);
	empty(h, ME, 2, vector_of(1, 1), false);
	assert_int_equal(history_pending(h).step_count, 0);
	write_of(&w, PEER, 2, vector_of(0, 1), &(struct texts){"a", "yours"}, &(struct texts){"a", "late"});
	assert_int_equal(resolve(h, &w), 0);
	history_free(h);
}

/* When it is everywhere nothing is left of it, or a table that is emptied each night would cost more each day. */
static void test_settles(void **state)
{
	(void)state;
	struct history *h = history_new(ME, NULL);
	struct written w;
	tell(h, ME, 1, vector_of(0, 0), NULL, &(struct texts){"a", "lost"});
	empty(h, PEER, 1, vector_of(0, 0), false);
	assert_int_equal(history_pending(h).record_count, 1);
	history_settle(h, &(struct vector){.count = 2, .gtids = {{ME, ME, 1}, {PEER, PEER, 1}}});
	assert_true(history_is_empty(h));
	assert_int_equal(history_counts(h).keys, 0);
	write_of(&w, PEER, 2, vector_of(1, 1), NULL, &(struct texts){"a", "x"});
	assert_false(finds(h, &w));
	history_free(h);
}

/* The table was made again with more columns: an old row of the same key must not be read as one of the new table's. */
static void test_table_of_another_shape(void **state)
{
	(void)state;
	static const struct merge_table wide = {
	    .id = TABLE, .column_count = 3, .key = {.count = 1, .columns = key_columns}};
	struct history *h = history_new(ME, NULL);
	struct content row[3] = {{.bytes = (const uint8_t *)"a", .size = 1}, {.is_null = true}, {.is_null = true}};
	struct vector context = vector_of(1, 1);
	struct merge_change change = {.op = MERGE_INSERT, .table = &wide, .after = row};
	struct history_transaction t = {.gtid = {.domain = ME, .server = ME, .seq = 2}, .time = 100, .context = &context};
	tell(h, ME, 1, vector_of(0, 0), NULL, &(struct texts){"a", "lost"});
	empty(h, PEER, 1, vector_of(0, 0), true);
	assert_int_equal(history_pending(h).record_count, 1);
	assert_int_equal(history_begin(h, &t, NULL), ERR_OK);
	assert_int_equal(history_write(h, &change, NULL), ERR_OK);
	assert_int_equal(history_end(h, NULL), ERR_OK);
	history_group_end(h);
	struct merge_outcome outcome = history_pending(h);
	assert_int_equal(outcome.step_count, 0);
	assert_int_equal(outcome.record_count, 0);
	history_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_later_write_that_did_not_know),
	    cmocka_unit_test(test_row_of_the_same_key_lives),
	    cmocka_unit_test(test_own_rows_are_lost),
	    cmocka_unit_test(test_disputed_rows_go),
	    cmocka_unit_test(test_settles),
	    cmocka_unit_test(test_table_of_another_shape),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
