/* src/binlog/table_map and rows: which table, which columns, and where each field of each row begins and ends.
 *
 * One boundary wrong and a row's key is another row's: everything that finds conflicts stands on this.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "binlog/value.h"
#include "test_binlog_support.h"

/* ---- table maps made by hand ---- */

struct map_parts {
	const char *types, *metadata, *nullable, *optional;
	size_t column_count, metadata_size, optional_size;
};

static struct buf make_map(const struct map_parts *parts)
{
	struct buf body = {0};
	buf_append(&body, "\x12\0\0\0\0\0\1\0", 8);
	buf_append(&body, "\1d\0\1t\0", 6);
	buf_append_u8(&body, (uint8_t)parts->column_count);
	buf_append(&body, parts->types, parts->column_count);
	buf_append_u8(&body, (uint8_t)parts->metadata_size);
	buf_append(&body, parts->metadata, parts->metadata_size);
	buf_append(&body, parts->nullable, (parts->column_count + 7) / 8);
	buf_append(&body, parts->optional, parts->optional_size);
	struct buf buf = make_event(EVENT_TABLE_MAP, body.data, body.size);
	buf_free(&body);
	return buf;
}

static enum err_code parse_map(const struct buf *buf, struct table_map *ret)
{
	struct event event = parse_made(buf);
	struct err err;
	*ret = (struct table_map){0};
	return table_map_parse(&event, ret, &err);
}

/* Signs are counted over numbers only, YEAR among them; character sets over strings only; ENUM and SET apart. A column
 * counted in the wrong list gives every later one its neighbour's sign or collation. */
static void test_metadata_lists_count_their_own_columns(void **state)
{
	(void)state;
	static const uint8_t types[] = {COLUMN_STRING, COLUMN_YEAR,           COLUMN_BIT,     COLUMN_LONG,
	                                COLUMN_STRING, COLUMN_DATE,           COLUMN_VARCHAR, COLUMN_DOUBLE,
	                                COLUMN_STRING, COLUMN_BLOB_COMPRESSED};
	static const char metadata[] = "\xf7\1"         /* ENUM */
	                               "\1\0"           /* BIT(1) */
	                               "\xfe\x0a"       /* CHAR(10) */
	                               "\x2c\1"         /* VARCHAR(300) */
	                               "\x08"           /* DOUBLE */
	                               "\xf8\2"         /* SET */
	                               "\2";            /* BLOB COMPRESSED */
	static const char optional[] = "\1\1\x60"       /* of YEAR, LONG, DOUBLE: 011 */
	                               "\2\3\x2d\1\x08" /* of CHAR, VARCHAR, BLOB: 45, the one at 1 has 8 */
	                               "\x0b\2\x2e\x1c" /* of ENUM, SET: 46 and 28 */
	                               "\x63\2??";      /* of a MariaDB to come: stepped over */
	struct map_parts parts = {.types = (const char *)types,
	                          .metadata = metadata,
	                          .nullable = "\xff\1",
	                          .optional = optional,
	                          .column_count = sizeof types,
	                          .metadata_size = sizeof metadata - 1,
	                          .optional_size = sizeof optional - 1};
	struct buf buf = make_map(&parts);
	struct table_map map;
	assert_int_equal(parse_map(&buf, &map), ERR_OK);
	static const struct {
		uint8_t type;
		uint16_t metadata, collation;
		bool is_unsigned, nullable;
	} expected[] = {
	    {COLUMN_ENUM, 1, 46, false, true},     {COLUMN_YEAR, 0, 0, false, true},
	    {COLUMN_BIT, 1, 0, false, true},       {COLUMN_LONG, 0, 0, true, true},
	    {COLUMN_STRING, 10, 45, false, true},  {COLUMN_DATE, 0, 0, false, true},
	    {COLUMN_VARCHAR, 300, 8, false, true}, {COLUMN_DOUBLE, 8, 0, true, true},
	    {COLUMN_SET, 2, 28, false, true},      {COLUMN_BLOB_COMPRESSED, 2, 45, false, false},
	};
	for (size_t i = 0; i < sizeof types; i++) {
		const struct column *column = &map.columns[i];
		assert_int_equal(column->type, expected[i].type);
		assert_int_equal(column->metadata, expected[i].metadata);
		assert_int_equal(column->collation, expected[i].collation);
		assert_int_equal(column->is_unsigned, expected[i].is_unsigned);
		assert_int_equal(column->nullable, expected[i].nullable);
	}
	assert_false(map.has_full_metadata);
	assert_int_equal(map.table_id, 0x12);
	assert_string_equal(map.database, "d");
	assert_string_equal(map.table, "t");
	table_map_free(&map);
	buf_free(&buf);
}

