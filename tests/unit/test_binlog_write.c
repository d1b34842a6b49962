/* src/binlog: rows, table maps and fields that we write ourselves.
 *
 * What a real server logged is read and written again, and has to be the same to the byte; so what we write of our
 * own is what a server writes. tests/binlog shows that a server takes it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "binlog/rows_writer.h"
#include "test_binlog_support.h"

enum { UNCOMPRESSED_MAX = 1 << 20, HEADER_POSITION_AT = 13 };

static const char *const logs[] = {"plain_blobs",
                                   "plain_compressed_columns",
                                   "plain_compressed_events",
                                   "plain_ddl",
                                   "plain_decimals",
                                   "plain_enums",
                                   "plain_integers",
                                   "plain_minimal",
                                   "plain_no_metadata",
                                   "plain_noblob",
                                   "plain_old_times",
                                   "plain_strings",
                                   "plain_times"};

/* ---- fields ---- */

static struct column column_of(uint8_t type, uint16_t metadata)
{
	return (struct column){.type = type, .metadata = metadata, .name = "c", .nullable = true};
}

/* The prefix is the column's own, whatever the content's size: a byte too few and every later field of the row is
 * garbage. */
static void test_fields_get_their_columns_prefix(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		uint16_t metadata;
		const char *content;
		size_t content_size;
		const char *field;
		size_t field_size; /* 0: refused */
	} cases[] = {
	    {COLUMN_VARCHAR, 255, "ab", 2, "\2ab", 3},
	    {COLUMN_VARCHAR, 256, "ab", 2, "\2\0ab", 4},
	    {COLUMN_VARCHAR, 255, "", 0, "\0", 1},
	    {COLUMN_VARCHAR, 1, "ab", 2, "", 0},
	    {COLUMN_STRING, 255, "ab", 2, "\2ab", 3},
	    {COLUMN_STRING, 256, "ab", 2, "\2\0ab", 4},
	    {COLUMN_BLOB, 1, "ab", 2, "\2ab", 3},
	    {COLUMN_BLOB, 2, "ab", 2, "\2\0ab", 4},
	    {COLUMN_BLOB, 3, "ab", 2, "\2\0\0ab", 5},
	    {COLUMN_BLOB, 4, "ab", 2, "\2\0\0\0ab", 6},
	    {COLUMN_GEOMETRY, 4, "ab", 2, "\2\0\0\0ab", 6},
	    /* the stored form of what isn't compressed: a 0 ahead, but nothing is nothing */
	    {COLUMN_VARCHAR_COMPRESSED, 10, "ab", 2, "\3\0ab", 4},
	    {COLUMN_VARCHAR_COMPRESSED, 10, "", 0, "\0", 1},
	    {COLUMN_VARCHAR_COMPRESSED, 300, "ab", 2, "\3\0\0ab", 5},
	    {COLUMN_VARCHAR_COMPRESSED, 2, "ab", 2, "", 0},
	    {COLUMN_BLOB_COMPRESSED, 2, "ab", 2, "\3\0\0ab", 5},
	    {COLUMN_BLOB_COMPRESSED, 2, "", 0, "\0\0", 2},
	    {COLUMN_LONG, 0, "\1\2\3\4", 4, "\1\2\3\4", 4},
	    {COLUMN_LONG, 0, "\1\2\3\4\5", 5, "", 0},
	    {COLUMN_LONG, 0, "", 0, "", 0},
	    {COLUMN_DATE, 0, "\1\2\3", 3, "\1\2\3", 3},
	    {COLUMN_DATE, 0, "\1\2", 2, "", 0},
	    {COLUMN_BIT, 9, "\1", 1, "", 0},
	    {COLUMN_DOUBLE, 8, "abcd", 4, "", 0},
	    {COLUMN_NEWDECIMAL, 10 << 8 | 3, "\x80\0\0\0\0\1", 6, "\x80\0\0\0\0\1", 6},
	    {COLUMN_NEWDECIMAL, 10 << 8 | 3, "\x80\0\0\0\1", 5, "", 0},
	    {COLUMN_TIME, 0, "\x3c\0\0", 3, "", 0}, /* 60 seconds: can't be read again either */
	    {COLUMN_DECIMAL, 0, "", 0, "", 0},
	    {COLUMN_NULL, 0, "a", 1, "", 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct column column = column_of(cases[i].type, cases[i].metadata);
		struct buf field = {0};
		struct err err;
		enum err_code code =
		    field_append(&column, (const uint8_t *)cases[i].content, cases[i].content_size, &field, &err);
		if ((code == ERR_OK) != (cases[i].field_size > 0) || field.size != cases[i].field_size)
			fail_msg("case %zu: %d, %zu bytes", i, code, field.size);
		assert_memory_equal(field.data ? field.data : (const uint8_t *)"", cases[i].field, field.size);
		buf_free(&field);
	}
}

