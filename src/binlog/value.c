#include "binlog/value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binlog/compress.h"
#include "binlog/internal.h"

/* A value larger than this isn't uncompressed: nobody wants it in a message, and a key can't be that long. */
enum { VALUE_SIZE_MAX = 256 << 20, COLLATION_BINARY = 63, COMPRESSED_FROM = 100 };

/* How many bytes a field takes. */
enum size_form {
	SIZE_UNKNOWN,
	SIZE_FIXED,    /* type_layout.base */
	SIZE_METADATA, /* the metadata itself */
	SIZE_DECIMAL,
	SIZE_BITS,
	SIZE_FRACTION, /* base, and a byte for every two fraction digits (MySQL 5.6's temporal types) */
	SIZE_HIRES,    /* base, or with fraction digits type_layout.hires (MariaDB 5.3's) */
	SIZE_LENGTH,   /* a length of 1 byte, of 2 if values can be longer than 255, and then the value */
	SIZE_PREFIX,   /* a length of so many bytes as the metadata says, and then the value */
};

static const uint8_t hires_time[7] = {3, 4, 4, 5, 5, 5, 6};
static const uint8_t hires_datetime[7] = {8, 6, 6, 7, 7, 7, 8};
static const uint8_t hires_timestamp[7] = {4, 5, 5, 6, 6, 7, 7};

typedef void format_function(const struct column *column, struct cursor *c, struct buf *to);
static format_function format_integer, format_float, format_double, format_decimal, format_bit, format_year,
    format_date, format_time2, format_datetime2, format_time, format_datetime, format_timestamp, format_enum,
    format_set;

static const struct type_layout {
	enum size_form form;
	uint8_t base;
	const uint8_t *hires;
	format_function *format; /* NULL for strings, which field_content takes apart */
	bool is_quoted;          /* in SQL: dates and times */
} layouts[256] = {
    [COLUMN_TINY] = {SIZE_FIXED, 1, NULL, format_integer},
    [COLUMN_SHORT] = {SIZE_FIXED, 2, NULL, format_integer},
    [COLUMN_INT24] = {SIZE_FIXED, 3, NULL, format_integer},
    [COLUMN_LONG] = {SIZE_FIXED, 4, NULL, format_integer},
    [COLUMN_LONGLONG] = {SIZE_FIXED, 8, NULL, format_integer},
    [COLUMN_FLOAT] = {SIZE_FIXED, 4, NULL, format_float},
    [COLUMN_DOUBLE] = {SIZE_FIXED, 8, NULL, format_double},
    [COLUMN_NEWDECIMAL] = {SIZE_DECIMAL, 0, NULL, format_decimal},
    [COLUMN_BIT] = {SIZE_BITS, 0, NULL, format_bit},
    [COLUMN_YEAR] = {SIZE_FIXED, 1, NULL, format_year},
    [COLUMN_DATE] = {SIZE_FIXED, 3, NULL, format_date, true},
    [COLUMN_NEWDATE] = {SIZE_FIXED, 3, NULL, format_date, true},
    [COLUMN_TIME2] = {SIZE_FRACTION, 3, NULL, format_time2, true},
    [COLUMN_DATETIME2] = {SIZE_FRACTION, 5, NULL, format_datetime2, true},
    [COLUMN_TIMESTAMP2] = {SIZE_FRACTION, 4, NULL, format_timestamp},
    [COLUMN_TIME] = {SIZE_HIRES, 3, hires_time, format_time, true},
    [COLUMN_DATETIME] = {SIZE_HIRES, 8, hires_datetime, format_datetime, true},
    [COLUMN_TIMESTAMP] = {SIZE_HIRES, 4, hires_timestamp, format_timestamp},
    [COLUMN_ENUM] = {SIZE_METADATA, 0, NULL, format_enum},
    [COLUMN_SET] = {SIZE_METADATA, 0, NULL, format_set},
    [COLUMN_STRING] = {SIZE_LENGTH, 0, NULL, NULL},
    [COLUMN_VARCHAR] = {SIZE_LENGTH, 0, NULL, NULL},
    [COLUMN_VARCHAR_COMPRESSED] = {SIZE_LENGTH, 0, NULL, NULL},
    [COLUMN_TINY_BLOB] = {SIZE_PREFIX, 0, NULL, NULL},
    [COLUMN_BLOB] = {SIZE_PREFIX, 0, NULL, NULL},
    [COLUMN_MEDIUM_BLOB] = {SIZE_PREFIX, 0, NULL, NULL},
    [COLUMN_LONG_BLOB] = {SIZE_PREFIX, 0, NULL, NULL},
    [COLUMN_BLOB_COMPRESSED] = {SIZE_PREFIX, 0, NULL, NULL},
    [COLUMN_GEOMETRY] = {SIZE_PREFIX, 0, NULL, NULL},
};

