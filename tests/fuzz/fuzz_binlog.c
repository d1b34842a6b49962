/* Fuzzes src/binlog. The input is what follows the magic of a binlog file: events, end to end.
 *
 * Whatever the bytes are, every parser sees them: an event's length is bent to fit, an event with a wrong checksum is
 * tried again as one without. Each event is copied to memory of exactly its size, so that ASan notices one byte too
 * far.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "binlog/event.h"
#include "binlog/query.h"
#include "binlog/rows.h"
#include "binlog/rows_writer.h"
#include "binlog/shape.h"
#include "binlog/table_map.h"
#include "binlog/value.h"

enum { MAPS = 4, SIZE_LIMIT = 1 << 20, LENGTH_AT = 9 };

struct fuzz {
	struct format format;
	struct table_map maps[MAPS]; /* the last ones, by table id */
	struct rows_iter iter;
	struct buf plain, scratch, text;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a parser promises of its error, whoever made the event. */
static void check_error(enum err_code code, const struct err *err)
{
	if (code == ERR_OK)
		return;
	if (err->code != code || err->message[0] == '\0' || err_retryable(code))
		abort();
}

/* Reads the last byte of a range, for ASan to see. */
static void touch(const void *bytes, size_t size)
{
	static volatile uint8_t sink;
	if (size > 0)
		sink = ((const uint8_t *)bytes)[size - 1];
	(void)sink;
}

/* A content is a field again; the same content, however it is stored. Refused is only what doesn't fit a compressed
 * column once it is compressed by us. */
static void try_append(const struct column *column, const uint8_t *bytes, size_t size)
{
	struct err err = {0};
	struct buf written = {0}, scratch = {0};
	const uint8_t *again;
	size_t again_size;
	touch(bytes, size);
	enum err_code code = field_append(column, bytes, size, &written, &err);
	check_error(code, &err);
	if (code == ERR_OK) {
		struct field field = {.bytes = written.data, .size = (uint32_t)written.size, .present = true};
		if (field_content(column, &field, &scratch, &again, &again_size, &err) != ERR_OK || again_size != size ||
		    (size > 0 && memcmp(again, bytes, size) != 0))
			abort();
	} else if (column->type != COLUMN_BLOB_COMPRESSED && column->type != COLUMN_VARCHAR_COMPRESSED &&
	           size <= content_size_max(column)) {
		abort();
	}
	buf_free(&written);
	buf_free(&scratch);
}

static void try_field(struct fuzz *fuzz, const struct column *column, const struct field *field)
{
	struct err err = {0};
	const uint8_t *bytes;
	size_t size;
	uint64_t number;
	buf_clear(&fuzz->text);
	check_error(value_format(column, field, &fuzz->text, &err), &err);
	enum err_code code = field_content(column, field, &fuzz->scratch, &bytes, &size, &err);
	check_error(code, &err);
	if (code == ERR_OK) {
		struct content content = {.bytes = bytes, .size = (uint32_t)size};
		bool is_text = content_is_text(column, &content);
		buf_clear(&fuzz->text);
		check_error(content_format(column, &content, !is_text, &fuzz->text, &err), &err);
		if (is_text && fuzz->text.size > 0 && memchr(fuzz->text.data, '\0', fuzz->text.size) != NULL)
			abort();
		try_append(column, bytes, size);
	}
	check_error(value_uint(column, field, &number, &err), &err);
	if (field->bytes != NULL)
		touch(field->bytes, field->size);
}

static void try_image(struct fuzz *fuzz, const struct table_map *map, const struct field *fields)
{
	for (uint32_t i = 0; i < map->column_count; i++)
		try_field(fuzz, &map->columns[i], &fields[i]);
}