/* CHAR(255) in utf8mb4 has 1020 bytes, of which two bits hide in the type byte: read without them, its length prefix
 * would be taken for one byte. */
static void test_long_char(void **state)
{
	(void)state;
	static const struct {
		const char *metadata;
		uint16_t length;
	} cases[] = {{"\xfe\x0a", 10}, {"\xfe\xff", 255}, {"\xee\0", 256}, {"\xde\xff", 767}, {"\xce\xfc", 1020}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct map_parts parts = {
		    .types = "\xfe", .metadata = cases[i].metadata, .nullable = "\0", .column_count = 1, .metadata_size = 2};
		struct buf buf = make_map(&parts);
		struct table_map map;
		assert_int_equal(parse_map(&buf, &map), ERR_OK);
		assert_int_equal(map.columns[0].type, COLUMN_STRING);
		assert_int_equal(map.columns[0].metadata, cases[i].length);
		table_map_free(&map);
		buf_free(&buf);
	}
}

/* Metadata out of range would make sizes out of range: precision 0 and scale 30 is a negative number of digits. */
static void test_impossible_metadata(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		const char *metadata;
		size_t size;
	} cases[] = {
	    {COLUMN_NEWDECIMAL, "\0\0", 2}, {COLUMN_NEWDECIMAL, "\x42\0", 2},
	    {COLUMN_NEWDECIMAL, "\5\6", 2}, {COLUMN_NEWDECIMAL, "\x41\x27", 2},
	    {COLUMN_FLOAT, "\x08", 1},      {COLUMN_DOUBLE, "\4", 1},
	    {COLUMN_BIT, "\0\0", 2},        {COLUMN_BIT, "\x08\0", 2},
	    {COLUMN_BIT, "\1\x08", 2},      {COLUMN_BLOB, "\0", 1},
	    {COLUMN_BLOB, "\5", 1},         {COLUMN_GEOMETRY, "\xff", 1},
	    {COLUMN_TIME2, "\7", 1},        {COLUMN_DATETIME2, "\xff", 1},
	    {COLUMN_STRING, "\xf7\0", 2},   {COLUMN_STRING, "\xf7\3", 2},
	    {COLUMN_STRING, "\xf8\x09", 2}, {COLUMN_STRING, "\x0f\1", 2},
	    {COLUMN_VARCHAR, "\1", 1},      {COLUMN_BLOB, "", 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct map_parts parts = {.types = (const char *)&cases[i].type,
		                          .metadata = cases[i].metadata,
		                          .nullable = "\0",
		                          .column_count = 1,
		                          .metadata_size = cases[i].size};
		struct buf buf = make_map(&parts);
		struct table_map map;
		assert_int_equal(parse_map(&buf, &map), ERR_MALFORMED);
		buf_free(&buf);
	}
}

