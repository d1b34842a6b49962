/* src/link/changes and src/link/steps: rows events as the merge engine's changes, and its steps as rows events.
 *
 * What is lost on this way is lost from a node's history: a conflict in it isn't found, or resolved with another row than the peers
 * have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "binlog/rows_writer.h"
#include "link/changes.h"
#include "link/steps.h"
#include "test_table_support.h"

enum { COLUMNS = 3, CHANGES_MAX = 8 };

static char *databases[] = {"gates"};
static const struct settings settings = {.node_id = 1, .database_count = 1, .databases = databases};

static const struct made_table people = {
    .id = 18,
    .database = "gates",
    .name = "people",
    .column_count = COLUMNS,
    .columns = {{COLUMN_LONG, 0, "id"}, {COLUMN_VARCHAR, 100, "name"}, {COLUMN_BLOB_COMPRESSED, 0, "note"}},
    .key_count = 1,
};

static const uint32_t key_columns[] = {0};

/* The table here: its own map, without a server. */
static void describe(struct description *d, const struct made_table *made, uint64_t id)
{
	struct buf bytes = make_table_map(made);
	struct event event = parse_made(&bytes);
	*d = (struct description){
	    .has_key = true,
	    .merge = {.id = id, .column_count = made->column_count, .key = {.count = 1, .columns = key_columns}}};
	assert_int_equal(table_map_parse(&event, &d->map, NULL), ERR_OK);
	buf_free(&bytes);
}

struct seen {
	struct change_list list;
	uint64_t numbers[CHANGES_MAX];
	size_t fail_at; /* call number from 1 */
};

static enum err_code see(void *context, const struct merge_change *change, uint64_t number, struct err *err)
{
	struct seen *seen = context;
	if (seen->list.count + 1 == seen->fail_at)
		return err_set(err, ERR_IO, "no room");
	assert_true(seen->list.count < CHANGES_MAX);
	seen->numbers[seen->list.count] = number;
	change_list_add(&seen->list, change, false);
	return ERR_OK;
}

struct fixture {
	struct tables *tables;
	struct description here;
	struct changes_reader reader;
	struct seen seen;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	f->tables = tables_new(&settings);
	describe(&f->here, &people, 5);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	tables_free(f->tables);
	table_map_free(&f->here.map);
	changes_reader_free(&f->reader);
	change_list_free(&f->seen.list);
	free(f);
	return 0;
}

static enum err_code walk(struct fixture *f, const struct made_table *made, const struct description *here,
                          const struct made_value *before, const struct made_value *after)
{
	struct buf map_bytes = make_table_map(made), bytes = make_row_change(made, before, after);
	struct event map = parse_made(&map_bytes), event = parse_made(&bytes);
	const struct table *learned;
	struct rows_event rows;
	struct err err;
	assert_int_equal(tables_learn(f->tables, &map, &learned, NULL), ERR_OK);
	struct table table = *learned;
	table.here = here;
	assert_null(table.mapping);
	if (here != NULL)
		assert_int_equal(mapping_new(NULL, &table.map, here, &table.mapping, NULL), ERR_OK);
	assert_int_equal(rows_parse(&event, &table.map, &rows, NULL), ERR_OK);
	enum err_code code = changes_of_event(&f->reader, &table, &rows, event.timestamp, see, &f->seen, &err);
	mapping_unref(table.mapping);
	buf_free(&map_bytes);
	buf_free(&bytes);
	return code;
}

static void assert_text(const struct content *value, const char *text)
{
	assert_int_equal(value->is_null, text == NULL);
	if (text != NULL) {
		assert_int_equal(value->size, strlen(text));
		assert_memory_equal(value->bytes, text, value->size);
	}
}

static const struct made_value ann[] = {NUMBER(1), TEXT("ann"), NOTHING}, older[] = {NUMBER(1), TEXT(""), NOTHING},
                               moved[] = {NUMBER(2), TEXT("ann"), NOTHING};

/* Every kind of change, with its images; the copies outlive the event. */
static void test_every_kind_of_change(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(walk(f, &people, &f->here, NULL, ann), ERR_OK);
	assert_int_equal(walk(f, &people, &f->here, ann, older), ERR_OK);
	assert_int_equal(walk(f, &people, &f->here, older, NULL), ERR_OK);
	const struct change_list *l = &f->seen.list;
	static const enum merge_op ops[] = {MERGE_INSERT, MERGE_UPDATE, MERGE_DELETE};
	assert_int_equal(l->count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(l->changes[i].op, ops[i]);
		assert_int_equal(l->steps[i].op, ops[i]);
		assert_ptr_equal(l->changes[i].table, &f->here.merge);
		assert_ptr_equal(l->steps[i].before, l->changes[i].before);
		assert_ptr_equal(l->steps[i].after, l->changes[i].after);
		assert_int_equal(f->seen.numbers[i], 0);
	}
	assert_null(l->changes[0].before);
	assert_int_equal(l->changes[0].after[0].size, 4);
	assert_memory_equal(l->changes[0].after[0].bytes, "\1\0\0\0", 4);
	assert_text(&l->changes[0].after[1], "ann");
	assert_text(&l->changes[0].after[2], NULL);
	assert_text(&l->changes[1].before[1], "ann");
	assert_text(&l->changes[1].after[1], "");
	assert_text(&l->changes[2].before[1], "");
	assert_null(l->changes[2].after);
}