/* A row that was taken out and put into an event of its own must be the same row again. */
static void try_single_row(struct fuzz *fuzz, const struct event *event, const struct rows_event *rows,
                           const struct row_change *row)
{
	struct err err;
	struct event again;
	struct rows_event again_rows;
	struct format plain;
	format_init(&plain);
	buf_clear(&fuzz->scratch);
	rows_append_event(event, rows, 1, row->bytes, row->size, &fuzz->scratch);
	if (event_parse(&plain, fuzz->scratch.data, fuzz->scratch.size, &again, &err) != ERR_OK ||
	    rows_parse(&again, NULL, &again_rows, &err) != ERR_OK || again_rows.rows_size != row->size ||
	    again_rows.flags != 1 || (row->size > 0 && memcmp(again_rows.rows, row->bytes, row->size) != 0))
		abort();
}

/* A row's contents make the same row again, in an event of our own. */
static void try_writer(const struct table_map *map, const struct rows_event *rows, const struct row_change *row)
{
	struct content *contents[2] = {NULL, NULL};
	const struct field *const images[2] = {row->has_before ? row->before : NULL, row->has_after ? row->after : NULL};
	struct err err = {0};
	for (int k = 0; k < 2; k++) {
		if (images[k] == NULL)
			continue;
		contents[k] = mem_alloc((map->column_count + 1) * sizeof *contents[k]);
		for (uint32_t i = 0; i < map->column_count; i++) {
			size_t size = 0;
			contents[k][i].is_null = images[k][i].is_null;
			/* Compressed values would each need a buffer: what can be read there is tried as a value of no bytes. */
			if (!images[k][i].present || images[k][i].is_null || map->columns[i].type == COLUMN_BLOB_COMPRESSED ||
			    map->columns[i].type == COLUMN_VARCHAR_COMPRESSED ||
			    field_content(&map->columns[i], &images[k][i], NULL, &contents[k][i].bytes, &size, &err) != ERR_OK)
				continue;
			contents[k][i].size = (uint32_t)size;
		}
	}
	struct buf written = {0};
	struct rows_writer writer;
	struct rows_writer_what what = {.kind = rows->kind,
	                                .map = map,
	                                .flags = rows->flags,
	                                .present_before = rows->present_before,
	                                .present_after = rows->present_after};
	rows_writer_start(&writer, &what, &written);
	enum err_code code = rows_writer_add(&writer, contents[0], contents[1], &err);
	check_error(code, &err);
	rows_writer_finish(&writer);
	struct cursor c = cursor_of(written.data, written.size);
	struct event event;
	struct rows_event again;
	if (code == ERR_OK && (!rows_writer_next(&c, &event) || rows_parse(&event, map, &again, &err) != ERR_OK))
		abort();
	if (code == ERR_OK) {
		struct rows_iter iter;
		struct row_change change;
		bool more;
		rows_iter_init(&iter);
		rows_iter_start(&iter, &again, map);
		if (rows_next(&iter, &change, &more, &err) != ERR_OK || !more ||
		    rows_next(&iter, &change, &more, &err) != ERR_OK || more)
			abort();
		rows_iter_free(&iter);
	}
	buf_free(&written);
	free(contents[0]);
	free(contents[1]);
}

static void try_rows(struct fuzz *fuzz, const struct event *event)
{
	struct err err = {0};
	struct rows_event rows;
	enum err_code code = rows_parse(event, NULL, &rows, &err);
	check_error(code, &err);
	if (code != ERR_OK)
		return;
	const struct table_map *map = &fuzz->maps[rows.table_id % MAPS];
	code = rows_parse(event, map, &rows, &err);
	check_error(code, &err);
	if (code != ERR_OK)
		return;
	rows_iter_start(&fuzz->iter, &rows, map);
	/* Not every row of an event of a thousand: a fuzzer is fast, or it finds nothing. */
	for (int i = 0; i < 32; i++) {
		struct row_change row;
		bool more;
		code = rows_next(&fuzz->iter, &row, &more, &err);
		check_error(code, &err);
		if (code != ERR_OK || !more)
			return;
		try_single_row(fuzz, event, &rows, &row);
		try_writer(map, &rows, &row);
		if (row.has_before)
			try_image(fuzz, map, row.before);
		if (row.has_after)
			try_image(fuzz, map, row.after);
	}
}

