/* src/binlog/value: the size of every kind of field, and its value as text.
 *
 * tests/binlog compares values with a real server's; here is what no server writes: cut, garbled and hostile fields,
 * and the formats it writes rarely.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <zlib.h>

#include "binlog/value.h"
#include "test_binlog_support.h"

static struct column column_of(uint8_t type, uint16_t metadata)
{
	return (struct column){.type = type, .metadata = metadata, .name = "c"};
}

static struct field field_of(const void *bytes, size_t size)
{
	return (struct field){.bytes = bytes, .size = (uint32_t)size, .present = true};
}

static void assert_text(const struct column *column, const void *bytes, size_t size, const char *expected)
{
	struct buf text = {0};
	struct err err;
	uint8_t *exact = malloc(size ? size : 1);
	memcpy(exact, bytes, size);
	struct field field = field_of(exact, size);
	if (value_format(column, &field, &text, &err) != ERR_OK)
		fail_msg("type %u: %s", column->type, err.message);
	assert_string_equal(buf_str(&text), expected);
	free(exact);
	buf_free(&text);
}

/* ---- sizes ---- */

/* The table of sizes, once more and by hand: what walks rows stands on it. */
static void test_sizes_of_fixed_fields(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		uint16_t metadata;
		size_t size;
	} cases[] = {
	    {COLUMN_TINY, 0, 1},
	    {COLUMN_SHORT, 0, 2},
	    {COLUMN_INT24, 0, 3},
	    {COLUMN_LONG, 0, 4},
	    {COLUMN_LONGLONG, 0, 8},
	    {COLUMN_FLOAT, 4, 4},
	    {COLUMN_DOUBLE, 8, 8},
	    {COLUMN_YEAR, 0, 1},
	    {COLUMN_DATE, 0, 3},
	    {COLUMN_NEWDATE, 0, 3},
	    {COLUMN_NULL, 0, 0},
	    {COLUMN_TIME, 0, 3},
	    {COLUMN_TIME, 1, 4},
	    {COLUMN_TIME, 2, 4},
	    {COLUMN_TIME, 3, 5},
	    {COLUMN_TIME, 4, 5},
	    {COLUMN_TIME, 5, 5},
	    {COLUMN_TIME, 6, 6},
	    {COLUMN_DATETIME, 0, 8},
	    {COLUMN_DATETIME, 1, 6},
	    {COLUMN_DATETIME, 2, 6},
	    {COLUMN_DATETIME, 3, 7},
	    {COLUMN_DATETIME, 4, 7},
	    {COLUMN_DATETIME, 5, 7},
	    {COLUMN_DATETIME, 6, 8},
	    {COLUMN_TIMESTAMP, 0, 4},
	    {COLUMN_TIMESTAMP, 1, 5},
	    {COLUMN_TIMESTAMP, 2, 5},
	    {COLUMN_TIMESTAMP, 3, 6},
	    {COLUMN_TIMESTAMP, 4, 6},
	    {COLUMN_TIMESTAMP, 5, 7},
	    {COLUMN_TIMESTAMP, 6, 7},
	    {COLUMN_TIME2, 0, 3},
	    {COLUMN_TIME2, 1, 4},
	    {COLUMN_TIME2, 2, 4},
	    {COLUMN_TIME2, 3, 5},
	    {COLUMN_TIME2, 4, 5},
	    {COLUMN_TIME2, 5, 6},
	    {COLUMN_TIME2, 6, 6},
	    {COLUMN_DATETIME2, 0, 5},
	    {COLUMN_DATETIME2, 1, 6},
	    {COLUMN_DATETIME2, 4, 7},
	    {COLUMN_DATETIME2, 6, 8},
	    {COLUMN_TIMESTAMP2, 0, 4},
	    {COLUMN_TIMESTAMP2, 2, 5},
	    {COLUMN_TIMESTAMP2, 3, 6},
	    {COLUMN_TIMESTAMP2, 6, 7},
	    {COLUMN_BIT, 1, 1},
	    {COLUMN_BIT, 8, 1},
	    {COLUMN_BIT, 9, 2},
	    {COLUMN_BIT, 64, 8},
	    {COLUMN_ENUM, 1, 1},
	    {COLUMN_ENUM, 2, 2},
	    {COLUMN_SET, 3, 3},
	    {COLUMN_SET, 8, 8},
	    {COLUMN_NEWDECIMAL, 1 << 8, 1},
	    {COLUMN_NEWDECIMAL, 2 << 8, 1},
	    {COLUMN_NEWDECIMAL, 9 << 8, 4},
	    {COLUMN_NEWDECIMAL, 10 << 8, 5},
	    {COLUMN_NEWDECIMAL, 10 << 8 | 3, 6},
	    {COLUMN_NEWDECIMAL, 5 << 8 | 5, 3},
	    {COLUMN_NEWDECIMAL, 65 << 8 | 38, 29},
	    {COLUMN_NEWDECIMAL, 65 << 8, 29},
	    {COLUMN_NEWDECIMAL, 65 << 8 | 30, 30},
	};
	uint8_t bytes[32] = {0};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct column column = column_of(cases[i].type, cases[i].metadata);
		struct err err;
		struct cursor c = cursor_of(bytes, sizeof bytes);
		assert_int_equal(field_skip(&column, &c, &err), ERR_OK);
		if (!cursor_ok(&c) || (size_t)(c.pos - bytes) != cases[i].size)
			fail_msg("type %u, metadata %u: %zu bytes", cases[i].type, cases[i].metadata, (size_t)(c.pos - bytes));
		for (size_t cut = 0; cut < cases[i].size; cut++) {
			c = cursor_of(bytes, cut);
			assert_int_equal(field_skip(&column, &c, &err), ERR_OK);
			assert_false(cursor_ok(&c));
		}
	}
}

