/* A table map event: which table the rows events behind it are about, and its columns; read and written.
 *
 * table_map_parse copies what it needs out of the event, so a table map outlives it: owned by the caller, freed with
 * table_map_free. Column names, keys and so on come from the optional metadata (binlog_row_metadata=FULL); without it
 * names are NULL and has_full_metadata is false. Facts: MariaDB sql/log_event.h, class Table_map_log_event.
 */
#ifndef SYNCLINE_BINLOG_TABLE_MAP_H
#define SYNCLINE_BINLOG_TABLE_MAP_H

#include "binlog/event.h"

/* MYSQL_TYPE_* as they stand in a table map (MariaDB include/mysql_com.h, enum enum_field_types). */
enum column_type {
	COLUMN_DECIMAL = 0,
	COLUMN_TINY = 1,
	COLUMN_SHORT = 2,
	COLUMN_LONG = 3,
	COLUMN_FLOAT = 4,
	COLUMN_DOUBLE = 5,
	COLUMN_NULL = 6,
	COLUMN_TIMESTAMP = 7,
	COLUMN_LONGLONG = 8,
	COLUMN_INT24 = 9,
	COLUMN_DATE = 10,
	COLUMN_TIME = 11,
	COLUMN_DATETIME = 12,
	COLUMN_YEAR = 13,
	COLUMN_NEWDATE = 14,
	COLUMN_VARCHAR = 15,
	COLUMN_BIT = 16,
	COLUMN_TIMESTAMP2 = 17,
	COLUMN_DATETIME2 = 18,
	COLUMN_TIME2 = 19,
	COLUMN_BLOB_COMPRESSED = 140,
	COLUMN_VARCHAR_COMPRESSED = 141,
	COLUMN_NEWDECIMAL = 246,
	COLUMN_ENUM = 247,
	COLUMN_SET = 248,
	COLUMN_TINY_BLOB = 249,
	COLUMN_MEDIUM_BLOB = 250,
	COLUMN_LONG_BLOB = 251,
	COLUMN_BLOB = 252,
	COLUMN_VAR_STRING = 253,
	COLUMN_STRING = 254,
	COLUMN_GEOMETRY = 255,
};

/* Metadata, made uniform here:
 *   STRING, VARCHAR (compressed too)    the longest value in bytes
 *   ENUM, SET, FLOAT, DOUBLE            bytes a value takes
 *   blobs and GEOMETRY                  bytes of the length before a value
 *   NEWDECIMAL                          precision << 8 | scale
 *   BIT                                 bits
 *   TIMESTAMP2, DATETIME2, TIME2        fraction digits
 *   TIMESTAMP, DATETIME, TIME           0. Tables made with mysql56_temporal_format=OFF have these, and then the log
 *                                       doesn't say how many fraction digits there are; whoever knows that they are
 *                                       not 0 (information_schema shows "mariadb-5.3") can put their number here
 *   any other                           0
 */
struct column {
	uint8_t type;      /* enum column_type; for COLUMN_STRING the real type: COLUMN_ENUM, COLUMN_SET or COLUMN_STRING */
	uint16_t metadata; /* by type, below */
	bool nullable;
	bool is_unsigned; /* YEAR is */
	bool in_primary_key;
	uint16_t primary_key_prefix; /* characters of the column that are in the key, 0 for all of it */
	uint16_t collation;          /* id, 0 if unknown or not a character column */
	const char *name;            /* NUL-terminated, owned by the table map, NULL without full metadata */
	/* ENUM and SET: the names of the values, owned by the table map; 0 and NULL without full metadata. */
	uint16_t label_count;
	const char *const *labels;
	const uint16_t *label_sizes; /* labels of a utf16 or utf32 column have NULs inside */
};

/* Sizes of BIT columns are in bits; every server sets it (MariaDB sql/log_event.h, TM_BIT_LEN_EXACT_F). */
enum { TABLE_MAP_FLAG_BITS_EXACT = 1 };

struct table_map {
	uint64_t table_id; /* 48 bits */
	uint16_t flags;
	char *database; /* NUL-terminated, owned */
	char *table;
	uint32_t column_count;
	struct column *columns;
	bool has_full_metadata; /* column names are there */
	uint32_t primary_key_count;
	uint32_t *primary_key; /* column numbers in key order */
	void *owned;           /* the strings that columns point into */
};

enum err_code table_map_parse(const struct event *event, struct table_map *ret_map, struct err *err) ERR_MUST_CHECK;
void table_map_free(struct table_map *map); /* accepts a zeroed one */
/* Appends a whole event, without a checksum, for rows events that rows_writer makes: what table_map_parse reads,
 * without the optional metadata, which no server looks at when it applies rows. Its time and server id are 0: those
 * of the rows count. */
void table_map_append(const struct table_map *map, struct buf *to);
/* With it, of a map that has_full_metadata: for events that other nodes read, too. */
void table_map_append_full(const struct table_map *map, struct buf *to);
/* Only the ids, without parsing the rest. */
enum err_code table_map_parse_id(const struct event *event, uint64_t *ret_table_id, struct err *err) ERR_MUST_CHECK;

#endif
