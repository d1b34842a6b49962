/* src/admin/conflict, src/cli/conflict_show, grid: what people see of a conflict.
 *
 * They decide by it which row to keep. tests/system/test_conflicts_command.py has the commands on real servers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/conflict_show.h"
#include "cli/grid.h"

static const char record[] =
    "{\"version\":1,\"id\":\"0000000000abcdef\",\"kind\":\"update_origin_differs\",\"database\":\"d\",\"table\":"
    "\"users\","
    "\"key\":{\"id\":\"7\"},\"base\":{\"id\":\"7\",\"name\":\"Ann\",\"tag\":null,\"n\":\"1\"},"
    "\"local\":{\"id\":\"7\",\"name\":\"Zo\\u00eb\",\"tag\":\"ff\",\"n\":\"1\"},"
    "\"remote\":{\"id\":\"7\",\"name\":\"\\u9375\",\"tag\":null,\"n\":\"2\"},"
    "\"applied\":{\"id\":\"7\",\"name\":\"\\u9375\",\"tag\":null,\"n\":\"2\"},"
    "\"lost\":[\"name\",\"tag\"],\"hex\":[\"tag\"],\"cut\":[],\"local_gtid\":\"1-1-17\",\"remote_gtid\":\"2-2-9\","
    "\"local_time\":1700000000,\"remote_time\":1700000001,\"resolver\":\"last_update_wins\","
    "\"resolution\":\"apply_remote\"}";

static struct conflict conflict_of(const char *text)
{
	return (struct conflict){.database = (char *)"d",
	                         .id = 5,
	                         .table_name = (char *)"users",
	                         .record_id = (char *)"7",
	                         .conflict_type = (char *)"UPDATE_CONFLICT",
	                         .gate_id = (char *)"1",
	                         .created_s = 1700000002,
	                         .text = (char *)text,
	                         .data = conflict_parse(text, "d")};
}

static void assert_shown(const char *text, unsigned width, const char *expected)
{
	struct conflict conflict = conflict_of(text);
	struct buf shown = {0};
	conflict_show(&conflict, width, &shown);
	assert_string_equal(buf_str(&shown), expected);
	json_decref(conflict.data);
	buf_free(&shown);
}

/* The record with one member replaced by this JSON. */
static char *with(const char *member, const char *value)
{
	json_t *data = json_loads(record, 0, NULL);
	json_object_set_new(data, member, json_loads(value, JSON_DECODE_ANY, NULL));
	char *text = json_dumps(data, JSON_COMPACT);
	json_decref(data);
	return text;
}

/* What was lost is marked, and a column of which nothing was lost but that changed. */
static void test_rows_side_by_side(void **state)
{
	(void)state;
	assert_shown(
	    record, 80,
	    "conflict 5 in d.users, recorded 2023-11-14 22:13:22 UTC, open\n"
	    "  node 1 and node 2 changed the same columns of one row without knowing of each other. Lost: name, tag.\n"
	    "  key      id=7\n"
	    "  kind     update_origin_differs, by last_update_wins: apply_remote\n"
	    "  lost     1-1-17, 2023-11-14 22:13:20 UTC\n"
	    "  won      2-2-9, 2023-11-14 22:13:21 UTC\n"
	    "\n"
	    "   column  before  lost   won   became\n"
	    "   id      7       7      7     7\n"
	    "*  name    Ann     Zo\u00eb    \u9375    \u9375\n"
	    "*  tag     NULL    x'ff'  NULL  NULL\n"
	    "+  n       1       1      2     2\n"
	    "\n"
	    "* lost   + not the same in all rows\n");
}

/* A row that was deleted has no values: nobody may take that for NULLs. */
static void test_a_row_that_is_gone(void **state)
{
	(void)state;
	json_t *data = json_loads(record, 0, NULL);
	json_object_set_new(data, "kind", json_string("delete_origin_differs"));
	json_object_set_new(data, "base", json_null());
	json_object_set_new(data, "remote", json_null());
	json_object_set_new(data, "applied", json_null());
	char *text = json_dumps(data, 0);
	json_decref(data);
	assert_shown(text, 80,
	             "conflict 5 in d.users, recorded 2023-11-14 22:13:22 UTC, open\n"
	             "  node 1 changed a row that node 2 deleted without knowing of that. The row is gone.\n"
	             "  key      id=7\n"
	             "  kind     delete_origin_differs, by last_update_wins: apply_remote\n"
	             "  lost     1-1-17, 2023-11-14 22:13:20 UTC\n"
	             "  won      2-2-9, 2023-11-14 22:13:21 UTC\n"
	             "\n"
	             "   column  lost   won: no row  became: no row\n"
	             "   id      7\n"
	             "*  name    Zo\u00eb\n"
	             "*  tag     x'ff'\n"
	             "   n       1\n"
	             "\n"
	             "* lost   + not the same in all rows\n");
	free(text);
}

