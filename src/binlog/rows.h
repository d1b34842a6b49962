/* Rows events: the rows that a statement wrote, updated or deleted, and where each field of each row begins and ends.
 *
 *      6        2     (v2: extra data)   lenenc       (n+7)/8                 (n+7)/8, update only
 *   table id  flags                    column count  columns present before  columns present after | rows …
 *   a row:  NULL bits of the present columns | fields;   an update has two images a row, before and after
 *
 * rows_parse and rows_next borrow from the event and the table map. Events must be plain (event_uncompress first).
 */
#ifndef SYNCLINE_BINLOG_ROWS_H
#define SYNCLINE_BINLOG_ROWS_H

#include "binlog/event.h"
#include "binlog/table_map.h"

enum rows_kind { ROWS_WRITE, ROWS_UPDATE, ROWS_DELETE };
enum {
	ROWS_FLAG_STATEMENT_END = 1,
	ROWS_FLAG_NO_FOREIGN_KEY_CHECKS = 2,
	ROWS_FLAG_RELAXED_UNIQUE_CHECKS = 4,
	ROWS_FLAG_COMPLETE_ROWS = 8,
	ROWS_FLAG_NO_CHECK_CONSTRAINTS = 128
};

bool event_is_rows(uint8_t type); /* plain or compressed, v1 or v2 */

struct rows_event {
	enum rows_kind kind;
	bool is_v2;
	uint64_t table_id;
	uint16_t flags;
	uint32_t column_count;
	const uint8_t *present_before; /* bitmaps; write: only after is set, delete: only before */
	const uint8_t *present_after;
	const uint8_t *prefix; /* the event's body up to the rows: post-header, width, bitmaps */
	size_t prefix_size;
	const uint8_t *rows;
	size_t rows_size;
};

/* map may be NULL: then table id and column count aren't checked against it. */
enum err_code rows_parse(const struct event *event, const struct table_map *map, struct rows_event *ret,
                         struct err *err) ERR_MUST_CHECK;

struct field {
	const uint8_t *bytes; /* as they stand in the row image, with their length prefix; NULL if absent or SQL NULL */
	uint32_t size;
	bool present;
	bool is_null;
};

/* One row change. before/after are arrays of column_count fields, owned by the iterator; has_ says which count. */
struct row_change {
	bool has_before, has_after;
	const struct field *before, *after;
	const uint8_t *bytes; /* the whole row change as it stands in the event */
	size_t size;
};

struct rows_iter {
	struct rows_event event;
	const struct table_map *map;
	struct cursor cursor;
	struct field *fields; /* owned: 2 * column_count */
	uint32_t field_capacity;
	uint64_t row_number; /* from 1; of the row last given */
};

/* Zeroes; then rows_iter_start as often as you like, then rows_iter_free. */
void rows_iter_init(struct rows_iter *iter);
void rows_iter_start(struct rows_iter *iter, const struct rows_event *event, const struct table_map *map);
/* ERR_OK and *ret_more=false at the end. The change is valid until the next call. A write without any column present (a
 * REPLACE … () with row image MINIMAL) is one row of size 0. */
enum err_code rows_next(struct rows_iter *iter, struct row_change *ret_change, bool *ret_more, struct err *err)
    ERR_MUST_CHECK;
void rows_iter_free(struct rows_iter *iter);

/* Appends a rows event like `event` (its header and prefix) with only the given rows bytes and with these flags; no
 * checksum, header length right. */
void rows_append_event(const struct event *event, const struct rows_event *rows, uint16_t flags,
                       const uint8_t *row_bytes, size_t row_bytes_size, struct buf *to);

#endif