/* A type whose metadata has an unknown size shifts all that follow: it must be named, not guessed. */
static void test_unknown_type_is_named(void **state)
{
	(void)state;
	static const uint8_t types[] = {20, 100, 142, 245, COLUMN_VAR_STRING};
	for (size_t i = 0; i < sizeof types; i++) {
		struct map_parts parts = {
		    .types = (const char *)&types[i], .metadata = "", .nullable = "\0", .column_count = 1};
		struct buf buf = make_map(&parts);
		struct event event = parse_made(&buf);
		struct table_map map;
		struct err err;
		assert_int_equal(table_map_parse(&event, &map, &err), ERR_UNSUPPORTED);
		assert_non_null(strstr(err.message, "column 1 of d.t"));
		buf_free(&buf);
	}
}

/* Lists that are too short, too long, double or point nowhere. */
static void test_garbled_optional_metadata(void **state)
{
	(void)state;
	static const struct {
		const char *optional;
		size_t size;
	} cases[] = {
	    {"\1\0", 2},                                    /* no sign bits for a number */
	    {"\1", 1},                                      /* no size */
	    {"\1\2\0", 3},                                  /* longer than what is left */
	    {"\1\1\0\1\1\0", 6},                            /* twice */
	    {"\3\0", 2},                                    /* no collation for a string */
	    {"\2\2\x2d\0", 4},                              /* an exception without a collation */
	    {"\2\3\x2d\5\x08", 5},                          /* an exception for a string that isn't there */
	    {"\2\5\x2d\1\x08\0\x08", 7},                    /* exceptions out of order */
	    {"\4\2\1a", 4},                                 /* one name for two columns */
	    {"\4\6\1a\1b\1c", 8},                           /* three */
	    {"\4\3\1a\0", 5},                               /* an empty one */
	    {"\4\5\1a\2b\0", 7},                            /* one with a NUL */
	    {"\4\3\1a\5", 5},                               /* one that ends behind the list */
	    {"\x08\1\2", 3},                                /* key column 2 of 0 and 1 */
	    {"\x08\2\1\1", 4},                              /* a key column twice */
	    {"\x09\1\1", 3},                                /* no prefix */
	    {"\6\2\1\1", 4},                                /* labels for an ENUM that isn't there, cut off */
	    {"\6\3\1\1x", 5},                               /* labels for an ENUM that isn't there */
	    {"\4\xfe\xff\xff\xff\xff\xff\xff\xff\xff", 10}, /* a size of 64 bits */
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct map_parts parts = {.types = "\3\x0f",
		                          .metadata = "\x0a\0",
		                          .nullable = "\0",
		                          .optional = cases[i].optional,
		                          .column_count = 2,
		                          .metadata_size = 2,
		                          .optional_size = cases[i].size};
		struct buf buf = make_map(&parts);
		struct table_map map;
		if (parse_map(&buf, &map) != ERR_MALFORMED)
			fail_msg("case %zu was accepted", i);
		buf_free(&buf);
	}
}

