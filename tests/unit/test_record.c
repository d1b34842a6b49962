/* src/link/record: a conflict as the row that tells of it.
 *
 * Whoever lost a value has nothing but this row to get it back from. tests/system/test_conflicts_command.py gives such
 * rows to a server and has them undone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "link/record.h"

enum { UTF8MB4 = 45, LATIN1 = 8, BINARY = 63 };

#define CONTENT(text)                                                                                                  \
	{                                                                                                                  \
		.bytes = (const uint8_t *)(text), .size = sizeof(text) - 1                                                     \
	}
#define NOTHING                                                                                                        \
	{                                                                                                                  \
		.is_null = true                                                                                                \
	}

/* users (id INT PRIMARY KEY, name VARCHAR(20), tag VARBINARY(20)) */
static struct column columns[] = {
    {.type = COLUMN_LONG, .name = "id"},
    {.type = COLUMN_VARCHAR, .metadata = 80, .collation = UTF8MB4, .name = "name"},
    {.type = COLUMN_VARCHAR, .metadata = 20, .collation = BINARY, .name = "tag"},
};
static uint32_t key[] = {0};
static struct table_map users = {.database = (char *)"d",
                                 .table = (char *)"users",
                                 .column_count = 3,
                                 .columns = columns,
                                 .has_full_metadata = true,
                                 .primary_key_count = 1,
                                 .primary_key = key};
static const struct content base[] = {CONTENT("\7\0\0\0"), CONTENT("Ann"), NOTHING};
static const struct content local[] = {CONTENT("\7\0\0\0"), CONTENT("\"Zo\xc3\xab\" \\ '"), CONTENT("\xff")};
static const struct content remote[] = {CONTENT("\7\0\0\0"), NOTHING, CONTENT("")};
static const bool lost[] = {false, true, true};

static struct record record_of(void)
{
	return (struct record){.id = 0xabcdef,
	                       .map = &users,
	                       .kind = "update_origin_differs",
	                       .loser = {1, 1, 17},
	                       .winner = {2, 2, 9},
	                       .loser_time = 1700000000,
	                       .winner_time = 1700000001,
	                       .base = base,
	                       .local = local,
	                       .remote = remote,
	                       .applied = remote,
	                       .lost = lost,
	                       .resolver = "last_update_wins",
	                       .resolution = "apply_remote"};
}

/* The nth literal of the statement, from 0. */
static struct buf literal(struct buf *sql, unsigned n)
{
	const char *at = buf_str(sql);
	struct buf text = {0};
	for (unsigned i = 0; i <= n; i++) {
		at = strstr(at, "_utf8mb4 x'");
		assert_non_null(at);
		at += strlen("_utf8mb4 x'");
	}
	for (unsigned byte; sscanf(at, "%2x", &byte) == 1 && *at != '\''; at += 2)
		buf_append_u8(&text, (uint8_t)byte);
	return text;
}

static json_t *data_of(const struct record *record)
{
	struct buf sql = {0};
	struct err err;
	if (record_insert(record, &sql, &err) != ERR_OK)
		fail_msg("%s", err.message);
	struct buf text = literal(&sql, 1);
	json_t *data = json_loads(buf_str(&text), JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(data);
	buf_free(&text);
	buf_free(&sql);
	return data;
}

static void assert_json(json_t *value, const char *expected)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	assert_string_equal(text, expected);
	free(text);
}

/* The guide's own queries (conflicts that aren't resolved, by table) must find it. */
static void test_statement(void **state)
{
	(void)state;
	struct record record = record_of();
	struct buf sql = {0};
	struct err err;
	assert_int_equal(record_insert(&record, &sql, &err), ERR_OK);
	static const char start[] = "INSERT INTO `d`.replication_conflicts (table_name, record_id, conflict_type, gate_id, "
	                            "conflict_data) VALUES (_utf8mb4 x'7573657273', 7, 'UPDATE_CONFLICT', 1, _utf8mb4 x'";
	assert_int_equal(strncmp(buf_str(&sql), start, sizeof start - 1), 0);
	buf_free(&sql);
	record_create_table("d`b", &sql);
	assert_non_null(strstr(buf_str(&sql), "CREATE TABLE IF NOT EXISTS `d``b`.replication_conflicts (id INT"));
	buf_free(&sql);
}

/* Another version of Syncline, or an application, reads these names. */
static void test_data(void **state)
{
	(void)state;
	struct record record = record_of();
	json_t *data = data_of(&record);
	assert_json(data,
	            "{\"version\":1,\"id\":\"0000000000abcdef\",\"kind\":\"update_origin_differs\",\"database\":\"d\","
	            "\"table\":\"users\",\"key\":{\"id\":\"7\"},"
	            "\"base\":{\"id\":\"7\",\"name\":\"Ann\",\"tag\":null},"
	            "\"local\":{\"id\":\"7\",\"name\":\"\\\"Zo\xc3\xab\\\" \\\\ '\",\"tag\":\"ff\"},"
	            "\"remote\":{\"id\":\"7\",\"name\":null,\"tag\":\"\"},"
	            "\"applied\":{\"id\":\"7\",\"name\":null,\"tag\":\"\"},"
	            "\"lost\":[\"name\",\"tag\"],\"hex\":[\"tag\"],\"cut\":[],"
	            "\"local_gtid\":\"1-1-17\",\"remote_gtid\":\"2-2-9\",\"local_time\":1700000000,"
	            "\"remote_time\":1700000001,\"resolver\":\"last_update_wins\",\"resolution\":\"apply_remote\"}");
	json_decref(data);
}

