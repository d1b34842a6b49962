/* src/merge/history: what a node's log holds that others may not have, and what comes of it.
 *
 * A link asks it of every row that it writes. A row that isn't found, or is found and not brought to the engine with all that it is
 * tied to, is overwritten here and not there: two nodes differ, for ever and without a word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "merge/history.h"

enum { COLUMNS = 3, BIG = 3 * 1024 * 1024 };

/* person(id, name UNIQUE, age), pet(id, owner → person, name), toy(id, pet → pet, name) */
static const uint32_t column_0[] = {0}, column_1[] = {1};
static const struct merge_columns name_index = {.count = 1, .columns = column_1};
static const struct merge_reference of_person = {.columns = {.count = 1, .columns = column_1},
                                                 .parent = 10,
                                                 .on_delete = MERGE_CASCADE},
                                    of_pet = {.columns = {.count = 1, .columns = column_1},
                                              .parent = 11,
                                              .on_delete = MERGE_CASCADE};
static const struct merge_table person = {.id = 10,
                                          .column_count = COLUMNS,
                                          .key = {.count = 1, .columns = column_0},
                                          .unique_count = 1,
                                          .uniques = &name_index},
                                pet = {.id = 11,
                                       .column_count = COLUMNS,
                                       .key = {.count = 1, .columns = column_0},
                                       .reference_count = 1,
                                       .references = &of_person,
                                       .depth = 1},
                                toy = {.id = 12,
                                       .column_count = COLUMNS,
                                       .key = {.count = 1, .columns = column_0},
                                       .reference_count = 1,
                                       .references = &of_pet,
                                       .depth = 2};

typedef const char *const texts[COLUMNS]; /* NULL: NULL */

static struct vector vector_of(const char *text)
{
	struct vector vector;
	assert_int_equal(vector_parse(text, &vector, NULL), ERR_OK);
	return vector;
}

static struct gtid gtid_of(const char *text)
{
	struct gtid gtid;
	assert_int_equal(gtid_parse(text, &gtid, NULL), ERR_OK);
	return gtid;
}

static struct content content_of(const char *text)
{
	if (text == NULL)
		return (struct content){.is_null = true};
	return (struct content){.bytes = (const uint8_t *)text, .size = (uint32_t)strlen(text)};
}

/* A change with its images; `change` points into it. */
struct made {
	struct content before[COLUMNS], after[COLUMNS];
	struct merge_change change;
};

static void make(struct made *m, const struct merge_table *table, const char *const *before, const char *const *after)
{
	for (int i = 0; i < COLUMNS; i++) {
		m->before[i] = content_of(before != NULL ? before[i] : NULL);
		m->after[i] = content_of(after != NULL ? after[i] : NULL);
	}
	m->change = (struct merge_change){.op = before == NULL  ? MERGE_INSERT
	                                        : after == NULL ? MERGE_DELETE
	                                                        : MERGE_UPDATE,
	                                  .table = table,
	                                  .before = before != NULL ? m->before : NULL,
	                                  .after = after != NULL ? m->after : NULL};
}

static void begin(struct history *h, const char *gtid, const struct vector *context)
{
	struct history_transaction t = {.gtid = gtid_of(gtid), .time = (uint32_t)gtid_of(gtid).seq, .context = context};
	assert_int_equal(history_begin(h, &t, NULL), ERR_OK);
}

static void write_row(struct history *h, const struct merge_table *table, const char *const *before,
                      const char *const *after)
{
	struct made m;
	make(&m, table, before, after);
	assert_int_equal(history_write(h, &m.change, NULL), ERR_OK);
}

/* A transaction of one change that is shown as it is. */
static void tell(struct history *h, const char *gtid, const char *context, const struct merge_table *table,
                 const char *const *before, const char *const *after)
{
	struct vector vector = vector_of(context);
	begin(h, gtid, &vector);
	write_row(h, table, before, after);
	assert_int_equal(history_end(h, NULL), ERR_OK);
	history_group_end(h);
}

static bool finds(struct history *h, uint32_t origin, const char *context, const struct merge_table *table,
                  const char *const *before, const char *const *after)
{
	struct made m;
	struct history_keys keys = {0};
	struct vector vector = vector_of(context);
	make(&m, table, before, after);
	history_keys_add(&keys, &m.change);
	bool found = history_finds(h, &keys, origin, &vector, NULL);
	history_keys_free(&keys);
	return found;
}

/* A peer's transaction of one change, at a time of its own. */
struct incoming {
	struct made made;
	struct vector context;
	struct merge_transaction transaction;
};

static void come(struct incoming *in, const char *gtid, uint32_t time, const char *context,
                 const struct merge_table *table, const char *const *before, const char *const *after)
{
	make(&in->made, table, before, after);
	in->context = vector_of(context);
	in->transaction = (struct merge_transaction){
	    .gtid = gtid_of(gtid), .time = time, .context = &in->context, .count = 1, .changes = &in->made.change};
}

static struct history_plan plan_of(struct history *h, const struct incoming *in)
{
	struct history_plan plan;
	assert_int_equal(history_plan(h, &in->transaction, &plan, NULL), ERR_OK);
	return plan;
}