/* Digits that don't fill a group of nine take as few bytes as can hold them, on either side of the point. */
static void test_sizes_of_decimals(void **state)
{
	(void)state;
	static const size_t sizes[19] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 8};
	uint8_t bytes[32] = {0};
	for (unsigned whole = 0; whole <= 18; whole++)
		for (unsigned scale = whole == 0; scale <= 18; scale++) {
			struct column column = column_of(COLUMN_NEWDECIMAL, (uint16_t)((whole + scale) << 8 | scale));
			struct cursor c = cursor_of(bytes, sizeof bytes);
			struct err err;
			assert_int_equal(field_skip(&column, &c, &err), ERR_OK);
			assert_int_equal(c.pos - bytes, sizes[whole] + sizes[scale]);
		}
}

/* One byte of length up to 255, two above; a blob as many as its metadata says; a length that reaches beyond the row
 * must not be believed, 4 GiB least of all. */
static void test_sizes_of_strings(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		uint16_t metadata;
		const char *bytes;
		size_t given, size; /* size 0: fails */
	} cases[] = {
	    {COLUMN_STRING, 255, "\2ab?", 4, 3},
	    {COLUMN_STRING, 256, "\2\0ab?", 5, 4},
	    {COLUMN_VARCHAR, 255, "\0?", 2, 1},
	    {COLUMN_VARCHAR, 256, "\0\0?", 3, 2},
	    {COLUMN_VARCHAR, 65535, "\1\0a", 3, 3},
	    {COLUMN_VARCHAR_COMPRESSED, 256, "\1\0a", 3, 3},
	    {COLUMN_BLOB, 1, "\1a", 2, 2},
	    {COLUMN_BLOB, 2, "\1\0a", 3, 3},
	    {COLUMN_BLOB, 3, "\1\0\0a", 4, 4},
	    {COLUMN_BLOB, 4, "\1\0\0\0a", 5, 5},
	    {COLUMN_BLOB_COMPRESSED, 2, "\0\0", 2, 2},
	    {COLUMN_GEOMETRY, 4, "\1\0\0\0a", 5, 5},
	    {COLUMN_TINY_BLOB, 1, "\1a", 2, 2},
	    {COLUMN_LONG_BLOB, 4, "\0\0\0\0", 4, 4},
	    {COLUMN_STRING, 255, "\3ab", 3, 0},
	    {COLUMN_STRING, 256, "\2", 1, 0},
	    {COLUMN_VARCHAR, 300, "\xff\xff", 2, 0},
	    {COLUMN_BLOB, 4, "\xff\xff\xff\xff?", 5, 0},
	    {COLUMN_BLOB, 4, "\1\0\0", 3, 0},
	    {COLUMN_MEDIUM_BLOB, 3, "\2\0\0a", 4, 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct column column = column_of(cases[i].type, cases[i].metadata);
		struct err err;
		struct cursor c = cursor_of(cases[i].bytes, cases[i].given);
		assert_int_equal(field_skip(&column, &c, &err), ERR_OK);
		size_t size = cursor_ok(&c) ? (size_t)(c.pos - (const uint8_t *)cases[i].bytes) : 0;
		assert_int_equal(size, cases[i].size);
	}
}

/* Of these the log doesn't tell a size: a guess would shift every later field. */
static void test_unknown_sizes_are_refused(void **state)
{
	(void)state;
	static const uint8_t types[] = {COLUMN_DECIMAL, COLUMN_VAR_STRING, 20, 245};
	for (size_t i = 0; i < sizeof types; i++) {
		struct column column = column_of(types[i], 0);
		struct cursor c = cursor_of("12345678", 8);
		struct err err;
		assert_int_equal(field_skip(&column, &c, &err), ERR_UNSUPPORTED);
	}
}

/* TIME(3) of mysql56_temporal_format=OFF, taken for a TIME: what follows isn't a time any more, and that is noticed. */
static void test_implausible_old_times(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		const char *bytes;
		bool ok;
	} cases[] = {
	    {COLUMN_TIME, "\x25\xd8\xff", true},                          /* -01:02:03 */
	    {COLUMN_TIME, "\x00\xb3\xce", false},                         /* the first bytes of a TIME(3) */
	    {COLUMN_TIME, "\x3c\0\0", false},                             /* 60 seconds */
	    {COLUMN_DATETIME, "\x45\xec\xe7\x33\x5f\x12\0\0", true},      /* 2020-01-02 03:04:05 */
	    {COLUMN_DATETIME, "\0\0\0\0\0\0\0\0", true},                  /* 0000-00-00 */
	    {COLUMN_DATETIME, "\x19\xcb\x88\x10\x23\x65\x59\xa5", false}, /* a DATETIME(5) and one byte */
	    {COLUMN_DATETIME, "\xff\xff\xff\xff\xff\xff\xff\xff", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct column column = column_of(cases[i].type, 0);
		struct cursor c = cursor_of(cases[i].bytes, cases[i].type == COLUMN_TIME ? 3 : 8);
		struct err err;
		assert_int_equal(field_skip(&column, &c, &err), ERR_OK);
		assert_int_equal(cursor_ok(&c), cases[i].ok);
	}
}

