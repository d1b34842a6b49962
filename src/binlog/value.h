/* Field values: sizes and text.
 *
 * field_size tells how many bytes a field takes in a row image, from its column's type and metadata; everything that
 * walks rows stands on it. value_format prints a value as mariadb-binlog -vv does, for messages, conflict records and
 * tests. Pure; bounds-checked.
 */
#ifndef SYNCLINE_BINLOG_VALUE_H
#define SYNCLINE_BINLOG_VALUE_H

#include "binlog/rows.h"

/* Steps the cursor over one field of this column. A malformed field fails the cursor. An unknown type is
 * ERR_UNSUPPORTED. */
enum err_code field_skip(const struct column *column, struct cursor *c, struct err *err) ERR_MUST_CHECK;

/* Appends the value as text: numbers and times as MariaDB prints them, character data quoted and escaped, binary as
 * x'…', NULL as NULL, absent as <absent>. */
enum err_code value_format(const struct column *column, const struct field *field, struct buf *to, struct err *err)
    ERR_MUST_CHECK;

/* Of a string, blob or compressed column: the value's bytes without the length prefix (borrowed); compressed columns
 * are uncompressed into `scratch`. */
enum err_code value_bytes(const struct column *column, const struct field *field, struct buf *scratch,
                          const uint8_t **ret_bytes, size_t *ret_size, struct err *err) ERR_MUST_CHECK;
/* Of an integer column. */
enum err_code value_uint(const struct column *column, const struct field *field, uint64_t *ret_value, struct err *err)
    ERR_MUST_CHECK;

#endif