/* A row that was deleted, and a conflict with nobody in particular. */
static void test_what_there_is_not(void **state)
{
	(void)state;
	struct record record = record_of();
	record.base = record.remote = record.applied = NULL;
	record.winner = (struct gtid){0};
	json_t *data = data_of(&record);
	assert_true(json_is_null(json_object_get(data, "base")));
	assert_true(json_is_null(json_object_get(data, "remote")));
	assert_true(json_is_null(json_object_get(data, "applied")));
	assert_true(json_is_null(json_object_get(data, "remote_gtid")));
	assert_true(json_is_null(json_object_get(data, "remote_time")));
	assert_json(json_object_get(json_object_get(data, "key"), "id"), "\"7\"");
	json_decref(data);
}

/* Text here and bytes there: one column, one way of reading it. */
static void test_hex_goes_for_all_rows(void **state)
{
	(void)state;
	struct column latin1 = columns[1];
	latin1.collation = LATIN1;
	struct column of_latin1[] = {columns[0], latin1, columns[2]};
	struct table_map map = users;
	map.columns = of_latin1;
	struct record record = record_of();
	record.map = &map;
	struct content changed[] = {local[0], CONTENT("gr\xfcn"), local[2]};
	record.local = changed;
	json_t *data = data_of(&record);
	assert_json(json_object_get(data, "hex"), "[\"name\",\"tag\"]");
	assert_json(json_object_get(json_object_get(data, "base"), "name"), "\"416e6e\"");
	assert_json(json_object_get(json_object_get(data, "local"), "name"), "\"6772fc6e\"");
	json_decref(data);
}

/* A picture in a row must not make a conflict larger than what a server takes; and half a character is no text. */
static void test_large_values_are_cut(void **state)
{
	(void)state;
	size_t size = RECORD_TEXT_MAX + 1;
	uint8_t *text = malloc(size);
	memset(text, 'x', size);
	text[size - 2] = 0xc3; /* two bytes, one beyond the limit */
	text[size - 1] = 0xab;
	struct content large[] = {
	    local[0], {.bytes = text, .size = (uint32_t)size}, {.bytes = text, .size = (uint32_t)size}};
	struct record record = record_of();
	record.local = large;
	json_t *data = data_of(&record), *row = json_object_get(data, "local");
	assert_json(json_object_get(data, "cut"), "[\"name\",\"tag\"]");
	assert_int_equal(json_string_length(json_object_get(row, "name")), RECORD_TEXT_MAX - 1);
	assert_int_equal(json_string_length(json_object_get(row, "tag")), RECORD_TEXT_MAX);
	json_decref(data);
	large[1].size = RECORD_TEXT_MAX - 1;
	large[2].size = RECORD_TEXT_MAX / 2;
	data = data_of(&record);
	assert_json(json_object_get(data, "cut"), "[]");
	json_decref(data);
	free(text);
}

/* record_id is what an application joins with. */
static void test_record_id(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		bool is_unsigned;
		struct content key;
		const char *id;
	} cases[] = {
	    {COLUMN_LONG, false, CONTENT("\xfe\xff\xff\xff"), "-2"},
	    {COLUMN_LONG, true, CONTENT("\xfe\xff\xff\xff"), "0"},
	    {COLUMN_TINY, true, CONTENT("\xfe"), "254"},
	    {COLUMN_LONGLONG, false, CONTENT("\xff\xff\xff\x7f\0\0\0\0"), "2147483647"},
	    {COLUMN_LONGLONG, false, CONTENT("\0\0\0\x80\0\0\0\0"), "0"},
	    {COLUMN_LONGLONG, true, CONTENT("\xff\xff\xff\xff\xff\xff\xff\xff"), "0"},
	    {COLUMN_LONGLONG, false, CONTENT("\xff\xff\xff\x7f\xff\xff\xff\xff"), "0"},
	    {COLUMN_VARCHAR, false, CONTENT("5"), "0"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct column column = {.type = cases[i].type, .is_unsigned = cases[i].is_unsigned, .name = "k", .metadata = 9};
		struct table_map map = users;
		map.columns = &column;
		map.column_count = 1;
		struct record record = record_of();
		record.map = &map;
		record.base = record.remote = record.applied = NULL;
		record.local = &cases[i].key;
		struct buf sql = {0}, expected = {0};
		struct err err;
		assert_int_equal(record_insert(&record, &sql, &err), ERR_OK);
		buf_printf(&expected, "x'7573657273', %s, 'UPDATE_CONFLICT'", cases[i].id);
		if (strstr(buf_str(&sql), buf_str(&expected)) == NULL)
			fail_msg("case %zu: no %s", i, buf_str(&expected));
		map.primary_key_count = 0;
		buf_clear(&sql);
		assert_int_equal(record_insert(&record, &sql, &err), ERR_OK);
		assert_non_null(strstr(buf_str(&sql), "x'7573657273', 0, "));
		buf_free(&sql);
		buf_free(&expected);
	}
}