/* A value of 64 KiB in a BLOB whose length has two bytes would be cut to nothing by its own prefix. */
static void test_values_at_the_edge_of_their_prefix(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		uint16_t metadata;
		size_t longest;
	} cases[] = {
	    {COLUMN_BLOB, 1, 255},
	    {COLUMN_BLOB, 2, 65535},
	    {COLUMN_BLOB_COMPRESSED, 1, 255}, /* fits since it is compressed */
	    {COLUMN_BLOB_COMPRESSED, 2, 65535},
	    {COLUMN_VARCHAR, 300, 300},
	    {COLUMN_VARCHAR_COMPRESSED, 301, 300},
	    {COLUMN_STRING, 1020, 1020},
	};
	uint8_t *bytes = mem_alloc(65536);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct column column = column_of(cases[i].type, cases[i].metadata);
		struct buf buf = {0};
		struct err err;
		assert_int_equal(field_append(&column, bytes, cases[i].longest + 1, &buf, &err), ERR_MALFORMED);
		assert_int_equal(buf.size, 0);
		assert_int_equal(field_append(&column, bytes, cases[i].longest, &buf, &err), ERR_OK);
		struct field field = {.bytes = buf.data, .size = (uint32_t)buf.size, .present = true};
		struct buf scratch = {0};
		const uint8_t *content;
		size_t size;
		assert_int_equal(field_content(&column, &field, &scratch, &content, &size, &err), ERR_OK);
		assert_int_equal(size, cases[i].longest);
		assert_memory_equal(content, bytes, size);
		buf_free(&scratch);
		buf_free(&buf);
	}
	free(bytes);
}

/* What deflate makes no smaller is stored as it is, which takes a byte more than there is room for in the longest
 * values. */
static void test_values_that_can_not_be_compressed(void **state)
{
	(void)state;
	uint8_t noise[255];
	uint32_t seed = 1;
	for (size_t i = 0; i < sizeof noise; i++) {
		seed = seed * 1664525 + 1013904223;
		noise[i] = (uint8_t)(seed >> 24);
	}
	struct column column = column_of(COLUMN_BLOB_COMPRESSED, 1);
	struct buf buf = {0};
	struct err err;
	assert_int_equal(field_append(&column, noise, 255, &buf, &err), ERR_MALFORMED);
	assert_int_equal(buf.size, 0);
	assert_int_equal(field_append(&column, noise, 254, &buf, &err), ERR_OK);
	assert_int_equal(buf.size, 256);
	assert_memory_equal(buf.data, "\xff\0", 2);
	assert_memory_equal(buf.data + 2, noise, 254);
	buf_free(&buf);
}

/* A peer's INT goes into this table's BIGINT: -2 must not become 4294967294. */
static void test_integers_are_extended_by_their_sign(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		uint16_t metadata;
		bool is_unsigned;
		const char *content;
		size_t size;
		const char *field;
		size_t width;
	} cases[] = {
	    {COLUMN_LONGLONG, 0, false, "\xfe\xff", 2, "\xfe\xff\xff\xff\xff\xff\xff\xff", 8},
	    {COLUMN_LONGLONG, 0, true, "\xfe\xff", 2, "\xfe\xff\0\0\0\0\0\0", 8},
	    {COLUMN_LONGLONG, 0, false, "\xfe\x7f", 2, "\xfe\x7f\0\0\0\0\0\0", 8},
	    {COLUMN_INT24, 0, false, "\x80", 1, "\x80\xff\xff", 3},
	    {COLUMN_ENUM, 2, false, "\xff", 1, "\xff\0", 2},
	    {COLUMN_SET, 3, false, "\x80\x80", 2, "\x80\x80\0", 3},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct column column = column_of(cases[i].type, cases[i].metadata);
		column.is_unsigned = cases[i].is_unsigned;
		struct buf field = {0};
		struct err err;
		assert_int_equal(field_append(&column, (const uint8_t *)cases[i].content, cases[i].size, &field, &err), ERR_OK);
		assert_int_equal(field.size, cases[i].width);
		assert_memory_equal(field.data, cases[i].field, cases[i].width);
		buf_free(&field);
	}
}