static bool is_string(const struct column *column)
{
	enum size_form form = layouts[column->type].form;
	return form == SIZE_LENGTH || form == SIZE_PREFIX;
}

static bool is_compressed(const struct column *column)
{
	return column->type == COLUMN_VARCHAR_COMPRESSED || column->type == COLUMN_BLOB_COMPRESSED;
}

static unsigned prefix_size(const struct column *column)
{
	if (layouts[column->type].form == SIZE_PREFIX)
		return column->metadata;
	return column->metadata > 255 ? 2 : 1;
}

static unsigned fraction_digits(const struct column *column)
{
	return column->metadata <= 6 ? column->metadata : 6;
}

/* Nine digits take four bytes, and what is left of them as many as they need (MariaDB strings/decimal.c, dig2bytes). */
static unsigned digits_size(unsigned digits)
{
	static const uint8_t sizes[10] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
	return digits / 9 * 4 + sizes[digits % 9];
}

static unsigned decimal_scale(const struct column *column)
{
	return column->metadata & 0xff;
}

static unsigned decimal_whole(const struct column *column)
{
	return (unsigned)(column->metadata >> 8) - decimal_scale(column);
}

/* Of a field that isn't a string. */
static size_t plain_size(const struct column *column)
{
	const struct type_layout *layout = &layouts[column->type];
	switch (layout->form) {
	case SIZE_FIXED:
		return layout->base;
	case SIZE_METADATA:
		return column->metadata;
	case SIZE_DECIMAL:
		return digits_size(decimal_whole(column)) + digits_size(decimal_scale(column));
	case SIZE_BITS:
		return (column->metadata + 7u) / 8;
	case SIZE_FRACTION:
		return layout->base + (fraction_digits(column) + 1) / 2;
	case SIZE_HIRES:
		return layout->hires[fraction_digits(column)];
	default:
		return 0;
	}
}

static uint64_t sign_extend(uint64_t value, size_t size)
{
	unsigned unused = 64 - 8 * (unsigned)size;
	return (uint64_t)((int64_t)(value << unused) >> unused);
}

/* The log doesn't say whether a TIME or DATETIME column in the format of MariaDB 5.3 has fraction digits; bytes that
 * are no time are a sign that it has. */
static bool plausible_time(const struct column *column, struct cursor c)
{
	if (fraction_digits(column) > 0)
		return true;
	if (column->type == COLUMN_TIME) {
		int64_t time = (int64_t)sign_extend(cursor_u24(&c), 3);
		uint32_t digits = (uint32_t)(time < 0 ? -time : time);
		return digits / 10000 < 839 && digits / 100 % 100 < 60 && digits % 100 < 60;
	}
	if (column->type == COLUMN_DATETIME) {
		uint64_t digits = cursor_u64(&c);
		uint32_t day = (uint32_t)(digits / 1000000 % 10000), time = (uint32_t)(digits % 1000000);
		return digits <= UINT64_C(99991231235959) && day / 100 <= 12 && day % 100 <= 31 && time / 10000 < 24 &&
		       time / 100 % 100 < 60 && time % 100 < 60;
	}
	return true;
}

enum err_code field_skip(const struct column *column, struct cursor *c, struct err *err)
{
	if (is_string(column)) {
		cursor_skip(c, (size_t)cursor_uint(c, prefix_size(column)));
	} else if (column->type == COLUMN_NULL) {
		return ERR_OK;
	} else if (layouts[column->type].form == SIZE_UNKNOWN) {
		return err_set(err, ERR_UNSUPPORTED,
		               "column %s has type %u, of which the log doesn't tell the size; if the table is "
		               "from a very old server, ALTER TABLE … FORCE rewrites it",
		               column->name ? column->name : "?", column->type);
	} else {
		struct cursor field = cursor_sub(c, plain_size(column));
		if (!plausible_time(column, field))
			cursor_fail(c);
	}
	return ERR_OK;
}

/* Makes sure that the field is one value of the column, so that what takes it apart needn't look again. */
static enum err_code check_field(const struct column *column, const struct field *field, struct err *err)
{
	if (!field->present || field->is_null)
		return err_set(err, ERR_USAGE, "column %s has no value here", column->name ? column->name : "?");
	struct cursor c = cursor_of(field->bytes, field->size);
	enum err_code code = field_skip(column, &c, err);
	if (code == ERR_OK && !cursor_done(&c))
		code =
		    err_set(err, ERR_MALFORMED, "a value of column %s has the wrong size", column->name ? column->name : "?");
	return code;
}

/* A compressed column: nothing for '', else 1 byte method << 4; of method 0 the value follows, method 8 is zlib, with 8
 * for "no zlib header" and the width of the original size, then that size big-endian (MariaDB sql/field_comp.cc). */