/* A count of four billion columns must cost an error message, not memory. */
static void test_too_many_columns(void **state)
{
	(void)state;
	static const char *const counts[] = {"\xfc\x01\x10", "\xfd\xff\xff\xff", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff"};
	static const size_t sizes[] = {3, 4, 9};
	for (size_t i = 0; i < 3; i++) {
		struct buf body = {0};
		buf_append(&body, "\x12\0\0\0\0\0\1\0\1d\0\1t\0", 14);
		buf_append(&body, counts[i], sizes[i]);
		struct buf buf = make_event(EVENT_TABLE_MAP, body.data, body.size);
		struct table_map map;
		assert_int_equal(parse_map(&buf, &map), ERR_MALFORMED);
		buf_free(&buf);
		buf_free(&body);
	}
}

/* ---- a real table map ---- */

static void test_names_keys_labels_of_a_real_map(void **state)
{
	(void)state;
	struct buf buf = corpus_event("plain_noblob", EVENT_TABLE_MAP, 0);
	struct table_map map;
	assert_int_equal(parse_map(&buf, &map), ERR_OK);
	assert_true(map.has_full_metadata);
	assert_string_equal(map.database, "d");
	assert_string_equal(map.table, "k");
	assert_int_equal(map.column_count, 6);
	static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
	static const uint16_t collations[] = {0, 8, 63, 54, 11, 45};
	for (uint32_t i = 0; i < 6; i++) {
		assert_string_equal(map.columns[i].name, names[i]);
		assert_int_equal(map.columns[i].collation, collations[i]);
		assert_int_equal(map.columns[i].in_primary_key, i < 2);
		assert_int_equal(map.columns[i].nullable, i >= 2);
	}
	assert_int_equal(map.primary_key_count, 2);
	assert_int_equal(map.primary_key[0], 1);
	assert_int_equal(map.primary_key[1], 0);
	assert_int_equal(map.columns[1].primary_key_prefix, 3);
	assert_int_equal(map.columns[0].primary_key_prefix, 0);
	assert_int_equal(map.columns[3].label_count, 2);
	assert_int_equal(map.columns[3].label_sizes[1], 2);
	assert_memory_equal(map.columns[3].labels[1], "\0y", 3); /* utf16, and the NUL behind it */
	assert_int_equal(map.columns[4].label_count, 2);
	assert_string_equal(map.columns[4].labels[0], "p");
	/* The map outlives the event. */
	memset(buf.data, 0xee, buf.size);
	assert_string_equal(map.columns[5].name, "f");
	table_map_free(&map);
	table_map_free(&map);
	buf_free(&buf);
}

/* Every prefix of every real table map: an error, or what a map without the rest of its metadata is. */
static void test_every_prefix_of_a_table_map(void **state)
{
	(void)state;
	static const char *const files[] = {"plain_integers", "plain_enums", "plain_noblob", "plain_no_metadata"};
	for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
		struct buf buf = corpus_event(files[f], EVENT_TABLE_MAP, 0);
		for (size_t cut = EVENT_HEADER_SIZE; cut < buf.size; cut++) {
			struct buf exact = {.data = exact_copy(buf.data, cut), .size = cut};
			struct table_map map;
			enum err_code code = parse_map(&exact, &map);
			assert_true(code == ERR_MALFORMED || (code == ERR_OK && map.column_count > 0));
			if (code == ERR_OK)
				table_map_free(&map);
			free(exact.data);
		}
		buf_free(&buf);
	}
}

/* ---- rows ---- */

/* A log as the stream gives it, one table at a time. */
struct walk {
	struct buf log;
	struct table_map map;
	struct rows_iter iter;
	int rows, fields, failed;
};

static void walk_rows(struct walk *walk, const struct event *event)
{
	struct rows_event rows;
	struct err err;
	enum err_code code = rows_parse(event, &walk->map, &rows, &err);
	bool more = code == ERR_OK;
	if (more)
		rows_iter_start(&walk->iter, &rows, &walk->map);
	while (more) {
		struct row_change row;
		code = rows_next(&walk->iter, &row, &more, &err);
		if (code != ERR_OK || !more)
			break;
		walk->rows++;
		for (uint32_t i = 0; row.has_after && i < walk->map.column_count; i++)
			walk->fields += row.after[i].present && !row.after[i].is_null;
		for (uint32_t i = 0; row.has_before && i < walk->map.column_count; i++)
			walk->fields += row.before[i].present && !row.before[i].is_null;
	}
	walk->failed += code != ERR_OK;
}

static void walk_event(struct walk *walk, const uint8_t *bytes, size_t size)
{
	struct format format;
	struct event event, plain;
	struct err err;
	struct buf to = {0};
	format_init(&format);
	if (event_parse(&format, bytes, size, &event, &err) != ERR_OK ||
	    event_uncompress(&event, 1 << 20, &to, &plain, &err) != ERR_OK) {
		walk->failed++;
	} else if (plain.type == EVENT_TABLE_MAP) {
		struct table_map map;
		if (table_map_parse(&plain, &map, &err) == ERR_OK) {
			table_map_free(&walk->map);
			walk->map = map;
		} else {
			walk->failed++;
		}
	} else if (event_is_rows(plain.type)) {
		walk_rows(walk, &plain);
	}
	buf_free(&to);
}