/* ---- a log, written again ---- */

struct rewrite {
	struct table_map map;
	bool has_compressed_columns;
	struct rows_iter iter;
	size_t maps, rows, events; /* compared */
};

/* What a manifest's reader needs of a table: without it a peer would pass its rows by. */
static void rewrite_metadata(const struct table_map *map)
{
	struct err err;
	struct event event;
	struct table_map again;
	struct buf written = {0};
	if (!map->has_full_metadata)
		return;
	table_map_append_full(map, &written);
	struct cursor c = cursor_of(written.data, written.size);
	assert_true(rows_writer_next(&c, &event));
	assert_int_equal(table_map_parse(&event, &again, &err), ERR_OK);
	assert_true(again.has_full_metadata);
	assert_int_equal(again.primary_key_count, map->primary_key_count);
	for (uint32_t i = 0; i < map->primary_key_count; i++)
		assert_int_equal(again.primary_key[i], map->primary_key[i]);
	for (uint32_t i = 0; i < map->column_count; i++) {
		const struct column *a = &map->columns[i], *b = &again.columns[i];
		assert_string_equal(b->name, a->name);
		assert_int_equal(b->is_unsigned, a->is_unsigned);
		assert_int_equal(b->collation, a->collation);
		assert_int_equal(b->in_primary_key, a->in_primary_key);
		assert_int_equal(b->primary_key_prefix, a->primary_key_prefix);
		assert_int_equal(b->label_count, a->label_count);
		for (uint32_t j = 0; j < a->label_count; j++) {
			assert_int_equal(b->label_sizes[j], a->label_sizes[j]);
			assert_memory_equal(b->labels[j], a->labels[j], a->label_sizes[j]);
		}
	}
	table_map_free(&again);
	buf_free(&written);
}

/* All that the server looks at when it applies rows: the body up to the optional metadata. */
static void rewrite_table_map(struct rewrite *rewrite, const struct event *event)
{
	struct err err;
	struct event again;
	struct buf written = {0};
	table_map_free(&rewrite->map);
	assert_int_equal(table_map_parse(event, &rewrite->map, &err), ERR_OK);
	rewrite_metadata(&rewrite->map);
	buf_append_str(&written, "ahead"); /* it isn't always the first event in its buffer */
	table_map_append(&rewrite->map, &written);
	struct cursor c = cursor_of(written.data + 5, written.size - 5);
	assert_true(rows_writer_next(&c, &again));
	assert_false(rows_writer_next(&c, &again));
	assert_true(again.body_size <= event->body_size);
	assert_memory_equal(again.body, event->body, again.body_size);
	rewrite->has_compressed_columns = false;
	for (uint32_t i = 0; i < rewrite->map.column_count; i++) {
		uint8_t type = rewrite->map.columns[i].type;
		if (type == COLUMN_BLOB_COMPRESSED || type == COLUMN_VARCHAR_COMPRESSED)
			rewrite->has_compressed_columns = true;
	}
	rewrite->maps++;
	buf_free(&written);
}

/* The contents of an image; a compressed column's are kept in `kept`, which the caller frees. */
static void take_contents(const struct table_map *map, const struct field *fields, struct content *contents,
                          struct buf *kept)
{
	struct err err;
	for (uint32_t i = 0; i < map->column_count; i++) {
		size_t size;
		contents[i] = (struct content){.is_null = fields[i].is_null};
		if (!fields[i].present || fields[i].is_null)
			continue;
		assert_int_equal(field_content(&map->columns[i], &fields[i], &kept[i], &contents[i].bytes, &size, &err),
		                 ERR_OK);
		contents[i].size = (uint32_t)size;
	}
}