static size_t rows_in_engine(struct history *h)
{
	return history_counts(h).merge.rows;
}

static void assert_image(const struct content *values, const char *const *row)
{
	for (int i = 0; i < COLUMNS; i++) {
		assert_int_equal(values[i].is_null, row[i] == NULL);
		if (row[i] != NULL) {
			assert_int_equal(values[i].size, strlen(row[i]));
			assert_memory_equal(values[i].bytes, row[i], values[i].size);
		}
	}
}

static void assert_step(const struct merge_step *step, const struct merge_table *table, const char *const *before,
                        const char *const *after)
{
	assert_ptr_equal(step->table, table);
	assert_int_equal(step->before == NULL, before == NULL);
	assert_int_equal(step->after == NULL, after == NULL);
	if (before != NULL)
		assert_image(step->before, before);
	if (after != NULL)
		assert_image(step->after, after);
}

/* ---- what is found ---- */

/* Each line is one write here and one that comes from node 2: whether the latter has to be looked at. One that is missed makes the
 * nodes differ; one too many costs a plan for nothing. */
static void test_what_is_found(void **state)
{
	(void)state;
	static texts ann = {"1", "ann", "30"}, older = {"1", "ann", "31"}, bob = {"1", "bob", "30"},
	             other = {"2", "ann", "5"}, eve = {"2", "eve", "5"}, eve_6 = {"2", "eve", "6"},
	             nobody = {"1", NULL, "30"}, no_one = {"2", NULL, "5"}, rex = {"7", "1", "rex"},
	             max = {"8", "1", "max"}, of_2 = {"7", "2", "rex"}, stray = {"7", NULL, "rex"},
	             of_9 = {"1", "9", "ann"}, other_6 = {"2", "ann", "6"};
	const struct {
		const struct merge_table *table;
		const char *const *before, *const *after;
		const struct merge_table *their_table;
		const char *const *their_before, *const *their_after;
		bool found;
	} rows[] = {
	    /* the row itself */
	    {&person, ann, older, &person, ann, bob, true},
	    {&person, ann, older, &person, eve, eve_6, false},
	    {&person, NULL, ann, &person, NULL, bob, true},
	    {&person, ann, NULL, &person, ann, NULL, true},
	    {&person, ann, older, &pet, NULL, of_9, false},
	    /* a value that both give to a row; that one has it is no claim */
	    {&person, NULL, ann, &person, NULL, other, true},
	    {&person, bob, ann, &person, eve, other, true},
	    {&person, ann, older, &person, NULL, other, false},
	    {&person, NULL, ann, &person, other, other_6, false},
	    {&person, ann, bob, &person, NULL, other, false},
	    {&person, NULL, ann, &person, NULL, eve, false},
	    {&person, NULL, nobody, &person, NULL, no_one, false},
	    {&person, ann, nobody, &person, eve, no_one, false},
	    /* a parent that is deleted */
	    {&person, ann, NULL, &pet, NULL, rex, true},
	    {&person, ann, NULL, &pet, of_2, rex, true},
	    {&person, ann, NULL, &pet, rex, of_2, true},
	    {&person, ann, NULL, &pet, NULL, of_2, false},
	    {&person, ann, NULL, &pet, NULL, stray, false},
	    {&person, ann, older, &pet, NULL, rex, false},
	    {&person, NULL, ann, &pet, NULL, rex, false},
	    /* children of a row that is deleted */
	    {&pet, NULL, rex, &person, ann, NULL, true},
	    {&pet, rex, of_2, &person, ann, NULL, true},
	    {&pet, of_2, rex, &person, ann, NULL, true},
	    {&pet, NULL, rex, &person, ann, older, false},
	    {&pet, NULL, rex, &person, other, NULL, false},
	    {&pet, NULL, stray, &person, ann, NULL, false},
	    /* children of one parent have nothing to do with each other */
	    {&pet, NULL, rex, &pet, NULL, max, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct history *h = history_new(1, NULL);
		tell(h, "1-1-5", "", rows[i].table, rows[i].before, rows[i].after);
		if (finds(h, 2, "1-1-4", rows[i].their_table, rows[i].their_before, rows[i].their_after) != rows[i].found)
			fail_msg("row %zu", i);
		assert_false(finds(h, 2, "1-1-5", rows[i].their_table, rows[i].their_before, rows[i].their_after));
		assert_false(finds(h, 1, "", rows[i].their_table, rows[i].their_before, rows[i].their_after));
		assert_true(history_is_empty(h));
		history_free(h);
	}
}

/* A row that is in dispute is asked for even of who knew all of its writes: what it wrote may be based on a row that was shown
 * otherwise there. */
static void test_a_row_in_dispute_is_always_found(void **state)
{
	(void)state;
	static texts ann = {"1", "ann", "30"}, older = {"1", "ann", "31"}, bob = {"1", "bob", "30"},
	             rex = {"7", "1", "rex"};
	struct history *h = history_new(1, NULL);
	struct incoming in;
	tell(h, "1-1-1", "", &person, ann, older);
	assert_false(finds(h, 2, "1-1-1", &person, older, NULL));
	come(&in, "2-2-1", 9, "", &person, ann, bob);
	struct history_plan plan = plan_of(h, &in);
	assert_true(finds(h, 2, "1-1-1", &person, older, NULL));
	assert_true(finds(h, 3, "1-1-1", &pet, NULL, rex));
	assert_true(finds(h, 3, "1-1-1", &person, NULL, (texts){"2", "ann", "1"}));
	assert_false(finds(h, 3, "1-1-1", &person, NULL, (texts){"2", "eve", "1"}));
	history_plan_free(&plan);
	history_free(h);
}

/* Keys of a statement are gathered ahead of those of its batch. */
static void test_keys_are_appended(void **state)
{
	(void)state;
	static texts ann = {"1", "ann", "30"};
	struct made m;
	struct history *h = history_new(1, NULL);
	struct history_keys keys = {0}, all = {0};
	struct vector none = {0};
	struct gtid gtid = {0};
	tell(h, "1-1-5", "", &person, NULL, ann);
	make(&m, &person, NULL, ann);
	history_keys_add(&keys, &m.change);
	assert_false(history_finds(h, &all, 2, &none, &gtid));
	history_keys_append(&all, &keys);
	assert_int_equal(all.count, keys.count);
	history_keys_clear(&keys);
	assert_int_equal(keys.count, 0);
	assert_true(history_finds(h, &all, 2, &none, &gtid));
	assert_int_equal(gtid.seq, 5);
	history_keys_free(&keys);
	history_keys_free(&all);
	history_free(h);
}

/* ---- what is loaded ---- */

/* The write of 2-2-1 is put beside what was written here, however often and whoever wrote: what this node shows is where the step
 * starts from, and what nobody else wrote stays. */
static void test_a_row_is_planned_from_its_history(void **state)
{
	(void)state;
	static texts base = {"1", "ann", "30"}, one = {"1", "ann", "31"}, two = {"1", "ann", "32"},
	             three = {"1", "ann", "33"}, theirs = {"1", "eve", "30"}, both = {"1", "eve", "33"};
	struct history *h = history_new(1, NULL);
	struct incoming in;
	tell(h, "1-1-1", "", &person, base, one);
	tell(h, "1-1-2", "1-1-1", &person, NULL, (texts){"2", "bob", "1"});
	tell(h, "3-3-1", "1-1-1", &person, one, two);
	tell(h, "1-1-3", "1-1-2,3-3-1", &person, two, three);
	come(&in, "2-2-1", 2, "", &person, base, theirs);
	for (int i = 0; i < 2; i++) { /* none is loaded twice */
		struct history_plan plan = plan_of(h, &in);
		assert_int_equal(plan.step_count, 1);
		assert_step(plan.steps, &person, three, both);
		assert_int_equal(rows_in_engine(h), 1);
		history_plan_free(&plan);
		history_plan_free(&plan);
	}
	history_free(h);
}

/* A value goes from row to row: who got it here can only be told with the row that had it before, and so on. What isn't tied to
 * the row stays out, or each conflict would bring half of the tables. */
static void test_rows_tied_by_values_are_loaded(void **state)
{
	(void)state;
	struct history *h = history_new(1, NULL);
	struct incoming in;
	tell(h, "1-1-1", "", &person, (texts){"1", "ann", "30"}, (texts){"1", "bob", "30"});
	tell(h, "1-1-2", "1-1-1", &person, (texts){"2", "eve", "30"}, (texts){"2", "ann", "30"});
	tell(h, "1-1-3", "1-1-2", &person, NULL, (texts){"3", "eve", "30"});
	tell(h, "1-1-4", "1-1-3", &person, NULL, (texts){"4", "kim", "30"});
	tell(h, "1-1-5", "1-1-4", &person, NULL, (texts){"5", NULL, "30"});
	come(&in, "2-2-1", 9, "", &person, (texts){"1", "ann", "30"}, (texts){"1", "ann", "31"});
	struct history_plan plan = plan_of(h, &in);
	assert_int_equal(rows_in_engine(h), 3);
	history_plan_free(&plan);
	/* what was left out is as it was */
	assert_true(finds(h, 2, "", &person, NULL, (texts){"9", "kim", "30"}));
	history_free(h);
}

/* A person with a thousand pets: its pets matter when it may go, and only then. */
static void test_children_are_loaded_where_a_parent_may_go(void **state)
{
	(void)state;
	enum { PETS = 1000 };
	static texts ann = {"1", "ann", "30"}, older = {"1", "ann", "31"};
	struct history *h = history_new(1, NULL);
	struct incoming in;
	char gtid[40], id[16];
	for (int i = 1; i <= PETS; i++) {
		snprintf(gtid, sizeof gtid, "1-1-%d", i);
		snprintf(id, sizeof id, "%d", i);
		tell(h, gtid, "", &pet, NULL, (texts){id, "1", "rex"});
	}
	tell(h, "1-1-2000", "1-1-1000", &person, ann, older);
	come(&in, "2-2-1", 9, "", &person, ann, (texts){"1", "ann", "32"});
	struct history_plan plan = plan_of(h, &in);
	assert_int_equal(rows_in_engine(h), 1);
	history_plan_free(&plan);
	come(&in, "2-2-1", 9999, "", &person, ann, NULL);
	plan = plan_of(h, &in);
	assert_int_equal(rows_in_engine(h), PETS + 1);
	history_plan_free(&plan);
	history_free(h);
}

/* The parent that was deleted is a row that is written often, too: for a child that comes only its end matters. */
static void test_a_child_brings_its_deleted_parent(void **state)
{
	(void)state;
	static texts ann = {"1", "ann", "30"}, older = {"1", "ann", "31"}, rex = {"7", "1", "rex"};
	struct history *h = history_new(1, NULL);
	struct incoming in;
	tell(h, "1-1-1", "", &person, ann, older);
	come(&in, "2-2-1", 9, "", &pet, NULL, rex);
	struct history_plan plan = plan_of(h, &in);
	assert_int_equal(rows_in_engine(h), 0);
	assert_int_equal(plan.step_count, 1);
	assert_step(plan.steps, &pet, NULL, rex);
	history_plan_free(&plan);
	tell(h, "1-1-2", "1-1-1", &person, older, NULL);
	plan = plan_of(h, &in);
	assert_int_equal(rows_in_engine(h), 1);
	assert_int_equal(plan.step_count, 0); /* it goes with its parent */
	history_plan_free(&plan);
	history_free(h);
}

/* Ann was replaced here, and written so often since that nothing of the replacement is shown any more. A pet that she was
 * given there meanwhile went with her all the same: it does so where the replacement comes later than the pet. */
static void test_a_parent_that_was_replaced_still_takes_its_children(void **state)
{
	(void)state;
	enum { WRITES = 20 };
	static texts ann = {"1", "ann", "30"}, again = {"1", "ann", "0"}, rex = {"7", "1", "rex"};
	struct history *h = history_new(1, NULL);
	struct vector nothing = {0};
	struct incoming in;
	char ages[2][8] = {"0", ""}, gtid[40], context[40];
	begin(h, "1-1-1", &nothing);
	write_row(h, &person, ann, NULL);
	write_row(h, &person, NULL, again);
	assert_int_equal(history_end(h, NULL), ERR_OK);
	history_group_end(h);
	for (int i = 1; i <= WRITES; i++) {
		snprintf(ages[i % 2], sizeof ages[0], "%d", i);
		snprintf(gtid, sizeof gtid, "1-1-%d", i + 1);
		snprintf(context, sizeof context, "1-1-%d", i);
		tell(h, gtid, context, &person, (texts){"1", "ann", ages[(i - 1) % 2]}, (texts){"1", "ann", ages[i % 2]});
	}
	come(&in, "2-2-1", 9999, "", &pet, NULL, rex);
	struct history_plan plan = plan_of(h, &in);
	assert_int_equal(rows_in_engine(h), 1);
	assert_true(history_counts(h).merge.writes <= 8);
	assert_int_equal(plan.step_count, 0);
	history_plan_free(&plan);
	history_free(h);
}

/* Ann is deleted there while here she gets a pet, and the pet a toy. The pet goes because ann does, and with it the server deletes the
 * toy: were that row not loaded, a later write to it would be taken for one of a row that is still there, and its step would fail
 * for ever. */
static void test_grandchildren_go_with_a_deleted_row(void **state)
{
	(void)state;
	static texts ann = {"1", "ann", "30"}, rex = {"7", "1", "rex"}, ball = {"70", "7", "ball"},
	             cube = {"70", "7", "cube"};
	struct history *h = history_new(1, NULL);
	struct incoming in;
	tell(h, "1-1-1", "", &pet, NULL, rex);
	tell(h, "1-1-2", "1-1-1", &toy, NULL, ball);
	tell(h, "1-1-3", "1-1-2", &toy, NULL, (texts){"71", "8", "bone"});
	come(&in, "2-2-1", 9, "", &person, ann, NULL);
	struct history_plan plan = plan_of(h, &in);
	assert_int_equal(rows_in_engine(h), 2);
	assert_int_equal(plan.step_count, 2);
	assert_step(&plan.steps[0], &pet, rex, NULL);
	assert_step(&plan.steps[1], &person, ann, NULL);
	assert_int_equal(history_resolved(h, &in.transaction, plan.step_count, plan.steps, NULL), ERR_OK);
	history_group_end(h);
	history_plan_free(&plan);
	assert_int_equal(history_pending(h).step_count, 0);
	come(&in, "3-3-1", 10, "1-1-3", &toy, ball, cube);
	plan = plan_of(h, &in);
	assert_int_equal(plan.step_count, 0);
	history_plan_free(&plan);
	history_free(h);
}

/* Rows larger than any buffer, empty values, and NULLs come back as they were. */
static void test_rows_of_every_size(void **state)
{
	(void)state;
	char *big = malloc(BIG + 1);
	assert_non_null(big);
	memset(big, 'x', BIG);
	big[BIG] = '\0';
	const char *const before[COLUMNS] = {"1", NULL, big}, *const after[COLUMNS] = {"1", "", NULL},
	                  *const theirs[COLUMNS] = {"1", "eve", big}, *const last[COLUMNS] = {"1", "", big};
	struct history *h = history_new(1, NULL);
	struct incoming in;
	tell(h, "1-1-1", "", &person, before, after);
	tell(h, "1-1-2", "1-1-1", &person, after, last);
	come(&in, "2-2-1", 0, "", &person, before, theirs);
	struct history_plan plan = plan_of(h, &in);
	assert_int_equal(plan.step_count, 0); /* the later name is the one here */
	history_plan_free(&plan);
	come(&in, "2-2-1", 9, "", &person, before, theirs);
	plan = plan_of(h, &in);
	assert_int_equal(plan.step_count, 1);
	assert_step(plan.steps, &person, last, theirs);
	history_plan_free(&plan);
	history_free(h);
	free(big);
}

/* A gate logs every swipe of a user while the other one changes that user: no conflict, so it isn't to be resolved as one. Several
 * users, since it was those with odd row keys that seemed to be. */
static void test_a_childs_write_is_none_of_its_parents(void **state)
{
	(void)state;
	struct history *h = history_new(1, NULL);
	for (int i = 0; i < 16; i++) {
		char id[8], gtid[16];
		snprintf(id, sizeof id, "%d", i + 10);
		snprintf(gtid, sizeof gtid, "1-1-%d", i + 1);
		tell(h, gtid, "", &pet, NULL, (texts){id, id, "rex"});
		assert_false(finds(h, 2, "", &person, (texts){id, "ann", "30"}, (texts){id, "ann", "31"}));
		assert_true(finds(h, 2, "", &person, (texts){id, "ann", "30"}, NULL));
	}
	history_free(h);
}

/* ---- what the engine is told ---- */

/* A row is in dispute, and later transactions write it, or rows tied to it: the engine is to know of them, and is not to be told of
 * anything else. */
static void test_a_hot_change_reaches_the_engine(void **state)
{
	(void)state;
	static texts ann = {"1", "ann", "30"}, older = {"1", "ann", "31"}, oldest = {"1", "ann", "40"},
	             eve = {"1", "eve", "30"};
	struct history *h = history_new(1, NULL);
	struct incoming in;
	struct vector context = vector_of("1-1-1");
	tell(h, "1-1-1", "", &person, ann, older);
	come(&in, "2-2-1", 9, "", &person, ann, eve);
	struct history_plan plan = plan_of(h, &in);
	history_plan_free(&plan);
	begin(h, "1-1-2", &context);
	write_row(h, &person, NULL, (texts){"5", "kim", "1"});
	write_row(h, &person, older, oldest);
	write_row(h, &pet, NULL, (texts){"7", "5", "rex"});
	assert_int_equal(history_end(h, NULL), ERR_OK);
	history_group_end(h);
	assert_int_equal(rows_in_engine(h), 1);
	plan = plan_of(h, &in);
	assert_int_equal(plan.step_count, 1);
	assert_step(plan.steps, &person, oldest, (texts){"1", "eve", "40"});
	history_plan_free(&plan);
	/* A row that takes a value which a row in dispute has had comes with what was written of it before; and with its pet, since
	 * it may have to go. */
	tell(h, "1-1-3", "1-1-2", &person, (texts){"5", "kim", "1"}, (texts){"5", "ann", "1"});
	assert_int_equal(rows_in_engine(h), 3);
	history_free(h);
}

/* A resolved transaction is found by those who don't know of it, its rows are shown as the steps left them, and what is left to do
 * is told until it is shown. */
static void test_resolved_and_shown(void **state)
{
	(void)state;
	static texts ann = {"1", "ann", "30"}, older = {"1", "ann", "31"}, eve = {"1", "eve", "30"},
	             both = {"1", "eve", "31"};
	struct history *h = history_new(1, NULL);
	struct incoming in;
	tell(h, "1-1-1", "", &person, ann, older);
	come(&in, "2-2-1", 9, "", &person, ann, eve);
	struct history_plan plan = plan_of(h, &in);
	assert_int_equal(history_resolved(h, &in.transaction, plan.step_count, plan.steps, NULL), ERR_OK);
	history_group_end(h);
	history_plan_free(&plan);
	assert_int_equal(history_pending(h).step_count, 0);
	assert_true(finds(h, 3, "1-1-1", &person, ann, older));
	struct incoming next;
	come(&next, "2-2-2", 9, "1-1-1,2-2-1", &person, both, NULL);
	plan = plan_of(h, &next);
	assert_int_equal(plan.step_count, 1);
	assert_step(plan.steps, &person, both, NULL);
	/* Told without the step, as after a crash in between: it is left to do. */
	assert_int_equal(history_resolved(h, &next.transaction, 0, NULL, NULL), ERR_OK);
	history_group_end(h);
	assert_true(history_is_pending(h));
	struct merge_outcome outcome = history_pending(h);
	assert_int_equal(outcome.step_count, 1);
	assert_step(outcome.steps, &person, both, NULL);
	history_shown(h, plan.step_count, plan.steps);
	history_group_end(h);
	history_plan_free(&plan);
	assert_int_equal(history_pending(h).step_count, 0);
	assert_false(history_is_pending(h));
	history_free(h);
}

/* What everybody has is let go of by both stores, or the memory of a node fills for ever; what somebody lacks stays. */
static void test_settling(void **state)
{
	(void)state;
	static texts ann = {"1", "ann", "30"}, older = {"1", "ann", "31"}, eve = {"1", "eve", "30"};
	struct history *h = history_new(1, NULL);
	struct incoming in;
	tell(h, "1-1-1", "", &person, ann, older);
	come(&in, "2-2-1", 9, "", &person, ann, eve);
	struct history_plan plan = plan_of(h, &in);
	assert_int_equal(history_resolved(h, &in.transaction, plan.step_count, plan.steps, NULL), ERR_OK);
	history_group_end(h);
	history_plan_free(&plan);
	assert_int_equal(history_pending(h).step_count, 0);
	struct vector some = vector_of("1-1-1"), all = vector_of("1-1-1,2-2-1");
	history_settle(h, &some);
	assert_int_equal(rows_in_engine(h), 1);
	assert_true(finds(h, 3, "1-1-1", &person, ann, eve));
	history_settle(h, &all);
	assert_true(history_is_empty(h));
	assert_int_equal(history_counts(h).keys, 0);
	assert_false(finds(h, 3, "", &person, ann, eve));
	history_free(h);
}

/* ---- reading the log again ---- */

/* A group of two transactions, up to this part of it. */
static void tell_part(struct history *h, int until)
{
	static texts a31 = {"1", "ann", "31"}, a32 = {"1", "ann", "32"}, a33 = {"1", "ann", "33"};
	struct vector none = {0}, two = vector_of("1-1-2");
	begin(h, "1-1-2", &none);
	write_row(h, &person, a31, a32);
	if (until >= 1)
		assert_int_equal(history_end(h, NULL), ERR_OK);
	if (until >= 2) {
		begin(h, "1-1-3", &two);
		write_row(h, &person, a32, a33);
	}
	if (until >= 3)
		assert_int_equal(history_end(h, NULL), ERR_OK);
}

/* The connection of the tail breaks in the middle of a group, and the group comes again: once more in the window or in the engine,
 * a row's history would be another one than its peers have. */
static void test_rewind_and_again(void **state)
{
	(void)state;
	static texts ann = {"1", "ann", "30"}, a31 = {"1", "ann", "31"}, a33 = {"1", "ann", "33"}, eve = {"1", "eve", "30"};
	for (int cut = 0; cut < 4; cut++)
		for (int hot = 0; hot < 2; hot++) {
			struct history *h = history_new(1, NULL);
			struct incoming in;
			struct history_plan plan;
			come(&in, "2-2-1", 1, "", &person, ann, eve);
			tell(h, "1-1-1", "", &person, ann, a31);
			if (hot) {
				plan = plan_of(h, &in);
				history_plan_free(&plan);
			}
			tell_part(h, cut);
			enum err_code code = history_rewind(h, NULL);
			/* What the engine was told can't be taken back. */
			assert_int_equal(code, hot && cut >= 1 ? ERR_GONE : ERR_OK);
			if (code != ERR_OK) {
				history_clear(h);
				tell(h, "1-1-1", "", &person, ann, a31);
				plan = plan_of(h, &in);
				history_plan_free(&plan);
			}
			tell_part(h, 3);
			history_group_end(h);
			plan = plan_of(h, &in);
			assert_int_equal(plan.step_count, 1);
			assert_step(plan.steps, &person, a33, (texts){"1", "eve", "33"});
			if (history_counts(h).merge.writes > 3)
				fail_msg("cut %d, hot %d: %zu writes", cut, hot, history_counts(h).merge.writes);
			history_plan_free(&plan);
			history_free(h);
		}
}

/* ---- restart ---- */

enum { LOG_ENTRIES = 40, LOG_ROWS = 4, LOG_VALUES = 6 };

/* One transaction of the log: one row, as its origin saw it, and the steps that were taken if it was resolved. */
struct entry {
	char gtid[24], context[48];
	char before[COLUMNS][16], after[COLUMNS][16];
	bool has_before, is_resolved;
	uint32_t time;
};

static void entry_come(const struct entry *e, struct incoming *in)
{
	const char *before[COLUMNS], *after[COLUMNS];
	for (int i = 0; i < COLUMNS; i++) {
		before[i] = e->before[i];
		after[i] = e->after[i];
	}
	come(in, e->gtid, e->time, e->context, &person, e->has_before ? before : NULL, after);
}

static void tell_entry(struct history *h, const struct entry *e)
{
	struct incoming in;
	entry_come(e, &in);
	if (e->is_resolved) {
		struct history_plan plan = plan_of(h, &in);
		assert_int_equal(history_resolved(h, &in.transaction, plan.step_count, plan.steps, NULL), ERR_OK);
		history_plan_free(&plan);
	} else {
		struct history_transaction t = {.gtid = in.transaction.gtid, .time = e->time, .context = &in.context};
		assert_int_equal(history_begin(h, &t, NULL), ERR_OK);
		assert_int_equal(history_write(h, &in.made.change, NULL), ERR_OK);
		assert_int_equal(history_end(h, NULL), ERR_OK);
	}
	history_group_end(h);
}

static void assert_same_steps(size_t count, const struct merge_step *a, size_t other_count, const struct merge_step *b)
{
	assert_int_equal(count, other_count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(a[i].op, b[i].op);
		assert_int_equal(a[i].no_cascade, b[i].no_cascade);
		for (int c = 0; c < COLUMNS; c++) {
			const struct content *x[] = {a[i].before, a[i].after}, *y[] = {b[i].before, b[i].after};
			for (int k = 0; k < 2; k++) {
				assert_int_equal(x[k] == NULL, y[k] == NULL);
				if (x[k] == NULL)
					continue;
				assert_int_equal(x[k][c].is_null, y[k][c].is_null);
				assert_int_equal(x[k][c].size, y[k][c].size);
				if (x[k][c].size > 0)
					assert_memory_equal(x[k][c].bytes, y[k][c].bytes, x[k][c].size);
			}
		}
	}
}

/* A row is written here and by node 2, which knows of some of it. */
static void random_entry(struct entry *e, unsigned *seed, uint64_t seqs[2], uint64_t *known,
                         char rows[2][LOG_ROWS][COLUMNS][16], bool here[2][LOG_ROWS])
{
	unsigned who = (unsigned)rand_r(seed) % 2, row = (unsigned)rand_r(seed) % LOG_ROWS;
	if (rand_r(seed) % 4 == 0) { /* node 2 gets what is here */
		*known = seqs[0];
		memcpy(rows[1], rows[0], sizeof rows[0]);
		memcpy(here[1], here[0], sizeof here[0]);
	}
	*e = (struct entry){.has_before = here[who][row]};
	memcpy(e->before, rows[who][row], sizeof e->before);
	snprintf(e->after[0], sizeof e->after[0], "%u", row);
	snprintf(e->after[1], sizeof e->after[1], "%u.%d", row, rand_r(seed) % LOG_VALUES);
	snprintf(e->after[2], sizeof e->after[2], "%d", rand_r(seed) % LOG_VALUES);
	if (seqs[0] == 0 || (who == 1 && *known == 0))
		snprintf(e->context, sizeof e->context, who == 0 && seqs[1] > 0 ? "2-2-%llu" : "", (unsigned long long)seqs[1]);
	else if (seqs[1] == 0)
		snprintf(e->context, sizeof e->context, "1-1-%llu", (unsigned long long)(who ? *known : seqs[0]));
	else
		snprintf(e->context, sizeof e->context, "1-1-%llu,2-2-%llu", (unsigned long long)(who ? *known : seqs[0]),
		         (unsigned long long)seqs[1]);
	snprintf(e->gtid, sizeof e->gtid, "%u-%u-%llu", who + 1, who + 1, (unsigned long long)++seqs[who]);
	memcpy(rows[who][row], e->after, sizeof e->after);
	here[who][row] = true;
}

/* In this node's table. */
static void take_step(const struct merge_step *step, char rows[LOG_ROWS][COLUMNS][16], bool here[LOG_ROWS])
{
	const struct content *values = step->after != NULL ? step->after : step->before;
	size_t row = (size_t)(values[0].bytes[0] - '0');
	here[row] = step->after != NULL;
	for (int c = 0; c < COLUMNS; c++)
		snprintf(rows[row][c], sizeof rows[row][c], "%.*s", (int)values[c].size, (const char *)values[c].bytes);
}

/* A daemon that was killed reads its log again and goes on as if nothing had been: from the same log, told without any plan in
 * between, come the same plans and the same that is left to do. Else what it had decided before and what it decides now differ. */
static void test_told_again_it_goes_on_alike(void **state)
{
	(void)state;
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)clock_monotonic_us();
	print_message("history: SEED=%u\n", seed);
	for (int run = 0; run < 60; run++) {
		struct entry log[LOG_ENTRIES];
		uint64_t seqs[2] = {0}, known = 0;
		char rows[2][LOG_ROWS][COLUMNS][16] = {0};
		bool here[2][LOG_ROWS] = {0};
		struct history *h = history_new(1, NULL);
		for (size_t n = 0; n < LOG_ENTRIES; n++) {
			struct incoming in;
			random_entry(&log[n], &seed, seqs, &known, rows, here);
			log[n].time = (uint32_t)n + 1;
			entry_come(&log[n], &in);
			struct history_keys keys = {0};
			history_keys_add(&keys, &in.made.change);
			bool found = in.transaction.gtid.domain == 2 && history_finds(h, &keys, 2, &in.context, NULL);
			log[n].is_resolved = found;
			if (found) {
				struct history *fresh = history_new(1, NULL);
				for (size_t i = 0; i < n; i++)
					tell_entry(fresh, &log[i]);
				assert_true(history_finds(fresh, &keys, 2, &in.context, NULL));
				struct history_plan a = plan_of(h, &in), b = plan_of(fresh, &in), again = plan_of(h, &in);
				assert_same_steps(a.step_count, a.steps, b.step_count, b.steps);
				assert_same_steps(a.step_count, a.steps, again.step_count, again.steps);
				for (size_t i = 0; i < a.step_count; i++)
					take_step(&a.steps[i], rows[0], here[0]);
				history_plan_free(&a);
				history_plan_free(&b);
				history_plan_free(&again);
				history_free(fresh);
			}
			history_keys_free(&keys);
			if (!found)
				take_step(&(struct merge_step){.before = in.made.change.before, .after = in.made.change.after}, rows[0],
				          here[0]);
			tell_entry(h, &log[n]);
			struct merge_outcome left = history_pending(h);
			assert_int_equal(left.step_count, 0);
		}
		history_free(h);
	}
}

