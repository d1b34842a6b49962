#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binlog/value.h"

enum { DIGITS_MAX = 96 };

static const uint32_t powers_of_ten[7] = {1, 10, 100, 1000, 10000, 100000, 1000000};

static enum err_code refuse(const struct column *column, const char *text, struct err *err)
{
	return err_set(err, ERR_MALFORMED, "'%.80s' can't be a value of column %s (type %u)", text,
	               column->name != NULL ? column->name : "?", column->type);
}

static void append_le(uint64_t value, size_t size, struct buf *to)
{
	for (size_t i = 0; i < size; i++)
		buf_append_u8(to, (uint8_t)(value >> (8 * i)));
}

static void append_be(uint64_t value, size_t size, struct buf *to)
{
	for (size_t i = size; i > 0; i--)
		buf_append_u8(to, (uint8_t)(value >> (8 * (i - 1))));
}

static bool parse_hex(const char *text, struct buf *to)
{
	size_t size = strlen(text);
	if (size % 2 != 0 || strspn(text, "0123456789abcdefABCDEF") != size)
		return false;
	for (size_t i = 0; i < size; i += 2) {
		char byte[3] = {text[i], text[i + 1], '\0'};
		buf_append_u8(to, (uint8_t)strtoul(byte, NULL, 16));
	}
	return true;
}

static bool parse_number(const struct column *column, const char *text, struct buf *to)
{
	char *end;
	uint64_t value = *text == '-' ? (uint64_t)strtoll(text, &end, 10) : strtoull(text, &end, 10);
	size_t size = (size_t)content_size_max(column);
	if (end == text || *end != '\0' || size > sizeof value)
		return false;
	if (column->type == COLUMN_BIT)
		append_be(value, size, to);
	else
		append_le(column->type == COLUMN_YEAR && value > 0 ? value - 1900 : value, size, to);
	return true;
}

static bool parse_real(const struct column *column, const char *text, struct buf *to)
{
	char *end;
	double value = strtod(text, &end);
	float single = strtof(text, NULL);
	if (end == text || *end != '\0')
		return false;
	if (column->type == COLUMN_DOUBLE)
		buf_append(to, &value, sizeof value);
	else
		buf_append(to, &single, sizeof single);
	return true;
}

/* Up to nine digits, in as many bytes as they need (MariaDB strings/decimal.c, decimal2bin). */
static const char *append_digits(const char *digits, unsigned count, struct buf *to)
{
	static const uint8_t sizes[10] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
	uint32_t value = 0;
	for (unsigned i = 0; i < count; i++)
		value = value * 10 + (uint32_t)(digits[i] - '0');
	append_be(value, sizes[count], to);
	return digits + count;
}

static bool parse_decimal(const struct column *column, const char *text, struct buf *to)
{
	unsigned scale = column->metadata & 0xff, whole = (unsigned)(column->metadata >> 8) - scale;
	bool negative = *text == '-';
	text += negative;
	text += text[0] == '0' && whole == 0; /* a zero that there is no place for */
	size_t there = strspn(text, "0123456789"), start = to->size;
	const char *fraction = text[there] == '.' ? text + there + 1 : text + there;
	size_t given = strspn(fraction, "0123456789");
	char digits[DIGITS_MAX];
	if (there > whole || given > scale || fraction[given] != '\0' || whole + scale >= sizeof digits)
		return false;
	memset(digits, '0', sizeof digits);
	memcpy(digits + whole - there, text, there);
	memcpy(digits + whole, fraction, given);
	const char *at = append_digits(digits, whole % 9, to);
	for (unsigned left = whole / 9 + scale / 9; left > 0; left--)
		at = append_digits(at, 9, to);
	append_digits(at, scale % 9, to);
	for (size_t i = start; negative && i < to->size; i++)
		to->data[i] ^= 0xff;
	if (to->size > start)
		to->data[start] ^= 0x80;
	return true;
}

/* ---- Dates and times ---- */

struct moment {
	bool negative;
	unsigned year, month, day, hour, minute, second, microsecond;
};

/* What stands behind the seconds: nothing, or a point and up to six digits. */
static bool parse_fraction(const char *text, unsigned *ret)
{
	*ret = 0;
	if (*text == '\0')
		return true;
	size_t digits = *text == '.' ? strspn(text + 1, "0123456789") : 0;
	if (digits < 1 || digits > 6 || text[1 + digits] != '\0')
		return false;
	*ret = (unsigned)strtoul(text + 1, NULL, 10) * powers_of_ten[6 - digits];
	return true;
}

static bool parse_time(const char *text, struct moment *m)
{
	int end = 0;
	m->negative = *text == '-';
	return sscanf(text + m->negative, "%u:%2u:%2u%n", &m->hour, &m->minute, &m->second, &end) == 3 && end > 0 &&
	       parse_fraction(text + m->negative + end, &m->microsecond);
}