/* Written and read again, it describes the same rows. */
static void try_written_map(const struct table_map *map)
{
	struct err err;
	struct buf written = {0};
	struct event event;
	struct table_map again;
	table_map_append(map, &written);
	struct cursor c = cursor_of(written.data, written.size);
	if (!rows_writer_next(&c, &event) || table_map_parse(&event, &again, &err) != ERR_OK ||
	    again.column_count != map->column_count || again.table_id != map->table_id || again.flags != map->flags ||
	    strcmp(again.database, map->database) != 0 || strcmp(again.table, map->table) != 0)
		abort();
	for (uint32_t i = 0; i < map->column_count; i++)
		if (again.columns[i].type != map->columns[i].type || again.columns[i].metadata != map->columns[i].metadata ||
		    again.columns[i].nullable != map->columns[i].nullable)
			abort();
	table_map_free(&again);
	buf_free(&written);
}

/* As if the last table with that id were this one's counterpart; and it fits itself. */
static void try_shape(const struct table_map *map, const struct table_map *other)
{
	struct err err = {0};
	struct shape shape;
	for (int i = 0; i < 2; i++) {
		enum err_code code = shape_map(map, i == 0 ? map : other, &shape, &err);
		check_error(code, &err);
		if (code != ERR_OK)
			continue;
		for (uint32_t j = 0; j < shape.count; j++)
			if (shape.pairs[j].theirs >= map->column_count && shape.pairs[j].kind != SHAPE_ABSENT)
				abort();
		for (uint32_t j = 0; j < shape.homeless_count; j++)
			if (shape.homeless[j] >= map->column_count)
				abort();
		shape_free(&shape);
	}
}

static void try_table_map(struct fuzz *fuzz, const struct event *event)
{
	struct err err = {0};
	struct table_map map;
	uint64_t id;
	check_error(table_map_parse_id(event, &id, &err), &err);
	enum err_code code = table_map_parse(event, &map, &err);
	check_error(code, &err);
	if (code != ERR_OK)
		return;
	for (uint32_t i = 0; i < map.column_count; i++) {
		const struct column *column = &map.columns[i];
		if (column->name != NULL)
			touch(column->name, strlen(column->name) + 1);
		for (uint32_t j = 0; j < column->label_count; j++)
			touch(column->labels[j], column->label_sizes[j] + 1u);
	}
	for (uint32_t i = 0; i < map.primary_key_count; i++)
		if (map.primary_key[i] >= map.column_count)
			abort();
	struct table_map *slot = &fuzz->maps[map.table_id % MAPS];
	try_written_map(&map);
	try_shape(&map, slot);
	table_map_free(slot);
	*slot = map;
}

static void try_query(const struct event *event)
{
	struct err err = {0};
	struct query_event query;
	enum err_code code = query_parse(event, &query, &err);
	check_error(code, &err);
	if (code != ERR_OK)
		return;
	touch(query.database, query.database_size);
	touch(query.statement, query.statement_size);
	touch(query.time_zone, query.time_zone_size);
	touch(query.invoker_user, query.invoker_user_size);
	touch(query.invoker_host, query.invoker_host_size);
	touch(query.collation_pairs, (size_t)query.collation_pair_count * 4);
	(void)query_is(&query, "BEGIN");
}

/* A vector must survive being written and read, as text and as bytes. */
static void try_vector(struct fuzz *fuzz, const struct vector *vector)
{
	struct err err;
	struct vector again;
	buf_clear(&fuzz->text);
	vector_format(vector, &fuzz->text);
	if (vector_parse(buf_str(&fuzz->text), &again, &err) != ERR_OK || !vector_equal(vector, &again))
		abort();
	buf_clear(&fuzz->text);
	vector_encode(vector, &fuzz->text);
	struct cursor c = cursor_of(fuzz->text.data, fuzz->text.size);
	if (vector_decode(&c, &again, &err) != ERR_OK || !vector_equal(vector, &again) || !cursor_done(&c))
		abort();
}

