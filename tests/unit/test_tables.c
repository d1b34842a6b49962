/* src/link/tables: which table a number in a rows event means, and the manifests in the rows of syncline.links.
 *
 * A server gives a table a new number when it was altered, and its numbers anew when it starts. Rows read with the
 * columns that the number had before are garbage with a valid key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "link/tables.h"
#include "merge/manifest.h"
#include "test_table_support.h"

static char *databases[] = {"gates", "log"};
static const struct settings settings = {.node_id = 1, .database_count = 2, .databases = databases};

static const struct made_table people = {
    .id = 18,
    .database = "gates",
    .name = "people",
    .column_count = 2,
    .columns = {{COLUMN_LONG, 0, "id"}, {COLUMN_VARCHAR, 40, "name"}},
    .key_count = 1,
};

/* As server_prepare makes it. */
static const struct made_table links = {
    .id = 19,
    .database = "syncline",
    .name = "links",
    .column_count = 3,
    .columns = {{COLUMN_LONG, 0, "peer"}, {COLUMN_VARCHAR, 4000, "position"}, {COLUMN_BLOB, 0, "manifest"}},
    .key_count = 1,
};

static const struct table *learn(struct tables *tables, const struct made_table *made)
{
	struct buf bytes = make_table_map(made);
	struct event event = parse_made(&bytes);
	const struct table *table = NULL;
	struct err err;
	if (tables_learn(tables, &event, &table, &err) != ERR_OK)
		fail_msg("%s", err.message);
	memset(bytes.data, 0xee, bytes.size); /* what was learnt outlives the event */
	buf_free(&bytes);
	return table;
}

static void test_learn_and_find(void **state)
{
	(void)state;
	struct tables *tables = tables_new(&settings);
	assert_null(tables_find(tables, 18));
	const struct table *table = learn(tables, &people);
	assert_ptr_equal(tables_find(tables, 18), table);
	assert_null(tables_find(tables, 17));
	assert_null(tables_find(tables, 19));
	assert_string_equal(table->map.table, "people");
	assert_string_equal(table->map.columns[1].name, "name");
	tables_free(tables);
	tables_free(NULL);
}

/* What is replicated, and what holds manifests: taken for one of the settings' databases, another one's rows are
 * written here; a table `links` of the application read for manifests stops the link. */
static void test_what_a_table_is(void **state)
{
	(void)state;
	static const struct {
		const char *database, *table;
		bool is_replicated, is_links;
	} rows[] = {
	    {"gates", "people", true, false}, {"log", "x", true, false},       {"Gates", "people", false, false},
	    {"gate", "s", false, false},      {"mysql", "user", false, false}, {"syncline", "links", false, true},
	    {"gates", "links", true, false},  {"syncline", "x", false, false}, {"links", "syncline", false, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tables *tables = tables_new(&settings);
		struct made_table made = people;
		made.database = rows[i].database;
		made.name = rows[i].table;
		const struct table *table = learn(tables, &made);
		assert_int_equal(table->is_replicated, rows[i].is_replicated);
		assert_int_equal(table->is_links, rows[i].is_links);
		tables_free(tables);
	}
}

/* The same number, the same bytes: nothing is parsed, which is what nearly every event of a busy log costs. Other
 * bytes under that number: another table, from now on. */
static void test_relearn(void **state)
{
	(void)state;
	struct tables *tables = tables_new(&settings);
	const struct column *columns = learn(tables, &people)->map.columns;
	assert_ptr_equal(learn(tables, &people)->map.columns, columns);

	struct made_table altered = people;
	altered.columns[1].name = "nick"; /* bytes of the same length */
	assert_string_equal(learn(tables, &altered)->map.columns[1].name, "nick");
	altered.column_count = 1; /* fewer bytes */
	assert_int_equal(learn(tables, &altered)->map.column_count, 1);
	altered = links; /* more bytes; another server start */
	altered.id = 18;
	const struct table *table = learn(tables, &altered);
	assert_true(table->is_links && !table->is_replicated);
	table = learn(tables, &people);
	assert_true(!table->is_links && table->is_replicated);
	assert_string_equal(tables_find(tables, 18)->map.columns[1].name, "name");
	tables_free(tables);
}

/* A table map that can't be read leaves what was known before, and no half of a table. */
static void test_a_garbled_table_map_changes_nothing(void **state)
{
	(void)state;
	struct tables *tables = tables_new(&settings);
	const struct table *known = learn(tables, &people), *table = NULL;
	struct made_table other = people;
	struct err err;
	for (other.id = 18; other.id <= 19; other.id++) {
		struct buf bytes = make_table_map(&other);
		enum { UP_TO_THE_TYPES = EVENT_HEADER_SIZE + 8 + 7 + 8 + 2 }; /* ids and flags, gates, people, count, a type */
		for (size_t cut = EVENT_HEADER_SIZE; cut < UP_TO_THE_TYPES; cut++) {
			uint8_t *exact = exact_copy(bytes.data, cut);
			struct buf shorter = {.data = exact, .size = cut};
			struct event event = parse_made(&shorter);
			assert_int_equal(tables_learn(tables, &event, &table, &err), ERR_MALFORMED);
			assert_null(table);
			assert_ptr_equal(tables_find(tables, 18), known);
			assert_string_equal(known->map.columns[1].name, "name");
			assert_null(tables_find(tables, 19));
			free(exact);
		}
		buf_free(&bytes);
	}
	tables_free(tables);
}

/* Numbers come in any order, and up to 48 bits: one found in another's place is rows in another table. */
static void test_many_tables(void **state)
{
	(void)state;
	enum { COUNT = 700 };
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)clock_monotonic_us();
	print_message("tables: SEED=%u\n", seed);
	struct tables *tables = tables_new(&settings);
	uint64_t ids[COUNT];
	char name[24];
	struct made_table made = people;
	made.name = name;
	for (size_t i = 0; i < COUNT; i++) {
		ids[i] = ((uint64_t)(unsigned)rand_r(&seed) << 17 ^ (uint64_t)(unsigned)rand_r(&seed)) & 0xffffffffffff;
		made.id = ids[i];
		snprintf(name, sizeof name, "t%llu", (unsigned long long)ids[i]);
		learn(tables, &made);
	}
	for (size_t i = 0; i < COUNT; i++) {
		const struct table *table = tables_find(tables, ids[i]);
		assert_non_null(table);
		snprintf(name, sizeof name, "t%llu", (unsigned long long)ids[i]);
		assert_string_equal(table->map.table, name);
	}
	tables_free(tables);
}