/* Anybody may write into the table: what isn't a record as ours is only shown, and undo never sees half of one. */
static void test_what_is_no_record(void **state)
{
	(void)state;
	static const char *const members[][2] = {
	    {"version", "2"},      {"version", "\"1\""},    {"id", "7"},           {"kind", "null"},
	    {"database", "\"x\""}, {"table", "5"},          {"key", "null"},       {"key", "[]"},
	    {"key", "{\"id\":7}"}, {"local", "{\"id\":7}"}, {"remote", "\"row\""}, {"base", "{\"id\":[]}"},
	    {"lost", "null"},      {"hex", "[1]"},          {"cut", "{}"},         {"local_gtid", "5"},
	    {"remote_gtid", "5"},  {"resolver", "null"},    {"resolution", "{}"},
	};
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		char *text = with(members[i][0], members[i][1]);
		if (conflict_parse(text, "d") != NULL)
			fail_msg("%s: %s", members[i][0], members[i][1]);
		free(text);
	}
	assert_null(conflict_parse(NULL, "d"));
	assert_null(conflict_parse("", "d"));
	assert_null(conflict_parse("[1]", "d"));
	char *fine = with("remote_gtid", "null");
	json_t *data = conflict_parse(fine, "d");
	assert_non_null(data);
	json_decref(data);
	free(fine);
	assert_shown("{\"a\": \"\x1b[31m\xff\"}", 80,
	             "conflict 5 in d.users, recorded 2023-11-14 22:13:22 UTC, open\n"
	             "  this record is not Syncline's; what stands in it:\n"
	             "  UPDATE_CONFLICT, record_id 7, gate_id 1\n"
	             "  {\"a\": \"\\x1b[31m\\xff\"}\n");
}

/* One line each, aligned, whoever wrote the record. */
static void test_list(void **state)
{
	(void)state;
	struct conflict conflicts[] = {conflict_of(record), conflict_of("garbage")};
	conflicts[1].id = 12;
	conflicts[1].resolved = true;
	conflicts[1].created_s = 0;
	struct conflict_list list = {2, conflicts}, none = {0};
	struct buf shown = {0};
	conflict_show_list(&list, false, 120, &shown);
	assert_string_equal(buf_str(&shown),
	                    "id  when                     table  key   kind                   won     state\n"
	                    "5   2023-11-14 22:13:22 UTC  users  id=7  update_origin_differs  node 2  open\n"
	                    "12  -                        users  7     UPDATE_CONFLICT        -       resolved\n");
	buf_clear(&shown);
	list.count = 1;
	conflict_show_list(&list, true, 120, &shown);
	assert_non_null(strstr(buf_str(&shown), "\nd.5  2023"));
	buf_clear(&shown);
	conflict_show_list(&none, false, 120, &shown);
	assert_string_equal(buf_str(&shown), "no conflicts\n");
	json_decref(conflicts[0].data);
	buf_free(&shown);
}

/* ---- the grid ---- */

static void assert_grid(unsigned columns, unsigned width, const char *const *cells, const char *expected)
{
	struct grid grid = {.column_count = columns};
	struct buf text = {0};
	for (; *cells != NULL; cells++)
		grid_add(&grid, *cells);
	grid_format(&grid, width, &text);
	assert_string_equal(buf_str(&text), expected);
	grid_free(&grid);
	buf_free(&text);
}

/* A long text in one column mustn't push the others off the terminal, nor be cut within a character. */
static void test_grid_cuts_the_widest(void **state)
{
	(void)state;
	static const char *const ascii[] = {"id", "text", "x", "7", "abcdefghijklmnopqrstuvwxyz", "y", NULL};
	assert_grid(3, 40, ascii, "id  text                        x\n7   abcdefghijklmnopqrstuvwxyz  y\n");
	assert_grid(3, 20, ascii, "id  text           x\n7   abcdefghijkl…  y\n");
	static const char *const wide[] = {"鍵鍵鍵鍵鍵鍵鍵鍵鍵鍵", "x", NULL};
	assert_grid(2, 13, wide, "鍵鍵鍵鍵…   x\n");
	assert_grid(2, 12, wide, "鍵鍵鍵鍵…  x\n");
	static const char *const two[] = {"aaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbb", NULL};
	assert_grid(2, 22, two, "aaaaaaaaa…  bbbbbbbbbb\n");
	assert_grid(2, 4, two, "aaa…  bbb…\n"); /* less than anything fits into: one cell at most as wide as that */
}

/* Columns line up by what a terminal shows, not by bytes. */
static void test_text_width(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		unsigned width;
	} cases[] = {{"", 0}, {"abc", 3}, {"grün", 4}, {"鍵", 2}, {"🔑", 2}, {"e\u0301", 1}, {"דלת", 3}, {"ประตู", 4}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(grid_text_width(cases[i].text), cases[i].width);
}

/* A name that clears the screen or turns the line around would show something else than what is there. */
static void test_nothing_acts_on_the_terminal(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
	    {"a\nb\tc\rd", "a\\nb\\tc\\rd"},
	    {"\x1b[2J", "\\x1b[2J"},
	    {"\x7f", "\\x7f"},
	    {"\xc2\x9b", "\\x9b"},       /* CSI in one character */
	    {"\xe2\x80\xae", "\\u202e"}, /* right to left from here */
	    {"\xff", "\\xff"},
	    {"\xc3", "\\xc3"},           /* cut */
	    {"\xc0\xaf", "\\xc0\\xaf"},  /* overlong */
	    {"\xed\xa0\x80", "\\ud800"}, /* a surrogate */
	    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
	    {"grün 鍵 🔑", "grün 鍵 🔑"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf text = {0};
		grid_append_clean(&text, cases[i][0]);
		assert_string_equal(buf_str(&text), cases[i][1]);
		buf_free(&text);
	}
}

static int set_time_zone(void **state)
{
	(void)state;
	return setenv("TZ", "UTC", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows_side_by_side),
	    cmocka_unit_test(test_a_row_that_is_gone),
	    cmocka_unit_test(test_what_is_no_record),
	    cmocka_unit_test(test_list),
	    cmocka_unit_test(test_grid_cuts_the_widest),
	    cmocka_unit_test(test_text_width),
	    cmocka_unit_test(test_nothing_acts_on_the_terminal),
	};
	return cmocka_run_group_tests_name("conflict_show", tests, set_time_zone, NULL);
}