static bool parse_date(const char *text, struct moment *m, int *ret_end)
{
	*ret_end = 0;
	return sscanf(text, "%4u-%2u-%2u%n", &m->year, &m->month, &m->day, ret_end) == 3 && *ret_end > 0;
}

/* Two digits of a fraction a byte. */
static size_t fraction_size(const struct column *column)
{
	return (column->metadata + 1u) / 2;
}

static uint64_t fraction_of(const struct column *column, const struct moment *m)
{
	return m->microsecond / powers_of_ten[6 - 2 * fraction_size(column)];
}

static void append_time2(const struct column *column, const struct moment *m, struct buf *to)
{
	size_t size = fraction_size(column);
	int64_t packed =
	    (int64_t)(((uint64_t)m->hour << 12 | m->minute << 6 | m->second) << (8 * size) | fraction_of(column, m));
	append_be((uint64_t)((INT64_C(0x800000) << (8 * size)) + (m->negative ? -packed : packed)), 3 + size, to);
}

static void append_datetime2(const struct column *column, const struct moment *m, struct buf *to)
{
	uint64_t months = (uint64_t)m->year * 13 + m->month;
	uint64_t packed = months << 22 | m->day << 17 | m->hour << 12 | m->minute << 6 | m->second;
	append_be(packed ^ (UINT64_C(1) << 39), 5, to);
	append_be(fraction_of(column, m), fraction_size(column), to);
}

/* Of the formats that tables of old servers have only those without a fraction. */
static bool parse_moment(const struct column *column, const char *text, struct buf *to)
{
	struct moment m = {0};
	int end;
	if (column->type == COLUMN_TIME2 || column->type == COLUMN_TIME) {
		if (!parse_time(text, &m))
			return false;
		int64_t digits = (int64_t)m.hour * 10000 + m.minute * 100 + m.second;
		if (column->type == COLUMN_TIME2)
			append_time2(column, &m, to);
		else
			append_le((uint64_t)(m.negative ? -digits : digits), 3, to);
		return column->type == COLUMN_TIME2 || column->metadata == 0;
	}
	if (!parse_date(text, &m, &end))
		return false;
	if (column->type == COLUMN_DATE || column->type == COLUMN_NEWDATE) {
		append_le(m.day | m.month << 5 | m.year << 9, 3, to);
		return text[end] == '\0';
	}
	if (text[end] != ' ' || !parse_time(text + end + 1, &m))
		return false;
	uint64_t date = (uint64_t)m.year * 10000 + m.month * 100 + m.day;
	if (column->type == COLUMN_DATETIME2)
		append_datetime2(column, &m, to);
	else
		append_le(date * 1000000 + m.hour * 10000 + m.minute * 100 + m.second, 8, to);
	return column->type == COLUMN_DATETIME2 || column->metadata == 0;
}

static bool parse_timestamp(const struct column *column, const char *text, struct buf *to)
{
	char *end;
	struct moment m = {0};
	unsigned long long seconds = strtoull(text, &end, 10);
	if (end == text || seconds > UINT32_MAX || !parse_fraction(end, &m.microsecond))
		return false;
	if (column->type == COLUMN_TIMESTAMP) {
		append_le(seconds, 4, to);
		return column->metadata == 0;
	}
	append_be(seconds, 4, to);
	append_be(fraction_of(column, &m), fraction_size(column), to);
	return true;
}

enum err_code content_parse(const struct column *column, const char *text, struct buf *to, struct err *err)
{
	size_t start = to->size;
	bool good;
	switch (column->type) {
	case COLUMN_TINY:
	case COLUMN_SHORT:
	case COLUMN_INT24:
	case COLUMN_LONG:
	case COLUMN_LONGLONG:
	case COLUMN_YEAR:
	case COLUMN_BIT:
	case COLUMN_ENUM:
	case COLUMN_SET:
		good = parse_number(column, text, to);
		break;
	case COLUMN_FLOAT:
	case COLUMN_DOUBLE:
		good = parse_real(column, text, to);
		break;
	case COLUMN_NEWDECIMAL:
		good = parse_decimal(column, text, to);
		break;
	case COLUMN_DATE:
	case COLUMN_NEWDATE:
	case COLUMN_TIME:
	case COLUMN_TIME2:
	case COLUMN_DATETIME:
	case COLUMN_DATETIME2:
		good = parse_moment(column, text, to);
		break;
	case COLUMN_TIMESTAMP:
	case COLUMN_TIMESTAMP2:
		good = parse_timestamp(column, text, to);
		break;
	default:
		good = parse_hex(text, to);
	}
	if (good)
		return ERR_OK;
	to->size = start;
	return refuse(column, text, err);
}