/* Another primary key is another row: the engine is told so, or it looks for the old row under the new key. Both are of one row
 * change of the log, and a manifest counts that one. */
static void test_another_key_is_another_row(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(walk(f, &people, &f->here, ann, moved), ERR_OK);
	const struct change_list *l = &f->seen.list;
	assert_int_equal(l->count, 2);
	assert_int_equal(l->changes[0].op, MERGE_DELETE);
	assert_memory_equal(l->changes[0].before[0].bytes, "\1\0\0\0", 4);
	assert_null(l->changes[0].after);
	assert_int_equal(l->changes[1].op, MERGE_INSERT);
	assert_memory_equal(l->changes[1].after[0].bytes, "\2\0\0\0", 4);
	assert_null(l->changes[1].before);
	assert_true(f->seen.numbers[0] == 0 && f->seen.numbers[1] == 0);
	assert_int_equal(f->reader.seen, 1);
}

/* A compressed column's bytes depend on the server that wrote them; its value doesn't. Of several images each gets its own. */
static void test_compressed_values_are_read(void **state)
{
	struct fixture *f = *state;
	/* 1 byte of header: stored as it is (field_compress, sql/field.cc). */
	static const struct made_value one[] = {NUMBER(1), TEXT("ann"), TEXT("\0one")},
	                               two[] = {NUMBER(1), TEXT("ann"), TEXT("\0a second")};
	assert_int_equal(walk(f, &people, &f->here, one, two), ERR_OK);
	assert_text(&f->seen.list.changes[0].before[2], "one");
	assert_text(&f->seen.list.changes[0].after[2], "a second");
}

/* Nothing can be done about a table that isn't here or has no key, but its row changes are counted by the manifest: uncounted, the
 * rows behind them are taken for another transaction's. */
static void test_rows_of_no_table_here_are_counted(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(walk(f, &people, NULL, ann, older), ERR_OK);
	assert_int_equal(f->reader.seen, 1);
	f->here.has_key = false;
	f->reader.seen = 0;
	assert_int_equal(walk(f, &people, &f->here, ann, moved), ERR_OK);
	assert_int_equal(f->reader.seen, 1);
	assert_int_equal(f->seen.list.count, 0);
}

/* Whoever takes the changes fails (a full disk): the walk ends, with his error, also between the halves of one row. */
static void test_an_error_ends_the_walk(void **state)
{
	struct fixture *f = *state;
	f->seen.fail_at = 2;
	assert_int_equal(walk(f, &people, &f->here, ann, moved), ERR_IO);
	assert_int_equal(f->seen.list.count, 1);
}

/* After ALTER TABLE … ADD COLUMN and a restart the tail reads older rows, which lack it: what lies behind them in memory is not
 * their value. */
static void test_rows_from_before_a_column_was_added(void **state)
{
	struct fixture *f = *state;
	struct made_table narrow = people;
	/* What mapping asks of a column that they don't have. */
	struct column_definition definitions[] = {{.name = "id"}, {.name = "name"}, {.name = "age", .is_nullable = true}};
	f->here.definitions = definitions;
	f->here.definition_count = 3;
	narrow.column_count = 2;
	assert_int_equal(walk(f, &narrow, &f->here, ann, older), ERR_OK);
	assert_int_equal(f->seen.list.count, 1);
	assert_text(&f->seen.list.changes[0].before[1], "ann");
	assert_true(f->seen.list.changes[0].before[2].is_absent);
	assert_text(&f->seen.list.changes[0].after[1], "");
	assert_true(f->seen.list.changes[0].after[2].is_absent);
}

/* ---- steps ---- */

static struct content text_of(const char *text)
{
	return (struct content){.bytes = (const uint8_t *)text, .size = (uint32_t)strlen(text)};
}

/* Steps of two tables, of every kind, with and without foreign key checks; each as its server would have logged it, and back. One
 * that gets lost or out of order breaks a unique key or deletes a row's children. */
