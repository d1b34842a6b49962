#include "link/steps.h"

#include <stdlib.h>

#include "base/mem.h"
#include "binlog/rows.h"
#include "binlog/rows_writer.h"
#include "sql/description.h"

enum { EVENT_BYTES = 8192, TABLE_ID_FIRST = 1 };

static bool same_absence(const struct content *a, const struct content *b, uint32_t count)
{
	for (uint32_t i = 0; a != NULL && i < count; i++)
		if (a[i].is_absent != b[i].is_absent)
			return false;
	return true;
}

static bool same_kind(const struct merge_step *a, const struct merge_step *b)
{
	return a->op == b->op && a->table == b->table && a->no_cascade == b->no_cascade &&
	       same_absence(a->before, b->before, a->table->column_count) &&
	       same_absence(a->after, b->after, a->table->column_count);
}

/* A column of which nobody said what it is keeps what it has, or gets its default. */
static uint8_t *present_of(const struct content *values, uint32_t count)
{
	uint8_t *bitmap = mem_alloc(count / 8 + 1);
	for (uint32_t i = 0; values != NULL && i < count; i++)
		bitmap[i / 8] |= (uint8_t)(!values[i].is_absent << i % 8);
	return bitmap;
}

/* The steps from `first` that go together, as a statement of their own: the server takes its flags from a statement's first event
 * (log_event_server.cc, Rows_log_event::do_apply_event). Returns how many. */
static enum err_code encode_some(const struct merge_step *first, size_t count, uint64_t table_id, uint32_t timestamp,
                                 uint32_t server, struct buf *to, size_t *ret_count, struct err *err)
{
	static const enum rows_kind kinds[] = {
	    [MERGE_INSERT] = ROWS_WRITE, [MERGE_UPDATE] = ROWS_UPDATE, [MERGE_DELETE] = ROWS_DELETE};
	struct table_map map = description_of(first->table)->map;
	uint8_t *present_before = present_of(first->before, map.column_count);
	uint8_t *present_after = present_of(first->after, map.column_count);
	map.table_id = table_id;
	struct rows_writer_what what = {
	    .kind = kinds[first->op],
	    .map = &map,
	    .flags = (uint16_t)(ROWS_FLAG_STATEMENT_END | (first->no_cascade ? ROWS_FLAG_NO_FOREIGN_KEY_CHECKS : 0)),
	    .timestamp = timestamp,
	    .server = server,
	    .present_before = present_before,
	    .present_after = present_after,
	    .event_size = EVENT_BYTES};
	struct rows_writer writer;
	enum err_code code = ERR_OK;
	size_t n = 0;
	if (map.has_full_metadata) /* a manifest's writes go by the columns' names */
		table_map_append_full(&map, to);
	else
		table_map_append(&map, to);
	rows_writer_start(&writer, &what, to);
	for (; code == ERR_OK && n < count && same_kind(first, &first[n]); n++)
		code = rows_writer_add(&writer, first[n].before, first[n].after, err);
	rows_writer_finish(&writer);
	free(present_before);
	free(present_after);
	*ret_count = n;
	return code;
}

enum err_code steps_encode(const struct merge_step *steps, size_t count, uint32_t timestamp, uint32_t server,
                           struct buf *to, struct err *err)
{
	enum err_code code = ERR_OK;
	size_t some;
	uint64_t table_id = TABLE_ID_FIRST;
	for (size_t i = 0; code == ERR_OK && i < count; i += some)
		code = encode_some(&steps[i], count - i, table_id++, timestamp, server, to, &some, err);
	return code;
}

void steps_apply(struct apply *apply, const struct buf *events)
{
	struct cursor c = cursor_of(events->data, events->size);
	struct event event;
	struct rows_event rows;
	while (rows_writer_next(&c, &event)) {
		if (event.type == EVENT_TABLE_MAP) {
			apply_table_map(apply, &event);
			continue;
		}
		apply_rows(apply, &event);
		if (rows_parse(&event, NULL, &rows, NULL) != ERR_OK || (rows.flags & ROWS_FLAG_STATEMENT_END) != 0)
			apply_statement_end(apply);
	}
}
