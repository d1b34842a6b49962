/* src/link/touched and sync_row: what sync_metadata says of a table. People read there whether their gates are in
 * step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link/sync_row.h"

static void note(struct touched *t, const char *name, bool is_own, bool is_old, uint64_t seq, int64_t time_s,
                 int64_t now_s)
{
	touched_note(t, "d", name, &(struct touched_change){is_own, is_old, seq, time_s}, now_s, now_s * 1000);
}

static struct touched_table table_of(struct touched *t, const char *name)
{
	size_t count;
	struct touched_table *tables = touched_copy(t, &count), found = {0};
	for (size_t i = 0; i < count; i++)
		if (strcmp(tables[i].name, name) == 0)
			found = tables[i];
	free(tables);
	return found;
}

static void what_came_and_what_got_there(void **state)
{
	(void)state;
	struct touched *t = touched_new();
	note(t, "users", false, false, 5, 90, 100); /* written at 90 there, here at 100 */
	assert_int_equal(table_of(t, "users").synced_s, 100);
	note(t, "logs", true, false, 7, 100, 100);
	assert_int_equal(table_of(t, "logs").synced_s, 0);
	touched_arrived(t, 6, 101, 101000);
	assert_int_equal(table_of(t, "logs").synced_s, 0);
	touched_arrived(t, 7, 102, 102000);
	assert_int_equal(table_of(t, "logs").synced_s, 102);
	assert_int_equal(table_of(t, "logs").from, 0);
	assert_int_equal(table_of(t, "users").synced_s, 100);
	touched_free(t);
}

/* A table that is written to without a pause always has something under way. It is in step all the same. */
static void written_without_a_pause(void **state)
{
	(void)state;
	struct touched *t = touched_new();
	for (uint64_t seq = 1; seq < 50; seq++) {
		note(t, "logs", true, false, seq, (int64_t)seq, (int64_t)seq);
		touched_arrived(t, seq - 1, (int64_t)seq, (int64_t)seq * 1000);
		struct touched_table table = table_of(t, "logs");
		if (seq > 1)
			assert_int_equal(table.synced_s, seq);
		assert_int_equal(sync_row_make(&table, "", (int64_t)seq * 1000).status, SYNC_SUCCESS);
	}
	touched_free(t);
}

/* A restart reads the log again: what was in step yesterday isn't in step as of now by that. */
static void told_again_after_a_restart(void **state)
{
	(void)state;
	struct touched *t = touched_new();
	note(t, "users", false, true, 5, 90, 1000);
	assert_int_equal(table_of(t, "users").synced_s, 90);
	note(t, "logs", true, true, 7, 80, 1000);
	touched_arrived(t, 9, 1001, 1001000);
	assert_int_equal(table_of(t, "logs").synced_s, 80);
	note(t, "users", false, true, 6, 5000, 1000); /* a clock that was ahead then */
	assert_int_equal(table_of(t, "users").synced_s, 1000);
	touched_free(t);
}

static void conflicts_are_counted_once(void **state)
{
	(void)state;
	struct touched *t = touched_new();
	assert_true(touched_take_conflicts(t));
	assert_false(touched_take_conflicts(t));
	touched_note_conflicts(t);
	assert_true(touched_take_conflicts(t));
	touched_free(t);
}

static void rows_say_what_is(void **state)
{
	(void)state;
	struct touched_table table = {
	    .database = "d", .name = "logs", .synced_s = 50, .from = 8, .upto = 9, .waits_ms = 100000};
	assert_int_equal(sync_row_make(&table, "", 101000).status, SYNC_SUCCESS); /* a moment */
	assert_int_equal(sync_row_make(&table, "", 106000).status, SYNC_IN_PROGRESS);
	struct sync_row row = sync_row_make(&table, "link from node 2: stopped: x", 106000);
	assert_int_equal(row.status, SYNC_FAILED);
	assert_string_equal(row.error, "link from node 2: stopped: x");
	row = sync_row_make(&table, "", 101000);
	assert_false(sync_row_differs(&row, 50, SYNC_SUCCESS, ""));
	assert_false(sync_row_differs(&row, 60, SYNC_SUCCESS, "")); /* the row is newer */
	assert_true(sync_row_differs(&row, 49, SYNC_SUCCESS, ""));
	assert_true(sync_row_differs(&row, 50, SYNC_FAILED, "x"));
	assert_int_equal(sync_row_keep("logs", 50, "").status, SYNC_SUCCESS);
	assert_int_equal(sync_row_keep("logs", 50, "x").status, SYNC_FAILED);
}

/* The column holds 50 characters; one that is cut within its bytes is refused by the server. */
static void long_names_are_cut_at_a_character(void **state)
{
	(void)state;
	struct touched_table table = {.database = "d"};
	for (int i = 0; i < 60; i++)
		strcat(table.name, "é");
	struct sync_row row = sync_row_make(&table, "", 0);
	assert_int_equal(strlen(row.name), 100);
}

static void sql_of_a_row(void **state)
{
	(void)state;
	struct sync_row row = {.name = "a", .time_s = 50, .status = SYNC_FAILED, .error = "o'n"};
	struct buf sql = {0};
	sync_row_append_sql(&row, "d`b", 2, true, &sql);
	assert_string_equal(buf_str(&sql),
	                    "UPDATE `d``b`.sync_metadata SET last_sync_timestamp=FROM_UNIXTIME(50), sync_status='FAILED', "
	                    "error_message=x'6f276e' WHERE node_id='node2' AND table_name=x'61';");
	buf_clear(&sql);
	row.error = "";
	row.status = SYNC_SUCCESS;
	sync_row_append_sql(&row, "d", 2, false, &sql);
	assert_string_equal(buf_str(&sql), "INSERT INTO `d`.sync_metadata SET last_sync_timestamp=FROM_UNIXTIME(50), "
	                                   "sync_status='SUCCESS', error_message=NULL, node_id='node2', table_name=x'61';");
	buf_free(&sql);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_came_and_what_got_there),
	    cmocka_unit_test(written_without_a_pause),
	    cmocka_unit_test(told_again_after_a_restart),
	    cmocka_unit_test(conflicts_are_counted_once),
	    cmocka_unit_test(rows_say_what_is),
	    cmocka_unit_test(long_names_are_cut_at_a_character),
	    cmocka_unit_test(sql_of_a_row),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
