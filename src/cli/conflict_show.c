#include "cli/conflict_show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/grid.h"

/* ---- The list ---- */

static void add_buf(struct grid *grid, struct buf *text)
{
	grid_add(grid, buf_str(text));
	buf_free(text);
}

static void add_line(struct grid *grid, const struct conflict *c, bool with_database)
{
	struct buf id = {0}, when = {0}, key = {0}, won = {0};
	buf_printf(&id, "%s%s%" PRId64, with_database ? c->database : "", with_database ? "." : "", c->id);
	conflict_append_time(c->created_s, &when);
	conflict_append_key(c, &key);
	unsigned node = conflict_node(c, "remote_gtid");
	if (node > 0)
		buf_printf(&won, "node %u", node);
	else
		buf_append_str(&won, c->data != NULL ? conflict_text(c, "resolution") : "-");
	add_buf(grid, &id);
	add_buf(grid, &when);
	grid_add(grid, c->data != NULL ? conflict_text(c, "table") : c->table_name);
	add_buf(grid, &key);
	grid_add(grid, c->data != NULL ? conflict_text(c, "kind") : c->conflict_type);
	add_buf(grid, &won);
	grid_add(grid, c->resolved ? "resolved" : "open");
}

void conflict_show_list(const struct conflict_list *list, bool with_database, unsigned width, struct buf *to)
{
	static const char *const titles[] = {"id", "when", "table", "key", "kind", "won", "state"};
	enum { COLUMNS = sizeof titles / sizeof *titles };
	struct grid grid = {.column_count = COLUMNS};
	if (list->count == 0) {
		buf_append_str(to, "no conflicts\n");
		return;
	}
	for (unsigned i = 0; i < COLUMNS; i++)
		grid_add(&grid, titles[i]);
	for (size_t i = 0; i < list->count; i++)
		add_line(&grid, &list->conflicts[i], with_database);
	grid_format(&grid, width, to);
	grid_free(&grid);
}

/* ---- One conflict ---- */

static void append_outcome(const struct conflict *c, struct buf *to)
{
	json_t *lost = json_object_get(c->data, "lost");
	size_t i;
	json_t *column;
	if (conflict_row(c, "applied") == NULL) {
		buf_append_str(to, "The row is gone.\n");
		return;
	}
	if (json_array_size(lost) > 0)
		buf_append_str(to, "Lost: ");
	json_array_foreach(lost, i, column)
	{
		buf_append_str(to, i == 0 ? "" : ", ");
		grid_append_clean(to, json_string_value(column));
	}
	buf_append_str(to, json_array_size(lost) > 0 ? ".\n" : "Nothing was lost.\n");
}

static void append_write(const struct conflict *c, const char *title, const char *gtid, const char *time,
                         struct buf *to)
{
	if (*conflict_text(c, gtid) == '\0')
		return;
	buf_printf(to, "  %-9s", title);
	grid_append_clean(to, conflict_text(c, gtid));
	buf_append_str(to, ", ");
	conflict_append_time(json_integer_value(json_object_get(c->data, time)), to);
	buf_append_str(to, "\n");
}

static void append_head(const struct conflict *c, struct buf *to)
{
	buf_printf(to, "conflict %" PRId64 " in ", c->id);
	grid_append_clean(to, c->database);
	buf_append_str(to, ".");
	grid_append_clean(to, c->data != NULL ? conflict_text(c, "table") : c->table_name);
	buf_append_str(to, ", recorded ");
	conflict_append_time(c->created_s, to);
	buf_append_str(to, c->resolved ? ", resolved\n" : ", open\n");
}

static void append_facts(const struct conflict *c, struct buf *to)
{
	struct buf key = {0};
	buf_append_str(to, "  ");
	conflict_append_sentence(c, to);
	append_outcome(c, to);
	conflict_append_key(c, &key);
	buf_printf(to, "  %-9s", "key");
	grid_append_clean(to, buf_str(&key));
	buf_printf(to, "\n  %-9s", "kind");
	grid_append_clean(to, conflict_text(c, "kind"));
	buf_append_str(to, ", by ");
	grid_append_clean(to, conflict_text(c, "resolver"));
	buf_append_str(to, ": ");
	grid_append_clean(to, conflict_text(c, "resolution"));
	buf_append_str(to, "\n");
	append_write(c, "lost", "local_gtid", "local_time", to);
	append_write(c, "won", "remote_gtid", "remote_time", to);
	buf_free(&key);
}

/* ---- The rows ---- */

enum { ROWS = 4 };
static const char *const rows[ROWS] = {"base", "local", "remote", "applied"};
static const char *const titles[ROWS] = {"before", "lost", "won", "became"};

/* '*': lost; '+': it isn't the same in all rows; else blank. */
static const char *mark_of(const struct conflict *c, const char *column)
{
	const json_t *first = NULL;
	if (conflict_has(c, "lost", column))
		return "*";
	for (int i = 0; i < ROWS; i++) {
		const json_t *value = json_object_get(conflict_row(c, rows[i]), column);
		if (value != NULL && first != NULL && !json_equal(value, first))
			return "+";
		first = value != NULL ? value : first;
	}
	return " ";
}

static void add_column(struct grid *grid, const struct conflict *c, const char *column)
{
	grid_add(grid, mark_of(c, column));
	grid_add(grid, column);
	for (int i = 0; i < ROWS; i++) {
		const json_t *row = conflict_row(c, rows[i]), *value = json_object_get(row, column);
		struct buf text = {0};
		if (value != NULL)
			conflict_append_value(c, column, value, &text);
		if (i > 0 || row != NULL)
			add_buf(grid, &text);
	}
}

/* Without a base there is no column for it. A row that isn't there says so. */
static void append_rows(const struct conflict *c, unsigned width, struct buf *to)
{
	bool has_base = conflict_row(c, "base") != NULL;
	struct grid grid = {.column_count = has_base ? 6 : 5};
	grid_add(&grid, "");
	grid_add(&grid, "column");
	for (int i = has_base ? 0 : 1; i < ROWS; i++) {
		struct buf title = {0};
		buf_printf(&title, conflict_row(c, rows[i]) != NULL ? "%s" : "%s: no row", titles[i]);
		add_buf(&grid, &title);
	}
	const char *column;
	json_t *value, *all = conflict_row(c, "local");
	all = all != NULL ? all : conflict_row(c, "remote");
	json_object_foreach(all, column, value) add_column(&grid, c, column);
	buf_append_str(to, "\n");
	grid_format(&grid, width, to);
	grid_free(&grid);
	buf_append_str(to, "\n* lost   + not the same in all rows\n");
}

void conflict_show(const struct conflict *c, unsigned width, struct buf *to)
{
	append_head(c, to);
	if (c->data != NULL) {
		append_facts(c, to);
		append_rows(c, width, to);
		return;
	}
	buf_append_str(to, "  this record is not Syncline's; what stands in it:\n  ");
	grid_append_clean(to, c->conflict_type);
	buf_append_str(to, ", record_id ");
	grid_append_clean(to, c->record_id);
	buf_append_str(to, ", gate_id ");
	grid_append_clean(to, c->gate_id);
	buf_append_str(to, "\n  ");
	grid_append_clean(to, c->text != NULL ? c->text : "NULL");
	buf_append_str(to, "\n");
}