/* ---- text ---- */

static void test_absent_and_null(void **state)
{
	(void)state;
	struct column column = column_of(COLUMN_LONG, 0);
	struct field absent = {.present = false}, null = {.present = true, .is_null = true};
	struct buf text = {0};
	struct err err;
	assert_int_equal(value_format(&column, &absent, &text, &err), ERR_OK);
	assert_int_equal(value_format(&column, &null, &text, &err), ERR_OK);
	assert_string_equal(buf_str(&text), "<absent>NULL");
	uint64_t number = 5;
	assert_int_equal(value_uint(&column, &null, &number, &err), ERR_USAGE);
	assert_int_equal(value_uint(&column, &absent, &number, &err), ERR_USAGE);
	assert_int_equal(number, 5);
	buf_free(&text);
}

/* The same bytes, signed and unsigned. max and min policies compare what value_uint gives. */
static void test_integers(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		size_t size;
		const char *is_signed, *is_unsigned;
	} cases[] = {
	    {COLUMN_TINY, 1, "-2", "254"},
	    {COLUMN_SHORT, 2, "-2", "65534"},
	    {COLUMN_INT24, 3, "-2", "16777214"},
	    {COLUMN_LONG, 4, "-2", "4294967294"},
	    {COLUMN_LONGLONG, 8, "-2", "18446744073709551614"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct column column = column_of(cases[i].type, 0);
		const char *bytes = "\xfe\xff\xff\xff\xff\xff\xff\xff";
		struct field field = field_of(bytes, cases[i].size);
		uint64_t number;
		struct err err;
		assert_text(&column, bytes, cases[i].size, cases[i].is_signed);
		assert_int_equal(value_uint(&column, &field, &number, &err), ERR_OK);
		assert_true(number == UINT64_MAX - 1);
		column.is_unsigned = true;
		assert_text(&column, bytes, cases[i].size, cases[i].is_unsigned);
		assert_int_equal(value_uint(&column, &field, &number, &err), ERR_OK);
		assert_true(number == (UINT64_MAX >> (64 - 8 * cases[i].size)) - 1);
	}
}

/* A field that isn't as large as its column's values: from a caller that mixed up columns. */
static void test_fields_of_the_wrong_size(void **state)
{
	(void)state;
	struct column number = column_of(COLUMN_LONG, 0), text = column_of(COLUMN_VARCHAR, 10);
	struct field five = field_of("\4abcd", 5), four = field_of("\4abc", 4), six = field_of("\4abcd?", 6);
	struct buf buf = {0};
	struct err err;
	uint64_t value;
	const uint8_t *bytes;
	size_t size;
	assert_int_equal(value_uint(&number, &five, &value, &err), ERR_MALFORMED);
	assert_int_equal(value_format(&number, &five, &buf, &err), ERR_MALFORMED);
	assert_int_equal(field_content(&text, &four, &buf, &bytes, &size, &err), ERR_MALFORMED);
	assert_int_equal(value_format(&text, &six, &buf, &err), ERR_MALFORMED);
	assert_int_equal(field_content(&text, &five, &buf, &bytes, &size, &err), ERR_OK);
	assert_int_equal(size, 4);
	assert_memory_equal(bytes, "abcd", 4);
	/* And of the wrong kind. */
	assert_int_equal(value_uint(&text, &five, &value, &err), ERR_USAGE);
	struct field absent = {.present = false};
	assert_int_equal(field_content(&number, &absent, &buf, &bytes, &size, &err), ERR_USAGE);
	buf_free(&buf);
}

