/* Shared by the parsers in this folder, not by anybody else. */
#ifndef SYNCLINE_BINLOG_INTERNAL_H
#define SYNCLINE_BINLOG_INTERNAL_H

#include "binlog/event.h"

/* MariaDB's own limit (sql/unireg.h, MAX_FIELDS); keeps what a hostile event can make us allocate small. */
enum { COLUMNS_MAX = 4096 };

/* Where the length is in an event's header. */
enum { EVENT_LENGTH_AT = 9 };

/* "table map event that ends at 1234: …" */
enum err_code event_fail(const struct event *event, enum err_code code, struct err *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* An event of one's own: event_begin appends its header and returns where it begins, event_end makes its length
 * right. */
size_t event_begin(uint8_t type, uint32_t timestamp, uint32_t server, struct buf *to);
void event_end(size_t begin, struct buf *to);

/* ERR_USAGE unless the event has this type. */
enum err_code event_expect(const struct event *event, uint8_t type, struct err *err) ERR_MUST_CHECK;

/* Walks the fixed part and the bitmaps of a rows event of either version, plain or compressed; false if cut off. */
struct rows_head {
	uint64_t table_id;
	uint16_t flags;
	uint64_t column_count;
	const uint8_t *first_bitmap;
	const uint8_t *second_bitmap; /* NULL unless the event is an update */
};
bool rows_head_read(const struct event *event, struct cursor *c, struct rows_head *ret);

/* The plain type a compressed event stands for, 0 for any other type. */
uint8_t event_plain_type(uint8_t type);

#endif
