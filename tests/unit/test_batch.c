/* src/link/batch: certifying. Every row of a batch is looked up before the batch is committed.
 *
 * The one place where "both nodes wrote this row" is noticed: what passes here is applied, whatever was there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "link/batch.h"
#include "test_table_support.h"

static char *databases[] = {"gates"};
static const struct settings settings = {.node_id = 1,
                                         .state_dir = "/tmp",
                                         .database_count = 1,
                                         .databases = databases,
                                         .peer_count = 2,
                                         .peers = {{.node_id = 2}, {.node_id = 3}}};

static const struct made_table people = {
    .id = 18,
    .database = "gates",
    .name = "people",
    .column_count = 1,
    .columns = {{COLUMN_LONG, 0, "id"}},
    .key_count = 1,
};

struct fixture {
	struct state *state;
	struct tables *tables;
	struct batch batch;
};

static struct vector vector_of(const char *text)
{
	struct vector vector;
	assert_int_equal(vector_parse(text, &vector, NULL), ERR_OK);
	return vector;
}

static void wrote(struct fixture *f, uint64_t key, const char *text)
{
	struct gtid gtid;
	assert_int_equal(gtid_parse(text, &gtid, NULL), ERR_OK);
	assert_int_equal(state_window_begin(f->state, &(struct window_transaction){.gtid = gtid}, NULL), ERR_OK);
	assert_int_equal(state_window_add(f->state, &key, 1, NULL, 0, NULL), ERR_OK);
}

/* Here, 1-1-10 wrote row 5, 1-1-11 row 6, and 3-3-4, which was applied, row 7. */
static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct buf bytes = make_table_map(&people);
	struct event event = parse_made(&bytes);
	const struct table *table;
	f->state = state_new(&settings);
	f->tables = tables_new(&settings);
	assert_int_equal(tables_learn(f->tables, &event, &table, NULL), ERR_OK);
	buf_free(&bytes);
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
	tables_free(f->tables);
	state_free(f->state);
	free(f);
	return 0;
}

static void open_batch(struct fixture *f, uint32_t origin, const char *context)
{
	batch_open(&f->batch, origin);
	f->batch.manifest.context = vector_of(context);
	f->batch.last = (struct gtid){.domain = origin, .server = origin, .seq = 21};
	manifest_add(&f->batch.manifest, &(struct manifest_transaction){.seq = 20, .server = origin, .row_changes = 1});
	manifest_add(&f->batch.manifest, &(struct manifest_transaction){.seq = 21, .server = origin, .row_changes = 1});
}

static enum err_code certify(struct fixture *f, struct err *err)
{
	return batch_certify(&f->batch, f->state, f->tables, err);
}

/* Node 2 wrote row 5 without having seen 1-1-10: the link has to stop, and the one line that the operator gets must
 * tell him which table, which two transactions, and how to go on. */
static void test_a_conflict_names_both(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	open_batch(f, 2, "1-1-9,2-2-19");
	batch_add_key(&f->batch, 99, 20, 18);
	batch_add_key(&f->batch, 5, 21, 18);
	assert_int_equal(certify(f, &err), ERR_CONFLICT);
	assert_false(err_retryable(err.code));
	assert_non_null(strstr(err.message, "transaction 2-2-21 "));
	assert_non_null(strstr(err.message, "gates.people"));
	assert_non_null(strstr(err.message, "1-1-10"));
	assert_non_null(strstr(err.message, "syncline skip 2-2-21"));
	batch_part_done(&f->batch);
	/* Another transaction of the batch than the last. */
	batch_add_key(&f->batch, 6, 20, 18);
	assert_int_equal(certify(f, &err), ERR_CONFLICT);
	assert_non_null(strstr(err.message, "syncline skip 2-2-20"));
	assert_non_null(strstr(err.message, "1-1-11"));
}

/* A table that the peer's log told of long ago may be forgotten: the conflict counts all the same. */
static void test_a_conflict_in_a_table_without_a_name(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	open_batch(f, 2, "");
	batch_add_key(&f->batch, 5, 21, 4711);
	assert_int_equal(certify(f, &err), ERR_CONFLICT);
	assert_non_null(strstr(err.message, "1-1-10"));
}

/* What decides is the context, the vector that the transaction had seen: a write that was seen is no conflict, or
 * every second change of a row would stop the link; a write of the same origin never is one. */
static void test_the_context_decides(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint32_t origin;
		const char *context;
		uint64_t key;
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
		batch_add_key(&f->batch, rows[i].key, 21, 18);
		if (certify(f, &err) != (rows[i].conflicts ? ERR_CONFLICT : ERR_OK))
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
	enum { KEYS = 40000 };
	struct err err;
	open_batch(f, 2, "");
	for (uint64_t key = 1000; key < 1000 + KEYS; key++)
		batch_add_key(&f->batch, key, 20, 18);
	assert_int_equal(f->batch.key_count, KEYS);
	assert_int_equal(certify(f, &err), ERR_OK);
	assert_int_equal(f->batch.key_count, KEYS);
	batch_part_done(&f->batch);
	assert_int_equal(f->batch.key_count, 0);
	static const uint64_t places[] = {0, 1, 255, 256, KEYS / 2, KEYS - 1};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		for (uint64_t key = 0; key < KEYS; key++)
			batch_add_key(&f->batch, key == places[i] ? 5 : 1000 + key, 21, 18);
		assert_int_equal(certify(f, &err), ERR_CONFLICT);
		assert_int_equal(certify(f, &err), ERR_CONFLICT);
		/* It is rolled back then; nothing of it may be left for the next one. */
		batch_part_done(&f->batch);
		assert_int_equal(certify(f, &err), ERR_OK);
	}
	/* Memory of a large batch is given back. */
	for (uint64_t key = 0; key < KEYS; key++)
		batch_add_key(&f->batch, key, 21, 18);
	batch_close(&f->batch);
	assert_int_equal(f->batch.key_capacity, 0);
	assert_false(f->batch.is_open);
	batch_add_key(&f->batch, 1, 1, 1);
	assert_int_equal(f->batch.key_count, 1);
}

/* A batch begins with nothing of the one before: its transactions would be logged as part of this one. */
static void test_open_begins_anew(void **state)
{
	struct fixture *f = *state;
	struct err err;
	open_batch(f, 2, "1-1-9");
	batch_add_key(&f->batch, 5, 21, 18);
	f->batch.is_sealed = true;
	f->batch.generation = 7;
	batch_open(&f->batch, 3);
	assert_true(f->batch.is_open && !f->batch.is_sealed);
	assert_int_equal(f->batch.origin, 3);
	assert_int_equal(f->batch.key_count, 0);
	assert_int_equal(f->batch.manifest.count, 0);
	assert_int_equal(f->batch.manifest.context.count, 0);
	assert_true(f->batch.generation == UINT64_MAX);
	assert_int_equal(certify(f, &err), ERR_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	(void)corpus_folder;
	const struct CMUnitTest tests[] = {
	    TEST(test_a_conflict_names_both), TEST(test_a_conflict_in_a_table_without_a_name),
	    TEST(test_the_context_decides),   TEST(test_keys_are_looked_up_once_and_all),
	    TEST(test_open_begins_anew),
	};
	return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