static struct walk walk_log(const char *name)
{
	struct walk walk = {.log = read_corpus(name)};
	rows_iter_init(&walk.iter);
	for (size_t at = 0; at < walk.log.size; at += read_length(walk.log.data + at))
		walk_event(&walk, walk.log.data + at, read_length(walk.log.data + at));
	return walk;
}

static void walk_end(struct walk *walk)
{
	rows_iter_free(&walk->iter);
	table_map_free(&walk->map);
	buf_free(&walk->log);
}

/* The same rows, once as MariaDB logs them (v1) and once as v2, with and without extra data: version 2 must find as
 * many rows and fields. */
static void test_v2_is_v1_with_more_header(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {{"plain_integers", "plain_integers_v2"},
	                                       {"plain_strings", "plain_strings_v2"},
	                                       {"plain_compressed_events", "plain_compressed_events_v2"}};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct walk v1 = walk_log(pairs[i][0]), v2 = walk_log(pairs[i][1]);
		assert_int_equal(v1.failed, 0);
		assert_int_equal(v2.failed, 0);
		assert_true(v1.rows > 5 && v1.fields > 20);
		assert_int_equal(v1.rows, v2.rows);
		assert_int_equal(v1.fields, v2.fields);
		walk_end(&v1);
		walk_end(&v2);
	}
}

/* Every prefix of every event with rows, of all column types: the last row is cut, and that must be noticed. */
static void test_every_prefix_of_rows(void **state)
{
	(void)state;
	static const char *const files[] = {"plain_integers", "plain_decimals",    "plain_times",
	                                    "plain_strings",  "plain_enums",       "plain_blobs",
	                                    "plain_minimal",  "plain_integers_v2", "plain_compressed_columns"};
	for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
		struct walk walk = walk_log(files[f]);
		assert_int_equal(walk.failed, 0);
		for (size_t at = 0; at < walk.log.size; at += read_length(walk.log.data + at)) {
			const uint8_t *event = walk.log.data + at;
			size_t size = read_length(event);
			if (event[4] == EVENT_TABLE_MAP)
				walk_event(&walk, event, size);
			if (!event_is_rows(event[4]))
				continue;
			walk.rows = walk.failed = 0;
			walk_event(&walk, event, size);
			int rows = walk.rows;
			assert_int_equal(walk.failed, 0);
			for (size_t cut = EVENT_HEADER_SIZE; cut < size; cut++) {
				uint8_t *copy = exact_copy(event, cut);
				walk.rows = walk.failed = 0;
				walk_event(&walk, copy, cut);
				assert_true(walk.failed == 1 || walk.rows < rows);
				free(copy);
			}
		}
		walk_end(&walk);
	}
}

/* Every byte of a real log changed, one at a time: errors and wrong values, but nothing read or written outside
 * (ASan). */
static void test_every_byte_garbled(void **state)
{
	(void)state;
	static const char *const files[] = {"plain_noblob", "plain_compressed_columns", "plain_times", "plain_old_times"};
	static const uint8_t masks[] = {0x01, 0x80, 0xff};
	for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
		struct walk walk = walk_log(files[f]);
		for (size_t at = 0; at < walk.log.size; at += read_length(walk.log.data + at)) {
			const uint8_t *event = walk.log.data + at;
			size_t size = read_length(event);
			walk_event(&walk, event, size);
			for (size_t i = EVENT_HEADER_SIZE; event[4] != EVENT_FORMAT_DESCRIPTION && i < size; i++) {
				uint8_t *copy = exact_copy(event, size);
				for (size_t m = 0; m < sizeof masks; m++) {
					copy[i] ^= masks[m];
					struct walk other = {.map = {0}};
					rows_iter_init(&other.iter);
					if (event[4] == EVENT_TABLE_MAP)
						walk_event(&other, copy, size);
					else
						walk_event(&walk, copy, size);
					walk_end(&other);
					copy[i] ^= masks[m];
				}
				free(copy);
			}
		}
		walk_end(&walk);
	}
}