static enum err_code uncompress_value(const struct column *column, struct cursor c, struct buf *scratch,
                                      const uint8_t **ret_bytes, size_t *ret_size, struct err *err)
{
	uint8_t head = cursor_left(&c) > 0 ? cursor_u8(&c) : 0;
	if (head >> 4 == 0) {
		*ret_size = cursor_left(&c);
		*ret_bytes = c.pos;
		return ERR_OK;
	}
	unsigned width = head & 7;
	uint64_t original_size = width > 0 ? cursor_uint_be(&c, width) : 0;
	if (head >> 4 != 8 || width == 0 || !cursor_ok(&c))
		return err_set(err, ERR_MALFORMED, "a value of column %s is compressed in an unknown way (%02x)",
		               column->name ? column->name : "?", head);
	buf_clear(scratch);
	enum err_code code =
	    compress_inflate(c.pos, cursor_left(&c), head & 8, original_size, VALUE_SIZE_MAX, scratch, err);
	if (code != ERR_OK)
		return code;
	*ret_bytes = scratch->data;
	*ret_size = scratch->size;
	return ERR_OK;
}

enum err_code field_content(const struct column *column, const struct field *field, struct buf *scratch,
                            const uint8_t **ret_bytes, size_t *ret_size, struct err *err)
{
	enum err_code code = check_field(column, field, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(field->bytes, field->size);
	if (is_string(column))
		cursor_skip(&c, prefix_size(column));
	if (is_compressed(column))
		return uncompress_value(column, c, scratch, ret_bytes, ret_size, err);
	*ret_size = cursor_left(&c);
	*ret_bytes = c.pos;
	return ERR_OK;
}

static enum err_code fail_content(const struct column *column, size_t size, struct err *err)
{
	return err_set(err, ERR_MALFORMED, "%zu bytes can't be a value of column %s (type %u, %u)", size,
	               column->name ? column->name : "?", column->type, column->metadata);
}

uint64_t content_size_max(const struct column *column)
{
	if (!is_string(column))
		return plain_size(column);
	if (layouts[column->type].form == SIZE_PREFIX)
		return UINT64_MAX >> (64 - 8 * prefix_size(column));
	return column->metadata - (is_compressed(column) && column->metadata > 0);
}

/* The stored form of a value in a compressed column (see uncompress_value): short ones and those that deflate makes no
 * smaller as they are, as MariaDB does (its column_compression_threshold is 100). */
static void append_stored(const uint8_t *bytes, size_t size, struct buf *to)
{
	size_t start = to->size;
	if (size == 0)
		return;
	if (size >= COMPRESSED_FROM) {
		unsigned width = size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= 0xffffff ? 3 : 4;
		buf_append_u8(to, (uint8_t)(0x88 | width));
		for (unsigned i = width; i > 0; i--)
			buf_append_u8(to, (uint8_t)(size >> (8 * (i - 1))));
		if (compress_deflate(bytes, size, size - width, to))
			return;
		to->size = start;
	}
	buf_append_u8(to, 0);
	buf_append(to, bytes, size);
}

static enum err_code append_string(const struct column *column, const uint8_t *bytes, size_t size, struct buf *to,
                                   struct err *err)
{
	size_t start = to->size, prefix = prefix_size(column);
	if (size > content_size_max(column))
		return fail_content(column, size, err);
	buf_reserve(to, prefix);
	to->size += prefix; /* written when the size of what is stored is known */
	if (is_compressed(column))
		append_stored(bytes, size, to);
	else
		buf_append(to, bytes, size);
	uint64_t stored_size = to->size - start - prefix;
	if (stored_size >> (8 * prefix) != 0) {
		to->size = start;
		return fail_content(column, size, err);
	}
	for (size_t i = 0; i < prefix; i++)
		to->data[start + i] = (uint8_t)(stored_size >> (8 * i));
	return ERR_OK;
}

static bool is_extensible(const struct column *column)
{
	return layouts[column->type].format == format_integer || column->type == COLUMN_ENUM || column->type == COLUMN_SET;
}

enum err_code field_append(const struct column *column, const uint8_t *bytes, size_t size, struct buf *to,
                           struct err *err)
{
	if (is_string(column))
		return append_string(column, bytes, size, to, err);
	size_t width = plain_size(column);
	bool is_known = layouts[column->type].form != SIZE_UNKNOWN || column->type == COLUMN_NULL;
	if (!is_known || size > width || (size < width && (size == 0 || !is_extensible(column))))
		return fail_content(column, size, err);
	if (layouts[column->type].form == SIZE_HIRES && !plausible_time(column, cursor_of(bytes, size)))
		return fail_content(column, size, err);
	bool is_negative =
	    size > 0 && layouts[column->type].format == format_integer && !column->is_unsigned && bytes[size - 1] & 0x80;
	buf_append(to, bytes, size);
	for (; size < width; size++)
		buf_append_u8(to, is_negative ? 0xff : 0);
	return ERR_OK;
}

static uint64_t read_integer(const struct column *column, struct cursor *c)
{
	size_t size = plain_size(column);
	uint64_t value = cursor_uint(c, (unsigned)size);
	return column->is_unsigned ? value : sign_extend(value, size);
}

enum err_code value_uint(const struct column *column, const struct field *field, uint64_t *ret_value, struct err *err)
{
	if (layouts[column->type].format != format_integer)
		return err_set(err, ERR_USAGE, "column %s is not an integer", column->name ? column->name : "?");
	enum err_code code = check_field(column, field, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(field->bytes, field->size);
	*ret_value = read_integer(column, &c);
	return ERR_OK;
}

static void format_integer(const struct column *column, struct cursor *c, struct buf *to)
{
	uint64_t value = read_integer(column, c);
	if (column->is_unsigned)
		buf_printf(to, "%" PRIu64, value);
	else
		buf_printf(to, "%" PRId64, (int64_t)value);
}

/* The fewest digits that give the same number when read again. */
static void format_float(const struct column *column, struct cursor *c, struct buf *to)
{
	(void)column;
	uint32_t bits = cursor_u32(c);
	float value;
	memcpy(&value, &bits, sizeof value);
	char text[32];
	for (int digits = 6; digits <= 9; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, (double)value);
		if (strtof(text, NULL) >= value && strtof(text, NULL) <= value)
			break;
	}
	buf_append_str(to, text);
}

static void format_double(const struct column *column, struct cursor *c, struct buf *to)
{
	(void)column;
	uint64_t bits = cursor_u64(c);
	double value;
	memcpy(&value, &bits, sizeof value);
	char text[40];
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, value);
		if (strtod(text, NULL) >= value && strtod(text, NULL) <= value)
			break;
	}
	buf_append_str(to, text);
}