static void test_steps_to_events_and_back(void **state)
{
	enum { STEPS = 7 };
	struct fixture *f = *state;
	static struct description pets;
	struct made_table made = people;
	made.name = "pets";
	made.columns[2].type = COLUMN_BLOB;
	describe(&pets, &made, 6);
	table_map_free(&f->here.map);
	made.name = "people";
	describe(&f->here, &made, 5);
	struct content rows[STEPS][COLUMNS];
	static const char *const names[STEPS] = {"a", "b", "c", "d", "e", "f", "g"}, *const ids[STEPS] = {
	                                                                                 "1111", "2222", "3333", "4444",
	                                                                                 "5555", "6666", "7777"};
	for (size_t i = 0; i < STEPS; i++) {
		rows[i][0] = text_of(ids[i]);
		rows[i][1] = text_of(names[i]);
		rows[i][2] = (struct content){.is_null = true};
	}
	const struct merge_table *one = &f->here.merge, *two = &pets.merge;
	const struct merge_step steps[STEPS] = {
	    {.op = MERGE_DELETE, .table = one, .before = rows[0], .no_cascade = true},
	    {.op = MERGE_DELETE, .table = one, .before = rows[1]},
	    {.op = MERGE_INSERT, .table = one, .after = rows[2]},
	    {.op = MERGE_INSERT, .table = one, .after = rows[3]},
	    {.op = MERGE_INSERT, .table = two, .after = rows[4]},
	    {.op = MERGE_UPDATE, .table = two, .before = rows[4], .after = rows[5]},
	    {.op = MERGE_INSERT, .table = one, .after = rows[6], .no_cascade = true},
	};
	struct buf events = {0};
	struct err err;
	assert_int_equal(steps_encode(steps, STEPS, 1700000000, 9, &events, &err), ERR_OK);
	struct cursor c = cursor_of(events.data, events.size);
	struct event event;
	const struct table *table = NULL;
	size_t maps = 0, seen = 0;
	while (rows_writer_next(&c, &event)) {
		if (event.type == EVENT_TABLE_MAP) {
			assert_int_equal(tables_learn(f->tables, &event, &table, &err), ERR_OK);
			maps++;
			continue;
		}
		struct rows_event parsed;
		struct rows_iter iter;
		struct row_change change;
		bool more;
		assert_non_null(table);
		assert_int_equal(rows_parse(&event, &table->map, &parsed, &err), ERR_OK);
		assert_int_equal(event.timestamp, 1700000000);
		assert_true((parsed.flags & ROWS_FLAG_STATEMENT_END) != 0);
		rows_iter_init(&iter);
		rows_iter_start(&iter, &parsed, &table->map);
		while (rows_next(&iter, &change, &more, &err) == ERR_OK && more) {
			assert_true(seen < STEPS);
			const struct merge_step *step = &steps[seen++];
			assert_string_equal(table->map.table, step->table == one ? "people" : "pets");
			assert_int_equal(change.has_before, step->before != NULL);
			assert_int_equal(change.has_after, step->after != NULL);
			assert_int_equal((parsed.flags & ROWS_FLAG_NO_FOREIGN_KEY_CHECKS) != 0, step->no_cascade);
			if (step->before != NULL)
				assert_memory_equal(change.before[0].bytes, step->before[0].bytes, 4);
			if (step->after != NULL)
				assert_memory_equal(change.after[0].bytes, step->after[0].bytes, 4);
			if (step->after != NULL) {
				assert_memory_equal(change.after[1].bytes + 1, step->after[1].bytes, 1); /* behind its size */
				assert_true(change.after[2].is_null);
			}
		}
		rows_iter_free(&iter);
	}
	assert_int_equal(seen, STEPS);
	assert_int_equal(maps, 6); /* two inserts into one table go together */
	assert_int_equal(steps_encode(steps, 0, 1, 1, &events, &err), ERR_OK);
	buf_free(&events);
	table_map_free(&pets.map);
}

/* A copy with more than a few changes, NULLs and empty values, is what was put in; cleared, it is used again. */
static void test_lists_copy(void **state)
{
	struct fixture *f = *state;
	char text[2] = "a";
	struct content values[COLUMNS] = {{.bytes = (const uint8_t *)text, .size = 1}, {.is_null = true}, {.size = 0}};
	struct merge_change change = {.op = MERGE_INSERT, .table = &f->here.merge, .after = values};
	struct change_list *l = &f->seen.list;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 26; i++) {
			text[0] = (char)('a' + i);
			change_list_add(l, &change, i % 2 != 0);
		}
		assert_int_equal(l->count, 26);
		for (int i = 0; i < 26; i++) {
			assert_int_equal(l->steps[i].after[0].bytes[0], 'a' + i);
			assert_int_equal(l->steps[i].no_cascade, i % 2 != 0);
			assert_text(&l->changes[i].after[1], NULL);
			assert_text(&l->changes[i].after[2], "");
			assert_null(l->changes[i].before);
		}
		change_list_clear(l);
		assert_int_equal(l->count, 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	(void)corpus_folder;
	const struct CMUnitTest tests[] = {
	    TEST(test_every_kind_of_change),       TEST(test_another_key_is_another_row),
	    TEST(test_compressed_values_are_read), TEST(test_rows_of_no_table_here_are_counted),
	    TEST(test_an_error_ends_the_walk),     TEST(test_rows_from_before_a_column_was_added),
	    TEST(test_steps_to_events_and_back),   TEST(test_lists_copy),
	};
	return cmocka_run_group_tests_name("changes", tests, NULL, NULL);
}