/* Rows made by hand: a table of TINYINT, VARCHAR(300), INT. */
static const struct map_parts three_columns = {
    .types = "\1\x0f\3", .metadata = "\x2c\1", .nullable = "\7", .column_count = 3, .metadata_size = 2};

static struct buf make_rows(uint8_t type, const void *rest, size_t rest_size)
{
	struct buf body = {0};
	buf_append(&body, "\x12\0\0\0\0\0\1\0\3", 9);
	buf_append(&body, rest, rest_size);
	struct buf buf = make_event(type, body.data, body.size);
	buf_free(&body);
	return buf;
}

static void test_update_with_different_columns(void **state)
{
	(void)state;
	struct buf map_event = make_map(&three_columns);
	struct table_map map;
	assert_int_equal(parse_map(&map_event, &map), ERR_OK);
	/* before: columns 0 and 2, after: 1 and 2. Bits of columns that don't exist are set, as MariaDB sets them. */
	static const char rest[] = "\xfd\xfe"
	                           "\xfc\x07\xff\xff\xff\x7f" /* 7 and 2147483647; NULL bits 2 and up mean nothing */
	                           "\xfe\2\0hi"               /* bit 1: column 2 is NULL */
	                           "\xfd\1\0\0\0"             /* column 0 is NULL */
	                           "\xfc\0\0\2\0\0\0";
	struct buf buf = make_rows(EVENT_UPDATE_ROWS_V1, rest, sizeof rest - 1);
	struct event event = parse_made(&buf);
	struct rows_event rows;
	struct rows_iter iter;
	struct row_change row;
	struct err err;
	bool more;
	assert_int_equal(rows_parse(&event, &map, &rows, &err), ERR_OK);
	assert_int_equal(rows.kind, ROWS_UPDATE);
	assert_int_equal(rows.flags, ROWS_FLAG_STATEMENT_END);
	assert_int_equal(rows.prefix_size, 11);
	rows_iter_init(&iter);
	rows_iter_start(&iter, &rows, &map);

	assert_int_equal(rows_next(&iter, &row, &more, &err), ERR_OK);
	assert_true(more && row.has_before && row.has_after);
	assert_true(row.before[0].present && !row.before[1].present && row.before[2].present);
	assert_false(row.before[0].is_null || row.before[2].is_null);
	assert_int_equal(row.before[0].size, 1);
	assert_int_equal(*row.before[0].bytes, 7);
	assert_int_equal(row.before[2].size, 4);
	assert_null(row.before[1].bytes);
	assert_true(!row.after[0].present && row.after[1].present && row.after[2].present && row.after[2].is_null);
	assert_int_equal(row.after[1].size, 4);
	assert_memory_equal(row.after[1].bytes, "\2\0hi", 4);
	assert_null(row.after[2].bytes);
	assert_ptr_equal(row.bytes, rows.rows);
	assert_int_equal(row.size, 11);

	assert_int_equal(rows_next(&iter, &row, &more, &err), ERR_OK);
	assert_true(more && row.before[0].is_null);
	assert_int_equal(row.after[1].size, 2);
	assert_int_equal(rows_next(&iter, &row, &more, &err), ERR_OK);
	assert_false(more);
	assert_int_equal(rows_next(&iter, &row, &more, &err), ERR_OK);
	assert_false(more);
	rows_iter_free(&iter);
	table_map_free(&map);
	buf_free(&buf);
	buf_free(&map_event);
}

