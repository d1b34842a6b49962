#include "binlog/rows_writer.h"

#include <assert.h>
#include <inttypes.h>

#include "binlog/internal.h"

/* max_allowed_packet can't be higher, so no server takes a larger event. */
enum { EVENT_SIZE_MAX = 1 << 30, FLAGS_AT = EVENT_HEADER_SIZE + 6 };

static const uint8_t event_types[] = {
    [ROWS_WRITE] = EVENT_WRITE_ROWS_V1, [ROWS_UPDATE] = EVENT_UPDATE_ROWS_V1, [ROWS_DELETE] = EVENT_DELETE_ROWS_V1};

static bool is_present(const uint8_t *present, uint32_t i)
{
	return present == NULL || (present[i / 8] >> (i % 8) & 1);
}

/* Bits beyond the last column mean nothing; MariaDB sets them in full images. */
static void append_present(const uint8_t *present, uint32_t column_count, struct buf *to)
{
	for (uint32_t i = 0; i < (column_count + 7) / 8; i++)
		buf_append_u8(to, present == NULL ? 0xff : present[i]);
}

static void begin_event(struct rows_writer *writer)
{
	const struct rows_writer_what *what = &writer->what;
	uint32_t column_count = what->map->column_count;
	struct buf *to = writer->to;
	writer->begin = event_begin(event_types[what->kind], what->timestamp, what->server, to);
	buf_append_u32(to, (uint32_t)what->map->table_id);
	buf_append_u16(to, (uint16_t)(what->map->table_id >> 32));
	buf_append_u16(to, (uint16_t)(what->flags & ~ROWS_FLAG_STATEMENT_END));
	buf_append_lenenc(to, column_count);
	if (what->kind != ROWS_WRITE)
		append_present(what->present_before, column_count, to);
	if (what->kind != ROWS_DELETE)
		append_present(what->present_after, column_count, to);
}

static enum err_code append_content(const struct column *column, const struct content *content, struct buf *to,
                                    struct err *err)
{
	if (!content->is_null)
		return field_append(column, content->bytes, content->size, to, err);
	if (column->nullable)
		return ERR_OK;
	/* The server would put the column's default there. */
	return err_set(err, ERR_MALFORMED, "NULL can't be a value of column %s, which is NOT NULL",
	               column->name ? column->name : "?");
}

/* One bit for each present column, set for NULL and beyond the last one; then the fields that aren't NULL. */
static enum err_code append_image(const struct table_map *map, const uint8_t *present, const struct content *contents,
                                  struct buf *to, struct err *err)
{
	size_t nulls = to->size;
	uint32_t bit = 0;
	for (uint32_t i = 0; i < map->column_count; i++)
		if (is_present(present, i) && bit++ % 8 == 0)
			buf_append_u8(to, 0xff);
	bit = 0;
	for (uint32_t i = 0; i < map->column_count; i++) {
		if (!is_present(present, i))
			continue;
		if (!contents[i].is_null)
			to->data[nulls + bit / 8] &= (uint8_t) ~(1u << bit % 8);
		bit++;
		enum err_code code = append_content(&map->columns[i], &contents[i], to, err);
		if (code != ERR_OK)
			return err_wrap(err, "a row of %s.%s", map->database, map->table);
	}
	return ERR_OK;
}

static enum err_code append_row(const struct rows_writer *writer, const struct content *before,
                                const struct content *after, struct err *err)
{
	const struct rows_writer_what *what = &writer->what;
	enum err_code code = ERR_OK;
	if (what->kind != ROWS_WRITE)
		code = append_image(what->map, what->present_before, before, writer->to, err);
	if (code == ERR_OK && what->kind != ROWS_DELETE)
		code = append_image(what->map, what->present_after, after, writer->to, err);
	if (code == ERR_OK && writer->to->size - writer->begin > EVENT_SIZE_MAX)
		code = err_set(err, ERR_UNSUPPORTED, "a row of %s.%s takes %zu bytes, no server takes as many",
		               what->map->database, what->map->table, writer->to->size - writer->begin);
	return code;
}

static void end_event(struct rows_writer *writer)
{
	event_end(writer->begin, writer->to);
	writer->is_open = false;
}

void rows_writer_start(struct rows_writer *writer, const struct rows_writer_what *what, struct buf *to)
{
	assert(what->map->column_count <= COLUMNS_MAX);
	*writer = (struct rows_writer){.what = *what, .to = to};
}

enum err_code rows_writer_add(struct rows_writer *writer, const struct content *before, const struct content *after,
                              struct err *err)
{
	assert((before != NULL) == (writer->what.kind != ROWS_WRITE));
	assert((after != NULL) == (writer->what.kind != ROWS_DELETE));
	struct rows_writer old = *writer;
	size_t old_size = writer->to->size;
	if (!writer->is_open)
		begin_event(writer);
	size_t row_at = writer->to->size;
	enum err_code code = append_row(writer, before, after, err);
	if (code != ERR_OK) {
		*writer = old;
		writer->to->size = old_size;
		return code;
	}
	writer->is_open = writer->is_any = true;
	/* A row of no bytes, a write with no column present, is only seen in an event of its own. */
	if (writer->to->size - writer->begin >= writer->what.event_size || writer->to->size == row_at)
		end_event(writer);
	return ERR_OK;
}

void rows_writer_finish(struct rows_writer *writer)
{
	if (writer->is_open)
		end_event(writer);
	if (writer->is_any && writer->what.flags & ROWS_FLAG_STATEMENT_END)
		writer->to->data[writer->begin + FLAGS_AT] |= ROWS_FLAG_STATEMENT_END;
}

bool rows_writer_next(struct cursor *events, struct event *ret_event)
{
	struct cursor header = *events;
	cursor_skip(&header, EVENT_LENGTH_AT);
	uint32_t size = cursor_u32(&header);
	struct format plain;
	if (!cursor_ok(&header) || size > cursor_left(events))
		return false;
	format_init(&plain);
	return event_parse(&plain, cursor_bytes(events, size), size, ret_event, NULL) == ERR_OK;
}