/* Appends the decimal digits that the next bytes hold; `flip` undoes how negative numbers are stored. */
static void append_digits(struct cursor *c, unsigned digits, uint8_t flip, struct buf *to)
{
	unsigned size = digits_size(digits);
	uint32_t value = (uint32_t)cursor_uint_be(c, size);
	uint32_t mask = flip ? (uint32_t)((UINT64_C(1) << (8 * size)) - 1) : 0;
	if (digits > 0)
		buf_printf(to, "%0*" PRIu32, (int)digits, value ^ mask);
}

/* Big-endian, so that bytes compare as numbers do: the sign bit is flipped, and of a negative number all the others
 * (MariaDB strings/decimal.c, decimal2bin). */
static void format_decimal(const struct column *column, struct cursor *c, struct buf *to)
{
	uint8_t bytes[32] = {0};
	size_t size = plain_size(column);
	memcpy(bytes, cursor_bytes(c, size), size);
	bool negative = !(bytes[0] & 0x80);
	bytes[0] ^= 0x80;
	struct cursor digits = cursor_of(bytes, size);
	uint8_t flip = negative ? 0xff : 0;
	struct buf whole = {0};
	append_digits(&digits, decimal_whole(column) % 9, flip, &whole);
	for (unsigned left = decimal_whole(column) / 9; left > 0; left--)
		append_digits(&digits, 9, flip, &whole);
	const char *text = buf_str(&whole);
	while (text[0] == '0' && text[1] != '\0')
		text++;
	buf_printf(to, "%s%s", negative ? "-" : "", *text ? text : "0");
	buf_free(&whole);
	if (decimal_scale(column) > 0)
		buf_append_str(to, ".");
	for (unsigned left = decimal_scale(column) / 9; left > 0; left--)
		append_digits(&digits, 9, flip, to);
	append_digits(&digits, decimal_scale(column) % 9, flip, to);
}

static void append_bits(const uint8_t *bytes, unsigned bits, struct buf *to)
{
	buf_append_str(to, "b'");
	unsigned unused = (bits + 7) / 8 * 8 - bits;
	for (unsigned i = unused; i < unused + bits; i++)
		buf_append_str(to, bytes[i / 8] >> (7 - i % 8) & 1 ? "1" : "0");
	buf_append_str(to, "'");
}

static void format_bit(const struct column *column, struct cursor *c, struct buf *to)
{
	append_bits(cursor_bytes(c, plain_size(column)), column->metadata, to);
}

static void format_year(const struct column *column, struct cursor *c, struct buf *to)
{
	(void)column;
	uint8_t year = cursor_u8(c);
	buf_printf(to, "%04u", year ? 1900u + year : 0u);
}

static void format_date(const struct column *column, struct cursor *c, struct buf *to)
{
	(void)column;
	uint32_t date = cursor_u24(c);
	buf_printf(to, "%04" PRIu32 "-%02" PRIu32 "-%02" PRIu32, date >> 9, date >> 5 & 15, date & 31);
}

/* The point and as many digits as the column has. */
static void append_fraction(const struct column *column, uint32_t microseconds, struct buf *to)
{
	unsigned digits = fraction_digits(column);
	char text[16];
	snprintf(text, sizeof text, ".%06" PRIu32, microseconds % 1000000);
	if (digits > 0)
		buf_append(to, text, 1 + digits);
}