/* A row that is read with another table's columns is garbage: ids and counts must agree. */
static void test_rows_of_another_table(void **state)
{
	(void)state;
	struct buf map_event = make_map(&three_columns);
	struct table_map map;
	assert_int_equal(parse_map(&map_event, &map), ERR_OK);
	struct buf buf = make_rows(EVENT_WRITE_ROWS_V1, "\7\7", 2);
	struct event event = parse_made(&buf);
	struct rows_event rows;
	struct row_change row;
	struct rows_iter iter;
	struct err err;
	bool more;
	assert_int_equal(rows_parse(&event, &map, &rows, &err), ERR_OK);
	map.table_id++;
	assert_int_equal(rows_parse(&event, &map, &rows, &err), ERR_MALFORMED);
	assert_int_equal(rows_parse(&event, NULL, &rows, &err), ERR_OK);
	map.table_id--;
	map.column_count--;
	assert_int_equal(rows_parse(&event, &map, &rows, &err), ERR_MALFORMED);
	assert_non_null(strstr(err.message, "d.t"));
	rows_iter_init(&iter);
	rows_iter_start(&iter, &rows, &map);
	assert_int_equal(rows_next(&iter, &row, &more, &err), ERR_MALFORMED);
	rows_iter_free(&iter);
	table_map_free(&map);
	buf_free(&buf);
	buf_free(&map_event);
}

/* REPLACE … () with row image MINIMAL: no byte, and yet a row; while an update or delete without bytes has none. And a
 * row of no bytes in front of others would go on for ever. */
static void test_rows_without_bytes(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		const char *rest;
		size_t size;
		int rows;
		enum err_code code;
	} cases[] = {
	    {EVENT_WRITE_ROWS_V1, "\xf8", 1, 1, ERR_OK},         {EVENT_WRITE_ROWS_V1, "\xff", 1, 0, ERR_OK},
	    {EVENT_DELETE_ROWS_V1, "\xf8", 1, 0, ERR_OK},        {EVENT_UPDATE_ROWS_V1, "\xf8\xf8", 2, 0, ERR_OK},
	    {EVENT_WRITE_ROWS_V1, "\xf8x", 2, 0, ERR_MALFORMED}, {EVENT_DELETE_ROWS_V1, "\xf8x", 2, 0, ERR_MALFORMED},
	};
	struct buf map_event = make_map(&three_columns);
	struct table_map map;
	assert_int_equal(parse_map(&map_event, &map), ERR_OK);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf buf = make_rows(cases[i].type, cases[i].rest, cases[i].size);
		struct event event = parse_made(&buf);
		struct rows_event rows;
		struct rows_iter iter;
		struct row_change row;
		struct err err;
		bool more = true;
		int count = 0;
		enum err_code code;
		assert_int_equal(rows_parse(&event, &map, &rows, &err), ERR_OK);
		rows_iter_init(&iter);
		rows_iter_start(&iter, &rows, &map);
		while ((code = rows_next(&iter, &row, &more, &err)) == ERR_OK && more)
			count++;
		assert_int_equal(code, cases[i].code);
		assert_int_equal(count, cases[i].rows);
		rows_iter_free(&iter);
		buf_free(&buf);
	}
	table_map_free(&map);
	buf_free(&map_event);
}