/* A format description: the numbers begin anew, and the old ones mean nothing. And a log in which every ALTER takes
 * another number must not fill the memory of a daemon that runs for years. */
static void test_clear_and_trim(void **state)
{
	(void)state;
	struct tables *tables = tables_new(&settings);
	struct made_table made = people;
	learn(tables, &people);
	tables_clear(tables);
	assert_null(tables_find(tables, 18));
	tables_clear(tables);
	for (made.id = 1; made.id <= 1024; made.id++)
		learn(tables, &made);
	tables_trim(tables);
	assert_non_null(tables_find(tables, 1));
	assert_non_null(tables_find(tables, 1024));
	learn(tables, &made); /* one more */
	assert_non_null(tables_find(tables, 1));
	tables_trim(tables);
	assert_null(tables_find(tables, 1));
	assert_null(tables_find(tables, 1025));
	learn(tables, &people);
	assert_non_null(tables_find(tables, 18));
	tables_free(tables);
}

/* ---- manifests ---- */

static struct buf encoded_manifest(uint64_t seq)
{
	struct manifest m = {.context = {.count = 1, .gtids = {{.domain = 1, .server = 1, .seq = 5}}}};
	struct buf bytes = {0};
	manifest_add(&m, &(struct manifest_transaction){.seq = seq, .time = 1700000000, .server = 2, .row_changes = 3});
	manifest_add(&m, &(struct manifest_transaction){
	                     .seq = seq + 1, .time = 1700000001, .server = 2, .row_changes = MANIFEST_ALL_THE_REST});
	manifest_encode(&m, &bytes);
	manifest_free(&m);
	return bytes;
}

struct outcome {
	enum err_code code;
	bool found;
	uint64_t seq; /* of the first transaction */
};

static struct outcome read_row(const struct made_table *made, const struct made_value *before,
                               const struct made_value *after)
{
	struct tables *tables = tables_new(&settings);
	struct buf bytes = make_row_change(made, before, after);
	struct event event = parse_made(&bytes);
	struct manifest manifest = {0};
	struct outcome outcome = {.found = true};
	struct err err = {0};
	outcome.code = tables_read_manifest(learn(tables, made), &event, &manifest, &outcome.found, &err);
	assert_true(outcome.code == ERR_OK || err.message[0] != '\0');
	if (outcome.code == ERR_OK && outcome.found)
		outcome.seq = manifest.transactions[0].seq;
	manifest_free(&manifest);
	tables_free(tables);
	buf_free(&bytes);
	return outcome;
}