static void add_row(const struct rewrite *rewrite, const struct row_change *row, struct rows_writer *writer)
{
	uint32_t count = rewrite->map.column_count;
	struct content *before = mem_alloc(count * sizeof *before), *after = mem_alloc(count * sizeof *after);
	struct buf *kept = mem_alloc(2 * count * sizeof *kept);
	struct err err;
	if (row->has_before)
		take_contents(&rewrite->map, row->before, before, kept);
	if (row->has_after)
		take_contents(&rewrite->map, row->after, after, kept + count);
	if (rows_writer_add(writer, row->has_before ? before : NULL, row->has_after ? after : NULL, &err) != ERR_OK)
		fail_msg("%s", err.message);
	for (uint32_t i = 0; i < 2 * count; i++)
		buf_free(&kept[i]);
	free(kept);
	free(before);
	free(after);
}

static bool is_same_image(const struct table_map *map, const struct field *a, const struct field *b)
{
	for (uint32_t i = 0; i < map->column_count; i++) {
		if (a[i].present != b[i].present || a[i].is_null != b[i].is_null)
			return false;
		if (!a[i].present || a[i].is_null)
			continue;
		struct buf scratch_a = {0}, scratch_b = {0};
		const uint8_t *bytes_a, *bytes_b;
		size_t size_a, size_b;
		struct err err;
		assert_int_equal(field_content(&map->columns[i], &a[i], &scratch_a, &bytes_a, &size_a, &err), ERR_OK);
		assert_int_equal(field_content(&map->columns[i], &b[i], &scratch_b, &bytes_b, &size_b, &err), ERR_OK);
		bool same = size_a == size_b && memcmp(bytes_a, bytes_b, size_a) == 0;
		buf_free(&scratch_a);
		buf_free(&scratch_b);
		if (!same)
			return false;
	}
	return true;
}

/* Row by row: the stored form of a compressed column depends on who compresses. */
static void compare_rows(const struct rewrite *rewrite, const struct rows_event *rows, const struct buf *written)
{
	struct cursor c = cursor_of(written->data, written->size);
	struct event event;
	struct rows_event again;
	struct rows_iter iter_a, iter_b;
	struct row_change a, b;
	struct err err;
	bool more_a = true, more_b;
	assert_true(rows_writer_next(&c, &event));
	assert_int_equal(rows_parse(&event, &rewrite->map, &again, &err), ERR_OK);
	rows_iter_init(&iter_a);
	rows_iter_init(&iter_b);
	rows_iter_start(&iter_a, rows, &rewrite->map);
	rows_iter_start(&iter_b, &again, &rewrite->map);
	while (more_a) {
		assert_int_equal(rows_next(&iter_a, &a, &more_a, &err), ERR_OK);
		assert_int_equal(rows_next(&iter_b, &b, &more_b, &err), ERR_OK);
		assert_int_equal(more_a, more_b);
		assert_true(!more_a || !a.has_before || is_same_image(&rewrite->map, a.before, b.before));
		assert_true(!more_a || !a.has_after || is_same_image(&rewrite->map, a.after, b.after));
	}
	rows_iter_free(&iter_a);
	rows_iter_free(&iter_b);
}

static void rewrite_rows(struct rewrite *rewrite, const struct event *event)
{
	struct rows_event rows;
	struct row_change row;
	struct rows_writer writer;
	struct buf written = {0};
	struct err err;
	bool more;
	assert_int_equal(rows_parse(event, &rewrite->map, &rows, &err), ERR_OK);
	struct rows_writer_what what = {.kind = rows.kind,
	                                .map = &rewrite->map,
	                                .flags = rows.flags,
	                                .timestamp = event->timestamp,
	                                .server = event->server,
	                                .present_before = rows.present_before,
	                                .present_after = rows.present_after,
	                                .event_size = SIZE_MAX};
	rows_writer_start(&writer, &what, &written);
	rows_iter_start(&rewrite->iter, &rows, &rewrite->map);
	while (rows_next(&rewrite->iter, &row, &more, &err) == ERR_OK && more) {
		add_row(rewrite, &row, &writer);
		rewrite->rows++;
	}
	rows_writer_finish(&writer);
	if (rewrite->has_compressed_columns) {
		compare_rows(rewrite, &rows, &written);
	} else if (rewrite->iter.cursor.failed) {
		assert_true(strstr(err.message, "mysql56_temporal_format") != NULL);
	} else {
		assert_int_equal(written.size, event->size);
		assert_memory_equal(written.data, event->bytes, HEADER_POSITION_AT); /* time, type, server, length */
		assert_memory_equal(written.data + EVENT_HEADER_SIZE, event->body, event->body_size);
	}
	rewrite->events++;
	buf_free(&written);
}

