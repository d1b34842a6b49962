/* Text that goes into statements: whatever it holds, the server reads it as the one value or name that was meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sql/connection.h"

/* A manifest, a time zone or a file name with a quote, a backslash or a NUL would end the literal, and what stands
 * behind it would be run as SQL: with the rights of the replication user, by whoever may write a row. */
static void test_a_string_holds_only_harmless_letters(void **state)
{
	(void)state;
	uint8_t all[256];
	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (uint8_t)i;
	struct buf sql = {0};
	sql_append_string(&sql, (const char *)all, sizeof all);
	const char *text = buf_str(&sql);
	assert_int_equal(sql.size, 3 + 2 * sizeof all);
	assert_memory_equal(text, "x'", 2);
	assert_int_equal(text[sql.size - 1], '\'');
	for (size_t i = 0; i < sizeof all; i++) {
		char digits[3] = {text[2 + 2 * i], text[3 + 2 * i], '\0'};
		char *end;
		assert_int_equal(strtoul(digits, &end, 16), all[i]);
		assert_true(*end == '\0');
	}
	buf_free(&sql);
}

static void test_strings(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t size;
		const char *expected;
	} rows[] = {
	    {"", 0, "''"}, /* x'' is a string as well, but '' is what people read in the log */
	    {NULL, 0, "''"},    {"\0", 1, "x'00'"},         {"'; DROP", 7, "x'273b2044524f50'"},
	    {"\\", 1, "x'5c'"}, {"\xff\x80", 2, "x'ff80'"}, {"abc", 2, "x'6162'"}, /* no further than its size */
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf sql = {0};
		sql_append_string(&sql, rows[i].text, rows[i].size);
		assert_string_equal(buf_str(&sql), rows[i].expected);
		buf_free(&sql);
	}
}

/* A table named `t`; DROP … would otherwise be what the statement goes on with, and t` is a table that people have. */
static void test_names(void **state)
{
	(void)state;
	static const struct {
		const char *name, *expected;
	} rows[] = {
	    {"t", "`t`"},
	    {"`", "````"},
	    {"a`b", "`a``b`"},
	    {"t`; DROP TABLE x; -- ", "`t``; DROP TABLE x; -- `"},
	    {"``", "``````"},
	    {"\\", "`\\`"}, /* in a name no mode makes it an escape */
	    {"'\"", "`'\"`"},
	    {"a.b", "`a.b`"},
	    {"gr\xc3\xbcn", "`gr\xc3\xbcn`"},
	    {"/*!50000 x */", "`/*!50000 x */`"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf sql = {0};
		buf_append_str(&sql, "x.");
		sql_append_name(&sql, rows[i].name);
		assert_memory_equal(buf_str(&sql), "x.", 2);
		assert_string_equal(buf_str(&sql) + 2, rows[i].expected);
		buf_free(&sql);
	}
}

/* Many megabytes of manifest: appended where there is something already, the buffer grows under it. */
static void test_a_large_string(void **state)
{
	(void)state;
	enum { SIZE = 3 << 20 };
	struct buf text = {0}, sql = {0};
	memset(buf_reserve(&text, SIZE), 0xa7, SIZE);
	buf_append_str(&sql, "SELECT ");
	sql_append_string(&sql, (const char *)text.data, SIZE);
	assert_int_equal(sql.size, 7 + 3 + 2 * SIZE);
	assert_memory_equal(buf_str(&sql), "SELECT x'a7a7", 13);
	assert_memory_equal(buf_str(&sql) + sql.size - 5, "a7a7'", 5);
	buf_free(&text);
	buf_free(&sql);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_string_holds_only_harmless_letters),
	    cmocka_unit_test(test_strings),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_a_large_string),
	};
	return cmocka_run_group_tests_name("sql_text", tests, NULL, NULL);
}
