/* src/link/batch: certifying. Every row of a batch is looked up before the batch is committed.
 *
 * The last place where "both nodes wrote this row" is noticed: what passes here is committed, whatever was there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "link/batch.h"

static const struct settings settings = {.node_id = 1,
                                         .state_dir = "/tmp",
                                         .node_count = 3,
                                         .nodes = {1, 2, 3},
                                         .peer_count = 2,
                                         .peers = {{.node_id = 2}, {.node_id = 3}}};

static const uint32_t key_columns[] = {0};
static const struct merge_table people = {.id = 18, .column_count = 1, .key = {1, key_columns}};

struct fixture {
	struct state *state;
	struct batch batch;
};

static struct vector vector_of(const char *text)
{
	struct vector vector;
	assert_int_equal(vector_parse(text, &vector, NULL), ERR_OK);
	return vector;
}

/* It borrows from both. */
static struct merge_change insert_of(const uint64_t *id, struct content *value)
{
	*value = (struct content){.bytes = (const uint8_t *)id, .size = sizeof *id};
	return (struct merge_change){.op = MERGE_INSERT, .table = &people, .after = value};
}

static void wrote(struct fixture *f, uint64_t id, const char *text)
{
	struct content value;
	struct merge_change change = insert_of(&id, &value);
	struct vector none = {0};
	struct history_transaction t = {.context = &none};
	assert_int_equal(gtid_parse(text, &t.gtid, NULL), ERR_OK);
	struct history *history = state_lock_history(f->state);
	assert_int_equal(history_begin(history, &t, NULL), ERR_OK);
	assert_int_equal(history_write(history, &change, NULL), ERR_OK);
	assert_int_equal(history_end(history, NULL), ERR_OK);
	state_unlock_history(f->state);
}

static void add_row(struct batch *batch, uint64_t id)
{
	struct content value;
	struct merge_change change = insert_of(&id, &value);
	history_keys_add(&batch->keys, &change);
}

/* Here, 1-1-10 wrote row 5, 1-1-11 row 6, and 3-3-4, which was applied, row 7. */
static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	f->state = state_new(&settings);
	wrote(f, 5, "1-1-10");
	wrote(f, 6, "1-1-11");
	wrote(f, 7, "3-3-4");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	batch_free(&f->batch);
	batch_free(&f->batch);
	state_free(f->state);
	free(f);
	return 0;
}

static void open_batch(struct fixture *f, uint32_t origin, const char *context)
{
	batch_open(&f->batch, origin);
	f->batch.manifest.context = vector_of(context);
	for (uint64_t seq = 20; seq <= 21; seq++)
		batch_add(&f->batch, &(struct gtid){.domain = origin, .server = origin, .seq = seq}, 40 - (uint32_t)seq, 1);
}

static enum err_code certify(struct fixture *f, struct err *err)
{
	return batch_certify(&f->batch, f->state, err);
}

/* Row 5 was written here while a batch was on its way that didn't know of it: nothing may be committed over it, and the next try,
 * which sees it, resolves it; no operator has to come. The line in the debug log names who was first. */
static void test_what_came_in_between_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	open_batch(f, 2, "1-1-9,2-2-19");
	add_row(&f->batch, 99);
	add_row(&f->batch, 5);
	assert_int_equal(certify(f, &err), ERR_BUSY);
	assert_true(err_retryable(err.code));
	assert_non_null(strstr(err.message, "1-1-10"));
	batch_part_done(&f->batch);
	add_row(&f->batch, 6);
	assert_int_equal(certify(f, &err), ERR_BUSY);
	assert_non_null(strstr(err.message, "1-1-11"));
}

/* A row in dispute: another link's transaction put it into the engine, and there is no transaction to name. */
static void test_a_row_in_dispute_is_busy(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	uint64_t id = 8;
	struct content value;
	struct merge_change change = insert_of(&id, &value);
	struct vector none = {0};
	struct merge_transaction t = {
	    .gtid = {.domain = 3, .server = 3, .seq = 5}, .context = &none, .count = 1, .changes = &change};
	struct history *history = state_lock_history(f->state);
	assert_int_equal(history_resolved(history, &t, 0, NULL, &err), ERR_OK);
	state_unlock_history(f->state);
	open_batch(f, 2, "1-1-11,3-3-5");
	add_row(&f->batch, 8);
	assert_int_equal(certify(f, &err), ERR_BUSY);
	assert_non_null(strstr(err.message, "another link"));
}

/* What decides is the context, the vector that the transaction had seen: a write that was seen is no conflict, or
 * every second change of a row would be resolved; a write of the same origin never is one. */