static void test_rows_head_cut_or_absurd(void **state)
{
	(void)state;
	struct rows_event rows;
	struct err err;
	static const char *const counts[] = {"\xfc\x01\x10", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff", "\xff", "\xfb"};
	static const size_t sizes[] = {3, 9, 1, 1};
	for (size_t i = 0; i < 4; i++) {
		struct buf body = {0};
		buf_append(&body, "\x12\0\0\0\0\0\1\0", 8);
		buf_append(&body, counts[i], sizes[i]);
		memset(buf_reserve(&body, 5000), 0xff, 5000);
		body.size += 5000;
		struct buf buf = make_event(EVENT_WRITE_ROWS_V1, body.data, body.size);
		struct event event = parse_made(&buf);
		assert_int_equal(rows_parse(&event, NULL, &rows, &err), ERR_MALFORMED);
		buf_free(&body);
		buf_free(&buf);
	}
	/* Version 2: the extra data's size counts itself, so 0 and 1 are absurd. */
	for (uint8_t extra = 0; extra < 4; extra++) {
		uint8_t body[] = {0x12, 0, 0, 0, 0, 0, 1, 0, extra, 0, 1, 1, 1};
		struct buf buf = make_event(EVENT_WRITE_ROWS, body, sizeof body);
		struct event event = parse_made(&buf);
		assert_int_equal(rows_parse(&event, NULL, &rows, &err), extra < 2 ? ERR_MALFORMED : ERR_OK);
		buf_free(&buf);
	}
}

/* The applier leaves rows out of events: what it makes of the rest must be an event like the one it came from. */
static void test_rows_append_event(void **state)
{
	(void)state;
	struct walk walk = walk_log("plain_integers_v2");
	struct buf one = {0};
	struct err err;
	int tried = 0;
	for (size_t at = 0; at < walk.log.size; at += read_length(walk.log.data + at)) {
		if (!event_is_rows(walk.log.data[at + 4]))
			continue;
		struct buf whole = {.data = walk.log.data + at, .size = read_length(walk.log.data + at)};
		struct event event = parse_made(&whole);
		struct rows_event rows;
		struct row_change row;
		bool more;
		assert_int_equal(rows_parse(&event, &walk.map, &rows, &err), ERR_OK);
		rows_iter_start(&walk.iter, &rows, &walk.map);
		struct buf all = {0};
		while (rows_next(&walk.iter, &row, &more, &err) == ERR_OK && more) {
			buf_append(&all, row.bytes, row.size);
			buf_clear(&one);
			rows_append_event(&event, &rows, ROWS_FLAG_NO_FOREIGN_KEY_CHECKS, row.bytes, row.size, &one);
			struct event again = parse_made(&one);
			struct rows_event again_rows;
			assert_int_equal(rows_parse(&again, &walk.map, &again_rows, &err), ERR_OK);
			assert_int_equal(again_rows.flags, ROWS_FLAG_NO_FOREIGN_KEY_CHECKS);
			assert_int_equal(again_rows.kind, rows.kind);
			assert_int_equal(again.server, event.server);
			assert_int_equal(again.timestamp, event.timestamp);
			assert_int_equal(again_rows.rows_size, row.size);
			tried++;
		}
		/* All rows and the old flags: the same event. */
		buf_clear(&one);
		rows_append_event(&event, &rows, rows.flags, all.data, all.size, &one);
		assert_int_equal(one.size, whole.size);
		assert_memory_equal(one.data, whole.data, whole.size);
		buf_free(&all);
	}
	assert_true(tried > 5);
	buf_free(&one);
	walk_end(&walk);
}

int main(int argc, char **argv)
{
	corpus_folder = argc > 1 ? argv[1] : "tests/fuzz/corpus/binlog";
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_metadata_lists_count_their_own_columns),
	    cmocka_unit_test(test_long_char),
	    cmocka_unit_test(test_impossible_metadata),
	    cmocka_unit_test(test_unknown_type_is_named),
	    cmocka_unit_test(test_garbled_optional_metadata),
	    cmocka_unit_test(test_too_many_columns),
	    cmocka_unit_test(test_names_keys_labels_of_a_real_map),
	    cmocka_unit_test(test_every_prefix_of_a_table_map),
	    cmocka_unit_test(test_v2_is_v1_with_more_header),
	    cmocka_unit_test(test_every_prefix_of_rows),
	    cmocka_unit_test(test_every_byte_garbled),
	    cmocka_unit_test(test_update_with_different_columns),
	    cmocka_unit_test(test_rows_of_another_table),
	    cmocka_unit_test(test_rows_without_bytes),
	    cmocka_unit_test(test_rows_head_cut_or_absurd),
	    cmocka_unit_test(test_rows_append_event),
	};
	return cmocka_run_group_tests_name("binlog_rows", tests, NULL, NULL);
}