static void rewrite_log(struct rewrite *rewrite, const char *name)
{
	struct buf log = read_corpus(name), plain = {0};
	for (size_t at = 0; at < log.size; at += read_length(log.data + at)) {
		struct buf whole = {.data = log.data + at, .size = read_length(log.data + at)};
		struct event raw = parse_made(&whole), event;
		struct err err;
		assert_int_equal(event_uncompress(&raw, UNCOMPRESSED_MAX, &plain, &event, &err), ERR_OK);
		if (event.type == EVENT_TABLE_MAP)
			rewrite_table_map(rewrite, &event);
		else if (event.type == EVENT_WRITE_ROWS_V1 || event.type == EVENT_UPDATE_ROWS_V1 ||
		         event.type == EVENT_DELETE_ROWS_V1)
			rewrite_rows(rewrite, &event);
	}
	buf_free(&plain);
	buf_free(&log);
}

static void test_a_log_written_again_is_the_same(void **state)
{
	(void)state;
	struct rewrite rewrite = {.map = {0}};
	rows_iter_init(&rewrite.iter);
	for (size_t i = 0; i < sizeof logs / sizeof *logs; i++)
		rewrite_log(&rewrite, logs[i]);
	assert_true(rewrite.maps > 30 && rewrite.events > 30 && rewrite.rows > 60);
	rows_iter_free(&rewrite.iter);
	table_map_free(&rewrite.map);
}

/* ---- rows of one's own ---- */

static struct column three[] = {{.type = COLUMN_LONG, .name = "a"},
                                {.type = COLUMN_VARCHAR, .metadata = 300, .name = "b", .nullable = true},
                                {.type = COLUMN_TINY, .name = "c", .nullable = true}};
static const struct table_map three_map = {.table_id = 0x123456789abc,
                                           .flags = TABLE_MAP_FLAG_BITS_EXACT,
                                           .database = (char *)"d",
                                           .table = (char *)"t",
                                           .column_count = 3,
                                           .columns = three};

static struct content number(const char *bytes)
{
	return (struct content){.bytes = (const uint8_t *)bytes, .size = 4};
}

/* Rows are spread over events that the applier can send one by one; only the last may end the statement, or the
 * server lets go of the table in between. */
static void test_events_end_when_they_are_large(void **state)
{
	(void)state;
	struct buf events = {0};
	struct rows_writer writer;
	struct err err;
	uint8_t text[100] = {0};
	struct content row[3] = {number("\1\0\0\0"), {.bytes = text, .size = sizeof text}, {.is_null = true}};
	struct rows_writer_what what = {.kind = ROWS_DELETE,
	                                .map = &three_map,
	                                .flags = ROWS_FLAG_STATEMENT_END | ROWS_FLAG_NO_FOREIGN_KEY_CHECKS,
	                                .timestamp = 1700000000,
	                                .server = 7,
	                                .event_size = 400};
	buf_append_str(&events, "ahead");
	rows_writer_start(&writer, &what, &events);
	for (int i = 0; i < 10; i++)
		assert_int_equal(rows_writer_add(&writer, row, NULL, &err), ERR_OK);
	rows_writer_finish(&writer);
	struct cursor c = cursor_of(events.data + 5, events.size - 5);
	struct event event;
	int event_count = 0, row_count = 0;
	while (rows_writer_next(&c, &event)) {
		struct rows_event rows;
		struct rows_iter iter;
		struct row_change change;
		bool more;
		assert_int_equal(rows_parse(&event, &three_map, &rows, &err), ERR_OK);
		assert_int_equal(event.server, 7);
		assert_int_equal(event.timestamp, 1700000000);
		assert_int_equal(rows.flags, what.flags & ~(cursor_left(&c) > 0 ? ROWS_FLAG_STATEMENT_END : 0));
		assert_true(event.size < 400 + 108);
		rows_iter_init(&iter);
		rows_iter_start(&iter, &rows, &three_map);
		for (; rows_next(&iter, &change, &more, &err) == ERR_OK && more; row_count++)
			assert_true(change.before[2].is_null && change.before[1].size == 102);
		assert_false(iter.cursor.failed);
		rows_iter_free(&iter);
		event_count++;
	}
	assert_true(cursor_done(&c));
	assert_int_equal(event_count, 3);
	assert_int_equal(row_count, 10);
	buf_free(&events);
}