static const uint32_t powers_of_ten[7] = {1, 10, 100, 1000, 10000, 100000, 1000000};

/* The fraction of the "2" types: one byte holds hundredths, two bytes hundredths of those, three microseconds. */
static uint32_t read_fraction2(const struct column *column, struct cursor *c)
{
	unsigned size = (fraction_digits(column) + 1) / 2;
	return (uint32_t)cursor_uint_be(c, size) * powers_of_ten[6 - 2 * size];
}

/* hhh:mm:ss.ffffff, at least two digits of hours. */
static void append_time(const struct column *column, bool negative, uint32_t hours, uint32_t minutes, uint32_t seconds,
                        uint32_t microseconds, struct buf *to)
{
	buf_printf(to, "%s%02" PRIu32 ":%02" PRIu32 ":%02" PRIu32, negative ? "-" : "", hours, minutes, seconds);
	append_fraction(column, microseconds, to);
}

/* yyyy-mm-dd hh:mm:ss.ffffff */
static void append_datetime(const struct column *column, const uint32_t date[3], const uint32_t time[3],
                            uint32_t microseconds, struct buf *to)
{
	buf_printf(to, "%04" PRIu32 "-%02" PRIu32 "-%02" PRIu32 " %02" PRIu32 ":%02" PRIu32 ":%02" PRIu32, date[0], date[1],
	           date[2], time[0], time[1], time[2]);
	append_fraction(column, microseconds, to);
}

/* 24 bits and the fraction are one big-endian number: 1 bit sign (0x800000 is zero), 1 unused, 10 hours, 6 minutes,
 * 6 seconds (MariaDB sql/compat56.cc, my_time_packed_to_binary). */
static void format_time2(const struct column *column, struct cursor *c, struct buf *to)
{
	unsigned size = (fraction_digits(column) + 1) / 2;
	int64_t packed = (int64_t)cursor_uint_be(c, 3 + size) - (INT64_C(0x800000) << (8 * size));
	uint64_t magnitude = (uint64_t)(packed < 0 ? -packed : packed);
	uint32_t time = (uint32_t)(magnitude >> (8 * size));
	uint32_t fraction = (uint32_t)(magnitude & ((UINT64_C(1) << (8 * size)) - 1));
	append_time(column, packed < 0, time >> 12 & 1023, time >> 6 & 63, time & 63,
	            fraction * powers_of_ten[6 - 2 * size], to);
}

/* 40 bits big-endian: 1 sign (always set), 17 year * 13 + month, 5 day, 5 hour, 6 minute, 6 second; the fraction. */
static void format_datetime2(const struct column *column, struct cursor *c, struct buf *to)
{
	uint64_t packed = cursor_uint_be(c, 5) ^ (UINT64_C(1) << 39);
	uint32_t months = (uint32_t)(packed >> 22), rest = (uint32_t)(packed & 0x3fffff);
	uint32_t date[3] = {months / 13, months % 13, rest >> 17};
	uint32_t time[3] = {rest >> 12 & 31, rest >> 6 & 63, rest & 63};
	append_datetime(column, date, time, read_fraction2(column, c), to);
}

/* A big-endian count of microseconds, or of the unit of the last fraction digit (MariaDB sql/field.cc,
 * sec_part_shift). */
static uint64_t read_hires(const struct column *column, struct cursor *c, size_t size)
{
	uint64_t units = cursor_uint_be(c, (unsigned)size);
	uint64_t unit = powers_of_ten[6 - fraction_digits(column)];
	return units > INT64_MAX / unit ? INT64_MAX : units * unit;
}

/* Without a fraction a number that reads hhmmss; with one, microseconds since -839:00:00 (Field_time_hires). */
static void format_time(const struct column *column, struct cursor *c, struct buf *to)
{
	if (fraction_digits(column) == 0) {
		int64_t digits = (int64_t)sign_extend(cursor_u24(c), 3);
		uint32_t time = (uint32_t)(digits < 0 ? -digits : digits);
		append_time(column, digits < 0, time / 10000, time / 100 % 100, time % 100, 0, to);
		return;
	}
	int64_t microseconds = (int64_t)read_hires(column, c, plain_size(column)) - INT64_C(839) * 3600 * 1000000;
	uint64_t magnitude = (uint64_t)(microseconds < 0 ? -microseconds : microseconds);
	uint32_t seconds = (uint32_t)(magnitude / 1000000);
	append_time(column, microseconds < 0, seconds / 3600, seconds / 60 % 60, seconds % 60,
	            (uint32_t)(magnitude % 1000000), to);
}

