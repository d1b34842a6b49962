/* src/sql/hide: what a server's error quotes of rows. A log, or a mail from the monitoring, that shows a card's number
 * or somebody's address would be read by people whom it is none of their business. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sql/hide.h"

static void expect(unsigned number, const char *message, const char *expected)
{
	struct buf text = {0};
	hide_values(number, message, &text);
	assert_string_equal(buf_str(&text), expected);
	buf_free(&text);
}

static void values_go_names_stay(void **state)
{
	(void)state;
	expect(1062, "Duplicate entry 'ana@x.org' for key 'mail'", "Duplicate entry '…' for key 'mail'");
	expect(1366, "Incorrect integer value: '12a' for column `d`.`t`.`n` at row 1",
	       "Incorrect integer value: '…' for column `d`.`t`.`n` at row 1");
	expect(1064, "You have an error in your SQL syntax; check … near 'secret', 'b')' at line 1",
	       "You have an error in your SQL syntax; check … near '…' at line 1");
	expect(1761,
	       "Foreign key constraint for table 't', record 'ana-7' would lead to a duplicate entry in table 'u', key 'k'",
	       "Foreign key constraint for table 't', record '…' would lead to a duplicate entry in table 'u', key 'k'");
	expect(1526, "Table has no partition for value 4711", "Table has no partition for value …");
	/* As MariaDB's own replication says it. */
	expect(
	    1062,
	    "Could not execute Write_rows_v1 event on table d.t; Duplicate entry 'x' for key 'PRIMARY', Error_code: 1062;",
	    "Could not execute Write_rows_v1 event on table d.t; Duplicate entry '…' for key 'PRIMARY', Error_code: 1062;");
}

static void names_alone_stay_as_they_are(void **state)
{
	(void)state;
	expect(1146, "Table 'd.t' doesn't exist", "Table 'd.t' doesn't exist");
	expect(0, "", "");
}

/* Whoever can write a row can have it hold whatever ends a value. */
static void a_value_with_quotes(void **state)
{
	(void)state;
	expect(1062, "Duplicate entry 'O'Neill' for key 'b-secret' for key 'name'", "Duplicate entry '…' for key 'name'");
	expect(1292, "Truncated incorrect DOUBLE value: 'a'b'", "Truncated incorrect DOUBLE value: '…'");
}

static void a_text_cut_off_or_in_another_language(void **state)
{
	(void)state;
	expect(1062, "Duplicate entry 'a very long val", "Duplicate entry '…");
	expect(1062, "Doppelter Eintrag 'geheim' für Schlüssel 'name'", "Doppelter Eintrag '…'");
	expect(1062, "???", "(the message isn't shown, since it may quote rows)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(values_go_names_stay),
	    cmocka_unit_test(names_alone_stay_as_they_are),
	    cmocka_unit_test(a_value_with_quotes),
	    cmocka_unit_test(a_text_cut_off_or_in_another_language),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