/* An event of every size: one a row, all rows in one, none at all. */
static void test_no_row_no_event(void **state)
{
	(void)state;
	struct content row[3] = {number("\1\0\0\0"), {.is_null = true}, {.is_null = true}};
	static const size_t sizes[] = {0, 0, SIZE_MAX, SIZE_MAX};
	static const int rows[] = {0, 3, 0, 3}, expected[] = {0, 3, 0, 1};
	for (size_t i = 0; i < 4; i++) {
		struct buf events = {0};
		struct rows_writer writer;
		struct event event;
		struct err err;
		struct rows_writer_what what = {
		    .kind = ROWS_WRITE, .map = &three_map, .flags = ROWS_FLAG_STATEMENT_END, .event_size = sizes[i]};
		rows_writer_start(&writer, &what, &events);
		for (int j = 0; j < rows[i]; j++)
			assert_int_equal(rows_writer_add(&writer, NULL, row, &err), ERR_OK);
		rows_writer_finish(&writer);
		int count = 0;
		for (struct cursor c = cursor_of(events.data, events.size); rows_writer_next(&c, &event);)
			count++;
		assert_int_equal(count, expected[i]);
		buf_free(&events);
	}
}

/* Rows of which no column is present take no bytes: two in one event would be one. */
static void test_rows_of_defaults(void **state)
{
	(void)state;
	struct buf events = {0};
	struct rows_writer writer;
	struct event event;
	struct err err;
	static const uint8_t none[1] = {0};
	struct content row[3] = {{.is_null = true}};
	struct rows_writer_what what = {
	    .kind = ROWS_WRITE, .map = &three_map, .present_after = none, .event_size = SIZE_MAX};
	rows_writer_start(&writer, &what, &events);
	assert_int_equal(rows_writer_add(&writer, NULL, row, &err), ERR_OK);
	assert_int_equal(rows_writer_add(&writer, NULL, row, &err), ERR_OK);
	rows_writer_finish(&writer);
	int count = 0;
	for (struct cursor c = cursor_of(events.data, events.size); rows_writer_next(&c, &event); count++) {
		struct rows_event rows;
		assert_int_equal(rows_parse(&event, &three_map, &rows, &err), ERR_OK);
		assert_int_equal(rows.rows_size, 0);
	}
	assert_int_equal(count, 2);
	buf_free(&events);
}

/* What can't be a value must not reach the table in part or as something else (the server takes NULL in a NOT NULL
 * column for its default); the rows around it are whole. */
static void test_a_row_that_is_refused_leaves_nothing(void **state)
{
	(void)state;
	struct buf events = {0}, alone = {0};
	struct rows_writer writer;
	struct err err;
	struct content good[3] = {number("\1\0\0\0"), {.is_null = true}, {.is_null = true}};
	struct content null[3] = {{.is_null = true}, {.is_null = true}, {.is_null = true}};
	struct content wide[3] = {number("\1\0\0\0"), {.is_null = true}, {.bytes = (const uint8_t *)"ab", .size = 2}};
	struct rows_writer_what what = {.kind = ROWS_UPDATE, .map = &three_map, .event_size = SIZE_MAX};
	rows_writer_start(&writer, &what, &alone);
	assert_int_equal(rows_writer_add(&writer, good, good, &err), ERR_OK);
	rows_writer_finish(&writer);

	rows_writer_start(&writer, &what, &events);
	assert_int_equal(rows_writer_add(&writer, good, null, &err), ERR_MALFORMED);
	assert_non_null(strstr(err.message, "column a"));
	assert_non_null(strstr(err.message, "d.t"));
	assert_int_equal(events.size, 0);
	assert_int_equal(rows_writer_add(&writer, good, good, &err), ERR_OK);
	assert_int_equal(rows_writer_add(&writer, good, wide, &err), ERR_MALFORMED);
	assert_non_null(strstr(err.message, "column c"));
	assert_int_equal(rows_writer_add(&writer, null, good, &err), ERR_MALFORMED);
	rows_writer_finish(&writer);
	assert_int_equal(events.size, alone.size);
	assert_memory_equal(events.data, alone.data, alone.size);
	buf_free(&events);
	buf_free(&alone);
}