/* Without a fraction a number that reads yyyymmddhhmmss; with one, a mixed-radix number (Field_datetime_hires). */
static void format_datetime(const struct column *column, struct cursor *c, struct buf *to)
{
	if (fraction_digits(column) == 0) {
		uint64_t digits = cursor_u64(c);
		uint32_t day = (uint32_t)(digits / 1000000 % 100000000), second = (uint32_t)(digits % 1000000);
		uint32_t date[3] = {day / 10000, day / 100 % 100, day % 100};
		uint32_t time[3] = {second / 10000, second / 100 % 100, second % 100};
		append_datetime(column, date, time, 0, to);
		return;
	}
	uint64_t microseconds = read_hires(column, c, plain_size(column)), seconds = microseconds / 1000000;
	uint64_t days = seconds / 86400;
	uint32_t date[3] = {(uint32_t)(days / 32 / 13), (uint32_t)(days / 32 % 13), (uint32_t)(days % 32)};
	uint32_t time[3] = {(uint32_t)(seconds / 3600 % 24), (uint32_t)(seconds / 60 % 60), (uint32_t)(seconds % 60)};
	append_datetime(column, date, time, (uint32_t)(microseconds % 1000000), to);
}

/* Seconds since 1970: the old format's are little-endian, with a fraction big-endian ones and the fraction in the unit
 * of its last digit. */
static uint32_t read_timestamp(const struct column *column, struct cursor *c, uint32_t *ret_microseconds)
{
	*ret_microseconds = 0;
	if (column->type == COLUMN_TIMESTAMP && fraction_digits(column) == 0)
		return cursor_u32(c);
	uint32_t seconds = (uint32_t)cursor_uint_be(c, 4);
	*ret_microseconds = column->type == COLUMN_TIMESTAMP2 ? read_fraction2(column, c)
	                                                      : (uint32_t)read_hires(column, c, plain_size(column) - 4);
	return seconds;
}

static void format_timestamp(const struct column *column, struct cursor *c, struct buf *to)
{
	uint32_t microseconds, seconds = read_timestamp(column, c, &microseconds);
	buf_printf(to, "%" PRIu32, seconds);
	append_fraction(column, microseconds, to);
}

/* The same as date and time in UTC. No seconds and no fraction are the zero date. The months are counted from March on,
 * so that the leap day is a year's last, in periods of 400 years, 146097 days, from 0000-03-01. */
static void append_utc(const struct column *column, uint32_t seconds, uint32_t microseconds, struct buf *to)
{
	uint32_t days = seconds / 86400 + 719468, date[3] = {0};
	uint32_t time[3] = {seconds / 3600 % 24, seconds / 60 % 60, seconds % 60};
	if (seconds > 0 || microseconds > 0) {
		uint32_t day = days % 146097;
		uint32_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
		day -= 365 * year + year / 4 - year / 100;
		uint32_t month = (5 * day + 2) / 153;
		date[0] = days / 146097 * 400 + year + (month >= 10);
		date[1] = month < 10 ? month + 3 : month - 9;
		date[2] = day - (153 * month + 2) / 5 + 1;
	}
	append_datetime(column, date, time, microseconds, to);
}

/* The length of the UTF-8 sequence at p, 0 if it isn't one. Overlong forms and surrogates aren't. */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	if (p[0] < 0x80)
		return 1;
	size_t size = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || size > left)
		return 0;
	uint32_t code = p[0] & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	return code < least[size] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff ? 0 : size;
}

/* What SQL has an escape for, 0 if none. */
static char escape_of(uint8_t byte)
{
	static const char escapes[256] = {
	    ['\0'] = '0', ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\r'] = 'r', ['\''] = '\'', ['\\'] = '\\', [26] = 'Z',
	};
	return escapes[byte];
}

/* UTF-8 that can be shown on a terminal: no control character but those with an escape. */
static bool is_clean_text(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size;) {
		size_t step = utf8_sequence(bytes + i, size - i);
		if (step == 0 || bytes[i] == 0x7f || (bytes[i] < 0x20 && escape_of(bytes[i]) == 0))
			return false;
		i += step;
	}
	return true;
}

static void append_hex(const uint8_t *bytes, size_t size, struct buf *to)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < size; i++) {
		buf_append_u8(to, (uint8_t)digits[bytes[i] >> 4]);
		buf_append_u8(to, (uint8_t)digits[bytes[i] & 15]);
	}
}

static void append_quoted(const uint8_t *bytes, size_t size, struct buf *to)
{
	buf_append_str(to, "'");
	for (size_t i = 0; i < size; i++) {
		char escape = escape_of(bytes[i]);
		if (escape != 0)
			buf_append_u8(to, '\\');
		buf_append_u8(to, escape != 0 ? (uint8_t)escape : bytes[i]);
	}
	buf_append_str(to, "'");
}

/* As an SQL literal that is valid UTF-8, whatever the bytes are: what isn't binary but in some other character set goes
 * into messages and JSON too. */