static void test_decimals(void **state)
{
	(void)state;
	static const struct {
		uint8_t precision, scale;
		const char *bytes;
		size_t size;
		const char *text;
	} cases[] = {
	    {10, 3, "\x80\x12\xd6\x87\x03\x7b", 6, "1234567.891"},
	    {10, 3, "\x7f\xed\x29\x78\xfc\x84", 6, "-1234567.891"},
	    {10, 3, "\x80\0\0\0\0\1", 6, "0.001"},
	    {1, 0, "\x80", 1, "0"},
	    {1, 0, "\x89", 1, "9"},
	    {1, 0, "\x76", 1, "-9"},
	    {2, 2, "\x80", 1, "0.00"},
	    {2, 2, "\xe3", 1, "0.99"},
	    {9, 0, "\x80\0\0\1", 4, "1"},
	    {18, 9, "\x80\0\0\1\0\0\0\2", 8, "1.000000002"},
	    /* no server writes digits above 9: only as many as fit may come of it */
	    {9, 0, "\xff\xff\xff\xff", 4, "2147483647"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct column column = column_of(COLUMN_NEWDECIMAL, (uint16_t)(cases[i].precision << 8 | cases[i].scale));
		assert_text(&column, cases[i].bytes, cases[i].size, cases[i].text);
	}
}

/* As few digits as give the same number again: 0.1 is 0.1 and not 0.10000000000000001. */
static void test_floats(void **state)
{
	(void)state;
	static const struct {
		double value;
		const char *text, *as_float;
	} cases[] = {
	    {0.1, "0.1", "0.1"},
	    {-1.5, "-1.5", "-1.5"},
	    {0, "0", "0"},
	    {3.141592653589793, "3.141592653589793", "3.1415927"},
	    {1.0 / 3, "0.3333333333333333", "0.33333334"},
	    {16777216, "16777216", "16777216"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct column d = column_of(COLUMN_DOUBLE, 8), f = column_of(COLUMN_FLOAT, 4);
		float value = (float)cases[i].value;
		assert_text(&d, &cases[i].value, 8, cases[i].text);
		assert_text(&f, &value, 4, cases[i].as_float);
	}
}

static void test_times(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		uint16_t digits;
		const char *bytes;
		size_t size;
		const char *text;
	} cases[] = {
	    {COLUMN_YEAR, 0, "\0", 1, "0000"},
	    {COLUMN_YEAR, 0, "\xff", 1, "2155"},
	    {COLUMN_DATE, 0, "\x5d\xd0\x0f", 3, "'2024-02-29'"},
	    {COLUMN_NEWDATE, 0, "\0\0\0", 3, "'0000-00-00'"},
	    {COLUMN_TIME2, 0, "\x80\x10\x83", 3, "'01:02:03'"},
	    {COLUMN_TIME2, 0, "\x7f\xef\x7d", 3, "'-01:02:03'"},
	    {COLUMN_TIME2, 2, "\x7f\xff\xff\xf6", 4, "'-00:00:00.10'"},
	    {COLUMN_TIME2, 6, "\x7f\xff\xff\xff\xff\xff", 6, "'-00:00:00.000001'"},
	    {COLUMN_TIME2, 6, "\x80\0\0\0\0\0", 6, "'00:00:00.000000'"},
	    {COLUMN_DATETIME2, 0, "\x80\0\0\0\0", 5, "'0000-00-00 00:00:00'"},
	    {COLUMN_DATETIME2, 3, "\x99\xb2\xba\xc8\xb8\x04\xce", 7, "'2024-02-29 12:34:56.123'"},
	    {COLUMN_TIMESTAMP2, 0, "\x7f\xff\xff\xff", 4, "2147483647"},
	    {COLUMN_TIMESTAMP2, 1, "\0\0\0\1\x5a", 5, "1.9"},
	    {COLUMN_TIMESTAMP2, 6, "\0\0\0\1\0\0\7", 7, "1.000007"},
	    {COLUMN_TIME, 0, "\x25\xd8\xff", 3, "'-01:02:03'"},
	    {COLUMN_DATETIME, 0, "\x45\xec\xe7\x33\x5f\x12\0\0", 8, "'2020-01-02 03:04:05'"},
	    {COLUMN_TIMESTAMP, 0, "\xa5\x5d\x0d\x5e", 4, "1577934245"},
	    /* logged by MariaDB 10.11.19 with mysql56_temporal_format=OFF */
	    {COLUMN_TIME, 3, "\x00\xb3\xce\xd4\xc0", 5, "'-01:02:03.456'"},
	    {COLUMN_DATETIME, 5, "\x19\xcb\x88\x10\x23\x65\x59", 7, "'2020-01-02 03:04:05.12345'"},
	    {COLUMN_TIMESTAMP, 1, "\x5e\x0d\x5d\xa5\x09", 5, "1577934245.9"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct column column = column_of(cases[i].type, cases[i].digits);
		assert_text(&column, cases[i].bytes, cases[i].size, cases[i].text);
	}
}

static void test_bits_enums_sets(void **state)
{
	(void)state;
	static const char *const labels[] = {"a", "it's", "c"};
	static const uint16_t sizes[] = {1, 4, 1};
	struct column bit = column_of(COLUMN_BIT, 9), e = column_of(COLUMN_ENUM, 2), set = column_of(COLUMN_SET, 1);
	assert_text(&bit, "\1\xa5", 2, "b'110100101'");
	assert_text(&e, "\2\0", 2, "2");
	assert_text(&set, "\5", 1, "b'00000101'");
	e.label_count = set.label_count = 3;
	e.labels = set.labels = labels;
	e.label_sizes = set.label_sizes = sizes;
	assert_text(&e, "\2\0", 2, "'it\\'s'");
	assert_text(&e, "\0\0", 2, "0"); /* the '' of a failed insert */
	assert_text(&e, "\4\0", 2, "4"); /* beyond the labels: the table was altered */
	assert_text(&e, "\xff\xff", 2, "65535");
	assert_text(&set, "\5", 1, "'a,c'");
	assert_text(&set, "\0", 1, "''");
	assert_text(&set, "\x08", 1, "b'00001000'");
}

/* Text goes into JSON and logs, so it must be UTF-8 and one line whatever the bytes are, and lose none of them. */
static void test_strings_are_escaped_or_hex(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t size;
		const char *text;
	} cases[] = {
	    {"\0", 1, "''"},
	    {"\5it's\\", 6, "'it\\'s\\\\'"},
	    {"\7\0\b\t\n\r\x1a\"", 8, "'\\0\\b\\t\\n\\r\\Z\"'"},
	    {"\2\xc3\xbc", 3, "'\xc3\xbc'"},
	    {"\3a\x1b[", 4, "x\'611b5b\'"}, /* would reach a terminal */
	    {"\1\x7f", 2, "x\'7f\'"},
	    {"\1\xfc", 2, "x'fc'"},       /* latin1 */
	    {"\2\xc0\x80", 3, "x'c080'"}, /* overlong */
	    {"\3\xe0\x80\x80", 4, "x\'e08080\'"},
	    {"\4\xf0\x80\x80\x80", 5, "x\'f0808080\'"},
	    {"\3\xed\xa0\x80", 4, "x'eda080'"},       /* a surrogate */
	    {"\4\xf4\x90\x80\x80", 5, "x'f4908080'"}, /* beyond Unicode */
	    {"\4\xf0\x9f\x94\x91", 5, "'\xf0\x9f\x94\x91'"},
	    {"\2\xe9\x8d", 3, "x'e98d'"}, /* cut */
	    {"\3\xe9\x8d\x41", 4, "x'e98d41'"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct column column = column_of(COLUMN_VARCHAR, 100);
		column.collation = 45;
		assert_text(&column, cases[i].bytes, cases[i].size, cases[i].text);
	}
	struct column binary = column_of(COLUMN_VARCHAR, 100), point = column_of(COLUMN_GEOMETRY, 4);
	binary.collation = 63;
	assert_text(&binary, "\2ab", 3, "x'6162'");
	assert_text(&point, "\2\0\0\0ab", 6, "x'6162'");
}

/* ---- contents as text that can be written back ---- */

static void assert_content(const struct column *column, const void *bytes, size_t size, bool is_text,
                           const char *expected)
{
	uint8_t *exact = malloc(size ? size : 1);
	memcpy(exact, bytes, size);
	struct content content = {.bytes = exact, .size = (uint32_t)size};
	struct buf text = {0};
	struct err err;
	assert_int_equal(content_is_text(column, &content), is_text);
	if (content_format(column, &content, !is_text, &text, &err) != ERR_OK)
		fail_msg("type %u: %s", column->type, err.message);
	assert_string_equal(buf_str(&text), expected);
	free(exact);
	buf_free(&text);
}

/* A conflict record's texts are written back by SQL: a quote, an escape or a local time would be another value. */
static void test_contents_that_are_no_strings(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		uint16_t metadata;
		const char *bytes;
		size_t size;
		const char *text;
	} cases[] = {
	    {COLUMN_TINY, 0, "\xfe", 1, "-2"},
	    {COLUMN_LONGLONG, 0, "\xff\xff\xff\xff\xff\xff\xff\x7f", 8, "9223372036854775807"},
	    {COLUMN_DOUBLE, 8, "\x9a\x99\x99\x99\x99\x99\xb9\x3f", 8, "0.1"},
	    {COLUMN_FLOAT, 4, "\0\0\x80\x4b", 4, "16777216"}, /* SELECT shows 16777200 */
	    {COLUMN_NEWDECIMAL, 10 << 8 | 3, "\x7f\xed\x29\x78\xfc\x84", 6, "-1234567.891"},
	    {COLUMN_YEAR, 0, "\0", 1, "0000"},
	    {COLUMN_DATE, 0, "\x5d\xd0\x0f", 3, "2024-02-29"},
	    {COLUMN_TIME2, 2, "\x7f\xff\xff\xf6", 4, "-00:00:00.10"},
	    {COLUMN_DATETIME2, 3, "\x99\xb2\xba\xc8\xb8\x04\xce", 7, "2024-02-29 12:34:56.123"},
	    {COLUMN_TIME, 0, "\x25\xd8\xff", 3, "-01:02:03"},
	    {COLUMN_DATETIME, 0, "\x45\xec\xe7\x33\x5f\x12\0\0", 8, "2020-01-02 03:04:05"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct column column = column_of(cases[i].type, cases[i].metadata);
		assert_content(&column, cases[i].bytes, cases[i].size, true, cases[i].text);
	}
	struct column bit = column_of(COLUMN_BIT, 9);
	assert_content(&bit, "\1\xa5", 2, false, "01a5");
	struct content null = {.is_null = true}, five = {.bytes = (const uint8_t *)"12345", .size = 5};
	assert_true(content_is_text(&bit, &null));
	struct column number = column_of(COLUMN_LONG, 0);
	struct buf text = {0};
	struct err err;
	assert_int_equal(content_format(&number, &five, false, &text, &err), ERR_MALFORMED);
	assert_int_equal(text.size, 0);
}

/* A moment is told in UTC, on the leap days, too; 0 is the zero date, not 1970. */
static void test_contents_of_timestamps(void **state)
{
	(void)state;
	static const struct {
		uint32_t seconds;
		const char *text;
	} cases[] = {
	    {0, "0000-00-00 00:00:00"},          {1, "1970-01-01 00:00:01"},          {68169599, "1972-02-28 23:59:59"},
	    {68169600, "1972-02-29 00:00:00"},   {951782400, "2000-02-29 00:00:00"},  {951868800, "2000-03-01 00:00:00"},
	    {1709210096, "2024-02-29 12:34:56"}, {1735689599, "2024-12-31 23:59:59"}, {1735689600, "2025-01-01 00:00:00"},
	    {2147483647, "2038-01-19 03:14:07"}, {4107542399, "2100-02-28 23:59:59"}, {4107542400, "2100-03-01 00:00:00"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint32_t s = cases[i].seconds;
		uint8_t bytes[4] = {(uint8_t)(s >> 24), (uint8_t)(s >> 16), (uint8_t)(s >> 8), (uint8_t)s};
		struct column column = column_of(COLUMN_TIMESTAMP2, 0), old = column_of(COLUMN_TIMESTAMP, 0);
		assert_content(&column, bytes, 4, true, cases[i].text);
		assert_content(&old, &s, 4, true, cases[i].text);
	}
	struct column fraction = column_of(COLUMN_TIMESTAMP2, 6), old = column_of(COLUMN_TIMESTAMP, 1);
	assert_content(&fraction, "\0\0\0\0\0\0\0", 7, true, "0000-00-00 00:00:00.000000");
	assert_content(&fraction, "\0\0\0\1\0\0\7", 7, true, "1970-01-01 00:00:01.000007");
	assert_content(&old, "\x5e\x0d\x5d\xa5\x09", 5, true, "2020-01-02 03:04:05.9");
}

/* latin1's bytes as if they were UTF-8 would be another name, or none. */
static void test_contents_of_strings(void **state)
{
	(void)state;
	enum { LATIN1 = 8, ASCII = 11, UTF8MB3 = 33, UTF8MB4 = 45, BINARY = 63, CP1251 = 51, UCS2 = 35 };
	static const struct {
		uint16_t collation;
		const char *bytes;
		size_t size;
		bool is_text;
		const char *text;
	} cases[] = {
	    {UTF8MB4, "", 0, true, ""},
	    {UTF8MB4, "it's \\ \n\x1b", 9, true, "it's \\ \n\x1b"},
	    {UTF8MB4, "\xf0\x9f\x94\x91", 4, true, "\xf0\x9f\x94\x91"},
	    {UTF8MB4, "a\0b", 3, false, "610062"},
	    {UTF8MB4, "\xfc", 1, false, "fc"},
	    {2304, "\xc3\xbc", 2, true, "\xc3\xbc"}, /* utf8mb4_uca1400_ai_ci */
	    {1070, "\xc3\xbc", 2, true, "\xc3\xbc"}, /* utf8mb4_nopad_bin */
	    {UTF8MB3, "\xc3\xbc", 2, true, "\xc3\xbc"},
	    {LATIN1, "plain", 5, true, "plain"},
	    {LATIN1, "gr\xfcn", 4, false, "6772fc6e"},
	    {LATIN1, "\xc3\xbc", 2, false, "c3bc"},
	    {LATIN1 + 1024, "plain", 5, true, "plain"},
	    {ASCII, "plain", 5, true, "plain"},
	    {CP1251, "plain", 5, false, "706c61696e"},
	    {UCS2, "\0a", 2, false, "0061"},
	    {2560, "\0a", 2, false, "0061"}, /* ucs2_uca1400_ai_ci */
	    {BINARY, "plain", 5, false, "706c61696e"},
	    {0, "plain", 5, false, "706c61696e"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct column column = column_of(COLUMN_VARCHAR, 100);
		column.collation = cases[i].collation;
		assert_content(&column, cases[i].bytes, cases[i].size, cases[i].is_text, cases[i].text);
	}
	struct column binary = column_of(COLUMN_STRING, 4), point = column_of(COLUMN_GEOMETRY, 4);
	binary.collation = BINARY; /* a UUID that ends in zeros is logged without them, and refused without them */
	assert_content(&binary, "\1", 1, false, "01000000");
	assert_content(&point, "ab", 2, false, "6162");
}

/* A label is text in its column's character set; a set's comma, too. */
static void test_contents_of_enums_and_sets(void **state)
{
	(void)state;
	enum { UTF8MB4 = 45, UCS2 = 35, UTF16LE = 56, UTF32 = 60 };
	static const char *const labels[] = {"a", "it's", "\xc3\xbc"};
	static const uint16_t sizes[] = {1, 4, 2};
	struct column e = column_of(COLUMN_ENUM, 2), set = column_of(COLUMN_SET, 1);
	assert_content(&e, "\2\0", 2, true, "2");
	assert_content(&set, "\5", 1, true, "5");
	e.label_count = set.label_count = 3;
	e.labels = set.labels = labels;
	e.label_sizes = set.label_sizes = sizes;
	e.collation = set.collation = UTF8MB4;
	assert_content(&e, "\2\0", 2, true, "it's");
	assert_content(&e, "\0\0", 2, true, ""); /* the '' of a failed insert */
	assert_content(&set, "\7", 1, true, "a,it's,\xc3\xbc");
	assert_content(&set, "\0", 1, true, "");
	static const char *const wide[] = {"\0a", "\0b"};
	static const uint16_t wide_sizes[] = {2, 2};
	set.label_count = 2;
	set.labels = wide;
	set.label_sizes = wide_sizes;
	static const struct {
		uint16_t collation;
		const char *text;
	} cases[] = {{UCS2, "0061002c0062"}, {UTF16LE, "00612c000062"}, {UTF32, "00610000002c0062"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		set.collation = cases[i].collation;
		assert_content(&set, "\3", 1, false, cases[i].text);
	}
}

/* ---- compressed columns ---- */

static struct buf compressed_value(const char *value, bool raw, uint32_t said_size)
{
	struct buf buf = {0};
	uint8_t packed[1000];
	z_stream stream = {0};
	assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, raw ? -15 : 15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	stream.next_in = (Bytef *)(uintptr_t)value;
	stream.avail_in = (uInt)strlen(value);
	stream.next_out = packed;
	stream.avail_out = sizeof packed;
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	deflateEnd(&stream);
	buf_append_u16(&buf, (uint16_t)(5 + stream.total_out));
	buf_append_u8(&buf, raw ? 0x8c : 0x84);
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_append_u8(&buf, (uint8_t)(said_size >> shift));
	buf_append(&buf, packed, stream.total_out);
	return buf;
}

static enum err_code read_compressed(const void *bytes, size_t given, const char *expected)
{
	struct column column = column_of(COLUMN_BLOB_COMPRESSED, 2);
	struct field field = field_of(bytes, given);
	struct buf scratch = {0};
	struct err err;
	const uint8_t *value = NULL;
	size_t size = 0;
	enum err_code code = field_content(&column, &field, &scratch, &value, &size, &err);
	if (code == ERR_OK) {
		assert_int_equal(size, strlen(expected));
		assert_memory_equal(value, expected, size);
	}
	assert_true(scratch.capacity < 1 << 20);
	buf_free(&scratch);
	return code;
}

static void test_compressed_columns(void **state)
{
	(void)state;
	char text[301] = {0};
	memset(text, 'k', 300);
	for (int raw = 0; raw < 2; raw++) {
		struct buf value = compressed_value(text, raw, 300);
		assert_int_equal(read_compressed(value.data, value.size, text), ERR_OK);
		buf_free(&value);
		/* Wrong sizes, too, those that would take gigabytes among them. */
		static const uint32_t lies[] = {0, 1, 299, 301, 100000, UINT32_MAX};
		for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
			value = compressed_value(text, raw, lies[i]);
			assert_int_equal(read_compressed(value.data, value.size, text), ERR_MALFORMED);
			buf_free(&value);
		}
	}
	assert_int_equal(read_compressed("\0\0", 2, ""), ERR_OK);       /* '' */
	assert_int_equal(read_compressed("\3\0\0ab", 5, "ab"), ERR_OK); /* too short to compress */
	assert_int_equal(read_compressed("\1\0\0", 3, ""), ERR_OK);
	assert_int_equal(read_compressed("\3\0\x90xx", 5, ""), ERR_MALFORMED); /* a method that doesn't exist */
	assert_int_equal(read_compressed("\3\0\x80xx", 5, ""), ERR_MALFORMED); /* no size */
	assert_int_equal(read_compressed("\2\0\x87x", 4, ""), ERR_MALFORMED);  /* half a size */
	assert_int_equal(read_compressed("\1\0\x81", 3, ""), ERR_MALFORMED);
}

/* Damaged data must not come out as another value: read_compressed compares what does come out. */
static void test_compressed_columns_damaged(void **state)
{
	(void)state;
	char text[301] = {0};
	memset(text, 'k', 300);
	struct buf value = compressed_value(text, false, 300);
	size_t refused = 0;
	for (size_t at = 2; at < value.size; at++) {
		value.data[at] ^= 0x20;
		enum err_code code = read_compressed(value.data, value.size, text);
		assert_true(code == ERR_MALFORMED || code == ERR_OK);
		refused += code == ERR_MALFORMED;
		value.data[at] ^= 0x20;
	}
	assert_true(refused + 1 >=
	            value.size - 2); /* deflate has bits between the end and the checksum that nobody reads */
	buf_free(&value);
}

/* ---- What SELECT says, as contents ---- */

/* A row that is in no log is read from the server: a value that comes out otherwise makes a row that nobody wrote. */
static void test_texts_of_contents(void **state)
{
	(void)state;
	static const struct {
		struct column column;
		const char *text, *again; /* NULL: the same */
	} cases[] = {
	    {{.type = COLUMN_TINY}, "-128", NULL},
	    {{.type = COLUMN_INT24, .is_unsigned = true}, "16777215", NULL},
	    {{.type = COLUMN_LONGLONG}, "-9223372036854775808", NULL},
	    {{.type = COLUMN_LONGLONG, .is_unsigned = true}, "18446744073709551615", NULL},
	    {{.type = COLUMN_YEAR}, "2155", NULL},
	    {{.type = COLUMN_YEAR}, "0000", NULL},
	    {{.type = COLUMN_FLOAT, .metadata = 4}, "1.1", NULL},
	    {{.type = COLUMN_DOUBLE, .metadata = 8}, "-1e-300", NULL},
	    {{.type = COLUMN_NEWDECIMAL, .metadata = 20 << 8 | 6}, "-12345678901234.000001", NULL},
	    {{.type = COLUMN_NEWDECIMAL, .metadata = 20 << 8 | 6}, "7", "7.000000"},
	    {{.type = COLUMN_NEWDECIMAL, .metadata = 3 << 8 | 3}, "0.125", NULL},
	    {{.type = COLUMN_NEWDECIMAL, .metadata = 38 << 8 | 38}, "-0.00000000000000000000000000000000000001", NULL},
	    {{.type = COLUMN_DATE}, "9999-12-31", NULL},
	    {{.type = COLUMN_DATE}, "0000-00-00", NULL},
	    {{.type = COLUMN_TIME2}, "-838:59:59", NULL},
	    {{.type = COLUMN_TIME2, .metadata = 6}, "-00:00:00.000001", NULL},
	    {{.type = COLUMN_TIME2, .metadata = 3}, "12:34:56.789", NULL},
	    {{.type = COLUMN_TIME}, "-12:34:56", NULL},
	    {{.type = COLUMN_DATETIME2, .metadata = 1}, "2024-02-29 23:59:59.9", NULL},
	    {{.type = COLUMN_DATETIME2}, "1000-01-01 00:00:00", NULL},
	    {{.type = COLUMN_DATETIME}, "2024-02-29 23:59:59", NULL},
	    {{.type = COLUMN_TIMESTAMP2, .metadata = 6}, "1709210096.000004", "2024-02-29 12:34:56.000004"},
	    {{.type = COLUMN_TIMESTAMP2}, "0", "0000-00-00 00:00:00"},
	    {{.type = COLUMN_BIT, .metadata = 10}, "513", "0201"},
	    {{.type = COLUMN_ENUM, .metadata = 2}, "300", NULL},
	    {{.type = COLUMN_VARCHAR, .metadata = 20, .collation = 45}, "67C3BC", "g\xc3\xbc"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct column *column = &cases[i].column;
		const char *expected = cases[i].again != NULL ? cases[i].again : cases[i].text;
		struct buf bytes = {0}, text = {0};
		struct err err;
		if (content_parse(column, cases[i].text, &bytes, &err) != ERR_OK)
			fail_msg("%s: %s", cases[i].text, err.message);
		struct content content = {.bytes = bytes.data, .size = (uint32_t)bytes.size};
		if (content_format(column, &content, column->type == COLUMN_BIT, &text, &err) != ERR_OK)
			fail_msg("%s: %s", cases[i].text, err.message);
		assert_string_equal(buf_str(&text), expected);
		buf_free(&bytes);
		buf_free(&text);
	}
}

static void test_texts_that_are_no_contents(void **state)
{
	(void)state;
	static const struct {
		struct column column;
		const char *text;
	} cases[] = {
	    {{.type = COLUMN_LONG}, ""},
	    {{.type = COLUMN_LONG}, "7x"},
	    {{.type = COLUMN_NEWDECIMAL, .metadata = 4 << 8 | 2}, "123.00"},
	    {{.type = COLUMN_NEWDECIMAL, .metadata = 4 << 8 | 2}, "1.234"},
	    {{.type = COLUMN_DATE}, "2024-02"},
	    {{.type = COLUMN_DATETIME2}, "2024-02-29"},
	    {{.type = COLUMN_DATETIME, .metadata = 3}, "2024-02-29 12:00:00.123"},
	    {{.type = COLUMN_TIME2, .metadata = 6}, "12:00:00.1234567"},
	    {{.type = COLUMN_TIMESTAMP2}, "99999999999"},
	    {{.type = COLUMN_VARCHAR, .metadata = 20}, "6"},
	    {{.type = COLUMN_VARCHAR, .metadata = 20}, "6g"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf bytes = {0};
		struct err err;
		if (content_parse(&cases[i].column, cases[i].text, &bytes, &err) != ERR_MALFORMED || bytes.size > 0)
			fail_msg("%s was taken", cases[i].text);
		buf_free(&bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes_of_fixed_fields),
	    cmocka_unit_test(test_sizes_of_decimals),
	    cmocka_unit_test(test_sizes_of_strings),
	    cmocka_unit_test(test_unknown_sizes_are_refused),
	    cmocka_unit_test(test_implausible_old_times),
	    cmocka_unit_test(test_absent_and_null),
	    cmocka_unit_test(test_integers),
	    cmocka_unit_test(test_fields_of_the_wrong_size),
	    cmocka_unit_test(test_decimals),
	    cmocka_unit_test(test_floats),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_bits_enums_sets),
	    cmocka_unit_test(test_strings_are_escaped_or_hex),
	    cmocka_unit_test(test_contents_that_are_no_strings),
	    cmocka_unit_test(test_contents_of_timestamps),
	    cmocka_unit_test(test_contents_of_strings),
	    cmocka_unit_test(test_contents_of_enums_and_sets),
	    cmocka_unit_test(test_texts_of_contents),
	    cmocka_unit_test(test_texts_that_are_no_contents),
	    cmocka_unit_test(test_compressed_columns),
	    cmocka_unit_test(test_compressed_columns_damaged),
	};
	return cmocka_run_group_tests_name("binlog_value", tests, NULL, NULL);
}