/* Column counts and metadata sizes of a wide table take three bytes; columns beyond a byte's worth of bits. */
static void test_a_wide_table(void **state)
{
	(void)state;
	enum { COLUMNS = 1000 };
	struct column *columns = mem_alloc(COLUMNS * sizeof *columns);
	struct content *row = mem_alloc(COLUMNS * sizeof *row);
	for (int i = 0; i < COLUMNS; i++) {
		columns[i] = (struct column){.type = COLUMN_VARCHAR, .metadata = (uint16_t)i, .nullable = i % 3 == 0};
		row[i] = (struct content){.bytes = (const uint8_t *)"abc", .size = i < 3 ? 0 : 3, .is_null = i % 3 == 0};
	}
	struct table_map map = {
	    .table_id = 9, .database = (char *)"d", .table = (char *)"t", .column_count = COLUMNS, .columns = columns};
	struct buf events = {0};
	struct rows_writer writer;
	struct rows_writer_what what = {.kind = ROWS_WRITE, .map = &map};
	struct err err;
	table_map_append(&map, &events);
	rows_writer_start(&writer, &what, &events);
	assert_int_equal(rows_writer_add(&writer, NULL, row, &err), ERR_OK);
	rows_writer_finish(&writer);

	struct cursor c = cursor_of(events.data, events.size);
	struct event event;
	struct table_map again;
	struct rows_event rows;
	struct rows_iter iter;
	struct row_change change;
	bool more;
	assert_true(rows_writer_next(&c, &event));
	assert_int_equal(table_map_parse(&event, &again, &err), ERR_OK);
	assert_true(rows_writer_next(&c, &event));
	assert_int_equal(rows_parse(&event, &again, &rows, &err), ERR_OK);
	rows_iter_init(&iter);
	rows_iter_start(&iter, &rows, &again);
	assert_int_equal(rows_next(&iter, &change, &more, &err), ERR_OK);
	for (int i = 0; i < COLUMNS; i++) {
		assert_int_equal(again.columns[i].metadata, i);
		assert_int_equal(again.columns[i].nullable, i % 3 == 0);
		assert_int_equal(change.after[i].is_null, i % 3 == 0);
		assert_int_equal(change.after[i].size, i % 3 == 0 ? 0 : (i < 256 ? 1 : 2) + (int)row[i].size);
	}
	rows_iter_free(&iter);
	table_map_free(&again);
	buf_free(&events);
	free(columns);
	free(row);
}

int main(int argc, char **argv)
{
	corpus_folder = argc > 1 ? argv[1] : "tests/fuzz/corpus/binlog";
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fields_get_their_columns_prefix),
	    cmocka_unit_test(test_values_at_the_edge_of_their_prefix),
	    cmocka_unit_test(test_values_that_can_not_be_compressed),
	    cmocka_unit_test(test_integers_are_extended_by_their_sign),
	    cmocka_unit_test(test_a_log_written_again_is_the_same),
	    cmocka_unit_test(test_events_end_when_they_are_large),
	    cmocka_unit_test(test_no_row_no_event),
	    cmocka_unit_test(test_rows_of_defaults),
	    cmocka_unit_test(test_a_row_that_is_refused_leaves_nothing),
	    cmocka_unit_test(test_a_wide_table),
	};
	return cmocka_run_group_tests_name("binlog_write", tests, NULL, NULL);
}