static void append_text(const struct column *column, const uint8_t *bytes, size_t size, struct buf *to)
{
	if (column->type != COLUMN_GEOMETRY && column->collation != COLLATION_BINARY && is_clean_text(bytes, size)) {
		append_quoted(bytes, size, to);
		return;
	}
	buf_append_str(to, "x'");
	append_hex(bytes, size, to);
	buf_append_str(to, "'");
}

/* Character sets, as far as texts depend on them. */
enum charset {
	CHARSET_OTHER,
	CHARSET_UTF8,    /* utf8mb3, utf8mb4 */
	CHARSET_LATIN,   /* latin1, ascii: UTF-8 as long as it is ASCII */
	CHARSET_WIDE,    /* ucs2, utf16 */
	CHARSET_WIDE_LE, /* utf16le */
	CHARSET_WIDE4,   /* utf32 */
};

/* The ids of a character set's collations: information_schema.COLLATION_CHARACTER_SET_APPLICABILITY of MariaDB 10.11.
 * Those from 1024 on are the NOPAD variants of those below, those from 2048 on are of UCA 14, 256 for each set. */
static enum charset charset_of(uint16_t collation)
{
	static const struct {
		uint16_t first, last;
		enum charset charset;
	} ranges[] = {
	    {5, 5, CHARSET_LATIN},       {8, 8, CHARSET_LATIN},     {11, 11, CHARSET_LATIN},    {15, 15, CHARSET_LATIN},
	    {31, 31, CHARSET_LATIN},     {33, 33, CHARSET_UTF8},    {35, 35, CHARSET_WIDE},     {45, 46, CHARSET_UTF8},
	    {47, 49, CHARSET_LATIN},     {54, 55, CHARSET_WIDE},    {56, 56, CHARSET_WIDE_LE},  {60, 61, CHARSET_WIDE4},
	    {62, 62, CHARSET_WIDE_LE},   {65, 65, CHARSET_LATIN},   {83, 83, CHARSET_UTF8},     {90, 90, CHARSET_WIDE},
	    {94, 94, CHARSET_LATIN},     {101, 124, CHARSET_WIDE},  {128, 159, CHARSET_WIDE},   {160, 183, CHARSET_WIDE4},
	    {192, 247, CHARSET_UTF8},    {576, 578, CHARSET_UTF8},  {608, 610, CHARSET_UTF8},   {640, 642, CHARSET_WIDE},
	    {672, 674, CHARSET_WIDE},    {736, 738, CHARSET_WIDE4}, {2048, 2559, CHARSET_UTF8}, {2560, 3071, CHARSET_WIDE},
	    {3072, 3327, CHARSET_WIDE4},
	};
	uint16_t id = collation < 2048 ? collation % 1024 : collation;
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (id >= ranges[i].first && id <= ranges[i].last)
			return ranges[i].charset;
	return CHARSET_OTHER;
}

static void append_comma(const struct column *column, struct buf *to)
{
	static const struct {
		const char *bytes;
		size_t size;
	} commas[] = {
	    [CHARSET_OTHER] = {",", 1},  [CHARSET_UTF8] = {",", 1},      [CHARSET_LATIN] = {",", 1},
	    [CHARSET_WIDE] = {"\0,", 2}, [CHARSET_WIDE_LE] = {",\0", 2}, [CHARSET_WIDE4] = {"\0\0\0,", 4},
	};
	enum charset charset = charset_of(column->collation);
	buf_append(to, commas[charset].bytes, commas[charset].size);
}

/* Of an ENUM or SET: what MariaDB shows, the label or the labels with commas between, in the column's character set.
 * False if the table map has no labels, or of an ENUM's 0, the value '' of a failed INSERT. */
static bool append_labels(const struct column *column, uint64_t value, struct buf *to)
{
	if (column->type == COLUMN_ENUM) {
		if (value < 1 || value > column->label_count)
			return false;
		buf_append(to, column->labels[value - 1], column->label_sizes[value - 1]);
		return true;
	}
	if (column->label_count == 0 || (column->label_count < 64 && value >> column->label_count != 0))
		return false;
	size_t start = to->size;
	for (uint32_t i = 0; i < column->label_count && i < 64; i++) {
		if (!(value >> i & 1))
			continue;
		if (to->size > start)
			append_comma(column, to);
		buf_append(to, column->labels[i], column->label_sizes[i]);
	}
	return true;
}

/* Without a label the number, 1 being the first. */
static void format_enum(const struct column *column, struct cursor *c, struct buf *to)
{
	uint64_t number = cursor_uint(c, (unsigned)plain_size(column));
	struct buf label = {0};
	if (append_labels(column, number, &label))
		append_text(column, label.data, label.size, to);
	else
		buf_printf(to, "%" PRIu64, number);
	buf_free(&label);
}