static void try_small_events(struct fuzz *fuzz, const struct event *event)
{
	struct err err = {0};
	struct gtid_event gtid;
	struct vector vector;
	struct rotate_event rotate;
	struct heartbeat_event heartbeat;
	uint64_t xid;
	if (gtid_event_parse(event, &gtid, &err) == ERR_OK && gtid.xa_data != NULL)
		touch(gtid.xa_data, (size_t)gtid.xa_gtrid_size + gtid.xa_bqual_size);
	if (gtid_list_parse(event, &vector, &err) == ERR_OK)
		try_vector(fuzz, &vector);
	if (rotate_parse(event, &rotate, &err) == ERR_OK)
		touch(rotate.file, rotate.file_size);
	if (heartbeat_parse(event, &heartbeat, &err) == ERR_OK)
		touch(heartbeat.file, heartbeat.file_size);
	check_error(xid_parse(event, &xid, &err), &err);
}

static void try_format(struct fuzz *fuzz, const struct event *event)
{
	struct err err = {0};
	struct format format;
	struct event again;
	enum err_code code = format_parse(event, &format, &err);
	check_error(code, &err);
	if (code != ERR_OK)
		return;
	fuzz->format = format;
	buf_clear(&fuzz->text);
	format_append_plain(event, &fuzz->text);
	if (event_parse(&format, fuzz->text.data, fuzz->text.size, &again, &err) != ERR_OK ||
	    format_parse(&again, &format, &err) != ERR_OK || format.checksummed)
		abort();
}

static void set_length(uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < 4; i++)
		bytes[LENGTH_AT + i] = (uint8_t)(length >> (8 * i));
}

/* As the log's format says; if the checksum is wrong, as an event without one. */
static bool parse(struct fuzz *fuzz, uint8_t *bytes, size_t size, struct event *ret)
{
	struct err err = {0};
	struct format plain;
	format_init(&plain);
	enum err_code code = event_parse(&fuzz->format, bytes, size, ret, &err);
	check_error(code, &err);
	if (code != ERR_OK && fuzz->format.checksummed && size >= EVENT_HEADER_SIZE + EVENT_CHECKSUM_SIZE) {
		size -= EVENT_CHECKSUM_SIZE;
		set_length(bytes, size);
	}
	if (code != ERR_OK)
		code = event_parse(&plain, bytes, size, ret, &err);
	check_error(code, &err);
	return code == ERR_OK;
}

static void try_event(struct fuzz *fuzz, uint8_t *bytes, size_t size)
{
	struct err err = {0};
	struct event raw, event;
	if (!parse(fuzz, bytes, size, &raw))
		return;
	enum err_code code = event_uncompress(&raw, SIZE_LIMIT, &fuzz->plain, &event, &err);
	check_error(code, &err);
	if (code != ERR_OK)
		return;
	if (event.type == EVENT_FORMAT_DESCRIPTION)
		try_format(fuzz, &event);
	else if (event.type == EVENT_TABLE_MAP)
		try_table_map(fuzz, &event);
	else if (event_is_rows(event.type))
		try_rows(fuzz, &event);
	else if (event.type == EVENT_QUERY)
		try_query(&event);
	else
		try_small_events(fuzz, &event);
}

/* The length field of the event at the input's beginning, or as much as there is if it makes no sense. */
static size_t event_size(const uint8_t *data, size_t size)
{
	if (size < EVENT_HEADER_SIZE)
		return size;
	struct cursor c = cursor_of(data + LENGTH_AT, 4);
	uint32_t length = cursor_u32(&c);
	return length >= EVENT_HEADER_SIZE && length <= size ? length : size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = {0};
	format_init(&fuzz.format);
	rows_iter_init(&fuzz.iter);
	while (size > 0) {
		size_t length = event_size(data, size);
		uint8_t *copy = malloc(length);
		if (copy == NULL)
			abort();
		memcpy(copy, data, length);
		if (length >= EVENT_HEADER_SIZE)
			set_length(copy, length);
		try_event(&fuzz, copy, length);
		free(copy);
		data += length;
		size -= length;
	}
	for (int i = 0; i < MAPS; i++)
		table_map_free(&fuzz.maps[i]);
	rows_iter_free(&fuzz.iter);
	buf_free(&fuzz.plain);
	buf_free(&fuzz.scratch);
	buf_free(&fuzz.text);
	return 0;
}