static void test_the_context_decides(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint32_t origin;
		const char *context;
		uint64_t row;
		bool conflicts;
	} rows[] = {
	    {2, "1-1-9", 5, true},         {2, "1-1-10", 5, false}, {2, "1-1-11", 5, false},
	    {2, "1-1-10", 6, true},        {2, "1-1-11", 6, false}, {2, "", 6, true},
	    {2, "3-3-99", 5, true},        {2, "1-1-11", 7, true},  {2, "1-1-11,3-3-3", 7, true},
	    {2, "1-1-11,3-3-4", 7, false}, {3, "", 7, false},       {3, "1-1-9", 5, true},
	    {2, "2-2-99", 1234567, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err;
		open_batch(f, rows[i].origin, rows[i].context);
		add_row(&f->batch, rows[i].row);
		if (certify(f, &err) != (rows[i].conflicts ? ERR_BUSY : ERR_OK))
			fail_msg("row %zu", i);
		batch_close(&f->batch);
	}
}

/* A part is certified ahead, and again if something was committed meanwhile: the second look needs its keys, too. Once it is
 * done for good, its rows are locked here until the commit, and its keys are forgotten, or a long transaction would be
 * looked up from its beginning with each part. But no key may be passed by, wherever it stands among thousands. */
static void test_keys_are_looked_up_once_and_all(void **state)
{
	struct fixture *f = *state;
	enum { KEYS = 70000 };
	struct err err;
	open_batch(f, 2, "");
	for (uint64_t id = 1000; id < 1000 + KEYS; id++)
		add_row(&f->batch, id);
	assert_int_equal(f->batch.keys.count, KEYS + 1); /* and the table's */
	assert_int_equal(certify(f, &err), ERR_OK);
	assert_int_equal(f->batch.keys.count, KEYS + 1);
	batch_part_done(&f->batch);
	assert_int_equal(f->batch.keys.count, 0);
	static const uint64_t places[] = {0, 1, 255, 256, KEYS / 2, KEYS - 1};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		for (uint64_t id = 0; id < KEYS; id++)
			add_row(&f->batch, id == places[i] ? 5 : 1000 + id);
		assert_int_equal(certify(f, &err), ERR_BUSY);
		assert_int_equal(certify(f, &err), ERR_BUSY);
		/* It is rolled back then; nothing of it may be left for the next one. */
		batch_part_done(&f->batch);
		assert_int_equal(certify(f, &err), ERR_OK);
	}
	/* Memory of a large batch is given back. */
	for (uint64_t id = 0; id < KEYS; id++)
		add_row(&f->batch, id);
	batch_close(&f->batch);
	assert_int_equal(f->batch.keys.capacity, 0);
	assert_false(f->batch.is_open);
	add_row(&f->batch, 1);
	assert_int_equal(f->batch.keys.count, 2);
}

/* What the manifest says of the batch is what peers and this node after a restart take it for; the latest time is what this node's
 * own next write has to be later than, whatever the order. */
static void test_transactions_are_noted(void **state)
{
	struct fixture *f = *state;
	open_batch(f, 2, "1-1-9");
	assert_int_equal(f->batch.manifest.kind, MANIFEST_APPLIED);
	assert_int_equal(f->batch.manifest.count, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct manifest_transaction *t = &f->batch.manifest.transactions[i];
		assert_int_equal(t->seq, 20 + i);
		assert_int_equal(t->time, 20 - i);
		assert_int_equal(t->server, 2);
		assert_int_equal(t->row_changes, 1);
	}
	assert_int_equal(f->batch.last.seq, 21);
	assert_int_equal(f->batch.latest, 20);
}

/* A batch begins with nothing of the one before: its transactions would be logged as part of this one. */
static void test_open_begins_anew(void **state)
{
	struct fixture *f = *state;
	struct err err;
	open_batch(f, 2, "1-1-9");
	add_row(&f->batch, 5);
	f->batch.is_sealed = true;
	f->batch.generation = 7;
	f->batch.manifest.kind = MANIFEST_RESOLVED;
	buf_append_str(&f->batch.manifest.writes, "writes");
	batch_open(&f->batch, 3);
	assert_true(f->batch.is_open && !f->batch.is_sealed);
	assert_int_equal(f->batch.origin, 3);
	assert_int_equal(f->batch.latest, 0);
	assert_int_equal(f->batch.keys.count, 0);
	assert_int_equal(f->batch.manifest.kind, MANIFEST_APPLIED);
	assert_int_equal(f->batch.manifest.count, 0);
	assert_int_equal(f->batch.manifest.context.count, 0);
	assert_int_equal(f->batch.manifest.writes.size, 0);
	assert_true(f->batch.generation == UINT64_MAX);
	assert_int_equal(certify(f, &err), ERR_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_what_came_in_between_is_tried_again),
	    TEST(test_a_row_in_dispute_is_busy),
	    TEST(test_the_context_decides),
	    TEST(test_keys_are_looked_up_once_and_all),
	    TEST(test_transactions_are_noted),
	    TEST(test_open_begins_anew),
	};
	return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
