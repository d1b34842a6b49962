#include "binlog/rows.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "binlog/internal.h"
#include "binlog/value.h"

enum { FLAGS_IN_BODY = 6 };

/* What an event type says of its rows, whether compressed or not. */
static const struct rows_type {
	bool is_rows, is_v2;
	enum rows_kind kind;
} rows_types[256] = {
    [EVENT_WRITE_ROWS_V1] = {true, false, ROWS_WRITE},
    [EVENT_UPDATE_ROWS_V1] = {true, false, ROWS_UPDATE},
    [EVENT_DELETE_ROWS_V1] = {true, false, ROWS_DELETE},
    [EVENT_WRITE_ROWS] = {true, true, ROWS_WRITE},
    [EVENT_UPDATE_ROWS] = {true, true, ROWS_UPDATE},
    [EVENT_DELETE_ROWS] = {true, true, ROWS_DELETE},
    [EVENT_WRITE_ROWS_COMPRESSED_V1] = {true, false, ROWS_WRITE},
    [EVENT_UPDATE_ROWS_COMPRESSED_V1] = {true, false, ROWS_UPDATE},
    [EVENT_DELETE_ROWS_COMPRESSED_V1] = {true, false, ROWS_DELETE},
    [EVENT_WRITE_ROWS_COMPRESSED] = {true, true, ROWS_WRITE},
    [EVENT_UPDATE_ROWS_COMPRESSED] = {true, true, ROWS_UPDATE},
    [EVENT_DELETE_ROWS_COMPRESSED] = {true, true, ROWS_DELETE},
};

bool event_is_rows(uint8_t type)
{
	return rows_types[type].is_rows;
}

bool rows_head_read(const struct event *event, struct cursor *c, struct rows_head *ret)
{
	const struct rows_type *type = &rows_types[event->type];
	struct rows_head head = {0};
	head.table_id = cursor_u48(c);
	head.flags = cursor_u16(c);
	if (type->is_v2) {
		/* The size of the extra data counts its own two bytes. */
		uint16_t extra = cursor_u16(c);
		if (extra < 2)
			cursor_fail(c);
		else
			cursor_skip(c, extra - 2u);
	}
	head.column_count = cursor_lenenc(c);
	if (head.column_count > COLUMNS_MAX)
		cursor_fail(c);
	size_t bitmap_size = cursor_ok(c) ? ((size_t)head.column_count + 7) / 8 : 0;
	head.first_bitmap = cursor_bytes(c, bitmap_size);
	if (type->kind == ROWS_UPDATE)
		head.second_bitmap = cursor_bytes(c, bitmap_size);
	if (!cursor_ok(c))
		return false;
	*ret = head;
	return true;
}

static enum err_code check_map(const struct event *event, const struct rows_head *head, const struct table_map *map,
                               struct err *err)
{
	if (map->table_id != head->table_id)
		return event_fail(event, ERR_MALFORMED, err, "is for table id %" PRIu64 ", the table map is of %" PRIu64,
		                  head->table_id, map->table_id);
	if (map->column_count != head->column_count)
		return event_fail(event, ERR_MALFORMED, err, "has %" PRIu64 " columns, the table map of %s.%s has %" PRIu32,
		                  head->column_count, map->database, map->table, map->column_count);
	return ERR_OK;
}

enum err_code rows_parse(const struct event *event, const struct table_map *map, struct rows_event *ret,
                         struct err *err)
{
	const struct rows_type *type = &rows_types[event->type];
	if (!type->is_rows || event_plain_type(event->type) != 0)
		return event_fail(event, ERR_USAGE, err, "taken for a plain rows event");
	struct cursor c = cursor_of(event->body, event->body_size);
	struct rows_head head;
	if (!rows_head_read(event, &c, &head))
		return event_fail(event, ERR_MALFORMED, err, "cut off or more than %d columns", COLUMNS_MAX);
	if (map != NULL) {
		enum err_code code = check_map(event, &head, map, err);
		if (code != ERR_OK)
			return code;
	}
	struct rows_event rows = {
	    .kind = type->kind,
	    .is_v2 = type->is_v2,
	    .table_id = head.table_id,
	    .flags = head.flags,
	    .column_count = (uint32_t)head.column_count,
	    .prefix = event->body,
	    .prefix_size = (size_t)(c.pos - event->body),
	    .rows = c.pos,
	    .rows_size = cursor_left(&c),
	};
	rows.present_before = type->kind == ROWS_WRITE ? NULL : head.first_bitmap;
	rows.present_after = type->kind == ROWS_WRITE ? head.first_bitmap : head.second_bitmap;
	*ret = rows;
	return ERR_OK;
}

void rows_iter_init(struct rows_iter *iter)
{
	*iter = (struct rows_iter){0};
}

void rows_iter_start(struct rows_iter *iter, const struct rows_event *event, const struct table_map *map)
{
	if (iter->fields == NULL || iter->field_capacity < event->column_count) {
		iter->fields = mem_resize(iter->fields, 2 * sizeof *iter->fields * event->column_count);
		iter->field_capacity = event->column_count;
	}
	iter->event = *event;
	iter->map = map;
	iter->cursor = cursor_of(event->rows, event->rows_size);
	iter->row_number = 0;
}