/* The server puts the hidden end of a row's time behind the key: SQL finds no such column, nor a row by it. */
static void test_key_of_a_versioned_table(void **state)
{
	(void)state;
	struct column versioned[] = {
	    columns[0], {.type = COLUMN_TIMESTAMP2, .name = "row_start"}, {.type = COLUMN_TIMESTAMP2, .name = "row_end"}};
	uint32_t versioned_key[] = {0, 2};
	struct table_map map = users;
	map.columns = versioned;
	map.primary_key = versioned_key;
	map.primary_key_count = 2;
	static const struct content row[] = {CONTENT("\7\0\0\0"), CONTENT("\0\0\0\1"), CONTENT("\x7f\xff\xff\xff")};
	struct record record = record_of();
	record.map = &map;
	record.base = record.remote = record.applied = NULL;
	record.local = row;
	json_t *data = data_of(&record);
	assert_json(json_object_get(data, "key"), "{\"id\":\"7\"}");
	assert_json(json_object_get(json_object_get(data, "local"), "row_end"), "\"2038-01-19 03:14:07\"");
	json_decref(data);
	struct buf sql = {0};
	struct err err;
	assert_int_equal(record_insert(&record, &sql, &err), ERR_OK);
	assert_non_null(strstr(buf_str(&sql), "x'7573657273', 7, "));
	buf_free(&sql);
	versioned[1].name = "starts"; /* two columns that somebody named */
	data = data_of(&record);
	assert_int_equal(json_object_size(json_object_get(data, "key")), 2);
	json_decref(data);
}

/* What the guide calls them: an application that looks for duplicates finds all of them, and nothing else. */
static void test_conflict_types(void **state)
{
	(void)state;
	static const char *const kinds[][2] = {
	    {"insert_exists", "'INSERT_DUPLICATE'"},        {"update_exists", "'INSERT_DUPLICATE'"},
	    {"update_origin_differs", "'UPDATE_CONFLICT'"}, {"multiple_unique_conflicts", "'INSERT_DUPLICATE'"},
	    {"delete_origin_differs", "'UPDATE_CONFLICT'"}, {"foreign_key_missing", "'UPDATE_CONFLICT'"},
	};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct record record = record_of();
		struct buf sql = {0};
		struct err err;
		record.kind = kinds[i][0];
		assert_int_equal(record_insert(&record, &sql, &err), ERR_OK);
		assert_non_null(strstr(buf_str(&sql), kinds[i][1]));
		buf_free(&sql);
	}
}

/* The guide's column is shorter than a table's name may be: a strict server would refuse the record. */
static void test_long_names_are_cut(void **state)
{
	(void)state;
	char name[2 * 64 + 1] = "";
	for (int i = 0; i < 64; i++)
		strcat(name, "\xc3\xbc");
	struct table_map map = users;
	map.table = name;
	struct record record = record_of();
	record.map = &map;
	struct buf sql = {0};
	struct err err;
	assert_int_equal(record_insert(&record, &sql, &err), ERR_OK);
	struct buf text = literal(&sql, 0);
	assert_int_equal(text.size, 2 * 50);
	json_t *data = data_of(&record);
	assert_string_equal(json_string_value(json_object_get(data, "table")), name);
	json_decref(data);
	buf_free(&text);
	buf_free(&sql);
}

/* Half a statement must not be sent, and a record without names could never be undone. */
static void test_refusals(void **state)
{
	(void)state;
	struct record record = record_of();
	struct content broken[] = {CONTENT("\7"), local[1], local[2]};
	struct buf sql = {0};
	struct err err;
	record.remote = broken;
	assert_int_equal(record_insert(&record, &sql, &err), ERR_MALFORMED);
	assert_non_null(strstr(err.message, "d.users: "));
	struct table_map map = users;
	map.has_full_metadata = false;
	record = record_of();
	record.map = &map;
	assert_int_equal(record_insert(&record, &sql, &err), ERR_UNSUPPORTED);
	assert_non_null(strstr(err.message, "binlog_row_metadata"));
	assert_int_equal(sql.size, 0);
	buf_free(&sql);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_statement),
	    cmocka_unit_test(test_data),
	    cmocka_unit_test(test_what_there_is_not),
	    cmocka_unit_test(test_hex_goes_for_all_rows),
	    cmocka_unit_test(test_large_values_are_cut),
	    cmocka_unit_test(test_record_id),
	    cmocka_unit_test(test_key_of_a_versioned_table),
	    cmocka_unit_test(test_conflict_types),
	    cmocka_unit_test(test_long_names_are_cut),
	    cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