/* ---- a storage that fails ---- */

struct disk {
	uint8_t *bytes;
	size_t size;
	bool no_reads, no_writes;
};

static bool disk_read(void *context, uint64_t offset, void *to, size_t size)
{
	struct disk *d = context;
	errno = EIO;
	if (d->no_reads || offset + size > d->size)
		return false;
	memcpy(to, d->bytes + offset, size);
	return true;
}

static bool disk_write(void *context, uint64_t offset, const void *from, size_t size)
{
	struct disk *d = context;
	errno = ENOSPC;
	if (d->no_writes)
		return false;
	if (offset + size > d->size) {
		d->size = offset + size;
		d->bytes = realloc(d->bytes, d->size);
		assert_non_null(d->bytes);
	}
	memcpy(d->bytes + offset, from, size);
	return true;
}

static void disk_drop(void *context, uint64_t upto)
{
	(void)context;
	(void)upto;
}

static void tell_big(struct history *h, const char *big)
{
	static texts ann = {"1", "ann", "30"}, kim = {"1", "kim", "30"};
	tell(h, "1-1-1", "", &person, ann, (texts){"1", "bob", "30"});
	tell(h, "1-1-2", "1-1-1", &person, (texts){"1", "bob", "30"}, kim);
	tell(h, "1-1-3", "1-1-2", &person, NULL, (texts){"2", "ann", "30"});
	tell(h, "1-1-4", "1-1-3", &person, NULL, (texts){"3", "eve", big});
}