/* The first batch of a link inserts its row, every later one updates it: it is the new manifest that counts. The old
 * one would put the rows that follow under transactions that were applied long ago, and they would be left out. */
static void test_manifests_of_inserts_and_updates(void **state)
{
	(void)state;
	struct buf old = encoded_manifest(40), new = encoded_manifest(70);
	struct made_value before[] = {NUMBER(2), TEXT("1-1-5"), {.text = old.data, .size = old.size}},
	                  after[] = {NUMBER(2), TEXT("1-1-5,2-2-71"), {.text = new.data, .size = new.size}},
	                  none[] = {NUMBER(2), TEXT(""), TEXT("")};
	struct outcome o = read_row(&links, NULL, after);
	assert_true(o.code == ERR_OK && o.found && o.seq == 70);
	o = read_row(&links, before, after);
	assert_true(o.code == ERR_OK && o.found && o.seq == 70);
	o = read_row(&links, none, before);
	assert_true(o.code == ERR_OK && o.found && o.seq == 40);
	buf_free(&old);
	buf_free(&new);
}

/* A transaction that was passed over has '' or one byte there; a row that was deleted by hand has none at all. */
static void test_rows_without_a_manifest(void **state)
{
	(void)state;
	struct buf old = encoded_manifest(40);
	static const struct made_value empty[] = {NUMBER(2), TEXT(""), TEXT("")},
	                               passed[] = {NUMBER(2), TEXT(""), TEXT("\0")};
	struct made_value full[] = {NUMBER(2), TEXT("1-1-5"), {.text = old.data, .size = old.size}};
	struct made_table narrow = links;
	narrow.column_count = 2;
	struct outcome o = read_row(&links, NULL, empty);
	assert_true(o.code == ERR_OK && !o.found);
	o = read_row(&links, full, empty);
	assert_true(o.code == ERR_OK && !o.found);
	o = read_row(&links, empty, passed);
	assert_true(o.code == ERR_OK && !o.found);
	o = read_row(&links, passed, empty);
	assert_true(o.code == ERR_OK && !o.found);
	o = read_row(&links, full, NULL);
	assert_true(o.code == ERR_OK && !o.found);
	o = read_row(&narrow, NULL, full);
	assert_true(o.code == ERR_OK && !o.found);
	buf_free(&old);
}

/* Somebody altered or wrote syncline.links: an error with a line, not rows under made-up transactions, and not a
 * crash. */
static void test_rows_with_garbage_for_a_manifest(void **state)
{
	(void)state;
	static const struct made_value garbage[] = {NUMBER(2), TEXT(""), TEXT("garbage")},
	                               later[] = {NUMBER(2), TEXT(""), TEXT("\3\0\0\1\1\0\0\0")},
	                               null[] = {NUMBER(2), TEXT(""), NOTHING}, number[] = {NUMBER(2), TEXT(""), NUMBER(7)};
	struct made_table altered = links;
	assert_int_equal(read_row(&links, NULL, garbage).code, ERR_UNSUPPORTED); /* 'g' is no version known */
	struct outcome o = read_row(&links, NULL, later);
	assert_int_equal(o.code, ERR_UNSUPPORTED);
	assert_true(o.found); /* untouched */
	assert_int_not_equal(read_row(&links, NULL, null).code, ERR_OK);
	altered.columns[2].type = COLUMN_LONG;
	assert_int_not_equal(read_row(&altered, NULL, number).code, ERR_OK);
	/* a manifest that was cut off by a column that became too short */
	struct buf whole = encoded_manifest(40);
	for (size_t size = 2; size < whole.size; size++) {
		struct made_value row[] = {NUMBER(2), TEXT(""), {.text = whole.data, .size = size}};
		assert_int_equal(read_row(&links, NULL, row).code, ERR_MALFORMED);
	}
	buf_free(&whole);
}

int main(void)
{
	(void)corpus_folder;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_learn_and_find),
	    cmocka_unit_test(test_what_a_table_is),
	    cmocka_unit_test(test_relearn),
	    cmocka_unit_test(test_a_garbled_table_map_changes_nothing),
	    cmocka_unit_test(test_many_tables),
	    cmocka_unit_test(test_clear_and_trim),
	    cmocka_unit_test(test_manifests_of_inserts_and_updates),
	    cmocka_unit_test(test_rows_without_a_manifest),
	    cmocka_unit_test(test_rows_with_garbage_for_a_manifest),
	};
	return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
