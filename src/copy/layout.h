/* The layout of a table: how its values are read, hashed and written exactly, and the key its rows are gone through by.
 *
 * A value travels as the source shows it (expression of the SELECT) and becomes a literal of the target's:
 *   whole numbers, DECIMAL  the text, not quoted: as a string it would be compared with a key as DOUBLE
 *   FLOAT, DOUBLE           the text of a DOUBLE, which has all digits, quoted, so that -0 keeps its sign
 *   times                   the text
 *   ENUM, SET, BIT          the number: '' may be a label or none
 *   UUID, INET4, INET6      the text; their bytes have another order
 *   all else                the bytes as they are stored, _binary'…', in no character set
 * Columns that are computed are left out; what is compared is what is copied.
 *
 * The key is the primary key, or a unique one without NULLs, of whole columns. Positions in it are texts as the SELECT
 * shows them, compared with literals that the index can be searched by. Without a key a table is copied whole.
 * Immutable once loaded.
 */
#ifndef SYNCLINE_COPY_LAYOUT_H
#define SYNCLINE_COPY_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "copy/objects.h"
#include "sql/connection.h"

enum value_class { VALUE_NUMBER, VALUE_REAL, VALUE_TIME, VALUE_CODE, VALUE_TYPED, VALUE_BYTES };

struct layout_column {
	char *name;
	enum value_class value;
	char character_set[33]; /* "binary" where there is none */
	bool is_long;           /* worth a hash of its own */
	bool is_nullable;
};

struct layout {
	char *table; /* `d`.`t` */
	bool is_versioned;
	size_t column_count; /* of those that are copied; none that is computed can be in the key, since it may be NULL */
	struct layout_column *columns;
	char *key_name; /* NULL: there is none */
	size_t key_count;
	size_t *key;           /* indexes of columns */
	bool has_other_unique; /* a row that comes may meet another that has its unique value */
	bool can_replace;
};

/* Of a table on this server. ERR_UNSUPPORTED: versioned by transaction numbers. */
enum err_code layout_load(struct connection *connection, const struct object *table, struct layout *ret,
                          struct err *err) ERR_MUST_CHECK;
void layout_free(struct layout *layout);

/* A place between two rows, one text for each column of the key. A zeroed one is free; layout_position_free. */
struct position {
	bool is_set;
	struct buf *values; /* key_count */
};

/* Rows behind `from` up to and with `to`; either may be unset. */
struct range {
	struct position from, to;
};

/* From the values of a row that layout_append_select or layout_append_key asked for. */
void layout_take_position(const struct layout *layout, struct position *position, const char *const *values,
                          const unsigned long *sizes, bool is_key_only);
void layout_move_position(struct position *to, struct position *from); /* `from` is unset then */
void layout_position_free(const struct layout *layout, struct position *position);

/* A literal of this column of the key, as the index can be searched by; from its text in a position. */
void layout_append_key_value(const struct layout *layout, size_t i, const void *bytes, size_t size, struct buf *sql);
void layout_append_where(const struct layout *layout, const struct range *range, struct buf *sql);
/* SELECT of all columns, in the key's order. */
void layout_append_select(const struct layout *layout, const struct range *range, struct buf *sql);
/* SELECT of the key, in its order. */
void layout_append_key(const struct layout *layout, const struct range *range, struct buf *sql);
/* SELECT of: the number of rows, of those with a hash, two sums of the hashes, and about how many bytes. `only`: a
 * condition besides the range, NULL for none. */
void layout_append_digest(const struct layout *layout, const struct range *range, const char *only, struct buf *sql);
/* SELECT of: the number of rows, and one number over all of them, several times as fast; only of a table with a key. Each
 * row counts as the product of two different CRCs of all its values: alone, either would be blind to values that
 * changed places between rows, since what XOR puts together is linear in a CRC. */
void layout_append_quick_digest(const struct layout *layout, const struct range *range, const char *only,
                                struct buf *sql);
/* SELECT of each row's key and hash, in the key's order. */
void layout_append_hashes(const struct layout *layout, const struct range *range, const char *only, struct buf *sql);
/* SELECT of all columns and the hash, of the rows that meet the condition. */
void layout_append_hashed_rows(const struct layout *layout, const char *only, struct buf *sql);
/* "INSERT INTO `d`.`t` (…) VALUES " */
void layout_append_insert(const struct layout *layout, const char *verb, struct buf *sql);
/* "(…)" with the values that layout_append_select asked for. */
void layout_append_row(const struct layout *layout, const char *const *values, const unsigned long *sizes,
                       struct buf *sql);
/* "`a`=1,`b`=x'…'" of the same, printable throughout. */
void layout_append_assignments(const struct layout *layout, const char *const *values, const unsigned long *sizes,
                               struct buf *sql);
/* One value of them as a literal, printable. */
void layout_append_printable(const struct layout *layout, size_t column, const char *bytes, size_t size,
                             struct buf *sql);

#endif
