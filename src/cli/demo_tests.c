/* The guide's Step 3 and Step 6, its Tests 1 to 4, and at the end the question that matters: are the rows equal? */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/demo.h"
#include "cli/demo_sql.h"

enum { ARRIVAL_TIMEOUT_MS = 60 * 1000, ARRIVAL_POLL_MS = 1, LINK_POLL_MS = 10, LINK_TIMEOUT_MS = 60 * 1000 };

static const char *const names[] = {"node 1", "node 2"};

static void fail_part(struct demo *demo, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail_part(struct demo *demo, const char *format, ...)
{
	char text[900];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	demo->current_failed = true;
	demo_show_result(false, text);
}

static void end_part(struct demo *demo)
{
	if (demo->current_failed) {
		demo->failed++;
	} else {
		demo->passed++;
		demo_show_result(true, "");
	}
	demo->current_failed = false;
}

/* Statements and rows */

static bool run(struct demo *demo, int node, const char *sql, bool short_form)
{
	struct err err;
	if (demo->current_failed || command_interrupted)
		return false;
	demo_show_statement(names[node], sql, short_form);
	if (connection_run(demo->connections[node], sql, &err) == ERR_OK)
		return true;
	fail_part(demo, "%s", err.message);
	return false;
}

struct rows {
	unsigned count;
	struct buf first; /* "1 | Alice Test | …" */
	long id;          /* the first column of the first row as a number */
};

static void take_row(void *context, unsigned column_count, const char *const *columns)
{
	struct rows *rows = context;
	if (rows->count++ > 0)
		return;
	for (unsigned i = 0; i < column_count; i++)
		buf_printf(&rows->first, "%s%s", i ? " | " : "", columns[i] ? columns[i] : "NULL");
	rows->id = column_count > 0 && columns[0] ? strtol(columns[0], NULL, 10) : 0;
}

static bool query(struct demo *demo, int node, const char *sql, struct rows *rows)
{
	struct err err;
	rows->count = 0;
	buf_clear(&rows->first);
	if (connection_query(demo->connections[node], sql, take_row, rows, &err) == ERR_OK)
		return true;
	fail_part(demo, "%s", err.message);
	return false;
}

/* Asks until there is a row; shows it and the time since `since_us`. */
static bool wait_row(struct demo *demo, int node, const char *sql, int64_t since_us, const char *since,
                     struct rows *rows)
{
	while (!demo->current_failed && !command_interrupted && query(demo, node, sql, rows)) {
		double ms = (double)(clock_monotonic_us() - since_us) / 1000;
		if (rows->count > 0) {
			demo_show_text("%s has: %s", names[node], buf_str(&rows->first));
			demo_show_text("%.1f ms after %s", ms, since);
			return true;
		}
		if (ms > ARRIVAL_TIMEOUT_MS)
			fail_part(demo, "nothing arrived on %s in %d s", names[node], ARRIVAL_TIMEOUT_MS / 1000);
		clock_sleep_ms(ARRIVAL_POLL_MS);
	}
	return false;
}

/* The schema: on node 1 only */

static void show_definitions(struct demo *demo, const char *title, const struct demo_definition *definitions,
                             size_t count)
{
	struct rows rows = {0};
	demo_show_title("%s", title);
	for (size_t i = 0; i < count && run(demo, 0, definitions[i].sql, true); i++) {
		int64_t since = clock_monotonic_us();
		while (definitions[i].check != NULL && !demo->current_failed && !command_interrupted &&
		       query(demo, 1, definitions[i].check, &rows)) {
			double ms = (double)(clock_monotonic_us() - since) / 1000;
			if (rows.count > 0) {
				demo_show_text("on node 2 after %.1f ms", ms);
				break;
			}
			if (ms > ARRIVAL_TIMEOUT_MS)
				fail_part(demo, "it is not on node 2 after %d s", ARRIVAL_TIMEOUT_MS / 1000);
			clock_sleep_ms(ARRIVAL_POLL_MS);
		}
	}
	buf_free(&rows.first);
	end_part(demo);
}

/* Tests 1 to 3: written on one node, read on the other */

struct one_way {
	const char *title;
	int from;
	const char *insert;
	const char *own_check; /* NULL: the guide has none */
	const char *check;
	long remainder; /* the id is odd (1) or even (0); -1: not looked at */
};

static void show_one_way(struct demo *demo, const struct one_way *test)
{
	struct rows rows = {0};
	int to = 1 - test->from;
	demo_show_title("%s", test->title);
	run(demo, test->from, demo_use, false);
	if (run(demo, test->from, test->insert, false)) {
		int64_t since = clock_monotonic_us();
		if (test->own_check != NULL && query(demo, test->from, test->own_check, &rows)) {
			demo_show_statement(names[test->from], test->own_check, false);
			demo_show_text("%s", buf_str(&rows.first));
		}
		if (test->remainder >= 0 && rows.id % 2 != test->remainder)
			fail_part(demo, "the id %ld is not %s", rows.id, test->remainder ? "odd" : "even");
		run(demo, to, demo_use, false);
		demo_show_statement(names[to], test->check, false);
		wait_row(demo, to, test->check, since, "the INSERT was committed", &rows);
	}
	buf_free(&rows.first);
	end_part(demo);
}

/* Test 4: cut off, written, joined again */

static bool is_cut(const struct lab_node *node, uint32_t peer)
{
	struct node_status status;
	struct err ignored;
	if (node_status_get(node->state_dir, &status, &ignored) != ERR_OK)
		return false;
	const struct link_status *link = node_status_link(&status, peer);
	bool cut = link != NULL && strcmp(link->state, "live") != 0 && strcmp(link->state, "catching up") != 0;
	node_status_free(&status);
	return cut;
}

static void disconnect(struct demo *demo)
{
	const struct lab_node *nodes = demo->lab.nodes;
	struct err err;
	enum err_code code;
	if (demo->lab.network) {
		demo_show_statement(names[1], "ip link set eth0 down", false);
		code = lab_net_plug(&demo->lab, &nodes[1], false, &err);
	} else {
		demo_show_statement("lab", "cut 1 2", false);
		code = lab_cut(&nodes[0], &nodes[1], true, &err);
	}
	if (code != ERR_OK) {
		fail_part(demo, "%s", err.message);
		return;
	}
	int64_t since = clock_monotonic_ms();
	while (!is_cut(&nodes[0], 2) || !is_cut(&nodes[1], 1)) {
		if (command_interrupted)
			return;
		if (clock_monotonic_ms() - since > LINK_TIMEOUT_MS) {
			fail_part(demo, "the daemons have not noticed in %d s", LINK_TIMEOUT_MS / 1000);
			return;
		}
		clock_sleep_ms(LINK_POLL_MS);
	}
	demo_show_text("both daemons know that the other node is away after %.1f s",
	               (double)(clock_monotonic_ms() - since) / 1000);
}

static void reconnect(struct demo *demo)
{
	const struct lab_node *nodes = demo->lab.nodes;
	struct err err;
	enum err_code code;
	if (demo->lab.network) {
		demo_show_statement(names[1], "ip link set eth0 up", false);
		code = lab_net_plug(&demo->lab, &nodes[1], true, &err);
	} else {
		demo_show_statement("lab", "heal 1 2", false);
		code = lab_cut(&nodes[0], &nodes[1], false, &err);
	}
	if (code != ERR_OK)
		fail_part(demo, "%s", err.message);
}

static void show_disconnect(struct demo *demo)
{
	struct rows rows = {0};
	demo_show_title("Test 4: network disconnect recovery (%s)",
	                demo->lab.network ? "eth0 of node 2 goes down" : "no network namespaces here, so the link is cut");
	disconnect(demo);
	run(demo, 0, demo_use, false);
	run(demo, 0, demo_insert_4, false);
	run(demo, 1, demo_use, false);
	if (!demo->current_failed && !command_interrupted && query(demo, 1, demo_select_4, &rows)) {
		demo_show_statement(names[1], demo_select_4, false);
		demo_show_text("%u rows while it is cut off", rows.count);
		if (rows.count != 0)
			fail_part(demo, "the row is there although node 2 is cut off");
	}
	reconnect(demo);
	int64_t since = clock_monotonic_us();
	if (!demo->current_failed) {
		demo_show_statement(names[1], demo_select_4, false);
		wait_row(demo, 1, demo_select_4, since, demo->lab.network ? "eth0 came up" : "the link was mended", &rows);
	}
	buf_free(&rows.first);
	end_part(demo);
}

/* Are the rows equal? */

struct tables {
	size_t count;
	char *names[16];
};

static void take_table(void *context, unsigned column_count, const char *const *columns)
{
	struct tables *tables = context;
	if (column_count == 1 && columns[0] != NULL && tables->count < sizeof tables->names / sizeof *tables->names)
		tables->names[tables->count++] = mem_strdup(columns[0]);
}

/* "4711, 3 rows" of the table on the node. */
static bool checksum(struct demo *demo, int node, const char *table, struct buf *ret)
{
	struct err err;
	struct buf sql = {0}, number = {0};
	bool ok = false;
	buf_printf(&sql, "SELECT COUNT(*) FROM rfid_access_control.`%s`", table);
	if (connection_value(demo->connections[node], buf_str(&sql), sql.size, &number, NULL, &err) == ERR_OK) {
		struct rows rows = {0};
		buf_clear(&sql);
		buf_printf(&sql, "CHECKSUM TABLE rfid_access_control.`%s`", table);
		ok = query(demo, node, buf_str(&sql), &rows);
		const char *separator = strrchr(buf_str(&rows.first), '|');
		buf_clear(ret);
		buf_printf(ret, "%s, %s row%s", separator ? separator + 2 : "?", buf_str(&number),
		           strcmp(buf_str(&number), "1") == 0 ? "" : "s");
		buf_free(&rows.first);
	} else {
		fail_part(demo, "%s", err.message);
	}
	buf_free(&number);
	buf_free(&sql);
	return ok;
}

static void compare_table(struct demo *demo, const char *table)
{
	struct buf one = {0}, two = {0};
	if (checksum(demo, 0, table, &one) && checksum(demo, 1, table, &two)) {
		bool equal = strcmp(buf_str(&one), buf_str(&two)) == 0;
		demo_show_text("%-24s %-24s %-24s %s", table, buf_str(&one), buf_str(&two), equal ? "equal" : "DIFFERENT");
		if (!equal)
			fail_part(demo, "the table %s differs", table);
	}
	buf_free(&one);
	buf_free(&two);
}

static void show_equality(struct demo *demo)
{
	struct err err;
	struct tables tables[2] = {{0}};
	demo_show_title("Every table on both nodes: CHECKSUM TABLE");
	if (lab_wait(&demo->lab, LAB_TIMEOUT_S, &err) != ERR_OK && !command_interrupted)
		fail_part(demo, "%s", err.message);
	for (int node = 0; node < 2 && !demo->current_failed; node++)
		if (connection_query(demo->connections[node], "SHOW TABLES FROM rfid_access_control", take_table, &tables[node],
		                     &err) != ERR_OK)
			fail_part(demo, "%s", err.message);
	if (!demo->current_failed && tables[0].count != tables[1].count)
		fail_part(demo, "node 1 has %zu tables and node 2 has %zu", tables[0].count, tables[1].count);
	demo_show_text("%-24s %-24s %-24s", "table", names[0], names[1]);
	for (size_t i = 0; i < tables[0].count && !demo->current_failed; i++)
		compare_table(demo, tables[0].names[i]);
	for (int node = 0; node < 2; node++)
		for (size_t i = 0; i < tables[node].count; i++)
			free(tables[node].names[i]);
	end_part(demo);
}

enum err_code demo_run_tests(struct demo *demo, struct err *err)
{
	static const struct one_way tests[] = {
	    {"Test 1: basic replication", 0, demo_insert_1, demo_select_1, demo_select_1, 1},
	    {"Test 2: reverse replication", 1, demo_insert_2, demo_select_2, demo_select_2, 0},
	    {"Test 3: log entry replication", 0, demo_insert_3, NULL, demo_select_3, -1},
	};
	show_definitions(demo, "Step 3: the database schema, on node 1 only", demo_schema,
	                 sizeof demo_schema / sizeof *demo_schema);
	show_definitions(demo, "Step 6: the conflict table, on node 1 only", demo_conflict_table,
	                 sizeof demo_conflict_table / sizeof *demo_conflict_table);
	for (size_t i = 0; i < sizeof tests / sizeof *tests && !command_interrupted; i++)
		show_one_way(demo, &tests[i]);
	if (!command_interrupted)
		show_disconnect(demo);
	if (!command_interrupted)
		show_equality(demo);
	return command_interrupted ? err_set(err, ERR_CANCELLED, "interrupted") : ERR_OK;
}
