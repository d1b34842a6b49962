/* Field values: sizes, contents and text.
 *
 * field_skip tells how many bytes a field takes in a row image, from its column's type and metadata; everything that
 * walks rows stands on it. field_content and field_append go between a field, as it stands in the image of one table,
 * and its content, which is the same whatever the length prefix is or whether the column is compressed. value_format
 * writes a value as text, for messages and tests, content_format as one that can be written back, for conflict
 * records. Pure; bounds-checked.
 *
 * What the log itself loses: UUID, INET6 and INET4 are BINARY there; CHAR comes without trailing blanks, BINARY and the
 * like without trailing zeros. So the same value always has the same bytes, but not always as many as its column;
 * except in a compressed column, where the bytes depend on who compressed them: compare what field_content gives.
 */
#ifndef SYNCLINE_BINLOG_VALUE_H
#define SYNCLINE_BINLOG_VALUE_H

#include "binlog/rows.h"

/* Steps the cursor over one field of this column. A malformed field fails the cursor. An unknown type is
 * ERR_UNSUPPORTED. */
enum err_code field_skip(const struct column *column, struct cursor *c, struct err *err) ERR_MUST_CHECK;

/* Appends the value as text, always valid UTF-8 on one line:
 *   integers, DECIMAL        as SELECT shows them
 *   FLOAT, DOUBLE            with as few digits as are needed to read the same number again
 *   DATE, TIME, DATETIME     quoted, as SELECT shows them; YEAR without quotes
 *   TIMESTAMP                seconds since 1970 with its fraction, so that no time zone matters
 *   BIT                      b'0101'
 *   ENUM, SET                quoted labels; the number or the bits if the table map has none
 *   text                     quoted, escaped as in SQL
 *   binary, GEOMETRY, and text that is no UTF-8 (its collation is another) or has control characters   x'0a1b'
 *   NULL, <absent> */
enum err_code value_format(const struct column *column, const struct field *field, struct buf *to, struct err *err)
    ERR_MUST_CHECK;

/* A value without what only its place in a row image adds: a field's bytes, of strings and blobs without the length
 * prefix, of compressed columns uncompressed. */
struct content {
	const uint8_t *bytes; /* borrowed */
	uint32_t size;
	bool is_null;   /* then there are no bytes */
	bool is_absent; /* nobody said what it is: to be left as it is (mapping_contents; nobody else sets it) */
};

/* The content of a field that has a value: borrowed from the field, or, of a compressed column, from `scratch`, into
 * which up to 256 MiB are uncompressed. */
enum err_code field_content(const struct column *column, const struct field *field, struct buf *scratch,
                            const uint8_t **ret_bytes, size_t *ret_size, struct err *err) ERR_MUST_CHECK;
/* Appends a field of this column with this content. An integer, ENUM or SET of fewer bytes than the column's is
 * extended, by the column's sign: so contents can move to a wider column. What goes into a compressed column is
 * compressed. ERR_MALFORMED, and nothing appended, for what can't be a value of the column. */
enum err_code field_append(const struct column *column, const uint8_t *bytes, size_t size, struct buf *to,
                           struct err *err) ERR_MUST_CHECK;
/* Can content_format give the text itself? BIT, GEOMETRY, binary strings, and strings in a character set other than
 * utf8mb4, utf8mb3, ascii and (as far as it is ASCII) latin1 can only be had as hexadecimal bytes; so can what has a
 * NUL or isn't what its character set says. */
bool content_is_text(const struct column *column, const struct content *content);
/* Appends the text of a content that isn't NULL, without quotes: what an SQL string literal must hold so that the
 * column is given the same value, in a session of utf8mb4 with time_zone='+00:00'. As SELECT shows it, but
 *   TIMESTAMP                date and time in UTC
 *   FLOAT, DOUBLE            with as many digits as are needed
 *   ZEROFILL                 without the zeros
 *   ENUM, SET                the labels; without labels the number
 * as_hex: the same as hexadecimal digits of the bytes in the column's character set; a BINARY as long as its column.
 * Must be given for what content_is_text is false of, and may be given for every string, ENUM and SET. A UUID's bytes
 * are those of the log, where it is stored with its parts in another order. */
enum err_code content_format(const struct column *column, const struct content *content, bool as_hex, struct buf *to,
                             struct err *err) ERR_MUST_CHECK;

/* Appends the content of what a server's SELECT says of a value, the way back from content_format, but
 *   strings, GEOMETRY        hexadecimal digits of the bytes, as in the column's character set
 *   BIT, ENUM, SET           the number
 *   TIMESTAMP                seconds since 1970 with its fraction
 * ERR_MALFORMED, and nothing appended, for what can't be a value of the column, and for fractions of a second in a column
 * with mysql56_temporal_format=OFF. */
enum err_code content_parse(const struct column *column, const char *text, struct buf *to, struct err *err)
    ERR_MUST_CHECK;

bool content_is_integer(const struct column *column); /* not BIT, YEAR, ENUM, SET */
/* The most bytes that a content of this column can have. */
uint64_t content_size_max(const struct column *column);
/* Of an integer column (not BIT, YEAR, ENUM, SET); a negative value is sign-extended: cast it to int64_t. */
enum err_code value_uint(const struct column *column, const struct field *field, uint64_t *ret_value, struct err *err)
    ERR_MUST_CHECK;

#endif