/* The disk is full or broken: an error, and neither a plan without a part of the rows nor an engine that has half of them. Once it
 * works again the log is told anew. */
static void test_a_failing_storage(void **state)
{
	(void)state;
	static texts ann = {"1", "ann", "30"};
	struct disk disk = {0};
	struct history *h = history_new(
	    1, &(struct window_memory){
	           .read = disk_read, .write = disk_write, .drop = disk_drop, .context = &disk, .where = "/here"});
	char *big = malloc(BIG + 1);
	assert_non_null(big);
	memset(big, 'x', BIG);
	big[BIG] = '\0';
	struct incoming in;
	struct err err = {0};
	struct history_plan untouched = {.step_count = 77}, plan = untouched;
	come(&in, "2-2-1", 9, "", &person, ann, (texts){"1", "ann", "31"});
	tell_big(h, big);
	disk.no_reads = true;
	assert_int_equal(history_plan(h, &in.transaction, &plan, &err), ERR_IO);
	assert_non_null(strstr(err.message, "/here"));
	assert_int_equal(plan.step_count, untouched.step_count);
	assert_true(history_is_empty(h));
	assert_int_equal(history_resolved(h, &in.transaction, 0, NULL, &err), ERR_IO);
	assert_true(history_is_empty(h));
	disk.no_reads = false;
	history_clear(h);
	tell_big(h, big);
	plan = plan_of(h, &in);
	assert_int_equal(rows_in_engine(h), 2);
	history_plan_free(&plan);

	struct vector none = {0};
	struct made m;
	disk.no_writes = true;
	make(&m, &person, NULL, (const char *const[COLUMNS]){"4", "pat", big});
	begin(h, "1-1-5", &none);
	assert_int_equal(history_write(h, &m.change, &err), ERR_IO);
	disk.no_writes = false;
	plan = untouched;
	assert_int_equal(history_plan(h, &in.transaction, &plan, &err), ERR_IO); /* it may lack something */
	assert_int_equal(plan.step_count, untouched.step_count);
	history_clear(h);
	assert_true(history_is_empty(h));
	tell_big(h, big);
	plan = plan_of(h, &in);
	assert_int_equal(rows_in_engine(h), 2);
	history_plan_free(&plan);
	history_free(h);
	free(disk.bytes);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_found),
	    cmocka_unit_test(test_a_row_in_dispute_is_always_found),
	    cmocka_unit_test(test_keys_are_appended),
	    cmocka_unit_test(test_a_row_is_planned_from_its_history),
	    cmocka_unit_test(test_rows_tied_by_values_are_loaded),
	    cmocka_unit_test(test_children_are_loaded_where_a_parent_may_go),
	    cmocka_unit_test(test_a_child_brings_its_deleted_parent),
	    cmocka_unit_test(test_a_parent_that_was_replaced_still_takes_its_children),
	    cmocka_unit_test(test_grandchildren_go_with_a_deleted_row),
	    cmocka_unit_test(test_rows_of_every_size),
	    cmocka_unit_test(test_a_childs_write_is_none_of_its_parents),
	    cmocka_unit_test(test_a_hot_change_reaches_the_engine),
	    cmocka_unit_test(test_resolved_and_shown),
	    cmocka_unit_test(test_settling),
	    cmocka_unit_test(test_rewind_and_again),
	    cmocka_unit_test(test_told_again_it_goes_on_alike),
	    cmocka_unit_test(test_a_failing_storage),
	};
	return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