/* Without labels the bits. */
static void format_set(const struct column *column, struct cursor *c, struct buf *to)
{
	size_t size = plain_size(column);
	const uint8_t *bytes = c->pos;
	struct buf labels = {0};
	if (append_labels(column, cursor_uint(c, (unsigned)size), &labels))
		append_text(column, labels.data, labels.size, to);
	else
		append_bits(bytes, 8 * (unsigned)size, to);
	buf_free(&labels);
}

static enum err_code format_string(const struct column *column, const struct field *field, struct buf *to,
                                   struct err *err)
{
	struct buf scratch = {0};
	const uint8_t *bytes;
	size_t size;
	enum err_code code = field_content(column, field, &scratch, &bytes, &size, err);
	if (code == ERR_OK)
		append_text(column, bytes, size, to);
	buf_free(&scratch);
	return code;
}

enum err_code value_format(const struct column *column, const struct field *field, struct buf *to, struct err *err)
{
	if (!field->present || field->is_null || column->type == COLUMN_NULL) {
		buf_append_str(to, field->present ? "NULL" : "<absent>");
		return ERR_OK;
	}
	if (is_string(column))
		return format_string(column, field, to, err);
	enum err_code code = check_field(column, field, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(field->bytes, field->size);
	const struct type_layout *layout = &layouts[column->type];
	buf_append_str(to, layout->is_quoted ? "'" : "");
	layout->format(column, &c, to);
	buf_append_str(to, layout->is_quoted ? "'" : "");
	return ERR_OK;
}

/* ---- Contents as text that can be written back ---- */

static bool is_text_of(const struct column *column, const uint8_t *bytes, size_t size)
{
	enum charset charset = charset_of(column->collation);
	if (column->type == COLUMN_GEOMETRY || (charset != CHARSET_UTF8 && charset != CHARSET_LATIN))
		return false;
	for (size_t i = 0; i < size;) {
		size_t step = utf8_sequence(bytes + i, size - i);
		if (step == 0 || bytes[i] == '\0' || (step > 1 && charset != CHARSET_UTF8))
			return false;
		i += step;
	}
	return true;
}

static bool is_labelled(const struct column *column)
{
	return column->type == COLUMN_ENUM || column->type == COLUMN_SET;
}

bool content_is_integer(const struct column *column)
{
	return layouts[column->type].format == format_integer;
}

bool content_is_text(const struct column *column, const struct content *content)
{
	if (content->is_null || column->type == COLUMN_BIT)
		return content->is_null;
	if (is_string(column))
		return is_text_of(column, content->bytes, content->size);
	if (!is_labelled(column))
		return true;
	struct buf labels = {0};
	struct cursor c = cursor_of(content->bytes, content->size);
	bool has_labels = append_labels(column, cursor_uint(&c, (unsigned)plain_size(column)), &labels);
	bool is_text = !has_labels || is_text_of(column, labels.data, labels.size);
	buf_free(&labels);
	return is_text;
}

/* What the log leaves away at the end of a BINARY is zeros, and whoever writes it back as it is now has fewer. */
static void append_string_text(const struct column *column, const struct content *content, bool as_hex, struct buf *to)
{
	if (!as_hex) {
		buf_append(to, content->bytes, content->size);
		return;
	}
	append_hex(content->bytes, content->size, to);
	if (column->type == COLUMN_STRING && column->collation == COLLATION_BINARY)
		for (size_t i = content->size; i < column->metadata; i++)
			buf_append_str(to, "00");
}

static void append_labels_text(const struct column *column, struct cursor c, bool as_hex, struct buf *to)
{
	uint64_t value = cursor_uint(&c, (unsigned)plain_size(column));
	struct buf labels = {0};
	if (!append_labels(column, value, &labels) && (column->type == COLUMN_SET || value > 0))
		buf_printf(&labels, "%" PRIu64, value);
	if (as_hex)
		append_hex(labels.data, labels.size, to);
	else
		buf_append(to, labels.data, labels.size);
	buf_free(&labels);
}

enum err_code content_format(const struct column *column, const struct content *content, bool as_hex, struct buf *to,
                             struct err *err)
{
	if (is_string(column)) {
		append_string_text(column, content, as_hex, to);
		return ERR_OK;
	}
	struct field field = {content->bytes, content->size, true, content->is_null};
	enum err_code code = check_field(column, &field, err);
	if (code != ERR_OK)
		return code;
	struct cursor c = cursor_of(content->bytes, content->size);
	uint32_t seconds, microseconds;
	if (is_labelled(column)) {
		append_labels_text(column, c, as_hex, to);
	} else if (column->type == COLUMN_BIT) {
		append_hex(content->bytes, content->size, to);
	} else if (column->type == COLUMN_TIMESTAMP || column->type == COLUMN_TIMESTAMP2) {
		seconds = read_timestamp(column, &c, &microseconds);
		append_utc(column, seconds, microseconds, to);
	} else if (column->type != COLUMN_NULL) {
		layouts[column->type].format(column, &c, to);
	}
	return ERR_OK;
}
