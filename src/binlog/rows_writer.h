/* Writes rows events (v1, no checksum) of one's own: rows of one kind and one table, in as many events as their size
 * asks for.
 *
 *     rows_writer_start(&writer, &what, &events);
 *     rows_writer_add(&writer, before, after, &err)      for each row
 *     rows_writer_finish(&writer);
 *     for (struct cursor c = cursor_of(events.data, events.size); rows_writer_next(&c, &event);) …
 *
 * Which columns are present is the same for all rows. Of an update, the server finds the row by what is present
 * before and changes what is present after. Of a write, columns that aren't present get their defaults, if these are
 * plain (column_default_is_plain). A table map event with the same id goes ahead of the events (table_map_append).
 *
 * The writer is embedded in its caller and owns nothing. The events are appended to the caller's buffer, one behind
 * the other, and it is not to be touched between start and finish. Pure; one thread.
 */
#ifndef SYNCLINE_BINLOG_ROWS_WRITER_H
#define SYNCLINE_BINLOG_ROWS_WRITER_H

#include "binlog/rows.h"
#include "binlog/value.h"

struct rows_writer_what {
	enum rows_kind kind;
	const struct table_map *map;
	uint16_t flags;     /* ROWS_FLAG_; STATEMENT_END is put into the last event alone */
	uint32_t timestamp; /* seconds; what CURRENT_TIMESTAMP is to a default or an ON UPDATE */
	uint32_t server;
	/* Bitmaps like those of rows_event: column i is bit i % 8 of byte i / 8. NULL: all columns. */
	const uint8_t *present_before; /* of updates and deletes */
	const uint8_t *present_after;  /* of updates and writes */
	size_t event_size;             /* an event that has reached it is ended; 0: each row is an event */
};

struct rows_writer {
	struct rows_writer_what what;
	struct buf *to;
	size_t begin; /* of the last event in `to` */
	bool is_open; /* it can take more rows */
	bool is_any;  /* there is an event */
};

/* Everything is borrowed until rows_writer_finish. */
void rows_writer_start(struct rows_writer *writer, const struct rows_writer_what *what, struct buf *to);
/* Arrays of map->column_count contents, of which those of absent columns aren't looked at; before is NULL for a
 * write, after for a delete. An error (a value that the column can't have, NULL for a column that is NOT NULL, an
 * event beyond 1 GiB) says which column; the row is left out then. */
enum err_code rows_writer_add(struct rows_writer *writer, const struct content *before, const struct content *after,
                              struct err *err) ERR_MUST_CHECK;
/* Ends the last event. Without any row there is none. */
void rows_writer_finish(struct rows_writer *writer);

/* The next of events that rows_writer and table_map_append wrote; false at the end. Borrowed from the cursor's
 * bytes. */
bool rows_writer_next(struct cursor *events, struct event *ret_event);

#endif