static bool bit_is_set(const uint8_t *bitmap, uint32_t i)
{
	return bitmap[i / 8] >> (i % 8) & 1;
}

static uint32_t count_present(const uint8_t *present, uint32_t column_count)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < column_count; i++)
		count += bit_is_set(present, i);
	return count;
}

/* One image: NULL bits of the present columns, then the fields that aren't NULL. */
static enum err_code read_image(struct rows_iter *iter, const uint8_t *present, struct field *fields, struct err *err)
{
	struct cursor *c = &iter->cursor;
	uint32_t count = iter->event.column_count, bit = 0;
	const uint8_t *nulls = cursor_bytes(c, (count_present(present, count) + 7) / 8);
	for (uint32_t i = 0; cursor_ok(c) && i < count; i++) {
		struct field *field = &fields[i];
		*field = (struct field){.present = bit_is_set(present, i)};
		if (!field->present)
			continue;
		field->is_null = bit_is_set(nulls, bit++);
		if (field->is_null)
			continue;
		const uint8_t *start = c->pos;
		enum err_code code = field_skip(&iter->map->columns[i], c, err);
		if (code != ERR_OK)
			return code;
		field->bytes = start;
		field->size = (uint32_t)(c->pos - start);
	}
	return ERR_OK;
}

/* An event without bytes for rows has none, except REPLACE … () with binlog_row_image=MINIMAL: a row of which no column
 * is present. MariaDB takes that for one row (sql/log_event_client.cc, print_verbose). */
static bool rows_is_at_end(const struct rows_iter *iter)
{
	if (cursor_left(&iter->cursor) > 0)
		return false;
	return iter->row_number > 0 || iter->event.kind != ROWS_WRITE ||
	       count_present(iter->event.present_after, iter->event.column_count) > 0;
}

/* The one way known for a row of a healthy log not to fit: see table_map.h, metadata of TIME. */
static bool has_old_times(const struct table_map *map)
{
	for (uint32_t i = 0; i < map->column_count; i++) {
		uint8_t type = map->columns[i].type;
		if (type == COLUMN_TIME || type == COLUMN_DATETIME || type == COLUMN_TIMESTAMP)
			return true;
	}
	return false;
}

static enum err_code fail_row(const struct rows_iter *iter, struct err *err)
{
	return err_set(err, ERR_MALFORMED, "rows event of %s.%s: row %" PRIu64 " is cut off or doesn't fit the table map%s",
	               iter->map->database, iter->map->table, iter->row_number,
	               has_old_times(iter->map)
	                   ? "; it has columns in the format of mysql56_temporal_format=OFF, which can't "
	                     "be read with fractions: turn that ON and ALTER TABLE … FORCE"
	                   : "");
}

enum err_code rows_next(struct rows_iter *iter, struct row_change *ret_change, bool *ret_more, struct err *err)
{
	const struct rows_event *event = &iter->event;
	if (event->column_count != iter->map->column_count)
		return err_set(err, ERR_MALFORMED, "rows event with %" PRIu32 " columns, but %s.%s has %" PRIu32,
		               event->column_count, iter->map->database, iter->map->table, iter->map->column_count);
	if (rows_is_at_end(iter)) {
		*ret_more = false;
		return ERR_OK;
	}
	iter->row_number++;
	struct row_change change = {
	    .has_before = event->kind != ROWS_WRITE,
	    .has_after = event->kind != ROWS_DELETE,
	    .before = iter->fields,
	    .after = iter->fields + event->column_count,
	    .bytes = iter->cursor.pos,
	};
	bool is_empty = event->rows_size == 0;
	enum err_code code = ERR_OK;
	if (change.has_before)
		code = read_image(iter, event->present_before, iter->fields, err);
	if (code == ERR_OK && change.has_after)
		code = read_image(iter, event->present_after, iter->fields + event->column_count, err);
	if (code != ERR_OK)
		return code;
	change.size = (size_t)(iter->cursor.pos - change.bytes);
	/* A row that takes no room while there is more would never end. */
	if (!cursor_ok(&iter->cursor) || (change.size == 0 && !is_empty))
		return fail_row(iter, err);
	*ret_change = change;
	*ret_more = true;
	return ERR_OK;
}

void rows_iter_free(struct rows_iter *iter)
{
	free(iter->fields);
	*iter = (struct rows_iter){0};
}

void rows_append_event(const struct event *event, const struct rows_event *rows, uint16_t flags,
                       const uint8_t *row_bytes, size_t row_bytes_size, struct buf *to)
{
	struct cursor header = cursor_of(event->bytes, EVENT_HEADER_SIZE);
	buf_append_u32(to, cursor_u32(&header));
	buf_append_u8(to, cursor_u8(&header));
	buf_append_u32(to, cursor_u32(&header));
	cursor_skip(&header, 4);
	buf_append_u32(to, (uint32_t)(EVENT_HEADER_SIZE + rows->prefix_size + row_bytes_size));
	buf_append_u32(to, cursor_u32(&header));
	buf_append_u16(to, cursor_u16(&header));
	buf_append(to, rows->prefix, FLAGS_IN_BODY);
	buf_append_u16(to, flags);
	buf_append(to, rows->prefix + FLAGS_IN_BODY + 2, rows->prefix_size - FLAGS_IN_BODY - 2);
	buf_append(to, row_bytes, row_bytes_size);
}
